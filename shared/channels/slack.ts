/**
 * Slack, with a bot token (`chat:write`; `channels:history` or `groups:history` to look before it repeats). One message per notice, edited as it goes, its log in the thread.
 * Slack has no idempotency key: a message carries its notice in its metadata, and a send whose reply was lost is looked for before it is repeated.
 */
import { Forbidden, NotFound, RateLimited, Refused, type StewardError, Unavailable } from '../core/errors.ts';
import type { Channel, Letter } from '../core/letter.ts';
import type { Rendered } from '../core/notice.ts';
import { minutes, seconds, type Time } from '../core/time.ts';
import { call, errorOf, type Web } from './http.ts';

const API = 'https://slack.com/api/';
const EVENT = 'steward_notice';
/** Characters of a section's text: Block Kit allows 3000. */
const SECTION = 2_900;
const LINES = 11_000;
/** So many pages of 200 are looked through. */
const PAGES = 5;

const SIGNS: Readonly<Record<Rendered['stage'], string>> = {
  asks: ':raised_hand:',
  calls: ':rotating_light:',
  approved: ':thumbsup:',
  works: ':wrench:',
  held: ':hourglass_flowing_sand:',
  snoozed: ':zzz:',
  healed: ':white_check_mark:',
  undone: ':leftwards_arrow_with_hook:',
  over: ':white_check_mark:',
  storm: ':cyclone:',
  digest: ':sunrise:',
  test: ':wave:',
};

/** Slack's three control characters: what a host or an alarm says mentions nobody and links nowhere. */
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const code = (text: string): string => `\`${escaped(text.replaceAll('`', "'"))}\``;
const section = (text: string): object => ({ type: 'section', text: { type: 'mrkdwn', text: text.slice(0, SECTION) } });

/** At most 25 elements in one block, says Block Kit; a label has 75 characters. */
const buttons = ({ actions }: Letter): object[] => {
  if (actions.length === 0) return [];
  const elements = actions.slice(0, 25).map((a, n) => ({
    type: 'button',
    text: { type: 'plain_text', text: a.label.slice(0, 75) },
    action_id: `steward_${n}`,
    ...('url' in a ? { url: a.url } : { value: a.value }),
  }));
  return [{ type: 'actions', elements }];
};

export const blocksOf = (letter: Letter): object[] => {
  const { stage, impact, facts, commands } = letter.rendered;
  const sections =
    facts.length > 0 ? [section(facts.map(([n, t]) => `*${escaped(n)}:* ${escaped(t)}`).join('\n'))] : [];
  return [
    section(`${SIGNS[stage]} *${escaped(impact)}*`),
    ...sections,
    section(commands.map(([what, words]) => `${escaped(what)}: ${code(words)}`).join('\n')),
    ...buttons(letter),
  ];
};

/** Nothing goes through until a person has mended it. Source: errors of chat.postMessage and chat.update. */
const CLOSED = new Set([
  'not_authed',
  'invalid_auth',
  'account_inactive',
  'token_revoked',
  'token_expired',
  'no_permission',
  'missing_scope',
  'not_allowed_token_type',
  'org_login_required',
  'ekm_access_denied',
  'access_denied',
  'channel_not_found',
  'not_in_channel',
  'is_archived',
  'restricted_action',
  'restricted_action_read_only_channel',
]);
const GONE = new Set(['message_not_found', 'cant_update_message', 'thread_not_found']);
const UNSURE = new Set(['internal_error', 'fatal_error', 'service_unavailable', 'request_timeout']);

interface Message {
  readonly ts: string;
  readonly metadata?: {
    readonly event_type?: string;
    readonly event_payload?: { readonly id?: string; readonly heard?: string };
  };
}
interface Answer {
  readonly ok: boolean;
  readonly error?: string;
  readonly ts?: string;
  readonly messages?: readonly Message[];
  readonly response_metadata?: { readonly next_cursor?: string };
}
const heardIn = ({ metadata }: Message): string | undefined => metadata?.event_payload?.heard;

const slackError = (what: string, error: string): StewardError => {
  const words = `${what}: Slack says ${error}`;
  if (/^rate_?limited$/.test(error)) return new RateLimited(words, seconds(30));
  if (CLOSED.has(error)) return new Forbidden(words);
  if (GONE.has(error)) return new NotFound(words);
  return UNSURE.has(error) ? new Unavailable(words) : new Refused(error, words);
};

