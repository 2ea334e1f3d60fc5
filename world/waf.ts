/** AWS WAF: regional web ACLs, saved whole and with a lock, their rate-based rules, and the floods that those count or block. */
import * as api from '@aws-sdk/client-wafv2';
import { emitApiCall } from './apiCalls.ts';
import { fromTags, toTags } from './describe.ts';
import { putPoint } from './metrics.ts';
import { AwsError, defineService, jsonWords, type Operations, type Resource } from './service.ts';
import type { World } from './world.ts';

/** Requests of a minute from those who keep the limit of a rule, and from those who do not. */
export type Traffic = { readonly under: number; readonly over: number };
export type Acl = {
  /** As it was saved last, whole. */
  saved: api.WebACL;
  lock: string;
  tags: Record<string, string>;
  /** ARNs of what it guards. */
  readonly guards: string[];
  /** Of the rule that is over its limit: addresses, and how the sample is spread over them. */
  sources: { readonly address: string; readonly country: string; readonly agents: number; readonly weight: number }[];
  /** What each rule does where requests come in: a minute after it was saved. */
  readonly inForce: Map<string, api.RuleAction | undefined>;
};
export type WafState = { readonly acls: Map<string, Acl> };
export const createWafState = (): WafState => ({ acls: new Map() });

const PROPAGATES = 60_000;

const spread = (world: World, acl: Acl) => {
  const actions = (acl.saved.Rules ?? []).map((r) => [r.Name ?? '', r.Action] as const);
  world.clock.at(world.clock.now() + PROPAGATES, () => {
    for (const [name, action] of actions) acl.inForce.set(name, action);
  });
};

const visible = (MetricName: string) => ({ MetricName, SampledRequestsEnabled: true, CloudWatchMetricsEnabled: true });
/** A rate-based rule that counts: 2,000 requests of one address in five minutes. */
export const rateRule = (name: string, given: Partial<api.Rule> = {}): api.Rule => ({
  Name: name,
  Priority: 1,
  Statement: { RateBasedStatement: { Limit: 2_000, EvaluationWindowSec: 300, AggregateKeyType: 'IP' } },
  Action: { Count: {} },
  VisibilityConfig: visible(name),
  ...given,
});

export const makeWebAcl = (
  world: World,
  name: string,
  {
    guards = [],
    tags = {},
    sources = [],
    ...given
  }: Partial<api.WebACL & Pick<Acl, 'guards' | 'tags' | 'sources'>> = {},
): Acl => {
  const id = world.random.uuid();
  const acl: Acl = {
    saved: {
      Name: name,
      Id: id,
      ARN: `arn:aws:wafv2:${world.region}:${world.account}:regional/webacl/${name}/${id}`,
      DefaultAction: { Allow: {} },
      Rules: [rateRule('per-address')],
      VisibilityConfig: visible(name),
      Capacity: 2,
      ManagedByFirewallManager: false,
      LabelNamespace: `awswaf:${world.account}:webacl:${name}:`,
      ...given,
    },
    lock: world.random.uuid(),
    tags,
    guards,
    sources,
    inForce: new Map(),
  };
  for (const r of acl.saved.Rules ?? []) acl.inForce.set(r.Name ?? '', r.Action);
  world.waf.acls.set(acl.saved.ARN ?? '', acl);
  return acl;
};

/**
 * Requests of each minute before a load balancer that takes `most` of them in a minute: what its web ACL lets through beyond that fails. `rule` is the one whose
 * limit some do not keep. Counted by both, and published a minute later.
 */
export const comeIn = (world: World, acl: Acl, rule: string, most: number, each: () => Traffic) => {
  const { clock } = world;
  const minute = () => {
    const at = clock.now();
    const traffic = each();
    const does = acl.inForce.get(rule);
    clock.at(at + 60_000, () => count(world, acl, rule, { ...traffic, at, most, does }));
    clock.at(at + 60_000, minute);
  };
  minute();
};

/** What would have been counted in each of the hours before now, had it come in then and the rule counted. Only before anything else is counted. */
export const cameIn = (world: World, acl: Acl, rule: string, hours: number, { under, over }: Traffic) => {
  const now = world.clock.now();
  for (let at = now - hours * 3_600_000; at < now; at += 3_600_000)
    count(world, acl, rule, { under: under * 60, over: over * 60, at, most: Infinity, does: { Count: {} } });
};

