/** The words of `steward`, and what each asks of the function. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { stepText } from '../shared/core/incident.ts';
import { SNOOZE_LIMIT } from '../shared/core/snooze.ts';
import { days, hours, minutes } from '../shared/core/time.ts';
import { SCALE_LIMIT } from '../shared/core/wish.ts';
import type { Question, Command as Wish } from '../shared/runtime/answer.ts';
import type { Why } from '../shared/runtime/why.ts';
import type { SearchOptions } from './activity.ts';
import type { ExportOptions } from './activityExport.ts';
import { EXIT, Failure } from './failure.ts';
import { type Common, type Run, type Session, session, view } from './session.ts';
import type { SessionsOptions } from './sessions.ts';

const UNITS: Readonly<Record<string, (n: number) => number>> = { m: minutes, h: hours, d: days };

/** '30m', '2h', '3d' → milliseconds. */
const duration = (text: string): number => {
  const [, n, unit = ''] = /^([1-9]\d{0,4})([mhd])$/.exec(text) ?? [];
  const ms = n && UNITS[unit]?.(Number(n));
  if (!ms || ms > days(366)) throw new InvalidArgumentError('Give 30m, 2h or 3d; at most 366d.');
  return ms;
};
const snoozeTime = (text: string): number => {
  const ms = duration(text);
  if (ms > SNOOZE_LIMIT) throw new InvalidArgumentError('Give 30m, 2h or 3d; at most 7d. For longer: steward pause.');
  return ms;
};
const count = (text: string): number => {
  if (!/^[1-9]\d{0,2}$/.test(text) || Number(text) > 500)
    throw new InvalidArgumentError('Give a number from 1 to 500.');
  return Number(text);
};
const number = (text: string): number => {
  if (!/^[1-9]\d{0,3}$|^10000$/.test(text)) throw new InvalidArgumentError('Give a number from 1 to 10000.');
  return Number(text);
};
const surgeTime = (text: string): number => {
  const ms = duration(text);
  if (ms > SCALE_LIMIT) throw new InvalidArgumentError('Give 30m, 2h or 3d; at most 31d. Without it, it is for good.');
  return ms;
};
const reason = (text: string): string => {
  if (!/\S/.test(text) || text.length > 300) throw new InvalidArgumentError('Give 1 to 300 characters.');
  return text;
};

const EXITS = `
Exit codes:
  0  done, or all is well
  1  it failed, or doctor found something wrong
  2  the words cannot be read
  3  refused: a guard or a rule says no
  4  not found, or Steward is not deployed there

Examples:
  $ steward status
  $ steward why i-0abc1234def567890
  $ steward approve 01KAQX4T2D6N8J0V5R3F7G9H1K
  $ steward snooze 01KAQX4T2D6N8J0V5R3F7G9H1K --for 2h --reason 'after the release'
  $ steward pause asg/web --for 2h --reason 'load test'
  $ steward scale asg/web --to 8 --for 2h --because 'we are on television'

Credentials and region are found as by any AWS tool. The only permission needed is lambda:InvokeFunction on steward-<stage>-answer.
Times in --json are milliseconds since 1970.`;

type Options = Common & {
  readonly recent?: boolean;
  readonly days?: number;
  readonly target?: string;
  readonly group?: string;
  readonly limit?: number;
  readonly quick?: boolean;
  readonly remediation?: string;
  readonly reason?: string;
  /** Milliseconds; of `link`, a name. */
  readonly for?: number | string;
  readonly yes?: boolean;
  readonly all?: boolean;
  readonly drill?: boolean;
  readonly out?: string;
  readonly account?: string;
};

const incidents = async (s: Session, o: Options): Promise<void> => {
  const back = o.days ?? (o.recent ? 7 : undefined);
  const question: Question = {
    do: 'incidents',
    limit: o.limit ?? 50,
    ...(back === undefined ? {} : { days: back }),
    ...(o.target === undefined ? {} : { target: o.target }),
    ...(o.group === undefined ? {} : { group: o.group }),
  };
  await s.answer(question, (await view()).showIncidents);
};

