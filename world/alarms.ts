/** Alarms: M out of N, missing data, and what a change of state sets off. */
import type { MetricAlarm, PutMetricAlarmCommandInput } from '@aws-sdk/client-cloudwatch';
import { type AlarmAction, alarmEvent, lambdaPayload, snsMessage, stamp } from './alarm-messages.ts';
import { alarmArn } from './arns.ts';
import type { CloudWatchOperations } from './cloudwatch.ts';
import { page } from './describe.ts';
import { between, fromDimensions, metricKey, type Point, statistic, toDimensions } from './metrics.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

export type { AlarmAction } from './alarm-messages.ts';

export type StateValue = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';
export type AlarmState = { value: StateValue; reason: string; reasonData: string | undefined; at: number };

export type Alarm = {
  readonly name: string;
  description: string | undefined;
  namespace: string;
  metric: string;
  dimensions: Record<string, string>;
  /** Average … or p99. */
  stat: string;
  extended: boolean;
  periodSeconds: number;
  evaluationPeriods: number;
  datapointsToAlarm: number;
  threshold: number;
  comparison: Comparison;
  missing: 'missing' | 'ignore' | 'breaching' | 'notBreaching';
  actionsEnabled: boolean;
  actions: Record<StateValue, string[]>;
  tags: Record<string, string>;
  updatedAt: number;
  state: AlarmState;
  /** Its changes of state; CloudWatch keeps them for 30 days. */
  history: { at: number; from: StateValue; to: StateValue; reason: string }[];
  /** The metric's id in the events' configuration: AWS invents one per alarm. */
  readonly metricId: string;
};

type Comparison =
  | 'GreaterThanThreshold'
  | 'GreaterThanOrEqualToThreshold'
  | 'LessThanThreshold'
  | 'LessThanOrEqualToThreshold';
const COMPARISONS: Record<Comparison, { breaches: (value: number, threshold: number) => boolean; words: string }> = {
  GreaterThanThreshold: { breaches: (value, threshold) => value > threshold, words: 'greater than' },
  GreaterThanOrEqualToThreshold: {
    breaches: (value, threshold) => value >= threshold,
    words: 'greater than or equal to',
  },
  LessThanThreshold: { breaches: (value, threshold) => value < threshold, words: 'less than' },
  LessThanOrEqualToThreshold: { breaches: (value, threshold) => value <= threshold, words: 'less than or equal to' },
};

/** Enters a state; only a change is announced, as AWS does. */
const enter = (world: World, alarm: Alarm, state: Omit<AlarmState, 'at'>) => {
  if (alarm.state.value === state.value) return;
  const before = alarm.state;
  alarm.history.push({ at: world.clock.now(), from: before.value, to: state.value, reason: state.reason });
  alarm.state = { ...state, at: world.clock.now() };
  world.events.emit({
    source: 'aws.cloudwatch',
    detailType: 'CloudWatch Alarm State Change',
    resources: [alarmArn(world, alarm.name)],
    detail: alarmEvent(alarm, before),
  });
  if (!alarm.actionsEnabled) return;
  for (const arn of alarm.actions[state.value]) {
    const payload = arn.includes(':lambda:') ? lambdaPayload(world, alarm, before) : snsMessage(world, alarm, before);
    const action: AlarmAction = { arn, alarmName: alarm.name, payload };
    for (const listener of world.cloudwatch.actionListeners) listener(structuredClone(action));
  }
};

/** "01/10/19 13:46:00", as the reasons have it. */
const reasonTime = (time: number) => {
  const [date = '', clock = ''] = new Date(time).toISOString().slice(2, 19).split('T');
  return `${date.split('-').toReversed().join('/')} ${clock}`;
};
const withPoint = (value: number) => (Number.isInteger(value) ? value.toFixed(1) : String(value));
const datapoints = (count: number) => `${count} datapoint${count === 1 ? '' : 's'}`;

type Datapoint = { at: number; value: number | undefined };

/** The last N periods that are over; the newest may be late, so one without data yet is skipped (AWS retrieves more than N for that). */
const lookBack = (world: World, alarm: Alarm): Datapoint[] => {
  const period = alarm.periodSeconds * 1000;
  const to = Math.floor(world.clock.now() / period) * period;
  const from = to - (alarm.evaluationPeriods + 1) * period;
  const metric = world.cloudwatch.metrics.get(metricKey(alarm.namespace, alarm.metric, alarm.dimensions));
  const inPeriods = Array.from({ length: alarm.evaluationPeriods + 1 }, (): Point[] => []);
  for (const point of between(metric?.points ?? [], from, to))
    inPeriods[Math.ceil((to - point.at) / period) - 1]?.push(point);
  const all = inPeriods.map((points, i) => ({ at: to - (i + 1) * period, value: statistic(alarm.stat, points) }));
  const late = all[0]?.value === undefined && all[1]?.value !== undefined;
  return late ? all.slice(1) : all.slice(0, alarm.evaluationPeriods);
};

