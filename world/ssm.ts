/** Systems Manager: the state, and the one table of its operations. Run Command is in commands.ts. */
import * as api from '@aws-sdk/client-ssm';
import { documentArn, instanceArn, parameterArn } from './arns.ts';
import { type Command, commandOperations } from './commands.ts';
import { type Document, documentOperations } from './documents.ts';
import { managedOperations } from './managed.ts';
import { findParameter, type Parameter, parameterOperations } from './parameters.ts';
import { AwsError, defineService, jsonWords, type Operations, type Resource } from './service.ts';
import type { World } from './world.ts';

export type SsmOperations = Operations<typeof api>;

export type SsmState = {
  readonly commands: Map<string, Command>;
  readonly parameters: Map<string, Parameter>;
  readonly documents: Map<string, Document>;
};

export const createSsmState = (): SsmState => ({ commands: new Map(), parameters: new Map(), documents: new Map() });

const document = (name: string | undefined, world: World): Resource => {
  const arn = documentArn(world, name ?? '');
  return { arn, tags: world.ssm.documents.get(arn.replace(/^.*:document\//, ''))?.tags ?? {} };
};

const parameter = (name: string | undefined, world: World): Resource => {
  const arn = parameterArn(world, name ?? '');
  return { arn, tags: findParameter(world, name ?? '')?.tags ?? {} };
};

const instance = (id: string, world: World): Resource => ({
  arn: instanceArn(world, id),
  tags: world.ec2.instances.get(id)?.tags ?? {},
});

/** What ListTagsForResource lists the tags of, by its type. */
const tagged = (world: World, type: string | undefined, id: string): { tags: Record<string, string> } | undefined =>
  type === 'Document' ? world.ssm.documents.get(id) : type === 'Parameter' ? findParameter(world, id) : undefined;

const tagOperations: SsmOperations = {
  ListTagsForResource: (input, { world }) => {
    const thing = tagged(world, input.ResourceType, input.ResourceId ?? '');
    if (!thing)
      throw new AwsError(
        'InvalidResourceId',
        `The resource ID ${input.ResourceId} is not valid. Verify that you entered the correct ID and try again.`,
      );
    return { TagList: Object.entries(thing.tags).map(([Key, Value]) => ({ Key, Value })) };
  },
};

export const ssmService = defineService<typeof api>({
  name: 'ssm',
  signingName: 'ssm',
  iamPrefix: 'ssm',
  protocol: 'json',
  xmlNamespace: 'http://ssm.amazonaws.com/doc/2014-11-06/',
  api,
  words: jsonWords,
  operations: {
    ...commandOperations,
    ...managedOperations,
    ...parameterOperations,
    ...documentOperations,
    ...tagOperations,
  },
  resources: {
    // The document and every instance must be allowed.
    SendCommand: (input, world) => [
      document(input.DocumentName, world),
      ...(input.InstanceIds ?? []).map((id) => instance(id, world)),
      ...(input.Targets?.length ? [{ arn: instanceArn(world, '*') }] : []),
    ],
    CreateDocument: (input, world) => [document(input.Name, world)],
    DescribeDocument: (input, world) => [document(input.Name, world)],
    GetDocument: (input, world) => [document(input.Name, world)],
    DeleteDocument: (input, world) => [document(input.Name, world)],
    GetParameter: (input, world) => [parameter(input.Name, world)],
    PutParameter: (input, world) => [parameter(input.Name, world)],
    DeleteParameter: (input, world) => [parameter(input.Name, world)],
    ListTagsForResource: (input, world) => [
      input.ResourceType === 'Document' ? document(input.ResourceId, world) : parameter(input.ResourceId, world),
    ],
  },
});
