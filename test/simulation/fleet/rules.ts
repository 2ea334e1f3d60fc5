/**
 * What each change must keep, whichever remediation asks for it: the promises of docs/remediations.md, checked against the world as it truly is
 * when the call is sent. Nothing here asks the engine or imports a rule of it.
 */
import { minutes } from '../../../shared/core/time.ts';
import { runningTasks } from '../../../world/clusters.ts';
import type { Instance } from '../../../world/ec2.ts';
import { type EcsService, imageOf, type Task } from '../../../world/ecs.ts';
import { containerInstanceOf } from '../../../world/ecsInstances.ts';
import { isOf } from '../../../world/health.ts';
import type { World } from '../../../world/world.ts';
import { PROOFS } from './fleet.ts';
import type { Sent } from './witness.ts';

export interface Scene {
  readonly world: World;
  /** Somebody else changed it within the time that a pass takes: what it saw may have been so. */
  readonly isUnsettled: (arn: string) => boolean;
  readonly arnOf: (instanceId: string) => string;
  /** Who stopped it last. */
  readonly stoppedBy: ReadonlyMap<string, 'steward' | 'somebody'>;
  /** A person has said yes to this very step. */
  readonly isApproved: (sent: Sent) => boolean;
  /** It puts back what an attempt changed. */
  readonly isUndo: (sent: Sent) => boolean;
  /** Its pass has asked AWS for that last, and got no answer. */
  readonly isUnanswered: (sent: Sent, operation: string) => boolean;
}
/** Answers what is broken, if it is. */
type Rule = (sent: Sent, scene: Scene) => string | undefined;

