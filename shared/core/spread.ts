/** A service and its cluster as the zone planner takes them (`zones.ts`): who may move, where there is room, and why not elsewhere. Pure. */
import { type ContainerInstance, type ContainerTask, isServerless, type TaskShape } from './containers.ts';
import type { ScalingGroup } from './groups.ts';
import type { Issues } from './issues.ts';
import type { Subnet } from './ports.ts';
import type { Kind, Told } from './remediation.ts';
import type { Picture, ServiceView } from './services.ts';
import { iso, minutes, span, type Time } from './time.ts';
import { plural } from './words.ts';
import type { Replica, Workload, Zone } from './zoneBounds.ts';
import type { Host, Pool, Resources } from './zoneRoom.ts';
import { zoneAt } from './zoneShifts.ts';
import { closures, type Start } from './zoneSigns.ts';
import type { Moved, Stack } from './zones.ts';

/** Names of zones → their ids: names differ between accounts. */
export type ZoneIds = Readonly<Record<string, string>>;
export const zoneIdOf = (zones: ZoneIds, name: string): string => zones[name] ?? name;
/** How many there are in each zone that has any, by id. */
export const countByZone = (
  placed: readonly { readonly zone: string }[],
  zones: ZoneIds,
): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const { zone } of placed) {
    const id = zoneIdOf(zones, zone);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
};

/** The Auto Scaling group that a cluster's hosts are of, or why none can be asked for more of them. */
export type HostSource = { readonly group: ScalingGroup } | { readonly none: string };

export interface Scene {
  readonly view: ServiceView;
  readonly picture: Picture;
  readonly zones: ZoneIds;
  /** That its tasks take their addresses from; of tasks without their own, those of the group of their hosts. */
  readonly subnets: readonly Subnet[];
  readonly source: HostSource;
  /** Undefined: its definition cannot be described; then no room is known. */
  readonly shape: TaskShape | undefined;
  /** Until when its tasks must not be scaled in. */
  readonly protections: Readonly<Record<string, Time>>;
  readonly states: readonly Zone[];
}

/** What Steward itself did to it. */
export interface Own {
  /** So many are wanted: before a wave that is under way. */
  readonly desired: number;
  readonly starts: readonly Start[];
  readonly launches: readonly Start[];
  readonly history: readonly Moved[];
  /** Until when a protection may be our own. */
  readonly protectedUntil: Time;
  readonly wavePercent: number;
}

/** A younger task stays: whether it is well is not known yet. */
export const YOUNG = minutes(10);

const staysBecause = (task: ContainerTask, { protections }: Scene, own: Own, now: Time): string | undefined => {
  const until = protections[task.arn];
  if (until !== undefined && until > now && until > own.protectedUntil) return `protected until ${iso(until)}`;
  const age = now - (task.startedAt ?? now);
  return age < YOUNG ? `younger than ${span(YOUNG)}` : undefined;
};

/** Those on the host with most of them go first, then the oldest. */
const replicasOf = (scene: Scene, own: Own, now: Time): Replica[] => {
  const on = new Map<string | undefined, number>();
  for (const t of scene.picture.serving) on.set(t.containerInstance, (on.get(t.containerInstance) ?? 0) + 1);
  const beside = (t: ContainerTask): number => on.get(t.containerInstance) ?? 0;
  return [...scene.picture.serving]
    .sort((a, b) => beside(b) - beside(a) || a.createdAt - b.createdAt)
    .map((t) => {
      const stays = staysBecause(t, scene, own, now);
      return { id: t.arn, zone: zoneIdOf(scene.zones, t.zone), ...(stays === undefined ? {} : { stays }) };
    });
};

/** Nothing of its zones is for Steward to move, whatever they are. */
export const untouchable = ({ service }: Pick<ServiceView, 'service'>): string | undefined => {
  if (service.controller !== 'ECS') return `${service.controller} deploys it, not ECS`;
  const tied = service.constraints.find((c) => /availability-zone/.test(c));
  return tied === undefined ? undefined : `its placement constraint ties it to zones (${tied})`;
};

export const isDeploying = ({ service }: Pick<ServiceView, 'service'>): boolean =>
  service.deployments.length > 1 || service.deployments.some((d) => d.rollout === 'IN_PROGRESS');

/** What does not serve is where nothing is to be: it has its place elsewhere to get. */
const lacksOnlyThere = ({ picture, states, zones }: Scene): boolean => {
  const left = new Set(states.filter(isEvacuated).map((z) => z.id));
  return picture.wanted.every((t) => picture.serving.includes(t) || left.has(zoneIdOf(zones, t.zone)));
};

/** It is decided that workloads leave it, and it is still bad. */
export const isEvacuated = ({ state, evacuated }: Zone): boolean => state === 'IMPAIRED' && evacuated !== undefined;

