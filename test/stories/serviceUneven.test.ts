/** service-uneven-zones in the world: tasks that are in too few zones, on EC2 and Fargate, and all that comes between. Each story ends with what runs where. */
import { DeleteServiceCommand, UpdateServiceCommand, UpdateTaskProtectionCommand } from '@aws-sdk/client-ecs';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import {
  addService,
  type ClusterOptions,
  makeCluster,
  runningTasks,
  type ServiceOptions,
  setImage,
} from '../../world/clusters.ts';
import { stopTask } from '../../world/ecsTasks.ts';
import { registerDefinition } from '../../world/ecsWorkloads.ts';
import { createDesk } from '../cli/desk.ts';
import { sample } from '../events/samples.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, createAccount, following } from './account.ts';

const NAME = 'service-uneven-zones';
const MANAGED = { 'steward:managed': 'true' };
const [A, B, C] = ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'] as const;

interface Told extends AccountOptions {
  readonly of?: ClusterOptions;
  readonly web?: ServiceOptions;
  readonly settings?: object;
  /** Zones in which there is no capacity while the service starts. */
  readonly without?: readonly string[];
}
/** A service `web` that came up while only zone a had room for it. What it must never be below is watched from then on. */
const started = async ({ of = {}, web = {}, settings = {}, without = [B, C], ...options }: Told = {}) => {
  const account = createAccount({ policy: { preset: 'automatic', remediations: { [NAME]: settings } }, ...options });
  const { world, run, clock } = account;
  const { cluster, hosts } = makeCluster(world, 'shop', { zones: [A, A, A, A], instances: 4, ...of });
  for (const zone of without) world.ecs.fargateLacks.add(zone);
  const made = addService(world, cluster, 'web', { balanced: true, tags: MANAGED, desired: 6, ...web });
  const { service } = made;
  await run(minutes(3));
  for (const zone of without) world.ecs.fargateLacks.delete(zone);
  const running = () => runningTasks(cluster, service);
  const counts = () => {
    const found: Record<string, number> = {};
    for (const { zone } of running()) found[zone] = (found[zone] ?? 0) + 1;
    return found;
  };
  const calls = (operation: string) =>
    world.calls.filter((c) => c.action.endsWith(`:${operation}`) && c.principal.includes(NAME));
  const asked = async (call: Promise<unknown>) => {
    await run(seconds(1));
    await call;
  };
  const least = { serving: Number.POSITIVE_INFINITY };
  world.ecs.listeners.add(() => {
    least.serving = Math.min(least.serving, running().length);
  });
  return {
    ...account,
    ...following(account, 'service/shop/web', NAME),
    ...made,
    clock,
    cluster,
    hosts,
    running,
    counts,
    calls,
    asked,
    least,
  };
};
const binpacked = { placement: [{ type: 'binpack' as const, field: 'memory' }] };

describe('what ECS can do itself', () => {
  test.each(['EC2', 'FARGATE'] as const)('%s: its rebalancing is turned on, and awaited', async (launchType) => {
    const s = await started({ web: { launchType }, ...(launchType === 'EC2' ? { of: { zones: [A, A, B, C] } } : {}) });
    if (launchType === 'EC2') s.world.ecs.fargateLacks.clear();
    await s.run(hours(1), s.over);
    if (launchType === 'EC2') return expect(s.last()).toBeUndefined();
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['native', 'effective']]);
    expect(s.counts()).toEqual({ [A]: 2, [B]: 2, [C]: 2 });
    expect(s.least.serving).toBeGreaterThanOrEqual(6);
    expect(s.last()?.because).toContain('losing any zone leaves 4 of 6');
    expect(s.calls('UpdateService')).toHaveLength(1);
  });

  test('what is on already is left to it', async () => {
    const s = await started({ web: { launchType: 'FARGATE', rebalancing: true } });
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.last()?.attempts ?? []).toEqual([]);
    expect(s.counts()).toEqual({ [A]: 2, [B]: 2, [C]: 2 });
  });

  test('a person is asked before, unless the policy says otherwise', async () => {
    const s = await started({ policy: {}, web: { launchType: 'FARGATE' } });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'asking' });
    expect(s.last()?.ask?.plan).toContain('let ECS even web out itself');
  });
});

