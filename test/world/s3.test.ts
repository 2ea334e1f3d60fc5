/** S3 and KMS of the world, by the SDK's own clients: what a trail, an archive and a checkpoint need of them. */
import { verify } from 'node:crypto';
import {
  CancelKeyDeletionCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  GenerateMacCommand,
  GetPublicKeyCommand,
  ScheduleKeyDeletionCommand,
  SignCommand,
  VerifyMacCommand,
} from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketPolicyCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  paginateListObjectsV2,
} from '@aws-sdk/client-s3';
import { addUser } from '../../world/iam.ts';
import { addKey } from '../../world/kms.ts';
import { addBucket } from '../../world/s3.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure } from './clients.ts';

const Bucket = 'audit-logs';
const begin = () => {
  const world = createWorld({ enforce: true, metrics: false });
  addBucket(world, Bucket);
  return { world, ...clientsOf(world) };
};

test('what is put is got byte for byte, whole and in part, with its names and its time', async () => {
  const { s3 } = begin();
  const Body = Buffer.from([...Array(256).keys()]);
  const Key = 'AWSLogs/1 ü+&/a.json.gz';
  const Metadata = { chain: '7' };
  const { ETag } = await s3.send(
    new PutObjectCommand({ Bucket, Key, Body, Metadata, ContentType: 'application/gzip' }),
  );
  const whole = await s3.send(new GetObjectCommand({ Bucket, Key }));
  expect(Buffer.from((await whole.Body?.transformToByteArray()) ?? [])).toEqual(Body);
  expect(whole).toMatchObject({ ETag, Metadata, ContentType: 'application/gzip', ContentLength: 256 });
  const part = await s3.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=10-19' }));
  expect([...((await part.Body?.transformToByteArray()) ?? [])]).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  expect((await s3.send(new HeadObjectCommand({ Bucket, Key }))).LastModified).toBeInstanceOf(Date);
  expect(await failure(s3.send(new GetObjectCommand({ Bucket, Key: 'other' })))).toBe('NoSuchKey');
  expect(await failure(s3.send(new GetObjectCommand({ Bucket: 'nobody', Key })))).toBe('NoSuchBucket');
});

test('lists in pages, by prefix and by folder', async () => {
  const { s3 } = begin();
  for (let n = 0; n < 25; n++)
    await s3.send(new PutObjectCommand({ Bucket, Key: `d${n % 5}/${String(n).padStart(2, '0')}`, Body: `${n}` }));
  const keys: string[] = [];
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 4 }, { Bucket }))
    keys.push(...(page.Contents ?? []).map((o) => o.Key ?? ''));
  expect(keys).toHaveLength(25);
  expect(keys).toEqual(keys.toSorted());
  const { CommonPrefixes, Contents } = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: '/' }));
  expect(CommonPrefixes?.map((p) => p.Prefix)).toEqual(['d0/', 'd1/', 'd2/', 'd3/', 'd4/']);
  expect(Contents).toBeUndefined();
  const after = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'd1/', StartAfter: 'd1/06' }));
  expect(after.Contents?.map((o) => o.Key)).toEqual(['d1/11', 'd1/16', 'd1/21']);
  const { Deleted } = await s3.send(
    new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'd1/06' }, { Key: 'd1/11' }] } }),
  );
  expect(Deleted).toHaveLength(2);
  expect((await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'd1/' }))).KeyCount).toBe(3);
});

