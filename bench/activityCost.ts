/**
 * What the activity log costs a month, and which limit it meets first, at three sizes. The log's own writer and checkpointer take in a stretch of simulated time of one account, as its two legs bring it:
 * EventBridge's changes in batches of half a minute, the trail's files each fifth minute. What they ask of the table is counted, and priced for all accounts and a month.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createWriter, SEGMENT_EVENTS } from '../shared/activity/append.ts';
import { createCheckpointer } from '../shared/activity/checkpoint.ts';
import type { Item, LogTable } from '../shared/activity/log.ts';
import { days, minutes, seconds, type Time } from '../shared/core/time.ts';
import { ACCOUNT, NOW, SIGNER } from '../test/activity/setting.ts';
import { memoryLog } from '../world/memoryLog.ts';
import { createRandom } from '../world/random.ts';
import { trailEvents } from '../world/trailEvents.ts';
import { round } from './figures.ts';

type Figures = Record<string, number>;

/** US dollars, us-east-1, on demand, arm64, November 2026. Sources: the price lists of DynamoDB, S3, SQS, Lambda and KMS. */
const USD = {
  writeUnit: 0.625e-6,
  readUnit: 0.125e-6,
  tableGB: 0.25,
  message: 0.4e-6,
  gibSecond: 1.33334e-5,
  invocation: 0.2e-6,
  signature: 0.15e-4,
  standardGB: 0.023,
  glacierGB: 0.004,
  get: 0.4e-6,
  list: 5e-6,
};
const MONTH = days(30);
/** A call to DynamoDB. */
const CALL_MS = 10;
/** A function of 512 MB has this part of a core; 1,769 MB are one. Source: Lambda's guide. */
const CORE = 512 / 1_769;
const GIB = 0.5;
/** Changes among the calls: the rest reads, and comes by the files alone. */
const CHANGES = 0.1;
/** Regions with something in them; a file each per account, each fifth minute. */
const REGIONS = 3;
const BATCH = { eventbridge: 500, file: 2_000 };
const HOT_MONTHS = 3;
/** The archive: bytes of an event (bench/activity.ts), months, and where they lie: three months in S3 Standard, then in Glacier Instant Retrieval. */
const ARCHIVE = { bytes: 107, months: 7 * 12, standard: 3 };
/** Events a second of a core that are archived and read back (bench/activity.ts); the function has 1 GB. */
const ARCHIVED = { perSecond: 12_000, gib: 1 };
/** At its busiest a day has so many times its mean. */
const PEAK = 3;

/** An item's unit is 1 KB written and 4 KB read, its names and keys included. */
const KEYS = 40;
const kilobytes = ({ bytes }: Pick<Item, 'bytes'>, each: number): number => Math.ceil((bytes.length + KEYS) / each);

/** The table, counted: by partition what was written, in all what was read and how often it was asked. */
const metered = (table: LogTable) => {
  const sums = { writes: new Map<string, number>(), stored: 0, reads: 0, calls: 0 };
  const counted: LogTable = {
    ...table,
    put: async (item, expiresAt) => {
      const put = await table.put(item, expiresAt);
      const kind = item.partition.split('/')[0] ?? '';
      sums.writes.set(kind, (sums.writes.get(kind) ?? 0) + kilobytes(item, 1_024));
      sums.calls++;
      if (put === 'written') sums.stored += item.bytes.length + KEYS;
      return put;
    },
    get: async (slots) => {
      const items = await table.get(slots);
      sums.calls++;
      sums.reads += items.reduce((n, i) => n + kilobytes(i, 4_096), 0);
      return items;
    },
    async *range(partition, range) {
      sums.calls++;
      let bytes = 0;
      for await (const item of table.range(partition, range)) {
        bytes += item.bytes.length + KEYS;
        yield item;
      }
      sums.reads += Math.max(1, Math.ceil(bytes / 4_096));
    },
  };
  return { table: counted, sums };
};

/** A table that answers after a while, as DynamoDB does. */
const slow = (table: LogTable): LogTable => ({
  ...table,
  put: async (...args) => {
    await sleep(CALL_MS);
    return table.put(...args);
  },
  get: async (...args) => {
    await sleep(CALL_MS);
    return table.get(...args);
  },
  async *range(...args) {
    await sleep(CALL_MS);
    yield* table.range(...args);
  },
});

