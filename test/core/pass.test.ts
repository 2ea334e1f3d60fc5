import * as z from 'zod/mini';
import { Refused, Throttled, Unavailable } from '../../shared/core/errors.ts';
import { guardNames } from '../../shared/core/guards.ts';
import type { Attempt, Incident } from '../../shared/core/incident.ts';
import { type Answer, pass } from '../../shared/core/pass.ts';
import { defaultPolicy } from '../../shared/core/policy.ts';
import type { Ports } from '../../shared/core/ports.ts';
import { defineRemediation, type Effect, type Remediation } from '../../shared/core/remediation.ts';
import type { Signal } from '../../shared/core/signal.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { memoryStore } from '../../world/memoryStore.ts';
import { HOME, NOW } from './proposal.ts';

const target = instanceTarget({ account: HOME, region: 'eu-central-1' }, 'i-0123456789abcdef0');

/** One patient: what it says when it is looked at, and what happens when something is done to it. */
const clinic = () => ({
  healthy: false,
  effect: 'pending' as Effect,
  did: [] as string[],
  judged: [] as Attempt[],
  onLook: () => {},
  onAct: async (): Promise<void> => {},
  onUndo: async (): Promise<void> => {},
});
type Clinic = ReturnType<typeof clinic>;

const remediationOf = (c: Clinic): Remediation =>
  defineRemediation<{ healthy: boolean }, { do: string; n: number }, Record<never, never>>({
    name: 'mend',
    title: 'mends',
    about: '',
    answers: ['cpu.high'],
    risk: 'harmless',
    targets: '*',
    ladder: {},
    permissions: [],
    options: z.strictObject({}),
    observe: async () => {
      c.onLook();
      return { healthy: c.healthy };
    },
    facts: () => ({
      tags: { 'steward:managed': 'true' },
      group: { id: 'instance/i', size: 1, zones: {} },
      zone: 'az1',
    }),
    describe: ({ healthy }) => (healthy ? 'well' : 'ill'),
    isHealthy: ({ healthy }) => healthy,
    decide: (_seen, { attempts, now }) =>
      attempts.some((a) => a.outcome?.kind === 'done' && !a.effect)
        ? { do: 'wait', until: now + seconds(10), because: 'it may still show' }
        : {
            do: 'act',
            rung: `mend ${attempts.length}`,
            step: { do: 'mend', n: attempts.length },
            plan: 'mend it',
            because: 'it is ill',
          },
    act: async (_step, _ports, token) => {
      c.did.push(token);
      await c.onAct();
      return {};
    },
    touches: () => [],
    before: () => ({}),
    effect: (attempt) => {
      c.judged.push(attempt);
      return c.effect;
    },
    undo: async (_attempt, _ports, token) => {
      c.did.push(`undo ${token}`);
      await c.onUndo();
      return {};
    },
  });

let c: Clinic;
let now: number;
let store: ReturnType<typeof memoryStore>;
let made: number;
beforeEach(() => {
  c = clinic();
  now = NOW;
  store = memoryStore();
  made = 0;
});

const signal = (eventId = 'event-1'): Signal => ({
  kind: 'cpu.high',
  target,
  at: now,
  cause: `alarm ${eventId}`,
  eventId,
});
const run = (given: { signal?: Signal; incident?: string; explain?: boolean }): Promise<Answer> => {
  const remediation = remediationOf(c);
  return pass(
    { target, remediation, ...given },
    {
      now: () => now,
      newId: () => `${++made}`.padStart(26, '0'),
      store,
      policy: defaultPolicy([remediation]),
      home: HOME,
      reach: async () => ({}) as Ports,
    },
  );
};
const incident = (): Incident => [...store.records.values()].find((r) => r.kind === 'incident') as Incident;
const look = (): Promise<Answer> => run({ incident: incident().id });

