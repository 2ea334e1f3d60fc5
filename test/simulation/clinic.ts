/**
 * A small model world: patients in groups and zones whose troubles are hidden, and three remediations that between them use every verdict,
 * risk, rung, cost, continuation and undo. What a treatment does to whom is the seed's choice: it cures, late or at once, does nothing, does
 * harm, only half, or is refused. The model has no idempotency: a token that comes twice is acted on twice, and seen by the witness.
 */
import * as z from 'zod/mini';
import { Forbidden, InvalidInput, NotFound, Refused, Unavailable } from '../../shared/core/errors.ts';
import type { Attempt } from '../../shared/core/incident.ts';
import { option } from '../../shared/core/policy.ts';
import type { Ports } from '../../shared/core/ports.ts';
import {
  defineRemediation,
  type Effect,
  type Facts,
  type Look,
  type Remediation,
} from '../../shared/core/remediation.ts';
import type { Signal, SignalKind } from '../../shared/core/signal.ts';
import { type Target, targetOf } from '../../shared/core/target.ts';
import { minutes, seconds } from '../../shared/core/time.ts';
import type { Act, Verdict } from '../../shared/core/verdict.ts';
import type { Random } from '../../world/random.ts';

export const HOME = '111122223333';
export const REGION = 'eu-central-1';

export type Kind = 'memory.low' | 'instance.status-check-failed' | 'cpu.high';
export const KINDS: readonly Kind[] = ['memory.low', 'instance.status-check-failed', 'cpu.high'];

export type Response = 'cures' | 'nothing' | 'harms' | 'half' | 'refused';

export interface Ailment {
  ill: boolean;
  /** How bad: 1 …; only harm raises it. */
  level: number;
  /** The volume has grown, what lies on it not yet: a continuing step ends it. */
  half: boolean;
  /** Of the signal that told of it. */
  since: number;
  cause: string;
  /** True time of its last change. */
  changedAt: number;
  responses: Record<string, Response>;
}
export interface Job {
  readonly token: string;
  readonly kind: Kind;
  readonly endsAt: number;
}
export interface Patient {
  readonly arn: string;
  readonly group: string | undefined;
  readonly zone: string;
  tags: Record<string, string>;
  exists: boolean;
  stopped: boolean;
  /** Looks fail so, until then. */
  blind: { until: number; how: 'denied' | 'unreadable' | 'silent' | 'tags' | 'group' } | undefined;
  /** Naive: proposes the same step for ever; creeping: the same rung with ever another dose. */
  readonly habit: 'ladder' | 'naive' | 'creeping';
  readonly ailments: Record<Kind, Ailment>;
  jobs: Job[];
}

export interface View {
  readonly arn: string;
  readonly kind: Kind;
  readonly ill: boolean;
  readonly level: number;
  readonly half: boolean;
  readonly stopped: boolean;
  readonly running: readonly string[];
  readonly habit: Patient['habit'];
  readonly facts: Facts;
}
export type Step = { readonly do: string; readonly arn: string; readonly dose: number };

/** What the model's remediations call, in place of the engine's ports. */
export interface ClinicPorts {
  examine(arn: string, kind: Kind): Promise<View>;
  treat(arn: string, kind: Kind, step: Step, token: string): Promise<{ job: string }>;
  revert(arn: string, kind: Kind, attempt: Attempt<Step>, token: string): Promise<{ job: string }>;
  illNow(kind: Kind): Promise<readonly Signal[]>;
}
const clinicOf = (ports: Ports): ClinicPorts => ports as unknown as ClinicPorts;

// ---- the remediations -------------------------------------------------------------------------------------------------------------------

/** So long a treatment may take to show. */
const SETTLE = minutes(3);
/** A job that works longer than this is for a person. */
const JOB_LIMIT = minutes(35);

interface Trait {
  readonly name: string;
  readonly kind: Kind;
  readonly risk: Remediation['risk'];
  readonly ladder: readonly string[];
  /** US dollars a month for a dose, by rung. */
  readonly price: Readonly<Record<string, number>>;
  readonly canUndo: boolean;
}

/** Doses from here on finish what a step before began; they are free. */
const FINISH = 100;
/** US dollars a month that a step adds. */
export const priceOf = (remediation: string, step: Step): number =>
  step.dose >= FINISH ? 0 : (TRAITS.find((t) => t.name === remediation)?.price[step.do] ?? 0) * step.dose;

