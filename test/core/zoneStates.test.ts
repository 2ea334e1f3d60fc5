/** The state of a zone: what makes it bad, how it comes back, and what never changes it. */
import fc from 'fast-check';
import { hours, minutes } from '../../shared/core/time.ts';
import { closures, latencySign, launchSign } from '../../shared/core/zoneSigns.ts';
import {
  CLEAR,
  FULL_RAMP,
  type Signs,
  type ZoneLook,
  type ZoneMemory,
  zoneAfter,
  zoneOf,
} from '../../shared/core/zoneStates.ts';
import { NOW } from './zoneStack.ts';

const GOOD: Signs = { autoshift: 'good', health: 'good', launches: 'good', latency: 'good' };
/** A look each minute, each with what is given for it. */
const seen = (looks: readonly (Partial<Omit<ZoneLook, 'at'>> & { readonly min: number })[], from?: ZoneMemory) => {
  let memory = from;
  let at = from?.lookedAt ?? NOW;
  const states: string[] = [];
  for (const { min, ...look } of looks)
    for (let m = 0; m < min; m++) {
      at += minutes(1);
      memory = zoneAfter(memory, { at, signs: GOOD, practice: false, ...look });
      if (states.at(-1) !== memory.state) states.push(memory.state);
    }
  return { memory: memory as ZoneMemory, states };
};
const bad = (...sources: (keyof Signs)[]): Signs => ({
  ...GOOD,
  ...Object.fromEntries(sources.map((s) => [s, 'bad'])),
});
const CLEAR_MIN = CLEAR / minutes(1) + 1;

describe('a zone', () => {
  test.each<[string, Parameters<typeof seen>[0], string[]]>([
    ['with no sign is OK', [{ min: 60 }], ['OK']],
    ['with one sign is suspect, however long', [{ min: 1 }, { min: 300, signs: bad('latency') }], ['OK', 'SUSPECT']],
    [
      'comes back from suspect after five calm minutes',
      [{ min: 9, signs: bad('health') }, { min: 7 }],
      ['SUSPECT', 'OK'],
    ],
    ['with two signs that last is impaired', [{ min: 4, signs: bad('launches', 'latency') }], ['SUSPECT', 'IMPAIRED']],
    [
      'with two that do not last is not',
      [{ min: 2, signs: bad('launches', 'latency') }, { min: 7 }],
      ['SUSPECT', 'OK'],
    ],
    ['that AWS shifted away from is impaired at once', [{ min: 1, signs: bad('autoshift') }], ['IMPAIRED']],
    [
      'stays impaired while one sign is left',
      [
        { min: 4, signs: bad('autoshift', 'latency') },
        { min: 300, signs: bad('latency') },
      ],
      ['IMPAIRED'],
    ],
    [
      'recovers after half an hour without a sign, and is OK an hour later',
      [{ min: 1, signs: bad('autoshift') }, { min: CLEAR_MIN + 61 }],
      ['IMPAIRED', 'RECOVERING', 'OK'],
    ],
    [
      'that recovers becomes suspect by one sign, and must be clear again',
      [
        { min: 1, signs: bad('autoshift') },
        { min: CLEAR_MIN },
        { min: 1, signs: bad('latency') },
        { min: CLEAR_MIN - 2 },
      ],
      ['IMPAIRED', 'RECOVERING', 'SUSPECT'],
    ],
    [
      'is not clear while a source cannot be seen',
      [
        { min: 1, signs: bad('autoshift') },
        { min: 600, signs: { ...GOOD, latency: 'unknown' } },
      ],
      ['IMPAIRED'],
    ],
    [
      'of which nothing can be seen is suspect',
      [{ min: 1 }, { min: 5, signs: { launches: 'unknown' } }],
      ['OK', 'SUSPECT'],
    ],
    ['without any source is suspect', [{ min: 1, signs: {} }], ['SUSPECT']],
  ])('%s', (_, looks, states) => {
    expect(seen(looks).states).toEqual(states);
  });

  test('is filled by a ramp that doubles with each good wave, begins anew with a bad one, and ends', () => {
    const recovering = seen([{ min: 1, signs: bad('autoshift') }, { min: CLEAR_MIN }]).memory;
    const ramps = (waves: readonly ('good' | 'bad')[]) => {
      let memory = recovering;
      return waves.map((wave) => {
        memory = zoneAfter(memory, { at: memory.lookedAt + minutes(1), signs: GOOD, practice: false, wave });
        return zoneOf('euc1-az1', memory).ramp ?? memory.state;
      });
    };
    expect(zoneOf('euc1-az1', recovering)).toMatchObject({ state: 'RECOVERING', ramp: 1 });
    expect(ramps(['good', 'good', 'bad', 'good'])).toEqual([2, 4, 1, 2]);
    expect(ramps(['good', 'good', 'good', 'good'])).toEqual([2, 4, FULL_RAMP / 2, 'OK']);
  });

  test('that flaps is left alone longer each time', () => {
    const flap = [{ min: 1, signs: bad('autoshift') }, { min: CLEAR_MIN + 70 }];
    expect(seen([...flap, ...flap]).states).toEqual(['IMPAIRED', 'RECOVERING', 'OK', 'IMPAIRED', 'RECOVERING']);
    expect(seen([...flap, { min: 1, signs: bad('autoshift') }, { min: 2 * CLEAR_MIN - 4 }]).states.at(-1)).toBe(
      'IMPAIRED',
    );
  });
});

const sign = fc.constantFrom('good', 'bad', 'unknown' as const);
const signs = fc.oneof(
  fc.constant(GOOD),
  fc.record({ autoshift: sign, health: sign, launches: sign, latency: sign }, { requiredKeys: [] }),
) as fc.Arbitrary<Signs>;
const history = fc.array(
  fc.record({
    min: fc.integer({ min: 1, max: 90 }),
    signs,
    practice: fc.constantFrom(false, false, false, true),
    wave: fc.constantFrom('good' as const, 'bad' as const),
  }),
  { maxLength: 40 },
);

