/** Archive, verify, write it down, and only then expire: nothing is ever in neither place, and what has gone is told from what was deleted. */

import { createWriter } from '../../shared/activity/append.ts';
import { createArchive } from '../../shared/activity/archive.ts';
import { linesOf, packLines, readLine } from '../../shared/activity/archiveFile.ts';
import { countsOf, numbered, openCheckpoint, runsBetween } from '../../shared/activity/checkpoint.ts';
import { base64, leafHash, sha256 } from '../../shared/activity/hashing.ts';
import { NO_LINK, placeOf } from '../../shared/activity/link.ts';
import { addPlaces, type Mark, putMark } from '../../shared/activity/marks.ts';
import { checkProof, findEvents, prove } from '../../shared/activity/prove.ts';
import { bytesOfReceipt, packIndex, readIndex, readReceipt } from '../../shared/activity/receipts.ts';
import { readActivity } from '../../shared/activity/record.ts';
import { createRetention } from '../../shared/activity/retention.ts';
import { createSearch } from '../../shared/activity/search.ts';
import type { Heads } from '../../shared/activity/tile.ts';
import { grow, rootOf, rootOfLeaves } from '../../shared/activity/tree.ts';
import { verify } from '../../shared/activity/verify.ts';
import { days, hours, minutes } from '../../shared/core/time.ts';
import { type MemoryLog, type Mishap, memoryLog } from '../../world/memoryLog.ts';
import { createRandom } from '../../world/random.ts';
import { ACCOUNT, allRows, KEYS, NOW, rawTexts, setting, someEvents } from './setting.ts';

const HOT = 90;
const YEARS = 7;
const kept = (mishap?: (call: string) => Mishap | undefined, turn?: () => Promise<void>) => {
  const memory = memoryLog(mishap, turn);
  const log = setting(memory);
  const begin = () => {
    const writer = createWriter({ ...memory, now: () => log.clock.now, shards: 2 });
    return createRetention({
      ...memory,
      now: () => log.clock.now,
      account: ACCOUNT,
      append: writer.append,
      hotDays: HOT,
      years: YEARS,
    });
  };
  const retention = begin();
  return { memory, retention, begin, ...log };
};
type Kept = ReturnType<typeof kept>;

/** Rounds until nothing more is to do: what a round has written is signed in the next. */
const settle = async ({ retention, checkpoint }: Kept, rounds = 40): Promise<void> => {
  for (let n = 0, quiet = 0; quiet < 2; n++) {
    if (n === rounds) throw new Error(`it is not done after ${rounds} rounds`);
    await checkpoint();
    const all = [await retention.archive(), await retention.end(), await retention.expire()];
    quiet = all.every((r) => r === undefined) ? quiet + 1 : 0;
  }
};
/** What DynamoDB and the bucket's rules remove. */
const pass = ({ memory, clock }: Kept): void => {
  memory.expire(clock.now);
  for (const key of memory.mayGo) memory.files.delete(key);
};

const archiveFiles = (files: ReadonlyMap<string, Uint8Array>): [string, Uint8Array][] =>
  [...files].filter(([key]) => key.startsWith('archive/'));
const archived = (files: ReadonlyMap<string, Uint8Array>): string[] =>
  archiveFiles(files).flatMap(([, bytes]) => [...linesOf(bytes)].map((line) => readLine(line).raw.toString('latin1')));

const odd = [
  Buffer.from('{"eventName":\n"x"}'),
  Buffer.from([0xff, 0x0a, 0x00]),
  Buffer.from('{"place":"s9/9/9","event":1,"event64":"eA=="}'),
];
const events = [...someEvents(300), ...someEvents(80, 2, '555566667777'), ...odd];
const texts = events.map((e) => e.toString('latin1')).sort();
const isMine = (text: string): boolean => !text.includes('"eventSource":"steward"');

/** Three days of events, archived, and their bodies gone. */
const past = async (): Promise<Kept> => {
  const log = kept();
  await log.writer.append('file', events);
  for (const day of [1, 2]) {
    log.clock.now += days(1);
    await log.writer.append('file', someEvents(120, 10 + day, ACCOUNT, log.clock.now));
    await log.checkpoint();
  }
  log.clock.now += days(3);
  await settle(log);
  log.clock.now += days(HOT);
  await settle(log);
  pass(log);
  return log;
};

