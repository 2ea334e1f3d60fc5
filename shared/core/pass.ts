/**
 * One pass over one incident: observe → verdict → guards → reserve → act → settle. Everything Steward does is passes.
 *
 * Level-triggered: the signal only says where to look. Write down, then do, then look: a step is reserved (with its token, the lease, the
 * budget) in one transaction before it runs, and an incident closes only when a later, fresh look is healthy. A crash anywhere is a pass
 * that ended early: the next one finds either nothing reserved, or a reserved attempt without an outcome, which it counts and never repeats.
 */
import { Conflict, Forbidden, InvalidInput, NotFound, onlyConflict, StewardError } from './errors.ts';
import { commitOutcome, propose, type Reservation, reserve, stormChange } from './gate.ts';
import { groupIdOf } from './group.ts';
import { type Finding, isRefusal, type Refusal, uncoveredBy } from './guards.ts';
import { type Attempt, DUE_SLACK, type Incident, logged, openedBy, stepText, withAttempt } from './incident.ts';
import type { Settings } from './policy.ts';
import type { Ports } from './ports.ts';
import { trusts } from './principal.ts';
import { noReleases, type Releases } from './releases.ts';
import type { Assessment, Facts } from './remediation.ts';
import type { Signal } from './signal.ts';
import { dozing, snoozeOf, woken } from './snooze.ts';
import { nextLook, start } from './step.ts';
import { type Breaker, type Change, type Chart, type GroupRecord, noChart, type Switches } from './store.ts';
import { fraction, openStorm, readPlaces, turn, weatherAt, zoneOfGroup } from './storm.ts';
import { idOf } from './target.ts';
import { hours, iso, minutes, seconds, type Time } from './time.ts';
import { afterUndo, undoing } from './undo.ts';
import type { Json, Verdict } from './verdict.ts';
import type { Answer, Deps, Standing, Work } from './work.ts';
import { attemptsIn, isZoneTold, toldIn } from './zoneTold.ts';

export type { Answer, Deps, Work } from './work.ts';

/** A pass is over after this: the function's time limit and a margin for clocks. An attempt older than that has lost its pass. */
export const PASS_LIMIT = minutes(3);
/** Blind for so long: a person is told. */
const BLIND_LIMIT = minutes(15);
/** How often an incident that waits for a person is looked at. */
const IDLE_LOOK = minutes(15);
/** A signal that waited so long has many behind it: then the first look is the cheap one. */
const BUSY = seconds(10);
/** So many proofs that AWS did nothing, and a person is told. */
const TRANSIENT_LIMIT = 8;

/** What a pass holds while it runs. */
interface Pass {
  readonly work: Work;
  readonly deps: Deps;
  readonly now: Time;
  readonly settings: Settings;
  readonly chart: Chart;
  readonly switches: Switches;
  readonly releases: Releases;
  /** Asked for while the record was read. */
  readonly session: Promise<Ports> | undefined;
  /** The incident as it is stored, if it is. */
  readonly stored: Incident | undefined;
  readonly incident: Incident;
  /** The storm that it belonged to when the pass began. */
  readonly storm?: Breaker | undefined;
}

const answer = (p: Pass, incident: Incident, verdict: Verdict, rest: Partial<Answer> = {}): Answer => ({
  target: p.work.target.arn,
  remediation: p.work.remediation.name,
  ...(incident.version > 0 || !p.work.explain ? { incident: incident.id } : {}),
  ...(incident.seen === undefined ? {} : { seen: incident.seen }),
  verdict,
  state: incident.state,
  attempts: incident.attempts.length,
  opened: p.stored === undefined,
  due: { at: incident.dueAt, moved: incident.dueAt !== p.incident.dueAt },
  at: {
    signalled: incident.signals.firstAt,
    opened: incident.openedAt,
    ...(incident.actedAt === undefined ? {} : { acted: incident.actedAt }),
    ...(incident.closedAt === undefined ? {} : { closed: incident.closedAt }),
  },
  ...(incident.end ? { end: incident.end } : {}),
  ...rest,
});

