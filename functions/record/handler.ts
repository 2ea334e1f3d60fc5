import { MetricUnit } from '@aws-lambda-powertools/metrics';
import type { DynamoDBBatchResponse, DynamoDBRecord, DynamoDBStreamEvent, SQSEvent } from 'aws-lambda';
import { type Appended, dollarsPerMillion, type Writer } from '../../shared/activity/append.ts';
import { type Changed, entriesOf, entryOf } from '../../shared/activity/entries.ts';
import { eventsOfFeed, feedBody, isFeed, isLogsEvent, type LogsEvent } from '../../shared/activity/hostFeed.ts';
import type { Leg } from '../../shared/activity/link.ts';
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
  readonly stage: string;
  /** Into the log's queue, where what many hosts ship comes together in full segments. */
  readonly queue: (body: string) => Promise<void>;
}

/** When the oldest of them came, as SQS says. */
const oldest = ({ Records }: SQSEvent): number =>
  Records.reduce((at, r) => Math.min(at, Number(r.attributes.SentTimestamp)), Number.POSITIVE_INFINITY);

/** EventBridge's envelopes begin so. The other writers of the queue are `answer`, with what people commanded, and this function itself, with what hosts ship. */
const isEnvelope = (body: string): boolean => body.startsWith('{"version":');
const legOf = (body: string): Leg => {
  if (isEnvelope(body)) return 'eventbridge';
  return isFeed(body) ? 'host' : 'steward';
};
/** SQS takes 1 MiB. */
const LARGEST_MESSAGE = 1_048_576;

/** What the table's stream tells of one write. */
const changeOf = ({ dynamodb }: DynamoDBRecord): Changed => {
  const { OldImage, NewImage, ApproximateCreationDateTime = 0 } = dynamodb ?? {};
  return {
    before: OldImage && recordOfImage(OldImage),
    after: NewImage && recordOfImage(NewImage),
    at: seconds(ApproximateCreationDateTime),
  };
};

const NOTHING: Appended = { written: 0, known: 0, conflicts: 0, segments: 0, lost: 0, units: 0 };
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
 * be read is kept as it is. The state table's stream comes here too: what Steward wrote down is in the log as its own entries. So does what hosts ship, by way of the queue.
 */
export const makeHandler = ({ writer, hear, now, home, stage, queue }: RecordDeps, telemetry: Telemetry) => {
  const { metrics, logger } = telemetry;
  const from = { ...home, stage };

  const ofQueue = async (event: SQSEvent): Promise<Appended> => {
    const bodies = Map.groupBy(
      event.Records.map((r) => r.body),
      legOf,
    );
    const heard: Activity[] = [];
    const raws = (leg: Leg): Buffer[] => (bodies.get(leg) ?? []).map((body) => Buffer.from(body));
    const parts = [
      await writer.append('eventbridge', raws('eventbridge'), (activity) => void heard.push(activity)),
      await writer.append('steward', raws('steward')),
      await writer.append(
        'host',
        (bodies.get('host') ?? []).flatMap((body) => eventsOfFeed(body, from)),
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

  /** A few lines at a time would each be a segment of their own. */
  const ofHosts = async (event: LogsEvent): Promise<Appended> => {
    const body = feedBody(event);
    if (body.length > LARGEST_MESSAGE) return writer.append('host', eventsOfFeed(body, from));
    await queue(body);
    return NOTHING;
  };

  const taken = (event: unknown): Promise<Appended> => {
    if (isSqs(event)) return ofQueue(event);
    if (isStream(event)) return ofStream(event);
    if (isLogsEvent(event)) return ofHosts(event);
    throw new InvalidInput(
      'record takes what its queue, the table’s stream and the hosts’ log group bring; to read the log: npx steward activity',
    );
  };

  return onEvent(telemetry, async (event: unknown): Promise<Appended | DynamoDBBatchResponse> => {
    const appended = await taken(event);
    metrics.addMetric('Recorded', MetricUnit.Count, appended.written);
    if (appended.units > 0) metrics.addMetric('DollarsPerMillion', MetricUnit.NoUnit, dollarsPerMillion(appended));
    if (appended.conflicts > 0) {
      metrics.addMetric('RecordConflicts', MetricUnit.Count, appended.conflicts);
      logger.warn('events with an id that another, unequal event has: both are kept', { ...appended });
    }
    return isStream(event) ? { batchItemFailures: [] } : appended;
  });
};
