/** The host documents' scripts, as the model plays them: the same output as documents/<name>/script.sh (shared/core/disk.ts). */

import { createHash } from 'node:crypto';
import type { AgentsReport, BeatReport, MendReport } from '../shared/core/agents.ts';
import type { CleanReport, DiskReport, GrowReport, HostFailure, Layer, Mount } from '../shared/core/disk.ts';
import type { LoadReport, RestartReport } from '../shared/core/load.ts';
import { restartEcsAgent } from './ecsInstances.ts';
import {
  available,
  catchUp,
  type FileSystem,
  fitTo,
  type Host,
  type HostLayer,
  LVM_OVERHEAD,
  PARTITION_OVERHEAD,
  type Parameters,
  type Run,
  restartUnit,
  usedCpu,
  usedMemory,
  writeProof,
} from './hosts.ts';
import type { World } from './world.ts';

const MiB = 1024 ** 2;

type Code = HostFailure['error']['code'];

/** What a script ends with when it cannot do its work. */
class Refusal extends Error {
  readonly code: Code;
  readonly remedy: string;
  constructor(code: Code, message: string, remedy: string) {
    super(message);
    this.code = code;
    this.remedy = remedy;
  }
}

type Script = (world: World, host: Host, parameters: Parameters) => object;

const one = (parameters: Parameters, name: string, otherwise = '') => parameters[name]?.[0] ?? otherwise;

/** The mount's path travels in base64, so that nothing in it can be shell. */
const mountOf = (parameters: Parameters) => Buffer.from(one(parameters, 'Mount'), 'base64').toString('utf8');

const fileSystemOf = (host: Host, parameters: Parameters): FileSystem => {
  const path = mountOf(parameters);
  const found = host.fileSystems.find((fileSystem) => fileSystem.path === path);
  if (found) return found;
  throw new Refusal('not-found', `no file system is mounted at ${path}`, 'inspect the disk again');
};

const writable = (fileSystem: FileSystem) => {
  if (fileSystem.readOnly) {
    throw new Refusal(
      'read-only',
      `${fileSystem.path} is mounted read-only`,
      'look for I/O errors in the kernel log, then remount or repair it',
    );
  }
  return fileSystem;
};

const reportLayer = (layer: HostLayer): Layer => {
  if (layer.kind === 'lvm') {
    const { group, logicalVolume, sizeBytes } = layer;
    const { name: volumeGroup, freeBytes, physicalVolumes } = group;
    return { kind: 'lvm', volumeGroup, logicalVolume, sizeBytes, freeBytes, physicalVolumes };
  }
  if (layer.kind !== 'disk') return { ...layer };
  const { kind, name, sizeBytes, volumeId, instanceStore, hidesVolumeId } = layer;
  return { kind, name, sizeBytes, volumeId: hidesVolumeId ? null : volumeId, instanceStore };
};

/** What takes the time on a real host: walking the tree, and watching it for two seconds. */
const details = (fileSystem: FileSystem, minAge: number) => ({
  cleanable: fileSystem.cleanable
    .filter((place) => whyKept(place, 0, minAge) === undefined)
    .map(({ place, bytes, files }) => ({ place, bytes, files })),
  largest: fileSystem.largest.toSorted((a, b) => b.bytes - a.bytes).slice(0, 10),
  growing: fileSystem.growing
    .filter(({ bytesPerSecond }) => bytesPerSecond > 0 && available(fileSystem) > 0)
    .toSorted((a, b) => b.bytesPerSecond - a.bytesPerSecond)
    .slice(0, 5),
});

const reportMount = (fileSystem: FileSystem): Omit<Mount, 'cleanable' | 'largest' | 'growing'> => ({
  path: fileSystem.path,
  source: fileSystem.source,
  filesystem: fileSystem.filesystem,
  readOnly: fileSystem.readOnly,
  sizeBytes: fileSystem.sizeBytes,
  usedBytes: fileSystem.usedBytes,
  availableBytes: available(fileSystem),
  inodes: fileSystem.inodes && { ...fileSystem.inodes },
  layers: fileSystem.layers.map(reportLayer),
  walBytes: fileSystem.walBytes,
});

const inspectDisk: Script = (world, host, parameters): DiskReport => {
  const chosen = one(parameters, 'Mount') ? [fileSystemOf(host, parameters)] : host.fileSystems;
  const full = one(parameters, 'Detail', 'full') !== 'usage';
  const minAge = Number(one(parameters, 'MinAgeHours', '24'));
  return {
    version: 1,
    at: new Date(world.clock.now()).toISOString(),
    os: host.os,
    kernel: host.kernel,
    mounts: chosen.slice(0, 24).map((fileSystem) => ({
      ...reportMount(fileSystem),
      ...(full ? details(fileSystem, minAge) : { cleanable: [], largest: [], growing: [] }),
    })),
    cut: [],
  };
};

