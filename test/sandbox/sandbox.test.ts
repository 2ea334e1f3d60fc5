/** The real deploy on the local AWS, IAM enforced: what the parts promise one by one, kept by the whole. One start for all. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CloudTrailClient, StopLoggingCommand, UpdateTrailCommand } from '@aws-sdk/client-cloudtrail';
import { DeleteItemCommand, DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import {
  GetFunctionConfigurationCommand,
  LambdaClient,
  UpdateFunctionConfigurationCommand,
} from '@aws-sdk/client-lambda';
import { ListTopicsCommand, PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { jest } from '@jest/globals';
import { signalMessage } from '../../events/steward/signal.ts';
import { STAGE } from '../../sandbox/deploy.ts';
import { type Sandbox, startSandbox } from '../../sandbox/start.ts';
import { invoke as invokeFunction, steward as runSteward } from '../../sandbox/steward.ts';
import { createWriter } from '../../shared/activity/append.ts';
import { activityTable } from '../../shared/aws/activityTable.ts';
import { signatureOf } from '../../shared/channels/webhook.ts';
import { targetOf } from '../../shared/core/target.ts';
import { days, minutes } from '../../shared/core/time.ts';
import { SHARDS } from '../../shared/runtime/activity.ts';
import type { Outcome } from '../../shared/runtime/heal.ts';
import type { Swept } from '../../shared/runtime/sweep.ts';
import { breakDisk } from '../../world/fleet.ts';
import { impair } from '../../world/instances.ts';
import { memoryLog } from '../../world/memoryLog.ts';
import { someEvents } from '../activity/setting.ts';
import { startServer } from '../announce/server.ts';

jest.setTimeout(240_000);
const exec = promisify(execFile);

let sandbox: Sandbox;
/** What the channel `ops` posts to. */
let hook: Awaited<ReturnType<typeof startServer>>;
const SECRET = 'a secret of this test only';
const lost: unknown[] = [];
const arnOf = (id: string) => `arn:aws:ec2:${sandbox.world.region}:${sandbox.world.account}:instance/${id}`;
const web = (n: number) => {
  const found = sandbox.fleet.web[n];
  if (!found) throw new Error('the fleet is too small');
  return found;
};
/** Of its disk: a survey may find other things to do at the same time. */
const latest = async (id: string) =>
  (await sandbox.store.ofTarget(arnOf(id), 5)).find((i) => i.remediation === 'full-disk');
const until = async <T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> => {
  // Far more than it needs: this ends what hangs, on however busy a machine.
  const last = Date.now() + minutes(3);
  while (Date.now() < last) {
    const found = await ask();
    if (found) return found;
    await sleep(200);
  }
  throw new Error(`it did not happen within 3 min: ${what}`);
};
const invoke = <T = Outcome>(payload: unknown, name = 'heal'): Promise<T> => invokeFunction<T>(sandbox, name, payload);
const steward = (...args: string[]) => runSteward(sandbox, ...args);
const sample = (name: string) =>
  JSON.parse(readFileSync(`events/alarm/samples/${name}.json`, 'utf8')) as Record<string, unknown>;
const sendToQueue = async (body: string) => {
  const sqs = new SQSClient(sandbox.reach);
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: 'steward-local-signals' }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: body }));
};

beforeAll(async () => {
  // The public door is open, which it is not by default.
  const policy = join(mkdtempSync(join(tmpdir(), 'steward-sandbox-')), 'steward.yml');
  hook = await startServer(() => ({ status: 204 }));
  writeFileSync(
    policy,
    [
      'links: { recipients: [{ name: alice, may: [undo] }] }',
      `channels: { ops: { type: webhook, url: '${hook.url}', secret: /steward/hook } }`,
      'remediations: { trail-weakened: { mode: ask } }',
    ].join('\n'),
  );
  sandbox = await startSandbox({ policy, onFailure: (e) => lost.push(e) });
  await new SSMClient(sandbox.worldReach).send(
    new PutParameterCommand({ Name: '/steward/hook', Value: SECRET, Type: 'SecureString' }),
  );
  sandbox.skip(minutes(5));
});
afterAll(async () => {
  await sandbox?.stop();
  await hook?.stop();
});

