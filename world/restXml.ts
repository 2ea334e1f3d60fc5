/**
 * REST with XML (S3), seen from the server: the operation is told by method, path and query, its input comes from all of these, the headers and the body. It follows the HTTP
 * traits of the operation's schema, so that nothing here knows an operation. https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html
 */
import { XmlCodec } from '@aws-sdk/core/protocols';
import type { NormalizedSchema } from '@smithy/core/schema';
import type { Protocol, WireRequest, WireResponse } from './protocols.ts';
import { escapeXml, normalized, writeXml } from './query.ts';
import type { Service } from './service.ts';

type Http = readonly [method: string, uri: string, status: number];
/** `S3$` of an operation: [kind, namespace, name, traits, input, output]. */
const httpOf = (service: Service, operation: string): Http | undefined =>
  (service.api[`${operation}$`] as [0, 0, 0, { http?: Http }] | undefined)?.[3]?.http;

type Url = { readonly path: string; readonly query: URLSearchParams };
const urlOf = ({ path }: WireRequest): Url => {
  const at = path.indexOf('?');
  return at < 0
    ? { path, query: new URLSearchParams() }
    : { path: path.slice(0, at), query: new URLSearchParams(path.slice(at + 1)) };
};

/** Both ways to name a bucket: `bucket.s3.region.amazonaws.com/key` and `host/bucket/key`. */
const placeOf = (request: WireRequest): { bucket: string; key: string } => {
  const { path } = urlOf(request);
  const virtual = /^(.+?)\.s3[.-]/.exec(request.headers['host'] ?? '')?.[1];
  const [bucket = '', ...rest] = path.slice(1).split('/').map(decodeURIComponent);
  return virtual ? { bucket: virtual, key: [bucket, ...rest].join('/') } : { bucket, key: rest.join('/') };
};

/** How well an operation's literal query fits; undefined: not at all. `x-id` is a hint that only the SDK sends. */
const matchOf = (uri: string, query: URLSearchParams): number | undefined => {
  const wanted = [...new URLSearchParams(uri.split('?')[1] ?? '')].filter(([name]) => name !== 'x-id');
  return wanted.every(([name, value]) => query.has(name) && (value === '' || query.get(name) === value))
    ? wanted.length
    : undefined;
};

const nameOf = (request: WireRequest, service: Service): string | undefined => {
  const { query } = urlOf(request);
  const { bucket, key } = placeOf(request);
  const level = key !== '' ? 'key' : bucket !== '' ? 'bucket' : 'account';
  const copies = request.headers['x-amz-copy-source'] !== undefined;
  const fitting = Object.keys(service.operations).flatMap((operation) => {
    const [method, uri] = httpOf(service, operation) ?? [];
    if (method !== request.method || uri === undefined) return [];
    const needs = uri.startsWith('/{Key+}') ? 'key' : operation === 'ListBuckets' ? 'account' : 'bucket';
    const score = needs === level && copies === (operation === 'CopyObject') ? matchOf(uri, query) : undefined;
    return score === undefined ? [] : [{ operation, score }];
  });
  return fitting.sort((a, b) => b.score - a.score)[0]?.operation;
};

const codecOf = ({ xmlNamespace }: Service) =>
  new XmlCodec({
    timestampFormat: { useTrait: true, default: 5 },
    xmlNamespace,
    serviceNamespace: 'com.amazonaws.s3',
  } as ConstructorParameters<typeof XmlCodec>[0]);

const scalarOf = (schema: NormalizedSchema, text: string): unknown => {
  if (schema.isBooleanSchema()) return text === 'true';
  if (schema.isNumericSchema()) return Number(text);
  if (schema.isTimestampSchema()) return new Date(text);
  return text;
};

/** `aws-chunked`: each chunk has its length before it, and perhaps its signature. */
const unchunked = (body: Uint8Array): Uint8Array => {
  const bytes = Buffer.from(body);
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.subarray(at, end).toString().split(';')[0] ?? '0', 16);
    if (!(size > 0)) break;
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
  return Buffer.concat(parts);
};

const payloadOf = async (member: NormalizedSchema, body: Uint8Array, service: Service): Promise<unknown> => {
  if (member.isStructSchema())
    return body.length === 0 ? undefined : codecOf(service).createDeserializer().read(member, body);
  return member.isStringSchema() ? Buffer.from(body).toString() : body;
};

const headersOf = (prefix: string, headers: WireRequest['headers']) =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  );

