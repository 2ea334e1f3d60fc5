/** A storm of a few hundred alarms; the one of ten thousand is in the bench. */
import { iso, minutes } from '../../shared/core/time.ts';
import { storeContract } from '../contract/storeContract.ts';
import { sample } from '../events/samples.ts';
import { alarmOf, halfOf, relent, seedStormFleet, strike } from './fleet.ts';
import { createStorm, type StormOptions } from './storm.ts';
import { stormTable } from './table.ts';
import { lost, witness } from './witness.ts';

const POLICY = {
  preset: 'automatic',
  remediations: { 'unwatched-instance': { mode: 'off' }, 'log-agent-silent': { mode: 'off' } },
};
const begin = async (options: StormOptions = {}) => {
  const s = createStorm({ policy: POLICY, ...options });
  witness(s);
  const ids = seedStormFleet(s.world, { groups: [30, 30, 30], alone: 30 });
  // The survey counts what runs in each zone.
  await s.run(minutes(6));
  const before = { write: s.table.units.write, calls: s.world.calls.length };
  const cost = () => ({ write: s.table.units.write - before.write, calls: s.world.calls.length - before.calls });
  return { ...s, s, ids, cost };
};

test('half of a zone is gone: one cause, one person told, nothing done; and when it is over, what it left behind is mended', async () => {
  const t = await begin();
  const struck = halfOf(t.world, 'eu-central-1a', t.ids);
  const alarms = strike(t.s, struck, 6);
  expect(alarms).toBe(120);
  await t.run(minutes(40));
  expect(t.outcomes.acted).toBe(0);
  expect(t.outcomes.told).toEqual([expect.stringMatching(/zone euc1-az2: more than 25 % of the 40 instances there/)]);
  // It stands alone, and no one else can mend it.
  const left = struck.at(-1) ?? '';
  relent(t.s, struck.slice(0, -1));
  await t.run(minutes(90));
  expect(t.outcomes.acted).toBeGreaterThan(0);
  expect(t.world.ec2.instances.get(left)?.impaired).toEqual({ system: false, instance: false, ebs: false });
  expect(await lost(t.s, struck)).toEqual([]);
  expect(t.violations).toEqual([]);
  expect(t.outcomes.told).toHaveLength(1);
});

test('of a zone that a person was told of by its own incident nobody is told again', async () => {
  const t = await begin();
  t.send(JSON.stringify({ ...sample('zonal-autoshift/begun'), time: iso(t.clock.now()) }));
  await t.run(minutes(2));
  const struck = halfOf(t.world, 'eu-central-1a', t.ids);
  strike(t.s, struck, 6);
  await t.run(minutes(40));
  expect(t.outcomes.acted).toBe(0);
  expect(t.outcomes.told).toEqual([expect.stringContaining('euc1-az2')]);
  expect(t.outcomes.told.filter((said) => said.includes('more than 25 %'))).toEqual([]);
  expect(t.violations).toEqual([]);
});

test('and EC2 throttles so hard that hardly one of them can be looked into: it is the same storm, and nobody is told of each', async () => {
  const t = await begin();
  t.world.faults.limit('ec2', 'DescribeInstanceStatus', { size: 1, perSecond: 0.02 });
  const struck = halfOf(t.world, 'eu-central-1a', t.ids);
  strike(t.s, struck, 6);
  // Longer than it takes until a person is told of something that cannot be seen.
  await t.run(minutes(40));
  expect(t.throttles['ec2:DescribeInstanceStatus']).toBeGreaterThan(20);
  expect(t.outcomes.told).toEqual([expect.stringContaining('zone euc1-az2: more than 25 %')]);
  expect(t.violations).toEqual([]);
});

test('alarms about what does not exist cost one read each, and leave nothing behind', async () => {
  const t = await begin({ throttled: false });
  const before = t.table.size();
  for (let n = 0; n < 200; n++) {
    const id = `i-${n.toString(16).padStart(17, '0')}`;
    t.send(alarmOf(t.world, id, 'StatusCheckFailed_Instance', t.clock.now()));
  }
  await t.run(minutes(1) - 1, () => t.queue.idle());
  expect(t.cost().write).toBe(0);
  // The messages of one batch are described together. A session each is asked for while the record is read.
  const described = t.world.calls.filter((c) => c.operation === 'DescribeInstances' && c.principal.includes('@all'));
  expect(described.length).toBeLessThanOrEqual(200 / 5 + 20);
  expect(t.table.size()).toBe(before);
  expect(t.outcomes.told).toEqual([]);
});

describe('the table of the storm', () =>
  storeContract(async (now) => stormTable(now, async () => {}).store, 'each of its calls is one step'));
