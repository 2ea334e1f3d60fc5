/** Application Auto Scaling, for ECS services: bounds, and target tracking of their CPU with the lag that it has. */
import * as api from '@aws-sdk/client-application-auto-scaling';
import { changed, type EcsService, ecsArn } from './ecs.ts';
import { metricKey, statistic } from './metrics.ts';
import { AwsError, defineService, jsonWords, type Operations, type Resource } from './service.ts';
import type { World } from './world.ts';

export type ScalableTarget = {
  /** 'service/shop/web' */
  readonly resource: string;
  readonly arn: string;
  min: number;
  max: number;
  suspended: boolean;
  /** Percent of CPU that a policy keeps it at; undefined: it has no policy. */
  tracks: number | undefined;
  tags: Record<string, string>;
};
export type ServiceScalingState = {
  readonly targets: Map<string, ScalableTarget>;
  /** Told of each service that a policy has scaled, by ARN. */
  readonly listeners: Set<(service: string) => void>;
};
export const createServiceScalingState = (): ServiceScalingState => ({ targets: new Map(), listeners: new Set() });

export const scaleService = (
  world: World,
  { cluster, name, desired, tags }: EcsService,
  given: Partial<ScalableTarget> = {},
): ScalableTarget => {
  const resource = `service/${cluster}/${name}`;
  const target: ScalableTarget = {
    resource,
    arn: `arn:aws:application-autoscaling:${world.region}:${world.account}:scalable-target/${world.random.hex(44)}`,
    min: desired,
    max: desired * 4,
    suspended: false,
    tracks: undefined,
    tags: { ...tags },
    ...given,
  };
  world.serviceScaling.targets.set(resource, target);
  return target;
};

const serviceOf = (world: World, { resource }: ScalableTarget): EcsService | undefined => {
  const [, cluster = '', name = ''] = resource.split('/');
  return world.ecs.clusters.get(cluster)?.services.get(name);
};

/** "Three data points within 3 minutes" to add, "15 data points within 15 minutes" to take away, and then less than nine tenths of the target. */
const OUT = 3;
const IN = 15;
/** What a policy wants now: how many. */
const wantedBy = (
  world: World,
  { cluster, name, desired }: EcsService,
  { tracks = 0, suspended, min, max }: ScalableTarget,
): number => {
  const key = metricKey('AWS/ECS', 'CPUUtilization', { ClusterName: cluster, ServiceName: name });
  const points = world.cloudwatch.metrics.get(key)?.points ?? [];
  const last = (n: number, holds: (used: number) => boolean): boolean => {
    const lately = points.filter((p) => p.at > world.clock.now() - n * 60_000);
    return lately.length === n && lately.every((p) => holds(p.sum));
  };
  const fits = Math.ceil((desired * (statistic('Average', points.slice(-OUT)) ?? tracks)) / tracks);
  if (!suspended && last(OUT, (used) => used > tracks)) return Math.min(max, Math.max(min, fits, desired));
  // "A scale-in activity doesn't adjust the desired count where it is already below the minimum."
  return last(IN, (used) => used < 0.9 * tracks) && desired > min ? Math.max(min, Math.min(fits, desired)) : desired;
};

/** Each minute. */
export const trackTargets = (world: World) => {
  for (const target of world.serviceScaling.targets.values()) {
    const service = serviceOf(world, target);
    if (service?.status !== 'ACTIVE' || target.tracks === undefined) continue;
    const wanted = wantedBy(world, service, target);
    if (wanted === service.desired) continue;
    Object.assign(world.lag.change(service), { desired: wanted, steady: false });
    changed(world);
    for (const listener of world.serviceScaling.listeners) listener(service.arn);
  }
};

/** A new one, of a service that there is. */
const registered = (world: World, resource = ''): ScalableTarget => {
  const [, cluster = '', name = ''] = resource.split('/');
  const service = world.ecs.clusters.get(cluster)?.services.get(name);
  if (!service) throw new AwsError('ValidationException', `ECS service doesn't exist: ${resource}`);
  return scaleService(world, service);
};

const described = (t: ScalableTarget) => ({
  ServiceNamespace: 'ecs' as const,
  ResourceId: t.resource,
  ScalableDimension: 'ecs:service:DesiredCount' as const,
  MinCapacity: t.min,
  MaxCapacity: t.max,
  RoleARN: 'arn:aws:iam::aws:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/ECS',
  CreationTime: new Date(0),
  SuspendedState: {
    DynamicScalingInSuspended: false,
    DynamicScalingOutSuspended: t.suspended,
    ScheduledScalingSuspended: false,
  },
  ScalableTargetARN: t.arn,
});

const operations: Operations<typeof api> = {
  DescribeScalableTargets: (input, { world }) => ({
    ScalableTargets: [...world.serviceScaling.targets.values()]
      .filter((t) => !input.ResourceIds?.length || input.ResourceIds.includes(t.resource))
      .map(described),
  }),
  DescribeScalingPolicies: (input, { world }) => ({
    ScalingPolicies: [...world.serviceScaling.targets.values()]
      .filter((t) => t.tracks !== undefined && (!input.ResourceId || input.ResourceId === t.resource))
      .map((t) => ({
        PolicyARN: `${t.arn}/policy/cpu`,
        PolicyName: 'cpu',
        ServiceNamespace: 'ecs' as const,
        ResourceId: t.resource,
        ScalableDimension: 'ecs:service:DesiredCount' as const,
        PolicyType: 'TargetTrackingScaling' as const,
        TargetTrackingScalingPolicyConfiguration: {
          TargetValue: t.tracks,
          PredefinedMetricSpecification: { PredefinedMetricType: 'ECSServiceAverageCPUUtilization' as const },
        },
        CreationTime: new Date(0),
      })),
  }),
  /** "If you specify an existing one, only what is given changes." What runs is left as it is until something scales it. */
  RegisterScalableTarget: (input, { world }) => {
    const target = world.serviceScaling.targets.get(input.ResourceId ?? '') ?? registered(world, input.ResourceId);
    const [min, max] = [input.MinCapacity ?? target.min, input.MaxCapacity ?? target.max];
    if (min > max) throw new AwsError('ValidationException', 'Maximum capacity cannot be less than minimum capacity');
    Object.assign(target, { min, max });
    return { ScalableTargetARN: target.arn };
  },
};

const resource = (world: World, id: string | undefined): Resource[] => {
  const target = world.serviceScaling.targets.get(id ?? '');
  return [{ arn: target?.arn ?? ecsArn(world, id ?? '*'), tags: target?.tags ?? {} }];
};

/** Resource types: Service Authorization Reference, "Actions defined by AWS Application Auto Scaling". */
export const applicationAutoScalingService = defineService<typeof api>({
  name: 'application-autoscaling',
  signingName: 'application-autoscaling',
  iamPrefix: 'application-autoscaling',
  protocol: 'json',
  xmlNamespace: '',
  api,
  words: jsonWords,
  operations,
  resources: {
    RegisterScalableTarget: (input, world) => resource(world, input.ResourceId),
  },
});
