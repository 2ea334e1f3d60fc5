/** Its role: it adds to the log, signs it, and reads the trail. Nothing in the log can be deleted or changed by it. */
const { policy } = require('../../resources/from-source.cjs');
const { allow, attribute, filled, functionRole, HERE, OWN, sub } = require('../../resources/iam.cjs');

/** Buckets that steward.yml declares; where it declares none, the trail is found when it runs, and only what CloudTrail writes may be read. */
const trailBuckets = () => {
  const declared = Object.values(policy().trails);
  const buckets = declared.length > 0 ? declared : [{ bucket: '*' }];
  return {
    buckets: buckets.map(({ bucket }) => sub(`${OWN}:s3:::${bucket}`)),
    files: buckets.map(({ bucket, prefix }) =>
      sub(`${OWN}:s3:::${bucket}/${prefix ? `${prefix}/` : declared.length > 0 ? '' : '*'}AWSLogs/*`),
    ),
  };
};

const reading = () => {
  const { buckets, files } = trailBuckets();
  return [
    allow(['cloudtrail:DescribeTrails', 'cloudtrail:ListPublicKeys', 'cloudtrail:LookupEvents'], '*'),
    // An organisation's trail is of another account.
    allow(['cloudtrail:GetTrailStatus', 'cloudtrail:GetEventSelectors'], sub(`${OWN}:cloudtrail:*:*:trail/*`)),
    allow('s3:ListBucket', buckets, { StringLike: { 's3:prefix': '*AWSLogs/*' } }),
    allow('s3:GetObject', files),
    // Files of a trail only: CloudTrail encrypts each with its trail's name.
    allow('kms:Decrypt', sub(`${OWN}:kms:*:*:key/*`), {
      Null: { 'kms:EncryptionContext:aws:cloudtrail:arn': 'false' },
    }),
  ];
};

/** How Session Manager's sessions end, and how they are recorded, no event says. */
const sessions = () =>
  policy().activity.hosts === 'off'
    ? []
    : [allow('ssm:DescribeSessions', '*'), allow('ssm:GetDocument', sub(`${OWN}:ssm:${HERE}:document/*`))];

/** The second account's bucket, and only if it is that account's. */
const copying = () => {
  const { copy } = policy().activity;
  return copy
    ? [
        allow('s3:PutObject', sub(`${OWN}:s3:::${copy.bucket}/checkpoints/*`), {
          StringEquals: { 's3:ResourceAccount': copy.account },
        }),
      ]
    : [];
};

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const statements = [
      allow(
        ['dynamodb:DescribeTable', 'dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:Query', 'dynamodb:PutItem'],
        attribute('ActivityTable', 'Arn'),
      ),
      allow(
        ['s3:GetObject', 's3:PutObject'],
        ['checkpoints', 'spilled'].map((folder) => sub(`${filled('ActivityBucket.Arn')}/${folder}/*`)),
      ),
      // What only the archive has is known, too, and not written again.
      allow(
        's3:GetObject',
        ['archive', 'archive-index'].map((folder) => sub(`${filled('ActivityBucket.Arn')}/${folder}/*`)),
      ),
      // Without it S3 says "denied" of what is not there.
      allow('s3:ListBucket', attribute('ActivityBucket', 'Arn')),
      allow(['kms:GetPublicKey', 'kms:Sign'], attribute('ActivityKey', 'Arn')),
      ...copying(),
      ...reading(),
      ...sessions(),
      allow('sqs:SendMessage', attribute('DeadLetters', 'Arn')),
    ];
    return { Resources: { AuditRole: functionRole(stage, 'audit', statements) } };
  });
