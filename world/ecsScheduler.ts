/**
 * The service scheduler: what each service is to have, against what it has. Rolling deployments within minimum and maximum percent (those that shift
 * traffic: ecsShifts.ts), drained instances, unhealthy tasks, the circuit breaker and the restart throttle. It looks a few seconds after anything changes.
 */
import {
  type Cluster,
  type Deployment,
  type DeploymentRecord,
  definitionOf,
  type EcsService,
  imageOf,
  instanceOfTask,
  remaining,
  type Task,
  targetGroupOf,
} from './ecs.ts';
import { isRunning, note, sayDeployment, sayService, tasksOf } from './ecsDescribe.ts';
import { isPlace, type NoPlace, place, wordsOf } from './ecsPlacement.ts';
import { advance, firstStage, heldIn, isBeforeTasks, routeTo } from './ecsShifts.ts';
import { startTask, stopTask } from './ecsTasks.ts';
import type { World } from './world.ts';

/** What could not be placed is tried again. */
const AGAIN = 30_000;
/** "… the time between subsequent restart attempts is incrementally increased up to a maximum of 27 minutes" (service throttle logic). */
const LONGEST_THROTTLE = 27 * 60_000;

export const wakeScheduler = (world: World, ms = world.settle.ecsSchedule) => {
  const at = world.clock.now() + ms;
  if (world.ecs.next && world.ecs.next.at <= at) return;
  world.ecs.next?.cancel();
  const cancel = world.clock.at(at, () => {
    world.ecs.next = undefined;
    schedule(world);
  });
  world.ecs.next = { at, cancel };
};

const schedule = (world: World) => {
  for (const cluster of world.ecs.clusters.values())
    for (const service of cluster.services.values())
      if (service.status !== 'INACTIVE') {
        reconcile(world, cluster, service);
        leave(world, cluster, service);
      }
};

/** "After all tasks have transitioned to either STOPPING or STOPPED status, the service status moves from DRAINING to INACTIVE" (DeleteService). */
const leave = (world: World, cluster: Cluster, service: EcsService) => {
  const isOver = tasksOf(cluster, service).every((t) => t.status === 'STOPPING' || t.status === 'STOPPED');
  if (service.status === 'DRAINING' && isOver) world.lag.change(service).status = 'INACTIVE';
};

export const primaryOf = ({ deployments }: EcsService): Deployment => {
  const primary = deployments.find((d) => d.status === 'PRIMARY');
  if (!primary) throw new Error('a service has a primary deployment');
  return primary;
};

/** The balancer says that it serves; without one, running is enough. */
const targetsHealth = (world: World, service: EcsService, task: Task): 'healthy' | 'unhealthy' | 'unknown' => {
  const states = service.targets.map((target) => {
    const { container, port } = target;
    const bound = task.containers.find((c) => c.name === container)?.hostPort;
    const id = task.address ?? instanceOfTask(world, task)?.ec2InstanceId;
    const group = world.elb.groups.get(targetGroupOf(service, task.startedBy, target));
    return group?.targets.get(`${id}:${task.address ? port : (bound ?? port)}`)?.state;
  });
  if (states.includes('unhealthy')) return 'unhealthy';
  return states.every((s) => s === 'healthy' || s === 'unused') ? 'healthy' : 'unknown';
};

const isHealthy = (world: World, service: EcsService, task: Task): boolean =>
  isRunning(task) &&
  !task.containers.some((c) => c.essential && c.checked && c.health !== 'HEALTHY') &&
  targetsHealth(world, service, task) === 'healthy';

const isProtected = (world: World, { protectedUntil }: Task): boolean =>
  protectedUntil !== undefined && protectedUntil > world.clock.now();

