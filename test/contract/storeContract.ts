/** What every Store keeps, whatever is behind it. */
import { randomBytes } from 'node:crypto';
import { Conflict } from '../../shared/core/errors.ts';
import type { Incident } from '../../shared/core/incident.ts';
import { type Change, nameOf, refOf, type Store } from '../../shared/core/store.ts';
import { days, hours, iso, minutes, type Time } from '../../shared/core/time.ts';
import {
  aBook,
  aChart,
  aFullIncident,
  aGroup,
  aLedger,
  aNotice,
  anIncident,
  arnOf,
  closed,
  idAt,
  NOW,
  someReleases,
  someSwitches,
} from './records.ts';

const all = async (store: Store, records: readonly Incident[]): Promise<void> => {
  for (let i = 0; i < records.length; i += 25)
    await Promise.all(records.slice(i, i + 25).map((put) => store.write({ put })));
};
const movedBy = async (writing: Promise<void>): Promise<readonly string[] | string> =>
  writing.then(
    () => 'written',
    (e: unknown) => {
      if (e instanceof Conflict) return [...e.moved].sort();
      throw e;
    },
  );
const ids = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id);

/** @param racy why the other side cannot be asked by many at once */
export const storeContract = (make: (now: () => Time) => Promise<Store>, racy?: string): void => {
  let store: Store;
  let now = NOW;
  beforeEach(async () => {
    now = NOW;
    store = await make(() => now);
  });

  describe('records', () => {
    const records = [
      someSwitches(),
      aChart(),
      aFullIncident(),
      aGroup(),
      aLedger(),
      aNotice(),
      aBook(),
      someReleases(),
    ];

    test('come back whole, one version on', async () => {
      for (const put of records) await store.write({ put });
      expect(await store.read(...records.map(refOf))).toEqual(records.map((r) => ({ ...r, version: 1 })));
    });

    test('come back whole from one transaction', async () => {
      await store.write(...records.map((put) => ({ put })));
      expect(await store.read(...records.map(refOf))).toEqual(records.map((r) => ({ ...r, version: 1 })));
    });

    test('are replaced, not merged', async () => {
      await store.write({ put: aFullIncident() });
      const plain = anIncident({ version: 1 });
      await store.write({ put: plain });
      const [read] = await store.read(refOf(plain));
      expect(read).toEqual({ ...plain, version: 2 });
      expect(Object.keys(read ?? {})).not.toContain('approval');
    });

    test('are read in the order asked for, as often as asked for, undefined where there is none', async () => {
      await store.write({ put: aChart() });
      const chart = refOf(aChart());
      expect(await store.read({ kind: 'switches' }, chart, { kind: 'group', id: 'none' }, chart)).toEqual([
        undefined,
        { ...aChart(), version: 1 },
        undefined,
        { ...aChart(), version: 1 },
      ]);
      expect(await store.read()).toEqual([]);
    });

    test('what was read is a copy', async () => {
      const given = aChart();
      await store.write({ put: given });
      const [read] = await store.read({ kind: 'chart', target: given.target });
      // A copy of one's own, or one that nobody can change.
      const change = (record: unknown) => {
        const { open } = record as { open: Record<string, string> };
        if (!Object.isFrozen(open)) open['other'] = 'x';
      };
      change(read);
      change(given);
      expect((await store.read({ kind: 'chart', target: given.target }))[0]?.open).not.toHaveProperty('other');
    });
  });

  describe('versions', () => {
    const chart = aChart();
    const group = aGroup();

    test('a new record must not exist yet', async () => {
      await store.write({ put: chart });
      expect(await movedBy(store.write({ put: { ...chart, recent: [] } }))).toEqual([nameOf(refOf(chart))]);
      expect((await store.read({ kind: 'chart', target: chart.target }))[0]?.recent).toHaveLength(1);
    });

    test('a replaced record must be as it was read', async () => {
      await store.write({ put: chart });
      await store.write({ put: { ...chart, version: 1 } });
      for (const version of [0, 1, 3])
        expect(await movedBy(store.write({ put: { ...chart, version } }))).toEqual([nameOf(refOf(chart))]);
      expect(await movedBy(store.write({ put: { ...chart, version: 2 } }))).toBe('written');
    });

    test('what does not exist cannot be replaced', async () => {
      expect(await movedBy(store.write({ put: { ...chart, version: 4 } }))).toEqual([nameOf(refOf(chart))]);
      expect(await store.read(refOf(chart))).toEqual([undefined]);
    });

    test('all or nothing, and what has moved is named', async () => {
      await store.write({ put: chart });
      const writing = (...changes: Change[]) => movedBy(store.write({ put: group }, { put: aLedger() }, ...changes));
      expect(await writing({ put: chart })).toEqual([nameOf(refOf(chart))]);
      expect(await writing({ check: refOf(chart), version: 2 })).toEqual([nameOf(refOf(chart))]);
      expect(await writing({ check: refOf(chart), version: 0 })).toEqual([nameOf(refOf(chart))]);
      expect(await writing({ check: { kind: 'switches' }, version: 1 }, { put: chart })).toEqual(
        [nameOf(refOf(chart)), 'the switches'].sort(),
      );
      expect(await store.read(refOf(group), refOf(aLedger()))).toEqual([undefined, undefined]);
      expect(await writing({ check: refOf(chart), version: 1 }, { check: { kind: 'switches' }, version: 0 })).toBe(
        'written',
      );
    });

    test('a check changes nothing', async () => {
      await store.write({ put: chart });
      await store.write({ check: refOf(chart), version: 1 });
      expect((await store.read({ kind: 'chart', target: chart.target }))[0]?.version).toBe(1);
    });

    test('nothing to write is written', async () => {
      expect(await movedBy(store.write())).toBe('written');
    });

    const crowd = racy ? test.skip : test;
    crowd(
      `of forty who write two records at once, one wins each round, with both${racy ? `: ${racy}` : ''}`,
      async () => {
        let wins = 0;
        const writer = async (me: number): Promise<void> => {
          for (;;) {
            const [c, g] = await store.read({ kind: 'chart', target: chart.target }, { kind: 'group', id: group.id });
            const said = await movedBy(
              store.write(
                { put: { ...chart, version: c?.version ?? 0, open: { ...c?.open, [`r${me}`]: 'x' } } },
                { put: { ...group, version: g?.version ?? 0, repairs: { ...g?.repairs, [`t${me}`]: chart.lease! } } },
              ),
            );
            if (said === 'written') {
              wins++;
              return;
            }
          }
        };
        await Promise.all(Array.from({ length: 40 }, (_, me) => writer(me)));
        expect(wins).toBe(40);
        const [c, g] = await store.read({ kind: 'chart', target: chart.target }, { kind: 'group', id: group.id });
        expect([c?.version, g?.version]).toEqual([40, 40]);
        expect(Object.keys(c?.open ?? {}).filter((k) => /^r\d/.test(k))).toHaveLength(40);
        expect(Object.keys(g?.repairs ?? {}).filter((k) => /^t\d/.test(k))).toHaveLength(40);
      },
      20_000,
    );
  });

  describe('lists', () => {
    const open = (n: number, over: Partial<Incident> = {}): Incident =>
      anIncident({ id: idAt(NOW - hours(1) + n, n), target: arnOf(n), dueAt: NOW - minutes(n), ...over });

    test('due: what has come due, oldest first, no more than asked for', async () => {
      const list = Array.from({ length: 60 }, (_, n) => open(n - 20, { id: idAt(NOW, n), target: arnOf(n) }));
      await all(store, list);
      await store.write({ put: closed(NOW, { id: idAt(NOW, 99), target: arnOf(99), dueAt: NOW - days(1) }) });
      const wanted = list
        .filter((i) => i.dueAt <= NOW)
        .sort((a, b) => a.dueAt - b.dueAt)
        .map(({ target, id, remediation, dueAt }) => ({ target, id, remediation, dueAt }));
      expect(wanted).toHaveLength(40);
      expect(await store.due(NOW, 2_000)).toEqual(wanted);
      const some = await store.due(NOW, 20);
      expect(some.length).toBeLessThanOrEqual(20);
      expect(some.length).toBeGreaterThan(0);
      for (const one of some) expect(wanted).toContainEqual(one);
      expect(some.map(({ dueAt }) => dueAt)).toEqual(some.map(({ dueAt }) => dueAt).sort((a, b) => a - b));
      expect(await store.due(NOW - days(1), 100)).toEqual([]);
    });

    test('an incident is due once, when it says so, until it is closed', async () => {
      const first = open(1);
      await store.write({ put: first });
      await store.write({ put: { ...first, version: 1, dueAt: NOW + minutes(5) } });
      expect(await store.due(NOW, 10)).toEqual([]);
      expect(ids(await store.due(NOW + minutes(5), 10))).toEqual([first.id]);
      await store.write({ put: { ...closed(NOW), id: first.id, target: first.target, version: 2 } });
      expect(await store.due(NOW + days(1), 10)).toEqual([]);
      expect(await store.open(10)).toEqual([]);
    });

    test('open: the newest, more than one batch and one page of them', async () => {
      const noise = randomBytes(6_000).toString('hex');
      const list = Array.from({ length: 450 }, (_, n) =>
        open(n, { log: n % 5 === 0 ? [{ at: NOW, what: 'seen', say: noise }] : [] }),
      );
      await all(store, list);
      await store.write({ put: closed(NOW, { target: arnOf('closed'), id: idAt(NOW + 1) }) });
      const newest = [...list].reverse().map((i) => ({ ...i, version: 1 }));
      expect(await store.open(1_000)).toEqual(newest);
      expect(await store.open(7)).toEqual(newest.slice(0, 7));
    }, 20_000);

    test('closed: of one UTC day, latest first', async () => {
      const midnight = Date.parse('2026-11-23T00:00:00Z');
      const list = [-1, 0, 5, 1, 3, 86_399_999, 86_400_000].map((ms, n) =>
        // Later ids closed earlier: the day and the order are those of the closing.
        closed(midnight + ms, { id: idAt(NOW - days(2), 50 - n), target: arnOf(n) }),
      );
      await all(store, list);
      await store.write({ put: open(60, { target: arnOf('open') }) });
      const times = async (limit: number) =>
        (await store.closed('2026-11-23', limit)).map((i) => (i.closedAt ?? 0) - midnight);
      expect(await times(10)).toEqual([86_399_999, 5, 3, 1, 0]);
      expect(await times(2)).toEqual([86_399_999, 5]);
      expect(await store.closed('2026-11-25', 10)).toEqual([]);
      expect((await store.closed(iso(midnight - 1).slice(0, 10), 10)).map((i) => i.version)).toEqual([1]);
    });

    test('ofTarget: newest first, over a megabyte of them, of that target only', async () => {
      const noise = randomBytes(20_000).toString('hex');
      const list = Array.from({ length: 50 }, (_, n) => ({
        ...closed(NOW, { id: idAt(NOW - days(50) + days(n)), target: arnOf(1) }),
        log: [{ at: NOW, what: 'seen', say: noise }],
      }));
      await all(store, list);
      // Neither a longer name that begins alike, nor the chart of the same target.
      await store.write({ put: open(3, { target: arnOf('1-other') }) }, { put: aChart({ target: arnOf(1) }) });
      const found = await store.ofTarget(arnOf(1), 100);
      expect(ids(found)).toEqual(ids(list).reverse());
      expect(found[0]).toEqual({ ...list.at(-1), version: 1 });
      expect(ids(await store.ofTarget(arnOf(1), 3))).toEqual(ids(list).reverse().slice(0, 3));
      expect(await store.ofTarget(arnOf('none'), 3)).toEqual([]);
    }, 20_000);

    test('find: by id alone, open, or closed days after it was opened', async () => {
      const first = open(1);
      const last = closed(NOW - days(3), { id: idAt(NOW - days(9)), target: arnOf('z') });
      await all(store, [first, last, open(2), closed(NOW, { id: idAt(NOW - days(9), 1), target: arnOf('y') })]);
      expect(await store.find(first.id)).toEqual({ ...first, version: 1 });
      expect(await store.find(last.id)).toEqual({ ...last, version: 1 });
      expect(await store.find(idAt(NOW - days(20)))).toBeUndefined();
    });

    test.each(['', 'nonsense', 'i-0123456789abcdef0', '0'.repeat(26), 'Z'.repeat(26), '%', 'ü'.repeat(26)])(
      'find: %j is no incident, and that is known soon',
      async (id) => {
        const started = performance.now();
        expect(await store.find(id)).toBeUndefined();
        expect(performance.now() - started).toBeLessThan(4_000);
      },
    );

    test('ill: the targets in one zone that fell ill since then, each once', async () => {
      const zones = [{ zone: 'az0' }, { zone: 'az1' }, {}];
      const list = Array.from({ length: 12 }, (_, n) =>
        anIncident({
          id: idAt(NOW, n),
          target: arnOf(n === 10 ? 7 : n),
          group: n === 9 ? 'asg/other' : 'asg/web',
          ...zones[n % 3],
          openedAt: NOW - minutes(n),
          ...([4, 6, 10].includes(n) ? { state: 'closed', closedAt: NOW } : {}),
        }),
      );
      // What is in no group was not found in trouble.
      await all(store, [...list, anIncident({ id: idAt(NOW, 20), target: arnOf(20), zone: 'az1' })]);
      const is = (n: number, group: string, open: boolean) => ({ target: arnOf(n), group: `asg/${group}`, open });
      // Oldest first. Target 7 has an incident that is over, and one that is not.
      expect(await store.ill('az1', NOW - minutes(11), 100)).toEqual([
        is(7, 'web', true),
        is(4, 'web', false),
        is(1, 'web', true),
      ]);
      expect(await store.ill('az0', NOW - minutes(9), 2)).toEqual([is(9, 'other', true), is(6, 'web', false)]);
      expect(await store.ill('unknown', NOW - minutes(7), 100)).toEqual([is(5, 'web', true), is(2, 'web', true)]);
      expect(await store.ill('az1', NOW - minutes(8), 100, NOW - minutes(5))).toEqual([is(7, 'web', true)]);
      expect(await store.ill('az7', NOW - minutes(9), 100)).toEqual([]);
    });
  });

  test('untold: what a channel is due to be told, oldest first, until it is told; incidents are not among it', async () => {
    const due = (n: number, over: object = {}) => aNotice({ id: `n${n}`, dueAt: NOW + n, ...over });
    await store.write({ put: due(3) }, { put: due(1) }, { put: due(2, { channel: 'mail' }) }, { put: due(9) });
    const { dueAt: _, ...over } = aNotice({ id: 'over' });
    await store.write({ put: over }, { put: anIncident({ dueAt: NOW }) });
    expect(await store.untold('ops', NOW + 5, 10)).toEqual([
      { id: 'n1', dueAt: NOW + 1 },
      { id: 'n3', dueAt: NOW + 3 },
    ]);
    expect(ids(await store.untold('ops', NOW + 5, 1))).toEqual(['n1']);
    const { dueAt: _due, ...told } = due(1, { version: 1 });
    await store.write({ put: told });
    expect(ids(await store.untold('ops', NOW + 5, 10))).toEqual(['n3']);
    expect(await store.untold('nobody', NOW + 5, 10)).toEqual([]);
    expect(await store.due(NOW + 5, 10)).toHaveLength(1);
  });

  describe('parked events', () => {
    const park = (n: number, body: string, because = 'the event is not a JSON object') =>
      store.park({ id: idAt(NOW + n), at: NOW + n, because, body });

    test('are kept as they came, oldest first, until they are removed', async () => {
      const odd = ['', 'null', '[]', '"', '\u0000\u0001\u007f\uffff', '🧯 ü \r\n\t', '{"a":1}{', ' '.repeat(1_000)];
      for (const [n, body] of [...odd.entries()].reverse()) await park(n, body);
      const parked = await store.parked(100);
      expect(parked).toEqual(
        odd.map((body, n) => ({ id: idAt(NOW + n), at: NOW + n, because: 'the event is not a JSON object', body })),
      );
      expect(await store.parked(3)).toEqual(parked.slice(0, 3));
      expect(await store.parked(0)).toEqual([]);
      await store.unpark(idAt(NOW + 1));
      await store.unpark('nobody');
      expect(ids(await store.parked(100))).toEqual(ids(parked.filter((_, n) => n !== 1)));
    });

    test('may be as big as what SQS or an invocation brings, and hard to compress', async () => {
      const message = randomBytes(786_432).toString('base64');
      const invocation = randomBytes(4_400_000).toString('base64');
      expect(message).toHaveLength(1_048_576);
      await park(1, message);
      await park(2, invocation);
      await park(3, 'x'.repeat(6_000_000));
      await park(4, 'small');
      const bodies = async (limit: number) => (await store.parked(limit)).map(({ body }) => body);
      const same = async (limit: number, expected: string[]) => {
        const found = await bodies(limit);
        expect(found.map((b) => b.length)).toEqual(expected.map((b) => b.length));
        expect(found.every((b, i) => b === expected[i])).toBe(true);
      };
      await same(10, [message, invocation, 'x'.repeat(6_000_000), 'small']);
      await same(1, [message]);
      await store.unpark(idAt(NOW + 2));
      await same(2, [message, 'x'.repeat(6_000_000)]);
    }, 30_000);

    test('are no incidents', async () => {
      await park(1, 'x');
      expect(await store.open(10)).toEqual([]);
      expect(await store.due(NOW + days(1), 10)).toEqual([]);
    });
  });
};
