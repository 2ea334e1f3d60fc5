/** The spread and the waves, held against brute force. */
import fc from 'fast-check';
import { type Bound, stopsOf, sum, survivorsOf, targetOf } from '../../shared/core/zoneTarget.ts';
import { wavesOf } from '../../shared/core/zoneWaves.ts';
import { squaresOf } from './zoneBrute.ts';

const bound = fc
  .record({ count: fc.nat(400), stay: fc.nat(60), room: fc.oneof(fc.nat(300), fc.constant(Number.POSITIVE_INFINITY)) })
  .map(({ count, stay, room }) => ({ count, least: Math.min(stay, count), most: count + room }));
const bounds = (least = 1) =>
  fc
    .array(bound, { minLength: least, maxLength: 6 })
    .map((list) => list.map((b, i): Bound => ({ ...b, zone: `az${i}`, load: (i * 7) % 3 })));
const countsOf = (list: readonly Bound[]) => list.map((b) => b.count);

describe('of any size', () => {
  test('no single move makes the target better: neither evener, nor as even with fewer moves', () => {
    fc.assert(
      fc.property(bounds(2), fc.nat(1500), (list, desired) => {
        const target = targetOf(list, desired);
        const cost = (t: readonly number[]) => squaresOf(t) * 10_000 + stopsOf(countsOf(list), t);
        const gives = list.flatMap((b, i) => ((target[i] ?? 0) > b.least ? [i] : []));
        const takes = list.flatMap((b, i) => ((target[i] ?? 0) < b.most ? [i] : []));
        const swap = (from: number, to: number) => target.map((t, i) => t + (i === to ? 1 : 0) - (i === from ? 1 : 0));
        const others = gives.flatMap((from) => takes.filter((to) => to !== from).map((to) => cost(swap(from, to))));
        expect(Math.min(cost(target), ...others)).toBe(cost(target));
      }),
    );
  });

  test('the target of the target is itself', () => {
    fc.assert(
      fc.property(bounds(), fc.nat(1500), (list, desired) => {
        const target = targetOf(list, desired);
        const there = list.map((b, i) => ({ ...b, count: target[i] ?? 0 }));
        expect(targetOf(there, sum(target))).toEqual(target);
      }),
    );
  });

  test('without limits, losing any zone leaves all but ⌈desired / zones⌉', () => {
    fc.assert(
      fc.property(bounds(), fc.nat(1500), (list, desired) => {
        const free = list.map((b) => ({ ...b, least: 0, most: Number.POSITIVE_INFINITY }));
        expect(survivorsOf(targetOf(free, desired))).toBe(desired - Math.ceil(desired / list.length));
      }),
    );
  });

  test('between zones that are alike, the one that is emptier for the whole stack gets the next', () => {
    const zone = (id: string, load: number): Bound => ({ zone: id, count: 0, least: 0, most: 9, load });
    expect(targetOf([zone('a', 5), zone('b', 2), zone('c', 2)], 4)).toEqual([1, 2, 1]);
  });
});

test('waves: no more than ⌈moves / size⌉, never fewer than wanted, never more than allowed', () => {
  fc.assert(
    fc.property(bounds(2), fc.integer({ min: 1, max: 50 }), fc.nat(60), (list, size, spare) => {
      const counts = countsOf(list);
      const desired = sum(counts);
      const target = targetOf(list, desired);
      const most = desired + Math.max(size, spare);
      const waves = wavesOf(counts, target, { desired, size, most });
      expect(waves.length).toBe(Math.ceil(stopsOf(counts, target) / size));
      let now = counts;
      for (const { start, stop } of waves) {
        now = now.map((n, i) => n + (start[i] ?? 0));
        expect(sum(now)).toBeLessThanOrEqual(most);
        expect(Math.max(sum(start), sum(stop))).toBeLessThanOrEqual(size);
        now = now.map((n, i) => n - (stop[i] ?? 0));
        expect(sum(now)).toBeGreaterThanOrEqual(desired);
      }
      expect(now).toEqual(target);
    }),
  );
});
