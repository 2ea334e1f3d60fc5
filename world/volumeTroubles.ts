/** Volumes whose hardware fails, or whose data AWS does not trust any more; and their snapshots. */
import { applyFilters, checkMaxResults, type FilterTable, page } from './describe.ts';
import type { Ec2Operations, Snapshot, Volume } from './ec2.ts';
import { impair } from './instances.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

const volumeOf = (world: World, id: string): Volume => {
  const volume = world.ec2.volumes.get(id);
  if (!volume) throw new AwsError('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
  return volume;
};

const tell = (world: World, volume: Volume, code: string) =>
  world.events.emit({
    source: 'aws.health',
    detailType: 'AWS Health Event',
    resources: [volume.id],
    detail: {
      eventArn: `arn:aws:health:${world.region}::event/EBS/${code}/${code}_${world.random.hex(8).toUpperCase()}`,
      service: 'EBS',
      eventScopeCode: 'ACCOUNT_SPECIFIC',
      statusCode: 'open',
      eventRegion: world.region,
      eventTypeCode: code,
      eventTypeCategory: 'issue',
      startTime: new Date(world.clock.now()).toUTCString(),
      eventDescription: [{ language: 'en_US', latestDescription: 'The volume was lost.' }],
      affectedEntities: [{ entityValue: volume.id }],
    },
  });

/** Its hardware has failed: EC2 shows it in `error`, and Health tells. */
export const loseVolume = (world: World, id: string): void => {
  const volume = volumeOf(world, id);
  world.lag.change(volume).state = 'error';
  if (volume.attachment) impair(world, volume.attachment.instanceId, { ebs: true }, 'nothing');
  tell(world, volume, 'AWS_EBS_VOLUME_LOST');
};

/** "By default, when Amazon EBS determines that a volume's data is potentially inconsistent, it disables I/O to the volume." */
export const disableIo = (world: World, id: string): void => {
  const volume = volumeOf(world, id);
  world.lag.change(volume).ioDisabledAt = world.clock.now();
  if (volume.attachment) impair(world, volume.attachment.instanceId, { ebs: true }, 'nothing');
};

export const addSnapshot = (world: World, volumeId: string, given: Partial<Snapshot> = {}): Snapshot => {
  const snapshot: Snapshot = {
    id: `snap-${world.random.hex(17)}`,
    volumeId,
    startTime: world.clock.now(),
    state: 'completed',
    tags: {},
    ...given,
  };
  world.ec2.snapshots.set(snapshot.id, snapshot);
  return snapshot;
};

const isOff = ({ ioDisabledAt }: Volume) => ioDisabledAt !== undefined;
const statusFilters: FilterTable<Volume> = {
  'action.code': (v) => (isOff(v) ? ['enable-volume-io'] : []),
  'volume-status.status': (v) => [isOff(v) ? 'impaired' : 'ok'],
  'availability-zone': ({ zone }) => [zone],
};
const snapshotFilters: FilterTable<Snapshot> = {
  'volume-id': ({ volumeId }) => [volumeId],
  status: ({ state }) => [state],
};

const EVENT = 'potential-data-inconsistency';
const describeStatus = (volume: Volume) => {
  const off = isOff(volume);
  const EventId = `evol-${volume.id.slice(4, 12)}`;
  return {
    VolumeId: volume.id,
    AvailabilityZone: volume.zone,
    VolumeStatus: {
      Status: off ? ('impaired' as const) : ('ok' as const),
      Details: [
        { Name: 'io-enabled' as const, Status: off ? 'failed' : 'passed' },
        { Name: 'io-performance' as const, Status: 'not-applicable' },
      ],
    },
    Events: off
      ? [
          {
            EventId,
            EventType: EVENT,
            Description: 'The data of the volume may be inconsistent',
            NotBefore: new Date(volume.ioDisabledAt ?? 0),
          },
        ]
      : [],
    Actions: off ? [{ Code: 'enable-volume-io', EventId, EventType: EVENT, Description: 'Enable volume I/O' }] : [],
  };
};

export const volumeTroubleOperations: Ec2Operations = {
  DescribeVolumeStatus: (input, { world }) => {
    checkMaxResults(input.MaxResults, input.VolumeIds, 'volumeIds');
    const wanted = input.VolumeIds?.length
      ? input.VolumeIds.map((id) => volumeOf(world, id))
      : [...world.ec2.volumes.values()];
    // "Volume status does not indicate volumes in the error state."
    const seen = wanted.flatMap((v) => world.lag.seen(v) ?? []).filter((v) => v.state !== 'error');
    const { items, nextToken } = page(applyFilters(seen, input.Filters, statusFilters), {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 1000,
    });
    return { VolumeStatuses: items.map(describeStatus), ...(nextToken && { NextToken: nextToken }) };
  },

  EnableVolumeIO: (input, { world }) => {
    const volume = volumeOf(world, input.VolumeId ?? '');
    world.lag.change(volume).ioDisabledAt = undefined;
    const id = volume.attachment?.instanceId;
    const instance = id === undefined ? undefined : world.ec2.instances.get(id);
    const others = [...world.ec2.volumes.values()].some(
      (v) => v.attachment?.instanceId === id && (isOff(v) || v.state === 'error'),
    );
    if (instance && !others) {
      instance.impaired.ebs = false;
      if (!Object.values(instance.impaired).some(Boolean)) instance.impairedSince = undefined;
    }
    return {};
  },

  DescribeSnapshots: (input, { world }) => {
    const { items, nextToken } = page(applyFilters([...world.ec2.snapshots.values()], input.Filters, snapshotFilters), {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 1000,
    });
    return {
      Snapshots: items.map((s) => ({
        SnapshotId: s.id,
        VolumeId: s.volumeId,
        StartTime: new Date(s.startTime),
        State: s.state,
        OwnerId: world.account,
      })),
      ...(nextToken && { NextToken: nextToken }),
    };
  },
};