/** The same event twice changes nothing; another one is counted. */
const heard = (incident: Incident, signal: Signal | undefined, now: Time): Incident => {
  if (!signal || signal.kind === 'target.changed' || signal.eventId === incident.signals.lastEventId) return incident;
  const { author: _, ...signals } = incident.signals;
  return {
    ...logged(incident, now, 'signal', signal.cause),
    signals: {
      ...signals,
      count: signals.count + 1,
      cause: signal.cause,
      ...(signal.author === undefined ? {} : { author: signal.author }),
      // A date in the future is no date: the next signal says when.
      lastAt: signals.lastAt > now ? signal.at : Math.max(signals.lastAt, signal.at),
      lastEventId: signal.eventId,
    },
  };
};

/** A signal that opens nothing, or an incident that is over: there is nothing to do. */
const idle = (work: Work, because: string): Answer => ({
  target: work.target.arn,
  remediation: work.remediation.name,
  verdict: { do: 'nothing', because },
  state: 'none',
  attempts: 0,
  opened: false,
});

const reasonToRest = (work: Work, deps: Deps, current: Incident | undefined): string | undefined => {
  // Not even looked at: a signal from anywhere must not make Steward knock at accounts that nobody gave it.
  if (!isOurs(work, deps))
    return `it is in account ${work.target.account}, which \`accounts\` in steward.yml does not name`;
  if (!current) return reasonToOpenNone(work);
  return work.due !== undefined && current.dueAt !== work.due ? 'a newer look is under way' : undefined;
};

const reasonToOpenNone = ({ signal, waited = 0 }: Work): string | undefined => {
  if (signal === undefined) return 'the incident is over';
  if (signal.kind === 'target.changed') return 'nothing of it is open';
  return signal.routine && waited > BUSY ? 'many signals wait: a survey comes back to it' : undefined;
};

const isOurs = ({ target: { account } }: Work, { home, policy }: Deps): boolean =>
  account === home || policy.accounts.includes(account);

const lookSession = ({ remediation, target }: Work, { reach }: Deps): Promise<Ports> =>
  reach(remediation, target, { phase: 'look', touched: [] });

/** What is signalled is looked at: its session is asked for while the record is read. What only may have changed mostly is nobody's. */
const sessionAhead = (work: Work, deps: Deps): Promise<Ports> | undefined => {
  if (!work.signal || work.signal.kind === 'target.changed' || !isOurs(work, deps)) return undefined;
  const session = lookSession(work, deps);
  // A pass that ends before it looks needs none; one that looks sees the fault.
  session.catch(() => {});
  return session;
};

const known = async ({ target: { arn: target }, remediation }: Work, { store }: Deps) => {
  const [chart, switches, ...more] = await store.read(
    { kind: 'chart', target },
    { kind: 'switches' },
    ...(remediation.readsReleases ? [{ kind: 'releases' as const, target }] : []),
  );
  return {
    chart: chart ?? noChart(target),
    switches: switches ?? { kind: 'switches' as const, version: 0, pauses: [] },
    releases: more[0] ?? noReleases(target),
  };
};

/** What the pass is about: what is open, having heard the signal, or what the signal opens. */
const incidentOf = (work: Work, current: Incident | undefined, deps: Deps, now: Time): Incident => {
  const incident = current
    ? woken(heard(current, work.signal, now), now)
    : openedBy(work.signal as Signal, deps.newId(), work.remediation.name, now);
  return work.wish && work.explain ? { ...incident, wish: work.wish } : incident;
};

/** Runs one pass. @throws StateUnusable, Conflict, Throttled, Unavailable of the state table: the queue brings the message again */
export const pass = async (work: Work, deps: Deps): Promise<Answer> => {
  const now = deps.now();
  const { target, remediation } = work;
  const settings = deps.policy.remediations[remediation.name];
  if (!settings) throw new InvalidInput(`the deployed policy knows no remediation ${remediation.name}: deploy again`);
  const session = sessionAhead(work, deps);
  const { chart, switches, releases } = await known(work, deps);
  const id = chart.open[remediation.name] ?? work.incident;
  const [stored] = id === undefined ? [undefined] : await deps.store.read({ kind: 'incident', target: target.arn, id });
  const current = stored?.state === 'closed' ? undefined : stored;
  const nothing = reasonToRest(work, deps, current);
  if (nothing !== undefined) return idle(work, nothing);
  const incident = incidentOf(work, current, deps, now);
  const p: Pass = {
    work,
    deps,
    now,
    settings,
    chart,
    switches,
    releases,
    stored: current,
    incident,
    session,
  };

  const last = incident.attempts.at(-1);
  if (last && !last.outcome && now < last.reservedAt + PASS_LIMIT) {
    const until = last.reservedAt + PASS_LIMIT;
    return answer(
      p,
      incident,
      { do: 'wait', until, because: `attempt ${last.n} is being started by another pass` },
      { lookAgainAt: until },
    );
  }
  const counted = last && !last.outcome ? lost(incident, last, now) : incident;
  const q: Pass = { ...p, incident: counted, storm: await stormOf(p) };
  return (await withoutLook(q)) ?? (isUnplaced(q) ? placeAndLook(q) : lookAndDecide(q));
};

