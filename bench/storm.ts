/**
 * Half of a zone of a fleet of 10,000 instances fails, and 10,000 alarms come within a minute: what Steward makes of it, and what it costs. An hour of storm,
 * then its end, then two hours until the last incident is over.
 */
import { minutes } from '../shared/core/time.ts';
import { halfOf, relent, seedStormFleet, strike } from '../test/storm/fleet.ts';
import { createStorm } from '../test/storm/storm.ts';
import { lost, witness } from '../test/storm/witness.ts';

/** us-east-1, on demand. Sources: the price lists of DynamoDB, Lambda and SQS. */
const USD = { writeUnit: 0.625e-6, readUnit: 0.125e-6, message: 3 * 0.4e-6, gibSecond: 1.66667e-5 };
/** One pass keeps a fifth of a function of 0.5 GiB busy for about a second. */
const PASS_GIB_SECONDS = 0.1;

const POLICY = {
  preset: 'automatic',
  remediations: { 'unwatched-instance': { mode: 'off' }, 'log-agent-silent': { mode: 'off' } },
};

export const storm = async (): Promise<Record<string, number>> => {
  const s = createStorm({ policy: POLICY });
  witness(s);
  const ids = seedStormFleet(s.world, { groups: Array(40).fill(225), alone: 1_000 });
  await s.run(minutes(6));
  const before = { ...s.table.units, calls: s.world.calls.length, messages: s.queue.counts().sent };
  const struck = halfOf(s.world, 'eu-central-1a', ids);
  const alarms = strike(s, struck, 6);
  await s.run(minutes(60));
  const told = s.outcomes.told.length;
  const acted = s.outcomes.acted;
  relent(s, struck);
  await s.run(minutes(120));
  const wrong = [...s.violations, ...(await lost(s, struck))];
  for (const w of wrong.slice(0, 10)) console.error(`storm: ${w}`);
  const [write, read] = [s.table.units.write - before.write, s.table.units.read - before.read];
  const usd =
    write * USD.writeUnit +
    read * USD.readUnit +
    (s.queue.counts().sent - before.messages) * USD.message +
    s.outcomes.passes * PASS_GIB_SECONDS * USD.gibSecond;
  return {
    'storm.alarms': alarms,
    'storm.struck': struck.length,
    'storm.violations': wrong.length,
    'storm.told': told,
    'storm.acted': acted,
    'storm.passes': s.outcomes.passes,
    'storm.writeUnits': write,
    'storm.readUnits': Math.round(read),
    'storm.awsCalls': s.world.calls.length - before.calls,
    'storm.throttled': Object.values(s.throttles).reduce((a, b) => a + b, 0),
    'storm.oldestSignalS': s.oldestSeconds(),
    'storm.usd': Number(usd.toFixed(3)),
  };
};
