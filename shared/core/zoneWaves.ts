/** From one spread to another in waves: start first, stop only what has been replaced. Never fewer than wanted, never more than allowed. Pure. */
import { sum } from './zoneTarget.ts';

/** In the order of the zones. The stops come when all that was started is healthy. */
export interface CountedWave {
  readonly start: readonly number[];
  readonly stop: readonly number[];
}

/** Takes so many from the piles, always one from the highest: [3, 1] and 2 give [2, 0]. */
const fromHighest = (piles: readonly number[], count: number): number[] => {
  const left = [...piles];
  for (let taken = 0; taken < count; taken++) {
    const highest = left.indexOf(Math.max(...left));
    left[highest] = (left[highest] ?? 0) - 1;
  }
  return piles.map((p, i) => p - (left[i] ?? 0));
};

export interface Limits {
  readonly desired: number;
  /** Starts, and stops, of one wave. */
  readonly size: number;
  /** That may run at once; what runs already may exceed it. */
  readonly most: number;
}

/** Ends early, with what can be done, where `most` leaves no room to start before stopping. */
export const wavesOf = (counts: readonly number[], target: readonly number[], limits: Limits): CountedWave[] => {
  const waves: CountedWave[] = [];
  const now = [...counts];
  for (;;) {
    const missing = now.map((c, i) => Math.max(0, (target[i] ?? 0) - c));
    const surplus = now.map((c, i) => Math.max(0, c - (target[i] ?? 0)));
    const running = sum(now);
    const starts = Math.max(0, Math.min(limits.size, sum(missing), limits.most - running));
    const stops = Math.max(0, Math.min(limits.size, sum(surplus), running + starts - limits.desired));
    if (starts + stops === 0) return waves;
    const wave = { start: fromHighest(missing, starts), stop: fromHighest(surplus, stops) };
    for (const i of now.keys()) now[i] = (now[i] ?? 0) + (wave.start[i] ?? 0) - (wave.stop[i] ?? 0);
    waves.push(wave);
  }
};
