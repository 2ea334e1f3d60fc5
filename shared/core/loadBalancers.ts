/** Load balancers, as far as they say who serves (the targets of target groups), and what they count. */
import type { Metric } from './ports.ts';

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
  /** ARNs of the target groups that it sends requests to. @throws NotFound */
  groupsOf(loadBalancer: string): Promise<readonly string[]>;
  /** An instance that is a target by itself takes no new requests from now on. What is no target is passed over. */
  deregister(targetGroup: string, instance: string): Promise<void>;
}

/** Ids that serve: registered somewhere, and healthy wherever they are. */
export const servingTargets = (groups: readonly (readonly TargetHealth[])[]): ReadonlySet<string> => {
  const all = groups.flat();
  const ill = new Set(all.filter((t) => t.state !== 'healthy').map((t) => t.id));
  return new Set(all.filter((t) => !ill.has(t.id)).map((t) => t.id));
};

/** Application Load Balancers count what is meant here; others count other things. */
export const isApplication = (balancer: string): boolean => balancer.includes(':loadbalancer/app/');
/** 'arn:…:loadbalancer/app/web/50dc' → 'app/web/50dc', as its metrics call it. */
const idOf = (balancer: string): string => balancer.split(':loadbalancer/')[1] ?? balancer;
/** 'web' */
export const nameOfBalancer = (balancer: string): string => idOf(balancer).split('/')[1] ?? balancer;

/** Something that it counts, as a sum over each period. */
export const countOf = (balancer: string, name: string): Metric & { readonly sum: true } => ({
  namespace: 'AWS/ApplicationELB',
  name,
  dimensions: { LoadBalancer: idOf(balancer) },
  sum: true,
});
