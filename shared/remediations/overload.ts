import * as z from 'zod/mini';
import { type Capacity, type Level, levelOf, lowered, raised, stepsDown } from '../core/capacity.ts';
import {
  type ContainerService,
  clusterOf,
  homeless,
  isServerless,
  primaryOf,
  type TaskShape,
} from '../core/containers.ts';
import { NotFound, noneIfGone, Refused } from '../core/errors.ts';
import { dearest, groupArn, type ScalingGroup } from '../core/groups.ts';
import { type Attempt, unjudged, type Wish } from '../core/incident.ts';
import { countOf, isApplication, nameOfBalancer } from '../core/loadBalancers.ts';
import { option } from '../core/policy.ts';
import type { Metric, Ports, Range, Traits } from '../core/ports.ts';
import { defineRemediation, type Effect, type Group, type Look, type Scan } from '../core/remediation.ts';
import type { ServiceScaling } from '../core/serviceScaling.ts';
import { servicesWith, shortOf } from '../core/services.ts';
import type { Signal } from '../core/signal.ts';
import { groupTarget, idOf, partitionOf, serviceTarget, type Target, targetOf, typeOf } from '../core/target.ts';
import { hours, iso, minutes, seconds, span, type Time } from '../core/time.ts';
import { usdPerMonthOf, usdPerMonthOfTask } from '../core/units.ts';
import type { Json, Verdict } from '../core/verdict.ts';
import { plural } from '../core/words.ts';

const options = z.strictObject({
  usedPercent: option(
    z.int().check(z.gte(50), z.lte(100)),
    85,
    'So much of its CPU in use for ten minutes is an overload',
  ),
  maxFactor: option(
    z.number().check(z.gte(1), z.lte(20)),
    3,
    'Without a person’s wish it is raised to at most so many times what was wanted before',
  ),
  patienceMinutes: option(
    z.int().check(z.gte(1), z.lte(120)),
    10,
    'So long what scales it by itself may do so; and so long a step may take to show in its CPU',
  ),
  unasked: option(z.boolean(), false, 'May it raise what costs money without asking? Within the cost cap'),
  survey: option(
    z.boolean(),
    true,
    'Look every five minutes how busy the services and groups are, and which load balancers turn connections away. CloudWatch bills about $0.09 a month for each',
  ),
  easyPercent: option(
    z.int().check(z.gte(10), z.lte(90)),
    60,
    'What was added is taken back only while those that stay would use no more of their CPU than this',
  ),
  lowerEveryMinutes: option(
    z.int().check(z.gte(1), z.lte(24 * 60)),
    10,
    'A tenth is taken back, at least one, and then none for so long',
  ),
  hosts: option(
    z.boolean(),
    true,
    'May it add instances below ECS tasks that have no room, within the maximum of their Auto Scaling group? They are not taken away again',
  ),
});
type Options = z.output<typeof options>;

/** `since`: of the wish, so that the same wish of another day is another step. `again`: how often it was asked for in vain. */
type Change = { readonly from: Level; readonly to: Level; readonly since: number; readonly again: number };
type Step =
  | (Change & {
      readonly do: 'raise' | 'lower' | 'start';
      /** `minimum`: of what scales the service by itself. */
      readonly what: 'group' | 'service' | 'minimum';
      /** Name of the group, ARN of the service. */
      readonly of: string;
      /** ARN of its scalable target; or empty. */
      readonly by: string;
      /** What was there before all this. */
      readonly former: Level;
    })
  | (Change & { readonly do: 'hosts'; readonly of: string });

