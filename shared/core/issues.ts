/** Operational issues that AWS tells of itself: while one is open, Steward stands back from what it may concern. */
import type { Instance } from './ports.ts';
import { iso, type Time } from './time.ts';

export interface Issue {
  /** Of the Health event. */
  readonly arn: string;
  readonly service: string;
  readonly region: string;
  /** Name ('eu-central-1a') or id of the one zone that it is of. Undefined: the whole region, or AWS does not say. */
  readonly zone?: string;
  readonly since: Time;
}
/** The Health API is for accounts with Business support, and in one region of the partition: not to know is an answer, and is never "none". */
export type Issues = readonly Issue[] | { readonly unknown: string };

export interface Health {
  /** Those of EC2 and EBS that are open in the region. Never throws one of our errors: see `Issues`. */
  issues(): Promise<Issues>;
}

/** The oldest that may concern it, or why that is not known. */
export const issueAt = (
  issues: Issues,
  { zoneId, zoneName }: Pick<Instance, 'zoneId' | 'zoneName'>,
): Issue | { readonly unknown: string } | undefined =>
  'unknown' in issues
    ? issues
    : issues
        .filter(({ zone }) => zone === undefined || zone === zoneName || zone === zoneId)
        .reduce<Issue | undefined>((oldest, i) => (oldest && oldest.since <= i.since ? oldest : i), undefined);

export const issueText = ({ arn, service, region, zone, since }: Issue): string =>
  `AWS has an open issue of ${service} in ${zone ?? region} since ${iso(since)} (${arn})`;
