import {
  CloudWatchClient,
  type Metric as CloudWatchMetric,
  type CompositeAlarm,
  DescribeAlarmsCommand,
  ListMetricsCommand,
  ListTagsForResourceCommand,
  type MetricAlarm,
  type MetricDataResult,
  paginateDescribeAlarms,
  paginateGetMetricData,
  paginateListMetrics,
} from '@aws-sdk/client-cloudwatch';
import { type AlarmMetric, signalsOfAlarm } from '../core/alarm.ts';
import { InvalidInput } from '../core/errors.ts';
import type { Point } from '../core/forecast.ts';
import type { Metric, Metrics, Range } from '../core/ports.ts';
import type { Signal } from '../core/signal.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** GetMetricData takes so many queries at once. */
const MOST_METRICS = 500;

const pointsOf = ({ Timestamps = [], Values = [] }: MetricDataResult): { at: number; value: number }[] =>
  Timestamps.flatMap((at, i) => (Values[i] === undefined ? [] : [{ at: at.getTime(), value: Values[i] }]));

const asDimensions = (dimensions: Readonly<Record<string, string>>) =>
  Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value }));

type Asked = CloudWatchMetric & { readonly sum?: true | undefined };
const asAws = (m: Metric & { readonly sum?: true }): Asked => ({
  Namespace: m.namespace,
  MetricName: m.name,
  Dimensions: asDimensions(m.dimensions),
  sum: m.sum,
});

export const cloudWatchMetrics = (options: ClientOptions): Metrics => {
  const client = new CloudWatchClient(clientConfig(options, 3));

  /** One result for each metric, in their order. */
  const points = async (metrics: readonly Asked[], { from, to, period }: Range) => {
    const found: (readonly Point[])[] = [];
    for (let n = 0; n < metrics.length; n += MOST_METRICS) {
      const some = metrics.slice(n, n + MOST_METRICS);
      const results = new Map<string, Point[]>();
      const asked = {
        StartTime: new Date(from),
        EndTime: new Date(to),
        ScanBy: 'TimestampAscending' as const,
        MetricDataQueries: some.map(({ sum, ...Metric }, i) => ({
          Id: `m${i}`,
          MetricStat: { Metric, Period: period / 1000, Stat: sum ? 'Sum' : 'Average' },
        })),
      };
      // A long answer comes in pages, and one metric may be spread over several.
      for await (const { MetricDataResults = [] } of paginateGetMetricData({ client }, asked))
        for (const r of MetricDataResults)
          results.set(r.Id ?? '', [...(results.get(r.Id ?? '') ?? []), ...pointsOf(r)]);
      found.push(...some.map((_, i) => results.get(`m${i}`) ?? []));
    }
    return found;
  };

  return {
    series: ({ namespace, name, dimensions }, range) =>
      calling(`cannot read ${name} of ${Object.values(dimensions).join(' ')}`, async () => {
        // An agent's dimensions differ by its configuration (device, fstype, ImageId …): the metric is found, not assumed.
        const { Metrics: found = [] } = await client.send(
          new ListMetricsCommand({ Namespace: namespace, MetricName: name, Dimensions: asDimensions(dimensions) }),
        );
        const all = await points(found.slice(0, MOST_METRICS), range);
        // A volume that came back under another device name has a metric for each name, for two weeks: the one that goes on counts.
        const [series = []] = [...all].sort((a, b) => (b.at(-1)?.at ?? 0) - (a.at(-1)?.at ?? 0));
        return series;
      }),
    exactly: (metrics, range) =>
      calling(`cannot read ${metrics.map((m) => m.name).join(', ')}`, () => points(metrics.map(asAws), range)),
    alarmStates: (names) =>
      calling(`cannot read the alarms ${names.join(', ')}`, async () => {
        if (names.length === 0) return {};
        const { MetricAlarms = [], CompositeAlarms = [] } = await client.send(
          new DescribeAlarmsCommand({ AlarmNames: [...names], AlarmTypes: ['MetricAlarm', 'CompositeAlarm'] }),
        );
        const stateOf = (a: MetricAlarm | CompositeAlarm) => ({
          state: a.StateValue ?? 'INSUFFICIENT_DATA',
          since: (a.StateTransitionedTimestamp ?? a.StateUpdatedTimestamp)?.getTime() ?? 0,
        });
        return Object.fromEntries([
          ...CompositeAlarms.map((a) => [a.AlarmName ?? '', stateOf(a)]),
          ...MetricAlarms.map((a) => [a.AlarmName ?? '', { ...stateOf(a), ...needsOf(a) }]),
        ]);
      }),
    all: ({ namespace, name }, range) =>
      calling(`cannot read ${name} of everything`, async () => {
        const metrics: CloudWatchMetric[] = [];
        const asked = { Namespace: namespace, MetricName: name, RecentlyActive: 'PT3H' as const };
        for await (const { Metrics: found = [] } of paginateListMetrics({ client }, asked)) metrics.push(...found);
        const found = await points(metrics, range);
        return metrics.map(({ Dimensions = [] }, i) => ({
          dimensions: Object.fromEntries(Dimensions.map((d) => [d.Name ?? '', d.Value ?? ''])),
          points: found[i] ?? [],
        }));
      }),
  };
};

