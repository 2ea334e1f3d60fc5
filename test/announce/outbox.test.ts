/** Nothing lost, nothing doubled, nothing older over newer: whatever crashes, repeats, comes late or is refused in between. */
import fc from 'fast-check';
import { needsPerson } from '../../shared/core/channels.ts';
import type { Incident } from '../../shared/core/incident.ts';
import { incidentNotice } from '../../shared/core/notice.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import type { Message } from '../../world/inbox.ts';
import { asks, createStreet, idOf, START, type Street, type Trouble } from './street.ts';

const HOME = { stage: 'prod', region: 'eu-central-1' };
const of = (street: Street, channel: string, id: string): Message[] =>
  street.inboxes[channel]!.messages.filter((m) => m.id === `prod.${id}`);
/** 'Why: version 7.' → 7 */
const versionsOf = (m: Message): number[] =>
  m.said.map((s) => Number(/version (\d+)\./.exec(JSON.stringify(s.facts))?.[1] ?? 0));
const sorted = (list: readonly number[]): number[] => [...list].sort((a, b) => a - b);

/** What a pass may write next, by what was before. */
const changes = {
  ask: (t: Street) => asks(t.now()),
  approve: (t: Street) => ({
    state: 'asking' as const,
    approval: { by: 'ada', at: t.now(), step: '{}', until: t.now() + hours(1) },
  }),
  work: () => ({ state: 'waiting' as const }),
  call: (t: Street) => ({ state: 'escalated' as const, escalatedAt: t.now(), remedy: 'look at the disk' }),
  close: (t: Street) => ({ state: 'closed' as const, end: 'healthy' as const, closedAt: t.now(), healthyAt: t.now() }),
};
const names = Object.keys(changes) as (keyof typeof changes)[];

