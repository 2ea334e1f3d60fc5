/** `steward activity`: who did what, and that the log of it is whole. Searching asks the function; checking reads the log itself, so that nobody has to believe Steward. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Checkpoint } from '../shared/activity/checkpoint.ts';
import type { WholeCoverage } from '../shared/activity/coverage.ts';
import { readHostEvent } from '../shared/activity/hostLine.ts';
import type { HostsReport } from '../shared/activity/hosts.ts';
import type { LogTable, Objects } from '../shared/activity/log.ts';
import type { Report } from '../shared/activity/verify.ts';
import type { TrailReport } from '../shared/activity/verifyTrail.ts';
import { days, iso, minutes, type Time } from '../shared/core/time.ts';
import { plural } from '../shared/core/words.ts';
import type { ActivityPage, ActivityPlace, ActivityRow, ActivityWhere } from '../shared/runtime/activityQuestions.ts';
import { csvLine } from './csv.ts';
import { Failure } from './failure.ts';
import { ago, type Cell, clock, type Paint, table, timeOf, who } from './paint.ts';
import type { Session } from './session.ts';

/** The log as the caller's own credentials reach it. */
export interface OpenLog {
  readonly table: LogTable;
  readonly objects: Objects;
  /** PEM, of the key that signs. */
  readonly keys: readonly string[];
}

export interface SearchOptions {
  readonly actor?: string;
  readonly action?: string;
  readonly resource?: string;
  readonly host?: string;
  readonly session?: string;
  readonly sourceIp?: string;
  readonly error?: string | true;
  readonly around?: string;
  readonly from?: Time;
  readonly to?: Time;
  readonly limit: number;
  readonly all?: boolean;
  readonly csv?: boolean;
  readonly summary?: boolean;
  readonly json?: boolean;
  readonly follow?: boolean;
}

/** Rows of one question. */
const PAGE = 200;

/** A host and a session are names like others. */
const resourceOf = ({ resource, host, session }: SearchOptions): string | undefined => {
  const [name, ...more] = [resource, host, session].filter((n) => n !== undefined);
  if (more.length > 0)
    throw new Failure('invalid', '--resource, --host and --session are one and the same', 'give one of them');
  return name;
};

const questionOf = (o: SearchOptions, resource = resourceOf(o)) => ({
  do: 'activity' as const,
  ...(o.actor === undefined ? {} : { actor: o.actor }),
  ...(o.action === undefined ? {} : { action: o.action }),
  ...(resource === undefined ? {} : { resource }),
  ...(o.sourceIp === undefined ? {} : { ip: o.sourceIp }),
  ...(o.error === undefined ? {} : { error: o.error === true ? '*' : o.error }),
  ...(o.around === undefined ? {} : { around: o.around }),
  ...(o.from === undefined ? {} : { from: o.from }),
  ...(o.to === undefined ? {} : { to: o.to }),
});

export interface Found extends Omit<ActivityPage, 'cursor'> {
  /** There is more than was asked for. */
  readonly more: boolean;
}

/** Pages until there are as many as are wanted. */
const collect = async (s: Session, o: SearchOptions): Promise<Found> => {
  const wanted = o.all || o.summary ? Number.POSITIVE_INFINITY : o.limit;
  const rows: ActivityRow[] = [];
  const absent: string[] = [];
  let archived = 0;
  let page: ActivityPage;
  let coverage: ActivityPage['coverage'];
  let hosts: ActivityPage['hosts'];
  let cursor: string | undefined;
  do {
    page = await s.ask<ActivityPage>({
      ...questionOf(o),
      limit: Math.min(PAGE, wanted - rows.length),
      ...(cursor === undefined ? {} : { cursor }),
    });
    rows.push(...page.rows);
    absent.push(...page.absent);
    archived += page.archived;
    cursor = page.cursor;
    coverage ??= page.coverage;
    hosts ??= page.hosts;
  } while (cursor !== undefined && rows.length < wanted);
  const { at, signedAt } = page;
  return {
    at,
    rows,
    absent,
    archived,
    more: cursor !== undefined,
    ...(signedAt === undefined ? {} : { signedAt }),
    ...(coverage ? { coverage } : {}),
    ...(hosts ? { hosts } : {}),
  };
};

