/**
 * What can be said of the log's completeness, per account, region and hour (UTC: no hour is skipped or doubled by daylight saving).
 *
 * | state           | what is known                                                                                  |
 * |-----------------|------------------------------------------------------------------------------------------------|
 * | pending         | the hour, or the time in which its files come, is not over; nothing has come                    |
 * | provisional     | EventBridge has brought events; it is best effort, and brings no reads                          |
 * | reconciled      | all files that the trail has are in the log; nothing vouches that these are all                 |
 * | digest-verified | signed digests vouch for the whole hour, and every event of their files is in the log           |
 * | gap             | something is missing, or nothing came of what should: with the reason                           |
 */
import { hours, iso, minutes, type Time } from '../core/time.ts';

export type Completeness =
  | { readonly state: 'pending' | 'provisional' | 'reconciled' | 'digest-verified' }
  | { readonly state: 'gap'; readonly because: string };

export interface HourFacts {
  /** Its beginning. */
  readonly hour: Time;
  /** Events that EventBridge brought. */
  readonly provisional: number;
  /** Events that it did not bring, and the files or LookupEvents did. */
  readonly added?: number;
  /** A trail that records this account and region, as of the hour. */
  readonly trail: { readonly logging: boolean; readonly validated: boolean } | undefined;
  /** When the bucket was last listed to its end, and everything in it was in the log. */
  readonly ingestedAt: Time | undefined;
  /** From `verifyDigests`. */
  readonly covered: readonly (readonly [from: Time, to: Time])[];
  /** Findings of digests or files that touch the hour; files that could not be read. */
  readonly troubles: readonly string[];
}

/** CloudTrail delivers within 5 minutes on average; measured, all of 3,900 files came within 11. */
export const DELIVERY = minutes(15);
/** The promise: in the log or listed as a gap, so long after the hour. A digest comes up to an hour after the files. */
export const PROMISE = minutes(90);

const covers = (covered: HourFacts['covered'], from: Time, to: Time): boolean =>
  covered.some(([a, b]) => a <= from && to <= b);

/** Events of an hour are in files that were delivered from its beginning until a quarter of an hour after its end. */
export const completenessOf = (facts: HourFacts, now: Time): Completeness => {
  const { hour, trail, covered, troubles } = facts;
  const end = hour + hours(1);
  const [trouble] = troubles;
  if (trouble !== undefined) return { state: 'gap', because: trouble };
  if (covers(covered, hour, end + DELIVERY)) return { state: 'digest-verified' };
  const isLate = now >= end + PROMISE;
  if (isLate && trail?.validated)
    return {
      state: 'gap',
      because: `no digest vouches for all of ${iso(hour)} and its delivery, ${PROMISE / minutes(1)} min after its end`,
    };
  if (isLate && trail && !trail.logging) return { state: 'gap', because: 'the trail was not logging' };
  if ((facts.ingestedAt ?? 0) >= end + DELIVERY) return { state: 'reconciled' };
  if (isLate)
    return {
      state: 'gap',
      because: trail
        ? 'the trail’s files have not been read'
        : 'no trail records it, and LookupEvents has not been read',
    };
  return { state: facts.provisional > 0 ? 'provisional' : 'pending' };
};

/** The hours that a time touches. */
export const hoursOf = (from: Time, to: Time): Time[] => {
  const first = Math.floor(from / hours(1));
  const last = Math.max(first, Math.ceil(to / hours(1)) - 1);
  return Array.from({ length: last - first + 1 }, (_, n) => (first + n) * hours(1));
};

export interface Coverage {
  readonly hours: number;
  readonly states: Readonly<Record<Completeness['state'], number>>;
  readonly gaps: readonly { readonly from: Time; readonly to: Time; readonly because: string }[];
}

/** What a search says of the time it was asked for: hours that nobody has facts of are gaps. */
export const coverageOf = (
  known: ReadonlyMap<Time, HourFacts>,
  range: { readonly from: Time; readonly to: Time },
  now: Time,
): Coverage => {
  const states = { pending: 0, provisional: 0, reconciled: 0, 'digest-verified': 0, gap: 0 };
  const gaps: { from: Time; to: Time; because: string }[] = [];
  const all = hoursOf(range.from, range.to);
  for (const hour of all) {
    const facts = known.get(hour);
    const is: Completeness = facts ? completenessOf(facts, now) : unknownHour(hour, now);
    states[is.state]++;
    if (is.state !== 'gap') continue;
    const last = gaps.at(-1);
    if (last && last.to === hour && last.because === is.because) last.to = hour + hours(1);
    else gaps.push({ from: hour, to: hour + hours(1), because: is.because });
  }
  return { hours: all.length, states, gaps };
};
const unknownHour = (hour: Time, now: Time): Completeness =>
  now < hour + hours(1) + PROMISE
    ? { state: 'pending' }
    : { state: 'gap', because: 'nobody looked: Steward was not there' };
