/** Auto Scaling groups, and what they do to a member by themselves. */
import type { Level } from './capacity.ts';
import type { Ports, Traits } from './ports.ts';
import type { Target } from './target.ts';
import type { Time } from './time.ts';
import { usdPerMonthOf } from './units.ts';

export interface Member {
  readonly group: string;
  /** 'InService', 'Terminating:Wait', 'Standby' … AWS's own words. */
  readonly lifecycle: string;
  readonly healthy: boolean;
}
export interface GroupInstance {
  readonly id: string;
  /** Name: 'eu-central-1a'. */
  readonly zone: string;
  readonly lifecycle: string;
  readonly healthy: boolean;
  /** From scale-in: by its owner's word. */
  readonly protected: boolean;
}
/** What came of asking for hosts in one zone. Plain JSON: a receipt. */
export type Launched = {
  readonly instances: readonly string[];
  /** AWS's reason, where it launched fewer. */
  readonly failed?: string;
};
export interface ScalingGroup {
  readonly arn: string;
  readonly name: string;
  /** Names of the zones that it may launch in. */
  readonly zones: readonly string[];
  readonly desired: number;
  readonly min: number;
  readonly max: number;
  readonly inService: number;
  /** Suspended processes: 'Launch', 'Terminate', 'ReplaceUnhealthy' … */
  readonly suspended: readonly string[];
  /** It replaces spot instances that AWS is about to take. */
  readonly rebalances: boolean;
  /** ARNs of the target groups that its instances are targets of. */
  readonly targetGroups: readonly string[];
  readonly subnets: readonly string[];
  /** Why `launch` cannot be asked of it; undefined: it can. */
  readonly noLaunch?: string;
  readonly instances: readonly GroupInstance[];
  readonly tags: Readonly<Record<string, string>>;
  /** Of the instances that it has. */
  readonly types: readonly string[];
}

/** What a group must do to replace a member that is marked unhealthy. */
const REPLACING = ['Launch', 'Terminate', 'ReplaceUnhealthy', 'HealthCheck'];
const suspendedOfReplacing = (group: ScalingGroup | undefined): readonly string[] =>
  REPLACING.filter((p) => group?.suspended.includes(p));

/** Why it would not replace a member that is marked unhealthy, as a person reads it; undefined: it would. */
export const heldUp = (
  group: ScalingGroup | undefined,
  is: string,
): { readonly do: 'escalate'; readonly because: string; readonly remedy: string } | undefined => {
  const held = suspendedOfReplacing(group);
  return held.length > 0
    ? {
        do: 'escalate',
        because: `${is}, and asg/${group?.name} has suspended ${held.join(', ')}`,
        remedy: `resume them, and it is replaced: aws autoscaling resume-processes --auto-scaling-group-name ${group?.name}`,
      }
    : undefined;
};

export interface LaunchSeen {
  readonly group: string;
  readonly zone: string;
  readonly at: Time;
  /** AWS's reason, where it failed. */
  readonly failed?: string;
}

export interface Groups {
  /** Undefined: it is in none. */
  memberOf(instanceId: string): Promise<Member | undefined>;
  /** Undefined: there is none of that name. */
  describe(name: string): Promise<ScalingGroup | undefined>;
  /** All of the region. */
  all(): Promise<readonly ScalingGroup[]>;
  /** An instance refresh replaces its instances at this moment. */
  refreshing(name: string): Promise<boolean>;
  /** Names of its policies that are enabled: they change its desired capacity by what they measure. */
  policies(name: string): Promise<readonly string[]>;
  /** What groups of the region have launched, or could not, since then. `zone`: its name. */
  launches(since: Time): Promise<readonly LaunchSeen[]>;
  /** Has the group replace it, with its hooks. Naming the state makes a repetition harmless. */
  markUnhealthy(instanceId: string): Promise<void>;
  setDesired(name: string, desired: number): Promise<void>;
  /** Has the group replace all of its instances, in its own steps: half of them stay in service. One that is under way is enough. */
  refresh(name: string): Promise<void>;
  /** Instances in one zone, by its id, or none: asked once for each token, and not again behind our back. The group wants so many more then. @throws Refused 'no-capacity' with AWS's reason: none */
  launch(
    name: string,
    ask: { readonly zone: string; readonly count: number; readonly token: string },
  ): Promise<Launched>;
  /** Through its hooks; the group wants one fewer then. */
  terminate(instanceId: string): Promise<void>;
  /**
   * Sets the minimum and the desired capacity, if the minimum is what was seen: a desired capacity that something else has moved meanwhile is left alone, as far as the minimum lets it.
   * Naming the levels makes a repetition harmless. @throws Refused 'changed-meanwhile'
   */
  resize(name: string, change: { readonly from: Level; readonly to: Level }): Promise<void>;
}

/** Which of a group's types the next one has nobody knows: the dearest is counted. Undefined: the price of one of them is not known. */
export const dearest = async (
  types: readonly string[],
  { region }: Pick<Target, 'region'>,
  { instances }: Pick<Ports, 'instances'>,
): Promise<Traits | undefined> => {
  const known = types.length > 0 ? Object.values(await instances.traits(types)) : [];
  const usd = (t: Traits): number => usdPerMonthOf(t, region);
  return known.length < types.length || known.some((t) => Number.isNaN(usd(t)))
    ? undefined
    : known.sort((a, b) => usd(b) - usd(a))[0];
};

export const groupArn = (
  { account, region }: { account: string; region: string },
  partition: string,
  name: string,
): string => `arn:${partition}:autoscaling:${region}:${account}:autoScalingGroup:*:autoScalingGroupName/${name}`;
