/** The picture of the zones, as text; and `steward zones`, which asks for it with no more than the rights to look. */
import { paintOf } from '../../cli/paint.ts';
import { showZones } from '../../cli/zones.ts';
import { minutes, seconds } from '../../shared/core/time.ts';
import { planZones } from '../../shared/core/zones.ts';
import { addGroup } from '../../world/autoscaling.ts';
import { addService, makeCluster } from '../../world/clusters.ts';
import { makeInstance } from '../../world/instances.ts';
import { type Cell, replicasOf, stackOf } from '../core/zoneStack.ts';
import { sample } from '../events/samples.ts';
import { createDesk } from './desk.ts';

test('before and after, with states, hosts that come first and the reason', () => {
  const cells: Cell[] = [{ count: 4, stay: 1 }, { count: 2 }, { count: 0, free: 0 }];
  const stack = stackOf(cells, { desired: 6 });
  const [web] = stack.workloads;
  if (!web) throw new Error('no workload');
  const api = { ...web, id: 'api', replicas: replicasOf([{ count: 2 }, { count: 2 }, { count: 2 }], 'api') };
  const plans = planZones({
    ...stack,
    workloads: [web, api],
    pools: stack.pools.map((pool) => ({ ...pool, more: 2 })),
  });
  expect(showZones(plans, paintOf(false), { 'euc1-az2': 'SUSPECT' }).join('\n')).toMatchSnapshot();
});

test('many are drawn smaller, none is drawn as none, and nothing is a picture of nothing', () => {
  const plans = planZones(stackOf([{ count: 900 }, { count: 1 }, { count: 0 }], { desired: 901 }));
  const text = showZones(plans, paintOf(false));
  expect(text.join('\n')).toMatchSnapshot();
  expect(showZones([], paintOf(true))).toEqual([]);
});

describe('steward zones', () => {
  const MANAGED = { 'steward:managed': 'true' };
  const asked = async () => {
    const desk = createDesk({});
    const { world, run } = desk.account;
    const [a = '', b = '', c = ''] = Object.keys(world.zones);
    const { cluster } = makeCluster(world, 'shop', { instances: 0 });
    world.ecs.fargateLacks.add(b).add(c);
    addService(world, cluster, 'web', { launchType: 'FARGATE', tags: MANAGED, desired: 6 });
    addService(world, cluster, 'theirs', { launchType: 'FARGATE', desired: 2 });
    for (const zone of [a, a, b])
      makeInstance(world, { running: true, zone, tags: { ...MANAGED, 'aws:autoscaling:groupName': 'api' } });
    addGroup(world, 'api', { max: 3 });
    await run(minutes(12));
    world.calls.length = 0;
    return desk;
  };

  test('what is where, the headline, what would move, and why it does not', async () => {
    const desk = await asked();
    const { code, out } = await desk.steward('alice')('zones');
    expect(code).toBe(0);
    expect(out).toContain('shop/web  6 wanted · losing any zone leaves 0 → 4');
    expect(out).toMatch(/euc1-az2 {2}●●○○○○ {2}6 → 2/);
    expect(out).toContain('asg/api  3 wanted · losing any zone leaves 1');
    expect(out).toContain('no more than 3 may run at once');
    expect(out).not.toContain('shop/theirs');
    const changing = desk.account.world.calls.filter(({ action }) => !/:(Describe|List|Get|Assume)/.test(action));
    expect(changing).toEqual([]);
  });

  test('the state of each zone, since when, and why', async () => {
    const desk = await asked();
    const { source, 'detail-type': detailType, resources, detail } = sample('zonal-autoshift/begun');
    desk.account.world.events.emit({ source, detailType, resources, detail });
    await desk.account.run(seconds(5));
    const { out, code } = await desk.steward('alice')('zones');
    expect(code).toBe(0);
    expect(out).toMatch(/^euc1-az2 {2}IMPAIRED since 2026-\S+: AWS shifted traffic away from it$/m);
    expect(out).toMatch(/^euc1-az3 {2}OK: no sign of trouble$/m);
    const { json } = await desk.steward('alice')('zones', 'asg/api', '--json');
    expect(json.states).toContainEqual(
      expect.objectContaining({ id: 'euc1-az2', state: 'IMPAIRED', left: expect.stringContaining('has not been let') }),
    );
  });

  test('of one, and of one that is not there', async () => {
    const steward = (await asked()).steward('alice');
    expect(
      (await steward('zones', 'asg/api', '--json')).json.plans.map((p: { workload: string }) => p.workload),
    ).toEqual(['asg/api']);
    expect((await steward('zones', 'shop/none')).code).toBe(4);
  });
});
