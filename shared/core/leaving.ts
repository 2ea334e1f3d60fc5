/** An instance that AWS is about to take: what it still does for others, which must be elsewhere before it goes. */
import type { ContainerInstance } from './containers.ts';
import { noneIfGone } from './errors.ts';
import type { ScalingGroup } from './groups.ts';
import type { TargetHealth } from './loadBalancers.ts';
import type { Ports } from './ports.ts';

export interface Duties {
  /** The container instance that it is, if it is one. */
  readonly unit: ContainerInstance | undefined;
  /** ARNs of its group's target groups in which it serves, and others do as well. */
  readonly targetGroups: readonly string[];
}
export const NO_DUTIES: Duties = { unit: undefined, targetGroups: [] };

/** Part of a step, hence plain JSON. */
export type Leave = {
  readonly do: 'drain';
  readonly instance: string;
  readonly unit: string | null;
  readonly targetGroups: readonly string[];
};

const serves = (targets: readonly TargetHealth[], isIt: (id: string) => boolean): boolean =>
  targets.some((t) => isIt(t.id) && t.state === 'healthy');

export const dutiesOf = async (
  id: string,
  scaling: ScalingGroup | undefined,
  { containers, loadBalancers }: Pick<Ports, 'containers' | 'loadBalancers'>,
): Promise<Duties> => {
  const [unit, groups] = await Promise.all([
    containers.ofInstance(id),
    Promise.all(
      (scaling?.targetGroups ?? []).map(async (arn) => ({
        arn,
        targets: await loadBalancers.health(arn).catch(noneIfGone),
      })),
    ),
  ]);
  return {
    unit,
    // The last one that serves stays until it goes.
    targetGroups: groups
      .filter(({ targets }) => serves(targets, (t) => t === id) && serves(targets, (t) => t !== id))
      .map(({ arn }) => arn),
  };
};

/** What is left to do before it goes. Undefined: nothing. */
export const leaveOf = (instance: string, { unit, targetGroups }: Duties): Leave | undefined =>
  unit?.status === 'ACTIVE' || targetGroups.length > 0
    ? { do: 'drain', instance, unit: unit?.status === 'ACTIVE' ? unit.arn : null, targetGroups }
    : undefined;

export const takeLeave = async (
  { instance, unit, targetGroups }: Leave,
  { containers, loadBalancers }: Pick<Ports, 'containers' | 'loadBalancers'>,
): Promise<void> => {
  if (unit !== null) await containers.setState(unit, 'DRAINING');
  for (const arn of targetGroups) await loadBalancers.deregister(arn, instance);
};
