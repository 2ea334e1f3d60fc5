/**
 * What Steward asks of ECS about 500 services of one cluster, new to it: an hour of surveys and of proving each, held against what ECS grants an account. And how long it takes until
 * all are there again that were deleted at once, while ECS registers one definition a second.
 */
import { DeleteServiceCommand } from '@aws-sdk/client-ecs';
import { hours, minutes, seconds } from '../shared/core/time.ts';
import { createAccount } from '../test/stories/account.ts';
import { ECS_BUCKETS, overdrawn } from '../test/storm/rates.ts';
import { clientsOf } from '../test/world/clients.ts';
import { addService, makeCluster } from '../world/clusters.ts';

const SERVICES = 500;
const EACH = 2;

const NAMES = Array.from({ length: SERVICES }, (_, n) => `web-${n}`);

/** Minutes until the last is back, and how many are not after two hours. */
const rebuilt = async (): Promise<Record<string, number>> => {
  const mustExist = NAMES.map((name) => `shop/${name}`);
  const account = createAccount({
    policy: { preset: 'automatic', remediations: { 'release-unproven': {}, 'service-gone': { mustExist } } },
  });
  const { world, run } = account;
  const { cluster } = makeCluster(world, 'shop', { instances: SERVICES / 20, type: 'm6i.xlarge' });
  for (const name of NAMES)
    addService(world, cluster, name, { desired: 1, tags: { 'steward:managed': 'true' }, cpu: 128, memory: 256 });
  await run(minutes(15));
  world.faults.limit('ecs', 'RegisterTaskDefinition', { size: 20, perSecond: 1 });
  world.faults.limit('ecs', 'CreateService', { size: 50, perSecond: 5 });
  const { ecs } = clientsOf(world);
  const deleted = NAMES.map((service) => ecs.send(new DeleteServiceCommand({ cluster: 'shop', service, force: true })));
  await run(seconds(5));
  await Promise.all(deleted);
  const began = account.clock.now();
  const there = () => [...cluster.services.values()].filter((x) => x.status === 'ACTIVE').length;
  await run(hours(2), () => there() === SERVICES);
  return {
    'services.rebuiltMin': Number(((account.clock.now() - began) / minutes(1)).toFixed(1)),
    'services.notRebuilt': SERVICES - there(),
  };
};

export const serviceFigures = async (): Promise<Record<string, number>> => {
  const account = createAccount({
    deaf: true,
    policy: { preset: 'automatic', remediations: { 'release-unproven': {} } },
  });
  const { world } = account;
  const { cluster } = makeCluster(world, 'shop', { instances: (SERVICES * EACH) / 20, type: 'm6i.xlarge' });
  for (const [n, name] of NAMES.entries())
    addService(world, cluster, name, {
      desired: EACH,
      tags: { 'steward:managed': 'true' },
      balanced: n % 2 === 0,
      cpu: 128,
      memory: 256,
    });
  await account.run(hours(1));
  const turned = Object.values(overdrawn(world.calls, ECS_BUCKETS)).reduce((a, b) => a + b, 0);
  const from = world.calls.length;
  await account.run(minutes(5));
  const lately = world.calls.slice(from).map((c) => c.action);
  const count = (bucket: number): number =>
    lately.filter((a) => ECS_BUCKETS[bucket]?.[0].includes(a.slice('ecs:'.length))).length;
  const proven = [...account.store.records.values()].filter(
    (r) => r.kind === 'releases' && r.list[0]?.state === 'current',
  );
  return {
    'services.serviceReads': count(2),
    'services.taskReads': count(6),
    'services.overdrawn': turned,
    'services.unproven': SERVICES - proven.length,
    ...(await rebuilt()),
  };
};
