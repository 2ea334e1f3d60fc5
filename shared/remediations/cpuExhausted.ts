import * as z from 'zod/mini';
import { NotFound, Refused } from '../core/errors.ts';
import { type Forecast, forecastText } from '../core/forecast.ts';
import { ASG_TAG, aloneGroup, membershipOf } from '../core/group.ts';
import { groupArn, heldUp, type Member, type ScalingGroup } from '../core/groups.ts';
import { commandIdOf, inspected, isGone } from '../core/hosts.ts';
import type { Attempt } from '../core/incident.ts';
import type { LoadReport, RestartReport } from '../core/load.ts';
import { onHosts } from '../core/permissions.ts';
import { option } from '../core/policy.ts';
import type { HostRun, Instance, Ports, Traits } from '../core/ports.ts';
import {
  awaitsStart,
  BOOT_LIMIT,
  GRANTS_OF_START,
  isLeaving,
  isSucceeded,
  keysOf,
  leavingHost,
  STOP_LIMIT,
  type Start,
  type Stop,
  startingAgain,
  succession,
  triedStep,
} from '../core/power.ts';
import { defineRemediation, type Effect, type Facts, type Group, type Look } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { idOf, instanceTarget, partitionOf, type Target } from '../core/target.ts';
import { minutes, seconds, span, type Time } from '../core/time.ts';
import { forecastSignal, isForecastTime, trendOfOne, trendsOfAll } from '../core/trends.ts';
import {
  cameBack,
  heldBack,
  holders,
  isCrowded,
  isRunaway,
  isWild,
  STEAL,
  usdPerMonthOf,
  whyNot,
} from '../core/units.ts';
import type { Json, Verdict } from '../core/verdict.ts';

const names = z.array(z.string().check(z.minLength(1), z.maxLength(200)));
const options = z.strictObject({
  usedPercent: option(
    z.int().check(z.gte(50), z.lte(100)),
    90,
    'CPU in use over five minutes from which on it is in trouble',
  ),
  creditsLeft: option(
    z.int().check(z.gte(0), z.lte(1_000)),
    20,
    'Fewer CPU credits than these are trouble for a burstable type',
  ),
  unlimited: option(z.boolean(), true, 'May it let a burstable instance use more than its credits, at a price?'),
  restartable: option(names, [], 'Units and containers that may be restarted if they run away, by name with *'),
  protected: option(names, [], 'Units and containers that are never restarted, beside those that never are'),
  forecast: option(
    z.boolean(),
    true,
    'Look once an hour whose CPU credits will be gone within a day. CloudWatch bills about $0.015 a month for each burstable instance',
  ),
  move: option(
    z.boolean(),
    true,
    'May it leave a crowded host: stop and start what stands alone, have a member of an Auto Scaling group replaced?',
  ),
  scale: option(z.boolean(), true, 'May it raise the desired capacity of an Auto Scaling group, within its maximum?'),
});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'unlimited'; readonly instance: string }
  | { readonly do: 'restart'; readonly instance: string; readonly unit: string; readonly kind: 'unit' | 'container' }
  | { readonly do: 'scale'; readonly group: string; readonly to: number }
  | Stop
  | Start
  | { readonly do: 'replace'; readonly instance: string; readonly group: string };

