/** One rule for each events/<name>/pattern.json, all to the signals queue, and who may send there. */
const { existsSync, readdirSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { logicalId } = require('./from-source.cjs');

const events = join(__dirname, '..', 'events');
const patternOf = (name) => join(events, name, 'pattern.json');

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const names = readdirSync(events).filter((name) => existsSync(patternOf(name)));
    const rules = names.map((name) => [
      `${logicalId(name)}Rule`,
      {
        Type: 'AWS::Events::Rule',
        Properties: {
          Name: `steward-${stage}-${name}`,
          Description: `Steward listens to ${name}`,
          EventPattern: JSON.parse(readFileSync(patternOf(name), 'utf8')),
          Targets: [
            {
              Id: 'signals',
              Arn: { 'Fn::GetAtt': ['SignalsQueue', 'Arn'] },
              DeadLetterConfig: { Arn: { 'Fn::GetAtt': ['DeadLetters', 'Arn'] } },
              RetryPolicy: { MaximumRetryAttempts: 185, MaximumEventAgeInSeconds: 86_400 },
            },
          ],
        },
      },
    ]);
    const ruleArns = rules.map(([id]) => ({ 'Fn::GetAtt': [id, 'Arn'] }));
    const may = (principal, queue, sources) => ({
      Effect: 'Allow',
      Principal: { Service: principal },
      Action: 'sqs:SendMessage',
      Resource: { 'Fn::GetAtt': [queue, 'Arn'] },
      Condition: { ArnEquals: { 'aws:SourceArn': sources } },
    });
    const policyOf = (queue, statements) => ({
      Type: 'AWS::SQS::QueuePolicy',
      Properties: {
        Queues: [{ Ref: queue }],
        PolicyDocument: { Version: '2012-10-17', Statement: statements },
      },
    });
    return {
      Resources: {
        ...Object.fromEntries(rules),
        SignalsQueuePolicy: policyOf('SignalsQueue', [
          may('events.amazonaws.com', 'SignalsQueue', ruleArns),
          may('sns.amazonaws.com', 'SignalsQueue', [{ Ref: 'HookTopic' }]),
        ]),
        DeadLettersPolicy: policyOf('DeadLetters', [may('events.amazonaws.com', 'DeadLetters', ruleArns)]),
        AlarmsMayInvokeHeal: {
          Type: 'AWS::Lambda::Permission',
          Properties: {
            FunctionName: { Ref: 'HealLambdaFunction' },
            Action: 'lambda:InvokeFunction',
            Principal: 'lambda.alarms.cloudwatch.amazonaws.com',
            SourceAccount: { Ref: 'AWS::AccountId' },
          },
        },
      },
    };
  });
