/** The activity log's table: in memory, and on DynamoDB as an emulator understands it; and a whole log over it. */

import { Readable } from 'node:stream';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { CreateBucketCommand, GetObjectTaggingCommand, S3Client } from '@aws-sdk/client-s3';
import type { Statement } from '../../shared/activity/checkpoint.ts';
import { copyAddress, copyKey, newestCopy } from '../../shared/activity/copies.ts';
import type { LogTable } from '../../shared/activity/log.ts';
import { openNote, signNote } from '../../shared/activity/note.ts';
import { findEvents, prove } from '../../shared/activity/prove.ts';
import { readActivity } from '../../shared/activity/record.ts';
import { verify } from '../../shared/activity/verify.ts';
import { activityTable, checkActivityTable } from '../../shared/aws/activityTable.ts';
import { noteSigner } from '../../shared/aws/noteSigner.ts';
import { bucketObjects } from '../../shared/aws/objects.ts';
import { trailFiles } from '../../shared/aws/trailFiles.ts';
import { days } from '../../shared/core/time.ts';
import { memoryLog } from '../../world/memoryLog.ts';
import { allRows, KEYS, NOW, rawTexts, setting, someEvents, textsOf } from '../activity/setting.ts';
import { startEmulator } from './emulators.ts';
import { credentials, REGION } from './table.ts';
import { jsonError, transportTo } from './transport.ts';

const emulator = await startEmulator('ministack');
afterAll(async () => {
  if ('stop' in emulator) await emulator.stop();
});
const url = 'url' in emulator ? emulator.url : '';
const on = 'url' in emulator ? describe : describe.skip;

let tables = 0;
const made = async (sk: 'N' | 'S' = 'N') => {
  const table = `steward-test-activity-${++tables}`;
  const transport = transportTo(url);
  const client = new DynamoDBClient({ region: REGION, credentials, requestHandler: transportTo(url) });
  await client.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'pk', AttributeType: 'S' },
        { AttributeName: 'sk', AttributeType: sk },
      ],
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
  return { transport, options: { table, region: REGION, credentials, transport } };
};

const item = (slot: number, text: string) => ({ partition: 'link/s0', slot, bytes: Buffer.from(text) });
const slotsOf = async (table: LogTable, range: Parameters<LogTable['range']>[1]) => {
  const slots: number[] = [];
  for await (const { slot } of table.range('link/s0', range)) slots.push(slot);
  return slots;
};

const contract = (fresh: () => Promise<LogTable>) => {
  test('what is written once stays; the same again is no conflict', async () => {
    const table = await fresh();
    expect(await table.put(item(0, 'a'))).toBe('written');
    expect(await table.put(item(0, 'a'))).toBe('same');
    expect(await table.put(item(0, 'b'))).toBe('taken');
    const [found] = await table.get([item(0, ''), item(1, '')]);
    expect(Buffer.from(found!.bytes).toString()).toBe('a');
    expect(await table.end(item(0, ''), NOW)).toBe(true);
    expect(await table.end(item(1, ''), NOW)).toBe(false);
  });
  test('ranges are in the order of numbers, over any number of pages', async () => {
    const table = await fresh();
    for (let n = 0; n < 12; n++) await table.put(item(n, 'x'.repeat(200_000)));
    expect(await slotsOf(table, {})).toEqual(Array.from({ length: 12 }, (_, n) => n));
    expect(await slotsOf(table, { from: 9 })).toEqual([9, 10, 11]);
    expect(await slotsOf(table, { from: 2, to: 4 })).toEqual([2, 3]);
    expect(await slotsOf(table, { from: 4, to: 4 })).toEqual([]);
    expect((await slotsOf(table, { newestFirst: true })).slice(0, 2)).toEqual([11, 10]);
  });
};

