/** Who calls, and whether their policies let them. Policies are judged by an engine that others wrote, @cloud-copilot/iam-simulate. */
import { runSimulation } from '@cloud-copilot/iam-simulate';
import { AwsError, type Resource, type Service } from './service.ts';
import type { World } from './world.ts';

export type PolicyDocument = { Version?: string; Id?: string; Statement: unknown };

export type Role = {
  readonly name: string;
  readonly arn: string;
  policies: PolicyDocument[];
  /** Who may assume it, judged with `enforce`; without one, the caller's own policies decide. */
  trust?: PolicyDocument | undefined;
};

export type Principal = {
  readonly arn: string;
  readonly account: string;
  readonly userId: string;
  /** Root bypasses every policy. */
  readonly kind: 'root' | 'role' | 'user';
  readonly role?: Role;
  /** A user's own policies; a role's are read from the role at each call. */
  readonly policies?: PolicyDocument[];
  readonly sessionPolicies?: PolicyDocument[];
  readonly expires?: number;
};

export type IamState = {
  readonly roles: Map<string, Role>;
  /** Managed policies by ARN, for AssumeRole's PolicyArns. */
  readonly managedPolicies: Map<string, PolicyDocument>;
  /** Access key → who holds it. */
  readonly keys: Map<string, Principal>;
  /** For keys that somebody else issued (the sandbox's emulator). */
  unknownKey?: (accessKeyId: string) => Principal | undefined;
};

/** Credentials that may do everything, as the account's root. */
export const rootCredentials = { accessKeyId: 'test', secretAccessKey: 'test' } as const;

export const createIamState = (account: string): IamState => {
  const root: Principal = { arn: `arn:aws:iam::${account}:root`, account, userId: account, kind: 'root' };
  return { roles: new Map(), managedPolicies: new Map(), keys: new Map([[rootCredentials.accessKeyId, root]]) };
};

/** A role with its policies. `policies` may be replaced later; the next call sees it. */
export const addRole = (world: World, name: string, policies: PolicyDocument[], trust?: PolicyDocument): Role => {
  const role: Role = { name, arn: `arn:aws:iam::${world.account}:role/${name}`, policies, trust };
  world.iam.roles.set(role.arn, role);
  return role;
};

/** A principal by its own access key, as an IAM user has one. */
export const addUser = (
  world: World,
  name: string,
  policies: PolicyDocument[],
  accessKeyId = `AKIA${world.random.hex(16).toUpperCase()}`,
) => {
  const arn = `arn:aws:iam::${world.account}:user/${name}`;
  world.iam.keys.set(accessKeyId, { arn, account: world.account, userId: `AIDA${name}`, kind: 'user', policies });
  return { accessKeyId, secretAccessKey: 'world' };
};

export const identify = (world: World, accessKeyId: string | undefined, { words }: Service): Principal => {
  const principal = accessKeyId && (world.iam.keys.get(accessKeyId) ?? world.iam.unknownKey?.(accessKeyId));
  if (!principal)
    throw new AwsError(
      words.unknownKey[0],
      'The security token included in the request is invalid.',
      words.unknownKey[1],
    );
  if (principal.expires !== undefined && principal.expires <= world.clock.now()) {
    throw new AwsError(words.expired[0], 'The security token included in the request is expired', words.expired[1]);
  }
  return principal;
};

export type Asked = { service: Service; operation: string; input: object; principal: Principal };
export type Judgement = {
  action: string;
  resources: string[];
  denial: AwsError | undefined;
  /** What else the call asked for, judged too. */
  required: { action: string; resource: string; allowed: boolean }[];
};

/** The action and the resources of a call, and the error if it is not allowed. */
export const authorize = async (world: World, asked: Asked): Promise<Judgement> => {
  const { service, operation, input, principal } = asked;
  const action = `${service.iamPrefix}:${service.actions?.[operation] ?? operation}`;
  const resources = service.resources[operation]?.(input, world) ?? [{ arn: '*' }];
  const requirements = service.requires?.[operation]?.(input, world) ?? [];
  const names = resources.map(({ arn }) => arn);
  // GetCallerIdentity: "No permissions are required to perform this operation."
  const free = !world.enforce || principal.kind === 'root' || action === 'sts:GetCallerIdentity';
  const judge = async (what: { action: string; resource: Resource; context: Record<string, string | string[]> }) =>
    free || (await allows(world, { principal, ...what })) ? undefined : denial(asked, what.action, what.resource.arn);
  const context = service.context?.[operation]?.(input, world) ?? {};
  for (const resource of resources) {
    const refusal = await judge({ action, resource, context });
    if (refusal) return { action, resources: names, denial: refusal, required: [] };
  }
  const required: Judgement['required'] = [];
  let refusal: AwsError | undefined;
  for (const { action: other, resource, context: its = {} } of requirements) {
    const refused = await judge({ action: other, resource, context: its });
    required.push({ action: other, resource: resource.arn, allowed: refused === undefined });
    refusal ??= refused;
  }
  return { action, resources: names, denial: refusal, required };
};

