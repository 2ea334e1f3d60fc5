/** Hosts that run out of memory, in the world. */
import { StopInstancesCommand } from '@aws-sdk/client-ec2';
import { signalMessage } from '../../events/steward/signal.ts';
import { stepText } from '../../shared/core/incident.ts';
import { targetOf } from '../../shared/core/target.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { addAlarm, breakLoad, hostOf, type Load } from '../../world/fleet.ts';
import { setAgent } from '../../world/hosts.ts';
import { impair, makeInstance, type NewInstance, terminateInstance } from '../../world/instances.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, createAccount, following, SHOP } from './account.ts';

const policyOf = (settings: object = {}) => ({
  preset: 'automatic',
  remediations: { 'memory-exhausted': { restartable: ['shop', 'worker-*'], ...settings } },
});

/** A host of 8 GiB on which `load` runs, with an alarm on its memory. */
const started = async ({
  load = [],
  make = {},
  of = 'alone',
  ...options
}: AccountOptions & { load?: readonly Load[]; make?: NewInstance; of?: 'alone' | 'web' } = {}) => {
  const account = createAccount({ policy: policyOf(), ...options });
  const { world, fleet } = account;
  const made = makeInstance(world, { ...SHOP, ...make });
  const instance = of === 'alone' ? made : fleet.web[0];
  if (!instance) throw new Error('the fleet has no web server');
  const { id } = instance;
  addAlarm(world, instance, { metric: 'mem_used_percent', over: 90, namespace: 'CWAgent' });
  await account.run(minutes(4));
  for (const l of load) breakLoad(world, id, l);
  const { last, over, rungs } = following(account, id, 'memory-exhausted');
  const restarts = () =>
    world.calls.filter((c) => c.operation === 'SendCommand' && JSON.stringify(c.input).includes('restart-unit'));
  /** Someone says yes to what is asked. */
  const approve = async () => {
    const asked = last();
    if (!asked?.ask) throw new Error('nothing is asked');
    const { step, until } = asked.ask;
    const approval = { by: 'ben', at: account.clock.now(), step: stepText(step), until };
    await account.store.write({ put: { ...asked, approval } });
  };
  return { ...account, id, instance, last, over, rungs, restarts, approve };
};
const LEAK = { name: 'shop.service', mib: 6_800, mibPerMinute: 20 };

test('a leak is watched, proven and ended by a restart of the one that leaks', async () => {
  const s = await started({ load: [LEAK] });
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([['restart shop.service', 'effective']]);
  expect(s.last()?.attempts[0]?.because).toMatch(/shop\.service leaks: it grows by 1\.\d GiB an hour/);
  expect((s.last()?.closedAt ?? 0) - (s.last()?.openedAt ?? 0)).toBeLessThan(minutes(20));
});

test('a container as well', async () => {
  const s = await started({ load: [{ ...LEAK, name: 'worker-1', kind: 'container' }] });
  await s.run(hours(1), s.over);
  expect(s.rungs()).toEqual([['restart worker-1', 'effective']]);
});

test('less than 3 % are left: there is no time to watch', async () => {
  const s = await started({ load: [{ name: 'shop.service', mib: 7_200, mibPerMinute: 0.01 }] });
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({
    end: 'healthy',
    attempts: [{ because: expect.stringContaining('no time to watch') }],
  });
  expect((s.last()?.actedAt ?? 0) - (s.last()?.openedAt ?? 0)).toBeLessThan(minutes(1));
});

test('the kernel killed it, and again: an out-of-memory kill is a signal too', async () => {
  const s = await started({ load: [{ ...LEAK, mib: 6_800, mibPerMinute: 200 }] });
  await s.run(hours(2), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.last()?.attempts.length).toBeLessThan(2);
});

test('what the policy does not name is not restarted: a larger type is asked for, and made at a word', async () => {
  const s = await started({ load: [{ name: 'api.service', mib: 7_000 }] });
  await s.run(hours(2), s.over);
  const asked = s.last();
  expect(asked).toMatchObject({
    state: 'asking',
    ask: { plan: expect.stringContaining('make it m6i.xlarge (16.0 GiB)') },
  });
  expect(asked?.ask?.because).toMatch(/api\.service may not be restarted: the policy does not name it restartable/);
  await s.approve();
  await s.run(hours(1), () => s.last()?.state === 'closed');
  expect(s.last()).toMatchObject({ end: 'healthy' });
  expect(s.rungs()).toEqual([
    ['resize', 'effective'],
    ['start', 'effective'],
    ['start', 'effective'],
  ]);
  expect(s.instance).toMatchObject({ type: 'm6i.xlarge', state: 'running' });
});

test.each<[string, Load, RegExp]>([
  ['a database', { name: 'postgresql.service', mib: 6_800, mibPerMinute: 15 }, /never restarted by Steward/],
  ['what the host protects', { ...LEAK, protected: 'it is the SSM agent' }, /it is the SSM agent/],
])('%s is never restarted, whatever the policy says', async (_what, load, why) => {
  const s = await started({ load: [load], policy: policyOf({ restartable: ['*'], resize: false }) });
  await s.run(hours(2), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringMatching(why) });
  expect(s.restarts()).toEqual([]);
});

