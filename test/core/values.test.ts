/** The small rules: policy, windows, targets, errors, alarms, the incident's record. */
import fc from 'fast-check';
import { signalOfTags, signalsOfAlarm } from '../../shared/core/alarm.ts';
import { Conflict, InvalidInput, messageOf, Refused, Throttled, Unavailable } from '../../shared/core/errors.ts';
import { type Attempt, logged, stepText, withAttempt } from '../../shared/core/incident.ts';
import { defaultPolicy } from '../../shared/core/policy.ts';
import { idOf, instanceTarget, partitionOf, targetOf, typeOf, volumeTarget } from '../../shared/core/target.ts';
import { hours, iso, minutes, span } from '../../shared/core/time.ts';
import type { Json } from '../../shared/core/verdict.ts';
import { nextOpening, openUntil } from '../../shared/core/windows.ts';
import { drill } from '../../shared/remediations/drill.ts';
import { fullDisk } from '../../shared/remediations/fullDisk.ts';
import { anIncident, NOW } from './proposal.ts';

const where = { account: '111122223333', region: 'eu-central-1' };

describe('policy', () => {
  const risky = (risk: 'harmless' | 'interrupts' | 'destroys') => ({ ...fullDisk, name: 'x', risk });
  test.each([
    ['harmless', undefined, 'act'],
    ['interrupts', undefined, 'ask'],
    ['destroys', undefined, 'ask'],
    ['harmless', 'automatic', 'act'],
    ['interrupts', 'automatic', 'act'],
    ['destroys', 'automatic', 'ask'],
  ] as const)('%s with preset %s: %s, unless it is named', (risk, preset, mode) => {
    const given = preset ? { preset } : {};
    expect(defaultPolicy([risky(risk)], given).remediations['x']?.mode).toBe(mode);
    for (const named of ['off', 'watch', 'ask', 'act'])
      expect(
        defaultPolicy([risky(risk)], { ...given, remediations: { x: { mode: named } } }).remediations['x']?.mode,
      ).toBe(named);
  });

  test('an empty file is the safe one', () => {
    expect(defaultPolicy([fullDisk, drill])).toMatchObject({
      scope: 'tagged',
      accounts: [],
      breaker: { percent: 50, atLeast: 3, withinMinutes: 5, clearMinutes: 10 },
      signalMaxAgeMinutes: 15,
      remediations: {
        'full-disk': {
          attemptsPerDay: 3,
          budget: { max: 10, percent: 20 },
          options: { usedPercent: 80, maxGiB: 1024 },
        },
        drill: { attemptsPerDay: 50 },
      },
    });
  });

  test.each([
    ['a name that does not exist', { scop: 'all' }],
    ['of a remediation', { remediations: { 'full-dsik': {} } }],
    ['of an option', { remediations: { 'full-disk': { usedPercnt: 80 } } }],
    ['of a part', { breaker: { precent: 50 } }],
    ['a version of the future', { version: 2 }],
    ['cleaning what is younger than a day', { remediations: { 'full-disk': { cleanMinAgeHours: 23 } } }],
    ['no budget at all', { remediations: { 'full-disk': { budget: { max: 0 } } } }],
    ['a breaker that one member trips', { breaker: { atLeast: 1 } }],
    ['an account that is none', { accounts: ['12345'] }],
    ['a window without an end', { freeze: [{ cron: '0 0 * * *' }] }],
  ])('%s is refused', (_name, given) => {
    expect(() => defaultPolicy([fullDisk, drill], given)).toThrow();
  });
});

