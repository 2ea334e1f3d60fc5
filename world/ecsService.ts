/** ECS: its table of operations, and what IAM checks of each. */
import * as api from '@aws-sdk/client-ecs';
import { definitionOf, ecsArn, nameIn } from './ecs.ts';
import { clusterOperations } from './ecsClusters.ts';
import type { EcsOperations } from './ecsLookup.ts';
import { workloadOperations } from './ecsWorkloads.ts';
import { passRole } from './logs.ts';
import { AwsError, defineService, jsonWords, type Resource } from './service.ts';
import type { World } from './world.ts';

/** 'arn:…:service/shop/web' → the service. */
const taggedThing = (world: World, arn: string): { tags: Record<string, string> } => {
  const [kind = '', clusterName = '', id = ''] = arn.split(':').slice(5).join(':').split('/');
  const cluster = world.ecs.clusters.get(clusterName);
  const of = {
    cluster,
    service: cluster?.services.get(id),
    task: cluster?.tasks.get(id),
    'container-instance': cluster?.instances.get(id),
  };
  const thing = of[kind as keyof typeof of];
  if (!thing) throw new AwsError('InvalidParameterException', 'The specified resource does not exist.');
  return thing;
};

const tagOperations: EcsOperations = {
  ListTagsForResource: (input, { world }) => ({
    tags: Object.entries(taggedThing(world, input.resourceArn ?? '').tags).map(([key, value]) => ({ key, value })),
  }),
};

const resource = (world: World, kind: string, cluster: string | undefined, given: string): Resource => {
  const name = nameIn(cluster) || 'default';
  const arn = given.startsWith('arn:') ? given : ecsArn(world, `${kind}/${name}/${given}`);
  const known = world.ecs.clusters.get(name);
  const of = { service: known?.services, task: known?.tasks, 'container-instance': known?.instances };
  return { arn, tags: of[kind as keyof typeof of]?.get(nameIn(arn))?.tags ?? {} };
};
const clusterResource = (world: World, given: string | undefined): Resource => {
  const name = nameIn(given) || 'default';
  return { arn: ecsArn(world, `cluster/${name}`), tags: world.ecs.clusters.get(name)?.tags ?? {} };
};
const each = (world: World, kind: string, cluster: string | undefined, ids: readonly string[] | undefined) =>
  (ids ?? []).map((id) => resource(world, kind, cluster, id));
const inCluster = (world: World, given: string | undefined) => ({ 'ecs:cluster': clusterResource(world, given).arn });

/** Resource types: Service Authorization Reference, "Actions defined by Amazon Elastic Container Service". */
const passing = (...roles: (string | undefined)[]) =>
  roles.flatMap((role) => passRole(role, 'ecs-tasks.amazonaws.com'));

export const ecsService = defineService<typeof api>({
  name: 'ecs',
  signingName: 'ecs',
  iamPrefix: 'ecs',
  protocol: 'json',
  xmlNamespace: '',
  api,
  words: jsonWords,
  operations: { ...clusterOperations, ...workloadOperations, ...tagOperations },
  resources: {
    DescribeClusters: (input, world) => (input.clusters ?? ['default']).map((c) => clusterResource(world, c)),
    CreateCluster: (input, world) => [{ arn: clusterResource(world, input.clusterName).arn }],
    DeleteCluster: (input, world) => [clusterResource(world, input.cluster)],
    ListContainerInstances: (input, world) => [clusterResource(world, input.cluster)],
    DescribeContainerInstances: (input, world) =>
      each(world, 'container-instance', input.cluster, input.containerInstances),
    UpdateContainerInstancesState: (input, world) =>
      each(world, 'container-instance', input.cluster, input.containerInstances),
    DeregisterContainerInstance: (input, world) => [clusterResource(world, input.cluster)],
    DescribeServices: (input, world) => each(world, 'service', input.cluster, input.services),
    UpdateService: (input, world) => each(world, 'service', input.cluster, [input.service ?? '']),
    ListServiceDeployments: (input, world) => each(world, 'service', input.cluster, [input.service ?? '']),
    DescribeServiceDeployments: (input) => (input.serviceDeploymentArns ?? []).map((arn) => ({ arn })),
    // The service as well as its deployment, and only the service can have tags.
    StopServiceDeployment: (input, world) => {
      const [, cluster, service = ''] = (input.serviceDeploymentArn ?? '').split('/');
      return [...each(world, 'service', cluster, [service]), { arn: input.serviceDeploymentArn ?? '' }];
    },
    DescribeServiceRevisions: (input) => (input.serviceRevisionArns ?? []).map((arn) => ({ arn })),
    CreateService: (input, world) => each(world, 'service', input.cluster, [input.serviceName ?? '']),
    DeleteService: (input, world) => each(world, 'service', input.cluster, [input.service ?? '']),
    DescribeTasks: (input, world) => each(world, 'task', input.cluster, input.tasks),
    StopTask: (input, world) => each(world, 'task', input.cluster, [input.task ?? '']),
    UpdateTaskProtection: (input, world) => each(world, 'task', input.cluster, input.tasks),
    GetTaskProtection: (input, world) => each(world, 'task', input.cluster, input.tasks),
    RunTask: (input, world) => [{ arn: definitionOf(world, input.taskDefinition ?? '')?.arn ?? '*' }],
    ListTagsForResource: (input) => [{ arn: input.resourceArn ?? '*' }],
  },
  requires: {
    CreateCluster: (input, world) =>
      (input.tags ?? []).length > 0
        ? [{ action: 'ecs:TagResource', resource: { arn: clusterResource(world, input.clusterName).arn } }]
        : [],
    CreateService: (input, world) =>
      (input.tags ?? []).length > 0
        ? each(world, 'service', input.cluster, [input.serviceName ?? '']).map((r) => ({
            action: 'ecs:TagResource',
            resource: { arn: r.arn },
          }))
        : [],
    RegisterTaskDefinition: (input) => passing(input.taskRoleArn, input.executionRoleArn),
    // Not documented, and so it is: with another definition its roles are passed, with another count they are not.
    UpdateService: (input, world) => {
      const found = input.taskDefinition ? definitionOf(world, input.taskDefinition) : undefined;
      return passing(found?.taskRole, found?.executionRole);
    },
  },
  context: {
    UpdateContainerInstancesState: (input, world) => inCluster(world, input.cluster),
    DescribeContainerInstances: (input, world) => inCluster(world, input.cluster),
    ListServices: (input, world) => inCluster(world, input.cluster),
    ListTasks: (input, world) => inCluster(world, input.cluster),
    StopTask: (input, world) => inCluster(world, input.cluster),
    UpdateService: (input, world) => inCluster(world, input.cluster),
  },
});
