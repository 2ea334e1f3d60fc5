/**
 * A bucket for the activity log: bodies that are too large for its table, the archive, checkpoints. What is written is never written again, so that a bucket with Object Lock takes it; the lock's
 * default retention is the bucket's own setting.
 */
import { GetObjectCommand, NoSuchKey, PutObjectCommand, PutObjectTaggingCommand, S3Client } from '@aws-sdk/client-s3';
import type { Objects } from '../activity/log.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** The tag by which the bucket's rules know what may go (resources/activity-bucket.cjs). */
const MAY_GO = 'steward:may-go';

export interface ObjectsOptions extends ClientOptions {
  readonly bucket: string;
  /** Before every key: '' or 'folder/'. */
  readonly prefix?: string;
  /** The account that must own it: S3 refuses another's. */
  readonly owner?: string;
}

export const bucketObjects = ({ bucket, prefix = '', owner, ...options }: ObjectsOptions): Objects => {
  const at = { Bucket: bucket, ...(owner === undefined ? {} : { ExpectedBucketOwner: owner }) };
  // By path: a bucket's name may have dots, and no other host is asked for.
  const client = new S3Client({ ...clientConfig(options, 3), forcePathStyle: true, followRegionRedirects: true });
  return {
    put: (key, bytes) =>
      calling(`cannot write ${key} to ${bucket}`, async () => {
        await client.send(new PutObjectCommand({ ...at, Key: prefix + key, Body: bytes, ChecksumAlgorithm: 'SHA256' }));
      }),
    get: (key) =>
      calling(`cannot read ${key} of ${bucket}`, async () => {
        try {
          const { Body } = await client.send(new GetObjectCommand({ ...at, Key: prefix + key }));
          return await Body?.transformToByteArray();
        } catch (e) {
          // Without s3:ListBucket a missing key is AccessDenied: the role has it.
          if (e instanceof NoSuchKey) return undefined;
          throw e;
        }
      }),
    letGo: (key) =>
      calling(`cannot mark ${key} of ${bucket}`, async () => {
        const Tagging = { TagSet: [{ Key: MAY_GO, Value: 'true' }] };
        await client.send(new PutObjectTaggingCommand({ ...at, Key: prefix + key, Tagging }));
      }),
  };
};
