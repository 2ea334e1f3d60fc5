/** Who may read what of the activity log, where steward.yml says so. Where it does not, whoever may invoke `answer` reads all of it. */
import * as z from 'zod/mini';
import { option, said } from './option.ts';
import { trusts } from './principal.ts';

export const readerSchema = z.strictObject({
  is: said(
    z.array(z.string().check(z.regex(/^arn:[\w*-]+:(iam|sts):[\w*-]*:[\d*]*:\S+$/))).check(z.minLength(1)),
    'Who that is in IAM, as ARN patterns with *. The first reader that fits counts',
  ),
  accounts: option(
    z.array(z.string().check(z.regex(/^\d{12}$/))),
    [],
    'Events of these accounts only; none named: of all',
  ),
  tags: option(
    z.record(z.string().check(z.minLength(1), z.maxLength(128)), z.array(z.string()).check(z.minLength(1))),
    {},
    'Events about what carries one of these tags now: { "aws:cloudformation:stack-name": [shop] }; none named: about everything. What is gone carries no tags',
  ),
});
export type Reader = z.output<typeof readerSchema>;

/** The first that fits; undefined: this principal is none of them. */
export const readerFor = (readers: readonly Reader[], principal: string): Reader | undefined =>
  readers.find(({ is }) => trusts(is, principal));

/** ARNs of what carries one of the tags, as one may ask of them by their ends. */
export interface Carriers {
  has(source: string, name: string): boolean;
}

/** 'arn:aws:ec2:eu-central-1:1:volume/vol-0a' → 'ec2', and 'vol-0a', 'volume/vol-0a' */
const partsOf = (arn: string): { readonly source: string; readonly names: readonly string[] } => {
  const [, , source = '', , , ...rest] = arn.split(':');
  const resource = rest.join(':');
  return {
    source,
    names: [resource, resource.slice(resource.search(/[:/]/) + 1), resource.split(/[:/]/).at(-1) ?? ''],
  };
};

/** A name without an ARN counts only for the service that the call was made to: a bucket and a function may be called alike. */
export const carriersOf = (arns: Iterable<string>): Carriers => {
  const known = new Set<string>();
  for (const arn of arns) {
    known.add(arn);
    const { source, names } = partsOf(arn);
    for (const name of names) if (name !== '') known.add(`${source} ${name}`);
  }
  return { has: (source, name) => known.has(name) || known.has(`${source} ${name}`) };
};

/** What an event says of where and about what it is. `what`: 'ec2:RunInstances'. */
export interface Readable {
  readonly account: string;
  readonly what: string;
  readonly resources: readonly string[];
}

/** Instances are EC2's whoever speaks of them: hosts themselves, Session Manager, Steward. */
const INSTANCE = /^i-[0-9a-f]{8,17}$/;

/** @param carriers of the reader's tags; undefined: there are none */
export const mayReadBy =
  ({ accounts }: Pick<Reader, 'accounts'>, carriers: Carriers | undefined) =>
  ({ account, what, resources }: Readable): boolean => {
    if (accounts.length > 0 && !accounts.includes(account)) return false;
    const source = what.slice(0, Math.max(0, what.indexOf(':')));
    return !carriers || resources.some((name) => carriers.has(INSTANCE.test(name) ? 'ec2' : source, name));
  };
