/** CloudTrail's trails: what they record, who changed them, and what they must be. */
import * as z from 'zod/mini';
import { statementsFor } from './delivery.ts';
import type { Time } from './time.ts';

/** `trails` in steward.yml: what a trail must be, by its name. */
export const declaredTrail = z.strictObject({
  bucket: z.string().check(z.minLength(3), z.maxLength(63)),
  prefix: z.optional(z.string()),
  kmsKey: z.optional(z.string()),
  multiRegion: z._default(z.boolean(), true),
  globalEvents: z._default(z.boolean(), true),
  validation: z._default(z.boolean(), true),
  /** Steward may put CloudTrail's two statements back into the policy of this bucket. */
  restoreBucketPolicy: z._default(z.boolean(), false),
});
export type DeclaredTrail = z.output<typeof declaredTrail>;

/** What can be put back by one call. */
export type TrailSettings = {
  readonly bucket: string;
  readonly prefix?: string;
  readonly kmsKey?: string;
  readonly multiRegion: boolean;
  /** IAM, STS and CloudFront, whose events have no region. */
  readonly globalEvents: boolean;
  /** Digest files: without them a changed log file does not show. */
  readonly validation: boolean;
};
export interface Trail {
  readonly arn: string;
  readonly name: string;
  readonly settings: TrailSettings;
  readonly logging: boolean;
  /** Reads and writes of the management plane are all recorded. */
  readonly management: boolean;
  /** CloudTrail's own words on why it cannot write, where it cannot. */
  readonly deliveryError?: string;
  /** The organisation's, which a member account cannot change. */
  readonly organization: boolean;
  readonly tags: Readonly<Record<string, string>>;
}
/** A recorded call about a trail. */
export interface TrailChange {
  readonly at: Time;
  readonly call: string;
  readonly author: string;
  /** What it became: of CreateTrail and UpdateTrail. */
  readonly settings?: TrailSettings;
  /** Given at its creation. */
  readonly tags?: Readonly<Record<string, string>>;
}

export interface Trails {
  /** The trails whose home is this region. */
  own(): Promise<readonly Pick<Trail, 'arn' | 'name' | 'settings' | 'logging' | 'deliveryError'>[]>;
  /** Undefined: there is none of that name. */
  describe(arn: string): Promise<Trail | undefined>;
  /** Calls that changed it within 90 days, newest first. CloudTrail shows them some minutes late, and may lack any. */
  history(name: string): Promise<readonly TrailChange[]>;
  /** The trails whose home is this region that write to this bucket, or with this key. */
  using(what: { readonly bucket: string } | { readonly key: string }): Promise<readonly string[]>;
  /** Calls of these names about a bucket or key within 90 days, newest first; as late as `history`. */
  calls(names: readonly string[], about: string): Promise<readonly TrailChange[]>;
  start(arn: string): Promise<void>;
  update(arn: string, settings: TrailSettings): Promise<void>;
  create(name: string, settings: TrailSettings, tags: Readonly<Record<string, string>>): Promise<void>;
  /** Records all management events again, whatever else it selects. */
  recordManagement(arn: string): Promise<void>;
}

/** Settings that are weaker than they must be, in words. */
export const weakerThan = (is: TrailSettings, must: Partial<TrailSettings>): readonly string[] => {
  const lacks = (what: keyof TrailSettings, words: string) => (must[what] === true && !is[what] ? [words] : []);
  const differs = (what: 'bucket' | 'prefix' | 'kmsKey', words: string) =>
    must[what] !== undefined && must[what] !== is[what] ? [`${words} ${is[what] ?? 'none'}, not ${must[what]}`] : [];
  return [
    ...lacks('multiRegion', 'it records one region only'),
    ...lacks('globalEvents', 'it does not record global services (IAM, STS)'),
    ...lacks('validation', 'its log files are not validated'),
    ...differs('bucket', 'its bucket is'),
    ...differs('prefix', 'its prefix is'),
    ...differs('kmsKey', 'its key is'),
  ];
};

/** What a person can do about a trail that cannot write, with the very statements that CloudTrail needs. */
export const deliveryRemedy = (
  { arn, settings: { bucket, prefix = '', kmsKey } }: Pick<Trail, 'arn' | 'settings'>,
  { account }: { readonly account: string },
): string => {
  const statements = statementsFor({ trail: arn, account, bucket, prefix });
  const key = kmsKey ? `; look whether its key can be used: aws kms describe-key --key-id ${kmsKey}` : '';
  return `look whether bucket ${bucket} exists and no statement denies CloudTrail; its policy must hold ${statements.map((s) => JSON.stringify(s)).join(',')}${key}`;
};
