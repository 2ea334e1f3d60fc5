/** People: they stop and resume, say yes and no (late, at times), and want something undone. */
import { lookMessage } from '../../events/steward/signal.ts';
import { type Incident, stepText } from '../../shared/core/incident.ts';
import { noChart, type Pause } from '../../shared/core/store.ts';
import { targetOf } from '../../shared/core/target.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { openedByWish } from '../../shared/core/wish.ts';
import type { Random } from '../../world/random.ts';
import type { Engine, MessageQueue } from './engine.ts';

/** What they deal with, and who is told of it. */
export interface Crowd extends Engine {
  readonly witness: Engine['witness'] & {
    readonly approved: (yes: { incident: string; step: string; by: string; until: number }) => void;
    readonly denied: (no: { incident: string; step: string; until: number }) => void;
    readonly paused: (pause: Pause) => void;
  };
}

export const PEOPLE = ['anna', 'ben', 'cleo'] as const;

/** A person's write: read, think, write, under the version that was read. @returns whether it was written */
const answerAs = async (a: Crowd, id: string, change: (i: Incident) => Incident | undefined): Promise<boolean> => {
  const found = [...a.store.records.values()].find((r): r is Incident => r.kind === 'incident' && r.id === id);
  if (!found || found.state === 'closed') return false;
  const next = change(structuredClone(found));
  if (!next) return false;
  await a.store.write({ put: next });
  a.witness.committed([{ put: next }], { id: 0, what: 'person', since: 0, dead: false, die: () => {} });
  return true;
};

export const setSwitches = async (a: Crowd, pauses: readonly Pause[]): Promise<void> => {
  const [known] = await a.store.read({ kind: 'switches' });
  await a.store.write({ put: { kind: 'switches', version: known?.version ?? 0, pauses } });
};

/** Within the second, while a pass is on its way from its look to its step. */
export const interrupt = (a: Crowd, random: Random): void =>
  a.schedule.after(random.integer(600), async () => {
    const at = a.schedule.wall();
    const pause: Pause = { scope: 'all', by: 'anna', why: 'wait', at, until: at + minutes(2) };
    const [known] = await a.store.read({ kind: 'switches' });
    await setSwitches(a, [...(known?.pauses ?? []), pause]);
    a.witness.paused(pause);
    a.note(() => 'anna stops everything for two minutes');
  });

export const pauseOf = ({ schedule }: Crowd, random: Random, by: string, scopes: readonly Pause['scope'][]): Pause => {
  const at = schedule.wall();
  const until = random.chance(0.5) ? { until: at + random.integer(minutes(30)) } : {};
  return { scope: random.pick(scopes), by, why: 'a deploy', at, ...until };
};

const subjectOf = ({ target, remediation }: Incident): string => `${remediation} ${target}`;

/** Says yes or no to what was asked when it was read: by the time of the answer, another step may be asked. */
export const answerAsk = (a: Crowd, queue: MessageQueue, random: Random, by: string): void => {
  const asked = [...a.witness.incidents.values()].filter((i) => i.ask && i.state !== 'closed');
  if (asked.length === 0) return;
  const incident = random.choose(asked, subjectOf);
  const ask = incident.ask as NonNullable<Incident['ask']>;
  const step = stepText(ask.step);
  const yes = random.chance(0.75);
  a.schedule.after(random.chance(0.2) ? random.integer(minutes(20)) : 1000, async () => {
    const at = a.schedule.wall();
    const until = yes ? ask.until : at + hours(24);
    a.note(() => `${by} says ${yes ? 'yes' : 'no'} to ${step} of ${incident.id}`);
    const written = await answerAs(a, incident.id, (i) => {
      const { denied: _d, approval: _a, ...rest } = i;
      return yes ? { ...rest, approval: { by, at, step, until } } : { ...rest, denied: { step, by, until } };
    });
    if (!written) return;
    if (yes) a.witness.approved({ incident: incident.id, step, by, until });
    else a.witness.denied({ incident: incident.id, step, until });
    queue.take(lookMessage({ target: incident.target, remediation: incident.remediation, incident: incident.id }), 0);
  });
};

/** More of something, for a time. */
export const askMore = async (
  a: Crowd,
  queue: MessageQueue,
  by: string,
  { arn, to, ms }: { arn: string; to: number; ms: number },
): Promise<void> => {
  const at = a.schedule.wall();
  const wish = { by, at, to, until: at + ms, why: 'we are on television' };
  const signal = {
    kind: 'capacity.wanted' as const,
    target: targetOf(arn),
    at,
    cause: 'a wish',
    eventId: `wish@${at}`,
  };
  const [chart = noChart(arn)] = await a.store.read({ kind: 'chart', target: arn });
  if (chart.open['overload'] !== undefined) return;
  const incident = openedByWish(a.newId(), 'overload', signal, wish);
  await a.store.write({ put: incident }, { put: { ...chart, open: { ...chart.open, overload: incident.id } } });
  a.witness.committed([{ put: incident }], { id: 0, what: 'person', since: 0, dead: false, die: () => {} });
  a.note(() => `${by} wants ${to} of ${arn}`);
  queue.take(lookMessage({ target: arn, remediation: 'overload', incident: incident.id }), 0);
};

export const askUndo = async (a: Crowd, queue: MessageQueue, random: Random, by: string): Promise<void> => {
  const done = [...a.witness.incidents.values()].filter(
    (i) => i.state !== 'closed' && !i.undoWanted && i.attempts.some((x) => x.outcome?.kind === 'done' && !x.undoes),
  );
  if (done.length === 0) return;
  const { id, target, remediation } = random.choose(done, subjectOf);
  const written = await answerAs(a, id, (i) => {
    const attempt = i.attempts.findLast((x) => x.outcome?.kind === 'done' && !x.undoes);
    return attempt && { ...i, undoWanted: { by, at: a.schedule.wall(), attempt } };
  });
  if (written) a.note(() => `${by} wants ${id} undone`);
  if (written) queue.take(lookMessage({ target, remediation, incident: id }), 0);
};
