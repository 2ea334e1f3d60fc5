/** What the roles that are computed have in common. */

const sub = (text) => ({ 'Fn::Sub': text });
/** CloudFormation's own placeholder. */
const filled = (name) => ['$', '{', name, '}'].join('');
/** 'arn:…' up to the service. */
const OWN = `arn:${filled('AWS::Partition')}`;
/** Region and account, as in an ARN. */
const HERE = `${filled('AWS::Region')}:${filled('AWS::AccountId')}`;
const allow = (Action, Resource, Condition) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition ? { Condition } : {}),
});
const attribute = (id, name) => ({ 'Fn::GetAtt': [id, name] });

/** The role of one function: it writes its own log, and beside that what is said. */
const functionRole = (stage, name, statements) => ({
  Type: 'AWS::IAM::Role',
  Properties: {
    RoleName: `steward-${stage}-${name}`,
    AssumeRolePolicyDocument: {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }],
    },
    Policies: [
      {
        PolicyName: 'own',
        PolicyDocument: {
          Version: '2012-10-17',
          Statement: [
            allow(
              ['logs:CreateLogStream', 'logs:PutLogEvents'],
              sub(`${OWN}:logs:${HERE}:log-group:/aws/lambda/steward-${stage}-${name}:*`),
            ),
            ...statements,
            allow(['xray:PutTraceSegments', 'xray:PutTelemetryRecords'], '*'),
          ],
        },
      },
    ],
  },
});

module.exports = { sub, filled, OWN, HERE, allow, attribute, functionRole };
