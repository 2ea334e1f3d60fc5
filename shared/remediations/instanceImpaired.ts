import * as z from 'zod/mini';
import { type DedicatedHost, movingByHand, staysOnHost } from '../core/dedicatedHosts.ts';
import { NotFound, Refused } from '../core/errors.ts';
import { ASG_TAG, aloneGroup, groupOfInstance, membershipOf } from '../core/group.ts';
import { groupArn, heldUp, type Member, type ScalingGroup } from '../core/groups.ts';
import { isGone } from '../core/hosts.ts';
import type { Attempt } from '../core/incident.ts';
import { issueAt, issueText } from '../core/issues.ts';
import { type Duties, dutiesOf, type Leave, leaveOf, NO_DUTIES, takeLeave } from '../core/leaving.ts';
import { option } from '../core/policy.ts';
import type { Checks, Instance, Ports, Traits } from '../core/ports.ts';
import {
  awaitsStart,
  BOOT_LIMIT,
  GRANTS_OF_START,
  keysOf,
  leavingHost,
  STOP_LIMIT,
  type Start,
  type Stop,
  startingAgain,
  succession,
} from '../core/power.ts';
import { defineRemediation, type Effect, type Facts, type Group, type Look } from '../core/remediation.ts';
import type { Signal, SignalKind } from '../core/signal.ts';
import { idOf, instanceTarget, partitionOf, type Target, volumeTarget } from '../core/target.ts';
import { days, hours, iso, minutes, seconds, span } from '../core/time.ts';
import type { Act, Json, Verdict } from '../core/verdict.ts';
import { type EnableIo, enablingIo, type IllVolume, illText, illVolumes, lostVolume } from '../core/volumes.ts';

const options = z.strictObject({
  patienceMinutes: option(
    z.int().check(z.gte(2), z.lte(60)),
    5,
    'A status check that fails for less than this is left to mend itself',
  ),
  awsMinutes: option(
    z.int().check(z.gte(5), z.lte(120)),
    10,
    'What AWS repairs by itself (automatic recovery, Auto Scaling) has so long before Steward does it',
  ),
  enableVolumeIo: option(
    z.boolean(),
    false,
    'May it enable the I/O of a volume that AWS disabled, for its data may be inconsistent, without asking a person?',
  ),
});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'reboot'; readonly instance: string }
  | Stop
  | Start
  | { readonly do: 'replace'; readonly instance: string; readonly group: string }
  | EnableIo
  | Leave;

