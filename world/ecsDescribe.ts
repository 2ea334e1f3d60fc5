/** ECS in the API's words, and on the bus: its events carry the same shapes with times as text. */
import { createHash } from 'node:crypto';
import type {
  ContainerInstance as ApiContainerInstance,
  ServiceRevision as ApiRevision,
  Service as ApiService,
  ServiceDeployment as ApiServiceDeployment,
  ServiceDeploymentBrief as ApiServiceDeploymentBrief,
  Task as ApiTask,
  TaskDefinition as ApiTaskDefinition,
  DeploymentConfiguration,
} from '@aws-sdk/client-ecs';
import { toTags } from './describe.ts';
import {
  type Cluster,
  type Container,
  type ContainerInstance,
  clusterNamed,
  type Deployment,
  type DeploymentRecord,
  definitionOf,
  type EcsService,
  ecsArn,
  nameIn,
  type Resources,
  remaining,
  type Task,
  type TaskDefinition,
  tasksOn,
} from './ecs.ts';
import { heldIn, shareOf } from './ecsShifts.ts';
import { subnetIn } from './places.ts';
import type { World } from './world.ts';

/** ECS writes its tags in lower case. */
const lowerTags = (tags: Readonly<Record<string, string>>) =>
  toTags(tags).map(({ Key, Value }) => ({ key: Key, value: Value }));

const resourcesOf = ({ cpu, memory }: Resources, ports: readonly string[]) => [
  { name: 'CPU', type: 'INTEGER', integerValue: cpu },
  { name: 'MEMORY', type: 'INTEGER', integerValue: memory },
  { name: 'PORTS', type: 'STRINGSET', stringSetValue: [...ports] },
  { name: 'PORTS_UDP', type: 'STRINGSET', stringSetValue: [] },
];
/** sshd, Docker, the agent's introspection and credentials. */
const RESERVED = ['22', '2375', '2376', '51678', '51679'];

export const apiInstance = (world: World, seen: ContainerInstance): ApiContainerInstance => {
  const cluster = clusterNamed(world, seen.cluster);
  const tasks = tasksOn(cluster, seen);
  const ports = tasks.flatMap((t) => t.containers.flatMap((c) => (c.hostPort ? [String(c.hostPort)] : [])));
  const ec2 = world.ec2.instances.get(seen.ec2InstanceId);
  return {
    containerInstanceArn: seen.arn,
    ec2InstanceId: seen.ec2InstanceId,
    version: seen.version,
    versionInfo: { agentVersion: seen.agentVersion, agentHash: '0d3ae3f2', dockerVersion: 'DockerVersion: 25.0.14' },
    registeredResources: resourcesOf(seen.registered, RESERVED),
    remainingResources: resourcesOf(remaining(cluster, seen), [...RESERVED, ...ports]),
    status: seen.status,
    agentConnected: seen.connected,
    runningTasksCount: tasks.filter((t) => t.status !== 'PENDING' && t.status !== 'PROVISIONING').length,
    pendingTasksCount: tasks.filter((t) => t.status === 'PENDING' || t.status === 'PROVISIONING').length,
    attributes: [
      { name: 'ecs.availability-zone', value: seen.zone },
      ...(ec2 ? [{ name: 'ecs.instance-type', value: ec2.type }] : []),
      { name: 'ecs.os-type', value: 'linux' },
      { name: 'ecs.cpu-architecture', value: 'x86_64' },
    ],
    registeredAt: new Date(seen.registeredAt),
    attachments: [],
    tags: lowerTags(seen.tags),
  };
};

const healthOf = (containers: readonly Container[]): ApiTask['healthStatus'] => {
  const known = containers.filter((c) => c.essential && c.health !== 'UNKNOWN');
  if (known.length === 0) return 'UNKNOWN';
  return known.some((c) => c.health === 'UNHEALTHY') ? 'UNHEALTHY' : 'HEALTHY';
};

const times = (t: Task) => ({
  createdAt: new Date(t.createdAt),
  ...(t.startedAt !== undefined && { startedAt: new Date(t.startedAt) }),
  ...(t.stoppingAt !== undefined && { stoppingAt: new Date(t.stoppingAt) }),
  ...(t.stoppedAt !== undefined && { stoppedAt: new Date(t.stoppedAt) }),
});

