import * as z from 'zod/mini';
import {
  type ContainerInstance,
  type ContainerService,
  type ContainerTask,
  clusterOf,
  homeless,
  isServerless,
  movable,
  primaryOf,
  type Revision,
  rolesOf,
  type TaskShape,
} from '../core/containers.ts';
import { Refused, undefinedIfRefused } from '../core/errors.ts';
import { type Attempt, unjudged } from '../core/incident.ts';
import { passTaskRoles } from '../core/permissions.ts';
import { option } from '../core/policy.ts';
import type { Ports } from '../core/ports.ts';
import { crossesMigration, releaseOf } from '../core/releases.ts';
import { defineRemediation, type Effect, type Facts, type Group, type Look, type Scan } from '../core/remediation.ts';
import {
  type Ending,
  endedWith,
  endingOf,
  isOutOfMemory,
  type Picture,
  pictureOf,
  remedyOf,
  type ServiceView,
  type SurveyedCluster,
  servicesBehind,
  serviceThere,
  shortOf,
  standingOf,
  unitOf,
  unplacedBecause,
  viewOf,
} from '../core/services.ts';
import type { Signal } from '../core/signal.ts';
import { serviceTarget, type Target, targetOf, typeOf } from '../core/target.ts';
import { hours, iso, minutes, seconds, span } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';
import { plural } from '../core/words.ts';

const options = z.strictObject({
  patienceMinutes: option(
    z.int().check(z.gte(1), z.lte(60)),
    3,
    'So long ECS may mend a service by itself; so long a task may be unhealthy beyond its grace period',
  ),
  restarts: option(
    z.int().check(z.gte(2), z.lte(50)),
    3,
    'So many tasks of one revision that end by themselves within half an hour are a loop',
  ),
  quietMinutes: option(z.int().check(z.gte(2), z.lte(60)), 10, 'It is healthy after so long without a restart'),
  deployMinutes: option(
    z.int().check(z.gte(1), z.lte(60)),
    5,
    'So young a deployment is left alone; and so long a task that was stopped may take to be replaced',
  ),
  stops: option(z.int().check(z.gte(0), z.lte(20)), 3, 'So many tasks are stopped before the next rung'),
  rollBack: option(
    z.boolean(),
    false,
    'Deploy the former revision without asking. Do so only where old code runs with what newer code has written',
  ),
  rollBackWithinHours: option(
    z.int().check(z.gte(1), z.lte(24 * 14)),
    24,
    'A revision that has been deployed for longer than this is not what is new: it is not rolled back',
  ),
});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'stop'; readonly task: string }
  | { readonly do: 'drain'; readonly unit: string; readonly instance: string }
  | {
      readonly do: 'roll-back';
      readonly service: string;
      readonly from: string;
      readonly to: string;
      /** ARNs that ECS is given to run it, and to run what it is put back to. */
      readonly roles: readonly string[];
    };

/** What is looked at only once patience has run out. */
interface Closely {
  readonly revisions: readonly Revision[];
  /** Of the primary deployment; undefined: it cannot be described. */
  readonly shape: TaskShape | undefined;
  /** Of the revision that it would be rolled back to. */
  readonly former: (Revision & { readonly shape: TaskShape | undefined }) | undefined;
  /** What runs on the one host on which all that fails has been. */
  readonly there: { readonly tasks: readonly ContainerTask[]; readonly services: readonly ContainerService[] };
}
type Seen =
  | { readonly is: 'task'; readonly task: ContainerTask; readonly uncovered: string | undefined }
  | {
      readonly is: 'service';
      readonly view: ServiceView;
      readonly picture: Picture;
      readonly uncovered: string | undefined;
      readonly group: Group | undefined;
      readonly closely: Closely | undefined;
    };
type Service = Extract<Seen, { is: 'service' }>;
type Task = Extract<Seen, { is: 'task' }>;

