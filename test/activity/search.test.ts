/** Search: every row that a reader of the whole log would pick, each once, over any pages, while the log grows and is folded. */
import fc from 'fast-check';
import { findEvents } from '../../shared/activity/prove.ts';
import { readActivity } from '../../shared/activity/record.ts';
import { type Query, summaryOf } from '../../shared/activity/search.ts';
import { matches } from '../../shared/activity/terms.ts';
import { seconds } from '../../shared/core/time.ts';
import { aLog, allRows, rawTexts, someEvents, textsOf } from './setting.ts';

const EVENTS = 900;
/** 560 links: two tiles and a tail. */
const filled = async () => {
  const log = aLog();
  const events = [...someEvents(EVENTS / 2, 5), ...someEvents(EVENTS / 2, 6, '555566667777')];
  const order = events
    .map((e, n) => [(n * 7) % 13, e] as const)
    .sort(([a], [b]) => a - b)
    .map(([, e]) => e);
  for (let at = 0, n = 0; at < order.length; n++) {
    const size = 1 + (n % 3) + (n === 7 ? 30 : 0);
    await log.writer.append('file', order.slice(at, at + size));
    log.clock.now += seconds(3);
    at += size;
    if (n % 50 === 0) await log.checkpoint();
  }
  await log.checkpoint();
  return { ...log, events };
};
const log = await filled();
const activities = log.events.map((raw) => ({ raw, activity: readActivity(raw) }));
const one = fc.constantFrom(...activities);

const query = fc.record(
  {
    actor: one.map(({ activity }) => activity.who[0] ?? ''),
    action: one.chain(({ activity }) =>
      fc.constantFrom(activity.what, activity.what.split(':')[1]!, `${activity.what.split(':')[0]}:`),
    ),
    resource: one.map(({ activity }) => activity.resources[0] ?? 'none'),
    ip: one.map(({ activity }) => activity.ip ?? ''),
    error: fc.constantFrom('*', 'AccessDenied', 'Other'),
    from: one.map(({ activity }) => activity.time),
    to: one.map(({ activity }) => activity.time),
  },
  { requiredKeys: [] },
);
const expected = (q: Query): string[] =>
  textsOf(
    activities
      .filter(
        ({ raw, activity: a }) =>
          (q.from ?? 0) <= a.time && a.time <= (q.to ?? Number.POSITIVE_INFINITY) && matches(a, q, raw),
      )
      .map(({ raw }) => raw),
  );

test('any question, in pages of any size', async () => {
  await fc.assert(
    fc.asyncProperty(query, fc.integer({ min: 1, max: 400 }), async (q, limit) => {
      expect(rawTexts(await allRows(log, q, limit))).toEqual(expected(q));
    }),
    { numRuns: 60 },
  );
});

test('what is written and folded between two pages neither hides nor doubles a row', async () => {
  const own = await filled();
  const wanted = { error: '*' };
  const rows = [];
  let cursor: string | undefined;
  let n = 0;
  do {
    const page = await own.search.page(wanted, 2, cursor);
    rows.push(...page.rows);
    cursor = page.cursor;
    if (n++ < 8) {
      for (const event of someEvents(40, 100 + n)) await own.writer.append('file', [event]);
      await own.checkpoint();
    }
  } while (cursor !== undefined);
  expect(rawTexts(rows)).toEqual(expected(wanted));
});

test('a reader sees what he may see', async () => {
  const rows = await allRows(log, { mayRead: (a) => a.account === '555566667777' });
  expect(rows).toHaveLength(EVENTS / 2);
  expect(rows.every((r) => r.activity.account === '555566667777')).toBe(true);
});

test('each event is found by its id; a body that has gone is named, not passed over', async () => {
  for (const { raw, activity } of activities.filter((_, n) => n % 60 === 0)) {
    const found = await findEvents(log, activity, { from: activity.time, to: activity.time });
    expect(found).toHaveLength(1);
    expect(found[0]!.link.header.from).toBeLessThanOrEqual(readActivity(raw).time);
  }
  const own = aLog(1);
  await own.writer.append('file', someEvents(10));
  for (const body of [...own.memory.items.keys()].filter((p) => p.startsWith('body/'))) own.memory.items.delete(body);
  expect(await own.search.page({}, 10)).toMatchObject({ rows: [], absent: ['s0/0'] });
});

test('who did what', () => {
  const [most, ...others] = summaryOf(activities.map((a) => a.activity));
  expect(others.every((o) => o.count <= most!.count)).toBe(true);
  expect([most!, ...others].reduce((n, d) => n + d.count, 0)).toBe(EVENTS);
});

test('a cursor of someone else is refused', async () => {
  await expect(log.search.page({}, 1, 'e30')).rejects.toThrow('this cursor is none');
});
