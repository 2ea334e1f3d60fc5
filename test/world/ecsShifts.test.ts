/** Deployments of ECS that shift traffic: blue/green, canary, linear; and how they are left. */
import {
  type DeploymentConfiguration,
  DescribeServiceDeploymentsCommand,
  DescribeServicesCommand,
  ListServiceDeploymentsCommand,
  StopServiceDeploymentCommand,
  UpdateServiceCommand,
} from '@aws-sdk/client-ecs';
import {
  addService,
  makeCluster,
  nextDefinition,
  runningTasks,
  type ServiceOptions,
  setImage,
} from '../../world/clusters.ts';
import { terminateInstance } from '../../world/instances.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, minutes } from './clients.ts';

const ALL = { percent: 100, ms: 0 };
const BLUE_GREEN = { strategy: 'BLUE_GREEN' as const, steps: [ALL], bakeMs: minutes(10) };

const started = (options: ServiceOptions = {}) => {
  const world = createWorld({ metrics: false });
  const { cluster, hosts } = makeCluster(world, 'shop', { instances: 6 });
  const made = addService(world, cluster, 'web', { balanced: true, shifting: BLUE_GREEN, ...options });
  world.clock.advance(minutes(5));
  const { service, targetGroup, alternate } = made;
  const { ecs } = clientsOf(world);
  const images = () =>
    runningTasks(cluster, service)
      .map((t) => t.containers[0]?.image)
      .sort();
  const [first = '', second = ''] = [targetGroup?.arn, alternate?.arn];
  const weights = () => {
    const [rule] = [...world.elb.rules.values()];
    return [rule?.weights.get(first), rule?.weights.get(second)];
  };
  const healthyIn = (arn: string) =>
    [...(world.elb.groups.get(arn)?.targets.values() ?? [])].filter((t) => t.state === 'healthy').length;
  const update = (input: Partial<ConstructorParameters<typeof UpdateServiceCommand>[0]>) =>
    ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', ...input }));
  const release = (image: string, behaves: Parameters<typeof setImage>[2] = {}) => {
    setImage(world, image, behaves);
    return update({ taskDefinition: nextDefinition(world, made, image).arn });
  };
  const seen = async () =>
    (await ecs.send(new DescribeServicesCommand({ cluster: 'shop', services: ['web'] }))).services?.[0];
  const deployment = async (arn?: string) => {
    const serviceDeploymentArns = [arn ?? (await seen())?.currentServiceDeployment ?? ''];
    return (await ecs.send(new DescribeServiceDeploymentsCommand({ serviceDeploymentArns }))).serviceDeployments?.[0];
  };
  const stop = async (stopType: 'ROLLBACK' | 'ABORT' = 'ROLLBACK', arn?: string) =>
    ecs.send(
      new StopServiceDeploymentCommand({
        serviceDeploymentArn: arn ?? (await seen())?.currentServiceDeployment ?? '',
        stopType,
      }),
    );
  return {
    world,
    cluster,
    hosts,
    ...made,
    ecs,
    images,
    first,
    second,
    weights,
    healthyIn,
    update,
    release,
    seen,
    deployment,
    stop,
  };
};
type Started = ReturnType<typeof started>;
const times = (n: number, image: string) => Array<string>(n).fill(image);

/** What is seen of it each half minute, each once. */
const watched = async (s: Started, during: number) => {
  const found: unknown[] = [];
  for (let ms = 0; ms < during; ms += 30_000) {
    s.world.clock.advance(30_000);
    const { lifecycleStage, status } = (await s.deployment()) ?? {};
    const now = [status, lifecycleStage, ...s.weights()];
    if (JSON.stringify(now) !== JSON.stringify(found.at(-1))) found.push(now);
  }
  return found;
};

