import * as z from 'zod/mini';
import { NotFound, noneIfGone, Refused } from '../core/errors.ts';
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
import type { Launched, ScalingGroup } from '../core/groups.ts';
import { type Attempt, hasRun, unjudged } from '../core/incident.ts';
import { servingTargets } from '../core/loadBalancers.ts';
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
import type { Signal } from '../core/signal.ts';
import {
  countByZone,
  type GroupScene,
  groupBusy,
  groupStackOf,
  isEvacuated,
  isUneven,
  statesSince,
  zoneIdOf,
} from '../core/spread.ts';
import { idOf, type Target, targetOf } from '../core/target.ts';
import { iso, minutes, seconds, span, type Time } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';
import { plural } from '../core/words.ts';
import type { Zone } from '../core/zoneBounds.ts';
import type { Start } from '../core/zoneSigns.ts';
import { type Moved, type Plan, planZones } from '../core/zones.ts';

const NAME = 'group-uneven-zones';

const options = z.strictObject({
  patienceMinutes: option(z.int().check(z.gte(1), z.lte(120)), 10, 'So long it must have been uneven'),
  nativeMinutes: option(
    z.int().check(z.gte(5), z.lte(240)),
    30,
    'So long the group’s own AZRebalance may take, where it is not suspended',
  ),
  wavePercent: option(
    z.int().check(z.gte(1), z.lte(50)),
    20,
    'So much of a group is exchanged at once, in percent; at least one instance',
  ),
  startMinutes: option(
    z.int().check(z.gte(2), z.lte(120)),
    20,
    'So long an instance that was launched may take to serve, its lifecycle hooks included',
  ),
});
type Options = z.output<typeof options>;

type Counts = Readonly<Record<string, number>>;
/** Zones by id. */
type Step =
  | {
      readonly do: 'launch';
      readonly group: string;
      readonly zone: string;
      readonly count: number;
      readonly counts: Counts;
      readonly tries: number;
      /** The last change of state of a zone: the same wave after that is another one. */
      readonly since: Time;
    }
  | {
      readonly do: 'retire' | 'settle';
      readonly group: string;
      /** By zone: ids of those that go. */
      readonly instances: Readonly<Record<string, readonly string[]>>;
      /** So many must be left in service. */
      readonly left: number;
    };
type LaunchStep = Extract<Step, { do: 'launch' }>;
type RetireStep = Extract<Step, { do: 'retire' | 'settle' }>;

interface Seen {
  readonly uncovered: string | undefined;
  readonly scaling: ScalingGroup;
  /** Undefined: it is even, idle or not covered, and was not looked into. */
  readonly scene: GroupScene | undefined;
  /** The cluster that its instances are hosts of: those are `service-uneven-zones`'s. */
  readonly cluster: string | undefined;
  readonly plan: Plan | undefined;
  /** What the last launch has brought. */
  readonly newcomers: readonly string[];
  readonly issue: ZonesNow['issue'];
  /** Zones of which a person is told elsewhere. */
  readonly told: readonly string[];
}

// ---- what was done ------------------------------------------------------------------------------------------------------------------------

type Past = Attempt<Step>;
const ranOf = (look: Look<Options>): readonly Past[] => (look.attempts as readonly Past[]).filter(hasRun);
const isLaunch = (a: Past): a is Attempt<LaunchStep> => a.step.do === 'launch';
const isRetire = (a: Past): a is Attempt<RetireStep> => a.step.do !== 'launch';

/** A launch whose instances have not been set off against others yet. */
const openWave = (look: Look<Options>): Attempt<LaunchStep> | undefined => {
  const last = ranOf(look).at(-1);
  const undone = look.attempts.some((a) => a.undoes === last?.n && a.outcome?.kind === 'done');
  return last && isLaunch(last) && !undone ? last : undefined;
};

const launchesOf = (look: Look<Options>): Start[] =>
  (look.attempts as readonly Past[]).flatMap((a) => {
    if (!isLaunch(a) || a.outcome === undefined) return [];
    const failed =
      a.outcome.kind === 'permanent'
        ? a.outcome.because
        : a.effect === 'ineffective' && 'what was launched does not serve';
    return [{ at: a.outcome.at, zone: a.step.zone, ...(failed ? { failed } : {}) }];
  });

