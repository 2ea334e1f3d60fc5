/** How the channels of the policy are, for `steward channels`, `status` and `doctor`; and a test message for one of them. */
import { whatOf } from '../core/channels.ts';
import { NotFound } from '../core/errors.ts';
import { newNotice } from '../core/outbox.ts';
import type { Time } from '../core/time.ts';
import type { Wired } from './wire.ts';

export interface ChannelHealth {
  readonly name: string;
  readonly type: string;
  readonly what: string;
  /** What it was not told yet, up to a hundred. */
  readonly waiting: number;
  readonly failing?: { readonly since: Time; readonly because: string };
}

const MANY = 100;

export const channels = (deps: Wired): Promise<ChannelHealth[]> =>
  Promise.all(
    Object.entries(deps.policy.channels).map(async ([name, config]) => {
      const [[book], untold] = await Promise.all([
        deps.store.read({ kind: 'channel', name }),
        deps.store.untold(name, deps.now(), MANY),
      ]);
      const { failing } = book ?? {};
      return {
        name,
        type: config.type,
        what: whatOf(config),
        waiting: untold.length,
        ...(failing && failing.failures > 0 ? { failing: { since: failing.since, because: failing.because } } : {}),
      };
    }),
  );

/** The whole way that a notice goes: it is put into the outbox, and announce sends it within a minute. @throws NotFound */
export const testChannel = async (name: string, by: string, deps: Wired): Promise<{ say: string; next: string }> => {
  const known = Object.keys(deps.policy.channels);
  if (!known.includes(name))
    throw new NotFound(
      known.length === 0
        ? `there is no channel ${name}: steward.yml names none`
        : `there is no channel ${name}; there are ${known.join(', ')}`,
    );
  await deps.store.write({ put: newNotice(name, { is: 'test', id: `test.${deps.newId()}`, by }, deps.now()) });
  return {
    say: `a test is on its way to ${name}`,
    next: 'it comes within two minutes; if it does not, steward channels list says why',
  };
};
