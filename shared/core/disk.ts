/**
 * What the host documents print: one JSON object on standard output, nothing else.
 * `documents/<name>/script.sh` writes these shapes, `shared/aws/hosts.ts` parses them, the world's simulated hosts imitate them.
 * Sizes are bytes, times are ISO 8601 in UTC by the host's own clock.
 */
import * as z from 'zod/mini';

const count = z.number().check(z.gte(0));

/** One layer below a file system, in order from the file system down to the disk. */
const layer = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('partition'),
    name: z.string(), // nvme0n1p1
    number: count,
    table: z.enum(['gpt', 'dos']),
    sizeBytes: count,
    /** No partition starts behind it: only then can it grow in place. */
    last: z.boolean(),
  }),
  z.object({
    kind: z.literal('lvm'),
    volumeGroup: z.string(),
    logicalVolume: z.string(),
    sizeBytes: count,
    /** Unallocated extents of the group: growth that needs no new volume. */
    freeBytes: count,
    /** How many physical volumes the group spans. */
    physicalVolumes: count,
  }),
  z.object({
    kind: z.literal('disk'),
    name: z.string(), // nvme1n1, xvdf
    sizeBytes: count,
    /** From the NVMe serial (`vol0123…` → `vol-0123…`); null where the kernel does not tell (Xen), then the device name decides. */
    volumeId: z.nullable(z.string()),
    /** An instance-store disk: gone at stop, cannot grow. */
    instanceStore: z.boolean(),
  }),
  /** A layer that Steward does not grow (dm-crypt, md, loop …): named, so that the refusal can say it. */
  z.object({ kind: z.literal('other'), name: z.string(), type: z.string(), sizeBytes: count }),
]);
export type Layer = z.infer<typeof layer>;

const place = z.object({ place: z.string(), bytes: count, files: count });
export type Place = z.infer<typeof place>;

const mount = z.object({
  /** As the kernel names it, unescaped: may hold spaces, quotes and non-ASCII. */
  path: z.string(),
  source: z.string(), // /dev/nvme0n1p1, /dev/mapper/data-pg
  filesystem: z.string(), // ext4, xfs, btrfs …
  readOnly: z.boolean(),
  sizeBytes: count,
  usedBytes: count,
  /** What an unprivileged process can still write (`df`'s Available): on ext4 less than size − used, by the reserve. */
  availableBytes: count,
  /** Null where the file system has no fixed number (Btrfs). */
  inodes: z.nullable(z.object({ total: count, used: count })),
  /** Empty where there is no block device below. */
  layers: z.array(layer),
  /** What `clean-disk` would free now, by place of its allow-list. Estimates. */
  cleanable: z.array(place),
  /** The biggest directories and files on this file system, biggest first; at most ten. */
  largest: z.array(z.object({ path: z.string(), bytes: count, kind: z.enum(['directory', 'file']), files: count })),
  /** Files that grew while the script watched (about two seconds), fastest first; at most five. */
  growing: z.array(z.object({ path: z.string(), bytes: count, bytesPerSecond: z.number() })),
  /** PostgreSQL's write-ahead log on this file system, where there is one: a big one means a stuck slot or archiver. */
  walBytes: count,
});
export type Mount = z.infer<typeof mount>;

/** `inspect-disk` */
export const diskReport = z.object({
  version: z.literal(1),
  at: z.string(),
  os: z.string(), // 'amzn 2023'
  kernel: z.string(),
  /** Local block file systems, one entry per file system (bind mounts and Btrfs subvolumes once), at most 24. */
  mounts: z.array(mount),
  /** Everything that had to be cut to stay under SSM's 24,000 characters, in words; empty if nothing. */
  cut: z.array(z.string()),
});
export type DiskReport = z.infer<typeof diskReport>;

/** `clean-disk` */
export const cleanReport = z.object({
  version: z.literal(1),
  path: z.string(),
  /** The token had been seen: nothing was done again; the numbers are those of the first run. */
  repeated: z.boolean(),
  availableBefore: count,
  availableAfter: count,
  freed: z.array(place),
  /** Places that were left alone, with the reason (open, younger than a day, tool missing, error …). */
  skipped: z.array(z.object({ place: z.string(), because: z.string() })),
});
export type CleanReport = z.infer<typeof cleanReport>;

/** `grow-filesystem` */
export const growReport = z.object({
  version: z.literal(1),
  path: z.string(),
  repeated: z.boolean(),
  sizeBefore: count,
  sizeAfter: count,
  /** What was done, in order: 'partition nvme0n1p1 8589934592 → 17179869184', 'lvm …', 'xfs …'; empty if it already filled its device. */
  steps: z.array(z.string()),
});
export type GrowReport = z.infer<typeof growReport>;

/** What a document prints instead, with an exit status other than 0. */
export const hostFailure = z.object({
  version: z.literal(1),
  error: z.object({
    /**
     * not-found: no such mount · read-only · unsupported: file system or layer · not-last: a partition follows · tool-missing ·
     * no-space: not even room to work · busy: another run holds the lock · failed: a tool failed, its words are in the message
     */
    code: z.enum([
      'not-found',
      'read-only',
      'unsupported',
      'not-last',
      'tool-missing',
      'no-space',
      'busy',
      'invalid',
      'failed',
    ]),
    message: z.string(),
    remedy: z.string(),
  }),
});
export type HostFailure = z.infer<typeof hostFailure>;
