import {
  AssociateKmsKeyCommand,
  type LogGroup as AwsLogGroup,
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  DescribeLogGroupsCommand,
  DescribeSubscriptionFiltersCommand,
  GetLogEventsCommand,
  ListTagsForResourceCommand,
  PutRetentionPolicyCommand,
  PutSubscriptionFilterCommand,
  paginateDescribeLogGroups,
  type SubscriptionFilter,
} from '@aws-sdk/client-cloudwatch-logs';
import { InvalidInput, Refused } from '../core/errors.ts';
import type { LogGroup, LogGroups, Subscription } from '../core/logs.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { asOurs, calling } from './errors.ts';

/** DescribeLogGroups gives no more at once. */
const PAGE = 50;

const asGroup = ({ logGroupName: name, retentionInDays, kmsKeyId }: AwsLogGroup): LogGroup => {
  if (!name) throw new InvalidInput('CloudWatch Logs describes a log group without a name');
  return {
    name,
    ...(retentionInDays === undefined ? {} : { retentionDays: retentionInDays }),
    ...(kmsKeyId === undefined ? {} : { kmsKey: kmsKeyId }),
  };
};

const asSubscription = (raw: SubscriptionFilter): Subscription => ({
  name: raw.filterName ?? '',
  destination: raw.destinationArn ?? '',
  filterPattern: raw.filterPattern ?? '',
  ...(raw.roleArn === undefined ? {} : { role: raw.roleArn }),
});

/** Every call names the end state, so the SDK may repeat each. */
export const cloudWatchLogGroups = (options: ClientOptions): LogGroups => {
  const client = new CloudWatchLogsClient(clientConfig(options, 3));
  return {
    list: (prefix) =>
      calling(`cannot list the log groups ${prefix}*`, async () => {
        const found: LogGroup[] = [];
        const named = prefix === '' ? {} : { logGroupNamePrefix: prefix };
        for await (const { logGroups = [] } of paginateDescribeLogGroups({ client, pageSize: PAGE }, named))
          found.push(...logGroups.map(asGroup));
        return found;
      }),
    find: (name) =>
      calling(`cannot describe the log group ${name}`, async () => {
        // Sorted by name: of all that begin so, the one that is named just so comes first.
        const { logGroups = [] } = await client.send(
          new DescribeLogGroupsCommand({ logGroupNamePrefix: name, limit: PAGE }),
        );
        const found = logGroups.find((g) => g.logGroupName === name);
        return found && asGroup(found);
      }),
    tags: (arn) =>
      calling(`cannot read the tags of ${arn}`, async () => {
        const { tags = {} } = await client.send(new ListTagsForResourceCommand({ resourceArn: arn }));
        return tags;
      }),
    lines: (group, stream, most) =>
      calling(`cannot read ${group} ${stream}`, async () => {
        const { events = [] } = await client.send(
          new GetLogEventsCommand({ logGroupName: group, logStreamName: stream, limit: most, startFromHead: false }),
        );
        return events.map(({ timestamp = 0, message = '' }) => ({ at: timestamp, text: message }));
      }),
    subscriptions: (name) =>
      calling(`cannot read the subscription filters of ${name}`, async () => {
        const { subscriptionFilters = [] } = await client.send(
          new DescribeSubscriptionFiltersCommand({ logGroupName: name }),
        );
        return subscriptionFilters.map(asSubscription);
      }),
    create: async (name, tags) => {
      try {
        await client.send(new CreateLogGroupCommand({ logGroupName: name, tags: { ...tags } }));
      } catch (e) {
        const ours = asOurs(e, `cannot create the log group ${name}`);
        if (!(ours instanceof Refused) || ours.code !== 'ResourceAlreadyExistsException') throw ours;
      }
    },
    keep: (name, days) =>
      calling(
        `cannot set the retention of ${name}`,
        async () =>
          void (await client.send(new PutRetentionPolicyCommand({ logGroupName: name, retentionInDays: days }))),
      ),
    encrypt: (name, kmsKey) =>
      calling(
        `cannot encrypt ${name} with ${kmsKey}`,
        async () => void (await client.send(new AssociateKmsKeyCommand({ logGroupName: name, kmsKeyId: kmsKey }))),
      ),
    subscribe: (group, { name, destination, filterPattern, role }) =>
      calling(
        `cannot put the subscription filter ${name} on ${group}`,
        async () =>
          void (await client.send(
            new PutSubscriptionFilterCommand({
              logGroupName: group,
              filterName: name,
              filterPattern,
              destinationArn: destination,
              ...(role === undefined ? {} : { roleArn: role }),
            }),
          )),
      ),
  };
};
