/** What each zone may hold of one workload, and why no more and no less. Pure. */

import type { Time } from './time.ts';
import type { Room, Tenant } from './zoneRoom.ts';
import { type Bound, sum, targetOf } from './zoneTarget.ts';

/** OK: may be used. SUSPECT: left as it is. IMPAIRED: nothing starts there, and it is emptied if the others have room. RECOVERING: filled in steps. */
export type ZoneState = 'OK' | 'SUSPECT' | 'IMPAIRED' | 'RECOVERING';

export interface Zone {
  /** The zone's id ('euc1-az1'): names differ between accounts. */
  readonly id: string;
  readonly state: ZoneState;
  readonly because?: string;
  /** Since when. */
  readonly since?: Time;
  /** IMPAIRED: nothing starts there, and nothing there is moved; and why not. */
  readonly left?: string;
  /** IMPAIRED: since when it is decided that workloads leave it. */
  readonly evacuated?: Time;
  /** Free addresses of the stack's subnets there, for what takes one. */
  readonly addresses?: number;
  /** RECOVERING: how many the whole stack may start there now. */
  readonly ramp?: number;
}

/** A healthy task of a service, or a healthy instance of a group. What is not healthy is not counted. */
export interface Replica {
  readonly id: string;
  readonly zone: string;
  /** Why it must not be moved: 'protected until 14:00', 'started 4 min ago', 'keeps its state on the host'. */
  readonly stays?: string;
}

/** A service's tasks, or a group's instances. */
export interface Workload extends Tenant {
  readonly id: string;
  readonly desired: number;
  /** That may run at once while they are exchanged: ⌊desired × maximumPercent / 100⌋ of a service, the maximum of a group. */
  readonly most: number;
  /** Ids of the zones that its subnets are in. */
  readonly zones: readonly string[];
  /** In each zone those that should go first come first. */
  readonly replicas: readonly Replica[];
  /** One at most in each zone: members of a database. Undefined: any number. */
  readonly mostPerZone?: number;
  /** Zones in which a start has failed lately, and why (`closures`). */
  readonly closed?: Readonly<Record<string, string>>;
  /** Why nothing may be moved now: a deployment, a lease, a freeze window. */
  readonly busy?: string;
  /** When something outside last changed what the plan rests on: desired count, deployment, hosts, state of a zone. */
  readonly changedAt?: Time;
}

/** A workload with its replicas counted: zones that it may use and zones that it is in, by id. */
export interface Standing {
  readonly workload: Workload;
  readonly zones: readonly string[];
  readonly counts: readonly number[];
  /** Reasons of those that stay. */
  readonly stays: readonly (readonly string[])[];
  /** The spread if nothing bound it. */
  readonly even: readonly number[];
}

const evenOf = ({ zones, desired }: Workload, seen: readonly string[], counts: readonly number[]): number[] =>
  targetOf(
    seen.map((zone, i) => ({
      zone,
      count: counts[i] ?? 0,
      least: 0,
      most: zones.includes(zone) ? Number.POSITIVE_INFINITY : 0,
      load: 0,
    })),
    desired > 0 ? desired : 0,
  );

export const standingOf = (workload: Workload): Standing => {
  const known = new Set(workload.zones);
  for (const { zone } of workload.replicas) known.add(zone);
  const zones = [...known].sort();
  const index = new Map(zones.map((zone, i) => [zone, i]));
  const counts = zones.map(() => 0);
  const stays: string[][] = zones.map(() => []);
  for (const { zone, stays: why } of workload.replicas) {
    const i = index.get(zone) ?? 0;
    counts[i] = (counts[i] ?? 0) + 1;
    if (why !== undefined) stays[i]?.push(why);
  }
  return { workload, zones, counts, stays, even: evenOf(workload, zones, counts) };
};

export interface Limit extends Bound {
  readonly leastBecause: () => string;
  readonly mostBecause: () => string;
  /** It lacks nothing but hosts, and its pool could launch some there. */
  readonly lacksHosts: boolean;
  /** It is to be emptied: impaired, or no zone of the workload. */
  readonly leave: boolean;
}

export interface Site {
  readonly zones: ReadonlyMap<string, Zone>;
  /** Replicas of all workloads. */
  readonly load: ReadonlyMap<string, number>;
  readonly room: Room;
  /** Why no new host of the pool may be launched there; undefined: one may. */
  readonly noLaunch: (pool: string, zone: string) => string | undefined;
}

/** Hosts beyond those that are there: asked for by plans before this one, and so many new ones in this zone. */
export interface Extra {
  readonly asked: boolean;
  readonly more: number;
}

const staysText = (reasons: readonly string[]): string => {
  const kinds = [...new Set(reasons)];
  return kinds.map((kind) => `${reasons.filter((r) => r === kind).length} ${kind}`).join(', ');
};

