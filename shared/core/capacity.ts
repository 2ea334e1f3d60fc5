/** How many of something there are, what nobody goes below, and how that is raised and taken back. Pure. */

/** Part of a step, hence plain JSON. */
export type Level = {
  /** What nothing that scales by itself goes below. */
  readonly floor: number;
  /** What is wanted now. */
  readonly wanted: number;
};

export interface Capacity extends Level {
  /** 'asg/web', 'shop/web' */
  readonly name: string;
  readonly unit: 'instance' | 'task';
  /** Undefined: nothing says how many there may be. */
  readonly ceiling: number | undefined;
  /** In service, or running. */
  readonly there: number;
  /** Something scales it by itself above the floor: what is wanted is its affair. */
  readonly scaled: boolean;
}

export const levelOf = ({ floor, wanted }: Level): Level => ({ floor, wanted });

/** At least so many. Never lower than it is. */
export const raised = ({ floor, wanted }: Level, to: number): Level => ({
  floor: Math.max(floor, to),
  wanted: Math.max(wanted, to),
});

/** What is wanted after a change that was decided on when `from` was so, where `wanted` is by now: what else has moved it is right, as far as the floor lets it. */
export const settledAt = (wanted: number, { from, to }: { readonly from: Level; readonly to: Level }): number => {
  if (wanted === from.wanted) return to.wanted;
  return Math.max(wanted, to.wanted > from.wanted ? to.wanted : to.floor);
};

const STEP = 10;
/** A tenth of it at once, and at least one. */
const below = (floor: number): number => floor - Math.max(1, Math.floor(floor / STEP));

/**
 * One step down to a floor of `to`. What stands on the floor goes with it, slowly, and not below what was wanted before; what something else holds above the floor
 * stays where it is, so the floor is taken away at once. Of what scales by itself only the floor goes down, slowly too.
 */
export const lowered = (
  { floor, wanted, scaled }: Level & Pick<Capacity, 'scaled'>,
  former: Level,
  to: number,
): Level => {
  const next = below(floor);
  if (scaled) return { floor: Math.max(to, next), wanted };
  if (wanted > floor) return { floor: to, wanted };
  const bottom = Math.max(to, former.wanted);
  return next > bottom ? { floor: next, wanted: next } : { floor: to, wanted: Math.min(bottom, wanted) };
};

/** How many steps that takes at most. */
export const stepsDown = (from: number, to: number): number => {
  let steps = 1;
  for (let n = from; n > to; n = below(n)) steps++;
  return steps;
};
