/** A fleet to work on: two Auto Scaling groups over three zones and two machines that stand alone. And how to break it. */
import type { Alarm } from './alarms.ts';
import { addGroup } from './autoscaling.ts';
import { addDocument } from './documents.ts';
import { makeVolume } from './ebs.ts';
import type { Instance, VolumeType } from './ec2.ts';
import {
  catchUp,
  diskLayer,
  type FileSystem,
  GiB,
  type Growing,
  type Host,
  type HostLayer,
  type HostUnit,
  LVM_OVERHEAD,
  makeFileSystem,
  makeUnit,
  PARTITION_OVERHEAD,
} from './hosts.ts';
import { attach, attached, makeInstance } from './instances.ts';
import { AGENT_NAMESPACE, diskDimensions, hostDimensions } from './publish.ts';
import type { World } from './world.ts';

const MANAGED_TAG = 'steward:managed';
const IGNORE_TAG = 'steward:ignore';

const need = <T>(thing: T | undefined, what: string): T => {
  if (thing === undefined) throw new Error(`the world has no ${what}`);
  return thing;
};

export const hostOf = (world: World, instanceId: string): Host =>
  need(world.hosts.get(instanceId), `host ${instanceId}`);

export const fileSystemOf = (world: World, instanceId: string, path: string): FileSystem => {
  const host = hostOf(world, instanceId);
  catchUp(world, host);
  return need(
    host.fileSystems.find((fileSystem) => fileSystem.path === path),
    `file system ${path} on ${instanceId}`,
  );
};

export type DiskOptions = {
  path: string;
  gib: number;
  filesystem?: 'ext4' | 'xfs' | 'btrfs';
  /** What is between the file system and the disk. */
  on?: 'disk' | 'partition' | 'lvm';
  type?: VolumeType;
  usedPercent?: number;
  device?: string;
};

/** Attaches a new volume and mounts a file system on it. */
export const addDisk = (
  world: World,
  instance: Instance,
  { path, gib, filesystem = 'ext4', on = 'disk', ...options }: DiskOptions,
): FileSystem => {
  const host = hostOf(world, instance.id);
  const number = attached(world, instance.id).length;
  const managed = instance.tags[MANAGED_TAG];
  const volume = makeVolume(world, {
    zone: instance.zone,
    size: gib,
    type: options.type ?? 'gp3',
    tags: { Name: `${instance.tags['Name'] ?? instance.id}${path}`, ...(managed && { [MANAGED_TAG]: managed }) },
  });
  attach(world, volume, {
    instanceId: instance.id,
    device: options.device ?? `/dev/sd${String.fromCharCode(101 + number)}`,
    attachTime: world.clock.now(),
    deleteOnTermination: false,
  });
  const name = `nvme${number}n1`;
  const disk = diskLayer(world, volume.id, name);
  const group = path.replaceAll('/', '') || 'root';
  const between: Record<typeof on, { source: string; layers: HostLayer[] }> = {
    disk: { source: `/dev/${name}`, layers: [] },
    partition: {
      source: `/dev/${name}p1`,
      layers: [
        {
          kind: 'partition',
          name: `${name}p1`,
          number: 1,
          table: 'gpt',
          sizeBytes: gib * GiB - PARTITION_OVERHEAD,
          last: true,
        },
      ],
    },
    lvm: {
      source: `/dev/mapper/${group}-data`,
      layers: [
        {
          kind: 'lvm',
          group: { name: group, freeBytes: 0, physicalVolumes: 1, physicalBytes: gib * GiB - LVM_OVERHEAD },
          logicalVolume: 'data',
          sizeBytes: gib * GiB - LVM_OVERHEAD,
        },
      ],
    },
  };
  const { source, layers } = between[on];
  const fileSystem = makeFileSystem({
    path,
    filesystem,
    source,
    layers: [...layers, disk],
    usedPercent: options.usedPercent ?? 40,
  });
  host.fileSystems.push(fileSystem);
  return fileSystem;
};

export type DiskAlarm = {
  threshold?: number;
  evaluationPeriods?: number;
  datapointsToAlarm?: number;
  actions?: string[];
};

/** `disk_used_percent` above 85 % in two minutes of three, as people commonly have it. Answers the alarm's name. */
export const addDiskAlarm = (
  world: World,
  instance: Instance,
  fileSystem: FileSystem,
  options: DiskAlarm = {},
): string => {
  const name = `disk ${instance.tags['Name'] ?? instance.id} ${fileSystem.path}`;
  const alarm: Alarm = {
    name,
    description: `${fileSystem.path} of ${instance.id} is filling up`,
    namespace: AGENT_NAMESPACE,
    metric: 'disk_used_percent',
    dimensions: diskDimensions(world, instance.id, fileSystem),
    stat: 'Average',
    extended: false,
    periodSeconds: 60,
    evaluationPeriods: options.evaluationPeriods ?? 3,
    datapointsToAlarm: options.datapointsToAlarm ?? 2,
    threshold: options.threshold ?? 85,
    comparison: 'GreaterThanThreshold',
    missing: 'missing',
    actionsEnabled: true,
    actions: { OK: options.actions ?? [], ALARM: options.actions ?? [], INSUFFICIENT_DATA: [] },
    tags: { ...(instance.tags[MANAGED_TAG] && { [MANAGED_TAG]: 'true' }) },
    updatedAt: world.clock.now(),
    state: {
      value: 'INSUFFICIENT_DATA',
      reason: 'Unchecked: Initial alarm creation',
      reasonData: undefined,
      at: world.clock.now(),
    },
    history: [],
    metricId: world.random.uuid(),
  };
  world.cloudwatch.alarms.set(name, alarm);
  return name;
};

