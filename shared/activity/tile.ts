/**
 * 256 links that a checkpoint has put in order, folded into a few items, so that nobody reads links one by one:
 * - tile: their hashes, 8 KB. A proof reads one of them.
 * - index: which terms are in which of them, in 16 parts. Turned from the links' own fingerprints, so that it can be checked without reading an event.
 * - node: the root of the 256, which links they are, and the time they span: what a reader goes through first.
 */
import { InvalidInput } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import { base64, FINGERPRINT_BYTES, fromBase64 } from './hashing.ts';
import type { Link, Span } from './link.ts';
import { type Item, PARTITION } from './log.ts';
import { ANY } from './terms.ts';
import { type Hash, rootOfLeaves } from './tree.ts';

export const TILE = 256;
/** The level of a tile's root in the tree: 2^8 links. */
export const TILE_LEVEL = 8;

/** Links of one shard that follow each other: from, and up to but not including. */
export type Run = readonly [shard: string, from: number, to: number];
/** How many links each shard has. */
export type Heads = Readonly<Record<string, number>>;

export interface Node extends Span {
  readonly v: 1;
  readonly hash: string;
  readonly runs: readonly Run[];
  /** After this tile. */
  readonly heads: Heads;
  /** When the first and the last of its links were written. */
  readonly at: readonly [Time, Time];
}

/** The runs of `order` with neighbours joined. */
export const runsOf = (links: readonly Link[]): Run[] => {
  const runs: [string, number, number][] = [];
  for (const { header } of links) {
    const last = runs.at(-1);
    if (last?.[0] === header.shard && last[2] === header.seq) last[2]++;
    else runs.push([header.shard, header.seq, header.seq + 1]);
  }
  return runs;
};
export const lengthOf = (runs: readonly Run[]): number => runs.reduce((n, [, from, to]) => n + to - from, 0);
/** The runs in which the links from number `from` up to `to` are. */
export const sliceOf = (runs: readonly Run[], from: number, to: number): Run[] => {
  const found: Run[] = [];
  let passed = 0;
  for (const [shard, a, b] of runs) {
    const [start, end] = [Math.max(a, a + from - passed), Math.min(b, a + to - passed)];
    if (start < end) found.push([shard, start, end]);
    passed += b - a;
  }
  return found;
};
export const headsAfter = (heads: Heads, runs: readonly Run[]): Heads => ({
  ...heads,
  ...Object.fromEntries(runs.map(([shard, , to]) => [shard, to])),
});

/** So many links of 256 are cheaper as a bitmap. */
const BITMAP = TILE / 8;

/** An index is in parts by its terms' first bits, so that a search for one term reads one of them. */
export const INDEX_PARTS = 16;
const partOf = (term: number): number => Math.floor(term / (2 ** (8 * FINGERPRINT_BYTES) / INDEX_PARTS));
export const indexSlots = (tile: number, terms: readonly number[]): number[] =>
  [...new Set(terms.map(partOf))].map((part) => tile * INDEX_PARTS + part);

const postingsOf = (links: readonly Link[]): [term: number, links: number[]][] => {
  const postings = new Map<number, number[]>();
  links.forEach(({ terms }, n) => {
    for (const term of terms) {
      const list = postings.get(term);
      if (list) list.push(n);
      else postings.set(term, [n]);
    }
  });
  return [...postings].sort(([a], [b]) => a - b);
};

const posting = ([term, list]: readonly [number, readonly number[]]): Buffer => {
  const dense = list.length >= BITMAP;
  const bytes = Buffer.alloc(FINGERPRINT_BYTES + 1 + (dense ? BITMAP : 0));
  bytes.writeUIntBE(term, 0, FINGERPRINT_BYTES);
  bytes[FINGERPRINT_BYTES] = dense ? 0 : list.length;
  if (!dense) return Buffer.concat([bytes, Buffer.from(list)]);
  for (const n of list) {
    const at = FINGERPRINT_BYTES + 1 + (n >> 3);
    bytes[at] = (bytes[at] as number) | (1 << (n & 7));
  }
  return bytes;
};

