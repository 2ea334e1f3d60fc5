/**
 * How many replicas belong in each zone: bounded water-fill. Among all whole numbers t with least ≤ t ≤ most and Σt = desired it minimises first Σt² (the
 * evenest spread, and so the most that is left when a zone is lost), then Σ(count − t)⁺ (the fewest moves). test/core/zoneTarget.test.ts holds it against brute force.
 */

/** One zone as a workload may use it. `least` ≤ `most`; `most` may be Infinity. */
export interface Bound {
  readonly zone: string;
  /** Healthy there now. */
  readonly count: number;
  readonly least: number;
  readonly most: number;
  /** Replicas of the whole stack there. Between zones that are alike for the workload, the emptier one gets the next replica. */
  readonly load: number;
}

const within = (level: number, { least, most }: Bound): number => (level < least ? least : level > most ? most : level);

export const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const poured = (level: number, bounds: readonly Bound[]): number => {
  let total = 0;
  for (const b of bounds) total += within(level, b);
  return total;
};

/** The highest water level that does not pour out more than is wanted. */
const levelOf = (bounds: readonly Bound[], desired: number): number => {
  let [low, high] = [0, desired];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (poured(middle, bounds) <= desired) low = middle;
    else high = middle - 1;
  }
  return low;
};

/**
 * In the order of `bounds`. Where Σleast exceeds what is wanted it is `least`, where Σmost falls short of it it is `most`. Of zones that may get one above
 * the level, those that have it already come first: so a spread that is even stays as it is.
 */
export const targetOf = (bounds: readonly Bound[], desired: number): number[] => {
  const level = levelOf(bounds, desired);
  const target = bounds.map((b) => within(level, b));
  const rest = desired - sum(target);
  if (rest <= 0) return target;
  const has = ({ count }: Bound): number => (count > level ? 0 : 1);
  const above = bounds
    .filter((b) => b.least <= level && b.most > level)
    .sort((a, b) => has(a) - has(b) || a.load - b.load || (a.zone < b.zone ? -1 : 1));
  for (const b of above.slice(0, rest)) target[bounds.indexOf(b)] = level + 1;
  return target;
};

/** Stops on the way from one spread to the other: a lower bound for any way there, as one stop lowers the surplus by one at most. */
export const stopsOf = (counts: readonly number[], target: readonly number[]): number =>
  sum(counts.map((c, i) => Math.max(0, c - (target[i] ?? 0))));

/** What is left when the fullest zone is lost. */
export const survivorsOf = (counts: readonly number[]): number => sum(counts) - Math.max(0, ...counts);
