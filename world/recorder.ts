/**
 * What CloudTrail makes of the calls to the world, on both of its ways: an event on the bus for what changes something, and files in the trail's bucket for everything, each hour
 * vouched for by a signed digest. Late, doubled and missing by seed. Off until `recordCalls` turns it on: a world without it emits what its behaviours emit themselves.
 * https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
 */
import { createHash, createPublicKey, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { identityOf } from './apiCalls.ts';
import { type Bucket, putObject } from './s3.ts';
import type { AwsError, Call, Service } from './service.ts';
import type { World } from './world.ts';

const MINUTE = 60_000;
/** "CloudTrail publishes log files multiple times an hour, about every 5 minutes." */
const FILE_EVERY = 5 * MINUTE;
const DIGEST_EVERY = 60 * MINUTE;
/** What comes late comes so late at most. AWS: "an average of about 5 minutes", and no promise. */
const LATE = 15 * MINUTE;

export type ApiRecord = Readonly<Record<string, unknown>> & { readonly eventID: string };
export type Answered = {
  readonly service: Service;
  readonly operation: string;
  readonly input: object;
  readonly call: Call;
  readonly error: AwsError | undefined;
};
export type Recorder = {
  /** Every record that there ever was, in order: what must be found again. */
  readonly records: ApiRecord[];
  /** Chances for each record: in a later file than it should, in two files, in none. */
  readonly trouble: { late: number; doubled: number; missing: number };
  /** A behaviour has told the bus itself: the file has the same record. */
  told(requestId: string, record: ApiRecord): void;
  answered(what: Answered): void;
  /** For ListPublicKeys. */
  readonly publicKey: { readonly der: Buffer; readonly fingerprint: string; readonly since: number };
  stop(): void;
};

/** Data events: a trail has them only if its selectors say so, and these say not. */
const DATA = new Set([
  's3:PutObject',
  's3:GetObject',
  's3:HeadObject',
  's3:DeleteObject',
  's3:DeleteObjects',
  's3:CopyObject',
  's3:ListObjectsV2',
  's3:ListObjectVersions',
  's3:PutObjectRetention',
  's3:GetObjectRetention',
  's3:HeadBucket',
  'logs:PutLogEvents',
  'cloudwatch:GetMetricData',
  'cloudwatch:PutMetricData',
  'cloudwatch:ListMetrics',
]);
const READS = /^(Describe|Get|List|Lookup|Head|Search|Filter|Assume|Verify|Batch(Get|Check))/;

const SOURCES: Readonly<Record<string, string>> = { cloudwatch: 'monitoring' };
const CREDENTIALS = new Set(['secretAccessKey', 'sessionToken', 'plaintext', 'body', 'message', 'mac', 'signature']);

/** CloudTrail writes names in lower camel case, and what is secret or bytes not at all. */
const written = (value: unknown): unknown => {
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return undefined;
  if (Array.isArray(value)) return value.map(written);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([key, one]) => [`${key[0]?.toLowerCase()}${key.slice(1)}`, one] as const);
  return Object.fromEntries(entries.flatMap(([key, one]) => (CREDENTIALS.has(key) ? [] : [[key, written(one)]])));
};

const errorOf = (error: AwsError | undefined, { name, protocol }: Service) => {
  if (!error) return {};
  const errorCode = protocol === 'ec2Query' ? `Client.${error.code}` : error.code;
  return { errorCode: name === 'sts' ? 'AccessDenied' : errorCode, errorMessage: error.message };
};

const recordOf = ({ service, operation, input, call, error }: Answered): ApiRecord => {
  const { world, at, requestId } = call;
  return {
    eventVersion: '1.11',
    userIdentity: identityOf(call),
    eventTime: inSeconds(at),
    eventSource: `${SOURCES[service.name] ?? service.signingName}.amazonaws.com`,
    eventName: operation,
    awsRegion: world.region,
    sourceIPAddress: '198.51.100.7',
    userAgent: 'aws-sdk-js/3',
    ...errorOf(error, service),
    requestParameters: written(input),
    responseElements: null,
    requestID: requestId,
    eventID: world.random.uuid(),
    readOnly: READS.test(operation),
    eventType: 'AwsApiCall',
    managementEvent: true,
    recipientAccountId: world.account,
    eventCategory: 'Management',
  };
};

const inSeconds = (time: number) => `${new Date(time).toISOString().slice(0, 19)}Z`;
/** 20260115T0805Z, 20260115T080500Z */
const compact = (time: number, seconds: boolean) =>
  inSeconds(time)
    .replaceAll(/[-:]/g, '')
    .replace(seconds ? '' : /\d\dZ$/, seconds ? '' : 'Z');
const day = (time: number) => inSeconds(time).slice(0, 10).replaceAll('-', '/');
const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

type LogFile = {
  s3Bucket: string;
  s3Object: string;
  hashValue: string;
  hashAlgorithm: 'SHA-256';
  newestEventTime: string;
  oldestEventTime: string;
};
type Previous = { key: string; hash: string; signature: string };

