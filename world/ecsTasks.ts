/** How a task lives: provisioned, pulled, running, stopped. On EC2 each change waits for the agent: one that is cut off hears and says nothing. */
import {
  type Cluster,
  type Container,
  type ContainerInstance,
  changed,
  clusterNamed,
  type EcsService,
  ecsArn,
  imageOf,
  instanceOfTask,
  type LaunchType,
  type StopCode,
  type Task,
  type TaskDefinition,
  type TaskStatus,
  targetGroupOf,
} from './ecs.ts';
import { sayTask } from './ecsDescribe.ts';
import { deregisterTarget, instanceAnswers, probeTargets, registerTarget } from './elb.ts';
import { shipLine } from './logs.ts';
import type { World } from './world.ts';

export type NewTask = {
  readonly cluster: Cluster;
  readonly definition: TaskDefinition;
  readonly launchType: LaunchType;
  readonly zone: string;
  readonly instance: ContainerInstance | undefined;
  readonly service: EcsService | undefined;
  readonly startedBy: string;
  readonly tags?: Record<string, string>;
};

/** ECS lists what has stopped for an hour at most. */
const FORGOTTEN = 3_600_000;

const has = (task: Task, ...statuses: TaskStatus[]) => statuses.includes(task.status);

/** Whether ECS and the task's host hear each other. */
const reaches = (world: World, task: Task): boolean =>
  task.launchType === 'FARGATE' || instanceOfTask(world, task)?.connected === true;

const after = (world: World, task: Task, ms: number, then: () => void) => {
  const turn = task.turn;
  world.clock.at(world.clock.now() + ms, () => {
    if (task.turn === turn && reaches(world, task)) then();
  });
};

const enter = (world: World, task: Task, status: TaskStatus) => {
  world.lag.change(task).status = status;
  task.turn++;
  task.version++;
  sayTask(world, task);
  probeTargets(world);
  changed(world);
};

const containersOf = (world: World, { containers }: TaskDefinition): Container[] =>
  containers.map((c) => ({
    id: world.random.uuid(),
    name: c.name,
    image: c.image,
    digest: imageOf(world, c.image).digest,
    essential: c.essential,
    checked: c.checked,
    status: 'PENDING',
    health: 'UNKNOWN',
    exitCode: undefined,
    reason: undefined,
    hostPort: undefined,
  }));

export const startTask = (
  world: World,
  { cluster, definition, launchType, zone, instance, service, startedBy, tags = {} }: NewTask,
): Task => {
  const id = world.random.hex(32);
  const ownAddress = definition.networkMode === 'awsvpc';
  const task: Task = {
    id,
    arn: ecsArn(world, `task/${cluster.name}/${id}`),
    cluster: cluster.name,
    service: service?.name,
    group: service ? `service:${service.name}` : `family:${definition.family}`,
    definition: definition.arn,
    launchType,
    zone,
    containerInstance: instance?.arn,
    address: ownAddress ? `10.0.${world.random.integer(250)}.${4 + world.random.integer(250)}` : undefined,
    startedBy,
    containers: containersOf(world, definition),
    cpu: definition.cpu,
    memory: definition.memory,
    createdAt: world.clock.now(),
    status: ownAddress ? 'PROVISIONING' : 'PENDING',
    desired: 'RUNNING',
    startedAt: undefined,
    stoppingAt: undefined,
    stoppedAt: undefined,
    stopCode: undefined,
    stoppedReason: undefined,
    protectedUntil: undefined,
    version: 1,
    tags: { ...service?.tags, ...tags },
    turn: 0,
    untold: undefined,
  };
  cluster.tasks.set(id, world.lag.create(task));
  sayTask(world, task);
  if (ownAddress)
    after(world, task, world.settle.ecsProvision, () => {
      enter(world, task, 'PENDING');
      pull(world, task, definition);
    });
  else pull(world, task, definition);
  return task;
};