/** Restarts are counted within this. */
const WINDOW = minutes(30);

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  if (typeOf(target) === 'task') {
    const task = await ports.containers.task(target.arn);
    return { is: 'task', task, uncovered: look.uncovered(task.tags) };
  }
  const service = await serviceThere(target.arn, ports);
  const uncovered = look.uncovered(service.tags);
  const bare = { service, tasks: [], instances: [], targets: [] };
  if (uncovered !== undefined || isIdle(service))
    return {
      is: 'service',
      view: bare,
      picture: picturedAt(bare, look),
      uncovered,
      group: undefined,
      closely: undefined,
    };
  const [view, names] = await Promise.all([viewOf(service, ports), ports.containers.serviceNames(service.cluster)]);
  const picture = picturedAt(view, look);
  const seen: Service = {
    is: 'service',
    view,
    picture,
    uncovered,
    group: { id: `services/${service.cluster}`, size: Math.max(1, names.length), zones: {} },
    closely: undefined,
  };
  return mayAct(look) && !isHealthy(seen, look) ? { ...seen, closely: await lookClosely(seen, ports, look) } : seen;
};

const isIdle = ({ status, desired }: ContainerService): boolean => status !== 'ACTIVE' || desired === 0;
const picturedAt = (view: ServiceView, { now, options: o }: Pick<Look<Options>, 'now' | 'options'>): Picture =>
  pictureOf(view, now, { window: WINDOW, patience: minutes(o.patienceMinutes) });
const patienceOf = ({ openedAt, options: o }: Look<Options>): number => openedAt + minutes(o.patienceMinutes);
const mayAct = (look: Look<Options>): boolean => look.attempts.length > 0 || look.now >= patienceOf(look);

const lookClosely = async (seen: Service, { containers }: Ports, look: Look<Options>): Promise<Closely> => {
  const { view, picture } = seen;
  const { service } = view;
  const shapeOf = (arn: string) => containers.definition(arn).catch(undefinedIfRefused);
  const { primary } = picture;
  const host = commonHost(seen, culpritsOf(seen, look));
  const [revisions, shape, tasks] = await Promise.all([
    // Others' deployments are not listed.
    service.controller === 'ECS' ? containers.revisions(service) : [],
    primary ? shapeOf(primary.definition) : undefined,
    host ? containers.tasksOn(host) : [],
  ]);
  const former = revisions.find(
    ({ definition: d }) =>
      d !== primary?.definition && !wasLeft(d, look) && !hasLooped(d, seen, look) && !hasNotPassed(d, look),
  );
  const names = [...new Set(tasks.flatMap((t) => t.service ?? []))];
  const [services, formerShape] = await Promise.all([
    containers.services(service.cluster, names),
    former ? shapeOf(former.definition) : undefined,
  ]);
  return { revisions, shape, former: former && { ...former, shape: formerShape }, there: { tasks, services } };
};

// ---- what is seen -----------------------------------------------------------------------------------------------------------------------

type Past = readonly Attempt<Step>[];
const done = (look: Look<Options>, what: Step['do']): Past =>
  (look.attempts as Past).filter(
    (a) => a.step.do === what && a.undoes === undefined && a.outcome?.kind !== 'transient',
  );
/** This incident has rolled back from it. */
const wasLeft = (definition: string, look: Look<Options>): boolean =>
  done(look, 'roll-back').some((a) => a.step.do === 'roll-back' && a.step.from === definition);

/** By the record of releases, where there is one. */
const hasNotPassed = (definition: string, { releases }: Look<Options>): boolean => {
  const latest = releases.list.find((r) => r.definition === definition);
  return latest?.state === 'failed' || latest?.state === 'rolled-back';
};

/** A deployment counts as whole once its tasks run; whether they went on, those tell that ECS remembers. */
const hasLooped = (definition: string, { view: { tasks } }: Service, { options: o }: Look<Options>): boolean =>
  tasks.filter((t) => t.definition === definition && endingOf(t) !== undefined).length >= o.restarts;

/** What is not as it should be: those that ended where that is a loop, else those that hang. */
const culpritsOf = ({ picture: { ended, hung } }: Service, { options: o }: Look<Options>): readonly ContainerTask[] =>
  ended.length >= o.restarts ? ended : hung;

const isQuiet = ({ ended }: Picture, { now, options: o }: Look<Options>): boolean =>
  ended.every((t) => (t.stopped?.at ?? 0) <= now - minutes(o.quietMinutes));

/** What was rolled back to must last too: it may end as the other did. */
const isFresh = (look: Look<Options>): boolean =>
  done(look, 'roll-back').some((a) => look.now - a.reservedAt < minutes(look.options.quietMinutes));

