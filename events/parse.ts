/** Reading what came from outside: once, at the edge, into our own shapes. */
import * as z from 'zod/mini';
import { InvalidInput } from '../shared/core/errors.ts';
import type { Time } from '../shared/core/time.ts';

/** Parses by a schema. @throws InvalidInput that names what is wrong and where */
export const parsed = <T>(schema: z.ZodMiniType<T>, raw: unknown, what: string): T => {
  const result = z.safeParse(schema, raw);
  if (result.success) return result.data;
  const problems = result.error.issues.slice(0, 5).map((i) => `${i.path.join('.') || 'it'}: ${reason(i)}`);
  throw new InvalidInput(`${what} cannot be read: ${problems.join('; ')}`);
};

const reason = (issue: z.core.$ZodIssue): string =>
  'expected' in issue
    ? `${String(issue.expected)} expected`
    : 'format' in issue
      ? `not of the form ${String(issue.format)}`
      : issue.message;

/** AWS writes times as ISO 8601 with `Z` or with `+0000`, which JavaScript does not read. @throws InvalidInput */
export const timeOf = (text: string): Time => {
  const time = Date.parse(text.replace(/([+-]\d{2})(\d{2})$/, '$1:$2'));
  if (Number.isNaN(time)) throw new InvalidInput(`'${text}' is not a time`);
  return time;
};

/** @throws InvalidInput */
export const jsonOf = (text: string, what: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InvalidInput(`${what} is not JSON`, { cause });
  }
};
