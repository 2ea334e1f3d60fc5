/** ECS: clusters, the instances below them, the services and tasks on them. And whether there is room for the tasks of one on the others. Pure. */
import { partitionOf } from './target.ts';
import type { Time } from './time.ts';
import type { Json } from './verdict.ts';

/** CPU in units of 1/1024 vCPU, memory in MiB: as ECS counts them. */
export interface Room {
  readonly cpu: number;
  readonly memory: number;
}

export interface ContainerInstance {
  readonly arn: string;
  /** The cluster's name. */
  readonly cluster: string;
  /** Of EC2, or `mi-…` for one outside of AWS. */
  readonly instance: string;
  /** 'ACTIVE', 'DRAINING', 'REGISTERING', 'DEREGISTERING', 'INACTIVE': AWS's own words. */
  readonly status: string;
  /** Its agent is connected to ECS. Agents lose and find their connection several times an hour: that alone is no trouble. */
  readonly connected: boolean;
  /** Name of the zone, as ECS has it: 'eu-central-1a'. */
  readonly zone: string;
  readonly running: number;
  readonly pending: number;
  readonly free: Room;
  /** What it offers to tasks when none is on it. */
  readonly whole: Room;
  /** Host ports in use. */
  readonly ports: readonly number[];
  /** The capacity provider that it is of. */
  readonly provider?: string;
  readonly registeredAt: Time;
}

export interface ContainerTask {
  readonly arn: string;
  /** Name of its service; undefined: it belongs to none, so nothing replaces it. */
  readonly service: string | undefined;
  readonly definition: string;
  readonly launchType: string;
  readonly zone: string;
  readonly containerInstance: string | undefined;
  /** 'PENDING', 'RUNNING', 'STOPPED' …: the last that ECS heard. */
  readonly status: string;
  /** What is wanted of it: 'RUNNING' or 'STOPPED'. While an agent is cut off, a task that is to stop goes on being reported as it was. */
  readonly desired: string;
  readonly health: 'healthy' | 'unhealthy' | 'unknown';
  readonly room: Room;
  readonly createdAt: Time;
  readonly startedAt?: Time;
  readonly stopped?: { readonly at?: Time; readonly code?: string; readonly reason?: string };
  readonly containers: readonly {
    readonly name: string;
    readonly image: string;
    readonly digest?: string;
    readonly exitCode?: number;
    readonly reason?: string;
    /** Its hard limit in MiB, where it has one of its own. */
    readonly memory?: number;
    readonly hostPorts: readonly number[];
  }[];
  /** Addresses of its own, where it has network interfaces of its own. */
  readonly addresses: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
}

export interface Deployment {
  readonly id: string;
  readonly definition: string;
  /** 'PRIMARY', 'ACTIVE' (on its way out), 'INACTIVE'. */
  readonly status: string;
  /** 'IN_PROGRESS', 'COMPLETED', 'FAILED'; undefined: ECS does not say, as for other deployment controllers. */
  readonly rollout: string | undefined;
  /** In ECS's words: 'ECS deployment circuit breaker: rolling back to …'. */
  readonly because?: string;
  readonly failedTasks: number;
  readonly desired: number;
  readonly running: number;
  readonly createdAt: Time;
  readonly updatedAt: Time;
}

