/** web-flooded in the world: a rate-based rule blocks while a flood harms, and counts again; nothing else of the web ACL changes. */
import { type Rule, UpdateWebACLCommand, type WebACL } from '@aws-sdk/client-wafv2';
import { signalMessage } from '../../events/steward/signal.ts';
import { signalsOfAlarm } from '../../shared/core/alarm.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { type Acl, cameIn, comeIn, makeWebAcl, rateRule, type Traffic } from '../../world/waf.ts';
import { createDesk } from '../cli/desk.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, following } from './account.ts';

const NAME = 'web-flooded';
const TAGS = { 'steward:managed': 'true' };
const RULE = 'per-address';
const seen = (MetricName: string) => ({ MetricName, SampledRequestsEnabled: true, CloudWatchMetricsEnabled: true });
/** Everything that a web ACL can have, so that what is lost shows. */
const RICH: Partial<WebACL> = {
  Description: 'The shop',
  DefaultAction: { Allow: { CustomRequestHandling: { InsertHeaders: [{ Name: 'x-seen', Value: 'waf' }] } } },
  CustomResponseBodies: { sorry: { ContentType: 'TEXT_PLAIN', Content: 'Later, please' } },
  CaptchaConfig: { ImmunityTimeProperty: { ImmunityTime: 300 } },
  ChallengeConfig: { ImmunityTimeProperty: { ImmunityTime: 600 } },
  TokenDomains: ['example.com'],
  AssociationConfig: { RequestBody: { CLOUDFRONT: { DefaultSizeInspectionLimit: 'KB_64' } } },
  DataProtectionConfig: {
    DataProtections: [{ Field: { FieldType: 'SINGLE_HEADER', FieldKeys: ['authorization'] }, Action: 'HASH' }],
  },
  OnSourceDDoSProtectionConfig: { ALBLowReputationMode: 'ACTIVE_UNDER_DDOS' },
  Rules: [
    {
      Name: 'common',
      Priority: 0,
      Statement: {
        ManagedRuleGroupStatement: {
          VendorName: 'AWS',
          Name: 'AWSManagedRulesCommonRuleSet',
          RuleActionOverrides: [{ Name: 'SizeRestrictions_BODY', ActionToUse: { Count: {} } }],
        },
      },
      OverrideAction: { None: {} },
      VisibilityConfig: seen('common'),
    },
    rateRule(RULE, {
      Priority: 1,
      Action: { Count: { CustomRequestHandling: { InsertHeaders: [{ Name: 'x-many', Value: 'yes' }] } } },
      RuleLabels: [{ Name: 'many' }],
    }),
    {
      Name: 'strangers',
      Priority: 2,
      Statement: {
        NotStatement: {
          Statement: {
            IPSetReferenceStatement: {
              ARN: 'arn:aws:wafv2:eu-central-1:111122223333:regional/ipset/office/0a1b2c3d-1111-2222-3333-444455556666',
            },
          },
        },
      },
      Action: { Count: {} },
      VisibilityConfig: seen('strangers'),
    },
    {
      Name: 'bytes',
      Priority: 3,
      Statement: {
        ByteMatchStatement: {
          SearchString: new Uint8Array([0, 255, 13, 10]),
          FieldToMatch: { UriPath: {} },
          TextTransformations: [{ Priority: 0, Type: 'NONE' }],
          PositionalConstraint: 'CONTAINS',
        },
      },
      Action: { Block: { CustomResponse: { ResponseCode: 429, CustomResponseBodyKey: 'sorry' } } },
      VisibilityConfig: seen('bytes'),
    },
  ],
};
const QUIET: Traffic = { under: 2_000, over: 0 };
const FLOOD: Traffic = { under: 2_000, over: 8_000 };

