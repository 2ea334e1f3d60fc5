/** When will a metric reach its limit? A robust fit over a week and over an hour; what is no clear trend gives no forecast. Pure. */
import { days, hours, minutes, span, type Time } from './time.ts';

export interface Point {
  readonly at: Time;
  readonly value: number;
}

/**
 * What each fit looks at and how far ahead it may speak: never further than it has seen, and never without enough points. `read` is what it is given:
 * what an hour's climb means is told by the half day before it.
 */
export const FITS = [
  { name: '1 h', window: hours(1), read: hours(12), period: minutes(5), ahead: hours(1), leastPoints: 8 },
  { name: '7 d', window: days(7), read: days(7), period: hours(1), ahead: days(1), leastPoints: 48 },
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

interface Fitted {
  readonly line: Line;
  /** When the line reaches the limit. */
  readonly at: Time;
}

const fitted = (fit: Fit, points: readonly Point[], { limit, here }: Question, now: Time): Fitted | undefined => {
  const known = points.filter((p) => Number.isFinite(p.value) && p.at > now - fit.window && p.at <= now);
  const seen = here === undefined ? known : [...known, { at: now, value: here }];
  const [first] = seen;
  const end = known.at(-1);
  if (!first || !end || seen.length < fit.leastPoints) return undefined;
  // Half of the window must be seen, and the end of it.
  if (end.at - first.at < fit.window / 2 || now - end.at > 3 * fit.period) return undefined;
  const line = lineThrough(seen);
  if (!line || line.slope === 0) return undefined;
  const last = seen.at(-1) ?? end;
  const rise = (Math.abs(line.slope) * (last.at - first.at)) / hours(1);
  const latest = median(seen.slice(-3).map((p) => p.value));
  const isOff = (value: number) => Math.abs(value - line.last) > Math.max(CLEAR * line.spread, rise / 10);
  if (rise < CLEAR * line.spread || isOff(latest) || (here !== undefined && isOff(here))) return undefined;
  const hoursLeft = (limit - line.last) / line.slope;
  // What is there already is the alarm's.
  const present = here ?? latest;
  const isThere = line.slope > 0 ? present >= limit : present <= limit;
  return hoursLeft > 0 && !isThere ? { line, at: last.at + hoursLeft * hours(1) } : undefined;
};

/** So often in a week it was there and came back by itself: the next time is no news. */
const FAMILIAR = 2;

/** A heap before its collection, a batch job of each night, credits of each morning: the last hour's climb has often ended by itself. */
const isFamiliar = (slope: number, day: readonly Point[], week: readonly Point[], now: Time): boolean => {
  const hourAgo = now - hours(1);
  // An hour that the clock cuts otherwise has another average: what lies between its start and its average counts.
  const lately = day.filter((p) => p.at > hourAgo);
  const average = lately.reduce((sum, p) => sum + p.value, 0) / Math.max(1, lately.length);
  const level = ((lately[0]?.value ?? average) + average) / 2;
  const isBeyond = (p: Point) => (slope > 0 ? p.value >= level : p.value <= level);
  const returns = (points: readonly Point[]) =>
    points.filter((p, i) => i > 0 && !isBeyond(p) && isBeyond(points[i - 1] ?? p)).length;
  const since = day[0]?.at ?? hourAgo;
  const [early, late] = [week.filter((p) => p.at <= Math.min(since, hourAgo)), day.filter((p) => p.at <= hourAgo)];
  return returns(early) + returns(late) >= FAMILIAR;
};

export interface Question {
  readonly limit: number;
  /** What is measured right now: a trend that it does not lie on has ended. */
  readonly here?: number | undefined;
  /** Looks so many times further ahead: what was said once is not taken back for a matter of minutes. */
  readonly further?: number;
}

/** The earliest of the fits' forecasts that the limit is reached from where it is now; undefined: no clear trend towards it. */
export const forecast = (
  points: Readonly<Record<Fit['name'], readonly Point[]>>,
  question: Question,
  now: Time,
): Forecast | undefined =>
  FITS.flatMap((fit) => {
    const found = fitted(fit, points[fit.name], question, now);
    if (!found || found.at > now + fit.ahead * (question.further ?? 1)) return [];
    if (fit.name === '1 h' && isFamiliar(found.line.slope, points['1 h'], points['7 d'], now)) return [];
    return [{ at: found.at, perHour: found.line.slope, fit: fit.name }];
  }).sort((a, b) => a.at - b.at)[0];

const UNITS = { percent: ['%', 'points'], credits: ['credits', 'credits'] } as const;

/** 'reaches 80 % in 5 h if it goes on like this (2.1 points an hour over 7 d)' */
export const forecastText = (
  { at, perHour, fit }: Forecast,
  limit: number,
  now: Time,
  unit: keyof typeof UNITS = 'percent',
): string => {
  const [of, rate] = UNITS[unit];
  // As coarse as it is sure: a look that sees the same says the same.
  const left = Math.max(0, at - now);
  const step = left > hours(2) ? hours(1) : minutes(10);
  return `reaches ${limit} ${of} in ${span(Math.max(1, Math.round(left / step)) * step)} if it goes on like this (${Math.abs(perHour).toPrecision(2)} ${rate} an hour over ${fit})`;
};
