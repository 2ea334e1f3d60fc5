/**
 * The guards: each may refuse an act, with a reason that a person reads and what it would take to allow it. Pure, in the order of the design.
 * A guard that cannot decide refuses.
 */
import { messageOf } from './errors.ts';
import { type Incident, stepText } from './incident.ts';
import { issueText } from './issues.ts';
import { mayBeOne } from './people.ts';
import type { Policy, Settings } from './policy.ts';
import { type Facts, type Risk, riskOf } from './remediation.ts';
import { snoozeOf, snoozeText } from './snooze.ts';
import type { Chart, GroupRecord, Ledger, Pause, Switches } from './store.ts';
import { groupStorm, turn, zoneStorm } from './storm.ts';
import type { Target } from './target.ts';
import { days, hours, iso, minutes, span, type Time } from './time.ts';
import type { Act, Json } from './verdict.ts';
import { nextOpening, openUntil } from './windows.ts';

export interface Proposal {
  readonly now: Time;
  /** The account that Steward runs in. */
  readonly home: string;
  readonly target: Target;
  readonly remediation: {
    readonly name: string;
    readonly risk: Risk;
    readonly risks?: Readonly<Record<string, Risk>>;
    readonly inStorms?: false;
    readonly adds?: true;
  };
  readonly act: Act<Json>;
  /** The attempt that it puts back: recovery is never blocked by age, window, attempts, budget or breaker. */
  readonly undoes?: number;
  readonly facts: Facts;
  readonly incident: Incident;
  readonly chart: Chart;
  readonly group: GroupRecord;
  readonly switches: Switches;
  readonly ledger: Ledger;
  /** The zone's own record. */
  readonly zone?: GroupRecord | undefined;
  /** Members of the group newly in trouble within the breaker's time, this one included, by zone. Undefined: could not be counted. */
  readonly troubled: Readonly<Record<string, number>> | undefined;
  /** All that is newly in trouble in its zone. */
  readonly illInZone?: number | undefined;
  readonly policy: Policy;
  readonly settings: Settings;
}

/** What a refusal means for the incident. */
export type Consequence =
  /** Ask again at `again`. */
  | 'wait'
  /** A person must say yes or no to this step. */
  | 'ask'
  /** A person is told. */
  | 'escalate'
  /** It is none of Steward's business: the incident ends. */
  | 'not-ours';

export interface Refusal {
  readonly guard: string;
  readonly because: string;
  /** What it would take. */
  readonly remedy: string;
  readonly consequence: Consequence;
  readonly again: Time;
}
export interface Passed {
  readonly guard: string;
  readonly passed: string;
}
export type Finding = Refusal | Passed;
export const isRefusal = (f: Finding): f is Refusal => 'because' in f;

/** A guard answers why it passes (text), or refuses. */
type Guard = (p: Proposal) => string | Omit<Refusal, 'guard'>;

/** How often a refusal is asked again when no time is known. */
const ASK_AGAIN = minutes(5);
const wait = (p: Proposal, because: string, remedy: string, again = p.now + ASK_AGAIN) => ({
  because,
  remedy,
  consequence: 'wait' as const,
  again,
});
const escalate = (p: Proposal, because: string, remedy: string, again = p.now + minutes(15)) => ({
  because,
  remedy,
  consequence: 'escalate' as const,
  again,
});
const notOurs = (p: Proposal, because: string, remedy: string) => ({
  because,
  remedy,
  consequence: 'not-ours' as const,
  again: p.now,
});

/** The pause that holds for this target now, if there is one. */
export const pauseOf = (
  { pauses }: Switches,
  at: { readonly now: Time; readonly remediation: string; readonly target: string; readonly group: string | undefined },
): Pause | undefined => {
  const scopes = ['all', `remediation/${at.remediation}`, `target/${at.target}`, `group/${at.group}`];
  // Of a target whose group is not known, nobody can say that it is not the one that is paused.
  const names = (scope: string): boolean =>
    scopes.includes(scope) || (at.group === undefined && scope.startsWith('group/'));
  return pauses.find((p) => names(p.scope) && (p.until === undefined || p.until > at.now));
};
export const pauseText = ({ by, scope, until, why }: Pause): string =>
  `${by} paused ${scope} ${until === undefined ? 'until someone resumes it' : `until ${iso(until)}`}: ${why}`;

