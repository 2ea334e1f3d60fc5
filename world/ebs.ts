/** EBS volumes and Elastic Volumes' rules. */
import type { Volume as ApiVolume, VolumeModification } from '@aws-sdk/client-ec2';
import { volumeArn } from './arns.ts';
import { applyFilters, checkMaxResults, type FilterTable, page, toTags } from './describe.ts';
import type { Ec2Operations, Modification, Volume, VolumeShape, VolumeType } from './ec2.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

const DAY = 86_400_000;
/** ModifyVolume: "You can modify a volume up to four times within a rolling 24-hour period." */
const MODIFICATIONS_PER_DAY = 4;

/** GiB, IOPS and IOPS per GiB by type: CreateVolume and ModifyVolume in the API reference, "Amazon EBS volume types" in the User Guide. */
const LIMITS: Record<
  VolumeType,
  { size: [number, number]; iops?: [number, number]; iopsPerGiB?: number; throughput?: [number, number] }
> = {
  gp3: { size: [1, 65_536], iops: [3_000, 80_000], iopsPerGiB: 500, throughput: [125, 2_000] },
  gp2: { size: [1, 16_384] },
  io1: { size: [4, 16_384], iops: [100, 64_000], iopsPerGiB: 50 },
  io2: { size: [4, 65_536], iops: [100, 256_000], iopsPerGiB: 1_000 },
  st1: { size: [125, 16_384] },
  sc1: { size: [125, 16_384] },
  standard: { size: [1, 1_024] },
};

/** gp2's baseline: 3 IOPS per GiB, at least 100, at most 16,000. */
const defaultIops = (type: VolumeType, size: number): number | undefined => {
  if (type === 'gp3') return 3_000;
  return type === 'gp2' ? Math.min(16_000, Math.max(100, 3 * size)) : undefined;
};

const filters: FilterTable<Volume> = {
  'volume-id': ({ id }) => [id],
  'attachment.instance-id': ({ attachment }) => [attachment?.instanceId],
  'attachment.device': ({ attachment }) => [attachment?.device],
  'attachment.status': ({ attachment }) => [attachment && 'attached'],
  'attachment.delete-on-termination': ({ attachment }) => [attachment && String(attachment.deleteOnTermination)],
  'availability-zone': ({ zone }) => [zone],
  'volume-type': ({ type }) => [type],
  encrypted: ({ encrypted }) => [String(encrypted)],
  size: ({ size }) => [String(size)],
  status: ({ state }) => [state],
};

type Modified = { volume: Volume; modification: Modification; tags: Record<string, string> };
const modificationFilters: FilterTable<Modified> = {
  'volume-id': ({ volume }) => [volume.id],
  'modification-state': ({ modification }) => [modification.state],
  'target-size': ({ modification }) => [String(modification.target.size)],
  'target-iops': ({ modification }) => [String(modification.target.iops)],
  'target-volume-type': ({ modification }) => [modification.target.type],
  'original-size': ({ modification }) => [String(modification.original.size)],
  'original-iops': ({ modification }) => [String(modification.original.iops)],
  'original-volume-type': ({ modification }) => [modification.original.type],
};

const checkId = (id: string) => {
  if (!/^vol-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id)) {
    throw new AwsError('InvalidParameterValue', `Value (${id}) for parameter volumes is invalid. Expected: 'vol-...'.`);
  }
};