/** Why the zone's number stays what it is, whatever room there is. */
const frozenBecause = (zone: Zone | undefined): string | undefined => {
  if (!zone) return 'its state is not known';
  if (zone.state === 'IMPAIRED' && zone.left)
    return `it is impaired: ${zone.because ?? 'no reason was given'}; what it has stays there: ${zone.left}`;
  return zone.state === 'SUSPECT' ? `it is suspect: ${zone.because ?? 'no reason was given'}` : undefined;
};
const leaveBecause = (zone: Zone | undefined, { zones }: Workload): string | undefined => {
  if (zone && !zones.includes(zone.id)) return 'no subnet of it is configured';
  return zone?.state === 'IMPAIRED' ? `it is impaired: ${zone.because ?? 'no reason was given'}` : undefined;
};

/** Why new hosts do not help. Undefined: they would, and can be launched. Empty: hosts are not what it lacks. */
const noHostsBecause = (
  workload: Workload,
  zone: Zone | undefined,
  count: number,
  fits: number,
  { site, more }: { readonly site: Site; readonly more: number },
): string | undefined => {
  const { pool, desired } = workload;
  if (pool === undefined || zone?.state !== 'OK' || count + fits >= desired) return '';
  if (site.room.fitNew(workload) === 0) return `a new host of ${pool} would be too small for it`;
  const helps = site.room.fits(workload, zone.id, desired, { asked: true, more: more + 1 }) > fits;
  return helps ? site.noLaunch(pool, zone.id) : '';
};

/** What the zone's state, failed starts and the room there allow. */
const mostOf = (
  standing: Standing,
  i: number,
  site: Site,
  extra: Extra,
): Pick<Limit, 'most' | 'mostBecause' | 'leave' | 'lacksHosts'> => {
  const { workload, zones, counts, stays } = standing;
  const id = zones[i] ?? '';
  const [count, stay] = [counts[i] ?? 0, stays[i]?.length ?? 0];
  const zone = site.zones.get(id);
  const leave = leaveBecause(zone, workload);
  if (leave) return { most: stay, mostBecause: () => leave, leave: true, lacksHosts: false };
  const closed = workload.closed?.[id];
  if (closed) return { most: count, mostBecause: () => closed, leave: false, lacksHosts: false };
  const cap = workload.mostPerZone ?? Number.POSITIVE_INFINITY;
  // More than are wanted in all is no limit.
  const fits = site.room.fits(workload, id, Math.max(0, workload.desired - count), extra);
  const most = Math.max(stay, Math.min(cap, count + fits));
  if (most >= cap) return { most, mostBecause: () => `it may hold ${cap} at most`, leave: false, lacksHosts: false };
  const noHosts = noHostsBecause(workload, zone, count, fits, { site, more: extra.more });
  const mostBecause = () => [site.room.shortage(workload, id), noHosts].filter(Boolean).join(', and ');
  return { most, mostBecause, leave: false, lacksHosts: noHosts === undefined };
};

export const limitOf = (standing: Standing, i: number, site: Site, extra: Extra): Limit => {
  const zone = standing.zones[i] ?? '';
  const count = standing.counts[i] ?? 0;
  const load = site.load.get(zone) ?? 0;
  const frozen = frozenBecause(site.zones.get(zone));
  if (frozen) {
    const because = () => frozen;
    return {
      zone,
      count,
      load,
      least: count,
      most: count,
      leastBecause: because,
      mostBecause: because,
      leave: false,
      lacksHosts: false,
    };
  }
  const stays = standing.stays[i] ?? [];
  const { most, mostBecause, leave, lacksHosts } = mostOf(standing, i, site, extra);
  return {
    zone,
    count,
    load,
    least: stays.length,
    most,
    leastBecause: () => staysText(stays),
    mostBecause,
    leave,
    lacksHosts,
  };
};

export interface Spread {
  readonly limits: readonly Limit[];
  readonly target: readonly number[];
  /** Zones that should be emptied keep what they have: the others have no room for it. Their shortfall. */
  readonly short: number;
}

/** A zone is only emptied into room that is there for all that it holds; a bad zone beats no capacity. */
export const spreadOf = (limits: readonly Limit[], desired: number): Spread => {
  const short = Math.max(0, desired - sum(limits.map((l) => l.most)));
  const bounds = short === 0 ? limits : limits.map((l) => ({ ...l, most: Math.max(l.most, l.count) }));
  return {
    limits: bounds,
    target: targetOf(bounds, desired),
    short: limits.some((l) => l.leave && l.count > l.most) ? short : 0,
  };
};

/** What stands in the way of the even spread, in words: each zone whose number is another than the even one because of a limit. */
export const bindingText = ({ limits, target, short }: Spread, even: readonly number[]): string[] => [
  ...(short > 0
    ? [
        `${limits
          .filter((l) => l.leave && l.count > 0)
          .map((l) => l.zone)
          .join(' and ')} cannot be emptied: the other zones lack room for ${short}`,
      ]
    : []),
  ...limits.flatMap((l, i) => {
    const [to, wish] = [target[i] ?? 0, even[i] ?? 0];
    const unasked = l.lacksHosts ? ', and a new host for it would leave no more survivors' : '';
    if (to < wish && to === l.most) return [`${l.zone} gets no more than ${to}: ${l.mostBecause()}${unasked}`];
    if (to > wish && to === l.least && to > 0) return [`${l.zone} keeps ${to}: ${l.leastBecause()}`];
    return [];
  }),
];