const onSwitch: Guard = (p) => {
  const pause = pauseOf(p.switches, {
    now: p.now,
    remediation: p.remediation.name,
    target: p.target.arn,
    group: p.facts.group?.id,
  });
  if (!pause) return 'nothing is paused';
  return wait(
    p,
    pauseText(pause),
    `steward resume ${pause.scope === 'all' ? '' : pause.scope}`.trim(),
    Math.min(pause.until ?? Number.POSITIVE_INFINITY, p.now + ASK_AGAIN),
  );
};

type Tags = Readonly<Record<string, string>>;

/** Whether the policy covers what carries these tags, and why. */
export const scopeOf = (
  { scope, tags }: Pick<Policy, 'scope' | 'tags'>,
  carried: Tags,
): { readonly covered: boolean; readonly because: string; readonly remedy: string } => {
  const ignored = carried[tags.ignore];
  if (ignored !== undefined && ignored.toLowerCase() !== 'false')
    return { covered: false, because: `it carries the tag ${tags.ignore}`, remedy: `remove the tag ${tags.ignore}` };
  if (scope === 'all')
    return { covered: true, because: 'the policy covers everything that is not excluded', remedy: '' };
  return carried[tags.managed]?.toLowerCase() === 'true'
    ? { covered: true, because: `it carries ${tags.managed}=true`, remedy: '' }
    : {
        covered: false,
        because: `it does not carry the tag ${tags.managed}=true`,
        remedy: `tag it ${tags.managed}=true`,
      };
};

/** Why the policy does not cover what carries these tags, and what it would take; undefined where it does. */
export const uncoveredBy =
  (policy: Pick<Policy, 'scope' | 'tags'>) =>
  (carried: Tags): string | undefined => {
    const { covered, because, remedy } = scopeOf(policy, carried);
    return covered ? undefined : `${because}; to let Steward act, ${remedy}`;
  };

const inScope: Guard = (p) => {
  if (p.target.account !== p.home && !p.policy.accounts.includes(p.target.account))
    return notOurs(
      p,
      `it is in account ${p.target.account}, which the policy does not name`,
      'add the account to `accounts` in steward.yml and deploy its roles',
    );
  if (p.facts.ours) return "it is Steward's own";
  if (p.facts.tags === undefined)
    return wait(p, 'its tags could not be read', 'grant the read permission, or wait until AWS answers');
  const { covered, because, remedy } = scopeOf(p.policy, p.facts.tags);
  return covered ? because : notOurs(p, because, remedy);
};

/** Finishing and putting back what was begun is nothing new: that is not snoozed. */
const awake: Guard = (p) => {
  const back = putsBack(p) ?? (p.act.continues ? 'it finishes what is under way' : undefined);
  if (back) return back;
  const snooze = snoozeOf(p.incident, p.now);
  if (!snooze) return 'nobody snoozed it';
  return wait(
    p,
    snoozeText(snooze),
    `nothing: it asks again at ${iso(snooze.until)}; to end it now: steward approve ${p.incident.id}, or deny`,
    snooze.until,
  );
};

const inMode: Guard = (p) => {
  const { incident, settings, act, now } = p;
  const step = stepText(act.step);
  if (incident.denied && incident.denied.step === step && incident.denied.until > now)
    return escalate(
      p,
      `${incident.denied.by} said no to it`,
      `it may be asked again after ${iso(incident.denied.until)}`,
      incident.denied.until,
    );
  const mode = settings.modes[riskOf(p.remediation, act.rung)];
  switch (mode) {
    case 'off':
      return notOurs(
        p,
        `the policy turns ${p.remediation.name} off`,
        `set remediations.${p.remediation.name}.mode in steward.yml`,
      );
    case 'watch':
      return wait(
        p,
        `the policy only lets ${p.remediation.name} watch: it would ${act.plan}`,
        `set remediations.${p.remediation.name}.mode to ask or act`,
        now + minutes(15),
      );
    case 'act':
      if (act.asks !== undefined) return allowed(p, `must approve it, for ${act.asks}`);
      return `the policy lets ${p.remediation.name} act`;
    case 'ask':
      return allowed(p, 'must approve it');
  }
};

/** By a person, or because it ends an interruption that one allowed. */
const allowed = (p: Proposal, must: string) =>
  (p.act.recovers && putsBack(p)) || (wished(p) ?? approved(p) ?? ask(p, must));

