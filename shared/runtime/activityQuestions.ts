/** What people ask of the activity log by way of the function: who did what, and where the log lies, for whoever checks it himself. */
import * as z from 'zod/mini';
import { lastCheckpoint } from '../activity/checkpoint.ts';
import { coverageIn, type WholeCoverage } from '../activity/coverage.ts';
import { createSearch, type Page, type Query } from '../activity/search.ts';
import { days, type Time } from '../core/time.ts';
import type { ActivityLog } from './activity.ts';
import type { ActivityConfig } from './config.ts';

const word = z.string().check(z.minLength(1), z.maxLength(2048));
const time = z.int().check(z.gte(0));

export const activityQuestion = z.strictObject({
  do: z.literal('activity'),
  actor: z.optional(word),
  action: z.optional(word),
  resource: z.optional(word),
  ip: z.optional(word),
  error: z.optional(word),
  from: z.optional(time),
  to: z.optional(time),
  limit: z.int().check(z.gte(1), z.lte(500)),
  cursor: z.optional(z.string().check(z.maxLength(10_000))),
});
export const whereQuestion = z.strictObject({ do: z.literal('activity-where') });

export interface ActivityRow {
  /** Shard, link, event: where it stands in the log. */
  readonly place: string;
  readonly account: string;
  readonly region: string;
  readonly id: string;
  readonly at: Time;
  readonly who: readonly string[];
  readonly what: string;
  readonly resources: readonly string[];
  readonly ip?: string;
  readonly error?: string;
  readonly unreadable?: string;
  /** As it came. */
  readonly event: string;
}
export interface ActivityPage {
  readonly at: Time;
  readonly rows: readonly ActivityRow[];
  readonly cursor?: string;
  /** Places whose events have left the table. */
  readonly absent: readonly string[];
  /** Until when the log is signed. */
  readonly signedAt?: Time;
  /** What may be missing from the time that was asked for; without one, from the oldest line on. Of the first page. */
  readonly coverage?: WholeCoverage;
}
/** Where the log lies, for whoever reads it himself. */
export type ActivityWhere = Pick<ActivityConfig, 'account' | 'region' | 'stage' | 'table' | 'bucket' | 'key'>;

/** With the time by Steward's clock. */
export type ActivityPlace = ActivityWhere & { readonly at: Time };

/** Lambda answers 6 MB at most; JSON in JSON grows by its quotes. */
const LARGEST = 2_500_000;

const bytesOf = ({ rows }: Page): number => rows.reduce((sum, r) => sum + r.raw.length, 0);

/** Hours are counted so far back: bodies are in the table no longer either. */
const COUNTED = days(92);

/** The time that was asked for; as far as nothing was said, that of the lines. */
const rangeOf = ({ from, to = Number.POSITIVE_INFINITY }: Query, { rows }: Page, now: Time) => {
  const oldest = rows.reduce((t, { activity: { time: at } }) => (at > 0 ? Math.min(t, at) : t), now);
  const end = Math.min(to, now);
  return { from: Math.min(end, Math.max(from ?? oldest, end - COUNTED)), to: end };
};

/** A page that fits. */
const pageOf = async (
  search: ReturnType<typeof createSearch>,
  query: Query,
  limit: number,
  cursor: string | undefined,
): Promise<Page> => {
  const page = await search.page(query, limit, cursor);
  return bytesOf(page) <= LARGEST || limit === 1 ? page : pageOf(search, query, Math.ceil(limit / 4), cursor);
};

export const searchActivity = async (
  { do: _, limit, cursor, ...asked }: z.output<typeof activityQuestion>,
  log: ActivityLog,
  now: Time,
): Promise<ActivityPage> => {
  const query = Object.fromEntries(Object.entries(asked).filter(([, v]) => v !== undefined)) as Query;
  const [page, last] = await Promise.all([pageOf(createSearch(log), query, limit, cursor), lastCheckpoint(log.table)]);
  const coverage = cursor === undefined ? await coverageIn(log.table, rangeOf(query, page, now), { now }) : undefined;
  return {
    at: now,
    ...(coverage ? { coverage } : {}),
    rows: page.rows.map(({ place, raw, activity: { time: at, cut: _cut, ...rest } }) => ({
      place,
      at,
      ...rest,
      event: Buffer.from(raw).toString('utf8'),
    })),
    ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
    absent: page.absent,
    ...(last ? { signedAt: last.statement.time } : {}),
  };
};