/**
 * A version, then each term, how many links have it (0: a bitmap follows), and which. Links that every search looks at are in all parts. Not compressed: it must be the same
 * bytes for every version of every library.
 */
const indexOf = (links: readonly Link[]): Buffer[] => {
  const parts: Buffer[][] = Array.from({ length: INDEX_PARTS }, () => [Buffer.from([1])]);
  for (const entry of postingsOf(links))
    for (const part of entry[0] === ANY ? parts : [parts[partOf(entry[0])]]) part?.push(posting(entry));
  return parts.map((part) => Buffer.concat(part));
};

const listAt = (bytes: Buffer, at: number, count: number): number[] =>
  count > 0
    ? [...bytes.subarray(at, at + count)]
    : Array.from({ length: TILE }, (_, n) => n).filter((n) => ((bytes[at + (n >> 3)] as number) >> (n & 7)) & 1);

/** Numbers of the tile's links that may match all wanted terms. @param parts those that `indexSlots` names; of no term: none */
export const candidatesIn = (parts: readonly Uint8Array[], wanted: readonly number[]): number[] => {
  const lists = new Map<number, ReadonlySet<number>>();
  const interesting = new Set([...wanted, ANY]);
  for (const part of parts) {
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.length);
    for (let at = 1; at < bytes.length; ) {
      const term = bytes.readUIntBE(at, FINGERPRINT_BYTES);
      const count = bytes[at + FINGERPRINT_BYTES] as number;
      if (interesting.has(term)) lists.set(term, new Set(listAt(bytes, at + FINGERPRINT_BYTES + 1, count)));
      at += FINGERPRINT_BYTES + 1 + (count > 0 ? count : BITMAP);
    }
  }
  const all = Array.from({ length: TILE }, (_, n) => n);
  return all.filter((n) => lists.get(ANY)?.has(n) || wanted.every((t) => lists.get(t)?.has(n)));
};

export interface Tile {
  readonly node: Node;
  readonly items: readonly Item[];
}

/** @param before the heads before this tile @param slot its number */
export const makeTile = (links: readonly Link[], before: Heads, slot: number): Tile => {
  const timed = links.map((l) => l.header).filter((h) => h.to > 0);
  const timeless = links.reduce((n, l) => n + (l.header.timeless ?? 0), 0);
  const runs = runsOf(links);
  const times = links.map((l) => l.header.at);
  const node: Node = {
    v: 1,
    hash: base64(rootOfLeaves(links.map((l) => l.hash))),
    from: timed.reduce((t, h) => Math.min(t, h.from), timed[0]?.from ?? 0),
    to: timed.reduce((t, h) => Math.max(t, h.to), 0),
    ...(timeless > 0 ? { timeless } : {}),
    at: [Math.min(...times), Math.max(...times)],
    runs,
    heads: headsAfter(before, runs),
  };
  return {
    node,
    items: [
      { partition: PARTITION.tile, slot, bytes: Buffer.concat(links.map((l) => l.hash)) },
      ...indexOf(links).map((bytes, part) => ({ partition: PARTITION.index, slot: slot * INDEX_PARTS + part, bytes })),
      // Last: whoever finds the node finds the others.
      { partition: PARTITION.node, slot, bytes: Buffer.from(JSON.stringify(node)) },
    ],
  };
};

export const readNode = (bytes: Uint8Array): Node => {
  const node = JSON.parse(Buffer.from(bytes).toString('utf8')) as Node;
  if (node.v !== 1) throw new InvalidInput(`a node of version ${node.v} needs a newer Steward`);
  return node;
};

export const hashesIn = (tile: Uint8Array): Hash[] =>
  Array.from({ length: tile.length / 32 }, (_, n) => tile.subarray(n * 32, (n + 1) * 32));

export const nodeRoot = (node: Node): Hash => fromBase64(node.hash);
