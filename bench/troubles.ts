/** Each trouble in the world: from its beginning to its closed incident, in the world's time, with the calls to AWS that it took. And the past through the engine. */
import { existsSync } from 'node:fs';
import { StopLoggingCommand, UpdateTrailCommand } from '@aws-sdk/client-cloudtrail';
import { PutRetentionPolicyCommand } from '@aws-sdk/client-cloudwatch-logs';
import { DisableKeyCommand } from '@aws-sdk/client-kms';
import { backtest } from '../backtest/backtest.ts';
import { eventsIn, pastOf } from '../backtest/past.ts';
import { defaultPolicy } from '../shared/core/policy.ts';
import { hours, minutes } from '../shared/core/time.ts';
import { remediations } from '../shared/remediations/index.ts';
import type { Account } from '../test/stories/account.ts';
import { clientsOf } from '../test/world/clients.ts';
import { addTrail } from '../world/cloudtrail.ts';
import {
  addService,
  breakEcsAgent,
  hangTasks,
  makeCluster,
  nextDefinition,
  runningTasks,
  setImage,
} from '../world/clusters.ts';
import { clusterNamed } from '../world/ecs.ts';
import { deploy } from '../world/ecsScheduler.ts';
import { addAlarm, breakDisk, breakLoad, hostOf } from '../world/fleet.ts';
import { makeVpc } from '../world/flowLogs.ts';
import { impair, makeInstance } from '../world/instances.ts';
import { addKey } from '../world/kms.ts';
import { makeLogGroup } from '../world/logs.ts';
import { addBucket } from '../world/s3.ts';
import { measured, type Table } from './incident.ts';

type Begin = (account: Account, id: string) => void;
/** What CloudTrail needs of a bucket. */
const bucketPolicy = (name: string, account: string) => {
  const allow = { Effect: 'Allow', Principal: { Service: 'cloudtrail.amazonaws.com' } };
  return {
    Version: '2012-10-17',
    Statement: [
      { ...allow, Action: 's3:GetBucketAcl', Resource: `arn:aws:s3:::${name}` },
      { ...allow, Action: 's3:PutObject', Resource: `arn:aws:s3:::${name}/AWSLogs/${account}/*` },
    ],
  };
};
const root = (account: Account) => clientsOf(account.world).cloudtrail;

/** By the name of the figure: the remediation that ends it, how it begins, and what is there before. */
const TROUBLES: Readonly<Record<string, readonly [remediation: string, begin: Begin, before?: Begin]>> = {
  fullDisk: ['full-disk', ({ world }, id) => void breakDisk(world, id, { path: '/', usedPercent: 95 })],
  memoryLeak: [
    'memory-exhausted',
    ({ world }, id) => void breakLoad(world, id, { name: 'shop.service', mib: 6_900, mibPerMinute: 20 }),
  ],
  cpuRunaway: ['cpu-exhausted', ({ world }, id) => void breakLoad(world, id, { name: 'shop.service', cpuPercent: 88 })],
  crowdedHost: [
    'cpu-exhausted',
    ({ world }, id) => {
      hostOf(world, id).stealPercent = 85;
      breakLoad(world, id, { name: 'app.service', cpuPercent: 14 });
    },
  ],
  instanceCheck: ['instance-impaired', ({ world }, id) => impair(world, id, { instance: true })],
  systemCheck: ['instance-impaired', ({ world }, id) => impair(world, id, { system: true }, 'restart')],
  silentAgent: ['log-agent-silent', ({ world }, id) => void Object.assign(hostOf(world, id), { publishes: false })],
  agentDisconnected: [
    'ecs-agent-disconnected',
    ({ world }) => {
      const { cluster, hosts } = makeCluster(world);
      addService(world, cluster, 'web');
      breakEcsAgent(world, hosts[0]?.id ?? '', 'hung');
    },
  ],
  hungTask: [
    'service-failing',
    ({ world }) => {
      const cluster = clusterNamed(world, 'bench');
      const [service] = cluster.services.values();
      const [targetGroup] = world.elb.groups.values();
      if (service) hangTasks(world, { service, targetGroup }, runningTasks(cluster, service).slice(0, 1));
    },
    ({ world }) => {
      const tags = { 'steward:managed': 'true' };
      addService(world, makeCluster(world, 'bench').cluster, 'bench', { balanced: true, tags });
    },
  ],
  badRelease: [
    'release-unproven',
    ({ world }) => {
      const service = clusterNamed(world, 'bench').services.get('bench');
      const definition = world.ecs.definitions.get('bench:1');
      if (!service || !definition) throw new Error('it was made before');
      setImage(world, 'bench:2', { exits: { afterMs: 40_000, code: 1 }, says: ['panic: no database'] });
      deploy(world, service, nextDefinition(world, { definition }, 'bench:2').arn);
    },
    ({ world }) => {
      const tags = { 'steward:managed': 'true' };
      makeLogGroup(world, { name: '/ecs/bench' });
      const logs = { group: '/ecs/bench', prefix: 'bench' };
      addService(world, makeCluster(world, 'bench').cluster, 'bench', { balanced: true, tags, logs });
    },
  ],
  trailKey: [
    'trail-undelivered',
    ({ world }) => {
      const key = addKey(world);
      addBucket(world, 'bench-audit', { policy: JSON.stringify(bucketPolicy('bench-audit', world.account)) });
      addTrail(world, 'keyed', { bucket: 'bench-audit', kmsKey: key.arn });
      void clientsOf(world).kms.send(new DisableKeyCommand({ KeyId: key.arn }));
    },
  ],
  logGroup: [
    'log-group-weakened',
    ({ world }) => {
      makeLogGroup(world, { name: '/bench/web', retention: 90, tags: { 'steward:managed': 'true' } });
      void clientsOf(world).logs.send(
        new PutRetentionPolicyCommand({ logGroupName: '/bench/web', retentionInDays: 1 }),
      );
    },
  ],
  flowLogs: ['flow-logs-missing', ({ world }) => void makeVpc(world, { tags: { 'steward:managed': 'true' } })],
  unwatched: [
    'unwatched-instance',
    ({ world }) => void makeInstance(world, { running: true, tags: { 'steward:managed': 'true' } }),
  ],
  trailStopped: ['trail-stopped', (account) => void root(account).send(new StopLoggingCommand({ Name: 'audit' }))],
  trailWeakened: [
    'trail-weakened',
    (account) => void root(account).send(new UpdateTrailCommand({ Name: 'audit', EnableLogFileValidation: false })),
  ],
};