const memoryOf = (world: World, task: Task, { name }: Container) => {
  const memory = definitionOf(world, task.definition)?.containers.find((c) => c.name === name)?.memory;
  return memory ? { memory: String(memory) } : {};
};
const apiContainer = (world: World, task: Task, c: Container) => ({
  containerArn: task.arn.replace(':task/', ':container/').concat(`/${c.id}`),
  taskArn: task.arn,
  name: c.name,
  image: c.image,
  imageDigest: c.digest,
  lastStatus: c.status,
  healthStatus: c.health,
  ...memoryOf(world, task, c),
  ...(c.exitCode !== undefined && { exitCode: c.exitCode }),
  ...(c.reason && { reason: c.reason }),
  networkBindings: c.hostPort ? [{ bindIP: '0.0.0.0', hostPort: c.hostPort, protocol: 'tcp' as const }] : [],
  networkInterfaces: task.address ? [{ privateIpv4Address: task.address }] : [],
});

export const apiTask = (world: World, task: Task): ApiTask => ({
  taskArn: task.arn,
  clusterArn: clusterNamed(world, task.cluster).arn,
  taskDefinitionArn: task.definition,
  group: task.group,
  startedBy: task.startedBy,
  launchType: task.launchType,
  availabilityZone: task.zone,
  ...(task.containerInstance && { containerInstanceArn: task.containerInstance }),
  connectivity: 'CONNECTED',
  lastStatus: task.status,
  desiredStatus: task.desired,
  healthStatus: healthOf(task.containers),
  cpu: String(task.cpu),
  memory: String(task.memory),
  version: task.version,
  containers: task.containers.map((c) => apiContainer(world, task, c)),
  ...(task.stopCode && { stopCode: task.stopCode }),
  ...(task.stoppedReason && { stoppedReason: task.stoppedReason }),
  attachments: task.address
    ? [
        {
          id: task.id,
          type: 'ElasticNetworkInterface',
          status: task.status === 'STOPPED' ? 'DELETED' : 'ATTACHED',
          details: [{ name: 'privateIPv4Address', value: task.address }],
        },
      ]
    : [],
  tags: lowerTags(task.tags),
  ...times(task),
});

export const apiDefinition = (d: TaskDefinition): ApiTaskDefinition => ({
  taskDefinitionArn: d.arn,
  family: d.family,
  revision: d.revision,
  status: d.status,
  networkMode: d.networkMode,
  cpu: String(d.cpu),
  memory: String(d.memory),
  requiresCompatibilities: [...d.compatibilities],
  compatibilities: [...d.compatibilities],
  registeredAt: new Date(d.registeredAt),
  ...(d.taskRole && { taskRoleArn: d.taskRole }),
  ...(d.executionRole && { executionRoleArn: d.executionRole }),
  containerDefinitions: d.containers.map((c) => ({
    name: c.name,
    image: c.image,
    essential: c.essential,
    cpu: c.cpu,
    memory: c.memory,
    portMappings: c.port ? [{ containerPort: c.port.container, hostPort: c.port.host, protocol: 'tcp' as const }] : [],
    ...(c.logs && {
      logConfiguration: {
        logDriver: 'awslogs' as const,
        options: { 'awslogs-group': c.logs.group, 'awslogs-stream-prefix': c.logs.prefix },
      },
    }),
    ...(c.checked && { healthCheck: { command: ['CMD-SHELL', 'curl -f http://localhost/ || exit 1'] } }),
  })),
});

export const isRunning = (t: Task): boolean => t.desired === 'RUNNING' && t.status === 'RUNNING';
export const isPending = (t: Task): boolean =>
  t.desired === 'RUNNING' && (t.status === 'PENDING' || t.status === 'PROVISIONING');
/** Until it is known to have stopped it counts as running, whatever is wanted of it. */
const countsAsRunning = (t: Task): boolean => t.status === 'RUNNING' || t.status === 'DEACTIVATING';

export const tasksOf = (cluster: Cluster, service: EcsService): Task[] =>
  [...cluster.tasks.values()].filter((t) => t.service === service.name);

const apiDeployment = (service: EcsService, d: Deployment, all: readonly Task[]) => {
  const tasks = all.filter((t) => t.startedBy === d.id);
  return {
    id: d.id,
    status: d.status,
    taskDefinition: d.definition,
    desiredCount: d.status === 'PRIMARY' || d.id === heldIn(service) ? service.desired : 0,
    runningCount: tasks.filter(countsAsRunning).length,
    pendingCount: tasks.filter(isPending).length,
    failedTasks: d.failedTasks,
    createdAt: new Date(d.createdAt),
    updatedAt: new Date(d.updatedAt),
    launchType: service.launchType,
    rolloutState: d.rollout,
    rolloutStateReason: d.rolloutReason,
  };
};