/** The pass that reserved it never came back: what it did is unknown, so it is counted, looked at, and never blindly repeated. */
const lost = (incident: Incident, attempt: Attempt, now: Time): Incident =>
  logged(
    withAttempt(incident, {
      ...attempt,
      outcome: { kind: 'ambiguous', at: now, because: 'the pass that reserved it did not come back' },
    }),
    now,
    'outcome',
    `attempt ${attempt.n} (${attempt.plan}): its pass did not come back, so it may or may not have happened`,
  );

// ---- storms -----------------------------------------------------------------------------------------------------------------------------

/** What was begun is seen to its end, and a person who commands is answered, storm or not. */
const mayBeHeld = ({ work, incident }: Pass): boolean =>
  work.remediation.inStorms !== false &&
  !work.explain &&
  incident.attempts.length === 0 &&
  !incident.approval &&
  !incident.undoWanted &&
  !incident.askedBy;

const stormOf = async (p: Pass): Promise<Breaker | undefined> => {
  const { group, zone } = p.incident;
  if (group === undefined || !mayBeHeld(p)) return undefined;
  return openStorm(await readPlaces(p.deps.store, group, zone), p.now, p.deps.policy);
};

/** A pass that need not look: its target is one of a storm and it is not its turn, or so many wait that counting them comes first. */
const withoutLook = async (p: Pass): Promise<Answer | undefined> => {
  const { work, stored, storm, incident, now, deps } = p;
  if (!stored) return (work.waited ?? 0) > BUSY && mayBeHeld(p) ? triage(p) : undefined;
  // Another alarm about what waits for its look already: it is one of very many, and would see the same.
  if (work.signal && work.signal.kind !== 'target.changed' && (work.waited ?? 0) > BUSY && mayBeHeld(p))
    return answer(
      p,
      stored,
      { do: 'wait', until: stored.dueAt, because: stored.because },
      { lookAgainAt: stored.dueAt },
    );
  if (!storm || work.signal?.kind === 'target.changed') return undefined;
  // Another alarm about it is no news, and costs nothing.
  if (work.signal)
    return answer(
      p,
      stored,
      { do: 'wait', until: stored.dueAt, because: stormText(storm) },
      { lookAgainAt: stored.dueAt },
    );
  return incident.held ? undefined : hold(p, storm, turn(incident.id, storm, now, deps.policy));
};

const STORM_REMEDY = 'find the common cause; each goes on when it is over';
const stormText = ({ because }: Pick<Breaker, 'because'>): string => `breaker: ${because}: that has one cause`;

/** Written down as one of a storm, not looked at. */
const hold = (
  p: Pass,
  { because }: Pick<Breaker, 'because'>,
  until: Time,
  also: readonly Change[] = [],
): Promise<Answer> => {
  const text = stormText({ because });
  const held: Incident = {
    ...logged(p.incident, p.now, 'refused', text),
    state: 'refused',
    because: text,
    remedy: STORM_REMEDY,
    held: true,
  };
  return rest(p, held, { do: 'wait', until, because: text }, until, {}, also);
};

/** Thousands of signals wait: it is counted where it stands before anything is looked into. What is not there, or not covered, is left to a look. */
const triage = async (p: Pass): Promise<Answer | undefined> => {
  const found = await counted(p);
  if (found === undefined) return undefined;
  if (found instanceof StewardError) return itsTurn(p);
  return 'verdict' in found ? found : itsTurn(found);
};

