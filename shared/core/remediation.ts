/** One known way to end one kind of trouble: observe, judge, decide, act. Everything Steward does is one of these. */
import type * as z from 'zod/mini';
import { type Attempt, hasRun, type Wish } from './incident.ts';
import type { Issue } from './issues.ts';
import type { Permission } from './permissions.ts';
import type { Ports, Running } from './ports.ts';
import { isNewsOf, type Releases } from './releases.ts';
import type { SurveyedCluster } from './services.ts';
import type { Signal, SignalKind } from './signal.ts';
import type { Target } from './target.ts';
import type { Time } from './time.ts';
import type { DeclaredTrail } from './trails.ts';
import type { Json, Verdict } from './verdict.ts';
import type { Zone } from './zoneBounds.ts';
import type { Shift, ShiftNews } from './zoneShifts.ts';
import type { Plan } from './zones.ts';

export type Risk = 'harmless' | 'interrupts' | 'destroys';

/** Whose budget an act spends. The size is what was counted when it was looked at; it is recorded with the decision. */
export interface Group {
  /** 'asg/web', 'tag/steward:group=db', 'instance/i-0abc' for one that stands alone. */
  readonly id: string;
  readonly size: number;
  /** Members by zone id, where known. */
  readonly zones: Readonly<Record<string, number>>;
}

/** What the gate needs to know of a target, of whatever kind it is. Undefined means: could not be seen; then the gate refuses. */
export interface Facts {
  /**
   * Whether the target serves now, and the ARNs of the other members of its group that do; 'alone': it has no group. An act that interrupts never
   * takes the last one. Undefined: could not be seen.
   */
  readonly serving?: { readonly self: boolean; readonly others: readonly string[] } | 'alone' | undefined;
  readonly tags: Readonly<Record<string, string>> | undefined;
  /** It is Steward's own thing (the drill): no tag is asked for. */
  readonly ours?: true;
  readonly group: Group | undefined;
  readonly zone: string | undefined;
  /** An open issue of AWS's own that may concern it, or why that is not known. Undefined: none, or it matters to nothing that is done here. */
  readonly issue?: Issue | { readonly unknown: string } | undefined;
}

/** Judged by a later look. `pending`: too early to tell. */
export type Effect = 'pending' | 'effective' | 'ineffective' | 'harmful';

export interface Declared {
  readonly trails: Readonly<Record<string, DeclaredTrail>>;
  /** Left out: nothing is known of the others. */
  readonly remediations?: Readonly<
    Record<string, { readonly mode: string; readonly options: Readonly<Record<string, unknown>> }>
  >;
}

export interface Look<Options> {
  readonly now: Time;
  /** When the incident was opened: what cannot be seen for long after that goes to a person. */
  readonly openedAt: Time;
  /** Attempts of this incident, oldest first. */
  readonly attempts: readonly Attempt[];
  readonly options: Options;
  /** Names of the tags that the policy reads. */
  readonly tags: { readonly managed: string; readonly ignore: string; readonly group: string };
  /** What the policy says that things must be. */
  readonly declared: Declared;
  /** The record of the target's releases, for remediations that have `releases`. */
  readonly releases: Releases;
  /** What is known of these zones, by id. */
  readonly toldOf: ToldOf;
  /** What the open incident of another target has tried. */
  readonly attemptsOf: AttemptsOf;
  /** What the latest signal said. A hint where to look, never proof. */
  readonly signal: { readonly kind: SignalKind; readonly cause: string; readonly author?: string };
  /** What a person commands to be there. */
  readonly wish?: Wish | undefined;
  /** Another remediation that has changed the target within the last minutes, and may be in the middle of it. */
  readonly atWork?: string | undefined;
  /** Is this principal one whose changes the policy takes as intended (the IaC role)? */
  readonly trusts: (author: string) => boolean;
  /** Whether the policy names any such principal at all. */
  readonly trustsAnyone: boolean;
  /** Why the policy does not cover what carries these tags, and what it would take. Then it is not looked into any further. */
  readonly uncovered: (tags: Readonly<Record<string, string>>) => string | undefined;
}

/** What a survey knows besides what it sees. */
export type Scan<Options> = Pick<Look<Options>, 'now' | 'options' | 'tags' | 'uncovered' | 'declared'> & Common & Known;
/** What several surveys look at: each asked for once in a sweep, under the sweep's own role. */
export interface Common {
  /** Alarms in ALARM now, as the signals that their state changes would have been. */
  readonly firing: () => Promise<readonly Signal[]>;
  readonly running: () => Promise<readonly Running[]>;
  readonly clusters: () => Promise<readonly SurveyedCluster[]>;
}
/** By zone: since when the policy is what it is there, as far as the surveys know. */
export interface Known {
  readonly policySince: Readonly<Record<string, Time>>;
  readonly toldOf: ToldOf;
  /** The records of these services, by ARN; what has none is left out. */
  readonly releasesOf: (services: readonly string[]) => Promise<Readonly<Record<string, Releases>>>;
}

