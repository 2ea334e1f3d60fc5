/**
 * `npm test`: lint, types, then every test of test/, the quick ones first. Everything streams to stderr; stdout gets one line, `N passed, N failed`.
 * Lint and types count as one each; a group of tests that does not come to an end counts as one failure more. Exit code 1 on any failure.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import color from 'picocolors';

const PROJECT = path.resolve(import.meta.dirname, '..');
const BIN = path.join(PROJECT, 'node_modules/.bin');
/** Where jest leaves its results. */
const WORK = mkdtempSync(path.join(tmpdir(), 'steward-test-'));

interface Group {
  readonly name: string;
  readonly args: readonly string[];
}
/** Lanes of a row run side by side: a host's kernel takes one core, and waits much; emulators, packaging and the sandbox take the other. All else has the machine for itself. */
const ROWS: readonly (readonly (readonly Group[])[])[] = [
  [[{ name: 'rules, world, stories', args: ['--selectProjects', 'rules'] }]],
  [[{ name: 'simulation', args: ['test/simulation', '--runInBand'] }]],
  [
    [{ name: 'host scripts', args: ['test/host', '--runInBand'] }],
    [
      { name: 'contract', args: ['test/contract', '--runInBand'] },
      { name: 'template', args: ['test/template', '--runInBand'] },
      { name: 'sandbox', args: ['test/sandbox', '--runInBand'] },
    ],
  ],
];
/** Not a limit on any test: after so long, in ms, a group hangs, and counts as failed. */
const HANGS = 900_000;

interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}
/** The part of jest's `--json` that is read. */
interface Results {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  /** Files that did not even load. */
  readonly numRuntimeErrorTestSuites: number;
}

const say = (text: string): boolean => process.stderr.write(`${text}\n`);
const reasons = new Set<string>();
const running = new Set<ChildProcess>();

/** What a test file says with `console.warn('skipped: …')` is kept, to be said once at the end. */
const heed = (chunk: Buffer): void => {
  process.stderr.write(chunk);
  for (const [, reason = ''] of chunk.toString('utf8').matchAll(/skipped: (\S.*)/g)) reasons.add(reason);
};

/** @returns its exit code; what ended by a signal is a 1 */
const run = async (command: string, args: readonly string[]): Promise<number> => {
  say(`\n${color.bold(`▸ ${command} ${args.join(' ')}`)}`);
  const colors = color.isColorSupported && process.stderr.isTTY ? { FORCE_COLOR: '1' } : {};
  const child = spawn(path.join(BIN, command), args, {
    cwd: PROJECT,
    env: { ...process.env, ...colors, NODE_OPTIONS: '--experimental-vm-modules --no-warnings' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  for (const stream of [child.stdout, child.stderr]) stream.on('data', heed);
  const hangs = setTimeout(() => {
    say(`${command} ${args.join(' ')} did not end within ${HANGS / 60_000} minutes, and was ended`);
    child.kill('SIGKILL');
  }, HANGS);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(hangs);
  running.delete(child);
  return code ?? 1;
};

const check = async (command: string, args: readonly string[]): Promise<Count> => {
  const code = await run(command, args);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
};

const read = (file: string): Results | undefined => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Results;
  } catch {
    return undefined;
  }
};

const tests = async (name: string, args: readonly string[]): Promise<Count> => {
  const file = path.join(WORK, `${name}.json`);
  const code = await run('jest', ['--json', `--outputFile=${file}`, '--silent=false', ...args]);
  const results = read(file);
  if (!results) return { passed: 0, failed: 1, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numRuntimeErrorTestSuites } = results;
  const known = numFailedTests + numRuntimeErrorTestSuites;
  // Ended badly without a test to blame: none found, or jest itself failed.
  const failed = known === 0 && (code !== 0 || !results.success) ? 1 : known;
  return { passed: numPassedTests, failed, skipped: numPendingTests };
};

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    for (const child of running) child.kill(signal);
    process.exit(130);
  });

const began = performance.now();
const counts: [string, Count][] = [
  ['lint', await check('biome', ['ci', '.'])],
  ['types', await check('tsc', [])],
];
const laneOf = async (groups: readonly Group[]): Promise<void> => {
  for (const { name, args } of groups) counts.push([name, await tests(name, args)]);
};
for (const lanes of ROWS) await Promise.all(lanes.map(laneOf));
rmSync(WORK, { recursive: true });

say('');
for (const [name, { passed, failed, skipped }] of counts) {
  const mark = failed > 0 ? color.red('✗') : color.green('✓');
  say(`${mark} ${name}: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}
for (const reason of reasons) say(`${color.yellow('·')} skipped: ${reason}`);
say(`  in ${Math.round((performance.now() - began) / 1000)} s\n`);
const sum = (of: keyof Count): number => counts.reduce((n, [, count]) => n + count[of], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') > 0 ? 1 : 0;
