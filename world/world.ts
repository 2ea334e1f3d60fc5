/** One seeded, in-memory model of the fleet services. All of it is plain data and tables of functions; only the clock moves it. */

import { type AutoScalingState, createAutoScalingState } from './autoscaling.ts';
import { type Clock, createClock } from './clock.ts';
import { type CloudTrailState, createCloudTrailState } from './cloudtrail.ts';
import { type AlarmAction, type CloudWatchState, createCloudWatchState, startMetrics } from './cloudwatch.ts';
import { createEc2State, type Ec2State } from './ec2.ts';
import { createEcrState, type EcrState } from './ecr.ts';
import { createEcsState, type EcsState } from './ecs.ts';
import { createElbState, type ElbState } from './elb.ts';
import { createEventBus, type EventBus } from './events.ts';
import { createFaults, type Faults, faultError } from './faults.ts';
import { createHealthState, type HealthState } from './health.ts';
import type { Host, HostRunner } from './hosts.ts';
import { authorize, createIamState, type IamState, identify, type Principal } from './iam.ts';
import { createKmsState, type KmsState } from './kms.ts';
import { createLag, type Lag } from './lag.ts';
import { createLogsState, type LogsState } from './logs.ts';
import { createRandom, type Random } from './random.ts';
import type { Recorder } from './recorder.ts';
import { createS3State, type S3State } from './s3.ts';
import { AwsError, type Call, ReplyLost, type Service } from './service.ts';
import { createServiceScalingState, type ServiceScalingState } from './serviceScaling.ts';
import { services } from './services.ts';
import { createSsmState, type SsmState } from './ssm.ts';
import { createWafState, type WafState } from './waf.ts';

/** How long things take, in milliseconds. The defaults are what one commonly sees; AWS promises none of them. */
export const defaultSettle = {
  instanceStart: 20_000,
  instanceStop: 30_000,
  instanceTerminate: 30_000,
  /** A terminated instance "remains visible in the console for a short while" (EC2 User Guide): about an hour. */
  instanceForgotten: 3_600_000,
  reboot: 40_000,
  /** From running to both status checks passed. */
  statusChecks: 150_000,
  /** "Size changes usually take a few seconds to complete and take effect after a volume is in the Optimizing state." (EBS User Guide) */
  volumeModifying: 5_000,
  volumeOptimizing: 600_000,
  /** GetCommandInvocation right after SendCommand: InvocationDoesNotExist. */
  commandVisible: 300,
  commandDelivery: 1_000,
  commandRun: 2_000,
  commandRunSlow: 120_000,
  /** The agent pings every five minutes; a silent one is ConnectionLost after that. */
  agentLost: 300_000,
  /** From a call to its event on the bus, by way of CloudTrail. */
  apiCallEvent: 15_000,
  /** From a change to the scheduler's next look. */
  ecsSchedule: 5_000,
  /** A network interface for a task; on Fargate a machine too. */
  ecsProvision: 10_000,
  ecsPull: 10_000,
  /** A container's end after SIGTERM. */
  ecsStop: 10_000,
  /** The first health check of a container, and of a host's agent after it is lost. */
  ecsHealth: 30_000,
  ecsConnect: 5_000,
  /** From running to registered with its cluster. */
  ecsRegister: 20_000,
};
export type Settle = typeof defaultSettle;

export type CallRecord = {
  readonly at: number;
  /** The caller's ARN; for an assumed role `arn:aws:sts::…:assumed-role/<role>/<session>`. */
  readonly principal: string;
  readonly service: string;
  readonly operation: string;
  /** The IAM action, `ec2:ModifyVolume`. */
  readonly action: string;
  readonly resources: readonly string[];
  readonly allowed: boolean;
  readonly input: object;
  /** The code of the error that was answered. */
  error?: string;
};

export type World = {
  readonly clock: Clock;
  readonly random: Random;
  /** What sessions, commands and alarms are known by: one more of these changes no id of a resource. */
  readonly tokens: Random;
  readonly account: string;
  readonly region: string;
  /** Name → id. Zone names are shuffled between accounts; ids are not. */
  readonly zones: Readonly<Record<string, string>>;
  readonly settle: Settle;
  /** With true, each call is judged by the caller's policies. */
  enforce: boolean;
  readonly ec2: Ec2State;
  readonly ssm: SsmState;
  readonly cloudwatch: CloudWatchState;
  readonly cloudtrail: CloudTrailState;
  readonly autoscaling: AutoScalingState;
  readonly serviceScaling: ServiceScalingState;
  readonly ecs: EcsState;
  readonly elb: ElbState;
  readonly logs: LogsState;
  readonly ecr: EcrState;
  readonly waf: WafState;
  readonly s3: S3State;
  readonly kms: KmsState;
  readonly health: HealthState;
  readonly iam: IamState;
  /** SSM documents by name; `addDocument` makes one. */
  readonly documents: SsmState['documents'];
  /** The Linux inside, by instance id. */
  readonly hosts: Map<string, Host>;
  /** Replaces the simulated host where it answers something other than undefined. */
  hostRunner?: HostRunner | undefined;
  readonly lag: Lag;
  readonly faults: Faults;
  readonly events: EventBus;
  /** What EventBridge would be given. */
  onEvent: EventBus['listen'];
  /** What an alarm's own actions would be given. */
  onAlarmAction(listener: (action: AlarmAction) => void): () => void;
  /** Every call, in order, allowed or not. Empty it with `calls.length = 0`. */
  readonly calls: CallRecord[];
  readonly services: readonly Service[];
  /** CloudTrail's files and events of every call; `recordCalls` turns it on. */
  recorder?: Recorder | undefined;
};

