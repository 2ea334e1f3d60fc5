/**
 * Receipts of the archive: which links' events lie in which files. Each names the one before; each one's hash is in the log itself, as an event of Steward's. So what has left
 * the table as planned can be told from what was deleted, and after years what has left the archive, too.
 *
 * A receipt is small, for good, in the table. What it is about at length is its index, an object: the files, and the links themselves. With it, chain and tree can be computed from the
 * bucket alone.
 */
import { InvalidInput, messageOf } from '../core/errors.ts';
import { iso, type Time } from '../core/time.ts';
import { linesOf, packLines } from './archiveFile.ts';
import { base64, fromBase64, sha256 } from './hashing.ts';
import { noteHours, type ToldHours } from './hourFacts.ts';
import { type Header, type Link, readLink } from './link.ts';
import { type Item, type LogTable, type Objects, PARTITION } from './log.ts';
import type { Heads, Run } from './tile.ts';
import type { Find } from './walk.ts';

export interface ArchiveFile {
  readonly key: string;
  /** Of the file as stored, base 64. */
  readonly sha256: string;
  readonly events: number;
  /** Times of its events; 0 and 0: they have none. */
  readonly from: Time;
  readonly to: Time;
  /** The links that have events in it. */
  readonly runs: readonly Run[];
}

export interface Receipt {
  readonly v: 1;
  readonly number: number;
  readonly previous: string;
  readonly runs: readonly Run[];
  /** Of those, the links whose bodies were gone or changed: they are not archived. */
  readonly without?: readonly string[];
  /** So far each shard is archived by this receipt and those before. */
  readonly heads: Heads;
  readonly files: number;
  readonly events: number;
  /** Of the files as stored. */
  readonly bytes: number;
  readonly index: Pick<ArchiveFile, 'key' | 'sha256'>;
  readonly at: Time;
}

export const NO_RECEIPT = base64(Buffer.alloc(32));
export const bytesOfReceipt = (receipt: Receipt): Buffer => Buffer.from(JSON.stringify(receipt));
export const hashOfReceipt = (bytes: Uint8Array): string => base64(sha256(bytes));
export const readReceipt = ({ bytes }: Pick<Item, 'bytes'>): Receipt => {
  const receipt = JSON.parse(Buffer.from(bytes).toString('utf8')) as Receipt;
  if (receipt.v !== 1) throw new InvalidInput(`a receipt of version ${receipt.v} needs a newer Steward`);
  return receipt;
};

export interface Held {
  readonly receipt: Receipt;
  readonly hash: string;
}
export const heldOf = (item: Pick<Item, 'bytes'>): Held => ({
  receipt: readReceipt(item),
  hash: hashOfReceipt(item.bytes),
});

/** The index: a line with the files, then the links in the order of the runs. */
export const packIndex = (files: readonly ArchiveFile[], links: readonly Link[]): Buffer =>
  packLines([JSON.stringify({ v: 1, files }), ...links.map((l) => JSON.stringify(base64(l.bytes)))]);

export interface Index {
  readonly files: readonly ArchiveFile[];
  readonly links: readonly Link[];
}
/** @param withLinks most who read it want the files only @throws InvalidInput */
export const readIndex = (bytes: Uint8Array, withLinks = true): Index => {
  const lines = linesOf(bytes);
  const { v, files } = JSON.parse(lines.next().value ?? '{}') as { v?: number; files?: readonly ArchiveFile[] };
  if (v !== 1 || !files) throw new InvalidInput(`an index of version ${v} needs a newer Steward`);
  const links: Link[] = [];
  if (withLinks) for (const line of lines) links.push(readLink(fromBase64(JSON.parse(line) as string)));
  return { files, links };
};

/** What is stored under a key, if it has the hash that it should have. @returns why not */
export const soundObject = async (
  objects: Objects,
  { key, sha256: wanted }: Pick<ArchiveFile, 'key' | 'sha256'>,
): Promise<Uint8Array | { readonly because: string }> => {
  const bytes = await objects.get(key);
  if (!bytes) return { because: 'it should be there and is not: it was deleted' };
  return base64(sha256(bytes)) === wanted ? bytes : { because: 'it was changed: its hash is another' };
};

/** Under which names Steward writes into the log that links are archived, and that their files may go. */
const NAMES = { archived: 'ArchiveActivity', expired: 'ExpireActivity' } as const;
export type Fate = keyof typeof NAMES;
const SOURCE = 'steward';

/** The same receipt and fate give the same entry, whenever it is written. */
export const entryOfReceipt = (
  fate: Fate,
  { receipt, hash }: Held,
  { account, at }: { readonly account: string; readonly at: Time },
): { readonly id: string; readonly raw: Buffer } => {
  const id = `${fate}-${hash}`;
  const { number, runs, events, files, bytes, index } = receipt;
  const raw = Buffer.from(
    JSON.stringify({
      eventVersion: '1',
      eventSource: SOURCE,
      eventName: NAMES[fate],
      eventID: id,
      eventTime: iso(at),
      recipientAccountId: account,
      userIdentity: { type: 'Steward', userName: SOURCE },
      requestParameters: { receipt: hash, number, runs, events, files, bytes, index },
    }),
  );
  return { id, raw };
};

