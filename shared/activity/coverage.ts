/** What can be said of a time, over all places of the log: how many hours are vouched for, and what may be missing, where and why. */
import { hours, type Time } from '../core/time.ts';
import { type Completeness, type Coverage, coverageOf, type HourFacts, hoursOf } from './completeness.ts';
import type { LogTable } from './log.ts';
import { heardIn, lastMark, placesOf, settledHours } from './marks.ts';
import { factsAt } from './settleHours.ts';
import { type Place, placeName } from './trailLayout.ts';

export interface Gap {
  readonly from: Time;
  readonly to: Time;
  readonly because: string;
  /** 'account/region' */
  readonly places: readonly string[];
}

/** Hours are counted in each place: a day of two regions has 48. */
export interface WholeCoverage {
  readonly from: Time;
  readonly to: Time;
  readonly places: readonly string[];
  readonly hours: number;
  readonly states: Readonly<Record<Completeness['state'], number>>;
  /** The newest first, at most so many as were asked for. */
  readonly gaps: readonly Gap[];
  readonly moreGaps: number;
}

interface Range {
  readonly from: Time;
  readonly to: Time;
}

/** Settled hours as they were written down; those after them by the newest mark. */
const factsOf = async (table: LogTable, place: Place, range: Range): Promise<Map<Time, HourFacts>> => {
  const all = hoursOf(range.from, range.to);
  const span = { from: all[0] ?? 0, to: (all.at(-1) ?? 0) + hours(1) };
  const [settled, last, heard] = await Promise.all([
    settledHours(table, place, span),
    lastMark(table, place),
    heardIn(table, place, span),
  ]);
  const facts = new Map([...settled].map(([hour, s]) => [hour, s.facts]));
  if (last)
    for (const hour of all)
      if (hour >= last.mark.settledTo && !facts.has(hour))
        facts.set(hour, factsAt(hour, last.mark, { brought: heard.has(hour) ? 1 : 0, added: 0 }));
  return facts;
};

/** The same gap of several places is one. */
const gathered = (found: readonly (readonly [name: string, Coverage])[]): Gap[] => {
  const gaps = new Map<string, Gap & { readonly places: string[] }>();
  for (const [name, { gaps: own }] of found)
    for (const gap of own) {
      const key = `${gap.from} ${gap.to} ${gap.because}`;
      const known = gaps.get(key);
      if (known) known.places.push(name);
      else gaps.set(key, { ...gap, places: [name] });
    }
  return [...gaps.values()].sort((a, b) => b.to - a.to);
};

/** @param most so many gaps are listed; the others are counted */
export const coverageIn = async (
  table: LogTable,
  range: Range,
  { now, most = 10, only = () => true }: { now: Time; most?: number; only?: (place: Place) => boolean },
): Promise<WholeCoverage> => {
  const places = (await placesOf(table)).filter(only);
  const found = await Promise.all(
    places.map(async (place) => {
      const facts = await factsOf(table, place, range);
      return [placeName(place), coverageOf(facts, range, now)] as const;
    }),
  );
  const states = { pending: 0, provisional: 0, reconciled: 0, 'digest-verified': 0, gap: 0 };
  for (const [, coverage] of found)
    for (const state of Object.keys(states) as (keyof typeof states)[]) states[state] += coverage.states[state];
  const gaps = gathered(found);
  return {
    ...range,
    places: places.map(placeName),
    hours: found.reduce((sum, [, c]) => sum + c.hours, 0),
    states,
    gaps: gaps.slice(0, most),
    moreGaps: Math.max(0, gaps.length - most),
  };
};
