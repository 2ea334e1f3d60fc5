/**
 * Retention: bodies stay in the table for some months, then the archive alone has them, and after some years nobody. In this order, each step written down before the next one:
 *
 *     a day is over, settled and signed ─▶ files ─▶ read back, held against the signed roots ─▶ receipt ─▶ entry in the log ─▶ signed ─▶ the bodies get their end
 *     years later: entry in the log ─▶ signed ─▶ the files are marked, and the bucket's own rule removes them
 *
 * A body has no end until then: whatever fails, however long nobody looks, nothing leaves before the archive has it. Links, receipts, checkpoints and tiles stay for good: that something
 * was there, what its hash was, and that it left as planned is provable after it has gone (ADR 33, 48).
 */
import { StateUnusable } from '../core/errors.ts';
import { days, type Time } from '../core/time.ts';
import { checkArchived } from './archive.ts';
import { folderOf, lineOf, packLines } from './archiveFile.ts';
import { byShard, countsOf, lastCheckpoint } from './checkpoint.ts';
import { base64, fingerprint, sha256 } from './hashing.ts';
import { type Header, type Link, placeOf } from './link.ts';
import { type LogTable, newestOf, type Objects, PARTITION, spillKey } from './log.ts';
import { lastMark, placesOf } from './marks.ts';
import { bodyOf, linksAfter, linksIn, linksOf, shardsOf } from './read.ts';
import {
  type ArchiveFile,
  bytesOfReceipt,
  entryOfReceipt,
  type Fate,
  type Held,
  heldOf,
  NO_RECEIPT,
  packIndex,
  type Receipt,
  readIndex,
  readReceipt,
  soundObject,
} from './receipts.ts';
import { type Activity, readActivity } from './record.ts';
import { bodiesOf } from './search.ts';
import { unpackIfSound } from './segment.ts';
import { nameOf } from './terms.ts';
import { type Heads, headsAfter, readNode, runsOf } from './tile.ts';

/** A day is archived so long after its end, if its hours are settled; else when it is so old: what comes later is archived with the day on which it came. */
const SEALED_AFTER = days(1);
const UNSETTLED_FOR = days(7);

/** Of one receipt: what a function of 1 GB has room for, and an index of less than 2 MB. */
const MOST_BYTES = 32 << 20;
const MOST_LINKS = 2_000;
const MOST_FOLDERS = 500;
/** Bodies that are read in one go, and those that get their end at once. */
const BATCH = 64;
const ENDS = 16;

export interface RetentionOptions {
  readonly table: LogTable;
  readonly objects: Objects;
  readonly now: () => Time;
  /** Whose log it is. */
  readonly account: string;
  readonly append: (leg: 'steward', raws: readonly Uint8Array[]) => Promise<unknown>;
  /** Bodies stay in the table so long after they were written. */
  readonly hotDays: number;
  /** Files stay in the archive so long. */
  readonly years: number;
}

const DAYS_OF_YEAR = 365.25;
const endOfDay = (t: Time): Time => (Math.floor(t / days(1)) + 1) * days(1);

interface Opened {
  readonly link: Link;
  /** Undefined: its body is gone, or was changed. */
  readonly events: readonly Uint8Array[] | undefined;
}

/** A folder as it fills. */
class Folder {
  readonly lines: string[] = [];
  readonly links: Link[] = [];
  from = 0;
  to = 0;

  add(link: Link, event: number, raw: Uint8Array, activity: Activity): void {
    this.lines.push(JSON.stringify(lineOf(`${placeOf(link.header)}/${event}`, activity, raw)));
    if (this.links.at(-1) !== link) this.links.push(link);
    const { time } = activity;
    if (time === 0) return;
    this.from = this.to === 0 ? time : Math.min(this.from, time);
    this.to = Math.max(this.to, time);
  }
}

