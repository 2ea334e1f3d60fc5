/**
 * What `steward` asks of its function: all reading, and every command of people. A command carries the proof of who gives it; a question needs none,
 * for whoever may invoke the function may read, unless steward.yml says who reads what of the activity log. Each command is one transaction with version checks, tried again when someone else wrote first.
 */
import * as z from 'zod/mini';
import { commandEntry, type Said } from '../activity/entries.ts';
import type { Query } from '../activity/search.ts';
import type { Estate } from '../aws/estate.ts';
import { commandHash, type Expected, NotProven, type Proof, proofSchema } from '../aws/identity.ts';
import type { Tagged } from '../aws/tagged.ts';
import { InvalidInput, NotFound, StewardError } from '../core/errors.ts';
import type { Parameters } from '../core/ports.ts';
import { carriersOf, mayReadBy, readerFor } from '../core/readers.ts';
import { SNOOZE_LIMIT } from '../core/snooze.ts';
import { days, type Time } from '../core/time.ts';
import type { Json } from '../core/verdict.ts';
import { SCALE_LIMIT } from '../core/wish.ts';
import type { ActivityLog } from './activity.ts';
import {
  type ActivityPage,
  type ActivityPlace,
  type ActivityWhere,
  activityQuestion,
  searchActivity,
  searchAround,
  whereQuestion,
} from './activityQuestions.ts';
import { channels } from './channelHealth.ts';
import { carryOut } from './commands.ts';
import { check } from './doctor.ts';
import { plan } from './heal.ts';
import type { Link } from './links/mint.ts';
import type { Mac } from './links/ticket.ts';
import { list, parked, status } from './questions.ts';
import { releasesOf } from './releases.ts';
import { Declined } from './replies.ts';
import { searchSessions, sessionsQuestion } from './sessionQuestions.ts';
import { findIncident, isIncidentId, namedTarget, why } from './why.ts';
import type { Wired } from './wire.ts';
import { zonesOf } from './zones.ts';

export interface AnswerDeps extends Wired {
  readonly stage: string;
  readonly region: string;
  /** @throws NotProven */
  readonly identify: (proof: Proof, expected: Expected) => Promise<string>;
  /** Loaded for `doctor` only. */
  readonly estate: () => Promise<Estate>;
  /** Where the policy opens the public door: where it is, and what signs links to it. */
  readonly links?: { readonly url: string; readonly mac: () => Promise<Mac> };
  /** Loaded for questions about the activity log only. */
  readonly activity: () => Promise<{ readonly log: ActivityLog; readonly where: ActivityWhere }>;
  /** What carries a tag; where steward.yml tells readers by tags. */
  readonly tagged: () => Promise<Tagged>;
  /** Into the activity log. */
  readonly note: (said: Said) => Promise<void>;
  /** Under the function's own role: the drill's parameter and no other. */
  readonly parameters: () => Promise<Pick<Parameters, 'put'>>;
}

const text = z.string().check(z.minLength(1), z.maxLength(2048));
const words = z.string().check(z.regex(/\S/), z.maxLength(300));
const ids = z.union([z.literal('all'), z.array(text).check(z.minLength(1), z.maxLength(100))]);

