/** What a person commands to be there, written down: on the incident that is open, or a new one. Pure. */
import { type Incident, logged, type Wish } from './incident.ts';
import type { Signal } from './signal.ts';
import { days, iso, minutes } from './time.ts';

/** For longer than this it is no surge. */
export const SCALE_LIMIT = days(31);

/** How long after its opening the sweep looks at what no message reached. */
const DUE = minutes(3);

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

export const openedByWish = (id: string, remediation: string, signal: Signal, { at }: Wish): Incident => ({
  kind: 'incident',
  id,
  version: 0,
  target: signal.target.arn,
  remediation,
  state: 'open',
  because: signal.cause,
  signals: {
    count: 1,
    kind: signal.kind,
    cause: signal.cause,
    firstAt: at,
    lastAt: at,
    lastEventId: signal.eventId,
  },
  looks: 0,
  openedAt: at,
  attempts: [],
  log: [],
  dueAt: at + DUE,
});
