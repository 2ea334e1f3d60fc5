/** Zones, regions and instance types: what does not change. */
import type { _InstanceType } from '@aws-sdk/client-ec2';
import type { Ec2Operations } from './ec2.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

/** vCPUs and MiB (EC2's instance type pages): the handful that the fleet uses, all current generation. */
export const INSTANCE_TYPES: Readonly<Record<string, { vcpus: number; mib: number; arm?: true; disks?: true }>> = {
  't3.micro': { vcpus: 2, mib: 1024 },
  't3.medium': { vcpus: 2, mib: 4096 },
  't4g.small': { vcpus: 2, mib: 2048, arm: true },
  'm6i.large': { vcpus: 2, mib: 8192 },
  'm6i.xlarge': { vcpus: 4, mib: 16_384 },
  'm7g.large': { vcpus: 2, mib: 8192, arm: true },
  'r6i.large': { vcpus: 2, mib: 16_384 },
  'c6i.large': { vcpus: 2, mib: 4096 },
  'c6i.xlarge': { vcpus: 4, mib: 8192 },
  'r6i.xlarge': { vcpus: 4, mib: 32_768 },
  't3.large': { vcpus: 2, mib: 8192 },
  'm6id.large': { vcpus: 2, mib: 8192, disks: true },
};

/** The zone's only subnet. */
export const subnetIn = (world: World, zone: string): string =>
  `subnet-0000000000000000${Math.max(0, Object.keys(world.zones).indexOf(zone))}`;

const REGIONS = ['eu-central-1', 'eu-west-1', 'us-east-1', 'us-west-2'];

const inValues = (
  value: string,
  filters: { Name?: string | undefined; Values?: string[] | undefined }[] | undefined,
  name: string,
) => (filters ?? []).every(({ Name, Values }) => Name !== name || Values?.includes(value));

export const placeOperations: Ec2Operations = {
  DescribeAvailabilityZones: (input, { world }) => ({
    AvailabilityZones: Object.entries(world.zones)
      .filter(([name, id]) => (input.ZoneNames ?? [name]).includes(name) && (input.ZoneIds ?? [id]).includes(id))
      .filter(([name, id]) => inValues(name, input.Filters, 'zone-name') && inValues(id, input.Filters, 'zone-id'))
      .map(([ZoneName, ZoneId]) => ({
        ZoneName,
        ZoneId,
        ZoneType: 'availability-zone',
        State: 'available' as const,
        RegionName: world.region,
        GroupName: world.region,
        NetworkBorderGroup: world.region,
        OptInStatus: 'opt-in-not-required' as const,
        Messages: [],
      })),
  }),

  /** One in each zone, of 256 addresses, of which AWS keeps five. */
  DescribeSubnets: (input, { world }) => ({
    Subnets: Object.entries(world.zones)
      .map(([AvailabilityZone, AvailabilityZoneId]) => ({
        SubnetId: subnetIn(world, AvailabilityZone),
        AvailabilityZone,
        AvailabilityZoneId,
        VpcId: 'vpc-00000000000000001',
        State: 'available' as const,
        AvailableIpAddressCount: world.ec2.addresses.get(AvailabilityZone) ?? 251,
      }))
      .filter(
        ({ SubnetId }) =>
          (input.SubnetIds ?? [SubnetId]).includes(SubnetId) && inValues(SubnetId, input.Filters, 'subnet-id'),
      ),
  }),

  DescribeRegions: (input, { world }) => ({
    Regions: [...new Set([world.region, ...REGIONS])]
      .filter((name) => (input.RegionNames ?? [name]).includes(name) && inValues(name, input.Filters, 'region-name'))
      .map((name) => ({ RegionName: name, Endpoint: `ec2.${name}.amazonaws.com`, OptInStatus: 'opt-in-not-required' })),
  }),

  DescribeInstanceTypes: (input) => {
    const unknown = (input.InstanceTypes ?? []).filter((type) => !INSTANCE_TYPES[type]);
    if (unknown.length > 0) {
      throw new AwsError(
        'InvalidInstanceType',
        `The following supplied instance types do not exist: [${unknown.join(', ')}]`,
      );
    }
    return {
      InstanceTypes: Object.entries(INSTANCE_TYPES)
        .filter(([type]) => (input.InstanceTypes ?? [type]).includes(type as _InstanceType))
        .filter(([type]) => inValues(type, input.Filters, 'instance-type'))
        .map(([type, { vcpus, mib, arm, disks }]) => ({
          InstanceType: type as _InstanceType,
          CurrentGeneration: true,
          BareMetal: false,
          Hypervisor: 'nitro' as const,
          InstanceStorageSupported: disks ?? false,
          BurstablePerformanceSupported: type.startsWith('t'),
          // "Simplified automatic recovery" is not for types with instance-store disks.
          AutoRecoverySupported: !disks,
          VCpuInfo: { DefaultVCpus: vcpus },
          MemoryInfo: { SizeInMiB: mib },
          ProcessorInfo: { SupportedArchitectures: [arm ? ('arm64' as const) : ('x86_64' as const)] },
        })),
    };
  },
};
