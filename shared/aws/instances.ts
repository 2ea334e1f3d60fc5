import {
  type Subnet as AwsSubnet,
  DescribeAvailabilityZonesCommand,
  DescribeInstanceCreditSpecificationsCommand,
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  EC2Client,
  type Instance as Ec2Instance,
  type Filter,
  type Host,
  type InstanceStatus,
  type InstanceTypeInfo,
  ModifyInstanceAttributeCommand,
  ModifyInstanceCreditSpecificationCommand,
  paginateDescribeHosts,
  paginateDescribeInstanceStatus,
  paginateDescribeInstances,
  paginateDescribeSubnets,
  RebootInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { DedicatedHost } from '../core/dedicatedHosts.ts';
import { InvalidInput, NotFound, Refused } from '../core/errors.ts';
import type { Check, Checks, Instance, Instances, Running, Subnet, Traits } from '../core/ports.ts';
import { type ClientOptions, clientConfig, MOST_VALUES } from './clients.ts';
import { asOurs, calling } from './errors.ts';

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
    zoneName: raw.Placement?.AvailabilityZone ?? 'unknown',
    type: raw.InstanceType ?? 'unknown',
    launchedAt: raw.LaunchTime?.getTime() ?? 0,
    ...(raw.StateReason?.Code
      ? { reason: { code: raw.StateReason.Code, message: raw.StateReason.Message ?? raw.StateReason.Code } }
      : {}),
    spot: raw.InstanceLifecycle === 'spot',
    losesAddress: (raw.NetworkInterfaces ?? []).some((n) => n.Association?.IpOwnerId === 'amazon'),
    autoRecovery: raw.MaintenanceOptions?.AutoRecovery !== 'disabled',
    ...(raw.Placement?.HostId ? { host: { id: raw.Placement.HostId, pinned: raw.Placement.Affinity === 'host' } } : {}),
    devices: Object.fromEntries(
      (raw.BlockDeviceMappings ?? []).flatMap((d) =>
        d.DeviceName && d.Ebs?.VolumeId ? [[d.DeviceName, d.Ebs.VolumeId]] : [],
      ),
    ),
  };
};

const asSubnet = (raw: AwsSubnet): Subnet => {
  const { SubnetId: id, AvailabilityZoneId: zoneId, AvailabilityZone: zoneName, AvailableIpAddressCount: free } = raw;
  if (!id || !zoneId || !zoneName || free === undefined)
    throw new InvalidInput(`EC2 describes ${id ?? 'a subnet'} without its zone or its free addresses`);
  return { id, zoneId, zoneName, free };
};

/** DescribeInstanceStatus takes so many ids at once. */
const MOST_IDS = 100;

const CHECKS: Readonly<Record<string, Check>> = {
  ok: 'ok',
  impaired: 'impaired',
  initializing: 'initializing',
};
/** An event that is over stays listed for a week, with such a description. Source: "Scheduled events for your instances", EC2 user guide. */
const OVER = /^\[(Completed|Canceled)\]/;

const asChecks = (raw: InstanceStatus): Checks => {
  const state = STATES.find((s) => s === raw.InstanceState?.Name);
  if (!state)
    throw new InvalidInput(`EC2 tells the status of ${raw.InstanceId ?? 'an instance'} without a state that is known`);
  const since = [raw.SystemStatus, raw.InstanceStatus, raw.AttachedEbsStatus]
    .flatMap((s) => s?.Details ?? [])
    .flatMap((d) => (d.ImpairedSince ? [d.ImpairedSince.getTime()] : []));
  const check = (status: string | undefined): Check => CHECKS[status ?? ''] ?? 'unknown';
  return {
    state,
    system: check(raw.SystemStatus?.Status),
    instance: check(raw.InstanceStatus?.Status),
    ...(raw.AttachedEbsStatus ? { ebs: check(raw.AttachedEbsStatus.Status) } : {}),
    ...(since.length > 0 ? { impairedSince: Math.min(...since) } : {}),
    events: (raw.Events ?? []).flatMap(({ Code, Description = '', NotBefore }) =>
      Code && NotBefore && !OVER.test(Description)
        ? [{ code: Code as Checks['events'][number]['code'], description: Description, notBefore: NotBefore.getTime() }]
        : [],
    ),
  };
};

/** One id that is gone makes EC2 refuse the whole call: then each is asked for by itself. */
const statuses = async (client: EC2Client, ids: readonly string[]): Promise<readonly InstanceStatus[]> => {
  try {
    const command = new DescribeInstanceStatusCommand({ IncludeAllInstances: true, InstanceIds: [...ids] });
    return (await client.send(command)).InstanceStatuses ?? [];
  } catch (e) {
    if (!(asOurs(e, 'status') instanceof NotFound)) throw e;
    if (ids.length <= 1) return [];
    return (await Promise.all(ids.map((id) => statuses(client, [id])))).flat();
  }
};

