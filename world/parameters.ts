/** Parameter Store. */
import type { ParameterType } from '@aws-sdk/client-ssm';
import { parameterArn } from './arns.ts';
import { AwsError } from './service.ts';
import type { SsmOperations } from './ssm.ts';
import type { World } from './world.ts';

export type Parameter = {
  readonly name: string;
  type: ParameterType;
  value: string;
  version: number;
  modified: number;
  tags: Record<string, string>;
};

/** "The maximum size of a parameter value": 4 KB for a standard one, 8 KB for an advanced one. */
const MAX_BYTES = { Standard: 4096, Advanced: 8192 };

/** By name or ARN. */
export const findParameter = (world: World, name: string): Parameter | undefined =>
  world.ssm.parameters.get(name) ??
  [...world.ssm.parameters.values()].find((one) => parameterArn(world, one.name) === name);

export const parameterOperations: SsmOperations = {
  GetParameter: (input, { world }) => {
    const parameter = findParameter(world, input.Name ?? '');
    const seen = parameter && world.lag.seen(parameter);
    if (!seen) throw new AwsError('ParameterNotFound', '');
    const { name, type, value, version, modified } = seen;
    const hidden = type === 'SecureString' && !input.WithDecryption;
    return {
      Parameter: {
        Name: name,
        Type: type,
        Value: hidden ? Buffer.from(value).toString('base64') : value,
        Version: version,
        LastModifiedDate: new Date(modified),
        ARN: parameterArn(world, name),
        DataType: 'text',
      },
    };
  },

  PutParameter: (input, { world, at }) => {
    const { Name: name = '', Value: value = '', Tier: tier = 'Standard' } = input;
    const known = world.ssm.parameters.get(name);
    if (known && !input.Overwrite) {
      throw new AwsError(
        'ParameterAlreadyExists',
        'The parameter already exists. To overwrite this value, set the overwrite option in the request to true.',
      );
    }
    if (!known && !input.Type)
      throw new AwsError('ValidationException', 'A parameter type is required when you create a parameter.');
    const max = MAX_BYTES[tier === 'Advanced' ? 'Advanced' : 'Standard'];
    if (Buffer.byteLength(value) > max) {
      throw new AwsError(
        'ValidationException',
        `${tier} tier parameters support a maximum parameter value of ${max} characters.`,
      );
    }
    const version = (known?.version ?? 0) + 1;
    if (known) {
      Object.assign(world.lag.change(known), { value, version, type: input.Type ?? known.type, modified: at });
    } else {
      const tags = Object.fromEntries((input.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
      const made: Parameter = { name, type: input.Type ?? 'String', value, version, modified: at, tags };
      world.ssm.parameters.set(name, world.lag.create(made));
    }
    return { Version: version, Tier: tier };
  },

  DeleteParameter: (input, { world }) => {
    if (!world.ssm.parameters.delete(input.Name ?? '')) throw new AwsError('ParameterNotFound', '');
    return {};
  },
};
