/** The trail's files are the authority: whatever either leg loses, doubles or delays, what was recorded is in the log once, and what may be missing is said. */
import { gunzipSync, gzipSync } from 'node:zlib';
import { StartLoggingCommand, StopLoggingCommand, UpdateTrailCommand } from '@aws-sdk/client-cloudtrail';
import { createWriter } from '../../shared/activity/append.ts';
import type { Audited } from '../../shared/activity/audit.ts';
import { createCheckpointer } from '../../shared/activity/checkpoint.ts';
import { completenessOf, DELIVERY, type HourFacts } from '../../shared/activity/completeness.ts';
import { coverageIn } from '../../shared/activity/coverage.ts';
import type { TrailFiles } from '../../shared/activity/log.ts';
import { lastMark, settledHours } from '../../shared/activity/marks.ts';
import { createRetention } from '../../shared/activity/retention.ts';
import { chooseTrail, foldersOf } from '../../shared/activity/trailInUse.ts';
import { deliveredAt, type TrailInUse } from '../../shared/activity/trailLayout.ts';
import { verify } from '../../shared/activity/verify.ts';
import { verifyTrail } from '../../shared/activity/verifyTrail.ts';
import { Forbidden, Throttled } from '../../shared/core/errors.ts';
import { days, hours, iso, minutes } from '../../shared/core/time.ts';
import { lazily, paced } from '../../shared/runtime/activity.ts';
import { type Mishap, memoryLog } from '../../world/memoryLog.ts';
import { createRandom } from '../../world/random.ts';
import { putObject } from '../../world/s3.ts';
import { anAccount } from './account.ts';
import { allRows, KEYS, SIGNER, someEvents } from './setting.ts';

/** All but what Steward itself says of hours. */
const callsIn = async (...asked: Parameters<typeof allRows>) =>
  (await allRows(...asked)).filter((r) => r.activity.what !== 'steward:SettleHours');
const floor = (time: number) => Math.floor(time / hours(1)) * hours(1);
const stateOf = (facts: HourFacts, now: number) => completenessOf(facts, now).state;
const statesOf = async ({ memory, home, now }: ReturnType<typeof anAccount>) => {
  const settled = await settledHours(memory.table, home, { from: 0, to: now() + hours(1) });
  return [...settled.values()].map(({ facts }) => stateOf(facts, now()));
};
const idsOf = async ({ memory }: ReturnType<typeof anAccount>) =>
  (await callsIn(memory, {})).map((r) => r.activity.id).sort();

test('what EventBridge did not bring is read from the files; hours are vouched for by digests', async () => {
  const account = anAccount();
  const { recorder, now } = account;
  recorder.trouble.late = 0.3;
  recorder.trouble.doubled = 0.3;
  const sums = { added: 0, brought: 0, files: 0 };
  await account.pass(72, async () => {
    await account.record();
    const { added, brought, files, findings, whole } = await account.audit();
    expect({ findings, whole }).toEqual({ findings: [], whole: true });
    sums.added += added;
    sums.brought += brought;
    sums.files += files;
  });
  const certain = recorder.records.filter((r) => Date.parse(String(r['eventTime'])) < now() - minutes(25));
  const ids = await idsOf(account);
  expect(ids).toEqual([...new Set(ids)]);
  for (const { eventID } of certain) expect(ids).toContain(eventID);
  expect(sums.added).toBeGreaterThan(40);
  expect(sums.brought).toBeGreaterThan(20);
  expect(sums.files).toBeGreaterThan(50);
  expect(await statesOf(account)).toEqual(expect.arrayContaining(['digest-verified']));
});

