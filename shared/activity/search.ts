/**
 * Searching: newest recorded first. Links that are folded into tiles are found through the tiles' indexes, the last ones by their own fingerprints; only bodies that
 * may hold what is wanted are read, and the event itself decides.
 *
 * A page ends anywhere; the next begins where it ended, whatever was written or folded in between: per shard, the cursor says down to which link everything has been
 * given, and within one link, down to which event.
 */
import { InvalidInput, messageOf } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import { createArchive, type Events, eventsIfSound } from './archive.ts';
import { type Link, mayMatch, overlaps, placeOf, readLink } from './link.ts';
import { type LogTable, type Objects, PARTITION, type Slot, spillKey } from './log.ts';
import { linksOf, nodesOf, shardsOf } from './read.ts';
import { type Activity, readActivity } from './record.ts';
import { unpack } from './segment.ts';
import { matches, termsWanted, type Wanted } from './terms.ts';
import { candidatesIn, indexSlots, type Node, sliceOf } from './tile.ts';

export interface Query extends Wanted {
  /** Of the events, both included. */
  readonly from?: Time;
  readonly to?: Time;
  /** What this reader may see: rows outside are as if they were not there. */
  readonly mayRead?: (activity: Activity) => boolean;
}

export interface Row {
  /** 's0/12/3': shard, link, event. */
  readonly place: string;
  readonly activity: Activity;
  readonly raw: Uint8Array;
}

export interface Page {
  readonly rows: readonly Row[];
  /** For the next page; undefined: this was the last. */
  readonly cursor?: string;
  /** Links that may hold more, and are neither in the table nor in the archive: their years are over, or verify says why. */
  readonly absent: readonly string[];
  /** Links whose events were read from the archive; one that the page before began is counted there. */
  readonly archived: number;
}

/** Links below these are still to be looked at. */
type Marks = Record<string, number>;
interface Cursor {
  readonly marks: Marks;
  /** In the last link of this shard (`marks` names the one after it), events below this number are still to be looked at. */
  readonly within?: { readonly shard: string; readonly event: number };
}

const writeCursor = (cursor: Cursor): string => Buffer.from(JSON.stringify(cursor)).toString('base64url');
const readCursor = (text: string): Cursor => {
  try {
    const cursor = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Cursor;
    if (typeof cursor.marks === 'object') return cursor;
  } catch {
    // Said below.
  }
  throw new InvalidInput('this cursor is none that a search gave');
};

/** Tiles that are looked at in one go: few at first, since what is often found is found in few; then twice as many, up to so many. */
const FIRST_TILES = 8;
const MOST_TILES = 64;
/** Bodies that are fetched in one go: as many as there are lines to fill, for what is seldom is once in each. */
const FEWEST_BODIES = 16;
const MOST_BODIES = 48;
const MOST_SLOTS = 100;
/** Files of the archive that are read for one page: some seconds. Then it ends, and the next goes on. */
const MOST_FILES = 24;

const inGroups = <T>(list: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, n) => list.slice(n * size, (n + 1) * size));

/** The next is on its way while this one is looked at. */
async function* ahead<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  const start = (): Promise<IteratorResult<T>> => {
    const next = source.next();
    // Whoever stops before it comes does not wait for it, nor for its failure.
    next.catch(() => {});
    return next;
  };
  for (let next = start(); ; ) {
    const { value, done } = await next;
    if (done) return;
    next = start();
    yield value;
  }
}

const getAll = async (table: LogTable, slots: readonly Slot[]): Promise<Map<string, Uint8Array>> => {
  const groups = await Promise.all(inGroups(slots, MOST_SLOTS).map((group) => table.get(group)));
  return new Map(groups.flat().map((item) => [`${item.partition} ${item.slot}`, item.bytes]));
};
const nameOfSlot = ({ partition, slot }: Slot): string => `${partition} ${slot}`;

/** Bodies of these links, by place; those that are not there are left out. */
export const bodiesOf = async (
  { table, objects }: { table: LogTable; objects: Objects },
  links: readonly Link[],
): Promise<Map<string, Uint8Array>> => {
  const slotOf = ({ header }: Link): Slot => ({ partition: PARTITION.body(header.body), slot: 0 });
  const items = await getAll(table, links.filter((l) => !l.header.spilled).map(slotOf));
  const found = await Promise.all(
    links.map(async (l): Promise<[string, Uint8Array | undefined]> => {
      const bytes = l.header.spilled ? await objects.get(spillKey(l.header.body)) : items.get(nameOfSlot(slotOf(l)));
      return [placeOf(l.header), bytes];
    }),
  );
  return new Map(found.flatMap(([place, bytes]) => (bytes ? [[place, bytes] as const] : [])));
};

