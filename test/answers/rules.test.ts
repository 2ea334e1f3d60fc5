/** The rules of yes, no, stop, go on and put back, over all inputs that can be. */
import fc from 'fast-check';
import { approve, askedStep, deny, inForce, isNo, pause, pausesOf, resume, undo } from '../../shared/core/answers.ts';
import { type Attempt, type Incident, stepText } from '../../shared/core/incident.ts';
import { maybeSamePerson } from '../../shared/core/people.ts';
import type { Pause, Switches } from '../../shared/core/store.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import type { Json } from '../../shared/core/verdict.ts';

const NOW = Date.UTC(2026, 10, 24, 3);
const user = (name: string) => `arn:aws:iam::111122223333:user/${name}`;
const session = (role: string, name: string, account = '111122223333') =>
  `arn:aws:sts::${account}:assumed-role/${role}/${name}`;
const TARGET = 'arn:aws:ec2:eu-central-1:111122223333:instance/i-0abc1234def567890';

const incident = (over: Partial<Incident> = {}): Incident => ({
  kind: 'incident',
  id: '01KAQX4T2D6N8J0V5R3F7G9H1K',
  version: 3,
  target: TARGET,
  remediation: 'full-disk',
  state: 'asking',
  because: 'a person must approve it',
  group: 'asg/web',
  signals: { count: 1, kind: 'disk.space-low', cause: 'alarm', firstAt: NOW, lastAt: NOW, lastEventId: 'e' },
  looks: 1,
  openedAt: NOW - minutes(5),
  attempts: [],
  log: [],
  dueAt: NOW + minutes(15),
  ...over,
});
const ask = (step: Json, over: object = {}) => ({
  step,
  rung: 'clean /',
  plan: 'clean /',
  because: 'it is full',
  since: NOW - minutes(4),
  until: NOW + hours(20),
  ...over,
});
const said = (ruling: object): string => ('no' in ruling ? `${(ruling as { no: string }).no}` : 'yes');
const json = fc.jsonValue() as fc.Arbitrary<Json>;

const undoing = (outcome: NonNullable<Attempt['outcome']>['kind']) => {
  const attempt = { n: 1, token: 't-1', plan: 'mend it', effect: 'effective' } as Attempt;
  const undone = {
    n: 2,
    token: 't-2',
    plan: 'put back',
    undoes: 1,
    outcome: { kind: outcome, at: NOW, because: 'declined' },
  };
  return incident({
    state: 'escalated',
    attempts: [attempt, undone as Attempt],
    undoWanted: { by: user('bob'), at: NOW, attempt },
  });
};

test('what was asked to be put back and could not be is given up by a no; then the incident goes on', () => {
  for (const outcome of ['permanent', 'ambiguous'] as const) {
    const after = deny(undoing(outcome), { by: user('alice'), now: NOW, step: '', why: 'done by hand' });
    expect(isNo(after)).toBe(false);
    expect(after).toMatchObject({ state: 'open', because: expect.stringContaining('alice no longer asks') });
    expect('undoWanted' in after).toBe(false);
  }
  expect(said(deny(undoing('done'), { by: user('alice'), now: NOW, step: '' }))).toMatch(/nothing is asked/);
});

