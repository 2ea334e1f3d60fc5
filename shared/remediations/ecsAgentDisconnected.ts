import * as z from 'zod/mini';
import type { AgentSeen, MendReport } from '../core/agents.ts';
import {
  type ContainerInstance,
  type ContainerService,
  type ContainerTask,
  clusterArn,
  clusterOf,
  homeless,
  isStiff,
  movable,
} from '../core/containers.ts';
import { NotFound, noneIfGone, Refused } from '../core/errors.ts';
import { ASG_TAG, groupOfInstance } from '../core/group.ts';
import { groupArn, heldUp, type Member, type ScalingGroup } from '../core/groups.ts';
import { commandIdOf, inspected, isGone } from '../core/hosts.ts';
import { type Attempt, unjudged } from '../core/incident.ts';
import { issueAt } from '../core/issues.ts';
import type { TargetHealth } from '../core/loadBalancers.ts';
import { onHosts } from '../core/permissions.ts';
import { option } from '../core/policy.ts';
import type { Checks, HostRun, Instance, Ports } from '../core/ports.ts';
import { defineRemediation, type Effect, type Facts, type Group, type Look } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { idOf, instanceTarget, partitionOf, type Target } from '../core/target.ts';
import { hours, iso, minutes, seconds, span } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';

const options = z.strictObject({
  patienceMinutes: option(
    z.int().check(z.gte(2), z.lte(60)),
    5,
    'An agent that is cut off for less than this is left to come back: several times an hour that is normal',
  ),
  drainMinutes: option(z.int().check(z.gte(2), z.lte(120)), 15, 'So long its tasks may take to move elsewhere'),
});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'restart'; readonly instance: string }
  | { readonly do: 'drain' | 'activate' | 'deregister'; readonly instance: string; readonly unit: string }
  | { readonly do: 'replace'; readonly instance: string; readonly group: string };

/** What is looked at only once patience has run out. */
interface Closely {
  readonly others: readonly ContainerInstance[];
  readonly tasks: readonly ContainerTask[];
  readonly services: readonly ContainerService[];
  /** Of its own tasks, in their target groups. */
  readonly targets: readonly TargetHealth[];
  readonly checks: Checks | undefined;
  readonly ssm: 'online' | 'silent' | 'absent';
  readonly agent: AgentSeen | undefined;
  readonly blind: string | undefined;
  readonly command: HostRun<MendReport> | undefined;
  readonly refreshing: boolean;
  readonly issue: Facts['issue'];
}
interface Seen {
  readonly target: Target;
  readonly instance: Instance;
  readonly uncovered: string | undefined;
  /** Undefined: it is in no cluster, or no more. */
  readonly unit: ContainerInstance | undefined;
  readonly group: Group | undefined;
  readonly zone: string;
  readonly member: Member | undefined;
  readonly scaling: ScalingGroup | undefined;
  readonly closely: Closely | undefined;
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const instance = await ports.instances.describe(id);
  const uncovered = look.uncovered(instance.tags);
  const nothing = { group: undefined, member: undefined, scaling: undefined, closely: undefined };
  const known = { target, instance, uncovered, zone: instance.zoneId };
  if (uncovered !== undefined) {
    if (isGone(instance)) throw new NotFound(`${id} is ${instance.state}`);
    return { ...known, ...nothing, unit: undefined };
  }
  const unit = await ports.containers.ofInstance(id);
  const name = instance.tags[ASG_TAG];
  if (isGone(instance) && !unit && look.attempts.length === 0) throw new NotFound(`${id} is ${instance.state}`);
  if (unit?.connected && look.attempts.length === 0) return { ...known, ...nothing, unit };
  const [budget, member, scaling, closely] = await Promise.all([
    groupOf(instance, unit, ports, look),
    isGone(instance) ? undefined : ports.groups.memberOf(id),
    name ? ports.groups.describe(name) : undefined,
    unit && !isGone(instance) && mayAct(look) ? lookClosely(instance, unit, ports, look) : undefined,
  ]);
  return { ...known, unit, ...budget, member, scaling, closely };
};

