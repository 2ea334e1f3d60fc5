/**
 * The activity log: what it costs to write, beside other layouts on the same meter; how fast it takes in, searches and verifies; and whether every tamper is found.
 * The corpus of real records lies outside the repository; without it, generated ones of the same kinds are used, and the figures say so.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, constants } from 'node:zlib';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import dynalite from 'dynalite';
import { createWriter, SEGMENT_EVENTS } from '../shared/activity/append.ts';
import { createCheckpointer } from '../shared/activity/checkpoint.ts';
import type { Item, LogTable } from '../shared/activity/log.ts';
import type { Receipt } from '../shared/activity/receipts.ts';
import { readActivity } from '../shared/activity/record.ts';
import { recordsOf } from '../shared/activity/recordsOf.ts';
import { createRetention } from '../shared/activity/retention.ts';
import { createSearch } from '../shared/activity/search.ts';
import { activityTable } from '../shared/aws/activityTable.ts';
import { days, minutes, seconds, type Time } from '../shared/core/time.ts';
import { aHost, own, rawOf, visit } from '../test/activity/hostLines.ts';
import { ACCOUNT, NOW, SIGNER } from '../test/activity/setting.ts';
import { outcomeOf, tampersOf, victim } from '../test/activity/tampers.ts';
import { startEmulator } from '../test/contract/emulators.ts';
import { credentials, REGION } from '../test/contract/table.ts';
import { memoryLog } from '../world/memoryLog.ts';
import { createRandom } from '../world/random.ts';
import { trailEvents } from '../world/trailEvents.ts';
import { coreMs, median, round } from './figures.ts';
import { createMeter, type Index } from './meter.ts';
import { EVENTS, millionEvents, RARE } from './million.ts';

const CORPUS = new URL('../../shared/corpus/cloudtrail.jsonl', import.meta.url).pathname;

type Figures = Record<string, number>;

const generated = (count: number, seed = 1): Buffer[] => {
  const next = trailEvents({ account: ACCOUNT, region: 'eu-central-1', resources: 2_000, random: createRandom(seed) });
  return Array.from({ length: count }, (_, n) => Buffer.from(next(NOW + n * 100)));
};

interface Line {
  readonly source: string;
  readonly event: { readonly eventTime?: string };
}
const byTime = (a: Buffer, b: Buffer): number => readActivity(a).time - readActivity(b).time;
/** One account's records in order of time, and all of them shuffled. */
const records = (): { inOrder: Buffer[]; shuffled: Buffer[] } => {
  if (!existsSync(CORPUS)) return { inOrder: generated(2_900), shuffled: generated(4_041, 2) };
  const lines = readFileSync(CORPUS, 'utf8').trim().split('\n');
  const eventIn = (line: string) => Buffer.from(line.slice(line.indexOf(',"event":') + 9, -1));
  const own = lines.filter((l) => (JSON.parse(l) as Line).source.startsWith('invictus-ir/'));
  const random = createRandom(1);
  const shuffled = lines.map((l) => [random.next(), l] as const).sort(([a], [b]) => a - b);
  return { inOrder: own.map(eventIn).sort(byTime), shuffled: shuffled.map(([, l]) => eventIn(l)) };
};

