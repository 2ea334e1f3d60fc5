/** CloudTrail's digests, made as the user guide says, and everything that can be wrong with them. */
import { createSign, generateKeyPairSync } from 'node:crypto';
import {
  type Completeness,
  completenessOf,
  coverageOf,
  DELIVERY,
  type HourFacts,
  hoursOf,
} from '../../shared/activity/completeness.ts';
import { type DigestObject, verifyDigests } from '../../shared/activity/digest.ts';
import { sha256 } from '../../shared/activity/hashing.ts';
import { days, hours, iso, minutes, type Time } from '../../shared/core/time.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const KEY = { fingerprint: 'f00d', der: publicKey.export({ type: 'pkcs1', format: 'der' }) };
const START = Date.parse('2026-10-01T00:00:31Z');
const hex = (bytes: Uint8Array) => sha256(bytes).toString('hex');
const second = (t: Time) => `${iso(t).slice(0, 19)}Z`;

/** What a trail leaves in its bucket. */
const trail = () => {
  const digests: DigestObject[] = [];
  const files = new Map<string, string>();
  let previous: DigestObject | undefined;
  const write = (from: Time, count: number, suffix = ''): DigestObject => {
    const key = `AWSLogs/1/CloudTrail-Digest/eu-central-1/${second(from + hours(1))}${suffix}.json.gz`;
    const logFiles = Array.from({ length: count }, (_, n) => {
      const file = `AWSLogs/1/CloudTrail/${second(from)}-${n}${suffix}.json.gz`;
      files.set(file, hex(Buffer.from(file)));
      return { s3Bucket: 'trail', s3Object: file, hashValue: files.get(file), hashAlgorithm: 'SHA-256' };
    });
    const chained = suffix === '' ? previous : undefined;
    const bytes = Buffer.from(
      JSON.stringify({
        digestStartTime: second(from),
        digestEndTime: second(from + hours(1)),
        digestS3Bucket: 'trail',
        digestS3Object: key,
        digestPublicKeyFingerprint: KEY.fingerprint,
        digestSignatureAlgorithm: 'SHA256withRSA',
        previousDigestS3Object: chained?.key ?? null,
        previousDigestHashValue: chained ? hex(chained.bytes) : null,
        previousDigestSignature: chained?.signature ?? null,
        logFiles,
      }),
    );
    const signed = `${second(from + hours(1))}\ntrail/${key}\n${hex(bytes)}\n${chained?.signature ?? 'null'}`;
    const digest = {
      bucket: 'trail',
      key,
      bytes,
      signature: createSign('RSA-SHA256').update(signed).sign(privateKey, 'hex'),
    };
    digests.push(digest);
    if (suffix === '') previous = digest;
    return digest;
  };
  return {
    digests,
    files,
    write,
    restart: () => {
      previous = undefined;
    },
    check: (to: Time, from = START) => verifyDigests(digests, [KEY], { from, to }, async ({ key }) => files.get(key)),
  };
};
const daily = (length = 24) => {
  const t = trail();
  for (let n = 0; n < length; n++) t.write(START + hours(n), n % 3);
  return t;
};
const END = START + hours(24);
const found = async (t: ReturnType<typeof trail>, to = END) =>
  (await t.check(to)).findings.map(({ kind, place }) => [kind, place]);

test('a day with empty hours is vouched for as a whole', async () => {
  const t = daily();
  expect(await t.check(END)).toMatchObject({
    findings: [],
    covered: [[START - 0, END]].map(([a, b]) => [Math.floor(a! / 1000) * 1000, b]),
  });
  expect((await t.check(END)).files).toHaveLength(24);
});

test.each([[1], [2], [7]])('%i digests deleted one after the other are missed', async (count) => {
  const t = daily();
  t.digests.splice(5, count);
  expect(await found(t)).toEqual([['missing', `${iso(START + hours(5))} – ${iso(START + hours(5 + count))}`]]);
});

test('deleted at the beginning or at the end, they are missed too', async () => {
  const [a, b] = [daily(), daily()];
  a.digests.splice(0, 2);
  b.digests.splice(22, 2);
  expect(await found(a)).toEqual([['missing', `${iso(START)} – ${iso(START + hours(2))}`]]);
  expect(await found(b)).toEqual([['missing', `${iso(START + hours(22))} – ${iso(END)}`]]);
});

test('a chain that begins anew says so, with the time that nobody vouches for', async () => {
  const t = trail();
  t.write(START, 1);
  t.restart();
  t.write(START + hours(4), 1);
  expect(await found(t, START + hours(5))).toEqual([
    ['restarted', `${iso(START + hours(1))} – ${iso(START + hours(4))}`],
  ]);
});

test('late files come by a digest of their own, beside the chain', async () => {
  const t = daily(3);
  t.write(START + hours(1), 2, '_backfill');
  const report = await t.check(START + hours(3));
  expect(report.findings).toEqual([]);
  expect(report.files.filter((f) => f.key.includes('backfill'))).toHaveLength(2);
});

