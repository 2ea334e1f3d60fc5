import {
  DeregisterTargetsCommand,
  DescribeTargetGroupsCommand,
  DescribeTargetHealthCommand,
  ElasticLoadBalancingV2Client,
  paginateDescribeTargetGroups,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import type { LoadBalancers, TargetHealth } from '../core/loadBalancers.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

export const elbLoadBalancers = (options: ClientOptions): LoadBalancers => {
  const reader = new ElasticLoadBalancingV2Client(clientConfig(options, 3));
  const writer = new ElasticLoadBalancingV2Client(clientConfig(options, 1));
  return {
    health: (targetGroup) =>
      calling(`cannot ask for the health of ${targetGroup}`, async () => {
        const { TargetHealthDescriptions = [] } = await reader.send(
          new DescribeTargetHealthCommand({ TargetGroupArn: targetGroup }),
        );
        return TargetHealthDescriptions.map(
          ({ Target, TargetHealth: health }): TargetHealth => ({
            id: Target?.Id ?? '',
            port: Target?.Port ?? 0,
            state: health?.State ?? 'unknown',
            ...(health?.Description ? { because: health.Description } : {}),
          }),
        );
      }),
    balancersOf: (targetGroup) =>
      calling(`cannot look at ${targetGroup}`, async () => {
        const { TargetGroups = [] } = await reader.send(
          new DescribeTargetGroupsCommand({ TargetGroupArns: [targetGroup] }),
        );
        return TargetGroups.flatMap((g) => g.LoadBalancerArns ?? []);
      }),
    groupsOf: (loadBalancer) =>
      calling(`cannot look at ${loadBalancer}`, async () => {
        const found: string[] = [];
        const asked = { LoadBalancerArn: loadBalancer };
        for await (const { TargetGroups = [] } of paginateDescribeTargetGroups({ client: reader }, asked))
          found.push(...TargetGroups.flatMap((g) => g.TargetGroupArn ?? []));
        return found;
      }),
    deregister: (targetGroup, instance) =>
      calling(`cannot take ${instance} out of ${targetGroup}`, async () => {
        await writer.send(new DeregisterTargetsCommand({ TargetGroupArn: targetGroup, Targets: [{ Id: instance }] }));
      }),
  };
};
