/** Who leaks, who runs away, and who may be restarted for it. */
import fc from 'fast-check';
import type { Unit } from '../../shared/core/load.ts';
import { holders, isRunaway, leakOf, sizesAbove, usdPerMonthOf, whyNot } from '../../shared/core/units.ts';

const NOW = Date.UTC(2026, 10, 24, 12);
const MiB = 2 ** 20;
/** A unit whose memory was `mib(minutesAgo)` at looks every two minutes. */
const unit = (mib: (ago: number) => number, { looks = 8, age = 7_200, cpu = 5 } = {}): Unit => ({
  name: 'shop.service',
  kind: 'unit',
  memoryBytes: mib(0) * MiB,
  swapBytes: 0,
  limitBytes: null,
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
  test('never what the host itself protects', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) =>
        expect(whyNot(named(name, 'the host says so'), all)).toBe('the host says so'),
      ),
    );
  });
});

test('sizes above, names of holders, and prices that grow with the size', () => {
  expect(sizesAbove('m6i.large')).toEqual(['m6i.xlarge', 'm6i.2xlarge']);
  expect(sizesAbove('u-6tb1.metal')).toEqual([]);
  expect(holders([unit(() => 100), { ...unit(() => 2048), name: 'big' }])).toBe('big 2.0 GiB, shop.service 100 MiB');
  expect(usdPerMonthOf({ vcpus: 4, memoryMiB: 16_384 })).toBeCloseTo(2 * usdPerMonthOf({ vcpus: 2, memoryMiB: 8_192 }));
});
