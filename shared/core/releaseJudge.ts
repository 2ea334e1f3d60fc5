/** Whether a deployment has passed: its tasks, their health, what a synthetic request says, and what the load balancer counts, against the release before. Pure. */
import { type Deployment, isUnderWay, type Rollout } from './containers.ts';
import type { Point } from './forecast.ts';
import type { AlarmState } from './ports.ts';
import type { Probe } from './releases.ts';
import { endedWith, type Picture, type ServiceView, standingOf } from './services.ts';
import { minutes, seconds, span, type Time } from './time.ts';
import { plural } from './words.ts';

/** Requests, and how many of them the targets answered with a 5xx. */
export interface Traffic {
  readonly requests: number;
  readonly failed: number;
}
export interface Rates {
  readonly after: Traffic;
  readonly before: Traffic;
  /** Both were counted in the same minutes, for two target groups. */
  readonly sameMinutes: boolean;
}

/** What was measured beside what ECS and the target groups say. Undefined: it is not measured, or there is nothing to. */
export interface Measures {
  readonly rates?: Rates | undefined;
  readonly probe?: Probe | undefined;
  /** The one before it. */
  readonly probed?: Probe | undefined;
  /** By name: the alarms that ECS watches while it deploys. */
  readonly alarms: Readonly<Record<string, AlarmState>>;
  /** Where traffic is shifted to it: how far ECS is. */
  readonly rollout?: Rollout | undefined;
  /** When it was gone back to, if it was: its tasks may be older. */
  readonly backSince?: Time | undefined;
}

export interface Limits {
  readonly window: number;
  readonly start: number;
  /** Percentage points. */
  readonly errorPercent: number;
}

export interface Verdict {
  readonly is: 'unproven' | 'good' | 'bad';
  /** What was measured, in one line. */
  readonly health: string;
  /** When more is known. */
  readonly until: Time;
  /** The release before is no better: going back to it would not help. */
  readonly alike?: string;
}

/** With fewer requests a share says nothing. */
export const ENOUGH_REQUESTS = 20;
/** So many tasks of a deployment that end by themselves are enough. */
const endsOf = (desired: number): number => Math.max(3, Math.ceil(desired / 10));
/** Targets and health checks that have not made up their mind by the end of the window have so long. */
const SLACK = minutes(2);
/** Until its tasks run, and while requests are made, it is looked at so often. */
const SOON = seconds(30);

const share = ({ requests, failed }: Traffic): number => (requests === 0 ? 0 : (100 * failed) / requests);
const percent = (t: Traffic): string => `${share(t).toFixed(1)} %`;

/** Its own tasks, of those that are to run. One that ECS has gone back to has tasks that are younger than it. */
export const ownTasks = ({ wanted }: Pick<Picture, 'wanted'>, { definition, createdAt }: Deployment) =>
  wanted.filter((t) => t.definition === definition && t.createdAt >= createdAt);

/** When the last of as many as are wanted came to run. Undefined: they do not yet. */
export const wholeAt = ({ service }: ServiceView, picture: Picture, deployment: Deployment): Time | undefined => {
  const running = ownTasks(picture, deployment).filter((t) => t.status === 'RUNNING');
  return running.length >= Math.max(1, service.desired)
    ? Math.max(...running.map((t) => t.startedAt ?? t.createdAt))
    : undefined;
};

const ratesText = ({ after, before, sameMinutes }: Rates): string =>
  after.requests < ENOUGH_REQUESTS
    ? `${plural(after.requests, 'request')}, too few to tell by`
    : `${percent(after)} of ${after.requests} requests failed${before.requests < ENOUGH_REQUESTS ? '' : `, ${percent(before)} ${sameMinutes ? 'of the other release in the same minutes' : 'before'}`}`;

/** What speaks against it, and whether the one before is like it. */
interface Fault {
  readonly say: string;
  readonly alike?: string;
}