test('what has left the table is in the archive, and is searched, verified, proven and known as before', async () => {
  const { memory, retention, writer, checkpoint, clock, table, objects } = kept();
  await writer.append('file', events);
  await checkpoint();
  expect(await retention.archive()).toBeUndefined();
  clock.now = NOW + days(2);
  const receipt = (await retention.archive())!;
  expect(receipt).toMatchObject({ number: 0, heads: { s0: expect.any(Number) }, events: events.length });
  expect(archived(memory.files).sort()).toEqual(texts);
  expect([...memory.files.keys()]).toContainEqual(
    expect.stringMatching(
      /^archive\/account=111122223333\/region=eu-central-1\/day=2026-11-25\/00000000-[0-9a-f]{12}\.ndjson\.zst$/,
    ),
  );
  // Not before the log has it, signed.
  expect(await retention.end()).toBeUndefined();
  await checkpoint();
  expect(await retention.end()).toEqual(receipt);
  expect(memory.expire(NOW + days(HOT) - 1)).toBe(0);
  clock.now = NOW + days(HOT) + hours(1);
  expect(memory.expire(clock.now)).toBeGreaterThan(3);

  const report = await verify({ table, objects, keys: KEYS });
  expect(report).toMatchObject({ findings: [], archived: report.links - 1, expired: 0, events: events.length + 1 });
  expect(report.files).toBe(receipt.files);
  expect(await verify({ table, objects, keys: KEYS, hotOnly: true })).toMatchObject({
    findings: [],
    archived: report.archived,
    files: 0,
  });

  expect(rawTexts(await allRows({ table, objects }, {})).filter(isMine)).toEqual(texts);
  const [first] = await allRows(
    { table, objects },
    { action: readActivity(events[7]!).what, to: readActivity(events[7]!).time },
  );
  expect(first).toBeDefined();
  const [place] = await findEvents({ table, objects }, readActivity(events[7]!));
  const proof = await prove({ table, objects }, place!, (await checkpoint())!);
  expect(Buffer.from(checkProof(proof, KEYS).raw)).toEqual(events[7]);

  const again = createWriter({
    table,
    objects,
    now: () => clock.now,
    shards: 2,
    archive: createArchive({ table, objects }),
  });
  expect(await again.append('file', events)).toMatchObject({ written: 0, known: events.length });
});

test('a page of a search reads so many files, and the next goes on', async () => {
  const log = kept();
  for (let day = 0; day < 60; day++) {
    await log.writer.append('file', someEvents(3, day, ACCOUNT, log.clock.now));
    log.clock.now += days(1);
  }
  log.clock.now += days(HOT + 9);
  await settle(log, 99);
  pass(log);
  const page = await log.search.page({}, 1_000);
  expect(page.archived).toBeGreaterThan(20);
  expect(page.archived).toBeLessThan(30);
  const rows = await allRows(log, {});
  expect(rawTexts(rows).filter(isMine)).toHaveLength(180);
  // Pages that end within a segment count it once.
  let [cursor, counted]: [string | undefined, number] = [undefined, 0];
  do {
    const { cursor: next, archived: some } = await log.search.page({ to: NOW + days(9) }, 2, cursor);
    [cursor, counted] = [next, counted + some];
  } while (cursor !== undefined);
  expect(counted).toBe((await log.search.page({ to: NOW + days(9) }, 1_000)).archived);
  const month = await log.search.page({ from: NOW + days(10), to: NOW + days(12) }, 1_000);
  expect(month.rows.filter((r) => isMine(Buffer.from(r.raw).toString()))).toHaveLength(2 * 3 + 1);
  expect(month.archived).toBeLessThan(5);
});

