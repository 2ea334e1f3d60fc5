/** `npm run sandbox`: the local AWS, kept up to play with. Reads commands from the terminal or a pipe. */
import { once } from 'node:events';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { CloudTrailClient, StopLoggingCommand } from '@aws-sdk/client-cloudtrail';
import color from 'picocolors';
import { minutes, seconds, span } from '../shared/core/time.ts';
import type { Instance } from '../world/ec2.ts';
import { breakDisk, fileSystemOf, hostOf, stopGrowing } from '../world/fleet.ts';
import { available } from '../world/hosts.ts';
import { PROJECT } from './deploy.ts';
import { type Sandbox, startSandbox } from './start.ts';
import { invoke, spawnSteward } from './steward.ts';
import { breakRelease, troubles } from './troubles.ts';

const say = (text = ''): void => console.log(text);

/** Commands of `steward`, passed on to it. */
const STEWARD = [
  'status',
  'incidents',
  'why',
  'plan',
  'approve',
  'deny',
  'snooze',
  'link',
  'pause',
  'resume',
  'undo',
  'release',
  'channels',
  'activity',
  'parked',
  'doctor',
];

const HELP = `
  fleet                              instances by zone, their disks and alarms
  break disk <instance> [path] [%]   fills a file system (default: its data disk, 93 %), and skips the minutes until the alarm
${Object.entries(troubles)
  .map(([name, { what }]) => `  ${`break ${name} <instance>`.padEnd(34)} ${what}`)
  .join('\n')}
  break release                      a revision of shop/web is deployed whose tasks end after 40 s
  break trail                        somebody stops the CloudTrail trail
  grow file <instance> [path]        a file begins to grow by 1 MiB a second; stop file <instance> [path] ends that
  events list                        the sample events
  events send <sample>               gives one to heal, as serverless invoke does, and prints the answer
  calls [n]                          the latest calls to AWS: whose, and whether IAM let them
  env                                what another terminal needs for npx steward, npx serverless invoke and the AWS CLI
  ${STEWARD.join(' | ')}
                                     as npx steward: try status, incidents, why web-1, plan web-2, doctor
  reset                              begins anew, with a fleet that is well
  quit
`;

/** By name or id; a word for `steward` may name an instance as well. */
const instanceOf = (sandbox: Sandbox, word = ''): Instance | undefined =>
  sandbox.fleet.all.find((i) => i.id === word || i.tags['Name'] === word);
const named = (sandbox: Sandbox, word: string | undefined): Instance => {
  const found = instanceOf(sandbox, word);
  if (!found)
    throw new Error(`there is no instance ${word ?? ''}: ${sandbox.fleet.all.map((i) => i.tags['Name']).join(', ')}`);
  return found;
};
const dataPath = ({ world }: Sandbox, { id }: Instance): string =>
  hostOf(world, id).fileSystems.find((f) => f.path !== '/')?.path ?? '/';

const fleet = (sandbox: Sandbox): void => {
  const alarms = [...sandbox.world.cloudwatch.alarms.values()];
  for (const i of [...sandbox.fleet.all].sort((a, b) => a.zone.localeCompare(b.zone))) {
    const disks = hostOf(sandbox.world, i.id).fileSystems.map(({ path }) => {
      const fs = fileSystemOf(sandbox.world, i.id, path);
      const percent = Math.floor((100 * fs.usedBytes) / (fs.usedBytes + available(fs)));
      const text = `${path} ${percent} % of ${(fs.sizeBytes / 2 ** 30).toFixed(0)} GiB`;
      return percent >= 80 ? color.red(text) : text;
    });
    const firing = alarms.filter((a) => a.dimensions['InstanceId'] === i.id && a.state.value === 'ALARM').length;
    const marks = [
      firing > 0 ? color.red(`${firing} in ALARM`) : '',
      i.tags['steward:ignore'] ? color.dim('steward:ignore') : '',
    ];
    say(
      `  ${i.zone}  ${(i.tags['Name'] ?? '').padEnd(10)} ${i.id}  ${disks.join(' · ')}  ${marks.filter(Boolean).join(' ')}`,
    );
  }
};

const fill = (sandbox: Sandbox, [name, path, percent = '93']: readonly string[]): void => {
  const instance = named(sandbox, name);
  const where = path ?? dataPath(sandbox, instance);
  const usedPercent = Number(percent);
  if (!(usedPercent >= 0 && usedPercent <= 100)) throw new Error(`${percent} is no percentage`);
  breakDisk(sandbox.world, instance.id, { path: where, usedPercent });
  const wanted = minutes(3) + seconds(5);
  const skipped = sandbox.skip(wanted);
  say(`  ${where} of ${instance.tags['Name']} is ${usedPercent} % full.`);
  say(
    skipped >= wanted
      ? `  Three minutes of metrics were skipped: its alarm goes off now. Watch it: why ${instance.tags['Name']}`
      : `  Only ${span(skipped)} could be skipped (its clock is the machine's by now): the alarm goes off in two or three minutes.`,
  );
};

