import { MetricUnit } from '@aws-lambda-powertools/metrics';
import { onEvent, type Telemetry } from '../../shared/runtime/lambda.ts';
import { type Swept, sweep } from '../../shared/runtime/sweep.ts';
import type { Wired } from '../../shared/runtime/wire.ts';

export const makeHandler = (deps: Wired, telemetry: Telemetry, region: string) =>
  onEvent(telemetry, async (event: unknown): Promise<Swept> => {
    // `{ "survey": true }`, as in `serverless invoke`: the schedule's event has no such field.
    const swept = await sweep(deps, region, (event as { survey?: unknown } | null)?.survey === true);
    for (const because of swept.blind) telemetry.logger.warn('a survey could not be made', { because });
    telemetry.metrics.addMetric('Due', MetricUnit.Count, swept.due);
    telemetry.metrics.addMetric('Behind', MetricUnit.Milliseconds, swept.behind);
    telemetry.metrics.addMetric('SurveyBlind', MetricUnit.Count, swept.blind.length);
    return swept;
  });
