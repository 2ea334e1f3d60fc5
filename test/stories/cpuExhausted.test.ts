/** Hosts that run out of CPU, in the world: each cause has its own end. */
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { addAlarm, breakLoad, hostOf } from '../../world/fleet.ts';
import { setAgent } from '../../world/hosts.ts';
import { makeInstance, type NewInstance } from '../../world/instances.ts';
import { type AccountOptions, createAccount, following, SHOP } from './account.ts';

const policyOf = (settings: object = {}) => ({
  preset: 'automatic',
  remediations: { 'cpu-exhausted': { restartable: ['shop'], ...settings } },
});
const started = async ({
  make = {},
  of = 'alone',
  publishesCredits = true,
  ...options
}: AccountOptions & { make?: NewInstance; of?: 'alone' | 'web'; publishesCredits?: boolean } = {}) => {
  const account = createAccount({ policy: policyOf(), ...options });
  const { world, fleet } = account;
  const made = makeInstance(world, { ...SHOP, ...make });
  const instance = of === 'alone' ? made : fleet.web[0];
  if (!instance) throw new Error('the fleet has no web server');
  // Credits go slowly: they have been low for a while.
  instance.creditBalance = 3;
  instance.publishesCredits = publishesCredits;
  addAlarm(world, instance, { metric: 'CPUUtilization', over: 90, minutes: 5 });
  if (instance.type.startsWith('t')) addAlarm(world, instance, { metric: 'CPUCreditBalance', under: 20 });
  await account.run(minutes(10));
  const { last, over, rungs } = following(account, instance.id, 'cpu-exhausted');
  const calls = (operation: string) => world.calls.filter((c) => c.operation === operation);
  return { ...account, instance, id: instance.id, last, over, rungs, calls };
};

test('its credits are gone: it may use more, and undo takes that back', async () => {
  const s = await started({ make: { type: 't3.medium' } });
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([['unlimited', 'effective']]);
  expect(s.instance.credits).toBe('unlimited');
  const done = s.last()?.attempts[0];
  const remediation = (await import('../../shared/remediations/cpuExhausted.ts')).cpuExhausted;
  const { targetOf } = await import('../../shared/core/target.ts');
  const target = targetOf(s.last()?.target ?? '');
  if (!done || !remediation.undo) throw new Error('nothing to undo');
  const ports = await s.deps.reach(remediation, target, { phase: 'act', touched: [] });
  let undone = false;
  const undoing = remediation.undo(done, ports, 'undo-1').then(() => (undone = true));
  await s.run(minutes(1), () => undone);
  await undoing;
  expect(s.instance.credits).toBe('standard');
});

test('not beyond the cost cap', async () => {
  const s = await started({ make: { type: 't3.medium' }, policy: policyOf({ costCapUsdPerMonth: 10 }) });
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringMatching(/^cost: .*\$73\.00 a month/) });
  expect(s.instance.credits).toBe('standard');
});

test('a unit that runs away is watched, then restarted', async () => {
  const s = await started();
  breakLoad(s.world, s.id, { name: 'shop.service', cpuPercent: 88 });
  await s.run(hours(2), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([['restart shop.service', 'effective']]);
});

test('one that the policy does not name goes to a person, by name', async () => {
  const s = await started();
  breakLoad(s.world, s.id, { name: 'batch.service', cpuPercent: 90 });
  await s.run(hours(2), s.over);
  expect(s.last()).toMatchObject({
    state: 'escalated',
    because: expect.stringMatching(/batch\.service may not be restarted: the policy does not name it/),
  });
});

test('real demand in a group: one more, within its maximum', async () => {
  const s = await started({ of: 'web' });
  for (const i of s.fleet.web) breakLoad(s.world, i.id, { name: 'httpd.service', cpuPercent: 85 });
  await s.run(hours(1), () => (s.world.autoscaling.groups.get('web')?.desired ?? 0) > 5);
  expect(s.world.autoscaling.groups.get('web')?.desired).toBe(6);
  await s.run(minutes(5));
  expect(s.last()?.attempts[0]).toMatchObject({ rung: 'scale', plan: 'raise asg/web from 5 to 6 (its maximum is 10)' });
});

test('a group at its maximum: a person is told', async () => {
  const s = await started({ of: 'web' });
  const web = s.world.autoscaling.groups.get('web');
  if (web) web.max = 5;
  for (const i of s.fleet.web) breakLoad(s.world, i.id, { name: 'httpd.service', cpuPercent: 85 });
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({
    state: 'escalated',
    because: expect.stringContaining('asg/web is at its maximum of 5'),
  });
});

describe('neighbours take its time', () => {
  const crowded = async (given: Parameters<typeof started>[0] = {}, steal = 85) => {
    const s = await started(given);
    hostOf(s.world, s.id).stealPercent = steal;
    breakLoad(s.world, s.id, { name: 'app.service', cpuPercent: 14 });
    return s;
  };

  test('one that stands alone is stopped and started, once that is no moment’s crowd', async () => {
    const s = await crowded();
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['move', 'effective'],
      ['start', 'effective'],
    ]);
    expect((s.last()?.actedAt ?? 0) - (s.last()?.openedAt ?? 0)).toBeGreaterThan(minutes(8));
    expect(s.last()?.attempts[0]?.because).toMatch(/85 % are taken by its neighbours/);
  });

  test('a cautious policy asks; what would lose its address is asked for even by an automatic one', async () => {
    const s = await crowded({ make: { publicIp: '203.0.113.7' } });
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ state: 'asking', attempts: [], ask: { rung: 'move-with-loss' } });
    expect(s.last()?.ask?.plan).toMatch(/LOSES its public address/);
  });

  test('a member of a group that is not busy is replaced; it is over when the group is whole', async () => {
    const s = await crowded({ of: 'web', policy: policyOf({ mode: 'act' }) });
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['replace', 'effective']]);
    expect(s.world.ec2.instances.get(s.id)?.state).toBe('terminated');
  });

  test('a burstable type without credits looks the same from inside, and is not moved', async () => {
    const s = await crowded({ make: { type: 't3.medium' }, policy: policyOf({ unlimited: false }) });
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.calls('StopInstances')).toEqual([]);
  });

  test('a crowd that goes is not run from', async () => {
    const s = await crowded();
    await s.run(minutes(40), () => s.last() !== undefined);
    await s.run(minutes(3));
    hostOf(s.world, s.id).stealPercent = 2;
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
  });
});