/** Who commands it asks for just this; what is to be decided beside it, another person decides. */
const wished = ({ incident, act }: Proposal): string | undefined =>
  incident.wish && act.asks === undefined ? `${incident.wish.by} asked for it` : undefined;

/** Who said yes to exactly this step, and may. */
const approved = ({ incident, act, now, policy }: Proposal): string | undefined => {
  const yes = incident.approval;
  const asker = incident.undoWanted?.by ?? incident.askedBy;
  return yes &&
    yes.step === stepText(act.step) &&
    yes.until > now &&
    !(asker !== undefined && mayBeOne(asker, yes.by, policy.links))
    ? `${yes.by} approved it`
    : undefined;
};

const ask = ({ incident, act, now }: Proposal, must: string) => {
  const asker = incident.undoWanted?.by ?? incident.askedBy;
  return {
    because: `a person${asker === undefined ? '' : ` other than ${asker}`} ${must}: ${act.plan}`,
    remedy: `steward approve ${incident.id}`,
    consequence: 'ask' as const,
    again: now + minutes(15),
  };
};

/** Recovery is never blocked by age, window, attempts, budget or breaker: why this is recovery, if it is. */
const putsBack = ({ undoes, act, incident }: Proposal): string | undefined => {
  if (undoes !== undefined) return 'it puts something back';
  return act.recovers && incident.attempts.some((a) => a.effect === 'effective')
    ? 'it ends an interruption that an earlier step began'
    : undefined;
};

const ofAge: Guard = (p) => {
  const back = putsBack(p);
  if (back) return back;
  const { lastAt } = p.incident.signals;
  const limit = minutes(p.policy.signalMaxAgeMinutes);
  if (lastAt - p.now > limit)
    return escalate(
      p,
      `the signal is dated ${span(lastAt - p.now)} in the future: a clock is wrong`,
      'set the clock of the sender, or of this account; a signal of the right time, or that time, lets it go on',
    );
  const age = p.incident.openedAt - lastAt;
  if (age > limit && p.incident.looks < 2)
    return wait(
      p,
      `the signal was ${span(age)} old when it came: a second look must agree`,
      'nothing: it looks again',
      p.now + minutes(1),
    );
  return age > limit ? 'the signal was old, but two looks agree' : `the signal was ${span(age)} old when it came`;
};

const inWindow: Guard = (p) => {
  const back = putsBack(p);
  if (back) return back;
  for (const w of p.policy.freeze) {
    const end = openUntil(w, p.now);
    if (end !== undefined)
      return wait(
        p,
        `a freeze holds until ${iso(end)}${w.why && `: ${w.why}`}`,
        'wait, or change `freeze` in steward.yml',
        end,
      );
  }
  if (riskOf(p.remediation, p.act.rung) === 'harmless' || p.policy.maintenance.length === 0) return 'no freeze';
  const open = p.policy.maintenance.some((w) => openUntil(w, p.now) !== undefined);
  if (open) return 'in a maintenance window';
  const next = nextOpening(p.policy.maintenance, p.now);
  return wait(
    p,
    'it interrupts, and this is outside the maintenance windows',
    next === undefined ? 'change `maintenance` in steward.yml' : `wait until ${iso(next)}`,
    next,
  );
};

/** More attempts than any ladder has rungs: the incident goes round in circles. */
const MOST_ATTEMPTS = 40;
/** DynamoDB keeps 400 KB an item: what is left is for the log, and for putting back. Characters of JSON. */
const MOST_TEXT = 150_000;

