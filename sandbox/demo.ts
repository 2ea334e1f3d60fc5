/**
 * `npm run demo`: a disk fills, Steward repairs it, and refuses a second time; then the log of who did what, and somebody who alters it;
 * last a zone that goes and comes back, and a release that is left (alone: `npm run demo -- --zones`, `-- --release`). What is printed is read from the
 * deployed stack's own tables as it happens, and said by the `steward` command; nothing here decides or knows what comes.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import color from 'picocolors';
import type { Audit } from '../functions/audit/handler.ts';
import type { Incident, Line } from '../shared/core/incident.ts';
import { minutes, seconds } from '../shared/core/time.ts';
import type { ActivityPage, ActivityRow } from '../shared/runtime/activityQuestions.ts';
import { breakDisk, fileSystemOf } from '../world/fleet.ts';
import { alterBody } from './intruder.ts';
import { type RealHost, realHost } from './realHost.ts';
import { releaseAct } from './releaseAct.ts';
import { type Sandbox, startSandbox, WORK } from './start.ts';
import { invoke, steward } from './steward.ts';
import { zoneAct } from './zoneAct.ts';

const say = (text = ''): void => console.log(text);
const took = (ms: number): string => color.dim(`${(ms / 1000).toFixed(1)} s`);
const ready = (what: string, ms: number): void => say(`  ${color.green('✓')} ${what}  ${took(ms)}`);

const MARKS: Readonly<Record<string, readonly [string, (text: string) => string]>> = {
  signal: ['alarm', color.yellow],
  seen: ['seen', color.cyan],
  reserved: ['step', color.magenta],
  guards: ['guards', color.green],
  outcome: ['settled', color.magenta],
  effect: ['effect', color.blue],
  refused: ['refused', color.red],
  escalated: ['person', color.red],
  waiting: ['waits', color.dim],
  closed: ['ended', color.green],
};

/** Each guard with what it went by; a step that finishes one before it is let through by the same. */
const printGuards = (text: string): void => {
  if (text.includes('it finishes')) return;
  text.split(' · ').forEach((guard, n) => {
    const [name = '', ...reason] = guard.split(': ');
    say(
      `          ${color.green((n === 0 ? 'guards' : '').padEnd(8))} ${color.green('✓')} ${name.padEnd(9)} ${color.dim(reason.join(': '))}`,
    );
  });
};

/** `  4.2 s  step     grow vol-… ` */
const print = (since: number, { at, what, say: text }: Line): void => {
  if (what === 'guards') {
    printGuards(text);
    return;
  }
  const [word, paint] = MARKS[what] ?? [what, color.dim];
  const offset = `${((at - since) / 1000).toFixed(1)} s`.padStart(8);
  say(`${color.dim(offset)}  ${paint(word.padEnd(8))} ${text.length > 210 ? `${text.slice(0, 207)}…` : text}`);
};

const arnOf = (sandbox: Sandbox, id: string): string =>
  `arn:aws:ec2:${sandbox.world.region}:${sandbox.world.account}:instance/${id}`;

/** Prints an incident's lines as the table gets them, until it is over or `limit` has passed. */
const follow = async (sandbox: Sandbox, id: string, since: number, limit: number): Promise<Incident | undefined> => {
  const began = Date.now();
  let shown = 0;
  for (;;) {
    const ofInstance = await sandbox.store.ofTarget(arnOf(sandbox, id), 5);
    const incident = ofInstance.find((i) => i.remediation === 'full-disk');
    for (const line of incident?.log.slice(shown) ?? []) print(since, line);
    shown = incident?.log.length ?? 0;
    if (incident?.state === 'closed' || Date.now() - began > limit) return incident;
    await sleep(200);
  }
};

/** By the machine's clock: when the alarm's event was sent, and when a call changed something. */
const stopwatch = ({ world }: Sandbox): (() => number | undefined) => {
  let alarmed: number | undefined;
  let acted: number | undefined;
  world.onEvent((e) => {
    if (e.source === 'aws.cloudwatch') alarmed ??= performance.now();
  });
  const timer = setInterval(() => {
    if (world.calls.some((c) => c.operation === 'ModifyVolume')) acted ??= performance.now();
  }, 5).unref();
  return () => {
    clearInterval(timer);
    return alarmed === undefined || acted === undefined ? undefined : Math.round(acted - alarmed);
  };
};

/** With --real-hosts: a real kernel behind the first web server, where User Mode Linux can be had. */
const maybeReal = async (sandbox: Sandbox): Promise<RealHost | undefined> => {
  const [web] = sandbox.fleet.web;
  if (!web || !process.argv.includes('--real-hosts')) return undefined;
  const began = performance.now();
  const host = await realHost(sandbox, web.id, '/srv', 93);
  if (typeof host !== 'string') {
    ready(
      `a real Linux kernel answers for ${web.tags['Name']}, its /srv on a real XFS; the other hosts are simulated`,
      performance.now() - began,
    );
    return host;
  }
  say(`  ${color.yellow('·')} ${host}: simulated hosts answer`);
  return undefined;
};

