import * as z from 'zod/mini';
import {
  type ContainerService,
  type Deployment,
  goesBack,
  isUnderWay,
  primaryOf,
  type Revision,
  type Rollout,
  rolesOf,
  type TaskShape,
} from '../core/containers.ts';
import { Refused, undefinedIfRefused } from '../core/errors.ts';
import { type Attempt, hasRun, unjudged } from '../core/incident.ts';
import { option, said } from '../core/option.ts';
import { passTaskRoles } from '../core/permissions.ts';
import type { Ports } from '../core/ports.ts';
import {
  countedIn,
  ENOUGH_REQUESTS,
  type Verdict as Judged,
  judge,
  type Limits,
  type Measures,
  ownTasks,
  type Rates,
  wholeAt,
} from '../core/releaseJudge.ts';
import {
  crossesMigration,
  formerOf,
  imagesOf,
  isProven,
  observed,
  type Probe,
  pinsOf,
  type Release,
  type Releases,
  releaseOf,
  unknownIn,
} from '../core/releases.ts';
import { defineRemediation, type Effect, type Facts, type Group, type Look, type Scan } from '../core/remediation.ts';
import {
  endingOf,
  inAlternate,
  type Picture,
  pictureOf,
  type ServiceView,
  serviceThere,
  shortOf,
  viewOf,
} from '../core/services.ts';
import type { Signal } from '../core/signal.ts';
import { partitionOf, serviceTarget, type Target } from '../core/target.ts';
import { iso, minutes, seconds, span, type Time } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';

/** The function that asks is in no network of the user's. */
const isPublic = (url: string): boolean => {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return /^https?:$/.test(protocol) && /[a-z]/i.test(hostname.replace(/^\[.*\]$/, '')) && hostname.includes('.');
};
const request = z.strictObject({
  url: said(
    z.string().check(z.refine(isPublic, 'a public http or https address, by its name')),
    'GET is sent there. It must be reachable from the Internet: Steward is in no VPC',
  ),
  expect: option(z.array(z.int().check(z.gte(100), z.lte(599))), [200], 'Status codes that are well'),
});

const options = z.strictObject({
  windowSeconds: option(
    z.int().check(z.gte(0), z.lte(900)),
    180,
    'So long a release is watched after its tasks run, before it is the current one',
  ),
  startMinutes: option(z.int().check(z.gte(1), z.lte(60)), 15, 'So long its tasks may take to run'),
  errorPercent: option(
    z.number().check(z.gte(0), z.lte(100)),
    5,
    'So many percentage points more of the requests may fail (5xx of the targets) than with the release before',
  ),
  requests: option(
    z.record(z.string().check(z.regex(/^[\w-]{1,255}\/[\w-]{1,255}$/)), request),
    {},
    'A request that must be answered well, by cluster/service',
  ),
});
type Options = z.output<typeof options>;

type Stream = { readonly group: string; readonly stream: string };
type Step =
  | { readonly do: 'collect'; readonly deployment: string; readonly streams: readonly Stream[] }
  | {
      readonly do: 'roll-back';
      readonly service: string;
      /** Deployments, as the record has them. */
      readonly from: string;
      readonly to: string;
      readonly definition: string;
      readonly pins: Readonly<Record<string, string>> | null;
      /** ECS's own rollout, which is ended: it goes back to that very release itself. */
      readonly rollout?: string;
      readonly roles: readonly string[];
      readonly newer: string;
      readonly by: string;
    };

interface Seen {
  readonly view: ServiceView;
  readonly picture: Picture;
  readonly uncovered: string | undefined;
  readonly judged: Judged | undefined;
  readonly probe: Probe | undefined;
  readonly migration: boolean;
  readonly alarms: Measures['alarms'];
  readonly rollout: Rollout | undefined;
  /** Looked at only where something may have to be done. */
  readonly closely: Closely | undefined;
}
interface Closely {
  readonly group: Group;
  readonly shape: TaskShape | undefined;
  /** Under way, so that it can be stopped; and what ECS goes back to then. */
  readonly stoppable: { readonly rollout: Rollout; readonly to: Revision | undefined } | undefined;
  /** What it would be rolled back to. */
  readonly former: (Release & { readonly shape: TaskShape | undefined }) | undefined;
}