const isHealthy = (seen: Seen, look: Look<Options>): boolean => {
  if (seen.uncovered !== undefined) return false;
  if (seen.is === 'task') return !hasFailed(seen.task) && seen.task.health !== 'unhealthy';
  const { view, picture } = seen;
  if (view.service.status !== 'ACTIVE') return false;
  return (
    view.service.desired === 0 ||
    (picture.serving.length >= view.service.desired &&
      picture.unhealthy.length === 0 &&
      picture.primary?.rollout !== 'FAILED' &&
      unplacedBecause(view, picture) === undefined &&
      isQuiet(picture, look) &&
      !isFresh(look))
  );
};

const hasFailed = (task: ContainerTask): boolean =>
  endingOf(task) !== undefined && (endingOf(task) !== 'exit' || task.containers.some((c) => (c.exitCode ?? 0) !== 0));

const describe = (seen: Seen, { now }: Pick<Look<Options>, 'now'>): string => {
  if (seen.is === 'task') {
    const { task } = seen;
    const name = `the task ${shortOf(task.arn)} of ${shortOf(task.definition)}`;
    if (endingOf(task) !== undefined) return `${name} has stopped: ${endedWith(task)}`;
    return task.health === 'unhealthy' ? `${name} fails its health checks` : `${name} is ${task.status}`;
  }
  const { service } = seen.view;
  const { serving, unhealthy, ended, hung, primary } = seen.picture;
  const name = `${service.name} in the cluster ${service.cluster}`;
  if (service.status !== 'ACTIVE') return `${name} is ${service.status}`;
  if (service.desired === 0) return `${name} wants no tasks`;
  if (seen.uncovered !== undefined) return name;
  const [last] = ended;
  const why = unplacedBecause(seen.view, seen.picture);
  return [
    `${name}: ${serving.length} of ${plural(service.desired, 'task')} serve`,
    ...(unhealthy.length > 0 ? [`${unhealthy.length} ${unhealthy.length === 1 ? 'is' : 'are'} unhealthy`] : []),
    ...hung
      .filter((t) => t.status !== 'RUNNING')
      .map((t) => `${shortOf(t.arn)} is ${t.status} for ${span(now - t.createdAt)}`),
    ...(last
      ? [
          `${shortOf(last.definition)} ended ${plural(ended.length, 'time')} in ${span(WINDOW)}, last: ${endedWith(last)}`,
        ]
      : []),
    ...(primary?.rollout === 'FAILED' ? [`its deployment of ${shortOf(primary.definition)} has failed`] : []),
    ...(why ? [`ECS cannot place a task: ${why}`] : []),
  ].join('; ');
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** One restart of Steward's in this time, whatever hangs. */
const THROTTLE = minutes(2);
/** What ECS is about has so long before a person is told. */
const OTHERS_LIMIT = minutes(30);

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { now } = look;
  if (seen.uncovered !== undefined) return { do: 'nothing', because: seen.uncovered };
  const is = describe(seen, look);
  if (seen.is === 'task') return ofTask(seen, look, is);
  if (seen.view.service.status !== 'ACTIVE') return { do: 'nothing', because: `${is}: it is being deleted` };
  const running = unjudged(look.attempts);
  if (running) return { do: 'wait', until: now + seconds(20), because: `${is}: ${running.plan} is not over yet` };
  if (!seen.closely)
    return {
      do: 'wait',
      until: Math.min(patienceOf(look), now + minutes(1)),
      because: `${is}: ECS may mend that by itself`,
    };
  return othersAtWork(seen, look, is) ?? ofService(seen, seen.closely, look, is);
};

/** Nothing replaces it, and what it did may not be done twice. */
const ofTask = ({ task }: Task, look: Look<Options>, is: string): Verdict<Step> => {
  const cluster = clusterOf(task.arn);
  const again = `aws ecs run-task --cluster ${cluster} --task-definition ${shortOf(task.definition)}`;
  if (hasFailed(task))
    return {
      do: 'escalate',
      because: `${is}; it belongs to no service, so nothing starts it again`,
      remedy: `${endingOf(task) === 'memory' ? `${limitsOf(task)}; ` : ''}look at its logs, and run it again if it may run twice: ${again}`,
    };
  return mayAct(look)
    ? {
        do: 'escalate',
        because: `${is}; it belongs to no service: stopped, it would not be replaced`,
        remedy: `look at its logs; if it hangs: aws ecs stop-task --cluster ${cluster} --task ${shortOf(task.arn)}, then ${again}`,
      }
    : { do: 'wait', until: look.now + minutes(1), because: is };
};