/** "Configuring how CloudWatch alarms treat missing data" (CloudWatch User Guide). */
const judge = (alarm: Alarm, points: readonly Datapoint[]): StateValue | undefined => {
  const { breaches } = COMPARISONS[alarm.comparison];
  const real = points.filter(({ value }) => value !== undefined);
  if (real.length === 0 && alarm.missing === 'missing') return 'INSUFFICIENT_DATA';
  if (real.length === 0 && alarm.missing === 'ignore') return undefined;
  const filled = alarm.missing === 'breaching' ? points.length - real.length : 0;
  const breaching = filled + real.filter(({ value = 0 }) => breaches(value, alarm.threshold)).length;
  if (breaching >= alarm.datapointsToAlarm) return 'ALARM';
  // With points missing there may be too few to leave the alarm: "the alarm's state is maintained" (ignore), else it is OK.
  return alarm.missing === 'ignore' && real.length < alarm.datapointsToAlarm ? undefined : 'OK';
};

const explain = (alarm: Alarm, value: StateValue, points: readonly Datapoint[]): string => {
  const { words, breaches } = COMPARISONS[alarm.comparison];
  const real = points.filter((point): point is { at: number; value: number } => point.value !== undefined);
  if (value === 'INSUFFICIENT_DATA' || real.length === 0)
    return `Insufficient Data: ${datapoints(points.length)} ${points.length === 1 ? 'was' : 'were'} unknown.`;
  const said = real.filter((point) => breaches(point.value, alarm.threshold) === (value === 'ALARM'));
  const list = said.map((point) => `${withPoint(point.value)} (${reasonTime(point.at)})`).join(', ');
  const verb = `${said.length === 1 ? 'was' : 'were'}${value === 'ALARM' ? '' : ' not'}`;
  const needed = value === 'ALARM' ? alarm.datapointsToAlarm : alarm.evaluationPeriods - alarm.datapointsToAlarm + 1;
  const change = value === 'ALARM' ? 'OK -> ALARM' : 'ALARM -> OK';
  return (
    `Threshold Crossed: ${said.length} out of the last ${points.length} datapoints [${list}] ${verb} ${words} ` +
    `the threshold (${withPoint(alarm.threshold)}) (minimum ${datapoints(needed)} for ${change} transition).`
  );
};

const reasonData = (world: World, alarm: Alarm, points: readonly Datapoint[]): string => {
  const known = points.filter(({ value }) => value !== undefined);
  return JSON.stringify({
    version: '1.0',
    queryDate: stamp(world.clock.now()),
    ...(known.length > 0 && { startDate: stamp(Math.min(...known.map(({ at }) => at))) }),
    ...(alarm.extended ? { extendedStatistic: alarm.stat } : { statistic: alarm.stat }),
    period: alarm.periodSeconds,
    recentDatapoints: known.map(({ value }) => value).toReversed(),
    threshold: alarm.threshold,
    evaluatedDatapoints: known.map(({ at, value }) => ({ timestamp: stamp(at), value })),
  });
};

const evaluate = (world: World, alarm: Alarm) => {
  const points = lookBack(world, alarm);
  const value = judge(alarm, points);
  if (value === undefined || value === alarm.state.value) return;
  enter(world, alarm, { value, reason: explain(alarm, value, points), reasonData: reasonData(world, alarm, points) });
};

export const evaluateAlarms = (world: World) => {
  for (const alarm of world.cloudwatch.alarms.values()) evaluate(world, alarm);
};

/** What the world's alarms can be; the rest is refused, not ignored. */
const checkAlarm = (input: PutMetricAlarmCommandInput) => {
  const { MetricName: metric, Namespace: namespace, Threshold: threshold, Period: periodSeconds } = input;
  const comparison = input.ComparisonOperator as Comparison;
  if (!COMPARISONS[comparison]) {
    throw new AwsError('ValidationException', `The world's alarms compare with a threshold, not by ${comparison}.`);
  }
  if (input.Metrics || !metric || !namespace || threshold === undefined || !periodSeconds) {
    const need = "The world's alarms need MetricName, Namespace, Period and Threshold; metric math is not there.";
    throw new AwsError('ValidationException', need);
  }
  return { metric, namespace, threshold, periodSeconds, comparison };
};

