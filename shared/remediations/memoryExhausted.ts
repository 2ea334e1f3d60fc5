import * as z from 'zod/mini';
import { NotFound } from '../core/errors.ts';
import { type Forecast, forecastText } from '../core/forecast.ts';
import { ASG_TAG, aloneGroup, membershipOf } from '../core/group.ts';
import { groupArn, heldUp, type Member, type ScalingGroup } from '../core/groups.ts';
import { commandIdOf, inspected, isGone } from '../core/hosts.ts';
import type { Attempt } from '../core/incident.ts';
import type { LoadReport, RestartReport, Unit } from '../core/load.ts';
import { onHosts } from '../core/permissions.ts';
import { option } from '../core/policy.ts';
import type { HostRun, Instance, Ports, Traits } from '../core/ports.ts';
import { awaitsStart, GRANTS_OF_START, isLeaving, isSucceeded, keysOf, succession, triedStep } from '../core/power.ts';
import { defineRemediation, type Effect, type Facts, type Group, type Look } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { idOf, instanceTarget, partitionOf, type Target } from '../core/target.ts';
import { hours, minutes, seconds, span, type Time } from '../core/time.ts';
import { forecastSignal, isForecastTime, trendOfOne, trendsOfAll } from '../core/trends.ts';
import {
  cameBack,
  heldBy,
  holders,
  isUnnamed,
  isWatched,
  keepsData,
  killsOf,
  leakers,
  memoryText,
  sizesAbove,
  usdPerMonthOf,
  whyNot,
} from '../core/units.ts';
import type { Json, Verdict } from '../core/verdict.ts';

const names = z.array(z.string().check(z.minLength(1), z.maxLength(200)));
const options = z.strictObject({
  usedPercent: option(z.int().check(z.gte(50), z.lte(99)), 90, 'Memory as full as this, or fuller, is in trouble'),
  restartable: option(
    names,
    [],
    'Units and containers that may be restarted if they leak, by name with *: [ shop, "worker-*" ]',
  ),
  protected: option(names, [], 'Units and containers that are never restarted, beside those that never are'),
  resize: option(z.boolean(), true, 'May it ask for a larger instance type where nothing leaks?'),
  replace: option(
    z.boolean(),
    true,
    'May it ask for the replacement of a member of an Auto Scaling group in which something leaks that may not be restarted?',
  ),
  forecast: option(
    z.boolean(),
    true,
    'Look once an hour whose memory will be used up within a day. CloudWatch bills about $0.015 a month for each instance',
  ),
});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'restart'; readonly instance: string; readonly unit: string; readonly kind: 'unit' | 'container' }
  | { readonly do: 'stop'; readonly instance: string; readonly toType: string }
  | { readonly do: 'set-type'; readonly instance: string; readonly toType: string }
  | { readonly do: 'start'; readonly instance: string; readonly time: number; readonly keys: readonly string[] }
  | { readonly do: 'replace'; readonly instance: string; readonly group: string };