type Before = { readonly counts: Counts };
const historyOf = (group: string, look: Look<Options>): Moved[] =>
  ranOf(look)
    .filter(isRetire)
    .filter((a) => a.step.do === 'retire' && a.effect === 'effective')
    .map(({ step, before, reservedAt, n }) => {
      const launch = ranOf(look).findLast((a) => isLaunch(a) && a.n < n) as Attempt<LaunchStep> | undefined;
      return {
        workload: group,
        at: reservedAt,
        desired: step.left,
        from: Object.keys(step.instances),
        into: launch ? [launch.step.zone] : [],
        left: Object.fromEntries(
          Object.entries((before as Before).counts).map(([zone, n]) => [zone, n - (step.instances[zone]?.length ?? 0)]),
        ),
      };
    });

// ---- observe ------------------------------------------------------------------------------------------------------------------------------

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const name = idOf(target);
  const scaling = await ports.groups.describe(name);
  if (!scaling) throw new NotFound(`there is no Auto Scaling group ${name}`);
  const uncovered = look.uncovered(scaling.tags);
  const bare: Seen = {
    uncovered,
    scaling,
    scene: undefined,
    cluster: undefined,
    plan: undefined,
    newcomers: [],
    issue: undefined,
    told: [],
  };
  if (uncovered !== undefined) return bare;
  if (isSpread(scaling) && look.attempts.length === 0 && !(await leaves(scaling, ports, look))) return bare;
  return lookInto(bare, ports, look);
};

/** Some of it is in a zone that is evacuated. */
const leaves = async (
  { instances }: ScalingGroup,
  ports: Ports,
  { toldOf }: Pick<Look<Options>, 'toldOf'>,
): Promise<boolean> => {
  const zones = await ports.instances.zones();
  const left = await evacuatedZones(zones, toldOf, 'groups');
  return instances.some((i) => left.has(zoneIdOf(zones, i.zone)));
};

const lookInto = async (bare: Seen, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const { scaling } = bare;
  const [first] = scaling.instances;
  const unit = first && (await ports.containers.ofInstance(first.id));
  if (unit) return { ...bare, cluster: unit.cluster };
  const { scene, issue, told } = await sceneOf(scaling, ports, look);
  const wave = openWave(look);
  const newcomers = wave ? await newcomersOf(wave, scene, ports) : [];
  const own = {
    // What was launched is wanted beside what others want.
    desired: scaling.desired - newcomers.length,
    launches: launchesOf(look),
    history: historyOf(scaling.name, look),
    wavePercent: look.options.wavePercent,
  };
  const [plan] = planZones(groupStackOf(scene, own, look.now));
  return { ...bare, scene, issue, told, newcomers, plan };
};

const isSpread = ({ desired, instances, zones }: ScalingGroup): boolean => !isUneven(instances, desired, zones.length);

const sceneOf = async (group: ScalingGroup, ports: Ports, look: Look<Options>) => {
  const { groups, instances, loadBalancers } = ports;
  const [{ zones, states, told, issue }, subnets, refreshing, targets] = await Promise.all([
    zonesNow(ports, look, { waves: launchesOf(look), of: 'groups' }),
    instances.subnets(group.subnets),
    groups.refreshing(group.name),
    Promise.all(group.targetGroups.map((arn) => loadBalancers.health(arn).catch(noneIfGone))),
  ]);
  const answering = servingTargets(targets);
  const serving = group.instances.filter(
    (i) => i.lifecycle === 'InService' && i.healthy && (group.targetGroups.length === 0 || answering.has(i.id)),
  );
  const scene: GroupScene = {
    group,
    zones,
    subnets,
    serving: new Set(serving.map((i) => i.id)),
    states,
    refreshing,
  };
  return { scene, issue, told };
};

/** By the receipt; where no answer came, those of the zone that are younger than the call. */
const newcomersOf = async (
  { receipt, reservedAt, step }: Attempt<LaunchStep>,
  { group, zones }: GroupScene,
  { instances }: Ports,
): Promise<readonly string[]> => {
  const ids = (receipt as Launched | undefined)?.instances;
  const there = group.instances.map((i) => i.id);
  if (ids) return ids.filter((id) => there.includes(id));
  const own = group.instances.filter((i) => zoneIdOf(zones, i.zone) === step.zone);
  const found = await Promise.all(own.map((i) => instances.describe(i.id)));
  return found.filter((i) => i.launchedAt >= reservedAt - seconds(5)).map((i) => i.id);
};

// ---- what is seen -------------------------------------------------------------------------------------------------------------------------

const isHealthy = ({ uncovered, scaling, cluster, plan }: Seen, look: Look<Options>): boolean => {
  if (uncovered !== undefined || cluster !== undefined || openWave(look)) return false;
  return plan === undefined ? isSpread(scaling) : plan.do === 'nothing';
};