describe('what Steward moves itself', () => {
  test('on Fargate: in waves of a fifth, started before stopped', async () => {
    const s = await started({ web: { launchType: 'FARGATE', desired: 12 }, settings: { native: false } });
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.counts()).toEqual({ [A]: 4, [B]: 4, [C]: 4 });
    expect(s.rungs()?.map(([rung, effect]) => [rung?.split(' ')[0], effect])).toEqual(
      Array.from({ length: 4 }, () => [
        ['start', 'effective'],
        ['stop', 'effective'],
      ]).flat(),
    );
    expect(s.least.serving).toBeGreaterThanOrEqual(12);
    expect(s.service.desired).toBe(12);
    expect(s.calls('UpdateService').map((c) => (c.input as { desiredCount: number }).desiredCount)).toEqual([
      14, 12, 14, 12, 14, 12, 14, 12,
    ]);
  });

  test('a service that ECS packs: placed by zone for the wave, and packed again after it', async () => {
    const s = await started({ of: { zones: [A, A, B, C] }, web: { ...binpacked, desired: 4 } });
    expect(s.counts()).toEqual({ [A]: 4 });
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(Object.values(s.counts()).sort()).toEqual([1, 1, 2]);
    expect(s.service.placement).toEqual(binpacked.placement);
    expect(s.service.rebalancing).toBe(false);
    expect(s.least.serving).toBeGreaterThanOrEqual(4);
  });

  test('a zone that lacks a host gets one first', async () => {
    const s = await started({ settings: { costCapUsdPerMonth: 500 } });
    expect(s.counts()).toEqual({ [A]: 6 });
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.counts()).toEqual({ [A]: 2, [B]: 2, [C]: 2 });
    expect(s.rungs()?.map(([rung]) => rung?.split(' ')[0])).toEqual(['hosts', 'hosts', 'native']);
    expect(s.calls('LaunchInstances').map((c) => (c.input as { RequestedCapacity: number }).RequestedCapacity)).toEqual(
      [1, 1],
    );
    expect(s.least.serving).toBeGreaterThanOrEqual(6);
  });
});

