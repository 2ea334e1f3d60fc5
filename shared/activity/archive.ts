/** Reading the archive: the events of a link whose body has left the table, and whether all that a receipt is about is there. */
import { InvalidInput, messageOf, StateUnusable } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import { plural } from '../core/words.ts';
import { linesOf, readLine } from './archiveFile.ts';
import { base64, leafHash } from './hashing.ts';
import { type Header, type Link, placeOf, readLink } from './link.ts';
import { type LogTable, newestOf, type Objects, PARTITION } from './log.ts';
import { type ArchiveFile, type Receipt, readIndex, readReceipt, soundObject } from './receipts.ts';
import { createShelf } from './shelf.ts';
import { lengthOf, type Run } from './tile.ts';
import { rootOfLeaves } from './tree.ts';
import type { Find } from './walk.ts';

type Ports = { readonly table: LogTable; readonly objects: Objects };

const isIn = (runs: readonly Run[], { shard, seq }: Pick<Header, 'shard' | 'seq'>): boolean =>
  runs.some(([name, from, to]) => name === shard && from <= seq && seq < to);

/** Unpacked files that are kept at hand, in bytes of their events: those of a day or two. */
const AT_HAND = 96 << 20;
/** Receipts and indexes that are kept at hand. */
const FEW = 64;

/** Of one file: the events by their links. */
type Unpacked = {
  readonly bytes: number;
  readonly links: ReadonlyMap<string, readonly (readonly [number, Uint8Array])[]>;
};

const unpackFile = (bytes: Uint8Array): Unpacked => {
  const links = new Map<string, [number, Uint8Array][]>();
  let size = 0;
  for (const line of linesOf(bytes)) {
    const { link, event, raw } = readLine(line);
    size += raw.length;
    const own = links.get(link);
    if (own) own.push([event, raw]);
    else links.set(link, [[event, raw]]);
  }
  return { bytes: size, links };
};

/** Of a link, by their numbers; holes are outside of what was asked for. */
export type Events = readonly (Uint8Array | undefined)[];
/** Files outside of it need not be read. */
export interface Sought {
  readonly from?: Time | undefined;
  readonly to?: Time | undefined;
}

const touches = (file: ArchiveFile, { from = 0, to = Number.MAX_SAFE_INTEGER }: Sought): boolean =>
  file.to === 0 || (file.from <= to && from <= file.to);

export const createArchive = ({ table, objects }: Ports) => {
  const receipts = createShelf<Receipt | undefined>(FEW);
  const indexes = createShelf<readonly ArchiveFile[]>(FEW);
  const files = createShelf<Unpacked>(AT_HAND, (u) => u.bytes);
  let opened = 0;
  let newest = -1;

  const receiptAt = (number: number): Promise<Receipt | undefined> =>
    receipts(`${number}`, async () => {
      const [item] = await table.get([{ partition: PARTITION.archive, slot: number }]);
      return item && readReceipt(item);
    });
  const has = async (number: number, { shard, seq }: Header): Promise<boolean> => {
    const receipt = await receiptAt(number);
    if (!receipt) throw new StateUnusable(`receipt ${number} of the archive is missing: run steward activity verify`);
    return (receipt.heads[shard] ?? 0) > seq;
  };
  /** Receipts go on where the one before ended: the first that reaches so far. */
  const receiptOf = async (header: Header): Promise<Receipt | undefined> => {
    if (newest < 0 || !(await has(newest, header))) newest = (await newestOf(table, PARTITION.archive))?.slot ?? -1;
    if (newest < 0 || !(await has(newest, header))) return undefined;
    let [low, high] = [0, newest];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (await has(middle, header)) high = middle;
      else low = middle + 1;
    }
    const receipt = await receiptAt(low);
    return receipt?.without?.includes(placeOf(header)) ? undefined : receipt;
  };

  const read = async (of: Pick<ArchiveFile, 'key' | 'sha256'>): Promise<Uint8Array> => {
    const bytes = await soundObject(objects, of);
    if ('because' in bytes)
      throw new StateUnusable(`the archive's ${of.key}: ${bytes.because}; run steward activity verify`);
    return bytes;
  };
  const filesOf = ({ index }: Receipt): Promise<readonly ArchiveFile[]> =>
    indexes(index.key, async () => readIndex(await read(index), false).files);
  let released: Promise<number> | undefined;
  /** Its files may be gone: their years are over. */
  const isExpired = async ({ number }: Receipt): Promise<boolean> => {
    released ??= newestOf(table, PARTITION.expired).then((item) => item?.slot ?? -1);
    return number <= (await released);
  };
  const unpacked = (file: ArchiveFile): Promise<Unpacked> =>
    files(file.key, async () => {
      opened++;
      return unpackFile(await read(file));
    });

  return {
    /** Files that were read so far. */
    opened: () => opened,
    /** @returns undefined: no archive has it, or no longer @throws StateUnusable: it should, and what is there is not what was written */
    eventsOf: async ({ header }: Pick<Link, 'header'>, sought: Sought = {}): Promise<Events | undefined> => {
      const receipt = await receiptOf(header);
      if (!receipt || (await isExpired(receipt))) return undefined;
      const events: (Uint8Array | undefined)[] = new Array<undefined>(header.count).fill(undefined);
      for (const file of await filesOf(receipt))
        if (isIn(file.runs, header) && touches(file, sought))
          for (const [n, raw] of (await unpacked(file)).links.get(placeOf(header)) ?? []) events[n] = raw;
      return events;
    },
  };
};
export type Archive = ReturnType<typeof createArchive>;

