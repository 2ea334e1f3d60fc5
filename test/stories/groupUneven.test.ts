/** group-uneven-zones in the world: Auto Scaling groups whose instances are in too few zones. Each story ends with what serves where. */
import { SetDesiredCapacityCommand } from '@aws-sdk/client-auto-scaling';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { addGroup, type ScalingGroup } from '../../world/autoscaling.ts';
import { addService, makeCluster } from '../../world/clusters.ts';
import { makeTargetGroup, registerTarget } from '../../world/elb.ts';
import { makeInstance } from '../../world/instances.ts';
import { sample } from '../events/samples.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, createAccount, following } from './account.ts';

const NAME = 'group-uneven-zones';
const MANAGED = { 'steward:managed': 'true' };
const [A, B, C] = ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'] as const;

interface Told extends AccountOptions {
  readonly zones?: readonly string[];
  readonly group?: Partial<ScalingGroup>;
  readonly settings?: object;
}
/** A group `api` that is Steward's to even out, without AZRebalance of its own. Its members have been there for an hour. */
const started = async ({ zones = [A, A, A, A, A, A], group = {}, settings = {}, ...options }: Told = {}) => {
  const account = createAccount({
    policy: { preset: 'automatic', remediations: { [NAME]: { mode: 'act', ...settings } } },
    ...options,
  });
  const { world, run } = account;
  for (const zone of zones)
    makeInstance(world, {
      running: true,
      zone,
      type: 'm6i.large',
      tags: { ...MANAGED, 'aws:autoscaling:groupName': 'api' },
    });
  const asg = addGroup(world, 'api', { tags: MANAGED, ...group });
  const counts = () => {
    const found: Record<string, number> = {};
    for (const m of asg.members.values()) if (m.lifecycle === 'InService') found[m.zone] = (found[m.zone] ?? 0) + 1;
    return found;
  };
  const calls = (operation: string) =>
    world.calls.filter((c) => c.action === `autoscaling:${operation}` && c.principal.includes(NAME));
  const least = { serving: Number.POSITIVE_INFINITY };
  world.onEvent(() => {
    least.serving = Math.min(
      least.serving,
      Object.values(counts()).reduce((a, b) => a + b, 0),
    );
  });
  await run(seconds(1));
  return { ...account, ...following(account, 'autoScalingGroupName/api', NAME), asg, counts, calls, least };
};
const even = { [A]: 2, [B]: 2, [C]: 2 };

test('one after the other: launched in the thinnest zone, then one less where there are most', async () => {
  const s = await started();
  await s.run(hours(3), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.counts()).toEqual(even);
  expect(s.asg.desired).toBe(6);
  expect(s.least.serving).toBeGreaterThanOrEqual(6);
  expect(s.rungs()?.map(([rung, effect]) => [rung?.split(' ')[0], effect])).toEqual(
    Array.from({ length: 4 }, () => [
      ['launch', 'effective'],
      ['retire', 'effective'],
    ]).flat(),
  );
  expect(s.last()?.because).toContain('losing any zone leaves 4 of 6');
});

test('a person is asked before, for what is launched replaces what is terminated', async () => {
  const s = await started({ policy: { preset: 'automatic' } });
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ state: 'asking' });
  expect(s.last()?.ask?.plan).toMatch(
    /^launch 1 instance of api in euc1-az\d, and when it serves terminate as many in euc1-az2$/,
  );
});

test('AZRebalance comes first, where it is not suspended', async () => {
  const s = await started({ group: { suspended: new Set() } });
  await s.run(hours(1), () => s.last()?.state === 'closed');
  expect(s.calls('LaunchInstances')).toEqual([]);
  expect(s.counts()).toEqual(even);
});

test('a zone has no capacity: said at once, tried again later, done when it has', async () => {
  const s = await started();
  s.world.autoscaling.lacks.add(B).add(C);
  await s.run(hours(4), () => s.last()?.state === 'escalated');
  expect(s.last()).toMatchObject({ state: 'escalated' });
  expect(s.last()?.because).toContain('InsufficientInstanceCapacity');
  expect(s.asg.desired).toBe(6);
  s.world.autoscaling.lacks.clear();
  await s.run(hours(9), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.counts()).toEqual(even);
});

