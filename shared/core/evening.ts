/** What is alike where a service and where a group is evened out over its zones: what is known of these, and how it is said that nothing can be done. */
import type { Issue } from './issues.ts';
import type { Ports } from './ports.ts';
import type { Look } from './remediation.ts';
import { statesOf, type ZoneIds } from './spread.ts';
import { hours, minutes, span } from './time.ts';
import type { Verdict } from './verdict.ts';
import type { Zone } from './zoneBounds.ts';
import type { Start } from './zoneSigns.ts';
import type { Plan } from './zones.ts';

export interface ZonesNow {
  readonly zones: ZoneIds;
  readonly states: readonly Zone[];
  /** An issue of AWS's own that is not of one zone. */
  readonly issue: Issue | { readonly unknown: string } | undefined;
}

/** @param waves how the workload's own starts ended */
export const zonesNow = async (
  { instances, health }: Pick<Ports, 'instances' | 'health'>,
  { now, shiftsOf }: Pick<Look<unknown>, 'now' | 'shiftsOf'>,
  waves: readonly Start[],
): Promise<ZonesNow> => {
  const [zones, issues] = await Promise.all([instances.zones(), health.issues()]);
  const shifts = await shiftsOf(Object.values(zones));
  return {
    zones,
    states: statesOf(zones, { issues, shifts, waves }, now),
    issue: 'unknown' in issues ? issues : issues.find((i) => i.zone === undefined),
  };
};

/** 'a 3, b 1, so losing any zone leaves 1 of 4'. */
export const spreadText = ({ zones, survivors, desired }: Plan): string =>
  `${zones.map((x) => `${x.zone} ${x.before}`).join(', ')}, so losing any zone leaves ${survivors.before} of ${desired}`;

/** What nothing can be done about is told after so long. */
const WAITS = hours(1);
const REMEDY = 'steward zones shows what stands in the way of each';

export const waitOrTell = (
  because: string,
  { now, openedAt }: Pick<Look<unknown>, 'now' | 'openedAt'>,
): Verdict<never> =>
  now - openedAt < WAITS
    ? { do: 'wait', until: now + minutes(2), because }
    : { do: 'escalate', because: `${because}, for ${span(now - openedAt)}`, remedy: REMEDY };

/** Of a plan that needs a person. */
export const tellOf = ({ workload, because, remedy }: Plan): Verdict<never> => ({
  do: 'escalate',
  because: `${workload}: ${because}`,
  remedy: remedy ?? REMEDY,
});
