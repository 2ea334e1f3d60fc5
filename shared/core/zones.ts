/**
 * The zone planner: from what a stack looks like to what should move, wave by wave, or why nothing does. A pure function of a snapshot, its plan is plain JSON.
 *
 * For each workload by itself (proofs: test/core/zones.test.ts, against brute force): the evenest spread within the limits, with the fewest moves; at most ⌈moves / wave⌉ waves; never
 * fewer than wanted, never more than allowed; planning again afterwards moves nothing; and, where no limit binds, losing any zone leaves desired − ⌈desired / zones⌉.
 * Workloads share the room in the order of what they would lose with a zone.
 */

import { hours, iso, span, type Time } from './time.ts';
import { plural } from './words.ts';
import { bindingText, type Site, type Standing, standingOf, type Workload, type Zone } from './zoneBounds.ts';
import { type Choice, choiceOf, type HostAsk } from './zoneHosts.ts';
import { createRoom, type Host, type Pool } from './zoneRoom.ts';
import { stopsOf, sum, survivorsOf } from './zoneTarget.ts';
import { wavesOf } from './zoneWaves.ts';

/** A wave of Steward's own that has ended: what it left behind. */
export interface Moved {
  readonly workload: string;
  readonly at: Time;
  readonly desired: number;
  readonly from: readonly string[];
  readonly into: readonly string[];
  /** Healthy replicas by zone, counted after it. */
  readonly left: Readonly<Record<string, number>>;
}

/** What is known at one moment of workloads that share hosts, addresses and zones. */
export interface Stack {
  readonly now: Time;
  readonly zones: readonly Zone[];
  readonly hosts: readonly Host[];
  readonly pools: readonly Pool[];
  readonly workloads: readonly Workload[];
  readonly history: readonly Moved[];
  /** A practice run of zonal autoshift is under way, and what is known of it: nothing is done meanwhile. */
  readonly practice?: string;
  /** Percent of a workload that one wave may exchange, at least one replica. */
  readonly wavePercent: number;
}

export type Wave = {
  /** By zone id. First these are started and must be healthy … */
  readonly start: Readonly<Record<string, number>>;
  /** … then these ids are stopped. */
  readonly stop: Readonly<Record<string, readonly string[]>>;
};
export type ZonePlan = {
  readonly zone: string;
  readonly before: number;
  readonly after: number;
  readonly stay: number;
};

export type Plan = {
  readonly workload: string;
  readonly desired: number;
  /**
   * nothing: it is as it should be. wait: it is not, and nothing can be done about it now. hosts: these hosts first, then the waves. move: the waves. stop: it needs a person.
   */
  readonly do: 'nothing' | 'wait' | 'hosts' | 'move' | 'stop';
  readonly because: string;
  /** What a person can do; of `stop`. */
  readonly remedy?: string;
  readonly zones: readonly ZonePlan[];
  /** Replicas left when the fullest zone is lost. */
  readonly survivors: { readonly before: number; readonly after: number };
  readonly hosts: readonly HostAsk[];
  readonly waves: readonly Wave[];
};

/** Beyond any quota (ECS: 5,000 tasks a service): such a count is a mistake. */
const MOST_REPLICAS = 100_000;
const OWN_MEMORY = hours(24);

const ofZones = (numbers: readonly number[], zones: readonly string[]): string =>
  zones.map((zone, i) => `${zone} ${numbers[i] ?? 0}`).join(', ');

type Say = Pick<Plan, 'do' | 'because' | 'remedy'>;
const still = ({ workload, zones, counts, stays }: Standing, say: Say): Plan => ({
  workload: workload.id,
  desired: workload.desired,
  ...say,
  zones: zones.map((zone, i) => ({ zone, before: counts[i] ?? 0, after: counts[i] ?? 0, stay: stays[i]?.length ?? 0 })),
  survivors: { before: survivorsOf(counts), after: survivorsOf(counts) },
  hosts: [],
  waves: [],
});

/** Why nothing of the whole stack is moved. */
const stackStill = ({ zones, practice }: Stack): Say | undefined => {
  if (practice !== undefined) return { do: 'wait', because: `a practice run is under way: ${practice}` };
  const bad = zones.filter((z) => z.state === 'IMPAIRED');
  if (bad.length < 2) return undefined;
  return {
    do: 'stop',
    because: `${bad.map((z) => z.id).join(' and ')} look impaired at once: one cause, or wrong signs; nothing is moved`,
    remedy:
      'look at the zones yourself (AWS Health, the load balancer’s targets by zone); Steward moves again when one of them is left',
  };
};

