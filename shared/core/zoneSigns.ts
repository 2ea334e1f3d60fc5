/** What Steward sees of a zone by itself: starts that fail there, and answers that come late from there. Pure. */
import type { Point } from './forecast.ts';
import { hours, minutes, type Time } from './time.ts';
import type { Sign } from './zoneStates.ts';

/** A start of ours, of a task or of a host. */
export interface Start {
  readonly at: Time;
  readonly zone: string;
  /** Undefined: it succeeded. Else AWS's reason. */
  readonly failed?: string;
}

const RECENT = minutes(15);

/** Bad: two starts failed there lately and none succeeded since, while it is not the same everywhere: a missing image fails in all zones. */
export const launchSign = (zone: string, starts: readonly Start[], now: Time): Sign => {
  const recent = starts.filter((s) => s.at > now - RECENT && s.at <= now);
  const lastGood = Math.max(...recent.filter((s) => s.zone === zone && s.failed === undefined).map((s) => s.at));
  const failed = recent.filter((s) => s.zone === zone && s.failed !== undefined && s.at > lastGood);
  const elsewhere = recent.filter((s) => s.zone !== zone);
  const everywhere = elsewhere.length > 0 && elsewhere.every((s) => s.failed !== undefined);
  return failed.length >= 2 && !everywhere ? 'bad' : 'good';
};

/** Of whichever workload. */
export interface AnyStart extends Start {
  readonly workload: string;
}
/** The same of all workloads of an account; a single one's own fault (an image, a secret) is no sign: it must be several, or one that starts well elsewhere. */
export const launchSignOfAll = (zone: string, starts: readonly AnyStart[], now: Time): Sign => {
  if (launchSign(zone, starts, now) !== 'bad') return 'good';
  const recent = starts.filter((s) => s.at > now - RECENT && s.at <= now);
  const whose = new Set(recent.flatMap((s) => (s.zone === zone && s.failed !== undefined ? [s.workload] : [])));
  const fineElsewhere = recent.some((s) => s.zone !== zone && s.failed === undefined && whose.has(s.workload));
  return whose.size >= 2 || fineElsewhere ? 'bad' : 'good';
};

/** After a failed start a zone gets no more of this workload for so long; doubled with each failure since the last success. */
const CLOSED = minutes(15);
const MOST_CLOSED = hours(8);

/** Zones that are closed for a workload, with the reason; from its own starts, oldest first. */
export const closures = (starts: readonly Start[], now: Time): Record<string, string> => {
  const closed: Record<string, string> = {};
  for (const zone of new Set(starts.map((s) => s.zone))) {
    const own = starts.filter((s) => s.zone === zone && s.at <= now);
    const failed = own.slice(own.findLastIndex((s) => s.failed === undefined) + 1);
    const last = failed.at(-1);
    if (!last) continue;
    const until = last.at + Math.min(MOST_CLOSED, CLOSED * 2 ** (failed.length - 1));
    if (now < until)
      closed[zone] = `a start failed there (${last.failed}); it is tried again at ${new Date(until).toISOString()}`;
  }
  return closed;
};

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
};

/** Minutes of the past that make the measure, and the latest ones that are held against it. */
export const LATENCY_PAST = hours(3);
const LEAST_PAST = 30;
const LATEST = 3;
/** Robust deviations; and so much slower than before, in itself and against the others: 1.3 times. */
const FAR = 4;
const SLOWER = Math.log(1.3);

interface Compared {
  readonly at: Time;
  /** Logarithms: of itself, and of itself over the median of the others. */
  readonly own: number;
  readonly against: number;
}
const comparedOf = (zone: string, zones: Readonly<Record<string, readonly Point[]>>): Compared[] => {
  const others = Object.keys(zones)
    .filter((z) => z !== zone)
    .map((z) => new Map(zones[z]?.map((p) => [p.at, p.value])));
  return (zones[zone] ?? []).flatMap(({ at, value }) => {
    const same = others.flatMap((o) => o.get(at) ?? []).filter((v) => v > 0);
    return value > 0 && same.length > 0 ? [{ at, own: Math.log(value), against: Math.log(value / median(same)) }] : [];
  });
};

/**
 * A grey failure: the last three minutes are all far slower than the zone's own last hours, against the other zones in the same minute. That all zones are slow is no sign of one.
 * @param zones a latency (seconds, or any unit) each minute, by zone id
 */
export const latencySign = (zone: string, zones: Readonly<Record<string, readonly Point[]>>, now: Time): Sign => {
  const seen = comparedOf(zone, zones).filter((p) => p.at > now - LATENCY_PAST && p.at <= now);
  const latest = seen.slice(-LATEST);
  const past = seen.slice(0, -LATEST);
  if (past.length < LEAST_PAST || (latest[0]?.at ?? 0) < now - minutes(3 * LATEST)) return 'unknown';
  const far = (of: 'own' | 'against'): boolean => {
    const usual = median(past.map((p) => p[of]));
    const spread = 1.4826 * median(past.map((p) => Math.abs(p[of] - usual)));
    return latest.every((p) => p[of] - usual > Math.max(SLOWER, FAR * spread));
  };
  return far('own') && far('against') ? 'bad' : 'good';
};