interface Seen {
  readonly target: Target;
  readonly instance: Instance;
  readonly uncovered: string | undefined;
  readonly group: Group;
  readonly serving: Facts['serving'];
  readonly traits: Readonly<Record<string, Traits>>;
  /** Of its volumes; asked for only while it is stopped. */
  readonly keys: readonly string[];
  readonly member: Member | undefined;
  readonly scaling: ScalingGroup | undefined;
  readonly command: HostRun<RestartReport> | undefined;
  /** Undefined: the host could not be asked, `blind` says why. */
  readonly load: LoadReport | undefined;
  readonly blind: string | undefined;
  /** It will be in trouble, by a trend that was asked about. */
  readonly soon: Forecast | undefined;
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const instance = await ports.instances.describe(id);
  const name = instance.tags[ASG_TAG];
  if (isGone(instance) && !triedStep(look, 'replace')) throw new NotFound(`${id} is ${instance.state}`);
  const uncovered = look.uncovered(instance.tags);
  const nothing = {
    traits: {},
    keys: [],
    member: undefined,
    scaling: undefined,
    command: undefined,
    load: undefined,
    blind: undefined,
    soon: undefined,
  };
  if (isGone(instance)) {
    const scaling = name ? await ports.groups.describe(name) : undefined;
    return { target, instance, uncovered, group: aloneGroup(instance), serving: undefined, ...nothing, scaling };
  }
  if (uncovered !== undefined)
    return { target, instance, uncovered, group: aloneGroup(instance), serving: undefined, ...nothing };
  const [{ group, serving }, agent, traits, keys, soon, member, scaling] = await Promise.all([
    membershipOf(instance, ports, look.tags.group),
    ports.hosts.agent(id),
    ports.instances.traits([instance.type, ...sizesAbove(instance.type)]),
    instance.state === 'stopped' ? keysOf(instance, ports) : [],
    look.signal.kind === 'memory.forecast' ? trendOf(id, ports, look) : undefined,
    name ? ports.groups.memberOf(id) : undefined,
    name ? ports.groups.describe(name) : undefined,
  ]);
  const known = { target, instance, uncovered, group, serving, traits, keys, soon, member, scaling };
  if (instance.state !== 'running')
    return { ...known, command: undefined, load: undefined, blind: `it is ${instance.state}` };
  if (agent.state !== 'online')
    return { ...known, command: undefined, load: undefined, blind: `its SSM agent is ${agent.state}` };
  const last = look.attempts.at(-1) as Attempt<Step> | undefined;
  const sent = last?.step.do === 'restart' ? commandIdOf(last) : undefined;
  const command = sent ? await ports.hosts.result(id, 'restart-unit', sent) : undefined;
  if (command?.state === 'running') return { ...known, command, load: undefined, blind: undefined };
  const { report, blind } = inspected(await ports.hosts.inspect(id, 'inspect-load', {}));
  return { ...known, command, load: report, blind };
};

const USED = { namespace: 'CWAgent', name: 'mem_used_percent' } as const;

/** The agent and the host count a little differently: what is there now is the agent's latest word. */
const trendOf = (id: string, { metrics }: Ports, { now, options: o }: Look<Options>): Promise<Forecast | undefined> =>
  trendOfOne(metrics, { ...USED, dimensions: { InstanceId: id } }, { limit: o.usedPercent }, now);

// ---- what is wrong ----------------------------------------------------------------------------------------------------------------------

/** What a restart has just given back the metric tells only minutes later. */
const coming = ({ soon }: Seen, { attempts }: Look<Options>): Forecast | undefined =>
  attempts.at(-1)?.effect === 'effective' ? undefined : soon;

const usedPercent = ({ memory: m }: LoadReport): number => 100 * (1 - m.availableBytes / Math.max(1, m.totalBytes));

/** An out-of-memory kill counts for half an hour, and no longer than to the next repair. */
const KILL_COUNTS = minutes(30);
const freshKill = ({ load }: Seen, { now, attempts }: Look<Options>) => {
  const since = attempts.findLast((a) => a.effect === 'effective')?.reservedAt ?? 0;
  return load?.oomKills.find((k) => k.secondsAgo * 1000 < KILL_COUNTS && now - k.secondsAgo * 1000 > since);
};
const isLow = ({ load }: Seen, { options: o }: Look<Options>): boolean =>
  load !== undefined && usedPercent(load) >= o.usedPercent;

/** In so much of the last minute nothing at all ran for want of memory: it thrashes, whatever is called available. Percent. */
const STALLED = 20;
const isStalled = ({ load }: Pick<Seen, 'load'>): boolean => (load?.memory.pressure?.full60 ?? 0) >= STALLED;
const isShort = (seen: Seen, look: Look<Options>): boolean => isLow(seen, look) || isStalled(seen);

/** What was restarted and does not run: then there is memory, and no service. */
const lostUnit = ({ command, load }: Seen, { attempts }: Look<Options>): string | undefined => {
  const step = (attempts.at(-1) as Attempt<Step> | undefined)?.step;
  return step?.do === 'restart' && cameBack(step, command, load) === false ? step.unit : undefined;
};

