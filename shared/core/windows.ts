/** Freeze and maintenance windows: when each began and when it ends. */
import { Cron } from 'croner';
import type { Window } from './policy.ts';
import { minutes, type Time } from './time.ts';

const cronOf = (w: Window): Cron => new Cron(w.cron, { timezone: w.timezone, paused: true });

/** The end of the window that is open now, if one is. @throws for a cron or time zone that cannot be read; the gate then refuses */
export const openUntil = (w: Window, now: Time): Time | undefined => {
  // A start at this very minute counts: look back from just after it.
  const [begun] = cronOf(w).previousRuns(1, new Date(now + 1));
  const end = begun ? begun.getTime() + minutes(w.minutes) : Number.NEGATIVE_INFINITY;
  return end > now ? end : undefined;
};

export const nextOpening = (windows: readonly Window[], now: Time): Time | undefined => {
  const starts = windows.flatMap((w) => cronOf(w).nextRun(new Date(now))?.getTime() ?? []);
  return starts.length > 0 ? Math.min(...starts) : undefined;
};

/** The latest time at or before now at which it ran. */
export const latestRun = ({ cron, timezone }: Pick<Window, 'cron' | 'timezone'>, now: Time): Time | undefined =>
  new Cron(cron, { timezone, paused: true }).previousRuns(1, new Date(now + 1))[0]?.getTime();
