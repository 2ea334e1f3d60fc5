/** The planner: its six statements, and what it does about bad zones, missing hosts, other controllers and bad input. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { hours, minutes } from '../../shared/core/time.ts';
import type { Workload, Zone } from '../../shared/core/zoneBounds.ts';
import { closures, type Start } from '../../shared/core/zoneSigns.ts';
import { type Plan, planZones, type Stack, type Wave } from '../../shared/core/zones.ts';
import { bruteForce, squaresOf } from './zoneBrute.ts';
import { verdictOn } from './zoneJudge.ts';
import { type Cell, carriedOut, countsIn, moved, NOW, replicasOf, stackOf, zoneId } from './zoneStack.ts';

const only = (stack: Stack): Plan => {
  const [plan] = planZones(stack);
  if (!plan) throw new Error('no plan');
  return plan;
};
const add = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const ends = ({ zones }: Plan): number[] => zones.map((z) => z.after);
const startsOf = ({ waves }: Plan, zone: string): number => add(waves.map((w) => w.start[zone] ?? 0));

test('every small instance, against brute force', () => {
  const { spreads, plans } = JSON.parse(
    execFileSync(process.execPath, ['--no-warnings', 'test/core/zoneJudge.ts'], { encoding: 'utf8' }),
  );
  expect(spreads).toEqual({ instances: 1_602_258, mismatches: 0 });
  expect(plans).toMatchObject({ instances: 96_261, mismatches: 0 });
  expect(plans.moves).toBe(plans.leastMoves);
}, 60_000);

const cell = (counts: number) =>
  fc
    .record({ count: fc.nat(counts), stay: fc.nat(3), free: fc.oneof(fc.nat(counts), fc.constant(1000)) })
    .map((c): Cell => ({ ...c, stay: Math.min(c.stay, c.count) }));
const cells = (counts: number) => fc.array(cell(counts), { minLength: 2, maxLength: 6 });

test('large instances: all statements but the comparison with brute force', () => {
  fc.assert(
    fc.property(cells(40), fc.integer({ min: -20, max: 20 }), fc.nat(40), (list, off, spare) => {
      const desired = Math.max(1, add(list.map((c) => c.count)) + off);
      expect(verdictOn(stackOf(list, { desired, most: desired + spare }), list, false).bad).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

const firstOf = (stop: Wave['stop'], count: number): Wave['stop'] => {
  const ids = Object.entries(stop).flatMap(([zone, list]) => list.map((id) => [zone, id] as const));
  const kept = ids.slice(0, count);
  return Object.fromEntries(kept.map(([zone]) => [zone, kept.filter(([z]) => z === zone).map(([, id]) => id)]));
};

test('room that is not known before: the spread ends as if it had been, in no more than ⌈starts / size⌉ + 2 waves a failure', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ count: fc.nat(12), room: fc.nat(6) }), { minLength: 2, maxLength: 5 }), (list) => {
      const desired = add(list.map((c) => c.count));
      const caps = list.map((c) => c.count + c.room);
      const failed: Start[] = [];
      let [waves, started] = [0, 0];
      let stack = stackOf(list, { desired });
      for (let plan = only(stack); plan.waves.length > 0; plan = only(stack)) {
        const [wave] = plan.waves;
        const [workload] = stack.workloads;
        if (!wave || !workload || ++waves > 200) throw new Error('it does not end');
        const now = countsIn(workload, list.length);
        const come = Object.fromEntries(
          Object.entries(wave.start).map(([zone, n]) => {
            const i = list.findIndex((_, k) => zoneId(k) === zone);
            const fit = Math.min(n, (caps[i] ?? 0) - (now[i] ?? 0));
            if (fit < n) failed.push({ at: NOW, zone, failed: 'RESOURCE:MEMORY' });
            return [zone, fit];
          }),
        );
        const fresh = add(Object.values(come));
        started += fresh;
        // Only as many as were replaced.
        const stop = firstOf(wave.stop, fresh);
        const next = carriedOut(stack, { ...plan, waves: [] }, [{ start: come, stop }]);
        expect(next.workloads[0]?.replicas.length).toBeGreaterThanOrEqual(desired);
        stack = { ...next, workloads: next.workloads.map((w) => ({ ...w, closed: closures(failed, NOW) })) };
      }
      const end = stack.workloads.flatMap((w) => countsIn(w, list.length));
      const bounds = list.map(({ count }, i) => ({ zone: `${i}`, count, least: 0, most: caps[i] ?? 0, load: 0 }));
      if (desired <= 24) expect(squaresOf(end)).toBe(bruteForce(bounds, desired)?.squares);
      const size = Math.max(1, Math.floor(desired / 5));
      expect(waves).toBeLessThanOrEqual(Math.ceil(started / size) + 2 * failed.length);
    }),
    { numRuns: 150 },
  );
});

describe('the state of zones', () => {
  const holds = ({ count, stay = 0, free = 0, state, ramp = free }: Cell): number =>
    count + ({ OK: free, RECOVERING: Math.min(free, ramp), SUSPECT: 0, IMPAIRED: stay - count }[state ?? 'OK'] ?? 0);
  const expectEmptied = (plan: Plan, site: readonly Cell[], bad: number, desired: number): void => {
    const { count = 0, stay = 0 } = site[bad] ?? {};
    if (add(site.map(holds)) >= desired) expect(ends(plan)[bad]).toBe(stay);
    else if (count > stay) expect(plan.because).toContain('cannot be emptied');
  };
  const states = fc.constantFrom<Zone['state']>('OK', 'OK', 'OK', 'SUSPECT', 'IMPAIRED', 'RECOVERING');
  test('nothing starts in a bad zone; a suspect one is left alone; an impaired one is emptied if and only if there is room for all', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(cell(8), states), { minLength: 2, maxLength: 5 }), (list) => {
        const site = list.map(([c, state]): Cell => ({ ...c, state, ...(state === 'RECOVERING' ? { ramp: 2 } : {}) }));
        const desired = Math.max(1, add(site.map((c) => c.count)));
        const plan = only(stackOf(site, { desired, most: 3 * desired }));
        const impaired = site.flatMap((c, i) => (c.state === 'IMPAIRED' ? [i] : []));
        if (impaired.length > 1) expect([plan.do, plan.waves]).toEqual(['stop', []]);
        const entries = site.map((c, i) => ({ ...c, end: ends(plan)[i], starts: startsOf(plan, zoneId(i)) }));
        expect(entries.filter((e) => e.state === 'SUSPECT' && e.end !== e.count)).toEqual([]);
        expect(entries.filter((e) => e.state === 'IMPAIRED' && e.starts > 0)).toEqual([]);
        expect(entries.filter((e) => e.state === 'RECOVERING' && e.starts > 2)).toEqual([]);
        if (impaired.length === 1) expectEmptied(plan, site, impaired[0] ?? 0, desired);
      }),
      { numRuns: 300 },
    );
  });

  test('a ramp is shared by the whole stack', () => {
    const zones: Cell[] = [{ count: 3 }, { count: 3 }, { count: 0, state: 'RECOVERING', ramp: 2 }];
    const stack = stackOf(zones, { desired: 6 });
    const [web] = stack.workloads as [Workload];
    const plans = planZones({ ...stack, workloads: ['a', 'b', 'c'].map((id) => ({ ...web, id })) });
    expect(add(plans.map((p) => startsOf(p, zoneId(2))))).toBe(2);
  });
});

describe('many workloads', () => {
  const service = fc.record({
    counts: fc.array(fc.nat(6), { minLength: 3, maxLength: 3 }),
    cpu: fc.integer({ min: 1, max: 3 }),
    memory: fc.nat(3),
  });
  const shared = fc
    .record({
      services: fc.array(service, { minLength: 1, maxLength: 6 }),
      free: fc.array(fc.record({ cpu: fc.nat(20), memory: fc.nat(20) }), { minLength: 3, maxLength: 3 }),
    })
    .map(({ services, free }): Stack => {
      const stack = stackOf([{ count: 0 }, { count: 0 }, { count: 0 }], { desired: 0 });
      const [web] = stack.workloads as [Workload];
      return {
        ...stack,
        hosts: stack.hosts.map((h, i) => ({ ...h, free: free[i] ?? {} })),
        workloads: services.map(({ counts, cpu, memory }, s) => {
          const desired = add(counts);
          const replicas = replicasOf(
            counts.map((count) => ({ count })),
            `s${s}`,
          );
          return { ...web, id: `s${s}`, desired, most: 2 * desired, replicas, needs: { cpu, memory } };
        }),
      };
    });
  test('all starts of all plans fit at once, before anything has stopped', () => {
    fc.assert(
      fc.property(shared, (stack) => {
        const plans = planZones(stack);
        for (const { zone, free } of stack.hosts)
          for (const [name, amount] of Object.entries(free)) {
            const taken = plans.map(
              (p) => startsOf(p, zone) * (stack.workloads.find((w) => w.id === p.workload)?.needs?.[name] ?? 0),
            );
            expect(add(taken)).toBeLessThanOrEqual(amount);
          }
      }),
    );
  });
  test('carried out again and again it ends, and no service ever gets less even', () => {
    fc.assert(
      fc.property(shared, (first) => {
        let stack = first;
        for (let round = 0; ; round++) {
          const plans = planZones(stack).filter((p) => p.waves.length > 0);
          if (plans.length === 0) return;
          expect(round).toBeLessThan(12);
          for (const p of plans) expect(p.survivors.after).toBeGreaterThanOrEqual(p.survivors.before);
          stack = plans.reduce((s, p) => carriedOut(s, p), stack);
        }
      }),
    );
  });
});

describe('another controller', () => {
  /** Own waves until the planner stops by itself, while someone puts everything back. */
  const struggle = (list: readonly Cell[], after: 'each wave' | 'the whole plan'): { waves: number; end: Plan } => {
    const desired = Math.max(1, add(list.map((c) => c.count)));
    const first = stackOf(list, { desired });
    let stack = first;
    for (let waves = 0; ; waves++) {
      const plan = only(stack);
      const [wave] = plan.waves;
      if (!wave || waves > 100) return { waves, end: plan };
      const done = carriedOut(stack, plan, [wave]);
      const back = after === 'each wave' || only(done).waves.length === 0;
      stack = { ...(back ? first : done), history: [...stack.history, moved(done, plan, wave)] };
    }
  };
  test.each(['each wave', 'the whole plan'] as const)(
    'that puts back %s is met once, then a person is told',
    (what) => {
      fc.assert(
        fc.property(cells(9), (some) => {
          const list = [{ count: 1 }, ...some];
          const { waves: planned } = only(stackOf(list, { desired: add(list.map((c) => c.count)) }));
          const { waves, end } = struggle(list, what);
          expect(waves).toBe(what === 'each wave' ? Math.min(1, planned.length) : planned.length);
          expect(end.do === 'stop').toBe(waves > 0);
        }),
      );
    },
  );
  test('is not suspected after a change from outside, another count, or a day', () => {
    const list = [{ count: 4 }, { count: 0 }];
    const stack = stackOf(list, { desired: 4 });
    const plan = only(stack);
    const [wave] = plan.waves;
    if (!wave) throw new Error('no wave');
    const entry = moved(carriedOut(stack, plan, [wave]), plan, wave);
    const later = { ...stack, history: [entry], now: NOW + minutes(5) };
    expect(only(later)).toMatchObject({ do: 'stop', waves: [] });
    expect(only({ ...later, now: NOW + hours(25) }).do).toBe('move');
    const [web] = stack.workloads as [Workload];
    expect(only({ ...later, workloads: [{ ...web, changedAt: NOW + minutes(1) }] }).do).toBe('move');
    expect(only({ ...later, workloads: [{ ...web, desired: 3 }] }).do).toBe('move');
  });
});

