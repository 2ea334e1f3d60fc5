import {
  AutoScalingClient,
  DescribeAutoScalingGroupsCommand,
  DescribeAutoScalingInstancesCommand,
  DescribeInstanceRefreshesCommand,
  SetDesiredCapacityCommand,
  SetInstanceHealthCommand,
} from '@aws-sdk/client-auto-scaling';
import type { Groups } from '../core/groups.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** Source: InstanceRefresh, Status. */
const UNDER_WAY = new Set(['Pending', 'InProgress', 'Cancelling', 'RollbackInProgress', 'Baking']);

export const autoScalingGroups = (options: ClientOptions): Groups => {
  const reader = new AutoScalingClient(clientConfig(options, 3));
  const writer = new AutoScalingClient(clientConfig(options, 1));
  return {
    memberOf: (id) =>
      calling(`cannot ask for the Auto Scaling group of ${id}`, async () => {
        const { AutoScalingInstances: [found] = [] } = await reader.send(
          new DescribeAutoScalingInstancesCommand({ InstanceIds: [id] }),
        );
        return found?.AutoScalingGroupName
          ? {
              group: found.AutoScalingGroupName,
              lifecycle: found.LifecycleState ?? 'unknown',
              // AWS writes HEALTHY here and Healthy elsewhere.
              healthy: found.HealthStatus?.toLowerCase() === 'healthy',
            }
          : undefined;
      }),
    describe: (name) =>
      calling(`cannot look at the Auto Scaling group ${name}`, async () => {
        const { AutoScalingGroups: [found] = [] } = await reader.send(
          new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [name] }),
        );
        return found
          ? {
              name,
              desired: found.DesiredCapacity ?? 0,
              min: found.MinSize ?? 0,
              max: found.MaxSize ?? 0,
              inService: (found.Instances ?? []).filter(
                (i) => i.LifecycleState === 'InService' && i.HealthStatus?.toLowerCase() === 'healthy',
              ).length,
              suspended: (found.SuspendedProcesses ?? []).map((p) => p.ProcessName ?? ''),
              rebalances: found.CapacityRebalance ?? false,
              targetGroups: found.TargetGroupARNs ?? [],
            }
          : undefined;
      }),
    refreshing: (name) =>
      calling(`cannot ask for the instance refreshes of ${name}`, async () => {
        // The newest first.
        const { InstanceRefreshes: [latest] = [] } = await reader.send(
          new DescribeInstanceRefreshesCommand({ AutoScalingGroupName: name, MaxRecords: 1 }),
        );
        return UNDER_WAY.has(latest?.Status ?? '');
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
    setDesired: (name, desired) =>
      calling(`cannot set the desired capacity of ${name} to ${desired}`, async () => {
        await writer.send(
          new SetDesiredCapacityCommand({ AutoScalingGroupName: name, DesiredCapacity: desired, HonorCooldown: false }),
        );
      }),
  };
};