interface Seen {
  readonly target: Target;
  readonly instance: Instance;
  readonly uncovered: string | undefined;
  readonly checks: Checks | undefined;
  readonly traits: Traits | undefined;
  readonly agent: 'online' | 'silent' | 'absent';
  /** Of its volumes; asked for only while it is stopped. */
  readonly keys: readonly string[];
  readonly group: Group;
  readonly serving: Facts['serving'];
  readonly member: Member | undefined;
  /** Its Auto Scaling group, by its tag: that stays when it is no member any more. */
  readonly scaling: ScalingGroup | undefined;
  /** All of the account, if it is on one. */
  readonly hosts: readonly DedicatedHost[];
  /** Of its volumes those that AWS has lost or switched off. */
  readonly volumes: readonly IllVolume[];
  readonly issue: Facts['issue'];
  /** Asked for only when AWS takes it. */
  readonly duties: Duties;
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const isFailing = ({ system, instance, ebs }: Checks): boolean => [system, instance, ebs].includes('impaired');
const isLeaving = (look: Look<Options>): boolean => isTaken(look) || tried(look, 'drain') !== undefined;
/** Well, or ill for so short a time that nothing is done yet. */
const mayMendItself = (checks: Checks | undefined, volumes: readonly IllVolume[], look: Look<Options>): boolean =>
  checks !== undefined &&
  volumes.length === 0 &&
  look.attempts.length === 0 &&
  !isLeaving(look) &&
  look.signal.kind !== 'instance.hardware-degraded' &&
  look.signal.kind !== 'instance.host-announced' &&
  checks.events.length === 0 &&
  checks.state === 'running' &&
  // EC2 may say that it fails, and not since when.
  look.now - (checks.impairedSince ?? (isFailing(checks) ? look.openedAt : look.now)) <
    minutes(look.options.patienceMinutes);

/** What is not looked into. */
const NOTHING = {
  checks: undefined,
  traits: undefined,
  agent: 'absent',
  member: undefined,
  keys: [],
  serving: undefined,
  volumes: [],
  hosts: [],
  issue: undefined,
  scaling: undefined,
  duties: NO_DUTIES,
} as const;

/** Of itself, and of what it stands on. */
const awsSays = async (
  instance: Instance,
  ports: Ports,
  look: Look<Options>,
): Promise<Pick<Seen, 'checks' | 'volumes' | 'hosts'>> => {
  const [checks, volumes, hosts] = await Promise.all([
    ports.instances.checks([instance.id]),
    illVolumes(instance, ports, toldLost(look)),
    instance.host ? ports.instances.dedicatedHosts() : [],
  ]);
  return { checks: checks[instance.id], volumes, hosts };
};

const issueFor = async (instance: Instance, { health }: Ports): Promise<Facts['issue']> =>
  isGone(instance) ? undefined : issueAt(await health.issues(), instance);

/** The volume that AWS Health told of, while it is news. */
const toldLost = ({ signal, now, openedAt }: Look<Options>): string | undefined =>
  signal.kind === 'volume.lost' && now - openedAt < DEGRADED_FOR ? /vol-[0-9a-f]+/.exec(signal.cause)?.[0] : undefined;

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const instance = await ports.instances.describe(id);
  const uncovered = look.uncovered(instance.tags);
  const name = instance.tags[ASG_TAG];
  const gone = isGone(instance);
  if (gone && (uncovered !== undefined || !name)) throw new NotFound(`${id} is ${instance.state}`);
  if (uncovered !== undefined) return { target, instance, uncovered, ...NOTHING, group: aloneGroup(instance) };
  const [scaling, { checks, volumes, hosts }] = await Promise.all([
    name ? ports.groups.describe(name) : undefined,
    gone ? NOTHING : awsSays(instance, ports, look),
  ]);
  const leaves = !gone && isLeaving(look);
  const early = mayMendItself(checks, volumes, look);
  const [traits, agent, { group, serving }, member, keys, issue] = await Promise.all([
    ports.instances.traits([instance.type]),
    early ? ('absent' as const) : ports.hosts.agent(id).then((a) => a.state),
    // Who of its group serves matters to an act only, and is the dearest question.
    early
      ? groupOfInstance(instance, ports, look.tags.group).then((g) => ({ group: g, serving: undefined }))
      : membershipOf(instance, ports, look.tags.group, scaling?.targetGroups),
    gone ? undefined : ports.groups.memberOf(id),
    instance.state === 'stopped' ? keysOf(instance, ports) : [],
    early ? undefined : issueFor(instance, ports),
  ]);
  return {
    target,
    instance,
    uncovered,
    checks,
    traits: traits[instance.type],
    agent,
    keys,
    // What AWS takes is no repair of Steward's: it spends no budget of the group.
    group: leaves ? aloneGroup(instance) : group,
    serving,
    volumes,
    hosts,
    issue,
    member,
    scaling,
    duties: leaves ? await dutiesOf(id, scaling, ports) : NO_DUTIES,
  };
};

// ---- what is wrong ----------------------------------------------------------------------------------------------------------------------

const isWhole = ({ scaling }: Seen): boolean => scaling === undefined || scaling.inService >= scaling.desired;

/** AWS stops or retires it: it must be elsewhere before. */
const MUST_LEAVE = ['instance-stop', 'instance-retirement'];
/** An announced event further away than this is nobody's trouble yet. */
const NOTICE = days(7);
type Announced = Checks['events'][number];
const announced = ({ checks }: Seen, { now }: Look<Options>): readonly Announced[] =>
  (checks?.events ?? []).filter((e) => e.notBefore - now < NOTICE).sort((a, b) => a.notBefore - b.notBefore);

