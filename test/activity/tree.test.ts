/** The Merkle tree against its definition, and the notes. */
import { createPublicKey } from 'node:crypto';
import fc from 'fast-check';
import { nodeHash, sha256 } from '../../shared/activity/hashing.ts';
import { openNote, signNote } from '../../shared/activity/note.ts';
import {
  consistency,
  grow,
  type Hash,
  hashesOf,
  inclusion,
  isConsistent,
  rootAt,
  rootByPath,
  rootOf,
  rootOfLeaves,
} from '../../shared/activity/tree.ts';
import { signerWith } from './setting.ts';

const leaves = Array.from({ length: 70 }, (_, n): Hash => sha256(Buffer.from(`leaf ${n}`)));
/** RFC 6962, 2.1, word for word. */
const defined = (list: readonly Hash[]): Hash => {
  const [only] = list;
  if (list.length <= 1) return only ?? sha256(Buffer.alloc(0));
  let k = 1;
  while (k * 2 < list.length) k *= 2;
  return sha256(Buffer.concat([Buffer.from([1]), defined(list.slice(0, k)), defined(list.slice(k))]));
};
const hex = (h: Hash | undefined): string => Buffer.from(h ?? []).toString('hex');

test('the root is that of RFC 6962, however it is come by', async () => {
  for (let n = 0; n <= leaves.length; n++) {
    const list = leaves.slice(0, n);
    expect(hex(rootOfLeaves(list))).toBe(hex(defined(list)));
    expect(hex(await rootAt(n, hashesOf(list)))).toBe(hex(defined(list)));
  }
});

test('hashes of another length are hashed as they are: nothing of the node before is in them', () => {
  const [left, right] = [leaves[0] as Hash, leaves[1] as Hash];
  for (const [a, b] of [
    [left.subarray(0, 31), right],
    [left, right.subarray(0, 5)],
    [left, Buffer.concat([right, right])],
  ] as const) {
    nodeHash(left, right);
    expect(hex(nodeHash(a, b))).toBe(hex(sha256(Buffer.concat([Buffer.from([1]), a, b]))));
  }
});

test('each leaf has a path to the root; another leaf, place or path has none', async () => {
  for (const n of [1, 2, 3, 7, 8, 33, 70])
    for (let i = 0; i < n; i++) {
      const list = leaves.slice(0, n);
      const root = hex(defined(list));
      const path = await inclusion(i, n, hashesOf(list));
      const hash = leaves[i] as Hash;
      expect(hex(rootByPath({ hash, index: i, size: n }, path))).toBe(root);
      expect(hex(rootByPath({ hash: sha256(hash), index: i, size: n }, path))).not.toBe(root);
      if (n > 1) expect(hex(rootByPath({ hash, index: (i + 1) % n, size: n }, path))).not.toBe(root);
      expect(rootByPath({ hash, index: i, size: n }, [...path, hash])).toBeUndefined();
      if (path.length > 0) expect(hex(rootByPath({ hash, index: i, size: n }, path.slice(1)))).not.toBe(root);
    }
});

test('a tree begins with each of its older selves, and with no other', async () => {
  for (let n = 1; n <= 24; n++)
    for (let m = 0; m <= n; m++) {
      const [old, now] = [leaves.slice(0, m), leaves.slice(0, n)];
      const proof = await consistency(m, n, hashesOf(now));
      const sized = (list: readonly Hash[]) => ({ size: list.length, root: defined(list) });
      expect(isConsistent(sized(old), sized(now), proof)).toBe(true);
      const forked = [...old.slice(0, -1), sha256(Buffer.from('other'))];
      if (m > 0) expect(isConsistent(sized(forked), sized(now), proof)).toBe(false);
      expect(isConsistent(sized(old), sized(now), [...proof, sha256(Buffer.from('x'))])).toBe(false);
    }
});

test('a range grows to the same root', () => {
  fc.assert(
    fc.property(fc.nat({ max: 70 }), (n) => {
      const range: Hash[] = [];
      for (let i = 0; i < n; i++) grow(range, i, leaves[i] as Hash);
      expect(hex(rootOf(range))).toBe(hex(defined(leaves.slice(0, n))));
    }),
  );
});

test.each(['ed25519', 'ec'] as const)(
  'a note signed with %s opens with its key only, and as it was only',
  async (type) => {
    const [signer, other] = [signerWith(type), signerWith(type)];
    const note = await signNote('one\ntwo\n', signer);
    expect(openNote(note, [other.publicKey, signer.publicKey])).toBe('one\ntwo\n');
    expect(() => openNote(note, [other.publicKey])).toThrow('none of the keys');
    expect(() => openNote(note.replace('two', 'six'), [signer.publicKey])).toThrow('is wrong');
    expect(() => openNote('one\ntwo\n', [signer.publicKey])).toThrow('no signed note');
  },
);

/** A note and key that others published (an example of the Go module sum database's format), so that ours is no dialect. */
test('a note of others opens', () => {
  const [name, , blob = ''] = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'.split('+');
  const raw = Buffer.from(blob, 'base64').subarray(1);
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
  const pem = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    .export({ type: 'spki', format: 'pem' })
    .toString();
  const signature = 'Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=';
  const note = `This is an example message.\n\n— ${name} ${signature}\n`;
  expect(openNote(note, [pem])).toBe('This is an example message.\n');
});
