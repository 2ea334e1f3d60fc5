import * as z from 'zod/mini';
import {
  type ContainerInstance,
  type ContainerService,
  type ContainerTask,
  clusterOf,
  type Placement,
} from '../core/containers.ts';
import { Refused, undefinedIfRefused } from '../core/errors.ts';
import {
  blamed,
  evacuatedZones,
  isFrozen,
  spreadText,
  tellOf,
  waitOrTell,
  wayOf,
  type ZonesNow,
  zonesNow,
} from '../core/evening.ts';
import { groupArn, type Launched } from '../core/groups.ts';
import { type Attempt, hasRun, unjudged } from '../core/incident.ts';
import { once } from '../core/once.ts';
import { launchingHosts } from '../core/permissions.ts';
import { option } from '../core/policy.ts';
import type { Ports } from '../core/ports.ts';
import {
  defineRemediation,
  type Effect,
  type Facts,
  type Group,
  type Look,
  type Scan,
  type ZonePicture,
} from '../core/remediation.ts';
import {
  clustersWithServices,
  pictureOf,
  type ServiceView,
  type SurveyedCluster,
  serviceThere,
  shortOf,
  unplacedBecause,
  viewOf,
} from '../core/services.ts';
import type { Signal } from '../core/signal.ts';
import {
  countByZone,
  type HostSource,
  hostsOf,
  isDeploying,
  isEvacuated,
  isUneven,
  type Own,
  type Scene,
  stackOf,
  statesSince,
  untouchable,
  type ZoneIds,
  zoneIdOf,
} from '../core/spread.ts';
import { partitionOf, serviceTarget, type Target } from '../core/target.ts';
import { iso, minutes, seconds, span, type Time } from '../core/time.ts';
import { usdPerMonthOf } from '../core/units.ts';
import type { Json, Verdict } from '../core/verdict.ts';
import { plural } from '../core/words.ts';
import type { Zone } from '../core/zoneBounds.ts';
import type { Start } from '../core/zoneSigns.ts';
import { type Moved, type Plan, planZones, type Wave } from '../core/zones.ts';

const NAME = 'service-uneven-zones';

const options = z.strictObject({
  patienceMinutes: option(
    z.int().check(z.gte(1), z.lte(120)),
    5,
    'So long it must have been uneven: ECS may be about it',
  ),
  native: option(
    z.boolean(),
    true,
    'Turn ECS’s own rebalancing on where the service can have it, and leave it to that',
  ),
  nativeMinutes: option(
    z.int().check(z.gte(5), z.lte(240)),
    30,
    'So long ECS’s own rebalancing may take before Steward moves tasks itself',
  ),
  wavePercent: option(
    z.int().check(z.gte(1), z.lte(50)),
    20,
    'So much of a service is exchanged at once, in percent; at least one task',
  ),
  startMinutes: option(
    z.int().check(z.gte(2), z.lte(60)),
    10,
    'So long a task that was started may take to serve, beyond its grace period',
  ),
  launchHosts: option(
    z.boolean(),
    true,
    'Launch a host in a zone that lacks one, where that lets more tasks survive the loss of a zone',
  ),
});
type Options = z.output<typeof options>;

type Counts = Readonly<Record<string, number>>;
/** Zones by id. `placement`: what the service has during the wave, and gets back after it. */
type Swap = { readonly during: readonly Placement[]; readonly after: readonly Placement[] };
type Step =
  | { readonly do: 'native'; readonly service: string }
  | {
      readonly do: 'avoid' | 'readmit';
      readonly service: string;
      /** Constraints before, and then. */
      readonly expected: readonly string[];
      readonly constraints: readonly string[];
      /** Whether ECS evens it out before, and then: it does not where a constraint names zones. */
      readonly was: boolean;
      readonly rebalancing: boolean;
      /** Since when the zone is what it is. */
      readonly since: Time;
      readonly tries: number;
    }
  | {
      readonly do: 'hosts';
      readonly group: string;
      readonly zone: string;
      readonly count: number;
      readonly beside: number;
      readonly tries: number;
    }
  | {
      readonly do: 'start';
      readonly service: string;
      readonly from: number;
      readonly to: number;
      /** How many each zone lacks: which of them comes first is ECS's to say. */
      readonly into: Counts;
      readonly counts: Counts;
      readonly tries: number;
      /** The last change of state of a zone: the same wave after that is another one. */
      readonly since: Time;
      readonly placement: Swap | null;
    }
  | {
      readonly do: 'stop' | 'settle';
      readonly service: string;
      readonly from: number;
      readonly to: number;
      /** When the wave began that this ends. */
      readonly of: Time;
      /** Ends of it before this one. */
      readonly tries: number;
      /** By zone: ids of the tasks that go. */
      readonly tasks: Readonly<Record<string, readonly string[]>>;
      /**
       * Ids of the others, which are kept from being scaled in; true: they are too many to be written down, and are read. False: ECS chooses, as where a
       * deployment is under way.
       */
      readonly keep: readonly string[] | boolean;
      /** Those that go are kept from it by an earlier wave. */
      readonly free: boolean;
      readonly placement: readonly Placement[] | null;
    };
type StartStep = Extract<Step, { do: 'start' }>;
type StopStep = Extract<Step, { do: 'stop' | 'settle' }>;
type BarStep = Extract<Step, { do: 'avoid' | 'readmit' }>;

interface Seen {
  readonly uncovered: string | undefined;
  readonly service: ContainerService;
  /** Undefined: it is idle or not covered, and was not looked into. */
  readonly scene: Scene | undefined;
  readonly plan: Plan | undefined;
  readonly group: Group | undefined;
  readonly issue: ZonesNow['issue'];
  /** Zones of which a person is told elsewhere. */
  readonly told: readonly string[];
  /** What one host more costs a month. US dollars. */
  readonly hostUsd: number;
}

/** Keepers are kept so long from being scaled in: ECS chooses within seconds, and a deployment waits for them no longer than this. */
const KEPT = minutes(5);

// ---- what was done ------------------------------------------------------------------------------------------------------------------------

type Past = Attempt<Step>;
const ranOf = (look: Look<Options>): readonly Past[] => (look.attempts as readonly Past[]).filter(hasRun);
const isStart = (a: Past): a is Attempt<StartStep> => a.step.do === 'start';
const isStop = (a: Past): a is Attempt<StopStep> => a.step.do === 'stop' || a.step.do === 'settle';

