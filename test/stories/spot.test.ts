/** instance-impaired, when AWS takes a spot instance back: its work is elsewhere before it goes. */
import { minutes, seconds } from '../../shared/core/time.ts';
import { interruptSpot, recommendRebalance, type ScalingGroup } from '../../world/autoscaling.ts';
import { addService, makeCluster, runningTasks } from '../../world/clusters.ts';
import { containerInstanceOf } from '../../world/ecsInstances.ts';
import { makeTargetGroup, registerTarget } from '../../world/elb.ts';
import { createDesk } from '../cli/desk.ts';
import { following } from './account.ts';

const NAME = 'instance-impaired';

const started = async ({ group = {}, scaled = true }: { group?: Partial<ScalingGroup>; scaled?: boolean } = {}) => {
  const desk = createDesk({ policy: { preset: 'automatic' } });
  const { account } = desk;
  const { world } = account;
  const { cluster, hosts } = makeCluster(world, 'shop', { spot: true, scaled, group });
  const { service } = addService(world, cluster, 'web');
  await account.run(minutes(4));
  const id = hosts[0]?.id ?? '';
  const calls = (operation: string) => world.calls.filter((c) => c.operation === operation);
  /** Never fewer tasks than wanted, as far as ECS knows. */
  const running = () => runningTasks(cluster, service);
  return { ...account, ...following(account, id, NAME), desk, cluster, hosts, id, calls, running };
};

test('two minutes before it goes it is drained: ECS has the tasks elsewhere when it is gone', async () => {
  const s = await started();
  interruptSpot(s.world, s.id);
  await s.run(seconds(110));
  expect(s.rungs()).toEqual([['drain', 'effective']]);
  expect(containerInstanceOf(s.world, s.id)?.status).toBe('DRAINING');
  expect(s.running().map((t) => t.containerInstance)).not.toContain(containerInstanceOf(s.world, s.id)?.arn);
  expect(s.running()).toHaveLength(3);
  await s.run(minutes(10), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.world.autoscaling.groups.get('shop')?.members.size).toBe(3);
});

test('several at once: each is drained, for that spends no budget', async () => {
  const s = await started();
  const [first, second] = s.hosts.map((h) => h.id);
  for (const id of [first, second]) interruptSpot(s.world, id ?? '');
  await s.run(seconds(100));
  expect(s.calls('UpdateContainerInstancesState')).toHaveLength(2);
});

test('it leaves the target groups of its group where others serve, and stays where it is the last', async () => {
  const s = await started();
  const [many, last] = ['many', 'last'].map((name) => makeTargetGroup(s.world, name));
  if (!many || !last) throw new Error('no target groups');
  for (const { id, zone } of s.hosts) registerTarget(s.world, many, { id, port: 80, zone });
  registerTarget(s.world, last, { id: s.id, port: 80, zone: undefined });
  s.world.autoscaling.groups.get('shop')?.targetGroups.push(many.arn, last.arn);
  await s.run(minutes(5));
  interruptSpot(s.world, s.id);
  await s.run(seconds(60));
  expect([many, last].map((g) => [...g.targets.values()].find((t) => t.id === s.id)?.state)).toEqual([
    'draining',
    'healthy',
  ]);
  expect(s.calls('DeregisterTargets')).toMatchObject([{ allowed: true, resources: [many.arn] }]);
});

describe('a recommendation', () => {
  test('with Capacity Rebalancing: drained only when the other one is in service', async () => {
    const s = await started({ group: { capacityRebalance: true } });
    recommendRebalance(s.world, s.id);
    await s.run(seconds(20));
    expect(s.last()).toMatchObject({ attempts: [], because: expect.stringContaining('launches another first') });
    await s.run(minutes(2), () => s.rungs()?.[0]?.[1] === 'effective');
    expect(s.world.ec2.instances.get(s.id)?.state).toBe('running');
    await s.run(minutes(20), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.running()).toHaveLength(3);
  });

  test('without it nothing is drained: it may never come to that', async () => {
    const s = await started();
    recommendRebalance(s.world, s.id);
    await s.run(minutes(20), s.over);
    expect(s.last()?.attempts).toEqual([]);
    expect(s.calls('UpdateContainerInstancesState')).toEqual([]);
  });
});

test('one in no group is drained too, and a person is told', async () => {
  const s = await started({ scaled: false });
  interruptSpot(s.world, s.id);
  await s.run(seconds(100));
  expect(s.rungs()).toEqual([['drain', 'effective']]);
  expect(s.last()).toMatchObject({ state: 'escalated' });
});

test('AWS did not take it after all: a person is told that it drains, and undo lets it take tasks again', async () => {
  const s = await started();
  s.world.events.emit({
    source: 'aws.ec2',
    detailType: 'EC2 Spot Instance Interruption Warning',
    resources: [],
    detail: { 'instance-id': s.id, 'instance-action': 'terminate' },
  });
  await s.run(minutes(30), () => s.last()?.state === 'escalated');
  expect(s.last()?.because).toContain('it still drains');
  await s.desk.steward('alice')('undo', s.last()?.id ?? '');
  await s.run(minutes(2));
  expect(s.last()).toMatchObject({ end: 'undone' });
  expect(containerInstanceOf(s.world, s.id)?.status).toBe('ACTIVE');
});