/** Whether there is room for more tasks on the instances of a cluster, and whose those are. */
interface Hosts {
  readonly group: ScalingGroup | undefined;
  readonly uncovered: string | undefined;
  readonly registered: number;
  /** So many of the missing tasks find no room, and so many fit on one more instance. */
  readonly homeless: number;
  readonly each: number;
  readonly traits: Traits | undefined;
}
/** An Application Load Balancer: what it has counted lately. */
interface Door {
  readonly arn: string;
  readonly requests: number;
  /** Connections that it turned away itself, because it had as many as it can hold. */
  readonly rejected: number;
}
interface Seen {
  readonly target: Target;
  readonly tags: Readonly<Record<string, string>>;
  readonly uncovered: string | undefined;
  readonly group: Group;
  readonly capacity: Capacity;
  /** Why none is added, whoever asks. */
  readonly blocked: { readonly because: string; readonly remedy: string } | undefined;
  /** Of one more, a month; and what that is. NaN: not known. */
  readonly usd: number;
  readonly one: string;
  /** Averages of its CPU in the latest periods of five minutes, oldest first. */
  readonly cpu: readonly number[];
  /** Scales the service by itself; of those that have a policy. */
  readonly scaling: ServiceScaling | undefined;
  /** What may raise it by itself, service or group. */
  readonly tracked: Pick<ServiceScaling, 'policies' | 'suspended' | 'max'> | undefined;
  /** The cluster whose tasks run on the instances of this group. */
  readonly cluster: string | undefined;
  /** The load balancers before it. */
  readonly doors: readonly Door[];
  /** Of ECS tasks whose instances nothing but this adds. */
  readonly hosts: Hosts | undefined;
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const isGroup = ({ arn }: Target): boolean => arn.includes(':autoscaling:');
const observe = (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> =>
  isGroup(target) ? ofGroup(target, ports, look) : ofService(target, ports, look);

/** Its CPU, and what the load balancers before its target groups have counted: in one call. */
const loadLately = async (
  { metrics, loadBalancers }: Ports,
  metric: Pick<Metric, 'namespace' | 'dimensions'>,
  targetGroups: readonly string[],
  now: number,
): Promise<Pick<Seen, 'cpu' | 'doors'>> => {
  const before = await Promise.all(targetGroups.map((arn) => loadBalancers.balancersOf(arn).catch(noneIfGone)));
  const balancers = [...new Set(before.flat())].filter(isApplication);
  const counts = balancers.flatMap((b) => [countOf(b, 'RequestCount'), countOf(b, 'RejectedConnectionCount')]);
  const range = { from: now - minutes(20), to: now, period: minutes(5) };
  const [cpu = [], ...counted] = await metrics.exactly([{ ...metric, name: 'CPUUtilization' }, ...counts], range);
  const lately = (n: number): number =>
    (counted[n] ?? []).filter((p) => p.at >= now - LATELY).reduce((sum, p) => sum + p.value, 0);
  return {
    cpu: cpu.map((p) => p.value),
    doors: balancers.map((arn, i) => ({ arn, requests: lately(2 * i), rejected: lately(2 * i + 1) })),
  };
};
/** What a load balancer counted longer ago says nothing of now. */
const LATELY = minutes(15);

const UNSEEN = {
  usd: Number.NaN,
  one: '',
  cpu: [],
  scaling: undefined,
  tracked: undefined,
  cluster: undefined,
  doors: [],
  hosts: undefined,
};

const ofGroup = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const name = idOf(target);
  const found = await ports.groups.describe(name);
  if (!found) throw new NotFound(`there is no Auto Scaling group ${name}`);
  const uncovered = look.uncovered(found.tags);
  const bare: Seen = {
    ...UNSEEN,
    target,
    tags: found.tags,
    uncovered,
    group: { id: `asg/${name}`, size: Math.max(1, found.inService), zones: {} },
    capacity: {
      name: `asg/${name}`,
      unit: 'instance',
      floor: found.min,
      wanted: found.desired,
      ceiling: found.max,
      there: found.inService,
      scaled: false,
    },
    blocked: found.suspended.includes('Launch')
      ? {
          because: `asg/${name} has suspended Launch`,
          remedy: `resume it: aws autoscaling resume-processes --auto-scaling-group-name ${name}`,
        }
      : undefined,
  };
  if (uncovered !== undefined) return bare;
  const [first] = found.instances;
  const [traits, load, policies, host] = await Promise.all([
    dearest(found.types, target, ports),
    loadLately(ports, groupMetric(name), found.targetGroups, look.now),
    ports.groups.policies(name),
    first ? ports.containers.ofInstance(first.id) : undefined,
  ]);
  const suspended = found.suspended.includes('AlarmNotification');
  return {
    ...bare,
    ...load,
    tracked: policies.length > 0 ? { policies, suspended, max: found.max } : undefined,
    cluster: host && clusterOf(host.arn),
    usd: traits ? usdPerMonthOf(traits, target.region) : Number.NaN,
    one: traits?.type ?? 'instance',
  };
};

const groupMetric = (name: string) => ({ namespace: 'AWS/EC2', dimensions: { AutoScalingGroupName: name } });

const ofService = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const cluster = clusterOf(target.arn);
  const [service] = await ports.containers.services(cluster, [shortOf(target.arn)]);
  if (service?.status !== 'ACTIVE') throw new NotFound(`there is no service ${target.arn}, or it is being deleted`);
  const uncovered = look.uncovered(service.tags);
  const bare: Seen = {
    ...UNSEEN,
    target,
    tags: service.tags,
    uncovered,
    group: { id: `services/${cluster}`, size: 1, zones: {} },
    capacity: capacityOf(service, undefined),
    blocked:
      service.strategy === 'DAEMON'
        ? {
            because: `${service.name} is a daemon: it has one task on each instance`,
            remedy: 'scale the Auto Scaling group of its cluster',
          }
        : undefined,
  };
  if (uncovered !== undefined) return bare;
  const definition = primaryOf(service)?.definition;
  const dimensions = { ClusterName: cluster, ServiceName: service.name };
  const targetGroups = service.targetGroups.flatMap((t) => [t.arn, ...(t.alternate ? [t.alternate] : [])]);
  const [shape, load, scaling] = await Promise.all([
    definition ? ports.containers.definition(definition) : undefined,
    loadLately(ports, { namespace: 'AWS/ECS', dimensions }, targetGroups, look.now),
    ports.serviceScaling.describe(service),
  ]);
  const tracked = scaling && scaling.policies.length > 0 ? scaling : undefined;
  const own = service.launchType === 'EC2' && service.providers.length === 0 && shape;
  const seen: Seen = {
    ...bare,
    capacity: capacityOf(service, scaling),
    ...load,
    scaling: tracked,
    tracked,
    // On instances of its own a task costs what they cost; where a capacity provider adds them, not more than on Fargate.
    usd: own ? 0 : shape ? usdPerMonthOfTask(shape, target.region) : Number.NaN,
    one: `task of ${shape?.room.cpu ?? '?'} CPU units and ${shape?.room.memory ?? '?'} MiB${isServerless(service) ? ' on Fargate' : ''}`,
  };
  return own ? { ...seen, hosts: await hostsOf(service, shape, seen, ports, look) } : seen;
};

/** Where nothing moves it by itself, what is wanted is the floor. */
const capacityOf = (
  { cluster, name, desired, running }: ContainerService,
  scaling: ServiceScaling | undefined,
): Capacity => {
  const scaled = scaling !== undefined && scaling.policies.length > 0;
  return {
    name: `${cluster}/${name}`,
    unit: 'task',
    floor: scaled ? scaling.min : desired,
    wanted: desired,
    ceiling: scaling?.max,
    there: running,
    scaled,
  };
};