const actorOf = ({ who: [first = 'unknown'] }: ActivityRow): string => who(first);

/** What it was about; of hosts, what was run. */
const aboutOf = ({ what, event, resources }: ActivityRow): string => {
  const is = what.startsWith('host:') ? readHostEvent(Buffer.from(event))?.is : undefined;
  const ran = is?.command ?? is?.say ?? is?.key;
  if (ran === undefined) return resources.slice(0, 4).join(' ') + (resources.length > 4 ? ' …' : '');
  return `${resources[0]}${is?.as === undefined ? '' : ` as ${is.as}`}: ${ran}`;
};

const rowOf = (r: ActivityRow, now: Time, p: Paint): Cell[] => [
  [r.at === 0 ? 'no time' : timeOf(r.at, now), p.dim],
  actorOf(r),
  r.error === undefined ? r.what : [r.what, p.red],
  [r.ip ?? '', p.dim],
  [r.unreadable ?? r.error ?? '', p.red],
  aboutOf(r),
];

const placesIn = (places: readonly string[]): string =>
  places.length > 3 ? `${places.length} regions` : places.map((name) => name.replace('/', ' ')).join(', ');

/** What may be missing, in a line, and each gap with its reason. */
export const showCoverage = (
  { from, to, places, hours, states, gaps, moreGaps }: WholeCoverage,
  p: Paint,
): string[] => {
  if (places.length === 0)
    return [p.yellow('Nobody can say whether that is all: no trail and no history has been read yet.')];
  const said = [
    [states['digest-verified'], 'vouched for by CloudTrail’s digests'],
    [states.reconciled, 'with all files that there are'],
    [states.provisional + states.pending, 'not settled yet'],
    [states.gap, 'from which events may be missing'],
  ] as const;
  const parts = said.filter(([n]) => n > 0).map(([n, words]) => `${n} ${words}`);
  return [
    (states.gap > 0 ? p.yellow : p.dim)(
      `From ${clock(from)} to ${timeOf(to, from)}, ${plural(hours, 'hour')} of ${placesIn(places)}: ${parts.join(', ')}.`,
    ),
    ...gaps.map((g) => p.yellow(`  ${clock(g.from)} to ${timeOf(g.to, g.from)}, ${placesIn(g.places)}: ${g.because}`)),
    ...(moreGaps > 0 ? [p.yellow(`  and ${plural(moreGaps, 'gap')} more: --json has more, or ask for less time`)] : []),
  ];
};

/** Who has fallen silent, which lines are missing, and what cannot be believed. */
export const showHosts = ({ hosts, silent, findings, more }: HostsReport, now: Time, p: Paint): string[] => {
  if (hosts === 0) return [];
  const isWell = silent.length === 0 && findings.length === 0;
  const words = isWell ? 'each line is here' : 'something is missing, or not to be believed';
  return [
    (isWell ? p.dim : p.yellow)(`${plural(hosts, 'host')} ${hosts === 1 ? 'ships' : 'ship'} lines: ${words}.`),
    ...silent.map(({ host, since }) => p.yellow(`  ${host}: nothing is heard of it since ${timeOf(since, now)}`)),
    ...findings.map(({ host, from, to, because }) =>
      p.yellow(`  ${host}, ${timeOf(from, now)}${to === from ? '' : ` to ${timeOf(to, now)}`}: ${because}`),
    ),
    ...(more > 0 ? [p.yellow(`  and ${more} more: ask for one host, or for less time`)] : []),
  ];
};

