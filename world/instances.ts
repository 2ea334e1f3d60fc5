/** Instances: what is running, how it changes, and how long that takes. */
import type {
  _InstanceType,
  Instance as ApiInstance,
  DescribeInstancesCommandInput,
  Reservation,
} from '@aws-sdk/client-ec2';
import { instanceArn } from './arns.ts';
import { land } from './dedicatedHosts.ts';
import { applyFilters, checkMaxResults, type FilterTable, fromTags, groupBy, page, toTags } from './describe.ts';
import { makeVolume } from './ebs.ts';
import type { Ec2Operations, Instance, InstanceState, Volume } from './ec2.ts';
import { agentChanged, hostChanged } from './ecsInstances.ts';
import { catchUp, hear, makeHost, restartUnit } from './hosts.ts';
import { grantsKey, type Principal } from './iam.ts';
import { INSTANCE_TYPES, subnetIn } from './places.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

/** API_InstanceState: the low byte of the code. */
const STATE_CODES: Record<InstanceState, number> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

const stateOf = (state: InstanceState) => ({ Code: STATE_CODES[state], Name: state });

const filtersIn = (world: World): FilterTable<Instance> => ({
  'instance-id': ({ id }) => [id],
  'instance-state-name': ({ state }) => [state],
  'instance-state-code': ({ state }) => [String(STATE_CODES[state])],
  'instance-type': ({ type }) => [type],
  'availability-zone': ({ zone }) => [zone],
  'availability-zone-id': ({ zone }) => [world.zones[zone]],
  'image-id': ({ imageId }) => [imageId],
  'vpc-id': ({ vpcId }) => [vpcId],
  'subnet-id': ({ subnetId }) => [subnetId],
  'private-ip-address': ({ privateIp }) => [privateIp],
  'reservation-id': ({ reservationId }) => [reservationId],
  'client-token': ({ clientToken }) => [clientToken],
  'root-device-name': ({ rootDevice }) => [rootDevice],
  'block-device-mapping.volume-id': ({ id }) => attached(world, id).map((volume) => volume.id),
});

/** DescribeInstanceStatus has filters of its own; an instance's id is not among them. */
const statusOf = (failed: boolean) => [failed ? 'impaired' : 'ok'];
const statusFilters: FilterTable<Instance> = {
  'availability-zone': ({ zone }) => [zone],
  'instance-state-name': ({ state }) => [state],
  'system-status.status': ({ impaired }) => statusOf(impaired.system),
  'instance-status.status': ({ impaired }) => statusOf(impaired.instance),
  'attached-ebs-status.status': ({ impaired }) => statusOf(impaired.ebs),
  'event.code': ({ scheduled }) => scheduled.map((e) => e.code),
};

/** Puts a volume on an instance. */
export const attach = (world: World, volume: Volume, attachment: NonNullable<Volume['attachment']>): void => {
  Object.assign(volume, { state: 'in-use', attachment });
  const { attached: all } = world.ec2;
  all.set(attachment.instanceId, (all.get(attachment.instanceId) ?? new Set()).add(volume.id));
};
export const attached = (world: World, instanceId: string): Volume[] =>
  [...(world.ec2.attached.get(instanceId) ?? [])]
    .map((id) => world.ec2.volumes.get(id))
    .filter((volume) => volume?.attachment?.instanceId === instanceId) as Volume[];

/** Instances by id as one read sees them, with EC2's words for those that are not there. */
const find = (world: World, ids: readonly string[] | undefined): Instance[] => {
  if (!ids?.length) return [...world.ec2.instances.values()].flatMap((instance) => world.lag.seen(instance) ?? []);
  const malformed = ids.find((id) => !/^i-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id));
  if (malformed !== undefined) throw new AwsError('InvalidInstanceID.Malformed', `Invalid id: "${malformed}"`);
  const found = ids.map((id) => {
    const instance = world.ec2.instances.get(id);
    return instance && world.lag.seen(instance);
  });
  const missing = ids.filter((_, i) => !found[i]);
  if (missing.length === 1)
    throw new AwsError('InvalidInstanceID.NotFound', `The instance ID '${missing[0]}' does not exist`);
  if (missing.length > 1)
    throw new AwsError('InvalidInstanceID.NotFound', `The instance IDs '${missing.join(', ')}' do not exist`);
  return found.filter((instance) => instance !== undefined);
};