type Minute = Traffic & { readonly at: number; readonly most: number; readonly does: api.RuleAction | undefined };
const count = (world: World, acl: Acl, rule: string, { under, over, at, most, does }: Minute) => {
  const blocked = does?.Block ? over : 0;
  const allowed = under + over - blocked;
  const put = (namespace: string, dimensions: Record<string, string>, name: string, sum: number) => {
    if (sum > 0) putPoint(world, { namespace, name, dimensions, point: { at, min: 1, max: 1, sum, count: sum } });
  };
  const waf = (Rule: string, name: string, sum: number) =>
    put('AWS/WAFV2', { WebACL: acl.saved.VisibilityConfig?.MetricName ?? '', Rule, Region: world.region }, name, sum);
  const LoadBalancer = acl.guards[0]?.split(':loadbalancer/')[1] ?? '';
  const elb = (name: string, sum: number) => put('AWS/ApplicationELB', { LoadBalancer }, name, sum);
  waf(rule, 'CountedRequests', does?.Count ? over : 0);
  waf(rule, 'BlockedRequests', blocked);
  waf('ALL', 'AllowedRequests', allowed);
  waf('ALL', 'BlockedRequests', blocked);
  elb('RequestCount', allowed);
  elb('HTTPCode_Target_5XX_Count', Math.max(0, allowed - most));
};

const none = (what: string): never => {
  throw new AwsError(
    'WAFNonexistentItemException',
    `AWS WAF couldn’t perform the operation because ${what} doesn’t exist.`,
  );
};
const invalid = (what: string): never => {
  throw new AwsError(
    'WAFInvalidParameterException',
    `Error reason: The parameter is missing or invalid, field: ${what}`,
  );
};
const byArn = (world: World, arn: string | undefined): Acl =>
  world.waf.acls.get(arn ?? '') ?? none(`the web ACL ${arn}`);
const byId = (world: World, id: string | undefined): Acl =>
  [...world.waf.acls.values()].find((a) => a.saved.Id === id) ?? none(`the web ACL ${id}`);

const checked = ({ DefaultAction, VisibilityConfig, Rules = [] }: Partial<api.UpdateWebACLRequest>) => {
  if (!DefaultAction) invalid('DEFAULT_ACTION');
  if (!VisibilityConfig) invalid('VISIBILITY_CONFIG');
  const priorities = new Set(Rules.map((r) => r.Priority));
  if (priorities.size < Rules.length) invalid('RULE_PRIORITY');
  for (const r of Rules) if (!r.Statement || !r.VisibilityConfig || (!r.Action && !r.OverrideAction)) invalid('RULE');
};

