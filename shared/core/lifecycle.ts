/** What a lifecycle policy of ECR would take away, by the rules that ECR documents for its evaluation. Its own preview is the authority, and is a write. Pure. */
import * as z from 'zod/mini';
import { days, type Time } from './time.ts';

export interface RegistryImage {
  readonly digest: string;
  readonly tags: readonly string[];
  readonly pushedAt: Time;
  readonly pulledAt?: Time | undefined;
  /** It is kept for cheap, and cannot be pulled until it is restored. */
  readonly archivedAt?: Time | undefined;
}

const selection = z.looseObject({
  tagStatus: z.enum(['tagged', 'untagged', 'any']),
  tagPrefixList: z._default(z.array(z.string()), []),
  tagPatternList: z._default(z.array(z.string()), []),
  storageClass: z._default(z.enum(['standard', 'archive']), 'standard'),
  countType: z.enum(['imageCountMoreThan', 'sinceImagePushed', 'sinceImagePulled', 'sinceImageTransitioned']),
  countUnit: z.optional(z.literal('days')),
  countNumber: z.int().check(z.gte(0)),
});
const rule = z.looseObject({
  rulePriority: z.int(),
  selection,
  action: z.looseObject({ type: z.enum(['expire', 'transition']) }),
});
const document = z.looseObject({ rules: z.array(rule) });
export type LifecycleRule = z.output<typeof rule>;

/** Rules in the order in which they are applied. Undefined: it has a form that is not known, so it is not known what it takes away. */
export const lifecycleOf = (text: string): readonly LifecycleRule[] | undefined => {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = document.safeParse(read);
  return parsed.success ? parsed.data.rules.toSorted((a, b) => a.rulePriority - b.rulePriority) : undefined;
};

/** '*' is any text, also none. */
const isLike = (tag: string, pattern: string): boolean =>
  new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`).test(tag);

/** All that a rule lists must be found among an image's tags. */
const isSelected = ({ selection: s }: LifecycleRule, { tags, archivedAt }: RegistryImage): boolean => {
  if ((s.storageClass === 'archive') !== (archivedAt !== undefined)) return false;
  if (s.tagStatus !== 'tagged') return s.tagStatus === 'any' || tags.length === 0;
  return (
    tags.length > 0 &&
    s.tagPrefixList.every((prefix) => tags.some((t) => t.startsWith(prefix))) &&
    s.tagPatternList.every((pattern) => tags.some((t) => isLike(t, pattern)))
  );
};

/** Of what it selects, what is more than it keeps. */
const surplus = (
  { selection: { countType, countNumber } }: LifecycleRule,
  selected: readonly RegistryImage[],
  at: Time,
): readonly RegistryImage[] => {
  const isOld = (since: Time | undefined): boolean => since !== undefined && at - since >= days(countNumber);
  switch (countType) {
    case 'imageCountMoreThan':
      return selected.toSorted((a, b) => b.pushedAt - a.pushedAt).slice(countNumber);
    case 'sinceImagePushed':
      return selected.filter((i) => isOld(i.pushedAt));
    case 'sinceImagePulled':
      return selected.filter((i) => isOld(i.pulledAt ?? i.pushedAt));
    case 'sinceImageTransitioned':
      return selected.filter((i) => isOld(i.archivedAt));
  }
};

/**
 * By digest the rule that takes it away. Each rule counts all that it selects, whatever the others take; but what one selects, and keeps, none
 * after it may take.
 * @param rules in the order in which they are applied
 */
export const takenBy = (
  rules: readonly LifecycleRule[],
  images: readonly RegistryImage[],
  at: Time,
): ReadonlyMap<string, LifecycleRule> => {
  const seen = new Set<string>();
  const taken = new Map<string, LifecycleRule>();
  for (const each of rules) {
    const selected = images.filter((i) => isSelected(each, i));
    for (const { digest } of surplus(each, selected, at)) if (!seen.has(digest)) taken.set(digest, each);
    for (const { digest } of selected) seen.add(digest);
  }
  return taken;
};

/** 'rule 2 ("old ones": any, imageCountMoreThan 10) expires it' */
export const ruleText = ({ rulePriority, description, selection: s, action }: LifecycleRule): string => {
  const tags = [...s.tagPrefixList.map((p) => `${p}*`), ...s.tagPatternList].join(' and ');
  const name = typeof description === 'string' && description !== '' ? `“${description}”: ` : '';
  const what = `${s.tagStatus}${tags ? ` ${tags}` : ''}, ${s.countType} ${s.countNumber}${s.countUnit ? ` ${s.countUnit}` : ''}`;
  return `rule ${rulePriority} (${name}${what}) ${action.type === 'expire' ? 'expires' : 'archives'} it`;
};