test('a replica that died where Steward had moved it is no sign of another controller', () => {
  const stack = stackOf([{ count: 4 }, { count: 0 }], { desired: 4 });
  const plan = only(stack);
  const done = plan.waves.slice(0, 1).reduce((s, w) => carriedOut(s, plan, [w]), stack);
  const history = plan.waves.slice(0, 1).map((w) => moved(done, plan, w));
  const died = done.workloads.map((w) => ({ ...w, replicas: w.replicas.filter((r) => r.zone !== zoneId(1)) }));
  expect(only({ ...done, history, workloads: died }).do).toBe('move');
});

describe('hosts', () => {
  const thin = (
    list: readonly Cell[],
    pool: Partial<Stack['pools'][number]>,
    workload: Partial<Workload> = {},
  ): Stack => {
    const desired = add(list.map((c) => c.count));
    const stack = stackOf(list, { desired, ...workload });
    return { ...stack, pools: stack.pools.map((p) => ({ ...p, more: 9, ...pool })) };
  };
  test('are asked for first where a zone lacks them, no more than save somebody', () => {
    const plan = only(thin([{ count: 4 }, { count: 3 }, { count: 0, free: 0 }], {}));
    expect(plan).toMatchObject({ do: 'hosts', hosts: [{ pool: 'web-hosts', zone: zoneId(2), count: 1 }] });
    expect([ends(plan), plan.survivors]).toEqual([[2, 3, 2], { before: 3, after: 4 }]);
    // One more there would be evener, and save nobody.
    expect(only(thin([{ count: 3 }, { count: 3 }, { count: 1, free: 0 }], { offers: { cpu: 1 } }))).toMatchObject({
      do: 'nothing',
      hosts: [],
    });
  });
  test('that one workload asks for are not asked for by the next', () => {
    const stack = thin([{ count: 2 }, { count: 0, free: 0 }], { offers: { cpu: 3 } });
    const [web] = stack.workloads as [Workload];
    const plans = planZones({ ...stack, workloads: ['a', 'b', 'c', 'd'].map((id) => ({ ...web, id })) });
    expect(plans.map((p) => [p.do, add(p.hosts.map((h) => h.count))])).toEqual([
      ['hosts', 1],
      ['wait', 0],
      ['wait', 0],
      ['hosts', 1],
    ]);
  });
  test('are asked for to empty an impaired zone, and only when they are there it is emptied', () => {
    const list: Cell[] = [
      { count: 3, state: 'IMPAIRED' },
      { count: 3, free: 1 },
      { count: 3, free: 0 },
    ];
    expect(only(thin(list, { offers: { cpu: 1 } }))).toMatchObject({
      do: 'hosts',
      hosts: [{ count: 1 }, { count: 1 }],
    });
    const there = list.map((c): Cell => (c.state ? c : { ...c, free: 2 }));
    expect(only(thin(there, {}))).toMatchObject({ do: 'move', zones: [{ after: 0 }, { after: 5 }, { after: 4 }] });
  });
});