const configurationOf = ({ alarms, shifting, ...service }: EcsService): DeploymentConfiguration => {
  const [first] = shifting?.steps ?? [];
  const inMinutes = (ms = 0) => ms / 60_000;
  return {
    minimumHealthyPercent: service.minimumHealthyPercent,
    maximumPercent: service.maximumPercent,
    deploymentCircuitBreaker: { ...service.circuitBreaker },
    ...(alarms && { alarms: { alarmNames: [...alarms.names], enable: true, rollback: alarms.rollback } }),
    strategy: shifting?.strategy ?? 'ROLLING',
    bakeTimeInMinutes: inMinutes(shifting?.bakeMs),
    ...(shifting?.strategy === 'CANARY' && {
      canaryConfiguration: { canaryPercent: first?.percent, canaryBakeTimeInMinutes: inMinutes(first?.ms) },
    }),
    ...(shifting?.strategy === 'LINEAR' && {
      linearConfiguration: { stepPercent: first?.percent, stepBakeTimeInMinutes: inMinutes(first?.ms) },
    }),
  };
};

export const apiService = (world: World, service: EcsService): ApiService => {
  const cluster = clusterNamed(world, service.cluster);
  const tasks = tasksOf(cluster, service);
  return {
    serviceArn: service.arn,
    serviceName: service.name,
    clusterArn: cluster.arn,
    status: service.status,
    desiredCount: service.desired,
    runningCount: tasks.filter(countsAsRunning).length,
    pendingCount: tasks.filter(isPending).length,
    launchType: service.launchType,
    schedulingStrategy: service.strategy,
    ...(service.controller === 'ECS' ? {} : { deploymentController: { type: service.controller } }),
    taskDefinition: service.deployments.find((d) => d.status === 'PRIMARY')?.definition ?? '',
    availabilityZoneRebalancing: service.rebalancing ? 'ENABLED' : 'DISABLED',
    healthCheckGracePeriodSeconds: service.grace / 1000,
    deploymentConfiguration: configurationOf(service),
    loadBalancers: service.targets.map((t) => ({
      targetGroupArn: t.targetGroup,
      containerName: t.container,
      containerPort: t.port,
      ...(t.alternate && {
        advancedConfiguration: {
          alternateTargetGroupArn: t.alternate.targetGroup,
          productionListenerRule: t.alternate.rule,
          roleArn: t.alternate.role,
        },
      }),
    })),
    placementStrategy: service.placement.map((p) => ({ ...p })),
    placementConstraints: [
      ...(service.distinct ? [{ type: 'distinctInstance' as const }] : []),
      ...service.constraints.map((expression) => ({ type: 'memberOf' as const, expression })),
    ],
    ...(service.launchType === 'FARGATE' && {
      networkConfiguration: {
        awsvpcConfiguration: { subnets: Object.keys(world.zones).map((zone) => subnetIn(world, zone)) },
      },
    }),
    deployments: service.deployments.map((d) => apiDeployment(service, d, tasks)),
    events: service.events.map((e) => ({ id: e.id, createdAt: new Date(e.at), message: e.message })),
    ...(service.history[0] && { currentServiceDeployment: deploymentArn(world, service, service.history[0]) }),
    createdAt: new Date(service.createdAt),
    tags: lowerTags(service.tags),
  };
};

const revisionArn = (world: World, service: EcsService, deployment: string) =>
  ecsArn(world, `service-revision/${service.cluster}/${service.name}/${nameIn(deployment)}`);
/** A service deployment has an id of its own: 22 characters. */
export const deploymentArn = (world: World, service: EcsService, { id }: DeploymentRecord) => {
  const own = createHash('sha256').update(id).digest('base64url').slice(0, 22);
  return ecsArn(world, `service-deployment/${service.cluster}/${service.name}/${own}`);
};

