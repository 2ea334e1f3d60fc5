/**
 * Retention: bodies stay in the table for some months, then the archive alone has them. In this order: archive, read back and verify, write it into the log, and only then may they go.
 *
 * A body gets its end when it is written (another write would cost as much as the first), and that end is moved as long as no archive has it: `extendUnarchived`, a month ahead.
 * Links, checkpoints and tiles stay for good: that something was there, and what its hash was, is provable after its body has gone.
 *
 * Files are newline-delimited JSON in zstd, one per account, region and day, as Athena reads them. The event is the last field of its line, byte for byte; what is no JSON, or has
 * line breaks in it, is in base 64.
 */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { InvalidInput, NotFound, StateUnusable } from '../core/errors.ts';
import { days, iso, type Time } from '../core/time.ts';
import { countsOf, lastCheckpoint } from './checkpoint.ts';
import { base64, leafHash, sha256 } from './hashing.ts';
import { type Link, placeOf } from './link.ts';
import { type LogTable, type Objects, PARTITION } from './log.ts';
import { linksIn, linksOf, shardsOf } from './read.ts';
import { ARCHIVED, type ArchiveFile, bytesOfReceipt, hashOfReceipt, NO_RECEIPT, type Receipt } from './receipts.ts';
import { type Activity, readActivity } from './record.ts';
import { bodiesOf } from './search.ts';
import { unpack } from './segment.ts';
import { type Heads, lengthOf, type Run, sliceOf } from './tile.ts';
import { rootOfLeaves } from './tree.ts';

/** Links of one receipt: 50,000 events, some 60 MB in memory. */
const MOST_LINKS = 500;
const BATCH = 64;

interface Line {
  readonly place: string;
  readonly activity: Activity;
  readonly raw: Uint8Array;
}

const EVENT = ',"event":';
const EVENT64 = ',"event64":"';

const isOneLineOfJson = ({ raw, activity }: Line): boolean =>
  activity.unreadable === undefined && !raw.includes(0x0a) && !raw.includes(0x0d);

const lineOf = (line: Line): Buffer => {
  const { account, region, time, who, what, ip, error } = line.activity;
  const head = JSON.stringify({
    place: line.place,
    account,
    region,
    ...(time > 0 ? { time: iso(time) } : {}),
    who: who[0] ?? null,
    what,
    ip: ip ?? null,
    error: error ?? null,
  }).slice(0, -1);
  return isOneLineOfJson(line)
    ? Buffer.concat([Buffer.from(head + EVENT), line.raw, Buffer.from('}\n')])
    : Buffer.from(`${head}${EVENT64}${base64(line.raw)}"}\n`);
};

/** The event of a line, byte for byte, and its place. */
export const readLine = (line: Buffer): { readonly place: string; readonly raw: Buffer } => {
  const [plain, coded] = [line.indexOf(EVENT), line.indexOf(EVENT64)];
  const at = plain >= 0 && (coded < 0 || plain < coded) ? plain : coded;
  if (at < 0) throw new InvalidInput('a line of the archive has no event');
  const { place } = JSON.parse(`${line.toString('utf8', 0, at)}}`) as { place: string };
  const raw =
    at === plain
      ? line.subarray(at + EVENT.length, -1)
      : Buffer.from(line.toString('latin1', at + EVENT64.length, line.length - 2), 'base64');
  return { place, raw };
};

/** Account and region are what the record says of itself: nothing of it may name another folder. */
const safe = (text: string): string => text.replace(/[^\w-]/g, '_').slice(0, 64);
const folderOf = ({ account, region, time }: Activity): string =>
  `archive/account=${safe(account)}/region=${safe(region)}/day=${time > 0 ? iso(time).slice(0, 10) : 'unknown'}`;

type Ports = { readonly table: LogTable; readonly objects: Objects };

