/** Container instances: EC2 hosts whose agent has registered them. What ECS knows of a host it knows from that agent, or from EC2. */
import type { Instance } from './ec2.ts';
import { type Cluster, type ContainerInstance, changed, definitionOf, ecsArn, type Task, tasksOn } from './ecs.ts';
import { sayInstance } from './ecsDescribe.ts';
import { loseTask, resumeTask } from './ecsTasks.ts';
import { probeTargets } from './elb.ts';
import { type Host, isUp } from './hosts.ts';
import { INSTANCE_TYPES } from './places.ts';
import type { World } from './world.ts';

/** The agent keeps some of a host's memory from ECS: about what the kernel holds. */
const KEPT_MIB = 300;
const GROUP_TAG = 'aws:autoscaling:groupName';
/** An inactive one can be described for an hour more. */
const FORGOTTEN = 3_600_000;

const everyInstance = (world: World): readonly (readonly [Cluster, ContainerInstance])[] =>
  [...world.ecs.clusters.values()].flatMap((c) => [...c.instances.values()].map((i) => [c, i] as const));
const instancesOn = (world: World, ec2InstanceId: string) =>
  everyInstance(world).filter(([, i]) => i.ec2InstanceId === ec2InstanceId && i.status !== 'INACTIVE');

/** Of an EC2 instance, if it is a container instance. */
export const containerInstanceOf = (world: World, ec2InstanceId: string): ContainerInstance | undefined =>
  instancesOn(world, ec2InstanceId)[0]?.[1];

export const sayChange = (world: World, instance: ContainerInstance, change: Partial<ContainerInstance>) => {
  Object.assign(world.lag.change(instance), change, { version: instance.version + 1 });
  sayInstance(world, instance);
  changed(world);
};

export const registerInstance = (world: World, cluster: Cluster, ec2: Instance): ContainerInstance => {
  const { vcpus, mib } = INSTANCE_TYPES[ec2.type] ?? { vcpus: 2, mib: 4096 };
  const id = world.random.hex(32);
  const instance: ContainerInstance = {
    id,
    arn: ecsArn(world, `container-instance/${cluster.name}/${id}`),
    cluster: cluster.name,
    ec2InstanceId: ec2.id,
    zone: ec2.zone,
    registered: { cpu: vcpus * 1024, memory: mib - KEPT_MIB },
    registeredAt: world.clock.now(),
    status: 'ACTIVE',
    connected: true,
    agentVersion: '1.99.0',
    version: 1,
    tags: {},
  };
  cluster.instances.set(id, world.lag.create(instance));
  const host = world.hosts.get(ec2.id);
  if (host) host.ecs.state = 'connected';
  sayInstance(world, instance);
  changed(world);
  return instance;
};

/** It is in the cluster no more. Its service tasks are orphans: ECS starts others, and forgets these. */
export const deregisterInstance = (world: World, cluster: Cluster, instance: ContainerInstance, reason: string) => {
  for (const task of tasksOn(cluster, instance)) loseTask(world, task, reason);
  sayChange(world, instance, { status: 'INACTIVE', connected: false });
  world.clock.at(world.clock.now() + FORGOTTEN, () => cluster.instances.delete(instance.id));
};

const works = (world: World, host: Host | undefined): boolean => {
  if (host?.ecs.state !== 'connected' || !isUp(world, host)) return false;
  const impaired = world.ec2.instances.get(host.instanceId)?.impaired;
  return impaired !== undefined && !impaired.system && !impaired.instance;
};

/** Something about a host or its agent has changed: after a while ECS sees it. */
export const agentChanged = (world: World, ec2InstanceId: string) => {
  for (const [cluster, instance] of instancesOn(world, ec2InstanceId)) {
    const wait = works(world, world.hosts.get(ec2InstanceId)) ? world.settle.ecsConnect : world.settle.ecsHealth;
    world.clock.at(world.clock.now() + wait, () => refresh(world, cluster, instance));
  }
  probeTargets(world);
};