const hasAttempts: Guard = (p) => {
  const back = putsBack(p);
  if (back) return back;
  if (p.incident.attempts.length >= MOST_ATTEMPTS)
    return escalate(
      p,
      `${p.incident.attempts.length} attempts did not end it`,
      'end it by hand: this incident acts no more',
    );
  if (JSON.stringify(p.incident.attempts).length > MOST_TEXT)
    return escalate(
      p,
      `the record of its ${p.incident.attempts.length} attempts is as long as it may become`,
      'end it by hand: this incident acts no more',
    );
  const lately = p.chart.recent.filter((d) => d.remediation === p.remediation.name && d.at > p.now - hours(24));
  const step = stepText(p.act.step);
  const same = lately.findLast((d) => d.step === step);
  const undone = same && lately.find((d) => d.incident === same.incident && d.rung === 'undo' && d.at >= same.at);
  if (undone)
    return escalate(
      p,
      `it was done at ${iso(same.at)}, and put back at ${iso(undone.at)}`,
      'do it by hand, if it is wanted now; Steward may do it again 24 h after',
    );
  if (same)
    return escalate(
      p,
      `the very same was done at ${iso(same.at)} and did not last: something else undoes it`,
      'find what undoes it (CloudTrail, the host’s own jobs); it may run again 24 h after',
    );
  if (p.act.continues) return 'it finishes the attempt before it';
  const counted = lately.filter((d) => d.counted);
  const limit = p.settings.attemptsPerDay;
  if (counted.length >= limit) {
    const again = (counted[0]?.at ?? p.now) + hours(24);
    return escalate(
      p,
      `${counted.length} attempts in 24 h are as many as the policy allows (${limit})`,
      `end it by hand, or raise remediations.${p.remediation.name}.attemptsPerDay; the next is allowed at ${iso(again)}`,
      again,
    );
  }
  // Climbing to another rung after a look is not the same thing again: the cool-down holds for one rung.
  const before = counted.filter((d) => d.rung === p.act.rung);
  const last = before.at(-1);
  const rest = minutes(p.settings.coolDownMinutes) * 2 ** Math.max(0, before.length - 1);
  if (last && p.now < last.at + rest)
    return wait(
      p,
      `${p.act.rung} was tried ${span(p.now - last.at)} ago: it cools down for ${span(rest)}`,
      'nothing: it goes on by itself',
      last.at + rest,
    );
  return `attempt ${counted.length + 1} of ${limit} in 24 h`;
};

/** At least one, else at most `percent` of the group and at most `max`. */
export const allowedRepairs = (size: number, budget: { max: number; percent: number }): number =>
  Math.max(1, Math.min(budget.max, Math.floor((size * budget.percent) / 100)));

const inBudget: Guard = (p) => {
  const back = putsBack(p);
  if (back) return back;
  if (p.remediation.adds) return 'it takes nobody out of service';
  const { group } = p.facts;
  if (!group) return wait(p, 'its group could not be seen', 'grant the read permission, or wait until AWS answers');
  if (!Number.isInteger(group.size) || group.size < 1)
    return wait(p, `its group ${group.id} counts ${group.size} members, which cannot be`, 'look at the group');
  const others = Object.entries(p.group.repairs).filter(([arn]) => arn !== p.target.arn);
  const allowed = allowedRepairs(group.size, p.settings.budget);
  const count = `${others.length} of ${group.size} in ${group.id} under repair, ${allowed} allowed`;
  if (others.length < allowed) return count;
  return wait(
    p,
    `${count} (${p.settings.budget.percent} %, at most ${p.settings.budget.max})`,
    `wait until ${others
      .map(([arn]) => arn.split('/').at(-1))
      .slice(0, 3)
      .join(', ')} is healthy, or raise remediations.${p.remediation.name}.budget`,
    p.now + minutes(2),
  );
};

/** Never the last serving member of a group, unless a person says so. Those under repair may be interrupted any moment: they do not count. */
const othersServe: Guard = (p) => {
  const back = putsBack(p);
  if (back) return back;
  if (riskOf(p.remediation, p.act.rung) === 'harmless') return 'it interrupts nothing';
  const { serving } = p.facts;
  if (serving === undefined)
    return wait(
      p,
      'which of its group serve could not be seen',
      'grant the read permission, or wait until AWS answers',
    );
  if (serving === 'alone') return 'it stands alone: nothing else serves in its place, and nothing else is at stake';
  if (!serving.self) return 'it does not serve';
  const others = serving.others.filter((arn) => arn !== p.target.arn && !p.group.repairs[arn]);
  if (others.length > 0) return `${others.length} others of ${p.facts.group?.id} serve`;
  return approved(p) ?? ask(p, `must approve it, for no other member of ${p.facts.group?.id} serves now`);
};

const breakerClosed: Guard = (p) => {
  const back = putsBack(p);
  if (back) return back;
  if (p.act.continues) return 'it finishes what is under way';
  if (p.remediation.inStorms === false)
    return standsBack(p) ?? 'what it ends is no illness, so many of it are no storm';
  if (p.troubled === undefined)
    return wait(p, 'how many of its group are in trouble could not be counted', 'wait until the state table answers');
  // The zone's first: it is the wider cause, and whoever is told of it need not be told of each group.
  const storm =
    (p.zone && stormy(p, p.zone, zoneStorm(p), p.illInZone ?? 1)) ??
    stormy(
      p,
      p.group,
      groupStorm({ ...p, group: p.facts.group }),
      Object.values(p.troubled).reduce((a, b) => a + b, 0),
    );
  return storm ?? standsBack(p) ?? `no storm in its group or its zone${unheard(p)}`;
};

