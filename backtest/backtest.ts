/**
 * Past events through the very same Steward: each account and region is a world on a fake clock, in which a signal's target has the trouble that the
 * signal names, and the engine, its guards and the policy do what they would do. Nothing is called but that world.
 */
import { reports } from '../shared/core/documents.ts';
import type { Incident } from '../shared/core/incident.ts';
import type { Policy } from '../shared/core/policy.ts';
import type { Signal } from '../shared/core/signal.ts';
import { minutes, type Time } from '../shared/core/time.ts';
import { createClock } from '../world/clock.ts';
import { addDocument } from '../world/documents.ts';
import { runSteward } from '../world/steward.ts';
import { createWorld } from '../world/world.ts';
import type { PastEvent } from './past.ts';
import { type Estate, presume } from './patients.ts';

const STAGE = 'backtest';
/** After an event the world runs on for so long, unless the next comes before. What waits for a person then is presumed to be dealt with. */
const AFTERMATH = minutes(45);

export interface Case {
  readonly at: Time;
  readonly from: string;
  readonly target: string;
  readonly kind: string;
  readonly cause: string;
  readonly presumed: string;
  /** None: no remediation answers it, or the target could not be presumed. */
  readonly incident?: {
    readonly remediation: string;
    readonly state: Incident['state'];
    readonly end?: Incident['end'];
    readonly because: string;
    readonly did: readonly string[];
    /** Each guard that refused, with its reason. */
    readonly refused: readonly { readonly guard: string; readonly because: string }[];
    readonly asked?: string;
  };
}

export interface Backtest {
  readonly events: number;
  readonly from?: Time;
  readonly to?: Time;
  /** Understood, and nothing to Steward: by reason. */
  readonly ignored: Readonly<Record<string, number>>;
  readonly unread: readonly { readonly from: string; readonly because: string }[];
  readonly cases: readonly Case[];
}

const count = (reasons: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const reason of reasons) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
};

interface Told {
  readonly past: PastEvent;
  readonly signal: Signal;
}

const WAITS: readonly Incident['state'][] = ['open', 'acting', 'waiting'];

/** One account and region, from its first event to its last. */
const runPlace = async (told: readonly Told[], policy: Policy, estate: Estate): Promise<readonly Case[]> => {
  const [first] = told;
  if (!first) return [];
  const { account, region } = first.signal.target;
  const zoneIds = ['az1', 'az2', 'az3'].map((az) => `${region}-${az}`);
  const world = createWorld({ account, region, zoneIds, clock: createClock(first.past.at), metrics: false });
  for (const name of Object.keys(reports)) addDocument(world, `steward-${STAGE}-${name}`);
  const steward = runSteward(world, { policy, stage: STAGE });
  const presumedTags = policy.scope === 'tagged' ? { [policy.tags.managed]: 'true' } : {};
  const ended = new Map<string, Pick<Case, 'incident'>>();
  /** As it stands goes into the answer; then it is over, as if somebody had seen to it. */
  const dealtWith = async (): Promise<void> => {
    for (const i of steward.incidents().filter((x) => x.state !== 'closed')) {
      ended.set(i.id, summary(i));
      await steward.store.write({ put: { ...i, state: 'closed', end: 'gone', closedAt: world.clock.now() } });
    }
  };
  const cases: { case: Case; ids: readonly string[] }[] = [];
  const busy = (): boolean => steward.isBusy() || steward.incidents().some((i) => WAITS.includes(i.state));
  for (const [n, { past, signal }] of told.entries()) {
    const gap = past.at - world.clock.now();
    if (gap > 0) await steward.run(Math.min(gap, AFTERMATH), () => !busy());
    if (past.at > world.clock.now()) {
      await dealtWith();
      await steward.run(past.at - world.clock.now(), () => false, Number.POSITIVE_INFINITY);
    }
    const presumed = presume(world, signal, estate, presumedTags);
    const known = new Set(steward.incidents().map((i) => i.id));
    const heard = steward.incidents().map((i) => `${i.id}/${i.signals.count}`);
    if (told[n - 1]?.past !== past) steward.deliver(JSON.stringify(past.event));
    await steward.run(minutes(1), () => !busy());
    const ids = steward
      .incidents()
      .filter(
        (i) => i.target === signal.target.arn && (!known.has(i.id) || !heard.includes(`${i.id}/${i.signals.count}`)),
      )
      .map((i) => i.id);
    cases.push({
      ids,
      case: {
        at: past.at,
        from: past.from,
        target: signal.target.arn,
        kind: signal.kind,
        cause: signal.cause,
        presumed: presumed?.say ?? 'nothing could be presumed of it',
      },
    });
  }
  await steward.run(AFTERMATH, () => !busy());
  const incidents = new Map(steward.incidents().map((i) => [i.id, i]));
  return cases.flatMap(({ case: c, ids }) =>
    ids.length === 0 ? [c] : ids.flatMap((id) => ({ ...c, ...(ended.get(id) ?? summary(incidents.get(id))) })),
  );
};

