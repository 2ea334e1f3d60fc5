import type { Context, SQSBatchResponse } from 'aws-lambda';
import * as z from 'zod/mini';
import { answerEvent, answerMessage, type Outcome, plan } from '../../shared/runtime/heal.ts';
import { eachMessage, isSqs, onEvent, type Telemetry, tell, waitedFor } from '../../shared/runtime/lambda.ts';
import type { Wired } from '../../shared/runtime/wire.ts';

/** `{ "explain": true, "event": … }` or `{ "explain": true, "target": "arn:…" }`: what would be done, without doing it. */
const explained = z.object({
  explain: z.literal(true),
  event: z.optional(z.unknown()),
  target: z.optional(z.string()),
  remediation: z.optional(z.string()),
});

/** Queue, alarm action and `serverless invoke` all come here, and are answered alike. */
export const makeHandler = (deps: Wired, telemetry: Telemetry) => {
  const answered = async (event: unknown): Promise<Outcome> => {
    const outcome = await answerEvent(event, deps);
    tell(telemetry, outcome);
    return outcome;
  };
  return onEvent(telemetry, async (event: unknown, context: Context): Promise<Outcome | SQSBatchResponse> => {
    if (isSqs(event))
      return eachMessage(event, context, telemetry, async (record) =>
        tell(telemetry, await answerMessage(record.body, deps, waitedFor(record))),
      );
    const asked = z.safeParse(explained, event);
    if (!asked.success) return answered(event);
    // Neither logged nor counted: nothing happened.
    const { target, remediation, event: inner } = asked.data;
    return target === undefined ? answerEvent(inner, deps, true) : plan(target, remediation, deps);
  });
};
