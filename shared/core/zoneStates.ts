/**
 * What state a zone is in, from signs of several sources: one reducer, fed with each look. One sign makes it suspect; impaired it is by AWS's own word, or by two
 * signs at once. It comes back slowly, and the slower the more often it fell. During a practice run of zonal autoshift nothing is concluded.
 */
import { hours, minutes, span, type Time } from './time.ts';
import type { Zone, ZoneState } from './zoneBounds.ts';

/** autoshift: ARC moved traffic away (observer notification). health: an open AWS Health event of the zone. launches, latency: `zoneSigns.ts`. */
export type Source = 'autoshift' | 'health' | 'launches' | 'latency';
export type Sign = 'good' | 'bad' | 'unknown';
/** A source that is left out is not set up, and counts neither way. */
export type Signs = Readonly<Partial<Record<Source, Sign>>>;

/** Plain JSON. */
export type ZoneMemory = {
  readonly state: ZoneState;
  readonly because: string;
  readonly since: Time;
  readonly lookedAt: Time;
  /** Since when each source has been bad. */
  readonly bad: Readonly<Partial<Record<Source, Time>>>;
  /** Since when all of them have been good. */
  readonly clearSince?: Time;
  /** It has been impaired, and has not been filled again since. */
  readonly drained: boolean;
  /** RECOVERING: how many the stack may start there in one step. */
  readonly ramp: number;
  /** When it became impaired, in the last day. */
  readonly falls: readonly Time[];
};

export interface ZoneLook {
  readonly at: Time;
  readonly signs: Signs;
  readonly practice: boolean;
  /** A wave into this zone has ended since the last look: all that was started is healthy, or not. */
  readonly wave?: 'good' | 'bad';
}

/** Two signs at once count as one cause only if both last. */
export const CONFIRM = minutes(2);
/** Without any sign: from suspect back. */
export const CALM = minutes(5);
/** From impaired to recovering; doubled with each fall of the last day. */
export const CLEAR = minutes(30);
export const MOST_CLEAR = hours(4);
/** Recovering is over after a ramp of so many, or after so long without a sign. */
export const FULL_RAMP = 16;
export const RECOVERED = hours(1);

const SAID: Readonly<Record<Source, string>> = {
  autoshift: 'AWS shifted traffic away from it',
  health: 'AWS Health has an open event of it',
  launches: 'starts fail there and not elsewhere',
  latency: 'it answers slower than the other zones',
};
const sources = (bad: ZoneMemory['bad']): Source[] =>
  (Object.keys(SAID) as Source[]).filter((s) => bad[s] !== undefined);
const saidOf = (bad: ZoneMemory['bad']): string =>
  sources(bad)
    .map((s) => SAID[s])
    .join(', and ');

/** A bad source that cannot be seen is still bad. */
const badOf = (before: ZoneMemory['bad'], { at, signs }: ZoneLook): ZoneMemory['bad'] =>
  Object.fromEntries(
    (Object.keys(SAID) as Source[]).flatMap((s) => {
      if (signs[s] === 'bad') return [[s, before[s] ?? at]];
      return signs[s] === 'unknown' && before[s] !== undefined ? [[s, before[s]]] : [];
    }),
  );

const clearTime = ({ falls }: Pick<ZoneMemory, 'falls'>): number =>
  Math.min(MOST_CLEAR, CLEAR * 2 ** Math.max(0, falls.length - 1));

type Next = Partial<Pick<ZoneMemory, 'state' | 'because' | 'ramp' | 'drained' | 'falls'>>;

const withSigns = (m: ZoneMemory, at: Time): Next => {
  const lasting = sources(m.bad).filter((s) => at - (m.bad[s] ?? at) >= CONFIRM);
  const because = saidOf(m.bad);
  if (m.state === 'IMPAIRED') return { because };
  if (m.bad.autoshift === undefined && lasting.length < 2) return { state: 'SUSPECT', because };
  return { state: 'IMPAIRED', because, drained: true, falls: [...m.falls, at] };
};

const ramped = (m: ZoneMemory, wave: ZoneLook['wave']): number => {
  if (m.state !== 'RECOVERING' || wave === undefined) return m.ramp;
  return wave === 'good' ? m.ramp * 2 : 1;
};

const withoutSigns = (m: ZoneMemory, { at, wave }: ZoneLook): Next => {
  const calm = m.clearSince === undefined ? 0 : at - m.clearSince;
  if (m.state === 'RECOVERING') {
    const ramp = ramped(m, wave);
    const over = ramp >= FULL_RAMP || Math.min(calm, at - m.since) >= RECOVERED;
    return over ? { state: 'OK', because: 'it has recovered', ramp: 0, drained: false } : { ramp };
  }
  if (m.drained) {
    const left = clearTime(m) - calm;
    if (left > 0) return { because: `without a sign for ${span(calm)}; it must be clear for ${span(clearTime(m))}` };
    return { state: 'RECOVERING', because: `without a sign for ${span(calm)}: it is filled in steps`, ramp: 1 };
  }
  return m.state === 'SUSPECT' && calm >= CALM ? { state: 'OK', because: 'no sign of trouble' } : {};
};

/** Unknown is not healthy: where nothing at all can be seen, the zone is left as it is. */
const blind = ({ state }: ZoneMemory): Next =>
  state === 'IMPAIRED' ? {} : { state: 'SUSPECT', because: 'nothing can be seen of it' };

const first = (at: Time): ZoneMemory => ({
  state: 'OK',
  because: 'no sign of trouble',
  since: at,
  lookedAt: Number.NEGATIVE_INFINITY,
  bad: {},
  drained: false,
  ramp: 0,
  falls: [],
});

/** @param memory undefined: the first look. A look that is older than the last one changes nothing. */
export const zoneAfter = (memory: ZoneMemory | undefined, look: ZoneLook): ZoneMemory => {
  const { at, signs, practice } = look;
  const { clearSince, ...before } = memory ?? first(at);
  if (at < before.lookedAt) return memory ?? before;
  // What the run itself causes is no sign, and what was seen before it is stale after it.
  if (practice) return { ...before, lookedAt: at, bad: {} };
  const bad = badOf(before.bad, look);
  const seen = Object.values(signs);
  const clear = seen.length > 0 && seen.every((s) => s === 'good');
  const m: ZoneMemory = {
    ...before,
    lookedAt: at,
    bad,
    falls: before.falls.filter((t) => t > at - hours(24)),
    ...(clear ? { clearSince: clearSince ?? at } : {}),
  };
  const seesNothing = seen.every((s) => s === 'unknown');
  const next = sources(bad).length > 0 ? withSigns(m, at) : seesNothing ? blind(m) : withoutSigns(m, look);
  return { ...m, ...next, since: next.state !== undefined && next.state !== m.state ? at : m.since };
};

/** The zone as the planner takes it. */
export const zoneOf = (id: string, { state, because, ramp }: ZoneMemory): Zone => ({
  id,
  state,
  because,
  ...(state === 'RECOVERING' ? { ramp } : {}),
});
