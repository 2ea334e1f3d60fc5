/**
 * One run of Steward's real message handling (`answerMessage`, `sweep`, `pass`, the gate and its guards) over the model world, under faults,
 * all of it decided by one seed: the same seed gives the same run, to the millisecond. See `witness.ts` for what must hold.
 */
import type { Remediation } from '../../shared/core/remediation.ts';
import { iso, minutes } from '../../shared/core/time.ts';
import { remediations } from '../../shared/remediations/index.ts';
import { memoryStore } from '../../world/memoryStore.ts';
import { createRandom } from '../../world/random.ts';
import { type Account, queueOf } from './account.ts';
import { createClinic, modelRemediations } from './clinic.ts';
import { checkEnd } from './ending.ts';
import { idsOf, type MessageQueue } from './engine.ts';
import { calm, changed, happenings, NOISY, sweeps } from './happenings.ts';
import type { Result } from './models.ts';
import { interrupt } from './people.ts';
import { noiseOf, rulesOf, startOf } from './scenario.ts';
import { createSchedule, NO_FAULTS } from './schedule.ts';
import { createWitness } from './witness.ts';

/** Longer than the hour after which a survey says again what lasts. */
const QUIET = minutes(100);

/** The engine's own list, as heal and sweep read it, holds the model's remediations meanwhile. */
export const simulate = async (seed: number, options: { trace?: boolean } = {}): Promise<Result> => {
  const list = remediations as Remediation[];
  const real = list.splice(0, list.length, ...modelRemediations);
  try {
    return await run(seed, options);
  } finally {
    list.splice(0, list.length, ...real);
  }
};

const run = async (seed: number, options: { trace?: boolean }): Promise<Result> => {
  const random = createRandom(seed);
  const start = startOf(random.fork('start'));
  const rules = rulesOf(random.fork('rules'), start);
  const schedule = createSchedule(random.fork('schedule'), start);
  const noise = noiseOf(random);
  const trace: string[] = [];
  const note = options.trace
    ? (say: () => string) => void trace.push(`${iso(schedule.wall()).slice(11, 23)} ${say()}`)
    : () => {};
  let quiet = false;
  const store = memoryStore();
  const late: { queue?: MessageQueue } = {};
  const clinic = createClinic({
    random: random.fork('clinic'),
    time: schedule.time,
    wall: schedule.wall,
    after: schedule.after,
    onChange: (p) => {
      if (late.queue && account.random.chance(0.5)) changed(late.queue, p, schedule.wall());
    },
  });
  const witness = createWitness({ schedule, clinic, rules });
  const account: Account = {
    random: random.fork('account'),
    schedule,
    clinic,
    rules,
    witness,
    store,
    hasSurvey: random.chance(0.7),
    faults: () => (quiet ? NO_FAULTS : noise),
    isQuiet: () => quiet,
    faultless: noise === NO_FAULTS,
    isNervous: random.chance(0.25),
    interrupt: () => interrupt(account, account.random),
    note,
    newId: idsOf(schedule),
    tally: { messages: 0, deaths: 0, calls: 0 },
    heard: new Set(),
  };
  const queue = queueOf(account);
  late.queue = queue;
  note(() => `policy ${JSON.stringify(rules.policy)}`);
  sweeps(account, queue);
  happenings(account, queue);
  await schedule.run(NOISY);
  quiet = true;
  await calm(account);
  await schedule.run(NOISY + QUIET);
  if (!witness.violation()) checkEnd(account, queue);
  const violation = witness.violation();
  if (violation) note(() => `VIOLATION ${violation.invariant}: ${violation.say}`);
  return { seed, ...(violation ? { violation } : {}), counts: { ...witness.counts, ...account.tally }, trace };
};
