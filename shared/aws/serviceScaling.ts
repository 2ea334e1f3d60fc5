import {
  ApplicationAutoScalingClient,
  DescribeScalableTargetsCommand,
  paginateDescribeScalingPolicies,
  RegisterScalableTargetCommand,
  type ScalingPolicy,
} from '@aws-sdk/client-application-auto-scaling';
import { clusterOf } from '../core/containers.ts';
import { NotFound, Refused } from '../core/errors.ts';
import type { ServiceScaling, ServiceScalings } from '../core/serviceScaling.ts';
import { shortOf } from '../core/services.ts';
import { type ClientOptions, clientConfig, inTime } from './clients.ts';
import { calling } from './errors.ts';

const ECS = { ServiceNamespace: 'ecs', ScalableDimension: 'ecs:service:DesiredCount' } as const;

const cpuTargetOf = ({ TargetTrackingScalingPolicyConfiguration: tracking }: ScalingPolicy): number[] =>
  tracking?.PredefinedMetricSpecification?.PredefinedMetricType === 'ECSServiceAverageCPUUtilization' &&
  tracking.TargetValue !== undefined
    ? [tracking.TargetValue]
    : [];

export const applicationScaling = (options: ClientOptions): ServiceScalings => {
  const reader = new ApplicationAutoScalingClient(clientConfig(options, 3));
  const writer = new ApplicationAutoScalingClient(clientConfig(options, 1));
  const targetOf = async (ResourceId: string) => {
    const { ScalableTargets: [found] = [] } = await reader.send(
      new DescribeScalableTargetsCommand({ ...ECS, ResourceIds: [ResourceId] }),
    );
    return found;
  };
  return {
    describe: ({ cluster, name }) =>
      calling(`cannot ask what scales ${cluster}/${name}`, async (): Promise<ServiceScaling | undefined> => {
        const ResourceId = `service/${cluster}/${name}`;
        const found = await targetOf(ResourceId);
        if (!found) return undefined;
        const policies: ScalingPolicy[] = [];
        for await (const page of paginateDescribeScalingPolicies({ client: reader }, { ...ECS, ResourceId }))
          policies.push(...(page.ScalingPolicies ?? []));
        return {
          arn: found.ScalableTargetARN ?? '',
          min: found.MinCapacity ?? 0,
          max: found.MaxCapacity ?? 0,
          policies: policies.map((p) => p.PolicyName ?? ''),
          cpuTarget: policies.flatMap(cpuTargetOf)[0],
          suspended: found.SuspendedState?.DynamicScalingOutSuspended ?? false,
        };
      }),
    setMin: (arn, { from, to }) =>
      calling(`cannot set the minimum of ${shortOf(arn)} to ${to}`, async () => {
        const ResourceId = `service/${clusterOf(arn)}/${shortOf(arn)}`;
        const now = await targetOf(ResourceId);
        if (!now) throw new NotFound(`nothing scales ${ResourceId} any more`);
        if (now.MinCapacity === to) return;
        if (now.MinCapacity !== from)
          throw new Refused(
            'changed-meanwhile',
            `the minimum of ${ResourceId} is ${now.MinCapacity} by now, not ${from}`,
          );
        inTime(options);
        await writer.send(new RegisterScalableTargetCommand({ ...ECS, ResourceId, MinCapacity: to }));
      }),
  };
};