const isHealthy = (seen: Seen, look: Look<Options>): boolean =>
  isSucceeded(seen.instance, seen.scaling) ||
  (seen.instance.state === 'running' &&
    seen.load !== undefined &&
    !isShort(seen, look) &&
    !freshKill(seen, look) &&
    !coming(seen, look) &&
    lostUnit(seen, look) === undefined);

const describe = (seen: Seen, look: Look<Options>): string => {
  const { load, blind, uncovered, command } = seen;
  const soon = coming(seen, look);
  if (uncovered !== undefined) return `not looked into: ${uncovered}`;
  if (command?.state === 'running') return 'the host is at work on it';
  if (isGone(seen.instance)) return `it is ${seen.instance.state}`;
  if (!load) return `its memory cannot be seen: ${blind ?? 'unknown'}`;
  const { memory: m } = load;
  const kill = freshKill(seen, look);
  const killed = kill
    ? `; the kernel killed ${kill.unit ?? kill.process} for want of memory ${span(kill.secondsAgo * 1000)} ago`
    : '';
  const stall =
    m.pressure && m.pressure.some60 >= 5 ? `; work waits for it ${Math.round(m.pressure.some60)} % of the time` : '';
  const swap = m.swapUsedBytes > m.totalBytes / 10 ? `; ${memoryText(m.swapUsedBytes)} are swapped out` : '';
  const gone = lostUnit(seen, look);
  const down = gone === undefined ? '' : `; ${gone} does not run since its restart`;
  const trend = soon ? `; it ${forecastText(soon, look.options.usedPercent, look.now)}` : '';
  const most = load.units.length > 0 ? `; most is held by ${holders(load.units)}` : '';
  return `${Math.floor(usedPercent(load))} % of ${memoryText(m.totalBytes)} are used${swap}${stall}${killed}${down}${trend}${isShort(seen, look) || kill || soon ? most : ''}`;
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

const tried = (look: Look<Options>, what: Step['do']): Attempt<Step> | undefined =>
  (look.attempts as readonly Attempt<Step>[]).findLast((a) => a.step.do === what && a.outcome?.kind !== 'transient');

const BOOT_LIMIT = minutes(12);
/** Pressure is an average of the last minute: what was before a restart is in it for so long. */
const FORGETS = minutes(3);
const COMMAND_LIMIT = minutes(15);
const START_TRIES = 6;

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { instance, uncovered, load } = seen;
  const { now } = look;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  if (isGone(instance))
    return succession(instance, seen.scaling, { now, since: look.attempts.at(-1)?.reservedAt ?? now });
  if (instance.state !== 'running') return notRunning(seen, look);
  const waits = underWay(seen, look);
  if (waits) return waits;
  if (!load) return unseen(seen, look);
  return isEarly(seen, look)
    ? (leaking(seen, load, look) ?? foretold(seen, load, look))
    : (restarting(seen, load, look) ?? replacing(seen, load, look) ?? resizing(seen, load, look));
};

/** What was begun has not come to its end. */
const underWay = (seen: Seen, look: Look<Options>): Verdict<Step> | undefined => {
  const { command, load } = seen;
  const { now } = look;
  const last = look.attempts.at(-1) as Attempt<Step> | undefined;
  if (!last) return undefined;
  if (command?.state === 'running')
    return now - last.reservedAt < COMMAND_LIMIT
      ? { do: 'wait', until: now + seconds(10), because: 'the host is at work on it' }
      : {
          do: 'escalate',
          because: `the host is at work on it for more than ${span(COMMAND_LIMIT)}`,
          remedy: 'look at the command in Systems Manager, and at the host',
        };
  const isPending = last.outcome?.kind === 'done' && last.effect === undefined;
  // An agent needs some minutes after a boot of our own making.
  if (isPending && (load || last.step.do === 'start'))
    return { do: 'wait', until: now + seconds(20), because: `${last.plan}: its effect does not show yet` };
  const because = `${describe(seen, look)}; that is an average of the last minute`;
  return isStalled(seen) && now - last.reservedAt < FORGETS
    ? { do: 'wait', until: now + seconds(20), because }
    : undefined;
};

