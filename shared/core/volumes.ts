/** EBS volumes that AWS itself says are lost, or has switched off: what is told of them, and what may be done. */
import { StewardError } from './errors.ts';
import type { Attempt } from './incident.ts';
import type { Instance, Ports } from './ports.ts';
import type { Look } from './remediation.ts';
import { iso, type Time } from './time.ts';
import type { Verdict } from './verdict.ts';

export interface VolumeTrouble {
  readonly volume: string;
  /**
   * `lost`: its hardware has failed, and what was on it cannot be recovered. `io-off`: its data may be inconsistent, so AWS has disabled its I/O until
   * somebody enables it; a volume with AutoEnableIO never is so.
   */
  readonly is: 'lost' | 'io-off';
  readonly instance: string | undefined;
}
export interface Snapshot {
  readonly id: string;
  readonly startedAt: Time;
}

/** What is wrong with a volume of the instance. Of a lost one also what can be restored, newest first, or why that is not known. */
export interface IllVolume extends Omit<VolumeTrouble, 'instance'> {
  readonly device: string;
  readonly snapshots: readonly Snapshot[] | { readonly unknown: string };
}
/** @param told id of one that Health says is lost: EC2 shows it a little later */
export const illVolumes = async (
  { devices }: Instance,
  { volumes }: Ports,
  told: string | undefined,
): Promise<readonly IllVolume[]> => {
  const deviceOf = new Map(Object.entries(devices).map(([device, volume]) => [volume, device]));
  const known = (await volumes.troubled()).filter((t) => t.volume !== told);
  const all = [...(told === undefined ? [] : [{ volume: told, is: 'lost' as const }]), ...known];
  const own = all.filter((t) => deviceOf.has(t.volume));
  return Promise.all(
    own.map(async ({ volume, is }) => ({
      volume,
      is,
      device: deviceOf.get(volume) ?? '',
      snapshots: is === 'lost' ? await snapshotsOf(volume, volumes) : [],
    })),
  );
};
/** That it is lost is told at once, whether its snapshots can be listed or not. */
const snapshotsOf = async (volume: string, volumes: Ports['volumes']): Promise<IllVolume['snapshots']> => {
  try {
    return await volumes.snapshots(volume);
  } catch (e) {
    if (!(e instanceof StewardError)) throw e;
    return { unknown: e.message };
  }
};

export const illText = ({ volume, device, is }: IllVolume): string =>
  is === 'lost'
    ? `AWS has lost its volume ${volume} (${device}): what was on it cannot be recovered`
    : `AWS has disabled the I/O of its volume ${volume} (${device}), whose data may be inconsistent`;

/** Longer lists nobody reads. */
const MOST_SNAPSHOTS = 5;
/** Nothing is repaired: a person is told what there is to restore. */
export const lostVolume = (lost: IllVolume, zone: string): Verdict<never> => {
  const { snapshots } = lost;
  const because = illText(lost);
  if ('unknown' in snapshots)
    return {
      do: 'escalate',
      because,
      remedy: `look for its snapshots, which could not be listed: ${snapshots.unknown}`,
    };
  const [latest, ...older] = snapshots;
  if (!latest)
    return {
      do: 'escalate',
      because,
      remedy:
        'it has no snapshot in this account and region: look for a copy elsewhere (AWS Backup, another account), or build it anew',
    };
  const dated = ({ id, startedAt }: Snapshot) => `${id} of ${iso(startedAt)}`;
  const others = older.slice(0, MOST_SNAPSHOTS - 1).map(dated);
  const more = older.length - others.length;
  return {
    do: 'escalate',
    because,
    remedy: `restore it from its latest snapshot, ${dated(latest)}: aws ec2 create-volume --snapshot-id ${latest.id} --availability-zone ${zone}; ${
      others.length > 0
        ? `older ones: ${others.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
        : 'there is no older one'
    }`,
  };
};

export type EnableIo = { readonly do: 'enable-io'; readonly instance: string; readonly volume: string };

/** AWS advises to check the data first, or right after: unless the policy says otherwise, a person decides. */
export const enablingIo = (
  instance: string,
  off: IllVolume,
  { attempts }: Pick<Look<unknown>, 'attempts'>,
  mayWithoutAsking: boolean,
): Verdict<EnableIo> => {
  const { volume, device } = off;
  const because = illText(off);
  const before = (attempts as readonly Attempt<EnableIo>[]).findLast(
    (a) => a.step.do === 'enable-io' && a.step.volume === volume && a.outcome?.kind !== 'transient',
  );
  if (before)
    return {
      do: 'escalate',
      because: `${because}, and enabling it did not help`,
      remedy: `look at it: aws ec2 describe-volume-status --volume-ids ${volume}; else restore it from a snapshot`,
    };
  return {
    do: 'act',
    rung: `enable-io ${volume}`,
    step: { do: 'enable-io', instance, volume },
    plan: `enable the I/O of ${volume} (${device}); its data may be inconsistent: check its file system, best before anything writes to it`,
    because,
    ...(mayWithoutAsking ? {} : { asks: 'its data may be inconsistent, and AWS advises to check them first' }),
  };
};
