/**
 * Who gives a command, proven. Lambda does not tell a function who invoked it, so the CLI signs an STS `GetCallerIdentity` request with the
 * caller's own credentials (SigV4), without sending it; a signed header binds it to this very command. `answer` sends it to STS and believes the
 * ARN that comes back.
 *
 * What is not taken from the caller: where it is sent, method, path, query, body. What is refused: a header that is not signed or not expected,
 * another host, region or service, a signature for another command, one older than five minutes.
 * The caller's secret never leaves his machine; what is sent can only tell his ARN, for this command.
 *
 * A command that was caught on its way could be sent again within these five minutes, by someone who may himself invoke `answer`. It then says the
 * same again: an approval of the same step, the same pause. The identity must be of the account that Steward runs in, so that a Steward in another account
 * that is given a command cannot pass it on.
 */
import { createHash } from 'node:crypto';
import type { GetCallerIdentityCommandOutput, STSClientConfig } from '@aws-sdk/client-sts';
import * as z from 'zod/mini';
import { StewardError } from '../core/errors.ts';
import { stepText } from '../core/incident.ts';
import { partitionOf } from '../core/target.ts';
import { iso, minutes, seconds, span, type Time } from '../core/time.ts';
import type { Json } from '../core/verdict.ts';
import { type Credentials, clientConfig, type Transport } from './clients.ts';
import { asOurs } from './errors.ts';

/** The identity is not proven; nothing was done. The message says why and what to do. */
export class NotProven extends StewardError {
  override readonly name = 'NotProven';
  readonly retry = 'never';
}

export const COMMAND_HEADER = 'x-steward-command';
const BODY = 'Action=GetCallerIdentity&Version=2011-06-15';
/** STS itself takes a signature for 15 minutes. */
const MAX_AGE = minutes(5);
/** The caller's clock may be ahead by so much. */
const MAX_AHEAD = seconds(60);

/** The headers of a signed request that was not sent, names in lower case. */
export type Proof = Readonly<Record<string, string>>;
export const proofSchema = z.record(
  z.string().check(z.regex(/^[a-z0-9-]{1,64}$/)),
  // A session token has up to some 4 KB.
  z.string().check(z.regex(/^[\x20-\x7e]{1,8192}$/)),
);

/** SHA-256, in hex, of what is commanded: the same command in another stage, or with one letter changed, has another. */
export const commandHash = (stage: string, command: Json): string =>
  createHash('sha256')
    .update(stepText({ steward: 1, stage, command }))
    .digest('hex');

const SUFFIXES: Readonly<Record<string, string>> = { 'aws-cn': 'amazonaws.com.cn' };
/** STS's own endpoint in a region. Source: the SDK's endpoint rules of STS. */
const stsHost = (region: string): string => `sts.${region}.${SUFFIXES[partitionOf(region)] ?? 'amazonaws.com'}`;

type SignedRequest = { headers: Record<string, string>; body?: unknown };
type Signer = { sign: (request: SignedRequest) => Promise<SignedRequest> };

/** Headers that the SDK adds after or beside the signature, and that mean nothing here. */
const isUnsigned = (name: string, signed: readonly string[]): boolean =>
  name !== 'authorization' && !signed.includes(name);

/**
 * Signs, and sends nothing.
 * @param from what any AWS client takes: region, profile, credentials
 */
export const prove = async (hash: string, from: STSClientConfig & { region: string }): Promise<Proof> => {
  const { GetCallerIdentityCommand, STSClient } = await import('@aws-sdk/client-sts');
  let signed: SignedRequest | undefined;
  const client = new STSClient({
    ...from,
    endpoint: `https://${stsHost(from.region)}`,
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    maxAttempts: 1,
    requestHandler: {
      handle: async (request: SignedRequest) => {
        signed = request;
        // An answer that no one reads.
        return { response: { statusCode: 200, headers: {}, body: Buffer.from('<GetCallerIdentityResponse/>') } };
      },
    } as never,
  });
  const bind = (next: (args: unknown) => Promise<unknown>) => async (args: { request: SignedRequest }) => {
    const { host = '', 'content-type': type = '' } = args.request.headers;
    args.request.headers = { host, 'content-type': type, [COMMAND_HEADER]: hash };
    args.request.body = BODY;
    return next(args);
  };
  client.middlewareStack.addRelativeTo(bind as never, {
    name: 'bindCommand',
    relation: 'before',
    toMiddleware: 'httpSigningMiddleware',
  });
  await client.send(new GetCallerIdentityCommand({}));
  const headers = Object.fromEntries(Object.entries(signed?.headers ?? {}).map(([k, v]) => [k.toLowerCase(), v]));
  const names = signedNames(headers['authorization'] ?? '');
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isUnsigned(name, names)));
};

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=[A-Z0-9]{3,128}\/(\d{8})\/([a-z0-9-]+)\/sts\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$/;
const signedNames = (authorization: string): string[] => AUTHORIZATION.exec(authorization)?.[3]?.split(';') ?? [];