/** Nobody could ask yet where it stands: whether it is one of a storm is not known. */
const isUnplaced = (p: Pass): boolean =>
  p.stored !== undefined && p.incident.looks === 0 && p.incident.group === undefined && mayBeHeld(p);

/** One that may be of a storm is not looked into, and nobody told that it cannot be seen, before that is known. */
const placeAndLook = async (p: Pass): Promise<Answer> => {
  const found = await counted(p);
  if (found instanceof StewardError) return blind(p, found);
  return found && 'verdict' in found ? found : lookAndDecide(found ?? p);
};

/** Where it stands, and the storm there: held as one of it, else the pass that knows its place. An error: it cannot be asked now. */
const counted = async (p: Pass): Promise<Answer | Pass | StewardError | undefined> => {
  const { work, deps, incident, now } = p;
  const standing = await standingOf(p);
  if (standing instanceof StewardError) return standing;
  if (!standing || uncoveredBy(deps.policy)(standing.tags) !== undefined) return undefined;
  const group = groupIdOf(standing.tags, idOf(work.target), deps.policy.tags.group);
  const { zone } = standing;
  const q: Pass = { ...p, incident: { ...incident, group, zone } };
  const weather = await weatherAt(
    deps.store,
    { target: work.target.arn, openedAt: incident.openedAt, group: { id: group, zones: {} }, zone },
    { now, policy: deps.policy },
  );
  // How many its group has is not known here: a storm of the group shows when one of it is to be repaired.
  const change = stormChange(weather, undefined, now, deps.policy);
  const open = openStorm(weather, now, deps.policy);
  if (change?.breaker && !open && !(await isToldBy(q, change))) return tellStorm(q, change.breaker, change);
  if (change?.breaker && !open)
    return hold(q, change.breaker, turn(incident.id, change.breaker, now, deps.policy), [{ put: change }]);
  return open ? hold(q, open, turn(incident.id, open, now, deps.policy), change ? [{ put: change }] : []) : q;
};

/** AWS throttles: that is no reason to ask it for more. */
const standingOf = async ({ deps, work }: Pass): Promise<Standing | StewardError | undefined> => {
  try {
    return await deps.place?.(work.remediation, work.target);
  } catch (e) {
    if (!(e instanceof StewardError) || e instanceof NotFound) throw e;
    return e.retry === 'later' ? e : undefined;
  }
};

const itsTurn = (p: Pass): Promise<Answer> => {
  const until = p.now + Math.max(minutes(1), 4 * (p.work.waited ?? 0)) * (0.5 + fraction(p.incident.id));
  const because = 'many signals wait: it is looked at when it is its turn';
  return rest(p, { ...p.incident, state: 'waiting', because }, { do: 'wait', until, because }, until);
};

/** A storm of a zone whose own incident a person was told of is written down, and told no second time. */
const isToldBy = async ({ deps, work }: Pass, { id }: GroupRecord): Promise<boolean> => {
  const zone = zoneOfGroup(id);
  return zone !== undefined && isZoneTold(deps.store, { account: deps.home, region: work.target.region }, zone);
};

/** Whoever writes a storm down first tells a person, both in one transaction. */
const tellStorm = (p: Pass, breaker: Breaker, record: GroupRecord): Promise<Answer> => {
  const reason = { because: stormText(breaker), remedy: STORM_REMEDY };
  const until = turn(p.incident.id, breaker, p.now, p.deps.policy);
  return rest(p, { ...escalated(p.incident, reason, p.now), held: true }, { do: 'escalate', ...reason }, until, {}, [
    { put: record },
  ]);
};

/** A member of a storm that was looked at and may not act now: the storm is counted again, and nobody is told of each of its members. */
const inStorm = async (p: Pass, facts: Facts, until: Time): Promise<Answer> => {
  const { deps, now, incident } = p;
  const place = { target: p.work.target.arn, openedAt: incident.openedAt, group: facts.group, zone: facts.zone };
  const weather = await weatherAt(deps.store, place, { now, policy: deps.policy });
  const change = stormChange(weather, facts.group, now, deps.policy);
  const storm = change?.breaker ?? openStorm(weather, now, deps.policy) ?? (p.storm as Breaker);
  const next = Math.max(until, turn(incident.id, storm, now, deps.policy));
  if (change) await deps.store.write({ put: change }).catch(onlyConflict);
  return hold(p, storm, next);
};

