/** Metrics that a clear trend leads to their limit: of everything once an hour, and of one target whenever it is looked at. */
import { FITS, type Forecast, forecast, type Point, type Question } from './forecast.ts';
import type { Metric, Metrics } from './ports.ts';
import type { Signal, SignalKind } from './signal.ts';
import type { Target } from './target.ts';
import { days, hours, minutes, type Time } from './time.ts';

/** Once an hour: the survey comes each fifth minute, and CloudWatch bills each metric that is read ($0.01 per 1,000). */
export const isForecastTime = (now: Time): boolean => now % hours(1) < minutes(5);

/** Two metrics of one thing have the same key, whatever the order of their dimensions. */
export const keyOf = (dimensions: Metric['dimensions']): string =>
  JSON.stringify(Object.entries(dimensions).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Every metric of that name that will reach the limit. Reads each twice. */
export const trendsOfAll = async (
  metrics: Pick<Metrics, 'all'>,
  metric: Pick<Metric, 'namespace' | 'name'>,
  limit: number,
  now: Time,
): Promise<readonly { readonly dimensions: Metric['dimensions']; readonly trend: Forecast }[]> => {
  const [hourly = [], weekly = []] = await Promise.all(
    FITS.map((f) => metrics.all(metric, { from: now - f.read, to: now, period: f.period })),
  );
  const weeks = new Map(weekly.map((m) => [keyOf(m.dimensions), m.points]));
  return hourly.flatMap(({ dimensions, points }) => {
    const trend = forecast({ '1 h': points, '7 d': weeks.get(keyOf(dimensions)) ?? [] }, { limit }, now);
    return trend ? [{ dimensions, trend }] : [];
  });
};

/** What opened an incident is looked for a little further ahead, so that it does not end for a matter of minutes. */
const FURTHER = 1.5;

/** Of one metric; `whole` makes parts of a hundred of its values. Without a measurement of the host its latest datapoint is what is there now. */
export const trendOfOne = async (
  metrics: Pick<Metrics, 'series'>,
  metric: Metric,
  { limit, here, whole = 100 }: Pick<Question, 'limit' | 'here'> & { readonly whole?: number },
  now: Time,
): Promise<Forecast | undefined> => {
  const [hour = [], week = []] = await Promise.all(
    FITS.map(async (f): Promise<readonly Point[]> => {
      const points = await metrics.series(metric, { from: now - f.read, to: now, period: f.period });
      return points.map((p) => ({ at: p.at, value: (100 * p.value) / whole }));
    }),
  );
  const question = { limit, here: here ?? hour.at(-1)?.value, further: FURTHER };
  return forecast({ '1 h': hour, '7 d': week }, question, now);
};

/** @param what the target's id, and what of it where it has several */
export const forecastSignal = (
  kind: SignalKind,
  target: Target,
  { now, what, says }: { readonly now: Time; readonly what: string; readonly says: string },
): Signal => ({
  kind,
  target,
  at: now,
  cause: `forecast: ${says}`,
  // Said again within a day it is the same one.
  eventId: `forecast:${what}@${Math.floor(now / days(1))}`,
});
