/** Its role: the state that it needs, the topics and secrets that the channels name, and nothing more. */
const { channels } = require('../../resources/channels.cjs');
const { allow, attribute, filled, functionRole, HERE, OWN, sub } = require('../../resources/iam.cjs');

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
    const statements = [
      allow('sqs:SendMessage', attribute('DeadLetters', 'Arn')),
      ...(named.length > 0 ? forAny(stage) : []),
      ...named.flatMap(forChannel),
    ];
    return { Resources: { AnnounceRole: functionRole(stage, 'announce', statements) } };
  });
