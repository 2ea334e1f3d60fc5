/**
 * How far a place's events have been read, and what is known of its hours. A mark is an item like all others, written once at its time: the newest counts, the older ones
 * say which files have been read. Nothing needs to be changed or deleted; what is old expires.
 */
import { days, hours, type Time } from '../core/time.ts';
import type { HourFacts } from './completeness.ts';
import { type Item, type LogTable, newestOf, PARTITION } from './log.ts';
import { type Place, placeName, placeNamed } from './trailLayout.ts';

export type Stretch = readonly [from: Time, to: Time];
export type Trouble = readonly [from: Time, to: Time, because: string];

export interface Mark {
  readonly v: 1;
  /** Everything that was delivered before is in the log. Of LookupEvents: that happened before. */
  readonly readTo: Time;
  /** Files read since the mark before: the end of their names, and the SHA-256 of what they hold, in hexadecimal. */
  readonly files: readonly (readonly [name: string, hash: string])[];
  /** Of a file that was too long for one run: so many of its records are in the log. Of LookupEvents: down to when. */
  readonly within?: readonly [name: string, count: number] | undefined;
  /** Since the mark before, by the hour of the event: how many EventBridge had brought, and how many it had not. */
  readonly counts: readonly (readonly [hour: Time, brought: number, added: number])[];
  /** The time of which digests have been looked at. */
  readonly vouched?: Stretch;
  /** Of a time in which the trail did not log: so far LookupEvents was read. */
  readonly stopRead?: Pick<Mark, 'readTo' | 'within'> | undefined;
  /** What they vouch for, as far as hours are not settled. */
  readonly covered: readonly Stretch[];
  readonly troubles: readonly Trouble[];
  /** Hours before are not claimed: whether there was a trail, nobody knows. */
  readonly since: Time;
  /** Facts of all hours before are written down. */
  readonly settledTo: Time;
  /** When everything of the last days was last looked at again. */
  readonly relookedAt: Time;
  /** As of this mark; absent: there is no trail. */
  readonly trail?: {
    readonly logging: boolean;
    readonly validated: boolean;
    /** When it did not log last. */
    readonly off?: Trouble | undefined;
  };
}

/** As long as CloudTrail tries to deliver, and LookupEvents remembers. */
const KEPT = days(90);

const parse = <T>(bytes: Uint8Array): T => JSON.parse(Buffer.from(bytes).toString('utf8')) as T;
const bytesOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

export interface NumberedMark {
  readonly at: Time;
  readonly mark: Mark;
}

export const lastMark = async (table: LogTable, place: Place): Promise<NumberedMark | undefined> => {
  const item = await newestOf(table, PARTITION.mark(placeName(place)));
  return item && { at: item.slot, mark: parse(item.bytes) };
};

/** @returns when it stands; undefined: somebody else was first, and knows better */
export const putMark = async (
  table: LogTable,
  { place, mark, after, now }: { place: Place; mark: Mark; after: Time; now: Time },
): Promise<Time | undefined> => {
  const slot = Math.max(now, after + 1);
  const put = await table.put({ partition: PARTITION.mark(placeName(place)), slot, bytes: bytesOf(mark) }, now + KEPT);
  return put === 'taken' ? undefined : slot;
};

export const marksSince = async (table: LogTable, place: Place, from: Time): Promise<NumberedMark[]> => {
  const marks: NumberedMark[] = [];
  for await (const { slot, bytes } of table.range(PARTITION.mark(placeName(place)), { from }))
    marks.push({ at: slot, mark: parse(bytes) });
  return marks;
};

/** Facts of an hour are written again when more is known. */
const REVISIONS = 16;
const hourSlot = (hour: Time): number => (hour / hours(1)) * REVISIONS;
export const hourOfSlot = (slot: number): Time => Math.floor(slot / REVISIONS) * hours(1);

export interface Settled {
  readonly facts: HourFacts;
  readonly revision: number;
}

/** The newest facts of each hour from `from` up to `to`. */
export const settledHours = async (
  table: LogTable,
  place: Place,
  { from, to }: { from: Time; to: Time },
): Promise<Map<Time, Settled>> => {
  const found = new Map<Time, Settled>();
  const range = { from: hourSlot(from), to: hourSlot(to) };
  for await (const { slot, bytes } of table.range(PARTITION.hour(placeName(place)), range)) {
    const facts = parse<HourFacts>(bytes);
    found.set(facts.hour, { facts, revision: slot - hourSlot(facts.hour) });
  }
  return found;
};

/** As they are written down. None: after the last revision they stay as they are. */
export const hourItems = (place: Place, facts: HourFacts, revision = 0): Item[] =>
  revision >= REVISIONS
    ? []
    : [
        {
          partition: PARTITION.hour(placeName(place)),
          slot: hourSlot(facts.hour) + revision,
          bytes: bytesOf(facts),
        },
      ];

export const heardIn = async (
  table: LogTable,
  place: Place,
  { from, to }: { from: Time; to: Time },
): Promise<Set<Time>> => {
  const heard = new Set<Time>();
  const range = { from: from / hours(1), to: to / hours(1) };
  for await (const { slot } of table.range(PARTITION.heard(placeName(place)), range)) heard.add(slot * hours(1));
  return heard;
};

/** Writes down in which hours EventBridge brought something: once for each place and hour, and once more for each process. */
export const createHearing = (table: LogTable) => {
  const known = new Set<string>();
  return async (activities: Iterable<Place & { readonly time: Time }>): Promise<void> => {
    for (const { account, region, time } of activities) {
      const hour = Math.floor(time / hours(1));
      const partition = PARTITION.heard(placeName({ account, region }));
      const name = `${partition} ${hour}`;
      if (known.has(name) || time === 0) continue;
      await table.put({ partition, slot: hour, bytes: Buffer.from('1') }, time + KEPT);
      if (known.size > 10_000) known.clear();
      known.add(name);
    }
  };
};

export const placesOf = async (table: LogTable): Promise<Place[]> => {
  const places: Place[] = [];
  for await (const { bytes } of table.range(PARTITION.places)) places.push(placeNamed(Buffer.from(bytes).toString()));
  return places;
};

/** Adds those that are not known yet. */
export const addPlaces = async (table: LogTable, places: readonly Place[]): Promise<void> => {
  const known = (await placesOf(table)).map(placeName);
  let slot = known.length;
  for (const name of places.map(placeName)) {
    if (known.includes(name)) continue;
    // Whoever was first may have added another one: the next place is tried.
    while ((await table.put({ partition: PARTITION.places, slot, bytes: Buffer.from(name) })) === 'taken') slot++;
    slot++;
  }
};