describe('windows', () => {
  const daily = (cron: string, length: number, timezone = 'UTC') => ({ cron, minutes: length, timezone, why: '' });
  const at = (text: string): number => Date.parse(text);

  test('an open one ends when it said, to the minute; over midnight too', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1439 }),
        fc.integer({ min: 1, max: 1400 }),
        fc.integer({ min: 0, max: 2 * 1440 * 60 - 1 }),
        (from, length, second) => {
          const now = at('2026-11-24T00:00:00Z') + second * 1000;
          const w = daily(`${from % 60} ${Math.floor(from / 60)} * * *`, length);
          const since = (((second / 60 - from) % 1440) + 1440) % 1440;
          const expected = since < length ? now + (length - since) * 60_000 : undefined;
          expect(openUntil(w, now)).toBe(expected === undefined ? undefined : Math.round(expected));
        },
      ),
    );
  });

  test('keep the local time when the clocks change', () => {
    const w = daily('30 1 * * *', 60, 'Europe/Berlin');
    // Summer time ends on 2026-10-25 at 03:00 local time: 01:30 is 23:30 UTC before, and 00:30 UTC after.
    expect(openUntil(w, at('2026-10-24T23:45:00Z'))).toBe(at('2026-10-25T00:30:00Z'));
    expect(openUntil(w, at('2026-10-26T00:45:00Z'))).toBe(at('2026-10-26T01:30:00Z'));
    expect(openUntil(w, at('2026-10-25T23:45:00Z'))).toBeUndefined();
    expect(nextOpening([w], at('2026-10-25T12:00:00Z'))).toBe(at('2026-10-26T00:30:00Z'));
  });

  test('one of many days is open on the last of them', () => {
    const w = daily('0 18 * * 5', 62 * 60, 'America/New_York');
    expect(openUntil(w, at('2026-11-22T12:00:00Z'))).toBe(at('2026-11-23T13:00:00Z'));
    expect(openUntil(w, at('2026-11-23T13:00:00Z'))).toBeUndefined();
  });

  test('the next of several; none of none; one that cannot be read is an error', () => {
    expect(nextOpening([daily('0 6 * * *', 1), daily('0 3 * * *', 1)], at('2026-11-24T02:00:00Z'))).toBe(
      at('2026-11-24T03:00:00Z'),
    );
    expect(nextOpening([], NOW)).toBeUndefined();
    expect(() => openUntil(daily('at noon', 5), NOW)).toThrow();
    expect(() => openUntil(daily('0 0 * * *', 5, 'Mars/Base'), NOW)).toThrow();
  });
});

describe('targets', () => {
  test('an instance is its ARN, in every partition', () => {
    expect(instanceTarget(where, 'i-0123456789abcdef0').arn).toBe(
      'arn:aws:ec2:eu-central-1:111122223333:instance/i-0123456789abcdef0',
    );
    expect(instanceTarget({ ...where, region: 'cn-north-1' }, 'i-01234567').arn).toMatch(/^arn:aws-cn:/);
    expect(['us-gov-west-1', 'cn-northwest-1', 'ap-south-2'].map(partitionOf)).toStrictEqual([
      'aws-us-gov',
      'aws-cn',
      'aws',
    ]);
  });
  test('reading one gives back what it was made of', () => {
    const hex = fc.stringMatching(/^([0-9a-f]{8}|[0-9a-f]{17})$/);
    fc.assert(
      fc.property(hex, fc.constantFrom('eu-central-1', 'cn-north-1', 'us-gov-east-1'), (id, region) => {
        for (const [make, name, type] of [
          [instanceTarget, `i-${id}`, 'instance'],
          [volumeTarget, `vol-${id}`, 'volume'],
        ] as const) {
          const t = make({ ...where, region }, name);
          expect(targetOf(t.arn)).toStrictEqual(t);
          expect([idOf(t), typeOf(t), t.region, t.account]).toStrictEqual([name, type, region, where.account]);
        }
      }),
    );
  });
  test('names with slashes and colons stay whole', () => {
    const t = targetOf('arn:aws:ssm:eu-central-1:111122223333:parameter/steward/prod/drill');
    expect([typeOf(t), idOf(t)]).toStrictEqual(['parameter', 'steward/prod/drill']);
    expect(typeOf(targetOf('arn:aws:rds:eu-central-1:111122223333:db:orders'))).toBe('');
  });
  test.each(['', 'i-0123', 'i-0123456789ABCDEF0', 'i-01234567; rm', 'vol-01234567', '../i-01234567'])(
    '%p is no instance',
    (id) => {
      expect(() => instanceTarget(where, id)).toThrow(InvalidInput);
    },
  );
  test.each([
    '',
    'arn:aws:s3:::bucket',
    'arn:aws:ec2:eu-central-1:1111:instance/i',
    'arn:aws:ec2::111122223333:instance/i',
  ])('%p is no target', (arn) => {
    expect(() => targetOf(arn)).toThrow(InvalidInput);
  });
});