const pull = (world: World, task: Task, definition: TaskDefinition) =>
  after(world, task, world.settle.ecsPull, () => {
    const missing = task.containers.find((c) => imageOf(world, c.image).missing !== undefined);
    if (missing) {
      const why = `CannotPullContainerError: pull image manifest has been retried 5 time(s): ${imageOf(world, missing.image).missing}`;
      return stopTask(world, task, 'TaskFailedToStart', why);
    }
    if (world.ecs.cutOff.has(task.zone))
      return stopTask(world, task, 'TaskFailedToStart', 'CannotPullContainerError: dial tcp: i/o timeout');
    run(world, task, definition);
  });

/** Ports of the ephemeral range, for containers that leave the choice to Docker. */
const hostPort = (world: World, given: number) => given || 32_768 + world.random.integer(28_000);

const run = (world: World, task: Task, definition: TaskDefinition) => {
  task.startedAt = world.clock.now();
  for (const container of task.containers) {
    container.status = 'RUNNING';
    const port = definition.containers.find((c) => c.name === container.name)?.port;
    if (port && !task.address) container.hostPort = hostPort(world, port.host);
    const { exits, says = [] } = imageOf(world, container.image);
    const logs = definition.containers.find((c) => c.name === container.name)?.logs;
    if (logs) for (const line of says) shipLine(world, logs.group, `${logs.prefix}/${container.name}/${task.id}`, line);
    if (exits) exitLater(world, task, container, exits);
  }
  enter(world, task, 'RUNNING');
  eachTarget(world, task, (group, container, port) => {
    const host = instanceOfTask(world, task)?.ec2InstanceId;
    const id = task.address ?? host ?? '';
    registerTarget(world, group, { id, port, zone: task.zone, answers: () => taskAnswers(world, task, container) });
  });
  checkHealth(world, task);
};

/** In the container's own time, whether or not the agent is heard. */
const exitLater = (
  world: World,
  task: Task,
  container: Container,
  exits: { afterMs: number; code: number; reason?: string },
) =>
  world.clock.at(world.clock.now() + exits.afterMs, () => {
    if (has(task, 'RUNNING')) containerExits(world, task, container.name, exits.code, exits.reason);
  });

/** Its containers are there and do what they are for. What an agent could not tell yet is true all the same. */
const taskAnswers = (world: World, task: Task, container: string): boolean => {
  const host = instanceOfTask(world, task)?.ec2InstanceId;
  const image = task.containers.find((c) => c.name === container)?.image ?? '';
  return (
    has(task, 'RUNNING', 'DEACTIVATING') &&
    task.untold === undefined &&
    imageOf(world, image).healthy &&
    (host === undefined || instanceAnswers(world, host))
  );
};

/** The first check after its start, and again when its image has changed below it. */
export const checkHealth = (world: World, task: Task) => {
  if (task.containers.some((c) => c.checked)) after(world, task, world.settle.ecsHealth, () => judge(world, task));
};
const judge = (world: World, task: Task) => {
  let news = false;
  for (const c of task.containers.filter(({ checked, status }) => checked && status === 'RUNNING')) {
    const health = imageOf(world, c.image).healthy ? 'HEALTHY' : 'UNHEALTHY';
    news ||= c.health !== health;
    c.health = health;
  }
  if (news) enter(world, task, task.status);
};

const eachTarget = (
  world: World,
  task: Task,
  what: (group: Parameters<typeof registerTarget>[1], container: string, port: number) => void,
) => {
  const service = clusterNamed(world, task.cluster).services.get(task.service ?? '');
  for (const target of service?.targets ?? []) {
    const { container, port } = target;
    const group = service && world.elb.groups.get(targetGroupOf(service, task.startedBy, target));
    const bound = task.containers.find((c) => c.name === container)?.hostPort;
    if (group) what(group, container, task.address ? port : (bound ?? port));
  }
};

const leaveTargets = (world: World, task: Task): number => {
  let longest = 0;
  eachTarget(world, task, (group, _container, port) => {
    const id = task.address ?? instanceOfTask(world, task)?.ec2InstanceId ?? '';
    deregisterTarget(world, group, id, port);
    longest = Math.max(longest, group.deregistration);
  });
  return longest;
};