const hostsOf = async (
  service: ContainerService,
  shape: TaskShape,
  seen: Seen,
  ports: Ports,
  look: Look<Options>,
): Promise<Hosts | undefined> => {
  const { target } = seen;
  const missing = Math.max(0, (look.wish?.to ?? moreOf(seen, look)) - service.running - service.pending);
  const isAsked = (look.attempts as Past).some((a) => a.step.do === 'hosts');
  // Nothing lacks room, and nothing was launched for it.
  if (missing === 0 && !isAsked) return undefined;
  const all = await ports.containers.instances(service.cluster);
  const open = all.filter((i) => i.status === 'ACTIVE');
  const without = homeless(
    Array.from({ length: missing }, () => shape),
    all,
  ).length;
  const first = without > 0 || isAsked ? open[0] : undefined;
  const member = first && (await ports.groups.memberOf(first.instance));
  const group = member && (await ports.groups.describe(member.group));
  const traits = group && (await dearest(group.types, target, ports));
  // The agent and the system keep some of the memory.
  const fits = (t: Traits): number =>
    Math.min(
      Math.floor((t.vcpus * 1024) / Math.max(1, shape.room.cpu)),
      Math.floor((t.memoryMiB * 0.9) / Math.max(1, shape.room.memory)),
    );
  return {
    group,
    uncovered: group && look.uncovered(group.tags),
    registered: open.length,
    homeless: without,
    each: traits ? fits(traits) : 0,
    traits,
  };
};

// ---- what is seen -----------------------------------------------------------------------------------------------------------------------

type Past = readonly Attempt<Step>[];
type Moved = Attempt<Exclude<Step, { do: 'hosts' }>>;
const moves = ({ attempts }: Look<Options>): readonly Moved[] =>
  (attempts as Past).filter((a): a is Moved => a.step.do !== 'hosts' && a.undoes === undefined);
/** Changes of the floor that are known to have been carried out. */
const made = (look: Look<Options>): readonly Moved[] =>
  moves(look).filter((a) => a.step.do !== 'start' && a.effect === 'effective');
/** The change of the floor that somebody has changed since: it is neither what that made of it nor, should that not show yet, what it was before. */
const overruled = ({ capacity: { floor } }: Seen, look: Look<Options>): Moved | undefined => {
  const last = made(look).at(-1);
  if (last && last.step.to.floor !== floor) return last;
  const tried = moves(look).at(-1);
  // Where no answer came it may have been done.
  const mayBeDone = tried?.outcome?.kind === 'done' || tried?.outcome?.kind === 'ambiguous';
  return mayBeDone && tried.step.to.floor !== floor && tried.step.from.floor !== floor ? tried : undefined;
};
const formerOf = ({ capacity }: Seen, look: Look<Options>): Level => made(look)[0]?.step.former ?? levelOf(capacity);

/** What is to be there, and until when. `since` tells one time from another. */
interface Aim {
  readonly to: number;
  readonly since: Time;
  readonly until?: Time;
}
const aimOf = ({ at, to, until }: Wish): Aim => ({ to, since: at, ...(until === undefined ? {} : { until }) });
const isInForce = ({ until }: Pick<Aim, 'until'>, { now }: Look<Options>): boolean =>
  until === undefined || now < until;

const isBusy = ({ cpu }: Pick<Seen, 'cpu'>, { options: o }: Pick<Look<Options>, 'options'>): boolean =>
  cpu.length >= 2 && cpu.slice(-2).every((used) => used >= o.usedPercent);

const turningAway = ({ doors }: Pick<Seen, 'doors'>): readonly Door[] => doors.filter((d) => d.rejected > 0);

/** So often that floor was asked for, for the same wish or in the same trouble. */
const timesAsked = (floor: number, aim: Aim, look: Look<Options>): number =>
  moves(look).filter((a) => a.step.since === aim.since && a.step.to.floor === floor).length;

/** Half as many again, within what it may be. */
const moreOf = (seen: Seen, look: Look<Options>): number => {
  const { wanted, ceiling = Number.POSITIVE_INFINITY } = seen.capacity;
  const most = Math.min(ceiling, Math.floor(formerOf(seen, look).wanted * look.options.maxFactor));
  return Math.min(most, wanted + Math.max(1, Math.ceil(wanted / 2)));
};

const isHealthy = (seen: Seen, look: Look<Options>): boolean => {
  const { capacity: c, uncovered, cpu } = seen;
  const { wish } = look;
  if (uncovered !== undefined || unjudged(look.attempts)) return false;
  const isBack = c.floor <= formerOf(seen, look).floor;
  if (!wish) return isBack && cpu.length > 0 && !isBusy(seen, look) && turningAway(seen).length === 0;
  if (made(look).length === 0) return !isInForce(wish, look) || (c.floor >= wish.to && c.wanted >= wish.to);
  if (!isInForce(wish, look)) return isBack;
  return wish.until === undefined && c.floor === goalOf(seen, wish, look) && c.there >= wish.to;
};

/** The floor that is to be now. */
const goalOf = (seen: Seen, aim: Pick<Aim, 'to' | 'until'>, look: Look<Options>): number => {
  const { floor } = formerOf(seen, look);
  return isInForce(aim, look) ? Math.max(floor, aim.to) : floor;
};

const wishText = ({ by, to, until, why }: Wish): string =>
  `${by} wants at least ${to}${until === undefined ? '' : ` until ${iso(until)}`}: ${why}`;