test('blue/green: green stands beside blue, has all traffic at once, bakes, and then blue ends', async () => {
  const s = started();
  const [blue] = s.service.deployments;
  await s.release('web:2');
  s.world.clock.advance(30_000);
  expect(s.images()).toEqual([...times(3, 'web:1'), ...times(3, 'web:2')]);
  expect(await s.deployment()).toMatchObject({ status: 'IN_PROGRESS', lifecycleStage: 'SCALE_UP' });
  expect(await s.seen()).toMatchObject({
    deploymentConfiguration: { strategy: 'BLUE_GREEN', bakeTimeInMinutes: 10 },
    loadBalancers: [{ targetGroupArn: s.first, advancedConfiguration: { alternateTargetGroupArn: s.second } }],
    deployments: [
      { status: 'PRIMARY', rolloutState: 'IN_PROGRESS', desiredCount: 3 },
      { status: 'ACTIVE', id: blue?.id, desiredCount: 3 },
    ],
  });
  expect(s.weights()).toEqual([100, 0]);
  expect(await watched(s, minutes(13))).toEqual([
    ['IN_PROGRESS', 'BAKE_TIME', 0, 100],
    ['IN_PROGRESS', 'CLEAN_UP', 0, 100],
    ['SUCCESSFUL', 'CLEAN_UP', 0, 100],
  ]);
  expect(s.images()).toEqual(times(3, 'web:2'));
  expect([s.healthyIn(s.first), s.healthyIn(s.second)]).toEqual([0, 3]);
  await s.release('web:3');
  s.world.clock.advance(minutes(20));
  expect([s.weights(), s.images()]).toEqual([[100, 0], times(3, 'web:3')]);
});

test.each<[string, DeploymentConfiguration, (number | undefined)[]]>([
  [
    'canary',
    {
      strategy: 'CANARY',
      bakeTimeInMinutes: 5,
      canaryConfiguration: { canaryPercent: 10, canaryBakeTimeInMinutes: 5 },
    },
    [0, 10, 100],
  ],
  [
    'linear',
    { strategy: 'LINEAR', bakeTimeInMinutes: 0, linearConfiguration: { stepPercent: 40, stepBakeTimeInMinutes: 3 } },
    [0, 40, 80, 100],
  ],
])('%s: step by step', async (_, deploymentConfiguration, shares) => {
  const s = started();
  await s.update({ deploymentConfiguration });
  expect((await s.seen())?.deploymentConfiguration).toMatchObject(deploymentConfiguration);
  await s.release('web:2');
  const seen = await watched(s, minutes(25));
  expect([...new Set(seen.map((one) => (one as unknown[])[3]))]).toEqual(shares);
  expect(seen.at(-1)).toEqual(['SUCCESSFUL', 'CLEAN_UP', 0, 100]);
  const { sourceServiceRevisions, targetServiceRevision } = (await s.deployment()) ?? {};
  expect([sourceServiceRevisions, targetServiceRevision]).toMatchObject([
    [{ requestedProductionTrafficWeight: 0, runningTaskCount: 0 }],
    { requestedProductionTrafficWeight: 100, runningTaskCount: 3 },
  ]);
});

