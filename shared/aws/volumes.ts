import {
  DescribeVolumesCommand,
  DescribeVolumesModificationsCommand,
  EC2Client,
  EnableVolumeIOCommand,
  type Filter,
  ModifyVolumeCommand,
  paginateDescribeSnapshots,
  paginateDescribeVolumeStatus,
  paginateDescribeVolumes,
  type VolumeModification,
} from '@aws-sdk/client-ec2';
import { InvalidInput } from '../core/errors.ts';
import type { Modification, Volume, Volumes } from '../core/ports.ts';
import type { Snapshot, VolumeTrouble } from '../core/volumes.ts';
import { type ClientOptions, clientConfig, MOST_VALUES } from './clients.ts';
import { calling } from './errors.ts';

const STATES = ['modifying', 'optimizing', 'completed', 'failed'] as const;

const asModification = (raw: VolumeModification): Modification => {
  const state = STATES.find((s) => s === raw.ModificationState);
  if (!state || !raw.StartTime || raw.TargetSize === undefined)
    throw new InvalidInput(`EC2 describes a modification of ${raw.VolumeId} without state, start or size`);
  return {
    state,
    startedAt: raw.StartTime.getTime(),
    targetGiB: raw.TargetSize,
    ...(raw.EndTime ? { endedAt: raw.EndTime.getTime() } : {}),
  };
};

const found = async (client: EC2Client, filter: Filter, is: VolumeTrouble['is']): Promise<VolumeTrouble[]> => {
  const all: VolumeTrouble[] = [];
  for await (const { Volumes = [] } of paginateDescribeVolumes({ client, pageSize: 500 }, { Filters: [filter] }))
    for (const { VolumeId, Attachments = [] } of Volumes)
      if (VolumeId) all.push({ volume: VolumeId, is, instance: Attachments[0]?.InstanceId });
  return all;
};

/** Status and state are two things: a volume in the state `error` has no status. Both lists are empty but for bad days. */
const inTrouble = async (client: EC2Client): Promise<readonly VolumeTrouble[]> => {
  const off: string[] = [];
  const awaiting = { Filters: [{ Name: 'action.code', Values: ['enable-volume-io'] }] };
  for await (const { VolumeStatuses = [] } of paginateDescribeVolumeStatus({ client, pageSize: 500 }, awaiting))
    off.push(...VolumeStatuses.flatMap((s) => s.VolumeId ?? []));
  const lost = await found(client, { Name: 'status', Values: ['error'] }, 'lost');
  const all = [...lost];
  for (let n = 0; n < off.length; n += MOST_VALUES)
    all.push(...(await found(client, { Name: 'volume-id', Values: off.slice(n, n + MOST_VALUES) }, 'io-off')));
  // What is lost needs no I/O.
  const isLost = new Set(lost.map((t) => t.volume));
  return all.filter((t) => t.is === 'lost' || !isLost.has(t.volume));
};

export const ec2Volumes = (options: ClientOptions): Volumes => {
  const reader = new EC2Client(clientConfig(options, 3));
  // ModifyVolume has no token: it is never repeated behind our back.
  const writer = new EC2Client(clientConfig(options, 1));
  const modificationsOf = async (ids: readonly string[]): Promise<Map<string, Modification>> => {
    // By filter, not by id: a volume that was never modified is then simply not in the answer.
    const { VolumesModifications = [] } = await reader.send(
      new DescribeVolumesModificationsCommand({ Filters: [{ Name: 'volume-id', Values: [...ids] }] }),
    );
    return new Map(VolumesModifications.map((m) => [m.VolumeId ?? '', asModification(m)]));
  };
  return {
    describe: (ids) =>
      calling(`cannot describe ${ids.join(', ')}`, async (): Promise<readonly Volume[]> => {
        const [{ Volumes: described = [] }, modifications] = await Promise.all([
          reader.send(new DescribeVolumesCommand({ VolumeIds: [...ids] })),
          modificationsOf(ids),
        ]);
        return described.map((v) => {
          if (!v.VolumeId || v.Size === undefined || !v.VolumeType)
            throw new InvalidInput(`EC2 describes ${v.VolumeId ?? 'a volume'} without size or type`);
          const modification = modifications.get(v.VolumeId);
          return {
            id: v.VolumeId,
            ...(v.KmsKeyId ? { key: v.KmsKeyId } : {}),
            sizeGiB: v.Size,
            type: v.VolumeType,
            multiAttach: v.MultiAttachEnabled ?? false,
            ...(modification ? { modification } : {}),
          };
        });
      }),
    attachedTo: (id) =>
      calling(`cannot describe ${id}`, async () => {
        const { Volumes: [volume] = [] } = await reader.send(new DescribeVolumesCommand({ VolumeIds: [id] }));
        return volume?.Attachments?.find((a) => a.State === 'attached')?.InstanceId;
      }),
    troubled: () => calling('cannot list the volumes that AWS has lost or switched off', () => inTrouble(reader)),
    snapshots: (id) =>
      calling(`cannot list the snapshots of ${id}`, async () => {
        const all: Snapshot[] = [];
        const of = {
          OwnerIds: ['self'],
          Filters: [
            { Name: 'volume-id', Values: [id] },
            { Name: 'status', Values: ['completed'] },
          ],
        };
        for await (const { Snapshots = [] } of paginateDescribeSnapshots({ client: reader, pageSize: 1000 }, of))
          for (const { SnapshotId, StartTime } of Snapshots)
            if (SnapshotId && StartTime) all.push({ id: SnapshotId, startedAt: StartTime.getTime() });
        return all.sort((a, b) => b.startedAt - a.startedAt);
      }),
    enableIo: (id) =>
      calling(
        `cannot enable the I/O of ${id}`,
        async () => void (await writer.send(new EnableVolumeIOCommand({ VolumeId: id }))),
      ),
    grow: (id, toGiB) =>
      calling(
        `cannot grow ${id} to ${toGiB} GiB`,
        async () => void (await writer.send(new ModifyVolumeCommand({ VolumeId: id, Size: toGiB }))),
      ),
  };
};
