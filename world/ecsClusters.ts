/** Operations on clusters and their container instances. */
import type { Cluster as ApiCluster } from '@aws-sdk/client-ecs';
import { emitApiCall } from './apiCalls.ts';
import { type Cluster, type ClusterSettings, type ContainerInstance, ecsArn, nameIn } from './ecs.ts';
import { apiInstance } from './ecsDescribe.ts';
import { deregisterInstance, sayChange } from './ecsInstances.ts';
import { atMost, type EcsOperations, findCluster, lookUp, lower, pageOf } from './ecsLookup.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

/** Of the cluster query language: `attribute:<name> == <value>`, `ec2InstanceId == <id>`, `agentConnected == true`, joined by `and`. */
const matches = (world: World, instance: ContainerInstance, filter: string | undefined): boolean =>
  (filter ?? '')
    .split(/\s+and\s+/)
    .filter(Boolean)
    .every((clause) => {
      const [, key = '', operator, value = ''] = /^\s*(\S+)\s*(==|!=)\s*'?([^']*?)'?\s*$/.exec(clause) ?? [];
      const shape = apiInstance(world, instance);
      const own: Readonly<Record<string, unknown>> = {
        ec2InstanceId: shape.ec2InstanceId,
        agentConnected: shape.agentConnected,
      };
      const known = key.startsWith('attribute:') || key in own;
      if (!known) throw new AwsError('InvalidParameterException', `Invalid filter expression: ${clause}`);
      const is = key.startsWith('attribute:')
        ? shape.attributes?.find((a) => a.name === key.slice('attribute:'.length))?.value
        : String(own[key]);
      return operator === '==' ? is === value : is !== value;
    });

const apiCluster = (c: Cluster, include: readonly string[] = ['CONFIGURATIONS', 'SETTINGS', 'TAGS']): ApiCluster => {
  const tasks = [...c.tasks.values()];
  return {
    clusterArn: c.arn,
    clusterName: c.name,
    status: c.status,
    registeredContainerInstancesCount: [...c.instances.values()].filter((i) => i.status !== 'INACTIVE').length,
    runningTasksCount: tasks.filter((t) => t.status === 'RUNNING').length,
    pendingTasksCount: tasks.filter((t) => t.status === 'PENDING').length,
    activeServicesCount: [...c.services.values()].filter((s) => s.status === 'ACTIVE').length,
    capacityProviders: c.settings.capacityProviders ?? [],
    defaultCapacityProviderStrategy: c.settings.defaultCapacityProviderStrategy ?? [],
    ...(c.settings.serviceConnectDefaults && { serviceConnectDefaults: c.settings.serviceConnectDefaults }),
    ...(include.includes('SETTINGS') && { settings: c.settings.settings ?? [] }),
    ...(include.includes('CONFIGURATIONS') && c.settings.configuration && { configuration: c.settings.configuration }),
    ...(include.includes('TAGS') && { tags: Object.entries(c.tags).map(([key, value]) => ({ key, value })) }),
  };
};

/** The cluster itself, without the Auto Scaling group that fills it: `makeCluster` furnishes one. */
export const createCluster = (
  world: World,
  name: string,
  tags: Record<string, string> = {},
  settings: ClusterSettings = {},
): Cluster => {
  const known = world.ecs.clusters.get(name);
  if (known?.status === 'ACTIVE') return known;
  const cluster: Cluster = {
    name,
    arn: ecsArn(world, `cluster/${name}`),
    status: 'ACTIVE',
    // The user data of the hosts names it: another cluster of its name has the same.
    joinedBy: known?.joinedBy ?? new Set(),
    instances: new Map(),
    // Those that were deleted can be described for a while, by the same names.
    services: known?.services ?? new Map(),
    tasks: new Map(),
    tags,
    settings,
  };
  world.ecs.clusters.set(name, world.lag.create(cluster));
  return cluster;
};

