/** VPCs and their flow logs. The records themselves are not modelled, only whether they are delivered. */
import { emitApiCall } from './apiCalls.ts';
import { applyFilters, checkMaxResults, type FilterTable, fromTags, page, toTags } from './describe.ts';
import type { Ec2Operations } from './ec2.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

export type Vpc = {
  readonly id: string;
  readonly cidr: string;
  readonly isDefault: boolean;
  tags: Record<string, string>;
};

export type FlowLog = {
  readonly id: string;
  readonly vpc: string;
  readonly traffic: 'ALL' | 'ACCEPT' | 'REJECT';
  readonly type: 's3' | 'cloud-watch-logs' | 'kinesis-data-firehose';
  readonly destination: string;
  readonly role: string | undefined;
  readonly maxAggregationSeconds: number;
  readonly createdAt: number;
  readonly token: string | undefined;
  /** In AWS's words: 'Access error', 'Rate limited', 'Unknown error'. Undefined: it delivers. */
  error: string | undefined;
  tags: Record<string, string>;
};

export const makeVpc = (
  world: World,
  { cidr = '10.0.0.0/16', isDefault = false, tags = {} }: Partial<Omit<Vpc, 'id'>> = {},
): Vpc => {
  const vpc: Vpc = { id: `vpc-${world.random.hex(17)}`, cidr, isDefault, tags };
  world.ec2.vpcs.set(vpc.id, world.lag.create(vpc));
  return vpc;
};

type NewFlowLog = Partial<Omit<FlowLog, 'id' | 'createdAt'>> & Pick<FlowLog, 'vpc' | 'destination'>;

export const makeFlowLog = (world: World, given: NewFlowLog): FlowLog => {
  const flowLog: FlowLog = {
    traffic: 'ALL',
    type: 's3',
    role: undefined,
    maxAggregationSeconds: 600,
    token: undefined,
    tags: {},
    ...given,
    id: `fl-${world.random.hex(17)}`,
    createdAt: world.clock.now(),
    error: given.error ?? world.ec2.unreachable.get(given.destination),
  };
  world.ec2.flowLogs.set(flowLog.id, world.lag.create(flowLog));
  return flowLog;
};

const vpcFilters: FilterTable<Vpc> = {
  'vpc-id': ({ id }) => [id],
  'is-default': ({ isDefault }) => [`${isDefault}`],
};
const flowLogFilters: FilterTable<FlowLog> = {
  'flow-log-id': ({ id }) => [id],
  'resource-id': ({ vpc }) => [vpc],
  'traffic-type': ({ traffic }) => [traffic],
  'log-destination-type': ({ type }) => [type],
};

const vpcOf = (world: World, id: string): Vpc => {
  const vpc = world.ec2.vpcs.get(id);
  if (!vpc) throw new AwsError('InvalidVpcID.NotFound', `The vpc ID '${id}' does not exist`);
  return vpc;
};

const seenOf = <T extends object>(world: World, things: Iterable<T>): T[] =>
  [...things].flatMap((thing) => world.lag.seen(thing) ?? []);