test('a locked version stays, whoever deletes; what is there is not put again by who asks for that', async () => {
  const { s3, world } = begin();
  await s3.send(new CreateBucketCommand({ Bucket: 'locked', ObjectLockEnabledForBucket: true }));
  const until = new Date(world.clock.now() + 86_400_000);
  const put = { Bucket: 'locked', Key: 'checkpoint/1', Body: 'signed' };
  const { VersionId } = await s3.send(
    new PutObjectCommand({ ...put, IfNoneMatch: '*', ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: until }),
  );
  expect(await failure(s3.send(new PutObjectCommand({ ...put, IfNoneMatch: '*' })))).toBe('PreconditionFailed');
  const one = { Bucket: 'locked', Key: 'checkpoint/1', VersionId };
  expect(await failure(s3.send(new DeleteObjectCommand({ ...one, BypassGovernanceRetention: true })))).toBe(
    'AccessDenied',
  );
  // A marker hides it; the version is still there.
  await s3.send(new DeleteObjectCommand({ Bucket: 'locked', Key: 'checkpoint/1' }));
  expect(await failure(s3.send(new GetObjectCommand({ Bucket: 'locked', Key: 'checkpoint/1' })))).toBe('NoSuchKey');
  const { Versions, DeleteMarkers } = await s3.send(new ListObjectVersionsCommand({ Bucket: 'locked' }));
  expect([Versions?.length, DeleteMarkers?.length]).toEqual([1, 1]);
  expect((await s3.send(new GetObjectCommand(one))).ObjectLockRetainUntilDate).toEqual(until);
  world.clock.advance(2 * 86_400_000);
  expect(await failure(s3.send(new DeleteObjectCommand(one)))).toBe('no error');
});

test('a bucket policy denies whom it names, and its change is an event', async () => {
  const { s3, world } = begin();
  const heard: unknown[] = [];
  world.onEvent((e) => heard.push((e.detail as { eventName?: string }).eventName));
  const mary = addUser(world, 'mary', [{ Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }] }]);
  const hers = clientsOf(world, mary).s3;
  const put = new PutObjectCommand({ Bucket, Key: 'a', Body: 'b' });
  expect(await failure(hers.send(put))).toBe('no error');
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `arn:aws:s3:::${Bucket}/*` }],
  });
  await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
  expect((await s3.send(new GetBucketPolicyCommand({ Bucket }))).Policy).toBe(Policy);
  expect(await failure(hers.send(put))).toBe('AccessDenied');
  await s3.send(new DeleteBucketPolicyCommand({ Bucket }));
  expect(await failure(s3.send(new GetBucketPolicyCommand({ Bucket })))).toBe('NoSuchBucketPolicy');
  world.clock.advance(60_000);
  expect(heard).toEqual(['PutBucketPolicy', 'DeleteBucketPolicy']);
});

test('a key signs and makes codes while it is enabled; what was to be deleted comes back disabled', async () => {
  const { kms, world } = begin();
  const { arn: KeyId } = addKey(world, { spec: 'ECC_NIST_P256', alias: 'alias/checkpoints' });
  const Message = Buffer.from('a checkpoint');
  const sign = () =>
    kms.send(new SignCommand({ KeyId: 'alias/checkpoints', Message, SigningAlgorithm: 'ECDSA_SHA_256' }));
  const { Signature } = await sign();
  const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId }));
  const key = { key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' } as const;
  expect(verify('sha256', Message, key, Signature ?? Buffer.of())).toBe(true);
  await kms.send(new DisableKeyCommand({ KeyId }));
  expect(await failure(sign())).toBe('DisabledException');
  await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
  expect(await failure(kms.send(new EnableKeyCommand({ KeyId })))).toBe('KMSInvalidStateException');
  await kms.send(new CancelKeyDeletionCommand({ KeyId }));
  expect((await kms.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.KeyState).toBe('Disabled');
  await kms.send(new EnableKeyCommand({ KeyId }));
  expect(await failure(sign())).toBe('no error');

  const mac = { KeyId: addKey(world, { spec: 'HMAC_256' }).arn, MacAlgorithm: 'HMAC_SHA_256', Message } as const;
  const { Mac } = await kms.send(new GenerateMacCommand(mac));
  expect((await kms.send(new VerifyMacCommand({ ...mac, Mac }))).MacValid).toBe(true);
  const forged = Uint8Array.from(Mac ?? [], (byte, i) => (i === 3 ? byte ^ 1 : byte));
  expect(await failure(kms.send(new VerifyMacCommand({ ...mac, Mac: forged })))).toBe('KMSInvalidMacException');
});