/** The checks that fail, in words. */
const failing = ({ checks }: Seen): readonly string[] =>
  checks
    ? [
        ...(checks.system === 'impaired' ? ['system status check'] : []),
        ...(checks.instance === 'impaired' ? ['instance status check'] : []),
        ...(checks.ebs === 'impaired' ? ['EBS status check'] : []),
      ]
    : [];

const TAKES: readonly SignalKind[] = ['instance.interruption', 'instance.rebalance-recommended'];
const isTaken = (look: Look<Options>): boolean =>
  TAKES.includes(look.signal.kind) && look.now - look.openedAt < minutes(15);
/** Drained by this incident, and left so. */
const stillDrains = ({ duties }: Seen, look: Look<Options>): boolean =>
  duties.unit?.status === 'DRAINING' && (tried(look, 'drain')?.step as Leave | undefined)?.unit === duties.unit.arn;

/** No check shows it, so it counts until it runs elsewhere: launched since, or replaced. AWS closes such events within weeks. */
const DEGRADED_FOR = days(14);
const isDegraded = ({ instance }: Seen, look: Look<Options>): boolean =>
  look.signal.kind === 'instance.hardware-degraded' &&
  instance.launchedAt <= look.openedAt &&
  look.now - look.openedAt < DEGRADED_FOR;

/** What AWS says of the Dedicated Host that it is on, and whether it must leave it. One that is under assessment may be well: its checks tell. */
const hostTrouble = (
  { instance: { id, host, launchedAt }, hosts }: Seen,
  { signal, now, openedAt }: Look<Options>,
): { readonly is: string; readonly mustLeave: boolean } | undefined => {
  if (!host) return undefined;
  if (hosts.find((h) => h.id === host.id)?.state === 'permanent-failure')
    return { is: `its dedicated host ${host.id} has failed for good`, mustLeave: true };
  if (signal.kind !== 'instance.host-announced' || now - openedAt >= DEGRADED_FOR) return undefined;
  const named =
    signal.cause.endsWith(` of ${host.id}`) || (signal.cause.endsWith(` of ${id}`) && launchedAt <= openedAt);
  return named
    ? {
        is: `AWS has announced something for its dedicated host ${host.id} (${signal.cause})`,
        mustLeave: /RETIREMENT|FAIL|DEGRADED/.test(signal.cause),
      }
    : undefined;
};

const isHealthy = (seen: Seen, look: Look<Options>): boolean => {
  const { instance, checks } = seen;
  if (isGone(seen.instance)) return isWhole(seen);
  return (
    instance.state === 'running' &&
    checks?.system === 'ok' &&
    checks.instance === 'ok' &&
    failing(seen).length === 0 &&
    seen.volumes.length === 0 &&
    announced(seen, look).length === 0 &&
    !isTaken(look) &&
    !stillDrains(seen, look) &&
    !isDegraded(seen, look) &&
    hostTrouble(seen, look) === undefined
  );
};

const describe = (seen: Seen, look: Look<Options>): string => {
  const { instance, checks, scaling, uncovered, member, issue } = seen;
  if (uncovered !== undefined) return `not looked into: ${uncovered}`;
  if (isGone(seen.instance))
    return `it is ${instance.state}; asg/${scaling?.name} has ${scaling?.inService} of ${scaling?.desired} in service`;
  const volumes = seen.volumes.map(illText);
  if (instance.state !== 'running') return [`it is ${instance.state}`, ...volumes].join('; ');
  const fails = failing(seen);
  const events = announced(seen, look).map((e) => `AWS will ${wordsOf(e)} at ${iso(e.notBefore)}`);
  const state = fails.length > 0 ? [`its ${fails.join(' and ')} fails`] : [];
  const waits = checks?.instance === 'initializing' ? ['its checks are starting'] : [];
  const place = member && member.lifecycle !== 'InService' ? [`Auto Scaling has it ${member.lifecycle}`] : [];
  const taken = isTaken(look) ? ['AWS is about to take it back'] : [];
  const worn = isDegraded(seen, look) ? [`what it runs on is degraded (${look.signal.cause})`] : [];
  const host = hostTrouble(seen, look);
  const all = [...volumes, ...state, ...(host ? [host.is] : []), ...events, ...taken, ...worn, ...waits, ...place];
  const known = issue && !('unknown' in issue) ? [issueText(issue)] : [];
  return all.length > 0 ? [...all, ...known].join('; ') : 'it runs and its status checks pass';
};

