/** Every minute: what is due is queued; every fifth, what no event reported. Nothing is decided here. */
import { lookMessage, signalMessage } from '../../events/steward/signal.ts';
import { messageOf } from '../core/errors.ts';
import { uncoveredBy } from '../core/guards.ts';
import type { Remediation } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { partitionOf, type Target, targetOf } from '../core/target.ts';
import { minutes, type Time } from '../core/time.ts';
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
  await deps.queue.send(surveyed.signals.map((s) => ({ body: signalMessage(s) })));
  const oldest = Math.min(now, ...due.map((d) => d.dueAt));
  return { due: due.length, behind: now - oldest, found: surveyed.signals.length, blind: surveyed.blind };
};

const survey = async (deps: Wired, region: string): Promise<{ signals: Signal[]; blind: string[] }> => {
  const everything = targetOf(`arn:${partitionOf(region)}:steward:${region}:${deps.home}:survey/all`);
  const found = await Promise.all(
    remediations.map(async (r) => {
      try {
        return { signals: await unknown(r, await look(r, everything, deps), deps), blind: [] };
      } catch (e) {
        return { signals: [], blind: [`${r.name}: ${messageOf(e)}`] };
      }
    }),
  );
  return { signals: found.flatMap((f) => f.signals), blind: found.flatMap((f) => f.blind) };
};

const look = async (r: Remediation, everything: Target, deps: Wired): Promise<readonly Signal[]> => {
  const settings = deps.policy.remediations[r.name];
  if (!r.survey || !settings || settings.mode === 'off') return [];
  const ports = await deps.reach(r, everything, { phase: 'look', touched: [] });
  return r.survey(ports, {
    now: deps.now(),
    options: settings.options,
    declared: deps.policy,
    tags: deps.policy.tags,
    uncovered: uncoveredBy(deps.policy),
  });
};

/** Trouble that lasts although an incident ended says so again after an hour. */
const SAY_AGAIN: Time = minutes(60);

/** Signals that no incident of this remediation has heard of: those came by themselves. */
const unknown = async (r: Remediation, signals: readonly Signal[], deps: Wired): Promise<Signal[]> => {
  const news: Signal[] = [];
  for (const signal of signals) {
    const target = signal.target.arn;
    const past = (await deps.store.ofTarget(target, 5)).filter((i) => i.remediation === r.name);
    // An open one may be older than the latest five of the target; its chart names it, and after its end still.
    const [chart] = await deps.store.read({ kind: 'chart', target });
    const id = chart?.open[r.name];
    const [named] = id === undefined ? [] : await deps.store.read({ kind: 'incident', target, id });
    const open = named !== undefined && named.state !== 'closed';
    const heard = past.some(
      (i) => i.signals.lastEventId === signal.eventId && deps.now() - (i.closedAt ?? 0) < SAY_AGAIN,
    );
    if (!open && !heard) news.push(signal);
  }
  return news;
};