interface Seen {
  readonly target: Target;
  readonly instance: Instance;
  readonly uncovered: string | undefined;
  readonly group: Group;
  readonly serving: Facts['serving'];
  readonly traits: Traits | undefined;
  /** Of its volumes; asked for only while it is stopped. */
  readonly keys: readonly string[];
  readonly member: Member | undefined;
  readonly scaling: ScalingGroup | undefined;
  /** Average of the latest five minutes, of it and of its Auto Scaling group. Undefined: no datapoint came lately. */
  readonly used: number | undefined;
  readonly groupUsed: number | undefined;
  /** Of a burstable type. */
  readonly credits: { readonly mode: 'standard' | 'unlimited'; readonly left: number | undefined } | undefined;
  /** Its credits will be gone, by a trend that was asked about. */
  readonly soon: Forecast | undefined;
  readonly command: HostRun<RestartReport> | undefined;
  readonly load: LoadReport | undefined;
  readonly blind: string | undefined;
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const lately = async ({ metrics }: Ports, name: string, dimensions: Readonly<Record<string, string>>, now: number) => {
  const range = { from: now - minutes(20), to: now, period: minutes(5) };
  const points = await metrics.series({ namespace: 'AWS/EC2', name, dimensions }, range);
  return points.at(-1)?.value;
};

const BLIND = { credits: undefined, soon: undefined, command: undefined, load: undefined };
const UNSEEN = { traits: undefined, member: undefined, scaling: undefined, used: undefined, groupUsed: undefined };

/** What does not run uses no CPU; what this incident stopped, or had replaced, is seen to its end. */
const unrun = async (
  { target, instance, uncovered }: Pick<Seen, 'target' | 'instance' | 'uncovered'>,
  ports: Ports,
  look: Look<Options>,
): Promise<Seen> => {
  const ours = look.attempts.length > 0 && uncovered === undefined;
  const name = instance.tags[ASG_TAG];
  const [membership, keys, scaling] = await Promise.all([
    ours && !isGone(instance)
      ? membershipOf(instance, ports, look.tags.group)
      : { group: aloneGroup(instance), serving: undefined },
    ours && instance.state === 'stopped' ? keysOf(instance, ports) : [],
    ours && name && isGone(instance) ? ports.groups.describe(name) : undefined,
  ]);
  return {
    target,
    instance,
    uncovered,
    ...UNSEEN,
    ...BLIND,
    ...membership,
    keys,
    scaling,
    blind: `it is ${instance.state}`,
  };
};

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const instance = await ports.instances.describe(id);
  const uncovered = look.uncovered(instance.tags);
  if (isGone(instance) && !triedStep(look, 'replace')) throw new NotFound(`${id} is ${instance.state}`);
  if (uncovered !== undefined || instance.state !== 'running')
    return unrun({ target, instance, uncovered }, ports, look);
  const [membership, traits, member, used, host] = await Promise.all([
    membershipOf(instance, ports, look.tags.group),
    ports.instances.traits([instance.type]),
    ports.groups.memberOf(id),
    lately(ports, 'CPUUtilization', { InstanceId: id }, look.now),
    hostOf(id, ports, look),
  ]);
  const own = traits[instance.type];
  const [scaling, groupUsed, mode, left, soon] = await Promise.all([
    member ? ports.groups.describe(member.group) : undefined,
    member ? lately(ports, 'CPUUtilization', { AutoScalingGroupName: member.group }, look.now) : undefined,
    own?.burstable ? ports.instances.credits(id) : undefined,
    own?.burstable ? lately(ports, 'CPUCreditBalance', { InstanceId: id }, look.now) : undefined,
    own?.burstable && look.signal.kind === 'cpu.credits-forecast' ? trendOf(id, ports, look) : undefined,
  ]);
  return {
    target,
    instance,
    uncovered,
    ...membership,
    keys: [],
    traits: own,
    member,
    scaling,
    used,
    groupUsed,
    credits: mode ? { mode, left } : undefined,
    // Beyond its credits it only costs money.
    soon: mode === 'standard' ? soon : undefined,
    ...host,
  };
};

const CREDITS = { namespace: 'AWS/EC2', name: 'CPUCreditBalance' } as const;
const trendOf = (id: string, { metrics }: Ports, { now, options: o }: Look<Options>): Promise<Forecast | undefined> =>
  trendOfOne(metrics, { ...CREDITS, dimensions: { InstanceId: id } }, { limit: o.creditsLeft }, now);

