/**
 * One run of all of Steward (messages, passes, gate, the real remediations and their adapters) over the world's fleet, under faults at every await,
 * while machines die, people interfere and other controllers undo things; all of it decided by one seed: 'full-disk:7'. See `witness.ts` and `rules.ts`
 * for what must hold.
 */
import { signalMessage } from '../../../events/steward/signal.ts';
import '../../../world/direct.ts';
import { reports } from '../../../shared/core/documents.ts';
import { rolePolicy } from '../../../shared/core/permissions.ts';
import { defaultPolicy, type Policy } from '../../../shared/core/policy.ts';
import { targetOf } from '../../../shared/core/target.ts';
import { iso, minutes, seconds } from '../../../shared/core/time.ts';
import { remediations } from '../../../shared/remediations/index.ts';
import { addRole, addUser } from '../../../world/iam.ts';
import { memoryStore } from '../../../world/memoryStore.ts';
import { createRandom, type Random } from '../../../world/random.ts';
import { isListenedTo } from '../../../world/steward.ts';
import { createWorld } from '../../../world/world.ts';
import { idsOf, type MessageQueue } from '../engine.ts';
import type { Result, Simulate } from '../models.ts';
import { askMore } from '../people.ts';
import { createSchedule, type Faults, NO_FAULTS } from '../schedule.ts';
import { clockOf, type FleetAccount, queueOf, reachOf, STAGE } from './account.ts';
import { beginnings } from './beginnings.ts';
import { checkEnd, isSettled, lostOnes } from './ending.ts';
import { type Patient, type Place, personIn, seedFleet } from './fleet.ts';
import { calm, happenings, meddle, NOISY, sweeps } from './happenings.ts';
import { createFleetWitness } from './witness.ts';

/** Longer than the longest of the waits: a question of whether something leaks, a boot, an agent that does not come. */
const QUIET = minutes(75);
/** A survey, an alarm of ten minutes, and the pass that follows. */
const QUIET_AT_LEAST = minutes(20);
/** A Thursday morning; a pass has many more calls here than in the model, so each fails more rarely. */
const START = Date.UTC(2026, 0, 15, 8, 0, 0);
const LIGHT: Faults = { crash: 0.001, lostRequest: 0.002, lostReply: 0.002, throttle: 0.005, stall: 0.002 };
const HEAVY: Faults = { crash: 0.004, lostRequest: 0.01, lostReply: 0.02, throttle: 0.03, stall: 0.008 };

const policyOf = (random: Random): Policy => {
  const settings = (name: string) => settingsOf(name, random.fork(name));
  return defaultPolicy(remediations, {
    preset: random.fork('preset').pick(['cautious', 'automatic', 'automatic']),
    breaker: { withinMinutes: random.fork('breaker').pick([2, 5]) },
    ...Object.assign({}, ...Object.values(beginnings).map((b) => b.policy)),
    remediations: Object.fromEntries(remediations.map((r) => [r.name, settings(r.name)])),
  });
};
const settingsOf = (name: string, random: Random) => ({
  // Some ask, some only watch; what destroys acts in most, so that its rules are tried.
  ...(random.chance(0.75) ? { mode: random.pick(['act', 'act', 'act', 'act', 'ask', 'ask', 'watch'] as const) } : {}),
  coolDownMinutes: random.pick([0, 2, 10]),
  budget: { max: random.pick([1, 2, 10]), percent: random.pick([20, 40]) },
  ...beginnings[name]?.settings,
});

const createAccount = (seed: string, note: FleetAccount['note'], schedule: FleetAccount['schedule']) => {
  const random = createRandom(seed);
  const policy = policyOf(random.fork('policy'));
  const world = createWorld({ seed: `world ${seed}`, clock: clockOf(schedule) });
  const fleet = seedFleet(
    world,
    random.fork('fleet'),
    Object.keys(reports).map((n) => `steward-${STAGE}-${n}`),
  );
  for (const r of remediations)
    addRole(world, `steward-${STAGE}-remedy-${r.name}`, [
      rolePolicy(r.permissions, { stage: STAGE, optInTag: policy.tags.managed }),
    ] as never);
  const noise = random.pick([NO_FAULTS, LIGHT, LIGHT, HEAVY, HEAVY]);
  if (noise !== NO_FAULTS) {
    Object.assign(world.events.trouble, { loss: 0.1, duplicate: 0.1, delayMs: random.pick([0, 5_000, 120_000]) });
    world.lag.ms = random.pick([0, 0, 5_000, 30_000]);
  }
  const capacity = random.chance(0.3) ? 0.6 : 1;
  const patients: Patient[] = [];
  const witness = createFleetWitness({ schedule, world, policy, remediations, patients });
  world.serviceScaling.listeners.add(witness.disturb);
  let quiet = false;
  let reach: FleetAccount extends { reach: () => infer R } ? R | undefined : never;
  const late: { place?: Place } = {};
  const account: FleetAccount = {
    schedule,
    store: memoryStore(),
    faults: () => (quiet ? NO_FAULTS : noise),
    isQuiet: () => quiet,
    faultless: noise === NO_FAULTS,
    note,
    newId: idsOf(schedule),
    tally: { messages: 0, deaths: 0, calls: 0 },
    world,
    fleet,
    policy,
    witness,
    credentials: addUser(world, 'heal', []),
    patients,
    heard: new Set(),
    onStep: (sent) => late.place && meddle(account, late.place, sent),
    hasCapacity: (fate) => quiet || fate.chance(capacity),
    reach: () => {
      reach ??= reachOf(account);
      return reach;
    },
  };
  return { account, late, hush: () => (quiet = true) };
};

