/** Somebody takes away what a trail needs to write: its key, or its bucket's policy. Whether it can write is judged by the world's own policy engine. */
import {
  DisableKeyCommand,
  EnableKeyCommand,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { DeleteBucketPolicyCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { minutes, seconds } from '../../shared/core/time.ts';
import { addTrail, type Trail } from '../../world/cloudtrail.ts';
import { addUser } from '../../world/iam.ts';
import { addKey } from '../../world/kms.ts';
import { addBucket } from '../../world/s3.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, createAccount } from './account.ts';

const ALL = [{ Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }];
const BUCKET = 'audit-logs-111122223333';
const AT = `arn:aws:s3:::${BUCKET}`;
const service = { Effect: 'Allow', Principal: { Service: 'cloudtrail.amazonaws.com' } };
const acl = { Sid: 'AWSCloudTrailAclCheck', ...service, Action: 's3:GetBucketAcl', Resource: AT };
const write = {
  Sid: 'AWSCloudTrailWrite',
  ...service,
  Action: 's3:PutObject',
  Resource: `${AT}/AWSLogs/111122223333/*`,
};
const auditors = {
  Sid: 'Auditors',
  Effect: 'Allow',
  Principal: { AWS: 'arn:aws:iam::444455556666:root' },
  Action: 's3:GetObject',
  Resource: `${AT}/*`,
};
const document = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
const RESTORING = { trails: { audit: { bucket: BUCKET, restoreBucketPolicy: true } } };

const withTrail = (options?: AccountOptions, trail?: Partial<Trail>) => {
  const account = createAccount(options);
  const { world } = account;
  const key = addKey(world);
  const bucket = addBucket(world, BUCKET, { policy: document(auditors, acl, write) });
  addTrail(world, 'audit', { bucket: BUCKET, kmsKey: key.arn, ...trail });
  const person = (name: string) => clientsOf(world, addUser(world, name, ALL));
  const [anna, ben] = [person('anna'), person('ben')];
  const incidents = () => account.incidents().filter((i) => i.remediation === 'trail-undelivered');
  const last = () => incidents().at(-1);
  let known = 0;
  const over = () => incidents().length > known && (last()?.state === 'closed' || last()?.state === 'escalated');
  const does = async (call: Promise<unknown>): Promise<void> => {
    let done = false;
    known = incidents().length;
    call.finally(() => (done = true));
    await account.run(seconds(10), () => done);
    await call;
  };
  const words = () =>
    last()
      ?.log.map((l) => l.say)
      .join('\n') ?? '';
  const sids = () =>
    (JSON.parse(bucket.policy ?? '{"Statement":[]}').Statement as { Sid?: string }[]).map((s) => s.Sid);
  const error = () => world.cloudtrail.trails.get('audit')?.deliveryError;
  return { ...account, anna, ben, key, bucket, incidents, last, over, does, words, sids, error };
};
const disable = (s: { key: { arn: string } }) => new DisableKeyCommand({ KeyId: s.key.arn });
const KEEPING = new DeleteBucketPolicyCommand({ Bucket: BUCKET });

describe('its key', () => {
  test('disabled: enabled again within seconds, and its author is named', async () => {
    const s = withTrail();
    await s.does(s.anna.kms.send(disable(s)));
    const since = s.clock.now();
    await s.run(minutes(5), () => s.key.enabled);
    expect(s.clock.now() - since).toBeLessThan(seconds(20));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'enable-key', effect: 'effective' }] });
    expect(s.words()).toMatch(/its key is disabled \(changed by arn:aws:iam::\d+:user\/anna\)/);
  });

  test('to be deleted: kept, and enabled', async () => {
    const s = withTrail();
    await s.does(s.anna.kms.send(new ScheduleKeyDeletionCommand({ KeyId: s.key.id, PendingWindowInDays: 7 })));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'keep-key' }, { rung: 'enable-key' }] });
    expect(s.key).toMatchObject({ enabled: true, deletion: undefined });
  });

  test('disabled by whom the policy trusts stays so', async () => {
    const s = withTrail({ policy: { trusted: ['arn:aws:iam::*:user/anna'] } });
    await s.does(s.anna.kms.send(disable(s)));
    await s.run(minutes(30));
    expect(s.error()).toBe('KMS.DisabledException');
    expect(s.key.enabled).toBe(false);
    expect(s.words()).toMatch(/user\/anna changed it, whom `trusted`/);
  });

  test('a second time within the day goes to a person, with both authors', async () => {
    const s = withTrail();
    await s.does(s.anna.kms.send(disable(s)));
    await s.run(minutes(10), s.over);
    await s.run(minutes(10));
    await s.does(s.ben.kms.send(disable(s)));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: expect.stringMatching(/^attempts: the very same was done/),
    });
    expect(s.words()).toMatch(/changed by \S+user\/ben; lately also .*user\/anna/);
    expect(s.key.enabled).toBe(false);
    await s.does(s.ben.kms.send(new EnableKeyCommand({ KeyId: s.key.arn })));
    await s.run(minutes(30), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('without an event, by CloudTrail’s report after its next delivery; the author by its history', async () => {
    const s = withTrail({ deaf: true });
    await s.does(s.anna.kms.send(disable(s)));
    await s.run(minutes(6), () => s.error() !== undefined);
    await s.run(minutes(30), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'enable-key', effect: 'effective' }] });
    expect(s.words()).toMatch(/user\/anna/);
    expect(s.error()).toBeUndefined();
  });

  test('of no trail, or of one that is not ours, it is left alone', async () => {
    const s = withTrail({}, { tags: {} });
    const other = addKey(s.world);
    await s.does(s.anna.kms.send(disable({ key: other })));
    await s.run(minutes(2));
    expect(s.incidents()).toEqual([]);
    await s.does(s.anna.kms.send(disable(s)));
    await s.run(minutes(2));
    expect(s.last()).toMatchObject({ end: 'not-ours' });
    await s.does(s.anna.kms.send(new PutKeyPolicyCommand({ KeyId: other.arn, Policy: other.policy })));
    await s.run(minutes(2));
    expect([s.key.enabled, other.enabled]).toEqual([false, false]);
  });

  test('which it may not enable: a person is told', async () => {
    const s = withTrail();
    s.world.faults.failNext('kms', 'EnableKey', { kind: 'denied', times: 99 });
    await s.does(s.anna.kms.send(disable(s)));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringMatching(/mending it failed/) });
  });
});

