/**
 * Checks a whole log, in the table and in the archive: each body and each archived event against its link, each link against the one after it, all links against every checkpoint's root, the tiles against the links, and all of it
 * against a checkpoint that was kept elsewhere; what is known of each hour against what the log says of it. Slots are counted, so that what was deleted is missed. It streams: memory holds one tile.
 *
 * What it cannot find: what was false before it was signed, and what was cut off behind the last checkpoint.
 */
import { messageOf } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import { checkArchived } from './archive.ts';
import {
  type Checkpoint,
  countsOf,
  hashOfNote,
  NO_NOTE,
  type Numbered,
  numbered,
  openAfter,
  openCheckpoint,
  runsBetween,
  type Statement,
} from './checkpoint.ts';
import { base64, fromBase64, sha256 } from './hashing.ts';
import { checkHours } from './hourFacts.ts';
import { type Header, type Link, placeOf } from './link.ts';
import { type Item, type LogTable, type Objects, PARTITION, shardName } from './log.ts';
import { archivedBy, type Logged, noteLogged, nothingLogged, type Receipt, receiptsOf } from './receipts.ts';
import { bodiesOf } from './search.ts';
import { type Opened, unpack } from './segment.ts';
import { type Heads, headsAfter, INDEX_PARTS, lengthOf, makeTile, type Run, runsOf, TILE } from './tile.ts';
import { grow, type Hash, rootOf } from './tree.ts';
import { createGaps, type Find, Walk } from './walk.ts';

export interface Finding {
  /** 's0/12', 's0/97–120', 'body of s0/12', 'checkpoint 7', 'tile 3' … */
  readonly place: string;
  readonly because: string;
}

export interface Report {
  readonly links: number;
  readonly events: number;
  /** Links whose events only the archive has. */
  readonly archived: number;
  /** Links whose events have left the archive as well, after their years, as the log itself says. */
  readonly expired: number;
  /** Files of the archive that were read, and held against the links; none: it was left out. */
  readonly files: number;
  /** Links that no checkpoint has yet. */
  readonly unsigned: number;
  /** Until when everything is signed. */
  readonly signedAt: Time;
  readonly findings: readonly Finding[];
}

export interface VerifyOptions {
  readonly table: LogTable;
  readonly objects: Objects;
  /** PEM. */
  readonly keys: readonly string[];
  /** A checkpoint that was kept elsewhere: without one, a table that was put back to an older state looks whole. */
  readonly kept?: { readonly note: string; readonly heads?: Checkpoint['heads'] };
  /** The archive is not read: what its receipts say is believed. */
  readonly hotOnly?: boolean;
}

/** Bodies that are read in one go. */
const BODIES = 64;

/** Links, mostly one after the other. */
class Places {
  private readonly shards = new Map<string, [from: number, to: number][]>();

  add({ shard, seq }: Pick<Header, 'shard' | 'seq'>): void {
    const runs = this.shards.get(shard) ?? [];
    this.shards.set(shard, runs);
    const last = runs.at(-1);
    if (last?.[1] === seq) last[1]++;
    else runs.push([seq, seq + 1]);
  }
  has({ shard, seq }: Pick<Header, 'shard' | 'seq'>): boolean {
    return (this.shards.get(shard) ?? []).some(([from, to]) => from <= seq && seq < to);
  }
  *all(): Generator<Pick<Header, 'shard' | 'seq'>> {
    for (const [shard, runs] of this.shards)
      for (const [from, to] of runs) for (let seq = from; seq < to; seq++) yield { shard, seq };
  }
}
const placeIn = (place: string): Pick<Header, 'shard' | 'seq'> => {
  const [shard = '', seq] = place.split('/');
  return { shard, seq: Number(seq) };
};

type Gone = Pick<Report, 'archived' | 'expired' | 'files' | 'events'>;

/**
 * Reads the archive, the newest receipt's files first: what says that older ones may be gone is in them, if it is no longer in the table.
 * @returns the receipts whose files had to be there
 */
