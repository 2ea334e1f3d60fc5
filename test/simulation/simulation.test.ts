import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { hunt, mutants } from './mutants.ts';
import { simulate } from './simulate.ts';

const SEEDS = 500;

describe('passes under faults', () => {
  const total = { acts: 0, deaths: 0, undone: 0, refused: 0, asked: 0, escalated: 0, closed: 0 };

  test(`${SEEDS} seeds violate nothing`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violation, counts } = await simulate(seed);
      if (violation) {
        const { trace } = await simulate(seed, { trace: true });
        throw new Error(
          [
            `seed ${seed} violates ${violation.invariant}: ${violation.say}`,
            `replay: npm run simulate -- --seed ${seed}`,
            ...trace.slice(-80),
          ].join('\n'),
        );
      }
      for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += counts[name];
    }
  }, 60_000);

  test('and they do enough to violate something', () => {
    for (const n of Object.values(total)) expect(n).toBeGreaterThan(100);
  });

  test('the same seed is the same run', async () => {
    const [first, second] = [await simulate(12, { trace: true }), await simulate(12, { trace: true })];
    expect(second).toStrictEqual(first);
    expect(first.trace.length).toBeGreaterThan(50);
  });
});

/** Should the code have moved, the seed that is noted with a mutant may find nothing any more: `npm run simulate -- --mutants` tells the new one. */
describe('each broken rule is found', () => {
  afterAll(() => rm(join(import.meta.dirname, '../../.steward/mutants'), { recursive: true, force: true }));

  test.each(mutants.map((m) => [m.name, m] as const))(
    '%s',
    async (_name, m) => {
      const { seed } = await hunt(m, 1_500);
      expect(seed).toBeDefined();
    },
    90_000,
  );
});
