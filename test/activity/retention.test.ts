/** Archive, verify, write it down, and only then expire: nothing is ever in neither place, and what has gone is told from what was deleted. */
import { zstdDecompressSync } from 'node:zlib';
import { createRetention, readLine } from '../../shared/activity/retention.ts';
import { verify } from '../../shared/activity/verify.ts';
import { days } from '../../shared/core/time.ts';
import { type Mishap, memoryLog } from '../../world/memoryLog.ts';
import { createRandom } from '../../world/random.ts';
import { ACCOUNT, KEYS, setting, someEvents } from './setting.ts';

const HOT = 90;
const kept = (mishap?: () => Mishap | undefined) => {
  const memory = memoryLog(mishap);
  const log = setting(memory);
  const retention = createRetention({
    ...memory,
    now: () => log.clock.now,
    account: ACCOUNT,
    append: log.writer.append,
    sealDays: 2,
    hotDays: HOT,
  });
  return { memory, retention, ...log };
};

/** All events that the archive's files have. */
const archived = (files: ReadonlyMap<string, Uint8Array>): string[] =>
  [...files]
    .filter(([key]) => key.startsWith('archive/'))
    .flatMap(([, bytes]) => {
      const text = zstdDecompressSync(bytes);
      const events: string[] = [];
      for (let from = 0; from < text.length; ) {
        const end = text.indexOf(0x0a, from);
        events.push(readLine(text.subarray(from, end)).raw.toString('latin1'));
        from = end + 1;
      }
      return events;
    });

const odd = [
  Buffer.from('{"eventName":\n"x"}'),
  Buffer.from([0xff, 0x0a, 0x00]),
  Buffer.from('{"place":"s9/9/9","event":1,"event64":"eA=="}'),
];
const events = [...someEvents(300), ...someEvents(80, 2, '555566667777'), ...odd];

test('what has left the table is in the archive, and verify knows it', async () => {
  const { memory, retention, writer, checkpoint, clock, table, objects } = kept();
  await writer.append('file', events);
  await checkpoint();
  expect(await retention.archive()).toBeUndefined();
  clock.now += days(3);
  const receipt = await retention.archive();
  expect(receipt).toMatchObject({
    number: 0,
    runs: [
      ['s0', 0, expect.any(Number)],
      ['s1', 0, expect.any(Number)],
    ].filter(([s]) => receipt?.runs.some(([r]) => r === s)),
  });
  expect(archived(memory.files).sort()).toEqual(events.map((e) => e.toString('latin1')).sort());
  expect(receipt!.files.map((f) => f.key)).toContainEqual(
    expect.stringMatching(
      /^archive\/account=111122223333\/region=eu-central-1\/day=2026-11-25\/00000000-[0-9a-f]{12}\.ndjson\.zst$/,
    ),
  );
  await checkpoint();
  clock.now += days(HOT - 2);
  // The receipt's own link, which is younger.
  expect(await retention.extendUnarchived()).toBe(1);
  expect(memory.expire(clock.now)).toBeGreaterThan(3);
  const report = await verify({ table, objects, keys: KEYS });
  expect(report).toMatchObject({ findings: [], expired: report.links - 1 });
  // Without the receipt, or with another, it is a deletion.
  const [slots] = [memory.items.get('archive')!];
  slots.set(0, {
    ...slots.get(0)!,
    bytes: Buffer.from(Buffer.from(slots.get(0)!.bytes).toString().replace('"at":1', '"at":2')),
  });
  expect((await verify({ table, objects, keys: KEYS })).findings).toHaveLength(report.expired);
});

test('what no archive has does not go, however long archiving fails', async () => {
  const { memory, retention, writer, checkpoint, clock, table, objects } = kept();
  await writer.append('file', events);
  await checkpoint();
  for (let day = 0; day < 300; day += 10) {
    clock.now += days(10);
    await retention.extendUnarchived();
    memory.expire(clock.now);
  }
  expect(await verify({ table, objects, keys: KEYS })).toMatchObject({
    findings: [],
    expired: 0,
    events: events.length,
  });
});

test('files that do not read back as they were written are no archive', async () => {
  const { memory, writer, checkpoint, clock } = kept();
  await writer.append('file', events);
  await checkpoint();
  clock.now += days(3);
  const objects = {
    ...memory.objects,
    put: (key: string, bytes: Uint8Array) => memory.objects.put(key, bytes.subarray(1)),
  };
  const broken = createRetention({
    table: memory.table,
    objects,
    now: () => clock.now,
    account: ACCOUNT,
    append: writer.append,
    sealDays: 2,
    hotDays: HOT,
  });
  await expect(broken.archive()).rejects.toThrow('is not what was written');
  expect(memory.items.has('archive')).toBe(false);
});

test.each([1, 2, 3, 4, 5])('seed %i: whatever fails on the way, nothing is in neither place', async (seed) => {
  const random = createRandom(seed);
  let calm = true;
  const { memory, retention, writer, checkpoint, clock, table, objects } = kept(() =>
    !calm && random.chance(0.05) ? random.pick(['throttled', 'lost-request', 'lost-reply', 'crash']) : undefined,
  );
  await writer.append('file', events);
  await checkpoint();
  calm = false;
  for (let n = 0; n < 40; n++) {
    clock.now += days(5);
    for (const job of [retention.archive, retention.extendUnarchived, checkpoint]) await job().catch(() => undefined);
    memory.expire(clock.now);
  }
  calm = true;
  await retention.archive();
  await checkpoint();
  expect((await verify({ table, objects, keys: KEYS })).findings).toEqual([]);
  const all = new Set(archived(memory.files));
  expect(events.filter((e) => !all.has(e.toString('latin1')))).toEqual([]);
});