const unseen = ({ blind, soon }: Seen, { now, openedAt }: Look<Options>): Verdict<Step> =>
  now - openedAt < minutes(15)
    ? { do: 'wait', until: now + minutes(1), because: blind ?? 'the host could not be asked' }
    : {
        do: 'escalate',
        because: `${blind ?? 'the host could not be asked'}, so what holds its memory cannot be seen`,
        remedy: soon
          ? 'look at it while there is time: its memory grows'
          : 'look at it; a host without memory may not answer any more: reboot it',
      };

/** Nothing is wrong yet but the trend. */
const isEarly = (seen: Seen, look: Look<Options>): boolean =>
  coming(seen, look) !== undefined && !isShort(seen, look) && !freshKill(seen, look);

/** Units that hold a tenth of the memory, biggest first: restarting anything smaller gives nothing back. */
const big = ({ units, memory }: LoadReport): readonly Unit[] =>
  units.filter((u) => heldBy(u) * 10 >= memory.totalBytes).sort((a, b) => heldBy(b) - heldBy(a));
const candidates = (load: LoadReport, { options: o }: Look<Options>): readonly Unit[] =>
  big(load).filter((u) => whyNot(u, o) === undefined);

const restart = (seen: Seen, look: Look<Options>, u: Unit, why: string): Verdict<Step> => ({
  do: 'act',
  rung: `restart ${u.name}`,
  step: { do: 'restart', instance: seen.instance.id, unit: u.name, kind: u.kind },
  plan: `restart ${u.name}`,
  because: `${describe(seen, look)}; ${u.name} ${why}`,
});

/** A unit whose growth is proven, and that may be restarted. */
const leaking = (seen: Seen, load: LoadReport, look: Look<Options>): Verdict<Step> | undefined => {
  const mine = candidates(load, look);
  const leak = leakers(load, look.now).find((l) => mine.includes(l.unit));
  return leak && restart(seen, look, leak.unit, `leaks: it grows by ${memoryText(leak.bytesPerHour)} an hour`);
};

/** A unit that leaks, or is killed again and again, and may be restarted. Undefined: there is none, and it is no question of waiting. */
const restarting = (seen: Seen, load: LoadReport, look: Look<Options>): Verdict<Step> | undefined => {
  const { now, openedAt } = look;
  const leak = leaking(seen, load, look);
  if (leak) return leak;
  const mine = candidates(load, look);
  for (const u of mine) {
    const kills = killsOf(load, u);
    if (kills >= 2) return restart(seen, look, u, `was killed ${kills} times within a day for want of memory`);
    const dire = load.memory.availableBytes * 100 < load.memory.totalBytes * 3;
    if (dire && heldBy(u) * 2 > load.memory.totalBytes)
      return restart(
        seen,
        look,
        u,
        'holds more than half of it, and less than 3 % is left: there is no time to watch it grow',
      );
  }
  // Also of what may not be restarted: whether the type is too small depends on it.
  const unknown = big(load).find((u) => !isWatched(u));
  return unknown && now - openedAt < minutes(20)
    ? {
        do: 'wait',
        until: now + minutes(2),
        because: `${describe(seen, look)}; whether ${unknown.name} leaks shows when it has been watched for a while`,
      }
    : undefined;
};

/** What leaks slowly shows it slowly: it is watched for half of the time that is left, within these. */
const WATCH = { least: minutes(20), most: hours(2) };

/** Nothing is done on a trend alone: a person is told while there is time. */
const foretold = (seen: Seen, load: LoadReport, look: Look<Options>): Verdict<Step> => {
  const { now, openedAt, options: o } = look;
  const is = describe(seen, look);
  const left = (seen.soon?.at ?? now) - openedAt;
  const watched = Math.min(WATCH.most, Math.max(WATCH.least, left / 2));
  const found = leakers(load, now);
  if (found.length === 0 && big(load).length > 0 && now - openedAt < watched)
    return { do: 'wait', until: now + minutes(5), because: `${is}; what grows shows when it has been watched` };
  const grows = found
    .slice(0, 3)
    .map(({ unit, bytesPerHour }) => `${unit.name} by ${memoryText(bytesPerHour)} an hour (${whyNot(unit, o)})`);
  return {
    do: 'escalate',
    because: grows.length > 0 ? `${is}; it grows in ${grows.join(', ')}` : `${is}; no unit is proven to leak`,
    remedy:
      'look at what grows while there is time: restart it, name it in remediations.memory-exhausted.restartable, or plan a larger type',
  };
};

