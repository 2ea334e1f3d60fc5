/**
 * Not now: what was put to a person is not put again, and nobody is told, until a time. Steward goes on looking; what heals by itself closes as
 * usual, and what a step began is brought to its end. Nothing new is begun. When the time is over, the question is asked anew. Pure.
 */
import { type No, over, type Ruling } from './answers.ts';
import { type Incident, logged, type Snooze } from './incident.ts';
import { days, iso, type Time } from './time.ts';

/** Longer is no snooze: that is a pause, which `status` shows first. */
export const SNOOZE_LIMIT = days(7);

export interface SnoozeRequest {
  readonly by: string;
  readonly now: Time;
  readonly until: Time;
  readonly why: string;
}

/** The snooze that holds now. */
export const snoozeOf = ({ snooze }: Incident, now: Time): Snooze | undefined =>
  snooze && snooze.until > now ? snooze : undefined;
export const snoozeText = ({ by, until, why }: Snooze): string => `${by} snoozed it until ${iso(until)}: ${why}`;

/** For what waits for a person. Takes back an approval whose step has not begun; again replaces by whom, why and until when. */
export const snooze = (incident: Incident, { by, now, until, why }: SnoozeRequest): Ruling<Incident> => {
  const no = (because: string, remedy: string): No => ({
    no: `cannot snooze incident ${incident.id}: ${because}`,
    remedy,
  });
  if (incident.state === 'closed') return over(incident, 'snooze');
  if (until <= now) return no(`${iso(until)} is over`, 'name a time to come');
  if (until > now + SNOOZE_LIMIT)
    return no(
      'seven days are the longest',
      `to keep it from acting for longer: steward pause ${incident.target} --reason '…'`,
    );
  if (incident.state !== 'asking' && incident.state !== 'escalated' && incident.state !== 'snoozed')
    return no(
      `nothing of it waits for a person; it is ${incident.state}`,
      `to keep it from acting: steward pause ${incident.target} --reason '…'`,
    );
  const { ask, approval, ...rest } = incident;
  const taken = approval && approval.until > now ? `, which takes back the yes of ${approval.by}` : '';
  return {
    ...logged(rest, now, 'answer', `${by} snoozed it until ${iso(until)}${taken}: ${why}`),
    state: 'snoozed',
    because: `${by} snoozed it until ${iso(until)}: ${why}`,
    snooze: { by, at: now, until, why },
    // Who thinks better of it can still say yes or no.
    ...(ask ? { ask: { ...ask, until: Math.max(ask.until, until) } } : {}),
    dueAt: Math.min(incident.dueAt, until),
  };
};

/** A snooze that is over: the question is asked anew, and the escalation told anew. */
export const woken = (incident: Incident, now: Time): Incident => {
  const { snooze: past, ask: _, ...rest } = incident;
  if (!past || past.until > now) return incident;
  return {
    ...logged(rest, now, 'answer', `the snooze of ${past.by} is over`),
    ...(incident.escalatedAt === undefined ? {} : { escalatedAt: now }),
  };
};

/** What would be put to a person, while it is snoozed: the record says it, nobody is told. */
export const dozing = (
  incident: Incident,
  { because, remedy }: { because: string; remedy: string },
  now: Time,
): Incident => ({ ...logged(incident, now, 'snoozed', because), state: 'snoozed', because, remedy });