const busyBecause = (scene: Scene, own: Own): string | undefined => {
  const { view, picture } = scene;
  const fixed = untouchable(view);
  if (fixed !== undefined) return fixed;
  if (isDeploying(view)) return 'a deployment of it is under way';
  if (view.service.deployments.some((d) => d.rollout === 'FAILED')) return 'its last deployment has failed';
  const lacking = own.desired - picture.serving.length;
  // What it lacks may find a place on new hosts; till then nothing is moved.
  return lacking > 0 && picture.wanted.length >= own.desired && !lacksOnlyThere(scene)
    ? `only ${picture.serving.length} of ${plural(own.desired, 'task')} serve`
    : undefined;
};

/** What one task takes of a host, by name. */
const needsOf = ({ view, shape }: Scene): Resources => ({
  cpu: shape?.room.cpu ?? Number.POSITIVE_INFINITY,
  memory: shape?.room.memory ?? Number.POSITIVE_INFINITY,
  ...Object.fromEntries((shape?.hostPorts ?? []).map((p) => [`port:${p}`, 1])),
  ...(view.service.constraints.includes('distinctInstance') ? { 'place of its own': 1 } : {}),
});

/** Those of its capacity providers, if it names any. */
export const hostsOf = ({
  service,
  instances,
}: Pick<ServiceView, 'service' | 'instances'>): readonly ContainerInstance[] =>
  instances.filter(
    (i) =>
      i.status === 'ACTIVE' &&
      i.connected &&
      (service.providers.length === 0 || (i.provider !== undefined && service.providers.includes(i.provider))),
  );

const hostOf = (instance: ContainerInstance, { zones, view, picture, shape }: Scene): Host => ({
  id: instance.instance,
  pool: view.service.cluster,
  zone: zoneIdOf(zones, instance.zone),
  free: {
    ...instance.free,
    ...Object.fromEntries((shape?.hostPorts ?? []).map((p) => [`port:${p}`, instance.ports.includes(p) ? 0 : 1])),
    'place of its own': picture.wanted.some((t) => t.containerInstance === instance.arn) ? 0 : 1,
  },
});

/** In these zones the group would itself undo one host more: by AZRebalance. */
export const foughtOver = (
  { instances, suspended, name }: ScalingGroup,
  zones: ZoneIds,
  usable: Iterable<string>,
): Record<string, string> => {
  if (suspended.includes('AZRebalance')) return {};
  const none = Object.fromEntries([...usable].map((zone) => [zone, 0]));
  const counts = { ...none, ...countByZone(instances, zones) };
  const least = Math.min(...Object.values(counts));
  return Object.fromEntries(
    Object.entries(counts)
      .filter(([, n]) => n > least)
      .map(([zone]) => [zone, `AZRebalance of ${name} would take a host there away again`]),
  );
};

const poolOf = (scene: Scene, own: Own, now: Time): Pool => {
  const { view, source, zones, subnets } = scene;
  const hosts = hostsOf(view);
  const smallest = [...hosts].sort((a, b) => a.whole.memory - b.whole.memory)[0]?.whole;
  const offers: Resources = {
    ...(smallest ?? {}),
    ...Object.fromEntries((scene.shape?.hostPorts ?? []).map((p) => [`port:${p}`, 1])),
    'place of its own': 1,
  };
  const id = view.service.cluster;
  if ('none' in source) return { id, offers, more: 0, limit: source.none };
  const { group } = source;
  const held = launchHeld(group);
  const here = new Set(subnets.map((s) => s.zoneId));
  const outside = Object.values(zones).filter((z) => !here.has(z));
  return {
    id,
    offers,
    more: held === undefined ? Math.max(0, group.max - group.desired) : 0,
    limit: held ?? `${group.name} may have ${group.max}`,
    closed: {
      ...Object.fromEntries(outside.map((z) => [z, `${group.name} has no subnet there`])),
      ...foughtOver(group, zones, here),
      ...closures(own.launches, now),
    },
  };
};

/** Why a group launches none now; undefined: it would. */
export const launchHeld = ({ name, noLaunch, suspended }: ScalingGroup): string | undefined =>
  noLaunch !== undefined
    ? `${name} launches none in a zone of our choice: ${noLaunch}`
    : suspended.includes('Launch')
      ? `${name} has suspended Launch`
      : undefined;

/** Zones with the free addresses of these subnets. */
const withAddresses = (states: readonly Zone[], subnets: readonly Subnet[]): Zone[] =>
  states.map((z) => ({
    ...z,
    addresses: subnets.filter((s) => s.zoneId === z.id).reduce((sum, s) => sum + s.free, 0),
  }));

const BY_FARGATE =
  'Fargate starts tasks in the zone that has the fewest, which this would be; to empty it, take its subnet there from the service: that is a deployment';

/** Where the zones are evacuated from which nothing of it can be led away, it stays. */
const leftBy = (states: readonly Zone[], why: string | undefined): readonly Zone[] =>
  why === undefined ? states : states.map((z) => (isEvacuated(z) && !z.left ? { ...z, left: why } : z));

/** The last change of a zone's state, of those that are not as ever. */
export const statesSince = (states: readonly Zone[], used: readonly string[]): Time =>
  Math.max(0, ...states.flatMap((z) => (used.includes(z.id) ? (z.since ?? 0) : 0)));

