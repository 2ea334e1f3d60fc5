/** What `steward status`, `incidents` and `parked list` show. */
import { inForce } from '../core/answers.ts';
import { NotFound } from '../core/errors.ts';
import type { Incident, Snooze } from '../core/incident.ts';
import type { Parked, Pause } from '../core/store.ts';
import { days, iso, type Time } from '../core/time.ts';
import { remediations } from '../remediations/index.ts';
import type { AnswerDeps, Question } from './answer.ts';
import { type ChannelHealth, channels } from './channelHealth.ts';
import { namedTarget } from './why.ts';

/** An incident in one line. Times are milliseconds since 1970. */
export interface Line
  extends Pick<
    Incident,
    'id' | 'target' | 'remediation' | 'state' | 'end' | 'because' | 'remedy' | 'group' | 'openedAt' | 'closedAt'
  > {
  readonly attempts: number;
  /** What a person is asked to allow. */
  readonly asks?: { readonly plan: string; readonly until: Time };
  readonly snooze?: Snooze;
}
export interface Status {
  readonly stage: string;
  readonly account: string;
  readonly region: string;
  readonly at: Time;
  readonly pauses: readonly Pause[];
  readonly open: Readonly<Partial<Record<Incident['state'], number>>>;
  /** There are more than were counted. */
  readonly more: boolean;
  /** Those that wait for a person. */
  readonly waiting: readonly Line[];
  /** Those that a person put off. */
  readonly snoozed: readonly Line[];
  readonly parked: number;
  /** Those that messages do not reach. */
  readonly failing: readonly ChannelHealth[];
  readonly remediations: readonly { readonly name: string; readonly title: string; readonly mode: string }[];
}
/** So many open incidents, or of one target or day, are read. */
export const COUNTED = 500;
export const PARKED_LIMIT = 100;
/** Characters of a parked event that a list shows: a hundred whole ones are more than Lambda answers. */
const SHOWN = 500;

const lineOf = (i: Incident): Line => ({
  id: i.id,
  target: i.target,
  remediation: i.remediation,
  state: i.state,
  ...(i.end === undefined ? {} : { end: i.end }),
  because: i.because,
  ...(i.remedy === undefined ? {} : { remedy: i.remedy }),
  ...(i.group === undefined ? {} : { group: i.group }),
  openedAt: i.openedAt,
  ...(i.closedAt === undefined ? {} : { closedAt: i.closedAt }),
  attempts: i.attempts.length,
  ...(i.ask && i.state === 'asking' ? { asks: { plan: i.ask.plan, until: i.ask.until } } : {}),
  ...(i.snooze ? { snooze: i.snooze } : {}),
});

export const status = async (deps: AnswerDeps): Promise<Status> => {
  const at = deps.now();
  const [[switches], open, unread, told] = await Promise.all([
    deps.store.read({ kind: 'switches' }),
    deps.store.open(COUNTED),
    deps.store.parked(PARKED_LIMIT),
    channels(deps),
  ]);
  const counts: Partial<Record<Incident['state'], number>> = {};
  for (const { state } of open) counts[state] = (counts[state] ?? 0) + 1;
  return {
    stage: deps.stage,
    account: deps.home,
    region: deps.region,
    at,
    pauses: switches ? inForce(switches, at) : [],
    open: counts,
    more: open.length === COUNTED,
    waiting: open.filter((i) => i.state === 'asking' || i.state === 'escalated').map(lineOf),
    snoozed: open.filter((i) => i.state === 'snoozed').map(lineOf),
    parked: unread.length,
    failing: told.filter((c) => c.failing),
    remediations: remediations.map((r) => ({
      name: r.name,
      title: r.title,
      mode: deps.policy.remediations[r.name]?.mode ?? 'off',
    })),
  };
};

export const list = async (q: Extract<Question, { do: 'incidents' }>, deps: AnswerDeps): Promise<Line[]> => {
  const isWanted = (i: Incident): boolean =>
    (q.group === undefined || i.group === q.group) && (q.days === undefined) === (i.state !== 'closed');
  if (q.target !== undefined) {
    const since = deps.now() - days(q.days ?? 0);
    const all = await deps.store.ofTarget(namedTarget(q.target, deps).arn, COUNTED);
    return all
      .filter((i) => isWanted(i) && (i.closedAt ?? deps.now()) >= since)
      .slice(0, q.limit)
      .map(lineOf);
  }
  if (q.days === undefined) return (await deps.store.open(COUNTED)).filter(isWanted).slice(0, q.limit).map(lineOf);
  const found: Incident[] = [];
  for (let back = 0; back < q.days && found.length < q.limit; back++) {
    const day = iso(deps.now() - days(back)).slice(0, 10);
    found.push(...(await deps.store.closed(day, COUNTED)).filter(isWanted));
  }
  return found.slice(0, q.limit).map(lineOf);
};

/** All in short, or one whole. @throws NotFound */
export const parked = async (id: string | undefined, deps: AnswerDeps): Promise<readonly Parked[]> => {
  const all = await deps.store.parked(PARKED_LIMIT);
  if (id === undefined)
    return all.map((p) => (p.body.length > SHOWN ? { ...p, body: `${p.body.slice(0, SHOWN)}…` } : p));
  const found = all.filter((p) => p.id === id);
  if (found.length === 0) throw new NotFound(`no event is parked as ${id}; \`steward parked list\` shows what is`);
  return found;
};
