/** From the marks to facts of hours: written down once nothing new is to be expected, and again where a second look has changed them. */
import { hourOf, hours, type Time } from '../core/time.ts';
import { type Completeness, completenessOf, DELIVERY, type HourFacts } from './completeness.ts';
import type { DigestFinding } from './digest.ts';
import type { Item, LogTable } from './log.ts';
import { heardIn, hourItems, type Mark, marksSince, type Settled, settledHours } from './marks.ts';
import { type Place, placeName } from './trailLayout.ts';

/** A gap is a fact after so long: until then what is missing may only be late. */
const PATIENCE = hours(6);

export interface Finding extends Place {
  readonly kind: DigestFinding['kind'] | 'gap';
  readonly place: string;
  readonly because: string;
  readonly from: Time;
  readonly to: Time;
}

/** What a mark says of an hour that is not settled. */
export const factsAt = (
  hour: Time,
  { readTo, covered, troubles, trail }: Pick<Mark, 'readTo' | 'covered' | 'troubles' | 'trail'>,
  { brought, added }: { readonly brought: number; readonly added: number },
): HourFacts => ({
  hour,
  provisional: brought,
  added,
  trail: trail && { logging: trail.logging, validated: trail.validated },
  ingestedAt: readTo,
  covered: covered.filter(([from, to]) => from < hour + hours(2) && to > hour),
  // The plainest reason first.
  troubles: [...(trail?.off ? [trail.off] : []), ...troubles]
    .filter(([from, to]) => from < hour + hours(1) && to > hour)
    .map(([, , because]) => because),
});

/** A backlog is no gap: what has not been looked at yet is not settled. */
const isLookedAt = ({ hour, ingestedAt = 0 }: HourFacts, { vouched = [0, Number.POSITIVE_INFINITY] }: Mark): boolean =>
  Math.min(ingestedAt, vouched[1]) >= hour + hours(1) + DELIVERY;

const isFinal = (facts: HourFacts, mark: Mark, now: Time): boolean => {
  const { state } = completenessOf(facts, now);
  if (state === 'gap') return now >= facts.hour + hours(1) + PATIENCE && isLookedAt(facts, mark);
  return state === 'digest-verified' || (state === 'reconciled' && !facts.trail?.validated);
};

const sameState = (a: Completeness, b: Completeness): boolean =>
  a.state === b.state && (a.state !== 'gap' || b.state !== 'gap' || a.because === b.because);

type Counts = Map<Time, { readonly brought: number; readonly added: number }>;
export const NONE = { brought: 0, added: 0 };
export const plus = (a = NONE, b = NONE) => ({ brought: a.brought + b.brought, added: a.added + b.added });
const sumOf = (marks: readonly Pick<Mark, 'counts'>[]): Counts => {
  const sum: Counts = new Map();
  for (const [hour, brought, added] of marks.flatMap((m) => m.counts))
    sum.set(hour, plus(sum.get(hour), { brought, added }));
  return sum;
};

/**
 * The hours of which nothing new is to be expected, and those that a second look has changed.
 * @param since hours before `mark.settledTo` are looked at again from there
 * @returns until when hours are settled, what is to be written of them, and those that are gaps, if they were none before
 */
export const settleHours = async (
  { table, now }: { readonly table: LogTable; readonly now: Time },
  place: Place,
  { mark, since }: { readonly mark: Mark; readonly since: Time },
): Promise<{ readonly settledTo: Time; readonly items: readonly Item[]; readonly gaps: readonly Finding[] }> => {
  const end = hourOf(now);
  if (since >= end) return { settledTo: mark.settledTo, items: [], gaps: [] };
  const range = { from: since, to: end };
  const [settled, heard, marks] = await Promise.all([
    settledHours(table, place, range),
    heardIn(table, place, range),
    marksSince(table, place, since),
  ]);
  const counts = sumOf([...marks.map((m) => m.mark), mark]);
  const factsOf = (hour: Time): HourFacts => {
    const { brought, added } = counts.get(hour) ?? NONE;
    return factsAt(hour, mark, { brought: brought || (heard.has(hour) ? 1 : 0), added });
  };
  const gaps: Finding[] = [];
  const items: Item[] = [];
  const write = (facts: HourFacts, before: Settled | undefined): void => {
    const is = completenessOf(facts, now);
    const was = before && completenessOf(before.facts, now);
    if (was && sameState(is, was)) return;
    items.push(...hourItems(place, facts, before ? before.revision + 1 : 0));
    const { hour: from } = facts;
    if (is.state === 'gap' && was?.state !== 'gap')
      gaps.push({ ...place, kind: 'gap', place: placeName(place), because: is.because, from, to: from + hours(1) });
  };
  let { settledTo } = mark;
  for (let hour = since; hour < end; hour += hours(1)) {
    const facts = factsOf(hour);
    if (hour >= mark.settledTo && !isFinal(facts, mark, now)) break;
    write(facts, settled.get(hour));
    settledTo = Math.max(settledTo, hour + hours(1));
  }
  return { settledTo, items, gaps };
};
