/** ecs-agent-disconnected in the world: container instances whose agent is cut off. Each story ends with where the tasks run, and what is said. */
import { UpdateContainerInstancesStateCommand } from '@aws-sdk/client-ecs';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import {
  addService,
  breakEcsAgent,
  type ClusterOptions,
  loseHost,
  makeCluster,
  runningTasks,
  type ServiceOptions,
} from '../../world/clusters.ts';
import { containerInstanceOf, restartEcsAgent } from '../../world/ecsInstances.ts';
import { hostOf } from '../../world/fleet.ts';
import { setAgent } from '../../world/hosts.ts';
import { impair, terminateInstance } from '../../world/instances.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, createAccount, following } from './account.ts';

const NAME = 'ecs-agent-disconnected';
const automatic = { preset: 'automatic', remediations: { 'instance-impaired': { mode: 'off' } } };
const mayReplace = { ...automatic, remediations: { ...automatic.remediations, [NAME]: { mode: 'act' } } };

const started = async ({
  of = {},
  web = {},
  ...options
}: AccountOptions & { of?: ClusterOptions; web?: ServiceOptions } = {}) => {
  const account = createAccount({ policy: automatic, ...options });
  const { world, run } = account;
  const { cluster, hosts } = makeCluster(world, 'shop', of);
  const { service } = addService(world, cluster, 'web', web);
  await run(minutes(4));
  const id = hosts[0]?.id ?? '';
  const unit = () => containerInstanceOf(world, id);
  const own = unit()?.arn ?? '';
  const calls = (operation: string) => world.calls.filter((c) => c.operation === operation);
  const running = () => runningTasks(cluster, service);
  const here = () => running().filter((t) => t.containerInstance === own).length;
  return { ...account, ...following(account, id, NAME), cluster, hosts, service, id, unit, own, calls, running, here };
};