interface Sought {
  readonly from: Time;
  readonly to: Time;
  readonly terms: readonly number[];
  readonly marks: Marks;
}

export const createSearch = ({ table, objects }: { readonly table: LogTable; readonly objects: Objects }) => {
  const archive = createArchive({ table, objects });
  /** Those not folded yet, newest first. */
  const tail = async (shards: readonly string[], last: Node | undefined): Promise<Link[]> => {
    const found = await Promise.all(
      shards.map(async (shard) => {
        const links: Link[] = [];
        for await (const link of linksOf(table, shard, { from: last?.heads[shard] ?? 0 })) links.push(link);
        return links;
      }),
    );
    return found.flat().sort((a, b) => b.header.at - a.header.at || b.header.seq - a.header.seq);
  };

  const marksOf = (last: Node | undefined, links: readonly Link[]): Marks => {
    const marks: Marks = { ...last?.heads };
    for (const { header } of links) marks[header.shard] = Math.max(marks[header.shard] ?? 0, header.seq + 1);
    return marks;
  };

  const inTiles = async (
    tiles: readonly (readonly [node: Node, parts: readonly Uint8Array[]])[],
    marks: Marks,
    terms: readonly number[],
  ): Promise<Link[]> => {
    const slots = tiles.flatMap(([node, parts]) =>
      candidatesIn(parts, terms)
        .reverse()
        .flatMap((n) => sliceOf(node.runs, n, n + 1))
        .filter(([shard, seq]) => seq < (marks[shard] ?? 0))
        .map(([shard, seq]): Slot => ({ partition: PARTITION.link(shard), slot: seq })),
    );
    const items = await getAll(table, slots);
    return slots.flatMap((slot) => {
      const bytes = items.get(nameOfSlot(slot));
      return bytes ? [readLink(bytes)] : [];
    });
  };

  /** Links of the folded tiles that may match, newest first, by groups of tiles. */
  async function* folded(nodes: readonly Node[], { from, to, terms, marks }: Sought): AsyncGenerator<readonly Link[]> {
    const numbers = nodes.flatMap((node, n) => (overlaps(node, from, to) ? [n] : [])).reverse();
    for (let at = 0, size = FIRST_TILES; at < numbers.length; at += size, size = Math.min(2 * size, MOST_TILES)) {
      const group = numbers.slice(at, at + size);
      const indexes = await getAll(
        table,
        group.flatMap((n) => indexSlots(n, terms)).map((slot) => ({ partition: PARTITION.index, slot })),
      );
      const partsOf = (n: number): Uint8Array[] =>
        indexSlots(n, terms).map((slot) => {
          const part = indexes.get(nameOfSlot({ partition: PARTITION.index, slot }));
          if (!part) throw new InvalidInput(`index ${slot} is missing: run steward activity verify`);
          return part;
        });
      yield await inTiles(
        group.map((n) => [nodes[n] as Node, partsOf(n)] as const),
        marks,
        terms,
      );
    }
  }

  /** Links with their bodies, newest first: those that are not folded yet, then the others. */
  async function* candidates(
    last: readonly Link[],
    older: AsyncGenerator<readonly Link[]>,
    { from, to, terms, marks, limit }: Sought & { readonly limit: number },
  ): AsyncGenerator<readonly [readonly Link[], ReadonlyMap<string, Uint8Array>]> {
    const fits = (l: Link): boolean =>
      l.header.seq < (marks[l.header.shard] ?? 0) && overlaps(l.header, from, to) && mayMatch(l.terms, terms);
    const size = Math.min(MOST_BODIES, Math.max(FEWEST_BODIES, limit));
    async function* links(): AsyncGenerator<readonly Link[]> {
      yield* inGroups(last.filter(fits), size);
      for await (const found of older) yield* inGroups(found.filter(fits), size);
    }
    for await (const group of links()) yield [group, await bodiesOf({ table, objects }, group)];
  }

  const fill = async (
    filling: ReturnType<typeof createFilling>,
    link: Link,
    body: Uint8Array | undefined,
    sought: Sought,
  ): Promise<void> =>
    body
      ? filling.add(link, eventsIn(body, link), false)
      : filling.add(link, await eventsIfSound(archive, link, sought), true);

  return {
    /** @throws InvalidInput for a cursor that is none, or where the log itself cannot be read: never a page that is silently short */
    page: async (query: Query, limit: number, cursorText?: string): Promise<Page> => {
      const { from = 0, to = Number.MAX_SAFE_INTEGER } = query;
      const [nodes, shards] = await Promise.all([nodesOf(table), shardsOf(table)]);
      const last = await tail(shards, nodes.at(-1));
      // Everything above the first page's marks came later, and is not in this search.
      const cursor: Cursor = cursorText === undefined ? { marks: marksOf(nodes.at(-1), last) } : readCursor(cursorText);
      const filling = createFilling(query, limit, cursor);
      const sought: Sought = { from, to, terms: termsWanted(query), marks: cursor.marks };
      const opened = archive.opened();
      for await (const [group, bodies] of ahead(candidates(last, ahead(folded(nodes, sought)), { ...sought, limit })))
        for (const link of group) {
          await fill(filling, link, bodies.get(placeOf(link.header)), sought);
          if (filling.isFull() || archive.opened() - opened >= MOST_FILES) return filling.page();
        }
      const { cursor: _, ...page } = filling.page();
      return page;
    },
  };
};

