/** The planner's judge: every way to place the replicas, tried one by one. Also for the bench. */
import { type Bound, stopsOf, sum, targetOf } from '../../shared/core/zoneTarget.ts';

export interface Best {
  readonly squares: number;
  readonly stops: number;
}

export const squaresOf = (target: readonly number[]): number => sum(target.map((t) => t * t));

/** The least Σt², then the least Σ(count − t)⁺, of all t with least ≤ t ≤ most and Σt = desired; undefined: there is none. */
export const bruteForce = (bounds: readonly Bound[], desired: number): Best | undefined => {
  let [squares, stops] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const place = (i: number, left: number, sq: number, st: number): void => {
    const b = bounds[i];
    if (!b) {
      if (left === 0 && (sq < squares || (sq === squares && st < stops))) [squares, stops] = [sq, st];
      return;
    }
    for (let t = b.least; t <= Math.min(b.most, left); t++)
      place(i + 1, left - t, sq + t * t, st + Math.max(0, b.count - t));
  };
  place(0, desired, 0, 0);
  return Number.isFinite(squares) ? { squares, stops } : undefined;
};

/** Whether the water-fill is right. Where nothing fits it must give what is nearest: all the least, or all the most. */
export const isRight = (bounds: readonly Bound[], desired: number): boolean => {
  const target = targetOf(bounds, desired);
  const within = target.every((t, i) => t >= (bounds[i]?.least ?? 0) && t <= (bounds[i]?.most ?? 0));
  const best = bruteForce(bounds, desired);
  if (!best) {
    const low = sum(bounds.map((b) => b.least)) > desired;
    return within && target.every((t, i) => t === (low ? bounds[i]?.least : bounds[i]?.most));
  }
  const stops = stopsOf(
    bounds.map((b) => b.count),
    target,
  );
  return within && sum(target) === desired && squaresOf(target) === best.squares && stops === best.stops;
};

export interface Extent {
  readonly zones: number;
  readonly counts: number;
  readonly least: number;
  readonly most: number;
  readonly desired: number;
}

/** All instances within the extent, each once: zones are alike, so only their sorted combinations. `most` beyond the extent stands for no limit. */
export const instances = function* (extent: Extent): Generator<readonly [bounds: readonly Bound[], desired: number]> {
  const kinds: Omit<Bound, 'zone'>[] = [];
  for (let count = 0; count <= extent.counts; count++)
    for (let least = 0; least <= extent.least; least++) {
      for (let most = least; most <= extent.most; most++) kinds.push({ count, least, most, load: 0 });
      kinds.push({ count, least, most: Number.POSITIVE_INFINITY, load: 0 });
    }
  const combine = function* (from: number, bounds: readonly Bound[]): Generator<readonly Bound[]> {
    if (bounds.length === extent.zones) yield bounds;
    else
      for (let k = from; k < kinds.length; k++) {
        const kind = kinds[k];
        if (kind) yield* combine(k, [...bounds, { ...kind, zone: `az${bounds.length + 1}` }]);
      }
  };
  for (const bounds of combine(0, []))
    for (let desired = 0; desired <= extent.desired; desired++) yield [bounds, desired];
};

/** For the suite: 1.6 million instances, in about two seconds of a process of its own. */
export const SUITE: readonly Extent[] = [
  { zones: 2, counts: 5, least: 3, most: 5, desired: 10 },
  { zones: 3, counts: 4, least: 2, most: 5, desired: 10 },
  { zones: 4, counts: 2, least: 1, most: 2, desired: 7 },
  { zones: 5, counts: 2, least: 0, most: 2, desired: 8 },
];
/** For the bench. */
export const BENCH: readonly Extent[] = [
  { zones: 2, counts: 8, least: 5, most: 8, desired: 16 },
  { zones: 3, counts: 5, least: 2, most: 6, desired: 12 },
  { zones: 4, counts: 3, least: 1, most: 3, desired: 8 },
  { zones: 5, counts: 3, least: 0, most: 2, desired: 9 },
  { zones: 6, counts: 2, least: 0, most: 1, desired: 8 },
];

/** Whether the spread is right in each of them. */
export const judgeSpreads = (
  extents: readonly Extent[],
): { readonly instances: number; readonly mismatches: number } => {
  const found = { instances: 0, mismatches: 0 };
  for (const extent of extents)
    for (const [bounds, desired] of instances(extent)) {
      found.instances++;
      if (!isRight(bounds, desired)) found.mismatches++;
    }
  return found;
};