const NEEDED = ['host', 'x-amz-date', COMMAND_HEADER];
const ALLOWED = new Set([
  ...NEEDED,
  'content-type',
  'content-length',
  'x-amz-content-sha256',
  'x-amz-security-token',
  'x-amz-user-agent',
]);

/** '20261124T031204Z' → time. */
const dated = (text: string): Time =>
  Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));

export interface Expected {
  readonly hash: string;
  readonly region: string;
  readonly now: Time;
}

/** Why the proof is not what it should be, before anyone is asked. Undefined: STS may judge it. */
const flaw = (proof: Proof, { hash, region, now }: Expected): string | undefined => {
  const { authorization = '', ...others } = proof;
  const [, day, signedRegion] = AUTHORIZATION.exec(authorization) ?? [];
  if (!day) return 'it carries no SigV4 signature for STS';
  if (signedRegion !== region) return `it was signed for ${signedRegion}, and this is ${region}`;
  const signed = signedNames(authorization);
  const names = Object.keys(others);
  const unsigned = names.find((n) => !signed.includes(n));
  if (unsigned) return `its header ${unsigned} is not signed`;
  const odd = signed.find((n) => !ALLOWED.has(n) || others[n] === undefined);
  if (odd) return `the header ${odd} is signed, and is missing or not expected`;
  const missing = NEEDED.find((n) => !signed.includes(n));
  if (missing) return `the header ${missing} is not signed`;
  if (others['host'] !== stsHost(region)) return `it was signed for ${others['host']}, not for ${stsHost(region)}`;
  if (others[COMMAND_HEADER] !== hash) return 'it was signed for another command or another stage';
  const at = dated(others['x-amz-date'] ?? '');
  if (!Number.isFinite(at) || !others['x-amz-date']?.startsWith(day)) return 'its date cannot be read';
  if (now - at > MAX_AGE) return `it was signed ${span(now - at)} ago, at ${iso(at)}; ${span(MAX_AGE)} are allowed`;
  if (at - now > MAX_AHEAD) return `it is dated ${span(at - now)} in the future, at ${iso(at)}`;
  return undefined;
};

/**
 * Asks STS whose signature it is. The endpoint is the SDK's own for the function's region (`AWS_ENDPOINT_URL_STS` in the sandbox).
 * @throws NotProven, or what keeps STS from answering: Unavailable, Throttled
 */
export const identify = async (
  proof: Proof,
  expected: Expected,
  sts: { transport?: Transport; home: string },
): Promise<string> => {
  const wrong = flaw(proof, expected);
  const again = "run the command again; if it stays, set this machine's clock and update the CLI";
  if (wrong) throw new NotProven(`who gives this command is not proven: ${wrong}. What to do: ${again}`);
  const { Account, Arn } = await ask(proof, expected.region, sts.transport);
  if (!Arn) throw new NotProven('who gives this command is not proven: STS named nobody');
  if (Account !== sts.home)
    throw new NotProven(
      `${Arn} is not of account ${sts.home}, where this Steward runs. What to do: assume a role in that account (--profile)`,
    );
  return Arn;
};

const ask = async (
  proof: Proof,
  region: string,
  transport: Transport | undefined,
): Promise<GetCallerIdentityCommandOutput> => {
  const { GetCallerIdentityCommand, STSClient } = await import('@aws-sdk/client-sts');
  const signer: Signer = {
    sign: async (request) => {
      request.headers = { ...proof };
      request.body = BODY;
      return request;
    },
  };
  const none: Credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
  const client = new STSClient({
    ...clientConfig({ region, credentials: none, ...(transport ? { transport } : {}) }, 2),
    signer: signer as never,
  });
  try {
    return await client.send(new GetCallerIdentityCommand({}));
  } catch (e) {
    const ours = asOurs(e, 'STS does not confirm who gives this command');
    if (!(ours instanceof StewardError) || ours.retry === 'later') throw ours;
    throw new NotProven(`${ours.message}. What to do: sign in again, then repeat the command`, { cause: e });
  }
};