test('a disk fills: rule, queue, heal, roles, host; healthy, and nobody was denied or strayed', async () => {
  const { id } = web(0);
  // A survey may come to the same machines at the same time: neither may keep the other from its work.
  for (const n of [0, 2]) {
    const target = targetOf(arnOf(web(n).id));
    const unwatched = {
      kind: 'instance.unwatched',
      target,
      at: Date.now(),
      cause: 'a test',
      eventId: `t${n}`,
    } as const;
    await sendToQueue(signalMessage(unwatched));
  }
  breakDisk(sandbox.world, id, { path: '/srv', usedPercent: 93 });
  sandbox.world.calls.length = 0;
  sandbox.skip(minutes(4));
  const incident = await until('healthy', async () => {
    const found = await latest(id);
    return found?.state === 'closed' && found;
  });
  expect(incident).toMatchObject({
    end: 'healthy',
    attempts: [{ rung: 'grow /srv' }, { rung: 'grow /srv', continues: true }],
  });
  const calls = sandbox.world.calls.filter((c) => c.principal.includes(':assumed-role/steward-local-'));
  expect(calls.length).toBeGreaterThan(10);
  expect(calls.filter((c) => !c.allowed)).toEqual([]);
  const changes = calls.filter((c) => ['ModifyVolume', 'SendCommand'].includes(c.operation));
  expect(changes.some((c) => c.operation === 'ModifyVolume' && c.principal.endsWith(`@${id}`))).toBe(true);
  // Each session names its target; whatever it changed belongs to that one.
  const strayed = changes.filter(({ principal, input }) => {
    const own = principal.slice(principal.lastIndexOf('@') + 1);
    const named = [...JSON.stringify(input).matchAll(/"((?:i|vol)-[0-9a-f]+)"/g)].map(([, name]) => name ?? '');
    return !named.every((name) => [name, sandbox.world.ec2.volumes.get(name)?.attachment?.instanceId].includes(own));
  });
  expect(strayed).toEqual([]);
  expect(lost).toEqual([]);
});

test('EventBridge, SNS and a direct action answer alike, and the same alarm twice changes nothing', async () => {
  const before = await latest(web(0).id);
  const forms = await Promise.all(
    ['full-disk.eventbridge', 'full-disk.sns-raw', 'full-disk.lambda'].map((f) => invoke(sample(f))),
  );
  const answers = forms.map((o) => o.answers.map((a) => [a.target, a.remediation, a.verdict.do, a.state]));
  expect(answers[1]).toEqual(answers[0]);
  expect(answers[2]).toEqual(answers[0]);
  expect(answers[0]).toHaveLength(1);
  expect((await latest(web(0).id))?.attempts.length).toBeLessThanOrEqual(before?.attempts.length ?? 0);
});

test('what is published to the hook topic comes to heal through the queue', async () => {
  const { Topics = [] } = await new SNSClient(sandbox.reach).send(new ListTopicsCommand({}));
  const TopicArn = Topics.find((t) => t.TopicArn?.endsWith(':steward-local-hook'))?.TopicArn;
  const message = JSON.stringify(sample('full-disk.sns-raw')).replaceAll(web(0).id, web(4).id);
  await new SNSClient(sandbox.reach).send(new PublishCommand({ TopicArn, Message: message }));
  expect(await until('an incident of web-5', () => latest(web(4).id))).toMatchObject({ end: 'healthy', attempts: [] });
});

test('a survey sees the whole account: no look of it is blind or denied', async () => {
  sandbox.world.calls.length = 0;
  const swept = await invoke<Swept>({ survey: true }, 'sweep');
  expect(swept.blind).toEqual([]);
  const calls = sandbox.world.calls.filter((c) => c.principal.includes(':assumed-role/steward-local-'));
  expect(calls.length).toBeGreaterThan(5);
  expect(calls.filter((c) => !c.allowed)).toEqual([]);
});

test('a trail that is stopped records again, each second counted', async () => {
  await new CloudTrailClient(sandbox.worldReach).send(new StopLoggingCommand({ Name: 'audit' }));
  const trail = sandbox.world.cloudtrail.trails.get('audit');
  expect(trail?.logging).toBe(false);
  await until('it records', async () => trail?.logging);
});

test('who stopped the trail is in the log, signed; the log is whole, and a stranger can check a line of it', async () => {
  const line = await until('recorded', async () => {
    const { out } = await steward('activity', 'search', '--action', 'StopLogging', '--json');
    const [row] = (JSON.parse(out) as { rows: { id: string; who: string[] }[] }).rows;
    return row;
  });
  expect(line.who[0]).toBe(`arn:aws:iam::${sandbox.world.account}:root`);
  expect(await invoke({}, 'audit')).toMatchObject({ checkpoint: { links: expect.any(Number) } });
  const { code, out } = await steward('activity', 'verify');
  expect([code, out]).toEqual([0, expect.stringMatching(/The log is whole[\s\S]*Signed up to/)]);
  const proof = join(mkdtempSync(join(tmpdir(), 'steward-proof-')), 'proof.json');
  expect((await steward('activity', 'prove', line.id, '--out', proof)).code).toBe(0);
  await exec('python3', ['docs/check-proof.py', proof, `${proof}.pem`]);
});