const hostOf = async (
  id: string,
  ports: Ports,
  look: Look<Options>,
): Promise<Pick<Seen, 'command' | 'load' | 'blind'>> => {
  const last = look.attempts.at(-1) as Attempt<Step> | undefined;
  const sent = last?.step.do === 'restart' ? commandIdOf(last) : undefined;
  const command = sent ? await ports.hosts.result(id, 'restart-unit', sent) : undefined;
  const agent = await ports.hosts.agent(id);
  if (agent.state !== 'online') return { command, load: undefined, blind: `its SSM agent is ${agent.state}` };
  if (command?.state === 'running') return { command, load: undefined, blind: undefined };
  const { report, blind } = inspected(await ports.hosts.inspect(id, 'inspect-load', {}));
  return { command, load: report, blind };
};

// ---- what is wrong ----------------------------------------------------------------------------------------------------------------------

const isBusy = ({ used, load }: Seen, { options: o }: Look<Options>): boolean =>
  (used ?? load?.cpu.usedPercent ?? 100) >= o.usedPercent;
const isOutOfCredits = ({ credits }: Seen, { options: o }: Look<Options>): boolean =>
  credits?.mode === 'standard' && (credits.left ?? 0) < o.creditsLeft;

const successor = ({ instance, scaling: g }: Seen): string =>
  isGone(instance) ? `; asg/${g?.name} has ${g?.inService} of ${g?.desired} in service` : '';

const isHealthy = (seen: Seen, look: Look<Options>): boolean =>
  isSucceeded(seen.instance, seen.scaling) ||
  (seen.instance.state === 'running' &&
    (seen.used !== undefined || seen.load !== undefined) &&
    seen.command?.state !== 'running' &&
    !isBusy(seen, look) &&
    !isOutOfCredits(seen, look) &&
    !seen.soon &&
    lostUnit(seen, look) === undefined);

/** What was restarted and does not run: then there is CPU, and no service. */
const lostUnit = ({ command, load }: Seen, { attempts }: Look<Options>): string | undefined => {
  const step = (attempts.at(-1) as Attempt<Step> | undefined)?.step;
  // The metric alone does not tell: the host must say that it runs.
  return step?.do === 'restart' && command && cameBack(step, command, load) !== true ? step.unit : undefined;
};

/** What keeps it from using the CPU that there is. */
const constraints = ({ cpu, units }: LoadReport): string => {
  const steal = cpu.stealPercent >= STEAL ? `; ${Math.round(cpu.stealPercent)} % are taken by its neighbours` : '';
  const [held] = heldBack(units);
  return held
    ? `${steal}; ${held.name} is held back by its own limit of ${held.cpuLimitCores} cores ${Math.round(held.throttledPercent)} % of the time`
    : steal;
};

const describe = (seen: Seen, look: Look<Options>): string => {
  const { uncovered, instance, used, load, credits, command, blind } = seen;
  if (uncovered !== undefined) return `not looked into: ${uncovered}`;
  if (instance.state !== 'running') return `it is ${instance.state}${successor(seen)}`;
  if (command?.state === 'running') return 'the host is at work on it';
  const now = used ?? load?.cpu.usedPercent;
  const busy =
    now === undefined ? `its CPU cannot be seen: ${blind ?? 'no metric'}` : `${Math.round(now)} % of its CPU are used`;
  const most = load && isBusy(seen, look) ? `; most by ${holders(load.units, 'cpuPercent')}` : '';
  const count = credits?.left === undefined ? 'an unknown number of' : Math.round(credits.left);
  const left = credits?.mode === 'standard' ? `; ${count} CPU credits are left` : '';
  const trend = seen.soon ? ` and it ${forecastText(seen.soon, look.options.creditsLeft, look.now, 'credits')}` : '';
  const gone = lostUnit(seen, look);
  const down = gone === undefined ? '' : `; ${gone} is not known to run since its restart`;
  return `${busy}${load ? constraints(load) : ''}${most}${left}${trend}${down}`;
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** Linux, per vCPU-hour beyond the credits. Source: EC2 on-demand pricing, "T2/T3/T4g unlimited mode". */
const SURPLUS_USD = 0.05;

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { uncovered, instance, command } = seen;
  const { now } = look;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  if (instance.state !== 'running') return notRunning(seen, look);
  const last = look.attempts.at(-1);
  if (command?.state === 'running')
    return now - (last?.reservedAt ?? now) < minutes(15)
      ? { do: 'wait', until: now + seconds(10), because: 'the host is at work on it' }
      : {
          do: 'escalate',
          because: 'the host is at work on it for more than 15 min',
          remedy: 'look at the command in Systems Manager',
        };
  if (last?.outcome?.kind === 'done' && last.effect === undefined)
    return { do: 'wait', until: now + minutes(1), because: `${last.plan}: its effect does not show yet` };
  // The metric needs a quarter of an hour to forget what was before it moved.
  if ((last?.step as Step | undefined)?.do === 'start' && now - (last?.reservedAt ?? now) < SHOWS)
    return { do: 'wait', until: now + minutes(1), because: `${describe(seen, look)}; it has just been moved` };
  return buying(seen, look) ?? calming(seen, look) ?? moving(seen, look) ?? widening(seen, look) ?? telling(seen, look);
};

