/**
 * `trail-stopped` beside a named rival in the same run: Cloud Custodian (PyPI `c7n`) in its Lambda mode, given the same event about the same trail of the same
 * world. Each runs as its own process, as a Lambda's: cold is its imports and its first event, warm an event after that. Steward writes its state before and after the step;
 * the rival keeps none.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  DescribeSecurityGroupsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { remediations } from '../shared/remediations/index.ts';
import { installed, startEmulator } from '../test/contract/emulators.ts';
import { credentials, REGION, tableOf } from '../test/contract/table.ts';
import { createClock, runInRealTime } from '../world/clock.ts';
import { addTrail } from '../world/cloudtrail.ts';
import { addRole, addUser } from '../world/iam.ts';
import { listen } from '../world/wire.ts';
import { createWorld, type World } from '../world/world.ts';

const RIVAL = { venv: 'c7n', packages: ['c7n==0.9.53'], module: 'c7n' };
const STAGE = 'bench';
const ACCOUNT = '111122223333';
const EVERYTHING = [{ Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }] as never;

/** Reads an event a line, answers with the milliseconds that it took; the first line is its imports. */
const STEWARD = `
const began = performance.now();
const { handler } = await import(process.argv[1]);
const say = (ms) => process.stdout.write('\\n@' + JSON.stringify({ ms, rss: process.memoryUsage().rss }) + '\\n');
say(performance.now() - began);
const { createInterface } = await import('node:readline');
for await (const line of createInterface({ input: process.stdin })) {
  const at = performance.now();
  await handler(JSON.parse(line), { awsRequestId: 'r', functionName: 'heal', memoryLimitInMB: '512', getRemainingTimeInMillis: () => 60000 });
  say(performance.now() - at);
}
process.exit(0);
`;
const CUSTODIAN = `
import time; began = time.perf_counter()
import json, logging, os, resource, sys
from c7n import handler
logging.root.setLevel(logging.ERROR)
def say(at):
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write('\\n@' + json.dumps({'ms': (time.perf_counter() - at) * 1000, 'rss': rss}) + '\\n'); sys.stdout.flush()
class Context:
    function_name = 'custodian-trail'; aws_request_id = 'r'; memory_limit_in_mb = 512; function_version = '1'; log_group_name = 'g'; log_stream_name = 's'
    def get_remaining_time_in_millis(self): return 60000
say(began)
for line in sys.stdin:
    at = time.perf_counter()
    handler.dispatch_event(json.loads(line), Context())
    say(at)
`;
const policyOf = (name: string, resource: string, event: string, ids: string, rest: object) => ({
  name,
  resource,
  mode: {
    type: 'cloudtrail',
    events: [{ source: `${resource === 'cloudtrail' ? resource : 'ec2'}.amazonaws.com`, event, ids }],
  },
  ...rest,
});
const TRAIL_POLICY = policyOf('trail-stopped', 'cloudtrail', 'StopLogging', 'requestParameters.name', {
  filters: [{ type: 'status', key: 'IsLogging', value: false }],
  actions: [{ type: 'set-logging', enabled: true }],
});
const GROUP_POLICY = policyOf(
  'group-opened',
  'security-group',
  'AuthorizeSecurityGroupIngress',
  'requestParameters.groupId',
  {
    filters: [{ type: 'ingress', Cidr: { value: '0.0.0.0/0' } }],
    actions: [{ type: 'remove-permissions', ingress: 'matched' }],
  },
);

export const callEvent = (n: number, service: string, eventName: string, requestParameters: object) => ({
  version: '0',
  id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
  'detail-type': 'AWS API Call via CloudTrail',
  source: `aws.${service}`,
  account: ACCOUNT,
  time: new Date().toISOString(),
  region: REGION,
  resources: [],
  detail: {
    eventVersion: '1.11',
    userIdentity: { type: 'IAMUser', arn: `arn:aws:iam::${ACCOUNT}:user/anna`, accountId: ACCOUNT, userName: 'anna' },
    eventTime: new Date().toISOString(),
    eventSource: `${service}.amazonaws.com`,
    eventName,
    awsRegion: REGION,
    sourceIPAddress: '198.51.100.7',
    userAgent: 'bench',
    requestParameters,
    responseElements: null,
    eventID: `00000000-0000-4000-9000-${String(n).padStart(12, '0')}`,
    readOnly: false,
    eventType: 'AwsApiCall',
    managementEvent: true,
    recipientAccountId: ACCOUNT,
    eventCategory: 'Management',
  },
});

