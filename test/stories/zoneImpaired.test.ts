/** zone-impaired in the world: a zone goes, what runs there is led out of it where there is room, and comes back in steps. Each story ends with what runs where. */
import { SetDesiredCapacityCommand } from '@aws-sdk/client-auto-scaling';
import { UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { addGroup } from '../../world/autoscaling.ts';
import {
  addService,
  type ClusterOptions,
  hangTasks,
  makeCluster,
  runningTasks,
  type ServiceOptions,
} from '../../world/clusters.ts';
import { registerDefinition } from '../../world/ecsWorkloads.ts';
import { beginIssue, endIssue } from '../../world/health.ts';
import { makeInstance } from '../../world/instances.ts';
import { putPoint, valuePoint } from '../../world/metrics.ts';
import { createDesk } from '../cli/desk.ts';
import { sample } from '../events/samples.ts';
import { clientsOf } from '../world/clients.ts';

const NAME = 'zone-impaired';
const MANAGED = { 'steward:managed': 'true' };
const [A, B, C] = ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'] as const;
const ZONES = [A, B, C];
const ids = { [A]: 'euc1-az2', [B]: 'euc1-az3', [C]: 'euc1-az1' } as const;
type Name = keyof typeof ids;

interface Told {
  readonly policy?: object;
  readonly settings?: object;
  readonly of?: ClusterOptions;
  readonly web?: ServiceOptions;
}
/** A service `web`, nine tasks, three in each zone, with room for all nine in any two of them. */
const started = async ({ policy = {}, settings = {}, of = {}, web = {} }: Told = {}) => {
  const desk = createDesk({ policy: { preset: 'automatic', remediations: { [NAME]: settings }, ...policy } });
  const { account } = desk;
  const { world, run, incidents } = account;
  // The fleet's own groups are nobody's here.
  for (const group of world.autoscaling.groups.values()) group.tags = {};
  const { cluster, hosts } = makeCluster(world, 'shop', {
    instances: 6,
    zones: [A, A, B, B, C, C],
    group: { max: 6 },
    ...of,
  });
  const made = addService(world, cluster, 'web', { balanced: true, tags: MANAGED, desired: 9, ...web });
  await run(minutes(15));
  const running = () => runningTasks(cluster, made.service);
  const counts = () => Object.fromEntries(ZONES.map((z) => [z, running().filter((t) => t.zone === z).length]));
  const least = { serving: Number.POSITIVE_INFINITY };
  world.ecs.listeners.add(() => {
    least.serving = Math.min(least.serving, running().length);
  });
  const arc = async (name: string, zone: Name = B) => {
    const { source, 'detail-type': detailType, resources, detail } = sample(`zonal-autoshift/${name}`);
    world.events.emit({ source, detailType, resources, detail: { ...detail, metadata: { awayFrom: ids[zone] } } });
    await run(seconds(5));
  };
  const of_ = (remediation: string, end: string) => () =>
    incidents()
      .filter((i) => i.remediation === remediation && i.target.endsWith(end))
      .at(-1);
  const zone = (name: Name = B) => of_(NAME, `zone/${ids[name]}`)();
  const workload = of_('service-uneven-zones', 'service/shop/web');
  /** Incidents that a person has been told of. */
  const told = () => incidents().filter((i) => i.escalatedAt !== undefined || i.ask !== undefined);
  const zones = async (about = 'shop/web') => (await desk.steward('alice')('zones', about)).out;
  expect(counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
  return { ...account, desk, cluster, hosts, ...made, running, counts, least, arc, zone, workload, told, zones };
};
const rungs = (i: { attempts: readonly { rung: string; effect?: string }[] } | undefined) =>
  i?.attempts.map((a) => [a.rung.split(' ')[0], a.effect]);

test('a zone goes: evacuated in waves, never below what is wanted at any instant; it returns: filled in steps', async () => {
  const s = await started();
  await s.arc('begun');
  await s.run(minutes(1));
  expect(s.zone()).toMatchObject({ state: 'escalated' });
  expect(rungs(s.zone())).toEqual([['evacuate', 'effective']]);
  expect(s.zone()?.because).toContain('leaving: shop/web 3 of 9 (losing it leaves 6)');
  await s.run(hours(1), () => s.counts()[B] === 0);
  await s.run(minutes(20));
  expect(s.counts()[B]).toBe(0);
  expect(s.running()).toHaveLength(9);
  expect(s.least.serving).toBeGreaterThanOrEqual(9);
  expect(s.service.desired).toBe(9);
  expect(rungs(s.workload())).toEqual([
    ['avoid', 'effective'],
    ...Array.from({ length: 3 }, () => [
      ['leave', 'effective'],
      ['stop', 'effective'],
    ]).flat(),
  ]);
  // Nothing serves there any more: nobody is needed.
  expect(s.zone()?.state).toBe('open');
  expect(s.told().map((i) => i.remediation)).toEqual([NAME]);
  expect(await s.zones()).toMatch(/euc1-az3 {2}IMPAIRED since .*, evacuated since /);

  await s.arc('completed');
  await s.run(minutes(28));
  expect(s.counts()[B]).toBe(0);
  await s.run(hours(6), () => s.zone()?.state === 'closed' && s.workload()?.state === 'closed');
  expect(s.zone()).toMatchObject({ end: 'healthy' });
  expect(s.workload()).toMatchObject({ end: 'healthy' });
  expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
  expect(s.service.constraints).toEqual([]);
  expect(s.least.serving).toBeGreaterThanOrEqual(9);
  expect(s.told().map((i) => i.remediation)).toEqual([NAME]);
});

test('ECS evens it out by itself: it does not while the zone is evacuated, and does again after', async () => {
  const s = await started({ web: { rebalancing: true } });
  await s.arc('begun');
  await s.run(hours(1), () => s.counts()[B] === 0);
  expect(s.service).toMatchObject({ rebalancing: false, constraints: [`attribute:ecs.availability-zone != ${B}`] });
  await s.run(hours(1));
  expect(s.counts()[B]).toBe(0);
  await s.arc('completed');
  await s.run(hours(6), () => s.zone()?.state === 'closed' && s.workload()?.state === 'closed');
  await s.run(minutes(10));
  expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
  expect(s.service).toMatchObject({ rebalancing: true, constraints: [] });
  expect(s.least.serving).toBeGreaterThanOrEqual(9);
});

test('a person is asked once, for the zone; what leaves it asks no more', async () => {
  const s = await started({ policy: { preset: 'cautious' } });
  await s.arc('begun');
  await s.run(minutes(30));
  expect(s.zone()).toMatchObject({ state: 'asking' });
  expect(s.zone()?.ask?.plan).toBe('let shop/web leave euc1-az3, each by starting elsewhere before it stops there');
  expect(s.counts()[B]).toBe(3);
  expect(s.told()).toHaveLength(1);
  await s.desk.steward('alice')('approve', s.zone()?.id ?? '');
  await s.run(hours(1), () => s.counts()[B] === 0);
  expect(s.counts()[B]).toBe(0);
  expect(s.told()).toHaveLength(1);
  expect(s.least.serving).toBeGreaterThanOrEqual(9);
});

describe('it stays', () => {
  test('where the others have no room: the reason is said, once', async () => {
    const s = await started({
      of: { instances: 3, zones: [A, B, C], group: { max: 3 } },
      web: { cpu: 600, memory: 2000 },
    });
    await s.arc('begun');
    await s.run(hours(3));
    expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
    expect(s.zone()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.zone()?.because).toContain('staying: shop/web 3 of 9 (losing it leaves 6): ');
    expect(s.zone()?.because).toContain('euc1-az3 cannot be emptied: the other zones lack room for 3');
    expect(s.told()).toHaveLength(1);
  });

  test('where the policy lets nothing leave', async () => {
    const s = await started({ settings: { evacuate: false } });
    await s.arc('begun');
    await s.run(hours(2));
    expect(s.counts()[B]).toBe(3);
    expect(s.zone()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.zone()?.because).toContain('the policy lets nothing leave (evacuate)');
    expect(s.told()).toHaveLength(1);
  });

  test('on Fargate: ECS would start tasks in just that zone', async () => {
    const s = await started({ web: { launchType: 'FARGATE' } });
    await s.arc('begun');
    await s.run(hours(2));
    expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
    expect(s.zone()?.because).toContain('Fargate starts tasks in the zone that has the fewest');
    expect(s.told()).toHaveLength(1);
  });

  test('when a person takes it back: nothing more leaves, and it is not begun again', async () => {
    const s = await started();
    await s.arc('begun');
    await s.run(hours(1), () => s.counts()[B] === 2);
    await s.desk.steward('alice')('undo', s.zone()?.id ?? '');
    await s.run(minutes(5));
    expect(s.incidents().find((i) => i.remediation === NAME)).toMatchObject({ end: 'undone' });
    const then = s.counts()[B];
    await s.run(hours(3));
    expect(s.counts()[B]).toBeGreaterThanOrEqual(then ?? 0);
    expect(s.zone()?.because ?? '').not.toContain('something else undoes it');
    expect(s.incidents().flatMap((i) => (i.remediation === NAME ? i.attempts.map((a) => a.rung) : []))).toEqual([
      'evacuate',
      'undo',
    ]);
    expect(s.service).toMatchObject({ desired: 9, constraints: [] });
    expect(s.least.serving).toBeGreaterThanOrEqual(9);
  });
});

test('a zone that lacks room gets hosts first, then it is evacuated', async () => {
  const s = await started({
    of: { instances: 3, zones: [A, B, C], group: { max: 9 } },
    web: { cpu: 600, memory: 2000 },
    policy: { remediations: { 'service-uneven-zones': { costCapUsdPerMonth: 2_000 } } },
  });
  await s.arc('begun');
  await s.run(hours(3), () => s.counts()[B] === 0);
  expect(s.counts()[B]).toBe(0);
  expect(rungs(s.workload())?.map(([rung]) => rung)).toEqual(
    expect.arrayContaining(['hosts', 'avoid', 'leave', 'stop']),
  );
  expect(s.least.serving).toBeGreaterThanOrEqual(9);
});

test('two zones at once: all is frozen, and one message says so', async () => {
  const s = await started();
  await s.arc('begun', B);
  await s.arc('begun', C);
  await s.run(hours(2));
  expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
  const telling = s.incidents().filter((i) => i.state === 'escalated' || i.state === 'asking');
  expect(telling).toHaveLength(1);
  expect(telling[0]?.because).toContain('euc1-az1 and euc1-az3 are impaired at once');
  expect(s.least.serving).toBeGreaterThanOrEqual(9);
});

test('a practice run: nobody hears of it, and nothing moves', async () => {
  const s = await started();
  const before = s.incidents().length;
  await s.arc('practice-started');
  await s.run(minutes(40));
  await s.arc('practice-interrupted');
  await s.run(hours(1));
  expect(s.incidents()).toHaveLength(before);
  expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
});

test('a zone that flaps: longer left alone each time, and never below what is wanted', async () => {
  const s = await started();
  for (let n = 0; n < 3; n++) {
    await s.arc('begun');
    await s.run(minutes(25));
    await s.arc('completed');
    await s.run(minutes(50));
  }
  await s.run(hours(12), () => s.zone()?.state === 'closed' && s.workload()?.state === 'closed');
  expect(s.zone()).toMatchObject({ end: 'healthy' });
  expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
  expect(s.service).toMatchObject({ desired: 9, constraints: [] });
  expect(s.least.serving).toBeGreaterThanOrEqual(9);
  expect(new Set(s.told().map((i) => i.remediation))).toEqual(new Set([NAME]));
});

test('a deployment begins during a wave: it is left alone, starts nothing in the zone, and the zone is evacuated after it', async () => {
  const s = await started();
  await s.arc('begun');
  await s.run(hours(1), () => s.service.desired === 10);
  const next = registerDefinition(s.world, { ...s.definition, cpu: 128 });
  const call = clientsOf(s.world).ecs.send(
    new UpdateServiceCommand({ cluster: 'shop', service: 'web', taskDefinition: next.arn }),
  );
  await s.run(hours(2), () => s.counts()[B] === 0 && s.service.desired === 9);
  await call;
  expect(s.counts()[B]).toBe(0);
  expect(s.running().every((t) => t.definition === next.arn)).toBe(true);
  expect(s.least.serving).toBeGreaterThanOrEqual(9);
});

test('tasks there hang: what replaces them is started elsewhere, whatever ECS would do', async () => {
  const s = await started();
  await s.arc('begun');
  hangTasks(
    s.world,
    s,
    s.running().filter((t) => t.zone === B),
  );
  await s.run(hours(2), () => s.counts()[B] === 0);
  expect(s.counts()[B]).toBe(0);
  await s.run(minutes(10));
  expect(s.running()).toHaveLength(9);
  expect(s.service).toMatchObject({ desired: 9, constraints: [`attribute:ecs.availability-zone != ${B}`] });
});

test('capacity elsewhere ends in the middle of it: what is still there stays, the reason is said, nobody is told twice', async () => {
  const s = await started();
  await s.arc('begun');
  await s.run(hours(1), () => s.counts()[B] === 2);
  const room = [`attribute:ecs.availability-zone != ${B}`];
  addService(s.world, s.cluster, 'hog', { desired: 200, constraints: room, cpu: 128, memory: 512 });
  await s.run(hours(2));
  const left = s.counts()[B] ?? 0;
  expect(left).toBeGreaterThan(0);
  expect(s.running()).toHaveLength(9);
  expect(s.service.desired).toBe(9);
  expect(s.least.serving).toBeGreaterThanOrEqual(9);
  expect(s.zone()).toMatchObject({ state: 'escalated' });
  expect(s.zone()?.because).toContain(`staying: shop/web ${left} of 9`);
  expect(s.zone()?.because).toContain('cannot be emptied: the other zones lack room for');
  expect(s.told()).toHaveLength(1);
});

describe('an Auto Scaling group', () => {
  const grouped = async (suspended: readonly string[] = ['AZRebalance'], settings: object = { mode: 'act' }) => {
    const s = await started({ settings });
    for (const zone of [A, A, B, B, C, C])
      makeInstance(s.world, {
        running: true,
        zone,
        type: 'm6i.large',
        tags: { ...MANAGED, 'aws:autoscaling:groupName': 'api' },
      });
    const asg = addGroup(s.world, 'api', { tags: MANAGED, suspended: new Set(suspended) });
    const there = (zone: string) =>
      [...asg.members.values()].filter((m) => m.zone === zone && m.lifecycle === 'InService').length;
    let least = Number.POSITIVE_INFINITY;
    s.world.onEvent(() => {
      least = Math.min(
        least,
        ZONES.reduce((n, z) => n + there(z), 0),
      );
    });
    return { ...s, asg, there, served: () => least };
  };
  test('is led out of it too, launched elsewhere first; and fills it again', async () => {
    const s = await grouped();
    await s.arc('begun');
    await s.run(hours(2), () => s.there(B) === 0);
    expect(ZONES.map(s.there)).toEqual([3, 0, 3]);
    await s.arc('completed');
    await s.run(hours(6), () => s.there(B) === 2 && s.asg.members.size === 6);
    expect(ZONES.map(s.there)).toEqual([2, 2, 2]);
    expect(s.served()).toBeGreaterThanOrEqual(6);
    expect(s.asg.desired).toBe(6);
  });
  test('under a preset that terminates nothing by itself a person is asked once, for all groups', async () => {
    const s = await grouped(['AZRebalance'], {});
    await s.arc('begun');
    await s.run(minutes(30));
    expect(s.zone()).toMatchObject({ state: 'asking' });
    expect(s.zone()?.ask?.plan).toContain('let asg/api leave euc1-az3');
    await s.desk.steward('alice')('approve', s.zone()?.id ?? '');
    await s.run(hours(2), () => s.there(B) === 0);
    expect(s.there(B)).toBe(0);
    expect(s.told()).toHaveLength(1);
    expect(s.served()).toBeGreaterThanOrEqual(6);
  });
  test('stays, where its own AZRebalance would launch there again', async () => {
    const s = await grouped([]);
    await s.arc('begun');
    await s.run(hours(2));
    expect(s.there(B)).toBe(2);
    expect(s.zone()?.because).toContain('AZRebalance of api would launch there again');
  });
});

test('an issue of AWS Health alone: suspect, nothing moves; after an hour a person is told, and it ends by itself', async () => {
  const s = await started();
  const issue = beginIssue(s.world, { zone: B });
  await s.run(minutes(30));
  expect(s.zone()).toMatchObject({ state: 'open', attempts: [] });
  await s.run(hours(1));
  expect(s.zone()).toMatchObject({ state: 'escalated' });
  expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
  endIssue(s.world, issue);
  await s.run(hours(1), () => s.zone()?.state === 'closed');
  expect(s.zone()).toMatchObject({ end: 'healthy' });
});

test('starts of several workloads fail there and not elsewhere: suspect; with an issue of AWS Health impaired, and it comes back in steps', async () => {
  const s = await started({ settings: { evacuate: false } });
  s.world.ecs.cutOff.add(B);
  for (const name of ['one', 'two']) addService(s.world, s.cluster, name, { launchType: 'FARGATE', desired: 4 });
  await s.run(minutes(7));
  expect(await s.zones()).toMatch(/euc1-az3 {2}SUSPECT .*starts fail there and not elsewhere/);
  expect(s.zone()).toMatchObject({ state: 'open', attempts: [] });
  const issue = beginIssue(s.world, { zone: B });
  await s.run(minutes(6));
  expect(await s.zones()).toMatch(/euc1-az3 {2}IMPAIRED/);
  expect(s.zone()?.state).toBe('escalated');
  s.world.ecs.cutOff.clear();
  endIssue(s.world, issue);
  await s.run(minutes(60));
  expect(await s.zones()).toMatch(/euc1-az3 {2}RECOVERING/);
  await s.run(hours(2), () => s.zone()?.state === 'closed');
  expect(s.zone()).toMatchObject({ end: 'healthy' });
  expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
});

test('launches of Auto Scaling groups fail there, and succeed elsewhere: suspect as long as that lasts', async () => {
  const s = await started();
  s.world.autoscaling.lacks.add(B);
  for (const name of ['api', 'jobs']) {
    for (const zone of [A, C])
      makeInstance(s.world, { running: true, zone, type: 'm6i.large', tags: { 'aws:autoscaling:groupName': name } });
    addGroup(s.world, name, { max: 9 });
    void clientsOf(s.world).autoscaling.send(
      new SetDesiredCapacityCommand({ AutoScalingGroupName: name, DesiredCapacity: 6 }),
    );
  }
  await s.run(minutes(7));
  expect(await s.zones()).toMatch(/euc1-az3 {2}SUSPECT .*starts fail there and not elsewhere/);
  s.world.autoscaling.lacks.clear();
  await s.run(minutes(40), () => s.zone()?.state === 'closed');
  expect(s.zone()).toMatchObject({ end: 'healthy', attempts: [] });
  expect(await s.zones()).toMatch(/euc1-az3 {2}OK/);
});

describe('answers of a load balancer', () => {
  const LOAD_BALANCER = 'app/web/50dc6c495c0c9188';
  /** Two hours of it are known; afterwards each minute has what is said, in seconds. */
  const measured = async (latencyOf: readonly string[]) => {
    const s = await started({ settings: { latencyOf } });
    const put = (at: number, slow: Partial<Record<Name, number>> = {}) => {
      for (const zone of ZONES)
        putPoint(s.world, {
          namespace: 'AWS/ApplicationELB',
          name: 'TargetResponseTime',
          dimensions: { LoadBalancer: LOAD_BALANCER, AvailabilityZone: zone },
          point: valuePoint(at, slow[zone] ?? 0.1 + ((at / minutes(1)) % 7) * 0.001),
        });
    };
    const now = s.world.clock.now();
    const first = now - (now % minutes(1));
    for (let n = 120; n > 0; n--) put(first - n * minutes(1));
    const passing = async (count: number, slow: Partial<Record<Name, number>> = {}) => {
      for (let n = 0; n < count; n++) {
        put(s.world.clock.now() - (s.world.clock.now() % minutes(1)), slow);
        await s.run(minutes(1));
      }
    };
    return { ...s, passing };
  };

  test('that come slower from there than they did, and than from the others: suspect as long as that lasts', async () => {
    const s = await measured([LOAD_BALANCER]);
    await s.passing(10);
    expect(await s.zones()).toMatch(/euc1-az3 {2}OK/);
    await s.passing(12, { [B]: 0.4 });
    expect(await s.zones()).toMatch(/euc1-az3 {2}SUSPECT .*it answers slower than the other zones/);
    expect(await s.zones()).toMatch(/euc1-az2 {2}OK/);
    await s.passing(25);
    expect(await s.zones()).toMatch(/euc1-az3 {2}OK/);
    expect(s.zone()).toMatchObject({ end: 'healthy', attempts: [] });
  });

  test('that are slow from everywhere, or of one that is not declared: no sign of a zone', async () => {
    const s = await measured([LOAD_BALANCER]);
    await s.passing(12, { [A]: 0.4, [B]: 0.4, [C]: 0.4 });
    expect(await s.zones()).not.toMatch(/SUSPECT/);
    const other = await measured([]);
    await other.passing(12, { [B]: 0.4 });
    expect(await other.zones()).not.toMatch(/SUSPECT/);
  });
});
