/** S3: buckets with policy, versions and Object Lock; objects in memory. What a trail is delivered to, and what archives and checkpoints are kept in. */
import { createHash } from 'node:crypto';
import type * as api from '@aws-sdk/client-s3';
import * as s3 from '@aws-sdk/client-s3';
import { emitApiCall } from './apiCalls.ts';
import type { PolicyDocument } from './iam.ts';
import { AwsError, type Call, defineService, type Operations, s3Words } from './service.ts';
import type { World } from './world.ts';

export type Version = {
  readonly id: string;
  readonly at: number;
  /** Undefined: a delete marker. */
  readonly body: Buffer | undefined;
  readonly etag: string;
  readonly contentType: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  retention: { mode: 'GOVERNANCE' | 'COMPLIANCE'; until: number } | undefined;
};
export type Bucket = {
  readonly name: string;
  policy: string | undefined;
  versioning: 'Enabled' | 'Suspended' | undefined;
  /** Object Lock; `days`: the default retention of what is put. */
  lock: { mode: 'GOVERNANCE' | 'COMPLIANCE'; days: number } | 'on' | undefined;
  publicAccess: Required<{ [K in keyof api.PublicAccessBlockConfiguration]: boolean }> | undefined;
  kmsKey: string | undefined;
  tags: Record<string, string>;
  /** Newest version last. */
  readonly objects: Map<string, Version[]>;
};
export type S3State = { readonly buckets: Map<string, Bucket> };
export const createS3State = (): S3State => ({ buckets: new Map() });

type S3Operations = Operations<typeof api>;
const DAY = 86_400_000;
/** "By default, the action returns up to 1,000 key names." (ListObjectsV2) */
const PAGE = 1000;

/** A bucket as CreateBucket makes it, that has been there all along. */
export const addBucket = (world: World, name: string, given: Partial<Bucket> = {}): Bucket => {
  const bucket: Bucket = {
    name,
    policy: undefined,
    versioning: given.lock ? 'Enabled' : undefined,
    lock: undefined,
    publicAccess: {
      BlockPublicAcls: true,
      IgnorePublicAcls: true,
      BlockPublicPolicy: true,
      RestrictPublicBuckets: true,
    },
    kmsKey: undefined,
    tags: {},
    objects: new Map(),
    ...given,
  };
  world.s3.buckets.set(name, bucket);
  return bucket;
};

const bucketOf = (world: World, name: string | undefined): Bucket => {
  const bucket = world.s3.buckets.get(name ?? '');
  if (!bucket) throw new AwsError('NoSuchBucket', 'The specified bucket does not exist', 404);
  return bucket;
};

const latestOf = (bucket: Bucket, key: string): Version | undefined => {
  const latest = bucket.objects.get(key)?.at(-1);
  return latest?.body ? latest : undefined;
};

const versionOf = (
  world: World,
  input: { Bucket?: string; Key?: string; VersionId?: string },
): Version & { body: Buffer } => {
  const bucket = bucketOf(world, input.Bucket);
  const found = input.VersionId
    ? bucket.objects.get(input.Key ?? '')?.find((v) => v.id === input.VersionId)
    : latestOf(bucket, input.Key ?? '');
  if (!found?.body) throw new AwsError('NoSuchKey', 'The specified key does not exist.', 404);
  return found as Version & { body: Buffer };
};

type Put = Partial<Pick<Version, 'contentType' | 'metadata' | 'retention'>>;
/** Puts an object as a service of AWS does: without a call, a policy or a condition. */
export const putObject = (world: World, bucket: Bucket, key: string, body: Buffer, put: Put = {}): Version => {
  const at = world.clock.now();
  const kept = bucket.objects.get(key) ?? [];
  const days = typeof bucket.lock === 'object' ? bucket.lock : undefined;
  const version: Version = {
    id: bucket.versioning === 'Enabled' ? world.random.hex(32) : 'null',
    at,
    body,
    etag: `"${createHash('md5').update(body).digest('hex')}"`,
    contentType: put.contentType,
    metadata: put.metadata ?? {},
    retention: put.retention ?? (days && { mode: days.mode, until: at + days.days * DAY }),
  };
  bucket.objects.set(key, [...kept.filter((v) => v.id !== version.id), version]);
  return version;
};

