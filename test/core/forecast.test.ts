/** A forecast is right where there is a trend, and silent where there is none. */
import fc from 'fast-check';
import { FITS, type Fit, forecast, lineThrough, type Point } from '../../shared/core/forecast.ts';
import { days, hours, minutes } from '../../shared/core/time.ts';

const NOW = Date.UTC(2026, 10, 24, 12);
/** What both fits would be given of one and the same metric. */
const seriesOf = (value: (at: number) => number): Record<Fit['name'], Point[]> =>
  Object.fromEntries(
    FITS.map((f) => [
      f.name,
      Array.from({ length: f.window / f.period }, (_, i) => NOW - f.window + (i + 1) * f.period).map((at) => ({
        at,
        value: value(at),
      })),
    ]),
  ) as Record<Fit['name'], Point[]>;
const noise = (seed: number) => (at: number) => Math.sin(at / 1e5 + seed) * Math.cos((at / 7e4) * (1 + (seed % 3)));

describe('a trend', () => {
  test('towards the limit is found, to the time at which it is reached', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 20 }),
        (slope, hoursLeft) => {
          const limit = 80;
          const found = forecast(
            seriesOf((at) => limit - slope * hoursLeft + (slope * (at - NOW)) / hours(1)),
            limit,
            NOW,
          );
          expect(found).toBeDefined();
          expect(Math.abs((found?.at ?? 0) - NOW - hours(hoursLeft))).toBeLessThan(minutes(15));
        },
      ),
    );
  });
  test('survives noise, gaps and one burst', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 160 }), (seed, hole) => {
        const rising = seriesOf((at) => 70 + (0.5 * (at - NOW)) / hours(1) + 0.3 * noise(seed)(at));
        const week = rising['7 d'].filter((_, i) => i < hole || i > hole + 8);
        const burst = week.map((p, i) => (i % 25 === 0 ? { ...p, value: 99 } : p));
        const found = forecast({ '1 h': [], '7 d': burst }, 80, NOW);
        // With a hole at its end the series is stale: then silence is right.
        if (hole + 8 < 160) expect(Math.abs((found?.at ?? 0) - NOW - hours(20))).toBeLessThan(hours(3));
      }),
    );
  });
  test('of the last hour is seen where the week was flat', () => {
    const leak = seriesOf((at) => (at < NOW - hours(1) ? 40 : 40 + (35 * (at - NOW + hours(1))) / hours(1)));
    expect(forecast(leak, 90, NOW)).toMatchObject({ fit: '1 h' });
  });
  test('away from the limit is none', () => {
    expect(
      forecast(
        seriesOf((at) => 60 - (at - NOW) / hours(1) / 10),
        80,
        NOW,
      ),
    ).toBeUndefined();
    expect(
      forecast(
        seriesOf((at) => 30 + (at - NOW) / hours(1) / 10),
        0,
        NOW,
      ),
    ).toBeUndefined();
  });
  test('downwards to a lower limit, as credits go', () => {
    const found = forecast(
      seriesOf((at) => 30 - (5 * (at - NOW)) / hours(1)),
      0,
      NOW,
    );
    expect(Math.abs((found?.at ?? 0) - NOW - hours(6))).toBeLessThan(minutes(15));
  });
});

describe('silent', () => {
  test.each<[string, (at: number) => number]>([
    ['flat', () => 70],
    ['noise alone', (at) => 70 + 5 * noise(3)(at)],
    ['a saw-tooth: logs that are rotated each day', (at) => 50 + (20 * (at % days(1))) / days(1)],
    ['one jump, flat since', (at) => (at > NOW - days(2) ? 75 : 40)],
    ['a jump just now', (at) => (at > NOW - minutes(9) ? 75 : 40)],
    ['a daily wave', (at) => 60 + 15 * Math.sin((2 * Math.PI * at) / days(1))],
    ['not a number', () => Number.NaN],
  ])('%s', (_what, value) => {
    expect(forecast(seriesOf(value), 80, NOW)).toBeUndefined();
  });
  test('too little has been seen, or nothing lately', () => {
    const rising = seriesOf((at) => 79 + (at - NOW) / hours(1) / 10);
    const early = (ms: number) => ({ '1 h': [], '7 d': rising['7 d'].filter((p) => p.at < NOW - ms) });
    expect(forecast({ '1 h': [], '7 d': rising['7 d'].slice(-40) }, 80, NOW)).toBeUndefined();
    expect(forecast(early(hours(5)), 80, NOW)).toBeUndefined();
    expect(forecast({ '1 h': [], '7 d': [] }, 80, NOW)).toBeUndefined();
  });
});

test('the line does not depend on the order of equal halves, and moves with its points', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 3, maxLength: 60 }),
      fc.integer({ min: -50, max: 50 }),
      (values, by) => {
        const points = values.map((value, i) => ({ at: NOW + minutes(i), value }));
        const line = lineThrough(points);
        const moved = lineThrough(points.map((p) => ({ ...p, value: p.value + by })));
        expect(moved?.slope).toBeCloseTo(line?.slope ?? Number.NaN, 6);
        expect(moved?.last).toBeCloseTo((line?.last ?? Number.NaN) + by, 6);
      },
    ),
  );
});