const describeInstance = (world: World, instance: Instance, volumes: readonly Volume[]): ApiInstance => ({
  InstanceId: instance.id,
  ImageId: instance.imageId,
  InstanceType: instance.type as _InstanceType,
  State: stateOf(instance.state),
  StateTransitionReason: instance.reason?.transition ?? '',
  ...(instance.reason && { StateReason: { Code: instance.reason.code, Message: instance.reason.message } }),
  Placement: {
    AvailabilityZone: instance.zone,
    AvailabilityZoneId: world.zones[instance.zone],
    ...(instance.host
      ? { Tenancy: 'host' as const, HostId: instance.host.id, Affinity: instance.host.pinned ? 'host' : 'default' }
      : { Tenancy: 'default' as const }),
    GroupName: '',
  },
  LaunchTime: new Date(instance.launchTime),
  PrivateIpAddress: instance.privateIp,
  PrivateDnsName: `ip-${instance.privateIp.replaceAll('.', '-')}.${world.region}.compute.internal`,
  SubnetId: instance.subnetId,
  VpcId: instance.vpcId,
  AmiLaunchIndex: 0,
  Architecture: 'x86_64',
  Hypervisor: 'xen',
  VirtualizationType: 'hvm',
  PlatformDetails: 'Linux/UNIX',
  EbsOptimized: true,
  EnaSupport: true,
  Monitoring: { State: 'disabled' },
  MaintenanceOptions: { AutoRecovery: instance.autoRecovery },
  ...(instance.spot && { InstanceLifecycle: 'spot' as const }),
  ...(instance.publicIp && {
    PublicIpAddress: instance.publicIp,
    NetworkInterfaces: [{ Association: { IpOwnerId: 'amazon', PublicIp: instance.publicIp } }],
  }),
  RootDeviceName: instance.rootDevice,
  RootDeviceType: 'ebs',
  BlockDeviceMappings: volumes.flatMap(({ id, attachment }) =>
    attachment
      ? {
          DeviceName: attachment.device,
          Ebs: {
            VolumeId: id,
            Status: 'attached' as const,
            AttachTime: new Date(attachment.attachTime),
            DeleteOnTermination: attachment.deleteOnTermination,
          },
        }
      : [],
  ),
  ...(instance.profileArn && { IamInstanceProfile: { Arn: instance.profileArn } }),
  ...(instance.clientToken && { ClientToken: instance.clientToken }),
  Tags: toTags(instance.tags),
});

const reservations = (world: World, instances: readonly Instance[]): Reservation[] =>
  [...groupBy(instances, ({ reservationId }) => reservationId)].map(([ReservationId, members]) => ({
    ReservationId,
    OwnerId: world.account,
    Groups: [],
    Instances: members.map((instance) => describeInstance(world, instance, attached(world, instance.id))),
  }));

/** Those that a filter names by id need not be found among all. */
const named = (world: World, { InstanceIds, Filters }: DescribeInstancesCommandInput): readonly Instance[] => {
  const ids = Filters?.find(({ Name }) => Name === 'instance-id')?.Values;
  if (InstanceIds?.length || !ids || ids.some((id) => /[*?]/.test(id))) return find(world, InstanceIds);
  return ids.map((id) => world.ec2.instances.get(id)).flatMap((i) => (i ? (world.lag.seen(i) ?? []) : []));
};

/** Changes the state and says so on the bus. */
export const enter = (world: World, instance: Instance, state: InstanceState) => {
  world.lag.change(instance).state = state;
  if (state === 'running') instance.runningSince = world.clock.now();
  const host = world.hosts.get(instance.id);
  if (host) {
    // What ran until now has grown until now; a host that was off has not grown meanwhile.
    catchUp(world, host, state !== 'running' && state !== 'pending');
    hear(world, host);
    // The next start is on another host, whose neighbours are others.
    if (state === 'stopped') Object.assign(host, { stealPercent: 0, stealHistory: [] });
  }
  hostChanged(world, instance, state);
  world.events.emit({
    source: 'aws.ec2',
    detailType: 'EC2 Instance State-change Notification',
    resources: [instanceArn(world, instance.id)],
    detail: { 'instance-id': instance.id, state },
  });
};

/** Enters `first` now, and arrives after `ms`, unless something else has moved the instance meanwhile. */
const transition = (
  world: World,
  instance: Instance,
  { first, ms, arrive }: { first: InstanceState; ms: number; arrive: () => void },
) => {
  const turn = ++instance.turn;
  enter(world, instance, first);
  world.clock.at(world.clock.now() + ms, () => {
    if (instance.turn === turn) arrive();
  });
};

