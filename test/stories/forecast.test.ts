/** What is going to be full, used up or gone is ended before any alarm, or a person is told. The past week is put into the world's metrics; then its time goes on. */
import { hours, minutes } from '../../shared/core/time.ts';
import { breakDisk, breakLoad, fileSystemOf } from '../../world/fleet.ts';
import { makeInstance } from '../../world/instances.ts';
import { putPoint, valuePoint } from '../../world/metrics.ts';
import { diskDimensions, hostDimensions } from '../../world/publish.ts';
import { type Account, type AccountOptions, createAccount, following, SHOP } from './account.ts';

const GiB = 2 ** 30;

/** An account whose first web server's /srv had this use, in percent, `hoursAgo`. */
const withPast = async (percent: (hoursAgo: number) => number, options?: AccountOptions) => {
  const account = createAccount(options);
  const { world, clock, fleet } = account;
  const id = fleet.web[0]?.id ?? '';
  const disk = breakDisk(world, id, { path: '/srv', usedPercent: percent(0) });
  for (let h = 7 * 24; h > 0; h--)
    putPoint(world, {
      namespace: 'CWAgent',
      name: 'disk_used_percent',
      dimensions: diskDimensions(world, id, disk),
      point: valuePoint(clock.now() - hours(h), percent(h)),
    });
  return { account, id };
};
const grows = (account: Account) => account.world.calls.filter((c) => c.operation === 'ModifyVolume');

test('a disk that fills within a day is grown before its alarm goes off', async () => {
  const { account, id } = await withPast((h) => 75 - 0.25 * h);
  breakDisk(account.world, id, { path: '/srv', growing: { bytesPerSecond: (0.0025 * 20 * GiB) / 3600 } });
  const before = fileSystemOf(account.world, id, '/srv').sizeBytes;
  await account.run(hours(3), () => account.incidentOf(id)?.state === 'closed');
  const incident = account.incidentOf(id);
  expect(incident).toMatchObject({ end: 'healthy', signals: { kind: 'disk.forecast' } });
  expect(incident?.signals.cause).toMatch(/^forecast: \/srv reaches 80 % in 1\d h .*over 7 d/);
  expect(incident?.log.map((l) => l.say).join('\n')).toMatch(/\/srv is 75 % full and reaches 80 % in 1\d h/);
  expect(fileSystemOf(account.world, id, '/srv').sizeBytes).toBeGreaterThan(before + 9 * GiB);
  const [grown, ...more] = grows(account);
  expect(more).toEqual([]);
  expect(
    [...account.world.cloudwatch.alarms.values()].flatMap((a) => a.history.filter((h) => h.to === 'ALARM')),
  ).toEqual([]);
  // Nothing is left to be said: the next hours' forecasts find it flat.
  await account.run(hours(5));
  expect(account.incidents()).toHaveLength(1);
  expect(grown).toBeDefined();
});

test.each<[string, (h: number) => number]>([
  ['it is flat', () => 75],
  ['it goes up and down each day', (h) => 65 + 10 * Math.sin((2 * Math.PI * h) / 24)],
  ['it reaches the limit in a week', (h) => 70 - 0.03 * h],
])('nothing is done where %s', async (_what, percent) => {
  const { account } = await withPast(percent);
  await account.run(hours(2) + minutes(5));
  expect(account.incidents()).toEqual([]);
});

test('the policy can turn it off', async () => {
  const { account } = await withPast((h) => 75 - 0.25 * h, {
    policy: { remediations: { 'full-disk': { forecast: false } } },
  });
  await account.run(hours(2) + minutes(5));
  expect(account.incidents()).toEqual([]);
});

test('a trend that ended meanwhile closes without a step: the host itself is asked', async () => {
  const { account, id } = await withPast((h) => 75 - 0.25 * h);
  account.clock.advance(minutes(1));
  breakDisk(account.world, id, { path: '/srv', usedPercent: 55 });
  await account.run(hours(3), () => account.incidentOf(id)?.state === 'closed');
  expect(account.incidentOf(id)?.attempts ?? []).toEqual([]);
  expect(grows(account)).toEqual([]);
});

const alarmed = ({ world }: Account) =>
  [...world.cloudwatch.alarms.values()].flatMap((a) => a.history.filter((h) => h.to === 'ALARM'));

test('inodes that are used up within a day are cleaned, or the volume grown, before the alarm', async () => {
  const account = createAccount();
  const { world, clock, fleet } = account;
  // ext4: its inodes were fixed when it was made.
  const id = fleet.web[1]?.id ?? '';
  const percent = (h: number) => 78 - 0.3 * h;
  const disk = breakDisk(world, id, { path: '/srv', inodesUsedPercent: percent(0) });
  const total = disk.inodes?.total ?? 0;
  for (let h = 7 * 24; h > 0; h--)
    for (const [name, value] of [
      ['disk_inodes_used', (total * percent(h)) / 100],
      ['disk_inodes_total', total],
    ] as const) {
      const dimensions = diskDimensions(world, id, disk);
      putPoint(world, { namespace: 'CWAgent', name, dimensions, point: valuePoint(clock.now() - hours(h), value) });
    }
  await account.run(hours(3), () => account.incidentOf(id)?.state === 'closed');
  expect(account.incidentOf(id)).toMatchObject({ end: 'healthy', signals: { kind: 'disk.forecast' } });
  expect(
    account
      .incidentOf(id)
      ?.log.map((l) => l.say)
      .join('\n'),
  ).toMatch(/\/srv has used 77 % of its inodes and reaches 85 % in 2\d h/);
  expect(grows(account)).toHaveLength(1);
  expect(alarmed(account)).toEqual([]);
});

