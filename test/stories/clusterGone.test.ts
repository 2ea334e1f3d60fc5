/** cluster-gone in the world: a cluster that was deleted is made again as it was, and hosts that its services lack come back. */
import { UpdateAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import { DeleteClusterCommand, DeleteServiceCommand, DeregisterContainerInstanceCommand } from '@aws-sdk/client-ecs';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { addService, makeCluster, runningTasks } from '../../world/clusters.ts';
import { digestOf } from '../../world/ecs.ts';
import { createDesk } from '../cli/desk.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, following } from './account.ts';

const NAME = 'cluster-gone';
const TAGS = { 'steward:managed': 'true', team: 'shop' };
const SETTINGS = {
  settings: [{ name: 'containerInsights' as const, value: 'enhanced' }],
  configuration: { executeCommandConfiguration: { logging: 'DEFAULT' as const } },
  capacityProviders: ['shop-hosts', 'FARGATE'],
  defaultCapacityProviderStrategy: [{ capacityProvider: 'shop-hosts', weight: 1, base: 0 }],
  serviceConnectDefaults: { namespace: 'arn:aws:servicediscovery:eu-central-1:111122223333:namespace/ns-shop' },
};
const policy = (own: object = {}) => ({
  preset: 'automatic',
  remediations: {
    'release-unproven': {},
    'service-uneven-zones': { mode: 'off' },
    [NAME]: { costCapUsdPerMonth: 1_000, ...own },
  },
});
const must = policy({ mustExist: ['shop'] });

const started = async ({
  hosts = {},
  ...options
}: AccountOptions & { hosts?: Parameters<typeof makeCluster>[2] } = {}) => {
  const desk = createDesk({ policy: must, ...options });
  const { account } = desk;
  const { world, run } = account;
  makeCluster(world, 'shop', { tags: TAGS, ...hosts });
  const cluster = () => {
    const found = world.ecs.clusters.get('shop');
    if (!found) throw new Error('there was a cluster');
    return found;
  };
  cluster().settings = SETTINGS;
  addService(world, cluster(), 'web', { balanced: true, tags: TAGS });
  await run(minutes(15));
  const { ecs, autoscaling } = clientsOf(world);
  const asked = async (call: Promise<unknown>) => {
    await run(seconds(1));
    await call;
  };
  const group = () => {
    const found = world.autoscaling.groups.get('shop');
    if (!found) throw new Error('there was a group');
    return found;
  };
  const running = () => {
    const web = cluster().services.get('web');
    return web?.status === 'ACTIVE' ? runningTasks(cluster(), web) : [];
  };
  const registered = () => [...cluster().instances.values()].filter((i) => i.status === 'ACTIVE').length;
  const leave = async () => {
    for (const { arn, status } of cluster().instances.values())
      if (status === 'ACTIVE')
        await asked(
          ecs.send(new DeregisterContainerInstanceCommand({ cluster: 'shop', containerInstance: arn, force: true })),
        );
  };
  /** In the order that AWS demands. */
  const removeAll = async () => {
    await asked(ecs.send(new DeleteServiceCommand({ cluster: 'shop', service: 'web', force: true })));
    await run(minutes(10), () => cluster().services.get('web')?.status === 'INACTIVE');
    await leave();
    await asked(ecs.send(new DeleteClusterCommand({ cluster: 'shop' })));
  };
  const empty = (more: object = {}) =>
    asked(
      autoscaling.send(
        new UpdateAutoScalingGroupCommand({ AutoScalingGroupName: 'shop', MinSize: 0, DesiredCapacity: 0, ...more }),
      ),
    );
  const calls = (operation: string) =>
    world.calls.filter((c) => c.operation === operation && c.principal.includes(`remedy-${NAME}/`));
  return {
    ...account,
    ...desk,
    ...following(account, 'cluster/shop', NAME),
    web: following(account, 'service/shop/web', 'service-gone'),
    cluster,
    group,
    running,
    registered,
    leave,
    removeAll,
    empty,
    calls,
  };
};

test('it is made again as it was, its hosts register anew, and its service comes back: a person is asked for each', async () => {
  const s = await started({ policy: policy() });
  await s.removeAll();
  await s.run(hours(1), () => s.last()?.state === 'asking');
  expect(s.last()?.because).toContain('may have meant it');
  await s.steward('alice')('approve', s.last()?.id ?? '');
  await s.run(hours(2), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([
    ['create', 'effective'],
    ['refresh shop', 'effective'],
  ]);
  expect(s.cluster()).toMatchObject({ status: 'ACTIVE', tags: TAGS, settings: SETTINGS });
  await s.run(hours(1), () => s.web.last()?.state === 'asking');
  await s.steward('alice')('approve', s.web.last()?.id ?? '');
  await s.run(hours(1), () => s.web.last()?.state === 'closed');
  expect(s.running().map((t) => t.containers[0]?.digest)).toEqual(Array(3).fill(digestOf('web:1')));
  await s.run(minutes(30));
  expect(s.registered()).toBe(3);
  expect(s.group()).toMatchObject({ desired: 3, refreshing: false });
});

test('`mustExist`: without a question; the reply is lost, and it is made once', async () => {
  const s = await started();
  s.world.faults.failNext('ecs', 'CreateCluster', { kind: 'drop', afterEffect: true });
  await s.removeAll();
  await s.run(hours(2), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.calls('CreateCluster').filter((c) => c.action === 'ecs:CreateCluster')).toHaveLength(1);
  expect(s.calls('StartInstanceRefresh')).toHaveLength(1);
});

test('EventBridge is deaf: the survey misses what must be there', async () => {
  const s = await started({ deaf: true });
  await s.removeAll();
  await s.run(hours(2), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.cluster().status).toBe('ACTIVE');
});

test('somebody of `trusted` deleted it: it is meant', async () => {
  const s = await started({ policy: { ...policy(), trusted: ['arn:aws:iam::111122223333:root'] } });
  await s.removeAll();
  await s.run(minutes(30));
  expect(s.last()).toMatchObject({ end: 'not-ours', attempts: [] });
  expect(s.cluster().status).toBe('INACTIVE');
});

test('ECS tells of what is gone as if it were there, for a while: it is not taken for healthy', async () => {
  const s = await started({ policy: policy() });
  s.world.lag.ms = seconds(40);
  s.world.lag.chance = 1;
  await s.removeAll();
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ state: 'asking' });
});

