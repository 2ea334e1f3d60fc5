import fc from 'fast-check';
import { Conflict } from '../../shared/core/errors.ts';
import { commitOutcome, LEASE, propose, type Reservation, reserve } from '../../shared/core/gate.ts';
import { isRefusal, type Proposal } from '../../shared/core/guards.ts';
import type { Incident } from '../../shared/core/incident.ts';
import type { Store } from '../../shared/core/store.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import { minutes } from '../../shared/core/time.ts';
import { memoryStore } from '../../world/memoryStore.ts';
import { anIncident, aProposal, HOME, NOW } from './proposal.ts';

const instance = (n: number) =>
  instanceTarget({ account: HOME, region: 'eu-central-1' }, `i-${n.toString(16).padStart(17, '0')}`);

/** An incident of the nth member of a group of `size`, stored. */
const member = async (store: Store, n: number, change: Partial<Proposal> = {}): Promise<Proposal> => {
  const target = instance(n);
  const incident: Incident = { ...anIncident, id: `${n}`.padStart(26, '0'), target: target.arn, version: 0 };
  await store.write({ put: incident });
  const chart = { ...aProposal.chart, target: target.arn };
  return { ...aProposal, target, incident: { ...incident, version: 1 }, chart, ...change };
};
const allowed = (r: Reservation): boolean => !r.findings.some(isRefusal);
const reserved = (store: Store) =>
  [...(store as ReturnType<typeof memoryStore>).records.values()].flatMap((r) =>
    r.kind === 'incident' && r.state === 'acting' ? [r] : [],
  );

const close = async (store: Store, i: Incident, state: Incident['state']): Promise<void> =>
  store.write({ put: { ...i, state, ...(state === 'closed' ? { closedAt: NOW, end: 'healthy' as const } : {}) } });

const slowed = (s: fc.Scheduler, store: Store): Store => ({
  ...store,
  write: s.scheduleFunction(store.write),
  read: s.scheduleFunction(store.read) as Store['read'],
});