const MISHAPS: readonly Mishap[] = ['throttled', 'lost-request', 'lost-reply', 'crash'];
test.each(Array.from({ length: 12 }, (_, n) => n + 1))('seed %i: set(in) = set(out), whatever fails', async (seed) => {
  const random = createRandom(seed);
  let calm = false;
  const fails = (chance: number) => !calm && random.chance(chance);
  const memory = memoryLog(() => (fails(0.02) ? random.pick(MISHAPS) : undefined));
  const account = anAccount({
    seed,
    memory,
    around: (source) => ({
      ...source,
      files: (trail) => {
        const files = source.files(trail);
        return {
          ...files,
          async *open(key) {
            for await (const chunk of files.open(key)) {
              yield chunk;
              if (fails(0.03)) throw new Error('the connection broke');
            }
          },
          async *keys(prefix, after) {
            for await (const key of files.keys(prefix, after)) {
              if (fails(0.02)) throw new Error('the connection broke');
              yield key;
            }
          },
        };
      },
    }),
  });
  const { recorder, events } = account;
  Object.assign(recorder.trouble, { late: 0.3, doubled: 0.3 });
  const attempt = async (work: () => Promise<unknown>) => {
    await work().catch(() => random.chance(0.7) && account.restart());
  };
  await account.pass(50, async () => {
    // EventBridge is best effort: it loses some, and gives some twice.
    for (const event of events.splice(0))
      if (random.chance(0.8)) events.push(...(random.chance(0.2) ? [event, event] : [event]));
    if (random.chance(0.8)) await attempt(account.record);
    let steps = random.chance(0.3) ? random.integer(4) : 1_000;
    if (random.chance(0.8)) await attempt(() => account.audit(() => steps-- > 0));
  });
  calm = true;
  account.world.clock.advance(minutes(150));
  await account.record();
  expect(await account.audit()).toMatchObject({ whole: true, findings: [] });
  const ids = await idsOf(account);
  const inFiles = recorder.records.filter((r) => Date.parse(String(r['eventTime'])) < account.now() - minutes(25));
  expect(ids).toEqual([...new Set(ids)]);
  expect(inFiles.map((r) => r.eventID).filter((id) => !ids.includes(id))).toEqual([]);
  expect(ids.filter((id) => !recorder.records.some((r) => r.eventID === id))).toEqual([]);
  const states = await statesOf(account);
  expect([...new Set(states)]).toEqual(['digest-verified']);
  expect(states.length).toBeGreaterThanOrEqual(4);
});

/** What goes wrong within a month, at its time; and the hours that cannot be whole for it, with what must be said of them. */
const aMonth = (account: ReturnType<typeof anAccount>) => {
  const { world, bucket, now, clients, events } = account;
  const began = now();
  const day = (n: number) => began + days(n);
  const wrong: (readonly [from: number, to: number, because: RegExp])[] = [];
  const newest = (folder: string, count: number): string[] =>
    [...bucket.objects.keys()]
      .filter((key) => key.includes(`/${folder}/`))
      .sort()
      .slice(-count);
  const digestHour = (time: number) => [floor(time - 1), floor(time - 1) + hours(1)] as const;
  const outages: { readonly at: number; readonly happens: () => unknown }[] = [
    {
      at: day(5),
      happens: () => {
        wrong.push([now(), now() + hours(5), /not logging/]);
        return clients.cloudtrail.send(new StopLoggingCommand({ Name: 'audit' }));
      },
    },
    { at: day(5) + hours(5), happens: () => clients.cloudtrail.send(new StartLoggingCommand({ Name: 'audit' })) },
    {
      at: day(9),
      happens: () => {
        for (const key of newest('CloudTrail-Digest', 2)) {
          bucket.objects.delete(key);
          wrong.push([...digestHour(deliveredAt(key) ?? 0), /no digest vouches/]);
        }
      },
    },
    {
      at: day(12) + hours(2),
      happens: () => {
        for (const key of newest('CloudTrail', 1)) {
          bucket.objects.delete(key);
          wrong.push([...digestHour(deliveredAt(key) ?? 0), /it was deleted/]);
        }
      },
    },
    {
      at: day(14) + hours(2),
      happens: () => {
        for (const key of newest('CloudTrail', 1)) {
          putObject(world, bucket, key, gzipSync('{"Records":[]}'), {});
          wrong.push([...digestHour(deliveredAt(key) ?? 0), /not what was delivered/]);
        }
      },
    },
  ];
  const isDuring = (...stretches: readonly (readonly [from: number, length: number])[]) =>
    stretches.some(([from, length]) => now() >= from && now() < from + length);
  return {
    began,
    wrong,
    isOver: () => now() >= day(30),
    goWrong: async () => {
      while (outages[0] && now() >= outages[0].at) await outages.shift()?.happens();
    },
    /** EventBridge loses some always, and all of one day. */
    lose: () => {
      const heard = isDuring([day(17), days(1)]) ? [] : events.filter(() => world.random.chance(0.9));
      events.splice(0, events.length, ...heard);
    },
    /** Nobody audits: before those digests and files were looked at, and for two days. */
    isAway: () => isDuring([day(9) - hours(3), hours(4)], [day(12), hours(3)], [day(14), hours(3)], [day(20), days(2)]),
  };
};

