/**
 * `npm run simulate -- [--seeds N] [--engine N] [--fleet N] [--mutants]`
 * Runs N seeds of the engine's model and N of the fleet with its real remediations, on all cores; `--seed 7` or `--seed full-disk:7` replays one and
 * prints what happened; `--mutants` shows that each broken rule is found. Exit status 1 on a violation or a mutant that survives.
 * Results: bench/results/simulation.json, or with `--json` on stdout.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { remediations } from '../../shared/remediations/index.ts';
import { mutants as ofRemediations } from './fleet/mutants.ts';
import { bundled, hunt, type Killed } from './hunt.ts';
import { type ModelName, modelOf, type Result, type Seed, type Simulate } from './models.ts';
import { mutants as ofEngine } from './mutants.ts';

const ROOT = join(import.meta.dirname, '../..');
const RESULTS = join(ROOT, 'bench/results/simulation.json');
const mutants = [...ofEngine, ...ofRemediations];
/** Seeds that a worker runs before it tells of them. */
const PORTION = 10;

type Job =
  | { readonly model: ModelName; readonly seeds: readonly Seed[] }
  | { readonly mutant: string; readonly limit: number }
  /** Is the same seed the same run? */
  | { readonly twice: Seed };
interface Tally {
  readonly seeds: number;
  readonly counts: Record<string, number>;
  readonly violations: readonly { seed: Seed; invariant: string; say: string }[];
}

const plus = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> => {
  const sum = { ...a };
  for (const [name, n] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + n;
  return sum;
};
const add = (a: Tally, b: Tally): Tally => ({
  seeds: a.seeds + b.seeds,
  counts: plus(a.counts, b.counts),
  violations: [...a.violations, ...b.violations],
});
const NONE: Tally = { seeds: 0, counts: {}, violations: [] };
const tallyOf = ({ seed, counts, violation }: Result): Tally => ({
  seeds: 1,
  counts: { ...counts },
  violations: violation ? [{ seed, ...violation }] : [],
});

// ---- in a worker ------------------------------------------------------------------------------------------------------------------------

const loaded = new Map<ModelName, Promise<Simulate>>();
const load = (model: ModelName): Promise<Simulate> => {
  const known = loaded.get(model) ?? bundled(model);
  loaded.set(model, known);
  return known;
};

/** What both runs said, if it was the same and something at all. */
const twice = async (seed: Seed): Promise<Twice> => {
  const simulate = await load(modelOf(seed));
  const [first, second] = [await simulate(seed, { trace: true }), await simulate(seed, { trace: true })];
  return { seed, lines: first.trace.length, same: JSON.stringify(first) === JSON.stringify(second) };
};

const work = async (job: Job): Promise<Tally | Killed | Twice> => {
  if ('twice' in job) return twice(job.twice);
  if ('mutant' in job) {
    const found = mutants.find((m) => m.name === job.mutant);
    if (!found) throw new Error(`no mutant is called ${job.mutant}`);
    // A mutant whose text has moved is as good as one that survives; the others go on.
    return hunt(found, job.limit).catch((e: unknown) => ({ mutant: job.mutant, seeds: 0, lost: String(e) }));
  }
  const simulate = await load(job.model);
  let tally = NONE;
  for (const seed of job.seeds) tally = add(tally, tallyOf(await simulate(seed)));
  return tally;
};

// ---- in the main thread -----------------------------------------------------------------------------------------------------------------

const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

/** Most of what a seed makes is short-lived: with room for it the collector has a fifth less to do. */
const ROOM = { maxYoungGenerationSizeMb: 256 };

/** Gives each worker the next job when it has done one. */
const spread = async (jobs: readonly Job[], told: (job: Job, result: never) => void): Promise<void> => {
  const left = [...jobs];
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { execArgv: ['--no-warnings'], resourceLimits: ROOM });
      let job: Job | undefined;
      const next = (): void => {
        progress(`${left.length} of ${jobs.length} portions left`);
        job = left.shift();
        if (job) worker.postMessage(job);
        else worker.terminate().then(() => resolve(), reject);
      };
      worker.on('message', (result) => {
        if (job) told(job, result as never);
        next();
      });
      worker.on('error', reject);
      next();
    });
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), jobs.length) }, one));
  progress('');
};

/** Each remediation's first seeds, then each one's next. */
const fleetSeeds = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => {
    const { name = '' } = remediations[i % remediations.length] ?? {};
    return `${name}:${1 + Math.floor(i / remediations.length)}`;
  });
const portions = (model: ModelName, seeds: readonly Seed[]): Job[] =>
  Array.from({ length: Math.ceil(seeds.length / PORTION) }, (_, i) => ({
    model,
    seeds: seeds.slice(i * PORTION, (i + 1) * PORTION),
  }));

interface Wanted {
  readonly engine: number;
  readonly fleet: number;
  readonly mutants: boolean;
  /** Seeds in which a mutant must be found. */
  readonly limit: number;
}
export interface Twice {
  readonly seed: Seed;
  readonly lines: number;
  readonly same: boolean;
}
export interface Report {
  readonly twice: readonly Twice[];
  readonly engine: Tally;
  readonly fleet: Tally;
  readonly mutants: readonly Killed[];
  readonly seconds: number;
}

