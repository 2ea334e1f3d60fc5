/** Checkpoints in a second account: each is there, a copy that fails stops nothing and is told, and the newest is found. */
import { Metrics } from '@aws-lambda-powertools/metrics';
import { makeHandler } from '../../functions/audit/handler.ts';
import { copyAddress, copyKey, copyState, createCopier, newestCopy } from '../../shared/activity/copies.ts';
import type { TrailFiles } from '../../shared/activity/log.ts';
import { verify } from '../../shared/activity/verify.ts';
import { Forbidden } from '../../shared/core/errors.ts';
import { days, minutes } from '../../shared/core/time.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { aLog, KEYS, NOW, someEvents } from './setting.ts';

/** The other account's bucket, which may say no. */
const bucket = () => {
  const files = new Map<string, string>();
  const own = { files, says: undefined as string | undefined, puts: 0 };
  return {
    own,
    put: async (key: string, bytes: Uint8Array): Promise<void> => {
      own.puts++;
      if (own.says !== undefined) throw new Forbidden(own.says);
      files.set(key, Buffer.from(bytes).toString());
    },
  };
};
const listed = (files: ReadonlyMap<string, string>): Pick<TrailFiles, 'folders' | 'keys'> => ({
  folders: async (below) => [
    ...new Set(
      [...files.keys()].filter((k) => k.startsWith(below)).map((k) => k.slice(below.length).split('/')[0] ?? ''),
    ),
  ],
  async *keys(prefix) {
    yield* [...files.keys()].filter((k) => k.startsWith(prefix)).sort();
  },
});

test('each checkpoint is there once, by its day; the newest shows what was cut off', async () => {
  const log = aLog();
  const copies = bucket();
  const copy = createCopier({ table: log.table, copies, now: () => log.clock.now });
  for (let day = 0; day < 4; day++) {
    await log.writer.append('file', someEvents(20, day, undefined, log.clock.now));
    for (let minute = 0; minute < 3; minute++) expect(await copy((await log.checkpoint())!)).toBeUndefined();
    log.clock.now += days(1);
  }
  expect(copies.own.puts).toBe(4);
  expect(await copyState(log.table)).toEqual({ since: NOW, because: undefined });
  const key = await newestCopy(listed(copies.own.files), copyAddress('s3://theirs'));
  expect(key).toBe('checkpoints/2026-11-28/0000000003.json');
  expect(await newestCopy(listed(copies.own.files), copyAddress('s3://theirs/a/b.json'))).toBe('a/b.json');
  await expect(newestCopy(listed(new Map()), copyAddress('s3://theirs'))).rejects.toThrow(
    'there is no checkpoint below s3://theirs/checkpoints/',
  );
  expect(() => copyAddress('https://x')).toThrow('no s3://bucket');
  const kept = JSON.parse(copies.own.files.get(key)!);
  expect((await verify({ ...log, keys: KEYS, kept })).findings).toEqual([]);
  const last = log.memory.items.get('checkpoint')!;
  last.delete(3);
  expect((await verify({ ...log, keys: KEYS, kept })).findings.map((f) => f.because)).toContainEqual(
    expect.stringContaining('its end was cut off'),
  );
});

test('what fails is written down once, with its reason, and again when it works', async () => {
  const log = aLog();
  const copies = bucket();
  let copy = createCopier({ table: log.table, copies, now: () => log.clock.now });
  const minute = async (): Promise<string | undefined> => {
    log.clock.now += minutes(1);
    await log.writer.append('file', someEvents(1, log.clock.now, undefined, log.clock.now));
    return copy((await log.checkpoint())!);
  };
  expect(await minute()).toBeUndefined();
  copies.own.says = 's3:PutObject: no';
  expect(await minute()).toContain('s3:PutObject: no');
  expect(await minute()).toContain('s3:PutObject: no');
  // A new process.
  copy = createCopier({ table: log.table, copies, now: () => log.clock.now });
  expect(await minute()).toContain('s3:PutObject: no');
  expect(await copyState(log.table)).toEqual({ since: NOW + minutes(2), because: 's3:PutObject: no' });
  copies.own.says = undefined;
  expect(await minute()).toBeUndefined();
  expect(await copyState(log.table)).toEqual({ since: NOW + minutes(5), because: undefined });
  expect(log.memory.items.get('copies')?.size).toBe(3);
  const last = (await log.checkpoint())!;
  expect([...copies.own.files.keys()].at(-1)).toBe(copyKey(last));
});

test('audit signs and reads on, whatever the second account says; a metric tells', async () => {
  const log = aLog();
  await log.writer.append('file', someEvents(5));
  const copies = bucket();
  copies.own.says = 'no such bucket';
  const told: string[] = [];
  const t = telemetry('test');
  const metrics = new Metrics({ namespace: 'Steward' });
  metrics.addMetric = (name) => {
    told.push(name);
    return metrics;
  };
  metrics.publishStoredMetrics = () => metrics;
  let reads = 0;
  const handler = makeHandler(
    {
      checkpoint: log.checkpoint,
      copy: createCopier({ table: log.table, copies, now: () => log.clock.now }),
      audit: async () => {
        reads++;
        return {};
      },
      watch: async () => ({}),
      now: () => log.clock.now,
    },
    { logger: Object.assign(t.logger, { error: () => {} }), metrics },
  );
  const answer = await handler({}, { getRemainingTimeInMillis: () => 50_000 } as never);
  expect(answer).toMatchObject({ checkpoint: { number: 0 }, uncopied: 'no such bucket' });
  expect([reads, told.includes('CopyFailed')]).toEqual([1, true]);
});
