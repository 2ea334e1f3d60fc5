/** `npm run bench`: prints a table and writes bench/results/latest.json, a flat object of numbers. Times are medians; each has its rival or its limit beside it. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { build } from 'esbuild';
import { startEmulator } from '../test/contract/emulators.ts';
import { credentials, REGION, tableOf } from '../test/contract/table.ts';
import { activity } from './activity.ts';
import { activityCost } from './activityCost.ts';
import { evenFigures } from './even.ts';
import { eventToAct } from './eventToAct.ts';
import { median, round } from './figures.ts';
import { idle } from './idle.ts';
import { incidentCost, passTimes, type Table } from './incident.ts';
import type { Index } from './meter.ts';
import { rival } from './rival.ts';
import { serviceFigures } from './services.ts';
import { storm } from './storm.ts';
import { past, troubles } from './troubles.ts';
import { zonePlans } from './zones.ts';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const RESULTS = join(PROJECT, 'bench/results');

/** What a function's environment has. */
const LAMBDA = {
  PATH: process.env['PATH'] ?? '',
  AWS_REGION: 'eu-central-1',
  STEWARD_STAGE: 'bench',
  STEWARD_TABLE: 'steward-bench',
  STEWARD_QUEUE_URL: 'https://sqs.eu-central-1.amazonaws.com/111122223333/steward-bench-signals',
  STEWARD_ACCOUNT: '111122223333',
};
const IMPORT = 'const t=performance.now();await import(process.argv[1]);console.log(performance.now()-t)';
/** Milliseconds of one import in a process of its own. */
const importOnce = (file: string): number =>
  Number(
    execFileSync(process.execPath, ['--input-type=module', '-e', IMPORT, file], { encoding: 'utf8', env: LAMBDA })
      .trim()
      .split('\n')
      .at(-1),
  );
/** In turns, so that whatever else the machine does hits all alike. */
const importTimes = (files: Readonly<Record<string, string>>, runs: number): Record<string, number> => {
  const times = Object.fromEntries(Object.keys(files).map((name) => [name, [] as number[]]));
  for (let n = 0; n < runs; n++) for (const [name, file] of Object.entries(files)) times[name]?.push(importOnce(file));
  return Object.fromEntries(Object.entries(times).map(([name, list]) => [name, round(median(list))]));
};

/** The packaged heal, unpacked, as Lambda has it. */
const healOf = (folder: string): string => {
  const handler = join(folder, 'heal/functions/heal/index.mjs');
  if (existsSync(handler)) return handler;
  execFileSync(
    process.execPath,
    [join(PROJECT, 'node_modules/serverless/bin/serverless.js'), 'package', '--stage', 'bench', '--package', folder],
    {
      cwd: PROJECT,
      stdio: 'pipe',
      env: { PATH: LAMBDA.PATH, HOME: process.env['HOME'] ?? '' },
    },
  );
  execFileSync('python3', ['-m', 'zipfile', '-e', join(folder, 'heal.zip'), join(folder, 'heal')]);
  return handler;
};