/** Why it must not go on, in ECS's words. */
const failing = (world: World, service: EcsService, task: Task): string | undefined => {
  if (!isRunning(task) || service.overlooks) return undefined;
  if (task.containers.some((c) => c.essential && c.health === 'UNHEALTHY'))
    return 'Task failed container health checks';
  const since = world.clock.now() - (task.startedAt ?? 0);
  const [target] = service.targets;
  const ill = target && targetsHealth(world, service, task) === 'unhealthy';
  if (ill && since < service.grace) wakeScheduler(world, service.grace - since);
  return ill && since >= service.grace
    ? `Task failed ELB health checks in (target-group ${targetGroupOf(service, task.startedBy, target)})`
    : undefined;
};

type View = {
  readonly world: World;
  readonly cluster: Cluster;
  readonly service: EcsService;
  /** Those that are to run. */
  readonly wanted: readonly Task[];
  /** Of the primary deployment, on instances that stay. */
  readonly keepers: readonly Task[];
  /** Of the deployment that traffic is being taken from, likewise. */
  readonly held: readonly Task[];
  /** Of older deployments, or on instances that drain. */
  readonly leavers: readonly Task[];
};

const view = (world: World, cluster: Cluster, service: EcsService): View => {
  const primary = primaryOf(service);
  const wanted = tasksOf(cluster, service).filter((t) => t.desired === 'RUNNING');
  const heldId = heldIn(service);
  const isOf = (id: string | undefined) => (t: Task) =>
    t.startedBy === id && instanceOfTask(world, t)?.status !== 'DRAINING';
  const [keepers, held] = [wanted.filter(isOf(primary.id)), wanted.filter(isOf(heldId))];
  return {
    world,
    cluster,
    service,
    wanted,
    keepers,
    held,
    leavers: wanted.filter((t) => !keepers.includes(t) && !held.includes(t)),
  };
};

const reconcile = (world: World, cluster: Cluster, service: EcsService) => {
  if (service.strategy === 'DAEMON')
    service.desired = [...cluster.instances.values()].filter((i) => i.status === 'ACTIVE').length;
  if (service.history[0]?.status === 'ROLLBACK_REQUESTED')
    goBack(
      world,
      service,
      'Service deployment rolled back because of user request.',
      `ECS deployment rolling back to deploymentId ${service.completed?.id}.`,
    );
  countFailures(world, cluster, service);
  heedAlarms(world, service);
  for (const task of tasksOf(cluster, service)) {
    const why = failing(world, service, task);
    if (why === undefined) continue;
    note(world, service, `(task ${task.id}) ${why.replace('Task failed', 'failed')}.`);
    stopTask(world, task, 'ServiceSchedulerInitiated', why);
  }
  const before = view(world, cluster, service);
  stopPending(before);
  scaleIn(before);
  startMissing(view(world, cluster, service));
  stopLeavers(view(world, cluster, service));
  roll(view(world, cluster, service));
  rebalance(view(world, cluster, service));
};

/** "Service tasks on the container instance that are in the PENDING state are stopped immediately." */
const stopPending = ({ world, service, leavers }: View) =>
  stopAll(
    world,
    service,
    leavers.filter((t) => t.status === 'PENDING' || t.status === 'PROVISIONING'),
  );

const stopAll = (world: World, service: EcsService, tasks: readonly Task[]) => {
  if (tasks.length === 0) return;
  note(world, service, `has stopped ${tasks.length} running tasks: ${tasks.map((t) => `(task ${t.id})`).join(' ')}.`);
  service.steady = false;
  for (const task of tasks)
    stopTask(world, task, 'ServiceSchedulerInitiated', `Scaling activity initiated by (deployment ${task.startedBy})`);
};

/** One that is on its way into a thinner zone is not too many until it serves. */
const onItsWay = ({ world, service, keepers }: View): number => {
  const task = keepers.find((t) => t.id === service.moving);
  if (task && !isHealthy(world, service, task)) return 1;
  service.moving = undefined;
  return 0;
};

/** "… Amazon ECS Service can't rebalance": where its first strategy is another than to spread by zone, or no more than wanted may run. */
const mayRebalance = ({ rebalancing, strategy, maximumPercent, placement: [first] }: EcsService): boolean =>
  rebalancing &&
  strategy === 'REPLICA' &&
  maximumPercent > 100 &&
  (first === undefined || (first.type === 'spread' && first.field.endsWith('availability-zone')));

