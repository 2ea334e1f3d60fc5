/** A small fleet of everything that the remediations look after, beside what is nobody's business. */
import type { Signal, SignalKind } from '../../../shared/core/signal.ts';
import { addGroup } from '../../../world/autoscaling.ts';
import { addTrail } from '../../../world/cloudtrail.ts';
import { addDocument } from '../../../world/documents.ts';
import type { Instance } from '../../../world/ec2.ts';
import { addAlarm, addDisk, addDiskAlarm, breakLoad, fileSystemOf } from '../../../world/fleet.ts';
import { makeFlowLog, makeVpc, type Vpc } from '../../../world/flowLogs.ts';
import { addUser } from '../../../world/iam.ts';
import { makeInstance } from '../../../world/instances.ts';
import { makeLogGroup } from '../../../world/logs.ts';
import type { Random } from '../../../world/random.ts';
import { addBucket } from '../../../world/s3.ts';
import { perform, type World } from '../../../world/world.ts';

/** Whose trouble it is, and how it stands in truth. What lies between well and ill is anybody's guess. */
export interface Patient {
  readonly arn: string;
  readonly remediation: string;
  /** An incident may say that it is healthy. */
  readonly isWell: () => boolean;
  /** Somebody must know. */
  readonly isIll: () => boolean;
  /** Another controller undoes what was done. */
  readonly again?: () => Promise<void>;
  /** By whom it was told of, where no survey would find it: until that was answered nobody can know. */
  readonly toldBy?: string;
}

export interface Fleet {
  readonly web: readonly Instance[];
  /** They stand alone. */
  readonly shop: Instance;
  readonly burst: Instance;
  readonly database: Instance;
  /** Not managed, or ignored. */
  readonly theirs: Instance;
  readonly vpc: Vpc;
}

/** Where a trouble begins. */
export interface Field extends Place {
  readonly random: Random;
}
export interface Place {
  readonly world: World;
  readonly fleet: Fleet;
  /** Sends a signal as an alarm would, after so many milliseconds. Answers the id of its event. */
  readonly signal: (kind: SignalKind, arn: string, after?: number, more?: Partial<Signal>) => string;
  /** A person wants so many of it for so long: `steward scale`, past its own first look. */
  readonly wish: (arn: string, to: number, ms: number) => Promise<void>;
  /** A person calls AWS. */
  readonly person: (service: string, operation: string, input: object) => Promise<void>;
}

/** Where agents prove their logs. */
export const PROOFS = '/steward/test/agent-proof';
export const BUCKET = 'arn:aws:s3:::example-flow-logs';
export const KEY = 'arn:aws:kms:eu-central-1:111122223333:key/3c8f1f7e-0d5b-4a57-8a3e-5a0c5f9b7d11';
const MANAGED = { 'steward:managed': 'true' };

const withAlarms = (world: World, i: Instance): Instance => {
  addDiskAlarm(world, i, fileSystemOf(world, i.id, '/'));
  addAlarm(world, i, { metric: 'mem_used_percent', namespace: 'CWAgent', over: 90 });
  addAlarm(world, i, { metric: 'CPUUtilization', over: 90, minutes: 5 });
  if (i.type.startsWith('t')) addAlarm(world, i, { metric: 'CPUCreditBalance', under: 20 });
  return i;
};

/** It lets CloudTrail write, and nobody else. */
const trailBucket = (world: World, name: string): void => {
  const at = `arn:aws:s3:::${name}`;
  const service = { Effect: 'Allow', Principal: { Service: 'cloudtrail.amazonaws.com' } };
  const Statement = [
    { ...service, Action: 's3:GetBucketAcl', Resource: at },
    { ...service, Action: 's3:PutObject', Resource: `${at}/*` },
  ];
  addBucket(world, name, { policy: JSON.stringify({ Version: '2012-10-17', Statement }) });
};

/** Steward's own documents, and the machines. Each has a web server that may be restarted, and what never may be. */
export const seedFleet = (world: World, random: Random, documents: readonly string[]): Fleet => {
  for (const name of documents) addDocument(world, name);
  const zones = Object.keys(world.zones);
  const machine = (name: string, type: string, tags: Record<string, string>, zone = zones[0] ?? ''): Instance => {
    const made = makeInstance(world, { running: true, type, zone, tags: { Name: name, ...tags } });
    for (const unit of ['sshd.service', 'shop.service']) breakLoad(world, made.id, { name: unit, mib: 100 });
    const disk = addDisk(world, made, { path: '/srv', gib: 20, filesystem: 'xfs', on: 'partition' });
    addDiskAlarm(world, made, disk);
    return withAlarms(world, made);
  };
  const members = 2 + random.integer(3);
  const web = Array.from({ length: members }, (_, i) =>
    machine(`web-${i}`, 'm6i.large', { ...MANAGED, 'aws:autoscaling:groupName': 'web' }, zones[i % zones.length]),
  );
  const shop = machine('shop', random.pick(['m6i.large', 'm6i.large', 'm6id.large']), MANAGED);
  const burst = machine('burst', 't3.medium', MANAGED);
  const database = machine('database', 'm6i.large', MANAGED);
  breakLoad(world, database.id, { name: 'postgresql.service', mib: 1500 });
  const theirs = machine('theirs', 'm6i.large', random.pick([{}, { ...MANAGED, 'steward:ignore': 'yes' }]));
  addGroup(world, 'web', {
    hook: random.pick([0, 0, 5 * 60_000]),
    notices: random.chance(0.3) ? 8 * 60_000 : undefined,
    suspended: new Set(['AZRebalance', ...(random.chance(0.1) ? ['ReplaceUnhealthy'] : [])]),
  });
  for (const name of ['audit', 'second', 'org', 'theirs']) trailBucket(world, `${name}-logs-${world.account}`);
  addTrail(world, 'audit');
  addTrail(world, 'second');
  addTrail(world, 'org', { organization: true });
  addTrail(world, 'theirs', { tags: {} });
  for (const name of ['/ecs/web', '/ecs/api'])
    makeLogGroup(world, { name, retention: 90, kmsKey: KEY, tags: { ...MANAGED } });
  makeLogGroup(world, { name: PROOFS, retention: 1 });
  makeLogGroup(world, { name: '/ecs/theirs', retention: 1 });
  makeLogGroup(world, { name: '/other', retention: 1, tags: { ...MANAGED } });
  const vpc = makeVpc(world, { tags: { ...MANAGED } });
  makeFlowLog(world, { vpc: vpc.id, destination: BUCKET });
  makeVpc(world);
  // They have been there for long.
  for (const instance of world.ec2.instances.values()) instance.launchTime -= 86_400_000;
  for (const alarm of world.cloudwatch.alarms.values()) {
    // What is said of missing data only makes everybody look again.
    alarm.missing = 'ignore';
    alarm.state = { ...alarm.state, value: 'OK' };
  }
  world.ssm.parameters.set('/steward/test/drill', {
    name: '/steward/test/drill',
    type: 'String',
    value: 'mended',
    version: 1,
    modified: world.clock.now(),
    tags: {},
  });
  return { web, shop, burst, database, theirs, vpc };
};

/** A person who may do anything, and does it. What AWS declines is his own affair. */
export const personIn = (world: World, name: string): Field['person'] => {
  const all = [{ Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }];
  const { accessKeyId } = addUser(world, name, all);
  return async (serviceName, operation, input) => {
    const service = world.services.find((s) => s.name === serviceName);
    if (!service) throw new Error(`the world has no service ${serviceName}`);
    await perform(world, { service, operation, input, accessKeyId, requestId: 'person' }).catch(() => {});
  };
};