/** A wave that has been started, and whose count is still ours to put back: what somebody else has changed since is theirs. */
const openWave = ({ service }: Seen, look: Look<Options>): Attempt<StartStep> | undefined => {
  // An end that did not come to show was lost on its way: the wave is still there.
  const last = ranOf(look).findLast((a) => isStart(a) || (isStop(a) && a.effect !== 'ineffective'));
  const undone = look.attempts.some((a) => a.undoes === last?.n && a.outcome?.kind === 'done');
  return last && isStart(last) && !undone && service.desired === last.step.to ? last : undefined;
};

/** Our placement is in force, and no wave is. */
const leftPlacement = ({ service }: Seen, look: Look<Options>): Swap | undefined => {
  const swap = ranOf(look).findLast(isStart)?.step.placement;
  return swap && JSON.stringify(swap.during) === JSON.stringify(service.placement) ? swap : undefined;
};

/** Constraints of ours that are in force: they keep its tasks out of a zone that is evacuated. */
const barsOf = ({ constraints }: ContainerService, look: Look<Options>): readonly string[] => {
  const ours = new Set(
    ranOf(look).flatMap(({ step: s }) =>
      s.do === 'avoid' ? s.constraints.filter((c) => !s.expected.includes(c)) : [],
    ),
  );
  return constraints.filter((c) => ours.has(c));
};
/** ECS evened it out itself before a zone was evacuated, and is to do so again when that is over. */
const owed = ({ rebalancing }: ContainerService, look: Look<Options>): boolean => {
  const last = ranOf(look).findLast(
    ({ step: s }) => (s.do === 'avoid' && s.was) || (s.do === 'readmit' && s.rebalancing),
  );
  const undone = look.attempts.some((a) => a.undoes === last?.n && a.outcome?.kind === 'done');
  return !rebalancing && last?.step.do === 'avoid' && !undone;
};
/** Zones that it was led out of. */
const leftIn = (look: Look<Options>): ReadonlySet<string> =>
  new Set(
    ranOf(look).flatMap((a, n, all) =>
      isStop(a) && a.step.do === 'stop' && all[n - 1]?.rung.startsWith('leave') ? Object.keys(a.step.tasks) : [],
    ),
  );
/** The cluster query language of ECS. Zones by name. */
const barOf = (zone: string): string => `attribute:ecs.availability-zone != ${zone}`;

/** Of a wave: each zone that it was to fill counts as one start there; where some of it failed, those of which it was taken back. */
const startsOf = (look: Look<Options>): Start[] =>
  ranOf(look)
    .filter(isStart)
    .filter((a) => a.effect !== undefined)
    .flatMap((a) =>
      failedIn(a, look).map((zone) => ({
        at: ranOf(look).find((b) => isStop(b) && b.n > a.n)?.reservedAt ?? a.reservedAt,
        zone,
        ...(a.effect === 'effective' ? {} : { failed: 'the tasks of a wave did not come to serve there' }),
      })),
    );
const failedIn = ({ n, step, effect }: Attempt<StartStep>, look: Look<Options>): readonly string[] => {
  const zones = Object.keys(step.into);
  const back = effect === 'ineffective' ? ranOf(look).find((a) => isStop(a) && a.n > n) : undefined;
  const bad = zones.filter((zone) => back && isStop(back) && zone in back.step.tasks);
  return bad.length > 0 ? bad : zones;
};
const launchesOf = (look: Look<Options>): Start[] =>
  (look.attempts as readonly Past[]).flatMap(({ step, outcome, effect, reservedAt }) => {
    if (step.do !== 'hosts' || outcome === undefined) return [];
    const failed = outcome.kind === 'permanent' ? outcome.because : effect === 'ineffective' && 'no host has joined';
    return [{ at: reservedAt, zone: step.zone, ...(failed ? { failed } : {}) }];
  });

type Before = { readonly counts: Counts };
/** Waves of this incident that came to their end. */
const historyOf = (service: string, look: Look<Options>): Moved[] =>
  ranOf(look)
    .filter(isStop)
    .filter((a) => a.step.do === 'stop' && a.effect === 'effective')
    .map(({ step, before, reservedAt, n }) => {
      const start = ranOf(look).findLast((a) => isStart(a) && a.n < n) as Attempt<StartStep> | undefined;
      const gone = (zone: string): number => step.tasks[zone]?.length ?? 0;
      return {
        workload: service,
        at: reservedAt,
        desired: step.to,
        from: Object.keys(step.tasks),
        into: Object.keys(start?.step.into ?? {}),
        left: Object.fromEntries(
          Object.entries((before as Before).counts).map(([zone, count]) => [zone, count - gone(zone)]),
        ),
      };
    });

const ownOf = (seen: Seen, look: Look<Options>): Own => {
  const last = ranOf(look).findLast(isStop);
  return {
    desired: openWave(seen, look)?.step.from ?? seen.service.desired,
    starts: startsOf(look),
    launches: launchesOf(look),
    history: historyOf(seen.service.name, look),
    // A clock of AWS's may be a little ahead.
    protectedUntil: last ? last.reservedAt + KEPT + minutes(1) : 0,
    wavePercent: look.options.wavePercent,
  };
};

// ---- observe ------------------------------------------------------------------------------------------------------------------------------

const isIdle = ({ status, desired, strategy }: ContainerService): boolean =>
  status !== 'ACTIVE' || desired === 0 || strategy !== 'REPLICA';

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> =>
  lookInto(await serviceThere(target.arn, ports), ports, look);

/** What was read of its cluster already. */
type Read = () => Promise<Pick<ServiceView, 'tasks' | 'instances'>>;

const lookInto = async (service: ContainerService, ports: Ports, look: Look<Options>, read?: Read): Promise<Seen> => {
  const uncovered = look.uncovered(service.tags);
  const bare: Seen = {
    uncovered,
    service,
    scene: undefined,
    plan: undefined,
    group: undefined,
    issue: undefined,
    told: [],
    hostUsd: Number.NaN,
  };
  if (uncovered !== undefined || isIdle(service)) return bare;
  // Our own constraint is none of its owner's.
  const bars = barsOf(service, look);
  const owners = { ...service, constraints: service.constraints.filter((c) => !bars.includes(c)) };
  const [names, { scene, issue, told, hostUsd }] = await Promise.all([
    ports.containers.serviceNames(service.cluster),
    sceneOf(owners, ports, look, read),
  ]);
  const group = { id: `zones/${service.cluster}`, size: Math.max(1, names.length), zones: {} };
  const seen: Seen = { ...bare, scene, group, issue, told, hostUsd };
  const own = ownOf(seen, look);
  const first = planOf(scene, own, look.now);
  if (first.do === 'nothing' || first.waves.length === 0) return { ...seen, plan: first };
  // Who must stay is asked only of zones that are to give some away.
  const from = new Set(first.zones.filter((x) => x.after < x.before).map((x) => x.zone));
  const asked = scene.picture.serving.filter((t) => from.has(zoneIdOf(scene.zones, t.zone))).map((t) => t.arn);
  const known = { ...scene, protections: await ports.containers.protections(asked) };
  return { ...seen, scene: known, plan: planOf(known, own, look.now) };
};