const wordsOf = ({ code }: Announced): string =>
  ({
    'instance-stop': 'stop it',
    'instance-retirement': 'retire it',
    'instance-reboot': 'reboot it',
    'system-reboot': 'reboot its host',
    'system-maintenance': 'maintain its host',
  })[code];

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

type Last = Attempt<Step> | undefined;
const lastOf = (look: Look<Options>): Last => look.attempts.at(-1) as Last;
const tried = (look: Look<Options>, what: Step['do']): Last =>
  (look.attempts as readonly Attempt<Step>[]).findLast((a) => a.step.do === what && a.outcome?.kind !== 'transient');

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { instance, uncovered, checks } = seen;
  const { now } = look;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  if (isGone(seen.instance)) return succession(seen.instance, seen.scaling, { now, since: look.openedAt });
  const lost = seen.volumes.find((v) => v.is === 'lost');
  // What this incident stopped is started again first.
  if (lost && !(instance.state === 'stopped' && awaitsStart(instance, tried(look, 'stop'))))
    return lostVolume(lost, instance.zoneName);
  const last = lastOf(look);
  switch (instance.state) {
    case 'stopping':
      return underWay(seen, look, STOP_LIMIT, 'force it off, or look at its shutdown: aws ec2 stop-instances --force');
    case 'pending':
      return underWay(seen, look, BOOT_LIMIT, 'look at its system log');
    case 'stopped':
      return awaitsStart(instance, tried(look, 'stop'))
        ? startingAgain(seen, look)
        : { do: 'nothing', because: 'it is stopped: somebody meant that' };
    default:
  }
  // What may have happened has the same time to show as what did.
  if ((last?.outcome?.kind === 'done' || last?.outcome?.kind === 'ambiguous') && last.effect === undefined)
    return { do: 'wait', until: now + seconds(15), because: `${describe(seen, look)}: ${last.plan} is not over yet` };
  if (!checks) return { do: 'wait', until: now + minutes(1), because: 'EC2 tells nothing of its status checks' };
  // Neither a reboot nor other hardware enables it.
  const [off] = seen.volumes;
  if (off) return enablingIo(instance.id, off, look, look.options.enableVolumeIo);
  return failing(seen).length > 0 ? impaired(seen, checks, look) : forewarned(seen, look);
};

/** It runs and its checks pass, and yet AWS has said something of it. */
const forewarned = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const [event] = announced(seen, look);
  if (event) return leaving(seen, event, look);
  if (isTaken(look)) return takingLeave(seen, look) ?? taken(seen, look);
  if (stillDrains(seen, look))
    return {
      do: 'escalate',
      because: 'AWS did not take it, and it still drains',
      remedy: 'let it take tasks again with steward undo, or replace it',
    };
  const host = hostTrouble(seen, look);
  if (host) return leavingItsHost(seen, host, look);
  // AWS itself says so: no second sign is needed.
  if (isDegraded(seen, look)) {
    const is = describe(seen, look);
    return seen.member ? replacing(seen, is, true, look) : restarting(seen, is, look);
  }
  return { do: 'wait', until: look.now + seconds(30), because: describe(seen, look) };
};

const underWay = (seen: Seen, look: Look<Options>, limit: number, remedy: string): Verdict<Step> => {
  const { now } = look;
  const since = lastOf(look)?.reservedAt ?? look.openedAt;
  const because = `it is ${seen.instance.state} for ${span(now - since)}`;
  return now - since < limit ? { do: 'wait', until: now + seconds(15), because } : { do: 'escalate', because, remedy };
};

const impaired = (seen: Seen, checks: Checks, look: Look<Options>): Verdict<Step> => {
  const { now, options: o, openedAt } = look;
  const { member } = seen;
  const since = checks.impairedSince ?? openedAt;
  const is = `${describe(seen, look)} for ${span(now - since)}`;
  const patience = since + minutes(o.patienceMinutes);
  if (now < patience)
    return { do: 'wait', until: Math.min(patience, now + minutes(1)), because: `${is}: it may mend itself` };
  if (member && member.lifecycle !== 'InService') return atScaling(member, look);
  const hardware = checks.system === 'impaired' || checks.ebs === 'impaired';
  if (!hardware && !tried(look, 'reboot')) return rebooting(seen, is);
  const aws = awsDoesIt(seen, hardware, is, since + minutes(o.awsMinutes), now);
  if (aws) return aws;
  return member ? replacing(seen, is, failing(seen).length > 1, look) : restarting(seen, is, look);
};

