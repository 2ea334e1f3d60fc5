/** Every minute: what is due is queued; every fifth, what no event reported. Nothing is decided here. */
import { lookMessage, signalMessage } from '../../events/steward/signal.ts';
import { messageOf, onlyConflict } from '../core/errors.ts';
import { uncoveredBy } from '../core/guards.ts';
import { once } from '../core/once.ts';
import type { Ports, Running } from '../core/ports.ts';
import type { Common, Known, Remediation, Scan } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { fraction, noteShift, zoneGroup } from '../core/storm.ts';
import { everythingIn, type Target } from '../core/target.ts';
import { minutes, seconds, type Time } from '../core/time.ts';
import type { ShiftNews } from '../core/zoneShifts.ts';
import { toldIn } from '../core/zoneTold.ts';
import { remediations } from '../remediations/index.ts';
import type { Wired } from './wire.ts';

/** Due incidents in one sweep: what is more waits a minute. */
const DUE_LIMIT = 2_000;
const SURVEY_EVERY = minutes(5);

export interface Swept {
  readonly due: number;
  /** Age of the oldest due time, in ms: how far behind the passes are. */
  readonly behind: number;
  readonly found: number;
  /** Surveys that could not be made, with the reason: unknown is not "nothing found". */
  readonly blind: readonly string[];
}

/** @param surveyNow also between the fifth minutes, for whoever invokes the function by hand */
export const sweep = async (deps: Wired, region: string, surveyNow = false): Promise<Swept> => {
  const now = deps.now();
  const due = await deps.store.due(now, DUE_LIMIT);
  await deps.queue.send(
    // While the passes are behind, each sweep sends the same again: the due time makes all but the first of them end there.
    due.map(({ id, dueAt, ...d }) => ({
      body: lookMessage({ target: d.target, remediation: d.remediation, incident: id, due: dueAt }),
    })),
  );
  const surveyed =
    surveyNow || now % SURVEY_EVERY < minutes(1) ? await survey(deps, region) : { signals: [], blind: [] };
  await deps.queue.send(spread(surveyed.signals));
  const oldest = Math.min(now, ...due.map((d) => d.dueAt));
  return { due: due.length, behind: now - oldest, found: surveyed.signals.length, blind: surveyed.blind };
};

/** What is routine comes one after the other until the next survey: nobody waits for it. */
const spread = (signals: readonly Signal[]): { body: string; delaySeconds?: number }[] => {
  const routine = signals.filter((s) => s.routine);
  const after = (n: number): number => Math.floor((n * SURVEY_EVERY) / seconds(1) / routine.length);
  return [
    ...signals.filter((s) => !s.routine).map((s) => ({ body: signalMessage(s) })),
    ...routine.map((s, n) => ({
      body: signalMessage({ ...s, at: s.at + seconds(after(n)) }),
      delaySeconds: after(n),
    })),
  ];
};

const survey = async (deps: Wired, region: string): Promise<{ signals: Signal[]; blind: string[] }> => {
  const everything = everythingIn({ account: deps.home, region });
  const common = onceEach(deps.common);
  let policySince: Known['policySince'] = {};
  const counted = await seen('instances', async () => {
    policySince = await census(await common.running(), deps);
    return [];
  });
  const toldOf = toldIn(deps.store, { account: deps.home, region });
  const known = { ...common, policySince, toldOf, releasesOf: releasesOf(deps) };
  const asked = async <T>(r: Remediation, ask: Asked<T>): Promise<readonly T[]> =>
    look(r, ask, { everything, known, deps });
  // Before anyone goes by them.
  const noted = await Promise.all(
    remediations
      .filter((r) => r.news)
      .map((r) => seen(r.name, async () => noting(await asked(r, (ports, at) => r.news?.(ports, at)), deps))),
  );
  const found = [
    counted,
    ...noted,
    ...(await Promise.all(
      remediations
        .filter((r) => r.survey)
        .map((r) => seen(r.name, async () => unknown(r, await asked(r, (ports, at) => r.survey?.(ports, at)), deps))),
    )),
  ];
  return { signals: found.flatMap((f) => f.signals), blind: found.flatMap((f) => f.blind) };
};

