/** release-unproven where ECS shifts traffic by itself: green beside blue, at once or step by step. ECS ends what does not pass while it can; else the digests are deployed. */
import { DeleteServiceCommand, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { releaseAct } from '../../sandbox/releaseAct.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { nextDefinition, runningTasks, type ServiceOptions } from '../../world/clusters.ts';
import { digestOf } from '../../world/ecs.ts';
import { deploy, wakeScheduler } from '../../world/ecsScheduler.ts';
import { shareOf } from '../../world/ecsShifts.ts';
import { stopTask } from '../../world/ecsTasks.ts';
import { clientsOf } from '../world/clients.ts';
import { CRASH, ended, on, type Started, started } from './releases.ts';

const ALL = { percent: 100, ms: 0 };
const BLUE_GREEN = { strategy: 'BLUE_GREEN' as const, steps: [ALL], bakeMs: minutes(10) };
const CANARY = {
  strategy: 'CANARY' as const,
  steps: [{ percent: 10, ms: minutes(10) }, ALL],
  bakeMs: minutes(5),
};
const FAILING = (image: string): number => (image === 'web:2' ? 40 : 0.5);
type Told = NonNullable<Parameters<typeof started>[0]>;

/** Its first release is proven, and requests come. */
const shifting = async (
  strategy: ServiceOptions['shifting'] = BLUE_GREEN,
  { web = {}, failing = FAILING, ...told }: Told & { failing?: (image: string) => number } = {},
) => {
  const s = await started({ ...told, web: { shifting: strategy, ...web } });
  s.receiving(600, failing);
  await s.run(minutes(40));
  const blue = runningTasks(s.cluster, s.service).map((t) => t.id);
  const share = () => shareOf(s.world, s.service, s.service.deployments[0]?.id ?? '');
  /** What ECS itself tells of its rollouts, the newest first. */
  const rollouts = () => s.service.history.map((d) => d.status);
  const stage = (name: string) => s.run(hours(1), () => s.service.history[0]?.stage === name);
  return { ...s, blue, share, rollouts, stage };
};
const running = (s: Started): readonly string[] => runningTasks(s.cluster, s.service).map((t) => t.id);

describe('a green that is well', () => {
  test('is the current release once it has baked, not before', async () => {
    const s = await shifting(BLUE_GREEN, { failing: () => 0.5 });
    await s.release('web:2');
    await s.stage('BAKE_TIME');
    await s.run(minutes(9));
    expect(s.states()).toEqual([
      ['web:2', 'unproven'],
      ['web:1', 'current'],
    ]);
    expect(s.record().list[0]?.health).toContain(
      'ECS deploys it BLUE_GREEN: BAKE_TIME, 100 % of the traffic goes to it',
    );
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
    const [{ stage, stageAt } = { stage: undefined, stageAt: 0 }] = s.service.history;
    expect(stage).toBe('CLEAN_UP');
    expect(s.states()).toEqual([
      ['web:2', 'current'],
      ['web:1', 'previous'],
    ]);
    const decided = (s.record().list[0]?.decidedAt ?? 0) - stageAt;
    expect(decided).toBeGreaterThanOrEqual(0);
    expect(decided).toBeLessThan(minutes(2));
  });

  test('is not kept waiting by a task of blue that ECS cannot end', async () => {
    const s = await shifting(BLUE_GREEN, { failing: () => 0.5 });
    await s.release('web:2');
    await s.stage('BAKE_TIME');
    const task = s.cluster.tasks.get(s.blue[0] ?? '');
    if (task) task.protectedUntil = s.clock.now() + hours(8);
    await s.run(hours(1), ended(s));
    expect([s.rollouts()[0], s.service.history[0]?.stage]).toEqual(['IN_PROGRESS', 'CLEAN_UP']);
    expect(s.states()[0]).toEqual(['web:2', 'current']);
  });

  test('that does not bake has its window all the same, from when it had all the traffic', async () => {
    const s = await shifting({ ...BLUE_GREEN, bakeMs: 0 }, { failing: () => 0.5 });
    await s.release('web:2');
    await s.run(hours(1), ended(s));
    const { finishedAt = 0 } = s.service.history[0] ?? {};
    expect((s.record().list[0]?.decidedAt ?? 0) - finishedAt).toBeGreaterThanOrEqual(seconds(180));
    expect(s.record().list[0]?.health).toMatch(/0\.5 % of \d+ requests failed, 0\.5 % before/);
  });

  test('whose tasks a hook keeps from starting is waited for, however long', async () => {
    const s = await shifting(BLUE_GREEN, { failing: () => 0.5 });
    s.service.hookedAt = 'PRE_SCALE_UP';
    await s.release('web:2');
    await s.run(minutes(40));
    expect(s.states()[0]).toEqual(['web:2', 'unproven']);
    expect(s.record().list[0]?.health).toContain('BLUE_GREEN: PRE_SCALE_UP, 0 % of the traffic goes to it');
    s.service.hookedAt = undefined;
    wakeScheduler(s.world);
    await s.run(hours(1), ended(s));
    expect(s.states()[0]).toEqual(['web:2', 'current']);
    expect(s.last()?.attempts).toEqual([]);
  });
});

describe('a green that fails more requests', () => {
  test('of a canary is compared with blue in the same minutes, and ECS has blue back', async () => {
    const s = await shifting(CANARY);
    await s.release('web:2');
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.last()?.attempts.map((a) => a.effect)).toEqual(['effective', 'effective']);
    expect(s.last()?.attempts[1]?.plan).toContain(
      `have ECS end the deployment of web:2 to web and go back to web:1: web ${digestOf('web:1').slice(0, 19)}…`,
    );
    expect(s.last()?.because).toMatch(
      /web:2 is ROLLED_BACK by steward: more requests fail than may.*40\.0 % of \d+ requests failed, 0\.6 % of the other release in the same minutes/,
    );
    expect(s.last()?.because).toContain('CANARY: PRODUCTION_TRAFFIC_SHIFT, 10 % of the traffic goes to it');
    expect([s.rollouts()[0], s.share(), running(s)]).toEqual(['ROLLBACK_SUCCESSFUL', 100, s.blue]);
    expect(s.states()).toEqual([
      ['web:1', 'current'],
      ['web:2', 'rolled-back'],
    ]);
    expect([s.calls('StopServiceDeployment').length, s.calls('UpdateService')]).toEqual([1, []]);
  });

  test('while it bakes: it had no minute with blue, so it is compared with the half hour before', async () => {
    const s = await shifting();
    await s.release('web:2');
    await s.run(hours(1), ended(s));
    expect(s.last()?.because).toMatch(
      /40\.0 % of \d+ requests failed, 0\.5 % before; ECS deploys it BLUE_GREEN: BAKE_TIME/,
    );
    expect([s.rollouts()[0], s.share(), running(s)]).toEqual(['ROLLBACK_SUCCESSFUL', 100, s.blue]);
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('when ECS is done with it: the digests are deployed, blue/green again', async () => {
    const s = await shifting({ ...BLUE_GREEN, bakeMs: 0 });
    await s.release('web:2');
    await s.run(hours(2), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.calls('StopServiceDeployment')).toEqual([]);
    expect(s.states()).toEqual([
      ['web:3', 'current'],
      ['web:2', 'rolled-back'],
      ['web:1', 'previous'],
    ]);
    expect(s.digests()).toEqual([digestOf('web:1')]);
  });

  test('as blue does: a person is told, and neither is ended', async () => {
    const s = await shifting(CANARY, { failing: () => 60 });
    await s.release('web:2');
    await s.run(minutes(12), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('60.0 % of the requests failed before, too: going back would not help');
    expect([...s.calls('StopServiceDeployment'), ...s.calls('UpdateService')]).toEqual([]);
  });

  test('and is a migration: a person decides, and it is ECS that goes back', async () => {
    const s = await shifting({ ...BLUE_GREEN, bakeMs: minutes(60) });
    await s.release('web:2', {}, { tags: { 'steward:migration': 'true' } });
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ state: 'asking' });
    expect(s.last()?.because).toContain('marked as a migration');
    expect(s.calls('StopServiceDeployment')).toEqual([]);
    await s.steward('alice')('approve', s.last()?.id ?? '');
    await s.run(hours(1), ended(s));
    expect([s.rollouts()[0], running(s)]).toEqual(['ROLLBACK_SUCCESSFUL', s.blue]);
  });
});

test('a request of its own that fails says nothing about a green that has no traffic yet', async () => {
  const url = 'https://shop.example.com/';
  let status = 200;
  const s = await shifting(CANARY, {
    failing: () => 0.5,
    policy: on({ requests: { 'shop/web': { url } } }),
    internet: { get: async () => ({ status, ms: 20 }) },
  });
  s.service.hookedAt = 'POST_SCALE_UP';
  await s.release('web:2');
  status = 503;
  await s.run(minutes(20));
  expect(s.states()[0]).toEqual(['web:2', 'unproven']);
  expect(s.record().list[0]?.health).toContain('answered 503');
  s.service.hookedAt = undefined;
  wakeScheduler(s.world);
  await s.run(minutes(20), () => s.calls('StopServiceDeployment').length > 0);
  status = 200;
  await s.run(hours(1), ended(s));
  expect(s.last()?.attempts[1]?.because).toContain(`GET ${url} answered 503 in 20 ms, not 200`);
  expect(s.rollouts()[0]).toBe('ROLLBACK_SUCCESSFUL');
});

describe('what ECS was told to heed', () => {
  const alarm = (s: Started, name: string, more: object = {}) => {
    const [like] = [...s.world.cloudwatch.alarms.values()];
    if (!like) throw new Error('the fleet has alarms');
    const state = { value: 'OK' as const, reason: '', reasonData: undefined, at: s.clock.now() };
    const quiet = { dimensions: { Nobody: 'publishes it' }, missing: 'ignore' as const, actionsEnabled: false };
    s.world.cloudwatch.alarms.set(name, { ...like, ...quiet, name, state, ...more });
  };

  test('alarms that cannot end it while it bakes are named, and Steward goes back', async () => {
    const names = ['gone', 'slow', 'mute'];
    const s = await shifting(BLUE_GREEN, { web: { alarms: { names, rollback: true } } });
    alarm(s, 'slow', { periodSeconds: 300, evaluationPeriods: 3, datapointsToAlarm: 3 });
    alarm(s, 'mute', { state: { value: 'INSUFFICIENT_DATA', reason: '', reasonData: undefined, at: s.clock.now() } });
    await s.release('web:2');
    await s.run(hours(1), ended(s));
    const because = s.last()?.attempts[1]?.because;
    expect(because).toContain('the alarm gone is not there, so ECS does not heed it');
    expect(because).toContain('the alarm mute has no data, so it cannot tell');
    expect(because).toContain('the alarm slow takes longer to fire than it bakes (10 min)');
    expect(because).toContain('ECS’s own alarms counts none of this');
    expect([s.rollouts()[0], running(s)]).toEqual(['ROLLBACK_SUCCESSFUL', s.blue]);
  });

  test('an alarm that fires: ECS goes back, Steward writes down that it did', async () => {
    const s = await shifting(BLUE_GREEN, {
      failing: () => 0.5,
      web: { alarms: { names: ['errors'], rollback: true } },
    });
    alarm(s, 'errors');
    await s.release('web:2');
    await s.stage('BAKE_TIME');
    alarm(s, 'errors', { state: { value: 'ALARM', reason: '', reasonData: undefined, at: s.clock.now() } });
    await s.run(hours(1), ended(s));
    expect([...s.calls('StopServiceDeployment'), ...s.calls('UpdateService')]).toEqual([]);
    expect(s.record().list[1]).toMatchObject({ state: 'rolled-back', by: 'ECS' });
  });

  test('its circuit breaker counts no task that ran: Steward goes back, and that is said', async () => {
    const s = await shifting(BLUE_GREEN, {
      failing: () => 0.5,
      web: { circuitBreaker: { enable: true, rollback: true } },
    });
    await s.release('web:2', CRASH);
    await s.run(hours(1), ended(s));
    expect(s.last()?.attempts.at(-1)?.because).toContain('ECS’s own circuit breaker counts none of this');
    expect([s.calls('StopServiceDeployment').length, s.rollouts()[0], running(s)]).toEqual([
      1,
      'ROLLBACK_SUCCESSFUL',
      s.blue,
    ]);
  });
});

describe('while it goes back', () => {
  test('the reply is lost, and ECS is throttled: once all the same', async () => {
    const s = await shifting();
    s.world.faults.failNext('ecs', 'StopServiceDeployment', { kind: 'throttle' });
    await s.release('web:2');
    await s.run(minutes(5), () => s.calls('StopServiceDeployment').length > 0);
    s.world.faults.failNext('ecs', 'StopServiceDeployment', { kind: 'drop', afterEffect: true });
    await s.run(hours(1), ended(s));
    expect(s.calls('StopServiceDeployment').map((c) => c.error)).toEqual(['ThrottlingException', 'ECONNRESET']);
    expect([s.rollouts()[0], running(s), s.last()?.end]).toEqual(['ROLLBACK_SUCCESSFUL', s.blue, 'healthy']);
  });

  test('ECS would go to a release that did not pass: the digests of the one that did are deployed', async () => {
    const s = await shifting(BLUE_GREEN, {
      policy: on({}, 'cautious'),
      failing: (image) => (image === 'web:1' ? 0.5 : 40),
    });
    // Nobody answers, so that it stays.
    await s.release('web:2');
    await s.run(hours(1), () => s.rollouts()[0] === 'SUCCESSFUL');
    await s.release('web:3');
    await s.stage('BAKE_TIME');
    await s.run(minutes(20), s.over);
    expect(s.last()?.state).toBe('asking');
    await s.steward('alice')('approve', s.last()?.id ?? '');
    await s.run(minutes(2));
    expect(s.calls('StopServiceDeployment')).toEqual([]);
    await s.run(hours(1), ended(s));
    expect(s.digests()).toEqual([digestOf('web:1')]);
  });

  test('somebody deploys: theirs is not stopped', async () => {
    const s = await shifting();
    await s.release('web:2');
    await s.run(hours(1), () => s.rollouts()[0]?.startsWith('ROLLBACK') === true);
    const { arn } = nextDefinition(s.world, s, 'web:3');
    deploy(s.world, s.service, arn);
    await s.run(hours(2), ended(s));
    expect(s.states()[0]).toEqual(['web:3', 'current']);
    expect([s.calls('StopServiceDeployment').length, s.calls('UpdateService')]).toEqual([1, []]);
  });

  test('blue loses a task: it is over when all of blue serve again', async () => {
    const s = await shifting();
    await s.release('web:2');
    await s.run(hours(1), () => s.calls('StopServiceDeployment').length > 0);
    for (const task of runningTasks(s.cluster, s.service))
      if (s.blue.includes(task.id)) stopTask(s.world, task, 'UserInitiated', 'by hand');
    await s.run(seconds(25));
    expect(s.last()).toMatchObject({ state: 'waiting' });
    expect(s.last()?.attempts[1]?.effect).toBeUndefined();
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(runningTasks(s.cluster, s.service).map((t) => t.containers[0]?.image)).toEqual(['web:1', 'web:1', 'web:1']);
    expect(s.calls('StopServiceDeployment')).toHaveLength(1);
  });

  test('the service is deleted: nothing is held back, and nothing more is asked of ECS', async () => {
    const s = await shifting();
    await s.release('web:2');
    await s.run(hours(1), () => s.calls('StopServiceDeployment').length > 0);
    const before = s.last()?.id;
    await s.asked(
      clientsOf(s.world).ecs.send(new DeleteServiceCommand({ cluster: 'shop', service: 'web', force: true })),
    );
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ id: before, state: 'closed' });
    expect([s.calls('StopServiceDeployment').length, s.calls('UpdateService')]).toEqual([1, []]);
  });
});

test('as the demo shows it: a tenth of the traffic, then none, and the tasks of before', async () => {
  const said: string[] = [];
  await releaseAct((text = '') => void said.push(text));
  const shares = said.flatMap((line) => /web:2 {3}(\d+ % : \d+ %)/.exec(line)?.[1] ?? []);
  expect([...new Set(shares)]).toEqual(['100 % : 0 %', '90 % : 10 %']);
  expect(said.some((line) => line.includes('have ECS end the deployment of web:2'))).toBe(true);
  expect(said.at(-1)).toContain('the tasks of web:1 ran all the time');
});

test('what the strategy is may change between two releases', async () => {
  const s = await shifting();
  const input = { cluster: 'shop', service: 'web', deploymentConfiguration: { strategy: 'ROLLING' as const } };
  await s.asked(clientsOf(s.world).ecs.send(new UpdateServiceCommand(input)));
  await s.release('web:2');
  await s.run(hours(2), ended(s));
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.digests()).toEqual([digestOf('web:1')]);
});