/** Of a zone. */
export interface Told {
  readonly shifts: readonly Shift[];
  /** An incident of the zone itself is open: a person is told of the zone there. */
  readonly incident?: string;
  /** Since when it is decided that they leave it. */
  readonly evacuated?: Readonly<Partial<Record<Kind, Time>>>;
}
/** ECS services, Auto Scaling groups: of the one tasks are stopped, of the other instances terminated. */
export type Kind = 'services' | 'groups';
export type AttemptsOf = (target: string, remediation: string) => Promise<readonly Attempt[]>;
export type ToldOf = (zones: readonly string[]) => Promise<Readonly<Record<string, Told>>>;

/** Plans by name of what they are of: 'shop/web', 'asg/api'. */
export interface ZonePicture {
  readonly plans: readonly Plan[];
  /** Of the zones that they are about. */
  readonly states: readonly Zone[];
  /** There were more than were looked into. */
  readonly more: boolean;
}

export interface Spec<Seen, Step extends Json, Options> {
  readonly name: string;
  /** One line for lists: what it ends. */
  readonly title: string;
  /** A paragraph in Markdown for docs/remediations.md: what it does in which order, and what it never does. */
  readonly about: string;
  readonly answers: readonly SignalKind[];
  readonly risk: Risk;
  /** The target's ARN, as a pattern with `*`, or several: a signal about anything else is not for this one. */
  readonly targets: string | readonly string[];
  /** Rungs in the order in which they are tried, with one line each for people. */
  readonly ladder: Readonly<Record<string, string>>;
  /** Rungs whose risk is another than the remediation's. */
  readonly risks?: Readonly<Record<string, Risk>>;
  readonly permissions: readonly Permission[];
  /** The user's options, each with its default. */
  readonly options: z.ZodMiniType<Options>;
  /** Attempts a day, unless the policy says otherwise. */
  readonly attemptsPerDay?: number;

  /** What it ends says nothing of how its target is: it counts in no storm, and none holds it. */
  readonly inStorms?: false;

  /** It takes nobody out of service, it only adds: it needs no place in the budget of its group, and takes none from others. */
  readonly adds?: true;

  /** What a survey sees of zones, to be kept in their records before the others look. */
  readonly news?: (ports: Ports, at: Scan<Options>) => Promise<readonly ShiftNews[]>;
  /** A cheap bulk look for trouble that no event reported. */
  readonly survey?: (ports: Ports, at: Scan<Options>) => Promise<readonly Signal[]>;
  /** By the type of what a signal is about, where that belongs to targets of this one: a volume → its instance, a key → the trails that use it. */
  readonly locate?: Readonly<Record<string, (changed: Target, ports: Ports) => Promise<readonly Target[]>>>;
  /** Reads, never writes. */
  readonly observe: (target: Target, ports: Ports, look: Look<Options>) => Promise<Seen>;
  /** What it would move over zones, of all that it is for or of one, and why no more: `steward zones`. Reads, never writes. */
  readonly zones?: (ports: Ports, look: Look<Options>, about: string | undefined) => Promise<ZonePicture>;
  readonly facts: (seen: Seen) => Facts;
  /** What was seen, in one line for people. */
  readonly describe: (seen: Seen, look: Look<Options>) => string;
  readonly isHealthy: (seen: Seen, look: Look<Options>) => boolean;
  /** Pure. Asked only when not healthy. */
  readonly decide: (seen: Seen, look: Look<Options>) => Verdict<Step>;
  /** Starts one step. Idempotent by token or by naming the end state; reports what it asked for, never success. */
  readonly act: (step: Step, ports: Ports, token: string) => Promise<Json>;
  /** ARNs beyond the target that the step changes: the session that runs it reaches these and no others. */
  readonly touches: (step: Step, target: Target) => readonly string[];
  /** The record of the target's releases as it is after this look: it is written down before anything else is done. `read`: it goes by the record, and adds nothing. */
  readonly releases?: 'read' | ((seen: Seen, look: Look<Options>) => Releases);
  /** What must be kept of the state before the step, for `effect` and `undo`. */
  readonly before: (seen: Seen, step: Step) => Json;
  readonly effect: (attempt: Attempt<Step>, seen: Seen, look: Look<Options>) => Effect;
  /** Puts back what was before. Absent where nothing can. */
  readonly undo?: (attempt: Attempt<Step>, ports: Ports, token: string) => Promise<Json>;
  /** Why it cannot be undone, for the person who asks. Needed where there is no `undo`. */
  readonly noUndo?: string;
}

