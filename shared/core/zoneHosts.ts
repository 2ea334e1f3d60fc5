/** Which spread to aim at: with the hosts that are there, or with new ones where they save somebody. Pure. */
import { type Extra, limitOf, type Site, type Spread, type Standing, spreadOf } from './zoneBounds.ts';
import { sum, survivorsOf } from './zoneTarget.ts';

/** Plain JSON: part of a plan. */
export type HostAsk = { readonly pool: string; readonly zone: string; readonly count: number };

/**
 * First that all have a place, then that what should be emptied is (half emptied is not), then survivors. New hosts cost money, so evenness that saves nobody
 * is no reason for them.
 */
const rank = ({ target, short }: Spread, desired: number): readonly number[] => [
  Math.min(desired, sum(target)),
  short > 0 ? -1 : 0,
  survivorsOf(target),
];
const better = (a: Spread, b: Spread, desired: number): boolean => {
  const [one, other] = [rank(a, desired), rank(b, desired)];
  const i = one.findIndex((n, index) => n !== other[index]);
  return i >= 0 && (one[i] ?? 0) > (other[i] ?? 0);
};

export interface Choice {
  readonly spread: Spread;
  /** It counts on hosts that are not there yet. */
  readonly awaits: boolean;
  readonly hosts: readonly HostAsk[];
}

/** The fewest new hosts with which the most is reached: one after the other, each into the zone that lacks most. */
const withHosts = (standing: Standing, site: Site, now: Spread): Choice => {
  const { desired, pool } = standing.workload;
  const none = { spread: now, awaits: false, hosts: [] };
  if (pool === undefined || !now.limits.some((l) => l.lacksHosts)) return none;
  // It cannot be better than the even spread.
  if (!better({ limits: [], target: standing.even, short: 0 }, now, desired)) return none;
  const limitsWith = (extra: Extra) => standing.zones.map((_, i) => limitOf(standing, i, site, extra));
  const all = site.room.more(pool);
  const limits = limitsWith({ asked: true, more: 0 });
  const wish = spreadOf(
    limits.map((l, i) => (l.lacksHosts ? limitOf(standing, i, site, { asked: true, more: all }) : l)),
    desired,
  );
  if (!better(wish, now, desired)) return none;
  const added = limits.map(() => 0);
  let best = { spread: spreadOf(limits, desired), added: [...added] };
  for (let n = 0; n < all; n++) {
    const lacks = limits.map((l, i) => (l.lacksHosts ? (wish.target[i] ?? 0) - l.most : 0));
    const i = lacks.indexOf(Math.max(...lacks));
    if (!((lacks[i] ?? 0) > 0)) break;
    added[i] = (added[i] ?? 0) + 1;
    limits[i] = limitOf(standing, i, site, { asked: true, more: added[i] });
    const spread = spreadOf(limits, desired);
    if (better(spread, best.spread, desired)) best = { spread, added: [...added] };
  }
  if (!better(best.spread, now, desired)) return none;
  const hosts = best.added.flatMap((count, i) => (count > 0 ? [{ pool, zone: standing.zones[i] ?? '', count }] : []));
  return { spread: best.spread, awaits: true, hosts };
};

export const choiceOf = (standing: Standing, site: Site): Choice => {
  const limits = standing.zones.map((_, i) => limitOf(standing, i, site, { asked: false, more: 0 }));
  return withHosts(standing, site, spreadOf(limits, standing.workload.desired));
};