export const flowLogOperations: Ec2Operations = {
  CreateVpc: (input, call) => {
    const { world } = call;
    const tags = fromTags(input.TagSpecifications?.flatMap(({ Tags = [] }) => Tags));
    const vpc = makeVpc(world, { cidr: input.CidrBlock ?? '10.0.0.0/16', tags });
    const told = { vpcId: vpc.id, cidrBlock: vpc.cidr, isDefault: false, state: 'pending' };
    emitApiCall(call, {
      service: 'ec2',
      eventName: 'CreateVpc',
      requestParameters: { cidrBlock: vpc.cidr, instanceTenancy: 'default' },
      responseElements: { requestId: call.requestId, vpc: told },
    });
    return { Vpc: { VpcId: vpc.id, CidrBlock: vpc.cidr, IsDefault: false, State: 'pending', Tags: toTags(tags) } };
  },

  DeleteVpc: (input, { world }) => {
    const vpc = vpcOf(world, input.VpcId ?? '');
    world.ec2.vpcs.delete(vpc.id);
    return {};
  },

  DescribeVpcs: (input, { world }) => {
    const { VpcIds: ids, Filters: filters, MaxResults: max, NextToken: token } = input;
    checkMaxResults(max, ids, 'vpcIds');
    const all = seenOf(world, world.ec2.vpcs.values());
    const missing = ids?.find((id) => !all.some((vpc) => vpc.id === id));
    if (missing !== undefined) throw new AwsError('InvalidVpcID.NotFound', `The vpc ID '${missing}' does not exist`);
    const found = applyFilters(
      all.filter(({ id }) => ids?.includes(id) ?? true),
      filters,
      vpcFilters,
    );
    const { items, nextToken } = page(found, { max, token, otherwise: 1000 });
    return {
      Vpcs: items.map(({ id, cidr, isDefault, tags }) => ({
        VpcId: id,
        CidrBlock: cidr,
        IsDefault: isDefault,
        State: 'available' as const,
        OwnerId: world.account,
        Tags: toTags(tags),
      })),
      NextToken: nextToken,
    };
  },

  CreateFlowLogs: (input, call) => {
    const { world } = call;
    const {
      ResourceIds: ids = [],
      TrafficType: traffic = 'ALL',
      LogDestinationType: type = 'cloud-watch-logs',
    } = input;
    const { LogDestination: destination = '', DeliverLogsPermissionArn: role, ClientToken: token } = input;
    if (input.ResourceType !== 'VPC')
      throw new AwsError('InvalidParameterValue', `The world has flow logs of VPCs only, not of ${input.ResourceType}`);
    if (type === 'cloud-watch-logs' && !role)
      throw new AwsError(
        'InvalidParameter',
        "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs",
      );
    if (type === 's3' && role)
      throw new AwsError('InvalidParameter', 'DeliverLogsPermissionArn is not applicable for s3 delivery');
    const known = [...world.ec2.flowLogs.values()];
    const again = token ? known.filter((one) => one.token === token) : [];
    if (token && again.length > 0)
      return { ClientToken: token, FlowLogIds: again.map(({ id }) => id), Unsuccessful: [] };
    const refusals = ids.flatMap((id) => {
      vpcOf(world, id);
      const refuse = (Code: string, Message: string) => [{ ResourceId: id, Error: { Code, Message } }];
      if (known.some((f) => f.vpc === id && f.destination === destination && f.traffic === traffic))
        return refuse(
          'FlowLogAlreadyExists',
          'Error. There is an existing Flow Log with the same configuration and log destination.',
        );
      return type === 's3' && world.ec2.unreachable.has(destination)
        ? refuse('400', `LogDestination: ${destination.replace('arn:aws:s3:::', '')} is undeliverable`)
        : [];
    });
    const tags = fromTags(input.TagSpecifications?.flatMap(({ Tags = [] }) => Tags));
    const made = ids
      .filter((vpc) => !refusals.some((refusal) => refusal.ResourceId === vpc))
      .map((vpc) =>
        makeFlowLog(world, {
          vpc,
          traffic,
          type,
          destination,
          role,
          token,
          tags: { ...tags },
          maxAggregationSeconds: input.MaxAggregationInterval ?? 600,
        }),
      );
    const flowLogIdSet = { item: made.map(({ id }) => id) };
    emitApiCall(call, {
      service: 'ec2',
      eventName: 'CreateFlowLogs',
      requestParameters: {
        CreateFlowLogsRequest: { ResourceId: ids, TrafficType: traffic, LogDestination: destination },
      },
      responseElements: { CreateFlowLogsResponse: { requestId: call.requestId, flowLogIdSet } },
    });
    return { ClientToken: token, FlowLogIds: made.map(({ id }) => id), Unsuccessful: refusals };
  },

  DescribeFlowLogs: (input, { world }) => {
    const { FlowLogIds: ids, Filter: filters, MaxResults: max, NextToken: token } = input;
    const all = seenOf(world, world.ec2.flowLogs.values()).filter(({ id }) => ids?.includes(id) ?? true);
    const { items, nextToken } = page(applyFilters(all, filters, flowLogFilters), { max, token, otherwise: 1000 });
    return {
      FlowLogs: items.map((f) => ({
        FlowLogId: f.id,
        ResourceId: f.vpc,
        FlowLogStatus: 'ACTIVE',
        TrafficType: f.traffic,
        LogDestinationType: f.type,
        LogDestination: f.destination,
        ...(f.type === 'cloud-watch-logs' && { LogGroupName: f.destination.split(':')[6] }),
        ...(f.role && { DeliverLogsPermissionArn: f.role }),
        DeliverLogsStatus: f.error === undefined ? 'SUCCESS' : 'FAILED',
        ...(f.error !== undefined && { DeliverLogsErrorMessage: f.error }),
        MaxAggregationInterval: f.maxAggregationSeconds,
        CreationTime: new Date(f.createdAt),
        Tags: toTags(f.tags),
      })),
      NextToken: nextToken,
    };
  },

  DeleteFlowLogs: (input, call) => {
    const ids = input.FlowLogIds ?? [];
    for (const id of ids)
      if (!call.world.ec2.flowLogs.has(id))
        throw new AwsError('InvalidFlowLogId.NotFound', `The specified flow log ids do not exist: ${id}`);
    for (const id of ids) call.world.ec2.flowLogs.delete(id);
    emitApiCall(call, {
      service: 'ec2',
      eventName: 'DeleteFlowLogs',
      requestParameters: { DeleteFlowLogsRequest: { FlowLogId: ids } },
      responseElements: { DeleteFlowLogsResponse: { requestId: call.requestId, unsuccessful: '' } },
    });
    return { Unsuccessful: [] };
  },
};