const textOf = (input: object, name: string): string | undefined => {
  const value = (input as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : undefined;
};
const instancesOf = ({ input }: Sent): readonly string[] => {
  const { InstanceIds, InstanceId } = input as { InstanceIds?: readonly string[]; InstanceId?: string };
  return InstanceIds ?? (InstanceId === undefined ? [] : [InstanceId]);
};
const serviceOf = (world: World, target: string): EcsService | undefined => {
  const [, cluster = '', name = ''] = target.split('/');
  return world.ecs.clusters.get(cluster)?.services.get(name);
};
const groupOf = (world: World, id: string) => [...world.autoscaling.groups.values()].find((g) => g.members.has(id));

const isSound = (world: World, i: Instance | undefined): boolean =>
  i?.state === 'running' &&
  !i.impaired.system &&
  !i.impaired.instance &&
  world.clock.now() - i.runningSince >= world.settle.statusChecks;

/** Of a group somebody else serves. What does not serve itself takes nothing away. */
const neverTheLast: Rule = (sent, { world, isUnsettled, arnOf, isApproved }) => {
  const [id = ''] = instancesOf(sent);
  const group = groupOf(world, id);
  if (!group || isApproved(sent)) return undefined;
  const members = [...group.members.keys()];
  if (members.some((m) => isUnsettled(arnOf(m))) || !isSound(world, world.ec2.instances.get(id))) return undefined;
  const others = members.filter((m) => m !== id && isSound(world, world.ec2.instances.get(m)));
  return others.length > 0 ? undefined : `nothing else of ${group.name} serves`;
};

/** What is destroyed because it is dead. What its host itself says of its memory or its CPU is another matter: it answers. */
const FOR_DEAD = ['instance-impaired', 'ecs-agent-disconnected'];
const hasTwoSigns: Rule = (sent, { world, isUnsettled, arnOf }) => {
  if (!FOR_DEAD.includes(sent.remediation)) return undefined;
  const [id = ''] = instancesOf(sent);
  const i = world.ec2.instances.get(id);
  if (!i || isUnsettled(arnOf(id))) return undefined;
  const failing = Object.values(i.impaired).filter(Boolean).length;
  const since = world.hosts.get(id)?.unreachableSince;
  const isSilent = since !== undefined && world.clock.now() - since > world.settle.agentLost;
  const isAnnounced = i.scheduled.some((e) => /stop|retirement/.test(e.code));
  const isCutOff = containerInstanceOf(world, id)?.connected === false;
  return isAnnounced || failing + (isSilent ? 1 : 0) + (isCutOff ? 1 : 0) >= 2
    ? undefined
    : `${failing} checks of ${id} fail, and that is all`;
};

/** Tasks are moved, and what is left of a machine is forgotten, on more than the word of its agent. */
const drainsTheDead: Rule = ({ input, target }, { world, isUnsettled }) => {
  const { status } = input as { status?: string };
  const i = world.ec2.instances.get(target.split('/')[1] ?? '');
  if (status !== 'DRAINING' || !i || isUnsettled(target)) return undefined;
  const since = world.hosts.get(i.id)?.unreachableSince;
  const isSilent = since !== undefined && world.clock.now() - since > world.settle.agentLost;
  return Object.values(i.impaired).some(Boolean) || isSilent ? undefined : 'only its agent is cut off';
};
const forgetsTheGone: Rule = ({ target }, { world }) => {
  const state = world.ec2.instances.get(target.split('/')[1] ?? '')?.state ?? 'terminated';
  return state === 'terminated' ? undefined : `it is ${state}`;
};

/** What was asked lately is known for a minute. */
const KNOWN_FOR = minutes(1);
/** Whoever was told that AWS has an issue of its own in the zone leaves what is there alone. Where AWS did not answer, nothing is known. */
const standsBack: Rule = (sent, { world, isUnanswered }) => {
  if (!FOR_DEAD.includes(sent.remediation) || isUnanswered(sent, 'DescribeEvents')) return undefined;
  const asked = world.calls.findLast(
    (c) => c.operation === 'DescribeEvents' && c.principal.includes(`-remedy-${sent.remediation}/`),
  );
  const [id = ''] = instancesOf(sent);
  const zone = world.ec2.instances.get(id)?.zone;
  if (zone === undefined || !asked || asked.error !== undefined) return undefined;
  const issue = world.health.events.find(
    (e) => isOf(e, zone) && world.clock.now() - e.toldAt > PASS_TIME + KNOWN_FOR && asked.at > e.toldAt,
  );
  return issue && `${id} is in ${zone}, and AWS has told of ${issue.arn}`;
};

/** Data that may be inconsistent are a person's to let anything write to. */
const enabledByAYes: Rule = (sent, { isApproved }) => (isApproved(sent) ? undefined : 'nobody has said yes');
/** Neither a reboot nor other hardware enables it. */
const notWhileSwitchedOff: Rule = (sent, { world }) => {
  if (sent.remediation !== 'instance-impaired') return undefined;
  const [id = ''] = instancesOf(sent);
  const off = [...world.ec2.volumes.values()].find(
    (v) => v.attachment?.instanceId === id && world.clock.now() - (v.ioDisabledAt ?? Number.NaN) > PASS_TIME,
  );
  return off && `AWS has disabled the I/O of ${off.id}`;
};

/** What would start again on the host that it leaves, or nowhere, stays as it is. */
const leavesItsHost: Rule = (sent, { world }) => {
  if (sent.remediation !== 'instance-impaired') return undefined;
  const [id = ''] = instancesOf(sent);
  const i = world.ec2.instances.get(id);
  if (!i?.host) return undefined;
  const { host, zone, type } = i;
  const other = [...world.ec2.dedicatedHosts.values()].some(
    (h) => h.id !== host.id && h.zone === zone && h.type === type && h.autoPlacement && h.state === 'available',
  );
  return host.pinned || !other ? `a start would not take ${id} from ${host.id}` : undefined;
};

/** Whether it answers, by what is in its target group. */
const answers = ({ elb }: World, { address, containers }: Task): boolean =>
  [...elb.probes].some(([key, probe]) => {
    const [id, port] = key.split(':');
    return (id === address || containers.some((c) => c.hostPort === Number(port))) && probe();
  });
/** A task is stopped only while another one of its service serves, and never one that serves. */
const stopsWhatHangs: Rule = ({ input, target }, { world, isUnsettled }) => {
  const [, clusterName = '', name = ''] = target.split('/');
  const cluster = world.ecs.clusters.get(clusterName);
  const service = cluster?.services.get(name);
  if (!cluster || !service || isUnsettled(target)) return undefined;
  const id = textOf(input, 'task')?.split('/').at(-1);
  const running = runningTasks(cluster, service);
  const own = running.find((t) => t.id === id);
  if (own && answers(world, own)) return `${id} serves`;
  return running.some((t) => t.id !== id && answers(world, t)) ? undefined : 'nothing else of it serves';
};
/** Fewer are wanted only where no more than those may be scaled in, or a deployment is under way, which the others would hold up. */
const neverBelow: Rule = ({ input, target, remediation }, { world }) => {
  const { desiredCount } = input as { desiredCount?: number };
  const [, clusterName = '', name = ''] = target.split('/');
  const cluster = world.ecs.clusters.get(clusterName);
  const service = cluster?.services.get(name);
  if (remediation !== 'service-uneven-zones' || desiredCount === undefined || !cluster || !service) return undefined;
  if (desiredCount >= service.desired || service.deployments.length > 1) return undefined;
  const running = runningTasks(cluster, service);
  // Of one that has just come ECS may not know yet, and so not keep it.
  const isKnown = (t: Task) => world.clock.now() - (t.startedAt ?? 0) >= minutes(2);
  const open = running.filter((t) => (t.protectedUntil ?? 0) <= world.clock.now() && isKnown(t)).length;
  const go = service.desired - desiredCount;
  // Of those that stay one may have died, and ECS's own rebalancing may have one more on its way.
  return open <= go || running.length - open >= desiredCount ? undefined : `${open} are not kept from it, and ${go} go`;
};
/** One goes only while so many as are wanted without it serve beside it. */
const othersServeFor: Rule = (sent, { world, isUnsettled, arnOf }) => {
  const [id = ''] = instancesOf(sent);
  const group = groupOf(world, id);
  if (!(sent.input as { ShouldDecrementDesiredCapacity?: boolean }).ShouldDecrementDesiredCapacity)
    return `another one would be launched for ${id}`;
  if (group?.members.get(id)?.lifecycle !== 'InService') return undefined;
  if ([sent.target, ...[...group.members.keys()].map(arnOf)].some(isUnsettled)) return undefined;
  const others = [...group.members].filter(([m, { lifecycle }]) => m !== id && lifecycle === 'InService');
  return others.length >= group.desired - 1
    ? undefined
    : `${others.length} others of ${group.desired - 1} are in service`;
};

/** A wave is a fifth of what was wanted before it. */
const byAFifth: Rule = ({ input, target, remediation }, { world, isUnsettled }) => {
  const { desiredCount } = input as { desiredCount?: number };
  const service = serviceOf(world, target);
  if (remediation !== 'service-uneven-zones' || desiredCount === undefined || !service) return undefined;
  if (desiredCount <= service.desired || isUnsettled(target)) return undefined;
  const most = service.desired + Math.max(1, Math.floor(service.desired / 5));
  return desiredCount <= most ? undefined : `${desiredCount} are more than a fifth above ${service.desired}`;
};

/** What its owner says of where it may run stays; only zones are kept out beside that. */
const keepsConstraints: Rule = ({ input, target }, { world, isUnsettled }) => {
  const { placementConstraints } = input as {
    placementConstraints?: readonly { type?: string; expression?: string }[];
  };
  const service = serviceOf(world, target);
  if (!placementConstraints || !service || isUnsettled(target)) return undefined;
  const isBar = (c: string): boolean => c.startsWith('attribute:ecs.availability-zone != ');
  const asked = placementConstraints.flatMap((c) => c.expression ?? []);
  const lost = service.constraints.find((c) => !isBar(c) && !asked.includes(c));
  const strange = asked.find((c) => !isBar(c) && !service.constraints.includes(c));
  return (lost && `${lost} is lost`) ?? (strange && `${strange} is new`);
};
/** Where AWS has an open issue nothing is launched to even something out. */
const nothingIntoABadZone: Rule = (sent, { world, isUnanswered }) => {
  const { input, remediation } = sent;
  const { AvailabilityZoneIds = [], AvailabilityZones = [] } = input as Partial<Record<string, readonly string[]>>;
  if (!['service-uneven-zones', 'group-uneven-zones'].includes(remediation)) return undefined;
  if (isUnanswered(sent, 'DescribeEvents')) return undefined;
  const names = Object.entries(world.zones).flatMap(([name, id]) =>
    AvailabilityZones.includes(name) || AvailabilityZoneIds.includes(id) ? [name] : [],
  );
  // Where AWS did not answer, nothing is known.
  const asked = world.calls.findLast(
    (c) => c.operation === 'DescribeEvents' && c.principal.includes(`-remedy-${remediation}/`),
  );
  const bad = world.health.events.find(
    (e) =>
      names.some((n) => e.zone === n && isOf(e, n)) &&
      world.clock.now() - e.toldAt > PASS_TIME + KNOWN_FOR &&
      asked?.error === undefined &&
      (asked?.at ?? 0) > e.toldAt,
  );
  return bad && `AWS has told of ${bad.arn} in ${bad.zone}`;
};

/** Old code may not run with what newer code has written; what is new within minutes, and is no migration, may be left unasked. */
const rollsBackByAYes: Rule = (sent, { world, isApproved, isUndo, isUnsettled }) => {
  if (isUndo(sent) || isApproved(sent)) return undefined;
  if (sent.remediation === 'service-failing') return 'nobody has said yes';
  if (sent.remediation !== 'release-unproven') return undefined;
  const primary = serviceOf(world, sent.target)?.deployments.find((d) => d.status === 'PRIMARY')?.definition ?? '';
  const { tags = {} } = world.ecs.definitions.get(primary.split('/').at(-1) ?? '') ?? {};
  return tags['steward:migration'] === 'true' && !isUnsettled(sent.target)
    ? 'it is a migration, and nobody has said yes'
    : undefined;
};
/** By its digests, not by what its tags mean now. */
const goesBackToWhatRan: Rule = (sent, { world, isUndo }) => {
  if (!['release-unproven', 'service-gone'].includes(sent.remediation) || isUndo(sent)) return undefined;
  const { history = [], former = [] } = serviceOf(world, sent.target) ?? {};
  const whole = new Set(
    [...history, ...former].filter((d) => d.status === 'SUCCESSFUL').flatMap((d) => d.images.map((i) => i.digest)),
  );
  const to = world.ecs.definitions.get(textOf(sent.input, 'taskDefinition')?.split('/').at(-1) ?? '');
  const never = to?.containers.find((c) => !c.image.includes('@') || !whole.has(imageOf(world, c.image).digest));
  return never && `${never.image} never ran whole`;
};

/** Neither beside one that is there, nor while it goes. */
const rebuildsWhatIsGone: Rule = ({ target }, { world, isUnsettled }) => {
  const { name = '', status = 'INACTIVE' } = serviceOf(world, target) ?? {};
  return status === 'INACTIVE' || isUnsettled(target) ? undefined : `${name} is ${status}`;
};
/** With all that it had: its providers, by which its services are placed, and the tag by which it is Steward's to mend. */
const asItWas: Rule = ({ input, target }, { world }) => {
  const had = world.ecs.clusters.get(target.split('/').at(-1) ?? '');
  const { capacityProviders = [], tags = [] } = input as {
    readonly capacityProviders?: readonly string[];
    readonly tags?: readonly { readonly key: string }[];
  };
  const lacks = [
    ...(had?.settings.capacityProviders ?? []).filter((p) => !capacityProviders.includes(p)),
    ...Object.keys(had?.tags ?? {}).filter((key) => !tags.some((t) => t.key === key)),
  ];
  return lacks.length > 0 ? `it lacks ${lacks.join(', ')}` : undefined;
};
/** Those that serve stay. */
const replacesWhoLeft: Rule = ({ input, target }, { world, isUnsettled }) => {
  const members = world.autoscaling.groups.get(textOf(input, 'AutoScalingGroupName') ?? '')?.members ?? new Map();
  const serves = [...members.keys()].find((id) => containerInstanceOf(world, id)?.status === 'ACTIVE');
  return serves && !isUnsettled(target) ? `${serves} is in the cluster` : undefined;
};
/** Whoever may come in comes in still. */
const closesToStrangersOnly: Rule = ({ input }, { world }) => {
  const name = textOf(input, 'repositoryName') ?? '';
  const mine = /role\/build/g;
  const before = world.ecr.repositories.get(name)?.policy?.match(mine)?.length ?? 0;
  const after = textOf(input, 'policyText')?.match(mine)?.length ?? 0;
  return after < before ? `its own role build is in ${after} of ${before} statements` : undefined;
};

const ofNoGroup: Rule = (sent, { world }) =>
  instancesOf(sent).some((id) => groupOf(world, id)) ? 'its group would replace what is stopped' : undefined;

/** Only what Steward has stopped is Steward's to start. */
const ownStop: Rule = (sent, { stoppedBy, isUnsettled, arnOf }) =>
  instancesOf(sent).every((id) => stoppedBy.get(id) !== 'somebody' || isUnsettled(arnOf(id)))
    ? undefined
    : 'somebody stopped it on purpose';

const PROTECTED = /^(sshd?|amazon-ssm-agent|amazon-cloudwatch-agent|docker|containerd|ecs|postgres|mysql|redis|mongo)/;
const RESTARTABLE = /^shop/;
const neverProtected: Rule = ({ input }) => {
  const { Parameters } = input as { Parameters: Record<string, readonly string[]> };
  const unit = Buffer.from(Parameters['Unit']?.[0] ?? '', 'base64').toString('utf8');
  return PROTECTED.test(unit) || !RESTARTABLE.test(unit) ? `${unit} is not to be restarted` : undefined;
};

const neverSmaller: Rule = ({ input }, { world }) => {
  const { VolumeId = '', Size = 0 } = input as { VolumeId?: string; Size?: number };
  const size = world.ec2.volumes.get(VolumeId)?.size ?? 0;
  return Size < size ? `${VolumeId} has ${size} GiB, asked for are ${Size}` : undefined;
};

const ownAlarms: Rule = ({ input }) => {
  const { AlarmName, AlarmNames } = input as { AlarmName?: string; AlarmNames?: readonly string[] };
  const foreign = (AlarmNames ?? [AlarmName ?? '']).find((n) => !n.startsWith('steward/test/'));
  return foreign === undefined ? undefined : `the alarm ${foreign} is not Steward's`;
};

const trailOf = ({ input }: Sent): string =>
  (textOf(input, 'Name') ?? textOf(input, 'TrailName') ?? '').replace(/^arn:[^/]*\//, '');
const notTheOrganisations: Rule = (sent, { world }) =>
  world.cloudtrail.trails.get(trailOf(sent))?.organization ? `${trailOf(sent)} is the organisation's` : undefined;
const notTheOrganisationsKey: Rule = ({ input, target }, { world }) =>
  world.cloudtrail.trails.get(target.split(':trail/')[1] ?? '')?.organization
    ? `${textOf(input, 'KeyId')} is the key of the organisation's trail`
    : undefined;
const intoItsOwnBucket: Rule = (sent, { world }) => {
  const bucket = textOf(sent.input, 'S3BucketName');
  const own = `${trailOf(sent)}-logs-${world.account}`;
  return bucket === undefined || bucket === own ? undefined : `${bucket} is not the bucket of ${trailOf(sent)}`;
};

const neverShorter: Rule = ({ input }, { world }) => {
  const { logGroupName = '', retentionInDays = 0 } = input as { logGroupName?: string; retentionInDays?: number };
  const group = world.logs.groups.get(logGroupName);
  const kept = group?.retention ?? Number.POSITIVE_INFINITY;
  return group && retentionInDays < kept
    ? `${logGroupName} keeps ${kept} days, asked for are ${retentionInDays}`
    : undefined;
};

const ownProofs: Rule = ({ input }) => {
  const group = textOf(input, 'logGroupName');
  return group === PROOFS ? undefined : `the log group ${group} is not Steward's`;
};

const neverFewer: Rule = ({ input }, { world }) => {
  const { AutoScalingGroupName = '', DesiredCapacity = 0 } = input as {
    AutoScalingGroupName?: string;
    DesiredCapacity?: number;
  };
  const group = world.autoscaling.groups.get(AutoScalingGroupName);
  return DesiredCapacity > (group?.max ?? 0) ? `${AutoScalingGroupName} has at most ${group?.max}` : undefined;
};

/** Of a group or a service: how many are wanted now, and how many are asked for. */
const wantedOf = ({ input, target }: Sent, world: World): { now: number; asked: number } | undefined => {
  const { AutoScalingGroupName, DesiredCapacity, desiredCount } = input as {
    AutoScalingGroupName?: string;
    DesiredCapacity?: number;
    desiredCount?: number;
  };
  const group = world.autoscaling.groups.get(AutoScalingGroupName ?? '');
  const service = serviceOf(world, target);
  if (group && DesiredCapacity !== undefined) return { now: group.desired, asked: DesiredCapacity };
  return service && desiredCount !== undefined ? { now: service.desired, asked: desiredCount } : undefined;
};
const byATenth = (now: number, asked: number): string | undefined =>
  now - asked <= Math.max(1, Math.floor(now / 10)) ? undefined : `from ${now} to ${asked} at once`;
const inTenths: Rule = (sent, { world, isUndo, isUnsettled }) => {
  const levels = wantedOf(sent, world);
  if (sent.remediation !== 'overload' || !levels || isUndo(sent) || isUnsettled(sent.target)) return undefined;
  return byATenth(levels.now, levels.asked);
};
const minimumOnly: Rule = (sent, { world, isUnsettled, isUndo }) => {
  const { input, target } = sent;
  const { MinCapacity = 0, ResourceId, ...more } = input as { MinCapacity?: number; ResourceId?: string };
  const known = world.serviceScaling.targets.get(ResourceId ?? '');
  if ('MaxCapacity' in more) return 'the maximum is set';
  if (!target.endsWith(`:${ResourceId}`)) return `${ResourceId} is another's`;
  if (!known || isUndo(sent) || isUnsettled(target)) return undefined;
  if (MinCapacity > known.max) return `at most there are ${known.max}`;
  return byATenth(known.min, MinCapacity);
};
const keepsMaximum: Rule = ({ input }, { world }) => {
  const { AutoScalingGroupName = '', ...asked } = input as { AutoScalingGroupName?: string; MinSize?: number };
  const most = world.autoscaling.groups.get(AutoScalingGroupName)?.max ?? 0;
  if ('MaxSize' in asked) return 'the maximum is set';
  return (asked.MinSize ?? 0) <= most ? undefined : `at most there are ${most}`;
};
/** After somebody has set it, it is his: who had changed it before that leaves it alone. */
const leavesToOthers: Rule = (sent, { world, isUndo }) => {
  const name = textOf(sent.input, 'AutoScalingGroupName');
  if (sent.remediation !== 'overload' || isUndo(sent)) return undefined;
  const calls = world.calls.filter(
    (c) =>
      c.operation === 'UpdateAutoScalingGroup' &&
      c.error === undefined &&
      textOf(c.input, 'AutoScalingGroupName') === name,
  );
  const other = calls.findLastIndex((c) => c.principal.endsWith('user/anna'));
  const before = calls.slice(0, Math.max(0, other)).some((c) => c.principal.includes('-remedy-overload/'));
  const isOld = world.clock.now() - (calls[other]?.at ?? Number.NaN) > PASS_TIME + world.lag.ms;
  return before && isOld ? `somebody has set ${name} since` : undefined;
};

const withoutAction = (rules: unknown, name: string): string =>
  JSON.stringify(
    (rules as { Name?: string; Action?: unknown }[]).map((r) => (r.Name === name ? { ...r, Action: 0 } : r)),
  );
/** A web ACL is saved whole: with this lock, all but what one rate-based rule does is what was there. */
const savesTheRest: Rule = ({ input, target }, { world }) => {
  const acl = world.waf.acls.get(target);
  const {
    LockToken,
    Scope: _scope,
    Rules,
    ...asked
  } = input as { LockToken?: string; Scope?: string; Rules?: unknown };
  // With an old lock it is refused.
  if (!acl || LockToken !== acl.lock) return undefined;
  const own: Readonly<Record<string, unknown>> = { ...acl.saved };
  const lost = SAVED.filter((key) => JSON.stringify(own[key]) !== JSON.stringify((asked as typeof own)[key]));
  if (lost.length > 0) return `${lost.join(', ')} would be changed`;
  return withoutAction(Rules, 'per-address') === withoutAction(acl.saved.Rules, 'per-address')
    ? undefined
    : 'other rules, or more of the rule, would be changed';
};
const SAVED = [
  'Name',
  'Id',
  'DefaultAction',
  'Description',
  'VisibilityConfig',
  'CustomResponseBodies',
  'TokenDomains',
];
/** What was set to Block and then changed by somebody is theirs: it is not set back. */
const rulesOfOthers: Rule = (sent, { world, isUndo, isUnsettled }) => {
  const { target, input } = sent;
  type Saved = { Rules?: { Name?: string; Action?: object; Statement?: object }[] };
  const ruleIn = (saved: unknown) => (saved as Saved).Rules?.find((r) => r.Name === 'per-address');
  const now = ruleIn(world.waf.acls.get(target)?.saved ?? {});
  const set = world.calls
    .filter(
      (c) => c.operation === 'UpdateWebACL' && c.error === undefined && c.principal.includes('-remedy-web-flooded/'),
    )
    .map((c) => ruleIn(c.input))
    .findLast((r) => r?.Action && 'Block' in r.Action);
  const isBack = 'Count' in (ruleIn(input)?.Action ?? {}) && 'Block' in (now?.Action ?? {});
  if (!set || !isBack || isUndo(sent) || isUnsettled(target)) return undefined;
  return JSON.stringify(set.Statement) === JSON.stringify(now?.Statement) ? undefined : 'somebody has changed the rule';
};

const RULES: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  RebootInstances: {
    'never-the-last-that-serves': neverTheLast,
    'stands-back-from-aws': standsBack,
    'not-while-switched-off': notWhileSwitchedOff,
  },
  UpdateWebACL: { 'a-web-acl-is-saved-whole': savesTheRest, 'rules-of-others-are-left': rulesOfOthers },
  EnableVolumeIO: { 'io-is-enabled-by-a-yes': enabledByAYes },
  StopInstances: {
    'never-the-last-that-serves': neverTheLast,
    'no-stop-in-a-group': ofNoGroup,
    'leaves-its-dedicated-host': leavesItsHost,
    'not-while-switched-off': notWhileSwitchedOff,
    'stands-back-from-aws': standsBack,
  },
  StartInstances: { 'what-others-stop-stays-stopped': ownStop },
  SetInstanceHealth: {
    'two-signs-to-destroy': hasTwoSigns,
    'never-the-last-that-serves': neverTheLast,
    'stands-back-from-aws': standsBack,
  },
  TerminateInstances: { 'two-signs-to-destroy': hasTwoSigns, 'never-the-last-that-serves': neverTheLast },
  UpdateContainerInstancesState: { 'two-signs-to-drain': drainsTheDead },
  StopTask: { 'stops-only-what-hangs': stopsWhatHangs },
  StopServiceDeployment: { 'rolls-back-by-a-yes': rollsBackByAYes },
  UpdateService: {
    'rolls-back-by-a-yes': rollsBackByAYes,
    'never-below-what-is-wanted': neverBelow,
    'waves-of-a-fifth': byAFifth,
    'owners-constraints-stay': keepsConstraints,
    'back-to-what-ran-whole': goesBackToWhatRan,
    'taken-back-in-tenths': inTenths,
  },
  LaunchInstances: { 'nothing-into-a-bad-zone': nothingIntoABadZone },
  RegisterScalableTarget: { 'minimum-in-tenths-within-the-maximum': minimumOnly },
  UpdateAutoScalingGroup: {
    'taken-back-in-tenths': inTenths,
    'within-the-maximum': keepsMaximum,
    'what-others-set-is-theirs': leavesToOthers,
  },
  CreateService: { 'only-what-is-gone-is-rebuilt': rebuildsWhatIsGone, 'back-to-what-ran-whole': goesBackToWhatRan },
  CreateCluster: { 'a-cluster-as-it-was': asItWas },
  StartInstanceRefresh: { 'only-who-left-is-replaced': replacesWhoLeft },
  SetRepositoryPolicy: { 'closes-to-strangers-only': closesToStrangersOnly },
  DeleteRepositoryPolicy: { 'closes-to-strangers-only': closesToStrangersOnly },
  TerminateInstanceInAutoScalingGroup: { 'never-below-what-is-wanted': othersServeFor },
  DeregisterContainerInstance: { 'only-what-is-gone-is-forgotten': forgetsTheGone },
  ModifyVolume: { 'volumes-never-shrink': neverSmaller },
  PutMetricAlarm: { 'only-own-alarms': ownAlarms },
  DeleteAlarms: { 'only-own-alarms': ownAlarms },
  UpdateTrail: { 'never-the-organisations-trail': notTheOrganisations, 'its-own-bucket': intoItsOwnBucket },
  CreateTrail: { 'never-the-organisations-trail': notTheOrganisations, 'its-own-bucket': intoItsOwnBucket },
  StartLogging: { 'never-the-organisations-trail': notTheOrganisations },
  PutEventSelectors: { 'never-the-organisations-trail': notTheOrganisations },
  EnableKey: { 'never-the-organisations-trail': notTheOrganisationsKey },
  CancelKeyDeletion: { 'never-the-organisations-trail': notTheOrganisationsKey },
  PutRetentionPolicy: { 'retention-never-shorter': neverShorter },
  CreateLogStream: { 'only-own-log-group': ownProofs },
  SetDesiredCapacity: { 'within-the-maximum': neverFewer },
};
const RESTARTS: Readonly<Record<string, Rule>> = {
  'never-a-protected-unit': neverProtected,
  'never-the-last-that-serves': neverTheLast,
};

export const rulesOf = ({ operation, input }: Sent): readonly (readonly [invariant: string, rule: Rule])[] =>
  Object.entries(
    operation === 'SendCommand' && textOf(input, 'DocumentName')?.endsWith('-restart-unit')
      ? RESTARTS
      : (RULES[operation] ?? {}),
  );

/** What a call names beyond its target: an instance, a volume, an alarm of an instance, a trail, a log group. Of these it may name its own only. */
const NAMED = /\b(?:i|vol|vpc)-[0-9a-f]{8,17}\b/g;
export const strangersIn = ({ input, target }: Sent, { world }: Scene): readonly string[] => {
  const found = JSON.stringify(input).match(NAMED) ?? [];
  const group = world.autoscaling.groups.get(target.split('autoScalingGroupName/')[1] ?? '');
  const belongs = (id: string): boolean =>
    target.endsWith(`/${id}`) ||
    group?.members.has(id) ||
    target.endsWith(`/${world.ec2.volumes.get(id)?.attachment?.instanceId ?? '-'}`);
  const names = [textOf(input, 'TrailName'), textOf(input, 'logGroupName')].flatMap((n) =>
    n === undefined || n === PROOFS ? [] : n,
  );
  return [
    ...found.filter((id) => !belongs(id)),
    ...names.filter((n) => !target.endsWith(n.replace(/^arn:[^/]*\//, ''))),
  ];
};

/** Grace for what a pass may have seen before others changed it. */
export const PASS_TIME = minutes(3);