describe('approve', () => {
  test('exactly the asked step, whatever the order of its keys, and no other', () => {
    fc.assert(
      fc.property(json, json, (asked, seen) => {
        const before = incident({ ask: ask(asked) });
        const after = approve(before, { by: user('alice'), now: NOW, step: stepText(seen) });
        const same = stepText(asked) === stepText(seen);
        expect(isNo(after)).toBe(!same);
        if (!isNo(after))
          expect(after.approval).toEqual({
            by: user('alice'),
            at: NOW,
            step: stepText(asked),
            until: before.ask?.until,
          });
        expect(askedStep(before, NOW)).toBe(stepText(asked));
      }),
    );
  });

  test.each<[string, Partial<Incident>, RegExp]>([
    ['nothing is asked', {}, /nothing is asked/],
    ['the question is over', { ask: ask(1, { until: NOW }) }, /the question ended at 2026-11-24T03:00/],
    ['it is closed', { state: 'closed', end: 'healthy', closedAt: NOW, ask: ask(1) }, /it is over \(healthy since/],
    [
      'someone was faster',
      { ask: ask(1), approval: { by: user('bob'), at: NOW, step: '1', until: NOW + 1 } },
      /user\/bob already approved/,
    ],
    ['it asks for another step', { ask: ask(2) }, /asks for another step by now: clean/],
    ['he asked for it', { ask: ask(1, { askedBy: user('alice') }) }, /the one who asks cannot approve/],
  ])('refused: %s', (_what, over, because) => {
    const before = incident(over);
    const no = approve(before, { by: user('alice'), now: NOW, step: '1' });
    expect(said(no)).toMatch(because);
    expect(said(no)).toContain(before.id);
    expect((no as { remedy: string }).remedy).not.toBe('');
  });

  test('an approval that ran out can be given again while the question is open', () => {
    const before = incident({ ask: ask(1), approval: { by: user('bob'), at: NOW - 2, step: '1', until: NOW - 1 } });
    expect(approve(before, { by: user('bob'), now: NOW, step: '1' })).toMatchObject({ approval: { at: NOW } });
  });

  test('each yes is a line of the log, also the second of the same person for the same', () => {
    const yes = (i: Incident, now: number) => approve(i, { by: user('bob'), now, step: '1' }) as Incident;
    const first = yes(incident({ ask: ask(1) }), NOW);
    const { approval: _, ...later } = first;
    expect(yes({ ...later, ask: ask(1, { until: NOW + hours(40) }) }, NOW + hours(24)).log).toHaveLength(2);
  });
});

describe('one person or two', () => {
  test.each([
    ['the same user', user('alice'), user('alice'), true],
    ['two users', user('alice'), user('bob'), false],
    ['one session of a role', session('Ops', 'alice'), session('Ops', 'alice'), true],
    ['two named sessions of a role', session('Ops', 'alice'), session('Ops', 'bob'), false],
    ['one session name, two roles', session('Ops', 'alice'), session('Admin', 'alice'), false],
    [
      'one session name, one role name, two accounts',
      session('Ops', 'a', '1'.repeat(12)),
      session('Ops', 'a', '2'.repeat(12)),
      false,
    ],
    ['a name that the CLI made up', session('Ops', 'botocore-session-1732419600'), session('Ops', 'alice'), true],
    [
      'two names that tools made up',
      session('Ops', 'aws-sdk-js-session-1732419600000'),
      session('Ops', 'botocore-session-2'),
      true,
    ],
    ['a made up name of another role', session('Ops', 'botocore-session-1732419600'), session('Admin', 'alice'), false],
    ['a made up name and a user', session('Ops', 'botocore-session-1'), user('alice'), false],
    [
      'Identity Center: one user, two permission sets',
      session('AWSReservedSSO_Admin_0123456789abcdef', 'alice@example.com'),
      session('AWSReservedSSO_Read_fedcba9876543210', 'Alice@example.com'),
      true,
    ],
    [
      'Identity Center: two users, one permission set',
      session('AWSReservedSSO_Admin_0123456789abcdef', 'alice@example.com'),
      session('AWSReservedSSO_Admin_0123456789abcdef', 'bob@example.com'),
      false,
    ],
  ])('%s', (_what, a, b, same) => {
    expect([maybeSamePerson(a, b), maybeSamePerson(b, a)]).toEqual([same, same]);
  });

  const arn = fc.oneof(
    fc.constantFrom('alice', 'bob').map(user),
    fc
      .tuple(fc.constantFrom('Ops', 'AWSReservedSSO_A_1'), fc.constantFrom('alice', 'bob', 'botocore-session-7'))
      .map(([role, name]) => session(role, name)),
  );
  test('the one who asks never approves, whatever he is called', () => {
    fc.assert(
      fc.property(arn, arn, (asker, by) => {
        const i = incident({ ask: ask(1, { askedBy: asker }) });
        expect(isNo(approve(i, { by, now: NOW, step: '1' }))).toBe(maybeSamePerson(asker, by));
        if (asker === by) expect(maybeSamePerson(asker, by)).toBe(true);
      }),
    );
  });
});

test('deny: the step is not asked for before the question would have ended, and a yes is taken back', () => {
  const before = incident({ ask: ask(1), approval: { by: user('bob'), at: NOW, step: '1', until: NOW + hours(20) } });
  const after = deny(before, { by: user('alice'), now: NOW, step: '1', why: 'too risky' });
  expect(after).toMatchObject({ state: 'refused', denied: { step: '1', by: user('alice'), until: NOW + hours(20) } });
  expect(after).not.toHaveProperty('ask');
  expect(after).not.toHaveProperty('approval');
  expect(said(deny(incident(), { by: user('alice'), now: NOW, step: '1' }))).toMatch(/nothing is asked/);
  expect(said(deny(before, { by: user('alice'), now: NOW, step: '2' }))).toMatch(/another step/);
});

describe('pauses', () => {
  const scope = fc.constantFrom<Pause['scope']>(
    'all',
    'remediation/full-disk',
    'remediation/drill',
    'group/asg/web',
    'group/asg/db',
    `target/${TARGET}`,
    `target/${TARGET}1`,
  );
  const step = fc.record({
    scope,
    on: fc.boolean(),
    after: fc.integer({ min: 0, max: 100 }),
    for: fc.option(fc.integer({ min: 1, max: 200 })),
  });
  const HOLDS = new Set<string>(['all', 'remediation/full-disk', 'group/asg/web', `target/${TARGET}`]);

  interface Run {
    readonly now: number;
    readonly switches: Switches;
    /** Scope → until when, as a plain list would have it. */
    readonly model: ReadonlyMap<string, number>;
  }
  type Step = { scope: Pause['scope']; on: boolean; after: number; for: number | null };
  const take = ({ now: before, switches, model }: Run, s: Step): Run => {
    const now = before + s.after;
    const left = new Map([...model].filter(([, until]) => until > now));
    const until = s.for === null ? {} : { until: now + s.for };
    const ruling = s.on
      ? pause(switches, { scope: s.scope, by: 'x', why: 'y', at: now, ...until })
      : resume(switches, s.scope, now);
    expect(isNo(ruling)).toBe(!s.on && !left.has(s.scope));
    left.delete(s.scope);
    if (s.on) left.set(s.scope, until.until ?? Number.POSITIVE_INFINITY);
    return { now, switches: isNo(ruling) ? switches : ruling, model: left };
  };

  test('any order of pausing, resuming and running out: what holds is what a list of them says', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const start: Run = { now: NOW, switches: { kind: 'switches', version: 0, pauses: [] }, model: new Map() };
        const { now, switches, model } = steps.reduce(take, start);
        expect(new Set(inForce(switches, now).map((p) => p.scope))).toEqual(new Set(model.keys()));
        expect(pausesOf(switches, incident(), now)).toHaveLength([...model.keys()].filter((k) => HOLDS.has(k)).length);
      }),
    );
  });

  test('until a time that is over', () => {
    const none: Switches = { kind: 'switches', version: 0, pauses: [] };
    expect(said(pause(none, { scope: 'all', by: 'x', why: 'y', at: NOW, until: NOW }))).toMatch(/that is over/);
  });
});

