import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import {
  GetRateBasedStatementManagedKeysCommand,
  GetSampledRequestsCommand,
  GetWebACLCommand,
  GetWebACLForResourceCommand,
  ListResourcesForWebACLCommand,
  ListTagsForResourceCommand,
  ListWebACLsCommand,
  type Rule,
  type SampledHTTPRequest,
  UpdateWebACLCommand,
  type UpdateWebACLCommandInput,
  WAFV2Client,
  type WebACL,
} from '@aws-sdk/client-wafv2';
import { InvalidInput, NotFound, Refused } from '../core/errors.ts';
import type { Json } from '../core/verdict.ts';
import type { AclRule, CountsBy, Sources, WebAcl, WebAcls } from '../core/webAcls.ts';
import { type ClientOptions, clientConfig, inTime } from './clients.ts';
import { calling } from './errors.ts';

const Scope = 'REGIONAL';
/** WAF answers so many at once. */
const PAGE = 100;
const SAMPLE = 500;
const TOP = 3;

const BY: Readonly<Record<string, CountsBy>> = {
  IP: 'address',
  FORWARDED_IP: 'forwarded address',
  CUSTOM_KEYS: 'keys',
};

/** As AWS's JSON has it: keys in order, bytes as base64, nothing that is absent. */
const plain = (value: unknown): Json => {
  if (ArrayBuffer.isView(value)) return Buffer.from(value as Uint8Array).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return (value ?? null) as Json;
  const there = Object.entries(value).filter(([, v]) => v !== undefined && v !== null);
  return Object.fromEntries(there.sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, plain(v)]));
};
const same = (a: unknown, b: unknown): boolean => JSON.stringify(plain(a)) === JSON.stringify(plain(b));

const asRule = ({ Action, ...rest }: Rule): AclRule => {
  const { Name = '', Statement, VisibilityConfig: seen } = rest;
  const rate = Statement?.RateBasedStatement;
  return {
    name: Name,
    metric: seen?.CloudWatchMetricsEnabled ? seen.MetricName : undefined,
    rate: rate && {
      limit: rate.Limit ?? 0,
      window: (rate.EvaluationWindowSec ?? 300) * 1000,
      by: BY[rate.AggregateKeyType ?? ''] ?? 'all',
    },
    action: plain(Action),
    print: createHash('sha256')
      .update(JSON.stringify(plain(rest)))
      .digest('hex')
      .slice(0, 32),
  };
};

/** Whatever it names by ARN, however deep; and that of groups which AWS or a vendor manages, of which IAM knows one pattern only. */
const refersTo = (value: unknown, managed: string): readonly string[] =>
  Array.isArray(value)
    ? value.flatMap((v) => refersTo(v, managed))
    : typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)
      ? Object.entries(value).flatMap(([key, v]) => {
          if (v === undefined) return [];
          const own = key === 'ManagedRuleGroupStatement' ? [managed] : [];
          return key === 'ARN' && typeof v === 'string' ? [v] : [...own, ...refersTo(v, managed)];
        })
      : [];

const asAcl = (acl: WebACL): WebAcl => {
  const { ARN: arn, Name: name, VisibilityConfig: seen, Rules = [] } = acl;
  if (!arn || !name) throw new InvalidInput('WAF describes a web ACL without ARN or name');
  const managed = `${arn.split('/')[0]}/managedruleset/*/*`;
  const groups = [acl.PreProcessFirewallManagerRuleGroups, acl.PostProcessFirewallManagerRuleGroups];
  return {
    arn,
    name,
    metric: seen?.CloudWatchMetricsEnabled ? seen.MetricName : undefined,
    managed: acl.ManagedByFirewallManager ?? false,
    rules: Rules.map(asRule),
    refers: [...new Set([Rules, ...groups].flatMap((r) => refersTo(r, managed)))],
  };
};

/** Saving replaces all of it: each of the settings that can be saved, those that it lacks too. A new one of AWS's does not compile until it is here. */
type Saved = Omit<UpdateWebACLCommandInput, 'Scope' | 'LockToken'>;
const savedOf = (acl: WebACL): { [K in keyof Required<Saved>]: Saved[K] } => ({
  Name: acl.Name,
  Id: acl.Id,
  DefaultAction: acl.DefaultAction,
  // WAF takes none, but not an empty one.
  Description: acl.Description || undefined,
  Rules: acl.Rules,
  VisibilityConfig: acl.VisibilityConfig,
  DataProtectionConfig: acl.DataProtectionConfig,
  CustomResponseBodies: acl.CustomResponseBodies,
  CaptchaConfig: acl.CaptchaConfig,
  ChallengeConfig: acl.ChallengeConfig,
  TokenDomains: acl.TokenDomains,
  AssociationConfig: acl.AssociationConfig,
  OnSourceDDoSProtectionConfig: acl.OnSourceDDoSProtectionConfig,
  ApplicationConfig: acl.ApplicationConfig,
  MonetizationConfig: acl.MonetizationConfig,
});

const topOf = (sample: readonly SampledHTTPRequest[]): Sources['top'] => {
  const weigh = (all: readonly SampledHTTPRequest[]): number => all.reduce((sum, s) => sum + (s.Weight ?? 1), 0);
  const agentOf = ({ Request }: SampledHTTPRequest): string =>
    Request?.Headers?.find((h) => h.Name?.toLowerCase() === 'user-agent')?.Value ?? '';
  const whole = weigh(sample);
  return [...Map.groupBy(sample, (s) => s.Request?.ClientIP ?? 'unknown')]
    .map(([address, of]) => ({
      address,
      country: of[0]?.Request?.Country ?? '-',
      percent: Math.round((100 * weigh(of)) / Math.max(1, whole)),
      agents: new Set(of.map(agentOf)).size,
    }))
    .sort((a, b) => b.percent - a.percent)
    .slice(0, TOP);
};

