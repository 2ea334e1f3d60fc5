/**
 * A storm: so many fall ill at once that they have one cause. It is of a group (most of it, or most of what it has in each of two zones), or of a
 * zone (a good part of what runs there, whatever the groups). While one is open nothing new is done to its members, one person is told once, and
 * each member is looked at so rarely that the looks of all together cost the same, however many they are.
 */
import { StewardError } from './errors.ts';
import type { Policy } from './policy.ts';
import type { Group } from './remediation.ts';
import { type Breaker, type GroupRecord, type Ill, NO_ZONE, type Store } from './store.ts';
import { minutes, type Time } from './time.ts';
import { type ShiftNews, shiftsAfter } from './zoneShifts.ts';

/** A zone's record is a group's. */
export const zoneGroup = (zone: string): string => `zone/${zone}`;

/** The zone of such a record; undefined: it is of another group. */
export const zoneOfGroup = (id: string): string | undefined => (id.startsWith('zone/') ? id.slice(5) : undefined);

/** So many of a zone, at least: fewer are a matter of their groups. */
const ZONE_AT_LEAST = 10;
/** More targets of a zone than these are not counted: that is a storm, whatever the zone's size. */
const MOST_COUNTED = 2_000;

/** So many ill in a zone of that size are a storm. */
export const zoneLimit = (size: number | undefined, percent: number): number =>
  size === undefined
    ? MOST_COUNTED
    : Math.min(MOST_COUNTED, Math.max(ZONE_AT_LEAST, Math.floor((size * percent) / 100) + 1));

/** Where a target stands, of whom and of what the storms are asked. */
export interface Place {
  readonly target: string;
  readonly openedAt: Time;
  readonly group: Pick<Group, 'id' | 'zones'> | undefined;
  readonly zone: string | undefined;
}
export interface Weather {
  readonly group: GroupRecord;
  /** Undefined: it is in no zone. */
  readonly zone: GroupRecord | undefined;
  /** Members of the group in trouble, the target included, by zone. Undefined: could not be counted. */
  readonly troubled: Readonly<Record<string, number>> | undefined;
  /** Targets in trouble in the zone, the target included. Undefined: as above. */
  readonly illInZone: number | undefined;
}

const emptyGroup = (id: string): GroupRecord => ({ kind: 'group', id, version: 0, repairs: {} });

type Records = Pick<Weather, 'group' | 'zone'>;
export const readPlaces = async (store: Store, group: string, zone: string | undefined): Promise<Records> => {
  const ids = zone === undefined ? [group] : [group, zoneGroup(zone)];
  const found = await store.read(...ids.map((id) => ({ kind: 'group' as const, id })));
  const [first = emptyGroup(group), second] = found;
  return { group: first, zone: zone === undefined ? undefined : (second ?? emptyGroup(zoneGroup(zone))) };
};

/** @throws Conflict: somebody else has just written the zone's record */
export const noteShift = async (store: Store, news: ShiftNews): Promise<void> => {
  const { group } = await readPlaces(store, zoneGroup(news.zone), undefined);
  const shifts = shiftsAfter(group.shifts ?? [], news);
  if (shifts !== group.shifts && shifts.length > 0) await store.write({ put: { ...group, shifts } });
};

/** The storm that is open in the zone or the group; the zone's first, for it is the wider cause. */
export const openStorm = ({ group, zone }: Records, now: Time, policy: Pick<Policy, 'breaker'>): Breaker | undefined =>
  [zone?.breaker, group.breaker].find((b) => b && now < b.lastSeenAt + minutes(policy.breaker.clearMinutes));

/**
 * Who fell ill lately, or at about the time at which the target did and still is: a step that waited for something to mend itself is not late for
 * the storm that it belongs to, and a storm is over for those that it left behind when most of the others are well again.
 */
export const weatherAt = async (
  store: Store,
  place: Place,
  { now, policy }: { readonly now: Time; readonly policy: Pick<Policy, 'breaker'> },
): Promise<Weather> => {
  const own = place.zone ?? NO_ZONE;
  const reading = readPlaces(store, place.group?.id ?? 'unknown', place.zone);
  try {
    const [records, ...lists] = await Promise.all([
      reading,
      ...[...new Set([own, ...Object.keys(place.group?.zones ?? {})])].map(async (zone) => {
        const limit = zone === own ? zoneLimit((await reading).zone?.size, policy.breaker.zonePercent) : MOST_COUNTED;
        return { zone, ...(await illIn(store, zone, limit, place, { now, policy })) };
      }),
    ]);
    const inGroup = (of: 'lately' | 'before') =>
      Object.fromEntries(lists.map((l) => [l.zone, l[of].filter((i) => i.group === place.group?.id).length]));
    const withSelf = (others: Readonly<Record<string, number>>) =>
      place.group ? { ...others, [own]: (others[own] ?? 0) + 1 } : {};
    const here = lists.find((l) => l.zone === own);
    return {
      ...records,
      troubled: more(withSelf(inGroup('lately')), withSelf(inGroup('before'))),
      illInZone: 1 + Math.max(here?.lately.length ?? 0, here?.before.length ?? 0),
    };
  } catch (e) {
    if (!(e instanceof StewardError)) throw e;
    return { ...(await reading), troubled: undefined, illInZone: undefined };
  }
};

