/** The hashes of RFC 6962: a leaf and a node can never be taken for one another. */
import { createHash, type Hash, hash } from 'node:crypto';

const HASH_BYTES = 32;
const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);

export const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer');
/** @param prefixed the leaf's bytes after a zero byte, as a body holds them: nothing is copied */
export const hashOfPrefixed = sha256;
export const leafHash = (bytes: Uint8Array): Buffer => createHash('sha256').update(LEAF).update(bytes).digest();
/** One for all: a node is hashed for each event, and nothing waits in between. */
const node = Buffer.alloc(1 + 2 * HASH_BYTES, 1);
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => {
  // Somebody's forgery: it must not be filled up with the last one's bytes.
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES) return sha256(Buffer.concat([NODE, left, right]));
  node.set(left, 1);
  node.set(right, 1 + HASH_BYTES);
  return sha256(node);
};

/** Passes on what streams by, and hashes it. */
export async function* hashed(chunks: AsyncIterable<Uint8Array>, into: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    into.update(chunk);
    yield chunk;
  }
}

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
export const fromBase64 = (text: string): Buffer => Buffer.from(text, 'base64');

/** Three bytes of FNV-1a: a hint where to look, never a proof. A hit is always compared with the event itself. */
export const FINGERPRINT_BYTES = 3;
export const fingerprint = (text: string): number => {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return ((value >>> 24) ^ value) & 0xffffff;
};
