/** registry-exposed in the world: a repository that lets strangers in is closed, and nothing else of its policy is changed. */
import { PutImageScanningConfigurationCommand, SetRepositoryPolicyCommand } from '@aws-sdk/client-ecr';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { makeRepository, type Repository } from '../../world/ecr.ts';
import { createDesk } from '../cli/desk.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, following } from './account.ts';

const NAME = 'registry-exposed';
const TAGS = { 'steward:managed': 'true' };
const PULL = ['ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'];
const allow = (Principal: unknown, more: object = {}) => ({ Effect: 'Allow', Principal, Action: PULL, ...more });
const policy = (...Statement: object[]): string => JSON.stringify({ Version: '2012-10-17', Statement });
const OWN = allow({ AWS: 'arn:aws:iam::111122223333:role/build' });

interface Told extends AccountOptions {
  readonly of?: Partial<Repository>;
  readonly settings?: object;
}
const started = async ({ of = {}, settings = {}, ...options }: Told = {}) => {
  const desk = createDesk({ policy: { preset: 'automatic', remediations: { [NAME]: settings } }, ...options });
  const { account } = desk;
  const { world, run } = account;
  const repository = makeRepository(world, 'shop/web', { tags: TAGS, policy: policy(OWN), ...of });
  await run(minutes(1));
  const set = async (policyText: string) => {
    const call = clientsOf(world).ecr.send(new SetRepositoryPolicyCommand({ repositoryName: 'shop/web', policyText }));
    await run(seconds(1));
    await call;
  };
  const calls = (operation: string) =>
    world.calls.filter((c) => c.operation === operation && c.principal.includes(`remedy-${NAME}/`));
  return { ...account, ...desk, ...following(account, 'repository/shop/web', NAME), repository, set, calls };
};

