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
      Array.from({ length: f.read / f.period }, (_, i) => NOW - f.read + (i + 1) * f.period).map((at) => ({
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
            { limit },
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
        const found = forecast({ '1 h': [], '7 d': burst }, { limit: 80 }, NOW);
        // With a hole at its end the series is stale: then silence is right.
        if (hole + 8 < 160) expect(Math.abs((found?.at ?? 0) - NOW - hours(20))).toBeLessThan(hours(3));
      }),
    );
  });
  test('of the last hour is seen where the week was flat', () => {
    const leak = seriesOf((at) => (at < NOW - hours(1) ? 40 : 40 + (35 * (at - NOW + hours(1))) / hours(1)));
    expect(forecast(leak, { limit: 90 }, NOW)).toMatchObject({ fit: '1 h' });
  });
  test('away from the limit is none', () => {
    expect(
      forecast(
        seriesOf((at) => 60 - (at - NOW) / hours(1) / 10),
        { limit: 80 },
        NOW,
      ),
    ).toBeUndefined();
    expect(
      forecast(
        seriesOf((at) => 30 + (at - NOW) / hours(1) / 10),
        { limit: 0 },
        NOW,
      ),
    ).toBeUndefined();
  });
  test('downwards to a lower limit, as credits go', () => {
    const found = forecast(
      seriesOf((at) => 30 - (5 * (at - NOW)) / hours(1)),
      { limit: 0 },
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
    expect(forecast(seriesOf(value), { limit: 80 }, NOW)).toBeUndefined();
  });
  test('too little has been seen, or nothing lately', () => {
    const rising = seriesOf((at) => 79 + (at - NOW) / hours(1) / 10);
    const early = (ms: number) => ({ '1 h': [], '7 d': rising['7 d'].filter((p) => p.at < NOW - ms) });
    expect(forecast({ '1 h': [], '7 d': rising['7 d'].slice(-40) }, { limit: 80 }, NOW)).toBeUndefined();
    expect(forecast(early(hours(5)), { limit: 80 }, NOW)).toBeUndefined();
    expect(forecast({ '1 h': [], '7 d': [] }, { limit: 80 }, NOW)).toBeUndefined();
  });
});

/** As of a metric that Steward reads: five-minute and hourly averages of values each minute. */
const averagesOf = (value: (at: number) => number): Record<Fit['name'], Point[]> =>
  Object.fromEntries(
    FITS.map((f) => [
      f.name,
      Array.from({ length: f.read / f.period }, (_, i) => NOW - f.read + i * f.period).map((at) => {
        const n = f.period / minutes(1);
        const sum = Array.from({ length: n }, (_m, m) => value(at + minutes(m))).reduce((a, b) => a + b, 0);
        return { at, value: sum / n };
      }),
    ]),
  ) as Record<Fit['name'], Point[]>;

describe('memory and credits', () => {
  const phase = fc.integer({ min: 0, max: 24 * 60 });
  test('a heap that is collected again and again is no trend, at whatever moment it is looked at', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10, max: 40 * 60 }),
        phase,
        fc.integer({ min: 30, max: 60 }),
        fc.integer({ min: 70, max: 89 }),
        (period, shift, low, high) => {
          const heap = (at: number) => low + ((high - low) * (((at / minutes(1) + shift) % period) + period)) / period;
          const folded = (at: number) => (heap(at) > high ? heap(at) - (high - low) : heap(at));
          expect(forecast(averagesOf(folded), { limit: 90 }, NOW)).toBeUndefined();
        },
      ),
    );
  });
  test('nor is the batch job of each night, or the credits of each morning', () => {
    fc.assert(
      fc.property(phase, fc.integer({ min: 60, max: 300 }), (shift, long) => {
        const minute = (at: number) => (at / minutes(1) + shift) % (24 * 60);
        const job = (at: number) => (minute(at) < long ? 40 + (48 * minute(at)) / long : 40);
        expect(forecast(averagesOf(job), { limit: 90 }, NOW)).toBeUndefined();
        expect(
          forecast(
            averagesOf((at) => 100 - job(at)),
            { limit: 10 },
            NOW,
          ),
        ).toBeUndefined();
      }),
    );
  });
  test('a leak is found after any reset, through any gap, and not told of as sooner than half of its time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 90, max: 160 }),
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 0, max: 40 }),
        (hoursAgo, gapAt, gap) => {
          // 12 h before it is used up; it began anew some days ago.
          const perHour = 50 / (hoursAgo + 12);
          const leak = averagesOf((at) =>
            at < NOW - hours(hoursAgo) ? 40 + (at % 7) : 40 + (perHour * (at - NOW + hours(hoursAgo))) / hours(1),
          );
          const week = leak['7 d'].filter((_, i) => i < gapAt || i >= Math.min(gapAt + gap, 160));
          const found = forecast({ '1 h': leak['1 h'], '7 d': week }, { limit: 90 }, NOW);
          expect(found === undefined || found.at > NOW + hours(6)).toBe(true);
          if (gap === 0 && hoursAgo >= 150) expect(found).toBeDefined();
        },
      ),
    );
  });
  test('what is measured now and is not on the line ends it: a restart, a cleaning', () => {
    const rising = seriesOf((at) => 85 + (0.4 * (at - NOW)) / hours(1));
    expect(forecast(rising, { limit: 90, here: 85 }, NOW)).toBeDefined();
    expect(forecast(rising, { limit: 90, here: 60 }, NOW)).toBeUndefined();
    expect(forecast(rising, { limit: 90, here: 91 }, NOW)).toBeUndefined();
  });
  test('what was said is not taken back for a matter of minutes', () => {
    const slow = seriesOf((at) => 80 + (0.4 * (at - NOW)) / hours(1));
    expect(forecast(slow, { limit: 90 }, NOW)).toBeUndefined();
    expect(forecast(slow, { limit: 90, further: 1.5 }, NOW)).toBeDefined();
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