export interface ContainerService {
  readonly arn: string;
  readonly name: string;
  readonly cluster: string;
  /** 'ACTIVE', 'DRAINING' (it is being deleted). */
  readonly status: string;
  /** Who deploys: 'ECS', 'CODE_DEPLOY', 'EXTERNAL'. */
  readonly controller: string;
  readonly launchType: string | undefined;
  /** 'REPLICA' or 'DAEMON': one task on each instance. */
  readonly strategy: string;
  readonly desired: number;
  readonly running: number;
  readonly pending: number;
  readonly minimumHealthyPercent: number;
  readonly maximumPercent: number;
  /** So long after a task's start ECS forgives unhealthy targets. Milliseconds. */
  readonly grace: Time;
  /** ECS ends a deployment whose tasks fail by itself, and goes back. */
  readonly rollsBack: boolean;
  /** Alarms that ECS watches while it deploys; `rollBack`: it goes back by itself. Undefined: none. */
  readonly alarms?: { readonly names: readonly string[]; readonly rollBack: boolean };
  /** ECS starts what is new beside what is there, and shifts traffic to it: 'BLUE_GREEN', 'LINEAR', 'CANARY'. With all of it, both run so long. Undefined: it is updated in place. */
  readonly shifting?: { readonly strategy: string; readonly bake: Time };
  /** ARN of the rollout that was begun last. */
  readonly rollout?: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly targetGroups: readonly {
    readonly arn: string;
    /** Of a blue/green deployment: its tasks are in the one or the other. */
    readonly alternate?: string;
    readonly container: string;
    readonly port: number;
  }[];
  /** ECS evens it out over zones by itself. */
  readonly rebalancing: boolean;
  /** In their order: 'spread' by 'attribute:ecs.availability-zone', 'binpack' by 'memory' … None: ECS spreads by zone. */
  readonly placement: readonly Placement[];
  /** Expressions of its `memberOf` constraints, and the names of the others. */
  readonly constraints: readonly string[];
  /** Capacity providers; none: its launch type says where it runs. */
  readonly providers: readonly string[];
  /** Of tasks that have an address of their own. */
  readonly subnets: readonly string[];
  /** It is behind a Classic Load Balancer. */
  readonly classic: boolean;
  /** All of it as CreateService would take it, but for its task definition. */
  readonly settings?: Json;
  readonly deployments: readonly Deployment[];
  /** The newest first. */
  readonly events: readonly { readonly at: Time; readonly message: string }[];
}

/** Plain JSON: part of a step. */
export type Placement = { readonly type: string; readonly field: string };

/** How far ECS is with a deployment: a "service deployment". */
export interface Rollout {
  readonly arn: string;
  /** Of the deployment: 'ecs-svc/0123456789'. */
  readonly deployment: string;
  /** 'PENDING', 'IN_PROGRESS', 'ROLLBACK_REQUESTED', 'ROLLBACK_IN_PROGRESS', or how it ended. */
  readonly status: string;
  /** Where traffic is shifted: 'SCALE_UP', 'PRODUCTION_TRAFFIC_SHIFT', 'BAKE_TIME' …; and percent of it that goes to what is new. */
  readonly stage?: string;
  readonly share?: number;
  /** When its stage or status changed last. */
  readonly changedAt: Time;
  readonly endedAt?: Time;
}

/** It can be stopped. */
export const isUnderWay = ({ status }: Rollout): boolean => status === 'PENDING' || status === 'IN_PROGRESS';
export const goesBack = ({ status }: Rollout): boolean =>
  status === 'ROLLBACK_REQUESTED' || status === 'ROLLBACK_IN_PROGRESS';

/** What a deployment brought up whole: a task definition, and the digests that its tags meant then. */
export interface Revision {
  readonly definition: string;
  readonly at: Time;
  readonly images: readonly { readonly name: string; readonly image: string; readonly digest?: string }[];
}

/** What one task of a definition needs. */
export interface TaskShape {
  /** 'ACTIVE'; 'INACTIVE' starts nothing any more. */
  readonly status: string;
  readonly room: Room;
  readonly hostPorts: readonly number[];
  readonly images: readonly { readonly name: string; readonly image: string }[];
  /** ARNs of its task role and its execution role, where it has them. */
  readonly roles: readonly string[];
  /** Where its containers log to, of those that do so to CloudWatch. The stream of one is `<prefix>/<container>/<task id>`. */
  readonly logs: readonly { readonly container: string; readonly group: string; readonly prefix: string }[];
  readonly tags: Readonly<Record<string, string>>;
  readonly windows: boolean;
}

