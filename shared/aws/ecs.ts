import {
  type Cluster as AwsCluster,
  type ContainerInstance as AwsContainerInstance,
  type Service as AwsService,
  type Task as AwsTask,
  CreateClusterCommand,
  type CreateClusterCommandInput,
  CreateServiceCommand,
  type CreateServiceCommandInput,
  type DeploymentAlarms,
  DeregisterContainerInstanceCommand,
  DescribeClustersCommand,
  DescribeContainerInstancesCommand,
  DescribeServiceDeploymentsCommand,
  DescribeServiceRevisionsCommand,
  DescribeServicesCommand,
  DescribeTaskDefinitionCommand,
  type DescribeTaskDefinitionCommandOutput,
  DescribeTasksCommand,
  ECSClient,
  type Failure,
  GetTaskProtectionCommand,
  ListServiceDeploymentsCommand,
  type ListTasksCommandInput,
  paginateListClusters,
  paginateListContainerInstances,
  paginateListServices,
  paginateListTasks,
  RegisterTaskDefinitionCommand,
  type RegisterTaskDefinitionCommandInput,
  StopServiceDeploymentCommand,
  StopTaskCommand,
  UpdateContainerInstancesStateCommand,
  UpdateServiceCommand,
  type UpdateServiceCommandInput,
  UpdateTaskProtectionCommand,
} from '@aws-sdk/client-ecs';
import {
  type ContainerCluster,
  type ContainerInstance,
  type ContainerService,
  type Containers,
  type ContainerTask,
  clusterOf,
  type Deployment,
  type Placement,
  primaryOf,
  type Revision,
  type Rollout,
  type TaskShape,
} from '../core/containers.ts';
import { InvalidInput, NotFound, Refused } from '../core/errors.ts';
import type { Json } from '../core/verdict.ts';
import { type ClientOptions, clientConfig, inTime } from './clients.ts';
import { calling } from './errors.ts';

/** What DescribeContainerInstances and DescribeTasks take at once; DescribeServices takes 10. */
const AT_ONCE = 100;
const SERVICES_AT_ONCE = 10;
/** More clusters than this are not looked through for one instance. */
const MOST_CLUSTERS = 100;
/** What GetTaskProtection and UpdateTaskProtection take at once. */
const PROTECTED_AT_ONCE = 10;
/** What DescribeServiceRevisions takes at once. */
const MOST_REVISIONS = 20;

const batches = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));

const nameIn = (arn: string | undefined): string => arn?.split('/').at(-1) ?? '';
const timeOf = (date: Date | undefined): number => date?.getTime() ?? 0;

const amount = (
  raw: AwsContainerInstance,
  name: string,
  of: 'remainingResources' | 'registeredResources' = 'remainingResources',
): number => {
  const found = raw[of]?.find((r) => r.name === name);
  if (found?.integerValue === undefined)
    throw new InvalidInput(`ECS describes ${raw.containerInstanceArn ?? 'an instance'} without ${name} in its ${of}`);
  return found.integerValue;
};

const asInstance = (raw: AwsContainerInstance, cluster: string): ContainerInstance => {
  const { containerInstanceArn: arn, ec2InstanceId: instance, status, agentConnected: connected } = raw;
  if (!arn || !instance || !status || connected === undefined)
    throw new InvalidInput(`ECS describes ${arn ?? 'an instance'} without its instance, status or connection`);
  return {
    arn,
    cluster,
    instance,
    status,
    connected,
    zone: raw.attributes?.find((a) => a.name === 'ecs.availability-zone')?.value ?? 'unknown',
    running: raw.runningTasksCount ?? 0,
    pending: raw.pendingTasksCount ?? 0,
    free: { cpu: amount(raw, 'CPU'), memory: amount(raw, 'MEMORY') },
    whole: { cpu: amount(raw, 'CPU', 'registeredResources'), memory: amount(raw, 'MEMORY', 'registeredResources') },
    // Its remaining resources list those that are taken.
    ports: (raw.remainingResources?.find((r) => r.name === 'PORTS')?.stringSetValue ?? []).map(Number),
    ...(raw.capacityProviderName ? { provider: raw.capacityProviderName } : {}),
    registeredAt: timeOf(raw.registeredAt),
  };
};

