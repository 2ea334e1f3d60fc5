/** Reading a trail's files into the log: those that were delivered since the last mark, each once, as many as a run has time for. */
import { createHash } from 'node:crypto';
import { InvalidInput, NotFound } from '../core/errors.ts';
import { hourOf, hours, minutes, type Time } from '../core/time.ts';
import type { Writer } from './append.ts';
import { createCoalescer } from './coalesce.ts';
import { hashed } from './hashing.ts';
import type { LogTable, TrailFiles } from './log.ts';
import { type Mark, marksSince, type Trouble } from './marks.ts';
import { recordsOf } from './recordsOf.ts';
import { deliveredAt, type Folder, fileListings, nameOfKey } from './trailLayout.ts';

/** Each look goes back so far: files of one minute are in no order, and what was late has an older name. */
export const OVERLAP = hours(1);
/** CloudTrail's clock and ours. */
const CLOCKS = minutes(15);
/** Records that are written in one go: segments are full, whatever the files' size. */
const BATCH = 2_000;
const BATCH_BYTES = 8 << 20;

export interface Reading {
  readonly table: LogTable;
  readonly writer: Writer;
  readonly now: () => Time;
  /** False: the run ends, what is left is for the next. */
  readonly hasTime: () => boolean;
  /** So many reads alike in one file are a flood (coalesce.ts); 0: none is. */
  readonly flood?: number;
}

/** What a run learns of a place: with the mark before it, the next mark. */
export interface Draft {
  readTo: Time;
  readonly files: [name: string, hash: string][];
  within: Mark['within'] | undefined;
  readonly counts: Map<Time, { brought: number; added: number }>;
  troubles: Trouble[];
}
export const draftOf = (mark: Pick<Mark, 'readTo' | 'within' | 'troubles'>): Draft => ({
  readTo: mark.readTo,
  files: [],
  within: mark.within,
  counts: new Map(),
  troubles: [...mark.troubles],
});

export const isAmong = (troubles: readonly Trouble[], [at, , words]: Trouble): boolean =>
  troubles.some(([from, , because]) => from === at && because === words);
export const note = (draft: Draft, trouble: Trouble): void => {
  if (!isAmong(draft.troubles, trouble)) draft.troubles.push(trouble);
};

/** Appends by the batch, and counts by the hour which leg was first. */
export const createBatch = (draft: Draft, { writer }: Pick<Reading, 'writer'>, leg: 'file' | 'lookup') => {
  let records: Uint8Array[] = [];
  let bytes = 0;
  return {
    isFull: (): boolean => records.length >= BATCH || bytes >= BATCH_BYTES,
    add: (record: Uint8Array): void => {
      records.push(record);
      bytes += record.length;
    },
    flush: async (): Promise<void> => {
      if (records.length === 0) return;
      await writer.append(leg, records, ({ time }, isNew) => {
        const hour = hourOf(time);
        const count = draft.counts.get(hour) ?? { brought: 0, added: 0 };
        count[isNew ? 'added' : 'brought']++;
        draft.counts.set(hour, count);
      });
      records = [];
      bytes = 0;
    },
  };
};

/** What is to be written of a file, numbered. A flood is counted over the whole file, also where its first part was written in another run. */
async function* kept(
  records: AsyncIterable<Uint8Array>,
  flood: number,
  file: string,
): AsyncGenerator<readonly [count: number, record: Uint8Array]> {
  const floods = flood > 0 ? createCoalescer(flood, file) : undefined;
  let count = 0;
  for await (const bytes of records) {
    const record = Buffer.from(bytes);
    count++;
    if (floods?.keeps(record) ?? true) yield [count, record];
  }
  for (const record of floods?.end() ?? []) yield [++count, record];
}

/** One place's files in this run. */
export const createFileReader = (
  { files, ...reading }: Reading & { readonly files: TrailFiles },
  folder: Folder,
  draft: Draft,
) => {
  const batch = createBatch(draft, reading, 'file');
  /** Read to their end, and not yet written. */
  let ended: [name: string, hash: string][] = [];

  const flush = async (): Promise<void> => {
    await batch.flush();
    draft.files.push(...ended);
    const names = ended.map(([name]) => name);
    draft.troubles = draft.troubles.filter(([, , because]) => !names.some((name) => because.startsWith(`${name}: `)));
    ended = [];
  };

  /** So many of its records another run, or this one, has written. */
  const writtenOf = (name: string): number => (draft.within?.[0] === name ? draft.within[1] : 0);

  /** @returns false: the time was over in the middle of it */
  const stream = async (key: string): Promise<boolean> => {
    const name = nameOfKey(key);
    const skip = writtenOf(name);
    const hash = createHash('sha256');
    for await (const [count, record] of kept(recordsOf(hashed(files.open(key), hash)), reading.flood ?? 0, name)) {
      if (count <= skip) continue;
      batch.add(record);
      if (!batch.isFull()) continue;
      await flush();
      draft.within = [name, count];
      if (!reading.hasTime()) return false;
    }
    if (writtenOf(name) > 0) draft.within = undefined;
    ended.push([name, hash.digest('hex')]);
    return true;
  };

  /** What cannot be read is tried again while it is in sight, and stops nothing. */
  const read = async (key: string): Promise<boolean> => {
    try {
      return await stream(key);
    } catch (e) {
      // It was listed, or its digest names it, and it is gone: the digest says so.
      if (e instanceof NotFound) return true;
      if (!(e instanceof InvalidInput)) throw e;
      const at = deliveredAt(key) ?? reading.now();
      note(draft, [at - minutes(15), at, `${nameOfKey(key)}: ${e.message}`]);
      return true;
    }
  };

  const known = async (since: Time): Promise<Map<string, string>> => {
    const marks = await marksSince(reading.table, folder, since - CLOCKS);
    return new Map([...marks.flatMap(({ mark }) => mark.files), ...draft.files]);
  };

  return {
    /** Names of the files that were read since, with the hash of what they held then. */
    known,
    /** @returns whether everything that was delivered since is in the log */
    since: async (since: Time): Promise<boolean> => {
      const now = reading.now();
      const names = await known(since);
      for (const { prefix, after } of fileListings(folder, since, now))
        for await (const key of files.keys(prefix, after)) {
          if (names.has(nameOfKey(key))) continue;
          if (!reading.hasTime() || !(await read(key))) {
            await flush();
            // In the order of their delivery: what is before is in the log.
            draft.readTo = Math.max(draft.readTo, deliveredAt(key) ?? 0);
            return false;
          }
        }
      await flush();
      draft.readTo = Math.max(draft.readTo, now);
      return true;
    },
    /** One that a digest names. @returns its hash; undefined: it is not there or cannot be read; 'later': no time */
    one: async (key: string): Promise<string | undefined | 'later'> => {
      if (!reading.hasTime()) return 'later';
      if (!(await read(key))) {
        await flush();
        return 'later';
      }
      await flush();
      return draft.files.findLast(([name]) => name === nameOfKey(key))?.[1];
    },
  };
};
export type FileReader = ReturnType<typeof createFileReader>;
