/**
 * What Steward itself sees, decides, refuses and does, and what people ask of it, as entries of the same log: shaped as CloudTrail's records are, so that one search finds both. An
 * entry follows from what was written down, and from nothing else: the same change told twice is the same entry.
 */
import { type Attempt, type Incident, type Line, stepText } from '../core/incident.ts';
import type { Pause, StoreRecord, Switches } from '../core/store.ts';
import { iso, type Time } from '../core/time.ts';
import type { Json } from '../core/verdict.ts';
import type { Writer } from './append.ts';
import { sha256 } from './hashing.ts';
import { type LogTable, newestOf, PARTITION } from './log.ts';
import type { Place } from './trailLayout.ts';

/** `eventSource` of all of them: `--action steward:` finds them, `--action steward:Reserve` those of one kind. */
export const STEWARD = 'steward';

export interface Said {
  readonly name: string;
  /** Unique: what is said twice under one id is one entry. */
  readonly id: string;
  readonly at: Time;
  /** A person's ARN, `link:<recipient>` or `slack:…`; absent: Steward. */
  readonly by?: string | undefined;
  readonly error?: { readonly code: string; readonly message: string };
  /** Keys that end in Id, Arn or Name are what it is found by. */
  readonly about: { readonly [key: string]: Json };
}

/** Steward is named in each: it acted, or the person acted through it. */
const identityOf = (by: string | undefined): { readonly [key: string]: Json } => {
  if (by === undefined) return { type: 'Steward', userName: STEWARD };
  return by.startsWith('arn:')
    ? { type: 'Person', arn: by, invokedBy: STEWARD }
    : { type: 'Person', userName: by, invokedBy: STEWARD };
};

export const entryOf = ({ name, id, at, by, error, about }: Said, { account, region }: Place): Buffer =>
  Buffer.from(
    JSON.stringify({
      eventVersion: '1',
      userIdentity: identityOf(by),
      eventTime: iso(at),
      eventSource: STEWARD,
      eventName: name,
      awsRegion: region,
      ...(error ? { errorCode: error.code, errorMessage: error.message } : {}),
      requestParameters: about,
      eventID: `${STEWARD}/${id}`,
      recipientAccountId: account,
    }),
  );

/** What a line of an incident's record is called. */
const NAMES: Readonly<Record<string, string>> = {
  signal: 'Signal',
  seen: 'Look',
  waiting: 'Wait',
  refused: 'Refuse',
  reserved: 'Reserve',
  guards: 'PassGuards',
  outcome: 'Outcome',
  effect: 'Judge',
  escalated: 'Escalate',
  snoozed: 'HoldBack',
  closed: 'Close',
};
const ANSWERS = [
  [/^(?<by>\S.*?) approved at /, 'Approve'],
  [/^(?<by>\S.*?) said no to: /, 'Deny'],
  [/^(?<by>\S.*?) snoozed it until /, 'Snooze'],
  [/^(?<by>\S.*?) asked at \S+ to put back /, 'Undo'],
  [/^(?<by>\S.*?) asked at \S+ for at least /, 'Scale'],
  [/^(?<by>\S.*?) no longer asks to put back /, 'WithdrawUndo'],
  [/^(?<by>\S.*?) made links for /, 'MakeLinks'],
  [/^(?<by>\S.*?) resumed /, 'Resume'],
  [/^a (?:link|Slack button) for (?<link>.+?)(?:, made by .+?,)? was used to /, 'UseLink'],
] as const;

const answerIn = (say: string): { readonly name: string; readonly by?: string | undefined } => {
  for (const [words, name] of ANSWERS) {
    const { by, link } = words.exec(say)?.groups ?? {};
    if (by !== undefined || link !== undefined) return { name, by: by ?? `link:${link}` };
  }
  return { name: 'Answer' };
};

/** What was reserved at that time: the step that is about to be run, as it was written down before. */
const reservedAt = ({ attempts }: Incident, at: Time): { readonly [key: string]: Json } => {
  const attempt: Attempt | undefined = attempts.findLast((a) => a.reservedAt === at);
  if (!attempt) return {};
  const { n, rung, step, plan, because, token } = attempt;
  return {
    attempt: n,
    rung,
    step,
    stepSha256: sha256(Buffer.from(stepText(step))).toString('hex'),
    plan,
    because,
    token,
  };
};