const readArchive = async (
  from: { table: LogTable; objects: Objects },
  { logged, absent, sums }: { logged: Logged; absent: Places; sums: { -readonly [K in keyof Gone]: Gone[K] } },
  find: Find,
): Promise<Receipt[]> => {
  const had: Receipt[] = [];
  for (const { receipt } of (await receiptsOf(from.table, logged)).all) {
    if (receipt.number <= logged.expired) continue;
    const { whole, own } = await checkArchived(from, receipt, find);
    noteLogged(logged, own);
    had.push(receipt);
    sums.files += receipt.files;
    const missed = [...whole].filter(([place]) => absent.has(placeIn(place)));
    sums.archived += missed.length;
    sums.events += missed.reduce((n, [, events]) => n + events, 0);
  }
  return had;
};

/** Whether the archive accounts for the bodies that are not in the table. */
const checkArchive = async (
  from: { table: LogTable; objects: Objects },
  { logged, absent, hotOnly }: { logged: Logged; absent: Places; hotOnly: boolean },
  find: Find,
): Promise<Gone> => {
  const sums = { archived: 0, expired: 0, files: 0, events: 0 };
  const had = hotOnly ? undefined : await readArchive(from, { logged, absent, sums }, find);
  const { sound } = await receiptsOf(from.table, logged, find);
  const gone = sound.filter((r) => r.number <= logged.expired);
  const [isExpired, isArchived] = [archivedBy(gone), archivedBy(had ?? sound)];
  for (const place of absent.all()) {
    if (isExpired(place)) sums.expired++;
    else if (!isArchived(place))
      find(`body of ${placeOf(place)}`, 'it is not there, and no archive that the log knows of has it');
    else if (hotOnly) sums.archived++;
  }
  return sums;
};

/** Bodies against their links. */
const createBodies = (from: { table: LogTable; objects: Objects }, hotOnly: boolean, find: Find) => {
  const sums = { links: 0, events: 0 };
  const absent = new Places();
  const logged = nothingLogged();
  let batch: Link[] = [];

  const openBody = (body: Uint8Array, place: string): Opened | undefined => {
    try {
      return unpack(body);
    } catch (e) {
      find(place, messageOf(e));
      return undefined;
    }
  };
  const check = ({ header }: Link, body: Uint8Array): void => {
    const place = `body of ${placeOf(header)}`;
    if (base64(sha256(body)) !== header.body) {
      find(place, 'it was changed: its hash is another');
      return;
    }
    const opened = openBody(body, place);
    if (!opened) return;
    if (base64(opened.root) !== header.root || opened.leaves.length !== header.count)
      find(place, 'its events are others than the link says');
    sums.events += opened.leaves.length;
    if (header.leg === 'steward') noteLogged(logged, opened.segment.events);
  };
  const flush = async (): Promise<void> => {
    const bodies = await bodiesOf(from, batch);
    for (const link of batch) {
      const body = bodies.get(placeOf(link.header));
      if (body) check(link, body);
      else absent.add(link.header);
    }
    batch = [];
  };

  return {
    add: async (link: Link | undefined): Promise<void> => {
      if (!link) return;
      sums.links++;
      batch.push(link);
      if (batch.length === BODIES) await flush();
    },
    /** With those that have gone: as planned, or not; and what the log says of hours. */
    end: async (signedAt: Time): Promise<Pick<Report, 'links' | 'events' | 'archived' | 'expired' | 'files'>> => {
      await flush();
      const archive = await checkArchive(from, { logged, absent, hotOnly }, find);
      const whole = archive.expired === 0 && (!hotOnly || archive.archived === 0);
      await checkHours(from.table, logged.hours, { whole, signedAt }, find);
      return { ...archive, links: sums.links, events: sums.events + archive.events };
    },
  };
};

/** The tree as it grows, held against the checkpoint that was kept. */
const createGrowth = (kept: Statement | undefined, find: Find) => {
  let reached = kept === undefined || kept.size === 0;
  const growth = {
    size: 0,
    range: [] as Hash[],
    reached: () => reached,
    add: (leaf: Hash): void => {
      grow(growth.range, growth.size++, leaf);
      if (!kept || growth.size !== kept.size) return;
      reached = true;
      if (base64(rootOf(growth.range)) !== kept.root)
        find(
          `checkpoint of ${kept.size} links`,
          'the log begins otherwise than the one that was signed when this checkpoint was kept: it is a fork, or was changed',
        );
    },
  };
  return growth;
};