/** Why a place is left alone; undefined if it is not. */
const whyKept = (place: FileSystem['cleanable'][number], kept: number, minAge: number): string | undefined => {
  if (place.open) return 'open';
  if ((place.hours ?? 48) < minAge) return `younger than ${minAge} hours`;
  return place.bytes <= kept ? 'empty' : undefined;
};

const cleanDisk: Script = (_world, host, parameters): CleanReport => {
  const fileSystem = writable(fileSystemOf(host, parameters));
  const minAge = Number(one(parameters, 'MinAgeHours', '24'));
  const journalBytes = Number(one(parameters, 'JournalMiB', '100')) * MiB;
  const report: CleanReport = {
    version: 1,
    path: fileSystem.path,
    repeated: false,
    availableBefore: available(fileSystem),
    availableAfter: 0,
    freed: [],
    skipped: [],
  };
  for (const place of fileSystem.cleanable) {
    const kept = place.place === 'journal' ? Math.min(place.bytes, journalBytes) : 0;
    const because = whyKept(place, kept, minAge);
    if (because) report.skipped.push({ place: place.place, because });
    else report.freed.push(free(fileSystem, place, kept));
  }
  fileSystem.cleanable = fileSystem.cleanable.filter(({ bytes }) => bytes > 0);
  report.availableAfter = available(fileSystem);
  return report;
};

/** Frees a place down to `kept` bytes. */
const free = (fileSystem: FileSystem, place: FileSystem['cleanable'][number], kept: number) => {
  const files = kept > 0 ? Math.ceil(place.files / 2) : place.files;
  const bytes = place.bytes - kept;
  fileSystem.usedBytes = Math.max(0, fileSystem.usedBytes - bytes);
  if (fileSystem.inodes) fileSystem.inodes.used = Math.max(0, fileSystem.inodes.used - files);
  Object.assign(place, { bytes: kept, files: place.files - files });
  return { place: place.place, bytes, files };
};

/** Grows one layer onto the `room` below it; answers its new size, and says what it did. */
const growLayer = (layer: HostLayer, room: number, steps: string[]): number => {
  const grow = (what: string, sizeBytes: number) => {
    if (sizeBytes > layer.sizeBytes) steps.push(`${what} ${layer.sizeBytes} → ${sizeBytes}`);
    layer.sizeBytes = Math.max(layer.sizeBytes, sizeBytes);
    return layer.sizeBytes;
  };
  if (layer.kind === 'disk') return layer.sizeBytes;
  if (layer.kind === 'other') {
    throw new Refusal('unsupported', `${layer.name} is ${layer.type}, which Steward does not grow`, 'grow it by hand');
  }
  if (layer.kind === 'lvm') {
    const { group } = layer;
    const physicalBytes = Math.max(group.physicalBytes, room - LVM_OVERHEAD);
    const free = group.freeBytes + physicalBytes - group.physicalBytes;
    Object.assign(group, { physicalBytes, freeBytes: 0 });
    return grow(`lvm ${group.name}/${layer.logicalVolume}`, layer.sizeBytes + free);
  }
  if (room - PARTITION_OVERHEAD <= layer.sizeBytes) return layer.sizeBytes;
  if (!layer.last) {
    const remedy = 'move it, or put the data on a volume of its own';
    throw new Refusal('not-last', `another partition starts behind ${layer.name}`, remedy);
  }
  return grow(`partition ${layer.name}`, room - PARTITION_OVERHEAD);
};

const growFileSystem: Script = (_world, host, parameters): GrowReport => {
  const fileSystem = writable(fileSystemOf(host, parameters));
  const { path, filesystem, sizeBytes: sizeBefore } = fileSystem;
  if (!['ext2', 'ext3', 'ext4', 'xfs', 'btrfs'].includes(filesystem)) {
    throw new Refusal('unsupported', `${path} is ${filesystem}, which Steward does not grow`, 'grow it by hand');
  }
  const steps: string[] = [];
  const device = fileSystem.layers.toReversed().reduce((room, layer) => growLayer(layer, room, steps), 0);
  const { sizeBytes, reservedBytes, inodes } = fitTo(filesystem, device);
  if (sizeBytes > sizeBefore) {
    steps.push(`${filesystem} ${sizeBefore} → ${sizeBytes}`);
    Object.assign(fileSystem, { sizeBytes, reservedBytes });
    if (fileSystem.inodes && inodes !== null) fileSystem.inodes.total = inodes;
  }
  return { version: 1, path, repeated: false, sizeBefore, sizeAfter: fileSystem.sizeBytes, steps };
};

