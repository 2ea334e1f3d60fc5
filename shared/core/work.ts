/** What a pass is given, and what it answers. */
import type { Finding, Refusal } from './guards.ts';
import type { Attempt, Incident, Wish } from './incident.ts';
import type { Policy } from './policy.ts';
import type { Ports } from './ports.ts';
import type { Remediation } from './remediation.ts';
import type { Signal } from './signal.ts';
import type { Store } from './store.ts';
import type { Target } from './target.ts';
import type { Time } from './time.ts';
import type { Verdict } from './verdict.ts';

export interface Deps {
  readonly now: () => Time;
  /** A new ULID. */
  readonly newId: () => string;
  readonly store: Store;
  /** Where a target stands, by a look so cheap that thousands can have it. Undefined: it is no instance, or none that is there. @throws as ports do */
  readonly place?: (remediation: Remediation, target: Target) => Promise<Standing | undefined>;
  readonly policy: Policy;
  /** The account that Steward runs in. */
  readonly home: string;
  /** Ports bound to the target's account and region, under the remediation's role, narrowed to the target and `touched`. */
  readonly reach: (
    remediation: Remediation,
    target: Target,
    session: { phase: 'look' | 'act'; touched: readonly string[] },
  ) => Promise<Ports>;
}

export interface Standing {
  readonly zone: string;
  readonly tags: Readonly<Record<string, string>>;
}

export interface Work {
  readonly target: Target;
  readonly remediation: Remediation;
  readonly signal?: Signal;
  /** The incident that a look-again message is about. */
  readonly incident?: string;
  /** The incident's due time when the message was sent: if it has moved, someone has looked since, and a newer message is under way. */
  readonly due?: Time;
  /** How long the signal waited for this pass, in ms: more than a moment, and many others wait behind it. */
  readonly waited?: number;
  /** Say what would be done, do and write nothing. */
  readonly explain?: boolean;
  /** Explained only: what a wish would come to that nobody has written down yet. */
  readonly wish?: Wish;
}

export interface Answer {
  readonly target: string;
  readonly remediation: string;
  readonly incident?: string;
  readonly seen?: string;
  readonly verdict: Verdict;
  readonly guards?: readonly Finding[];
  readonly refused?: Refusal;
  readonly attempt?: Attempt;
  readonly state: Incident['state'] | 'none';
  /** Attempts so far. */
  readonly attempts: number;
  /** The incident is new. */
  readonly opened: boolean;
  /** When what. For people, and for the timing of a healthy end. */
  readonly at?: { readonly signalled: Time; readonly opened: Time; readonly acted?: Time; readonly closed?: Time };
  readonly end?: Incident['end'];
  readonly lookAgainAt?: Time;
  /** When the sweep looks, and whether this pass has set that. */
  readonly due?: { readonly at: Time; readonly moved: boolean };
}
