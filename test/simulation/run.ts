/**
 * `npm run simulate -- [--seeds N] [--seed K] [--mutants]`
 * Runs N seeds on all cores; `--seed K` replays one and prints what happened; `--mutants` shows that each broken rule is found.
 * Exit status 1 on a violation or a mutant that survives. Results: bench/results/simulation.json.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { hunt, type Killed, mutants } from './mutants.ts';
import { type Result, simulate } from './simulate.ts';

const RESULTS = join(import.meta.dirname, '../../bench/results/simulation.json');
/** Seeds in which a mutant must be found. */
const HUNT_LIMIT = 3_000;

interface Slice {
  readonly from: number;
  readonly step: number;
  readonly until: number;
}
interface Tally {
  readonly done: number;
  readonly counts: Result['counts'];
  readonly violations: readonly { seed: number; invariant: string; say: string }[];
}

const plus = (a: Record<string, number>, b: Record<string, number>): Record<string, number> => {
  const sum = { ...a };
  for (const [name, n] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + n;
  return sum;
};

/** In a worker: every `step`th seed, told of in portions. */
const work = async ({ from, step, until }: Slice): Promise<void> => {
  for (let first = from; first <= until; first += step * 25) {
    let counts: Record<string, number> = {};
    const violations: Tally['violations'][number][] = [];
    let done = 0;
    for (let seed = first; seed <= until && done < 25; seed += step, done++) {
      const result = await simulate(seed);
      counts = plus(counts, result.counts);
      if (result.violation) violations.push({ seed, ...result.violation });
    }
    parentPort?.postMessage({ done, counts, violations } as unknown as Tally);
  }
};

const runSlice = (slice: Slice, told: (t: Tally) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: slice, execArgv: ['--no-warnings'] });
    worker.on('message', told);
    worker.on('error', reject);
    worker.on('exit', () => resolve());
  });

const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

const runSeeds = async (seeds: number) => {
  const cores = Math.min(availableParallelism(), Math.ceil(seeds / 25));
  let counts: Record<string, number> = {};
  let done = 0;
  const violations: Tally['violations'][number][] = [];
  const began = performance.now();
  const told = (t: Tally): void => {
    done += t.done;
    counts = plus(counts, t.counts);
    violations.push(...t.violations);
    progress(`${done} of ${seeds} seeds, ${violations.length} violations`);
  };
  await Promise.all(
    Array.from({ length: cores }, (_, n) => runSlice({ from: n + 1, step: cores, until: seeds }, told)),
  );
  progress('');
  return { seeds: done, counts, violations, seconds: (performance.now() - began) / 1000 };
};

const replay = async (seed: number): Promise<number> => {
  const { trace, violation } = await simulate(seed, { trace: true });
  for (const line of trace) console.log(line);
  console.log(
    violation ? `seed ${seed} violates ${violation.invariant}: ${violation.say}` : `seed ${seed}: no violation`,
  );
  return violation ? 1 : 0;
};

const huntAll = async (): Promise<readonly Killed[]> => {
  const table: Killed[] = [];
  for (const m of mutants) {
    progress(`mutant ${table.length + 1} of ${mutants.length}: ${m.name}`);
    table.push(await hunt(m, HUNT_LIMIT));
  }
  progress('');
  return table;
};

const printMutants = (table: readonly Killed[]): void => {
  console.log(`\n${'mutant'.padEnd(64)} ${'seed'.padStart(6)}  invariant that finds it`);
  for (const k of table)
    console.log(
      `${k.mutant.padEnd(64)} ${`${k.seed ?? '-'}`.padStart(6)}  ${k.invariant ?? `SURVIVED ${k.seeds} seeds`}`,
    );
};

const keep = async (measured: object): Promise<void> => {
  const known: object = await readFile(RESULTS, 'utf8').then(JSON.parse, () => ({}));
  await mkdir(join(RESULTS, '..'), { recursive: true });
  await writeFile(RESULTS, `${JSON.stringify({ ...known, ...measured }, null, 2)}\n`);
};

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: { seeds: { type: 'string' }, seed: { type: 'string' }, mutants: { type: 'boolean' } },
  });
  const [seeds, seed] = [values.seeds ?? '500', values.seed ?? '1'].map(Number) as [number, number];
  if (!(Number.isInteger(seeds) && seeds >= 0 && Number.isInteger(seed) && seed >= 0)) {
    console.error('--seeds and --seed take a whole number, 0 or more: npm run simulate -- --seeds 1000');
    return 2;
  }
  if (values.seed !== undefined) return replay(seed);
  const run = await runSeeds(seeds);
  console.log(`${run.seeds} seeds in ${run.seconds.toFixed(1)} s, ${run.violations.length} violations`);
  for (const [name, n] of Object.entries(run.counts)) console.log(`  ${name.padEnd(14)} ${n}`);
  for (const v of run.violations.slice(0, 20))
    console.log(`seed ${v.seed} violates ${v.invariant}: ${v.say}\n  replay: npm run simulate -- --seed ${v.seed}`);
  await keep({ seeds: run.seeds, violations: run.violations.length, counts: run.counts });
  if (!values.mutants) return run.violations.length > 0 ? 1 : 0;
  const table = await huntAll();
  printMutants(table);
  const mutantsKilled = table.filter((k) => k.seed !== undefined).length;
  console.log(`${mutantsKilled} of ${table.length} mutants killed`);
  await keep({ mutants: table.length, mutantsKilled, table });
  return run.violations.length > 0 || mutantsKilled < table.length ? 1 : 0;
};

if (isMainThread) process.exitCode = await main();
else await work(workerData as Slice);