const byUser = (world: World, verb: string) => ({
  code: 'Client.UserInitiatedShutdown',
  message: 'Client.UserInitiatedShutdown: User initiated shutdown',
  transition: `User ${verb} (${new Date(world.clock.now()).toISOString().slice(0, 19).replace('T', ' ')} GMT)`,
});

/** Runs `change` on each instance and answers what AWS does: the state before and the one after. */
const changeEach = (world: World, ids: readonly string[] | undefined, change: (instance: Instance) => void) => {
  const instances = find(world, ids)
    .map(({ id }) => world.ec2.instances.get(id))
    .filter((instance) => instance !== undefined);
  return instances.map((instance) => {
    const PreviousState = stateOf(instance.state);
    change(instance);
    return { InstanceId: instance.id, PreviousState, CurrentState: stateOf(instance.state) };
  });
};

const refuse = (instance: Instance, verb: string) => {
  throw new AwsError(
    'IncorrectInstanceState',
    `The instance '${instance.id}' is not in a state from which it can be ${verb}.`,
  );
};

export type NewInstance = {
  spot?: boolean;
  publicIp?: string;
  autoRecovery?: 'default' | 'disabled';
  id?: string;
  type?: string;
  imageId?: string;
  zone?: string;
  tags?: Record<string, string>;
  reservationId?: string;
  clientToken?: string | undefined;
  rootGiB?: number;
  profileArn?: string;
  /** Already running at the world's beginning: no event, no waiting. */
  running?: boolean;
};

/** An instance with its root volume and a host inside. */
export const makeInstance = (world: World, options: NewInstance = {}): Instance => {
  const { random, clock, region } = world;
  const zone = options.zone ?? Object.keys(world.zones)[0] ?? `${region}a`;
  const index = Object.keys(world.zones).indexOf(zone);
  const instance: Instance = {
    id: options.id ?? `i-${random.hex(17)}`,
    reservationId: options.reservationId ?? `r-${random.hex(17)}`,
    type: options.type ?? 't3.medium',
    imageId: options.imageId ?? 'ami-0123456789abcdef0',
    zone,
    state: options.running ? 'running' : 'pending',
    launchTime: clock.now(),
    runningSince: options.running ? clock.now() - world.settle.statusChecks : clock.now(),
    privateIp: `10.0.${16 * index + random.integer(16)}.${4 + random.integer(250)}`,
    subnetId: subnetIn(world, zone),
    vpcId: 'vpc-00000000000000001',
    tags: { ...options.tags },
    reason: undefined,
    clientToken: options.clientToken,
    rootDevice: '/dev/xvda',
    impaired: { system: false, instance: false, ebs: false },
    impairedSince: undefined,
    cure: 'reboot',
    scheduled: [],
    spot: options.spot ?? false,
    publicIp: options.publicIp,
    autoRecovery: options.autoRecovery ?? 'default',
    credits: 'standard',
    creditBalance: 200,
    publishesCredits: true,
    profileArn: options.profileArn,
    host: undefined,
    turn: 0,
  };
  world.ec2.instances.set(instance.id, world.lag.create(instance));
  const root = makeVolume(world, { zone, size: options.rootGiB ?? 8 });
  attach(world, root, {
    instanceId: instance.id,
    device: instance.rootDevice,
    attachTime: clock.now(),
    deleteOnTermination: true,
  });
  world.hosts.set(instance.id, makeHost(world, instance.id, root.id));
  return instance;
};

/** A failing check and what ends it. `since` now, unless it fails already. */
export const impair = (
  world: World,
  id: string,
  checks: Partial<Instance['impaired']>,
  cure: Instance['cure'] = 'reboot',
) => {
  const instance = world.ec2.instances.get(id);
  if (!instance) throw new Error(`the world has no instance ${id}`);
  Object.assign(instance.impaired, checks);
  instance.impairedSince ??= world.clock.now();
  instance.cure = cure;
  agentChanged(world, id);
};
const mend = (instance: Instance) => {
  instance.impaired = { system: false, instance: false, ebs: false };
  instance.impairedSince = undefined;
};

export const startInstance = (world: World, instance: Instance, then: () => void = () => {}) =>
  transition(world, instance, {
    first: 'pending',
    ms: world.settle.instanceStart,
    arrive: () => {
      for (const unit of world.hosts.get(instance.id)?.units ?? []) restartUnit(world, unit);
      enter(world, instance, 'running');
      then();
    },
  });
const start = startInstance;

