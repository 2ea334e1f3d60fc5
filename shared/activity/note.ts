/**
 * Signed notes, as C2SP describes them (signed-note, tlog-checkpoint): text, a blank line, signatures. Any witness of a transparency log can read them.
 * Keys: Ed25519 (type 1), and ECDSA over P-256 with SHA-256 (type 2), both of which KMS has.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { InvalidInput } from '../core/errors.ts';
import { base64, fromBase64, sha256 } from './hashing.ts';

export interface Signer {
  /** The log's name; in the note before the signature. */
  readonly name: string;
  /** PEM. */
  readonly publicKey: string;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

const keyId = (name: string, key: KeyObject): Buffer => {
  const spki = key.export({ type: 'spki', format: 'der' });
  // Ed25519: name, type and the 32 bytes that end its SPKI. ECDSA: the SPKI alone.
  const of =
    key.asymmetricKeyType === 'ed25519' ? Buffer.concat([Buffer.from(`${name}\n\x01`), spki.subarray(-32)]) : spki;
  return sha256(of).subarray(0, 4);
};

export const signNote = async (text: string, signer: Signer): Promise<string> => {
  const id = keyId(signer.name, createPublicKey(signer.publicKey));
  const signature = await signer.sign(Buffer.from(text));
  return `${text}\n— ${signer.name} ${base64(Buffer.concat([id, signature]))}\n`;
};

const isSigned = (text: string, signature: Buffer, key: KeyObject): boolean =>
  verify(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', Buffer.from(text), key, signature);

interface Signature {
  readonly name: string;
  readonly id: Buffer;
  readonly bytes: Buffer;
}

/** @throws InvalidInput */
const signatureIn = (line: string): Signature | undefined => {
  const [, name, blob] = /^— (\S+) (\S+)$/.exec(line) ?? [];
  if (name === undefined || blob === undefined) return undefined;
  const bytes = fromBase64(blob);
  if (base64(bytes) !== blob) throw new InvalidInput(`the signature of ${name} on the note is no base 64`);
  return { name, id: bytes.subarray(0, 4), bytes: bytes.subarray(4) };
};

/** The text of a note that one of these keys has signed. @param keys PEM @throws InvalidInput */
export const openNote = (note: string, keys: readonly string[]): string => {
  const end = note.lastIndexOf('\n\n');
  if (end < 0) throw new InvalidInput('this is no signed note: it has no blank line before its signatures');
  const text = note.slice(0, end + 1);
  const known = keys.map((pem) => createPublicKey(pem));
  for (const line of note.slice(end + 2).split('\n')) {
    const signature = signatureIn(line);
    const key = signature && known.find((k) => keyId(signature.name, k).equals(signature.id));
    if (!key) continue;
    if (isSigned(text, signature.bytes, key)) return text;
    // A known key whose signature is wrong refuses the whole note.
    throw new InvalidInput(`the signature of ${signature.name} on the note is wrong`);
  }
  throw new InvalidInput('none of the keys has signed this note');
};
