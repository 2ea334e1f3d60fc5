/** A zone goes and comes back: ECS and Auto Scaling move into the others by themselves; what they leave uneven afterwards is put right, hosts first. */

import { zoneAct } from '../../sandbox/zoneAct.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { addService, makeCluster, runningTasks } from '../../world/clusters.ts';
import { terminateInstance } from '../../world/instances.ts';
import { createDesk } from '../cli/desk.ts';

const MANAGED = { 'steward:managed': 'true' };

test('its tasks come back into it, hosts first, and never fewer serve than are wanted', async () => {
  const remedies = { 'service-uneven-zones': { costCapUsdPerMonth: 1_000 } };
  const desk = createDesk({ policy: { preset: 'automatic', remediations: remedies } });
  const { world, run, incidentOf } = desk.account;
  const [a = '', b = '', c = ''] = Object.keys(world.zones);
  const { cluster, hosts } = makeCluster(world, 'shop', { instances: 6, group: { max: 12 } });
  // Two on each host at most: what a zone held finds no room but on new hosts.
  const { service } = addService(world, cluster, 'web', { desired: 9, tags: MANAGED, cpu: 600, memory: 1500 });
  await run(minutes(12));
  const counts = () => [a, b, c].map((zone) => runningTasks(cluster, service).filter((t) => t.zone === zone).length);
  const picture = async () => (await desk.steward('alice')('zones', 'shop/web')).out.split('\n')[0];
  expect(counts()).toEqual([3, 3, 3]);
  expect(await picture()).toBe('shop/web  9 wanted · losing any zone leaves 6');

  world.autoscaling.lacks.add(b);
  for (const { id, zone } of hosts) if (zone === b) terminateInstance(world, world.ec2.instances.get(id) as never);
  await run(minutes(40), () => counts().reduce((sum, n) => sum + n, 0) === 9);
  expect(counts()[1]).toBe(0);
  await run(minutes(20));
  expect(counts().reduce((sum, n) => sum + n, 0)).toBe(9);
  expect(await picture()).toContain('losing any zone leaves 4');

  world.autoscaling.lacks.clear();
  let least = Number.POSITIVE_INFINITY;
  world.ecs.listeners.add(() => {
    least = Math.min(least, runningTasks(cluster, service).length);
  });
  await run(hours(12), () => counts().join() === '3,3,3' && incidentOf('service/shop/web')?.state === 'closed');
  expect(counts()).toEqual([3, 3, 3]);
  expect(least).toBeGreaterThanOrEqual(9);
  expect(service.desired).toBe(9);
  expect(await picture()).toBe('shop/web  9 wanted · losing any zone leaves 6');
});

test('as the demo shows it: the picture before, without the zone, and after', async () => {
  const said: string[] = [];
  await zoneAct((text = '') => void said.push(text));
  const heads = said.filter((line) => line.includes('9 wanted'));
  expect(heads.map((line) => line.trim())).toEqual([
    'shop/web  9 wanted · losing any zone leaves 6',
    'shop/web  9 wanted · losing any zone leaves 4',
    'shop/web  9 wanted · losing any zone leaves 6',
  ]);
  expect(said.at(-1)).toContain('never fewer than 9 of 9 served');
});