/** Writes files and digests of one trail. */
const createDelivery = (world: World, bucket: Bucket, trail: string, key: KeyObject, fingerprint: string) => {
  const { account, region } = world;
  const random = world.random.fork('recorder');
  const root = `AWSLogs/${account}`;
  let files: LogFile[] = [];
  let previous: Previous | undefined;

  const deliver = (records: readonly ApiRecord[]): void => {
    if (records.length === 0) return;
    const now = world.clock.now();
    const body = JSON.stringify({ Records: records });
    const s3Object = `${root}/CloudTrail/${region}/${day(now)}/${account}_CloudTrail_${region}_${compact(now, false)}_${random.hex(16)}.json.gz`;
    putObject(world, bucket, s3Object, gzipSync(body), { contentType: 'application/json' });
    const times = records.map((r) => String(r['eventTime'])).sort();
    files.push({
      s3Bucket: bucket.name,
      s3Object,
      hashValue: sha256(body),
      hashAlgorithm: 'SHA-256',
      newestEventTime: times.at(-1) ?? '',
      oldestEventTime: times[0] ?? '',
    });
  };

  /** An hour without files has one, too. */
  const digest = (): void => {
    const end = world.clock.now();
    const s3Object = `${root}/CloudTrail-Digest/${region}/${day(end)}/${account}_CloudTrail-Digest_${region}_${trail}_${region}_${compact(end, true)}.json.gz`;
    const body = JSON.stringify({
      awsAccountId: account,
      digestStartTime: inSeconds(end - DIGEST_EVERY),
      digestEndTime: inSeconds(end),
      digestS3Bucket: bucket.name,
      digestS3Object: s3Object,
      digestPublicKeyFingerprint: fingerprint,
      digestSignatureAlgorithm: 'SHA256withRSA',
      newestEventTime:
        files
          .map((f) => f.newestEventTime)
          .sort()
          .at(-1) ?? null,
      oldestEventTime: files.map((f) => f.oldestEventTime).sort()[0] ?? null,
      previousDigestS3Bucket: previous ? bucket.name : null,
      previousDigestS3Object: previous?.key ?? null,
      previousDigestHashValue: previous?.hash ?? null,
      previousDigestHashAlgorithm: previous ? 'SHA-256' : null,
      previousDigestSignature: previous?.signature ?? null,
      logFiles: files,
    });
    const signed = [inSeconds(end), `${bucket.name}/${s3Object}`, sha256(body), previous?.signature ?? 'null'].join(
      '\n',
    );
    const signature = createSign('RSA-SHA256').update(signed).sign(key, 'hex');
    putObject(world, bucket, s3Object, gzipSync(body), {
      contentType: 'application/json',
      metadata: { signature, 'signature-algorithm': 'SHA256withRSA' },
    });
    previous = { key: s3Object, hash: sha256(body), signature };
    files = [];
  };

  return {
    deliver,
    digest,
    /** StopLogging ends the chain: the next digest names none before it. */
    restart: () => {
      previous = undefined;
      files = [];
    },
  };
};

/** Keys are costly to make and the same for every world. */
let pair: { privateKey: KeyObject; der: Buffer } | undefined;
const keys = () => {
  if (!pair) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    pair = { privateKey, der: createPublicKey(privateKey).export({ type: 'pkcs1', format: 'der' }) };
  }
  return pair;
};

/** @param bucket of the trail; it must be there */
export const recordCalls = (world: World, trail: string, bucket: Bucket): Recorder => {
  const { privateKey, der } = keys();
  const fingerprint = createHash('md5').update(der).digest('hex');
  const delivery = createDelivery(world, bucket, trail, privateKey, fingerprint);
  const random = world.random.fork('recorder trouble');
  const trouble = { late: 0, doubled: 0, missing: 0 };
  const records: ApiRecord[] = [];
  const toldOf = new Map<string, ApiRecord>();
  let waiting: { record: ApiRecord; from: number }[] = [];
  let stopped = false;
  let wasLogging = true;

  const keep = (record: ApiRecord): void => {
    records.push(record);
    if (random.chance(trouble.missing)) return;
    const now = world.clock.now();
    const from = random.chance(trouble.late) ? now + random.integer(LATE) : now;
    waiting.push({ record, from });
    if (random.chance(trouble.doubled)) waiting.push({ record, from: from + FILE_EVERY });
  };

  const isLogging = (): boolean => world.cloudtrail.trails.get(trail)?.logging === true;
  const flush = (): void => {
    const now = world.clock.now();
    const due = waiting.filter((w) => w.from <= now);
    waiting = waiting.filter((w) => w.from > now);
    if (isLogging()) delivery.deliver(due.map((w) => w.record));
    else if (wasLogging) delivery.restart();
    if (isLogging() && now % DIGEST_EVERY < FILE_EVERY) delivery.digest();
    wasLogging = isLogging();
  };
  const next = (): void => {
    if (stopped) return;
    const now = world.clock.now();
    world.clock.at(now - (now % FILE_EVERY) + FILE_EVERY, () => {
      flush();
      next();
    });
  };
  next();

  const recorder: Recorder = {
    records,
    trouble,
    told: (requestId, record) => void toldOf.set(requestId, record),
    answered: (what) => {
      const { service, operation, call, error } = what;
      const told = toldOf.get(call.requestId);
      toldOf.delete(call.requestId);
      if (!isLogging() || DATA.has(`${service.name}:${operation}`)) return;
      const record = told ?? recordOf(what);
      keep(record);
      if (told || record['readOnly'] === true || error) return;
      const emit = () =>
        world.events.emit({
          source: `aws.${SOURCES[service.name] ?? service.signingName}`,
          detailType: 'AWS API Call via CloudTrail',
          resources: [],
          detail: structuredClone(record),
        });
      world.clock.at(world.clock.now() + world.settle.apiCallEvent, emit);
    },
    publicKey: { der, fingerprint, since: world.clock.now() },
    stop: () => {
      stopped = true;
      world.recorder = undefined;
    },
  };
  world.recorder = recorder;
  return recorder;
};
