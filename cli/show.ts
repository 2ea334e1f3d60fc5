/** What the answers look like for people: short, aligned, and in words that one understands at three in the morning. */
import type { Finding, Refusal } from '../shared/core/guards.ts';
import type { Attempt, Incident, State } from '../shared/core/incident.ts';
import type { Answer } from '../shared/core/pass.ts';
import type { Pause } from '../shared/core/store.ts';
import { span, type Time } from '../shared/core/time.ts';
import type { Done } from '../shared/runtime/answer.ts';
import type { ChannelHealth } from '../shared/runtime/channelHealth.ts';
import type { Line, Status } from '../shared/runtime/questions.ts';
import type { Explained, Why } from '../shared/runtime/why.ts';
import { ago, type Cell, clock, type Paint, short, table, tidy, timeOf, who } from './paint.ts';

const STATES: Readonly<Record<State, string>> = {
  open: 'looked at',
  acting: 'at work',
  waiting: 'waits',
  refused: 'held back',
  asking: 'waits for your yes or no',
  escalated: 'needs a person',
  snoozed: 'snoozed',
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
  `${scope} ${until === undefined ? 'until someone resumes it' : `for ${span(until - now)} more`}, by ${who(by)}: ${why}`;

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
      : [
          p.bold(`${s.waiting.length} ${s.waiting.length === 1 ? 'waits' : 'wait'} for a person:`),
          ...showLines(s.waiting, s.at, p),
          p.dim('  Look first: steward why <id>'),
        ]),
    ...(s.snoozed.length === 0 ? [] : [p.bold(`${s.snoozed.length} snoozed:`), ...showLines(s.snoozed, s.at, p)]),
    total === 0 ? 'No incident is open.' : `Open: ${total}${s.more ? ' or more' : ''} (${counts.join(', ')}).`,
    ...(s.parked > 0
      ? [p.yellow(`${s.parked} ${s.parked === 1 ? 'event' : 'events'} could not be read: steward parked list`)]
      : []),
    ...s.failing.map((c) =>
      p.red(`The channel ${c.name} is told nothing: ${c.failing?.because}. steward channels list`),
    ),
    '',
    ...table(
      s.remediations.map((r): Cell[] => [r.name, r.mode === 'act' ? [r.mode, p.green] : r.mode, [r.title, p.dim]]),
      p,
    ),
  ];
};

const lineText = ({ asks, snooze, state, because }: Line, now: Time): string => {
  if (state === 'snoozed' && snooze) return `until ${timeOf(snooze.until, now)} by ${who(snooze.by)}: ${snooze.why}`;
  return asks ? `${asks.plan.split(': ')[0]}?` : tidy(because, now);
};

const channelCells = ({ name, type, what, waiting, failing }: ChannelHealth, now: Time, p: Paint): Cell[] => [
  [name, p.bold],
  type,
  what,
  waiting > 0 ? `${waiting} wait` : '',
  failing ? [`fails since ${ago(failing.since, now)}: ${failing.because}`, p.red] : ['told', p.green],
];
export const showChannels = ({ channels, at }: { channels: readonly ChannelHealth[]; at: Time }, p: Paint): string[] =>
  channels.length === 0
    ? ['Nobody is told: steward.yml names no channel.']
    : [
        ...table(
          channels.map((c) => channelCells(c, at, p)),
          p,
        ),
        '',
        p.dim('To try one: steward channels test <name>'),
      ];

export const showLines = (lines: readonly Line[], now: Time, p: Paint): string[] =>
  table(
    lines.map((i): Cell[] => [
      [i.id, p.dim],
      i.remediation,
      short(i.target),
      [stateOf(i), tone(p, i)],
      ago(i.closedAt ?? i.openedAt, now),
      lineText(i, now),
    ]),
    p,
  );

export const showIncidents = ({ incidents, at }: { incidents: readonly Line[]; at: Time }, p: Paint): string[] =>
  incidents.length === 0
    ? ['There is none.']
    : [...showLines(incidents, at, p), '', p.dim('Each in full: steward why <id>')];

export const showDone = ({ say, next, by, at, links }: Done, p: Paint): string[] => [
  `${p.green('✓')} ${p.bold(tidy(say, at))}`,
  p.dim(`  as ${who(by)}`),
  ...(links ?? []).flatMap(({ label, url }) => ['', `  ${p.bold(label)}`, `  ${url}`]),
  ...(links ? [''] : []),
  `  ${next}`,
];

