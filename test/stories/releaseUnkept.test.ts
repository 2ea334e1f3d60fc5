/** release-unkept in the world: the images of releases that may be gone back to are in the registry and stay there, or a person is told which rule takes which. */
import { BatchDeleteImageCommand, PutLifecyclePolicyCommand } from '@aws-sdk/client-ecr';
import { UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { days, hours, minutes, seconds } from '../../shared/core/time.ts';
import { addService, makeCluster, nextDefinition } from '../../world/clusters.ts';
import { makeRepository, push } from '../../world/ecr.ts';
import { imageOf } from '../../world/ecs.ts';
import { createDesk } from '../cli/desk.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, following } from './account.ts';

const NAME = 'release-unkept';
const MANAGED = { 'steward:managed': 'true' };
const OTHER = 'eu-west-1';
const COPY = [
  {
    destinations: [{ region: OTHER, registryId: '111122223333' }],
    repositoryFilters: [{ filter: 'shop/', filterType: 'PREFIX_MATCH' as const }],
  },
];

interface Told extends AccountOptions {
  readonly settings?: object;
  readonly tags?: Record<string, string>;
}
/** Two releases of a service have passed; their images are in a repository that keeps all. */
const started = async ({ settings = {}, tags = MANAGED, ...options }: Told = {}) => {
  const remedies = { 'release-unproven': {}, [NAME]: settings };
  const desk = createDesk({ policy: { preset: 'automatic', remediations: remedies }, ...options });
  const { account } = desk;
  const { world, run } = account;
  const repository = makeRepository(world, 'shop/web', { tags: MANAGED });
  const uri = (tag: string) => `${world.account}.dkr.ecr.${world.region}.amazonaws.com/shop/web:${tag}`;
  const pushed = (tag: string) => push(world, repository, imageOf(world, uri(tag)).digest, tag).digest;
  const one = pushed('1');
  const made = addService(world, makeCluster(world).cluster, 'web', { balanced: true, tags, image: uri('1') });
  await run(minutes(15));
  const asked = async (call: Promise<unknown>) => {
    await run(seconds(1));
    await call;
  };
  const release = async (tag: string): Promise<string> => {
    const digest = pushed(tag);
    const { arn } = nextDefinition(world, made, uri(tag));
    const change = { cluster: 'shop', service: 'web', taskDefinition: arn };
    await asked(clientsOf(world).ecs.send(new UpdateServiceCommand(change)));
    await run(minutes(20));
    return digest;
  };
  const two = await release('2');
  const lifecycle = (...rules: object[]) =>
    asked(
      clientsOf(world).ecr.send(
        new PutLifecyclePolicyCommand({ repositoryName: 'shop/web', lifecyclePolicyText: JSON.stringify({ rules }) }),
      ),
    );
  const remove = (imageDigest: string) =>
    asked(
      clientsOf(world).ecr.send(
        new BatchDeleteImageCommand({ repositoryName: 'shop/web', imageIds: [{ imageDigest }] }),
      ),
    );
  const changes = () =>
    world.calls.filter((c) => c.principal.includes(`remedy-${NAME}/`) && !/:(Describe|List|Get)/.test(c.action));
  const follow = following(account, 'service/shop/web', NAME);
  return { ...account, ...desk, ...follow, repository, one, two, pushed, release, lifecycle, remove, changes };
};
const expire = (rulePriority: number, selection: object) => ({
  rulePriority,
  selection,
  action: { type: 'expire' },
});
const ONE = expire(2, { tagStatus: 'any', countType: 'imageCountMoreThan', countNumber: 1 });

test('a registry that keeps them all: nothing is told, and nothing written', async () => {
  const s = await started();
  await s.run(hours(2));
  expect(s.last()).toBeUndefined();
  expect(s.world.calls.some((c) => c.operation === 'DescribeImages')).toBe(true);
});

test('a lifecycle policy that will take one: which rule, which digest, of which release; well again once it is another', async () => {
  const s = await started();
  await s.lifecycle(ONE);
  await s.run(minutes(75), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  expect(s.last()?.because).toContain(
    `${s.one} of web:1 (shop/web in ${s.world.region}) will be lost: within 24 hours lifecycle rule 2 (any, imageCountMoreThan 1) expires it`,
  );
  expect(s.last()?.because).not.toContain(s.two);
  const keep = expire(1, {
    tagStatus: 'tagged',
    tagPatternList: ['*'],
    countType: 'imageCountMoreThan',
    countNumber: 9,
  });
  await s.lifecycle(keep, ONE);
  await s.run(hours(2), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.changes()).toEqual([]);
});

test('by age it is told `aheadDays` before', async () => {
  const s = await started({ settings: { aheadDays: 3 } });
  const aged = (countNumber: number) =>
    s.lifecycle(expire(1, { tagStatus: 'any', countType: 'sinceImagePushed', countUnit: 'days', countNumber }));
  await aged(4);
  await s.run(minutes(75));
  expect(s.last()).toBeUndefined();
  await aged(2);
  await s.run(minutes(75), s.over);
  expect(s.last()?.because).toContain('within 3 days lifecycle rule 1 (any, sinceImagePushed 2 days) expires it');
});

test('an image that was deleted, or is archived', async () => {
  const s = await started();
  await s.remove(s.one);
  await s.run(minutes(75), s.over);
  expect(s.last()?.because).toContain(`the image ${s.one} of web:1 (shop/web in ${s.world.region}) is no longer there`);
  s.pushed('1');
  for (const i of s.repository.images) if (i.digest === s.two) i.archivedAt = s.world.clock.now();
  await s.run(hours(2), () => s.last()?.because.includes('archived') === true);
  expect(s.last()?.because).toContain(`${s.two} of web:2 (shop/web in ${s.world.region}) is archived`);
});

test('the repository itself is gone', async () => {
  const s = await started();
  s.world.ecr.repositories.delete('shop/web');
  await s.run(minutes(75), s.over);
  expect(s.last()?.because).toContain('the repository shop/web in eu-central-1 is gone');
});

test('of so many releases as `keep` says, and the last two that passed: the rest may go', async () => {
  const s = await started({ settings: { keep: 1 } });
  await s.release('3');
  await s.remove(s.one);
  await s.run(minutes(75));
  expect(s.last()).toBeUndefined();
  // The one that a roll-back goes to.
  await s.remove(s.two);
  await s.run(minutes(75), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated' });
});

describe('a second region', () => {
  test('a replication rule, and the image is not there: told; there: well', async () => {
    const s = await started();
    s.world.ecr.replication = COPY;
    s.world.ecr.replicas.set(`${OTHER}/shop/web`, [...s.repository.images.filter((i) => i.digest === s.two)]);
    await s.run(hours(3), s.over);
    expect(s.last()?.because).toContain(`${s.one} of web:1 (shop/web in ${s.world.region}) is not in ${OTHER}`);
    expect(s.last()?.because).not.toContain(s.two);
    s.world.ecr.replicas.set(`${OTHER}/shop/web`, s.repository.images);
    await s.run(hours(2), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('a rule of other repositories, or none: told only where it must be', async () => {
    const s = await started();
    s.world.ecr.replication = COPY.map((r) => ({
      ...r,
      repositoryFilters: [{ filter: 'prod/', filterType: 'PREFIX_MATCH' }],
    }));
    await s.run(hours(3));
    expect(s.last()).toBeUndefined();
    const strict = await started({ settings: { replicated: true } });
    await strict.run(hours(3), strict.over);
    expect(strict.last()?.because).toContain('no replication rule copies shop/web');
  });
});

test('a policy of an unknown form goes to a person', async () => {
  const s = await started();
  await s.lifecycle(expire(1, { tagStatus: 'any', countType: 'imageSizeMoreThan', countNumber: 1 }));
  await s.run(minutes(75), s.over);
  expect(s.last()?.because).toContain('cannot be read, so it is not known whether it keeps them');
});

test('without the tag it is none of Steward’s business', async () => {
  const s = await started({ tags: {} });
  await s.lifecycle(ONE);
  await s.run(hours(2));
  expect(s.last()).toBeUndefined();
});

test('throttled: told all the same', async () => {
  const s = await started();
  s.world.faults.sometimes({ probability: 0.2, kind: 'throttle', service: 'ecr' });
  s.repository.lifecycle = JSON.stringify({ rules: [ONE] });
  await s.run(days(1), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated' });
});