/** The fullest zone has two more than this one, or than the thinnest that has any. */
const isSkewed = (tasks: readonly Task[], zone?: string): boolean => {
  const counts = new Map<string, number>(zone === undefined ? [] : [[zone, 0]]);
  for (const t of tasks) counts.set(t.zone, (counts.get(t.zone) ?? 0) + 1);
  const thin = zone === undefined ? Math.min(...counts.values()) : (counts.get(zone) ?? 0);
  return Math.max(0, ...counts.values()) - thin > 1;
};

/** Availability Zone rebalancing: of what is steady one is started in the thinnest zone; once it serves, scaling in takes one from the fullest. */
const rebalance = ({ world, cluster, service, wanted, keepers }: View) => {
  if (!mayRebalance(service) || !service.steady || service.moving !== undefined) return;
  const most = Math.max(0, ...keepers.map((t) => keepers.filter((o) => o.zone === t.zone).length));
  // A host, or Fargate's capacity, may be there later.
  if (most > Math.ceil(service.desired / Object.keys(world.zones).length)) wakeScheduler(world, AGAIN);
  const definition = definitionOf(world, primaryOf(service).definition);
  const found =
    definition && place(world, cluster, { service, definition, launchType: service.launchType, tasks: [...wanted] });
  if (!definition || !found || !isPlace(found)) return;
  if (!isSkewed(keepers, found.zone)) return;
  const { zone, instance } = found;
  const { launchType } = service;
  const startedBy = primaryOf(service).id;
  const task = startTask(world, { cluster, definition, launchType, zone, instance, service, startedBy });
  service.moving = task.id;
  service.steady = false;
  note(world, service, `has started 1 tasks in ${zone} to balance Availability Zones: (task ${task.id}).`);
  if (!service.evening) sayService(world, service, 'INFO', 'SERVICE_REBALANCING_STARTED');
  service.evening = true;
};

/** Which goes first: of the zone with the most; or, where tasks are packed, of the emptiest instance. */
const rankOf = ({ world, cluster, service, keepers }: View): ((t: Task) => number) => {
  if (service.placement[0]?.type !== 'binpack') return (t) => keepers.filter((o) => o.zone === t.zone).length;
  return (t) => {
    const instance = instanceOfTask(world, t);
    return instance ? remaining(cluster, instance).memory : 0;
  };
};

/** More than wanted: as its placement says. */
const scaleIn = (seen: View) => {
  const { world, service, keepers } = seen;
  const excess = keepers.length - service.desired - onItsWay(seen);
  if (excess <= 0) return;
  const left = [...keepers];
  const chosen: Task[] = [];
  while (chosen.length < excess) {
    const rank = rankOf({ ...seen, keepers: left });
    const [first] = left.filter((t) => !isProtected(world, t)).sort((a, b) => rank(b) - rank(a));
    if (!first) {
      // Protected ones may go when that has ended.
      const ends = Math.min(...left.map((t) => t.protectedUntil ?? Number.POSITIVE_INFINITY));
      if (Number.isFinite(ends)) wakeScheduler(world, ends - world.clock.now());
      break;
    }
    left.splice(left.indexOf(first), 1);
    chosen.push(first);
  }
  stopAll(world, service, chosen);
};

const startMissing = (seen: View) => {
  const { service, wanted, keepers, held } = seen;
  const primary = primaryOf(service);
  // Where traffic is shifted, both have all that they want.
  const room = service.shifting
    ? service.desired
    : Math.floor((service.desired * service.maximumPercent) / 100) - wanted.length;
  if (primary.rollout !== 'FAILED' && !isBeforeTasks(service))
    start(seen, primary, Math.min(service.desired - keepers.length, room));
  const from = service.deployments.find((d) => d.id === heldIn(service));
  if (from) start(seen, from, service.desired - held.length);
};