const unitName = (parameters: Parameters) => Buffer.from(one(parameters, 'Unit'), 'base64').toString('utf8');

const inspectLoad: Script = (world, host): LoadReport => {
  const now = world.clock.now();
  const ago = (at: number) => Math.round((now - at) / 1000);
  const units = host.units.map((u) => ({
    name: u.name,
    kind: u.kind,
    memoryBytes: Math.floor(u.memoryBytes),
    swapBytes: u.swapBytes,
    limitBytes: u.limitBytes,
    cpuLimitCores: u.cpuLimitCores,
    throttledPercent: u.throttledPercent,
    pressure: null,
    cpuPercent: u.cpuPercent,
    ageSeconds: ago(u.startedAt),
    oomKills: u.oomKills,
    protected: u.protected,
    history: u.history.slice(-60).map(({ at, ...h }) => ({ secondsAgo: ago(at), ...h })),
  }));
  for (const u of host.units)
    u.history.push({ at: now, memoryBytes: Math.floor(u.memoryBytes + u.swapBytes), cpuPercent: u.cpuPercent });
  const history = host.stealHistory.slice(-20).map((h) => ({ secondsAgo: ago(h.at), stealPercent: h.stealPercent }));
  host.stealHistory.push({ at: now, stealPercent: host.stealPercent });
  const swapped = host.units.reduce((sum, u) => sum + u.swapBytes, 0);
  return {
    version: 1,
    at: new Date(now).toISOString(),
    os: host.os,
    kernel: host.kernel,
    uptimeSeconds: 86_400,
    memory: {
      totalBytes: host.memory.totalBytes,
      availableBytes: Math.max(0, host.memory.totalBytes - usedMemory(host)),
      swapTotalBytes: swapped,
      swapUsedBytes: swapped,
      pressure: { some60: host.stallPercent, full60: host.stallPercent },
    },
    cpu: {
      cores: 2,
      usedPercent: usedCpu(host),
      stealPercent: host.stealPercent,
      waitPercent: 0,
      history,
      load1: usedCpu(host) / 50,
      pressure: { some60: 0, full60: 0 },
    },
    oomKills: host.kills
      .filter((k) => now - k.at < 86_400_000)
      .toReversed()
      .slice(0, 10)
      .map((k) => ({ secondsAgo: ago(k.at), process: k.unit.replace(/\..*/, ''), unit: k.unit })),
    units: units.toSorted((a, b) => b.memoryBytes - a.memoryBytes),
    cut: [],
  };
};

const restart: Script = (world, host, parameters): RestartReport => {
  const name = unitName(parameters);
  const unit = host.units.find((u) => u.name === name);
  if (!unit) throw new Refusal('not-found', `${name} is not there`, 'inspect the load again');
  if (unit.protected) throw new Refusal('invalid', `${name} is not restarted: ${unit.protected}`, 'restart it by hand');
  const memoryBefore = Math.floor(unit.memoryBytes);
  restartUnit(world, unit);
  if (!unit.comesBack) host.units.splice(host.units.indexOf(unit), 1);
  return {
    version: 1,
    name,
    kind: unit.kind,
    repeated: false,
    restarted: unit.comesBack,
    memoryBefore,
    memoryAfter: unit.comesBack ? unit.memoryBytes : 0,
  };
};

const inspectAgents: Script = (world, host): AgentsReport => ({
  version: 1,
  at: new Date(world.clock.now()).toISOString(),
  os: host.os,
  agents: [
    {
      name: 'cloudwatch',
      installed: host.cloudwatch.installed,
      running: host.publishes,
      version: host.cloudwatch.installed ? '1.300063.0' : null,
      configHash: host.cloudwatch.configHash,
      errors: [...host.cloudwatch.errors],
      connected: null,
      proof: host.cloudwatch.proof === undefined ? null : { lines: host.proof.lines.slice(-5).map((l) => l.text) },
      ageSeconds: 0,
    },
    {
      name: 'ecs',
      installed: host.ecs.state !== 'absent',
      running: host.ecs.state === 'connected' || host.ecs.state === 'hung',
      version: host.ecs.state === 'absent' ? null : '1.99.0',
      configHash: null,
      errors: [...host.ecs.errors],
      // It has registered once, whatever it hears now: that is all its introspection says.
      connected: host.ecs.state === 'connected' || host.ecs.state === 'hung' ? true : null,
      proof: null,
      ageSeconds: 0,
    },
  ],
});