describe('undo', () => {
  const attempt = (over: Partial<Attempt> = {}): Attempt => ({
    n: 1,
    rung: 'mend',
    step: 1,
    plan: 'mend it',
    because: 'it is broken',
    token: 'i-1',
    reservedAt: NOW - hours(1),
    before: null,
    outcome: { kind: 'done', at: NOW, because: '' },
    effect: 'effective',
    ...over,
  });
  const request = (over: object = {}) => ({
    by: user('alice'),
    now: NOW,
    newId: '01KAQX4T2D6N8J0V5R3F7G9H2M',
    remediation: { canUndo: true, noUndo: 'it is gone' },
    others: [],
    ...over,
  });
  const over = (o: Partial<Incident> = {}) =>
    incident({ state: 'closed', end: 'healthy', attempts: [attempt()], ...o });

  test('one that is open puts back its last step that helped', () => {
    const i = incident({
      state: 'waiting',
      attempts: [attempt(), attempt({ n: 2, token: 'i-2' }), attempt({ n: 3, effect: 'ineffective' })],
    });
    expect(undo(i, request())).toMatchObject([{ id: i.id, undoWanted: { by: user('alice'), attempt: { n: 2 } } }]);
  });
  test('for one that is over a new one is opened, and both know of it', () => {
    const [doer, old] = undo(over(), request()) as [Incident, Incident];
    expect(doer).toMatchObject({
      version: 0,
      state: 'open',
      askedBy: user('alice'),
      undoWanted: { attempt: { token: 'i-1' } },
    });
    expect(doer.id).not.toBe(old.id);
    expect(old.log.at(-1)?.say).toContain(doer.id);
  });
  test.each<[string, Incident, object, RegExp]>([
    [
      'what cannot be',
      over(),
      { remediation: { canUndo: false, noUndo: 'it is gone' } },
      /cannot put back what it did: it is gone/,
    ],
    ['nothing helped', over({ attempts: [attempt({ effect: 'ineffective' })] }), {}, /nothing that it did/],
    ['it was put back', over({ attempts: [attempt(), attempt({ n: 2, undoes: 1 })] }), {}, /nothing that it did/],
    [
      'asked for twice',
      incident({ attempts: [attempt()], undoWanted: { by: user('bob'), at: NOW, attempt: attempt() } }),
      {},
      /user\/bob asked for that/,
    ],
    [
      'under way elsewhere',
      over(),
      { others: [incident({ id: 'other', state: 'waiting', undoWanted: { by: 'x', at: NOW, attempt: attempt() } })] },
      /incident other is putting it back/,
    ],
    [
      'done elsewhere',
      over(),
      { others: [over({ id: 'other', end: 'undone', undoWanted: { by: 'x', at: NOW, attempt: attempt() } })] },
      /has put it back/,
    ],
    [
      'another is at work',
      over(),
      { others: [incident({ id: 'other', state: 'waiting' })] },
      /incident other is at work/,
    ],
  ])('refused: %s', (_what, i, given, because) => {
    expect(said(undo(i, request(given)))).toMatch(because);
  });
  test('what AWS put off may be asked for again', () => {
    const put = attempt({ n: 2, undoes: 1, outcome: { kind: 'transient', at: NOW, because: '' } });
    expect(isNo(undo(over({ attempts: [attempt(), put] }), request()))).toBe(false);
  });
});
