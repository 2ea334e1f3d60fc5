/** Alarms on Steward itself. Each says what it means and what to do; all go to the notices topic. */
const { channels } = require('./channels.cjs');
const { logicalId, policy } = require('./from-source.cjs');

const own = (stage) => [
  { Name: 'stage', Value: stage },
  { Name: 'service', Value: 'steward' },
];
const lambda = (stage, name) => [{ Name: 'FunctionName', Value: `steward-${stage}-${name}` }];
const queue = (stage, name) => [{ Name: 'QueueName', Value: `steward-${stage}-${name}` }];

/** Thresholds are in the metric's unit; `minutes` is one period, 5 unless it is said, `of` how many of them. */
const alarms = (stage) => [
  {
    name: 'dead-letters',
    say: 'A signal failed five times or could not be delivered. Look at the log of heal, mend it, then redrive the dead-letter queue.',
    metric: ['AWS/SQS', 'ApproximateNumberOfMessagesVisible', queue(stage, 'dead-letters')],
    statistic: 'Maximum',
    over: 0,
  },
  {
    name: 'signals-wait',
    say: 'The oldest signal waits for more than 10 minutes: heal is throttled, failing or too slow. Look at its log and at its reserved concurrency.',
    metric: ['AWS/SQS', 'ApproximateAgeOfOldestMessage', queue(stage, 'signals')],
    statistic: 'Maximum',
    over: 600,
  },
  ...['heal', 'sweep', 'answer', 'record', 'audit', 'archive', ...(policy().links ? ['link'] : [])].map((name) => ({
    name: `${name}-fails`,
    say: `The function ${name} fails. Its log says why; messages come again by themselves.`,
    metric: ['AWS/Lambda', 'Errors', lambda(stage, name)],
    statistic: 'Sum',
    over: name === 'heal' ? 2 : 0,
  })),
  {
    name: 'activity-waits',
    say: 'What happened in the account waits for more than 15 minutes to be recorded: record is throttled, failing or too slow. Nothing is lost for 14 days; look at its log.',
    metric: ['AWS/SQS', 'ApproximateAgeOfOldestMessage', queue(stage, 'activity')],
    statistic: 'Maximum',
    over: 900,
  },
  {
    name: 'own-entries-wait',
    say: 'What Steward did waits for more than an hour to be in the activity log; the table’s stream keeps it for 24. The log of record says why it fails.',
    metric: ['AWS/Lambda', 'IteratorAge', lambda(stage, 'record')],
    statistic: 'Maximum',
    over: 3_600_000,
  },
  {
    name: 'activity-dear',
    say: 'To write a million events costs more than $5, four times what it costs a quiet account: writers of one shard get in each other’s way, or each event comes alone. The log of record has the counts.',
    metric: ['Steward', 'DollarsPerMillion', own(stage)],
    statistic: 'Average',
    over: 5,
    of: 3,
  },
  {
    name: 'audit-silent',
    say: 'audit has not run for 5 minutes: what is new in the activity log is not signed. Is its schedule enabled?',
    metric: ['AWS/Lambda', 'Invocations', lambda(stage, 'audit')],
    statistic: 'Sum',
    under: 1,
    silent: 'breaching',
  },
  ...(policy().activity.copy
    ? [
        {
          name: 'copy-fails',
          say: 'Checkpoints of the activity log do not reach the second account for a quarter of an hour: its bucket, its policy or the role of audit says no. `npx steward doctor` says which. The log itself goes on.',
          metric: ['Steward', 'CopyFailed', own(stage)],
          statistic: 'Sum',
          over: 0,
          of: 3,
        },
      ]
    : []),
  {
    name: 'trail-denied',
    say: 'audit may not read the trail: its role, the bucket policy or the key says no. Its log names the call. Until then only EventBridge tells what happened, and completeness is not known.',
    metric: ['Steward', 'ReadDenied', own(stage)],
    statistic: 'Maximum',
    over: 0,
    of: 2,
  },
  {
    name: 'trail-behind',
    say: 'Files of the trail of more than 2 hours are not in the activity log yet: audit fails, or has more to read than it has time for. Its log says which.',
    metric: ['Steward', 'ReadBehind', own(stage)],
    statistic: 'Minimum',
    over: 7_200_000,
    of: 3,
  },
  {
    name: 'digests',
    say: 'A digest of CloudTrail is missing, wrong or does not continue the one before, or a file is not what it vouches for: somebody stopped the trail, or altered its bucket. The log of audit names it; npx steward activity verify shows the hours.',
    metric: ['Steward', 'DigestFindings', own(stage)],
    statistic: 'Sum',
    over: 0,
  },
  {
    name: 'activity-gaps',
    say: 'Events may be missing from the activity log for an hour or more. `npx steward activity verify` says from which, and why.',
    metric: ['Steward', 'ActivityGaps', own(stage)],
    statistic: 'Sum',
    over: 0,
  },
  ...(policy().activity.hosts === 'off'
    ? []
    : [
        {
          name: 'hosts',
          say: 'A host has fallen silent, lines that it shipped are missing, or they are not what they were. The log of audit names it; npx steward activity sessions shows more.',
          metric: ['Steward', 'HostFindings', own(stage)],
          statistic: 'Sum',
          over: 0,
        },
      ]),
  {
    name: 'archive-behind',
    say: 'A day of the activity log is not archived 10 days after its end, or archive has not run for 3 hours. Nothing leaves the table before it is archived: it only costs more. The log of archive says why; a trail whose hours do not settle holds a day up for a week.',
    metric: ['Steward', 'ArchiveBehind', own(stage)],
    statistic: 'Minimum',
    over: 864_000_000,
    minutes: 60,
    of: 3,
    silent: 'breaching',
  },
  {
    name: 'archive-lacks',
    say: 'Segments of the activity log were gone or changed when they were to be archived: somebody altered the table. `npx steward activity verify` names them; point-in-time recovery has the last 35 days.',
    metric: ['Steward', 'ArchiveLacks', own(stage)],
    statistic: 'Sum',
    over: 0,
  },
  {
    name: 'heal-throttled',
    say: 'heal is throttled: raise its reserved concurrency, or the concurrency of the account.',
    metric: ['AWS/Lambda', 'Throttles', lambda(stage, 'heal')],
    statistic: 'Sum',
    over: 20,
    of: 3,
  },
  {
    name: 'sweep-silent',
    say: 'sweep has not run for 5 minutes: nothing that is due is looked at. Is its schedule enabled?',
    metric: ['AWS/Lambda', 'Invocations', lambda(stage, 'sweep')],
    statistic: 'Sum',
    under: 1,
    silent: 'breaching',
  },
  {
    name: 'behind',
    say: 'Looks are more than 15 minutes late: heal does not keep up.',
    metric: ['Steward', 'Behind', own(stage)],
    statistic: 'Maximum',
    over: 900_000,
  },
  {
    name: 'survey-blind',
    say: 'A survey could not be made for 15 minutes: what no event reports goes unseen. The log of sweep says which permission or call fails.',
    metric: ['Steward', 'SurveyBlind', own(stage)],
    statistic: 'Maximum',
    over: 0,
    of: 3,
  },
  {
    name: 'escalations',
    say: 'An incident needs a person. `npx steward incidents` says which and what to do.',
    metric: ['Steward', 'Escalated', own(stage)],
    statistic: 'Sum',
    over: 0,
  },
  {
    name: 'refusals',
    say: 'Guards refused more than 50 acts within 5 minutes: a storm, a pause that was forgotten, or a budget that is too small. `npx steward incidents` gives the reasons.',
    metric: ['Steward', 'Refused', own(stage)],
    statistic: 'Sum',
    over: 50,
  },
  ...(policy().links
    ? [
        {
          name: 'links-refused',
          say: 'More than 20 links or buttons were refused within 5 minutes: somebody tries, or many come late. The log of link says what and from where. `links` out of steward.yml and a deployment close the door.',
          metric: ['Steward', 'LinkRefused', own(stage)],
          statistic: 'Sum',
          over: 20,
        },
      ]
    : []),
  {
    name: 'parked',
    say: 'An event could not be read and was kept. `npx steward parked list` shows it and why.',
    metric: ['Steward', 'Parked', own(stage)],
    statistic: 'Sum',
    over: 0,
  },
];

