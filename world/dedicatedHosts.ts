/** Dedicated Hosts: who is on which, and where a start lands. */
import type { _InstanceType, AllocationState } from '@aws-sdk/client-ec2';
import { applyFilters, type FilterTable, page } from './describe.ts';
import type { DedicatedHost, Ec2Operations, Instance } from './ec2.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

export const addHost = (world: World, given: Partial<Omit<DedicatedHost, 'id'>> = {}): DedicatedHost => {
  const host: DedicatedHost = {
    id: `h-${world.random.hex(17)}`,
    zone: Object.keys(world.zones)[0] ?? '',
    type: 'm6i.large',
    capacity: 10,
    autoPlacement: false,
    state: 'available',
    tags: {},
    ...given,
  };
  world.ec2.dedicatedHosts.set(host.id, host);
  return host;
};
/** @param pinned its affinity is the host */
export const placeOn = (host: DedicatedHost, instance: Instance, pinned: boolean): void => {
  instance.host = { id: host.id, pinned };
};

/** It fails under what runs on it; only another one is a cure. */
export const failHost = (world: World, host: DedicatedHost, state: 'under-assessment' | 'permanent-failure'): void => {
  host.state = state;
  for (const guest of guestsOf(world, host)) {
    Object.assign(guest, { impairedSince: guest.impairedSince ?? world.clock.now(), cure: 'nothing' });
    guest.impaired.system = true;
  }
};

/** AWS announces something for a host: Health names the host, not what runs on it. */
export const announceForHost = (world: World, host: DedicatedHost, what: string): void => {
  const code = `AWS_EC2_DEDICATED_HOST_${what}_SCHEDULED`;
  world.events.emit({
    source: 'aws.health',
    detailType: 'AWS Health Event',
    resources: [host.id],
    detail: {
      eventArn: `arn:aws:health:${world.region}::event/EC2/${code}/${code}_${world.random.hex(8).toUpperCase()}`,
      service: 'EC2',
      eventScopeCode: 'ACCOUNT_SPECIFIC',
      statusCode: 'upcoming',
      eventRegion: world.region,
      eventTypeCode: code,
      eventTypeCategory: 'scheduledChange',
      startTime: new Date(world.clock.now() + 14 * 86_400_000).toUTCString(),
      eventDescription: [{ language: 'en_US', latestDescription: 'Your Dedicated Host needs maintenance.' }],
      affectedEntities: [{ entityValue: host.id }],
    },
  });
};

/** Those that are stopped hold no room. */
const guestsOf = (world: World, { id }: DedicatedHost): Instance[] =>
  [...world.ec2.instances.values()].filter(
    (i) => i.host?.id === id && !['stopped', 'terminated', 'shutting-down'].includes(i.state),
  );
const hasRoom = (world: World, host: DedicatedHost, { type, zone }: Instance): boolean =>
  host.state === 'available' &&
  host.type === type &&
  host.zone === zone &&
  guestsOf(world, host).length < host.capacity;

/** Where its start lands. True: on another host than before. */
export const land = (world: World, instance: Instance): boolean => {
  const { host } = instance;
  if (!host) return false;
  const hosts = [...world.ec2.dedicatedHosts.values()];
  const own = hosts.find((h) => h.id === host.id && hasRoom(world, h, instance));
  const to = own ?? (host.pinned ? undefined : hosts.find((h) => h.autoPlacement && hasRoom(world, h, instance)));
  if (!to) throw new AwsError('InsufficientHostCapacity', 'There is not enough capacity on your Dedicated Hosts.', 500);
  instance.host = { ...host, id: to.id };
  return to.id !== host.id;
};

const filters: FilterTable<DedicatedHost> = {
  'availability-zone': ({ zone }) => [zone],
  state: ({ state }) => [state],
};

export const dedicatedHostOperations: Ec2Operations = {
  DescribeHosts: (input, { world }) => {
    const wanted = [...world.ec2.dedicatedHosts.values()].filter(({ id }) => input.HostIds?.includes(id) ?? true);
    const { items, nextToken } = page(applyFilters(wanted, input.Filter, filters), {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 500,
    });
    return {
      Hosts: items.map((host) => {
        const guests = guestsOf(world, host);
        return {
          HostId: host.id,
          State: host.state as AllocationState,
          AvailabilityZone: host.zone,
          AvailabilityZoneId: world.zones[host.zone],
          AutoPlacement: host.autoPlacement ? ('on' as const) : ('off' as const),
          HostProperties: { InstanceType: host.type },
          AvailableCapacity: {
            AvailableInstanceCapacity: [
              {
                InstanceType: host.type as _InstanceType,
                AvailableCapacity: host.capacity - guests.length,
                TotalCapacity: host.capacity,
              },
            ],
          },
          Instances: guests.map(({ id, type }) => ({ InstanceId: id, InstanceType: type, OwnerId: world.account })),
        };
      }),
      ...(nextToken && { NextToken: nextToken }),
    };
  },
};
