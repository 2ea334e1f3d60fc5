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