/** The risk of a step. Its rung's first word is the rung of the ladder: 'clean /srv' is on `clean`. */
export const riskOf = (
  { risk, risks }: { readonly risk: Risk; readonly risks?: Readonly<Record<string, Risk>> },
  rung: string,
): Risk => risks?.[rung.split(' ')[0] ?? ''] ?? risk;

/** What one look came to. */
export interface Assessment {
  readonly seen: string;
  readonly healthy: boolean;
  readonly facts: Facts;
  readonly verdict: Verdict;
  /** The attempts with the effect that this look saw of the last one. */
  readonly attempts: readonly Attempt[];
  /** What to keep with the attempt, if the verdict is to act. */
  readonly before: Json;
  /** The record of releases, where this look has added to it. */
  readonly releases?: Releases;
}

/** A spec with its own types closed in: the core holds them all in one list. */
export interface Remediation
  extends Omit<
    Spec<never, never, never>,
    | 'survey'
    | 'news'
    | 'zones'
    | 'observe'
    | 'facts'
    | 'describe'
    | 'isHealthy'
    | 'decide'
    | 'act'
    | 'touches'
    | 'before'
    | 'effect'
    | 'releases'
    | 'undo'
    | 'survey'
    | 'options'
  > {
  readonly options: z.ZodMiniType<unknown>;
  readonly survey: ((ports: Ports, at: Scan<unknown>) => Promise<readonly Signal[]>) | undefined;
  readonly news: ((ports: Ports, at: Scan<unknown>) => Promise<readonly ShiftNews[]>) | undefined;
  readonly zones: ((ports: Ports, look: Look<unknown>, about: string | undefined) => Promise<ZonePicture>) | undefined;
  readonly assess: (target: Target, ports: Ports, look: Look<unknown>) => Promise<Assessment>;
  readonly run: (step: Json, ports: Ports, token: string) => Promise<Json>;
  readonly touches: (step: Json, target: Target) => readonly string[];
  /** It goes by the record of releases. */
  readonly readsReleases: boolean;
  readonly undo: ((attempt: Attempt, ports: Ports, token: string) => Promise<Json>) | undefined;
}

export const defineRemediation = <Seen, Step extends Json, Options>(spec: Spec<Seen, Step, Options>): Remediation => {
  const {
    observe,
    facts,
    describe,
    isHealthy,
    decide,
    act,
    touches,
    before,
    effect,
    undo,
    survey,
    news,
    zones,
    releases,
    ...traits
  } = spec;
  // The casts undo what closing over the types did: steps and options come back only from this very spec.
  const asLook = (look: Look<unknown>) => look as Look<Options>;
  return {
    ...traits,
    readsReleases: releases !== undefined,
    survey: survey ? (ports, at) => survey(ports, at as Scan<Options>) : undefined,
    news: news ? (ports, at) => news(ports, at as Scan<Options>) : undefined,
    zones: zones ? (ports, look, about) => zones(ports, asLook(look), about) : undefined,
    assess: async (target, ports, raw) => {
      const seen = await observe(target, ports, asLook(raw));
      const last = raw.attempts.at(-1);
      const judgement = last && hasRun(last) ? effect(last as Attempt<Step>, seen, asLook(raw)) : 'pending';
      // The verdict already knows what the attempt before it came to.
      const attempts = raw.attempts.map((a) =>
        a === last && judgement !== 'pending' ? { ...a, effect: judgement } : a,
      );
      const look = asLook({ ...raw, attempts });
      const after = typeof releases === 'function' ? releases(seen, look) : undefined;
      const healthy = isHealthy(seen, look);
      const line = describe(seen, look);
      const verdict: Verdict<Step> = healthy ? { do: 'close', because: line } : decide(seen, look);
      return {
        seen: line,
        healthy,
        facts: facts(seen),
        verdict,
        attempts,
        before: verdict.do === 'act' ? before(seen, verdict.step) : null,
        ...(after && isNewsOf(look.releases, after) ? { releases: after } : {}),
      };
    },
    run: (step, ports, token) => act(step as Step, ports, token),
    touches: (step, target) => touches(step as Step, target),
    undo: undo ? (attempt, ports, token) => undo(attempt as Attempt<Step>, ports, token) : undefined,
  };
};
