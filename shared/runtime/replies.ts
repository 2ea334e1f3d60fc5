/** What a person answers to an incident, carried out: one transaction with version checks, decided anew when someone else wrote first. */
import { lookMessage, signalMessage } from '../../events/steward/signal.ts';
import type { Queue } from '../aws/queue.ts';
import { isNo, type No, type Ruling, undo } from '../core/answers.ts';
import { again, messageOf, NotFound, StewardError } from '../core/errors.ts';
import type { Incident } from '../core/incident.ts';
import { noChart, type Store } from '../core/store.ts';
import type { Time } from '../core/time.ts';
import { remediations } from '../remediations/index.ts';
import type { Done } from './answer.ts';
import { COUNTED } from './questions.ts';

/** What carrying out needs. */
export interface Desk {
  readonly store: Store;
  readonly now: () => Time;
  readonly newId: () => string;
  /** Without one, the sweep of the next minute sees that a look is due. */
  readonly queue?: Queue;
}
export type Outcome = Omit<Done, 'by' | 'at'>;
/** Decides on what the record says at the moment of writing. */
export type Rule<T = Incident> = (incident: Incident) => Ruling<T>;

/** A rule said no. */
export class Declined extends StewardError {
  override readonly name = 'Declined';
  readonly retry = 'never';
  readonly remedy: string;
  constructor({ no, remedy }: No) {
    super(no);
    this.remedy = remedy;
  }
}
export const granted = <T extends object>(ruling: Ruling<T>): T => {
  if (isNo(ruling)) throw new Declined(ruling);
  return ruling;
};

type Messages = Parameters<Queue['send']>[0];

/** Should the queue not take it, the incident's own time comes later: the command stands. */
export const queued = async (messages: Messages, { queue }: Desk): Promise<string> => {
  if (!queue) return 'it looks again within a minute';
  try {
    await queue.send(messages);
    return 'it looks again now';
  } catch (e) {
    if (!(e instanceof StewardError)) throw e;
    return `it looks again within 15 min (not at once: ${messageOf(e)})`;
  }
};

/** What waits for the target looks again at once. */
export const lookNow = (targets: readonly string[], cause: string, desk: Desk): Promise<string> => {
  const at = desk.now();
  const signals = [...new Set(targets)].map((arn) => {
    const [, , , region = '', account = ''] = arn.split(':');
    const target = { arn, region, account };
    return { body: signalMessage({ kind: 'target.changed', target, at, cause, eventId: `${cause}@${at}` }) };
  });
  return queued(signals, desk);
};

/** Where no message can be sent, the record says that a look is due. */
const dueNow = (incident: Incident, { queue, now }: Desk): Incident =>
  queue || incident.state === 'closed' ? incident : { ...incident, dueAt: now() };

export type Where = Pick<Incident, 'target' | 'id'>;

export const change = async ({ target, id }: Where, desk: Desk, rule: Rule, what: string): Promise<Outcome> => {
  const { ask } = await again(async () => {
    const [incident] = await desk.store.read({ kind: 'incident', target, id });
    if (!incident) throw new NotFound(`incident ${id} is gone`);
    await desk.store.write({ put: dueNow(granted(rule(incident)), desk) });
    return incident;
  });
  const next = await lookNow([target], `steward ${what} ${id}`, desk);
  return { incident: id, say: `${what}: ${ask?.plan ?? id}`, next: `${next}; see it: steward why ${id}` };
};

/** @param claim decides first, on the incident whose act is put back */
export const putBack = async (
  { target, id, remediation: name }: Where & Pick<Incident, 'remediation'>,
  by: string,
  desk: Desk,
  claim: Rule = (incident) => incident,
): Promise<Outcome> => {
  const remediation = remediations.find((r) => r.name === name);
  const rule = {
    canUndo: remediation?.undo !== undefined,
    noUndo: remediation?.noUndo ?? 'this version does not know how',
  };
  const newId = desk.newId();
  const doer = await again(async () => {
    const [[incident, chart], others] = await Promise.all([
      desk.store.read({ kind: 'incident', target, id }, { kind: 'chart', target }),
      desk.store.ofTarget(target, COUNTED),
    ]);
    if (!incident) throw new NotFound(`incident ${id} is gone`);
    const claimed = granted(claim(incident));
    const changed = granted(undo(claimed, { by, now: desk.now(), newId, remediation: rule, others }));
    const isNew = changed[0].version === 0;
    const base = chart ?? noChart(target);
    await desk.store.write(
      ...changed.map((put) => ({ put: dueNow(put, desk) })),
      ...(isNew ? [{ put: { ...base, open: { ...base.open, [name]: newId } } }] : []),
    );
    return changed[0];
  });
  const look = lookMessage({ target, remediation: name, incident: doer.id });
  const next =
    doer.id === newId ? await queued([{ body: look }], desk) : await lookNow([target], `steward undo ${id}`, desk);
  return {
    incident: doer.id,
    say: `asked to put back: ${doer.undoWanted?.attempt.plan}`,
    next: `incident ${doer.id} does it, if the guards let it, and ${next}: steward why ${doer.id}. So that it is not done again: steward pause ${target} --for 24h --reason '…'`,
  };
};
