/** Where a trail writes to, and whether it may: the policy of its bucket and the state of its key. */
import { matchesArn } from './target.ts';

/** A policy as its owner wrote it: only what is asked about is looked at, and all of it is kept. */
export interface BucketPolicy {
  readonly Version?: string;
  readonly Statement: readonly PolicyStatement[];
}
export type PolicyStatement = Readonly<Record<string, unknown>>;

export interface Buckets {
  /** Undefined: it has none. @throws NotFound there is no such bucket; Forbidden it is another account's, perhaps */
  policy(bucket: string): Promise<BucketPolicy | undefined>;
  /** Replaces the whole policy; refused by AWS where the bucket is another account's. */
  putPolicy(bucket: string, policy: BucketPolicy): Promise<void>;
}

/** `other`: it waits for its material, or its store is away: nothing that one call ends. */
export type KeyState = 'usable' | 'disabled' | 'pending-deletion' | 'other';
export interface Keys {
  /** @throws NotFound, Forbidden */
  state(arn: string): Promise<KeyState>;
  enable(arn: string): Promise<void>;
  /** Afterwards it is disabled. */
  cancelDeletion(arn: string): Promise<void>;
}

/** What a trail writes. Part of a step, hence plain JSON. */
export type Writing = {
  readonly trail: string;
  readonly account: string;
  readonly bucket: string;
  readonly prefix: string;
};

const SERVICE = 'cloudtrail.amazonaws.com';
/** Part of the trail's ARN, which the bucket's ARN shares. */
const bucketArn = ({ trail, bucket }: Pick<Writing, 'trail' | 'bucket'>): string =>
  `arn:${trail.split(':')[1] ?? 'aws'}:s3:::${bucket}`;

export { bucketArn };

/** CloudTrail's two statements. Source: "Amazon S3 bucket policy for CloudTrail". */
export const statementsFor = (writing: Writing): readonly [PolicyStatement, PolicyStatement] => {
  const at = bucketArn(writing);
  const mine = { 'aws:SourceArn': writing.trail };
  const Principal = { Service: SERVICE };
  return [
    {
      Sid: 'AWSCloudTrailAclCheck',
      Effect: 'Allow',
      Principal,
      Action: 's3:GetBucketAcl',
      Resource: at,
      Condition: { StringEquals: mine },
    },
    {
      Sid: 'AWSCloudTrailWrite',
      Effect: 'Allow',
      Principal,
      Action: 's3:PutObject',
      Resource: `${at}/${writing.prefix ? `${writing.prefix}/` : ''}AWSLogs/${writing.account}/*`,
      Condition: { StringEquals: { ...mine, 's3:x-amz-acl': 'bucket-owner-full-control' } },
    },
  ];
};

// ---- what a statement says of a request -------------------------------------------------------------------------------------------------

interface Request {
  readonly action: string;
  readonly resource: string;
  /** Condition keys whose values are known, in lower case. */
  readonly context: Readonly<Record<string, string>>;
}
/** `unknown`: it depends on what the text does not tell. */
type Answer = 'yes' | 'no' | 'unknown';

const list = (x: unknown): readonly string[] => [x].flat().filter((s) => typeof s === 'string');
const isRecord = (x: unknown): x is Readonly<Record<string, unknown>> => typeof x === 'object' && x !== null;
const oneMatches = (patterns: readonly string[], value: string): boolean => patterns.some((p) => matchesArn(p, value));
const lower = (s: string): string => s.toLowerCase();

const isFor = ({ Principal, NotPrincipal }: PolicyStatement): Answer => {
  if (NotPrincipal !== undefined) return 'unknown';
  if (Principal === '*') return 'yes';
  if (!isRecord(Principal)) return 'no';
  const named = list(Principal['AWS']).includes('*') || list(Principal['Service']).includes(SERVICE);
  return named ? 'yes' : 'no';
};

