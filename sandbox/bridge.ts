/**
 * What AWS does by itself and the emulator does not: the fleet's events are matched against the deployed rules and sent to their targets, and alarm
 * actions go to their topic or function. Nothing is delivered that the deployed stack did not ask for.
 */
import {
  EventBridgeClient,
  ListRulesCommand,
  ListTargetsByRuleCommand,
  TestEventPatternCommand,
} from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { World } from '../world/world.ts';

interface Rule {
  readonly name: string;
  readonly pattern: string;
  readonly queues: readonly string[];
}

/** What an SDK client needs to reach the emulator. */
export interface Reach {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

const rulesOf = async (events: EventBridgeClient, sqs: SQSClient): Promise<readonly Rule[]> => {
  const { Rules = [] } = await events.send(new ListRulesCommand({}));
  return Promise.all(
    Rules.filter((r) => r.EventPattern).map(async (r) => {
      const { Targets = [] } = await events.send(new ListTargetsByRuleCommand({ Rule: r.Name }));
      const names = Targets.map((t) => t.Arn?.split(':') ?? []).filter((arn) => arn[2] === 'sqs');
      const urls = names.map((arn) => sqs.send(new GetQueueUrlCommand({ QueueName: arn[5] })));
      return {
        name: r.Name ?? '',
        pattern: r.EventPattern ?? '',
        queues: (await Promise.all(urls)).map((u) => u.QueueUrl ?? ''),
      };
    }),
  );
};

/** @param onFailure told of what could not be delivered; in AWS that is retried for a day */
export const bridge = async (world: World, reach: Reach, onFailure: (e: unknown) => void): Promise<() => void> => {
  const events = new EventBridgeClient(reach);
  const [sqs, sns, lambda] = [new SQSClient(reach), new SNSClient(reach), new LambdaClient(reach)];
  const rules = await rulesOf(events, sqs);

  const deliver = async (event: object): Promise<void> => {
    const body = JSON.stringify(event);
    for (const { pattern, queues } of rules) {
      const { Result } = await events.send(new TestEventPatternCommand({ EventPattern: pattern, Event: body }));
      if (!Result) continue;
      for (const QueueUrl of queues) await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: body }));
    }
  };
  const act = async (arn: string, payload: string | object): Promise<void> => {
    if (arn.includes(':sns:')) await sns.send(new PublishCommand({ TopicArn: arn, Message: String(payload) }));
    if (arn.includes(':lambda:'))
      await lambda.send(
        new InvokeCommand({
          FunctionName: arn,
          InvocationType: 'Event',
          Payload: Buffer.from(JSON.stringify(payload)),
        }),
      );
  };
  const stops = [
    world.onEvent((event) => void deliver(event).catch(onFailure)),
    world.onAlarmAction(({ arn, payload }) => void act(arn, payload).catch(onFailure)),
  ];
  return () => {
    for (const stop of stops) stop();
  };
};