interface Told extends AccountOptions {
  readonly of?: Parameters<typeof makeWebAcl>[2];
  readonly settings?: object;
  /** Of the day before. */
  readonly before?: Traffic;
  readonly hoursBefore?: number;
}
const started = async ({ of = {}, settings = {}, before = QUIET, hoursBefore = 12, ...options }: Told = {}) => {
  const remedies = { [NAME]: { rules: [RULE], ...settings } };
  const desk = createDesk({ policy: { preset: 'automatic', remediations: remedies }, ...options });
  const { account } = desk;
  const { world, run } = account;
  const balancer = `arn:aws:elasticloadbalancing:${world.region}:${world.account}:loadbalancer/app/shop/0123456789abcdef`;
  const sources = [
    { address: '198.51.100.7', country: 'NL', agents: 1, weight: 400 },
    { address: '198.51.100.8', country: 'FR', agents: 2, weight: 100 },
  ];
  const acl = makeWebAcl(world, 'shop', { ...RICH, guards: [balancer], tags: TAGS, sources, ...of });
  const traffic = { now: before };
  cameIn(world, acl, RULE, hoursBefore, before);
  // It takes 4,000 requests in a minute.
  comeIn(world, acl, RULE, 4_000, () => traffic.now);
  await run(minutes(20));
  const calls = (operation: string) =>
    world.calls.filter((c) => c.operation === operation && c.principal.includes(`remedy-${NAME}/`));
  const rule = (name = RULE): Rule | undefined => acl.saved.Rules?.find((r) => r.Name === name);
  const save = async (change: Partial<WebACL>) => {
    const { saved, lock } = acl;
    const {
      ARN: _a,
      Capacity: _c,
      LabelNamespace: _l,
      ManagedByFirewallManager: _m,
      ...rest
    } = { ...saved, ...change };
    const call = clientsOf(world).waf.send(new UpdateWebACLCommand({ ...rest, Scope: 'REGIONAL', LockToken: lock }));
    await run(seconds(1));
    await call;
  };
  return {
    ...account,
    ...desk,
    ...following(account, acl.saved.ARN ?? '', NAME),
    acl,
    balancer,
    traffic,
    rule,
    calls,
    save,
  };
};
const others = ({ saved }: Acl) => ({
  ...saved,
  Rules: saved.Rules?.map((r) => (r.Name === RULE ? { ...r, Action: undefined } : r)),
});

test('a flood that harms: the rule blocks, the flood stops harming; when it is calm the rule counts again, as it was', async () => {
  const s = await started();
  const was = structuredClone(s.acl.saved);
  s.traffic.now = FLOOD;
  await s.run(minutes(25), () => s.rule()?.Action?.Block !== undefined);
  expect(s.rule()?.Action).toEqual({ Block: {} });
  expect(others(s.acl)).toEqual(others({ ...s.acl, saved: was }));
  expect(s.last()?.attempts[0]?.because).toMatch(
    /were over the limit of its rule per-address \(\d+ %, in the day before 0 %\); 2 addresses over it now; of a sample 198\.51\.100\.7 \(NL\) 80 % by 1 user agent, 198\.51\.100\.8 \(FR\) 20 % by 2 user agents; behind it \d+ % of the requests failed/,
  );
  await s.run(hours(3));
  expect(s.rule()?.Action).toEqual({ Block: {} });
  expect(s.last()?.because).toContain('the rule blocks until it is calm for 30 min');
  s.traffic.now = QUIET;
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([
    ['block', 'effective'],
    ['count', 'effective'],
  ]);
  expect(s.acl.saved).toEqual(was);
  expect(s.calls('UpdateWebACL')).toHaveLength(2);
});

test('requests over the limit that harm nobody are let be', async () => {
  const s = await started();
  s.traffic.now = { under: 1_000, over: 2_000 };
  await s.run(hours(1));
  expect(s.calls('UpdateWebACL')).toEqual([]);
  expect(s.last()).toBeUndefined();
});

test('it fails, and few are over the limit: those are not why, and nobody is blocked', async () => {
  const s = await started();
  s.traffic.now = { under: 9_000, over: 500 };
  await s.run(hours(1));
  expect(s.calls('UpdateWebACL')).toEqual([]);
});