const find = (world: World, ids: readonly string[] | undefined): Volume[] => {
  if (!ids?.length) return [...world.ec2.volumes.values()].flatMap((volume) => world.lag.seen(volume) ?? []);
  return ids.map((id) => {
    checkId(id);
    const volume = world.ec2.volumes.get(id);
    const seen = volume && world.lag.seen(volume);
    if (!seen) throw new AwsError('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
    return seen;
  });
};

export const makeVolume = (
  world: World,
  options: { zone: string; size: number; type?: VolumeType; tags?: Record<string, string> },
): Volume => {
  const { zone, size, type = 'gp3', tags = {} } = options;
  const volume: Volume = {
    id: `vol-${world.random.hex(17)}`,
    zone,
    size,
    type,
    iops: defaultIops(type, size) ?? LIMITS[type].iops?.[0],
    throughput: LIMITS[type].throughput?.[0],
    state: 'available',
    ioDisabledAt: undefined,
    createTime: world.clock.now(),
    encrypted: true,
    key: undefined,
    tags: { ...tags },
    attachment: undefined,
    modifications: [],
  };
  world.ec2.volumes.set(volume.id, world.lag.create(volume));
  return volume;
};

const describeVolume = (volume: Volume): ApiVolume => ({
  VolumeId: volume.id,
  AvailabilityZone: volume.zone,
  Size: volume.size,
  VolumeType: volume.type,
  Iops: volume.iops,
  Throughput: volume.throughput,
  State: volume.state,
  CreateTime: new Date(volume.createTime),
  Encrypted: volume.encrypted,
  ...(volume.key && { KmsKeyId: volume.key }),
  SnapshotId: '',
  MultiAttachEnabled: false,
  Attachments: volume.attachment
    ? [
        {
          VolumeId: volume.id,
          InstanceId: volume.attachment.instanceId,
          Device: volume.attachment.device,
          State: 'attached',
          AttachTime: new Date(volume.attachment.attachTime),
          DeleteOnTermination: volume.attachment.deleteOnTermination,
        },
      ]
    : [],
  Tags: toTags(volume.tags),
});

const describeModification = (
  volume: Volume,
  { target, original, ...modification }: Modification,
): VolumeModification => ({
  VolumeId: volume.id,
  ModificationState: modification.state,
  TargetSize: target.size,
  TargetIops: target.iops,
  TargetVolumeType: target.type,
  TargetThroughput: target.throughput,
  TargetMultiAttachEnabled: false,
  OriginalSize: original.size,
  OriginalIops: original.iops,
  OriginalVolumeType: original.type,
  OriginalThroughput: original.throughput,
  OriginalMultiAttachEnabled: false,
  Progress: modification.progress,
  StartTime: new Date(modification.startTime),
  ...(modification.endTime !== undefined && { EndTime: new Date(modification.endTime) }),
});

const within = (value: number, [low, high]: [number, number], what: string) => {
  if (value < low || value > high) {
    throw new AwsError(
      'InvalidParameterValue',
      `Volume ${what} of ${value} is invalid. Expected a value between ${low} and ${high}.`,
    );
  }
};

const checkShape = ({ size, type, iops, throughput }: VolumeShape) => {
  const limits = LIMITS[type];
  if (!limits) throw new AwsError('InvalidParameterValue', `Value (${type}) for parameter volumeType is invalid.`);
  within(size, limits.size, 'size');
  if (iops !== undefined && limits.iops) {
    within(iops, limits.iops, 'iops');
    // gp3 has its 3,000 whatever its size; only what is bought beyond them is bound to the size.
    if (limits.iopsPerGiB && iops > Math.max(type === 'gp3' ? 3_000 : 0, size * limits.iopsPerGiB)) {
      throw new AwsError(
        'InvalidParameterCombination',
        `Iops to volume size ratio of ${iops / size} is too high; maximum is ${limits.iopsPerGiB}.`,
      );
    }
  }
  if (throughput !== undefined && limits.throughput) within(throughput, limits.throughput, 'throughput');
};

const checkQuota = (world: World, volume: Volume, target: VolumeShape) => {
  const others = [...world.ec2.volumes.values()].filter(({ id, type }) => id !== volume.id && type === target.type);
  const storage = world.ec2.quotas.storageGiB[target.type];
  if (storage !== undefined && others.reduce((sum, { size }) => sum + size, target.size) > storage) {
    throw new AwsError(
      'VolumeLimitExceeded',
      `You have exceeded the maximum ${target.type} storage limit of ${storage} GiB in this region.`,
    );
  }
  const iops = world.ec2.quotas.iops[target.type];
  if (iops !== undefined && others.reduce((sum, other) => sum + (other.iops ?? 0), target.iops ?? 0) > iops) {
    throw new AwsError(
      'MaxIOPSLimitExceeded',
      `You have exceeded your maximum IOPS limit of ${iops} for ${target.type} volumes in this region.`,
    );
  }
};

const checkMayModify = (world: World, volume: Volume) => {
  const last = volume.modifications.at(-1);
  if (last && last.state !== 'completed' && last.state !== 'failed') {
    const state = last.state.toUpperCase();
    throw new AwsError(
      'IncorrectModificationState',
      `Volume ${volume.id} cannot be modified in modification state ${state}`,
    );
  }
  if (volume.state !== 'in-use' && volume.state !== 'available') {
    throw new AwsError('IncorrectState', `The volume '${volume.id}' is not in a state from which it can be modified.`);
  }
  const recent = volume.modifications.filter(({ startTime }) => startTime > world.clock.now() - DAY);
  const first = recent[0];
  if (first && recent.length >= MODIFICATIONS_PER_DAY) {
    // The code is AWS's; the four-a-day wording is not public, only that it "indicates when you can perform your next modification".
    throw new AwsError(
      'VolumeModificationRateExceeded',
      `You've reached the maximum modification rate per volume limit. Wait until ${new Date(first.startTime + DAY).toISOString()} to modify this volume.`,
    );
  }
};

const notify = (world: World, volume: Volume, result: string, requestId: string) =>
  world.events.emit({
    source: 'aws.ec2',
    detailType: 'EBS Volume Notification',
    resources: [volumeArn(world, volume.id)],
    detail: { result, cause: '', event: 'modifyVolume', 'request-id': requestId },
  });

/** modifying → optimizing (the new size is there) → completed. Progress moves while optimizing. */
const settle = (world: World, volume: Volume, modification: Modification, requestId: string) => {
  const { clock, settle: times } = world;
  const optimizingAt = clock.now() + times.volumeModifying;
  clock.at(optimizingAt, () => {
    Object.assign(world.lag.change(volume), modification.target);
    modification.state = 'optimizing';
    notify(world, volume, 'optimizing', requestId);
  });
  for (const quarter of [1, 2, 3]) {
    clock.at(optimizingAt + (times.volumeOptimizing * quarter) / 4, () => {
      modification.progress = 25 * quarter;
    });
  }
  clock.at(optimizingAt + times.volumeOptimizing, () => {
    world.lag.change(volume);
    Object.assign(modification, { state: 'completed', progress: 100, endTime: clock.now() });
    notify(world, volume, 'completed', requestId);
  });
};

export const volumeOperations: Ec2Operations = {
  DescribeVolumes: (input, { world }) => {
    checkMaxResults(input.MaxResults, input.VolumeIds, 'volumeIds');
    const { items, nextToken } = page(applyFilters(find(world, input.VolumeIds), input.Filters, filters), {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 1000,
    });
    return { Volumes: items.map(describeVolume), ...(nextToken && { NextToken: nextToken }) };
  },

  ModifyVolume: (input, { world, at, requestId }) => {
    const id = input.VolumeId ?? '';
    checkId(id);
    const volume = world.ec2.volumes.get(id);
    if (!volume) throw new AwsError('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
    checkMayModify(world, volume);
    const original: VolumeShape = {
      size: volume.size,
      type: volume.type,
      iops: volume.iops,
      throughput: volume.throughput,
    };
    const type = input.VolumeType ?? original.type;
    const size = input.Size ?? original.size;
    const kept = type === original.type && type !== 'gp2';
    const target: VolumeShape = {
      size,
      type,
      iops: input.Iops ?? (kept ? original.iops : defaultIops(type, size)),
      throughput: input.Throughput ?? (kept ? original.throughput : LIMITS[type]?.throughput?.[0]),
    };
    if (size < original.size)
      throw new AwsError('InvalidParameterValue', 'New size cannot be smaller than existing size');
    checkShape(target);
    checkQuota(world, volume, target);
    const modification: Modification = {
      state: 'modifying',
      progress: 0,
      startTime: at,
      endTime: undefined,
      target,
      original,
    };
    world.lag.change(volume).modifications.push(modification);
    settle(world, volume, modification, requestId);
    return { VolumeModification: describeModification(volume, modification) };
  },

  DescribeVolumesModifications: (input, { world }) => {
    const latest = find(world, input.VolumeIds).flatMap((volume) => {
      const modification = volume.modifications.at(-1);
      if (modification) return { volume, modification, tags: volume.tags };
      if (!input.VolumeIds?.length) return [];
      throw new AwsError(
        'InvalidVolumeModification.NotFound',
        `Modification for volume '${volume.id}' does not exist.`,
      );
    });
    const { items, nextToken } = page(applyFilters(latest, input.Filters, modificationFilters), {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 500,
    });
    const VolumesModifications = items.map(({ volume, modification }) => describeModification(volume, modification));
    return { VolumesModifications, ...(nextToken && { NextToken: nextToken }) };
  },
};