const readable = ({ desired, most, mostPerZone = 0 }: Workload): boolean =>
  Number.isInteger(desired) && desired >= 0 && desired <= MOST_REPLICAS && most >= 0 && Number.isInteger(mostPerZone);

/** Why nothing of this workload is moved, whatever its spread. */
const workloadStill = ({ workload, counts, zones: seen }: Standing): Say | undefined => {
  const { desired, most, zones, busy } = workload;
  if (!readable(workload))
    return { do: 'wait', because: `its counts cannot be read: ${desired} wanted, ${most} at most` };
  if (busy !== undefined) return { do: 'wait', because: busy };
  if (desired === 0 && sum(counts) === 0) return { do: 'nothing', because: 'none is wanted' };
  const [only] = zones;
  if (only === undefined) return { do: 'wait', because: 'the zones of its subnets are not known' };
  if (seen.length > 1) return undefined;
  return {
    do: 'nothing',
    because: `its subnets are in one zone, ${only}: nothing is left when that is lost, until it gets a subnet in another`,
  };
};

/** What an own wave of the last day did, and someone undid: the way is the same again, and nothing outside has changed. */
const undone = (standing: Standing, target: readonly number[], { history, now }: Stack): Moved | undefined => {
  const { workload, zones, counts } = standing;
  const at = (zone: string): number => counts[zones.indexOf(zone)] ?? 0;
  const goes = (zone: string): number => target[zones.indexOf(zone)] ?? 0;
  return history.find(
    (m) =>
      m.workload === workload.id &&
      m.desired === workload.desired &&
      m.at > now - OWN_MEMORY &&
      m.at >= (workload.changedAt ?? Number.NEGATIVE_INFINITY) &&
      m.from.some((z) => at(z) > (m.left[z] ?? 0) && goes(z) < at(z)) &&
      m.into.some((z) => at(z) < (m.left[z] ?? 0) && goes(z) > at(z)),
  );
};

/** Counts into ids: those that stay are left out, the rest goes in the caller's order. */
const withIds = ({ workload, zones }: Standing, counted: ReturnType<typeof wavesOf>): Wave[] => {
  const leaving = new Map<string, string[]>();
  for (const [i, zone] of zones.entries()) if (counted.some(({ stop }) => stop[i])) leaving.set(zone, []);
  for (const r of workload.replicas) if (r.stays === undefined) leaving.get(r.zone)?.push(r.id);
  const next = (zone: string, count: number): string[] => leaving.get(zone)?.splice(0, count) ?? [];
  const some = <V>(numbers: readonly number[], of: (zone: string, n: number) => V): Record<string, V> => {
    const entries: [string, V][] = [];
    for (const [i, n] of numbers.entries()) if (n > 0) entries.push([zones[i] ?? '', of(zones[i] ?? '', n)]);
    return Object.fromEntries(entries);
  };
  return counted.map(({ start, stop }) => ({ start: some(start, (_, n) => n), stop: some(stop, next) }));
};

const headline = (before: number, after: number, desired: number): string =>
  `losing any zone leaves ${before} of ${desired}${before === after ? '' : ` now, ${after} then`}`;

/** It stands where the choice wants it. */
const settled = (standing: Standing, { spread }: Choice, site: Site): Say => {
  const { workload, zones, counts, even } = standing;
  const left = survivorsOf(counts);
  const best = survivorsOf(even);
  const whole = sum(counts) >= workload.desired;
  const kept = zones.flatMap((zone, i) => {
    const why = site.zones.get(zone)?.left;
    return why !== undefined && (counts[i] ?? 0) > 0 ? [`; ${zone} is impaired, and what it has stays: ${why}`] : [];
  });
  const said = `${ofZones(counts, zones)}: ${headline(left, left, workload.desired)}${kept.join('')}`;
  if (whole && spread.short === 0 && left >= best) return { do: 'nothing', because: said };
  const better = whole && left < best ? [`${best} if it were even`] : [];
  const lacks = whole ? [] : [`only ${sum(counts)} of ${workload.desired} have a place`];
  return { do: 'wait', because: [[said, ...better, ...lacks].join(', '), ...bindingText(spread, even)].join('; ') };
};

/** Steward moved it this way lately, and someone moved it back. */
const contested = ({ at, from, into }: Moved, now: Time): Say => ({
  do: 'stop',
  because: `Steward moved replicas from ${from.join(', ')} into ${into.join(', ')} ${span(now - at)} ago (${iso(at)}), and something has moved them back`,
  remedy:
    'find what else places them (AZRebalance of the group, a placement constraint, a deployment tool) and end one of the two',
});