const describe = ({ uncovered, scaling, cluster, plan }: Seen): string => {
  const name = `the Auto Scaling group ${scaling.name}`;
  if (uncovered !== undefined) return name;
  if (cluster !== undefined) return `the instances of ${name} are hosts of the cluster ${cluster}`;
  if (!plan)
    return `${name} wants ${plural(scaling.desired, 'instance')}, spread evenly over ${plural(scaling.zones.length, 'zone')}`;
  return `${name}: ${spreadText(plan)}`;
};

const countsOf = ({ scene }: Seen): Counts => {
  const serving = scene?.group.instances.filter((i) => scene.serving.has(i.id)) ?? [];
  return countByZone(serving, scene?.zones ?? {});
};

type Progress = 'whole' | 'coming' | { readonly failed: string };
const progressOf = (wave: Attempt<LaunchStep>, { newcomers, scene }: Seen, look: Look<Options>): Progress => {
  const age = look.now - wave.reservedAt;
  const asked = (wave.receipt as Launched | undefined)?.instances.length ?? wave.step.count;
  if (newcomers.length < asked && age > minutes(1)) return { failed: 'what was launched is no member any more' };
  const lost = scene?.states.find((z) => z.state === 'IMPAIRED' && z.id === wave.step.zone);
  if (lost) return { failed: `${lost.id} is impaired now: ${lost.because}` };
  if (newcomers.length >= asked && newcomers.every((id) => scene?.serving.has(id))) return 'whole';
  if (scene?.refreshing) return { failed: 'an instance refresh has begun' };
  return age < minutes(look.options.startMinutes)
    ? 'coming'
    : { failed: `what was launched does not serve after ${span(age)}` };
};

// ---- decide -------------------------------------------------------------------------------------------------------------------------------

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { now, options: o } = look;
  const { uncovered, cluster, scaling, scene, plan } = seen;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  const is = describe(seen);
  if (cluster !== undefined) return { do: 'nothing', because: `${is}: service-uneven-zones sees to the tasks on them` };
  const running = unjudged(look.attempts);
  if (running) return { do: 'wait', until: now + seconds(30), because: `${is}: ${running.plan} is not over yet` };
  if (!scene || !plan) return { do: 'nothing', because: is };
  const wave = openWave(look);
  if (wave) return endOfWave(wave, seen, look, is);
  const own = scaling.suspended.includes('AZRebalance')
    ? o.patienceMinutes
    : Math.max(o.nativeMinutes, o.patienceMinutes);
  const since = look.openedAt + minutes(own);
  if (look.attempts.length === 0 && now < since && !isLed(plan, seen))
    return {
      do: 'wait',
      until: Math.min(since, now + minutes(2)),
      because: `${is}: ${own > o.patienceMinutes ? 'its AZRebalance may even it out by itself' : 'that may pass'}`,
    };
  switch (plan.do) {
    case 'move':
      return launching(plan, seen, look, is);
    case 'stop':
      // Two zones at once: that is told once, of the zones.
      return isFrozen(seen) ? waiting(plan.because, seen, look) : tellOf(plan);
    default:
      return waiting(plan.because, seen, look);
  }
};

const waiting = (because: string, seen: Seen, look: Look<Options>): Verdict<Step> =>
  waitOrTell(`${seen.scaling.name}: ${because}`, look, openWave(look) ? undefined : blamed(seen));

/** Its plan leads it out of a zone, because that was decided. */
const isLed = (plan: Plan, { scene }: Seen): boolean =>
  (scene?.states ?? []).some((z) => isEvacuated(z) && plan.zones.some((x) => x.zone === z.id && x.after < x.before));
/** Zones that it was led out of. */
const leftIn = (look: Look<Options>): ReadonlySet<string> =>
  new Set(
    ranOf(look).flatMap((a, n, all) =>
      a.step.do === 'retire' && all[n - 1]?.rung.startsWith('leave') ? Object.keys(a.step.instances) : [],
    ),
  );
const launching = (plan: Plan, seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const [first] = Object.entries(plan.waves[0]?.start ?? {}).sort(([, a], [, b]) => b - a);
  if (!first) return waiting('more are in service than are wanted', seen, look);
  const [zone, count] = first;
  const { scaling } = seen;
  const from = plan.zones.filter((x) => x.after < x.before).map((x) => x.zone);
  return {
    do: 'act',
    // A zone that has no capacity cools down by itself. Whoever let groups leave the bad one has let this, and the way back.
    rung: `${wayOf(plan, { isLed: isLed(plan, seen), left: leftIn(look) }) ?? 'launch'} ${ranOf(look).filter(isLaunch).length + 1} ${zone}`,
    step: {
      do: 'launch',
      group: scaling.name,
      zone,
      count,
      counts: Object.fromEntries(plan.zones.map((x) => [x.zone, x.before])),
      tries: launchesOf(look).filter((s) => s.failed !== undefined).length,
      since: statesSince(
        seen.scene?.states ?? [],
        plan.zones.map((x) => x.zone),
      ),
    },
    plan: `launch ${plural(count, 'instance')} of ${scaling.name} in ${zone}, and when ${count === 1 ? 'it serves' : 'they serve'} terminate as many in ${from.join(', ')}`,
    because: `${is}; ${plan.because}`,
  };
};

