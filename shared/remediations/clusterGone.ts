import * as z from 'zod/mini';
import {
  type ContainerCluster,
  type ContainerInstance,
  type ContainerService,
  isServerless,
} from '../core/containers.ts';
import { noneIfGone, undefinedIfGone } from '../core/errors.ts';
import { dearest, groupArn, type ScalingGroup } from '../core/groups.ts';
import { type Attempt, unjudged } from '../core/incident.ts';
import { option } from '../core/option.ts';
import type { Ports } from '../core/ports.ts';
import type { Releases } from '../core/releases.ts';
import { defineRemediation, type Effect, type Facts, type Look, type Scan } from '../core/remediation.ts';
import { lacksRoom } from '../core/services.ts';
import type { Signal } from '../core/signal.ts';
import { clusterTarget, idOf, partitionOf, type Target, targetOf } from '../core/target.ts';
import { iso, minutes, seconds, type Time } from '../core/time.ts';
import { usdPerMonthOf } from '../core/units.ts';
import type { Json, Verdict } from '../core/verdict.ts';
import { plural } from '../core/words.ts';

const options = z.strictObject({
  mustExist: option(
    z.array(z.string().check(z.regex(/^[\w-]{1,255}$/))).check(z.maxLength(100)),
    [],
    'Clusters that must be there with their hosts: made again without the question whether it was meant, and looked for each five minutes',
  ),
  patienceMinutes: option(
    z.int().check(z.gte(2), z.lte(120)),
    10,
    'So long hosts may take to come by themselves: by their Auto Scaling group, by managed scaling, by their agents',
  ),
});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'create'; readonly cluster: string; readonly settings: Json }
  | {
      readonly do: 'hosts';
      readonly group: string;
      readonly from: { readonly floor: number; readonly wanted: number };
      readonly to: { readonly floor: number; readonly wanted: number };
      /** So often that was asked for. */
      readonly again: number;
    }
  | { readonly do: 'refresh'; readonly group: string };

/** An Auto Scaling group that the hosts of a cluster are of. Plain JSON: part of the record. */
type Kept = {
  readonly name: string;
  readonly min: number;
  readonly desired: number;
  readonly types: readonly string[];
};
/** What is written down of a cluster that has all that it needs. */
type Whole = { readonly cluster: Json; readonly hosts: number; readonly groups: readonly Kept[] };

interface HostGroup {
  readonly was: Kept;
  /** Undefined: it was deleted. */
  readonly now: ScalingGroup | undefined;
  /** So many of its instances are registered in the cluster. */
  readonly registered: number;
  readonly uncovered: string | undefined;
  /** Of one more, a month. NaN: not known. */
  readonly usd: number;
}
interface Seen {
  readonly target: Target;
  readonly name: string;
  /** Undefined: it is gone. */
  readonly cluster: ContainerCluster | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly uncovered: string | undefined;
  readonly mustExist: boolean;
  /** As it was when it had all that it needs; undefined: nobody has seen it so. */
  readonly whole: Whole | undefined;
  readonly hosts: readonly ContainerInstance[];
  readonly groups: readonly HostGroup[];
  /** Services that have tasks for which ECS finds no place. */
  readonly waiting: readonly string[];
  readonly refreshing: readonly string[];
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const wholeOf = ({ settings }: Releases): Whole | undefined => settings as Whole | undefined;
const tagsIn = (cluster: Json): Readonly<Record<string, string>> => {
  const { tags = [] } = cluster as { readonly tags?: readonly { key?: string; value?: string }[] };
  return Object.fromEntries(tags.map(({ key = '', value = '' }) => [key, value]));
};

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const name = idOf(target);
  const whole = wholeOf(look.releases);
  const [cluster] = await ports.containers.describeClusters([name]);
  const tags = cluster?.tags ?? (whole ? tagsIn(whole.cluster) : {});
  const mustExist = look.options.mustExist.includes(name);
  // What is declared by its name is covered by that, unless it opts out.
  const uncovered = mustExist && Object.keys(tags).length === 0 ? undefined : look.uncovered(tags);
  const bare: Seen = {
    target,
    name,
    cluster,
    tags,
    uncovered,
    mustExist,
    whole,
    hosts: [],
    groups: [],
    waiting: [],
    refreshing: [],
  };
  if (!cluster || uncovered !== undefined) return bare;
  const all = await ports.containers.instances(name).catch(undefinedIfGone);
  // ECS describes one that was deleted a moment ago as it was.
  if (!all) return { ...bare, cluster: undefined };
  const hosts = all.filter((i) => i.status !== 'INACTIVE');
  const groups = await groupsOf(hosts, whole, ports, look);
  const seen: Seen = { ...bare, hosts, groups };
  if (!isShort(seen)) return seen;
  const [services, under] = await Promise.all([
    ports.containers
      .serviceNames(name)
      .then((names) => ports.containers.services(name, names))
      .catch(noneIfGone),
    Promise.all(groups.map(async (g) => (g.now && (await ports.groups.refreshing(g.was.name)) ? [g.was.name] : []))),
  ]);
  return { ...seen, waiting: services.filter(isWaiting).map((s) => s.name), refreshing: under.flat() };
};