/** Between the stop and the start that this incident made, and while its group replaces it. */
const notRunning = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { instance, scaling } = seen;
  const { now } = look;
  const since = now - (look.attempts.at(-1)?.reservedAt ?? now);
  if (isGone(instance)) return succession(instance, scaling, { now, since: now - since });
  if (!awaitsStart(instance, triedStep(look, 'stop')))
    return { do: 'nothing', because: `it is ${instance.state}: it uses no CPU` };
  if (instance.state === 'stopped') return startingAgain(seen, look);
  const because = `it is ${instance.state} for ${span(since)}`;
  return since < Math.max(STOP_LIMIT, BOOT_LIMIT)
    ? { do: 'wait', until: now + seconds(15), because }
    : { do: 'escalate', because, remedy: 'look at its system log; force it off if it hangs' };
};

/** The host below is crowded. A burstable type without credits looks the same from inside, and is not. */
const moving = (seen: Seen, look: Look<Options>): Verdict<Step> | undefined => {
  const { load, traits, credits, member } = seen;
  const { options: o, now } = look;
  if (!load || !isBusy(seen, look) || !o.move || load.cpu.stealPercent < STEAL) return undefined;
  const spent = credits?.mode !== 'unlimited' && (credits?.left ?? 0) < o.creditsLeft;
  if (!traits || (traits.burstable && spent)) return undefined;
  const is = describe(seen, look);
  if (!isCrowded(load, now))
    return now - look.openedAt < minutes(20)
      ? { do: 'wait', until: now + minutes(2), because: `${is}; whether that lasts shows within minutes` }
      : undefined;
  return member
    ? replacing(seen, is, look)
    : leavingHost(seen, look, { rung: 'move', is, moved: 'give it a type with cores of its own' });
};

/** Two signs: the host's own, at every look, and CloudWatch's, that it is busy while its group is not. */
const replacing = (seen: Seen, is: string, look: Look<Options>): Verdict<Step> | undefined => {
  const { instance, member, scaling, used, groupUsed } = seen;
  const { usedPercent } = look.options;
  if (used === undefined || used < usedPercent || groupUsed === undefined || groupUsed >= usedPercent) return undefined;
  const held = heldUp(scaling, is);
  if (held) return held;
  if (triedStep(look, 'replace'))
    return {
      do: 'escalate',
      because: `${is}, and its group does not replace it`,
      remedy: `look at the activity of asg/${scaling?.name}`,
    };
  return {
    do: 'act',
    rung: 'replace',
    step: { do: 'replace', instance: instance.id, group: member?.group ?? '' },
    plan: `let asg/${member?.group} replace ${instance.id}, which comes up on another host`,
    because: `${is} at every look, while its group uses ${Math.round(groupUsed)} %`,
  };
};