const settling = (seen: View, { now, attempts }: Look<unknown>): Verdict<Step> | undefined => {
  const last = attempts.at(-1);
  if (seen.running.length > 0)
    return now - (last?.reservedAt ?? now) < JOB_LIMIT
      ? { do: 'wait', until: now + seconds(30), because: 'a treatment is at work' }
      : { do: 'escalate', because: 'a treatment does not end', remedy: 'look at it' };
  const open = last?.outcome?.kind === 'done' || last?.outcome?.kind === 'ambiguous';
  return open && !last?.effect && !last?.undoes
    ? { do: 'wait', until: now + seconds(30), because: 'it may still show' }
    : undefined;
};

const nextRung = (trait: Trait, seen: View, attempts: readonly Attempt[]): string | undefined =>
  seen.habit === 'ladder'
    ? trait.ladder.find((r) => !attempts.some((a) => a.rung === r && a.outcome?.kind !== 'transient'))
    : trait.ladder[0];

const decide = (trait: Trait, seen: View, look: Look<unknown>): Verdict<Step> => {
  const { now, attempts } = look;
  if (seen.stopped) return { do: 'nothing', because: 'it is stopped on purpose' };
  const settled = settling(seen, look);
  if (settled) return settled;
  if (!seen.ill) return { do: 'wait', until: now + minutes(1), because: 'it is getting better' };
  const last = attempts.at(-1);
  const step = (rung: string, dose: number): Act<Step> => ({
    do: 'act',
    rung,
    step: { do: rung, arn: seen.arn, dose },
    plan: `${rung} ${seen.arn} with ${dose}`,
    because: `${seen.kind} of level ${seen.level}`,
  });
  if (seen.half && last?.effect === 'effective' && !last.continues)
    return { ...step(last.rung, FINISH + last.n), continues: true };
  const rung = nextRung(trait, seen, attempts);
  if (rung === undefined)
    return { do: 'escalate', because: `${attempts.length} attempts did not end it`, remedy: 'end it by hand' };
  const next = step(rung, seen.habit === 'creeping' ? attempts.length + 1 : seen.level);
  const usdPerMonth = priceOf(trait.name, next.step);
  return usdPerMonth === 0 ? next : { ...next, cost: { usdPerMonth, what: `${next.step.dose} of ${rung}` } };
};

const effect = ({ token, before, reservedAt }: Attempt<Step>, seen: View, { now }: Look<unknown>): Effect => {
  if (seen.running.includes(token)) return 'pending';
  const { level, half } = before as { level: number; half: boolean };
  if (seen.level > level) return 'harmful';
  if (!seen.ill || seen.level < level || (seen.half && !half)) return 'effective';
  return now - reservedAt < SETTLE ? 'pending' : 'ineffective';
};

const remedy = (trait: Trait): Remediation =>
  defineRemediation<View, Step, Record<never, never>>({
    name: trait.name,
    title: `ends ${trait.kind} of the model`,
    about: 'Only for the simulation.',
    answers: [trait.kind],
    risk: trait.risk,
    targets: 'arn:*:ec2:*:*:instance/*',
    ladder: Object.fromEntries(trait.ladder.map((r) => [r, r])),
    permissions: [],
    options: z.strictObject({ unused: option(z.boolean(), false, 'nothing') }),
    survey: (ports) => clinicOf(ports).illNow(trait.kind),
    observe: (target, ports) => clinicOf(ports).examine(target.arn, trait.kind),
    facts: (seen) => seen.facts,
    describe: (seen) => (seen.ill ? `it has ${trait.kind}, level ${seen.level}` : 'it is well'),
    isHealthy: (seen) => !seen.ill && seen.running.length === 0,
    decide: (seen, look) => decide(trait, seen, look),
    act: (step, ports, token) => clinicOf(ports).treat(step.arn, trait.kind, step, token),
    touches: () => [],
    before: ({ level, half }) => ({ level, half }),
    effect,
    ...(trait.canUndo
      ? {
          undo: (attempt: Attempt<Step>, ports: Ports, token: string) =>
            clinicOf(ports).revert(attempt.step.arn, trait.kind, attempt, token),
        }
      : { noUndo: 'the model says so' }),
  });

