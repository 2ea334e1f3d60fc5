/**
 * The two XML protocols, seen from the server: form fields in, XML out. Both follow the schema of the operation, so that
 * nothing here knows a service. (The SDK has only the client's side of them.)
 * https://smithy.io/2.0/aws/protocols/aws-query-protocol.html, …/aws-ec2-query-protocol.html
 */
import { NormalizedSchema } from '@smithy/core/schema';

type Node = { text?: string; children?: Map<string, Node> };

/** `Filter.1.Value.2=x` as a tree. */
export const parseForm = (form: URLSearchParams): Node => {
  const root: Node = {};
  for (const [key, text] of form) {
    let node = root;
    for (const part of key.split('.')) {
      node.children ??= new Map();
      const next = node.children.get(part) ?? {};
      node.children.set(part, next);
      node = next;
    }
    node.text = text;
  }
  return root;
};

const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

/** EC2 upper-cases the first letter of what comes in, and flattens every list. */
const inputName = (name: string, member: NormalizedSchema, ec2: boolean): string => {
  const { xmlName, ec2QueryName } = member.getMergedTraits();
  if (!ec2) return xmlName ?? name;
  return (ec2QueryName as string | undefined) ?? capital(xmlName ?? name);
};

/** List items are numbered from 1; a client may leave gaps. */
const inOrder = (node: Node | undefined): Node[] =>
  [...(node?.children ?? [])]
    .filter(([key]) => /^\d+$/.test(key))
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, child]) => child);

const readScalar = (schema: NormalizedSchema, text: string): unknown => {
  if (schema.isBooleanSchema()) return text === 'true';
  if (schema.isNumericSchema()) return Number(text);
  if (schema.isBigIntegerSchema()) return BigInt(text);
  if (schema.isTimestampSchema()) return new Date(/^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : text);
  if (schema.isBlobSchema()) return Buffer.from(text, 'base64');
  return text;
};

const readStruct = (schema: NormalizedSchema, node: Node, ec2: boolean) => {
  const value: Record<string, unknown> = {};
  for (const [name, member] of schema.structIterator()) {
    const child = node.children?.get(inputName(name, member, ec2));
    if (child) value[name] = readQuery(member, child, ec2);
  }
  return value;
};

const isFlat = (schema: NormalizedSchema, ec2: boolean) => ec2 || Boolean(schema.getMergedTraits().xmlFlattened);

const readList = (schema: NormalizedSchema, node: Node, ec2: boolean) => {
  const item = schema.getValueSchema();
  const items = isFlat(schema, ec2) ? node : node.children?.get(item.getMergedTraits().xmlName ?? 'member');
  return inOrder(items).map((child) => readQuery(item, child, ec2));
};

const readMap = (schema: NormalizedSchema, node: Node, ec2: boolean) => {
  const key = schema.getKeySchema().getMergedTraits().xmlName ?? 'key';
  const item = schema.getValueSchema();
  const value = item.getMergedTraits().xmlName ?? 'value';
  const entries = inOrder(isFlat(schema, ec2) ? node : node.children?.get('entry')).map((entry) => [
    entry.children?.get(key)?.text ?? '',
    readQuery(item, entry.children?.get(value) ?? {}, ec2),
  ]);
  return Object.fromEntries(entries);
};

/** The input of an operation, from its form fields. Fields that the schema does not know are ignored, as AWS does. */
export const readQuery = (schema: NormalizedSchema, node: Node, ec2: boolean): unknown => {
  if (schema.isStructSchema()) return readStruct(schema, node, ec2);
  if (schema.isListSchema()) return readList(schema, node, ec2);
  if (schema.isMapSchema()) return readMap(schema, node, ec2);
  return readScalar(schema, node.text ?? '');
};

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#xD;',
};
export const escapeXml = (text: string) => text.replace(/[&<>"\r]/g, (character) => ENTITIES[character] ?? character);

const scalarText = (schema: NormalizedSchema, value: unknown): string => {
  if (value instanceof Date) return value.toISOString();
  if (schema.isBlobSchema()) return Buffer.from(value as Uint8Array).toString('base64');
  return escapeXml(String(value));
};

const writeMember = (tag: string, schema: NormalizedSchema, value: unknown): string => {
  if (value === undefined || value === null) return '';
  if (schema.isListSchema() && schema.getMergedTraits().xmlFlattened) {
    const item = schema.getValueSchema();
    return (value as unknown[]).map((one) => writeMember(tag, item, one)).join('');
  }
  return `<${tag}>${writeXml(schema, value)}</${tag}>`;
};

/** What stands inside the element of a value. */
export const writeXml = (schema: NormalizedSchema, value: unknown): string => {
  if (schema.isStructSchema()) {
    let xml = '';
    for (const [name, member] of schema.structIterator()) {
      const held = (value as Record<string, unknown>)[name];
      if (held !== undefined) xml += writeMember(member.getMemberTraits().xmlName ?? name, member, held);
    }
    return xml;
  }
  if (schema.isListSchema()) {
    const item = schema.getValueSchema();
    const tag = item.getMergedTraits().xmlName ?? 'member';
    return (value as unknown[]).map((one) => writeMember(tag, item, one)).join('');
  }
  if (schema.isMapSchema()) {
    const key = schema.getKeySchema().getMergedTraits().xmlName ?? 'key';
    const item = schema.getValueSchema();
    const tag = item.getMergedTraits().xmlName ?? 'value';
    return Object.entries(value as Record<string, unknown>)
      .map(([name, one]) => `<entry><${key}>${escapeXml(name)}</${key}>${writeMember(tag, item, one)}</entry>`)
      .join('');
  }
  return scalarText(schema, value);
};

/** Schemas are normalised once; the SDK keeps them on the schema object. */
export const normalized = (schema: unknown): NormalizedSchema =>
  NormalizedSchema.of(schema as Parameters<typeof NormalizedSchema.of>[0]);
