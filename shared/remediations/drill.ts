import * as z from 'zod/mini';
import { defineRemediation } from '../core/remediation.ts';
import { idOf } from '../core/target.ts';
import { minutes } from '../core/time.ts';

type Step = { readonly do: 'mend'; readonly name: string; readonly version: number };
interface Seen {
  readonly name: string;
  readonly value: string;
  readonly version: number;
}
const MENDED = 'mended';

export const drill = defineRemediation<Seen, Step, Record<never, never>>({
  name: 'drill',
  title: "mends Steward's own drill parameter: the harmless incident by which `steward doctor` tests the whole path",
  about: `\`steward doctor\` writes \`broken\` into an SSM parameter of Steward's own and sends the signal. The incident runs the whole path (queue, look,
guards, reservation, act, look again) and ends when the parameter reads \`mended\`. Nothing of yours is touched.`,
  answers: ['steward.drill'],
  risk: 'harmless',
  targets: 'arn:*:ssm:*:*:parameter/steward/*/drill',
  ladder: { mend: 'write `mended` into the parameter' },
  attemptsPerDay: 50,
  permissions: [
    { for: 'look', actions: ['ssm:GetParameter'], resources: ['arn:*:ssm:*:*:parameter/steward/{stage}/drill'] },
    { for: 'act', actions: ['ssm:PutParameter'], resources: ['arn:*:ssm:*:*:parameter/steward/{stage}/drill'] },
  ],
  options: z.strictObject({}),
  observe: async (target, { parameters }) => {
    const name = `/${idOf(target)}`;
    return { name, ...(await parameters.get(name)) };
  },
  facts: ({ name }) => ({ tags: {}, ours: true, group: { id: `drill${name}`, size: 1, zones: {} }, zone: undefined }),
  describe: ({ value }) => `the drill parameter reads "${value}"`,
  isHealthy: ({ value }) => value === MENDED,
  decide: ({ name, value, version }, { attempts, now }) => {
    if (attempts.some((a) => a.effect === 'ineffective'))
      return {
        do: 'escalate',
        because: 'it was mended and is broken again',
        remedy: 'look who else writes the drill parameter',
      };
    if (attempts.some((a) => a.outcome?.kind === 'done' && !a.effect && !a.undoes))
      return { do: 'wait', until: now + minutes(1), because: 'the parameter is being written' };
    return {
      do: 'act',
      rung: `mend ${version}`,
      step: { do: 'mend', name, version },
      plan: `write "${MENDED}" into ${name}`,
      because: `it reads "${value}"`,
    };
  },
  act: async ({ name }, { parameters }) => {
    await parameters.put(name, MENDED);
    return { name };
  },
  touches: () => [],
  before: ({ value }) => ({ value }),
  effect: (_attempt, { value }) => (value === MENDED ? 'effective' : 'ineffective'),
  undo: async ({ before, step }, { parameters }) => {
    await parameters.put(step.name, (before as { value: string }).value);
    return { name: step.name };
  },
});
