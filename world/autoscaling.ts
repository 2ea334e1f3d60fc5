/** Auto Scaling: groups of the fleet's instances, what they do about an unhealthy one, and how long their hooks hold it. */
import * as api from '@aws-sdk/client-auto-scaling';
import { instanceArn } from './arns.ts';
import { makeInstance, startInstance, terminateInstance } from './instances.ts';
import { AwsError, defineService, type Operations, queryWords } from './service.ts';
import type { World } from './world.ts';

export type GroupMember = { lifecycle: string; health: 'Healthy' | 'Unhealthy'; zone: string };
export type ScalingGroup = {
  readonly name: string;
  desired: number;
  min: number;
  max: number;
  suspended: Set<string>;
  capacityRebalance: boolean;
  /** Milliseconds in which a terminating instance is held by a hook; 0: no hook. */
  hook: number;
  /** After so long its own EC2 health check sees that a status check fails; undefined: never. */
  notices: number | undefined;
  /** An instance refresh is under way. */
  refreshing: boolean;
  targetGroups: string[];
  readonly members: Map<string, GroupMember>;
};
export type AutoScalingState = { readonly groups: Map<string, ScalingGroup> };
export const createAutoScalingState = (): AutoScalingState => ({ groups: new Map() });

const TAG = 'aws:autoscaling:groupName';
const REPLACES_AFTER = 5_000;
const LAUNCHES_AFTER = 10_000;
/** From the new one in service to the end of the old one. */
const REBALANCES_AFTER = 60_000;

/** Makes the group of the instances that carry its tag. */
export const addGroup = (world: World, name: string, given: Partial<ScalingGroup> = {}): ScalingGroup => {
  const instances = [...world.ec2.instances.values()].filter((i) => i.tags[TAG] === name);
  const group: ScalingGroup = {
    name,
    desired: instances.length,
    min: 1,
    max: instances.length * 2,
    suspended: new Set(),
    capacityRebalance: false,
    hook: 0,
    notices: undefined,
    refreshing: false,
    targetGroups: [],
    members: new Map(instances.map((i) => [i.id, { lifecycle: 'InService', health: 'Healthy', zone: i.zone }])),
    ...given,
  };
  world.autoscaling.groups.set(name, group);
  return group;
};

const groupOf = (world: World, id: string): ScalingGroup | undefined =>
  [...world.autoscaling.groups.values()].find((g) => g.members.has(id));

const later = (world: World, ms: number, what: () => void) => world.clock.at(world.clock.now() + ms, what);

const launch = (
  world: World,
  group: ScalingGroup,
  zone: string,
  like: Readonly<Record<string, string>>,
  type: string,
  { over = 0, arrived = () => {} }: { over?: number; arrived?: () => void } = {},
) => {
  if (group.suspended.has('Launch') || group.members.size >= group.desired + over) return;
  const instance = makeInstance(world, { zone, type, tags: { ...like } });
  group.members.set(instance.id, { lifecycle: 'Pending', health: 'Healthy', zone });
  startInstance(world, instance, () => {
    const member = group.members.get(instance.id);
    if (member) member.lifecycle = 'InService';
    arrived();
  });
};

/** As Auto Scaling does: through the hook, then terminated, then another in its zone. */
const replace = (world: World, group: ScalingGroup, id: string) => {
  const member = group.members.get(id);
  const instance = world.ec2.instances.get(id);
  if (!member || !instance || member.lifecycle !== 'InService') return;
  if (group.suspended.has('ReplaceUnhealthy') || group.suspended.has('Terminate')) return;
  member.lifecycle = group.hook > 0 ? 'Terminating:Wait' : 'Terminating';
  later(world, group.hook, () => {
    terminateInstance(world, instance);
    group.members.delete(id);
    later(world, LAUNCHES_AFTER, () => launch(world, group, member.zone, instance.tags, instance.type));
  });
};

/** Each minute: what does not run, or fails its checks for long enough, is unhealthy. */
export const checkGroups = (world: World) => {
  for (const group of world.autoscaling.groups.values())
    for (const [id, member] of group.members) {
      const instance = world.ec2.instances.get(id);
      const down = !instance || ['stopped', 'stopping', 'terminated', 'shutting-down'].includes(instance.state);
      const since = instance?.impairedSince;
      const seen = group.notices !== undefined && since !== undefined && world.clock.now() - since >= group.notices;
      if (group.suspended.has('HealthCheck') || member.lifecycle !== 'InService' || !(down || seen)) continue;
      member.health = 'Unhealthy';
      replace(world, group, id);
    }
};