const planOf = (scene: Scene, own: Own, now: Time): Plan => {
  const [plan] = planZones(stackOf(scene, own, now));
  if (!plan) throw new Error('one workload has one plan');
  return plan;
};

/** Unhealthy tasks are `service-failing`'s: here only who serves is counted. */
const WINDOW = { window: minutes(30), patience: minutes(3) };

const sceneOf = async (service: ContainerService, ports: Ports, look: Look<Options>, read?: Read) => {
  const { containers, instances } = ports;
  const waves = [...startsOf(look), ...launchesOf(look)];
  const [view, { zones, states, told, issue }] = await Promise.all([
    viewOf(service, ports, await read?.()),
    zonesNow(ports, look, { waves, of: 'services' }),
  ]);
  const picture = pictureOf(view, look.now, WINDOW);
  const [shape, { source, hostUsd }] = await Promise.all([
    picture.primary ? containers.definition(picture.primary.definition).catch(undefinedIfRefused) : undefined,
    sourceOf(hostsOf(view), ports, look),
  ]);
  const ids = service.subnets.length > 0 || !('group' in source) ? service.subnets : source.group.subnets;
  const subnets = ids.length > 0 ? await instances.subnets(ids) : withoutSubnets(view.instances, zones);
  const scene: Scene = {
    view,
    picture,
    zones,
    subnets,
    source,
    shape,
    protections: {},
    states,
  };
  return { scene, issue, told, hostUsd };
};
/** Hosts of no group, or of several: the zones that they are in. */
const withoutSubnets = (hosts: readonly ContainerInstance[], zones: ZoneIds) =>
  [...new Set(hosts.map((i) => i.zone))].map((zoneName) => ({
    id: zoneName,
    zoneId: zoneIdOf(zones, zoneName),
    zoneName,
    free: Number.POSITIVE_INFINITY,
  }));

/** So many hosts are asked for their group: they are alike. */
const MOST_ASKED = 50;

/** The one group that its hosts are of, if Steward may launch more of them. */
const sourceOf = async (
  hosts: readonly ContainerInstance[],
  { groups, instances, where }: Ports,
  { options: o, uncovered }: Look<Options>,
): Promise<{ readonly source: HostSource; readonly hostUsd: number }> => {
  const none = (why: string) => ({ source: { none: why }, hostUsd: Number.NaN });
  const [first] = hosts;
  if (!first) return none('its cluster has no host that tells of what group more could be');
  const members = await Promise.all(hosts.slice(0, MOST_ASKED).map((i) => groups.memberOf(i.instance)));
  const names = [...new Set(members.flatMap((m) => m?.group ?? []))];
  const [name] = names;
  if (name === undefined) return none('its hosts are of no Auto Scaling group');
  if (names.length > 1)
    return none(`its hosts are of ${names.length} Auto Scaling groups: which should grow a person knows`);
  const [group, host] = await Promise.all([groups.describe(name), instances.describe(first.instance)]);
  if (!group) return none(`its hosts’ group ${name} is gone`);
  const traits = (await instances.traits([host.type]))[host.type];
  const hostUsd = traits ? usdPerMonthOf(traits, where.region) : Number.NaN;
  const why = o.launchHosts ? uncovered(host.tags) : 'the policy launches no hosts (launchHosts)';
  return why === undefined
    ? { source: { group }, hostUsd }
    : { source: { group: { ...group, noLaunch: why } }, hostUsd };
};

// ---- what is seen -------------------------------------------------------------------------------------------------------------------------

const isHealthy = (seen: Seen, look: Look<Options>): boolean => {
  const { uncovered, service, plan } = seen;
  if (uncovered !== undefined || service.status !== 'ACTIVE') return false;
  if (leftPlacement(seen, look) || openWave(seen, look) || barsOf(service, look).length > 0 || owed(service, look))
    return false;
  return isIdle(service) || plan?.do === 'nothing';
};

const describe = ({ uncovered, service, plan }: Seen): string => {
  const name = `${service.name} in the cluster ${service.cluster}`;
  if (uncovered !== undefined) return name;
  if (service.status !== 'ACTIVE') return `${name} is ${service.status}`;
  if (service.desired === 0) return `${name} wants no tasks`;
  if (!plan) return `${name} has one task for each host, whatever the zones`;
  return `${name}: ${spreadText(plan)}`;
};

const countsOf = ({ scene }: Seen): Counts => (scene ? countByZone(scene.picture.serving, scene.zones) : {});

/** What a wave has started. */
const newcomersOf = ({ scene }: Seen, { reservedAt }: Pick<Past, 'reservedAt'>): readonly ContainerTask[] =>
  // AWS's clock and ours differ by little.
  (scene?.picture.wanted ?? []).filter((t) => t.createdAt >= reservedAt - seconds(1));

/** Which zone of those that lack tasks comes first is ECS's to say; those beyond what a zone lacks help nobody. */
const astrayOf = (newcomers: readonly ContainerTask[], into: Counts, { zones }: Scene): readonly ContainerTask[] => {
  const room: Record<string, number> = { ...into };
  return newcomers.filter((t) => {
    const zone = zoneIdOf(zones, t.zone);
    const left = room[zone] ?? 0;
    room[zone] = left - 1;
    return left <= 0;
  });
};

type Progress = 'whole' | 'coming' | { readonly failed: string };

