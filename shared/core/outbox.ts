/**
 * The outbox: what each channel was told of each incident, and what it is to be told. Pure. A notice is a record of its own, so that nothing is
 * told twice and nothing is forgotten: it is written down that it is being sent, then it is sent, then what came of it is written down. A send
 * whose end nobody knows is looked for at the channel, or repeated under the same token, never taken as done.
 */
import type { Traits } from './channels.ts';
import { Forbidden, messageOf, NotFound, RateLimited, type StewardError, Throttled, Unavailable } from './errors.ts';
import { newLines, type Rendered, type ThreadLine } from './notice.ts';
import { hours, minutes, seconds, type Time } from './time.ts';

/** A message, and the lines that hang below it. */
export type Part = 'main' | 'thread';

export type About =
  | { readonly is: 'incident'; readonly target: string; readonly id: string }
  | { readonly is: 'storm'; readonly remediation: string; readonly since: Time }
  | { readonly is: 'digest'; readonly from: Time; readonly until: Time }
  | { readonly is: 'test'; readonly id: string; readonly by: string };

export interface Notice {
  readonly kind: 'notice';
  readonly channel: string;
  readonly id: string;
  readonly version: number;
  readonly about: About;
  /** The content that it was told last (a hash), of which version of the incident, and when. */
  readonly told?: { readonly print: string; readonly of: number; readonly at: Time };
  /** The message at the channel, where it has a name there: Slack's ts. */
  readonly ref?: string;
  /** The last line that its thread was told. */
  readonly heard?: string;
  /** How many sends came to an end: with the content it makes the token of the next. */
  readonly sent: number;
  /** This part of it is being sent, since then. */
  readonly sending?: { readonly part: Part; readonly at: Time };
  /** A send of then, of that part, may or may not have arrived. */
  readonly uncertain?: Readonly<Partial<Record<Part, Time>>>;
  /** It has something to tell since then: its place in the order. */
  readonly since?: Time;
  readonly failures?: number;
  /** Why the last send failed. */
  readonly because?: string;
  /** When it is looked at next. Undefined: it is over. */
  readonly dueAt?: Time;
}

/** What is known of a channel. */
export interface ChannelBook {
  readonly kind: 'channel';
  readonly name: string;
  readonly version: number;
  /** Up to when the digest was made. */
  readonly digested: Time;
  /** When its latest messages were begun. */
  readonly recent: readonly Time[];
  /** Storms by remediation: what begins to need a person up to `until` is told there. */
  readonly storms: Readonly<Record<string, { readonly since: Time; readonly until: Time }>>;
  readonly failing?: {
    readonly since: Time;
    readonly failures: number;
    readonly because: string;
    /** It was made an incident. */
    readonly reported?: Time;
  };
  /** Nothing is sent before. */
  readonly blockedUntil?: Time;
}

export const noticeId = (about: About): string => {
  switch (about.is) {
    case 'incident':
    case 'test':
      return about.id;
    case 'storm':
      return `storm.${about.remediation}.${about.since}`;
    case 'digest':
      return `digest.${about.from}.${about.until}`;
  }
};

export const newNotice = (channel: string, about: About, now: Time): Notice => ({
  kind: 'notice',
  channel,
  id: noticeId(about),
  version: 0,
  about,
  sent: 0,
  since: now,
  dueAt: now,
});
export const newBook = (name: string, now: Time): ChannelBook => ({
  kind: 'channel',
  name,
  version: 0,
  digested: now,
  recent: [],
  storms: {},
});

/** What a notice says now. */
export interface Content {
  readonly rendered: Rendered;
  /** Hash of what the channel is told: of all of it, or of its gist. Undefined: nothing that such a channel is told. */
  readonly print: string | undefined;
  readonly lines: readonly ThreadLine[];
  /** Version of the incident. */
  readonly of: number;
}

/** A send is over after this, one way or the other: longer than the function may run. */
export const SEND_LIMIT = minutes(3);
/** What goes on is looked at so often, should the stream have lost its end. */
const RELOOK = hours(1);
/** A notice that the channel declines for what it says is tried again so rarely. */
const DECLINED_LIMIT = hours(1);
const BLOCK_LIMIT = minutes(15);
const backoff = (failures: number, limit: Time): Time => Math.min(limit, seconds(15) * 2 ** Math.min(failures, 12));

export type Next =
  | { readonly do: 'rest'; readonly put: Notice }
  | { readonly do: 'send'; readonly part: Part; readonly put: Notice };

const partDue = (n: Notice, content: Content, { threads }: Traits): Part | undefined => {
  const isOlder = n.told !== undefined && content.of < n.told.of;
  if (content.print !== undefined && content.print !== n.told?.print && !isOlder) return 'main';
  return threads && n.told && newLines(content.lines, n.heard).length > 0 ? 'thread' : undefined;
};

const settled = (n: Notice, open: boolean, now: Time): Notice => {
  const { since: _s, dueAt, failures: _f, because: _b, ...rest } = n;
  // Its next look moves only when it has come: an index is not written for nothing.
  const next = dueAt !== undefined && dueAt > now ? dueAt : now + RELOOK;
  return open ? { ...rest, dueAt: next } : rest;
};

/** The first send that may have arrived is the one to look for. */
const unsure = (n: Notice, { part, at }: { part: Part; at: Time }): Notice => ({
  ...n,
  uncertain: { ...n.uncertain, [part]: n.uncertain?.[part] ?? at },
});
const sure = ({ uncertain, ...n }: Notice, part: Part): Notice => {
  const { [part]: _, ...left } = uncertain ?? {};
  return Object.keys(left).length > 0 ? { ...n, uncertain: left } : n;
};

