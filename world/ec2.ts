/** EC2 and EBS: the state, and the one table of their operations. */
import * as api from '@aws-sdk/client-ec2';
import { flowLogArn, instanceArn, volumeArn, vpcArn } from './arns.ts';
import { dedicatedHostOperations } from './dedicatedHosts.ts';
import { volumeOperations } from './ebs.ts';
import { type FlowLog, flowLogOperations, type Vpc } from './flowLogs.ts';
import { instanceOperations } from './instances.ts';
import { passRole } from './logs.ts';
import { placeOperations } from './places.ts';
import { AwsError, defineService, ec2Words, type Operations, type Requirement, type Resource } from './service.ts';
import { tagOperations } from './tags.ts';
import { volumeTroubleOperations } from './volumeTroubles.ts';
import type { World } from './world.ts';

export type Ec2Operations = Operations<typeof api>;

export type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated';

export type Instance = {
  readonly id: string;
  readonly reservationId: string;
  type: string;
  imageId: string;
  zone: string;
  state: InstanceState;
  launchTime: number;
  /** When it last became running: the status checks count from here. */
  runningSince: number;
  privateIp: string;
  subnetId: string;
  vpcId: string;
  tags: Record<string, string>;
  reason: { code: string; message: string; transition: string } | undefined;
  clientToken: string | undefined;
  rootDevice: string;
  /** A failing status check, set by whoever breaks the instance. */
  impaired: { system: boolean; instance: boolean; ebs: boolean };
  /** Since when, while any of them is. */
  impairedSince: number | undefined;
  /** What ends it: a reboot, other hardware, or nothing. */
  cure: 'reboot' | 'restart' | 'nothing';
  /** What AWS has announced. */
  scheduled: { code: string; description: string; notBefore: number }[];
  spot: boolean;
  /** AWS's own, lost at a stop. */
  publicIp: string | undefined;
  autoRecovery: 'default' | 'disabled';
  /** Of a burstable type. */
  credits: 'standard' | 'unlimited';
  creditBalance: number;
  /** EC2 has its credit metrics: not in its first minutes. */
  publishesCredits: boolean;
  profileArn: string | undefined;
  /** The Dedicated Host that it is on, and whether its affinity is that host. */
  host: { readonly id: string; readonly pinned: boolean } | undefined;
  /** Counts starts, stops and reboots, so that a late transition of an earlier one does nothing. */
  turn: number;
};

export type VolumeType = 'gp2' | 'gp3' | 'io1' | 'io2' | 'st1' | 'sc1' | 'standard';
export type Modification = {
  state: 'modifying' | 'optimizing' | 'completed' | 'failed';
  progress: number;
  startTime: number;
  endTime: number | undefined;
  target: VolumeShape;
  original: VolumeShape;
};
export type VolumeShape = { size: number; type: VolumeType; iops: number | undefined; throughput: number | undefined };

export type Volume = VolumeShape & {
  readonly id: string;
  zone: string;
  /** `error`: its hardware has failed, and its data are lost. */
  state: 'creating' | 'available' | 'in-use' | 'deleting' | 'error';
  /** Since when AWS keeps I/O from it, whose data may be inconsistent. */
  ioDisabledAt: number | undefined;
  createTime: number;
  encrypted: boolean;
  /** ARN of a key of the customer's; AWS's own key needs no grant of ours. */
  key: string | undefined;
  tags: Record<string, string>;
  attachment: { instanceId: string; device: string; attachTime: number; deleteOnTermination: boolean } | undefined;
  /** Oldest first. DescribeVolumesModifications shows the latest. */
  modifications: Modification[];
};

export type DedicatedHost = {
  readonly id: string;
  readonly zone: string;
  readonly type: string;
  readonly capacity: number;
  autoPlacement: boolean;
  state: 'available' | 'under-assessment' | 'permanent-failure';
  readonly tags: Record<string, string>;
};

export type Snapshot = {
  readonly id: string;
  readonly volumeId: string;
  readonly startTime: number;
  readonly state: 'pending' | 'completed' | 'error';
  readonly tags: Record<string, string>;
};

export type Ec2State = {
  readonly instances: Map<string, Instance>;
  readonly volumes: Map<string, Volume>;
  readonly snapshots: Map<string, Snapshot>;
  /** Instance → volumes that were ever attached to it: `attachment` says which are. */
  readonly attached: Map<string, Set<string>>;
  readonly dedicatedHosts: Map<string, DedicatedHost>;
  /** Free addresses of a zone's subnet, where they are another number than all. */
  readonly addresses: Map<string, number>;
  readonly vpcs: Map<string, Vpc>;
  readonly flowLogs: Map<string, FlowLog>;
  /** Destinations that flow logs cannot write to, and what AWS says of it. */
  readonly unreachable: Map<string, string>;
  /** Account quotas per volume type; none unless set. */
  readonly quotas: { storageGiB: Partial<Record<VolumeType, number>>; iops: Partial<Record<VolumeType, number>> };
};

export const createEc2State = (): Ec2State => ({
  instances: new Map(),
  volumes: new Map(),
  snapshots: new Map(),
  attached: new Map(),
  dedicatedHosts: new Map(),
  addresses: new Map(),
  vpcs: new Map(),
  flowLogs: new Map(),
  unreachable: new Map(),
  quotas: { storageGiB: {}, iops: {} },
});

