import * as z from 'zod/mini';
import type { CleanReport, GrowReport, Mount } from '../core/disk.ts';
import { growthPerHour, maxGiB, usdPerMonth, wantedGiB } from '../core/ebs.ts';
import { type Forecast, forecastText } from '../core/forecast.ts';
import { aloneGroup, groupOfInstance } from '../core/group.ts';
import { commandIdOf, inspected, livingInstance, volumesThere } from '../core/hosts.ts';
import type { Attempt } from '../core/incident.ts';
import {
  causeOf,
  disksOf,
  fills,
  hasUnusedBelow,
  inodesPercent,
  inTrouble,
  isRepairable,
  sizeText,
  stateOf,
  type Trouble,
  troubleOf,
  usedPercent,
  volumesOf,
} from '../core/mounts.ts';
import { onHosts } from '../core/permissions.ts';
import { option } from '../core/policy.ts';
import type { HostRun, Instance, Metric, Ports, Volume } from '../core/ports.ts';
import { defineRemediation, type Effect, type Group, type Look } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { idOf, instanceTarget, partitionOf, type Target } from '../core/target.ts';
import { hours, minutes, seconds, span, type Time } from '../core/time.ts';
import { forecastSignal, isForecastTime, keyOf, trendOfOne, trendsOfAll } from '../core/trends.ts';
import type { Act, Json, Verdict } from '../core/verdict.ts';

const percent = z.int().check(z.gte(20), z.lte(99));

const options = z.strictObject({
  usedPercent: option(percent, 80, 'A file system as full as this, or fuller, is in trouble'),
  inodesPercent: option(percent, 85, 'The same for its inodes'),
  cleanMinAgeHours: option(
    z.int().check(z.gte(24), z.lte(24 * 90)),
    24,
    'Cleaning never touches what changed within so many hours',
  ),
  journalMiB: option(z.int().check(z.gte(64), z.lte(65_536)), 512, 'The journal is cut to this size'),
  clean: option(z.boolean(), true, 'May it clean?'),
  grow: option(z.boolean(), true, 'May it grow volumes?'),
  maxGiB: option(z.int().check(z.gte(10), z.lte(65_536)), 1_024, 'No volume is grown beyond this'),
  ignoreMounts: option(z.array(z.string()), [], 'Mount points that are not its business'),
  forecast: option(
    z.boolean(),
    true,
    'Look once an hour which disks will be full, or out of inodes, within a day, and act before they are. CloudWatch bills about $0.03 a month for each disk',
  ),
});
type Options = z.output<typeof options>;

type Step =
  | {
      readonly do: 'clean';
      readonly path: string;
      readonly minAgeHours: number;
      readonly journalMiB: number;
      readonly expectBytes: number;
      readonly instance: string;
    }
  | { readonly do: 'grow-volume'; readonly path: string; readonly volume: string; readonly toGiB: number }
  | { readonly do: 'grow-filesystem'; readonly path: string; readonly deviceBytes: number; readonly instance: string };

/** Of what a mount will run out, and when. */
interface Soon {
  readonly trouble: Trouble;
  readonly trend: Forecast;
}

