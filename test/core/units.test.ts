/** Who leaks, who runs away, and who may be restarted for it. */
import fc from 'fast-check';
import type { LoadReport, Unit } from '../../shared/core/load.ts';
import {
  cameBack,
  holders,
  isCrowded,
  isRunaway,
  isWatched,
  leakers,
  leakOf,
  sizesAbove,
  usdPerMonthOf,
  whyNot,
} from '../../shared/core/units.ts';

const NOW = Date.UTC(2026, 10, 24, 12);
const MiB = 2 ** 20;
/** A unit whose memory was `mib(minutesAgo)` at looks every two minutes. */
const unit = (mib: (ago: number) => number, { looks = 8, age = 7_200, cpu = 5 } = {}): Unit => ({
  name: 'shop.service',
  kind: 'unit',
  memoryBytes: mib(0) * MiB,
  swapBytes: 0,
  limitBytes: null,
  cpuLimitCores: null,
  throttledPercent: 0,
  pressure: null,
  cpuPercent: cpu,
  ageSeconds: age,
  oomKills: 0,
  protected: null,
  history: Array.from({ length: looks }, (_, i) => (looks - i) * 2).map((ago) => ({
    secondsAgo: ago * 60,
    memoryBytes: mib(ago) * MiB,
    cpuPercent: cpu,
  })),
});

describe('a leak', () => {
  test('steady growth is one, at its rate', () => {
    fc.assert(
      fc.property(fc.integer({ min: 500, max: 4_000 }), fc.integer({ min: 2, max: 10 }), (now, percent) => {
        const perMinute = (now * percent) / 100 / 10;
        const found = leakOf(
          unit((ago) => now - perMinute * ago),
          NOW,
        );
        expect((found ?? 0) / MiB).toBeCloseTo(perMinute * 60, 3);
      }),
    );
  });
  test.each<[string, Unit]>([
    ['flat', unit(() => 900)],
    ['shrinking', unit((ago) => 900 + 5 * ago)],
    ['one jump', unit((ago) => (ago > 6 ? 300 : 900))],
    ['a saw-tooth', unit((ago) => 600 + 80 * (ago % 6))],
    ['a little', unit((ago) => 900 - ago / 2)],
    ['too few looks', unit((ago) => 900 - 20 * ago, { looks: 3 })],
    ['what was before its restart', unit((ago) => 900 - 20 * ago, { age: 200 })],
  ])('%s is none', (_what, u) => expect(leakOf(u, NOW)).toBeUndefined());
});

test('looks that come at one moment are one: they do not make it less steady', () => {
  const seen = unit((ago) => 900 - 20 * ago);
  const burst = seen.history.flatMap((h) => (h.secondsAgo === 480 ? Array.from({ length: 9 }, () => h) : [h]));
  expect(leakOf({ ...seen, history: burst }, NOW)).toBeDefined();
});

test('a leak that is swapped out is one all the same', () => {
  const swapped = unit((ago) => 900 - 20 * ago);
  // Half of what it holds now is in swap: in memory it has not grown.
  const half = { ...swapped, memoryBytes: swapped.memoryBytes / 2, swapBytes: swapped.memoryBytes / 2 };
  expect(leakOf(half, NOW)).toBeCloseTo(leakOf(swapped, NOW) ?? Number.NaN, 3);
});

test('a host is crowded if its neighbours take their part at every look', () => {
  const host = (now: number, history: readonly number[]) => ({
    ...report([]).cpu,
    stealPercent: now,
    history: history.map((stealPercent, i) => ({ secondsAgo: (history.length - i) * 120, stealPercent })),
  });
  expect(isCrowded({ cpu: host(40, [30, 35, 25, 50, 40]) }, NOW)).toBe(true);
  expect(isCrowded({ cpu: host(40, [0, 0, 30, 35, 25, 50, 40]) }, NOW)).toBe(true);
  expect(isCrowded({ cpu: host(40, [30, 5, 25, 50, 40].slice(1)) }, NOW)).toBe(false);
  expect(isCrowded({ cpu: host(40, [35, 40]) }, NOW)).toBe(false);
  expect(isCrowded({ cpu: host(5, [30, 35, 25, 50, 40]) }, NOW)).toBe(false);
});

test('a runaway holds the CPU at every look', () => {
  expect(
    isRunaway(
      unit(() => 100, { cpu: 92 }),
      NOW,
      95,
    ),
  ).toBe(true);
  expect(
    isRunaway(
      unit(() => 100, { cpu: 92, looks: 2 }),
      NOW,
      95,
    ),
  ).toBe(false);
  expect(isRunaway({ ...unit(() => 100, { cpu: 20 }), cpuPercent: 99 }, NOW, 99)).toBe(false);
});