test('a hung agent is restarted after five minutes, and its tasks run on through that', async () => {
  const s = await started();
  const tasks = s.running().map((t) => t.id);
  breakEcsAgent(s.world, s.id, 'hung');
  const ill = s.clock.now();
  await s.run(minutes(30), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([['restart', 'effective']]);
  expect((s.last()?.actedAt ?? 0) - ill).toBeGreaterThanOrEqual(minutes(5));
  expect((s.last()?.closedAt ?? 0) - ill).toBeLessThan(minutes(9));
  expect(s.running().map((t) => t.id)).toEqual(tasks);
});

test('one that comes and goes is left alone', async () => {
  const s = await started();
  for (let n = 0; n < 6; n++) {
    breakEcsAgent(s.world, s.id, 'hung');
    await s.run(minutes(3));
    restartEcsAgent(s.world, hostOf(s.world, s.id));
    await s.run(minutes(4));
  }
  expect(s.incidents().filter((i) => i.remediation === NAME && i.state !== 'closed')).toEqual([]);
  expect(s.incidents().flatMap((i) => (i.remediation === NAME ? i.attempts : []))).toEqual([]);
  expect(s.calls('SendCommand').filter((c) => JSON.stringify(c.input).includes('mend-agent'))).toEqual([]);
});

test('a dead host: drained, its tasks elsewhere, replaced, and taken out of the cluster by hand of Steward', async () => {
  const s = await started({ policy: mayReplace });
  loseHost(s.world, s.id);
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  await s.run(minutes(1));
  expect(s.rungs()).toEqual([
    ['drain', 'effective'],
    ['replace', 'effective'],
    ['deregister', 'effective'],
  ]);
  expect([s.running().length, s.here()]).toEqual([3, 0]);
  expect(s.world.autoscaling.groups.get('shop')?.members.size).toBe(3);
  expect([...s.cluster.instances.values()].filter((i) => i.status === 'ACTIVE' && i.connected)).toHaveLength(3);
});

test('EventBridge is deaf: the survey finds it', async () => {
  const s = await started({ deaf: true });
  breakEcsAgent(s.world, s.id, 'stopped');
  await s.run(minutes(30), s.over);
  expect(s.rungs()).toEqual([['restart', 'effective']]);
});

describe('one sign only', () => {
  test('the network of the agent is at fault: nothing is moved, a person reads what the agent says', async () => {
    const s = await started();
    breakEcsAgent(s.world, s.id, 'broken');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toMatch(/Error connecting to ACS.*one sign is not enough to move them/);
    expect(s.rungs()).toEqual([['restart', 'ineffective']]);
    expect([s.unit()?.status, s.here()]).toEqual(['ACTIVE', 1]);
  });

  test('SSM was never there, which says nothing: it goes to a person', async () => {
    const s = await started();
    setAgent(s.world, hostOf(s.world, s.id), 'absent');
    breakEcsAgent(s.world, s.id, 'hung');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('its SSM agent is absent');
  });
});

describe('two signs', () => {
  test('the balancer finds its targets ill: drained, and a person must say yes to replacing it', async () => {
    // ECS would end the tasks itself; its grace lasts longer.
    const s = await started({ web: { balanced: true, grace: hours(3) } });
    breakEcsAgent(s.world, s.id, 'broken');
    s.world.elb.sick.add(s.id);
    for (const g of s.world.elb.groups.values())
      for (const t of g.targets.values()) if (t.id === s.id) t.state = 'unhealthy';
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'asking' });
    expect(s.rungs()?.at(-1)).toEqual(['drain', 'effective']);
    await s.run(minutes(1));
    expect([s.running().length, s.here()]).toEqual([3, 0]);
    expect(s.calls('SetInstanceHealth')).toEqual([]);
  });

  test('no room elsewhere: refused, and drained by itself once there is room', async () => {
    const s = await started({ web: { memory: 5_000 } });
    loseHost(s.world, s.id);
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('no room for 1 of its 1 service tasks');
    s.service.desired = 2;
    const freed = s.running().find((t) => t.containerInstance !== s.own);
    if (freed) Object.assign(freed, { desired: 'STOPPED', status: 'STOPPED' });
    await s.run(minutes(30), () => (s.last()?.attempts.length ?? 0) > 0);
    expect(s.rungs()?.[0]?.[0]).toBe('drain');
  });

  test('the last of its cluster: nothing is drained', async () => {
    const s = await started({ of: { instances: 1 }, web: { desired: 1 } });
    loseHost(s.world, s.id);
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  });

  test('it serves, and no other instance of the cluster does: a person is asked', async () => {
    const s = await started({ of: { instances: 2 }, web: { desired: 1 } });
    const [only] = s.running();
    const id = [...s.cluster.instances.values()].find((i) => i.arn === only?.containerInstance)?.ec2InstanceId ?? '';
    const f = following(s, id, NAME);
    breakEcsAgent(s.world, id, 'broken');
    setAgent(s.world, hostOf(s.world, id), 'silent');
    await s.run(minutes(30), f.over);
    expect(f.last()).toMatchObject({ state: 'asking' });
    expect(f.last()?.because).toContain('no other member');
  });

  test('a service that may have neither more nor fewer tasks does not move: it is said', async () => {
    const s = await started({ web: { maximumPercent: 100 } });
    loseHost(s.world, s.id);
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('web allows neither more nor fewer tasks');
  });

  test('one in no group is drained, and a person decides about it', async () => {
    const s = await started({ of: { scaled: false }, policy: mayReplace });
    loseHost(s.world, s.id);
    await s.run(hours(1), s.over);
    expect(s.rungs()).toEqual([['drain', 'effective']]);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('no Auto Scaling group') });
    expect(s.last()?.group).toBe('cluster/shop');
    // They are only told once the agent is back: until then ECS reports them as running.
    expect([...s.cluster.tasks.values()].filter((t) => t.containerInstance === s.own)).toMatchObject([
      { status: 'RUNNING', desired: 'STOPPED' },
    ]);
  });

  test('its group may not launch another: said, before anything is destroyed', async () => {
    const s = await started({ of: { group: { suspended: new Set(['Launch']) } }, policy: mayReplace });
    loseHost(s.world, s.id);
    await s.run(hours(1), s.over);
    expect(s.rungs()).toEqual([['drain', 'effective']]);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('has suspended Launch') });
  });

  test('a protected task does not move: a person is told, and may have the drain undone', async () => {
    const s = await started({ policy: mayReplace });
    const [task] = s.running().filter((t) => t.containerInstance === s.own);
    if (task) task.protectedUntil = s.clock.now() + hours(24);
    loseHost(s.world, s.id);
    await s.run(hours(1), s.over);
    expect(s.rungs()).toEqual([['drain', 'ineffective']]);
    expect(s.last()?.because).toContain('1 of its service tasks did not move');
    expect([s.unit()?.status, s.here()]).toEqual(['DRAINING', 1]);
  });

  test('drained, and then the host comes back: it takes tasks again', async () => {
    const s = await started({ of: { scaled: false } });
    loseHost(s.world, s.id);
    await s.run(hours(1), () => s.rungs()?.[0]?.[1] === 'effective');
    const ec2 = s.world.ec2.instances.get(s.id);
    if (ec2) Object.assign(ec2, { impaired: { system: false, instance: false, ebs: false }, impairedSince: undefined });
    setAgent(s.world, hostOf(s.world, s.id), 'online');
    restartEcsAgent(s.world, hostOf(s.world, s.id));
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['drain', 'effective'],
      ['activate', 'effective'],
    ]);
    expect(s.unit()).toMatchObject({ status: 'ACTIVE', connected: true });
  });
});