interface Seen {
  readonly target: Target;
  readonly instance: Instance;
  readonly group: Group;
  readonly agent: { readonly state: 'online' | 'silent' | 'absent' };
  /** The command of the last attempt, where it sent one. */
  readonly command: HostRun<CleanReport | GrowReport> | undefined;
  /** File systems that are its business. Undefined: the host could not be asked, `blind` says why. */
  readonly mounts: readonly Mount[] | undefined;
  readonly blind: string | undefined;
  /** The policy does not cover it, and why: then its host was not asked. */
  readonly uncovered: string | undefined;
  readonly volumes: Readonly<Record<string, Volume>>;
  /** Mounts that will be in trouble soon, by a trend that was asked about. */
  readonly soon: Readonly<Record<string, Soon>>;
  /** Bytes an hour by mount, where CloudWatch knows. */
  readonly growth: Readonly<Record<string, number | undefined>>;
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const commandOf = (attempt: Attempt | undefined): { id: string; step: Step } | undefined => {
  const id = commandIdOf(attempt);
  return id && attempt ? { id, step: attempt.step as Step } : undefined;
};

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const instance = await livingInstance(id, ports);
  const uncovered = look.uncovered(instance.tags);
  const nothing = {
    target,
    instance,
    uncovered,
    command: undefined,
    mounts: undefined,
    volumes: {},
    soon: {},
    growth: {},
  };
  if (uncovered !== undefined)
    return { ...nothing, group: aloneGroup(instance), agent: { state: 'absent' }, blind: undefined };
  if (instance.state !== 'running')
    return { ...nothing, group: aloneGroup(instance), agent: { state: 'absent' }, blind: `it is ${instance.state}` };
  const [group, agent] = await Promise.all([groupOfInstance(instance, ports, look.tags.group), ports.hosts.agent(id)]);
  if (agent.state !== 'online')
    return {
      ...nothing,
      group,
      agent,
      blind: agent.state === 'silent' ? 'its SSM agent has gone silent' : 'no SSM agent is registered for it',
    };
  const sent = commandOf(look.attempts.at(-1));
  const command =
    sent && (await ports.hosts.result(id, sent.step.do === 'clean' ? 'clean-disk' : 'grow-filesystem', sent.id));
  // While a command works on the disk, measuring it would only see a half.
  if (command?.state === 'running') return { ...nothing, group, agent, command, blind: undefined };
  const parameters = { Detail: 'full', MinAgeHours: `${look.options.cleanMinAgeHours}` };
  const { report, blind } = inspected(await ports.hosts.inspect(id, 'inspect-disk', parameters));
  if (!report) return { ...nothing, group, agent, command, blind };
  const mounts = report.mounts.filter((m) => isRepairable(m) && !look.options.ignoreMounts.includes(m.path));
  const soon = look.signal.kind === 'disk.forecast' ? await trends(mounts, id, ports, look) : {};
  const troubled = illOf({ mounts, soon }, look.options);
  const ids = [...new Set(troubled.flatMap((m) => volumesOf(m, instance)))];
  const volumes = await volumesThere(ids, ports);
  const growth = await Promise.all(
    troubled.map(async (m) => [m.path, await bytesPerHour(m, id, ports, look)] as const),
  );
  return {
    target,
    instance,
    uncovered,
    group,
    agent,
    command,
    mounts,
    blind: undefined,
    volumes: Object.fromEntries(volumes.map((v) => [v.id, v])),
    soon,
    growth: Object.fromEntries(growth),
  };
};

/** In trouble now, the fullest first; then what will be. */
const illOf = ({ mounts = [], soon }: Pick<Seen, 'mounts' | 'soon'>, o: Options): readonly Mount[] => [
  ...inTrouble(mounts, o),
  ...mounts.filter((m) => soon[m.path] && !troubleOf(m, o)),
];

const USED = { namespace: 'CWAgent', name: 'disk_used_percent' } as const;
const INODES = { namespace: 'CWAgent', name: 'disk_inodes_used' } as const;
const ALL_INODES = { namespace: 'CWAgent', name: 'disk_inodes_total' } as const;
const onMount = (metric: Pick<Metric, 'namespace' | 'name'>, id: string, path: string): Metric => ({
  ...metric,
  dimensions: { InstanceId: id, path },
});
const usageOf = (id: string, path: string): Metric => onMount(USED, id, path);

/** What is emptier than half will not be full soon, or not by its trend. Percent. */
const HALF = 50;

/**
 * What the metrics forget to say the host itself says: a disk that was cleaned since then is no longer on the line. The agent publishes inodes in
 * numbers, the host knows of how many.
 */
const trends = async (
  mounts: readonly Mount[],
  id: string,
  { metrics }: Ports,
  { now, options: o }: Look<Options>,
): Promise<Record<string, Soon>> => {
  const soonOf = async (m: Mount): Promise<Soon | undefined> => {
    const [space, inodes] = [usedPercent(m), inodesPercent(m)];
    const [full, used] = await Promise.all([
      space < HALF ? undefined : trendOfOne(metrics, usageOf(id, m.path), { limit: o.usedPercent, here: space }, now),
      inodes < HALF
        ? undefined
        : trendOfOne(
            metrics,
            onMount(INODES, id, m.path),
            { limit: o.inodesPercent, here: inodes, whole: m.inodes?.total ?? 1 },
            now,
          ),
    ]);
    if (full) return { trouble: 'space', trend: full };
    return used && { trouble: 'inodes', trend: used };
  };
  const found = await Promise.all(
    mounts.filter((m) => !troubleOf(m, o)).map(async (m) => [m.path, await soonOf(m)] as const),
  );
  return Object.fromEntries(found.flatMap(([path, soon]) => (soon ? [[path, soon]] : [])));
};