/** A page while it fills. */
const createFilling = (query: Query, limit: number, cursor: Cursor) => {
  const { from = 0, to = Number.MAX_SAFE_INTEGER, mayRead = () => true } = query;
  const marks: Marks = { ...cursor.marks };
  const rows: Row[] = [];
  const absent: string[] = [];
  let archived = 0;
  let within: Cursor['within'];

  const isWanted = (activity: Activity, raw: Uint8Array): boolean => {
    const inTime = activity.time === 0 || (from <= activity.time && activity.time <= to);
    return inTime && matches(activity, query, raw) && mayRead(activity);
  };
  /** Events of the link below this number have not been given. */
  const isResumed = ({ header }: Link): boolean =>
    cursor.within?.shard === header.shard && cursor.marks[header.shard] === header.seq + 1;
  const startIn = (link: Link, count: number): number => (isResumed(link) ? (cursor.within?.event ?? 0) : count);
  /** @returns the events still to be looked at when the page was full */
  const take = (link: Link, events: Events): number => {
    for (let n = startIn(link, events.length) - 1; n >= 0; n--) {
      if (rows.length === limit) return n + 1;
      const raw = events[n];
      if (!raw) continue;
      const activity = readActivity(raw);
      if (isWanted(activity, raw)) rows.push({ place: `${placeOf(link.header)}/${n}`, activity, raw });
    }
    return 0;
  };

  return {
    isFull: () => rows.length === limit,
    add: (link: Link, events: Events | undefined, isArchived: boolean): void => {
      const { shard, seq } = link.header;
      const left = events ? take(link, events) : 0;
      if (!events) absent.push(placeOf(link.header));
      else if (isArchived && !isResumed(link)) archived++;
      marks[shard] = left > 0 ? seq + 1 : seq;
      within = left > 0 ? { shard, event: left } : undefined;
    },
    page: (): Page => ({ rows, absent, archived, cursor: writeCursor({ marks, ...(within ? { within } : {}) }) }),
  };
};

const eventsIn = (body: Uint8Array, { header }: Link): readonly Uint8Array[] => {
  try {
    return unpack(body).segment.events;
  } catch (e) {
    throw new InvalidInput(
      `the body of ${placeOf(header)} cannot be read: run steward activity verify (${messageOf(e)})`,
      { cause: e },
    );
  }
};

export interface Did {
  readonly who: string;
  readonly what: string;
  readonly count: number;
  readonly failed: number;
  readonly first: Time;
  readonly last: Time;
}

/** Who did what, how often: most first. */
export const summaryOf = (activities: Iterable<Activity>): Did[] => {
  const sums = new Map<string, { -readonly [K in keyof Did]: Did[K] }>();
  for (const {
    who: [who = 'unknown'],
    what,
    time,
    error,
  } of activities) {
    const key = `${who}\n${what}`;
    const sum = sums.get(key) ?? { who, what, count: 0, failed: 0, first: time, last: time };
    sum.count++;
    if (error !== undefined) sum.failed++;
    sum.first = Math.min(sum.first, time);
    sum.last = Math.max(sum.last, time);
    sums.set(key, sum);
  }
  return [...sums.values()].sort((a, b) => b.count - a.count);
};