const isWaiting = (service: ContainerService): boolean => !isServerless(service) && lacksRoom(service);
const isOpen = ({ status, connected }: ContainerInstance): boolean => status === 'ACTIVE' && connected;
/** Fewer hosts take tasks than when it had all that it needs. */
const isShort = ({ whole, hosts }: Pick<Seen, 'whole' | 'hosts'>): boolean =>
  whole !== undefined && hosts.filter(isOpen).length < whole.hosts;

/** Those that its hosts are of, and those that they were of. */
const groupsOf = async (
  hosts: readonly ContainerInstance[],
  whole: Whole | undefined,
  ports: Ports,
  look: Look<Options>,
): Promise<readonly HostGroup[]> => {
  const members = await Promise.all(hosts.map((i) => ports.groups.memberOf(i.instance)));
  const names = new Set([...(whole?.groups ?? []).map((g) => g.name), ...members.flatMap((m) => m?.group ?? [])]);
  return Promise.all(
    [...names].sort().map(async (name) => {
      const now = await ports.groups.describe(name);
      const known = whole?.groups.find((g) => g.name === name);
      const was = known ?? { name, min: now?.min ?? 0, desired: now?.desired ?? 0, types: now?.types ?? [] };
      const traits = await dearest(now && now.types.length > 0 ? now.types : was.types, ports.where, ports);
      return {
        was,
        now,
        registered: members.filter((m) => m?.group === name).length,
        uncovered: now && look.uncovered(now.tags),
        usd: traits ? usdPerMonthOf(traits, ports.where.region) : Number.NaN,
      };
    }),
  );
};

// ---- what is seen -----------------------------------------------------------------------------------------------------------------------

type Past = readonly Attempt<Step>[];
const done = (look: Look<Options>, what: Step['do'], group?: string): Past =>
  (look.attempts as Past).filter(
    ({ step, outcome }) =>
      step.do === what && outcome?.kind !== 'transient' && (step.do === 'create' || step.group === group),
  );
const made = (look: Look<Options>): Attempt<Step> | undefined =>
  done(look, 'create').find((a) => a.effect === 'effective');

/** Somebody needs the hosts: who was on them comes back after the cluster, and waits for them then. */
const lacksHosts = (seen: Seen, look: Look<Options>): boolean =>
  isShort(seen) && (seen.waiting.length > 0 || (made(look) !== undefined && seen.hosts.length === 0));

/** ECS's answers may be as old as that: what was deleted a moment ago may be told as there. */
const STALE = minutes(1);
const isHealthy = (seen: Seen, look: Look<Options>): boolean =>
  seen.uncovered === undefined &&
  seen.cluster !== undefined &&
  !lacksHosts(seen, look) &&
  (look.attempts.length > 0 || look.signal.author === undefined || look.now >= look.openedAt + STALE);