/** A deployment has its first minutes, and longer where ECS itself would go back. */
const othersAtWork = ({ picture, view }: Service, { now, options: o, releases }: Look<Options>, is: string) => {
  const { primary } = picture;
  if (!primary) return undefined;
  const unproven = releaseOf(releases, primary.id)?.state === 'unproven';
  if (unproven && now - primary.createdAt < OTHERS_LIMIT)
    return {
      do: 'wait' as const,
      until: now + minutes(1),
      because: `${is}; ${shortOf(primary.definition)} is not proven yet: release-unproven sees to it`,
    };
  if (primary.rollout === 'FAILED') return undefined;
  const age = now - primary.createdAt;
  const what = `the deployment of ${shortOf(primary.definition)} is ${span(age)} old`;
  const breaks = view.service.rollsBack && primary.rollout === 'IN_PROGRESS' && primary.failedTasks > 0;
  return age < minutes(o.deployMinutes)
    ? { do: 'wait' as const, until: now + minutes(1), because: `${is}; ${what}: it has its time` }
    : breaks && age < OTHERS_LIMIT
      ? { do: 'wait' as const, until: now + minutes(1), because: `${is}; ${what}: ECS's circuit breaker comes first` }
      : undefined;
};

/** By cause, the surest first. */
const ofService = (seen: Service, closely: Closely, look: Look<Options>, is: string): Verdict<Step> => {
  const { ended, hung, primary } = seen.picture;
  const { now, options: o } = look;
  if (primary?.rollout === 'FAILED') return rollingBack(seen, closely, look, is);
  if (ended.length >= o.restarts) return looping(seen, closely, look, is);
  const why = unplacedBecause(seen.view, seen.picture);
  if (why && isHostless(seen.view) && now - look.openedAt < HOSTS_FIRST)
    return {
      do: 'wait',
      until: now + minutes(1),
      because: `${is}: no host of ${seen.view.service.cluster} takes tasks; where the cluster is managed, cluster-gone sees to that first`,
    };
  if (why) return { do: 'escalate', because: `${is}${roomText(seen, closely)}`, remedy: remedyOf(why) };
  if (hung.length > 0) return hanging(seen, closely, look, is);
  if (now - look.openedAt < OTHERS_LIMIT)
    return { do: 'wait', until: now + minutes(1), because: `${is}: nothing of it is for Steward to do yet` };
  const said = seen.view.service.events[0]?.message;
  return {
    do: 'escalate',
    because: `${is}, for ${span(now - look.openedAt)}${said ? `; ECS says last: ${said}` : ''}`,
    remedy: `aws ecs describe-services --cluster ${seen.view.service.cluster} --services ${seen.view.service.name}`,
  };
};

/** One cause for all services of the cluster: it is told of once, before each of them tells. */
const HOSTS_FIRST = minutes(30);
const isHostless = ({ service, instances }: ServiceView): boolean =>
  !isServerless(service) && !instances.some((i) => i.status === 'ACTIVE' && i.connected);

/** "it needs 512 CPU units and 4096 MiB; the roomiest of 3 instances have 900 CPU units, and 2048 MiB" */
const roomText = ({ view: { instances } }: Service, { shape }: Closely): string => {
  const open = instances.filter((i) => i.status === 'ACTIVE' && i.connected);
  if (!shape || open.length === 0) return '';
  const most = (of: 'cpu' | 'memory') => Math.max(...open.map((i) => i.free[of]));
  const ports = shape.hostPorts.length > 0 ? ` and the host port ${shape.hostPorts.join(', ')}` : '';
  return `; a task needs ${shape.room.cpu} CPU units, ${shape.room.memory} MiB${ports}; at most ${most('cpu')} CPU units and ${most('memory')} MiB are free on one of ${plural(open.length, 'instance')}`;
};

const limitsOf = (task: ContainerTask): string => {
  const killed = task.containers.filter(isOutOfMemory);
  const limits = killed.map((c) => `${c.name} may use ${c.memory ?? task.room.memory} MiB`);
  return `${limits.join(', ')} (the task ${task.room.memory} MiB): give it more in the task definition, or find what it keeps`;
};

