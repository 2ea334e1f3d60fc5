/** CloudWatch: the state, and the one table of its operations. Metrics are in metrics.ts, alarms in alarms.ts. */
import * as api from '@aws-sdk/client-cloudwatch';
import { type Alarm, type AlarmAction, alarmOperations, evaluateAlarms } from './alarms.ts';
import { alarmArn } from './arns.ts';
import { checkGroups } from './autoscaling.ts';
import { type Metric, metricOperations } from './metrics.ts';
import { publishHostMetrics, publishServiceMetrics } from './publish.ts';
import { defineService, jsonWords, type Operations } from './service.ts';
import { trackTargets } from './serviceScaling.ts';
import type { World } from './world.ts';

export type { AlarmAction } from './alarms.ts';
export type CloudWatchOperations = Operations<typeof api>;

export type CloudWatchState = {
  /** By namespace, name and dimensions. */
  readonly metrics: Map<string, Metric>;
  /** The same by `name=value` of each of their dimensions. */
  readonly dimensions: Map<string, Metric[]>;
  readonly alarms: Map<string, Alarm>;
  readonly actionListeners: Set<(action: AlarmAction) => void>;
};

export const createCloudWatchState = (): CloudWatchState => ({
  metrics: new Map(),
  dimensions: new Map(),
  alarms: new Map(),
  actionListeners: new Set(),
});

const MINUTE = 60_000;

/** Each full minute: alarms look at the minutes that are over, then hosts publish. */
export const startMetrics = (world: World) => {
  const { clock } = world;
  const tick = () => {
    evaluateAlarms(world);
    publishHostMetrics(world);
    publishServiceMetrics(world);
    trackTargets(world);
    checkGroups(world);
    clock.at((Math.floor(clock.now() / MINUTE) + 1) * MINUTE, tick);
  };
  clock.at(Math.ceil(clock.now() / MINUTE) * MINUTE, tick);
};

const alarms = (names: readonly (string | undefined)[] | undefined, world: World) =>
  (names ?? []).map((name = '') => ({
    arn: alarmArn(world, name),
    tags: world.cloudwatch.alarms.get(name)?.tags ?? {},
  }));

const byArn = (arn: string | undefined, world: World) => [
  {
    arn: arn ?? '',
    tags: [...world.cloudwatch.alarms.values()].find((alarm) => alarmArn(world, alarm.name) === arn)?.tags ?? {},
  },
];

export const cloudWatchService = defineService<typeof api>({
  name: 'cloudwatch',
  signingName: 'monitoring',
  iamPrefix: 'cloudwatch',
  protocol: 'json',
  xmlNamespace: 'http://monitoring.amazonaws.com/doc/2010-08-01/',
  api,
  words: {
    ...jsonWords,
    denied: ['AccessDenied', 403],
    throttled: ['Throttling', 400],
    internal: ['InternalServiceFault', 500],
    unknownKey: ['InvalidClientTokenId', 403],
    expired: ['ExpiredToken', 403],
  },
  operations: { ...metricOperations, ...alarmOperations },
  resources: {
    DescribeAlarms: (input, world) =>
      input.AlarmNames?.length ? alarms(input.AlarmNames, world) : alarms(['*'], world),
    PutMetricAlarm: (input, world) => alarms([input.AlarmName], world),
    DeleteAlarms: (input, world) => alarms(input.AlarmNames, world),
    SetAlarmState: (input, world) => alarms([input.AlarmName], world),
    TagResource: (input, world) => byArn(input.ResourceARN, world),
    UntagResource: (input, world) => byArn(input.ResourceARN, world),
    ListTagsForResource: (input, world) => byArn(input.ResourceARN, world),
  },
  context: { PutMetricData: (input) => ({ 'cloudwatch:namespace': input.Namespace ?? '' }) },
});