const isAbout = (s: PolicyStatement, { action, resource }: Request): boolean => {
  const actions = list(s['Action'] ?? s['NotAction']).map(lower);
  const resources = list(s['Resource'] ?? s['NotResource']);
  return (
    oneMatches(actions, lower(action)) === (s['NotAction'] === undefined) &&
    oneMatches(resources, resource) === (s['NotResource'] === undefined)
  );
};

/** Those of IAM's condition operators that compare text; an `IfExists` is the same where the key is known. */
const OPERATOR = /^(String|Arn)(Not)?(Equals|Like)(IgnoreCase)?(IfExists)?$|^Bool(IfExists)?$/;
const holds = (operator: string, wanted: unknown, value: string | undefined): Answer => {
  if (value === undefined || !OPERATOR.test(operator)) return 'unknown';
  const same = oneMatches([wanted].flat().map(String).map(lower), lower(value));
  return same === !operator.includes('Not') ? 'yes' : 'no';
};

const conditionHolds = ({ Condition }: PolicyStatement, { context }: Request): Answer => {
  const answers = Object.entries(isRecord(Condition) ? Condition : {}).flatMap(([operator, keys]) =>
    Object.entries(isRecord(keys) ? keys : {}).map(([key, wanted]) => holds(operator, wanted, context[lower(key)])),
  );
  return all(answers);
};
const all = (answers: readonly Answer[]): Answer =>
  answers.includes('no') ? 'no' : answers.includes('unknown') ? 'unknown' : 'yes';

const applies = (s: PolicyStatement, request: Request): Answer =>
  isAbout(s, request) ? all([isFor(s), conditionHolds(s, request)]) : 'no';

/** What CloudTrail asks of the bucket: the two requests that its statements are for, in their order. */
const requestsOf = (writing: Writing): readonly [Request, Request] => {
  const [acl, write] = statementsFor(writing);
  const context = {
    'aws:sourcearn': writing.trail,
    'aws:sourceaccount': writing.account,
    'aws:securetransport': 'true',
    'aws:principalisawsservice': 'true',
    'aws:principalservicename': SERVICE,
  };
  const object = `${String(write['Resource']).slice(0, -1)}CloudTrail/${writing.trail.split(':')[3]}/log.json.gz`;
  return [
    { action: 's3:GetBucketAcl', resource: String(acl['Resource']), context },
    {
      action: 's3:PutObject',
      resource: object,
      context: { ...context, 's3:x-amz-acl': 'bucket-owner-full-control' },
    },
  ];
};

/** What keeps CloudTrail from writing, as far as the policy's text tells; what depends on more is left to CloudTrail's own report. */
export interface Obstacles {
  /** Of its statements those that nothing in the policy stands for. */
  readonly lacking: readonly PolicyStatement[];
  readonly denying: readonly PolicyStatement[];
}
export const obstaclesIn = (policy: BucketPolicy | undefined, writing: Writing): Obstacles => {
  const statements = policy?.Statement ?? [];
  const of = (effect: 'Allow' | 'Deny') => statements.filter((s) => s['Effect'] === effect);
  const requests = requestsOf(writing);
  return {
    lacking: statementsFor(writing).filter((_, i) => {
      const request = requests[i];
      return request !== undefined && of('Allow').every((s) => applies(s, request) === 'no');
    }),
    denying: of('Deny').filter((s) => requests.some((r) => applies(s, r) === 'yes')),
  };
};

/** The present policy with what it lacks. Nothing is removed or changed; a name that another statement has is left out. */
export const mergedPolicy = (policy: BucketPolicy | undefined, writing: Writing): BucketPolicy => {
  const present = policy?.Statement ?? [];
  const taken = new Set(present.map((s) => s['Sid']));
  const added = obstaclesIn(policy, writing).lacking.map(({ Sid, ...rest }) =>
    taken.has(Sid) ? rest : { Sid, ...rest },
  );
  return { ...policy, Version: policy?.Version ?? '2012-10-17', Statement: [...present, ...added] };
};

/** 'DenyAll', or its text where it has no name. */
export const nameOf = (s: PolicyStatement): string =>
  typeof s['Sid'] === 'string' && s['Sid'] !== '' ? s['Sid'] : JSON.stringify(s).slice(0, 300);
