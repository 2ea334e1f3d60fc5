import fc from 'fast-check';
import {
  allowedRepairs,
  findings,
  guardNames,
  isRefusal,
  type Proposal,
  type Refusal,
} from '../../shared/core/guards.ts';
import { stepText } from '../../shared/core/incident.ts';
import type { Done, Pause } from '../../shared/core/store.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { anIncident, aProposal, NOW, settings } from './proposal.ts';

const first = (change: Partial<Proposal>): Refusal | undefined => findings({ ...aProposal, ...change }).find(isRefusal);
const step = stepText(aProposal.act.step);
const done = (change: Partial<Done> = {}): Done => ({
  remediation: 'full-disk',
  incident: 'another',
  rung: 'clean /',
  at: NOW - hours(2),
  step: 'another',
  counted: true,
  ...change,
});
const chart = (...recent: Done[]) => ({ chart: { ...aProposal.chart, recent } });
const paused = (scope: Pause['scope'], until?: number) => ({
  switches: {
    ...aProposal.switches,
    pauses: [{ scope, by: 'anna', why: 'a deploy', at: NOW - 1, ...(until === undefined ? {} : { until }) }],
  },
});
const withMode = (mode: Proposal['settings']['mode']) => ({
  settings: { ...settings, mode, modes: { harmless: mode, interrupts: mode, destroys: mode } },
});
const asked = (incident: Partial<Proposal['incident']>) => ({
  ...withMode('ask'),
  incident: { ...anIncident, ...incident },
});
const approval = { by: 'ben', at: NOW - 1, step, until: NOW + 1 };
const interrupts = { remediation: { name: 'full-disk', risk: 'interrupts' as const } };
const noon = { cron: '0 12 * * *', minutes: 30, timezone: 'UTC', why: 'a release' };
const midnight = { cron: '0 0 * * *', minutes: 30, timezone: 'UTC', why: '' };
const policyWith = (change: Partial<Proposal['policy']>) => ({ policy: { ...aProposal.policy, ...change } });
const serving = (seen: Proposal['facts']['serving']) => ({ facts: { ...aProposal.facts, serving: seen } });
const memberArn = (name: string) => `arn:aws:ec2:eu-central-1:111122223333:instance/${name}`;
const repairing = (...names: string[]) => ({
  group: {
    ...aProposal.group,
    repairs: Object.fromEntries(
      names.map((n) => [
        `arn:aws:ec2:eu-central-1:111122223333:instance/${n}`,
        { incident: n, remediation: 'full-disk', until: NOW + 1 },
      ]),
    ),
  },
});
const cost = (usdPerMonth: number) => ({ act: { ...aProposal.act, cost: { usdPerMonth, what: '10 GiB of gp3' } } });
const lease = (incident: string) => ({
  chart: { ...aProposal.chart, lease: { incident, remediation: 'restart', until: NOW + minutes(5) } },
});
const ISSUE = {
  arn: 'arn:aws:health:eu-central-1::event/EC2/AWS_EC2_OPERATIONAL_ISSUE/AWS_EC2_OPERATIONAL_ISSUE_1',
  service: 'EC2',
  region: 'eu-central-1',
  zone: 'eu-central-1a',
  since: NOW - hours(1),
};
const withIssue = (issue: Proposal['facts']['issue']) => ({ facts: { ...aProposal.facts, issue } });
const breaker = (lastSeenAt: number) => ({
  group: { ...aProposal.group, breaker: { since: NOW - hours(1), lastSeenAt, because: '6 of 10 fell ill' } },
});