const bytesPerHour = async (
  m: Mount,
  id: string,
  ports: Ports,
  { now }: Look<Options>,
): Promise<number | undefined> => {
  const points = await ports.metrics.series(usageOf(id, m.path), {
    from: now - hours(7),
    to: now,
    period: minutes(5),
  });
  const slope = growthPerHour(points);
  return slope === undefined ? undefined : (slope / 100) * m.sizeBytes;
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

const tried = (look: Look<Options>, what: Step['do'], path: string): Attempt<Step> | undefined =>
  (look.attempts as readonly Attempt<Step>[]).findLast(
    (a) => a.step.do === what && a.step.path === path && a.outcome?.kind !== 'transient',
  );

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { instance, command, mounts, blind, uncovered } = seen;
  const { now, options: o } = look;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  if (instance.state === 'stopped' || instance.state === 'stopping')
    return { do: 'nothing', because: 'it is stopped: its disks fill no further' };
  if (command?.state === 'running') return atWork(look);
  if (!mounts) return unseen(seen, blind ?? 'the host could not be asked', look);
  const [worst] = illOf(seen, o);
  if (!worst) return { do: 'wait', until: now + minutes(1), because: 'no file system is in trouble' };
  const trouble = troubleOf(worst, o) ?? seen.soon[worst.path]?.trouble ?? 'space';
  if (worst.readOnly)
    return {
      do: 'escalate',
      because: `${stateIn(seen, worst, trouble, look)} and mounted read-only: the kernel does that after errors, and room would not help`,
      remedy: 'look into the kernel log, check the file system, or restore the volume',
    };
  return cleaning(seen, worst, trouble, look) ?? growing(seen, worst, trouble, look);
};

const stateIn = ({ soon }: Seen, m: Mount, trouble: Trouble, { now, options }: Look<Options>): string => {
  const { trend } = soon[m.path] ?? {};
  const limit = trouble === 'space' ? options.usedPercent : options.inodesPercent;
  return `${stateOf(m, trouble)}${trend ? ` and ${forecastText(trend, limit, now)}` : ''}`;
};

/** A document ends by its own time limit; SSM says so. A command that SSM does not even know any more is for a person. */
const COMMAND_LIMIT = minutes(30);
const atWork = ({ now, attempts }: Look<Options>): Verdict<Step> =>
  now - (attempts.at(-1)?.reservedAt ?? now) < COMMAND_LIMIT
    ? { do: 'wait', until: now + seconds(10), because: 'the host is at work on it' }
    : {
        do: 'escalate',
        because: `the host is at work on it for more than ${span(COMMAND_LIMIT)}`,
        remedy: 'look at the command in Systems Manager, and at the host',
      };

const unseen = ({ agent, instance }: Seen, because: string, { now, openedAt }: Look<Options>): Verdict<Step> => {
  // An agent needs some minutes after a boot; one that stays silent is for a person.
  if (now - openedAt < minutes(15) && (agent.state !== 'absent' || instance.state === 'pending'))
    return { do: 'wait', until: now + minutes(1), because };
  const remedy =
    agent.state === 'online'
      ? 'look why the command does not end: steward doctor tests the path'
      : 'install or restart the SSM agent, and give the instance a role with AmazonSSMManagedInstanceCore';
  return { do: 'escalate', because: `${because}, so its disks cannot be seen`, remedy };
};

/** The first rung. Undefined: there is nothing worth cleaning, or that has been done. */
const cleaning = (seen: Seen, m: Mount, trouble: Trouble, look: Look<Options>): Verdict<Step> | undefined => {
  const o = look.options;
  if (!o.clean || tried(look, 'clean', m.path) || tried(look, 'grow-volume', m.path)) return undefined;
  const bytes = m.cleanable.reduce((sum, c) => sum + c.bytes, 0);
  const files = m.cleanable.reduce((sum, c) => sum + c.files, 0);
  // Less than a hundredth of the disk, or of its inodes, is not worth a step.
  const worth =
    trouble === 'space' ? bytes >= m.sizeBytes / 100 : files >= (m.inodes?.total ?? Number.POSITIVE_INFINITY) / 100;
  if (!worth) return undefined;
  const places = m.cleanable.filter((c) => c.bytes > 0).map((c) => `${c.place} ${sizeText(c.bytes)}`);
  return {
    do: 'act',
    rung: `clean ${m.path}`,
    step: {
      do: 'clean',
      path: m.path,
      minAgeHours: o.cleanMinAgeHours,
      journalMiB: o.journalMiB,
      expectBytes: bytes,
      instance: seen.instance.id,
    },
    plan: `clean ${m.path}: ${places.join(', ')}`,
    because: `${stateIn(seen, m, trouble, look)}, and ${trouble === 'space' ? sizeText(bytes) : `${files} files`} can go without loss`,
  };
};