test('people of every day were over the limit the day before: refused, with figures', async () => {
  const s = await started({ before: { under: 2_000, over: 100 } });
  s.traffic.now = FLOOD;
  await s.run(minutes(40), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  expect(s.last()?.because).toContain(
    'in the day before it counted 4.8 % of all requests, and would block people of every day',
  );
  expect(s.last()?.remedy).toContain('aws wafv2 get-sampled-requests');
  expect(s.rule()?.Action?.Count).toBeDefined();
});

test('too little is known of the day before: a person is asked', async () => {
  const s = await started({ hoursBefore: 3 });
  s.traffic.now = FLOOD;
  await s.run(minutes(40), s.over);
  expect(s.last()).toMatchObject({ state: 'asking' });
  expect(s.last()?.because).toContain('of the day before too little is known');
  await s.steward('alice')('approve', s.last()?.id ?? '', '--yes');
  await s.run(minutes(5));
  expect(s.rule()?.Action).toEqual({ Block: {} });
});

test('without a yes of the policy or a person: blocking interrupts, so it asks', async () => {
  const s = await started({ policy: { remediations: { [NAME]: { rules: [RULE] } } } });
  s.traffic.now = FLOOD;
  await s.run(minutes(40), s.over);
  expect(s.last()).toMatchObject({ state: 'asking' });
});

test('a rule that the policy does not name: a person is told', async () => {
  const s = await started({ settings: { rules: ['another'] } });
  s.traffic.now = FLOOD;
  await s.run(minutes(40), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  expect(s.last()?.because).toContain('the policy does not name that rule');
  expect(s.last()?.remedy).toContain('remediations.web-flooded.rules: [per-address]');
});

test.each([
  ['without the tag', { tags: {} }],
  [
    'whose rule takes all requests together',
    {
      Rules: [
        rateRule(RULE, {
          Statement: {
            RateBasedStatement: {
              Limit: 2_000,
              AggregateKeyType: 'CONSTANT',
              ScopeDownStatement: { GeoMatchStatement: { CountryCodes: ['DE'] } },
            },
          },
        }),
      ],
    },
  ],
  [
    'whose rule is not measured',
    { Rules: [rateRule(RULE, { VisibilityConfig: { ...seen(RULE), CloudWatchMetricsEnabled: false } })] },
  ],
] as const)('a web ACL %s is left alone', async (_name, of) => {
  const s = await started({ of: of as Told['of'] & object });
  s.traffic.now = FLOOD;
  await s.run(minutes(40));
  expect(s.calls('UpdateWebACL')).toEqual([]);
  expect(s.last()).toBeUndefined();
});

test('Firewall Manager owns it: a person is told', async () => {
  const s = await started({ of: { ManagedByFirewallManager: true } });
  s.traffic.now = FLOOD;
  await s.run(minutes(40), s.over);
  expect(s.last()?.because).toContain('it belongs to Firewall Manager');
  expect(s.calls('UpdateWebACL')).toEqual([]);
});

describe('somebody else', () => {
  const flooded = async (told: Told = {}) => {
    const s = await started(told);
    s.traffic.now = FLOOD;
    await s.run(minutes(25), () => s.rule()?.Action?.Block !== undefined);
    await s.run(minutes(2));
    return s;
  };
  const changed = (s: { acl: Acl }, change: Partial<Rule>) => ({
    Rules: s.acl.saved.Rules?.map((r) => (r.Name === RULE ? { ...r, ...change } : r)) ?? [],
  });

  test.each([
    ['sets the rule back to Count', { Action: { Count: {} } }],
    [
      'gives it another limit',
      { Statement: { RateBasedStatement: { Limit: 9_000, AggregateKeyType: 'IP' as const } } },
    ],
  ])('%s meanwhile: it is left as it is', async (_name, change) => {
    const s = await flooded();
    await s.save(changed(s, change));
    const left = structuredClone(s.acl.saved);
    s.traffic.now = QUIET;
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'not-ours' });
    expect(s.acl.saved).toEqual(left);
  });

  test('changes another rule meanwhile: that stays when the rule counts again', async () => {
    const s = await flooded();
    const [first, ...rest] = s.acl.saved.Rules ?? [];
    await s.save({ Rules: [{ ...(first as Rule), OverrideAction: { Count: {} } }, ...rest] });
    s.traffic.now = QUIET;
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rule()?.Action?.Count).toBeDefined();
    expect(s.rule('common')?.OverrideAction).toEqual({ Count: {} });
  });

  test('saves it between our read and our write: nothing of theirs is lost, and it is tried anew', async () => {
    const s = await started();
    s.traffic.now = FLOOD;
    s.world.faults.failNext('wafv2', 'UpdateWebACL', { code: 'WAFOptimisticLockException' });
    await s.run(minutes(30), () => s.rule()?.Action?.Block !== undefined);
    expect(s.rule()?.Action).toEqual({ Block: {} });
    expect(s.calls('UpdateWebACL').map((c) => c.error !== undefined)).toEqual([true, false]);
  });
});

