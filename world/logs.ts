/** CloudWatch Logs: groups, how long they keep, who reads along; streams, and the lines that came into them. */
import * as api from '@aws-sdk/client-cloudwatch-logs';
import { emitApiCall } from './apiCalls.ts';
import { logGroupArn } from './arns.ts';
import { page } from './describe.ts';
import {
  AwsError,
  type Call,
  defineService,
  jsonWords,
  type Operations,
  type Requirement,
  type Resource,
} from './service.ts';
import type { World } from './world.ts';

export type SubscriptionFilter = {
  readonly name: string;
  pattern: string;
  destination: string;
  role: string | undefined;
  readonly createdAt: number;
};

export type LogLine = { readonly at: number; readonly ingestedAt: number; readonly message: string };
export type LogStream = { readonly name: string; readonly createdAt: number; readonly lines: LogLine[] };

export type LogGroup = {
  readonly name: string;
  readonly createdAt: number;
  /** Days; undefined: events never expire. */
  retention: number | undefined;
  kmsKey: string | undefined;
  tags: Record<string, string>;
  subscriptions: SubscriptionFilter[];
  readonly streams: Map<string, LogStream>;
};

export type LogsState = {
  readonly groups: Map<string, LogGroup>;
  /** Keys that cannot be used: disabled, or none of that name. */
  readonly unusableKeys: Set<string>;
};
export const createLogsState = (): LogsState => ({ groups: new Map(), unusableKeys: new Set() });

/** PutRetentionPolicy, `retentionInDays`. */
const RETENTIONS = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];
/** "Each log group can have up to two subscription filters associated with it." */
const MOST_SUBSCRIPTIONS = 2;

export type NewLogGroup = { name: string; retention?: number; kmsKey?: string; tags?: Record<string, string> };

export const makeLogGroup = (world: World, { name, retention, kmsKey, tags = {} }: NewLogGroup): LogGroup => {
  const group: LogGroup = {
    name,
    createdAt: world.clock.now(),
    retention,
    kmsKey,
    tags,
    subscriptions: [],
    streams: new Map(),
  };
  world.logs.groups.set(name, world.lag.create(group));
  return group;
};

const missing = () => new AwsError('ResourceNotFoundException', 'The specified log group does not exist.');

const groupOf = (world: World, name: string | undefined): LogGroup => {
  const group = world.logs.groups.get(name ?? '');
  if (!group) throw missing();
  return group;
};

/** Tags are asked for by ARN, without the `:*` that policies need elsewhere. */
const byArn = (world: World, arn: string | undefined): LogGroup =>
  groupOf(world, (arn ?? '').split(':').slice(6).join(':'));

const makeStream = (world: World, group: LogGroup, name: string): LogStream => {
  const stream: LogStream = { name, createdAt: world.clock.now(), lines: [] };
  group.streams.set(name, stream);
  return stream;
};

const putLine = (world: World, stream: LogStream, at: number, message: string, ingestedAt = world.clock.now()) =>
  void stream.lines.push({ at, ingestedAt, message });

/** As PutLogEvents by an agent, which makes its stream when there is none. Answers false where the group is gone. */
export const shipLine = (
  world: World,
  groupName: string,
  streamName: string,
  message: string,
  at = world.clock.now(),
): boolean => {
  const group = world.logs.groups.get(groupName);
  if (!group) return false;
  putLine(world, group.streams.get(streamName) ?? makeStream(world, group, streamName), at, message, at);
  return true;
};

/** "It typically updates in less than an hour from ingestion": what DescribeLogStreams says of a stream's last line. */
const INDEX_LAG = 40 * 60_000;
const DAY = 86_400_000;
const kept = (world: World, group: LogGroup, stream: LogStream): LogLine[] =>
  stream.lines.filter((l) => group.retention === undefined || world.clock.now() - l.at < group.retention * DAY);

const usableKey = (world: World, key: string) => {
  if (!/^arn:aws[\w-]*:kms:/.test(key) || world.logs.unusableKeys.has(key))
    throw new AwsError('InvalidParameterException', `The specified KMS key ${key} does not exist or is not enabled.`);
  return key;
};

