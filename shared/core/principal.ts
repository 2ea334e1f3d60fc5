/** Who did something, as CloudTrail and STS name them. */
import { matchesArn } from './target.ts';

const ASSUMED = /^arn:([^:]+):sts::(\d{12}):assumed-role\/([^/]+)\/.+$/;

/** 'arn:aws:sts::1:assumed-role/terraform/run-7' → 'arn:aws:iam::1:role/terraform'; any other as it is. A role's path is not in the session's ARN. */
export const roleArnOf = (principal: string): string => principal.replace(ASSUMED, 'arn:$1:iam::$2:role/$3');

/** Is it one of these? Patterns with `*`, of sessions or of their roles. */
export const trusts = (patterns: readonly string[], principal: string): boolean =>
  patterns.some((pattern) => matchesArn(pattern, principal) || matchesArn(pattern, roleArnOf(principal)));