/** Ends are counted within this, and what was before a deployment likewise. */
const WINDOW = minutes(30);
const PERIOD = minutes(1);

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const limitsOf = ({ windowSeconds, startMinutes, errorPercent }: Options): Limits => ({
  window: seconds(windowSeconds),
  start: minutes(startMinutes),
  errorPercent,
});

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const { containers } = ports;
  const service = await serviceThere(target.arn, ports);
  const uncovered = look.uncovered(service.tags);
  const isOurs = uncovered === undefined && isDeployedByEcs(service);
  const view = isOurs ? await viewOf(service, ports) : { service, tasks: [], instances: [], targets: [] };
  const picture = pictureOf(view, look.now, { window: WINDOW, patience: 0 });
  const seen: Seen = {
    view,
    picture,
    uncovered,
    judged: undefined,
    probe: undefined,
    migration: false,
    alarms: {},
    rollout: undefined,
    closely: undefined,
  };
  const { primary } = picture;
  if (!isOurs || !primary) return seen;
  const known = releaseOf(look.releases, primary.id);
  const isWanted = look.releases.wanted?.from === primary.id;
  // What has passed is not looked into again, unless it was just gone back to: what happens to it later is service-failing's.
  if (known && isProven(known) && !isWanted && rollBacks(look).length === 0)
    return { ...seen, migration: known.migration === true };
  const [shape, measures] = await Promise.all([
    containers.definition(primary.definition).catch(undefinedIfRefused),
    measuresOf(seen, primary, ports, look),
  ]);
  const rollout = service.shifting ? measures.rollout : undefined;
  const backSince = rollBacks(look).findLast((a) => a.step.to === primary.id)?.reservedAt;
  const limits = limitsOf(look.options);
  const judged = judge(view, picture, primary, { ...measures, rollout, backSince }, limits, look.now);
  const full: Seen = { ...seen, ...measures, judged, migration: shape?.tags['steward:migration'] === 'true' };
  return isWanted || judged.is === 'bad'
    ? { ...full, closely: await lookClosely(full, primary, shape, ports, look) }
    : full;
};

const measuresOf = async (
  seen: Seen,
  primary: Deployment,
  ports: Ports,
  look: Look<Options>,
): Promise<Measures & { probe: Probe | undefined; rollout: Rollout | undefined }> => {
  const { view, picture } = seen;
  const whole = wholeAt(view, picture, primary);
  const [rates, alarms, probe, rollout] = await Promise.all([
    whole === undefined ? undefined : ratesOf(seen, whole, ports, look),
    ports.metrics.alarmStates(view.service.alarms?.names ?? []),
    whole === undefined ? undefined : probed(view.service, ports, look),
    view.service.shifting || rollBacks(look).length > 0 ? rolloutOf(view.service, ports) : undefined,
  ]);
  return { rates, alarms, probe, probed: releaseOf(look.releases, primary.id)?.probes.at(-1), rollout };
};

const rolloutOf = async ({ rollout }: ContainerService, { containers }: Ports): Promise<Rollout | undefined> =>
  rollout === undefined ? undefined : containers.rollout(rollout).catch(undefinedIfRefused);

/** What can be stopped of it. */
const stoppableOf = async (
  { view: { service }, rollout }: Seen,
  primary: Deployment,
  ports: Ports,
): Promise<Closely['stoppable']> => {
  const own = rollout ?? (await rolloutOf(service, ports));
  if (own?.deployment !== primary.id || !isUnderWay(own)) return undefined;
  const [to] = await ports.containers.revisions(service);
  return { rollout: own, to };
};

const lookClosely = async (
  seen: Seen,
  primary: Deployment,
  shape: TaskShape | undefined,
  ports: Ports,
  look: Look<Options>,
): Promise<Closely> => {
  const { containers } = ports;
  const { cluster } = seen.view.service;
  const record = recordOf(seen, look);
  const to = record.wanted ? releaseOf(record, record.wanted.to) : formerOf(record, primary.id);
  const [names, formerShape, stoppable] = await Promise.all([
    containers.serviceNames(cluster),
    to ? containers.definition(to.definition).catch(undefinedIfRefused) : undefined,
    stoppableOf(seen, primary, ports),
  ]);
  const group = { id: `services/${cluster}`, size: Math.max(1, names.length), zones: {} };
  return { group, shape, stoppable, former: to && { ...to, shape: formerShape } };
};

