/** Many instances want their alarms at once, at AWS's real rates. */
import { minutes } from '../../shared/core/time.ts';
import { impair, makeInstance, startInstance } from '../../world/instances.ts';
import { alarmOf } from './fleet.ts';
import { createStorm } from './storm.ts';

const EACH = 3;
/** No host publishes anything here, which is no news of its agent. */
const POLICY = {
  preset: 'automatic',
  remediations: { 'unwatched-instance': { mode: 'act' }, 'log-agent-silent': { mode: 'off' } },
};

const begin = (count: number) => {
  const s = createStorm({ policy: POLICY });
  const zones = Object.keys(s.world.zones);
  const make = (running: boolean) => (n: number) =>
    makeInstance(s.world, {
      running,
      type: 'm6i.large',
      zone: zones[n % zones.length] ?? '',
      tags: { Name: `new-${n}`, 'steward:managed': 'true' },
    });
  const puts = () => s.world.calls.filter((c) => c.operation === 'PutMetricAlarm');
  return { ...s, s, make, puts, ids: Array.from({ length: count }, (_, n) => n) };
};

test('150 that were there before Steward: about a hundred in each survey, none throttled, nobody told, each alarm put once', async () => {
  const t = begin(150);
  for (const n of t.ids) t.make(true)(n);
  await t.run(minutes(25));
  expect(t.world.cloudwatch.alarms.size).toBe(150 * EACH);
  expect(t.puts()).toHaveLength(150 * EACH);
  expect(t.throttles['cloudwatch:PutMetricAlarm']).toBeUndefined();
  const times = t.puts().map((c) => c.at);
  const mostWithin = (ms: number) =>
    Math.max(...times.map((at) => times.filter((other) => other >= at && other < at + ms).length)) / EACH;
  // And the few whose daily slot it is.
  expect(mostWithin(minutes(5))).toBeLessThanOrEqual(110);
  // One after the other: with seven alarms each that is less than three a second.
  expect(mostWithin(minutes(1))).toBeLessThanOrEqual(24);
  expect(t.outcomes.told).toEqual([]);
});

test('90 that start within a minute are no storm: all get their alarms, and one that is ill meanwhile is repaired', async () => {
  const t = begin(90);
  await t.run(minutes(6));
  const made = t.ids.map(t.make(false));
  for (const instance of made) startInstance(t.world, instance);
  await t.run(minutes(1));
  const [ill] = made;
  if (!ill) throw new Error('nothing was made');
  impair(t.world, ill.id, { instance: true }, 'reboot');
  t.send(alarmOf(t.world, ill.id, 'StatusCheckFailed_Instance', t.clock.now()));
  await t.run(minutes(30));
  expect(t.world.cloudwatch.alarms.size).toBe(90 * EACH);
  expect(ill.impaired.instance).toBe(false);
  expect(t.outcomes.told).toEqual([]);
});
