/**
 * The Merkle tree of RFC 6962. A tree of any size is known by the hashes of its complete subtrees, largest first (its range): 20 of them for a
 * million leaves. Proofs ask for the hash of the complete subtree `index` of 2^level leaves, wherever that is kept.
 */
import { nodeHash, sha256 } from './hashing.ts';

export type Hash = Uint8Array;
export type HashAt = (level: number, index: number) => Hash | Promise<Hash>;

export const EMPTY_ROOT: Hash = sha256(new Uint8Array());

/** Adds a leaf to the range of a tree of `size` leaves. */
export const grow = (range: Hash[], size: number, leaf: Hash): void => {
  let hash = leaf;
  for (let n = size; n % 2 === 1; n = Math.floor(n / 2)) hash = nodeHash(range.pop() ?? EMPTY_ROOT, hash);
  range.push(hash);
};

export const rootOf = (range: readonly Hash[]): Hash =>
  range.length === 0 ? EMPTY_ROOT : range.reduceRight((right, left) => nodeHash(left, right));

export const rootOfLeaves = (leaves: Iterable<Hash>): Hash => {
  const range: Hash[] = [];
  let size = 0;
  for (const leaf of leaves) grow(range, size++, leaf);
  return rootOf(range);
};

/** Where all leaves are at hand. */
export const hashesOf =
  (leaves: readonly Hash[]): HashAt =>
  (level, index) =>
    rootOfLeaves(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level));

/** The largest power of two below n, n > 1. */
const split = (n: number): number => {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
};

const subtree = async (from: number, to: number, at: HashAt): Promise<Hash> => {
  const n = to - from;
  const level = Math.log2(n);
  if (Number.isInteger(level)) return at(level, from / n);
  const middle = from + split(n);
  return nodeHash(await subtree(from, middle, at), await subtree(middle, to, at));
};

export const rootAt = async (size: number, at: HashAt): Promise<Hash> =>
  size === 0 ? EMPTY_ROOT : subtree(0, size, at);

const pathIn = async (leaf: number, from: number, to: number, at: HashAt): Promise<Hash[]> => {
  if (to - from === 1) return [];
  const middle = from + split(to - from);
  return leaf < middle
    ? [...(await pathIn(leaf, from, middle, at)), await subtree(middle, to, at)]
    : [...(await pathIn(leaf, middle, to, at)), await subtree(from, middle, at)];
};

/** That a leaf is in the tree. RFC 6962, 2.1.1. */
export const inclusion = (leaf: number, size: number, at: HashAt): Promise<Hash[]> => pathIn(leaf, 0, size, at);

const consistencyIn = async (
  old: number,
  { from, to, whole }: { from: number; to: number; whole: boolean },
  at: HashAt,
): Promise<Hash[]> => {
  if (old === to) return whole ? [] : [await subtree(from, to, at)];
  const middle = from + split(to - from);
  return old <= middle
    ? [...(await consistencyIn(old, { from, to: middle, whole }, at)), await subtree(middle, to, at)]
    : [...(await consistencyIn(old, { from: middle, to, whole: false }, at)), await subtree(from, middle, at)];
};

/** That the tree of `size` begins with the tree of `old` leaves. RFC 6962, 2.1.2. */
export const consistency = (old: number, size: number, at: HashAt): Promise<Hash[]> =>
  old === 0 || old === size ? Promise.resolve([]) : consistencyIn(old, { from: 0, to: size, whole: true }, at);

const equal = (a: Hash, b: Hash): boolean => Buffer.compare(a, b) === 0;
const half = (n: number): number => Math.floor(n / 2);

/** Goes up from node `n` of a level whose last is `last`, telling of each sibling on which side it is; false if the path's length is wrong. */
const climb = (
  from: number,
  end: number,
  path: readonly Hash[],
  meet: (sibling: Hash, side: 'left' | 'right') => void,
): boolean => {
  let [n, last] = [from, end];
  for (const sibling of path) {
    if (last === 0) return false;
    const left = n % 2 === 1 || n === last;
    meet(sibling, left ? 'left' : 'right');
    // Without a sibling a node rises by itself.
    while (left && n % 2 === 0 && n !== 0) [n, last] = [half(n), half(last)];
    [n, last] = [half(n), half(last)];
  }
  return last === 0;
};

/** The root that a path leads to, or undefined if it has the wrong length. RFC 9162, 2.1.3.2. */
export const rootByPath = (
  leaf: { hash: Hash; index: number; size: number },
  path: readonly Hash[],
): Hash | undefined => {
  let { hash } = leaf;
  const whole = climb(leaf.index, leaf.size - 1, path, (sibling, side) => {
    hash = side === 'left' ? nodeHash(sibling, hash) : nodeHash(hash, sibling);
  });
  return whole && leaf.index < leaf.size ? hash : undefined;
};

export interface Sized {
  readonly size: number;
  readonly root: Hash;
}

/** Does the newer tree begin with the older one? RFC 9162, 2.1.4.2. */
export const isConsistent = (old: Sized, now: Sized, proof: readonly Hash[]): boolean => {
  if (old.size > now.size) return false;
  if (old.size === now.size) return proof.length === 0 && equal(old.root, now.root);
  if (old.size === 0) return proof.length === 0;
  const [first, ...rest] = Number.isInteger(Math.log2(old.size)) ? [old.root, ...proof] : proof;
  if (!first) return false;
  let [n, last] = [old.size - 1, now.size - 1];
  while (n % 2 === 1) [n, last] = [half(n), half(last)];
  let [before, after] = [first, first];
  const whole = climb(n, last, rest, (sibling, side) => {
    if (side === 'left') [before, after] = [nodeHash(sibling, before), nodeHash(sibling, after)];
    else after = nodeHash(after, sibling);
  });
  return whole && equal(before, old.root) && equal(after, now.root);
};
