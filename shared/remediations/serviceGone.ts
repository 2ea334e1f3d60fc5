import * as z from 'zod/mini';
import { type ContainerService, clusterOf, type TaskShape } from '../core/containers.ts';
import { noneIfGone, undefinedIfGone, undefinedIfRefused } from '../core/errors.ts';
import type { Attempt } from '../core/incident.ts';
import { option } from '../core/option.ts';
import { passTaskRoles } from '../core/permissions.ts';
import type { Ports } from '../core/ports.ts';
import { isProven, pinsOf, type Release, type Releases, unknownIn } from '../core/releases.ts';
import { defineRemediation, type Effect, type Facts, type Look, type Scan } from '../core/remediation.ts';
import { shortOf } from '../core/services.ts';
import type { Signal } from '../core/signal.ts';
import { serviceTarget, type Target } from '../core/target.ts';
import { iso, minutes, seconds, span } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';

const options = z.strictObject({
  mustExist: option(
    z.array(z.string().check(z.regex(/^[\w-]{1,255}\/[\w-]{1,255}$/))).check(z.maxLength(1_000)),
    [],
    'Services that must be there, as cluster/service: rebuilt without the question whether it was meant, and looked for each five minutes',
  ),
});
type Options = z.output<typeof options>;

type Step = {
  readonly do: 'rebuild';
  readonly service: string;
  readonly definition: string;
  readonly pins: Readonly<Record<string, string>> | null;
  readonly roles: readonly string[];
  /** As CreateService takes them, but for the task definition. */
  readonly settings: Json;
};

interface Seen {
  readonly target: Target;
  readonly name: string;
  /** Undefined: it is gone. */
  readonly service: ContainerService | undefined;
  readonly isClusterGone: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly uncovered: string | undefined;
  readonly mustExist: boolean;
  readonly record: Releases;
  /** The last release that passed. */
  readonly release: (Release & { readonly shape: TaskShape | undefined }) | undefined;
}

const nameOf = ({ arn }: Target): string => `${clusterOf(arn)}/${shortOf(arn)}`;

/** As the record has them: what is gone has no tags of its own. */
const keptTags = ({ settings }: Releases): Readonly<Record<string, string>> => {
  const { tags = [] } = (settings ?? {}) as { readonly tags?: readonly { key?: string; value?: string }[] };
  return Object.fromEntries(tags.map(({ key = '', value = '' }) => [key, value]));
};
const wantedTasks = ({ settings }: Releases): number => {
  const { desiredCount = 1 } = (settings ?? {}) as { readonly desiredCount?: number };
  return desiredCount;
};

const observe = async (target: Target, { containers }: Ports, look: Look<Options>): Promise<Seen> => {
  const name = nameOf(target);
  const { releases: record, options: o } = look;
  const found = await containers.services(clusterOf(target.arn), [shortOf(target.arn)]).catch(undefinedIfGone);
  const service = found?.find((s) => s.status !== 'INACTIVE');
  const tags = service?.tags ?? keptTags(record);
  const passed = record.list.find(isProven);
  const isGone = service === undefined && record.settings !== undefined;
  const shape = isGone && passed ? await containers.definition(passed.definition).catch(undefinedIfRefused) : undefined;
  const mustExist = o.mustExist.includes(name);
  return {
    target,
    name,
    service,
    isClusterGone: found === undefined,
    tags,
    // What is declared by its name is covered by that, unless it opts out.
    uncovered: mustExist && Object.keys(tags).length === 0 ? undefined : look.uncovered(tags),
    mustExist,
    record,
    release: passed && { ...passed, shape },
  };
};

const isWhole = ({ service }: Seen): boolean =>
  service?.status === 'ACTIVE' && service.running >= Math.max(1, service.desired);
/** ECS's answers may be as old as that: what was deleted a moment ago may be told as there. */
const STALE = minutes(1);
const isHealthy = (seen: Seen, { attempts, now, openedAt }: Look<Options>): boolean =>
  seen.uncovered === undefined &&
  // Who has not rebuilt it has only to see that it is there.
  (attempts.length > 0 ? isWhole(seen) : seen.service?.status === 'ACTIVE' && now >= openedAt + STALE);