const progressOf = (wave: Attempt<StartStep>, seen: Seen, { now, options: o }: Look<Options>): Progress => {
  const { scene, service } = seen;
  const { into, from, to } = wave.step;
  if (!scene) return { failed: 'it cannot be looked into any more' };
  if (isDeploying(scene.view)) return { failed: 'a deployment has begun' };
  const serves = new Set(scene.picture.serving);
  const newcomers = newcomersOf(seen, wave);
  const [astray] = astrayOf(newcomers, into, scene);
  if (astray) return { failed: `ECS placed a task in ${zoneIdOf(scene.zones, astray.zone)}` };
  const lost = scene.states.find((z) => z.state === 'IMPAIRED' && Object.hasOwn(into, z.id));
  if (lost) return { failed: `${lost.id} is impaired now: ${lost.because}` };
  const whole = newcomers.filter((t) => serves.has(t)).length >= to - from;
  if (whole && scene.picture.serving.length >= to) return 'whole';
  const why = newcomers.length === 0 ? unplacedBecause(scene.view, scene.picture) : undefined;
  const age = now - wave.reservedAt;
  if (age < service.grace + minutes(o.startMinutes) && !(why && age > minutes(2))) return 'coming';
  return { failed: why ?? `what was started does not serve after ${span(age)}` };
};

// ---- decide -------------------------------------------------------------------------------------------------------------------------------

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { now } = look;
  const { service, plan, uncovered } = seen;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  const is = describe(seen);
  if (service.status !== 'ACTIVE') return { do: 'nothing', because: `${is}: it is being deleted` };
  const running = unjudged(look.attempts);
  if (running) return { do: 'wait', until: now + seconds(20), because: `${is}: ${running.plan} is not over yet` };
  const wave = openWave(seen, look);
  if (wave) return endOfWave(wave, seen, look, is);
  const swap = leftPlacement(seen, look);
  if (swap) {
    const tries = ranOf(look).filter(isStop).length;
    const back = { to: service.desired, of: look.openedAt, tries, placement: swap.after, tasks: {}, keep: false };
    return settling(seen, back, `${is}; nothing is under way`);
  }
  const open = readmitting(seen, look, is);
  if (open) return open;
  if (!plan) return { do: 'nothing', because: is };
  const since = look.openedAt + minutes(look.options.patienceMinutes);
  if (look.attempts.length === 0 && now < since && leavesOf(seen).length === 0)
    return { do: 'wait', until: Math.min(since, now + minutes(1)), because: `${is}: ECS may even it out by itself` };
  switch (plan.do) {
    case 'hosts':
      return launching(plan, seen, look, is);
    case 'move':
      return moving(plan, seen, look, is);
    case 'stop':
      // Two zones at once: that is told once, of the zones.
      return isFrozen(seen) ? waiting(plan.because, seen, look) : tellOf(plan);
    case 'nothing':
    case 'wait':
      return waiting(plan.because, seen, look);
  }
};

const waiting = (because: string, seen: Seen, look: Look<Options>): Verdict<Step> =>
  waitOrTell(`${seen.service.name}: ${because}`, look, openWave(seen, look) ? undefined : blamed(seen));

/** Zones that its plan leads it out of, because that was decided. */
const leavesOf = ({ scene, plan }: Seen): readonly Zone[] =>
  (scene?.states ?? []).filter(
    (z) =>
      isEvacuated(z) &&
      (plan?.do === 'move' || plan?.do === 'hosts') &&
      (plan.zones.some((x) => x.zone === z.id && x.after < x.before) || lacksIn(scene as Scene, z.id)),
  );
/** Some of it is to run there, and does not serve. */
const lacksIn = ({ picture, zones }: Scene, zone: string): boolean =>
  picture.wanted.some((t) => zoneIdOf(zones, t.zone) === zone && !picture.serving.includes(t));

/** Zones that a constraint of ours keeps it out of; by id. */
const barredIn = ({ service, scene }: Seen): readonly string[] =>
  Object.entries(scene?.zones ?? {}).flatMap(([name, id]) => (service.constraints.includes(barOf(name)) ? [id] : []));

const barsFor = (zones: readonly Zone[], { scene }: Seen): readonly string[] =>
  Object.entries(scene?.zones ?? {}).flatMap(([name, id]) => (zones.some((z) => z.id === id) ? [barOf(name)] : []));

/** Before tasks leave: what ECS starts from then on, it starts elsewhere. */
const avoiding = (zones: readonly Zone[], seen: Seen, look: Look<Options>, because: string): Verdict<Step> => {
  const { service } = seen;
  const ids = zones.map((z) => z.id).join(', ');
  return {
    do: 'act',
    rung: `avoid ${ids}`,
    step: {
      do: 'avoid',
      service: service.arn,
      expected: service.constraints,
      constraints: [...service.constraints, ...barsFor(zones, seen)],
      was: service.rebalancing,
      rebalancing: false,
      since: sinceOf(seen),
      tries: ranOf(look).filter((a) => a.step.do === 'avoid').length,
    },
    plan: `let ECS start no more of ${service.name} in ${ids}`,
    because,
  };
};

/** When it is over, when it was taken back, or when what it lacks finds no place elsewhere: a bad zone beats no capacity. */
const readmitting = (seen: Seen, look: Look<Options>, is: string): Verdict<Step> | undefined => {
  const { service, scene } = seen;
  const bars = barsOf(service, look);
  const needed = barsFor(scene?.states.filter(isEvacuated) ?? [], seen);
  const lacks = scene && unplacedBecause(scene.view, scene.picture);
  const over = lacks === undefined ? bars.filter((c) => !needed.includes(c)) : bars;
  // ECS would move tasks into a zone that recovers, beside the steps in which it is filled.
  const on = owed(service, look) && over.length === bars.length && isWell(seen);
  if (over.length === 0 && !on) return undefined;
  return {
    do: 'act',
    rung: 'readmit',
    step: {
      do: 'readmit',
      service: service.arn,
      expected: service.constraints,
      constraints: service.constraints.filter((c) => !over.includes(c)),
      was: service.rebalancing,
      rebalancing: on || service.rebalancing,
      since: sinceOf(seen),
      tries: ranOf(look).filter((a) => a.step.do === 'readmit').length,
    },
    continues: true,
    plan: [
      ...(over.length > 0
        ? [`let ECS start tasks of ${service.name} there again: take ${over.join(' and ')} back`]
        : []),
      ...(on ? [`let ECS even ${service.name} out itself again`] : []),
    ].join(', '),
    because: `${is}; ${lacks === undefined ? 'its zone is no longer evacuated' : `elsewhere ECS finds no place: ${lacks}`}`,
  };
};

/** None of its zones is anything but OK. */
const isWell = ({ scene }: Seen): boolean =>
  (scene?.states ?? []).every((z) => z.state === 'OK' || !scene?.subnets.some((s) => s.zoneId === z.id));

const sinceOf = ({ scene }: Seen): Time =>
  scene
    ? statesSince(
        scene.states,
        scene.subnets.map((s) => s.zoneId),
      )
    : 0;