/** A table in an emulator whose requests are metered, and asked for what they cost by its own count. */
const meteredTable = async (url: string, name: string) => {
  const client = new DynamoDBClient({ endpoint: url, region: REGION, credentials });
  await client.send(
    new CreateTableCommand({
      TableName: name,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'pk', AttributeType: 'S' },
        { AttributeName: 'sk', AttributeType: 'N' },
      ],
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
  const meter = createMeter([]);
  const consumed = { write: 0 };
  const http = new NodeHttpHandler();
  const { hostname, port, protocol } = new URL(url);
  const transport = {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: async (request: Parameters<typeof http.handle>[0]) => {
      const asked = { ...JSON.parse(String(request.body)), ReturnConsumedCapacity: 'TOTAL' };
      const body = JSON.stringify(asked);
      Object.assign(request, { hostname, port: Number(port), protocol, body });
      request.headers['host'] = `${hostname}:${port}`;
      request.headers['content-length'] = String(Buffer.byteLength(body));
      const { response } = await http.handle(request);
      const chunks: Buffer[] = [];
      for await (const chunk of response.body) chunks.push(chunk);
      const answer = Buffer.concat(chunks);
      const operation = request.headers['x-amz-target']?.split('.')[1] ?? '';
      if (response.statusCode === 200) {
        const said = JSON.parse(answer.toString('utf8'));
        meter.count(operation, asked, said);
        if (operation === 'PutItem') consumed.write += said.ConsumedCapacity?.CapacityUnits ?? Number.NaN;
      }
      response.body = new Blob([answer]).stream();
      return { response };
    },
    updateHttpClientConfig: () => {},
    httpHandlerConfigs: () => ({}),
    destroy: () => http.destroy(),
  };
  return { table: activityTable({ table: name, region: REGION, credentials, transport }), meter, consumed };
};

/** Batches of 100 as the queue's window gives them, a checkpoint each minute of the events' time. */
const units = async (url: string, name: string, events: readonly Buffer[], shards: number, size = SEGMENT_EVENTS) => {
  const { table, meter, consumed } = await meteredTable(url, name);
  const clock = { now: 0 };
  const options = { table, objects: memoryLog().objects, now: (): Time => clock.now };
  const writer = createWriter({ ...options, shards });
  const checkpoint = createCheckpointer({ ...options, signer: SIGNER });
  let signed = 0;
  let written = 0;
  for (let at = 0; at < events.length; at += size) {
    const batch = events.slice(at, at + size);
    clock.now = Math.max(clock.now, ...batch.map((e) => readActivity(e).time));
    written += (await writer.append('file', batch)).written;
    if (clock.now - signed < minutes(1)) continue;
    signed = clock.now;
    await checkpoint();
  }
  await checkpoint();
  return { per1000: (meter.units.write / written) * 1_000, byEmulator: (consumed.write / written) * 1_000 };
};

/** Lines of 40 hosts within an hour: people come, run two commands and go, and each host says that it is there. */
const hostLines = (): Buffer[] => {
  const random = createRandom(11);
  const hosts = Array.from({ length: 40 }, (_, n) => {
    const host = `i-0${n.toString(16).padStart(16, 'a')}`;
    return { host, ...aHost({ host }), pid: 800 };
  });
  return Array.from({ length: 360 }, (_, n) => {
    const h = hosts[random.integer(hosts.length)] ?? hosts[0];
    if (!h) return [];
    const at = NOW + seconds(10 * n);
    const from = `198.51.100.${random.integer(20)}`;
    const said = random.chance(0.5)
      ? visit(at, { pid: h.pid++, session: String(h.pid), user: `user-${random.integer(8)}`, ip: from })
      : [own('beat', at, 'watches sessions')];
    return h.ship(...said).map((line) => rawOf(line, h.host));
  }).flat();
};
/** As the queue gathers them; and as CloudWatch brings them, a few of one host at a time. */
export const hostUnits = async (url: string): Promise<Figures> => {
  const lines = hostLines();
  const gathered = await units(url, 'bench-activity-hosts', lines, 4);
  const alone = await units(url, 'bench-activity-hosts-alone', lines, 4, 4);
  return {
    'activity.hostWriteUnitsPer1000': round(gathered.per1000),
    'activity.hostAloneWriteUnitsPer1000': round(alone.per1000),
  };
};

/** One item per event, as others lay it out. */
const rivals = (events: readonly Buffer[]): Figures => {
  const byDate: Index = { name: 'byDate', keys: ['day', 'at'], projected: undefined };
  const cost = (indexes: readonly Index[], bodyOf: (e: Buffer) => Record<string, unknown>): number => {
    const meter = createMeter(indexes);
    for (const event of events) {
      const { id, time, who, what, account } = readActivity(event);
      const Item = {
        pk: { S: `${account}/${id}` },
        sk: { N: String(time) },
        day: { S: new Date(time).toISOString().slice(0, 10) },
        at: { N: String(time) },
        who: { S: who[0] ?? 'unknown' },
        what: { S: what },
        body: bodyOf(event),
      };
      meter.count('PutItem', { Item }, {});
    }
    return (meter.units.write / events.length) * 1_000;
  };
  const raw = (e: Buffer) => ({ S: e.toString('utf8') });
  return {
    'activity.rawWriteUnitsPer1000': round(cost([], raw), 0),
    'activity.indexedWriteUnitsPer1000': round(cost([byDate], raw), 0),
    'activity.compressedItemWriteUnitsPer1000': round(
      cost([], (e) => ({ B: brotliCompressSync(e).toString('base64') })),
      0,
    ),
  };
};

const writing = async (url: string): Promise<Figures> => {
  const { inOrder, shuffled } = records();
  const ordered = await units(url, 'bench-activity-ordered', inOrder, 4);
  const mixed = await units(url, 'bench-activity-shuffled', shuffled, 1);
  return {
    'activity.writeUnitsPer1000': round(ordered.per1000),
    'activity.writeUnitsPer1000ByEmulator': round(ordered.byEmulator),
    'activity.shuffledWriteUnitsPer1000': round(mixed.per1000),
    ...(await hostUnits(url)),
    ...rivals(inOrder),
  };
};

/** Events a second of one core, and the share of that which parsing, hashing and compressing alone would reach. In turns. */
const ingest = async (): Promise<Figures> => {
  const { inOrder } = records();
  const bare = (): void => {
    for (let at = 0; at < inOrder.length; at += SEGMENT_EVENTS) {
      const batch = inOrder.slice(at, at + SEGMENT_EVENTS);
      for (const event of batch) {
        JSON.parse(event.toString('utf8'));
        createHash('sha256').update(event).digest();
      }
      brotliCompressSync(Buffer.concat(batch), { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
    }
  };
  const ours = async (): Promise<void> => {
    const writer = createWriter({ ...memoryLog(), now: () => NOW, shards: 4 });
    for (let at = 0; at < inOrder.length; at += SEGMENT_EVENTS)
      await writer.append('file', inOrder.slice(at, at + SEGMENT_EVENTS));
  };
  const times: { bare: number; ours: number }[] = [];
  for (let n = 0; n < 15; n++) times.push({ bare: await coreMs(async () => bare()), ours: await coreMs(ours) });
  const warm = times.slice(3);
  return {
    'activity.ingestPerSecond': round((inOrder.length / median(warm.map((t) => t.ours))) * 1_000, 0),
    'activity.shareOfBare': round(median(warm.map((t) => t.bare / t.ours)), 2),
  };
};

/** A file of a million records, streamed: how far memory grows. */
const largeFile = async (): Promise<Figures> => {
  const some = generated(2_000);
  const block = Buffer.concat(some.flatMap((e) => [e, Buffer.from(',')]));
  function* file(): Generator<Buffer> {
    yield Buffer.from('{"Records":[');
    for (let n = 0; n < 499; n++) yield* inChunks(block);
    yield* inChunks(block.subarray(0, -1));
    yield Buffer.from(']}');
  }
  const inChunks = (bytes: Buffer): Buffer[] =>
    Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, n) => bytes.subarray(n * 65_536, (n + 1) * 65_536));
  const memory = (): number => process.memoryUsage().rss / 2 ** 20;
  const before = memory();
  const began = performance.now();
  let [count, most] = [0, before];
  for await (const _ of recordsOf(file())) if (++count % 10_000 === 0) most = Math.max(most, memory());
  if (count !== 1_000_000) throw new Error(`${count} records of a million`);
  return {
    'activity.fileMemoryMB': round(most - before, 0),
    'activity.fileRecordsPerSecond': round((count / (performance.now() - began)) * 1_000, 0),
  };
};

const sizeOf = ({ bytes }: Item): number => bytes.length;
/** The table, counting what is read. */
const counting = (table: LogTable) => {
  const read = { bytes: 0 };
  return {
    read,
    table: {
      ...table,
      get: async (slots) => {
        const items = await table.get(slots);
        read.bytes += items.reduce((n, i) => n + sizeOf(i), 0);
        return items;
      },
      async *range(partition, range) {
        for await (const item of table.range(partition, range)) {
          read.bytes += sizeOf(item);
          yield item;
        }
      },
    } satisfies LogTable,
  };
};

/** DynamoDB on this machine that finds a range by its keys. MiniStack, which the rest uses, walks through the whole partition. */
const startDynalite = async (): Promise<{ readonly url: string; stop(): Promise<void> }> => {
  const server = dynalite({ createTableMs: 0 });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => new Promise((done) => server.close(() => done())),
  };
};