const atScaling = ({ lifecycle }: Member, { now, openedAt }: Look<Options>): Verdict<Step> =>
  now - openedAt < hours(2)
    ? { do: 'wait', until: now + minutes(1), because: `Auto Scaling is at work on it: ${lifecycle}` }
    : {
        do: 'escalate',
        because: `Auto Scaling has it ${lifecycle} for ${span(now - openedAt)}`,
        remedy: 'look at the lifecycle hook that holds it',
      };

const rebooting = ({ instance }: Seen, because: string): Act<Step> => ({
  do: 'act',
  rung: 'reboot',
  step: { do: 'reboot', instance: instance.id },
  plan: `reboot ${instance.id}`,
  because,
});

/** AWS has repairs of its own: they are known, and they come first. */
const awsDoesIt = (
  { instance, member, traits, scaling }: Seen,
  hardware: boolean,
  is: string,
  until: number,
  now: number,
): Verdict<Step> | undefined => {
  const recovers = hardware && !member && instance.autoRecovery && traits?.autoRecovery === true;
  const replaces = member && !scaling?.suspended.includes('HealthCheck');
  if (now >= until || !(recovers || replaces)) return undefined;
  const because = recovers
    ? `${is}: AWS recovers it by itself`
    : `${is}: Auto Scaling replaces what fails its checks by itself`;
  return { do: 'wait', until: Math.min(until, now + minutes(1)), because };
};

/** What replacing needs: the group must do it, and a second, independent sign that it is dead. */
const replacing = (seen: Seen, is: string, isSure: boolean, look: Look<Options>): Verdict<Step> => {
  const { instance, member, scaling, agent } = seen;
  const held = heldUp(scaling, is);
  if (held) return held;
  // An agent that never was says nothing; one that has gone silent does.
  if (!isSure && agent !== 'silent')
    return {
      do: 'escalate',
      because: `${is}, but its SSM agent ${agent === 'online' ? 'answers' : 'is not registered'}: one sign is not enough to destroy it`,
      remedy: 'look at it; if it is dead, terminate it, and its group replaces it',
    };
  if (tried(look, 'replace'))
    return {
      do: 'escalate',
      because: `${is}, and its group does not replace it`,
      remedy: `look at the activity of asg/${scaling?.name}`,
    };
  const second = isSure ? '' : `, and its SSM agent is ${agent}`;
  return {
    do: 'act',
    rung: 'replace',
    step: { do: 'replace', instance: instance.id, group: member?.group ?? '' },
    plan: `let asg/${member?.group} replace ${instance.id}`,
    because: `${is}${second}`,
  };
};

const leavingItsHost = (
  seen: Seen,
  { is, mustLeave }: NonNullable<ReturnType<typeof hostTrouble>>,
  look: Look<Options>,
): Verdict<Step> => {
  if (!mustLeave)
    return {
      do: 'escalate',
      because: is,
      remedy: `let it happen, or move it before: ${movingByHand(seen.instance, seen.hosts)}`,
    };
  return seen.member ? replacing(seen, is, true, look) : restarting(seen, is, look);
};

const restarting = (seen: Seen, is: string, look: Look<Options>): Verdict<Step> =>
  // What was moved already is told as that.
  (tried(look, 'stop') ? undefined : staysOnHost(seen.instance, seen.hosts, is)) ??
  leavingHost(seen, look, {
    rung: 'restart',
    is,
    moved: 'look at its system log; restore it from its last backup',
  });

