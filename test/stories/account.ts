/** A whole account on a fake clock: the world's fleet, the remediations' roles enforced, and Steward at work in it. */

import { reports } from '../../shared/core/documents.ts';
import type { Policy } from '../../shared/core/policy.ts';
import { defaultPolicy } from '../../shared/core/policy.ts';
import { remediations } from '../../shared/remediations/index.ts';
import { createClock } from '../../world/clock.ts';
import { seedFleet } from '../../world/fleet.ts';
import { runSteward, type StewardOptions } from '../../world/steward.ts';
import { createWorld, type WorldOptions } from '../../world/world.ts';

export const STAGE = 'test';

export interface AccountOptions extends WorldOptions, Omit<StewardOptions, 'policy'> {
  readonly policy?: object;
}

/** The alarms that Steward makes by itself, and what it does about releases, would disturb the stories of others: who tells of them turns them on. */
const quiet = (policy: { remediations?: object }) => ({
  ...policy,
  remediations: { 'unwatched-instance': { mode: 'off' }, 'release-unproven': { mode: 'off' }, ...policy.remediations },
});

export const createAccount = ({
  policy = {},
  deaf,
  store,
  open,
  around,
  wire,
  onWrite,
  internet,
  stage = STAGE,
  ...options
}: AccountOptions = {}) => {
  const world = createWorld({ enforce: true, clock: createClock(), ...options });
  const fleet = seedFleet(world, { documents: Object.keys(reports).map((n) => `steward-${stage}-${n}`) });
  const checked: Policy = defaultPolicy(remediations, quiet(policy));
  const steward = runSteward(world, {
    policy: checked,
    stage,
    ...(deaf === undefined ? {} : { deaf }),
    ...(store === undefined ? {} : { store }),
    ...(open === undefined ? {} : { open }),
    ...(around === undefined ? {} : { around }),
    ...(wire === undefined ? {} : { wire }),
    ...(onWrite === undefined ? {} : { onWrite }),
    ...(internet === undefined ? {} : { internet }),
  });
  return { ...steward, fleet };
};
/** One target's incidents of one remediation, the latest of them, and how it stands. */
export const following = ({ incidents }: Account, id: string, remediation: string) => {
  const last = () =>
    incidents()
      .filter((i) => i.target.endsWith(id) && i.remediation === remediation)
      .at(-1);
  return {
    last,
    over: () => ['closed', 'escalated', 'asking'].includes(last()?.state ?? ''),
    rungs: () => last()?.attempts.map((a) => [a.rung, a.effect]),
  };
};
/** A machine that stands alone and runs `shop`. */
export const SHOP = { running: true, type: 'm6i.large', tags: { Name: 'shop', 'steward:managed': 'true' } } as const;

export type Account = ReturnType<typeof createAccount>;
