/** Two accounts to compare: our simulated one, and moto's. What differs in how they are set up, and nothing else. */
import { CreateRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import { awsPorts } from '../../shared/aws/ports.ts';
import { stsSessions } from '../../shared/aws/sessions.ts';
import type { Ports } from '../../shared/core/ports.ts';
import type { Time } from '../../shared/core/time.ts';
import { addDocument } from '../../world/documents.ts';
import { addRole, rootCredentials } from '../../world/iam.ts';
import { requestHandler } from '../../world/wire.ts';
import { createWorld } from '../../world/world.ts';
import { REGION } from './table.ts';
import { transportTo } from './transport.ts';

const STAGE = 'test';

export interface Account {
  readonly name: 'world' | 'moto';
  readonly id: string;
  now(): Time;
  /** Lets time pass: the world's at once, moto needs none. */
  pass(ms: number): Promise<void>;
  readonly client: { region: string; credentials: typeof rootCredentials; requestHandler: object; maxAttempts: number };
  readonly ports: Ports;
  readonly assume: ReturnType<typeof stsSessions>;
  addRole(name: string): Promise<void>;
}

const account = (
  of: Pick<Account, 'name' | 'id' | 'now' | 'pass' | 'addRole'>,
  transport: object,
  credentials: typeof rootCredentials,
): Account => {
  const { id, now, pass } = of;
  const options = { region: REGION, credentials, transport };
  return {
    ...of,
    client: { region: REGION, credentials, requestHandler: transport, maxAttempts: 1 },
    ports: awsPorts({ ...options, account: id, stage: STAGE, sleep: pass }),
    assume: stsSessions({ ...options, now }),
  };
};

export const worldAccount = (): Account => {
  const world = createWorld({ region: REGION });
  for (const name of ['inspect-disk', 'clean-disk', 'grow-filesystem']) addDocument(world, `steward-${STAGE}-${name}`);
  return account(
    {
      name: 'world',
      id: world.account,
      now: () => world.clock.now(),
      pass: (ms) => world.clock.pass(ms),
      addRole: async (name) => void addRole(world, name, []),
    },
    requestHandler(world),
    rootCredentials,
  );
};

export const motoAccount = (url: string): Account => {
  const transport = transportTo(url);
  const iam = new IAMClient({ region: REGION, credentials: rootCredentials, requestHandler: transport });
  return account(
    {
      name: 'moto',
      id: '123456789012',
      now: () => Date.now(),
      pass: async () => {},
      addRole: async (name) =>
        void (await iam.send(
          new CreateRoleCommand({
            RoleName: name,
            AssumeRolePolicyDocument: '{"Version":"2012-10-17","Statement":[]}',
          }),
        )),
    },
    transport,
    rootCredentials,
  );
};
