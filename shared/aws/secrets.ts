/** Secrets of channels, from SSM (SecureString) or Secrets Manager. Kept in memory for minutes, never logged, never in the environment. */
import { Forbidden, InvalidInput } from '../core/errors.ts';
import { minutes, type Time } from '../core/time.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** Long enough to cost nothing, short enough that a new secret is found. */
const KEPT = minutes(5);

const fromSsm = async (name: string, options: ClientOptions): Promise<string | undefined> => {
  const { GetParameterCommand, SSMClient } = await import('@aws-sdk/client-ssm');
  const client = new SSMClient(clientConfig(options, 3));
  const { Parameter } = await client.send(new GetParameterCommand({ Name: name, WithDecryption: true }));
  if (Parameter?.Type !== undefined && Parameter.Type !== 'SecureString')
    throw new Forbidden(`the secret ${name} lies open as a ${Parameter.Type}: store it as a SecureString`);
  return Parameter?.Value;
};
const fromSecretsManager = async (id: string, options: ClientOptions): Promise<string | undefined> => {
  const { GetSecretValueCommand, SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient(clientConfig(options, 3));
  return (await client.send(new GetSecretValueCommand({ SecretId: id }))).SecretString;
};

/** Reads a secret by parameter name or ARN. @throws Forbidden, NotFound, InvalidInput: it is empty */
export const awsSecrets = (options: ClientOptions, now: () => Time): ((id: string) => Promise<string>) => {
  const kept = new Map<string, { readonly value: string; readonly at: Time }>();
  return async (id) => {
    const known = kept.get(id);
    if (known && now() - known.at < KEPT) return known.value;
    // An ARN's region may be another.
    const there = { ...options, region: id.startsWith('arn:') ? (id.split(':')[3] ?? options.region) : options.region };
    const read = id.includes(':secretsmanager:') ? fromSecretsManager : fromSsm;
    const value = (await calling(`cannot read the secret ${id}`, () => read(id, there)))?.trim();
    if (!value) throw new InvalidInput(`the secret ${id} is empty`);
    kept.set(id, { value, at: now() });
    return value;
  };
};