test('a month with outages of each leg: each hour says what is known of it, and no more', async () => {
  const account = anAccount({ seed: 7 });
  const { world, recorder, home, memory, now } = account;
  const { wrong, ...month } = aMonth(account);
  Object.assign(recorder.trouble, { late: 0.2, doubled: 0.1 });
  const kinds = new Set<string>();
  while (!month.isOver()) {
    await account.call(recorder.records.length);
    world.clock.advance(minutes(55));
    await month.goWrong();
    month.lose();
    await account.record();
    if (month.isAway()) continue;
    for (const { kind } of (await account.audit()).findings) kinds.add(kind);
    if (world.random.chance(0.05)) account.restart();
  }

  const settled = await settledHours(memory.table, home, { from: month.began, to: now() });
  expect(settled.size).toBeGreaterThan(30 * 24 - 12);
  const said = [...settled].map(([hour, { facts }]) => {
    const is = completenessOf(facts, now());
    return [iso(hour), is.state, is.state === 'gap' ? is.because : ''];
  });
  const expected = [...settled.keys()].map((hour) => {
    const inIt = wrong.find(([from, to]) => from < hour + hours(1) && to > hour);
    if (inIt) return [iso(hour), 'gap', expect.stringMatching(inIt[2])];
    // Its last files came, and were vouched for, in the quarter of an hour after it.
    const after = wrong.some(([from, to]) => from < hour + hours(1) + DELIVERY && to > hour);
    return after ? [iso(hour), 'gap', expect.stringMatching(/no digest vouches/)] : [iso(hour), 'digest-verified', ''];
  });
  expect(said).toEqual(expected);
  expect([...kinds].sort()).toEqual(['file-changed', 'file-missing', 'gap', 'missing', 'restarted']);
  const ids = await idsOf(account);
  expect(ids).toEqual([...new Set(ids)]);
}, 120_000);

