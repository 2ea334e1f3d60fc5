/**
 * What a link carries: one answer of one recipient to one question, for a time, signed. It stands in the link as it is, so nothing is stored before it is
 * used; the key lies in KMS and never leaves it (docs/adr/0036-links.md).
 *
 *   base64url(JSON) . base64url(HMAC-SHA-256 over the text before the point)
 */
import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import { type No, over, type Ruling, undoable } from '../../core/answers.ts';
import { type Incident, logged, stepText } from '../../core/incident.ts';
import { ANSWERS } from '../../core/policy.ts';
import { iso, type Time } from '../../core/time.ts';

export type LinkAnswer = (typeof ANSWERS)[number];

/** Signs and proves texts. Nobody else can sign. */
export interface Mac {
  sign(text: string): Promise<Uint8Array>;
  verify(text: string, mac: Uint8Array): Promise<boolean>;
}

const time = z.number().check(z.gte(0));
const text = (max: number) => z.string().check(z.minLength(1), z.maxLength(max));
const ticket = z.strictObject({
  /** Format. */
  v: z.literal(1),
  stage: text(64),
  incident: text(26),
  target: text(1024),
  answer: z.enum(ANSWERS),
  /** The question: since when it is asked, after how many attempts, about which step. */
  since: time,
  attempts: time,
  step: z.string().check(z.maxLength(43)),
  until: time,
  via: z.enum(['link', 'slack']),
  /** The recipient; of a Slack button the workspace. */
  to: text(64),
  /** Who had it made, if that was a person. */
  by: z.optional(text(2048)),
});
export type Ticket = z.output<typeof ticket>;

const hashOf = (words: string): string => createHash('sha256').update(words).digest('base64url');

export interface Asked {
  readonly since: Time;
  readonly attempts: number;
  readonly step: string;
  /** It is a question no more. */
  readonly until?: Time;
}

/** What an answer would be about now. Undefined: there is nothing to answer so. */
export const askedNow = (answer: LinkAnswer, incident: Incident, now: Time): Asked | undefined => {
  const { ask, attempts, escalatedAt } = incident;
  if (answer === 'undo') {
    const attempt = incident.undoWanted ? undefined : undoable(incident);
    return attempt && { since: attempt.reservedAt, attempts: attempt.n, step: hashOf(stepText(attempt.step)) };
  }
  if (incident.state === 'closed') return undefined;
  const open = ask && ask.until > now && !incident.approval;
  if (open) return { since: ask.since, attempts: attempts.length, step: hashOf(stepText(ask.step)), until: ask.until };
  const told = incident.state === 'escalated' || incident.state === 'snoozed';
  return answer === 'snooze' && told && escalatedAt !== undefined
    ? { since: escalatedAt, attempts: attempts.length, step: '' }
    : undefined;
};

export const sealed = async (given: Ticket, mac: Mac): Promise<string> => {
  const words = Buffer.from(JSON.stringify(given)).toString('base64url');
  return `${words}.${Buffer.from(await mac.sign(words)).toString('base64url')}`;
};

/** A ticket of 4 KB is more than any that was made here. */
const LONGEST = 4_096;
/** 32 bytes of HMAC-SHA-256. */
const SHAPE = /^([\w-]+)\.([\w-]{43})$/;

const parsed = (words: string): Ticket | undefined => {
  try {
    return z.parse(ticket, JSON.parse(Buffer.from(words, 'base64url').toString('utf8')));
  } catch {
    return undefined;
  }
};

/** @returns undefined for whatever was not made here, letter by letter. Says nothing about its time. @throws what the key throws */
export const opened = async (token: string, stage: string, mac: Mac): Promise<Ticket | undefined> => {
  const [, words = '', seal = ''] = token.length > LONGEST ? [] : (SHAPE.exec(token) ?? []);
  const found = parsed(words);
  const bytes = Buffer.from(seal, 'base64url');
  // Two texts of base64 may mean the same bytes: only the one that was made is right.
  if (!found || found.stage !== stage || bytes.toString('base64url') !== seal) return undefined;
  return (await mac.verify(words, bytes)) ? found : undefined;
};

/** Answers by link that one incident takes; a person who still has something to say uses the CLI. */
const MOST = 200;
const keyOf = ({ answer, since, via, to }: Ticket): string => `${answer}/${since}/${via}:${to}`;

export type Claimed = Ruling<Incident>;

/**
 * Takes the ticket's one use, in the record that the answer itself replaces: both are written under one version check, or neither is.
 * No: it is over, used, late, or the world has changed.
 */
export const claim = (given: Ticket, incident: Incident, now: Time): Claimed => {
  const no = (why: string, remedy: string): No => ({ no: why, remedy });
  const look = `look at it: steward why ${incident.id}`;
  const used = incident.usedLinks?.[keyOf(given)];
  if (used !== undefined) return no(`this answer was given at ${iso(used)}: a link is good once`, look);
  if (given.until <= now) return no(`this link ended at ${iso(given.until)}`, look);
  if (incident.state === 'closed' && given.answer !== 'undo') return over(incident, given.answer);
  const asked = askedNow(given.answer, incident, now);
  if (!asked && incident.approval && given.answer !== 'undo')
    return no(`${incident.approval.by} approved it at ${iso(incident.approval.at)}`, look);
  if (asked?.since !== given.since || asked.attempts !== given.attempts || asked.step !== given.step)
    return no(
      `the world has changed since this link was made: incident ${incident.id} asks for something else by now`,
      look,
    );
  const before = Object.entries(incident.usedLinks ?? {});
  if (before.length >= MOST) return no(`incident ${incident.id} had ${MOST} answers by link`, 'use the CLI');
  return {
    ...logged(incident, now, 'answer', `${madeFor(given)} was used to ${given.answer}; whoever had it could use it`),
    usedLinks: Object.fromEntries([...before, [keyOf(given), now]]),
  };
};
const madeFor = ({ via, to, by }: Ticket): string =>
  `a ${via === 'link' ? 'link' : 'Slack button'} for ${to}${by ? `, made by ${by},` : ''}`;
