/**
 * ECS: what there is. How tasks live is in ecsTasks.ts, who decides where they run in ecsScheduler.ts, the instances below them in
 * ecsInstances.ts, what the API says of it all in ecsDescribe.ts and its operations in ecsService.ts. `makeCluster` (clusters.ts) furnishes one.
 */
import { createHash } from 'node:crypto';
import type { Cluster as ApiCluster, ServiceDeploymentLifecycleStage } from '@aws-sdk/client-ecs';
import type { World } from './world.ts';

export type Resources = { cpu: number; memory: number };

export type ContainerInstanceStatus = 'ACTIVE' | 'DRAINING' | 'INACTIVE';
export type ContainerInstance = {
  readonly id: string;
  readonly arn: string;
  readonly cluster: string;
  readonly ec2InstanceId: string;
  readonly zone: string;
  readonly registered: Resources;
  readonly registeredAt: number;
  status: ContainerInstanceStatus;
  /** What ECS knows; the agent may have lost its way a moment ago. */
  connected: boolean;
  agentVersion: string;
  /** Counts changes that made an event. */
  version: number;
  tags: Record<string, string>;
};

export type ContainerDefinition = {
  readonly name: string;
  readonly image: string;
  readonly essential: boolean;
  readonly cpu: number;
  readonly memory: number;
  /** With a host port of its own only one copy fits on an instance; 0 takes any. */
  readonly port: { container: number; host: number } | undefined;
  /** It has a health check: its task's health is known. */
  readonly checked: boolean;
  /** The awslogs driver: each container has a stream of its own, `<prefix>/<name>/<task id>`. */
  readonly logs?: { readonly group: string; readonly prefix: string } | undefined;
};
export type TaskDefinition = Resources & {
  readonly family: string;
  readonly revision: number;
  readonly arn: string;
  readonly networkMode: 'bridge' | 'awsvpc' | 'host';
  readonly compatibilities: readonly ('EC2' | 'FARGATE')[];
  readonly containers: readonly ContainerDefinition[];
  readonly registeredAt: number;
  readonly taskRole?: string | undefined;
  readonly executionRole?: string | undefined;
  readonly tags?: Readonly<Record<string, string>>;
  status: 'ACTIVE' | 'INACTIVE';
};

/** What an image does once it is started. What is not named here runs, healthy, for ever. */
export type Image = {
  digest: string;
  /** It ends by itself so long after its start. */
  exits?: { afterMs: number; code: number; reason?: string } | undefined;
  /** Why it cannot be pulled. */
  missing?: string | undefined;
  /** What its containers write when they start. */
  says?: readonly string[] | undefined;
  healthy: boolean;
};

export type LaunchType = 'EC2' | 'FARGATE';
export type TaskStatus =
  | 'PROVISIONING'
  | 'PENDING'
  | 'RUNNING'
  | 'DEACTIVATING'
  | 'STOPPING'
  | 'DEPROVISIONING'
  | 'STOPPED';
export type StopCode =
  | 'EssentialContainerExited'
  | 'ServiceSchedulerInitiated'
  | 'SpotInterruption'
  | 'TaskFailedToStart'
  | 'TerminationNotice'
  | 'UserInitiated';

export type Container = {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly digest: string;
  readonly essential: boolean;
  readonly checked: boolean;
  status: 'PENDING' | 'RUNNING' | 'STOPPED';
  health: 'UNKNOWN' | 'HEALTHY' | 'UNHEALTHY';
  exitCode: number | undefined;
  reason: string | undefined;
  hostPort: number | undefined;
};

export type Task = Resources & {
  readonly id: string;
  readonly arn: string;
  readonly cluster: string;
  /** Its service, if it belongs to one. */
  readonly service: string | undefined;
  readonly group: string;
  readonly definition: string;
  readonly launchType: LaunchType;
  readonly zone: string;
  /** ARN; none on Fargate. */
  readonly containerInstance: string | undefined;
  /** Of its own network interface, where it has one. */
  readonly address: string | undefined;
  /** The deployment that started it, or who else did. */
  readonly startedBy: string;
  readonly containers: Container[];
  readonly createdAt: number;
  status: TaskStatus;
  desired: 'RUNNING' | 'STOPPED';
  startedAt: number | undefined;
  stoppingAt: number | undefined;
  stoppedAt: number | undefined;
  stopCode: StopCode | undefined;
  stoppedReason: string | undefined;
  /** Until then it is neither scaled in nor stopped by a deployment. */
  protectedUntil: number | undefined;
  version: number;
  tags: Record<string, string>;
  /** Counts changes of status, so that a timer of an earlier one does nothing. */
  turn: number;
  /** What its containers did while the agent could not say so. */
  untold: { code: number; reason: string | undefined } | undefined;
};

