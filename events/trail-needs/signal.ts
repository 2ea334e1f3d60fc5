/** Somebody changed a key, or the policy of a bucket: a trail may need it. Most are none of a trail's. */
import { InvalidInput } from '../../shared/core/errors.ts';
import type { Signal } from '../../shared/core/signal.ts';
import { bucketTarget, partitionOf, type Target, targetOf } from '../../shared/core/target.ts';
import { type ApiCall, apiCallOf, signalOf } from '../apiCall.ts';
import type { Envelope } from '../envelope.ts';

const CALLS: ReadonlySet<string> = new Set([
  'DisableKey',
  'ScheduleKeyDeletion',
  'PutKeyPolicy',
  'PutBucketPolicy',
  'DeleteBucketPolicy',
]);

/** Keys are named by id or by ARN; none of these calls takes an alias. */
const KEY = /^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/)?[\w-]{1,256}$/;

const targetIn = (event: Envelope, { asked, name }: ApiCall): Target => {
  const { bucketName, keyId } = asked;
  if (typeof bucketName === 'string') return bucketTarget(event, bucketName);
  if (typeof keyId !== 'string' || !KEY.test(keyId))
    throw new InvalidInput(`${name} names no key and no bucket in its requestParameters (keyId, bucketName)`);
  const { account, region } = event;
  return targetOf(
    keyId.startsWith('arn:') ? keyId : `arn:${partitionOf(region)}:kms:${region}:${account}:key/${keyId}`,
  );
};

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const call = apiCallOf(event);
  // What Steward itself did is looked at as the step that it is.
  if (!call || call.own || !CALLS.has(call.name)) return [];
  const target = targetIn(event, call);
  return [signalOf(event, call, { kind: 'trail.undelivered', target, did: `called ${call.name} for ${target.arn}` })];
};
