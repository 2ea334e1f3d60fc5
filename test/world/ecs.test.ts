/** ECS in the world: what its scheduler does by itself, and what it cannot do while an agent is cut off. */
import {
  DeregisterContainerInstanceCommand,
  DescribeContainerInstancesCommand,
  DescribeServiceRevisionsCommand,
  DescribeServicesCommand,
  DescribeTasksCommand,
  ListContainerInstancesCommand,
  ListServiceDeploymentsCommand,
  ListTasksCommand,
  RegisterTaskDefinitionCommand,
  StopTaskCommand,
  UpdateContainerInstancesStateCommand,
  UpdateServiceCommand,
  UpdateTaskProtectionCommand,
} from '@aws-sdk/client-ecs';
import { DescribeTargetHealthCommand } from '@aws-sdk/client-elastic-load-balancing-v2';
import {
  addService,
  breakEcsAgent,
  type ClusterOptions,
  loseHost,
  makeCluster,
  runningTasks,
  type ServiceOptions,
  setImage,
} from '../../world/clusters.ts';
import { containerInstanceOf, restartEcsAgent } from '../../world/ecsInstances.ts';
import { hostOf } from '../../world/fleet.ts';
import { terminateInstance } from '../../world/instances.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, hours, minutes } from './clients.ts';

const started = ({ desired = 3, ...options }: ServiceOptions = {}, of: ClusterOptions = {}) => {
  const world = createWorld({ metrics: false });
  const { cluster, hosts } = makeCluster(world, 'shop', of);
  const { service, targetGroup } = addService(world, cluster, 'web', { desired, ...options });
  world.clock.advance(minutes(5));
  const { ecs, elb } = clientsOf(world);
  const id = hosts[0]?.id ?? '';
  const own = containerInstanceOf(world, id)?.arn ?? '';
  return {
    world,
    cluster,
    hosts,
    service,
    targetGroup,
    ecs,
    elb,
    id,
    own,
    running: () => runningTasks(cluster, service),
    on: (arn: string) => runningTasks(cluster, service).filter((t) => t.containerInstance === arn).length,
    messages: () => service.events.map((e) => e.message),
    said: (detailType: string) => world.events.sent.filter((e) => e['detail-type'] === detailType),
    drain: (status: 'ACTIVE' | 'DRAINING' = 'DRAINING') =>
      ecs.send(new UpdateContainerInstancesStateCommand({ cluster: 'shop', containerInstances: [own], status })),
  };
};

