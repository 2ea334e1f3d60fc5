/** What a seed decides before anything happens: the user's policy, the time of day, and how much fails. */
import { defaultPolicy } from '../../shared/core/policy.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import type { Random } from '../../world/random.ts';
import { modelRemediations } from './clinic.ts';
import { type Faults, NO_FAULTS } from './schedule.ts';
import type { Daily, Rules } from './witness.ts';

export const LIGHT: Faults = { crash: 0.002, lostRequest: 0.003, lostReply: 0.003, throttle: 0.01, stall: 0.005 };
export const HEAVY: Faults = { crash: 0.012, lostRequest: 0.015, lostReply: 0.015, throttle: 0.04, stall: 0.02 };

const cronOf = ({ fromMinute, minutes: length }: Daily) => ({
  cron: `${fromMinute % 60} ${Math.floor(fromMinute / 60)} * * *`,
  minutes: length,
});
const dailies = (random: Random, start: number, chance: number): Daily[] => {
  if (!random.chance(chance)) return [];
  const now = Math.floor(start / 60_000) % 1440;
  return [{ fromMinute: (now + random.integer(80) - 20 + 1440) % 1440, minutes: 10 + random.integer(60) }];
};

export const rulesOf = (random: Random, start: number): Rules => {
  const freeze = dailies(random, start, 0.25);
  const maintenance = dailies(random, start, 0.25);
  const settings = () => ({
    ...(random.chance(0.75)
      ? { mode: random.pick(['act', 'act', 'act', 'act', 'act', 'ask', 'ask', 'watch', 'off'] as const) }
      : {}),
    attemptsPerDay: random.pick([1, 2, 3, 3, 4]),
    coolDownMinutes: random.pick([0, 2, 5, 10]),
    costCapUsdPerMonth: random.pick([0, 20, 40, 60, 1000]),
    askForHours: random.pick([1, 24]),
    budget: { max: random.pick([1, 2, 10]), percent: random.pick([10, 20, 40, 50]) },
  });
  const policy = defaultPolicy(modelRemediations, {
    preset: random.pick(['cautious', 'automatic']),
    scope: random.pick(['tagged', 'tagged', 'all']),
    freeze: freeze.map(cronOf),
    maintenance: maintenance.map(cronOf),
    breaker: { percent: random.pick([40, 50, 80]), withinMinutes: random.pick([2, 5]) },
    remediations: Object.fromEntries(modelRemediations.map((r) => [r.name, settings()])),
  });
  return { policy, freeze, maintenance };
};

/** Some runs begin minutes before midnight at the end of a month. */
export const startOf = (random: Random): number =>
  random.chance(0.2)
    ? Date.UTC(2026, 10, 30, 23, 20) + random.integer(minutes(40))
    : Date.UTC(2026, 10, 10) + random.integer(hours(24 * 15));

export const noiseOf = (random: Random): Faults => random.pick([NO_FAULTS, LIGHT, LIGHT, HEAVY, HEAVY]);