const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('change' as const), n: fc.nat({ max: 4 }), to: fc.constantFrom(...names) }),
  },
  // Which of the waiting stream records come, in which order; some come twice, some never.
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('stream' as const), pick: fc.array(fc.nat({ max: 9 }), { maxLength: 5 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('minute' as const), also: fc.array(fc.nat({ max: 9 }), { maxLength: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), minutes: fc.integer({ min: 1, max: 30 }) }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer O> ? O : never;
const troubles: readonly Trouble[] = ['before', 'after', 'refused', 'crash-before', 'crash-after'];
const noise = fc.record({
  /** One call in so many goes wrong. */
  every: fc.integer({ min: 3, max: 40 }),
  seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
});

/** xorshift: the same seed, the same faults. */
const dice = (seed: number) => {
  let x = seed;
  return (n: number): number => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % n;
  };
};

/** @returns the street after it has become calm, and how many mails may have been sent without anybody knowing */
const lived = async (operations: readonly Operation[], { every, seed }: { every: number; seed: number }) => {
  const roll = dice(seed);
  let unsure = 0;
  let calm = false;
  const street = createStreet({
    turns: () => roll(4),
    fate: (what, channel) => {
      if (calm || roll(every) !== 0) return 'none';
      const trouble = troubles[roll(troubles.length)] ?? 'none';
      const fatal = what === 'table' && trouble !== 'crash-after' ? 'crash-before' : trouble;
      // A crash of the invocation, wherever it is, may come between a mail and its record.
      if (fatal.startsWith('crash') || (fatal === 'after' && channel === 'mail')) unsure++;
      return fatal;
    },
  });
  const records: { target: string; id: string }[] = [];
  for (const op of operations)
    switch (op.do) {
      case 'change': {
        const id = idOf(op.n);
        if (street.incidents().find((i) => i.id === id)?.state === 'closed') break;
        records.push(await street.write(id, changes[op.to](street)));
        break;
      }
      case 'stream':
        await street.stream(op.pick.flatMap((k) => records.at(-1 - k) ?? []));
        break;
      case 'minute':
        street.pass(minutes(1));
        // The stream's invocation and the schedule's run side by side.
        await Promise.all([street.minute(), street.stream(op.also.flatMap((k) => records.at(-1 - k) ?? []))]);
        break;
      case 'pass':
        street.pass(minutes(op.minutes));
    }
  calm = true;
  // What the stream lost is found each quarter of an hour; what went on is looked at each hour; a channel is tried again within a quarter.
  for (let n = 0; n < 100; n++) {
    street.pass(minutes(1));
    await street.minute();
  }
  return { street, unsure };
};

const last = (m: Message) => m.said.at(-1);

const checkOnce = (street: Street, i: Incident): void => {
  for (const channel of ['ops', 'hook', 'pager']) {
    const { length } = of(street, channel, i.id);
    expect([channel, i.id, length]).toEqual([channel, i.id, needsPerson(i) ? 1 : Math.min(1, length)]);
  }
};
const checkEdits = (street: Street, i: Incident): void => {
  for (const m of [...of(street, 'ops', i.id), ...of(street, 'hook', i.id)]) {
    expect(versionsOf(m)).toEqual(sorted(versionsOf(m)));
    expect(last(m)).toEqual(incidentNotice(i, HOME));
    expect(m.thread).toEqual([...new Set(m.thread)]);
  }
};
/** A page is on exactly while it must be, and ends with the incident. */
const checkPage = (street: Street, i: Incident): void => {
  if (needsPerson(i) || i.state === 'closed')
    for (const m of of(street, 'pager', i.id)) expect(last(m)?.needs).toBe(needsPerson(i));
};
/** SNS cannot tell two sends apart: no more doubles than sends of which nobody knows. */
const checkMail = (street: Street, i: Incident, unsure: number): void => {
  const gists = of(street, 'mail', i.id).map((m) => last(m)?.gist);
  expect(gists.filter((g, k) => k > 0 && gists[k - 1] === g).length).toBeLessThanOrEqual(unsure);
  if (needsPerson(i)) expect(gists.at(-1)).toBe(incidentNotice(i, HOME).gist);
};

/** Found by chance: it crashed before the page, then nobody was needed, then somebody was, and the stream lost that. */
const neededTwice: [Operation[], { every: number; seed: number }] = [
  [
    { do: 'change', n: 1, to: 'ask' },
    { do: 'stream', pick: [0] },
    { do: 'change', n: 1, to: 'work' },
    { do: 'minute', also: [] },
    { do: 'change', n: 0, to: 'ask' },
    { do: 'minute', also: [] },
    { do: 'stream', pick: [] },
    { do: 'change', n: 1, to: 'ask' },
  ],
  { every: 33, seed: 1 },
];

test('whatever happens: who must act has been told, exactly once, and knows how it stands', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 40 }), noise, async (operations, faults) => {
      const { street, unsure } = await lived(operations, faults);
      for (const i of street.incidents()) {
        checkOnce(street, i);
        checkEdits(street, i);
        checkPage(street, i);
        checkMail(street, i, unsure);
      }
    }),
    { numRuns: Number(process.env['STEWARD_RUNS'] ?? 150), examples: [neededTwice] },
  );
}, 600_000);

test('without faults each change is told once, and what did not change is not told again', async () => {
  const street = createStreet();
  const record = await street.write(idOf(1), asks(START));
  for (let n = 0; n < 3; n++) await street.stream([record, record]);
  const [message] = of(street, 'ops', idOf(1));
  expect(message?.said).toHaveLength(1);
  await street.stream([await street.write(idOf(1), changes.approve(street))]);
  await street.stream([await street.write(idOf(1), changes.close(street))]);
  for (let n = 0; n < 120; n++) {
    street.pass(minutes(1));
    await street.minute();
  }
  expect(message?.said.map((s) => s.stage)).toEqual(['asks', 'approved', 'healed']);
  expect(of(street, 'pager', idOf(1)).map((m) => m.said.map((s) => s.stage))).toEqual([['asks', 'healed']]);
  expect(of(street, 'mail', idOf(1)).map((m) => m.said[0]?.stage)).toEqual(['asks', 'healed']);
});