const TRAITS: readonly Trait[] = [
  {
    name: 'relieve',
    kind: 'memory.low',
    risk: 'harmless',
    ladder: ['drop', 'enlarge', 'enlarge-more'],
    price: { enlarge: 10, 'enlarge-more': 25 },
    canUndo: true,
  },
  {
    name: 'restart',
    kind: 'instance.status-check-failed',
    risk: 'interrupts',
    ladder: ['restart', 'rebuild'],
    price: {},
    canUndo: false,
  },
  {
    name: 'replace',
    kind: 'cpu.high',
    risk: 'destroys',
    ladder: ['replace', 'replace-bigger'],
    price: { replace: 15, 'replace-bigger': Number.NaN },
    canUndo: true,
  },
];
export const modelRemediations: readonly Remediation[] = TRAITS.map(remedy);
export const kindOf = (remediation: string): Kind => TRAITS.find((t) => t.name === remediation)?.kind ?? 'cpu.high';
export const riskOf = (remediation: string): Remediation['risk'] =>
  TRAITS.find((t) => t.name === remediation)?.risk ?? 'destroys';

/** It is there and its status checks pass. One that is just being interrupted does not look different yet. */
export const serves = (p: Patient): boolean =>
  p.exists && !p.stopped && !p.ailments['instance.status-check-failed'].ill;

// ---- the patients -----------------------------------------------------------------------------------------------------------------------

export interface Clinic {
  readonly patients: readonly Patient[];
  readonly of: (arn: string) => Patient;
  /** Members of a group that exist, by zone. */
  readonly zonesOf: (group: string | undefined, patient: Patient) => Readonly<Record<string, number>>;
  readonly fallIll: (p: Patient, kind: Kind) => void;
  readonly heal: (p: Patient, kind: Kind) => void;
  readonly isHealthy: (p: Patient, kind: Kind) => boolean;
  /** The signal that an alarm on this ailment would send. */
  readonly signalOf: (p: Patient, kind: Kind) => Signal;
  readonly view: (arn: string, kind: Kind) => View;
  readonly treat: (arn: string, kind: Kind, step: Step, token: string) => { job: string };
  readonly revert: (arn: string, kind: Kind, level: number, token: string) => { job: string };
  readonly illNow: (kind: Kind) => readonly Signal[];
}

const RESPONSES: readonly Response[] = ['cures', 'cures', 'cures', 'nothing', 'harms', 'half', 'half', 'refused'];
const HABITS: readonly Patient['habit'][] = ['ladder', 'ladder', 'ladder', 'naive', 'creeping'];

const createPatients = (random: Random): Patient[] => {
  const well = (): Ailment => ({ ill: false, level: 1, half: false, since: 0, changedAt: 0, cause: '', responses: {} });
  // Groups of different sizes, and some that stand alone.
  const groups = [
    ...Array(5 + random.integer(4)).fill('asg/web'),
    ...Array(2 + random.integer(3)).fill('group/db'),
    undefined,
  ];
  return groups.map((group, i) => ({
    arn: `arn:aws:ec2:${REGION}:${HOME}:instance/i-${i.toString(16).padStart(8, '0')}`,
    group,
    zone: `euc1-az${1 + (i % 3)}`,
    tags: { 'steward:managed': 'true' },
    exists: true,
    stopped: false,
    blind: undefined,
    habit: random.pick(HABITS),
    ailments: { 'memory.low': well(), 'instance.status-check-failed': well(), 'cpu.high': well() },
    jobs: [],
  }));
};

export interface ClinicDeps {
  readonly random: Random;
  readonly time: () => number;
  readonly wall: () => number;
  readonly after: (ms: number, run: () => void) => void;
  /** A treatment ended: what waits for the target may look again. */
  readonly onChange: (p: Patient) => void;
}