test('a day that is over goes to the archive, by its own role; then it is searched, verified and exported from there', async () => {
  const { region, credentials } = sandbox.reach;
  const at = Date.now() - days(100);
  const TableName = `steward-${STAGE}-activity`;
  // What is in other shards is of today, and so is whatever is written beside it.
  const old = someEvents(250, 1, '555566667777', at);
  const table = activityTable({ table: TableName, region, credentials });
  await createWriter({ table, objects: memoryLog().objects, now: () => at, shards: SHARDS }).append('file', old);
  await invoke({}, 'audit');
  expect(await invoke({}, 'archive')).toMatchObject({ archived: [0], ended: [], events: 250 });
  await invoke({}, 'audit');
  expect(await invoke({}, 'archive')).toMatchObject({ archived: [], ended: [0], expired: [] });

  const dynamo = new DynamoDBClient(sandbox.reach);
  const { Items = [] } = await dynamo.send(new ScanCommand({ TableName }));
  const gone = Items.filter((i) => i['pk']?.S?.startsWith('body/') && i['expiresAt']);
  expect(gone).toHaveLength(3);
  // As DynamoDB does when their time has come: it is ten days past.
  for (const { pk, sk } of gone) if (pk && sk) await dynamo.send(new DeleteItemCommand({ TableName, Key: { pk, sk } }));

  const { out } = await steward('activity', 'search', '--to', '50d', '--limit', '500', '--json');
  const found = JSON.parse(out) as { rows: { event: string }[]; archived: number };
  expect([found.rows.map((r) => r.event).sort(), found.archived]).toEqual([old.map(String).sort(), 3]);
  const verified = await steward('activity', 'verify');
  expect([verified.code, verified.out]).toEqual([0, expect.stringContaining('3 of them in the archive alone')]);
  const to = join(mkdtempSync(join(tmpdir(), 'steward-export-')), 'all');
  expect((await steward('activity', 'export', '--from', '120d', '--out', to)).code).toBe(0);
  await exec('python3', ['docs/check-export.py', join(to, 'manifest.json'), join(to, 'key.pem')]);
});

test('what needs a person is posted to its channel, signed, each message once; and when it is over, that it is', async () => {
  const cloudtrail = new CloudTrailClient(sandbox.worldReach);
  await cloudtrail.send(new UpdateTrailCommand({ Name: 'audit', EnableLogFileValidation: false }));
  const told = () => hook.came.filter(({ json }) => json.remediation === 'trail-weakened');
  const asked = await until('somebody was asked', async () => told()[0]);
  expect(asked.json).toMatchObject({ needsPerson: true, open: true, stage: 'asks' });
  const { 'x-steward-signature': signature, 'x-steward-timestamp': timestamp = '' } = asked.headers;
  expect(signature).toBe(signatureOf(SECRET, `${timestamp}`, asked.body));
  expect(sandbox.world.cloudtrail.trails.get('audit')?.validation).toBe(false);
  expect((await steward('approve', asked.json.incident)).out).toContain('approved');
  const over = await until('told that it is over', async () => told().find(({ json }) => !json.open));
  expect(over.json.text).toContain('healthy');
  expect(sandbox.world.cloudtrail.trails.get('audit')?.validation).toBe(true);
  const tokens = hook.came.map(({ headers }) => headers['idempotency-key']);
  expect(new Set(tokens).size).toBe(tokens.length);
});

test('explain: says what it would do, does and writes nothing', async () => {
  const { id } = web(2);
  breakDisk(sandbox.world, id, { path: '/srv', usedPercent: 90 });
  sandbox.world.calls.length = 0;
  const { answers } = await invoke({ explain: true, target: arnOf(id) });
  expect(answers[0]?.verdict).toMatchObject({ do: 'act', plan: expect.stringContaining('grow vol-') });
  expect(answers[0]?.guards?.length).toBe(12);
  expect(sandbox.world.calls.filter((c) => c.operation === 'ModifyVolume')).toEqual([]);
  expect(await latest(id)).toBeUndefined();
});