describe('a pass', () => {
  test('acts once, waits, and closes on a look that is healthy', async () => {
    expect(await run({ signal: signal() })).toMatchObject({
      opened: true,
      state: 'waiting',
      attempt: { outcome: { kind: 'done' } },
    });
    now += seconds(6);
    expect(await look()).toMatchObject({ verdict: { do: 'wait' } });
    c.healthy = true;
    c.effect = 'effective';
    now += seconds(10);
    expect(await look()).toMatchObject({ state: 'closed', end: 'healthy' });
    expect(c.did).toStrictEqual([`${incident().id}-1`]);
    expect(incident().log.map((l) => l.what)).toStrictEqual([
      'signal',
      'seen',
      'reserved',
      'guards',
      'outcome',
      'waiting',
      'seen',
      'effect',
      'closed',
    ]);
  });

  test('explained: says what it would do, with every guard, and neither writes nor acts', async () => {
    const answer = await run({ signal: signal(), explain: true });
    expect(answer).toMatchObject({ verdict: { do: 'act', plan: 'mend it' }, guards: { length: guardNames.length } });
    expect(store.records.size).toBe(0);
    expect(c.did).toStrictEqual([]);
  });

  test('counts a second alarm, also when nothing else is news; the same event twice is one', async () => {
    await run({ signal: signal() });
    now += seconds(6);
    await look();
    for (const id of ['event-2', 'event-2', 'event-1']) await run({ signal: signal(id) });
    expect(incident().signals).toMatchObject({ count: 3, lastEventId: 'event-1' });
  });

  test('told of something that lies in the future tells a person; a signal of the right time lets it act', async () => {
    expect(await run({ signal: { ...signal(), at: now + hours(1) } })).toMatchObject({
      state: 'escalated',
      attempts: 0,
    });
    expect(incident()).toMatchObject({ because: expect.stringContaining('dated 60 min in the future') });
    now += minutes(1);
    await run({ signal: signal('event-2') });
    expect(incident().attempts).toMatchObject([{ outcome: { kind: 'done' } }]);
  });

  test('told again twenty minutes after the first does not take that for the future', async () => {
    c.onLook = () => {
      throw new Throttled('later');
    };
    await run({ signal: signal() });
    now += minutes(20);
    c.onLook = () => {};
    await run({ signal: signal('event-2') });
    expect(incident().attempts).toMatchObject([{ outcome: { kind: 'done' } }]);
  });

  test('put off again and again says when it is tried again, and keeps its record short', async () => {
    c.onAct = async () => Promise.reject(new Throttled('later'));
    await run({ signal: signal() });
    for (let n = 0; n < 8; n++) {
      now += minutes(11);
      await look();
    }
    expect(incident()).toMatchObject({ state: 'escalated', attempts: { length: 8 } });
    expect(incident().remedy).toContain('it is tried again after 2026-11-25T12:');
    // A new alarm changes nothing of that.
    await run({ signal: signal('event-2') });
    expect(incident().attempts).toHaveLength(8);
    for (let day = 0; day < 5; day++) {
      now += hours(26);
      for (let n = 0; n < 8; n++) {
        now += minutes(11);
        await look();
      }
    }
    const { attempts } = incident();
    expect(attempts.at(-1)?.n).toBe(48);
    expect(attempts.length).toBeLessThanOrEqual(13);
  });

  test('writes a line that is news though the log is full', async () => {
    await run({ signal: signal() });
    const log = Array.from({ length: 50 }, (_, n) => ({ at: NOW, what: 'seen', say: `line ${n}` }));
    await store.write({ put: { ...incident(), log } });
    now += seconds(6);
    await look();
    expect(incident().log.at(-1)).toMatchObject({ what: 'waiting', say: 'it may still show' });
    expect(incident().log).toHaveLength(50);
  });

  test.each([
    ['throttled', new Throttled('later'), 'transient'],
    ['declined', new Refused('no', 'no'), 'permanent'],
    ['not answered', new Unavailable('?'), 'ambiguous'],
    ['of a bug', new TypeError('x is undefined'), 'ambiguous'],
  ])('a step that is %s', async (_name, error, kind) => {
    c.onAct = async () => Promise.reject(error);
    expect(await run({ signal: signal() })).toMatchObject({ attempt: { outcome: { kind } } });
    expect(incident().attempts).toMatchObject([{ outcome: { kind, because: error.message } }]);
  });

  test('that finds an attempt without an outcome waits for its pass, then counts it and does not repeat it', async () => {
    c.onAct = () => new Promise(() => {});
    void run({ signal: signal() });
    await new Promise(setImmediate);
    expect(incident().state).toBe('acting');
    now += minutes(2);
    expect(await look()).toMatchObject({
      verdict: { because: expect.stringContaining('being started by another pass') },
    });
    now += minutes(1);
    c.effect = 'ineffective';
    c.onAct = async () => {};
    await look();
    expect(incident().attempts).toMatchObject([{ outcome: { kind: 'ambiguous' } }, { n: 2, step: { n: 1 } }]);
    expect(new Set(c.did).size).toBe(c.did.length);
  });

  test('that comes back after its incident was closed leaves it closed', async () => {
    let answer = (): void => {};
    c.onAct = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const late = run({ signal: signal() });
    await new Promise(setImmediate);
    now += minutes(4);
    c.healthy = true;
    await look();
    answer();
    await late;
    expect(incident()).toMatchObject({ state: 'closed', end: 'healthy', attempts: [{ outcome: { kind: 'done' } }] });
  });

  test('told of a trouble in an account that the policy does not name does not even look', async () => {
    const elsewhere = instanceTarget({ account: '999999999999', region: 'eu-central-1' }, 'i-0123456789abcdef0');
    c.onLook = () => {
      throw new Error('looked');
    };
    const remediation = remediationOf(c);
    const answer = await pass(
      { target: elsewhere, remediation, signal: { ...signal(), target: elsewhere } },
      {
        now: () => now,
        newId: () => '1',
        store,
        policy: defaultPolicy([remediation]),
        home: HOME,
        reach: async () => ({}) as Ports,
      },
    );
    expect(answer).toMatchObject({
      state: 'none',
      verdict: { do: 'nothing', because: expect.stringContaining('999999999999') },
    });
  });
});

