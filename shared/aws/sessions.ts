/** Credentials of one remediation for one target: its role, narrowed by a session policy. */
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { Unavailable } from '../core/errors.ts';
import type { PolicyDocument } from '../core/permissions.ts';
import { idOf, partitionOf, type Target } from '../core/target.ts';
import { type Credentials, clientConfig, type Transport } from './clients.ts';
import { calling } from './errors.ts';

export interface SessionRequest {
  readonly remediation: string;
  readonly stage: string;
  readonly target: Target;
  readonly phase: 'look' | 'act';
  readonly policy: PolicyDocument;
}

/** A session lasts so long; AWS's least. Seconds. */
const DURATION = 900;
/** A session is used again until so long before its end. Milliseconds. */
const MARGIN = 120_000;
/** Sessions kept by one function instance. */
const KEPT = 200;

/** A look that may see all of what it may see of any target: one session is as narrow for the one as for the other. */
const isOfAll = ({ target, phase, policy }: SessionRequest): boolean =>
  phase === 'look' && !JSON.stringify(policy).includes(idOf(target));

/** CloudTrail shows this name at each call: whose hand it was, for what. */
const sessionName = (request: SessionRequest): string =>
  `${request.remediation}-${request.phase}@${isOfAll(request) ? 'all' : idOf(request.target)}`
    .replaceAll(/[^\w+=,.@-]/g, '-')
    .slice(0, 64);

/** @returns a function that gives credentials; those of a look are kept, those of an act are made for it alone. */
export const stsSessions = (options: {
  region: string;
  transport?: Transport;
  credentials?: Credentials;
  now: () => number;
}) => {
  const client = new STSClient(clientConfig(options, 3));
  const kept = new Map<string, Credentials>();

  const assume = (request: SessionRequest): Promise<Credentials> => {
    const { target, remediation, stage, policy } = request;
    const role = `arn:${partitionOf(target.region)}:iam::${target.account}:role/steward-${stage}-remedy-${remediation}`;
    return calling(`cannot assume ${role} for ${target.arn}`, async () => {
      const { Credentials: got } = await client.send(
        new AssumeRoleCommand({
          RoleArn: role,
          RoleSessionName: sessionName(request),
          DurationSeconds: DURATION,
          Policy: JSON.stringify(policy),
        }),
      );
      if (!got?.AccessKeyId || !got.SecretAccessKey || !got.SessionToken)
        throw new Unavailable(`STS gave no credentials for ${role}`);
      return {
        accessKeyId: got.AccessKeyId,
        secretAccessKey: got.SecretAccessKey,
        sessionToken: got.SessionToken,
        ...(got.Expiration ? { expiration: got.Expiration } : {}),
      };
    });
  };

  return async (request: SessionRequest): Promise<Credentials> => {
    if (request.phase === 'act') return assume(request);
    const { remediation, target, policy } = request;
    const of = isOfAll(request) ? `${target.account} ${target.region} ${JSON.stringify(policy)}` : target.arn;
    const key = `${remediation} ${of}`;
    const known = kept.get(key);
    if (known?.expiration && known.expiration.getTime() - MARGIN > options.now()) return known;
    const fresh = await assume(request);
    kept.delete(key);
    if (kept.size >= KEPT) kept.delete(kept.keys().next().value ?? '');
    kept.set(key, fresh);
    return fresh;
  };
};
