/** Operations on task definitions, services and tasks. */
import type {
  ContainerDefinition as ApiContainerDefinition,
  CreateServiceCommandInput,
  DeploymentConfiguration,
  ListTasksCommandInput,
  LoadBalancer,
  ServiceRevision,
  UpdateServiceCommandInput,
} from '@aws-sdk/client-ecs';
import { emitApiCall } from './apiCalls.ts';
import {
  type Cluster,
  type ContainerDefinition,
  changed,
  definitionOf,
  type EcsService,
  ecsArn,
  nameIn,
  type Task,
  type TaskDefinition,
} from './ecs.ts';
import {
  apiDefinition,
  apiRevision,
  apiService,
  apiServiceDeployment,
  apiServiceDeploymentBrief,
  apiTask,
  deploymentArn,
} from './ecsDescribe.ts';
import {
  atMost,
  type EcsOperations,
  findCluster,
  findDefinition,
  findService,
  lookUp,
  lower,
  pageOf,
} from './ecsLookup.ts';
import { isPlace, place } from './ecsPlacement.ts';
import { deploy, requestRollback } from './ecsScheduler.ts';
import { startTask, stopTask } from './ecsTasks.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

const logsOf = ({ logConfiguration: log }: ApiContainerDefinition): ContainerDefinition['logs'] => {
  const { 'awslogs-group': group, 'awslogs-stream-prefix': prefix } = log?.options ?? {};
  return log?.logDriver === 'awslogs' && group && prefix ? { group, prefix } : undefined;
};

const readDefinition = (c: ApiContainerDefinition): ContainerDefinition => {
  const [port] = c.portMappings ?? [];
  return {
    name: c.name ?? '',
    image: c.image ?? '',
    essential: c.essential ?? true,
    cpu: c.cpu ?? 0,
    memory: c.memory ?? c.memoryReservation ?? 0,
    port: port && { container: port.containerPort ?? 0, host: port.hostPort ?? 0 },
    checked: c.healthCheck !== undefined,
    logs: logsOf(c),
  };
};

/** Also for whoever furnishes a world. */
export const registerDefinition = (
  world: World,
  given: Pick<TaskDefinition, 'family' | 'containers'> &
    Partial<
      Pick<TaskDefinition, 'cpu' | 'memory' | 'networkMode' | 'compatibilities' | 'taskRole' | 'executionRole' | 'tags'>
    >,
): TaskDefinition => {
  const { family, containers } = given;
  const revision =
    1 + Math.max(0, ...[...world.ecs.definitions.values()].filter((d) => d.family === family).map((d) => d.revision));
  const definition: TaskDefinition = {
    family,
    revision,
    arn: ecsArn(world, `task-definition/${family}:${revision}`),
    networkMode: given.networkMode ?? 'bridge',
    compatibilities: given.compatibilities ?? ['EC2'],
    containers,
    cpu: given.cpu ?? containers.reduce((sum, c) => sum + c.cpu, 0),
    memory: given.memory ?? containers.reduce((sum, c) => sum + c.memory, 0),
    registeredAt: world.clock.now(),
    taskRole: given.taskRole,
    executionRole: given.executionRole,
    tags: given.tags ?? {},
    status: 'ACTIVE',
  };
  world.ecs.definitions.set(`${family}:${revision}`, definition);
  return definition;
};

export type NewService = Partial<
  Pick<
    EcsService,
    | 'launchType'
    | 'strategy'
    | 'minimumHealthyPercent'
    | 'maximumPercent'
    | 'circuitBreaker'
    | 'alarms'
    | 'shifting'
    | 'grace'
    | 'rebalancing'
    | 'constraints'
    | 'controller'
    | 'overlooks'
    | 'demand'
    | 'placement'
    | 'distinct'
    | 'targets'
    | 'tags'
  >