const start = ({ world, cluster, service, wanted }: View, { id, definition: arn }: Deployment, missing: number) => {
  const definition = definitionOf(world, arn);
  if (missing <= 0 || !definition) return;
  const { until } = service.throttle;
  if (world.clock.now() < until) return wakeScheduler(world, until - world.clock.now());
  const started: Task[] = [];
  for (let n = 0; n < missing; n++) {
    const found = place(world, cluster, {
      service,
      definition,
      launchType: service.launchType,
      tasks: [...wanted, ...started],
    });
    if (!isPlace(found)) {
      sayNoPlace(world, service, found);
      break;
    }
    const { zone, instance } = found;
    const { launchType } = service;
    started.push(startTask(world, { cluster, definition, launchType, zone, instance, service, startedBy: id }));
  }
  if (started.length === 0) return;
  service.steady = false;
  note(world, service, `has started ${started.length} tasks: ${started.map((t) => `(task ${t.id})`).join(' ')}.`);
};

/** Said once until something else happens; tried again meanwhile. */
const sayNoPlace = (world: World, service: EcsService, found: NoPlace) => {
  wakeScheduler(world, AGAIN);
  const words = wordsOf(found);
  if (service.unplaced === words) return;
  service.unplaced = words;
  note(world, service, words);
  sayService(world, service, 'ERROR', 'SERVICE_TASK_PLACEMENT_FAILURE', {
    containerInstanceArns: found.closest ? [found.closest.arn] : [],
    reason: found.reason,
  });
};

/** Old ones go as new ones serve: never fewer healthy ones than the minimum. Those that do not serve are not counted, and go first. */
const stopLeavers = ({ world, service, wanted, leavers }: View) => {
  const least = Math.ceil((service.desired * service.minimumHealthyPercent) / 100);
  const healthy = wanted.filter((t) => isHealthy(world, service, t));
  let spare = healthy.length - least;
  const chosen = leavers.filter((t) => {
    if (isProtected(world, t)) return false;
    if (!healthy.includes(t)) return true;
    return spare-- > 0;
  });
  stopAll(world, service, chosen);
};

const thresholdOf = ({ desired }: EcsService): number => Math.min(200, Math.max(3, Math.ceil(desired / 2)));

/**
 * "A task is considered a failure if the service scheduler can't launch the task, the task doesn't transition to a RUNNING state, or if it fails
 * any of its defined health checks and is stopped" (Deployment.failedTasks): one that ran and ended by itself is none.
 */
const countFailures = (world: World, cluster: Cluster, service: EcsService) => {
  const primary = primaryOf(service);
  // One that was gone back to begins anew.
  const ended = tasksOf(cluster, service).filter(
    (t) => t.startedBy === primary.id && t.desired === 'STOPPED' && t.createdAt >= service.throttle.since,
  );
  const neverRan = ended.filter((t) => t.startedAt === undefined && t.stopCode === 'TaskFailedToStart');
  const ill = ended.filter((t) => /health checks/.test(t.stoppedReason ?? ''));
  primary.failedTasks = Math.max(primary.failedTasks, neverRan.length + ill.length);
  throttle(world, service, neverRan.filter((t) => t.createdAt > service.throttle.since).length);
  if (primary.rollout === 'IN_PROGRESS' && service.circuitBreaker.enable && primary.failedTasks >= thresholdOf(service))
    breakCircuit(world, service, primary);
};

const throttle = (world: World, service: EcsService, failures: number) => {
  if (failures <= service.throttle.failures) return;
  const until = world.clock.now() + Math.min(LONGEST_THROTTLE, 10_000 * 2 ** (failures - 1));
  service.throttle = { ...service.throttle, failures, until };
  if (failures !== 3) return;
  note(
    world,
    service,
    'is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.',
  );
  sayService(world, service, 'WARN', 'SERVICE_TASK_START_IMPAIRED');
};

const inAlarm = (world: World, { alarms }: EcsService): string[] =>
  (alarms?.names ?? []).filter((name) => world.cloudwatch.alarms.get(name)?.state.value === 'ALARM');

