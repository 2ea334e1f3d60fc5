/** Reading LookupEvents into the log, where no trail writes files: 90 days, management events, two requests a second. Hour by hour, each from its end back. */
import { hours, minutes, seconds, type Time } from '../core/time.ts';
import { createBatch, type Draft, type Reading } from './readFiles.ts';

export interface LookedUp {
  readonly raw: Uint8Array;
  readonly at: Time;
}
/** One page of what happened, newest first; both ends included. */
export type Lookup = (
  range: { readonly from: Time; readonly to: Time },
  token?: string,
) => Promise<{ readonly events: readonly LookedUp[]; readonly next?: string }>;

/** CloudTrail shows an event some minutes after it. */
const DELAY = minutes(15);
/** "The rate of lookup requests is limited to two per second, per account, per Region." */
const PACE = 500;
/** In `within`, where a file's name stands else. */
const UNTIL = 'until';

export const readLookup = async (
  {
    sleep,
    lookup,
    end: until = Number.POSITIVE_INFINITY,
    ...reading
  }: Reading & {
    readonly lookup: Lookup;
    readonly sleep: (ms: number) => Promise<void>;
    /** Not beyond. */
    readonly end?: Time;
  },
  draft: Draft,
): Promise<boolean> => {
  const batch = createBatch(draft, reading, 'lookup');

  /** @returns false: no time; `within` says down to when it is done */
  const hour = async (from: Time, to: Time): Promise<boolean> => {
    let token: string | undefined;
    let until = draft.within?.[0] === UNTIL ? Math.min(to, draft.within[1]) : to;
    const end = until;
    do {
      if (!reading.hasTime()) {
        draft.within = [UNTIL, until];
        return false;
      }
      const { events, next } = await lookup({ from, to: end }, token);
      for (const { raw } of events) batch.add(raw);
      await batch.flush();
      // CloudTrail's times are of seconds: the next run begins with the last of them again.
      until = events.reduce((t, e) => Math.min(t, e.at + seconds(1)), until);
      token = next;
      await sleep(PACE);
    } while (token !== undefined);
    draft.within = undefined;
    return true;
  };

  const end = Math.min(until, reading.now() - DELAY);
  while (draft.readTo < end) {
    const to = Math.min(draft.readTo + hours(1), end);
    if (!(await hour(draft.readTo, to))) return false;
    draft.readTo = to;
  }
  return true;
};