/**
 * A member of an Auto Scaling group in which something leaks that the policy does not let it restart. One sign is not enough to destroy: the growth is
 * proven, and the kernel kills or everything stalls. Never where a database or a queue runs: it would lose what that keeps.
 */
const replacing = (seen: Seen, load: LoadReport, look: Look<Options>): Verdict<Step> | undefined => {
  const { instance, member, scaling } = seen;
  const { options: o } = look;
  const leak = leakers(load, look.now).find((l) => isUnnamed(l.unit, o));
  if (!member || !leak || !o.replace || triedStep(look, 'replace') || load.units.some(keepsData)) return undefined;
  const kill = freshKill(seen, look);
  if (!kill && !isStalled(seen)) return undefined;
  const is = `${describe(seen, look)}; ${leak.unit.name} leaks: it grows by ${memoryText(leak.bytesPerHour)} an hour`;
  return (
    heldUp(scaling, is) ?? {
      do: 'act',
      rung: 'replace',
      step: { do: 'replace', instance: instance.id, group: member.group },
      plan: `let asg/${member.group} replace ${instance.id}`,
      because: `${is}, and ${kill ? 'the kernel kills for want of memory' : 'everything waits for memory'}`,
    }
  );
};

type Told = readonly [because: string, remedy: string];

const alreadyTried = ({ instance }: Seen, look: Look<Options>): Told | undefined => {
  if (tried(look, 'restart'))
    return ['restarting did not give enough back', 'look at what holds it; a larger type buys time'];
  const stop = tried(look, 'stop');
  if (stop?.step.do !== 'stop') return undefined;
  if (stop.effect !== 'effective')
    return [
      `it could not be stopped for a larger type: ${stop.outcome?.because ?? 'unknown'}`,
      'make it larger by hand',
    ];
  if (instance.type === stop.step.toType) return ['it already has a larger type', 'look at what holds it'];
  return [
    `it could not be started as ${stop.step.toType}, so it is ${instance.type} again: ${startFailure(look) ?? 'unknown'}`,
    'try again later, or give it a type for which AWS has capacity',
  ];
};

/** Memory is not what it lacks: one unit may not be restarted, or is at a limit of its own. Then a larger type would not last, or not help. */
const elsewhere = (seen: Seen, load: LoadReport, look: Look<Options>): Told | undefined => {
  if (!isLow(seen, look)) {
    const capped = load.units.find(
      (u) =>
        (u.oomKills > 0 || (u.pressure?.full60 ?? 0) >= STALLED) &&
        u.limitBytes !== null &&
        u.limitBytes < load.memory.totalBytes,
    );
    if (capped?.limitBytes)
      return [
        `${capped.name} reached its own limit of ${memoryText(capped.limitBytes)}`,
        'raise its limit (MemoryMax= of the unit, or the memory of the container), or look why it needs more',
      ];
    if (!isStalled(seen)) return undefined;
  }
  const [leak] = leakers(load, look.now);
  const why = leak && whyNot(leak.unit, look.options);
  return why
    ? [
        `${leak.unit.name} leaks: it grows by ${memoryText(leak.bytesPerHour)} an hour, and may not be restarted: ${why}`,
        'restart it by hand, or name it in remediations.memory-exhausted.restartable; a larger type would only buy time',
      ]
    : undefined;
};

