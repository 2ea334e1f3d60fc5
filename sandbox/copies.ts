/** Buckets of the world that functions read: the emulator serves S3 to them, so what comes into the world's is put there as well. */
import { BucketAlreadyOwnedByYou, CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Bucket, Version } from '../world/s3.ts';
import type { Reach } from './bridge.ts';

const EVERY = 1_000;

/** @param onFailure told of what could not be copied; it is tried again @returns ends it */
export const copyBucket = async (
  bucket: Bucket,
  reach: Reach,
  onFailure: (e: unknown) => void,
): Promise<() => void> => {
  const s3 = new S3Client({ ...reach, forcePathStyle: true });
  const region = reach.region as 'eu-central-1';
  await s3
    .send(new CreateBucketCommand({ Bucket: bucket.name, CreateBucketConfiguration: { LocationConstraint: region } }))
    .catch((e: unknown) => {
      if (!(e instanceof BucketAlreadyOwnedByYou)) throw e;
    });
  const copied = new Set<Version>();
  const copy = async (): Promise<void> => {
    for (const [Key, versions] of bucket.objects) {
      const latest = versions.at(-1);
      if (!latest?.body || copied.has(latest)) continue;
      await s3.send(
        new PutObjectCommand({ Bucket: bucket.name, Key, Body: latest.body, Metadata: { ...latest.metadata } }),
      );
      copied.add(latest);
    }
  };
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    void copy()
      .catch(onFailure)
      .finally(() => {
        busy = false;
      });
  }, EVERY);
  timer.unref();
  return () => clearInterval(timer);
};
