import {
  CloudWatchClient,
  DeleteAlarmsCommand,
  type MetricAlarm,
  PutMetricAlarmCommand,
  paginateDescribeAlarms,
  paginateListMetrics,
} from '@aws-sdk/client-cloudwatch';
import type { Metric } from '../core/ports.ts';
import type { WatchAlarm, Watches } from '../core/watch.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

const asMetric = (m: {
  Namespace?: string | undefined;
  MetricName?: string | undefined;
  Dimensions?: { Name?: string | undefined; Value?: string | undefined }[] | undefined;
}): Metric => ({
  namespace: m.Namespace ?? '',
  name: m.MetricName ?? '',
  dimensions: Object.fromEntries((m.Dimensions ?? []).map((d) => [d.Name ?? '', d.Value ?? ''])),
});

/** Whatever of it Steward never sets makes it another alarm than the wanted one, so it is put again. */
const asWatch = (a: MetricAlarm): WatchAlarm => ({
  name: a.AlarmName ?? '',
  metric: asMetric(a),
  stat: a.Statistic as WatchAlarm['stat'],
  period: a.Period ?? 0,
  periods: a.EvaluationPeriods ?? 0,
  comparison: a.ComparisonOperator as WatchAlarm['comparison'],
  threshold: a.Threshold ?? Number.NaN,
  missing: (a.TreatMissingData ?? 'missing') as WatchAlarm['missing'],
  say: a.AlarmDescription ?? '',
});

/** CloudWatch grants three PutMetricAlarm a second to an account and region: one pass leaves room for another. Milliseconds. */
const BETWEEN_PUTS = 400;

export const cloudWatchWatches = (
  options: ClientOptions & { readonly sleep: (ms: number) => Promise<void> },
): Watches => {
  const reader = new CloudWatchClient(clientConfig(options, 5));
  // PutMetricAlarm names the end state, and its quota is small: the SDK's own backoff is welcome.
  const writer = new CloudWatchClient(clientConfig(options, 5));

  const alarms = async (prefix: string): Promise<MetricAlarm[]> => {
    const found: MetricAlarm[] = [];
    const asked = { AlarmNamePrefix: prefix, AlarmTypes: ['MetricAlarm' as const] };
    for await (const { MetricAlarms = [] } of paginateDescribeAlarms({ client: reader, pageSize: 100 }, asked))
      found.push(...MetricAlarms);
    return found;
  };
  /** In all namespaces at once: one call in place of one for each. */
  const listed = async (id: string): Promise<Metric[]> => {
    const found: Metric[] = [];
    const asked = { Dimensions: [{ Name: 'InstanceId', Value: id }], RecentlyActive: 'PT3H' as const };
    for await (const { Metrics = [] } of paginateListMetrics({ client: reader }, asked))
      found.push(...Metrics.map(asMetric));
    return found.filter(({ namespace }) => namespace === 'CWAgent' || namespace === 'AWS/EC2');
  };

  return {
    owners: (prefix) =>
      calling(`cannot list the alarms ${prefix}…`, async () => {
        const ids = (await alarms(prefix)).map((a) => a.AlarmName?.slice(prefix.length).split('/')[0] ?? '');
        return [...new Set(ids)].filter((id) => /^i-[0-9a-f]+$/.test(id));
      }),
    withPrefix: (prefix) =>
      calling(`cannot list the alarms ${prefix}…`, async () => (await alarms(prefix)).map(asWatch)),
    metricsOf: (id) => calling(`cannot list the metrics of ${id}`, () => listed(id)),
    put: (a) =>
      calling(`cannot put the alarm ${a.name}`, async () => {
        await writer.send(
          new PutMetricAlarmCommand({
            AlarmName: a.name,
            AlarmDescription: a.say,
            ActionsEnabled: true,
            Namespace: a.metric.namespace,
            MetricName: a.metric.name,
            Dimensions: Object.entries(a.metric.dimensions).map(([Name, Value]) => ({ Name, Value })),
            Statistic: a.stat,
            Period: a.period,
            EvaluationPeriods: a.periods,
            DatapointsToAlarm: a.periods,
            ComparisonOperator: a.comparison,
            Threshold: a.threshold,
            TreatMissingData: a.missing,
          }),
        );
        await options.sleep(BETWEEN_PUTS);
      }),
    remove: (names) =>
      calling('cannot remove alarms', async () => {
        await writer.send(new DeleteAlarmsCommand({ AlarmNames: [...names] }));
      }),
  };
};