const tail = ({ at, rows, absent, archived, more, signedAt, coverage, hosts }: Found, p: Paint): string[] => [
  ...(absent.length > 0
    ? [
        p.yellow(
          `${plural(absent.length, 'segment')} that may hold more ${absent.length === 1 ? 'is' : 'are'} neither in the table nor in the archive: the years are over, or steward activity verify says what was done.`,
        ),
      ]
    : []),
  ...(archived > 0 ? [p.dim(`${plural(archived, 'segment')} came from the archive.`)] : []),
  p.dim(
    `${plural(rows.length, 'line')}${more ? ', and there are more: --limit, --all' : ''}. ${
      signedAt === undefined ? 'Nothing is signed yet.' : `Signed up to ${clock(signedAt)}, ${ago(signedAt, at)}.`
    }`,
  ),
  ...(coverage ? showCoverage(coverage, p) : []),
  ...(hosts ? showHosts(hosts, at, p) : []),
];

const showFound = (found: Found, p: Paint): string[] =>
  found.rows.length === 0
    ? ['Nothing of that kind is in the log.', ...tail(found, p)]
    : [
        ...table(
          found.rows.map((r) => rowOf(r, found.at, p)),
          p,
        ),
        '',
        ...tail(found, p),
      ];

/** Who did what, how often. */
const showSummary = async (found: Found, p: Paint): Promise<string[]> => {
  const { summaryOf } = await import('../shared/activity/search.ts');
  const sums = summaryOf(found.rows.map(({ at: time, ...r }) => ({ ...r, time, cut: false })));
  return [
    ...table(
      sums.map((d): Cell[] => [
        String(d.count),
        who(d.who),
        d.what,
        d.failed > 0 ? [`${d.failed} failed`, p.red] : '',
        [`${timeOf(d.first, found.at)} to ${timeOf(d.last, found.at)}`, p.dim],
      ]),
      p,
    ),
    '',
    ...tail(found, p),
  ];
};

const inertLine = (cells: readonly string[]): string => csvLine(cells.map((cell) => [cell, true]));
const csvOf = ({ rows }: Found): string[] => [
  'time,account,region,who,what,resources,ip,error,id,place',
  ...rows.map((r) =>
    inertLine([
      r.at === 0 ? '' : iso(r.at),
      r.account,
      r.region,
      r.who[0] ?? '',
      r.what,
      r.resources.join(' '),
      r.ip ?? '',
      r.error ?? '',
      r.id,
      r.place,
    ]),
  ),
];

export const search = async (s: Session, o: SearchOptions): Promise<void> => {
  const found = await collect(s, o);
  if (o.csv) return s.print(csvOf(found));
  if (o.summary && !o.json) return s.print(await showSummary(found, s.paint));
  return s.show(found, showFound);
};

/** New lines as they come, until the caller ends it. Events arrive out of order and late: what was shown is remembered by its place. */
export const follow = async (s: Session, o: SearchOptions, sleep: (ms: number) => Promise<void>): Promise<void> => {
  const shown = new Set<string>();
  for (;;) {
    const { rows, at } = await collect(s, { ...o, limit: 200 });
    const fresh = rows.filter((r) => !shown.has(r.place)).reverse();
    const lines = fresh.slice(shown.size === 0 ? -o.limit : 0);
    for (const r of rows) shown.add(r.place);
    if (lines.length > 0)
      s.print(
        o.json
          ? lines.map((r) => JSON.stringify(r))
          : table(
              lines.map((r) => rowOf(r, at, s.paint)),
              s.paint,
            ),
      );
    await sleep(5_000);
  }
};

type Kept = { note: string; heads?: Checkpoint['heads'] };
const readKept = (text: string): Kept => {
  if (!text.startsWith('{')) return { note: text };
  const { note, heads } = JSON.parse(text) as Checkpoint;
  return { note, heads };
};