/** What to do about a notice now. @param content undefined: there is nothing (more) to tell. @param blocked the channel takes nothing now */
export const next = (
  notice: Notice,
  content: Content | undefined,
  { traits, blocked, now }: { traits: Traits; blocked: boolean; now: Time },
): Next => {
  if (notice.sending !== undefined && now < notice.sending.at + SEND_LIMIT) return { do: 'rest', put: notice };
  const { sending, ...rest } = notice;
  // Whoever sent it never came back.
  const n = sending === undefined ? rest : unsure(rest, sending);
  const part = content && partDue(n, content, traits);
  if (!content || !part) return { do: 'rest', put: settled(n, content?.rendered.open ?? false, now) };
  const since = n.since ?? now;
  const backedOff = n.failures !== undefined && n.dueAt !== undefined && n.dueAt > now;
  if (backedOff) return { do: 'rest', put: { ...n, since } };
  if (blocked) return { do: 'rest', put: { ...n, since, dueAt: since } };
  return { do: 'send', part, put: { ...n, since, sending: { part, at: now }, dueAt: now + SEND_LIMIT } };
};

/** It arrived. */
export const arrived = (
  notice: Notice,
  content: Content,
  {
    part,
    ref,
    heard,
    now,
    traits,
  }: { part: Part; ref?: string | undefined; heard?: string | undefined; now: Time; traits: Traits },
): Notice => {
  const { sending: _s, failures: _f, because: _b, ...rest } = notice;
  const told: Notice = {
    ...sure(rest, part),
    sent: rest.sent + 1,
    ...(ref === undefined ? {} : { ref }),
    ...(part === 'main' && content.print !== undefined
      ? { told: { print: content.print, of: content.of, at: now } }
      : {}),
    ...(part === 'thread' && heard !== undefined ? { heard } : {}),
  };
  // What is left to tell keeps its place.
  if (partDue(told, content, traits)) return { ...told, dueAt: told.since ?? now };
  const { dueAt: _d, ...over } = told;
  return settled(over, content.rendered.open, now);
};

/** It failed, or nobody knows. */
export const failed = (notice: Notice, e: StewardError, now: Time): Notice => {
  const { sending, ...rest } = notice;
  const because = messageOf(e).slice(0, 500);
  const waiting = { ...rest, because, dueAt: rest.since ?? now };
  if (e instanceof Unavailable) return unsure(waiting, sending ?? { part: 'main', at: now });
  if (e instanceof Throttled || e instanceof Forbidden) return waiting;
  // The message is gone at the channel, someone deleted it: it begins anew.
  if (e instanceof NotFound && rest.ref !== undefined) {
    const { ref: _r, told: _t, heard: _h, uncertain: _u, ...anew } = waiting;
    return anew;
  }
  const failures = (rest.failures ?? 0) + 1;
  return { ...waiting, failures, dueAt: now + backoff(failures + 2, DECLINED_LIMIT) };
};

/** What a failed send means for the whole channel. Undefined: nothing, it declined what this one says. */
export const bookAfterFailure = (book: ChannelBook, e: StewardError, now: Time): ChannelBook | undefined => {
  const wide = e instanceof Unavailable || e instanceof Throttled || e instanceof Forbidden || e instanceof NotFound;
  if (!wide) return undefined;
  const failures = (book.failing?.failures ?? 0) + 1;
  const wait = e instanceof RateLimited ? Math.max(e.afterMs, seconds(1)) : backoff(failures, BLOCK_LIMIT);
  return {
    ...book,
    failing: {
      ...book.failing,
      since: book.failing?.since ?? now,
      failures,
      because: messageOf(e).slice(0, 500),
    },
    blockedUntil: now + wait,
  };
};

/** It takes messages again. What was reported stays until the incident's parameter says so too. */
export const bookAfterSuccess = (book: ChannelBook): ChannelBook | undefined => {
  if (!book.failing && book.blockedUntil === undefined) return undefined;
  const { failing, blockedUntil: _, ...rest } = book;
  return failing?.reported === undefined ? rest : { ...rest, failing: { ...failing, failures: 0 } };
};

/** More messages than this begun within five minutes are a storm. */
const STORM_AT = 10;
const STORM_WITHIN = minutes(5);
/** A storm takes in what begins to need a person until none did for so long. */
const STORM_QUIET = minutes(5);

export type Place =
  | { readonly in: 'own'; readonly book: ChannelBook }
  | { readonly in: 'storm'; readonly since: Time; readonly book: ChannelBook; readonly begins: boolean };

/** Where a new notice belongs: a message of its own, or the storm of its remediation. @param at when it began to need a person */
export const placeOf = (book: ChannelBook, remediation: string, at: Time, now: Time): Place => {
  const storm = book.storms[remediation];
  // Within the quiet time of its last member.
  if (storm && at <= storm.until) {
    const until = Math.max(storm.until, now + STORM_QUIET);
    // Written once a minute at most.
    const moved = now <= storm.until && until - storm.until > minutes(1);
    const next = moved ? { ...book, storms: { ...book.storms, [remediation]: { ...storm, until } } } : book;
    return { in: 'storm', since: storm.since, book: next, begins: false };
  }
  const recent = book.recent.filter((t) => t > now - STORM_WITHIN);
  if (recent.length < STORM_AT) return { in: 'own', book: { ...book, recent: [...recent, now] } };
  const storms = { ...book.storms, [remediation]: { since: now, until: now + STORM_QUIET } };
  return { in: 'storm', since: now, begins: true, book: { ...book, recent, storms } };
};

/** Storms that are over are forgotten once their last word was told. */
export const withoutStorm = (book: ChannelBook, remediation: string): ChannelBook => ({
  ...book,
  storms: Object.fromEntries(Object.entries(book.storms).filter(([name]) => name !== remediation)),
});
