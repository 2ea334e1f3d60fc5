/**
 * What a remediation may ask of the outside, in our words. One adapter each in `shared/aws/`; bound to one account, region and session, so
 * that nothing beyond the target can be changed through them.
 * Every method may throw: NotFound, Forbidden, Throttled, Unavailable, Refused, InvalidInput (an answer that we cannot read).
 */
import type { AgentProofs } from './agents.ts';
import type { Containers } from './containers.ts';
import type { DedicatedHost } from './dedicatedHosts.ts';
import type { Buckets, Keys } from './delivery.ts';
import type { Change, DocumentName, Inspection, ReportOf } from './documents.ts';
import type { FlowLogs } from './flowLogs.ts';
import type { Point } from './forecast.ts';
import type { Groups } from './groups.ts';
import type { Health } from './issues.ts';
import type { LoadBalancers } from './loadBalancers.ts';
import type { LogGroups } from './logs.ts';
import type { Registry } from './registry.ts';
import type { ServiceScalings } from './serviceScaling.ts';
import type { Target } from './target.ts';
import type { Time } from './time.ts';
import type { Trails } from './trails.ts';
import type { Snapshot, VolumeTrouble } from './volumes.ts';
import type { Watches } from './watch.ts';
import type { WebAcls } from './webAcls.ts';

export interface Instance {
  readonly id: string;
  readonly state: 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';
  readonly tags: Readonly<Record<string, string>>;
  readonly zoneId: string;
  /** As this account calls it: 'eu-central-1a'. */
  readonly zoneName: string;
  readonly type: string;
  readonly launchedAt: Time;
  /** Why it is in this state, where AWS says: 'Client.UserInitiatedShutdown', 'Server.ScheduledStop' … */
  readonly reason?: { readonly code: string; readonly message: string };
  readonly spot: boolean;
  /** A public address that it loses when it is stopped: AWS's own, no Elastic IP. */
  readonly losesAddress: boolean;
  /** AWS moves it to other hardware by itself, unless its type cannot (`Traits.autoRecovery`). */
  readonly autoRecovery: boolean;
  /** The Dedicated Host that it is on. `pinned`: by its affinity it always starts there. */
  readonly host?: { readonly id: string; readonly pinned: boolean };
  /** Device name as given at attachment (`/dev/sdf`) → volume id. */
  readonly devices: Readonly<Record<string, string>>;
}

/** What stands of a running instance in a listing of all. */
export type Running = Pick<Instance, 'id' | 'tags' | 'launchedAt' | 'zoneId'>;

/** A status check as EC2 has it. `unknown`: none has been made (it does not run), or the data do not suffice. */
export type Check = 'ok' | 'impaired' | 'initializing' | 'unknown';
export interface Checks {
  readonly state: Instance['state'];
  /** The hardware and hypervisor below it. */
  readonly system: Check;
  /** Its own network and software. */
  readonly instance: Check;
  /** Its volumes can be reached. Undefined: EC2 does not check that for it. */
  readonly ebs?: Check;
  /** Since when the first of them fails. */
  readonly impairedSince?: Time;
  /** What AWS will do to it. Those that are over are left out. */
  readonly events: readonly {
    readonly code: 'instance-stop' | 'instance-reboot' | 'instance-retirement' | 'system-reboot' | 'system-maintenance';
    readonly description: string;
    readonly notBefore: Time;
  }[];
}

/** What an instance type is. */
export interface Traits {
  readonly type: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly architectures: readonly string[];
  /** It has disks that are empty after a stop. */
  readonly instanceStore: boolean;
  readonly burstable: boolean;
  readonly autoRecovery: boolean;
  readonly currentGeneration: boolean;
}

/** A subnet, and the zone that it is in. */
export interface Subnet {
  readonly id: string;
  readonly zoneId: string;
  readonly zoneName: string;
  /** Addresses that are not in use. */
  readonly free: number;
}

export interface Instances {
  describe(id: string): Promise<Instance>;
  /** Those of them that exist. */
  checks(ids: readonly string[]): Promise<Readonly<Record<string, Checks>>>;
  /** Those of the types that there are here. */
  traits(types: readonly string[]): Promise<Readonly<Record<string, Traits>>>;
  /** Ids of running instances that fail a status check, and of those for which AWS has announced something. */
  troubled(): Promise<readonly { readonly id: string; readonly checks: Checks }[]>;
  reboot(id: string): Promise<void>;
  /** Without force: what hangs goes on hanging. */
  stop(id: string): Promise<void>;
  start(id: string): Promise<void>;
  /** Only while it is stopped. */
  setType(id: string, type: string): Promise<void>;
  /** How a burstable instance pays for CPU beyond its credits. Undefined: it is not burstable. */
  credits(id: string): Promise<'standard' | 'unlimited' | undefined>;
  setCredits(id: string, to: 'standard' | 'unlimited'): Promise<void>;
  /** Ids of the instances with this tag that are pending or running. */
  members(tag: { key: string; value: string }): Promise<readonly string[]>;
  /** Zones of the region by name: ids. */
  zones(): Promise<Readonly<Record<string, string>>>;
  /** Those of them that there are. */
  subnets(ids: readonly string[]): Promise<readonly Subnet[]>;
  /** All Dedicated Hosts of the account in the region. */
  dedicatedHosts(): Promise<readonly DedicatedHost[]>;
  /** Instances with this tag, by zone, that are pending or running. */
  countByZone(tag: { key: string; value: string }): Promise<Readonly<Record<string, number>>>;
}