>;
export const makeService = (
  world: World,
  cluster: Cluster,
  name: string,
  { definition, desired, ...given }: NewService & { definition: string; desired: number },
): EcsService => {
  const deleted = cluster.services.get(name);
  const service: EcsService = {
    name,
    arn: ecsArn(world, `service/${cluster.name}/${name}`),
    cluster: cluster.name,
    launchType: 'EC2',
    strategy: 'REPLICA',
    createdAt: world.clock.now(),
    status: 'ACTIVE',
    desired,
    minimumHealthyPercent: 100,
    maximumPercent: 200,
    circuitBreaker: { enable: false, rollback: false },
    alarms: undefined,
    shifting: undefined,
    hookedAt: undefined,
    grace: 0,
    rebalancing: false,
    moving: undefined,
    evening: false,
    constraints: [],
    controller: 'ECS',
    overlooks: false,
    demand: 0,
    placement: [],
    distinct: false,
    targets: [],
    deployments: [],
    history: [],
    former: deleted ? [...deleted.history, ...deleted.former] : [],
    events: [],
    throttle: { failures: 0, until: 0, since: 0 },
    completed: undefined,
    unplaced: undefined,
    steady: false,
    tags: {},
    ...given,
  };
  cluster.services.set(name, world.lag.create(service));
  deploy(world, service, definition);
  return service;
};

const minutesOf = (given: number | undefined, otherwise: number): number => (given ?? otherwise) * 60_000;
const shiftingOf = (given: DeploymentConfiguration): Pick<NewService, 'shifting'> => {
  const { strategy, bakeTimeInMinutes, canaryConfiguration: canary, linearConfiguration: linear } = given;
  if (strategy === undefined) return {};
  if (strategy === 'ROLLING') return { shifting: undefined };
  const all = { percent: 100, ms: 0 };
  const bakeMs = minutesOf(bakeTimeInMinutes, 0);
  // Defaults: CanaryConfiguration and LinearConfiguration.
  const { canaryPercent = 5, canaryBakeTimeInMinutes: wait } = canary ?? {};
  if (strategy === 'CANARY')
    return { shifting: { strategy, steps: [{ percent: canaryPercent, ms: minutesOf(wait, 10) }, all], bakeMs } };
  if (strategy === 'BLUE_GREEN') return { shifting: { strategy, steps: [all], bakeMs } };
  const { stepPercent = 10, stepBakeTimeInMinutes: each } = linear ?? {};
  const before = Math.ceil(100 / stepPercent) - 1;
  const steps = Array.from({ length: before }, (_, n) => ({
    percent: stepPercent * (n + 1),
    ms: minutesOf(each, 6),
  }));
  return { shifting: { strategy, steps: [...steps, all], bakeMs } };
};

const targetOf = (world: World, given: LoadBalancer): EcsService['targets'][number] => {
  const { advancedConfiguration: more } = given;
  if (more && !world.elb.rules.has(more.productionListenerRule ?? ''))
    throw new AwsError('InvalidParameterException', `Listener rule ${more.productionListenerRule} does not exist.`);
  return {
    targetGroup: given.targetGroupArn ?? '',
    container: given.containerName ?? '',
    port: given.containerPort ?? 0,
    ...(more && {
      alternate: {
        targetGroup: more.alternateTargetGroupArn ?? '',
        rule: more.productionListenerRule ?? '',
        role: more.roleArn ?? '',
      },
    }),
  };
};

const alarmsOf = ({ alarms }: DeploymentConfiguration): Pick<NewService, 'alarms'> =>
  alarms
    ? { alarms: alarms.enable ? { names: alarms.alarmNames ?? [], rollback: alarms.rollback ?? false } : undefined }
    : {};

const settingsOf = (world: World, input: CreateServiceCommandInput | UpdateServiceCommandInput): NewService => {
  const {
    minimumHealthyPercent,
    maximumPercent,
    deploymentCircuitBreaker: breaker,
  } = input.deploymentConfiguration ?? {};
  return {
    ...(minimumHealthyPercent !== undefined && { minimumHealthyPercent }),
    ...(maximumPercent !== undefined && { maximumPercent }),
    ...(breaker && { circuitBreaker: { enable: breaker.enable ?? false, rollback: breaker.rollback ?? false } }),
    ...alarmsOf(input.deploymentConfiguration ?? {}),
    ...(input.healthCheckGracePeriodSeconds !== undefined && { grace: input.healthCheckGracePeriodSeconds * 1000 }),
    ...(input.availabilityZoneRebalancing && { rebalancing: input.availabilityZoneRebalancing === 'ENABLED' }),
    ...(input.placementStrategy && {
      placement: input.placementStrategy.map((p) => ({ type: p.type ?? 'spread', field: p.field ?? '' })),
    }),
    ...(input.placementConstraints && {
      distinct: input.placementConstraints.some((c) => c.type === 'distinctInstance'),
      constraints: input.placementConstraints.flatMap((c) => (c.type === 'memberOf' ? [c.expression ?? ''] : [])),
    }),
    ...shiftingOf(input.deploymentConfiguration ?? {}),
    ...(input.loadBalancers && { targets: input.loadBalancers.map((l) => targetOf(world, l)) }),
  };
};

