/**
 * The gate: no act without it, for any trigger, mode or command. What the guards decided on is checked again by the transaction that reserves
 * the attempt: incident, chart (lease and attempts), group (budget and breaker) and ledger must not have moved. The switches are read once more
 * after it, just before the step.
 *
 * A lease and a place in the budget belong to an incident that is at work. They are never given back: one whose incident has closed, or went to a
 * person, counts for nothing, and the next to come takes it over. So nothing can be left held by a crash, and ending costs no write.
 */
import { Conflict } from './errors.ts';
import { CHART_MEMORY, type Finding, findings, type Proposal } from './guards.ts';
import { type Attempt, type Incident, logged, stepText, withAttempt } from './incident.ts';
import type { Facts } from './remediation.ts';
import type { Change, Chart, GroupRecord, Lease, Ledger, Store } from './store.ts';
import { groupStorm, noted, type Weather, weatherAt, zoneStorm } from './storm.ts';
import { iso, minutes, type Time } from './time.ts';
import type { Json } from './verdict.ts';

/**
 * How long a lease and a place in the budget hold without being renewed. It must outlast a pass (PASS_LIMIT) and the settling of a step;
 * a repair whose passes all die frees its target after that.
 */
export const LEASE = minutes(20);

export interface Reservation {
  readonly proposal: Proposal;
  /** Each guard's finding, in order. */
  readonly findings: readonly Finding[];
  /** The group's record with the breaker's new state, where it changed. */
  readonly breakerChange?: GroupRecord;
}

type Held = Readonly<Record<string, Lease>>;

/** Leases, by target, whose incident is still at work: what a step began may take longer to show than a lease lasts. */
const stillHeld = async (store: Store, leases: Held, now: Time, own: string): Promise<Held> => {
  const entries = Object.entries(leases);
  const others = entries.filter(([, l]) => l.incident !== own);
  const incidents = await store.read(
    ...others.map(([target, l]) => ({ kind: 'incident' as const, target, id: l.incident })),
  );
  const known = new Map(incidents.flatMap((i) => (i ? [[i.id, i] as const] : [])));
  return Object.fromEntries(entries.filter(([, l]) => isHeld(l, known.get(l.incident), now)));
};
/** One that cannot be found is not known to be over. */
const isHeld = (lease: Lease, incident: Incident | undefined, now: Time): boolean => {
  // Snoozed when it was a person's already.
  if (incident?.state === 'snoozed' && incident.escalatedAt !== undefined) return false;
  if (incident?.state === 'closed' || incident?.state === 'escalated') return false;
  const last = incident?.attempts.at(-1);
  // It only looks, and what its last step came to has been seen.
  if (incident?.state === 'open' && last?.effect !== undefined) return false;
  if (lease.until > now || incident?.state === 'waiting' || incident?.state === 'acting') return true;
  // Refused or asked about something else by now, but nobody has seen yet what its last step came to.
  return (
    last !== undefined &&
    last.effect === undefined &&
    last.outcome?.kind !== 'transient' &&
    last.outcome?.kind !== 'permanent'
  );
};

/** Reads what the guards need and asks them. Writes nothing. */
export const propose = async (
  store: Store,
  given: Omit<Proposal, 'group' | 'ledger' | keyof Weather>,
): Promise<Reservation> => {
  const { now, facts, remediation, incident, policy } = given;
  const month = iso(now).slice(0, 7);
  const [[knownLedger], weather] = await Promise.all([
    store.read({ kind: 'ledger', remediation: remediation.name, month }),
    weatherAt(store, { target: given.target.arn, openedAt: incident.openedAt, ...facts }, given),
  ]);
  const [repairs, leases] = await Promise.all([
    stillHeld(store, weather.group.repairs, now, incident.id),
    stillHeld(store, given.chart.lease ? { [given.target.arn]: given.chart.lease } : {}, now, incident.id),
  ]);
  const group: GroupRecord = { ...weather.group, repairs };
  const { lease: _, ...free } = given.chart;
  const chart: Chart = leases[given.target.arn] ? given.chart : free;
  const ledger: Ledger = knownLedger ?? {
    kind: 'ledger',
    remediation: remediation.name,
    month,
    version: 0,
    usdPerMonth: 0,
  };
  const proposal: Proposal = { ...given, ...weather, chart, group, ledger };
  const change =
    incident.undoWanted === undefined ? stormChange({ ...weather, group }, facts.group, now, policy) : undefined;
  return { proposal, findings: findings(proposal), ...(change ? { breakerChange: change } : {}) };
};

/** The record of the zone or of the group, where a storm in it is to be written down. */
export const stormChange = (
  weather: Weather,
  group: Facts['group'],
  now: Time,
  policy: Proposal['policy'],
): GroupRecord | undefined => {
  const ofZone = zoneStorm({ ...weather, policy });
  if (ofZone !== undefined && weather.zone)
    return noted(weather.zone, { because: ofZone, ill: weather.illInZone ?? 1 }, now, policy);
  const because = groupStorm({ ...weather, group, policy });
  const ill = Object.values(weather.troubled ?? {}).reduce((a, b) => a + b, 0);
  return noted(weather.group, { because, ill }, now, policy);
};

const isSoon = (ms: number): boolean => ms >= minutes(3) && ms <= minutes(10);

/** What the guards went by, for whoever asks why it was let through. */
const passedText = (given: readonly Finding[]): string =>
  given.flatMap((f) => ('passed' in f ? [`${f.guard}: ${f.passed}`] : [])).join(' · ');