const tagsOf = (tags: AwsTask['tags']): Readonly<Record<string, string>> =>
  Object.fromEntries((tags ?? []).map(({ key = '', value = '' }) => [key, value]));

const HEALTH = { HEALTHY: 'healthy', UNHEALTHY: 'unhealthy', UNKNOWN: 'unknown' } as const;

const asContainer = (c: NonNullable<AwsTask['containers']>[number]): ContainerTask['containers'][number] => ({
  name: c.name ?? '',
  image: c.image ?? '',
  ...(c.imageDigest ? { digest: c.imageDigest } : {}),
  ...(c.exitCode === undefined ? {} : { exitCode: c.exitCode }),
  ...(c.reason ? { reason: c.reason } : {}),
  ...(c.memory ? { memory: Number(c.memory) } : {}),
  hostPorts: (c.networkBindings ?? []).flatMap((b) => b.hostPort ?? []),
});

const stoppedOf = ({ stopCode, stoppedAt, stoppedReason }: AwsTask): Pick<ContainerTask, 'stopped'> =>
  stopCode || stoppedAt || stoppedReason
    ? {
        stopped: {
          ...(stoppedAt ? { at: timeOf(stoppedAt) } : {}),
          ...(stopCode ? { code: stopCode } : {}),
          ...(stoppedReason ? { reason: stoppedReason } : {}),
        },
      }
    : {};

const asTask = (raw: AwsTask): ContainerTask => {
  const { taskArn: arn, lastStatus: status, desiredStatus: desired, taskDefinitionArn: definition } = raw;
  if (!arn || !status || !desired || !definition)
    throw new InvalidInput(`ECS describes ${arn ?? 'a task'} without its status or definition`);
  return {
    arn,
    service: raw.group?.startsWith('service:') ? raw.group.slice('service:'.length) : undefined,
    definition,
    launchType: raw.launchType ?? 'EC2',
    zone: raw.availabilityZone ?? 'unknown',
    containerInstance: raw.containerInstanceArn,
    status,
    desired,
    health: HEALTH[raw.healthStatus ?? 'UNKNOWN'],
    room: { cpu: Number(raw.cpu ?? 0), memory: Number(raw.memory ?? 0) },
    createdAt: timeOf(raw.createdAt),
    ...(raw.startedAt ? { startedAt: timeOf(raw.startedAt) } : {}),
    ...stoppedOf(raw),
    containers: (raw.containers ?? []).map(asContainer),
    addresses: (raw.containers ?? []).flatMap((c) =>
      (c.networkInterfaces ?? []).flatMap((n) => n.privateIpv4Address ?? []),
    ),
    tags: tagsOf(raw.tags),
  };
};

const asDeployment = (raw: NonNullable<AwsService['deployments']>[number]): Deployment => ({
  id: raw.id ?? '',
  definition: raw.taskDefinition ?? '',
  status: raw.status ?? '',
  rollout: raw.rolloutState,
  ...(raw.rolloutStateReason ? { because: raw.rolloutStateReason } : {}),
  failedTasks: raw.failedTasks ?? 0,
  desired: raw.desiredCount ?? 0,
  running: raw.runningCount ?? 0,
  createdAt: timeOf(raw.createdAt),
  updatedAt: timeOf(raw.updatedAt),
});

type Places = 'rebalancing' | 'placement' | 'constraints' | 'providers' | 'subnets' | 'classic';
const placesOf = (raw: AwsService): Pick<ContainerService, Places> => ({
  rebalancing: raw.availabilityZoneRebalancing === 'ENABLED',
  placement: (raw.placementStrategy ?? []).map((p) => ({ type: p.type ?? '', field: p.field ?? '' })),
  constraints: (raw.placementConstraints ?? []).map((c) => c.expression ?? c.type ?? ''),
  providers: (raw.capacityProviderStrategy ?? []).flatMap((c) => c.capacityProvider ?? []),
  subnets: raw.networkConfiguration?.awsvpcConfiguration?.subnets ?? [],
  classic: (raw.loadBalancers ?? []).some((l) => l.loadBalancerName !== undefined),
});

