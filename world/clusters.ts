/** Furnishes a cluster: an Auto Scaling group of container instances over the zones, a service on it, a load balancer before that. And breaks it. */
import { addGroup, type ScalingGroup } from './autoscaling.ts';
import type { Instance } from './ec2.ts';
import { type Cluster, type EcsService, type Image, imageOf, type Task, type TaskDefinition } from './ecs.ts';
import { createCluster } from './ecsClusters.ts';
import { tasksOf } from './ecsDescribe.ts';
import { breakEcsAgent, registerInstance } from './ecsInstances.ts';
import { wakeScheduler } from './ecsScheduler.ts';
import { checkHealth } from './ecsTasks.ts';
import { makeService, type NewService, registerDefinition } from './ecsWorkloads.ts';
import { makeRule, makeTargetGroup, probeTargets, type TargetGroup } from './elb.ts';
import { hostOf } from './fleet.ts';
import { makeUnit, setAgent } from './hosts.ts';
import { impair, makeInstance } from './instances.ts';
import type { World } from './world.ts';

export type ClusterOptions = {
  readonly instances?: number;
  readonly type?: string;
  readonly tags?: Record<string, string>;
  readonly spot?: boolean;
  /** False: its instances are in no Auto Scaling group. */
  readonly scaled?: boolean;
  readonly group?: Partial<ScalingGroup>;
  /** Names of the zones that its hosts are in, one after the other. */
  readonly zones?: readonly string[];
};
export type Furnished = { readonly cluster: Cluster; readonly hosts: readonly Instance[] };

export const makeCluster = (
  world: World,
  name = 'shop',
  {
    instances = 3,
    type = 'm6i.large',
    tags = { 'steward:managed': 'true' },
    spot = false,
    scaled = true,
    group = {},
    zones: given,
  }: ClusterOptions = {},
): Furnished => {
  const cluster = createCluster(world, name, tags);
  const wake = () => wakeScheduler(world);
  if (world.ecs.listeners.size === 0) {
    world.ecs.listeners.add(wake);
    world.elb.listeners.add(wake);
  }
  const zones = given ?? Object.keys(world.zones);
  const hosts = Array.from({ length: instances }, (_, i) =>
    makeInstance(world, {
      type,
      spot,
      running: true,
      zone: zones[i % zones.length] ?? '',
      tags: { Name: `${name}-${i + 1}`, ...(scaled && { 'aws:autoscaling:groupName': name }), ...tags },
    }),
  );
  if (scaled && instances > 0) {
    addGroup(world, name, group);
    cluster.joinedBy.add(name);
  }
  for (const host of hosts) {
    hostOf(world, host.id).units.push(makeUnit(world, 'ecs.service', { mib: 80 }));
    registerInstance(world, cluster, host);
  }
  return { cluster, hosts };
};

export type ServiceOptions = NewService & {
  readonly desired?: number;
  readonly image?: string;
  readonly cpu?: number;
  readonly memory?: number;
  readonly checked?: boolean;
  readonly hostPort?: number;
  /** Its containers log there. */
  readonly logs?: TaskDefinition['containers'][number]['logs'];
  readonly roles?: Pick<TaskDefinition, 'taskRole' | 'executionRole'>;
  /** A load balancer before it. */
  readonly balanced?: boolean | Partial<TargetGroup>;
  /** Traffic is shifted from its target group to another one of the same load balancer. */
  readonly shifting?: NewService['shifting'];
};
export type FurnishedService = {
  readonly service: EcsService;
  readonly definition: TaskDefinition;
  readonly targetGroup: TargetGroup | undefined;
  /** Where it shifts traffic. */
  readonly alternate: TargetGroup | undefined;
};

const roleArn = ({ account }: World, name: string): string => `arn:aws:iam::${account}:role/${name}`;

