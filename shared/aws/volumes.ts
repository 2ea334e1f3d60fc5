import {
  DescribeVolumesCommand,
  DescribeVolumesModificationsCommand,
  EC2Client,
  ModifyVolumeCommand,
  type VolumeModification,
} from '@aws-sdk/client-ec2';
import { InvalidInput } from '../core/errors.ts';
import type { Modification, Volume, Volumes } from '../core/ports.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
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
        const [{ Volumes: found = [] }, modifications] = await Promise.all([
          reader.send(new DescribeVolumesCommand({ VolumeIds: [...ids] })),
          modificationsOf(ids),
        ]);
        return found.map((v) => {
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
        const { Volumes: found = [] } = await reader.send(new DescribeVolumesCommand({ VolumeIds: [id] }));
        return found[0]?.Attachments?.find((a) => a.State === 'attached')?.InstanceId;
      }),
    grow: (id, toGiB) =>
      calling(
        `cannot grow ${id} to ${toGiB} GiB`,
        async () => void (await writer.send(new ModifyVolumeCommand({ VolumeId: id, Size: toGiB }))),
      ),
  };
};