const looping = (seen: Service, closely: Closely, look: Look<Options>, is: string): Verdict<Step> => {
  const { ended } = seen.picture;
  const by = (kind: Ending) => ended.filter((t) => endingOf(t) === kind);
  const [killed] = by('memory');
  if (killed && by('memory').length * 2 >= ended.length)
    return {
      do: 'escalate',
      because: `${is}; ${plural(by('memory').length, 'task')} were killed for want of memory: started again, they will be again`,
      remedy: limitsOf(killed),
    };
  const [unstarted] = by('start');
  if (unstarted && by('start').length * 2 >= ended.length)
    return { do: 'escalate', because: is, remedy: remedyOf(endedWith(unstarted)) };
  return beyond(seen, closely, look, is);
};

const hanging = (seen: Service, closely: Closely, look: Look<Options>, is: string): Verdict<Step> => {
  const { hung, serving } = seen.picture;
  const { now, options: o } = look;
  const ill = hung.filter((t) => t.status === 'RUNNING');
  // What never came to run serves nobody. A load balancer whose targets are all unhealthy sends requests to all of them: any may be the last that serves.
  const stoppable = serving.length < Math.max(1, ill.length) ? hung.filter((t) => !ill.includes(t)) : hung;
  const [task] = [...stoppable].sort((a, b) => a.createdAt - b.createdAt);
  if (!task) return beyond(seen, closely, look, `${is}: more hang than serve, so none is stopped`);
  const stops = done(look, 'stop');
  if (stops.length >= o.stops)
    return beyond(seen, closely, look, `${is}; ${plural(stops.length, 'task')} were stopped, and that did not last`);
  const next = (stops.at(-1)?.reservedAt ?? 0) + THROTTLE;
  if (now < next) return { do: 'wait', until: next, because: `${is}: one is stopped in ${span(THROTTLE)}, no more` };
  const { service } = seen.view;
  return {
    do: 'act',
    rung: `stop ${shortOf(task.arn)}`,
    step: { do: 'stop', task: task.arn },
    plan: `stop the task ${shortOf(task.arn)} of ${service.name}, which ECS replaces; ${plural(serving.length, 'other')} serve`,
    because: is,
  };
};

/** What ended or hangs was all in one place, and elsewhere the same revision serves. */
const isConfined = (
  { picture: { serving } }: Service,
  culprits: readonly ContainerTask[],
  placeOf: (t: ContainerTask) => string | undefined,
): boolean => {
  const [first, ...more] = culprits;
  if (!first || more.length === 0) return false;
  const place = placeOf(first);
  return (
    more.every((t) => placeOf(t) === place) &&
    serving.some((t) => t.definition === first.definition && placeOf(t) !== place)
  );
};
const commonHost = (seen: Service, culprits: readonly ContainerTask[]): ContainerInstance | undefined =>
  culprits[0] && isConfined(seen, culprits, (t) => t.containerInstance) ? unitOf(seen.view, culprits[0]) : undefined;
const commonZone = (seen: Service, culprits: readonly ContainerTask[]): string | undefined =>
  isConfined(seen, culprits, (t) => t.zone) ? culprits[0]?.zone : undefined;

/** The same again would not help: another host, another zone, the former revision, a person. */
const beyond = (seen: Service, closely: Closely, look: Look<Options>, is: string): Verdict<Step> => {
  const culprits = culpritsOf(seen, look);
  const host = commonHost(seen, culprits);
  if (host && done(look, 'drain').length === 0) return draining(seen, closely, host, is);
  const zone = commonZone(seen, culprits);
  if (zone)
    return {
      do: 'escalate',
      because: `${is}; all of that in the zone ${zone}, and in others it serves: that tells of the zone, not of the revision`,
      remedy: `leave ${zone} out of the subnets of ${seen.view.service.name}, or shift its load balancer away: aws arc-zonal-shift start-zonal-shift`,
    };
  return rollingBack(seen, closely, look, is);
};

const draining = (seen: Service, { there }: Closely, host: ContainerInstance, is: string): Verdict<Step> => {
  const because = `${is}; all of that on ${host.instance}, and on others it serves`;
  const moving = movable(there.tasks, there.services);
  const others = seen.view.instances.filter((i) => i.arn !== host.arn);
  const without = homeless(moving, others).length;
  const byHand = `aws ecs update-container-instances-state --status DRAINING --cluster ${host.cluster} --container-instances ${host.arn}`;
  if (host.status !== 'ACTIVE')
    return { do: 'escalate', because: `${because}; it is ${host.status} already`, remedy: 'replace it' };
  if (without > 0)
    return {
      do: 'escalate',
      because: `${because}; the rest of the cluster has no room for ${without} of its ${plural(moving.length, 'service task')}`,
      remedy: `add an instance to the cluster, then: ${byHand}`,
    };
  return {
    do: 'act',
    rung: 'drain',
    step: { do: 'drain', unit: host.arn, instance: host.instance },
    plan: `drain ${host.instance}: ${plural(moving.length, 'service task')} start elsewhere in ${host.cluster}, and it takes none until somebody undoes that or replaces it`,
    because,
    asks: `only ${seen.view.service.name} says that the host is at fault`,
  };
};

