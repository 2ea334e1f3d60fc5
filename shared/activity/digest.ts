/**
 * CloudTrail's digests, checked without its tools: each hour's names the files of that hour with their hashes, is signed, and names the digest before it. Hours without
 * files have one too, so that nothing missing goes unseen: the hours themselves are counted, not the chain alone (two digests deleted one after the other leave a chain that a walk
 * backwards cannot tell from its beginning).
 * Source: AWS CloudTrail user guide, "Custom implementations of CloudTrail log file integrity validation" and "CloudTrail digest file structure".
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { InvalidInput, messageOf } from '../core/errors.ts';
import { iso, minutes, type Time } from '../core/time.ts';
import { sha256 } from './hashing.ts';

/** A digest as it lies in the bucket. */
export interface DigestObject {
  readonly bucket: string;
  readonly key: string;
  /** Unpacked. */
  readonly bytes: Uint8Array;
  /** `x-amz-meta-signature`, hexadecimal. */
  readonly signature: string;
}

/** From ListPublicKeys. */
export interface DigestKey {
  readonly fingerprint: string;
  /** DER: PKCS #1 as CloudTrail gives it, or SPKI. */
  readonly der: Uint8Array;
}

export interface DigestFile {
  readonly bucket: string;
  readonly key: string;
  /** SHA-256 of what is unpacked, hexadecimal. */
  readonly hash: string;
}

interface Digest {
  readonly object: DigestObject;
  readonly from: Time;
  readonly to: Time;
  readonly fingerprint: string;
  readonly previous: { readonly key: string; readonly hash: string; readonly signature: string } | undefined;
  readonly files: readonly DigestFile[];
  /** Of files that came too late for their hour: beside the chain. */
  readonly backfill: boolean;
}

export interface DigestFinding {
  readonly kind:
    | 'unreadable'
    | 'moved'
    | 'unsigned'
    | 'broken'
    | 'missing'
    | 'restarted'
    | 'file-missing'
    | 'file-changed';
  /** The digest's or the file's key; of missing digests: the time without them. */
  readonly place: string;
  readonly because: string;
  readonly from?: Time;
  readonly to?: Time;
}

export interface DigestReport {
  /** What sound digests vouch for, whose files are all there: merged, in order. */
  readonly covered: readonly (readonly [from: Time, to: Time])[];
  /** Files that are as they were delivered. */
  readonly files: readonly DigestFile[];
  readonly findings: readonly DigestFinding[];
}

/** One begins where the one before ended; CloudTrail's clock may be off by seconds. */
const SLACK = minutes(1);

const textIn = (fields: Record<string, unknown>, name: string): string => {
  const value = fields[name];
  if (typeof value !== 'string') throw new InvalidInput(`it has no ${name}`);
  return value;
};
const timeIn = (fields: Record<string, unknown>, name: string): Time => {
  const time = Date.parse(textIn(fields, name));
  if (Number.isNaN(time)) throw new InvalidInput(`its ${name} is no time`);
  return time;
};

const read = (object: DigestObject): Digest => {
  const fields = JSON.parse(Buffer.from(object.bytes).toString('utf8')) as Record<string, unknown>;
  if (textIn(fields, 'digestS3Bucket') !== object.bucket || textIn(fields, 'digestS3Object') !== object.key)
    throw new Moved(`it was delivered as ${textIn(fields, 'digestS3Object')}`);
  const files = (fields['logFiles'] ?? []) as readonly Record<string, unknown>[];
  const before = fields['previousDigestS3Object'];
  return {
    object,
    from: timeIn(fields, 'digestStartTime'),
    to: timeIn(fields, 'digestEndTime'),
    fingerprint: textIn(fields, 'digestPublicKeyFingerprint'),
    previous:
      typeof before === 'string'
        ? {
            key: before,
            hash: textIn(fields, 'previousDigestHashValue'),
            signature: textIn(fields, 'previousDigestSignature'),
          }
        : undefined,
    files: files.map((f) => ({
      bucket: textIn(f, 's3Bucket'),
      key: textIn(f, 's3Object'),
      hash: textIn(f, 'hashValue'),
    })),
    backfill: object.key.endsWith('_backfill.json.gz'),
  };
};
class Moved extends InvalidInput {}

const keyOf = ({ der }: DigestKey): KeyObject => {
  const key = Buffer.from(der);
  try {
    return createPublicKey({ key, format: 'der', type: 'pkcs1' });
  } catch {
    return createPublicKey({ key, format: 'der', type: 'spki' });
  }
};

const hex = (bytes: Uint8Array): string => sha256(bytes).toString('hex');

/** The time as the digest itself writes it. */
const endIn = (bytes: Uint8Array): string =>
  textIn(JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>, 'digestEndTime');