test('what no archive has does not go, however long archiving fails', async () => {
  const log = kept((call) => (call === 'put object' && log.clock.now > NOW ? 'throttled' : undefined));
  await log.writer.append('file', events);
  for (let day = 0; day < 600; day += 50) {
    log.clock.now += days(50);
    for (const job of [log.checkpoint, log.retention.archive, log.retention.end, log.retention.expire])
      await job().catch(() => undefined);
    pass(log);
  }
  expect(await verify({ ...log, keys: KEYS })).toMatchObject({ findings: [], archived: 0, events: events.length });
  expect(await log.retention.behind()).toBeGreaterThan(days(598));
});

test('a day is not archived before it is over, settled and signed', async () => {
  const { retention, writer, checkpoint, clock, table } = kept();
  await writer.append('file', events);
  const place = { account: ACCOUNT, region: 'eu-central-1' };
  await addPlaces(table, [place]);
  const mark = (settledTo: number): Mark => ({
    v: 1,
    readTo: 0,
    files: [],
    counts: [],
    covered: [],
    troubles: [],
    since: 0,
    settledTo,
    relookedAt: 0,
  });
  await putMark(table, { place, mark: mark(NOW), after: 0, now: clock.now });
  clock.now = NOW + days(2);
  expect(await retention.archive()).toBeUndefined();
  await checkpoint();
  expect(await retention.archive()).toBeUndefined();
  await putMark(table, { place, mark: mark(NOW + days(1)), after: 0, now: clock.now });
  expect(await retention.archive()).toMatchObject({ number: 0 });
  const unsigned = kept();
  await unsigned.writer.append('file', events);
  unsigned.clock.now = NOW + days(2);
  expect(await unsigned.retention.archive()).toBeUndefined();
  await unsigned.checkpoint();
  expect(await unsigned.retention.archive()).toMatchObject({ number: 0 });
  // Hours that never settle hold nothing up for longer than a week.
  const other = kept();
  await other.writer.append('file', events);
  await other.checkpoint();
  await addPlaces(other.table, [place]);
  await putMark(other.table, { place, mark: mark(NOW), after: 0, now: NOW });
  other.clock.now = NOW + days(8);
  expect(await other.retention.archive()).toMatchObject({ number: 0 });
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
    hotDays: HOT,
    years: YEARS,
  });
  await expect(broken.archive()).rejects.toThrow('does not read back as it was written');
  expect(memory.items.has('archive')).toBe(false);
});

test('a body that was deleted or changed is named for good, and holds nothing up', async () => {
  const log = kept();
  const { memory, writer, checkpoint, clock, table, objects } = log;
  await writer.append('file', events);
  await checkpoint();
  const [gone, changed] = [...memory.items.keys()].filter((p) => p.startsWith('body/'));
  memory.items.delete(gone!);
  memory.items.get(changed!)!.get(0)!.bytes = Buffer.from('x');
  clock.now += days(3);
  await settle(log);
  clock.now += days(HOT);
  pass(log);
  const { findings } = await verify({ table, objects, keys: KEYS });
  expect(findings.map((f) => f.because).sort()).toEqual([
    'it is not there, and no archive that the log knows of has it',
    'it was changed: its hash is another',
  ]);
});

test('after its years an event is gone, and that it was there, and went as planned, is signed', async () => {
  const log = await past();
  const { table, objects, clock, memory } = log;
  const before = await verify({ table, objects, keys: KEYS });
  clock.now = NOW + days(YEARS * 366 + HOT);
  // Not before the log says so, signed.
  expect(await log.retention.expire()).toBeUndefined();
  expect(await log.retention.expire()).toBeUndefined();
  expect(memory.mayGo.size).toBe(0);
  await settle(log, 99);
  expect(memory.mayGo.size).toBeGreaterThan(2);
  pass(log);
  const report = await verify({ table, objects, keys: KEYS });
  expect(report.findings).toEqual([]);
  expect(report.expired).toBeGreaterThanOrEqual(before.archived);
  expect((await log.search.page({ resource: 'nobody' }, 9)).rows).toEqual([]);
  expect((await log.search.page({ to: NOW + days(1) }, 9)).absent.length).toBeGreaterThan(3);
  const [expiry] = await allRows({ table, objects }, { action: 'steward:ExpireActivity' });
  expect(JSON.parse(Buffer.from(expiry!.raw).toString())).toMatchObject({
    requestParameters: {
      number: expect.any(Number),
      receipt: expect.any(String),
      events: expect.any(Number),
      runs: expect.any(Array),
    },
  });
  // Another seven years on, what said so has gone the same way.
  for (let n = 0; n < 8; n++) {
    clock.now += days(366);
    await log.writer.append('file', someEvents(5, 50 + n, ACCOUNT, clock.now));
    await settle(log, 99);
    pass(log);
  }
  expect((await verify({ table, objects, keys: KEYS })).findings).toEqual([]);
});

