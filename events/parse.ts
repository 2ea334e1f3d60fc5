/** Reading what came from outside: once, at the edge, into our own shapes. */
import * as z from 'zod/mini';
import { InvalidInput } from '../shared/core/errors.ts';
import type { Time } from '../shared/core/time.ts';

/** What is quoted, stored or made a key: no longer than AWS's longest, the ARN of an alarm. */
export const text = z.string().check(z.maxLength(1600));

/** Parses by a schema. @throws InvalidInput that names what is wrong and where */
export const parsed = <T>(schema: z.ZodMiniType<T>, raw: unknown, what: string): T => {
  const result = z.safeParse(schema, raw);
  if (result.success) return result.data;
  const problems = result.error.issues.slice(0, 5).map((i) => `${i.path.join('.') || 'it'}: ${reason(i)}`);
  throw new InvalidInput(`${what} cannot be read: ${problems.join('; ').slice(0, 600)}`);
};

const reason = (issue: z.core.$ZodIssue): string => {
  switch (issue.code) {
    case 'invalid_type':
      return `${issue.expected} expected`;
    case 'invalid_value':
      return `${issue.values.join(' or ')} expected`;
    case 'too_big':
      return `at most ${issue.maximum} expected`;
    case 'too_small':
      return `at least ${issue.minimum} expected`;
    case 'invalid_union':
      return 'none of the kinds that there are';
    default:
      return issue.message;
  }
};

/** AWS writes times as ISO 8601 with `Z` or with `+0000`, which JavaScript does not read. @throws InvalidInput */
export const timeOf = (written: string): Time => {
  const time = Date.parse(written.replace(/([+-]\d{2})(\d{2})$/, '$1:$2'));
  if (Number.isNaN(time)) throw new InvalidInput(`'${written}' is not a time`);
  return time;
};

/** @throws InvalidInput */
export const jsonOf = (json: string, what: string): unknown => {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new InvalidInput(`${what} is not JSON`, { cause });
  }
};