/** "… if an alarm is in the ALARM state before the deployment starts, ECS does not monitor it for that deployment"; one without data is no reason either. */
const heedAlarms = (world: World, service: EcsService) => {
  const primary = primaryOf(service);
  if (!service.alarms || primary.rollout !== 'IN_PROGRESS') return;
  wakeScheduler(world, AGAIN);
  if (inAlarm(world, service).some((name) => !primary.alarming.includes(name)))
    fail(world, service, primary, 'ECS deployment failed: alarm detected', service.alarms.rollback);
};

const breakCircuit = (world: World, service: EcsService, primary: Deployment) =>
  fail(
    world,
    service,
    primary,
    'ECS deployment circuit breaker: tasks failed to start.',
    service.circuitBreaker.rollback,
  );

const fail = (world: World, service: EcsService, primary: Deployment, why: string, isBack: boolean) => {
  primary.rollout = 'FAILED';
  primary.rolloutReason = why;
  primary.updatedAt = world.clock.now();
  const back = service.completed;
  const canGoBack = isBack && back !== undefined && back.id !== primary.id;
  if (!canGoBack) finish(world, service, isUnderWay(service) === 'back' ? 'ROLLBACK_FAILED' : 'STOPPED', why);
  sayDeployment(world, service, primary);
  if (canGoBack)
    goBack(world, service, why, `ECS deployment circuit breaker: rolling back to deploymentId ${back.id}.`);
};

/**
 * Back to the last deployment that was rolled out whole: its traffic at once, its tasks as far as they are gone. "Amazon ECS doesn't create a new service revision
 * for a rollback operation" (service revisions): it is the same deployment again.
 */
const goBack = (world: World, service: EcsService, why: string, reason: string) => {
  const primary = primaryOf(service);
  const [last] = service.history;
  const back = service.completed;
  if (!last || back === undefined || back.id === primary.id)
    return finish(world, service, 'ROLLBACK_FAILED', 'there is no deployment to go back to');
  const now = world.clock.now();
  Object.assign(last, {
    status: 'ROLLBACK_IN_PROGRESS',
    reason: why,
    updatedAt: now,
    rollback: { reason: why, at: now, to: back.id },
  });
  note(world, service, `rolling back to (deployment ${back.id}).`);
  primary.status = 'ACTIVE';
  primary.rollout = 'FAILED';
  const known = service.deployments.find((d) => d.id === back.id);
  const again: Deployment = {
    ...(known ?? { id: back.id, definition: back.definition, createdAt: now }),
    updatedAt: now,
    status: 'PRIMARY',
    rollout: 'IN_PROGRESS',
    rolloutReason: reason,
    failedTasks: 0,
    alarming: inAlarm(world, service),
  };
  service.deployments = [again, ...service.deployments.filter((d) => d !== known)];
  service.throttle = { failures: 0, until: 0, since: now };
  service.steady = false;
  routeTo(world, service, again.id, 100);
  sayDeployment(world, service, again);
  wakeScheduler(world);
};

/** Whoever stops it: the rollback is requested, and begins when the scheduler looks. */
export const requestRollback = (world: World, service: EcsService) => {
  const [last] = service.history;
  if (last?.status !== 'IN_PROGRESS') return;
  Object.assign(last, { status: 'ROLLBACK_REQUESTED', updatedAt: world.clock.now() });
  wakeScheduler(world);
};

/** Whether it is being deployed, or gone back from. */
const isUnderWay = ({ history: [last] }: EcsService): 'on' | 'back' | undefined => {
  if (last?.status === 'IN_PROGRESS') return 'on';
  return last?.status.startsWith('ROLLBACK') && last.finishedAt === undefined ? 'back' : undefined;
};

