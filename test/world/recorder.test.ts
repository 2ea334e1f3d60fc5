/** CloudTrail's two ways of the world's calls: files with digests in a bucket, and events. Read here as a stranger would. */
import { createHash, createPublicKey, createVerify } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { ListPublicKeysCommand, StartLoggingCommand, StopLoggingCommand } from '@aws-sdk/client-cloudtrail';
import { CreateTagsCommand, DescribeInstancesCommand, DescribeVolumesCommand } from '@aws-sdk/client-ec2';
import { DisableKeyCommand } from '@aws-sdk/client-kms';
import { addTrail } from '../../world/cloudtrail.ts';
import { addUser } from '../../world/iam.ts';
import { makeInstance } from '../../world/instances.ts';
import { addKey } from '../../world/kms.ts';
import { recordCalls } from '../../world/recorder.ts';
import { addBucket, type Bucket } from '../../world/s3.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, minutes } from './clients.ts';

interface Digest {
  readonly digestEndTime: string;
  readonly digestS3Bucket: string;
  readonly digestS3Object: string;
  readonly previousDigestSignature: string | null;
  readonly logFiles: readonly { readonly s3Object: string; readonly hashValue: string }[];
}
const text = (bucket: Bucket, key: string): string =>
  gunzipSync(bucket.objects.get(key)?.at(-1)?.body ?? Buffer.of()).toString();
const keysIn = (bucket: Bucket, folder: string) => [...bucket.objects.keys()].filter((k) => k.includes(`/${folder}/`));
const idsIn = (bucket: Bucket) =>
  keysIn(bucket, 'CloudTrail').flatMap((key) =>
    (JSON.parse(text(bucket, key)) as { Records: { eventID: string }[] }).Records.map((r) => r.eventID),
  );

const begin = () => {
  const world = createWorld({ enforce: true, metrics: false });
  const bucket = addBucket(world, 'audit-logs');
  addTrail(world, 'audit', { bucket: bucket.name });
  const recorder = recordCalls(world, 'audit', bucket);
  const heard: { eventID: string; eventName: string }[] = [];
  world.onEvent(({ detail }) => heard.push(detail as (typeof heard)[number]));
  return { world, bucket, recorder, heard, ...clientsOf(world) };
};

test('every call is in a file, what changes something is an event too, and both are one', async () => {
  const { world, bucket, recorder, heard, ec2, kms } = begin();
  const { id } = makeInstance(world, { running: true });
  await ec2.send(new DescribeInstancesCommand({}));
  await ec2.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: 'a', Value: 'b' }] }));
  await kms.send(new DisableKeyCommand({ KeyId: addKey(world).id }));
  const nobody = clientsOf(world, addUser(world, 'nobody', [])).ec2;
  expect(await failure(nobody.send(new DescribeVolumesCommand({})))).toBe('UnauthorizedOperation');
  world.clock.advance(minutes(6));
  expect(recorder.records.map((r) => [r['eventName'], r['errorCode'], r['readOnly']])).toEqual([
    ['DescribeInstances', undefined, true],
    ['CreateTags', undefined, false],
    ['DisableKey', undefined, false],
    ['DescribeVolumes', 'Client.UnauthorizedOperation', true],
  ]);
  expect(idsIn(bucket)).toEqual(recorder.records.map((r) => r.eventID));
  expect(heard.map((e) => e.eventName).filter((n) => n)).toEqual(['CreateTags', 'DisableKey']);
  expect(heard.filter((e) => e.eventID).map((e) => e.eventID)).toEqual(
    recorder.records.filter((r) => r['readOnly'] === false).map((r) => r.eventID),
  );
});

test('each hour has a digest that its key vouches for, empty hours too; StopLogging breaks the chain', async () => {
  const { world, bucket, cloudtrail, ec2 } = begin();
  await ec2.send(new DescribeInstancesCommand({}));
  world.clock.advance(minutes(185));
  const { PublicKeyList = [] } = await cloudtrail.send(new ListPublicKeysCommand({}));
  const key = createPublicKey({ key: Buffer.from(PublicKeyList[0]?.Value ?? []), format: 'der', type: 'pkcs1' });
  const digests = () =>
    keysIn(bucket, 'CloudTrail-Digest').map((k) => ({
      ...(JSON.parse(text(bucket, k)) as Digest),
      body: text(bucket, k),
      signature: bucket.objects.get(k)?.at(-1)?.metadata['signature'] ?? '',
    }));
  const hash = (body: string) => createHash('sha256').update(body).digest('hex');
  expect(digests().map((d) => d.logFiles.length)).toEqual([1, 0, 0]);
  let before: string | null = null;
  for (const d of digests()) {
    expect(d.previousDigestSignature).toBe(before);
    const signed = [d.digestEndTime, `${d.digestS3Bucket}/${d.digestS3Object}`, hash(d.body), before ?? 'null'];
    expect(createVerify('RSA-SHA256').update(signed.join('\n')).verify(key, d.signature, 'hex')).toBe(true);
    for (const f of d.logFiles) expect(hash(text(bucket, f.s3Object))).toBe(f.hashValue);
    before = d.signature;
  }
  await cloudtrail.send(new StopLoggingCommand({ Name: 'audit' }));
  world.clock.advance(minutes(60));
  await cloudtrail.send(new StartLoggingCommand({ Name: 'audit' }));
  world.clock.advance(minutes(120));
  expect(digests().at(-2)?.previousDigestSignature).toBeNull();
});

test('late, doubled and missing by seed', async () => {
  const { world, bucket, recorder, ec2 } = begin();
  Object.assign(recorder.trouble, { late: 0.5, doubled: 0.3, missing: 0.2 });
  for (let n = 0; n < 100; n++) await ec2.send(new DescribeInstancesCommand({}));
  world.clock.advance(minutes(6));
  const early = new Set(idsIn(bucket)).size;
  world.clock.advance(minutes(30));
  const ids = idsIn(bucket);
  const found = new Set(ids);
  expect(early).toBeLessThan(found.size);
  expect(found.size).toBeLessThan(100);
  expect(found.size).toBeGreaterThan(60);
  expect(ids.length).toBeGreaterThan(found.size);
});