const doorText = ({ arn, requests, rejected }: Door): string =>
  `; its load balancer ${nameOfBalancer(arn)} turned ${plural(rejected, 'connection')} away in the last ${span(LATELY)}, beside ${plural(requests, 'request')}`;

/** What hosts were added for it, which stay. */
const addedHosts = (look: Look<Options>): string => {
  const added = (look.attempts as Past).filter((a) => a.step.do === 'hosts' && a.effect === 'effective');
  const [first, last] = [added[0]?.step, added.at(-1)?.step];
  return first && last
    ? `; asg/${first.of} was raised from ${first.from.wanted} to ${last.to.wanted} for it and is not lowered: which of its instances are empty, ECS tells`
    : '';
};

const describe = (seen: Seen, look: Look<Options>): string => {
  const { capacity: c, uncovered, cpu } = seen;
  if (uncovered !== undefined) return `${c.name} is not looked into: ${uncovered}`;
  const most = c.ceiling === undefined ? '' : `, at most ${c.ceiling}`;
  const levels = c.floor === c.wanted ? `${c.wanted} wanted` : `${c.wanted} wanted, at least ${c.floor}`;
  const is = `${c.name}: ${levels}${most}; ${plural(c.there, c.unit)} ${c.there === 1 ? 'runs' : 'run'}`;
  if (look.wish)
    return `${is}; ${isInForce(look.wish, look) ? wishText(look.wish) : `the time of ${look.wish.by} is over`}${addedHosts(look)}`;
  const used = cpu.at(-1);
  const away = turningAway(seen).map(doorText).join('');
  if (used === undefined) return `${is}; how much of its CPU is used cannot be seen${away}`;
  if (isBusy(seen, look)) return `${is}; ${Math.round(used)} % of its CPU are used${away}${addedHosts(look)}`;
  return made(look).length > 0
    ? `${is}; it is not busy any more${away}${addedHosts(look)}`
    : `${is}; its CPU is not busy: whatever it fails of, more of it would not help${away}`;
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** What was asked of Auto Scaling or ECS shows within this, or a person is told. */
const COMES = minutes(15);
/** A look while nothing is to be done. */
const IDLE = minutes(10);
/** What is still busy so long after its time seems to need that for good. */
const STAYS = hours(6);
/** After the last that was added, nothing is taken away for so long. */
const CALM = minutes(20);
const TRIES = 3;

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { capacity: c, uncovered } = seen;
  const { now, wish } = look;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  const is = describe(seen, look);
  const running = unjudged(look.attempts);
  if (running) return { do: 'wait', until: now + seconds(20), because: `${is}: ${running.plan} does not show yet` };
  const mine = overruled(seen, look);
  if (mine && look.atWork !== undefined)
    return { do: 'wait', idle: true, until: now + minutes(1), because: `${is}; ${look.atWork} is at work on it` };
  if (mine)
    return {
      do: 'nothing',
      because: `${is}: Steward ${mine.outcome?.kind === 'ambiguous' ? 'may have' : 'had'} set ${mine.step.to.floor}, and somebody has changed that since: it is left as it is`,
    };
  if (!wish) return unwished(seen, look, is);
  const aim = aimOf(wish);
  const goal = goalOf(seen, aim, look);
  if (c.floor < goal) return raising(seen, goal, aim, look, is);
  if (c.floor > goal) return lowering(seen, goal, aim, look, is);
  return coming(seen, aim, look, is);
};

/** The floor is as it must be; what runs follows. */
const coming = (seen: Seen, aim: Aim, look: Look<Options>, is: string): Verdict<Step> => {
  const { capacity: c } = seen;
  const { now } = look;
  const { to, until } = aim;
  // A new minimum starts nothing by itself.
  if (c.wanted < to) return changing(seen, 'start', { floor: c.floor, wanted: to }, aim, look, is);
  const asked = moves(look).at(-1)?.reservedAt ?? look.openedAt;
  if (c.there >= to) return { do: 'wait', idle: true, until: Math.min(until ?? now + IDLE, now + IDLE), because: is };
  if (now - asked < COMES) return { do: 'wait', until: now + seconds(30), because: `${is}: the others are coming` };
  return {
    do: 'escalate',
    because: `${is}, ${span(now - asked)} after they were asked for`,
    remedy: lookAt(c),
  };
};

/** Nobody asked for it: it is busy, or was. */
const unwished = (seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const { capacity: c, cpu, cluster } = seen;
  const { now, openedAt } = look;
  const last = moves(look).at(-1);
  if (cpu.length === 0)
    return now - openedAt < COMES
      ? { do: 'wait', until: now + minutes(1), because: is }
      : { do: 'escalate', because: is, remedy: lookAt(c) };
  if (cluster !== undefined && !last)
    return {
      do: 'nothing',
      because: `${is}; its instances are hosts of the ECS cluster ${cluster}: its services are what is raised, and instances first where their tasks have no room`,
    };
  if (!isBusy(seen, look)) return idling(seen, look, is);
  const aim = { to: c.floor, since: openedAt };
  if (last && (c.wanted < c.floor || c.there < c.wanted)) return coming(seen, aim, look, is);
  const others = othersFirst(seen, look);
  if (others !== undefined) return { do: 'wait', until: now + minutes(1), because: `${is}; ${others}` };
  const to = moreOf(seen, look);
  return to > c.wanted ? raising(seen, to, { ...aim, to }, look, is) : atItsEnd(seen, look, is);
};