/** Yes and no are for the step that the person has before him: it is read first, and it is what is signed. */
const reply = async (s: Session, wish: 'approve' | 'deny', id: string, o: Options): Promise<void> => {
  const {
    incidents: [found],
  } = await s.ask<Why>({ do: 'why', about: id, quick: true });
  const ask = found?.incident.ask;
  const step = ask ? stepText(ask.step) : '';
  const question = ask
    ? `${found.incident.remediation} on ${found.incident.target} asks to ${ask.plan}, because ${ask.because}. ${wish === 'approve' ? 'Approve' : 'Deny'}?`
    : '';
  if (ask && !(await s.isMeant(question, o.yes))) throw new Failure('refused', 'nothing was done: you did not say yes');
  const command: Wish =
    wish === 'approve'
      ? { do: 'approve', incident: id, step }
      : { do: 'deny', incident: id, step, ...(o.reason === undefined ? {} : { why: o.reason }) };
  await s.obey(command);
};

interface Because {
  readonly because: string;
}
interface ScaleOptions extends Because {
  readonly to: number;
  /** Milliseconds. */
  readonly for?: number;
}
const scale = (s: Session, o: ScaleOptions, what: string): Promise<void> =>
  s.obey({ do: 'scale', what, to: o.to, why: o.because, ...(o.for === undefined ? {} : { forMs: o.for }) });

interface RollBackOptions extends Because {
  readonly to?: string;
  readonly yes?: boolean;
}
const rollBack = async (s: Session, o: RollBackOptions, serviceName: string): Promise<void> => {
  if (!(await s.isMeant(`Roll ${serviceName} back${o.to ? ` to ${o.to}` : ''}?`, o.yes)))
    throw new Failure('refused', 'nothing was done: you did not say yes');
  await s.obey({ do: 'roll-back', serviceName, why: o.because, ...(o.to ? { to: o.to } : {}) });
};

const undo = async (s: Session, id: string, o: Options): Promise<void> => {
  if (!(await s.isMeant(`Put back what incident ${id} did?`, o.yes)))
    throw new Failure('refused', 'nothing was done: you did not say yes');
  await s.obey({ do: 'undo', incident: id });
};

const unpark = async (s: Session, wish: 'replay' | 'drop', ids: string[], o: Options): Promise<void> => {
  if ((ids.length === 0) === !o.all) throw new Failure('invalid', `say which: steward parked ${wish} <id…>, or --all`);
  if (wish === 'drop' && !(await s.isMeant(`Forget ${o.all ? 'all parked events' : ids.join(', ')}?`, o.yes)))
    throw new Failure('refused', 'nothing was done: you did not say yes');
  await s.obey({ do: wish, ids: o.all ? 'all' : ids });
};

const doctor = async (s: Session, o: Options, run: Run): Promise<void> => {
  const { diagnose, showDiagnosis } = await import('./doctor.ts');
  const result = <T>(ask: 'check' | { why: string } | { drill: true }): Promise<T> => {
    if (ask === 'check') return s.ask<T>({ do: 'check' });
    return 'why' in ask
      ? s.ask<T>({ do: 'why', about: ask.why, quick: true })
      : (s.command({ do: 'drill' }) as Promise<T>);
  };
  const found = await diagnose({ result, sleep: run.io.sleep }, o.drill ?? true);
  if (!found.fine) run.exit = EXIT.failed;
  await s.show(found, showDiagnosis);
};

type Work<O> = (s: Session, o: O, ...words: never[]) => Promise<void>;
/** `O`: what the options give that are added to the command. */
type Add = <O extends object = Options>(on: Command, words: string, about: string, work: Work<O>) => Command;

/** '2026-11-01', '2026-11-01T12:00:00Z', or '30d': so long ago. */
const moment = (text: string): number => {
  const at = /^[1-9]\d*[mhd]$/.test(text) ? Date.now() - duration(text) : Date.parse(text);
  if (Number.isNaN(at)) throw new InvalidArgumentError('Give 2026-11-01, 2026-11-01T12:00:00Z, or 2h, 30d (ago).');
  return at;
};

interface VerifyOptions {
  readonly checkpoint?: string;
  readonly hot?: true;
  readonly trail?: true;
  readonly from?: number;
  readonly to?: number;
}

