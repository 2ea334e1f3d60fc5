/** The look at what hosts shipped: it goes on where it was, tells each finding once, and knows no more than the log says. And Session Manager's sessions, each written down once. */
import type { Context } from 'aws-lambda';
import { type AuditDeps, makeHandler } from '../../functions/audit/handler.ts';
import { createWriter } from '../../shared/activity/append.ts';
import { hostsReport } from '../../shared/activity/hosts.ts';
import { endEntry, factOf, type SeenSession, startEntry } from '../../shared/activity/sessionFacts.ts';
import { createHostWatch, type HostsState, hearLinks, lastHosts, NO_STATE } from '../../shared/activity/watchHosts.ts';
import { createSessionWatch, type SessionSource } from '../../shared/activity/watchSessions.ts';
import { recordingIn, sessionSource } from '../../shared/aws/sessionSource.ts';
import { hours, iso, minutes, type Time } from '../../shared/core/time.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { memoryLog } from '../../world/memoryLog.ts';
import { aHost, HOST, own, rawOf, visit } from './hostLines.ts';
import { ACCOUNT, aLog, allRows, NOW, someEvents } from './setting.ts';

const HOME = { account: ACCOUNT, region: 'eu-central-1' };
const call = (name: string, more: object) =>
  Buffer.from(
    JSON.stringify({
      eventSource: 'ec2.amazonaws.com',
      eventName: name,
      eventTime: iso(NOW + hours(1)),
      eventID: `${name}-1`,
      recipientAccountId: ACCOUNT,
      awsRegion: 'eu-central-1',
      ...more,
    }),
  );
const none = async (known: HostsState['sessions']) => known;

const begin = (sessions = none) => {
  const log = aLog();
  const watch = createHostWatch({ ...log, now: () => log.clock.now, sessions });
  const at = (time: Time): void => {
    log.clock.now = time;
  };
  return { log, at, look: (goesOn = () => true) => watch(goesOn) };
};

test('each look reads what is new; all of them together know what one look at all would', async () => {
  const { log, at, look } = begin();
  const host = aHost();
  const payloads = [...visit(), own('beat', NOW + minutes(2))];
  for (const [n, payload] of payloads.entries()) {
    at(NOW + minutes(n));
    await log.writer.append(
      'host',
      host.ship(payload).map((l) => rawOf(l)),
    );
    await log.writer.append('eventbridge', someEvents(3, n + 1));
    await look();
  }
  const state = await lastHosts(log.table);
  const whole = await hearLinks(log, NO_STATE);
  expect({ hosts: state?.hosts, heads: state?.heads }).toEqual({ hosts: whole.hosts, heads: whole.heads });
  expect(state?.hosts[HOST]?.chains[0]?.runs).toEqual([[1, 7, NOW, NOW + minutes(2)]]);
});

test('a look that has no time stops, and the next goes on there', async () => {
  const { log, look } = begin();
  const host = aHost();
  for (let n = 0; n < 6; n++)
    await log.writer.append(
      'host',
      host.ship(own('beat', NOW + n)).map((l) => rawOf(l)),
    );
  let left = 3;
  expect(await look(() => left-- > 0)).toMatchObject({ whole: false });
  expect((await lastHosts(log.table))?.hosts[HOST]?.chains[0]?.runs[0]?.[1]).toBe(3);
  expect(await look()).toMatchObject({ whole: true, hosts: 1, findings: [] });
  expect((await lastHosts(log.table))?.hosts[HOST]?.chains[0]?.runs[0]?.[1]).toBe(6);
});

test('a gap, and silence, are told once; a host that somebody stopped is not silent', async () => {
  const { log, at, look } = begin();
  const [one = '', , three = ''] = aHost().ship(own('beat', NOW), own('beat', NOW), own('beat', NOW));
  await log.writer.append(
    'host',
    [one, three].map((l) => rawOf(l)),
  );
  const because = async () => (await look()).findings.map((f) => f.because);
  expect(await because()).toEqual([]);
  at(NOW + minutes(20));
  expect(await because()).toEqual(['line 2 never came']);
  at(NOW + minutes(50));
  expect(await because()).toEqual([]);
  at(NOW + hours(2));
  expect(await look()).toMatchObject({ silent: 1, findings: [{ host: HOST, because: 'nothing is heard of it' }] });
  at(NOW + hours(3));
  expect(await look()).toMatchObject({ silent: 1, findings: [] });
  await log.writer.append('eventbridge', [
    call('StopInstances', {
      errorCode: 'UnauthorizedOperation',
      requestParameters: { instancesSet: { items: [{ instanceId: HOST }] } },
      eventID: 'refused',
    }),
  ]);
  expect(await look()).toMatchObject({ silent: 1 });
  await log.writer.append('eventbridge', [
    call('TerminateInstances', { requestParameters: { instancesSet: { items: [{ instanceId: HOST }] } } }),
  ]);
  expect(await look()).toMatchObject({ silent: 0, hosts: 0, findings: [] });
});