export const simulateFleet: Simulate = async (seed, options = {}): Promise<Result> => {
  const main = `${seed}`.split(':')[0] ?? '';
  if (!beginnings[main])
    throw new Error(`no trouble begins as ${main}; there are ${Object.keys(beginnings).join(', ')}`);
  const schedule = createSchedule(createRandom(`schedule ${seed}`), START);
  const trace: string[] = [];
  const note = options.trace
    ? (say: () => string) => void trace.push(`${iso(schedule.wall()).slice(11, 23)} ${say()}`)
    : () => {};
  const { account, late, hush } = createAccount(`${seed}`, note, schedule);
  const { world, fleet, witness } = account;
  const queue = queueOf(account);
  const told: string[] = [];
  const take = (body: string): void => {
    told.push(body);
    queue.take(body, 0);
  };
  world.onEvent((event) => {
    if (isListenedTo(event)) take(JSON.stringify(event));
  });
  const place: Place = {
    world,
    fleet,
    person: personIn(world, 'anna'),
    wish: (arn, to, ms) => askMore(account, queue, 'cleo', { arn, to, ms }),
    signal: (kind, arn, after = 0, more = {}) => {
      const eventId = `${arn}:${kind}@${schedule.wall()}`;
      const cause = `something told of ${kind}`;
      schedule.after(after, () =>
        take(signalMessage({ kind, target: targetOf(arn), at: schedule.wall(), cause, eventId, ...more })),
      );
      return eventId;
    },
  };
  late.place = place;
  note(() => `policy ${JSON.stringify(account.policy.remediations)}`);
  sweeps(account, queue);
  happenings(account, queue, place, main);
  await schedule.run(NOISY);
  hush();
  await calm(account);
  let end = NOISY + QUIET_AT_LEAST;
  await schedule.run(end);
  for (; end < NOISY + QUIET && !isSettled(account) && !witness.violation(); end += minutes(5)) await schedule.run(end);
  if (!witness.violation()) checkEnd(account);
  if (!witness.violation()) end = await nobodyIsLost(account, end);
  if (!witness.violation()) await replayed(account, queue, told, end);
  const violation = witness.violation();
  if (violation) note(() => `VIOLATION ${violation.invariant}: ${violation.say}`);
  return { seed, ...(violation ? { violation } : {}), counts: { ...witness.counts, ...account.tally }, trace };
};

/** What has just begun may be known in some minutes. */
const nobodyIsLost = async (a: FleetAccount, end: number): Promise<number> => {
  const lost = lostOnes(a);
  if (lost.length === 0) return end;
  await a.schedule.run(end + minutes(12));
  const still = lostOnes(a).find((p) => lost.includes(p));
  a.witness.check(!still, 'no-trouble-is-lost', () => `${still?.arn} has ${still?.remediation}, and nobody knows`);
  return end + minutes(12);
};

/** All that was ever told is told again: nothing new is done for it. */
const replayed = async (a: FleetAccount, queue: MessageQueue, told: readonly string[], end: number): Promise<void> => {
  const before = new Set(a.witness.incidents.keys());
  const old = new Set(a.heard);
  const unwell = new Set(a.patients.flatMap((p) => (p.isWell() ? [] : [p.arn])));
  const isAgain = ({ incident, target }: { incident: string; target: string }): boolean =>
    !before.has(incident) &&
    !unwell.has(target) &&
    old.has(a.witness.incidents.get(incident)?.signals.lastEventId ?? '');
  // What a machine that is gone, or not managed any more, has left is removed when somebody looks: else within the hour, or the day.
  const isTidying = ({ attempt: { rung } }: { attempt: { rung: string } }): boolean =>
    ['watch', 'unwatch', 'deregister'].includes(rung);
  a.note(() => `${told.length} messages come again`);
  for (const body of told.slice(-60)) queue.take(body, 0);
  for (let until = end + seconds(10); until <= end + minutes(6); until += seconds(10)) {
    await a.schedule.run(until);
    // A leak that has come back meanwhile is a new trouble.
    for (const p of a.patients) if (!p.isWell()) unwell.add(p.arn);
  }
  const done = [...a.witness.reservations.values()].find((r) => isAgain(r) && !isTidying(r));
  a.witness.check(
    !done,
    'replay-changes-nothing',
    () => `${done?.attempt.token} acts on ${done?.target} again: ${done?.step}`,
  );
};