describe('others at work', () => {
  test('an instance refresh comes first', async () => {
    const s = await started({ of: { group: { refreshing: true } }, policy: mayReplace });
    loseHost(s.world, s.id);
    await s.run(minutes(40));
    expect(s.last()).toMatchObject({ state: 'waiting', attempts: [] });
    expect(s.last()?.because).toContain('an instance refresh of asg/shop is under way');
  });

  test('a lifecycle hook holds it', async () => {
    const s = await started({ of: { group: { hook: hours(3), notices: minutes(1) } } });
    loseHost(s.world, s.id);
    await s.run(minutes(30));
    expect(s.last()).toMatchObject({ attempts: [], because: expect.stringContaining('Terminating:Wait') });
  });

  test('somebody drains it already', async () => {
    const s = await started();
    const drain = clientsOf(s.world).ecs.send(
      new UpdateContainerInstancesStateCommand({ cluster: 'shop', containerInstances: [s.own], status: 'DRAINING' }),
    );
    await s.run(seconds(1));
    await drain;
    breakEcsAgent(s.world, s.id, 'hung');
    await s.run(minutes(20));
    expect(s.last()).toMatchObject({ attempts: [], because: expect.stringContaining('it is DRAINING already') });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
  });
});

test('terminated midway by its group: the ghost is taken out of the cluster, and that is the end', async () => {
  const s = await started();
  loseHost(s.world, s.id);
  await s.run(minutes(3), () => s.last() !== undefined);
  const ec2 = s.world.ec2.instances.get(s.id);
  if (ec2) terminateInstance(s.world, ec2);
  await s.run(minutes(30), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([['deregister', 'effective']]);
  expect([s.running().length, s.here()]).toEqual([3, 0]);
});

test('terminated with its agent connected, ECS deregisters it: closed as gone', async () => {
  const s = await started();
  breakEcsAgent(s.world, s.id, 'hung');
  await s.run(minutes(3), () => s.last() !== undefined);
  restartEcsAgent(s.world, hostOf(s.world, s.id));
  s.clock.advance(seconds(6));
  const ec2 = s.world.ec2.instances.get(s.id);
  if (ec2) terminateInstance(s.world, ec2);
  await s.run(minutes(30), s.over);
  expect(s.last()).toMatchObject({ end: 'gone', attempts: [] });
});

test('one after the other: the budget of the group lets one at a time be drained', async () => {
  const s = await started({ of: { instances: 6 }, web: { desired: 6 }, policy: mayReplace });
  const [first, second] = s.hosts;
  for (const host of [first, second]) loseHost(s.world, host?.id ?? '');
  let most = 0;
  await s.run(hours(2), () => {
    most = Math.max(most, [...s.cluster.instances.values()].filter((i) => i.status === 'DRAINING').length);
    return s.incidents().filter((i) => i.remediation === NAME && i.state === 'closed').length === 2;
  });
  expect(most).toBe(1);
  expect(s.running()).toHaveLength(6);
});

test('all agents at once are one cause: nothing is drained', async () => {
  const s = await started({ of: { instances: 6 }, web: { desired: 6 } });
  for (const { id } of s.hosts) {
    breakEcsAgent(s.world, id, 'broken');
    setAgent(s.world, hostOf(s.world, id), 'silent');
  }
  await s.run(hours(1));
  expect(s.calls('UpdateContainerInstancesState')).toEqual([]);
  expect(s.running()).toHaveLength(6);
});

test('a reply is lost, reads are late, ECS throttles: the end is the same', async () => {
  const s = await started({ policy: mayReplace });
  s.world.lag.ms = seconds(20);
  s.world.faults.failNext('ecs', 'UpdateContainerInstancesState', { kind: 'drop', afterEffect: true });
  s.world.faults.sometimes({ probability: 0.1, kind: 'throttle', service: 'ecs' });
  loseHost(s.world, s.id);
  await s.run(hours(2), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect([s.running().length, s.here()]).toEqual([3, 0]);
  expect(s.calls('SetInstanceHealth')).toHaveLength(1);
});

test('a stopped one is stopped: somebody meant that', async () => {
  const s = await started();
  impair(s.world, s.id, { system: true }, 'nothing');
  await s.run(minutes(2));
  const ec2 = s.world.ec2.instances.get(s.id);
  if (ec2) ec2.state = 'stopped';
  await s.run(minutes(20), s.over);
  expect(s.last()?.attempts ?? []).toEqual([]);
});
