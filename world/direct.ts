/**
 * The SDK without its wire: a client's `send` goes straight to the world's behaviours, which is ten times as quick. What is said on the wire is
 * proven in test/world and test/contract. Everything else is the adapters' own: sessions, retries, pagination, what an error means.
 */
import { Readable } from 'node:stream';
import { EC2Client } from '@aws-sdk/client-ec2';
import { isThrottlingError, isTransientError } from '@smithy/core/retry';
import { sdkStreamMixin } from '@smithy/core/serde';
import { AwsError, type Service } from './service.ts';
import { services } from './services.ts';
import { requestHandler } from './wire.ts';
import { perform, type World } from './world.ts';

/** A request handler that never sees a request: it is given commands. */
export interface Direct {
  /** Not called; the SDK takes only what has it for a handler. */
  readonly handle: (...request: never[]) => unknown;
  /** @param attempt from 1 on: the SDK's retries, without their waits */
  readonly command: (asked: Asked, attempt: number) => Promise<object>;
}
export interface Asked {
  readonly service: Service;
  readonly operation: string;
  readonly input: object;
  readonly accessKeyId: string;
  readonly region: string;
}

/** A transport for commands. What is no command, an SDK's client of another copy, goes over the wire. */
export const directly = (
  world: World,
  around: (call: () => Promise<object>) => Promise<object> = (call) => call(),
) => ({
  ...requestHandler(world),
  command: (asked: Asked): Promise<object> =>
    around(() => perform(world, { ...asked, requestId: world.random.uuid() })),
});

interface Client {
  readonly config: {
    readonly requestHandler: Partial<Direct>;
    readonly credentials: () => Promise<{ accessKeyId: string }>;
    readonly region: () => Promise<string>;
    readonly maxAttempts: () => Promise<number>;
  };
}
interface Command {
  readonly input: object;
}

/** By the prototype of its client. */
const SERVICES = new Map<unknown, Service>(
  services.flatMap((s) =>
    Object.entries(s.api).flatMap(([name, value]) =>
      name.endsWith('Client') ? [[(value as typeof EC2Client).prototype, s] as const] : [],
    ),
  ),
);

type Thrown = new (options: { name: string; message: string; $fault: 'client' | 'server'; $metadata: object }) => Error;

const bases = new WeakMap<object, unknown>();
const anyOf = (api: Service['api']): unknown => {
  if (!bases.has(api)) bases.set(api, Object.entries(api).find(([name]) => name.endsWith('ServiceException'))?.[1]);
  return bases.get(api);
};
/** As the SDK's clients throw what a service answers: their own class for it, or that of all of the service's. */
const asSdkError = ({ code, message, status = 400 }: AwsError, { api }: Service): Error => {
  const own = api[code];
  const Exception = (typeof own === 'function' ? own : anyOf(api)) as Thrown;
  const $fault = status >= 500 ? 'server' : 'client';
  const error = new Exception({ name: code, message, $fault, $metadata: { httpStatusCode: status } });
  return Object.assign(error, { name: code, Code: code });
};

/** What the SDK's standard retry takes for transient; and, of those who fake AWS between client and world, ours. */
const isRetried = (e: unknown): boolean =>
  isThrottlingError(e as never) ||
  isTransientError(e as never) ||
  ['Throttled', 'Unavailable'].includes((e as Error).name);

/** The body of an object comes as a stream. */
const streamed = (reply: { readonly Body?: unknown }): object =>
  reply.Body instanceof Uint8Array ? { ...reply, Body: sdkStreamMixin(Readable.from([reply.Body])) } : reply;

const direct = async (client: Client, command: Command): Promise<object> => {
  const { config } = client;
  const service = SERVICES.get(Object.getPrototypeOf(client));
  if (!service) throw new Error(`the world has no service behind ${client.constructor.name}`);
  const operation = command.constructor.name.replace(/Command$/, '');
  const attempts = await config.maxAttempts();
  const region = await config.region();
  for (let attempt = 1; ; attempt++) {
    const { accessKeyId } = await config.credentials();
    try {
      const asked = { service, operation, input: command.input, accessKeyId, region };
      return streamed((await config.requestHandler.command?.(asked, attempt)) ?? {});
    } catch (e) {
      const error = e instanceof AwsError ? asSdkError(e, service) : e;
      if (attempt >= attempts || !isRetried(error)) throw error;
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