const isRefusal = (f: Finding): f is Refusal => 'because' in f;

const showGuards = (guards: readonly Finding[], now: Time, p: Paint, plans: readonly string[] = []): string[] =>
  table(
    guards.flatMap((g): Cell[][] =>
      isRefusal(g)
        ? [
            [['✗', p.red], g.guard, tidy(g.because, now, plans)],
            ['', '', [`→ ${tidy(g.remedy, now)}`, p.cyan]],
          ]
        : [[['✓', p.green], g.guard, [tidy(g.passed, now), p.dim]]],
    ),
    p,
  );

/** The incident's own log, in plain words. */
const WORDS: Readonly<Record<string, string>> = {
  signal: 'told',
  seen: 'saw',
  refused: 'held back',
  reserved: 'begins',
  guards: 'guards',
  outcome: 'result',
  effect: 'effect',
  answer: 'person',
  waiting: 'waits',
  escalated: 'calls you',
  snoozed: 'tells nobody',
  closed: 'ended',
};

const showLog = ({ log, openedAt }: Incident, now: Time, p: Paint, plans: readonly string[]): string[] =>
  table(
    log.map(({ at, what, say }): Cell[] => [
      timeOf(at, now),
      [at > openedAt ? `+${span(at - openedAt)}` : '', p.dim],
      [WORDS[what] ?? what, what === 'refused' || what === 'escalated' ? p.yellow : p.bold],
      tidy(say, now, plans),
    ]),
    p,
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
  return [`${a.n}`, timeOf(a.reservedAt, now), [effect ? `${outcome}, ${effect}` : outcome, colour], a.plan];
};

const timing = ({ signals, actedAt, healthyAt }: Incident): string | undefined => {
  if (healthyAt === undefined) return undefined;
  const acted = actedAt === undefined ? 'nothing had to be done' : `begun after ${span(actedAt - signals.firstAt)}`;
  return `${acted}, healthy after ${span(healthyAt - signals.firstAt)}`;
};

const nextOf = ({ incident, now: look, pauses, canUndo }: Explained, at: Time, plans: readonly string[]): string[] => {
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
    ...(look
      ? [`${tidy(again(look, incident), at, plans)}.${when}`]
      : [`It looks again ${ago(incident.dueAt, at)} at the latest.`]),
    ...(asked ? [`To allow it: steward approve ${id}`, `To forbid it: steward deny ${id}`] : []),
    ...pauses.map((one) => `Paused: ${pauseLine(one, at)}. To go on: steward resume ${one.scope}`),
    ...(pauses.length === 0
      ? [`To stop it: steward pause ${short(target).startsWith('i-') ? short(target) : target} --reason '…'`]
      : []),
  ];
};

/** The same, without saying twice what stands above. */
const again = (look: Answer, { because }: Incident): string =>
  look.verdict.do === 'escalate' && look.verdict.because === because
    ? `A person is needed. What to do: ${look.verdict.remedy}`
    : verdictLine(look, 'will');