describe('which trail is read', () => {
  const trail = (name: string, more: Partial<TrailInUse> = {}): TrailInUse => ({
    name,
    home: 'eu-central-1',
    bucket: name,
    organization: false,
    multiRegion: false,
    validation: true,
    logging: true,
    ...more,
  });
  test.each<[string, TrailInUse[], string[], string | undefined]>([
    ['none', [], ['audit'], undefined],
    [
      'the declared one, whatever the others see',
      [trail('a', { organization: true }), trail('audit')],
      ['audit'],
      'audit',
    ],
    ['the organisation’s', [trail('a', { multiRegion: true }), trail('b', { organization: true })], [], 'b'],
    ['the one of all regions', [trail('a'), trail('b', { multiRegion: true })], [], 'b'],
    ['one that logs', [trail('a', { multiRegion: true, logging: false }), trail('b')], ['a'], 'b'],
    ['always the same of equals', [trail('b'), trail('a')], [], 'a'],
  ])('%s', (_name, trails, declared, name) => expect(chooseTrail(trails, declared)?.name).toBe(name));

  test('an organisation’s files lie by account; others in the bucket are not its', async () => {
    const tree: Readonly<Record<string, readonly string[]>> = {
      'p/AWSLogs/': ['111122223333', '999900001111', 'o-abc'],
      'p/AWSLogs/o-abc/': ['111122223333', '555566667777', 'readme'],
      'p/AWSLogs/111122223333/CloudTrail/': ['us-east-1'],
      'p/AWSLogs/o-abc/111122223333/CloudTrail/': ['eu-central-1', 'us-east-1'],
      'p/AWSLogs/o-abc/555566667777/CloudTrail/': ['eu-central-1'],
    };
    const files = { folders: async (below: string) => tree[below] ?? [] } as unknown as TrailFiles;
    const home = { account: '111122223333', region: 'eu-central-1' };
    const namesIn = async (more: Partial<TrailInUse>) =>
      (await foldersOf(trail('t', { prefix: 'p', ...more }), files, home)).map((f) => `${f.root} ${f.region}`);
    expect(await namesIn({})).toEqual(['p/AWSLogs/111122223333/ us-east-1']);
    expect(await namesIn({ organization: true })).toEqual([
      'p/AWSLogs/111122223333/ us-east-1',
      'p/AWSLogs/o-abc/111122223333/ eu-central-1',
      'p/AWSLogs/o-abc/111122223333/ us-east-1',
      'p/AWSLogs/o-abc/555566667777/ eu-central-1',
    ]);
  });
});

test('a file that is no whole gzip stops nothing, is said, and is read once it is whole', async () => {
  const account = anAccount();
  const { bucket, world, now, memory, home } = account;
  await account.pass(15, async () => void (await account.audit()));
  const key = [...bucket.objects.keys()].filter((k) => k.includes('/CloudTrail/')).at(-1) ?? '';
  const whole = bucket.objects.get(key)?.at(-1)?.body ?? Buffer.of();
  const broken = key.replace(/_[0-9a-f]{16}\.json/, '_0000000000000000.json');
  putObject(world, bucket, broken, whole.subarray(0, whole.length - 20), {});
  await account.audit();
  const said = async () => (await lastMark(memory.table, home))?.mark.troubles.map(([, , because]) => because);
  expect(await said()).toEqual([expect.stringMatching(/_0000000000000000\.json\.gz: it is no whole gzip/)]);
  const [hour = 0] = [floor(now())];
  expect((await coverageIn(memory.table, { from: hour, to: now() }, { now: now() })).gaps).toMatchObject([
    { because: expect.stringContaining('no whole gzip') },
  ]);
  putObject(world, bucket, broken, whole, {});
  await account.audit();
  expect(await said()).toEqual([]);
});

test('what is delivered late, under an older name, is read all the same: within the hour at once, later within a day', async () => {
  const account = anAccount({ seed: 3 });
  const { bucket, world, home, now, memory } = account;
  const began = now();
  await account.pass(20, async () => void (await account.audit()));
  const late = (at: number, random: string, event: Buffer) => {
    const stamp = iso(at).replaceAll(/[-:]/g, '').slice(0, 13);
    const folder = `AWSLogs/${home.account}/CloudTrail/${home.region}/${iso(at).slice(0, 10).replaceAll('-', '/')}`;
    const key = `${folder}/${home.account}_CloudTrail_${home.region}_${stamp}Z_${random}.json.gz`;
    putObject(world, bucket, key, gzipSync(`{"Records":[${event}]}`), {});
  };
  const [soon = Buffer.of(), old = Buffer.of()] = someEvents(2, 9, home.account, began + minutes(10));
  late(now() - minutes(40), '0000000000000000', soon);
  late(began + minutes(10), '1111111111111111', old);
  const has = async (event: Buffer) =>
    (await idsOf(account)).includes((JSON.parse(event.toString()) as { eventID: string }).eventID);
  world.clock.advance(minutes(5));
  await account.audit();
  expect([await has(soon), await has(old)]).toEqual([true, false]);
  // The daily look goes back three days.
  for (let n = 0; n < 25; n++) {
    world.clock.advance(hours(1));
    await account.audit();
  }
  expect(await has(old)).toBe(true);
  expect((await lastMark(memory.table, home))?.mark.troubles).toEqual([]);
});

