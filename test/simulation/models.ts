/** The two models that are simulated, and what a run of either comes to. */

/** A number, or 'full-disk:7' for the fleet: the seventh seed in which that remediation's trouble is the main one. */
export type Seed = number | string;
export type ModelName = 'engine' | 'fleet';

/** Ends the run. */
export interface Violation {
  readonly invariant: string;
  readonly say: string;
}
export interface Result {
  readonly seed: Seed;
  readonly violation?: Violation;
  readonly counts: Readonly<Record<string, number>>;
  readonly trace: readonly string[];
}
export type Simulate = (seed: Seed, options?: { trace?: boolean }) => Promise<Result>;

/** Where each is, from here. */
export const ENTRIES: Readonly<Record<ModelName, { readonly file: string; readonly name: string }>> = {
  engine: { file: 'simulate.ts', name: 'simulate' },
  fleet: { file: 'fleet/simulate.ts', name: 'simulateFleet' },
};

export const modelOf = (seed: Seed): ModelName => (typeof seed === 'number' ? 'engine' : 'fleet');
