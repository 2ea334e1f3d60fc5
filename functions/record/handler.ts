import { MetricUnit } from '@aws-lambda-powertools/metrics';
import type { DynamoDBBatchResponse, DynamoDBRecord, DynamoDBStreamEvent, SQSEvent } from 'aws-lambda';
import { type Appended, dollarsPerMillion, type Writer } from '../../shared/activity/append.ts';
import { type Changed, entriesOf, entryOf } from '../../shared/activity/entries.ts';
import type { createHearing } from '../../shared/activity/marks.ts';
import type { Activity } from '../../shared/activity/record.ts';
import type { Place } from '../../shared/activity/trailLayout.ts';
import { recordOfImage } from '../../shared/aws/store.ts';
import { InvalidInput } from '../../shared/core/errors.ts';
import { seconds } from '../../shared/core/time.ts';
import { isSqs, isStream, onEvent, type Telemetry } from '../../shared/runtime/lambda.ts';

export interface RecordDeps {
  readonly writer: Writer;
  readonly hear: ReturnType<typeof createHearing>;
  readonly now: () => number;
  /** Steward's own account and region: its entries are of there. */
  readonly home: Place;
}

/** When the oldest of them came, as SQS says. */
const oldest = ({ Records }: SQSEvent): number =>
  Records.reduce((at, r) => Math.min(at, Number(r.attributes.SentTimestamp)), Number.POSITIVE_INFINITY);

/** EventBridge's envelopes begin so. The other writer of the queue is `answer`, with what people commanded. */
const isEnvelope = (body: string): boolean => body.startsWith('{"version":');

/** What the table's stream tells of one write. */
const changeOf = ({ dynamodb }: DynamoDBRecord): Changed => {
  const { OldImage, NewImage, ApproximateCreationDateTime = 0 } = dynamodb ?? {};
  return {
    before: OldImage && recordOfImage(OldImage),
    after: NewImage && recordOfImage(NewImage),
    at: seconds(ApproximateCreationDateTime),
  };
};

const sum = (parts: readonly Appended[]): Appended =>
  parts.reduce((a, b) => ({
    written: a.written + b.written,
    known: a.known + b.known,
    conflicts: a.conflicts + b.conflicts,
    segments: a.segments + b.segments,
    lost: a.lost + b.lost,
    units: a.units + b.units,
  }));

/**
 * A batch as it came, into the log: each event once. A batch that fails comes again as a whole, and what was written of it is known then. Nothing is too odd to be kept: what cannot
 * be read is kept as it is. The state table's stream comes here too: what Steward wrote down is in the log as its own entries.
 */
export const makeHandler = ({ writer, hear, now, home }: RecordDeps, telemetry: Telemetry) => {
  const { metrics, logger } = telemetry;

  const ofQueue = async (event: SQSEvent): Promise<Appended> => {
    const bodies = event.Records.map((r) => r.body);
    const heard: Activity[] = [];
    const parts = [
      await writer.append(
        'eventbridge',
        bodies.filter(isEnvelope).map((body) => Buffer.from(body)),
        (activity) => void heard.push(activity),
      ),
      await writer.append(
        'steward',
        bodies.filter((body) => !isEnvelope(body)).map((body) => Buffer.from(body)),
      ),
    ];
    await hear(heard);
    metrics.addMetric('RecordLag', MetricUnit.Milliseconds, Math.max(0, now() - oldest(event)));
    return sum(parts);
  };
  const ofStream = (event: DynamoDBStreamEvent): Promise<Appended> => {
    const said = event.Records.flatMap((r) => entriesOf(changeOf(r)));
    return writer.append(
      'steward',
      said.map((entry) => entryOf(entry, home)),
    );
  };

  return onEvent(telemetry, async (event: unknown): Promise<Appended | DynamoDBBatchResponse> => {
    if (!(isSqs(event) || isStream(event)))
      throw new InvalidInput(
        'record takes what its queue and the table’s stream bring; to read the log: npx steward activity',
      );
    const appended = isSqs(event) ? await ofQueue(event) : await ofStream(event);
    metrics.addMetric('Recorded', MetricUnit.Count, appended.written);
    if (appended.units > 0) metrics.addMetric('DollarsPerMillion', MetricUnit.NoUnit, dollarsPerMillion(appended));
    if (appended.conflicts > 0) {
      metrics.addMetric('RecordConflicts', MetricUnit.Count, appended.conflicts);
      logger.warn('events with an id that another, unequal event has: both are kept', { ...appended });
    }
    return isSqs(event) ? appended : { batchItemFailures: [] };
  });
};