/** AWS is at work there itself: what is rebooted, moved or launched meanwhile may not come up again. No person is asked for that either. */
const standsBack = (p: Proposal) => {
  const { issue } = p.facts;
  if (!issue || 'unknown' in issue || riskOf(p.remediation, p.act.rung) === 'harmless') return undefined;
  return escalate(
    p,
    `${issueText(issue)}: Steward stands back until it is closed`,
    `nothing: it goes on by itself; what cannot wait, do by hand: ${p.act.plan}`,
    p.now + ASK_AGAIN,
  );
};
/** Not known is not none; but AWS Health is in one region for all, and must not hold up the others. */
const unheard = ({ facts: { issue } }: Proposal): string =>
  issue && 'unknown' in issue ? `; whether AWS has an issue there is not known (${issue.unknown})` : '';

const stormy = (p: Proposal, record: GroupRecord, now: string | undefined, ill: number) => {
  const clear = minutes(p.policy.breaker.clearMinutes);
  const { breaker } = record;
  const open = breaker && p.now < breaker.lastSeenAt + clear ? breaker : undefined;
  const again = turn(
    p.incident.id,
    { ill: Math.max(ill, open?.ill ?? 0), since: open?.since ?? p.now },
    p.now,
    p.policy,
  );
  if (now)
    return {
      because: `${now}: that has one cause, and repairing each would hide it`,
      remedy: `find the common cause; it resumes ${p.policy.breaker.clearMinutes} min after it is over`,
      consequence: open ? ('wait' as const) : ('escalate' as const),
      again,
    };
  if (open)
    return wait(
      p,
      `${open.because}; that must have been over for ${span(clear)}`,
      'nothing: it goes on by itself',
      Math.min(again, open.lastSeenAt + clear),
    );
  return undefined;
};

const inCost: Guard = (p) => {
  if (!p.act.cost) return 'it costs nothing';
  const { usdPerMonth, what } = p.act.cost;
  if (!Number.isFinite(usdPerMonth)) return escalate(p, `the price of ${what} is not known`, 'do it by hand');
  const sum = p.ledger.usdPerMonth + usdPerMonth;
  const words = `$${usdPerMonth.toFixed(2)} a month for ${what}; $${sum.toFixed(2)} added this month, $${p.settings.costCapUsdPerMonth} allowed`;
  return sum <= p.settings.costCapUsdPerMonth
    ? words
    : escalate(
        p,
        `it would cost ${words}`,
        `raise remediations.${p.remediation.name}.costCapUsdPerMonth, or do it by hand`,
      );
};

const leaseFree: Guard = (p) => {
  const { lease } = p.chart;
  if (!lease || lease.incident === p.incident.id) return 'no one else is at work on it';
  return wait(
    p,
    `${lease.remediation} is at work on it (incident ${lease.incident})`,
    'nothing: it goes on when that is done',
    p.now + ASK_AGAIN,
  );
};

const guards: readonly (readonly [string, Guard])[] = [
  ['switch', onSwitch],
  ['scope', inScope],
  ['snooze', awake],
  ['mode', inMode],
  ['age', ofAge],
  ['window', inWindow],
  ['attempts', hasAttempts],
  ['budget', inBudget],
  ['serving', othersServe],
  ['breaker', breakerClosed],
  ['cost', inCost],
  ['lease', leaseFree],
];
export const guardNames: readonly string[] = guards.map(([name]) => name);

/** Every guard's finding, in order. The first refusal decides. */
export const findings = (p: Proposal): readonly Finding[] =>
  guards.map(([guard, check]) => {
    try {
      const said = check(p);
      return typeof said === 'string' ? { guard, passed: said } : { guard, ...said };
    } catch (e) {
      return {
        guard,
        because: `it could not be decided: ${messageOf(e)}`,
        remedy: 'mend what the message names',
        consequence: 'escalate',
        again: p.now + minutes(15),
      };
    }
  });

/** How long closed business is kept on a chart: what the attempts guard looks back to. */
export const CHART_MEMORY = days(1);
