import fc from 'fast-check';
import { inTurn } from '../../shared/core/pace.ts';

const EVERY = 300_000;
const surveys = (count: number) => Array.from({ length: count }, (_, k) => k * EVERY + 1_000);

test('each has its turn once, not before it is ready, and never more than so many at a time', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 20 * EVERY }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 7 }),
      (times, most) => {
        const ready = times.map((at, n) => ({ id: `i-${n}`, at }));
        const turns = surveys(100).map((now) => inTurn(ready, { now, every: EVERY, most }));
        expect(turns.flat().sort()).toEqual(ready.map((r) => r.id).sort());
        for (const [k, ids] of turns.entries()) {
          expect(ids.length).toBeLessThanOrEqual(most);
          for (const id of ids) expect(ready.find((r) => r.id === id)?.at).toBeLessThanOrEqual(k * EVERY);
        }
      },
    ),
  );
});

test('nobody waits while there is room', () => {
  const ready = ['a', 'b', 'c', 'd', 'e'].map((id) => ({ id, at: EVERY - 1 }));
  expect(
    surveys(5).map((now) => inTurn([...ready, { id: 'f', at: 4 * EVERY }], { now, every: EVERY, most: 2 })),
  ).toEqual([[], ['a', 'b'], ['c', 'd'], ['e'], ['f']]);
});
