/** What a remediation may ask of the flow logs of VPCs. */
import type { Time } from './time.ts';

export interface Vpc {
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
}

export interface FlowLog {
  readonly id: string;
  readonly vpc: string;
  readonly active: boolean;
  readonly traffic: 'ALL' | 'ACCEPT' | 'REJECT';
  /** ARN of a bucket (with a prefix), of a log group, or of a stream. */
  readonly destination: string;
  /** `unknown`: it has delivered nothing yet, and nothing has failed. */
  readonly delivery: 'success' | 'failed' | 'unknown';
  /** In AWS's words: 'Access error' … */
  readonly error?: string;
  readonly createdAt?: Time;
}

/** Part of a step, hence plain JSON. */
export type NewFlowLog = {
  readonly type: 's3' | 'cloud-watch-logs';
  readonly destination: string;
  /** ARN of the role by which VPC may write to a log group. */
  readonly role?: string;
  readonly traffic: 'ALL' | 'REJECT';
  readonly maxAggregationSeconds: 60 | 600;
  readonly tags: Readonly<Record<string, string>>;
};

export interface FlowLogs {
  /** All VPCs of the region, or those of these ids. */
  vpcs(ids?: readonly string[]): Promise<readonly Vpc[]>;
  /** Flow logs of all VPCs, or of one. Those of subnets and interfaces are left out. */
  list(vpc?: string): Promise<readonly FlowLog[]>;
  /** Their ids; none where there is one of just this kind already. The token makes a repetition harmless. */
  create(vpc: string, flowLog: NewFlowLog, token: string): Promise<{ readonly flowLogs: readonly string[] }>;
  /** One that is gone already is no error. */
  remove(ids: readonly string[]): Promise<void>;
}