describe('whatever is done to the archive is found, by name', () => {
  const copyOf = ({ memory }: Kept): MemoryLog => {
    const copy = memoryLog();
    for (const [partition, slots] of memory.items)
      copy.items.set(partition, new Map([...slots].map(([slot, s]) => [slot, { ...s, bytes: Buffer.from(s.bytes) }])));
    for (const [key, bytes] of memory.files) copy.files.set(key, Buffer.from(bytes));
    return copy;
  };
  const said = async (copy: MemoryLog): Promise<string[]> =>
    (await verify({ ...copy, keys: KEYS })).findings.map((f) => `${f.place}: ${f.because}`);
  const setBytes = (copy: MemoryLog, number: number, change: (text: string) => string): void => {
    const slot = copy.items.get('archive')!.get(number)!;
    slot.bytes = Buffer.from(change(Buffer.from(slot.bytes).toString()));
  };
  let log: Kept;
  let keys: string[];
  beforeAll(async () => {
    log = await past();
    keys = [...log.memory.files.keys()].filter((k) => k.startsWith('archive'));
  });

  test('it is whole', async () => {
    expect(keys.length).toBeGreaterThan(8);
    expect(await said(copyOf(log))).toEqual([]);
  });
  test('bytes', async () => {
    for (const key of keys)
      for (let at = 0; at < log.memory.files.get(key)!.length; at += 997) {
        const copy = copyOf(log);
        copy.files.get(key)![at]! ^= 1 << (at % 8);
        expect(await said(copy)).toEqual([expect.stringMatching(`^${key}: it was changed`)]);
      }
  });
  test('gone, cut, another’s, an older one’s', async () => {
    for (const [n, key] of keys.entries()) {
      const other = log.memory.files.get(keys[(n + 1) % keys.length]!)!;
      for (const bytes of [undefined, log.memory.files.get(key)!.subarray(0, -9), other, Buffer.alloc(0)]) {
        const copy = copyOf(log);
        if (bytes) copy.files.set(key, bytes);
        else copy.files.delete(key);
        expect(await said(copy)).toEqual([
          expect.stringMatching(`^${key}: it (?:was changed|should be there and is not)`),
        ]);
      }
    }
  });
  test('its receipts: changed, gone, changed places', async () => {
    const numbers = [...log.memory.items.get('archive')!.keys()];
    for (const number of numbers) {
      const changed = copyOf(log);
      setBytes(changed, number, (text) => text.replace('"events":', '"events":1'));
      expect(await said(changed)).toEqual([expect.stringMatching(`^archive ${number}: .*it was changed`)]);
      const gone = copyOf(log);
      gone.items.get('archive')!.delete(number);
      expect(await said(gone)).toContainEqual(expect.stringMatching(`^archive ${number}: .*it was deleted`));
    }
    // What the table alone knows is the newest; it leads to the others.
    const changed = copyOf(log);
    setBytes(changed, 0, (text) => text.replace('"events":', '"events":1'));
    const { findings } = await verify({ ...changed, keys: KEYS, hotOnly: true });
    expect(findings).toContainEqual({ place: 'archive 0', because: expect.stringContaining('the next one continues') });
    const moved = copyOf(log);
    const slots = moved.items.get('archive')!;
    const [a, b] = [slots.get(0)!, slots.get(1)!];
    slots.set(0, b).set(1, a);
    expect(await said(moved)).toEqual(
      expect.arrayContaining([
        expect.stringMatching('^archive 0: .*moved'),
        expect.stringMatching('^archive 1: .*moved'),
      ]),
    );
  });
  test('an archive that was written anew, with receipts to match: the log signs other events', async () => {
    const copy = copyOf(log);
    const receipt = readReceipt(copy.items.get('archive')!.get(0)!);
    const { files, links } = readIndex(copy.files.get(receipt.index.key)!);
    const [first, ...others] = files;
    const lines = [...linesOf(copy.files.get(first!.key)!)].map((l, n) =>
      n === 3 ? l.replaceAll('eu-central-1', 'eu-central-2') : l,
    );
    const store = (key: string, bytes: Buffer): string => {
      copy.files.set(key, bytes);
      return base64(sha256(bytes));
    };
    const file = { ...first!, sha256: store(first!.key, packLines(lines)) };
    const index = { key: receipt.index.key, sha256: store(receipt.index.key, packIndex([file, ...others], links)) };
    copy.items.get('archive')!.get(0)!.bytes = bytesOfReceipt({ ...receipt, index });
    expect(await said(copy)).toEqual([
      expect.stringMatching(/^archive of s\d\/\d: the files of the archive do not have all of its events/),
      expect.stringMatching(/^archive 0: .*it was changed/),
    ]);
  });
  test('that files may go, by nobody’s entry', async () => {
    const copy = copyOf(log);
    for (const number of copy.items.get('archive')!.keys())
      await copy.table.put({ partition: 'expired', slot: number, bytes: Buffer.from('1') });
    for (const key of keys) copy.files.delete(key);
    expect(await said(copy)).toHaveLength(copy.items.get('archive')!.size);
  });
});