const NO_FACTS: Facts = { tags: undefined, group: undefined, zone: undefined };

const lookAndDecide = async (p: Pass): Promise<Answer> => {
  const { work, deps, now } = p;
  let assessed: Assessment;
  try {
    const ports = await (p.session ?? lookSession(work, deps));
    const look = {
      now,
      openedAt: p.incident.openedAt,
      attempts: p.incident.attempts,
      options: p.settings.options,
      tags: deps.policy.tags,
      signal: p.incident.signals,
      releases: p.releases,
      toldOf: toldIn(deps.store, { account: deps.home, region: work.target.region }),
      attemptsOf: attemptsIn(deps.store),
      wish: p.incident.wish,
      atWork: atWork(p),
      declared: deps.policy,
      trustsAnyone: deps.policy.trusted.length > 0,
      trusts: (author: string) => trusts(deps.policy.trusted, author),
      uncovered: uncoveredBy(deps.policy),
    };
    assessed = await work.remediation.assess(work.target, ports, look);
  } catch (e) {
    return blind(p, e);
  }
  // Before what follows from it: whoever comes after a crash goes by it.
  await keepReleases(p, assessed);
  const { blindSince: _, held: _held, ...sighted } = p.incident;
  const seen = noteEffect(noteSeen(sighted, assessed, now), assessed, now);
  const verdict = undoing(work.remediation, seen) ?? afterUndo(seen, assessed.healthy) ?? assessed.verdict;
  // A look takes seconds: what follows is decided, reserved and timed from its end.
  return conclude({ ...p, now: deps.now(), incident: seen }, verdict, assessed);
};

const keepReleases = async ({ work, deps }: Pass, { releases }: Assessment): Promise<void> => {
  if (releases && !work.explain) await deps.store.write({ put: releases });
};

/** The lease says it; one that is over counts until it ends, for nobody gives it back. */
const atWork = ({ chart: { lease }, incident, now }: Pass): string | undefined =>
  lease && lease.incident !== incident.id && lease.until > now ? lease.remediation : undefined;

const noteSeen = (incident: Incident, { seen, facts, healthy }: Assessment, now: Time): Incident => ({
  ...logged(incident, now, 'seen', seen),
  seen,
  looks: incident.looks + 1,
  // The breaker counts by group: only what is really in trouble is counted.
  ...(facts.group && !healthy ? { group: facts.group.id, groupSize: facts.group.size } : {}),
  ...(facts.zone && !healthy ? { zone: facts.zone } : {}),
});

const noteEffect = (incident: Incident, { attempts }: Assessment, now: Time): Incident => {
  const last = attempts.at(-1);
  if (!last?.effect || incident.attempts.at(-1)?.effect === last.effect) return incident;
  return logged(withAttempt(incident, last), now, 'effect', `attempt ${last.n} (${last.plan}) was ${last.effect}`);
};

/** Nothing could be seen. Unknown is never healthy: wait, then tell a person. */
const blind = (p: Pass, e: unknown): Promise<Answer> => {
  if (!(e instanceof StewardError) || e instanceof Conflict) throw e;
  if (e instanceof NotFound)
    return conclude(p, { do: 'nothing', because: `it no longer exists: ${e.message}` }, undefined, 'gone');
  const since = p.incident.blindSince ?? p.now;
  const incident = { ...p.incident, blindSince: since };
  const waits = e.retry === 'later' && p.now - since < BLIND_LIMIT;
  const verdict: Verdict = waits
    ? {
        do: 'wait',
        // Each at another time: what AWS throttles because many ask would else be asked by as many again.
        until: p.now + Math.min(minutes(5), seconds(30) + (p.now - since)) * (0.5 + fraction(p.incident.id)),
        because: `it cannot be seen: ${e.message}`,
      }
    : { do: 'escalate', because: `it cannot be seen: ${e.message}`, remedy: remedyOf(e) };
  return conclude({ ...p, incident }, verdict, undefined);
};