type Stuck = (because: string, remedy: string) => Verdict<Step>;

const growing = (seen: Seen, m: Mount, trouble: Trouble, look: Look<Options>): Verdict<Step> => {
  const cause = causeOf(m);
  const is = stateIn(seen, m, trouble, look);
  const stuck: Stuck = (because, remedy) => ({
    do: 'escalate',
    because: `${is}, and ${because}${fills(m, trouble)}${cause ? `. ${cause}` : ''}`,
    remedy,
  });
  return (
    cannotGrow(m, trouble, look.options, stuck) ??
    afterExtension(seen, m, stuck, look) ??
    afterEnlargement(seen, m, is, stuck, look) ??
    (hasUnusedBelow(m)
      ? extension(seen, m, `${is}, and its device has room that it does not use`)
      : enlargement(seen, m, { is, cause, stuck }, look))
  );
};

const cannotGrow = (m: Mount, trouble: Trouble, o: Options, stuck: Stuck): Verdict<Step> | undefined => {
  if (!o.grow)
    return stuck('the policy does not let it grow volumes', 'make room by hand, or set remediations.full-disk.grow');
  if (trouble === 'inodes' && m.filesystem === 'btrfs') return stuck('Btrfs has no fixed inodes', 'look at it by hand');
  const odd = m.layers.find((l) => l.kind === 'other');
  if (odd) return stuck(`it lies on ${odd.type} (${odd.name}), which Steward does not grow`, 'grow it by hand');
  const partition = m.layers.find((l) => l.kind === 'partition');
  if (partition && !partition.last)
    return stuck(
      `another partition follows ${partition.name}, so it cannot grow in place`,
      'move the data to a volume of its own',
    );
  return undefined;
};

/** The last step that grew this mount, or was meant to. */
const lastGrowth = (look: Look<Options>, path: string): Attempt<Step> | undefined =>
  (look.attempts as readonly Attempt<Step>[]).findLast(
    (a) => a.step.path === path && a.step.do !== 'clean' && a.outcome?.kind !== 'transient',
  );

const failed = (a: Attempt<Step>): boolean => a.effect === 'ineffective' || a.outcome?.kind !== 'done';

const afterExtension = (seen: Seen, m: Mount, stuck: Stuck, look: Look<Options>): Verdict<Step> | undefined => {
  const last = lastGrowth(look, m.path);
  if (last?.step.do !== 'grow-filesystem') return undefined;
  if (last.effect === undefined && last.outcome?.kind === 'done')
    return { do: 'wait', until: look.now + seconds(10), because: 'the file system is growing' };
  if (failed(last))
    return stuck(
      `its file system did not grow: ${failureOf(seen) ?? last.outcome?.because ?? 'unknown'}`,
      'grow it on the host: lsblk and df tell what is missing',
    );
  return tried(look, 'grow-volume', m.path)
    ? stuck('growing it once was not enough', 'remove what fills it, or grow it further by hand')
    : undefined;
};

const afterEnlargement = (
  seen: Seen,
  m: Mount,
  is: string,
  stuck: Stuck,
  look: Look<Options>,
): Verdict<Step> | undefined => {
  const last = lastGrowth(look, m.path);
  if (last?.step.do !== 'grow-volume') return undefined;
  if (last.effect === 'effective')
    return { ...extension(seen, m, `${is}; the volume has grown, the file system not yet`), continues: true };
  // Nobody knows whether AWS took it: the volume's own size tells.
  if (last.outcome?.kind === 'ambiguous' && (seen.volumes[last.step.volume]?.sizeGiB ?? 0) >= last.step.toGiB)
    return { ...extension(seen, m, `${is}; the volume has grown after all`), continues: true };
  if (last.effect === undefined && last.outcome?.kind === 'done')
    return { do: 'wait', until: look.now + seconds(10), because: `${last.step.volume} is being enlarged` };
  return stuck(`its volume did not grow: ${last.outcome?.because ?? 'unknown'}`, 'grow it by hand, or make room');
};

