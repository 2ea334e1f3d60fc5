import {
  CloudWatchClient,
  GetMetricDataCommand,
  ListMetricsCommand,
  ListTagsForResourceCommand,
  type MetricAlarm,
  type MetricDataResult,
  paginateDescribeAlarms,
} from '@aws-sdk/client-cloudwatch';
import { type AlarmMetric, signalsOfAlarm } from '../core/alarm.ts';
import { InvalidInput } from '../core/errors.ts';
import type { Alarms, Metrics } from '../core/ports.ts';
import type { Signal } from '../core/signal.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** The agent reports once a minute; five minutes are enough for a trend over hours. Seconds. */
const TREND_PERIOD = 300;

/** GetMetricData takes so many queries at once. */
const MOST_METRICS = 500;

const pointsOf = ({ Timestamps = [], Values = [] }: MetricDataResult): { at: number; value: number }[] =>
  Timestamps.flatMap((at, i) => (Values[i] === undefined ? [] : [{ at: at.getTime(), value: Values[i] }]));

export const cloudWatchMetrics = (options: ClientOptions): Metrics => {
  const client = new CloudWatchClient(clientConfig(options, 3));
  return {
    diskUsedPercent: (instanceId, path, { from, to }) =>
      calling(`cannot read the disk metrics of ${instanceId}`, async () => {
        // The agent's dimensions differ by its configuration (device, fstype, ImageId …): the metric is found, not assumed.
        const { Metrics: found = [] } = await client.send(
          new ListMetricsCommand({
            Namespace: 'CWAgent',
            MetricName: 'disk_used_percent',
            Dimensions: [
              { Name: 'InstanceId', Value: instanceId },
              { Name: 'path', Value: path },
            ],
          }),
        );
        if (found.length === 0) return [];
        const { MetricDataResults = [] } = await client.send(
          new GetMetricDataCommand({
            StartTime: new Date(from),
            EndTime: new Date(to),
            ScanBy: 'TimestampAscending',
            MetricDataQueries: found.slice(0, MOST_METRICS).map((Metric, i) => ({
              Id: `used${i}`,
              MetricStat: { Metric, Period: TREND_PERIOD, Stat: 'Average' },
            })),
          }),
        );
        // A volume that came back under another device name has a metric for each name, for two weeks: the one that goes on counts.
        const [series = []] = MetricDataResults.map(pointsOf).sort((a, b) => (b.at(-1)?.at ?? 0) - (a.at(-1)?.at ?? 0));
        return series;
      }),
  };
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

export const cloudWatchAlarms = (
  options: ClientOptions,
): Alarms & { tags(arn: string): Promise<Readonly<Record<string, string>>> } => {
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