const startup = async (folder: string): Promise<Record<string, number>> => {
  const handler = dirname(healOf(folder));
  const bundle = readdirSync(handler).reduce((sum, f) => sum + statSync(join(handler, f)).size, 0);
  writeFileSync(join(folder, 'empty.mjs'), 'export const handler = async () => {};\n');
  // The rival: the same function as one CommonJS file, everything in it loaded at once, as bundlers do by default.
  const policy =
    /JSON\.parse\(('|"|`)(\{.*?\})\1\)/s.exec(readFileSync(join(handler, 'index.mjs'), 'utf8'))?.[2] ?? '{}';
  await build({
    entryPoints: [join(PROJECT, 'functions/heal/index.ts')],
    outfile: join(folder, 'one.cjs'),
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'cjs',
    define: { STEWARD_POLICY: JSON.stringify(policy) },
  });
  const times = importTimes(
    { heal: join(handler, 'index.mjs'), empty: join(folder, 'empty.mjs'), one: join(folder, 'one.cjs') },
    21,
  );
  return {
    'heal.importMs': times['heal'] ?? Number.NaN,
    'heal.emptyImportMs': times['empty'] ?? Number.NaN,
    'heal.importOneCommonJsMs': times['one'] ?? Number.NaN,
    'heal.bundleKB': round(bundle / 1024, 0),
    'heal.zipKB': round(statSync(join(folder, 'heal.zip')).size / 1024, 0),
  };
};

type Tables = (name: string) => Promise<Table>;
/** Something that needs a DynamoDB, with one that ends after it. */
const withTables = async (
  part: (table: Tables) => Promise<Record<string, number>>,
): Promise<Record<string, number>> => {
  const emulator = await startEmulator('ministack');
  if ('missing' in emulator) throw new Error(`the bench needs a DynamoDB: ${emulator.missing}`);
  try {
    const client = new DynamoDBClient({ endpoint: emulator.url, region: REGION, credentials });
    return await part(async (name) => {
      const definition = tableOf(name);
      await client.send(new CreateTableCommand(definition));
      const indexes: readonly Index[] = (definition.GlobalSecondaryIndexes ?? []).map((i) => ({
        name: i.IndexName ?? '',
        keys: (i.KeySchema ?? []).map((k) => k.AttributeName ?? ''),
        projected: i.Projection?.NonKeyAttributes,
      }));
      return { endpoint: emulator.url, name, indexes };
    });
  } finally {
    await emulator.stop();
  }
};

const passes = async (table: Tables): Promise<Record<string, number>> => {
  const cost = await incidentCost(await table('bench-incident'));
  const times = await passTimes(await table('bench-pass'), 200);
  return {
    'heal.warmPassMs': round(median(times.map((t) => t.own)), 2),
    'heal.warmPassWithSdkMs': round(median(times.map((t) => t.withSdk)), 2),
    'incident.writeUnits': cost.writeUnits,
    'incident.readUnits': cost.readUnits,
    'incident.awsCalls': cost.awsCalls,
    'incident.passes': cost.passes,
    'incident.healedMs': cost.healedMs,
  };
};

const demo = async (): Promise<Record<string, number>> => {
  const child = spawn(process.execPath, ['sandbox/demo.ts'], { cwd: PROJECT, stdio: 'ignore' });
  const began = performance.now();
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error('npm run demo fails: run it to see why');
  const { eventToActMs } = JSON.parse(readFileSync(join(PROJECT, '.steward/demo.json'), 'utf8')) as {
    eventToActMs: number;
  };
  return { 'demo.eventToActMs': eventToActMs, 'demo.wholeMs': Math.round(performance.now() - began) };
};

/** The latest run of `npm run simulate -- --mutants`. */
const simulation = (): Record<string, number> => {
  const file = join(RESULTS, 'simulation.json');
  if (!existsSync(file)) throw new Error(`${file} is not there: npm run simulate -- --seeds 10000 --mutants`);
  const { engine, fleet, mutants, mutantsKilled } = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly engine: { readonly seeds: number; readonly violations: number };
    readonly fleet: { readonly seeds: number; readonly violations: number };
    readonly mutants: number;
    readonly mutantsKilled: number;
  };
  return {
    'simulation.engineSeeds': engine.seeds,
    'simulation.fleetSeeds': fleet.seeds,
    'simulation.violations': engine.violations + fleet.violations,
    'simulation.mutants': mutants,
    'simulation.mutantsKilled': mutantsKilled,
  };
};

/** What a figure is held against. */
const LIMITS: Readonly<Record<string, string>> = {
  'heal.importMs': '≤ 100 beyond the empty handler',
  'heal.emptyImportMs': 'the limit’s base',
  'heal.importOneCommonJsMs': 'rival: one CommonJS file, all clients at once',
  'heal.warmPassMs': '≤ 3, beside calls to AWS',
  'heal.warmPassWithSdkMs': 'with the AWS SDK’s own work',
  'incident.writeUnits': '≤ 20',
  'idle.convergenceMinutes': '≤ 70: ten of them until a new instance is looked over',
  'idle.convergenceThrottled': '0 or a few: the pace is AWS’s',
  'idle.told': '0',
  'idle.callsPer1000InstancesPerDay': '≤ 20,000: one in four seconds, once all have their alarms',
  'trailStopped.coldMs': 'beside c7n.trailStoppedColdMs, in turns',
  'trailStopped.warmMs': 'with its record written before and after; c7n keeps none',
  'c7n.trailStoppedColdMs': 'rival: Cloud Custodian, as its own packager ships it',
  'c7n.securityGroupColdMs': 'the rival’s own example',
  'sandbox.eventToActMsP50': 'from the queue to StartLogging, the emulator’s time in it',
  'sandbox.coldEventToActMsP50': 'the same after a deploy: a new process',
  'trailStopped.healedS': 'the world’s time, of which the event takes 3',
  'backtest.unread': 'mails, findings and templates: kept, with the reason',
  'activity.writeUnitsPer1000': '≤ 150',
  'activity.writeUnitsPer1000ByEmulator': 'the same, by its ConsumedCapacity',
  'activity.shuffledWriteUnitsPer1000': '≤ 210',
  'activity.hostWriteUnitsPer1000': '≤ 250, of lines that hosts ship',
  'activity.hostAloneWriteUnitsPer1000': 'without the queue that gathers them',
  'activity.rawWriteUnitsPer1000': 'rival: an item per event',
  'activity.indexedWriteUnitsPer1000': 'rival: an item per event, one index',
  'activity.compressedItemWriteUnitsPer1000': 'rival: a compressed item per event',
  'activity.ingestPerSecond': '≥ 20,000 a core',
  'activity.shareOfBare': '≥ 0.5 of parse, hash and compress alone',
  'activity.fileMemoryMB': 'a million records, streamed',
  'activity.searchReadShare': '≤ 0.01 of the log',
  'activity.searchFirstPageMs': '≤ 1,000, of a million events, on dynalite',
  'activity.searchFirstPageModelMs': 'on DynamoDB as modelled: 10 ms a call, 50 MB a second',
  'activity.verifyPerSecond': '≥ 100,000 a core',
  'activity.archiveBytesPerEvent': '≤ 150, files and index',
  'activity.archivePerSecond': 'a core: archived and read back',
  'activity.endWriteUnitsPer1000': 'to give archived bodies their end',
  'activity.archiveDollarsPerMillion': 'events, for seven years',
  'activity.endDollarsPerMillion': 'events',
  'activity.tampersFound': 'all',
  'activity.limitAudit': 'events a second: the trail’s one reader, at 512 MB. 10G a month are 3,858',
  'activity.limitShard': 'one writer at a time, 10 ms a call',
  'activity.limitCheckpoint': '4,096 links a minute',
  'activity.limitRecord': 'two at once, changes only',
  'activity.limitPartition': '1,000 links a second',
  'activity.usd1M': 'all of it, a month',
  'storm.violations': '0: no guard broken, every incident over or a person told, no signal lost',
  'storm.told': '1: one cause, one person',
  'storm.acted': '0 while it lasts',
  'storm.writeUnits': '≤ 10 an alarm: its first hour, its end and two hours after',
  'storm.oldestSignalS': '≤ 600: no alarm on Steward itself',
  'storm.usd': '≤ 1',
  'zones.planMs10k': '< 10; 1 × 10,000, 100 × 100 or 500 × 20 replicas, the slowest',
  'zones.mismatches': '0',
  'zones.belowDesired': '0',
  'zones.movesVsLowerBound': '1: the least that brute force finds',
  'zones.deschedulerExtraMoves': 'rival: moves more than are needed, where it ends even',
  'zones.deschedulerUneven': 'rival: ends with a skew over one',
  'zones.ecsLessEven': 'rival: full zones and protected tasks stop it',
  'zones.worseThanRivals': '0',
  'services.serviceReads': '≤ 100 in one survey: 500 services of one cluster; what ECS grants at once',
  'services.taskReads': '≤ 100 in one survey: their 1,000 tasks, and the hosts',
  'services.overdrawn': '0: calls beyond what ECS grants, while all 500 are proven',
  'services.unproven': '0',
  'services.rebuiltMin': '500 deleted at once; ECS registers one definition a second: 8 at least',
  'services.notRebuilt': '0',
  'even.nativeMin': '12 tasks of one zone over three, from the first step: by ECS itself',
  'even.wavesMin': 'packed ones, moved by Steward',
  'even.hostsMin': 'packed ones, and hosts launched first',
  'even.groupMin': '12 instances of a group, launched and retired',
  'even.belowDesired': '0',
  'simulation.violations': '0',
  'simulation.mutantsKilled': 'all',
};

type Part = (folder: string) => Promise<Record<string, number>> | Record<string, number>;
/** In the order of the table. `npm run bench -- rival` runs that part alone and leaves the other figures as they are. */
const PARTS: Readonly<Record<string, Part>> = {
  startup,
  rival: (folder) => rival(healOf(folder)),
  passes: () => withTables(passes),
  troubles: () => withTables(troubles),
  idle,
  past,
  storm,
  sandbox: eventToAct,
  activity,
  'activity-cost': activityCost,
  demo,
  zones: zonePlans,
  even: evenFigures,
  services: serviceFigures,
  simulation,
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in PARTS));
if (unknown.length > 0)
  throw new Error(`there is no part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);

const LATEST = join(RESULTS, 'latest.json');
const before: Record<string, number> =
  wanted.length > 0 && existsSync(LATEST) ? JSON.parse(readFileSync(LATEST, 'utf8')) : {};
const folder = mkdtempSync(join(tmpdir(), 'steward-bench-'));
try {
  const measured: Record<string, number> = {};
  for (const [name, part] of Object.entries(PARTS))
    if (wanted.length === 0 || wanted.includes(name)) Object.assign(measured, await part(folder));
  const wide = Math.max(...Object.keys(measured).map((k) => k.length));
  console.log(`${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}\n`);
  for (const [name, value] of Object.entries(measured))
    console.log(`${name.padEnd(wide)}  ${String(value).padStart(8)}  ${LIMITS[name] ?? ''}`);
  writeFileSync(LATEST, `${JSON.stringify({ ...before, ...measured }, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
