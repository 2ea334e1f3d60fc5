import { MetricUnit } from '@aws-lambda-powertools/metrics';
import type { Numbered } from '../../shared/activity/checkpoint.ts';
import { onEvent, type Telemetry } from '../../shared/runtime/lambda.ts';

export interface Audited {
  /** The last checkpoint; none: the log is empty. */
  readonly checkpoint?: { readonly number: number; readonly links: number; readonly at: number };
}

/** Each minute: what is new in the log is signed. */
export const makeHandler = (checkpoint: () => Promise<Numbered | undefined>, telemetry: Telemetry, now: () => number) =>
  onEvent(telemetry, async (): Promise<Audited> => {
    const last = await checkpoint();
    if (!last) return {};
    const { number, statement } = last;
    telemetry.metrics.addMetric('UnsignedFor', MetricUnit.Milliseconds, Math.max(0, now() - statement.time));
    return { checkpoint: { number, links: statement.size, at: statement.time } };
  });
