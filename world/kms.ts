/** KMS: keys that sign, make codes of authenticity, or only can be switched off; their policies and their deletion. */
import {
  createHmac,
  createPublicKey,
  createSign,
  createVerify,
  generateKeyPairSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import type * as api from '@aws-sdk/client-kms';
import * as kms from '@aws-sdk/client-kms';
import { emitApiCall } from './apiCalls.ts';
import type { PolicyDocument } from './iam.ts';
import { AwsError, type Call, defineService, jsonWords, type Operations } from './service.ts';
import type { World } from './world.ts';

type Spec = 'SYMMETRIC_DEFAULT' | 'ECC_NIST_P256' | 'RSA_2048' | 'HMAC_256';
export type Key = {
  readonly id: string;
  readonly arn: string;
  readonly spec: Spec;
  enabled: boolean;
  /** Pending deletion until then. */
  deletion: number | undefined;
  /** As JSON text; 'default' is the only name there is. */
  policy: string;
  readonly tags: Record<string, string>;
  readonly secret: Buffer;
  readonly pair: KeyObject | undefined;
};
export type KmsState = { readonly keys: Map<string, Key>; readonly aliases: Map<string, string> };
export const createKmsState = (): KmsState => ({ keys: new Map(), aliases: new Map() });

type KmsOperations = Operations<typeof api>;
const DAY = 86_400_000;

/** The policy that a key has if none is given: the account decides by IAM. */
const defaultPolicy = ({ account }: World): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Id: 'key-default-1',
    Statement: [
      {
        Sid: 'Enable IAM User Permissions',
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${account}:root` },
        Action: 'kms:*',
        Resource: '*',
      },
    ],
  });

const pairOf = (spec: Spec): KeyObject | undefined => {
  if (spec === 'ECC_NIST_P256') return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return spec === 'RSA_2048' ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey : undefined;
};

export const addKey = (
  world: World,
  given: Partial<Pick<Key, 'policy' | 'spec' | 'tags'>> & { alias?: string } = {},
): Key => {
  const id = world.random.uuid();
  const spec = given.spec ?? 'SYMMETRIC_DEFAULT';
  const key: Key = {
    id,
    arn: `arn:aws:kms:${world.region}:${world.account}:key/${id}`,
    spec,
    enabled: true,
    deletion: undefined,
    policy: given.policy ?? defaultPolicy(world),
    tags: given.tags ?? {},
    secret: Buffer.from(world.random.hex(64), 'hex'),
    pair: pairOf(spec),
  };
  world.kms.keys.set(id, key);
  if (given.alias) world.kms.aliases.set(given.alias, id);
  return key;
};

const known = (world: World, name: string | undefined): Key | undefined => {
  const last = name?.replace(/^arn:[^/]*:(?=alias\/)/, '').replace(/^arn:.*:key\//, '') ?? '';
  return world.kms.keys.get(world.kms.aliases.get(last) ?? last);
};
const keyOf = (world: World, name: string | undefined): Key => {
  const key = known(world, name);
  if (!key || (key.deletion !== undefined && key.deletion <= world.clock.now()))
    throw new AwsError('NotFoundException', `Key '${name}' does not exist`);
  return key;
};
/** "The request was rejected because the state of the specified resource is not valid for this request." */
const usable = (world: World, name: string | undefined): Key => {
  const key = keyOf(world, name);
  if (key.deletion !== undefined) throw new AwsError('KMSInvalidStateException', `${key.arn} is pending deletion.`);
  if (!key.enabled) throw new AwsError('DisabledException', `${key.arn} is disabled.`);
  return key;
};

/** Whether a service may encrypt with it now. */
export const isUsable = (world: World, name: string): boolean => {
  const key = known(world, name);
  return key?.enabled === true && key.deletion === undefined;
};

const stateOf = ({ enabled, deletion }: Key) =>
  deletion === undefined ? (enabled ? 'Enabled' : 'Disabled') : 'PendingDeletion';
const usageOf = ({ spec }: Key) =>
  spec === 'HMAC_256' ? 'GENERATE_VERIFY_MAC' : spec === 'SYMMETRIC_DEFAULT' ? 'ENCRYPT_DECRYPT' : 'SIGN_VERIFY';

const described = (world: World, key: Key) => ({
  AWSAccountId: world.account,
  KeyId: key.id,
  Arn: key.arn,
  Enabled: stateOf(key) === 'Enabled',
  KeyState: stateOf(key) as 'Enabled',
  KeyUsage: usageOf(key) as 'SIGN_VERIFY',
  KeySpec: key.spec,
  KeyManager: 'CUSTOMER' as const,
  ...(key.deletion === undefined ? {} : { DeletionDate: new Date(key.deletion) }),
});

const changed = (call: Call, eventName: string, key: Key, more: object = {}) =>
  emitApiCall(call, { service: 'kms', eventName, requestParameters: { keyId: key.arn, ...more }, resource: key.arn });

const signable = (world: World, name: string | undefined): KeyObject => {
  const { pair } = usable(world, name);
  if (!pair) throw new AwsError('InvalidKeyUsageException', `${name} cannot sign`);
  return pair;
};
/** `MessageType: DIGEST` is not modelled: what is signed here is hashed here. */
const raw = ({
  MessageType,
  Message,
}: {
  MessageType?: string | undefined;
  Message?: Uint8Array | undefined;
}): Uint8Array => {
  if (MessageType === 'DIGEST') throw new AwsError('ValidationException', 'The world signs messages, not digests');
  // "Messages can be 0-4096 bytes." (Sign)
  if ((Message?.length ?? 0) > 4096) throw new AwsError('ValidationException', 'Message must be at most 4096 bytes');
  return Message ?? new Uint8Array();
};

const macOf = (world: World, input: { KeyId?: string | undefined; Message?: Uint8Array | undefined }): Buffer => {
  const key = usable(world, input.KeyId);
  if (key.spec !== 'HMAC_256') throw new AwsError('InvalidKeyUsageException', `${key.arn} makes no codes`);
  return createHmac('sha256', key.secret)
    .update(input.Message ?? new Uint8Array())
    .digest();
};

const operations: KmsOperations = {
  CreateKey: (input, call) => {
    const key = addKey(call.world, {
      spec: (input.KeySpec as Spec | undefined) ?? 'SYMMETRIC_DEFAULT',
      ...(input.Policy && { policy: input.Policy }),
      tags: Object.fromEntries((input.Tags ?? []).map((t) => [t.TagKey ?? '', t.TagValue ?? ''])),
    });
    changed(call, 'CreateKey', key);
    return { KeyMetadata: described(call.world, key) };
  },
  DescribeKey: (input, { world }) => ({ KeyMetadata: described(world, keyOf(world, input.KeyId)) }),
  ListResourceTags: (input, { world }) => ({
    Tags: Object.entries(keyOf(world, input.KeyId).tags).map(([TagKey, TagValue]) => ({ TagKey, TagValue })),
    Truncated: false,
  }),
  EnableKey: (input, call) => {
    const key = keyOf(call.world, input.KeyId);
    if (key.deletion !== undefined) throw new AwsError('KMSInvalidStateException', `${key.arn} is pending deletion.`);
    key.enabled = true;
    changed(call, 'EnableKey', key);
    return {};
  },
  DisableKey: (input, call) => {
    const key = keyOf(call.world, input.KeyId);
    if (key.deletion !== undefined) throw new AwsError('KMSInvalidStateException', `${key.arn} is pending deletion.`);
    key.enabled = false;
    changed(call, 'DisableKey', key);
    return {};
  },
  ScheduleKeyDeletion: (input, call) => {
    const key = usableOrDisabled(call.world, input.KeyId);
    const days = input.PendingWindowInDays ?? 30;
    key.deletion = call.at + days * DAY;
    changed(call, 'ScheduleKeyDeletion', key, { pendingWindowInDays: days });
    return {
      KeyId: key.arn,
      DeletionDate: new Date(key.deletion),
      KeyState: 'PendingDeletion',
      PendingWindowInDays: days,
    };
  },
  /** "If this operation succeeds, the key state of the KMS key is Disabled." */
  CancelKeyDeletion: (input, call) => {
    const key = keyOf(call.world, input.KeyId);
    if (key.deletion === undefined)
      throw new AwsError('KMSInvalidStateException', `${key.arn} is not pending deletion.`);
    key.deletion = undefined;
    key.enabled = false;
    changed(call, 'CancelKeyDeletion', key);
    return { KeyId: key.arn };
  },
  GetKeyPolicy: (input, { world }) => ({ Policy: keyOf(world, input.KeyId).policy, PolicyName: 'default' }),
  PutKeyPolicy: (input, call) => {
    const key = keyOf(call.world, input.KeyId);
    key.policy = input.Policy ?? key.policy;
    changed(call, 'PutKeyPolicy', key, { policyName: 'default', policy: input.Policy });
    return {};
  },
  GetPublicKey: (input, { world }) => {
    const key = usable(world, input.KeyId);
    const PublicKey = createPublicKey(signable(world, input.KeyId)).export({ type: 'spki', format: 'der' });
    return { KeyId: key.arn, PublicKey, KeySpec: key.spec, KeyUsage: 'SIGN_VERIFY' };
  },
  Sign: (input, { world }) => {
    const pair = signable(world, input.KeyId);
    const Signature = createSign('sha256').update(raw(input)).sign(pair);
    return { KeyId: usable(world, input.KeyId).arn, Signature, SigningAlgorithm: input.SigningAlgorithm };
  },
  Verify: (input, { world }) => {
    const key = createPublicKey(signable(world, input.KeyId));
    if (
      !createVerify('sha256')
        .update(raw(input))
        .verify(key, input.Signature ?? new Uint8Array())
    )
      throw new AwsError('KMSInvalidSignatureException', 'The signature is not valid');
    return { KeyId: usable(world, input.KeyId).arn, SignatureValid: true, SigningAlgorithm: input.SigningAlgorithm };
  },
  GenerateMac: (input, { world }) => ({
    Mac: macOf(world, input),
    MacAlgorithm: input.MacAlgorithm,
    KeyId: usable(world, input.KeyId).arn,
  }),
  VerifyMac: (input, { world }) => {
    const mac = macOf(world, input);
    if (mac.length !== input.Mac?.length || !timingSafeEqual(mac, input.Mac))
      throw new AwsError('KMSInvalidMacException', 'The code is not valid');
    return { MacValid: true, MacAlgorithm: input.MacAlgorithm, KeyId: usable(world, input.KeyId).arn };
  },
};

const usableOrDisabled = (world: World, name: string | undefined): Key => {
  const key = keyOf(world, name);
  if (key.deletion !== undefined) throw new AwsError('KMSInvalidStateException', `${key.arn} is pending deletion.`);
  return key;
};

const byKey = (input: { KeyId?: string | undefined }, world: World) => {
  const key = known(world, input.KeyId);
  return key ? [{ arn: key.arn, tags: key.tags, policy: JSON.parse(key.policy) as PolicyDocument }] : [];
};

export const kmsService = defineService<typeof api>({
  name: 'kms',
  signingName: 'kms',
  iamPrefix: 'kms',
  protocol: 'json',
  xmlNamespace: '',
  api: kms,
  words: jsonWords,
  operations,
  resources: Object.fromEntries(
    Object.keys(operations)
      .filter((name) => name !== 'CreateKey')
      .map((name) => [name, byKey]),
  ),
});