test('a file that no listing shows is read because its digest names it', async () => {
  let hidden = '';
  const account = anAccount({
    around: (source) => ({
      ...source,
      files: (trail) => {
        const files = source.files(trail);
        return {
          ...files,
          async *keys(prefix, after) {
            for await (const key of files.keys(prefix, after)) {
              if (hidden === '' && key.includes('/CloudTrail/')) hidden = key;
              if (key !== hidden) yield key;
            }
          },
        };
      },
    }),
  });
  await account.pass(30, async () => expect((await account.audit()).findings).toEqual([]));
  const body = account.bucket.objects.get(hidden)?.at(-1)?.body ?? Buffer.of();
  const { Records } = JSON.parse(gunzipSync(body).toString()) as { Records: { eventID: string }[] };
  expect(Records.length).toBeGreaterThan(0);
  expect(await idsOf(account)).toEqual(expect.arrayContaining(Records.map((r) => r.eventID)));
});

describe('what is known of each hour is told by the log itself', () => {
  const began = async () => {
    const account = anAccount();
    const { memory, now } = account;
    const checkpoint = createCheckpointer({ ...memory, signer: SIGNER, now });
    await account.pass(12 * 6, async () => {
      await account.record();
      await account.audit();
    });
    await checkpoint();
    const found = async () => (await verify({ ...memory, keys: KEYS })).findings;
    expect(await found()).toEqual([]);
    const [partition, slots] = [...memory.items].find(([name]) => name.startsWith('hour/')) ?? ['', new Map()];
    expect(slots.size).toBeGreaterThan(2);
    const [slot] = slots.keys();
    return { ...account, found, slots, slot: slot as number, place: partition.slice('hour/'.length) };
  };
  const named = (because: string) => [
    { place: expect.stringMatching(/^hour \S+ of 111122223333\/eu-central-1$/), because },
  ];

  test('each byte of them', async () => {
    const { found, slots, slot } = await began();
    const { bytes } = slots.get(slot);
    for (let n = 0; n < bytes.length; n += 41) {
      const other = Buffer.from(bytes);
      other[n] = (other[n] ?? 0) ^ 1;
      slots.set(slot, { bytes: other, expiresAt: undefined });
      expect(await found()).toEqual(named('it is not what the log says: it was changed'));
    }
  });
  test('one that is taken away, and one that is put there', async () => {
    const { found, slots, slot } = await began();
    const facts = slots.get(slot);
    slots.delete(slot);
    expect(await found()).toEqual(named('it should be there and is not: it was deleted'));
    slots.set(slot, facts);
    slots.set(slot + 1, facts);
    expect(await found()).toEqual(named('the log knows nothing of it: it was put there'));
  });
  test('a run that ends anywhere leaves no hour that the log does not know, and the next writes all', async () => {
    for (const after of [0, 1, 2, 3, 5, 8, 13, 21]) {
      let left = Number.POSITIVE_INFINITY;
      const memory = memoryLog(() => (--left < 0 ? 'crash' : undefined));
      const account = anAccount({ memory });
      await account.pass(12 * 3, async () => {
        await account.record();
        await account.audit();
      });
      left = after;
      await account.pass(12, async () => void (await account.audit().catch(() => undefined)));
      left = Number.POSITIVE_INFINITY;
      account.restart();
      await account.audit();
      await createCheckpointer({ ...memory, signer: SIGNER, now: account.now })();
      expect((await verify({ ...memory, keys: KEYS })).findings).toEqual([]);
      expect((await statesOf(account)).length).toBeGreaterThan(2);
    }
  });
});

