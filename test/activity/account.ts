/** An account whose CloudTrail records every call, with both legs of the activity log on it: what EventBridge brings, and the auditor that reads the trail. */
import { CreateTagsCommand, DescribeInstancesCommand } from '@aws-sdk/client-ec2';
import { createWriter } from '../../shared/activity/append.ts';
import { type Audited, createAuditor, type TrailSource } from '../../shared/activity/audit.ts';
import { createHearing } from '../../shared/activity/marks.ts';
import { trailSource } from '../../shared/aws/trailSource.ts';
import type { PolicyDocument } from '../../shared/core/permissions.ts';
import { minutes } from '../../shared/core/time.ts';
import { addTrail, type Trail } from '../../world/cloudtrail.ts';
import { directly } from '../../world/direct.ts';
import { addUser, rootCredentials } from '../../world/iam.ts';
import { makeInstance } from '../../world/instances.ts';
import { type MemoryLog, memoryLog } from '../../world/memoryLog.ts';
import { recordCalls } from '../../world/recorder.ts';
import { addBucket } from '../../world/s3.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf } from '../world/clients.ts';

export const anAccount = ({
  seed = 1,
  trail = {},
  memory = memoryLog(),
  around = (source) => source,
  backfillDays = 1,
  flood = 0,
  onSleep = () => {},
  policy,
  without = false,
}: {
  readonly seed?: number;
  readonly trail?: Partial<Trail> | undefined;
  readonly memory?: MemoryLog;
  /** The trail's source, as the test spoils it. */
  readonly around?: (source: TrailSource) => TrailSource;
  readonly backfillDays?: number;
  readonly flood?: number;
  readonly onSleep?: (ms: number) => void;
  /** What the auditor may do; everything, unless it is said. */
  readonly policy?: PolicyDocument;
  /** There is no trail. */
  readonly without?: boolean;
} = {}) => {
  const world = createWorld({ seed, enforce: true, metrics: false });
  const { clock } = world;
  const bucket = addBucket(world, 'audit-logs');
  if (!without) addTrail(world, 'audit', { bucket: bucket.name, ...trail });
  const credentials = policy ? addUser(world, 'audit', [policy as never]) : rootCredentials;
  const recorder = recordCalls(world, 'audit', bucket);
  const clients = clientsOf(world);
  const { id } = makeInstance(world, { running: true });
  const now = () => clock.now();
  const home = { account: world.account, region: world.region };

  /** What EventBridge has given and nobody has taken yet. */
  const events: Buffer[] = [];
  world.onEvent((event) => {
    if (event['detail-type'].endsWith('via CloudTrail')) events.push(Buffer.from(JSON.stringify(event)));
  });

  const source = around(trailSource({ region: world.region, credentials, transport: directly(world) }));
  /** As a new process begins: it knows nothing. */
  const begin = () => {
    const writer = createWriter({ ...memory, now, shards: 2 });
    const audit = createAuditor({
      source,
      table: memory.table,
      writer,
      now,
      // Nobody lets the clock pass while it runs.
      sleep: async (ms) => onSleep(ms),
      home,
      declared: [],
      backfillDays,
      flood,
    });
    return { writer, audit, hear: createHearing(memory.table) };
  };
  let process = begin();
  const own = {
    world,
    source,
    bucket,
    recorder,
    memory,
    clients,
    events,
    now,
    home,
    /** A crash. */
    restart: () => {
      process = begin();
    },
    /** What record does with a batch. */
    record: async (): Promise<void> => {
      const batch = events.slice(0, 500);
      const activities: Parameters<typeof process.hear>[0] extends Iterable<infer A> ? A[] : never = [];
      await process.writer.append('eventbridge', batch, (activity) => void activities.push(activity));
      await process.hear(activities);
      events.splice(0, batch.length);
    },
    audit: (hasTime: () => boolean = () => true): Promise<Audited> => process.audit(hasTime),
    /** A read, or a change that EventBridge hears of. */
    call: async (n: number): Promise<void> => {
      if (n % 3 > 0) await clients.ec2.send(new DescribeInstancesCommand({}));
      else await clients.ec2.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: 'n', Value: `${n}` }] }));
    },
    /** Five minutes after the other. */
    pass: async (steps: number, each: (n: number) => Promise<void>): Promise<void> => {
      for (let n = 0; n < steps; n++) {
        await own.call(n);
        clock.advance(minutes(5));
        await each(n);
      }
    },
  };
  return own;
};
