/** The durable record of ending one trouble of one target. Pure: every function returns a new record. */
import type { Signal, SignalKind } from './signal.ts';
import { minutes, type Time } from './time.ts';
import type { Json } from './verdict.ts';

export type OutcomeKind =
  /** AWS or the host took it. Whether it helped is judged by looking. */
  | 'done'
  /** It was proven that nothing was done: may be tried again. */
  | 'transient'
  /** It was declined for good: this rung is used up. */
  | 'permanent'
  /** It may or may not have happened: look, never repeat blindly. */
  | 'ambiguous';

export interface Attempt<Step = Json> {
  /** 1, 2 … within the incident. */
  readonly n: number;
  readonly rung: string;
  readonly step: Step;
  readonly plan: string;
  readonly because: string;
  /** Goes to AWS or to the host, which runs it once. */
  readonly token: string;
  readonly reservedAt: Time;
  readonly continues?: true;
  /** This attempt puts back what attempt n did. */
  readonly undoes?: number;
  readonly before: Json;
  readonly outcome?: { readonly kind: OutcomeKind; readonly at: Time; readonly because: string };
  readonly receipt?: Json;
  readonly effect?: 'effective' | 'ineffective' | 'harmful';
}

/** It did something, or may have, and a look can judge what came of it. Putting back is not a step of the ladder: it has no effect of its own. */
export const hasRun = ({ outcome, undoes }: Pick<Attempt, 'outcome' | 'undoes'>): boolean =>
  undoes === undefined && (outcome?.kind === 'done' || outcome?.kind === 'ambiguous');

/** The last attempt, where it has run and what came of it does not show yet. */
export const unjudged = (attempts: readonly Attempt[]): Attempt | undefined => {
  const last = attempts.at(-1);
  return last && hasRun(last) && last.effect === undefined ? last : undefined;
};

export type State =
  /** Seen, nothing decided that holds for longer. */
  | 'open'
  /** A step is reserved and has no outcome yet. */
  | 'acting'
  /** Waiting for what was done to show, or for a time to come. */
  | 'waiting'
  /** A guard refused; it is asked again later. */
  | 'refused'
  /** A person must say yes or no. */
  | 'asking'
  /** A person has been told: Steward cannot end this alone. It goes on looking. */
  | 'escalated'
  /** A person said: not now. Nobody is told until then; it goes on looking. */
  | 'snoozed'
  | 'closed';

export type End = 'healthy' | 'not-ours' | 'gone' | 'undone';

export interface Line {
  readonly at: Time;
  /** 'signal', 'seen', 'verdict', 'refused', 'reserved', 'outcome', 'effect', 'answer', 'escalated', 'closed' … */
  readonly what: string;
  readonly say: string;
}

export interface Ask {
  readonly step: Json;
  readonly rung: string;
  readonly plan: string;
  readonly because: string;
  readonly since: Time;
  readonly until: Time;
  readonly askedBy?: string;
}

export interface Approval {
  readonly by: string;
  readonly at: Time;
  /** Exactly this step, as JSON text; another step needs another yes. */
  readonly step: string;
  readonly until: Time;
}

export interface Snooze {
  readonly by: string;
  readonly at: Time;
  readonly until: Time;
  readonly why: string;
}

/** So many a person wants to be there at least, and until when; without that for good. */
export interface Wish {
  readonly by: string;
  readonly at: Time;
  readonly to: number;
  readonly until?: Time;
  readonly why: string;
}