const patienceOf = ({ openedAt, options: o }: Look<Options>): number => openedAt + minutes(o.patienceMinutes);
const mayAct = (look: Look<Options>): boolean => look.attempts.length > 0 || look.now >= patienceOf(look);

/** Its Auto Scaling group, whose budget others' repairs spend too; without one its cluster, whose zones have names. */
const groupOf = async (
  instance: Instance,
  unit: ContainerInstance | undefined,
  ports: Ports,
  look: Look<Options>,
): Promise<Pick<Seen, 'group' | 'zone'>> => {
  const group = await groupOfInstance(instance, ports, look.tags.group);
  if (!unit || group.size > 1 || instance.tags[ASG_TAG]) return { group, zone: instance.zoneId };
  const all = (await ports.containers.instances(unit.cluster)).filter((i) => i.status !== 'INACTIVE');
  const zones: Record<string, number> = {};
  for (const { zone } of all) zones[zone] = (zones[zone] ?? 0) + 1;
  return { group: { id: `cluster/${unit.cluster}`, size: all.length, zones }, zone: unit.zone };
};

const lookClosely = async (
  instance: Instance,
  unit: ContainerInstance,
  ports: Ports,
  look: Look<Options>,
): Promise<Closely> => {
  const { id, tags } = instance;
  const name = tags[ASG_TAG];
  const [all, tasks, checks, ssm, refreshing, issues] = await Promise.all([
    ports.containers.instances(unit.cluster),
    ports.containers.tasksOn(unit),
    ports.instances.checks([id]),
    ports.hosts.agent(id),
    name ? ports.groups.refreshing(name) : false,
    ports.health.issues(),
  ]);
  const names = [...new Set(tasks.flatMap((t) => t.service ?? []))];
  const services = await ports.containers.services(unit.cluster, names);
  const targets = await targetsOf(id, tasks, services, ports);
  return {
    others: all.filter((i) => i.arn !== unit.arn),
    tasks,
    services,
    targets,
    checks: checks[id],
    ssm: ssm.state,
    refreshing,
    issue: issueAt(issues, instance),
    ...(unit.connected ? UNASKED : await askHost(id, ssm.state, ports, look)),
  };
};
const UNASKED = { agent: undefined, blind: undefined, command: undefined };

const askHost = async (
  id: string,
  ssm: Closely['ssm'],
  ports: Ports,
  look: Look<Options>,
): Promise<Pick<Closely, 'agent' | 'blind' | 'command'>> => {
  if (ssm !== 'online') return { ...UNASKED, blind: `its SSM agent is ${ssm}` };
  const sent = commandIdOf(look.attempts.findLast((a) => (a.step as Step).do === 'restart'));
  const command = sent ? await ports.hosts.result(id, 'mend-agent', sent) : undefined;
  if (command?.state === 'running') return { ...UNASKED, command };
  const { report, blind } = inspected(await ports.hosts.inspect(id, 'inspect-agents', {}));
  return { agent: report?.agents.find((a) => a.name === 'ecs'), blind, command };
};

/** By address, or by the host and a port that is its task's. */
const targetsOf = async (
  id: string,
  tasks: readonly ContainerTask[],
  services: readonly ContainerService[],
  { loadBalancers }: Ports,
): Promise<readonly TargetHealth[]> => {
  const arns = [...new Set(services.flatMap((s) => s.targetGroups.map((g) => g.arn)))];
  const all = await Promise.all(arns.map((arn) => loadBalancers.health(arn).catch(noneIfGone)));
  const addresses = new Set(tasks.flatMap((t) => t.addresses));
  return all.flat().filter((t) => t.id === id || addresses.has(t.id));
};

// ---- what is seen -----------------------------------------------------------------------------------------------------------------------

const isWhole = ({ scaling }: Seen): boolean => scaling === undefined || scaling.inService >= scaling.desired;