/** It has all that it needs: that is what is gone back to. */
const remembered = (seen: Seen, look: Look<Options>): Releases => {
  const { cluster, hosts, groups, uncovered } = seen;
  // What was made anew has all only when its hosts are there.
  const isPartial = isShort(seen) && (seen.waiting.length > 0 || made(look) !== undefined);
  if (!cluster || uncovered !== undefined || isPartial) return look.releases;
  const settings: Whole = {
    cluster: cluster.settings,
    hosts: hosts.filter(isOpen).length,
    groups: groups.flatMap(({ was, now }) =>
      now
        ? [{ name: now.name, min: now.min, desired: now.desired, types: now.types.length > 0 ? now.types : was.types }]
        : [],
    ),
  };
  return { ...look.releases, settings };
};

const describe = (seen: Seen, look: Look<Options>): string => {
  const { name, cluster, hosts, whole, waiting } = seen;
  if (!cluster) return `the cluster ${name} is gone${whole ? `; it had ${plural(whole.hosts, 'host')}` : ''}`;
  const open = hosts.filter(isOpen).length;
  const is = `the cluster ${name} has ${plural(open, 'host')} that take tasks`;
  if (!lacksHosts(seen, look)) return is;
  const [first = ''] = waiting;
  const more = waiting.length > 1 ? `, and ${waiting.length - 1} more,` : '';
  return `${is}, and had ${whole?.hosts}${waiting.length > 0 ? `; tasks of ${first}${more} find no place` : ''}`;
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** What was asked of Auto Scaling shows within this, or a person is told. */
const COMES = minutes(30);
const TRIES = 2;

const person = (because: string, remedy: string): Verdict<Step> => ({ do: 'escalate', because, remedy });

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { uncovered, cluster } = seen;
  const { now, openedAt, signal } = look;
  const is = describe(seen, look);
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  const running = unjudged(look.attempts);
  if (running) return { do: 'wait', until: now + seconds(20), because: `${is}: ${running.plan} is not over yet` };
  if (cluster && !lacksHosts(seen, look))
    return { do: 'wait', until: openedAt + STALE, because: `${is}, or had a moment ago` };
  if (cluster) return withoutHosts(seen, look, is);
  if (signal.author !== undefined && look.trusts(signal.author))
    return {
      do: 'nothing',
      because: `${signal.author} did it, which \`trusted\` in steward.yml names: it is intended`,
    };
  return gone(seen, look, is);
};

const gone = ({ name, target, whole, mustExist }: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  if (!whole)
    return mustExist
      ? person(`${is}; how it was is not on record`, `aws ecs create-cluster --cluster-name ${name}`)
      : { do: 'nothing', because: `${is}; it is in no record` };
  const [last] = done(look, 'create').slice(-1);
  if (last)
    return person(
      `${is}; to make it again ${last.outcome?.kind === 'permanent' ? `was declined: ${last.outcome.because}` : 'did not bring it back'}`,
      `aws ecs create-cluster --cluster-name ${name}, with its capacity providers`,
    );
  const groups = whole.groups.map((g) => `asg/${g.name}`).join(', ');
  return {
    do: 'act',
    rung: 'create',
    step: { do: 'create', cluster: target.arn, settings: whole.cluster },
    plan: `create the cluster ${name} again as it was${whole.hosts > 0 && groups ? `, and have its hosts replaced, which have left it: ${groups}` : ''}`,
    because: is,
    ...asked(name, mustExist, look),
  };
};

const asked = (name: string, mustExist: boolean, { signal }: Pick<Look<Options>, 'signal'>) =>
  mustExist
    ? {}
    : {
        asks: `${signal.author ?? 'somebody'} may have meant it: \`mustExist\` in steward.yml does not name ${name}`,
      };