/** What a log says of receipts: their hashes by number, and up to which their files may be gone; and of hours. */
export interface Logged {
  readonly receipts: Map<string, number>;
  expired: number;
  readonly hours: ToldHours;
}
export const nothingLogged = (): Logged => ({ receipts: new Map(), expired: -1, hours: new Map() });

/** @param events of links that Steward itself wrote */
export const noteLogged = (logged: Logged, events: Iterable<Uint8Array>): void => {
  for (const raw of events) {
    const text = Buffer.from(raw).toString('utf8');
    noteHours(logged.hours, text);
    if (!text.includes(NAMES.archived) && !text.includes(NAMES.expired)) continue;
    const { eventSource, eventName, requestParameters } = JSON.parse(text) as Record<string, unknown>;
    const { receipt, number } = (requestParameters ?? {}) as { receipt?: unknown; number?: unknown };
    if (eventSource !== SOURCE || typeof receipt !== 'string' || typeof number !== 'number') continue;
    if (eventName === NAMES.archived) logged.receipts.set(receipt, number);
    if (eventName === NAMES.expired) logged.expired = Math.max(logged.expired, number);
  }
};

/** All that are there; what cannot be read is named. */
const allReceipts = async (
  table: LogTable,
  about: (number: number, because: string) => void,
): Promise<Map<number, Held>> => {
  const all = new Map<number, Held>();
  for await (const item of table.range(PARTITION.archive)) {
    try {
      const held = heldOf(item);
      const { number } = held.receipt;
      if (number !== item.slot) throw new InvalidInput(`here lies receipt ${number}: it was moved`);
      all.set(item.slot, held);
    } catch (e) {
      about(item.slot, messageOf(e));
    }
  }
  return all;
};

export interface Chain {
  /** Newest first: all that can be read. */
  readonly all: readonly Held[];
  /** Those of them that the log knows, or that lead there by their hashes. */
  readonly sound: readonly Receipt[];
}

/** Names each receipt once: the first thing that is wrong with it is the cause. */
const once = (find: Find) => {
  const named = new Set<number>();
  return (number: number, because: string | undefined): void => {
    if (because !== undefined && !named.has(number)) find(`archive ${number}`, because);
    if (because !== undefined) named.add(number);
  };
};

type About = ReturnType<typeof once>;

/** From the newest on, each that the log knows, or that the one after it names. */
const follow = (all: ReadonlyMap<number, Held>, logged: Logged, about: About): Receipt[] => {
  const sound: Receipt[] = [];
  /** Undefined: the one after it is wrong itself, and one finding is enough. */
  let wanted: string | undefined;
  for (let number = Math.max(-1, ...all.keys()); number >= 0; number--) {
    const held = all.get(number);
    if (held && (held.hash === wanted || logged.receipts.has(held.hash))) {
      sound.push(held.receipt);
      wanted = held.receipt.previous;
    } else {
      about(number, held ? wanted && OTHER : DELETED);
      wanted = undefined;
    }
  }
  return sound;
};

/** The receipts, and what is wrong with them. The newest may have been written a moment ago, and not be in the log yet. */
export const receiptsOf = async (table: LogTable, logged: Logged, find: Find = () => {}): Promise<Chain> => {
  const about = once(find);
  const all = await allReceipts(table, about);
  for (const [hash, number] of logged.receipts)
    if (all.get(number)?.hash !== hash) about(number, all.has(number) ? UNKNOWN : DELETED);
  const sound = follow(all, logged, about);
  return { all: [...all.values()].sort((a, b) => b.receipt.number - a.receipt.number), sound };
};
const UNKNOWN = 'it is not the receipt that the log knows: it was changed';
const OTHER = 'it is not the receipt that the next one continues: it was changed';
const DELETED = 'it should be there and is not: it was deleted';

/** Which links these receipts are about. */
export const archivedBy = (receipts: readonly Receipt[]): ((link: Pick<Header, 'shard' | 'seq'>) => boolean) => {
  const without = new Set(receipts.flatMap((r) => r.without ?? []));
  const shards = new Map<string, [from: number, to: number][]>();
  for (const [shard, from, to] of receipts.flatMap((r) => r.runs).sort((a, b) => a[1] - b[1])) {
    const runs = shards.get(shard) ?? [];
    const last = runs.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else runs.push([from, to]);
    shards.set(shard, runs);
  }
  return ({ shard, seq }) =>
    (shards.get(shard) ?? []).some(([from, to]) => from <= seq && seq < to) && !without.has(`${shard}/${seq}`);
};