type Past = readonly Attempt<Step>[];
const tried = (look: Look<Options>, what: Step['do']): Attempt<Step> | undefined =>
  (look.attempts as Past).findLast((a) => a.step.do === what && a.outcome?.kind !== 'transient');
/** Drained by this incident, and not put back since. */
const isOurDrain = (look: Look<Options>): boolean => {
  const last = (look.attempts as Past).findLast(
    (a) => (a.step.do === 'drain' || a.step.do === 'activate') && a.outcome?.kind !== 'permanent',
  );
  return last?.step.do === 'drain' && last.outcome?.kind !== 'transient';
};

const isHealthy = (seen: Seen, look: Look<Options>): boolean => {
  const { instance, unit, uncovered } = seen;
  if (uncovered !== undefined) return false;
  if (isGone(instance)) return unit === undefined && isWhole(seen);
  return unit?.connected === true && !(unit.status === 'DRAINING' && isOurDrain(look));
};

const dead = ({ checks }: Closely): boolean => checks?.system === 'impaired' || checks?.instance === 'impaired';

const isIll = ({ targets }: Closely): boolean =>
  targets.some((t) => t.state === 'unhealthy') && !targets.some((t) => t.state === 'healthy');
/** Draining takes its targets out of the balancer, and with them what the balancer said. */
const wasIll = ({ targets }: Closely, look: Look<Options>): boolean =>
  (tried(look, 'drain')?.before as { ill?: boolean } | undefined)?.ill === true &&
  !targets.some((t) => t.state === 'healthy');

/** Beside the agent: what else says that the host does not work. */
const signsOf = (c: Closely, look: Look<Options>): readonly string[] => [
  ...(dead(c) ? ['its EC2 status checks fail'] : []),
  ...(c.ssm === 'silent' ? ['its SSM agent is silent'] : []),
  ...(isIll(c) ? ['the load balancer finds its targets unhealthy'] : []),
  ...(!isIll(c) && wasIll(c, look) ? ['the load balancer found its targets unhealthy'] : []),
];

const wanted = ({ tasks }: Closely): readonly ContainerTask[] => tasks.filter((t) => t.desired === 'RUNNING');

const describe = (seen: Seen, look: Look<Options>): string => {
  const { instance, uncovered, unit, scaling, closely } = seen;
  if (uncovered !== undefined) return `not looked into: ${uncovered}`;
  if (isGone(instance)) {
    const rest = unit ? `, and the cluster ${unit.cluster} still counts it` : '';
    const whole = scaling ? `; asg/${scaling.name} has ${scaling.inService} of ${scaling.desired} in service` : '';
    return `it is ${instance.state}${rest}${whole}`;
  }
  if (!unit) return 'it is in no ECS cluster';
  const drains = unit.status === 'DRAINING' ? ', and it drains' : '';
  if (unit.connected) return `its agent is connected to the cluster ${unit.cluster}${drains}`;
  const since = `its agent has been cut off from the cluster ${unit.cluster} for ${span(look.now - look.openedAt)}${drains}`;
  if (!closely) return since;
  const stuck = closely.tasks.filter((t) => t.desired === 'STOPPED').length;
  const said = closely.agent?.errors.at(-1);
  return [
    since,
    ...signsOf(closely, look),
    `${wanted(closely).length} tasks run on it`,
    ...(stuck > 0 ? [`${stuck} are to stop and cannot be told`] : []),
    ...(said ? [`the agent says: ${said}`] : []),
  ].join('; ');
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** Who else is at work on it has so long before a person is told. */
const OTHERS_LIMIT = hours(1);

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { instance, unit, uncovered } = seen;
  const { now } = look;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  const is = describe(seen, look);
  const running = unjudged(look.attempts);
  if (running) return { do: 'wait', until: now + seconds(20), because: `${is}: ${running.plan} is not over yet` };
  if (isGone(instance)) return leftBehind(seen, look, is);
  if (!unit) return { do: 'nothing', because: is };
  if (unit.connected) return activating(instance, unit, look);
  if (instance.state !== 'running')
    return { do: 'nothing', because: `it is ${instance.state}: its agent may be cut off` };
  if (!mayAct(look))
    return {
      do: 'wait',
      until: Math.min(patienceOf(look), now + minutes(1)),
      because: `${is}: that is normal for minutes`,
    };
  return othersAtWork(seen, unit, look) ?? cutOff(seen, unit, look, is);
};