/** One change of a group, and its event. */
const changing = (
  call: Call,
  eventName: string,
  requestParameters: Record<string, unknown> & { logGroupName?: string | undefined },
  change: (group: LogGroup) => void,
) => {
  const group = groupOf(call.world, requestParameters.logGroupName);
  change(call.world.lag.change(group));
  emitApiCall(call, { service: 'logs', eventName, requestParameters });
  return {};
};

const operations: Operations<typeof api> = {
  CreateLogGroup: (input, call) => {
    const { world } = call;
    const { logGroupName: name = '', kmsKeyId, tags } = input;
    if (!/^[\w./#-]{1,512}$/.test(name) || name.startsWith('aws/'))
      throw new AwsError('InvalidParameterException', `Invalid log group name: ${name}`);
    if (world.logs.groups.has(name))
      throw new AwsError('ResourceAlreadyExistsException', 'The specified log group already exists');
    makeLogGroup(world, {
      name,
      ...(kmsKeyId && { kmsKey: usableKey(world, kmsKeyId) }),
      tags: { ...(tags as Record<string, string>) },
    });
    emitApiCall(call, {
      service: 'logs',
      eventName: 'CreateLogGroup',
      requestParameters: { logGroupName: name, ...(tags && { tags }) },
    });
    return {};
  },

  DeleteLogGroup: (input, call) =>
    changing(call, 'DeleteLogGroup', { logGroupName: input.logGroupName }, ({ name }) => {
      call.world.logs.groups.delete(name);
    }),

  DescribeLogGroups: (input, { world }) => {
    const { logGroupNamePrefix: prefix = '', limit, nextToken: token } = input;
    if (limit !== undefined && (limit < 1 || limit > 50))
      throw new AwsError('InvalidParameterException', 'limit must be between 1 and 50');
    const seen = [...world.logs.groups.values()].flatMap((group) => world.lag.seen(group) ?? []);
    const found = seen.filter(({ name }) => name.startsWith(prefix)).sort((a, b) => (a.name < b.name ? -1 : 1));
    const { items, nextToken } = page(found, { max: limit, token, otherwise: 50 });
    return {
      logGroups: items.map(({ name, createdAt, retention, kmsKey }) => ({
        logGroupName: name,
        creationTime: createdAt,
        metricFilterCount: 0,
        arn: `${logGroupArn(world, name)}:*`,
        logGroupArn: logGroupArn(world, name),
        storedBytes: 0,
        logGroupClass: 'STANDARD' as const,
        ...(retention !== undefined && { retentionInDays: retention }),
        ...(kmsKey !== undefined && { kmsKeyId: kmsKey }),
      })),
      nextToken,
    };
  },

  PutRetentionPolicy: (input, call) => {
    const { logGroupName, retentionInDays = 0 } = input;
    if (!RETENTIONS.includes(retentionInDays))
      throw new AwsError(
        'InvalidParameterException',
        `1 validation error detected: ${retentionInDays} is not a valid retention`,
      );
    return changing(call, 'PutRetentionPolicy', { logGroupName, retentionInDays }, (group) => {
      group.retention = retentionInDays;
    });
  },

  DeleteRetentionPolicy: ({ logGroupName }, call) =>
    changing(call, 'DeleteRetentionPolicy', { logGroupName }, (group) => {
      group.retention = undefined;
    }),

  AssociateKmsKey: ({ logGroupName, kmsKeyId = '' }, call) =>
    changing(call, 'AssociateKmsKey', { logGroupName, kmsKeyId }, (group) => {
      group.kmsKey = usableKey(call.world, kmsKeyId);
    }),

  DisassociateKmsKey: ({ logGroupName }, call) =>
    changing(call, 'DisassociateKmsKey', { logGroupName }, (group) => {
      group.kmsKey = undefined;
    }),

  PutSubscriptionFilter: (input, call) => {
    const { logGroupName, filterName: name = '', filterPattern = '', destinationArn = '', roleArn } = input;
    const asked = { logGroupName, filterName: name, filterPattern, destinationArn, ...(roleArn && { roleArn }) };
    return changing(call, 'PutSubscriptionFilter', asked, (group) => {
      const others = group.subscriptions.filter((one) => one.name !== name);
      if (others.length >= MOST_SUBSCRIPTIONS) throw new AwsError('LimitExceededException', 'Resource limit exceeded.');
      const filter = { name, pattern: filterPattern, destination: destinationArn, role: roleArn, createdAt: call.at };
      group.subscriptions = [...others, filter];
    });
  },

  DeleteSubscriptionFilter: ({ logGroupName, filterName }, call) =>
    changing(call, 'DeleteSubscriptionFilter', { logGroupName, filterName }, (group) => {
      if (!group.subscriptions.some(({ name }) => name === filterName))
        throw new AwsError('ResourceNotFoundException', 'The specified subscription filter does not exist.');
      group.subscriptions = group.subscriptions.filter(({ name }) => name !== filterName);
    }),

  DescribeSubscriptionFilters: ({ logGroupName }, { world }) => {
    const group = world.lag.seen(groupOf(world, logGroupName));
    if (!group) throw missing();
    return {
      subscriptionFilters: group.subscriptions.map(({ name, pattern, destination, role, createdAt }) => ({
        filterName: name,
        logGroupName: group.name,
        filterPattern: pattern,
        destinationArn: destination,
        ...(role && { roleArn: role }),
        distribution: 'ByLogStream' as const,
        creationTime: createdAt,
      })),
    };
  },

  CreateLogStream: ({ logGroupName, logStreamName = '' }, { world }) => {
    const group = groupOf(world, logGroupName);
    if (!/^[^:*]{1,512}$/.test(logStreamName))
      throw new AwsError('InvalidParameterException', `Invalid log stream name: ${logStreamName}`);
    if (group.streams.has(logStreamName))
      throw new AwsError('ResourceAlreadyExistsException', 'The specified log stream already exists');
    makeStream(world, group, logStreamName);
    return {};
  },

  DescribeLogStreams: (
    { logGroupName, logStreamNamePrefix = '', orderBy, descending, limit, nextToken },
    { world },
  ) => {
    const group = groupOf(world, logGroupName);
    if (orderBy === 'LastEventTime' && logStreamNamePrefix !== '')
      throw new AwsError('InvalidParameterException', 'Cannot order by LastEventTime with a logStreamNamePrefix.');
    if (limit !== undefined && (limit < 1 || limit > 50))
      throw new AwsError('InvalidParameterException', 'limit must be between 1 and 50');
    const shown = (stream: LogStream) => stream.lines.findLast((l) => world.clock.now() - l.ingestedAt >= INDEX_LAG);
    const found = [...group.streams.values()]
      .filter(({ name }) => name.startsWith(logStreamNamePrefix))
      .map((stream) => ({ stream, last: shown(stream) }))
      .sort((a, b) =>
        orderBy === 'LastEventTime' ? (a.last?.at ?? 0) - (b.last?.at ?? 0) : a.stream.name < b.stream.name ? -1 : 1,
      );
    const { items, nextToken: next } = page(descending ? found.reverse() : found, {
      max: limit,
      token: nextToken,
      otherwise: 50,
    });
    return {
      logStreams: items.map(({ stream, last }) => ({
        logStreamName: stream.name,
        creationTime: stream.createdAt,
        arn: `${logGroupArn(world, group.name)}:log-stream:${stream.name}`,
        storedBytes: 0,
        ...(last && { lastEventTimestamp: last.at, lastIngestionTime: last.ingestedAt }),
      })),
      nextToken: next,
    };
  },

  PutLogEvents: ({ logGroupName, logStreamName = '', logEvents }, { world }) => {
    const stream = groupOf(world, logGroupName).streams.get(logStreamName);
    if (!stream) throw new AwsError('ResourceNotFoundException', 'The specified log stream does not exist.');
    for (const { timestamp = 0, message = '' } of logEvents ?? []) putLine(world, stream, timestamp, message);
    return {};
  },

  /** One page holds all; asked again with its token, it says so by giving the same. */
  GetLogEvents: ({ logGroupName, logStreamName = '', startTime = 0, limit = 10_000, nextToken }, { world }) => {
    const group = groupOf(world, logGroupName);
    const stream = group.streams.get(logStreamName);
    if (!stream) throw new AwsError('ResourceNotFoundException', 'The specified log stream does not exist.');
    const found =
      nextToken === undefined
        ? kept(world, group, stream)
            .filter((l) => l.at >= startTime)
            .slice(-limit)
        : [];
    return {
      events: found.map(({ at, ingestedAt, message }) => ({ timestamp: at, ingestionTime: ingestedAt, message })),
      nextForwardToken: nextToken ?? `f/${stream.lines.length}/s`,
      nextBackwardToken: nextToken ?? `b/${stream.lines.length}/s`,
    };
  },

  ListTagsForResource: ({ resourceArn }, { world }) => {
    const group = world.lag.seen(byArn(world, resourceArn));
    if (!group) throw missing();
    return { tags: { ...group.tags } };
  },

  TagResource: (input, call) => {
    const group = byArn(call.world, input.resourceArn);
    Object.assign(call.world.lag.change(group).tags, input.tags);
    return {};
  },
};

/** What IAM checks: a group is named with an empty log stream behind it, except where tags are asked for or set. */
const stream = (input: { logGroupName?: string | undefined }, world: World): Resource[] => [
  {
    arn: `${logGroupArn(world, input.logGroupName ?? '')}:log-stream:`,
    tags: world.logs.groups.get(input.logGroupName ?? '')?.tags ?? {},
  },
];
const oneStream = (
  input: { logGroupName?: string | undefined; logStreamName: string | undefined },
  world: World,
): Resource[] => [
  { arn: `${logGroupArn(world, input.logGroupName ?? '')}:log-stream:${input.logStreamName ?? ''}`, tags: {} },
];
const plain = (input: { resourceArn: string | undefined }, world: World): Resource[] => {
  const arn = input.resourceArn ?? '*';
  return [{ arn, tags: world.logs.groups.get(arn.split(':').slice(6).join(':'))?.tags ?? {} }];
};

export const passRole = (role: string | undefined, service: string): Requirement[] =>
  role ? [{ action: 'iam:PassRole', resource: { arn: role }, context: { 'iam:PassedToService': service } }] : [];

export const logsService = defineService<typeof api>({
  name: 'logs',
  signingName: 'logs',
  iamPrefix: 'logs',
  protocol: 'json',
  xmlNamespace: 'http://logs.amazonaws.com/doc/2014-03-28/',
  api,
  words: jsonWords,
  operations,
  resources: {
    CreateLogGroup: stream,
    DeleteLogGroup: stream,
    PutRetentionPolicy: stream,
    DeleteRetentionPolicy: stream,
    AssociateKmsKey: stream,
    DisassociateKmsKey: stream,
    DeleteSubscriptionFilter: stream,
    DescribeSubscriptionFilters: stream,
    CreateLogStream: oneStream,
    DescribeLogStreams: stream,
    GetLogEvents: oneStream,
    PutLogEvents: oneStream,
    PutSubscriptionFilter: (input, world) => [
      ...stream(input, world),
      ...(/:logs:.*:destination:/.test(input.destinationArn ?? '') ? [{ arn: input.destinationArn ?? '' }] : []),
    ],
    ListTagsForResource: plain,
    TagResource: plain,
  },
  requires: {
    // "User … is not authorized to perform CreateLogGroup with Tags. An additional permission "logs:TagResource" is required."
    CreateLogGroup: (input, world) =>
      Object.keys(input.tags ?? {}).length > 0
        ? [{ action: 'logs:TagResource', resource: { arn: logGroupArn(world, input.logGroupName ?? '') } }]
        : [],
    PutSubscriptionFilter: (input) => passRole(input.roleArn, 'logs.amazonaws.com'),
  },
});