const refusals: readonly (readonly [string, Partial<Proposal>, string, Refusal['consequence'], RegExp])[] = [
  ['everything is paused', paused('all'), 'switch', 'wait', /anna paused all until someone resumes it: a deploy/],
  ['its remediation is paused', paused('remediation/full-disk'), 'switch', 'wait', /paused remediation/],
  ['it is paused', paused(`target/${aProposal.target.arn}`, NOW + 1), 'switch', 'wait', /paused target/],
  ['its group is paused', paused('group/asg/web'), 'switch', 'wait', /paused group/],
  [
    'a group is paused, and its own is not known',
    { ...paused('group/asg/api'), facts: { ...aProposal.facts, group: undefined } },
    'switch',
    'wait',
    /asg\/api/,
  ],
  ['another account', { home: '999999999999' }, 'scope', 'not-ours', /account 111122223333/],
  ['tags unknown', { facts: { ...aProposal.facts, tags: undefined } }, 'scope', 'wait', /could not be read/],
  ['no tag', { facts: { ...aProposal.facts, tags: {} } }, 'scope', 'not-ours', /does not carry/],
  [
    'opted out',
    { facts: { ...aProposal.facts, tags: { 'steward:managed': 'true', 'steward:ignore': '' } } },
    'scope',
    'not-ours',
    /carries the tag steward:ignore/,
  ],
  [
    'opted out, whatever the scope',
    { facts: { ...aProposal.facts, tags: { 'steward:ignore': 'yes' } }, ...policyWith({ scope: 'all' }) },
    'scope',
    'not-ours',
    /ignore/,
  ],
  ['off', withMode('off'), 'mode', 'not-ours', /turns full-disk off/],
  ['watch', withMode('watch'), 'mode', 'wait', /would grow \/ to 30 GiB/],
  ['ask', withMode('ask'), 'mode', 'ask', /a person must approve it/],
  ['a yes to another step', asked({ approval: { ...approval, step: '{}' } }), 'mode', 'ask', /must approve/],
  ['a yes that has run out', asked({ approval: { ...approval, until: NOW } }), 'mode', 'ask', /must approve/],
  ['a yes of the one who asked', asked({ approval, askedBy: 'ben' }), 'mode', 'ask', /other than ben/],
  [
    'a no',
    { incident: { ...anIncident, denied: { step, by: 'cleo', until: NOW + 1 } } },
    'mode',
    'escalate',
    /cleo said no/,
  ],
  [
    'an old signal',
    { incident: { ...anIncident, signals: { ...anIncident.signals, lastAt: NOW - hours(1) } } },
    'age',
    'wait',
    /second look/,
  ],
  [
    'a signal from the future',
    { incident: { ...anIncident, signals: { ...anIncident.signals, lastAt: NOW + hours(1) } } },
    'age',
    'escalate',
    /clock is wrong/,
  ],
  [
    'a freeze',
    policyWith({ freeze: [noon] }),
    'window',
    'wait',
    /freeze holds until 2026-11-24T12:30:00.000Z: a release/,
  ],
  [
    'outside maintenance',
    { ...interrupts, ...policyWith({ maintenance: [midnight] }) },
    'window',
    'wait',
    /outside the maintenance/,
  ],
  [
    'a window that cannot be read',
    policyWith({ freeze: [{ ...noon, timezone: 'Mars/Base' }] }),
    'window',
    'escalate',
    /could not be decided/,
  ],
  ['the same again', chart(done({ step, at: NOW - hours(23) })), 'attempts', 'escalate', /very same/],
  ['three attempts', chart(done(), done(), done()), 'attempts', 'escalate', /3 attempts in 24 h/],
  ['cooling down', chart(done({ rung: 'grow /', at: NOW - minutes(9) })), 'attempts', 'wait', /cools down for 10 min/],
  [
    'cooling down longer',
    chart(done({ rung: 'grow /' }), done({ rung: 'grow /', at: NOW - minutes(19) })),
    'attempts',
    'wait',
    /cools down for 20 min/,
  ],
  ['group unknown', { facts: { ...aProposal.facts, group: undefined } }, 'budget', 'wait', /could not be seen/],
  [
    'a group of none',
    { facts: { ...aProposal.facts, group: { id: 'asg/web', size: 0, zones: {} } } },
    'budget',
    'wait',
    /cannot be/,
  ],
  ['two of ten under repair', repairing('i-1', 'i-2'), 'budget', 'wait', /2 of 10 in asg\/web under repair, 2 allowed/],
  ['unknown who serves', { ...interrupts, ...serving(undefined) }, 'serving', 'wait', /which of its group serve/],
  [
    'the last that serves',
    { ...interrupts, ...serving({ self: true, others: [] }) },
    'serving',
    'ask',
    /no other member/,
  ],
  [
    'all others under repair',
    { ...interrupts, ...serving({ self: true, others: [memberArn('i-1')] }), ...repairing('i-1') },
    'serving',
    'ask',
    /no other member of asg\/web serves now/,
  ],
  [
    'attempts without end',
    { incident: { ...anIncident, attempts: Array.from({ length: 40 }, () => ({}) as never) } },
    'attempts',
    'escalate',
    /40 attempts did not end it/,
  ],
  [
    'attempts that fill the record',
    { incident: { ...anIncident, attempts: [{ before: 'x'.repeat(160_000) } as never] } },
    'attempts',
    'escalate',
    /its 1 attempts is as long as it may become/,
  ],
  ['troubles cannot be counted', { troubled: undefined }, 'breaker', 'wait', /could not be counted/],
  ['six of ten', { troubled: { 'euc1-az1': 6 } }, 'breaker', 'escalate', /6 of 10 in asg\/web fell ill within 5 min/],
  [
    'most of two zones',
    {
      troubled: { 'euc1-az1': 3, 'euc1-az2': 2 },
      facts: {
        ...aProposal.facts,
        group: { id: 'asg/web', size: 12, zones: { 'euc1-az1': 5, 'euc1-az2': 3, 'euc1-az3': 4 } },
      },
    },
    'breaker',
    'escalate',
    /zones euc1-az1 and euc1-az2/,
  ],
  [
    'a storm that a person knows of',
    { troubled: { 'euc1-az1': 6 }, ...breaker(NOW - minutes(1)) },
    'breaker',
    'wait',
    /fell ill/,
  ],
  [
    'a storm after an old one',
    { troubled: { 'euc1-az1': 6 }, ...breaker(NOW - hours(2)) },
    'breaker',
    'escalate',
    /fell ill/,
  ],
  [
    'AWS has an issue of its own there',
    { ...interrupts, ...withIssue(ISSUE) },
    'breaker',
    'escalate',
    /open issue of EC2 in eu-central-1a since .* stands back/,
  ],
  [
    'what a person decides, whatever the mode',
    { act: { ...aProposal.act, asks: 'its data may be inconsistent' } },
    'mode',
    'ask',
    /must approve it, for its data may be inconsistent: grow/,
  ],
  ['just after a storm', breaker(NOW - minutes(9)), 'breaker', 'wait', /over for 10 min/],
  ['too dear', cost(100.01), 'cost', 'escalate', /\$100 allowed/],
  ['price unknown', cost(Number.NaN), 'cost', 'escalate', /not known/],
  ['someone else is at it', lease('another'), 'lease', 'wait', /restart is at work on it/],
];

