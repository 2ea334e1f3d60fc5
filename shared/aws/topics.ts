/** SNS topics as a channel: e-mail, SMS, Chatbot and whatever else subscribes. */
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import type { Channel } from '../core/letter.ts';
import { plain } from '../core/notice.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** "Subjects must be ASCII text … less than 100 characters long", says Publish, without line breaks and control characters. */
const subjectOf = (text: string): string =>
  text
    .replaceAll('…', '...')
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .slice(0, 99);

/** A standard topic takes no token: a send whose reply was lost is repeated, and may come twice. */
export const snsTopic = (name: string, topic: string, options: ClientOptions): Channel => {
  // The SDK's own retries would repeat it unseen.
  const client = new SNSClient(clientConfig(options, 1));
  return {
    send: async ({ id, rendered, actions }) => {
      const text = (value: string) => ({ DataType: 'String', StringValue: value });
      const { about } = rendered;
      await calling(`cannot tell ${name}`, () =>
        client.send(
          new PublishCommand({
            TopicArn: topic,
            Subject: subjectOf(`Steward: ${rendered.impact}`),
            Message: plain(rendered, actions),
            // For filter policies of subscriptions.
            MessageAttributes: {
              notice: text(id),
              stage: text(rendered.stage),
              needsPerson: text(`${rendered.needs}`),
              ...(about.remediation === undefined ? {} : { remediation: text(about.remediation) }),
              ...(about.group === undefined ? {} : { group: text(about.group) }),
            },
          }),
        ),
      );
      return {};
    },
  };
};