const failureOf = ({ command }: Seen): string | undefined =>
  command?.state === 'failed'
    ? `${command.message} (${command.code}). ${command.remedy}`
    : command?.state === 'lost'
      ? command.message
      : undefined;

const extension = ({ instance }: Seen, m: Mount, because: string): Act<Step> => ({
  do: 'act',
  rung: `grow ${m.path}`,
  step: {
    do: 'grow-filesystem',
    path: m.path,
    deviceBytes: disksOf(m).reduce((sum, d) => sum + d.sizeBytes, 0),
    instance: instance.id,
  },
  plan: `grow the ${m.filesystem} file system of ${m.path} into its device`,
  because,
});

const enlargement = (
  seen: Seen,
  m: Mount,
  {
    is,
    cause,
    stuck,
  }: { is: string; cause: string | undefined; stuck: (because: string, remedy: string) => Verdict<Step> },
  look: Look<Options>,
): Verdict<Step> => {
  const { now, options: o } = look;
  const disks = disksOf(m);
  if (disks.length > 0 && disks.every((d) => d.instanceStore))
    return stuck('it is an instance-store disk, whose size is fixed', 'make room, or move the data to an EBS volume');
  const volume = volumesOf(m, seen.instance).flatMap((id) => seen.volumes[id] ?? [])[0];
  if (!volume) return stuck('no EBS volume was found under it', 'grow it by hand');
  if (volume.multiAttach)
    return stuck(`${volume.id} is attached to several instances`, 'grow it by hand, with all of them in view');
  const { modification } = volume;
  // AWS takes the next change only when the one before it is completed (6 h for a full TiB); the volume is usable meanwhile.
  if (modification && (modification.state === 'modifying' || modification.state === 'optimizing'))
    return now - modification.startedAt < hours(6)
      ? {
          do: 'wait',
          until: now + minutes(5),
          because: `${volume.id} is still ${modification.state} since ${span(now - modification.startedAt)}: AWS takes no further change`,
        }
      : stuck(
          `${volume.id} is ${modification.state} since ${span(now - modification.startedAt)}: AWS takes no further change until that is completed`,
          'wait, or make room by hand',
        );
  const limitPercent = o.usedPercent;
  const wanted = wantedGiB({
    sizeGiB: volume.sizeGiB,
    usedBytes: m.usedBytes,
    fileSystemBytes: m.sizeBytes,
    limitPercent,
    bytesPerHour: seen.growth[m.path],
  });
  const cap = Math.min(o.maxGiB, maxGiB(volume.type));
  const toGiB = Math.min(wanted, cap);
  if (toGiB <= volume.sizeGiB)
    return stuck(
      `${volume.id} has ${volume.sizeGiB} GiB, the most that is allowed (${cap})`,
      'raise remediations.full-disk.maxGiB, or make room',
    );
  const rate = seen.growth[m.path];
  return {
    do: 'act',
    rung: `grow ${m.path}`,
    step: { do: 'grow-volume', path: m.path, volume: volume.id, toGiB },
    cost: {
      usdPerMonth: usdPerMonth(volume.type, toGiB - volume.sizeGiB, seen.target.region),
      what: `${toGiB - volume.sizeGiB} GiB of ${volume.type}`,
    },
    plan: `grow ${volume.id} under ${m.path} from ${volume.sizeGiB} to ${toGiB} GiB`,
    because: `${is}${tried(look, 'clean', m.path) ? ' even after cleaning' : ', and little can be cleaned'}${rate && rate > 0 ? `; it grows by ${sizeText(rate)} an hour` : ''}${cause ? `. That only buys time: ${cause}` : ''}`,
  };
};

// ---- effect -----------------------------------------------------------------------------------------------------------------------------

interface Before {
  /** It was not in trouble yet. */
  readonly early?: boolean;
  readonly availableBytes: number;
  readonly sizeBytes: number;
  readonly usedInodes: number;
}

