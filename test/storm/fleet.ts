/** A fleet of thousands over three zones: Auto Scaling groups, and machines that stand alone. And the storms that hit it. */
import { minutes } from '../../shared/core/time.ts';
import { addGroup } from '../../world/autoscaling.ts';
import { impair, makeInstance } from '../../world/instances.ts';
import type { World } from '../../world/world.ts';
import type { Storm } from './storm.ts';

export interface FleetOptions {
  /** Sizes of the Auto Scaling groups. */
  readonly groups: readonly number[];
  readonly alone: number;
}

export const seedStormFleet = (world: World, { groups, alone }: FleetOptions): readonly string[] => {
  const zones = Object.keys(world.zones);
  const make = (n: number, tags: Record<string, string>): string =>
    makeInstance(world, {
      running: true,
      type: 'm6i.large',
      zone: zones[n % zones.length] ?? '',
      tags: { 'steward:managed': 'true', ...tags },
    }).id;
  const ids = groups.flatMap((size, g) => {
    const name = `web-${g}`;
    const members = Array.from({ length: size }, (_, n) => make(n, { 'aws:autoscaling:groupName': name }));
    addGroup(world, name, { desired: size, max: size });
    return members;
  });
  return [...ids, ...Array.from({ length: alone }, (_, n) => make(n, { Name: `alone-${n}` }))];
};

/** The alarm as SNS delivers it. */
export const alarmOf = (world: World, id: string, metric: string, at: number): string =>
  JSON.stringify({
    AlarmName: `${metric} of ${id}`,
    AlarmArn: `arn:aws:cloudwatch:${world.region}:${world.account}:alarm:${metric}-${id}`,
    AWSAccountId: world.account,
    NewStateValue: 'ALARM',
    NewStateReason: 'Threshold Crossed',
    StateChangeTime: new Date(at).toISOString().replace('Z', '+0000'),
    Trigger: { MetricName: metric, Namespace: 'AWS/EC2', Dimensions: [{ name: 'InstanceId', value: id }] },
  });

const METRICS = ['StatusCheckFailed_Instance', 'StatusCheckFailed_System', 'StatusCheckFailed'] as const;

/** Each of them fails both status checks now, and its alarms come within a minute. @returns how many alarms */
export const strike = ({ world, clock, send }: Storm, ids: readonly string[], alarmsEach: number): number => {
  const random = world.random.fork('strike');
  for (const id of ids) {
    impair(world, id, { instance: true, system: true }, 'restart');
    for (let n = 0; n < alarmsEach; n++) {
      const at = clock.now() + 100 * random.integer(minutes(1) / 100);
      clock.at(at, () => send(alarmOf(world, id, METRICS[n % METRICS.length] ?? '', at)));
    }
  }
  return ids.length * alarmsEach;
};

/** Its cause is over: they are as they were. */
export const relent = ({ world }: Storm, ids: readonly string[]): void => {
  for (const id of ids) {
    const instance = world.ec2.instances.get(id);
    if (!instance) continue;
    instance.impaired = { system: false, instance: false, ebs: false };
    instance.impairedSince = undefined;
  }
};

/** Every second one of a zone. */
export const halfOf = (world: World, zone: string, ids: readonly string[]): readonly string[] =>
  ids.filter((id) => world.ec2.instances.get(id)?.zone === zone).filter((_, n) => n % 2 === 0);