const parsed = (what: string, text: string): Answer => {
  try {
    return JSON.parse(text) as Answer;
  } catch (cause) {
    throw new Unavailable(`${what}: Slack's answer is not JSON`, { cause });
  }
};

export const slack = (
  name: string,
  { channel, secret }: { readonly channel: string; readonly secret: string },
  web: Web & { readonly api?: string } = {},
): Channel => {
  const what = `cannot tell ${name}`;
  const ask = async (
    operation: string,
    request: { query?: Record<string, string>; body?: object },
  ): Promise<Answer> => {
    const query = request.query ? `?${new URLSearchParams(request.query)}` : '';
    const reply = await call(
      what,
      {
        url: `${web.api ?? API}${operation}${query}`,
        method: request.body ? 'POST' : 'GET',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json; charset=utf-8' },
        ...(request.body ? { body: JSON.stringify(request.body) } : {}),
      },
      web,
    );
    const error = errorOf(what, reply);
    if (error) throw error;
    const answer = parsed(what, reply.text);
    if (!answer.ok) throw slackError(what, answer.error ?? 'nothing');
    return answer;
  };

  const page = (since: Time, thread: string | undefined, cursor: string): Promise<Answer> =>
    ask(thread === undefined ? 'conversations.history' : 'conversations.replies', {
      query: {
        channel,
        // Its clock and ours may differ.
        oldest: `${(since - minutes(2)) / 1000}`,
        include_all_metadata: 'true',
        limit: '200',
        ...(thread === undefined ? {} : { ts: thread }),
        ...(cursor ? { cursor } : {}),
      },
    });
  /** Ours among the channel's messages, or a thread's, since then. */
  const own = async (id: string, since: Time, thread?: string): Promise<Message[]> => {
    const found: Message[] = [];
    let cursor = '';
    for (let n = 0; n < PAGES; n++) {
      const { messages = [], response_metadata } = await page(since, thread, cursor);
      found.push(...messages.filter((m) => m.metadata?.event_type === EVENT && m.metadata.event_payload?.id === id));
      cursor = response_metadata?.next_cursor ?? '';
      if (!cursor) break;
    }
    return found.sort((x, y) => Number(x.ts) - Number(y.ts));
  };
  /** A token that may not look cannot know: twice is better than never. */
  const looked = (letter: Letter, thread?: string) =>
    own(letter.id, letter.uncertain ?? letter.at, thread).catch((e: unknown) => {
      if (e instanceof Forbidden) return [];
      throw e;
    });

  const content = (letter: Letter) => ({
    channel,
    text: `${letter.rendered.impact}`.slice(0, SECTION),
    blocks: blocksOf(letter),
    unfurl_links: false,
    unfurl_media: false,
    metadata: { event_type: EVENT, event_payload: { id: letter.id } },
  });
  const main = async (letter: Letter) => {
    const before = letter.ref === undefined && letter.uncertain !== undefined ? await looked(letter) : [];
    const ts = letter.ref ?? before.find((m) => heardIn(m) === undefined)?.ts;
    if (ts === undefined) {
      const posted = await ask('chat.postMessage', { body: content(letter) });
      return posted.ts === undefined ? {} : { ref: posted.ts };
    }
    await ask('chat.update', { body: { ...content(letter), ts } });
    return { ref: ts };
  };
  const thread = async (letter: Letter, ts: string) => {
    const told = letter.uncertain === undefined ? [] : (await looked(letter, ts)).flatMap((m) => heardIn(m) ?? []);
    const from = letter.lines.findLastIndex((l) => told.includes(l.key)) + 1;
    const lines = letter.lines.slice(from);
    const heard = letter.lines.at(-1)?.key ?? '';
    if (lines.length > 0)
      await ask('chat.postMessage', {
        body: {
          channel,
          thread_ts: ts,
          text: lines
            .map((l) => escaped(l.text))
            .join('\n')
            .slice(0, LINES),
          unfurl_links: false,
          unfurl_media: false,
          metadata: { event_type: EVENT, event_payload: { id: letter.id, heard } },
        },
      });
    return { ref: ts, heard };
  };
  return { send: (letter) => (letter.part === 'thread' && letter.ref ? thread(letter, letter.ref) : main(letter)) };
};