test('in an Auto Scaling group a type that is too small goes to a person, with what its launch template needs', async () => {
  const s = await started({ of: 'web', load: [{ name: 'api.service', mib: 7_000 }] });
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', remedy: expect.stringContaining('launch template of asg/web') });
});

test('it leaks again the same day: it is not restarted a second time, a person is told', async () => {
  const s = await started({ load: [{ ...LEAK, mibPerMinute: 60 }] });
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({ end: 'healthy' });
  await s.run(hours(6), () => s.last()?.state === 'escalated');
  expect(s.last()).toMatchObject({
    state: 'escalated',
    because: expect.stringMatching(/^attempts: the very same was done/),
  });
  expect(s.restarts()).toHaveLength(1);
});

test('the last member that serves is asked for', async () => {
  const s = await started({ of: 'web' });
  // One after the other: all at once would be a storm, and another guard's business.
  for (const i of s.fleet.web.slice(1)) {
    impair(s.world, i.id, { instance: true }, 'nothing');
    await s.run(minutes(40));
  }
  breakLoad(s.world, s.id, LEAK);
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({
    state: 'asking',
    because: expect.stringContaining('no other member of asg/web serves'),
  });
});

describe('bad answers', () => {
  test('garbage from the agent: a person is told, nothing is done', async () => {
    const s = await started({ load: [LEAK] });
    s.world.hostRunner = (id, document) =>
      id === s.id && document.endsWith('inspect-load')
        ? Promise.resolve({ status: 'Success', stdout: '{"version":1,"memory":"lots"}', stderr: '', exitCode: 0 })
        : undefined;
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('cannot be read') });
    expect(s.restarts()).toEqual([]);
  });
  test('a document that hangs: it is waited for, then told', async () => {
    const s = await started({ load: [LEAK] });
    s.world.hostRunner = (id, document) =>
      id === s.id && document.endsWith('restart-unit') ? new Promise(() => {}) : undefined;
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: expect.stringContaining('at work on it for more than'),
    });
    expect(s.restarts()).toHaveLength(1);
  });
  test('the agent is silent', async () => {
    const s = await started({ load: [LEAK] });
    setAgent(s.world, hostOf(s.world, s.id), 'silent');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('cannot be seen') });
  });
  test('it dies in the middle of the restart', async () => {
    const s = await started({ load: [LEAK] });
    await s.run(hours(1), () => s.restarts().length > 0);
    terminateInstance(s.world, s.instance);
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'gone' });
  });
});

describe('what a restart may not hide', () => {
  test('a unit that does not come back: memory is free, and yet it is not healthy', async () => {
    const s = await started({ load: [{ ...LEAK, comesBack: false }] });
    await s.run(hours(2), s.over);
    expect(s.rungs()).toEqual([['restart shop.service', 'harmful']]);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('made it worse') });
    breakLoad(s.world, s.id, { name: 'shop.service', mib: 400 });
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('what leaks a little is not restarted for what leaks much', async () => {
    const s = await started({
      load: [
        { name: 'shop.service', mib: 1_000, mibPerMinute: 3 },
        { name: 'api.service', mib: 5_600, mibPerMinute: 25 },
      ],
    });
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: expect.stringMatching(
        /api\.service leaks: it grows by 1\.\d GiB an hour, and may not be restarted: the policy/,
      ),
    });
    expect(s.restarts()).toEqual([]);
  });

  test.each(['shop_postgres_1', 'shop-db-1', 'ecs-shop-3-redis-b2c4'])(
    'a database in the container %s',
    async (name) => {
      const s = await started({
        load: [{ ...LEAK, name, kind: 'container' }],
        policy: policyOf({ restartable: ['*'], resize: false }),
      });
      await s.run(hours(1), s.over);
      expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining(name) });
      expect(s.restarts()).toEqual([]);
    },
  );
});

test('a unit at its own limit: a larger type would not help, and none is asked for', async () => {
  const s = await started({ load: [{ name: 'api.service', mib: 500, mibPerMinute: 100, limitMib: 900 }] });
  await s.run(minutes(5));
  s.deliver(
    signalMessage({
      kind: 'memory.oom-kill',
      target: targetOf(`arn:aws:ec2:${s.world.region}:${s.world.account}:instance/${s.id}`),
      at: s.clock.now(),
      cause: 'the kernel killed api',
      eventId: 'oom-1',
    }),
  );
  await s.run(hours(1), s.over);
  expect(s.last()).toMatchObject({
    state: 'escalated',
    because: expect.stringMatching(/killed api\.service .*its own limit of 900 MiB/),
    remedy: expect.stringContaining('MemoryMax'),
    attempts: [],
  });
});

