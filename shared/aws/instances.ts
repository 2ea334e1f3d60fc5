import {
  DescribeInstancesCommand,
  EC2Client,
  type Instance as Ec2Instance,
  paginateDescribeInstances,
} from '@aws-sdk/client-ec2';
import { InvalidInput, NotFound } from '../core/errors.ts';
import type { Instance, Instances } from '../core/ports.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

const STATES = ['pending', 'running', 'shutting-down', 'terminated', 'stopping', 'stopped'] as const;

const asInstance = (raw: Ec2Instance): Instance => {
  const state = STATES.find((s) => s === raw.State?.Name);
  if (!raw.InstanceId || !state)
    throw new InvalidInput(`EC2 describes ${raw.InstanceId ?? 'an instance'} without a state that is known`);
  return {
    id: raw.InstanceId,
    state,
    tags: Object.fromEntries((raw.Tags ?? []).map((t) => [t.Key ?? '', t.Value ?? ''])),
    // Older answers know only the zone's name; the id is the same place in every account.
    zoneId: raw.Placement?.AvailabilityZoneId ?? raw.Placement?.AvailabilityZone ?? 'unknown',
    type: raw.InstanceType ?? 'unknown',
    devices: Object.fromEntries(
      (raw.BlockDeviceMappings ?? []).flatMap((d) =>
        d.DeviceName && d.Ebs?.VolumeId ? [[d.DeviceName, d.Ebs.VolumeId]] : [],
      ),
    ),
  };
};

export const ec2Instances = (options: ClientOptions): Instances => {
  const client = new EC2Client(clientConfig(options, 3));
  return {
    describe: (id) =>
      calling(`cannot describe ${id}`, async () => {
        const { Reservations = [] } = await client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
        const found = Reservations.flatMap((r) => r.Instances ?? [])[0];
        if (!found) throw new NotFound(`${id} does not exist`);
        return asInstance(found);
      }),
    countByZone: ({ key, value }) =>
      calling(`cannot count the instances tagged ${key}=${value}`, async () => {
        const zones: Record<string, number> = {};
        const Filters = [
          // EC2 takes `*` and `?` in a filter as wildcards.
          { Name: `tag:${key}`, Values: [value.replaceAll(/[*?\\]/g, '\\$&')] },
          { Name: 'instance-state-name', Values: ['pending', 'running'] },
        ];
        for await (const page of paginateDescribeInstances({ client, pageSize: 1000 }, { Filters }))
          for (const i of (page.Reservations ?? []).flatMap((r) => r.Instances ?? [])) {
            const zone = asInstance(i).zoneId;
            zones[zone] = (zones[zone] ?? 0) + 1;
          }
        return zones;
      }),
  };
};