const operations: Operations<typeof api> = {
  CreateWebACL: (input, call) => {
    const { world } = call;
    const { Scope: _, Tags = [], Name = '', ...saved } = input;
    checked(saved as api.UpdateWebACLRequest);
    const { saved: made, lock } = makeWebAcl(world, Name, { Rules: [], ...saved, tags: fromTags(Tags) });
    return { Summary: { Name, Id: made.Id, ARN: made.ARN, LockToken: lock } };
  },
  ListWebACLs: (_input, { world }) => ({
    WebACLs: [...world.waf.acls.values()].map(({ saved, lock }) => ({
      Name: saved.Name,
      Id: saved.Id,
      ARN: saved.ARN,
      LockToken: lock,
    })),
  }),
  GetWebACL: (input, { world }) => {
    const { saved, lock } = input.ARN ? byArn(world, input.ARN) : byId(world, input.Id);
    return { WebACL: saved, LockToken: lock };
  },
  /** "Completely replaces the mutable specifications": what is left out is gone. */
  UpdateWebACL: (input, call) => {
    const { world } = call;
    const { Scope: _, LockToken, Id, Name, ...given } = input;
    const acl = byId(world, Id);
    checked(given);
    if (LockToken !== acl.lock)
      throw new AwsError(
        'WAFOptimisticLockException',
        'AWS WAF couldn’t save your changes because the resource has changed since you last retrieved it.',
      );
    const { ARN, Capacity, LabelNamespace, ManagedByFirewallManager } = acl.saved;
    acl.saved = {
      ...given,
      Name,
      Id,
      ARN,
      Capacity,
      LabelNamespace,
      ManagedByFirewallManager,
      Rules: given.Rules ?? [],
    };
    acl.lock = world.random.uuid();
    spread(world, acl);
    emitApiCall(call, {
      service: 'wafv2',
      eventName: 'UpdateWebACL',
      requestParameters: { name: Name, id: Id, scope: 'REGIONAL' },
    });
    return { NextLockToken: acl.lock };
  },
  ListTagsForResource: (input, { world }) => ({
    TagInfoForResource: { ResourceARN: input.ResourceARN, TagList: toTags(byArn(world, input.ResourceARN).tags) },
  }),
  ListResourcesForWebACL: (input, { world }) => ({ ResourceArns: [...byArn(world, input.WebACLArn).guards] }),
  GetWebACLForResource: (input, { world }) => {
    const found = [...world.waf.acls.values()].find((a) => a.guards.includes(input.ResourceArn ?? ''));
    return found ? { WebACL: found.saved } : {};
  },
  GetRateBasedStatementManagedKeys: (input, { world }) => ({
    ManagedKeysIPV4: {
      IPAddressVersion: 'IPV4' as const,
      Addresses: byId(world, input.WebACLId).sources.map((s) => `${s.address}/32`),
    },
    ManagedKeysIPV6: { IPAddressVersion: 'IPV6' as const, Addresses: [] },
  }),
  GetSampledRequests: (input, { world }) => ({
    SampledRequests: byArn(world, input.WebAclArn).sources.flatMap((s) =>
      Array.from({ length: s.agents }, (_, n) => ({
        Request: {
          ClientIP: s.address,
          Country: s.country,
          URI: '/',
          Method: 'GET',
          Headers: [{ Name: 'User-Agent', Value: `agent ${n}` }],
        },
        Weight: Math.round(s.weight / s.agents),
        Timestamp: new Date(world.clock.now()),
        Action: 'COUNT',
      })),
    ),
    PopulationSize: 500,
    TimeWindow: input.TimeWindow,
  }),
};

/** What a web ACL refers to, as IAM is asked about it. Source: Service Authorization Reference, UpdateWebACL: webacl, ipset, managedruleset, regexpatternset, rulegroup. */
const referred = (world: World, rules: unknown): Resource[] => {
  const text = JSON.stringify(rules ?? []);
  const named = [...text.matchAll(/"ARN":"(arn:[^"]+)"/g)].map(([, arn = '']) => ({ arn }));
  const managed = `arn:aws:wafv2:${world.region}:${world.account}:regional/managedruleset/*/*`;
  return [...named, ...(text.includes('"ManagedRuleGroupStatement"') ? [{ arn: managed }] : [])];
};
const known = (found: Acl | undefined, arn = '*'): Resource[] => [
  { arn: found?.saved.ARN ?? arn, tags: found?.tags ?? {} },
];
const ofArn = (world: World, arn: string | undefined): Resource[] => known(world.waf.acls.get(arn ?? ''), arn);
const ofId = (world: World, id: string | undefined): Resource[] =>
  known([...world.waf.acls.values()].find((a) => a.saved.Id === id));

export const wafService = defineService<typeof api>({
  name: 'wafv2',
  signingName: 'wafv2',
  iamPrefix: 'wafv2',
  protocol: 'json',
  xmlNamespace: '',
  api,
  words: { ...jsonWords, internal: ['WAFInternalErrorException', 500] },
  operations,
  resources: {
    GetWebACL: (input, world) => (input.ARN ? ofArn(world, input.ARN) : ofId(world, input.Id)),
    UpdateWebACL: (input, world) => [...ofId(world, input.Id), ...referred(world, input.Rules)],
    ListTagsForResource: (input, world) => ofArn(world, input.ResourceARN),
    ListResourcesForWebACL: (input, world) => ofArn(world, input.WebACLArn),
    GetRateBasedStatementManagedKeys: (input, world) => ofId(world, input.WebACLId),
    GetSampledRequests: (input, world) => ofArn(world, input.WebAclArn),
  },
});