export const clusterOperations: EcsOperations = {
  CreateCluster: ({ clusterName = 'default', tags, ...settings }, { world }) => ({
    cluster: apiCluster(createCluster(world, clusterName, lower(tags), settings)),
  }),
  DeleteCluster: (input, call) => {
    const { world } = call;
    const cluster = findCluster(world, input.cluster);
    if ([...cluster.instances.values()].some((i) => i.status !== 'INACTIVE'))
      throw new AwsError(
        'ClusterContainsContainerInstancesException',
        'The Cluster cannot be deleted while Container Instances are active or draining.',
      );
    if ([...cluster.services.values()].some((s) => s.status !== 'INACTIVE'))
      throw new AwsError(
        'ClusterContainsServicesException',
        'The Cluster cannot be deleted while Services are active.',
      );
    if ([...cluster.tasks.values()].some((t) => t.status !== 'STOPPED'))
      throw new AwsError('ClusterContainsTasksException', 'The Cluster cannot be deleted while Tasks are active.');
    world.lag.change(cluster).status = 'INACTIVE';
    emitApiCall(call, { service: 'ecs', eventName: 'DeleteCluster', requestParameters: { ...input } });
    return { cluster: apiCluster(cluster) };
  },
  ListClusters: (input, { world }) => {
    const active = [...world.ecs.clusters.values()].filter((c) => c.status === 'ACTIVE').map((c) => c.arn);
    const { items, next } = pageOf(active, input);
    return { clusterArns: items, ...next };
  },
  DescribeClusters: (input, { world }) => {
    atMost(input.clusters, 100, 'clusters');
    const { found, failures } = lookUp(world, input.clusters ?? ['default'], world.ecs.clusters, 'cluster');
    return { clusters: found.map((c) => apiCluster(c, input.include)), failures };
  },

  ListContainerInstances: (input, { world }) => {
    const cluster = findCluster(world, input.cluster);
    const listed = [...cluster.instances.values()]
      .flatMap((i) => world.lag.seen(i) ?? [])
      .filter((i) => (input.status ? i.status === input.status : i.status !== 'INACTIVE'))
      .filter((i) => matches(world, i, input.filter));
    const { items, next } = pageOf(
      listed.map((i) => i.arn),
      input,
    );
    return { containerInstanceArns: items, ...next };
  },
  DescribeContainerInstances: (input, { world }) => {
    atMost(input.containerInstances, 100, 'containerInstances');
    const { instances } = findCluster(world, input.cluster);
    const { found, failures } = lookUp(world, input.containerInstances, instances, 'container-instance');
    return { containerInstances: found.map((i) => apiInstance(world, i)), failures };
  },
  /** "If the instance is in any other status, an error will be received": as a failure of that one. */
  UpdateContainerInstancesState: (input, { world }) => {
    atMost(input.containerInstances, 10, 'containerInstances');
    const { status } = input;
    if (status !== 'ACTIVE' && status !== 'DRAINING')
      throw new AwsError('InvalidParameterException', 'Container instance status should be one of [ACTIVE,DRAINING]');
    const { instances } = findCluster(world, input.cluster);
    const { found, failures } = lookUp(world, input.containerInstances, instances, 'container-instance');
    const done: ContainerInstance[] = [];
    for (const { id } of found) {
      const instance = instances.get(id);
      if (instance?.status === 'INACTIVE') failures.push({ arn: instance.arn, reason: 'INACTIVE' });
      else if (instance) {
        if (instance.status !== status) sayChange(world, instance, { status });
        done.push(instance);
      }
    }
    return { containerInstances: done.map((i) => apiInstance(world, i)), failures };
  },
  DeregisterContainerInstance: (input, { world }) => {
    const cluster = findCluster(world, input.cluster);
    const instance = cluster.instances.get(nameIn(input.containerInstance));
    if (!instance || instance.status === 'INACTIVE')
      throw new AwsError('InvalidParameterException', 'Referenced container instance not found.');
    if (
      !input.force &&
      [...cluster.tasks.values()].some((t) => t.containerInstance === instance.arn && t.status !== 'STOPPED')
    )
      throw new AwsError('InvalidParameterException', 'Found running tasks on the instance.');
    deregisterInstance(world, cluster, instance, 'Container instance deregistration forced by user.');
    return { containerInstance: apiInstance(world, instance) };
  },
};