/** Asks it to stop. A target drains first; on EC2 nothing more happens while the agent is cut off. */
export const stopTask = (world: World, task: Task, code: StopCode, reason: string) => {
  if (task.desired === 'STOPPED') return;
  world.lag.change(task);
  Object.assign(task, { desired: 'STOPPED', stopCode: code, stoppedReason: reason, stoppingAt: world.clock.now() });
  const drains = has(task, 'RUNNING') ? leaveTargets(world, task) : 0;
  if (drains > 0) enter(world, task, 'DEACTIVATING');
  else enter(world, task, task.status);
  after(world, task, drains, () => stopping(world, task));
};

const stopping = (world: World, task: Task) => {
  const ran = has(task, 'RUNNING', 'DEACTIVATING');
  enter(world, task, 'STOPPING');
  after(world, task, ran ? world.settle.ecsStop : 1_000, () => ended(world, task, ran ? 143 : undefined));
};

const ended = (world: World, task: Task, exitCode: number | undefined, reason?: string) => {
  for (const c of task.containers) {
    if (c.status === 'RUNNING') {
      c.exitCode ??= exitCode;
      c.reason ??= reason;
    }
    c.status = 'STOPPED';
  }
  if (!task.address) return gone(world, task);
  enter(world, task, 'DEPROVISIONING');
  const turn = task.turn;
  world.clock.at(world.clock.now() + world.settle.ecsProvision, () => {
    if (task.turn === turn) gone(world, task);
  });
};

const gone = (world: World, task: Task) => {
  task.stoppedAt = world.clock.now();
  task.desired = 'STOPPED';
  enter(world, task, 'STOPPED');
  world.clock.at(world.clock.now() + FORGOTTEN, () => {
    world.ecs.clusters.get(task.cluster)?.tasks.delete(task.id);
  });
};

/** A container ends by itself. If it was essential, so does the task: as soon as the agent can say so. */
export const containerExits = (world: World, task: Task, name: string, code: number, reason?: string) => {
  const container = task.containers.find((c) => c.name === name);
  if (container?.status !== 'RUNNING') return;
  if (!reaches(world, task)) {
    task.untold = { code, reason };
    return probeTargets(world);
  }
  Object.assign(container, { exitCode: code, reason });
  if (!container.essential) {
    container.status = 'STOPPED';
    return enter(world, task, task.status);
  }
  world.lag.change(task);
  leaveTargets(world, task);
  if (task.desired === 'RUNNING')
    Object.assign(task, {
      desired: 'STOPPED',
      stopCode: 'EssentialContainerExited',
      stoppedReason: 'Essential container in task exited',
      stoppingAt: world.clock.now(),
    });
  ended(world, task, code, reason);
};

/** The host is gone, and everything on it: ECS knows that from EC2. */
export const loseTask = (world: World, task: Task, reason: string) => {
  leaveTargets(world, task);
  task.stopCode ??= 'TerminationNotice';
  task.stoppedReason ??= reason;
  task.stoppingAt ??= world.clock.now();
  for (const c of task.containers) Object.assign(c, { status: 'STOPPED', exitCode: c.exitCode ?? 137 });
  gone(world, task);
};

/** The agent is heard again: what it could not say is said, what could not be asked of it is done. */
export const resumeTask = (world: World, task: Task, definition: TaskDefinition | undefined) => {
  const { untold } = task;
  if (untold) {
    task.untold = undefined;
    const [first] = task.containers.filter((c) => c.essential);
    if (first) return containerExits(world, task, first.name, untold.code, untold.reason);
  }
  if (task.desired === 'STOPPED' && !has(task, 'DEPROVISIONING', 'STOPPED')) {
    task.turn++;
    return after(world, task, 1_000, () => stopping(world, task));
  }
  if (has(task, 'PENDING') && definition) pull(world, task, definition);
};
