/** When will a metric reach its limit? A robust fit over a week and over an hour; what is no clear trend gives no forecast. Pure. */
import { days, hours, minutes, span, type Time } from './time.ts';

export interface Point {
  readonly at: Time;
  readonly value: number;
}

/** What each fit looks at and how far ahead it may speak: never further than it has seen, and never without enough points. */
export const FITS = [
  { name: '1 h', window: hours(1), period: minutes(5), ahead: hours(1), leastPoints: 8 },
  { name: '7 d', window: days(7), period: hours(1), ahead: days(1), leastPoints: 48 },
] as const;
export type Fit = (typeof FITS)[number];

export interface Forecast {
  /** When the limit is reached, if it goes on like this. */
  readonly at: Time;
  readonly perHour: number;
  readonly fit: Fit['name'];
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
};

/** Every pair counts, so a long series is thinned to so many points. */
const MOST_POINTS = 84;

export interface Line {
  /** Units an hour. */
  readonly slope: number;
  /** The line's value at the last point. */
  readonly last: number;
  /** Median distance of the points from it. */
  readonly spread: number;
}

/** Theil–Sen: the median of all pairwise slopes. Up to 29 % of the points may be anything. Undefined: fewer than two different times. */
export const lineThrough = (points: readonly Point[]): Line | undefined => {
  const step = Math.max(1, Math.ceil(points.length / MOST_POINTS));
  // From the end, so that the latest counts.
  const thin = points.filter((_, i) => (points.length - 1 - i) % step === 0);
  const slopes = thin.flatMap((a, i) =>
    thin.slice(i + 1).flatMap((b) => (b.at > a.at ? [((b.value - a.value) / (b.at - a.at)) * hours(1)] : [])),
  );
  const end = thin.at(-1);
  if (!end || slopes.length === 0) return undefined;
  const slope = median(slopes);
  const over = (p: Point) => p.value - (slope * (p.at - end.at)) / hours(1);
  const last = median(thin.map(over));
  return { slope, last, spread: median(thin.map((p) => Math.abs(over(p) - last))) };
};

/** A trend is believed if over the window it moves so many times the points' own spread, and the latest points lie on it. */
const CLEAR = 4;

const fitted = (fit: Fit, points: readonly Point[], limit: number, now: Time): Forecast | undefined => {
  const seen = points.filter((p) => Number.isFinite(p.value) && p.at > now - fit.window && p.at <= now);
  const [first] = seen;
  const end = seen.at(-1);
  if (!first || !end || seen.length < fit.leastPoints) return undefined;
  // Half of the window must be seen, and the end of it.
  if (end.at - first.at < fit.window / 2 || now - end.at > 3 * fit.period) return undefined;
  const line = lineThrough(seen);
  if (!line || line.slope === 0) return undefined;
  const rise = (Math.abs(line.slope) * (end.at - first.at)) / hours(1);
  const latest = median(seen.slice(-3).map((p) => p.value));
  if (rise < CLEAR * line.spread || Math.abs(latest - line.last) > Math.max(CLEAR * line.spread, rise / 10))
    return undefined;
  const hoursLeft = (limit - line.last) / line.slope;
  const at = end.at + hoursLeft * hours(1);
  return hoursLeft > 0 && at <= now + fit.ahead ? { at, perHour: line.slope, fit: fit.name } : undefined;
};

/** The earliest of the fits' forecasts that the limit is reached from where it is now; undefined: no clear trend towards it. */
export const forecast = (
  points: Readonly<Record<Fit['name'], readonly Point[]>>,
  limit: number,
  now: Time,
): Forecast | undefined =>
  FITS.flatMap((fit) => fitted(fit, points[fit.name], limit, now) ?? []).sort((a, b) => a.at - b.at)[0];

/** 'reaches 80 % in 5 h (2.1 points an hour over 7 d)' */
export const forecastText = ({ at, perHour, fit }: Forecast, limit: number, now: Time): string =>
  `reaches ${limit} % in ${span(Math.max(0, at - now))} if it goes on like this (${Math.abs(perHour).toPrecision(2)} points an hour over ${fit})`;