export interface Modification {
  readonly state: 'modifying' | 'optimizing' | 'completed' | 'failed';
  readonly startedAt: Time;
  readonly endedAt?: Time;
  readonly targetGiB: number;
}
export interface Volume {
  readonly id: string;
  readonly sizeGiB: number;
  readonly type: string;
  readonly multiAttach: boolean;
  /** ARN of the key that encrypts it, if one does. */
  readonly key?: string;
  /** The latest modification, where there was one. AWS keeps only that. */
  readonly modification?: Modification;
}
export interface Volumes {
  describe(ids: readonly string[]): Promise<readonly Volume[]>;
  /** The instance that the volume is attached to, if any. */
  attachedTo(id: string): Promise<string | undefined>;
  /** Asks for a size. AWS has no token here; naming the absolute size makes a repetition harmless. */
  grow(id: string, toGiB: number): Promise<void>;
  /** Of all in the region those that AWS says are lost, or whose I/O it has disabled. */
  troubled(): Promise<readonly VolumeTrouble[]>;
  /** Complete ones that this account has of it, newest first. The volume need not be there any more. */
  snapshots(id: string): Promise<readonly Snapshot[]>;
  /** Naming the end state makes a repetition harmless. */
  enableIo(id: string): Promise<void>;
}

/** A command that was sent to a host. */
export type HostRun<Report> =
  | { readonly state: 'running'; readonly commandId: string }
  | { readonly state: 'done'; readonly commandId: string; readonly report: Report }
  /** The host answered that it did not do it, and why. */
  | {
      readonly state: 'failed';
      readonly commandId: string;
      readonly code: string;
      readonly message: string;
      readonly remedy: string;
    }
  /** No answer within the document's time limit, or no agent took it. */
  | { readonly state: 'lost'; readonly commandId: string; readonly message: string };

export interface Hosts {
  /** Does the SSM agent answer? `seenAt` is its last ping. */
  agent(id: string): Promise<{ state: 'online' | 'silent' | 'absent'; seenAt?: Time }>;
  /** Runs a document that only looks, and waits up to 20 s for its answer. */
  inspect<D extends Inspection>(
    id: string,
    document: D,
    parameters: Readonly<Record<string, string>>,
  ): Promise<HostRun<ReportOf<D>>>;
  /** Starts a document that changes something. The host runs a token once. Resolves as soon as AWS has taken it. */
  start(
    id: string,
    document: Change,
    parameters: Readonly<Record<string, string>>,
    token: string,
  ): Promise<{ commandId: string }>;
  /** What came of a started document. */
  result<D extends DocumentName>(id: string, document: D, commandId: string): Promise<HostRun<ReportOf<D>>>;
}

/** Part of a step, hence plain JSON. */
export type Metric = {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
};
export interface Range {
  readonly from: Time;
  readonly to: Time;
  /** Milliseconds; a whole number of minutes. */
  readonly period: number;
}
export interface AlarmState {
  /** 'OK', 'ALARM' or 'INSUFFICIENT_DATA'. */
  readonly state: string;
  readonly since: Time;
  /** So long something must be wrong before it fires. Milliseconds; undefined: it depends on other alarms. */
  readonly needs?: number;
}
export interface Metrics {
  /** Averages of the metric that has at least these dimensions, oldest first; of several the one that goes on. Empty: there is none. */
  series(metric: Metric, range: Range): Promise<readonly Point[]>;
  /** These very metrics in each period, in their order: averages, or sums where that is said. Where nothing was counted there is no point. */
  exactly(metrics: readonly (Metric & { readonly sum?: true })[], range: Range): Promise<readonly (readonly Point[])[]>;
  /** Of the alarms of these names; at most 100. One that is not there is left out. */
  alarmStates(names: readonly string[]): Promise<Readonly<Record<string, AlarmState>>>;
  /** Averages of every metric of that name that had data lately. Each costs: CloudWatch bills $0.01 per 1,000 metrics asked for. */
  all(
    metric: Pick<Metric, 'namespace' | 'name'>,
    range: Range,
  ): Promise<readonly { readonly dimensions: Metric['dimensions']; readonly points: readonly Point[] }[]>;
}

/** Requests to what is public: a function in no network of the user's reaches nothing else. */
export interface Web {
  /** GET; redirects are not followed. Never throws: that nobody answers is an answer. */
  get(url: string): Promise<{ readonly ms: number } & ({ readonly status: number } | { readonly failed: string })>;
}

export interface Parameters {
  get(name: string): Promise<{ value: string; version: number }>;
  put(name: string, value: string): Promise<void>;
}

export interface Ports {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly hosts: Hosts;
  readonly metrics: Metrics;
  readonly parameters: Parameters;
  readonly trails: Trails;
  readonly keys: Keys;
  readonly buckets: Buckets;
  readonly groups: Groups;
  readonly containers: Containers;
  readonly serviceScaling: ServiceScalings;
  readonly loadBalancers: LoadBalancers;
  readonly watches: Watches;
  readonly webAcls: WebAcls;
  readonly web: Web;
  readonly registry: Registry;
  readonly logGroups: LogGroups;
  readonly agentProofs: AgentProofs;
  readonly flowLogs: FlowLogs;
  readonly health: Health;
  /** Where these ports reach. */
  readonly where: Pick<Target, 'account' | 'region'> & { readonly stage: string };
}
