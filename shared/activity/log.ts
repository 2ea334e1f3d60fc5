/**
 * Where the log lies. Every item is bytes at (partition, slot), written once; nothing in the chain is ever changed.
 *
 * | partition     | slot        | bytes                                              |
 * |---------------|-------------|----------------------------------------------------|
 * | body/<hash>   | 0           | a segment (segment.ts); expires once it is archived|
 * | link/<shard>  | sequence    | a link (link.ts)                                   |
 * | checkpoint    | number      | a signed note and what continues it (checkpoint.ts)|
 * | tile, node    | number      | 256 links: their hashes, their outline (tile.ts)   |
 * | index         | 16 × number + part | their terms (tile.ts)                       |
 * | shards        | number      | the shard's name                                   |
 * | archive       | number      | a receipt (receipts.ts)                            |
 * | ended, expired| number      | of that receipt: its bodies have their end, its files may go (retention.ts) |
 * | places        | number      | an account and region whose events are here        |
 * | mark/<place>  | time        | how far its trail has been read (marks.ts)         |
 * | hour/<place>  | 16 × hour + revision | what is known of its completeness; its hash is in the log (hourFacts.ts) |
 * | heard/<place> | hour        | EventBridge brought something                      |
 * | copies        | time        | checkpoints began to reach the second account, or not to (copies.ts) |
 * | policy        | number      | a steward.yml that was deployed (entries.ts)       |
 * | hosts         | number      | what is known of the hosts (watchHosts.ts)         |
 */
import type { Time } from '../core/time.ts';

export interface Slot {
  readonly partition: string;
  readonly slot: number;
}
export interface Item extends Slot {
  readonly bytes: Uint8Array;
}

/** `same`: it was there already, with the same bytes (a lost reply, a retry). `taken`: something else is there. */
export type Put = 'written' | 'same' | 'taken';

export interface Range {
  readonly from?: number;
  /** Not included. */
  readonly to?: number;
  readonly newestFirst?: boolean;
}

/** Every method may throw Throttled, Unavailable (for a write: it may have happened), Forbidden, StateUnusable. */
export interface LogTable {
  put(item: Item, expiresAt?: Time): Promise<Put>;
  /** Of those that are there, in any order. Up to 100 slots. */
  get(slots: readonly Slot[]): Promise<readonly Item[]>;
  /** In order, as of now or later. */
  range(partition: string, range?: Range): AsyncIterable<Item>;
  /** Gives an item its end; false if it is not there. Of bodies only: no role may do so with others. */
  end(slot: Slot, expiresAt: Time): Promise<boolean>;
}

/** The last of a partition. */
export const newestOf = async (table: LogTable, partition: string): Promise<Item | undefined> => {
  for await (const item of table.range(partition, { newestFirst: true })) return item;
  return undefined;
};

/** A trail's bucket, to be read. Throws Forbidden where IAM or the bucket says no. */
export interface TrailFiles {
  /** Names of the folders directly below one: 'AWSLogs/' → '111122223333'. */
  folders(below: string): Promise<readonly string[]>;
  /** Keys that begin so, in order, after one of them. */
  keys(prefix: string, after?: string): AsyncIterable<string>;
  /** Unpacked, as it streams in. @throws NotFound; InvalidInput: it is no gzip, or ends too early */
  open(key: string): AsyncIterable<Uint8Array>;
  /** A digest, unpacked, with the signature beside it. */
  signed(key: string): Promise<{ readonly bytes: Uint8Array; readonly signature: string }>;
}

/** What is too large for the table, archives, and checkpoints where they cannot be deleted. */
export interface Objects {
  put(key: string, bytes: Uint8Array): Promise<void>;
  get(key: string): Promise<Uint8Array | undefined>;
  /** Marks it as one that the bucket's own rule may remove when it is old enough. Nothing of Steward's can remove it. */
  letGo(key: string): Promise<void>;
}

export const PARTITION = {
  body: (hash: string): string => `body/${hash}`,
  link: (shard: string): string => `link/${shard}`,
  checkpoint: 'checkpoint',
  tile: 'tile',
  index: 'index',
  node: 'node',
  shards: 'shards',
  archive: 'archive',
  ended: 'ended',
  expired: 'expired',
  places: 'places',
  policy: 'policy',
  hosts: 'hosts',
  copies: 'copies',
  mark: (place: string): string => `mark/${place}`,
  hour: (place: string): string => `hour/${place}`,
  heard: (place: string): string => `heard/${place}`,
} as const;

/** Where a body is that is too large for the table. Base 64 has signs that keys do not like. */
export const spillKey = (hash: string): string => `spilled/${Buffer.from(hash, 'base64').toString('hex')}`;

/** Shards are numbered. */
export const shardName = (n: number): string => `s${n}`;