const launching = (plan: Plan, seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const [ask] = plan.hosts;
  const source = seen.scene?.source;
  if (!ask || !source || !('group' in source)) return waiting(plan.because, seen, look);
  const { group } = source;
  // One zone a call, and no more at once than a wave is of tasks.
  const count = Math.max(1, Math.min(ask.count, Math.floor((group.desired * look.options.wavePercent) / 100)));
  const tries = launchesOf(look).filter((s) => s.zone === ask.zone && s.failed !== undefined).length;
  return {
    do: 'act',
    rung: `hosts ${ask.zone}`,
    step: { do: 'hosts', group: group.name, zone: ask.zone, count, beside: group.desired, tries },
    plan: `launch ${plural(count, 'host')} of ${group.name} in ${ask.zone}, for the tasks of ${seen.service.name}`,
    because: `${is}; ${plan.because}`,
    cost: { usdPerMonth: count * seen.hostUsd, what: `${plural(count, 'host')} of ${group.name}` },
  };
};

/** What ECS asks of a service that it evens out itself. Source: "Balancing an Amazon ECS service across Availability Zones". */
const nativeNot = ({
  classic,
  maximumPercent,
  placement: [first],
  constraints,
}: ContainerService): string | undefined =>
  classic
    ? 'it is behind a Classic Load Balancer'
    : maximumPercent <= 100
      ? `no more than ${maximumPercent} % of it may run`
      : first && !isByZone(first)
        ? `its placement begins with ${first.type}${first.field ? ` by ${first.field}` : ''}`
        : constraints.some((c) => /availability-zone/.test(c))
          ? 'a constraint ties it to zones'
          : undefined;
const BY_ZONE: Placement = { type: 'spread', field: 'attribute:ecs.availability-zone' };
const isByZone = ({ type, field }: Placement): boolean => type === 'spread' && field.endsWith('ecs.availability-zone');

/** Since when ECS itself evens it out, as far as is known. */
const nativeSince = ({ service }: Seen, look: Look<Options>): Time | undefined =>
  service.rebalancing ? (ranOf(look).findLast((a) => a.step.do === 'native')?.outcome?.at ?? look.openedAt) : undefined;

const moving = (plan: Plan, seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const { service, scene } = seen;
  const { now, options: o } = look;
  const leaves = leavesOf(seen);
  const barred = barredIn(seen);
  const unbarred = leaves.filter((z) => !barred.includes(z.id));
  if (unbarred.length > 0) return avoiding(unbarred, seen, look, `${is}; ${plan.because}`);
  if (!scene || scene.picture.serving.length < service.desired)
    return waiting(
      `only ${scene?.picture.serving.length ?? 0} of ${service.desired} serve; what is missing ECS places first`,
      seen,
      look,
    );
  // ECS knows nothing of the zones' states: it would move some into a bad one.
  const unwell = scene.states.find((z) => z.state !== 'OK' && plan.zones.some((x) => x.zone === z.id));
  const cannot = nativeNot(service) ?? (unwell && `${unwell.id} is ${unwell.state}`);
  const since = nativeSince(seen, look);
  if (since !== undefined && cannot === undefined && now - since < minutes(o.nativeMinutes))
    return { do: 'wait', until: now + minutes(1), because: `${is}; ECS evens it out itself, since ${iso(since)}` };
  if (o.native && since === undefined && cannot === undefined)
    return {
      do: 'act',
      rung: 'native',
      step: { do: 'native', service: service.arn },
      plan: `let ECS even ${service.name} out itself: turn its availability zone rebalancing on`,
      because: `${is}; ${plan.because}`,
    };
  return starting(plan, plan.waves[0], seen, look, `${is}; ${plan.because}`);
};

/** Where it starts is ECS's choice: the zone with the fewest of it. A bad zone must never be that, as long as the wave goes on. */
const strays = (plan: Plan, start: Wave['start'], seen: Seen): string | undefined => {
  const { scene } = seen;
  const barred = barredIn(seen);
  const before = (zone: string): number => plan.zones.find((x) => x.zone === zone)?.before ?? 0;
  const fullest = Math.max(...Object.entries(start).map(([zone, n]) => before(zone) + n - 1));
  const bad = scene?.states.find(
    ({ id, state }) =>
      (state === 'IMPAIRED' || state === 'SUSPECT') &&
      !barred.includes(id) &&
      scene.subnets.some((s) => s.zoneId === id) &&
      before(id) <= fullest,
  );
  return bad && `${bad.id}, which is ${bad.state}: it has the fewest`;
};

/** How many each zone may take. Of zones that are alike ECS takes one or the other, and either is as good. */
const intoOf = ({ zones }: Plan): Counts => {
  const most = Math.max(...zones.map((x) => x.after));
  return Object.fromEntries(
    zones.flatMap(({ zone, before, after }) =>
      after > before || (after === before && before > 0 && before < most) ? [[zone, most - before]] : [],
    ),
  );
};

const starting = (
  plan: Plan,
  wave: Wave | undefined,
  seen: Seen,
  look: Look<Options>,
  because: string,
): Verdict<Step> => {
  const { service } = seen;
  const count = Object.values(wave?.start ?? {}).reduce((a, b) => a + b, 0);
  const into = intoOf(plan);
  if (count === 0) return waiting('more run than are wanted, and ECS stops those', seen, look);
  const astray = strays(plan, wave?.start ?? {}, seen);
  if (astray) return waiting(`ECS would place some of a wave in ${astray}; ${plan.because}`, seen, look);
  const [first] = service.placement;
  const after = service.placement;
  const swap =
    first && !isByZone(first) ? { during: [BY_ZONE, ...after.filter((p) => !isByZone(p))].slice(0, 5), after } : null;
  const tries = startsOf(look).filter((s) => s.failed !== undefined).length;
  const to = service.desired + count;
  return {
    do: 'act',
    // Whoever let the zone be evacuated has let this, and the way back.
    rung: `${wayOf(plan, { isLed: leavesOf(seen).length > 0, left: leftIn(look) }) ?? 'start'} ${ranOf(look).filter(isStart).length + 1}`,
    step: {
      do: 'start',
      service: service.arn,
      from: service.desired,
      to,
      into,
      counts: Object.fromEntries(plan.zones.map((x) => [x.zone, x.before])),
      tries,
      since: sinceOf(seen),
      placement: swap,
    },
    plan: `start ${plural(count, 'task')} more of ${service.name} in ${Object.keys(into).join(', ')}${swap ? ', placed by zone meanwhile' : ''}, and then stop as many in the fullest zones`,
    because,
  };
};