describe('in memory', () => contract(async () => memoryLog().table));
on('on DynamoDB (MiniStack)', () => {
  contract(async () => activityTable((await made()).options));

  test('a whole log: written, signed, searched, proven, whole', async () => {
    const { options } = await made();
    const log = setting({ table: activityTable(options), objects: memoryLog().objects });
    const events = [...someEvents(300), ...someEvents(50, 2, '555566667777')];
    expect(await log.writer.append('file', [...events, ...events.slice(0, 20)])).toMatchObject({
      written: 350,
      known: 20,
    });
    const last = await log.checkpoint();
    expect(rawTexts(await allRows(log, {}, 60))).toEqual(textsOf(events));
    const [place] = await findEvents(log, readActivity(events[222]!));
    expect((await prove(log, place!, last!)).event).toBe(events[222]!.toString());
    expect(await verify({ ...log, keys: KEYS, kept: last! })).toMatchObject({ findings: [], events: 350, unsigned: 0 });
  }, 30_000);

  test('a lost reply is no conflict, and throttling is said', async () => {
    const { options, transport } = await made();
    const table = activityTable(options);
    // The request goes through, its reply does not: the SDK asks again and finds its own.
    await table.put(item(0, 'a'));
    transport.instead.push(Object.assign(new Error('socket hang up'), { name: 'TimeoutError' }));
    expect(await table.put(item(0, 'a'))).toBe('same');
    transport.instead.push(...Array.from({ length: 3 }, () => jsonError('ProvisionedThroughputExceededException')));
    await expect(table.put(item(1, 'a'))).rejects.toMatchObject({ name: 'Throttled' });
  });

  test('objects, and a key of KMS that signs checkpoints', async () => {
    const inner = transportTo(url);
    const transport = {
      ...inner,
      // The SDK's S3 client reads a stream.
      handle: async (request: Parameters<typeof inner.handle>[0]) => {
        const { response } = await inner.handle(request);
        return { response: { ...response, body: Readable.from([response.body]) } };
      },
    };
    const options = { region: REGION, credentials, transport };
    const s3 = new S3Client({ region: REGION, credentials, endpoint: url, forcePathStyle: true });
    await s3.send(new CreateBucketCommand({ Bucket: 'steward-test-activity' }));
    const objects = bucketObjects({ ...options, bucket: 'steward-test-activity', prefix: 'log/' });
    const bytes = Buffer.from([0, 255, 10, 13]);
    await objects.put('a/b', bytes);
    expect(Buffer.from((await objects.get('a/b'))!).equals(bytes)).toBe(true);
    expect(await objects.get('a/c')).toBeUndefined();
    await objects.letGo('a/b');
    const tags = new GetObjectTaggingCommand({ Bucket: 'steward-test-activity', Key: 'log/a/b' });
    expect((await s3.send(tags)).TagSet).toEqual([{ Key: 'steward:may-go', Value: 'true' }]);
    expect(Buffer.from((await objects.get('a/b'))!).equals(bytes)).toBe(true);

    // Checkpoints as a second account has them: the newest, found by listing.
    const copies = bucketObjects({ ...options, bucket: 'steward-test-activity' });
    const keys = [7, 8, 9].map((number) =>
      copyKey({ number, statement: { time: NOW + number * days(1) } as Statement }),
    );
    for (const key of keys) await copies.put(key, Buffer.from(key));
    const listing = trailFiles({ ...options, bucket: 'steward-test-activity' });
    expect(await newestCopy(listing, copyAddress('s3://steward-test-activity'))).toBe(keys.at(-1));
    await expect(newestCopy(listing, copyAddress('s3://steward-test-activity/none/'))).rejects.toThrow(
      'there is no checkpoint',
    );

    const kms = new KMSClient({ region: REGION, credentials, endpoint: url });
    const key = async (KeySpec: 'ECC_NIST_P256' | 'RSA_2048') =>
      (await kms.send(new CreateKeyCommand({ KeySpec, KeyUsage: 'SIGN_VERIFY' }))).KeyMetadata!.KeyId!;
    const signer = await noteSigner({ ...options, keyId: await key('ECC_NIST_P256'), name: 'steward/1/test' });
    const note = await signNote('one\n', signer);
    expect(openNote(note, [signer.publicKey])).toBe('one\n');
    await expect(noteSigner({ ...options, keyId: await key('RSA_2048'), name: 'x' })).rejects.toThrow(
      'a key of RSA_2048',
    );
  });

  test('a table with other keys is not used', async () => {
    await checkActivityTable((await made()).options);
    await expect(checkActivityTable((await made('S')).options)).rejects.toThrow('RANGE sk S');
  });
});
