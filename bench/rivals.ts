/**
 * What others do about uneven zones, written from their documents' words, for comparison.
 *
 * ECS ("Balancing an Amazon ECS service across Availability Zones"): when zones differ by more than one, it starts a task in the zone with the fewest, waits until it is
 * healthy, and stops one in the zone with the most. A task that finds no place is a placement failure, and ends it.
 *
 * Kubernetes descheduler (RemovePodsViolatingTopologySpreadConstraint, balancing of domains): domains sorted by size; from the largest to the smallest go as many as the
 * distance of either to the average (rounded up) allows, and half of what the two differ beyond the allowed skew; then the next pair. Evicted pods are taken as placed in the smaller one.
 */
export interface Zoned {
  readonly count: number;
  readonly stay: number;
  readonly free: number;
}
export interface Result {
  readonly counts: readonly number[];
  /** Tasks stopped. */
  readonly moves: number;
}

const indexOfLeast = (values: readonly number[]): number => values.indexOf(Math.min(...values));
const indexOfMost = (values: readonly number[]): number => values.indexOf(Math.max(...values));

export const ecsGreedy = (zones: readonly Zoned[]): Result => {
  const counts = zones.map((z) => z.count);
  for (let moves = 0; ; moves++) {
    const [least, most] = [indexOfLeast(counts), indexOfMost(counts)];
    const [to, from] = [zones[least], zones[most]];
    const [into, outOf] = [counts[least] ?? 0, counts[most] ?? 0];
    const placed = to !== undefined && into < to.count + to.free;
    const stoppable = from !== undefined && outOf > from.stay;
    if (outOf - into <= 1 || !placed || !stoppable) return { counts, moves };
    counts[least] = into + 1;
    counts[most] = outOf - 1;
  }
};

/** @param skew how far domains may differ */
export const descheduler = (sizes: readonly number[], skew = 1): Result => {
  const average = sizes.reduce((a, b) => a + b, 0) / sizes.length;
  const sorted = [...sizes].sort((a, b) => a - b);
  let [low, high, moves] = [0, sorted.length - 1, 0];
  while (low < high) {
    const [small, large] = [sorted[low] ?? 0, sorted[high] ?? 0];
    const apart = large - small;
    const give = Math.ceil(large - average);
    const go = Math.min(give, Math.ceil(average - small), Math.ceil((apart - skew) / 2));
    if (give <= 0) high--;
    else if (apart <= skew || go <= 0) low++;
    else {
      sorted[low] = small + go;
      sorted[high] = large - go;
      moves += go;
    }
  }
  return { counts: sorted, moves };
};