describe('putting back', () => {
  const harmed = async (): Promise<void> => {
    await run({ signal: signal() });
    c.effect = 'harmful';
    now += seconds(6);
  };

  test('what did harm is put back once, and a person is told', async () => {
    await harmed();
    await look();
    expect(c.did).toStrictEqual([`${incident().id}-1`, `undo ${incident().id}-2`]);
    now += seconds(6);
    expect(await look()).toMatchObject({
      state: 'escalated',
      verdict: { because: expect.stringMatching(/made it worse; it was put back/) },
    });
    now += minutes(15);
    await look();
    expect(c.did).toHaveLength(2);
  });

  test('what AWS put off is put back later', async () => {
    await harmed();
    c.onUndo = async () => Promise.reject(new Throttled('later'));
    await look();
    c.onUndo = async () => {};
    now += seconds(30);
    await look();
    expect(incident().attempts.map((a) => [a.undoes, a.outcome?.kind])).toStrictEqual([
      [undefined, 'done'],
      [1, 'transient'],
      [1, 'done'],
    ]);
  });

  test('is not judged as a step of the ladder', async () => {
    await harmed();
    await look();
    now += seconds(6);
    await look();
    expect(c.judged.every((a) => a.undoes === undefined)).toBe(true);
  });

  test('ends when it is healthy', async () => {
    await harmed();
    await look();
    now += seconds(6);
    await look();
    c.healthy = true;
    now += minutes(15);
    expect(await look()).toMatchObject({ state: 'closed', end: 'healthy' });
  });

  test('as a person asked ends as undone', async () => {
    await run({ signal: signal() });
    const attempt = incident().attempts[0] as Attempt;
    await store.write({ put: { ...incident(), undoWanted: { by: 'anna', at: now, attempt } } });
    now += seconds(6);
    await look();
    now += seconds(6);
    expect(await look()).toMatchObject({ state: 'closed', end: 'undone' });
  });
});
