/** The real `serverless deploy --stage local`, against the emulator; and what the world must know of the stack that it made. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  GetRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
  ListRolePoliciesCommand,
  paginateListRoles,
} from '@aws-sdk/client-iam';
import { LambdaClient, ListFunctionsCommand } from '@aws-sdk/client-lambda';
import { worldEndpoints } from '../resources/local.cjs';
import { addRole, type PolicyDocument } from '../world/iam.ts';
import type { World } from '../world/world.ts';
import type { Reach } from './bridge.ts';

export const PROJECT = fileURLToPath(new URL('..', import.meta.url));
export const STAGE = 'local';

/** What every tool that follows AWS's conventions needs to reach the sandbox. */
export const environmentOf = ({ endpoint, region, credentials }: Reach, worldUrl: string): Record<string, string> => ({
  AWS_ENDPOINT_URL: endpoint,
  ...worldEndpoints(worldUrl),
  AWS_REGION: region,
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  STEWARD_STAGE: STAGE,
});

/**
 * @param policy another file than steward.yml
 * @throws Error with what serverless said
 */
export const deploy = async (reach: Reach, worldUrl: string, policy = ''): Promise<void> => {
  const child = spawn(process.execPath, ['node_modules/serverless/bin/serverless.js', 'deploy', '--stage', STAGE], {
    cwd: PROJECT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      AWS_ENDPOINT_URL: reach.endpoint,
      AWS_REGION: reach.region,
      AWS_ACCESS_KEY_ID: reach.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: reach.credentials.secretAccessKey,
      STEWARD_WORLD_URL: worldUrl,
      STEWARD_POLICY: policy,
      SLS_NOTIFICATIONS_MODE: 'off',
      SLS_INTERACTIVE_SETUP_ENABLE: '',
    },
  });
  let words = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      words += chunk;
    });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`serverless deploy --stage ${STAGE} failed:\n${words.slice(-3_000)}`);
};

const decoded = (text: string | undefined): PolicyDocument => JSON.parse(decodeURIComponent(text ?? '{}'));

/** The deployed roles, as IAM has them, so that the world's STS and IAM judge by what was deployed and nothing else. */
export const learnRoles = async (world: World, reach: Reach): Promise<void> => {
  const client = new IAMClient(reach);
  for await (const { Roles = [] } of paginateListRoles({ client }, {}))
    for (const { RoleName } of Roles.filter((r) => r.RoleName?.startsWith(`steward-${STAGE}-`))) {
      const { PolicyNames = [] } = await client.send(new ListRolePoliciesCommand({ RoleName }));
      const documents = await Promise.all(
        PolicyNames.map(async (PolicyName) =>
          decoded((await client.send(new GetRolePolicyCommand({ RoleName, PolicyName }))).PolicyDocument),
        ),
      );
      const { Role } = await client.send(new GetRoleCommand({ RoleName }));
      addRole(world, RoleName ?? '', documents, decoded(Role?.AssumeRolePolicyDocument));
    }
};

/**
 * Who holds the keys that the emulator gave: its root, and each function, under its role. MiniStack derives a function's access key from its ARN and its
 * role's (`execution_credentials` in its lambda_runtime.py).
 */
export const learnKeys = async (world: World, reach: Reach): Promise<void> => {
  const { account } = world;
  const root = { arn: `arn:aws:iam::${account}:root`, account, userId: account, kind: 'root' as const };
  world.iam.keys.set(reach.credentials.accessKeyId, root);
  const { Functions = [] } = await new LambdaClient(reach).send(new ListFunctionsCommand({}));
  for (const { FunctionArn = '', FunctionName = '', Role = '' } of Functions) {
    const role = world.iam.roles.get(Role);
    if (!role) throw new Error(`the deployed function ${FunctionName} has the role ${Role}, which was not deployed`);
    const digest = createHash('sha256').update(`${FunctionArn}:${Role}`).digest('hex');
    world.iam.keys.set(`ASIA${digest.slice(0, 16).toUpperCase()}`, {
      arn: `arn:aws:sts::${account}:assumed-role/${role.name}/${FunctionName}`,
      account,
      userId: `${role.name}:${FunctionName}`,
      kind: 'role',
      role,
    });
  }
};