/** AWS has announced something: what must leave leaves before; of what AWS does itself a person is told. */
const leaving = (seen: Seen, event: Announced, look: Look<Options>): Verdict<Step> => {
  const is = `AWS will ${wordsOf(event)} at ${iso(event.notBefore)} (${event.description})`;
  if (!MUST_LEAVE.includes(event.code))
    return {
      do: 'escalate',
      because: is,
      remedy: seen.member
        ? 'let it happen, or replace it before'
        : 'let it happen, or stop and start it before: then it has other hardware',
    };
  // AWS itself says that it goes: no second sign is needed.
  return seen.member ? replacing(seen, is, true, look) : restarting(seen, is, look);
};

/** Its work moves before it goes: at once when it goes in two minutes; where its group launches another before, only when that one is there. */
const takingLeave = ({ instance, member, scaling, duties }: Seen, look: Look<Options>): Verdict<Step> | undefined => {
  const step = leaveOf(instance.id, duties);
  if (!step || tried(look, 'drain')) return undefined;
  const because = 'AWS takes this spot instance back';
  if (look.signal.kind === 'instance.rebalance-recommended') {
    // It may never come to that: nobody would launch another, or let it take tasks again.
    if (!member || !scaling?.rebalances) return undefined;
    if (member.lifecycle === 'InService' && scaling.inService <= scaling.desired)
      return {
        do: 'wait',
        until: look.now + seconds(15),
        because: `${because}: asg/${member.group} launches another first`,
      };
  }
  const out = step.targetGroups.length > 0 ? ', and it takes no new requests' : '';
  return {
    do: 'act',
    rung: 'drain',
    step,
    plan: `drain ${instance.id} before it goes: its work starts elsewhere${out}`,
    because,
  };
};

const taken = ({ member, scaling }: Seen, { now }: Look<Options>): Verdict<Step> =>
  member
    ? {
        do: 'wait',
        until: now + minutes(1),
        because: `AWS takes this spot instance back; asg/${member.group} ${scaling?.rebalances ? 'already launches another' : 'launches another when it is gone'}`,
      }
    : {
        do: 'escalate',
        because: 'AWS takes this spot instance back, and it is in no group that would replace it',
        remedy: 'move its work elsewhere within two minutes, or let it be',
      };

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, ports: Ports): Promise<Json> => {
  const { instances, groups } = ports;
  switch (step.do) {
    case 'drain':
      await takeLeave(step, ports);
      break;
    case 'enable-io':
      await ports.volumes.enableIo(step.volume);
      break;
    case 'reboot':
      await instances.reboot(step.instance);
      break;
    case 'stop':
      await instances.stop(step.instance);
      break;
    case 'start':
      await instances.start(step.instance);
      break;
    case 'replace':
      await groups.markUnhealthy(step.instance);
  }
  return { instance: step.instance };
};

/** A check needs minutes to see a boot; while it starts, nothing is known. */
const booted = (seen: Seen, since: number): Effect => {
  const fails = failing(seen).length > 0;
  if (seen.instance.state === 'running' && seen.checks?.system === 'ok' && seen.checks.instance === 'ok' && !fails)
    return since > seconds(30) ? 'effective' : 'pending';
  return since < (fails ? minutes(6) : BOOT_LIMIT) ? 'pending' : 'ineffective';
};

const effect = ({ step, reservedAt }: Attempt<Step>, seen: Seen, { now }: Look<Options>): Effect => {
  const { instance, member } = seen;
  const since = now - reservedAt;
  const within = (limit: number): Effect => (since < limit ? 'pending' : 'ineffective');
  switch (step.do) {
    case 'stop':
      return instance.state === 'stopped' ? 'effective' : within(STOP_LIMIT);
    case 'drain':
      return isGone(instance) || leaveOf(instance.id, seen.duties) === undefined ? 'effective' : within(minutes(1));
    case 'enable-io':
      return seen.volumes.some((v) => v.volume === step.volume) ? within(minutes(5)) : 'effective';
    case 'replace':
      return isGone(seen.instance) || (member && member.lifecycle !== 'InService') ? 'effective' : within(minutes(5));
    case 'start':
      // Taken and fallen back: AWS has no capacity, or may not use a key.
      return instance.state === 'stopped' ? within(minutes(1)) : booted(seen, since);
    case 'reboot':
      return booted(seen, since);
  }
};