/** By each of its groups, the first that can be helped. */
const withoutHosts = (seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const { now, openedAt, options: o } = look;
  const since = made(look)?.reservedAt ?? openedAt;
  const until = since + minutes(o.patienceMinutes);
  // Whose cluster was deleted does not find it by itself.
  if (now < until && !made(look))
    return { do: 'wait', until: Math.min(until, now + minutes(1)), because: `${is}: hosts may come by themselves` };
  if (seen.groups.length === 0)
    return person(`${is}; its hosts were in no Auto Scaling group`, `start hosts whose agent names ${seen.name}`);
  const verdicts = seen.groups.map((g) => ofGroup(g, seen, look, is));
  return (
    verdicts.find((v) => v?.do === 'act') ??
    verdicts.find((v) => v?.do === 'wait') ??
    verdicts.find((v) => v !== undefined) ??
    person(
      `${is}; its Auto Scaling groups are as they were`,
      `look which agents are not connected, or give it more: steward scale asg/${seen.groups[0]?.was.name} --to … --because …`,
    )
  );
};

/** Undefined: nothing lacks there. */
const ofGroup = (group: HostGroup, seen: Seen, look: Look<Options>, is: string): Verdict<Step> | undefined => {
  const { was, now, uncovered, registered } = group;
  const name = `asg/${was.name}`;
  if (!now)
    return was.desired === 0
      ? undefined
      : person(
          `${is}; ${name} was deleted, of which ${was.desired} were`,
          `make it again from its launch template, whose user data must name ${seen.name}: aws autoscaling create-auto-scaling-group --auto-scaling-group-name ${was.name}`,
        );
  if (uncovered !== undefined) return person(`${is}; ${name}: ${uncovered}`, `tag it, or start hosts by hand`);
  if (now.suspended.includes('Launch'))
    return person(
      `${is}; ${name} has suspended Launch`,
      `resume it: aws autoscaling resume-processes --auto-scaling-group-name ${now.name}`,
    );
  if (now.desired < was.desired) return raising(group, now, seen, look, is);
  if (now.inService < now.desired)
    return look.now - (askedAt(now.name, look) ?? look.openedAt) < COMES
      ? { do: 'wait', until: look.now + minutes(1), because: `${is}; ${name} launches others` }
      : person(
          `${is}; only ${now.inService} of the ${now.desired} that ${name} wants are in service`,
          `look why none is launched (its launch template, its image, its quota): aws autoscaling describe-scaling-activities --auto-scaling-group-name ${now.name}`,
        );
  return registered < now.inService ? refreshing(now, registered, seen, look, is) : undefined;
};

const askedAt = (group: string, look: Look<Options>): Time | undefined =>
  [...done(look, 'hosts', group), ...done(look, 'refresh', group)].at(-1)?.reservedAt;

const raising = (
  { was, usd }: HostGroup,
  now: ScalingGroup,
  { mustExist, name }: Seen,
  look: Look<Options>,
  is: string,
): Verdict<Step> => {
  const short = `${is}; asg/${now.name} wants ${now.desired}, and wanted ${was.desired}`;
  const wanted = Math.min(was.desired, now.max);
  const again = done(look, 'hosts', now.name).length;
  if (wanted <= now.desired)
    return person(
      `${short}, which is more than its maximum of ${now.max}`,
      `aws autoscaling update-auto-scaling-group --auto-scaling-group-name ${now.name} --max-size ${was.desired} --desired-capacity ${was.desired}`,
    );
  if (again >= TRIES)
    return person(
      `${short}; it was raised ${plural(again, 'time')}, and something lowers it again`,
      `look what: aws autoscaling describe-scaling-activities --auto-scaling-group-name ${now.name}`,
    );
  const floor = Math.max(now.min, Math.min(was.min, wanted));
  return {
    do: 'act',
    rung: `hosts ${now.name}`,
    step: {
      do: 'hosts',
      group: now.name,
      from: { floor: now.min, wanted: now.desired },
      to: { floor, wanted },
      again,
    },
    plan: `raise asg/${now.name} from ${now.desired} to ${wanted} again, for what has no place in ${name}`,
    because: short,
    cost: { usdPerMonth: (wanted - now.desired) * usd, what: plural(wanted - now.desired, 'host') },
    ...asked(name, mustExist, look),
  };
};