describe('services', () => {
  test('start their tasks, spread by zone, and say that they are steady', async () => {
    const s = started({ desired: 6 });
    const zones = s.running().map((t) => t.zone);
    expect(Object.keys(s.world.zones).map((z) => zones.filter((o) => o === z).length)).toEqual([2, 2, 2]);
    const { services: [seen] = [] } = await s.ecs.send(
      new DescribeServicesCommand({ cluster: 'shop', services: ['web', 'none'] }),
    );
    expect(seen).toMatchObject({
      runningCount: 6,
      pendingCount: 0,
      deployments: [{ status: 'PRIMARY', rolloutState: 'COMPLETED', runningCount: 6 }],
    });
    expect(seen?.events?.[0]?.message).toBe('(service web) has reached a steady state.');
    expect(s.said('ECS Service Action')[0]?.detail).toMatchObject({ eventName: 'SERVICE_STEADY_STATE' });
    expect(s.said('ECS Deployment State Change').at(-1)?.detail).toMatchObject({
      eventName: 'SERVICE_DEPLOYMENT_COMPLETED',
    });
  });

  test('replace what is stopped, and what ends by itself', async () => {
    const s = started();
    const [first, second] = s.running();
    await s.ecs.send(new StopTaskCommand({ cluster: 'shop', task: first?.arn ?? '', reason: 'by hand' }));
    s.world.clock.advance(minutes(2));
    expect(s.running()).toHaveLength(3);
    const { tasks } = await s.ecs.send(
      new DescribeTasksCommand({ cluster: 'shop', tasks: [first?.arn ?? '', second?.arn ?? ''] }),
    );
    expect(tasks).toMatchObject([
      { lastStatus: 'STOPPED', stopCode: 'UserInitiated', stoppedReason: 'by hand', containers: [{ exitCode: 143 }] },
      { lastStatus: 'RUNNING', desiredStatus: 'RUNNING' },
    ]);
    setImage(s.world, 'web:1', { exits: { afterMs: minutes(1), code: 1 } });
    await s.ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', forceNewDeployment: true }));
    s.world.clock.advance(minutes(3));
    const ended = [...s.cluster.tasks.values()].filter((t) => t.stopCode === 'EssentialContainerExited');
    expect(ended.length).toBeGreaterThan(2);
    expect(ended[0]?.containers).toMatchObject([{ exitCode: 1 }]);
  });

  test('say so when there is no room, once, and start when there is', async () => {
    const s = started({ desired: 6, memory: 4_000 });
    expect(s.running()).toHaveLength(3);
    const cannot = s.messages().filter((m) => m.includes('unable to place a task'));
    expect(cannot).toHaveLength(1);
    expect(cannot[0]).toMatch(
      /The closest matching \(container-instance [0-9a-f]{32}\) has insufficient memory available\./,
    );
    expect(s.said('ECS Service Action').at(-1)?.detail).toMatchObject({
      eventName: 'SERVICE_TASK_PLACEMENT_FAILURE',
      reason: 'RESOURCE:MEMORY',
    });
    await s.ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', desiredCount: 2 }));
    s.world.clock.advance(minutes(2));
    expect(s.running()).toHaveLength(2);
    expect(s.service.steady).toBe(true);
  });
});

describe('deployments', () => {
  const release = async (s: ReturnType<typeof started>, image: string) => {
    const { taskDefinition } = await s.ecs.send(
      new RegisterTaskDefinitionCommand({
        family: 'web',
        containerDefinitions: [
          { name: 'web', image, cpu: 256, memory: 512, portMappings: [{ containerPort: 8080, hostPort: 0 }] },
        ],
      }),
    );
    await s.ecs.send(
      new UpdateServiceCommand({ cluster: 'shop', service: 'web', taskDefinition: taskDefinition?.taskDefinitionArn }),
    );
  };

  test('start the new before they stop the old, and never have fewer healthy than the minimum', async () => {
    const s = started({ balanced: true });
    await release(s, 'web:2');
    let least = Number.POSITIVE_INFINITY;
    for (let n = 0; n < 40; n++) {
      s.world.clock.advance(15_000);
      const healthy = [...(s.targetGroup?.targets.values() ?? [])].filter((t) => t.state === 'healthy').length;
      least = Math.min(least, healthy);
    }
    expect(least).toBe(3);
    expect(s.running().map((t) => t.containers[0]?.image)).toEqual(['web:2', 'web:2', 'web:2']);
    expect(s.service.deployments).toMatchObject([{ rollout: 'COMPLETED' }]);
  });

  test.each([
    ['cannot be pulled', { missing: 'docker.io/web:2: not found' }],
    ['does not become healthy', { healthy: false }],
  ])('of an image that %s end at the circuit breaker, which goes back', async (_, image) => {
    const s = started({ balanced: true, circuitBreaker: { enable: true, rollback: true } });
    setImage(s.world, 'web:2', image);
    await release(s, 'web:2');
    s.world.clock.advance(hours(1));
    expect(s.said('ECS Deployment State Change').map((e) => e.detail['eventName'])).toContain(
      'SERVICE_DEPLOYMENT_FAILED',
    );
    expect(s.running().map((t) => t.containers[0]?.image)).toEqual(['web:1', 'web:1', 'web:1']);
    expect(s.service.deployments).toMatchObject([{ rollout: 'COMPLETED' }]);
  });

  test('without it the restart throttle makes each try later than the one before', async () => {
    const s = started({ desired: 1 });
    setImage(s.world, 'web:2', { missing: 'not found' });
    await release(s, 'web:2');
    s.world.clock.advance(minutes(30));
    const failed = [...s.cluster.tasks.values()]
      .filter((t) => t.stopCode === 'TaskFailedToStart')
      .map((t) => t.createdAt);
    const gaps = failed.slice(1).map((at, i) => at - (failed[i] ?? 0));
    expect(failed.length).toBeGreaterThan(4);
    expect(failed.length).toBeLessThan(12);
    expect(gaps).toEqual([...gaps].sort((a, b) => a - b));
    expect(s.messages().some((m) => m.includes('unable to consistently start tasks'))).toBe(true);
    // What ran goes on running.
    expect(s.running()).toHaveLength(1);
  });
});