const KINDS: Readonly<Record<string, SignalKind>> = {
  system: 'instance.system-check-failed',
  instance: 'instance.status-check-failed',
  ebs: 'instance.ebs-check-failed',
};
const kindOf = (c: Checks): SignalKind =>
  (['system', 'instance', 'ebs'] as const).flatMap((k) => (c[k] === 'impaired' ? (KINDS[k] ?? []) : []))[0] ??
  'instance.scheduled-event';

const survey = async (
  { instances, volumes, where }: Ports,
  { now }: { readonly now: number },
): Promise<readonly Signal[]> => {
  const [troubled, ill, hosts] = await Promise.all([
    instances.troubled(),
    volumes.troubled(),
    instances.dedicatedHosts(),
  ]);
  const onFailed = hosts
    .filter((h) => h.state === 'permanent-failure')
    .flatMap(({ id, instances: guests }) =>
      guests.map((guest) => ({
        kind: 'instance.host-announced' as const,
        target: instanceTarget(where, guest),
        at: now,
        cause: `survey: EC2 reports permanent-failure of ${id}`,
        eventId: `survey:${guest}:host-failed`,
      })),
    );
  const ofVolumes = ill.flatMap(({ volume, is, instance }): Signal[] => {
    const kind = is === 'lost' ? 'volume.lost' : 'volume.io-off';
    const cause = `survey: EC2 reports ${kind} of ${volume}`;
    const eventId = `survey:${volume}:${kind}`;
    return instance ? [{ kind, target: instanceTarget(where, instance), at: now, cause, eventId }] : [];
  });
  const ofChecks = troubled.map(({ id, checks }) => ({
    kind: kindOf(checks),
    target: instanceTarget(where, id),
    at: now,
    cause: `survey: EC2 reports ${kindOf(checks)} of ${id}`,
    eventId: `survey:${id}:${kindOf(checks)}@${checks.impairedSince ?? checks.events[0]?.notBefore ?? iso(now).slice(0, 13)}`,
  }));
  return [...ofVolumes, ...onFailed, ...ofChecks];
};

