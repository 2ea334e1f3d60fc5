/** service-failing in the world: ECS services on EC2 and Fargate whose tasks hang, crash or find no place. Each story ends with what serves, and what is said. */
import { DeleteServiceCommand, RunTaskCommand, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { signalMessage } from '../../events/steward/signal.ts';
import { targetOf } from '../../shared/core/target.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { remediations } from '../../shared/remediations/index.ts';
import {
  addService,
  type ClusterOptions,
  hangTasks,
  makeCluster,
  runningTasks,
  type ServiceOptions,
  setImage,
} from '../../world/clusters.ts';
import type { Task } from '../../world/ecs.ts';
import { deploy } from '../../world/ecsScheduler.ts';
import { containerExits } from '../../world/ecsTasks.ts';
import { registerDefinition } from '../../world/ecsWorkloads.ts';
import { createDesk } from '../cli/desk.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, createAccount, following } from './account.ts';

const NAME = 'service-failing';
const MANAGED = { 'steward:managed': 'true' };
const automatic = { preset: 'automatic' };
const byItself = { preset: 'automatic', remediations: { [NAME]: { rollBack: true } } };

interface Told extends AccountOptions {
  readonly of?: ClusterOptions;
  readonly web?: ServiceOptions;
}
/** A service `web` behind a load balancer, three tasks on three instances, steady for a quarter of an hour. */
const started = async ({ of = {}, web = {}, ...options }: Told = {}) => {
  const account = createAccount({ policy: automatic, ...options });
  const { world, run } = account;
  const { cluster, hosts } = makeCluster(world, 'shop', of);
  const made = addService(world, cluster, 'web', { balanced: true, tags: MANAGED, ...web });
  const { service } = made;
  await run(minutes(15));
  const calls = (operation: string) => world.calls.filter((c) => c.action.endsWith(`:${operation}`));
  const running = () => runningTasks(cluster, service);
  /** What a person or a pipeline asks of ECS. */
  const asked = async (call: Promise<unknown>) => {
    await run(seconds(1));
    await call;
  };
  const release = (image: string, more: object = {}) => {
    const [container] = made.definition.containers;
    if (!container) throw new Error('web has a container');
    const { cpu: _cpu, memory: _memory, ...rest } = made.definition;
    const next = registerDefinition(world, { ...rest, containers: [{ ...container, image, ...more }] });
    return asked(
      clientsOf(world).ecs.send(
        new UpdateServiceCommand({ cluster: 'shop', service: 'web', taskDefinition: next.arn }),
      ),
    );
  };
  const deployed = () => service.deployments[0]?.definition.split('/').at(-1);
  return {
    ...account,
    ...following(account, 'service/shop/web', NAME),
    ...made,
    cluster,
    hosts,
    calls,
    running,
    asked,
    release,
    deployed,
  };
};
type Started = Awaited<ReturnType<typeof started>>;

const hang = (s: Started, tasks: readonly Task[]) => hangTasks(s.world, s, tasks);

describe('a task that hangs', () => {
  test.each(['EC2', 'FARGATE'] as const)(
    '%s: it is stopped while the others serve, and replaced',
    async (launchType) => {
      const s = await started({ web: { launchType } });
      const [ill, ...others] = s.running();
      if (!ill) throw new Error('there are tasks');
      hang(s, [ill]);
      await s.run(minutes(30), s.over);
      expect(s.last()).toMatchObject({ end: 'healthy' });
      expect(s.rungs()).toEqual([[`stop ${ill.id}`, 'effective']]);
      expect(s.calls('StopTask')).toHaveLength(1);
      expect(s.running().map((t) => t.id)).toEqual(expect.arrayContaining(others.map((t) => t.id)));
      expect(s.running()).toHaveLength(3);
    },
  );

  test('within its grace period it is let be', async () => {
    const s = await started({ web: { grace: hours(2) } });
    hang(s, s.running().slice(0, 1));
    await s.run(minutes(40));
    expect(s.calls('StopTask')).toEqual([]);
    await s.run(hours(2), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.calls('StopTask')).toHaveLength(1);
  });

  test('two: one after the other, not within two minutes', async () => {
    const s = await started({ web: { desired: 5 } });
    hang(s, s.running().slice(0, 2));
    await s.run(minutes(40), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    const [first, second, ...more] = s.calls('StopTask').map((c) => c.at);
    expect(more).toEqual([]);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(minutes(2));
  });

  test('all are unhealthy, as where the health endpoint lies: none is stopped, a person is asked', async () => {
    const s = await started({ web: { overlooks: true } });
    setImage(s.world, 'web:1', { healthy: false });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain(
      '0 of 3 tasks serve; 3 are unhealthy: more hang than serve, so none is stopped',
    );
    expect(s.calls('StopTask')).toEqual([]);
  });

  test('the only one there is, is never stopped', async () => {
    const s = await started({ web: { desired: 1 } });
    hang(s, s.running());
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  });

  test('what was stopped is asked for twice: a lost reply, late reads and a throttled ECS change nothing', async () => {
    const s = await started({ web: { desired: 4 } });
    s.world.lag.ms = seconds(20);
    s.world.faults.failNext('ecs', 'StopTask', { kind: 'drop', afterEffect: true });
    s.world.faults.sometimes({ probability: 0.1, kind: 'throttle', service: 'ecs' });
    hang(s, s.running().slice(0, 1));
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.calls('StopTask').filter((c) => c.error === undefined).length).toBeLessThanOrEqual(1);
    expect(s.running()).toHaveLength(4);
  });

  test('EventBridge is deaf: the survey finds it', async () => {
    const s = await started({ deaf: true });
    hang(s, s.running().slice(0, 1));
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.calls('StopTask')).toHaveLength(1);
  });

  test('somebody wants fewer meanwhile: nothing is left to do', async () => {
    const s = await started();
    hang(s, s.running().slice(0, 1));
    await s.run(minutes(7), () => s.last() !== undefined);
    await s.asked(
      clientsOf(s.world).ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', desiredCount: 0 })),
    );
    await s.run(minutes(20), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
  });

  test('the service is deleted midway: it is none of ours any more', async () => {
    const s = await started();
    hang(s, s.running().slice(0, 1));
    await s.run(minutes(7), () => s.last() !== undefined);
    await s.asked(
      clientsOf(s.world).ecs.send(new DeleteServiceCommand({ cluster: 'shop', service: 'web', force: true })),
    );
    await s.run(minutes(20), s.over);
    expect(s.last()).toMatchObject({ state: 'closed', attempts: [] });
    expect(s.last()?.because).toContain('it is being deleted');
  });

  test('a service without the tag is not looked into', async () => {
    const s = await started({ web: { tags: {} } });
    hang(s, s.running().slice(0, 1));
    await s.run(minutes(40));
    expect(s.calls('StopTask')).toEqual([]);
    expect(s.incidents().filter((i) => i.remediation === NAME && i.state !== 'closed')).toEqual([]);
  });
});

describe('a revision whose tasks end by themselves', () => {
  const crashing = async (told: Told = {}) => {
    const s = await started(told);
    setImage(s.world, 'web:2', { exits: { afterMs: seconds(40), code: 1, reason: 'panic: no database' } });
    await s.release('web:2');
    return s;
  };

  test('the former one is deployed again, at a person’s word', async () => {
    const s = await crashing();
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'asking', attempts: [] });
    expect(s.last()?.because).toContain('old code may not run with what newer code has written');
    expect(s.last()?.because).toContain('deploy web:1 to web again');
    expect(s.deployed()).toBe('web:2');
  });

  test('the policy lets it: without asking, once; and it must last', async () => {
    const s = await crashing({ policy: byItself });
    await s.run(hours(2), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['roll-back', 'effective']]);
    expect(s.deployed()).toBe('web:1');
    const [{ at = 0 } = {}] = s.calls('UpdateService').filter((c) => c.principal.includes(NAME));
    expect((s.last()?.closedAt ?? 0) - at).toBeGreaterThanOrEqual(minutes(10));
  });

  test('somebody deploys a better one meanwhile: theirs stays', async () => {
    const s = await crashing({ policy: byItself });
    await s.run(minutes(4));
    await s.release('web:3');
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
    expect(s.deployed()).toBe('web:3');
  });

  test('another deployment begins between the look and the act: it is not undone', async () => {
    let theirs: (() => void) | undefined;
    let calls: Started['world']['calls'] = [];
    const s = await crashing({
      policy: byItself,
      around: (_what, wait) => {
        const last = calls.at(-1);
        // The session of the act is there, and nothing was asked with it yet.
        if (last?.operation === 'AssumeRole' && JSON.stringify(last.input).includes(`${NAME}-act`)) {
          theirs?.();
          theirs = undefined;
        }
        return wait();
      },
    });
    const { arn } = registerDefinition(s.world, s.definition);
    calls = s.world.calls;
    theirs = () => void deploy(s.world, s.service, arn);
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(theirs).toBeUndefined();
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [{ outcome: { kind: 'permanent' } }] });
    expect(s.last()?.attempts[0]?.outcome?.because).toContain('was deployed to web meanwhile');
    expect(s.service.deployments[0]?.definition).toBe(arn);
  });

  test('rolled back, and that crashes too: a person, not round and round', async () => {
    const s = await crashing({ policy: byItself });
    setImage(s.world, 'web:1', { exits: { afterMs: seconds(50), code: 2 } });
    await s.run(hours(3), s.over);
    expect(s.calls('UpdateService').filter((c) => c.principal.includes(NAME))).toHaveLength(1);
    expect(s.last()).toMatchObject({ state: 'escalated' });
  });

  test('rolled back, and fewer serve than before: the newer one is deployed again', async () => {
    const s = await started({ policy: byItself, web: { minimumHealthyPercent: 0 } });
    await s.release('web:2');
    await s.run(minutes(20));
    hang(s, s.running().slice(0, 2));
    setImage(s.world, 'web:1', { healthy: false });
    await s.run(hours(1), () => s.deployed() === 'web:1');
    await s.run(hours(1), () => s.deployed() === 'web:2');
    await s.run(minutes(10), () => s.last()?.state === 'closed');
    expect(
      s
        .last()
        ?.log.map((l) => l.say)
        .join('\n'),
    ).toContain('made it worse; it was put back');
    expect(s.rungs()).toEqual([
      ['roll-back', 'harmful'],
      ['undo', undefined],
    ]);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.calls('UpdateService').filter((c) => c.principal.includes(NAME))).toHaveLength(2);
  });

  test('it ran whole for two days: what it depends on has failed, not the revision', async () => {
    const s = await started({ policy: byItself });
    await s.release('web:2');
    await s.run(hours(49), undefined, minutes(30));
    setImage(s.world, 'web:2', { exits: { afterMs: seconds(40), code: 1 } });
    for (const t of s.running()) containerExits(s.world, t, 'web', 1);
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('web:2 was deployed 2 d ago, so it is not what is new');
    expect(s.deployed()).toBe('web:2');
  });

  test('the tag has moved below the same revision: a person has the digest that ran', async () => {
    const s = await started({ policy: byItself });
    const digest = s.service.history[0]?.images[0]?.digest ?? '';
    setImage(s.world, 'web:1', { digest: 'sha256:0123', exits: { afterMs: seconds(40), code: 1 } });
    await s.asked(
      clientsOf(s.world).ecs.send(
        new UpdateServiceCommand({ cluster: 'shop', service: 'web', forceNewDeployment: true }),
      ),
    );
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.remedy).toContain(`web@${digest}`);
  });

  test('what CodeDeploy deploys is left to it', async () => {
    const s = await started({ policy: byItself, web: { controller: 'CODE_DEPLOY' } });
    setImage(s.world, 'web:1', { exits: { afterMs: seconds(40), code: 1 } });
    for (const t of s.running()) containerExits(s.world, t, 'web', 1);
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('CODE_DEPLOY deploys it, not ECS');
  });

  test('one restart is none of Steward’s business', async () => {
    const s = await started();
    for (const t of s.running().slice(0, 1)) containerExits(s.world, t, 'web', 1);
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
  });

  test('killed for want of memory: a person, with the limit', async () => {
    const s = await started({ policy: byItself });
    setImage(s.world, 'web:2', {
      exits: { afterMs: seconds(40), code: 137, reason: 'OutOfMemoryError: Container killed due to memory usage' },
    });
    await s.release('web:2', { memory: 640 });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('were killed for want of memory');
    expect(s.last()?.remedy).toContain('web may use 640 MiB');
  });

  test('its image cannot be pulled: a person, with what the registry says', async () => {
    const s = await started({ policy: byItself });
    setImage(s.world, 'web:2', { missing: 'web:2: not found' });
    await s.release('web:2');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('CannotPullContainerError');
    expect(s.last()?.remedy).toContain('registry');
    expect(s.running()).toHaveLength(3);
  });

  test('ECS’s own circuit breaker comes first, and goes back by itself', async () => {
    const s = await started({ policy: byItself, web: { circuitBreaker: { enable: true, rollback: true } } });
    setImage(s.world, 'web:2', { missing: 'web:2: not found' });
    await s.release('web:2');
    await s.run(hours(2), () => s.deployed() === 'web:1');
    expect(s.calls('UpdateService').filter((c) => c.principal.includes(NAME))).toEqual([]);
    expect(s.running()).toHaveLength(3);
  });

  test('rolled back, and a person wants the newer one after all: undo', async () => {
    const desk = createDesk({ policy: byItself });
    const { account } = desk;
    const { world, run } = account;
    const { cluster } = makeCluster(world, 'shop');
    const { service, definition } = addService(world, cluster, 'web', { tags: MANAGED });
    await run(minutes(15));
    setImage(world, 'web:2', { exits: { afterMs: seconds(40), code: 1 } });
    const [container] = definition.containers;
    if (!container) throw new Error('web has a container');
    const next = registerDefinition(world, { ...definition, containers: [{ ...container, image: 'web:2' }] });
    const call = clientsOf(world).ecs.send(
      new UpdateServiceCommand({ cluster: 'shop', service: 'web', taskDefinition: next.arn }),
    );
    await run(hours(1), () => account.incidentOf('service/shop/web')?.attempts.at(-1)?.effect === 'effective');
    await call;
    expect(service.deployments[0]?.definition).toBe(definition.arn);
    await desk.steward('alice')('undo', account.incidentOf('service/shop/web')?.id ?? '');
    await run(minutes(2));
    expect(service.deployments[0]?.definition).toBe(next.arn);
  });
});

