/** What ARC told of a zone, in whatever order it came; and the state that follows. */
import fc from 'fast-check';
import type { Issue } from '../../shared/core/issues.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { type Shift, type ShiftNews, shiftsAfter, sightNews, zoneAt } from '../../shared/core/zoneShifts.ts';
import type { Start } from '../../shared/core/zoneSigns.ts';
import { CLEAR, RECOVERED } from '../../shared/core/zoneStates.ts';
import { NOW } from './zoneStack.ts';

const ZONE = 'euc1-az1';
const news = (begins: boolean, min: number, kind: ShiftNews['kind'] = 'autoshift'): ShiftNews => ({
  zone: ZONE,
  kind,
  begins,
  at: NOW + minutes(min),
});
const told = (...all: readonly ShiftNews[]): readonly Shift[] => all.reduce<readonly Shift[]>(shiftsAfter, []);
const at = (
  shifts: readonly Shift[],
  min: number,
  waves: readonly Start[] = [],
  issue: Issue | null | undefined = null,
) => zoneAt(ZONE, { shifts, waves, issue }, NOW + minutes(min));

describe('what is kept', () => {
  test.each<[string, readonly ShiftNews[]]>([
    ['in its order', [news(true, 0), news(false, 30)]],
    ['in the other', [news(false, 30), news(true, 0)]],
    ['twice', [news(true, 0), news(true, 0), news(false, 30), news(true, 0), news(false, 30)]],
    ['for several resources', [news(true, 0), news(true, 2), news(false, 30)]],
  ])('%s: it is over', (_, all) => {
    expect(told(...all).length).toBeGreaterThan(0);
    expect(told(...all).every(({ until }) => until === NOW + minutes(30))).toBe(true);
  });

  test('another one begins anew, and one of another kind is another', () => {
    expect(told(news(true, 0), news(false, 30), news(true, 60))).toMatchObject([
      { until: NOW + minutes(30) },
      { kind: 'autoshift' },
    ]);
    const both = told(news(true, 0), news(true, 5, 'practice'), news(false, 35, 'practice'));
    expect(both.find((s) => s.kind === 'autoshift')?.until).toBeUndefined();
  });

  test('is small, whatever comes, and an open shift is never pushed out by others', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ begins: fc.boolean(), min: fc.nat(5_000), practice: fc.boolean() }), { maxLength: 200 }),
        (all) => {
          const shifts = told(...all.map((n) => news(n.begins, n.min, n.practice ? 'practice' : 'experiment')));
          expect(shifts.length).toBeLessThanOrEqual(40);
          const last = Math.max(5_001, ...all.map((n) => n.min));
          const open = shiftsAfter(shifts, news(true, last, 'autoshift'));
          const after = [...Array(100).keys()].reduce(
            (s, n) => shiftsAfter(s, news(n % 2 === 0, last + n, 'practice')),
            open,
          );
          expect(at(after, last + 101)).toMatchObject({
            state: 'IMPAIRED',
            left: expect.stringContaining('has not been let'),
          });
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('the state', () => {
  const shift = told(news(true, 0), news(false, 30));
  const CLEAR_MIN = CLEAR / minutes(1);
  test('never told of: OK, with no since', () =>
    expect(at([], 0)).toEqual({ id: ZONE, state: 'OK', because: 'no sign of trouble' }));
  test('shifted away: impaired at once, since then, and left as it is', () =>
    expect(at(told(news(true, 0)), 0)).toMatchObject({
      state: 'IMPAIRED',
      left: 'zone-impaired has not been let evacuate it',
      since: NOW,
      because: 'AWS shifted traffic away from it',
    }));
  test('that it is evacuated holds while it is impaired, and no longer', () => {
    const led = (min: number) =>
      zoneAt(ZONE, { shifts: shift, waves: [], issue: null, evacuated: NOW }, NOW + minutes(min));
    expect(led(10)).toMatchObject({ state: 'IMPAIRED', evacuated: NOW });
    expect(led(10)).not.toHaveProperty('left');
    expect(led(30 + CLEAR_MIN)).not.toHaveProperty('evacuated');
  });
  test('over: impaired until it has been clear, then a step, then OK', () => {
    expect(at(shift, 30 + CLEAR_MIN - 1)).toMatchObject({ state: 'IMPAIRED', since: NOW });
    expect(at(shift, 30 + CLEAR_MIN)).toMatchObject({ state: 'RECOVERING', ramp: 1 });
    expect(at(shift, 30 + CLEAR_MIN + RECOVERED / minutes(1))).toMatchObject({
      state: 'OK',
      because: 'it has recovered',
    });
  });
  test('waves that end well double the step, one that does not begins it again', () => {
    const recovering = 30 + CLEAR_MIN;
    const wave = (min: number, failed?: string): Start => ({
      at: NOW + minutes(recovering + min),
      zone: ZONE,
      ...(failed ? { failed } : {}),
    });
    expect(at(shift, recovering + 9, [wave(2), wave(5)])).toMatchObject({ ramp: 4 });
    expect(at(shift, recovering + 9, [wave(2), wave(5, 'no capacity')])).toMatchObject({ ramp: 1 });
    expect(at(shift, recovering + 9, [{ ...wave(2), zone: 'euc1-az2' }])).toMatchObject({ ramp: 1 });
  });
  test('a practice run is said, and is no sign; an experiment is one', () => {
    const practice = at(told(news(true, 0, 'practice')), 5);
    expect(practice).toMatchObject({ state: 'OK' });
    expect(practice.because).toMatch(/a practice run since .* says nothing of it/);
    expect(at(told(news(true, 0, 'experiment')), 5)).toMatchObject({ state: 'IMPAIRED' });
  });
  test('an end that is never told: after a day, and it says so', () => {
    const open = told(news(true, 0));
    const day = hours(24) / minutes(1);
    expect(at(open, day - 1).because).toBe('AWS shifted traffic away from it');
    const over = at(open, day + CLEAR_MIN);
    expect(over).toMatchObject({ state: 'RECOVERING' });
    expect(over.because).toContain('was told: after 24 h it counts as over');
    expect(at(told(news(true, 0), news(true, day - 60)), day + 5)).toMatchObject({ state: 'IMPAIRED' });
  });
  test('an issue of AWS Health alone is suspect, and named; not to know is no sign', () => {
    const issue: Issue = { arn: 'arn:aws:health:x', service: 'EC2', region: 'eu-central-1', since: NOW };
    expect(at([], 5, [], issue)).toMatchObject({
      state: 'SUSPECT',
      because: expect.stringContaining('arn:aws:health:x'),
    });
    expect(at([], 5, [], undefined)).toMatchObject({ state: 'OK' });
    expect(at(told(news(true, 0)), 5, [], issue).because).toContain('arn:aws:health:x');
  });
  test('an issue and starts that fail, both lasting, are two signs: impaired, and back as slowly as after a shift', () => {
    const both = [
      news(true, 0, 'health'),
      news(true, 5, 'launches'),
      news(false, 20, 'launches'),
      news(false, 25, 'health'),
    ];
    expect(at(told(...both), 4)).toMatchObject({ state: 'SUSPECT' });
    expect(at(told(...both), 8)).toMatchObject({ state: 'IMPAIRED' });
    expect(at(told(...both), 25 + CLEAR_MIN - 1)).toMatchObject({ state: 'IMPAIRED' });
    expect(at(told(...both), 25 + CLEAR_MIN)).toMatchObject({ state: 'RECOVERING' });
  });
  test('one sign alone is suspect, and over soon after it', () => {
    const one = told(news(true, 0, 'launches'), news(false, 10, 'launches'));
    expect(at(one, 5)).toMatchObject({ state: 'SUSPECT', because: 'starts fail there and not elsewhere' });
    expect(at(one, 16)).toMatchObject({ state: 'OK' });
  });
});

describe('what a survey sees', () => {
  const sighted = (shifts: readonly Shift[], since: number | undefined, min: number) =>
    sightNews(
      { zone: ZONE, kind: 'launches', shifts },
      since === undefined ? undefined : NOW + minutes(since),
      NOW + minutes(min),
    );
  test('begins once, is said again while it lasts but not each time, and ends once', () => {
    let shifts: readonly Shift[] = [];
    const said: number[] = [];
    for (let min = 0; min <= 60; min += 5) {
      const found = sighted(shifts, min < 40 ? 0 : undefined, min);
      if (found.length > 0) said.push(min);
      shifts = found.reduce(shiftsAfter, shifts);
    }
    expect(said).toEqual([0, 10, 20, 30, 40]);
    expect(shifts).toMatchObject([{ kind: 'launches', since: NOW, until: NOW + minutes(40) }]);
  });
});