const firstAct = async (sandbox: Sandbox, real: RealHost | undefined): Promise<Incident> => {
  const [web] = sandbox.fleet.web;
  if (!web) throw new Error('the fleet has no web server');
  say();
  say(color.bold(`1. The disk of ${web.tags['Name']} (${web.id}) fills`));
  say(
    color.dim(
      '   /srv goes from 40 % to 93 % used, and there is nothing to clean. Three minutes of metrics pass in a moment.',
    ),
  );
  breakDisk(sandbox.world, web.id, { path: '/srv', usedPercent: 93 });
  sandbox.world.calls.length = 0;
  sandbox.skip(minutes(3) + seconds(5));
  const since = Date.now();
  say();
  const incident = await follow(sandbox, web.id, since, seconds(150));
  if (incident?.end !== 'healthy')
    throw new Error(`the incident did not end healthy: ${incident?.because ?? 'there is none'}`);
  const df = real ? await real.df() : undefined;
  await real?.stop();
  const { sizeBytes } = fileSystemOf(sandbox.world, web.id, '/srv');
  const calls = sandbox.world.calls.filter((c) => c.principal.includes('remedy-full-disk/')).length;
  say();
  if (df) say(`   df on the real host: ${df}`);
  const size = df ? '' : `: /srv has ${(sizeBytes / 2 ** 30).toFixed(1)} GiB`;
  say(`   ${color.green('Healthy again')}${size}. ${calls} calls to AWS for it, each under a role`);
  say(`   that is narrowed to this instance and its volume.`);
  return incident;
};

const secondAct = async (sandbox: Sandbox): Promise<void> => {
  const { legacy } = sandbox.fleet;
  say();
  say(
    color.bold(
      `2. The disk of ${legacy.tags['Name']} (${legacy.id}) fills, too; somebody has tagged it steward:ignore`,
    ),
  );
  breakDisk(sandbox.world, legacy.id, { path: '/data', usedPercent: 95 });
  sandbox.skip(minutes(3) + seconds(5));
  const since = Date.now();
  say();
  const incident = await follow(sandbox, legacy.id, since, seconds(60));
  if (incident?.end !== 'not-ours' || incident.attempts.length > 0)
    throw new Error(`the excluded instance was not left alone: ${incident?.because ?? 'there is no incident'}`);
  say();
  say(
    `   ${color.red('Refused')}: nothing was done, its host was not even asked. The lines above say what it would take.`,
  );
};

/** A command, and what it said. */
const show = async (sandbox: Sandbox, ...words: readonly string[]): Promise<Awaited<ReturnType<typeof steward>>> => {
  say(`   ${color.cyan(`$ steward ${words.join(' ')}`)}`);
  const said = await steward(sandbox, ...words);
  for (const line of said.out.trimEnd().split('\n')) say(`   ${line}`);
  return said;
};

/** The call that changed the volume, once it is in the log: CloudTrail tells of it some seconds after, and the log's queue waits for more. */
const recorded = async (sandbox: Sandbox, around: string): Promise<ActivityRow> => {
  const words = ['activity', 'search', '--around', around, '--action', 'ec2:ModifyVolume', '--json'];
  for (let tries = 0; tries < 20; tries++) {
    const { code, out } = await steward(sandbox, ...words);
    if (code !== 0) throw new Error(`steward ${words.join(' ')}: ${out.trim()}`);
    const [row] = (JSON.parse(out) as ActivityPage).rows;
    if (row) return row;
    sandbox.skip(seconds(15));
    await sleep(500);
  }
  throw new Error('ModifyVolume of the first act did not come into the activity log');
};

/** At once what it does each minute. */
const audit = async (sandbox: Sandbox): Promise<string> => {
  const answer = await invoke<Audit>(sandbox, 'audit', {});
  const { checkpoint } = answer;
  if (!checkpoint) throw new Error(`audit has signed nothing: ${JSON.stringify(answer)}`);
  return `checkpoint ${checkpoint.number} over ${checkpoint.links} segments`;
};

const thirdAct = async (sandbox: Sandbox, incident: Incident): Promise<ActivityRow> => {
  say();
  say(color.bold(`3. Who did what? The activity log has it: CloudTrail's calls, and Steward's own steps`));
  say();
  const row = await recorded(sandbox, incident.id);
  await show(sandbox, 'activity', 'search', '--action', 'ec2:ModifyVolume');
  say();
  await show(sandbox, 'activity', 'search', '--around', incident.id, '--summary');
  say();
  say(
    color.dim(
      `   The simulated account's clock was minutes behind this machine's: its calls bear earlier times than Steward's steps.`,
    ),
  );
  say(
    color.dim(
      `   What EventBridge brings comes first; the trail's files follow after some minutes, its digests after an hour: only then is it known to be all.`,
    ),
  );
  return row;
};