const settingsOf = (raw: AwsService): Json => {
  const [primary] = (raw.deployments ?? []).filter((d) => d.status === 'PRIMARY');
  const settings: Omit<CreateServiceCommandInput, 'serviceName' | 'taskDefinition'> = {
    ...(raw.capacityProviderStrategy?.length
      ? { capacityProviderStrategy: raw.capacityProviderStrategy }
      : { launchType: raw.launchType }),
    // A daemon has as many tasks as there are instances.
    desiredCount: raw.schedulingStrategy === 'DAEMON' ? undefined : raw.desiredCount,
    schedulingStrategy: raw.schedulingStrategy,
    loadBalancers: raw.loadBalancers,
    serviceRegistries: raw.serviceRegistries,
    networkConfiguration: raw.networkConfiguration,
    platformVersion: raw.platformVersion,
    deploymentConfiguration: raw.deploymentConfiguration,
    deploymentController: raw.deploymentController,
    healthCheckGracePeriodSeconds: raw.healthCheckGracePeriodSeconds,
    placementConstraints: raw.placementConstraints,
    placementStrategy: raw.placementStrategy,
    availabilityZoneRebalancing: raw.availabilityZoneRebalancing,
    enableECSManagedTags: raw.enableECSManagedTags,
    enableExecuteCommand: raw.enableExecuteCommand,
    propagateTags: raw.propagateTags,
    serviceConnectConfiguration: primary?.serviceConnectConfiguration,
    volumeConfigurations: primary?.volumeConfigurations,
    tags: raw.tags?.filter(({ key }) => !key?.startsWith('aws:')),
  };
  // What is not there is left out, and nothing else is in it than JSON has.
  return JSON.parse(JSON.stringify(settings)) as Json;
};

/** Without what AWS alone sets. */
const asCluster = (raw: AwsCluster): ContainerCluster => {
  const { clusterArn: arn, clusterName: name, registeredContainerInstancesCount: registered = 0 } = raw;
  if (!arn || !name) throw new InvalidInput('ECS describes a cluster without its name');
  const { namespace } = raw.serviceConnectDefaults ?? {};
  const settings: Omit<CreateClusterCommandInput, 'clusterName'> = {
    settings: raw.settings,
    configuration: raw.configuration,
    capacityProviders: raw.capacityProviders,
    defaultCapacityProviderStrategy: raw.defaultCapacityProviderStrategy,
    serviceConnectDefaults: namespace ? { namespace } : undefined,
    tags: raw.tags?.filter(({ key }) => !key?.startsWith('aws:')),
  };
  return { arn, name, tags: tagsOf(raw.tags), registered, settings: JSON.parse(JSON.stringify(settings)) as Json };
};

const alarmsOf = (alarms: DeploymentAlarms | undefined): Pick<ContainerService, 'alarms'> =>
  alarms?.enable ? { alarms: { names: alarms.alarmNames ?? [], rollBack: alarms.rollback === true } } : {};

const rolloutsOf = (raw: AwsService): Pick<ContainerService, 'shifting' | 'rollout'> => {
  const { strategy = 'ROLLING', bakeTimeInMinutes = 0 } = raw.deploymentConfiguration ?? {};
  return {
    ...(strategy === 'ROLLING' ? {} : { shifting: { strategy, bake: bakeTimeInMinutes * 60_000 } }),
    ...(raw.currentServiceDeployment ? { rollout: raw.currentServiceDeployment } : {}),
  };
};