/** Those that ECS is given to run them. */
export const rolesOf = (...shapes: readonly (TaskShape | undefined)[]): readonly string[] => [
  ...new Set(shapes.flatMap((s) => s?.roles ?? [])),
];

/** Part of a step, hence plain JSON. */
export type Redeployment = {
  /** The primary deployment must still be this one. */
  readonly deployment: string;
  readonly definition: string;
  /** Container → `image@sha256:…`: a copy of the definition that names them is registered and deployed. */
  readonly pins?: Readonly<Record<string, string>>;
};

export interface ContainerCluster {
  readonly arn: string;
  readonly name: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Container instances that are registered, whatever their state. */
  readonly registered: number;
  /** All of it as CreateCluster would take it. */
  readonly settings: Json;
}

export interface Containers {
  /** Those of these clusters that there are. */
  describeClusters(names: readonly string[]): Promise<readonly ContainerCluster[]>;
  /** One of its name that is there already stays as it is. */
  createCluster(name: string, settings: Json): Promise<void>;
  /** Names of the clusters here; at most 100. */
  clusters(): Promise<readonly string[]>;
  /** The container instance that an EC2 instance is, in whichever cluster. Undefined: it is none. */
  ofInstance(id: string): Promise<ContainerInstance | undefined>;
  /** All of a cluster; with `disconnected` those whose agent is cut off. */
  instances(cluster: string, only?: 'disconnected'): Promise<readonly ContainerInstance[]>;
  /** What is on it and has not stopped, whatever is wanted of it. */
  tasksOn(instance: ContainerInstance): Promise<readonly ContainerTask[]>;
  /** Those of the services that there are. */
  services(cluster: string, names: readonly string[]): Promise<readonly ContainerService[]>;
  /** Names of a cluster's services that are not being deleted. */
  serviceNames(cluster: string): Promise<readonly string[]>;
  /** What is wanted of it, what is to stop, and what has stopped within the hour that ECS remembers. */
  tasksOf(service: Pick<ContainerService, 'cluster' | 'name'>): Promise<readonly ContainerTask[]>;
  /** All of a cluster that are to run. */
  wanted(cluster: string): Promise<readonly ContainerTask[]>;
  /** All of a cluster that is to stop or has stopped within that hour. */
  stopped(cluster: string): Promise<readonly ContainerTask[]>;
  /** @throws NotFound an hour after it has stopped */
  task(arn: string): Promise<ContainerTask>;
  /** What its deployments brought up whole, the latest first; at most 20. */
  revisions(service: Pick<ContainerService, 'cluster' | 'name'>): Promise<readonly Revision[]>;
  /** @throws NotFound */
  rollout(arn: string): Promise<Rollout>;
  /**
   * Has ECS end a rollout that is under way, and go back to the last revision that it brought up whole. What goes back already goes on; another rollout is not touched.
   * @throws Refused once it is over
   */
  goBack(rollout: string): Promise<void>;
  /** @throws NotFound */
  definition(arn: string): Promise<TaskShape>;
  /** A service's is replaced. What has stopped stays stopped. */
  stop(arn: string, reason: string): Promise<void>;
  /**
   * Deploys another task definition, if the service's primary deployment still has the expected one: a deployment that somebody else has begun is not undone.
   * @throws Refused 'deployed-meanwhile'
   */
  release(service: string, change: { readonly expected: string; readonly definition: string }): Promise<void>;
  /** Whether ECS evens it out over zones by itself. Begins no deployment. */
  setRebalancing(service: string, on: boolean): Promise<void>;
  /**
   * Wants so many tasks, if so many are wanted still: what somebody else has changed is theirs. With `placement`, places by that from now on. Begins no deployment.
   * @throws Refused 'scaled-meanwhile'
   */
  scale(
    service: string,
    change: { readonly expected: number; readonly desired: number; readonly placement?: readonly Placement[] },
  ): Promise<void>;
  /**
   * Where it may place tasks from now on, if its constraints are still the expected ones; with `rebalancing`, whether ECS evens it out. Begins no deployment, and
   * moves nothing.
   * @throws Refused 'constrained-meanwhile'
   */
  constrain(
    service: string,
    change: {
      readonly expected: readonly string[];
      readonly constraints: readonly string[];
      readonly rebalancing?: boolean;
    },
  ): Promise<void>;
  /** Until when tasks must not be scaled in, by ARN; those that may be are left out. All of one cluster. */
  protections(tasks: readonly string[]): Promise<Readonly<Record<string, Time>>>;
  /** Keeps them from being scaled in for so long, or ends that. Milliseconds, whole minutes. All of one cluster. */
  protect(tasks: readonly string[], ms: number | undefined): Promise<void>;
  /**
   * Deploys a release again, by its digests. Answers what is deployed.
   * @throws Refused 'deployed-meanwhile'
   */
  deploy(service: string, what: Redeployment): Promise<{ readonly definition: string }>;
  /** Creates a service that was deleted. AWS runs a token once. Answers what it deploys. */
  create(
    service: string,
    as: Omit<Redeployment, 'deployment'> & { readonly settings: Json },
    token: string,
  ): Promise<{ readonly definition: string }>;
  /** DRAINING: its service tasks are replaced elsewhere and then stopped. Naming the state makes a repetition harmless. */
  setState(arn: string, to: 'ACTIVE' | 'DRAINING'): Promise<void>;
  /** It is no part of its cluster any more, whatever is reported to run on it: service tasks are started elsewhere. */
  deregister(arn: string): Promise<void>;
}