const endOfWave = (wave: Attempt<LaunchStep>, seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const { scaling, scene, newcomers, plan } = seen;
  const progress = progressOf(wave, seen, look);
  if (progress === 'coming')
    return { do: 'wait', until: look.now + seconds(30), because: `${is}: ${wave.plan} is not over yet` };
  const left = scaling.desired - newcomers.length;
  if (!scene || progress !== 'whole') {
    const because = `${is}; ${progress === 'whole' ? 'it cannot be looked into any more' : progress.failed}`;
    return retiring('settle', newcomers, { seen, left: Math.max(0, left), because });
  }
  const busy = groupBusy(scene);
  if (busy !== undefined) return waiting(busy, seen, look);
  const leaving = Object.values(plan?.waves[0]?.stop ?? {})
    .flat()
    .filter((id) => !newcomers.includes(id))
    .slice(0, newcomers.length);
  // Nothing else may go: then those do again that have come.
  const chosen = leaving.length === newcomers.length ? leaving : newcomers;
  return retiring('retire', chosen, { seen, left, because: `${is}; what was launched serves` });
};

const retiring = (
  what: RetireStep['do'],
  ids: readonly string[],
  { seen: { scaling, scene }, left, because }: { seen: Seen; left: number; because: string },
): Verdict<Step> => {
  const instances: Record<string, string[]> = {};
  for (const id of ids) {
    const zone = zoneIdOf(scene?.zones ?? {}, scaling.instances.find((i) => i.id === id)?.zone ?? 'unknown');
    instances[zone] = [...(instances[zone] ?? []), id];
  }
  return {
    do: 'act',
    rung: what,
    step: { do: what, group: scaling.name, instances, left },
    continues: true,
    plan: `let ${ids.join(', ')} of ${scaling.name} go${what === 'settle' ? ' again' : ''}, and want ${left} as before`,
    because,
  };
};

// ---- act and effect -----------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, { groups }: Ports, token: string): Promise<Json> => {
  if (step.do === 'launch') return groups.launch(step.group, { zone: step.zone, count: step.count, token });
  return letGo(step, groups);
};

const letGo = async ({ instances }: Pick<RetireStep, 'instances'>, groups: Ports['groups']): Promise<Json> => {
  const ids = Object.values(instances).flat();
  for (const id of ids) await groups.terminate(id);
  return { terminated: ids };
};

/** A hook may hold it as long as an hour; it is no member in service from the first moment. */
const GOES = minutes(10);

const effect = (attempt: Past, seen: Seen, look: Look<Options>): Effect => {
  const { step, reservedAt } = attempt;
  if (step.do === 'launch') {
    const progress = progressOf(attempt as Attempt<LaunchStep>, seen, look);
    return progress === 'whole' ? 'effective' : progress === 'coming' ? 'pending' : 'ineffective';
  }
  const ids = Object.values(step.instances).flat();
  const stay = seen.scaling.instances.filter((i) => ids.includes(i.id) && !i.lifecycle.startsWith('Terminating'));
  if (stay.length === 0) return 'effective';
  return look.now - reservedAt < GOES ? 'pending' : 'ineffective';
};

const factsOf = ({ scaling, scene, issue }: Seen): Facts => {
  const zones = countByZone(scaling.instances, scene?.zones ?? {});
  const group: Group = { id: `asg/${scaling.name}`, size: Math.max(1, scaling.instances.length), zones };
  return {
    tags: scaling.tags,
    group,
    zone: undefined,
    issue,
    serving: { self: true, others: [...(scene?.serving ?? [])] },
  };
};

// ---- survey -------------------------------------------------------------------------------------------------------------------------------

const survey = async ({ groups, instances }: Ports, at: Scan<Options>): Promise<readonly Signal[]> => {
  const zones = await instances.zones();
  const left = await evacuatedZones(zones, at.toldOf, 'groups');
  return (await groups.all())
    .filter((g) => at.uncovered(g.tags) === undefined)
    .map((g) => ({ g, leaves: g.instances.some((i) => left.has(zoneIdOf(zones, i.zone))) }))
    .filter(({ g, leaves }) => leaves || !isSpread(g))
    .map(({ g, leaves }) => ({
      kind: 'instance-group.uneven' as const,
      target: targetOf(g.arn),
      at: at.now,
      cause: `survey: the Auto Scaling group ${g.name} ${leaves ? 'has instances in a zone that is evacuated' : 'is spread unevenly over its zones'}`,
      // What nothing can be done about is looked into again each hour.
      eventId: `survey:${g.arn}:uneven@${iso(at.now as Time).slice(0, 13)}`,
      routine: true as const,
    }));
};