const rateFault = ({ after, before }: Rates, { errorPercent }: Limits): Fault | undefined => {
  if (after.requests < ENOUGH_REQUESTS) return undefined;
  const known = before.requests >= ENOUGH_REQUESTS;
  const more = share(after) - (known ? share(before) : 0);
  if (more > errorPercent) return { say: `more requests fail than may (${errorPercent} percentage points more)` };
  // Half of them: that is no service, whatever it was before.
  return known && share(after) >= 50
    ? { say: 'most requests fail', alike: `${percent(before)} of the requests failed before, too` }
    : undefined;
};

/** Some of the production traffic goes to it: what the others answer says nothing about it. */
const isAsked = ({ rollout }: Measures): boolean =>
  rollout === undefined || !isUnderWay(rollout) || rollout.share !== 0;

/** At the end of the window. `pending`: somebody has not made up their mind. */
const faultOf = (
  view: ServiceView,
  picture: Picture,
  deployment: Deployment,
  measures: Measures,
  limits: Limits,
): Fault | 'pending' | undefined => {
  const own = ownTasks(picture, deployment);
  const ill = own.filter((t) => standingOf(view, t) === 'unhealthy');
  const others = picture.wanted.filter((t) => !own.includes(t));
  if (ill.length > 0) {
    const alike = others.length > 0 && others.every((t) => standingOf(view, t) === 'unhealthy');
    return {
      say: `${plural(ill.length, 'task')} of it ${ill.length === 1 ? 'is' : 'are'} unhealthy`,
      ...(alike ? { alike: 'so are all tasks of the release before' } : {}),
    };
  }
  const firing = Object.entries(measures.alarms).filter(([, { state }]) => state === 'ALARM');
  if (firing.length > 0)
    return {
      say: `the alarm ${firing.map(([name]) => name).join(', ')} is in ALARM`,
      ...(firing.every(([, { since }]) => since < deployment.createdAt)
        ? { alike: 'it was so before it was deployed, for which reason ECS does not heed it' }
        : {}),
    };
  if (measures.probe && !measures.probe.ok && isAsked(measures)) return { say: measures.probe.say };
  const rate = measures.rates && rateFault(measures.rates, limits);
  if (rate) return rate;
  return own.filter((t) => standingOf(view, t) === 'serves').length < view.service.desired ? 'pending' : undefined;
};

/** All that was measured, in words. */
const healthText = (view: ServiceView, picture: Picture, deployment: Deployment, measures: Measures): string => {
  const serving = ownTasks(picture, deployment).filter((t) => standingOf(view, t) === 'serves');
  return [
    `${serving.length} of ${plural(view.service.desired, 'task')} ${view.service.desired === 1 ? 'serves' : 'serve'}`,
    ...(measures.rates ? [ratesText(measures.rates)] : []),
    ...(measures.probe ? [measures.probe.say] : []),
    ...shiftText(view, measures),
    ...numb(view, measures),
  ].join('; ');
};

const shiftText = ({ service: { shifting } }: ServiceView, { rollout }: Measures): readonly string[] => {
  if (!shifting || !rollout || !isUnderWay(rollout)) return [];
  const share = rollout.share === undefined ? '' : `, ${rollout.share} % of the traffic goes to it`;
  return [`ECS deploys it ${shifting.strategy}: ${rollout.stage ?? rollout.status}${share}`];
};

/** Alarms that were to end a bad deployment, and will not. */
const numb = ({ service: { alarms: watched, shifting } }: ServiceView, { alarms }: Measures): readonly string[] => {
  const said = (names: readonly string[], what: string): readonly string[] =>
    names.length > 0 ? [`the alarm ${names.join(', ')} ${what}`] : [];
  const are = (is: (a: AlarmState) => boolean): readonly string[] =>
    Object.entries(alarms).flatMap(([name, alarm]) => (is(alarm) ? [name] : []));
  const bake = shifting?.bake ?? Number.POSITIVE_INFINITY;
  return [
    ...said(
      (watched?.names ?? []).filter((name) => alarms[name] === undefined),
      'is not there, so ECS does not heed it',
    ),
    ...said(
      are(({ state }) => state === 'INSUFFICIENT_DATA'),
      'has no data, so it cannot tell',
    ),
    ...said(
      are(({ needs = 0 }) => needs > bake),
      `takes longer to fire than it bakes (${span(bake)})`,
    ),
  ];
};

