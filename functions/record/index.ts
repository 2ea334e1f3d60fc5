import { activityHearing, activityWriter } from '../../shared/runtime/activity.ts';
import { loadActivityConfig, loadNotesConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { makeHandler } from './handler.ts';

const config = loadActivityConfig();
export const handler = makeHandler(
  {
    writer: activityWriter(config),
    hear: activityHearing(config),
    now: () => Date.now(),
    home: { account: config.account, region: config.region },
    stage: config.stage,
    queue: async (body) => {
      const { sqsQueue } = await import('../../shared/aws/queue.ts');
      await sqsQueue({ region: config.region }, loadNotesConfig().queueUrl).send([{ body }]);
    },
  },
  telemetry(config.stage),
);
