import { identify } from '../../shared/aws/identity.ts';
import { loadActivityConfig, loadConfig, loadNotesConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { wire } from '../../shared/runtime/wire.ts';
import { makeHandler } from './handler.ts';

const config = loadConfig();
const { stage, region, account: home, queueUrl, linkKey, linkUrl } = config;
export const handler = makeHandler(
  {
    ...wire(config),
    stage,
    region,
    identify: (proof, expected) => identify(proof, expected, { home }),
    activity: async () => {
      const config = loadActivityConfig();
      const { activityLog, SHARDS } = await import('../../shared/runtime/activity.ts');
      return { log: activityLog(config), where: { ...config, shards: SHARDS } };
    },
    tagged: async () => (await import('../../shared/aws/tagged.ts')).awsTagged({ region }),
    note: async (said) => {
      const [{ entryOf }, { sqsQueue }] = await Promise.all([
        import('../../shared/activity/entries.ts'),
        import('../../shared/aws/queue.ts'),
      ]);
      const { queueUrl: activityQueue } = loadNotesConfig();
      await sqsQueue({ region }, activityQueue).send([
        { body: entryOf(said, { account: home, region }).toString('utf8') },
      ]);
    },
    estate: async () => (await import('../../shared/aws/estate.ts')).awsEstate({ region, queueUrl }),
    ...(linkKey && linkUrl
      ? {
          links: {
            url: linkUrl,
            mac: async () => (await import('../../shared/aws/macs.ts')).kmsMac({ region }, linkKey),
          },
        }
      : {}),
    parameters: async () => (await import('../../shared/aws/parameters.ts')).ssmParameters({ region }),
  },
  telemetry(stage),
);
