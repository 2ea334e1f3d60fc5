/** With the public door: its role and nothing more, and the key that signs links. */
const { policy } = require('../../resources/from-source.cjs');

const sub = (text) => ({ 'Fn::Sub': text });
// biome-ignore-start lint/suspicious/noTemplateCurlyInString: CloudFormation's own, filled by Fn::Sub
const ACCOUNT = '${AWS::Region}:${AWS::AccountId}';
const PARTITION = 'arn:${AWS::Partition}';
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above

const statements = (stage, slack) => [
  {
    Effect: 'Allow',
    Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
    Resource: sub(`${PARTITION}:logs:${ACCOUNT}:log-group:/aws/lambda/steward-${stage}-link:*`),
  },
  {
    // Incidents and charts of targets: not the switches, not the groups, not the ledgers, no index.
    Effect: 'Allow',
    Action: ['dynamodb:BatchGetItem', 'dynamodb:PutItem', 'dynamodb:Query'],
    Resource: { 'Fn::GetAtt': ['StateTable', 'Arn'] },
    Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['TARGET#*'] } },
  },
  { Effect: 'Allow', Action: 'kms:VerifyMac', Resource: { 'Fn::GetAtt': ['LinkKey', 'Arn'] } },
  ...(slack
    ? [
        {
          Effect: 'Allow',
          Action: 'ssm:GetParameter',
          Resource: sub(`${PARTITION}:ssm:${ACCOUNT}:parameter${slack.signingSecret}`),
        },
      ]
    : []),
  { Effect: 'Allow', Action: ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'], Resource: '*' },
];

const role = (stage, slack) => ({
  Type: 'AWS::IAM::Role',
  Properties: {
    RoleName: `steward-${stage}-link`,
    AssumeRolePolicyDocument: {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }],
    },
    Policies: [{ PolicyName: 'own', PolicyDocument: { Version: '2012-10-17', Statement: statements(stage, slack) } }],
  },
});

/** Gone for good a week after the stack: until then links that were made could be judged. */
const key = (stage) => ({
  Type: 'AWS::KMS::Key',
  Properties: {
    Description: `Signs the links of steward-${stage}`,
    KeySpec: 'HMAC_256',
    KeyUsage: 'GENERATE_VERIFY_MAC',
    PendingWindowInDays: 7,
    // IAM decides, as everywhere here; without this statement nobody could use or delete it.
    KeyPolicy: {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { AWS: sub(`${PARTITION}:iam::\${AWS::AccountId}:root`) },
          Action: 'kms:*',
          Resource: '*',
        },
      ],
    },
  },
});

/** Who makes links: `steward link`, and the messages of the channels. They may not verify, and the door may not sign. */
const signers = () => ({
  Type: 'AWS::IAM::Policy',
  Properties: {
    PolicyName: 'links',
    Roles: [{ Ref: 'AnswerRole' }, { Ref: 'AnnounceRole' }],
    PolicyDocument: {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'kms:GenerateMac', Resource: { 'Fn::GetAtt': ['LinkKey', 'Arn'] } }],
    },
  },
});

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const { links } = policy();
    return {
      Resources: links ? { LinkRole: role(stage, links.slack), LinkKey: key(stage), LinkSigners: signers() } : {},
    };
  });
