/** Which instances Systems Manager can reach, as far as it knows. */
import type { InstanceInformation } from '@aws-sdk/client-ssm';
import { page } from './describe.ts';
import type { Host } from './hosts.ts';
import { AwsError } from './service.ts';
import type { SsmOperations } from './ssm.ts';
import type { World } from './world.ts';

const PING_EVERY = 300_000;

const information = (world: World, host: Host): InstanceInformation => {
  const now = world.clock.now();
  const silent = host.unreachableSince;
  const lost = silent !== undefined && now - silent > world.settle.agentLost;
  const [os = '', version = ''] = host.os.split(' ');
  const instance = world.ec2.instances.get(host.instanceId);
  return {
    InstanceId: host.instanceId,
    PingStatus: lost ? 'ConnectionLost' : 'Online',
    LastPingDateTime: new Date(Math.floor((silent ?? now) / PING_EVERY) * PING_EVERY),
    AgentVersion: '3.3.2299.0',
    IsLatestVersion: true,
    PlatformType: 'Linux',
    PlatformName: os === 'amzn' ? 'Amazon Linux' : os,
    PlatformVersion: version,
    ResourceType: 'EC2Instance',
    SourceType: 'AWS::EC2::Instance',
    SourceId: host.instanceId,
    ...(instance && {
      IPAddress: instance.privateIp,
      ComputerName: `ip-${instance.privateIp.replaceAll('.', '-')}.${world.region}.compute.internal`,
    }),
  };
};

const matches = (world: World, info: InstanceInformation, key: string, values: readonly string[]): boolean => {
  if (key.startsWith('tag:')) {
    const tag = world.ec2.instances.get(info.InstanceId ?? '')?.tags[key.slice('tag:'.length)];
    return tag !== undefined && values.includes(tag);
  }
  const have = {
    InstanceIds: info.InstanceId,
    PingStatus: info.PingStatus,
    PlatformTypes: info.PlatformType,
    AgentVersion: info.AgentVersion,
    ResourceType: info.ResourceType,
  }[key];
  if (have === undefined)
    throw new AwsError('InvalidInstanceInformationFilterValue', `The filter key ${key} is not valid.`);
  return values.includes(have);
};

export const managedOperations: SsmOperations = {
  DescribeInstanceInformation: (input, { world }) => {
    const filters = [
      ...(input.Filters ?? []).map(({ Key = '', Values = [] }) => ({ key: Key, values: Values })),
      ...(input.InstanceInformationFilterList ?? []).map(({ key = '', valueSet = [] }) => ({ key, values: valueSet })),
    ];
    if (input.MaxResults !== undefined && (input.MaxResults < 5 || input.MaxResults > 50)) {
      throw new AwsError(
        'ValidationException',
        "Value at 'maxResults' failed to satisfy constraint: Member must have value between 5 and 50",
      );
    }
    // Those that a filter names need not be found among all.
    const ids = filters.find(({ key }) => key === 'InstanceIds')?.values;
    const hosts = ids ? [...new Set(ids)].flatMap((id) => world.hosts.get(id) ?? []) : [...world.hosts.values()];
    const known = hosts
      .filter(({ agent }) => agent !== 'absent')
      .map((host) => information(world, host))
      .filter((info) => filters.every(({ key, values }) => matches(world, info, key, values)));
    const { items, nextToken } = page(known, {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 50,
      invalidToken: 'InvalidNextToken',
    });
    return { InstanceInformationList: items, ...(nextToken && { NextToken: nextToken }) };
  },
};