const denial = ({ service, principal }: Asked, action: string, resource: string) => {
  const [code, status] = service.words.denied;
  const on = resource === '*' ? '' : ` on resource: ${resource}`;
  const lead = service.protocol === 'ec2Query' ? 'You are not authorized to perform this operation. ' : '';
  const because = 'because no identity-based policy or session policy allows the action';
  return new AwsError(
    code,
    `${lead}User: ${principal.arn} is not authorized to perform: ${action}${on} ${because}`,
    status,
  );
};

/** A key without a policy of its own has KMS's default one: the account decides by IAM. */
const keyPolicy = ({ account }: World): PolicyDocument => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' }],
});

/** EC2 asks KMS in the caller's name for a grant on the key of a volume, as CloudTrail shows it. */
export const grantsKey = async (world: World, principal: Principal, arn: string): Promise<boolean> => {
  const action = 'kms:CreateGrant';
  const question = {
    principal,
    action,
    resource: { arn, policy: keyPolicy(world) },
    context: { 'kms:GrantIsForAWSResource': 'true' },
  };
  const allowed = !world.enforce || principal.kind === 'root' || (await allows(world, question));
  world.calls.push({
    at: world.clock.now(),
    principal: principal.arn,
    service: 'kms',
    operation: 'CreateGrant',
    action,
    resources: [arn],
    allowed,
    input: { KeyId: arn },
  });
  return allowed;
};

type Question = {
  principal: Principal;
  action: string;
  resource: Resource;
  context: Record<string, string | string[]>;
};

/** Identity policies and, if there are any, the session's: both must allow. Answers are remembered while nothing they rest on changes. */
const allows = async (world: World, { principal, action, resource, context }: Question): Promise<boolean> => {
  const identity = principal.role?.policies ?? principal.policies ?? [];
  const session = principal.sessionPolicies ?? [];
  const tags = Object.entries(resource.tags ?? {});
  const contextVariables: Record<string, string | string[]> = {
    'aws:RequestedRegion': world.region,
    'aws:PrincipalArn': principal.role?.arn ?? principal.arn,
    'aws:PrincipalAccount': principal.account,
    'aws:CurrentTime': new Date(world.clock.now()).toISOString(),
    ...Object.fromEntries(tags.map(([key, value]) => [`aws:ResourceTag/${key}`, value])),
    ...(action.startsWith('ec2:') && Object.fromEntries(tags.map(([key, value]) => [`ec2:ResourceTag/${key}`, value]))),
    ...(action.startsWith('ssm:') && Object.fromEntries(tags.map(([key, value]) => [`ssm:resourceTag/${key}`, value]))),
    ...(resource.arn !== '*' && { 'aws:ResourceAccount': world.account }),
    ...context,
  };
  const { 'aws:CurrentTime': _, ...stable } = contextVariables;
  const key = JSON.stringify([principal.arn, action, resource.arn, identity, session, resource.policy, stable]);
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const result = await runSimulation(
    {
      request: {
        principal: principal.arn,
        action,
        resource: { resource: resource.arn, accountId: world.account },
        contextVariables,
      },
      identityPolicies: identity.map((policy, i) => ({ name: `policy-${i}`, policy })),
      // AWS takes the union of a session's policies; one document with all their statements is the same.
      ...(session.length > 0 && {
        sessionPolicy: { Version: '2012-10-17', Statement: session.flatMap(({ Statement }) => Statement) },
      }),
      ...(resource.policy && { resourcePolicy: resource.policy }),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    { simulationMode: 'Strict' },
  );
  if (result.resultType === 'error')
    throw new Error(`cannot judge ${action} on ${resource.arn}: ${JSON.stringify(result.errors)}`);
  const allowed = result.overallResult === 'Allowed';
  if (!JSON.stringify([identity, session]).includes('aws:CurrentTime')) remembered.set(key, allowed);
  return allowed;
};

const remembered = new Map<string, boolean>();