/** @returns the file of the checkpoint */
const fourthAct = async (sandbox: Sandbox): Promise<string> => {
  say();
  say(color.bold('4. Is that log whole? It is signed each minute; what was signed is kept elsewhere'));
  say();
  say(`   The function audit has signed ${await audit(sandbox)}.`);
  const kept = relative(process.cwd(), `${WORK}kept.json`);
  await show(sandbox, 'activity', 'checkpoint', '--out', kept);
  say();
  const { code } = await show(sandbox, 'activity', 'verify', '--checkpoint', kept);
  if (code !== 0) throw new Error('the activity log is not whole, and nobody has altered it');
  return kept;
};

const fifthAct = async (sandbox: Sandbox, { place }: ActivityRow, kept: string): Promise<void> => {
  say();
  say(color.bold('5. Somebody with every right to the table alters it'));
  say();
  const { table, partition, byte, of, was, is } = await alterBody(sandbox, place);
  const segment = place.slice(0, place.lastIndexOf('/'));
  const hex = (n: number): string => `0x${n.toString(16).padStart(2, '0')}`;
  say(`   One byte of ${table} is another now: byte ${byte} of ${of} of the item`);
  say(`   ${partition}, from ${hex(was)} to ${hex(is)}. ModifyVolume is in there, in segment ${segment}.`);
  say();
  const { code, out } = await show(sandbox, 'activity', 'verify', '--checkpoint', kept);
  if (code !== 1 || !out.includes(`body of ${segment}`))
    throw new Error(`verify did not name the body of ${segment}; its exit code was ${code}`);
  say();
  say(`   ${color.red('Noticed')}, and where: exit code ${code}. Nothing was put back, the sandbox ends here.`);
};

const sixthAct = async (): Promise<void> => {
  say();
  say(color.bold('6. A zone goes, and comes back'));
  say(color.dim('   In a simulated account of its own, on its own clock: hours pass in a second.'));
  say();
  await zoneAct(say);
};

const seventhAct = async (): Promise<void> => {
  say();
  say(color.bold('7. A release answers its health checks, and fails requests'));
  say(
    color.dim(
      '   In a simulated account, too. To ECS it is well: it would shift all traffic to it, and end the old one.',
    ),
  );
  say();
  await releaseAct(say);
};

const main = async (): Promise<void> => {
  if (process.argv.includes('--zones')) return sixthAct();
  if (process.argv.includes('--release')) return seventhAct();
  say(color.bold('Steward, on a local AWS. Nothing leaves this machine.'));
  say();
  const began = Date.now();
  const sandbox = await startSandbox({ ready, recorded: true });
  const end = async (): Promise<never> => {
    await sandbox.stop();
    process.exit(130);
  };
  process.once('SIGINT', () => void end());
  process.once('SIGTERM', () => void end());
  try {
    const { all } = sandbox.fleet;
    const zones = new Set(all.map((i) => i.zone)).size;
    say(
      `  ${color.green('✓')} a fleet: ${all.length} instances in ${zones} zones${process.argv.includes('--real-hosts') ? '' : '; their hosts are simulated'}`,
    );
    // The hosts have been well for some minutes.
    sandbox.skip(minutes(5));
    await sleep(500);
    const eventToAct = stopwatch(sandbox);
    const real = await maybeReal(sandbox);
    let repaired: Incident;
    try {
      repaired = await firstAct(sandbox, real);
    } finally {
      await real?.stop();
    }
    const ms = eventToAct();
    if (ms !== undefined) writeFileSync(`${WORK}demo.json`, `${JSON.stringify({ eventToActMs: ms })}\n`);
    await secondAct(sandbox);
    const modified = await thirdAct(sandbox, repaired);
    const kept = await fourthAct(sandbox);
    await fifthAct(sandbox, modified, kept);
  } finally {
    await sandbox.stop();
  }
  await sixthAct();
  await seventhAct();
  say();
  say(`Done in ${took(Date.now() - began)}; everything that was started has ended. Where to look next:`);
  say(`  ${color.cyan('npm run sandbox')}          the same, to play with: break disks, send events, ask steward why`);
  say(`  ${color.cyan('README.md')}                deploy it for real, hook an alarm, write your policy`);
  say(`  ${color.cyan('docs/remediations.md')}     what it does about which trouble, and with which permissions`);
};

try {
  await main();
} catch (e) {
  console.error(color.red(`The demo failed: ${e instanceof Error ? e.message : String(e)}`));
  process.exitCode = 1;
}
