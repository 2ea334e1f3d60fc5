/**
 * A person at a terminal, before a whole account on a fake clock: the CLI's own code, the function `answer` behind it under a role of its own,
 * commands really signed by the SDK and confirmed by the world's STS. Only Lambda's Invoke is left out: the request is handed over as JSON.
 */

import { stewardBy } from '../../cli/lambda.ts';
import { main } from '../../cli/main.ts';
import type { Io } from '../../cli/session.ts';
import { createWriter } from '../../shared/activity/append.ts';
import { type Changed, type Said as Entry, entriesOf, entryOf } from '../../shared/activity/entries.ts';
import { awsEstate, type Backlog } from '../../shared/aws/estate.ts';
import { commandHash, identify, type Proof, prove } from '../../shared/aws/identity.ts';
import { kmsMac } from '../../shared/aws/macs.ts';
import { ssmParameters } from '../../shared/aws/parameters.ts';
import { trailSource } from '../../shared/aws/trailSource.ts';
import { NotFound } from '../../shared/core/errors.ts';
import { seconds } from '../../shared/core/time.ts';
import { type AnswerDeps, answer, type Reply } from '../../shared/runtime/answer.ts';
import { reachAws } from '../../shared/runtime/wire.ts';
import { addUser, rootCredentials } from '../../world/iam.ts';
import { addKey } from '../../world/kms.ts';
import { memoryLog } from '../../world/memoryLog.ts';
import { requestHandler } from '../../world/wire.ts';
import { KEYS } from '../activity/setting.ts';
import { type AccountOptions, createAccount, STAGE } from '../stories/account.ts';

/** What the role of `answer` may do, beside its table and its queue. The stack's function.yml says the same. */
const ANSWER_ROLE = {
  Statement: [
    { Effect: 'Allow', Action: 'sts:AssumeRole', Resource: `arn:aws:iam::*:role/steward-${STAGE}-remedy-*` },
    {
      Effect: 'Allow',
      Action: ['ec2:DescribeInstances', 'ssm:DescribeInstanceInformation', 'cloudwatch:DescribeAlarms'],
      Resource: '*',
    },
    { Effect: 'Allow', Action: 'kms:GenerateMac', Resource: 'arn:aws:kms:*:*:key/*' },
    { Effect: 'Allow', Action: 'ssm:PutParameter', Resource: `arn:aws:ssm:*:*:parameter/steward/${STAGE}/drill` },
  ],
};

/** Where the log would be: what opens it here is in memory. */
const WHERE = {
  shards: 8,
  table: 'steward-test-activity',
  bucket: 'steward-test-activity',
  key: 'alias/steward-test-activity',
};

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the CLI printed as JSON
  readonly json: any;
}
export interface At {
  /** What a person at a terminal answers; without it there is no terminal. */
  readonly says?: 'yes' | 'no';
  /** Of the terminal. */
  readonly width?: number;
  readonly colors?: boolean;
}

/** @param tagged ARNs of what carries the tags that readers are told apart by */
export const createDesk = (options: AccountOptions = {}, tagged: (tags: object) => readonly string[] = () => []) => {
  /** What record does with the table's stream; the log is there once the account is. */
  let streamed = Promise.resolve();
  let write = (_said: readonly Entry[]): Promise<unknown> => Promise.resolve();
  const onWrite = (change: Changed): void => {
    streamed = streamed.then(() => write(entriesOf(change))).then(() => undefined);
  };
  const account = createAccount({ onWrite, ...options });
  const { world, clock, deps } = account;
  const wire = requestHandler(world);
  const role = addUser(world, 'answer', [ANSWER_ROLE]);
  const from = { region: world.region, credentials: role, transport: wire };
  const faults = new Map<string, string>();
  const backlog = { waiting: 0, dead: 0 } satisfies Backlog;

  const linkKey = addKey(world, { spec: 'HMAC_256' }).arn;

  let asleep = 0;
  const sleep = async (ms: number): Promise<void> => {
    asleep++;
    await clock.sleep(ms);
    asleep--;
  };
  /** Time passes for the account while someone waits for it. */
  const meanwhile = async <T>(work: Promise<T>): Promise<T> => {
    let over = false;
    const ended = work.finally(() => {
      over = true;
    });
    while (!over) {
      await new Promise(setImmediate);
      if (asleep > 0) await account.run(seconds(1));
    }
    return ended;
  };

  const log = memoryLog();
  /** What the second account's buckets give, by address. */
  const copies = new Map<string, string>();
  const home = { account: world.account, region: world.region };
  const writer = createWriter({ ...log, now: () => clock.now(), shards: 8 });
  write = (said) =>
    writer.append(
      'steward',
      said.map((one) => entryOf(one, home)),
    );
  const answering: AnswerDeps = {
    ...deps,
    stage: STAGE,
    region: world.region,
    ...reachAws({ stage: STAGE, now: () => clock.now(), sleep, ...from }),
    // Signatures carry the real time.
    identify: (proof, expected) =>
      identify(proof, { ...expected, now: Date.now() }, { transport: wire, home: world.account }),
    // The world has neither SQS nor Lambda.
    estate: async () => ({
      ...awsEstate({ ...from, queueUrl: '' }),
      backlog: async () => backlog,
      functionFault: async (name) => faults.get(name),
    }),
    parameters: async () => ssmParameters(from),
    ...(deps.policy.links ? { links: { url: 'https://door.example/', mac: async () => kmsMac(from, linkKey) } } : {}),
    tagged: async () => async (tags) => tagged(tags),
    note: async (said) => void (await write([said])),
    activity: async () => ({ log, where: { ...WHERE, account: world.account, region: world.region, stage: STAGE } }),
  };
  const people = new Map<string, { accessKeyId: string; secretAccessKey: string }>();
  const keysOf = (name: string) => {
    const known = people.get(name) ?? addUser(world, name, []);
    people.set(name, known);
    return known;
  };
  /** As Lambda does: what goes in and out is JSON. */
  const invoke = async (request: object): Promise<Reply> => {
    await streamed;
    return JSON.parse(JSON.stringify(await answer(JSON.parse(JSON.stringify(request)), answering))) as Reply;
  };

  const signedBy = (who: string, stage: string, what: object): Promise<Proof> =>
    prove(commandHash(stage, what as never), { region: world.region, credentials: keysOf(who) });

  const io = (who: string, said: { out: string; err: string }, at: At): Io => ({
    out: (text) => {
      said.out += `${text}\n`;
    },
    err: (text) => {
      said.err += `${text}\n`;
    },
    colors: at.colors ?? false,
    width: at.width,
    asks: at.says !== undefined,
    env: { STEWARD_STAGE: STAGE },
    sleep,
    confirm: async () => at.says === 'yes',
    openLog: async () => ({ ...log, keys: KEYS }),
    readCopy: async (address) => {
      const copy = copies.get(address);
      if (copy === undefined) throw new NotFound(`there is no ${address}`);
      return copy;
    },
    openTrail: async () => trailSource({ ...from, credentials: rootCredentials }),
    connect: async ({ stage }) => stewardBy(stage, invoke, (what) => signedBy(who, stage, what)),
  });

  /** `await steward('alice')('approve', id)` */
  const steward =
    (who: string, at: At = {}) =>
    async (...argv: string[]): Promise<Said> => {
      const said = { out: '', err: '' };
      const code = await meanwhile(main(argv, io(who, said, at)));
      return { code, ...said, json: argv.includes('--json') ? JSON.parse(said.out) : undefined };
    };
  return { account, log, copies, answering, backlog, faults, invoke, steward, keysOf, linkKey };
};
export type Desk = ReturnType<typeof createDesk>;
