/** The one function that the CLI talks to. Its clients load when it is called, so that `--help` need not wait for them. */
import type { Proof } from '../shared/aws/identity.ts';
import type { Command, Question, Reply } from '../shared/runtime/answer.ts';
import { Failure } from './failure.ts';

export interface Where {
  readonly stage: string;
  readonly region?: string;
  readonly profile?: string;
}
/** Answers, or throws Failure. */
export interface Steward {
  ask(question: Question): Promise<Reply>;
  /** Signed with the caller's credentials, as are questions about the activity log. */
  command(command: Command): Promise<Reply>;
}

/** Who may read what of the activity log, steward.yml says: such a question is signed like a command. */
const READS_ACTIVITY: ReadonlySet<Question['do']> = new Set(['activity', 'activity-sessions', 'why']);
/** What is asked of the function, and what of it is signed: by `prove`, with the caller's credentials. */
export const stewardBy = (
  stage: string,
  invoke: (request: object) => Promise<Reply>,
  prove: (what: Command | Question) => Promise<Proof>,
): Steward => ({
  ask: async (question) =>
    invoke(
      READS_ACTIVITY.has(question.do) ? { ask: question, stage, proof: await prove(question) } : { ask: question },
    ),
  command: async (command) => invoke({ command, stage, proof: await prove(command) }),
});

/** A look at a host takes up to 20 s, and a plan may make several. Milliseconds. */
const TIMEOUT = 90_000;

export const lambdaSteward = async ({ stage, region, profile }: Where): Promise<Steward> => {
  const { InvokeCommand, LambdaClient } = await import('@aws-sdk/client-lambda');
  const from = { ...(region ? { region } : {}), ...(profile ? { profile } : {}) };
  const client = new LambdaClient({ ...from, requestHandler: { connectionTimeout: 5_000, requestTimeout: TIMEOUT } });
  const FunctionName = `steward-${stage}-answer`;

  const invoke = async (request: object): Promise<Reply> => {
    try {
      const { FunctionError, Payload } = await client.send(
        new InvokeCommand({ FunctionName, Payload: Buffer.from(JSON.stringify(request)) }),
      );
      const answer = JSON.parse(Buffer.from(Payload ?? []).toString('utf8') || 'null') as Reply & {
        errorMessage?: string;
      };
      if (FunctionError || answer === null) throw crashed(FunctionName, answer?.errorMessage ?? 'it answered nothing');
      return answer;
    } catch (e) {
      throw failureOf(e, { stage, region: region ?? (await client.config.region().catch(() => 'this region')) });
    }
  };

  const proofOf = async (what: Command | Question): Promise<Proof> => {
    const { commandHash, prove } = await import('../shared/aws/identity.ts');
    try {
      const where = { ...from, region: region ?? (await client.config.region()) };
      return await prove(commandHash(stage, what as never), where);
    } catch (e) {
      throw failureOf(e, { stage, region: region ?? 'this region' });
    }
  };
  return stewardBy(stage, invoke, proofOf);
};

const crashed = (name: string, message: string): Failure =>
  new Failure(
    'failed',
    `the function ${name} failed: ${message}`,
    /lacks|STEWARD_/.test(message) ? undefined : `see its log group /aws/lambda/${name}`,
  );

type At = { stage: string; region: string };
interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const expired = () =>
  new Failure(
    'failed',
    'the AWS credentials have expired',
    'sign in again (aws sso login, or what gives you credentials)',
  );
const throttled = () =>
  new Failure('failed', 'Lambda is throttled in this account: too many calls at once', 'try again in a moment');
const noCredentials = () =>
  new Failure(
    'failed',
    'there are no AWS credentials',
    'sign in (aws sso login), or name them: --profile, AWS_PROFILE, AWS_ACCESS_KEY_ID',
  );

/** AWS's error name → what to say. */
const KNOWN: Readonly<Record<string, (e: SdkError, at: At) => Failure>> = {
  ResourceNotFoundException: (_e, { stage, region }) =>
    new Failure(
      'not-deployed',
      `Steward is not deployed as stage ${stage} in ${region} of this account: the function steward-${stage}-answer does not exist`,
      `npx serverless deploy --stage ${stage} --region ${region}; or name another: --stage, --region, --profile`,
    ),
  AccessDeniedException: ({ message = '' }, { stage }) =>
    new Failure(
      'failed',
      `these credentials may not call Steward: ${message}`,
      `grant lambda:InvokeFunction on the function steward-${stage}-answer`,
    ),
  CredentialsProviderError: ({ message = '' }) =>
    /expired|refresh/i.test(message)
      ? expired()
      : /Could not load credentials from any/.test(message)
        ? noCredentials()
        : new Failure(
            'failed',
            `the AWS credentials cannot be loaded: ${message}`,
            'look at the profile in ~/.aws/config',
          ),
  ExpiredTokenException: expired,
  ExpiredToken: expired,
  UnrecognizedClientException: () =>
    new Failure(
      'failed',
      'AWS does not know these credentials',
      'look whether the key still exists, and whether it is the right profile',
    ),
  InvalidSignatureException: ({ message = '' }) =>
    new Failure(
      'failed',
      `AWS does not accept the signature: ${message}`,
      "look at this machine's clock and at the secret key",
    ),
  TooManyRequestsException: throttled,
  ThrottlingException: throttled,
  TimeoutError: (_e, { region }) =>
    new Failure('failed', `Lambda in ${region} did not answer in time`, 'look at the network, then try again'),
};

const failureOf = (e: unknown, at: At): Failure => {
  if (e instanceof Failure) return e;
  const error = (e ?? {}) as SdkError;
  const { name = '', message = String(e), code = '' } = error;
  if (/region is missing/i.test(message))
    return new Failure('invalid', 'no AWS region is given', 'name one: --region, AWS_REGION, or in the profile');
  const known = KNOWN[name];
  if (known) return known(error, at);
  if (/^(ENOTFOUND|ECONN|ETIMEDOUT|EAI_|EHOST|ENET)/.test(code))
    return new Failure('failed', `AWS cannot be reached (${message})`, 'look at the network and at --region', {
      cause: e,
    });
  return new Failure('failed', message, undefined, { cause: e });
};
