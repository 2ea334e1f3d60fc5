/**
 * A link: what the log keeps of a segment beside its body, in one item of mostly less than 1 KB at (shard, sequence). Writing it, where nothing is yet, is the lock; the
 * hash of the link before makes it the chain; the fingerprints after the header are what search and de-duplication look at.
 *
 *     {"v":1,"shard":"s0","seq":12,"prev":…,"body":…,"root":…,"tail":…,…}\n  id id id …  term term …        (3 bytes each)
 *
 * The link's hash is that of its header, which holds the hash of the rest: a proof needs the header only.
 */
import { InvalidInput } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import { base64, FINGERPRINT_BYTES, fingerprint, fromBase64, leafHash, sha256 } from './hashing.ts';
import type { Activity } from './record.ts';
import { ANY, nameOf } from './terms.ts';
import type { Hash } from './tree.ts';

/** How the events came: EventBridge, a trail's file, LookupEvents, a host, Steward itself. */
export const LEGS = ['eventbridge', 'file', 'lookup', 'host', 'steward'] as const;
export type Leg = (typeof LEGS)[number];

export interface Header {
  readonly v: 1;
  readonly shard: string;
  readonly seq: number;
  /** Base 64, as all hashes here. The link before; of the first: of nothing. */
  readonly prev: string;
  /** Of the stored body: also where it is. */
  readonly body: string;
  /** Of the events. */
  readonly root: string;
  readonly tail: string;
  readonly count: number;
  /** Times of the events that have one. Without: 0 and 0. */
  readonly from: Time;
  readonly to: Time;
  /** Events without a time. */
  readonly timeless?: number;
  /** When it was written; never before the link before. */
  readonly at: Time;
  readonly leg: Leg;
  /** The body is an object, since it is too large for the table. */
  readonly spilled?: true;
}

export interface Link {
  readonly header: Header;
  readonly hash: Hash;
  /** Fingerprints of account and id, in the order of the events. */
  readonly ids: readonly number[];
  /** Sorted, each once. */
  readonly terms: readonly number[];
  readonly bytes: Uint8Array;
}

/**
 * An item of 1,024 bytes is one write unit; keys and attribute names take 40. A hundred events of one account mostly fit into that. Those of more actors and resources may take a second
 * unit, which is cheaper than two segments.
 */
const ROOM = 2 * 1024 - 40;
/** The longest header. */
const HEADER = 372;
/** So many ids and terms has a link room for. A writer ends a segment before there are more. */
export const MOST_NUMBERS = Math.floor((ROOM - HEADER - 1) / FINGERPRINT_BYTES);

export const NO_LINK = base64(Buffer.alloc(32));

const packNumbers = (numbers: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(numbers.length * FINGERPRINT_BYTES);
  numbers.forEach((n, i) => void bytes.writeUIntBE(n, i * FINGERPRINT_BYTES, FINGERPRINT_BYTES));
  return bytes;
};
const unpackNumbers = (bytes: Buffer): number[] =>
  Array.from({ length: bytes.length / FINGERPRINT_BYTES }, (_, i) =>
    bytes.readUIntBE(i * FINGERPRINT_BYTES, FINGERPRINT_BYTES),
  );

const rangeOf = (activities: readonly Activity[]): Pick<Header, 'from' | 'to' | 'timeless'> => {
  const times = activities.map((a) => a.time).filter((t) => t > 0);
  const timeless = activities.length - times.length;
  return {
    from: times.reduce((a, b) => Math.min(a, b), times[0] ?? 0),
    to: times.reduce((a, b) => Math.max(a, b), 0),
    ...(timeless > 0 ? { timeless } : {}),
  };
};

export interface Made {
  readonly shard: string;
  readonly leg: Leg;
  readonly now: Time;
  readonly before: Link | undefined;
  readonly activities: readonly Activity[];
  /** Of all of them; any order, any number of times. */
  readonly terms: Iterable<number>;
  readonly body: Hash;
  readonly root: Hash;
  readonly spilled: boolean;
}

/** The link of a segment after `before`. */
export const makeLink = ({ shard, leg, now, before, activities, terms: given, body, root, spilled }: Made): Link => {
  const ids = activities.map((a) => fingerprint(nameOf(a)));
  const all = [...new Set(given)].sort((a, b) => a - b);
  const written = (terms: readonly number[]): Link => {
    const tail = packNumbers([...ids, ...terms]);
    const header: Header = {
      v: 1,
      shard,
      seq: before ? before.header.seq + 1 : 0,
      prev: before ? base64(before.hash) : NO_LINK,
      body: base64(body),
      root: base64(root),
      tail: base64(sha256(tail)),
      count: activities.length,
      ...rangeOf(activities),
      at: Math.max(now, before?.header.at ?? 0),
      leg,
      ...(spilled ? { spilled } : {}),
    };
    const line = Buffer.from(JSON.stringify(header));
    return { header, hash: leafHash(line), ids, terms, bytes: Buffer.concat([line, Buffer.from('\n'), tail]) };
  };
  const link = written(all);
  // Only a single event can have too many.
  return link.bytes.length <= ROOM ? link : written([ANY]);
};

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
/** The header, byte for byte: what the link's hash is of. */
export const headerText = ({ bytes }: Pick<Link, 'bytes'>): string =>
  bufferOf(bytes).toString('utf8', 0, bytes.indexOf(0x0a));

/** @throws InvalidInput: these are not the bytes of a link */
export const readLink = (bytes: Uint8Array): Link => {
  const buffer = bufferOf(bytes);
  const end = buffer.indexOf(0x0a);
  const line = buffer.subarray(0, Math.max(0, end));
  const tail = buffer.subarray(end + 1);
  const header = headerOf(line);
  if (!Buffer.from(sha256(tail)).equals(fromBase64(header.tail)))
    throw new InvalidInput(`what follows the header of link ${placeOf(header)} is not what the header says`);
  const numbers = unpackNumbers(tail);
  return {
    header,
    hash: leafHash(line),
    ids: numbers.slice(0, header.count),
    terms: numbers.slice(header.count),
    bytes,
  };
};

const headerOf = (line: Buffer): Header => {
  try {
    const header = JSON.parse(line.toString('utf8')) as Header;
    if (
      header.v === 1 &&
      typeof header.shard === 'string' &&
      Number.isInteger(header.seq) &&
      Number.isInteger(header.count)
    )
      return header;
  } catch {
    // Said below.
  }
  throw new InvalidInput('a link has no header that can be read');
};

/** 's0/12' */
export const placeOf = ({ shard, seq }: Pick<Header, 'shard' | 'seq'>): string => `${shard}/${seq}`;

export interface Span {
  readonly from: Time;
  readonly to: Time;
  readonly timeless?: number;
}
/** May it hold an event of that time? */
export const mayHold = (span: Span, time: Time): boolean =>
  time === 0 ? (span.timeless ?? 0) > 0 : span.from <= time && time <= span.to;
/** Events without a time belong to every range: nobody can say that they are not in it. */
export const overlaps = (span: Span, from: Time, to: Time): boolean =>
  (span.timeless ?? 0) > 0 || (span.from <= to && from <= span.to);

export const isIn = (sorted: readonly number[], n: number): boolean => {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < n) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === n;
};
export const mayMatch = (terms: readonly number[], wanted: readonly number[]): boolean =>
  isIn(terms, ANY) || wanted.every((t) => isIn(terms, t));
