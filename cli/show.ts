/** What the answers look like for people: short, aligned, and in words that one understands at three in the morning. */
import type { Finding, Refusal } from '../shared/core/guards.ts';
import type { Attempt, Incident, State } from '../shared/core/incident.ts';
import type { Answer } from '../shared/core/pass.ts';
import type { Pause } from '../shared/core/store.ts';
import { span, type Time } from '../shared/core/time.ts';
import type { Done } from '../shared/runtime/answer.ts';
import type { Line, Status } from '../shared/runtime/questions.ts';
import type { Explained, Why } from '../shared/runtime/why.ts';
import { ago, type Cell, clock, type Paint, short, table, timeOf } from './paint.ts';

const STATES: Readonly<Record<State, string>> = {
  open: 'looked at',
  acting: 'at work',
  waiting: 'waits',
  refused: 'held back',
  asking: 'waits for your yes or no',
  escalated: 'needs a person',
  closed: 'over',
};
const ENDS: Readonly<Record<NonNullable<Incident['end']>, string>> = {
  healthy: 'healthy again',
  'not-ours': "over: not Steward's business",
  gone: 'over: the target is gone',
  undone: 'put back',
};
const stateOf = ({ state, end }: Pick<Incident, 'state' | 'end'>): string => (end ? ENDS[end] : STATES[state]);

const tone = (p: Paint, { state, end }: Pick<Incident, 'state' | 'end'>) => {
  if (state === 'closed') return end === 'healthy' || end === 'undone' ? p.green : p.dim;
  return state === 'asking' || state === 'escalated' ? p.red : p.yellow;
};

const pauseLine = ({ scope, by, why, until }: Pause, now: Time): string =>
  `${scope} ${until === undefined ? 'until someone resumes it' : `for ${span(until - now)} more`}, by ${by}: ${why}`;

export const showStatus = (s: Status, p: Paint): string[] => {
  const total = Object.values(s.open).reduce((a, b) => a + b, 0);
  const counts = Object.entries(s.open).map(([state, n]) => `${n} ${STATES[state as State]}`);
  return [
    `${p.bold(`Steward ${s.stage}`)} · account ${s.account} · ${s.region} · ${clock(s.at)}`,
    '',
    ...(s.pauses.length === 0
      ? [`${p.green('Nothing is paused.')}`]
      : [p.red(p.bold('Paused:')), ...s.pauses.map((one) => p.red(`  ${pauseLine(one, s.at)}`))]),
    ...(s.waiting.length === 0
      ? ['Nothing waits for a person.']
      : [p.bold(`${s.waiting.length} wait for a person:`), ...showLines(s.waiting, s.at, p)]),
    total === 0 ? 'No incident is open.' : `Open: ${total}${s.more ? ' or more' : ''} (${counts.join(', ')}).`,
    ...(s.parked > 0 ? [p.yellow(`${s.parked} events could not be read: steward parked list`)] : []),
    '',
    ...table(s.remediations.map((r) => [r.name, r.mode === 'act' ? [r.mode, p.green] : r.mode, [r.title, p.dim]])),
  ];
};

export const showLines = (lines: readonly Line[], now: Time, p: Paint): string[] =>
  table(
    lines.map((i): Cell[] => [
      [i.id, p.dim],
      i.remediation,
      short(i.target),
      [stateOf(i), tone(p, i)],
      ago(i.closedAt ?? i.openedAt, now),
      i.asks ? `${i.asks.plan}: steward approve ${i.id}` : i.because,
    ]),
  );

export const showIncidents = ({ incidents, at }: { incidents: readonly Line[]; at: Time }, p: Paint): string[] =>
  incidents.length === 0
    ? ['There is none.']
    : [...showLines(incidents, at, p), '', p.dim('Each in full: steward why <id>')];

export const showDone = ({ say, next, by }: Done, p: Paint): string[] => [
  `${p.green('✓')} ${p.bold(say)}`,
  p.dim(`  as ${by}`),
  `  ${next}`,
];

