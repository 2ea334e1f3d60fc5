/** Auto Scaling: groups of the fleet's instances, what they do about an unhealthy one, and how long their hooks hold it. */

import type { LaunchInstancesCommandInput, LaunchInstancesCommandOutput } from '@aws-sdk/client-auto-scaling';
import * as api from '@aws-sdk/client-auto-scaling';
import { instanceArn } from './arns.ts';
import type { Instance } from './ec2.ts';
import { makeInstance, startInstance, terminateInstance } from './instances.ts';
import { subnetIn } from './places.ts';
import { AwsError, defineService, type Operations, queryWords, type Resource } from './service.ts';
import type { World } from './world.ts';

export type GroupMember = {
  lifecycle: string;
  health: 'Healthy' | 'Unhealthy';
  zone: string;
  /** From scale-in. */
  protected?: boolean;
};
export type ScalingGroup = {
  readonly name: string;
  desired: number;
  min: number;
  max: number;
  suspended: Set<string>;
  capacityRebalance: boolean;
  /** Names of the zones that its subnets are in. */
  zones: string[];
  /** Milliseconds in which a new instance is held by a hook; 0: no hook. */
  launchHook: number;
  /** Milliseconds in which a terminating instance is held by a hook; 0: no hook. */
  hook: number;
  /** After so long its own EC2 health check sees that a status check fails; undefined: never. */
  notices: number | undefined;
  /** An instance refresh is under way. */
  refreshing: boolean;
  /** Percent of CPU that a policy of target tracking keeps it at; undefined: it has none. It is only listed: nothing here scales by it. */
  tracks: number | undefined;
  targetGroups: string[];
  tags: Record<string, string>;
  /** Its launch template: what it launches while it has no instance that tells. */
  template: Pick<Instance, 'tags' | 'type'> | undefined;
  readonly members: Map<string, GroupMember>;
};
export type AutoScalingState = {
  readonly groups: Map<string, ScalingGroup>;
  /** Zones in which EC2 has no capacity for them now. */
  readonly lacks: Set<string>;
  /** What LaunchInstances answered to a token: eight hours long the same. */
  readonly launched: Map<string, LaunchInstancesCommandOutput>;
  /** Launches, the newest last. `instance` undefined: it failed. */
  readonly activities: { id: string; group: string; zone: string; at: number; instance: string | undefined }[];
};
export const createAutoScalingState = (): AutoScalingState => ({
  groups: new Map(),
  lacks: new Set(),
  launched: new Map(),
  activities: [],
});

const TAG = 'aws:autoscaling:groupName';
const REPLACES_AFTER = 5_000;
const LAUNCHES_AFTER = 10_000;
/** From the new one in service to the end of the old one. */
const REBALANCES_AFTER = 60_000;
/** What EC2 had no capacity for is tried again. */
const TRIES_AGAIN = 60_000;