const receipts = async (table: LogTable): Promise<{ receipt: Receipt; hash: string }[]> => {
  const all: { receipt: Receipt; hash: string }[] = [];
  for await (const { bytes } of table.range(PARTITION.archive))
    all.push({ receipt: JSON.parse(Buffer.from(bytes).toString('utf8')) as Receipt, hash: hashOfReceipt(bytes) });
  return all;
};

/** Links of the shard that are archived: all before this one. */
const archivedIn = (known: readonly Receipt[], shard: string): number =>
  known.flatMap((r) => r.runs).reduce((n, [s, , end]) => (s === shard ? Math.max(n, end) : n), 0);

/** Signed links older than `before` that no receipt has, the oldest of each shard. */
const due = async (table: LogTable, known: readonly Receipt[], before: Time): Promise<Run[]> => {
  const signed: Heads = countsOf((await lastCheckpoint(table))?.heads ?? {});
  const runs: Run[] = [];
  for (const [shard, to] of Object.entries(signed)) {
    const from = archivedIn(known, shard);
    let end = from;
    for await (const { header } of linksOf(table, shard, { from, to: Math.min(to, from + MOST_LINKS) })) {
      if (header.at >= before) break;
      end = header.seq + 1;
    }
    if (end > from) runs.push([shard, from, end]);
  }
  return sliceOf(runs, 0, MOST_LINKS);
};

async function* segmentsIn(
  ports: Ports,
  runs: readonly Run[],
): AsyncGenerator<{ link: Link; events: readonly Uint8Array[] }> {
  const flush = async (links: readonly Link[]) => {
    const bodies = await bodiesOf(ports, links);
    return links.map((link) => {
      const body = bodies.get(placeOf(link.header));
      if (!body)
        throw new NotFound(
          `the body of ${placeOf(link.header)} is not there, and not archived: run steward activity verify`,
        );
      const { segment, root } = unpack(body);
      if (base64(root) !== link.header.root)
        throw new StateUnusable(
          `the body of ${placeOf(link.header)} was changed: nothing is archived until steward activity verify has found out why`,
        );
      return { link, events: segment.events };
    });
  };
  let batch: Link[] = [];
  for await (const link of linksIn(ports.table, runs)) {
    batch.push(link);
    if (batch.length < BATCH) continue;
    yield* await flush(batch);
    batch = [];
  }
  yield* await flush(batch);
}

/** Read back, every event of every link is there, and they have the links' roots. @throws StateUnusable */
export const checkArchive = async (
  { table, objects }: Ports,
  { files, runs }: Pick<Receipt, 'files' | 'runs'>,
): Promise<void> => {
  const leaves = new Map<string, Map<number, Uint8Array>>();
  for (const file of files) {
    const bytes = await objects.get(file.key);
    if (!bytes || base64(sha256(bytes)) !== file.sha256)
      throw new StateUnusable(`the archive's file ${file.key} is ${bytes ? 'not what was written' : 'not there'}`);
    for (const line of linesOf(zstdDecompressSync(bytes))) {
      const { place, raw } = readLine(line);
      const [link, event] = [place.slice(0, place.lastIndexOf('/')), Number(place.slice(place.lastIndexOf('/') + 1))];
      leaves.set(link, (leaves.get(link) ?? new Map<number, Uint8Array>()).set(event, leafHash(raw)));
    }
  }
  for await (const { header } of linksIn(table, runs)) {
    const own = leaves.get(placeOf(header)) ?? new Map<number, Uint8Array>();
    const inOrder = Array.from({ length: header.count }, (_, n) => own.get(n) ?? Buffer.alloc(0));
    if (own.size !== header.count || base64(rootOfLeaves(inOrder)) !== header.root)
      throw new StateUnusable(`the archive does not have all of ${placeOf(header)}`);
  }
};
const linesOf = (bytes: Buffer): Buffer[] => {
  const lines: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(0x0a, from);
    lines.push(bytes.subarray(from, end));
    from = end + 1;
  }
  return lines;
};

