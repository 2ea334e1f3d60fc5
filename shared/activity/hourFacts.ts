/**
 * What is known of an hour's completeness is written beside the log, where nothing signs it. So the log says it too: before the facts are written, an entry of Steward's names
 * each with its hash. Whoever alters them, takes them away or puts others there is found out by `verify`.
 */
import { iso, minutes, type Time } from '../core/time.ts';
import type { Writer } from './append.ts';
import { entryOf } from './entries.ts';
import { base64, sha256 } from './hashing.ts';
import { type Item, type LogTable, PARTITION } from './log.ts';
import { hourOfSlot, placesOf } from './marks.ts';
import { type Place, placeName } from './trailLayout.ts';
import type { Find } from './walk.ts';

const NAME = 'SettleHours';
const HOUR = PARTITION.hour('');
/** Half of the hash: nobody finds another fact with the same. */
const HASH_CHARS = 22;
const hashOf = (bytes: Uint8Array): string => base64(sha256(bytes)).slice(0, HASH_CHARS);

type Told = Readonly<Record<string, readonly (readonly [slot: number, hash: string])[]>>;

/** First the log, then the facts. One entry for all of a run: a place settles an hour each hour. */
export const putHours = async (
  { table, writer, now, home }: { table: LogTable; writer: Pick<Writer, 'append'>; now: Time; home: Place },
  items: readonly Item[],
): Promise<void> => {
  if (items.length === 0) return;
  const told: Record<string, [number, string][]> = {};
  for (const { partition, slot, bytes } of items) {
    const place = partition.slice(HOUR.length);
    told[place] = [...(told[place] ?? []), [slot, hashOf(bytes)]];
  }
  const id = sha256(Buffer.from(JSON.stringify(told)))
    .toString('hex')
    .slice(0, 24);
  const said = { name: NAME, id: `hours/${id}`, at: now, about: { hours: told } };
  await writer.append('steward', [entryOf(said, home)]);
  for (const item of items) await table.put(item);
};

/** What the log says of facts, by partition and slot: their hashes, and when the last was told. */
export type ToldHours = Map<string, { readonly hashes: Set<string>; at: Time }>;

/** @param text an event of a link that Steward itself wrote */
export const noteHours = (into: ToldHours, text: string): void => {
  if (!text.includes(NAME)) return;
  const { eventName, eventTime, requestParameters } = JSON.parse(text) as Record<string, unknown>;
  const { hours: told } = (requestParameters ?? {}) as { hours?: Told };
  if (eventName !== NAME || !told) return;
  for (const [place, list] of Object.entries(told))
    for (const [slot, hash] of list) {
      const key = `${HOUR}${place} ${slot}`;
      const known = into.get(key) ?? { hashes: new Set(), at: 0 };
      known.hashes.add(hash);
      known.at = Math.max(known.at, Date.parse(String(eventTime)));
      into.set(key, known);
    }
};

/** A run that ended between the entry and the facts: the next writes them. */
const PENDING = minutes(30);

const nameOf = (partition: string, slot: number): string =>
  `hour ${iso(hourOfSlot(slot)).slice(0, 13)} of ${partition.slice(HOUR.length)}`;

/**
 * Facts against what the log says of them.
 * @param whole every entry of Steward's could be read; else hours before the oldest that could are not judged
 * @param signedAt what was told shortly before may not be written yet
 */
export const checkHours = async (
  table: LogTable,
  told: ToldHours,
  { whole, signedAt }: { readonly whole: boolean; readonly signedAt: Time },
  find: Find,
): Promise<void> => {
  const since = whole ? 0 : Math.min(...[...told.values()].map(({ at }) => at));
  const there = new Set<string>();
  const judge = ({ partition, slot, bytes }: Item): void => {
    const key = `${partition} ${slot}`;
    there.add(key);
    const known = told.get(key);
    if (!known && hourOfSlot(slot) >= since)
      find(nameOf(partition, slot), 'the log knows nothing of it: it was put there');
    if (known && !known.hashes.has(hashOf(bytes)))
      find(nameOf(partition, slot), 'it is not what the log says: it was changed');
  };
  const listed = (await placesOf(table)).map((place) => PARTITION.hour(placeName(place)));
  const named = [...told.keys()].map((key) => key.slice(0, key.lastIndexOf(' ')));
  for (const partition of new Set([...listed, ...named])) for await (const item of table.range(partition)) judge(item);
  for (const [key, { at }] of told) {
    const [partition = '', slot] = key.split(' ');
    if (!there.has(key) && at < signedAt - PENDING)
      find(nameOf(partition, Number(slot)), 'it should be there and is not: it was deleted');
  }
};
