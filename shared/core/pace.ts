/** Looks that are nobody's hurry, so many at a time that AWS throttles none of them. */
import type { Time } from './time.ts';

/** Who is to be looked at, from when on. */
export interface Ready {
  readonly id: string;
  readonly at: Time;
}
export interface Pace {
  readonly now: Time;
  /** A survey comes so often, and takes so many. */
  readonly every: Time;
  readonly most: number;
}

/**
 * Whose turn it is in the survey of now: in the order in which they became ready, so many in each. All of it follows from the times, so nothing needs to be
 * kept; where one has gone meanwhile, another may be passed over.
 */
export const inTurn = (ready: readonly Ready[], { now, every, most }: Pace): readonly string[] => {
  const current = Math.floor(now / every);
  const theirs: string[] = [];
  let turn = Number.NEGATIVE_INFINITY;
  let taken = 0;
  for (const { id, at } of [...ready].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))) {
    const first = Math.ceil(at / every);
    if (first > turn || taken === most) {
      turn = Math.max(first, turn + 1);
      taken = 0;
    }
    taken++;
    if (turn > current) break;
    if (turn === current) theirs.push(id);
  }
  return theirs;
};