const LOOK_AT = 'look at the logs of its tasks, at their health check, and at what they depend on';

const rollingBack = (seen: Service, closely: Closely, look: Look<Options>, is: string): Verdict<Step> => {
  const { service } = seen.view;
  const { primary } = seen.picture;
  const { now, options: o } = look;
  const person = (why: string, remedy = LOOK_AT): Verdict<Step> => ({
    do: 'escalate',
    because: `${is}; ${why}`,
    remedy,
  });
  if (service.controller !== 'ECS' || !primary)
    return person(`${service.controller} deploys it, not ECS`, 'roll it back with what has deployed it');
  const current = shortOf(primary.definition);
  if (done(look, 'roll-back').length > 0) return person('it was rolled back once already, and that did not last');
  if (now - primary.createdAt > hours(o.rollBackWithinHours))
    return person(`${current} was deployed ${span(now - primary.createdAt)} ago, so it is not what is new`);
  const { former, revisions } = closely;
  if (!former) return noFormer(primary.definition, revisions, person);
  const to = shortOf(former.definition);
  if (former.shape?.status !== 'ACTIVE')
    return person(`${to}, which ran whole before, is deregistered`, `register ${to} anew and deploy that`);
  const older = look.releases.list.find((r) => r.definition === former.definition)?.deployment;
  const isMigration = crossesMigration(look.releases, primary.id, older ?? '');
  const digests = former.images.flatMap(({ image, digest }) =>
    digest ? [`${image.split('@')[0]} was ${digest.slice(0, 19)}…`] : [],
  );
  return {
    do: 'act',
    rung: 'roll-back',
    step: {
      do: 'roll-back',
      service: service.arn,
      from: primary.definition,
      to: former.definition,
      roles: rolesOf(former.shape, closely.shape),
    },
    plan: `deploy ${to} to ${service.name} again, which ran whole on ${iso(former.at).slice(0, 16)}Z`,
    because: `${is}; ${current} was deployed ${span(now - primary.createdAt)} ago${digests.length > 0 ? `; in ${to} ${digests.join(', ')}` : ''}`,
    ...(o.rollBack && !isMigration
      ? {}
      : { asks: 'old code may not run with what newer code has written, and what deployed it does not know' }),
  };
};

/** The same definition, and its tag meant something else: deployed again, it would mean what it means now. */
const noFormer = (
  definition: string,
  revisions: readonly Revision[],
  person: (why: string, remedy?: string) => Verdict<Step>,
): Verdict<Step> => {
  const same = revisions.filter((r) => r.definition === definition);
  const digests = [
    ...new Set(
      same.flatMap((r) =>
        r.images.flatMap((i) => (i.digest ? [`${i.image.split(/@|:(?!.*\/)/)[0]}@${i.digest}`] : [])),
      ),
    ),
  ];
  return digests.length > 0
    ? person(
        `no other revision of it ran whole; ${shortOf(definition)} itself did`,
        `${LOOK_AT}; if its tag has moved: register a revision that names the digest, and deploy it: ${digests.slice(0, 3).join(', ')}`,
      )
    : person('no revision of it ran whole that one could go back to');
};

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, { containers }: Ports): Promise<Json> => {
  switch (step.do) {
    case 'stop':
      await containers.stop(step.task, 'Steward: it hangs while others serve');
      return { task: step.task };
    case 'drain':
      await containers.setState(step.unit, 'DRAINING');
      return { unit: step.unit };
    case 'roll-back':
      await containers.release(step.service, { expected: step.from, definition: step.to });
      return { definition: step.to };
  }
};

/** A deployment that goes well takes minutes; a target drains for five by default. */
const ROLLS = minutes(20);

const isEnough = ({ view, picture }: Service): boolean =>
  picture.serving.length >= view.service.desired && picture.unhealthy.length === 0;