/** Why a busy one is not raised yet. */
const othersFirst = (seen: Seen, look: Look<Options>): string | undefined => {
  const { capacity: c, tracked } = seen;
  const { now, openedAt } = look;
  const patience = minutes(look.options.patienceMinutes);
  const last = moves(look).at(-1);
  if (last && now - last.reservedAt < patience) return `${last.plan}: that shows in its CPU within minutes`;
  if (!tracked || tracked.suspended || c.wanted >= tracked.max || now - openedAt >= patience) return undefined;
  // Where connections are turned away already, it was too slow.
  return turningAway(seen).length > 0
    ? undefined
    : `${tracked.policies.join(', ')} may raise it by itself, up to ${tracked.max}`;
};

/** It is not busy, or not any more. */
const idling = (seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const { now, openedAt, options: o } = look;
  const last = moves(look).at(-1);
  const former = formerOf(seen, look).floor;
  const away = turningAway(seen);
  // Idle targets are not what a load balancer waits for: more of them would take nothing off it.
  if (away.length > 0 && seen.capacity.floor <= former)
    return now - openedAt < minutes(o.patienceMinutes)
      ? {
          do: 'wait',
          idle: true,
          until: now + minutes(1),
          because: `${is}; a load balancer grows by itself in minutes`,
        }
      : { do: 'escalate', because: is, remedy: away.map(({ arn }) => widen(arn)).join('; ') };
  const aim = { to: 0, since: openedAt, until: (last?.reservedAt ?? now) + CALM };
  return now < aim.until
    ? { do: 'wait', idle: true, until: aim.until, because: `${is}; what was added stays for a while` }
    : lowering(seen, former, aim, look, is);
};

/** What gives the load balancer itself more: its own capacity, or fewer connections that it must hold. */
const widen = (balancer: string): string =>
  `reserve capacity for it: aws elbv2 modify-capacity-reservation --load-balancer-arn ${balancer} --minimum-load-balancer-capacity CapacityUnits=…; or shorten its idle timeout, or look who holds the connections`;

const atItsEnd = ({ capacity: c, target }: Seen, { options: o }: Look<Options>, is: string): Verdict<Step> =>
  c.ceiling !== undefined && c.wanted >= c.ceiling
    ? {
        do: 'escalate',
        because: `${is}: it is at its maximum of ${c.ceiling}`,
        remedy: `raise its maximum, or find what takes its CPU: ${maximumOf(target, c)}`,
      }
    : {
        do: 'escalate',
        because: `${is}: that is ${o.maxFactor} times what was wanted before, and as much as the policy lets it add`,
        remedy: `steward scale ${c.name} --to … --because …, or raise remediations.overload.maxFactor`,
      };

const maximumOf = (target: Target, { name, ceiling = 0 }: Capacity, to = ceiling * 2): string =>
  isGroup(target)
    ? `aws autoscaling update-auto-scaling-group --auto-scaling-group-name ${idOf(target)} --max-size ${to}`
    : `aws application-autoscaling register-scalable-target --service-namespace ecs --scalable-dimension ecs:service:DesiredCount --resource-id service/${name} --max-capacity ${to}`;

const lookAt = ({ name, unit }: Capacity): string => {
  const [group = '', of = ''] = name.split('/');
  return unit === 'instance'
    ? `look why none is launched: aws autoscaling describe-scaling-activities --auto-scaling-group-name ${of}`
    : `look at its events: aws ecs describe-services --cluster ${group} --services ${of}`;
};

const raising = (seen: Seen, goal: number, aim: Aim, look: Look<Options>, is: string): Verdict<Step> => {
  const { capacity: c, blocked, target } = seen;
  if (blocked) return { do: 'escalate', because: `${is}; ${blocked.because}`, remedy: blocked.remedy };
  if (c.ceiling !== undefined && goal > c.ceiling)
    return {
      do: 'escalate',
      because: `${is}, which is more than its maximum`,
      remedy: `raise its maximum, or ask for ${c.ceiling}: ${maximumOf(target, c, goal)}`,
    };
  const again = timesAsked(goal, aim, look);
  if (again >= TRIES)
    return { do: 'escalate', because: `${is}; that was asked for ${again} times in vain`, remedy: lookAt(c) };
  const room = roomFor(seen, goal, aim, look, is);
  if (typeof room !== 'number') return room;
  const to = raised(c, room);
  return changing(seen, 'raise', c.scaled ? { floor: to.floor, wanted: c.wanted } : to, aim, look, is);
};

const whatOf = ({ target, scaling }: Seen, what: 'raise' | 'lower' | 'start') =>
  isGroup(target) ? 'group' : scaling && what !== 'start' ? 'minimum' : 'service';

const changing = (
  seen: Seen,
  what: 'raise' | 'lower' | 'start',
  to: Level,
  aim: Aim,
  look: Look<Options>,
  is: string,
): Verdict<Step> => {
  const { capacity: c, target, scaling } = seen;
  const step: Step = {
    do: what,
    what: whatOf(seen, what),
    of: isGroup(target) ? idOf(target) : target.arn,
    by: scaling?.arn ?? '',
    from: levelOf(c),
    to,
    former: formerOf(seen, look),
    since: aim.since,
    again: timesAsked(to.floor, aim, look),
  };
  const more = Math.max(to.floor, to.wanted) - c.wanted;
  const cost = what === 'raise' && more > 0 && seen.usd !== 0 ? costOf(seen, more, aim, look) : undefined;
  return {
    do: 'act',
    rung: what === 'start' ? 'start' : `${what} ${to.floor}`,
    step,
    plan: `${what === 'start' ? 'raise' : what} ${c.name} ${levelsText(c, to)}`,
    because: is,
    ...(what === 'lower' ? { recovers: true, continues: true } : {}),
    ...(what === 'start' ? { continues: true } : {}),
    ...(cost ? { cost } : {}),
    ...(cost && !look.options.unasked && !look.wish ? { asks: 'it costs money' } : {}),
  };
};

