import { MetricUnit } from '@aws-lambda-powertools/metrics';
import type { Context } from 'aws-lambda';
import type { Receipt } from '../../shared/activity/receipts.ts';
import type { Retention } from '../../shared/activity/retention.ts';
import { onEvent, type Telemetry } from '../../shared/runtime/lambda.ts';

export interface Archived {
  /** Numbers of the receipts that were written; of those whose bodies got their end; of those whose files may go. */
  readonly archived: readonly number[];
  readonly ended: readonly number[];
  readonly expired: readonly number[];
  readonly events: number;
  /** Bytes of the files. */
  readonly bytes: number;
  /** For how long the oldest day that is over has waited, in ms. */
  readonly behind: number;
}

/** One receipt is some seconds' work; what a run leaves for it and for the last step. Milliseconds. */
const LAST_STEP = 60_000;

type Step = 'archive' | 'end' | 'expire';

/** None waits for another to succeed. */
const rounds = async (retention: Retention, hasTime: () => boolean) => {
  const done: Record<Step, Receipt[]> = { archive: [], end: [], expire: [] };
  const errors = new Map<Step, unknown>();
  const step = async (name: Step): Promise<boolean> => {
    if (errors.has(name)) return false;
    try {
      const receipt = await retention[name]();
      if (receipt) done[name].push(receipt);
      return receipt !== undefined;
    } catch (e) {
      errors.set(name, e);
      return false;
    }
  };
  for (let more = true; more && hasTime(); )
    more = [await step('archive'), await step('end'), await step('expire')].includes(true);
  return { done, errors: [...errors.values()] };
};

/** Each tenth minute: days that are over, settled and signed are archived; bodies that the archive has get their end; files whose years are over may go. */
export const makeHandler = (retention: Retention, telemetry: Telemetry) =>
  onEvent(telemetry, async (_event: unknown, context: Context): Promise<Archived> => {
    const { metrics, logger } = telemetry;
    const { done, errors } = await rounds(retention, () => context.getRemainingTimeInMillis() > LAST_STEP);
    const lacks = done.archive.flatMap((r) => r.without ?? []);
    if (lacks.length > 0) {
      metrics.addMetric('ArchiveLacks', MetricUnit.Count, lacks.length);
      logger.error('bodies were gone or changed when they were to be archived: run steward activity verify', { lacks });
    }
    const behind = await retention.behind();
    metrics.addMetric('ArchiveBehind', MetricUnit.Milliseconds, behind);
    for (const error of errors) logger.error('a step of the archive failed', { error: error as Error });
    const [first] = errors;
    if (first !== undefined) throw first;
    const numbers = (receipts: readonly Receipt[]) => receipts.map((r) => r.number);
    return {
      archived: numbers(done.archive),
      ended: numbers(done.end),
      expired: numbers(done.expire),
      events: done.archive.reduce((n, r) => n + r.events, 0),
      bytes: done.archive.reduce((n, r) => n + r.bytes, 0),
      behind,
    };
  });
