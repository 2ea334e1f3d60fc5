/** Runs in a process of its own, on all cores: within jest's modules the same takes four times as long. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { remediations } from '../../shared/remediations/index.ts';
import { beginnings } from './fleet/beginnings.ts';
import { mutants as ofRemediations } from './fleet/mutants.ts';
import { mutants as ofEngine } from './mutants.ts';
import type { Report } from './run.ts';

const SEEDS = { engine: 60, fleet: 225 };
/** Should the code have moved, the seed that is noted with a mutant may find nothing any more: `npm run simulate -- --mutants` tells the new one. */
const LIMIT = 1_000;
const run = promisify(execFile);

let report: Report;
beforeAll(async () => {
  const counts = ['--engine', `${SEEDS.engine}`, '--fleet', `${SEEDS.fleet}`, '--mutants', '--limit', `${LIMIT}`];
  const { stdout } = await run(
    process.execPath,
    ['--no-warnings', join(import.meta.dirname, 'run.ts'), ...counts, '--json'],
    {
      env: { ...process.env, NODE_OPTIONS: '' },
      maxBuffer: 2 ** 26,
    },
  );
  report = JSON.parse(stdout) as Report;
}, 240_000);

test.each(['engine', 'fleet'] as const)('%s: no seed violates anything', (model) => {
  const { seeds, violations } = report[model];
  const found = violations.map((v) => `${v.invariant}: ${v.say}\n  replay: npm run simulate -- --seed ${v.seed}`);
  expect(found).toEqual([]);
  expect(seeds).toBe(SEEDS[model]);
});

test('they do enough to violate something', () => {
  const { engine, fleet } = report;
  for (const what of ['acts', 'deaths', 'undone', 'refused', 'asked', 'escalated', 'closed'])
    expect([what, engine.counts[what]]).toEqual([what, expect.any(Number)]);
  for (const { name } of remediations) {
    // Each of them acted and came to a healthy end, in the midst of all that.
    expect([name, fleet.counts[`acts ${name}`] ?? 0]).toEqual([name, expect.any(Number)]);
    expect([name, (fleet.counts[`healthy ${name}`] ?? 0) > 3]).toEqual([name, true]);
  }
});

test('each remediation has its trouble in the simulation, and two mutants', () => {
  const names = remediations.map((r) => r.name);
  // A new one: say in fleet/beginnings.ts how its trouble begins in the world.
  expect(Object.keys(beginnings).sort()).toEqual(names.toSorted());
  const mutated = (name: string) => ofRemediations.filter((m) => `${m.seed}`.startsWith(`${name}:`)).length;
  expect(names.filter((name) => mutated(name) < 2)).toEqual([]);
});

test('the same seed is the same run', () => {
  expect(report.twice.map((t) => t.same)).toEqual([true, true]);
  expect(Math.min(...report.twice.map((t) => t.lines))).toBeGreaterThan(50);
});

describe('each broken rule is found', () => {
  test.each([...ofEngine, ...ofRemediations].map((m) => m.name))('%s', (name) => {
    const killed = report.mutants.find((k) => k.mutant === name);
    expect(killed).toMatchObject({ seed: expect.anything() });
  });
});