const isDeployedByEcs = ({ status, desired, controller }: ContainerService): boolean =>
  status === 'ACTIVE' && desired > 0 && controller === 'ECS';

const probed = async ({ cluster, name }: ContainerService, { web }: Ports, { options: o, now }: Look<Options>) => {
  const wanted = o.requests[`${cluster}/${name}`];
  if (!wanted) return undefined;
  const answer = await web.get(wanted.url);
  const what = 'status' in answer ? `answered ${answer.status} in ${answer.ms} ms` : `had no answer: ${answer.failed}`;
  const ok = 'status' in answer && wanted.expect.includes(answer.status);
  return { at: now, ok, say: `GET ${wanted.url} ${what}${ok ? '' : `, not ${wanted.expect.join(' or ')}`}` };
};

/** What was counted before anything that has not passed was deployed. */
const soundUntil = ({ releases }: Look<Options>, since: Time): Time => {
  const until = releases.list.findIndex(isProven);
  const young = until < 0 ? [] : releases.list.slice(0, until);
  return Math.min(since, ...young.map((r) => r.since));
};

const ratesOf = async (
  { view, picture }: Seen,
  whole: Time,
  { loadBalancers, metrics }: Ports,
  look: Look<Options>,
): Promise<Rates | undefined> => {
  const { primary } = picture;
  const [group] = view.service.targetGroups;
  if (!group || !primary) return undefined;
  const balancers = await loadBalancers.balancersOf(group.arn).catch(undefinedIfRefused);
  const balancer = balancers?.find((b) => b.includes(':loadbalancer/app/'));
  if (!balancer) return undefined;
  // Of blue and green its own is the one in which its tasks are.
  const [mine, other] =
    group.alternate && inAlternate(view, ownTasks(picture, primary))
      ? [group.alternate, group.arn]
      : [group.arn, group.alternate];
  const counted = (arn: string) =>
    ['RequestCount', 'HTTPCode_Target_5XX_Count'].map((name) => ({
      namespace: 'AWS/ApplicationELB',
      name,
      sum: true as const,
      dimensions: {
        TargetGroup: arn.split(':').at(-1) ?? '',
        LoadBalancer: balancer.split(':loadbalancer/')[1] ?? '',
      },
    }));
  const sound = soundUntil(look, primary.createdAt);
  const floor = (t: Time): Time => t - (t % PERIOD);
  const from = floor(sound - WINDOW);
  const to = floor(look.now) + PERIOD;
  const points = await metrics.exactly([...counted(mine), ...(other ? counted(other) : [])], {
    from,
    to,
    period: PERIOD,
  });
  const first = floor(whole + PERIOD - 1);
  const after = countedIn(points.slice(0, 2), first, to);
  // All at once: then they have no minute in common.
  const minutesOfBoth = new Set(points[0]?.map((p) => p.at));
  const beside = countedIn(
    points.slice(2).map((p) => p.filter(({ at }) => minutesOfBoth.has(at))),
    first,
    to,
  );
  if (beside.requests >= ENOUGH_REQUESTS) return { after, before: beside, sameMinutes: true };
  const [earlier] = [points.slice(2), points.slice(0, 2)]
    .map((p) => countedIn(p, from, floor(sound)))
    .sort((a, b) => b.requests - a.requests);
  return { after, before: earlier ?? { requests: 0, failed: 0 }, sameMinutes: false };
};

// ---- the record -------------------------------------------------------------------------------------------------------------------------

type RollBack = Attempt<Extract<Step, { do: 'roll-back' }>>;
const rollBacks = ({ attempts }: Look<Options>): readonly RollBack[] =>
  (attempts as readonly Attempt<Step>[]).filter((a): a is RollBack => a.step.do === 'roll-back' && hasRun(a));

/** Only ECS makes an old deployment the primary one again; else it says so while it does it. */
const isBackByEcs = (
  { view: { service }, picture: { primary } }: Seen,
  { releases: { list } }: Look<Options>,
): boolean => {
  const [newest] = list;
  if (!primary || !newest || newest.deployment === primary.id) return false;
  return (
    list.some((r) => r.deployment === primary.id) ||
    /rolling back/i.test(primary.because ?? '') ||
    service.events.some((e) => e.at >= newest.since && /rolling back/i.test(e.message))
  );
};

