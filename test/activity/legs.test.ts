/** The world's CloudTrail by both its ways, late and doubled: every record of the files is in the log once, and its digests vouch for the hours. */
import { gunzipSync } from 'node:zlib';
import { CreateTagsCommand, DescribeInstancesCommand } from '@aws-sdk/client-ec2';
import { completenessOf } from '../../shared/activity/completeness.ts';
import { verifyDigests } from '../../shared/activity/digest.ts';
import { sha256 } from '../../shared/activity/hashing.ts';
import { readActivity } from '../../shared/activity/record.ts';
import { recordsOf } from '../../shared/activity/recordsOf.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { addTrail } from '../../world/cloudtrail.ts';
import { makeInstance } from '../../world/instances.ts';
import { recordCalls } from '../../world/recorder.ts';
import { addBucket } from '../../world/s3.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf } from '../world/clients.ts';
import { aLog, allRows } from './setting.ts';

test('set of the files = set of the log, each once; the hours are digest-verified', async () => {
  const world = createWorld({ enforce: true, metrics: false });
  const bucket = addBucket(world, 'audit-logs');
  addTrail(world, 'audit', { bucket: bucket.name });
  const recorder = recordCalls(world, 'audit', bucket);
  recorder.trouble.late = 0.3;
  recorder.trouble.doubled = 0.3;
  const { ec2 } = clientsOf(world);
  const { id } = makeInstance(world, { running: true });
  const log = aLog(1);
  const events: Buffer[] = [];
  world.onEvent((event) => {
    if (event['detail-type'].endsWith('via CloudTrail')) events.push(Buffer.from(JSON.stringify(event)));
  });
  const began = world.clock.now();
  for (let n = 0; n < 40; n++) {
    if (n % 3 > 0) await ec2.send(new DescribeInstancesCommand({}));
    else await ec2.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: 'n', Value: `${n}` }] }));
    world.clock.advance(minutes(4));
  }
  world.clock.advance(minutes(150));
  const unpacked = (key: string): Buffer => gunzipSync(bucket.objects.get(key)?.at(-1)?.body ?? Buffer.of());
  const keysIn = (folder: string) => [...bucket.objects.keys()].filter((k) => k.includes(`/${folder}/`));

  expect(events.length).toBeGreaterThan(10);
  const provisional = await log.writer.append('eventbridge', events);
  for (const key of keysIn('CloudTrail')) {
    const records: Buffer[] = [];
    for await (const record of recordsOf([unpacked(key)])) records.push(Buffer.from(record));
    await log.writer.append('file', records);
  }
  const ids = (await allRows(log, {})).map((r) => r.activity.id).sort();
  expect(provisional.written).toBe(events.length);
  expect(ids).toEqual(recorder.records.map((r) => r.eventID).sort());

  const { der, fingerprint } = recorder.publicKey;
  const digests = keysIn('CloudTrail-Digest').map((key) => ({
    bucket: bucket.name,
    key,
    bytes: unpacked(key),
    signature: bucket.objects.get(key)?.at(-1)?.metadata['signature'] ?? '',
  }));
  const first = Math.ceil(began / hours(1)) * hours(1);
  const range = { from: first, to: first + hours(4) };
  const hashOf = async ({ key }: { key: string }) =>
    bucket.objects.has(key) ? sha256(unpacked(key)).toString('hex') : undefined;
  const report = await verifyDigests(digests, [{ fingerprint, der }], range, hashOf);
  expect(report.findings).toEqual([]);
  const facts = {
    hour: first,
    provisional: 1,
    trail: { logging: true, validated: true },
    ingestedAt: undefined,
    covered: report.covered,
    troubles: [],
  };
  expect(completenessOf(facts, world.clock.now())).toEqual({ state: 'digest-verified' });

  // Two digests deleted one after the other.
  const less = await verifyDigests(
    digests.filter((_, n) => n !== 1 && n !== 2),
    [{ fingerprint, der }],
    range,
    hashOf,
  );
  expect(less.findings.map((f) => f.kind)).toEqual(['missing']);
  expect(readActivity(events[0]!).what).toBe('ec2:CreateTags');
});
