import * as z from 'zod/mini';
import type { CleanReport, GrowReport, Layer, Mount } from '../core/disk.ts';
import { bytesOf, gib, growthPerHour, maxGiB, usdPerMonth, wantedGiB } from '../core/ebs.ts';
import { NotFound } from '../core/errors.ts';
import type { Attempt } from '../core/incident.ts';
import { option } from '../core/policy.ts';
import type { HostRun, Instance, Ports, Volume } from '../core/ports.ts';
import { defineRemediation, type Effect, type Group, type Look } from '../core/remediation.ts';
import { idOf, instanceTarget, partitionOf, type Target } from '../core/target.ts';
import { hours, minutes, seconds, span } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';

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
  readonly volumes: Readonly<Record<string, Volume>>;
  /** Bytes an hour by mount, where CloudWatch knows. */
  readonly growth: Readonly<Record<string, number | undefined>>;
}

/** File systems that can be repaired. Others (squashfs images are always full, vfat boot partitions) are not watched. */
const KNOWN = ['ext2', 'ext3', 'ext4', 'xfs', 'btrfs'];

const usedPercent = (m: Mount): number => (100 * m.usedBytes) / Math.max(1, m.usedBytes + m.availableBytes);
const inodesPercent = (m: Mount): number =>
  m.inodes && m.inodes.total > 0 ? (100 * m.inodes.used) / m.inodes.total : 0;
type Trouble = 'space' | 'inodes';
const troubleOf = (m: Mount, o: Options): Trouble | undefined =>
  usedPercent(m) >= o.usedPercent ? 'space' : inodesPercent(m) >= o.inodesPercent ? 'inodes' : undefined;
const inTrouble = (mounts: readonly Mount[], o: Options): readonly Mount[] =>
  mounts
    .filter((m) => troubleOf(m, o))
    .sort((a, b) => Math.max(usedPercent(b), inodesPercent(b)) - Math.max(usedPercent(a), inodesPercent(a)));

const size = (bytes: number): string =>
  bytes >= bytesOf(1) ? `${gib(bytes).toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
const state = (m: Mount, trouble: Trouble): string =>
  trouble === 'space'
    ? `${m.path} is ${Math.floor(usedPercent(m))} % full`
    : `${m.path} has used ${Math.floor(inodesPercent(m))} % of its inodes`;

/** nvme names come with the volume id in their serial; on Xen the device name of the attachment decides: /dev/sdf is xvdf to the kernel. */
const volumeOf = (disk: Extract<Layer, { kind: 'disk' }>, instance: Instance): string | undefined => {
  if (disk.volumeId) return disk.volumeId;
  const named = Object.entries(instance.devices).find(
    ([device]) =>
      device
        .replace(/^\/dev\//, '')
        .replace(/^sd/, 'xvd')
        .replace(/\d+$/, '') === disk.name,
  );
  return named?.[1];
};
const disksOf = (m: Mount) => m.layers.filter((l) => l.kind === 'disk');
const volumesOf = (m: Mount, instance: Instance): string[] => disksOf(m).flatMap((d) => volumeOf(d, instance) ?? []);

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const commandOf = (attempt: Attempt | undefined): { id: string; step: Step } | undefined => {
  const id = (attempt?.receipt as { commandId?: string } | undefined)?.commandId;
  return id && attempt ? { id, step: attempt.step as Step } : undefined;
};

const groupOf = async (instance: Instance, ports: Ports): Promise<Group> => {
  const asg = instance.tags['aws:autoscaling:groupName'];
  const own = instance.tags['steward:group'];
  const tag = asg
    ? { key: 'aws:autoscaling:groupName', value: asg }
    : own
      ? { key: 'steward:group', value: own }
      : undefined;
  if (!tag) return { id: `instance/${instance.id}`, size: 1, zones: { [instance.zoneId]: 1 } };
  const zones = await ports.instances.countByZone(tag);
  const size = Object.values(zones).reduce((a, b) => a + b, 0);
  return { id: asg ? `asg/${asg}` : `tag/${own}`, size, zones };
};

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const instance = await ports.instances.describe(id);
  if (instance.state === 'terminated' || instance.state === 'shutting-down')
    throw new NotFound(`${id} is ${instance.state}`);
  const nothing = { target, instance, command: undefined, mounts: undefined, volumes: {}, growth: {} };
  const alone = { id: `instance/${id}`, size: 1, zones: {} };
  if (instance.state !== 'running')
    return { ...nothing, group: alone, agent: { state: 'absent' }, blind: `it is ${instance.state}` };
  const [group, agent] = await Promise.all([groupOf(instance, ports), ports.hosts.agent(id)]);
  if (agent.state !== 'online')
    return {
      ...nothing,
      group,
      agent,
      blind: agent.state === 'silent' ? 'its SSM agent has gone silent' : 'no SSM agent is registered for it',
    };
  const sent = commandOf(look.attempts.at(-1));
  const command =
    sent &&
    (sent.step.do === 'clean' ? await ports.hosts.cleanResult(id, sent.id) : await ports.hosts.growResult(id, sent.id));
  // While a command works on the disk, measuring it would only see a half.
  if (command?.state === 'running') return { ...nothing, group, agent, command, blind: undefined };
  const run = await ports.hosts.inspectDisk(id, 'full', look.options.cleanMinAgeHours);
  if (run.state !== 'done')
    return {
      ...nothing,
      group,
      agent,
      command,
      blind: run.state === 'running' ? 'its SSM agent has not answered yet' : run.message,
    };
  const mounts = run.report.mounts.filter(
    (m) => KNOWN.includes(m.filesystem) && !look.options.ignoreMounts.includes(m.path),
  );
  const troubled = inTrouble(mounts, look.options);
  const ids = [...new Set(troubled.flatMap((m) => volumesOf(m, instance)))];
  const volumes = ids.length > 0 ? await ports.volumes.describe(ids) : [];
  const growth = await Promise.all(
    troubled.map(async (m) => [m.path, await bytesPerHour(m, id, ports, look)] as const),
  );
  return {
    target,
    instance,
    group,
    agent,
    command,
    mounts,
    blind: undefined,
    volumes: Object.fromEntries(volumes.map((v) => [v.id, v])),
    growth: Object.fromEntries(growth),
  };
};

const bytesPerHour = async (
  m: Mount,
  id: string,
  ports: Ports,
  { now }: Look<Options>,
): Promise<number | undefined> => {
  const points = await ports.metrics.diskUsedPercent(id, m.path, { from: now - hours(7), to: now });
  const slope = growthPerHour(points);
  return slope === undefined ? undefined : (slope / 100) * m.sizeBytes;
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** What makes it grow, where that is plain: more room would only hide it. */
const causeOf = (m: Mount): string | undefined => {
  if (m.walBytes > m.sizeBytes / 4)
    return `${size(m.walBytes)} of it are PostgreSQL's write-ahead log, which a stuck replication slot or archiver holds`;
  const file = m.growing[0];
  // A file that would eat a tenth of the disk within a day.
  if (file && file.bytesPerSecond * 86_400 > m.sizeBytes / 10)
    return `${file.path} grows by ${size(file.bytesPerSecond * 3600)} an hour`;
  return undefined;
};

