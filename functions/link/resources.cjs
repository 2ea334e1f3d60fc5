/** With the public door: its role and nothing more, and the key that signs links. */
const { policy } = require('../../resources/from-source.cjs');
const { allow, attribute, filled, functionRole, HERE, OWN, sub } = require('../../resources/iam.cjs');

const statements = (slack) => [
  // Incidents and charts of targets: not the switches, not the groups, not the ledgers, no index.
  allow(['dynamodb:BatchGetItem', 'dynamodb:PutItem', 'dynamodb:Query'], attribute('StateTable', 'Arn'), {
    'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['TARGET#*'] },
  }),
  allow('kms:VerifyMac', attribute('LinkKey', 'Arn')),
  ...(slack ? [allow('ssm:GetParameter', sub(`${OWN}:ssm:${HERE}:parameter${slack.signingSecret}`))] : []),
];

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
          Principal: { AWS: sub(`${OWN}:iam::${filled('AWS::AccountId')}:root`) },
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
      Statement: [allow('kms:GenerateMac', attribute('LinkKey', 'Arn'))],
    },
  },
});

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const { links } = policy();
    return {
      Resources: links
        ? {
            LinkRole: functionRole(stage, 'link', statements(links.slack)),
            LinkKey: key(stage),
            LinkSigners: signers(),
          }
        : {},
    };
  });
