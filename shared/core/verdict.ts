/** What to do now, and why. There is no verdict without `because`. */
import type { Time } from './time.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface Act<Step> {
  readonly do: 'act';
  /** Which rung of the remediation's ladder this is, and of what: 'grow /data'. The cool-down holds for each. Its first word is in the ladder. */
  readonly rung: string;
  /** Plain JSON: it is written to the incident before it runs, so that after a crash we know what was meant. */
  readonly step: Step;
  /** This step finishes the rung that the attempt before it began (volume grown → file system grown): it is not an attempt more. */
  readonly continues?: boolean;
  /** It ends an interruption that an effective step of this very incident began: nothing but a pause keeps it from that. */
  readonly recovers?: boolean;
  /** A person decides, whatever the mode: why. */
  readonly asks?: string;
  /** The person who asked for it, and so cannot approve it. */
  readonly askedBy?: string;
  /** What it adds to the bill. Absent means nothing. */
  readonly cost?: { readonly usdPerMonth: number; readonly what: string };
  /** In words, for people: "grow /data from 20 to 30 GiB". */
  readonly plan: string;
  readonly because: string;
}

export type Verdict<Step = Json> =
  | { readonly do: 'close'; readonly because: string }
  | { readonly do: 'nothing'; readonly because: string }
  | {
      readonly do: 'wait';
      readonly until: Time;
      readonly because: string;
      /** Nothing is under way, it only goes on looking: others may work on the target meanwhile. */
      readonly idle?: true;
    }
  | Act<Step>
  | { readonly do: 'escalate'; readonly because: string /** What a person can do. */; readonly remedy: string };
