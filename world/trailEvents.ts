/** CloudTrail records as a busy account makes them: a few people, many roles, some thousand resources, most calls reads. By seed. */
import { iso, type Time } from '../shared/core/time.ts';
import type { Random } from './random.ts';

const CALLS: readonly (readonly [service: string, name: string, parameter: string, kind: string, reads: boolean])[] = [
  ['ec2', 'DescribeInstances', 'instanceId', 'i', true],
  ['ec2', 'StopInstances', 'instanceId', 'i', false],
  ['ec2', 'CreateTags', 'resourceId', 'vol', false],
  ['ec2', 'AuthorizeSecurityGroupIngress', 'groupId', 'sg', false],
  ['s3', 'GetBucketAcl', 'bucketName', 'logs', true],
  ['s3', 'PutBucketPolicy', 'bucketName', 'data', false],
  ['sts', 'AssumeRole', 'roleArn', 'role', true],
  ['iam', 'GetRole', 'roleName', 'role', true],
  ['iam', 'PutRolePolicy', 'roleName', 'role', false],
  ['ecs', 'UpdateService', 'service', 'svc', false],
  ['ecs', 'DescribeTasks', 'task', 'task', true],
  ['rds', 'DescribeDBInstances', 'dBInstanceIdentifier', 'db', true],
  ['kms', 'Decrypt', 'keyId', 'key', true],
  ['logs', 'PutRetentionPolicy', 'logGroupName', 'group', false],
  ['ssm', 'GetParameter', 'name', 'parameter', true],
];

export interface TrailEvents {
  readonly account: string;
  readonly region: string;
  /** Distinct resources of each kind. */
  readonly resources: number;
  readonly random: Random;
}

/** The next record, as its JSON. */
export const trailEvents =
  ({ account, region, resources, random }: TrailEvents) =>
  (at: Time, given: { readonly user?: string; readonly resource?: string } = {}): string => {
    const [service, name, parameter, kind, readOnly] = random.pick(CALLS);
    // Few names are used often, most of them seldom.
    const rank = Math.floor(resources ** random.next());
    const user = given.user ?? (random.chance(0.1) ? `person-${random.integer(20)}` : undefined);
    const role = `app-${Math.floor(200 ** random.next())}`;
    const resource = given.resource ?? `${kind}-${rank.toString(16).padStart(8, '0')}`;
    const identity =
      user === undefined
        ? {
            type: 'AssumedRole',
            principalId: `AROA${role.toUpperCase()}:session`,
            arn: `arn:aws:sts::${account}:assumed-role/${role}/session`,
            accountId: account,
            // A session lasts an hour.
            accessKeyId: `ASIA${role.toUpperCase()}${Math.floor(at / 3_600_000)}`,
            sessionContext: {
              sessionIssuer: {
                type: 'Role',
                arn: `arn:aws:iam::${account}:role/${role}`,
                accountId: account,
                userName: role,
              },
              attributes: { creationDate: iso(at - 600_000), mfaAuthenticated: 'false' },
            },
          }
        : { type: 'IAMUser', arn: `arn:aws:iam::${account}:user/${user}`, accountId: account, userName: user };
    return JSON.stringify({
      eventVersion: '1.11',
      userIdentity: identity,
      eventTime: `${iso(at).slice(0, 19)}Z`,
      eventSource: `${service}.amazonaws.com`,
      eventName: name,
      awsRegion: region,
      sourceIPAddress: `10.${random.integer(4)}.${random.integer(8)}.${random.integer(32)}`,
      userAgent: 'aws-sdk-js/3.1169.0 ua/2.1 os/linux lang/js md/nodejs#24.21.0',
      ...(random.chance(0.03)
        ? { errorCode: 'AccessDenied', errorMessage: `not authorized to perform: ${service}:${name}` }
        : {}),
      requestParameters: random.chance(0.05) ? null : { [parameter]: resource },
      responseElements: readOnly ? null : { _return: true, requestId: random.uuid() },
      requestID: random.uuid(),
      eventID: random.uuid(),
      readOnly,
      eventType: 'AwsApiCall',
      managementEvent: true,
      recipientAccountId: account,
      eventCategory: 'Management',
      tlsDetails: {
        tlsVersion: 'TLSv1.3',
        cipherSuite: 'TLS_AES_128_GCM_SHA256',
        clientProvidedHostHeader: `${service}.${region}.amazonaws.com`,
      },
    });
  };