const resizing = (seen: Seen, load: LoadReport, look: Look<Options>): Verdict<Step> => {
  const { instance, traits } = seen;
  const is = describe(seen, look);
  const kept = load.units[0] && whyNot(load.units[0], look.options);
  const holder = kept ? `; ${load.units[0]?.name} may not be restarted: ${kept}` : '';
  const told = (because: string, remedy: string): Verdict<Step> => ({
    do: 'escalate',
    because: `${is}${holder}; ${because}`,
    remedy,
  });
  const spent = alreadyTried(seen, look) ?? elsewhere(seen, load, look);
  if (spent) return told(...spent);
  const group = instance.tags[ASG_TAG];
  if (group)
    return told(
      `nothing leaks, so its type ${instance.type} is too small`,
      `give the launch template of asg/${group} a larger type, and refresh its instances`,
    );
  const is0 = traits[instance.type];
  const next = sizesAbove(instance.type).flatMap((t) => traits[t] ?? [])[0];
  if (!look.options.resize || !is0 || !next || instance.spot)
    return told('and nothing that Steward may do would help', 'give it a larger type, or less to do');
  if (is0.instanceStore || !next.architectures.some((a) => is0.architectures.includes(a)))
    return told(`moving to ${next.type} would lose its instance-store data, or does not fit`, 'move it by hand');
  const lost = instance.losesAddress ? ', and LOSES its public address' : '';
  return {
    do: 'act',
    rung: 'resize',
    step: { do: 'stop', instance: instance.id, toType: next.type },
    cost: {
      usdPerMonth: usdPerMonthOf(next, seen.target.region) - usdPerMonthOf(is0, seen.target.region),
      what: `${next.type} instead of ${instance.type}`,
    },
    plan: `stop ${instance.id}, make it ${next.type} (${memoryText(next.memoryMiB * 2 ** 20)}), and start it${lost}`,
    because: `${is}${holder}; nothing leaks, so ${instance.type} is too small`,
  };
};

const notRunning = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { instance } = seen;
  const { now, openedAt } = look;
  const stop = tried(look, 'stop');
  if (instance.state !== 'stopped') {
    const since = look.attempts.at(-1)?.reservedAt ?? openedAt;
    const because = `it is ${instance.state} for ${span(now - since)}`;
    return now - since < BOOT_LIMIT
      ? { do: 'wait', until: now + seconds(15), because }
      : { do: 'escalate', because, remedy: 'look at its system log' };
  }
  if (stop?.step.do !== 'stop' || !awaitsStart(instance, stop))
    return { do: 'nothing', because: 'it is stopped: it uses no memory' };
  const failure = failedStarts(look).length >= LARGER_TRIES ? startFailure(look) : undefined;
  // Running as what it was is better than not running.
  const toType = failure === undefined ? stop.step.toType : (stop.before as unknown as Before).type;
  const goOn = {
    rung: 'start',
    because:
      failure === undefined
        ? 'it is stopped, to be made larger'
        : `it cannot be started as ${stop.step.toType}: ${failure}`,
    continues: true,
    recovers: true,
  } as const;
  const typed = typing(look, toType);
  if (!typed && instance.type !== toType)
    return {
      do: 'act',
      ...goOn,
      step: { do: 'set-type', instance: instance.id, toType },
      plan: `make ${instance.id} a ${toType}`,
    };
  if (typed?.outcome?.kind === 'done' && instance.type !== toType && now - typed.reservedAt < minutes(2))
    return { do: 'wait', until: now + seconds(5), because: 'its type is being changed' };
  return starting(seen, look, goOn);
};

/** After so many starts that failed it is made what it was before. */
const LARGER_TRIES = 2;
const failedStarts = (look: Look<Options>): readonly Attempt<Step>[] =>
  (look.attempts as readonly Attempt<Step>[]).filter(
    (a) => a.step.do === 'start' && (a.effect === 'ineffective' || (a.outcome && a.outcome.kind !== 'done')),
  );
const startFailure = (look: Look<Options>): string | undefined => {
  const last = failedStarts(look).at(-1);
  return last && (last.outcome?.kind === 'done' ? 'it stopped again' : last.outcome?.because);
};
const typing = (look: Look<Options>, toType: string): Attempt<Step> | undefined =>
  (look.attempts as readonly Attempt<Step>[]).findLast(
    (a) => a.step.do === 'set-type' && a.step.toType === toType && a.outcome?.kind !== 'transient',
  );