/** Calls of one account, a part of them changes. */
const callsOf = (random: ReturnType<typeof createRandom>) => {
  const next = trailEvents({ account: ACCOUNT, region: 'eu-central-1', resources: 2_000, random });
  return (at: Time): { readonly event: Buffer; readonly isChange: boolean } => {
    const isChange = random.chance(CHANGES);
    for (;;) {
      const event = next(at);
      if (event.includes('"readOnly":false') === isChange) return { event: Buffer.from(event), isChange };
    }
  };
};

interface Taken {
  readonly events: number;
  readonly hours: number;
  readonly sums: ReturnType<typeof metered>['sums'];
  readonly batches: number;
  readonly cpuMs: number;
  readonly signatures: number;
}

const cpuNow = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

/** One account with so many events a second, for so long. */
const takeIn = async (perSecond: number, length: Time, seed: number): Promise<Taken> => {
  const memory = memoryLog();
  const { table, sums } = metered(memory.table);
  const clock = { now: NOW };
  const options = { table, objects: memory.objects, now: (): Time => clock.now };
  const writer = createWriter({ ...options, shards: 1 });
  const checkpoint = createCheckpointer({ ...options, signer: SIGNER });
  const random = createRandom(seed);
  const next = callsOf(random);
  const did = { events: 0, batches: 0, cpuMs: 0, signatures: 0 };
  const append = async (leg: 'eventbridge' | 'file', raws: readonly Buffer[]): Promise<void> => {
    for (let at = 0; at < raws.length; at += BATCH[leg]) {
      const before = cpuNow();
      await writer.append(leg, raws.slice(at, at + BATCH[leg]));
      did.cpuMs += cpuNow() - before;
      if (leg === 'eventbridge') did.batches++;
    }
  };
  const files: Buffer[][] = Array.from({ length: REGIONS }, () => []);
  /** @returns the changes among so many calls of half a minute */
  const happen = (count: number): Buffer[] =>
    Array.from({ length: count }, () => next(clock.now + random.integer(30_000))).flatMap(({ event, isChange }) => {
      files[random.integer(REGIONS)]?.push(event);
      return isChange ? [event] : [];
    });
  let owed = 0;
  for (let at = 0; at < length; at += seconds(30)) {
    owed += perSecond * 30;
    const count = Math.floor(owed);
    owed -= count;
    did.events += count;
    const changes = happen(count);
    clock.now += seconds(30);
    await append('eventbridge', changes);
    if (clock.now % minutes(5) === 0) for (const file of files) await append('file', file.splice(0));
    if (clock.now % minutes(1) === 0) {
      const signed = sums.writes.get('checkpoint') ?? 0;
      await checkpoint();
      if ((sums.writes.get('checkpoint') ?? 0) > signed) did.signatures++;
    }
  }
  for (const file of files) await append('file', file);
  return { ...did, hours: length / minutes(60), sums };
};

/** Events a second that one writer takes in from files, on a table that takes its time; on a whole core, and on the part that 512 MB have. */
const paceOf = async (): Promise<{ readonly waiting: number; readonly core: number; readonly part: number }> => {
  const memory = memoryLog();
  const writer = createWriter({
    table: slow(memory.table),
    objects: memory.objects,
    now: () => NOW,
    shards: 1,
  });
  const next = callsOf(createRandom(9));
  const events = Array.from({ length: 10 * BATCH.file }, (_, n) => next(NOW + n * 10).event);
  const [began, before] = [performance.now(), cpuNow()];
  for (let at = 0; at < events.length; at += BATCH.file) await writer.append('file', events.slice(at, at + BATCH.file));
  const [whole, cpu] = [performance.now() - began, cpuNow() - before];
  const perSecond = (ms: number): number => (events.length / ms) * 1_000;
  return { waiting: perSecond(whole - cpu), core: perSecond(whole), part: perSecond(whole - cpu + cpu / CORE) };
};

interface Size {
  readonly name: string;
  readonly events: number;
  readonly accounts: number;
  readonly length: Time;
}
const SIZES: readonly Size[] = [
  { name: '1M', events: 1e6, accounts: 1, length: minutes(12 * 60) },
  { name: '100M', events: 1e8, accounts: 10, length: minutes(120) },
  { name: '10G', events: 1e10, accounts: 100, length: minutes(20) },
];

/** Of one process, whatever the number of accounts. */
const ONCE = new Set(['checkpoint']);