const effect = (attempt: Attempt<Step>, seen: Seen, { now, options }: Look<Options>): Effect => {
  if (seen.command?.state === 'running' || !seen.mounts) return 'pending';
  const m = seen.mounts.find((x) => x.path === attempt.step.path);
  // It was there and writable when the step began.
  if (!m || m.readOnly) return 'harmful';
  const was = attempt.before as unknown as Before;
  if (!was.early && !troubleOf(m, options)) return 'effective';
  switch (attempt.step.do) {
    case 'clean':
      return helped(m, was) ? 'effective' : 'ineffective';
    case 'grow-volume':
      return enlarged(attempt.step, seen, now - attempt.reservedAt);
    case 'grow-filesystem':
      return m.sizeBytes > was.sizeBytes ? 'effective' : 'ineffective';
  }
};

/** A hundredth of the disk, or of the inodes that were in use, came free. */
const helped = (m: Mount, was: Before): boolean =>
  m.availableBytes - was.availableBytes >= m.sizeBytes / 100 ||
  was.usedInodes - (m.inodes?.used ?? was.usedInodes) > was.usedInodes / 100;

/** Size takes effect within seconds to minutes, once the change is `optimizing`. */
const enlarged = (step: Extract<Step, { do: 'grow-volume' }>, { volumes }: Seen, since: number): Effect => {
  const volume = volumes[step.volume];
  if (volume?.modification?.state === 'failed') return 'ineffective';
  if (volume && volume.sizeGiB >= step.toGiB && volume.modification?.state !== 'modifying') return 'effective';
  return since < minutes(30) ? 'pending' : 'ineffective';
};

// ---- act --------------------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, ports: Ports, token: string): Promise<Json> => {
  switch (step.do) {
    case 'clean':
      return ports.hosts.start(
        step.instance,
        'clean-disk',
        { Mount: step.path, MinAgeHours: `${step.minAgeHours}`, JournalMiB: `${step.journalMiB}` },
        token,
      );
    case 'grow-filesystem':
      return ports.hosts.start(step.instance, 'grow-filesystem', { Mount: step.path }, token);
    case 'grow-volume':
      await ports.volumes.grow(step.volume, step.toGiB);
      return { volume: step.volume, toGiB: step.toGiB };
  }
};

// ---- forecast ---------------------------------------------------------------------------------------------------------------------------

/** Disks that a clear trend leads to the limit, of space or of inodes. */
const forecasts = async (ports: Ports, now: Time, o: Options): Promise<readonly Signal[]> => {
  const said = (d: Metric['dimensions'], trend: Forecast, of: Trouble): readonly Signal[] => {
    const { InstanceId: id, path } = d;
    if (!id || !path || o.ignoreMounts.includes(path)) return [];
    const says =
      of === 'space'
        ? `${path} ${forecastText(trend, o.usedPercent, now)}`
        : `${path}: use of its inodes ${forecastText(trend, o.inodesPercent, now)}`;
    const what = `${id}:${path}${of === 'inodes' ? ':inodes' : ''}`;
    return [forecastSignal('disk.forecast', instanceTarget(ports.where, id), { now, what, says })];
  };
  const [space, inodes] = await Promise.all([
    trendsOfAll(ports.metrics, USED, o.usedPercent, now),
    inodesTrends(ports, now, o),
  ]);
  return [
    ...space.flatMap((t) => said(t.dimensions, t.trend, 'space')),
    ...inodes.flatMap((t) => said(t.dimensions, t.trend, 'inodes')),
  ];
};

/** Few disks have used half of their inodes: only for those the past is read. */
const inodesTrends = async ({ metrics }: Ports, now: Time, o: Options) => {
  const lately = { from: now - minutes(20), to: now, period: minutes(5) };
  const [used, all] = await Promise.all([metrics.all(INODES, lately), metrics.all(ALL_INODES, lately)]);
  const totals = new Map(all.map((m) => [keyOf(m.dimensions), m.points.at(-1)?.value ?? 0]));
  const half = used.flatMap(({ dimensions, points }) => {
    const whole = totals.get(keyOf(dimensions)) ?? 0;
    return whole > 0 && (100 * (points.at(-1)?.value ?? 0)) / whole >= HALF ? [{ dimensions, whole }] : [];
  });
  const found = await Promise.all(
    half.map(async ({ dimensions, whole }) => ({
      dimensions,
      trend: await trendOfOne(metrics, { ...INODES, dimensions }, { limit: o.inodesPercent, whole }, now),
    })),
  );
  return found.flatMap(({ dimensions, trend }) => (trend ? [{ dimensions, trend }] : []));
};