const toAlarm = (world: World, input: PutMetricAlarmCommandInput, known: Alarm | undefined): Alarm => {
  const { AlarmName: name = '', EvaluationPeriods: periods = 1 } = input;
  const datapointsToAlarm = input.DatapointsToAlarm ?? periods;
  if (datapointsToAlarm > periods) {
    throw new AwsError('ValidationException', 'DatapointsToAlarm must be less than or equal to EvaluationPeriods');
  }
  return {
    ...checkAlarm(input),
    name,
    description: input.AlarmDescription,
    dimensions: toDimensions(input.Dimensions),
    stat: input.ExtendedStatistic ?? input.Statistic ?? 'Average',
    extended: input.ExtendedStatistic !== undefined,
    evaluationPeriods: periods,
    datapointsToAlarm,
    missing: (input.TreatMissingData ?? 'missing') as Alarm['missing'],
    actionsEnabled: input.ActionsEnabled ?? true,
    actions: {
      OK: input.OKActions ?? [],
      ALARM: input.AlarmActions ?? [],
      INSUFFICIENT_DATA: input.InsufficientDataActions ?? [],
    },
    // "If you are using this operation to update an existing alarm, any tags you specify in this parameter are ignored."
    tags: known?.tags ?? Object.fromEntries((input.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value])),
    updatedAt: world.clock.now(),
    // "The alarm's state is left unchanged" on an update.
    state: known?.state ?? {
      value: 'INSUFFICIENT_DATA',
      reason: 'Unchecked: Initial alarm creation',
      reasonData: undefined,
      at: world.clock.now(),
    },
    history: known?.history ?? [],
    metricId: known?.metricId ?? world.tokens.uuid(),
  };
};

const describe = (world: World, alarm: Alarm): MetricAlarm => ({
  AlarmName: alarm.name,
  AlarmArn: alarmArn(world, alarm.name),
  ...(alarm.description !== undefined && { AlarmDescription: alarm.description }),
  AlarmConfigurationUpdatedTimestamp: new Date(alarm.updatedAt),
  ActionsEnabled: alarm.actionsEnabled,
  OKActions: alarm.actions.OK,
  AlarmActions: alarm.actions.ALARM,
  InsufficientDataActions: alarm.actions.INSUFFICIENT_DATA,
  StateValue: alarm.state.value,
  StateReason: alarm.state.reason,
  ...(alarm.state.reasonData !== undefined && { StateReasonData: alarm.state.reasonData }),
  StateUpdatedTimestamp: new Date(alarm.state.at),
  StateTransitionedTimestamp: new Date(alarm.state.at),
  MetricName: alarm.metric,
  Namespace: alarm.namespace,
  ...(alarm.extended
    ? { ExtendedStatistic: alarm.stat }
    : { Statistic: alarm.stat as NonNullable<MetricAlarm['Statistic']> }),
  Dimensions: fromDimensions(alarm.dimensions),
  Period: alarm.periodSeconds,
  EvaluationPeriods: alarm.evaluationPeriods,
  DatapointsToAlarm: alarm.datapointsToAlarm,
  Threshold: alarm.threshold,
  ComparisonOperator: alarm.comparison,
  TreatMissingData: alarm.missing,
});

const find = (world: World, name: string | undefined): Alarm => {
  const alarm = world.cloudwatch.alarms.get(name ?? '');
  if (alarm) return alarm;
  throw new AwsError('ResourceNotFound', `Unknown alarm: ${name}`);
};

const byArn = (world: World, arn: string | undefined): Alarm => {
  const alarm = [...world.cloudwatch.alarms.values()].find(({ name }) => alarmArn(world, name) === arn);
  if (alarm) return alarm;
  throw new AwsError('ResourceNotFoundException', `Unknown resource: ${arn}`);
};

