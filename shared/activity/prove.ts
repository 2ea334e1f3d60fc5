/**
 * Proofs for strangers: that an event is in the log which a checkpoint signs, and that one checkpoint's log begins with another's. Each is a JSON file; the
 * event's proof is under 2 KB beside the event, for 100 million events. `docs/check-proof.py` checks them with nothing but Python and openssl.
 */
import { InvalidInput, NotFound, StateUnusable } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import { createArchive } from './archive.ts';
import { eventField, rawOf } from './archiveFile.ts';
import { type Numbered, openCheckpoint, type Statement } from './checkpoint.ts';
import { base64, fingerprint, fromBase64, leafHash } from './hashing.ts';
import { type Header, headerText, type Link, overlaps, placeOf } from './link.ts';
import { type LogTable, type Objects, PARTITION } from './log.ts';
import { bodyOf, linksAfter, linksIn, nodesOf } from './read.ts';
import { readActivity } from './record.ts';
import { unpack } from './segment.ts';
import { nameOf } from './terms.ts';
import { hashesIn, lengthOf, type Node, nodeRoot, type Run, TILE, TILE_LEVEL } from './tile.ts';
import {
  consistency,
  type Hash,
  type HashAt,
  hashesOf,
  inclusion,
  isConsistent,
  rootByPath,
  rootOfLeaves,
} from './tree.ts';

export interface Path {
  readonly index: number;
  readonly size: number;
  /** Hashes of 32 bytes, one after the other, in base 64: from the leaf up. */
  readonly path: string;
}
export interface Proof {
  readonly v: 1;
  /** The event, byte for byte; `event64` where it is no UTF-8. */
  readonly event?: string;
  readonly event64?: string;
  /** The event in its segment, whose root is in the link's header. */
  readonly segment: Path;
  /** The link's header, byte for byte. */
  readonly link: string;
  /** The header in the log. */
  readonly log: Path;
  readonly checkpoint: string;
}

const joinedPath = (path: readonly Hash[]): string => base64(Buffer.concat(path));
const splitPath = (path: string): Hash[] => hashesIn(fromBase64(path));

/** The hashes of the log's tree, from its tiles and, beyond the last whole one, from the links. */
const logHashes = async (table: LogTable, { open, statement }: Numbered, known?: readonly Node[]): Promise<HashAt> => {
  const nodes = known ?? (await nodesOf(table));
  const tiles = new Map<number, HashAt>();
  const above = new Map<string, Hash>();
  const leavesOf = async (tile: number): Promise<readonly Hash[]> => {
    const [item] = await table.get([{ partition: PARTITION.tile, slot: tile }]);
    if (item) return hashesIn(item.bytes);
    const leaves: Hash[] = [];
    const start = statement.size - lengthOf(open);
    for await (const link of linksIn(table, open)) leaves.push(link.hash);
    return leaves.slice(tile * TILE - start);
  };
  return async (level, index) => {
    if (level >= TILE_LEVEL) {
      const width = 2 ** (level - TILE_LEVEL);
      const name = `${level} ${index}`;
      const hash = above.get(name) ?? rootOfLeaves(nodes.slice(index * width, (index + 1) * width).map(nodeRoot));
      above.set(name, hash);
      return hash;
    }
    const tile = Math.floor((index * 2 ** level) / TILE);
    const hashes = tiles.get(tile) ?? hashesOf(await leavesOf(tile));
    tiles.set(tile, hashes);
    return hashes(level, index - (tile * TILE) / 2 ** level);
  };
};

const offsetIn = (runs: readonly Run[], { shard, seq }: Header): number | undefined => {
  let passed = 0;
  for (const [name, from, to] of runs) {
    if (name === shard && from <= seq && seq < to) return passed + seq - from;
    passed += to - from;
  }
  return undefined;
};

/** The first tile after which its shard has so many links. */
const tileOf = (nodes: readonly Node[], { shard, seq }: Header): number => {
  let [low, high] = [0, nodes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((nodes[middle]?.heads[shard] ?? 0) > seq) high = middle;
    else low = middle + 1;
  }
  return low;
};

/** Where links stand in the log that a checkpoint signs. What many proofs share is read once. */
export const createProver = async (table: LogTable, checkpoint: Numbered) => {
  const { open, statement } = checkpoint;
  const nodes = await nodesOf(table);
  const hashes = await logHashes(table, checkpoint, nodes);
  const leafOf = (header: Header): number | undefined => {
    const tile = tileOf(nodes, header);
    const node = nodes[tile];
    const offset = offsetIn(node?.runs ?? open, header);
    if (offset === undefined) return undefined;
    return (node ? tile * TILE : statement.size - lengthOf(open)) + offset;
  };
  return {
    /** @returns undefined: the checkpoint does not have it */
    pathOf: async (header: Header): Promise<Path | undefined> => {
      const index = leafOf(header);
      // Tiles may have been made since.
      if (index === undefined || index >= statement.size) return undefined;
      return { index, size: statement.size, path: joinedPath(await inclusion(index, statement.size, hashes)) };
    },
  };
};

