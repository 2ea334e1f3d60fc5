/** What goes in comes out, each event once: whatever is repeated, reordered, lost, throttled, or ended in the middle, with several writers at once. */
import { createWriter, dollarsPerMillion } from '../../shared/activity/append.ts';
import { createCheckpointer } from '../../shared/activity/checkpoint.ts';
import { LEGS, readLink } from '../../shared/activity/link.ts';
import { ANY } from '../../shared/activity/terms.ts';
import { verify } from '../../shared/activity/verify.ts';
import { type Mishap, memoryLog } from '../../world/memoryLog.ts';
import { createRandom, type Random } from '../../world/random.ts';
import { ACCOUNT, aLog, allRows, KEYS, NOW, rawTexts, SIGNER, someEvents, textsOf } from './setting.ts';

/** What EventBridge brings of a record that a file has too. */
const enveloped = (raw: Buffer): Buffer => {
  const detail = JSON.parse(raw.toString('utf8'));
  const turned = Object.fromEntries(Object.entries(detail).reverse());
  return Buffer.from(
    JSON.stringify({
      version: '0',
      id: `envelope of ${detail.eventID}`,
      'detail-type': 'AWS API Call via CloudTrail',
      detail: turned,
    }),
  );
};

test('one event by two legs, two regions and a retry is one row', async () => {
  const { writer, checkpoint, ...log } = aLog();
  const events = someEvents(250);
  expect(await writer.append('eventbridge', events.slice(0, 40).map(enveloped))).toMatchObject({
    written: 40,
    known: 0,
  });
  expect(await writer.append('file', [...events, ...events.slice(0, 9)])).toMatchObject({
    written: 210,
    known: 49,
    segments: 3,
  });
  await checkpoint();
  // Another writer, which knows nothing yet.
  const { writer: other } = { writer: createWriter({ ...log, now: () => NOW, shards: 2 }) };
  expect(await other.append('lookup', events)).toMatchObject({ written: 0, known: 250 });
  expect(await allRows(log, {})).toHaveLength(250);
});

test('unequal events under one id are both kept, and flagged', async () => {
  const { writer, ...log } = aLog();
  const [event] = someEvents(1);
  const changed = Buffer.from(event!.toString().replace('eu-central-1', 'us-east-1'));
  expect(await writer.append('file', [event!])).toMatchObject({ conflicts: 0 });
  expect(await writer.append('file', [changed])).toMatchObject({ written: 1, conflicts: 1 });
  // The retry of either is known.
  expect(await writer.append('file', [changed, event!])).toMatchObject({ written: 0, known: 2 });
  expect(rawTexts(await allRows(log, {}))).toEqual(textsOf([event!, changed]));
});

test('what it costs is what DynamoDB counts: each item by the kilobyte, places that were lost too', async () => {
  const { writer, memory } = aLog(1);
  const appended = await writer.append('file', someEvents(250));
  const items = [...memory.items].flatMap(([partition, slots]) =>
    /^(body|link)/.test(partition) ? [...slots.values()].map((i) => Math.ceil((i.bytes.length + 40) / 1_024)) : [],
  );
  expect(appended.units).toBe(items.reduce((a, b) => a + b, 0));
  // 140 units for a thousand events, 0.625 $ a million units.
  expect(dollarsPerMillion(appended)).toBeGreaterThan(0.05);
  expect(dollarsPerMillion(appended)).toBeLessThan(0.2);
  const [one] = [await writer.append('file', someEvents(1, 77))];
  expect(dollarsPerMillion(one)).toBeCloseTo(2 * 0.625);
});

test('poison is kept raw and blocks nothing; what is too large for the table is an object', async () => {
  const { writer, memory, checkpoint, ...log } = aLog();
  const random = createRandom(3);
  const large = Buffer.from(
    JSON.stringify({
      eventID: 'large',
      recipientAccountId: ACCOUNT,
      noise: Array.from({ length: 90_000 }, () => random.hex(12)).join(''),
    }),
  );
  const odd = [
    Buffer.from('{"a'),
    Buffer.from(''),
    Buffer.from([0, 1, 0, 255]),
    Buffer.from('null'),
    Buffer.from('{\n "eventName": "x"\n}'),
    large,
  ];
  const events = someEvents(5);
  expect(await writer.append('host', [...odd, ...events])).toMatchObject({ written: 11 });
  expect(await writer.append('host', odd)).toMatchObject({ written: 0, known: 6 });
  expect([...memory.files.keys()]).toEqual([expect.stringMatching(/^spilled\/[0-9a-f]{64}$/)]);
  const latin = (b: Buffer) => b.toString('latin1');
  expect(rawTexts(await allRows(log, {}))).toEqual([...odd, ...events].map(latin).sort());
  await checkpoint();
  expect((await verify({ ...log, keys: KEYS })).findings).toEqual([]);
});

