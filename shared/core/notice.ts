/**
 * What people read: impact first, then why, then what is asked of them and what happens if nobody answers. Pure, and without a word that changes by
 * itself (no "5 min ago"): the same incident gives the same notice, so that only news is sent.
 */
import { needsPerson } from './channels.ts';
import type { Incident, Line } from './incident.ts';
import { iso, span, type Time } from './time.ts';
import { plural } from './words.ts';

export type Stage =
  | 'asks'
  | 'calls'
  | 'approved'
  | 'works'
  | 'held'
  | 'snoozed'
  | 'healed'
  | 'undone'
  | 'over'
  | 'storm'
  | 'digest'
  | 'test';

/** Where Steward runs: what its commands need to be told. */
export interface Home {
  readonly stage: string;
  readonly region: string;
}

export interface Rendered {
  readonly stage: Stage;
  /** A person must do something now. */
  readonly needs: boolean;
  /** It goes on: more may be told. */
  readonly open: boolean;
  /** What is wrong with what, and how it stands: one line. */
  readonly impact: string;
  /** Name and text, in the order in which they are read. */
  readonly facts: readonly (readonly [name: string, text: string])[];
  /** What one can do: the exact command. */
  readonly commands: readonly (readonly [what: string, command: string])[];
  /** What a person must know of it, as text: a channel that cannot edit is told again only if this changes. Undefined: nothing. */
  readonly gist: string | undefined;
  readonly about: {
    readonly incident?: string;
    readonly remediation?: string;
    readonly target?: string;
    readonly group?: string;
  };
}

/** A button or link of a notice. `url`: opens a page. `value`: comes back from the channel (Slack's interactivity). */
export type Action = { readonly label: string } & ({ readonly url: string } | { readonly value: string });