/** ECS deregisters what is terminated, but not while its agent is cut off: its tasks would count as running for ever. */
const leftBehind = ({ instance, unit, scaling }: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const { now, openedAt } = look;
  if (instance.state === 'terminated' && unit && !unit.connected && !tried(look, 'deregister'))
    return {
      do: 'act',
      rung: 'deregister',
      step: { do: 'deregister', instance: instance.id, unit: unit.arn },
      plan: `take ${instance.id}, which is terminated, out of the cluster ${unit.cluster}`,
      because: is,
      continues: look.attempts.length > 0,
      recovers: true,
    };
  if (now - openedAt < OTHERS_LIMIT) return { do: 'wait', until: now + seconds(30), because: is };
  return unit
    ? {
        do: 'escalate',
        because: is,
        remedy: `aws ecs deregister-container-instance --force --cluster ${unit.cluster} --container-instance ${unit.arn}`,
      }
    : { do: 'escalate', because: is, remedy: `look at the activity of asg/${scaling?.name}: why does it launch none?` };
};

const activating = ({ id }: Instance, unit: ContainerInstance, look: Look<Options>): Verdict<Step> => {
  const { now } = look;
  const because = 'its agent is connected again, and this incident drained it';
  return tried(look, 'activate')
    ? {
        do: 'escalate',
        because: `${because}; it still drains`,
        remedy: `aws ecs update-container-instances-state --status ACTIVE --cluster ${unit.cluster} --container-instances ${unit.arn}`,
      }
    : now - (tried(look, 'drain')?.reservedAt ?? 0) < minutes(1)
      ? { do: 'wait', until: now + seconds(30), because }
      : {
          do: 'act',
          rung: 'activate',
          step: { do: 'activate', instance: id, unit: unit.arn },
          plan: `let ${id} take tasks again`,
          because,
          continues: true,
          recovers: true,
        };
};

/** ECS, Auto Scaling or a person has begun something: two who repair one thing break it. */
const othersAtWork = (
  { member, scaling, closely }: Seen,
  unit: ContainerInstance,
  look: Look<Options>,
): Verdict<Step> | undefined => {
  const { now, openedAt } = look;
  const what =
    member && member.lifecycle !== 'InService'
      ? { because: `Auto Scaling has it ${member.lifecycle}`, remedy: 'look at the lifecycle hook that holds it' }
      : closely?.refreshing
        ? {
            because: `an instance refresh of asg/${scaling?.name} is under way`,
            remedy: 'look at the instance refresh: it waits for its drained instances',
          }
        : unit.status !== 'ACTIVE' && !isOurDrain(look)
          ? {
              because: `it is ${unit.status} already, and with its agent cut off its tasks cannot be stopped`,
              remedy: 'restart its agent, or terminate it if its tasks run elsewhere',
            }
          : undefined;
  if (!what) return undefined;
  return now - openedAt < OTHERS_LIMIT
    ? { do: 'wait', until: now + minutes(1), because: `${what.because}: that comes first` }
    : { do: 'escalate', because: `${what.because} for ${span(now - openedAt)}`, remedy: what.remedy };
};

const cutOff = (seen: Seen, unit: ContainerInstance, look: Look<Options>, is: string): Verdict<Step> => {
  const { instance, closely } = seen;
  if (!closely) return { do: 'wait', until: look.now + minutes(1), because: is };
  if (closely.ssm === 'online' && !tried(look, 'restart'))
    return {
      do: 'act',
      rung: 'restart',
      step: { do: 'restart', instance: instance.id },
      plan: `restart the ECS agent of ${instance.id}`,
      because: is,
    };
  const signs = signsOf(closely, look);
  if (signs.length === 0 && !isOurDrain(look)) return oneSign(closely, is);
  if (!isOurDrain(look)) return draining(seen, unit, closely, is);
  return replacing(seen, unit, closely, look, is);
};

