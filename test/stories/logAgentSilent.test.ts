/** A CloudWatch agent that no longer publishes, in the world. Only a datapoint that arrives ends it. */
import { hours, minutes } from '../../shared/core/time.ts';
import { hostOf } from '../../world/fleet.ts';
import { setAgent } from '../../world/hosts.ts';
import { makeInstance, type NewInstance } from '../../world/instances.ts';
import { type AccountOptions, createAccount } from './account.ts';

const started = async ({ make = {}, ...options }: AccountOptions & { make?: NewInstance } = {}) => {
  const account = createAccount({ policy: { remediations: { 'unwatched-instance': { mode: 'act' } } }, ...options });
  const { world } = account;
  const { id } = makeInstance(world, {
    running: true,
    type: 'm6i.large',
    tags: { 'steward:managed': 'true' },
    ...make,
  });
  const host = hostOf(world, id);
  await account.run(minutes(25));
  const last = () =>
    account
      .incidents()
      .filter((i) => i.target.endsWith(id) && i.remediation === 'log-agent-silent')
      .at(-1);
  const over = () => ['closed', 'escalated'].includes(last()?.state ?? '');
  const rungs = () => last()?.attempts.map((a) => [a.rung, a.effect]);
  return { ...account, id, host, last, over, rungs };
};

test('it stopped: Steward’s own alarm says so, a restart ends it, and a datapoint proves it', async () => {
  const s = await started();
  expect([...s.world.cloudwatch.alarms.keys()]).toContain(`steward/test/${s.id}/agent silent`);
  s.host.publishes = false;
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy', signals: { kind: 'log-agent.silent' } });
  expect(s.rungs()).toEqual([['restart', 'effective']]);
  expect(s.host.publishes).toBe(true);
});

test('a restart does not help, nor does its configuration: a person is told what the agent says', async () => {
  const s = await started();
  s.host.publishes = false;
  Object.assign(s.host.cloudwatch, {
    broken: true,
    errors: ['E! AccessDenied: not authorized to perform: cloudwatch:PutMetricData'],
  });
  await s.run(hours(2), s.over);
  expect(s.rungs()).toEqual([
    ['restart', 'ineffective'],
    ['configure', 'ineffective'],
  ]);
  expect(s.last()).toMatchObject({
    state: 'escalated',
    because: expect.stringContaining('not authorized to perform: cloudwatch:PutMetricData'),
    remedy: expect.stringContaining('CloudWatchAgentServerPolicy'),
  });
});

test('a host without an agent gets one, and then its alarms', async () => {
  const account = createAccount({ policy: { remediations: { 'unwatched-instance': { mode: 'act' } } } });
  const { id } = makeInstance(account.world, { running: true, type: 'm6i.large', tags: { 'steward:managed': 'true' } });
  const host = hostOf(account.world, id);
  host.publishes = false;
  host.cloudwatch.installed = false;
  const alarms = () => [...account.world.cloudwatch.alarms.keys()].filter((n) => n.includes(id));
  await account.run(hours(1), () => alarms().some((a) => a.endsWith('/memory')));
  expect(host.cloudwatch.installed).toBe(true);
  expect(alarms().map((a) => a.split('/').slice(3).join('/'))).toEqual(
    expect.arrayContaining(['memory', 'disk /', 'agent silent']),
  );
});

test('where it cannot be installed, the remedy says how', async () => {
  const s = await started();
  Object.assign(s.host, { os: 'debian 12', publishes: false });
  s.host.cloudwatch.installed = false;
  await s.run(hours(4), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', remedy: expect.stringContaining('package that AWS publishes') });
});

test('stopped, it may be silent; its SSM agent silent too, a person is told', async () => {
  const s = await started();
  s.host.publishes = false;
  setAgent(s.world, s.host, 'silent');
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('cannot be seen') });
  const t = await started();
  t.host.publishes = false;
  const instance = t.world.ec2.instances.get(t.id);
  if (instance) instance.state = 'stopped';
  await t.run(hours(1), t.over);
  expect(t.last()).toMatchObject({ end: 'not-ours', attempts: [] });
});
