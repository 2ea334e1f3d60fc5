/** SSM documents: which there are, and whether a command's parameters fit them. */
import { createHash } from 'node:crypto';
import type { DocumentDescription } from '@aws-sdk/client-ssm';
import { parse } from 'yaml';
import { documentArn } from './arns.ts';
import { AwsError } from './service.ts';
import type { SsmOperations } from './ssm.ts';
import type { World } from './world.ts';

export type Document = {
  readonly name: string;
  /** Where it is not known, parameters are not checked. */
  content: string | undefined;
  format: 'JSON' | 'YAML' | 'TEXT';
  type: string;
  owner: string;
  created: number;
  tags: Record<string, string>;
};

/** Makes a document known to the world, as a deployment would with CreateDocument. */
export const addDocument = (world: World, name: string, content?: string): Document => {
  const document: Document = {
    name,
    content,
    format: content?.trimStart().startsWith('{') ? 'JSON' : 'YAML',
    type: 'Command',
    owner: /^(AWS|Amazon)-/.test(name) ? 'Amazon' : world.account,
    created: world.clock.now(),
    tags: {},
  };
  world.ssm.documents.set(name, document);
  return document;
};

/** By name or ARN; of another account's ARN nothing is known here. */
export const findDocument = (world: World, nameOrArn: string): Document => {
  const name = nameOrArn.replace(/^arn:aws[^:]*:ssm:[^:]*:[^:]*:document\//, '');
  const document = world.ssm.documents.get(name);
  if (document && (name === nameOrArn || documentArn(world, name) === nameOrArn)) return document;
  throw new AwsError('InvalidDocument', `Document with name ${nameOrArn} does not exist.`);
};

type Declared = { type?: string; default?: string | string[]; allowedPattern?: string; allowedValues?: string[] };

const declared = (document: Document): Record<string, Declared> | undefined => {
  if (document.content === undefined) return undefined;
  const content = (document.format === 'JSON' ? JSON.parse(document.content) : parse(document.content)) as {
    parameters?: Record<string, Declared>;
  };
  return content.parameters ?? {};
};

const refuse = (message: string): never => {
  throw new AwsError('InvalidParameters', message);
};

/** One parameter's values: the given ones, if the declaration allows them, else its default. */
const bind = (
  name: string,
  { default: otherwise, allowedPattern, allowedValues }: Declared,
  given: string[] | undefined,
) => {
  if (!given)
    return otherwise === undefined ? refuse(`missing required parameter: ${name}`) : [otherwise].flat().map(String);
  const pattern = allowedPattern && new RegExp(`^(?:${allowedPattern})$`);
  const wrong = given.find(
    (value) => (pattern && !pattern.test(value)) || (allowedValues && !allowedValues.map(String).includes(value)),
  );
  if (wrong === undefined) return given;
  return refuse(
    `Parameter "${name}" with value "${wrong}" does not match ${allowedPattern ?? `one of ${allowedValues}`}`,
  );
};

/** A command's parameters with the document's defaults; refuses what the document does not declare or allow. */
export const bindParameters = (document: Document, given: Record<string, string[]>): Record<string, string[]> => {
  const parameters = declared(document);
  if (!parameters) return given;
  const unknown = Object.keys(given).filter((name) => !parameters[name]);
  if (unknown.length > 0) refuse(`document ${document.name} does not support parameters: ${unknown.join(', ')}`);
  return Object.fromEntries(
    Object.entries(parameters).map(([name, declaration]) => [name, bind(name, declaration, given[name])]),
  );
};

const describe = (document: Document): DocumentDescription => ({
  Name: document.name,
  Owner: document.owner,
  CreatedDate: new Date(document.created),
  Status: 'Active',
  DocumentVersion: '1',
  LatestVersion: '1',
  DefaultVersion: '1',
  DocumentType: 'Command',
  DocumentFormat: document.format,
  SchemaVersion: '2.2',
  PlatformTypes: ['Linux'],
  Hash: createHash('sha256')
    .update(document.content ?? '')
    .digest('hex'),
  HashType: 'Sha256',
  Tags: Object.entries(document.tags).map(([Key, Value]) => ({ Key, Value })),
  Parameters: Object.entries(declared(document) ?? {}).map(([Name, { type, default: otherwise }]) => ({
    Name,
    Type: type === 'StringList' ? ('StringList' as const) : ('String' as const),
    ...(otherwise !== undefined && { DefaultValue: String(otherwise) }),
  })),
});

export const documentOperations: SsmOperations = {
  CreateDocument: (input, { world }) => {
    const { Name: name = '', Content: content = '', DocumentFormat: format = 'JSON' } = input;
    if (world.ssm.documents.has(name))
      throw new AwsError('DocumentAlreadyExists', `Document with same name ${name} already exists`);
    const document: Document = {
      name,
      content,
      format,
      type: input.DocumentType ?? 'Command',
      owner: world.account,
      created: world.clock.now(),
      tags: Object.fromEntries((input.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value])),
    };
    try {
      declared(document);
    } catch (error) {
      throw new AwsError(
        'InvalidDocumentContent',
        `The content of document ${name} is not valid ${format}: ${String(error)}`,
      );
    }
    world.ssm.documents.set(name, document);
    return { DocumentDescription: describe(document) };
  },

  DescribeDocument: (input, { world }) => ({ Document: describe(findDocument(world, input.Name ?? '')) }),

  GetDocument: (input, { world }) => {
    const { name, content, created, format } = findDocument(world, input.Name ?? '');
    return {
      Name: name,
      Content: content ?? '',
      CreatedDate: new Date(created),
      DocumentVersion: '1',
      Status: 'Active',
      DocumentType: 'Command',
      DocumentFormat: format,
    };
  },

  DeleteDocument: (input, { world }) => {
    const { name } = findDocument(world, input.Name ?? '');
    world.ssm.documents.delete(name);
    return {};
  },
};