const recordOf = (seen: Seen, look: Look<Options>): Releases => {
  const { view, picture, judged, probe, migration, uncovered } = seen;
  const { primary } = picture;
  if (!primary || uncovered !== undefined || !isDeployedByEcs(view.service)) return look.releases;
  const record = observed(look.releases, {
    now: look.now,
    deployment: primary,
    images: imagesOf(ownTasks(picture, primary).filter((t) => t.status === 'RUNNING')),
    judgement: {
      is: judged?.is ?? 'unproven',
      health: judged?.health ?? '',
      ...(probe ? { probe } : {}),
    },
    migration,
    byEcs: isBackByEcs(seen, look),
    rolledBack: rollBacks(look).map(({ step }) => ({ from: step.from, to: step.to, by: step.by })),
  });
  const { settings } = view.service;
  // What it would be rebuilt as, should it be deleted.
  return settings !== undefined && record.list[0]?.state === 'current' ? { ...record, settings } : record;
};

const isHealthy = (seen: Seen, look: Look<Options>): boolean => {
  const { primary } = seen.picture;
  if (seen.uncovered !== undefined || !primary) return false;
  const record = recordOf(seen, look);
  if (releaseOf(record, primary.id)?.state !== 'current' || record.wanted !== undefined) return false;
  return rollBacks(look).length === 0 || isBack(seen, primary);
};

/** What was gone back to has as many tasks that serve as are wanted, and ECS is done with it. */
const isBack = ({ view: { service }, picture, rollout }: Seen, primary: Deployment): boolean => {
  const own = new Set(ownTasks(picture, primary).map((t) => t.arn));
  const serving = picture.serving.filter((t) => own.has(t.arn)).length;
  return serving >= service.desired && !(rollout && goesBack(rollout));
};

const digestsOf = ({ images }: Release): string =>
  images.flatMap((i) => (i.digest ? [`${i.name} ${i.digest.slice(0, 19)}…`] : [])).join(', ');

const describe = (seen: Seen, look: Look<Options>): string => {
  const { service } = seen.view;
  const { primary } = seen.picture;
  const name = `${service.name} in the cluster ${service.cluster}`;
  if (seen.uncovered !== undefined) return name;
  if (service.status !== 'ACTIVE') return `${name} is ${service.status}`;
  if (service.desired === 0) return `${name} wants no tasks: there is nothing to prove`;
  if (service.controller !== 'ECS' || !primary) return `${service.controller} deploys ${name}, not ECS`;
  const record = recordOf(seen, look);
  const own = releaseOf(record, primary.id);
  const left = record.list.find((r) => r.state === 'rolled-back');
  const after = left && record.list.indexOf(left) === 1 ? left : undefined;
  const digests = own ? digestsOf(own) : '';
  return [
    `${name}: ${shortOf(primary.definition)}${digests ? ` (${digests})` : ''} is ${own?.state === 'current' ? 'the current release' : (own?.state ?? 'unproven')}`,
    seen.judged?.health ?? own?.health ?? '',
    ...(after ? [`${shortOf(after.definition)} is ROLLED_BACK by ${after.by}: ${after.because}`] : []),
  ]
    .filter((part) => part !== '')
    .join('; ');
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** What ECS is about has so long. */
const ECS_LIMIT = minutes(30);

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { now } = look;
  const { service } = seen.view;
  const is = describe(seen, look);
  if (seen.uncovered !== undefined) return { do: 'nothing', because: seen.uncovered };
  const { primary } = seen.picture;
  if (!isDeployedByEcs(service) || !primary || !seen.judged) return { do: 'nothing', because: is };
  const running = unjudged(look.attempts);
  if (running)
    return {
      do: 'wait',
      until: Math.max(now + seconds(5), Math.min(seen.judged.until, now + seconds(30))),
      because: `${is}: ${running.plan} is not over yet`,
    };
  const wanted = recordOf(seen, look).wanted;
  if (seen.judged.is !== 'bad' && !wanted) return { do: 'wait', until: seen.judged.until, because: is };
  if (!seen.closely) return { do: 'wait', until: now + seconds(5), because: is };
  if (wanted)
    return rollingBack(seen, seen.closely, look, `${wanted.by} asked for it: ${wanted.why}; ${is}`, wanted.by);
  return (
    collecting(seen, seen.closely, look, is) ?? byEcsItself(seen, look, is) ?? failed(seen, seen.closely, look, is)
  );
};