describe('why nothing moves', () => {
  const uneven: Cell[] = [{ count: 4 }, { count: 2 }, { count: 0, free: 0 }];
  const table: Record<string, Stack> = {
    even: stackOf([{ count: 2 }, { count: 2 }, { count: 2 }], { desired: 6 }),
    'no host': { ...stackOf([{ count: 3 }, { count: 3 }, { count: 0 }], { desired: 6 }), hosts: [] },
    'hosts full': stackOf(
      [
        { count: 3, free: 0 },
        { count: 3, free: 0 },
        { count: 0, free: 0 },
      ],
      { desired: 6 },
    ),
    protected: stackOf([{ count: 4, stay: 4 }, { count: 1 }, { count: 1 }], { desired: 6 }),
    suspect: stackOf([{ count: 4, state: 'SUSPECT' }, { count: 1 }, { count: 1 }], { desired: 6 }),
    impaired: stackOf(
      [
        { count: 2, state: 'IMPAIRED' },
        { count: 2, free: 1 },
        { count: 2, free: 0 },
      ],
      { desired: 6 },
    ),
    emptied: stackOf([{ count: 0, state: 'IMPAIRED' }, { count: 3 }, { count: 3 }], { desired: 6 }),
    'two impaired': stackOf(
      [
        { count: 2, state: 'IMPAIRED' },
        { count: 2, state: 'IMPAIRED' },
      ],
      { desired: 4 },
    ),
    practice: { ...stackOf(uneven, { desired: 6 }), practice: 'traffic is away from euc1-az1 until 14:00' },
    busy: stackOf(uneven, { desired: 6, busy: 'its deployment ecs-svc/7 is in progress' }),
    'no headroom': stackOf([{ count: 4 }, { count: 0 }], { desired: 4, most: 4 }),
    'start failed': stackOf([{ count: 3 }, { count: 0 }], {
      desired: 3,
      closed: { [zoneId(1)]: 'a start failed there (RESOURCE:ENI)' },
    }),
    'no address': stackOf([{ count: 3 }, { count: 0 }], { desired: 3, addressed: true }),
    'too few': stackOf(
      [
        { count: 1, free: 0 },
        { count: 1, free: 0 },
      ],
      { desired: 4 },
    ),
    'one zone': stackOf([{ count: 3 }], { desired: 3 }),
    'none wanted': stackOf([{ count: 0 }, { count: 0 }], { desired: 0 }),
    'state not known': { ...stackOf([{ count: 3 }, { count: 0 }], { desired: 3 }), zones: [] },
    'not a count': stackOf([{ count: 3 }, { count: 0 }], { desired: Number.NaN }),
  };
  test.each(Object.entries(table))('%s', (_, stack) => {
    const plan = only(stack);
    expect(plan.waves).toEqual([]);
    expect(`${plan.do}: ${plan.because}`).toMatchSnapshot();
  });
});

