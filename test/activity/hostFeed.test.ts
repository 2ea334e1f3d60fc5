/** The way of hosts' lines from CloudWatch Logs into the log: through the queue, each once, whatever is repeated or odd. */
import { gzipSync } from 'node:zlib';
import type { Context } from 'aws-lambda';
import { makeHandler } from '../../functions/record/handler.ts';
import { feedBody, isFeed } from '../../shared/activity/hostFeed.ts';
import { createHearing } from '../../shared/activity/marks.ts';
import { hostGroup } from '../../shared/core/shipping.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { aHost, HOST, visit } from './hostLines.ts';
import { ACCOUNT, aLog, allRows, NOW, someEvents } from './setting.ts';

const feed = (lines: readonly string[], more: object = {}) => ({
  awslogs: {
    data: gzipSync(
      JSON.stringify({
        messageType: 'DATA_MESSAGE',
        owner: ACCOUNT,
        logGroup: hostGroup('test'),
        logStream: HOST,
        subscriptionFilters: ['hosts'],
        logEvents: lines.map((message, n) => ({ id: `3790${n}`, timestamp: NOW, message })),
        ...more,
      }),
    ).toString('base64'),
  },
});
const sqs = (bodies: readonly string[]) => ({
  Records: bodies.map((body) => ({ eventSource: 'aws:sqs', body, attributes: { SentTimestamp: String(NOW) } })),
});

const begin = () => {
  const log = aLog();
  const queued: string[] = [];
  const handle = makeHandler(
    {
      writer: log.writer,
      hear: createHearing(log.table),
      now: () => NOW,
      home: { account: ACCOUNT, region: 'eu-central-1' },
      stage: 'test',
      queue: async (body) => void queued.push(body),
    },
    telemetry('test'),
  );
  const take = async (event: unknown) => handle(event, {} as Context);
  return { log, queued, take, texts: async () => (await allRows(log, {})).map((r) => Buffer.from(r.raw).toString()) };
};
beforeEach(() => {
  // Metrics are lines of the log.
  jest.spyOn(process.stdout, 'write').mockImplementation(() => true);
});
afterEach(() => jest.restoreAllMocks());

test('lines wait in the queue until a batch is full, and are one segment then, beside what else came', async () => {
  const { log, queued, take } = begin();
  const lines = aHost().ship(...visit());
  expect(await take(feed(lines.slice(0, 2)))).toMatchObject({ written: 0 });
  await take(feed(lines.slice(2)));
  // CloudWatch brings it again.
  await take(feed(lines.slice(1, 4)));
  expect(queued).toHaveLength(3);
  const [event = ''] = someEvents(1).map((e) =>
    JSON.stringify({ version: '0', 'detail-type': 'x', detail: JSON.parse(String(e)) }),
  );
  const { written, known } = (await take(sqs([...queued, event]))) as { written: number; known: number };
  expect([written, known]).toEqual([7, 3]);
  const legs = (await allRows(log, { resource: HOST })).map((r) => r.place.split('/').slice(0, 2).join('/'));
  expect(legs).toHaveLength(6);
  expect(new Set(legs).size).toBe(1);
  // The queue brings it again.
  expect(await take(sqs(queued))).toMatchObject({ written: 0, known: 9 });
});

test('what is more than a message of the queue goes straight into the log', async () => {
  const { queued, take, texts } = begin();
  const long = Array.from({ length: 250_000 }, (_, n) => Math.sin(n).toString(36)).join('');
  expect(await take(feed([long]))).toMatchObject({ written: 1 });
  expect(queued).toEqual([]);
  expect(JSON.parse((await texts())[0] ?? '').hostLine).toBe(long);
});

test.each<[string, { awslogs: { data: string } }]>([
  ['no gzip', { awslogs: { data: 'bm8=' } }],
  ['gzip of nothing', { awslogs: { data: gzipSync('{}').toString('base64') } }],
  ['of another group', feed(['x'], { logGroup: '/aws/lambda/other' })],
  ['of another account', feed(['x'], { owner: '999988887777' })],
])('%s: kept as it came, and no host’s', async (_, event) => {
  const { log, queued, take, texts } = begin();
  await take(event);
  expect(isFeed(queued[0] ?? '')).toBe(true);
  expect(await take(sqs(queued))).toMatchObject({ written: 1 });
  expect(await texts()).toEqual([feedBody(event)]);
  expect(await allRows(log, { action: 'host:' })).toEqual([]);
});

test('CloudWatch’s question whether anybody is there is no line', async () => {
  const { queued, take } = begin();
  await take(feed(['CWL CONTROL MESSAGE: Checking health of destination'], { messageType: 'CONTROL_MESSAGE' }));
  expect(await take(sqs(queued))).toMatchObject({ written: 0 });
});

test('a queue that takes nothing fails the call, so that Lambda brings it again', async () => {
  const { log } = begin();
  const handle = makeHandler(
    {
      writer: log.writer,
      hear: createHearing(log.table),
      now: () => NOW,
      home: { account: ACCOUNT, region: 'eu-central-1' },
      stage: 'test',
      queue: async () => {
        throw new Error('the queue is full');
      },
    },
    telemetry('test'),
  );
  await expect(handle(feed(['x']), {} as Context)).rejects.toThrow('the queue is full');
});