export type Deployment = {
  readonly id: string;
  readonly definition: string;
  readonly createdAt: number;
  updatedAt: number;
  status: 'PRIMARY' | 'ACTIVE';
  rollout: 'IN_PROGRESS' | 'COMPLETED' | 'FAILED';
  rolloutReason: string;
  failedTasks: number;
  /** Alarms of the service that were in ALARM before it began: ECS does not heed those. */
  alarming: readonly string[];
};

/** How production traffic goes over to what is new: so much of it, for so long, step by step; then all of it bakes. */
export type Shifting = {
  readonly strategy: 'BLUE_GREEN' | 'LINEAR' | 'CANARY';
  readonly steps: readonly { readonly percent: number; readonly ms: number }[];
  readonly bakeMs: number;
};

/** A service's own record of what it was deployed as: `ListServiceDeployments`, `DescribeServiceDeployments`, `DescribeServiceRevisions`. */
export type DeploymentRecord = {
  /** As the deployment's. Its revision has that id, too; as a service deployment it has another one. */
  readonly id: string;
  readonly definition: string;
  /** What its tags meant then: tasks of it run these digests. */
  readonly images: readonly { readonly name: string; readonly image: string; readonly digest: string }[];
  /** Deployments that had tasks when it began. */
  readonly sources: readonly string[];
  /** Its tasks are in the alternate target groups. */
  readonly alternate: boolean;
  readonly startedAt: number;
  updatedAt: number;
  finishedAt: number | undefined;
  status:
    | 'IN_PROGRESS'
    | 'SUCCESSFUL'
    | 'STOPPED'
    | 'ROLLBACK_REQUESTED'
    | 'ROLLBACK_IN_PROGRESS'
    | 'ROLLBACK_SUCCESSFUL'
    | 'ROLLBACK_FAILED';
  reason: string | undefined;
  /** Where traffic is shifted: how far it has come, since when, and which step of the shift. */
  stage: ServiceDeploymentLifecycleStage | undefined;
  stageAt: number;
  step: number;
  rollback: { readonly reason: string; readonly at: number; readonly to: string } | undefined;
};

export type ServiceTarget = {
  readonly targetGroup: string;
  readonly container: string;
  readonly port: number;
  /** Where traffic is shifted: the other group, and the rule that says how much goes to each. */
  readonly alternate?: { readonly targetGroup: string; readonly rule: string; readonly role: string };
};
export type EcsService = {
  readonly name: string;
  readonly arn: string;
  readonly cluster: string;
  readonly launchType: LaunchType;
  readonly strategy: 'REPLICA' | 'DAEMON';
  readonly createdAt: number;
  status: 'ACTIVE' | 'DRAINING' | 'INACTIVE';
  desired: number;
  minimumHealthyPercent: number;
  maximumPercent: number;
  circuitBreaker: { enable: boolean; rollback: boolean };
  /** CloudWatch alarms that fail a deployment. */
  alarms: { readonly names: readonly string[]; readonly rollback: boolean } | undefined;
  /** Undefined: it is updated in place. */
  shifting: Shifting | undefined;
  /** A hook holds its deployments in this stage. */
  hookedAt: ServiceDeploymentLifecycleStage | undefined;
  /** Milliseconds in which an unhealthy target is forgiven. */
  grace: number;
  rebalancing: boolean;
  /** One that its rebalancing has started, and that does not serve yet: it is not one too many. */
  moving: string | undefined;
  /** It has said that it evens the service out, and not yet that it has. */
  evening: boolean;
  /** Expressions of `memberOf`. */
  constraints: readonly string[];
  readonly controller: 'ECS' | 'CODE_DEPLOY' | 'EXTERNAL';
  /** Its scheduler does not see to failed health checks, as in an issue of ECS's own. */
  overlooks: boolean;
  /** CPU units that its clients ask of it, all tasks together. */
  demand: number;
  placement: { type: 'spread' | 'binpack' | 'random'; field: string }[];
  distinct: boolean;
  readonly targets: readonly ServiceTarget[];
  /** The newest first, as the API has them. */
  deployments: Deployment[];
  /** The newest first. */
  history: DeploymentRecord[];
  /** Of those of its name that were deleted before: no operation tells of it. */
  readonly former: readonly DeploymentRecord[];
  /** The newest first; AWS keeps 100. */
  events: { readonly id: string; readonly at: number; readonly message: string }[];
  /** Tasks that never ran make the next start wait longer. */
  throttle: { failures: number; until: number; since: number };
  /** The last deployment that was rolled out whole: the circuit breaker's way back. */
  completed: { readonly id: string; readonly definition: string } | undefined;
  /** Why the last task could not be placed: said once. */
  unplaced: string | undefined;
  /** A steady state is said once. */
  steady: boolean;
  tags: Record<string, string>;
};

