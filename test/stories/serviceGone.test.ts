/** service-gone in the world: a service that was deleted is rebuilt as it was, with the digests of its last release that passed. */
import { DeleteServiceCommand, DeregisterTaskDefinitionCommand, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import {
  addService,
  makeCluster,
  nextDefinition,
  runningTasks,
  type ServiceOptions,
  setImage,
} from '../../world/clusters.ts';
import { digestOf } from '../../world/ecs.ts';
import { createDesk } from '../cli/desk.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, following } from './account.ts';

const NAME = 'service-gone';
const TAGS = { 'steward:managed': 'true', team: 'shop' };
const must = { preset: 'automatic', remediations: { 'release-unproven': {}, [NAME]: { mustExist: ['shop/web'] } } };
const unsaid = { preset: 'automatic', remediations: { 'release-unproven': {} } };

const started = async ({ web = {}, ...options }: AccountOptions & { web?: ServiceOptions } = {}) => {
  const desk = createDesk({ policy: must, ...options });
  const { account } = desk;
  const { world, run } = account;
  const { cluster } = makeCluster(world, 'shop');
  const made = addService(world, cluster, 'web', { balanced: true, tags: TAGS, grace: minutes(1), ...web });
  await run(minutes(15));
  const asked = async (call: Promise<unknown>) => {
    await run(seconds(1));
    await call;
  };
  const remove = () =>
    asked(clientsOf(world).ecs.send(new DeleteServiceCommand({ cluster: 'shop', service: 'web', force: true })));
  const service = () => cluster.services.get('web');
  const running = () => {
    const now = service();
    return now ? runningTasks(cluster, now) : [];
  };
  const calls = (operation: string) =>
    world.calls.filter((c) => c.action === `ecs:${operation}` && c.principal.includes(`remedy-${NAME}/`));
  return {
    ...account,
    ...desk,
    ...following(account, 'service/shop/web', NAME),
    ...made,
    cluster,
    asked,
    remove,
    service,
    running,
    calls,
  };
};

test('it is rebuilt once it is gone: settings, tags, load balancer, count and digests as they were', async () => {
  const s = await started();
  await s.remove();
  await s.run(hours(1), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([['rebuild', 'effective']]);
  expect(s.service()).toMatchObject({ status: 'ACTIVE', desired: 3, tags: TAGS, grace: minutes(1) });
  expect(s.service()?.targets).toEqual([{ targetGroup: s.targetGroup?.arn, container: 'web', port: 8080 }]);
  expect(s.running().map((t) => t.containers[0]?.digest)).toEqual(Array(3).fill(digestOf('web:1')));
  await s.run(minutes(20));
  const { out } = await s.steward('alice')('release', 'list', 'shop/web');
  expect(out).toMatch(/web:2 +[0-9a-f]{12} +CURRENT/);
});

test('its tag has moved meanwhile, and its definition was deregistered: the digest counts', async () => {
  const s = await started();
  setImage(s.world, 'web:1', { digest: 'sha256:0bad', healthy: false });
  await s.asked(clientsOf(s.world).ecs.send(new DeregisterTaskDefinitionCommand({ taskDefinition: s.definition.arn })));
  await s.remove();
  await s.run(hours(1), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(new Set(s.running().map((t) => t.containers[0]?.digest))).toEqual(new Set([digestOf('web:1')]));
});

test('deleted in the midst of a release that is not well: the one before it comes back', async () => {
  const s = await started();
  setImage(s.world, 'web:2', { exits: { afterMs: seconds(40), code: 1 } });
  const { arn } = nextDefinition(s.world, s, 'web:2');
  await s.asked(
    clientsOf(s.world).ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', taskDefinition: arn })),
  );
  await s.run(minutes(1));
  await s.remove();
  await s.run(hours(1), () => s.last()?.state === 'closed');
  expect(new Set(s.running().map((t) => t.containers[0]?.digest))).toEqual(new Set([digestOf('web:1')]));
});

test('whether it was meant nobody knows: a person is asked, unless `mustExist` names it', async () => {
  const s = await started({ policy: unsaid });
  await s.remove();
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ state: 'asking', attempts: [] });
  expect(s.last()?.because).toContain('may have meant it');
  await s.steward('alice')('approve', s.last()?.id ?? '');
  await s.run(hours(1), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.running()).toHaveLength(3);
});

test('somebody of `trusted` deleted it: it is meant', async () => {
  const s = await started({ policy: { ...must, trusted: ['arn:aws:iam::111122223333:root'] } });
  await s.remove();
  await s.run(minutes(4));
  expect(s.last()).toMatchObject({ end: 'not-ours', attempts: [] });
});

test('ECS tells of what is gone as if it were there, for a while: it is not taken for healthy', async () => {
  const s = await started({ policy: unsaid });
  s.world.lag.ms = seconds(40);
  s.world.lag.chance = 1;
  await s.remove();
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ state: 'asking' });
});

