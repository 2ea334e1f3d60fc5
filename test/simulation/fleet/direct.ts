/**
 * The SDK without its wire: a client's `send` goes straight to the world's behaviours, which is ten times as quick. What is said on the wire is
 * proven in test/world and test/contract. Everything else is the adapters' own: sessions, retries, pagination, what an error means.
 */
import { EC2Client } from '@aws-sdk/client-ec2';
import type { Service } from '../../../world/service.ts';
import { AwsError } from '../../../world/service.ts';
import { services } from '../../../world/services.ts';

/** A request handler that never sees a request: it is given commands. */
export interface Direct {
  /** Not called; the SDK takes only what has it for a handler. */
  readonly handle: () => never;
  readonly command: (asked: Asked) => Promise<object>;
}
export interface Asked {
  readonly service: Service;
  readonly operation: string;
  readonly input: object;
  readonly accessKeyId: string;
}

interface Client {
  readonly config: {
    readonly requestHandler: Partial<Direct>;
    readonly credentials: () => Promise<{ accessKeyId: string }>;
    readonly maxAttempts: () => Promise<number>;
  };
}
interface Command {
  readonly input: object;
}

const SERVICES = new Map<unknown, Service>(
  services.flatMap((s) =>
    Object.entries(s.api).flatMap(([name, value]) => (name.endsWith('Client') ? [[value, s] as const] : [])),
  ),
);

/** As the SDK's clients throw what a service answers. */
const asSdkError = ({ code, message, status }: AwsError): Error =>
  Object.assign(new Error(message), { name: code, Code: code, $metadata: { httpStatusCode: status ?? 400 } });

/** What the SDK's standard retry takes for transient. */
const isRetried = (e: unknown): boolean => {
  const { name = '', $metadata } = e as { name?: string; $metadata?: { httpStatusCode?: number } };
  return ['Throttled', 'Unavailable'].includes(name) || ($metadata?.httpStatusCode ?? 0) >= 500;
};

const once = async ({ config }: Client, command: Command, service: Service): Promise<object> => {
  const { accessKeyId } = await config.credentials();
  const operation = command.constructor.name.replace(/Command$/, '');
  const asked = { service, operation, input: command.input, accessKeyId };
  try {
    return (await config.requestHandler.command?.(asked)) ?? {};
  } catch (e) {
    throw e instanceof AwsError ? asSdkError(e) : e;
  }
};

const direct = async (client: Client, command: Command): Promise<object> => {
  const service = SERVICES.get(client.constructor);
  if (!service) throw new Error(`the world has no service behind ${client.constructor.name}`);
  const attempts = await client.config.maxAttempts();
  for (let tries = 1; ; tries++) {
    try {
      return await once(client, command, service);
    } catch (e) {
      if (tries >= attempts || !isRetried(e)) throw e;
    }
  }
};

type Send = (this: Client, command: Command, ...rest: unknown[]) => Promise<object>;
/** All clients inherit it. */
const every = Object.getPrototypeOf(EC2Client.prototype) as { send: Send };
const { send } = every;
every.send = function (this: Client, command, ...rest) {
  return this.config.requestHandler.command ? direct(this, command) : send.call(this, command, ...rest);
};
