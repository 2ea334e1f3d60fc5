/** Not now: what it holds back, what it lets through, and that it ends. */
import fc from 'fast-check';
import { approve, deny, isNo } from '../../shared/core/answers.ts';
import { findings, isRefusal } from '../../shared/core/guards.ts';
import { type Incident, type State, stepText } from '../../shared/core/incident.ts';
import { SNOOZE_LIMIT, snooze, snoozeOf, woken } from '../../shared/core/snooze.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { breakDisk } from '../../world/fleet.ts';
import { createDesk } from '../cli/desk.ts';
import { anIncident, aProposal, NOW } from '../core/proposal.ts';

const by = 'arn:aws:iam::111122223333:user/alice';
const step = { do: 'grow', toGiB: 30 };
const asking: Incident = {
  ...anIncident,
  state: 'asking',
  ask: { step, rung: 'grow /', plan: 'grow /', because: 'full', since: NOW - minutes(5), until: NOW + hours(1) },
};
const given = { by, now: NOW, until: NOW + hours(2), why: 'after the release' };
const granted = (incident: Incident): Incident => {
  const ruling = snooze(incident, given);
  if (isNo(ruling)) throw new Error(ruling.no);
  return ruling;
};

describe('what may be snoozed', () => {
  test.each([
    ['asking', true],
    ['escalated', true],
    ['snoozed', true],
    ['open', false],
    ['acting', false],
    ['waiting', false],
    ['refused', false],
    ['closed', false],
  ] as [State, boolean][])('%s: %s', (state, may) => {
    const ruling = snooze({ ...asking, state }, given);
    expect(isNo(ruling)).toBe(!may);
    if (isNo(ruling)) expect(ruling.remedy).not.toBe('');
  });

  test('no longer than a week, and not into the past', () => {
    fc.assert(
      fc.property(fc.integer({ min: -SNOOZE_LIMIT, max: 2 * SNOOZE_LIMIT }), (ms) => {
        const until = NOW + ms;
        expect(isNo(snooze(asking, { ...given, until }))).toBe(ms <= 0 || ms > SNOOZE_LIMIT);
      }),
    );
  });

  test('it takes back a yes whose step has not begun, and says so', () => {
    const yes = approve(asking, { by: 'arn:aws:iam::111122223333:user/bob', now: NOW, step: stepText(step) });
    const put = granted(yes as Incident);
    expect(put.approval).toBeUndefined();
    expect(put.log.at(-1)?.say).toMatch(/takes back the yes of .*user\/bob/);
  });

  test('a yes or a no ends it, as long as it lasts', () => {
    for (const answer of [approve, deny]) {
      const late = answer(granted(asking), { by, now: NOW + hours(2) - 1, step: stepText(step) });
      expect(isNo(late)).toBe(false);
      expect((late as Incident).snooze).toBeUndefined();
    }
  });

  test('when it is over the question is no longer the old one', () => {
    expect(woken(granted(asking), NOW + hours(2) - 1).ask).toBeDefined();
    const after = woken(granted(asking), NOW + hours(2));
    expect(after).toMatchObject({ log: [{ what: 'answer' }, { say: `the snooze of ${by} is over` }] });
    expect(after.ask ?? after.snooze).toBeUndefined();
    expect(snoozeOf(after, NOW)).toBeUndefined();
  });
});

describe('the guard', () => {
  const refusedBy = (over: Partial<typeof aProposal>): string | undefined =>
    findings({ ...aProposal, incident: granted(asking), ...over }).find(isRefusal)?.guard;
  test('holds back what is new', () => expect(refusedBy({})).toBe('snooze'));
  test('not what finishes or puts back', () => {
    expect(refusedBy({ act: { ...aProposal.act, continues: true } })).not.toBe('snooze');
    expect(refusedBy({ undoes: 1 })).not.toBe('snooze');
  });
  test('not when it is over', () => expect(refusedBy({ now: NOW + hours(2) })).not.toBe('snooze'));
});