const passes: readonly (readonly [string, Partial<Proposal>])[] = [
  ['the last that serves, with nothing interrupted', serving({ self: true, others: [] })],
  [
    'the last that serves, approved',
    { ...interrupts, ...serving({ self: true, others: [] }), incident: { ...anIncident, approval } },
  ],
  ['one that serves no more', { ...interrupts, ...serving({ self: false, others: [] }) }],
  ['one that stands alone', { ...interrupts, ...serving('alone') }],
  [
    'a rung that is harmless of a remediation that interrupts',
    { remediation: { ...interrupts.remediation, risks: { grow: 'harmless' } }, ...serving(undefined) },
  ],
  ['nothing in the way', {}],
  ['a pause that is over', paused('all', NOW)],
  ['a pause of another group', paused('group/asg/api')],
  ['ignore=false', { facts: { ...aProposal.facts, tags: { 'steward:managed': 'TRUE', 'steward:ignore': 'False' } } }],
  ['scope all', { facts: { ...aProposal.facts, tags: {} }, ...policyWith({ scope: 'all' }) }],
  ["Steward's own", { facts: { ...aProposal.facts, tags: undefined, ours: true } }],
  ['another account of the policy', { home: '999999999999', ...policyWith({ accounts: ['111122223333'] }) }],
  ['a yes of somebody else', asked({ approval, askedBy: 'anna' })],
  ['a no to another step', { incident: { ...anIncident, denied: { step: '{}', by: 'cleo', until: NOW + 1 } } }],
  [
    'an old signal, second look',
    { incident: { ...anIncident, looks: 2, signals: { ...anIncident.signals, lastAt: NOW - hours(1) } } },
  ],
  ['harmless outside maintenance', policyWith({ maintenance: [midnight] })],
  ['in maintenance', { ...interrupts, ...policyWith({ maintenance: [noon] }) }],
  ['another rung', chart(done({ at: NOW - 1 }))],
  ['cooled down', chart(done({ rung: 'grow /', at: NOW - minutes(10) }))],
  ['the same yesterday', chart(done({ step, at: NOW - hours(24) }))],
  ['attempts of another remediation', chart(...Array(5).fill(done({ remediation: 'restart' })))],
  ['finishing does not count', { ...chart(done(), done(), done()), act: { ...aProposal.act, continues: true } }],
  ['one of ten under repair', repairing('i-1')],
  ['its own place', repairing('i-1', 'i-0123456789abcdef0')],
  ['half of the group', { troubled: { 'euc1-az1': 5 } }],
  [
    'both of two',
    {
      troubled: { 'euc1-az1': 2 },
      facts: { ...aProposal.facts, group: { id: 'asg/web', size: 2, zones: { 'euc1-az1': 2 } } },
    },
  ],
  [
    'what a person decides, at his word',
    { act: { ...aProposal.act, asks: 'of its data' }, incident: { ...anIncident, approval } },
  ],
  ['what is harmless, while AWS has an issue there', withIssue(ISSUE)],
  [
    'what goes on, while AWS has an issue there',
    { ...interrupts, ...withIssue(ISSUE), act: { ...aProposal.act, continues: true } },
  ],
  ['whether AWS has an issue is not known', { ...interrupts, ...withIssue({ unknown: 'no support plan' }) }],
  ['a storm that is over', breaker(NOW - minutes(10))],
  ['just affordable', cost(100)],
  ['its own lease', lease(anIncident.id)],
];

