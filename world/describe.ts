/** What every Describe call has: filters, ids, pages. */
import { AwsError } from './service.ts';

export type Filter = { Name?: string | undefined; Values?: string[] | undefined };

/** Per filter name, the values that a thing has for it. A `tag:` filter needs no entry. */
export type FilterTable<T> = Readonly<Record<string, (thing: T) => readonly (string | undefined)[]>>;

/** EC2 filters know `*` and `?`, and `\` before them. */
const wildcard = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern.replace(/\\([*?\\])|[*?]|[.+^${'$'}{}()|[\]\\]/g, (match, escaped: string | undefined) => {
      if (escaped) return `\\${escaped}`;
      if (match === '*') return '.*';
      return match === '?' ? '.' : `\\${match}`;
    })}$`,
    's',
  );

const matcher = (patterns: readonly string[]) => {
  const plain = new Set(patterns);
  const wild = patterns.filter((pattern) => /[*?\\]/.test(pattern)).map(wildcard);
  return (value: string | undefined) =>
    value !== undefined && (plain.has(value) || wild.some((regexp) => regexp.test(value)));
};

/** All filters must match; of one filter's values, any. */
export const applyFilters = <T extends { tags: Record<string, string> }>(
  things: readonly T[],
  filters: readonly Filter[] | undefined,
  table: FilterTable<T>,
): T[] => {
  let left = [...things];
  for (const { Name: name = '', Values: values = [] } of filters ?? []) {
    const valuesOf = name.startsWith('tag:')
      ? (thing: T) => [thing.tags[name.slice('tag:'.length)]]
      : name === 'tag-key'
        ? (thing: T) => Object.keys(thing.tags)
        : table[name];
    if (!valuesOf) throw new AwsError('InvalidParameterValue', `The filter '${name}' is invalid`);
    const matches = matcher(values);
    left = left.filter((thing) => valuesOf(thing).some(matches));
  }
  return left;
};

/** As `Map.groupBy`, which Node 20 lacks. */
export const groupBy = <T, Key>(things: readonly T[], keyOf: (thing: T) => Key): Map<Key, T[]> => {
  const groups = new Map<Key, T[]>();
  for (const thing of things) {
    const group = groups.get(keyOf(thing));
    if (group) group.push(thing);
    else groups.set(keyOf(thing), [thing]);
  }
  return groups;
};

export type Page<T> = { items: T[]; nextToken: string | undefined };

/** Tokens are opaque to callers; here they hold the offset. */
export const page = <T>(
  things: readonly T[],
  {
    max,
    token,
    otherwise,
    invalidToken = 'InvalidParameterValue',
  }: {
    max: number | undefined;
    token: string | undefined;
    /** The page's size when the caller names none. */
    otherwise: number;
    invalidToken?: string;
  },
): Page<T> => {
  const offset = token ? Number(/^page:(\d+)$/.exec(Buffer.from(token, 'base64url').toString())?.[1] ?? Number.NaN) : 0;
  if (Number.isNaN(offset)) throw new AwsError(invalidToken, 'Unable to parse pagination token');
  const end = offset + (max ?? otherwise);
  return {
    items: things.slice(offset, end),
    nextToken: end < things.length ? Buffer.from(`page:${end}`).toString('base64url') : undefined,
  };
};

/** EC2's rules for MaxResults: 5 to 1,000 (DescribeInstances and most others). */
export const checkMaxResults = (max: number | undefined, ids: readonly string[] | undefined, idsName: string) => {
  if (max === undefined) return;
  if (ids?.length) {
    throw new AwsError(
      'InvalidParameterCombination',
      `The parameter ${idsName} cannot be used with the parameter maxResults`,
    );
  }
  if (max < 5 || max > 1000) {
    throw new AwsError(
      'InvalidParameterValue',
      `Value ( ${max} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.`,
    );
  }
};

export const toTags = (tags: Readonly<Record<string, string>>) =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

export const fromTags = (
  tags: readonly { Key?: string | undefined; Value?: string | undefined }[] | undefined,
): Record<string, string> => Object.fromEntries((tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
