/** Where the next task of a service goes: what has room, then the service's strategy. */
import {
  type Cluster,
  type ContainerInstance,
  type EcsService,
  nameIn,
  remaining,
  type Task,
  type TaskDefinition,
  tasksOn,
} from './ecs.ts';
import type { World } from './world.ts';

export type Place = { readonly zone: string; readonly instance: ContainerInstance | undefined };
export type NoPlace = {
  /** In ECS's words: 'has insufficient memory available.' */
  readonly because: string;
  /** As the event has it: 'RESOURCE:MEMORY'. */
  readonly reason: string;
  readonly closest: ContainerInstance | undefined;
};
export const isPlace = (p: Place | NoPlace): p is Place => 'zone' in p;

type Lack = { readonly because: string; readonly reason: string };

const hostPorts = (definition: TaskDefinition): number[] =>
  definition.networkMode === 'awsvpc' ? [] : definition.containers.flatMap((c) => (c.port?.host ? [c.port.host] : []));

const lackOf = (
  cluster: Cluster,
  instance: ContainerInstance,
  service: Pick<EcsService, 'name' | 'distinct' | 'constraints'> | undefined,
  definition: TaskDefinition,
): Lack | undefined => {
  if (!instance.connected) return { because: "doesn't have the agent connected.", reason: 'AGENT' };
  const free = remaining(cluster, instance);
  if (free.cpu < definition.cpu) return { because: 'has insufficient CPU units available.', reason: 'RESOURCE:CPU' };
  if (free.memory < definition.memory)
    return { because: 'has insufficient memory available.', reason: 'RESOURCE:MEMORY' };
  const tasks = tasksOn(cluster, instance);
  const taken = new Set(tasks.flatMap((t) => t.containers.flatMap((c) => c.hostPort ?? [])));
  const wanted = new Set(hostPorts(definition));
  // What is about to run holds its port already.
  const clash =
    [...wanted].some((p) => taken.has(p)) || (wanted.size > 0 && tasks.some((t) => t.definition === definition.arn));
  if (clash) return { because: 'is already using a port required by your task.', reason: 'RESOURCE:PORTS' };
  if (service?.distinct && tasks.some((t) => t.service === service.name))
    return { because: 'encountered error "DistinctInstance placement constraint unsatisfied.".', reason: 'MemberOf' };
  if (service?.constraints.some((c) => !admits(c, instance)))
    return { because: 'encountered error "MemberOf placement constraint unsatisfied.".', reason: 'MemberOf' };
  return undefined;
};

/** Of the cluster query language what the world has: one zone, or all but one. What else it may say holds. */
const admits = (expression: string, { zone }: ContainerInstance): boolean => {
  const [, sign, named] = /^attribute:ecs\.availability-zone\s*(==|!=)\s*(\S+)$/.exec(expression) ?? [];
  return sign === undefined || (sign === '==') === (named === zone);
};

type Candidate = { readonly instance: ContainerInstance; readonly own: number };

/** Fewest of the service's tasks by a field, or the fullest of what still fits. */
const ranks = (
  cluster: Cluster,
  tasks: readonly Task[],
  { type, field }: EcsService['placement'][number],
): ((c: Candidate) => number) => {
  if (type === 'binpack')
    return ({ instance }) => remaining(cluster, instance)[field.toLowerCase() === 'cpu' ? 'cpu' : 'memory'];
  if (type === 'random') return () => 0;
  if (field === 'instanceId' || field === 'host') return ({ own }) => own;
  return ({ instance }) => tasks.filter((t) => t.zone === instance.zone).length;
};

/** "attribute:ecs.availability-zone" is what a service spreads by, if it says nothing else. */
const byZone = { type: 'spread', field: 'attribute:ecs.availability-zone' } as const;

const onInstances = (
  cluster: Cluster,
  service: EcsService | undefined,
  definition: TaskDefinition,
  tasks: readonly Task[],
): Place | NoPlace => {
  const all = [...cluster.instances.values()].filter((i) => i.status === 'ACTIVE');
  if (all.length === 0)
    return {
      because: 'No Container Instances were found in your cluster.',
      reason: 'EMPTY CLUSTER',
      closest: undefined,
    };
  const lacks = all.map((instance) => ({ instance, lack: lackOf(cluster, instance, service, definition) }));
  const candidates = lacks
    .filter(({ lack }) => lack === undefined)
    .map(({ instance }) => ({
      instance,
      own: tasks.filter((t) => nameIn(t.containerInstance) === instance.id).length,
    }));
  const orders = [
    ...(service?.placement.length ? service.placement : [byZone]),
    { type: 'spread', field: 'host' } as const,
  ];
  const ranked = orders.map((order) => ranks(cluster, tasks, order));
  candidates.sort((a, b) => ranked.map((rank) => rank(a) - rank(b)).find((d) => d !== 0) ?? 0);
  const [best] = candidates;
  if (best) return { zone: best.instance.zone, instance: best.instance };
  const closest = lacks.find(({ lack }) => lack?.reason !== 'AGENT') ?? lacks[0];
  return { ...(closest?.lack ?? { because: '', reason: '' }), closest: closest?.instance };
};

const onFargate = (world: World, tasks: readonly Task[]): Place | NoPlace => {
  const zones = Object.keys(world.zones).filter((z) => !world.ecs.fargateLacks.has(z));
  const count = (zone: string) => tasks.filter((t) => t.zone === zone).length;
  const [zone] = zones.sort((a, b) => count(a) - count(b));
  return zone === undefined
    ? {
        because: 'Capacity is unavailable at this time. Please try again later or in a different availability zone.',
        reason: 'RESOURCE:FARGATE',
        closest: undefined,
      }
    : { zone, instance: undefined };
};

/** @param tasks those of the service that are to run, so that the next one evens them out */
export const place = (
  world: World,
  cluster: Cluster,
  {
    service,
    definition,
    launchType,
    tasks,
  }: {
    readonly service: EcsService | undefined;
    readonly definition: TaskDefinition;
    readonly launchType: EcsService['launchType'];
    readonly tasks: readonly Task[];
  },
): Place | NoPlace =>
  launchType === 'FARGATE' ? onFargate(world, tasks) : onInstances(cluster, service, definition, tasks);

/** What a person reads in the service's events. */
export const wordsOf = ({ because, closest }: NoPlace): string =>
  closest
    ? `was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance ${closest.id}) ${because} For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.`
    : `was unable to place a task because no container instance met all of its requirements. Reason: ${because} For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.`;
