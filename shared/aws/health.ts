import { type Event, HealthClient, paginateDescribeEvents } from '@aws-sdk/client-health';
import { InvalidInput, StewardError } from '../core/errors.ts';
import type { Health, Issue } from '../core/issues.ts';
import { partitionOf } from '../core/target.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** The active endpoint of each partition. Source: "AWS Health endpoints and quotas", AWS General Reference. */
const HOMES: Readonly<Record<string, string>> = { 'aws-cn': 'cn-northwest-1', 'aws-us-gov': 'us-gov-west-1' };
const HOME = 'us-east-1';

/** What AWS calls an issue of one service as a whole: AWS_EC2_OPERATIONAL_ISSUE. What is wrong with one instance has codes of its own. */
const OPERATIONAL = /_OPERATIONAL_ISSUE$/;

const asIssue = (raw: Event): Issue => {
  if (!raw.arn || !raw.service || !raw.region || !raw.startTime)
    throw new InvalidInput(`Health describes ${raw.arn ?? 'an event'} without service, region or start`);
  return {
    arn: raw.arn,
    service: raw.service,
    region: raw.region,
    ...(raw.availabilityZone ? { zone: raw.availabilityZone } : {}),
    since: raw.startTime.getTime(),
  };
};

export const awsHealth = (options: ClientOptions): Health => {
  const { region } = options;
  const home = HOMES[partitionOf(region)] ?? HOME;
  const client = new HealthClient(clientConfig({ ...options, region: home }, 2));
  const open = async (): Promise<readonly Issue[]> => {
    const found: Event[] = [];
    const filter = {
      services: ['EC2', 'EBS'],
      regions: [region],
      eventTypeCategories: ['issue' as const],
      eventStatusCodes: ['open' as const],
    };
    for await (const { events = [] } of paginateDescribeEvents({ client, pageSize: 100 }, { filter }))
      found.push(...events);
    return found.filter((e) => OPERATIONAL.test(e.eventTypeCode ?? '')).map(asIssue);
  };
  return {
    issues: async () => {
      try {
        return await calling(`cannot ask AWS Health for open issues in ${region}`, open);
      } catch (e) {
        if (!(e instanceof StewardError)) throw e;
        return { unknown: e.message };
      }
    },
  };
};
