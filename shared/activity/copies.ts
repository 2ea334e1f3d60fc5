/**
 * Checkpoints in a second account, where whoever rules this one cannot reach: each is put there as well, and `verify --checkpoint s3://…` takes the newest from there. A copy that fails
 * stops nothing. That it fails, since when and why, is written down once, where `doctor` finds it.
 */
import { InvalidInput, messageOf, NotFound } from '../core/errors.ts';
import { iso, type Time } from '../core/time.ts';
import type { Numbered } from './checkpoint.ts';
import { type LogTable, newestOf, type Objects, PARTITION, type TrailFiles } from './log.ts';

/** When copying began to work, or to fail. */
export interface CopyState {
  readonly since: Time;
  /** Undefined: it works. */
  readonly because?: string | undefined;
}

export const copyState = async (table: LogTable): Promise<CopyState | undefined> => {
  const item = await newestOf(table, PARTITION.copies);
  if (!item) return undefined;
  const { because } = JSON.parse(Buffer.from(item.bytes).toString('utf8')) as { because?: string };
  return { since: item.slot, because };
};

const FOLDER = 'checkpoints/';
/** By day, so that the newest of years is found in a few listings. */
export const copyKey = ({ number, statement }: Pick<Numbered, 'number' | 'statement'>): string =>
  `${FOLDER}${iso(statement.time).slice(0, 10)}/${String(number).padStart(10, '0')}.json`;
/** What `steward activity checkpoint` writes: the note, and where each shard ends. */
export const keptOf = ({ note, heads }: Pick<Numbered, 'note' | 'heads'>): string =>
  `${JSON.stringify({ note, heads }, null, 2)}\n`;

export interface CopierOptions {
  readonly table: LogTable;
  /** The other account's bucket. */
  readonly copies: Pick<Objects, 'put'>;
  readonly now: () => Time;
}

/** Copies a checkpoint that has not been. @returns why it could not; undefined: it is there */
export const createCopier = ({ table, copies, now }: CopierOptions) => {
  let copied = -1;
  let known: { readonly because?: string | undefined } | undefined;

  const tell = async (because: string | undefined): Promise<void> => {
    known ??= await copyState(table);
    if (known && (known.because === undefined) === (because === undefined)) return;
    const bytes = Buffer.from(JSON.stringify(because === undefined ? {} : { because }));
    await table.put({ partition: PARTITION.copies, slot: now(), bytes });
    known = { because };
  };

  return async (checkpoint: Numbered): Promise<string | undefined> => {
    if (checkpoint.number === copied) return undefined;
    let because: string | undefined;
    try {
      await copies.put(copyKey(checkpoint), Buffer.from(keptOf(checkpoint)));
      copied = checkpoint.number;
    } catch (e) {
      because = messageOf(e);
    }
    await tell(because);
    return because;
  };
};
export type Copier = ReturnType<typeof createCopier>;

/** 's3://bucket', 's3://bucket/folder/' or 's3://bucket/a/key'. @throws InvalidInput */
export const copyAddress = (text: string): { readonly bucket: string; readonly key: string } => {
  const [, bucket, key = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(text) ?? [];
  if (bucket === undefined) throw new InvalidInput(`${text} is no s3://bucket or s3://bucket/key`);
  return { bucket, key };
};

/** The key itself, or the newest copy below it. @throws NotFound */
export const newestCopy = async (
  files: Pick<TrailFiles, 'folders' | 'keys'>,
  { bucket, key }: ReturnType<typeof copyAddress>,
): Promise<string> => {
  if (key !== '' && !key.endsWith('/')) return key;
  const below = key.endsWith(FOLDER) ? key : `${key}${FOLDER}`;
  const days = [...(await files.folders(below))].sort();
  const day = days.at(-1);
  let newest: string | undefined;
  for await (const name of files.keys(day === undefined ? below : `${below}${day}/`)) newest = name;
  if (newest === undefined) throw new NotFound(`there is no checkpoint below s3://${bucket}/${below}`);
  return newest;
};
