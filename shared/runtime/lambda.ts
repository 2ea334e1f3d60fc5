/** The only place that calls middy and powertools. A wrapper returns the function that Lambda calls. */
import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import middy from '@middy/core';
import type { Context, DynamoDBStreamEvent, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import type { Answer } from '../core/pass.ts';
import type { Outcome } from './heal.ts';

export interface Telemetry {
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export const telemetry = (stage: string): Telemetry => ({
  logger: new Logger({ serviceName: 'steward', persistentLogAttributes: { stage } }),
  metrics: new Metrics({ namespace: 'Steward', serviceName: 'steward', defaultDimensions: { stage } }),
});

/** Wraps a handler with log context and metrics. Lambda itself traces each invocation. */
export const onEvent = <E, R>({ logger, metrics }: Telemetry, handle: (event: E, context: Context) => Promise<R>) =>
  middy<E, R>()
    .use(injectLambdaContext(logger, { clearState: true }))
    .use(logMetrics(metrics))
    .handler(handle);

export const isSqs = (event: unknown): event is SQSEvent => {
  const records = (event as { Records?: { eventSource?: string }[] } | undefined)?.Records;
  return Array.isArray(records) && records.length > 0 && records.every((r) => r.eventSource === 'aws:sqs');
};

export const isStream = (event: unknown): event is DynamoDBStreamEvent => {
  const records = (event as { Records?: { eventSource?: string }[] } | null)?.Records;
  return Array.isArray(records) && records.every((r) => r.eventSource === 'aws:dynamodb');
};

/** How long a message was in the queue before anyone took it, in ms; its delay is in it. */
export const waitedFor = ({ attributes }: Pick<SQSRecord, 'attributes'>): number =>
  Number(attributes?.ApproximateFirstReceiveTimestamp) - Number(attributes?.SentTimestamp) || 0;

/** Runs each message by itself; those that fail come again, the others do not. */
export const eachMessage = (
  event: SQSEvent,
  context: Context,
  { logger }: Telemetry,
  handle: (record: SQSRecord) => Promise<void>,
): Promise<SQSBatchResponse> =>
  processPartialResponse(
    event,
    async (record: SQSRecord) => {
      try {
        await handle(record);
      } catch (e) {
        logger.error('the message failed and comes again', { messageId: record.messageId, error: e as Error });
        throw e;
      }
    },
    new BatchProcessor(EventType.SQS),
    { context, processInParallel: true, throwOnFullBatchFailure: false },
  );

/** One line for each answer, and the counts that the dashboard and the alarms read. */
export const tell = ({ logger, metrics }: Telemetry, { answers, ignored, parked }: Outcome): void => {
  if (ignored !== undefined) logger.debug('ignored', { because: ignored });
  if (parked) {
    logger.warn('parked: it could not be read', { parked: parked.id, because: parked.because });
    metrics.addMetric('Parked', MetricUnit.Count, 1);
  }
  for (const a of answers) tellAnswer(logger, metrics, a);
};

const tellAnswer = (logger: Logger, metrics: Metrics, a: Answer): void => {
  logger.info(`${a.remediation}: ${a.verdict.do}`, {
    incident: a.incident,
    target: a.target,
    remediation: a.remediation,
    state: a.state,
    because: a.verdict.because,
    ...(a.seen === undefined ? {} : { seen: a.seen }),
    ...(a.refused ? { refusedBy: a.refused.guard, refusal: a.refused.because, remedy: a.refused.remedy } : {}),
    ...(a.attempt ? { attempt: a.attempt.n, plan: a.attempt.plan, outcome: a.attempt.outcome?.kind } : {}),
  });
  if (a.opened) metrics.addMetric('Signals', MetricUnit.Count, 1);
  if (a.attempt) metrics.addMetric('Acted', MetricUnit.Count, 1);
  if (a.state === 'closed' && a.end === 'healthy') metrics.addMetric('Healthy', MetricUnit.Count, 1);
  if (a.state === 'escalated' || a.state === 'asking') metrics.addMetric('Escalated', MetricUnit.Count, 1);
  if (a.refused) {
    metrics.addMetric('Refused', MetricUnit.Count, 1);
    metrics.singleMetric().addDimension('guard', a.refused.guard).addMetric('RefusedBy', MetricUnit.Count, 1);
  }
  timings(metrics, a);
};

const timings = (metrics: Metrics, { at, attempt, state, end }: Answer): void => {
  if (!at) return;
  if (attempt?.n === 1 && at.acted !== undefined)
    metrics.addMetric('SignalToAct', MetricUnit.Milliseconds, Math.max(0, at.acted - at.signalled));
  if (state === 'closed' && end === 'healthy' && at.closed !== undefined)
    metrics.addMetric('SignalToHealthy', MetricUnit.Milliseconds, Math.max(0, at.closed - at.signalled));
};
