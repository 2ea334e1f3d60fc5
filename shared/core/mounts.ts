/** What a file system's report means: how full, on which volumes, with what room below, and why it fills. */
import type { Layer, Mount } from './disk.ts';
import { bytesOf, gib } from './ebs.ts';
import type { Instance } from './ports.ts';

/** File systems that can be repaired. Others (squashfs images are always full, vfat boot partitions) are not watched. */
const REPAIRABLE = ['ext2', 'ext3', 'ext4', 'xfs', 'btrfs'];
export const isRepairable = (m: Mount): boolean => REPAIRABLE.includes(m.filesystem);

/** As `df` rounds nothing: used of what can be used at all, the reserve for root left out. */
export const usedPercent = (m: Mount): number => (100 * m.usedBytes) / Math.max(1, m.usedBytes + m.availableBytes);
export const inodesPercent = (m: Mount): number =>
  m.inodes && m.inodes.total > 0 ? (100 * m.inodes.used) / m.inodes.total : 0;

export type Trouble = 'space' | 'inodes';
export interface Limits {
  readonly usedPercent: number;
  readonly inodesPercent: number;
}
export const troubleOf = (m: Mount, limits: Limits): Trouble | undefined =>
  usedPercent(m) >= limits.usedPercent ? 'space' : inodesPercent(m) >= limits.inodesPercent ? 'inodes' : undefined;

/** Those in trouble, the fullest first. */
export const inTrouble = (mounts: readonly Mount[], limits: Limits): readonly Mount[] => {
  const fullest = (m: Mount): number => Math.max(usedPercent(m), inodesPercent(m));
  return mounts.filter((m) => troubleOf(m, limits)).sort((a, b) => fullest(b) - fullest(a));
};

export const sizeText = (bytes: number): string =>
  bytes >= bytesOf(1) ? `${gib(bytes).toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
export const stateOf = (m: Mount, trouble: Trouble): string =>
  trouble === 'space'
    ? `${m.path} is ${Math.floor(usedPercent(m))} % full`
    : `${m.path} has used ${Math.floor(inodesPercent(m))} % of its inodes`;

type Disk = Extract<Layer, { kind: 'disk' }>;
export const disksOf = (m: Mount): readonly Disk[] => m.layers.filter((l) => l.kind === 'disk');

/** /dev/sdf, as given at attachment, is xvdf to a Xen kernel. */
const kernelName = (device: string): string =>
  device
    .replace(/^\/dev\//, '')
    .replace(/^sd/, 'xvd')
    .replace(/\d+$/, '');

/**
 * An NVMe disk has the volume's id in its serial; on Xen the attachment's device name decides. The host's word alone names no volume: it must be
 * attached to this very instance.
 */
const volumeOf = (disk: Disk, instance: Instance): string | undefined =>
  Object.entries(instance.devices).find(([device, id]) =>
    disk.volumeId === null ? kernelName(device) === disk.name : id === disk.volumeId,
  )?.[1];
export const volumesOf = (m: Mount, instance: Instance): readonly string[] =>
  disksOf(m).flatMap((d) => volumeOf(d, instance) ?? []);

/** A file system shows less than its device has, by its own structures: never more than this part. */
const OVERHEAD = 0.1;

/** Room below the file system that it does not use yet: then no volume has to grow. */
export const hasUnusedBelow = (m: Mount): boolean => {
  const disks = disksOf(m);
  const disk = disks.at(-1);
  const lvm = m.layers.find((l) => l.kind === 'lvm');
  const partitions = m.layers.filter((l) => l.kind === 'partition');
  if (!disk) return false;
  // Alignment and backup tables take a little at the end of a disk.
  const slack = Math.max(disk.sizeBytes / 50, 2 ** 28);
  if (lvm && lvm.freeBytes > slack) return true;
  const [partition] = partitions;
  if (partition && partitions.length === 1 && disks.length === 1 && disk.sizeBytes - partition.sizeBytes > slack)
    return partition.last;
  const device = lvm ?? partition ?? disk;
  return m.sizeBytes < device.sizeBytes * (1 - OVERHEAD);
};

/** What makes it grow, where that is plain: more room would only hide it. */
export const causeOf = (m: Mount): string | undefined => {
  if (m.walBytes > m.sizeBytes / 4)
    return `${sizeText(m.walBytes)} of it are PostgreSQL's write-ahead log, which a stuck replication slot or archiver holds`;
  const file = m.growing[0];
  // A file that would eat a tenth of the disk within a day.
  return file && file.bytesPerSecond * 86_400 > m.sizeBytes / 10
    ? `${file.path} grows by ${sizeText(file.bytesPerSecond * 3600)} an hour`
    : undefined;
};

/** What fills it, as the end of a sentence. */
export const fills = (m: Mount, trouble: Trouble): string => {
  const top = [...m.largest].sort((a, b) => (trouble === 'inodes' ? b.files - a.files : b.bytes - a.bytes)).slice(0, 3);
  if (top.length === 0) return '';
  return `; most of it is in ${top.map((l) => `${l.path} (${trouble === 'inodes' ? `${l.files} files` : sizeText(l.bytes)})`).join(', ')}`;
};
