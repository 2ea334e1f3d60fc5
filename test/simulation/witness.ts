/**
 * The simulation's own bookkeeping. It sees every commit to the table, every look and every act, and holds each against the rules of the
 * design with arithmetic of its own: it never asks the gate, and imports no rule from the engine.
 */
import { type Attempt, type Incident, stepText } from '../../shared/core/incident.ts';
import type { Policy } from '../../shared/core/policy.ts';
import type { Change, GroupRecord, Pause, StoreRecord } from '../../shared/core/store.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import type { Json } from '../../shared/core/verdict.ts';
import { type Clinic, type Kind, kindOf, type Patient, priceOf, riskOf, type Step, serves } from './clinic.ts';
import type { Violation } from './models.ts';
import { LIFE_LIMIT, type Life, type Schedule, TRAVEL_LIMIT } from './schedule.ts';

/** Daily, UTC: what the model's policies use, so that openness is plain arithmetic. */
export interface Daily {
  readonly fromMinute: number;
  readonly minutes: number;
}
export interface Rules {
  readonly policy: Policy;
  readonly freeze: readonly Daily[];
  readonly maintenance: readonly Daily[];
}

/** A reserved attempt, as it was committed. */
interface Reserved {
  readonly incident: string;
  readonly target: string;
  readonly remediation: string;
  readonly attempt: Attempt<Step>;
  /** True time of the commit, and the wall time on which the pass decided. */
  readonly time: number;
  readonly at: number;
  readonly step: string;
  readonly usd: number;
  outcome?: string;
  sent: boolean;
}
interface Approved {
  readonly incident: string;
  readonly step: string;
  readonly by: string;
  readonly until: number;
  used: boolean;
}

/** From the design: a lease and a place in the budget hold so long without being renewed. */
const HOLDS = minutes(20);
/** From decision to act, at most; a little for the way. */
const STARTS_WITHIN = seconds(30);
/** Facts of the model may change while a pass is under way. */
const PASS_TIME = LIFE_LIMIT + TRAVEL_LIMIT;

const dayMinute = (wall: number): number => Math.floor(wall / 60_000) % 1440;
const isOpen = (w: Daily, wall: number): boolean => (dayMinute(wall) - w.fromMinute + 1440) % 1440 < w.minutes;

export interface WitnessDeps {
  readonly schedule: Schedule;
  readonly clinic: Clinic;
  readonly rules: Rules;
}