/** The file that `checkpoint` wrote, or the note alone; or what the second account has. */
const keptIn = async (s: Session, file: string): Promise<Kept> => {
  if (file.startsWith('s3://')) return readKept(await s.readCopy(file));
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (e) {
    throw new Failure(
      'invalid',
      `${file} cannot be read: ${(e as Error).message}`,
      'name a file that steward activity checkpoint wrote',
    );
  }
  return readKept(text);
};

export const showReport = (r: Report, p: Paint): string[] => [
  ...r.findings.map(({ place, because }) => `${p.red('✗')} ${p.bold(place)}: ${because}`),
  `${r.findings.length === 0 ? p.green('✓ The log is whole.') : p.red(`✗ ${plural(r.findings.length, 'finding')}.`)} ${r.events} events in ${r.links} segments${
    r.archived > 0 ? `, ${r.archived} of them in the archive alone` : ''
  }${r.expired > 0 ? `, ${r.expired} gone as planned, after their years` : ''}.`,
  ...(r.files > 0
    ? [`${plural(r.files, 'file')} of the archive ${r.files === 1 ? 'has' : 'have'} what was archived.`]
    : []),
  r.signedAt === 0
    ? 'Nothing is signed yet: ask again in a minute.'
    : `Signed up to ${clock(r.signedAt)}${r.unsigned > 0 ? `; ${plural(r.unsigned, 'segment')} since then, for the next checkpoint` : ''}.`,
];

/** So far back `verify` says what digests vouch for. */
const VOUCHED_DAYS = 30;

export const verifyLog = async (s: Session, file: string | undefined, hotOnly = false): Promise<boolean> => {
  const [{ verify }, { coverageIn }, { hearLinks, NO_STATE }, { hostsReport }] = await Promise.all([
    import('../shared/activity/verify.ts'),
    import('../shared/activity/coverage.ts'),
    import('../shared/activity/watchHosts.ts'),
    import('../shared/activity/hosts.ts'),
  ]);
  const where = await s.ask<ActivityPlace>({ do: 'activity-where' });
  const log = await s.openLog(where);
  const report = await verify({ ...log, hotOnly, ...(file === undefined ? {} : { kept: await keptIn(s, file) }) });
  const { at: now } = where;
  const range = { from: now - days(VOUCHED_DAYS), to: now };
  const coverage = await coverageIn(log.table, range, { now });
  // By the lines themselves, whatever Steward has written down of them. What is broken, the report says.
  const hosts =
    report.findings.length > 0 ? undefined : hostsReport(await hearLinks(log, NO_STATE), range, { now, most: 50 });
  await s.show({ ...report, coverage, ...(hosts ? { hosts } : {}) }, (r, p) => [
    ...showReport(r, p),
    ...showCoverage(r.coverage, p),
    ...(r.hosts ? showHosts(r.hosts, now, p) : []),
    ...(file === undefined
      ? [
          p.dim(
            'Without a checkpoint that was kept elsewhere, a table that was put back to an older state looks whole: steward activity checkpoint --out kept.json, then verify --checkpoint kept.json.',
          ),
        ]
      : []),
  ]);
  return report.findings.length === 0;
};

/** A digest of an hour comes until so long after its beginning. */
const VOUCHED_AFTER = minutes(135);
const TRAIL_DAYS = 1;

export const showTrailReport = (r: TrailReport, p: Paint): string[] => {
  const events = plural(r.events, 'event');
  return [
    ...r.findings.map(
      ({ account, region, place, because }) => `${p.red('✗')} ${p.bold(`${account} ${region} ${place}`)}: ${because}`,
    ),
    ...r.missing.map(
      ({ at, what, id, file }) => `${p.red('✗')} ${p.bold(id)}: ${what} of ${clock(at)}, in ${file}, is not in the log`,
    ),
    ...(r.missingCount > r.missing.length ? [p.red(`  and ${r.missingCount - r.missing.length} more events`)] : []),
    r.findings.length === 0 && r.missingCount === 0
      ? p.green(
          `✓ Trail ${r.trail}: ${plural(r.digests, 'digest')} vouch for all of ${clock(r.from)} to ${clock(r.to)}, and each of the ${events} of their ${plural(r.files, 'file')} is in the log.`,
        )
      : p.red(
          `✗ Trail ${r.trail}: ${plural(r.findings.length, 'finding')}, and ${r.missingCount} of the ${events} of ${plural(r.files, 'file')} are not in the log as they are there.`,
        ),
  ];
};

