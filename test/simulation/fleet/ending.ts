/** What must hold at the end, after nothing failed for a while. */
import type { Incident } from '../../../shared/core/incident.ts';
import { iso, minutes } from '../../../shared/core/time.ts';
import { instanceArn } from '../../../world/arns.ts';
import type { FleetAccount } from './account.ts';
import type { Patient } from './fleet.ts';

const TOLD: readonly Incident['state'][] = ['escalated', 'asking', 'snoozed', 'refused'];

const openOnes = (a: FleetAccount): Incident[] =>
  [...a.store.records.values()].filter((r): r is Incident => r.kind === 'incident' && r.state !== 'closed');

/** Nothing is under way any more, and what is not well has been told: there is nothing left to wait for. */
export const isSettled = (a: FleetAccount): boolean => {
  const isTold = (i: Incident): boolean => i.state === 'escalated' || i.state === 'asking';
  return openOnes(a).every(isTold) && lostOnes(a).length === 0;
};

export const checkEnd = (a: FleetAccount): void => {
  const open = openOnes(a);
  for (const i of open) checkOpen(a, i);
  for (const [id, by] of a.witness.stoppedBy) if (by === 'steward') checkStopped(a, id, open);
};

const checkOpen = (a: FleetAccount, i: Incident): void => {
  const { witness, store, schedule } = a;
  const wall = schedule.wall();
  const say = () => `${witness.say(i)}, at ${iso(wall)}`;
  // A zone comes back over hours, and what waits for it with it.
  const isZonal = /\bis (SUSPECT|IMPAIRED|RECOVERING)\b/.test(i.because);
  witness.check((i.state !== 'open' || isZonal) && i.state !== 'acting', 'ends', say);
  witness.check(i.dueAt > wall - minutes(5), 'looked-at-when-due', say);
  const chart = store.records.get(`target ${i.target}`);
  witness.check(chart?.kind === 'chart' && chart.open[i.remediation] === i.id, 'no-incident-is-lost', say);
  // Auto Scaling's hooks and EBS's optimizing may take hours; everything else has its limit.
  const since = Math.max(i.attempts.at(-1)?.reservedAt ?? 0, i.openedAt, i.signals.lastAt);
  const isLong = /Auto Scaling|AWS takes no further change/.test(i.because);
  witness.check(i.state !== 'waiting' || isLong || isZonal || wall - since < minutes(75), 'waits-are-bounded', say);
};

/** Those whose trouble is neither over, nor known to a person, nor none of Steward's business. */
export const lostOnes = (a: FleetAccount): readonly Patient[] => {
  const { witness, policy } = a;
  const open = openOnes(a);
  const isLatest = (p: Patient): boolean =>
    a.patients.findLast((o) => o.arn === p.arn && o.remediation === p.remediation) === p;
  const isOurs = ({ arn, remediation }: Patient): boolean =>
    witness.inScope(arn) && policy.remediations[remediation]?.mode !== 'off';
  const wasHeard = ({ toldBy }: Patient): boolean => toldBy === undefined || a.heard.has(toldBy);
  const isKnown = (p: Patient): boolean => open.some((i) => i.target === p.arn);
  // Who had the repair put back knows what he has put back.
  const latest = ({ arn, remediation }: Patient): Incident | undefined =>
    [...a.store.records.values()]
      .filter((r) => r.kind === 'incident')
      .findLast((i) => i.target === arn && i.remediation === remediation);
  const wasPutBack = (p: Patient): boolean => latest(p)?.end === 'undone';
  return a.patients.filter(
    (p) => isLatest(p) && p.isIll() && isOurs(p) && wasHeard(p) && !isKnown(p) && !wasPutBack(p),
  );
};

const checkStopped = (a: FleetAccount, id: string, open: readonly Incident[]): void => {
  const state = a.world.ec2.instances.get(id)?.state;
  if (state !== 'stopped' && state !== 'stopping') return;
  const arn = instanceArn(a.world, id);
  const known = open.some((i) => i.target === arn && TOLD.includes(i.state));
  a.witness.check(known, 'what-was-stopped-is-started', () => `${id} is left ${state}, and nobody is told`);
};