test('what is launched waits in a hook, and what goes too', async () => {
  const s = await started({ group: { launchHook: minutes(4), hook: minutes(6) } });
  await s.run(hours(4), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.counts()).toEqual(even);
  expect(s.least.serving).toBeGreaterThanOrEqual(6);
});

test('what never comes into service goes again', async () => {
  const s = await started({ group: { launchHook: hours(2) }, settings: { startMinutes: 5 } });
  await s.run(hours(2), s.over);
  await s.run(minutes(10));
  expect(s.last()).toMatchObject({ state: 'escalated' });
  expect(s.counts()).toEqual({ [A]: 6 });
  expect(s.asg.desired).toBe(6);
  expect(s.least.serving).toBe(6);
});

test('somebody wants another number during a wave: that stays', async () => {
  const s = await started();
  await s.run(hours(1), () => s.calls('LaunchInstances').length === 1);
  const call = clientsOf(s.world).autoscaling.send(
    new SetDesiredCapacityCommand({ AutoScalingGroupName: 'api', DesiredCapacity: 10 }),
  );
  await s.run(hours(4), () => s.last()?.state === 'closed');
  await call;
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.asg.desired).toBe(9);
  expect(s.counts()).toEqual({ [A]: 3, [B]: 3, [C]: 3 });
});

