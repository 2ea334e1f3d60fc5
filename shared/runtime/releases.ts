/** What `steward release` asks and commands. */
import { signalMessage } from '../../events/steward/signal.ts';
import type { Ruling } from '../core/answers.ts';
import { again, InvalidInput, NotFound } from '../core/errors.ts';
import { isNamed, noReleases, promote, type Release, type Releases, wantBack } from '../core/releases.ts';
import { shortOf } from '../core/services.ts';
import { serviceTarget, type Target, targetOf, typeOf } from '../core/target.ts';
import { iso, type Time } from '../core/time.ts';
import type { Json } from '../core/verdict.ts';
import type { AnswerDeps, Command, Question } from './answer.ts';
import { granted, lookNow, type Outcome } from './replies.ts';

const REMEDIATION = 'release-unproven';

/** 'shop/web' in Steward's own account and region, or an ARN. @throws InvalidInput */
const serviceNamed = (name: string, deps: AnswerDeps): Target => {
  const [cluster, service, ...more] = name.split('/');
  if (name.startsWith('arn:') && typeOf(targetOf(name)) === 'service') return targetOf(name);
  if (!cluster || !service || more.length > 0)
    throw new InvalidInput(`'${name}' names no service: give cluster/service, or the ARN of a service`);
  return serviceTarget({ account: deps.home, region: deps.region }, cluster, service);
};

/** What was kept of a release that did not pass. */
export interface Bundle {
  readonly incident: string;
  readonly lines: readonly string[];
  /** So many lines more there were no room for. */
  readonly dropped: number;
  /** What ECS said. */
  readonly events: readonly string[];
}
export interface ReleaseList {
  readonly target: string;
  readonly at: Time;
  readonly releases: Releases;
  /** The one that was asked for, whole. */
  readonly of?: Release;
  readonly bundle?: Bundle;
}

interface Collected {
  readonly step: { readonly do?: Json; readonly deployment?: Json };
  readonly before: { readonly events?: readonly string[] };
  readonly receipt?: { readonly lines?: readonly string[]; readonly dropped?: number };
}

const bundleOf = async (target: string, release: Release, { store }: AnswerDeps): Promise<Bundle | undefined> => {
  for (const incident of await store.ofTarget(target, 50)) {
    if (incident.remediation !== REMEDIATION) continue;
    const found = (incident.attempts as unknown as readonly Collected[]).find(
      ({ step }) => step.do === 'collect' && step.deployment === release.deployment,
    );
    if (found)
      return {
        incident: incident.id,
        lines: found.receipt?.lines ?? [],
        dropped: found.receipt?.dropped ?? 0,
        events: found.before.events ?? [],
      };
  }
  return undefined;
};

export const releasesOf = async (
  { serviceName, of }: Extract<Question, { do: 'releases' }>,
  deps: AnswerDeps,
): Promise<ReleaseList> => {
  const target = serviceNamed(serviceName, deps).arn;
  const [known] = await deps.store.read({ kind: 'releases', target });
  if (!known)
    throw new NotFound(
      `no release of ${serviceName} is on record: it is not managed (steward:managed=true), has not been looked at yet, or ${REMEDIATION} is off`,
    );
  const whole = { target, at: deps.now(), releases: known };
  if (of === undefined) return whole;
  const release = known.list.find((r) => isNamed(r, of));
  if (!release)
    throw new NotFound(
      `no release of ${serviceName} is called ${of}; \`steward release list ${serviceName}\` shows those there are`,
    );
  const bundle = await bundleOf(target, release, deps);
  return { ...whole, of: release, ...(bundle ? { bundle } : {}) };
};

const changed = (
  name: string,
  deps: AnswerDeps,
  rule: (releases: Releases) => Ruling<Releases>,
): Promise<{ target: Target; before: Releases; after: Releases }> => {
  const target = serviceNamed(name, deps);
  if ((deps.policy.remediations[REMEDIATION]?.mode ?? 'off') === 'off')
    throw new InvalidInput(`${REMEDIATION} is off in steward.yml: nobody goes by the record`);
  return again(async () => {
    const [known] = await deps.store.read({ kind: 'releases', target: target.arn });
    const before = known ?? noReleases(target.arn);
    const after = granted(rule(before));
    await deps.store.write({ put: after });
    return { target, before, after };
  });
};

export const promoteRelease = async (
  { serviceName, why }: Extract<Command, { do: 'promote' }>,
  by: string,
  deps: AnswerDeps,
): Promise<Outcome> => {
  const { target, after } = await changed(serviceName, deps, (r) => promote(r, { by, now: deps.now(), why }));
  const next = await lookNow([target.arn], `steward release promote ${serviceName}`, deps);
  return {
    target: target.arn,
    say: `${shortOf(after.list[0]?.definition ?? '')} is the current release of ${serviceName}, by your word`,
    next: `what waited for it is over: ${next}. See it: steward release list ${serviceName}`,
  };
};

export const rollBackTo = async (
  { serviceName, to, why }: Extract<Command, { do: 'roll-back' }>,
  by: string,
  deps: AnswerDeps,
): Promise<Outcome> => {
  const at = deps.now();
  const { target, after } = await changed(serviceName, deps, (r) => wantBack(r, to, { by, now: at, why }));
  const wanted = after.list.find((r) => r.deployment === after.wanted?.to);
  await deps.queue.send([
    {
      body: signalMessage({
        kind: 'container-service.deployed',
        target,
        at,
        cause: `steward release rollback ${serviceName}: ${why}`,
        eventId: `rollback:${target.arn}@${iso(at)}`,
        askedBy: by,
      }),
    },
  ]);
  return {
    target: target.arn,
    say: `asked to deploy ${shortOf(wanted?.definition ?? '')} to ${serviceName} again`,
    next: `the guards decide, and somebody else approves where they ask: steward why ${target.arn}. To take it back: steward release promote ${serviceName} --because '…'`,
  };
};
