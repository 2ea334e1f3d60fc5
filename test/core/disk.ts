/** A file system as `inspect-disk` reports it: ext4 on the last partition of an NVMe disk of 20 GiB, 50 % used. Tests change one thing of it. */
import type { Mount } from '../../shared/core/disk.ts';

export const GiB = 2 ** 30;
export const VOLUME = 'vol-0123456789abcdef0';

export const disk = (sizeGiB: number, change: object = {}) =>
  ({
    kind: 'disk',
    name: 'nvme1n1',
    sizeBytes: sizeGiB * GiB,
    volumeId: VOLUME,
    instanceStore: false,
    ...change,
  }) as const;
export const partition = (sizeGiB: number, change: object = {}) =>
  ({
    kind: 'partition',
    name: 'nvme1n1p1',
    number: 1,
    table: 'gpt',
    sizeBytes: sizeGiB * GiB,
    last: true,
    ...change,
  }) as const;

export const aMount: Mount = {
  path: '/srv',
  source: '/dev/nvme1n1p1',
  filesystem: 'ext4',
  readOnly: false,
  sizeBytes: 20 * GiB,
  usedBytes: 10 * GiB,
  availableBytes: 10 * GiB,
  inodes: { total: 1_000_000, used: 1000 },
  layers: [partition(20), disk(20)],
  cleanable: [],
  largest: [{ path: '/srv/app', bytes: 9 * GiB, kind: 'directory', files: 12 }],
  growing: [],
  walBytes: 0,
};

/** So full, in percent of what can be used. */
export const usedTo = (percent: number, m: Mount = aMount): Mount => ({
  ...m,
  usedBytes: (m.sizeBytes * percent) / 100,
  availableBytes: (m.sizeBytes * (100 - percent)) / 100,
});