/** The table as DynamoDB answers, by a model: 10 ms a call, 50 MB a second. */
const asDynamo = (table: LogTable): LogTable => {
  const answer = async (bytes: number): Promise<void> => {
    await sleep(10 + bytes / 50_000);
  };
  return {
    ...table,
    get: async (slots) => {
      const items = await table.get(slots);
      await answer(items.reduce((n, i) => n + sizeOf(i), 0));
      return items;
    },
    async *range(partition, range) {
      const page: Item[] = [];
      for await (const item of table.range(partition, range)) page.push(item);
      await answer(page.reduce((n, i) => n + sizeOf(i), 0));
      yield* page;
    },
  };
};

/** As `steward activity verify` does: in a process of its own, which has collected nothing of other work. */
const verifiedAlone = (): number =>
  Number(
    execFileSync(process.execPath, ['--no-warnings', new URL('verifying.ts', import.meta.url).pathname], {
      encoding: 'utf8',
    }),
  );

const reading = async (): Promise<Figures> => {
  const memory = await millionEvents();
  const items = [...memory.items].flatMap(([partition, slots]) =>
    [...slots].map(([slot, { bytes }]): Item => ({ partition, slot, bytes })),
  );
  const all = items.reduce((n, i) => n + sizeOf(i), 0);
  const share = async (wanted: { actor?: string; resource?: string }): Promise<number> => {
    const { table, read } = counting(memory.table);
    const { rows } = await createSearch({ ...memory, table }).page(wanted, 1_000);
    // Of the 40 calls a few have no parameters, and so no resource.
    if (rows.length < 30 || rows.length > 40) throw new Error(`${rows.length} rows of 40`);
    return read.bytes / all;
  };
  const shares = [await share({ actor: RARE.user }), await share({ resource: RARE.resource })];

  /** Milliseconds to the first page of one actor, the median of nine. */
  const firstPage = async (table: LogTable): Promise<number> => {
    const search = createSearch({ ...memory, table });
    const times: number[] = [];
    for (let n = 0; n < 9; n++) {
      const start = performance.now();
      const { rows } = await search.page({ actor: RARE.user }, 20);
      if (rows.length !== 20) throw new Error(`${rows.length} rows of a page of 20`);
      times.push(performance.now() - start);
    }
    return round(median(times), 0);
  };
  const local = await startDynalite();
  const { table } = await meteredTable(local.url, 'bench-activity-million');
  for (let n = 0; n < items.length; n += 50) await Promise.all(items.slice(n, n + 50).map((item) => table.put(item)));
  const onLocal = await firstPage(table);
  await local.stop();
  return {
    'activity.searchReadShare': round(Math.max(...shares), 4),
    'activity.searchFirstPageMs': onLocal,
    'activity.searchFirstPageModelMs': await firstPage(asDynamo(memory.table)),
    'activity.verifyPerSecond': verifiedAlone(),
    'activity.storedBytesPerEvent': round(all / EVENTS, 0),
  };
};

