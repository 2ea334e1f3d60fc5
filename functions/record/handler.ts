import { MetricUnit } from '@aws-lambda-powertools/metrics';
import type { SQSEvent } from 'aws-lambda';
import type { Appended, Writer } from '../../shared/activity/append.ts';
import type { createHearing } from '../../shared/activity/marks.ts';
import type { Activity } from '../../shared/activity/record.ts';
import { InvalidInput } from '../../shared/core/errors.ts';
import { isSqs, onEvent, type Telemetry } from '../../shared/runtime/lambda.ts';

export interface RecordDeps {
  readonly writer: Writer;
  readonly hear: ReturnType<typeof createHearing>;
  readonly now: () => number;
}

/** When the oldest of them came, as SQS says. */
const oldest = ({ Records }: SQSEvent): number =>
  Records.reduce((at, r) => Math.min(at, Number(r.attributes.SentTimestamp)), Number.POSITIVE_INFINITY);

/**
 * A batch as it came, into the log: each event once. A batch that fails comes again as a whole, and what was written of it is known then. Nothing is too odd to be kept: what cannot
 * be read is kept as it is.
 */
export const makeHandler = ({ writer, hear, now }: RecordDeps, telemetry: Telemetry) =>
  onEvent(telemetry, async (event: unknown): Promise<Appended> => {
    if (!isSqs(event))
      throw new InvalidInput('record takes what its queue brings; to read the log: npx steward activity');
    const heard: Activity[] = [];
    const appended = await writer.append(
      'eventbridge',
      event.Records.map((r) => Buffer.from(r.body)),
      (activity) => void heard.push(activity),
    );
    await hear(heard);
    const { metrics, logger } = telemetry;
    metrics.addMetric('Recorded', MetricUnit.Count, appended.written);
    metrics.addMetric('RecordLag', MetricUnit.Milliseconds, Math.max(0, now() - oldest(event)));
    if (appended.conflicts > 0) {
      metrics.addMetric('RecordConflicts', MetricUnit.Count, appended.conflicts);
      logger.warn('events with an id that another, unequal event has: both are kept', { ...appended });
    }
    return appended;
  });