/** They run, and are not of the cluster: their agents have left it for good. Auto Scaling replaces them in steps. */
const refreshing = (
  now: ScalingGroup,
  registered: number,
  { mustExist, name, hosts, refreshing: under }: Seen,
  look: Look<Options>,
  is: string,
): Verdict<Step> => {
  const away = `${is}; of the ${now.inService} of asg/${now.name} that run ${registered === 0 ? 'none is' : `only ${registered} are`} registered there`;
  const last = Math.max(askedAt(now.name, look) ?? 0, ...hosts.map((i) => i.registeredAt));
  if (under.includes(now.name) || look.now - last < minutes(look.options.patienceMinutes))
    return { do: 'wait', until: look.now + minutes(1), because: `${away}; others may still come` };
  // A refresh would replace those that serve, too.
  if (registered > 0)
    return person(
      away,
      'look at the agents of the others (journalctl -u ecs), or terminate those: their group replaces them',
    );
  if (done(look, 'refresh', now.name).length > 0)
    return person(
      `${away}, although it was refreshed`,
      `look whether the user data of its launch template names the cluster ${name}, and at its agents: journalctl -u ecs`,
    );
  return {
    do: 'act',
    rung: `refresh ${now.name}`,
    step: { do: 'refresh', group: now.name },
    plan: `have asg/${now.name} replace its ${plural(now.inService, 'instance')} in steps: new ones register in ${name}`,
    because: away,
    // Who wanted the cluster again wanted its hosts.
    ...(made(look) ? {} : asked(name, mustExist, look)),
  };
};

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, { containers, groups }: Ports): Promise<Json> => {
  switch (step.do) {
    case 'create':
      await containers.createCluster(idOf(targetOf(step.cluster)), step.settings);
      return { cluster: step.cluster };
    case 'hosts':
      await groups.resize(step.group, { from: step.from, to: step.to });
      return { group: step.group, ...step.to };
    case 'refresh':
      await groups.refresh(step.group);
      return { group: step.group };
  }
};

const shows = (step: Step, { cluster, groups, refreshing: under }: Seen): boolean => {
  if (step.do === 'create') return cluster !== undefined;
  const group = groups.find((g) => g.was.name === step.group);
  if (step.do === 'hosts') return (group?.now?.desired ?? 0) >= step.to.wanted;
  return under.includes(step.group) || (group?.registered ?? 0) > 0;
};

const effect = ({ step, reservedAt, effect: was }: Attempt<Step>, seen: Seen, { now }: Look<Options>): Effect => {
  // It was so: what is otherwise since, somebody else has done.
  if (was === 'effective') return was;
  if (shows(step, seen)) return 'effective';
  return now - reservedAt < minutes(2) ? 'pending' : 'ineffective';
};

const factsOf = ({ tags, name, mustExist }: Seen): Facts => ({
  tags: mustExist && Object.keys(tags).length === 0 ? undefined : tags,
  group: { id: `cluster/${name}`, size: 1, zones: {} },
  zone: undefined,
  serving: 'alone',
});

// ---- survey -----------------------------------------------------------------------------------------------------------------------------