/** A machine whose memory, or whose credits, went like this for a week, by the minute of its latest day. */
const withMetric = async (
  metric: { namespace: string; name: string; ofHost: boolean },
  value: (hoursAgo: number) => number,
  { make = {}, ...options }: AccountOptions & { make?: object } = {},
) => {
  const account = createAccount(options);
  const { world, clock } = account;
  const instance = makeInstance(world, { ...SHOP, ...make });
  const dimensions = metric.ofHost ? hostDimensions(world, instance.id) : { InstanceId: instance.id };
  const { namespace, name } = metric;
  const put = (h: number) =>
    putPoint(world, { namespace, name, dimensions, point: valuePoint(clock.now() - hours(h), value(h)) });
  for (let h = 7 * 24; h > 12; h--) put(h);
  for (let m = 12 * 12; m > 0; m--) put(m / 12);
  return { account, instance, id: instance.id };
};
const MEMORY = { namespace: 'CWAgent', name: 'mem_used_percent', ofHost: true };
const CREDITS = { namespace: 'AWS/EC2', name: 'CPUCreditBalance', ofHost: false };

describe('memory', () => {
  const MIB = 8 * 1024;
  /** Percent an hour of a machine of 8 GiB, now at 76 %. */
  const leaking = async (restartable: readonly string[], perHour = 0.7) => {
    const policy = { preset: 'automatic', remediations: { 'memory-exhausted': { restartable } } };
    const s = await withMetric(MEMORY, (h) => 76 - perHour * h, { policy });
    breakLoad(s.account.world, s.id, {
      name: 'shop.service',
      mib: 0.76 * MIB - 512 - 360,
      mibPerMinute: (perHour * MIB) / 100 / 60,
    });
    return { ...s, ...following(s.account, s.id, 'memory-exhausted') };
  };

  test('that leaks for a week is given back before its alarm, once the growth is proven in a unit', async () => {
    const s = await leaking(['shop']);
    await s.account.run(hours(4), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', signals: { kind: 'memory.forecast' } });
    expect(s.rungs()).toEqual([['restart shop.service', 'effective']]);
    expect(s.last()?.attempts[0]?.because).toMatch(/reaches 90 % in 1\d h .*shop\.service leaks: it grows by 5\d MiB/);
    expect(alarmed(s.account)).toEqual([]);
    // What grows on from the bottom is no news for the rest of the day.
    await s.account.run(hours(4));
    expect(s.rungs()).toHaveLength(1);
  });

  test('of what may not be restarted goes to a person early, with the name; and is over when the trend is', async () => {
    const s = await leaking([]);
    await s.account.run(hours(4), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toMatch(/it grows in shop\.service by 5\d MiB an hour \(the policy does not name it/);
    breakLoad(s.account.world, s.id, { name: 'shop.service', mib: 500, mibPerMinute: 0 });
    await s.account.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test.each<[string, (h: number) => number]>([
    ['a heap that is collected each two hours', (h) => 60 + 29 * (1 - (h % 2) / 2)],
    ['a batch job of each night', (h) => (h % 24 < 3 ? 40 + (48 * (3 - (h % 24))) / 3 : 40)],
    ['it is nearly full, as ever', () => 88],
  ])('nothing is done, and nobody told, where %s', async (_what, percent) => {
    const { account, id } = await withMetric(MEMORY, percent);
    breakLoad(account.world, id, { name: 'shop.service', mib: (percent(0) / 100) * MIB - 512 - 360 });
    await account.run(hours(1) + minutes(5));
    expect(account.incidents()).toEqual([]);
  });
});

describe('credits', () => {
  const burning = async (settings: object = {}) => {
    const make = { type: 't3.medium' };
    const s = await withMetric(CREDITS, (h) => Math.min(576, 62 + 30 * h), {
      make,
      policy: { preset: 'automatic', remediations: { 'cpu-exhausted': settings } },
    });
    const spend = () => {
      s.instance.creditBalance = Math.max(0, s.instance.creditBalance - 0.5);
      s.account.clock.at(s.account.clock.now() + minutes(1), spend);
    };
    s.instance.creditBalance = 62;
    spend();
    return { ...s, ...following(s.account, s.id, 'cpu-exhausted') };
  };

  test('that will be gone within the hour are not missed: it may use more before it is slow', async () => {
    const s = await burning();
    await s.account.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', signals: { kind: 'cpu.credits-forecast' } });
    expect(s.last()?.signals.cause).toMatch(/its balance reaches 20 credits in \d+ min .*30 credits an hour over 1 h/);
    expect(s.rungs()).toEqual([['unlimited', 'effective']]);
    expect(s.instance.creditBalance).toBeGreaterThan(20);
  });

  test('where it may not, a person is told before they are gone', async () => {
    const s = await burning({ unlimited: false });
    await s.account.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toMatch(/CPU credits are left and it reaches 20 credits/);
  });
});
