/** What Steward did, refused and waits for, in one picture. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's own, filled by Fn::Sub
const REGION = '${AWS::Region}';

const widget = (at, title, metrics, more = {}) => ({
  type: 'metric',
  x: (at % 2) * 12,
  y: Math.floor(at / 2) * 6,
  width: 12,
  height: 6,
  properties: { title, metrics, view: 'timeSeries', stat: 'Sum', period: 300, region: REGION, ...more },
});

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => {
    const own = (name, more = {}) => ['Steward', name, 'stage', stage, 'service', 'steward', more];
    const times = (name) => ['p50', 'p99'].map((stat) => own(name, { stat, label: `${name} ${stat}` }));
    const widgets = [
      widget(0, 'Incidents', [own('Signals'), own('Acted'), own('Healthy'), own('Escalated'), own('Parked')]),
      widget(1, 'Refusals by guard', [
        [
          {
            expression: `SEARCH('{Steward,guard,service,stage} MetricName="RefusedBy" stage="${stage}"', 'Sum', 300)`,
            id: 'guards',
          },
        ],
      ]),
      widget(2, 'From signal to act and to healthy, ms', [...times('SignalToAct'), ...times('SignalToHealthy')]),
      widget(3, 'How far behind', [
        own('Behind', { stat: 'Maximum', label: 'oldest due look, ms' }),
        own('Due', { stat: 'Maximum', yAxis: 'right' }),
      ]),
      widget(4, 'Queue', [
        ['AWS/SQS', 'ApproximateAgeOfOldestMessage', 'QueueName', `steward-${stage}-signals`, { stat: 'Maximum' }],
        [
          'AWS/SQS',
          'ApproximateNumberOfMessagesVisible',
          'QueueName',
          `steward-${stage}-dead-letters`,
          { stat: 'Maximum', yAxis: 'right' },
        ],
      ]),
      widget(5, 'Functions', [
        ...['heal', 'sweep', 'answer', 'announce', 'record', 'audit', 'archive'].flatMap((name) => [
          ['AWS/Lambda', 'Errors', 'FunctionName', `steward-${stage}-${name}`],
          ['AWS/Lambda', 'Throttles', 'FunctionName', `steward-${stage}-${name}`],
        ]),
      ]),
      widget(6, 'Activity log: events by leg', [
        own('Recorded', { label: 'by EventBridge and of Steward' }),
        own('CaughtUp', { label: 'by the trail alone' }),
        own('Brought', { label: 'by the trail, known already' }),
        own('ActivityGaps', { label: 'hours with gaps', yAxis: 'right' }),
        own('DigestFindings', { label: 'digests that are wrong', yAxis: 'right' }),
      ]),
      widget(7, 'Activity log: how late, ms', [
        own('RecordLag', { stat: 'Maximum' }),
        own('ReadBehind', { stat: 'Maximum' }),
        own('UnsignedFor', { stat: 'Maximum' }),
      ]),
    ];
    return {
      Resources: {
        Dashboard: {
          Type: 'AWS::CloudWatch::Dashboard',
          Properties: {
            DashboardName: `steward-${stage}`,
            DashboardBody: { 'Fn::Sub': JSON.stringify({ widgets }) },
          },
        },
      },
    };
  });
