import { ulid } from 'ulid';
import { kmsMac } from '../../shared/aws/macs.ts';
import { dynamoStore } from '../../shared/aws/store.ts';
import { loadConfig } from '../../shared/runtime/config.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { sayInSlack } from '../../shared/runtime/links/slack.ts';
import { makeHandler } from './handler.ts';

const { stage, region, table, policy, linkKey = '' } = loadConfig();
const now = () => Date.now();
const slack = policy.links?.slack;
/** The SSM client loads with the first press of a button. */
let secret: ((id: string) => Promise<string>) | undefined;

export const handler = makeHandler(
  {
    stage,
    policy,
    now,
    newId: () => ulid(),
    store: dynamoStore({ region, table, retentionDays: policy.retentionDays, now }),
    mac: kmsMac({ region }, linkKey),
    ...(slack
      ? {
          slack: {
            secret: async () => {
              secret ??= (await import('../../shared/aws/secrets.ts')).awsSecrets({ region }, now);
              return secret(slack.signingSecret);
            },
            say: sayInSlack,
          },
        }
      : {}),
  },
  telemetry(stage),
);