test('others are blocked as well: it is set back within half an hour, and a person is told', async () => {
  const s = await started();
  s.traffic.now = FLOOD;
  await s.run(minutes(25), () => s.rule()?.Action?.Block !== undefined);
  // Most of those who kept the limit are over it now: they came to stand behind one address.
  s.traffic.now = { under: 500, over: 9_500 };
  await s.run(minutes(40), () => s.rule()?.Action?.Count !== undefined);
  expect(s.rule()?.Action?.Count).toBeDefined();
  await s.run(minutes(30), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated' });
  expect(s.last()?.because).toContain('others were blocked as well');
});

test('it does not help: a person is told, and the rule blocks on while the flood goes on', async () => {
  const s = await started();
  s.traffic.now = { under: 5_500, over: 8_000 };
  await s.run(hours(1), () => s.last()?.state === 'escalated');
  expect(s.last()?.because).toMatch(/behind it \d+ % of the requests failed, \d+ min after the rule was set to Block/);
  expect(s.rule()?.Action).toEqual({ Block: {} });
  s.traffic.now = QUIET;
  await s.run(hours(2), () => s.last()?.state === 'closed');
  expect(s.rule()?.Action?.Count).toBeDefined();
});

test('undo sets it back at once', async () => {
  const s = await started();
  const was = structuredClone(s.acl.saved);
  s.traffic.now = FLOOD;
  await s.run(minutes(25), () => s.rule()?.Action?.Block !== undefined);
  await s.run(minutes(5));
  expect(await s.steward('bob')('undo', s.last()?.id ?? '', '--yes')).toMatchObject({ code: 0 });
  await s.run(minutes(5), s.over);
  expect(s.last()).toMatchObject({ end: 'undone' });
  expect(s.acl.saved).toEqual(was);
});

test('a lost reply and a throttle: it is set once', async () => {
  const s = await started();
  s.traffic.now = FLOOD;
  s.world.faults.failNext('wafv2', 'UpdateWebACL', { kind: 'throttle' });
  s.world.faults.failNext('wafv2', 'UpdateWebACL', { kind: 'drop', afterEffect: true });
  await s.run(minutes(40), () => s.rule()?.Action?.Block !== undefined);
  await s.run(minutes(10));
  expect(s.rule()?.Action).toEqual({ Block: {} });
  expect(s.last()?.attempts.at(-1)).toMatchObject({ effect: 'effective' });
});

test.each([
  [
    'its load balancer turns connections away',
    'RejectedConnectionCount',
    (s: { balancer: string }) => ({ LoadBalancer: s.balancer.split(':loadbalancer/')[1] ?? '' }),
  ],
  ['a rule of it counts', 'CountedRequests', () => ({ WebACL: 'shop', Rule: RULE, Region: 'eu-central-1' })],
])('by an alarm: %s', async (_name, metric, dimensions) => {
  const s = await started();
  s.traffic.now = FLOOD;
  await s.run(minutes(4));
  const alarm = {
    arn: `arn:aws:cloudwatch:${s.world.region}:${s.world.account}:alarm:flood`,
    name: 'flood',
    state: 'ALARM' as const,
    reason: 'a test',
    at: s.clock.now(),
    metrics: [{ namespace: 'any', name: metric, dimensions: dimensions(s) }],
  };
  for (const signal of signalsOfAlarm(alarm)) s.deliver(signalMessage(signal));
  await s.run(seconds(50), () => s.rule()?.Action?.Block !== undefined);
  expect(s.last()?.openedAt).toBeLessThan(alarm.at + minutes(1));
});
