/** Stopping an instance and starting it again: whose stop it is, and what a start needs. */
import type { Member, ScalingGroup } from './groups.ts';
import { isGone, volumesThere } from './hosts.ts';
import type { Attempt } from './incident.ts';
import type { Permission } from './permissions.ts';
import type { Instance, Ports, Traits } from './ports.ts';
import type { Look } from './remediation.ts';
import { hours, minutes, seconds, type Time } from './time.ts';
import type { Verdict } from './verdict.ts';

/** StateReason's codes of a stop that someone meant; the others are AWS's: no capacity, a schedule, a key that it may not use. */
const MEANT = /^Client\.(User|Instance)Initiated/;

/**
 * Does what is stopped still await the start that belongs to this stop? Not if AWS declined the stop, and not if it was launched since and then
 * stopped by someone: that is theirs. A launch that fell back (no capacity) is still ours to start.
 */
export const awaitsStart = ({ launchedAt, reason }: Instance, stop: Attempt | undefined): boolean =>
  stop !== undefined &&
  stop.outcome?.kind !== 'permanent' &&
  (launchedAt <= stop.reservedAt || !MEANT.test(reason?.code ?? ''));

/** ARNs of the keys under which its volumes are encrypted: EC2 asks KMS for a grant on each, in the name of who starts it. */
export const keysOf = async ({ devices }: Instance, ports: Pick<Ports, 'volumes'>): Promise<readonly string[]> => {
  const found = await volumesThere([...new Set(Object.values(devices))], ports);
  return [...new Set(found.flatMap((v) => v.key ?? []))].sort();
};

/** By EC2, in our name: without it, what has volumes under a customer's key would be stopped and not start again. */
export const GRANTS_OF_START: Permission = {
  for: 'act',
  actions: ['kms:CreateGrant'],
  resources: ['arn:*:kms:*:*:key/*'],
  grantsService: true,
};

/** Stopped without force, and started: it comes up on other hardware. */
export type Stop = { readonly do: 'stop'; readonly instance: string };
export type Start = {
  readonly do: 'start';
  readonly instance: string;
  /** Which try this is. */
  readonly time: number;
  readonly keys: readonly string[];
};

/** Longer than a clean shutdown takes, and than a boot takes with its checks. */
export const STOP_LIMIT = minutes(10);
export const BOOT_LIMIT = minutes(12);

type Past = Pick<Look<unknown>, 'attempts' | 'now'>;
/** Its last step of that kind, if AWS did not merely put it off. */
export const triedStep = ({ attempts }: Past, what: string): Attempt | undefined =>
  attempts.findLast((a) => (a.step as { do?: string }).do === what && a.outcome?.kind !== 'transient');

/** How often it is tried to start what has no room, and how long between. */
const START_TRIES = 6;
const START_PAUSE = minutes(5);

/** Starts again what this incident stopped. */
export const startingAgain = (
  { instance, keys }: { readonly instance: Instance; readonly keys: readonly string[] },
  { attempts, now }: Past,
): Verdict<Start> => {
  const starts = attempts.filter((a) => (a.step as { do?: string }).do === 'start');
  const last = starts.at(-1);
  if (last?.outcome?.kind === 'done' && last.effect === undefined)
    return { do: 'wait', until: now + seconds(15), because: 'it is being started' };
  const said = last?.outcome?.kind === 'done' ? instance.reason?.message : last?.outcome?.because;
  const why = said === undefined ? '' : `: ${said}`;
  if (starts.length >= START_TRIES)
    return {
      do: 'escalate',
      because: `it is stopped and cannot be started${why}`,
      remedy: 'start it by hand: in another zone or of another type, if AWS has no capacity',
    };
  if (last && now - last.reservedAt < START_PAUSE)
    return { do: 'wait', until: last.reservedAt + START_PAUSE, because: `it is stopped, and starting failed${why}` };
  return {
    do: 'act',
    rung: 'start',
    step: { do: 'start', instance: instance.id, time: starts.length + 1, keys },
    plan: `start ${instance.id}`,
    because: starts.length > 0 ? `it is still stopped${why}` : 'it is stopped, on its way to other hardware',
    continues: true,
    recovers: true,
  };
};

const lossesOf = (instance: Instance, traits: Traits): readonly string[] => [
  ...(traits.instanceStore ? ['what is on its instance-store disks'] : []),
  ...(instance.losesAddress ? ['its public address'] : []),
];

/** Stops what stands alone, to start it on other hardware; what that loses is a rung of its own, '…-with-loss'. Or why it does not. */
export const leavingHost = (
  { instance, traits }: { readonly instance: Instance; readonly traits: Traits | undefined },
  look: Past,
  { rung, is, moved }: { readonly rung: string; readonly is: string; readonly moved: string },
): Verdict<Stop> => {
  const stop = triedStep(look, 'stop');
  const told = (because: string, remedy: string): Verdict<Stop> => ({
    do: 'escalate',
    because: `${is}, ${because}`,
    remedy,
  });
  if (stop && (stop.outcome?.kind === 'permanent' || stop.effect === 'ineffective'))
    return told(
      `and it could not be stopped: ${stop.outcome?.because}`,
      'stop it and start it by hand: that moves it to other hardware',
    );
  if (stop) return told('after it was moved to other hardware', moved);
  if (instance.spot) return told('and it is a spot instance', 'launch another one, and terminate it');
  if (!traits)
    return told(
      `and its type ${instance.type} is not known here: what a stop would lose cannot be said`,
      'stop and start it by hand',
    );
  const losses = lossesOf(instance, traits);
  const loss = losses.length > 0;
  return {
    do: 'act',
    rung: loss ? `${rung}-with-loss` : rung,
    step: { do: 'stop', instance: instance.id },
    plan: `stop and start ${instance.id}, which moves it to other hardware${loss ? `, and LOSES ${losses.join(' and ')}` : ''}`,
    because: is,
  };
};

/** Its group has begun to replace it. */
export const isLeaving = (instance: Instance, member: Member | undefined): boolean =>
  isGone(instance) || (member !== undefined && member.lifecycle !== 'InService');

/** It is gone, and its group has another in its place: only then is the trouble over. */
export const isSucceeded = (instance: Instance, group: ScalingGroup | undefined): boolean =>
  isGone(instance) && group !== undefined && group.inService >= group.desired;

/** Until its group has launched another. */
export const succession = (
  { id }: Instance,
  group: ScalingGroup | undefined,
  { now, since }: { readonly now: Time; readonly since: Time },
): Verdict<never> => {
  const because = `${id} is gone, and asg/${group?.name} has ${group?.inService} of ${group?.desired} in service`;
  return now - since < hours(1)
    ? { do: 'wait', until: now + seconds(30), because: `${because}: Auto Scaling launches another` }
    : { do: 'escalate', because, remedy: `look at the activity of the group: why does ${group?.name} launch none?` };
};