const oneSign = ({ agent, ssm, command, blind }: Closely, is: string): Verdict<Step> => {
  const failed = command?.state === 'failed' ? command : undefined;
  const otherwise = agent?.installed
    ? 'look at /var/log/ecs/ecs-agent.log, at its way to the ECS endpoints, and at the role of the instance'
    : 'look at the host: systemctl status ecs docker';
  const why = ssm === 'online' ? 'a restart of the agent did not help' : (blind ?? 'the host cannot be asked');
  return {
    do: 'escalate',
    because: `${is}; ${failed ? failed.message : why}. Its tasks may well serve: one sign is not enough to move them`,
    remedy: failed?.remedy ?? otherwise,
  };
};

const draining = (seen: Seen, unit: ContainerInstance, c: Closely, is: string): Verdict<Step> => {
  const { instance } = seen;
  const moving = movable(c.tasks, c.services);
  const without = homeless(moving, c.others);
  if (without.length > 0)
    return {
      do: 'escalate',
      because: `${is}; the rest of the cluster ${unit.cluster} has no room for ${without.length} of its ${moving.length} service tasks: drained, they would run nowhere`,
      remedy: 'add an instance to the cluster, and it goes on by itself; or replace this one by hand',
    };
  const stiff = c.services.filter(isStiff);
  if (stiff.length > 0)
    return {
      do: 'escalate',
      because: `${is}; ${stiff.map((s) => s.name).join(', ')} allows neither more nor fewer tasks than it has: nothing of it would move`,
      remedy: 'raise maximumPercent of the service, or lower minimumHealthyPercent',
    };
  const cannotBeTold = 'those on it are only told to stop once its agent is back';
  return {
    do: 'act',
    rung: 'drain',
    step: { do: 'drain', instance: instance.id, unit: unit.arn },
    plan: `drain ${instance.id}: ${moving.length} service tasks start elsewhere in ${unit.cluster}; ${cannotBeTold}`,
    because: is,
  };
};

const replacing = (seen: Seen, unit: ContainerInstance, c: Closely, look: Look<Options>, is: string): Verdict<Step> => {
  const { instance, member, scaling } = seen;
  const byHand = `reboot or terminate it; once it is gone: aws ecs deregister-container-instance --force --cluster ${unit.cluster} --container-instance ${unit.arn}`;
  const still = movable(c.tasks, c.services).length;
  const escalate = (because: string, remedy = byHand): Verdict<Step> => ({
    do: 'escalate',
    because: `${is}; ${because}`,
    remedy,
  });
  if (still > 0)
    return escalate(
      `${still} of its service tasks did not move within ${span(minutes(look.options.drainMinutes))}`,
      'look at the events of their services, and at their protection: aws ecs describe-services',
    );
  if (signsOf(c, look).length === 0)
    return escalate(
      'it is drained, and nothing else says any more that it is dead',
      'look at its agent; it takes tasks again once that is connected',
    );
  const alone = c.tasks.filter((t) => t.service === undefined && t.desired === 'RUNNING').length;
  if (alone > 0 && !dead(c))
    return escalate(`${alone} tasks that belong to no service may run on it: nothing would start them again`);
  if (!member)
    return escalate('its service tasks run elsewhere, and it is in no Auto Scaling group that would replace it');
  const held = heldUp(scaling, is);
  if (held) return held;
  if (tried(look, 'replace'))
    return escalate('its group does not replace it', `look at the activity of asg/${member.group}`);
  return {
    do: 'act',
    rung: 'replace',
    step: { do: 'replace', instance: instance.id, group: member.group },
    plan: `let asg/${member.group} replace ${instance.id}, which is drained`,
    because: is,
  };
};

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, { hosts, containers, groups }: Ports, token: string): Promise<Json> => {
  switch (step.do) {
    case 'restart':
      return hosts.start(step.instance, 'mend-agent', { Agent: 'ecs', Action: 'restart', Config: '' }, token);
    case 'drain':
      await containers.setState(step.unit, 'DRAINING');
      return { unit: step.unit };
    case 'activate':
      await containers.setState(step.unit, 'ACTIVE');
      return { unit: step.unit };
    case 'replace':
      await groups.markUnhealthy(step.instance);
      return { instance: step.instance };
    case 'deregister':
      await containers.deregister(step.unit);
      return { unit: step.unit };
  }
};