const remedyOf = (e: StewardError): string =>
  e instanceof Forbidden
    ? 'grant what the message names: `steward doctor` lists what is missing'
    : e.retry === 'later'
      ? 'look whether AWS or the host answers at all'
      : 'mend what the message names';

const conclude = async (
  p: Pass,
  verdict: Verdict,
  assessed: Assessment | undefined,
  gone?: 'gone',
): Promise<Answer> => {
  const { now, incident } = p;
  if (p.storm && (verdict.do === 'wait' || verdict.do === 'escalate'))
    return inStorm(p, assessed?.facts ?? NO_FACTS, verdict.do === 'wait' ? verdict.until : now);
  switch (verdict.do) {
    case 'close':
      return finish(p, { ...incident, end: incident.undoWanted ? 'undone' : 'healthy', healthyAt: now }, verdict);
    case 'nothing':
      return finish(p, { ...incident, end: gone ?? 'not-ours' }, verdict);
    case 'wait':
      return rest(
        p,
        { ...incident, state: verdict.idle ? 'open' : 'waiting', because: verdict.because },
        verdict,
        verdict.until,
      );
    case 'escalate':
      return rest(p, told(incident, verdict, now), verdict, againWhen(incident, now));
    case 'act':
      return tryToAct(p, verdict, assessed);
  }
};

const escalated = (
  incident: Incident,
  { because, remedy }: { because: string; remedy: string },
  now: Time,
): Incident => ({
  ...logged(incident, now, 'escalated', `${because}. What to do: ${remedy}`),
  state: 'escalated',
  because,
  remedy,
  escalatedAt: incident.escalatedAt ?? now,
});

/** A person is told, unless somebody snoozed it. */
const told = (incident: Incident, reason: { because: string; remedy: string }, now: Time): Incident =>
  snoozeOf(incident, now) ? dozing(incident, reason, now) : escalated(incident, reason, now);

/** The next look at what waits for a person; at the end of a snooze at the latest. */
const againWhen = (incident: Incident, now: Time): Time =>
  Math.min(now + IDLE_LOOK, snoozeOf(incident, now)?.until ?? Number.POSITIVE_INFINITY);

/** The incident is over; with it end its lease and its place in the budget. */
const finish = async (p: Pass, ended: Incident, verdict: Verdict): Promise<Answer> => {
  const { ask: _ask, approval: _approval, remedy: _remedy, snooze: _snooze, ...kept } = ended;
  const incident = logged(
    { ...kept, state: 'closed', because: verdict.because, closedAt: p.now },
    p.now,
    'closed',
    `${ended.end}: ${verdict.because}`,
  );
  // A routine look that finds nothing wrong is no incident, and neither is a signal about what is not there.
  const nothing = p.work.signal?.routine === true || (ended.end === 'gone' && ended.signals.author === undefined);
  const silent = p.stored === undefined && nothing && ended.attempts.length === 0;
  if (!p.work.explain && !silent) await p.deps.store.write({ put: incident });
  return answer(p, incident, verdict);
};

/** Nothing is done now. Written only where it is news: a look that sees the same costs no write. */
const rest = async (
  p: Pass,
  incident: Incident,
  verdict: Verdict,
  until: Time,
  extra: Partial<Answer> = {},
  also: readonly Change[] = [],
): Promise<Answer> => {
  const lookAgainAt = Math.max(until, p.now + seconds(1));
  const lined = verdict.do === 'wait' ? logged(incident, p.now, 'waiting', verdict.because) : incident;
  const due = keepDue(lined.dueAt, lookAgainAt);
  const saved = { ...lined, dueAt: due };
  if (!p.work.explain && (also.length > 0 || isNews(p.stored, p.incident, saved))) {
    await p.deps.store.write({ put: saved }, ...pointerTo(p.chart, saved), ...also);
  }
  return answer(p, saved, verdict, { lookAgainAt, ...extra });
};

/** The due index is written only when it must be: a due time that is a little late is good enough, the queue's message comes first. */
const keepDue = (dueAt: Time, lookAgainAt: Time): Time =>
  dueAt >= lookAgainAt && dueAt <= lookAgainAt + minutes(10) ? dueAt : lookAgainAt + DUE_SLACK;

