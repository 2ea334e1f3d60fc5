/** The adapters against servers that behave as the real ones do: limits, refusals, answers that are lost after the effect. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { snsTopic } from '../../shared/aws/topics.ts';
import { pagerDuty } from '../../shared/channels/pagerDuty.ts';
import { slack } from '../../shared/channels/slack.ts';
import { webhook } from '../../shared/channels/webhook.ts';
import type { RateLimited } from '../../shared/core/errors.ts';
import type { Channel, Letter } from '../../shared/core/letter.ts';
import { incidentNotice } from '../../shared/core/notice.ts';
import { anIncident, NOW } from '../contract/records.ts';
import { type Came, type Says, startServer } from './server.ts';
import { asks, START } from './street.ts';

const HOME = { stage: 'prod', region: 'eu-central-1' };
const SECRET = 'a secret of some length';
const open: { stop: () => Promise<unknown> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((s) => s.stop()));
});
const served = async (answer: (came: Came) => Says) => {
  const server = await startServer(answer);
  open.push(server);
  return server;
};
const letter = (over: Partial<Letter> = {}): Letter => ({
  id: 'prod.01K',
  token: 'token-1',
  part: 'main',
  rendered: incidentNotice(anIncident(asks(START)), HOME),
  lines: [],
  actions: [],
  at: NOW,
  ...over,
});
const healed = incidentNotice(anIncident({ state: 'closed', end: 'healthy', closedAt: NOW, healthyAt: NOW }), HOME);
const errorOf = (channel: Channel, l = letter()): Promise<string> =>
  channel.send(l).then(
    () => 'sent',
    (e: Error) => e.name,
  );
const WEB = { loopback: true, timeoutMs: 300 };

describe('webhook', () => {
  /** As a receiver does it: the time first, then the signature, then whether it was seen. */
  const receiver = () => {
    const seen = new Set<string>();
    const taken: Came[] = [];
    const verify = (came: Came, now: number): Says => {
      const timestamp = String(came.headers['x-steward-timestamp']);
      const wanted = Buffer.from(
        `v1=${createHmac('sha256', SECRET).update(`${timestamp}.${came.body}`).digest('hex')}`,
      );
      const given = Buffer.from(String(came.headers['x-steward-signature']));
      if (Math.abs(now / 1000 - Number(timestamp)) > 300) return { status: 400 };
      if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return { status: 401 };
      const key = String(came.headers['idempotency-key']);
      if (!seen.has(key)) taken.push(came);
      seen.add(key);
      return { status: 204 };
    };
    return { verify, taken };
  };

  test('is signed with time and body, and says all of it', async () => {
    const { verify, taken } = receiver();
    const { url } = await served((came) => verify(came, NOW));
    await webhook('hook', { url, secret: SECRET }, WEB).send(letter());
    expect(taken[0]?.json).toMatchObject({
      id: 'prod.01K',
      stage: 'asks',
      needsPerson: true,
      open: true,
      target: anIncident().target,
    });
    expect(await errorOf(webhook('hook', { url, secret: 'another one of that length' }, WEB))).toBe('Forbidden');
    expect(await errorOf(webhook('hook', { url, secret: SECRET }, WEB), letter({ at: NOW - 301_000 }))).toBe('Refused');
  });

  test('a reply that was lost after the effect: the same token again is taken once', async () => {
    const { verify, taken } = receiver();
    let n = 0;
    const { url } = await served((came) => {
      const says = verify(came, NOW);
      return n++ === 0 ? { lost: true } : says;
    });
    const hook = webhook('hook', { url, secret: SECRET }, WEB);
    expect(await errorOf(hook)).toBe('Unavailable');
    expect(await errorOf(hook, letter({ uncertain: NOW }))).toBe('sent');
    expect(taken).toHaveLength(1);
  });

  test.each<[string, Says, string]>([
    ['a limit', { status: 429, headers: { 'retry-after': '7' } }, 'Throttled'],
    ['its own failure', { status: 503 }, 'Unavailable'],
    ['silence', { silent: true }, 'Unavailable'],
    ['a wrong key', { status: 403 }, 'Forbidden'],
    ['nothing there', { status: 404 }, 'Forbidden'],
    [
      'a redirect, which is not followed',
      { status: 302, headers: { location: 'http://169.254.169.254/' } },
      'Forbidden',
    ],
    ['a body that it cannot take', { status: 422 }, 'Refused'],
  ])('%s', async (_what, says, error) => {
    const { url, came } = await served(() => says);
    expect(await errorOf(webhook('hook', { url, secret: SECRET }, WEB))).toBe(error);
    expect(came).toHaveLength(1);
  });

  test('nobody there: nothing arrived; the limit’s own time is kept; http is for the sandbox', async () => {
    const { url, stop } = await startServer(() => ({ status: 429, headers: { 'retry-after': '7' } }));
    const hook = webhook('hook', { url, secret: SECRET }, WEB);
    const limited = await hook.send(letter()).catch((e: unknown) => e);
    expect((limited as RateLimited).afterMs).toBe(7_000);
    await stop();
    expect(await errorOf(hook)).toBe('Throttled');
    expect(await errorOf(webhook('hook', { url, secret: SECRET }))).toBe('Forbidden');
    expect(await errorOf(webhook('hook', { url, secret: 'short' }, WEB))).toBe('Forbidden');
  });
});

