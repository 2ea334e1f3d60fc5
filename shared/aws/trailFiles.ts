/** A trail's bucket, read as it lies: unpacked while it streams in, so that a file of any size takes no more memory than a small one. */

import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { GetObjectCommand, ListObjectsV2Command, NoSuchKey, S3Client } from '@aws-sdk/client-s3';
import type { TrailFiles } from '../activity/log.ts';
import { InvalidInput, NotFound } from '../core/errors.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { asOurs, calling } from './errors.ts';

/** zlib's own: the bytes are no gzip, or end before it does. */
const isBroken = (e: unknown): boolean => String((e as { code?: unknown } | undefined)?.code).startsWith('Z_');

export const trailFiles = ({ bucket, ...options }: ClientOptions & { readonly bucket: string }): TrailFiles => {
  // A trail's bucket may be in another region than the trail. By path: its name may have dots.
  const client = new S3Client({ ...clientConfig(options, 3), forcePathStyle: true, followRegionRedirects: true });

  async function* pages(prefix: string, more: { readonly StartAfter?: string; readonly Delimiter?: string }) {
    let ContinuationToken: string | undefined;
    do {
      const page = await calling(`cannot list ${prefix} of bucket ${bucket}`, () =>
        client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix,
            ...more,
            ...(ContinuationToken ? { ContinuationToken } : {}),
          }),
        ),
      );
      yield page;
      ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (ContinuationToken);
  }

  const fetch = (key: string) =>
    calling(`cannot read ${key} of bucket ${bucket}`, async () => {
      try {
        return await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      } catch (e) {
        if (e instanceof NoSuchKey) throw new NotFound(`${key} is not in bucket ${bucket}`, { cause: e });
        throw e;
      }
    });

  async function* unpacked(key: string, body: unknown): AsyncGenerator<Uint8Array> {
    // Whoever stops reading destroys both; an error of either is the reader's.
    const chunks = pipeline(body as Readable, createGunzip(), () => {});
    try {
      for await (const chunk of chunks) yield chunk as Uint8Array;
    } catch (e) {
      if (isBroken(e)) throw new InvalidInput(`it is no whole gzip: ${(e as Error).message}`, { cause: e });
      throw asOurs(e, `cannot read ${key} of bucket ${bucket}`);
    }
  }

  return {
    folders: async (below) => {
      const names: string[] = [];
      for await (const { CommonPrefixes = [] } of pages(below, { Delimiter: '/' }))
        for (const { Prefix = '' } of CommonPrefixes) names.push(Prefix.slice(below.length, -1));
      return names;
    },
    async *keys(prefix, after) {
      for await (const { Contents = [] } of pages(prefix, after === undefined ? {} : { StartAfter: after }))
        for (const { Key } of Contents) if (Key !== undefined) yield Key;
    },
    async *open(key) {
      const { Body } = await fetch(key);
      yield* unpacked(key, Body);
    },
    signed: async (key) => {
      const { Body, Metadata = {} } = await fetch(key);
      const chunks: Uint8Array[] = [];
      for await (const chunk of unpacked(key, Body)) chunks.push(chunk);
      return { bytes: Buffer.concat(chunks), signature: Metadata['signature'] ?? '' };
    },
  };
};
