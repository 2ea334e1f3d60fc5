/** What the tasks of an ECS service tell: which serve, which hang, which ended by themselves, and why. */
import {
  type ContainerInstance,
  type ContainerService,
  type ContainerTask,
  clusterOf,
  type Deployment,
  primaryOf,
} from './containers.ts';
import { NotFound, noneIfGone } from './errors.ts';
import type { TargetHealth } from './loadBalancers.ts';
import { once } from './once.ts';
import type { Ports } from './ports.ts';
import { serviceTarget, type Target } from './target.ts';
import { minutes, type Time } from './time.ts';

/** Why a task did not go on, where it should have: killed for want of memory, ended by itself, failed its health checks, never started. */
export type Ending = 'memory' | 'exit' | 'health' | 'start';

/** The kernel killed it, by ECS's own word. */
export const isOutOfMemory = ({ reason = '' }: ContainerTask['containers'][number]): boolean =>
  reason.includes('OutOfMemory');

/** Undefined: it has not stopped, or somebody meant it to: a deployment, scaling, a person, Steward. */
export const endingOf = ({ stopped, containers }: ContainerTask): Ending | undefined => {
  const { code, reason = '' } = stopped ?? {};
  if (code === 'TaskFailedToStart') return 'start';
  if (code === 'EssentialContainerExited') return containers.some(isOutOfMemory) ? 'memory' : 'exit';
  return code === 'ServiceSchedulerInitiated' && /health checks/i.test(reason) ? 'health' : undefined;
};

/** 'web exited with 1 (…)', or what ECS says where no container ended. */
export const endedWith = ({ stopped, containers }: ContainerTask): string => {
  const exits = containers
    .filter((c) => c.exitCode !== undefined && (c.exitCode !== 0 || containers.length === 1))
    .map((c) => `${c.name} exited with ${c.exitCode}${c.reason ? ` (${c.reason})` : ''}`);
  const isExit = stopped?.code === 'EssentialContainerExited';
  return isExit && exits.length > 0 ? exits.join(', ') : (stopped?.reason ?? stopped?.code ?? 'it says nothing');
};

/** 'arn:…:task-definition/web:7' → 'web:7'; the last part of any ARN. */
export const shortOf = (arn: string): string => arn.split('/').at(-1) ?? arn;

export interface ServiceView {
  readonly service: ContainerService;
  /** Those wanted, and those that stopped within the last hour. */
  readonly tasks: readonly ContainerTask[];
  /** Of its cluster; none are looked at for Fargate. */
  readonly instances: readonly ContainerInstance[];
  /** Of each of its target groups. */
  readonly targets: readonly {
    readonly port: number;
    /** Of blue and green both. */
    readonly health: readonly TargetHealth[];
    /** Those of the alternate group, where it has one. */
    readonly alternate?: readonly TargetHealth[];
  }[];
}

/** @throws NotFound also once it is deleted: ECS goes on describing it for a while */
export const serviceThere = async (
  arn: string,
  { containers }: Pick<Ports, 'containers'>,
): Promise<ContainerService> => {
  const [service] = await containers.services(clusterOf(arn), [shortOf(arn)]);
  if (!service || service.status === 'INACTIVE') throw new NotFound(`there is no service ${arn}`);
  return service;
};

/** A service with its tasks, its hosts, and what its load balancers say of them. @param known tasks that were read already, of whichever services, and hosts */
export const viewOf = async (
  service: ContainerService,
  { containers, loadBalancers }: Pick<Ports, 'containers' | 'loadBalancers'>,
  known?: Pick<ServiceView, 'tasks' | 'instances'>,
): Promise<ServiceView> => {
  const [tasks, instances, ...targets] = await Promise.all([
    known?.tasks.filter((t) => t.service === service.name) ?? containers.tasksOf(service),
    known?.instances ?? (service.launchType === 'FARGATE' ? [] : containers.instances(service.cluster)),
    ...service.targetGroups.map(async ({ arn, alternate, port }) => {
      const groups = [arn, ...(alternate ? [alternate] : [])];
      const [first = [], second] = await Promise.all(groups.map((g) => loadBalancers.health(g).catch(noneIfGone)));
      return second ? { port, health: [...first, ...second], alternate: second } : { port, health: first };
    }),
  ]);
  return { service, tasks, instances, targets };
};