describe('whatever comes', () => {
  const fell = (before: ZoneMemory | undefined, { state }: ZoneMemory): boolean =>
    state === 'IMPAIRED' && before?.state !== 'IMPAIRED';
  const stepped = (
    memory: ZoneMemory | undefined,
    { min, wave, ...look }: Omit<ZoneLook, 'at'> & { readonly min: number },
  ): ZoneMemory => {
    const at = (memory?.lookedAt ?? NOW) + minutes(min);
    const next = zoneAfter(memory, { ...look, at, ...(wave ? { wave } : {}) });
    if (look.practice) expect(next.state).toBe(memory?.state ?? 'OK');
    if (fell(memory, next)) expect(next.bad.autoshift !== undefined || Object.keys(next.bad).length >= 2).toBe(true);
    if (Object.keys(next.bad).length > 0) expect(['SUSPECT', 'IMPAIRED']).toContain(next.state);
    // The same look again changes nothing but what a wave did; an older one nothing at all.
    expect(zoneAfter(next, { ...look, at })).toEqual(next);
    expect(zoneAfter(next, { ...look, at: at - 1 })).toEqual(next);
    return next;
  };
  test('it is impaired only by AWS’s word or two bad signs, and nothing is concluded in a practice run', () => {
    fc.assert(
      fc.property(history, (looks) => {
        let memory: ZoneMemory | undefined;
        for (const look of looks) memory = stepped(memory, look);
      }),
    );
  });
  test('it falls no more than nine times a day, and is OK in the end when all is well', () => {
    fc.assert(
      fc.property(history, (looks) => {
        const { memory } = seen(looks);
        expect(memory?.falls.length ?? 0).toBeLessThanOrEqual(9);
        expect(seen([{ min: 60 * 6 }], memory).memory.state).toBe('OK');
      }),
      { numRuns: 40 },
    );
  });
});

describe('signs of our own', () => {
  const start = (zone: string, min: number, failed?: string) => ({
    at: NOW - minutes(min),
    zone,
    ...(failed ? { failed } : {}),
  });
  test('launches: two failures there, none since that went well, and not the same everywhere', () => {
    const failures = [start('a', 9, 'no capacity'), start('a', 3, 'no capacity')];
    expect(launchSign('a', failures, NOW)).toBe('bad');
    expect(launchSign('a', failures.slice(1), NOW)).toBe('good');
    expect(launchSign('a', [...failures, start('a', 1)], NOW)).toBe('good');
    expect(launchSign('a', [...failures, start('b', 2, 'no such image')], NOW)).toBe('good');
    expect(launchSign('a', [...failures, start('b', 2)], NOW)).toBe('bad');
    expect(launchSign('a', failures, NOW + minutes(15))).toBe('good');
  });
  test('a failed start closes the zone for 15 minutes, doubled each time, until one succeeds', () => {
    const failed = (min: number) => start('a', min, 'RESOURCE:CPU');
    const closedFor = (starts: ReturnType<typeof start>[]) =>
      [0, 14, 16, 29, 31, 59, 61].filter((m) => closures(starts, NOW + minutes(m))['a'] !== undefined).at(-1);
    expect(closedFor([failed(0)])).toBe(14);
    expect(closedFor([failed(20), failed(0)])).toBe(29);
    expect(closedFor([failed(60), failed(20), failed(0)])).toBe(59);
    expect(closedFor([failed(60), start('a', 40), failed(0)])).toBe(14);
    expect(closures([failed(0)], NOW + hours(-1))).toEqual({});
  });

  const series = (of: (min: number) => number) =>
    Array.from({ length: 120 }, (_, i) => ({ at: NOW - minutes(119 - i), value: of(119 - i) }));
  const wobble = (min: number) => 0.1 * (1 + 0.1 * Math.sin(min * 1.7));
  const latest = (factor: number) => (min: number) => wobble(min + 3) * (min < 3 ? factor : 1);
  const others = { b: series(wobble), c: series((m) => wobble(m + 9)) };
  test('latency: far slower than itself and than the others for three minutes', () => {
    expect(latencySign('a', { ...others, a: series(latest(3)) }, NOW)).toBe('bad');
    expect(latencySign('a', { ...others, a: series(latest(1)) }, NOW)).toBe('good');
    expect(latencySign('a', { ...others, a: series(latest(1.2)) }, NOW)).toBe('good');
    // All zones are slow: that is not the zone. The others got faster: nor is that.
    const all = { a: series(latest(3)), b: series(latest(3)), c: series(latest(3)) };
    expect(latencySign('a', all, NOW)).toBe('good');
    expect(latencySign('a', { a: series(wobble), b: series(latest(0.3)), c: series(latest(0.3)) }, NOW)).toBe('good');
    // One slow minute is none.
    expect(latencySign('a', { ...others, a: series((m) => wobble(m) * (m < 1 ? 5 : 1)) }, NOW)).toBe('good');
  });
  test('latency that is short, old, alone or no number is unknown', () => {
    const a = series(latest(3));
    expect(latencySign('a', { ...others, a: a.slice(-20) }, NOW)).toBe('unknown');
    expect(latencySign('a', { ...others, a }, NOW + minutes(20))).toBe('unknown');
    expect(latencySign('a', { a }, NOW)).toBe('unknown');
    expect(latencySign('a', { ...others, a: series(() => Number.NaN) }, NOW)).toBe('unknown');
    expect(latencySign('a', others, NOW)).toBe('unknown');
  });
});