const levelsText = (c: Capacity, to: Level): string => {
  if (to.floor === to.wanted && c.floor === c.wanted) return `from ${c.wanted} to ${to.wanted}`;
  const floor = to.floor === c.floor ? '' : `from at least ${c.floor} to at least ${to.floor}`;
  const wanted = to.wanted === c.wanted ? '' : `from ${c.wanted} to ${to.wanted} wanted`;
  return [floor, wanted].filter(Boolean).join(', ');
};

/** For as long as it lasts, the way down included; at most a month. */
const costOf = ({ usd, one, capacity: c }: Seen, more: number, { to, until }: Aim, look: Look<Options>) => {
  const down = minutes(look.options.lowerEveryMinutes) * stepsDown(to, c.wanted);
  const lasts = until === undefined ? hours(730) : Math.min(hours(730), until - look.now + down);
  return {
    usdPerMonth: (more * usd * lasts) / hours(730),
    what: `${more} more ${one}${until === undefined ? '' : `, for ${span(lasts)} at most`}`,
  };
};

/** Up to how many there is room, or what comes first: instances below them. */
const roomFor = (seen: Seen, goal: number, aim: Aim, look: Look<Options>, is: string): number | Verdict<Step> => {
  const { hosts, capacity: c } = seen;
  if (!hosts || hosts.homeless === 0) return goal;
  const { group, registered, homeless: without } = hosts;
  const room = goal - without;
  const short = `${is}; there is room for ${Math.max(0, room - c.there)} more on ${plural(registered, 'instance')}`;
  const asked = (look.attempts as Past).filter((a) => a.step.do === 'hosts' && a.outcome?.kind !== 'transient');
  const since = look.now - (asked.at(-1)?.reservedAt ?? 0);
  // Instances need minutes to boot and to join.
  if (group && since < COMES && Math.min(group.inService, registered) < group.desired)
    return { do: 'wait', until: look.now + seconds(30), because: `${short}; asg/${group.name} launches others` };
  const act = addingHosts(seen, asked.length, aim, look, short);
  // What fits is better than nothing.
  if (typeof act === 'string' && room > c.floor) return room;
  return typeof act === 'string'
    ? {
        do: 'escalate',
        because: `${short}; ${act}`,
        remedy: 'add instances to the cluster, and it goes on by itself',
      }
    : act;
};

/** Or why not. */
const addingHosts = (
  { hosts, capacity: c, target }: Seen,
  again: number,
  aim: Aim,
  look: Look<Options>,
  short: string,
): string | Verdict<Step> => {
  const because = hosts && noHosts(hosts, look);
  const { group, traits, each = 0, homeless: without = 0 } = hosts ?? {};
  if (because !== undefined || !group || !traits) return because ?? 'its instances are in no Auto Scaling group';
  const wanted = Math.min(group.max, group.desired + Math.ceil(without / each));
  const more = wanted - group.desired;
  if (more <= 0) return `asg/${group.name} is at its maximum of ${group.max}`;
  if (again >= TRIES) return `asg/${group.name} was raised ${plural(again, 'time')} for it`;
  return {
    do: 'act',
    rung: `hosts ${wanted}`,
    step: {
      do: 'hosts',
      of: group.name,
      from: { floor: group.min, wanted: group.desired },
      to: { floor: group.min, wanted },
      since: aim.since,
      again,
    },
    cost: { usdPerMonth: more * usdPerMonthOf(traits, target.region), what: `${more} more ${traits.type}` },
    ...(look.options.unasked || look.wish ? {} : { asks: 'it costs money' }),
    plan: `raise asg/${group.name} from ${group.desired} to ${wanted}, for ${plural(without, 'task')} of ${c.name} ${without === 1 ? 'has' : 'have'} no room`,
    because: short,
  };
};

/** Why no instance is added. */
const noHosts = ({ group, uncovered, each }: Hosts, { options: o }: Look<Options>): string | undefined => {
  if (!o.hosts) return 'the policy lets it add no instances';
  if (!group) return 'its instances are in no Auto Scaling group';
  if (uncovered !== undefined) return `asg/${group.name}: ${uncovered}`;
  if (group.suspended.includes('Launch')) return `asg/${group.name} has suspended Launch`;
  return each === 0 ? `no task fits on an instance of asg/${group.name}, or its types are not known` : undefined;
};

const lowering = (seen: Seen, goal: number, aim: Aim, look: Look<Options>, is: string): Verdict<Step> => {
  const { capacity: c, cpu } = seen;
  const { now, options: o } = look;
  const used = cpu.at(-1);
  const next = lowered(c, formerOf(seen, look), goal);
  // What scales by itself sees to what it takes away.
  if (next.wanted >= c.wanted && !c.scaled) return changing(seen, 'lower', next, aim, look, is);
  const at = (moves(look).at(-1)?.reservedAt ?? 0) + minutes(o.lowerEveryMinutes);
  if (now < at) return { do: 'wait', idle: true, until: at, because: `${is}; it goes down in steps` };
  const would = used === undefined ? undefined : (used * c.there) / Math.max(1, next.wanted);
  if (c.scaled || (would !== undefined && would <= o.easyPercent)) return changing(seen, 'lower', next, aim, look, is);
  const why =
    would === undefined
      ? 'how much of its CPU is used cannot be seen'
      : `${next.wanted} would use ${Math.round(would)} % of their CPU, and ${o.easyPercent} % is what is allowed`;
  return now - (aim.until ?? now) < STAYS
    ? { do: 'wait', idle: true, until: now + IDLE / 2, because: `${is}; ${why}` }
    : {
        do: 'escalate',
        because: `${is}; ${why}`,
        remedy: `if it needs them for good: steward scale ${c.name} --to ${c.floor} --because …; else steward undo takes all back at once`,
      };
};

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