describe('where it fails', () => {
  test('all on one host, and on others it serves: drained at a person’s word', async () => {
    const s = await started({ of: { instances: 3 } });
    const there = () => s.running().filter((t) => t.containerInstance === own);
    const own = s.running()[0]?.containerInstance;
    for (let n = 0; n < 4; n++) {
      for (const t of there()) containerExits(s.world, t, 'web', 1, 'no route to host');
      await s.run(minutes(2));
    }
    await s.run(minutes(20), s.over);
    expect(s.last()).toMatchObject({ state: 'asking', attempts: [] });
    expect(s.last()?.because).toContain('only web says that the host is at fault');
    expect(s.calls('UpdateContainerInstancesState')).toEqual([]);
  });

  test('all in one zone, on two hosts, and in others it serves: a person is told, nothing is rolled back', async () => {
    const s = await started({ policy: byItself, of: { instances: 6 }, web: { desired: 6 } });
    const zone = s.running()[0]?.zone ?? '';
    for (let n = 0; n < 4; n++) {
      for (const t of s.running().filter((r) => r.zone === zone)) containerExits(s.world, t, 'web', 1);
      await s.run(minutes(2));
    }
    await s.run(minutes(20), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain(`all of that in the zone ${zone}, and in others it serves`);
  });

  test('a new revision gets its tasks one by one, all in one place: that is the revision, for there it serves nowhere', async () => {
    const s = await started({ policy: byItself, web: { maximumPercent: 134 } });
    setImage(s.world, 'web:2', { exits: { afterMs: seconds(10), code: 1 } });
    await s.release('web:2');
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.rungs()).toEqual([['roll-back', 'effective']]);
    expect(s.running()).toHaveLength(3);
  });

  test('no room: said with what it needs and what there is', async () => {
    const s = await started({ web: { desired: 2 } });
    await s.release('web:2', { memory: 9_000 });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toMatch(
      /has insufficient memory available.*a task needs 256 CPU units, 9000 MiB; at most/,
    );
    expect(s.last()?.remedy).toContain('add an instance');
    expect(s.running()).toHaveLength(2);
  });

  test('a host port for more tasks than instances', async () => {
    const s = await started({ web: { desired: 4, hostPort: 8080 } });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', remedy: expect.stringContaining('dynamic host port') });
  });

  test('Fargate has no capacity anywhere', async () => {
    const s = await started({ web: { launchType: 'FARGATE' } });
    for (const zone of Object.keys(s.world.zones)) s.world.ecs.fargateLacks.add(zone);
    for (const t of s.running().slice(0, 1)) containerExits(s.world, t, 'web', 1);
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('Capacity is unavailable at this time');
  });

  test.each([3, 1])('of %d, a task that never comes to run is stopped, and another one tried', async (desired) => {
    const s = await started({ web: { desired } });
    s.world.settle.ecsPull = hours(3);
    for (const t of s.running().slice(0, 1)) containerExits(s.world, t, 'web', 1);
    await s.run(minutes(12));
    s.world.settle.ecsPull = seconds(5);
    await s.run(minutes(40), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.calls('StopTask')).toHaveLength(1);
  });
});