/** US dollars: a GB in S3 Standard and in Glacier Instant Retrieval for a month, a million write units; us-east-1, November 2026. */
const PRICES = { standard: 0.023, glacier: 0.004, units: 0.625 };
const MONTHS = 7 * 12;

/** Days archived, read back and ended: bytes, time, and what a million such events cost for seven years. */
const archiving = async (): Promise<Figures> => {
  const { inOrder } = records();
  const memory = memoryLog();
  const clock = { now: NOW };
  const options = { ...memory, now: (): Time => clock.now };
  const writer = createWriter({ ...options, shards: 1 });
  const checkpoint = createCheckpointer({ ...options, signer: SIGNER });
  const retention = createRetention({ ...options, account: ACCOUNT, append: writer.append, hotDays: 90, years: 7 });
  for (let at = 0; at < inOrder.length; at += SEGMENT_EVENTS)
    await writer.append('file', inOrder.slice(at, at + SEGMENT_EVENTS));
  await checkpoint();
  clock.now += days(9);
  let receipt: Receipt | undefined;
  const spent = await coreMs(async () => {
    receipt = await retention.archive();
  });
  if (receipt?.events !== inOrder.length) throw new Error(`archived ${receipt?.events} of ${inOrder.length}`);
  const sizeIn = (folder: string): number =>
    [...memory.files].filter(([key]) => key.startsWith(folder)).reduce((n, [, b]) => n + b.length, 0);
  const bytes = (sizeIn('archive/') + sizeIn('archive-index/')) / inOrder.length;
  // To end a body costs as much as it did to write it.
  const ends = [...memory.items]
    .filter(([partition]) => partition.startsWith('body/'))
    .reduce((n, [, slots]) => n + Math.ceil(((slots.get(0)?.bytes.length ?? 0) + 70) / 1_024), 0);
  const gigabytes = (bytes * 1e6) / 1e9;
  const stored = gigabytes * (3 * PRICES.standard + (MONTHS - 3) * PRICES.glacier);
  return {
    'activity.archiveBytesPerEvent': round(bytes, 0),
    'activity.archivePerSecond': round((inOrder.length / spent) * 1_000, 0),
    'activity.endWriteUnitsPer1000': round((ends / inOrder.length) * 1_000),
    'activity.archiveDollarsPerMillion': round(stored, 3),
    'activity.endDollarsPerMillion': round((ends / inOrder.length) * PRICES.units, 3),
  };
};

/** Each byte of each item, and all else that an intruder may do. */
const tampering = async (): Promise<Figures> => {
  const shape = { links: 11, every: 4 };
  const of = await victim(shape.links, shape.every);
  const tampers = tampersOf(of, { ...shape, step: 1 });
  let found = 0;
  for (const tamper of tampers) if ((await outcomeOf(of, tamper)).found) found++;
  return { 'activity.tampersTried': tampers.length, 'activity.tampersFound': found };
};

export const activity = async (): Promise<Figures> => {
  const emulator = await startEmulator('ministack');
  if ('missing' in emulator) throw new Error(`the bench needs a DynamoDB: ${emulator.missing}`);
  try {
    return {
      ...(await writing(emulator.url)),
      ...(await ingest()),
      ...(await largeFile()),
      ...(await archiving()),
      ...(await reading()),
      ...(await tampering()),
    };
  } finally {
    await emulator.stop();
  }
};