export const isServerless = ({ launchType, providers }: ContainerService): boolean =>
  launchType === 'FARGATE' || providers.some((p) => p.startsWith('FARGATE'));

export const primaryOf = ({ deployments }: Pick<ContainerService, 'deployments'>): Deployment | undefined =>
  deployments.find((d) => d.status === 'PRIMARY');

/** 'arn:…:container-instance/shop/0123…' → 'shop'. The same of a service or a task. */
export const clusterOf = (arn: string): string => arn.split('/').at(-2) ?? '';

export const clusterArn = ({ account, region }: { account: string; region: string }, name: string): string =>
  `arn:${partitionOf(region)}:ecs:${region}:${account}:cluster/${name}`;

/** Tasks of services, which ECS starts elsewhere; a daemon's task has its place on its instance, and nowhere else. */
export const movable = (
  tasks: readonly ContainerTask[],
  services: readonly ContainerService[],
): readonly ContainerTask[] => {
  const daemons = new Set(services.filter((s) => s.strategy === 'DAEMON').map((s) => s.name));
  return tasks.filter((t) => t.service !== undefined && !daemons.has(t.service) && t.desired === 'RUNNING');
};

/**
 * The tasks for which the others have no room: largest first, each onto the instance with the most memory left. ECS places one by one too, and
 * knows constraints that are not counted here: an empty answer means "it seems so".
 */
export const homeless = <T extends Pick<ContainerTask, 'room'>>(
  tasks: readonly T[],
  others: readonly ContainerInstance[],
): readonly T[] => {
  const left = others.filter((i) => i.status === 'ACTIVE' && i.connected).map((i) => ({ ...i.free }));
  return [...tasks]
    .sort((a, b) => b.room.memory - a.room.memory || b.room.cpu - a.room.cpu)
    .filter(({ room }) => {
      const [best] = left
        .filter((l) => l.cpu >= room.cpu && l.memory >= room.memory)
        .sort((a, b) => b.memory - a.memory);
      if (best) Object.assign(best, { cpu: best.cpu - room.cpu, memory: best.memory - room.memory });
      return best === undefined;
    });
};

/** Neither one task more nor one fewer is allowed: ECS can move none of them. */
export const isStiff = (service: ContainerService): boolean => {
  const { desired, minimumHealthyPercent: least, maximumPercent: most, strategy } = service;
  return (
    strategy !== 'DAEMON' &&
    Math.floor((desired * most) / 100) <= desired &&
    Math.ceil((desired * least) / 100) >= desired
  );
};