export const createClinic = ({ random, time, wall, after, onChange }: ClinicDeps): Clinic => {
  const patients = createPatients(random);
  const byArn = new Map(patients.map((p) => [p.arn, p]));
  const of = (arn: string): Patient => {
    const p = byArn.get(arn);
    if (!p?.exists) throw new NotFound(`${arn} is gone`);
    return p;
  };

  const zonesOf = (group: string | undefined, patient: Patient): Record<string, number> => {
    if (group === undefined) return { [patient.zone]: 1 };
    const members = patients.filter((m) => m.exists && m.group === group);
    return Object.fromEntries([...Map.groupBy(members, (m) => m.zone)].map(([zone, ms]) => [zone, ms.length]));
  };

  const factsOf = (p: Patient): Facts => {
    const hidden = p.blind && p.blind.until > time() ? p.blind.how : undefined;
    const zones = zonesOf(p.group, p);
    const id = p.group ?? `instance/${p.arn.split('/')[1]}`;
    return {
      tags: hidden === 'tags' ? undefined : { ...p.tags },
      group: hidden === 'group' ? undefined : { id, size: Object.values(zones).reduce((a, b) => a + b, 0), zones },
      zone: p.zone,
      serving:
        p.group === undefined
          ? 'alone'
          : {
              self: serves(p),
              others: patients.filter((m) => m !== p && m.group === p.group && serves(m)).map((m) => m.arn),
            },
    };
  };

  const throwBlind = (p: Patient): void => {
    if (!p.blind || p.blind.until <= time()) return;
    if (p.blind.how === 'denied') throw new Forbidden(`not allowed to look at ${p.arn}`);
    if (p.blind.how === 'unreadable') throw new InvalidInput(`the answer of ${p.arn} cannot be read`);
    if (p.blind.how === 'silent') throw new Unavailable(`${p.arn} does not answer`);
  };

  const jobTime = (): number => (random.chance(0.06) ? random.integer(minutes(28)) : random.integer(seconds(100)));

  const start = (p: Patient, kind: Kind, token: string, end: () => void): { job: string } => {
    const ms = jobTime();
    p.jobs = [...p.jobs, { token, kind, endsAt: time() + ms }];
    after(ms, () => {
      p.jobs = p.jobs.filter((j) => j.token !== token);
      if (!p.exists) return;
      end();
      onChange(p);
    });
    return { job: token };
  };

  const respond = (a: Ailment, response: Response): void => {
    if (!a.ill || response === 'nothing' || response === 'refused') return;
    if (response === 'harms') a.level++;
    else if (response === 'half' && !a.half) a.half = true;
    else Object.assign(a, { ill: false, half: false, level: 1, changedAt: time() });
  };

  return {
    patients,
    of,
    zonesOf,
    fallIll: (p, kind) => {
      const a = p.ailments[kind];
      if (a.ill || !p.exists) return;
      Object.assign(a, { ill: true, level: 1, half: false, since: wall(), changedAt: time(), responses: {} });
      a.cause = `alarm ${kind}-${p.arn.split('/')[1]} went to ALARM`;
    },
    heal: (p, kind) => {
      Object.assign(p.ailments[kind], { ill: false, half: false, level: 1, changedAt: time() });
    },
    isHealthy: (p, kind) => !p.ailments[kind].ill && !p.jobs.some((j) => j.kind === kind),
    signalOf: (p, kind) => {
      const { since, cause } = p.ailments[kind];
      return {
        kind: kind satisfies SignalKind,
        target: targetOf(p.arn),
        at: since,
        cause,
        eventId: `${p.arn}:${kind}@${since}`,
      };
    },
    view: (arn, kind) => {
      const p = of(arn);
      throwBlind(p);
      const { ill, level, half } = p.ailments[kind];
      const running = p.jobs.filter((j) => j.kind === kind).map((j) => j.token);
      return { arn, kind, ill, level, half, stopped: p.stopped, running, habit: p.habit, facts: factsOf(p) };
    },
    treat: (arn, kind, step, token) => {
      const p = of(arn);
      const a = p.ailments[kind];
      a.responses[step.do] ??= random.pick(RESPONSES);
      const response = a.responses[step.do] as Response;
      if (response === 'refused') throw new Refused('not-now', `${step.do} is declined for ${arn}`);
      return start(p, kind, token, () => respond(a, response));
    },
    revert: (arn, kind, level, token) => {
      const p = of(arn);
      return start(p, kind, token, () => {
        p.ailments[kind].level = level;
      });
    },
    illNow: (kind) =>
      patients
        .filter((p) => p.exists && p.ailments[kind].ill)
        .map((p) => ({
          kind,
          target: targetOf(p.arn) satisfies Target,
          at: p.ailments[kind].since,
          cause: p.ailments[kind].cause,
          eventId: `${p.arn}:${kind}@${p.ailments[kind].since}`,
        })),
  };
};
