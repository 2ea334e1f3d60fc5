/**
 * A checkpoint puts all links that are new, shard by shard, at the end of one Merkle tree over the whole log, and signs its size and root.
 *
 *     steward/111122223333/prod           the log
 *     1042                                links
 *     <root>
 *     previous <hash of the note before>
 *     time 2026-11-25T02:00:00.000Z
 *
 *     — steward/111122223333/prod <signature>
 *
 * What is stored beside the note continues the tree (its range) and says which links it put where. None of that is trusted: whoever checks computes the root.
 */
import { InvalidInput, StateUnusable } from '../core/errors.ts';
import { iso, type Time } from '../core/time.ts';
import { base64, fromBase64, sha256 } from './hashing.ts';
import { type Link, NO_LINK, placeOf } from './link.ts';
import { type Item, type LogTable, newestOf, type Objects, PARTITION } from './log.ts';
import { openNote, type Signer, signNote } from './note.ts';
import { linksIn, linksOf, nodesOf, shardsOf } from './read.ts';
import { type Heads, headsAfter, lengthOf, makeTile, type Run, runsOf, sliceOf, TILE } from './tile.ts';
import { grow, type Hash, rootOf } from './tree.ts';

/** What the note says. */
export interface Statement {
  readonly origin: string;
  readonly size: number;
  readonly root: string;
  readonly previous: string;
  readonly time: Time;
}

export interface Checkpoint {
  readonly v: 1;
  readonly note: string;
  /** Links of each shard, and the hash of the last. */
  readonly heads: Readonly<Record<string, readonly [count: number, hash: string]>>;
  /** The order of the links since the last whole tile before this checkpoint. */
  readonly open: readonly Run[];
  readonly range: readonly string[];
}

export const textOf = ({ origin, size, root, previous, time }: Statement): string =>
  `${origin}\n${size}\n${root}\nprevious ${previous}\ntime ${iso(time)}\n`;

/** @throws InvalidInput */
export const readStatement = (text: string): Statement => {
  const [, origin, size, root, previous, time] =
    /^(\S+)\n(\d+)\n(\S{44})\nprevious (\S{44})\ntime (\S+)\n$/.exec(text) ?? [];
  if (origin === undefined || root === undefined || previous === undefined || time === undefined)
    throw new InvalidInput('this note is no checkpoint of an activity log');
  return { origin, size: Number(size), root, previous, time: Date.parse(time) };
};

/** What a note says, if one of the keys has signed it. */
export const openCheckpoint = (note: string, keys: readonly string[]): Statement => {
  const statement = readStatement(openNote(note, keys));
  // A log signs under its own name. Others may sign below.
  if (!note.includes(`\n\n— ${statement.origin} `))
    throw new InvalidInput(`${statement.origin} has not signed this checkpoint itself`);
  return statement;
};

export const hashOfNote = (note: string): string => base64(sha256(Buffer.from(note)));
export const NO_NOTE = base64(Buffer.alloc(32));

const bytesOf = ({ note, heads, open, range }: Omit<Checkpoint, 'v'>): Buffer =>
  Buffer.from(JSON.stringify({ v: 1, note, heads, open, range }));

/** @throws InvalidInput: these are not the bytes of a checkpoint, to the last of them */
export const readCheckpoint = (bytes: Uint8Array): Checkpoint => {
  const checkpoint = JSON.parse(Buffer.from(bytes).toString('utf8')) as Checkpoint;
  if (checkpoint.v !== 1) throw new InvalidInput(`a checkpoint of version ${checkpoint.v} needs a newer Steward`);
  if (Buffer.compare(bytesOf(checkpoint), bytes) !== 0)
    throw new InvalidInput('it was changed: it has parts that no checkpoint has');
  return checkpoint;
};
const statementIn = (checkpoint: Checkpoint): Statement =>
  readStatement(checkpoint.note.slice(0, checkpoint.note.lastIndexOf('\n\n') + 1));

export const countsOf = (heads: Checkpoint['heads']): Heads =>
  Object.fromEntries(Object.entries(heads).map(([shard, [count]]) => [shard, count]));

export interface Numbered extends Checkpoint {
  readonly number: number;
  readonly statement: Statement;
}
export const numbered = ({ slot, bytes }: Item): Numbered => {
  const checkpoint = readCheckpoint(bytes);
  return { ...checkpoint, number: slot, statement: statementIn(checkpoint) };
};

export const lastCheckpoint = async (table: LogTable): Promise<Numbered | undefined> => {
  const item = await newestOf(table, PARTITION.checkpoint);
  return item && numbered(item);
};

/** Where the checkpoint is kept outside of the table. */
export const checkpointKey = (number: number): string => `checkpoints/${String(number).padStart(10, '0')}.json`;

/** The links beyond the checkpoint, each shard's in order. @throws StateUnusable if they do not continue each other: that is not signed */
const newLinks = async (table: LogTable, last: Checkpoint | undefined, most: number): Promise<Link[]> => {
  const links: Link[] = [];
  for (const shard of (await shardsOf(table)).sort(byShard)) {
    const [from, hash] = last?.heads[shard] ?? [0, NO_LINK];
    let before = hash;
    for await (const link of linksOf(table, shard, { from })) {
      if (links.length === most) return links;
      if (link.header.prev !== before)
        throw new StateUnusable(
          `link ${placeOf(link.header)} does not continue the one before: nothing is signed until steward activity verify has found out why`,
        );
      links.push(link);
      before = base64(link.hash);
    }
  }
  return links;
};

