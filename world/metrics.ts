/** Metrics: what was put, and what is asked of it. */
import type { Dimension, MetricDataQuery, MetricDataResult, MetricDatum } from '@aws-sdk/client-cloudwatch';
import type { CloudWatchOperations } from './cloudwatch.ts';
import { groupBy, page } from './describe.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

export type Point = {
  at: number;
  min: number;
  max: number;
  sum: number;
  count: number;
  /** Undefined: the sum is the one value. */
  values?: readonly number[];
};
export type Metric = {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  points: Point[];
};

/** One-minute points live 15 days in CloudWatch; nobody here looks back further than a week. */
const KEPT = 8 * 86_400_000;

/** Keys by the very object that holds the dimensions: an alarm, or a host's metrics of one minute, ask again and again. */
const keys = new WeakMap<object, Map<string, string>>();
const dimensionKey = (dimensions: Readonly<Record<string, string>>): string =>
  Object.keys(dimensions)
    .toSorted()
    .map((name) => `${name}=${dimensions[name]}`)
    .join('\n');
export const metricKey = (namespace: string, name: string, dimensions: Readonly<Record<string, string>>): string => {
  const known = keys.get(dimensions) ?? new Map<string, string>();
  const asked = `${namespace}\n${name}`;
  const key = known.get(asked) ?? `${asked}\n${dimensionKey(dimensions)}`;
  if (known.size === 0) keys.set(dimensions, known);
  known.set(asked, key);
  return key;
};

export const toDimensions = (dimensions: readonly Dimension[] | undefined): Record<string, string> =>
  Object.fromEntries((dimensions ?? []).map(({ Name = '', Value = '' }) => [Name, Value]));

export const fromDimensions = (dimensions: Readonly<Record<string, string>>): Dimension[] =>
  Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value }));

type Put = { namespace: string; name: string; dimensions: Record<string, string>; point: Point };

const keep = ({ cloudwatch: { metrics, dimensions } }: World, key: string, metric: Metric): void => {
  metrics.set(key, metric);
  for (const [name, value] of Object.entries(metric.dimensions)) {
    const theirs = dimensions.get(`${name}=${value}`) ?? [];
    theirs.push(metric);
    dimensions.set(`${name}=${value}`, theirs);
  }
};

export const putPoint = (world: World, { namespace, name, dimensions, point }: Put) => {
  const key = metricKey(namespace, name, dimensions);
  const known = world.cloudwatch.metrics.get(key);
  const metric = known ?? { namespace, name, dimensions, points: [] };
  if (!known) keep(world, key, metric);
  const last = metric.points.at(-1);
  metric.points.push(point);
  if (last && last.at > point.at) metric.points.sort((a, b) => a.at - b.at);
  const oldest = world.clock.now() - KEPT;
  if ((metric.points[0]?.at ?? oldest) < oldest - 3_600_000)
    metric.points = metric.points.filter(({ at }) => at >= oldest);
};

export const valuePoint = (at: number, value: number): Point => ({
  at,
  min: value,
  max: value,
  sum: value,
  count: 1,
});

const toPoint = (datum: MetricDatum, now: number): Point => {
  const at = datum.Timestamp?.getTime() ?? now;
  if (datum.StatisticValues) {
    const { Minimum: min = 0, Maximum: max = 0, Sum: sum = 0, SampleCount: count = 0 } = datum.StatisticValues;
    return { at, min, max, sum, count, values: [] };
  }
  const values = datum.Values
    ? datum.Values.flatMap((value, i) => Array.from({ length: datum.Counts?.[i] ?? 1 }, () => value))
    : datum.Value === undefined
      ? []
      : [datum.Value];
  if (values.length === 0) {
    throw new AwsError('MissingRequiredParameterException', `A value is required for metric ${datum.MetricName}`);
  }
  return {
    at,
    min: Math.min(...values),
    max: Math.max(...values),
    sum: values.reduce((a, b) => a + b, 0),
    count: values.length,
    values,
  };
};

/** CloudWatch's percentiles interpolate between ranks. */
const percentile = (values: readonly number[], percent: number): number | undefined => {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (percent / 100) * (sorted.length - 1);
  const low = sorted[Math.floor(rank)];
  const high = sorted[Math.ceil(rank)];
  return low === undefined || high === undefined ? undefined : low + (high - low) * (rank - Math.floor(rank));
};

const STATISTICS: Readonly<Record<string, (points: readonly Point[]) => number>> = {
  Average: (points) => total(points, 'sum') / total(points, 'count'),
  Sum: (points) => total(points, 'sum'),
  SampleCount: (points) => total(points, 'count'),
  Maximum: (points) => Math.max(...points.map(({ max }) => max)),
  Minimum: (points) => Math.min(...points.map(({ min }) => min)),
};
const total = (points: readonly Point[], field: 'sum' | 'count') =>
  points.reduce((sum, point) => sum + point[field], 0);