test('a trail that has delivered nothing yet is read from its first file on', async () => {
  const account = anAccount();
  expect(await account.audit()).toMatchObject({ files: 0, whole: true });
  let files = 0;
  await account.pass(3, async () => {
    files += (await account.audit()).files;
  });
  expect(files).toBeGreaterThan(0);
});

test('a file too long for one run goes on where it ended', async () => {
  const account = anAccount();
  const { bucket, world, home, now, memory } = account;
  const events = someEvents(4_500, 5, home.account, now());
  world.clock.advance(minutes(1));
  const stamp = iso(now()).replaceAll(/[-:]/g, '').slice(0, 13);
  const folder = `AWSLogs/${home.account}/CloudTrail/${home.region}/${iso(now()).slice(0, 10).replaceAll('-', '/')}`;
  const key = `${folder}/${home.account}_CloudTrail_${home.region}_${stamp}Z_0123456789abcdef.json.gz`;
  putObject(world, bucket, key, gzipSync(`{"Records":[${events.join(',')}]}`), {});
  const runs: Audited[] = [];
  do {
    let steps = 2;
    runs.push(await account.audit(() => steps-- > 0));
    // What is not read to its end is not claimed.
    const readTo = (await lastMark(memory.table, home))?.mark.readTo ?? 0;
    expect(readTo > (deliveredAt(key) ?? 0)).toBe(runs.at(-1)?.whole);
    world.clock.advance(minutes(1));
  } while (!runs.at(-1)?.whole && runs.length < 20);
  expect(runs.map((r) => r.whole)).toEqual([false, false, true]);
  expect(runs.reduce((n, r) => n + r.added, 0)).toBe(4_500);
  expect(await callsIn(memory, {})).toHaveLength(4_500);
});

test('a flood of reads is counted, its first and last kept whole; what changes something is never cut; read twice it is the same', async () => {
  const account = anAccount({ flood: 5 });
  const { bucket, world, home, now, memory } = account;
  const [like = Buffer.of()] = someEvents(1, 5, home.account, now());
  const record = (n: number, more: object) =>
    JSON.stringify({
      ...JSON.parse(like.toString()),
      eventID: `e-${n}`,
      eventTime: iso(now() + n * 10),
      eventSource: 'ec2.amazonaws.com',
      eventName: 'DescribeInstances',
      errorCode: undefined,
      requestParameters: { instanceId: `i-${n % 7}` },
      readOnly: true,
      ...more,
    });
  const flood = Array.from({ length: 3_000 }, (_, n) => record(n, {}));
  const others = [
    ...Array.from({ length: 40 }, (_, n) => record(5_000 + n, { eventName: 'StopInstances', readOnly: false })),
    ...Array.from({ length: 4 }, (_, n) => record(6_000 + n, { errorCode: 'AccessDenied' })),
  ];
  world.clock.advance(minutes(1));
  const stamp = iso(now()).replaceAll(/[-:]/g, '').slice(0, 13);
  const folder = `AWSLogs/${home.account}/CloudTrail/${home.region}/${iso(now()).slice(0, 10).replaceAll('-', '/')}`;
  const key = `${folder}/${home.account}_CloudTrail_${home.region}_${stamp}Z_0123456789abcdef.json.gz`;
  putObject(world, bucket, key, gzipSync(`{"Records":[${[...flood, ...others].join(',')}]}`), {});
  await account.audit();
  const ids = (await idsOf(account)).filter((id) => id.startsWith('e-'));
  expect(ids).toEqual(
    [...Array.from({ length: 5 }, (_, n) => `e-${n}`), 'e-2999', ...others.map((o) => JSON.parse(o).eventID)].sort(),
  );
  const [summary, ...more] = (await callsIn(memory, { action: 'ec2:DescribeInstances', resource: 'i-3' }))
    .map((r) => JSON.parse(Buffer.from(r.raw).toString()))
    .filter((e) => e.additionalEventData?.coalesced);
  expect(more).toEqual([]);
  expect(summary).toMatchObject({
    userIdentity: JSON.parse(like.toString()).userIdentity,
    additionalEventData: { coalesced: { count: 2_994, from: iso(Date.parse(JSON.parse(flood[5] ?? '').eventTime)) } },
  });
  // Without its marks it is read again.
  for (const partition of memory.items.keys()) if (partition.startsWith('mark/')) memory.items.delete(partition);
  account.restart();
  expect(await account.audit()).toMatchObject({ added: 0, brought: 51 });
});