describe('what comes between', () => {
  const own = { settings: { native: false } };
  const fargate = { launchType: 'FARGATE' } as const;
  /** Runs until the first wave has been asked for. */
  const waved = async (told: Told = {}) => {
    const s = await started({ ...own, ...told, web: { ...fargate, ...told.web } });
    await s.run(hours(1), () => s.calls('UpdateService').length === 1);
    expect(s.calls('UpdateService')).toHaveLength(1);
    expect(s.service.desired).toBe(7);
    return s;
  };
  const lack = (s: Awaited<ReturnType<typeof waved>>, ...zones: string[]) => {
    s.world.ecs.fargateLacks.clear();
    for (const zone of zones) s.world.ecs.fargateLacks.add(zone);
  };
  const even = { [A]: 2, [B]: 2, [C]: 2 };

  test('capacity ends in the middle of a wave: it is taken back, tried again later, and done when there is some', async () => {
    const s = await waved();
    lack(s, B, C);
    await s.run(minutes(90), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('it is tried again at');
    expect(s.service.desired).toBe(6);
    expect(s.counts()).toEqual({ [A]: 6 });
    const starts = s.last()?.attempts.filter((a) => a.rung.startsWith('start'));
    expect(starts?.map((a) => a.effect)).toEqual(starts?.map(() => 'ineffective'));
    expect(starts?.length).toBeLessThan(6);
    lack(s);
    await s.run(hours(9), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.counts()).toEqual(even);
    expect(s.least.serving).toBeGreaterThanOrEqual(6);
  });

  test('a zone that flaps: it ends, and never below what is wanted', async () => {
    const s = await waved();
    for (let n = 0; n < 12; n++) {
      lack(s, ...(n % 2 === 0 ? [B] : []));
      await s.run(minutes(7));
    }
    lack(s);
    await s.run(hours(9), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.counts()).toEqual(even);
    expect(s.least.serving).toBeGreaterThanOrEqual(6);
    expect(s.service.desired).toBe(6);
  });

  test('what is started never comes to serve: those go again, and the old ones stay', async () => {
    const s = await started({ ...own, web: fargate });
    const before = s.running().map((t) => t.id);
    setImage(s.world, 'web:1', { missing: 'not found' });
    await s.run(hours(3), () => s.last()?.state === 'escalated' && s.service.desired === 6);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.running().map((t) => t.id)).toEqual(before);
    expect(s.service.desired).toBe(6);
    expect(s.least.serving).toBe(6);
    expect(s.last()?.attempts.length).toBeLessThan(12);
  });

  test('a deployment that begins during a wave: the wave is taken back, and the deployment left alone', async () => {
    const s = await waved();
    const next = registerDefinition(s.world, { ...s.definition, cpu: 256, memory: 512 });
    await s.asked(
      clientsOf(s.world).ecs.send(
        new UpdateServiceCommand({ cluster: 'shop', service: 'web', taskDefinition: next.arn }),
      ),
    );
    await s.run(minutes(20));
    expect(s.service.desired).toBe(6);
    expect(s.rungs()?.slice(0, 2)).toEqual([
      ['start 1', 'ineffective'],
      ['settle', 'effective'],
    ]);
    await s.run(hours(2), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.counts()).toEqual(even);
    expect(s.running().every((t) => t.definition === next.arn)).toBe(true);
    expect(s.least.serving).toBeGreaterThanOrEqual(6);
  });

  test.each([9, 3])('somebody wants %i during a wave: that is theirs', async (desired) => {
    const s = await waved();
    await s.asked(
      clientsOf(s.world).ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', desiredCount: desired })),
    );
    await s.run(hours(3), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.service.desired).toBe(desired);
    expect(s.counts()).toEqual({ [A]: desired / 3, [B]: desired / 3, [C]: desired / 3 });
    expect(s.least.serving).toBeGreaterThanOrEqual(Math.min(6, desired));
  });

  test('the service is deleted in the middle of it: that is the end', async () => {
    const s = await waved();
    await s.asked(
      clientsOf(s.world).ecs.send(new DeleteServiceCommand({ cluster: 'shop', service: 'web', force: true })),
    );
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ state: 'closed', end: 'not-ours' });
    expect(s.calls('UpdateService')).toHaveLength(1);
  });

  test('another controller puts the tasks back: the same is not done a second time', async () => {
    const s = await started({ ...own, web: { ...fargate, desired: 3 } });
    /** Whatever runs elsewhere is stopped, and only zone a has room. */
    const fight = async () => {
      await s.run(hours(2), s.over);
      for (const zone of [B, C]) s.world.ecs.fargateLacks.add(zone);
      for (const t of s.running()) if (t.zone !== A) stopTask(s.world, t, 'UserInitiated', 'by another controller');
      await s.run(minutes(12));
      s.world.ecs.fargateLacks.clear();
    };
    await fight();
    expect(s.incidents()).toMatchObject([{ end: 'healthy' }]);
    await s.run(hours(2), () => s.incidents().length > 1 && s.over());
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toMatch(/something (else undoes it|has moved them back)/);
    expect(s.service.desired).toBe(3);
    const starts = s.incidents().flatMap((i) => i.attempts.filter((a) => a.rung.startsWith('start')));
    expect(starts).toHaveLength(2);
  });

  test('ECS throttles: it takes longer, and does not more', async () => {
    const s = await started({ ...own, web: fargate });
    s.world.faults.limit('ecs', '*', { size: 40, perSecond: 2 });
    await s.run(hours(4), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.counts()).toEqual(even);
    expect(s.least.serving).toBeGreaterThanOrEqual(6);
  });

  test('a reply that is lost is not a wave more', async () => {
    const s = await started({ ...own, web: fargate });
    s.world.faults.failNext('ecs', 'UpdateService', { kind: 'drop', afterEffect: true, times: 3 });
    await s.run(hours(4), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.counts()).toEqual(even);
    expect(Math.max(...s.calls('UpdateService').map((c) => (c.input as { desiredCount: number }).desiredCount))).toBe(
      7,
    );
  });

  test('tasks that their owner protects stay, and it is said which', async () => {
    const s = await started({ ...own, web: fargate });
    const tasks = s.running().map((t) => t.arn);
    await s.asked(
      clientsOf(s.world).ecs.send(
        new UpdateTaskProtectionCommand({ cluster: 'shop', tasks, protectionEnabled: true, expiresInMinutes: 2880 }),
      ),
    );
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toMatch(/keeps 6: 6 protected until 2026-01-17T/);
  });

  test('a person takes a wave back', async () => {
    const desk = createDesk({ policy: { preset: 'automatic', remediations: { [NAME]: { native: false } } } });
    const { account } = desk;
    const { world, run } = account;
    const { cluster } = makeCluster(world, 'shop', { instances: 0 });
    for (const zone of [B, C]) world.ecs.fargateLacks.add(zone);
    const { service } = addService(world, cluster, 'web', { ...fargate, tags: MANAGED, desired: 6 });
    await run(minutes(3));
    world.ecs.fargateLacks.clear();
    await run(hours(1), () => runningTasks(cluster, service).length === 7);
    await desk.steward('alice')('undo', account.incidentOf('service/shop/web')?.id ?? '');
    await run(minutes(5), () => account.incidentOf('service/shop/web')?.state === 'closed');
    expect(account.incidentOf('service/shop/web')).toMatchObject({ end: 'undone' });
    await run(minutes(1));
    expect(runningTasks(cluster, service).map((t) => t.zone)).toEqual([A, A, A, A, A, A]);
  });
});

