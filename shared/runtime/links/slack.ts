/**
 * Slack's buttons. Slack signs what it sends (v0: HMAC-SHA-256 over time and body, by the app's signing secret), and says who pressed. The button's value is
 * a ticket as in a link, so Slack can press only what was made here, for the step that was shown.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import * as z from 'zod/mini';
import { recipientOf } from '../../core/people.ts';
import { minutes } from '../../core/time.ts';
import { Declined } from '../replies.ts';
import type { Answered, HttpRequest } from './http.ts';
import { carryOutReply, type LinkDeps } from './reply.ts';
import { opened } from './ticket.ts';

export interface SlackPort {
  /** The app's signing secret. */
  readonly secret: () => Promise<string>;
  /** Says something where the button was pressed; must not throw, and not take longer than a second: Slack waits three for the answer. */
  readonly say: (responseUrl: string, message: SlackMessage) => Promise<void>;
}
export interface SlackMessage {
  /** `ephemeral`: only who pressed sees it. */
  readonly response_type: 'ephemeral' | 'in_channel';
  readonly replace_original: false;
  readonly text: string;
}

/** Source: Slack, "Verifying requests": older ones may be replays. */
const REPLAY = minutes(5);

const proven = ({ headers, body }: HttpRequest, secret: string, now: number): boolean => {
  const stamp = headers['x-slack-request-timestamp'] ?? '';
  const given = Buffer.from(headers['x-slack-signature'] ?? '');
  if (!/^\d{1,12}$/.test(stamp) || Math.abs(now - Number(stamp) * 1000) > REPLAY || secret === '') return false;
  const right = Buffer.from(`v0=${createHmac('sha256', secret).update(`v0:${stamp}:${body}`).digest('hex')}`);
  return given.length === right.length && timingSafeEqual(given, right);
};

/** Slack's own addresses for answers; it signed them, and still nothing else is called. */
const RESPONSE_URL = /^https:\/\/hooks\.slack(-gov)?\.com\//;

const pressed = z.object({
  type: z.literal('block_actions'),
  team: z.object({ id: z.string() }),
  user: z.object({ id: z.string() }),
  actions: z.array(z.object({ value: z.string() })).check(z.length(1)),
  response_url: z.string().check(z.regex(RESPONSE_URL)),
});

const parsed = (body: string): z.output<typeof pressed> | undefined => {
  try {
    return z.parse(pressed, JSON.parse(new URLSearchParams(body).get('payload') ?? ''));
  } catch {
    return undefined;
  }
};

/** Slack waits three seconds for the answer to a press, and this is a part of them. */
const SAY_WITHIN = 1_000;

/** Whoever pressed sees that nothing came; the log and `steward why` say what was done. */
export const sayInSlack: SlackPort['say'] = async (responseUrl, message) => {
  const body = JSON.stringify(message);
  const headers = { 'content-type': 'application/json' };
  const signal = AbortSignal.timeout(SAY_WITHIN);
  await fetch(responseUrl, { method: 'POST', headers, body, signal, redirect: 'error' }).catch(() => undefined);
};

const plain = (statusCode: number, body = ''): Answered[0] => ({
  statusCode,
  headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
  body,
});

/** @throws what the key, the parameter or the table throws */
export const answerSlack = async (request: HttpRequest, deps: LinkDeps, slack: SlackPort): Promise<Answered> => {
  if (!proven(request, await slack.secret(), deps.now()))
    return [
      plain(401, 'not signed by Slack'),
      { what: 'invalid', say: 'a request that Slack did not sign, or one that is older than 5 min' },
    ];
  const press = parsed(request.body);
  // What Slack sends of other kinds (opened menus, links) is acknowledged, and nothing is done.
  if (!press) return [plain(200), { what: 'invalid', say: 'no press of one button' }];
  const by = `slack:${press.team.id}/${press.user.id}`;
  const ticket = await opened(press.actions[0]?.value ?? '', deps.stage, deps.mac);
  const told = { by, ...(ticket ? { incident: ticket.incident, answer: ticket.answer } : {}) };
  const refuse = async (why: string): Promise<Answered> => {
    await slack.say(press.response_url, {
      response_type: 'ephemeral',
      replace_original: false,
      text: `Nothing was done: ${why}`,
    });
    return [plain(200), { what: 'refused', say: why, ...told }];
  };
  if (ticket?.via !== 'slack' || ticket.to !== press.team.id)
    return refuse('this button was not made by this Steward, for this workspace.');
  const recipient = recipientOf(by, deps.policy.links);
  if (!recipient)
    return refuse(
      `Steward does not know you. \`links.slack.people\` in steward.yml says who ${press.user.id} is; or use the CLI: steward ${ticket.answer} ${ticket.incident}`,
    );
  try {
    const { say, next } = await carryOutReply({ ticket, recipient, by }, deps);
    await slack.say(press.response_url, {
      response_type: 'in_channel',
      replace_original: false,
      text: `${recipient.name}: ${say}. ${next}`,
    });
    return [plain(200), { what: 'answered', say, ...told }];
  } catch (e) {
    if (e instanceof Declined) return refuse(`${e.message}. What to do: ${e.remedy}`);
    throw e;
  }
};