/** Its credits are gone, or soon will be: then it runs at a tenth of its speed until it may use more. What it does not use costs nothing. */
const buying = (seen: Seen, look: Look<Options>): Verdict<Step> | undefined => {
  const { instance, traits } = seen;
  // What is not known is not healthy, but nothing is bought for it either.
  if (
    !(isOutOfCredits(seen, look) || seen.soon) ||
    seen.credits?.left === undefined ||
    !look.options.unlimited ||
    !traits
  )
    return undefined;
  return {
    do: 'act',
    rung: 'unlimited',
    step: { do: 'unlimited', instance: instance.id },
    cost: {
      usdPerMonth: SURPLUS_USD * traits.vcpus * 730,
      what: `CPU of ${instance.type} beyond its credits, all month at most`,
    },
    plan: `let ${instance.id} use more CPU than its credits`,
    because: describe(seen, look),
  };
};

const calming = (seen: Seen, look: Look<Options>): Verdict<Step> | undefined => {
  const { load, instance } = seen;
  const { now, openedAt, options: o } = look;
  if (!load || !isBusy(seen, look)) return undefined;
  const mine = load.units.filter((u) => whyNot(u, o) === undefined);
  const wild = mine.find((u) => isRunaway(u, now, load.cpu.usedPercent));
  if (wild)
    return {
      do: 'act',
      rung: `restart ${wild.name}`,
      step: { do: 'restart', instance: instance.id, unit: wild.name, kind: wild.kind },
      plan: `restart ${wild.name}`,
      because: `${describe(seen, look)}; ${wild.name} holds the CPU at every look`,
    };
  const maybe = mine.find((u) => isWild(u, load.cpu.usedPercent));
  return maybe && now - openedAt < minutes(20)
    ? {
        do: 'wait',
        until: now + minutes(2),
        because: `${describe(seen, look)}; whether ${maybe.name} runs away shows when it has been watched for a while`,
      }
    : undefined;
};

/** All of the group are busy, and nobody in particular: that is demand. */
const widening = (seen: Seen, look: Look<Options>): Verdict<Step> | undefined => {
  const { member, scaling, traits, groupUsed } = seen;
  const o = look.options;
  if (!member || !scaling || !traits || !o.scale || groupUsed === undefined || groupUsed < o.usedPercent)
    return undefined;
  if (scaling.desired >= scaling.max) return undefined;
  const to = Math.min(scaling.max, scaling.desired + Math.max(1, Math.ceil(scaling.desired / 10)));
  return {
    do: 'act',
    rung: 'scale',
    step: { do: 'scale', group: scaling.name, to },
    cost: {
      usdPerMonth: (to - scaling.desired) * usdPerMonthOf(traits, seen.target.region),
      what: `${to - scaling.desired} more ${traits.type}`,
    },
    plan: `raise asg/${scaling.name} from ${scaling.desired} to ${to} (its maximum is ${scaling.max})`,
    because: `${describe(seen, look)}; all of asg/${scaling.name} uses ${Math.round(groupUsed)} %`,
  };
};

const telling = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { load, blind, scaling, groupUsed } = seen;
  const { now, openedAt } = look;
  const is = describe(seen, look);
  if (!load && now - openedAt < minutes(15))
    return { do: 'wait', until: now + minutes(1), because: `${is}; ${blind ?? 'the host could not be asked'}` };
  if (load && load.cpu.stealPercent >= STEAL)
    return {
      do: 'escalate',
      because: is,
      remedy: 'stop and start it, which moves it to another host, or give it a type with cores of its own',
    };
  if (scaling && groupUsed !== undefined && groupUsed >= look.options.usedPercent && scaling.desired >= scaling.max)
    return {
      do: 'escalate',
      because: `${is}; asg/${scaling.name} is at its maximum of ${scaling.max}`,
      remedy: 'raise the maximum, or give its launch template a larger type',
    };
  const [held] = load ? heldBack(load.units) : [];
  if (held)
    return {
      do: 'escalate',
      because: is,
      remedy: `raise the limit of ${held.name} (CPUQuota= of the unit, cpu of the container)`,
    };
  const kept = load?.units.toSorted((a, b) => b.cpuPercent - a.cpuPercent)[0];
  const why = kept && whyNot(kept, look.options);
  return {
    do: 'escalate',
    because: `${is}${kept && why ? `; ${kept.name} may not be restarted: ${why}` : ''}${load ? '' : `; ${blind ?? ''}`}`,
    remedy: 'look at what holds it; name it in remediations.cpu-exhausted.restartable, or give it a larger type',
  };
};

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, { hosts, instances, groups }: Ports, token: string): Promise<Json> => {
  switch (step.do) {
    case 'restart':
      return hosts.start(step.instance, 'restart-unit', { Unit: step.unit, Kind: step.kind }, token);
    case 'unlimited':
      await instances.setCredits(step.instance, 'unlimited');
      return { instance: step.instance };
    case 'scale':
      await groups.setDesired(step.group, step.to);
      return { group: step.group, to: step.to };
    case 'stop':
      await instances.stop(step.instance);
      return { instance: step.instance };
    case 'start':
      await instances.start(step.instance);
      return { instance: step.instance };
    case 'replace':
      await groups.markUnhealthy(step.instance);
      return { instance: step.instance };
  }
};

