/** What must hold at the end, after nothing failed for an hour and a half. */
import type { Incident } from '../../shared/core/incident.ts';
import { hours, iso, minutes } from '../../shared/core/time.ts';
import type { Account } from './account.ts';
import { kindOf, modelRemediations } from './clinic.ts';
import type { MessageQueue } from './engine.ts';

/** Nothing failed for the last hour and a half: every trouble has ended, or a person knows, or it waits for a time that is written down. */
export const checkEnd = (a: Account, queue: MessageQueue): void => {
  const incidents = [...a.store.records.values()].filter((r): r is Incident => r.kind === 'incident');
  for (const i of incidents.filter((x) => x.state !== 'closed')) checkOpen(a, i);
  checkTroubles(a, incidents);
  checkHeldUp(a, incidents);
  checkLedgers(a);
  const looks = Map.groupBy(
    queue.waiting().filter((m) => m.includes('"look"')),
    (m) => (JSON.parse(m) as { incident: string }).incident,
  );
  for (const [id, messages] of looks)
    a.witness.check(
      messages.length <= 3,
      'looks-do-not-multiply',
      () => `${messages.length} looks under way for ${id}`,
    );
};

const checkOpen = (a: Account, i: Incident): void => {
  const { witness, store, schedule } = a;
  const wall = schedule.wall();
  const say = () => `${i.id} (${i.remediation} of ${i.target}) is ${i.state}, due ${iso(i.dueAt)}, at ${iso(wall)}`;
  witness.check(i.state !== 'open' && i.state !== 'acting', 'ends', say);
  witness.check(i.dueAt > wall - minutes(5), 'looked-at-when-due', say);
  witness.check(i.dueAt < wall + hours(26), 'waits-are-bounded', say);
  const chart = store.records.get(`target ${i.target}`);
  const named = chart?.kind === 'chart' && chart.open[i.remediation] === i.id;
  witness.check(named, 'no-incident-is-lost', () => `${i.id} is open, but its target's chart does not name it`);
  const reserved = i.attempts.at(-1)?.reservedAt ?? i.openedAt;
  witness.check(i.state !== 'waiting' || wall - reserved < minutes(60), 'waits-are-bounded', say);
  const p = a.clinic.patients.find((x) => x.arn === i.target);
  // Looked at every 15 min, unless what refused it named a later time.
  const since = i.dueAt - wall < minutes(30);
  const over = p === undefined || !p.exists || a.clinic.isHealthy(p, kindOf(i.remediation));
  // Who asked for something to be put back is owed an answer, healthy or not.
  const owed = i.undoWanted !== undefined;
  witness.check(!over || !since || owed || i.state === 'waiting', 'what-is-over-is-closed', say);
};

const checkTroubles = (a: Account, incidents: readonly Incident[]): void => {
  const open = new Set(incidents.filter((i) => i.state !== 'closed').map((i) => `${i.target}/${i.remediation}`));
  for (const p of a.clinic.patients.filter((x) => x.exists && !x.stopped && a.witness.inScope(x)))
    for (const r of modelRemediations) {
      const kind = kindOf(r.name);
      const { ill, since } = p.ailments[kind];
      if (!ill || a.rules.policy.remediations[r.name]?.mode === 'off') continue;
      const told = a.heard.has(a.clinic.signalOf(p, kind).eventId);
      // Closed as none of Steward's business meanwhile: only a survey brings it back.
      const dismissed = incidents.some(
        (i) => i.target === p.arn && i.remediation === r.name && i.end !== 'healthy' && (i.closedAt ?? 0) >= since,
      );
      if (!a.hasSurvey && (!told || dismissed)) continue;
      a.witness.check(
        open.has(`${p.arn}/${r.name}`),
        'no-trouble-is-lost',
        () => `${p.arn} has ${kind} since ${iso(since)}, and nobody is at it`,
      );
    }
};

/** What an incident held that is over, or with a person, holds up nobody. */
const checkHeldUp = (a: Account, incidents: readonly Incident[]): void => {
  const groupOf = (i: Incident): string | undefined => a.clinic.patients.find((p) => p.arn === i.target)?.group;
  for (const i of incidents.filter((x) => x.state === 'refused')) {
    const atWork = incidents.filter(
      (o) => o.id !== i.id && o.state !== 'closed' && o.state !== 'escalated' && o.attempts.length > 0,
    );
    const by = {
      'budget:': (o: Incident) => groupOf(o) === groupOf(i),
      'lease: ': (o: Incident) => o.target === i.target,
    }[i.because.slice(0, 7)];
    a.witness.check(!by || atWork.some(by), 'nobody-is-held-up-by-the-dead', () => `${i.id} is refused: ${i.because}`);
  }
};

const checkLedgers = (a: Account): void => {
  for (const r of a.store.records.values()) {
    if (r.kind !== 'ledger') continue;
    const spent = a.witness.spent(r.remediation, Date.parse(`${r.month}-15T00:00:00Z`));
    a.witness.check(
      r.usdPerMonth >= spent - 1e-6,
      'every-cost-is-booked',
      () => `${r.remediation} ${r.month}: ${r.usdPerMonth} booked, ${spent} spent`,
    );
    const same = Math.abs(r.usdPerMonth - spent) < 1e-6;
    a.witness.check(
      same || !a.faultless,
      'every-cost-is-booked',
      () => `${r.remediation} ${r.month}: ${r.usdPerMonth} booked, ${spent} spent`,
    );
  }
};
