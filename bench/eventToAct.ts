/**
 * The deployed stack in the sandbox: from an event in the queue to the first call that changes something. A trail is stopped; StartLogging is that call. Warm: the function has
 * run before. Cold: it was deployed a moment ago. By the machine's clock; the emulator's own time (queue poll, Lambda invocation, IAM) is in it.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import {
  GetFunctionConfigurationCommand,
  LambdaClient,
  UpdateFunctionConfigurationCommand,
} from '@aws-sdk/client-lambda';
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { type Sandbox, startSandbox } from '../sandbox/start.ts';
import { addTrail } from '../world/cloudtrail.ts';
import { callEvent } from './rival.ts';

const WARM = 100;
const COLD = 20;
const PATIENCE_MS = 30_000;

const at = (values: readonly number[], share: number): number =>
  Math.round(
    [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN,
  );

const measured = ({ world, reach }: Sandbox) => {
  const sqs = new SQSClient(reach);
  const lambda = new LambdaClient(reach);
  const FunctionName = 'steward-local-heal';
  let made = 0;
  let queue: string | undefined;
  const restarted = (name: string): boolean =>
    world.calls.some(
      ({ operation, input }) => operation === 'StartLogging' && JSON.stringify(input).includes(`/${name}"`),
    );
  return {
    once: async (): Promise<number> => {
      queue ??= (await sqs.send(new GetQueueUrlCommand({ QueueName: 'steward-local-signals' }))).QueueUrl;
      const { name } = addTrail(world, `bench-${++made}`, { logging: false });
      const arn = `arn:aws:cloudtrail:${world.region}:${world.account}:trail/${name}`;
      world.calls.length = 0;
      const began = performance.now();
      await sqs.send(
        new SendMessageCommand({
          QueueUrl: queue,
          MessageBody: JSON.stringify(callEvent(made, 'cloudtrail', 'StopLogging', { name: arn })),
        }),
      );
      while (!restarted(name)) {
        if (performance.now() - began > PATIENCE_MS) throw new Error(`${name} was not started again within 30 s`);
        await sleep(1);
      }
      return performance.now() - began;
    },
    /** Another configuration: the next invocation starts a new process. */
    cool: async (): Promise<void> => {
      const { Environment } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
      const Variables = { ...Environment?.Variables, STEWARD_BENCH: `${made}` };
      await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Environment: { Variables } }));
    },
  };
};

export const eventToAct = async (): Promise<Record<string, number>> => {
  const sandbox = await startSandbox();
  try {
    const { once, cool } = measured(sandbox);
    const [cold, warm]: [number[], number[]] = [[], []];
    await once();
    for (let n = 0; n < WARM; n++) warm.push(await once());
    for (let n = 0; n < COLD; n++) {
      await cool();
      cold.push(await once());
    }
    return {
      'sandbox.eventToActMsP50': at(warm, 0.5),
      'sandbox.eventToActMsP99': at(warm, 0.99),
      'sandbox.coldEventToActMsP50': at(cold, 0.5),
      'sandbox.coldEventToActMsP99': at(cold, 0.99),
    };
  } finally {
    await sandbox.stop();
  }
};