/** Leaves of one checkpoint are in the order of the shards' numbers. */
export const byShard = (a: string, b: string): number => Number(a.slice(1)) - Number(b.slice(1));

/** The links that are in the newer heads and not in the older, in the tree's order. */
export const runsBetween = (older: Heads, newer: Heads): Run[] =>
  Object.keys(newer)
    .sort(byShard)
    .map((shard): Run => [shard, older[shard] ?? 0, newer[shard] ?? 0])
    .filter(([, from, to]) => from < to);

const headsWith = (before: Checkpoint['heads'], links: readonly Link[]): Checkpoint['heads'] => ({
  ...before,
  ...Object.fromEntries(links.map((l) => [l.header.shard, [l.header.seq + 1, base64(l.hash)] as const])),
});

/** What is open after `runs` more: without the tiles that were whole before. */
export const openAfter = (last: Pick<Checkpoint, 'open'> | undefined, runs: readonly Run[]): Run[] => {
  const old = last ? sliceOf(last.open, closedIn(last) * TILE, lengthOf(last.open)) : [];
  return joined([...old, ...runs]);
};
/** Whole tiles in what the checkpoint left open. */
const closedIn = (checkpoint: Pick<Checkpoint, 'open'>): number => Math.floor(lengthOf(checkpoint.open) / TILE);
const joined = (runs: readonly Run[]): Run[] => {
  const result: Run[] = [];
  for (const run of runs) {
    const last = result.at(-1);
    if (last && last[0] === run[0] && last[2] === run[1]) result[result.length - 1] = [last[0], last[1], run[2]];
    else result.push(run);
  }
  return result;
};

export interface CheckpointerOptions {
  readonly table: LogTable;
  readonly objects: Objects;
  readonly signer: Signer;
  readonly now: () => Time;
}

/** Links of one checkpoint at most: a minute's of 4,000 events/s. The rest is the next one's. */
const MOST = 4_096;

/**
 * The tiles that this checkpoint has filled. Before the next checkpoint is written they must be there: it no longer says which links they hold.
 * They follow from the checkpoint alone, so that two who make them at once write the same.
 */
const fold = async (table: LogTable, checkpoint: Numbered): Promise<void> => {
  const full = Math.floor(checkpoint.statement.size / TILE);
  const first = full - closedIn(checkpoint);
  const nodes = await nodesOf(table, Math.max(0, first - 1));
  const there = Math.max(0, first - 1) + nodes.length;
  if (first > there) throw new StateUnusable(`node ${there} is missing: run steward activity verify`);
  let heads: Heads = first > 0 ? (nodes[0]?.heads ?? {}) : {};
  for (let n = first; n < full; n++) {
    const runs = sliceOf(checkpoint.open, (n - first) * TILE, (n - first + 1) * TILE);
    if (n >= there) {
      const links: Link[] = [];
      for await (const link of linksIn(table, runs)) links.push(link);
      if (links.length !== TILE)
        throw new StateUnusable(`tile ${n} has ${links.length} links: run steward activity verify`);
      for (const item of makeTile(links, heads, n).items) await table.put(item);
    }
    heads = headsAfter(heads, runs);
  }
};

export const createCheckpointer = ({ table, objects, signer, now }: CheckpointerOptions) => {
  const keep = (checkpoint: Numbered): Promise<void> =>
    objects.put(checkpointKey(checkpoint.number), bytesOf(checkpoint));
  const isKept = async ({ number }: Numbered): Promise<boolean> =>
    (await objects.get(checkpointKey(number))) !== undefined;

  const next = async (last: Numbered | undefined, links: readonly Link[]): Promise<Numbered> => {
    const range: Hash[] = (last?.range ?? []).map(fromBase64);
    const size = last?.statement.size ?? 0;
    if (last && base64(rootOf(range)) !== last.statement.root)
      throw new StateUnusable(
        `checkpoint ${last.number} has another root than its note: nothing is signed until steward activity verify has found out why`,
      );
    links.forEach((link, n) => void grow(range, size + n, link.hash));
    const statement: Statement = {
      origin: signer.name,
      size: size + links.length,
      root: base64(rootOf(range)),
      previous: last ? hashOfNote(last.note) : NO_NOTE,
      time: now(),
    };
    return {
      v: 1,
      note: await signNote(textOf(statement), signer),
      heads: headsWith(last?.heads ?? {}, links),
      open: openAfter(last, runsOf(links)),
      range: range.map(base64),
      number: (last?.number ?? -1) + 1,
      statement,
    };
  };

  /** @returns the checkpoint that now is the last; undefined: the log is empty */
  return async (): Promise<Numbered | undefined> => {
    const last = await lastCheckpoint(table);
    if (last) {
      await fold(table, last);
      // Whoever wrote it may have died before this.
      if (!(await isKept(last))) await keep(last);
    }
    const links = await newLinks(table, last, MOST);
    if (links.length === 0) return last;
    const made = await next(last, links);
    const put = await table.put({ partition: PARTITION.checkpoint, slot: made.number, bytes: bytesOf(made) });
    // Another was first: it has signed what there was.
    if (put === 'taken') return lastCheckpoint(table);
    await keep(made);
    await fold(table, made);
    return made;
  };
};
