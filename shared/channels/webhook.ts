/**
 * Any HTTPS endpoint. The body is signed: `X-Steward-Signature: v1=<hex>` is the HMAC-SHA256, with the channel's secret, of `<X-Steward-Timestamp>.<body>`. A receiver compares
 * it in constant time, declines a timestamp that is more than five minutes off, and takes an `Idempotency-Key` once.
 */
import { createHmac } from 'node:crypto';
import { Forbidden } from '../core/errors.ts';
import type { Channel, Letter } from '../core/letter.ts';
import { plain } from '../core/notice.ts';
import { iso } from '../core/time.ts';
import { call, errorOf, type Web } from './http.ts';

const LEAST_SECRET = 16;

const bodyOf = ({ id, token, at, rendered, actions }: Letter): string =>
  JSON.stringify({
    version: 1,
    id,
    token,
    at: iso(at),
    stage: rendered.stage,
    needsPerson: rendered.needs,
    open: rendered.open,
    ...rendered.about,
    impact: rendered.impact,
    facts: rendered.facts.map(([name, text]) => ({ name, text })),
    commands: rendered.commands.map(([what, command]) => ({ what, command })),
    actions,
    text: plain(rendered, actions),
  });

export const signatureOf = (secret: string, timestamp: string, body: string): string =>
  `v1=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;

export const webhook = (
  name: string,
  { url, secret }: { readonly url: string; readonly secret: string },
  web: Web & { readonly loopback?: boolean } = {},
): Channel => ({
  send: async (letter) => {
    const what = `cannot post to ${name}`;
    if (!url.startsWith('https://') && !web.loopback) throw new Forbidden(`${what}: its URL is not https`);
    if (secret.length < LEAST_SECRET)
      throw new Forbidden(`${what}: its secret has fewer than ${LEAST_SECRET} characters: make a longer one`);
    const body = bodyOf(letter);
    const timestamp = `${Math.floor(letter.at / 1000)}`;
    const reply = await call(
      what,
      {
        url,
        body,
        headers: {
          'content-type': 'application/json',
          'user-agent': 'Steward',
          'idempotency-key': letter.token,
          'x-steward-timestamp': timestamp,
          'x-steward-signature': signatureOf(secret, timestamp, body),
        },
      },
      web,
    );
    const error = errorOf(what, reply);
    if (error) throw error;
    return {};
  },
});