/** One container a task, named as the service. */
export const addService = (
  world: World,
  cluster: Cluster,
  name: string,
  options: ServiceOptions = {},
): FurnishedService => {
  const {
    desired = 3,
    image = `${name}:1`,
    cpu = 256,
    memory = 512,
    checked = false,
    hostPort = 0,
    logs,
    roles = { taskRole: roleArn(world, `${name}-task`), executionRole: roleArn(world, 'ecsTaskExecutionRole') },
    balanced,
    ...given
  } = options;
  const fargate = given.launchType === 'FARGATE';
  const definition = registerDefinition(world, {
    family: name,
    containers: [
      { name, image, essential: true, cpu, memory, port: { container: 8080, host: hostPort }, checked, logs },
    ],
    ...roles,
    networkMode: fargate ? 'awsvpc' : 'bridge',
    compatibilities: fargate ? ['EC2', 'FARGATE'] : ['EC2'],
  });
  const grouped = (called: string, more: Partial<TargetGroup> = {}) =>
    makeTargetGroup(world, called, {
      type: fargate ? 'ip' : 'instance',
      deregistration: 30_000,
      ...(balanced === true ? {} : balanced),
      ...more,
    });
  const targetGroup = balanced ? grouped(name) : undefined;
  const alternate =
    targetGroup && given.shifting ? grouped(`${name}-2`, { loadBalancers: targetGroup.loadBalancers }) : undefined;
  const target = targetGroup && { targetGroup: targetGroup.arn, container: name, port: 8080 };
  const shifts = targetGroup &&
    alternate && {
      alternate: {
        targetGroup: alternate.arn,
        rule: makeRule(world, targetGroup, alternate).arn,
        role: roleArn(world, 'ecsInfrastructureRole'),
      },
    };
  const targets = target ? [{ ...target, ...shifts }] : [];
  const service = makeService(world, cluster, name, { definition: definition.arn, desired, targets, ...given });
  return { service, definition, targetGroup, alternate };
};

/** Another revision of what a service runs: its first container has another image. Registered, not deployed. */
export const nextDefinition = (
  world: World,
  { definition }: Pick<FurnishedService, 'definition'>,
  image: string,
  more: Partial<TaskDefinition> = {},
): TaskDefinition => {
  const [first, ...others] = definition.containers;
  if (!first) throw new Error('a definition has a container');
  return registerDefinition(world, { ...definition, containers: [{ ...first, image }, ...others], ...more });
};

/** What an image does from now on, in the containers that run it too. */
export const setImage = (world: World, reference: string, change: Partial<Image>) => {
  world.ecs.images.set(reference, { ...imageOf(world, reference), ...change });
  for (const cluster of world.ecs.clusters.values())
    for (const task of cluster.tasks.values())
      if (task.containers.some((c) => c.image === reference)) checkHealth(world, task);
  probeTargets(world);
};

/** Its applications run and answer nobody, and ECS does not see to it: the load balancer has found them unhealthy. */
export const hangTasks = (
  world: World,
  { service, targetGroup }: Pick<FurnishedService, 'service' | 'targetGroup'>,
  tasks: readonly Task[],
) => {
  service.overlooks = true;
  const own = new Set(tasks.flatMap((t) => [t.address, ...t.containers.map((c) => c.hostPort)]));
  for (const [key, target] of targetGroup?.targets ?? []) {
    if (!own.has(target.id) && !own.has(target.port)) continue;
    world.elb.probes.set(key, () => false);
    Object.assign(target, { state: 'unhealthy', answered: false, turn: target.turn + 1 });
  }
};

/** The host is dead: its checks fail, its agents are silent, its containers answer nobody. */
export const loseHost = (world: World, id: string) => {
  setAgent(world, hostOf(world, id), 'silent');
  impair(world, id, { system: true, instance: true }, 'nothing');
};
export { breakEcsAgent };

export const runningTasks = (cluster: Cluster, service: EcsService) =>
  tasksOf(cluster, service).filter((t) => t.status === 'RUNNING' && t.desired === 'RUNNING');