test('many services in one cluster: a fifth of them at a time, all even in the end', async () => {
  const account = createAccount({ policy: { preset: 'automatic' } });
  const { world, run, incidents } = account;
  const { cluster } = makeCluster(world, 'shop', { instances: 0 });
  for (const zone of [B, C]) world.ecs.fargateLacks.add(zone);
  const made = Array.from({ length: 60 }, (_, n) =>
    addService(world, cluster, `web-${n}`, { launchType: 'FARGATE', tags: MANAGED, desired: 3 }),
  );
  await run(minutes(3));
  world.ecs.fargateLacks.clear();
  const uneven = () =>
    made.filter(({ service }) => new Set(runningTasks(cluster, service).map((t) => t.zone)).size < 3);
  expect(uneven()).toHaveLength(60);
  await run(hours(3), () => uneven().length === 0 && incidents().every((i) => i.state === 'closed'));
  expect(uneven().length).toBe(0);
  expect([...new Set(incidents().map((i) => i.end ?? `${i.state}: ${i.because}`))]).toEqual(['healthy']);
  expect(incidents().flatMap((i) => i.attempts)).toHaveLength(60);
});

describe('ARC tells of a zone', () => {
  const told = async (s: Awaited<ReturnType<typeof started>>, name: string) => {
    const { source, 'detail-type': detailType, resources, detail } = sample(`zonal-autoshift/${name}`);
    s.world.events.emit({ source, detailType, resources, detail: { ...detail, metadata: { awayFrom: 'euc1-az3' } } });
    await s.run(seconds(5));
  };

  test('an autoshift: ECS’s own rebalancing is not turned on, and no wave goes there until it is over', async () => {
    const s = await started({ web: { launchType: 'FARGATE', balanced: false } });
    await told(s, 'begun');
    await s.run(hours(3));
    // ECS would take the emptiest zone for whatever is started, and that is the bad one.
    expect(s.rungs()).toEqual([]);
    expect(s.counts()).toEqual({ [A]: 6 });
    expect(s.last()?.because).toContain('ECS would place some of a wave in euc1-az3, which is IMPAIRED');
    expect(s.last()?.because).toContain('it is impaired: AWS shifted traffic away from it');
    await told(s, 'completed');
    await s.run(minutes(28));
    expect(s.counts()[B]).toBeUndefined();
    await s.run(hours(4), () => s.last()?.state === 'closed');
    expect(s.counts()).toEqual({ [A]: 2, [B]: 2, [C]: 2 });
  });

  test('another zone is the emptiest: waves go there, and the bad one keeps what it has', async () => {
    const s = await started({ web: { launchType: 'FARGATE' }, without: [C] });
    await told(s, 'begun');
    await s.run(hours(3));
    expect(s.rungs()?.map(([rung]) => rung?.split(' ')[0])).toEqual(['start', 'stop']);
    expect(s.counts()).toEqual({ [A]: 2, [B]: 3, [C]: 1 });
    expect(s.least.serving).toBeGreaterThanOrEqual(6);
  });

  test('it begins while a wave into the zone is under way: the wave is taken back', async () => {
    const s = await started({ web: { launchType: 'FARGATE' }, without: [B], settings: { native: false } });
    await s.run(hours(1), () => s.rungs()?.length === 1);
    await told(s, 'begun');
    await s.run(minutes(20));
    expect(s.rungs()?.map(([rung, effect]) => [rung?.split(' ')[0], effect])).toEqual([
      ['start', 'ineffective'],
      ['settle', 'effective'],
    ]);
    expect(s.counts()).toEqual({ [A]: 3, [C]: 3 });
    expect(s.least.serving).toBeGreaterThanOrEqual(6);
  });
});