const POLICY = {
  preset: 'automatic',
  remediations: {
    'unwatched-instance': { mode: 'act' },
    'release-unproven': {},
    'memory-exhausted': { restartable: ['shop'] },
    'cpu-exhausted': { restartable: ['shop'] },
    'flow-logs-missing': { destination: { type: 's3', arn: 'arn:aws:s3:::bench-flow-logs' } },
    'log-group-weakened': { groups: [{ match: '/bench/*', retentionDays: 90 }] },
  },
};

interface Healed {
  /** Of the world's time, from the beginning to the closed, healthy incident. */
  readonly seconds: number;
  /** Under the remediation's role meanwhile. */
  readonly calls: number;
  /** Of the whole table meanwhile. */
  readonly writeUnits: number;
}

const healed = async (name: string, table: Table): Promise<Healed> => {
  const [remediation, begin, prepare] = TROUBLES[name] ?? [];
  if (!remediation || !begin) throw new Error(`no trouble is called ${name}`);
  const { account, meter } = measured(table, { policy: POLICY });
  const instance = makeInstance(account.world, {
    running: true,
    type: 'm6i.large',
    tags: { 'steward:managed': 'true' },
  });
  addTrail(account.world, 'audit');
  addAlarm(account.world, instance, { metric: 'CPUUtilization', over: 90, minutes: 5 });
  prepare?.(account, instance.id);
  // Its alarms are made meanwhile.
  await account.run(minutes(25));
  const began = account.clock.now();
  const before = account.world.calls.length;
  const written = meter.units.write;
  begin(account, instance.id);
  const ended = () =>
    account.outcomes
      .flatMap((o) => o.answers)
      .find((a) => a.remediation === remediation && a.attempts > 0 && (a.at?.closed ?? 0) > began);
  await account.run(hours(2), () => ended() !== undefined);
  const writeUnits = meter.units.write - written;
  const answer = ended();
  if (answer?.end !== 'healthy') throw new Error(`${name} did not end healthy: ${answer?.end ?? 'it is open'}`);
  const calls = account.world.calls.slice(before).filter((c) => c.principal.includes(`remedy-${remediation}/`)).length;
  return { seconds: Math.round(((answer.at?.closed ?? 0) - began) / 1000), calls, writeUnits };
};

/** @param table makes one of that name */
export const troubles = async (table: (name: string) => Promise<Table>): Promise<Record<string, number>> => {
  const figures: Record<string, number> = {};
  for (const name of Object.keys(TROUBLES)) {
    const { seconds, calls, writeUnits } = await healed(name, await table(`bench-${name}`));
    figures[`${name}.healedS`] = seconds;
    figures[`${name}.awsCalls`] = calls;
    figures[`${name}.writeUnits`] = writeUnits;
    // A task that hangs is dead to those who ask it.
    if (name === 'hungTask') figures['containers.deathToHealthyS'] = seconds;
    // Until what was gone back to has passed as well.
    if (name === 'badRelease') figures['release.badToLastGoodS'] = seconds;
  }
  return figures;
};

const CORPUS = new URL('../../shared/corpus/', import.meta.url).pathname;

/** Where the corpus is: every real event, and how long they take all together. */
export const past = async (): Promise<Record<string, number>> => {
  if (!existsSync(CORPUS)) return {};
  const events = pastOf(eventsIn([CORPUS]));
  const began = performance.now();
  const result = await backtest(events, defaultPolicy(remediations));
  return {
    'backtest.corpusEvents': result.events,
    'backtest.unread': result.unread.length,
    'backtest.troubles': result.cases.length,
    'backtest.ms': Math.round(performance.now() - began),
  };
};
