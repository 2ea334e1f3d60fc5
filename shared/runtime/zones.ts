/** What `steward zones` shows: what is where, what should move, and why no more; under the roles that the remediations look with. */
import { NotFound } from '../core/errors.ts';
import { uncoveredBy } from '../core/guards.ts';
import { noReleases } from '../core/releases.ts';
import { everythingIn } from '../core/target.ts';
import type { Time } from '../core/time.ts';
import type { Zone } from '../core/zoneBounds.ts';
import type { Plan } from '../core/zones.ts';
import { attemptsIn, onceFor, toldIn } from '../core/zoneTold.ts';
import { remediations } from '../remediations/index.ts';
import type { AnswerDeps } from './answer.ts';

export interface Zones {
  readonly at: Time;
  readonly plans: readonly Plan[];
  /** Of the zones that they are about. */
  readonly states: readonly Zone[];
  /** There were more than are shown: name one. */
  readonly more: boolean;
}

/** @param about 'web', 'shop/web', 'asg/api'; undefined: all that the policy covers. @throws NotFound */
export const zonesOf = async (about: string | undefined, deps: AnswerDeps): Promise<Zones> => {
  const everything = everythingIn({ account: deps.home, region: deps.region });
  const now = deps.now();
  const toldOf = onceFor(toldIn(deps.store, { account: deps.home, region: deps.region }));
  const pictures = await Promise.all(
    remediations.map(async (r) => {
      const settings = deps.policy.remediations[r.name];
      if (!r.zones || !settings) return { plans: [], states: [], more: false };
      const ports = await deps.reach(r, everything, { phase: 'look', touched: [] });
      const look = {
        now,
        openedAt: now,
        attempts: [],
        options: settings.options,
        tags: deps.policy.tags,
        signal: { kind: r.answers[0] ?? 'target.changed', cause: 'a person looks at the zones' },
        releases: noReleases(everything.arn),
        toldOf,
        attemptsOf: attemptsIn(deps.store),
        declared: deps.policy,
        trustsAnyone: false,
        trusts: () => false,
        uncovered: uncoveredBy(deps.policy),
      };
      return r.zones(ports, look, about);
    }),
  );
  const plans = pictures.flatMap((p) => p.plans).sort((a, b) => (a.workload < b.workload ? -1 : 1));
  if (about !== undefined && plans.length === 0)
    throw new NotFound(`no service or Auto Scaling group that the policy covers is called ${about}`);
  const used = new Set(plans.flatMap((p) => p.zones.map((x) => x.zone)));
  const seen = pictures.flatMap((p) => p.states).filter((x) => used.has(x.id));
  // Where only services, or only groups, are led out of it, that is said of it.
  const states = new Map([...seen].sort((a, b) => (a.evacuated ?? 0) - (b.evacuated ?? 0)).map((x) => [x.id, x]));
  return {
    at: now,
    plans,
    states: [...states.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    more: pictures.some((p) => p.more),
  };
};