describe('who may be restarted', () => {
  const all = { restartable: ['*'], protected: [] };
  const named = (name: string, why: string | null = null) => ({ name, protected: why });
  test('only what the policy names', () => {
    expect(whyNot(named('shop.service'), { restartable: [], protected: [] })).toMatch(/does not name it/);
    expect(whyNot(named('shop.service'), { restartable: ['shop'], protected: [] })).toBeUndefined();
    expect(whyNot(named('worker-3'), { restartable: ['worker-*'], protected: ['worker-3'] })).toMatch(/protects/);
  });
  test.each(
    'sshd ssh systemd-journald dbus-broker amazon-ssm-agent snap.amazon-ssm-agent.amazon-ssm-agent amazon-cloudwatch-agent ecs ecs-agent docker containerd postgresql-16 postgresql@16-main mysqld mariadb mongod redis-server valkey etcd rabbitmq-server kafka opensearch auditd cloud-init chronyd'.split(
      ' ',
    ),
  )('never %s, even if the policy names everything', (name) => {
    expect(whyNot(named(`${name}.service`), all)).toBeDefined();
    expect(whyNot(named(name), all)).toBeDefined();
  });
  test.each('shop_postgres_1 shop-db-1 db ecs-shop-3-redis-b2c4 my-mysql.prod pgsql MongoDB sshd@10.0.0.1'.split(' '))(
    'nor %s, however its container is called',
    (name) => expect(whyNot(named(name), all)).toBeDefined(),
  );
  test.each(['shop', 'worker-3', 'feedback', 'adobe', 'debounce'])('%s may be, if named', (name) =>
    expect(whyNot(named(name), all)).toBeUndefined(),
  );
  test('never what the host itself protects', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) =>
        expect(whyNot(named(name, 'the host says so'), all)).toBe('the host says so'),
      ),
    );
  });
});

const report = (units: readonly Unit[], totalMib = 8_192): LoadReport => ({
  version: 1,
  at: '2026-11-24T12:00:00Z',
  os: 'amzn 2023',
  kernel: '6.1',
  uptimeSeconds: 86_400,
  memory: {
    totalBytes: totalMib * MiB,
    availableBytes: 100 * MiB,
    swapTotalBytes: 0,
    swapUsedBytes: 0,
    pressure: null,
  },
  cpu: { cores: 2, usedPercent: 10, stealPercent: 0, waitPercent: 0, history: [], load1: 0, pressure: null },
  oomKills: [],
  units: [...units],
  cut: [],
});
describe('who is to blame', () => {
  const named = (name: string, u: Unit): Unit => ({ ...u, name });
  const growing = (name: string, mib: number, perMinute: number) =>
    named(
      name,
      unit((ago) => mib - perMinute * ago),
    );

  test('whoever grows most, and whoever leaks and is big; a small one that grows little is left alone', () => {
    const found = (...units: Unit[]) => leakers(report(units), NOW).map((l) => l.unit.name);
    expect(found(growing('small', 1_000, 3), growing('big', 5_000, 25))).toEqual(['big']);
    expect(found(growing('small', 1_000, 25), growing('big', 5_000, 9))).toEqual(['big', 'small']);
    expect(
      found(
        growing('small', 1_000, 3),
        named(
          'big',
          unit(() => 6_000),
        ),
      ),
    ).toEqual(['small']);
    expect(
      found(
        named(
          'big',
          unit(() => 6_000),
        ),
      ),
    ).toEqual([]);
  });

  const anyUnit = fc
    .record({
      mib: fc.integer({ min: 400, max: 3_000 }),
      rate: fc.integer({ min: 0, max: 20 }),
      seed: fc.array(fc.nat(3), { minLength: 9, maxLength: 9 }),
    })
    .map(({ mib, rate, seed }) => unit((ago) => mib - rate * ago + (seed[ago / 2] ?? 0)));

  test('neither the order of the units nor that of their samples matters', () => {
    fc.assert(
      fc.property(fc.array(anyUnit, { minLength: 1, maxLength: 6 }), fc.infiniteStream(fc.nat()), (units, keys) => {
        const shuffled = <T>(list: readonly T[]): T[] =>
          list
            .map((x) => [keys.next().value ?? 0, x] as const)
            .sort(([a], [b]) => a - b)
            .map(([, x]) => x);
        const all = units.map((u, i) => named(`u${i}`, u));
        const mixed = shuffled(all).map((u) => ({ ...u, history: shuffled(u.history) }));
        const said = (list: readonly Unit[]) =>
          leakers(report(list), NOW)
            .map((l) => `${l.unit.name} ${l.bytesPerHour}`)
            .sort();
        expect(said(mixed)).toEqual(said(all));
      }),
    );
  });

  test('whoever holds least of the growth and of the memory is never among them', () => {
    fc.assert(
      fc.property(fc.array(anyUnit, { minLength: 1, maxLength: 6 }), (units) => {
        const all = units.map((u, i) => named(`u${i}`, u));
        const rate = (u: Unit) => leakOf(u, NOW) ?? 0;
        const sum = all.reduce((n, u) => n + rate(u), 0);
        for (const { unit: u } of leakers(report(all), NOW))
          expect(rate(u) * 2 >= sum || u.memoryBytes >= 0.3 * 8_192 * MiB).toBe(true);
      }),
    );
  });

  test('what was flat for days and leaks since is found, by its latest hour', () => {
    const flat = Array.from({ length: 40 }, (_, i) => ({
      secondsAgo: 7_200 + (40 - i) * 1_800,
      memoryBytes: 900 * MiB,
      cpuPercent: 1,
    }));
    const leak = unit((ago) => 1_300 - 25 * ago, { age: 200_000 });
    expect((leakOf({ ...leak, history: [...flat, ...leak.history] }, NOW) ?? 0) / MiB).toBeCloseTo(1_500, 3);
    expect(isWatched({ ...leak, history: flat })).toBe(false);
  });
});