/** What carries the id, by the id's prefix; the tags are looked up live, as IAM does. */
export const ec2Resource = (world: World, id: string): Resource => {
  const instance = world.ec2.instances.get(id);
  if (instance || id.startsWith('i-')) return { arn: instanceArn(world, id), tags: instance?.tags ?? {} };
  const volume = world.ec2.volumes.get(id);
  if (volume || id.startsWith('vol-')) return { arn: volumeArn(world, id), tags: volume?.tags ?? {} };
  if (id.startsWith('vpc-')) return { arn: vpcArn(world, id), tags: world.ec2.vpcs.get(id)?.tags ?? {} };
  if (id.startsWith('fl-')) return { arn: flowLogArn(world, id), tags: world.ec2.flowLogs.get(id)?.tags ?? {} };
  throw new AwsError('InvalidID', `The ID '${id}' is not valid`);
};

const each = (world: World, ids: readonly string[] | undefined) => (ids ?? []).map((id) => ec2Resource(world, id));

/** RunInstances touches all of these (Service Authorization Reference, "Actions defined by Amazon EC2"). */
const launched = ({ region, account }: World, imageId: string): Resource[] => [
  ...['instance/*', 'network-interface/*', 'security-group/*', 'subnet/*', 'volume/*'].map((name) => ({
    arn: `arn:aws:ec2:${region}:${account}:${name}`,
  })),
  { arn: `arn:aws:ec2:${region}::image/${imageId}` },
];

const requestTags = (tags: readonly { Key?: string | undefined; Value?: string | undefined }[] | undefined) => ({
  ...Object.fromEntries((tags ?? []).map(({ Key, Value }) => [`aws:RequestTag/${Key}`, Value ?? ''])),
  'aws:TagKeys': (tags ?? []).map(({ Key }) => Key ?? ''),
});

/** "logs:CreateLogDelivery" and "logs:DeleteLogDelivery": VPC User Guide, "Publish flow logs to Amazon S3". They have no resource. */
const delivery = (action: string): Requirement => ({ action: `logs:${action}`, resource: { arn: '*' } });

export const ec2Service = defineService<typeof api>({
  name: 'ec2',
  signingName: 'ec2',
  iamPrefix: 'ec2',
  protocol: 'ec2Query',
  xmlNamespace: 'http://ec2.amazonaws.com/doc/2016-11-15/',
  api,
  words: ec2Words,
  operations: {
    ...instanceOperations,
    ...volumeOperations,
    ...volumeTroubleOperations,
    ...dedicatedHostOperations,
    ...tagOperations,
    ...placeOperations,
    ...flowLogOperations,
  },
  resources: {
    StartInstances: (input, world) => each(world, input.InstanceIds),
    StopInstances: (input, world) => each(world, input.InstanceIds),
    RebootInstances: (input, world) => each(world, input.InstanceIds),
    TerminateInstances: (input, world) => each(world, input.InstanceIds),
    RunInstances: (input, world) => launched(world, input.ImageId ?? ''),
    ModifyInstanceAttribute: (input, world) => each(world, [input.InstanceId ?? '']),
    ModifyInstanceCreditSpecification: (input, world) =>
      each(
        world,
        (input.InstanceCreditSpecifications ?? []).flatMap((s) => s.InstanceId ?? []),
      ),
    EnableVolumeIO: (input, world) => each(world, [input.VolumeId ?? '']),
    ModifyVolume: (input, world) => each(world, [input.VolumeId ?? '']),
    CreateVpc: (_input, world) => [{ arn: vpcArn(world, '*') }],
    DeleteVpc: (input, world) => each(world, [input.VpcId ?? '']),
    CreateFlowLogs: (input, world) => [...each(world, input.ResourceIds), { arn: flowLogArn(world, '*') }],
    DeleteFlowLogs: (input, world) => each(world, input.FlowLogIds),
    CreateTags: (input, world) => each(world, input.Resources),
    DeleteTags: (input, world) => each(world, input.Resources),
  },
  requires: {
    CreateFlowLogs: (input, world) => [
      ...passRole(input.DeliverLogsPermissionArn, 'vpc-flow-logs.amazonaws.com'),
      ...(input.LogDestinationType === 's3' ? [delivery('CreateLogDelivery')] : []),
      ...(input.TagSpecifications ?? []).map(({ Tags }) => ({
        action: 'ec2:CreateTags',
        resource: { arn: flowLogArn(world, '*') },
        context: { ...requestTags(Tags), 'ec2:CreateAction': 'CreateFlowLogs' },
      })),
    ],
    DeleteFlowLogs: (input, world) =>
      input.FlowLogIds?.some((id) => world.ec2.flowLogs.get(id)?.type === 's3') ? [delivery('DeleteLogDelivery')] : [],
  },
  context: {
    CreateTags: (input) => requestTags(input.Tags),
    DeleteTags: (input) => requestTags(input.Tags),
    RunInstances: (input) => requestTags(input.TagSpecifications?.flatMap(({ Tags = [] }) => Tags)),
  },
});
