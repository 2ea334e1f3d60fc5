import * as z from 'zod/mini';
import { type Capacity, type Level, levelOf, lowered, raised, stepsDown } from '../core/capacity.ts';
import { type ContainerService, clusterOf, homeless, type TaskShape } from '../core/containers.ts';
import { NotFound, Refused } from '../core/errors.ts';
import { groupArn, type ScalingGroup } from '../core/groups.ts';
import type { Attempt, Wish } from '../core/incident.ts';
import { option } from '../core/policy.ts';
import type { Metric, Ports, Traits } from '../core/ports.ts';
import { defineRemediation, type Effect, type Group, type Look } from '../core/remediation.ts';
import { shortOf } from '../core/services.ts';
import { idOf, partitionOf, type Target } from '../core/target.ts';
import { hours, iso, minutes, seconds, span } from '../core/time.ts';
import { usdPerMonthOf, usdPerMonthOfTask } from '../core/units.ts';
import type { Json, Verdict } from '../core/verdict.ts';
import { plural } from '../core/words.ts';

const options = z.strictObject({
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
      readonly do: 'raise' | 'lower';
      readonly what: 'group' | 'service';
      /** Name of the group, ARN of the service. */
      readonly of: string;
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
  /** Average of its CPU in the latest five minutes. Undefined: no datapoint came lately. */
  readonly used: number | undefined;
  /** Of ECS tasks whose instances nothing but this adds. */
  readonly hosts: Hosts | undefined;
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const isGroup = ({ arn }: Target): boolean => arn.includes(':autoscaling:');
/** Without a wish, and before anything was done, nothing is looked into. */
const isAsked = ({ wish, attempts }: Look<Options>): boolean => wish !== undefined || attempts.length > 0;

const observe = (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> =>
  isGroup(target) ? ofGroup(target, ports, look) : ofService(target, ports, look);

const usedLately = async (
  { metrics }: Ports,
  metric: Pick<Metric, 'namespace' | 'dimensions'>,
  now: number,
): Promise<number | undefined> => {
  const range = { from: now - minutes(15), to: now, period: minutes(5) };
  const [points = []] = await metrics.exactly([{ ...metric, name: 'CPUUtilization' }], range);
  return points.at(-1)?.value;
};

const UNASKED = { usd: Number.NaN, one: '', used: undefined, hosts: undefined };

const ofGroup = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const name = idOf(target);
  const found = await ports.groups.describe(name);
  if (!found) throw new NotFound(`there is no Auto Scaling group ${name}`);
  const uncovered = look.uncovered(found.tags);
  const bare: Seen = {
    ...UNASKED,
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
    },
    blocked: found.suspended.includes('Launch')
      ? {
          because: `asg/${name} has suspended Launch`,
          remedy: `resume it: aws autoscaling resume-processes --auto-scaling-group-name ${name}`,
        }
      : undefined,
  };
  if (uncovered !== undefined || !isAsked(look)) return bare;
  const [traits, used] = await Promise.all([
    dearest(found.types, target, ports),
    usedLately(ports, { namespace: 'AWS/EC2', dimensions: { AutoScalingGroupName: name } }, look.now),
  ]);
  return {
    ...bare,
    used,
    usd: traits ? usdPerMonthOf(traits, target.region) : Number.NaN,
    one: traits?.type ?? 'instance',
  };
};

/** Which of a group's types the next one has nobody knows: the dearest is counted. */
const dearest = async (
  types: readonly string[],
  { region }: Target,
  { instances }: Ports,
): Promise<Traits | undefined> => {
  const known = types.length > 0 ? Object.values(await instances.traits(types)) : [];
  const usd = (t: Traits): number => usdPerMonthOf(t, region);
  return known.length < types.length || known.some((t) => Number.isNaN(usd(t)))
    ? undefined
    : known.sort((a, b) => usd(b) - usd(a))[0];
};

const isServerless = ({ launchType, providers }: ContainerService): boolean =>
  launchType === 'FARGATE' || providers.some((p) => p.startsWith('FARGATE'));

const ofService = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const cluster = clusterOf(target.arn);
  const [service] = await ports.containers.services(cluster, [shortOf(target.arn)]);
  if (service?.status !== 'ACTIVE') throw new NotFound(`there is no service ${target.arn}, or it is being deleted`);
  const uncovered = look.uncovered(service.tags);
  const bare: Seen = {
    ...UNASKED,
    target,
    tags: service.tags,
    uncovered,
    group: { id: `services/${cluster}`, size: 1, zones: {} },
    capacity: {
      name: `${cluster}/${service.name}`,
      unit: 'task',
      floor: service.desired,
      wanted: service.desired,
      ceiling: undefined,
      there: service.running,
    },
    blocked:
      service.strategy === 'DAEMON'
        ? {
            because: `${service.name} is a daemon: it has one task on each instance`,
            remedy: 'scale the Auto Scaling group of its cluster',
          }
        : undefined,
  };
  if (uncovered !== undefined || !isAsked(look)) return bare;
  const definition = service.deployments.find((d) => d.status === 'PRIMARY')?.definition;
  const dimensions = { ClusterName: cluster, ServiceName: service.name };
  const [shape, used] = await Promise.all([
    definition ? ports.containers.definition(definition) : undefined,
    usedLately(ports, { namespace: 'AWS/ECS', dimensions }, look.now),
  ]);
  const own = service.launchType === 'EC2' && service.providers.length === 0 && shape;
  return {
    ...bare,
    used,
    // On instances of its own a task costs what they cost; where a capacity provider adds them, not more than on Fargate.
    usd: own ? 0 : shape ? usdPerMonthOfTask(shape, target.region) : Number.NaN,
    one: `task of ${shape?.room.cpu ?? '?'} CPU units and ${shape?.room.memory ?? '?'} MiB${isServerless(service) ? ' on Fargate' : ''}`,
    hosts: own ? await hostsOf(service, shape, target, ports, look) : undefined,
  };
};