const recordOf = (
  world: World,
  service: EcsService,
  { id, definition, createdAt: startedAt }: Deployment,
): DeploymentRecord => {
  const containers = definitionOf(world, definition)?.containers ?? [];
  const images = containers.map(({ name, image }) => ({ name, image, digest: imageOf(world, image).digest }));
  const serving = service.history.find((d) => d.id === service.completed?.id);
  const sources = service.deployments.flatMap((d) => (d.id === id ? [] : [d.id]));
  return {
    id,
    definition,
    images,
    sources,
    alternate: service.shifting !== undefined && serving !== undefined && !serving.alternate,
    startedAt,
    updatedAt: startedAt,
    finishedAt: undefined,
    status: 'IN_PROGRESS',
    reason: undefined,
    stage: service.shifting && firstStage(sources),
    stageAt: startedAt,
    step: 0,
    rollback: undefined,
  };
};
/** What is under way is over. */
const finish = (world: World, service: EcsService, status: DeploymentRecord['status'], reason?: string) => {
  const [last] = service.history;
  if (!last || !isUnderWay(service)) return;
  const now = world.clock.now();
  Object.assign(last, { status, finishedAt: now, updatedAt: now, ...(reason && { reason }) });
};

/** A new primary deployment; the one before goes on as ACTIVE until its tasks are gone. */
export const deploy = (world: World, service: EcsService, definition: string, reason?: string): Deployment => {
  const now = world.clock.now();
  const id = `ecs-svc/${String(world.random.integer(1e9)).padStart(10, '1')}${String(world.random.integer(1e9)).padStart(9, '0')}`;
  const deployment: Deployment = {
    id,
    definition,
    createdAt: now,
    updatedAt: now,
    status: 'PRIMARY',
    rollout: 'IN_PROGRESS',
    rolloutReason: reason ?? `ECS deployment ${id} in progress.`,
    failedTasks: 0,
    alarming: inAlarm(world, service),
  };
  service.deployments = [deployment, ...service.deployments.map((d) => ({ ...d, status: 'ACTIVE' as const }))];
  finish(world, service, 'STOPPED', 'Service deployment stopped: another one was started.');
  service.history = [recordOf(world, service, deployment), ...service.history];
  // What serves takes all traffic back from what was under way.
  if (service.completed) routeTo(world, service, service.completed.id, 100);
  service.throttle = { failures: 0, until: 0, since: now };
  service.steady = false;
  sayDeployment(world, service, deployment);
  wakeScheduler(world);
  return deployment;
};

/** What is whole is said to be: the deployment is over, the service is steady. */
const roll = ({ world, cluster, service, keepers, leavers }: View) => {
  const primary = primaryOf(service);
  service.deployments = service.deployments.filter(
    (d) =>
      d === primary ||
      d.id === heldIn(service) ||
      tasksOf(cluster, service).some((t) => t.startedBy === d.id && t.status !== 'STOPPED'),
  );
  const serves = keepers.length === service.desired && keepers.every((t) => isHealthy(world, service, t));
  const more = advance(world, service, serves);
  if (more !== undefined) wakeScheduler(world, more || undefined);
  const [last] = service.history;
  const isShifting = last?.status === 'IN_PROGRESS' && last.stage !== undefined && last.stage !== 'CLEAN_UP';
  const whole = serves && !isShifting && leavers.length === 0 && service.deployments.length === 1;
  if (!whole || service.steady) return;
  if (primary.rollout === 'IN_PROGRESS') {
    primary.rollout = 'COMPLETED';
    primary.rolloutReason = `ECS deployment ${primary.id} completed.`;
    primary.updatedAt = world.clock.now();
    finish(world, service, isUnderWay(service) === 'back' ? 'ROLLBACK_SUCCESSFUL' : 'SUCCESSFUL');
    service.completed = { id: primary.id, definition: primary.definition };
    note(world, service, `(deployment ${primary.id}) deployment completed.`);
    sayDeployment(world, service, primary);
  }
  service.steady = true;
  if (service.evening && !isSkewed(keepers)) {
    service.evening = false;
    sayService(world, service, 'INFO', 'SERVICE_REBALANCING_COMPLETED');
  }
  service.unplaced = undefined;
  service.throttle = { failures: 0, until: 0, since: world.clock.now() };
  note(world, service, 'has reached a steady state.');
  sayService(world, service, 'INFO', 'SERVICE_STEADY_STATE');
};