const question = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('status') }),
  z.strictObject({
    do: z.literal('incidents'),
    /** Closed ones of so many days back; absent: what is open. */
    days: z.optional(z.int().check(z.gte(1), z.lte(400))),
    target: z.optional(text),
    group: z.optional(text),
    limit: z.int().check(z.gte(1), z.lte(500)),
  }),
  /** `quick`: from the record alone, without a look. */
  z.strictObject({ do: z.literal('why'), about: text, quick: z.optional(z.boolean()) }),
  z.strictObject({ do: z.literal('plan'), target: text, remediation: z.optional(text) }),
  /** With an id: that one, whole. */
  z.strictObject({ do: z.literal('parked'), id: z.optional(text) }),
  /** Of a service or a group; absent: of all that there are. */
  z.strictObject({ do: z.literal('zones'), about: z.optional(text) }),
  z.strictObject({ do: z.literal('check') }),
  z.strictObject({ do: z.literal('channels') }),
  /** With `of`: that one, with what was kept of it. */
  z.strictObject({ do: z.literal('releases'), serviceName: text, of: z.optional(text) }),
  activityQuestion,
  sessionsQuestion,
  whereQuestion,
]);
const command = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('approve'), incident: text, step: z.string() }),
  z.strictObject({ do: z.literal('deny'), incident: text, step: z.string(), why: z.optional(words) }),
  z.strictObject({
    do: z.literal('snooze'),
    incident: text,
    why: words,
    forMs: z.int().check(z.gte(60_000), z.lte(SNOOZE_LIMIT)),
  }),
  z.strictObject({ do: z.literal('link'), incident: text, to: text }),
  z.strictObject({
    do: z.literal('pause'),
    scope: text,
    why: words,
    forMs: z.optional(z.int().check(z.gte(60_000), z.lte(days(366)))),
  }),
  z.strictObject({ do: z.literal('resume'), scope: text }),
  z.strictObject({ do: z.literal('undo'), incident: text }),
  z.strictObject({
    do: z.literal('scale'),
    what: text,
    to: z.int().check(z.gte(1), z.lte(10_000)),
    why: words,
    /** Absent: for good. */
    forMs: z.optional(z.int().check(z.gte(60_000), z.lte(SCALE_LIMIT))),
  }),
  z.strictObject({ do: z.literal('replay'), ids }),
  z.strictObject({ do: z.literal('drop'), ids }),
  z.strictObject({ do: z.literal('promote'), serviceName: text, why: words }),
  z.strictObject({ do: z.literal('roll-back'), serviceName: text, to: z.optional(text), why: words }),
  z.strictObject({ do: z.literal('drill') }),
  z.strictObject({ do: z.literal('test-channel'), channel: text }),
]);
export type Question = z.output<typeof question>;
export type Command = z.output<typeof command>;

const asked = z.strictObject({ ask: question, stage: z.optional(text), proof: z.optional(proofSchema) });
type Asked = z.output<typeof asked>;
const commanded = z.strictObject({ command, stage: text, proof: proofSchema });

export interface Done {
  readonly by: string;
  readonly say: string;
  /** What happens now, and what one may want to do next. */
  readonly next: string;
  readonly incident?: string;
  readonly links?: readonly Link[];
  /** Of the drill. */
  readonly target?: string;
  readonly at: Time;
}

export type Reply =
  | { readonly ok: true; readonly result: object }
  | {
      readonly ok: false;
      readonly kind: 'invalid' | 'not-found' | 'refused' | 'failed';
      readonly message: string;
      readonly remedy?: string;
    };

/** Never throws what can be said: only our own bugs get out. */
export const answer = async (raw: unknown, deps: AnswerDeps): Promise<Reply> => {
  try {
    const isCommand = typeof raw === 'object' && raw !== null && 'command' in raw;
    const result = isCommand ? obey(z.parse(commanded, raw), deps) : reply(z.parse(asked, raw), deps);
    return { ok: true, result: await result };
  } catch (e) {
    return replyOf(e);
  }
};

const replyOf = (e: unknown): Reply => {
  if (e instanceof z.core.$ZodError)
    return {
      ok: false,
      kind: 'invalid',
      message: `the request cannot be read: ${e.issues.map((i) => `${i.path.join('.')} ${i.message}`).join('; ')}`,
      remedy: 'use the CLI of the version that is deployed',
    };
  if (!(e instanceof StewardError)) throw e;
  const message = e.message;
  if (e instanceof Declined) return { ok: false, kind: 'refused', message, remedy: e.remedy };
  if (e instanceof NotProven) return { ok: false, kind: 'refused', message };
  if (e instanceof NotFound) return { ok: false, kind: 'not-found', message };
  if (e instanceof InvalidInput) return { ok: false, kind: 'invalid', message };
  return {
    ok: false,
    kind: 'failed',
    message,
    remedy: e.retry === 'later' ? 'try again in a moment' : 'mend what the message names: steward doctor',
  };
};

