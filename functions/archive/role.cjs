/**
 * Its role: it adds to the log and to the archive, gives bodies their end, and marks files that may go. It deletes nothing: DynamoDB's TTL and the bucket's own rules do, each not
 * before its time; and of an item of the log it can change nothing but when it ends, and that of bodies only.
 */
const { allow, attribute, filled, functionRole, sub } = require('../../resources/iam.cjs');
const { MAY_GO } = require('../../resources/activity-bucket.cjs');

const folders = (...names) => names.map((name) => sub(`${filled('ActivityBucket.Arn')}/${name}/*`));

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const table = attribute('ActivityTable', 'Arn');
    const statements = [
      allow(
        ['dynamodb:DescribeTable', 'dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:Query', 'dynamodb:PutItem'],
        table,
      ),
      allow('dynamodb:UpdateItem', table, {
        'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['body/*'] },
        'ForAllValues:StringEquals': { 'dynamodb:Attributes': ['pk', 'sk', 'expiresAt'] },
      }),
      allow(['s3:GetObject', 's3:PutObject'], folders('archive', 'archive-index')),
      allow('s3:GetObject', folders('spilled')),
      allow('s3:PutObjectTagging', folders('archive', 'spilled'), {
        'ForAllValues:StringEquals': { 's3:RequestObjectTagKeys': [MAY_GO] },
      }),
      // Without it S3 says "denied" of what is not there.
      allow('s3:ListBucket', attribute('ActivityBucket', 'Arn')),
      allow('sqs:SendMessage', attribute('DeadLetters', 'Arn')),
    ];
    return { Resources: { ArchiveRole: functionRole(stage, 'archive', statements) } };
  });