describe('container instances', () => {
  test('are found by their EC2 instance, and described in one call', async () => {
    const s = started();
    const { containerInstanceArns } = await s.ecs.send(
      new ListContainerInstancesCommand({ cluster: 'shop', filter: `ec2InstanceId == ${s.id}` }),
    );
    expect(containerInstanceArns).toEqual([s.own]);
    const { containerInstances, failures } = await s.ecs.send(
      new DescribeContainerInstancesCommand({ cluster: 'shop', containerInstances: [s.own, 'none'] }),
    );
    expect(containerInstances).toMatchObject([
      {
        ec2InstanceId: s.id,
        status: 'ACTIVE',
        agentConnected: true,
        runningTasksCount: 1,
        attributes: expect.arrayContaining([{ name: 'ecs.availability-zone', value: 'eu-central-1a' }]),
        remainingResources: expect.arrayContaining([{ name: 'CPU', type: 'INTEGER', integerValue: 2048 - 256 }]),
      },
    ]);
    expect(failures).toMatchObject([{ reason: 'MISSING' }]);
    expect(await failure(s.ecs.send(new ListTasksCommand({ cluster: 'none' })))).toBe('ClusterNotFoundException');
  });

  test('that drain: replacements run first, then they are empty; ACTIVE again they take tasks', async () => {
    const s = started({ balanced: true });
    await s.drain();
    s.world.clock.advance(30_000);
    expect(s.running().length).toBe(4);
    s.world.clock.advance(minutes(10));
    expect([s.running().length, s.on(s.own)]).toEqual([3, 0]);
    await s.drain('ACTIVE');
    await s.ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', desiredCount: 4 }));
    s.world.clock.advance(minutes(2));
    expect(s.on(s.own)).toBe(1);
  });

  test('that drain with a full cluster wait: nothing is stopped without a replacement', async () => {
    const s = started({ memory: 5_000 });
    await s.drain();
    s.world.clock.advance(minutes(20));
    expect(s.on(s.own)).toBe(1);
    expect(s.messages()[0]).toContain('unable to place a task');
  });

  test('a protected task keeps one from being empty', async () => {
    const s = started();
    const [task] = s.running().filter((t) => t.containerInstance === s.own);
    await s.ecs.send(
      new UpdateTaskProtectionCommand({ cluster: 'shop', tasks: [task?.arn ?? ''], protectionEnabled: true }),
    );
    await s.drain();
    s.world.clock.advance(minutes(20));
    expect(s.on(s.own)).toBe(1);
    s.world.clock.advance(hours(2));
    await s.ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', desiredCount: 3 }));
    s.world.clock.advance(minutes(5));
    expect(s.on(s.own)).toBe(0);
  });
});