/** One statistic of some points; undefined without data. */
export const statistic = (name: string, points: readonly Point[]): number | undefined => {
  if (points.length === 0) return undefined;
  const percent = /^p(\d+(?:\.\d+)?)$/.exec(name)?.[1];
  if (percent !== undefined)
    return percentile(
      points.flatMap(({ values, sum }) => values ?? [sum]),
      Number(percent),
    );
  const compute = STATISTICS[name];
  if (!compute) throw new AwsError('ValidationException', `The value ${name} for parameter Stat is not supported.`);
  return compute(points);
};

/** Points are in order of time, and one mostly asks for the latest. */
export const between = (points: readonly Point[], from: number, to: number): readonly Point[] => {
  let first = points.length;
  while (first > 0 && (points[first - 1]?.at ?? 0) >= from) first--;
  let last = points.length;
  while (last > first && (points[last - 1]?.at ?? 0) >= to) last--;
  return points.slice(first, last);
};

/** Values per period, oldest first, periods without data left out. A point belongs to the period that it begins in. */
export const series = (
  metric: Metric | undefined,
  options: { from: number; to: number; period: number; stat: string },
) => {
  const { from, to, period, stat } = options;
  const inside = between(metric?.points ?? [], from, to);
  return [...groupBy(inside, ({ at }) => Math.floor(at / period) * period)].flatMap(([start, points]) => {
    const value = statistic(stat, points);
    return value === undefined ? [] : [{ at: start, value }];
  });
};

const answerQuery = (
  world: World,
  query: MetricDataQuery,
  range: { from: number; to: number; ascending: boolean },
): MetricDataResult => {
  const { MetricStat: asked } = query;
  if (!asked?.Metric) {
    throw new AwsError(
      'ValidationException',
      `The world answers MetricStat only, not the expression of ${query.Id}: ${query.Expression ?? ''}`,
    );
  }
  const { Namespace = '', MetricName = '', Dimensions } = asked.Metric;
  const metric = world.cloudwatch.metrics.get(metricKey(Namespace, MetricName, toDimensions(Dimensions)));
  const period = (asked.Period ?? 60) * 1000;
  const points = series(metric, { ...range, period, stat: asked.Stat ?? 'Average' });
  if (!range.ascending) points.reverse();
  return {
    Id: query.Id,
    Label: query.Label ?? MetricName,
    StatusCode: 'Complete',
    Timestamps: points.map(({ at }) => new Date(at)),
    Values: points.map(({ value }) => value),
  };
};

export const metricOperations: CloudWatchOperations = {
  PutMetricData: (input, { world, at }) => {
    const { Namespace: namespace = '', MetricData: data = [] } = input;
    if (namespace.startsWith('AWS/')) {
      throw new AwsError('InvalidParameterValueException', 'The value AWS/ for parameter Namespace is invalid.');
    }
    // "You can send up to 1000 different metrics in one call."
    if (data.length > 1000)
      throw new AwsError('LimitExceededException', 'The collection MetricData must not have a size greater than 1000.');
    for (const datum of data) {
      putPoint(world, {
        namespace,
        name: datum.MetricName ?? '',
        dimensions: toDimensions(datum.Dimensions),
        point: toPoint(datum, at),
      });
    }
    return {};
  },

  /** "A single GetMetricData call can include up to 500 MetricDataQuery structures", each one metric. */
  GetMetricData: (input, { world }) => {
    const queries = input.MetricDataQueries ?? [];
    if (queries.length > 500)
      throw new AwsError(
        'ValidationException',
        'The collection MetricDataQueries must not have a size greater than 500.',
      );
    const range = {
      from: input.StartTime?.getTime() ?? 0,
      to: input.EndTime?.getTime() ?? 0,
      ascending: input.ScanBy === 'TimestampAscending',
    };
    if (range.from >= range.to)
      throw new AwsError('ValidationException', 'The parameter StartTime must be less than the parameter EndTime.');
    return {
      MetricDataResults: queries
        .filter(({ ReturnData }) => ReturnData !== false)
        .map((query) => answerQuery(world, query, range)),
      Messages: [],
    };
  },

  ListMetrics: (input, { world, at }) => {
    const exact = input.Dimensions?.find(({ Value }) => Value !== undefined);
    const among = exact
      ? (world.cloudwatch.dimensions.get(`${exact.Name}=${exact.Value}`) ?? [])
      : [...world.cloudwatch.metrics.values()];
    const wanted = among.filter(
      (metric) =>
        (input.Namespace ?? metric.namespace) === metric.namespace &&
        (input.MetricName ?? metric.name) === metric.name &&
        (input.Dimensions ?? []).every(
          ({ Name = '', Value }) =>
            Name in metric.dimensions && (Value ?? metric.dimensions[Name]) === metric.dimensions[Name],
        ) &&
        (input.RecentlyActive !== 'PT3H' || (metric.points.at(-1)?.at ?? 0) > at - 3 * 3_600_000),
    );
    const { items, nextToken } = page(wanted, {
      max: undefined,
      token: input.NextToken,
      otherwise: 500,
      invalidToken: 'InvalidNextToken',
    });
    return {
      Metrics: items.map(({ namespace, name, dimensions }) => ({
        Namespace: namespace,
        MetricName: name,
        Dimensions: fromDimensions(dimensions),
      })),
      ...(nextToken && { NextToken: nextToken }),
    };
  },
};
