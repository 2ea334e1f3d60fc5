/** Web ACLs (AWS WAF, regional) and their rate-based rules, as far as one of those is to block where it has only counted. */
import type { Metric } from './ports.ts';
import type { Target } from './target.ts';
import type { Time } from './time.ts';
import type { Json } from './verdict.ts';

/** Sources by which a rate-based rule counts. `all` takes every request together: over the limit it stops everybody. */
export type CountsBy = 'address' | 'forwarded address' | 'keys' | 'all';

export interface AclRule {
  readonly name: string;
  /** As its metrics call it; undefined: it has none. */
  readonly metric: string | undefined;
  /** Requests of one source within `window` milliseconds. Undefined: it is no rate-based rule. */
  readonly rate: { readonly limit: number; readonly window: number; readonly by: CountsBy } | undefined;
  /** What it does with a request, as AWS has it: `{ Count: {} }`. Null: what its group says. */
  readonly action: Json;
  /** Of all else in it. Two rules with the same print differ in what they do at most. */
  readonly print: string;
}

export interface WebAcl {
  readonly arn: string;
  readonly name: string;
  /** As its metrics call it; undefined: it has none. */
  readonly metric: string | undefined;
  /** It belongs to Firewall Manager, which would set it back. */
  readonly managed: boolean;
  readonly rules: readonly AclRule[];
  /** What its rules refer to: sets and groups, and those that AWS manages. Who saves the web ACL needs the right to it for these too. */
  readonly refers: readonly string[];
}

/** Who is over the limit of a rule. */
export interface Sources {
  /** Addresses that are over it now; undefined: it counts by something else, or AWS does not tell. */
  readonly over: number | undefined;
  /** Of a sample of the requests that it counted lately: the addresses with the most. */
  readonly top: readonly {
    readonly address: string;
    readonly country: string;
    /** Of the sample. */
    readonly percent: number;
    /** Different user agents: many behind one address may be many people. */
    readonly agents: number;
  }[];
}

export interface WebAcls {
  /** All of the region. */
  list(): Promise<readonly { readonly arn: string; readonly name: string }[]>;
  /** @throws NotFound */
  describe(arn: string): Promise<WebAcl>;
  tags(arn: string): Promise<Readonly<Record<string, string>>>;
  /** ARN of the one that guards a load balancer; undefined: none does. */
  guarding(loadBalancer: string): Promise<string | undefined>;
  /** ARNs of the Application Load Balancers that it guards. */
  balancersOf(arn: string): Promise<readonly string[]>;
  sources(acl: Pick<WebAcl, 'arn'>, rule: AclRule, since: { readonly from: Time; readonly to: Time }): Promise<Sources>;
  /**
   * Sets what a rule does, and nothing else of the web ACL: if the rule is what was seen, and nobody saves the web ACL meanwhile. Naming the end state makes a repetition harmless.
   * @throws Refused 'changed-meanwhile', 'unknown-settings' (this version would lose what it does not know)
   */
  setAction(arn: string, change: ActionChange): Promise<void>;
}
export interface ActionChange {
  readonly rule: string;
  readonly print: string;
  readonly from: Json;
  readonly to: Json;
}

export const COUNT = { Count: {} };
export const BLOCK = { Block: {} };
const has = (action: Json, what: string): boolean =>
  typeof action === 'object' && action !== null && Object.hasOwn(action, what);
export const isCounting = ({ action }: AclRule): boolean => has(action, 'Count');
export const isBlocking = ({ action }: AclRule): boolean => has(action, 'Block');

/** 'arn:…:regional/webacl/shop/…' → 'shop' */
export const aclNameOf = ({ arn }: Pick<Target, 'arn'>): string => arn.split('/')[2] ?? arn;

/** What a rule did with requests, as a sum over each period; `ALL`: all of the web ACL. */
export const requestsOf = (
  acl: Pick<WebAcl, 'metric'>,
  rule: string | undefined,
  what: 'CountedRequests' | 'BlockedRequests' | 'AllowedRequests',
  region: string,
): Metric & { readonly sum: true } => ({
  namespace: 'AWS/WAFV2',
  name: what,
  dimensions: { WebACL: acl.metric ?? '', Rule: rule ?? '', Region: region },
  sum: true,
});