/** In full: `DescribeServiceDeployments`. */
export const apiServiceDeployment = (
  world: World,
  service: EcsService,
  record: DeploymentRecord,
): ApiServiceDeployment => {
  const tasks = tasksOf(clusterNamed(world, service.cluster), service);
  const revision = (id: string, requestedTaskCount: number) => {
    const own = tasks.filter((t) => t.startedBy === id);
    const weight = shareOf(world, service, id);
    return {
      arn: revisionArn(world, service, id),
      requestedTaskCount,
      runningTaskCount: own.filter(countsAsRunning).length,
      pendingTaskCount: own.filter(isPending).length,
      ...(weight !== undefined && { requestedProductionTrafficWeight: weight }),
    };
  };
  const { rollback } = record;
  return {
    ...apiServiceDeploymentBrief(world, service, record),
    updatedAt: new Date(record.updatedAt),
    ...(record.status === 'STOPPED' && { stoppedAt: new Date(record.finishedAt ?? record.updatedAt) }),
    sourceServiceRevisions: record.sources.map((id) => revision(id, heldIn(service) === id ? service.desired : 0)),
    targetServiceRevision: revision(record.id, service.desired),
    ...(record.stage && { lifecycleStage: record.stage }),
    deploymentConfiguration: configurationOf(service),
    ...(rollback && {
      rollback: {
        reason: rollback.reason,
        startedAt: new Date(rollback.at),
        serviceRevisionArn: revisionArn(world, service, rollback.to),
      },
    }),
  };
};
export const apiServiceDeploymentBrief = (
  world: World,
  service: EcsService,
  record: DeploymentRecord,
): ApiServiceDeploymentBrief => ({
  serviceDeploymentArn: deploymentArn(world, service, record),
  serviceArn: service.arn,
  clusterArn: clusterNamed(world, service.cluster).arn,
  createdAt: new Date(record.startedAt),
  startedAt: new Date(record.startedAt),
  ...(record.finishedAt !== undefined && { finishedAt: new Date(record.finishedAt) }),
  targetServiceRevisionArn: revisionArn(world, service, record.id),
  status: record.status,
  ...(record.reason && { statusReason: record.reason }),
});
export const apiRevision = (world: World, service: EcsService, record: DeploymentRecord): ApiRevision => ({
  serviceRevisionArn: revisionArn(world, service, record.id),
  serviceArn: service.arn,
  clusterArn: clusterNamed(world, service.cluster).arn,
  taskDefinition: record.definition,
  launchType: service.launchType,
  containerImages: record.images.map(({ name, image, digest }) => ({
    containerName: name,
    image,
    imageDigest: digest,
  })),
  createdAt: new Date(record.startedAt),
});

/** On the bus times are text, as JSON has them. */
const asDetail = (shape: object): Record<string, unknown> => JSON.parse(JSON.stringify(shape));

const emit = (world: World, detailType: string, arn: string, detail: object) =>
  world.events.emit({ source: 'aws.ecs', detailType, resources: [arn], detail: asDetail(detail) });

const at = (world: World) => new Date(world.clock.now()).toISOString();

export const sayTask = (world: World, task: Task) =>
  emit(world, 'ECS Task State Change', task.arn, { ...apiTask(world, task), updatedAt: at(world) });

export const sayInstance = (world: World, instance: ContainerInstance) =>
  emit(world, 'ECS Container Instance State Change', instance.arn, {
    ...apiInstance(world, instance),
    clusterArn: clusterNamed(world, instance.cluster).arn,
    updatedAt: at(world),
  });

export const sayService = (
  world: World,
  service: EcsService,
  eventType: 'INFO' | 'WARN' | 'ERROR',
  eventName: string,
  more: object = {},
) =>
  emit(world, 'ECS Service Action', service.arn, {
    eventType,
    eventName,
    clusterArn: clusterNamed(world, service.cluster).arn,
    createdAt: at(world),
    ...more,
  });

export const sayDeployment = (
  world: World,
  service: EcsService,
  { id, rollout, rolloutReason }: Deployment,
  eventType: 'INFO' | 'ERROR' = rollout === 'FAILED' ? 'ERROR' : 'INFO',
) =>
  emit(world, 'ECS Deployment State Change', service.arn, {
    eventType,
    eventName: `SERVICE_DEPLOYMENT_${rollout}`,
    deploymentId: id,
    updatedAt: at(world),
    reason: rolloutReason,
  });

/** One line in the service's own list of events; AWS keeps the last hundred. */
export const note = (world: World, service: EcsService, message: string) => {
  service.events = [
    { id: world.random.uuid(), at: world.clock.now(), message: `(service ${service.name}) ${message}` },
    ...service.events,
  ].slice(0, 100);
};