const survey = async ({ containers, where }: Ports, at: Scan<Options>): Promise<readonly Signal[]> => {
  const { mustExist } = at.options;
  const names = [...new Set([...(await at.clusters()).map((c) => c.cluster), ...mustExist])];
  const there = names.length > 0 ? await containers.describeClusters(names) : [];
  const records = await at.releasesOf(names.map((name) => clusterTarget(where, name).arn));
  return names.flatMap((name): Signal[] => {
    const target = clusterTarget(where, name);
    const found = there.find((c) => c.name === name);
    const record = records[target.arn];
    const whole = record && wholeOf(record);
    if (found && at.uncovered(found.tags) !== undefined) return [];
    const isSame =
      found !== undefined &&
      whole?.hosts === found.registered &&
      JSON.stringify(whole.cluster) === JSON.stringify(found.settings);
    if (isSame || (!found && !mustExist.includes(name))) return [];
    return [
      {
        kind: 'container-cluster.changed',
        target,
        at: at.now,
        cause: `survey: the cluster ${name} ${found ? 'is not what is on record' : 'is not there, and must be'}`,
        eventId: `survey:${target.arn}:changed@${iso(at.now).slice(0, 13)}`,
        ...(found ? { routine: true as const } : {}),
      },
    ];
  });
};

export const clusterGone = defineRemediation<Seen, Step, Options>({
  name: 'cluster-gone',
  title: 'makes an ECS cluster again that was deleted, and brings back hosts that its services lack',
  about: `While a managed cluster (its own tag) has all that it needs, how it is is written down: settings, capacity providers and their default strategy, Service Connect, tags, how many hosts it has, and which Auto Scaling groups
those are of, with their minimum and desired capacity. When it is deleted it is **created** again so; \`service-gone\` rebuilds its services then. Where ECS finds no place for tasks and fewer hosts are there than on record, Auto Scaling, managed scaling and agents have ten minutes first.
Then a group that wants fewer than it did is raised again (**hosts**), within its maximum and the cost cap; and a group whose instances all run and none of them is registered, because they were taken out of their cluster, is **refreshed**: Auto Scaling replaces them in steps, half of them at once.
Whether a deletion or a smaller group was meant nobody can see, so a person is asked, unless \`mustExist\` names the cluster. What a principal of \`trusted\` deletes is meant. A group that was deleted, one at its maximum, one that launches none and hosts of no group go to a person, with the commands. It never deletes anything, and lowers nothing.`,
  answers: ['container-cluster.changed'],
  risk: 'harmless',
  targets: 'arn:*:ecs:*:*:cluster/*',
  ladder: {
    create: 'create the cluster again as it was',
    hosts: 'raise an Auto Scaling group of its hosts to what it was',
    refresh: 'have Auto Scaling replace hosts that have left it',
  },
  risks: { create: 'interrupts', refresh: 'interrupts' },
  permissions: [
    {
      for: 'look',
      actions: [
        'ecs:DescribeClusters',
        'ecs:ListContainerInstances',
        'ecs:DescribeContainerInstances',
        'ecs:ListServices',
        'ecs:DescribeServices',
        'autoscaling:DescribeAutoScalingGroups',
        'autoscaling:DescribeAutoScalingInstances',
        'autoscaling:DescribeInstanceRefreshes',
        'ec2:DescribeInstanceTypes',
      ],
      resources: ['*'],
    },
    { for: 'act', actions: ['ecs:CreateCluster', 'ecs:TagResource'], resources: ['arn:*:ecs:*:*:cluster/*'] },
    {
      for: 'act',
      actions: ['autoscaling:UpdateAutoScalingGroup', 'autoscaling:StartInstanceRefresh'],
      resources: ['arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*'],
      whenTagged: 'aws:ResourceTag',
    },
  ],
  options,
  attemptsPerDay: 6,
  inStorms: false,
  adds: true,
  releases: remembered,
  survey,
  observe,
  facts: factsOf,
  describe,
  isHealthy,
  decide,
  act,
  touches: (step, target) => (step.do === 'create' ? [] : [groupArn(target, partitionOf(target.region), step.group)]),
  before: () => null,
  effect,
  noUndo: 'services and their tasks use what it has brought back: to take it away again is for a person',
});
