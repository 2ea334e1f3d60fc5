/** What people ask of the activity log by way of the function: who did what, and where the log lies, for whoever checks it himself. */
import * as z from 'zod/mini';
import { lastCheckpoint } from '../activity/checkpoint.ts';
import { coverageIn, type WholeCoverage } from '../activity/coverage.ts';
import { type Host, type Hosts, type HostsReport, hostsReport } from '../activity/hosts.ts';
import type { Activity } from '../activity/record.ts';
import { createSearch, type Page, type Query, type Row } from '../activity/search.ts';
import type { Wanted } from '../activity/terms.ts';
import { lastHosts } from '../activity/watchHosts.ts';
import type { Incident } from '../core/incident.ts';
import { idOf, targetOf } from '../core/target.ts';
import { days, minutes, type Time } from '../core/time.ts';
import type { ActivityLog } from './activity.ts';
import type { ActivityConfig } from './config.ts';

export const word = z.string().check(z.minLength(1), z.maxLength(2048));
export const time = z.int().check(z.gte(0));

export const activityQuestion = z.strictObject({
  do: z.literal('activity'),
  actor: z.optional(word),
  action: z.optional(word),
  resource: z.optional(word),
  ip: z.optional(word),
  error: z.optional(word),
  /** An incident's id: what Steward wrote of it, and what was called about its target, from a little before to a little after. */
  around: z.optional(word),
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
  /** Places whose events are neither in the table nor in the archive. */
  readonly absent: readonly string[];
  /** Segments that were read from the archive. */
  readonly archived: number;
  /** Until when the log is signed. */
  readonly signedAt?: Time;
  /** What may be missing from the time that was asked for; without one, from the oldest line on. Of the first page. */
  readonly coverage?: WholeCoverage;
  /** The same of the lines that hosts ship, where they do. */
  readonly hosts?: HostsReport;
}
/** Where the log lies, for whoever reads it himself. */
export type ActivityWhere = Pick<ActivityConfig, 'account' | 'region' | 'stage' | 'table' | 'bucket' | 'key'> & {
  readonly shards: number;
};

/** With the time by Steward's clock, and the trails that steward.yml declares. */
export type ActivityPlace = ActivityWhere & { readonly at: Time; readonly declared: readonly string[] };

/** Lambda answers 6 MB at most; JSON in JSON grows by its quotes. */
const LARGEST = 2_500_000;

const bytesOf = ({ rows }: Page): number => rows.reduce((sum, r) => sum + r.raw.length, 0);

/** Hours are counted so far back: of more, the answer would take seconds. */
const COUNTED = days(92);

/** The time that was asked for; as far as nothing was said, that of the lines. */
const rangeOf = ({ from, to = Number.POSITIVE_INFINITY }: Query, rows: readonly Row[], now: Time) => {
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

const rowOf = ({ place, raw, activity: { time: at, cut: _cut, ...rest } }: Row): ActivityRow => ({
  place,
  at,
  ...rest,
  event: Buffer.from(raw).toString('utf8'),
});

/** Whoever causes trouble mostly did it just before; what Steward did shows just after. */
const AROUND = minutes(15);

const spanOf = ({ openedAt, closedAt }: Incident, now: Time) => ({
  from: openedAt - AROUND,
  to: (closedAt ?? now) + AROUND,
});
/** Only what was asked for. */
const given = <T extends object>(asked: T) =>
  Object.fromEntries(Object.entries(asked).filter(([, v]) => v !== undefined));

export interface Reading {
  readonly now: Time;
  /** Undefined: all of it. */
  readonly mayRead?: Query['mayRead'] | undefined;
}

/** A page ends early where it had to read much of the archive. */
const firstOf = async (search: ReturnType<typeof createSearch>, query: Query, limit: number): Promise<Row[]> => {
  const rows: Row[] = [];
  let cursor: string | undefined;
  do {
    const page = await search.page(query, limit - rows.length, cursor);
    rows.push(...page.rows);
    cursor = page.cursor;
  } while (cursor !== undefined && rows.length < limit);
  return rows;
};

/** What the log has about an incident: Steward's own entries, calls about the target, and the calls of the role that repairs it. Newest first. */
export const activityAround = async (
  incident: Incident,
  log: ActivityLog,
  { now, stage, limit, ...asked }: Reading & { readonly stage: string; readonly limit: number } & Wanted,
): Promise<readonly ActivityRow[]> => {
  const { id, target, remediation } = incident;
  const search = createSearch(log);
  const range = spanOf(incident, now);
  const found = await Promise.all(
    [
      { resource: id },
      { resource: idOf(targetOf(target)) },
      { resource: target },
      { actor: `steward-${stage}-remedy-${remediation}` },
    ].map((by) => firstOf(search, given({ ...asked, ...range, ...by }), limit)),
  );
  const rows = new Map(found.flat().map((r) => [r.place, r] as const));
  return [...rows.values()]
    .sort((a, b) => b.activity.time - a.activity.time)
    .slice(0, limit)
    .map(rowOf);
};

/** All of an incident is one page. */
export const searchAround = async (
  { do: _, limit, around: _around, from: _from, to: _to, cursor: _cursor, ...asked }: z.output<typeof activityQuestion>,
  incident: Incident,
  { log, now, stage, mayRead }: Reading & { readonly log: ActivityLog; readonly stage: string },
): Promise<ActivityPage> => {
  const { from, to } = spanOf(incident, now);
  const wanted: Wanted = given(asked);
  const [rows, coverage, last] = await Promise.all([
    activityAround(incident, log, { now, stage, limit, mayRead, ...wanted }),
    coverageIn(log.table, { from, to: Math.min(now, to) }, { now }),
    lastCheckpoint(log.table),
  ]);
  return { at: now, rows, absent: [], archived: 0, coverage, ...(last ? { signedAt: last.statement.time } : {}) };
};

export const INSTANCE = /^m?i-[0-9a-f]+(?=$|\/)/;

/** A host is seen by whoever may read its lines. */
const lineOf = ({ host, account }: Host): Activity => ({
  account,
  region: 'unknown',
  id: '',
  time: 0,
  who: [host],
  what: 'host:Beat',
  resources: [host],
  cut: false,
});

/** What may be missing of hosts' lines: of the one that was asked for, or of all. */
export const hostsIn = (
  state: Hosts,
  { from, to, host }: { readonly from: Time; readonly to: Time; readonly host?: string | undefined },
  { now, mayRead }: Reading,
): HostsReport => {
  const of = (h: Host): boolean => (host === undefined || h.host === host) && (!mayRead || mayRead(lineOf(h)));
  return hostsReport(state, { from, to, of }, { now });
};

export const searchActivity = async (
  { do: _, limit, cursor, around: _around, ...asked }: z.output<typeof activityQuestion>,
  { log, now, mayRead }: Reading & { readonly log: ActivityLog },
): Promise<ActivityPage> => {
  const query: Query = given({ ...asked, mayRead });
  // Known before the lines are, unless they say from when on.
  const early = cursor === undefined && query.from !== undefined ? rangeOf(query, [], now) : undefined;
  const [page, last, covered] = await Promise.all([
    pageOf(createSearch(log), query, limit, cursor),
    lastCheckpoint(log.table),
    early && coverageIn(log.table, early, { now }),
  ]);
  const late = cursor === undefined ? () => coverageIn(log.table, rangeOf(query, page.rows, now), { now }) : undefined;
  const coverage = covered ?? (await late?.());
  const state = coverage && (await lastHosts(log.table));
  const host = INSTANCE.exec(query.resource ?? '')?.[0];
  const hosts = state && hostsIn(state, { ...coverage, host }, { now, mayRead });
  return {
    at: now,
    ...(coverage ? { coverage } : {}),
    ...(hosts ? { hosts } : {}),
    rows: page.rows.map(rowOf),
    ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
    absent: page.absent,
    archived: page.archived,
    ...(last ? { signedAt: last.statement.time } : {}),
  };
};