/** It runs and its host answers. Taken and fallen back to stopped: AWS has no capacity, or may not use a key. */
const isUp = ({ instance, load }: Seen): boolean => instance.state === 'running' && load !== undefined;

/** The metric needs a quarter of an hour to forget. */
const SHOWS = minutes(20);
const within = (limit: number, { reservedAt }: Attempt<Step>, now: Time): Effect =>
  now - reservedAt < limit ? 'pending' : 'ineffective';
const effect = (attempt: Attempt<Step>, seen: Seen, look: Look<Options>): Effect => {
  const { step } = attempt;
  const { credits, scaling, instance, member } = seen;
  const shown = (is: boolean, limit: number): Effect => (is ? 'effective' : within(limit, attempt, look.now));
  switch (step.do) {
    case 'unlimited':
      return shown(credits?.mode === 'unlimited', minutes(2));
    case 'scale':
      return shown((scaling?.inService ?? 0) >= step.to, SHOWS);
    case 'restart':
      return calmed(step, seen, look) ?? within(SHOWS, attempt, look.now);
    case 'stop':
      return shown(instance.state === 'stopped', STOP_LIMIT);
    case 'start':
      return shown(isUp(seen), instance.state === 'stopped' ? minutes(1) : BOOT_LIMIT);
    case 'replace':
      return shown(isLeaving(instance, member), minutes(5));
  }
};

/** What a restart came to. Undefined: its CPU is not free yet. */
const calmed = (step: Extract<Step, { do: 'restart' }>, seen: Seen, look: Look<Options>): Effect | undefined => {
  const { command, load } = seen;
  if (command?.state === 'running') return 'pending';
  if (!load) return undefined;
  if (cameBack(step, command, load) === false) return 'harmful';
  if (command?.state === 'failed' || command?.state === 'lost') return 'ineffective';
  return load.cpu.usedPercent < look.options.usedPercent && !isBusy(seen, look) ? 'effective' : undefined;
};

const forecasts = async ({ metrics, where }: Ports, now: Time, o: Options): Promise<readonly Signal[]> =>
  (await trendsOfAll(metrics, CREDITS, o.creditsLeft, now)).flatMap(({ dimensions: { InstanceId: id }, trend }) => {
    const says = `its balance ${forecastText(trend, o.creditsLeft, now, 'credits')}`;
    return id
      ? [forecastSignal('cpu.credits-forecast', instanceTarget(where, id), { now, what: `${id}:credits`, says })]
      : [];
  });