const asService = (raw: AwsService): ContainerService => {
  const { serviceArn: arn, serviceName: name, clusterArn } = raw;
  if (!arn || !name || !clusterArn) throw new InvalidInput('ECS describes a service without its name or cluster');
  const {
    minimumHealthyPercent: least = 100,
    maximumPercent: most = 200,
    deploymentCircuitBreaker: breaker,
    alarms,
  } = raw.deploymentConfiguration ?? {};
  return {
    arn,
    name,
    cluster: nameIn(clusterArn),
    status: raw.status ?? 'ACTIVE',
    controller: raw.deploymentController?.type ?? 'ECS',
    grace: (raw.healthCheckGracePeriodSeconds ?? 0) * 1000,
    rollsBack: breaker?.enable === true && breaker.rollback === true,
    ...alarmsOf(alarms),
    ...rolloutsOf(raw),
    tags: tagsOf(raw.tags),
    launchType: raw.launchType,
    strategy: raw.schedulingStrategy ?? 'REPLICA',
    desired: raw.desiredCount ?? 0,
    running: raw.runningCount ?? 0,
    pending: raw.pendingCount ?? 0,
    minimumHealthyPercent: least,
    maximumPercent: most,
    targetGroups: (raw.loadBalancers ?? []).flatMap((l) =>
      l.targetGroupArn
        ? [
            {
              arn: l.targetGroupArn,
              ...(l.advancedConfiguration?.alternateTargetGroupArn
                ? { alternate: l.advancedConfiguration.alternateTargetGroupArn }
                : {}),
              container: l.containerName ?? '',
              port: l.containerPort ?? 0,
            },
          ]
        : [],
    ),
    ...placesOf(raw),
    settings: settingsOf(raw),
    deployments: (raw.deployments ?? []).map(asDeployment),
    events: (raw.events ?? []).map((e) => ({ at: timeOf(e.createdAt), message: e.message ?? '' })),
  };
};

const asShape = ({ taskDefinition: raw, tags }: DescribeTaskDefinitionCommandOutput): TaskShape => {
  const containers = raw?.containerDefinitions ?? [];
  const sum = (of: (c: (typeof containers)[number]) => number | undefined): number =>
    containers.reduce((total, c) => total + (of(c) ?? 0), 0);
  return {
    status: raw?.status ?? 'INACTIVE',
    room: {
      cpu: raw?.cpu ? Number(raw.cpu) : sum((c) => c.cpu),
      memory: raw?.memory ? Number(raw.memory) : sum((c) => c.memoryReservation ?? c.memory),
    },
    hostPorts: containers.flatMap((c) => (c.portMappings ?? []).flatMap((p) => p.hostPort || [])),
    images: containers.map((c) => ({ name: c.name ?? '', image: c.image ?? '' })),
    roles: [...new Set([raw?.taskRoleArn, raw?.executionRoleArn].flatMap((r) => r || []))],
    logs: containers.flatMap(({ name = '', logConfiguration: log }) => {
      const { 'awslogs-group': group, 'awslogs-stream-prefix': prefix } = log?.options ?? {};
      return log?.logDriver === 'awslogs' && group && prefix ? [{ container: name, group, prefix }] : [];
    }),
    tags: tagsOf(tags),
    windows: raw?.runtimePlatform?.operatingSystemFamily?.startsWith('WINDOWS') === true,
  };
};

/** What RegisterTaskDefinition takes of what DescribeTaskDefinition answers. */
const copyOf = (
  { taskDefinition: raw }: DescribeTaskDefinitionCommandOutput,
  pins: Readonly<Record<string, string>>,
): RegisterTaskDefinitionCommandInput => {
  const {
    taskDefinitionArn: _arn,
    revision: _revision,
    status: _status,
    requiresAttributes: _attributes,
    compatibilities: _compatibilities,
    registeredAt: _at,
    registeredBy: _by,
    deregisteredAt: _gone,
    family,
    containerDefinitions = [],
    ...rest
  } = raw ?? {};
  if (!family) throw new InvalidInput('ECS describes a task definition without its family');
  return {
    ...rest,
    family,
    containerDefinitions: containerDefinitions.map((c) => {
      const image = pins[c.name ?? ''];
      return image === undefined ? c : { ...c, image };
    }),
  };
};

/** ECS answers 200 and lists what it did not do. What is missing is passed over: it is gone meanwhile. */
const onlyMissing = (failures: readonly Failure[] | undefined, what: string): void => {
  const [first] = (failures ?? []).filter((f) => f.reason !== 'MISSING');
  if (first)
    throw new Refused(
      first.reason ?? 'failure',
      `${what}: ${first.arn ?? ''} ${first.reason ?? ''} ${first.detail ?? ''}`,
    );
};

