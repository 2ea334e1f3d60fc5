/**
 * Holds the log against the trail, from outside: each digest of a time, each file that it names, and each event of the file must be in the log. It reads the bucket with the caller's own
 * credentials and trusts nothing that `audit` has written down of it.
 */
import { createHash } from 'node:crypto';
import { InvalidInput, NotFound } from '../core/errors.ts';
import { hours, type Time } from '../core/time.ts';
import { shardOf } from './append.ts';
import { createArchive } from './archive.ts';
import type { TrailSource } from './audit.ts';
import { type DigestFile, type DigestFinding, type DigestObject, verifyDigests } from './digest.ts';
import { hashed } from './hashing.ts';
import { type Entry, type Known, viewsOf } from './known.ts';
import type { LogTable, Objects, TrailFiles } from './log.ts';
import { readActivity } from './record.ts';
import { recordsOf } from './recordsOf.ts';
import { chooseTrail, digestsIn, foldersOf } from './trailInUse.ts';
import { deliveredAt, type Folder, type Place, type TrailInUse } from './trailLayout.ts';

export interface MissingEvent {
  readonly id: string;
  readonly what: string;
  readonly at: Time;
  readonly file: string;
}
export interface TrailReport {
  readonly trail: string;
  readonly from: Time;
  readonly to: Time;
  readonly digests: number;
  readonly files: number;
  readonly events: number;
  /** The first of those that the log lacks. */
  readonly missing: readonly MissingEvent[];
  readonly missingCount: number;
  readonly findings: readonly (DigestFinding & Place)[];
}

export interface VerifyTrailOptions {
  readonly source: TrailSource;
  readonly table: LogTable;
  readonly objects: Objects;
  readonly home: Place;
  readonly declared: readonly string[];
  readonly shards: number;
}

const DIGEST = hours(1);
/** Events that are looked for in one go. */
const BATCH = 500;
const MOST_MISSING = 100;

/** Says of events whether the log has them: the table, or the archive alone. */
const createLooking = ({ table, objects, shards }: Pick<VerifyTrailOptions, 'table' | 'objects' | 'shards'>) => {
  const viewIn = viewsOf({ table, objects, archive: createArchive({ table, objects }) });
  const viewOf = (account: string): Known => viewIn(shardOf(account, shards));
  return async (entries: readonly Entry[]): Promise<readonly Entry[]> => {
    const lacking: Entry[] = [];
    for (const view of new Set(entries.map((e) => viewOf(e.activity.account))))
      await view.refresh([...new Set(entries.map((e) => e.activity.time))]);
    for (const entry of entries)
      if ((await viewOf(entry.activity.account).find(entry)).is !== 'known') lacking.push(entry);
    return lacking;
  };
};

const digestsOf = async (files: TrailFiles, folder: Folder, trail: TrailInUse, { from, to }: Range) => {
  const objects: DigestObject[] = [];
  // One ends up to an hour after the time that it vouches for.
  for await (const key of digestsIn(files, folder, trail, from, to + DIGEST))
    if ((deliveredAt(key) ?? 0) <= to + DIGEST)
      objects.push({ bucket: trail.bucket, key, ...(await files.signed(key)) });
  return objects;
};
interface Range {
  readonly from: Time;
  readonly to: Time;
}

/** @throws NotFound: there is no trail with digests; InvalidInput: its files cannot be read as what they are */
export const verifyTrail = async (
  { source, home, declared, ...log }: VerifyTrailOptions,
  { from, to }: Range,
): Promise<TrailReport> => {
  const trail = chooseTrail(await source.trails(), declared);
  if (!trail?.validation)
    throw new NotFound(
      `${trail ? `trail ${trail.name} writes no digests` : 'there is no trail'}: nothing vouches for its files. aws cloudtrail update-trail --enable-log-file-validation`,
    );
  const files = source.files(trail);
  const lacking = createLooking(log);
  const sums = { digests: 0, files: 0, events: 0, missingCount: 0 };
  const missing: MissingEvent[] = [];
  const findings: (DigestFinding & Place)[] = [];

  const look = async (entries: readonly Entry[], file: string): Promise<void> => {
    sums.events += entries.length;
    for (const { activity } of await lacking(entries)) {
      sums.missingCount++;
      const { id, what, time: at } = activity;
      if (missing.length < MOST_MISSING) missing.push({ id, what, at, file });
    }
  };
  const readThrough = async (key: string): Promise<string> => {
    const hash = createHash('sha256');
    let batch: Entry[] = [];
    for await (const bytes of recordsOf(hashed(files.open(key), hash))) {
      const raw = Buffer.from(bytes);
      batch.push({ raw, activity: readActivity(raw) });
      if (batch.length < BATCH) continue;
      await look(batch, key);
      batch = [];
    }
    await look(batch, key);
    sums.files++;
    return hash.digest('hex');
  };
  const hashOf = async ({ bucket, key }: DigestFile): Promise<string | undefined> => {
    if (bucket !== trail.bucket) return undefined;
    try {
      return await readThrough(key);
    } catch (e) {
      if (e instanceof NotFound) return undefined;
      // It is not what its digest vouches for, whatever it is.
      if (e instanceof InvalidInput) return 'unreadable';
      throw e;
    }
  };

  for (const folder of await foldersOf(trail, files, home)) {
    const objects = await digestsOf(files, folder, trail, { from, to });
    sums.digests += objects.length;
    const keys = objects.length > 0 ? await source.keys(folder.region, { from: from - DIGEST, to: to + DIGEST }) : [];
    const report = await verifyDigests(objects, keys, { from, to }, hashOf);
    const { account, region } = folder;
    findings.push(...report.findings.map((f) => ({ ...f, account, region })));
  }
  return { trail: trail.name, from, to, ...sums, missing, findings };
};