/** A restarted agent has registered and is connected within a minute or two. */
const RECONNECTS = minutes(4);

type Judge = (seen: Seen) => boolean | 'failed';
/** Whether what was asked for has come about, and how long it may take. */
const EFFECTS: Readonly<Record<Step['do'], { readonly shows: Judge; readonly limit: (o: Options) => number }>> = {
  restart: {
    shows: ({ unit, closely }) => {
      const { state } = closely?.command ?? {};
      return state === 'failed' || state === 'lost' ? 'failed' : unit?.connected === true;
    },
    limit: () => RECONNECTS,
  },
  drain: {
    shows: ({ instance, unit, closely }) =>
      isGone(instance) ||
      (unit?.status === 'DRAINING' && closely !== undefined && movable(closely.tasks, closely.services).length === 0),
    limit: (o) => minutes(o.drainMinutes),
  },
  activate: { shows: ({ unit }) => unit?.status === 'ACTIVE', limit: () => minutes(2) },
  replace: {
    shows: ({ instance, member }) => isGone(instance) || (member !== undefined && member.lifecycle !== 'InService'),
    limit: () => minutes(5),
  },
  deregister: { shows: ({ unit }) => unit === undefined, limit: () => minutes(2) },
};
const effect = (attempt: Attempt<Step>, seen: Seen, look: Look<Options>): Effect => {
  const { shows, limit } = EFFECTS[attempt.step.do];
  const shown = shows(seen);
  if (shown === true) return 'effective';
  return shown === false && look.now - attempt.reservedAt < limit(look.options) ? 'pending' : 'ineffective';
};

const arnOf = ({ account, region }: Target, id: string): string =>
  `arn:${partitionOf(region)}:ec2:${region}:${account}:instance/${id}`;

/** It serves while a balancer says so; without one, while its tasks are wanted and its host is not known to be dead. */
const servingOf = ({ target, closely }: Seen): Facts['serving'] => {
  if (!closely) return undefined;
  const self =
    closely.targets.length > 0
      ? closely.targets.some((t) => t.state === 'healthy')
      : wanted(closely).length > 0 && !dead(closely);
  const others = closely.others.filter((i) => i.status === 'ACTIVE' && i.connected && i.running > 0);
  return { self, others: others.map((i) => arnOf(target, i.instance)) };
};

/** Of what is gone nothing serves. */
const factsOf = (seen: Seen): Facts => ({
  tags: seen.instance.tags,
  group: seen.group,
  zone: seen.zone,
  serving: isGone(seen.instance) ? { self: false, others: [] } : servingOf(seen),
  issue: seen.closely?.issue,
});

/** The survey describes no more instances than this. */
const MOST_CUT_OFF = 500;
const survey = async ({ containers, where }: Ports, { now }: { readonly now: number }): Promise<readonly Signal[]> => {
  const found: ContainerInstance[] = [];
  for (const cluster of await containers.clusters()) {
    if (found.length >= MOST_CUT_OFF) break;
    found.push(...(await containers.instances(cluster, 'disconnected')));
  }
  return found
    .filter((i) => i.instance.startsWith('i-') && i.status !== 'INACTIVE')
    .map((i) => ({
      kind: 'container-instance.agent-disconnected' as const,
      target: instanceTarget(where, i.instance),
      at: now,
      cause: `survey: the ECS agent of ${i.instance} is cut off from the cluster ${i.cluster}`,
      // ECS does not say since when: a new one each hour is enough for whoever looks into it already.
      eventId: `survey:${i.arn}:cut-off@${iso(now).slice(0, 13)}`,
    }));
};

