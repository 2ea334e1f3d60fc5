/** What a remediation may ask of CloudWatch Logs. */
import type { Time } from './time.ts';

export interface LogGroup {
  readonly name: string;
  /** Undefined: its events never expire. */
  readonly retentionDays?: number;
  /** ARN of its key; undefined: AWS's own. */
  readonly kmsKey?: string;
}

/** Part of a step, hence plain JSON. */
export type Subscription = {
  readonly name: string;
  /** ARN of a stream, a function or a logical destination. */
  readonly destination: string;
  /** Empty: every event. */
  readonly filterPattern: string;
  /** ARN of the role by which CloudWatch Logs may write there; a function needs none. */
  readonly role?: string;
};

export interface LogGroups {
  /** All groups whose name begins so, by name. */
  list(prefix: string): Promise<readonly LogGroup[]>;
  /** Undefined: there is none of that name. */
  find(name: string): Promise<LogGroup | undefined>;
  tags(arn: string): Promise<Readonly<Record<string, string>>>;
  /** The latest lines of a stream, oldest first. @throws NotFound */
  lines(group: string, stream: string, most: number): Promise<readonly { readonly at: Time; readonly text: string }[]>;
  subscriptions(name: string): Promise<readonly Subscription[]>;
  /** With its tags. One that is there already is left as it is. */
  create(name: string, tags: Readonly<Record<string, string>>): Promise<void>;
  /** One of RETENTION_DAYS. */
  keep(name: string, days: number): Promise<void>;
  encrypt(name: string, kmsKey: string): Promise<void>;
  /** Creates it, or changes the one of that name. */
  subscribe(name: string, subscription: Subscription): Promise<void>;
}

/** What PutRetentionPolicy takes. Source: its API reference, `retentionInDays`. */
export const RETENTION_DAYS = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
] as const;
/** Subscription filters of one group. Source: PutSubscriptionFilter. */
export const MOST_SUBSCRIPTIONS = 2;
