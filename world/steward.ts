/**
 * Steward on a fake clock: its own code from the message to the assumed role, against a world, by commands or over its wire protocols. Only the table, the queue
 * and the Lambda runtime are in memory. Hours pass in milliseconds. The stories, the bench and the backtest run on this.
 */
import { read } from '../events/read.ts';
import { ssmParameters } from '../shared/aws/parameters.ts';
import { proofGroup } from '../shared/core/agents.ts';
import type { ChannelConfig } from '../shared/core/channels.ts';
import { InvalidInput } from '../shared/core/errors.ts';
import type { Incident } from '../shared/core/incident.ts';
import type { Channel } from '../shared/core/letter.ts';
import { rolePolicy } from '../shared/core/permissions.ts';
import type { Policy } from '../shared/core/policy.ts';
import type { Web } from '../shared/core/ports.ts';
import { type Change, refOf, type Store, type StoreRecord } from '../shared/core/store.ts';
import { minutes, seconds } from '../shared/core/time.ts';
import { remediations } from '../shared/remediations/index.ts';
import { type AnnounceDeps, type Announced, announce, announceDue, type Changed } from '../shared/runtime/announce.ts';
import { answerMessage, type Outcome } from '../shared/runtime/heal.ts';
import { sweep } from '../shared/runtime/sweep.ts';
import { reachAws, surveyed, type Wired } from '../shared/runtime/wire.ts';
import { directly } from './direct.ts';
import { addRole, addUser } from './iam.ts';
import { makeLogGroup } from './logs.ts';
import { memoryStore } from './memoryStore.ts';
import { requestHandler } from './wire.ts';
import type { World } from './world.ts';

export interface StewardOptions {
  readonly policy: Policy;
  readonly stage?: string;
  /** EventBridge delivers nothing: what the sweep and its surveys find must be enough. */
  readonly deaf?: boolean;
  /** Another state table than the one in memory. */
  readonly store?: Store;
  /** The people's end of the policy's channels. */
  readonly open?: (name: string, config: ChannelConfig) => Promise<Channel>;
  /** The table's stream: told of each write, with what was there before. */
  readonly onWrite?: (change: {
    readonly before?: StoreRecord;
    readonly after: StoreRecord;
    readonly at: number;
  }) => void;
  /** Wraps each wait for AWS or for time: the bench subtracts them. */
  readonly around?: <T>(what: 'call' | 'sleep', wait: () => Promise<T>) => Promise<T>;
  /** Who answers requests to what is public; without it nobody does. */
  readonly internet?: Web;
  /** Each call goes over AWS's wire protocol, signed, as it does in earnest; else straight to the world, which is ten times as quick. */
  readonly wire?: boolean;
}

/** The rules of the stack let only these through. */
export const isListenedTo = (event: unknown): boolean => {
  try {
    const reading = read(event);
    return 'signals' in reading || 'shift' in reading;
  } catch (e) {
    if (e instanceof InvalidInput) return true;
    throw e;
  }
};

/** What `sweep` may look at by itself, as in its role. */
const SWEEPS = [
  'cloudwatch:DescribeAlarms',
  'ec2:DescribeInstances',
  'ecs:ListClusters',
  'ecs:ListServices',
  'ecs:DescribeServices',
  'ecs:ListContainerInstances',
  'ecs:DescribeContainerInstances',
  'ecs:ListTasks',
  'ecs:DescribeTasks',
];