export const ecsAgentDisconnected = defineRemediation<Seen, Step, Options>({
  name: 'ecs-agent-disconnected',
  title: 'brings ECS container instances back whose agent is cut off, or moves their tasks and replaces them',
  about: `An agent that is cut off for five minutes (shorter is normal, several times an hour) is **restarted** through SSM; containers run on through that. ECS counts the tasks of
such an instance as running for ever, whatever they do. So where a second, independent sign says that the host is dead (its EC2 status checks fail, its SSM agent is silent, or the load
balancer finds its targets unhealthy and none healthy) it is **drained**: ECS starts its service tasks elsewhere. Those on it are told to stop only when the agent is back; if it
comes back, the instance takes tasks again (**activate**). Once none is wanted on it any more, its Auto Scaling group **replaces** it. ECS does not deregister what is terminated with its agent cut off:
that is done too (**deregister**), and ends the ghosts of its tasks. With one sign only, without room for its tasks elsewhere, or where Auto Scaling, an instance refresh or somebody's draining is
at work, it acts not. One that stands alone is drained, and a person decides. Its target is the EC2 instance, so that it never works on one together with other repairs.`,
  answers: ['container-instance.agent-disconnected'],
  risk: 'interrupts',
  targets: 'arn:*:ec2:*:*:instance/*',
  ladder: {
    restart: 'restart the ECS agent; containers run on',
    drain: 'ECS starts its service tasks elsewhere',
    replace: 'its Auto Scaling group launches another',
    activate: 'its agent is back: it takes tasks again',
    deregister: 'take what is terminated out of its cluster',
  },
  risks: { restart: 'harmless', activate: 'harmless', deregister: 'harmless', replace: 'destroys' },
  permissions: [
    {
      for: 'look',
      actions: [
        'ec2:DescribeInstances',
        'ec2:DescribeInstanceStatus',
        'ecs:ListClusters',
        'ecs:ListContainerInstances',
        'ecs:DescribeContainerInstances',
        'ecs:ListTasks',
        'ecs:DescribeTasks',
        'ecs:DescribeServices',
        'elasticloadbalancing:DescribeTargetHealth',
        'ssm:DescribeInstanceInformation',
        'ssm:GetCommandInvocation',
        'autoscaling:DescribeAutoScalingInstances',
        'autoscaling:DescribeAutoScalingGroups',
        'autoscaling:DescribeInstanceRefreshes',
        'health:DescribeEvents',
      ],
      resources: ['*'],
    },
    ...onHosts('inspect-agents', ['mend-agent']),
    {
      for: 'act',
      actions: ['ecs:UpdateContainerInstancesState'],
      resources: ['arn:*:ecs:*:*:container-instance/*'],
    },
    { for: 'act', actions: ['ecs:DeregisterContainerInstance'], resources: ['arn:*:ecs:*:*:cluster/*'] },
    {
      for: 'act',
      actions: ['autoscaling:SetInstanceHealth'],
      resources: ['arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*'],
    },
  ],
  options,
  survey,
  observe,
  facts: factsOf,
  describe,
  isHealthy,
  decide,
  act,
  touches: (step, target) => {
    switch (step.do) {
      case 'restart':
        return [];
      case 'replace':
        return [groupArn(target, partitionOf(target.region), step.group)];
      case 'deregister':
        return [clusterArn(target, clusterOf(step.unit))];
      default:
        return [step.unit];
    }
  },
  before: ({ unit, closely }) => ({
    status: unit?.status ?? 'none',
    running: unit?.running ?? 0,
    ill: closely !== undefined && isIll(closely),
  }),
  effect,
  undo: async ({ step }, { containers }) => {
    if (step.do !== 'drain') throw new Refused('no-undo', `"${step.do}" of ${step.instance} cannot be taken back`);
    await containers.setState(step.unit, 'ACTIVE');
    return { unit: step.unit };
  },
});