test('from the bucket alone: each archived event, its segment, the chain and the signed tree', async () => {
  const { memory } = await past();
  const { files } = memory;
  const below = (prefix: string): Uint8Array[] =>
    [...files.keys()]
      .filter((k) => k.startsWith(prefix))
      .sort()
      .map((k) => files.get(k) ?? Buffer.alloc(0));
  const links = new Map(below('archive-index/').flatMap((b) => readIndex(b).links.map((l) => [placeOf(l.header), l])));
  const checkpoints = below('checkpoints/').map((bytes, slot) => numbered({ partition: 'checkpoint', slot, bytes }));
  expect(links.size).toBeGreaterThan(5);
  // The tree, as far as its links are archived.
  const range: Uint8Array[] = [];
  let size = 0;
  let before: Heads = {};
  let compared = 0;
  for (const { heads, statement, note } of checkpoints) {
    openCheckpoint(note, KEYS);
    const runs = runsBetween(before, countsOf(heads));
    const own = runs.flatMap(([shard, from, to]) =>
      Array.from({ length: to - from }, (_, n) => links.get(`${shard}/${from + n}`)),
    );
    if (own.some((l) => l === undefined)) break;
    for (const link of own) grow(range, size++, link!.hash);
    expect([size, base64(rootOf(range))]).toEqual([statement.size, statement.root]);
    before = countsOf(heads);
    compared++;
  }
  expect(compared).toBeGreaterThan(2);
  // The chain, and the segments' roots.
  const leaves = new Map<string, Map<number, Uint8Array>>();
  for (const bytes of below('archive/'))
    for (const { link, event, raw } of [...linesOf(bytes)].map(readLine))
      leaves.set(link, (leaves.get(link) ?? new Map<number, Uint8Array>()).set(event, leafHash(raw)));
  for (const [place, { header }] of links) {
    const previous = links.get(placeOf({ ...header, seq: header.seq - 1 }));
    expect([place, header.prev]).toEqual([place, previous ? base64(previous.hash) : NO_LINK]);
    const own = [...(leaves.get(place) ?? [])].sort(([a], [b]) => a - b).map(([, leaf]) => leaf);
    expect([place, base64(rootOfLeaves(own))]).toEqual([place, header.root]);
  }
});

/** Each event is in the table or in the archive, and search finds it once. */
const expectOnce = async ({ memory: { items, files } }: Kept, expected = texts): Promise<void> => {
  const calm = memoryLog();
  for (const [partition, slots] of items) calm.items.set(partition, slots);
  for (const [key, bytes] of files) calm.files.set(key, bytes);
  expect(rawTexts(await allRows(calm, {})).filter(isMine)).toEqual(expected);
};