describe('after a restart', () => {
  const step = { unit: 'shop.service', kind: 'unit' as const };
  const done = (restarted: boolean) => ({
    state: 'done' as const,
    commandId: 'c',
    report: {
      version: 1 as const,
      name: 'shop.service',
      kind: 'unit' as const,
      repeated: false,
      restarted,
      memoryBefore: 1,
      memoryAfter: 1,
    },
  });
  const failed = (code: string) => ({ state: 'failed' as const, commandId: 'c', code, message: '', remedy: '' });
  const load = (...units: Unit[]) => report(units);
  test.each([
    ['it says so', done(true), load(), true],
    ['it does not run', done(false), load(), false],
    ['it came later', done(false), load(unit(() => 50)), true],
    ['systemctl failed', failed('failed'), load(), false],
    ['the host declined', failed('invalid'), load(), true],
    ['nobody knows', { state: 'lost' as const, commandId: 'c', message: '' }, load(), false],
    ['it is at work', { state: 'running' as const, commandId: 'c' }, load(), undefined],
    ['the host cannot be seen', done(false), undefined, undefined],
  ])('%s', (_what, command, seen, came) => expect(cameBack(step, command, seen)).toBe(came));
});

test('a calm look before does not hide who runs away now; a calm one among the latest does', () => {
  const busy = unit(() => 100, { cpu: 92, looks: 6 });
  const before = { secondsAgo: 14_400, memoryBytes: MiB, cpuPercent: 2 };
  expect(isRunaway({ ...busy, ageSeconds: 90_000, history: [before, ...busy.history] }, NOW, 95)).toBe(true);
  const dip = busy.history.map((h, i) => (i === 4 ? { ...h, cpuPercent: 3 } : h));
  expect(isRunaway({ ...busy, history: dip }, NOW, 95)).toBe(false);
});

test('sizes above, and names of holders', () => {
  expect(sizesAbove('m6i.large')).toEqual(['m6i.xlarge', 'm6i.2xlarge']);
  expect(sizesAbove('u-6tb1.metal')).toEqual([]);
  expect(holders([unit(() => 100), { ...unit(() => 2048), name: 'big' }])).toBe('big 2.0 GiB, shop.service 100 MiB');
});

describe('prices', () => {
  const price = (type: string, vcpus: number, gib: number, region = 'eu-central-1') =>
    usdPerMonthOf({ type, vcpus, memoryMiB: gib * 1024 }, region);
  test('twice the size is twice the price, and elsewhere it is not cheaper', () => {
    expect(price('m6i.xlarge', 4, 16)).toBeCloseTo(2 * price('m6i.large', 2, 8));
    expect(price('t3.large', 2, 8)).toBeCloseTo(2 * price('t3.medium', 2, 4));
    expect(price('m6i.large', 2, 8, 'sa-east-1')).toBeGreaterThan(price('m6i.large', 2, 8));
    expect(price('m5zn.large', 2, 8)).toBeGreaterThan(price('m6i.large', 2, 8));
  });
  test.each(['g5.xlarge', 'p5.48xlarge', 'x2idn.16xlarge', 'u-6tb1.metal', 'mac2.metal', 'inf2.xlarge'])(
    'that of %s is not known, and the cost guard refuses',
    (type) => expect(price(type, 4, 16)).toBeNaN(),
  );
});
