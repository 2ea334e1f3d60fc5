/** The state table: in memory, and on DynamoDB as two emulators understand it. */
import fc from 'fast-check';
import { Conflict } from '../../shared/core/errors.ts';
import type { Incident } from '../../shared/core/incident.ts';
import { type Change, type Ref, refOf, type Store, type StoreRecord } from '../../shared/core/store.ts';
import { days, minutes } from '../../shared/core/time.ts';
import { memoryStore } from '../../world/memoryStore.ts';
import { startEmulator } from './emulators.ts';
import { aChart, aGroup, aLedger, anIncident, arnOf, idAt, NOW, someSwitches } from './records.ts';
import { storeContract } from './storeContract.ts';
import { freshStore } from './table.ts';

const [ministack, moto] = await Promise.all([startEmulator('ministack'), startEmulator('moto')]);
afterAll(async () => {
  for (const emulator of [ministack, moto]) if ('stop' in emulator) await emulator.stop();
});
const urlOf = (emulator: typeof moto): string => ('url' in emulator ? emulator.url : '');
const on = (emulator: typeof moto) => ('url' in emulator ? describe : describe.skip);

describe('in memory', () => storeContract(async () => memoryStore()));
on(ministack)('on DynamoDB (MiniStack)', () =>
  storeContract(async (now) => (await freshStore(urlOf(ministack), now)).store),
);
on(moto)('on DynamoDB (moto)', () =>
  storeContract(
    async (now) => (await freshStore(urlOf(moto), now)).store,
    'moto runs transactions side by side, and takes one back by putting back the whole table',
  ),
);

/** Eight incidents of three targets; each has times of its own, since DynamoDB does not order what is equal. */
const incident = (n: number, turn: number, shut: boolean): Incident => {
  const at = NOW - days(n % 3) - minutes(n) - turn * 10;
  return anIncident({
    id: idAt(NOW - days(5) + n, n),
    target: arnOf(n % 3),
    dueAt: at,
    openedAt: NOW - minutes(n),
    looks: turn,
    ...(n % 2 ? { group: 'asg/web', zone: `az${n % 3}` } : {}),
    ...(shut ? { state: 'closed' as const, closedAt: at } : {}),
  });
};
const record = (n: number, turn: number, shut: boolean): StoreRecord =>
  n < 8
    ? incident(n, turn, shut)
    : ([
        aChart({ target: arnOf(turn % 2) }),
        aGroup({ breaker: { since: turn, lastSeenAt: turn, because: '' } }),
        someSwitches(),
        aLedger({ usdPerMonth: turn }),
      ][n - 8] ?? aGroup());

const number = fc.nat({ max: 11 });
const version = fc.oneof({ weight: 6, arbitrary: fc.constant('right' as const) }, fc.nat({ max: 3 }));
const change = fc.record({ n: number, version, shut: fc.boolean(), check: fc.nat({ max: 3 }).map((x) => x === 0) });
const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('write' as const), changes: fc.array(change, { maxLength: 4 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('look' as const), limit: fc.nat({ max: 9 }), n: number }) },
  {
    arbitrary: fc.record({ do: fc.constant('park' as const), n: number, body: fc.string({ unit: 'binary' }) }),
    weight: 1,
  },
  { arbitrary: fc.record({ do: fc.constant('unpark' as const), n: number }), weight: 1 },
);
type Operation = typeof operation extends fc.Arbitrary<infer O> ? O : never;

const unique = <T>(list: readonly T[], nameOf: (t: T) => string): T[] => [
  ...new Map(list.map((t) => [nameOf(t), t])).values(),
];

/** The operation's changes with the versions that the store has now, so that most of them fit. */
const changesOf = async (store: Store, op: Operation & { do: 'write' }, turn: number): Promise<Change[]> => {
  const wanted = unique(
    op.changes.map((c) => ({ ...c, put: record(c.n, turn, c.shut) })),
    (c) => JSON.stringify(refOf(c.put)),
  );
  const known = await store.read(...wanted.map((c) => refOf(c.put)));
  return wanted.map((c, i): Change => {
    const is = c.version === 'right' ? (known[i]?.version ?? 0) : c.version;
    return c.check ? { check: refOf(c.put), version: is } : { put: { ...c.put, version: is } as StoreRecord };
  });
};

const lookOf = async (store: Store, { limit, n }: { limit: number; n: number }) => {
  const { id, target } = incident(n % 8, 0, false);
  const refs: Ref[] = [refOf(record(n, 0, false)), { kind: 'switches' }];
  return {
    read: await store.read(...refs),
    due: await store.due(NOW - days(1), 1_000),
    open: await store.open(limit),
    closed: await store.closed('2026-11-22', limit),
    ofTarget: await store.ofTarget(target, limit),
    find: await store.find(id),
    ill: await store.ill('az1', NOW - minutes(6), limit),
    parked: await store.parked(limit),
  };
};

const resultOf = async (store: Store, op: Operation, turn: number): Promise<unknown> => {
  switch (op.do) {
    case 'write': {
      const changes = await changesOf(store, op, turn);
      return store.write(...changes).then(
        () => ({ changes, moved: [] }),
        (e: unknown) => {
          if (e instanceof Conflict) return { changes, moved: e.moved };
          throw e;
        },
      );
    }
    case 'look':
      return lookOf(store, op);
    case 'park':
      return store.park({ id: idAt(NOW + op.n), at: NOW + op.n, because: 'so', body: op.body });
    case 'unpark':
      return store.unpark(idAt(NOW + op.n));
  }
};

on(ministack)('both stores', () => {
  test('answer any sequence of operations alike', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 25 }), async (operations) => {
        const { store } = await freshStore(urlOf(ministack), () => NOW);
        const memory = memoryStore();
        for (const [turn, op] of [...operations, { do: 'look', limit: 20, n: 1 } as const].entries()) {
          const [table, inMemory] = [await resultOf(store, op, turn), await resultOf(memory, op, turn)];
          expect([turn, op, table]).toEqual([turn, op, inMemory]);
        }
      }),
      { numRuns: 40 },
    );
  }, 40_000);
});