const shows = ({ step, before }: Attempt<Step>, seen: Service): boolean | 'failed' => {
  const { wanted, serving, primary } = seen.picture;
  switch (step.do) {
    case 'stop':
      return (
        !wanted.some((t) => t.arn === step.task) && (isEnough(seen) || serving.length > (before as Before).serving)
      );
    case 'drain':
      return !wanted.some((t) => t.containerInstance === step.unit);
    case 'roll-back':
      if (primary?.definition !== step.to) return primary?.definition === step.from ? false : 'failed';
      return isEnough(seen) && seen.view.service.deployments.length === 1;
  }
};
const limitOf = ({ do: what }: Step, { deployMinutes }: Options): number =>
  what === 'stop' ? minutes(deployMinutes) : ROLLS;

type Before = { readonly serving: number };
/** Fewer serve than before, and of what was deployed none does: nothing more comes of waiting. */
const isWorse = ({ step, before, reservedAt }: Attempt<Step>, { picture }: Service, look: Look<Options>): boolean =>
  step.do === 'roll-back' &&
  look.now - reservedAt >= 2 * minutes(look.options.deployMinutes) &&
  picture.primary?.definition === step.to &&
  picture.serving.length < (before as Before).serving &&
  !picture.serving.some((t) => t.definition === step.to);

const effect = (attempt: Attempt<Step>, seen: Seen, look: Look<Options>): Effect => {
  if (seen.is === 'task') return 'ineffective';
  const shown = shows(attempt, seen);
  if (shown === true) return 'effective';
  if (isWorse(attempt, seen, look)) return 'harmful';
  const isEarly = look.now - attempt.reservedAt < limitOf(attempt.step, look.options);
  return shown === false && isEarly ? 'pending' : 'ineffective';
};

/** Whatever runs may serve, healthy or not; only the healthy ones are counted as the others. */
const factsOf = (seen: Seen): Facts => {
  if (seen.is === 'task') {
    const { arn, tags } = seen.task;
    return { tags, group: { id: `task/${shortOf(arn)}`, size: 1, zones: {} }, zone: undefined, serving: 'alone' };
  }
  const { picture, view, group } = seen;
  const running = picture.wanted.filter((t) => t.status === 'RUNNING');
  return {
    tags: view.service.tags,
    group,
    zone: undefined,
    serving: { self: running.length > 0, others: picture.serving.map((t) => t.arn) },
  };
};

// ---- survey -----------------------------------------------------------------------------------------------------------------------------

const survey = async (ports: Ports, at: Scan<Options>): Promise<readonly Signal[]> => {
  const { where } = ports;
  const found: Signal[] = [];
  for (const seen of await at.clusters()) {
    const { cluster, services } = seen;
    const stopped = await seen.stopped();
    for (const service of services.filter((s) => !isIdle(s) && at.uncovered(s.tags) === undefined)) {
      const why = await ailing(service, stopped, seen, ports, at);
      if (why !== undefined)
        found.push({
          kind: 'container-service.failing',
          target: serviceTarget(where, cluster, service.name),
          at: at.now,
          cause: `survey: ${service.name} in the cluster ${cluster}: ${why}`,
          // ECS does not say since when: a new one each hour is enough for whoever looks into it already.
          eventId: `survey:${service.arn}:failing@${iso(at.now).slice(0, 13)}`,
          routine: true,
        });
    }
    for (const task of stopped.filter((t) => t.service === undefined && t.status === 'STOPPED' && hasFailed(t)))
      if (at.uncovered(task.tags) === undefined)
        found.push({
          kind: 'container-task.failed',
          target: targetOf(task.arn),
          at: task.stopped?.at ?? at.now,
          cause: `survey: task ${shortOf(task.arn)} in ${cluster} has stopped: ${endedWith(task)}`,
          eventId: `survey:${task.arn}:stopped`,
        });
  }
  return found;
};

/** Whether it is worth a look. */
const ailing = async (
  service: ContainerService,
  stopped: readonly ContainerTask[],
  { wanted, instances }: SurveyedCluster,
  ports: Ports,
  { now, options: o }: Scan<Options>,
): Promise<string | undefined> => {
  const primary = primaryOf(service);
  if (primary && now - primary.createdAt < minutes(o.deployMinutes)) return undefined;
  if (service.running < service.desired) return `${service.running} of ${service.desired} tasks run`;
  const ends = stopped.filter(
    (t) => t.service === service.name && endingOf(t) && (t.stopped?.at ?? 0) > now - minutes(o.quietMinutes),
  );
  if (ends.length > 0) return `${plural(ends.length, 'task')} ended by themselves`;
  if (service.targetGroups.length === 0) return undefined;
  const view = await viewOf(service, ports, { tasks: await wanted(), instances: await instances() });
  const ill = view.tasks.filter((t) => t.desired === 'RUNNING' && standingOf(view, t) === 'unhealthy');
  return ill.length > 0 ? `${plural(ill.length, 'task')} unhealthy` : undefined;
};