test('without a trail, LookupEvents: by the hour, at its pace, resumed where it ended, each event once', async () => {
  const history: { at: number; raw: Buffer }[] = [];
  let slept = 0;
  let asked = 0;
  const account = anAccount({
    around: (source) => ({
      ...source,
      trails: async () => [],
      // Newest first, by pages of 50; both ends included, in whole seconds.
      lookup: async ({ from, to }, token = '0') => {
        asked++;
        const found = history.filter((e) => e.at >= from && e.at <= to).sort((a, b) => b.at - a.at);
        const at = Number(token);
        return {
          events: found.slice(at, at + 50),
          ...(found.length > at + 50 ? { next: String(at + 50) } : {}),
        };
      },
    }),
    onSleep: (ms) => {
      slept += ms;
    },
  });
  const { now, memory, home, world } = account;
  const began = floor(now());
  // Ten hours of the day before, one of them busy.
  for (let n = 0; n < 40; n++)
    history.push({ at: began - hours(10) + n * minutes(15), raw: someEvents(40)[n] as Buffer });
  const busy = someEvents(700, 2, home.account, began - hours(4));
  for (const [n, raw] of busy.entries()) history.push({ at: began - hours(4) + Math.floor(n / 3) * 1_000, raw });
  const runs: Audited[] = [];
  do {
    let steps = 9;
    runs.push(await account.audit(() => steps-- > 0));
    if (runs.length % 3 === 0) account.restart();
  } while (!runs.at(-1)?.whole && runs.length < 40);
  expect(runs.length).toBeGreaterThan(3);
  expect(slept).toBe(asked * 500);
  expect(runs.reduce((n, r) => n + r.added, 0)).toBe(740);
  expect(await callsIn(memory, {})).toHaveLength(740);
  world.clock.advance(hours(2));
  await account.audit();
  const { states, gaps } = await coverageIn(memory.table, { from: began - hours(20), to: began }, { now: now() });
  expect([states, gaps]).toEqual([expect.objectContaining({ reconciled: 20, gap: 0 }), []]);
});

test('what was done while the trail was stopped is read from CloudTrail’s own history, once', async () => {
  const account = anAccount();
  const { clients, world, now, memory, events } = account;
  await account.pass(15, async () => void (await account.audit()));
  const send = (command: 'stop' | 'weaken' | 'start') =>
    command === 'weaken'
      ? clients.cloudtrail.send(new UpdateTrailCommand({ Name: 'audit', IsMultiRegionTrail: false }))
      : clients.cloudtrail.send(
          command === 'stop' ? new StopLoggingCommand({ Name: 'audit' }) : new StartLoggingCommand({ Name: 'audit' }),
        );
  await send('stop');
  world.clock.advance(minutes(40));
  await send('weaken');
  world.clock.advance(minutes(40));
  await account.audit();
  await send('start');
  // EventBridge hears nothing where no trail logs.
  events.splice(0);
  await account.pass(30, async (n) => {
    await account.audit();
    if (n % 7 === 0) account.restart();
  });
  const found = (await callsIn(memory, { action: 'cloudtrail:UpdateTrail' })).map((r) => r.activity.id);
  expect(found).toEqual([
    world.cloudtrail.events
      .map((e) => e.record as { eventName: string; eventID: string })
      .find((r) => r.eventName === 'UpdateTrail')?.eventID,
  ]);
  const ids = await idsOf(account);
  expect(ids).toEqual([...new Set(ids)]);
  const { gaps } = await coverageIn(memory.table, { from: now() - hours(4), to: now() - hours(2) }, { now: now() });
  expect(gaps).toEqual([expect.objectContaining({ because: 'the trail was not logging' })]);
});

