/** The one place that reads the environment. All problems are said at once, values never. */
import { StateUnusable } from '../core/errors.ts';
import type { Policy } from '../core/policy.ts';

export interface Config {
  readonly stage: string;
  readonly table: string;
  readonly queueUrl: string;
  readonly account: string;
  readonly region: string;
  readonly policy: Policy;
  /** The KMS key that signs links, and where they lead; only with `links` in the policy, and only for functions that need them. */
  readonly linkKey?: string;
  readonly linkUrl?: string;
}

/** The checked steward.yml, put into the bundle by the packager (`resources/esbuild.cjs`). */
declare const STEWARD_POLICY: string;

type Env = Readonly<Record<string, string | undefined>>;

const NEEDED = {
  stage: 'STEWARD_STAGE',
  table: 'STEWARD_TABLE',
  queueUrl: 'STEWARD_QUEUE_URL',
  account: 'STEWARD_ACCOUNT',
  region: 'AWS_REGION',
} as const;

const values = <K extends string>(needed: Readonly<Record<K, string>>, env: Env): Record<K, string> => {
  const missing = Object.values<string>(needed).filter((name) => !env[name]);
  if (missing.length > 0)
    throw new StateUnusable(`the function lacks ${missing.join(', ')} in its environment: deploy the stack again`);
  return Object.fromEntries(Object.entries<string>(needed).map(([key, name]) => [key, env[name] ?? ''])) as Record<
    K,
    string
  >;
};

/** @throws StateUnusable naming every variable that is missing */
export const loadConfig = (env: Env = process.env): Config =>
  Object.freeze({
    ...values(NEEDED, env),
    policy: JSON.parse(STEWARD_POLICY) as Policy,
    ...(env['STEWARD_LINK_KEY'] ? { linkKey: env['STEWARD_LINK_KEY'] } : {}),
    ...(env['STEWARD_LINK_URL'] ? { linkUrl: env['STEWARD_LINK_URL'] } : {}),
  });

/** Where the activity log lies. */
export interface ActivityConfig {
  readonly stage: string;
  readonly account: string;
  readonly region: string;
  readonly table: string;
  readonly bucket: string;
  /** ARN of the key that signs checkpoints. */
  readonly key: string;
}
const ACTIVITY = {
  stage: 'STEWARD_STAGE',
  account: 'STEWARD_ACCOUNT',
  region: 'AWS_REGION',
  table: 'STEWARD_ACTIVITY_TABLE',
  bucket: 'STEWARD_ACTIVITY_BUCKET',
  key: 'STEWARD_ACTIVITY_KEY',
} as const;

/** @throws StateUnusable naming every variable that is missing */
export const loadActivityConfig = (env: Env = process.env): ActivityConfig => Object.freeze(values(ACTIVITY, env));

/** Of audit, which reads the trail as well. */
export interface AuditConfig extends ActivityConfig {
  readonly policy: Pick<Policy, 'trails' | 'activity'>;
}
/** @throws StateUnusable naming every variable that is missing */
export const loadAuditConfig = (env: Env = process.env): AuditConfig =>
  Object.freeze({ ...values(ACTIVITY, env), policy: JSON.parse(STEWARD_POLICY) as Policy });

/** The queue in front of the activity log. @throws StateUnusable */
export const loadNotesConfig = (env: Env = process.env): { readonly queueUrl: string } =>
  values({ queueUrl: 'STEWARD_ACTIVITY_QUEUE' }, env);