/** "Amazon ECS doesn't support Availability Zone rebalancing for … services that use attribute:ecs.availability-zone as a task placement constraint." */
const refuseTiedRebalancing = ({ rebalancing, constraints }: Pick<EcsService, 'rebalancing' | 'constraints'>) => {
  if (rebalancing && constraints.some((c) => c.includes('ecs.availability-zone')))
    throw new AwsError(
      'InvalidParameterException',
      'Availability Zone rebalancing does not support a placement constraint on attribute:ecs.availability-zone.',
    );
};

const taskFilter =
  (cluster: Cluster, input: ListTasksCommandInput) =>
  (t: Task): boolean =>
    t.desired === (input.desiredStatus ?? 'RUNNING') &&
    (!input.serviceName || t.service === nameIn(input.serviceName)) &&
    (!input.containerInstance || nameIn(t.containerInstance) === nameIn(input.containerInstance)) &&
    (!input.family || nameIn(t.definition).startsWith(`${input.family}:`)) &&
    (!input.launchType || t.launchType === input.launchType) &&
    (!input.startedBy || t.startedBy === input.startedBy) &&
    cluster.tasks.has(t.id);

/** Described only when they are asked for. */
const withTags = <T extends { tags?: unknown }>({ tags, ...shape }: T, tagged: boolean) =>
  tagged ? { ...shape, tags: tags as { key: string; value: string }[] } : shape;

/** 'arn:…:service-deployment/shop/web/…' */
const deploymentNamed = (world: World, arn: string) => {
  const [, cluster = '', name = ''] = arn.split('/');
  const service = world.ecs.clusters.get(cluster)?.services.get(name);
  return { service, record: service?.history.find((d) => deploymentArn(world, service, d) === arn) };
};

const protection = (taskArn: string, until: number | undefined) => ({
  taskArn,
  protectionEnabled: until !== undefined,
  ...(until !== undefined && { expirationDate: new Date(until) }),
});

