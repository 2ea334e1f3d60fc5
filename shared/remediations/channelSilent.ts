import * as z from 'zod/mini';
import { InvalidInput } from '../core/errors.ts';
import { defineRemediation } from '../core/remediation.ts';
import { idOf } from '../core/target.ts';
import { iso, type Time } from '../core/time.ts';

interface Seen {
  readonly channel: string;
  readonly failing?: Time | undefined;
  readonly because: string;
}
const health = z.object({ failing: z.optional(z.number()), because: z.optional(z.string()) });

export const channelSilent = defineRemediation<Seen, never, Record<never, never>>({
  name: 'channel-silent',
  title:
    'tells a person when messages do not reach one of the channels of steward.yml: through the other channels, `steward status` and the alarm on escalations',
  about: `\`announce\` writes the health of a channel that has failed for ten minutes into an SSM parameter of Steward's own. A token that was revoked, a channel that is archived or an endpoint
that is down is nothing that Steward can mend: a person is told at once. What the channel was not told is kept and comes when it takes messages again; the incident then ends by itself.
It never changes anything.`,
  answers: ['channel.failing'],
  risk: 'harmless',
  targets: 'arn:*:ssm:*:*:parameter/steward/*/channel/*',
  ladder: {},
  permissions: [
    { for: 'look', actions: ['ssm:GetParameter'], resources: ['arn:*:ssm:*:*:parameter/steward/{stage}/channel/*'] },
  ],
  options: z.strictObject({}),
  observe: async (target, { parameters }) => {
    const id = idOf(target);
    const channel = id.slice(id.lastIndexOf('/') + 1);
    const { value } = await parameters.get(`/${id}`);
    const read = z.safeParse(health, jsonOf(value));
    if (!read.success)
      throw new InvalidInput(`the health of the channel ${channel} cannot be read: it is written by announce only`);
    return { channel, failing: read.data.failing, because: read.data.because ?? 'it takes messages' };
  },
  facts: ({ channel }) => ({
    tags: {},
    ours: true,
    group: { id: `channel/${channel}`, size: 1, zones: {} },
    zone: undefined,
  }),
  describe: ({ channel, failing, because }) =>
    failing === undefined
      ? `the channel ${channel} takes messages`
      : `nothing reaches the channel ${channel} since ${iso(failing)}: ${because}`,
  isHealthy: ({ failing }) => failing === undefined,
  decide: ({ channel, because }) => ({
    do: 'escalate',
    because: `messages do not reach the channel ${channel}: ${because}`,
    remedy: `mend the channel, its secret or the network; then: steward channels test ${channel}. What it was not told comes by itself`,
  }),
  act: async () => null,
  touches: () => [],
  before: () => null,
  effect: () => 'pending',
  noUndo: 'it changes nothing: it only tells',
});

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