test('two that look at once: one of them is first, and nothing is counted twice', async () => {
  const { log, look } = begin();
  await log.writer.append(
    'host',
    aHost()
      .ship(...visit())
      .map((l) => rawOf(l)),
  );
  await Promise.all([look(), look()]);
  await look();
  expect((await lastHosts(log.table))?.hosts[HOST]?.findings).toEqual([]);
  // A look that learns nothing writes nothing.
  const before = [...(log.memory.items.get('hosts')?.keys() ?? [])];
  await look();
  expect([...(log.memory.items.get('hosts')?.keys() ?? [])]).toEqual(before);
});

test('lines that have left the table are not missing: whoever reads anew says nothing of them', async () => {
  const { log, at } = begin();
  const host = aHost();
  for (let n = 0; n < 4; n++) {
    at(NOW + hours(n));
    await log.writer.append(
      'host',
      host.ship(own('beat', NOW + hours(n))).map((l) => rawOf(l)),
    );
  }
  const bodies = [...log.memory.items.keys()].filter((k) => k.startsWith('body/'));
  for (const gone of bodies.slice(0, 2)) log.memory.items.delete(gone);
  const state = await hearLinks(log, NO_STATE);
  const range = { from: 0, to: NOW + hours(5) };
  expect(hostsReport(state, range, { now: NOW + hours(4) }).findings).toEqual([]);
  at(NOW + hours(4));
  host.ship(own('beat', NOW + hours(4)));
  await log.writer.append(
    'host',
    host.ship(own('beat', NOW + hours(4))).map((l) => rawOf(l)),
  );
  const later = await hearLinks(log, NO_STATE);
  expect(hostsReport(later, range, { now: NOW + hours(5) }).findings.map((f) => f.because)).toEqual([
    'line 5 never came',
  ]);
});

test('whatever fails, at any await: the next look knows what it would have known', async () => {
  for (let at = 0; at < 30; at++)
    for (const mishap of ['throttled', 'lost-request', 'lost-reply', 'crash'] as const) {
      let calls = Number.POSITIVE_INFINITY;
      const memory = memoryLog(() => (calls-- === 0 ? mishap : undefined));
      const writer = createWriter({ ...memory, now: () => NOW, shards: 2 });
      const look = createHostWatch({ ...memory, now: () => NOW + hours(2), sessions: none });
      const lines = aHost().ship(...visit());
      await writer.append(
        'host',
        lines.toSpliced(2, 1).map((l) => rawOf(l)),
      );
      calls = at;
      await look(() => true).catch(() => undefined);
      calls = Number.POSITIVE_INFINITY;
      await look(() => true);
      const state = await lastHosts(memory.table);
      expect([at, mishap, state?.hosts[HOST]?.chains[0]?.runs.map(([from, to]) => [from, to])]).toEqual([
        at,
        mishap,
        [
          [1, 2],
          [4, 6],
        ],
      ]);
      expect(state?.hosts[HOST]?.findings).toEqual([]);
      expect(state?.told.filter((t) => t.endsWith('line 3 never came'))).toHaveLength(1);
    }
});

describe('audit', () => {
  const context = { getRemainingTimeInMillis: () => 50_000 } as Context;
  const handle = (watch: AuditDeps['watch'], audit: AuditDeps['audit'] = async () => ({})) => {
    const tele = telemetry('test');
    const metrics: [string, number][] = [];
    jest.spyOn(tele.metrics, 'addMetric').mockImplementation((name, _unit, value) => {
      metrics.push([name, value]);
      return tele.metrics;
    });
    jest.spyOn(tele.logger, 'warn').mockImplementation(() => {});
    jest.spyOn(tele.logger, 'error').mockImplementation(() => {});
    const handler = makeHandler({ checkpoint: async () => undefined, audit, watch, now: () => NOW }, tele);
    return { metrics, run: async () => handler({}, context) };
  };
  beforeEach(() => void jest.spyOn(process.stdout, 'write').mockImplementation(() => true));
  afterEach(() => jest.restoreAllMocks());

  test('tells what is new of hosts, and that it may not ask', async () => {
    const findings = [{ host: HOST, because: 'line 2 never came', from: NOW, to: NOW }];
    const found = handle(async () => ({ audited: { whole: true, hosts: 3, silent: 0, findings } }));
    expect(await found.run()).toMatchObject({ hosts: { hosts: 3, silent: 0, findings: 1 } });
    expect(found.metrics).toEqual([['HostFindings', 1]]);
    const denied = handle(async () => ({ denied: 'ssm:DescribeSessions is not allowed' }));
    expect(await denied.run()).toEqual({ denied: 'ssm:DescribeSessions is not allowed' });
    expect(denied.metrics).toEqual([['ReadDenied', 1]]);
  });

  test('hosts are looked at even if the trail cannot be read, and the failure is told', async () => {
    let looked = 0;
    const { run } = handle(
      async () => {
        looked++;
        return {};
      },
      async () => {
        throw new Error('the trail is broken');
      },
    );
    await expect(run()).rejects.toThrow('the trail is broken');
    expect(looked).toBe(1);
  });
});