type Writers = Pick<Ports, 'groups' | 'containers' | 'serviceScaling'>;
const set = async (step: Step, { from, to }: { from: Level; to: Level }, ports: Writers): Promise<Json> => {
  if (step.do === 'hosts' || step.what === 'group') await ports.groups.resize(step.of, { from, to });
  else if (step.what === 'minimum') await ports.serviceScaling.setMin(step.of, { from: from.floor, to: to.floor });
  else await ports.containers.scale(step.of, { expected: from.wanted, desired: to.wanted });
  return { of: step.of, ...to };
};

const shows = (step: Step, { capacity: c, hosts }: Seen): boolean => {
  if (step.do === 'hosts') return hosts?.group?.name === step.of && hosts.group.desired >= step.to.wanted;
  if (step.do === 'start') return c.wanted >= step.to.wanted;
  return c.floor === step.to.floor && (step.do === 'lower' || c.wanted >= step.to.wanted || c.scaled);
};

const effect = ({ step, reservedAt, effect: was }: Attempt<Step>, seen: Seen, { now }: Look<Options>): Effect => {
  // It was so: what is otherwise since, somebody else has done.
  if (was === 'effective') return was;
  if (shows(step, seen)) return 'effective';
  return now - reservedAt < minutes(2) ? 'pending' : 'ineffective';
};

/** A group that only its name tells: its ARN has an id beside it, by which everybody else calls it. */
const UNIDENTIFIED = typeOf(groupTarget({ account: '0'.repeat(12), region: 'any' }, 'any'));
const identified = async (target: Target, { groups }: Ports): Promise<readonly Target[]> => {
  const found = await groups.describe(idOf(target));
  return found ? [targetOf(found.arn)] : [];
};

// ---- survey -----------------------------------------------------------------------------------------------------------------------------

const survey = async (ports: Ports, scan: Scan<Options>) => {
  const alarmed = (await scan.firing()).filter((s) => s.kind === 'capacity.short');
  if (!scan.options.survey) return alarmed;
  const range = { from: scan.now - minutes(20), to: scan.now, period: minutes(5) };
  const seen = await Promise.all([busyServices, busyGroups, fullDoors].map((look) => look(ports, scan, range)));
  return [...alarmed, ...seen.flat()];
};

const found = (target: Target, what: 'busy' | 'full', cause: string, now: Time): Signal => ({
  kind: 'capacity.short',
  target,
  at: now,
  cause: `survey: ${cause}`,
  // A new one each hour is enough for whoever looks into it already.
  eventId: `survey:${target.arn}:${what}@${iso(now).slice(0, 13)}`,
  routine: true,
});
const busyText = (cpu: readonly number[], name: string): string =>
  `${Math.round(cpu.at(-1) ?? 0)} % of the CPU of ${name} are used`;

const busyServices = async ({ metrics, where }: Ports, { now, options: o }: Scan<Options>, range: Range) => {
  const all = await metrics.all({ namespace: 'AWS/ECS', name: 'CPUUtilization' }, range);
  return all.flatMap(({ dimensions: { ClusterName, ServiceName }, points }): Signal[] => {
    const cpu = points.map((p) => p.value);
    if (!ClusterName || !ServiceName || !isBusy({ cpu }, { options: o })) return [];
    const target = serviceTarget(where, ClusterName, ServiceName);
    return [found(target, 'busy', busyText(cpu, `${ClusterName}/${ServiceName}`), now)];
  });
};

/** Of the groups that it is for: a listing of all metrics of that name would have those of each instance in it. */
const busyGroups = async ({ metrics, groups }: Ports, { now, options: o, uncovered }: Scan<Options>, range: Range) => {
  const own = (await groups.all()).filter((g) => g.inService > 0 && uncovered(g.tags) === undefined);
  const asked = own.map(({ name }) => ({ ...groupMetric(name), name: 'CPUUtilization' }));
  const all = await metrics.exactly(asked, range);
  return own.flatMap(({ arn, name }, i): Signal[] => {
    const cpu = (all[i] ?? []).map((p) => p.value);
    return isBusy({ cpu }, { options: o }) ? [found(targetOf(arn), 'busy', busyText(cpu, `asg/${name}`), now)] : [];
  });
};

/** A load balancer that turns nothing away has no such metric: those that are listed are few. */
const fullDoors = async ({ metrics, where }: Ports, { now }: Scan<Options>, { from, to, period }: Range) => {
  const all = await metrics.all(
    { namespace: 'AWS/ApplicationELB', name: 'RejectedConnectionCount' },
    { from, to, period },
  );
  return all.flatMap(({ dimensions, points }): Signal[] => {
    const { LoadBalancer, ...others } = dimensions;
    // Of each zone it is counted once more.
    const isWhole = Object.keys(others).length === 0;
    if (!LoadBalancer || !isWhole || !points.some((p) => p.at >= now - LATELY && p.value > 0)) return [];
    const target = balancerTarget(where, LoadBalancer);
    return [found(target, 'full', `the load balancer ${nameOfBalancer(target.arn)} turns connections away`, now)];
  });
};