/** What Steward writes into the log of a receipt. */
const recordOfReceipt = (receipt: Receipt, hash: string, account: string): Buffer =>
  Buffer.from(
    JSON.stringify({
      eventSource: ARCHIVED.source,
      eventName: ARCHIVED.name,
      eventID: `archive-${hash}`,
      eventTime: iso(receipt.at),
      recipientAccountId: account,
      userIdentity: { type: 'AWSService', invokedBy: 'steward' },
      requestParameters: { receipt: hash, number: receipt.number, links: lengthOf(receipt.runs) },
    }),
  );

export interface RetentionOptions extends Ports {
  readonly now: () => Time;
  /** Whose log it is. */
  readonly account: string;
  readonly append: (leg: 'steward', raws: readonly Uint8Array[]) => Promise<unknown>;
  /** Links are archived this long after they were written. */
  readonly sealDays: number;
  readonly hotDays: number;
}

/** A body that is not archived when so little of its time is left gets more. */
const AHEAD = days(30);

export const createRetention = ({ table, objects, now, account, append, sealDays, hotDays }: RetentionOptions) => {
  const filesOf = async (runs: readonly Run[], number: number): Promise<ArchiveFile[]> => {
    const folders = new Map<string, Buffer[]>();
    for await (const { link, events } of segmentsIn({ table, objects }, runs))
      for (const [n, raw] of events.entries()) {
        const activity = readActivity(raw);
        const folder = folderOf(activity);
        const lines = folders.get(folder) ?? [];
        lines.push(lineOf({ place: `${placeOf(link.header)}/${n}`, activity, raw }));
        folders.set(folder, lines);
      }
    const files: ArchiveFile[] = [];
    for (const [folder, lines] of folders) {
      const bytes = zstdCompressSync(Buffer.concat(lines));
      const hash = sha256(bytes);
      // Two who archive at once write two files, not one over the other.
      const key = `${folder}/${String(number).padStart(8, '0')}-${hash.toString('hex').slice(0, 12)}.ndjson.zst`;
      await objects.put(key, bytes);
      files.push({ key, sha256: base64(hash), events: lines.length });
    }
    return files;
  };

  return {
    /** One receipt's worth. @returns it; undefined: nothing is due */
    archive: async (): Promise<Receipt | undefined> => {
      const known = await receipts(table);
      const last = known.at(-1);
      // Whoever wrote the receipt may have died before this. The log has it once.
      if (last) await append('steward', [recordOfReceipt(last.receipt, last.hash, account)]);
      const runs = await due(
        table,
        known.map((k) => k.receipt),
        now() - days(sealDays),
      );
      if (runs.length === 0) return undefined;
      const number = (last?.receipt.number ?? -1) + 1;
      const receipt: Receipt = {
        v: 1,
        number,
        previous: last?.hash ?? NO_RECEIPT,
        runs,
        files: await filesOf(runs, number),
        at: now(),
      };
      await checkArchive({ table, objects }, receipt);
      const bytes = bytesOfReceipt(receipt);
      const put = await table.put({ partition: PARTITION.archive, slot: number, bytes });
      // Another was first: its files are the same links', and the next round goes on from there.
      if (put === 'taken') return undefined;
      await append('steward', [recordOfReceipt(receipt, hashOfReceipt(bytes), account)]);
      return receipt;
    },
    /**
     * Bodies that would go before an archive has them stay. Each costs as much as writing it did: this is for when archiving has failed for weeks, once a day.
     * @returns how many
     */
    extendUnarchived: async (): Promise<number> => {
      const known = (await receipts(table)).map((k) => k.receipt);
      let extended = 0;
      for (const shard of await shardsOf(table))
        for await (const { header } of linksOf(table, shard, { from: archivedIn(known, shard) })) {
          if (header.at + days(hotDays) - AHEAD > now()) break;
          const slot = { partition: PARTITION.body(header.body), slot: 0 };
          if (!header.spilled && (await table.extend(slot, now() + days(hotDays)))) extended++;
        }
      return extended;
    },
  };
};
