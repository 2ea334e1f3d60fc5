import { activityHearing, activityWriter } from '../../shared/runtime/activity.ts';
import { loadActivityConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { makeHandler } from './handler.ts';

const config = loadActivityConfig();
export const handler = makeHandler(
  {
    writer: activityWriter(config),
    hear: activityHearing(config),
    now: () => Date.now(),
    home: { account: config.account, region: config.region },
  },
  telemetry(config.stage),
);