/** Whole: as many go where there are too many. Not: what was begun is taken back, the ones that do not serve first. */
const endOfWave = (wave: Attempt<StartStep>, seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const { service, scene, plan } = seen;
  const { from, into, placement } = wave.step;
  const progress = progressOf(wave, seen, look);
  if (progress === 'coming')
    return { do: 'wait', until: look.now + seconds(20), because: `${is}: ${wave.plan} is not over yet` };
  const tries = ranOf(look).filter((a) => isStop(a) && a.n > wave.n).length;
  const back = { to: from, of: wave.reservedAt, tries, placement: placement?.after ?? null };
  if (!scene || isDeploying(scene.view))
    return settling(seen, { ...back, tasks: {}, keep: false }, `${is}; a deployment has begun, and the rest is its`);
  const count = service.desired - from;
  const planned = Object.values(plan?.waves[0]?.stop ?? {}).flat();
  const newcomers = newcomersOf(seen, wave);
  const serves = new Set(scene.picture.serving);
  const outside = astrayOf(newcomers, into, scene);
  const bad = [...newcomers.filter((t) => !serves.has(t)), ...outside].map((t) => t.arn);
  const fresh = newcomers.map((t) => t.arn);
  const chosen = progress === 'whole' ? [...planned, ...fresh] : [...bad, ...fresh];
  const leaving = [...new Set(chosen)].slice(0, count);
  const kept = scene.picture.serving.filter((t) => !leaving.includes(t.arn)).length;
  if (progress === 'whole' && kept < from) return waiting(`only ${kept} of ${from} would serve`, seen, look);
  const tasks = byZone(leaving, scene);
  if (progress !== 'whole')
    return settling(seen, { ...back, tasks, keep: keepersOf(leaving, scene) }, `${is}; ${progress.failed}`);
  return {
    do: 'act',
    rung: `stop ${wave.n}`,
    step: {
      do: 'stop',
      service: service.arn,
      from: service.desired,
      ...back,
      tasks,
      keep: keepersOf(leaving, scene),
      free: isKept(leaving, scene),
    },
    continues: true,
    plan: `want ${from} again: ${leaving.length} of ${service.name} in ${Object.keys(tasks).join(', ')} are scaled in, the others are kept from that for ${span(KEPT)}`,
    because: `${is}; what was started serves`,
  };
};

/** A record has so much room for each wave. */
const MOST_NAMED = 200;
const keepersOf = (leaving: readonly string[], { picture }: Scene): StopStep['keep'] => {
  // What is about to run is among them.
  const stay = picture.wanted.filter((t) => !leaving.includes(t.arn));
  return stay.length > MOST_NAMED || stay.map((t) => shortOf(t.arn));
};

const isKept = (arns: readonly string[], { protections }: Scene): boolean => arns.some((arn) => arn in protections);

const byZone = (arns: readonly string[], { picture, zones }: Scene): StopStep['tasks'] => {
  const found: Record<string, string[]> = {};
  for (const arn of arns) {
    const task = picture.wanted.find((t) => t.arn === arn);
    const zone = zoneIdOf(zones, task?.zone ?? 'unknown');
    found[zone] = [...(found[zone] ?? []), shortOf(arn)];
  }
  return found;
};

const settling = (
  { service }: Seen,
  back: Pick<StopStep, 'to' | 'of' | 'tries' | 'placement' | 'tasks' | 'keep'>,
  because: string,
): Verdict<Step> => ({
  do: 'act',
  rung: 'settle',
  step: { do: 'settle', service: service.arn, from: service.desired, ...back, free: false },
  continues: true,
  plan:
    back.to === service.desired
      ? `give ${service.name} its placement back`
      : `take the wave of ${service.name} back: want ${back.to} again`,
  because,
});

// ---- act and effect -----------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, { containers, groups }: Ports, token: string): Promise<Json> => {
  switch (step.do) {
    case 'native':
      await containers.setRebalancing(step.service, true);
      return { rebalancing: true };
    case 'avoid':
    case 'readmit':
      return bar(step, containers);
    case 'hosts':
      return groups.launch(step.group, { zone: step.zone, count: step.count, token });
    case 'start': {
      const { from, to, placement } = step;
      await containers.scale(step.service, {
        expected: from,
        desired: to,
        ...(placement ? { placement: placement.during } : {}),
      });
      return { desired: to };
    }
    case 'stop':
    case 'settle':
      return scaleIn(step, containers);
  }
};

const bar = async ({ service, expected, constraints, was, rebalancing }: BarStep, containers: Ports['containers']) => {
  await containers.constrain(service, { expected, constraints, ...(was === rebalancing ? {} : { rebalancing }) });
  return { constraints };
};

const readKeepers = async (
  service: string,
  { leaving, to }: { readonly leaving: readonly string[]; readonly to: number },
  containers: Ports['containers'],
): Promise<readonly string[]> => {
  const all = await containers.tasksOf({ cluster: clusterOf(service), name: shortOf(service) });
  const running = all.filter((t) => t.desired === 'RUNNING' && t.status === 'RUNNING').map((t) => shortOf(t.arn));
  const stay = running.filter((id) => !leaving.includes(id));
  if (stay.length < to)
    throw new Refused('fewer-meanwhile', `only ${stay.length} of ${shortOf(service)} would be left, not ${to}`);
  return stay;
};

/** Those that stay are kept from it first: which go is not left to ECS. */
const scaleIn = async (
  { service, from, to, tasks, keep, free, placement }: Omit<StopStep, 'do' | 'of' | 'tries'>,
  containers: Ports['containers'],
): Promise<Json> => {
  if (keep) {
    const leaving = Object.values(tasks).flat();
    const stay = keep === true ? await readKeepers(service, { leaving, to }, containers) : keep;
    const arnOf = (id: string): string => service.replace(/:service\/.*/, `:task/${clusterOf(service)}/${id}`);
    if (free) await containers.protect(leaving.map(arnOf), undefined);
    await containers.protect(stay.map(arnOf), KEPT);
  }
  try {
    await containers.scale(service, { expected: from, desired: to, ...(placement ? { placement } : {}) });
    return { desired: to };
  } catch (e) {
    // The wave is over all the same, and the protection ends by itself.
    if (keep && e instanceof Refused && e.code === 'scaled-meanwhile') return { changed: e.message };
    throw e;
  }
};

