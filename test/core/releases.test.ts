/** The record of releases: what it keeps, whatever is deployed in whatever order. */
import fc from 'fast-check';
import { isNo } from '../../shared/core/answers.ts';
import {
  crossesMigration,
  formerOf,
  isNewsOf,
  isProven,
  MOST_RELEASES,
  noReleases,
  type Observation,
  observed,
  pinned,
  promote,
  type Releases,
  wantBack,
} from '../../shared/core/releases.ts';

const SERVICE = 'arn:aws:ecs:eu-central-1:111122223333:service/shop/web';
const definition = (n: number): string => `arn:aws:ecs:eu-central-1:111122223333:task-definition/web:${n}`;

const look = (n: number, is: 'unproven' | 'good' | 'bad', more: Partial<Observation> = {}): Observation => ({
  now: n * 1_000,
  deployment: { id: `ecs-svc/${n}`, definition: definition(n), createdAt: n * 100 },
  images: [{ name: 'web', image: `web:${n}`, digest: `sha256:${n}` }],
  judgement: { is, health: `${is} at ${n}` },
  migration: false,
  byEcs: false,
  rolledBack: [],
  ...more,
});
const afterLooks = (...looks: Observation[]): Releases => looks.reduce(observed, noReleases(SERVICE));
const states = ({ list }: Releases) => list.map((r) => `${r.deployment.slice(8)} ${r.state}`);

/** Deployments that come one after the other, each looked at some times; ECS may go back to an old one. */
const histories = fc.array(
  fc.record({
    n: fc.integer({ min: 1, max: 30 }),
    is: fc.constantFrom('unproven' as const, 'good' as const, 'bad' as const),
    migration: fc.boolean(),
    byEcs: fc.boolean(),
    back: fc.option(fc.integer({ min: 1, max: 30 })),
  }),
  { maxLength: 80 },
);
const told = (history: readonly (typeof histories extends fc.Arbitrary<infer H> ? H : never)[number][]) =>
  history.map(({ n, is, migration, byEcs, back }, at) =>
    look(n, is, {
      now: at,
      migration,
      byEcs,
      rolledBack: back === null ? [] : [{ from: `ecs-svc/${back}`, to: `ecs-svc/${n}`, by: 'steward' }],
    }),
  );

describe('whatever is deployed', () => {
  test('at most one is the current release, and it is what is deployed', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const { list } = afterLooks(...told(history));
        const current = list.filter((r) => r.state === 'current');
        expect(current.length).toBeLessThanOrEqual(1);
        if (list[0]?.state === 'current') expect(current).toEqual([list[0]]);
      }),
    );
  });

  test('each is there once, they are bounded, and what passed is not pushed out by what did not', () => {
    fc.assert(
      fc.property(histories, fc.integer({ min: 1, max: 60 }), (history, more) => {
        const before = afterLooks(...told(history));
        const failing = Array.from({ length: more }, (_, i) => look(100 + i, 'bad', { now: 1_000 + i }));
        const record = failing.reduce(observed, before);
        expect(new Set(record.list.map((r) => r.deployment)).size).toBe(record.list.length);
        expect(record.list.length).toBeLessThanOrEqual(MOST_RELEASES);
        expect(formerOf(record, `ecs-svc/${99 + more}`)?.deployment).toBe(before.list.find(isProven)?.deployment);
      }),
    );
  });

  test('only what was found good, or a person has promoted, has ever passed', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const good = new Set(history.filter((h) => h.is === 'good').map((h) => `ecs-svc/${h.n}`));
        for (const r of afterLooks(...told(history)).list) if (isProven(r)) expect(good.has(r.deployment)).toBe(true);
      }),
    );
  });

  test('the same look again is no news', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const looks = told(history);
        const last = looks.at(-1);
        if (!last) return;
        const record = afterLooks(...looks);
        expect(isNewsOf(record, observed(record, last))).toBe(false);
      }),
    );
  });
});

