/** Its role: the state that it needs, the topics and secrets that the channels name, and nothing more. */
const { channels } = require('../../resources/channels.cjs');

const sub = (text) => ({ 'Fn::Sub': text });
/** CloudFormation's own placeholder. */
const filled = (name) => ['$', '{', name, '}'].join('');
const OWN = `arn:${filled('AWS::Partition')}`;
const HERE = `${filled('AWS::Region')}:${filled('AWS::AccountId')}`;
const allow = (Action, Resource, Condition) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition ? { Condition } : {}),
});
const attribute = (id, name) => ({ 'Fn::GetAtt': [id, name] });

const secretOf = (id) => {
  if (id.includes(':secretsmanager:')) return allow('secretsmanager:GetSecretValue', id);
  return allow('ssm:GetParameter', id.startsWith('/') ? sub(`${OWN}:ssm:${HERE}:parameter${id}`) : id);
};
/** A customer managed key, used through the service that it encrypts for. */
const keyOf = ({ key, type, secret = '' }) => {
  const service = type === 'sns' ? 'sns' : secret.includes(':secretsmanager:') ? 'secretsmanager' : 'ssm';
  const actions = type === 'sns' ? ['kms:GenerateDataKey', 'kms:Decrypt'] : ['kms:Decrypt'];
  const region = key.split(':')[3];
  return allow(actions, key, { StringLike: { 'kms:ViaService': `${service}.${region}.amazonaws.com*` } });
};
const forChannel = (channel) => [
  channel.type === 'sns' ? allow('sns:Publish', channel.topic) : secretOf(channel.secret),
  ...(channel.key ? [keyOf(channel)] : []),
];

const forAny = (stage) => [
  allow(
    ['dynamodb:BatchGetItem', 'dynamodb:PutItem', 'dynamodb:ConditionCheckItem', 'dynamodb:Query'],
    [attribute('StateTable', 'Arn'), sub(`${filled('StateTable.Arn')}/index/*`)],
  ),
  allow(
    ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:ListStreams'],
    attribute('StateTable', 'StreamArn'),
  ),
  allow('sqs:SendMessage', attribute('SignalsQueue', 'Arn')),
  allow('ssm:PutParameter', sub(`${OWN}:ssm:${HERE}:parameter/steward/${stage}/channel/*`)),
];

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const named = channels(stage).map(([, channel]) => channel);
    const Statement = [
      allow(
        ['logs:CreateLogStream', 'logs:PutLogEvents'],
        sub(`${OWN}:logs:${HERE}:log-group:/aws/lambda/steward-${stage}-announce:*`),
      ),
      allow('sqs:SendMessage', attribute('DeadLetters', 'Arn')),
      ...(named.length > 0 ? forAny(stage) : []),
      ...named.flatMap(forChannel),
      allow(['xray:PutTraceSegments', 'xray:PutTelemetryRecords'], '*'),
    ];
    return {
      Resources: {
        AnnounceRole: {
          Type: 'AWS::IAM::Role',
          Properties: {
            RoleName: `steward-${stage}-announce`,
            AssumeRolePolicyDocument: {
              Version: '2012-10-17',
              Statement: [
                { Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' },
              ],
            },
            Policies: [{ PolicyName: 'own', PolicyDocument: { Version: '2012-10-17', Statement } }],
          },
        },
      },
    };
  });