export const workloadOperations: EcsOperations = {
  RegisterTaskDefinition: (input, { world }) => ({
    taskDefinition: apiDefinition(
      registerDefinition(world, {
        family: input.family ?? '',
        containers: (input.containerDefinitions ?? []).map(readDefinition),
        networkMode: input.networkMode === 'awsvpc' || input.networkMode === 'host' ? input.networkMode : 'bridge',
        compatibilities: input.requiresCompatibilities?.includes('FARGATE') ? ['EC2', 'FARGATE'] : ['EC2'],
        ...(input.cpu && { cpu: Number(input.cpu) }),
        ...(input.memory && { memory: Number(input.memory) }),
        taskRole: input.taskRoleArn,
        executionRole: input.executionRoleArn,
        tags: lower(input.tags),
      }),
    ),
  }),
  DescribeTaskDefinition: (input, { world }) => {
    const definition = definitionOf(world, input.taskDefinition ?? '');
    if (!definition) throw new AwsError('ClientException', 'Unable to describe task definition.');
    const tags = Object.entries(definition.tags ?? {}).map(([key, value]) => ({ key, value }));
    return { taskDefinition: apiDefinition(definition), ...(input.include?.includes('TAGS') && { tags }) };
  },
  DeregisterTaskDefinition: (input, { world }) => {
    const definition = findDefinition(world, input.taskDefinition);
    definition.status = 'INACTIVE';
    return { taskDefinition: apiDefinition(definition) };
  },
  ListTaskDefinitions: (input, { world }) => {
    const listed = [...world.ecs.definitions.values()]
      .filter((d) => d.status === (input.status ?? 'ACTIVE') && d.family.startsWith(input.familyPrefix ?? ''))
      .sort((a, b) => (input.sort === 'DESC' ? b.revision - a.revision : a.revision - b.revision));
    const { items, next } = pageOf(
      listed.map((d) => d.arn),
      input,
    );
    return { taskDefinitionArns: items, ...next };
  },

  CreateService: (input, { world }) => {
    const cluster = findCluster(world, input.cluster);
    const name = input.serviceName ?? '';
    if (cluster.services.get(name)?.status === 'DRAINING')
      throw new AwsError('InvalidParameterException', 'Unable to Start a service that is still Draining.');
    if (cluster.services.get(name)?.status === 'ACTIVE')
      throw new AwsError('InvalidParameterException', 'Creation of service was not idempotent.');
    const service = makeService(world, cluster, name, {
      definition: findDefinition(world, input.taskDefinition).arn,
      desired: input.desiredCount ?? 0,
      launchType: input.launchType === 'FARGATE' ? 'FARGATE' : 'EC2',
      strategy: input.schedulingStrategy ?? 'REPLICA',
      tags: lower(input.tags),
      ...settingsOf(world, input),
    });
    return { service: apiService(world, service) };
  },
  UpdateService: (input, { world }) => {
    const service = findService(findCluster(world, input.cluster), input.service);
    const definition = input.taskDefinition && findDefinition(world, input.taskDefinition).arn;
    const settings = settingsOf(world, input);
    refuseTiedRebalancing({ ...service, ...settings });
    world.lag.change(service);
    Object.assign(service, settings, input.desiredCount !== undefined && { desired: input.desiredCount });
    service.steady = false;
    const current = service.deployments.find((d) => d.status === 'PRIMARY')?.definition ?? '';
    if (definition && service.controller !== 'ECS')
      throw new AwsError(
        'InvalidParameterException',
        'Unable to update task definition on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.',
      );
    if (input.forceNewDeployment || (definition && definition !== current))
      deploy(world, service, definition || current);
    changed(world);
    return { service: apiService(world, service) };
  },
  DeleteService: (input, call) => {
    const { world } = call;
    const service = findService(findCluster(world, input.cluster), input.service);
    if (service.desired > 0 && !input.force)
      throw new AwsError('InvalidParameterException', 'The service cannot be stopped while it is scaled above 0.');
    Object.assign(world.lag.change(service), { desired: 0, status: 'DRAINING' });
    emitApiCall(call, { service: 'ecs', eventName: 'DeleteService', requestParameters: { ...input } });
    changed(world);
    return { service: apiService(world, service) };
  },
  ListServices: (input, { world }) => {
    const cluster = findCluster(world, input.cluster);
    const listed = [...cluster.services.values()].filter(
      (s) => s.status === 'ACTIVE' && (!input.launchType || s.launchType === input.launchType),
    );
    const { items, next } = pageOf(
      listed.map((s) => s.arn),
      input,
      10,
    );
    return { serviceArns: items, ...next };
  },
  DescribeServices: (input, { world }) => {
    atMost(input.services, 10, 'services');
    const { found, failures } = lookUp(world, input.services, findCluster(world, input.cluster).services, 'service');
    const tagged = input.include?.includes('TAGS') === true;
    return { services: found.map((s) => withTags(apiService(world, s), tagged)), failures };
  },
  /** The newest first. */
  ListServiceDeployments: (input, { world }) => {
    const service = findService(findCluster(world, input.cluster), input.service);
    const listed = service.history.filter((d) => !input.status?.length || input.status.includes(d.status));
    const { items, next } = pageOf(
      listed.map((d) => d.id),
      input,
    );
    const records = listed.filter((d) => items.includes(d.id));
    return { serviceDeployments: records.map((d) => apiServiceDeploymentBrief(world, service, d)), ...next };
  },
  DescribeServiceDeployments: (input, { world }) => {
    atMost(input.serviceDeploymentArns, 20, 'serviceDeploymentArns');
    const found = (input.serviceDeploymentArns ?? []).map((arn) => ({ arn, ...deploymentNamed(world, arn) }));
    return {
      serviceDeployments: found.flatMap(({ service, record }) =>
        service && record ? [apiServiceDeployment(world, service, record)] : [],
      ),
      failures: found.flatMap(({ arn, record }) => (record ? [] : [{ arn, reason: 'MISSING' }])),
    };
  },
  /** "ROLLBACK_REQUESTED - The service deployment continues the rollback operation": what is on its way back already goes on. */
  StopServiceDeployment: (input, call) => {
    const { world } = call;
    const { service, record } = deploymentNamed(world, input.serviceDeploymentArn ?? '');
    if (input.stopType !== undefined && input.stopType !== 'ROLLBACK')
      throw new AwsError('InvalidParameterException', 'The valid values of stopType are ROLLBACK.');
    if (!service || !record) throw new AwsError('ServiceDeploymentNotFoundException', 'Service deployment not found.');
    if (record.finishedAt !== undefined)
      throw new AwsError('ConflictException', `The service deployment is ${record.status}, and cannot be stopped.`);
    requestRollback(world, service);
    emitApiCall(call, { service: 'ecs', eventName: 'StopServiceDeployment', requestParameters: { ...input } });
    return { serviceDeploymentArn: input.serviceDeploymentArn };
  },
  DescribeServiceRevisions: (input, { world }) => {
    atMost(input.serviceRevisionArns, 20, 'serviceRevisionArns');
    const serviceRevisions: ServiceRevision[] = [];
    const failures: { arn: string; reason: string }[] = [];
    for (const arn of input.serviceRevisionArns ?? []) {
      const [cluster = '', name = '', id = ''] = arn.split('/').slice(1);
      const service = world.ecs.clusters.get(cluster)?.services.get(name);
      const record = service?.history.find((d) => nameIn(d.id) === id);
      if (service && record) serviceRevisions.push(apiRevision(world, service, record));
      else failures.push({ arn, reason: 'MISSING' });
    }
    return { serviceRevisions, failures };
  },

  ListTasks: (input, { world }) => {
    const cluster = findCluster(world, input.cluster);
    const listed = [...cluster.tasks.values()]
      .flatMap((t) => world.lag.seen(t) ?? [])
      .filter(taskFilter(cluster, input));
    const { items, next } = pageOf(
      listed.map((t) => t.arn),
      input,
    );
    return { taskArns: items, ...next };
  },
  DescribeTasks: (input, { world }) => {
    atMost(input.tasks, 100, 'tasks');
    const { found, failures } = lookUp(world, input.tasks, findCluster(world, input.cluster).tasks, 'task');
    const tagged = input.include?.includes('TAGS') === true;
    return { tasks: found.map((t) => withTags(apiTask(world, t), tagged)), failures };
  },
  RunTask: (input, { world }) => {
    const cluster = findCluster(world, input.cluster);
    const definition = findDefinition(world, input.taskDefinition);
    const launchType = input.launchType === 'FARGATE' ? 'FARGATE' : 'EC2';
    const tasks: Task[] = [];
    for (let n = 0; n < (input.count ?? 1); n++) {
      const found = place(world, cluster, { service: undefined, definition, launchType, tasks });
      if (!isPlace(found))
        return {
          tasks: tasks.map((t) => apiTask(world, t)),
          failures: [{ arn: found.closest?.arn, reason: found.reason }],
        };
      const { zone, instance } = found;
      const startedBy = input.startedBy ?? '';
      const tags = lower(input.tags);
      tasks.push(
        startTask(world, { cluster, definition, launchType, zone, instance, service: undefined, startedBy, tags }),
      );
    }
    return { tasks: tasks.map((t) => apiTask(world, t)), failures: [] };
  },
  StopTask: (input, { world }) => {
    const cluster = findCluster(world, input.cluster);
    const task = cluster.tasks.get(nameIn(input.task));
    if (!task) throw new AwsError('InvalidParameterException', 'The referenced task was not found.');
    stopTask(world, task, 'UserInitiated', input.reason ?? 'Task stopped by user');
    return { task: apiTask(world, task) };
  },
  UpdateTaskProtection: (input, { world }) => {
    const cluster = findCluster(world, input.cluster);
    const { found, failures } = lookUp(world, input.tasks, cluster.tasks, 'task');
    // "2 hours" by default, at most 48.
    const until = input.protectionEnabled ? world.clock.now() + (input.expiresInMinutes ?? 120) * 60_000 : undefined;
    for (const { id } of found) {
      const task = cluster.tasks.get(id);
      if (task) world.lag.change(task).protectedUntil = until;
    }
    changed(world);
    return { protectedTasks: found.map((t) => protection(t.arn, until)), failures };
  },
  GetTaskProtection: (input, { world }) => {
    const { found, failures } = lookUp(world, input.tasks, findCluster(world, input.cluster).tasks, 'task');
    const live = (t: Task) => ((t.protectedUntil ?? 0) > world.clock.now() ? t.protectedUntil : undefined);
    return { protectedTasks: found.map((t) => protection(t.arn, live(t))), failures };
  },
};