const illIn = async (
  store: Store,
  zone: string,
  limit: number,
  { target, openedAt }: Place,
  { now, policy }: { readonly now: Time; readonly policy: Pick<Policy, 'breaker'> },
): Promise<{ lately: readonly Ill[]; before: readonly Ill[] }> => {
  const within = minutes(policy.breaker.withinMinutes);
  const others = (list: readonly Ill[]) => list.filter((i) => i.target !== target);
  const [lately, before] = await Promise.all([
    store.ill(zone, now - within, limit),
    openedAt >= now - within ? [] : store.ill(zone, openedAt - within, limit, openedAt + within),
  ]);
  return { lately: others(lately), before: others(before).filter((i) => i.open) };
};

const more = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>) => {
  const sum = (zones: Readonly<Record<string, number>>) => Object.values(zones).reduce((x, n) => x + n, 0);
  return sum(b) > sum(a) ? b : a;
};

type Judged = Pick<Weather, 'troubled'> & {
  readonly illInZone?: number | undefined;
  readonly zone?: GroupRecord | undefined;
  readonly group: Group | undefined;
  readonly policy: Pick<Policy, 'breaker'>;
};

/** Why a storm is in the group because of what is seen now, if one is. */
export const groupStorm = ({ troubled, group, policy }: Omit<Judged, 'zone' | 'illInZone'>): string | undefined => {
  const { breaker } = policy;
  const zones = Object.entries(troubled ?? {});
  const count = zones.reduce((sum, [, n]) => sum + n, 0);
  if (count < breaker.atLeast) return undefined;
  if (!group) return undefined;
  const within = `within ${breaker.withinMinutes} min`;
  if (count * 100 > group.size * breaker.percent) return `${count} of ${group.size} in ${group.id} fell ill ${within}`;
  // Two zones at once: most of what the group has in each of two zones.
  const lost = zones.filter(([zone, n]) => n * 100 > (group.zones[zone] ?? 0) * breaker.percent);
  return lost.length >= 2
    ? `most of ${group.id} in zones ${lost.map(([z]) => z).join(' and ')} fell ill ${within}`
    : undefined;
};

/** The same of the zone. Counting stops at the limit: how many there are in all nobody counts. */
export const zoneStorm = ({ zone, illInZone, policy }: Omit<Judged, 'group' | 'troubled'>): string | undefined => {
  if (!zone || illInZone === undefined) return undefined;
  const percent = policy.breaker.zonePercent;
  if (illInZone < zoneLimit(zone.size, percent)) return undefined;
  const of = zone.size === undefined ? 'the instances' : `the ${zone.size} instances`;
  return `${zone.id.replace('/', ' ')}: more than ${percent} % of ${of} there (${illInZone} at least) fell ill within ${policy.breaker.withinMinutes} min`;
};

/** A storm is written down when it begins, and then once a minute while it lasts. */
export const noted = (
  record: GroupRecord,
  { because, ill }: { readonly because: string | undefined; readonly ill: number },
  now: Time,
  { breaker: { clearMinutes } }: Pick<Policy, 'breaker'>,
): GroupRecord | undefined => {
  const { breaker } = record;
  if (because === undefined || (breaker && now - breaker.lastSeenAt <= minutes(1) && now >= breaker.since))
    return undefined;
  const goesOn = breaker !== undefined && now - breaker.lastSeenAt < minutes(clearMinutes);
  return {
    ...record,
    breaker: {
      since: goesOn ? breaker.since : now,
      lastSeenAt: now,
      because,
      ill: Math.max(ill, goesOn ? (breaker.ill ?? 0) : 0),
    },
  };
};

/** All members of a storm together are looked at about once a second, whatever they are: EC2 grants ten calls a second to the whole account. */
const PER_MEMBER = 1_000;
const RAREST = minutes(60);

/** When a member of a storm is looked at next: each at another time, and more rarely the longer it lasts. */
export const turn = (
  id: string,
  { ill = 1, since }: Pick<Breaker, 'ill' | 'since'>,
  now: Time,
  { breaker: { clearMinutes } }: Pick<Policy, 'breaker'>,
): Time => {
  // One of them at least twice within the time after which it counts as over: somebody must see that it is not.
  const half = minutes(clearMinutes) / 2;
  const often = Math.max(Math.min(minutes(5), half), Math.min((now - since) / 4, (half / 2) * ill));
  return now + Math.min(RAREST, Math.max(often, ill * PER_MEMBER)) * (0.5 + fraction(id) / 2);
};
/** FNV-1a of the id, as a part of one. */
export const fraction = (id: string): number => {
  let hash = 2166136261;
  for (const c of id) hash = Math.imul(hash ^ c.charCodeAt(0), 16777619);
  return (hash >>> 0) / 2 ** 32;
};