const addActivity = (root: Command, add: Add, run: Run): void => {
  const activity = root
    .command('activity')
    .description('who did what: AWS calls, in a log that cannot be altered unnoticed');
  add(activity, 'search', 'newest first; all words must fit', async (s, o: SearchOptions) => {
    const { follow, search } = await import('./activity.ts');
    await (o.follow ? follow(s, o, run.io.sleep) : search(s, o));
  })
    .option(
      '--actor <name>',
      'ARN, user, role, session, access key, or the service that called; steward: its own entries',
    )
    .option('--action <name>', 'ec2:RunInstances, RunInstances, or ec2: for all of a service')
    .option('--resource <name>', 'ARN, id or name')
    .option('--host <id>', 'of one host: i-…')
    .option('--session <id>', 'of one session, by the name that steward activity sessions gives')
    .option('--source-ip <address>', 'from where')
    .option('--error [code]', 'what failed, or failed so')
    .option(
      '--around <incident>',
      'what was done about its target, by Steward and anyone else, a little before to a little after',
    )
    .option('--from <time>', 'from then on: 2026-11-01, 2026-11-01T12:00:00Z, or 2h, 30d (ago)', moment)
    .option('--to <time>', 'until then', moment)
    .option('--limit <n>', 'at most so many', count, 50)
    .option('--all', 'all that there are')
    .option('--summary', 'who did what, how often')
    .option('--csv', 'for a spreadsheet')
    .option('--follow', 'and what comes');
  add(
    activity,
    'sessions',
    'who was on which host: by ssh, on a console, by Session Manager; what they ran, and whether it was recorded',
    async (s, o: SessionsOptions) => (await import('./sessions.ts')).listSessions(s, o),
  )
    .option('--host <id>', 'of one host: i-…')
    .option('--session <id>', 'one of them, with all that was run')
    .option('--actor <name>', 'user, ARN, role session, or SHA256:… of a key')
    .option('--from <time>', 'from then on; without it a day', moment)
    .option('--to <time>', 'until then', moment)
    .option('--open', 'only those that are open');
  add(
    activity,
    'verify',
    'reads the whole log with your own credentials and names whatever was changed, deleted, added or cut off',
    async (s, { trail, hot, checkpoint, ...range }: VerifyOptions) => {
      const { verifyLog, verifyTrailFiles } = await import('./activity.ts');
      const isWhole = trail ? await verifyTrailFiles(s, range) : await verifyLog(s, checkpoint, hot);
      if (!isWhole) run.exit = EXIT.failed;
    },
  )
    .option('--checkpoint <file>', 'one that was kept elsewhere: a file, or s3://bucket of a second account')
    .option('--hot', 'the table alone: of the archive its receipts are believed')
    .option(
      '--trail',
      'instead: CloudTrail’s digests, the files that they name, and that each of their events is in the log',
    )
    .option('--from <time>', 'of the trail: from then on; without it a day', moment)
    .option('--to <time>', 'of the trail: until then', moment);
  add(
    activity,
    'export',
    'events as files, in order, each once, from the table and the archive, with what proves that they are in the log',
    async (s, o: ExportOptions) => {
      const { exportActivity } = await import('./activityExport.ts');
      if (!(await exportActivity(s, o))) run.exit = EXIT.failed;
    },
  )
    .option('--from <time>', 'from then on; without it a day', moment)
    .option('--to <time>', 'until then', moment)
    .option('--account <id>', 'of this account only')
    .option('--in-region <name>', 'of this region only')
    .addOption(new Option('--format <name>', 'of the events').choices(['ndjson', 'csv']).default('ndjson'))
    .requiredOption('--out <path>', 'a folder; or a file, .ndjson or .csv, and what belongs to it beside it');
  add(activity, 'checkpoint', 'what the log says of itself now, signed: keep it elsewhere', async (s, o) =>
    (await import('./activity.ts')).saveCheckpoint(s, o.out),
  ).option('--out <file>', 'into a file');
  add(
    activity,
    'prove <event>',
    'writes a proof that an event is in the log, for a stranger',
    async (s, o, id: string) => (await import('./activity.ts')).proveEvent(s, id, o.out, o.account),
  )
    .option('--account <id>', 'of which account, if not of this')
    .option('--out <file>', 'into a file');
};