const describe = (seen: Seen): string => {
  const { name, service, isClusterGone, release, record } = seen;
  if (service)
    return service.status === 'ACTIVE'
      ? `${name} is there: ${service.running} of ${service.desired} tasks run`
      : `${name} is being deleted: ${service.running} of its tasks still run`;
  const was = release ? `; ${shortOf(release.definition)} was the last release that passed` : '';
  return `${isClusterGone ? `the cluster of ${name} is gone` : `${name} is gone`}; it wanted ${wantedTasks(record)} tasks${was}`;
};

/** It takes so long to go at most, by the longest draining of its targets. */
const GOES = minutes(75);
const COMES = minutes(20);
/** A cluster that is made again by itself is there within this. */
const CLUSTER_FIRST = minutes(10);

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const is = describe(seen);
  const { author } = look.signal;
  if (seen.uncovered !== undefined) return { do: 'nothing', because: seen.uncovered };
  if (author !== undefined && look.trusts(author))
    return { do: 'nothing', because: `${author} did it, which \`trusted\` in steward.yml names: it is intended` };
  return underWay(seen, look, is) ?? fromRecord(seen, look, is);
};

/** It is going, or coming. */
const underWay = ({ service, target }: Seen, { now, openedAt, attempts }: Look<Options>, is: string) => {
  if (service?.status === 'DRAINING')
    return now - openedAt < GOES
      ? { do: 'wait' as const, until: now + seconds(30), because: is }
      : person(`${is}, for ${span(now - openedAt)}`, 'look at its tasks: one of them does not stop');
  const last = (attempts as readonly Attempt<Step>[]).findLast((a) => a.outcome?.kind !== 'transient');
  if (!last && service) return { do: 'wait' as const, until: openedAt + STALE, because: `${is}, or was a moment ago` };
  if (!last) return undefined;
  const declined = last.outcome?.kind === 'permanent';
  return declined || last.effect !== undefined
    ? person(
        `${is}; to rebuild it ${declined ? `was declined: ${last.outcome?.because}` : 'did not bring its tasks back'}`,
        `look at its events: aws ecs describe-services --cluster ${clusterOf(target.arn)} --services ${shortOf(target.arn)}`,
      )
    : { do: 'wait' as const, until: now + seconds(20), because: `${is}: ${last.plan} is not over yet` };
};

const fromRecord = (seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const { name, record, mustExist, release, target } = seen;
  if (!release || record.settings === undefined)
    return mustExist
      ? person(
          `${is}; no release of it that passed is on record, so nothing is known to rebuild it from`,
          'create it by hand, or by what has deployed it',
        )
      : { do: 'nothing', because: `${is}; it is in no record` };
  if (wantedTasks(record) === 0) return { do: 'nothing', because: `${is}: nothing is lost` };
  if (seen.isClusterGone)
    return look.now - look.openedAt < CLUSTER_FIRST
      ? {
          do: 'wait',
          until: look.now + minutes(1),
          because: `${is}: where it is managed, cluster-gone sees to it first`,
        }
      : person(
          `${is}, and its hosts have left it`,
          `cluster-gone asks about it where it carries the tag; by hand: aws ecs create-cluster --cluster-name ${clusterOf(target.arn)}, with its capacity providers, and new hosts: then ${name} is rebuilt`,
        );
  return rebuilding(seen, release, record.settings, look, is);
};
const person = (because: string, remedy: string): Verdict<Step> => ({ do: 'escalate', because, remedy });

const rebuilding = (
  { target, name, mustExist }: Seen,
  release: NonNullable<Seen['release']>,
  settings: Json,
  { signal }: Look<Options>,
  is: string,
): Verdict<Step> => {
  const { shape } = release;
  const what = shortOf(release.definition);
  if (!shape) return person(`${is}; ${what} was deleted`, 'register it anew, and create the service by hand');
  const unknown = unknownIn(release, shape);
  if (unknown.length > 0)
    return person(`${is}; which image ${unknown.join(', ')} was is not known`, 'create the service by hand');
  const pins = pinsOf(release, shape);
  return {
    do: 'act',
    rung: 'rebuild',
    step: {
      do: 'rebuild',
      service: target.arn,
      definition: release.definition,
      pins,
      roles: pins ? shape.roles : [],
      settings,
    },
    plan: `create ${name} again as it was, with the digests of ${what}, which passed on ${iso(release.decidedAt ?? release.since).slice(0, 16)}Z`,
    because: is,
    ...(mustExist
      ? {}
      : {
          asks: `${signal.author ?? 'somebody'} may have meant it: \`mustExist\` in steward.yml does not name ${name}`,
        }),
  };
};