describe('alarms', () => {
  const alarm = (name: string, dimensions: Record<string, string>, state: 'ALARM' | 'OK' = 'ALARM') => ({
    arn: 'arn:aws:cloudwatch:eu-central-1:111122223333:alarm:web',
    name: 'web',
    state,
    reason: 'Threshold Crossed',
    at: NOW,
    metrics: [{ namespace: 'CWAgent', name, dimensions }],
  });
  const id = { InstanceId: 'i-0123456789abcdef0' };
  test.each([
    ['disk_used_percent', id, 'disk.space-low', 'instance'],
    ['disk_inodes_free', id, 'disk.inodes-low', 'instance'],
    ['mem_used_percent', id, 'memory.low', 'instance'],
    ['CPUUtilization', id, 'cpu.high', 'instance'],
    ['StatusCheckFailed_Instance', id, 'instance.status-check-failed', 'instance'],
    ['StatusCheckFailed_System', id, 'instance.system-check-failed', 'instance'],
    ['FreeStorageSpace', { DBInstanceIdentifier: 'orders' }, 'database.storage-low', 'db:orders'],
    ['CPUUtilization', { ClusterName: 'shop', ServiceName: 'web' }, 'capacity.short', 'service/shop/web'],
    ['CPUUtilization', { AutoScalingGroupName: 'web' }, 'capacity.short', 'autoScalingGroupName/web'],
    ['RequestCountPerTarget', { TargetGroup: 'targetgroup/web/1' }, 'capacity.short', 'targetgroup/web/1'],
    [
      'CountedRequests',
      { WebACL: 'shop', Rule: 'per-address', Region: 'eu-central-1' },
      'web.flooded',
      'regional/webacl/shop/*',
    ],
    ['UnHealthyHostCount', { TargetGroup: 'targetgroup/web/1' }, 'load-balancer.unhealthy-hosts', 'targetgroup/web/1'],
  ])('%s names its trouble and its target', (metric, dimensions, kind, target) => {
    expect(signalsOfAlarm(alarm(metric, dimensions))).toMatchObject([
      { kind, target: { arn: expect.stringContaining(target) }, at: NOW },
    ]);
    expect(signalsOfAlarm(alarm(metric, dimensions, 'OK'))).toMatchObject([{ kind: 'target.changed' }]);
  });
  test('connections that a load balancer turns away: too little capacity, or a flood', () => {
    const full = signalsOfAlarm(alarm('RejectedConnectionCount', { LoadBalancer: 'app/web/1' }));
    expect(full.map((s) => s.kind)).toEqual(['capacity.short', 'web.flooded']);
    for (const { target } of full) expect(target.arn).toMatch(/:loadbalancer\/app\/web\/1$/);
  });
  test('those of target tracking only make others look again', () => {
    const own = alarm('CPUUtilization', { ClusterName: 'shop', ServiceName: 'web' });
    for (const which of ['High', 'Low'])
      expect(signalsOfAlarm({ ...own, name: `TargetTracking-service/shop/web-Alarm${which}-0b1` })).toMatchObject([
        { kind: 'target.changed', target: { arn: expect.stringContaining('service/shop/web') } },
      ]);
  });
  test.each([
    ['Sausages', id],
    ['disk_used_percent', {}],
    ['constructor', id],
  ])('%s of %p names nothing: its tags may', (metric, dimensions) => {
    const [unnamed] = signalsOfAlarm(alarm(metric, dimensions));
    expect(unnamed).toMatchObject({ kind: 'alarm.unnamed', target: { arn: expect.stringMatching(/alarm:web$/) } });
    const tags = { 'steward:signal': 'memory.low', 'steward:target': 'i-01234567' };
    expect(signalOfTags(unnamed!, tags)).toMatchObject({
      kind: 'memory.low',
      target: { arn: expect.stringContaining('i-01234567') },
    });
    expect(signalOfTags(unnamed!, {})).toBeUndefined();
    for (const bad of [
      { 'steward:signal': 'memory.lo' },
      { 'steward:target': 'i-01234567' },
      { 'steward:signal': 'memory.low' },
    ])
      expect(() => signalOfTags(unnamed!, bad)).toThrow(InvalidInput);
  });
  test('several metrics of one target are one signal', () => {
    const one = alarm('disk_used_percent', id);
    const [metric] = one.metrics;
    expect(signalsOfAlarm({ ...one, metrics: [metric!, metric!, { ...metric!, name: 'disk_free' }] })).toHaveLength(1);
  });
});