const mendAgent: Script = (world, host, parameters): MendReport =>
  one(parameters, 'Agent') === 'ecs' ? mendEcs(world, host, parameters) : mendCloudWatch(world, host, parameters);

const mendEcs = (world: World, host: Host, parameters: Parameters): MendReport => {
  if (one(parameters, 'Action') !== 'restart')
    throw new Refusal('unsupported', 'Steward only restarts the ECS agent', 'install or configure it by hand');
  if (host.ecs.state === 'absent') throw new Refusal('not-found', 'no ECS agent is here', 'install it');
  const running = restartEcsAgent(world, host);
  return { version: 1, name: 'ecs', repeated: false, running, proves: false, steps: ['restarted'] };
};

const mendCloudWatch = (world: World, host: Host, parameters: Parameters): MendReport => {
  const { cloudwatch } = host;
  const action = one(parameters, 'Action');
  if (action === 'install' && host.os.startsWith('debian'))
    throw new Refusal(
      'tool-missing',
      'the CloudWatch agent is not in the package sources of this distribution',
      'install it from the package that AWS publishes',
    );
  if (action !== 'install' && !cloudwatch.installed)
    throw new Refusal('not-found', 'the CloudWatch agent is not installed', 'let Steward install it');
  cloudwatch.installed = true;
  const config = Buffer.from(one(parameters, 'Config'), 'base64').toString('utf8');
  if (action === 'install' || action === 'configure')
    cloudwatch.configHash = createHash('sha256').update(config).digest('hex');
  host.publishes = !cloudwatch.broken;
  const group = one(parameters, 'Group');
  if (action !== 'restart' && group !== '') cloudwatch.proof = group;
  if (cloudwatch.logs === 'hung' || (cloudwatch.logs === 'section' && group !== '')) cloudwatch.logs = 'arrive';
  const proves = cloudwatch.proof !== undefined;
  if (proves) writeProof(world, host, one(parameters, 'Token'));
  const steps =
    { install: ['installed', 'configured'], configure: ['configured'], restart: ['restarted'] }[action] ?? [];
  const proving = action !== 'restart' && group !== '' ? ['proving'] : [];
  return {
    version: 1,
    name: 'cloudwatch',
    repeated: false,
    running: host.publishes,
    proves,
    steps: [...steps, ...proving],
  };
};

const beatAgent: Script = (world, host): BeatReport => {
  const written = host.cloudwatch.proof !== undefined;
  if (written) writeProof(world, host, 'beat');
  return { version: 1, written };
};

/** By the end of the document's name: the deployed ones carry a prefix. */
const scripts: readonly { suffix: string; script: Script; once: boolean }[] = [
  { suffix: 'inspect-disk', script: inspectDisk, once: false },
  { suffix: 'clean-disk', script: cleanDisk, once: true },
  { suffix: 'grow-filesystem', script: growFileSystem, once: true },
  { suffix: 'inspect-load', script: inspectLoad, once: false },
  { suffix: 'restart-unit', script: restart, once: true },
  { suffix: 'inspect-agents', script: inspectAgents, once: false },
  { suffix: 'mend-agent', script: mendAgent, once: true },
  { suffix: 'beat-agent', script: beatAgent, once: false },
];

export const knowsDocument = (document: string) => scripts.some(({ suffix }) => document.endsWith(suffix));

/** Runs one of our documents on the modelled host. */
export const runOnHost = (world: World, host: Host, document: string, parameters: Parameters): Run => {
  const found = scripts.find(({ suffix }) => document.endsWith(suffix));
  if (!found)
    return { status: 'Failed', stdout: '', stderr: `the world's hosts cannot run ${document}`, exitCode: 127 };
  catchUp(world, host);
  const key = `${found.suffix} ${one(parameters, 'Token')}`;
  const before = found.once && one(parameters, 'Token') ? host.done.get(key) : undefined;
  try {
    const report = before ? { ...before, repeated: true } : found.script(world, host, parameters);
    if (!before && found.once) host.done.set(key, { ...report });
    return { status: 'Success', stdout: `${JSON.stringify(report)}\n`, stderr: '', exitCode: 0 };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { code, message, remedy } = error;
    const failure: HostFailure = { version: 1, error: { code, message, remedy } };
    return { status: 'Failed', stdout: `${JSON.stringify(failure)}\n`, stderr: '', exitCode: 1 };
  }
};
