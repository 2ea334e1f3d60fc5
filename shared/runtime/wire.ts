/** Puts the adapters behind the ports. The only place that knows both. EC2, SSM and CloudWatch clients load on first use. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ulid } from 'ulid';
import type { Transport } from '../aws/clients.ts';
import { type Queue, sqsQueue } from '../aws/queue.ts';
import { dynamoStore } from '../aws/store.ts';
import type { Deps } from '../core/pass.ts';
import { sessionPolicy } from '../core/permissions.ts';
import type { Ports } from '../core/ports.ts';
import type { Remediation } from '../core/remediation.ts';
import type { Target } from '../core/target.ts';
import type { Config } from './config.ts';

export interface Wired extends Deps {
  readonly queue: Queue;
  /** Tags of an alarm, read under heal's own role. */
  readonly alarmTags: (alarm: Target) => Promise<Readonly<Record<string, string>>>;
}

/** Reaches AWS through an assumed role, narrowed for each look and each act. */
export const reachAws = (options: {
  stage: string;
  region: string;
  now: () => number;
  transport?: Transport;
  sleep: (ms: number) => Promise<void>;
  credentials?: { accessKeyId: string; secretAccessKey: string };
}): Deps['reach'] => {
  let sessions: Promise<ReturnType<typeof import('../aws/sessions.ts').stsSessions>> | undefined;
  return async (remediation: Remediation, target: Target, session): Promise<Ports> => {
    sessions ??= import('../aws/sessions.ts').then((m) => m.stsSessions(options));
    const { stage, transport } = options;
    const policy = sessionPolicy(remediation.permissions, { stage, target, ...session });
    const [assume, { awsPorts }] = await Promise.all([sessions, import('../aws/ports.ts')]);
    const credentials = await assume({ remediation: remediation.name, stage, target, phase: session.phase, policy });
    return awsPorts({
      account: target.account,
      region: target.region,
      stage,
      credentials,
      sleep: options.sleep,
      ...(transport ? { transport } : {}),
    });
  };
};

export const wire = (config: Config): Wired => {
  const now = () => Date.now();
  const { region, stage, table, policy } = config;
  return {
    now,
    newId: () => ulid(),
    store: dynamoStore({ region, table, retentionDays: policy.retentionDays, now }),
    policy,
    home: config.account,
    reach: reachAws({ stage, region, now, sleep: (ms) => sleep(ms) }),
    queue: sqsQueue({ region }, config.queueUrl),
    alarmTags: async (alarm) =>
      (await import('../aws/cloudwatch.ts')).cloudWatchAlarms({ region: alarm.region }).tags(alarm.arn),
  };
};
