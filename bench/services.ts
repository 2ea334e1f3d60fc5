/** What Steward asks of ECS about 500 services of one cluster, new to it: an hour of surveys and of proving each, held against what ECS grants an account. */
import { hours, minutes } from '../shared/core/time.ts';
import { createAccount } from '../test/stories/account.ts';
import { ECS_BUCKETS, overdrawn } from '../test/storm/rates.ts';
import { addService, makeCluster } from '../world/clusters.ts';

const SERVICES = 500;
const EACH = 2;

export const serviceFigures = async (): Promise<Record<string, number>> => {
  const account = createAccount({
    deaf: true,
    policy: { preset: 'automatic', remediations: { 'release-unproven': {} } },
  });
  const { world } = account;
  const { cluster } = makeCluster(world, 'shop', { instances: (SERVICES * EACH) / 20, type: 'm6i.xlarge' });
  for (let n = 0; n < SERVICES; n++)
    addService(world, cluster, `web-${n}`, {
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
  };
};