/** 'budget refused to grow …: 2 of 10 … To allow it: …' as the incident's log has it. */
const REFUSED = /^(\S+) refused to .*?: (.*)\. To allow it: /s;

const summary = (i: Incident | undefined): Pick<Case, 'incident'> => {
  if (!i) return {};
  const refused = i.log.flatMap((l) => {
    const [, guard, because] = (l.what === 'refused' && REFUSED.exec(l.say)) || [];
    return guard && because ? [{ guard, because }] : [];
  });
  return {
    incident: {
      remediation: i.remediation,
      state: i.state,
      ...(i.end === undefined ? {} : { end: i.end }),
      because: i.because,
      did: i.attempts.map((a) => a.plan),
      refused,
      ...(i.ask === undefined ? {} : { asked: i.ask.plan }),
    },
  };
};

/** @param estate what is known of the account's resources; what is not is presumed to carry the opt-in tag */
export const backtest = async (past: readonly PastEvent[], policy: Policy, estate: Estate = {}): Promise<Backtest> => {
  const told = past.flatMap((p) =>
    p.readings.flatMap((r) =>
      'signals' in r ? r.signals.filter((s) => s.kind !== 'target.changed').map((signal) => ({ past: p, signal })) : [],
    ),
  );
  const places = Map.groupBy(told, ({ signal: { target } }) => `${target.account}/${target.region}`);
  const cases: Case[] = [];
  for (const place of places.values()) cases.push(...(await runPlace(place, policy, estate)));
  const nothing = past
    .flatMap((p) => (p.unread === undefined ? p.readings : []))
    .flatMap((r) => ('ignored' in r ? [r.ignored] : []));
  return {
    events: past.length,
    ...(past[0] ? { from: past[0].at, to: past.at(-1)?.at ?? past[0].at } : {}),
    ignored: count(nothing),
    unread: past.flatMap((p) => (p.unread === undefined ? [] : [{ from: p.from, because: p.unread }])),
    cases: cases.sort((a, b) => a.at - b.at),
  };
};

export interface Difference {
  readonly at: Time;
  readonly target: string;
  readonly kind: string;
  readonly before: string;
  readonly after: string;
}

/** What became of a case, in one line. */
export const cameTo = ({ incident }: Case): string => {
  if (!incident) return 'nothing';
  const did = incident.did.length > 0 ? `did: ${incident.did.join(', then ')}` : '';
  const held = incident.refused.at(-1);
  const not = held && incident.state !== 'closed' ? `${held.guard} refused: ${held.because}` : '';
  const end = incident.state === 'closed' ? (incident.end ?? 'closed') : incident.state;
  return [`${incident.remediation}: ${end}`, did, not || (did ? '' : incident.because)].filter(Boolean).join('; ');
};

/** Cases that come to something else under another policy. Both must be of the same events. */
export const differences = (before: Backtest, after: Backtest): readonly Difference[] => {
  const keyOf = (c: Case) => `${c.from} ${c.target} ${c.kind} ${c.incident?.remediation ?? ''}`;
  const others = new Map(after.cases.map((c) => [keyOf(c), c]));
  return before.cases.flatMap((c) => {
    const other = others.get(keyOf(c));
    const [a, b] = [cameTo(c), other ? cameTo(other) : 'nothing'];
    return a === b ? [] : [{ at: c.at, target: c.target, kind: c.kind, before: a, after: b }];
  });
};
