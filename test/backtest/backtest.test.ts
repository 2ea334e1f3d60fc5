/** The past through the very same engine: what it would have done, what the guards would have refused, and what another policy changes. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pastOfAccount } from '../../backtest/account.ts';
import { backtest, cameTo, differences } from '../../backtest/backtest.ts';
import { eventsIn, pastOf } from '../../backtest/past.ts';
import { showBacktest, showDifferences } from '../../backtest/show.ts';
import { paintOf } from '../../cli/paint.ts';
import { defaultPolicy } from '../../shared/core/policy.ts';
import { minutes } from '../../shared/core/time.ts';
import { remediations } from '../../shared/remediations/index.ts';
import { breakDisk } from '../../world/fleet.ts';
import { requestHandler } from '../../world/wire.ts';
import { createAccount } from '../stories/account.ts';

const policyOf = (given: object = {}) => defaultPolicy(remediations, given);

/** As EventBridge brings an alarm on a disk. */
const diskAlarm = (id: string, at: string, value = 'ALARM') => ({
  version: '0',
  id: `event-${id}-${at}`,
  'detail-type': 'CloudWatch Alarm State Change',
  source: 'aws.cloudwatch',
  account: '111122223333',
  region: 'eu-central-1',
  time: at,
  resources: [`arn:aws:cloudwatch:eu-central-1:111122223333:alarm:disk-${id}`],
  detail: {
    alarmName: `disk-${id}`,
    state: { value, reason: 'Threshold Crossed', timestamp: at },
    configuration: {
      metrics: [
        {
          metricStat: {
            metric: { namespace: 'CWAgent', name: 'disk_used_percent', dimensions: { InstanceId: id, path: '/' } },
          },
        },
      ],
    },
  },
});
const ID = 'i-0123456789abcdef0';
const past = (...events: object[]) => pastOf(events.map((event, i) => ({ from: `line ${i + 1}`, event })));
const instanceArn = `arn:aws:ec2:eu-central-1:111122223333:instance/${ID}`;

describe('what would have been done', () => {
  test('an alarm on a disk: the volume grows, in the time of the alarm', async () => {
    const { cases } = await backtest(past(diskAlarm(ID, '2026-03-01T03:00:00Z')), policyOf());
    expect(cases).toHaveLength(1);
    expect(cases[0]).toMatchObject({
      at: Date.parse('2026-03-01T03:00:00Z'),
      target: instanceArn,
      presumed: expect.stringContaining('92 % full'),
      incident: { remediation: 'full-disk', end: 'healthy', refused: [] },
    });
    expect(cases[0]?.incident?.did.join()).toMatch(/grow vol-/);
  });

  test('the guards remember from one event to the next: the fourth attempt of a day is refused', async () => {
    const hour = (n: number) => `2026-03-01T${String(n).padStart(2, '0')}:00:00Z`;
    const { cases } = await backtest(past(...[0, 3, 6, 9].map((n) => diskAlarm(ID, hour(n)))), policyOf());
    const last = cases.at(-1)?.incident;
    expect(cases.slice(0, 3).map((c) => c.incident?.end)).toEqual(['healthy', 'healthy', 'healthy']);
    expect(last).toMatchObject({ state: 'escalated', refused: [{ guard: 'attempts' }] });
  });

  test('what the account says of its instances holds: one that is not tagged is left alone', async () => {
    const { cases } = await backtest(past(diskAlarm(ID, '2026-03-01T03:00:00Z')), policyOf(), {
      [instanceArn]: { tags: {} },
    });
    expect(cases[0]?.incident).toMatchObject({ end: 'not-ours', did: [] });
  });

  test('two policies: the difference, case by case', async () => {
    const events = past(
      diskAlarm(ID, '2026-03-01T03:00:00Z'),
      diskAlarm('i-0123456789abcdef1', '2026-03-01T05:00:00Z'),
    );
    const [acts, watches] = await Promise.all([
      backtest(events, policyOf()),
      backtest(events, policyOf({ remediations: { 'full-disk': { mode: 'watch' } } })),
    ]);
    const found = differences(acts, watches);
    expect(found.map((d) => d.target.slice(-1))).toEqual(['0', '1']);
    expect(found[0]?.before).toMatch(/healthy; did: grow/);
    expect(found[0]?.after).toMatch(/mode refused: the policy only lets full-disk watch/);
    expect(differences(acts, acts)).toEqual([]);
    const shown = [...showBacktest({ result: acts }, paintOf(false)), ...showDifferences(found, paintOf(false))];
    expect(shown.join('\n')).toContain('2 cases differ under the other policy');
  });

  test('it is repeatable: the same past gives the same answer', async () => {
    const events = past(diskAlarm(ID, '2026-03-01T03:00:00Z'));
    const texts = await Promise.all([1, 2].map(async () => (await backtest(events, policyOf())).cases.map(cameTo)));
    expect(texts[0]).toEqual(texts[1]);
  });
});