describe("its bucket's policy", () => {
  test('deleted, and the policy lets Steward: put back within seconds, and the trail writes', async () => {
    const s = withTrail({ policy: RESTORING });
    await s.does(s.anna.s3.send(KEEPING));
    const since = s.clock.now();
    await s.run(minutes(5), () => s.bucket.policy !== undefined);
    expect(s.clock.now() - since).toBeLessThan(seconds(20));
    await s.run(minutes(12));
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'restore-policy', effect: 'effective' }] });
    expect(s.error()).toBeUndefined();
    expect(s.words()).toMatch(/lacks AWSCloudTrailAclCheck, AWSCloudTrailWrite \(changed by \S+user\/anna\)/);
  });

  test('half of it gone, after a delivery failed: what is missing is added to what others wrote', async () => {
    const s = withTrail({ policy: RESTORING, deaf: true });
    await s.does(s.anna.s3.send(new PutBucketPolicyCommand({ Bucket: BUCKET, Policy: document(acl, auditors) })));
    await s.run(minutes(6), () => s.error() === 'AccessDenied');
    await s.run(minutes(40), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.sids()).toEqual(['AWSCloudTrailAclCheck', 'Auditors', 'AWSCloudTrailWrite']);
    expect(s.error()).toBeUndefined();
  });

  test('deleted, without leave: a person has the statements, and the line that gives leave', async () => {
    const s = withTrail({ policy: { trails: { audit: { bucket: BUCKET } } } });
    await s.does(s.anna.s3.send(KEEPING));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.remedy).toMatch(/"AWSCloudTrailWrite".*"s3:x-amz-acl".*restoreBucketPolicy: true/);
    expect(s.bucket.policy).toBeUndefined();
  });

  test('a Deny of somebody else is named to a person, and stays', async () => {
    const s = withTrail({ policy: RESTORING });
    const deny = { Sid: 'NoMore', Effect: 'Deny', Principal: '*', Action: 's3:Put*', Resource: `${AT}/*` };
    await s.does(s.anna.s3.send(new PutBucketPolicyCommand({ Bucket: BUCKET, Policy: document(acl, deny) })));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [], because: expect.stringContaining('NoMore') });
    expect(s.sids()).toEqual(['AWSCloudTrailAclCheck', 'NoMore']);
  });
});

test('bucket and key of another account cannot be seen: CloudTrail’s report counts, and a person has the statements', async () => {
  const s = withTrail({}, { bucket: 'central-logs', prefix: 'all', deliveryError: 'AccessDenied' });
  s.world.faults.failNext('s3', 'GetBucketPolicy', { kind: 'denied', times: 999 });
  s.world.faults.failNext('kms', 'DescribeKey', { kind: 'denied', times: 999 });
  await s.run(minutes(20), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  expect(s.last()?.because).toMatch(/cannot write: CloudTrail says AccessDenied/);
  const [, statements] = /must hold (.*);/.exec(s.last()?.remedy ?? '') ?? [];
  expect(JSON.parse(`[${statements}]`)).toMatchObject([
    { Action: 's3:GetBucketAcl', Resource: 'arn:aws:s3:::central-logs' },
    { Action: 's3:PutObject', Resource: 'arn:aws:s3:::central-logs/all/AWSLogs/111122223333/*' },
  ]);
  expect(s.last()?.remedy).toContain(`aws kms describe-key --key-id ${s.key.arn}`);
  Object.assign(s.world.cloudtrail.trails.get('audit') ?? {}, { deliveryError: undefined });
  await s.run(minutes(20), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
});
