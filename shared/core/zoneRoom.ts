/**
 * Where a zone still has room: hosts with what is free on them, addresses of its subnets, and the ramp of a zone that recovers. All workloads of a stack
 * share it. What one of them is to start is taken off at once; what it is to stop is not given back: so the plans of a stack may run in any order.
 */

/** By name: cpu, memory, 'port:8080' … A name that a host does not have is none of it. */
export type Resources = Readonly<Record<string, number>>;

export interface Host {
  readonly id: string;
  readonly pool: string;
  readonly zone: string;
  readonly free: Resources;
}
/** Hosts that are alike: a capacity provider, an Auto Scaling group. */
export interface Pool {
  readonly id: string;
  /** What one more host would offer. */
  readonly offers: Resources;
  /** How many more it may have, and why no more than that: 'web-hosts may have 6'. */
  readonly more: number;
  readonly limit: string;
  /** Zones in which it cannot launch at present, and why. */
  readonly closed?: Readonly<Record<string, string>>;
}
/** What one replica takes. */
export interface Tenant {
  /** Undefined: it needs no host of ours (Fargate; or it is a host itself). */
  readonly pool?: string;
  readonly needs?: Resources;
  /** It takes an address of the zone's subnets (awsvpc). */
  readonly addressed?: boolean;
}
interface ZoneRoom {
  readonly id: string;
  readonly addresses?: number;
  /** Starts that the whole stack may make there: the zone recovers. */
  readonly ramp?: number;
}

/** What is free, or needed, in the order of the names. */
type Amounts = Float64Array;

/** How often the needs fit into what is free. What cannot be read is no room. */
const timesIn = (free: Amounts, needs: Amounts): number => {
  let times = Number.POSITIVE_INFINITY;
  for (let i = 0; i < needs.length; i++) {
    const need = needs[i] ?? 0;
    if (need === 0) continue;
    const fits = Math.floor((free[i] ?? 0) / need);
    if (!(fits > 0)) return 0;
    if (fits < times) times = fits;
  }
  return times;
};

/** Of what has no limit nothing is taken. */
const lower = (left: Map<string, number>, zone: string, by: number): void => {
  const before = left.get(zone);
  if (before !== undefined) left.set(zone, before - by);
};

interface Place {
  readonly free: Amounts;
  /** Not there yet: it was asked for by another workload's plan. */
  readonly asked: boolean;
}

/** Which hosts count. `asked`: also those that a plan has asked for; `more`: and so many new ones. */
export interface Assumed {
  readonly asked?: boolean;
  readonly more?: number;
}

export interface Room {
  /** How many of these replicas fit into the zone, counted up to a limit. */
  fits(tenant: Tenant, zone: string, upTo: number, assumed?: Assumed): number;
  /** How many fit on one new host. */
  fitNew(tenant: Tenant): number;
  /** The caller has asked `fits` before. Those on hosts that are there come first. */
  take(tenant: Tenant, zone: string, count: number): void;
  /** Notes that new hosts are asked for. */
  ask(pool: string, zone: string, count: number): void;
  /** How many more hosts the pool may still have. */
  more(pool: string): number;
  /** Why no more fit, in words. */
  shortage(tenant: Tenant, zone: string): string;
}

const needsText = (needs: Resources): string =>
  Object.entries(needs)
    .filter(([, amount]) => amount > 0)
    .map(([name, amount]) => (name.startsWith('port:') ? `port ${name.slice(5)}` : `${amount} ${name}`))
    .join(', ');