/** When the oldest link was written that is not archived. */
const oldestLeft = async (table: LogTable, archived: Heads): Promise<Time | undefined> => {
  let oldest: Time | undefined;
  for (const shard of await shardsOf(table)) {
    const from = archived[shard] ?? 0;
    for await (const { header } of linksOf(table, shard, { from, to: from + 1 }))
      oldest = Math.min(oldest ?? header.at, header.at);
  }
  return oldest;
};

/** For how long the oldest day that is over waits to be archived, in ms; 0: none does. */
export const archiveBehind = async (table: LogTable, now: Time): Promise<number> => {
  const newest = await newestOf(table, PARTITION.archive);
  const oldest = await oldestLeft(table, newest ? readReceipt(newest).heads : {});
  return oldest === undefined ? 0 : Math.max(0, now - endOfDay(oldest));
};

export const createRetention = ({ table, objects, now, account, append, hotDays, years }: RetentionOptions) => {
  const open = async (links: readonly Link[]): Promise<Opened[]> => {
    const bodies = await bodiesOf({ table, objects }, links);
    return links.map((link) => ({ link, events: eventsIn(bodies.get(placeOf(link.header)), link.header) }));
  };
  async function* opened(links: AsyncIterable<Link>): AsyncGenerator<Opened> {
    let batch: Link[] = [];
    for await (const link of links) {
      batch.push(link);
      if (batch.length < BATCH) continue;
      yield* await open(batch);
      batch = [];
    }
    yield* await open(batch);
  }

  const receiptAt = async (number: number): Promise<Held | undefined> => {
    const [item] = await table.get([{ partition: PARTITION.archive, slot: number }]);
    return item && heldOf(item);
  };
  const newestReceipt = async (): Promise<Held | undefined> => {
    const item = await newestOf(table, PARTITION.archive);
    return item && heldOf(item);
  };
  const newestDone = async (partition: string): Promise<number> => (await newestOf(table, partition))?.slot ?? -1;
  const entryOf = (fate: Fate, held: Held) => {
    const at = fate === 'archived' ? held.receipt.at : held.receipt.at + days(years * DAYS_OF_YEAR);
    return { at, ...entryOfReceipt(fate, held, { account, at }) };
  };
  /** Writes it into the log, which has each event once. */
  const enter = async (fate: Fate, held: Held): Promise<void> =>
    void (await append('steward', [entryOf(fate, held).raw]));
  /** Links that were written since then: those of the newest tiles, and those that are in none. */
  async function* writtenSince(since: Time): AsyncGenerator<Link> {
    const newest = await newestOf(table, PARTITION.node);
    yield* linksAfter(table, newest && readNode(newest.bytes).heads);
    for await (const { bytes } of table.range(PARTITION.node, { newestFirst: true })) {
      const { at, runs } = readNode(bytes);
      if (at[1] < since) return;
      yield* linksIn(table, runs);
    }
  }
  /** A checkpoint has signed that it is in the log. */
  const isSigned = async (fate: Fate, held: Held): Promise<boolean> => {
    const heads = countsOf((await lastCheckpoint(table))?.heads ?? {});
    const { id, at } = entryOf(fate, held);
    const name = nameOf({ account, id });
    const hint = fingerprint(name);
    for await (const link of writtenSince(at)) {
      const { shard, seq } = link.header;
      if (seq >= (heads[shard] ?? 0) || !link.ids.includes(hint)) continue;
      const body = await bodyOf({ table, objects }, link);
      const events = eventsIn(body, link.header) ?? [];
      if (events.some((raw) => nameOf(readActivity(raw)) === name)) return true;
    }
    return false;
  };

  /** Until when the next day lasts that has links which are not archived; undefined: it is not over, or not settled. */
  const dayThatIsDue = async (archived: Heads): Promise<Time | undefined> => {
    const oldest = await oldestLeft(table, archived);
    if (oldest === undefined) return undefined;
    const end = endOfDay(oldest);
    if (now() < end + SEALED_AFTER) return undefined;
    return now() >= end + UNSETTLED_FOR || (await isSettled(end)) ? end : undefined;
  };
  const isSettled = async (end: Time): Promise<boolean> => {
    for (const place of await placesOf(table)) {
      const last = await lastMark(table, place);
      if (last && last.mark.settledTo < end) return false;
    }
    return true;
  };

  /** The links of that day, shard by shard. @throws Unsigned */
  async function* linksOfDay(archived: Heads, end: Time): AsyncGenerator<Link> {
    const signed = countsOf((await lastCheckpoint(table))?.heads ?? {});
    for (const shard of (await shardsOf(table)).sort(byShard))
      for await (const link of linksOf(table, shard, { from: archived[shard] ?? 0 })) {
        const { at, seq } = link.header;
        if (at >= end) break;
        refuseUnsigned(seq, signed[shard]);
        yield link;
      }
  }

  /** As much of the day as one receipt takes. */
  const gather = async (archived: Heads, end: Time) => {
    const folders = new Map<string, Folder>();
    const links: Link[] = [];
    const without: string[] = [];
    let bytes = 0;
    for await (const { link, events } of opened(linksOfDay(archived, end))) {
      links.push(link);
      if (!events) without.push(placeOf(link.header));
      for (const [n, raw] of (events ?? []).entries()) {
        const activity = readActivity(raw);
        const name = folderOf(activity);
        const folder = folders.get(name) ?? new Folder();
        folders.set(name, folder);
        folder.add(link, n, raw, activity);
        bytes += raw.length;
      }
      if (bytes >= MOST_BYTES || links.length === MOST_LINKS || folders.size >= MOST_FOLDERS) break;
    }
    return { folders, links, without };
  };

  /** Under a name that has its hash in it: written again, it is the same, and nothing is ever written over. */
  const store = async (folder: string, number: number, bytes: Buffer): Promise<Pick<ArchiveFile, 'key' | 'sha256'>> => {
    const hash = sha256(bytes);
    const key = `${folder}/${String(number).padStart(8, '0')}-${hash.toString('hex').slice(0, 12)}.ndjson.zst`;
    await objects.put(key, bytes);
    return { key, sha256: base64(hash) };
  };
  const write = async (
    { folders, links, without }: Awaited<ReturnType<typeof gather>>,
    last: Held | undefined,
  ): Promise<Receipt> => {
    const number = (last?.receipt.number ?? -1) + 1;
    const files: ArchiveFile[] = [];
    let bytes = 0;
    for (const [name, { lines, links: own, from, to }] of folders) {
      const packed = packLines(lines);
      bytes += packed.length;
      files.push({ ...(await store(name, number, packed)), events: lines.length, from, to, runs: runsOf(own) });
    }
    const runs = runsOf(links);
    return {
      v: 1,
      number,
      previous: last?.hash ?? NO_RECEIPT,
      runs,
      ...(without.length > 0 ? { without } : {}),
      heads: headsAfter(last?.receipt.heads ?? {}, runs),
      files: files.length,
      events: files.reduce((n, f) => n + f.events, 0),
      bytes,
      index: await store('archive-index', number, packIndex(files, links)),
      at: now(),
    };
  };

  /** Read back, and every event of every link has the root that the log signs. @throws StateUnusable */
  const readBack = async (receipt: Receipt): Promise<void> => {
    const wrong: string[] = [];
    const { whole } = await checkArchived(
      { table, objects },
      receipt,
      (place, because) => void wrong.push(`${place}: ${because}`),
    );
    const wanted = receipt.runs.reduce((n, [, from, to]) => n + to - from, 0) - (receipt.without?.length ?? 0);
    if (wrong.length > 0 || whole.size !== wanted)
      throw new StateUnusable(
        `what was just archived does not read back as it was written: ${wrong[0] ?? 'a link is missing'}`,
      );
  };

  /** One receipt's worth. @returns it; undefined: nothing is due */
  const archive = async (): Promise<Receipt | undefined> => {
    const last = await newestReceipt();
    // Whoever wrote the receipt may have died before this. Bodies that have their end had it in the log.
    if (last && last.receipt.number > (await newestDone(PARTITION.ended))) await enter('archived', last);
    const archived = last?.receipt.heads ?? {};
    const end = await dayThatIsDue(archived);
    if (end === undefined) return undefined;
    const gathered = await gather(archived, end).catch((e: unknown) => {
      if (e instanceof Unsigned) return undefined;
      throw e;
    });
    if (!gathered) return undefined;
    const receipt = await write(gathered, last);
    await readBack(receipt);
    const bytes = bytesOfReceipt(receipt);
    const put = await table.put({ partition: PARTITION.archive, slot: receipt.number, bytes });
    // Another was first: its files are the same links', and the next round goes on from there.
    if (put === 'taken') return undefined;
    await enter('archived', heldOf({ bytes }));
    return receipt;
  };

  const endBody = async ({ at, body, spilled }: Header): Promise<void> => {
    if (spilled) await objects.letGo(spillKey(body));
    else await table.end({ partition: PARTITION.body(body), slot: 0 }, at + days(hotDays));
  };
  /** The receipt after the newest of which that was done. */
  const nextOf = async (partition: string): Promise<Held | undefined> => receiptAt((await newestDone(partition)) + 1);
  const done = async (partition: string, { number }: Receipt): Promise<void> =>
    void (await table.put({ partition, slot: number, bytes: Buffer.from('1') }));

  /** The bodies of one receipt get their end, once the log has it, signed. @returns the receipt; undefined: there is none, or it is not signed yet */
  const end = async (): Promise<Receipt | undefined> => {
    const held = await nextOf(PARTITION.ended);
    if (!held || !(await isSigned('archived', held))) return undefined;
    const { receipt } = held;
    const without = new Set(receipt.without);
    let some: Header[] = [];
    for await (const { header } of linksIn(table, receipt.runs)) {
      if (!without.has(placeOf(header))) some.push(header);
      if (some.length < ENDS) continue;
      await Promise.all(some.map(endBody));
      some = [];
    }
    await Promise.all(some.map(endBody));
    await done(PARTITION.ended, receipt);
    return receipt;
  };

  /** The files of one receipt whose years are over may go, once the log says so, signed. @returns the receipt; undefined: there is none, or it is not signed yet */
  const expire = async (): Promise<Receipt | undefined> => {
    const held = await nextOf(PARTITION.expired);
    if (!held || now() < entryOf('expired', held).at) return undefined;
    await enter('expired', held);
    if (!(await isSigned('expired', held))) return undefined;
    const { receipt } = held;
    const index = await soundObject(objects, receipt.index);
    if ('because' in index)
      throw new StateUnusable(`${receipt.index.key}: ${index.because}; run steward activity verify`);
    for (const { key } of readIndex(index, false).files) await objects.letGo(key);
    await done(PARTITION.expired, receipt);
    return receipt;
  };

  return {
    archive,
    end,
    expire,
    behind: (): Promise<number> => archiveBehind(table, now()),
  };
};
export type Retention = ReturnType<typeof createRetention>;

/** Links of the day that no checkpoint has yet: it is tried again. */
class Unsigned extends Error {
  override readonly name = 'Unsigned';
}

const refuseUnsigned = (seq: number, signed = 0): void => {
  if (seq >= signed) throw new Unsigned();
};

/** Undefined: there is no body, or another than the log signs. */
const eventsIn = (body: Uint8Array | undefined, header: Header): readonly Uint8Array[] | undefined => {
  const opened = body && unpackIfSound(body);
  return opened && base64(opened.root) === header.root ? opened.segment.events : undefined;
};
