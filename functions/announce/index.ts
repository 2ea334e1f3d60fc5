import { setTimeout as sleep } from 'node:timers/promises';
import { awsSecrets } from '../../shared/aws/secrets.ts';
import { openChannel } from '../../shared/runtime/channels.ts';
import { loadConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { wire } from '../../shared/runtime/wire.ts';
import { makeHandler } from './handler.ts';

const config = loadConfig();
const { stage, region, account, linkKey, linkUrl } = config;
const { now, store, policy, queue } = wire(config);
export const handler = makeHandler(
  {
    now,
    store,
    policy,
    queue,
    account,
    sleep: (ms) => sleep(ms),
    home: { stage, region },
    // The sandbox's webhooks are on this machine.
    open: openChannel({ secret: awsSecrets({ region }, now), loopback: stage === 'local' }),
    ...(linkKey && linkUrl
      ? {
          links: async (incident, to) => {
            const [{ kmsMac }, { actionsFor }] = await Promise.all([
              import('../../shared/aws/macs.ts'),
              import('../../shared/runtime/links/mint.ts'),
            ]);
            return actionsFor(incident, to, { mac: kmsMac({ region }, linkKey), url: linkUrl, stage, policy, now });
          },
        }
      : {}),
    parameters: async () => (await import('../../shared/aws/parameters.ts')).ssmParameters({ region }),
  },
  telemetry(stage),
);