/** The newest body under a key, for tests. */
export const objectOf = (world: World, bucket: string, key: string): Buffer | undefined =>
  latestOf(bucketOf(world, bucket), key)?.body;

const isLocked = ({ retention }: Version, at: number, bypass: boolean | undefined): boolean =>
  retention !== undefined && retention.until > at && !(retention.mode === 'GOVERNANCE' && bypass);

type Removal = { Key?: string | undefined; VersionId?: string | undefined };
const remove = (bucket: Bucket, { Key = '', VersionId }: Removal, { world, at }: Call, bypass?: boolean): object => {
  const versions = bucket.objects.get(Key) ?? [];
  if (VersionId === undefined && bucket.versioning === 'Enabled') {
    const marker: Version = {
      id: world.random.hex(32),
      at,
      body: undefined,
      etag: '',
      contentType: undefined,
      metadata: {},
      retention: undefined,
    };
    bucket.objects.set(Key, [...versions, marker]);
    return { DeleteMarker: true, VersionId: marker.id };
  }
  const gone = VersionId === undefined ? versions : versions.filter((v) => v.id === VersionId);
  if (gone.some((v) => isLocked(v, at, bypass)))
    throw new AwsError('AccessDenied', 'Access Denied because object protected by object lock.', 403);
  const left = versions.filter((v) => !gone.includes(v));
  if (left.length > 0) bucket.objects.set(Key, left);
  else bucket.objects.delete(Key);
  return VersionId === undefined ? {} : { VersionId };
};

const rangeOf = (range: string | undefined, size: number): [from: number, to: number] | undefined => {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  if (!first && !last) return undefined;
  const from = first ? Number(first) : Math.max(0, size - Number(last));
  if (from >= size) throw new AwsError('InvalidRange', 'The requested range is not satisfiable', 416);
  return [from, first && last ? Math.min(size - 1, Number(last)) : size - 1];
};

const retentionOf = (mode: string | undefined, until: Date | undefined): Version['retention'] =>
  mode && until ? { mode: mode as 'COMPLIANCE', until: until.getTime() } : undefined;

const told = (v: Version & { body: Buffer }) => ({
  ETag: v.etag,
  LastModified: new Date(v.at),
  ...(v.contentType === undefined ? {} : { ContentType: v.contentType }),
  Metadata: { ...v.metadata },
  ...(v.id === 'null' ? {} : { VersionId: v.id }),
  ...(v.retention && {
    ObjectLockMode: v.retention.mode,
    ObjectLockRetainUntilDate: new Date(v.retention.until),
  }),
});

/** Below them, code units are in the order of their UTF-8 bytes. */
const isPlain = (text: string): boolean => !/[\ud800-\uffff]/.test(text);
const byUnits = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
const byBytes = (a: string, b: string): number =>
  isPlain(a) && isPlain(b) ? byUnits(a, b) : Buffer.compare(Buffer.from(a), Buffer.from(b));

type Listed = { Key: string; version: Version & { body: Buffer } } | { Prefix: string };
/** Keys in the order of their UTF-8 bytes; what has the delimiter after the prefix is one common prefix. Only what comes after `after`. */
const listed = (bucket: Bucket, prefix: string, delimiter: string | undefined, after: string): Listed[] => {
  const rows = new Map<string, Listed>();
  for (const Key of [...bucket.objects.keys()].filter((key) => key.startsWith(prefix)).sort(byBytes)) {
    const version = latestOf(bucket, Key);
    if (!version?.body) continue;
    const cut = delimiter ? Key.indexOf(delimiter, prefix.length) : -1;
    const Prefix = cut < 0 ? undefined : Key.slice(0, cut + (delimiter?.length ?? 0));
    rows.set(Prefix ?? Key, Prefix === undefined ? { Key, version: { ...version, body: version.body } } : { Prefix });
  }
  return [...rows].filter(([name]) => byBytes(name, after) > 0).map(([, row]) => row);
};

const changed = (call: Call, eventName: string, requestParameters: Record<string, unknown>) =>
  emitApiCall(call, {
    service: 's3',
    eventName,
    requestParameters,
    resource: String(requestParameters['bucketName']),
  });

const ruled = (policy: string): PolicyDocument => {
  try {
    return JSON.parse(policy) as PolicyDocument;
  } catch {
    throw new AwsError('MalformedPolicy', 'This policy contains invalid Json', 400);
  }
};