describe('reserving', () => {
  test('writes the attempt with its step and token, lease, place in the budget, and cost, at once', async () => {
    const store = memoryStore();
    const cost = { usdPerMonth: 7, what: '70 GiB' };
    const p = await member(store, 1, { act: { ...aProposal.act, cost } });
    const incident = await reserve(store, await propose(store, p), { was: 1 });
    expect(store.records.get(`incident ${p.incident.id} of ${p.target.arn}`)).toStrictEqual(incident);
    expect(incident).toMatchObject({
      state: 'acting',
      version: 2,
      attempts: [{ n: 1, step: p.act.step, token: `${p.incident.id}-1`, reservedAt: NOW, before: { was: 1 } }],
      log: [
        { what: 'reserved', say: `attempt 1: ${p.act.plan}, because ${p.act.because}` },
        { what: 'guards', say: expect.stringContaining('attempts: attempt 1 of 3 in 24 h') },
      ],
    });
    const lease = { incident: p.incident.id, remediation: 'full-disk', until: NOW + LEASE };
    expect(store.records.get(`target ${p.target.arn}`)).toMatchObject({
      lease,
      recent: [{ rung: 'grow /', counted: true }],
    });
    expect(store.records.get('group asg/web')).toMatchObject({ repairs: { [p.target.arn]: lease } });
    expect(store.records.get('ledger full-disk 2026-11')).toMatchObject({ usdPerMonth: 7 });
  });

  const movers = {
    incident: (p: Proposal) => ({ ...p.incident }),
    chart: (p: Proposal) => ({ ...p.chart }),
    group: (p: Proposal) => ({ ...p.group }),
    ledger: (p: Proposal) => ({ ...p.ledger }),
  };
  test.each(Object.entries(movers))(
    'whoever moved the %s meanwhile wins, and nothing is left behind',
    async (_name, record) => {
      const store = memoryStore();
      const p = await member(store, 1, { act: { ...aProposal.act, cost: { usdPerMonth: 1, what: 'x' } } });
      const reservation = await propose(store, p);
      expect(allowed(reservation)).toBe(true);
      await store.write({ put: record(p) });
      const before = structuredClone([...store.records]);
      await expect(reserve(store, reservation, null)).rejects.toThrow(Conflict);
      expect([...store.records]).toStrictEqual(before);
    },
  );

  test('of any number at once on one target, exactly one wins', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 6 }), async (s, count) => {
        const store = memoryStore();
        const p = await member(store, 1);
        const slow = slowed(s, store);
        const tries = Array.from({ length: count }, async () => reserve(slow, await propose(slow, p), null));
        const ends = Promise.allSettled(tries);
        await s.waitFor(ends);
        expect((await ends).filter((e) => e.status === 'fulfilled')).toHaveLength(1);
        expect(reserved(store)[0]?.attempts).toHaveLength(1);
      }),
      { numRuns: 60 },
    );
  });

  /** As heal does: a pass that lost a race looks again. */
  const untilReserved = async (store: Store, p: Proposal, tries = 5): Promise<Incident | undefined> => {
    const reservation = await propose(store, p);
    if (tries === 0 || !allowed(reservation)) return undefined;
    return reserve(store, reservation, null).catch((e) => {
      expect(e).toBeInstanceOf(Conflict);
      return untilReserved(store, p, tries - 1);
    });
  };

  test('however passes interleave, and ends come between, the budget of the group holds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 2, max: 8 }),
        fc.array(fc.boolean()),
        async (s, count, ends) => {
          const store = memoryStore();
          const slow = slowed(s, store);
          let most = 0;
          const one = async (n: number): Promise<void> => {
            const incident = await untilReserved(slow, await member(store, n));
            most = Math.max(most, reserved(store).length);
            if (incident && ends[n]) await close(slow, incident, 'closed');
          };
          await s.waitFor(Promise.all(Array.from({ length: count }, (_, n) => one(n))));
          // 20 % of ten.
          expect(most).toBeLessThanOrEqual(2);
          expect(most).toBeGreaterThan(0);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('a place in the budget and a lease', () => {
  const small = { facts: { ...aProposal.facts, group: { id: 'asg/web', size: 4, zones: {} } } };
  const held = async (
    state: Incident['state'],
    later: number,
    effect?: 'ineffective',
    escalatedAt?: number,
  ): Promise<boolean> => {
    const store = memoryStore();
    const incident = await reserve(store, await propose(store, await member(store, 1, small)), null);
    const outcome = { kind: 'done' as const, at: NOW, because: 'taken' };
    const attempts = incident.attempts.map((a) => ({ ...a, outcome, ...(effect ? { effect } : {}) }));
    if (state !== 'acting')
      await close(store, { ...incident, attempts, ...(escalatedAt === undefined ? {} : { escalatedAt }) }, state);
    const next = await member(store, 2, { ...small, now: NOW + later });
    return !allowed(
      await propose(store, {
        ...next,
        incident: {
          ...next.incident,
          openedAt: NOW + later,
          signals: { ...next.incident.signals, lastAt: NOW + later },
        },
      }),
    );
  };
  test.each([
    ['acting', 0, true],
    ['acting', LEASE + 1, true],
    ['waiting', LEASE * 3, true],
    ['refused', LEASE, true],
    ['asking', LEASE, true],
    ['escalated', 0, false],
    ['closed', 0, false],
  ] as const)('of an incident that is %s are held after %i ms: %s', async (state, later, expected) => {
    expect(await held(state, later)).toBe(expected);
  });
  test.each([
    ['refused', LEASE - 1, true],
    ['refused', LEASE, false],
    ['asking', LEASE, false],
    ['snoozed', LEASE, false],
  ] as const)('of one that is %s, its last step judged, are held after %i ms: %s', async (state, later, expected) => {
    expect(await held(state, later, 'ineffective')).toBe(expected);
  });
  test('of one that is snoozed are held, unless a person had it before', async () => {
    expect(await held('snoozed', LEASE)).toBe(true);
    expect(await held('snoozed', 0, undefined, NOW)).toBe(false);
  });
});

describe('what came of it', () => {
  const run = async (
    kind: 'done' | 'transient' | 'permanent' | 'ambiguous',
    between?: (store: Store, i: Incident) => Promise<void>,
  ) => {
    const store = memoryStore();
    const cost = { usdPerMonth: 7, what: '70 GiB' };
    const reservation = await propose(store, await member(store, 1, { act: { ...aProposal.act, cost } }));
    const incident = await reserve(store, reservation, null);
    await between?.(store, incident);
    const attempt = {
      ...incident.attempts[0],
      outcome: { kind, at: NOW + 5, because: 'so' },
    } as Incident['attempts'][number];
    const after = await commitOutcome(store, reservation, incident, attempt, (i) => ({ ...i, state: 'waiting' }));
    return {
      store,
      after,
      stored: (await store.read({ kind: 'incident', target: incident.target, id: incident.id }))[0],
    };
  };

  test.each([
    ['done', 7, 1],
    ['ambiguous', 7, 1],
    ['permanent', 0, 1],
    ['transient', 0, 0],
  ] as const)('%s: $%i a month stay booked, %i attempts count', async (kind, usd, counted) => {
    const { store, after, stored } = await run(kind);
    expect(stored).toStrictEqual(after);
    expect(after.attempts[0]?.outcome?.kind).toBe(kind);
    expect(store.records.get('ledger full-disk 2026-11')).toMatchObject({ usdPerMonth: usd });
    expect(store.records.get(`target ${instance(1).arn}`)).toMatchObject({ recent: { length: counted } });
  });

  test('what was not spent is given back, though many give back at once', async () => {
    const store = memoryStore();
    const cost = { usdPerMonth: 7, what: '70 GiB' };
    const all = await Promise.all(
      [1, 2, 3].map((n) =>
        member(store, n, {
          act: { ...aProposal.act, cost },
          facts: { ...aProposal.facts, group: { id: `g${n}`, size: 1, zones: {} } },
        }),
      ),
    );
    const ends: (() => Promise<unknown>)[] = [];
    for (const p of all) {
      const reservation = await propose(store, p);
      const incident = await reserve(store, reservation, null);
      const attempt = {
        ...incident.attempts[0],
        outcome: { kind: 'permanent', at: NOW, because: 'so' },
      } as Incident['attempts'][number];
      ends.push(() => commitOutcome(store, reservation, incident, attempt, (i) => i));
    }
    expect(store.records.get('ledger full-disk 2026-11')).toMatchObject({ usdPerMonth: 21 });
    await Promise.all(ends.map((end) => end()));
    expect(store.records.get('ledger full-disk 2026-11')).toMatchObject({ usdPerMonth: 0 });
  });

  test('is written over what others wrote meanwhile, and keeps it', async () => {
    const denied = { step: '{}', by: 'anna', until: NOW + minutes(5) };
    const { stored } = await run('done', (store, i) => store.write({ put: { ...i, denied } }));
    expect(stored).toMatchObject({ denied, attempts: [{ outcome: { kind: 'done' } }] });
  });
});