const hostsOf = async (
  service: ContainerService,
  shape: TaskShape,
  target: Target,
  ports: Ports,
  look: Look<Options>,
): Promise<Hosts> => {
  const all = await ports.containers.instances(service.cluster);
  const open = all.filter((i) => i.status === 'ACTIVE');
  const missing = Math.max(0, (look.wish?.to ?? 0) - service.running - service.pending);
  const one = { room: shape.room } as Parameters<typeof homeless>[0][number];
  const without = homeless(
    Array.from({ length: missing }, () => one),
    all,
  ).length;
  const member = open[0] && (await ports.groups.memberOf(open[0].instance));
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
type Moved = Attempt<Extract<Step, { do: 'raise' | 'lower' }>>;
const moves = ({ attempts }: Look<Options>): readonly Moved[] =>
  (attempts as Past).filter((a): a is Moved => a.step.do !== 'hosts' && a.undoes === undefined);
/** Those that are known to have been carried out. */
const made = (look: Look<Options>): readonly Moved[] => moves(look).filter((a) => a.effect === 'effective');
const formerOf = ({ capacity }: Seen, look: Look<Options>): Level => made(look)[0]?.step.former ?? levelOf(capacity);
const isInForce = ({ until }: Wish, { now }: Look<Options>): boolean => until === undefined || now < until;
const isJudged = ({ attempts }: Look<Options>): boolean => {
  const last = attempts.at(-1);
  const ran = last?.outcome?.kind === 'done' || last?.outcome?.kind === 'ambiguous';
  return !ran || last.effect !== undefined || last.undoes !== undefined;
};

const isHealthy = (seen: Seen, look: Look<Options>): boolean => {
  const { capacity: c, uncovered } = seen;
  const { wish } = look;
  if (uncovered !== undefined || !isJudged(look)) return false;
  if (!wish) return true;
  if (made(look).length === 0) return !isInForce(wish, look) || c.floor >= wish.to;
  if (!isInForce(wish, look)) return c.floor <= formerOf(seen, look).floor;
  return wish.until === undefined && c.floor === goalOf(seen, wish, look) && c.there >= wish.to;
};

/** The floor that is to be now. */
const goalOf = (seen: Seen, wish: Wish, look: Look<Options>): number => {
  const { floor } = formerOf(seen, look);
  return isInForce(wish, look) ? Math.max(floor, wish.to) : floor;
};

const wishText = ({ by, to, until, why }: Wish): string =>
  `${by} wants at least ${to}${until === undefined ? '' : ` until ${iso(until)}`}: ${why}`;

/** What hosts were added for it, which stay. */
const addedHosts = (look: Look<Options>): string => {
  const added = (look.attempts as Past).filter((a) => a.step.do === 'hosts' && a.effect === 'effective');
  const [first, last] = [added[0]?.step, added.at(-1)?.step];
  return first && last
    ? `; asg/${first.of} was raised from ${first.from.wanted} to ${last.to.wanted} for it and is not lowered: which of its instances are empty, ECS tells`
    : '';
};

const describe = ({ capacity: c, uncovered }: Seen, look: Look<Options>): string => {
  if (uncovered !== undefined) return `${c.name} is not looked into: ${uncovered}`;
  const most = c.ceiling === undefined ? '' : `, at most ${c.ceiling}`;
  const levels = c.floor === c.wanted ? `${c.wanted} wanted` : `${c.wanted} wanted, at least ${c.floor}`;
  const is = `${c.name}: ${levels}${most}; ${plural(c.there, c.unit)} ${c.there === 1 ? 'runs' : 'run'}`;
  if (!look.wish) return `${is}; nobody wants more`;
  return `${is}; ${isInForce(look.wish, look) ? wishText(look.wish) : `the time of ${look.wish.by} is over`}${addedHosts(look)}`;
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** What was asked of Auto Scaling or ECS shows within this, or a person is told. */
const COMES = minutes(15);
/** A look while nothing is to be done. */
const IDLE = minutes(10);
/** What is still busy so long after its time seems to need that for good. */
const STAYS = hours(6);
const TRIES = 3;

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { capacity: c, uncovered } = seen;
  const { now, wish } = look;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  const is = describe(seen, look);
  if (!isJudged(look))
    return { do: 'wait', until: now + seconds(20), because: `${is}: ${look.attempts.at(-1)?.plan} does not show yet` };
  if (!wish) return { do: 'nothing', because: is };
  const last = made(look).at(-1);
  if (last && last.step.to.floor !== c.floor && look.atWork !== undefined)
    return { do: 'wait', idle: true, until: now + minutes(1), because: `${is}; ${look.atWork} is at work on it` };
  if (last && last.step.to.floor !== c.floor)
    return {
      do: 'nothing',
      because: `${is}: Steward had set ${last.step.to.floor}, and somebody has changed that since: it is left as it is`,
    };
  const goal = goalOf(seen, wish, look);
  if (c.floor < goal) return raising(seen, goal, wish, look, is);
  if (c.floor > goal) return lowering(seen, goal, wish, look, is);
  return coming(seen, wish, look, is);
};

/** The floor is as it must be; what runs follows. */
const coming = ({ capacity: c }: Seen, { to, until }: Wish, look: Look<Options>, is: string): Verdict<Step> => {
  const { now } = look;
  const asked = made(look).at(-1)?.reservedAt ?? look.openedAt;
  if (c.there >= to) return { do: 'wait', idle: true, until: Math.min(until ?? now + IDLE, now + IDLE), because: is };
  if (now - asked < COMES) return { do: 'wait', until: now + seconds(30), because: `${is}: the others are coming` };
  return {
    do: 'escalate',
    because: `${is}, ${span(now - asked)} after they were asked for`,
    remedy: lookAt(c),
  };
};

const lookAt = ({ name, unit }: Capacity): string => {
  const [group = '', of = ''] = name.split('/');
  return unit === 'instance'
    ? `look why none is launched: aws autoscaling describe-scaling-activities --auto-scaling-group-name ${of}`
    : `look at its events: aws ecs describe-services --cluster ${group} --services ${of}`;
};

const raising = (seen: Seen, goal: number, wish: Wish, look: Look<Options>, is: string): Verdict<Step> => {
  const { capacity: c, blocked } = seen;
  if (blocked) return { do: 'escalate', because: `${is}; ${blocked.because}`, remedy: blocked.remedy };
  if (c.ceiling !== undefined && goal > c.ceiling)
    return {
      do: 'escalate',
      because: `${is}, which is more than its maximum`,
      remedy: `raise its maximum, or ask for ${c.ceiling}: aws autoscaling update-auto-scaling-group --auto-scaling-group-name ${idOf(seen.target)} --max-size ${goal}`,
    };
  const again = moves(look).filter((a) => a.step.since === wish.at && a.step.to.floor === goal).length;
  if (again >= TRIES)
    return { do: 'escalate', because: `${is}; that was asked for ${again} times in vain`, remedy: lookAt(c) };
  const room = roomFor(seen, goal, wish, look, is);
  if (typeof room !== 'number') return room;
  return changing(seen, 'raise', raised(c, room), wish, look, is);
};

const changing = (
  seen: Seen,
  what: 'raise' | 'lower',
  to: Level,
  wish: Wish,
  look: Look<Options>,
  is: string,
): Verdict<Step> => {
  const { capacity: c, target } = seen;
  const again = moves(look).filter((a) => a.step.since === wish.at && a.step.to.floor === to.floor).length;
  const more = to.wanted - c.wanted;
  const step: Step = {
    do: what,
    what: isGroup(target) ? 'group' : 'service',
    of: isGroup(target) ? idOf(target) : target.arn,
    from: levelOf(c),
    to,
    former: formerOf(seen, look),
    since: wish.at,
    again,
  };
  const levels =
    to.floor === to.wanted && c.floor === c.wanted
      ? `from ${c.wanted} to ${to.wanted}`
      : `from at least ${c.floor} to at least ${to.floor}${more === 0 ? '' : `, from ${c.wanted} to ${to.wanted} wanted`}`;
  return {
    do: 'act',
    rung: `${what} ${to.floor}`,
    step,
    plan: `${what} ${c.name} ${levels}`,
    because: is,
    ...(what === 'lower' ? { recovers: true, continues: true } : {}),
    ...(more > 0 && seen.usd !== 0 ? { cost: costOf(seen, more, wish, look) } : {}),
  };
};

/** For as long as it lasts, the way down included; at most a month. */
const costOf = ({ usd, one, capacity: c }: Seen, more: number, { to, until }: Wish, look: Look<Options>) => {
  const down = minutes(look.options.lowerEveryMinutes) * stepsDown(to, c.wanted);
  const lasts = until === undefined ? hours(730) : Math.min(hours(730), until - look.now + down);
  return {
    usdPerMonth: (more * usd * lasts) / hours(730),
    what: `${more} more ${one}${until === undefined ? '' : `, for ${span(lasts)} at most`}`,
  };
};

/** Up to how many there is room, or what comes first: instances below them. */
const roomFor = (seen: Seen, goal: number, wish: Wish, look: Look<Options>, is: string): number | Verdict<Step> => {
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
  const act = addingHosts(seen, asked.length, wish, look, short);
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
  wish: Wish,
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
      since: wish.at,
      again,
    },
    cost: { usdPerMonth: more * usdPerMonthOf(traits, target.region), what: `${more} more ${traits.type}` },
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

const lowering = (seen: Seen, goal: number, wish: Wish, look: Look<Options>, is: string): Verdict<Step> => {
  const { capacity: c, used } = seen;
  const { now, options: o } = look;
  const next = lowered(c, formerOf(seen, look), goal);
  if (next.wanted >= c.wanted) return changing(seen, 'lower', next, wish, look, is);
  const at = (moves(look).at(-1)?.reservedAt ?? 0) + minutes(o.lowerEveryMinutes);
  if (now < at) return { do: 'wait', idle: true, until: at, because: `${is}; it goes down in steps` };
  const would = used === undefined ? undefined : (used * c.there) / next.wanted;
  if (would !== undefined && would <= o.easyPercent) return changing(seen, 'lower', next, wish, look, is);
  const why =
    would === undefined
      ? 'how much of its CPU is used cannot be seen'
      : `${next.wanted} would use ${Math.round(would)} % of their CPU, and ${o.easyPercent} % is what is allowed`;
  return now - (wish.until ?? now) < STAYS
    ? { do: 'wait', idle: true, until: now + IDLE / 2, because: `${is}; ${why}` }
    : {
        do: 'escalate',
        because: `${is}; ${why}`,
        remedy: `if it needs them for good: steward scale ${c.name} --to ${c.floor} --because …; else steward undo takes all back at once`,
      };
};

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

const set = async (step: Step, change: { from: Level; to: Level }, { groups, containers }: Ports): Promise<Json> => {
  if (step.do === 'hosts' || step.what === 'group') await groups.resize(step.of, change);
  else await containers.scale(step.of, { expected: change.from.wanted, desired: change.to.wanted });
  return { of: step.of, ...change.to };
};

const effect = (
  { step, reservedAt, effect: was }: Attempt<Step>,
  { capacity: c, hosts }: Seen,
  { now }: Look<Options>,
): Effect => {
  // It was so: what is otherwise since, somebody else has done.
  if (was === 'effective') return was;
  const shows =
    step.do === 'hosts'
      ? hosts?.group?.name === step.of && hosts.group.desired >= step.to.wanted
      : c.floor === step.to.floor && (step.do === 'lower' || c.wanted >= step.to.wanted);
  if (shows) return 'effective';
  return now - reservedAt < minutes(2) ? 'pending' : 'ineffective';
};

export const overload = defineRemediation<Seen, Step, Options>({
  name: 'overload',
  title: 'gives a service or an Auto Scaling group more at once, for a time, and takes it back slowly',
  about: `At a person's word (\`steward scale asg/web --to 8 --for 2h --because …\`) the floor of an Auto Scaling group (its minimum and desired capacity) or of an ECS service (its desired count) is
**raised** at once: within the group's own maximum, which is never raised, and within the cost cap, which counts the time that it lasts. Where the tasks of a service have no room on its instances,
**hosts** come first: the desired capacity of their Auto Scaling group is raised, within its maximum; those are not taken away again, for nobody but ECS knows which are empty. When the time is over the
floor is **lowered** to what it was, a tenth every ten minutes, and only while those that stay would not be busy. What somebody else has changed meanwhile is left as it is. It asks Auto Scaling and ECS
themselves, whatever state the CloudFormation stack is in. \`steward undo\` takes all of it back at once. Without a wish it does nothing.`,
  answers: ['capacity.wanted'],
  risk: 'harmless',
  targets: ['arn:*:autoscaling:*:*:autoScalingGroup:*', 'arn:*:ecs:*:*:service/*'],
  ladder: {
    hosts: 'instances below ECS tasks that have no room',
    raise: 'the floor, to what is wanted',
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
        'cloudwatch:GetMetricData',
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
  ],
  options,
  attemptsPerDay: 20,
  inStorms: false,
  adds: true,
  observe,
  facts: ({ tags, group }) => ({ tags, group, zone: undefined }),
  describe,
  isHealthy,
  decide,
  act: (step, ports) => set(step, step, ports),
  touches: (step, target) => (step.do === 'hosts' ? [groupArn(target, partitionOf(target.region), step.of)] : []),
  before: () => null,
  effect,
  undo: async ({ step }, ports) => {
    if (step.do === 'hosts')
      throw new Refused('no-undo', `tasks may run on what asg/${step.of} has launched: it is lowered by hand`);
    return set(step, { from: step.to, to: step.former }, ports);
  },
});
