import { activityHearing, activityWriter, lazily } from '../../shared/runtime/activity.ts';
import { loadActivityConfig, loadNotesConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { makeHandler } from './handler.ts';

const config = loadActivityConfig();
/** Opened where hosts ship, once for each process. */
const queue = lazily(async () =>
  (await import('../../shared/aws/queue.ts')).sqsQueue({ region: config.region }, loadNotesConfig().queueUrl),
);
export const handler = makeHandler(
  {
    writer: activityWriter(config),
    hear: activityHearing(config),
    now: () => Date.now(),
    home: { account: config.account, region: config.region },
    stage: config.stage,
    queue: async (body) => (await queue()).send([{ body }]),
  },
  telemetry(config.stage),
);