/** ECS goes back by itself where it is told to, and where it counts what is wrong: tasks that never ran or fail health checks, alarms that began to fire. */
const byEcsItself = (seen: Seen, { now }: Look<Options>, is: string): Verdict<Step> | undefined => {
  const { alarms, rollout } = seen;
  const { service } = seen.view;
  const { primary } = seen.picture;
  if (rollout && goesBack(rollout) && rollout.deployment === primary?.id)
    return { do: 'wait', until: now + seconds(30), because: `${is}; ECS goes back by itself already` };
  if (primary?.rollout !== 'IN_PROGRESS' || now - primary.createdAt >= ECS_LIMIT) return undefined;
  const firing = Object.values(alarms).some((a) => a.state === 'ALARM' && a.since >= primary.createdAt);
  const what =
    service.rollsBack && primary.failedTasks > 0
      ? 'its circuit breaker'
      : service.alarms?.rollBack && firing
        ? 'its alarms'
        : undefined;
  return (
    what && { do: 'wait' as const, until: now + seconds(30), because: `${is}; ECS goes back by itself, by ${what}` }
  );
};

/** Why what ECS was told to do does not happen. */
const ecsDoesNot = ({ view: { service }, picture: { primary }, rollout }: Seen): string => {
  const native = [...(service.rollsBack ? ['circuit breaker'] : []), ...(service.alarms?.rollBack ? ['alarms'] : [])];
  if (native.length === 0) return '';
  const why =
    primary?.rollout === 'IN_PROGRESS' || (rollout && isUnderWay(rollout))
      ? `${!primary?.failedTasks ? 'counts none of this' : 'has not ended it in 30 min'}`
      : 'is over once the deployment is';
  return `; ECS’s own ${native.join(' and ')} ${why}`;
};

const LOOK_AT = 'look at the kept log lines (steward why), and deploy what is right';
const promoteText = ({ cluster, name }: ContainerService): string =>
  `if it is well all the same: steward release promote ${cluster}/${name} --because '…'`;

/** Before anything is done about it: what has stopped is forgotten in an hour. */
const collecting = (seen: Seen, closely: Closely, look: Look<Options>, is: string): Verdict<Step> | undefined => {
  const { primary } = seen.picture;
  const streams = streamsOf(seen, closely);
  const isKept = (look.attempts as readonly Attempt<Step>[]).some(
    (a) => a.step.do === 'collect' && a.step.deployment === primary?.id,
  );
  if (!primary || streams.length === 0 || isKept) return undefined;
  // What was gone back to serves nobody: a person is not kept waiting until the rung has cooled down.
  const isUrgent = rollBacks(look).length > 0 && seen.picture.serving.length === 0;
  return {
    do: 'act',
    rung: isUrgent ? `collect ${shortOf(primary.definition)}` : 'collect',
    step: { do: 'collect', deployment: primary.id, streams },
    plan: `keep the last log lines of ${shortOf(primary.definition)}`,
    because: is,
  };
};

const failed = (seen: Seen, closely: Closely, look: Look<Options>, is: string): Verdict<Step> => {
  const { service } = seen.view;
  const person = (why: string): Verdict<Step> => ({
    do: 'escalate',
    because: `${is}; ${why}`,
    remedy: `${LOOK_AT}; ${promoteText(service)}`,
  });
  if (seen.judged?.alike !== undefined) return person(`${seen.judged.alike}: going back would not help`);
  if (rollBacks(look).length > 0) return person('it was rolled back once already, and that is not well either');
  return rollingBack(seen, closely, look, is, undefined);
};