const objectOperations: S3Operations = {
  PutObject: (input, call) => {
    const { world } = call;
    const bucket = bucketOf(world, input.Bucket);
    const key = input.Key ?? '';
    // "Uploads the object only if the object key name does not already exist in the bucket specified." (If-None-Match: *)
    if (input.IfNoneMatch === '*' && latestOf(bucket, key))
      throw new AwsError('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', 412);
    if (input.IfMatch && latestOf(bucket, key)?.etag !== input.IfMatch)
      throw new AwsError('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', 412);
    if (input.ObjectLockMode && !bucket.lock)
      throw new AwsError('InvalidRequest', 'Bucket is missing Object Lock Configuration', 400);
    const body = Buffer.from((input.Body as Uint8Array | undefined) ?? []);
    const version = putObject(world, bucket, key, body, {
      contentType: input.ContentType,
      metadata: input.Metadata ?? {},
      ...(input.ObjectLockMode && { retention: retentionOf(input.ObjectLockMode, input.ObjectLockRetainUntilDate) }),
    });
    return { ETag: version.etag, ...(version.id === 'null' ? {} : { VersionId: version.id }) };
  },
  GetObject: (input, { world }) => {
    const version = versionOf(world, input as { Bucket?: string });
    const range = rangeOf(input.Range, version.body.length);
    const body = range ? version.body.subarray(range[0], range[1] + 1) : version.body;
    return {
      ...told(version),
      ContentLength: body.length,
      ...(range && { ContentRange: `bytes ${range[0]}-${range[1]}/${version.body.length}` }),
      Body: body as never,
    };
  },
  HeadObject: (input, { world }) => {
    const version = versionOf(world, input as { Bucket?: string });
    return { ...told(version), ContentLength: version.body.length };
  },
  DeleteObject: (input, call) =>
    remove(bucketOf(call.world, input.Bucket), input, call, input.BypassGovernanceRetention),
  DeleteObjects: (input, call) => {
    const bucket = bucketOf(call.world, input.Bucket);
    const Deleted: object[] = [];
    const Errors: object[] = [];
    for (const object of input.Delete?.Objects ?? [])
      try {
        Deleted.push({ Key: object.Key, ...remove(bucket, object, call, input.BypassGovernanceRetention) });
      } catch (e) {
        Errors.push({ Key: object.Key, Code: (e as AwsError).code, Message: (e as AwsError).message });
      }
    return { Deleted, Errors };
  },
  CopyObject: (input, { world }) => {
    const [source = '', ...rest] = decodeURIComponent(input.CopySource ?? '')
      .replace(/^\//, '')
      .split('/');
    const from = versionOf(world, { Bucket: source, Key: rest.join('/') });
    const version = putObject(world, bucketOf(world, input.Bucket), input.Key ?? '', from.body, from);
    return { CopyObjectResult: { ETag: version.etag, LastModified: new Date(version.at) } };
  },
  ListObjectsV2: (input, { world }) => {
    const { Prefix = '', Delimiter, MaxKeys = PAGE } = input;
    const token = input.ContinuationToken && Buffer.from(input.ContinuationToken, 'base64').toString();
    const rows = listed(bucketOf(world, input.Bucket), Prefix, Delimiter, token || input.StartAfter || '');
    const page = rows.slice(0, Math.min(MaxKeys, PAGE));
    const last = page.at(-1);
    const Contents = page.flatMap((row) =>
      'Key' in row
        ? [
            {
              Key: row.Key,
              ETag: row.version.etag,
              Size: row.version.body.length,
              LastModified: new Date(row.version.at),
            },
          ]
        : [],
    );
    return {
      Name: input.Bucket,
      Prefix,
      KeyCount: page.length,
      MaxKeys,
      IsTruncated: rows.length > page.length,
      ...(Contents.length > 0 && { Contents }),
      ...(page.length > Contents.length && {
        CommonPrefixes: page.flatMap((row) => ('Prefix' in row ? [{ Prefix: row.Prefix }] : [])),
      }),
      ...(rows.length > page.length &&
        last && {
          NextContinuationToken: Buffer.from('Key' in last ? last.Key : last.Prefix).toString('base64'),
        }),
    };
  },
  ListObjectVersions: (input, { world }) => {
    const bucket = bucketOf(world, input.Bucket);
    const rows = [...bucket.objects]
      .filter(([key]) => key.startsWith(input.Prefix ?? ''))
      .sort(([a], [b]) => byBytes(a, b))
      .flatMap(([Key, versions]) =>
        versions
          .toReversed()
          .map((v, i) => ({ Key, VersionId: v.id, IsLatest: i === 0, at: new Date(v.at), size: v.body?.length })),
      );
    const told = ({ at: LastModified, size, ...row }: (typeof rows)[number]) => ({
      ...row,
      LastModified,
      ...(size === undefined ? {} : { Size: size }),
    });
    return {
      Name: input.Bucket,
      IsTruncated: false,
      Versions: rows.filter((r) => r.size !== undefined).map(told),
      DeleteMarkers: rows.filter((r) => r.size === undefined).map(told),
    };
  },
  PutObjectRetention: (input, { world, at }) => {
    const version = versionOf(world, input as { Bucket?: string });
    const wanted = retentionOf(input.Retention?.Mode, input.Retention?.RetainUntilDate);
    const shorter = (wanted?.until ?? 0) < (version.retention?.until ?? 0);
    if (shorter && isLocked(version, at, input.BypassGovernanceRetention))
      throw new AwsError('AccessDenied', 'Access Denied because object protected by object lock.', 403);
    version.retention = wanted;
    return {};
  },
  GetObjectRetention: (input, { world }) => {
    const { retention } = versionOf(world, input as { Bucket?: string });
    if (!retention)
      throw new AwsError(
        'NoSuchObjectLockConfiguration',
        'The specified object does not have a ObjectLock configuration',
        404,
      );
    return { Retention: { Mode: retention.mode, RetainUntilDate: new Date(retention.until) } };
  },
};

const bucketOperations: S3Operations = {
  ListBuckets: (_input, { world }) => ({
    Buckets: [...world.s3.buckets.values()].map(({ name: Name }) => ({ Name, BucketRegion: world.region })),
  }),
  CreateBucket: (input, call) => {
    const name = input.Bucket ?? '';
    if (call.world.s3.buckets.has(name))
      throw new AwsError(
        'BucketAlreadyOwnedByYou',
        'Your previous request to create the named bucket succeeded and you already own it.',
        409,
      );
    addBucket(call.world, name, input.ObjectLockEnabledForBucket ? { lock: 'on', versioning: 'Enabled' } : {});
    changed(call, 'CreateBucket', { bucketName: name });
    return { Location: `/${name}` };
  },
  DeleteBucket: (input, call) => {
    const bucket = bucketOf(call.world, input.Bucket);
    if (bucket.objects.size > 0)
      throw new AwsError('BucketNotEmpty', 'The bucket you tried to delete is not empty', 409);
    call.world.s3.buckets.delete(bucket.name);
    changed(call, 'DeleteBucket', { bucketName: bucket.name });
    return {};
  },
  HeadBucket: (input, { world }) => {
    bucketOf(world, input.Bucket);
    return { BucketRegion: world.region };
  },
  GetBucketLocation: (input, { world }) => {
    bucketOf(world, input.Bucket);
    return { LocationConstraint: world.region as never };
  },
  GetBucketPolicy: (input, { world }) => {
    const { policy } = bucketOf(world, input.Bucket);
    if (policy === undefined) throw new AwsError('NoSuchBucketPolicy', 'The bucket policy does not exist', 404);
    return { Policy: policy };
  },
  PutBucketPolicy: (input, call) => {
    const bucketPolicy = ruled(input.Policy ?? '');
    bucketOf(call.world, input.Bucket).policy = input.Policy;
    changed(call, 'PutBucketPolicy', { bucketName: input.Bucket, bucketPolicy, policy: '' });
    return {};
  },
  DeleteBucketPolicy: (input, call) => {
    bucketOf(call.world, input.Bucket).policy = undefined;
    changed(call, 'DeleteBucketPolicy', { bucketName: input.Bucket, policy: '' });
    return {};
  },
  GetPublicAccessBlock: (input, { world }) => {
    const { publicAccess } = bucketOf(world, input.Bucket);
    if (!publicAccess)
      throw new AwsError(
        'NoSuchPublicAccessBlockConfiguration',
        'The public access block configuration was not found',
        404,
      );
    return { PublicAccessBlockConfiguration: publicAccess };
  },
  PutPublicAccessBlock: (input, call) => {
    const {
      BlockPublicAcls = false,
      IgnorePublicAcls = false,
      BlockPublicPolicy = false,
      RestrictPublicBuckets = false,
    } = input.PublicAccessBlockConfiguration ?? {};
    const block = { BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets };
    bucketOf(call.world, input.Bucket).publicAccess = block;
    changed(call, 'PutBucketPublicAccessBlock', { bucketName: input.Bucket, PublicAccessBlockConfiguration: block });
    return {};
  },
  GetBucketVersioning: (input, { world }) => {
    const { versioning } = bucketOf(world, input.Bucket);
    return versioning ? { Status: versioning } : {};
  },
  PutBucketVersioning: (input, call) => {
    bucketOf(call.world, input.Bucket).versioning = input.VersioningConfiguration?.Status as 'Enabled';
    changed(call, 'PutBucketVersioning', { bucketName: input.Bucket, ...input.VersioningConfiguration });
    return {};
  },
  GetObjectLockConfiguration: (input, { world }) => {
    const { lock } = bucketOf(world, input.Bucket);
    if (!lock)
      throw new AwsError(
        'ObjectLockConfigurationNotFoundError',
        'Object Lock configuration does not exist for this bucket',
        404,
      );
    const Rule = lock === 'on' ? undefined : { DefaultRetention: { Mode: lock.mode, Days: lock.days } };
    return { ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', ...(Rule && { Rule }) } };
  },
  PutObjectLockConfiguration: (input, { world }) => {
    const { Mode, Days } = input.ObjectLockConfiguration?.Rule?.DefaultRetention ?? {};
    bucketOf(world, input.Bucket).lock = Mode && Days ? { mode: Mode, days: Days } : 'on';
    return {};
  },
  GetBucketTagging: (input, { world }) => {
    const { tags } = bucketOf(world, input.Bucket);
    if (Object.keys(tags).length === 0) throw new AwsError('NoSuchTagSet', 'The TagSet does not exist', 404);
    return { TagSet: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) };
  },
};

const bucketArn = (world: World, name: string | undefined) => {
  const policy = world.s3.buckets.get(name ?? '')?.policy;
  return [{ arn: `arn:aws:s3:::${name}`, ...(policy && { policy: JSON.parse(policy) as PolicyDocument }) }];
};
const objectArn = (world: World, name: string | undefined, key: string | undefined) =>
  bucketArn(world, name).map((bucket) => ({ ...bucket, arn: `${bucket.arn}/${key}` }));

const onBuckets = Object.fromEntries(
  [...Object.keys(bucketOperations), 'ListObjectsV2', 'ListObjectVersions', 'DeleteObjects']
    .filter((name) => name !== 'ListBuckets')
    .map((name) => [name, (input: { Bucket?: string }, world: World) => bucketArn(world, input.Bucket)]),
);
const onObjects = Object.fromEntries(
  Object.keys(objectOperations)
    .filter((name) => !(name in onBuckets))
    .map((name) => [
      name,
      (input: { Bucket?: string; Key?: string }, world: World) => objectArn(world, input.Bucket, input.Key),
    ]),
);

export const s3Service = defineService<typeof api>({
  name: 's3',
  signingName: 's3',
  iamPrefix: 's3',
  protocol: 'restXml',
  xmlNamespace: 'http://s3.amazonaws.com/doc/2006-03-01/',
  api: s3,
  words: s3Words,
  operations: { ...objectOperations, ...bucketOperations },
  resources: { ...onBuckets, ...onObjects },
  // "Actions, resources, and condition keys for Amazon S3"
  actions: {
    ListBuckets: 'ListAllMyBuckets',
    ListObjectsV2: 'ListBucket',
    ListObjectVersions: 'ListBucketVersions',
    HeadBucket: 'ListBucket',
    HeadObject: 'GetObject',
  },
  context: {
    ListObjectsV2: ({ Prefix, Delimiter }) => ({
      's3:prefix': Prefix ?? '',
      ...(Delimiter === undefined ? {} : { 's3:delimiter': Delimiter }),
    }),
  },
});