export const createRoom = (
  zones: readonly ZoneRoom[],
  hosts: readonly Host[],
  pools: ReadonlyMap<string, Pool>,
): Room => {
  const names = new Map<string, number>();
  const learn = (resources: Resources): void => {
    for (const name of Object.keys(resources)) if (!names.has(name)) names.set(name, names.size);
  };
  const amountsOf = (resources: Resources): Amounts => {
    learn(resources);
    const amounts = new Float64Array(names.size);
    for (const [name, amount] of Object.entries(resources)) amounts[names.get(name) ?? 0] = amount;
    return amounts;
  };
  const demands = new Map<Tenant, Amounts>();
  const demandOf = (tenant: Tenant): Amounts => {
    const known = demands.get(tenant) ?? amountsOf(tenant.needs ?? {});
    demands.set(tenant, known);
    return known;
  };
  const places = new Map<string, Map<string, Place[]>>();
  const placesOf = (pool: string, zone: string): Place[] => {
    const zones = places.get(pool) ?? new Map<string, Place[]>();
    const found = zones.get(zone) ?? [];
    places.set(pool, zones.set(zone, found));
    return found;
  };
  for (const { pool, zone, free } of hosts) placesOf(pool, zone).push({ free: amountsOf(free), asked: false });
  const addresses = new Map(zones.flatMap((z) => (z.addresses === undefined ? [] : [[z.id, z.addresses] as const])));
  const ramps = new Map(zones.flatMap((z) => (z.ramp === undefined ? [] : [[z.id, z.ramp] as const])));
  const left = new Map([...pools].map(([id, pool]) => [id, pool.more]));

  const allowed = ({ addressed }: Tenant, zone: string): number =>
    Math.floor(
      Math.min(
        ramps.get(zone) ?? Number.POSITIVE_INFINITY,
        addressed ? (addresses.get(zone) ?? 0) : Number.POSITIVE_INFINITY,
      ),
    );
  const fitNew = (tenant: Tenant): number => {
    const offers = tenant.pool === undefined ? undefined : pools.get(tenant.pool)?.offers;
    return offers ? timesIn(amountsOf(offers), demandOf(tenant)) : 0;
  };
  const fitHosts = (tenant: Tenant, zone: string, upTo: number, { asked = false, more = 0 }: Assumed): number => {
    if (tenant.pool === undefined) return upTo;
    const needs = demandOf(tenant);
    let fits = more === 0 ? 0 : more * fitNew(tenant);
    for (const place of placesOf(tenant.pool, zone)) {
      if (fits >= upTo) break;
      if (asked || !place.asked) fits += timesIn(place.free, needs);
    }
    return Math.min(fits, upTo);
  };

  const occupy = ({ free }: Place, needs: Amounts, count: number): void => {
    for (let i = 0; i < needs.length; i++) if (needs[i] !== 0) free[i] = (free[i] ?? 0) - count * (needs[i] ?? 0);
  };
  return {
    fitNew,
    fits: (tenant, zone, upTo, assumed = {}) => {
      const most = Math.min(upTo, allowed(tenant, zone));
      return most > 0 ? fitHosts(tenant, zone, most, assumed) : 0;
    },
    take: (tenant, zone, count) => {
      lower(ramps, zone, count);
      if (tenant.addressed) lower(addresses, zone, count);
      const needs = demandOf(tenant);
      let rest = count;
      for (const place of tenant.pool === undefined ? [] : placesOf(tenant.pool, zone)) {
        if (rest === 0) break;
        const here = Math.min(rest, timesIn(place.free, needs));
        if (here > 0) occupy(place, needs, here);
        rest -= here;
      }
    },
    ask: (pool, zone, count) => {
      const free = pools.get(pool)?.offers ?? {};
      for (let n = 0; n < count; n++) placesOf(pool, zone).push({ free: amountsOf(free), asked: true });
      left.set(pool, (left.get(pool) ?? 0) - count);
    },
    more: (pool) => left.get(pool) ?? 0,
    shortage: (tenant, zone) => {
      if (ramps.has(zone)) return 'it recovers, and is filled in steps';
      if (tenant.addressed && !((addresses.get(zone) ?? 0) > 0)) return 'its subnets have no free address';
      if (tenant.pool === undefined) return 'it takes no more';
      if (placesOf(tenant.pool, zone).length === 0) return `it has no host of ${tenant.pool}`;
      return `its hosts of ${tenant.pool} have no room for more (each takes ${needsText(tenant.needs ?? {})})`;
    },
  };
};