test('a changed digest, file, place or signature, a digest of another chain', async () => {
  const t = daily(8);
  const change = (n: number, to: Partial<DigestObject>): void => {
    t.digests[n] = { ...t.digests[n]!, ...to };
  };
  change(1, { bytes: Buffer.from(t.digests[1]!.bytes.toString().replace('SHA-256', 'SHA-512')) });
  change(3, { key: `${t.digests[3]!.key}.moved` });
  change(5, { bytes: Buffer.from('{') });
  const keys = [...t.files.keys()];
  const [first, second] = [keys[1], keys.at(-1)];
  t.files.set(first!, 'another');
  t.files.delete(second!);
  const kinds = (await found(t, START + hours(8))).map(([kind]) => kind);
  expect(kinds.sort()).toEqual(
    ['file-changed', 'file-missing', 'missing', 'missing', 'missing', 'moved', 'unreadable', 'unsigned'].sort(),
  );
  const foreign = daily(2);
  foreign.digests[0] = trail().write(START, 2);
  expect((await found(foreign, START + hours(2))).map(([kind]) => kind)).toContain('broken');
  expect(
    (await verifyDigests(daily(1).digests, [], { from: START, to: START }, async () => '')).findings[0]!.because,
  ).toContain('no public key');
});

const HOUR = Math.ceil(START / hours(1)) * hours(1);
const facts = (given: Partial<HourFacts> = {}): HourFacts => ({
  hour: HOUR,
  provisional: 0,
  trail: { logging: true, validated: true },
  ingestedAt: undefined,
  covered: [],
  troubles: [],
  ...given,
});
const later = HOUR + hours(3);
test.each<[string, Partial<HourFacts>, Time, Completeness['state'] | string]>([
  ['nothing yet', {}, HOUR + minutes(30), 'pending'],
  ['by EventBridge only', { provisional: 3 }, HOUR + minutes(70), 'provisional'],
  ['files read, not vouched for yet', { ingestedAt: HOUR + hours(1) + DELIVERY }, HOUR + minutes(90), 'reconciled'],
  ['read too early', { ingestedAt: HOUR + hours(1), provisional: 1 }, HOUR + minutes(90), 'provisional'],
  ['vouched for', { covered: [[HOUR - 1, HOUR + hours(1) + DELIVERY]] }, later, 'digest-verified'],
  ['vouched for in part', { covered: [[HOUR, HOUR + hours(1)]] }, later, 'no digest vouches'],
  ['no digest in time', { ingestedAt: later, provisional: 9 }, later, 'no digest vouches'],
  ['without validation', { ingestedAt: later, trail: { logging: true, validated: false } }, later, 'reconciled'],
  ['stopped', { trail: { logging: false, validated: false }, ingestedAt: later }, later, 'not logging'],
  ['no trail, nothing read', { trail: undefined, provisional: 5 }, later, 'LookupEvents'],
  ['no trail, looked up', { trail: undefined, ingestedAt: later }, later, 'reconciled'],
  ['a file is missing', { covered: [[0, later]], troubles: ['x was deleted'] }, later, 'x was deleted'],
])('%s: %s', (_, given, now, expected) => {
  const is = completenessOf(facts(given), now);
  expect(is.state === 'gap' ? is.because : is.state).toContain(expected);
});

test('a month with outages of each leg: every hour is told, every gap has a reason', async () => {
  const t = trail();
  const month = 30 * 24;
  const begin = HOUR;
  const isOut = (n: number) => (n >= 100 && n < 105) || n === 400;
  for (let n = -1; n <= month; n++) if (!isOut(n)) t.write(begin + hours(n), 1);
  // One file goes, one whole day of EventBridge.
  t.files.delete([...t.files.keys()][600]!);
  const report = await t.check(begin + hours(month + 1), begin - hours(1));
  const known = new Map(
    hoursOf(begin, begin + hours(month)).map((hour): [Time, HourFacts] => [
      hour,
      facts({
        hour,
        provisional: hour >= begin + days(9) && hour < begin + days(10) ? 0 : 7,
        ingestedAt: hour + hours(2),
        covered: report.covered,
        troubles: report.findings
          .filter((f) => f.kind.startsWith('file') && f.from! < hour + hours(1) && hour < f.to!)
          .map((f) => f.because),
      }),
    ]),
  );
  const coverage = coverageOf(known, { from: begin, to: begin + hours(month) }, begin + days(40));
  expect(coverage.hours).toBe(month);
  // An outage leaves its own hours, and the quarter hour of delivery of the hour before, unvouched for.
  expect(coverage.states).toEqual({
    pending: 0,
    provisional: 0,
    reconciled: 0,
    'digest-verified': month - 10,
    gap: 10,
  });
  expect(coverage.gaps.every((g) => g.because.length > 10)).toBe(true);
  // Hours that daylight saving would skip or double are hours like others: 30 days are 720.
  expect(hoursOf(Date.parse('2026-10-25T00:00:00Z'), Date.parse('2026-10-26T00:00:00Z'))).toHaveLength(24);
});
