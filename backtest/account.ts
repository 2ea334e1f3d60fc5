/** What the account itself still knows of its past: alarms (30 days), CloudTrail (90 days), Health (90 days), read with the caller's own credentials. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import {
  type AlarmHistoryItem,
  CloudWatchClient,
  type MetricAlarm,
  paginateDescribeAlarmHistory,
  paginateDescribeAlarms,
} from '@aws-sdk/client-cloudwatch';
import { EC2Client, paginateDescribeInstances } from '@aws-sdk/client-ec2';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { type ClientOptions, clientConfig } from '../shared/aws/clients.ts';
import { metricsOf } from '../shared/aws/cloudwatch.ts';
import { calling } from '../shared/aws/errors.ts';
import { InvalidInput, messageOf, StewardError } from '../shared/core/errors.ts';
import { partitionOf } from '../shared/core/target.ts';
import type { Time } from '../shared/core/time.ts';
import { enveloped } from './past.ts';
import type { Estate } from './patients.ts';

/** LookupEvents allows two calls a second in a region. Source: CloudTrail quotas. */
const LOOKUP_PAUSE = 550;

export interface AccountPast {
  readonly events: readonly { readonly from: string; readonly event: unknown }[];
  readonly estate: Estate;
  /** Sources that could not be read, and why. */
  readonly missing: readonly string[];
}

export interface Span {
  readonly from: Time;
  readonly to: Time;
}

type Found = { readonly from: string; readonly event: unknown };

/** One item of an alarm's history → the event that EventBridge brought then. The metric is that of the alarm as it is now. */
const alarmEvent = (
  where: { account: string; region: string },
  alarm: MetricAlarm,
  at: Date,
  data: string,
): Found | undefined => {
  const { newState } = JSON.parse(data) as { newState?: { stateValue?: string; stateReason?: string } };
  if (!newState?.stateValue) return undefined;
  const metrics = metricsOf(alarm).map((metric) => ({ metricStat: { metric } }));
  const event = {
    version: '0',
    id: `${alarm.AlarmArn}@${at.getTime()}`,
    'detail-type': 'CloudWatch Alarm State Change',
    source: 'aws.cloudwatch',
    account: where.account,
    region: where.region,
    time: at.toISOString(),
    resources: [alarm.AlarmArn],
    detail: {
      alarmName: alarm.AlarmName,
      state: { value: newState.stateValue, reason: newState.stateReason ?? '', timestamp: at.toISOString() },
      configuration: { metrics },
    },
  };
  return { from: `alarm ${alarm.AlarmName}`, event };
};

type Place = { readonly account: string; readonly region: string };

const alarmsByName = async (client: CloudWatchClient): Promise<ReadonlyMap<string, MetricAlarm>> => {
  const alarms: MetricAlarm[] = [];
  for await (const { MetricAlarms = [] } of paginateDescribeAlarms({ client, pageSize: 100 }, {}))
    alarms.push(...MetricAlarms);
  return new Map(alarms.map((a) => [a.AlarmName ?? '', a]));
};

const alarmsOf = (options: ClientOptions, where: Place, { from, to }: Span): Promise<Found[]> =>
  calling('cannot read the history of the alarms', async () => {
    const client = new CloudWatchClient(clientConfig(options, 5));
    const alarms = await alarmsByName(client);
    const items: AlarmHistoryItem[] = [];
    const asked = { HistoryItemType: 'StateUpdate' as const, StartDate: new Date(from), EndDate: new Date(to) };
    for await (const { AlarmHistoryItems = [] } of paginateDescribeAlarmHistory({ client, pageSize: 100 }, asked))
      items.push(...AlarmHistoryItems);
    return items.flatMap(({ AlarmName = '', Timestamp, HistoryData }) => {
      const alarm = alarms.get(AlarmName);
      return (alarm && Timestamp && HistoryData && alarmEvent(where, alarm, Timestamp, HistoryData)) || [];
    });
  });

const lookUp = async (client: CloudTrailClient, name: string, { from, to }: Span): Promise<Found[]> => {
  const found: Found[] = [];
  let NextToken: string | undefined;
  do {
    const page = await client.send(
      new LookupEventsCommand({
        LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: name }],
        StartTime: new Date(from),
        EndTime: new Date(to),
        NextToken,
      }),
    );
    for (const { CloudTrailEvent, EventId } of page.Events ?? [])
      if (CloudTrailEvent) found.push({ from: `CloudTrail ${EventId}`, event: enveloped(JSON.parse(CloudTrailEvent)) });
    ({ NextToken } = page);
    await sleep(LOOKUP_PAUSE);
  } while (NextToken !== undefined);
  return found;
};

/** @param names of the calls that Steward listens to: LookupEvents takes one attribute at a time */
const callsOf = (options: ClientOptions, names: readonly string[], span: Span): Promise<Found[]> =>
  calling('cannot look up the calls that CloudTrail recorded', async () => {
    const client = new CloudTrailClient(clientConfig(options, 5));
    const found: Found[] = [];
    for (const name of names) found.push(...(await lookUp(client, name, span)));
    return found;
  });

const estateOf = (options: ClientOptions, { account, region }: Place): Promise<Estate> =>
  calling('cannot list the instances', async () => {
    const client = new EC2Client(clientConfig(options, 5));
    const estate: Record<string, Estate[string]> = {};
    for await (const { Reservations = [] } of paginateDescribeInstances({ client, pageSize: 1000 }, {}))
      for (const i of Reservations.flatMap((r) => r.Instances ?? []))
        estate[`arn:${partitionOf(region)}:ec2:${region}:${account}:instance/${i.InstanceId}`] = {
          tags: Object.fromEntries((i.Tags ?? []).map((t) => [t.Key ?? '', t.Value ?? ''])),
          ...(i.InstanceType ? { type: i.InstanceType } : {}),
        };
    return estate;
  });

/** Reads what there is; a source that cannot be read is named, not fatal. @throws when not even the account can be named */
export const pastOfAccount = async (
  options: ClientOptions,
  names: readonly string[],
  span: Span,
): Promise<AccountPast> => {
  const { Account: account } = await calling('cannot ask who you are', () =>
    new STSClient(clientConfig(options, 3)).send(new GetCallerIdentityCommand({})),
  );
  if (!account) throw new InvalidInput('AWS does not say which account this is');
  const where = { account, region: options.region };
  const missing: string[] = [];
  const or = async <T>(read: Promise<T>, none: T): Promise<T> => {
    try {
      return await read;
    } catch (e) {
      if (!(e instanceof StewardError)) throw e;
      missing.push(messageOf(e));
      return none;
    }
  };
  const [alarms, calls, estate] = await Promise.all([
    or(alarmsOf(options, where, span), []),
    or(callsOf(options, names, span), []),
    or(estateOf(options, where), {}),
  ]);
  return { events: [...alarms, ...calls], estate, missing };
};