/** So many streams are read. */
const MOST_STREAMS = 4;
const streamsOf = ({ picture }: Seen, { shape }: Closely): readonly Stream[] => {
  const { primary } = picture;
  if (!primary || !shape) return [];
  const own = ownTasks(picture, primary);
  // What ended says most, the last of it first.
  const tasks = [...picture.ended, ...own.filter((t) => t.health === 'unhealthy'), ...own];
  const ids = [...new Set(tasks.map((t) => shortOf(t.arn)))];
  return ids
    .flatMap((id) =>
      shape.logs.map(({ container, group, prefix }) => ({ group, stream: `${prefix}/${container}/${id}` })),
    )
    .slice(0, MOST_STREAMS);
};

const rollingBack = (
  seen: Seen,
  { former, shape, stoppable }: Closely,
  look: Look<Options>,
  is: string,
  askedBy: string | undefined,
): Verdict<Step> => {
  const { primary } = seen.picture;
  const { service } = seen.view;
  const record = recordOf(seen, look);
  const person = (why: string, remedy: string): Verdict<Step> => ({ do: 'escalate', because: `${is}; ${why}`, remedy });
  if (!primary) return { do: 'nothing', because: is };
  const current = shortOf(primary.definition);
  if (!former)
    return person(
      record.list.length > 1
        ? 'no release before it has passed, so there is nothing to return to'
        : 'it is the first release that is known, so there is nothing to return to',
      `${LOOK_AT}; ${promoteText(service)}`,
    );
  const to = shortOf(former.definition);
  const rollout = nativeWay(stoppable, former);
  const declined = declinedOf(look, primary, rollout);
  if (declined)
    return person(
      `to deploy ${to} was declined: ${declined.outcome?.because}`,
      'mend what it says, or deploy it by hand',
    );
  if (!former.shape)
    return person(`${to} was deleted, so it cannot be deployed again`, `register it anew, with ${digestsOf(former)}`);
  const unknown = unknownIn(former, former.shape);
  if (unknown.length > 0)
    return person(
      `which image ${unknown.join(', ')} was in ${to} is not known: ECS told no digest`,
      `aws ecs update-service --cluster ${service.cluster} --service ${service.name} --task-definition ${to}, if its tags mean what they meant`,
    );
  const pins = pinsOf(former, former.shape);
  const isMigration = crossesMigration(record, primary.id, former.deployment);
  return {
    do: 'act',
    rung: 'roll-back',
    step: {
      do: 'roll-back',
      service: service.arn,
      from: primary.id,
      to: former.deployment,
      definition: former.definition,
      pins,
      ...(rollout === undefined ? {} : { rollout }),
      // Those of the newer one for putting it back.
      roles: rolesOf(former.shape, shape),
      newer: primary.definition,
      by: askedBy ?? 'steward',
    },
    plan: `${wayText(rollout, service, current, to)}: ${digestsOf(former)}; it passed on ${iso(former.decidedAt ?? former.since).slice(0, 16)}Z`,
    because: `${is}${askedBy ? '' : ecsDoesNot(seen)}`,
    ...(isMigration
      ? { asks: `${current} is marked as a migration: old code may not run with what it has written` }
      : {}),
    ...(askedBy ? { askedBy } : {}),
  };
};

/** AWS would not, the same way: what ECS cannot end any more is deployed over. */
const declinedOf = ({ attempts }: Look<Options>, { id }: Deployment, rollout: string | undefined) =>
  (attempts as readonly Attempt<Step>[]).findLast(
    ({ step, outcome }) =>
      step.do === 'roll-back' &&
      outcome?.kind === 'permanent' &&
      step.from === id &&
      (step.rollout === undefined) === (rollout === undefined),
  );

/** ECS goes back to the last revision that it brought up whole, whatever came of it: only where that is the very release that passed, by its digests. */
const nativeWay = (stoppable: Closely['stoppable'], { definition, images }: Release): string | undefined => {
  const { rollout, to } = stoppable ?? {};
  const isSame =
    to?.definition === definition &&
    images.length > 0 &&
    images.every(
      ({ name, digest }) => digest !== undefined && to.images.some((i) => i.name === name && i.digest === digest),
    );
  return isSame ? rollout?.arn : undefined;
};
const wayText = (rollout: string | undefined, { name }: ContainerService, from: string, to: string): string =>
  rollout === undefined
    ? `deploy ${to} to ${name} again, by its digests`
    : `have ECS end the deployment of ${from} to ${name} and go back to ${to}`;

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