/** What could not be seen is said, and hides nothing else. */
const seen = async (name: string, ask: () => Promise<readonly Signal[]>) => {
  try {
    return { signals: await ask(), blind: [] };
  } catch (e) {
    return { signals: [], blind: [`${name}: ${messageOf(e)}`] };
  }
};

const onceEach = ({ firing, running, clusters }: Common): Common => ({
  firing: once(firing),
  running: once(running),
  clusters: once(clusters),
});

type Asked<T> = (ports: Ports, at: Scan<unknown>) => Promise<readonly T[]> | undefined;

const look = async <T>(
  r: Remediation,
  ask: Asked<T>,
  { everything, known, deps }: { readonly everything: Target; readonly known: Common & Known; readonly deps: Wired },
): Promise<readonly T[]> => {
  const settings = deps.policy.remediations[r.name];
  if (!settings || settings.mode === 'off') return [];
  const ports = await deps.reach(r, everything, { phase: 'look', touched: [] });
  const found = ask(ports, {
    ...known,
    now: deps.now(),
    options: settings.options,
    declared: deps.policy,
    tags: deps.policy.tags,
    uncovered: uncoveredBy(deps.policy),
  });
  return (await found) ?? [];
};

/** Someone else has just written the record: the next survey says it again. */
const noting = async (news: readonly ShiftNews[], { store }: Wired): Promise<readonly Signal[]> => {
  for (const n of news) await noteShift(store, n).catch(onlyConflict);
  return [];
};

const releasesOf =
  ({ store }: Wired): Known['releasesOf'] =>
  async (services) => {
    const found = await store.read(...services.map((target) => ({ kind: 'releases' as const, target })));
    return Object.fromEntries(found.flatMap((r) => (r ? [[r.target, r]] : [])));
  };

/** A zone's size is written down again when it has changed by more than this part. */
const CHANGED = 0.05;

/** How many instances run in each zone that are Steward's to mend: a storm in a zone is a part of them. And since when the policy is what it is. */
const census = async (running: readonly Running[], deps: Wired): Promise<Known['policySince']> => {
  const { store, policy } = deps;
  const zones = new Map<string, number>();
  for (const { zoneId, tags } of running)
    if (uncoveredBy(policy)(tags) === undefined) zones.set(zoneId, (zones.get(zoneId) ?? 0) + 1);
  const names = [...zones.keys()];
  const records = await store.read(...names.map((zone) => ({ kind: 'group' as const, id: zoneGroup(zone) })));
  const print = `${fraction(JSON.stringify(policy))}`;
  const now = deps.now();
  const since: Record<string, Time> = {};
  for (const [n, [zone, size]] of [...zones].entries()) {
    const record = records[n] ?? { kind: 'group' as const, id: zoneGroup(zone), version: 0, repairs: {} };
    const known = record.policy?.print === print ? record.policy : { print, since: now - (now % SURVEY_EVERY) };
    since[zone] = known.since;
    const isSame = record.size !== undefined && Math.abs(size - record.size) <= record.size * CHANGED;
    if (isSame && known === record.policy) continue;
    // Someone else has just written it: the next survey does.
    await store.write({ put: { ...record, size, policy: known } }).catch(onlyConflict);
  }
  return since;
};

/** Trouble that lasts although an incident ended says so again after an hour. */
const SAY_AGAIN: Time = minutes(60);

/** Signals that no incident of this remediation has heard of: those came by themselves. */
const unknown = async (r: Remediation, signals: readonly Signal[], deps: Wired): Promise<Signal[]> => {
  const news: Signal[] = [];
  for (const signal of signals) if (await isNews(r, signal, deps)) news.push(signal);
  return news;
};

const isNews = async (r: Remediation, signal: Signal, { store, now }: Wired): Promise<boolean> => {
  const target = signal.target.arn;
  // The chart names the open one, and after its end still.
  const [chart] = await store.read({ kind: 'chart', target });
  const id = chart?.open[r.name];
  const [named] = id === undefined ? [] : await store.read({ kind: 'incident', target, id });
  if (named !== undefined && named.state !== 'closed') return false;
  const past = (await store.ofTarget(target, 5)).filter((i) => i.remediation === r.name);
  return !past.some((i) => i.signals.lastEventId === signal.eventId && now() - (i.closedAt ?? 0) < SAY_AGAIN);
};