const effect = ({ reservedAt, outcome }: Attempt<Step>, seen: Seen, { now }: Look<Options>): Effect => {
  if (isWhole(seen)) return 'effective';
  return now - reservedAt < COMES && outcome?.kind === 'done' ? 'pending' : 'ineffective';
};

const survey = async ({ containers, where }: Ports, { now, options: o }: Scan<Options>): Promise<readonly Signal[]> => {
  const found: Signal[] = [];
  for (const cluster of new Set(o.mustExist.map((name) => name.split('/')[0] ?? ''))) {
    const names = o.mustExist.flatMap((name) =>
      name.startsWith(`${cluster}/`) ? [name.slice(cluster.length + 1)] : [],
    );
    const there = await containers.services(cluster, names).catch(noneIfGone);
    for (const name of names)
      if (!there.some((s) => s.name === name && s.status === 'ACTIVE')) {
        const target = serviceTarget(where, cluster, name);
        found.push({
          kind: 'container-service.gone',
          target,
          at: now,
          cause: `survey: ${cluster}/${name} is not there, and must be`,
          eventId: `survey:${target.arn}:gone@${iso(now).slice(0, 13)}`,
        });
      }
  }
  return found;
};

const factsOf = ({ target, tags, mustExist }: Seen): Facts => ({
  tags: mustExist && Object.keys(tags).length === 0 ? undefined : tags,
  group: { id: `services/${clusterOf(target.arn)}`, size: 1, zones: {} },
  zone: undefined,
  serving: 'alone',
});

export const serviceGone = defineRemediation<Seen, Step, Options>({
  name: 'service-gone',
  title: 'rebuilds an ECS service that was deleted, from the record of its releases',
  about: `When a managed service is deleted it is created again as it was when its last release passed: settings, load balancers, network, tags and count from the record that \`release-unproven\` keeps, with the image **digests** of
that release, by a copy of its task definition that names them (**rebuild**). Whether it was meant nobody can see, so a person is asked, unless \`mustExist\` names the service: then the mode decides, and a survey looks for it each five minutes. What a principal of \`trusted\`
deletes is meant. It waits until what is being deleted is gone, and is done once its tasks run; \`release-unproven\` proves them then. It waits for its cluster where that is gone too: that is \`cluster-gone\`'s. A service without a record and a definition that was deleted go to a person. Auto Scaling of
the service, its alarms and its deployment by CodeDeploy are not rebuilt. It never deletes anything.`,
  answers: ['container-service.gone'],
  risk: 'interrupts',
  targets: 'arn:*:ecs:*:*:service/*',
  ladder: { rebuild: 'create the service again, with the digests of the last release that passed' },
  permissions: [
    {
      for: 'look',
      actions: ['ecs:DescribeServices', 'ecs:DescribeTaskDefinition'],
      resources: ['*'],
    },
    { for: 'act', actions: ['ecs:CreateService', 'ecs:TagResource'], resources: ['arn:*:ecs:*:*:service/*'] },
    // AWS gives it no resource.
    { for: 'act', actions: ['ecs:RegisterTaskDefinition'], resources: ['*'] },
    passTaskRoles,
  ],
  options,
  attemptsPerDay: 3,
  // Whoever deletes many at once has them all rebuilt: that has a cause, and it is known.
  inStorms: false,
  adds: true,
  survey,
  observe,
  facts: factsOf,
  describe,
  isHealthy,
  decide,
  releases: 'read',
  act: async ({ service, definition, pins, settings }, { containers }, token) =>
    containers.create(service, { definition, settings, ...(pins ? { pins } : {}) }, token),
  touches: ({ roles }) => roles,
  before: () => null,
  effect,
  noUndo: 'to delete the service again is for a person: aws ecs delete-service --force',
});
