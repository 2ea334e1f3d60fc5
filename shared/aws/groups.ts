import {
  type Activity,
  AutoScalingClient,
  type AutoScalingGroup,
  DescribeAutoScalingInstancesCommand,
  DescribeInstanceRefreshesCommand,
  LaunchInstancesCommand,
  paginateDescribeAutoScalingGroups,
  paginateDescribePolicies,
  paginateDescribeScalingActivities,
  SetDesiredCapacityCommand,
  SetInstanceHealthCommand,
  StartInstanceRefreshCommand,
  TerminateInstanceInAutoScalingGroupCommand,
  UpdateAutoScalingGroupCommand,
} from '@aws-sdk/client-auto-scaling';
import * as z from 'zod/mini';
import { settledAt } from '../core/capacity.ts';
import { NotFound, Refused } from '../core/errors.ts';
import type { Groups, LaunchSeen, Member, ScalingGroup } from '../core/groups.ts';
import { iso } from '../core/time.ts';
import { type ClientOptions, clientConfig, inTime } from './clients.ts';
import { calling } from './errors.ts';

/** Source: InstanceRefresh, Status. */
const UNDER_WAY = new Set(['Pending', 'InProgress', 'Cancelling', 'RollbackInProgress', 'Baking']);

/** Auto Scaling answers so many instances in one call. */
const MOST_INSTANCES = 50;

const named = (all: readonly string[]): string => `${all.slice(0, 3).join(', ')}${all.length > 3 ? ' …' : ''}`;

/** AWS writes HEALTHY of an instance and Healthy of a group's. */
const isHealthy = (status: string | undefined): boolean => status?.toLowerCase() === 'healthy';

/** Of launches in the last minutes: what is more says the same. */
const MOST_PAGES = 5;
const details = z.object({ 'Availability Zone': z.string() });
/** Undefined: it is none, or is not over. */
const launchOf = (raw: Activity): LaunchSeen | undefined => {
  const { AutoScalingGroupName: group, StatusCode: status, StartTime, Details = '' } = raw;
  const where = z.safeParse(details, undefinedUnlessJson(Details));
  if (!group || !StartTime || !where.success || !raw.Description?.startsWith('Launching')) return undefined;
  const seen = { group, zone: where.data['Availability Zone'], at: (raw.EndTime ?? StartTime).getTime() };
  if (status === 'Successful') return seen;
  return status === 'Failed' ? { ...seen, failed: raw.StatusMessage ?? 'no reason was given' } : undefined;
};
const undefinedUnlessJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** What LaunchInstances does not do. Source: "Launch instances synchronously", Auto Scaling user guide. */
const noLaunchOf = (raw: AutoScalingGroup): string | undefined => {
  const mixed = raw.MixedInstancesPolicy?.InstancesDistribution;
  const onDemand = mixed?.OnDemandPercentageAboveBaseCapacity ?? 100;
  if (raw.LaunchConfigurationName) return 'it has a launch configuration, not a launch template';
  if (raw.WarmPoolConfiguration) return 'it has a warm pool';
  return mixed && (onDemand % 100 !== 0 || (onDemand === 0 && (mixed.OnDemandBaseCapacity ?? 0) > 0))
    ? 'it mixes on-demand and spot'
    : undefined;
};

const asGroup = (raw: AutoScalingGroup): ScalingGroup => ({
  arn: raw.AutoScalingGroupARN ?? '',
  name: raw.AutoScalingGroupName ?? '',
  zones: raw.AvailabilityZones ?? [],
  desired: raw.DesiredCapacity ?? 0,
  min: raw.MinSize ?? 0,
  max: raw.MaxSize ?? 0,
  inService: (raw.Instances ?? []).filter((i) => i.LifecycleState === 'InService' && isHealthy(i.HealthStatus)).length,
  suspended: (raw.SuspendedProcesses ?? []).map((p) => p.ProcessName ?? ''),
  rebalances: raw.CapacityRebalance ?? false,
  targetGroups: raw.TargetGroupARNs ?? [],
  subnets: (raw.VPCZoneIdentifier ?? '').split(',').filter(Boolean),
  ...noLaunch(noLaunchOf(raw)),
  instances: (raw.Instances ?? []).map((i) => ({
    id: i.InstanceId ?? '',
    zone: i.AvailabilityZone ?? 'unknown',
    lifecycle: i.LifecycleState ?? 'unknown',
    healthy: isHealthy(i.HealthStatus),
    protected: i.ProtectedFromScaleIn ?? false,
  })),
  tags: Object.fromEntries((raw.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value])),
  types: [...new Set((raw.Instances ?? []).flatMap((i) => i.InstanceType ?? []))],
});

const noLaunch = (why: string | undefined): Pick<ScalingGroup, 'noLaunch'> => (why ? { noLaunch: why } : {});

export interface ManyGroups extends Groups {
  members(ids: readonly string[]): Promise<ReadonlyMap<string, Member>>;
  groups(names: readonly string[]): Promise<ReadonlyMap<string, ScalingGroup>>;
}

