import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { Unavailable } from '../core/errors.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

export interface Message {
  readonly body: string;
  /** 0–900; SQS allows no more. */
  readonly delaySeconds?: number;
}
export interface Queue {
  /** @throws Unavailable when any of them was not taken */
  send(messages: readonly Message[]): Promise<void>;
}

/** SQS takes ten messages in one call. */
const BATCH = 10;

export const sqsQueue = (options: ClientOptions, url: string): Queue => {
  const client = new SQSClient(clientConfig(options, 3));
  return {
    send: async (messages) => {
      for (let i = 0; i < messages.length; i += BATCH) {
        const Entries = messages
          .slice(i, i + BATCH)
          .map((m, n) => ({ Id: `${n}`, MessageBody: m.body, DelaySeconds: m.delaySeconds ?? 0 }));
        const { Failed = [] } = await calling('cannot send to the signals queue', () =>
          client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries })),
        );
        if (Failed.length > 0)
          throw new Unavailable(
            `the signals queue did not take ${Failed.length} of ${Entries.length} messages: ${Failed[0]?.Message ?? Failed[0]?.Code}`,
          );
      }
    },
  };
};