export type Cluster = {
  readonly name: string;
  readonly arn: string;
  status: 'ACTIVE' | 'INACTIVE';
  /** Auto Scaling groups whose instances join it when they boot. */
  readonly joinedBy: Set<string>;
  readonly instances: Map<string, ContainerInstance>;
  readonly services: Map<string, EcsService>;
  readonly tasks: Map<string, Task>;
  tags: Record<string, string>;
  /** What CreateCluster was told of it, and DescribeClusters tells. */
  settings: ClusterSettings;
};
export type ClusterSettings = Pick<
  ApiCluster,
  'settings' | 'configuration' | 'capacityProviders' | 'defaultCapacityProviderStrategy' | 'serviceConnectDefaults'
>;

export type EcsState = {
  readonly clusters: Map<string, Cluster>;
  /** By `family:revision`. */
  readonly definitions: Map<string, TaskDefinition>;
  readonly images: Map<string, Image>;
  /** Zones in which Fargate has no capacity now. */
  readonly fargateLacks: Set<string>;
  /** Zones in which no task can pull its image now: their network is out. */
  readonly cutOff: Set<string>;
  /** Told whenever a task, an instance or a service has changed: the scheduler looks then. */
  readonly listeners: Set<() => void>;
  /** When the scheduler looks next, and how to call that off. */
  next: { at: number; cancel: () => void } | undefined;
};
export const createEcsState = (): EcsState => ({
  clusters: new Map(),
  definitions: new Map(),
  images: new Map(),
  fargateLacks: new Set(),
  cutOff: new Set(),
  listeners: new Set(),
  next: undefined,
});

/** Something is not as the scheduler saw it last. */
export const changed = (world: World) => {
  for (const listener of world.ecs.listeners) listener();
};

export const ecsArn = ({ region, account }: World, resource: string): string =>
  `arn:aws:ecs:${region}:${account}:${resource}`;

/** The last part of an ARN, or the name itself: the API takes both everywhere. */
export const nameIn = (arnOrName: string | undefined): string => (arnOrName ?? '').split('/').at(-1) ?? '';

export const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** What a reference to an image means now: a tag may move, and what runs stays what it was. */
export const imageOf = (world: World, reference: string): Image => {
  const known = world.ecs.images.get(reference);
  if (known) return known;
  const [, digest] = /@(sha256:.+)$/.exec(reference) ?? [];
  if (digest === undefined) return { digest: digestOf(reference), healthy: true };
  return [...world.ecs.images.values()].find((i) => i.digest === digest) ?? { digest, healthy: true };
};

/** By `family:revision`, ARN, or family alone: then its latest active revision. */
export const definitionOf = (world: World, reference: string): TaskDefinition | undefined => {
  const name = nameIn(reference);
  if (name.includes(':')) return world.ecs.definitions.get(name);
  return [...world.ecs.definitions.values()].findLast((d) => d.family === name && d.status === 'ACTIVE');
};

export const clusterNamed = (world: World, name: string): Cluster => {
  const cluster = world.ecs.clusters.get(name);
  if (!cluster) throw new Error(`the world has no cluster ${name}`);
  return cluster;
};
export const instanceOfTask = (world: World, task: Task): ContainerInstance | undefined =>
  task.containerInstance === undefined
    ? undefined
    : world.ecs.clusters.get(task.cluster)?.instances.get(nameIn(task.containerInstance));

/** Where its tasks of this deployment are registered. */
export const targetGroupOf = (
  { history }: Pick<EcsService, 'history'>,
  deployment: string,
  { targetGroup, alternate }: ServiceTarget,
): string => (alternate && history.find((d) => d.id === deployment)?.alternate ? alternate.targetGroup : targetGroup);

export const tasksOn = (cluster: Cluster, { arn }: ContainerInstance): Task[] =>
  [...cluster.tasks.values()].filter((t) => t.containerInstance === arn && t.status !== 'STOPPED');

/** What the tasks on it leave: those that are to stop hold theirs until they have. */
export const remaining = (cluster: Cluster, instance: ContainerInstance): Resources => {
  const tasks = tasksOn(cluster, instance);
  return {
    cpu: instance.registered.cpu - tasks.reduce((sum, t) => sum + t.cpu, 0),
    memory: instance.registered.memory - tasks.reduce((sum, t) => sum + t.memory, 0),
  };
};