const fills = (m: Mount, trouble: Trouble): string => {
  const top = [...m.largest].sort((a, b) => (trouble === 'inodes' ? b.files - a.files : b.bytes - a.bytes)).slice(0, 3);
  if (top.length === 0) return '';
  return `; most of it is in ${top.map((l) => `${l.path} (${trouble === 'inodes' ? `${l.files} files` : size(l.bytes)})`).join(', ')}`;
};

const tried = (look: Look<Options>, what: Step['do'], path: string): Attempt<Step> | undefined =>
  (look.attempts as readonly Attempt<Step>[]).findLast(
    (a) => a.step.do === what && a.step.path === path && a.outcome?.kind !== 'transient',
  );

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { instance, command, mounts, blind } = seen;
  const { now, options: o } = look;
  if (instance.state === 'stopped' || instance.state === 'stopping')
    return { do: 'nothing', because: 'it is stopped: its disks fill no further' };
  if (command?.state === 'running')
    return { do: 'wait', until: now + seconds(10), because: 'the host is at work on it' };
  if (!mounts) return unseen(seen, blind ?? 'the host could not be asked', look);
  const [worst] = inTrouble(mounts, o);
  if (!worst) return { do: 'wait', until: now + minutes(1), because: 'no file system is in trouble' };
  const trouble = troubleOf(worst, o) ?? 'space';
  if (worst.readOnly)
    return {
      do: 'escalate',
      because: `${state(worst, trouble)} and mounted read-only: the kernel does that after errors, and room would not help`,
      remedy: 'look into the kernel log, check the file system, or restore the volume',
    };
  return cleaning(seen, worst, trouble, look) ?? growing(seen, worst, trouble, look);
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
const cleaning = ({ instance }: Seen, m: Mount, trouble: Trouble, look: Look<Options>): Verdict<Step> | undefined => {
  const o = look.options;
  if (!o.clean || tried(look, 'clean', m.path) || tried(look, 'grow-volume', m.path)) return undefined;
  const bytes = m.cleanable.reduce((sum, c) => sum + c.bytes, 0);
  const files = m.cleanable.reduce((sum, c) => sum + c.files, 0);
  // Less than a hundredth of the disk, or of its inodes, is not worth a step.
  const worth =
    trouble === 'space' ? bytes >= m.sizeBytes / 100 : files >= (m.inodes?.total ?? Number.POSITIVE_INFINITY) / 100;
  if (!worth) return undefined;
  const places = m.cleanable.filter((c) => c.bytes > 0).map((c) => `${c.place} ${size(c.bytes)}`);
  return {
    do: 'act',
    rung: `clean ${m.path}`,
    step: {
      do: 'clean',
      path: m.path,
      minAgeHours: o.cleanMinAgeHours,
      journalMiB: o.journalMiB,
      expectBytes: bytes,
      instance: instance.id,
    },
    plan: `clean ${m.path}: ${places.join(', ')}`,
    because: `${state(m, trouble)}, and ${trouble === 'space' ? size(bytes) : `${files} files`} can go without loss`,
  };
};