export const alarmOperations: CloudWatchOperations = {
  PutMetricAlarm: (input, { world }) => {
    const alarm = toAlarm(world, input, world.cloudwatch.alarms.get(input.AlarmName ?? ''));
    world.cloudwatch.alarms.set(alarm.name, alarm);
    return {};
  },

  DescribeAlarms: (input, { world }) => {
    const { AlarmNamePrefix: prefix = '' } = input;
    const named = [...world.cloudwatch.alarms.keys()].filter((name) => name.startsWith(prefix));
    const wanted = named
      .flatMap((name) => world.cloudwatch.alarms.get(name) ?? [])
      .filter(() => !input.AlarmTypes?.length || input.AlarmTypes.includes('MetricAlarm'))
      .filter(({ name }) => !input.AlarmNames?.length || input.AlarmNames.includes(name))
      .filter(({ state }) => (input.StateValue ?? state.value) === state.value)
      .filter(
        ({ actions }) =>
          !input.ActionPrefix ||
          Object.values(actions)
            .flat()
            .some((arn) => arn.startsWith(input.ActionPrefix ?? '')),
      )
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const { items, nextToken } = page(wanted, {
      max: input.MaxRecords,
      token: input.NextToken,
      otherwise: 50,
      invalidToken: 'InvalidNextToken',
    });
    return {
      MetricAlarms: items.map((alarm) => describe(world, alarm)),
      CompositeAlarms: [],
      ...(nextToken && { NextToken: nextToken }),
    };
  },

  /** The dimensions must be all of the metric's; period and statistic narrow further. */
  DescribeAlarmsForMetric: (input, { world }) => {
    const key = metricKey(input.Namespace ?? '', input.MetricName ?? '', toDimensions(input.Dimensions));
    const MetricAlarms = [...world.cloudwatch.alarms.values()]
      .filter((alarm) => metricKey(alarm.namespace, alarm.metric, alarm.dimensions) === key)
      .filter((alarm) => (input.Period ?? alarm.periodSeconds) === alarm.periodSeconds)
      .filter((alarm) => (input.ExtendedStatistic ?? input.Statistic ?? alarm.stat) === alarm.stat)
      .map((alarm) => describe(world, alarm));
    return { MetricAlarms };
  },

  /** Newest first, as the default is. The world knows only changes of state. */
  DescribeAlarmHistory: (input, { world }) => {
    const items = [...world.cloudwatch.alarms.values()]
      .filter(({ name }) => (input.AlarmName ?? name) === name)
      .filter(() => (input.HistoryItemType ?? 'StateUpdate') === 'StateUpdate')
      .flatMap((alarm) => alarm.history.map((change) => ({ alarm, change })))
      .filter(
        ({ change: { at } }) => at >= (input.StartDate?.getTime() ?? 0) && at < (input.EndDate?.getTime() ?? Infinity),
      )
      .toSorted((a, b) => (input.ScanBy === 'TimestampAscending' ? 1 : -1) * (a.change.at - b.change.at));
    const { items: shown, nextToken } = page(items, {
      max: input.MaxRecords,
      token: input.NextToken,
      otherwise: 50,
      invalidToken: 'InvalidNextToken',
    });
    return {
      AlarmHistoryItems: shown.map(({ alarm, change }) => ({
        AlarmName: alarm.name,
        AlarmType: 'MetricAlarm' as const,
        Timestamp: new Date(change.at),
        HistoryItemType: 'StateUpdate' as const,
        HistorySummary: `Alarm updated from ${change.from} to ${change.to}`,
        HistoryData: JSON.stringify({
          version: '1.0',
          oldState: { stateValue: change.from },
          newState: { stateValue: change.to, stateReason: change.reason },
        }),
      })),
      ...(nextToken && { NextToken: nextToken }),
    };
  },

  DeleteAlarms: (input, { world }) => {
    const names = (input.AlarmNames ?? []).map((name) => find(world, name).name);
    for (const name of names) world.cloudwatch.alarms.delete(name);
    return {};
  },

  /** "It returns to its actual state … often within seconds": at the next evaluation. */
  SetAlarmState: (input, { world }) => {
    const { StateValue: value = 'OK', StateReason: reason = '', StateReasonData: data } = input;
    enter(world, find(world, input.AlarmName), { value: value as StateValue, reason, reasonData: data });
    return {};
  },

  TagResource: (input, { world }) => {
    const alarm = byArn(world, input.ResourceARN);
    for (const { Key = '', Value = '' } of input.Tags ?? []) alarm.tags[Key] = Value;
    return {};
  },

  UntagResource: (input, { world }) => {
    const alarm = byArn(world, input.ResourceARN);
    for (const key of input.TagKeys ?? []) delete alarm.tags[key];
    return {};
  },

  ListTagsForResource: (input, { world }) => ({
    Tags: Object.entries(byArn(world, input.ResourceARN).tags).map(([Key, Value]) => ({ Key, Value })),
  }),
};