/** What a package manager, a web server and a crash leave behind on a root disk. */
const litter = (fileSystem: FileSystem) => {
  const MiB = 1024 ** 2;
  fileSystem.cleanable.push(
    { place: 'package-cache', bytes: 310 * MiB, files: 420, hours: 400 },
    { place: 'journal', bytes: 480 * MiB, files: 14, hours: 30 },
    { place: 'rotated-logs', bytes: 220 * MiB, files: 36, hours: 50 },
    { place: 'core-dumps', bytes: 90 * MiB, files: 2, hours: 100 },
    { place: 'temporary-files', bytes: 40 * MiB, files: 65, hours: 3 },
  );
  fileSystem.largest.push(
    { path: '/usr/lib', bytes: 900 * MiB, kind: 'directory', files: 21_000 },
    { path: '/var/log', bytes: 700 * MiB, kind: 'directory', files: 50 },
  );
};

const withRoot = (world: World, instance: Instance, alarms: boolean) => {
  const root = fileSystemOf(world, instance.id, '/');
  litter(root);
  if (alarms) addDiskAlarm(world, instance, root);
};

export type FleetOptions = {
  /** Per group: instances, spread over the zones in turn. */
  web?: number;
  workers?: number;
  alarms?: boolean;
  /** Names under which the host documents are known. */
  documents?: readonly string[];
};

export type Fleet = {
  readonly web: readonly Instance[];
  readonly workers: readonly Instance[];
  readonly database: Instance;
  /** Tagged `steward:ignore`: nobody touches it. */
  readonly legacy: Instance;
  readonly all: readonly Instance[];
};

export const DOCUMENTS = ['steward-inspect-disk', 'steward-clean-disk', 'steward-grow-filesystem'] as const;

/** Twelve machines by default: five web servers, five workers, a database and a legacy machine. */
export const seedFleet = (
  world: World,
  { web = 5, workers = 5, alarms = true, documents = DOCUMENTS }: FleetOptions = {},
): Fleet => {
  const zones = Object.keys(world.zones);
  for (const name of documents) addDocument(world, name);

  const group = (name: string, count: number, type: string, disk: (i: number) => DiskOptions) =>
    Array.from({ length: count }, (_, i) => {
      const instance = makeInstance(world, {
        type,
        running: true,
        zone: need(zones[i % zones.length], 'zone'),
        tags: { Name: `${name}-${i + 1}`, 'aws:autoscaling:groupName': name, [MANAGED_TAG]: 'true' },
      });
      withRoot(world, instance, alarms);
      const data = addDisk(world, instance, disk(i));
      if (alarms) addDiskAlarm(world, instance, data);
      return instance;
    });

  const alone = (name: string, type: string, tags: Record<string, string>, disks: readonly DiskOptions[]) => {
    const instance = makeInstance(world, {
      type,
      running: true,
      zone: need(zones[0], 'zone'),
      tags: { Name: name, ...tags },
    });
    withRoot(world, instance, alarms);
    for (const disk of disks) {
      const fileSystem = addDisk(world, instance, disk);
      if (alarms) addDiskAlarm(world, instance, fileSystem);
    }
    return instance;
  };

  const servers = group('web', web, 'm6i.large', (i) => ({
    path: '/srv',
    gib: 20,
    filesystem: i % 2 ? 'ext4' : 'xfs',
    on: i % 3 ? 'partition' : 'disk',
  }));
  const jobs = group('workers', workers, 'c6i.large', (i) => ({
    path: '/scratch',
    gib: 50,
    filesystem: i % 2 ? 'btrfs' : 'xfs',
    on: 'lvm',
  }));
  const database = alone('database', 'r6i.large', { [MANAGED_TAG]: 'true' }, [
    { path: '/var/lib/pgsql', gib: 200, filesystem: 'ext4', on: 'lvm', type: 'io2' },
    { path: '/backup', gib: 100, filesystem: 'xfs', on: 'partition' },
  ]);
  const legacy = alone('legacy', 't3.medium', { [MANAGED_TAG]: 'true', [IGNORE_TAG]: 'true' }, [
    { path: '/data', gib: 30, filesystem: 'ext4', on: 'disk' },
  ]);
  for (const name of ['web', 'workers']) addGroup(world, name);
  return { web: servers, workers: jobs, database, legacy, all: [...servers, ...jobs, database, legacy] };
};