const isSigned = ({ object, previous }: Digest, key: KeyObject): boolean => {
  const signed = [
    endIn(object.bytes),
    `${object.bucket}/${object.key}`,
    hex(object.bytes),
    previous?.signature ?? 'null',
  ].join('\n');
  return verify('sha256', Buffer.from(signed), key, Buffer.from(object.signature, 'hex'));
};

type Note = (finding: DigestFinding) => void;

const readable = (objects: readonly DigestObject[], note: Note): Digest[] =>
  objects.flatMap((object) => {
    try {
      return [read(object)];
    } catch (e) {
      note({ kind: e instanceof Moved ? 'moved' : 'unreadable', place: object.key, because: messageOf(e) });
      return [];
    }
  });

const signed = (digests: readonly Digest[], keys: readonly DigestKey[], note: Note): Digest[] =>
  digests.filter((digest) => {
    const key = keys.find((k) => k.fingerprint === digest.fingerprint);
    const place = digest.object.key;
    if (!key)
      note({ kind: 'unsigned', place, because: `CloudTrail has no public key ${digest.fingerprint} for its time` });
    else if (isSigned(digest, keyOf(key))) return true;
    else
      note({ kind: 'unsigned', place, because: 'its signature is wrong: it was changed, or is none of CloudTrail’s' });
    return false;
  });

/** What lies between a digest and the one before it. */
const checkStep = (before: Digest | undefined, digest: Digest, since: Time, note: Note): void => {
  const from = before?.to ?? since;
  if (digest.from > from + SLACK) {
    const restarted = digest.previous === undefined;
    note({
      kind: restarted ? 'restarted' : 'missing',
      place: `${iso(from)} – ${iso(digest.from)}`,
      because: restarted
        ? 'the chain of digests begins anew here: logging or validation was off, or everything before was deleted'
        : 'no digest vouches for this time: it was deleted, or never delivered',
      from,
      to: digest.from,
    });
    return;
  }
  if (!before) return;
  const { previous } = digest;
  if (previous === undefined)
    note({ kind: 'restarted', place: digest.object.key, because: 'the chain of digests begins anew here' });
  else if (
    previous.key !== before.object.key ||
    previous.hash !== hex(before.object.bytes) ||
    previous.signature !== before.object.signature
  )
    note({
      kind: 'broken',
      place: digest.object.key,
      because: `it continues another digest than ${before.object.key} is now`,
    });
};

/** @returns whether all of its files are as they were delivered */
const checkFiles = async (digest: Digest, hashOf: HashOf, note: Note, sound: DigestFile[]): Promise<boolean> => {
  let all = true;
  for (const file of digest.files) {
    const hash = await hashOf(file);
    if (hash === file.hash) {
      sound.push(file);
      continue;
    }
    all = false;
    note({
      kind: hash === undefined ? 'file-missing' : 'file-changed',
      place: file.key,
      because:
        hash === undefined
          ? 'its digest names it and it is not there: it was deleted'
          : 'it is not what was delivered: its hash is another',
      from: digest.from,
      to: digest.to,
    });
  }
  return all;
};

/** SHA-256 of the file, unpacked, in hexadecimal; undefined: there is none. */
export type HashOf = (file: DigestFile) => Promise<string | undefined>;

export const merged = (spans: readonly (readonly [Time, Time])[]): [Time, Time][] => {
  const result: [Time, Time][] = [];
  for (const [from, to] of [...spans].sort(([a], [b]) => a - b)) {
    const last = result.at(-1);
    if (last && from <= last[1] + SLACK) last[1] = Math.max(last[1], to);
    else result.push([from, to]);
  }
  return result;
};

/**
 * All digests of one account and region whose end lies in the time asked for.
 * @param wanted time that should be vouched for: digests missing at either end are findings too
 */
export const verifyDigests = async (
  objects: readonly DigestObject[],
  keys: readonly DigestKey[],
  wanted: { readonly from: Time; readonly to: Time },
  hashOf: HashOf,
): Promise<DigestReport> => {
  const findings: DigestFinding[] = [];
  const note: Note = (finding) => void findings.push(finding);
  const files: DigestFile[] = [];
  const covered: [Time, Time][] = [];
  const digests = signed(readable(objects, note), keys, note).sort((a, b) => a.to - b.to);
  let before: Digest | undefined;
  for (const digest of digests) {
    const whole = await checkFiles(digest, hashOf, note, files);
    // A late digest adds files to an hour that another vouches for.
    if (digest.backfill) continue;
    checkStep(before, digest, wanted.from, note);
    if (whole) covered.push([digest.from, digest.to]);
    before = digest;
  }
  const end = before?.to ?? wanted.from;
  if (end + SLACK < wanted.to)
    note({
      kind: 'missing',
      place: `${iso(end)} – ${iso(wanted.to)}`,
      because: 'no digest vouches for this time',
      from: end,
      to: wanted.to,
    });
  return { covered: merged(covered), files, findings };
};
