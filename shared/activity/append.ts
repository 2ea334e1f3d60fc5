/** Writing to the log: each event once, whatever is repeated, lost, doubled or written at the same time by others. */
import { Throttled } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import type { Archive } from './archive.ts';
import { base64, fingerprint, sha256 } from './hashing.ts';
import { type Entry, type Found, type Known, viewsOf } from './known.ts';
import { type Leg, MOST_NUMBERS, makeLink, placeOf } from './link.ts';
import { type LogTable, type Objects, PARTITION, spillKey } from './log.ts';
import { type Activity, readActivity, sameContent } from './record.ts';
import { pack } from './segment.ts';
import { nameOf, termsOf } from './terms.ts';
import type { Hash } from './tree.ts';

export interface WriterOptions {
  readonly table: LogTable;
  readonly objects: Objects;
  readonly now: () => Time;
  /** Never changed once the log has begun: an account's events stay in its shard. */
  readonly shards: number;
  /** Where the archive is read, what has left the table is known as well. */
  readonly archive?: Archive;
}

export interface Appended {
  readonly written: number;
  /** The log had them already. */
  readonly known: number;
  /** Written, although another, unequal event has the same id. */
  readonly conflicts: number;
  readonly segments: number;
  /** Places that someone else took first; one write unit each. */
  readonly lost: number;
  /** Write units of the table, as DynamoDB counts them: what could not be written costs as well. */
  readonly units: number;
}

/** US dollars for a million write units, on demand, us-east-1, November 2026. */
const WRITE_UNITS = 0.625;
/** What a million events like these cost to write, in US dollars; what was known already had to be looked at, too. */
export const dollarsPerMillion = ({ units, written, known }: Appended): number =>
  (units * WRITE_UNITS) / Math.max(1, written + known);

/** An item's unit is 1 KB, its names and keys included. */
const KEYS = 40;
const unitsOf = (bytes: Uint8Array): number => Math.ceil((bytes.length + KEYS) / 1_024);

/** Told of each event, once its fate is known. */
export type Told = (activity: Activity, isNew: boolean) => void;
const nobody: Told = () => {};
const tellAll = (part: readonly Entry[], told: Told): void => {
  for (const { activity } of part) told(activity, true);
};

/** The numbers of the ADR: 100 events make 10 write units of body and 1 of link. */
export const SEGMENT_EVENTS = 100;
/** Events of a segment before compression. A larger event has a segment of its own. */
const SEGMENT_BYTES = 1 << 20;
/** A DynamoDB item has 400 KB; what is above goes to the objects. */
const LARGEST_BODY = 380_000;
/** So often in a row somebody else was first: too many write into one shard. */
const TRIES = 50;

export const shardOf = (account: string, shards: number): number => fingerprint(account) % shards;

/** As many of the first as a segment takes, and as its link has room for. */
const cut = <E extends Entry>(
  entries: readonly E[],
): { readonly part: readonly E[]; readonly terms: ReadonlySet<number> } => {
  const terms = new Set<number>();
  let [bytes, count] = [0, 0];
  for (const { raw, activity } of entries) {
    const added = termsOf(activity).filter((t) => !terms.has(t));
    bytes += raw.length;
    const isFull = bytes > SEGMENT_BYTES || count + 1 + terms.size + added.length > MOST_NUMBERS;
    if (count === SEGMENT_EVENTS || (count > 0 && isFull)) break;
    for (const term of added) terms.add(term);
    count++;
  }
  return { part: entries.slice(0, count), terms };
};

interface New extends Entry {
  /** The place of the unequal one. */
  readonly conflict?: string;
}
type Segment<E extends Entry> = ReturnType<typeof cut<E>>;
/** Its body is in the table; without a link it is nothing. */
interface Stored extends Segment<New> {
  readonly hash: Hash;
  readonly root: Hash;
  readonly spilled: boolean;
}
/** Bodies that are written at once: one that loses its place to somebody else's link may have been written for nothing. */
const AHEAD = 4;
const segmentsOf = <E extends Entry>(entries: readonly E[], most: number): Segment<E>[] => {
  const segments: Segment<E>[] = [];
  for (let left = entries; left.length > 0 && segments.length < most; left = left.slice(segments.at(-1)?.part.length))
    segments.push(cut(left));
  return segments;
};
const conflictOf = (found: Found, others: readonly Entry[]): Pick<New, 'conflict'> => {
  if (found.is === 'conflict') return { conflict: found.with };
  return others.length > 0 ? { conflict: 'written together with it' } : {};
};
type Tally = { -readonly [K in keyof Appended]: Appended[K] };