test('a channel that is down for a day: all of it comes after, in order, once, as it is by then', async () => {
  let down = true;
  const street = createStreet({
    fate: (what, channel) => (what === 'send' && channel === 'ops' && down ? 'before' : 'none'),
  });
  for (let n = 0; n < 8; n++) {
    await street.stream([await street.write(idOf(n), asks(street.now()))]);
    for (let m = 0; m < 180; m++) {
      street.pass(minutes(1));
      await street.minute();
    }
    if (n % 2 === 0) await street.stream([await street.write(idOf(n), changes.close(street))]);
  }
  expect(street.inboxes['ops']!.messages).toEqual([]);
  expect(street.told.parameters[0]).toContain('/steward/prod/channel/ops=');
  expect(street.told.signals[0]).toContain('channel.failing');
  down = false;
  for (let m = 0; m < 20; m++) {
    street.pass(minutes(1));
    await street.minute();
  }
  const told = street.inboxes['ops']!.messages.filter((m) => m.said[0]?.stage !== 'digest');
  expect(told.map((m) => m.id)).toEqual(Array.from({ length: 8 }, (_, n) => `prod.${idOf(n)}`));
  expect(told.map((m) => m.said.map((s) => s.stage))).toEqual(
    Array.from({ length: 8 }, (_, n) => [n % 2 === 0 ? 'healed' : 'asks']),
  );
  expect(street.told.parameters.at(-1)).toContain('"fine"');
}, 30_000);

test('a storm of a thousand: ten messages and one that counts, edited once a minute, and a word when it is over', async () => {
  const street = createStreet();
  const records = await Promise.all(
    Array.from({ length: 1_000 }, (_, n) => street.write(idOf(n), { ...asks(START), group: `asg/${n % 3}` })),
  );
  for (let n = 0; n < 1_000; n += 100) await street.stream(records.slice(n, n + 100));
  for (let n = 0; n < 3; n++) {
    street.pass(minutes(1));
    await street.minute();
  }
  for (const channel of ['ops', 'hook', 'pager']) {
    const { messages } = street.inboxes[channel]!;
    expect([channel, messages.length]).toEqual([channel, 11]);
    expect(messages.at(-1)?.said.at(-1)?.impact).toContain('full-disk: 990 more at once');
  }
  expect(street.inboxes['mail']!.messages).toHaveLength(11);
  for (let n = 10; n < 1_000; n++) await street.write(idOf(n), changes.close(street));
  for (let n = 0; n < 90; n++) {
    street.pass(minutes(1));
    await street.minute();
  }
  const [storm] = street.inboxes['ops']!.messages.filter((m) => m.said[0]?.stage === 'storm');
  expect(storm?.said.at(-1)).toMatchObject({ open: false, impact: expect.stringContaining('is over') });
  expect(storm?.said.length).toBeLessThan(6);
  // After it, what begins has a message of its own again.
  await street.stream([await street.write(idOf(2_000), asks(street.now()))]);
  expect(of(street, 'ops', idOf(2_000))).toHaveLength(1);
}, 30_000);

test('a day on which nothing healed has no digest, another has one', async () => {
  const street = createStreet();
  const day = async (): Promise<void> => {
    for (let m = 0; m < 24 * 60; m += 10) {
      street.pass(minutes(10));
      await street.minute();
    }
  };
  await day();
  expect(street.inboxes['ops']!.messages).toEqual([]);
  const attempt = {
    n: 1,
    rung: 'clean /',
    step: {},
    plan: 'clean up /',
    because: 'it is full',
    token: 't',
    reservedAt: START,
    before: null,
  };
  await street.write(idOf(1), { ...changes.close(street), attempts: [attempt] });
  await day();
  await day();
  expect(street.inboxes['ops']!.messages.map((m) => m.said.map((s) => s.stage))).toEqual([['digest']]);
  expect(street.inboxes['pager']!.messages).toEqual([]);
}, 30_000);
