/**
 * A zone goes and comes back, in a simulated account on a clock of its own: hours pass in a second. Steward's own code does what is shown, and the pictures are
 * what `steward zones` answers; only the table and the queue are in memory.
 */
import color from 'picocolors';
import { hours, minutes } from '../shared/core/time.ts';
import { createDesk } from '../test/cli/desk.ts';
import { addService, makeCluster, runningTasks } from '../world/clusters.ts';
import { terminateInstance } from '../world/instances.ts';

const clockOf = (ms: number): string => new Date(ms).toISOString().slice(11, 16);

export const zoneAct = async (say: (text?: string) => void): Promise<void> => {
  const remedies = { 'service-uneven-zones': { costCapUsdPerMonth: 1_000 } };
  const { account, steward } = createDesk({ policy: { preset: 'automatic', remediations: remedies } });
  const { world, run, clock, incidentOf } = account;
  const [, lost = ''] = Object.keys(world.zones);
  const { cluster, hosts } = makeCluster(world, 'shop', { instances: 6, group: { max: 12 } });
  const { service } = addService(world, cluster, 'web', {
    desired: 9,
    cpu: 600,
    memory: 1_500,
    tags: { 'steward:managed': 'true' },
  });
  let least = service.desired;
  const picture = async (): Promise<void> => {
    const { out } = await steward('you')('zones', 'shop/web');
    say(`   ${color.cyan('$ steward zones shop/web')}   ${color.dim(clockOf(clock.now()))}`);
    for (const line of out.trimEnd().split('\n')) say(`   ${line}`);
    say();
  };
  const isWhole = () => runningTasks(cluster, service).length === service.desired;
  await run(minutes(12));
  await picture();

  say(`   ${color.yellow(`${clockOf(clock.now())}  ${lost} goes`)}: its hosts end, and EC2 has no capacity there.`);
  world.autoscaling.lacks.add(lost);
  for (const { id, zone } of hosts) {
    const host = world.ec2.instances.get(id);
    if (host && zone === lost) terminateInstance(world, host);
  }
  await run(hours(1), isWhole);
  await run(minutes(15));
  say(`   ${color.dim('ECS has started its tasks in the others by itself.')}`);
  say();
  await picture();

  say(`   ${color.yellow(`${clockOf(clock.now())}  ${lost} is back.`)}`);
  world.autoscaling.lacks.clear();
  world.ecs.listeners.add(() => {
    least = Math.min(least, runningTasks(cluster, service).length);
  });
  const known = new Set(account.incidents().flatMap((i) => i.attempts.map((a) => a.token)));
  const isOver = () => incidentOf('service/shop/web')?.state === 'closed' && new Set(zonesNow()).size === 3;
  const zonesNow = () => runningTasks(cluster, service).map((t) => t.zone);
  await run(hours(12), isOver);
  for (const { token, reservedAt, plan, effect } of account.incidents().flatMap((i) => i.attempts))
    if (!known.has(token))
      say(`   ${color.dim(clockOf(reservedAt))}  ${color.magenta(plan)}  ${color.dim(effect ?? '')}`);
  say();
  await picture();
  if (!isOver() || least < service.desired) throw new Error('the zone did not fill again as it should');
  say(`   ${color.green('Even again')}: never fewer than ${least} of ${service.desired} served on the way back.`);
};