export const terminateInstance = (world: World, instance: Instance) => {
  if (instance.state === 'terminated' || instance.state === 'shutting-down') return;
  instance.reason = byUser(world, 'initiated');
  transition(world, instance, {
    first: 'shutting-down',
    ms: world.settle.instanceTerminate,
    arrive: () => {
      enter(world, instance, 'terminated');
      for (const volume of attached(world, instance.id)) {
        if (volume.attachment?.deleteOnTermination) world.ec2.volumes.delete(volume.id);
        else Object.assign(volume, { attachment: undefined, state: 'available' });
      }
      world.hosts.delete(instance.id);
      world.clock.at(world.clock.now() + world.settle.instanceForgotten, () => world.ec2.instances.delete(instance.id));
    },
  });
};

/** Those with a volume whose key the caller may not let EC2 use. */
const keyless = async (
  world: World,
  instances: readonly Instance[],
  principal: Principal,
): Promise<ReadonlySet<string>> => {
  const locked = new Set<string>();
  for (const { id } of instances)
    for (const key of new Set(attached(world, id).flatMap((v) => v.key ?? [])))
      if (!(await grantsKey(world, principal, key))) locked.add(id);
  return locked;
};

/** The start is taken, and comes to nothing. Source: "Why does my instance change to stopped", AWS re:Post. */
const fallBack = (world: World, instance: Instance) =>
  transition(world, instance, {
    first: 'pending',
    ms: 5_000,
    arrive: () => {
      const code = 'Client.InternalError';
      instance.reason = { code, message: `${code}: Client error on launch`, transition: code };
      enter(world, instance, 'stopped');
    },
  });

const checkStatus = (failed: boolean, initializing: boolean, since: number | undefined) => {
  const Status = failed ? 'failed' : initializing ? 'initializing' : 'passed';
  return {
    Status: failed ? ('impaired' as const) : initializing ? ('initializing' as const) : ('ok' as const),
    Details: [
      {
        Name: 'reachability' as const,
        Status: Status as 'failed' | 'initializing' | 'passed',
        ...(failed && since !== undefined && { ImpairedSince: new Date(since) }),
      },
    ],
  };
};

