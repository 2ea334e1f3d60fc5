/** The Linux inside each instance: its file systems, its agent, and what our documents do to it. */
import type { Layer, Place } from '../shared/core/disk.ts';
import { INSTANCE_TYPES } from './places.ts';
import type { World } from './world.ts';

/** A volume group, shared by the logical volumes in it. */
export type VolumeGroup = {
  name: string;
  freeBytes: number;
  physicalVolumes: number;
  /** What LVM knows of its disk: more only after pvresize. */
  physicalBytes: number;
};

/** As `Layer`, but a disk's size is its volume's, and a group's free space is the group's. */
export type HostLayer =
  | Extract<Layer, { kind: 'partition' }>
  | Extract<Layer, { kind: 'other' }>
  | { kind: 'lvm'; group: VolumeGroup; logicalVolume: string; sizeBytes: number }
  | {
      kind: 'disk';
      name: string;
      volumeId: string | null;
      instanceStore: boolean;
      sizeBytes: number;
      hidesVolumeId?: boolean;
    };

export type Growing = { path: string; bytes: number; bytesPerSecond: number };

export type FileSystem = {
  path: string;
  source: string;
  filesystem: string;
  readOnly: boolean;
  sizeBytes: number;
  usedBytes: number;
  /** ext4 keeps 5 % for root: `availableBytes` is less than size − used. */
  reservedBytes: number;
  inodes: { total: number; used: number } | null;
  layers: HostLayer[];
  /** What clean-disk may free; `hours` is the age of the youngest file there, `open` that a process still holds it. */
  cleanable: (Place & { hours?: number; open?: boolean })[];
  largest: { path: string; bytes: number; kind: 'directory' | 'file'; files: number }[];
  growing: Growing[];
  walBytes: number;
};

/** A service or container, and what it holds. */
export type HostUnit = {
  readonly name: string;
  readonly kind: 'unit' | 'container';
  /** What it has after a start. */
  baseBytes: number;
  memoryBytes: number;
  /** Of what it holds, so much is swapped out. */
  swapBytes: number;
  bytesPerSecond: number;
  baseCpuPercent: number;
  cpuPercent: number;
  protected: string | null;
  /** Of its cgroup: above it the kernel kills in it, however much the host has left. */
  limitBytes: number | null;
  /** Its own limit on CPU, and how often it is held back by it, percent. */
  cpuLimitCores: number | null;
  throttledPercent: number;
  /** False: once stopped, it does not start again (a broken configuration). */
  comesBack: boolean;
  startedAt: number;
  oomKills: number;
  /** What earlier looks measured. */
  history: { at: number; memoryBytes: number; cpuPercent: number }[];
};

export type AgentState = 'online' | 'silent' | 'absent' | 'slow';

export type Host = {
  readonly instanceId: string;
  os: string;
  kernel: string;
  /** silent: pings stop and commands are never picked up · absent: never registered · slow: answers, but late. */
  agent: AgentState;
  /** Since when nothing was heard of it: silent, or not running. */
  unreachableSince: number | undefined;
  /** While rebooting. */
  downUntil: number;
  /** The CloudWatch agent publishes metrics. */
  publishes: boolean;
  readonly cloudwatch: {
    installed: boolean;
    configHash: string | null;
    errors: string[];
    /** What is asked of it does not help. */
    broken: boolean;
    /** The log group to which it ships our file. Undefined: it does not. */
    proof: string | undefined;
    /** What keeps its logs, not its metrics, from arriving. hung: until a restart · section: until its part is given again · denied: its role. */
    logs: 'arrive' | 'hung' | 'section' | 'denied';
    /** Lines come so much later, milliseconds. */
    logsLate: number;
  };
  /** Lines of our file, and how many of them were shipped. */
  readonly proof: { readonly lines: { readonly at: number; readonly text: string }[]; shipped: number };
  /** The ECS agent. hung: it runs and does not work · absent: this is no container instance. */
  readonly ecs: {
    state: 'connected' | 'hung' | 'stopped' | 'absent';
    errors: string[];
    /** What is asked of it does not help: the network or the role is at fault. */
    broken: boolean;
  };
  fileSystems: FileSystem[];
  /** Growth is counted up to here. */
  grownUntil: number;
  /** Results by document and token: a repeated one changes nothing. */
  readonly done: Map<string, Record<string, unknown>>;
  /** What the kernel and everything that is no unit holds. */
  readonly memory: { totalBytes: number; baseBytes: number };
  readonly units: HostUnit[];
  /** Out-of-memory kills, oldest first. */
  readonly kills: { at: number; unit: string }[];
  stealPercent: number;
  stealHistory: { at: number; stealPercent: number }[];
  /** Everything waits for memory in such a part of the time, percent. */
  stallPercent: number;
};