export type WorldOptions = {
  seed?: number | string;
  clock?: Clock;
  account?: string;
  region?: string;
  /** Zone ids, for zones a, b, c …: `euc1-az2` … */
  zoneIds?: readonly string[];
  settle?: Partial<Settle>;
  enforce?: boolean;
  /** False: no host publishes a metric and no alarm is evaluated, so an idle clock costs nothing. */
  metrics?: boolean;
};

export const createWorld = ({
  seed = 1,
  clock = createClock(),
  account = '111122223333',
  region = 'eu-central-1',
  zoneIds = ['euc1-az2', 'euc1-az3', 'euc1-az1'],
  settle = {},
  enforce = false,
  metrics = true,
}: WorldOptions = {}): World => {
  const random = createRandom(seed);
  const events = createEventBus({ clock, random: random.fork('events'), account, region });
  const cloudwatch = createCloudWatchState();
  const ssm = createSsmState();
  const world: World = {
    clock,
    random,
    tokens: random.fork('tokens'),
    account,
    region,
    zones: Object.fromEntries(zoneIds.map((id, i) => [`${region}${String.fromCharCode(97 + i)}`, id])),
    settle: { ...defaultSettle, ...settle },
    enforce,
    ec2: createEc2State(),
    ssm,
    documents: ssm.documents,
    cloudwatch,
    cloudtrail: createCloudTrailState(),
    autoscaling: createAutoScalingState(),
    serviceScaling: createServiceScalingState(),
    ecs: createEcsState(),
    elb: createElbState(),
    logs: createLogsState(),
    ecr: createEcrState(),
    waf: createWafState(),
    s3: createS3State(),
    kms: createKmsState(),
    health: createHealthState(),
    iam: createIamState(account),
    hosts: new Map(),
    lag: createLag(clock, random.fork('lag')),
    faults: createFaults(clock, random.fork('faults')),
    events,
    onEvent: events.listen,
    onAlarmAction: (listener) => {
      cloudwatch.actionListeners.add(listener);
      return () => cloudwatch.actionListeners.delete(listener);
    },
    calls: [],
    services,
  };
  if (metrics) startMetrics(world);
  return world;
};

export type CallRequest = {
  service: Service;
  operation: string;
  input: object;
  accessKeyId: string | undefined;
  requestId: string;
  /** Where it is sent to, if not to the world's own. */
  region?: string;
};

/** One API call from its caller to its effect: who, may it, does it fail on purpose, what does it do. */
export const perform = async (
  world: World,
  { service, operation, input, accessKeyId, requestId, region = world.region }: CallRequest,
): Promise<object> => {
  const behaviour = service.operations[operation];
  if (!behaviour) {
    const has = Object.keys(service.operations).join(', ');
    throw new AwsError(
      'InvalidAction',
      `The world lacks ${service.name}:${operation}. Its ${service.name} has: ${has}.`,
      400,
    );
  }
  const principal = identify(world, accessKeyId, service);
  const verdict = await authorize(world, { service, operation, input, principal });
  const record: CallRecord = {
    at: world.clock.now(),
    principal: principal.arn,
    service: service.name,
    operation,
    action: verdict.action,
    resources: verdict.resources,
    allowed: verdict.denial === undefined,
    input,
  };
  world.calls.push(record);
  for (const { action, resource, allowed } of verdict.required)
    world.calls.push({ ...record, action, resources: [resource], allowed });
  const call: Call = { world, at: record.at, requestId, principal, region };
  const recorded = (error?: AwsError) => world.recorder?.answered({ service, operation, input, call, error });
  try {
    const output = await answer(world, {
      service,
      operation,
      input,
      principal,
      requestId,
      region,
      denial: verdict.denial,
    });
    recorded();
    return output;
  } catch (error) {
    // Whose answer was lost has done what it did.
    recorded(error instanceof AwsError ? error : undefined);
    record.error = error instanceof AwsError || error instanceof ReplyLost ? error.code : String(error);
    throw error;
  }
};

type Judged = Omit<CallRequest, 'accessKeyId' | 'region'> & {
  region: string;
  principal: Principal;
  denial: AwsError | undefined;
};

const answer = async (
  world: World,
  { service, operation, input, principal, requestId, region, denial }: Judged,
): Promise<object> => {
  const fault = world.faults.next(service, operation);
  if (fault?.delayMs) await world.clock.sleep(fault.delayMs);
  const error = fault && faultError(fault, service);
  if (error && !fault.afterEffect) throw error;
  if (denial) throw denial;
  if ('DryRun' in input && input.DryRun) {
    throw new AwsError('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
  }
  const call: Call = { world, at: world.clock.now(), requestId, principal, region };
  const output = await service.operations[operation]?.(input, call);
  if (error) throw error;
  return output ?? {};
};
