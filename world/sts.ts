/** STS: who am I, and be somebody else for an hour. */
import * as api from '@aws-sdk/client-sts';
import type { PolicyDocument } from './iam.ts';
import { AwsError, defineService, queryWords } from './service.ts';

const parsePolicy = (text: string): PolicyDocument => {
  // AssumeRole: "The plaintext that you use for both inline and managed session policies can't exceed 2,048 characters."
  if (text.length > 2048) {
    throw new AwsError(
      'ValidationError',
      "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to 2048",
      400,
    );
  }
  try {
    const policy: PolicyDocument = JSON.parse(text);
    if (policy.Statement) return policy;
  } catch {}
  throw new AwsError('MalformedPolicyDocumentException', 'The policy is not in the valid JSON format.');
};

export const stsService = defineService<typeof api>({
  name: 'sts',
  signingName: 'sts',
  iamPrefix: 'sts',
  protocol: 'query',
  xmlNamespace: 'https://sts.amazonaws.com/doc/2011-06-15/',
  api,
  words: queryWords,
  resources: {
    AssumeRole: ({ RoleArn: arn = '' }, world) => {
      const policy = world.iam.roles.get(arn)?.trust;
      return [{ arn, ...(policy && { policy }) }];
    },
  },
  operations: {
    GetCallerIdentity: (_input, { principal: { arn, account, userId } }) => ({
      Arn: arn,
      Account: account,
      UserId: userId,
    }),

    AssumeRole: (input, { world, at, principal }) => {
      const { RoleArn: arn = '', RoleSessionName: session = '', DurationSeconds: seconds = 3600 } = input;
      const role = world.iam.roles.get(arn);
      if (!role) {
        // AWS says the same for a role that is missing and for one that does not trust the caller.
        throw new AwsError(
          'AccessDenied',
          `User: ${principal.arn} is not authorized to perform: sts:AssumeRole on resource: ${arn}`,
          403,
        );
      }
      // "Role chaining limits your … role session to a maximum of one hour."
      if (seconds < 900 || seconds > (principal.kind === 'role' ? 3600 : 43_200)) {
        throw new AwsError(
          'ValidationError',
          'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining',
          400,
        );
      }
      const managed = (input.PolicyArns ?? []).map(({ arn: policyArn = '' }) => {
        const policy = world.iam.managedPolicies.get(policyArn);
        if (!policy)
          throw new AwsError(
            'MalformedPolicyDocumentException',
            `Policy ${policyArn} does not exist or is not attachable.`,
          );
        return policy;
      });
      const sessionPolicies = [...(input.Policy ? [parsePolicy(input.Policy)] : []), ...managed];
      const accessKeyId = `ASIA${world.tokens.hex(16).toUpperCase()}`;
      const expires = at + seconds * 1000;
      const roleId = `AROA${role.name.toUpperCase()}`;
      const assumed = {
        Arn: `arn:aws:sts::${world.account}:assumed-role/${role.name}/${session}`,
        AssumedRoleId: `${roleId}:${session}`,
      };
      world.iam.keys.set(accessKeyId, {
        arn: assumed.Arn,
        account: world.account,
        userId: assumed.AssumedRoleId,
        kind: 'role',
        role,
        expires,
        ...(sessionPolicies.length > 0 && { sessionPolicies }),
      });
      return {
        Credentials: {
          AccessKeyId: accessKeyId,
          SecretAccessKey: world.tokens.hex(40),
          SessionToken: world.tokens.hex(64),
          Expiration: new Date(expires),
        },
        AssumedRoleUser: assumed,
        ...(sessionPolicies.length > 0 && { PackedPolicySize: 10 }),
      };
    },
  },
});