/** A survey describes no more services than this. */
const MOST_SERVICES = 1_000;

/** A cluster as the surveys of one sweep see it: whatever of it several of them ask for is read once. */
export interface SurveyedCluster {
  readonly cluster: string;
  readonly services: readonly ContainerService[];
  readonly instances: () => Promise<readonly ContainerInstance[]>;
  /** All that is to run. */
  readonly wanted: () => Promise<readonly ContainerTask[]>;
  /** All that is to stop or has stopped. */
  readonly stopped: () => Promise<readonly ContainerTask[]>;
}

/** Of all clusters here: the calls grow with the services, tasks and hosts by pages, never one by one. */
export const clustersWithServices = async (containers: Ports['containers']): Promise<readonly SurveyedCluster[]> => {
  const found: SurveyedCluster[] = [];
  let left = MOST_SERVICES;
  for (const cluster of await containers.clusters()) {
    // It may be deleted at this very moment.
    const names = (await containers.serviceNames(cluster).catch(noneIfGone)).slice(0, left);
    left -= names.length;
    found.push({
      cluster,
      services: await containers.services(cluster, names),
      instances: once(() => containers.instances(cluster)),
      wanted: once(() => containers.wanted(cluster)),
      stopped: once(() => containers.stopped(cluster)),
    });
  }
  return found;
};

export const unitOf = ({ instances }: ServiceView, task: ContainerTask): ContainerInstance | undefined =>
  instances.find((i) => i.arn === task.containerInstance);

/** A task is a target by an address of its own, or by its host and a port that is its own there. */
const targetsOf = (
  view: ServiceView,
  task: ContainerTask,
  port: number,
  among: readonly TargetHealth[],
): readonly TargetHealth[] => {
  const host = unitOf(view, task)?.instance;
  const ports = task.containers.flatMap((c) => c.hostPorts);
  return among.filter(
    (t) => (task.addresses.includes(t.id) && t.port === port) || (t.id === host && ports.includes(t.port)),
  );
};

/** Of blue and green, some of these are in the alternate group of the first. */
export const inAlternate = (view: ServiceView, tasks: readonly ContainerTask[]): boolean => {
  const [{ port = 0, alternate = [] } = {}] = view.targets;
  return tasks.some((task) => targetsOf(view, task, port, alternate).length > 0);
};

const healthIn =
  (view: ServiceView, task: ContainerTask) =>
  ({ port, health }: ServiceView['targets'][number]): string => {
    const own = targetsOf(view, task, port, health);
    // Of a blue/green deployment it may still drain from the other group.
    return (own.find((t) => t.state === 'healthy') ?? own[0])?.state ?? 'absent';
  };

export type Standing = 'serves' | 'unhealthy' | 'starts';

/** Nobody asks it: its target group is behind no load balancer, or its health checks are off. */
const UNASKED = ['unused', 'unavailable'];

/** Of a task that is wanted. Where nobody checks its health, running is enough. */
export const standingOf = (view: ServiceView, task: ContainerTask): Standing => {
  if (task.status !== 'RUNNING') return 'starts';
  const states = view.targets.map(healthIn(view, task));
  if (task.health === 'unhealthy' || states.includes('unhealthy')) return 'unhealthy';
  return states.every((s) => s === 'healthy' || UNASKED.includes(s)) ? 'serves' : 'starts';
};

/** A task that is not running so long after it was made hangs. */
export const STUCK = minutes(15);

export interface Picture {
  readonly primary: Deployment | undefined;
  /** What is to run. */
  readonly wanted: readonly ContainerTask[];
  readonly serving: readonly ContainerTask[];
  readonly unhealthy: readonly ContainerTask[];
  /** Unhealthy beyond all grace, or never running; their agent could be told to stop them. */
  readonly hung: readonly ContainerTask[];
  /** Of this deployment, ended by themselves within the window, the newest first. */
  readonly ended: readonly ContainerTask[];
  /** How many the primary deployment has too few of. */
  readonly missing: number;
}

const endedAt = ({ stopped }: ContainerTask): Time => stopped?.at ?? 0;