describe('an agent that is cut off', () => {
  test('its tasks run on and are not replaced; what is asked of them hangs until it is back', async () => {
    const s = started();
    breakEcsAgent(s.world, s.id, 'hung');
    s.world.clock.advance(minutes(30));
    expect(s.said('ECS Container Instance State Change').at(-1)?.detail).toMatchObject({
      agentConnected: false,
      ec2InstanceId: s.id,
      status: 'ACTIVE',
    });
    expect([s.running().length, s.on(s.own)]).toEqual([3, 1]);
    await s.drain();
    s.world.clock.advance(minutes(30));
    const stuck = [...s.cluster.tasks.values()].filter((t) => t.containerInstance === s.own);
    expect(stuck).toMatchObject([{ status: 'RUNNING', desired: 'STOPPED' }]);
    // The replacement was started elsewhere all the same.
    expect(s.running()).toHaveLength(3);
    restartEcsAgent(s.world, hostOf(s.world, s.id));
    s.world.clock.advance(minutes(1));
    expect(stuck).toMatchObject([{ status: 'STOPPED' }]);
  });

  test('takes no new task', async () => {
    const s = started();
    breakEcsAgent(s.world, s.id, 'stopped');
    s.world.clock.advance(minutes(1));
    await s.ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', desiredCount: 9 }));
    s.world.clock.advance(minutes(5));
    expect([s.running().length, s.on(s.own)]).toEqual([9, 1]);
  });

  test('the balancer sees a dead host, and ECS replaces what fails its health checks', async () => {
    const s = started({ balanced: true });
    loseHost(s.world, s.id);
    s.world.clock.advance(minutes(5));
    const { TargetHealthDescriptions = [] } = await s.elb.send(
      new DescribeTargetHealthCommand({ TargetGroupArn: s.targetGroup?.arn }),
    );
    expect(TargetHealthDescriptions.filter((t) => t.TargetHealth?.State === 'healthy')).toHaveLength(3);
    expect(TargetHealthDescriptions.filter((t) => t.Target?.Id === s.id)).toEqual([]);
    expect(s.messages().some((m) => m.includes('failed ELB health checks'))).toBe(true);
  });

  test('without a balancer a dead host keeps its tasks, even after it is terminated: until it is deregistered', async () => {
    const s = started();
    loseHost(s.world, s.id);
    s.world.clock.advance(minutes(5));
    const ec2 = s.world.ec2.instances.get(s.id);
    if (ec2) terminateInstance(s.world, ec2);
    s.world.clock.advance(minutes(30));
    expect(containerInstanceOf(s.world, s.id)).toMatchObject({ status: 'ACTIVE', connected: false });
    expect(s.on(s.own)).toBe(1);
    const deregister = (force: boolean) =>
      s.ecs.send(new DeregisterContainerInstanceCommand({ cluster: 'shop', containerInstance: s.own, force }));
    expect(await failure(deregister(false))).toBe('InvalidParameterException');
    await deregister(true);
    s.world.clock.advance(minutes(2));
    expect([s.running().length, s.on(s.own)]).toEqual([3, 0]);
  });
});

test('one that is terminated with its agent connected is deregistered by ECS; its group brings another, which joins', () => {
  const s = started();
  const ec2 = s.world.ec2.instances.get(s.id);
  const member = s.world.autoscaling.groups.get('shop');
  if (ec2) terminateInstance(s.world, ec2);
  s.world.clock.advance(minutes(1));
  expect(s.cluster.instances.get(s.own.split('/').at(-1) ?? '')?.status).toBe('INACTIVE');
  expect([...s.cluster.tasks.values()].find((t) => t.containerInstance === s.own)).toMatchObject({
    status: 'STOPPED',
    stoppedReason: `Host EC2 (instance ${s.id}) terminated.`,
  });
  expect(s.running()).toHaveLength(3);
  expect(member?.members.size).toBe(3);
});

