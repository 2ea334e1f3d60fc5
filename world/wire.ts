/**
 * The world over AWS's own wire protocols. One generic server for all services: the SDK carries the schema of each operation,
 * so a request is read, and an answer written, by what the SDK itself says of them. Any AWS client can talk to it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { protocolOf, type WireRequest, type WireResponse } from './protocols.ts';
import { AwsError, ReplyLost, type Service } from './service.ts';
import { checkSignedHeaders } from './signature.ts';
import { perform, type World } from './world.ts';

export type { WireRequest, WireResponse } from './protocols.ts';

type OperationSchema = readonly [
  kind: number,
  namespace: string,
  name: string,
  traits: unknown,
  input: () => unknown,
  output: () => unknown,
];

const schemas = new WeakMap<object, Map<string, { name: string; input: unknown; output: unknown }>>();

/** The SDK's schemas of an operation, looked up once. */
const schemasOf = ({ api, name: service }: Service, operation: string) => {
  const known = schemas.get(api) ?? new Map();
  schemas.set(api, known);
  const found = known.get(operation);
  if (found) return found;
  const schema = api[`${operation}$`] as OperationSchema | undefined;
  if (!schema) throw new AwsError('InvalidAction', `${service} has no operation ${operation}`, 400);
  const [, , name, , input, output] = schema;
  const value = {
    name,
    input: typeof input === 'function' ? input() : input,
    output: typeof output === 'function' ? output() : output,
  };
  known.set(operation, value);
  return value;
};

/** Access key, region and service, from the signature's scope: `Credential=<key>/<date>/<region>/<service>/aws4_request`. */
const scopeOf = ({
  headers,
  path,
}: WireRequest): { accessKeyId: string; region: string; signingName: string } | undefined => {
  const signed = /Credential=([^/]+)\/[^/]+\/([^/]+)\/([^/,]+)\//.exec(headers['authorization'] ?? '');
  const presigned = signed
    ? undefined
    : new URLSearchParams(path.split('?')[1] ?? '').get('X-Amz-Credential')?.split('/');
  const accessKeyId = signed?.[1] ?? presigned?.[0];
  const region = signed?.[2] ?? presigned?.[2];
  const signingName = signed?.[3] ?? presigned?.[3];
  return accessKeyId !== undefined && region !== undefined && signingName !== undefined
    ? { accessKeyId, region, signingName }
    : undefined;
};

const plain = (status: number, message: string): WireResponse => ({
  status,
  headers: { 'content-type': 'text/plain' },
  body: Buffer.from(message),
});

/** One request to its answer. Throws ReplyLost where the connection breaks instead. */
export const handle = async (world: World, received: WireRequest): Promise<WireResponse> => {
  const scope = scopeOf(received);
  if (!scope) return plain(403, 'The world needs a signed request: the signature names the service.');
  const service = world.services.find(({ signingName }) => signingName === scope.signingName);
  if (!service) {
    return plain(
      501,
      `The world lacks the service ${scope.signingName}. It has: ${world.services.map(({ signingName }) => signingName).join(', ')}.`,
    );
  }
  const request =
    received.headers['content-encoding'] === 'gzip' ? { ...received, body: gunzipSync(received.body) } : received;
  const protocol = protocolOf(request, service);
  const requestId = world.random.uuid();
  let parsed: URLSearchParams | undefined;
  const form = () => {
    parsed ??= new URLSearchParams(
      request.method === 'GET' ? (request.path.split('?')[1] ?? '') : Buffer.from(request.body).toString(),
    );
    return parsed;
  };
  try {
    checkSignedHeaders(request);
    const operation = protocol.operation(request, form, service);
    if (!operation) throw new AwsError('MissingAction', 'The request names no operation', 400);
    const operationSchemas = schemasOf(service, operation);
    const input = await protocol.read(operationSchemas, request, form, service);
    const output = await perform(world, { service, operation, input, requestId, ...scope });
    return protocol.write(operationSchemas, output, requestId, service);
  } catch (error) {
    if (error instanceof AwsError) return protocol.writeError(error, requestId, service);
    throw error;
  }
};

type ClientRequest = {
  method: string;
  path: string;
  query?: Record<string, unknown> | null;
  headers: Record<string, string>;
  body?: unknown;
};

const lowerCase = (headers: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));

const queryString = (query: Record<string, unknown> | null | undefined) => {
  const form = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {}))
    for (const one of [value].flat()) form.append(key, String(one));
  return form.size > 0 ? `?${form}` : '';
};

const bytes = (body: unknown): Uint8Array => {
  if (body === undefined || body === null) return new Uint8Array();
  if (typeof body === 'string') return Buffer.from(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  throw new Error('the world reads a body that is text or bytes, not a stream');
};

/** `new EC2Client({ requestHandler: requestHandler(world) })`: an SDK v3 client without sockets. */
export const requestHandler = (world: World) => ({
  metadata: { handlerProtocol: 'world' },
  handle: async (request: ClientRequest) => {
    const { method, path, query, headers, body: sent } = request;
    const answer = await handle(world, {
      method,
      path: path + queryString(query),
      headers: lowerCase(headers),
      body: bytes(sent),
    });
    // S3's client takes an object's body as the stream that sockets give; the others take bytes, which is quicker.
    const isS3 = 'x-amz-request-id' in answer.headers;
    const body = isS3 ? Readable.from([answer.body]) : answer.body;
    return { response: { statusCode: answer.status, headers: answer.headers, body } };
  },
  updateHttpClientConfig: () => {},
  httpHandlerConfigs: () => ({}),
  destroy: () => {},
});

const collect = async (message: IncomingMessage): Promise<Uint8Array> => {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

const serve = async (world: World, message: IncomingMessage, response: ServerResponse) => {
  try {
    const { method = 'GET', url = '/', headers } = message;
    const body = await collect(message);
    const answer = await handle(world, { method, path: url, headers: lowerCase(headers), body });
    response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.byteLength });
    response.end(answer.body);
  } catch (error) {
    if (error instanceof ReplyLost) {
      message.socket.destroy();
      return;
    }
    // A bug of the world: said in full, so that it is not taken for AWS's.
    response.writeHead(500, { 'content-type': 'text/plain' });
    response.end(`the world failed: ${error instanceof Error ? error.stack : String(error)}`);
  }
};

export type Listening = { readonly url: string; readonly port: number; close(): Promise<void> };

/** Serves the world over HTTP; port 0 takes a free one. */
export const listen = async (
  world: World,
  { port = 0, host = '127.0.0.1' }: { port?: number; host?: string } = {},
): Promise<Listening> => {
  const server = createServer((message, response) => void serve(world, message, response));
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  const taken = (server.address() as AddressInfo).port;
  return {
    url: `http://${host}:${taken}`,
    port: taken,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