describe('a policy that lets in', () => {
  test.each([
    ['everyone', allow('*'), 'everyone'],
    ['everyone, by AWS', allow({ AWS: '*' }), 'everyone'],
    ['another account', allow({ AWS: 'arn:aws:iam::444455556666:root' }), 'the account 444455556666'],
    ['another account, by its id', allow({ AWS: '444455556666' }), 'the account 444455556666'],
    [
      'everyone but one',
      { Effect: 'Allow', NotPrincipal: { AWS: 'arn:aws:iam::111122223333:root' }, Action: PULL },
      'everyone but some',
    ],
    [
      'everyone from an address',
      allow('*', { Condition: { IpAddress: { 'aws:SourceIp': '198.51.100.0/24' } } }),
      'everyone',
    ],
    [
      'everyone of any organisation',
      allow('*', { Condition: { StringLike: { 'aws:PrincipalOrgID': '*' } } }),
      'everyone',
    ],
  ])('%s: closed within seconds, and the rest stays', async (_name, stranger, who) => {
    const s = await started();
    await s.set(policy(OWN, stranger));
    await s.run(minutes(3), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['close', 'effective']]);
    expect(s.last()?.attempts[0]?.because).toContain(`its policy lets ${who} in`);
    expect(JSON.parse(s.repository.policy ?? '')).toEqual(JSON.parse(policy(OWN)));
  });

  test.each([
    ['its own account', OWN],
    ['a service of AWS', allow({ Service: 'lambda.amazonaws.com' })],
    ['the organisation', allow('*', { Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-a1b2c3d4e5' } } })],
    ['an account that is allowed', allow({ AWS: 'arn:aws:iam::222233334444:role/ci' })],
    ['nobody: it denies', { Effect: 'Deny', Principal: '*', Action: 'ecr:DeleteRepository' }],
  ])('%s: that is let be', async (_name, known) => {
    const s = await started({ settings: { allowAccounts: ['222233334444'] } });
    await s.set(policy(known));
    await s.run(minutes(12));
    expect([...s.calls('SetRepositoryPolicy'), ...s.calls('DeleteRepositoryPolicy')]).toEqual([]);
    expect(s.repository.policy).toBe(policy(known));
  });

  test('strangers among others in one statement: only they are taken out', async () => {
    const s = await started();
    const both = ['arn:aws:iam::111122223333:role/build', 'arn:aws:iam::444455556666:role/x'];
    await s.set(policy(allow({ AWS: both, Service: 'lambda.amazonaws.com' })));
    await s.run(minutes(3), () => s.last()?.state === 'closed');
    expect(JSON.parse(s.repository.policy ?? '').Statement).toEqual([
      allow({ Service: 'lambda.amazonaws.com', AWS: both.slice(0, 1) }),
    ]);
  });

  test('nobody else: the policy is removed; and put back at a person’s word', async () => {
    const s = await started();
    await s.set(policy(allow('*')));
    await s.run(minutes(3), () => s.last()?.state === 'closed');
    expect(s.repository.policy).toBeUndefined();
    expect(await s.steward('alice')('undo', s.last()?.id ?? '', '--yes')).toMatchObject({ code: 0 });
    await s.run(minutes(1));
    expect(s.repository.policy).toBe(policy(allow('*')));
  });
});

test('by the cautious preset a person is asked, for somebody may pull by that door', async () => {
  const s = await started({ policy: {} });
  await s.set(policy(allow('*')));
  await s.run(minutes(3), s.over);
  expect(s.last()).toMatchObject({ state: 'asking' });
  await s.steward('alice')('approve', s.last()?.id ?? '');
  await s.run(minutes(3), () => s.last()?.state === 'closed');
  expect(s.repository.policy).toBeUndefined();
});

test('EventBridge is deaf: the survey finds it', async () => {
  const s = await started({ deaf: true });
  await s.set(policy(allow('*')));
  await s.run(minutes(12), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
});

test('scanning is turned on again; tags are made immutable only where it is said', async () => {
  const s = await started();
  const call = clientsOf(s.world).ecr.send(
    new PutImageScanningConfigurationCommand({
      repositoryName: 'shop/web',
      imageScanningConfiguration: { scanOnPush: false },
    }),
  );
  await s.run(minutes(3), () => s.last()?.state === 'closed');
  await call;
  expect(s.rungs()).toEqual([['scan', 'effective']]);
  expect(s.repository).toMatchObject({ scanOnPush: true, immutable: false });
  const strict = await started({ settings: { immutableTags: true } });
  await strict.run(minutes(12), () => strict.last()?.state === 'closed');
  expect(strict.repository).toMatchObject({ immutable: true });
});

test('what somebody of `trusted` has set is intended', async () => {
  const s = await started({ policy: { preset: 'automatic', trusted: ['arn:aws:iam::111122223333:root'] } });
  await s.set(policy(allow('*')));
  await s.run(minutes(3));
  expect(s.calls('DeleteRepositoryPolicy')).toEqual([]);
});

test('a policy that cannot be read goes to a person', async () => {
  const s = await started({ of: { policy: '{"Statement":"none"}' } });
  await s.run(minutes(12), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  expect(s.last()?.because).toContain('cannot be read, so it is not known whom it lets in');
});

test('without the tag it is none of Steward’s business', async () => {
  const s = await started({ of: { tags: {}, policy: policy(allow('*')) } });
  await s.run(minutes(12));
  expect(s.last()?.end ?? 'not-ours').toBe('not-ours');
  expect(s.repository.policy).toBe(policy(allow('*')));
});

test('somebody opens it again and again: not fought over', async () => {
  const s = await started();
  for (let n = 0; n < 4; n++) {
    await s.set(policy(OWN, allow('*')));
    await s.run(minutes(4));
  }
  await s.run(hours(1));
  expect(s.calls('SetRepositoryPolicy')).toHaveLength(1);
  expect(s.last()).toMatchObject({ state: 'escalated' });
});

test('throttled, a reply lost: closed all the same', async () => {
  const s = await started();
  s.world.faults.failNext('ecr', 'SetRepositoryPolicy', { kind: 'drop', afterEffect: true });
  s.world.faults.sometimes({ probability: 0.2, kind: 'throttle', service: 'ecr' });
  await s.run(seconds(1));
  s.repository.policy = policy(OWN, allow('*'));
  await s.run(minutes(20), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(JSON.parse(s.repository.policy ?? '')).toEqual(JSON.parse(policy(OWN)));
});