/** What the asker may see of the activity log; undefined: all of it. @throws NotProven; Declined: steward.yml does not name him */
const readingOf = async ({ ask, stage = '', proof }: Asked, deps: AnswerDeps): Promise<Query['mayRead']> => {
  const { readers } = deps.policy.activity;
  if (readers.length === 0) return undefined;
  if (!proof || stage !== deps.stage)
    throw new NotProven(
      `steward.yml says who may read the activity log, and who asks is not proven. What to do: use the CLI of the version that is deployed, with --stage ${deps.stage}`,
    );
  const by = await deps.identify(proof, {
    hash: commandHash(stage, ask as Json),
    region: deps.region,
    now: deps.now(),
  });
  const reader = readerFor(readers, by);
  if (!reader)
    throw new Declined({
      no: `${by} is none of activity.readers in steward.yml`,
      remedy: 'ask with the credentials of one of them, or have it added and deployed',
    });
  const hasTags = Object.keys(reader.tags).length > 0;
  return mayReadBy(reader, hasTags ? carriersOf(await (await deps.tagged())(reader.tags)) : undefined);
};

const reply = async (request: Asked, deps: AnswerDeps): Promise<object> => {
  const { ask: q } = request;
  const reading = () => readingOf(request, deps);
  switch (q.do) {
    case 'status':
      return status(deps);
    case 'incidents':
      return { at: deps.now(), incidents: await list(q, deps) };
    case 'why':
      return why(q.about, { ...deps, reading }, q.quick ?? false);
    case 'plan': {
      const target = isIncidentId(q.target)
        ? (await findIncident(q.target, deps)).target
        : namedTarget(q.target, deps).arn;
      return { target, at: deps.now(), answers: (await plan(target, q.remediation, deps)).answers };
    }
    case 'parked':
      return { at: deps.now(), parked: await parked(q.id, deps) };
    case 'check':
      return check(deps);
    case 'channels':
      return { at: deps.now(), channels: await channels(deps) };
    case 'zones':
      return zonesOf(q.about, deps);
    case 'releases':
      return releasesOf(q, deps);
    case 'activity':
      return activity(q, { ...deps, mayRead: await reading() });
    case 'activity-sessions': {
      const mayRead = await reading();
      return searchSessions(q, { log: (await deps.activity()).log, now: deps.now(), mayRead });
    }
    case 'activity-where':
      return {
        ...(await deps.activity()).where,
        at: deps.now(),
        declared: Object.keys(deps.policy.trails),
      } satisfies ActivityPlace;
  }
};

const activity = async (
  q: Extract<Question, { do: 'activity' }>,
  deps: AnswerDeps & { readonly mayRead: Query['mayRead'] | undefined },
): Promise<ActivityPage> => {
  const { log } = await deps.activity();
  const { stage, mayRead } = deps;
  const now = deps.now();
  if (q.around === undefined) return searchActivity(q, { log, now, mayRead });
  return searchAround(q, await findIncident(q.around, deps), { log, now, stage, mayRead });
};

/** What only stops or puts off is done even if the activity log cannot be told: nobody waits for a queue to pull a brake. */
const BRAKES: ReadonlySet<Command['do']> = new Set(['pause', 'deny', 'snooze']);

/** In the activity log before it is carried out; and that it was refused, by whatever said no. */
const noted = async <T>(c: Command, by: string | undefined, deps: AnswerDeps, work: () => Promise<T>): Promise<T> => {
  const id = deps.newId();
  const said = { ...(by === undefined ? {} : { by }), at: deps.now(), id };
  if (by !== undefined)
    await deps.note(commandEntry(c, said)).catch((e: unknown) => {
      if (!BRAKES.has(c.do)) throw e;
    });
  try {
    return await work();
  } catch (e) {
    // The refusal itself stands, whether or not it could be told.
    if (e instanceof Declined || e instanceof NotProven)
      await deps.note(commandEntry(c, { ...said, refused: e.message })).catch(() => undefined);
    throw e;
  }
};

const obey = async ({ command: c, stage, proof }: z.output<typeof commanded>, deps: AnswerDeps): Promise<Done> => {
  if (stage !== deps.stage) throw new InvalidInput(`the command is for stage ${stage}, this is ${deps.stage}`);
  const hash = commandHash(stage, c as Json);
  const by = await noted(c, undefined, deps, () =>
    deps.identify(proof, { hash, region: deps.region, now: deps.now() }),
  );
  return noted(c, by, deps, async () => ({ by, at: deps.now(), ...(await carryOut(c, by, deps)) }));
};