const readerOf = (client: ECSClient) => {
  const clusters = async (): Promise<readonly string[]> => {
    const found: string[] = [];
    for await (const { clusterArns = [] } of paginateListClusters({ client, pageSize: 100 }, {})) {
      found.push(...clusterArns.map(nameIn));
      if (found.length >= MOST_CLUSTERS) break;
    }
    return found.slice(0, MOST_CLUSTERS);
  };
  const instances = async (cluster: string, filter?: string): Promise<readonly ContainerInstance[]> => {
    const arns: string[] = [];
    const input = { cluster, ...(filter === undefined ? {} : { filter }) };
    for await (const page of paginateListContainerInstances({ client, pageSize: 100 }, input))
      arns.push(...(page.containerInstanceArns ?? []));
    const found: ContainerInstance[] = [];
    for (const containerInstances of batches(arns, AT_ONCE)) {
      const answer = await client.send(new DescribeContainerInstancesCommand({ cluster, containerInstances }));
      onlyMissing(answer.failures, `cannot describe the instances of ${cluster}`);
      found.push(...(answer.containerInstances ?? []).map((i) => asInstance(i, cluster)));
    }
    return found;
  };
  const describe = async (cluster: string, arns: readonly string[]): Promise<readonly ContainerTask[]> => {
    const found: ContainerTask[] = [];
    for (const tasks of batches(arns, AT_ONCE)) {
      const answer = await client.send(new DescribeTasksCommand({ cluster, tasks, include: ['TAGS'] }));
      onlyMissing(answer.failures, `cannot describe tasks of ${cluster}`);
      found.push(...(answer.tasks ?? []).map(asTask));
    }
    return found;
  };
  const listed = async (
    cluster: string,
    desiredStatus: 'RUNNING' | 'STOPPED',
    of: Pick<ListTasksCommandInput, 'containerInstance' | 'serviceName'> = {},
  ): Promise<readonly string[]> => {
    const arns: string[] = [];
    const pages = paginateListTasks({ client, pageSize: 100 }, { cluster, desiredStatus, ...of });
    for await (const page of pages) arns.push(...(page.taskArns ?? []));
    return arns;
  };
  const tasks = async (cluster: string, desiredStatus: 'RUNNING' | 'STOPPED') =>
    describe(cluster, await listed(cluster, desiredStatus));
  /** What is to stop is listed apart. */
  const tasksOf = async (cluster: string, of: Parameters<typeof listed>[2]) => {
    const both = await Promise.all([listed(cluster, 'RUNNING', of), listed(cluster, 'STOPPED', of)]);
    // One may be listed twice, if it was told to stop in between.
    return describe(cluster, [...new Set(both.flat())]);
  };
  const services = async (cluster: string, names: readonly string[]): Promise<readonly ContainerService[]> => {
    const found: ContainerService[] = [];
    for (const some of batches(names, SERVICES_AT_ONCE)) {
      const answer = await client.send(new DescribeServicesCommand({ cluster, services: some, include: ['TAGS'] }));
      onlyMissing(answer.failures, `cannot describe the services of ${cluster}`);
      found.push(...(answer.services ?? []).map(asService));
    }
    return found;
  };
  const revisions = async (cluster: string, service: string): Promise<readonly Revision[]> => {
    const { serviceDeployments = [] } = await client.send(
      new ListServiceDeploymentsCommand({ cluster, service, status: ['SUCCESSFUL'], maxResults: MOST_REVISIONS }),
    );
    const arns = serviceDeployments.flatMap((d) => d.targetServiceRevisionArn ?? []).slice(0, MOST_REVISIONS);
    if (arns.length === 0) return [];
    const { serviceRevisions = [] } = await client.send(
      new DescribeServiceRevisionsCommand({ serviceRevisionArns: arns }),
    );
    return serviceDeployments.flatMap(({ targetServiceRevisionArn: arn, finishedAt }) => {
      const found = serviceRevisions.find((r) => r.serviceRevisionArn === arn);
      if (!found?.taskDefinition) return [];
      const images = (found.containerImages ?? []).map(({ containerName, image, imageDigest }) => ({
        name: containerName ?? '',
        image: image ?? '',
        ...(imageDigest ? { digest: imageDigest } : {}),
      }));
      return [{ definition: found.taskDefinition, at: timeOf(finishedAt), images }];
    });
  };
  const rollout = async (arn: string): Promise<Rollout | undefined> => {
    const answer = await client.send(new DescribeServiceDeploymentsCommand({ serviceDeploymentArns: [arn] }));
    onlyMissing(answer.failures, `cannot look at ${arn}`);
    const [raw] = answer.serviceDeployments ?? [];
    const { arn: revision, requestedProductionTrafficWeight: share } = raw?.targetServiceRevision ?? {};
    if (!raw?.status || !revision) return undefined;
    return {
      arn,
      // A revision has the id of its deployment.
      deployment: `ecs-svc/${nameIn(revision)}`,
      status: raw.status,
      ...(raw.lifecycleStage ? { stage: raw.lifecycleStage } : {}),
      ...(share === undefined ? {} : { share }),
      changedAt: timeOf(raw.updatedAt ?? raw.startedAt ?? raw.createdAt),
      ...(raw.finishedAt ? { endedAt: timeOf(raw.finishedAt) } : {}),
    };
  };
  return { clusters, instances, describe, tasks, tasksOf, services, revisions, rollout };
};

