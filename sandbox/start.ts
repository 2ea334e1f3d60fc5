/** A whole AWS account on this machine: the deployed stack on MiniStack, the fleet in the world, IAM between them. Everything listens on loopback. */
import { mkdirSync } from 'node:fs';
import { dynamoStore } from '../shared/aws/store.ts';
import { proofGroup } from '../shared/core/agents.ts';
import { reports } from '../shared/core/documents.ts';
import type { Store } from '../shared/core/store.ts';
import { minutes, type Time } from '../shared/core/time.ts';
import { type Clock, createClock, runInRealTime } from '../world/clock.ts';
import { addTrail } from '../world/cloudtrail.ts';
import { addService, makeCluster } from '../world/clusters.ts';
import type { Instance } from '../world/ec2.ts';
import { type Fleet, seedFleet } from '../world/fleet.ts';
import { makeLogGroup } from '../world/logs.ts';
import { recordCalls } from '../world/recorder.ts';
import { addBucket } from '../world/s3.ts';
import { listen } from '../world/wire.ts';
import { createWorld, type World } from '../world/world.ts';
import { bridge, type Reach } from './bridge.ts';
import { copyBucket } from './copies.ts';
import { deploy, environmentOf, learnKeys, learnRoles, PROJECT, STAGE } from './deploy.ts';
import { ACCOUNT, REGION, ROOT, startMiniStack } from './ministack.ts';

export const WORK = `${PROJECT}.steward/`;
const LOG = `${WORK}ministack.log`;

/**
 * The world's clock starts so far behind the real one. Metrics need minutes before an alarm goes off: those minutes can be skipped, and the world still
 * is not ahead of the functions, whose clock is the machine's. Under the policy's `signalMaxAgeMinutes` (15), else its alarms would count as old.
 */
const BEHIND = minutes(12);

export interface Sandbox {
  readonly world: World;
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly reach: Reach;
  /** Likewise what the world serves: EC2, SSM, CloudTrail and the others of resources/local.cjs. */
  readonly worldReach: Reach;
  /** For any AWS tool, `steward` and `serverless` among them. */
  readonly environment: Readonly<Record<string, string>>;
  /** The deployed table, read with the emulator's root credentials. */
  readonly store: Store;
  /** Skips so much of the world's time, as far as it is behind. Answers what was skipped. */
  skip(ms: Time): Time;
  /** Ends everything that was started. */
  stop(): Promise<void>;
}

export interface StartOptions {
  /** Told of each thing that is ready, with how long it took. */
  readonly ready?: (what: string, ms: number) => void;
  /** An ECS cluster of three instances beside the fleet, with a service. */
  readonly cluster?: boolean;
  /**
   * EventBridge is told of every call that changes something, and the trail's bucket gets its files; else the former only of those by which somebody weakens what records.
   */
  readonly recorded?: boolean;
  /** Another policy file than steward.yml. */
  readonly policy?: string;
  /** Told of what the bridge could not deliver. */
  readonly onFailure?: (e: unknown) => void;
}

const addCluster = (world: World): readonly Instance[] => {
  const { cluster, hosts } = makeCluster(world, 'shop');
  addService(world, cluster, 'web', { tags: { 'steward:managed': 'true' } });
  return hosts;
};

const timed = async <T>(what: string, ready: StartOptions['ready'], work: () => Promise<T>): Promise<T> => {
  const began = performance.now();
  const result = await work();
  ready?.(what, performance.now() - began);
  return result;
};

/** @throws Error in plain words when something that is needed is missing; nothing is left running */
export const startSandbox = async ({
  ready,
  policy,
  cluster = false,
  recorded = false,
  onFailure = () => {},
}: StartOptions = {}): Promise<Sandbox> => {
  mkdirSync(WORK, { recursive: true });
  const undo: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const ministack = await timed('MiniStack answers: Lambda, SQS, SNS, DynamoDB, EventBridge, IAM', ready, () =>
      startMiniStack(LOG),
    );
    undo.push(ministack.stop);
    const clock = createClock(Date.now() - BEHIND);
    const world = createWorld({ enforce: true, clock, account: ACCOUNT, region: REGION });
    const seeded = seedFleet(world, { documents: Object.keys(reports).map((name) => `steward-${STAGE}-${name}`) });
    const fleet = cluster ? { ...seeded, all: [...seeded.all, ...addCluster(world)] } : seeded;
    const trail = addTrail(world, 'audit');
    makeLogGroup(world, { name: proofGroup(STAGE), retention: 1 });
    const server = await listen(world);
    undo.push(server.close);
    const reach: Reach = { endpoint: ministack.url, region: REGION, credentials: ROOT };
    await timed(`serverless deploy --stage ${STAGE}`, ready, () => deploy(reach, server.url, policy));
    await learnRoles(world, reach);
    await learnKeys(world, reach);
    if (recorded) {
      const bucket = addBucket(world, trail.bucket);
      recordCalls(world, trail.name, bucket);
      undo.push(await copyBucket(bucket, reach, onFailure));
    }
    undo.push(await bridge(world, reach, onFailure));
    undo.push(runInRealTime(clock));
    // The adapter finds its endpoint as every SDK client does.
    process.env['AWS_ENDPOINT_URL_DYNAMODB'] = ministack.url;
    return {
      world,
      clock,
      fleet,
      reach,
      worldReach: { ...reach, endpoint: server.url },
      environment: environmentOf(reach, server.url),
      store: dynamoStore({
        region: REGION,
        credentials: ROOT,
        table: `steward-${STAGE}`,
        retentionDays: 400,
        now: () => Date.now(),
      }),
      skip: (ms) => {
        const skipped = Math.max(0, Math.min(ms, Date.now() - clock.now()));
        clock.advance(skipped);
        return skipped;
      },
      stop,
    };
  } catch (e) {
    await stop();
    throw e;
  }
};