export type Run = { status: 'Success' | 'Failed'; stdout: string; stderr: string; exitCode: number };
export type Parameters = Readonly<Record<string, readonly string[]>>;
/** Answers undefined for an instance that is to be simulated. */
export type HostRunner = (instanceId: string, document: string, parameters: Parameters) => Promise<Run> | undefined;

export const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

/** LVM's metadata and what does not fill an extent. */
export const LVM_OVERHEAD = 4 * MiB;
/** A partition table leaves this much of a disk. */
export const PARTITION_OVERHEAD = 2 * MiB;
/** What a file system's own structures take of its device, and what root keeps of it. */
const OVERHEAD: Record<string, { structures: number; reserved: number }> = {
  ext4: { structures: 0.016, reserved: 0.05 },
  xfs: { structures: 0.006, reserved: 0 },
  btrfs: { structures: 0, reserved: 0 },
};

/** Size, reserve and inodes that a file system has on a device of this size. */
export const fitTo = (filesystem: string, deviceBytes: number) => {
  const { structures, reserved } = OVERHEAD[filesystem] ?? { structures: 0.01, reserved: 0 };
  const sizeBytes = Math.floor((deviceBytes * (1 - structures)) / 4096) * 4096;
  // mke2fs: one inode per 16 KiB; XFS makes them as needed, up to a share of its space.
  const inodes = filesystem === 'btrfs' ? null : Math.floor(deviceBytes / (filesystem === 'ext4' ? 16_384 : 2_048));
  return { sizeBytes, reservedBytes: Math.floor(sizeBytes * reserved), inodes };
};

export type NewFileSystem = {
  path: string;
  filesystem?: string;
  source: string;
  /** From the file system down to the disk. */
  layers: HostLayer[];
  usedPercent?: number;
};

export const makeFileSystem = ({
  path,
  filesystem = 'xfs',
  source,
  layers,
  usedPercent = 40,
}: NewFileSystem): FileSystem => {
  const { sizeBytes, reservedBytes, inodes } = fitTo(filesystem, layers[0]?.sizeBytes ?? 0);
  return {
    path,
    source,
    filesystem,
    readOnly: false,
    sizeBytes,
    reservedBytes,
    usedBytes: Math.floor((sizeBytes * usedPercent) / 100),
    inodes: inodes === null ? null : { total: inodes, used: Math.floor(inodes * 0.02) },
    layers,
    cleanable: [],
    largest: [],
    growing: [],
    walBytes: 0,
  };
};

export const diskLayer = (world: World, volumeId: string, name: string): Extract<HostLayer, { kind: 'disk' }> => ({
  kind: 'disk',
  name,
  volumeId,
  instanceStore: false,
  sizeBytes: (world.ec2.volumes.get(volumeId)?.size ?? 0) * GiB,
});

export const makeUnit = (
  world: World,
  name: string,
  { mib = 100, cpuPercent = 1, kind = 'unit' }: { mib?: number; cpuPercent?: number; kind?: 'unit' | 'container' } = {},
): HostUnit => ({
  name,
  kind,
  baseBytes: mib * MiB,
  memoryBytes: mib * MiB,
  swapBytes: 0,
  bytesPerSecond: 0,
  baseCpuPercent: cpuPercent,
  cpuPercent,
  protected: null,
  limitBytes: null,
  cpuLimitCores: null,
  throttledPercent: 0,
  comesBack: true,
  startedAt: world.clock.now(),
  oomKills: 0,
  history: [],
});

export const usedMemory = ({ memory, units }: Host): number =>
  Math.min(memory.totalBytes, memory.baseBytes + units.reduce((sum, u) => sum + u.memoryBytes, 0));
export const usedCpu = ({ units, stealPercent }: Host): number =>
  Math.min(100, stealPercent + units.reduce((sum, u) => sum + u.cpuPercent, 0));

/** A fresh main process: what it held is gone, what makes it grow is not. */
export const restartUnit = (world: World, unit: HostUnit) => {
  unit.memoryBytes = unit.baseBytes;
  unit.swapBytes = 0;
  unit.cpuPercent = unit.baseCpuPercent;
  unit.startedAt = world.clock.now();
  unit.oomKills = 0;
  unit.history = [];
};

/** systemd and Docker start again what the kernel killed; the count is that of the cgroup. */
const kill = (world: World, host: Host, unit: HostUnit) => {
  host.kills.push({ at: world.clock.now(), unit: unit.name });
  const oomKills = unit.oomKills + 1;
  restartUnit(world, unit);
  unit.oomKills = oomKills;
};