/** Of the failure bundle. */
const MOST_LINES = 200;
const MOST_CHARACTERS = 300;
const MOST_TEXT = 24_000;

const collected = async (streams: readonly Stream[], { logGroups }: Ports): Promise<Json> => {
  const found = await Promise.all(
    streams.map(({ group, stream }) => logGroups.lines(group, stream, MOST_LINES).catch(undefinedIfRefused)),
  );
  const lines = found
    .flatMap((some) => some ?? [])
    .sort((a, b) => a.at - b.at)
    .slice(-MOST_LINES)
    .map(({ at, text }) => `${iso(at)} ${text.trimEnd()}`.slice(0, MOST_CHARACTERS));
  // The latest of them, as far as there is room.
  const lengths = lines.map((line) => line.length);
  const first = lengths.findIndex((_, n) => lengths.slice(n).reduce((a, b) => a + b, 0) <= MOST_TEXT);
  const kept = first < 0 ? [] : lines.slice(first);
  return {
    lines: kept,
    dropped: lines.length - kept.length,
    of: streams.map((s) => `${s.group} ${s.stream}`),
  };
};

const act = async (step: Step, ports: Ports): Promise<Json> => {
  if (step.do === 'collect') return collected(step.streams, ports);
  const { service, from, definition, pins, rollout } = step;
  if (rollout !== undefined) {
    await ports.containers.goBack(rollout);
    return { definition };
  }
  return ports.containers.deploy(service, { deployment: from, definition, ...(pins ? { pins } : {}) });
};

/** A deployment that goes well takes minutes; a target drains for five by default. */
const ROLLS = minutes(20);

const effect = ({ step, reservedAt, outcome }: Attempt<Step>, seen: Seen, look: Look<Options>): Effect => {
  if (step.do === 'collect') return outcome?.kind === 'done' ? 'effective' : 'ineffective';
  const { primary } = seen.picture;
  if (!primary) return 'ineffective';
  const isEarly = look.now - reservedAt < ROLLS + seconds(look.options.windowSeconds);
  if (primary.id === step.from) {
    const isOnIt = outcome?.kind === 'done' || (seen.rollout !== undefined && goesBack(seen.rollout));
    return isEarly && isOnIt ? 'pending' : 'ineffective';
  }
  if (isHealthy(seen, look)) return 'effective';
  return seen.judged?.is === 'bad' || !isEarly ? 'ineffective' : 'pending';
};

const factsOf = ({ view, picture, closely }: Seen): Facts => ({
  tags: view.service.tags,
  // What is only being proven is no trouble yet, and counts in no storm.
  group: closely?.group,
  zone: undefined,
  serving: { self: picture.serving.length > 0, others: picture.serving.map((t) => t.arn) },
});

// ---- survey -----------------------------------------------------------------------------------------------------------------------------

const survey = async ({ where }: Ports, at: Scan<Options>): Promise<readonly Signal[]> => {
  const found: Signal[] = [];
  for (const { cluster, services } of await at.clusters()) {
    const own = services.filter((s) => isDeployedByEcs(s) && at.uncovered(s.tags) === undefined);
    const targets = own.map((s) => serviceTarget(where, cluster, s.name));
    const records = await at.releasesOf(targets.map((t) => t.arn));
    own.forEach((service, n) => {
      const target = targets[n];
      const primary = primaryOf(service);
      const record = target && records[target.arn];
      const state = record && releaseOf(record, primary?.id)?.state;
      if (!target || !primary || (state === 'current' && !record?.wanted)) return;
      found.push({
        kind: 'container-service.deployed',
        target,
        at: at.now,
        cause: `survey: ${shortOf(primary.definition)} of ${cluster}/${service.name}, deployed ${span(at.now - primary.createdAt)} ago, is ${state ?? 'in no record'}`,
        eventId: `survey:${service.arn}:${primary.id}`,
        routine: true,
      });
    });
  }
  return found;
};