describe('PagerDuty', () => {
  test('one alert: triggered with its dedup key, resolved by it; a test is both', async () => {
    const { url, came } = await served(() => ({ status: 202, json: { status: 'success' } }));
    const pager = pagerDuty('pager', { secret: 'KEY', region: 'us' }, { endpoint: url });
    await pager.send(letter());
    await pager.send(letter({ rendered: healed }));
    expect(came.map((c) => [c.json.event_action, c.json.dedup_key, c.json.routing_key])).toEqual([
      ['trigger', 'prod.01K', 'KEY'],
      ['resolve', 'prod.01K', 'KEY'],
    ]);
    expect(came[0]?.json.payload).toMatchObject({
      severity: 'warning',
      source: anIncident().target,
      summary: expect.stringContaining('disk space low'),
    });
    await pager.send(letter({ rendered: { ...healed, stage: 'test' } }));
    expect(came.slice(2).map((c) => c.json.event_action)).toEqual(['trigger', 'resolve']);
  });
  test.each<[Says, string]>([
    [{ status: 429 }, 'Throttled'],
    [{ status: 500 }, 'Unavailable'],
    [{ lost: true }, 'Unavailable'],
    [{ status: 400, json: { status: 'invalid event', errors: ['Invalid routing key'] } }, 'Forbidden'],
    [{ status: 400, json: { status: 'invalid event', errors: ['payload.severity is invalid'] } }, 'Refused'],
  ])('%j: %s', async (says, error) => {
    const { url } = await served(() => says);
    expect(await errorOf(pagerDuty('pager', { secret: 'KEY', region: 'eu' }, { endpoint: url }))).toBe(error);
  });
});

/** As much of Slack as the adapter needs: posts, edits, threads, and what can be found by metadata. */
const slackServer = async (fault: (operation: string) => Says | undefined = () => undefined) => {
  // biome-ignore lint/suspicious/noExplicitAny: messages as they were posted
  const messages: any[] = [];
  const operations: Record<string, (c: Came) => object> = {
    'chat.postMessage': ({ json }) => {
      const ts = `${1_795_403_520 + messages.length}.000100`;
      messages.push({ ...json, ts });
      return { ok: true, ts };
    },
    'chat.update': ({ json }) => {
      const at = messages.findIndex((m) => m.ts === json.ts);
      if (at < 0) return { ok: false, error: 'message_not_found' };
      messages[at] = { ...messages[at], ...json };
      return { ok: true, ts: json.ts };
    },
    // One message a page, latest first.
    'conversations.history': ({ query }) => found(messages.filter((m) => !m.thread_ts).reverse(), query),
    'conversations.replies': ({ query }) =>
      found(
        messages.filter((m) => m.thread_ts === query.get('ts')),
        query,
      ),
  };
  // biome-ignore lint/suspicious/noExplicitAny: messages as they were posted
  const found = (all: any[], query: URLSearchParams): object => {
    const from = Number(query.get('cursor') ?? 0);
    const isShown = query.get('include_all_metadata') === 'true';
    return {
      ok: true,
      messages: all.slice(from, from + 1).map((m) => (isShown ? m : { ...m, metadata: undefined })),
      response_metadata: { next_cursor: from + 1 < all.length ? `${from + 1}` : '' },
    };
  };
  const server = await served((came) => {
    const operation = came.path.slice(1);
    const says = fault(operation);
    if (came.headers.authorization !== 'Bearer xoxb-1') return { json: { ok: false, error: 'invalid_auth' } };
    if (says && !says.lost) return says;
    const json = operations[operation]?.(came) ?? { ok: false, error: 'unknown_method' };
    return says ?? { json };
  });
  const channel = slack('ops', { channel: 'C0123456789', secret: 'xoxb-1' }, { api: server.url, timeoutMs: 300 });
  return { channel, messages, came: server.came, url: server.url };
};

