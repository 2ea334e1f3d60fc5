/**
 * The archive's files: newline-delimited JSON in zstd, those of one account, region and day in one folder, as Athena reads them. A line is flat, the event in it a string: no reader
 * has to understand what is in it, and it comes back byte for byte. What is no UTF-8 is in base 64.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { InvalidInput, messageOf } from '../core/errors.ts';
import { iso } from '../core/time.ts';
import { base64, fromBase64 } from './hashing.ts';
import type { Activity } from './record.ts';

/** Of one event: what Athena's columns are (resources/archive-glue.cjs), beside account, region and day, which are in the folder's name. */
export interface Line {
  /** 's0/12/3': shard, link, event. */
  readonly place: string;
  readonly account: string;
  readonly region: string;
  readonly id: string;
  /** ISO 8601, UTC; absent: the event does not say. */
  readonly time?: string;
  /** The fullest name. */
  readonly who?: string;
  readonly what: string;
  readonly resources: readonly string[];
  readonly ip?: string;
  readonly error?: string;
  readonly event?: string;
  /** Where the event is no UTF-8. */
  readonly event64?: string;
}

/** At 9, 12 % smaller than at 3, and read as fast. */
const LEVEL = 9;
/** What a file may unpack to: an archiver ends one at a fraction of it. */
const LARGEST = 512 << 20;

const isText = (raw: Uint8Array): boolean => Buffer.from(Buffer.from(raw).toString('utf8')).equals(Buffer.from(raw));
/** An event in JSON: as text, or in base 64 where it is no UTF-8. */
export const eventField = (raw: Uint8Array): { readonly event: string } | { readonly event64: string } =>
  isText(raw) ? { event: Buffer.from(raw).toString('utf8') } : { event64: base64(raw) };
export const rawOf = ({ event, event64 }: { readonly event?: string; readonly event64?: string }): Buffer =>
  event64 === undefined ? Buffer.from(event ?? '') : fromBase64(event64);

export const lineOf = (
  place: string,
  { account, region, id, time, who, what, resources, ip, error }: Activity,
  raw: Uint8Array,
): Line => ({
  place,
  account,
  region,
  id,
  ...(time > 0 ? { time: iso(time) } : {}),
  ...(who[0] === undefined ? {} : { who: who[0] }),
  what,
  resources,
  ...(ip === undefined ? {} : { ip }),
  ...(error === undefined ? {} : { error }),
  ...eventField(raw),
});

/** Account and region are what the record says of itself: nothing of it may name another folder. */
const safe = (text: string): string => text.replace(/[^\w-]/g, '_').slice(0, 64) || 'unknown';
export const folderOf = ({ account, region, time }: Pick<Activity, 'account' | 'region' | 'time'>): string =>
  `archive/account=${safe(account)}/region=${safe(region)}/day=${time > 0 ? iso(time).slice(0, 10) : 'unknown'}`;

export const packLines = (lines: readonly string[]): Buffer => {
  const bytes = Buffer.from(lines.map((l) => `${l}\n`).join(''));
  const params = { [constants.ZSTD_c_compressionLevel]: LEVEL };
  return zstdCompressSync(bytes, { params, pledgedSrcSize: bytes.length });
};

/** @throws InvalidInput: these are not the bytes of such a file */
export function* linesOf(bytes: Uint8Array): Generator<string> {
  let unpacked: Buffer;
  try {
    unpacked = zstdDecompressSync(bytes, { maxOutputLength: LARGEST });
  } catch (e) {
    throw new InvalidInput(`it cannot be unpacked: ${messageOf(e)}`, { cause: e });
  }
  for (let from = 0; from < unpacked.length; ) {
    const end = unpacked.indexOf(0x0a, from);
    yield unpacked.toString('utf8', from, end < 0 ? unpacked.length : end);
    if (end < 0) return;
    from = end + 1;
  }
}

export interface Placed {
  /** 's0/12' */
  readonly link: string;
  /** Its number there. */
  readonly event: number;
  readonly raw: Buffer;
}

/** @throws InvalidInput */
export const readLine = (line: string): Placed => {
  try {
    const parsed = JSON.parse(line) as Line;
    const [, link, event] = /^(s\d+\/\d+)\/(\d+)$/.exec(parsed.place) ?? [];
    if (link !== undefined && event !== undefined) return { link, event: Number(event), raw: rawOf(parsed) };
  } catch {
    // Said below.
  }
  throw new InvalidInput('a line of it is none of an archive');
};
