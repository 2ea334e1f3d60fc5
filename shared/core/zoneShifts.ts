/**
 * What ARC told of a zone (traffic shifted away, and back), kept in the zone's record; and the state that follows from it. Only what was told is kept:
 * the state is found each time by going through it again (`zoneStates.ts`), so nobody has to be there when time alone changes it. Pure.
 */
import { type Issue, issueText } from './issues.ts';
import { hours, iso, minutes, span, type Time } from './time.ts';
import type { Zone } from './zoneBounds.ts';
import type { Start } from './zoneSigns.ts';
import { type Sign, type Signs, type ZoneMemory, zoneAfter, zoneOf } from './zoneStates.ts';

/**
 * autoshift: AWS's word that the zone is bad. experiment: the same by a person's wish (FIS). practice: a rehearsal, which says nothing of the zone. health: an open issue
 * of AWS Health, as the surveys saw it. launches: starts failed there and not elsewhere, of any workload. latency: load balancers had slower answers from there.
 */
export type ShiftKind = 'autoshift' | 'experiment' | 'practice' | 'health' | 'launches' | 'latency';

/** One event of ARC's, or what a survey saw. */
export interface ShiftNews {
  readonly zone: string;
  readonly kind: ShiftKind;
  readonly begins: boolean;
  readonly at: Time;
}

/** Plain JSON. */
export type Shift = {
  readonly kind: ShiftKind;
  readonly since: Time;
  /** When it was last said that it goes on. */
  readonly heardAt: Time;
  readonly until?: Time;
};

/** ARC's events are best effort: what nobody says is over counts as over after so long. A practice run lasts half an hour. */
const LONGEST: Readonly<Record<ShiftKind, number>> = {
  autoshift: hours(24),
  experiment: hours(24),
  practice: hours(1),
  // Only who goes on seeing it says so again.
  health: hours(24),
  launches: minutes(30),
  latency: minutes(30),
};
/** A fall counts for a day, and coming back takes five hours at most. */
const REMEMBERED = hours(30);
/** The latest of a zone and a kind: a record stays small whatever is sent. */
const MOST_KEPT = 20;

const endOf = ({ kind, heardAt, until }: Shift): Time => until ?? heardAt + LONGEST[kind];

const begun = (own: readonly Shift[], { kind, at }: ShiftNews): readonly Shift[] => {
  // Told again, or late: what has ended since then does not begin anew.
  if (own.some((s) => s.until !== undefined && at <= s.until)) return own;
  const open = own.find((s) => s.until === undefined && at <= endOf(s));
  return open
    ? own.map((s) => (s === open ? { ...s, since: Math.min(s.since, at), heardAt: Math.max(s.heardAt, at) } : s))
    : [...own, { kind, since: at, heardAt: at }];
};
const ended = (own: readonly Shift[], { kind, at }: ShiftNews): readonly Shift[] => {
  const open = own.find((s) => s.until === undefined && s.since <= at && at <= endOf(s));
  if (open) return own.map((s) => (s === open ? { ...s, until: at } : s));
  // Its beginning may come later: it is then known to be over.
  return own.some((s) => s.since > at || (s.until ?? 0) >= at)
    ? own
    : [...own, { kind, since: at, heardAt: at, until: at }];
};

/** What is kept of a zone after one more event; the same list if it says nothing new. Oldest first. */
export const shiftsAfter = (shifts: readonly Shift[], news: ShiftNews): readonly Shift[] => {
  const own = shifts.filter((s) => s.kind === news.kind);
  const after = news.begins ? begun(own, news) : ended(own, news);
  if (after.length === own.length && after.every((s, n) => s === own[n])) return shifts;
  const kept = after.filter((s) => endOf(s) > news.at - REMEMBERED).sort((a, b) => a.since - b.since);
  return [...shifts.filter((s) => s.kind !== news.kind), ...kept.slice(-MOST_KEPT)].sort((a, b) => a.since - b.since);
};

export interface Known {
  readonly shifts: readonly Shift[];
  /** Undefined: AWS Health has none of it that is open. Null: Health may not be asked, which is no sign. */
  readonly issue: Issue | undefined | null;
  /** How waves of the workload into the zone ended. */
  readonly waves: readonly Start[];
  /** Since when it is decided that workloads leave the zone. */
  readonly evacuated?: Time | undefined;
}

const covers = (s: Shift, at: Time): boolean => s.since <= at && at < endOf(s);

