/** `steward activity` as a person uses it: who did what, and whether the log of it is whole. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWriter } from '../../shared/activity/append.ts';
import { createCheckpointer } from '../../shared/activity/checkpoint.ts';
import type { HourFacts } from '../../shared/activity/completeness.ts';
import { createCopier, keptOf } from '../../shared/activity/copies.ts';
import { putHours } from '../../shared/activity/hourFacts.ts';
import { addPlaces, hourItems, type Mark, putMark } from '../../shared/activity/marks.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { check } from '../../shared/runtime/doctor.ts';
import { addTrail } from '../../world/cloudtrail.ts';
import { breakDisk } from '../../world/fleet.ts';
import { recordCalls } from '../../world/recorder.ts';
import { addBucket } from '../../world/s3.ts';
import { SIGNER, someEvents } from '../activity/setting.ts';
import { createDesk } from './desk.ts';

const folder = mkdtempSync(join(tmpdir(), 'steward-activity-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const stop = (who: string, n: number) => ({
  eventVersion: '1.11',
  userIdentity: { type: 'IAMUser', arn: `arn:aws:iam::111122223333:user/${who}`, userName: who },
  eventTime: `2026-01-15T08:0${n}:00Z`,
  eventSource: 'cloudtrail.amazonaws.com',
  eventName: 'StopLogging',
  awsRegion: 'eu-central-1',
  sourceIPAddress: '198.51.100.7',
  requestParameters: { name: 'audit' },
  ...(n === 2 ? { errorCode: 'AccessDenied' } : {}),
  eventID: `stop-${n}`,
  recipientAccountId: '111122223333',
});

const begin = async () => {
  const desk = createDesk();
  const { log, account } = desk;
  const now = () => account.clock.now();
  const writer = createWriter({ ...log, now, shards: 8 });
  const checkpoint = createCheckpointer({ ...log, signer: SIGNER, now });
  await writer.append('eventbridge', someEvents(250));
  await writer.append(
    'eventbridge',
    [stop('anna', 1), stop('=cmd|calc', 2), stop('anna', 3)].map((e) => Buffer.from(JSON.stringify(e))),
  );
  await checkpoint();
  return { ...desk, writer, checkpoint, anna: desk.steward('anna') };
};

test('search says who did what, from where, and whether it failed; how far the log is signed', async () => {
  const { anna } = await begin();
  const { out, code } = await anna('activity', 'search', '--action', 'StopLogging');
  expect(code).toBe(0);
  const lines = out.split('\n').filter((l) => l.includes('StopLogging'));
  expect(lines.map((l) => l.trim().split(/\s{2,}/))).toEqual([
    ['08:03:00', 'anna', 'cloudtrail:StopLogging', '198.51.100.7', 'audit'],
    ['08:02:00', '=cmd|calc', 'cloudtrail:StopLogging', '198.51.100.7', 'AccessDenied', 'audit'],
    ['08:01:00', 'anna', 'cloudtrail:StopLogging', '198.51.100.7', 'audit'],
  ]);
  expect(out).toMatch(/3 lines\. Signed up to 2026-01-15 08:00:00 UTC/);
  expect((await anna('activity', 'search', '--actor', 'anna', '--error')).out).toContain('Nothing of that kind');
});

test('all pages together are all events, each once, as they came', async () => {
  const { anna } = await begin();
  const { json } = await anna('activity', 'search', '--all', '--json');
  expect(json.rows).toHaveLength(253);
  expect(new Set(json.rows.map((r: { place: string }) => r.place)).size).toBe(253);
  const sent = [...someEvents(250).map(String)].sort();
  const got = json.rows.map((r: { event: string }) => r.event).filter((e: string) => !e.includes('"stop-'));
  expect(got.sort()).toEqual(sent);
  const limited = await anna('activity', 'search', '--limit', '10');
  expect(limited.out).toContain('10 lines, and there are more');
});

test('csv opens in a spreadsheet and runs nothing there; the summary counts', async () => {
  const { anna } = await begin();
  const { out } = await anna('activity', 'search', '--action', 'StopLogging', '--csv');
  const [head, ...rows] = out.trim().split('\n');
  expect(head).toBe('time,account,region,who,what,resources,ip,error,id,place');
  expect(rows[0]).toMatch(/^2026-01-15T08:03:00.000Z,111122223333,eu-central-1,arn:aws:iam::111122223333:user\/anna,/);
  const { out: sums } = await anna('activity', 'search', '--action', 'StopLogging', '--summary');
  expect(sums).toMatch(/2 {2}anna {2,}cloudtrail:StopLogging/);
  expect(sums).toMatch(/1 {2}=cmd\|calc {2,}cloudtrail:StopLogging {2,}1 failed/);
});

test('verify: whole; then one byte of one body is another, and it is named', async () => {
  const { anna, log } = await begin();
  const whole = await anna('activity', 'verify');
  expect(whole.out).toMatch(/✓ The log is whole\. 253 events in \d segments\./);
  expect(whole.code).toBe(0);
  const [partition = ''] = [...log.items.keys()].filter((k) => k.startsWith('body/'));
  const body = log.items.get(partition)?.get(0);
  if (!body) throw new Error('there is no body');
  body.bytes = Uint8Array.from(body.bytes, (byte, n) => (n === 100 ? byte ^ 1 : byte));
  const broken = await anna('activity', 'verify');
  expect(broken.code).toBe(1);
  expect(broken.out).toMatch(/✗ body of s\d\/\d: it was changed/);
});

test('a checkpoint that was kept shows a table that was put back; one of another log is refused', async () => {
  const { anna, log, writer, checkpoint, account } = await begin();
  const file = join(folder, 'kept.json');
  const before = structuredClone([...log.items].map(([k, slots]) => [k, new Map(slots)] as const));
  await writer.append('eventbridge', someEvents(120, 2));
  await account.run(seconds(60));
  await checkpoint();
  expect((await anna('activity', 'checkpoint', '--out', file)).out).toMatch(/checkpoint 1, \d segments/);
  expect((await anna('activity', 'verify', '--checkpoint', file)).code).toBe(0);
  log.items.clear();
  for (const [k, slots] of before) log.items.set(k, slots);
  expect((await anna('activity', 'verify')).code).toBe(0);
  const put = await anna('activity', 'verify', '--checkpoint', file);
  expect(put.code).toBe(1);
  expect(put.out).toMatch(/its end was cut off, or it was put back to an older state/);
  expect((await anna('activity', 'verify', '--checkpoint', join(folder, 'none.json'))).code).toBe(2);
});

test('what the second account has shows it, too; and doctor says whether it gets there', async () => {
  const { anna, log, copies, writer, checkpoint, answering } = await begin();
  const before = structuredClone([...log.items].map(([k, slots]) => [k, new Map(slots)] as const));
  await writer.append('eventbridge', someEvents(60, 3));
  const last = await checkpoint();
  if (!last) throw new Error('nothing is signed');
  copies.set('s3://theirs', keptOf(last));
  expect((await anna('activity', 'verify', '--checkpoint', 's3://theirs')).code).toBe(0);
  log.items.clear();
  for (const [k, slots] of before) log.items.set(k, slots);
  const { code, out } = await anna('activity', 'verify', '--checkpoint', 's3://theirs');
  expect([code, out]).toEqual([1, expect.stringContaining('its end was cut off')]);
  expect((await anna('activity', 'verify', '--checkpoint', 's3://nobody')).code).not.toBe(0);

  const said = async () => (await check(answering)).checks.filter((c) => c.what === 'copy');
  expect(await said()).toEqual([]);
  Object.assign(answering.policy.activity, { copy: { bucket: 'theirs', account: '444455556666' } });
  expect(await said()).toMatchObject([
    { is: 'wrong', say: 'no checkpoint has been copied to theirs of account 444455556666 yet' },
  ]);
  let says: string | undefined = 's3:PutObject: no';
  const put = async (): Promise<void> => {
    if (says !== undefined) throw new Error(says);
  };
  const copy = createCopier({ table: log.table, copies: { put }, now: () => answering.now() - minutes(7) });
  await copy(last);
  expect(await said()).toMatchObject([{ is: 'wrong', say: expect.stringMatching(/for 7 min: s3:PutObject: no/) }]);
  says = undefined;
  const later = createCopier({ table: log.table, copies: { put }, now: () => answering.now() });
  await later(last);
  expect(await said()).toMatchObject([{ is: 'fine' }]);
});

test('doctor says when days are not archived', async () => {
  const { account, answering } = await begin();
  const said = async () => (await check(answering)).checks.filter((c) => c.what === 'archive');
  expect(await said()).toMatchObject([{ is: 'fine' }]);
  const { clock } = account;
  Object.assign(answering, { now: () => clock.now() + hours(24 * 12) });
  expect(await said()).toMatchObject([{ is: 'wrong', say: expect.stringMatching(/waits for 11 d/) }]);
});

test('a proof for a stranger: Python and openssl say that the event is in the log', async () => {
  const { anna } = await begin();
  const file = join(folder, 'stop.json');
  const { out, code } = await anna('activity', 'prove', 'stop-3', '--out', file);
  expect([code, out]).toEqual([0, expect.stringContaining('docs/check-proof.py')]);
  expect(JSON.parse(readFileSync(file, 'utf8')).event).toContain('"stop-3"');
  expect((await anna('activity', 'prove', 'stop-9', '--out', file)).code).toBe(4);
  const said = execFileSync('python3', ['docs/check-proof.py', file, `${file}.pem`], { encoding: 'utf8' });
  expect(said).toMatch(/stop-3|in the log/);
});

test('search and verify say what may be missing, from which hours, and why', async () => {
  const { anna, log, account, writer } = await begin();
  const home = { account: account.world.account, region: account.world.region };
  expect((await anna('activity', 'search', '--action', 'StopLogging')).out).toContain(
    'Nobody can say whether that is all: no trail and no history has been read yet.',
  );
  const now = account.clock.now();
  const hour = Math.floor(now / hours(1)) * hours(1);
  await addPlaces(log.table, [home]);
  const facts = (ago: number): HourFacts => ({
    hour: hour - hours(ago),
    provisional: 1,
    trail: { logging: true, validated: true },
    ingestedAt: now,
    covered: [[hour - hours(8), hour - hours(3) + minutes(20)]],
    troubles: ago === 5 ? ['file x: it was deleted'] : [],
  });
  await putHours(
    { table: log.table, writer, now, home },
    [7, 6, 5, 4].flatMap((ago) => hourItems(home, facts(ago))),
  );
  const mark: Mark = {
    v: 1,
    readTo: now,
    files: [],
    counts: [],
    covered: [],
    troubles: [],
    since: hour - hours(7),
    settledTo: hour - hours(3),
    relookedAt: now,
    trail: { logging: true, validated: true },
  };
  await putMark(log.table, { place: home, mark, after: 0, now });
  const { out } = await anna('activity', 'search', '--from', '2026-01-15T00:30:00Z', '--action', 'StopLogging');
  expect(out).toMatch(
    /8 hours of 111122223333 eu-central-1: 3 vouched for by CloudTrail’s digests, 1 with all files that there are, 1 not settled yet, 3 from which events may be missing\./,
  );
  expect(out).toMatch(/03:00:00 UTC to 04:00:00, 111122223333 eu-central-1: file x: it was deleted/);
  expect(out).toContain('nobody looked: Steward was not there');
  expect((await anna('activity', 'verify')).out).toMatch(/3 vouched for by CloudTrail’s digests/);
});

test('what Steward did and what people told it is in the same log; around an incident stands who else did something', async () => {
  const desk = createDesk({ policy: { remediations: { 'full-disk': { mode: 'ask' } } } });
  const { account, log } = desk;
  const id = account.fleet.web[0]?.id ?? '';
  await account.run(minutes(4));
  breakDisk(account.world, id, { path: '/', usedPercent: 88, cleanableBytes: 3 * 2 ** 30 });
  await account.run(minutes(20), () => account.incidentOf(id)?.state === 'asking');
  const incident = account.incidentOf(id)?.id ?? '';
  const writer = createWriter({ ...log, now: () => account.clock.now(), shards: 8 });
  const call = (eventID: string, eventName: string, instanceId: string, readOnly = false) => ({
    ...stop('mallory', 1),
    eventID,
    eventName,
    eventSource: 'ec2.amazonaws.com',
    eventTime: new Date(account.clock.now()).toISOString(),
    requestParameters: { instanceId },
    readOnly,
  });
  await writer.append(
    'eventbridge',
    [call('1', 'CreateTags', id), call('2', 'StopInstances', 'i-other'), call('3', 'DescribeInstances', id, true)].map(
      (e) => Buffer.from(JSON.stringify(e)),
    ),
  );
  const alice = desk.steward('alice');
  expect((await alice('approve', incident)).code).toBe(0);
  await account.run(minutes(20), () => account.incidentOf(id)?.state === 'closed');

  const { out: own } = await alice('activity', 'search', '--actor', 'steward', '--resource', incident);
  for (const what of ['Signal', 'Refuse', 'CommandApprove', 'Approve', 'Reserve', 'Outcome', 'Close'])
    expect(own).toContain(`steward:${what} `);
  expect(own).toMatch(/alice +steward:Approve/);
  const { json } = await alice('activity', 'search', '--around', incident, '--json');
  const whats = json.rows.map((r: { what: string }) => r.what);
  expect(whats).toEqual(expect.arrayContaining(['ec2:CreateTags', 'ec2:DescribeInstances', 'steward:Reserve']));
  expect(whats).not.toContain('ec2:StopInstances');
  const { out: why } = await alice('why', incident);
  expect(why).toMatch(/Who changed something around it\n +[\d:]+ +mallory +ec2:CreateTags/);
  expect(why).not.toContain('ec2:DescribeInstances');
  expect((await alice('approve', incident)).code).not.toBe(0);
  expect((await alice('activity', 'search', '--error', 'Refused', '--actor', 'alice')).out).toContain(
    'steward:CommandApprove',
  );
});

test('verify --trail reads the trail with the caller’s own credentials: what is in its files and not in the log is named', async () => {
  const { anna, account, writer } = await begin();
  const { world } = account;
  world.cloudtrail.trails.clear();
  expect((await anna('activity', 'verify', '--trail')).err).toContain(
    'there is no trail: nothing vouches for its files',
  );
  const bucket = addBucket(world, 'audit-logs');
  addTrail(world, 'audit', { bucket: bucket.name });
  const recorder = recordCalls(world, 'audit', bucket);
  const from = Math.ceil(account.clock.now() / hours(1)) * hours(1);
  await account.run(hours(4.5));
  const words = ['activity', 'verify', '--trail', '--from', new Date(from).toISOString()];
  const lacks = await anna(...words);
  expect(lacks.code).toBe(1);
  expect(lacks.out).toMatch(/✗ \S+: \S+ of 2026-01-15 \S+ UTC, in AWSLogs\/\S+, is not in the log/);
  await writer.append(
    'file',
    recorder.records.map((r) => Buffer.from(JSON.stringify(r))),
  );
  const whole = await anna(...words);
  expect(whole.out).toMatch(
    /✓ Trail audit: \d digests vouch for all of .*, and each of the \d+ events of their \d+ files is in the log\./,
  );
  expect(whole.code).toBe(0);
  recorder.stop();
});