test('somebody set its group to nothing: at a person’s word it has as many as before', async () => {
  const s = await started({ policy: policy() });
  await s.empty();
  await s.run(hours(1), () => s.last()?.state === 'asking');
  expect(s.last()?.because).toContain('may have meant it');
  expect(s.last()?.ask?.plan).toContain('raise asg/shop from 0 to 3 again');
  await s.steward('alice')('approve', s.last()?.id ?? '');
  await s.run(hours(2), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([['hosts shop', 'effective']]);
  expect(s.group()).toMatchObject({ desired: 3, min: 1 });
  await s.run(minutes(20));
  expect(s.running()).toHaveLength(3);
});

test('all instances die: Auto Scaling brings others by itself, and nothing is done', async () => {
  const s = await started();
  await s.leave();
  for (const id of s.group().members.keys()) {
    const instance = s.world.ec2.instances.get(id);
    if (instance) instance.state = 'terminated';
  }
  await s.run(hours(1));
  expect(s.last()?.attempts ?? []).toEqual([]);
  expect(s.running()).toHaveLength(3);
});

test('somebody took the hosts out of the cluster: the group replaces them in steps', async () => {
  const s = await started();
  await s.leave();
  await s.run(hours(2), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([['refresh shop', 'effective']]);
  await s.run(minutes(30));
  expect([s.registered(), s.running().length]).toEqual([3, 3]);
});

test('fewer hosts, and every task has its place: that is how it is now', async () => {
  const s = await started();
  await s.empty({ DesiredCapacity: 2 });
  await s.run(hours(1));
  expect(s.incidents().filter((i) => i.remediation === NAME)).toEqual([]);
  await s.empty();
  await s.run(hours(2), () => s.last()?.state === 'closed');
  expect(s.group()).toMatchObject({ desired: 2, min: 0 });
});

test.each<[string, (s: Awaited<ReturnType<typeof started>>) => Promise<void>, string]>([
  ['its maximum is lowered too', (s) => s.empty({ MaxSize: 0 }), 'more than its maximum of 0'],
  [
    'its group is deleted',
    async (s) => {
      await s.empty();
      await s.run(minutes(2));
      s.world.autoscaling.groups.delete('shop');
    },
    'asg/shop was deleted',
  ],
  [
    'nothing can be launched',
    async (s) => {
      for (const zone of Object.keys(s.world.zones)) s.world.autoscaling.lacks.add(zone);
      await s.empty();
    },
    'only 0 of the 3 that asg/shop wants are in service',
  ],
  [
    'the group is not opted in',
    async (s) => {
      s.group().tags = {};
      await s.empty();
    },
    'asg/shop: ',
  ],
  [
    'Launch is suspended',
    async (s) => {
      await s.empty();
      s.group().suspended.add('Launch');
    },
    'has suspended Launch',
  ],
  [
    'their agents name another cluster',
    async (s) => {
      s.cluster().joinedBy.clear();
      await s.leave();
    },
    'although it was refreshed',
  ],
])('a person: %s', async (_, begin, because) => {
  const s = await started();
  await begin(s);
  await s.run(hours(2), () => s.last()?.state === 'escalated');
  expect(s.last()).toMatchObject({ state: 'escalated' });
  expect(s.last()?.because).toContain(because);
});

test('a cluster that is not managed, and one that nobody has seen: nothing', async () => {
  const s = await started({ policy: policy(), hosts: { tags: {} } });
  await s.removeAll();
  await s.run(hours(1));
  expect(s.last()?.attempts ?? []).toEqual([]);
  expect(s.cluster().status).toBe('INACTIVE');
});