/** Reserves the attempt. All or nothing. @throws Conflict when anything that the guards decided on has moved */
export const reserve = async (
  store: Store,
  { proposal: p, findings }: Reservation,
  before: Json,
): Promise<Incident> => {
  const n = (p.incident.attempts.at(-1)?.n ?? 0) + 1;
  const lease = { incident: p.incident.id, remediation: p.remediation.name, until: p.now + LEASE };
  const attempt: Attempt = {
    n,
    rung: p.act.rung,
    step: p.act.step,
    plan: p.act.plan,
    because: p.act.because,
    token: `${p.incident.id}-${n}`,
    reservedAt: p.now,
    ...(p.act.continues ? { continues: true as const } : {}),
    ...(p.undoes === undefined ? {} : { undoes: p.undoes }),
    before,
  };
  const { ask: _ask, approval: _approval, remedy: _remedy, ...kept } = p.incident;
  const incident: Incident = {
    ...logged(
      logged(withAttempt(kept, attempt), p.now, 'reserved', `attempt ${n}: ${p.act.plan}, because ${p.act.because}`),
      p.now,
      'guards',
      passedText(findings),
    ),
    state: 'acting',
    because: p.act.because,
    actedAt: p.incident.actedAt ?? p.now,
    // Soon after the pass must be over, whatever it waited for before.
    dueAt: isSoon(p.incident.dueAt - p.now) ? p.incident.dueAt : p.now + minutes(5),
  };
  const chart: Chart = {
    ...p.chart,
    open: { ...p.chart.open, [p.remediation.name]: incident.id },
    lease,
    recent: [
      ...p.chart.recent.filter((d) => d.at > p.now - CHART_MEMORY),
      {
        remediation: p.remediation.name,
        incident: incident.id,
        rung: p.act.rung,
        at: p.now,
        step: stepText(p.act.step),
        counted: !p.act.continues && p.undoes === undefined,
      },
    ],
  };
  const changes: Change[] = [
    { put: incident },
    { put: chart },
    ...(hasPlace(p) ? [] : [{ put: { ...p.group, repairs: { ...p.group.repairs, [p.target.arn]: lease } } }]),
    ...(p.act.cost ? [{ put: { ...p.ledger, usdPerMonth: p.ledger.usdPerMonth + p.act.cost.usdPerMonth } }] : []),
  ];
  await store.write(...changes);
  return { ...incident, version: incident.version + 1 };
};

/**
 * Its place in the budget is its own for long enough: finishing what is under way need not take it again. Only if the incident never went to a
 * person, for then somebody may just be taking the place over. What only adds takes none.
 */
const hasPlace = ({ act, group, target, incident, now, remediation }: Proposal): boolean => {
  if (remediation.adds) return true;
  const place = group.repairs[target.arn];
  return (
    act.continues === true &&
    incident.escalatedAt === undefined &&
    place?.incident === incident.id &&
    place.until > now + LEASE / 2
  );
};

/** How often an outcome is written again when someone else (an answer, a signal) wrote the incident in between. */
const OUTCOME_TRIES = 4;

/**
 * Writes what came of an attempt. Where it is proven that nothing was done, the cost is taken back, and for a transient fault the attempt
 * does not count. @throws what the table throws: then the attempt stays without an outcome, and the next pass treats it as ambiguous
 */
export const commitOutcome = async (
  store: Store,
  { proposal }: Reservation,
  reserved: Incident,
  attempt: Attempt,
  tell: (i: Incident) => Incident,
): Promise<Incident> => {
  const kind = attempt.outcome?.kind;
  let incident = reserved;
  for (let attempts = 1; ; attempts++) {
    const next = tell(withAttempt(incident, attempt));
    try {
      await store.write({ put: next });
      break;
    } catch (e) {
      if (!(e instanceof Conflict) || attempts >= OUTCOME_TRIES) throw e;
      const [fresh] = await store.read({ kind: 'incident', target: reserved.target, id: reserved.id });
      if (!fresh) throw e;
      incident = fresh;
    }
  }
  if (kind === 'transient' || kind === 'permanent') await takeBack(store, proposal, attempt);
  const next = tell(withAttempt(incident, attempt));
  return { ...next, version: incident.version + 1 };
};

/** After so many lost races the attempt stays counted, or the cost booked: that is the safe side. */
const takeBack = async (store: Store, p: Proposal, attempt: Attempt): Promise<void> => {
  const month = iso(attempt.reservedAt).slice(0, 7);
  const { cost } = p.act;
  const uncount = async (): Promise<void> => {
    const [chart] = await store.read({ kind: 'chart', target: p.target.arn });
    const isIt = (d: Chart['recent'][number]) => d.incident === p.incident.id && d.at === attempt.reservedAt;
    if (chart) await store.write({ put: { ...chart, recent: chart.recent.filter((d) => !isIt(d)) } });
  };
  const unbook = async (usdPerMonth: number): Promise<void> => {
    const [ledger] = await store.read({ kind: 'ledger', remediation: p.remediation.name, month });
    if (ledger) await store.write({ put: { ...ledger, usdPerMonth: Math.max(0, ledger.usdPerMonth - usdPerMonth) } });
  };
  await Promise.all([
    attempt.outcome?.kind === 'transient' ? untilWritten(uncount) : undefined,
    cost ? untilWritten(() => unbook(cost.usdPerMonth)) : undefined,
  ]);
};

const untilWritten = async (change: () => Promise<void>): Promise<void> => {
  for (let tries = 1; tries <= OUTCOME_TRIES; tries++) {
    try {
      return await change();
    } catch (e) {
      if (!(e instanceof Conflict)) throw e;
    }
  }
};