const ANNA = 'arn:aws:sts::111122223333:assumed-role/ops/anna';
const seen = (id: string, more: Partial<SeenSession> = {}): SeenSession => ({
  id,
  host: HOST,
  owner: ANNA,
  document: 'SSM-SessionManagerRunShell',
  from: NOW,
  status: 'Connected',
  ...more,
});

test('a session of Session Manager is written down when it is seen, and when it has ended, each once', async () => {
  const asked: string[] = [];
  let list: readonly SeenSession[] = [seen('anna-1'), seen('anna-2', { document: 'AWS-StartSSHSession' })];
  const source: SessionSource = {
    seen: async () => list,
    recording: async (document) => {
      asked.push(document);
      return { is: 'recorded', because: 's3://logs/' };
    },
  };
  const log = aLog();
  const watch = createSessionWatch({ source, writer: log.writer, home: HOME });
  let known = await watch({}, NOW + minutes(1));
  known = await watch(known, NOW + minutes(6));
  list = [seen('anna-1', { end: NOW + minutes(8), status: 'Terminated' }), ...list];
  known = await watch(known, NOW + minutes(11));
  await watch(known, NOW + minutes(16));
  expect(asked).toEqual(['SSM-SessionManagerRunShell']);
  const rows = await allRows(log, { resource: HOST });
  expect(rows.map((r) => [r.activity.what, r.activity.who[0], factOf(r.raw)?.id]).sort()).toEqual([
    ['steward:SessionEnd', ANNA, 'anna-1'],
    ['steward:SessionStart', ANNA, 'anna-1'],
    ['steward:SessionStart', ANNA, 'anna-2'],
  ]);
  expect((await allRows(log, { resource: 'anna-1' })).length).toBe(2);
  // Whoever has lost what he knew writes the same again, and the log knows it.
  expect(await allRows(log, { actor: 'anna' })).toHaveLength(3);
  await watch({}, NOW + minutes(21));
  expect(await allRows(log, { actor: 'anna' })).toHaveLength(3);
});

test('facts: CloudTrail’s calls and Steward’s entries; a refused call is none', () => {
  const ssm = (eventName: string, more: object) =>
    Buffer.from(
      JSON.stringify({
        eventSource: 'ssm.amazonaws.com',
        eventName,
        eventTime: iso(NOW),
        eventID: eventName,
        userIdentity: { type: 'AssumedRole', arn: ANNA },
        sourceIPAddress: '198.51.100.7',
        ...more,
      }),
    );
  const start = {
    requestParameters: { target: HOST, documentName: 'AWS-StartSSHSession' },
    responseElements: { sessionId: 'anna-1', streamUrl: 'wss://x' },
  };
  expect(factOf(ssm('StartSession', start))).toEqual({
    id: 'anna-1',
    at: NOW,
    says: 'start',
    host: HOST,
    who: ANNA,
    ip: '198.51.100.7',
    document: 'AWS-StartSSHSession',
  });
  expect(factOf(ssm('StartSession', { ...start, errorCode: 'AccessDenied' }))).toBeUndefined();
  expect(factOf(ssm('StartSession', { requestParameters: null, responseElements: null }))).toBeUndefined();
  expect(factOf(ssm('TerminateSession', { requestParameters: { sessionId: 'anna-1' } }))).toEqual({
    id: 'anna-1',
    at: NOW,
    says: 'end',
    because: `${ANNA} ended it`,
  });
  expect(factOf(ssm('SendCommand', { requestParameters: {} }))).toBeUndefined();
  expect(factOf(Buffer.from('no JSON'))).toBeUndefined();
  const s = seen('anna-3');
  expect(factOf(startEntry(s, { is: 'not recorded', because: 'no bucket' }, HOME))).toEqual({
    id: 'anna-3',
    at: NOW,
    says: 'start',
    host: HOST,
    who: ANNA,
    document: s.document,
    content: { is: 'not recorded', because: 'no bucket' },
  });
  expect(factOf(endEntry(s, NOW + 1_000, HOME))).toMatchObject({
    says: 'end',
    at: NOW + 1_000,
    because: 'Session Manager says: Connected',
  });
});