export interface Place {
  readonly link: Link;
  readonly event: number;
}

/** The events of that name, in all places: more than one where ids were repeated. @param range of the event's time: what is known of it spares reading */
export const findEvents = async (
  { table, objects }: { table: LogTable; objects: Objects },
  of: { readonly account: string; readonly id: string },
  { from = 0, to = Number.MAX_SAFE_INTEGER }: { from?: Time; to?: Time } = {},
): Promise<Place[]> => {
  const id = fingerprint(nameOf(of));
  const archive = createArchive({ table, objects });
  const nodes = await nodesOf(table);
  const places: Place[] = [];
  const look = async (link: Link): Promise<void> => {
    if (!link.ids.includes(id) || !overlaps(link.header, from, to)) return;
    const body = await bodyOf({ table, objects }, link);
    const events = body ? unpack(body).segment.events : ((await archive.eventsOf(link, { from, to })) ?? []);
    for (const [event, raw] of events.entries())
      if (raw && nameOf(readActivity(raw)) === nameOf(of)) places.push({ link, event });
  };
  for (const node of nodes)
    if (overlaps(node, from, to)) for await (const link of linksIn(table, node.runs)) await look(link);
  for await (const link of linksAfter(table, nodes.at(-1)?.heads)) await look(link);
  return places;
};

/** All events of a link, from the table or the archive, in order. @throws NotFound */
const wholeLink = async (ports: { table: LogTable; objects: Objects }, link: Link): Promise<readonly Uint8Array[]> => {
  const body = await bodyOf(ports, link);
  if (body) return unpack(body).segment.events;
  const events = await createArchive(ports).eventsOf(link);
  if (!events)
    throw new NotFound(
      `the events of ${placeOf(link.header)} are neither in the table nor in the archive: their years are over, or steward activity verify knows why`,
    );
  return events.map((raw) => raw ?? Buffer.alloc(0));
};

/** @throws NotFound: it has expired, or no checkpoint has it yet @throws StateUnusable: it is not what the log says */
export const prove = async (
  { table, objects }: { table: LogTable; objects: Objects },
  { link, event }: Place,
  checkpoint: Numbered,
): Promise<Proof> => {
  const events = await wholeLink({ table, objects }, link);
  const leaves = events.map(leafHash);
  if (base64(rootOfLeaves(leaves)) !== link.header.root)
    throw new StateUnusable(
      `the events of ${placeOf(link.header)} are others than the log says: run steward activity verify`,
    );
  const raw = events[event];
  if (!raw) throw new NotFound(`${placeOf(link.header)} has ${events.length} events, no number ${event}`);
  const log = await (await createProver(table, checkpoint)).pathOf(link.header);
  if (!log) throw new NotFound(`no checkpoint has ${placeOf(link.header)} yet: ask again in a minute`);
  return {
    v: 1,
    ...eventField(raw),
    segment: {
      index: event,
      size: leaves.length,
      path: joinedPath(await inclusion(event, leaves.length, hashesOf(leaves))),
    },
    link: headerText(link),
    log,
    checkpoint: checkpoint.note,
  };
};

/** @returns what the proof shows @throws InvalidInput saying what is wrong */
export const checkProof = (
  proof: Proof,
  keys: readonly string[],
): { readonly raw: Uint8Array; readonly header: Header; readonly statement: Statement } => {
  const raw = rawOf(proof);
  const header = JSON.parse(proof.link) as Header;
  const statement = openCheckpoint(proof.checkpoint, keys);
  const root = (hash: Hash, { index, size, path }: Path): string => {
    const found = rootByPath({ hash, index, size }, splitPath(path));
    return found ? base64(found) : 'nothing';
  };
  if (root(leafHash(raw), proof.segment) !== header.root || proof.segment.size !== header.count)
    throw new InvalidInput('the event is not in the segment of this link');
  if (root(leafHash(Buffer.from(proof.link)), proof.log) !== statement.root || proof.log.size !== statement.size)
    throw new InvalidInput('the link is not in the log that the checkpoint signs');
  return { raw, header, statement };
};

export interface Continuation {
  readonly v: 1;
  readonly old: string;
  readonly new: string;
  readonly path: string;
}

/** That the log of the older checkpoint is the beginning of the newer one's. */
export const proveContinuation = async (table: LogTable, old: Numbered, now: Numbered): Promise<Continuation> => ({
  v: 1,
  old: old.note,
  new: now.note,
  path: joinedPath(await consistency(old.statement.size, now.statement.size, await logHashes(table, now))),
});

/** @throws InvalidInput */
export const checkContinuation = (proof: Continuation, keys: readonly string[]): void => {
  const [old, now] = [openCheckpoint(proof.old, keys), openCheckpoint(proof.new, keys)];
  const sized = (s: Statement) => ({ size: s.size, root: fromBase64(s.root) });
  if (old.origin !== now.origin || !isConsistent(sized(old), sized(now), splitPath(proof.path)))
    throw new InvalidInput(`the log of ${now.size} links does not begin with the log of ${old.size} links`);
};