test('its own limit holds a unit back: a person is told which, and where it is raised', async () => {
  const s = await started();
  breakLoad(s.world, s.id, { name: 'batch.service', cpuPercent: 90, cpuLimitCores: 1.8, throttledPercent: 64 });
  await s.run(hours(2), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', remedy: expect.stringContaining('CPUQuota= of the unit') });
  expect(s.last()?.because).toMatch(/batch\.service is held back by its own limit of 1\.8 cores 64 % of the time/);
});

test('it calmed down by itself: nothing is done', async () => {
  const s = await started();
  breakLoad(s.world, s.id, { name: 'batch.service', cpuPercent: 95 });
  await s.run(minutes(8), () => s.last() !== undefined);
  breakLoad(s.world, s.id, { name: 'batch.service', cpuPercent: 1 });
  await s.run(hours(1), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
});

test('how many credits are left is not known: nothing is bought', async () => {
  const s = await started({ make: { type: 't3.medium' }, publishesCredits: false });
  breakLoad(s.world, s.id, { name: 'batch.service', cpuPercent: 90 });
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
  expect(s.instance.credits).toBe('standard');
});

test('a calm look of yesterday does not hide that it runs away today', async () => {
  const s = await started();
  // An earlier incident ended by itself; its looks saw the unit at rest.
  breakLoad(s.world, s.id, { name: 'batch.service', cpuPercent: 95 });
  await s.run(minutes(15), () => s.last() !== undefined);
  breakLoad(s.world, s.id, { name: 'shop.service', cpuPercent: 2 });
  await s.run(minutes(15));
  breakLoad(s.world, s.id, { name: 'batch.service', cpuPercent: 1 });
  await s.run(hours(1), () => s.last()?.state === 'closed');
  const first = s.last()?.id;
  await s.run(hours(4));
  breakLoad(s.world, s.id, { name: 'shop.service', cpuPercent: 90 });
  await s.run(hours(1), () => s.last()?.id !== first && s.over());
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([['restart shop.service', 'effective']]);
});

test('a unit that does not come back after its restart: CPU is free, and yet it is not healthy; nothing is called put back', async () => {
  const s = await started();
  breakLoad(s.world, s.id, { name: 'shop.service', cpuPercent: 88, comesBack: false });
  await s.run(hours(2), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated' });
  expect(s.last()?.attempts[0]).toMatchObject({ rung: 'restart shop.service', effect: 'harmful' });
  expect(s.last()?.because).toMatch(/made it worse/);
  expect(s.last()?.because).not.toMatch(/it was put back/);
});

test('after its restart the agent is silent: a calm metric alone does not close it', async () => {
  const s = await started();
  breakLoad(s.world, s.id, { name: 'shop.service', cpuPercent: 88, comesBack: false });
  const restarts = () => s.calls('SendCommand').filter((c) => JSON.stringify(c.input).includes('restart-unit'));
  await s.run(hours(1), () => restarts().length > 0);
  await s.run(seconds(4));
  setAgent(s.world, hostOf(s.world, s.id), 'silent');
  await s.run(hours(1));
  expect(s.last()).toMatchObject({ state: 'escalated' });
});