describe('one after the other', () => {
  test('what is proven follows what was proven', () => {
    expect(states(afterLooks(look(1, 'good'), look(2, 'unproven')))).toEqual(['2 unproven', '1 current']);
    expect(states(afterLooks(look(1, 'good'), look(2, 'unproven'), look(2, 'good')))).toEqual([
      '2 current',
      '1 previous',
    ]);
  });
  test('what did not pass and is left is rolled back, or superseded if nobody went back', () => {
    const bad = [look(1, 'good'), look(2, 'bad')];
    const rolledBack = [{ from: 'ecs-svc/2', to: 'ecs-svc/1', by: 'steward' }];
    const back = afterLooks(...bad, look(3, 'good', { rolledBack }));
    expect(states(back)).toEqual(['3 current', '2 rolled-back', '1 previous']);
    expect(back.list[0]?.copyOf).toBe('ecs-svc/1');
    expect(states(afterLooks(look(1, 'good'), look(2, 'unproven'), look(3, 'good')))).toEqual([
      '3 current',
      '2 superseded',
      '1 previous',
    ]);
    expect(states(afterLooks(...bad, look(1, 'good', { byEcs: true })))).toEqual(['1 current', '2 rolled-back']);
  });
  test('a release that fails and recovers passes after all', () => {
    expect(states(afterLooks(look(1, 'bad'), look(1, 'good')))).toEqual(['1 current']);
  });
  test('what once passed is not failed by a later look', () => {
    expect(states(afterLooks(look(1, 'good'), look(1, 'bad')))).toEqual(['1 current']);
  });
  test('the same definition with the same digests is nothing else to go back to', () => {
    const same = look(2, 'bad', { deployment: { id: 'ecs-svc/2', definition: definition(1), createdAt: 1 } });
    expect(
      formerOf(afterLooks(look(1, 'good'), { ...same, images: look(1, 'good').images }), 'ecs-svc/2'),
    ).toBeUndefined();
    expect(formerOf(afterLooks(look(1, 'good'), same), 'ecs-svc/2')?.deployment).toBe('ecs-svc/1');
  });
  test('a migration lies between, or is what is left; one that came before matters no more', () => {
    const record = afterLooks(look(1, 'good', { migration: true }), look(2, 'good'), look(3, 'bad'));
    expect(crossesMigration(record, 'ecs-svc/3', 'ecs-svc/2')).toBe(false);
    expect(crossesMigration(record, 'ecs-svc/3', 'ecs-svc/1')).toBe(false);
    const between = afterLooks(look(1, 'good'), look(2, 'unproven', { migration: true }), look(3, 'bad'));
    expect(crossesMigration(between, 'ecs-svc/3', 'ecs-svc/1')).toBe(true);
  });
});

test('an image by its digest', () => {
  expect(pinned('web:1', 'sha256:a')).toBe('web@sha256:a');
  expect(pinned('registry:5000/shop/web:1', 'sha256:a')).toBe('registry:5000/shop/web@sha256:a');
  expect(pinned('registry:5000/web', 'sha256:a')).toBe('registry:5000/web@sha256:a');
  expect(pinned('web@sha256:b', 'sha256:a')).toBe('web@sha256:a');
});

describe('what a person may say', () => {
  const word = { by: 'arn:aws:iam::111122223333:user/anna', now: 9, why: 'x' };
  const record = afterLooks(look(1, 'good'), look(2, 'bad'));
  test('promote: it is the current one, and the wish to go back is over', () => {
    const wished = wantBack(record, undefined, word);
    if (isNo(wished)) throw new Error(wished.no);
    const promoted = promote(wished, word);
    if (isNo(promoted)) throw new Error(promoted.no);
    expect(states(promoted)).toEqual(['2 current', '1 previous']);
    expect(promoted.wanted).toBeUndefined();
    expect(isNo(promote(promoted, word))).toBe(true);
    expect(isNo(promote(noReleases(SERVICE), word))).toBe(true);
  });
  test('roll back: to the last that passed, or one that is named; a wish is over once something else is deployed', () => {
    const wished = wantBack(record, undefined, word);
    if (isNo(wished)) throw new Error(wished.no);
    expect(wished.wanted).toMatchObject({ from: 'ecs-svc/2', to: 'ecs-svc/1', by: word.by });
    expect(isNo(wantBack(wished, undefined, word))).toBe(true);
    expect(isNo(wantBack(record, 'web:2', word))).toBe(true);
    expect(isNo(wantBack(record, 'web:7', word))).toBe(true);
    expect(isNo(wantBack(afterLooks(look(1, 'bad')), undefined, word))).toBe(true);
    expect(observed(wished, look(2, 'bad')).wanted).toBeDefined();
    expect(observed(wished, look(3, 'unproven')).wanted).toBeUndefined();
  });
});
