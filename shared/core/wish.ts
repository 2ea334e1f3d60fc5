/** What a person commands to be there, written down: on the incident that is open, or a new one. Pure. */
import { type Incident, logged, openedBy, type Wish } from './incident.ts';
import type { Signal } from './signal.ts';
import { days, iso } from './time.ts';

/** For longer than this it is no surge. */
export const SCALE_LIMIT = days(31);

/** A repetition, and another number or time, replace the wish: nothing adds up. */
export const withWish = (incident: Incident, wish: Wish): Incident => {
  const until = wish.until === undefined ? '' : ` until ${iso(wish.until)}`;
  const { snooze: _, ...awake } = incident;
  return {
    ...logged(
      awake,
      wish.at,
      'answer',
      `${wish.by} asked at ${iso(wish.at)} for at least ${wish.to}${until}: ${wish.why}`,
    ),
    askedBy: wish.by,
    wish,
  };
};

/** Its log begins with the wish. */
export const openedByWish = (id: string, remediation: string, signal: Signal, wish: Wish): Incident =>
  withWish({ ...openedBy(signal, id, remediation, wish.at), log: [] }, wish);
