/** The three forms in which CloudWatch tells of an alarm: EventBridge, SNS and a direct Lambda action. */
import type { Alarm, AlarmState } from './alarms.ts';
import { alarmArn } from './arns.ts';
import type { World } from './world.ts';

/** What an action's target is given: for a topic the message, a JSON text; for a function its event. */
export type AlarmAction = { arn: string; alarmName: string; payload: string | Record<string, unknown> };

/** CloudWatch's times: milliseconds, and `+0000` for UTC. */
export const stamp = (time: number) => new Date(time).toISOString().replace('Z', '+0000');

const stateOf = ({ value, reason, reasonData, at }: AlarmState) => ({
  value,
  reason,
  ...(reasonData !== undefined && { reasonData }),
  timestamp: stamp(at),
});

const configuration = (alarm: Alarm) => ({
  ...(alarm.description !== undefined && { description: alarm.description }),
  metrics: [
    {
      id: alarm.metricId,
      metricStat: {
        metric: { namespace: alarm.namespace, name: alarm.metric, dimensions: alarm.dimensions },
        period: alarm.periodSeconds,
        stat: alarm.stat,
      },
      returnData: true,
    },
  ],
});

export const alarmEvent = (alarm: Alarm, before: AlarmState): Record<string, unknown> => ({
  alarmName: alarm.name,
  configuration: configuration(alarm),
  previousState: stateOf(before),
  state: stateOf(alarm.state),
});

export const lambdaPayload = (world: World, alarm: Alarm, before: AlarmState): Record<string, unknown> => ({
  source: 'aws.cloudwatch',
  alarmArn: alarmArn(world, alarm.name),
  accountId: world.account,
  time: stamp(alarm.state.at),
  region: world.region,
  alarmData: {
    alarmName: alarm.name,
    state: stateOf(alarm.state),
    previousState: stateOf(before),
    configuration: configuration(alarm),
  },
});

/** SNS's `Region` is the region's name in words; the few that the world is used with. */
const REGION_NAMES: Readonly<Record<string, string>> = {
  'eu-central-1': 'EU (Frankfurt)',
  'eu-west-1': 'EU (Ireland)',
  'us-east-1': 'US East (N. Virginia)',
  'us-west-2': 'US West (Oregon)',
};

export const snsMessage = (world: World, alarm: Alarm, before: AlarmState): string =>
  JSON.stringify({
    AlarmName: alarm.name,
    AlarmDescription: alarm.description ?? null,
    AWSAccountId: world.account,
    AlarmConfigurationUpdatedTimestamp: stamp(alarm.updatedAt),
    NewStateValue: alarm.state.value,
    NewStateReason: alarm.state.reason,
    StateChangeTime: stamp(alarm.state.at),
    Region: REGION_NAMES[world.region] ?? world.region,
    AlarmArn: alarmArn(world, alarm.name),
    OldStateValue: before.value,
    OKActions: alarm.actions.OK,
    AlarmActions: alarm.actions.ALARM,
    InsufficientDataActions: alarm.actions.INSUFFICIENT_DATA,
    Trigger: {
      MetricName: alarm.metric,
      Namespace: alarm.namespace,
      ...(alarm.extended
        ? { StatisticType: 'ExtendedStatistic', ExtendedStatistic: alarm.stat }
        : { StatisticType: 'Statistic', Statistic: alarm.stat.toUpperCase() }),
      Unit: null,
      Dimensions: Object.entries(alarm.dimensions).map(([name, value]) => ({ value, name })),
      Period: alarm.periodSeconds,
      EvaluationPeriods: alarm.evaluationPeriods,
      DatapointsToAlarm: alarm.datapointsToAlarm,
      ComparisonOperator: alarm.comparison,
      Threshold: alarm.threshold,
      TreatMissingData: alarm.missing,
      EvaluateLowSampleCountPercentile: '',
    },
  });