export const autoScalingGroups = (options: ClientOptions): ManyGroups => {
  const reader = new AutoScalingClient(clientConfig(options, 3));
  const writer = new AutoScalingClient(clientConfig(options, 1));

  const members = (ids: readonly string[]) =>
    calling(`cannot ask for the Auto Scaling group of ${named(ids)}`, async () => {
      const found = new Map<string, Member>();
      for (let n = 0; n < ids.length; n += MOST_INSTANCES) {
        const { AutoScalingInstances = [] } = await reader.send(
          new DescribeAutoScalingInstancesCommand({ InstanceIds: ids.slice(n, n + MOST_INSTANCES) }),
        );
        for (const raw of AutoScalingInstances)
          if (raw.InstanceId && raw.AutoScalingGroupName)
            found.set(raw.InstanceId, {
              group: raw.AutoScalingGroupName,
              lifecycle: raw.LifecycleState ?? 'unknown',
              healthy: isHealthy(raw.HealthStatus),
            });
      }
      return found;
    });
  const groups = (names: readonly string[]) =>
    calling(`cannot look at the Auto Scaling group ${named(names)}`, async () => {
      const found = new Map<string, ScalingGroup>();
      const asked = { AutoScalingGroupNames: [...names] };
      // One that is being deleted says so: it is none any more.
      for await (const { AutoScalingGroups = [] } of paginateDescribeAutoScalingGroups(
        { client: reader, pageSize: 100 },
        asked,
      ))
        for (const raw of AutoScalingGroups)
          if (raw.AutoScalingGroupName && !raw.Status) found.set(raw.AutoScalingGroupName, asGroup(raw));
      return found;
    });
  return {
    memberOf: async (id) => (await members([id])).get(id),
    members,
    describe: async (name) => (await groups([name])).get(name),
    groups,
    all: async () => [...(await groups([])).values()],
    refreshing: (name) =>
      calling(`cannot ask for the instance refreshes of ${name}`, async () => {
        // The newest first.
        const { InstanceRefreshes: [latest] = [] } = await reader.send(
          new DescribeInstanceRefreshesCommand({ AutoScalingGroupName: name, MaxRecords: 1 }),
        );
        return UNDER_WAY.has(latest?.Status ?? '');
      }),
    launches: (since) =>
      calling('cannot ask what the Auto Scaling groups have launched', async () => {
        const found: LaunchSeen[] = [];
        let pages = 0;
        for await (const { Activities = [] } of paginateDescribeScalingActivities(
          { client: reader, pageSize: 100 },
          { Filters: [{ Name: 'StartTimeLowerBound', Values: [iso(since)] }] },
        )) {
          found.push(...Activities.flatMap((a) => launchOf(a) ?? []));
          if (++pages === MOST_PAGES) break;
        }
        return found;
      }),
    policies: (name) =>
      calling(`cannot ask for the scaling policies of ${name}`, async () => {
        const found: string[] = [];
        for await (const { ScalingPolicies = [] } of paginateDescribePolicies(
          { client: reader },
          { AutoScalingGroupName: name },
        ))
          found.push(...ScalingPolicies.filter((p) => p.Enabled !== false).map((p) => p.PolicyName ?? ''));
        return found;
      }),
    markUnhealthy: (id) =>
      calling(`cannot mark ${id} unhealthy`, async () => {
        await writer.send(
          new SetInstanceHealthCommand({
            InstanceId: id,
            HealthStatus: 'Unhealthy',
            // It has been ill for longer than any grace period is meant for.
            ShouldRespectGracePeriod: false,
          }),
        );
      }),
    launch: (name, { zone, count, token }) =>
      calling(`cannot launch ${count} of ${name} in ${zone}`, async () => {
        const { Instances = [], Errors = [] } = await writer.send(
          new LaunchInstancesCommand({
            AutoScalingGroupName: name,
            RequestedCapacity: count,
            AvailabilityZoneIds: [zone],
            ClientToken: token.replaceAll(/[^\w/-]/g, '-').slice(0, 64),
            RetryStrategy: 'none',
          }),
        );
        const instances = Instances.flatMap((i) => i.InstanceIds ?? []);
        const [error] = Errors;
        const failed = error && `${error.ErrorCode ?? 'error'}: ${error.ErrorMessage ?? 'no reason was given'}`;
        // AWS answers 200 and says here that it did not.
        if (instances.length === 0)
          throw new Refused('no-capacity', failed ?? 'none was launched, and no reason given');
        return { instances, ...(failed ? { failed } : {}) };
      }),
    terminate: (id) =>
      calling(`cannot let ${id} go from its group`, async () => {
        await writer.send(
          new TerminateInstanceInAutoScalingGroupCommand({ InstanceId: id, ShouldDecrementDesiredCapacity: true }),
        );
      }),
    refresh: (name) =>
      calling(`cannot refresh asg/${name}`, async () => {
        await writer
          .send(
            new StartInstanceRefreshCommand({
              AutoScalingGroupName: name,
              Preferences: { MinHealthyPercentage: 50 },
            }),
          )
          .catch((e: Error) => {
            if (!e.name.startsWith('InstanceRefreshInProgress')) throw e;
          });
      }),
    setDesired: (name, desired) =>
      calling(`cannot set the desired capacity of ${name} to ${desired}`, async () => {
        await writer.send(
          new SetDesiredCapacityCommand({ AutoScalingGroupName: name, DesiredCapacity: desired, HonorCooldown: false }),
        );
      }),
    resize: (name, change) =>
      calling(`cannot set asg/${name} to at least ${change.to.floor}`, async () => {
        const { from, to } = change;
        const now = (await groups([name])).get(name);
        if (!now) throw new NotFound(`there is no Auto Scaling group ${name}`);
        if (now.min === to.floor && now.desired === to.wanted) return;
        if (now.min !== from.floor)
          throw new Refused('changed-meanwhile', `the minimum of asg/${name} is ${now.min} by now, not ${from.floor}`);
        inTime(options);
        await writer.send(
          new UpdateAutoScalingGroupCommand({
            AutoScalingGroupName: name,
            MinSize: to.floor,
            DesiredCapacity: settledAt(now.desired, change),
          }),
        );
      }),
  };
};