/** The trail itself against the log: with the caller's credentials, and nothing that Steward says of it. */
export const verifyTrailFiles = async (
  s: Session,
  { from, to }: { readonly from?: Time; readonly to?: Time },
): Promise<boolean> => {
  const { verifyTrail } = await import('../shared/activity/verifyTrail.ts');
  const where = await s.ask<ActivityPlace>({ do: 'activity-where' });
  const { account, region, at, shards, declared } = where;
  const [log, source] = await Promise.all([s.openLog(where), s.openTrail(where)]);
  const end = Math.min(to ?? at, at - VOUCHED_AFTER);
  const range = { from: Math.min(from ?? end - days(TRAIL_DAYS), end), to: end };
  const report = await verifyTrail({ ...log, source, home: { account, region }, declared, shards }, range);
  await s.show(report, showTrailReport);
  return report.findings.length === 0 && report.missingCount === 0;
};

const write = (file: string, text: string): void => {
  try {
    writeFileSync(file, text);
  } catch (e) {
    throw new Failure('failed', `${file} cannot be written: ${(e as Error).message}`);
  }
};

/** The latest checkpoint, to be kept where the account's administrators cannot reach. */
export const saveCheckpoint = async (s: Session, out: string | undefined): Promise<void> => {
  const [{ lastCheckpoint }, { keptOf }] = await Promise.all([
    import('../shared/activity/checkpoint.ts'),
    import('../shared/activity/copies.ts'),
  ]);
  const { table: from } = await s.openLog(await s.ask<ActivityWhere>({ do: 'activity-where' }));
  const last = await lastCheckpoint(from);
  if (!last) throw new Failure('not-found', 'nothing is signed yet', 'ask again in a minute');
  if (out === undefined) return s.print([last.note.trimEnd()]);
  write(out, keptOf(last));
  s.print([
    `${out}: checkpoint ${last.number}, ${last.statement.size} segments, ${clock(last.statement.time)}. Keep it where nobody of this account can write.`,
  ]);
};

/** A proof that a stranger can check; with the key and the way to do it. */
export const proveEvent = async (s: Session, id: string, out: string | undefined, account?: string): Promise<void> => {
  const [{ findEvents, prove }, { lastCheckpoint }] = await Promise.all([
    import('../shared/activity/prove.ts'),
    import('../shared/activity/checkpoint.ts'),
  ]);
  const where = await s.ask<ActivityWhere>({ do: 'activity-where' });
  const log = await s.openLog(where);
  const [place, ...more] = await findEvents(log, { account: account ?? where.account, id });
  if (!place)
    throw new Failure(
      'not-found',
      `no event ${id} of account ${account ?? where.account} is in the log`,
      'the id is in steward activity search --json; of another account: --account',
    );
  const last = await lastCheckpoint(log.table);
  if (!last) throw new Failure('not-found', 'nothing is signed yet', 'ask again in a minute');
  const proof = await prove(log, place, last);
  const file = out ?? `${id.replaceAll(/[^\w.-]/g, '_')}.proof.json`;
  write(file, `${JSON.stringify(proof, null, 2)}\n`);
  write(`${file}.pem`, log.keys.join('\n'));
  s.print([
    `${file}: that this event is in the log which checkpoint ${last.number} signs${more.length > 0 ? `; ${more.length} more events have the same id` : ''}.`,
    `Anyone checks it, without Steward: python3 docs/check-proof.py ${file} ${file}.pem`,
  ]);
};