describe('a resize that goes wrong', () => {
  const asked = async () => {
    const s = await started({ load: [{ name: 'api.service', mib: 7_000 }] });
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ state: 'asking', ask: { rung: 'resize' } });
    return s;
  };

  test('AWS has no capacity for the larger type: it runs again as what it was', async () => {
    const s = await asked();
    // It needs that much from its start on.
    Object.assign(breakLoad(s.world, s.id, { name: 'api.service' }), { baseBytes: 7_000 * 2 ** 20 });
    const noCapacity = {
      code: 'InsufficientInstanceCapacity',
      message: 'We currently do not have sufficient m6i.xlarge capacity in the Availability Zone you requested',
      status: 500,
      times: 2,
    };
    s.world.faults.failNext('ec2', 'StartInstances', noCapacity);
    await s.approve();
    await s.run(minutes(30), () => s.last()?.state === 'escalated');
    expect(s.instance).toMatchObject({ type: 'm6i.large', state: 'running' });
    expect(s.last()).toMatchObject({
      because: expect.stringMatching(/could not be started as m6i\.xlarge.*sufficient/),
    });
    expect(s.clock.now() - (s.last()?.actedAt ?? 0)).toBeLessThan(minutes(10));
  });

  test('the stop is declined: the reason is told, and nothing is called larger', async () => {
    const s = await asked();
    s.world.faults.failNext('ec2', 'StopInstances', {
      code: 'OperationNotPermitted',
      message: 'The instance has stop protection',
      status: 400,
    });
    await s.approve();
    await s.run(minutes(30), () => s.last()?.state === 'escalated');
    expect(s.last()).toMatchObject({ because: expect.stringContaining('stop protection') });
    expect(s.instance).toMatchObject({ type: 'm6i.large', state: 'running' });
  });

  test('its agent needs some minutes after the boot: nobody is called for that', async () => {
    const s = await asked();
    await s.approve();
    await s.run(minutes(20), () => s.instance.state === 'stopped');
    setAgent(s.world, hostOf(s.world, s.id), 'silent');
    await s.run(minutes(10), () => s.instance.state === 'running');
    await s.run(minutes(7));
    expect(s.last()).toMatchObject({ state: 'waiting' });
    setAgent(s.world, hostOf(s.world, s.id), 'online');
    await s.run(minutes(10), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.last()?.log.some((l) => l.what === 'escalated')).toBe(false);
  });

  test('it runs again, and someone stops it before its agent answers: that is not undone', async () => {
    const s = await asked();
    await s.approve();
    await s.run(minutes(20), () => s.instance.state === 'stopped');
    setAgent(s.world, hostOf(s.world, s.id), 'silent');
    await s.run(minutes(10), () => s.instance.state === 'running');
    const call = clientsOf(s.world).ec2.send(new StopInstancesCommand({ InstanceIds: [s.id] }));
    await s.run(minutes(30));
    await call;
    expect(s.instance.state).toBe('stopped');
    expect(s.world.calls.filter((c) => c.operation === 'StartInstances')).toHaveLength(1);
  });

  test('it dies while it is stopped', async () => {
    const s = await asked();
    await s.approve();
    await s.run(minutes(20), () => s.instance.state === 'stopping');
    expect(s.instance.state).toBe('stopping');
    terminateInstance(s.world, s.instance);
    await s.run(minutes(30), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'gone' });
  });
});

describe('it thrashes', () => {
  test('a leak that is swapped out is seen by its pressure, and ended', async () => {
    const s = await started();
    const host = hostOf(s.world, s.id);
    const unit = breakLoad(s.world, s.id, { name: 'shop.service', mib: 3_000, swapMib: 1_000 });
    host.stallPercent = 35;
    const swap = () => {
      if (unit.swapBytes === 0) host.stallPercent = 0;
      else unit.swapBytes += 30 * 2 ** 20;
      s.clock.at(s.clock.now() + minutes(1), swap);
    };
    swap();
    const target = targetOf(`arn:aws:ec2:${s.world.region}:${s.world.account}:instance/${s.id}`);
    s.deliver(signalMessage({ kind: 'memory.low', target, at: s.clock.now(), cause: 'memory', eventId: 'memory-1' }));
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['restart shop.service', 'effective']]);
    expect(s.last()?.attempts[0]?.because).toMatch(
      /work waits for it 35 % of the time.*leaks: it grows by 1\.[78] GiB an hour/,
    );
  });

  const leaking = async (stallPercent: number, more: readonly Load[] = []) => {
    const policy = policyOf({ restartable: [], mode: 'act' });
    const s = await started({ of: 'web', policy, load: [LEAK, ...more] });
    hostOf(s.world, s.id).stallPercent = stallPercent;
    await s.run(hours(1), s.over);
    return s;
  };
  test('a member in which something leaks that may not be restarted is replaced', async () => {
    const s = await leaking(40);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['replace', 'effective']]);
    expect(s.world.ec2.instances.get(s.id)?.state).toBe('terminated');
  });
  test.each<[string, number, readonly Load[]]>([
    ['nothing but the growth says so', 0, []],
    ['a database runs beside it', 40, [{ name: 'redis-server.service', mib: 50 }]],
  ])('not if %s: a person is told', async (_what, stall, more) => {
    const s = await leaking(stall, more);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toMatch(/shop\.service leaks: .* may not be restarted/);
  });
});
