/** What is alike where a service and where a group is evened out over its zones: what is known of these, and how it is said that nothing can be done. */
import type { Issue } from './issues.ts';
import type { Ports } from './ports.ts';
import type { Kind, Look, ToldOf } from './remediation.ts';
import { statesOf, type ZoneIds } from './spread.ts';
import { hours, minutes, span } from './time.ts';
import type { Verdict } from './verdict.ts';
import type { Zone } from './zoneBounds.ts';
import type { Start } from './zoneSigns.ts';
import type { Plan } from './zones.ts';

export interface ZonesNow {
  readonly zones: ZoneIds;
  readonly states: readonly Zone[];
  /** Ids of those of which a person is told by an incident of their own. */
  readonly told: readonly string[];
  /** An issue of AWS's own that is not of one zone. */
  readonly issue: Issue | { readonly unknown: string } | undefined;
}

/** @param waves how the workload's own starts ended @param of what kind of workload it is: each is let leave by itself */
export const zonesNow = async (
  { instances, health }: Pick<Ports, 'instances' | 'health'>,
  { now, toldOf }: Pick<Look<unknown>, 'now' | 'toldOf'>,
  { waves, of }: { readonly waves: readonly Start[]; readonly of: Kind },
): Promise<ZonesNow> => {
  const [zones, issues] = await Promise.all([instances.zones(), health.issues()]);
  const told = await toldOf(Object.values(zones));
  return {
    zones,
    states: statesOf(zones, { issues, told, waves, of }, now),
    told: Object.keys(told).filter((zone) => told[zone]?.incident !== undefined),
    issue: 'unknown' in issues ? issues : issues.find((i) => i.zone === undefined),
  };
};

/** 'a 3, b 1, so losing any zone leaves 1 of 4'. */
export const spreadText = ({ zones, survivors, desired }: Plan): string =>
  `${zones.map((x) => `${x.zone} ${x.before}`).join(', ')}, so losing any zone leaves ${survivors.before} of ${desired}`;

/** What a workload knows of its zones; undefined: nothing was looked at. */
interface Known extends Pick<ZonesNow, 'told'> {
  readonly scene:
    | { readonly states: readonly Zone[]; readonly subnets: readonly { readonly zoneId: string }[] }
    | undefined;
}

/** Two zones are impaired at once, and a person is told of that elsewhere. */
export const isFrozen = ({ scene, told }: Known): boolean =>
  told.length > 0 && (scene?.states ?? []).filter((z) => z.state === 'IMPAIRED').length > 1;

/** The zone, of those that a workload uses, that is to blame if nothing can be done: a person is told of it by its own incident. */
export const blamed = (known: Known): Zone | undefined => {
  const { scene, told } = known;
  const uses = isFrozen(known) ? told : scene?.subnets.map((s) => s.zoneId);
  return scene?.states.find((z) => z.state !== 'OK' && told.includes(z.id) && uses?.includes(z.id));
};

/** Whoever let a zone be evacuated has let what leaves it, and the way back: those ask no more. @param left zones that the workload was led out of */
export const wayOf = (
  { zones }: Plan,
  { isLed, left }: { readonly isLed: boolean; readonly left: ReadonlySet<string> },
): 'leave' | 'return' | undefined => {
  if (isLed) return 'leave';
  return left.size > 0 && zones.every((x) => x.after <= x.before || left.has(x.zone)) ? 'return' : undefined;
};

/** Ids of zones that workloads are led out of now, as far as a survey knows: what AWS Health has is not asked for. */
export const evacuatedZones = async (zones: ZoneIds, toldOf: ToldOf, of: Kind): Promise<ReadonlySet<string>> => {
  const told = await toldOf(Object.values(zones));
  return new Set(Object.keys(told).filter((zone) => told[zone]?.evacuated?.[of] !== undefined));
};

/** What nothing can be done about is told after so long. */
const WAITS = hours(1);
const REMEDY = 'steward zones shows what stands in the way of each';

/** @param zone one that it may use, is not OK, and has an incident of its own: a person is told of it there, once, and of no workload */
export const waitOrTell = (
  because: string,
  { now, openedAt }: Pick<Look<unknown>, 'now' | 'openedAt'>,
  zone?: Zone,
): Verdict<never> =>
  zone
    ? { do: 'wait', until: now + minutes(2), because: `${because} (${zone.id} is ${zone.state})`, idle: true }
    : now - openedAt < WAITS
      ? { do: 'wait', until: now + minutes(2), because }
      : { do: 'escalate', because: `${because}, for ${span(now - openedAt)}`, remedy: REMEDY };

/** Of a plan that needs a person. */
export const tellOf = ({ workload, because, remedy }: Plan): Verdict<never> => ({
  do: 'escalate',
  because: `${workload}: ${because}`,
  remedy: remedy ?? REMEDY,
});