describe('in the world', () => {
  const GiB = 2 ** 30;
  const asked = async () => {
    const desk = createDesk({ policy: { remediations: { 'full-disk': { mode: 'ask' } } } });
    const id = desk.account.fleet.web[0]?.id ?? '';
    await desk.account.run(minutes(4));
    breakDisk(desk.account.world, id, { path: '/', usedPercent: 88, cleanableBytes: 3 * GiB });
    const incident = () => desk.account.incidentOf(id);
    await desk.account.run(minutes(20), () => incident()?.state === 'asking');
    return { ...desk, id, incident, incidentId: incident()?.id ?? '' };
  };
  const bob = (s: Awaited<ReturnType<typeof asked>>) =>
    s.steward('bob')('snooze', s.incidentId, '--for', '2h', '--reason', 'after the release');

  test('nobody is asked until then, nothing is done; then it is asked anew, approved and healed', async () => {
    const s = await asked();
    const first = s.incident()?.ask?.since ?? 0;
    const done = await bob(s);
    expect(done).toMatchObject({ code: 0, err: '' });
    expect(done.out).toMatch(/snoozed until .*: after the release[\s\S]*nobody is told before then/);
    const until = s.incident()?.snooze?.until ?? 0;
    const looks = s.incident()?.looks ?? 0;

    const states = new Set<string>();
    await s.account.run(hours(2) - minutes(1), () => !states.add(s.incident()?.state ?? ''));
    expect([...states]).toEqual(['snoozed']);
    const status = (await s.steward('alice')('status')).out;
    expect(status).toMatch(/Nothing waits for a person.\n1 snoozed:\n.*full-disk.*snoozed.*by bob: after the release/);
    const why = (await s.steward('alice')('why', s.id)).out;
    expect(why).toMatch(/snoozed .*until .* UTC, by bob: after the release/);
    expect(why).toMatch(/✗ {2}snooze .*bob snoozed it until/);

    await s.account.run(minutes(10), () => s.incident()?.state === 'asking');
    expect(s.incident()).toMatchObject({ state: 'asking', attempts: [] });
    expect(s.incident()?.looks).toBeGreaterThan(looks);
    expect(s.incident()?.ask?.since).toBeGreaterThanOrEqual(until);
    expect(s.incident()?.ask?.since).toBeLessThan(until + minutes(4));
    expect(first).toBeLessThan(until);
    expect((await s.steward('alice')('approve', s.incidentId)).code).toBe(0);
    await s.account.run(minutes(20), () => s.incident()?.state === 'closed');
    expect(s.incident()?.end).toBe('healthy');
  });

  test('a yes in the middle of it acts at once', async () => {
    const s = await asked();
    await bob(s);
    await s.account.run(minutes(30));
    expect((await s.steward('alice')('approve', s.incidentId)).code).toBe(0);
    await s.account.run(minutes(10), () => s.incident()?.state === 'closed');
    expect(s.incident()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'clean /' }] });
  });

  test('what heals by itself closes in the middle of it', async () => {
    const s = await asked();
    await bob(s);
    breakDisk(s.account.world, s.id, { path: '/', usedPercent: 20, cleanableBytes: 0 });
    await s.account.run(minutes(20), () => s.incident()?.state === 'closed');
    expect(s.incident()).toMatchObject({ end: 'healthy', attempts: [] });
    expect(s.incident()?.snooze).toBeUndefined();
  });

  test('an escalation is not told again before then, and is told then', async () => {
    const s = await asked();
    await s.steward('bob')('deny', s.incidentId, '--reason', 'we look ourselves');
    await s.account.run(minutes(5), () => s.incident()?.state === 'escalated');
    const told = s.incident()?.escalatedAt ?? 0;
    await bob(s);
    await s.account.run(minutes(110), () => s.incident()?.state !== 'snoozed');
    expect(s.incident()?.state).toBe('snoozed');
    await s.account.run(minutes(20), () => s.incident()?.state === 'escalated');
    expect(s.incident()?.escalatedAt).toBeGreaterThan(told);
  });

  test('what is under way cannot be snoozed', async () => {
    const s = await asked();
    await s.steward('alice')('approve', s.incidentId);
    await s.account.run(minutes(2), () => s.incident()?.state === 'waiting');
    const late = await bob(s);
    expect(late.code).toBe(3);
    expect(late.err).toMatch(/nothing of it waits for a person; it is waiting\n.*steward pause/);
  });
});