export const verify = async ({ table, objects, keys, kept, hotOnly = false }: VerifyOptions): Promise<Report> => {
  const findings: Finding[] = [];
  const find: Find = (place, because) => void findings.push({ place, because });
  const wanted = kept && openCheckpoint(kept.note, keys);
  const [gaps, tiles] = [createGaps(find), createTiles(table, find)];
  const [bodies, growth] = [createBodies({ table, objects }, hotOnly, find), createGrowth(wanted, find)];
  const walks = new Map<string, Walk>();
  const walkOf = (shard: string): Walk => {
    const walk = walks.get(shard) ?? new Walk(shard, table, find);
    walks.set(shard, walk);
    return walk;
  };
  const step = async (shard: string) => {
    const slot = walkOf(shard).next;
    const taken = await walkOf(shard).take();
    gaps.note(shard, slot, taken.gone === true);
    await bodies.add(taken.link);
    return taken;
  };

  const checkpoints = createCheckpoints(keys, wanted?.origin, find);
  let last: Numbered | undefined;
  /** What is stored beside a note: signed by nobody, but it follows from the links. @param sound the links are those that it signs */
  const compareBeside = (checkpoint: Numbered, runs: readonly Run[], sound: boolean): void => {
    for (const [shard] of runs) {
      const { next, prev } = walkOf(shard);
      if (prev === undefined || prev === checkpoint.heads[shard]?.[1]) continue;
      const place = sound ? `checkpoint ${checkpoint.number}` : `${shard}/${next - 1}`;
      find(place, `link ${shard}/${next - 1} is not the one with which checkpoint ${checkpoint.number} ends`);
    }
    if (JSON.stringify(openAfter(last, runs)) !== JSON.stringify(checkpoint.open))
      find(`checkpoint ${checkpoint.number}`, 'the order of links that is stored beside its note was changed');
  };
  /** All that this checkpoint signs beyond the one before. */
  const settle = async (checkpoint: Numbered): Promise<void> => {
    const runs = runsBetween(countsOf(last?.heads ?? {}), countsOf(checkpoint.heads));
    for (const [shard, , to] of runs)
      while (walkOf(shard).next < to && growth.size < checkpoint.statement.size) {
        const { hash, link } = await step(shard);
        growth.add(hash);
        await tiles.add(link);
      }
    gaps.end();
    const ours = growth.range;
    growth.range = checkpoints.settle(checkpoint, growth.size, ours);
    compareBeside(checkpoint, runs, growth.range === ours);
    growth.size = checkpoint.statement.size;
    last = checkpoint;
  };
  for await (const item of table.range(PARTITION.checkpoint)) {
    const checkpoint = checkpoints.read(item);
    if (checkpoint) await settle(checkpoint);
  }
  await tiles.end(last);

  let unsigned = 0;
  const heads = countsOf(last?.heads ?? {});
  for (const shard of await checkShards(table, Object.keys(heads), find))
    for (; await walkOf(shard).more(); unsigned++) await step(shard);
  gaps.end();
  const signedAt = last?.statement.time ?? 0;
  const sums = await bodies.end(signedAt);
  if (wanted && !growth.reached()) checkpoints.rolledBack(wanted, growth.size, kept?.heads, heads);
  return { ...sums, unsigned, signedAt, findings };
};

/** Those that there are, and those that have signed links. */
const checkShards = async (table: LogTable, signed: readonly string[], find: Find): Promise<readonly string[]> => {
  const there = new Map<string, number>();
  for await (const { slot, bytes } of table.range(PARTITION.shards)) {
    const name = Buffer.from(bytes).toString('utf8');
    if (name === shardName(slot)) there.set(name, slot);
    else find(`shard ${slot}`, `its name is ${JSON.stringify(name)}: it was changed`);
  }
  for (const shard of signed)
    if (!there.has(shard)) find(`shard ${shard.slice(1)}`, 'it is not in the list of shards: its name was deleted');
  return [...new Set([...there.keys(), ...signed])];
};

/** Items of tiles that are compared in one go, and those that are kept back: a checkpoint may have filled as many that are not there yet. */
const COMPARED = 90;
const PENDING = 17 * (INDEX_PARTS + 2);