test.each([
  [
    { inputs: { s3BucketName: 'logs', s3KeyPrefix: 'sessions', cloudWatchLogGroupName: '' } },
    'recorded',
    's3://logs/sessions',
  ],
  [{ inputs: { cloudWatchLogGroupName: '/sessions' } }, 'recorded', 'log group /sessions'],
  [
    { inputs: { s3BucketName: '', cloudWatchLogGroupName: '' } },
    'not recorded',
    'mine names no bucket and no log group',
  ],
  [{}, 'not recorded', 'mine names no bucket and no log group'],
  [{ sessionType: 'Port', inputs: { s3BucketName: 'logs' } }, 'tunnel', 'mine forwards a port'],
])('a session document %j: %s', (content, is, because) => {
  expect(recordingIn(JSON.stringify(content), 'mine')).toEqual({ is, because });
});

test('the API: open ones and those that ended, all pages; a document that is not there records nothing; one that may not be read is unknown', async () => {
  const asked: [string, Record<string, unknown>][] = [];
  const answers: Record<string, (input: Record<string, unknown>) => [number, object]> = {
    DescribeSessions: ({ State, NextToken }) => {
      if (State === 'Active')
        return [
          200,
          { Sessions: [{ SessionId: 'a-1', Target: HOST, Status: 'Connected', StartDate: NOW / 1_000, Owner: ANNA }] },
        ];
      return NextToken
        ? [
            200,
            {
              Sessions: [
                {
                  SessionId: 'a-3',
                  Target: HOST,
                  Status: 'Terminated',
                  StartDate: NOW / 1_000,
                  EndDate: NOW / 1_000 + 60,
                  DocumentName: 'mine',
                  Owner: ANNA,
                },
              ],
            },
          ]
        : [200, { Sessions: [{ SessionId: 'a-2' }], NextToken: 'more' }];
    },
    GetDocument: ({ Name }) =>
      Name === 'mine'
        ? [200, { Content: '{"inputs":{"s3BucketName":"logs"}}' }]
        : [400, { __type: Name === 'theirs' ? 'AccessDeniedException' : 'InvalidDocument', message: 'no' }],
  };
  const transport = {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: async ({ headers, body }: { headers: Record<string, string>; body: unknown }) => {
      const operation = headers['x-amz-target']?.split('.')[1] ?? '';
      const input = JSON.parse(String(body));
      asked.push([operation, input]);
      const [statusCode, answer] = answers[operation]?.(input) ?? [500, {}];
      return {
        response: {
          statusCode,
          headers: { 'content-type': 'application/x-amz-json-1.1' },
          body: new Blob([JSON.stringify(answer)]).stream(),
        },
      };
    },
    updateHttpClientConfig: () => {},
    httpHandlerConfigs: () => ({}),
  };
  const source = sessionSource({
    region: 'eu-central-1',
    credentials: { accessKeyId: 'x', secretAccessKey: 'y' },
    transport: transport as never,
  });
  expect(await source.seen(NOW - hours(1))).toEqual([
    { id: 'a-1', host: HOST, owner: ANNA, document: 'SSM-SessionManagerRunShell', from: NOW, status: 'Connected' },
    { id: 'a-3', host: HOST, owner: ANNA, document: 'mine', from: NOW, end: NOW + minutes(1), status: 'Terminated' },
  ]);
  expect(asked.map(([, input]) => [input['State'], input['Filters']])).toEqual([
    ['Active', []],
    ['History', [{ key: 'InvokedAfter', value: '2026-11-25T01:00:00Z' }]],
    ['History', [{ key: 'InvokedAfter', value: '2026-11-25T01:00:00Z' }]],
  ]);
  expect(await source.recording('mine')).toEqual({ is: 'recorded', because: 's3://logs/' });
  expect(await source.recording('none')).toMatchObject({
    is: 'not recorded',
    because: expect.stringContaining('there is no document none'),
  });
  expect(await source.recording('theirs')).toMatchObject({ is: 'unknown' });
});
