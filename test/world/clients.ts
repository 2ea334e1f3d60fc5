/** SDK clients that talk to a world without sockets. */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudTrailClient } from '@aws-sdk/client-cloudtrail';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ECRClient } from '@aws-sdk/client-ecr';
import { ECSClient } from '@aws-sdk/client-ecs';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { HealthClient } from '@aws-sdk/client-health';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { SSMClient } from '@aws-sdk/client-ssm';
import { STSClient } from '@aws-sdk/client-sts';
import { WAFV2Client } from '@aws-sdk/client-wafv2';
import { rootCredentials } from '../../world/iam.ts';
import { requestHandler } from '../../world/wire.ts';
import type { World } from '../../world/world.ts';

type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };

export const clientsOf = (world: World, credentials: Credentials = rootCredentials) => {
  const options = { region: world.region, credentials, requestHandler: requestHandler(world), maxAttempts: 1 };
  return {
    autoscaling: new AutoScalingClient(options),
    ec2: new EC2Client(options),
    ssm: new SSMClient(options),
    cloudwatch: new CloudWatchClient(options),
    cloudtrail: new CloudTrailClient(options),
    kms: new KMSClient(options),
    health: new HealthClient(options),
    s3: new S3Client(options),
    logs: new CloudWatchLogsClient(options),
    ecs: new ECSClient(options),
    ecr: new ECRClient(options),
    elb: new ElasticLoadBalancingV2Client(options),
    sts: new STSClient(options),
    waf: new WAFV2Client(options),
  };
};

/** The name of the error that a call ends with. */
export const failure = async (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'no error',
    (error: unknown) => (error instanceof Error ? error.name : String(error)),
  );

export const minutes = (count: number) => count * 60_000;
export const hours = (count: number) => count * 3_600_000;