test('protected from scale-in: they stay, and it is said', async () => {
  const s = await started();
  for (const m of s.asg.members.values()) m.protected = true;
  await s.run(hours(2), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  expect(s.last()?.because).toContain('keeps 6: 6 protected from scale-in');
});

test('at its maximum nothing can start before another stops', async () => {
  const s = await started({ group: { max: 6 } });
  await s.run(hours(2), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  expect(s.last()?.because).toContain('no more than 6 may run at once');
});

test('during an instance refresh nothing is done', async () => {
  const s = await started({ group: { refreshing: true } });
  await s.run(minutes(50));
  expect(s.last()).toMatchObject({ state: 'waiting', attempts: [] });
  expect(s.last()?.because).toContain('an instance refresh is under way');
});

test('behind a load balancer: only what that finds healthy serves', async () => {
  const s = await started();
  const targetGroup = makeTargetGroup(s.world, 'api');
  s.asg.targetGroups.push(targetGroup.arn);
  const join = () => {
    for (const [id, m] of s.asg.members)
      if (m.lifecycle === 'InService' && !targetGroup.targets.has(`${id}:80`))
        registerTarget(s.world, targetGroup, { id, port: 80, zone: m.zone });
  };
  join();
  const ended = s.run(hours(3), () => {
    join();
    return s.over();
  });
  await ended;
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.counts()).toEqual(even);
});

test('a lost reply is looked for, and not launched twice', async () => {
  const s = await started();
  s.world.faults.failNext('autoscaling', 'LaunchInstances', { kind: 'drop', afterEffect: true, times: 2 });
  await s.run(hours(4), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.counts()).toEqual(even);
  expect(s.calls('LaunchInstances')).toHaveLength(4);
});

test('hosts of a cluster are not its business', async () => {
  const account = createAccount({ policy: { preset: 'automatic', remediations: { [NAME]: { mode: 'act' } } } });
  const { cluster } = makeCluster(account.world, 'shop', { zones: [A, A, A], group: { tags: MANAGED } });
  addService(account.world, cluster, 'web', { tags: {} });
  await account.run(hours(1));
  expect(account.incidents().filter((i) => i.remediation === NAME)).toEqual([]);
});

describe('ARC tells of a zone', () => {
  const told = async (s: Awaited<ReturnType<typeof started>>, name: string, zone = 'euc1-az3', begun = 0) => {
    const { source, 'detail-type': detailType, resources, detail } = sample(`zonal-autoshift/${name}`);
    s.world.events.emit({ source, detailType, resources, detail: { ...detail, metadata: { awayFrom: zone } } });
    await s.run(seconds(5) + begun);
  };
  const launched = (s: Awaited<ReturnType<typeof started>>, zone: string) => s.counts()[zone] ?? 0;

  test('an autoshift has begun: nothing into that zone, the reason is said, and nothing leaves it', async () => {
    const s = await started({ zones: [A, A, A, A, A, B] });
    await told(s, 'begun');
    await s.run(hours(3));
    expect(s.counts()).toEqual({ [A]: 3, [B]: 1, [C]: 2 });
    expect(s.calls('LaunchInstances').length).toBe(2);
    expect(s.last()?.because).toContain(
      'euc1-az3 gets no more than 1: it is impaired: AWS shifted traffic away from it',
    );
  });

  test('it is over: the zone is clear for half an hour, then filled one by one, and more with each good wave', async () => {
    const s = await started();
    await told(s, 'begun', 'euc1-az3');
    await told(s, 'begun-for-a-resource', 'euc1-az3');
    await s.run(hours(2));
    expect(launched(s, B)).toBe(0);
    await told(s, 'completed', 'euc1-az3');
    await s.run(minutes(28));
    expect(launched(s, B)).toBe(0);
    await s.run(hours(3), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.counts()).toEqual(even);
  });

  test('it begins while a wave into the zone is under way: what was launched goes again, and nothing else', async () => {
    const s = await started({ zones: [A, A, A, C, C], group: { launchHook: minutes(4) } });
    await s.run(hours(1), () => s.calls('LaunchInstances').length === 1);
    await told(s, 'begun');
    await s.run(minutes(20));
    expect(s.rungs()?.map(([rung, effect]) => [rung?.split(' ')[0], effect])).toEqual([
      ['launch', 'ineffective'],
      ['settle', 'effective'],
    ]);
    expect(s.counts()).toEqual({ [A]: 3, [C]: 2 });
    expect(s.asg.desired).toBe(5);
  });

  test('a practice run: nothing is other than without it', async () => {
    const [without, during] = [await started(), await started()];
    await told(during, 'practice-started', 'euc1-az3');
    for (const s of [without, during]) await s.run(hours(3), s.over);
    expect(during.counts()).toEqual(even);
    expect(during.rungs()).toEqual(without.rungs());
    expect(await during.store.read({ kind: 'group', id: 'zone/euc1-az3' })).toMatchObject([
      { shifts: [{ kind: 'practice' }] },
    ]);
  });

  test('its end is never told: after a day it counts as over, and that is said', async () => {
    const s = await started({ zones: [A, A, A, B, C, C] });
    await told(s, 'begun');
    await s.run(hours(23));
    expect(launched(s, B)).toBe(1);
    await s.run(hours(1) + minutes(20));
    expect(s.last()?.because).toMatch(/no end of the shift of \S+ was told: after 24 h it counts as over/);
    await s.run(hours(3), () => s.last()?.state === 'closed');
    expect(s.counts()).toEqual(even);
  });

  test('two words of a zone at once are both kept, and what else is known of it stays', async () => {
    const s = await started();
    await s.run(minutes(6));
    const record = { kind: 'group', id: 'zone/euc1-az3' } as const;
    const [before] = await s.store.read(record);
    expect(before?.size).toBeGreaterThan(0);
    // Not awaited in between: each reads the record before the other has written it.
    await Promise.all([told(s, 'begun'), told(s, 'practice-started')]);
    const [both] = await s.store.read(record);
    expect(both).toMatchObject({ size: before?.size, version: (before?.version ?? 0) + 2 });
    expect(both?.shifts?.map(({ kind }) => kind).sort()).toEqual(['autoshift', 'practice']);
    await told(s, 'completed');
    const [ended] = await s.store.read(record);
    expect(ended?.shifts?.find(({ kind }) => kind === 'autoshift')?.until).toBe(s.clock.now() - seconds(5));
  });
});
