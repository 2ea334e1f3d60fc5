/** Checking a place's digests, run by run: each time those that have come since, and the last one before them, which they must continue. */
import { hours, minutes, type Time } from '../core/time.ts';
import { type DigestFile, type DigestFinding, type DigestKey, type DigestObject, verifyDigests } from './digest.ts';
import type { TrailFiles } from './log.ts';
import type { Mark, Stretch, Trouble } from './marks.ts';
import { type Draft, type FileReader, isAmong, note } from './readFiles.ts';
import { digestsIn } from './trailInUse.ts';
import { deliveredAt, type Folder, nameOfKey, type TrailInUse } from './trailLayout.ts';

/** So many in one run. */
const MOST_DIGESTS = 100;
/** A digest is of an hour, and comes some minutes after it. */
const DIGEST = hours(1);
const OVERDUE = DIGEST + minutes(45);

/** The public keys that a region's digests of that time are signed with. */
export type DigestKeys = (region: string, range: { readonly from: Time; readonly to: Time }) => Promise<DigestKey[]>;

export interface Vouching {
  readonly folder: Folder;
  readonly trail: TrailInUse;
  readonly files: TrailFiles;
  readonly reader: FileReader;
  readonly keys: DigestKeys;
  readonly now: Time;
  readonly hasTime: () => boolean;
  /** What was looked at before, and what was wrong. */
  readonly mark: Pick<Mark, 'vouched' | 'troubles'>;
  readonly since: Time;
}

export interface Vouched {
  readonly vouched?: Stretch;
  readonly covered: readonly Stretch[];
  /** Those that are new. */
  readonly findings: readonly DigestFinding[];
  /** There are more digests than one run takes. */
  readonly more: boolean;
}
const NOTHING: Vouched = { covered: [], findings: [], more: false };

const listed = async ({ folder, trail, files, now }: Vouching, from: Time): Promise<string[]> => {
  const keys: string[] = [];
  for await (const key of digestsIn(files, folder, trail, from, now)) {
    keys.push(key);
    if (keys.length > MOST_DIGESTS) break;
  }
  return keys;
};

const isChained = (key: string): boolean => !key.endsWith('_backfill.json.gz');
const endOf = (key: string): Time => deliveredAt(key) ?? 0;

/** What a finding is about: the time that it says, or the hour of its digest. */
const stretchOf = ({ from, to, place }: DigestFinding, now: Time): Stretch => {
  if (from !== undefined && to !== undefined) return [from, to];
  const end = deliveredAt(place) ?? now;
  return [end - DIGEST, end];
};

class OutOfTime extends Error {}

/** The hash of what the log has taken from a file. One that it has not read is read now: a digest names what a listing may have missed. */
const hashing = async ({ reader, trail }: Vouching, from: Time) => {
  const known = await reader.known(from);
  return async ({ bucket, key }: DigestFile): Promise<string | undefined> => {
    if (bucket !== trail.bucket) return undefined;
    const hash = known.get(nameOfKey(key)) ?? (await reader.one(key));
    if (hash === 'later') throw new OutOfTime();
    return hash;
  };
};

/** The time that digests must vouch for by now. */
const wantedOf = (keys: readonly string[], vouching: Vouching, more: boolean) => {
  const chained = keys.filter(isChained);
  const {
    mark: { vouched },
    now,
    since,
  } = vouching;
  const first = chained[0];
  const from = vouched ? since : first === undefined ? undefined : endOf(first) - DIGEST;
  if (from === undefined) return undefined;
  const last = chained.reduce((t, key) => Math.max(t, endOf(key)), from);
  // Told by the hour: what is overdue stays so.
  const overdue = now - OVERDUE;
  return { from, to: more || overdue - last < DIGEST ? last : overdue };
};

/** @param draft its troubles get the findings */
export const vouch = async (vouching: Vouching, draft: Draft): Promise<Vouched> => {
  const { trail, files, folder, now, hasTime, since, mark } = vouching;
  if (!trail.validation) return NOTHING;
  const found = await listed(vouching, since);
  const more = found.length > MOST_DIGESTS;
  const keys = found.slice(0, MOST_DIGESTS);
  const wanted = wantedOf(keys, vouching, more);
  // Nothing but the last one, and none is overdue.
  if (!wanted || (wanted.to <= wanted.from && keys.length <= 1)) return NOTHING;
  if (!hasTime()) return { ...NOTHING, more: true };
  const objects: DigestObject[] = [];
  for (const key of keys) objects.push({ bucket: trail.bucket, key, ...(await files.signed(key)) });
  try {
    const report = await verifyDigests(
      objects,
      keys.length > 0 ? await vouching.keys(folder.region, { from: wanted.from - DIGEST, to: wanted.to }) : [],
      wanted,
      await hashing(vouching, wanted.from - 2 * DIGEST),
    );
    const findings = report.findings.filter((f) => {
      const trouble: Trouble = [...stretchOf(f, now), `${f.place}: ${f.because}`];
      note(draft, trouble);
      return !isAmong(mark.troubles, trouble);
    });
    return { vouched: [mark.vouched?.[0] ?? wanted.from, wanted.to], covered: report.covered, findings, more };
  } catch (e) {
    if (e instanceof OutOfTime) return { ...NOTHING, more: true };
    throw e;
  }
};
