/** Load balancers, as far as they say who serves: the targets of target groups. */

export interface TargetHealth {
  /** An EC2 instance's id, or an address. */
  readonly id: string;
  readonly port: number;
  /** 'healthy', 'unhealthy', 'initial', 'draining', 'unused', 'unavailable': AWS's own words. */
  readonly state: string;
  readonly because?: string;
}

export interface LoadBalancers {
  /** @throws NotFound when there is no such target group */
  health(targetGroup: string): Promise<readonly TargetHealth[]>;
  /** ARNs of the load balancers that send requests to it. @throws NotFound */
  balancersOf(targetGroup: string): Promise<readonly string[]>;
  /** An instance that is a target by itself takes no new requests from now on. What is no target is passed over. */
  deregister(targetGroup: string, instance: string): Promise<void>;
}

/** Ids that serve: registered somewhere, and healthy wherever they are. */
export const servingTargets = (groups: readonly (readonly TargetHealth[])[]): ReadonlySet<string> => {
  const all = groups.flat();
  const ill = new Set(all.filter((t) => t.state !== 'healthy').map((t) => t.id));
  return new Set(all.filter((t) => !ill.has(t.id)).map((t) => t.id));
};
