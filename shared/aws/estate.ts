/** What `steward doctor` looks over: the instances that Steward may touch, their agents and alarms, the queue and the functions. Reads only, in the function's own account and region. */
import { CloudWatchClient, paginateDescribeAlarms } from '@aws-sdk/client-cloudwatch';
import { GetFunctionConfigurationCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { GetQueueAttributesCommand, GetQueueUrlCommand, SQSClient } from '@aws-sdk/client-sqs';
import { paginateDescribeInstanceInformation, SSMClient } from '@aws-sdk/client-ssm';
import { type ClientOptions, clientConfig } from './clients.ts';
import { metricsOf } from './cloudwatch.ts';
import { calling } from './errors.ts';
import { runningInstances } from './instances.ts';

export interface Machine {
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
}
export interface Backlog {
  readonly waiting: number;
  /** Messages that failed for good. */
  readonly dead: number;
}
export interface Estate {
  /** Running instances. */
  machines(): Promise<readonly Machine[]>;
  /** Ids of the instances whose SSM agent is online. */
  agents(): Promise<ReadonlySet<string>>;
  /** Ids of the instances that an alarm on a metric of the CloudWatch agent's disk plugin names. */
  watchedDisks(): Promise<ReadonlySet<string>>;
  backlog(): Promise<Backlog>;
  /** Why a function cannot run; undefined: it can. @throws NotFound */
  functionFault(name: string): Promise<string | undefined>;
}

/** `disk_used_percent`, `disk_free`, `disk_inodes_free` … */
const DISK = /^disk_/;

export const awsEstate = (options: ClientOptions & { queueUrl: string }): Estate => ({
  machines: () => runningInstances(options),
  agents: () =>
    calling('cannot list the SSM agents', async () => {
      const client = new SSMClient(clientConfig(options, 3));
      const online = new Set<string>();
      // SSM gives at most 50 in a page.
      for await (const page of paginateDescribeInstanceInformation({ client, pageSize: 50 }, {}))
        for (const i of page.InstanceInformationList ?? [])
          if (i.PingStatus === 'Online' && i.InstanceId) online.add(i.InstanceId);
      return online;
    }),
  watchedDisks: () =>
    calling('cannot list the alarms', async () => {
      const client = new CloudWatchClient(clientConfig(options, 3));
      const watched = new Set<string>();
      for await (const page of paginateDescribeAlarms({ client, pageSize: 100 }, { AlarmTypes: ['MetricAlarm'] }))
        for (const metric of (page.MetricAlarms ?? []).flatMap(metricsOf))
          if (DISK.test(metric.name) && metric.dimensions['InstanceId']) watched.add(metric.dimensions['InstanceId']);
      return watched;
    }),
  backlog: () =>
    calling('cannot ask for the length of the signals queue', async () => {
      const client = new SQSClient(clientConfig(options, 3));
      const ask = async (QueueUrl: string) =>
        (
          await client.send(
            new GetQueueAttributesCommand({
              QueueUrl,
              AttributeNames: ['ApproximateNumberOfMessages', 'RedrivePolicy'],
            }),
          )
        ).Attributes ?? {};
      const own = await ask(options.queueUrl);
      const dead = (JSON.parse(own['RedrivePolicy'] ?? '{}') as { deadLetterTargetArn?: string }).deadLetterTargetArn;
      const url = dead
        ? (await client.send(new GetQueueUrlCommand({ QueueName: dead.split(':').at(-1) }))).QueueUrl
        : undefined;
      const letters = url ? await ask(url) : {};
      return {
        waiting: Number(own['ApproximateNumberOfMessages'] ?? 0),
        dead: Number(letters['ApproximateNumberOfMessages'] ?? 0),
      };
    }),
  functionFault: (name) =>
    calling(`cannot look at the function ${name}`, async () => {
      const client = new LambdaClient(clientConfig(options, 3));
      const { State, StateReason, LastUpdateStatus, LastUpdateStatusReason } = await client.send(
        new GetFunctionConfigurationCommand({ FunctionName: name }),
      );
      if (State === 'Failed') return StateReason ?? 'it failed to start';
      return LastUpdateStatus === 'Failed' ? (LastUpdateStatusReason ?? 'its last deployment failed') : undefined;
    }),
});