describe('files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'past-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const call = (name: string) => ({
    eventVersion: '1.11',
    eventID: name,
    eventSource: 'cloudtrail.amazonaws.com',
    eventName: name,
    eventTime: '2026-03-01T01:00:00Z',
    awsRegion: 'eu-central-1',
    recipientAccountId: '111122223333',
    userIdentity: { type: 'IAMUser', arn: 'arn:aws:iam::111122223333:user/anna' },
    requestParameters: null,
  });

  test.each([
    ['a list', 'list.json', JSON.stringify([diskAlarm(ID, '2026-03-01T03:00:00Z'), call('ListTrails')]), 2],
    ['one a line', 'lines.jsonl', `${JSON.stringify(call('a'))}\n\n${JSON.stringify({ event: call('b') })}\n`, 2],
    ["a trail's own file", 'trail.json', JSON.stringify({ Records: [call('a'), call('b'), call('c')] }), 3],
    ['what is not JSON', 'bad.jsonl', `{"half":\n${JSON.stringify(call('a'))}\n`, 2],
  ])('%s', (_what, name, text, count) => {
    writeFileSync(join(folder, name), text);
    writeFileSync(join(folder, `${name}.gz`), gzipSync(text));
    const found = pastOf(eventsIn([join(folder, name)]));
    expect(found).toHaveLength(count);
    expect(found.filter((e) => e.unread)).toHaveLength(name === 'bad.jsonl' ? 1 : 0);
    expect(pastOf(eventsIn([join(folder, `${name}.gz`)])).map((e) => e.event)).toEqual(found.map((e) => e.event));
  });

  test('that are not there are named', () => {
    expect(() => eventsIn([join(folder, 'none')])).toThrow(/cannot read .*none/);
  });
});

test('from the account: its alarms of the past come as EventBridge brought them; what cannot be read is named', async () => {
  const account = createAccount();
  await account.run(minutes(4));
  const id = account.fleet.web[0]?.id ?? '';
  breakDisk(account.world, id, { path: '/', usedPercent: 95 });
  const began = account.clock.now();
  await account.run(minutes(30), () => account.incidentOf(id)?.state === 'closed');
  account.world.enforce = false;
  const { world } = account;
  const read = pastOfAccount(
    {
      region: world.region,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      transport: requestHandler(world),
    },
    [],
    { from: began, to: account.clock.now() },
  );
  let done = false;
  read.finally(() => (done = true));
  await account.run(minutes(5), () => done);
  const { events, estate, missing } = await read;
  expect(missing).toEqual([]);
  expect(Object.keys(estate)).toHaveLength(account.fleet.all.length);
  const { cases } = await backtest(pastOf(events), policyOf(), estate);
  expect(cases.map((c) => [c.target.split('/')[1], c.kind, c.incident?.end])).toContainEqual([
    id,
    'disk.space-low',
    'healthy',
  ]);
});

const CORPUS = new URL('../../../shared/corpus/', import.meta.url).pathname;
const there = existsSync(CORPUS);
if (!there)
  console.warn('skipped: real AWS events go through the backtest only where ../shared/corpus is beside the repository');
(there ? test : test.skip)('the whole corpus goes through, each event accounted for', async () => {
  const events = pastOf(eventsIn([CORPUS]));
  const { events: count, ignored, unread, cases } = await backtest(events, policyOf());
  const silent = events.filter((e) => e.readings.length > 0 && e.readings.every((r) => 'signals' in r));
  const nothing = Object.values(ignored).reduce((a, b) => a + b, 0);
  expect(count).toBeGreaterThanOrEqual(4_644);
  expect(nothing + unread.length + silent.length).toBeGreaterThanOrEqual(count);
  expect(cases.length).toBeGreaterThan(5);
  expect(unread.every((u) => u.because.length > 10)).toBe(true);
});