export const fullDisk = defineRemediation<Seen, Step, Options>({
  name: 'full-disk',
  title: 'makes room on a disk of an EC2 instance (Linux) that fills, or runs out of inodes',
  about: `Finds mount, partition, LVM and volume by itself. It first **cleans** what is on its allow-list (package caches, journal over its
limit, rotated logs, core dumps, unused container images), never what is open or younger than a day. If that is not enough it **grows** the
EBS volume by max(10 GiB, 10 %, seven hours of growth), then partition, LVM and file system (ext4, XFS, Btrfs). What it cannot do, or what
would only hide a cause, goes to a person with what fills the disk. An incident closes only when \`df\` on the host is under the limit.
It never shrinks, moves or deletes anything else, never grows instance-store or multi-attached disks, and never above \`maxGiB\`.`,
  answers: ['disk.space-low', 'disk.inodes-low', 'disk.forecast'],
  risk: 'harmless',
  targets: 'arn:*:ec2:*:*:instance/*',
  ladder: {
    clean: 'package caches, journal, rotated logs, core dumps, unused images',
    grow: 'the volume, then partition, LVM and file system',
  },
  attemptsPerDay: 3,
  permissions: [
    {
      for: 'look',
      actions: [
        'ec2:DescribeInstances',
        'ec2:DescribeVolumes',
        'ec2:DescribeVolumesModifications',
        'ssm:DescribeInstanceInformation',
        'ssm:GetCommandInvocation',
        'cloudwatch:GetMetricData',
        'cloudwatch:ListMetrics',
      ],
      resources: ['*'],
    },
    ...onHosts('inspect-disk', ['clean-disk', 'grow-filesystem']),
    { for: 'act', actions: ['ec2:ModifyVolume'], resources: ['arn:*:ec2:*:*:volume/*'] },
  ],
  options,
  survey: async (ports, { now, options: o, firing }) => {
    const alarmed = (await firing()).filter((s) => s.kind === 'disk.space-low' || s.kind === 'disk.inodes-low');
    return o.forecast && isForecastTime(now) ? [...alarmed, ...(await forecasts(ports, now, o))] : alarmed;
  },
  locate: {
    volume: async (changed, ports) => {
      const instance = await ports.volumes.attachedTo(idOf(changed));
      return instance ? [instanceTarget(changed, instance)] : [];
    },
  },
  observe,
  facts: ({ instance, group }) => ({ tags: instance.tags, group, zone: instance.zoneId }),
  describe: (seen, look) => {
    const { options: o } = look;
    if (seen.uncovered !== undefined) return `not looked into: ${seen.uncovered}`;
    if (seen.command?.state === 'running') return 'the host is at work on it';
    if (!seen.mounts) return `its disks cannot be seen: ${seen.blind ?? 'unknown'}`;
    const ill = illOf(seen, o);
    if (ill.length === 0)
      return seen.mounts.length === 0
        ? 'it has no file system that is watched'
        : `${[...seen.mounts]
            .sort((a, b) => usedPercent(b) - usedPercent(a))
            .slice(0, 3)
            .map((m) => `${m.path} ${Math.floor(usedPercent(m))} %`)
            .join(', ')} used, under the limit of ${o.usedPercent} %`;
    return ill
      .map(
        (m) =>
          `${stateIn(seen, m, troubleOf(m, o) ?? seen.soon[m.path]?.trouble ?? 'space', look)} (${m.filesystem}, ${sizeText(m.sizeBytes)}, ${volumesOf(m, seen.instance).join(' + ') || 'no EBS volume'})`,
      )
      .join('; ');
  },
  isHealthy: ({ mounts, soon, command }, { options: o }) =>
    mounts !== undefined &&
    command?.state !== 'running' &&
    mounts.length > 0 &&
    illOf({ mounts, soon }, o).length === 0,
  decide,
  act,
  touches: (step, target) =>
    step.do === 'grow-volume'
      ? [`arn:${partitionOf(target.region)}:ec2:${target.region}:${target.account}:volume/${step.volume}`]
      : [],
  before: (seen, step) => {
    const early = seen.soon[step.path] ? { early: true } : {};
    const m = seen.mounts?.find((x) => x.path === step.path);
    return {
      ...early,
      availableBytes: m?.availableBytes ?? 0,
      sizeBytes: m?.sizeBytes ?? 0,
      usedInodes: m?.inodes?.used ?? 0,
    };
  },
  effect,
  noUndo: 'a volume cannot shrink, and what was cleaned can be fetched or written again',
});