/** 'arn:…:instance/i-0abc' → 'i-0abc'; 'arn:…:log-group:/ecs/web' → 'log-group:/ecs/web' */
export const shortTarget = (arn: string): string =>
  (arn.split(':').slice(5).join(':') || arn).replace(/^(instance|volume|vpc)\//, '');

/** 'instance.status-check-failed' → 'instance status check failed' */
const trouble = ({ signals: { kind } }: Incident): string => kind.replaceAll(/[.-]/g, ' ');

/** '2026-11-24 03:12 UTC' */
const clock = (t: Time): string => `${iso(t).slice(0, 16).replace('T', ' ')} UTC`;
const cut = (text: string, max: number): string => (text.length > max ? `${text.slice(0, max - 1)}…` : text);

const stageOf = (i: Incident): Stage => {
  switch (i.state) {
    case 'closed':
      return i.end === 'healthy' ? 'healed' : i.end === 'undone' ? 'undone' : 'over';
    case 'escalated':
      return 'calls';
    case 'asking':
      return i.approval ? 'approved' : 'asks';
    case 'refused':
      return 'held';
    case 'snoozed':
      return 'snoozed';
    default:
      return 'works';
  }
};

const STANDS: Readonly<Record<Exclude<Stage, 'storm' | 'digest' | 'test'>, string>> = {
  asks: 'a person must say yes or no',
  calls: 'a person is needed',
  approved: 'approved, it goes on',
  works: 'Steward is at work',
  held: 'held back, it tries again by itself',
  snoozed: 'snoozed by a person',
  healed: 'healthy again',
  undone: 'put back as it was',
  over: 'over',
};

const OVER: Readonly<Record<string, string>> = {
  'not-ours': "over: it is not Steward's business",
  gone: 'over: the target is gone',
};

const doing = ({ state, attempts }: Incident, stage: Stage): [string, string | undefined] => {
  const last = attempts.at(-1);
  const name = state === 'closed' ? 'It did' : stage === 'calls' ? 'It tried' : 'It does';
  if (!last || stage === 'asks') return [name, undefined];
  return [name, last.effect ? `${last.plan} (${last.effect})` : last.plan];
};

const facts = (i: Incident, stage: Stage): [string, string | undefined][] => {
  return [
    ['Seen', i.seen],
    ['Why', stage === 'asks' || stage === 'approved' ? (i.ask?.because ?? i.because) : i.because],
    ['It would', stage === 'asks' ? i.ask?.plan : undefined],
    ['It asks because', stage === 'asks' ? i.because : undefined],
    ['Approved', i.approval && `by ${i.approval.by}: ${i.ask?.plan ?? 'the step'}`],
    doing(i, stage),
    ['What to do', stage === 'calls' || stage === 'held' ? i.remedy : undefined],
    ['If nobody answers', otherwise(i, stage)],
    [
      'Took',
      i.healthyAt === undefined ? undefined : `healthy ${span(i.healthyAt - i.signals.firstAt)} after the signal`,
    ],
  ];
};

const otherwise = ({ ask }: Incident, stage: Stage): string | undefined => {
  if (stage === 'asks' && ask) return `nothing is done. At ${clock(ask.until)} it asks again, if the trouble lasts`;
  return stage === 'calls'
    ? 'Steward does nothing more about it, but goes on looking: it tells when it is healthy'
    : undefined;
};

const gistOf = (i: Incident, stage: Stage): string | undefined => {
  if (i.state === 'closed') return `closed ${i.end}`;
  if (i.state === 'snoozed') return `snoozed until ${i.snooze?.until}`;
  if (!needsPerson(i)) return undefined;
  return stage === 'asks' ? `asks ${i.ask?.plan} until ${i.ask?.until}` : `calls since ${i.escalatedAt}`;
};

/** `npx steward approve 01J… --stage prod --region eu-central-1` */
const command = ({ stage, region }: Home, words: string): string =>
  `npx steward ${words} --stage ${stage} --region ${region}`;

export const incidentNotice = (i: Incident, home: Home): Rendered => {
  const stage = stageOf(i);
  const stands = OVER[i.end ?? ''] ?? STANDS[stage as keyof typeof STANDS];
  const run = (words: string): string => command(home, words);
  return {
    stage,
    needs: needsPerson(i),
    open: i.state !== 'closed',
    impact: `${trouble(i)} on ${shortTarget(i.target)}${i.group ? ` (${i.group})` : ''}: ${stands}`,
    facts: facts(i, stage).flatMap(([name, text]) => (text ? [[name, cut(text, 1_000)] as const] : [])),
    commands: [
      ...(stage === 'asks'
        ? ([
            ['To allow it', run(`approve ${i.id}`)],
            ['To forbid it', run(`deny ${i.id}`)],
          ] as const)
        : []),
      ['Why, in full', run(`why ${i.id}`)],
    ],
    gist: gistOf(i, stage),
    about: {
      incident: i.id,
      remediation: i.remediation,
      target: i.target,
      ...(i.group === undefined ? {} : { group: i.group }),
    },
  };
};

/** The log's words for its lines. */
const SAYS: Readonly<Record<string, string>> = {
  signal: 'told',
  seen: 'saw',
  refused: 'held back',
  reserved: 'begins',
  outcome: 'result',
  effect: 'effect',
  answer: 'person',
  waiting: 'waits',
  escalated: 'calls a person',
  closed: 'ended',
};
/** What every look repeats is no news for a thread. */
const DULL = new Set(['guards', 'seen', 'waiting']);

export interface ThreadLine {
  /** Which line of the log this is. */
  readonly key: string;
  readonly text: string;
}
const keyOf = (l: Line): string => `${l.at} ${l.what} ${l.say.slice(0, 60)}`;

/** The log as it stands in a thread. */
export const threadOf = (i: Incident): ThreadLine[] =>
  i.log
    .filter((l) => !DULL.has(l.what))
    .map((l) => ({ key: keyOf(l), text: `${iso(l.at).slice(11, 19)} ${SAYS[l.what] ?? l.what}: ${cut(l.say, 400)}` }));

/** What follows the line that was told last. A log is cut in its middle: where that line is gone, what is later than it. */
export const newLines = (lines: readonly ThreadLine[], heard: string | undefined): readonly ThreadLine[] => {
  if (heard === undefined) return lines;
  const at = lines.findLastIndex((l) => l.key === heard);
  const since = Number.parseInt(heard, 10);
  return at >= 0 ? lines.slice(at + 1) : lines.filter((l) => Number.parseInt(l.key, 10) > since);
};

const counted = (incidents: readonly Incident[], by: (i: Incident) => string): [string, number][] => {
  const counts = new Map<string, number>();
  for (const i of incidents) counts.set(by(i), (counts.get(by(i)) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
};
/** So many are named; the rest is counted. */
const NAMED = 10;
const named = (all: readonly string[]): string =>
  all.length > NAMED ? `${all.slice(0, NAMED).join(', ')} and ${all.length - NAMED} more` : all.join(', ');
const groupsOf = (incidents: readonly Incident[]): string =>
  named(counted(incidents, (i) => i.group ?? 'no group').map(([g, n]) => `${g} ${n}`));

export interface Storm {
  readonly remediation: string;
  readonly since: Time;
  /** What is open and has no message of its own. */
  readonly members: readonly Incident[];
}

/** Many troubles at once: one message, edited as their number changes. */
export const stormNotice = ({ remediation, since, members }: Storm, home: Home): Rendered => {
  const waiting = members.filter(needsPerson);
  const calls = waiting.filter((i) => i.state === 'escalated');
  const [n, open] = [members.length, members.length > 0];
  const [first] = [...calls, ...waiting, ...members];
  const few = n <= NAMED ? members.map((i) => `${i.id} ${shortTarget(i.target)}`).join(', ') : undefined;
  return {
    stage: 'storm',
    needs: waiting.length > 0,
    open,
    impact: open
      ? `${remediation}: ${n} more at once since ${clock(since)}, ${waiting.length} of them ${waiting.length === 1 ? 'waits' : 'wait'} for a person`
      : `${remediation}: the storm of ${clock(since)} is over`,
    facts: open
      ? [
          ['Groups', groupsOf(members)],
          ['They wait', `${waiting.length - calls.length} for a yes or no, ${calls.length} for help`],
          ...(first ? ([['For example', `${shortTarget(first.target)}: ${cut(first.because, 300)}`]] as const) : []),
          ...(few === undefined ? [] : ([['Incidents', few]] as const)),
        ]
      : [],
    commands: [
      ['All that wait', command(home, 'status')],
      ...(open ? ([['To stop them all', command(home, `pause ${remediation} --reason '…'`)]] as const) : []),
    ],
    gist: !open ? 'storm over' : waiting.length > 0 ? 'storm' : undefined,
    about: { remediation },
  };
};

export interface Digest {
  readonly from: Time;
  readonly until: Time;
  /** What ended healthy without a person. */
  readonly healed: readonly Incident[];
}

/** Undefined: there is nothing to tell. */
export const digestNotice = ({ from, until, healed }: Digest, home: Home): Rendered | undefined => {
  const mended = healed.filter((i) => i.attempts.length > 0);
  const [alone, n] = [healed.length - mended.length, mended.length];
  if (n === 0) return undefined;
  const took = mended.map((i) => (i.healthyAt ?? i.closedAt ?? i.openedAt) - i.signals.firstAt).sort((a, b) => a - b);
  const longest = mended.findLast((i) => (i.healthyAt ?? 0) - i.signals.firstAt === took.at(-1));
  return {
    stage: 'digest',
    needs: false,
    open: false,
    impact: `${plural(n, 'trouble')} mended without a person, from ${clock(from)} to ${clock(until)}`,
    facts: [
      ...counted(mended, (i) => i.remediation).map(
        ([name, count]) => [name, `${count}: ${groupsOf(mended.filter((i) => i.remediation === name))}`] as const,
      ),
      [
        'From signal to healthy',
        `${span(took[Math.floor(n / 2)] ?? 0)} at the median, ${span(took.at(-1) ?? 0)} at most${longest ? ` (${shortTarget(longest.target)})` : ''}`,
      ],
      ...(alone > 0 ? ([['Over before anything had to be done', `${alone}`]] as const) : []),
    ],
    commands: [['All of them', command(home, 'incidents --days 2')]],
    gist: 'digest',
    about: {},
  };
};

export const testNotice = (by: string, home: Home): Rendered => ({
  stage: 'test',
  needs: false,
  open: false,
  impact: `This is a test of Steward ${home.stage}: nothing is wrong`,
  facts: [['Asked for by', by]],
  commands: [['What goes on', command(home, 'status')]],
  gist: 'test',
  about: {},
});

/** As text: e-mail, SMS, Slack's fallback, PagerDuty's details. */
export const plain = ({ impact, facts: lines, commands }: Rendered, actions: readonly Action[] = []): string =>
  [
    impact,
    '',
    ...lines.map(([name, text]) => `${name}: ${text}`),
    '',
    ...commands.map(([what, words]) => `${what}: ${words}`),
    ...actions.flatMap((a) => ('url' in a ? [`${a.label}: ${a.url}`] : [])),
  ].join('\n');
