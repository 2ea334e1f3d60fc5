/** overload in the world: `steward scale` of Auto Scaling groups and ECS services. Each story ends with what runs, and what is said. */
import { UpdateAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import { DeleteServiceCommand, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { signalMessage } from '../../events/steward/signal.ts';
import { targetOf } from '../../shared/core/target.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import type { ScalingGroup } from '../../world/autoscaling.ts';
import { addGroup } from '../../world/autoscaling.ts';
import {
  addService,
  type ClusterOptions,
  hangTasks,
  makeCluster,
  runningTasks,
  type ServiceOptions,
} from '../../world/clusters.ts';
import { makeTargetGroup, receive } from '../../world/elb.ts';
import { breakLoad } from '../../world/fleet.ts';
import { makeInstance } from '../../world/instances.ts';
import { type ScalableTarget, scaleService } from '../../world/serviceScaling.ts';
import { createDesk } from '../cli/desk.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, following } from './account.ts';

const NAME = 'overload';
const MANAGED = { 'steward:managed': 'true' };
/** What costs is tried elsewhere. */
const RICH = {
  remediations: { [NAME]: { costCapUsdPerMonth: 100_000 }, 'service-uneven-zones': { mode: 'off' } },
};
const UNASKED = {
  remediations: {
    [NAME]: { unasked: true, costCapUsdPerMonth: 100_000 },
    'service-uneven-zones': { mode: 'off' },
  },
};
const WHY = ['--because', 'we are on television'];

const desk = (options: AccountOptions = {}) => {
  const made = createDesk({ policy: RICH, ...options });
  const { world, run } = made.account;
  const calls = (operation: string) =>
    world.calls.filter((c) => c.operation === operation && c.error === undefined && c.principal.includes(NAME));
  const asked = async (call: Promise<unknown>) => {
    await run(seconds(1));
    await call;
  };
  return { ...made, ...made.account, calls, asked };
};

/** `api`: two of at least one, at most eight, over the zones. */
const group = async (given: Partial<ScalingGroup> = {}, options: AccountOptions = {}, size = 2) => {
  const d = desk(options);
  const zones = Object.keys(d.world.zones);
  for (let n = 0; n < size; n++)
    makeInstance(d.world, {
      running: true,
      type: 'm6i.large',
      zone: zones[n % zones.length] ?? '',
      tags: { ...MANAGED, 'aws:autoscaling:groupName': 'api' },
    });
  const api = addGroup(d.world, 'api', { min: 1, max: 8, ...given });
  await d.run(minutes(20));
  const running = () => [...api.members.values()].filter((m) => m.lifecycle === 'InService').length;
  const scale = (...argv: string[]) => d.steward('alice')('scale', 'asg/api', ...argv, ...WHY);
  const busy = (cpuPercent: number) => {
    for (const id of api.members.keys()) breakLoad(d.world, id, { name: 'api.service', cpuPercent });
  };
  return { ...d, ...following(d.account, 'autoScalingGroupName/api', NAME), api, running, scale, busy };
};

/** `web` of the cluster `shop`: three tasks on three instances. */
const service = async (web: ServiceOptions = {}, of: ClusterOptions = {}, options: AccountOptions = {}) => {
  const d = desk(options);
  const { cluster } = makeCluster(d.world, 'shop', of);
  const made = addService(d.world, cluster, 'web', { tags: MANAGED, ...web });
  await d.run(minutes(20));
  const running = () => runningTasks(cluster, made.service).length;
  const scale = (...argv: string[]) => d.steward('alice')('scale', 'shop/web', ...argv, ...WHY);
  return { ...d, ...following(d.account, 'service/shop/web', NAME), ...made, cluster, running, scale };
};
const words = (rungs: (string | undefined)[][] | undefined) => rungs?.map(([rung]) => rung);

describe('an Auto Scaling group', () => {
  test('is raised at once, held, and lowered in steps when the time is over', async () => {
    const s = await group();
    const said = await s.scale('--to', '5', '--for', '2h');
    expect(said).toMatchObject({ code: 0, err: '' });
    expect(said.out).toContain('asg/api gets at least 5 until');
    await s.run(minutes(5));
    expect(s.api).toMatchObject({ min: 5, desired: 5, max: 8 });
    expect(s.running()).toBe(5);
    await s.run(minutes(113));
    expect(s.api).toMatchObject({ min: 5, desired: 5 });
    expect(s.last()).toMatchObject({ state: 'open' });
    await s.run(minutes(5));
    expect(s.api).toMatchObject({ min: 4, desired: 4 });
    await s.run(hours(1), s.over);
    expect(s.api).toMatchObject({ min: 1, desired: 2, max: 8 });
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['raise 5', 'effective'],
      ['lower 4', 'effective'],
      ['lower 3', 'effective'],
      ['lower 1', 'effective'],
    ]);
  });

  test('without a time it is for good', async () => {
    const s = await group();
    await s.scale('--to', '4');
    await s.run(minutes(20), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.api).toMatchObject({ min: 4, desired: 4 });
  });

  test('the same command again changes nothing; another number replaces it', async () => {
    const s = await group();
    await s.scale('--to', '4', '--for', '1h');
    await s.run(minutes(5));
    await s.scale('--to', '4', '--for', '1h');
    await s.run(minutes(5));
    expect(s.calls('UpdateAutoScalingGroup')).toHaveLength(1);
    await s.scale('--to', '6', '--for', '1h');
    await s.run(minutes(5));
    expect(s.api).toMatchObject({ min: 6, desired: 6 });
    await s.run(hours(4), s.over);
    expect(s.incidents().filter((i) => i.remediation === NAME)).toHaveLength(1);
    expect(s.api).toMatchObject({ min: 1, desired: 2 });
  });

  test('less than there are is a floor, and nothing more', async () => {
    const s = await group({}, {}, 4);
    await s.scale('--to', '3', '--for', '1h');
    await s.run(minutes(5));
    expect(s.api).toMatchObject({ min: 3, desired: 4 });
    await s.run(hours(2), s.over);
    expect(s.api).toMatchObject({ min: 1, desired: 4 });
    expect(words(s.rungs())).toEqual(['raise 3', 'lower 1']);
  });

  test('more than its maximum is declined, with the command that raises it; nothing is written', async () => {
    const s = await group();
    const said = await s.scale('--to', '12', '--for', '1h');
    expect(said.code).toBe(3);
    expect(said.err).toContain('more than its maximum');
    expect(said.err).toContain('--max-size 12');
    expect(s.last()).toBeUndefined();
  });

  test('while it is busy it is not lowered; later it is', async () => {
    const s = await group();
    await s.scale('--to', '4', '--for', '30m');
    await s.run(minutes(10));
    s.busy(70);
    await s.run(hours(2));
    expect(s.api).toMatchObject({ min: 4, desired: 4 });
    expect(s.last()?.because).toMatch(/3 would use \d+ % of their CPU, and 60 % is what is allowed/);
    s.busy(10);
    await s.run(hours(2), s.over);
    expect(s.api).toMatchObject({ min: 1, desired: 2 });
  });

  test('what somebody else changed is left as it is', async () => {
    const s = await group();
    await s.scale('--to', '5', '--for', '2h');
    await s.run(minutes(10));
    const change = { AutoScalingGroupName: 'api', MinSize: 3, DesiredCapacity: 3 };
    await s.asked(clientsOf(s.world).autoscaling.send(new UpdateAutoScalingGroupCommand(change)));
    await s.run(hours(4), s.over);
    expect(s.last()).toMatchObject({ end: 'not-ours' });
    expect(s.last()?.because).toContain('Steward had set 5, and somebody has changed that since');
    expect(s.api).toMatchObject({ min: 3, desired: 3 });
  });

  test('what somebody else changed before it was seen is left as it is, too', async () => {
    const s = await group();
    await s.scale('--to', '5', '--for', '2h');
    await s.run(minutes(5), () => s.api.min === 5);
    const change = { AutoScalingGroupName: 'api', MinSize: 3, DesiredCapacity: 3 };
    await s.asked(clientsOf(s.world).autoscaling.send(new UpdateAutoScalingGroupCommand(change)));
    await s.run(hours(4), s.over);
    expect(s.last()).toMatchObject({ end: 'not-ours', attempts: [{ outcome: { kind: 'done' } }] });
    expect(s.last()?.because).toContain('Steward had set 5, and somebody has changed that since');
    expect(s.api).toMatchObject({ min: 3, desired: 3 });
  });

  test('so it is where no answer came to what Steward had asked for', async () => {
    const s = await group();
    s.world.faults.failNext('autoscaling', 'UpdateAutoScalingGroup', { kind: 'drop', afterEffect: true });
    await s.scale('--to', '5', '--for', '2h');
    await s.run(minutes(5), () => s.api.min === 5);
    const change = { AutoScalingGroupName: 'api', MinSize: 3, DesiredCapacity: 3 };
    await s.asked(clientsOf(s.world).autoscaling.send(new UpdateAutoScalingGroupCommand(change)));
    await s.run(hours(4), s.over);
    expect(s.last()).toMatchObject({ end: 'not-ours', attempts: [{ outcome: { kind: 'ambiguous' } }] });
    expect(s.last()?.because).toContain('Steward may have set 5, and somebody has changed that since');
    expect(s.api).toMatchObject({ min: 3, desired: 3 });
  });

  test('the cost cap holds, and counts the time that it lasts', async () => {
    const s = await group({}, { policy: {} });
    const dear = await s.scale('--to', '6');
    expect(dear.code).toBe(3);
    expect(dear.err).toMatch(/cost: it would cost .* a month for 4 more m6i.large/);
    expect(s.last()).toBeUndefined();
    expect(await s.scale('--to', '6', '--for', '2h')).toMatchObject({ code: 0 });
    await s.run(minutes(5));
    expect(s.running()).toBe(6);
  });

  test('a freeze and a pause hold; the command says so at once', async () => {
    const freeze = [{ cron: '* * * * *', minutes: 60, why: 'the auditors are here' }];
    const frozen = await group({}, { policy: { ...RICH, freeze } });
    const said = await frozen.scale('--to', '4', '--for', '1h');
    expect(said.code).toBe(3);
    expect(said.err).toContain('the auditors are here');
    const s = await group();
    await s.steward('bob')('pause', 'overload', '--reason', 'not today');
    expect(await s.scale('--to', '4')).toMatchObject({ code: 3, err: expect.stringContaining('not today') });
    expect(s.calls('UpdateAutoScalingGroup')).toEqual([]);
  });

  test('paused meanwhile it stays up, resumed it goes down', async () => {
    const s = await group();
    await s.scale('--to', '4', '--for', '30m');
    await s.run(minutes(10));
    await s.steward('bob')('pause', 'asg/api', '--reason', 'wait');
    await s.run(hours(2));
    expect(s.api).toMatchObject({ min: 4, desired: 4 });
    await s.steward('bob')('resume', 'asg/api');
    await s.run(hours(2), s.over);
    expect(s.api).toMatchObject({ min: 1, desired: 2 });
  });

  test('undo takes all of it back at once', async () => {
    const s = await group();
    await s.scale('--to', '6', '--for', '2h');
    await s.run(minutes(10));
    expect(await s.steward('bob')('undo', s.last()?.id ?? '', '--yes')).toMatchObject({ code: 0 });
    await s.run(minutes(5), s.over);
    expect(s.last()).toMatchObject({ end: 'undone' });
    expect(s.api).toMatchObject({ min: 1, desired: 2 });
  });

  test('a policy that only lets it watch, and a group without the tag: declined', async () => {
    const watched = await group({}, { policy: { remediations: { [NAME]: { mode: 'watch' } } } });
    expect((await watched.scale('--to', '4')).err).toContain('only lets overload watch');
    const bare = await group({ tags: {} });
    expect((await bare.scale('--to', '4')).err).toContain('it does not carry the tag steward:managed=true');
    expect((await bare.steward('alice')('scale', 'asg/none', '--to', '4', ...WHY)).code).toBe(4);
  });

  test('what a person wants is asked of nobody else, in mode ask', async () => {
    const s = await group({}, { policy: { remediations: { [NAME]: { mode: 'ask', costCapUsdPerMonth: 1_000 } } } });
    await s.scale('--to', '4', '--for', '20m');
    await s.run(hours(3), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(words(s.rungs())).toEqual(['raise 4', 'lower 3', 'lower 1']);
  });

  test('it takes no place in the budget of its group', async () => {
    const s = await group({}, {}, 4);
    await s.scale('--to', '6', '--for', '2h');
    await s.run(minutes(10));
    expect([...s.store.records.values()].filter((r) => r.kind === 'group' && r.id === 'asg/api')).toEqual([]);
  });

  test('a lost reply, a throttle and late reads change nothing', async () => {
    const s = await group();
    s.world.lag.ms = seconds(20);
    s.world.faults.failNext('autoscaling', 'UpdateAutoScalingGroup', { kind: 'throttle' });
    s.world.faults.failNext('autoscaling', 'UpdateAutoScalingGroup', { kind: 'drop', afterEffect: true });
    await s.scale('--to', '5', '--for', '30m');
    await s.run(minutes(10));
    expect(s.api).toMatchObject({ min: 5, desired: 5 });
    await s.run(hours(3), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.api).toMatchObject({ min: 1, desired: 2 });
  });

  test('it launches none: a person is told, and it is lowered all the same', async () => {
    const s = await group();
    await s.scale('--to', '4', '--for', '2h');
    s.api.suspended.add('Launch');
    await s.run(minutes(25), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    await s.run(hours(4), () => s.last()?.state === 'closed');
    expect(s.api).toMatchObject({ min: 1, desired: 2 });
  });
});

describe('an ECS service', () => {
  test.each(['EC2', 'FARGATE'] as const)('%s: as a group', async (launchType) => {
    const s = await service({ launchType });
    expect(await s.scale('--to', '6', '--for', '1h')).toMatchObject({ code: 0, err: '' });
    await s.run(minutes(5));
    expect(s.running()).toBe(6);
    await s.run(hours(3), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(words(s.rungs())).toEqual(['raise 6', 'lower 5', 'lower 4', 'lower 3']);
    expect(s.running()).toBe(3);
  });

  test('its tasks have no room: instances come first', async () => {
    const s = await service({ cpu: 1024, memory: 2048 }, { group: { max: 6 } });
    await s.scale('--to', '9', '--for', '1h');
    await s.run(minutes(15));
    expect(words(s.rungs())).toEqual(['hosts 5', 'raise 9']);
    expect(s.running()).toBe(9);
    await s.run(hours(4), s.over);
    expect(s.running()).toBe(3);
    expect(s.world.autoscaling.groups.get('shop')).toMatchObject({ desired: 5 });
    expect(s.last()?.because).toContain('asg/shop was raised from 3 to 5 for it and is not lowered');
  });

  test('the hosts are full, and their group is at its maximum: as many as fit, and a person is told', async () => {
    const s = await service({ cpu: 1024, memory: 2048 }, { group: { max: 3 } });
    await s.scale('--to', '9', '--for', '2h');
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('asg/shop is at its maximum of 3');
    await s.run(minutes(5));
    expect(s.running()).toBe(6);
    await s.run(hours(4), () => s.last()?.state === 'closed');
    expect(s.running()).toBe(3);
  });

  test('somebody deploys a desired count of his own: it is his', async () => {
    const s = await service();
    await s.scale('--to', '6', '--for', '2h');
    await s.run(minutes(10));
    await s.asked(
      clientsOf(s.world).ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', desiredCount: 4 })),
    );
    await s.run(hours(3), s.over);
    expect(s.last()).toMatchObject({ end: 'not-ours' });
    expect(s.running()).toBe(4);
  });

  test('its tasks are moved to other zones meanwhile, which wants more of them for a while: that is nobody else', async () => {
    const policy = { preset: 'automatic', remediations: { 'service-uneven-zones': { costCapUsdPerMonth: 1_000 } } };
    const d = desk({ policy });
    const [zone = ''] = Object.keys(d.world.zones);
    const { cluster } = makeCluster(d.world, 'shop', { zones: [zone, zone, zone, zone], instances: 4 });
    const placement = [{ type: 'binpack' as const, field: 'memory' }];
    const { service: web } = addService(d.world, cluster, 'web', { balanced: true, tags: MANAGED, placement });
    await d.run(minutes(2));
    const scale = ['scale', 'shop/web', '--to', '5', '--for', '2h', ...WHY];
    expect(await d.steward('alice')(...scale)).toMatchObject({ code: 0 });
    const uneven = following(d.account, 'service/shop/web', 'service-uneven-zones');
    const own = following(d.account, 'service/shop/web', NAME);
    await d.run(hours(4), own.over);
    expect(uneven.last()).toMatchObject({ end: 'healthy' });
    expect(uneven.last()?.attempts.length).toBeGreaterThan(2);
    expect(own.last()).toMatchObject({ end: 'healthy' });
    expect(web.desired).toBe(3);
  });

  test('it is deleted meanwhile', async () => {
    const s = await service();
    await s.scale('--to', '6', '--for', '2h');
    await s.run(minutes(10));
    await s.asked(
      clientsOf(s.world).ecs.send(new DeleteServiceCommand({ cluster: 'shop', service: 'web', force: true })),
    );
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'gone' });
  });

  test('a daemon is not scaled', async () => {
    const s = await service({ strategy: 'DAEMON' });
    expect((await s.scale('--to', '6')).err).toContain('it has one task on each instance');
  });

  test('what it holds up for hours keeps nobody from repairing it', async () => {
    const s = await service({ balanced: true }, {}, { policy: { preset: 'automatic' } });
    await s.scale('--to', '6', '--for', '4h');
    await s.run(minutes(30));
    expect(s.last()).toMatchObject({ state: 'open' });
    hangTasks(s.world, s, runningTasks(s.cluster, s.service).slice(0, 1));
    const failing = following(s.account, 'service/shop/web', 'service-failing');
    await s.run(minutes(30), failing.over);
    expect(failing.last()).toMatchObject({ end: 'healthy', attempts: [{ effect: 'effective' }] });
    await s.run(hours(5), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.running()).toBe(3);
  });
});

describe('a service that Application Auto Scaling scales', () => {
  const tracked = async (given: Partial<ScalableTarget> = {}, options: AccountOptions = {}) => {
    const s = await service({ launchType: 'FARGATE' }, {}, options);
    const target = scaleService(s.world, s.service, { min: 2, max: 10, tracks: 50, ...given });
    // Half of what three tasks have.
    s.service.demand = 384;
    await s.run(minutes(20));
    return { ...s, target };
  };

  test('its minimum is raised, and it is started; later only the minimum goes down, and what runs is its own affair', async () => {
    const s = await tracked();
    expect(await s.scale('--to', '6', '--for', '1h')).toMatchObject({ code: 0, err: '' });
    await s.run(minutes(5));
    expect([s.target.min, s.service.desired, s.running()]).toEqual([6, 6, 6]);
    await s.run(minutes(50));
    expect([s.target.min, s.service.desired]).toEqual([6, 6]);
    await s.run(hours(3), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(words(s.rungs())).toEqual(['raise 6', 'start', 'lower 5', 'lower 4', 'lower 3', 'lower 2']);
    await s.run(minutes(30));
    expect([s.target.min, s.target.max]).toEqual([2, 10]);
    expect(s.running()).toBe(3);
  });

  test('more than its maximum is declined, with the command that raises it', async () => {
    const s = await tracked();
    const said = await s.scale('--to', '12');
    expect(said.code).toBe(3);
    expect(said.err).toContain('register-scalable-target');
    expect(said.err).toContain('--max-capacity 12');
  });

  test('undo puts the minimum back', async () => {
    const s = await tracked();
    await s.scale('--to', '6', '--for', '2h');
    await s.run(minutes(10));
    await s.steward('bob')('undo', s.last()?.id ?? '', '--yes');
    await s.run(minutes(5), s.over);
    expect(s.last()).toMatchObject({ end: 'undone' });
    expect(s.target.min).toBe(2);
  });

  test('busy: it has its time first, and needs nobody', async () => {
    const s = await tracked({}, { policy: UNASKED });
    s.service.demand = 1400;
    await s.run(hours(1));
    expect(s.service.desired).toBeGreaterThan(8);
    expect(s.incidents().filter((i) => i.remediation === NAME && i.attempts.length > 0)).toEqual([]);
  });

  test('busy at its maximum: a person is told, with the command', async () => {
    const s = await tracked({ max: 4 }, { policy: UNASKED });
    s.service.demand = 1200;
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('it is at its maximum of 4');
    expect(s.last()?.remedy).toContain('--max-capacity 8');
  });

  test('busy, and it is suspended or too slow: its minimum is raised, and taken back when it is calm', async () => {
    const s = await tracked({ suspended: true }, { policy: UNASKED });
    s.service.demand = 1000;
    await s.run(hours(1), () => s.running() >= 5);
    expect(s.target.min).toBe(5);
    await s.run(minutes(20));
    s.service.demand = 300;
    await s.run(hours(4), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.target.min).toBe(2);
  });
});

describe('what is busy, and nobody asked', () => {
  test('a service on Fargate without target tracking: it asks, for it costs; then half as many again, and back', async () => {
    const s = await service({ launchType: 'FARGATE' });
    s.service.demand = 900;
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'asking', attempts: [] });
    expect(s.last()?.because).toContain('must approve it, for it costs money: raise shop/web from 3 to 5');
    await s.steward('alice')('approve', s.last()?.id ?? '', '--yes');
    await s.run(minutes(10));
    expect(s.running()).toBe(5);
    s.service.demand = 100;
    await s.run(hours(3), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.running()).toBe(3);
  });

  test('it stays busy: to at most so many times what was wanted, then a person is told', async () => {
    const s = await service({ launchType: 'FARGATE' }, {}, { policy: UNASKED });
    s.service.demand = 10_000;
    await s.run(hours(3), () => s.last()?.state === 'escalated');
    expect(words(s.rungs())).toEqual(['raise 5', 'raise 8', 'raise 9']);
    expect(s.last()?.because).toContain('that is 3 times what was wanted before');
    expect(s.running()).toBe(9);
  });

  test('the cost cap ends it', async () => {
    const policy = { remediations: { [NAME]: { unasked: true, costCapUsdPerMonth: 20 } } };
    const s = await service({ launchType: 'FARGATE', cpu: 1024, memory: 2048 }, {}, { policy });
    s.service.demand = 10_000;
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toMatch(/^cost: it would cost /);
  });

  test('a group, by its alarm', async () => {
    const s = await group({}, { policy: UNASKED });
    s.busy(95);
    await s.run(minutes(15));
    const target = targetOf(
      `arn:aws:autoscaling:${s.world.region}:${s.world.account}:autoScalingGroup:*:autoScalingGroupName/api`,
    );
    const signal = { kind: 'capacity.short' as const, target, at: s.clock.now(), cause: 'an alarm', eventId: 'busy-1' };
    s.deliver(signalMessage(signal));
    await s.run(minutes(5));
    expect(s.api).toMatchObject({ min: 3, desired: 3 });
  });

  test('a group, by the survey: it asks, for it costs', async () => {
    const s = await group();
    s.busy(95);
    await s.run(minutes(25));
    expect(s.last()).toMatchObject({ state: 'asking', attempts: [] });
    expect(s.last()?.because).toContain('raise asg/api from at least 1 to at least 3, from 2 to 3 wanted');
  });

  test('a group with a policy of target tracking has its time first; suspended it has none', async () => {
    const s = await group({ tracks: 60 }, { policy: UNASKED });
    s.busy(95);
    await s.run(minutes(40), () => s.last() !== undefined);
    expect(s.last()).toMatchObject({ state: 'waiting', attempts: [] });
    expect(s.last()?.because).toContain('cpu may raise it by itself, up to 8');
    await s.run(minutes(12));
    expect(s.api).toMatchObject({ min: 3, desired: 3 });
    const off = await group({ tracks: 60, suspended: new Set(['AlarmNotification']) }, { policy: UNASKED });
    off.busy(95);
    await off.run(minutes(40), () => off.last() !== undefined);
    await off.run(minutes(2));
    expect(off.api).toMatchObject({ min: 3, desired: 3 });
  });

  test('hosts of an ECS cluster are not raised by themselves', async () => {
    const s = await service({}, { group: { max: 6 } }, { policy: UNASKED });
    const shop = s.world.autoscaling.groups.get('shop');
    Object.assign(shop ?? {}, { tags: MANAGED });
    for (const id of shop?.members.keys() ?? []) breakLoad(s.world, id, { name: 'web.service', cpuPercent: 95 });
    await s.run(minutes(20));
    const target = targetOf(
      `arn:aws:autoscaling:${s.world.region}:${s.world.account}:autoScalingGroup:*:autoScalingGroupName/shop`,
    );
    const signal = { kind: 'capacity.short' as const, target, at: s.clock.now(), cause: 'an alarm', eventId: 'busy-2' };
    s.deliver(signalMessage(signal));
    await s.run(minutes(40));
    expect(s.calls('UpdateAutoScalingGroup')).toEqual([]);
    const own = following(s.account, 'autoScalingGroupName/shop', NAME);
    expect(own.last()?.because).toContain('its instances are hosts of the ECS cluster shop');
  });

  test('its load balancer turns connections away while its CPU is idle: nothing is added, and a person is told what helps', async () => {
    const s = await service({ launchType: 'FARGATE', balanced: true }, {}, { policy: UNASKED });
    if (s.targetGroup) receive(s.world, s.targetGroup, () => ({ requests: 6_000, failed: 0, rejected: 40 }));
    await s.run(minutes(45), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toMatch(/its load balancer \S+ turned \d+ connections away in the last 15 min, beside/);
    expect(s.last()?.remedy).toContain('aws elbv2 modify-capacity-reservation --load-balancer-arn arn:');
    expect(s.running()).toBe(3);
  });

  test('it turns connections away and the targets are busy: what scales it by itself was too slow', async () => {
    const s = await service({ launchType: 'FARGATE', balanced: true }, {}, { policy: UNASKED });
    // Its policy waits for more than it will ever see.
    const scaled = scaleService(s.world, s.service, { min: 2, max: 10, tracks: 99.9 });
    s.service.demand = 740;
    if (s.targetGroup) receive(s.world, s.targetGroup, () => ({ requests: 6_000, failed: 0, rejected: 40 }));
    await s.run(minutes(30), () => scaled.min > 2);
    expect(scaled.min).toBe(5);
    const first = s.last()?.attempts[0];
    expect((first?.reservedAt ?? 0) - (s.last()?.openedAt ?? 0)).toBeLessThan(minutes(10));
  });

  test('a group behind a load balancer, by an alarm on what that turns away', async () => {
    const s = await group();
    const tg = makeTargetGroup(s.world, 'api');
    s.api.targetGroups.push(tg.arn);
    receive(s.world, tg, () => ({ requests: 6_000, failed: 0, rejected: 4 }));
    const [balancer = ''] = tg.loadBalancers;
    const signal = {
      kind: 'capacity.short' as const,
      target: targetOf(balancer),
      at: s.clock.now(),
      cause: 'an alarm',
      eventId: 'full-1',
    };
    await s.run(minutes(4));
    s.deliver(signalMessage(signal));
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('its load balancer api turned');
  });

  test('requests fail and its CPU is idle: nothing is added, and it says so', async () => {
    const s = await service({ launchType: 'FARGATE', balanced: true }, {}, { policy: UNASKED });
    const target = targetOf(s.targetGroup?.arn ?? '');
    const signal = { kind: 'capacity.short' as const, target, at: s.clock.now(), cause: '5xx', eventId: 'errors-1' };
    s.deliver(signalMessage(signal));
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ state: 'closed', attempts: [] });
    expect(s.last()?.because).toContain('its CPU is not busy: whatever it fails of, more of it would not help');
  });

  test('a service without the tag is left alone', async () => {
    const s = await service({ launchType: 'FARGATE', tags: {} }, {}, { policy: UNASKED });
    s.service.demand = 10_000;
    await s.run(hours(1));
    expect(s.calls('UpdateService')).toEqual([]);
    expect(s.last()).toBeUndefined();
  });
});