/** Makes the group of the instances that carry its tag. */
export const addGroup = (world: World, name: string, given: Partial<ScalingGroup> = {}): ScalingGroup => {
  const instances = [...world.ec2.instances.values()].filter((i) => i.tags[TAG] === name);
  const group: ScalingGroup = {
    name,
    desired: instances.length,
    min: 1,
    max: instances.length * 2,
    // Those of the fleet are as they were furnished, until a story says otherwise.
    suspended: new Set(['AZRebalance']),
    zones: Object.keys(world.zones),
    launchHook: 0,
    capacityRebalance: false,
    hook: 0,
    notices: undefined,
    refreshing: false,
    tracks: undefined,
    targetGroups: [],
    // As they are propagated to its instances.
    tags: Object.fromEntries(Object.entries(instances[0]?.tags ?? {}).filter(([key]) => !key.startsWith('aws:'))),
    template: instances[0] && { tags: instances[0].tags, type: instances[0].type },
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
  if (world.autoscaling.lacks.has(zone)) {
    sayLaunch(world, group, zone, undefined);
    // "balanced-best-effort": if launches fail in a zone, it launches in another one.
    const [other] = byMembers(group).filter((z) => !world.autoscaling.lacks.has(z));
    const again = () => launch(world, group, other ?? zone, like, type, { over, arrived });
    return void later(world, other ? LAUNCHES_AFTER : TRIES_AGAIN, again);
  }
  enroll(world, group, zone, like, type, arrived);
};

/** Zones of the group, those with the fewest of its members first. */
const byMembers = ({ zones, members }: ScalingGroup): string[] => {
  const count = (zone: string) => [...members.values()].filter((m) => m.zone === zone).length;
  return [...zones].sort((a, b) => count(a) - count(b));
};

/** Started, held by a hook if there is one, in service. */
const enroll = (
  world: World,
  group: ScalingGroup,
  zone: string,
  like: Readonly<Record<string, string>>,
  type: string,
  arrived: () => void = () => {},
): Instance => {
  const instance = makeInstance(world, { zone, type, tags: { ...like } });
  group.members.set(instance.id, { lifecycle: 'Pending', health: 'Healthy', zone });
  startInstance(world, instance, () => {
    const member = group.members.get(instance.id);
    if (!member) return;
    if (group.launchHook > 0) member.lifecycle = 'Pending:Wait';
    later(world, group.launchHook, () => {
      if (!group.members.has(instance.id)) return;
      member.lifecycle = 'InService';
      arrived();
    });
  });
  sayLaunch(world, group, zone, instance);
  return instance;
};

const noCapacity = (type: string, zone: string): string =>
  `We currently do not have sufficient ${type} capacity in the Availability Zone you requested (${zone}). Our system will be working on provisioning additional capacity.`;

const sayLaunch = (world: World, group: ScalingGroup, zone: string, instance: Instance | undefined) => {
  const id = world.random.uuid();
  world.autoscaling.activities.push({ id, group: group.name, zone, at: world.clock.now(), instance: instance?.id });
  world.events.emit({
    source: 'aws.autoscaling',
    detailType: instance ? 'EC2 Instance Launch Successful' : 'EC2 Instance Launch Unsuccessful',
    resources: [groupArnOf(world, group.name), ...(instance ? [instanceArn(world, instance.id)] : [])],
    detail: {
      StatusCode: instance ? 'InProgress' : 'Failed',
      AutoScalingGroupName: group.name,
      ActivityId: id,
      Details: { 'Availability Zone': zone, 'Subnet ID': subnetIn(world, zone) },
      EC2InstanceId: instance?.id ?? '',
      ...(instance ? {} : { StatusMessage: failedLaunch(zone) }),
      Origin: 'EC2',
      Destination: 'AutoScalingGroup',
    },
  });
};
const failedLaunch = (zone: string): string => `${noCapacity('m6i.large', zone)} Launching EC2 instance failed.`;

/** Those of the group that serve, or are on their way. */
const likeOf = (world: World, group: ScalingGroup): Instance | undefined =>
  [...group.members.keys()].flatMap((id) => world.ec2.instances.get(id) ?? [])[0];

/** Through the hook, then terminated. @param then what the group does after that */
const letGo = (
  world: World,
  group: ScalingGroup,
  id: string,
  then: (member: GroupMember, was: Instance) => void = () => {},
) => {
  const member = group.members.get(id);
  const instance = world.ec2.instances.get(id);
  if (!member || !instance || !['InService', 'Pending'].includes(member.lifecycle)) return;
  member.lifecycle = group.hook > 0 ? 'Terminating:Wait' : 'Terminating';
  later(world, group.hook, () => {
    terminateInstance(world, instance);
    group.members.delete(id);
    then(member, instance);
  });
};

/** AZRebalance: one more where there are fewest, and then one less where there are most. */
const evenOut = (world: World, group: ScalingGroup) => {
  const quiet = [...group.members.values()].every((m) => m.lifecycle === 'InService');
  if (group.suspended.has('AZRebalance') || !quiet || group.members.size !== group.desired) return;
  const zones = byMembers(group);
  const [thin] = zones;
  const fat = zones.at(-1);
  const own = [...group.members].filter(([, m]) => m.zone === fat);
  const there = [...group.members.values()].filter((m) => m.zone === thin).length;
  const like = likeOf(world, group);
  if (!thin || !like || own.length - there < 2 || world.autoscaling.lacks.has(thin)) return;
  launch(world, group, thin, like.tags, like.type, {
    over: 1,
    arrived: () => {
      const [first] = own.find(([, m]) => !m.protected) ?? [];
      if (first !== undefined && group.members.size > group.desired) letGo(world, group, first);
    },
  });
};

/** As Auto Scaling does: through the hook, then terminated, then another in its zone. */
const replace = (world: World, group: ScalingGroup, id: string) => {
  const member = group.members.get(id);
  const instance = world.ec2.instances.get(id);
  if (!member || !instance || member.lifecycle !== 'InService') return;
  if (group.suspended.has('ReplaceUnhealthy') || group.suspended.has('Terminate')) return;
  letGo(world, group, id, (gone, was) =>
    later(world, LAUNCHES_AFTER, () => launch(world, group, gone.zone, was.tags, was.type)),
  );
};

/** Each minute: what does not run, or fails its checks for long enough, is unhealthy. */
export const checkGroups = (world: World) => {
  for (const group of world.autoscaling.groups.values()) {
    evenOut(world, group);
    for (const [id, member] of group.members) {
      const instance = world.ec2.instances.get(id);
      const down = !instance || ['stopped', 'stopping', 'terminated', 'shutting-down'].includes(instance.state);
      const since = instance?.impairedSince;
      const seen = group.notices !== undefined && since !== undefined && world.clock.now() - since >= group.notices;
      if (group.suspended.has('HealthCheck') || member.lifecycle !== 'InService' || !(down || seen)) continue;
      member.health = 'Unhealthy';
      replace(world, group, id);
    }
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

/** As many as are desired: more are launched, and of too many one of the fullest zone goes. */
const fill = (world: World, group: ScalingGroup) => {
  const like = likeOf(world, group) ?? group.template;
  const { zones } = group;
  for (let n = group.members.size; like && n < group.desired; n++)
    later(world, LAUNCHES_AFTER, () => launch(world, group, zones[n % zones.length] ?? '', like.tags, like.type));
  const staying = [...group.members].filter(([, m]) => !m.lifecycle.startsWith('Terminating'));
  const inZone = (zone: string) => staying.filter(([, m]) => m.zone === zone).length;
  const excess = group.suspended.has('Terminate') ? 0 : Math.max(0, staying.length - group.desired);
  for (const [id, member] of staying.toSorted(([, a], [, b]) => inZone(b.zone) - inZone(a.zone)).slice(0, excess)) {
    member.lifecycle = group.hook > 0 ? 'Terminating:Wait' : 'Terminating';
    later(world, Math.max(group.hook, 1_000), () => {
      const instance = world.ec2.instances.get(id);
      if (instance) terminateInstance(world, instance);
      group.members.delete(id);
    });
  }
};

/** One after the other: the next when another one serves in its place. */
const refreshNext = (world: World, group: ScalingGroup, [id, ...others]: readonly string[]) => {
  if (id === undefined) {
    group.refreshing = false;
    return;
  }
  if (!group.members.has(id)) return refreshNext(world, group, others);
  letGo(world, group, id, (gone, was) =>
    later(world, LAUNCHES_AFTER, () =>
      launch(world, group, gone.zone, was.tags, was.type, { arrived: () => refreshNext(world, group, others) }),
    ),
  );
};

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
            ProtectedFromScaleIn: member.protected ?? false,
          }
        : [];
    }),
  }),
  DescribeAutoScalingGroups: (input, { world }) => ({
    AutoScalingGroups: [...world.autoscaling.groups.values()]
      .filter((g) => !input.AutoScalingGroupNames?.length || input.AutoScalingGroupNames.includes(g.name))
      .map((g) => ({
        AutoScalingGroupName: g.name,
        AutoScalingGroupARN: groupArnOf(world, g.name),
        MinSize: g.min,
        MaxSize: g.max,
        DesiredCapacity: g.desired,
        DefaultCooldown: 300,
        AvailabilityZones: [...g.zones],
        VPCZoneIdentifier: g.zones.map((z) => subnetIn(world, z)).join(','),
        LaunchTemplate: { LaunchTemplateName: g.name, Version: '$Default' },
        HealthCheckType: 'EC2',
        CreatedTime: new Date(0),
        CapacityRebalance: g.capacityRebalance,
        TargetGroupARNs: [...g.targetGroups],
        Tags: Object.entries(g.tags).map(([Key, Value]) => ({
          Key,
          Value,
          ResourceId: g.name,
          PropagateAtLaunch: true,
        })),
        SuspendedProcesses: [...g.suspended].map((ProcessName) => ({
          ProcessName,
          SuspensionReason: 'User suspended',
        })),
        Instances: [...g.members].map(([InstanceId, m]) => ({
          InstanceId,
          InstanceType: world.ec2.instances.get(InstanceId)?.type,
          AvailabilityZone: m.zone,
          LifecycleState: m.lifecycle as 'InService',
          HealthStatus: m.health,
          ProtectedFromScaleIn: m.protected ?? false,
        })),
      })),
  }),
  DescribePolicies: (input, { world }) => {
    const { name, tracks } = find(world, input.AutoScalingGroupName);
    return {
      ScalingPolicies:
        tracks === undefined
          ? []
          : [
              {
                AutoScalingGroupName: name,
                PolicyName: 'cpu',
                PolicyType: 'TargetTrackingScaling',
                Enabled: true,
                TargetTrackingConfiguration: {
                  PredefinedMetricSpecification: { PredefinedMetricType: 'ASGAverageCPUUtilization' as const },
                  TargetValue: tracks,
                },
              },
            ],
    };
  },
  /** The newest first. Of filters the world has only the lower bound. */
  DescribeScalingActivities: (input, { world }) => {
    const odd = (input.Filters ?? []).find((f) => f.Name !== 'StartTimeLowerBound');
    if (odd) throw new AwsError('ValidationError', `The world has no filter ${odd.Name}`, 400);
    const since = Date.parse(input.Filters?.[0]?.Values?.[0] ?? '1970-01-01T00:00:00Z');
    const { activities, groups } = world.autoscaling;
    const isUnderWay = (group: string, id: string) =>
      groups.get(group)?.members.get(id)?.lifecycle.startsWith('Pending');
    return {
      Activities: activities
        .filter((a) => a.at >= since && (input.AutoScalingGroupName ?? a.group) === a.group)
        .slice(-100)
        .reverse()
        .map(({ id, group, zone, at, instance }) => ({
          ActivityId: id,
          AutoScalingGroupName: group,
          Cause: 'a difference between desired and actual capacity',
          Description: instance ? `Launching a new EC2 instance: ${instance}` : 'Launching a new EC2 instance',
          Details: JSON.stringify({ 'Subnet ID': subnetIn(world, zone), 'Availability Zone': zone }),
          StartTime: new Date(at),
          EndTime: new Date(at),
          StatusCode: !instance ? ('Failed' as const) : isUnderWay(group, instance) ? 'InProgress' : 'Successful',
          ...(instance ? {} : { StatusMessage: failedLaunch(zone) }),
        })),
    };
  },
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
  StartInstanceRefresh: (input, { world }) => {
    const group = find(world, input.AutoScalingGroupName);
    if (group.refreshing)
      throw new AwsError('InstanceRefreshInProgress', 'An Instance Refresh is already in progress.', 400);
    group.refreshing = true;
    refreshNext(world, group, [...group.members.keys()]);
    return { InstanceRefreshId: world.random.uuid() };
  },
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
  LaunchInstances: (input, { world }) => {
    const token = `${input.AutoScalingGroupName} ${input.ClientToken}`;
    const answered = world.autoscaling.launched.get(token) ?? launchNow(world, input);
    world.autoscaling.launched.set(token, answered);
    return answered;
  },
  TerminateInstanceInAutoScalingGroup: (input, { world }) => {
    const id = input.InstanceId ?? '';
    const group = groupOf(world, id);
    if (!group)
      throw new AwsError(
        'ValidationError',
        `Instance Id not found - No managed instance found for instance ID: ${id}`,
        400,
      );
    if (input.ShouldDecrementDesiredCapacity && group.desired <= group.min)
      throw new AwsError(
        'ValidationError',
        `Currently, desiredSize equals minSize (${group.min}). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.`,
        400,
      );
    if (input.ShouldDecrementDesiredCapacity) group.desired -= 1;
    letGo(world, group, id, (gone, was) =>
      later(world, LAUNCHES_AFTER, () => launch(world, group, gone.zone, was.tags, was.type)),
    );
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
    fill(world, group);
    return {};
  },
  /** "If a new value for MinSize is larger than the current size of the group, this implicitly sets the group's desired capacity"; MaxSize the other way round. */
  UpdateAutoScalingGroup: (input, { world }) => {
    const group = find(world, input.AutoScalingGroupName);
    const [min, max] = [input.MinSize ?? group.min, input.MaxSize ?? group.max];
    const desired = input.DesiredCapacity ?? Math.min(max, Math.max(min, group.desired));
    if (min > max || desired < min || desired > max)
      throw new AwsError(
        'ValidationError',
        `Desired capacity:${desired} must be between the specified min size:${min} and max size:${max}`,
        400,
      );
    Object.assign(group, { min, max, desired });
    fill(world, group);
    return {};
  },
};