test('a segment ends before its link has no room: a link is at most two write units, and says what is in it', async () => {
  const { writer, memory } = aLog(1);
  // Forty names in each: ten events fill a link.
  const wide = Array.from({ length: 30 }, (_, n) => {
    const items = Array.from({ length: 40 }, (__, i) => ({ instanceId: `i-${n}-${i}` }));
    return Buffer.from(
      JSON.stringify({ eventID: `wide ${n}`, recipientAccountId: ACCOUNT, requestParameters: { items } }),
    );
  });
  await writer.append('file', [...wide, ...someEvents(300)]);
  const links = [...memory.items.get('link/s0')!.values()].map(({ bytes }) => readLink(bytes));
  expect(Math.max(...links.map((l) => l.bytes.length))).toBeLessThanOrEqual(2_008);
  expect(links.some((l) => l.terms.includes(ANY))).toBe(false);
  expect(links.reduce((n, l) => n + l.header.count, 0)).toBe(330);
});

const MISHAPS: readonly Mishap[] = ['throttled', 'lost-request', 'lost-reply', 'crash'];

/** Writers and checkpointers that die and begin anew, over one table, until all batches are acknowledged. */
const chaos = async (seed: number) => {
  const random = createRandom(seed);
  let calm = false;
  const memory = memoryLog(
    () => (!calm && random.chance(0.04) ? random.pick(MISHAPS) : undefined),
    // Others come in between.
    async () => {
      for (let n = random.integer(4); n > 0; n--) await Promise.resolve();
    },
  );
  const clock = { now: NOW };
  const events = [...someEvents(160, seed), ...someEvents(120, seed + 1, '555566667777')];
  const batches = batchesOf(events, random);
  const options = { ...memory, now: () => (clock.now += random.integer(50)) };
  const begin = () => createWriter({ ...options, shards: 2 });
  const work = async (mine: (readonly Buffer[])[]) => {
    let writer = begin();
    for (let at = 0; at < mine.length; )
      await writer.append(random.pick(LEGS), mine[at]!).then(
        () => void at++,
        // Whatever it knew is gone with the process.
        () => {
          writer = begin();
        },
      );
  };
  const sign = async () => {
    for (let n = 0; n < 12; n++) await createCheckpointer({ ...options, signer: SIGNER })().catch(() => undefined);
  };
  await Promise.all([work(batches.slice(0, 9)), work(batches.slice(9, 18)), work(batches.slice(18)), sign(), sign()]);
  calm = true;
  await createCheckpointer({ ...options, signer: SIGNER })();
  return { memory, events };
};
const batchesOf = (events: readonly Buffer[], random: Random): (readonly Buffer[])[] =>
  Array.from({ length: 27 }, (_, n) => {
    // Each event is in some batch; many are in several, as it is or as EventBridge has it.
    const own = events.filter((__, i) => i % 27 === n);
    const again = Array.from({ length: random.integer(6) }, () => random.pick(events));
    return [...own, ...again, ...again.slice(0, 2).map(enveloped)].sort(() => random.next() - 0.5);
  });

/** The record inside, whichever leg was first. */
const idOf = (text: string): string => {
  const value = JSON.parse(text);
  return (value.detail ?? value).eventID;
};

test.each(Array.from({ length: 20 }, (_, n) => n + 1))(
  'seed %i: set in = set out, and the log is whole',
  async (seed) => {
    const { memory, events } = await chaos(seed);
    const rows = await allRows(memory, {}, 7);
    expect(rawTexts(rows).map(idOf).sort()).toEqual(events.map((e) => idOf(e.toString())).sort());
    const report = await verify({ ...memory, keys: KEYS });
    expect(report).toMatchObject({ findings: [], unsigned: 0, events: events.length });
  },
);
