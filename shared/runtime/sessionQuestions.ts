/** `steward activity sessions`: who was on hosts, by what the log has of their lines and of Session Manager. */
import * as z from 'zod/mini';
import { readHostEvent } from '../activity/hostLine.ts';
import type { HostsReport } from '../activity/hosts.ts';
import { createSearch, type Query } from '../activity/search.ts';
import { FACT_ACTIONS, factOf } from '../activity/sessionFacts.ts';
import { type ApiFact, type HostSession, sessionsOf } from '../activity/sessions.ts';
import { lastHosts } from '../activity/watchHosts.ts';
import { days, type Time } from '../core/time.ts';
import type { ActivityLog } from './activity.ts';
import { hostsIn, INSTANCE, type Reading, time, word } from './activityQuestions.ts';

/** Who was on hosts: all of a time, of one host, or one session. */
export const sessionsQuestion = z.strictObject({
  do: z.literal('activity-sessions'),
  host: z.optional(word),
  session: z.optional(word),
  actor: z.optional(word),
  from: z.optional(time),
  to: z.optional(time),
});
/** A line is looked at in one page of so many; more lines than all pages hold are said to be. */
const PAGE_LINES = 500;
const MOST_LINES = 10_000;
/** A session that began so long before may still be open. */
const LOOKBACK = days(1);
const DAY = days(1);

/** Lines that sessions are told by. What was run is read of one host only: a fleet's would be too many. */
const DOORS = ['Login', 'OpenSession', 'NewSession', 'CloseSession', 'RemoveSession', 'LogOut', 'Disconnect'];
const WHATS = [...DOORS, 'Sudo', 'SudoDenied', 'Su', 'SuDenied', 'Shutdown', 'ShipStart'];

type Search = ReturnType<typeof createSearch>;

export interface SessionsAnswer {
  readonly at: Time;
  readonly from: Time;
  readonly to: Time;
  /** The newest first. */
  readonly sessions: readonly HostSession[];
  /** Not all lines were read: ask for one host, or less time. */
  readonly cut: boolean;
  /** Absent: the policy wants nothing of hosts. */
  readonly hosts?: HostsReport;
}

const allOf = async (search: Search, query: Query): Promise<{ raws: Uint8Array[]; cut: boolean }> => {
  const raws: Uint8Array[] = [];
  let cursor: string | undefined;
  do {
    const page = await search.page(query, PAGE_LINES, cursor);
    raws.push(...page.rows.map((r) => r.raw));
    cursor = page.cursor;
  } while (cursor !== undefined && raws.length < MOST_LINES);
  return { raws, cut: cursor !== undefined };
};

/** Of a session by its name: those of hosts begin with theirs, of Session Manager's its facts know it. */
const hostOf = async (
  search: Search,
  session: string | undefined,
  by: Pick<Query, 'mayRead'>,
): Promise<string | undefined> => {
  if (session === undefined) return undefined;
  const [own] = INSTANCE.exec(session) ?? [];
  if (own !== undefined) return own;
  const { raws } = await allOf(search, { ...by, resource: session });
  return raws.flatMap((raw) => factOf(raw)?.host ?? [])[0];
};

const isOf = ({ who, behind, by }: HostSession, actor: string): boolean =>
  [who, ...behind, by].some((name) =>
    [name, name.slice(name.lastIndexOf('/') + 1), ...name.split(/[ ,]+/)].some((n) => n.toLowerCase() === actor),
  );

export const searchSessions = async (
  q: z.output<typeof sessionsQuestion>,
  { log, now, mayRead }: Reading & { readonly log: ActivityLog },
): Promise<SessionsAnswer> => {
  const to = Math.min(q.to ?? now, now);
  const from = Math.min(q.from ?? to - DAY, to);
  const by = mayRead ? { mayRead } : {};
  // One for all: what one question has unpacked of the archive, the others need as well.
  const search = createSearch(log);
  const host = q.host ?? (await hostOf(search, q.session, by));
  // What ended them may have come later.
  const range = { ...by, from: from - LOOKBACK, to: now };
  const queries: Query[] =
    host === undefined
      ? [...WHATS.map((what) => `host:${what}`), ...FACT_ACTIONS].map((action) => ({ ...range, action }))
      : [{ ...range, resource: host }, ...FACT_ACTIONS.map((action) => ({ ...range, action }))];
  const [found, state] = await Promise.all([
    Promise.all(queries.map((query) => allOf(search, query))),
    lastHosts(log.table),
  ]);
  const raws = [
    ...new Map(found.flatMap(({ raws: own }) => own.map((raw) => [Buffer.from(raw).toString(), raw]))).values(),
  ];
  const lines = raws.flatMap((raw) => readHostEvent(raw) ?? []);
  const facts: ApiFact[] = raws.flatMap((raw) => factOf(raw) ?? []);
  const sessions = sessionsOf({ lines, facts }, { hosts: state?.hosts ?? {}, now }).filter(
    (s) =>
      s.from <= to &&
      (s.end?.at ?? now) >= from &&
      (host === undefined || s.host === host) &&
      (q.session === undefined || s.id === q.session) &&
      (q.actor === undefined || isOf(s, q.actor.toLowerCase())),
  );
  const hosts = state && hostsIn(state, { from, to, host }, { now, mayRead });
  return { at: now, from, to, sessions, cut: found.some((f) => f.cut), ...(hosts ? { hosts } : {}) };
};
