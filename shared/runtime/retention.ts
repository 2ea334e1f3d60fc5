/** What may leave the activity log, wired. */
import { createRetention, type Retention } from '../activity/retention.ts';
import { activityLog, activityWriter } from './activity.ts';
import type { AuditConfig } from './config.ts';

export const activityRetention = (config: AuditConfig): Retention => {
  const { hotDays, keepYears: years } = config.policy.activity;
  const { append } = activityWriter(config);
  return createRetention({
    ...activityLog(config),
    now: () => Date.now(),
    account: config.account,
    append,
    hotDays,
    years,
  });
};