const bill = ({ events, accounts }: Size, taken: Taken): Figures => {
  const factor = events / taken.events;
  const months = MONTH / minutes(60) / taken.hours;
  const writes = [...taken.sums.writes].reduce((n, [kind, units]) => n + units * (ONCE.has(kind) ? months : factor), 0);
  const changes = events * CHANGES;
  const batches = Math.max(taken.batches * factor, changes / BATCH.eventbridge);
  const calls = taken.sums.calls * factor;
  const cpuSeconds = (taken.cpuMs * factor) / 1_000 / CORE;
  const files = accounts * REGIONS * (MONTH / minutes(5));
  const waiting = (calls * CALL_MS) / 1_000 + files * 0.05;
  return {
    writes: writes * USD.writeUnit,
    reads: taken.sums.reads * factor * USD.readUnit,
    storage: ((taken.sums.stored * factor * HOT_MONTHS) / 1e9) * USD.tableGB,
    // To give an archived body its end costs as much as it did to write it.
    ends: (taken.sums.writes.get('body') ?? 0) * factor * USD.writeUnit,
    archive:
      ((events * ARCHIVE.bytes) / 1e9) *
        (ARCHIVE.standard * USD.standardGB + (ARCHIVE.months - ARCHIVE.standard) * USD.glacierGB) +
      (events / ARCHIVED.perSecond / (1_024 / 1_769)) * ARCHIVED.gib * USD.gibSecond,
    // Sent, received and deleted by tens.
    queue: changes * 1.2 * USD.message,
    lambda: (cpuSeconds + waiting) * GIB * USD.gibSecond + (batches + MONTH / minutes(1)) * USD.invocation,
    files: files * (USD.get + USD.list),
    signatures: Math.min(taken.signatures * months, MONTH / minutes(1)) * USD.signature,
    key: 1,
  };
};

interface Limit {
  readonly name: string;
  readonly figure: string;
  readonly perSecond: number;
  readonly lift: string;
}
/** Events a second that each part can take, at most; the tightest first. */
const limitsOf = ({ waiting, core, part }: Awaited<ReturnType<typeof paceOf>>): Limit[] =>
  [
    {
      name: 'audit: one reader, 512 MB',
      figure: 'Audit',
      perSecond: part,
      lift: `memorySize: 1769 in functions/audit/function.yml (${round(core, 0)})`,
    },
    {
      name: 'a shard: one writer at a time',
      figure: 'Shard',
      perSecond: waiting,
      lift: 'accounts in other shards, by several readers',
    },
    {
      name: 'a checkpoint: 4,096 links a minute',
      figure: 'Checkpoint',
      perSecond: (4_096 * SEGMENT_EVENTS) / 60,
      lift: 'MOST in shared/activity/checkpoint.ts',
    },
    {
      name: 'record: two at once, changes only',
      figure: 'Record',
      perSecond: (2 * part) / CHANGES,
      lift: 'maximumConcurrency in functions/record/function.yml',
    },
    {
      name: 'a partition: 1,000 write units a second, one for each link of a shard',
      figure: 'Partition',
      perSecond: 1_000 * SEGMENT_EVENTS,
      lift: 'more shards, in a log that begins anew',
    },
  ].sort((a, b) => a.perSecond - b.perSecond);

const said = (parts: Figures): string =>
  Object.entries(parts)
    .map(([what, usd]) => `${what} ${usd.toFixed(2)}`)
    .join(', ');

/** A month's bill at three sizes; mean and peak of each against the limits. */
export const activityCost = async (): Promise<Figures> => {
  const limits = limitsOf(await paceOf());
  const figures: Figures = Object.fromEntries(
    limits.map(({ figure, perSecond }) => [`activity.limit${figure}`, round(perSecond, 0)]),
  );
  for (const [n, size] of SIZES.entries()) {
    const perSecond = size.events / (MONTH / seconds(1));
    const parts = bill(size, await takeIn(perSecond / size.accounts, size.length, n + 1));
    const total = Object.values(parts).reduce((a, b) => a + b, 0);
    const peak = PEAK * perSecond;
    console.log(`${size.name} events a month, ${size.accounts} accounts: $${total.toFixed(2)} (${said(parts)})`);
    console.log(`  ${perSecond.toFixed(1)} a second, ${peak.toFixed(0)} at its peak`);
    const met = limits.filter((l) => l.perSecond < peak);
    for (const { name, perSecond: at, lift } of met.length > 0 ? met : limits.slice(0, 1))
      console.log(
        `  ${at < perSecond ? 'too little' : at < peak ? 'late at the peak' : 'next'}: ${name}: ${at.toFixed(0)} a second; ${lift}`,
      );
    figures[`activity.usd${size.name}`] = round(total, 2);
  }
  return figures;
};
