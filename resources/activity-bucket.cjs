/**
 * The activity log's bucket: checkpoints, what is too large for the table, and the archive. A version that is there is deleted before its time by nobody without
 * s3:BypassGovernanceRetention; in compliance mode, which steward.yml may ask for, by nobody.
 */
const { policy } = require('./from-source.cjs');
const { attribute, filled, sub } = require('./iam.cjs');
const { LOCAL } = require('./local.cjs');

/** The tag of what may go, if it is old enough as well (shared/aws/objects.ts). Steward's role can set it, and cannot make anything younger go. */
const MAY_GO = 'steward:may-go';
const DAYS_OF_YEAR = 365.25;
/** When nobody looks at it daily any more. It is read at once all the same; what has less than 128 KB stays where it is. */
const CHEAPER_AFTER = 90;

const gone = (Id, Prefix, ExpirationInDays) => ({
  Id,
  Status: 'Enabled',
  Prefix,
  TagFilters: [{ Key: MAY_GO, Value: 'true' }],
  ExpirationInDays,
  NoncurrentVersionExpiration: { NoncurrentDays: 1 },
});
const rules = ({ hotDays, keepYears }) => [
  {
    Id: 'archive-is-cheaper',
    Status: 'Enabled',
    Prefix: 'archive/',
    Transitions: [{ StorageClass: 'GLACIER_IR', TransitionInDays: CHEAPER_AFTER }],
  },
  gone('archive-after-its-years', 'archive/', Math.ceil(keepYears * DAYS_OF_YEAR)),
  gone('spilled-once-archived', 'spilled/', hotDays),
  { Id: 'markers-of-what-is-gone', Status: 'Enabled', ExpiredObjectDeleteMarker: true },
];

const bucket = (stage, activity) => ({
  Type: 'AWS::S3::Bucket',
  DeletionPolicy: 'Retain',
  UpdateReplacePolicy: 'Retain',
  Properties: {
    BucketName: sub(`steward-${stage}-activity-${filled('AWS::AccountId')}-${filled('AWS::Region')}`),
    ObjectLockEnabled: true,
    ObjectLockConfiguration: {
      ObjectLockEnabled: 'Enabled',
      Rule: { DefaultRetention: { Mode: activity.lock.mode.toUpperCase(), Days: activity.lock.days } },
    },
    VersioningConfiguration: { Status: 'Enabled' },
    LifecycleConfiguration: { Rules: rules(activity) },
    BucketEncryption: {
      ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
    },
    OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    },
  },
});

const ARN = attribute('ActivityBucket', 'Arn');
/** It takes and gives nothing in clear. Not in stage `local`: the emulator speaks http, and would be shut out. */
const transport = {
  Type: 'AWS::S3::BucketPolicy',
  DeletionPolicy: 'Retain',
  Properties: {
    Bucket: { Ref: 'ActivityBucket' },
    PolicyDocument: {
      Version: '2012-10-17',
      Statement: [
        {
          Sid: 'EncryptedTransportOnly',
          Effect: 'Deny',
          Principal: '*',
          Action: 's3:*',
          Resource: [ARN, { 'Fn::Join': ['/', [ARN, '*']] }],
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        },
      ],
    },
  },
};

module.exports = async ({ resolveVariable }) => {
  const stage = await resolveVariable('sls:stage');
  return {
    Resources: {
      ActivityBucket: bucket(stage, policy().activity),
      ...(stage === LOCAL ? {} : { ActivityBucketPolicy: transport }),
    },
  };
};
module.exports.MAY_GO = MAY_GO;