export const createWriter = ({ table, objects, now, shards, archive }: WriterOptions) => {
  const viewOf = viewsOf({ table, objects, ...(archive ? { archive } : {}) });

  /** Those that the log does not have, each once. */
  const unknown = async (view: Known, entries: readonly Entry[], tally: Tally, told: Told): Promise<readonly New[]> => {
    const fresh: New[] = [];
    const here = new Map<string, Entry[]>();
    for (const { raw, activity } of entries) {
      const name = nameOf(activity);
      const others = here.get(name) ?? [];
      const found = await view.find({ raw, activity });
      if (found.is === 'known' || others.some((o) => sameContent(o.raw, raw))) {
        tally.known++;
        told(activity, false);
        continue;
      }
      here.set(name, [...others, { raw, activity }]);
      fresh.push({ raw, activity, ...conflictOf(found, others) });
    }
    return fresh;
  };

  /** Bodies first, some at once: their links, one after the other, are what counts. */
  const store = async ({ part, terms }: Segment<New>, tally: Tally): Promise<Stored> => {
    const conflicts = part.flatMap((e, n): [number, string][] => (e.conflict === undefined ? [] : [[n, e.conflict]]));
    const { body, root } = pack({ events: part.map((e) => e.raw), conflicts });
    const hash = sha256(body);
    const spilled = body.length > LARGEST_BODY;
    if (spilled) await objects.put(spillKey(base64(hash)), body);
    else await table.put({ partition: PARTITION.body(base64(hash)), slot: 0, bytes: body });
    tally.units += spilled ? 0 : unitsOf(body);
    return { part, terms, hash, root, spilled };
  };

  /** @returns false: somebody else was first */
  const write = async (
    view: Known,
    { shard, leg, tally }: { shard: number; leg: Leg; tally: Tally },
    { part, terms, hash, root, spilled }: Stored,
  ): Promise<boolean> => {
    const before = view.head;
    const activities = part.map((e) => e.activity);
    const link = makeLink({
      shard: view.shard,
      leg,
      now: now(),
      before,
      activities,
      terms,
      body: hash,
      root,
      spilled,
    });
    if (!before) await table.put({ partition: PARTITION.shards, slot: shard, bytes: Buffer.from(view.shard) });
    tally.units += unitsOf(link.bytes);
    const put = await table.put({ partition: PARTITION.link(view.shard), slot: link.header.seq, bytes: link.bytes });
    if (put === 'taken') return false;
    view.add(link);
    return true;
  };

  /** The first few segments of these. @returns how many events, and whether somebody else was first before their end */
  const writeSome = async (
    view: Known,
    to: { shard: number; leg: Leg; tally: Tally },
    entries: readonly New[],
    told: Told,
  ): Promise<{ readonly count: number; readonly lost: boolean }> => {
    const { tally } = to;
    const segments = await Promise.all(segmentsOf(entries, AHEAD).map((segment) => store(segment, tally)));
    let count = 0;
    for (const segment of segments) {
      if (!(await write(view, to, segment))) {
        tally.lost++;
        return { count, lost: true };
      }
      const { part } = segment;
      count += part.length;
      tally.segments++;
      tally.written += part.length;
      tally.conflicts += part.filter((e) => e.conflict !== undefined).length;
      tellAll(part, told);
    }
    return { count, lost: false };
  };

  const appendTo = async (
    to: { shard: number; leg: Leg; tally: Tally },
    entries: readonly Entry[],
    told: Told,
  ): Promise<void> => {
    const view = viewOf(to.shard);
    let left: readonly New[] = entries;
    for (let [stale, tries] = [true, 0]; left.length > 0; ) {
      if (stale) {
        await view.refresh([...new Set(left.map((e) => e.activity.time))]);
        left = await unknown(view, left, to.tally, told);
      }
      const { count, lost } = await writeSome(view, to, left, told);
      left = left.slice(count);
      stale = lost;
      tries = count > 0 ? 0 : tries + 1;
      if (tries === TRIES)
        throw new Throttled(
          `${placeOf({ shard: view.shard, seq: view.head?.header.seq ?? 0 })}: ${TRIES} times somebody else was first: raise the number of shards`,
        );
    }
  };

  return {
    /** What cannot be read is kept too. Throws what the table throws; then some are written, and the same call again writes the rest. */
    append: async (leg: Leg, raws: readonly Uint8Array[], told: Told = nobody): Promise<Appended> => {
      const tally: Tally = { written: 0, known: 0, conflicts: 0, segments: 0, lost: 0, units: 0 };
      const groups = new Map<number, Entry[]>();
      for (const raw of raws) {
        const activity = readActivity(raw);
        const shard = shardOf(activity.account, shards);
        const group = groups.get(shard);
        if (group) group.push({ raw, activity });
        else groups.set(shard, [{ raw, activity }]);
      }
      for (const [shard, entries] of groups) await appendTo({ shard, leg, tally }, entries, told);
      return tally;
    },
  };
};
export type Writer = ReturnType<typeof createWriter>;
