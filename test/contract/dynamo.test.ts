/** What only the table has: its keys, what expires, how it says that it cannot be used, and what its errors mean. */
import {
  BatchWriteItemCommand,
  CreateTableCommand,
  DynamoDBClient,
  PutItemCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { dynamoStore } from '../../shared/aws/store.ts';
import { Conflict, Forbidden, StateUnusable, Throttled, Unavailable } from '../../shared/core/errors.ts';
import { days, hours, seconds } from '../../shared/core/time.ts';
import { startEmulator } from './emulators.ts';
import { aChart, aGroup, aLedger, anIncident, arnOf, closed, idAt, NOW, someSwitches } from './records.ts';
import { credentials, freshStore, REGION, RETENTION_DAYS, tableOf } from './table.ts';
import { jsonError, type Transport, transportTo } from './transport.ts';

const ministack = await startEmulator('ministack');
const url = 'url' in ministack ? ministack.url : '';
const suite = 'url' in ministack ? describe : describe.skip;
afterAll(async () => {
  if ('stop' in ministack) await ministack.stop();
});

const storeOn = (transport: Transport, table = 'steward-test') =>
  dynamoStore({ region: REGION, credentials, transport, table, retentionDays: RETENTION_DAYS, now: () => NOW });
/** A store that nothing is behind: each call gets the next of these answers, the last one again and again. */
const answering = (...answers: readonly (Transport['instead'][number] | object)[]) => {
  const transport = transportTo('http://127.0.0.1:1');
  const asAnswer = (answer: (typeof answers)[number]) =>
    answer instanceof Error || 'statusCode' in answer
      ? (answer as Transport['instead'][number])
      : {
          statusCode: 200,
          headers: { 'content-type': 'application/x-amz-json-1.0' },
          body: new TextEncoder().encode(JSON.stringify(answer)),
        };
  const more = () => {
    const next = answers[Math.min(transport.sent.length, answers.length - 1)];
    if (next !== undefined) transport.instead.push(asAnswer(next));
  };
  const handle = transport.handle;
  return {
    ...transport,
    handle: (request: Parameters<typeof handle>[0]) => {
      more();
      return handle(request);
    },
  };
};
const jsonOf = (body: string | Uint8Array = '') =>
  JSON.parse(typeof body === 'string' ? body : new TextDecoder().decode(body));
const caught = async (call: Promise<unknown>): Promise<Error> =>
  call.then(
    () => new Error('nothing was thrown'),
    (e: Error) => e,
  );

suite('what is written', () => {
  test('expires only when it is over: closed incidents, and what nobody writes any more', async () => {
    const { store, table, raw } = await freshStore(url, () => NOW);
    await store.write({ put: someSwitches() }, { put: aChart() }, { put: aGroup() }, { put: aLedger() });
    await store.write({ put: anIncident({ id: idAt(NOW, 1) }) });
    await store.write({ put: anIncident({ id: idAt(NOW, 2), state: 'escalated' }) });
    await store.write({ put: closed(NOW, { id: idAt(NOW, 3) }) });
    await store.park({ id: idAt(NOW, 4), at: NOW, because: 'x', body: 'x' });
    const { Items = [] } = await raw.send(new ScanCommand({ TableName: table, ConsistentRead: true }));
    const expiry = Object.fromEntries(
      Items.map((i) => unmarshall(i)).map((i) => [`${i['kind']} ${i['state'] ?? ''}`.trim(), i['expiresAt']]),
    );
    const later = (NOW + days(RETENTION_DAYS)) / 1000;
    expect(expiry).toEqual({
      switches: undefined,
      'incident open': undefined,
      'incident escalated': undefined,
      'incident closed': later,
      parked: undefined,
      chart: later,
      group: later,
      ledger: later,
    });
  });

  test('an incident that opens again does not expire', async () => {
    const { store, table, raw } = await freshStore(url, () => NOW);
    await store.write({ put: closed(NOW) });
    await store.write({ put: anIncident({ version: 1 }) });
    const { Items = [] } = await raw.send(new ScanCommand({ TableName: table }));
    expect(Items.map((i) => i['expiresAt'])).toEqual([undefined]);
  });

  test('an item has only what the indexes, the console and TTL need beside its body, and a few hundred bytes', async () => {
    const { store, table, raw } = await freshStore(url, () => NOW);
    await store.write({ put: anIncident({ group: 'asg/web', zone: 'euc1-az1' }) });
    const { Items: [item] = [] } = await raw.send(new ScanCommand({ TableName: table }));
    expect(JSON.stringify(item).length).toBeLessThan(1_500);
    for (const key of ['pk', 'sk', 'bucket', 'at', 'groupId', 'openedAt', 'id', 'target', 'remediation', 'zone'])
      expect(item).toHaveProperty(key);
  });
});

suite('ten thousand open incidents', () => {
  test('have no hot key, and are all found when they are due', async () => {
    const { store, table, raw } = await freshStore(url, () => NOW);
    // Taken from what the store itself would send, then written in batches: the emulator takes a thousand a second.
    const sink = answering({});
    const writer = storeOn(sink, table);
    const incidents = Array.from({ length: 10_000 }, (_, n) =>
      anIncident({ id: idAt(NOW - hours(1) + n, n * 7_919), target: arnOf(n), dueAt: NOW - seconds(n) }),
    );
    for (let i = 0; i < incidents.length; i += 500)
      await Promise.all(incidents.slice(i, i + 500).map((put) => writer.write({ put })));
    const items = sink.sent.map(({ body }) => jsonOf(body).Item);
    expect(items).toHaveLength(10_000);

    const counts = [...Map.groupBy(items, (i) => i.bucket.S).values()].map((list) => list.length);
    expect(counts).toHaveLength(16);
    expect(Math.max(...counts)).toBeLessThan((10_000 / 16) * 1.25);
    expect(Math.min(...counts)).toBeGreaterThan((10_000 / 16) * 0.75);
    // No more than a chart and its incidents share a partition of the table.
    expect(new Set(items.map((i) => i.pk.S)).size).toBe(10_000);

    const batches = Array.from({ length: 400 }, (_, n) => items.slice(n * 25, n * 25 + 25));
    const lanes = Array.from({ length: 4 }, async (_, lane) => {
      for (let n = lane; n < batches.length; n += 4) {
        // What went over the wire has its bytes as base64.
        const list = (batches[n] ?? []).map((i) => ({ ...i, body: { B: Buffer.from(i.body.B, 'base64') } }));
        const requests = list.map((Item) => ({ PutRequest: { Item } }));
        await raw.send(new BatchWriteItemCommand({ RequestItems: { [table]: requests } }));
      }
    });
    await Promise.all(lanes);

    const due = await store.due(NOW, 16_000);
    expect(due.map(({ id }) => id)).toEqual(incidents.map(({ id }) => id).reverse());
    // A sweep takes a part: the oldest of each shard, so that nobody waits for ever.
    const first = await store.due(NOW, 2_000);
    expect(first).toHaveLength(2_000);
    const oldest = new Set(due.slice(0, 1_000).map(({ id }) => id));
    expect(first.filter(({ id }) => oldest.has(id)).length).toBe(1_000);
    expect((await store.open(3)).map(({ id }) => id)).toEqual(
      incidents
        .slice(-3)
        .map(({ id }) => id)
        .reverse(),
    );
    expect((await store.find(incidents[4_711]!.id))?.target).toBe(arnOf(4_711));
  }, 40_000);
});

suite('a table that cannot be used says what to do', () => {
  const every = (store: ReturnType<typeof storeOn>) => ({
    read: () => store.read({ kind: 'switches' }),
    put: () => store.write({ put: anIncident() }),
    transaction: () => store.write({ put: aChart() }, { check: { kind: 'switches' }, version: 0 }),
    due: () => store.due(NOW, 10),
    open: () => store.open(10),
    closed: () => store.closed('2026-11-23', 10),
    ofTarget: () => store.ofTarget(arnOf(1), 10),
    find: () => store.find(idAt(NOW)),
    ill: () => store.ill('euc1-az1', NOW, 10),
    park: () => store.park({ id: idAt(NOW), at: NOW, because: '', body: '' }),
    parked: () => store.parked(10),
    unpark: () => store.unpark(idAt(NOW)),
  });

  test('missing', async () => {
    const errors = await Promise.all(
      Object.entries(every(storeOn(transportTo(url), 'steward-none'))).map(async ([name, call]) => [
        name,
        await caught(call()),
      ]),
    );
    for (const [name, error] of errors) {
      expect([name, error]).toEqual([name, expect.any(StateUnusable)]);
      expect((error as Error).message).toBe(
        'the state table steward-none does not exist in this account and region: deploy the stack (npx serverless deploy)',
      );
    }
  });

  const raw = () =>
    new DynamoDBClient({ region: REGION, credentials, requestHandler: transportTo(url), maxAttempts: 1 });

  test('without its indexes', async () => {
    const { GlobalSecondaryIndexes: _, AttributeDefinitions = [], ...plain } = tableOf('steward-no-index');
    await raw().send(new CreateTableCommand({ ...plain, AttributeDefinitions: AttributeDefinitions.slice(0, 2) }));
    const { due, ill } = every(storeOn(transportTo(url), 'steward-no-index'));
    for (const call of [due, ill]) {
      const error = await caught(call());
      expect(error).toBeInstanceOf(StateUnusable);
      expect(error.message).toMatch(/has other keys or indexes than this Steward needs \(.*\): deploy the stack/);
    }
  });

  test('with other keys', async () => {
    await raw().send(
      new CreateTableCommand({
        TableName: 'steward-other-keys',
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      }),
    );
    const store = storeOn(transportTo(url), 'steward-other-keys');
    expect(await caught(store.read({ kind: 'switches' }))).toBeInstanceOf(StateUnusable);
    expect(await caught(store.write({ put: someSwitches() }))).toBeInstanceOf(StateUnusable);
  });

  test('of another schema', async () => {
    const { store, table, raw: client } = await freshStore(url, () => NOW);
    const item = { pk: 'SWITCHES', sk: 'SWITCHES', kind: 'switches', version: 3, schema: 99, pauses: [] };
    await client.send(new PutItemCommand({ TableName: table, Item: marshall(item) }));
    const error = await caught(store.read({ kind: 'switches' }));
    expect(error).toBeInstanceOf(StateUnusable);
    expect(error.message).toBe(
      `the state table ${table} holds SWITCHES SWITCHES in schema 99, this Steward writes 1: deploy the version that wrote it, or migrate the table`,
    );
  });
});

describe("what the table's errors mean", () => {
  const cancelled = (...codes: string[]) =>
    jsonError('TransactionCanceledException', 400, 'Transaction cancelled', {
      CancellationReasons: codes.map((Code) => ({ Code })),
    });
  const two = [{ put: aChart() }, { check: { kind: 'switches' }, version: 2 }] as const;

  test.each([
    ['one moved', ['None', 'ConditionalCheckFailed'], ['the switches']],
    ['both moved', ['ConditionalCheckFailed', 'ConditionalCheckFailed'], [`target ${arnOf(1)}`, 'the switches']],
    ['another transaction has one', ['TransactionConflict', 'None'], [`target ${arnOf(1)}`]],
    ['moved, and throttled', ['ThrottlingError', 'ConditionalCheckFailed'], ['the switches']],
  ])('a cancelled transaction: %s', async (_, codes, moved) => {
    const error = await caught(storeOn(answering(cancelled(...codes))).write(...two));
    expect(error).toBeInstanceOf(Conflict);
    expect((error as Conflict).moved).toEqual(moved);
    expect(error.message).toBe(`${moved.join(', ')} changed in the meantime`);
    expect((error.cause as Error).name).toBe('TransactionCanceledException');
  });

  test.each([['ThrottlingError'], ['ProvisionedThroughputExceeded']])('a transaction cancelled by %s', async (code) => {
    expect(await caught(storeOn(answering(cancelled('None', code))).write(...two))).toBeInstanceOf(Throttled);
  });

  // All at once: the SDK waits between its tries.
  test('codes, statuses and broken connections', async () => {
    const table = [
      ['ProvisionedThroughputExceededException', jsonError('ProvisionedThroughputExceededException'), Throttled],
      ['ThrottlingException', jsonError('ThrottlingException'), Throttled],
      ['RequestLimitExceeded', jsonError('RequestLimitExceeded'), Throttled],
      ['TransactionInProgressException', jsonError('TransactionInProgressException'), Throttled],
      ['ExpiredTokenException', jsonError('ExpiredTokenException'), Throttled],
      ['AccessDeniedException', jsonError('AccessDeniedException'), Forbidden],
      ['UnrecognizedClientException', jsonError('UnrecognizedClientException'), Forbidden],
      ['InternalServerError', jsonError('InternalServerError', 500), Unavailable],
      ['503', jsonError('ServiceUnavailable', 503), Unavailable],
      ['a broken connection', Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }), Unavailable],
    ] as const;
    const calls = table.flatMap(([name, answer, kind]) => [
      [name, kind.name, storeOn(answering(answer)).write(...two)] as const,
      [name, kind.name, storeOn(answering(answer)).read({ kind: 'switches' })] as const,
    ]);
    const came = calls.map(async ([name, , call]) => [name, (await caught(call)).name]);
    expect(await Promise.all(came)).toEqual(calls.map(([name, kind]) => [name, kind]));
  }, 15_000);

  test('reads that DynamoDB leaves undone are asked again, and are throttled in the end', async () => {
    const keys = (n: number) =>
      Array.from({ length: n }, (_, i) => marshall({ pk: `TARGET#${arnOf(i)}`, sk: 'CHART' }));
    const item = (i: number) =>
      marshall({ pk: `TARGET#${arnOf(i)}`, sk: 'CHART', ...aChart({ target: arnOf(i), version: 5 }), schema: 1 });
    const part = { Responses: { t: [item(0)] }, UnprocessedKeys: { t: { Keys: keys(2).slice(1) } } };
    const rest = { Responses: { t: [item(1)] }, UnprocessedKeys: {} };
    const refs = [0, 1].map((n) => ({ kind: 'chart', target: arnOf(n) }) as const);
    const found = await storeOn(answering(part, rest), 't').read(...refs);
    expect(found.map((c) => [c?.target, c?.version])).toEqual([
      [arnOf(0), 5],
      [arnOf(1), 5],
    ]);
    const never = { Responses: { t: [] }, UnprocessedKeys: { t: { Keys: keys(2) } } };
    const error = await caught(storeOn(answering(never), 't').read(...refs));
    expect(error).toBeInstanceOf(Throttled);
    expect(error.message).toBe('the state table t left 2 reads undone');
  });

  test('a bug of ours is not taken for trouble with AWS', async () => {
    const store = storeOn(answering({}));
    expect(await caught(store.write({ put: undefined as never }))).toBeInstanceOf(TypeError);
  });

  test('a lost answer to a transaction: the SDK asks again with the same token', async () => {
    const lost = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    const transport = answering(lost, {});
    await storeOn(transport).write(...two);
    const tokens = transport.sent.map(({ body }) => jsonOf(body).ClientRequestToken);
    expect(tokens).toHaveLength(2);
    expect(tokens[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(tokens[1]).toBe(tokens[0]);
  });
});