const memberOf = async (name: string, member: NormalizedSchema, request: WireRequest, service: Service) => {
  const traits = member.getMergedTraits();
  const { bucket, key } = placeOf(request);
  if (name === 'Bucket' && !traits.httpHeader) return bucket || undefined;
  if (traits.httpLabel) return key;
  const text = traits.httpHeader
    ? request.headers[traits.httpHeader.toLowerCase()]
    : traits.httpQuery
      ? (urlOf(request).query.get(traits.httpQuery) ?? undefined)
      : undefined;
  if (text !== undefined) return scalarOf(member, text);
  if (traits.httpPrefixHeaders) return headersOf(traits.httpPrefixHeaders.toLowerCase(), request.headers);
  if (!traits.httpPayload) return undefined;
  const chunked = request.headers['x-amz-content-sha256']?.startsWith('STREAMING-');
  return payloadOf(member, chunked ? unchunked(request.body) : request.body, service);
};

const headerText = (member: NormalizedSchema, value: unknown): string => {
  if (!(value instanceof Date)) return String(value);
  return member.getSchema() === 5 ? value.toISOString() : value.toUTCString();
};

type Written = { headers: Record<string, string>; body?: Uint8Array; inside: string };
const element = (tag: string, schema: NormalizedSchema, value: unknown) =>
  `<${tag}>${writeXml(schema, value)}</${tag}>`;

/** A payload is the whole body: bytes, text, or one element. */
const payload = (name: string, member: NormalizedSchema, value: unknown): Uint8Array => {
  if (!member.isStructSchema()) return typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array);
  const tag = member.getMergedTraits().xmlName ?? member.getName()?.split('#').at(-1) ?? name;
  return Buffer.from(HEAD + element(tag, member, value));
};

const inBody = (name: string, member: NormalizedSchema, value: unknown): string => {
  const { xmlName: tag = name, xmlFlattened } = member.getMergedTraits();
  if (!member.isListSchema() || !xmlFlattened) return element(tag, member, value);
  return (value as unknown[]).map((one) => element(tag, member.getValueSchema(), one)).join('');
};

const writeMember = (written: Written, name: string, member: NormalizedSchema, value: unknown): void => {
  const { httpHeader, httpPrefixHeaders, httpPayload } = member.getMergedTraits();
  if (httpHeader) written.headers[httpHeader.toLowerCase()] = headerText(member, value);
  else if (httpPrefixHeaders) {
    const prefix = httpPrefixHeaders.toLowerCase();
    for (const [key, one] of Object.entries(value as Record<string, string>)) written.headers[prefix + key] = one;
  } else if (httpPayload) written.body = payload(name, member, value);
  else written.inside += inBody(name, member, value);
};

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';
const XML = { 'content-type': 'application/xml' };

export const restXml: Protocol = {
  operation: (request, _form, service) => nameOf(request, service),
  read: async ({ input }, request, _form, service) => {
    const value: Record<string, unknown> = {};
    const schema = normalized(input);
    if (!schema.isStructSchema()) return value;
    for (const [name, member] of schema.structIterator()) {
      const held = await memberOf(name, member, request, service);
      if (held !== undefined) value[name] = held;
    }
    return value;
  },
  write: ({ name, output }, value, requestId, service) => {
    const status = httpOf(service, name)?.[2] ?? 200;
    const headers = { 'x-amz-request-id': requestId };
    const schema = normalized(output);
    if (!schema.isStructSchema()) return { status, headers, body: new Uint8Array() };
    const written: Written = { headers, inside: '' };
    for (const [member, of] of schema.structIterator()) {
      const held = (value as Record<string, unknown>)[member];
      if (held !== undefined) writeMember(written, member, of, held);
    }
    if (written.body || written.inside === '')
      return { status, headers: written.headers, body: written.body ?? new Uint8Array() };
    const root = schema.getMergedTraits().xmlName ?? `${name}Result`;
    const xml = `${HEAD}<${root} xmlns="${service.xmlNamespace}">${written.inside}</${root}>`;
    return { status, headers: { ...written.headers, ...XML }, body: Buffer.from(xml) };
  },
  writeError: (error, requestId): WireResponse => ({
    status: error.status ?? 400,
    headers: { ...XML, 'x-amz-request-id': requestId },
    body: Buffer.from(
      `${HEAD}<Error><Code>${escapeXml(error.code)}</Code><Message>${escapeXml(error.message)}</Message><RequestId>${requestId}</RequestId></Error>`,
    ),
  }),
};