const asTraits = (raw: InstanceTypeInfo): Traits => ({
  type: raw.InstanceType ?? 'unknown',
  vcpus: raw.VCpuInfo?.DefaultVCpus ?? 0,
  memoryMiB: raw.MemoryInfo?.SizeInMiB ?? 0,
  architectures: raw.ProcessorInfo?.SupportedArchitectures ?? [],
  instanceStore: raw.InstanceStorageSupported ?? false,
  burstable: raw.BurstablePerformanceSupported ?? false,
  autoRecovery: raw.AutoRecoverySupported ?? false,
  currentGeneration: raw.CurrentGeneration ?? false,
});

const withStatus = async (client: EC2Client, filter: Filter): Promise<InstanceStatus[]> => {
  const found: InstanceStatus[] = [];
  const pages = paginateDescribeInstanceStatus({ client, pageSize: 1000 }, { Filters: [filter] });
  for await (const { InstanceStatuses = [] } of pages) found.push(...InstanceStatuses);
  return found;
};

/** Filters of DescribeInstanceStatus that find trouble: each finds another kind, and filters are joined by "and". */
const TROUBLED = [
  { Name: 'system-status.status', Values: ['impaired'] },
  { Name: 'instance-status.status', Values: ['impaired'] },
  { Name: 'attached-ebs-status.status', Values: ['impaired'] },
  {
    Name: 'event.code',
    Values: ['instance-stop', 'instance-retirement', 'instance-reboot', 'system-reboot', 'system-maintenance'],
  },
];

const asHost = (raw: Host): DedicatedHost => {
  if (!raw.HostId || !raw.State)
    throw new InvalidInput(`EC2 describes ${raw.HostId ?? 'a dedicated host'} without its state`);
  return {
    id: raw.HostId,
    state: raw.State,
    zoneName: raw.AvailabilityZone ?? 'unknown',
    autoPlacement: raw.AutoPlacement === 'on',
    instances: (raw.Instances ?? []).flatMap((i) => i.InstanceId ?? []),
    room: Object.fromEntries(
      (raw.AvailableCapacity?.AvailableInstanceCapacity ?? []).map((c) => [
        c.InstanceType ?? 'unknown',
        c.AvailableCapacity ?? 0,
      ]),
    ),
  };
};

export interface ManyInstances extends Instances {
  /** Those of them that there are. */
  many(ids: readonly string[]): Promise<ReadonlyMap<string, Instance>>;
  tagged(tag: { key: string; value: string }): Promise<readonly Instance[]>;
}

const few = (ids: readonly string[]): string => `${ids.slice(0, 3).join(', ')}${ids.length > 3 ? ' …' : ''}`;

/** By a filter, not InstanceIds: one that is not there must not hide the others. And paged: EC2's larger bucket is for that. */
const withIds = async (client: EC2Client, ids: readonly string[]): Promise<ReadonlyMap<string, Instance>> => {
  const found: Instance[] = [];
  for (let n = 0; n < ids.length; n += MOST_VALUES)
    found.push(...(await listed(client, [{ Name: 'instance-id', Values: ids.slice(n, n + MOST_VALUES) }])));
  return new Map(found.map((i) => [i.id, i]));
};