/** Room below the file system that it does not use yet: then no volume has to grow. The kernel's own overhead is under 8 %. */
const unusedBelow = (m: Mount): boolean => {
  const disk = disksOf(m).at(-1);
  const partition = m.layers.find((l) => l.kind === 'partition');
  const lvm = m.layers.find((l) => l.kind === 'lvm');
  if (!disk) return false;
  const slack = Math.max(disk.sizeBytes / 50, 2 ** 28);
  if (lvm && lvm.freeBytes > slack) return true;
  if (partition)
    return (
      partition.last &&
      disk.sizeBytes - partition.sizeBytes > slack &&
      disksOf(m).length === 1 &&
      m.layers.filter((l) => l.kind === 'partition').length === 1
    );
  return m.sizeBytes < (lvm?.sizeBytes ?? disk.sizeBytes) * 0.9;
};

const growing = (seen: Seen, m: Mount, trouble: Trouble, look: Look<Options>): Verdict<Step> => {
  const o = look.options;
  const cause = causeOf(m);
  const is = state(m, trouble);
  const stuck = (because: string, remedy: string): Verdict<Step> => ({
    do: 'escalate',
    because: `${is}, and ${because}${fills(m, trouble)}${cause ? `. ${cause}` : ''}`,
    remedy,
  });
  const enlarged = tried(look, 'grow-volume', m.path);
  const extended = tried(look, 'grow-filesystem', m.path);
  const done = enlarged?.effect === 'effective';

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

  if (extended && (extended.effect === 'ineffective' || extended.outcome?.kind !== 'done'))
    return stuck(
      `its file system did not grow: ${failureOf(seen) ?? extended.outcome?.because ?? 'unknown'}`,
      'grow it on the host: lsblk and df tell what is missing',
    );
  if (extended?.effect === undefined && extended)
    return { do: 'wait', until: look.now + seconds(10), because: 'the file system is growing' };
  if (extended && done)
    return stuck('growing it once was not enough', 'remove what fills it, or grow it further by hand');
  if (done || unusedBelow(m)) return extension(seen, m, is, done);

  if (enlarged && (enlarged.effect === 'ineffective' || enlarged.outcome?.kind !== 'done'))
    return stuck(`its volume did not grow: ${enlarged.outcome?.because ?? 'unknown'}`, 'grow it by hand, or make room');
  if (enlarged)
    return {
      do: 'wait',
      until: look.now + seconds(10),
      because: `${enlarged.step.do === 'grow-volume' ? enlarged.step.volume : 'the volume'} is being enlarged`,
    };
  return enlargement(seen, m, { is, cause, stuck }, look);
};

const failureOf = ({ command }: Seen): string | undefined =>
  command?.state === 'failed'
    ? `${command.message} (${command.code}). ${command.remedy}`
    : command?.state === 'lost'
      ? command.message
      : undefined;

const extension = ({ instance }: Seen, m: Mount, is: string, continues: boolean): Verdict<Step> => ({
  do: 'act',
  rung: `grow ${m.path}`,
  step: {
    do: 'grow-filesystem',
    path: m.path,
    deviceBytes: disksOf(m).reduce((sum, d) => sum + d.sizeBytes, 0),
    instance: instance.id,
  },
  ...(continues ? { continues: true } : {}),
  plan: `grow the ${m.filesystem} file system of ${m.path} into its device`,
  because: continues
    ? `the volume has grown, ${m.path} not yet`
    : `${is}, and its device has room that it does not use`,
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
    because: `${is}${tried(look, 'clean', m.path) ? ' even after cleaning' : ', and little can be cleaned'}${rate && rate > 0 ? `; it grows by ${size(rate)} an hour` : ''}${cause ? `. That only buys time: ${cause}` : ''}`,
  };
};

// ---- effect -----------------------------------------------------------------------------------------------------------------------------

interface Before {
  readonly availableBytes: number;
  readonly sizeBytes: number;
  readonly usedInodes: number;
}