export const program = (run: Run): Command => {
  const { io } = run;
  const root = new Command('steward')
    .description("Asks and commands Steward, which keeps your platform's promises in your AWS account.")
    .addOption(
      new Option('-s, --stage <stage>', 'the stage that was deployed').default(
        io.env['STEWARD_STAGE'] || 'dev',
        'STEWARD_STAGE, or dev',
      ),
    )
    .option('--region <region>', 'the AWS region')
    .option('--profile <profile>', 'the AWS profile')
    .option('--json', 'the whole answer as JSON')
    .option('--no-color', 'plain text (as does NO_COLOR)')
    .addHelpText('after', EXITS)
    .exitOverride()
    .configureOutput({ writeOut: (t) => io.out(t.trimEnd()), writeErr: (t) => io.err(t.trimEnd()) })
    .showSuggestionAfterError(true);

  const add: Add = <O extends object>(on: Command, words: string, about: string, work: Work<O>) =>
    on
      .command(words)
      .description(about)
      .action(async (...given: unknown[]) => {
        const command = given.at(-1) as Command;
        const o = command.optsWithGlobals<O & Common>();
        await work(await session(run, o), o, ...(given.slice(0, -2) as never[]));
      });
  const yes = (c: Command): Command => c.option('-y, --yes', 'do not ask');

  add(root, 'status', 'what is paused, what is open, what waits for you', async (s) =>
    s.answer({ do: 'status' }, (await view()).showStatus),
  );
  add(root, 'incidents', 'what is open; with --recent what is over', incidents)
    .option('--recent', 'those that ended within 7 days')
    .option('--days <n>', 'those that ended within so many days', count)
    .option('--target <target>', 'of one instance id or ARN')
    .option('--group <group>', 'of one group: asg/web, group/db')
    .option('--limit <n>', 'at most so many', count, 50);
  add(
    root,
    'why <about>',
    'why it did that, or why not: of an incident, an instance or an ARN',
    async (s, o, about: string) =>
      s.answer({ do: 'why', about, ...(o.quick ? { quick: true } : {}) }, (await view()).showWhy),
  ).option('--quick', 'from the record alone, without a look at the target');
  add(
    root,
    'plan <target>',
    'what it would do to a target now, with every guard; does nothing',
    async (s, o, target: string) =>
      s.answer(
        { do: 'plan', target, ...(o.remediation === undefined ? {} : { remediation: o.remediation }) },
        (await view()).showPlan,
      ),
  ).option('--remediation <name>', 'only this one');
  add(
    root,
    'zones [name]',
    'what runs in which zone, what should move, and why no more: of a service (shop/web), a group (asg/api), or all',
    async (s, _o, name?: string) => {
      const { showPicture } = await import('./zones.ts');
      await s.answer({ do: 'zones', ...(name === undefined ? {} : { about: name }) }, showPicture);
    },
  );
  yes(
    add(
      root,
      'approve <incident>',
      'yes to the step that it asks for; the one who asked for it cannot',
      (s, o, id: string) => reply(s, 'approve', id, o),
    ),
  );
  yes(
    add(root, 'deny <incident>', 'no to the step that it asks for', (s, o, id: string) => reply(s, 'deny', id, o)),
  ).option('--reason <why>', 'why not', reason);
  add(
    root,
    'link <incident>',
    'makes links by which one recipient of the policy can answer, without AWS; each is good once',
    (s, o, id: string) => s.obey({ do: 'link', incident: id, to: String(o.for ?? '') }),
  ).requiredOption('--for <recipient>', 'a name of `links.recipients` in steward.yml');
  add(
    root,
    'snooze <incident>',
    'not now: nobody is told of it until then, and it begins nothing new; it goes on looking',
    (s, o, id: string) => s.obey({ do: 'snooze', incident: id, why: o.reason ?? '', forMs: Number(o.for ?? 0) }),
  )
    .requiredOption('--for <time>', '30m, 2h, 3d; at most 7d', snoozeTime)
    .requiredOption('--reason <why>', 'said wherever the incident is shown', reason);
  add(
    root,
    'pause [what]',
    'begin nothing new: all, a remediation, a group (asg/web) or a target',
    (s, o, what?: string) =>
      s.obey({
        do: 'pause',
        scope: what ?? 'all',
        why: o.reason ?? '',
        ...(o.for === undefined ? {} : { forMs: Number(o.for) }),
      }),
  )
    .requiredOption('--reason <why>', 'said in every refusal', reason)
    .option('--for <time>', '30m, 2h, 3d; without it until someone resumes it', duration);
  add(root, 'resume [what]', 'go on', (s, _o, what?: string) => s.obey({ do: 'resume', scope: what ?? 'all' }));
  yes(
    add(root, 'undo <incident>', 'put back what it did last, where that can be', (s, o, id: string) => undo(s, id, o)),
  );
  const release = root
    .command('release')
    .description('every release of an ECS service: its digests, whether it passed, by whose word it stands');
  add(
    release,
    'list <service>',
    'of cluster/service, or its ARN; the newest first',
    async (s, _o, serviceName: string) =>
      s.answer({ do: 'releases', serviceName }, (await import('./releases.ts')).showReleases),
  );
  add(
    release,
    'show <service> <revision>',
    'one of them, with its requests and the log lines that were kept',
    async (s, _o, serviceName: string, of: string) =>
      s.answer({ do: 'releases', serviceName, of }, (await import('./releases.ts')).showRelease),
  );
  add(
    release,
    'promote <service>',
    'what is deployed is the current release, whatever was measured; takes back a wish to roll back',
    (s, o: Because, serviceName: string) => s.obey({ do: 'promote', serviceName, why: o.because }),
  ).requiredOption('--because <why>', 'kept in the record', reason);
  yes(
    add(
      release,
      'rollback <service>',
      'deploy the digests of the last release that passed, or of another one; the guards are asked, and where they ask, somebody else approves',
      rollBack,
    )
      .option('--to <revision>', 'web:7, or the beginning of a digest')
      .requiredOption('--because <why>', 'kept in the record', reason),
  );
  add(
    root,
    'scale <what>',
    'more of it at once, within its maximum and the cost cap: asg/web, service/shop/web or an ARN',
    scale,
  )
    .requiredOption('--to <n>', 'so many at least', number)
    .requiredOption('--because <why>', 'said wherever it is shown', reason)
    .option(
      '--for <time>',
      '30m, 2h, 3d; at most 31d; then it goes down again in steps. Without it for good',
      surgeTime,
    );
  const channels = root.command('channels').description('who is told, and whether it reaches them');
  add(channels, 'list', 'the channels of steward.yml, what each is told, and what fails', async (s) =>
    s.answer({ do: 'channels' }, (await view()).showChannels),
  );
  add(channels, 'test <channel>', 'send it a message that says nothing is wrong', (s, _o, channel: string) =>
    s.obey({ do: 'test-channel', channel }),
  );
  const parked = root.command('parked').description('events that could not be read, kept whole');
  add(parked, 'list [id]', 'all of them, or one in full', async (s, _o, id?: string) => {
    const { showParked } = await view();
    const question: Question = { do: 'parked', ...(id === undefined ? {} : { id }) };
    await s.answer(question, (result: Parameters<typeof showParked>[0], p) => showParked(result, p, id !== undefined));
  });
  add(parked, 'replay [ids...]', 'read them again', (s, o, ids: string[]) => unpark(s, 'replay', ids, o)).option(
    '--all',
    'all of them',
  );
  yes(add(parked, 'drop [ids...]', 'forget them', (s, o, ids: string[]) => unpark(s, 'drop', ids, o))).option(
    '--all',
    'all of them',
  );
  addActivity(root, add, run);
  root
    .command('backtest [files...]')
    .description(
      'what Steward would have done: past events, of files or of the account, through the very same guards and policy',
    )
    .option('--from <time>', 'from then on: 2026-11-01, or 30d (ago)')
    .option('--to <time>', 'until then')
    .option('--policy <file>', 'and what another steward.yml would have changed')
    .option('--all', 'every case and every event that could not be read')
    .addHelpText(
      'after',
      '\nFiles: JSON, JSON lines, .gz, folders of them; EventBridge events, alarm notifications, CloudTrail files. Without files the\naccount is asked with your own credentials: cloudwatch:DescribeAlarms, cloudwatch:DescribeAlarmHistory, cloudtrail:LookupEvents,\nec2:DescribeInstances. Nothing is changed there, and nothing leaves this machine.',
    )
    .action(async (files: string[], _o: unknown, command: Command) => {
      const { backtestCommand } = await import('../backtest/command.ts');
      await backtestCommand(files, command.optsWithGlobals(), io);
    });
  add(root, 'doctor', 'is it deployed right? Ends with a harmless incident through the whole path', (s, o) =>
    doctor(s, o, run),
  ).option('--no-drill', 'only the checks');
  return root;
};