test('the alarm of its target group is about the service', async () => {
  const s = await started({ deaf: true });
  hang(s, s.running().slice(0, 1));
  const target = targetOf(s.targetGroup?.arn ?? '');
  s.deliver(
    signalMessage({
      kind: 'load-balancer.unhealthy-hosts',
      target,
      at: s.clock.now(),
      cause: 'alarm',
      eventId: 'unhealthy-1',
    }),
  );
  await s.run(seconds(30));
  expect(s.last()?.signals).toMatchObject({ kind: 'load-balancer.unhealthy-hosts' });
});

test('a service whose target group is behind no load balancer serves when its tasks run', async () => {
  const s = await started({ web: { balanced: { loadBalancers: [] } } });
  for (const t of s.running().slice(0, 1)) containerExits(s.world, t, 'web', 1);
  await s.run(minutes(30), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
});

describe('a session reaches what its step is about', () => {
  test('one task of many, this service only, and looking changes nothing', async () => {
    const s = await started();
    const [mine, other] = s.running();
    if (!mine || !other) throw new Error('there are tasks');
    const found = remediations.find((r) => r.name === NAME);
    if (!found) throw new Error(`there is no ${NAME}`);
    const target = targetOf(s.service.arn);
    const reach = (phase: 'look' | 'act') =>
      s.deps.reach(found, target, { phase, touched: phase === 'act' ? [mine.arn] : [] });
    const outcome = async (work: Promise<unknown>): Promise<string> => {
      const said = work.then(
        () => 'done',
        (e: Error) => e.name,
      );
      await s.run(seconds(10));
      return said;
    };
    const ports = async (phase: 'look' | 'act') => {
      const reached = reach(phase);
      await s.run(seconds(5));
      return (await reached).containers;
    };
    const act = await ports('act');
    const { service: foreign } = addService(s.world, s.cluster, 'foreign', { tags: MANAGED });
    const next = { expected: s.definition.arn, definition: s.definition.arn.replace(/1$/, '9') };
    expect(await outcome(act.stop(other.arn, 'test'))).toBe('Forbidden');
    expect(await outcome(act.stop(mine.arn, 'test'))).toBe('done');
    expect(
      await outcome(act.release(foreign.arn, { ...next, expected: foreign.deployments[0]?.definition ?? '' })),
    ).toBe('Forbidden');
    expect(await outcome(act.setState(s.running()[0]?.containerInstance ?? '', 'DRAINING'))).toBe('Forbidden');
    const look = await ports('look');
    expect(await outcome(look.stop(other.arn, 'test'))).toBe('Forbidden');
    expect(await outcome(look.release(s.service.arn, next))).toBe('Forbidden');
  });
});

describe('tasks of no service', () => {
  const ran = async (code: number, told: AccountOptions = {}) => {
    const account = createAccount({ policy: automatic, ...told });
    const { world, run } = account;
    makeCluster(world, 'shop');
    setImage(world, 'nightly:1', { exits: { afterMs: minutes(2), code } });
    registerDefinition(world, {
      family: 'nightly',
      containers: [
        {
          name: 'nightly',
          image: 'nightly:1',
          essential: true,
          cpu: 128,
          memory: 256,
          port: undefined,
          checked: false,
        },
      ],
    });
    await run(minutes(4));
    const call = clientsOf(world).ecs.send(
      new RunTaskCommand({
        cluster: 'shop',
        taskDefinition: 'nightly',
        tags: [{ key: 'steward:managed', value: 'true' }],
      }),
    );
    await run(minutes(15));
    const { tasks: [task] = [] } = await call;
    return { ...account, ...following(account, task?.taskArn ?? 'none', NAME) };
  };

  test.each([false, true])(
    'deaf: %s. A person has the exit code, and it is over when ECS forgets the task',
    async (deaf) => {
      const s = await ran(3, { deaf });
      expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
      expect(s.last()?.because).toContain('nightly exited with 3; it belongs to no service');
      expect(s.last()?.remedy).toContain('aws ecs run-task --cluster shop --task-definition nightly:1');
      await s.run(hours(2), () => s.last()?.state === 'closed');
      expect(s.last()).toMatchObject({ end: 'gone' });
      await s.run(minutes(20));
      expect(s.incidents().filter((i) => i.remediation === NAME)).toHaveLength(1);
    },
  );

  test('one that did its work is no news', async () => {
    const s = await ran(0);
    expect(s.last()).toBeUndefined();
  });
});