export const wafWebAcls = (options: ClientOptions): WebAcls => {
  const reader = new WAFV2Client(clientConfig(options, 3));
  // A repetition after a lost reply is refused by its lock, and would look like somebody else's change.
  const writer = new WAFV2Client(clientConfig(options, 1));

  const read = async (arn: string, command = new GetWebACLCommand({ ARN: arn })) => {
    const { WebACL: acl, LockToken } = await reader.send(command);
    if (!acl || !LockToken) throw new NotFound(`there is no web ACL ${arn}`);
    return { acl, LockToken };
  };

  /** With the very JSON that AWS sent: what this version of the SDK does not know is in that only. */
  const readWhole = async (arn: string) => {
    const command = new GetWebACLCommand({ ARN: arn });
    let body: Buffer | undefined;
    command.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        const response = result.response as { body: Uint8Array | AsyncIterable<Uint8Array> };
        const sent = response.body;
        body = ArrayBuffer.isView(sent) ? Buffer.from(sent) : await buffer(sent);
        if (!ArrayBuffer.isView(sent)) response.body = Readable.from([body]);
        return result;
      },
      { step: 'deserialize', priority: 'low', name: 'keepBody' },
    );
    const { acl, LockToken } = await read(arn, command);
    // Where nothing was read off a wire, nothing was left out.
    const raw = body ? (JSON.parse(body.toString()) as { WebACL?: unknown }).WebACL : acl;
    return { acl, LockToken, raw };
  };

  return {
    list: () =>
      calling('cannot list the web ACLs', async () => {
        const found: { arn: string; name: string }[] = [];
        let NextMarker: string | undefined;
        do {
          const page = await reader.send(new ListWebACLsCommand({ Scope, Limit: PAGE, NextMarker }));
          found.push(...(page.WebACLs ?? []).map(({ ARN = '', Name = '' }) => ({ arn: ARN, name: Name })));
          NextMarker = page.WebACLs?.length ? page.NextMarker : undefined;
        } while (NextMarker);
        return found;
      }),
    describe: (arn) => calling(`cannot describe ${arn}`, async () => asAcl((await read(arn)).acl)),
    tags: (arn) =>
      calling(`cannot read the tags of ${arn}`, async () => {
        const { TagInfoForResource } = await reader.send(new ListTagsForResourceCommand({ ResourceARN: arn }));
        return Object.fromEntries((TagInfoForResource?.TagList ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
      }),
    guarding: (ResourceArn) =>
      calling(
        `cannot ask which web ACL guards ${ResourceArn}`,
        async () => (await reader.send(new GetWebACLForResourceCommand({ ResourceArn }))).WebACL?.ARN,
      ),
    balancersOf: (arn) =>
      calling(`cannot ask what ${arn} guards`, async () => {
        const asked = { WebACLArn: arn, ResourceType: 'APPLICATION_LOAD_BALANCER' as const };
        return (await reader.send(new ListResourcesForWebACLCommand(asked))).ResourceArns ?? [];
      }),
    sources: ({ arn }, { name, metric, rate }, { from, to }) =>
      calling(`cannot ask who is over the limit of ${name}`, async () => {
        const [, , WebACLName, WebACLId] = arn.split('/');
        const byAddress = rate?.by === 'address' || rate?.by === 'forwarded address';
        const [keys, sampled] = await Promise.all([
          byAddress
            ? reader.send(new GetRateBasedStatementManagedKeysCommand({ Scope, WebACLName, WebACLId, RuleName: name }))
            : undefined,
          metric === undefined
            ? undefined
            : reader.send(
                new GetSampledRequestsCommand({
                  Scope,
                  WebAclArn: arn,
                  RuleMetricName: metric,
                  TimeWindow: { StartTime: new Date(from), EndTime: new Date(to) },
                  MaxItems: SAMPLE,
                }),
              ),
        ]);
        const addresses = [keys?.ManagedKeysIPV4, keys?.ManagedKeysIPV6].flatMap((k) => k?.Addresses ?? []);
        return { over: keys && addresses.length, top: topOf(sampled?.SampledRequests ?? []) };
      }),
    setAction: (arn, { rule, print, from, to }) =>
      calling(`cannot set what the rule ${rule} of ${arn} does`, async () => {
        const { acl, LockToken, raw } = await readWhole(arn);
        const now = acl.Rules?.find((r) => r.Name === rule);
        const seen = now && asRule(now);
        if (!seen || seen.print !== print || !(same(seen.action, from) || same(seen.action, to)))
          throw new Refused('changed-meanwhile', `the rule ${rule} is not what it was when it was looked at`);
        if (same(seen.action, to)) return;
        if (!same(acl, raw))
          throw new Refused(
            'unknown-settings',
            `the web ACL ${acl.Name} has settings that this version of Steward does not know, and would lose by saving it`,
          );
        inTime(options);
        const Rules = acl.Rules?.map((r) => (r.Name === rule ? { ...r, Action: to as Rule['Action'] } : r));
        await writer.send(new UpdateWebACLCommand({ ...savedOf(acl), Rules, Scope, LockToken }));
      }),
  };
};