const needsOf = ({
  Period,
  Metrics = [],
  EvaluationPeriods = 1,
  DatapointsToAlarm = EvaluationPeriods,
}: MetricAlarm) => {
  const period = Period ?? Metrics.find((m) => m.ReturnData !== false)?.Period ?? Metrics[0]?.MetricStat?.Period;
  return period === undefined ? {} : { needs: period * DatapointsToAlarm * 1000 };
};

export const metricsOf = (a: MetricAlarm): AlarmMetric[] => {
  const one = (m: {
    Namespace?: string | undefined;
    MetricName?: string | undefined;
    Dimensions?: { Name?: string | undefined; Value?: string | undefined }[] | undefined;
  }): AlarmMetric[] =>
    m.MetricName
      ? [
          {
            namespace: m.Namespace ?? '',
            name: m.MetricName,
            dimensions: Object.fromEntries((m.Dimensions ?? []).map((d) => [d.Name ?? '', d.Value ?? ''])),
          },
        ]
      : [];
  return [...one(a), ...(a.Metrics ?? []).flatMap((q) => (q.MetricStat?.Metric ? one(q.MetricStat.Metric) : []))];
};

/** One alarm with an odd dimension must not hide the others; its own event is parked with this very reason. */
const signalsOf = (a: MetricAlarm): readonly Signal[] => {
  const at = a.StateTransitionedTimestamp ?? a.StateUpdatedTimestamp;
  if (!a.AlarmArn || !at) return [];
  try {
    return signalsOfAlarm({
      arn: a.AlarmArn,
      name: a.AlarmName ?? a.AlarmArn,
      state: 'ALARM',
      reason: a.StateReason ?? '',
      at: at.getTime(),
      metrics: metricsOf(a),
    });
  } catch (e) {
    if (e instanceof InvalidInput) return [];
    throw e;
  }
};

export interface Alarms {
  /** Alarms in ALARM now, as the signals that their state changes would have been; at most `limit`. */
  firing(limit: number): Promise<readonly Signal[]>;
  tags(arn: string): Promise<Readonly<Record<string, string>>>;
}

export const cloudWatchAlarms = (options: ClientOptions): Alarms => {
  const client = new CloudWatchClient(clientConfig(options, 3));
  return {
    firing: (limit) =>
      calling('cannot list the alarms that are in ALARM', async () => {
        const found: MetricAlarm[] = [];
        for await (const { MetricAlarms = [] } of paginateDescribeAlarms(
          { client, pageSize: Math.min(limit, 100) },
          { StateValue: 'ALARM' },
        )) {
          found.push(...MetricAlarms);
          if (found.length >= limit) break;
        }
        return found.slice(0, limit).flatMap(signalsOf);
      }),
    tags: (arn) =>
      calling(`cannot read the tags of ${arn}`, async () => {
        const { Tags = [] } = await client.send(new ListTagsForResourceCommand({ ResourceARN: arn }));
        return Object.fromEntries(Tags.map((t) => [t.Key ?? '', t.Value ?? '']));
      }),
  };
};