/** "The Auto Scaling group's desired capacity is increased by the number of instances launched": one zone a call, at once or not at all. */
const launchNow = (world: World, input: LaunchInstancesCommandInput): LaunchInstancesCommandOutput => {
  const group = find(world, input.AutoScalingGroupName);
  const [zoneId] = input.AvailabilityZoneIds ?? [];
  const zone = input.AvailabilityZones?.[0] ?? group.zones.find((z) => world.zones[z] === zoneId) ?? '';
  const count = input.RequestedCapacity ?? 1;
  if (!group.zones.includes(zone))
    throw new AwsError('ValidationError', `The zone ${zoneId ?? zone} is not one of the Auto Scaling group.`, 400);
  if (group.desired + count > group.max)
    throw new AwsError('ValidationError', `Launching ${count} would exceed the maximum size of the group.`, 400);
  if (group.suspended.has('Launch'))
    throw new AwsError('ValidationError', 'The Launch process of the group is suspended.', 400);
  const like = likeOf(world, group);
  const type = like?.type ?? 'm6i.large';
  const where = { InstanceType: type, AvailabilityZone: zone, AvailabilityZoneId: world.zones[zone] };
  const about = { AutoScalingGroupName: group.name, ClientToken: input.ClientToken, $metadata: {} };
  if (world.autoscaling.lacks.has(zone)) {
    sayLaunch(world, group, zone, undefined);
    const error = { ...where, ErrorCode: 'InsufficientInstanceCapacity', ErrorMessage: noCapacity(type, zone) };
    return { ...about, Instances: [], Errors: [error] };
  }
  group.desired += count;
  const tags = like?.tags ?? { [TAG]: group.name };
  const made = Array.from({ length: count }, () => enroll(world, group, zone, tags, type).id);
  return {
    ...about,
    Instances: [{ ...where, MarketType: 'OnDemand', SubnetId: subnetIn(world, zone), InstanceIds: made }],
    Errors: [],
  };
};