describe('Slack', () => {
  test('one message, edited, its log in the thread', async () => {
    const { channel, messages } = await slackServer();
    const { ref = '' } = await channel.send(letter());
    await channel.send(letter({ ref, rendered: healed }));
    const lines = [
      { key: '1 a', text: 'first <!channel>' },
      { key: '2 b', text: 'second' },
    ];
    expect(await channel.send(letter({ ref, part: 'thread', lines }))).toEqual({ ref, heard: '2 b' });
    expect(messages).toHaveLength(2);
    expect(messages[0].text).toContain('healthy again');
    expect(messages[1]).toMatchObject({ thread_ts: ref, text: 'first &lt;!channel&gt;\nsecond' });
  });

  test('a reply that was lost: it looks before it posts again, among others’ messages and over pages', async () => {
    let lose = true;
    const { channel, messages, came } = await slackServer((operation) =>
      operation === 'chat.postMessage' && lose ? { lost: true } : undefined,
    );
    expect(await errorOf(channel)).toBe('Unavailable');
    lose = false;
    await channel.send(letter({ id: 'prod.other' }));
    const { ref } = await channel.send(letter({ uncertain: NOW, rendered: healed }));
    expect([messages.length, ref]).toEqual([2, messages[0].ts]);
    expect(messages[0].text).toContain('healthy again');
    expect(came.some((c) => Number(c.query.get('oldest')) === (NOW - 120_000) / 1000)).toBe(true);
  });

  test('a thread’s reply that was lost: only what came after is posted', async () => {
    let lose = false;
    const { channel, messages } = await slackServer((operation) =>
      operation === 'chat.postMessage' && lose ? { lost: true } : undefined,
    );
    const { ref = '' } = await channel.send(letter());
    const lines = [{ key: '1 a', text: 'first' }];
    lose = true;
    expect(await errorOf(channel, letter({ ref, part: 'thread', lines }))).toBe('Unavailable');
    lose = false;
    await channel.send(
      letter({ ref, part: 'thread', lines: [...lines, { key: '2 b', text: 'second' }], uncertain: NOW }),
    );
    expect(messages.slice(1).map((m) => m.text)).toEqual(['first', 'second']);
  });

  test('a token that may not look posts again: twice is better than never', async () => {
    let lose = true;
    const { channel, messages } = await slackServer((operation) => {
      if (operation === 'conversations.history') return { json: { ok: false, error: 'missing_scope' } };
      return lose ? { lost: true } : undefined;
    });
    expect(await errorOf(channel)).toBe('Unavailable');
    lose = false;
    await channel.send(letter({ uncertain: NOW }));
    expect(messages).toHaveLength(2);
  });

  test('links and buttons', async () => {
    const { channel, messages } = await slackServer();
    await channel.send(
      letter({
        actions: [
          { label: 'Look', url: 'https://example.com/' },
          { label: 'Approve', value: 'signed' },
        ],
      }),
    );
    expect(messages[0].blocks.at(-1).elements).toMatchObject([
      { type: 'button', text: { text: 'Look' }, url: 'https://example.com/' },
      { type: 'button', text: { text: 'Approve' }, value: 'signed' },
    ]);
  });

  test.each<[Says, string]>([
    [{ status: 429, headers: { 'retry-after': '30' } }, 'Throttled'],
    [{ json: { ok: false, error: 'ratelimited' } }, 'Throttled'],
    [{ json: { ok: false, error: 'invalid_auth' } }, 'Forbidden'],
    [{ json: { ok: false, error: 'channel_not_found' } }, 'Forbidden'],
    [{ json: { ok: false, error: 'internal_error' } }, 'Unavailable'],
    [{ json: { ok: false, error: 'invalid_blocks' } }, 'Refused'],
    [{ status: 500 }, 'Unavailable'],
    [{ status: 200 }, 'Unavailable'],
    [{ silent: true }, 'Unavailable'],
  ])('%j: %s', async (says, error) => {
    const { channel } = await slackServer(() => says);
    expect(await errorOf(channel)).toBe(error);
  });
  test('a message that someone deleted is not found; a token that is wrong is never in an error', async () => {
    const { channel, url } = await slackServer();
    expect(await errorOf(channel, letter({ ref: '1.1' }))).toBe('NotFound');
    const wrong = slack('ops', { channel: 'C0123456789', secret: 'xoxb-wrong' }, { api: url });
    const error = (await wrong.send(letter()).catch((e: unknown) => e)) as Error;
    expect(`${error.message} ${error.stack}`).not.toContain('xoxb');
  });
});

test('SNS: a subject of ASCII under a hundred characters, the text, and attributes to filter by', async () => {
  const { url, came } = await served(() => ({
    headers: { 'content-type': 'text/xml' },
  }));
  const credentials = { accessKeyId: 'EXAMPLE', secretAccessKey: 'example' };
  const { transportTo } = await import('../contract/transport.ts');
  const topic = snsTopic('mail', 'arn:aws:sns:eu-central-1:111122223333:people', {
    region: 'eu-central-1',
    credentials,
    transport: transportTo(url.slice(0, -1)),
  });
  await topic.send(letter({ rendered: { ...letter().rendered, impact: `Größe ${'x'.repeat(200)}` } }));
  const form = new URLSearchParams(came[0]?.body);
  expect(form.get('Subject')).toMatch(/^Steward: Gr\?\?e x{60,}$/);
  expect(form.get('Subject')?.length).toBeLessThan(100);
  expect(form.get('Message')).toContain('npx steward approve');
  expect([...form.entries()].filter(([k]) => k.endsWith('.Name')).map(([, v]) => v)).toEqual([
    'notice',
    'stage',
    'needsPerson',
    'remediation',
  ]);
});