/** @param seen the incident after the look: what it saw alone is no news */
const isNews = (stored: Incident | undefined, seen: Incident, after: Incident): boolean =>
  stored === undefined ||
  stored.dueAt !== after.dueAt ||
  stored.state !== after.state ||
  stored.attempts !== after.attempts ||
  seen.log !== after.log ||
  stored.blindSince !== after.blindSince ||
  stored.snooze !== after.snooze ||
  stored.signals.lastEventId !== after.signals.lastEventId ||
  stepText((stored.ask?.step ?? null) as Json) !== stepText((after.ask?.step ?? null) as Json);

/** A new incident is named on its target's chart in the same transaction: two signals open one incident. */
const pointerTo = (chart: Chart, incident: Incident) =>
  chart.open[incident.remediation] === incident.id
    ? []
    : [{ put: { ...chart, open: { ...chart.open, [incident.remediation]: incident.id } } }];

const tryToAct = async (
  p: Pass,
  act: Extract<Verdict, { do: 'act' }>,
  assessed: Assessment | undefined,
): Promise<Answer> => {
  const { deps, work, now, incident } = p;
  const undo = act.rung === 'undo' ? (act.step as { undo: number }).undo : undefined;
  const putOff = incident.attempts.filter((a) => a.outcome?.kind === 'transient' && a.outcome.at > now - hours(24));
  if (putOff.length >= TRANSIENT_LIMIT)
    return conclude(
      p,
      {
        do: 'escalate',
        because: `AWS put it off ${TRANSIENT_LIMIT} times within 24 h: ${putOff.at(-1)?.outcome?.because}`,
        remedy: `look at the account’s limits; it is tried again after ${iso((putOff[0]?.outcome?.at ?? now) + hours(24))}`,
      },
      assessed,
    );
  const reservation = await propose(deps.store, {
    now,
    home: deps.home,
    target: work.target,
    remediation: work.remediation,
    act,
    ...(undo === undefined ? {} : { undoes: undo }),
    facts: assessed?.facts ?? NO_FACTS,
    incident,
    chart: p.chart,
    switches: p.switches,
    policy: deps.policy,
    settings: p.settings,
  });
  const refusal = reservation.findings.find(isRefusal);
  const guards = reservation.findings;
  if (refusal) return refused(p, act, reservation, refusal);
  if (work.explain) return answer(p, incident, act, { guards });

  let reserved: Incident;
  try {
    reserved = await reserve(deps.store, reservation, assessed?.before ?? null);
  } catch (e) {
    // A new incident is not written yet, so the message must come again.
    if (!(e instanceof Conflict) || incident.version === 0) throw e;
    // Decided on what is no longer so: nothing was reserved, nothing runs; the next look decides anew.
    const because: Refusal = {
      guard: 'lease',
      because: e.message,
      remedy: 'nothing: it looks again',
      consequence: 'wait',
      again: now + seconds(2),
    };
    return answer(
      p,
      incident,
      { do: 'wait', until: because.again, because: e.message },
      { guards, refused: because, lookAgainAt: because.again },
    );
  }
  return run({ ...p, incident: reserved }, act, reservation);
};

const refusalByStorm = (guards: readonly Finding[], first: Refusal): Refusal | undefined =>
  first.consequence === 'not-ours' ? undefined : guards.filter(isRefusal).find((f) => f.guard === 'breaker');

interface ByStorm {
  readonly storm: Refusal | undefined;
  readonly change: readonly Change[];
  /** This pass tells a person of it. */
  readonly tells: boolean;
  /** A person was told of its zone. */
  readonly isKnown: boolean;
}
const CALM: ByStorm = { storm: undefined, change: [], tells: false, isKnown: false };

/** Whoever writes a storm down first tells a person, whatever else refuses, and both in one transaction: it is told once, and not less. */
const stormTo = async (
  p: Pass,
  guards: readonly Finding[],
  first: Refusal,
  record: GroupRecord | undefined,
): Promise<ByStorm> => {
  const found = refusalByStorm(guards, first);
  if (!found || !record) return { ...CALM, storm: found };
  const isNew = found.consequence === 'escalate';
  const isKnown = isNew && (await isToldBy(p, record));
  const storm = isKnown ? { ...found, consequence: 'wait' as const } : found;
  return { storm, change: [{ put: record }], tells: isNew && !isKnown, isKnown };
};

