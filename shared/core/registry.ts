/** A private registry (ECR): its repositories, and whom their policies let in. Pure. */
import * as z from 'zod/mini';
import type { RegistryImage } from './lifecycle.ts';

export interface Repository {
  readonly name: string;
  readonly scanOnPush: boolean;
  /** A tag that was pushed stays what it was; `partly`: but for some. */
  readonly immutable: boolean | 'partly';
}

/** Where an image is: 'eu-central-1', 'shop/web'. */
export interface Place {
  readonly region: string;
  readonly name: string;
}
/** What is pushed to repositories of these prefixes (none: to all) is copied to these registries. */
export interface Replication {
  readonly prefixes: readonly string[];
  readonly to: readonly { readonly region: string; readonly account: string }[];
}

export interface Registry {
  /** All of the account and region. */
  list(): Promise<readonly Repository[]>;
  /** @throws NotFound */
  describe(name: string): Promise<Repository>;
  tags(arn: string): Promise<Readonly<Record<string, string>>>;
  /** Its policy, as text; undefined: it has none. */
  policy(name: string): Promise<string | undefined>;
  /** Undefined: it has none from now on. Naming the end state makes a repetition harmless. */
  setPolicy(name: string, policy: string | undefined): Promise<void>;
  scanOnPush(name: string, on: boolean): Promise<void>;
  immutable(name: string, on: boolean): Promise<void>;
  /** All that are in it, the archived too. @throws NotFound */
  images(of: Place): Promise<readonly RegistryImage[]>;
  /** Its lifecycle policy, as text; undefined: it has none, and keeps all. @throws NotFound */
  lifecycle(of: Place): Promise<string | undefined>;
  /** The replication rules of a region's registry. */
  replication(region: string): Promise<readonly Replication[]>;
}

/** '111122223333.dkr.ecr.eu-central-1.amazonaws.com/shop/web:1' → account and place; undefined: it is in another kind of registry. */
export const placeOf = (image: string): (Place & { readonly account: string }) | undefined => {
  const [, account, region, name] =
    /^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.(?:aws|amazonwebservices\.com\.cn))\/([^:@]+)/.exec(
      image,
    ) ?? [];
  return account && region && name ? { account, region, name } : undefined;
};

const many = z.union([z.string(), z.array(z.string())]);
const statement = z.looseObject({
  Effect: z.string(),
  Principal: z.optional(z.union([z.literal('*'), z.record(z.string(), many)])),
  NotPrincipal: z.optional(z.unknown()),
  Condition: z.optional(z.record(z.string(), z.record(z.string(), z.unknown()))),
});
const document = z.looseObject({ Statement: z.union([statement, z.array(statement)]) });
type Statement = z.output<typeof statement>;

const listOf = <T>(one: T | readonly T[] | undefined): readonly T[] =>
  one === undefined ? [] : Array.isArray(one) ? (one as readonly T[]) : [one as T];

/** Conditions by which a statement for everyone is for some only. Of each the value may not be a wildcard. */
const NARROWING = /^aws:(PrincipalOrgID|PrincipalOrgPaths|PrincipalAccount|SourceAccount|SourceOrgID|PrincipalArn)$/i;
const isNarrowed = ({ Condition = {} }: Statement): boolean =>
  Object.entries(Condition).some(
    ([operator, keys]) =>
      /^(ForAllValues:|ForAnyValue:)?(String|Arn)(Equals|Like)/i.test(operator) &&
      !/IfExists$/i.test(operator) &&
      Object.entries(keys).some(
        ([key, values]) =>
          NARROWING.test(key) && listOf(values).every((v) => typeof v === 'string' && !/^\*?$/.test(v)),
      ),
  );

/** '111122223333' of an ARN or an account id; undefined: it is neither, such as the id of a principal that was deleted. */
const accountOf = (principal: string): string | undefined =>
  /^\d{12}$/.test(principal) ? principal : /^arn:[^:]*:(?:iam|sts)::(\d{12}):/.exec(principal)?.[1];

export interface Exposure {
  /** In words: 'everyone', 'the account 444455556666'. Empty: nobody who should not. */
  readonly to: readonly string[];
  /** The policy without them, as text; undefined: nothing of it is left. */
  readonly without: string | undefined;
}

type Within = { readonly account: string; readonly allowed: readonly string[] };

/** Who of a statement's principals should not be let in, and the statement without them. */
const judged = (s: Statement, { account, allowed }: Within): { to: readonly string[]; left: Statement | undefined } => {
  if (s.Effect !== 'Allow' || isNarrowed(s)) return { to: [], left: s };
  if (s.NotPrincipal !== undefined) return { to: ['everyone but some'], left: undefined };
  if (s.Principal === '*') return { to: ['everyone'], left: undefined };
  const { AWS, ...others } = s.Principal ?? {};
  const to: string[] = [];
  const kept = listOf(AWS).filter((principal) => {
    const of = accountOf(principal);
    const isIn = principal !== '*' && (of === undefined || of === account || allowed.includes(of));
    if (!isIn) to.push(principal === '*' ? 'everyone' : `the account ${of}`);
    return isIn;
  });
  if (to.length === 0) return { to, left: s };
  const principal = { ...others, ...(kept.length > 0 ? { AWS: kept } : {}) };
  return { to, left: Object.keys(principal).length > 0 ? { ...s, Principal: principal } : undefined };
};

/** @returns undefined for what cannot be read: then it is not known whom it lets in */
export const exposureOf = (policy: string, within: Within): Exposure | undefined => {
  let read: unknown;
  try {
    read = JSON.parse(policy);
  } catch {
    return undefined;
  }
  const parsed = document.safeParse(read);
  if (!parsed.success) return undefined;
  const found = listOf(parsed.data.Statement as Statement | readonly Statement[]).map((s) => judged(s, within));
  const left = found.flatMap((f) => f.left ?? []);
  return {
    to: [...new Set(found.flatMap((f) => f.to))].sort(),
    without: left.length > 0 ? JSON.stringify({ ...parsed.data, Statement: left }) : undefined,
  };
};
