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

/** @throws StateUnusable naming every variable that is missing */
export const loadConfig = (env: Env = process.env): Config => {
  const missing = Object.values(NEEDED).filter((name) => !env[name]);
  if (missing.length > 0)
    throw new StateUnusable(`the function lacks ${missing.join(', ')} in its environment: deploy the stack again`);
  const value = (name: string): string => env[name] ?? '';
  return Object.freeze({
    stage: value(NEEDED.stage),
    table: value(NEEDED.table),
    queueUrl: value(NEEDED.queueUrl),
    account: value(NEEDED.account),
    region: value(NEEDED.region),
    policy: JSON.parse(STEWARD_POLICY) as Policy,
    ...(env['STEWARD_LINK_KEY'] ? { linkKey: env['STEWARD_LINK_KEY'] } : {}),
    ...(env['STEWARD_LINK_URL'] ? { linkUrl: env['STEWARD_LINK_URL'] } : {}),
  });
};