const hostsText = (hosts: readonly HostAsk[]): string =>
  hosts.map(({ pool, zone, count }) => `${plural(count, 'host')} of ${pool} in ${zone}`).join(', ');

/** At least one, whatever was given as a share. */
const sizeOf = ({ desired, most }: Workload, percent: number): number =>
  Math.max(1, Math.min(Math.floor((percent / 100) * desired), most - desired) || 1);

const planOf = (standing: Standing, stack: Stack, site: Site): Plan => {
  const quiet = workloadStill(standing);
  if (quiet) return still(standing, quiet);
  const { workload, zones, counts, stays } = standing;
  const { desired } = workload;
  const most = Math.floor(workload.most);
  const choice = choiceOf(standing, site);
  const { target } = choice.spread;
  if (target.every((t, i) => t === counts[i])) return still(standing, settled(standing, choice, site));
  const moved = undone(standing, target, stack);
  if (moved) return still(standing, contested(moved, stack.now));

  const size = sizeOf(workload, stack.wavePercent);
  const counted = wavesOf(counts, target, { desired, most, size });
  if (counted.length === 0)
    return still(standing, {
      do: 'wait',
      because: `${ofZones(counts, zones)}: ${plural(stopsOf(counts, target), 'move')} would make it ${ofZones(target, zones)}, but no more than ${most} may run at once, so none can start before another stops`,
    });
  const after = counts.map((c, i) => counted.reduce((n, w) => n + (w.start[i] ?? 0) - (w.stop[i] ?? 0), c));
  const survivors = { before: survivorsOf(counts), after: survivorsOf(after) };
  const limits = bindingText(choice.spread, standing.even);

  for (const { pool, zone, count } of choice.hosts) site.room.ask(pool, zone, count);
  for (const [i, t] of target.entries()) {
    const starts = t - (counts[i] ?? 0);
    if (starts > 0) site.room.take(workload, zones[i] ?? '', starts);
  }
  const what = `${headline(survivors.before, survivors.after, desired)}: ${plural(sum(counted.flatMap((w) => w.start)), 'start')} and ${plural(sum(counted.flatMap((w) => w.stop)), 'stop')} in ${plural(counted.length, 'wave')}`;
  const first =
    choice.hosts.length > 0
      ? `${hostsText(choice.hosts)} first`
      : 'first the hosts that other workloads of the stack ask for';
  const because = [...(choice.awaits ? [first] : []), what, ...limits].join('; ');
  if (choice.awaits && choice.hosts.length === 0) return still(standing, { do: 'wait', because });
  return {
    workload: workload.id,
    desired,
    do: choice.awaits ? 'hosts' : 'move',
    because,
    zones: zones.map((zone, i) => ({
      zone,
      before: counts[i] ?? 0,
      after: after[i] ?? 0,
      stay: stays[i]?.length ?? 0,
    })),
    survivors,
    hosts: choice.hosts,
    waves: withIds(standing, counted),
  };
};

const siteOf = ({ zones, hosts, pools }: Stack, standings: readonly Standing[]): Site => {
  const byId = new Map(pools.map((p) => [p.id, p]));
  const room = createRoom(zones, hosts, byId);
  const load = new Map<string, number>();
  for (const s of standings)
    for (const [i, zone] of s.zones.entries()) load.set(zone, (load.get(zone) ?? 0) + (s.counts[i] ?? 0));
  const noLaunch = (id: string, zone: string): string | undefined => {
    const pool = byId.get(id);
    if (!pool) return `nothing is known of ${id}`;
    return pool.closed?.[zone] ?? (room.more(id) > 0 ? undefined : pool.limit);
  };
  return { zones: new Map(zones.map((z) => [z.id, z])), load, room, noLaunch };
};

/** One plan for each workload; those first that a lost zone would hurt most. All of them may run at the same time, as far as room goes. */
export const planZones = (stack: Stack): Plan[] => {
  const standings = stack.workloads.map(standingOf);
  const quiet = stackStill(stack);
  if (quiet) return standings.map((s) => still(s, quiet));
  const site = siteOf(stack, standings);
  const lost = (s: Standing): number =>
    s.workload.desired > 0 ? (Math.max(0, ...s.counts) - Math.max(0, ...s.even)) / s.workload.desired : 0;
  return standings
    .map((s) => ({ s, lost: lost(s) }))
    .sort((a, b) => b.lost - a.lost || (a.s.workload.id < b.s.workload.id ? -1 : 1))
    .map(({ s }) => planOf(s, stack, site));
};