test('it may end at any call, and nothing is in neither place, nothing twice', async () => {
  const few = [...someEvents(30), ...someEvents(9, 2, '555566667777'), ...odd];
  const expected = few.map((e) => e.toString('latin1')).sort();
  let calls = 0;
  let crashAt = Number.POSITIVE_INFINITY;
  const run = async (): Promise<Kept> => {
    const log = kept(() => (calls++ === crashAt ? 'crash' : undefined));
    await log.writer.append('file', few);
    await log.checkpoint();
    calls = 0;
    for (const step of [days(2), minutes(5), minutes(5), days(HOT)]) {
      log.clock.now += step;
      // Each a new process.
      for (const job of [log.checkpoint, log.begin().archive, log.checkpoint, log.begin().end])
        await job().catch(() => undefined);
      pass(log);
      await expectOnce(log, expected);
    }
    return log;
  };
  await run();
  const most = calls;
  expect(most).toBeGreaterThan(80);
  for (let at = 0; at < most; at++) {
    // What is written before the first day is over has its own tests.
    [calls, crashAt] = [Number.NEGATIVE_INFINITY, at];
    const log = await run();
    crashAt = Number.POSITIVE_INFINITY;
    await settle(log);
    expect((await verify({ ...log, keys: KEYS })).findings).toEqual([]);
    const all = new Set(archived(log.memory.files));
    expect(expected.filter((t) => !all.has(t))).toEqual([]);
    const { items } = log.memory;
    expect(items.get('ended')?.size).toBe(items.get('archive')?.size);
  }
}, 120_000);

test('what is too large for the table goes by the bucket’s own rule, once it is archived', async () => {
  const log = kept();
  const noise = createRandom(1).hex(900_000);
  const large = Buffer.from(JSON.stringify({ eventID: 'large', eventName: 'Put', requestParameters: { noise } }));
  await log.writer.append('file', [large]);
  const [spilled] = log.memory.files.keys();
  expect(spilled).toMatch(/^spilled\//);
  log.clock.now += days(3);
  await log.checkpoint();
  await log.retention.archive();
  expect(log.memory.mayGo.size).toBe(0);
  await settle(log);
  expect([...log.memory.mayGo]).toEqual([spilled]);
  pass(log);
  expect(rawTexts(await allRows(log, {})).filter(isMine)).toEqual([large.toString()]);
  expect((await verify({ ...log, keys: KEYS })).findings).toEqual([]);
});

test.each([1, 2, 3, 4, 5, 6])(
  'seed %i: whatever fails on the way, twice at once, nothing is in neither place',
  async (seed) => {
    const random = createRandom(seed);
    let calm = true;
    const log = kept(
      () =>
        !calm && random.chance(0.04) ? random.pick(['throttled', 'lost-request', 'lost-reply', 'crash']) : undefined,
      async () => {
        for (let n = random.integer(3); n > 0 && !calm; n--) await Promise.resolve();
      },
    );
    await log.writer.append('file', events);
    await log.checkpoint();
    for (let n = 0; n < 40; n++) {
      calm = false;
      log.clock.now += days(5);
      const other = log.begin();
      await Promise.allSettled([log.retention.archive(), other.archive()]);
      await Promise.allSettled([log.checkpoint(), other.end(), log.retention.end()]);
      calm = true;
      pass(log);
      await expectOnce(log);
    }
    await settle(log);
    expect((await verify({ ...log, keys: KEYS })).findings).toEqual([]);
    const all = new Set(archived(log.memory.files));
    expect(texts.filter((t) => !all.has(t))).toEqual([]);
  },
);

test('searches at the same time unpack each file of the archive once', async () => {
  const { table, objects } = await past();
  const read: string[] = [];
  const search = createSearch({
    table,
    objects: {
      ...objects,
      get: (key) => {
        read.push(key);
        return objects.get(key);
      },
    },
  });
  const pages = await Promise.all([1, 2, 3].map(() => search.page({}, 1_000)));
  expect(pages.every((p) => p.archived > 1)).toBe(true);
  expect(read.some((key) => key.startsWith('archive/'))).toBe(true);
  expect(read).toEqual([...new Set(read)]);
});
