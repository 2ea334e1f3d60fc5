import { MetricUnit } from '@aws-lambda-powertools/metrics';
import type { Context, DynamoDBBatchResponse } from 'aws-lambda';
import { incidentOfKeys } from '../../shared/aws/store.ts';
import { seconds } from '../../shared/core/time.ts';
import { type AnnounceDeps, type Announced, announce, announceDue } from '../../shared/runtime/announce.ts';
import { isStream, onEvent, type Telemetry } from '../../shared/runtime/lambda.ts';

/** A send takes up to 8 s, and what came of it is written after it. */
const MARGIN = seconds(15);

/**
 * The table's stream and the schedule both come here. A channel that fails is no failure of the batch: what it was not told is in its outbox. The batch fails as a whole only
 * if the table does, and comes again; it is bisected, and what is given up is found by the schedule.
 */
export const makeHandler = (deps: AnnounceDeps, telemetry: Telemetry) =>
  onEvent(telemetry, async (event: unknown, context: Context): Promise<DynamoDBBatchResponse | Announced> => {
    const until = deps.now() + context.getRemainingTimeInMillis() - MARGIN;
    const { logger, metrics } = telemetry;
    const record = ({ sent, failures, behind }: Announced): void => {
      for (const because of failures) logger.warn('a channel was not told', { because });
      metrics.addMetric('Told', MetricUnit.Count, sent);
      if (failures.length > 0) metrics.addMetric('NotTold', MetricUnit.Count, failures.length);
      metrics.addMetric('TellingBehind', MetricUnit.Milliseconds, behind);
    };
    if (isStream(event)) {
      const changed = event.Records.flatMap((r) => incidentOfKeys(r.dynamodb?.Keys) ?? []);
      record(await announce(changed, deps, until));
      return { batchItemFailures: [] };
    }
    const announced = await announceDue(deps, until);
    record(announced);
    return announced;
  });