/** What a look came to, without the full stop. */
const verdictLine = ({ verdict, refused }: Answer, tense: 'will' | 'would'): string => {
  switch (verdict.do) {
    case 'act':
      if (refused?.consequence === 'ask') return `It ${tense} ${verdict.plan}, once a person says yes`;
      return refused
        ? `It would ${verdict.plan}, but ${refused.guard} holds it back: ${refused.because}`
        : `It ${tense} ${verdict.plan}, because ${verdict.because}`;
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

/** Plans are long, and told often: once in full is enough. */
const plansOf = ({ incident: { ask, attempts }, now: look }: Explained): string[] => [
  ...(ask ? [ask.plan] : []),
  ...attempts.map((a) => a.plan),
  ...(look?.verdict.do === 'act' ? [look.verdict.plan] : []),
];

const factsOf = ({ incident: i, now: look }: Explained, at: Time, p: Paint): Cell[][] => {
  const plan = i.ask ?? (look?.verdict.do === 'act' ? look.verdict : undefined);
  const known: [string, string | undefined][] = [
    ['wants to', i.state === 'closed' ? undefined : plan?.plan],
    ['because', i.state !== 'closed' && plan ? plan.because : i.because],
    ['seen', i.seen === i.because ? undefined : i.seen],
    ['took', timing(i)],
    [
      'since',
      `${clock(i.openedAt)}, ${ago(i.openedAt, at)}${i.signals.count > 1 ? `; signalled ${i.signals.count} times` : ''}`,
    ],
    ['group', i.group && `${i.group}${i.groupSize === undefined ? '' : `, ${i.groupSize} members`}`],
    ['asked by', i.askedBy],
    [
      'snoozed',
      i.snooze && i.snooze.until > at
        ? `until ${clock(i.snooze.until)}, by ${i.snooze.by}: ${i.snooze.why}`
        : undefined,
    ],
    ['approved', i.approval && `by ${i.approval.by} at ${clock(i.approval.at)}`],
  ];
  return [
    ...known.flatMap(([name, value]): Cell[][] => (value === undefined ? [] : [[name, tidy(value, at)]])),
    ['incident', [i.id, p.dim]],
  ];
};

const CALLS = 12;
const showCalls = ({ calls = [], noCalls }: Explained, at: Time, p: Paint): string[] => {
  if (noCalls !== undefined) return [p.yellow(`  The activity log cannot be asked: ${noCalls}`)];
  const rows = calls
    .slice(-CALLS)
    .map((c): Cell[] => [
      [timeOf(c.at, at), p.dim],
      who(c.who[0] ?? 'unknown'),
      c.error === undefined ? c.what : [c.what, p.red],
      c.error === undefined ? c.resources.slice(0, 3).join(' ') : [c.error, p.red],
    ]);
  const more =
    calls.length > CALLS ? [p.dim(`  and ${calls.length - CALLS} before: steward activity search --around`)] : [];
  return [...table(rows, p), ...more];
};

/** Of log lines that a step kept, the last. */
const KEPT = 20;
const showKept = ({ attempts, target, id }: Incident, p: Paint): string[] =>
  attempts.flatMap(({ receipt }) => {
    const { lines = [] } = (receipt ?? {}) as { readonly lines?: readonly string[] };
    const more =
      lines.length > KEPT
        ? [
            p.dim(
              `  ${lines.length - KEPT} before: steward release show ${short(target).replace('service/', '')} <revision>, or why ${id} --json`,
            ),
          ]
        : [];
    return [...more, ...lines.slice(-KEPT).map((line) => `  ${line}`)];
  });

const showIncident = (e: Explained, at: Time, p: Paint): string[] => {
  const { incident: i, now: look } = e;
  const plans = plansOf(e);
  const attempts = i.attempts.map((a) => attemptCells(a, at, p));
  const next = nextOf(e, at, plans).map((line): Cell[] => [line]);
  return [
    `${p.bold(i.remediation)} on ${p.bold(short(i.target))}: ${tone(p, i)(stateOf(i))}`,
    ...table(factsOf(e, at, p), p),
    ...section('What happened', showLog(i, at, p, plans), p),
    ...section('What it did', table(attempts, p), p),
    ...section('What it kept', showKept(i, p), p),
    ...section('Who changed something around it', showCalls(e, at, p), p),
    ...section('What the guards say now', look?.guards ? showGuards(look.guards, at, p, plans) : [], p),
    ...section('What comes next', table(next, p), p),
  ];
};

export const showWhy = ({ incidents, nothing, at, about }: Why, p: Paint): string[] => {
  if (incidents.length > 0) return incidents.flatMap((e, n) => [...(n > 0 ? ['', ''] : []), ...showIncident(e, at, p)]);
  return [`${p.bold(short(about))}: there is no incident.`, ...(nothing ? showPlan({ answers: nothing, at }, p) : [])];
};

export const showPlan = ({ answers, at }: { answers: readonly Answer[]; at: Time }, p: Paint): string[] => [
  ...answers.flatMap((a) => [
    '',
    p.bold(a.remediation),
    ...table([[tidy(verdictLine(a, 'would'), at)]], p),
    ...(a.seen === undefined || a.seen === a.verdict.because ? [] : [p.dim(`  seen: ${a.seen}`)]),
    ...(a.guards ? showGuards(a.guards, at, p, a.verdict.do === 'act' ? [a.verdict.plan] : []) : []),
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
