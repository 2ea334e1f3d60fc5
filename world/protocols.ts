/** How a request names its operation and carries its input, and how the answer goes back: one entry per AWS protocol. */
import { CborCodec } from '@smithy/core/cbor';
import { JsonCodec2 } from '@smithy/core/protocols';
import { escapeXml, normalized, parseForm, readQuery, writeXml } from './query.ts';
import { restXml } from './restXml.ts';
import type { AwsError, Service } from './service.ts';

export type WireRequest = {
  method: string;
  /** With the query string. */
  path: string;
  headers: Readonly<Record<string, string>>;
  body: Uint8Array;
};
export type WireResponse = { status: number; headers: Record<string, string>; body: Uint8Array };

type OperationSchemas = { name: string; input: unknown; output: unknown };

export type Protocol = {
  /** The operation's name, if the request speaks this protocol. */
  operation(request: WireRequest, form: () => URLSearchParams, service: Service): string | undefined;
  read(schemas: OperationSchemas, request: WireRequest, form: () => URLSearchParams, service: Service): Promise<object>;
  write(schemas: OperationSchemas, output: object, requestId: string, service: Service): WireResponse;
  writeError(error: AwsError, requestId: string, service: Service): WireResponse;
};

type ErrorTraits = { awsQueryError?: [code: string, status: number]; error?: 'client' | 'server'; httpError?: number };

/** What the service's schemas say of an error: query clients get another code than JSON ones. */
const modelled = (error: AwsError, service: Service) => {
  const schema = service.api[`${error.code}$`];
  const found = schema ? normalized(schema) : undefined;
  const traits = (found?.getMergedTraits() ?? {}) as ErrorTraits;
  const status = error.status ?? traits.httpError ?? traits.awsQueryError?.[1] ?? 400;
  return {
    status,
    queryCode: traits.awsQueryError?.[0] ?? error.code,
    fault: status >= 500 ? 'Receiver' : 'Sender',
    messageKey: found && 'Message' in found.getMemberSchemas() ? 'Message' : 'message',
  };
};

const text = (status: number, type: string, requestId: string, body: string): WireResponse => ({
  status,
  headers: { 'content-type': type, 'x-amzn-requestid': requestId },
  body: Buffer.from(body),
});
const XML = 'text/xml;charset=UTF-8';
const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';

const ec2Query: Protocol = {
  operation: (_request, form) => form().get('Action') ?? undefined,
  read: async ({ input }, _request, form) => readQuery(normalized(input), parseForm(form()), true) as object,
  write: ({ name, output }, value, requestId, { xmlNamespace }) => {
    const inside = `<requestId>${requestId}</requestId>${writeXml(normalized(output), value) || '<return>true</return>'}`;
    return text(200, XML, requestId, `${HEAD}<${name}Response xmlns="${xmlNamespace}">${inside}</${name}Response>`);
  },
  writeError: (error, requestId, service) => {
    const inside = `<Code>${escapeXml(error.code)}</Code><Message>${escapeXml(error.message)}</Message>`;
    const body = `${HEAD}<Response><Errors><Error>${inside}</Error></Errors><RequestID>${requestId}</RequestID></Response>`;
    return text(modelled(error, service).status, XML, requestId, body);
  },
};