const asStrategy = ({ type, field }: Placement) => ({
  type: type as 'spread',
  ...(field === '' ? {} : { field }),
});
const asConstraint = (text: string) =>
  text === 'distinctInstance' ? { type: 'distinctInstance' as const } : { type: 'memberOf' as const, expression: text };
/** What is not named stays as it is. */
const update = async (
  client: ECSClient,
  arn: string,
  change: Omit<UpdateServiceCommandInput, 'cluster' | 'service'>,
): Promise<void> => {
  await client.send(new UpdateServiceCommand({ cluster: clusterOf(arn), service: nameIn(arn), ...change }));
};

export const ecsContainers = (options: ClientOptions): Containers => {
  const client = new ECSClient(clientConfig(options, 3));
  const writer = new ECSClient(clientConfig(options, 1));
  const reader = readerOf(client);
  const active = async (arn: string): Promise<ContainerService> => {
    const [found] = await reader.services(clusterOf(arn), [nameIn(arn)]);
    if (found?.status !== 'ACTIVE') throw new NotFound(`the service ${arn} is gone`);
    return found;
  };
  const deployedMeanwhile = (arn: string, definition: string | undefined): Refused =>
    new Refused('deployed-meanwhile', `${nameIn(definition)} was deployed to ${nameIn(arn)} meanwhile`);
  /** The definition, or a copy of it that names its images by digest. */
  const exact = async (definition: string, pins: Readonly<Record<string, string>> | undefined): Promise<string> => {
    if (pins === undefined) return definition;
    const found = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: definition }));
    const { taskDefinition } = await writer.send(new RegisterTaskDefinitionCommand(copyOf(found, pins)));
    return taskDefinition?.taskDefinitionArn ?? definition;
  };
  return {
    clusters: () => calling('cannot list the clusters', reader.clusters),
    describeClusters: (names) =>
      calling(`cannot look at the clusters ${names.slice(0, 3).join(', ')}`, async () => {
        const found: ContainerCluster[] = [];
        for (const some of batches(names, AT_ONCE)) {
          const answer = await client.send(
            new DescribeClustersCommand({ clusters: some, include: ['CONFIGURATIONS', 'SETTINGS', 'TAGS'] }),
          );
          onlyMissing(answer.failures, 'cannot look at the clusters');
          // One that was deleted may be described for a while.
          found.push(...(answer.clusters ?? []).filter((c) => c.status !== 'INACTIVE').map(asCluster));
        }
        return found;
      }),
    createCluster: (name, settings) =>
      calling(`cannot create the cluster ${name}`, async () => {
        await writer.send(new CreateClusterCommand({ ...(settings as object), clusterName: name }));
      }),
    ofInstance: (id) =>
      calling(`cannot ask which container instance ${id} is`, async () => {
        for (const cluster of await reader.clusters()) {
          const found = await reader.instances(cluster, `ec2InstanceId == ${id}`);
          const there = found.find((i) => i.status !== 'INACTIVE');
          if (there) return there;
        }
        return undefined;
      }),
    instances: (cluster, only) =>
      calling(`cannot look at the instances of the cluster ${cluster}`, () =>
        reader.instances(cluster, only && 'agentConnected == false'),
      ),
    tasksOn: ({ arn, cluster }) =>
      calling(`cannot look at the tasks on ${arn}`, async () =>
        (await reader.tasksOf(cluster, { containerInstance: arn })).filter((t) => t.status !== 'STOPPED'),
      ),
    services: (cluster, names) =>
      calling(`cannot look at the services of the cluster ${cluster}`, () => reader.services(cluster, names)),
    serviceNames: (cluster) =>
      calling(`cannot list the services of the cluster ${cluster}`, async () => {
        const found: string[] = [];
        for await (const { serviceArns = [] } of paginateListServices({ client, pageSize: 100 }, { cluster }))
          found.push(...serviceArns.map(nameIn));
        return found;
      }),
    tasksOf: ({ cluster, name }) =>
      calling(`cannot look at the tasks of ${cluster}/${name}`, () => reader.tasksOf(cluster, { serviceName: name })),
    wanted: (cluster) =>
      calling(`cannot look at what runs in the cluster ${cluster}`, () => reader.tasks(cluster, 'RUNNING')),
    stopped: (cluster) =>
      calling(`cannot look at what has stopped in the cluster ${cluster}`, () => reader.tasks(cluster, 'STOPPED')),
    task: (arn) =>
      calling(`cannot look at ${arn}`, async () => {
        const [found] = await reader.describe(clusterOf(arn), [arn]);
        if (!found) throw new NotFound(`ECS knows no ${arn}, or no more`);
        return found;
      }),
    revisions: ({ cluster, name }) =>
      calling(`cannot look at the deployments of ${cluster}/${name}`, () => reader.revisions(cluster, name)),
    rollout: (arn) =>
      calling(`cannot look at ${arn}`, async () => {
        const found = await reader.rollout(arn);
        if (!found) throw new NotFound(`ECS knows no ${arn}, or no more`);
        return found;
      }),
    goBack: (rollout) =>
      calling(`cannot go back from ${rollout}`, async () => {
        await writer.send(new StopServiceDeploymentCommand({ serviceDeploymentArn: rollout, stopType: 'ROLLBACK' }));
      }),
    definition: (arn) =>
      calling(`cannot look at ${arn}`, async () =>
        asShape(await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: arn, include: ['TAGS'] }))),
      ),
    stop: (arn, reason) =>
      calling(`cannot stop ${arn}`, async () => {
        await writer.send(new StopTaskCommand({ cluster: clusterOf(arn), task: arn, reason: reason.slice(0, 255) }));
      }),
    release: (arn, { expected, definition }) =>
      calling(`cannot deploy ${nameIn(definition)} to ${arn}`, async () => {
        const now = primaryOf(await active(arn))?.definition;
        if (now === definition) return;
        if (now !== expected) throw deployedMeanwhile(arn, now);
        inTime(options);
        await update(writer, arn, { taskDefinition: definition });
      }),
    setRebalancing: (arn, on) =>
      calling(`cannot turn the rebalancing of ${arn} ${on ? 'on' : 'off'}`, () =>
        update(writer, arn, { availabilityZoneRebalancing: on ? 'ENABLED' : 'DISABLED' }),
      ),
    scale: (arn, { expected, desired, placement }) =>
      calling(`cannot make ${arn} want ${desired} tasks`, async () => {
        const found = await active(arn);
        if (found.desired !== expected && found.desired !== desired)
          throw new Refused(
            'scaled-meanwhile',
            `${nameIn(arn)} wants ${found.desired} tasks meanwhile, not ${expected}`,
          );
        inTime(options);
        await update(writer, arn, {
          desiredCount: desired,
          ...(placement ? { placementStrategy: placement.map(asStrategy) } : {}),
        });
      }),
    constrain: (arn, { expected, constraints, rebalancing }) =>
      calling(`cannot change where ${arn} is placed`, async () => {
        const found = await active(arn);
        const text = (list: readonly string[]): string => [...list].sort().join('; ');
        const is = text(found.constraints);
        if (is !== text(expected) && is !== text(constraints))
          throw new Refused(
            'constrained-meanwhile',
            `${nameIn(arn)} is placed by other constraints meanwhile (${is || 'none'})`,
          );
        inTime(options);
        await update(writer, arn, {
          placementConstraints: constraints.map(asConstraint),
          ...(rebalancing === undefined
            ? {}
            : { availabilityZoneRebalancing: rebalancing ? ('ENABLED' as const) : ('DISABLED' as const) }),
        });
      }),
    protections: (arns) =>
      calling(`cannot ask which tasks are protected`, async () => {
        const found: [string, number][] = [];
        for (const tasks of batches(arns, PROTECTED_AT_ONCE)) {
          const { protectedTasks = [], failures } = await client.send(
            new GetTaskProtectionCommand({ cluster: clusterOf(tasks[0] ?? ''), tasks }),
          );
          onlyMissing(failures, 'cannot ask which tasks are protected');
          for (const { taskArn, protectionEnabled, expirationDate } of protectedTasks)
            if (taskArn && protectionEnabled) found.push([taskArn, timeOf(expirationDate)]);
        }
        return Object.fromEntries(found);
      }),
    protect: (arns, ms) =>
      calling(`cannot ${ms === undefined ? 'end the protection of' : 'protect'} ${arns.length} tasks`, async () => {
        for (const tasks of batches(arns, PROTECTED_AT_ONCE)) {
          inTime(options);
          const { failures } = await writer.send(
            new UpdateTaskProtectionCommand({
              cluster: clusterOf(tasks[0] ?? ''),
              tasks,
              protectionEnabled: ms !== undefined,
              ...(ms === undefined ? {} : { expiresInMinutes: ms / 60_000 }),
            }),
          );
          onlyMissing(failures, 'cannot protect the tasks that stay');
        }
      }),
    deploy: (arn, { deployment, definition, pins }) =>
      calling(`cannot deploy ${nameIn(definition)} to ${arn}`, async () => {
        const now = primaryOf(await active(arn));
        if (now?.id !== deployment) throw deployedMeanwhile(arn, now?.definition);
        inTime(options);
        const taskDefinition = await exact(definition, pins);
        await update(writer, arn, { taskDefinition });
        return { definition: taskDefinition };
      }),
    create: (arn, { definition, pins, settings }, token) =>
      calling(`cannot create ${arn}`, async () => {
        const taskDefinition = await exact(definition, pins);
        await writer.send(
          new CreateServiceCommand({
            ...(settings as object),
            cluster: clusterOf(arn),
            serviceName: nameIn(arn),
            taskDefinition,
            // Of at most 36 characters.
            clientToken: token.slice(-36),
          }),
        );
        return { definition: taskDefinition };
      }),
    setState: (arn, to) =>
      calling(`cannot set ${arn} to ${to}`, async () => {
        const { failures = [] } = await writer.send(
          new UpdateContainerInstancesStateCommand({ cluster: clusterOf(arn), containerInstances: [arn], status: to }),
        );
        if (failures.some((f) => f.reason === 'MISSING')) throw new NotFound(`cannot set ${arn} to ${to}: it is gone`);
        onlyMissing(failures, `cannot set ${arn} to ${to}`);
      }),
    deregister: (arn) =>
      calling(`cannot deregister ${arn}`, async () => {
        await writer.send(
          new DeregisterContainerInstanceCommand({ cluster: clusterOf(arn), containerInstance: arn, force: true }),
        );
      }),
  };
};