export interface Incident {
  readonly kind: 'incident';
  readonly id: string;
  readonly version: number;
  readonly target: string;
  readonly remediation: string;
  readonly state: State;
  readonly end?: End;
  /** The reason of the present state, in words. */
  readonly because: string;
  readonly remedy?: string;
  readonly seen?: string;
  readonly group?: string;
  readonly groupSize?: number;
  readonly zone?: string;
  readonly signals: {
    readonly count: number;
    readonly kind: SignalKind;
    readonly cause: string;
    readonly author?: string;
    readonly firstAt: Time;
    readonly lastAt: Time;
    readonly lastEventId: string;
  };
  /** How often it was seen; looks that saw nothing do not count. */
  readonly looks: number;
  readonly openedAt: Time;
  readonly actedAt?: Time;
  readonly healthyAt?: Time;
  readonly closedAt?: Time;
  /** It belongs to a storm, and waits for its turn: it was not looked at since. */
  readonly held?: true;
  /** Nothing could be seen since then. */
  readonly blindSince?: Time;
  readonly attempts: readonly Attempt[];
  readonly ask?: Ask;
  readonly approval?: Approval;
  /** A person said: not now. */
  readonly snooze?: Snooze;
  /** Answers that came by a link or a button, and when: each is taken once. */
  readonly usedLinks?: Readonly<Record<string, Time>>;
  /** A person said no to this step (JSON text), and until when that holds. */
  readonly denied?: { readonly step: string; readonly by: string; readonly until: Time };
  /** A person asked that the last effective attempt be put back. */
  readonly undoWanted?: { readonly by: string; readonly at: Time; readonly attempt: Attempt };
  /** A person commands it: `steward scale`. */
  readonly wish?: Wish;
  readonly escalatedAt?: Time;
  readonly askedBy?: string;
  readonly log: readonly Line[];
  /** When the sweep looks, should nothing else make it look before. */
  readonly dueAt: Time;
}

/** An incident's log is bounded, so that an item stays small: the first lines and the latest are kept. */
const LOG_HEAD = 10;
const LOG_TAIL = 40;

/** The sweep looks so much after the time at which a message should have, at once or delayed. */
export const DUE_SLACK = minutes(3);

export const openedBy = (signal: Signal, id: string, remediation: string, now: Time): Incident => ({
  kind: 'incident',
  id,
  version: 0,
  target: signal.target.arn,
  remediation,
  state: 'open',
  because: signal.cause,
  signals: {
    count: 1,
    kind: signal.kind,
    cause: signal.cause,
    ...(signal.author === undefined ? {} : { author: signal.author }),
    firstAt: signal.at,
    lastAt: signal.at,
    lastEventId: signal.eventId,
  },
  looks: 0,
  openedAt: now,
  attempts: [],
  ...(signal.askedBy === undefined ? {} : { askedBy: signal.askedBy }),
  log: [{ at: now, what: 'signal', say: signal.cause }],
  dueAt: now + DUE_SLACK,
});

/** Adds a line unless it says what the last of its kind already said: looking again and seeing the same is not news. */
export const logged = (incident: Incident, at: Time, what: string, text: string): Incident => {
  const say = text.slice(0, 600);
  if (incident.log.findLast((l) => l.what === what)?.say === say) return incident;
  const log = [...incident.log, { at, what, say }];
  return {
    ...incident,
    log: log.length <= LOG_HEAD + LOG_TAIL ? log : [...log.slice(0, LOG_HEAD), ...log.slice(-LOG_TAIL)],
  };
};

export const withAttempt = (incident: Incident, attempt: Attempt): Incident => ({
  ...incident,
  attempts: incident.attempts.some((a) => a.n === attempt.n)
    ? incident.attempts.map((a) => (a.n === attempt.n ? attempt : a))
    : [...kept(incident.attempts), attempt],
});

/** Of what AWS put off, which is proven not to have been done, the latest are kept: an incident may stay open for months, its item is bounded. */
const LATEST_PUT_OFF = 12;
const kept = (attempts: readonly Attempt[]): readonly Attempt[] => {
  const putOff = attempts.filter((a) => a.outcome?.kind === 'transient');
  const latest = new Set(putOff.slice(-LATEST_PUT_OFF));
  return attempts.filter((a) => a.outcome?.kind !== 'transient' || latest.has(a));
};

/** Steps that differ only in key order are the same step. */
export const stepText = (step: Json): string => JSON.stringify(sorted(step));
const sorted = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v as Json)]),
  );
};