/** Hooks may hold it for a day before its tasks are started. */
const isHeld = ({ rollout }: Measures): boolean =>
  rollout !== undefined && isUnderWay(rollout) && BEFORE_TASKS.includes(rollout.stage ?? '');
const BEFORE_TASKS = ['RECONCILE_SERVICE', 'PRE_SCALE_UP'];

/** ECS still deploys it. That it still ends what it stood beside says nothing about what is new, and may take long: as with an agent that is cut off. */
const isDeployed = ({ rollout }: Measures): boolean =>
  rollout !== undefined && isUnderWay(rollout) && rollout.stage !== 'CLEAN_UP';

/** It is watched for so long from when its tasks run; where traffic is shifted, from when all of it was its own. */
const windowEnd = (
  { service: { shifting } }: ServiceView,
  whole: Time,
  { rollout }: Measures,
  window: number,
): Time => {
  const baked = rollout?.endedAt ?? (rollout?.stage === 'CLEAN_UP' ? rollout.changedAt : 0);
  return Math.max(whole, baked - (shifting?.bake ?? 0)) + window;
};

export const judge = (
  view: ServiceView,
  picture: Picture,
  deployment: Deployment,
  measures: Measures,
  limits: Limits,
  now: Time,
): Verdict => {
  const is = healthText(view, picture, deployment, measures);
  const bad = ({ say, alike }: Fault): Verdict => ({
    is: 'bad',
    health: `${say}; ${is}`,
    until: now,
    ...(alike === undefined ? {} : { alike }),
  });
  const wait = (until: Time): Verdict => ({ is: 'unproven', health: is, until: Math.max(until, now + seconds(1)) });
  const over = brokenOff(view, picture, deployment);
  if (over) return bad(over);
  const whole = wholeAt(view, picture, deployment);
  const deploys = isDeployed(measures);
  if (whole === undefined) {
    const began = measures.backSince ?? deployment.createdAt;
    const end = isHeld(measures) ? now + SOON : began + limits.start;
    return now >= end
      ? bad({ say: `its tasks do not all run ${span(now - began)} after it began` })
      : wait(Math.min(now + SOON, end));
  }
  const end = windowEnd(view, whole, measures, limits.window);
  if (now < end) return wait(measures.probe || deploys ? Math.min(now + SOON, end) : end);
  const fault = faultOf(view, picture, deployment, measures, limits);
  if (isEarly(fault, { end, now, deploys }, view, measures)) return wait(now + SOON);
  if (fault === undefined) return { is: 'good', health: is, until: now };
  return bad(fault === 'pending' ? { say: `not all of its tasks serve ${span(now - whole)} after they ran` } : fault);
};

/** More is to be waited for before that is said of it. */
const isEarly = (
  fault: Fault | 'pending' | undefined,
  { end, now, deploys }: { readonly end: Time; readonly now: Time; readonly deploys: boolean },
  { service }: ServiceView,
  { probe, probed }: Measures,
): boolean => {
  // It is good once all traffic is its own, and has baked.
  if (fault === undefined) return deploys;
  // A target that has not answered often enough has some time more.
  if (fault === 'pending') return now < end + Math.max(SLACK, service.grace);
  // One request that fails is no answer yet.
  return fault.say === probe?.say && probed?.ok !== false;
};

/** It need not be waited for. */
const brokenOff = ({ service }: ServiceView, { ended }: Picture, deployment: Deployment): Fault | undefined => {
  if (deployment.rollout === 'FAILED')
    return { say: `ECS says that it has failed: ${deployment.because ?? 'it says not why'}` };
  const [last] = ended;
  return last && ended.length >= endsOf(service.desired)
    ? { say: `${plural(ended.length, 'task')} of it ended by themselves, the last: ${endedWith(last)}` }
    : undefined;
};

/** Sums of what lies within. */
export const countedIn = (
  [requests = [], failed = []]: readonly (readonly Point[])[],
  from: Time,
  to: Time,
): Traffic => {
  const sum = (points: readonly Point[]): number =>
    points.filter((p) => p.at >= from && p.at < to).reduce((n, p) => n + p.value, 0);
  return { requests: sum(requests), failed: sum(failed) };
};