/** Only where someone is told. */
const telling = (stage) => [
  {
    name: 'announce-fails',
    say: 'The function announce fails: the channels of steward.yml are told nothing. Its log says why; what they were not told is kept.',
    metric: ['AWS/Lambda', 'Errors', lambda(stage, 'announce')],
    statistic: 'Sum',
    over: 0,
    of: 2,
  },
  {
    name: 'telling-behind',
    say: 'A channel of steward.yml was not told something for 15 minutes. `npx steward status` and the log of announce say which and why; it is told when it takes messages again.',
    metric: ['Steward', 'TellingBehind', own(stage)],
    statistic: 'Maximum',
    over: 900_000,
  },
];

const resource = (
  stage,
  { name, say, metric: [Namespace, MetricName, Dimensions], statistic, over, under, minutes = 5, of = 1, silent },
) => ({
  Type: 'AWS::CloudWatch::Alarm',
  Properties: {
    AlarmName: `steward-${stage}-${name}`,
    AlarmDescription: say,
    Namespace,
    MetricName,
    Dimensions,
    Statistic: statistic,
    Period: minutes * 60,
    EvaluationPeriods: of,
    ComparisonOperator: under === undefined ? 'GreaterThanThreshold' : 'LessThanThreshold',
    Threshold: under ?? over,
    TreatMissingData: silent ?? 'notBreaching',
    AlarmActions: [{ Ref: 'NoticesTopic' }],
    OKActions: [{ Ref: 'NoticesTopic' }],
  },
});

module.exports = ({ resolveVariable }) =>
  resolveVariable('sls:stage').then((stage) => ({
    Resources: Object.fromEntries(
      [...alarms(stage), ...(channels(stage).length > 0 ? telling(stage) : [])].map((a) => [
        `${logicalId(a.name)}Alarm`,
        resource(stage, a),
      ]),
    ),
  }));