export const groupArnOf = ({ region, account }: World, name: string) =>
  `arn:aws:autoscaling:${region}:${account}:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/${name}`;

const resource = (world: World, name = 'none'): Resource => ({
  arn: groupArnOf(world, name),
  tags: world.autoscaling.groups.get(name)?.tags ?? {},
});

export const autoScalingService = defineService<typeof api>({
  name: 'autoscaling',
  signingName: 'autoscaling',
  iamPrefix: 'autoscaling',
  protocol: 'query',
  xmlNamespace: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
  api,
  words: queryWords,
  operations,
  requires: {
    LaunchInstances: () =>
      ['ec2:CreateFleet', 'ec2:DescribeLaunchTemplateVersions'].map((action) => ({
        action,
        resource: { arn: '*' },
        context: { 'aws:ViaAWSService': 'true' },
      })),
  },
  resources: {
    SetInstanceHealth: (input, world) => [resource(world, groupOf(world, input.InstanceId ?? '')?.name)],
    SetDesiredCapacity: (input, world) => [resource(world, input.AutoScalingGroupName)],
    UpdateAutoScalingGroup: (input, world) => [resource(world, input.AutoScalingGroupName)],
    LaunchInstances: (input, world) => [resource(world, input.AutoScalingGroupName)],
    StartInstanceRefresh: (input, world) => [resource(world, input.AutoScalingGroupName)],
    TerminateInstanceInAutoScalingGroup: (input, world) => [
      resource(world, groupOf(world, input.InstanceId ?? '')?.name),
    ],
  },
});