/** `break trail`, `break memory web-1`, `break disk web-1 /srv 93` */
const breakIt = async (sandbox: Sandbox, [what = '', ...rest]: readonly string[]): Promise<void> => {
  if (what === 'disk') return fill(sandbox, rest);
  if (what === 'trail') {
    await new CloudTrailClient(sandbox.worldReach).send(new StopLoggingCommand({ Name: 'audit' }));
    return void say(
      '  The trail audit was stopped, by root. Watch it: incidents --recent, activity search --action StopLogging',
    );
  }
  if (what === 'release')
    return void say(`  ${breakRelease(sandbox.world)} Watch it: release list shop/web, incidents`);
  const trouble = troubles[what];
  if (!trouble)
    throw new Error(`nothing is broken by break ${what}: disk, ${Object.keys(troubles).join(', ')}, release, trail`);
  const instance = named(sandbox, rest[0]);
  say(`  ${trouble.begin(sandbox.world, instance)} Watch it: why ${instance.tags['Name']}`);
};

const events = async (sandbox: Sandbox, [what, file]: readonly string[]): Promise<void> => {
  const samples = globSync('events/*/samples/*.json', { cwd: PROJECT }).sort();
  if (what === 'list' || !file) {
    for (const s of samples) say(`  ${s}`);
    return;
  }
  const path = samples.find((s) => s === file || s.includes(file)) ?? file;
  if (!existsSync(`${PROJECT}${path}`)) throw new Error(`there is no sample ${file}: events list`);
  const sample = JSON.parse(readFileSync(`${PROJECT}${path}`, 'utf8')) as unknown;
  say(JSON.stringify(await invoke(sandbox, 'heal', sample), null, 2));
};

const calls = ({ world }: Sandbox, [count = '20']: readonly string[]): void => {
  for (const c of world.calls.slice(-Number(count)))
    say(
      `  ${new Date(c.at).toISOString().slice(11, 19)}  ${c.allowed ? color.green('let') : color.red('denied')}  ${c.action.padEnd(36)} ${color.dim(c.principal.split(':').at(-1) ?? '')}`,
    );
};

const steward = async (sandbox: Sandbox, words: readonly string[]): Promise<void> => {
  const child = spawnSteward(
    sandbox,
    words.map((w) => instanceOf(sandbox, w)?.id ?? w),
  );
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => process.stdout.write(chunk));
  await once(child, 'close');
};

const COMMANDS: Readonly<Record<string, (sandbox: Sandbox, words: readonly string[]) => unknown>> = {
  help: () => say(HELP),
  fleet,
  break: breakIt,
  grow: (sandbox, [, name, path]) => {
    const instance = named(sandbox, name);
    breakDisk(sandbox.world, instance.id, {
      path: path ?? dataPath(sandbox, instance),
      growing: { bytes: 0, bytesPerSecond: 2 ** 20 },
    });
  },
  stop: (sandbox, [, name, path]) => {
    const instance = named(sandbox, name);
    stopGrowing(sandbox.world, instance.id, path ?? dataPath(sandbox, instance));
  },
  events,
  calls,
  env: (sandbox) => {
    for (const [name, value] of Object.entries(sandbox.environment)) say(`export ${name}=${value}`);
  },
  ...Object.fromEntries(
    STEWARD.map((name) => [name, (s: Sandbox, words: readonly string[]) => steward(s, [name, ...words])]),
  ),
};

const start = (): Promise<Sandbox> =>
  startSandbox({
    cluster: true,
    recorded: true,
    ready: (what, ms) => say(`  ${color.green('✓')} ${what}  ${color.dim(`${(ms / 1000).toFixed(1)} s`)}`),
    onFailure: (e) =>
      say(color.red(`  an event could not be delivered: ${e instanceof Error ? e.message : String(e)}`)),
  });

/** One line; false ends it all. */
const obey = async (hold: { sandbox: Sandbox }, line: string): Promise<boolean> => {
  const [name = '', ...words] = line.trim().split(/\s+/);
  if (name === 'quit' || name === 'exit') return false;
  if (name === '') return true;
  try {
    if (name === 'reset') {
      await hold.sandbox.stop();
      hold.sandbox = await start();
      return true;
    }
    const command = COMMANDS[name];
    if (!command) throw new Error(`there is no command ${name}: help`);
    await command(hold.sandbox, words);
  } catch (e) {
    say(color.red(`  ${e instanceof Error ? e.message : String(e)}`));
  }
  return true;
};

const main = async (): Promise<void> => {
  say(color.bold('Steward, on a local AWS. Nothing leaves this machine.'));
  const hold = { sandbox: await start() };
  const end = async (): Promise<never> => {
    await hold.sandbox.stop();
    process.exit(130);
  };
  process.on('SIGINT', () => void end());
  process.on('SIGTERM', () => void end());
  say(
    `  help says what there is. Begin with: ${color.cyan('fleet')}, ${color.cyan('break disk web-1')}, ${color.cyan('why web-1')}\n`,
  );
  const lines = createInterface({
    input: process.stdin,
    ...(process.stdin.isTTY ? { output: process.stdout, terminal: true } : {}),
  });
  if (process.stdin.isTTY) lines.on('SIGINT', () => void end());
  const prompt = (): boolean => process.stdout.write('sandbox> ');
  try {
    prompt();
    for await (const line of lines) {
      if (!(await obey(hold, line))) break;
      prompt();
    }
  } finally {
    await hold.sandbox.stop();
  }
  say('\n  everything that was started has ended');
  // A terminal's input would keep the process.
  process.exit(0);
};

try {
  await main();
} catch (e) {
  console.error(color.red(`The sandbox failed: ${e instanceof Error ? e.message : String(e)}`));
  process.exitCode = 1;
}
