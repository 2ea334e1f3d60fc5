/** Nobody creates an alarm by hand: instances that come, change and go, in the world. */
import { minutes } from '../../shared/core/time.ts';
import { breakDisk } from '../../world/fleet.ts';
import { makeInstance, type NewInstance, startInstance, terminateInstance } from '../../world/instances.ts';
import { type AccountOptions, createAccount } from './account.ts';

const watching = (settings: object = {}) => ({ remediations: { 'unwatched-instance': { mode: 'act', ...settings } } });

const started = async ({ make = {}, ...options }: AccountOptions & { make?: NewInstance } = {}) => {
  const account = createAccount({ policy: watching(), ...options });
  const { world } = account;
  for (const name of [...world.cloudwatch.alarms.keys()]) world.cloudwatch.alarms.delete(name);
  await account.run(minutes(2));
  const instance = makeInstance(world, {
    type: 'm6i.large',
    tags: { Name: 'new', 'steward:managed': 'true' },
    ...make,
  });
  startInstance(world, instance);
  const { id } = instance;
  const alarms = () =>
    [...world.cloudwatch.alarms.values()]
      .filter((a) => a.name.includes(`/${id}/`))
      .map((a) => a.name.split('/').slice(3).join('/'))
      .sort();
  const alarm = (trouble: string) => world.cloudwatch.alarms.get(`steward/test/${id}/${trouble}`);
  const calls = (operation: string) => world.calls.filter((c) => c.operation === operation);
  /** On to the next five minutes of the day in which something is looked over: time between them is only let pass. */
  const toSlot = async (slot: number) => {
    const day = minutes(5) * 288;
    const now = world.clock.now();
    const at = now - (now % day) + slot * minutes(5);
    await account.run((at > now ? at : at + day) - now - 1_000, () => false, Number.POSITIVE_INFINITY);
    await account.run(minutes(5));
  };
  const lookedOver = () => toSlot(Number.parseInt(id.slice(-6), 16) % 288);
  return { ...account, instance, id, alarms, alarm, calls, toSlot, lookedOver };
};
const ALL = ['agent silent', 'check instance', 'check system', 'cpu', 'disk /', 'inodes /', 'memory'];

test('a new instance has its alarms: EC2’s own at once, the agent’s when it publishes', async () => {
  const s = await started();
  await s.run(minutes(2));
  expect(s.alarms()).toEqual(expect.arrayContaining(['check instance', 'check system', 'cpu']));
  await s.run(minutes(20));
  expect(s.alarms()).toEqual(ALL);
  expect(s.alarm('disk /')).toMatchObject({
    threshold: 80,
    description: expect.stringContaining(`new (${s.id}): / is 80 % full`),
  });
});

test('and an alarm that Steward made opens the incident that Steward ends', async () => {
  const s = await started();
  await s.run(minutes(25));
  breakDisk(s.world, s.id, { path: '/', usedPercent: 92 });
  await s.run(minutes(30), () => s.incidents().some((i) => i.remediation === 'full-disk' && i.state === 'closed'));
  expect(s.incidents().find((i) => i.remediation === 'full-disk' && i.target.endsWith(s.id))).toMatchObject({
    end: 'healthy',
  });
});

test('thresholds by tag; what is no number is named and not used', async () => {
  const s = await started({
    make: { tags: { 'steward:managed': 'true', 'steward:alarm:disk': '95', 'steward:alarm:memory': 'lots' } },
  });
  await s.run(minutes(20));
  expect(s.alarm('disk /')?.threshold).toBe(95);
  expect(s.alarm('memory')?.threshold).toBe(90);
  expect(
    s
      .incidents()
      .flatMap((i) => i.log.map((l) => l.say))
      .join(),
  ).toMatch(/its tag steward:alarm:memory is 'lots', not a number/);
});

test('an alarm that somebody changed or removed is put right within a day, and then nothing more is written', async () => {
  const s = await started();
  await s.run(minutes(20));
  const cpu = s.alarm('cpu');
  if (cpu) cpu.threshold = 5;
  s.world.cloudwatch.alarms.delete(`steward/test/${s.id}/memory`);
  await s.lookedOver();
  expect(s.alarms()).toEqual(ALL);
  expect(s.alarm('cpu')?.threshold).toBe(95);
  const [records, puts] = [s.incidents().length, s.calls('PutMetricAlarm').length];
  await s.lookedOver();
  expect([s.incidents().length, s.calls('PutMetricAlarm').length]).toEqual([records, puts]);
});

test('a policy that changed converges what is there, within two surveys', async () => {
  const s = await started();
  await s.run(minutes(60));
  const policy = s.deps.policy.remediations['unwatched-instance'];
  Object.assign(policy?.options ?? {}, { diskPercent: 70 });
  await s.run(minutes(11));
  expect(s.alarm('disk /')?.threshold).toBe(70);
});

test('it is gone: its alarms go with it, and nobody else’s', async () => {
  const s = await started();
  await s.run(minutes(20));
  const others = [...s.world.cloudwatch.alarms.keys()].filter((n) => !n.includes(s.id)).length;
  terminateInstance(s.world, s.instance);
  await s.run(minutes(3));
  expect(s.alarms()).toEqual([]);
  expect([...s.world.cloudwatch.alarms.keys()].length).toBe(others);
  expect(others).toBeGreaterThan(10);
});

test('its end was not heard: the daily list of all alarms finds what is left', async () => {
  const s = await started({ deaf: true });
  await s.run(minutes(30));
  expect(s.alarms()).toEqual(ALL);
  terminateInstance(s.world, s.instance);
  await s.toSlot(0);
  expect(s.alarms()).toEqual([]);
});

test('unmanaged, it gets none; no longer managed, it loses them', async () => {
  const s = await started({ make: { tags: { Name: 'theirs' } } });
  await s.run(minutes(20));
  expect(s.alarms()).toEqual([]);
  const t = await started();
  await t.run(minutes(20));
  t.instance.tags = {};
  await t.lookedOver();
  expect(t.alarms()).toEqual([]);
});

test('throttled: it gets there, and no alarm of others was ever touched', async () => {
  const s = await started();
  s.world.faults.failNext('cloudwatch', 'PutMetricAlarm', { kind: 'throttle', times: 2 });
  await s.run(minutes(25), () => s.alarms().length === ALL.length);
  expect(s.alarms()).toEqual(ALL);
  const names = s.calls('PutMetricAlarm').map((c) => (c.input as { AlarmName: string }).AlarmName);
  expect(names.every((n) => n.startsWith('steward/test/'))).toBe(true);
});

test('watching costs little: calls of one survey, and of one look', async () => {
  const s = await started();
  await s.run(minutes(30));
  const of = (calls: typeof s.world.calls) =>
    calls.filter((c) => c.principal.includes('unwatched-instance') && c.service !== 'sts');
  const from = s.world.calls.length;
  await s.lookedOver();
  // The survey itself asks for nothing: the sweep has listed the instances once for all. What a type is, is known by now or asked for once in a while.
  const looks = of(s.world.calls.slice(from)).filter((c) => c.operation !== 'DescribeInstanceTypes');
  expect(looks.map((c) => c.operation).sort()).toEqual([
    'DescribeAlarms',
    'DescribeInstances',
    'GetMetricData',
    'ListMetrics',
  ]);
});