/** So many are looked into for a picture. */
const MOST_PICTURED = 60;

const zones = async (ports: Ports, look: Look<Options>, about: string | undefined): Promise<ZonePicture> => {
  const asked = about?.replace(/^asg\//, '');
  const named = (await ports.groups.all()).filter(
    (g) => look.uncovered(g.tags) === undefined && (asked === undefined || g.name === asked),
  );
  const plans: Plan[] = [];
  let states: readonly Zone[] = [];
  for (const scaling of named.slice(0, MOST_PICTURED)) {
    const bare = { scaling, uncovered: undefined, scene: undefined, cluster: undefined, plan: undefined };
    const attempts = await look.attemptsOf(scaling.arn, NAME);
    const { plan, scene } = await lookInto({ ...bare, newcomers: [], issue: undefined, told: [] }, ports, {
      ...look,
      attempts,
    });
    states = scene?.states ?? states;
    if (plan) plans.push({ ...plan, workload: `asg/${scaling.name}` });
  }
  return { plans, states, more: named.length > MOST_PICTURED };
};

export const groupUneven = defineRemediation<Seen, Step, Options>({
  name: NAME,
  title:
    'spreads the instances of an Auto Scaling group evenly over its zones, so that losing any of them leaves the most',
  about: `A group whose instances are in too few zones is put right, the fewest moves first. Its own AZRebalance comes first where it is not suspended. Else, and where that does not do it, instances are **launched** in the thinnest
zone (\`LaunchInstances\`: one zone a call, and no capacity is said at once), a fifth of the group at a time; once they are in service and healthy to its load balancers, as many are **retired** where there are most, through the group’s
hooks, and it wants as many as before: never fewer serve than are wanted. What does not come to serve goes again (**settle**), and the zone is left alone for a quarter of an hour, doubled each time. Instances protected from scale-in stay; nothing is done
during an instance refresh, while hooks hold some of it, or where Launch or Terminate is suspended. A wanted number that somebody changes meanwhile stays changed. An impaired zone gets none; those that it has leave it, by the same waves, where \`zone-impaired\` was let evacuate it (**leave**; **return** afterwards). Afterwards it is filled in steps. Hosts of ECS clusters are \`service-uneven-zones\`’s.
Whoever allows the launch allows what is terminated for it.`,
  answers: ['instance-group.uneven'],
  risk: 'destroys',
  targets: 'arn:*:autoscaling:*:*:autoScalingGroup:*',
  ladder: {
    launch: 'launch instances in the thinnest zone',
    leave: 'launch instances elsewhere, for those in a zone that is evacuated',
    return: 'launch instances in a zone again that was evacuated, when it recovers',
    retire: 'then terminate as many in the fullest zones',
    settle: 'let what was launched go again',
  },
  // Both end what a launch has begun, and that was allowed with it; and what leaves a zone was allowed with the zone.
  risks: { leave: 'harmless', return: 'harmless', retire: 'harmless', settle: 'harmless' },
  permissions: [
    {
      for: 'look',
      actions: [
        'autoscaling:DescribeAutoScalingGroups',
        'autoscaling:DescribeInstanceRefreshes',
        'ecs:ListClusters',
        'ecs:ListContainerInstances',
        'ecs:DescribeContainerInstances',
        'elasticloadbalancing:DescribeTargetHealth',
        'ec2:DescribeAvailabilityZones',
        'ec2:DescribeSubnets',
        'ec2:DescribeInstances',
        'health:DescribeEvents',
      ],
      resources: ['*'],
    },
    {
      for: 'act',
      actions: ['autoscaling:LaunchInstances', 'autoscaling:TerminateInstanceInAutoScalingGroup'],
      resources: ['arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*'],
      whenTagged: 'aws:ResourceTag',
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
  touches: () => [],
  before: (seen): Before => ({ counts: countsOf(seen) }),
  effect,
  undo: async ({ step, receipt }, { groups }) => {
    if (step.do !== 'launch')
      throw new Refused('no-undo', 'those instances are terminated, and others serve in their place');
    return letGo({ instances: { launched: (receipt as Launched | undefined)?.instances ?? [] } }, groups);
  },
});