test('who checks the trail himself sees that each event of its files is in the log, and what is not', async () => {
  const account = anAccount();
  const { memory, home, bucket, world, now, source } = account;
  const from = Math.ceil(now() / hours(1)) * hours(1);
  await account.pass(60, async () => void (await account.audit()));
  const range = { from, to: from + hours(3) };
  const check = (log: Pick<typeof memory, 'table' | 'objects'> = memory) =>
    verifyTrail({ ...log, source, home, declared: [], shards: 2 }, range);
  const whole = await check();
  expect(whole).toMatchObject({ digests: 4, missingCount: 0, findings: [] });
  expect(whole.events).toBeGreaterThan(100);
  // What only the archive has is in the log.
  const later = () => now() + days(30);
  const retention = createRetention({
    ...memory,
    now: later,
    account: world.account,
    append: createWriter({ ...memory, now: later, shards: 2 }).append,
    hotDays: 7,
    years: 7,
  });
  const checkpoint = createCheckpointer({ ...memory, signer: SIGNER, now: later });
  for (let n = 0; n < 6; n++) {
    await checkpoint();
    await retention.archive();
    await retention.end();
  }
  expect(memory.expire(later())).toBeGreaterThan(0);
  expect(await check()).toEqual(whole);
  // A log that has nothing lacks all of them.
  expect(await check(memoryLog())).toMatchObject({ missingCount: whole.events, findings: [] });
  const [first = '', second = ''] = [...bucket.objects.keys()]
    .filter((key) => key.includes('/CloudTrail/') && (deliveredAt(key) ?? 0) > from)
    .sort();
  bucket.objects.delete(first);
  putObject(world, bucket, second, Buffer.from('no gzip'), {});
  expect((await check()).findings.map((f) => f.kind)).toEqual(['file-missing', 'file-changed']);
});

test('a trail whose bucket is gone is said, and is no failure of each minute', async () => {
  const account = anAccount();
  account.world.s3.buckets.delete(account.bucket.name);
  const run = paced(account.audit, account.now);
  expect(await run(() => true)).toEqual({ denied: expect.stringMatching(/bucket audit-logs: .*does not exist/) });
});

test('what could not be made once is made anew, and then kept', async () => {
  let tries = 0;
  const made = lazily(async () => {
    tries++;
    if (tries === 1) throw new Throttled('the table is busy');
    return tries;
  });
  await expect(made()).rejects.toThrow('the table is busy');
  expect(await Promise.all([made(), made()])).toEqual([2, 2]);
  expect(await made()).toBe(2);
});

test('a no of IAM is asked again after an hour, not each minute', async () => {
  let now = 0;
  let asked = 0;
  let denied = true;
  const nothing: Audited = { files: 0, added: 0, brought: 0, behind: 0, whole: true, findings: [] };
  const run = paced(
    async () => {
      asked++;
      if (denied) throw new Forbidden('cannot list AWSLogs/ of bucket logs: not authorized');
      return { ...nothing, whole: asked !== 5 };
    },
    () => now,
  );
  const forMinutes = async (count: number) => {
    const said = [];
    for (let n = 0; n < count; n++, now += minutes(1)) said.push(await run(() => true));
    return said;
  };
  const said = await forMinutes(120);
  expect(asked).toBe(2);
  expect(said.every((s) => s.denied?.includes('bucket logs'))).toBe(true);
  denied = false;
  // Each fifth minute; at once where there is more.
  const then = await forMinutes(21);
  expect(then.flatMap((s, n) => (s.audited ? [n] : []))).toEqual([0, 5, 10, 11, 16]);
  expect(then.some((s) => s.denied)).toBe(false);
});