const refresh = (world: World, cluster: Cluster, instance: ContainerInstance) => {
  const connected = works(world, world.hosts.get(instance.ec2InstanceId));
  if (instance.status === 'INACTIVE' || instance.connected === connected) return;
  sayChange(world, instance, { connected });
  if (connected)
    for (const task of tasksOn(cluster, instance)) resumeTask(world, task, definitionOf(world, task.definition));
};

/** Everything on the host has died; who is not connected cannot say so. */
const die = (tasks: readonly Task[]) => {
  for (const task of tasks) if (task.status !== 'STOPPED') task.untold = { code: 137, reason: 'the host went down' };
};

/** Called at each change of an EC2 instance's state, and at a reboot. */
export const hostChanged = (world: World, ec2: Instance, what: Instance['state'] | 'rebooting') => {
  const host = world.hosts.get(ec2.id);
  const on = instancesOn(world, ec2.id);
  // A boot starts the agent afresh.
  const boots = what === 'running' || what === 'rebooting';
  if (host && boots && host.ecs.state !== 'absent' && !host.ecs.broken) host.ecs.state = 'connected';
  if (what === 'running' && on.length === 0) return join(world, ec2);
  if (host && what === 'rebooting' && on.length > 0) world.clock.at(host.downUntil, () => agentChanged(world, ec2.id));
  for (const [cluster, instance] of on) {
    if (what === 'shutting-down' || what === 'stopping') leave(world, cluster, instance, what);
    if (what === 'rebooting') die(tasksOn(cluster, instance));
  }
  if (on.length > 0) agentChanged(world, ec2.id);
  else probeTargets(world);
};

/**
 * "If you terminate a running container instance, Amazon ECS automatically deregisters the instance from your cluster (stopped container
 * instances or instances with disconnected agents aren't automatically deregistered when terminated)." (DeregisterContainerInstance)
 */
const leave = (world: World, cluster: Cluster, instance: ContainerInstance, what: 'shutting-down' | 'stopping') => {
  const tasks = tasksOn(cluster, instance);
  if (!instance.connected) return die(tasks);
  const word = what === 'stopping' ? 'stopped' : 'terminated';
  const reason = `Host EC2 (instance ${instance.ec2InstanceId}) ${word}.`;
  if (what === 'shutting-down') return deregisterInstance(world, cluster, instance, reason);
  for (const task of tasks) loseTask(world, task, reason);
};

const join = (world: World, ec2: Instance) => {
  const group = ec2.tags[GROUP_TAG];
  const cluster = [...world.ecs.clusters.values()].find((c) => group !== undefined && c.joinedBy.has(group));
  if (!cluster) return;
  world.clock.at(world.clock.now() + world.settle.ecsRegister, () => {
    if (ec2.state === 'running' && instancesOn(world, ec2.id).length === 0) registerInstance(world, cluster, ec2);
  });
};

export type AgentTrouble =
  /** Runs and is not connected; a restart helps. */
  | 'hung'
  /** Does not run; a restart helps. */
  | 'stopped'
  /** Nothing on the host helps: its network or its role is at fault. */
  | 'broken';
export const breakEcsAgent = (world: World, ec2InstanceId: string, trouble: AgentTrouble) => {
  const host = world.hosts.get(ec2InstanceId);
  if (!host) throw new Error(`the world has no host ${ec2InstanceId}`);
  host.ecs.state = trouble === 'stopped' ? 'stopped' : 'hung';
  host.ecs.broken = trouble === 'broken';
  host.ecs.errors = trouble === 'stopped' ? [] : ['level=error msg="Error connecting to ACS" error="i/o timeout"'];
  agentChanged(world, ec2InstanceId);
};

/** What `systemctl restart ecs` does. */
export const restartEcsAgent = (world: World, host: Host): boolean => {
  host.ecs.state = host.ecs.broken ? 'hung' : 'connected';
  if (!host.ecs.broken) host.ecs.errors = [];
  agentChanged(world, host.instanceId);
  return true;
};