test('EventBridge is deaf: the survey misses what must be there', async () => {
  const s = await started({ deaf: true });
  await s.remove();
  await s.run(hours(1), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.running()).toHaveLength(3);
});

test('it was never seen whole, and the cluster is gone: a person', async () => {
  const none = await started({ web: { image: 'web:bad', tags: {} } });
  await none.remove();
  await none.run(hours(1), none.over);
  expect(none.last()).toMatchObject({ state: 'escalated' });
  expect(none.last()?.because).toContain('nothing is known to rebuild it from');
  const s = await started();
  await s.remove();
  await s.run(minutes(5), () => s.service()?.status === 'INACTIVE');
  s.cluster.status = 'INACTIVE';
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated' });
  expect(s.last()?.because).toContain('the cluster of shop/web is gone');
});

test('somebody creates it first: theirs stays', async () => {
  const s = await started();
  await s.remove();
  await s.run(minutes(5), () => s.service()?.status === 'INACTIVE');
  addService(s.world, s.cluster, 'web', { tags: TAGS, desired: 1 });
  await s.run(minutes(20), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.service()?.desired).toBe(1);
  expect(s.calls('CreateService').filter((c) => c.error === undefined)).toEqual([]);
});

test('the reply is lost and ECS is throttled: it is there once', async () => {
  const s = await started();
  s.world.faults.failNext('ecs', 'CreateService', { kind: 'drop', afterEffect: true });
  await s.remove();
  await s.run(hours(1), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.calls('CreateService')).toHaveLength(1);
});

test('sixty are deleted at once, and ECS registers one definition a second: each is back within the hour, nobody is told', async () => {
  const names = Array.from({ length: 60 }, (_, n) => `app-${n}`);
  const s = await started({
    policy: {
      preset: 'automatic',
      remediations: {
        'release-unproven': {},
        'service-uneven-zones': { mode: 'off' },
        [NAME]: { mustExist: names.map((n) => `shop/${n}`) },
      },
    },
  });
  for (const name of names) addService(s.world, s.cluster, name, { desired: 1, tags: TAGS, cpu: 64, memory: 128 });
  await s.run(minutes(15));
  s.world.faults.limit('ecs', 'RegisterTaskDefinition', { size: 20, perSecond: 1 });
  const { ecs } = clientsOf(s.world);
  const since = s.clock.now();
  await s.asked(
    Promise.all(names.map((service) => ecs.send(new DeleteServiceCommand({ cluster: 'shop', service, force: true })))),
  );
  await s.run(hours(1));
  expect(s.calls('RegisterTaskDefinition').some((c) => c.error !== undefined)).toBe(true);
  const own = s.incidents().filter((i) => i.remediation === NAME && i.openedAt >= since);
  expect(new Set(own.map((i) => `${i.state} ${i.end}`))).toEqual(new Set(['closed healthy']));
  expect(own).toHaveLength(60);
  const back = [...s.cluster.services.values()].filter((x) => x.name.startsWith('app-') && x.status === 'ACTIVE');
  expect(back).toHaveLength(60);
  expect(
    s.calls('CreateService').filter((c) => c.error === undefined && c.action === 'ecs:CreateService'),
  ).toHaveLength(60);
});