interface Answered {
  readonly ms: number;
  readonly rss: number;
}

interface Contender {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/** The events one after the other; the first answer is about the imports. @throws Error with what it wrote if it ends early */
const drive = async (
  contender: Contender,
  prepare: () => object | Promise<object>,
  events: number,
): Promise<Answered[]> => {
  const child = spawn(contender.command, contender.args, { ...contender, stdio: ['pipe', 'pipe', 'pipe'] });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => {
    words += chunk;
  });
  const answers: Answered[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('@')) {
      words += `${line}\n`;
      continue;
    }
    answers.push(JSON.parse(line.slice(1)) as Answered);
    if (answers.length > events) break;
    child.stdin.write(`${JSON.stringify(await prepare())}\n`);
  }
  if (answers.length <= events)
    throw new Error(`${contender.command} ended after ${answers.length} answers:\n${words.slice(-3_000)}`);
  const ended = child.exitCode === null ? once(child, 'exit') : undefined;
  child.stdin.end();
  child.kill();
  await ended;
  return answers;
};

const COLD_RUNS = 7;
const WARM = 30;

interface Arena {
  readonly world: World;
  readonly emulator: string;
  readonly folder: string;
  /** What each contender's environment has. */
  readonly aws: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

const openArena = async (): Promise<Arena> => {
  const emulator = await startEmulator('ministack');
  if ('missing' in emulator) throw new Error(`the bench needs a DynamoDB: ${emulator.missing}`);
  const clock = createClock(Date.now());
  const world = createWorld({ account: ACCOUNT, region: REGION, enforce: true, clock });
  const stop = runInRealTime(clock);
  for (const { name } of remediations) addRole(world, `steward-${STAGE}-remedy-${name}`, EVERYTHING);
  const user = addUser(world, 'bench', EVERYTHING);
  const server = await listen(world);
  const folder = mkdtempSync(join(tmpdir(), 'steward-rival-'));
  return {
    world,
    emulator: emulator.url,
    folder,
    aws: {
      PATH: process.env['PATH'] ?? '',
      HOME: folder,
      AWS_REGION: REGION,
      AWS_DEFAULT_REGION: REGION,
      AWS_ACCESS_KEY_ID: user.accessKeyId,
      AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
      AWS_ENDPOINT_URL: emulator.url,
      AWS_ENDPOINT_URL_CLOUDTRAIL: server.url,
      AWS_ENDPOINT_URL_STS: server.url,
    },
    close: async () => {
      stop();
      await server.close();
      await emulator.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

const steward = async ({ emulator, folder, aws }: Arena, handler: string): Promise<Contender> => {
  const reach = { endpoint: emulator, region: REGION, credentials };
  await new DynamoDBClient(reach).send(new CreateTableCommand(tableOf('steward-bench')));
  const { QueueUrl = '' } = await new SQSClient(reach).send(
    new CreateQueueCommand({ QueueName: 'steward-bench-signals' }),
  );
  return {
    command: process.execPath,
    args: ['--input-type=module', '-e', STEWARD, handler],
    cwd: folder,
    env: {
      ...aws,
      STEWARD_STAGE: STAGE,
      STEWARD_TABLE: 'steward-bench',
      STEWARD_QUEUE_URL: QueueUrl,
      STEWARD_ACCOUNT: ACCOUNT,
      POWERTOOLS_TRACE_ENABLED: 'false',
    },
  };
};

/** Unpacks the archive that its own packager uploads: sources alone, which each new instance compiles again, for a Lambda's code cannot be written to. */
const UNPACK = `
import sys, zipfile
from c7n.mu import custodian_archive
archive = custodian_archive()
archive.close()
zipfile.ZipFile(archive.path).extractall(sys.argv[1])
`;

import { median, round } from './figures.ts';

/** Its Lambda reads its policy from the folder that it starts in. */
const custodian = async ({ folder, aws }: Arena, policy: object): Promise<Contender> => {
  const cwd = mkdtempSync(join(folder, 'c7n-'));
  const python = await installed(RIVAL);
  execFileSync(python, ['-c', UNPACK, cwd]);
  writeFileSync(
    join(cwd, 'config.json'),
    JSON.stringify({ 'execution-options': { account_id: ACCOUNT }, policies: [policy] }),
  );
  return {
    command: python,
    args: ['-c', CUSTODIAN],
    cwd,
    env: { ...aws, PYTHONPATH: cwd, PYTHONDONTWRITEBYTECODE: '1' },
  };
};

/** Each event is about a stopped trail of its own: Steward does not put the same one back again and again. The ones before it do not weigh on the next. */
const stoppedTrails = ({ world }: Arena) => {
  let made = 0;
  const silent = () => [...world.cloudtrail.trails.values()].filter((t) => !t.logging).map((t) => t.name);
  return {
    prepare: (): object => {
      world.cloudtrail.trails.clear();
      const { name } = addTrail(world, `trail-${++made}`, { logging: false });
      return callEvent(made, 'cloudtrail', 'StopLogging', {
        name: `arn:aws:cloudtrail:${REGION}:${ACCOUNT}:trail/${name}`,
      });
    },
    check: (who: string) => {
      if (silent().length > 0) throw new Error(`${who} left ${silent().join(', ')} stopped`);
    },
  };
};

/** The rival's own example: a security group that somebody opened, in the emulator's EC2. */
const openedGroups = ({ emulator }: Arena) => {
  const client = new EC2Client({ endpoint: emulator, region: REGION, credentials });
  let made = 0;
  let latest = '';
  const IpPermissions = [{ IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: '0.0.0.0/0' }] }];
  return {
    prepare: async (): Promise<object> => {
      const GroupName = `open-${++made}`;
      const { GroupId = '' } = await client.send(new CreateSecurityGroupCommand({ GroupName, Description: GroupName }));
      await client.send(new AuthorizeSecurityGroupIngressCommand({ GroupId, IpPermissions }));
      latest = GroupId;
      return callEvent(made, 'ec2', 'AuthorizeSecurityGroupIngress', { groupId: GroupId });
    },
    check: async (who: string) => {
      const { SecurityGroups } = await client.send(new DescribeSecurityGroupsCommand({ GroupIds: [latest] }));
      if (SecurityGroups?.[0]?.IpPermissions?.length !== 0) throw new Error(`${who} left ${latest} open`);
    },
  };
};

interface Field {
  prepare(): object | Promise<object>;
  check(who: string): void | Promise<void>;
}
interface Times {
  readonly imported: number;
  readonly cold: number;
  readonly warm: number;
  readonly MiB: number;
}

/** In turns, so that whatever else the machine does hits all alike; warm events only in the last run. */
const race = async (contenders: Readonly<Record<string, Contender>>, field: Field): Promise<Record<string, Times>> => {
  const answers: Record<string, Answered[][]> = {};
  for (let n = 0; n < COLD_RUNS; n++)
    for (const [who, contender] of Object.entries(contenders)) {
      const run = await drive(contender, () => field.prepare(), n === COLD_RUNS - 1 ? WARM + 1 : 1);
      await field.check(who);
      answers[who] = [...(answers[who] ?? []), run];
    }
  const timesOf = (runs: readonly Answered[][]): Times => ({
    imported: round(median(runs.map(([first]) => first?.ms ?? Number.NaN))),
    cold: round(median(runs.map(([a, b]) => (a?.ms ?? Number.NaN) + (b?.ms ?? Number.NaN)))),
    warm: round(median(runs.flatMap((run) => run.slice(2).map((a) => a.ms)))),
    MiB: Math.round(Math.max(...runs.flat().map((a) => a.rss)) / 2 ** 20),
  });
  return Object.fromEntries(Object.entries(answers).map(([who, runs]) => [who, timesOf(runs)]));
};

/** @param handler the packaged `index.mjs` of heal */
export const rival = async (handler: string): Promise<Record<string, number>> => {
  const arena = await openArena();
  try {
    const trail = await race(
      { steward: await steward(arena, handler), c7n: await custodian(arena, TRAIL_POLICY) },
      stoppedTrails(arena),
    );
    const group = await race({ c7n: await custodian(arena, GROUP_POLICY) }, openedGroups(arena));
    return {
      'trailStopped.coldMs': trail['steward']?.cold ?? Number.NaN,
      'trailStopped.warmMs': trail['steward']?.warm ?? Number.NaN,
      'trailStopped.MiB': trail['steward']?.MiB ?? Number.NaN,
      'c7n.trailStoppedColdMs': trail['c7n']?.cold ?? Number.NaN,
      'c7n.trailStoppedWarmMs': trail['c7n']?.warm ?? Number.NaN,
      'c7n.securityGroupColdMs': group['c7n']?.cold ?? Number.NaN,
      'c7n.securityGroupWarmMs': group['c7n']?.warm ?? Number.NaN,
      'c7n.MiB': group['c7n']?.MiB ?? Number.NaN,
    };
  } finally {
    await arena.close();
  }
};
