/** Hundreds of services in one cluster: what is asked of ECS about them, and what becomes of them while it throttles. */
import { UpdateAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import { hours, minutes } from '../../shared/core/time.ts';
import { addService, hangTasks, makeCluster, runningTasks } from '../../world/clusters.ts';
import { createDesk } from '../cli/desk.ts';
import { ECS_BUCKETS, overdrawn } from '../storm/rates.ts';
import { clientsOf } from '../world/clients.ts';
import { type Account, type AccountOptions, createAccount } from './account.ts';

const TAGS = { 'steward:managed': 'true' };

const furnished = (account: Account, count: number, desired: number) => {
  const { world } = account;
  const { cluster } = makeCluster(world, 'shop', { instances: Math.ceil((count * desired) / 12), type: 'm6i.xlarge' });
  const services = Array.from({ length: count }, (_, n) =>
    addService(world, cluster, `web-${n}`, { desired, tags: TAGS, balanced: n % 2 === 0, cpu: 128, memory: 256 }),
  );
  /** Calls of ECS since then. */
  const since = (from: number) => world.calls.slice(from).filter((c) => c.action.startsWith('ecs:'));
  return { ...account, cluster, services, since };
};
const many = (count: number, { desired = 1, ...options }: AccountOptions & { desired?: number } = {}) =>
  furnished(createAccount({ policy: { preset: 'automatic' }, ...options }), count, desired);

test('a survey reads a cluster by pages, and once for all that look at it', async () => {
  const s = many(110);
  await s.run(minutes(24));
  const from = s.world.calls.length;
  await s.run(minutes(5));
  const counts: Record<string, number> = {};
  for (const { action } of s.since(from)) counts[action.slice(4)] = (counts[action.slice(4)] ?? 0) + 1;
  expect(s.incidents()).toEqual([]);
  expect(counts).toEqual({
    // The survey for cut-off agents lists clusters and hosts by itself.
    ListClusters: 2,
    DescribeClusters: 1,
    ListServices: 2,
    DescribeServices: 11,
    ListContainerInstances: 2,
    DescribeContainerInstances: 1,
    // Of what runs, two pages; of what has stopped, one empty one.
    ListTasks: 3,
    DescribeTasks: 2,
  });
});

test('each is new and all must be proven: the surveys and the passes stay within what ECS grants', async () => {
  const s = many(60, { deaf: true, policy: { preset: 'automatic', remediations: { 'release-unproven': {} } } });
  await s.run(hours(1));
  expect(overdrawn(s.world.calls, ECS_BUCKETS)).toEqual({});
  const records = [...s.store.records.values()].flatMap((r) => (r.kind === 'releases' ? [r.list[0]?.state] : []));
  expect(records).toEqual(Array(60).fill('current'));
  expect(s.incidents()).toEqual([]);
});

test('ECS throttles while tasks of some hang: each has an end, none is stopped twice, and all run', async () => {
  const s = many(24, { desired: 2 });
  await s.run(minutes(10));
  s.world.faults.limit('ecs', '*', { size: 14, perSecond: 0.2 });
  const ill = s.services.filter((_, n) => n % 8 === 0);
  for (const one of ill) hangTasks(s.world, one, runningTasks(s.cluster, one.service).slice(0, 1));
  await s.run(hours(3));
  const stopped = s.world.calls.filter((c) => c.action === 'ecs:StopTask' && c.error === undefined);
  expect(stopped.length).toBeGreaterThan(0);
  expect(new Set(stopped.map((c) => (c.input as { task: string }).task)).size).toBe(stopped.length);
  expect(s.world.calls.some((c) => c.action.startsWith('ecs:') && c.error === 'ThrottlingException')).toBe(true);
  expect(s.incidents().filter((i) => !['closed', 'escalated', 'asking'].includes(i.state))).toEqual([]);
  for (const { service } of s.services) expect(runningTasks(s.cluster, service)).toHaveLength(2);
});

test('their hosts go: one incident tells of it for all, and one change brings all of them back', async () => {
  const settings = { 'cluster-gone': { costCapUsdPerMonth: 10_000 }, 'service-uneven-zones': { mode: 'off' } };
  const desk = createDesk({ policy: { preset: 'automatic', remediations: settings } });
  const { account } = desk;
  const s = furnished(account, 60, 1);
  await s.run(minutes(15));
  const { autoscaling } = clientsOf(s.world);
  const none = { AutoScalingGroupName: 'shop', MinSize: 0, DesiredCapacity: 0 };
  const emptied = autoscaling.send(new UpdateAutoScalingGroupCommand(none));
  const told = () => s.incidents().filter((i) => ['escalated', 'asking'].includes(i.state));
  await s.run(minutes(25), () => told().length > 0);
  await emptied;
  expect(told().map((i) => [i.remediation, i.state])).toEqual([['cluster-gone', 'asking']]);
  await desk.steward('alice')('approve', told()[0]?.id ?? '');
  await s.run(hours(1));
  expect(s.incidents().filter((i) => i.state !== 'closed')).toEqual([]);
  for (const { service } of s.services) expect(runningTasks(s.cluster, service)).toHaveLength(1);
  const own = s.world.calls.filter((c) => c.operation === 'UpdateAutoScalingGroup' && c.principal.includes('remedy'));
  expect(own).toHaveLength(1);
});

test('`steward zones` reads their tasks and hosts by pages', async () => {
  const desk = createDesk({ policy: { preset: 'automatic', remediations: { 'service-uneven-zones': {} } } });
  const s = furnished(desk.account, 50, 2);
  await s.run(minutes(15));
  const from = s.world.calls.length;
  const { code, out } = await desk.steward('alice')('zones');
  expect(code).toBe(0);
  const named = [...out.matchAll(/^shop\/web-\d+/gm)].map(([name]) => name);
  expect(named).toEqual(named.toSorted());
  expect(named).toHaveLength(50);
  const reads = s
    .since(from)
    .filter((c) => !['ecs:DescribeTaskDefinition', 'ecs:GetTaskProtection'].includes(c.action));
  expect(reads.length).toBeLessThan(20);
});