const starting = (
  { instance, keys }: Seen,
  look: Look<Options>,
  goOn: { readonly rung: string; readonly because: string; readonly continues: true; readonly recovers: true },
): Verdict<Step> => {
  const { now } = look;
  const starts = (look.attempts as readonly Attempt<Step>[]).filter((a) => a.step.do === 'start');
  const last = starts.at(-1);
  if (last?.outcome?.kind === 'done' && last.effect === undefined)
    return { do: 'wait', until: now + seconds(15), because: 'it is being started' };
  const why = last?.outcome && last.outcome.kind !== 'done' ? `: ${last.outcome.because}` : '';
  if (starts.length >= START_TRIES)
    return {
      do: 'escalate',
      because: `it is stopped and cannot be started${why}`,
      remedy: 'start it by hand, with another type if AWS has no capacity',
    };
  // As another type than the one that failed it is tried at once.
  const isNewType =
    look.attempts.at(-1)?.n !== last?.n && (look.attempts.at(-1)?.step as Step | undefined)?.do === 'set-type';
  const pause = Math.min(minutes(5), minutes(1) * 2 ** (starts.length - 1));
  if (last && !isNewType && now - last.reservedAt < pause)
    return { do: 'wait', until: last.reservedAt + pause, because: `it is stopped, and starting failed${why}` };
  return {
    do: 'act',
    ...goOn,
    step: { do: 'start', instance: instance.id, time: starts.length + 1, keys },
    plan: `start ${instance.id} as ${instance.type}`,
  };
};

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, { hosts, instances, groups }: Ports, token: string): Promise<Json> => {
  switch (step.do) {
    case 'restart':
      return hosts.start(step.instance, 'restart-unit', { Unit: step.unit, Kind: step.kind }, token);
    case 'stop':
      await instances.stop(step.instance);
      break;
    case 'set-type':
      await instances.setType(step.instance, step.toType);
      break;
    case 'start':
      await instances.start(step.instance);
      break;
    case 'replace':
      await groups.markUnhealthy(step.instance);
  }
  return { instance: step.instance };
};

const effect = (attempt: Attempt<Step>, seen: Seen, look: Look<Options>): Effect => {
  const { step, reservedAt } = attempt;
  const { instance, load, member } = seen;
  const since = look.now - reservedAt;
  const shown = (is: boolean, limit: number): Effect => (is ? 'effective' : since < limit ? 'pending' : 'ineffective');
  switch (step.do) {
    case 'stop':
      return shown(instance.state === 'stopped' || instance.type === step.toType, minutes(10));
    case 'set-type':
      return shown(instance.type === step.toType, minutes(2));
    case 'start':
      // AWS may take it, find no capacity, and let it fall back to stopped.
      return shown(
        instance.state === 'running' && load !== undefined,
        instance.state === 'stopped' ? minutes(1) : BOOT_LIMIT,
      );
    case 'replace':
      return shown(isLeaving(instance, member), minutes(5));
    case 'restart':
      return restartEffect(step, attempt, seen, look);
  }
};

const restartEffect = (
  step: Extract<Step, { do: 'restart' }>,
  { reservedAt, before }: Attempt<Step>,
  seen: Seen,
  look: Look<Options>,
): Effect => {
  if (seen.load && cameBack(step, seen.command, seen.load) === false) return 'harmful';
  return (
    freed(seen, look, before as unknown as Before) ?? (look.now - reservedAt < minutes(1) ? 'pending' : 'ineffective')
  );
};

interface Before {
  readonly availableBytes: number;
  readonly type: string;
  /** There was enough when the step began. */
  readonly early?: boolean;
}

/** A twentieth of the memory came free, or it is enough now. Undefined: not yet. */
const freed = (seen: Seen, look: Look<Options>, was: Before): Effect | undefined => {
  const { load, command } = seen;
  if (!load || command?.state === 'running') return 'pending';
  if (command?.state === 'failed' || command?.state === 'lost') return 'ineffective';
  const more = load.memory.availableBytes - was.availableBytes;
  return (!was.early && !isShort(seen, look)) || more * 20 >= load.memory.totalBytes ? 'effective' : undefined;
};