test('a plan is plain JSON', () => {
  const plans = planZones(stackOf([{ count: 5 }, { count: 1 }, { count: 0 }], { desired: 6 }));
  expect(JSON.parse(JSON.stringify(plans))).toEqual(plans);
  expect(plans[0]).toMatchSnapshot();
});

test('whatever comes in, a plan comes out, and none that starts what cannot be placed', () => {
  const number = fc.oneof(
    fc.integer({ min: -3, max: 9 }),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 0.5, -1),
  );
  const name = fc.constantFrom('a', 'b', 'c', '', '__proto__');
  const resources = fc.dictionary(fc.constantFrom('cpu', 'memory', 'constructor'), number);
  const stack = fc.record({
    now: fc.constant(NOW),
    wavePercent: number,
    history: fc.constant([]),
    zones: fc.array(
      fc.record({
        id: name,
        state: fc.constantFrom<Zone['state']>('OK', 'SUSPECT', 'RECOVERING'),
        addresses: number,
        ramp: number,
      }),
    ),
    hosts: fc.array(fc.record({ id: name, pool: name, zone: name, free: resources })),
    pools: fc.array(fc.record({ id: name, offers: resources, more: number, limit: fc.constant('full') })),
    workloads: fc.array(
      fc.record({
        id: name,
        desired: number,
        most: number,
        zones: fc.array(name),
        replicas: fc.array(fc.record({ id: name, zone: name })),
        pool: name,
        needs: resources,
      }),
    ),
  });
  fc.assert(
    fc.property(stack, (input) => {
      const plans = planZones(input);
      expect(plans.length).toBe(input.workloads.length);
      for (const plan of plans)
        for (const wave of plan.waves)
          expect(
            Object.keys(wave.start).every((z) => input.zones.some((s) => s.id === z && s.state !== 'SUSPECT')),
          ).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test('hosts are launched for a zone that is to be emptied only if it can be emptied whole: half of it is no better', () => {
  const cells = [
    { count: 3, state: 'IMPAIRED' as const },
    { count: 3, free: 0 },
  ];
  const withMore = (more: number) => {
    const stack = stackOf(cells, { desired: 6 });
    const [pool] = stack.pools;
    if (!pool) throw new Error('it has a pool');
    const [plan] = planZones({ ...stack, pools: [{ ...pool, more }] });
    return { do: plan?.do, hosts: plan?.hosts.map((h) => h.count) };
  };
  const without = withMore(1);
  expect(without.do).not.toBe('hosts');
  expect(without.hosts).toEqual([]);
  expect(withMore(2)).toEqual({ do: 'hosts', hosts: [2] });
});
