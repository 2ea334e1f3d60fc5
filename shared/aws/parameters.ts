import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { InvalidInput } from '../core/errors.ts';
import type { Parameters } from '../core/ports.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

export const ssmParameters = (options: ClientOptions): Parameters => {
  const client = new SSMClient(clientConfig(options, 3));
  return {
    get: (name) =>
      calling(`cannot read ${name}`, async () => {
        const { Parameter } = await client.send(new GetParameterCommand({ Name: name }));
        if (Parameter?.Value === undefined) throw new InvalidInput(`SSM gives ${name} without a value`);
        return { value: Parameter.Value, version: Parameter.Version ?? 0 };
      }),
    // Overwriting with the same value twice ends the same, so the SDK may repeat it.
    put: (name, value) =>
      calling(
        `cannot write ${name}`,
        async () =>
          void (await client.send(
            new PutParameterCommand({ Name: name, Value: value, Type: 'String', Overwrite: true }),
          )),
      ),
  };
};
