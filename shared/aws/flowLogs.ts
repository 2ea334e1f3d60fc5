import {
  type FlowLog as AwsFlowLog,
  type Vpc as AwsVpc,
  CreateFlowLogsCommand,
  DeleteFlowLogsCommand,
  EC2Client,
  paginateDescribeFlowLogs,
  paginateDescribeVpcs,
} from '@aws-sdk/client-ec2';
import { InvalidInput, NotFound, Refused } from '../core/errors.ts';
import type { FlowLog, FlowLogs, Vpc } from '../core/flowLogs.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { asOurs, calling } from './errors.ts';

const asVpc = ({ VpcId, Tags = [] }: AwsVpc): Vpc => {
  if (!VpcId) throw new InvalidInput('EC2 describes a VPC without an id');
  return { id: VpcId, tags: Object.fromEntries(Tags.map((t) => [t.Key ?? '', t.Value ?? ''])) };
};

const TRAFFIC = ['ALL', 'ACCEPT', 'REJECT'] as const;

const asFlowLog = (raw: AwsFlowLog): FlowLog => {
  const traffic = TRAFFIC.find((t) => t === raw.TrafficType);
  if (!raw.FlowLogId || !raw.ResourceId || !traffic)
    throw new InvalidInput(`EC2 describes the flow log ${raw.FlowLogId ?? ''} without its VPC or its traffic`);
  return {
    id: raw.FlowLogId,
    vpc: raw.ResourceId,
    active: raw.FlowLogStatus === 'ACTIVE',
    traffic,
    destination: raw.LogDestination ?? `log-group:${raw.LogGroupName ?? ''}`,
    delivery:
      raw.DeliverLogsStatus === 'SUCCESS' ? 'success' : raw.DeliverLogsStatus === 'FAILED' ? 'failed' : 'unknown',
    ...(raw.DeliverLogsErrorMessage ? { error: raw.DeliverLogsErrorMessage } : {}),
    ...(raw.CreationTime ? { createdAt: raw.CreationTime.getTime() } : {}),
  };
};

export const ec2FlowLogs = (options: ClientOptions): FlowLogs => {
  const client = new EC2Client(clientConfig(options, 3));
  return {
    vpcs: (ids) =>
      calling(`cannot describe ${ids?.join(', ') ?? 'the VPCs'}`, async () => {
        const found: Vpc[] = [];
        // EC2 takes ids or a page size, not both.
        const pages = paginateDescribeVpcs(
          { client, ...(ids ? {} : { pageSize: 1000 }) },
          ids ? { VpcIds: [...ids] } : {},
        );
        for await (const { Vpcs = [] } of pages) found.push(...Vpcs.map(asVpc));
        return found;
      }),
    list: (vpc) =>
      calling(`cannot describe the flow logs of ${vpc ?? 'the VPCs'}`, async () => {
        const found: AwsFlowLog[] = [];
        const Filter = vpc === undefined ? [] : [{ Name: 'resource-id', Values: [vpc] }];
        for await (const { FlowLogs: page = [] } of paginateDescribeFlowLogs({ client, pageSize: 1000 }, { Filter }))
          found.push(...page);
        return found.filter((f) => f.ResourceId?.startsWith('vpc-')).map(asFlowLog);
      }),
    create: (vpc, { type, destination, role, traffic, maxAggregationSeconds, tags }, token) =>
      calling(`cannot create a flow log of ${vpc}`, async () => {
        const { FlowLogIds = [], Unsuccessful = [] } = await client.send(
          new CreateFlowLogsCommand({
            ClientToken: token,
            ResourceIds: [vpc],
            ResourceType: 'VPC',
            TrafficType: traffic,
            LogDestinationType: type,
            LogDestination: destination,
            ...(role === undefined ? {} : { DeliverLogsPermissionArn: role }),
            MaxAggregationInterval: maxAggregationSeconds,
            TagSpecifications: [
              { ResourceType: 'vpc-flow-log', Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) },
            ],
          }),
        );
        const refusal = Unsuccessful.find((u) => u.Error?.Code !== 'FlowLogAlreadyExists')?.Error;
        if (refusal)
          throw new Refused(
            refusal.Code ?? 'Unsuccessful',
            `cannot create a flow log of ${vpc}: ${refusal.Message ?? ''}`,
          );
        return { flowLogs: FlowLogIds };
      }),
    remove: async (ids) => {
      try {
        await client.send(new DeleteFlowLogsCommand({ FlowLogIds: [...ids] }));
      } catch (e) {
        const ours = asOurs(e, `cannot delete ${ids.join(', ')}`);
        if (!(ours instanceof NotFound)) throw ours;
      }
    },
  };
};