export const instanceOperations: Ec2Operations = {
  DescribeInstances: (input, { world }) => {
    checkMaxResults(input.MaxResults, input.InstanceIds, 'instancesSet');
    const { items, nextToken } = page(applyFilters(named(world, input), input.Filters, filtersIn(world)), {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 1000,
    });
    return { Reservations: reservations(world, items), ...(nextToken && { NextToken: nextToken }) };
  },

  /** Only running instances, unless IncludeAllInstances. */
  DescribeInstanceStatus: (input, { world }) => {
    checkMaxResults(input.MaxResults, input.InstanceIds, 'instanceIds');
    const wanted = find(world, input.InstanceIds).filter(
      ({ state }) => input.IncludeAllInstances || state === 'running',
    );
    const { items, nextToken } = page(applyFilters(wanted, input.Filters, statusFilters), {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 1000,
    });
    const InstanceStatuses = items.map((instance) => {
      const initializing = world.clock.now() - instance.runningSince < world.settle.statusChecks;
      const off = instance.state !== 'running';
      const notApplicable = { Status: 'not-applicable' as const };
      return {
        InstanceId: instance.id,
        AvailabilityZone: instance.zone,
        AvailabilityZoneId: world.zones[instance.zone],
        InstanceState: stateOf(instance.state),
        SystemStatus: off ? notApplicable : checkStatus(instance.impaired.system, initializing, instance.impairedSince),
        InstanceStatus: off
          ? notApplicable
          : checkStatus(instance.impaired.instance, initializing, instance.impairedSince),
        AttachedEbsStatus: off
          ? notApplicable
          : {
              ...checkStatus(instance.impaired.ebs, false, instance.impairedSince),
            },
        Events: instance.scheduled.map((e) => ({
          Code: e.code as 'instance-stop',
          Description: e.description,
          NotBefore: new Date(e.notBefore),
        })),
      };
    });
    return { InstanceStatuses, ...(nextToken && { NextToken: nextToken }) };
  },

  RunInstances: (input, { world }) => {
    const { ClientToken: clientToken } = input;
    const known = [...world.ec2.instances.values()].filter(
      (instance) => clientToken && instance.clientToken === clientToken,
    );
    if (known.length > 0) return reservations(world, known)[0] ?? {};
    const count = input.MaxCount ?? 1;
    const reservationId = `r-${world.random.hex(17)}`;
    const tags = fromTags(input.TagSpecifications?.find(({ ResourceType }) => ResourceType === 'instance')?.Tags);
    const zone =
      input.Placement?.AvailabilityZone ??
      Object.keys(world.zones)[Number(/(\d)$/.exec(input.SubnetId ?? '')?.[1] ?? 0)];
    if (zone !== undefined && !world.zones[zone])
      throw new AwsError('InvalidParameterValue', `Invalid availability zone: [${zone}]`);
    const size = input.BlockDeviceMappings?.find(({ DeviceName }) => DeviceName === '/dev/xvda')?.Ebs?.VolumeSize;
    const made = Array.from({ length: count }, () =>
      makeInstance(world, {
        type: input.InstanceType ?? 'm1.small',
        imageId: input.ImageId ?? 'ami-0123456789abcdef0',
        tags,
        reservationId,
        clientToken,
        ...(zone && { zone }),
        ...(size && { rootGiB: size }),
        ...(input.IamInstanceProfile?.Arn && { profileArn: input.IamInstanceProfile.Arn }),
      }),
    );
    for (const instance of made) start(world, instance);
    return reservations(world, made)[0] ?? {};
  },

  StartInstances: async (input, { world, principal }) => {
    const locked = await keyless(world, find(world, input.InstanceIds), principal);
    return {
      StartingInstances: changeEach(world, input.InstanceIds, (instance) => {
        if (instance.state === 'pending' || instance.state === 'running') return;
        if (instance.state !== 'stopped') refuse(instance, 'started');
        const moves = land(world, instance);
        Object.assign(instance, { launchTime: world.clock.now(), reason: undefined });
        if (locked.has(instance.id)) return fallBack(world, instance);
        instance.scheduled = [];
        if (moves || instance.cure !== 'nothing') mend(instance);
        start(world, instance);
      }),
    };
  },

  StopInstances: (input, { world }) => ({
    StoppingInstances: changeEach(world, input.InstanceIds, (instance) => {
      if (instance.state === 'stopped' || instance.state === 'stopping') return;
      if (instance.state !== 'running') refuse(instance, 'stopped');
      instance.reason = byUser(world, 'initiated');
      transition(world, instance, {
        first: 'stopping',
        ms: world.settle.instanceStop,
        arrive: () => enter(world, instance, 'stopped'),
      });
    }),
  }),

  /** "If an instance does not cleanly shut down within a few minutes, Amazon EC2 performs a hard reboot": the state stays running. */
  RebootInstances: (input, { world }) => {
    changeEach(world, input.InstanceIds, (instance) => {
      if (instance.state !== 'running') refuse(instance, 'rebooted');
      const host = world.hosts.get(instance.id);
      if (host) {
        host.downUntil = world.clock.now() + world.settle.reboot;
        for (const unit of host.units) restartUnit(world, unit);
      }
      instance.runningSince = world.clock.now();
      if (instance.cure === 'reboot') mend(instance);
      hostChanged(world, instance, 'rebooting');
    });
    return {};
  },

  /** The type only, and only while it is stopped. */
  ModifyInstanceAttribute: (input, { world }) => {
    const type = input.InstanceType?.Value;
    if (type === undefined)
      throw new AwsError('InvalidParameterValue', 'The world changes the type of an instance only');
    if (!INSTANCE_TYPES[type]) throw new AwsError('InvalidInstanceAttributeValue', `Invalid instance type '${type}'`);
    changeEach(world, [input.InstanceId ?? ''], (instance) => {
      if (instance.state !== 'stopped')
        throw new AwsError('IncorrectInstanceState', `The instance '${instance.id}' is not in the 'stopped' state.`);
      instance.type = type;
    });
    return {};
  },

  DescribeInstanceCreditSpecifications: (input, { world }) => ({
    InstanceCreditSpecifications: find(world, input.InstanceIds)
      .filter(({ type }) => type.startsWith('t'))
      .map(({ id, credits }) => ({ InstanceId: id, CpuCredits: credits })),
  }),

  ModifyInstanceCreditSpecification: (input, { world }) => {
    const asked = input.InstanceCreditSpecifications ?? [];
    for (const { InstanceId, CpuCredits } of asked)
      changeEach(world, [InstanceId ?? ''], (instance) => {
        instance.credits = CpuCredits === 'unlimited' ? 'unlimited' : 'standard';
      });
    return {
      SuccessfulInstanceCreditSpecifications: asked.map(({ InstanceId }) => ({ InstanceId })),
      UnsuccessfulInstanceCreditSpecifications: [],
    };
  },

  TerminateInstances: (input, { world }) => ({
    TerminatingInstances: changeEach(world, input.InstanceIds, (instance) => terminateInstance(world, instance)),
  }),
};