/** Tiles are made anew from the links, and compared. */
const createTiles = (table: LogTable, find: Find) => {
  let links: Link[] = [];
  let count = 0;
  let heads: Heads = {};
  let made: Item[] = [];

  const compare = async (items: readonly Item[], latest: number): Promise<void> => {
    const there = new Map((await table.get(items)).map((i) => [`${i.partition} ${i.slot}`, i.bytes]));
    for (const { partition, slot, bytes } of items) {
      const place = `${partition} ${slot}`;
      const stored = there.get(place);
      const tile = partition === PARTITION.index ? Math.floor(slot / INDEX_PARTS) : slot;
      if (!stored && tile < latest) find(place, 'it should be there and is not: it was deleted');
      if (stored && Buffer.compare(stored, bytes) !== 0)
        find(place, 'it is not what follows from the links: it was changed');
    }
  };

  return {
    add: async (link: Link | undefined): Promise<void> => {
      count++;
      if (link) links.push(link);
      if (count % TILE !== 0) return;
      // With a link that is not sound it cannot be made; that link has been named.
      if (links.length === TILE) made.push(...makeTile(links, heads, count / TILE - 1).items);
      heads = headsAfter(heads, runsOf(links));
      links = [];
      if (made.length < COMPARED + PENDING) return;
      await compare(made.slice(0, COMPARED), Number.POSITIVE_INFINITY);
      made = made.slice(COMPARED);
    },
    /** What the last checkpoint itself has filled may not have been folded yet. */
    end: async (last: Numbered | undefined): Promise<void> => {
      const folded = last ? Math.floor((last.statement.size - lengthOf(last.open)) / TILE) : 0;
      for (let n = 0; n < made.length; n += COMPARED) await compare(made.slice(n, n + COMPARED), folded);
    },
  };
};

/** The checkpoints, each against the one before and its own signature. */
const createCheckpoints = (keys: readonly string[], origin: string | undefined, find: Find) => {
  let expected = 0;
  let previous: string | undefined = NO_NOTE;
  let size = 0;

  const read = (item: Item): Numbered | undefined => {
    const place = `checkpoint ${item.slot}`;
    if (item.slot > expected) {
      find(
        item.slot - expected === 1 ? `checkpoint ${expected}` : `checkpoint ${expected}–${item.slot - 1}`,
        'it should be there and is not: it was deleted',
      );
      previous = undefined;
    }
    expected = item.slot + 1;
    try {
      const checkpoint = numbered(item);
      openCheckpoint(checkpoint.note, keys);
      if (previous !== undefined && checkpoint.statement.previous !== previous)
        find(place, 'it does not continue the checkpoint before it');
      if (checkpoint.statement.size < size)
        find(place, `it has ${checkpoint.statement.size} links, the one before had ${size}`);
      if (origin !== undefined && checkpoint.statement.origin !== origin)
        find(place, `it is of another log, ${checkpoint.statement.origin}`);
      previous = hashOfNote(checkpoint.note);
      size = checkpoint.statement.size;
      return checkpoint;
    } catch (e) {
      find(place, messageOf(e));
      previous = undefined;
      return undefined;
    }
  };

  return {
    read,
    /** @returns the range to go on with: the checkpoint's own where ours is wrong, so that one finding does not hide the next */
    settle: ({ number, statement, range }: Numbered, walked: number, ours: Hash[]): Hash[] => {
      const theirs = range.map(fromBase64);
      const sound = base64(rootOf(theirs)) === statement.root;
      if (!sound) find(`checkpoint ${number}`, 'what is stored beside its note was changed');
      if (walked === statement.size && base64(rootOf(ours)) === statement.root) return ours;
      find(`checkpoint ${number}`, 'the links up to it are not those that it signed');
      return sound ? theirs : ours;
    },
    rolledBack: (wanted: Statement, has: number, keptHeads: Checkpoint['heads'] = {}, heads: Heads = {}): void => {
      const missing = Object.entries(keptHeads)
        .filter(([shard, [count]]) => count > (heads[shard] ?? 0))
        .map(([shard, [count]]) => `${shard}/${heads[shard] ?? 0}–${count - 1}`);
      for (const place of missing.length > 0 ? missing : [`links ${has}–${wanted.size - 1}`])
        find(
          place,
          `the table has ${has} signed links, the checkpoint that was kept has ${wanted.size}: its end was cut off, or it was put back to an older state`,
        );
    },
  };
};