export const releaseUnproven = defineRemediation<Seen, Step, Options>({
  name: 'release-unproven',
  title:
    'keeps a record of every release of an ECS service, and brings one that is not healthy back to the last that was',
  about: `Each deployment of a service is watched from its beginning. It is the **current release** only once as many tasks as are wanted have run for \`windowSeconds\` and are healthy: no container and
no target unhealthy, fewer than three tasks (a tenth of many) ended by themselves, none of the deployment's alarms in ALARM, the synthetic request answered well (\`requests\`, public addresses only), and no more requests failing at the load
balancer than with the release before: in the same minutes where blue and green have a target group each, else against the half hour before. The record keeps of each release its image **digests**, what was measured,
since when, and by whose word it stands: \`steward release list\`. Where ECS shifts traffic (blue/green, linear, canary) that is once green has baked. What does not pass has its last 200 log lines kept (**collect**) and is **rolled back** to the digests of the last release that passed: while ECS still deploys, it is told to go back,
if that is where it goes; else a copy of the task definition that names them is registered and deployed, for tags move. ECS's own circuit breaker and alarms go first where they count what is wrong; where they do not (a task that runs and then ends, an alarm that is not there, has no data or takes longer than the bake) it is said. A person decides where the task definition of what is left carries
the tag \`steward:migration=true\`, and is told where nothing before it has passed, where the release before is no better, or where what was rolled back to is not well either. What CodeDeploy or others deploy is theirs. Putting a roll-back back deploys the newer definition again.`,
  answers: ['container-service.deployed'],
  risk: 'interrupts',
  risks: { collect: 'harmless' },
  targets: 'arn:*:ecs:*:*:service/*',
  ladder: {
    collect: 'keep the last log lines of what did not pass',
    'roll-back': 'have ECS go back while it still deploys, else deploy the digests of the last release that passed',
  },
  permissions: [
    {
      for: 'look',
      actions: [
        'ecs:ListServices',
        'ecs:DescribeServices',
        'ecs:ListTasks',
        'ecs:DescribeTasks',
        'ecs:ListContainerInstances',
        'ecs:DescribeContainerInstances',
        'ecs:DescribeTaskDefinition',
        'ecs:DescribeServiceDeployments',
        'ecs:ListServiceDeployments',
        'ecs:DescribeServiceRevisions',
        'elasticloadbalancing:DescribeTargetHealth',
        'elasticloadbalancing:DescribeTargetGroups',
        'cloudwatch:GetMetricData',
        'cloudwatch:DescribeAlarms',
      ],
      resources: ['*'],
    },
    { for: 'act', actions: ['logs:GetLogEvents'], resources: ['arn:*:logs:*:*:log-group:*:log-stream:*'] },
    {
      for: 'act',
      actions: ['ecs:UpdateService', 'ecs:StopServiceDeployment'],
      resources: ['arn:*:ecs:*:*:service/*'],
      whenTagged: 'aws:ResourceTag',
    },
    // AWS asks for the service and for its deployment, which can have no tags.
    {
      for: 'act',
      actions: ['ecs:StopServiceDeployment'],
      resources: ['arn:*:ecs:*:*:service-deployment/*'],
    },
    // AWS gives it no resource.
    { for: 'act', actions: ['ecs:RegisterTaskDefinition'], resources: ['*'] },
    passTaskRoles,
  ],
  options,
  attemptsPerDay: 8,
  survey,
  observe,
  facts: factsOf,
  describe,
  isHealthy,
  decide,
  act,
  releases: recordOf,
  touches: (step, { region, account }) =>
    step.do === 'roll-back'
      ? [...step.roles, ...(step.rollout === undefined ? [] : [step.rollout])]
      : step.streams.map(
          ({ group, stream }) =>
            `arn:${partitionOf(region)}:logs:${region}:${account}:log-group:${group}:log-stream:${stream}`,
        ),
  before: ({ view, judged, picture }): Json => ({
    health: judged?.health ?? '',
    ended: picture.ended.slice(0, 5).map((t) => `${shortOf(t.arn)}: ${endingOf(t) ?? ''} ${t.stopped?.reason ?? ''}`),
    events: view.service.events.slice(0, 10).map((e) => `${iso(e.at)} ${e.message}`.slice(0, MOST_CHARACTERS)),
  }),
  effect,
  undo: async ({ step, receipt }, { containers }) => {
    if (step.do === 'collect') throw new Refused('no-undo', 'log lines that were kept change nothing');
    const { definition } = (receipt ?? {}) as { definition?: string };
    await containers.release(step.service, { expected: definition ?? step.definition, definition: step.newer });
    return { definition: step.newer };
  },
});