const effect = ({ step, before, reservedAt }: Attempt<Step>, seen: Seen, { now, options }: Look<Options>): Effect => {
  const was = before as unknown as Before;
  if (seen.command?.state === 'running' || !seen.mounts) return 'pending';
  const m = seen.mounts.find((x) => x.path === step.path);
  // It was there and writable when the step began.
  if (!m || m.readOnly) return 'harmful';
  if (!troubleOf(m, options)) return 'effective';
  switch (step.do) {
    case 'clean':
      return m.availableBytes - was.availableBytes >= m.sizeBytes / 100 ||
        was.usedInodes - (m.inodes?.used ?? 0) > was.usedInodes / 100
        ? 'effective'
        : 'ineffective';
    case 'grow-volume': {
      const volume = seen.volumes[step.volume];
      if (volume?.modification?.state === 'failed') return 'ineffective';
      if (volume && volume.sizeGiB >= step.toGiB && volume.modification?.state !== 'modifying') return 'effective';
      // Size takes effect within seconds to minutes, once the change is `optimizing`.
      return now - reservedAt < minutes(30) ? 'pending' : 'ineffective';
    }
    case 'grow-filesystem':
      return m.sizeBytes > was.sizeBytes ? 'effective' : 'ineffective';
  }
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

export const fullDisk = defineRemediation<Seen, Step, Options>({
  name: 'full-disk',
  title: 'makes room on a disk of an EC2 instance (Linux) that fills, or runs out of inodes',
  about: `Finds mount, partition, LVM and volume by itself. It first **cleans** what is on its allow-list (package caches, journal over its
limit, rotated logs, core dumps, unused container images), never what is open or younger than a day. If that is not enough it **grows** the
EBS volume by max(10 GiB, 10 %, seven hours of growth), then partition, LVM and file system (ext4, XFS, Btrfs). What it cannot do, or what
would only hide a cause, goes to a person with what fills the disk. An incident closes only when \`df\` on the host is under the limit.
It never shrinks, moves or deletes anything else, never grows instance-store or multi-attached disks, and never above \`maxGiB\`.`,
  answers: ['disk.space-low', 'disk.inodes-low'],
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
        'cloudwatch:DescribeAlarms',
      ],
      resources: ['*'],
    },
    {
      for: 'look',
      actions: ['ssm:SendCommand'],
      resources: ['arn:*:ec2:*:*:instance/*'],
      whenTagged: 'ssm:resourceTag',
    },
    { for: 'look', actions: ['ssm:SendCommand'], resources: ['arn:*:ssm:*:*:document/steward-{stage}-inspect-disk'] },
    {
      for: 'act',
      actions: ['ssm:SendCommand'],
      resources: [
        'arn:*:ssm:*:*:document/steward-{stage}-clean-disk',
        'arn:*:ssm:*:*:document/steward-{stage}-grow-filesystem',
      ],
    },
    { for: 'act', actions: ['ec2:ModifyVolume'], resources: ['arn:*:ec2:*:*:volume/*'] },
  ],
  options,
  survey: async (ports) =>
    (await ports.alarms.firing(100)).filter((s) => s.kind === 'disk.space-low' || s.kind === 'disk.inodes-low'),
  locate: async (changed, ports) => {
    const instance = await ports.volumes.attachedTo(idOf(changed));
    return instance ? instanceTarget(changed, instance) : undefined;
  },
  observe,
  facts: ({ instance, group }) => ({ tags: instance.tags, group, zone: instance.zoneId }),
  describe: (seen, { options: o }) => {
    if (seen.command?.state === 'running') return 'the host is at work on it';
    if (!seen.mounts) return `its disks cannot be seen: ${seen.blind ?? 'unknown'}`;
    const ill = inTrouble(seen.mounts, o);
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
          `${state(m, troubleOf(m, o) ?? 'space')} (${m.filesystem}, ${size(m.sizeBytes)}, ${volumesOf(m, seen.instance).join(' + ') || 'no EBS volume'})`,
      )
      .join('; ');
  },
  isHealthy: ({ mounts, command }, { options: o }) =>
    mounts !== undefined && command?.state !== 'running' && mounts.length > 0 && inTrouble(mounts, o).length === 0,
  decide,
  act,
  touches: (step, target) =>
    step.do === 'grow-volume'
      ? [`arn:${partitionOf(target.region)}:ec2:${target.region}:${target.account}:volume/${step.volume}`]
      : [],
  before: (seen, step) => {
    const m = seen.mounts?.find((x) => x.path === step.path);
    return { availableBytes: m?.availableBytes ?? 0, sizeBytes: m?.sizeBytes ?? 0, usedInodes: m?.inodes?.used ?? 0 };
  },
  effect,
  noUndo: 'a volume cannot shrink, and what was cleaned can be fetched or written again',
});