/** A host boots and registers. */
const BOOTS = minutes(10);
/** A target drains for five minutes by default, before its task is stopped; that one is not wanted any more shows at once. */
const SCALES = minutes(10);

const effect = (attempt: Past, seen: Seen, look: Look<Options>): Effect => {
  const { step, reservedAt } = attempt;
  const within = (ms: number): Effect => (look.now - reservedAt < ms ? 'pending' : 'ineffective');
  switch (step.do) {
    case 'native':
      return seen.service.rebalancing ? 'effective' : within(minutes(2));
    case 'avoid':
    case 'readmit':
      return isBarred(step, seen) ? 'effective' : within(minutes(2));
    case 'hosts':
      return joined(attempt, step, seen) ? 'effective' : within(BOOTS);
    case 'start':
      return seen.service.desired === step.to ? ofStart(attempt as Attempt<StartStep>, seen, look) : within(minutes(1));
    case 'stop':
    case 'settle':
      return isScaledIn(step, seen) ? 'effective' : within(SCALES);
  }
};

const ofStart = (attempt: Attempt<StartStep>, seen: Seen, look: Look<Options>): Effect => {
  const progress = progressOf(attempt, seen, look);
  return progress === 'whole' ? 'effective' : progress === 'coming' ? 'pending' : 'ineffective';
};

const isBarred = ({ constraints }: BarStep, { service }: Seen): boolean =>
  constraints.length === service.constraints.length && constraints.every((c) => service.constraints.includes(c));

const joined = ({ receipt, reservedAt }: Past, step: Extract<Step, { do: 'hosts' }>, { scene }: Seen): boolean => {
  if (!scene) return false;
  const ids = (receipt as Launched | undefined)?.instances;
  const there = hostsOf(scene.view).filter((i) =>
    ids ? ids.includes(i.instance) : i.registeredAt >= reservedAt && zoneIdOf(scene.zones, i.zone) === step.zone,
  );
  return there.length >= (ids?.length ?? step.count);
};

const isScaledIn = ({ from, to, tasks }: StopStep, { service, scene }: Seen): boolean => {
  const leaving = new Set(Object.values(tasks).flat());
  const wanted = scene?.picture.wanted ?? [];
  // A read may be older than the call.
  if (service.desired === from && from !== to) return false;
  // Somebody else has changed it.
  if (service.desired !== to) return true;
  // ECS's own rebalancing may have one more on its way.
  return leaving.size > 0 ? !wanted.some((t) => leaving.has(shortOf(t.arn))) : wanted.length <= to;
};

const factsOf = ({ service, scene, group, issue }: Seen): Facts => ({
  tags: service.tags,
  group,
  zone: undefined,
  issue,
  serving: { self: true, others: (scene?.picture.serving ?? []).map((t) => t.arn) },
});

const undo = async ({ step, reservedAt }: Past, { containers }: Ports): Promise<Json> => {
  switch (step.do) {
    case 'native':
      await containers.setRebalancing(step.service, false);
      return { rebalancing: false };
    case 'avoid': {
      const [now] = await containers.services(clusterOf(step.service), [shortOf(step.service)]);
      const is = now?.constraints ?? step.constraints;
      const back = is.filter((c) => step.expected.includes(c) || !step.constraints.includes(c));
      return bar(
        { ...step, expected: is, constraints: back, was: step.rebalancing, rebalancing: step.was },
        containers,
      );
    }
    case 'readmit':
      throw new Refused('no-undo', 'its tasks may be started where they may be started without Steward');
    case 'start': {
      const { service, from, to, placement } = step;
      const of = { cluster: clusterOf(service), name: shortOf(service) };
      const wanted = (await containers.tasksOf(of)).filter((t) => t.desired === 'RUNNING');
      const young = wanted.filter((t) => t.createdAt >= reservedAt - seconds(1)).slice(0, to - from);
      const tasks = { started: young.map((t) => shortOf(t.arn)) };
      return scaleIn(
        { service, from: to, to: from, tasks, keep: true, free: true, placement: placement?.after ?? null },
        containers,
      );
    }
    case 'hosts':
      throw new Refused('no-undo', `tasks may run on the new host of ${step.group}: let it go by hand when none does`);
    case 'stop':
    case 'settle':
      throw new Refused('no-undo', 'the tasks have stopped, and others run in their place');
  }
};

// ---- survey -------------------------------------------------------------------------------------------------------------------------------

const survey = async (ports: Ports, at: Scan<Options>): Promise<readonly Signal[]> => {
  const { instances, where } = ports;
  const found: Signal[] = [];
  const ids = await instances.zones();
  const left = await evacuatedZones(ids, at.toldOf, 'services');
  for (const { cluster, services: all, ...seen } of await at.clusters()) {
    const services = all.filter(
      (s) =>
        !isIdle(s) &&
        (s.desired > 1 || left.size > 0) &&
        untouchable({ service: s }) === undefined &&
        at.uncovered(s.tags) === undefined,
    );
    if (services.length === 0) continue;
    const tasks = await seen.wanted();
    const zones = await zonesOf(seen.instances, services, ports);
    for (const service of services) {
      const own = tasks.filter((t) => t.service === service.name);
      const leaves = own.some((t) => left.has(zoneIdOf(ids, t.zone)));
      if (!leaves && !isUneven(own, service.desired, zones(service))) continue;
      found.push({
        kind: 'container-service.uneven',
        target: serviceTarget(where, cluster, service.name),
        at: at.now,
        cause: `survey: ${service.name} in the cluster ${cluster} ${leaves ? 'has tasks in a zone that is evacuated' : 'is spread unevenly over its zones'}`,
        // What nothing can be done about is looked into again each hour.
        eventId: `survey:${service.arn}:uneven@${iso(at.now).slice(0, 13)}`,
        routine: true,
      });
    }
  }
  return found;
};

/** So many are looked into for a picture. */
const MOST_PICTURED = 60;
const zones = async (ports: Ports, look: Look<Options>, about: string | undefined): Promise<ZonePicture> => {
  const named = about === undefined ? await allServices(ports) : await servicesCalled(about, ports);
  const covered = named.filter(({ service }) => look.uncovered(service.tags) === undefined);
  const plans: Plan[] = [];
  let states: readonly Zone[] = [];
  for (const { service, read } of covered.slice(0, MOST_PICTURED)) {
    const attempts = await look.attemptsOf(serviceTarget(ports.where, service.cluster, service.name).arn, NAME);
    const { plan, scene } = await lookInto(service, ports, { ...look, attempts }, read);
    states = scene?.states ?? states;
    if (plan) plans.push({ ...plan, workload: `${service.cluster}/${service.name}` });
  }
  return { plans, states, more: covered.length > MOST_PICTURED };
};