test('on Fargate tasks have addresses of their own, and zones without capacity are passed over', async () => {
  const world = createWorld({ metrics: false });
  const { cluster } = makeCluster(world, 'jobs', { instances: 0 });
  world.ecs.fargateLacks.add('eu-central-1b');
  const { service, targetGroup } = addService(world, cluster, 'api', {
    launchType: 'FARGATE',
    desired: 4,
    balanced: true,
  });
  world.clock.advance(minutes(5));
  expect(
    runningTasks(cluster, service)
      .map((t) => t.zone)
      .sort(),
  ).toEqual(['eu-central-1a', 'eu-central-1a', 'eu-central-1c', 'eu-central-1c']);
  expect([...(targetGroup?.targets.values() ?? [])].map((t) => [t.port, t.state])).toEqual(
    Array(4).fill([8080, 'healthy']),
  );
});

test('what was deployed is kept: each deployment with what came of it, each revision with the digests that its tags meant then', async () => {
  const s = started();
  const before = s.service.history[0]?.images[0]?.digest;
  setImage(s.world, 'web:1', { digest: 'sha256:moved', missing: 'web:1: not found' });
  await s.ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', forceNewDeployment: true }));
  s.world.clock.advance(minutes(5));
  const list = async (status: 'SUCCESSFUL' | 'IN_PROGRESS') =>
    (await s.ecs.send(new ListServiceDeploymentsCommand({ cluster: 'shop', service: 'web', status: [status] })))
      .serviceDeployments ?? [];
  const [[whole, ...older], [begun]] = [await list('SUCCESSFUL'), await list('IN_PROGRESS')];
  expect(older).toEqual([]);
  expect([whole?.finishedAt, begun?.finishedAt]).toEqual([expect.any(Date), undefined]);
  const serviceRevisionArns = [whole, begun].map((d) => d?.targetServiceRevisionArn ?? '');
  const { serviceRevisions = [], failures } = await s.ecs.send(
    new DescribeServiceRevisionsCommand({ serviceRevisionArns: [...serviceRevisionArns, `${s.service.arn}/none`] }),
  );
  expect(serviceRevisions.map((r) => r.containerImages)).toEqual([
    [{ containerName: 'web', image: 'web:1', imageDigest: before }],
    [{ containerName: 'web', image: 'web:1', imageDigest: 'sha256:moved' }],
  ]);
  expect(failures).toMatchObject([{ reason: 'MISSING' }]);
});

test('tags are told only when they are asked for', async () => {
  const s = started({ tags: { team: 'shop' } });
  const tags = async (include: 'TAGS'[]) =>
    (await s.ecs.send(new DescribeServicesCommand({ cluster: 'shop', services: ['web'], include }))).services?.[0]
      ?.tags;
  expect([await tags([]), await tags(['TAGS'])]).toEqual([undefined, [{ key: 'team', value: 'shop' }]]);
});

test('a task definition of a service that CodeDeploy deploys is not changed by others', async () => {
  const s = started({ controller: 'CODE_DEPLOY' });
  const input = { cluster: 'shop', service: 'web', taskDefinition: 'web' };
  expect(await failure(s.ecs.send(new UpdateServiceCommand(input)))).toBe('InvalidParameterException');
});

test('with lag a read may be old, and what was just made may not be found yet', async () => {
  const world = createWorld({ metrics: false });
  makeCluster(world, 'shop', { instances: 1 });
  world.lag.ms = minutes(1);
  world.lag.chance = 1;
  const { ecs } = clientsOf(world);
  const own = [...(world.ecs.clusters.get('shop')?.instances.values() ?? [])][0]?.arn ?? '';
  const input = { cluster: 'shop', containerInstances: [own] };
  await ecs.send(new UpdateContainerInstancesStateCommand({ ...input, status: 'DRAINING' }));
  const status = async () =>
    (await ecs.send(new DescribeContainerInstancesCommand(input))).containerInstances?.[0]?.status;
  expect(await status()).toBe('ACTIVE');
  world.clock.advance(minutes(2));
  expect(await status()).toBe('DRAINING');
});
