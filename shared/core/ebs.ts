/** What AWS says of EBS volumes, as numbers. Sources beside each; prices as of November 2026. */
import { lineThrough, type Point } from './forecast.ts';
import { hours } from './time.ts';

const GIB = 2 ** 30;
export const gib = (bytes: number): number => bytes / GIB;
export const bytesOf = (giB: number): number => giB * GIB;

/** Largest size in GiB by type. Source: "Amazon EBS volume types", EC2 user guide. gp3 and io2 reach 64 TiB. */
const MAX_GIB: Readonly<Record<string, number>> = {
  gp2: 16_384,
  gp3: 65_536,
  io1: 16_384,
  io2: 65_536,
  st1: 16_384,
  sc1: 16_384,
  standard: 1_024,
};
export const maxGiB = (type: string): number => MAX_GIB[type] ?? 1_024;

/** US dollars per GiB and month, us-east-1. Source: EBS pricing page. */
const BASE_PRICE: Readonly<Record<string, number>> = {
  gp2: 0.1,
  gp3: 0.08,
  io1: 0.125,
  io2: 0.125,
  st1: 0.045,
  sc1: 0.015,
  standard: 0.05,
};
/** Price of a region over us-east-1, rounded up. A region that is not listed is taken as the dearest (sa-east-1): a cap may refuse too early, never too late. */
const REGION_FACTOR: Readonly<Record<string, number>> = {
  'us-east-1': 1,
  'us-east-2': 1,
  'us-west-2': 1,
  'eu-west-1': 1.1,
  'eu-north-1': 1.05,
  'eu-central-1': 1.19,
};
const DEAREST = 1.9;

/** NaN for a type whose price is not known: the cost guard then refuses. */
export const usdPerMonth = (type: string, giB: number, region: string): number =>
  (BASE_PRICE[type] ?? Number.NaN) * (REGION_FACTOR[region] ?? DEAREST) * giB;

/** The forecast looks so far ahead: RDS storage autoscaling uses seven hours as well. */
const FORECAST_HOURS = 7;
/** At least so much, in GiB and as a part of the size: as RDS storage autoscaling adds. */
const LEAST_GIB = 10;
const LEAST_PART = 0.1;
/** After growth the file system stands so many percent points under the limit, else the next alarm is minutes away. */
const MARGIN_POINTS = 5;

/**
 * The size to grow a volume to, in whole GiB: max(10 GiB, 10 %, seven hours of growth) more, and enough to bring the use of the file
 * system well under its limit. Not yet capped.
 */
export const wantedGiB = (now: {
  sizeGiB: number;
  usedBytes: number;
  fileSystemBytes: number;
  limitPercent: number;
  bytesPerHour: number | undefined;
}): number => {
  const forecast = gib(Math.max(0, now.bytesPerHour ?? 0) * FORECAST_HOURS);
  const added = Math.max(LEAST_GIB, now.sizeGiB * LEAST_PART, forecast);
  const relief = gib(now.usedBytes / ((now.limitPercent - MARGIN_POINTS) / 100) - now.fileSystemBytes);
  return Math.ceil(now.sizeGiB + Math.max(added, relief));
};

/** A forecast of seven hours from a shorter time than this would be a guess: one jump would be taken for a slope. */
const LEAST_SPAN = hours(1);

/** In units per hour: one clean-up or one burst does not bend it. Undefined with under 5 points, or within an hour. */
export const growthPerHour = (points: readonly Point[]): number | undefined =>
  points.length < 5 || (points.at(-1)?.at ?? 0) - (points[0]?.at ?? 0) < LEAST_SPAN
    ? undefined
    : lineThrough(points)?.slope;