const isRefusal = (f: Finding): f is Refusal => 'because' in f;

export const showGuards = (guards: readonly Finding[], p: Paint): string[] =>
  table(
    guards.flatMap((g): Cell[][] =>
      isRefusal(g)
        ? [
            [['✗', p.red], g.guard, g.because],
            ['', '', [`→ ${g.remedy}`, p.cyan]],
          ]
        : [[['✓', p.green], g.guard, [g.passed, p.dim]]],
    ),
  );

/** The incident's own log, in plain words. */
const WORDS: Readonly<Record<string, string>> = {
  signal: 'told',
  seen: 'saw',
  refused: 'held back',
  reserved: 'begins',
  outcome: 'result',
  effect: 'effect',
  answer: 'person',
  waiting: 'waits',
  escalated: 'calls you',
  closed: 'ended',
};

const showLog = ({ log, openedAt }: Incident, now: Time, p: Paint): string[] =>
  table(
    log.map(({ at, what, say }): Cell[] => [
      timeOf(at, now),
      [at > openedAt ? `+${span(at - openedAt)}` : '', p.dim],
      [WORDS[what] ?? what, what === 'refused' || what === 'escalated' ? p.yellow : p.bold],
      say,
    ]),
  );

const OUTCOMES: Readonly<Record<string, string>> = {
  done: 'done',
  transient: 'put off, nothing was done',
  permanent: 'declined, nothing was done',
  ambiguous: 'may or may not have happened',
};
const EFFECTS: Readonly<Record<string, string>> = {
  effective: 'it helped',
  ineffective: 'it did not help',
  harmful: 'it made things worse',
};

const attemptCells = (a: Attempt, now: Time, p: Paint): Cell[] => {
  const outcome = a.outcome ? (OUTCOMES[a.outcome.kind] ?? a.outcome.kind) : 'under way';
  const effect = a.effect ? EFFECTS[a.effect] : undefined;
  const colour = a.effect === 'effective' ? p.green : a.effect === 'harmful' ? p.red : p.yellow;
  return [`${a.n}`, timeOf(a.reservedAt, now), a.plan, [effect ? `${outcome}, ${effect}` : outcome, colour]];
};

const timing = ({ signals, actedAt, healthyAt }: Incident): string | undefined => {
  if (healthyAt === undefined) return undefined;
  const acted = actedAt === undefined ? 'nothing had to be done' : `begun after ${span(actedAt - signals.firstAt)}`;
  return `${acted}, healthy after ${span(healthyAt - signals.firstAt)}`;
};

const nextOf = ({ incident, now: look, pauses, canUndo }: Explained, at: Time): string[] => {
  const { id, target } = incident;
  if (incident.state === 'closed') {
    const helped = incident.attempts.some((a) => a.effect === 'effective' && a.undoes === undefined);
    return [
      'Nothing: it is over.',
      ...(helped && canUndo && incident.end === 'healthy' ? [`To put back what it did: steward undo ${id}`] : []),
    ];
  }
  const when =
    look?.lookAgainAt === undefined
      ? ''
      : ` It looks again ${ago(look.lookAgainAt, at)}, at ${timeOf(look.lookAgainAt, at)}.`;
  const asked = incident.ask && incident.ask.until > at && !incident.approval ? incident.ask : undefined;
  return [
    ...(look ? [`${verdictLine(look)}.${when}`] : [`It looks again ${ago(incident.dueAt, at)} at the latest.`]),
    ...(asked ? [`To allow it: steward approve ${id}`, `To forbid it: steward deny ${id}`] : []),
    ...pauses.map((one) => `Paused: ${pauseLine(one, at)}. To go on: steward resume ${one.scope}`),
    ...(pauses.length === 0
      ? [`To stop it: steward pause ${short(target).startsWith('i-') ? short(target) : target} --reason '…'`]
      : []),
  ];
};

