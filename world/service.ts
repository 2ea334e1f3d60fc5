/** What a simulated AWS service is: a table of behaviours, one function per operation, and little around it. */
import type { PolicyDocument, Principal } from './iam.ts';
import type { World } from './world.ts';

/** An answer in AWS's words. `code` is the name of the error's shape; EC2 has no shapes, only codes. */
export class AwsError extends Error {
  readonly code: string;
  readonly status: number | undefined;
  constructor(code: string, message: string, status?: number) {
    super(message);
    this.name = code;
    this.code = code;
    this.status = status;
  }
}

/** The connection broke before the answer came: the caller cannot know whether anything happened. */
export class ReplyLost extends Error {
  readonly code = 'ECONNRESET';
  /** What the SDK's own HTTP handler calls it. */
  override readonly name = 'TimeoutError';
}

/** What a behaviour knows besides its input. */
export type Call = {
  readonly world: World;
  readonly at: number;
  readonly requestId: string;
  readonly principal: Principal;
  /** Where it was sent to. */
  readonly region: string;
};

/** A thing that a call touches, as IAM sees it. */
export type Resource = {
  readonly arn: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** The resource's own policy, where it has one: a role's trust. */
  readonly policy?: PolicyDocument;
};

type Send<Command> = Command extends new (
  ...args: never[]
) => {
  readonly input: infer Input;
  resolveMiddleware(...args: never[]): (...args: never[]) => Promise<{ output: infer Output }>;
}
  ? (input: Input, call: Call) => Omit<Output, '$metadata'> | Promise<Omit<Output, '$metadata'>>
  : never;

/** Behaviours by operation name, typed by the SDK module's own commands: `Operations<typeof import('@aws-sdk/client-ec2')>`. */
export type Operations<Module> = {
  [Name in keyof Module as Name extends `${infer Operation}Command` ? Operation : never]?: Send<Module[Name]>;
};

type Inputs<Module> = {
  [Name in keyof Operations<Module>]?: NonNullable<Operations<Module>[Name]> extends (
    input: infer Input,
    call: Call,
  ) => unknown
    ? (input: Input, world: World) => Resource[]
    : never;
};

type ContextOf<Module> = {
  [Name in keyof Operations<Module>]?: NonNullable<Operations<Module>[Name]> extends (
    input: infer Input,
    call: Call,
  ) => unknown
    ? (input: Input, world: World) => Record<string, string | string[]>
    : never;
};

/** A permission that a call asks for besides its own: a role that it passes, tags that it sets. */
export type Requirement = {
  readonly action: string;
  readonly resource: Resource;
  readonly context?: Record<string, string | string[]>;
};

type RequirementsOf<Module> = {
  [Name in keyof Operations<Module>]?: NonNullable<Operations<Module>[Name]> extends (
    input: infer Input,
    call: Call,
  ) => unknown
    ? (input: Input, world: World) => Requirement[]
    : never;
};

/** An error's words differ between services for the same trouble. */
export type Words = Record<
  'denied' | 'throttled' | 'internal' | 'unknownKey' | 'expired',
  readonly [code: string, status: number]
>;

export type ServiceOf<Module> = {
  /** The name in `world.calls` and `world.faults`. */
  readonly name: string;
  /** The name in the signature's scope, by which a request is recognised. */
  readonly signingName: string;
  /** The prefix of its IAM actions. */
  readonly iamPrefix: string;
  readonly protocol: 'ec2Query' | 'query' | 'json' | 'restXml';
  readonly xmlNamespace: string;
  /** The SDK's module: it exports the schema of each operation as `${name}$`. */
  readonly api: Module;
  readonly operations: Operations<Module>;
  /** IAM's name of an operation, where it is another one. */
  readonly actions?: Readonly<Record<string, string>>;
  /** What IAM checks per operation; `*` for those not named (AWS: "actions that support no resource types"). */
  readonly resources: Inputs<Module>;
  /** Condition keys that come from the input (`ssm:…`, `cloudwatch:namespace`, `aws:RequestTag/…`). */
  readonly context?: ContextOf<Module>;
  /** "Dependent actions" of the Service Authorization Reference. */
  readonly requires?: RequirementsOf<Module>;
  readonly words: Words;
};

/** A service whose operations' types are forgotten: what the wire and the enforcement work with. */
export type Service = Omit<ServiceOf<unknown>, 'api' | 'operations' | 'resources' | 'context' | 'requires'> & {
  readonly api: Readonly<Record<string, unknown>>;
  readonly operations: Readonly<Record<string, (input: object, call: Call) => object | Promise<object>>>;
  readonly resources: Readonly<Record<string, (input: object, world: World) => Resource[]>>;
  readonly context?: Readonly<Record<string, (input: object, world: World) => Record<string, string | string[]>>>;
  readonly requires?: Readonly<Record<string, (input: object, world: World) => Requirement[]>>;
};

/** The one place where an operation's types are dropped: the wire reads each input by the operation's own schema. */
export const defineService = <Module extends object>(service: ServiceOf<Module>): Service =>
  service as unknown as Service;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
export const ec2Words: Words = {
  denied: ['UnauthorizedOperation', 403],
  throttled: ['RequestLimitExceeded', 503],
  internal: ['InternalError', 500],
  unknownKey: ['AuthFailure', 401],
  expired: ['RequestExpired', 400],
};

/** Query services (STS): "Common Errors" of their API references. */
export const queryWords: Words = {
  denied: ['AccessDenied', 403],
  throttled: ['Throttling', 400],
  internal: ['InternalFailure', 500],
  unknownKey: ['InvalidClientTokenId', 403],
  expired: ['ExpiredToken', 403],
};

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
export const s3Words: Words = {
  denied: ['AccessDenied', 403],
  throttled: ['SlowDown', 503],
  internal: ['InternalError', 500],
  unknownKey: ['InvalidAccessKeyId', 403],
  expired: ['ExpiredToken', 400],
};

export const jsonWords: Words = {
  denied: ['AccessDeniedException', 400],
  throttled: ['ThrottlingException', 400],
  internal: ['InternalServerError', 500],
  unknownKey: ['UnrecognizedClientException', 400],
  expired: ['ExpiredTokenException', 400],
};