export const runSteward = (
  world: World,
  {
    policy,
    stage = 'test',
    deaf = false,
    store: otherStore,
    open,
    around = (_what, wait) => wait(),
    wire: isWire = false,
    onWrite,
    internet = { get: async () => ({ failed: 'ENOTFOUND', ms: 1 }) },
  }: StewardOptions,
) => {
  const { clock } = world;
  for (const r of remediations)
    addRole(world, `steward-${stage}-remedy-${r.name}`, [
      rolePolicy(r.permissions, { stage, optInTag: policy.tags.managed }),
    ] as never);
  makeLogGroup(world, { name: proofGroup(stage), retention: 1 });
  const credentials = addUser(world, 'heal', [
    {
      Statement: [
        {
          Effect: 'Allow',
          Action: ['sts:AssumeRole', 'cloudwatch:ListTagsForResource'],
          Resource: '*',
        },
      ],
    },
  ]);

  const sweeps = addUser(world, 'sweep', [{ Statement: [{ Effect: 'Allow', Action: SWEEPS, Resource: '*' }] }]);

  const teller = addUser(world, 'announce', [
    {
      Statement: [
        {
          Effect: 'Allow',
          Action: 'ssm:PutParameter',
          Resource: `arn:aws:ssm:*:*:parameter/steward/${stage}/channel/*`,
        },
      ],
    },
  ]);

  const memory = memoryStore();
  const told: Announced[] = [];
  const isTold = open !== undefined && Object.keys(policy.channels).length > 0;
  const table = otherStore ?? memory;
  const isHeard = isTold || onWrite !== undefined;
  /** As the table's stream: what was written is announced, and told to whoever asked. */
  const written = async (...changes: readonly Change[]): Promise<void> => {
    const puts = changes.flatMap((c) => ('put' in c ? [c.put] : []));
    const before = onWrite ? await table.read(...puts.map(refOf)) : [];
    await table.write(...changes);
    puts.forEach((after, n) => {
      const was = before[n];
      onWrite?.({ after, at: clock.now(), ...(was ? { before: was } : {}) });
    });
    const incidents = puts.flatMap((record) => (record.kind === 'incident' ? [record] : []));
    if (isTold && incidents.length > 0) streamed(incidents);
  };
  const store: Store = isHeard ? { ...table, write: written } : table;
  const outcomes: Outcome[] = [];
  const failures: unknown[] = [];
  let awake = 0;
  let inHand = 0;
  let made = 0;

  const sleep = async (ms: number): Promise<void> => {
    awake--;
    await around('sleep', () => clock.sleep(ms));
    awake++;
  };
  const background = (work: () => Promise<void>): void => {
    awake++;
    inHand++;
    work()
      .catch((e) => void failures.push(e))
      .finally(() => {
        awake--;
        inHand--;
      });
  };
  const wire = requestHandler(world);
  const transport = isWire
    ? { ...wire, handle: (...call: Parameters<typeof wire.handle>) => around('call', () => wire.handle(...call)) }
    : directly(world, (call) => around('call', call));
  const deps: Wired = {
    now: () => clock.now(),
    newId: () => `01J${(++made).toString().padStart(23, '0')}`,
    store,
    policy,
    home: world.account,
    ...reachAws({ stage, region: world.region, now: () => clock.now(), sleep, transport, credentials, web: internet }),
    queue: {
      send: async (messages) => {
        for (const m of messages) clock.at(clock.now() + (m.delaySeconds ?? 0) * 1000, () => deliver(m.body));
      },
    },
    alarmTags: async () => ({}),
    common: surveyed({ region: world.region, transport, credentials: sweeps }),
  };

  const announcing: AnnounceDeps | undefined = open && {
    now: deps.now,
    sleep: (ms) => (ms > 0 ? sleep(ms) : Promise.resolve()),
    store: table,
    policy,
    home: { stage, region: world.region },
    account: world.account,
    open,
    queue: deps.queue,
    parameters: async () => ssmParameters({ region: world.region, credentials: teller, transport }),
  };
  const announced = (work: (d: AnnounceDeps, until: number) => Promise<Announced>): void =>
    background(async () => {
      if (announcing) told.push(await work(announcing, clock.now() + seconds(45)));
    });
  const streamed = (changed: readonly Changed[]): void => announced((d, until) => announce(changed, d, until));

  /** As SQS does: a message whose handling fails comes again. */
  const deliver = (body: string, tries = 1): void =>
    background(async () => {
      try {
        outcomes.push(await answerMessage(body, deps));
      } catch (e) {
        if (tries >= 5) throw e;
        clock.at(clock.now() + seconds(30), () => deliver(body, tries + 1));
      }
    });

  world.onEvent((event) => {
    if (!deaf && isListenedTo(event)) deliver(JSON.stringify(event));
  });

  /** Runs until nothing is left to do at this moment. */
  const settle = async (): Promise<void> => {
    do await new Promise(setImmediate);
    while (awake > 0);
  };
  /** To whatever is next: something due in the world, or the time at which the sweep runs. */
  const nextStep = (every: number): number => {
    const now = clock.now();
    return Math.max(0, Math.min((clock.next() ?? Number.POSITIVE_INFINITY) - now, every - (now % every)));
  };
  const minute = (): void => {
    background(async () => void (await sweep(deps, world.region)));
    if (isTold) announced(announceDue);
  };
  /** Lets time pass; the sweep runs each minute, or as rarely as is said. Stops early when `until` holds. */
  const run = async (ms: number, until: () => boolean = () => false, sweepEvery = minutes(1)): Promise<void> => {
    const end = clock.now() + ms;
    await settle();
    while (clock.now() < end && !until()) {
      const before = Math.floor(clock.now() / sweepEvery);
      clock.advance(Math.min(nextStep(sweepEvery), end - clock.now()));
      if (Math.floor(clock.now() / sweepEvery) !== before) minute();
      await settle();
    }
    if (failures.length > 0) throw failures[0];
  };
  /** Something is being handled, even if it sleeps just now. */
  const isBusy = (): boolean => inHand > 0;

  const incidents = (): Incident[] => [...memory.records.values()].filter((r) => r.kind === 'incident');
  const incidentOf = (instanceId: string): Incident | undefined =>
    incidents().findLast((i) => i.target.endsWith(instanceId));
  return { clock, world, store: memory, deps, outcomes, told, run, isBusy, deliver, incidents, incidentOf };
};