/** Units grow; when nothing is left the kernel kills the biggest. */
const growUnits = (world: World, host: Host, seconds: number) => {
  const mib = INSTANCE_TYPES[world.ec2.instances.get(host.instanceId)?.type ?? '']?.mib;
  if (mib !== undefined) host.memory.totalBytes = mib * MiB;
  for (const unit of host.units) {
    unit.memoryBytes += unit.bytesPerSecond * seconds;
    if (unit.limitBytes !== null && unit.memoryBytes > unit.limitBytes) kill(world, host, unit);
  }
  while (host.memory.baseBytes + host.units.reduce((sum, u) => sum + u.memoryBytes, 0) > host.memory.totalBytes) {
    const biggest = host.units.reduce((a, b) => (b.memoryBytes > a.memoryBytes ? b : a));
    if (biggest.memoryBytes <= biggest.baseBytes) break;
    kill(world, host, biggest);
  }
};

/** Amazon Linux 2023 with XFS on the first partition of its root volume. */
export const makeHost = (world: World, instanceId: string, rootVolumeId: string): Host => {
  const disk = diskLayer(world, rootVolumeId, 'nvme0n1');
  const partition: HostLayer = {
    kind: 'partition',
    name: 'nvme0n1p1',
    number: 1,
    table: 'gpt',
    sizeBytes: disk.sizeBytes - PARTITION_OVERHEAD,
    last: true,
  };
  return {
    instanceId,
    os: 'amzn 2023',
    kernel: '6.1.148-173.267.amzn2023.x86_64',
    agent: 'online',
    unreachableSince: undefined,
    downUntil: 0,
    publishes: true,
    cloudwatch: {
      installed: true,
      configHash: null,
      errors: [],
      broken: false,
      proof: undefined,
      logs: 'arrive',
      logsLate: 0,
    },
    proof: { lines: [], shipped: 0 },
    ecs: { state: 'absent', errors: [], broken: false },
    fileSystems: [makeFileSystem({ path: '/', source: '/dev/nvme0n1p1', layers: [partition, disk] })],
    grownUntil: world.clock.now(),
    done: new Map(),
    memory: { totalBytes: 4 * GiB, baseBytes: GiB / 2 },
    units: [
      makeUnit(world, 'amazon-ssm-agent.service', { mib: 60 }),
      makeUnit(world, 'app.service', { mib: 300, cpuPercent: 10 }),
    ],
    kills: [],
    stealPercent: 0,
    stealHistory: [],
    stallPercent: 0,
  };
};

export const available = ({ sizeBytes, usedBytes, reservedBytes }: FileSystem) =>
  Math.max(0, sizeBytes - usedBytes - reservedBytes);

/** Brings the host up to now: its disks have their volumes' sizes, and what grows has grown as far as there was room. */
export const catchUp = (world: World, host: Host, ran: boolean = isUp(world, host)) => {
  const now = world.clock.now();
  const seconds = ran ? (now - host.grownUntil) / 1000 : 0;
  host.grownUntil = now;
  for (const fileSystem of host.fileSystems) {
    for (const layer of fileSystem.layers) {
      const volume = layer.kind === 'disk' && layer.volumeId ? world.ec2.volumes.get(layer.volumeId) : undefined;
      if (volume) layer.sizeBytes = volume.size * GiB;
    }
    if (seconds > 0 && !fileSystem.readOnly) grow(fileSystem, seconds);
  }
  growUnits(world, host, seconds);
};

const grow = (fileSystem: FileSystem, seconds: number) => {
  for (const file of fileSystem.growing) {
    const bytes = Math.min(Math.floor(file.bytesPerSecond * seconds), available(fileSystem));
    file.bytes += bytes;
    fileSystem.usedBytes += bytes;
    const listed = fileSystem.largest.find(({ path }) => path === file.path);
    if (listed) listed.bytes += bytes;
  }
};

/** Its kernel runs: it can publish, grow and answer. */
export const isUp = (world: World, host: Host) =>
  world.ec2.instances.get(host.instanceId)?.state === 'running' && host.downUntil <= world.clock.now();

export const setAgent = (world: World, host: Host, agent: AgentState) => {
  host.agent = agent;
  hear(world, host);
};

/** Notes since when the agent is not heard; called at every change of the agent or of its instance. */
export const hear = (world: World, host: Host) => {
  const reachable = host.agent !== 'silent' && world.ec2.instances.get(host.instanceId)?.state === 'running';
  host.unreachableSince = reachable ? undefined : (host.unreachableSince ?? world.clock.now());
};

/** A line into the file that the agent ships, as documents/agents.sh writes it. */
export const writeProof = (world: World, { proof }: Host, word: string) => {
  const at = world.clock.now();
  proof.lines.push({ at, text: `${new Date(at).toISOString().slice(0, 19)}Z ${word}` });
};