type Named = { readonly service: ContainerService; readonly read?: Read };
/** With what several of a cluster ask for. */
const allServices = async ({ containers }: Ports): Promise<readonly Named[]> =>
  (await clustersWithServices(containers)).flatMap(({ services, instances, wanted, stopped }) => {
    const read = once(async () => {
      const [hosts, ...tasks] = await Promise.all([instances(), wanted(), stopped()]);
      return { instances: hosts, tasks: tasks.flat() };
    });
    return services.map((service) => ({ service, read }));
  });
const servicesCalled = async (about: string, { containers }: Ports): Promise<readonly Named[]> => {
  const found: Named[] = [];
  for (const cluster of await containers.clusters()) {
    const names = (await containers.serviceNames(cluster)).filter((n) => [n, `${cluster}/${n}`].includes(about));
    found.push(...(await containers.services(cluster, names)).map((service) => ({ service })));
  }
  return found;
};

/** How many zones each of them may use. */
const zonesOf = async (
  instancesOf: SurveyedCluster['instances'],
  services: readonly ContainerService[],
  { groups, instances }: Ports,
) => {
  const onHosts = services.some((s) => s.subnets.length === 0);
  const hosts = onHosts ? await instancesOf() : [];
  const [first] = hosts;
  const member = first && (await groups.memberOf(first.instance));
  const group = member && (await groups.describe(member.group));
  const asked = [...new Set([...services.flatMap((s) => s.subnets), ...(group?.subnets ?? [])])];
  const subnets = new Map((asked.length > 0 ? await instances.subnets(asked) : []).map((s) => [s.id, s.zoneName]));
  const count = (ids: readonly string[], also: readonly string[]): number =>
    new Set([...ids.flatMap((id) => subnets.get(id) ?? []), ...also]).size;
  return (s: ContainerService): number =>
    s.subnets.length > 0
      ? count(s.subnets, [])
      : count(
          group?.subnets ?? [],
          hosts.map((i) => i.zone),
        );
};

export const serviceUneven = defineRemediation<Seen, Step, Options>({
  name: NAME,
  title: 'spreads the tasks of an ECS service evenly over its zones, so that losing any of them leaves the most',
  about: `A service whose tasks are in too few zones is put right, the fewest moves first. Where ECS itself can (a rolling service that may run more than it wants, spread by zone, behind no Classic Load
Balancer) its availability zone rebalancing is turned on (**native**) and awaited. A zone that lacks only a host gets one from the hosts’ Auto Scaling group (**hosts**), where that lets more tasks survive. What is left Steward moves itself, in
waves of a fifth: it wants more (**start**), placed by zone meanwhile, waits until they serve in the right zones, and only then wants as many as before (**stop**), while \`UpdateTaskProtection\` keeps those that stay: never
fewer serve than are wanted. What does not come to serve, or lands elsewhere, is taken back (**settle**) and the zone is left alone for a quarter of an hour, doubled each time. It waits for deployments, and takes its wave back if one begins; a count that
somebody else has changed is theirs, and so is a task protected by its owner. The same wave again within a day is not made: something else undoes it, and a person is told. An impaired zone gets none; those that it has leave it, by the same waves, where \`zone-impaired\` was let evacuate it (**avoid**, **leave**; **readmit**, **return** afterwards). Afterwards it is filled in steps. What cannot be evened out says why.`,
  answers: ['container-service.uneven'],
  risk: 'interrupts',
  targets: 'arn:*:ecs:*:*:service/*',
  ladder: {
    native: 'turn ECS’s own rebalancing on',
    hosts: 'launch a host in the zone that lacks one',
    avoid: 'let ECS start no more of it in a zone that is evacuated',
    leave: 'start tasks elsewhere, for those in a zone that is evacuated',
    return: 'start tasks in a zone again that was evacuated, when it recovers',
    start: 'start tasks in the thinnest zones',
    stop: 'then want as many as before, less in the fullest zones',
    settle: 'take a wave back that did not come to serve',
    readmit: 'let ECS start tasks in the zone again',
  },
  // What stops was replaced before, by a wave that was allowed; and taking one back only ends what was begun. What leaves a zone was let with the zone.
  risks: {
    hosts: 'harmless',
    avoid: 'harmless',
    leave: 'harmless',
    return: 'harmless',
    stop: 'harmless',
    settle: 'harmless',
    readmit: 'harmless',
  },
  permissions: [
    {
      for: 'look',
      actions: [
        'ecs:ListClusters',
        'ecs:ListServices',
        'ecs:DescribeServices',
        'ecs:ListTasks',
        'ecs:DescribeTasks',
        'ecs:GetTaskProtection',
        'ecs:ListContainerInstances',
        'ecs:DescribeContainerInstances',
        'ecs:DescribeTaskDefinition',
        'elasticloadbalancing:DescribeTargetHealth',
        'ec2:DescribeAvailabilityZones',
        'ec2:DescribeSubnets',
        'ec2:DescribeInstances',
        'ec2:DescribeInstanceTypes',
        'autoscaling:DescribeAutoScalingInstances',
        'autoscaling:DescribeAutoScalingGroups',
        'health:DescribeEvents',
      ],
      resources: ['*'],
    },
    {
      for: 'act',
      actions: ['ecs:UpdateService'],
      resources: ['arn:*:ecs:*:*:service/*'],
      whenTagged: 'aws:ResourceTag',
    },
    { for: 'act', actions: ['ecs:UpdateTaskProtection'], resources: ['arn:*:ecs:*:*:task/*'] },
    {
      for: 'act',
      actions: ['autoscaling:LaunchInstances'],
      resources: ['arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*'],
    },
    launchingHosts,
  ],
  options,
  attemptsPerDay: 24,
  inStorms: false,
  survey,
  zones,
  observe,
  facts: factsOf,
  describe,
  isHealthy,
  decide,
  act,
  touches: (step, target) => {
    const { account, region } = target;
    const partition = partitionOf(region);
    if (step.do === 'hosts') return [groupArn({ account, region }, partition, step.group)];
    return step.do === 'native' || step.do === 'avoid' || step.do === 'readmit'
      ? []
      : [`arn:${partition}:ecs:${region}:${account}:task/${clusterOf(target.arn)}/*`];
  },
  before: (seen): Before => ({ counts: countsOf(seen) }),
  effect,
  undo,
});
