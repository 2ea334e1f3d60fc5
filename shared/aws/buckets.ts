/** The policies of S3 buckets. */
import { GetBucketPolicyCommand, PutBucketPolicyCommand, S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import * as z from 'zod/mini';
import type { BucketPolicy, Buckets } from '../core/delivery.ts';
import { InvalidInput } from '../core/errors.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** One statement may stand without its list. */
const statement = z.record(z.string(), z.unknown());
const document = z.looseObject({
  Version: z.optional(z.string()),
  Statement: z.union([z.array(statement), statement]),
});

const policyOf = (bucket: string, text: string): BucketPolicy => {
  const { success, data } = z.safeParse(document, JSON.parse(text));
  if (!success) throw new InvalidInput(`the policy of bucket ${bucket} has no statements that can be read`);
  const { Version, Statement, ...rest } = data;
  return { ...rest, ...(Version === undefined ? {} : { Version }), Statement: [Statement].flat() };
};

export const s3Buckets = ({ account, ...options }: ClientOptions & { account: string }): Buckets => {
  // A trail's bucket may be in another region than the trail. By path: its name may have dots.
  const client = new S3Client({ ...clientConfig(options, 3), forcePathStyle: true, followRegionRedirects: true });
  return {
    policy: (bucket) =>
      calling(`cannot read the policy of bucket ${bucket}`, async () => {
        const text = await client.send(new GetBucketPolicyCommand({ Bucket: bucket })).then(
          ({ Policy }) => Policy,
          (e: unknown) => {
            if (e instanceof S3ServiceException && e.name === 'NoSuchBucketPolicy') return undefined;
            throw e;
          },
        );
        return text ? policyOf(bucket, text) : undefined;
      }),
    // It names the end state: a repetition changes nothing.
    putPolicy: (bucket, policy) =>
      calling(`cannot change the policy of bucket ${bucket}`, async () => {
        await client.send(
          new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(policy), ExpectedBucketOwner: account }),
        );
      }),
  };
};