describe('the record of an incident', () => {
  test('keeps its first ten lines and its last forty, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('seen', 'waiting', 'refused'), fc.integer({ min: 0, max: 30 }))),
        (lines) => {
          let i = anIncident;
          const told: string[] = [];
          for (const [what, n] of lines) {
            const next = logged(i, NOW, what, `line ${n}`);
            if (next !== i) told.push(`${what} line ${n}`);
            i = next;
          }
          const kept = i.log.map((l) => `${l.what} ${l.say}`);
          expect(kept).toStrictEqual(told.length <= 50 ? told : [...told.slice(0, 10), ...told.slice(-40)]);
        },
      ),
      { numRuns: 60 },
    );
  });
  test('does not say the same twice in a row of its kind, and cuts what is endless', () => {
    const once = logged(anIncident, NOW, 'seen', 'x'.repeat(5000));
    expect(once.log[0]?.say).toHaveLength(600);
    const said = logged(logged(anIncident, NOW, 'seen', 'full'), NOW, 'waiting', 'later');
    expect(logged(said, NOW + 1, 'seen', 'full')).toBe(said);
  });
  test('a long line said twice is one', () => {
    const once = logged(anIncident, NOW, 'seen', 'x'.repeat(5000));
    expect(logged(once, NOW + 1, 'seen', 'x'.repeat(5000))).toBe(once);
  });
  test('an attempt replaces itself and no other', () => {
    const attempt = (n: number, plan: string) => ({ n, plan }) as Attempt;
    const i = withAttempt(withAttempt(anIncident, attempt(1, 'a')), attempt(2, 'b'));
    expect(withAttempt(i, attempt(1, 'c')).attempts.map((a) => a.plan)).toStrictEqual(['c', 'b']);
  });
  test('steps that differ only in the order of their keys are the same; any other difference counts', () => {
    const shuffled = (v: Json): Json =>
      Array.isArray(v)
        ? v.map(shuffled)
        : v !== null && typeof v === 'object'
          ? Object.fromEntries(
              Object.entries(v)
                .reverse()
                .map(([k, x]) => [k, shuffled(x as Json)]),
            )
          : v;
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        expect(stepText(shuffled(a as Json))).toBe(stepText(a as Json));
        expect(JSON.parse(stepText(a as Json))).toStrictEqual(JSON.parse(JSON.stringify(a)));
        const same = stepText(a as Json) === stepText(b as Json);
        expect(same).toBe(stepText(JSON.parse(stepText(a as Json))) === stepText(JSON.parse(stepText(b as Json))));
      }),
    );
    expect(stepText({ a: [1, 2] })).not.toBe(stepText({ a: [2, 1] }));
  });
});

test('errors say what the caller can do', () => {
  expect(new Throttled('x').retry).toBe('later');
  expect(new Unavailable('x').retry).toBe('later');
  expect(new Refused('Limit', 'x')).toMatchObject({ retry: 'never', code: 'Limit', name: 'Refused' });
  expect(new Conflict(['target a', 'group b']).message).toBe('target a, group b changed in the meantime');
  expect(messageOf('text')).toBe('text');
});

test('spans are said as people say them', () => {
  expect(
    [0, 119_000, minutes(2), minutes(119), hours(2), hours(2) + minutes(5), hours(48), -5].map(span),
  ).toStrictEqual(['0 s', '119 s', '2 min', '119 min', '2 h', '2 h 5 min', '2 d', '0 s']);
  expect(iso(0)).toBe('1970-01-01T00:00:00.000Z');
});