/** The same, where damage is for verify to name, and must not stop anything. */
export const eventsIfSound = async (
  archive: Archive,
  link: Pick<Link, 'header'>,
  sought?: Sought,
): Promise<Events | undefined> => {
  try {
    return await archive.eventsOf(link, sought);
  } catch (e) {
    if (e instanceof StateUnusable || e instanceof InvalidInput) return undefined;
    throw e;
  }
};

/** What was read of a receipt's files: the leaves of each link, and the events of those that Steward wrote. */
interface Gathered {
  readonly leaves: Map<string, Map<number, Uint8Array>>;
  readonly own: Map<string, Uint8Array[]>;
  /** Files that are gone, or others than they were. */
  readonly broken: { readonly file: ArchiveFile; readonly because: string }[];
}

const gather = async (
  objects: Objects,
  files: readonly ArchiveFile[],
  keep: (place: string) => boolean,
): Promise<Gathered> => {
  const [leaves, own, broken]: [Gathered['leaves'], Gathered['own'], Gathered['broken']] = [new Map(), new Map(), []];
  const add = ({ link, event, raw }: ReturnType<typeof readLine>): void => {
    leaves.set(link, (leaves.get(link) ?? new Map<number, Uint8Array>()).set(event, leafHash(raw)));
    if (keep(link)) own.set(link, [...(own.get(link) ?? []), raw]);
  };
  for (const file of files) {
    const bytes = await soundObject(objects, file);
    if ('because' in bytes) {
      broken.push({ file, ...bytes });
      continue;
    }
    try {
      for (const line of linesOf(bytes)) add(readLine(line));
    } catch (e) {
      broken.push({ file, because: messageOf(e) });
    }
  }
  return { leaves, own, broken };
};

const isWhole = ({ count, root }: Header, own: ReadonlyMap<number, Uint8Array> = new Map()): boolean =>
  own.size === count &&
  base64(rootOfLeaves(Array.from({ length: count }, (_, n) => own.get(n) ?? Buffer.alloc(0)))) === root;

/** The links of the table that can be read; what is wrong with the others is said elsewhere. */
async function* readable(table: LogTable, runs: readonly Run[]): AsyncGenerator<Link> {
  for (const [shard, from, to] of runs)
    for await (const { bytes } of table.range(PARTITION.link(shard), { from, to })) {
      try {
        yield readLink(bytes);
      } catch (e) {
        if (!(e instanceof InvalidInput)) throw e;
      }
    }
}

export interface Checked {
  /** Links all of whose events the archive has, as their roots say; and how many those are. */
  readonly whole: ReadonlyMap<string, number>;
  /** Of links that Steward itself wrote. */
  readonly own: readonly Uint8Array[];
  /** Links of files that are gone or were changed. */
  readonly lost: ReadonlySet<string>;
}

/** Reads back all that a receipt is about, and holds it against the links, which the log signs. What is wrong is named by file. */
export const checkArchived = async ({ table, objects }: Ports, receipt: Receipt, find: Find): Promise<Checked> => {
  const whole = new Map<string, number>();
  const lost = new Set<string>();
  const stored = await soundObject(objects, receipt.index);
  if ('because' in stored) {
    find(receipt.index.key, stored.because);
    for await (const { header } of readable(table, receipt.runs)) lost.add(placeOf(header));
    return { whole, own: [], lost };
  }
  const index = readIndex(stored);
  const legs = new Map(index.links.map((l) => [placeOf(l.header), l.header.leg]));
  const { leaves, own, broken } = await gather(objects, index.files, (place) => legs.get(place) === 'steward');
  const without = new Set(receipt.without);
  for await (const { header } of readable(table, receipt.runs)) {
    const place = placeOf(header);
    if (without.has(place)) continue;
    if (isWhole(header, leaves.get(place))) whole.set(place, header.count);
    else if (broken.some(({ file }) => isIn(file.runs, header))) lost.add(place);
    else find(`archive of ${place}`, 'the files of the archive do not have all of its events');
  }
  for (const { file, because } of broken)
    find(file.key, `${because}; it has ${plural(file.events, 'event')} of ${plural(lengthOf(file.runs), 'segment')}`);
  const sound = [...own].flatMap(([place, events]) => (whole.has(place) ? events : []));
  return { whole, own: sound, lost };
};