const forecasts = async ({ metrics, where }: Ports, now: Time, o: Options): Promise<readonly Signal[]> =>
  (await trendsOfAll(metrics, USED, o.usedPercent, now)).flatMap(({ dimensions: { InstanceId: id }, trend }) => {
    const says = `its memory ${forecastText(trend, o.usedPercent, now)}`;
    return id
      ? [forecastSignal('memory.forecast', instanceTarget(where, id), { now, what: `${id}:memory`, says })]
      : [];
  });

export const memoryExhausted = defineRemediation<Seen, Step, Options>({
  name: 'memory-exhausted',
  title: 'gives memory back on an EC2 instance (Linux) that runs out of it, or whose kernel kills for want of it',
  about: `Looks at what holds the memory, by systemd unit and container, and watches it for ten minutes. What **leaks** (grows steadily) or is killed by the kernel
again and again is restarted, if \`restartable\` in the policy names it. sshd, agents, container runtimes, system services and databases are never restarted, whatever the
policy says; a unit that does not run after its restart goes to a person. Once an hour a **forecast** looks whose
memory a clear trend uses up within a day: what is proven to leak is restarted before its alarm, and otherwise a person is told while there is time. Where nothing leaks the type is too small: for one that stands alone a person is asked for the
**next size** (stop, change, start; back to what it was where AWS has no capacity); a member of an Auto Scaling group goes to a person with what its launch template needs. A member in which something leaks that the policy
does not name may be **replaced**, if besides the proven growth the kernel kills or everything waits for memory, and no database or queue runs there. What is swapped out counts as held, and a host in which nothing runs for a
fifth of a minute for want of memory (PSI) is in trouble however much is called available. Everything else goes to a person with the names of what holds the memory.`,
  answers: ['memory.low', 'memory.oom-kill', 'memory.forecast'],
  risk: 'interrupts',
  targets: 'arn:*:ec2:*:*:instance/*',
  ladder: {
    restart: 'the unit or container that leaks',
    resize: 'stop it, to make it the next size of its family',
    start: 'change its type, and start it again',
    replace: 'its Auto Scaling group launches another',
  },
  risks: { resize: 'destroys', start: 'harmless', replace: 'destroys' },
  permissions: [
    {
      for: 'look',
      actions: [
        'ec2:DescribeInstances',
        'ec2:DescribeInstanceStatus',
        'ec2:DescribeInstanceTypes',
        'ec2:DescribeVolumes',
        'ec2:DescribeVolumesModifications',
        'autoscaling:DescribeAutoScalingInstances',
        'autoscaling:DescribeAutoScalingGroups',
        'ssm:DescribeInstanceInformation',
        'ssm:GetCommandInvocation',
        'cloudwatch:GetMetricData',
        'cloudwatch:ListMetrics',
      ],
      resources: ['*'],
    },
    ...onHosts('inspect-load', ['restart-unit']),
    {
      for: 'act',
      actions: ['ec2:StopInstances', 'ec2:StartInstances', 'ec2:ModifyInstanceAttribute'],
      resources: ['arn:*:ec2:*:*:instance/*'],
      whenTagged: 'aws:ResourceTag',
    },
    {
      for: 'act',
      actions: ['autoscaling:SetInstanceHealth'],
      resources: ['arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*'],
    },
    GRANTS_OF_START,
  ],
  options,
  survey: async (ports, { now, options: o, firing }) => {
    const alarmed = (await firing()).filter((s) => s.kind === 'memory.low');
    return o.forecast && isForecastTime(now) ? [...alarmed, ...(await forecasts(ports, now, o))] : alarmed;
  },
  observe,
  facts: ({ instance, group, serving }) => ({ tags: instance.tags, group, zone: instance.zoneId, serving }),
  describe,
  isHealthy,
  decide,
  act,
  touches: (step, target) =>
    step.do === 'replace'
      ? [groupArn(target, partitionOf(target.region), step.group)]
      : step.do === 'start'
        ? step.keys
        : [],
  before: ({ load, instance, soon }) => ({
    availableBytes: load?.memory.availableBytes ?? 0,
    type: instance.type,
    ...(soon ? { early: true } : {}),
  }),
  effect,
  noUndo: 'a restart cannot be taken back; a larger type is made smaller by hand, when nobody needs it',
});