/** What a look came to, without the full stop. */
const verdictLine = ({ verdict, refused }: Answer): string => {
  switch (verdict.do) {
    case 'act':
      return refused
        ? `It would ${verdict.plan}, but ${refused.guard} holds it back: ${refused.because}`
        : `It will ${verdict.plan}, because ${verdict.because}`;
    case 'close':
      return `All is well: ${verdict.because}`;
    case 'nothing':
      return `Nothing is to be done: ${verdict.because}`;
    case 'wait':
      return `It waits: ${verdict.because}`;
    case 'escalate':
      return `A person is needed: ${verdict.because}. What to do: ${verdict.remedy}`;
  }
};

const section = (title: string, lines: readonly string[], p: Paint): string[] =>
  lines.length === 0 ? [] : ['', p.bold(title), ...lines];

const showIncident = (e: Explained, at: Time, p: Paint): string[] => {
  const { incident: i, now: look } = e;
  const facts: Cell[][] = [
    ['because', i.because],
    ...(i.seen === undefined ? [] : [['seen', i.seen]]),
    ...(i.remedy === undefined || i.state === 'closed' ? [] : [['to do', [i.remedy, p.cyan] as const]]),
    ...(timing(i) ? [['time', timing(i) ?? '']] : []),
    [
      'since',
      `${clock(i.openedAt)}, ${ago(i.openedAt, at)}${i.signals.count > 1 ? `; signalled ${i.signals.count} times` : ''}`,
    ],
    ...(i.group === undefined
      ? []
      : [['group', `${i.group}${i.groupSize === undefined ? '' : `, ${i.groupSize} members`}`]]),
    ...(i.approval === undefined ? [] : [['yes', `${i.approval.by} at ${clock(i.approval.at)}`]]),
    ['incident', [i.id, p.dim]],
  ];
  return [
    `${p.bold(i.remediation)} on ${p.bold(short(i.target))}: ${tone(p, i)(stateOf(i))}`,
    ...table(facts),
    ...section('What happened', showLog(i, at, p), p),
    ...section('What it did', table(i.attempts.map((a) => attemptCells(a, at, p))), p),
    ...section('What the guards say now', look?.guards ? showGuards(look.guards, p) : [], p),
    ...section(
      'What comes next',
      nextOf(e, at).map((line) => `  ${line}`),
      p,
    ),
  ];
};

export const showWhy = ({ incidents, nothing, at, about }: Why, p: Paint): string[] => {
  if (incidents.length > 0) return incidents.flatMap((e, n) => [...(n > 0 ? ['', ''] : []), ...showIncident(e, at, p)]);
  return [`${p.bold(short(about))}: there is no incident.`, ...(nothing ? showPlan({ answers: nothing, at }, p) : [])];
};

export const showPlan = ({ answers, at }: { answers: readonly Answer[]; at: Time }, p: Paint): string[] => [
  ...answers.flatMap((a) => [
    '',
    `${p.bold(a.remediation)}: ${verdictLine(a).replace('It will', 'It would')}`,
    ...(a.seen === undefined ? [] : [p.dim(`  seen: ${a.seen}`)]),
    ...(a.guards ? showGuards(a.guards, p) : []),
  ]),
  '',
  p.dim(`Looked at ${clock(at)}. Nothing was done.`),
];

export const showParked = (
  { parked, at }: { parked: readonly { id: string; at: Time; because: string; body: string }[]; at: Time },
  p: Paint,
  whole: boolean,
): string[] => {
  if (parked.length === 0) return ['No event is parked: each could be read.'];
  const lines = parked.flatMap((e) => [
    `  ${p.bold(e.id)}  ${ago(e.at, at)}  ${e.because}`,
    whole ? e.body : p.dim(`    ${e.body.replaceAll(/\s+/g, ' ').slice(0, 120)}`),
  ]);
  return [...lines, '', p.dim('Send one again: steward parked replay <id>   Forget it: steward parked drop <id>')];
};