/** @param id as its metrics call it: 'app/web/50dc' */
const balancerTarget = ({ account, region }: Ports['where'], id: string): Target =>
  targetOf(`arn:${partitionOf(region)}:elasticloadbalancing:${region}:${account}:loadbalancer/${id}`);

/** What has any of these target groups. */
const behind = async (targetGroups: readonly string[], ports: Ports): Promise<readonly Target[]> => {
  const groups = (await ports.groups.all()).filter((g) => g.targetGroups.some((t) => targetGroups.includes(t)));
  return [...(await servicesWith(targetGroups, ports)), ...groups.map((g) => targetOf(g.arn))];
};

export const overload = defineRemediation<Seen, Step, Options>({
  name: 'overload',
  title:
    'gives an ECS service or an Auto Scaling group that is busy, or of which a person wants more, more at once, and takes it back slowly',
  about: `At a person's word (\`steward scale asg/web --to 8 --for 2h --because …\`) the floor of an Auto Scaling group (its minimum and desired capacity) or of an ECS service (the minimum of what scales it
by itself, and its desired count) is **raised** at once: within its own maximum, which is never raised, and within the cost cap, which counts the time that it lasts. By itself it does the same where a
service or a group uses \`usedPercent\` of its CPU for ten minutes: half as many again at each step, to at most \`maxFactor\` times what was wanted; what scales it by itself has ten minutes for it
first, and where that is at its maximum a person is told. What costs money it asks for, unless \`unasked\` lets it. Where the CPU is not busy nothing is added, whatever fails.
Connections that an Application Load Balancer turns away (\`RejectedConnectionCount\`) say that it had as many as it can hold: where the targets are busy as well, slow answers keep them open, and more is added at once; where they are idle, more targets
would take nothing off it, and a person is told what would. A group whose instances are hosts of an ECS cluster is not raised by itself: its services are.
Where the tasks of a service
have no room on its instances, **hosts** come first: the desired capacity of their Auto Scaling group is raised, within its maximum; those are not taken away again, for nobody but ECS knows which are
empty. When the time is over, or it is calm, the floor is **lowered** to what it was, a tenth every ten minutes, and only while those that stay would not be busy. What somebody else has changed meanwhile
is left as it is. It asks Auto Scaling and ECS themselves, whatever state the CloudFormation stack is in. \`steward undo\` takes all of it back at once.`,
  answers: ['capacity.short', 'capacity.wanted'],
  risk: 'harmless',
  targets: ['arn:*:autoscaling:*:*:autoScalingGroup:*-*-*-*-*:autoScalingGroupName/*', 'arn:*:ecs:*:*:service/*'],
  ladder: {
    hosts: 'instances below ECS tasks that have no room',
    raise: 'the floor, to what is wanted',
    start: 'what a new minimum does not start by itself',
    lower: 'the floor again, in steps, when the time is over',
  },
  permissions: [
    {
      for: 'look',
      actions: [
        'autoscaling:DescribeAutoScalingGroups',
        'autoscaling:DescribeAutoScalingInstances',
        'ec2:DescribeInstanceTypes',
        'ecs:DescribeServices',
        'ecs:DescribeTaskDefinition',
        'ecs:ListContainerInstances',
        'ecs:DescribeContainerInstances',
        'application-autoscaling:DescribeScalableTargets',
        'application-autoscaling:DescribeScalingPolicies',
        'autoscaling:DescribePolicies',
        'elasticloadbalancing:DescribeTargetGroups',
        'cloudwatch:GetMetricData',
        'cloudwatch:ListMetrics',
        'ecs:ListClusters',
        'ecs:ListServices',
      ],
      resources: ['*'],
    },
    {
      for: 'act',
      actions: ['autoscaling:UpdateAutoScalingGroup'],
      resources: ['arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*'],
      whenTagged: 'aws:ResourceTag',
    },
    {
      for: 'act',
      actions: ['ecs:UpdateService'],
      resources: ['arn:*:ecs:*:*:service/*'],
      whenTagged: 'aws:ResourceTag',
    },
    // Of a service that carries the tag; its scalable target carries none.
    {
      for: 'act',
      actions: ['application-autoscaling:RegisterScalableTarget'],
      resources: ['arn:*:application-autoscaling:*:*:scalable-target/*'],
    },
  ],
  options,
  attemptsPerDay: 20,
  inStorms: false,
  adds: true,
  survey,
  locate: {
    targetgroup: ({ arn }, ports) => behind([arn], ports),
    loadbalancer: async ({ arn }, ports) => behind(await ports.loadBalancers.groupsOf(arn).catch(noneIfGone), ports),
    [UNIDENTIFIED]: identified,
  },
  observe,
  facts: ({ tags, group }) => ({ tags, group, zone: undefined }),
  describe,
  isHealthy,
  decide,
  act: (step, ports) => set(step, step, ports),
  touches: (step, target) =>
    step.do === 'hosts' ? [groupArn(target, partitionOf(target.region), step.of)] : step.by === '' ? [] : [step.by],
  before: () => null,
  effect,
  undo: async ({ step }, ports) => {
    if (step.do === 'hosts')
      throw new Refused('no-undo', `tasks may run on what asg/${step.of} has launched: it is lowered by hand`);
    // What scales it by itself takes away what it no longer needs.
    const what = step.do === 'start' && step.by !== '' ? 'minimum' : step.what;
    return set({ ...step, what }, { from: step.to, to: step.former }, ports);
  },
});