const refused = async (
  p: Pass,
  act: Extract<Verdict, { do: 'act' }>,
  { findings: guards, breakerChange }: Reservation,
  first: Refusal,
): Promise<Answer> => {
  const { now, incident, work } = p;
  if (work.explain) return answer(p, incident, act, { guards, refused: first, lookAgainAt: first.again });
  const snoozed = first.consequence !== 'not-ours' && snoozeOf(incident, now) !== undefined;
  // A snoozed one tells nobody, so it is for another of the group to write a storm down.
  const { storm, change, tells, isKnown } = snoozed ? CALM : await stormTo(p, guards, first, breakerChange);
  if (!tells) await p.deps.store.write(...change).catch(onlyConflict);
  // Nobody is asked or told of each member of a storm that has been told of as a whole.
  const refusal = storm && (tells || isKnown || first.consequence !== 'wait') ? storm : first;
  const extra = { guards, refused: refusal };
  const noted = logged(
    incident,
    now,
    'refused',
    `${refusal.guard} refused to ${act.plan}: ${refusal.because}. To allow it: ${refusal.remedy}`,
  );
  const because = `${refusal.guard}: ${refusal.because}`;
  // Whatever it waits for, what healed by itself is seen.
  const again = refusal === storm ? refusal.again : Math.min(refusal.again, againWhen(incident, now));
  if (snoozed) return rest(p, dozing(noted, { because, remedy: refusal.remedy }, now), act, again, extra);
  switch (refusal.consequence) {
    case 'not-ours':
      return { ...(await finish(p, { ...noted, end: 'not-ours' }, { do: 'nothing', because })), ...extra };
    case 'escalate':
      return rest(
        p,
        escalated(noted, { because, remedy: refusal.remedy }, now),
        act,
        again,
        extra,
        tells ? change : [],
      );
    case 'wait':
      return rest(p, { ...noted, state: 'refused', because, remedy: refusal.remedy }, act, again, extra);
    case 'ask':
      return rest(p, asking(noted, act, p.settings, refusal, now), act, again, extra);
  }
};

const asking = (
  incident: Incident,
  act: Extract<Verdict, { do: 'act' }>,
  settings: Settings,
  refusal: Refusal,
  now: Time,
): Incident => {
  const text = stepText(act.step);
  const open = incident.ask && stepText(incident.ask.step) === text && incident.ask.until > now;
  const { approval: _, ...rest } = incident;
  const asker = incident.undoWanted?.by ?? act.askedBy ?? incident.askedBy;
  const ask = open
    ? incident.ask
    : {
        step: act.step,
        rung: act.rung,
        plan: act.plan,
        because: act.because,
        since: now,
        until: now + hours(settings.askForHours),
        ...(asker === undefined ? {} : { askedBy: asker }),
      };
  return { ...rest, state: 'asking', because: refusal.because, remedy: refusal.remedy, ...(ask ? { ask } : {}) };
};

/** The step runs, once, under a session that reaches this target only; what came of it is written down. */
const run = async (p: Pass, act: Extract<Verdict, { do: 'act' }>, reservation: Reservation): Promise<Answer> => {
  const { deps } = p;
  const attempt = p.incident.attempts.at(-1) as Attempt;
  const { kind, because, receipt } = await start(p.work, deps, p.incident, attempt);
  const at = deps.now();
  const done: Attempt = { ...attempt, outcome: { kind, at, because }, ...(receipt === undefined ? {} : { receipt }) };
  const lookAgainAt = at + nextLook(kind, p.incident);
  const incident = await commitOutcome(deps.store, reservation, p.incident, done, (i) =>
    logged(
      // A pass that comes back too late may find it over.
      i.state === 'closed' ? i : { ...i, state: 'waiting', because: `${act.plan}: ${because}` },
      at,
      'outcome',
      `attempt ${attempt.n} (${act.plan}): ${kind === 'done' ? because : `${kind}, ${because}`}`,
    ),
  );
  return { ...answer(p, incident, act, { guards: reservation.findings, attempt: done, lookAgainAt }) };
};