/** AWS says that it will take a spot instance back in two minutes, and does. */
export const interruptSpot = (world: World, id: string) => {
  sayOfSpot(world, id, 'EC2 Spot Instance Interruption Warning', { 'instance-action': 'terminate' });
  later(world, 120_000, () => {
    const instance = world.ec2.instances.get(id);
    if (instance) terminateInstance(world, instance);
  });
};
/** It is likely to go. A group with Capacity Rebalancing launches another, and lets this one go when that is in service. */
export const recommendRebalance = (world: World, id: string) => {
  sayOfSpot(world, id, 'EC2 Instance Rebalance Recommendation', {});
  const group = groupOf(world, id);
  const instance = world.ec2.instances.get(id);
  if (!group?.capacityRebalance || !instance) return;
  later(world, LAUNCHES_AFTER, () =>
    launch(world, group, instance.zone, instance.tags, instance.type, {
      over: 1,
      arrived: () => later(world, REBALANCES_AFTER, () => replace(world, group, id)),
    }),
  );
};
const sayOfSpot = (world: World, id: string, detailType: string, more: Record<string, unknown>) =>
  world.events.emit({
    source: 'aws.ec2',
    detailType,
    resources: [instanceArn(world, id)],
    detail: { 'instance-id': id, ...more },
  });

const find = (world: World, name: string | undefined): ScalingGroup => {
  const group = world.autoscaling.groups.get(name ?? '');
  if (group) return group;
  throw new AwsError('ValidationError', `AutoScalingGroup name not found - AutoScalingGroup: ${name} not found`, 400);
};

const operations: Operations<typeof api> = {
  DescribeAutoScalingInstances: (input, { world }) => ({
    AutoScalingInstances: (input.InstanceIds ?? []).flatMap((InstanceId) => {
      const group = groupOf(world, InstanceId);
      const member = group?.members.get(InstanceId);
      return group && member
        ? {
            InstanceId,
            AutoScalingGroupName: group.name,
            AvailabilityZone: member.zone,
            LifecycleState: member.lifecycle,
            HealthStatus: member.health.toUpperCase(),
            ProtectedFromScaleIn: false,
          }
        : [];
    }),
  }),
  DescribeAutoScalingGroups: (input, { world }) => ({
    AutoScalingGroups: [...world.autoscaling.groups.values()]
      .filter((g) => !input.AutoScalingGroupNames?.length || input.AutoScalingGroupNames.includes(g.name))
      .map((g) => ({
        AutoScalingGroupName: g.name,
        MinSize: g.min,
        MaxSize: g.max,
        DesiredCapacity: g.desired,
        DefaultCooldown: 300,
        AvailabilityZones: Object.keys(world.zones),
        HealthCheckType: 'EC2',
        CreatedTime: new Date(0),
        CapacityRebalance: g.capacityRebalance,
        TargetGroupARNs: [...g.targetGroups],
        SuspendedProcesses: [...g.suspended].map((ProcessName) => ({
          ProcessName,
          SuspensionReason: 'User suspended',
        })),
        Instances: [...g.members].map(([InstanceId, m]) => ({
          InstanceId,
          AvailabilityZone: m.zone,
          LifecycleState: m.lifecycle as 'InService',
          HealthStatus: m.health,
          ProtectedFromScaleIn: false,
        })),
      })),
  }),
  DescribeInstanceRefreshes: (input, { world }) => ({
    InstanceRefreshes: find(world, input.AutoScalingGroupName).refreshing
      ? [
          {
            InstanceRefreshId: '00000000-0000-0000-0000-000000000000',
            AutoScalingGroupName: input.AutoScalingGroupName,
            Status: 'InProgress',
          },
        ]
      : [],
  }),
  SetInstanceHealth: (input, { world }) => {
    const id = input.InstanceId ?? '';
    const group = groupOf(world, id);
    const member = group?.members.get(id);
    if (!group || !member)
      throw new AwsError(
        'ValidationError',
        `Instance Id not found - No managed instance found for instance ID: ${id}`,
        400,
      );
    member.health = input.HealthStatus === 'Healthy' ? 'Healthy' : 'Unhealthy';
    if (member.health === 'Unhealthy') later(world, REPLACES_AFTER, () => replace(world, group, id));
    return {};
  },
  SetDesiredCapacity: (input, { world }) => {
    const group = find(world, input.AutoScalingGroupName);
    const wanted = input.DesiredCapacity ?? group.desired;
    if (wanted < group.min || wanted > group.max)
      throw new AwsError(
        'ValidationError',
        `New SetDesiredCapacity value ${wanted} is ${wanted > group.max ? 'above max' : 'below min'} value for the AutoScalingGroup.`,
        400,
      );
    group.desired = wanted;
    const [first] = group.members;
    const like = first && world.ec2.instances.get(first[0]);
    const zones = Object.keys(world.zones);
    for (let n = group.members.size; like && n < wanted; n++)
      later(world, LAUNCHES_AFTER, () =>
        launch(world, group, zones[n % zones.length] ?? like.zone, like.tags, like.type),
      );
    return {};
  },
};

const arnOf = ({ region, account }: World, name: string) =>
  `arn:aws:autoscaling:${region}:${account}:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/${name}`;

export const autoScalingService = defineService<typeof api>({
  name: 'autoscaling',
  signingName: 'autoscaling',
  iamPrefix: 'autoscaling',
  protocol: 'query',
  xmlNamespace: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
  api,
  words: queryWords,
  operations,
  resources: {
    SetInstanceHealth: (input, world) => [
      { arn: arnOf(world, groupOf(world, input.InstanceId ?? '')?.name ?? 'none') },
    ],
    SetDesiredCapacity: (input, world) => [{ arn: arnOf(world, input.AutoScalingGroupName ?? '') }],
  },
});