const runAll = async (wanted: Wanted): Promise<Report> => {
  const began = performance.now();
  const sums: Record<ModelName, Tally> = { engine: NONE, fleet: NONE };
  const killed = new Map<string, Killed>();
  const pairs: Twice[] = [];
  const hunts = wanted.mutants ? mutants.map((m) => ({ mutant: m.name, limit: wanted.limit })) : [];
  const engine = Array.from({ length: wanted.engine }, (_, i) => i + 1);
  await spread(
    [
      ...portions('fleet', fleetSeeds(wanted.fleet)),
      ...hunts,
      ...portions('engine', engine),
      { twice: 12 },
      { twice: 'instance-impaired:2' },
    ],
    (job, result: Tally & Killed & Twice) => {
      if ('twice' in job) pairs.push(result);
      else if ('mutant' in job) killed.set(job.mutant, result);
      else sums[job.model] = add(sums[job.model], result);
    },
  );
  await rm(join(ROOT, '.steward/simulation'), { recursive: true, force: true });
  return {
    ...sums,
    twice: pairs,
    mutants: mutants.flatMap((m) => killed.get(m.name) ?? []),
    seconds: (performance.now() - began) / 1000,
  };
};

const replay = async (seed: Seed): Promise<number> => {
  const simulate = await load(modelOf(seed));
  const { trace, violation } = await simulate(seed, { trace: true });
  for (const line of trace) console.log(line);
  console.log(
    violation ? `seed ${seed} violates ${violation.invariant}: ${violation.say}` : `seed ${seed}: no violation`,
  );
  return violation ? 1 : 0;
};

const printTally = (model: ModelName, { seeds, counts, violations }: Tally): void => {
  if (seeds === 0) return;
  console.log(`${model}: ${seeds} seeds, ${violations.length} violations`);
  for (const [name, n] of Object.entries(counts)) console.log(`  ${name.padEnd(14)} ${n}`);
  for (const v of violations.slice(0, 20))
    console.log(`seed ${v.seed} violates ${v.invariant}: ${v.say}\n  replay: npm run simulate -- --seed ${v.seed}`);
};

const printMutants = (table: readonly Killed[]): void => {
  if (table.length === 0) return;
  console.log(`\n${'mutant'.padEnd(72)} ${'seed'.padStart(24)}  invariant that finds it`);
  for (const k of table)
    console.log(
      `${k.mutant.padEnd(72)} ${`${k.seed ?? '-'}`.padStart(24)}  ${k.invariant ?? k.lost ?? `SURVIVED ${k.seeds} seeds`}`,
    );
  console.log(`${table.filter((k) => k.seed !== undefined).length} of ${table.length} mutants killed`);
};

const keep = async ({ engine, fleet, mutants: table }: Report): Promise<void> => {
  const known: object = await readFile(RESULTS, 'utf8').then(JSON.parse, () => ({}));
  const sum = ({ seeds, counts, violations }: Tally) => ({ seeds, violations: violations.length, counts });
  const measured = {
    ...(engine.seeds > 0 ? { engine: sum(engine) } : {}),
    ...(fleet.seeds > 0 ? { fleet: sum(fleet) } : {}),
    ...(table.length > 0
      ? { mutants: table.length, mutantsKilled: table.filter((k) => k.seed !== undefined).length, table }
      : {}),
  };
  await mkdir(join(RESULTS, '..'), { recursive: true });
  await writeFile(RESULTS, `${JSON.stringify({ ...known, ...measured }, null, 2)}\n`);
};

const main = async (): Promise<number> => {
  const number = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      seeds: number,
      engine: number,
      fleet: number,
      limit: number,
      seed: number,
      mutants: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  });
  const { seed, seeds = '500' } = values;
  if (seed !== undefined) return replay(/^\d+$/.test(seed) ? Number(seed) : seed);
  const [engine, fleet, limit] = [values.engine ?? seeds, values.fleet ?? seeds, values.limit ?? '3000'].map(Number);
  if (![engine, fleet, limit].every((n) => Number.isInteger(n) && (n ?? -1) >= 0)) {
    console.error('--seeds, --engine, --fleet and --limit take a whole number: npm run simulate -- --seeds 1000');
    return 2;
  }
  const report = await runAll({
    engine: engine ?? 0,
    fleet: fleet ?? 0,
    limit: limit ?? 0,
    mutants: values.mutants ?? false,
  });
  const bad =
    [...report.engine.violations, ...report.fleet.violations].length +
    report.mutants.filter((k) => k.seed === undefined).length;
  if (values.json) {
    console.log(JSON.stringify(report));
    return 0;
  }
  printTally('engine', report.engine);
  printTally('fleet', report.fleet);
  printMutants(report.mutants);
  console.log(`in ${report.seconds.toFixed(1)} s`);
  await keep(report);
  return bad > 0 ? 1 : 0;
};

if (isMainThread) process.exitCode = await main();
else parentPort?.on('message', async (job: Job) => parentPort?.postMessage(await work(job)));