/** @param look how far back ends are counted, and how long a task may be unhealthy beyond its grace. Milliseconds. */
export const pictureOf = (
  view: ServiceView,
  now: Time,
  { window, patience }: { readonly window: number; readonly patience: number },
): Picture => {
  const { service, tasks } = view;
  const primary = primaryOf(service);
  const wanted = tasks.filter((t) => t.desired === 'RUNNING');
  const standing = new Map(wanted.map((t) => [t, standingOf(view, t)]));
  const are = (s: Standing) => wanted.filter((t) => standing.get(t) === s);
  const isHeard = (t: ContainerTask): boolean => unitOf(view, t)?.connected !== false;
  const hangs = (t: ContainerTask): boolean =>
    t.status === 'RUNNING'
      ? standing.get(t) === 'unhealthy' && now - (t.startedAt ?? now) >= service.grace + patience
      : now - t.createdAt >= STUCK;
  return {
    primary,
    wanted,
    serving: are('serves'),
    unhealthy: are('unhealthy'),
    hung: wanted.filter((t) => hangs(t) && isHeard(t)),
    ended: tasks
      .filter((t) => endingOf(t) !== undefined && t.status === 'STOPPED' && endedAt(t) > now - window)
      .filter((t) => !primary || (t.definition === primary.definition && t.createdAt >= primary.createdAt))
      .sort((a, b) => endedAt(b) - endedAt(a)),
    missing: Math.max(
      0,
      service.desired - wanted.filter((t) => !primary || t.definition === primary.definition).length,
    ),
  };
};

/** In ECS's words why the next task cannot be placed; undefined: nothing lacks, or it does not say. It says the same thing once only. */
export const unplacedBecause = ({ service }: ServiceView, { missing, primary }: Picture): string | undefined => {
  if (missing === 0) return undefined;
  const last = service.events.find((e) => /unable to place a task|has reached a steady state/.test(e.message));
  const [, why] = /unable to place a task(?: because)?\s*(.*)$/.exec(last?.message ?? '') ?? [];
  if (last && primary && last.at < primary.createdAt) return undefined;
  return why?.replace(/\s*For more information.*$/, '').trim();
};

/** It has too few tasks, and ECS says last that it finds no place for one. */
export const lacksRoom = ({ desired, running, events }: ContainerService): boolean =>
  running < desired &&
  /unable to place a task/.test(
    events.find((e) => /unable to place a task|has reached a steady state/.test(e.message))?.message ?? '',
  );

/** What a person can do about a task that is not placed or not started, by what ECS says. */
export const remedyOf = (why: string): string => {
  const [, remedy] =
    REMEDIES.find(([words]) => words.test(why)) ??
    ([/./, 'look at the events of the service: aws ecs describe-services'] as const);
  return remedy;
};
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [
    /pull|manifest|ecr|registry|image/i,
    'look whether the image and its tag are in the registry, whether the execution role may pull it, and whether its subnet reaches the registry',
  ],
  [
    /secret|ssm|parameter|kms/i,
    'look whether the secret exists, and whether the execution role may read it and use its key',
  ],
  [
    /network interface|\beni\b|subnet|ip address/i,
    'look at the free addresses of its subnets, and at how many network interfaces its instances can have',
  ],
  [/port/i, 'use a dynamic host port (0), or have at least as many instances as tasks'],
  [/insufficient (memory|cpu)/i, 'add an instance to the cluster, or let the task reserve less'],
  [/agent/i, 'the agents of its instances are cut off: ecs-agent-disconnected sees to each'],
  [/capacity is unavailable/i, 'give the service subnets in another zone, or another capacity provider'],
  [/constraint|attribute/i, 'look at the placement constraints of the service and the attributes of the instances'],
];

/** The services that have this target group. */
export const servicesBehind = (group: Target, ports: Ports): Promise<readonly Target[]> =>
  servicesWith([group.arn], ports);

/** Those that have any of these target groups. */
export const servicesWith = async (
  targetGroups: readonly string[],
  { containers, where }: Ports,
): Promise<readonly Target[]> => {
  const found: Target[] = [];
  for (const { cluster, services } of await clustersWithServices(containers))
    for (const { name, targetGroups: own } of services)
      if (own.some((t) => targetGroups.includes(t.arn) || targetGroups.includes(t.alternate ?? '')))
        found.push(serviceTarget(where, cluster, name));
  return found;
};