export const cpuExhausted = defineRemediation<Seen, Step, Options>({
  name: 'cpu-exhausted',
  title: 'gives an EC2 instance (Linux) CPU again, by what took it: credits, a runaway process, or demand',
  about: `A burstable type whose credits are gone, or will be within a day by a clear trend, may use **more than its credits**, within the cost cap. A unit or container that holds the CPU at every look for
ten minutes is **restarted**, if \`restartable\` names it (and never sshd, agents, runtimes, system services, databases). Where a whole Auto Scaling group is busy, its desired
capacity is **raised** within its maximum. Where neighbours take a fifth of the time at every look for eight minutes, one that stands alone is **stopped and started** on another host
(what that loses is a rung of its own, which destroys), and a member of an Auto Scaling group that is busy while its group is not is **replaced**; a burstable type without credits looks the same and
is not moved. A unit that its own CPU limit holds back, and everything else, goes to a person with the names of what holds the CPU.`,
  answers: ['cpu.high', 'cpu.credits-low', 'cpu.credits-forecast'],
  risk: 'interrupts',
  targets: 'arn:*:ec2:*:*:instance/*',
  ladder: {
    unlimited: 'let a burstable instance use more than its credits',
    restart: 'the unit or container that runs away',
    move: 'stop it, to start it on a host that is not crowded',
    'move-with-loss': 'the same, where instance-store data or the public address is lost',
    start: 'start what was stopped for that',
    replace: 'its Auto Scaling group launches another, on another host',
    scale: 'one more for each ten of its Auto Scaling group',
  },
  risks: {
    unlimited: 'harmless',
    scale: 'harmless',
    start: 'harmless',
    'move-with-loss': 'destroys',
    replace: 'destroys',
  },
  permissions: [
    {
      for: 'look',
      actions: [
        'ec2:DescribeInstances',
        'ec2:DescribeInstanceStatus',
        'ec2:DescribeInstanceTypes',
        'ec2:DescribeInstanceCreditSpecifications',
        'ec2:DescribeVolumes',
        'ec2:DescribeVolumesModifications',
        'ssm:DescribeInstanceInformation',
        'ssm:GetCommandInvocation',
        'autoscaling:DescribeAutoScalingInstances',
        'autoscaling:DescribeAutoScalingGroups',
        'cloudwatch:GetMetricData',
        'cloudwatch:ListMetrics',
      ],
      resources: ['*'],
    },
    ...onHosts('inspect-load', ['restart-unit']),
    {
      for: 'act',
      actions: ['ec2:ModifyInstanceCreditSpecification', 'ec2:StopInstances', 'ec2:StartInstances'],
      resources: ['arn:*:ec2:*:*:instance/*'],
      whenTagged: 'aws:ResourceTag',
    },
    {
      for: 'act',
      actions: ['autoscaling:SetDesiredCapacity', 'autoscaling:SetInstanceHealth'],
      resources: ['arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*'],
    },
    GRANTS_OF_START,
  ],
  options,
  survey: async (ports, { now, options: o, firing }) => {
    const alarmed = (await firing()).filter((s) => s.kind === 'cpu.high' || s.kind === 'cpu.credits-low');
    return o.forecast && isForecastTime(now) ? [...alarmed, ...(await forecasts(ports, now, o))] : alarmed;
  },
  observe,
  facts: ({ instance, group, serving }) => ({ tags: instance.tags, group, zone: instance.zoneId, serving }),
  describe,
  isHealthy,
  decide,
  act,
  touches: (step, target) =>
    step.do === 'scale' || step.do === 'replace'
      ? [groupArn(target, partitionOf(target.region), step.group)]
      : step.do === 'start'
        ? step.keys
        : [],
  before: ({ credits, scaling, used }) => ({
    credits: credits?.mode ?? null,
    desired: scaling?.desired ?? null,
    used: used ?? null,
  }),
  effect,
  undo: async ({ step, before }, { instances, groups }) => {
    if (step.do !== 'unlimited' && step.do !== 'scale')
      throw new Refused('no-undo', `what was done to ${step.instance} (${step.do}) cannot be taken back`);
    const was = before as { credits: 'standard' | 'unlimited' | null; desired: number | null };
    if (step.do === 'unlimited') await instances.setCredits(step.instance, was.credits ?? 'standard');
    if (step.do === 'scale' && was.desired !== null) await groups.setDesired(step.group, was.desired);
    return { step: step.do };
  },
});
