/**
 * AWS's own throttles, per account and region. Sources: "Request throttling for the Amazon EC2 API" (token buckets: per API; unfiltered and
 * unpaginated Describe calls 50 + 10/s, others 100 + 20/s), "CloudWatch service quotas", "IAM and STS quotas", "Systems Manager quotas".
 * Auto Scaling publishes none: that of EC2 is presumed. A quota without a burst is a bucket of one second.
 */
import type { Bucket } from '../../world/faults.ts';

const perSecond = (n: number): Bucket => ({ size: n, perSecond: n });

export const RATES: readonly (readonly [service: string, operation: string, bucket: Bucket])[] = [
  ['ec2', 'DescribeInstances', { size: 50, perSecond: 10 }],
  ['ec2', 'DescribeInstanceStatus', { size: 50, perSecond: 10 }],
  ['ec2', 'DescribeInstanceTypes', { size: 100, perSecond: 20 }],
  ['ec2', 'DescribeVolumes', { size: 50, perSecond: 10 }],
  ['ec2', 'RebootInstances', { size: 50, perSecond: 5 }],
  ['cloudwatch', 'PutMetricAlarm', perSecond(3)],
  ['cloudwatch', 'DeleteAlarms', perSecond(3)],
  ['cloudwatch', 'DescribeAlarms', perSecond(9)],
  ['cloudwatch', 'ListMetrics', perSecond(25)],
  ['cloudwatch', 'GetMetricData', perSecond(50)],
  ['sts', '*', perSecond(600)],
  ['ssm', 'DescribeInstanceInformation', perSecond(10)],
  ['ssm', 'SendCommand', perSecond(10)],
  ['autoscaling', '*', { size: 100, perSecond: 20 }],
];

/** Those of ECS are of several operations together. Source: "Request throttling for the Amazon ECS API". */
export const ECS_BUCKETS: readonly (readonly [operations: readonly string[], bucket: Bucket])[] = [
  [['DescribeClusters', 'ListClusters'], { size: 50, perSecond: 20 }],
  [['CreateCluster', 'DeleteCluster', 'PutClusterCapacityProviders', 'UpdateCluster'], { size: 20, perSecond: 1 }],
  [['DescribeServices', 'ListServices'], { size: 100, perSecond: 20 }],
  [['CreateService', 'DeleteService', 'UpdateService'], { size: 50, perSecond: 5 }],
  [['ListServiceDeployments', 'DescribeServiceDeployments'], { size: 50, perSecond: 20 }],
  [['DescribeServiceRevisions'], { size: 50, perSecond: 20 }],
  [
    ['DescribeContainerInstances', 'DescribeTasks', 'ListContainerInstances', 'ListTasks'],
    { size: 100, perSecond: 20 },
  ],
  [['DeregisterContainerInstance', 'StopTask', 'UpdateContainerInstancesState'], { size: 100, perSecond: 40 }],
  [['DescribeTaskDefinition'], { size: 50, perSecond: 20 }],
  [['RegisterTaskDefinition'], { size: 20, perSecond: 1 }],
  [['GetTaskProtection', 'UpdateTaskProtection'], { size: 200, perSecond: 80 }],
];

/** How many of these calls AWS would have turned away, by bucket. */
export const overdrawn = (
  calls: readonly { readonly at: number; readonly action: string }[],
  buckets: typeof ECS_BUCKETS,
): Record<string, number> => {
  const turned: Record<string, number> = {};
  for (const [operations, { size, perSecond }] of buckets) {
    const name = operations[0] ?? '';
    let [tokens, last] = [size, 0];
    for (const { at, action } of calls) {
      if (!operations.includes(action.slice('ecs:'.length))) continue;
      tokens = Math.min(size, tokens + ((at - last) / 1000) * perSecond);
      last = at;
      if (tokens < 1) turned[name] = (turned[name] ?? 0) + 1;
      else tokens -= 1;
    }
  }
  return turned;
};