export const serviceFailing = defineRemediation<Seen, Step, Options>({
  name: 'service-failing',
  title: 'brings ECS services back whose tasks hang, crash or cannot be placed, on EC2 and on Fargate',
  about: `ECS replaces what stops; what it does not see to by itself is this. After three minutes in which it may, a task that **hangs** (unhealthy beyond its grace period, or not running a quarter of an
hour after it was made) is **stopped**, and ECS replaces it: one in two minutes, three in all, and only while at least as many serve as hang. Where none is healthy none is stopped: a load balancer sends
requests to all of them then, and any may be the last that serves. If that does not last, or one revision's tasks end three times within half an hour, the next rung is chosen by where: all on one
instance while others serve → it is **drained**, at a person's word; all in one zone → a person is told; else the revision is at fault, if it is new (a day), and the former one that a deployment
brought up whole is deployed again (**roll-back**), at a person's word unless \`rollBack\` says otherwise; never one that the record of releases says did not pass. Never over a young deployment, one that \`release-unproven\` is proving, ECS's own circuit breaker, or one that somebody began meanwhile;
what CodeDeploy or others deploy is theirs. Restarts are counted for each revision. Tasks killed for want of memory, images that cannot be pulled, missing room, ports, addresses and secrets go to a person
at once, with the figures. A task of no service is nobody's to start again: a person has its exit code. Putting a roll-back back deploys the newer revision again.`,
  answers: ['container-service.failing', 'container-task.failed', 'load-balancer.unhealthy-hosts'],
  risk: 'interrupts',
  targets: 'arn:*:ecs:*:*:*',
  ladder: {
    stop: 'stop a task that hangs; ECS replaces it',
    drain: 'all fail on one host: ECS starts its tasks elsewhere',
    'roll-back': 'deploy the last revision that ran whole',
  },
  permissions: [
    {
      for: 'look',
      actions: [
        'ecs:ListClusters',
        'ecs:ListServices',
        'ecs:DescribeServices',
        'ecs:ListTasks',
        'ecs:DescribeTasks',
        'ecs:ListContainerInstances',
        'ecs:DescribeContainerInstances',
        'ecs:ListServiceDeployments',
        'ecs:DescribeServiceRevisions',
        'ecs:DescribeTaskDefinition',
        'elasticloadbalancing:DescribeTargetHealth',
      ],
      resources: ['*'],
    },
    { for: 'act', actions: ['ecs:StopTask'], resources: ['arn:*:ecs:*:*:task/*'] },
    {
      for: 'act',
      actions: ['ecs:UpdateContainerInstancesState'],
      resources: ['arn:*:ecs:*:*:container-instance/*'],
    },
    {
      for: 'act',
      actions: ['ecs:UpdateService'],
      resources: ['arn:*:ecs:*:*:service/*'],
      whenTagged: 'aws:ResourceTag',
    },
    passTaskRoles,
  ],
  options,
  attemptsPerDay: 8,
  releases: 'read',
  survey,
  locate: { targetgroup: servicesBehind },
  observe,
  facts: factsOf,
  describe,
  isHealthy,
  decide,
  act,
  touches: (step) => {
    switch (step.do) {
      case 'stop':
        return [step.task];
      case 'drain':
        return [step.unit];
      case 'roll-back':
        return step.roles;
    }
  },
  before: (seen): Before => ({ serving: seen.is === 'service' ? seen.picture.serving.length : 0 }),
  effect,
  undo: async ({ step }, { containers }) => {
    switch (step.do) {
      case 'stop':
        throw new Refused('no-undo', `the task ${shortOf(step.task)} has stopped: ECS has started another`);
      case 'drain':
        await containers.setState(step.unit, 'ACTIVE');
        return { unit: step.unit };
      case 'roll-back':
        await containers.release(step.service, { expected: step.to, definition: step.from });
        return { definition: step.from };
    }
  },
});