describe('while it bakes', () => {
  const baking = async (options: ServiceOptions = {}) => {
    const s = started(options);
    const blue = runningTasks(s.cluster, s.service).map((t) => t.id);
    await s.release('web:2');
    s.world.clock.advance(minutes(6));
    expect(await s.deployment()).toMatchObject({ lifecycleStage: 'BAKE_TIME' });
    return { ...s, blue };
  };

  test('whoever stops it has blue back at once, with the tasks that it had', async () => {
    const s = await baking();
    const [green, blue] = s.service.deployments;
    const { currentServiceDeployment: arn = '' } = (await s.seen()) ?? {};
    await s.stop();
    expect(await s.deployment(arn)).toMatchObject({ status: 'ROLLBACK_REQUESTED' });
    s.world.clock.advance(15_000);
    expect(s.weights()).toEqual([100, 0]);
    expect(await s.deployment(arn)).toMatchObject({
      status: 'ROLLBACK_IN_PROGRESS',
      rollback: { serviceRevisionArn: expect.stringContaining(`/${blue?.id.split('/')[1]}`) },
    });
    expect((await s.seen())?.deployments).toMatchObject([
      { id: blue?.id, status: 'PRIMARY' },
      { id: green?.id, status: 'ACTIVE', rolloutState: 'FAILED' },
    ]);
    // It goes on, and nothing is begun anew.
    await s.stop('ROLLBACK', arn);
    s.world.clock.advance(minutes(3));
    expect(await s.deployment(arn)).toMatchObject({ status: 'ROLLBACK_SUCCESSFUL', finishedAt: expect.any(Date) });
    expect(runningTasks(s.cluster, s.service).map((t) => t.id)).toEqual(s.blue);
    expect(s.service.deployments).toMatchObject([{ id: blue?.id, rollout: 'COMPLETED' }]);
    expect(await failure(s.stop('ROLLBACK', arn))).toBe('ConflictException');
  });

  test('what is not understood, and what is not there', async () => {
    const s = await baking();
    expect(await failure(s.stop('ABORT'))).toBe('InvalidParameterException');
    expect(await failure(s.stop('ROLLBACK', `${s.service.arn}/none`))).toBe('ServiceDeploymentNotFoundException');
    const { failures } = await s.ecs.send(
      new DescribeServiceDeploymentsCommand({ serviceDeploymentArns: [`${s.service.arn}/none`] }),
    );
    expect(failures).toMatchObject([{ reason: 'MISSING' }]);
  });

  test('an alarm that begins to fire ends it', async () => {
    const s = await baking({ alarms: { names: ['errors'], rollback: true } });
    s.world.cloudwatch.alarms.set('errors', { state: { value: 'ALARM' } } as never);
    s.world.clock.advance(minutes(4));
    expect(await s.deployment()).toMatchObject({
      status: 'ROLLBACK_SUCCESSFUL',
      statusReason: expect.stringContaining('alarm'),
    });
    expect([s.weights(), s.images()]).toEqual([[100, 0], times(3, 'web:1')]);
  });

  test('blue is kept whole: a task of it that goes with its host is replaced', async () => {
    const s = await baking();
    const task = runningTasks(s.cluster, s.service).find((t) => s.blue.includes(t.id));
    const host = s.cluster.instances.get(task?.containerInstance?.split('/').at(-1) ?? '')?.ec2InstanceId ?? '';
    const instance = s.world.ec2.instances.get(host);
    if (!instance) throw new Error('it runs on a host');
    terminateInstance(s.world, instance);
    s.world.clock.advance(minutes(3));
    expect(await s.deployment()).toMatchObject({ lifecycleStage: 'BAKE_TIME' });
    expect(s.images()).toEqual([...times(3, 'web:1'), ...times(3, 'web:2')]);
  });

  test('another deployment takes its place: blue has the traffic until that one is there', async () => {
    const s = await baking();
    const { currentServiceDeployment: arn = '' } = (await s.seen()) ?? {};
    await s.release('web:3');
    expect([s.weights(), await s.deployment()]).toMatchObject([[100, 0], { lifecycleStage: 'RECONCILE_SERVICE' }]);
    expect(await s.deployment(arn)).toMatchObject({ status: 'STOPPED', stoppedAt: expect.any(Date) });
    s.world.clock.advance(minutes(2));
    expect(s.images().filter((image) => image === 'web:1')).toHaveLength(3);
    s.world.clock.advance(minutes(20));
    expect([s.weights(), s.images()]).toEqual([[0, 100], times(3, 'web:3')]);
  });
});

test('green whose tasks never run ends at the circuit breaker, and blue never had less than all traffic', async () => {
  const s = started({ circuitBreaker: { enable: true, rollback: true } });
  await s.release('web:2', { missing: 'not found' });
  const seen = await watched(s, minutes(15));
  expect(seen.at(-1)).toEqual(['ROLLBACK_SUCCESSFUL', 'SCALE_UP', 100, 0]);
  expect(new Set(seen.map((one) => (one as unknown[])[2]))).toEqual(new Set([100]));
  expect(s.images()).toEqual(times(3, 'web:1'));
  const { serviceDeployments = [] } = await s.ecs.send(
    new ListServiceDeploymentsCommand({ cluster: 'shop', service: 'web' }),
  );
  expect(serviceDeployments.map((d) => d.status)).toEqual(['ROLLBACK_SUCCESSFUL', 'SUCCESSFUL']);
});