test('whether AWS has an issue of its own there is asked, and known', async () => {
  const { id } = web(3);
  impair(sandbox.world, id, { instance: true });
  // Longer than it is left to mend itself.
  Object.assign(sandbox.world.ec2.instances.get(id) ?? {}, { impairedSince: sandbox.clock.now() - minutes(12) });
  const { answers } = await invoke({ explain: true, target: arnOf(id) });
  const guards = answers.find((a) => a.remediation === 'instance-impaired')?.guards ?? [];
  expect(guards.find((g) => g.guard === 'breaker')).toMatchObject({ passed: 'no storm in its group or its zone' });
});

test('what cannot be read is kept, listed and can be dropped', async () => {
  await sendToQueue('{"who": "knows"}');
  const listed = await until('parked', async () => {
    const { out } = await steward('parked', 'list', '--json');
    return out.includes('who') && out;
  });
  expect(listed).toContain('none of the forms');
  expect((await steward('parked', 'drop', '--all', '--yes')).code).toBe(0);
});

test('pause stops the next act, resume lets it go on', async () => {
  expect((await steward('pause', '--reason', 'a test', '--for', '1h')).code).toBe(0);
  const { answers } = await invoke({ explain: true, target: arnOf(web(2).id) });
  expect(answers[0]?.refused).toMatchObject({ guard: 'switch' });
  expect((await steward('resume')).code).toBe(0);
});

test('doctor ends a drill through the whole path', async () => {
  const { code, out } = await steward('doctor');
  expect(out).toContain('All is well');
  expect(code).toBe(0);
});

test('serverless invoke gives a sample to heal', async () => {
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], ...sandbox.environment };
  const args = [
    'invoke',
    '-f',
    'heal',
    '--stage',
    'local',
    '--path',
    'events/alarm/samples/full-disk.eventbridge.json',
  ];
  const { stdout } = await exec(process.execPath, ['node_modules/serverless/bin/serverless.js', ...args], { env });
  expect(stdout).toContain('"remediation": "full-disk"');
});

test('a table that is not there: it does not start to guess, it says what to do', async () => {
  const client = new LambdaClient(sandbox.reach);
  const FunctionName = 'steward-local-heal';
  const { Environment } = await client.send(new GetFunctionConfigurationCommand({ FunctionName }));
  const set = (table: string) =>
    client.send(
      new UpdateFunctionConfigurationCommand({
        FunctionName,
        Environment: { Variables: { ...Environment?.Variables, STEWARD_TABLE: table } },
      }),
    );
  await set('steward-gone');
  try {
    const failed = await invoke<{ errorMessage?: string }>(sample('full-disk.eventbridge'));
    expect(failed.errorMessage).toMatch(/steward-gone does not exist.*deploy the stack|not authorized|AccessDenied/);
  } finally {
    await set(Environment?.Variables?.['STEWARD_TABLE'] ?? '');
  }
});

test('npm run sandbox: reads commands, answers, ends', async () => {
  const child = spawn(process.execPath, ['sandbox/shell.ts'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk;
  });
  child.stdin.end('fleet\nbreak disk web-1 /srv 93\nstatus\nnonsense\nquit\n');
  const [code] = await once(child, 'exit');
  expect(code).toBe(0);
  expect(out).toContain('web-1');
  expect(out).toContain('Steward local');
  expect(out).toMatch(/there is no command nonsense/);
});

test('a link by the public URL, signed by KMS: opened it does nothing, confirmed it puts back, and once', async () => {
  const drill = JSON.parse((await steward('doctor', '--json')).out) as { incident: string };
  const over = await sandbox.store.find(drill.incident);
  const made = await steward('link', drill.incident, '--for', 'alice', '--json');
  const [link] = (JSON.parse(made.out) as { links: { label: string; url: string }[] }).links;
  const { hostname, searchParams } = new URL(link?.url ?? '');
  // The emulator answers for the function's own host name under this path.
  const door = `${sandbox.reach.endpoint}/_aws/lambda-url/${hostname.split('.')[0]}/`;
  const token = searchParams.get('t') ?? '';
  const post = (t: string) => fetch(door, { method: 'POST', body: new URLSearchParams({ t }) });
  const page = await fetch(`${door}?t=${token}`);
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('Put it back?')]);
  expect((await post(`${token.slice(0, -1)}${token.endsWith('A') ? 'E' : 'A'}`)).status).toBe(404);
  const done = await post(token);
  expect([done.status, await done.text()]).toEqual([200, expect.stringContaining('asked to put back')]);
  const again = await post(token);
  expect([again.status, await again.text()]).toEqual([409, expect.stringContaining('good once')]);
  await invoke({}, 'sweep');
  await until('it was put back', async () => {
    const all = await sandbox.store.ofTarget(over?.target ?? '', 3);
    return all.some((i) => i.end === 'undone' && i.undoWanted?.by === 'link:alice');
  });
});