export const instanceImpaired = defineRemediation<Seen, Step, Options>({
  name: 'instance-impaired',
  title: 'ends failed status checks of EC2 instances, and moves them before AWS retires them',
  about: `What fails for five minutes is **rebooted** if its own check fails. If that does not help, or the hardware below it is at fault, one that stands alone is
**stopped and started**, which moves it to other hardware; a member of an Auto Scaling group is **replaced** by its group, lifecycle hooks included. What AWS repairs by
itself (automatic recovery, Auto Scaling's health check) is left to AWS for ten minutes. Replacing needs two signs: a failed check and a second one, or a silent SSM agent,
or AWS's own announcement. What AWS Health calls **degraded** (a drive of the instance store) shows in no check: it is moved or replaced like failing
hardware. What would lose instance-store data or a public address is a rung of its own, which destroys: a person says yes to exactly that. It is over when
both checks pass again, or the group is whole. It never forces a stop, never terminates anything itself, never touches the last member that serves without a person. A spot instance that AWS
takes is **drained** first: its ECS tasks start elsewhere, and it leaves its group's target groups where others serve. On a mere recommendation only where its group launches another
(Capacity Rebalancing), and once that one is there. While AWS has an open issue of EC2 or EBS in the zone or the region, nothing is rebooted, moved or replaced: a person is told which issue it is. A volume whose hardware has failed for good is never 'repaired': a person is told at once, with its snapshots, newest first
(one that is attached to nothing is nobody's here). A volume whose I/O AWS disabled, for its data may be inconsistent, takes it again at a person's word, or without if *enableVolumeIo* says so; until then neither a reboot nor other hardware is tried. On a **Dedicated Host** a stop and a start move only what is not pinned to it, once it takes nothing more and another
with auto-placement has room: else a person has the commands; of what AWS announces for a host, each instance on it is looked at.`,
  answers: [
    'instance.status-check-failed',
    'instance.system-check-failed',
    'instance.ebs-check-failed',
    'instance.hardware-degraded',
    'instance.host-announced',
    'volume.lost',
    'volume.io-off',
    'instance.scheduled-event',
    'instance.interruption',
    'instance.rebalance-recommended',
  ],
  risk: 'interrupts',
  targets: 'arn:*:ec2:*:*:instance/*',
  ladder: {
    reboot: 'the operating system starts afresh on the same hardware',
    restart: 'stop it, to start it on other hardware',
    'restart-with-loss': 'the same, where instance-store data or the public address is lost',
    start: 'start what was stopped for that',
    'enable-io': 'its volume takes I/O again that AWS disabled, for its data may be inconsistent',
    replace: 'its Auto Scaling group launches another',
    drain: 'AWS takes it: its tasks start elsewhere, it takes no new requests',
  },
  risks: {
    start: 'harmless',
    drain: 'harmless',
    'enable-io': 'interrupts',
    'restart-with-loss': 'destroys',
    replace: 'destroys',
  },
  permissions: [
    {
      for: 'look',
      actions: [
        'ec2:DescribeInstances',
        'ec2:DescribeInstanceStatus',
        'ec2:DescribeInstanceTypes',
        'ec2:DescribeVolumes',
        'ec2:DescribeVolumesModifications',
        'ec2:DescribeVolumeStatus',
        'ec2:DescribeHosts',
        'ec2:DescribeSnapshots',
        'ssm:DescribeInstanceInformation',
        'autoscaling:DescribeAutoScalingInstances',
        'autoscaling:DescribeAutoScalingGroups',
        'ecs:ListClusters',
        'ecs:ListContainerInstances',
        'ecs:DescribeContainerInstances',
        'elasticloadbalancing:DescribeTargetHealth',
        'health:DescribeEvents',
      ],
      resources: ['*'],
    },
    {
      for: 'act',
      actions: ['ec2:RebootInstances', 'ec2:StopInstances', 'ec2:StartInstances'],
      resources: ['arn:*:ec2:*:*:instance/*'],
      whenTagged: 'aws:ResourceTag',
    },
    {
      for: 'act',
      actions: ['autoscaling:SetInstanceHealth'],
      resources: ['arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*'],
    },
    { for: 'act', actions: ['ecs:UpdateContainerInstancesState'], resources: ['arn:*:ecs:*:*:container-instance/*'] },
    {
      for: 'act',
      actions: ['elasticloadbalancing:DeregisterTargets'],
      resources: ['arn:*:elasticloadbalancing:*:*:targetgroup/*'],
    },
    { for: 'act', actions: ['ec2:EnableVolumeIO'], resources: ['arn:*:ec2:*:*:volume/*'] },
    GRANTS_OF_START,
  ],
  options,
  survey,
  locate: {
    volume: async (changed, ports) => {
      const instance = await ports.volumes.attachedTo(idOf(changed));
      return instance ? [instanceTarget(changed, instance)] : [];
    },
    'dedicated-host': async (changed, { instances }) => {
      const host = (await instances.dedicatedHosts()).find((h) => h.id === idOf(changed));
      return (host?.instances ?? []).map((id) => instanceTarget(changed, id));
    },
  },
  observe,
  facts: ({ instance, group, serving, issue }) => ({
    tags: instance.tags,
    group,
    zone: instance.zoneId,
    serving,
    issue,
  }),
  describe,
  isHealthy,
  decide,
  act,
  touches: (step, target) => {
    switch (step.do) {
      case 'replace':
        return [groupArn(target, partitionOf(target.region), step.group)];
      case 'start':
        return step.keys;
      case 'enable-io':
        return [volumeTarget(target, step.volume).arn];
      case 'drain':
        return [...(step.unit === null ? [] : [step.unit]), ...step.targetGroups];
      default:
        return [];
    }
  },
  before: ({ instance, checks }) => ({
    launchedAt: instance.launchedAt,
    system: checks?.system ?? 'unknown',
    instance: checks?.instance ?? 'unknown',
  }),
  effect,
  undo: async ({ step }, { containers }) => {
    if (step.do !== 'drain' || step.unit === null)
      throw new Refused(
        'no-undo',
        'what was rebooted, moved or replaced cannot be put back on the hardware that failed',
      );
    await containers.setState(step.unit, 'ACTIVE');
    return { unit: step.unit };
  },
});