export const ec2Instances = (options: ClientOptions): ManyInstances => {
  const client = new EC2Client(clientConfig(options, 3));
  // Each names the end state, or may be done twice without harm, but none is repeated behind our back.
  const writer = new EC2Client(clientConfig(options, 1));
  return {
    describe: (id) =>
      calling(`cannot describe ${id}`, async () => {
        const { Reservations = [] } = await client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
        const found = Reservations.flatMap((r) => r.Instances ?? [])[0];
        if (!found) throw new NotFound(`${id} does not exist`);
        return asInstance(found);
      }),
    many: (ids) => calling(`cannot describe ${few(ids)}`, () => withIds(client, ids)),
    tagged: (tag) => calling(`cannot list the instances tagged ${tag.key}=${tag.value}`, () => tagged(client, tag)),
    checks: (ids) =>
      calling(`cannot read the status checks of ${few(ids)}`, async () => {
        const found: Record<string, Checks> = {};
        for (let n = 0; n < ids.length; n += MOST_IDS)
          for (const raw of await statuses(client, ids.slice(n, n + MOST_IDS)))
            if (raw.InstanceId) found[raw.InstanceId] = asChecks(raw);
        return found;
      }),
    traits: (types) =>
      calling(`cannot look up the instance types ${types.join(', ')}`, async () => {
        // A filter, not InstanceTypes: one that is not there must not hide the others.
        const { InstanceTypes = [] } = await client.send(
          new DescribeInstanceTypesCommand({ Filters: [{ Name: 'instance-type', Values: [...types] }] }),
        );
        return Object.fromEntries(InstanceTypes.map(asTraits).map((t) => [t.type, t]));
      }),
    troubled: () =>
      calling('cannot list the status checks that fail', async () => {
        const found = (await Promise.all(TROUBLED.map((filter) => withStatus(client, filter)))).flat();
        const byId = new Map(found.map((raw) => [raw.InstanceId ?? '', raw]));
        return [...byId].map(([id, raw]) => ({ id, checks: asChecks(raw) }));
      }),
    reboot: (id) =>
      calling(
        `cannot reboot ${id}`,
        async () => void (await writer.send(new RebootInstancesCommand({ InstanceIds: [id] }))),
      ),
    stop: (id) =>
      calling(
        `cannot stop ${id}`,
        async () => void (await writer.send(new StopInstancesCommand({ InstanceIds: [id] }))),
      ),
    start: (id) =>
      calling(
        `cannot start ${id}`,
        async () => void (await writer.send(new StartInstancesCommand({ InstanceIds: [id] }))),
      ),
    setType: (id, type) =>
      calling(`cannot make ${id} a ${type}`, async () => {
        await writer.send(new ModifyInstanceAttributeCommand({ InstanceId: id, InstanceType: { Value: type } }));
      }),
    credits: (id) =>
      calling(`cannot ask how ${id} pays for CPU`, async () => {
        const { InstanceCreditSpecifications: [found] = [] } = await client.send(
          new DescribeInstanceCreditSpecificationsCommand({ InstanceIds: [id] }),
        );
        return found?.CpuCredits === 'unlimited' || found?.CpuCredits === 'standard' ? found.CpuCredits : undefined;
      }),
    setCredits: (id, to) =>
      calling(`cannot set the CPU credits of ${id} to ${to}`, async () => {
        const { UnsuccessfulInstanceCreditSpecifications: [failed] = [] } = await writer.send(
          new ModifyInstanceCreditSpecificationCommand({
            InstanceCreditSpecifications: [{ InstanceId: id, CpuCredits: to }],
          }),
        );
        // AWS answers 200 and says here that it did not.
        if (failed) throw new Refused(failed.Error?.Code ?? 'unknown', failed.Error?.Message ?? `EC2 declined ${to}`);
      }),
    members: (tag) =>
      calling(`cannot list the instances tagged ${tag.key}=${tag.value}`, async () =>
        (await tagged(client, tag)).map((i) => i.id),
      ),
    zones: () =>
      calling('cannot list the zones', async () => {
        const { AvailabilityZones = [] } = await client.send(new DescribeAvailabilityZonesCommand({}));
        return Object.fromEntries(
          AvailabilityZones.flatMap((z) => (z.ZoneName && z.ZoneId ? [[z.ZoneName, z.ZoneId]] : [])),
        );
      }),
    subnets: (ids) =>
      calling(`cannot describe the subnets ${few(ids)}`, async () => {
        const found: Subnet[] = [];
        for (let n = 0; n < ids.length; n += MOST_VALUES) {
          // A filter, not SubnetIds: one that is not there must not hide the others.
          const Filters = [{ Name: 'subnet-id', Values: ids.slice(n, n + MOST_VALUES) }];
          for await (const { Subnets = [] } of paginateDescribeSubnets({ client, pageSize: 1000 }, { Filters }))
            found.push(...Subnets.map(asSubnet));
        }
        return found;
      }),
    dedicatedHosts: () =>
      calling('cannot list the dedicated hosts', async () => {
        const found: DedicatedHost[] = [];
        for await (const { Hosts = [] } of paginateDescribeHosts({ client, pageSize: 500 }, {}))
          found.push(...Hosts.map(asHost));
        return found;
      }),
    countByZone: (tag) =>
      calling(`cannot count the instances tagged ${tag.key}=${tag.value}`, async () => {
        const zones: Record<string, number> = {};
        for (const { zoneId } of await tagged(client, tag)) zones[zoneId] = (zones[zoneId] ?? 0) + 1;
        return zones;
      }),
  };
};

/** All that run, for surveys and for `doctor`. */
export const runningInstances = (options: ClientOptions): Promise<readonly Running[]> =>
  calling('cannot list the running instances', async () => {
    const client = new EC2Client(clientConfig(options, 3));
    return listed(client, [{ Name: 'instance-state-name', Values: ['running'] }]);
  });

const listed = async (client: EC2Client, Filters: Filter[]): Promise<Instance[]> => {
  const found: Instance[] = [];
  for await (const page of paginateDescribeInstances({ client, pageSize: 1000 }, { Filters }))
    found.push(...(page.Reservations ?? []).flatMap((r) => r.Instances ?? []).map(asInstance));
  return found;
};

const tagged = (client: EC2Client, { key, value }: { key: string; value: string }): Promise<Instance[]> =>
  listed(client, [
    // EC2 takes `*` and `?` in a filter as wildcards.
    { Name: `tag:${key}`, Values: [value.replaceAll(/[*?\\]/g, '\\$&')] },
    { Name: 'instance-state-name', Values: ['pending', 'running'] },
  ]);