describe('each guard', () => {
  test.each(refusals)('refuses: %s', (_name, change, guard, consequence, because) => {
    expect(first(change)).toMatchObject({ guard, consequence, because: expect.stringMatching(because) });
  });
  test.each(passes)('lets through: %s', (_name, change) => {
    expect(first(change)).toBeUndefined();
  });

  test('is asked, in the order of the design, and says what it would take', () => {
    expect(guardNames).toStrictEqual([
      'switch',
      'scope',
      'snooze',
      'mode',
      'age',
      'window',
      'attempts',
      'budget',
      'serving',
      'breaker',
      'cost',
      'lease',
    ]);
    for (const [, change] of refusals) {
      const found = findings({ ...aProposal, ...change });
      expect(found.map((f) => f.guard)).toStrictEqual(guardNames);
      for (const f of found.filter(isRefusal)) {
        expect(f.because).not.toBe('');
        expect(f.remedy).not.toBe('');
        expect(f.consequence === 'not-ours' || f.again > NOW).toBe(true);
      }
    }
  });

  test('of several refusals the first decides', () => {
    const all = fc.subarray([...refusals], { minLength: 2 });
    fc.assert(
      fc.property(all, (some) => {
        // Changes of different fields do not disturb each other.
        const fields = some.flatMap(([, change]) => Object.keys(change));
        fc.pre(new Set(fields).size === fields.length);
        const guard = first(Object.assign({}, ...some.map(([, change]) => change)))?.guard ?? '';
        expect(guardNames.indexOf(guard)).toBe(Math.min(...some.map(([, , g]) => guardNames.indexOf(g))));
      }),
    );
  });
});

describe('ending an interruption that an effective step began', () => {
  const began = { attempts: [{ effect: 'effective' } as never] };
  const act = { ...aProposal.act, recovers: true };
  // A person who must approve has done so for the step that began it; a pause, the scope and the lease hold all the same.
  const open = new Set(['age', 'window', 'attempts', 'budget', 'serving', 'breaker']);
  test.each(refusals)('%s', (_name, change, guard, consequence) => {
    const incident = { ...(change.incident ?? anIncident), ...began };
    const refused = first({ ...change, incident, act: { ...(change.act ?? act), recovers: true } });
    const free = open.has(guard) || (guard === 'mode' && consequence === 'ask');
    expect(refused?.guard).toBe(free ? undefined : guard);
  });
  test('nothing of the kind for a step that merely says so', () => {
    expect(first({ ...interrupts, ...policyWith({ maintenance: [midnight] }), act })?.guard).toBe('window');
  });
});

describe('putting back', () => {
  const recovery = new Set(['serving', 'age', 'window', 'attempts', 'budget', 'breaker']);
  test.each(refusals)('%s', (_name, change, guard) => {
    const refused = first({ ...change, undoes: 1 });
    expect(refused?.guard).toBe(recovery.has(guard) ? undefined : guard);
  });
});

test('the budget is at least one, at most max and percent, and grows with the group', () => {
  const budget = fc.record({ max: fc.integer({ min: 1, max: 1000 }), percent: fc.integer({ min: 1, max: 100 }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), budget, (size, b) => {
      const allowed = allowedRepairs(size, b);
      expect(allowed).toBeGreaterThanOrEqual(1);
      expect(allowed).toBeLessThanOrEqual(b.max);
      expect(allowed === 1 || allowed * 100 <= size * b.percent).toBe(true);
      expect(allowedRepairs(size + 1, b)).toBeGreaterThanOrEqual(allowed);
    }),
  );
});