/** At each change of what was told, and each minute of the last day. */
const looksOf = ({ shifts, issue }: Known, now: Time): Time[] => {
  const told = [...shifts.flatMap((s) => [s.since, endOf(s)]), ...(issue ? [issue.since] : [])].filter((t) => t < now);
  const first = Math.max(Math.min(now, ...told), now - REMEMBERED);
  const times = new Set([...told, now]);
  for (let t = first - (first % minutes(1)) + minutes(1); t < now; t += minutes(1)) times.add(t);
  return [...times].sort((a, b) => a - b);
};

/** What a survey sees of a zone now, as news for its record: what begins, goes on or is over. Nothing where it is as it was. @param since undefined: it is not bad */
export const sightNews = (
  { zone, kind, shifts }: Pick<ShiftNews, 'zone' | 'kind'> & { readonly shifts: readonly Shift[] },
  since: Time | undefined,
  now: Time,
): readonly ShiftNews[] => {
  const open = shifts.find((s) => s.kind === kind && s.until === undefined && now < endOf(s));
  if (since === undefined) return open ? [{ zone, kind, begins: false, at: now }] : [];
  if (open && now - open.heardAt < LONGEST[kind] / 3) return [];
  return [{ zone, kind, begins: true, at: open ? now : since }];
};

const ofKind = (shifts: readonly Shift[], ...kinds: readonly ShiftKind[]): readonly Shift[] =>
  shifts.filter((s) => kinds.includes(s.kind));

const signsAt = ({ shifts, issue }: Known, at: Time): Signs => {
  const sign = (...kinds: readonly ShiftKind[]): Sign =>
    ofKind(shifts, ...kinds).some((s) => covers(s, at)) ? 'bad' : 'good';
  const isOpen = issue !== null && issue !== undefined && issue.since <= at;
  const isAsked = issue !== null || ofKind(shifts, 'health').length > 0;
  return {
    autoshift: sign('autoshift', 'experiment'),
    ...(isAsked ? { health: isOpen ? 'bad' : sign('health') } : {}),
    launches: sign('launches'),
    ...(ofKind(shifts, 'latency').length > 0 ? { latency: sign('latency') } : {}),
  };
};

/** All that was told, gone through from the beginning. Nothing of a practice run is in it, so nothing has to be left out. */
const memoryAt = (zone: string, known: Known, now: Time): ZoneMemory | undefined => {
  const bad = { ...known, shifts: known.shifts.filter((s) => s.kind !== 'practice') };
  const waves = known.waves.filter((w) => w.zone === zone);
  let memory: ZoneMemory | undefined;
  for (const at of looksOf(bad, now)) {
    const from = memory?.lookedAt ?? at;
    const wave = waves.findLast((w) => w.at > from && w.at <= at);
    memory = zoneAfter(memory, {
      at,
      practice: false,
      signs: signsAt(bad, at),
      ...(wave ? { wave: wave.failed === undefined ? 'good' : 'bad' } : {}),
    });
  }
  return memory;
};

const unended = (shifts: readonly Shift[], now: Time): string[] =>
  shifts
    .filter((s) => (s.kind === 'autoshift' || s.kind === 'experiment') && s.until === undefined && endOf(s) <= now)
    .map((s) => `no end of the shift of ${iso(s.since)} was told: after ${span(LONGEST[s.kind])} it counts as over`);

const UNDECIDED = 'zone-impaired has not been let evacuate it';

/** The zone as the planner takes it: a bad one is left as it is until somebody decides that it is evacuated. @param zone its id */
export const zoneAt = (zone: string, told: Known, now: Time): Zone => {
  const known = { ...told, shifts: told.shifts.filter((s) => endOf(s) > now - REMEMBERED) };
  const memory = memoryAt(zone, known, now);
  if (!memory) return { id: zone, state: 'OK' };
  const { state, because, since } = memory;
  const practice = known.shifts.find((s) => s.kind === 'practice' && covers(s, now));
  const said = [
    ...(state === 'SUSPECT' && known.issue ? [] : [because]),
    ...(known.issue ? [issueText(known.issue)] : []),
    ...(state === 'OK' ? [] : unended(known.shifts, now)),
    ...(practice ? [`a practice run since ${iso(practice.since)} says nothing of it`] : []),
  ];
  return {
    ...zoneOf(zone, memory),
    because: said.join('; '),
    ...(known.shifts.length > 0 || known.issue ? { since } : {}),
    ...(state !== 'IMPAIRED' ? {} : told.evacuated === undefined ? { left: UNDECIDED } : { evacuated: told.evacuated }),
  };
};