/** The service by itself: what others of its cluster are to start is not known to it, and ECS's next word on room is the last. */
export const stackOf = (scene: Scene, own: Own, now: Time): Stack => {
  const { view, subnets } = scene;
  const { service } = view;
  const onHosts = !isServerless(service);
  const states = leftBy(scene.states, onHosts ? undefined : BY_FARGATE);
  const zones = [...new Set(subnets.map((s) => s.zoneId))];
  const busy = busyBecause(scene, own);
  const primary = scene.picture.primary;
  const workload: Workload = {
    id: service.name,
    desired: own.desired,
    most: Math.floor((own.desired * service.maximumPercent) / 100),
    zones,
    replicas: replicasOf(scene, own, now),
    closed: closures(own.starts, now),
    ...(onHosts ? { pool: service.cluster, needs: needsOf(scene) } : {}),
    ...(service.subnets.length > 0 ? { addressed: true } : {}),
    ...(busy === undefined ? {} : { busy }),
    changedAt: Math.max(primary?.createdAt ?? 0, statesSince(states, zones)),
  };
  return {
    now,
    zones: withAddresses(states, subnets),
    hosts: onHosts ? hostsOf(view).map((i) => hostOf(i, scene)) : [],
    pools: onHosts ? [poolOf(scene, own, now)] : [],
    workloads: [workload],
    history: own.history,
    wavePercent: own.wavePercent,
  };
};

/** Zones by what ARC told of them and AWS Health says. @param waves how the workload's own into them ended: a zone that recovers is filled by them */
export const statesOf = (
  zones: ZoneIds,
  {
    issues,
    told,
    waves,
    of,
  }: { issues: Issues; told: Readonly<Record<string, Told>>; waves: readonly Start[]; of: Kind },
  now: Time,
): Zone[] =>
  Object.entries(zones).map(([name, id]) => {
    const issue = 'unknown' in issues ? null : issues.find((i) => i.zone === name || i.zone === id);
    const { shifts = [], evacuated } = told[id] ?? {};
    return zoneAt(id, { issue, waves, shifts, evacuated: evacuated?.[of] }, now);
  });

/** Whether its tasks are spread worse than they could be: what a survey asks. `zones`: of how many it may use. */
export const isUneven = (tasks: readonly Pick<ContainerTask, 'zone'>[], desired: number, zones: number): boolean => {
  if (zones < 2 || desired < 2) return false;
  return Math.max(0, ...Object.values(countByZone(tasks, {}))) > Math.ceil(desired / zones);
};

// ---- Auto Scaling groups ------------------------------------------------------------------------------------------------------------------

/** An Auto Scaling group whose instances serve by themselves. */
export interface GroupScene {
  readonly group: ScalingGroup;
  readonly zones: ZoneIds;
  readonly subnets: readonly Subnet[];
  /** Ids of those that are in service, healthy, and healthy to each of its load balancers. */
  readonly serving: ReadonlySet<string>;
  readonly states: readonly Zone[];
  readonly refreshing: boolean;
}

/** By AWS's word somebody is at work on it, or it cannot be asked. */
export const groupBusy = ({ group, refreshing, serving }: GroupScene): string | undefined => {
  const { suspended, instances, desired } = group;
  if (refreshing) return 'an instance refresh is under way';
  if (suspended.includes('Terminate')) return `${group.name} has suspended Terminate`;
  const held = launchHeld(group);
  if (held !== undefined) return held;
  const moving = instances.filter((i) => !['InService', 'Standby'].includes(i.lifecycle));
  if (moving.length > 0)
    return `${plural(moving.length, 'instance')} of it ${moving.length === 1 ? 'is' : 'are'} on the way (${moving[0]?.lifecycle})`;
  return serving.size < desired ? `only ${serving.size} of ${plural(desired, 'instance')} serve` : undefined;
};

/** The group by itself: its instances need no hosts. */
export const groupStackOf = (scene: GroupScene, own: Omit<Own, 'starts' | 'protectedUntil'>, now: Time): Stack => {
  const { group, zones, subnets, serving } = scene;
  const busy = groupBusy(scene);
  const fights = group.suspended.includes('AZRebalance')
    ? undefined
    : `AZRebalance of ${group.name} would launch there again: suspend it, or let zonal autoshift have the group`;
  const states = leftBy(scene.states, fights);
  const used = [...new Set(subnets.map((s) => s.zoneId))];
  const replicas = group.instances
    .filter((i) => serving.has(i.id))
    .map((i) => ({
      id: i.id,
      zone: zoneIdOf(zones, i.zone),
      ...(i.protected ? { stays: 'protected from scale-in' } : {}),
    }));
  const workload: Workload = {
    id: group.name,
    desired: own.desired,
    most: group.max,
    zones: used,
    replicas,
    closed: closures(own.launches, now),
    addressed: true,
    ...(busy === undefined ? {} : { busy }),
    changedAt: statesSince(states, used),
  };
  return {
    now,
    zones: withAddresses(states, subnets),
    hosts: [],
    pools: [],
    workloads: [workload],
    history: own.history,
    wavePercent: own.wavePercent,
  };
};
