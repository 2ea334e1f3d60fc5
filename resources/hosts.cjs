/** What hosts ship into the activity log, if steward.yml wants it: a log group, its subscription, and the schedule by which State Manager installs the shipper and renews its lease. */
const { policy } = require('./from-source.cjs');
const { allow, attribute } = require('./iam.cjs');
const { LOCAL } = require('./local.cjs');

/** State Manager's least. The shipper ends by itself after three days without. */
const RENEWED = 'rate(30 minutes)';
/** The lines are in the activity log within a minute; so long they are here as well. */
const KEPT_DAYS = 7;

const resources = (stage, group, { hosts }, targets) => ({
  HostsLogGroup: {
    Type: 'AWS::Logs::LogGroup',
    Properties: { LogGroupName: group, RetentionInDays: KEPT_DAYS },
  },
  HostsPermission: {
    Type: 'AWS::Lambda::Permission',
    Properties: {
      FunctionName: attribute('RecordLambdaFunction', 'Arn'),
      Action: 'lambda:InvokeFunction',
      Principal: 'logs.amazonaws.com',
      SourceAccount: { Ref: 'AWS::AccountId' },
      SourceArn: attribute('HostsLogGroup', 'Arn'),
    },
  },
  HostsSubscription: {
    Type: 'AWS::Logs::SubscriptionFilter',
    DependsOn: 'HostsPermission',
    Properties: {
      LogGroupName: { Ref: 'HostsLogGroup' },
      FilterPattern: '',
      DestinationArn: attribute('RecordLambdaFunction', 'Arn'),
    },
  },
  // What a few hosts ship waits in the log's queue until a segment is full.
  HostsIntoQueue: {
    Type: 'AWS::IAM::Policy',
    Properties: {
      PolicyName: 'hosts',
      Roles: [{ Ref: 'RecordRole' }],
      PolicyDocument: {
        Version: '2012-10-17',
        Statement: [allow('sqs:SendMessage', attribute('ActivityQueue', 'Arn'))],
      },
    },
  },
  HostsAssociation: {
    Type: 'AWS::SSM::Association',
    Properties: {
      AssociationName: `steward-${stage}-watch-host`,
      Name: { Ref: 'WatchHostDocument' },
      Targets: targets,
      Parameters: { Watch: [hosts], Group: [group] },
      ScheduleExpression: RENEWED,
      MaxConcurrency: '10%',
      MaxErrors: '100%',
    },
  },
});

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const { activity, scope, tags } = policy();
    if (stage === LOCAL || activity.hosts === 'off') return { Resources: {} };
    const { hostGroup } = require('../shared/core/shipping.ts');
    const targets =
      scope === 'tagged' ? [{ Key: `tag:${tags.managed}`, Values: ['true'] }] : [{ Key: 'InstanceIds', Values: ['*'] }];
    return { Resources: resources(stage, hostGroup(stage), activity, targets) };
  });