const query: Protocol = {
  operation: ec2Query.operation,
  read: async ({ input }, _request, form) => readQuery(normalized(input), parseForm(form()), false) as object,
  write: ({ name, output }, value, requestId, { xmlNamespace }) => {
    const schema = normalized(output);
    const result = schema.isStructSchema() ? `<${name}Result>${writeXml(schema, value)}</${name}Result>` : '';
    const metadata = `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`;
    return text(
      200,
      XML,
      requestId,
      `${HEAD}<${name}Response xmlns="${xmlNamespace}">${result}${metadata}</${name}Response>`,
    );
  },
  writeError: (error, requestId, service) => {
    const { status, queryCode, fault } = modelled(error, service);
    const inside = `<Type>${fault}</Type><Code>${escapeXml(queryCode)}</Code><Message>${escapeXml(error.message)}</Message>`;
    const body = `${HEAD}<ErrorResponse xmlns="${service.xmlNamespace}"><Error>${inside}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
    return text(status, XML, requestId, body);
  },
};

const jsonCodec = new JsonCodec2({ timestampFormat: { useTrait: true, default: 7 }, jsonName: false });

const json = (version: '1.0' | '1.1'): Protocol => ({
  operation: ({ headers }) =>
    headers['content-type']?.includes(`json-${version}`) ? headers['x-amz-target']?.split('.').at(-1) : undefined,
  read: async ({ input }, { body }) => {
    const schema = normalized(input);
    if (!schema.isStructSchema()) return {};
    return (await jsonCodec.createDeserializer().read(schema, Buffer.from(body).toString() || '{}')) as object;
  },
  write: ({ output }, value, requestId) => {
    const serializer = jsonCodec.createSerializer();
    const schema = normalized(output);
    // An operation without an output answers with an empty body.
    if (!schema.isStructSchema()) return text(200, `application/x-amz-json-${version}`, requestId, '');
    serializer.write(schema, value);
    const { buffer, byteOffset, byteLength } = serializer.flush();
    return {
      ...text(200, `application/x-amz-json-${version}`, requestId, ''),
      body: new Uint8Array(buffer, byteOffset, byteLength),
    };
  },
  writeError: (error, requestId, service) => {
    const { status: modelledStatus, queryCode, fault, messageKey } = modelled(error, service);
    // JSON 1.1 services answer 400 to every fault of the caller, whatever their models say.
    const status = error.status ?? (version === '1.1' && modelledStatus < 500 ? 400 : modelledStatus);
    const body = JSON.stringify({ __type: error.code, [messageKey]: error.message });
    const response = text(status, `application/x-amz-json-${version}`, requestId, body);
    response.headers['x-amzn-errortype'] = error.code;
    // For services that once spoke query (CloudWatch): the code that old clients know.
    if (queryCode !== error.code) response.headers['x-amzn-query-error'] = `${queryCode};${fault}`;
    return response;
  },
});

const cborCodec = new CborCodec();
const toCbor = (
  schema: Parameters<ReturnType<typeof cborCodec.createSerializer>['write']>[0],
  value: unknown,
): Uint8Array => {
  const serializer = cborCodec.createSerializer();
  serializer.write(schema, value);
  return serializer.flush();
};
const CBOR = { 'content-type': 'application/cbor', 'smithy-protocol': 'rpc-v2-cbor' };
/** The document schema of @smithy/core: any value. */
const ANYTHING = 15;

/** `POST /service/<service>/operation/<operation>` (https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html) */
const cbor: Protocol = {
  operation: ({ headers, path }) =>
    headers['smithy-protocol'] === 'rpc-v2-cbor' ? /\/operation\/([^/?]+)/.exec(path)?.[1] : undefined,
  read: async ({ input }, { body }) => {
    const schema = normalized(input);
    if (!schema.isStructSchema() || body.length === 0) return {};
    return (await cborCodec.createDeserializer().read(schema, body)) as object;
  },
  write: ({ output }, value, requestId) => {
    const schema = normalized(output);
    const body = toCbor(schema.isStructSchema() ? schema : ANYTHING, schema.isStructSchema() ? value : {});
    return { status: 200, headers: { ...CBOR, 'x-amzn-requestid': requestId }, body };
  },
  writeError: (error, requestId, service) => {
    const { status, queryCode, fault, messageKey } = modelled(error, service);
    return {
      status,
      headers: {
        ...CBOR,
        'x-amzn-requestid': requestId,
        ...(queryCode !== error.code && { 'x-amzn-query-error': `${queryCode};${fault}` }),
      },
      body: toCbor(ANYTHING, { __type: error.code, [messageKey]: error.message }),
    };
  },
};

/** The protocol that a request speaks: a service may be spoken to in several (CloudWatch: JSON, CBOR and query). */
export const protocolOf = (request: WireRequest, service: Service): Protocol => {
  if (service.protocol === 'restXml') return restXml;
  if (request.headers['smithy-protocol'] === 'rpc-v2-cbor') return cbor;
  const type = request.headers['content-type'] ?? '';
  if (type.includes('json-1.0')) return json('1.0');
  if (type.includes('json-1.1')) return json('1.1');
  return service.protocol === 'ec2Query' ? ec2Query : query;
};
