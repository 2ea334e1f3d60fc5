/** Application Auto Scaling: what changes the desired count of an ECS service by itself, and between which bounds. */
import type { ContainerService } from './containers.ts';

export interface ServiceScaling {
  /** Of the scalable target. */
  readonly arn: string;
  readonly min: number;
  readonly max: number;
  /** Names of its policies; none: only schedules, or nobody, move it. */
  readonly policies: readonly string[];
  /** What a policy of target tracking keeps it at, of its CPU; undefined: none does. Percent. */
  readonly cpuTarget: number | undefined;
  /** It adds nothing now. */
  readonly suspended: boolean;
}

export interface ServiceScalings {
  /** Undefined: nothing scales it by itself. */
  describe(service: Pick<ContainerService, 'cluster' | 'name'>): Promise<ServiceScaling | undefined>;
  /**
   * Sets the minimum, if it is what was seen. What runs below it is not raised by that: that follows with the next thing that it does by itself. Naming the number makes a repetition
   * harmless. @throws Refused 'changed-meanwhile'
   */
  setMin(service: string, change: { readonly from: number; readonly to: number }): Promise<void>;
}
