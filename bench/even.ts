/** How long it takes until what runs in one zone is even over three, in the world: from the survey that finds it to the closed incident. */
import { hours, minutes } from '../shared/core/time.ts';
import { createAccount } from '../test/stories/account.ts';
import { addGroup } from '../world/autoscaling.ts';
import { addService, makeCluster, runningTasks, type ServiceOptions } from '../world/clusters.ts';
import { makeInstance } from '../world/instances.ts';
import type { World } from '../world/world.ts';

const MANAGED = { 'steward:managed': 'true' };
const policy = {
  preset: 'automatic',
  remediations: { 'service-uneven-zones': { costCapUsdPerMonth: 10_000 }, 'group-uneven-zones': { mode: 'act' } },
};

interface Case {
  readonly target: string;
  /** What runs is counted: so many serve now. */
  readonly begin: (world: World) => () => number;
  readonly wanted: number;
}
const service = (more: ServiceOptions, hosts: number, only = false): Case => ({
  target: 'service/shop/web',
  wanted: more.desired ?? 0,
  begin: (world) => {
    const [home = '', ...others] = Object.keys(world.zones);
    const fargate = more.launchType === 'FARGATE';
    const zones = [home, ...others].flatMap((zone, i) => Array.from({ length: i === 0 ? hosts : 1 }, () => zone));
    const { cluster } = makeCluster(world, 'shop', {
      zones: only ? [home] : zones,
      instances: fargate ? 0 : only ? hosts : zones.length,
    });
    for (const zone of others) world.ecs.fargateLacks.add(zone);
    const { service: made } = addService(world, cluster, 'web', { tags: MANAGED, ...more });
    world.clock.at(world.clock.now() + minutes(3), () => world.ecs.fargateLacks.clear());
    return () => runningTasks(cluster, made).length;
  },
});
const group: Case = {
  target: 'autoScalingGroupName/api',
  wanted: 12,
  begin: (world) => {
    const [home = ''] = Object.keys(world.zones);
    for (let n = 0; n < 12; n++)
      makeInstance(world, { running: true, zone: home, tags: { ...MANAGED, 'aws:autoscaling:groupName': 'api' } });
    const { members } = addGroup(world, 'api', { tags: MANAGED });
    return () => [...members.values()].filter((m) => m.lifecycle === 'InService').length;
  },
};
const packed = [{ type: 'binpack' as const, field: 'memory' }];

const CASES: Readonly<Record<string, Case>> = {
  native: service({ launchType: 'FARGATE', desired: 12 }, 0),
  waves: service({ desired: 12, placement: packed }, 6),
  hosts: service({ desired: 12, placement: packed }, 4, true),
  group,
};

export const evenFigures = async (): Promise<Record<string, number>> => {
  const found: Record<string, number> = {};
  let below = 0;
  for (const [name, { target, begin, wanted }] of Object.entries(CASES)) {
    const { world, run, incidentOf } = createAccount({ policy });
    const running = begin(world);
    let [least, began] = [Number.POSITIVE_INFINITY, false];
    world.onEvent(() => {
      began ||= incidentOf(target) !== undefined;
      if (began) least = Math.min(least, running());
    });
    await run(hours(6), () => incidentOf(target)?.state === 'closed');
    const over = incidentOf(target);
    const acted = over?.attempts[0]?.reservedAt;
    if (over?.end !== 'healthy' || acted === undefined) throw new Error(`${name}: ${over?.state} ${over?.because}`);
    found[`even.${name}Min`] = Number((((over.closedAt ?? 0) - acted) / minutes(1)).toFixed(1));
    below += Math.max(0, wanted - least);
  }
  return { ...found, 'even.belowDesired': below };
};