export const createWitness = ({ schedule, clinic, rules }: WitnessDeps) => {
  const { policy } = rules;
  let violation: Violation | undefined;
  const reservations = new Map<string, Reserved>();
  /** Latest commit of each incident. */
  const incidents = new Map<string, Incident>();
  const groupSince = new Map<string, { group: string; time: number }>();
  const releasedAt = new Map<string, number>();
  const inFlight = new Map<string, { token: string; life: Life; time: number; arrived: boolean; replied: boolean }[]>();
  const arrivals = new Map<string, number>();
  const looks = new Map<string, { time: number; healthy: boolean; gone: boolean }[]>();
  const looksAt = new Map<string, number[]>();
  const readings = new Map<number, number>();
  const scopeLog = new Map<string, { time: number; inScope: boolean }[]>();
  const vanished = new Map<string, number>();
  const breakers = new Map<string, { since: number; lastSeenAt: number; time: number }>();
  let pauses: { pause: Pause; time: number }[] = [];
  let approvals: Approved[] = [];
  let denials: { incident: string; step: string; until: number }[] = [];
  const counts = { acts: 0, reservations: 0, closed: 0, escalated: 0, refused: 0, asked: 0, undone: 0, opened: 0 };

  const check = (holds: boolean, invariant: string, say: () => string): void => {
    if (holds || violation) return;
    violation = { invariant, say: say() };
    schedule.stop();
  };

  const groupIdOf = (p: Patient): string => p.group ?? `instance/${p.arn.split('/')[1]}`;
  const patientOf = (arn: string): Patient => clinic.patients.find((p) => p.arn === arn) as Patient;
  const settingsOf = (remediation: string) => policy.remediations[remediation] as Policy['remediations'][string];

  // ---- what the model's remediations and their calls report -----------------------------------------------------------------------------

  const inScope = (p: Patient): boolean =>
    p.tags['steward:ignore'] === undefined && (policy.scope === 'all' || p.tags['steward:managed'] === 'true');
  const noteScope = (p: Patient): void => {
    const log = scopeLog.get(p.arn) ?? [];
    scopeLog.set(p.arn, [...log, { time: schedule.time(), inScope: inScope(p) }]);
  };
  /** In scope at some moment since then. */
  const wasInScope = (arn: string, since: number): boolean => {
    const log = scopeLog.get(arn) ?? [];
    const from = log.findLastIndex((l) => l.time <= since);
    return log.slice(Math.max(0, from)).some((l) => l.inScope);
  };
  for (const p of clinic.patients) noteScope(p);

  const lookKey = (life: Life, arn: string, kind: Kind): string => `${life.id}/${arn}/${kind}`;
  const looked = (life: Life, arn: string, kind: Kind, saw: { healthy: boolean; gone: boolean }): void => {
    const key = lookKey(life, arn, kind);
    looks.set(key, [...(looks.get(key) ?? []), { time: schedule.time(), ...saw }]);
    looksAt.set(`${arn}/${kind}`, [...(looksAt.get(`${arn}/${kind}`) ?? []), schedule.time()]);
  };

  /** Its caller lives and waits for the reply, or it is still on its way. */
  const isInFlight = (f: { life: Life; time: number; arrived: boolean; replied: boolean }): boolean =>
    !f.replied && (!f.life.dead || (!f.arrived && schedule.time() < f.time + TRAVEL_LIMIT));

  /** A call that changes something is about to be sent. */
  const sending = (life: Life, arn: string, kind: Kind, token: string, step: string): void => {
    counts.acts++;
    const r = reservations.get(token);
    check(r !== undefined, 'reserved-before-act', () => `${token}: ${step} without a reservation`);
    if (!r) return;
    const exact = r.target === arn && kindOf(r.remediation) === kind && r.step === step;
    check(exact, 'acts-as-reserved', () => `${token} reserved ${r.step} of ${r.target}, did ${step} of ${arn}`);
    check(!r.sent, 'acts-once', () => `${token} was sent before`);
    check(r.outcome === undefined, 'not-after-outcome', () => `${token} already ended as ${r.outcome}`);
    r.sent = true;
    const scopes = ['all', `remediation/${r.remediation}`, `target/${arn}`, `group/${groupIdOf(patientOf(arn))}`];
    const held = pauses.find(
      ({ pause, time }) => scopes.includes(pause.scope) && time < r.time && (pause.until ?? Infinity) > schedule.wall(),
    );
    check(
      !held,
      'nothing-while-paused',
      () => `${token} although ${held?.pause.scope} was paused before it was reserved`,
    );
    const late = schedule.wall() - r.at;
    check(Math.abs(late) <= STARTS_WITHIN, 'starts-in-time', () => `${token} starts ${late} ms after its decision`);
    const others = (inFlight.get(arn) ?? []).filter(isInFlight).map((f) => f.token);
    check(others.length === 0, 'one-act-in-flight', () => `${token} while ${others.join(', ')} is in flight on ${arn}`);
    inFlight.set(arn, [
      ...(inFlight.get(arn) ?? []),
      { token, life, time: schedule.time(), arrived: false, replied: false },
    ]);
  };
  const flight = (arn: string, token: string) => inFlight.get(arn)?.find((f) => f.token === token);
  const arrived = (arn: string, token: string): void => {
    arrivals.set(token, schedule.time());
    const f = flight(arn, token);
    if (f) f.arrived = true;
  };
  const replied = (arn: string, token: string): void => {
    const f = flight(arn, token);
    if (f) f.replied = true;
  };

  // ---- what is committed ----------------------------------------------------------------------------------------------------------------

  /** Repairs that hold their target and their group's place: lately begun, or with a treatment still at work; and nobody told of them. */
  const holding = (wall: number, except: string): Reserved[] => {
    const atWork = (r: Reserved): boolean =>
      (!r.attempt.continues && r.at + HOLDS > wall) ||
      patientOf(r.target).jobs.some((j) => j.token === r.attempt.token);
    return [...reservations.values()].filter(
      (r) => r.incident !== except && (releasedAt.get(r.incident) ?? -1) < r.time && atWork(r),
    );
  };

  const checkMode = (r: Reserved, before: Incident | undefined): void => {
    const { mode } = settingsOf(r.remediation);
    check(mode === 'act' || mode === 'ask', 'mode', () => `${r.attempt.token} in mode ${mode}`);
    const no = denials.some((d) => d.incident === r.incident && d.step === r.step && d.until > r.at);
    check(!no, 'nothing-denied', () => `${r.attempt.token}: ${r.step} was denied`);
    if (mode !== 'ask') return;
    const asker = before?.undoWanted?.by ?? before?.askedBy;
    const yes = approvals.find(
      (a) => !a.used && a.incident === r.incident && a.step === r.step && a.until > r.at && a.by !== asker,
    );
    check(yes !== undefined, 'asks-first', () => `${r.attempt.token}: nobody else approved ${r.step}`);
    if (yes) yes.used = true;
  };

  const checkWindow = (r: Reserved): void => {
    const frozen = rules.freeze.some((w) => isOpen(w, r.at));
    check(!frozen, 'freeze', () => `${r.attempt.token} in a freeze, at ${new Date(r.at).toISOString()}`);
    if (riskOf(r.remediation) === 'harmless' || rules.maintenance.length === 0) return;
    const open = rules.maintenance.some((w) => isOpen(w, r.at));
    check(open, 'maintenance', () => `${r.attempt.token} outside maintenance, at ${new Date(r.at).toISOString()}`);
  };

  const checkAttempts = (r: Reserved): void => {
    const { attemptsPerDay, coolDownMinutes } = settingsOf(r.remediation);
    const past = [...reservations.values()].filter(
      (o) =>
        o.attempt.token !== r.attempt.token &&
        o.target === r.target &&
        o.remediation === r.remediation &&
        o.outcome !== 'transient' &&
        o.at > r.at - hours(24),
    );
    const again = past.find((o) => o.step === r.step);
    check(!again, 'not-the-same-twice', () => `${r.attempt.token} repeats ${again?.attempt.token}: ${r.step}`);
    if (r.attempt.continues) return;
    const counted = past.filter((o) => !o.attempt.continues && o.attempt.undoes === undefined);
    check(
      counted.length < attemptsPerDay,
      'attempts-per-day',
      () => `${r.attempt.token} is one too many for ${r.target}`,
    );
    const same = counted.filter((o) => o.attempt.rung === r.attempt.rung);
    const last = same.at(-1);
    const rest = minutes(coolDownMinutes) * 2 ** Math.max(0, same.length - 1);
    check(!last || r.at >= last.at + rest, 'cool-down', () => `${r.attempt.token} ${r.at - (last?.at ?? 0)} ms after`);
  };

  const checkBudget = (r: Reserved): void => {
    // What finishes a repair under way adds none, whatever others with a larger budget did meanwhile.
    if (r.attempt.continues && holding(r.at, '').some((o) => o.incident === r.incident)) return;
    const group = groupIdOf(patientOf(r.target));
    const since = schedule.time() - PASS_TIME;
    const size = clinic.patients.filter(
      (p) => groupIdOf(p) === group && (p.exists || (vanished.get(p.arn) ?? 0) > since),
    ).length;
    const { max, percent } = settingsOf(r.remediation).budget;
    const allowed = Math.max(1, Math.min(max, Math.floor((size * percent) / 100)));
    const others = new Set(
      holding(r.at, r.incident)
        .filter((o) => groupIdOf(patientOf(o.target)) === group && o.target !== r.target)
        .map((o) => o.target),
    );
    check(
      others.size < allowed,
      'budget',
      () => `${r.attempt.token}: ${others.size + 1} of ${size} in ${group}, ${allowed} allowed`,
    );
  };

  /** Somebody else of the group serves, as far as a pass could see; unless a person has said yes to it. */
  const checkServing = (r: Reserved): void => {
    const self = patientOf(r.target);
    if (riskOf(r.remediation) === 'harmless' || self.group === undefined) return;
    const since = schedule.time() - PASS_TIME;
    const ails = (p: Patient) => p.ailments['instance.status-check-failed'];
    // The pass may have seen it out of service, or another in service, just before that changed.
    if (!serves(self) || ails(self).changedAt > since) return;
    const said = approvals.some((a) => a.incident === r.incident && a.step === r.step && a.until > r.at);
    const busy = new Set(holding(r.at, r.incident).map((o) => o.target));
    const others = clinic.patients.filter((p) => p !== self && p.group === self.group && !busy.has(p.arn));
    const mayServe = others.some(
      (p) => (p.exists && !ails(p).ill) || ails(p).changedAt > since || (vanished.get(p.arn) ?? 0) > since,
    );
    check(
      said || mayServe,
      'never-the-last-that-serves',
      () => `${r.attempt.token}: nothing else of ${self.group} serves`,
    );
  };

  /** What stood in the table before the pass read its clock, which it did before it asked the breaker. */
  const checkBreaker = (r: Reserved): void => {
    if (r.attempt.continues) return;
    const p = patientOf(r.target);
    const group = groupIdOf(p);
    const decided = readings.get(r.at) ?? r.time;
    const { withinMinutes, atLeast, percent, clearMinutes } = policy.breaker;
    const found = [...incidents.values()].filter((i) => {
      const told = groupSince.get(i.id);
      if (i.openedAt < r.at - minutes(withinMinutes)) return false;
      return i.id === r.incident || (told?.group === group && told.time < decided);
    });
    // A member with two troubles is one member.
    const recent = [...new Set(found.map((i) => i.target))];
    const size = clinic.patients.filter((x) => groupIdOf(x) === group && (x.exists || vanished.has(x.arn))).length;
    const storm = recent.length >= atLeast && recent.length * 100 > size * percent;
    check(!storm, 'breaker', () => `${r.attempt.token} while ${recent.length} of ${size} in ${group} fell ill`);
    const open = breakers.get(group);
    const until = (open?.lastSeenAt ?? 0) + minutes(clearMinutes);
    check(!open || open.time >= decided || r.at >= until, 'breaker', () => `${r.attempt.token}: ${group} is frozen`);
  };

  const spent = (remediation: string, wall: number): number => {
    const month = new Date(wall).toISOString().slice(0, 7);
    return [...reservations.values()]
      .filter((o) => o.remediation === remediation && new Date(o.at).toISOString().startsWith(month))
      .filter((o) => o.outcome !== 'transient' && o.outcome !== 'permanent')
      .reduce((sum, o) => sum + o.usd, 0);
  };
  const checkCost = (r: Reserved): void => {
    const cap = settingsOf(r.remediation).costCapUsdPerMonth;
    const sum = spent(r.remediation, r.at);
    check(sum <= cap + 1e-6, 'cost-cap', () => `${r.attempt.token}: $${sum} in the month, $${cap} allowed`);
  };

  /** An old signal opens no act by itself: somebody has looked before. */
  const checkAge = (r: Reserved, { openedAt, signals }: Incident): void => {
    const since = readings.get(openedAt) ?? 0;
    const seen = (looksAt.get(`${r.target}/${kindOf(r.remediation)}`) ?? []).filter((time) => time >= since);
    const limit = minutes(policy.signalMaxAgeMinutes);
    const ahead = signals.lastAt - r.at;
    check(
      ahead <= limit,
      'no-act-on-a-date-to-come',
      () => `${r.attempt.token}: its signal is dated ${ahead} ms ahead`,
    );
    const old = openedAt - signals.lastAt > limit;
    check(!old || seen.length >= 2, 'old-signals-are-looked-at-twice', () => `${r.attempt.token} at the first look`);
  };

  const checkUndo = (r: Reserved): void => {
    const before = [...reservations.values()].find(
      (o) => o.incident === r.incident && o.attempt.undoes === r.attempt.undoes && o.outcome !== 'transient',
    );
    check(!before, 'put-back-once', () => `${r.attempt.token} puts back what ${before?.attempt.token} has put back`);
  };

  const checkTarget = (r: Reserved): void => {
    const since = schedule.time() - PASS_TIME;
    const gone = vanished.get(r.target);
    check(gone === undefined || gone > since, 'not-on-the-vanished', () => `${r.attempt.token}: ${r.target} is gone`);
    check(wasInScope(r.target, since), 'scope', () => `${r.attempt.token}: ${r.target} is not in scope`);
    const other = holding(r.at, r.incident).find((o) => o.target === r.target);
    check(!other, 'one-lease', () => `${r.attempt.token} while ${other?.attempt.token} holds ${r.target}`);
  };

  const reserved = (incident: Incident, before: Incident | undefined, attempt: Attempt<Step>): void => {
    counts.reservations++;
    const undo = attempt.undoes !== undefined;
    const r: Reserved = {
      incident: incident.id,
      target: incident.target,
      remediation: incident.remediation,
      attempt,
      time: schedule.time(),
      at: attempt.reservedAt,
      step: stepText(attempt.step as unknown as Json),
      usd: undo ? 0 : priceOf(incident.remediation, attempt.step),
      sent: false,
    };
    if (undo) counts.undone++;
    check(!reservations.has(attempt.token), 'token-is-new', () => `${attempt.token} was reserved before`);
    const pending = [...reservations.values()].find((o) => o.incident === r.incident && o.outcome === undefined);
    check(!pending, 'one-open-attempt', () => `${attempt.token} while ${pending?.attempt.token} has no outcome`);
    checkMode(r, before);
    checkTarget(r);
    // Recovery is never blocked by these.
    if (undo) checkUndo(r);
    else for (const rule of [checkWindow, checkAttempts, checkBudget, checkServing, checkBreaker]) rule(r);
    if (!undo && before) checkAge(r, before);
    reservations.set(attempt.token, r);
    checkCost(r);
    const soon = incident.dueAt - r.at;
    check(soon < minutes(15), 'looked-after-soon', () => `${attempt.token} is reserved, and due only in ${soon} ms`);
    const line = incident.log.some((l) => l.what === 'reserved' && l.say.startsWith(`attempt ${attempt.n}:`));
    check(line, 'log-explains', () => `${attempt.token} is not in the log`);
  };

  const concluded = (incident: Incident, attempt: Attempt<Step>): void => {
    const r = reservations.get(attempt.token);
    if (!r || attempt.outcome === undefined) return;
    const kind = attempt.outcome.kind;
    const claimsNothing = kind === 'transient' || kind === 'permanent';
    const ran =
      clinic.patients.some((p) => p.jobs.some((j) => j.token === attempt.token)) || started.has(attempt.token);
    check(!(claimsNothing && ran), 'outcome-is-true', () => `${attempt.token} is called ${kind}, but it ran`);
    r.outcome = kind;
    const line = incident.log.some((l) => l.what === 'outcome' && l.say.startsWith(`attempt ${attempt.n} `));
    check(line, 'log-explains', () => `the outcome of ${attempt.token} is not in the log`);
  };
  const started = new Set<string>();

  /** The reason of a state, in the words that the log and the record share. */
  const explained = (i: Incident): boolean => {
    const reason = (i.state === 'refused' ? i.because.slice(i.because.indexOf(': ') + 2) : i.because).slice(0, 60);
    return i.log.some((l) => l.say.includes(reason) || l.what === 'refused');
  };

  const closing = (i: Incident, before: Incident | undefined, life: Life): void => {
    counts.closed++;
    const p = patientOf(i.target);
    const seen = looks.get(lookKey(life, i.target, kindOf(i.remediation))) ?? [];
    const sentAt = i.attempts.map((a) => arrivals.get(a.token) ?? -1);
    const fresh = seen.filter((l) => l.time > Math.max(-1, ...sentAt));
    if (i.end === 'healthy')
      check(
        fresh.some((l) => l.healthy),
        'closes-on-a-fresh-look',
        () => `${i.id} closed healthy without one`,
      );
    if (i.end === 'gone')
      check(vanished.has(p.arn), 'gone-is-gone', () => `${i.id} closed as gone, but ${p.arn} exists`);
    const open = before?.attempts.find((a) => !a.outcome);
    const counted = !open || i.attempts.some((a) => a.n === open.n && a.outcome);
    check(counted, 'closes-with-outcomes', () => `${i.id} closed with attempt ${open?.n} in the air`);
    check(i.closedAt !== undefined && i.ask === undefined, 'closed-is-tidy', () => `${i.id} closed with an ask`);
  };

  const STATES: Partial<Record<Incident['state'], 'escalated' | 'refused' | 'asked'>> = {
    escalated: 'escalated',
    refused: 'refused',
    asking: 'asked',
  };

  const opened = (i: Incident): void => {
    counts.opened++;
    const twin = [...incidents.values()].find(
      (o) => o.id !== i.id && o.target === i.target && o.remediation === i.remediation && o.state !== 'closed',
    );
    check(!twin || i.state === 'closed', 'one-incident', () => `${i.id} beside ${twin?.id} for ${i.target}`);
  };

  const attempted = (i: Incident, before: Incident | undefined): void => {
    for (const a of i.attempts as readonly Attempt<Step>[]) {
      const known = before?.attempts.find((x) => x.n === a.n);
      if (!known) reserved(i, before, a);
      if (a.outcome && known?.outcome?.kind !== a.outcome.kind) concluded(i, a);
    }
  };

  const turned = (i: Incident, before: Incident | undefined, life: Life): void => {
    const named = STATES[i.state];
    if (named) {
      counts[named]++;
      check(
        explained(i),
        'log-explains',
        () => `${i.id} is ${i.state} because "${i.because}", its log does not say it`,
      );
      check((i.remedy ?? '') !== '', 'says-the-remedy', () => `${i.id} is ${i.state} without a remedy`);
    }
    const asked = i.state === 'asking' && i.ask ? stepText(i.ask.step) : undefined;
    const no = denials.find((d) => d.incident === i.id && d.step === asked && d.until > schedule.wall());
    check(!no, 'a-no-is-not-asked-again', () => `${i.id} asks for ${asked}, which was denied`);
    if (i.state === 'closed' || i.state === 'escalated') releasedAt.set(i.id, schedule.time());
    if (i.state === 'closed') closing(i, before, life);
  };

  const committedIncident = (i: Incident, life: Life): void => {
    const before = incidents.get(i.id);
    if (!before) opened(i);
    incidents.set(i.id, i);
    check(
      before?.state !== 'closed' || i.state === 'closed',
      'closed-stays-closed',
      () => `${i.id} is ${i.state} again`,
    );
    if (i.group !== undefined && groupSince.get(i.id)?.group !== i.group)
      groupSince.set(i.id, { group: i.group, time: schedule.time() });
    attempted(i, before);
    check(i.log.length <= 50, 'log-is-bounded', () => `${i.id} has ${i.log.length} lines`);
    if (i.state !== before?.state) turned(i, before, life);
  };

  const committedGroup = ({ id, breaker }: GroupRecord, changes: readonly Change[]): void => {
    const known = breakers.get(id);
    if (!breaker || breaker.lastSeenAt === known?.lastSeenAt) return;
    const told = changes.some((c) => 'put' in c && c.put.kind === 'incident' && c.put.state === 'escalated');
    check(
      told || breaker.since === known?.since,
      'a-storm-is-told',
      () => `the breaker of ${id} opens, and nobody is told`,
    );
    breakers.set(id, { since: breaker.since, lastSeenAt: breaker.lastSeenAt, time: schedule.time() });
  };

  const committed = (changes: readonly Change[], life: Life): void => {
    check(!life.what.startsWith('explain'), 'explains-only', () => `#${life.id} wrote while explaining`);
    for (const c of changes) {
      if (!('put' in c)) continue;
      const record: StoreRecord = { ...c.put, version: c.put.version + 1 };
      if (record.kind === 'incident') committedIncident(record, life);
      if (record.kind === 'group') committedGroup(record, changes);
    }
  };

  /** Where nothing fails and no clock jumps, a pass that says when it looks again is as good as its word. */
  const promised = new Map<string, number>();
  const takenAt = new Map<string, number>();
  const promises = (life: Life, incident: string, lookAgainAt: number): void => {
    if ((takenAt.get(incident) ?? -1) > life.since) return;
    const ms = lookAgainAt - schedule.wall();
    if (ms < minutes(14)) promised.set(incident, schedule.time() + Math.max(0, ms) + minutes(1));
    else promised.delete(incident);
  };
  const looksAgain = (incident: string): void => {
    const late = schedule.time() - (promised.get(incident) ?? Number.POSITIVE_INFINITY);
    check(late <= 0, 'looks-when-it-said', () => `${incident} is looked at ${late} ms too late`);
    promised.delete(incident);
    takenAt.set(incident, schedule.time());
  };

  /** A function came to its end by itself: what it did is written down. */
  const ended = (life: Life): void => {
    for (const flights of inFlight.values())
      for (const { token, life: by } of flights)
        if (by === life)
          check(reservations.get(token)?.outcome !== undefined, 'outcome-is-written', () => `${token} has no outcome`);
  };

  return {
    check,
    violation: () => violation,
    counts,
    incidents,
    reservations,
    breakers,
    inScope,
    noteScope,
    looked,
    sending,
    arrived,
    replied,
    started,
    committed,
    ended,
    promises,
    looksAgain,
    spent,
    groupIdOf,
    /** A function read its clock. The first time counts: others may see the same millisecond. */
    readClock: (wall: number) => {
      if (!readings.has(wall)) readings.set(wall, schedule.time());
    },
    vanish: (p: Patient) => void vanished.set(p.arn, schedule.time()),
    vanished,
    paused: (pause: Pause) => void pauses.push({ pause, time: schedule.time() }),
    resumed: (scope?: string) => {
      pauses = scope === undefined ? [] : pauses.filter((x) => x.pause.scope !== scope);
    },
    /** A later answer replaces an earlier one. */
    approved: (a: Omit<Approved, 'used'>) => {
      denials = denials.filter((d) => d.incident !== a.incident);
      approvals.push({ ...a, used: false });
    },
    denied: (d: { incident: string; step: string; until: number }) => {
      approvals = approvals.filter((a) => a.incident !== d.incident);
      denials = [...denials.filter((x) => x.incident !== d.incident), d];
    },
  };
};
export type Witness = ReturnType<typeof createWitness>;