export type Trouble = {
  path?: string;
  usedPercent?: number;
  /** A file that grows from now on. */
  growing?: { path?: string; bytes?: number; bytesPerSecond: number };
  /** Bytes that clean-disk may free, on top of what is there. They count as used. */
  cleanableBytes?: number;
  inodesUsedPercent?: number;
  walBytes?: number;
  readOnly?: boolean;
};

/** Fills, grows or damages a file system. Whatever is not named stays as it is. */
export const breakDisk = (world: World, instanceId: string, { path = '/', ...trouble }: Trouble): FileSystem => {
  const fileSystem = fileSystemOf(world, instanceId, path);
  if (trouble.usedPercent !== undefined) {
    // As `df` shows it, so that an alarm on it goes off at the same number.
    fileSystem.usedBytes = Math.floor(((fileSystem.sizeBytes - fileSystem.reservedBytes) * trouble.usedPercent) / 100);
  }
  if (trouble.cleanableBytes !== undefined) {
    fileSystem.cleanable.push({ place: 'rotated-logs', bytes: trouble.cleanableBytes, files: 10, hours: 72 });
  }
  if (trouble.growing) {
    const file: Growing = { path: `${path === '/' ? '' : path}/runaway.log`, bytes: 0, ...trouble.growing };
    fileSystem.growing.push(file);
    fileSystem.largest.push({ path: file.path, bytes: file.bytes, kind: 'file', files: 1 });
  }
  if (trouble.inodesUsedPercent !== undefined && fileSystem.inodes) {
    fileSystem.inodes.used = Math.floor((fileSystem.inodes.total * trouble.inodesUsedPercent) / 100);
  }
  if (trouble.walBytes !== undefined) fileSystem.walBytes = trouble.walBytes;
  if (trouble.readOnly !== undefined) fileSystem.readOnly = trouble.readOnly;
  return fileSystem;
};

export type Load = {
  name: string;
  kind?: 'unit' | 'container';
  mib?: number;
  /** It grows by so much from now on. */
  mibPerMinute?: number;
  cpuPercent?: number;
  protected?: string;
  limitMib?: number;
  comesBack?: boolean;
  /** Its own limit on CPU, and in what part of its periods that holds it back. */
  cpuLimitCores?: number;
  throttledPercent?: number;
  swapMib?: number;
};

/** Puts a unit on a host, or changes the one of that name. */
export const breakLoad = (world: World, instanceId: string, load: Load): HostUnit => {
  const MiB = 1024 ** 2;
  const host = hostOf(world, instanceId);
  catchUp(world, host);
  const known = host.units.find(({ name }) => name === load.name);
  const unit = known ?? makeUnit(world, load.name, { mib: 200, kind: load.kind ?? 'unit' });
  if (!known) host.units.push(unit);
  if (load.mib !== undefined) unit.memoryBytes = load.mib * MiB;
  if (load.mibPerMinute !== undefined) unit.bytesPerSecond = (load.mibPerMinute * MiB) / 60;
  if (load.cpuPercent !== undefined) unit.cpuPercent = load.cpuPercent;
  if (load.protected !== undefined) unit.protected = load.protected;
  if (load.limitMib !== undefined) unit.limitBytes = load.limitMib * MiB;
  if (load.swapMib !== undefined) unit.swapBytes = load.swapMib * MiB;
  if (load.cpuLimitCores !== undefined) unit.cpuLimitCores = load.cpuLimitCores;
  if (load.throttledPercent !== undefined) unit.throttledPercent = load.throttledPercent;
  if (load.comesBack !== undefined) unit.comesBack = load.comesBack;
  return unit;
};

/** An alarm of the usual kind on one of the instance's metrics. Answers its name. */
export const addAlarm = (
  world: World,
  instance: Instance,
  {
    metric,
    over,
    under,
    namespace = 'AWS/EC2',
    minutes = 3,
  }: { metric: string; over?: number; under?: number; namespace?: string; minutes?: number },
): string => {
  const name = `${metric} ${instance.tags['Name'] ?? instance.id}`;
  const dimensions = namespace === AGENT_NAMESPACE ? hostDimensions(world, instance.id) : { InstanceId: instance.id };
  const [anyDisk] = hostOf(world, instance.id).fileSystems;
  if (!anyDisk) throw new Error(`${instance.id} has no file system`);
  const like = world.cloudwatch.alarms.get(addDiskAlarm(world, instance, anyDisk));
  if (!like) throw new Error('no alarm was made');
  world.cloudwatch.alarms.set(name, {
    ...like,
    name,
    description: `${metric} of ${instance.id}`,
    namespace,
    metric,
    dimensions,
    history: [],
    evaluationPeriods: minutes,
    datapointsToAlarm: minutes,
    threshold: over ?? under ?? 0,
    comparison: under === undefined ? 'GreaterThanThreshold' : 'LessThanThreshold',
  });
  return name;
};

/** What grew stops growing, as when its process is stopped. */
export const stopGrowing = (world: World, instanceId: string, path = '/') => {
  fileSystemOf(world, instanceId, path).growing = [];
};