const ofLine = (incident: Incident, { at, what, say }: Line): Said => {
  const { id, target, remediation, group } = incident;
  const hash = sha256(Buffer.from(`${at} ${what} ${say}`))
    .toString('hex')
    .slice(0, 20);
  const { name, by } = what === 'answer' ? answerIn(say) : { name: NAMES[what] ?? what, by: undefined };
  return {
    name,
    id: `${id}/${hash}`,
    at,
    by,
    ...(what === 'refused' ? { error: { code: 'Refused', message: say } } : {}),
    about: {
      incidentId: id,
      targetArn: target,
      remediationName: remediation,
      ...(group === undefined ? {} : { groupName: group }),
      say,
      ...(what === 'reserved' ? reservedAt(incident, at) : {}),
    },
  };
};

const ofIncident = (incident: Incident, before: Incident | undefined): Said[] => {
  const known = new Set(before?.log.map((l) => JSON.stringify(l)));
  return incident.log.filter((l) => !known.has(JSON.stringify(l))).map((line) => ofLine(incident, line));
};

const ofPause = (name: string, p: Pause): Said => ({
  name,
  id: `switches/${p.scope}/${p.at}/${name}`,
  at: p.at,
  by: name === 'Pause' ? p.by : undefined,
  about: {
    scopeName: p.scope,
    say: p.why,
    pausedBy: p.by,
    ...(p.until === undefined ? {} : { until: iso(p.until) }),
  },
});

/** Who has lifted a pause, the command's own entry says. */
const ofSwitches = ({ pauses }: Switches, before: Switches | undefined, now: Time): Said[] => {
  const isIn = (list: readonly Pause[], p: Pause): boolean => list.some((q) => q.scope === p.scope && q.at === p.at);
  const had = before?.pauses ?? [];
  return [
    ...pauses.filter((p) => !isIn(had, p)).map((p) => ofPause('Pause', p)),
    ...had.filter((p) => !isIn(pauses, p)).map((p) => ({ ...ofPause('EndPause', p), at: now })),
  ];
};

export interface Changed {
  readonly before?: StoreRecord | undefined;
  readonly after?: StoreRecord | undefined;
  /** When the table was written. */
  readonly at: Time;
}

/** What a change of the state says that was not said before. */
export const entriesOf = ({ before, after, at }: Changed): Said[] => {
  if (after?.kind === 'incident') return ofIncident(after, before?.kind === 'incident' ? before : undefined);
  if (after?.kind === 'switches') return ofSwitches(after, before?.kind === 'switches' ? before : undefined, at);
  return [];
};

/**
 * Each policy that was deployed, once more when it comes back. Who deployed it, CloudTrail says (UpdateFunctionCode). It is written down first: whoever dies before it is in the
 * log leaves it to the next, with the same time and so the same entry.
 */
export const notePolicy = async (
  { table, writer, now, home }: { table: LogTable; writer: Pick<Writer, 'append'>; now: Time; home: Place },
  policy: Json,
): Promise<void> => {
  const text = stepText(policy);
  const bytesOf = (at: Time): Buffer => Buffer.from(JSON.stringify({ at, policy: text }));
  const item = await newestOf(table, PARTITION.policy);
  const last = item && (JSON.parse(Buffer.from(item.bytes).toString('utf8')) as { at: Time; policy: string });
  const isKnown = last?.policy === text;
  const slot = isKnown ? (item?.slot ?? 0) : (item?.slot ?? -1) + 1;
  const at = isKnown ? last.at : now;
  if (!isKnown && (await table.put({ partition: PARTITION.policy, slot, bytes: bytesOf(at) })) === 'taken') return;
  const policySha256 = sha256(Buffer.from(text)).toString('hex');
  const about = { policyId: policySha256, policy };
  await writer.append('steward', [entryOf({ name: 'DeployPolicy', id: `policy/${slot}`, at, about }, home)]);
};

/** A person's command to Steward, as it was asked; with the reason, where it was refused. */
export const commandEntry = (
  command: { readonly do: string; readonly incident?: string },
  { by, at, id, refused }: { readonly by?: string; readonly at: Time; readonly id: string; readonly refused?: string },
): Said => {
  const { do: name, incident, ...rest } = command;
  return {
    name: `Command${name.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    id: `command/${id}${refused === undefined ? '' : '/refused'}`,
    at,
    by: by ?? 'unproven',
    ...(refused === undefined ? {} : { error: { code: 'Refused', message: refused } }),
    about: { ...(incident === undefined ? {} : { incidentId: incident }), ...(rest as { [key: string]: Json }) },
  };
};
