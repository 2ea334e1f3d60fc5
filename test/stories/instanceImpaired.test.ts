/** Instances that fail their status checks, in the world. Each story ends with what runs, and what is said. */
import { StopInstancesCommand } from '@aws-sdk/client-ec2';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import type { ScalingGroup } from '../../world/autoscaling.ts';
import { addHost, announceForHost, failHost, placeOn } from '../../world/dedicatedHosts.ts';
import { makeTargetGroup, registerTarget } from '../../world/elb.ts';
import { beginIssue, endIssue } from '../../world/health.ts';
import { setAgent } from '../../world/hosts.ts';
import { impair, makeInstance, type NewInstance, terminateInstance } from '../../world/instances.ts';
import { addSnapshot, disableIo, loseVolume } from '../../world/volumeTroubles.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, createAccount } from './account.ts';

const automatic = { preset: 'automatic' };
const mayReplace = { ...automatic, remediations: { 'instance-impaired': { mode: 'act' } } };

/** An account that runs for some minutes, the instance `of` it, and its group. */
const started = async ({
  of = 'alone',
  make = {},
  group = {},
  ...options
}: AccountOptions & { of?: 'alone' | 'web'; make?: NewInstance; group?: Partial<ScalingGroup> } = {}) => {
  const account = createAccount({ policy: automatic, ...options });
  const { world, fleet } = account;
  const alone = makeInstance(world, {
    running: true,
    type: 'm6i.large',
    tags: { Name: 'alone', 'steward:managed': 'true' },
    ...make,
  });
  const web = world.autoscaling.groups.get('web');
  if (!web) throw new Error('the fleet has no group web');
  Object.assign(web, group);
  await account.run(minutes(4));
  const id = of === 'alone' ? alone.id : (fleet.web[0]?.id ?? '');
  const last = () =>
    account
      .incidents()
      .filter((i) => i.target.endsWith(id))
      .at(-1);
  const over = () => ['closed', 'escalated', 'asking'].includes(last()?.state ?? '');
  const rungs = () => last()?.attempts.map((a) => [a.rung, a.effect]);
  const words = () =>
    last()
      ?.log.map((l) => l.say)
      .join('\n') ?? '';
  const state = () => world.ec2.instances.get(id)?.state;
  const calls = (operation: string) => world.calls.filter((c) => c.operation === operation);
  const volume = () => [...world.ec2.volumes.values()].find((v) => v.attachment?.instanceId === id)?.id ?? '';
  const host = () => {
    const found = world.hosts.get(id);
    if (!found) throw new Error(`no host ${id}`);
    return found;
  };
  return { ...account, id, web, volume, last, over, rungs, words, state, calls, host };
};

describe('one that stands alone', () => {
  test('its own check fails: a reboot after five minutes, and it is over when both checks pass', async () => {
    const s = await started();
    impair(s.world, s.id, { instance: true });
    const ill = s.clock.now();
    await s.run(minutes(40), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['reboot', 'effective']]);
    expect((s.last()?.actedAt ?? 0) - ill).toBeGreaterThanOrEqual(minutes(5));
    expect((s.last()?.closedAt ?? 0) - ill).toBeLessThan(minutes(14));
  });

  test('a reboot does not help: other hardware does', async () => {
    const s = await started();
    impair(s.world, s.id, { instance: true }, 'restart');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['reboot', 'ineffective'],
      ['restart', 'effective'],
      ['start', 'effective'],
    ]);
  });

  test('its hardware fails: AWS’s own recovery comes first, then other hardware', async () => {
    const s = await started();
    impair(s.world, s.id, { system: true }, 'restart');
    const ill = s.clock.now();
    await s.run(hours(1), s.over);
    expect(s.rungs()).toEqual([
      ['restart', 'effective'],
      ['start', 'effective'],
    ]);
    expect((s.last()?.actedAt ?? 0) - ill).toBeGreaterThanOrEqual(minutes(10));
    expect(s.words()).toMatch(/AWS recovers it by itself/);
  });

  test('AWS recovers it meanwhile: nothing is done', async () => {
    const s = await started();
    impair(s.world, s.id, { system: true });
    await s.run(minutes(7));
    Object.assign(s.world.ec2.instances.get(s.id) ?? {}, {
      impaired: { system: false, instance: false, ebs: false },
      impairedSince: undefined,
    });
    await s.run(minutes(20), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
  });

  test('without automatic recovery it is not waited for', async () => {
    const s = await started({ make: { autoRecovery: 'disabled' } });
    impair(s.world, s.id, { system: true }, 'restart');
    const ill = s.clock.now();
    await s.run(hours(1), s.over);
    expect((s.last()?.actedAt ?? 0) - ill).toBeLessThan(minutes(7));
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('nothing helps: a person is told, and nothing is done a second time', async () => {
    const s = await started();
    impair(s.world, s.id, { instance: true }, 'nothing');
    await s.run(hours(3), s.over);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: expect.stringContaining('after it was moved to other hardware'),
    });
    expect(['RebootInstances', 'StopInstances', 'StartInstances'].map((o) => s.calls(o).length)).toEqual([1, 1, 1]);
  });

  test.each<[string, NewInstance, RegExp]>([
    ['a public address', { publicIp: '198.51.100.9' }, /LOSES its public address/],
    ['instance-store data', { type: 'm6id.large' }, /LOSES what is on its instance-store disks/],
  ])(
    'what would lose %s asks a person, and goes on at his word without a second question',
    async (_what, make, loses) => {
      const s = await started({ make });
      impair(s.world, s.id, { system: true }, 'restart');
      await s.run(hours(1), () => s.last()?.state === 'asking');
      expect(s.last()?.ask?.plan).toMatch(loses);
      const i = s.last();
      if (!i?.ask) throw new Error('nothing is asked');
      const step = JSON.stringify(i.ask.step, Object.keys(i.ask.step as object).sort());
      await s.store.write({ put: { ...i, approval: { by: 'ben', at: s.clock.now(), step, until: i.ask.until } } });
      await s.run(hours(1), () => s.last()?.state === 'closed');
      expect(s.rungs()).toEqual([
        ['restart-with-loss', 'effective'],
        ['start', 'effective'],
      ]);
      expect(s.state()).toBe('running');
    },
  );

  test('no capacity at the start: it is tried again, then a person is told that it is stopped', async () => {
    const s = await started();
    impair(s.world, s.id, { system: true }, 'restart');
    s.world.faults.failNext('ec2', 'StartInstances', { code: 'InsufficientInstanceCapacity', status: 500, times: 2 });
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.calls('StartInstances')).toHaveLength(3);
  });

  test('a freeze that begins between stop and start does not leave it stopped', async () => {
    const s = await started({ policy: { ...automatic, freeze: [{ cron: '15 8 * * *', minutes: 600 }] } });
    impair(s.world, s.id, { system: true }, 'restart');
    s.world.settle.instanceStop = minutes(3);
    await s.run(hours(2), s.over);
    expect(s.state()).toBe('running');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('a cautious policy asks before a reboot', async () => {
    const s = await started({ policy: {} });
    impair(s.world, s.id, { instance: true });
    await s.run(minutes(20), s.over);
    expect(s.last()).toMatchObject({ state: 'asking', ask: { rung: 'reboot' } });
    expect(s.calls('RebootInstances')).toEqual([]);
  });

  test('somebody stopped it meanwhile: that is his business', async () => {
    const s = await started();
    impair(s.world, s.id, { instance: true });
    await s.run(minutes(6));
    const instance = s.world.ec2.instances.get(s.id);
    if (instance) Object.assign(instance, { state: 'stopped', turn: instance.turn + 1 });
    await s.run(minutes(20), s.over);
    expect(s.calls('StartInstances')).toEqual([]);
  });

  test.each(['reboot', 'stop', 'start'])('it is terminated right after the %s', async (when) => {
    const s = await started();
    impair(s.world, s.id, when === 'reboot' ? { instance: true } : { system: true }, 'restart');
    const operation = { reboot: 'RebootInstances', stop: 'StopInstances', start: 'StartInstances' }[when] ?? '';
    await s.run(hours(1), () => s.calls(operation).length > 0);
    const instance = s.world.ec2.instances.get(s.id);
    if (instance) terminateInstance(s.world, instance);
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ end: 'gone' });
  });
});

describe('a member of an Auto Scaling group', () => {
  test('its checks fail and its agent is silent: the group replaces it, and it is over when the group is whole', async () => {
    const s = await started({ of: 'web', policy: mayReplace });
    impair(s.world, s.id, { instance: true, system: true }, 'nothing');
    setAgent(s.world, s.host(), 'silent');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['replace', 'effective']]);
    expect(s.words()).toMatch(/has 5 of 5 in service/);
    expect([...s.web.members.values()].filter((m) => m.lifecycle === 'InService')).toHaveLength(5);
  });

  test('one sign alone destroys nothing: it is rebooted, then a person is told', async () => {
    const s = await started({ of: 'web', policy: mayReplace });
    impair(s.world, s.id, { instance: true }, 'nothing');
    await s.run(hours(1), s.over);
    expect(s.rungs()).toEqual([['reboot', 'ineffective']]);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('one sign is not enough') });
    expect(s.calls('SetInstanceHealth')).toEqual([]);
  });

  test('the group notices by itself: nothing is done', async () => {
    const s = await started({ of: 'web', policy: mayReplace, group: { notices: minutes(6) } });
    impair(s.world, s.id, { system: true }, 'nothing');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
    expect(s.calls('SetInstanceHealth')).toEqual([]);
  });

  test('a lifecycle hook holds it: it is waited for', async () => {
    const s = await started({ of: 'web', policy: mayReplace, group: { hook: minutes(25) } });
    impair(s.world, s.id, { system: true, ebs: true }, 'nothing');
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.words()).toMatch(/Terminating:Wait/);
    expect(s.calls('SetInstanceHealth')).toHaveLength(1);
  });

  test('suspended processes: a person is told which', async () => {
    const s = await started({
      of: 'web',
      policy: mayReplace,
      group: { suspended: new Set(['Launch', 'HealthCheck']) },
    });
    impair(s.world, s.id, { system: true, instance: true }, 'nothing');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: expect.stringContaining('suspended Launch, HealthCheck'),
    });
  });

  test('replacing is asked for, unless the policy names the remediation', async () => {
    const s = await started({ of: 'web' });
    impair(s.world, s.id, { system: true, instance: true }, 'nothing');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'asking', ask: { rung: 'replace' } });
  });

  test('six of five thousand would be six repairs; four of five at once have one cause: nothing is rebooted, one person is told', async () => {
    const s = await started({ of: 'web', policy: mayReplace });
    for (const i of s.fleet.web.slice(0, 4)) impair(s.world, i.id, { instance: true }, 'reboot');
    await s.run(minutes(20));
    expect(s.calls('RebootInstances')).toEqual([]);
    const told = s.incidents().filter((i) => i.escalatedAt !== undefined);
    expect(told).toHaveLength(1);
    expect(told[0]?.because).toMatch(/^breaker: 4 of 5 in asg\/web fell ill/);
  });
});

describe('what AWS announces', () => {
  const retire = async (options: Parameters<typeof started>[0]) => {
    const s = await started(options);
    s.world.ec2.instances.get(s.id)?.scheduled.push({
      code: 'instance-retirement',
      description: 'The instance is running on degraded hardware',
      notBefore: s.clock.now() + 3 * 86_400_000,
    });
    await s.run(hours(1), s.over);
    return s;
  };
  test('a retirement: it moves before', async () => {
    const s = await retire({});
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['restart', 'effective'],
      ['start', 'effective'],
    ]);
  });
  test('a retirement in a group: its group replaces it', async () => {
    const s = await retire({ of: 'web', policy: mayReplace });
    expect(s.rungs()).toEqual([['replace', 'effective']]);
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });
  test('a reboot of the host is told, with its time', async () => {
    const s = await started();
    const notBefore = s.clock.now() + 2 * 86_400_000;
    s.world.ec2.instances.get(s.id)?.scheduled.push({ code: 'system-reboot', description: 'maintenance', notBefore });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: expect.stringContaining(new Date(notBefore).toISOString()),
    });
  });
});

describe('what AWS Health calls degraded, and no check shows', () => {
  const degraded = async (options: Parameters<typeof started>[0], statusCode = 'open') => {
    const s = await started(options);
    s.deliver(
      JSON.stringify({
        version: '0',
        id: 'health-1',
        'detail-type': 'AWS Health Event',
        source: 'aws.health',
        account: s.world.account,
        region: s.world.region,
        time: new Date(s.clock.now()).toISOString(),
        resources: [s.id],
        detail: {
          eventTypeCode: 'AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED',
          statusCode,
          affectedEntities: [{ entityValue: s.id }],
        },
      }),
    );
    await s.run(hours(1), s.over);
    return s;
  };
  test('it moves to other hardware, and that ends it', async () => {
    const s = await degraded({});
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['restart', 'effective'],
      ['start', 'effective'],
    ]);
    expect(s.last()?.attempts[0]?.because).toMatch(
      /degraded \(AWS Health: AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEG/,
    );
  });
  test('what is on its drives would be lost: that is asked, and stays asked though every check passes', async () => {
    const s = await degraded({ make: { type: 'm6id.large' } });
    await s.run(hours(3));
    expect(s.last()).toMatchObject({ state: 'asking', attempts: [], ask: { rung: 'restart-with-loss' } });
  });
  test('in a group its group replaces it', async () => {
    const s = await degraded({ of: 'web', policy: mayReplace });
    expect(s.rungs()).toEqual([['replace', 'effective']]);
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });
  test('one that is over opens nothing', async () => {
    const s = await degraded({}, 'closed');
    expect(s.last()).toBeUndefined();
  });
});

describe('a dedicated host', () => {
  const STOPS = ['RebootInstances', 'StopInstances', 'EnableVolumeIO'];
  /** One on a host, and another host beside. */
  const hosted = async ({
    pinned = false,
    other = {},
  }: {
    pinned?: boolean;
    other?: Parameters<typeof addHost>[1] | 'none';
  } = {}) => {
    const s = await started();
    const host = addHost(s.world);
    const beside = other === 'none' ? undefined : addHost(s.world, { autoPlacement: true, ...other });
    const instance = s.world.ec2.instances.get(s.id);
    if (!instance) throw new Error('it is gone');
    placeOn(host, instance, pinned);
    return { ...s, host, beside: beside?.id ?? '', instance };
  };

  test('it fails, and another one takes what runs on it: stopped, and started there', async () => {
    const s = await hosted();
    failHost(s.world, s.host, 'permanent-failure');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['restart', 'effective'],
      ['start', 'effective'],
    ]);
    expect(s.instance.host?.id).toBe(s.beside);
  });

  test('under assessment it is no trouble by itself; where checks fail it is left as one that has failed', async () => {
    const s = await hosted();
    s.host.state = 'under-assessment';
    await s.run(minutes(20));
    expect(s.last()).toBeUndefined();
    failHost(s.world, s.host, 'under-assessment');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.instance.host?.id).toBe(s.beside);
  });

  test.each<[string, Parameters<typeof hosted>[0] & object, RegExp]>([
    ['pinned to it', { pinned: true }, /its affinity is the dedicated host h-/],
    ['no other is there', { other: 'none' }, /no other dedicated host in eu-central-1a has auto-placement and room/],
    ['the other is in another zone', { other: { zone: 'eu-central-1b' } }, /no other dedicated host/],
    ['the other is full', { other: { capacity: 0 } }, /no other dedicated host/],
    ['the other takes only what names it', { other: { autoPlacement: false } }, /no other dedicated host/],
  ])('%s: nothing is stopped, and a person has the commands', async (_why, options, because) => {
    const s = await hosted(options);
    failHost(s.world, s.host, 'permanent-failure');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringMatching(because) });
    const fits = options.other === undefined || (options.other !== 'none' && options.other?.autoPlacement === false);
    expect(s.last()?.remedy).toBe(
      fits
        ? `stop it, aws ec2 modify-instance-placement --instance-id ${s.id} --host-id ${s.beside}, and start it`
        : `allocate another: aws ec2 allocate-hosts --instance-type m6i.large --availability-zone eu-central-1a --quantity 1; then stop it, aws ec2 modify-instance-placement --instance-id ${s.id} --host-id <the new host>, and start it`,
    );
    expect(STOPS.flatMap(s.calls)).toEqual([]);
  });

  test('AWS retires it while it still takes instances: EC2 would start it there again, so a person moves it', async () => {
    const s = await hosted();
    announceForHost(s.world, s.host, 'RETIREMENT');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('EC2 tries that first') });
    expect(s.last()?.remedy).toContain(`--host-id ${s.beside}`);
    placeOn({ ...s.host, id: s.beside }, s.instance, false);
    await s.run(minutes(30), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('maintenance of its network is told, to be let happen', async () => {
    const s = await hosted();
    announceForHost(s.world, s.host, 'NETWORK_MAINTENANCE');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', remedy: expect.stringMatching(/^let it happen, or move it/) });
    expect(STOPS.flatMap(s.calls)).toEqual([]);
  });

  test('its event is lost: the survey finds a host that has failed; one that runs elsewhere is not concerned', async () => {
    const s = await hosted({ pinned: true });
    s.host.state = 'permanent-failure';
    await s.run(minutes(7), s.over);
    expect(s.incidents().map((i) => i.target.split('/')[1])).toEqual([s.id]);
    expect(s.last()?.because).toContain('has failed for good');
  });

  test('the hosts cannot be seen: nothing is stopped', async () => {
    const s = await hosted();
    impair(s.world, s.id, { system: true }, 'restart');
    await s.run(minutes(10), () => s.last() !== undefined);
    s.world.faults.failNext('ec2', 'DescribeHosts', { kind: 'denied', times: 999 });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', remedy: expect.stringContaining('grant') });
    expect(STOPS.flatMap(s.calls)).toEqual([]);
  });
});

describe('a volume that AWS has lost', () => {
  const DAY = hours(24);
  const CHANGES = ['RebootInstances', 'StopInstances', 'StartInstances', 'SetInstanceHealth', 'EnableVolumeIO'];

  test('a person is told at once, with its snapshots, newest first; nothing is done to the instance', async () => {
    const s = await started();
    const now = s.clock.now();
    const [old, latest] = [
      addSnapshot(s.world, s.volume(), { startTime: now - 3 * DAY }),
      addSnapshot(s.world, s.volume(), { startTime: now - DAY }),
    ];
    addSnapshot(s.world, s.volume(), { state: 'pending' });
    addSnapshot(s.world, 'vol-0123456789abcdef0');
    const id = s.volume();
    loseVolume(s.world, id);
    await s.run(minutes(1), s.over);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: `AWS has lost its volume ${id} (/dev/xvda): what was on it cannot be recovered`,
    });
    expect(s.last()?.remedy).toBe(
      `restore it from its latest snapshot, ${latest.id} of ${new Date(latest.startTime).toISOString()}: aws ec2 create-volume --snapshot-id ${latest.id} --availability-zone eu-central-1a; older ones: ${old.id} of ${new Date(old.startTime).toISOString()}`,
    );
    await s.run(hours(2));
    expect(CHANGES.flatMap(s.calls)).toEqual([]);
  });

  test('without a snapshot that is said; and it is over when a person has put another in its place', async () => {
    const s = await started();
    const id = s.volume();
    loseVolume(s.world, id);
    await s.run(minutes(1), s.over);
    expect(s.last()?.remedy).toMatch(/it has no snapshot in this account/);
    s.world.ec2.volumes.delete(id);
    const instance = s.world.ec2.instances.get(s.id);
    if (instance)
      Object.assign(instance, { impaired: { system: false, instance: false, ebs: false }, impairedSince: undefined });
    await s.run(minutes(20), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('its event is lost: the survey finds it', async () => {
    const s = await started({ deaf: true });
    loseVolume(s.world, s.volume());
    await s.run(minutes(6), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('AWS has lost its volume') });
  });

  test('Health tells of it, and EC2 does not show it yet: it is told all the same', async () => {
    const s = await started();
    loseVolume(s.world, s.volume());
    const volume = s.world.ec2.volumes.get(s.volume());
    if (volume) volume.state = 'in-use';
    await s.run(minutes(1), s.over);
    expect(s.last()?.because).toContain('AWS has lost its volume');
  });

  test('its snapshots cannot be listed: that it is lost is told, and that they could not', async () => {
    const s = await started();
    s.world.faults.failNext('ec2', 'DescribeSnapshots', { kind: 'denied', times: 99 });
    loseVolume(s.world, s.volume());
    await s.run(minutes(2), s.over);
    expect(s.last()?.because).toContain('AWS has lost its volume');
    expect(s.last()?.remedy).toMatch(/could not be listed: cannot list the snapshots of vol-.*not authorized/);
  });
});

describe('a volume whose I/O AWS has disabled', () => {
  const mayEnable = { ...automatic, remediations: { 'instance-impaired': { mode: 'act', enableVolumeIo: true } } };

  test('a person is asked, even where the policy lets the remediation act; at his word it is enabled, and nothing else is done', async () => {
    const s = await started({ policy: mayReplace });
    disableIo(s.world, s.volume());
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'asking', ask: { rung: `enable-io ${s.volume()}` }, attempts: [] });
    expect(s.last()?.because).toMatch(/may be inconsistent, and AWS advises to check them first/);
    const i = s.last();
    if (!i?.ask) throw new Error('nothing is asked');
    const step = JSON.stringify(i.ask.step, Object.keys(i.ask.step as object).sort());
    await s.store.write({ put: { ...i, approval: { by: 'ben', at: s.clock.now(), step, until: i.ask.until } } });
    await s.run(minutes(30), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([[`enable-io ${s.volume()}`, 'effective']]);
    expect(s.calls('StopInstances')).toEqual([]);
  });

  test('where the policy says so it is not asked', async () => {
    const s = await started({ policy: mayEnable });
    disableIo(s.world, s.volume());
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([[`enable-io ${s.volume()}`, 'effective']]);
    expect(s.calls('EnableVolumeIO')).toHaveLength(1);
  });

  test('it does not help: a person is told, and it is not done again', async () => {
    const s = await started({ policy: mayEnable });
    const volume = s.world.ec2.volumes.get(s.volume());
    if (volume)
      Object.defineProperty(volume, 'ioDisabledAt', { get: () => s.clock.now() - 1, set: () => {}, enumerable: true });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: expect.stringContaining('enabling it did not help'),
    });
    expect(s.calls('EnableVolumeIO')).toHaveLength(1);
  });

  test('AWS declines it: a person reads why', async () => {
    const s = await started({ policy: mayEnable });
    s.world.faults.failNext('ec2', 'EnableVolumeIO', { code: 'IncorrectState', message: 'not now', status: 400 });
    disableIo(s.world, s.volume());
    await s.run(minutes(30), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.words()).toContain('not now');
  });

  test('which volumes there are cannot be seen: nothing is done to the instance either', async () => {
    const s = await started();
    impair(s.world, s.id, { ebs: true }, 'restart');
    await s.run(minutes(10), () => s.last() !== undefined);
    s.world.faults.failNext('ec2', 'DescribeVolumeStatus', { kind: 'denied', times: 999 });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [], remedy: expect.stringContaining('grant') });
  });

  test('an EBS check that fails for another reason: AWS first, then other hardware, as ever', async () => {
    const s = await started();
    impair(s.world, s.id, { ebs: true }, 'restart');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['restart', 'effective'],
      ['start', 'effective'],
    ]);
  });
});

describe('while AWS has an issue of its own there', () => {
  const ZONES = ['eu-central-1a', 'eu-central-1b'] as const;

  test('nothing is rebooted; a person reads which issue it is and since when, and it goes on when AWS closes it', async () => {
    const s = await started({ make: { zone: ZONES[0] } });
    const issue = beginIssue(s.world, { zone: ZONES[0] });
    impair(s.world, s.id, { instance: true });
    await s.run(hours(2));
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain(
      `AWS has an open issue of EC2 in ${ZONES[0]} since ${new Date(issue.startTime).toISOString()} (${issue.arn})`,
    );
    endIssue(s.world, issue);
    await s.run(minutes(30), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['reboot', 'effective']]);
  });

  test('one of the region concerns every zone; one of EBS too', async () => {
    const s = await started({ make: { zone: ZONES[1] } });
    beginIssue(s.world, { service: 'EBS' });
    impair(s.world, s.id, { system: true }, 'restart');
    await s.run(hours(1));
    expect(s.last()).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.last()?.because).toContain('an open issue of EBS in eu-central-1 since');
  });

  test('one of another zone, or one that is closed, holds nothing up', async () => {
    const s = await started({ make: { zone: ZONES[0] } });
    beginIssue(s.world, { zone: ZONES[1] });
    endIssue(s.world, beginIssue(s.world));
    impair(s.world, s.id, { instance: true });
    await s.run(minutes(40), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('it is no second sign: what one sign is not enough for stays, and what has two waits until it is closed', async () => {
    const s = await started({ of: 'web', policy: mayReplace });
    const issue = beginIssue(s.world);
    impair(s.world, s.id, { system: true }, 'nothing');
    await s.run(hours(1));
    expect(s.last()?.because).toContain('one sign is not enough');
    setAgent(s.world, s.host(), 'silent');
    await s.run(hours(1));
    expect(s.last()?.because).toContain(issue.arn);
    expect(s.calls('SetInstanceHealth')).toEqual([]);
    endIssue(s.world, issue);
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.rungs()).toEqual([['replace', 'effective']]);
  });

  test('it begins between stop and start: what is stopped is started again', async () => {
    const s = await started();
    impair(s.world, s.id, { system: true }, 'restart');
    await s.run(hours(1), () => s.calls('StopInstances').length > 0);
    beginIssue(s.world);
    await s.run(minutes(20), s.over);
    expect(s.state()).toBe('running');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test.each([
    ['the account has no Business support', 'support plan'],
    ['the role may not ask', 'not authorized'],
  ])('%s: whether there is one is not known, which is said, and holds nothing up', async (why, words) => {
    const s = await started();
    beginIssue(s.world);
    if (why.includes('support')) s.world.health.supported = false;
    else s.world.faults.failNext('health', 'DescribeEvents', { kind: 'denied', times: 999 });
    impair(s.world, s.id, { instance: true });
    await s.run(minutes(40), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.words()).toMatch(new RegExp(`whether AWS has an issue there is not known \\(.*${words}`));
  });
});

test('what is not in scope, and what cannot be seen', async () => {
  const s = await started({ make: { tags: { Name: 'alone' } } });
  impair(s.world, s.id, { instance: true });
  await s.run(minutes(20), s.over);
  expect(s.last()).toMatchObject({ end: 'not-ours', attempts: [] });

  const t = await started();
  t.world.faults.failNext('ec2', 'DescribeInstanceTypes', { kind: 'denied', times: 999 });
  impair(t.world, t.id, { instance: true });
  await t.run(minutes(30), t.over);
  expect(t.last()).toMatchObject({ state: 'escalated', remedy: expect.stringContaining('grant') });
  expect(t.calls('RebootInstances')).toEqual([]);
});

describe('what is not known, and what others do', () => {
  const stopByHand = async (s: Awaited<ReturnType<typeof started>>) => {
    const call = clientsOf(s.world).ec2.send(new StopInstancesCommand({ InstanceIds: [s.id] }));
    await s.run(seconds(2));
    await call;
  };

  test('the reply to the reboot is lost: it has its time to show before anything else is done', async () => {
    const s = await started();
    impair(s.world, s.id, { instance: true }, 'reboot');
    // AWS takes it and reboots late: the check goes on failing for two minutes.
    s.world.faults.failNext('ec2', 'RebootInstances', { kind: 'drop' });
    await s.run(minutes(20), () => s.calls('RebootInstances').length > 0);
    await s.run(minutes(2));
    expect(s.calls('StopInstances')).toEqual([]);
  });

  test('the group is told, the reply is lost, and the group takes its time: nobody is told meanwhile', async () => {
    const s = await started({ of: 'web', policy: mayReplace });
    s.world.faults.failNext('autoscaling', 'SetInstanceHealth', { kind: 'drop', afterEffect: true });
    impair(s.world, s.id, { instance: true, system: true }, 'nothing');
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.last()?.escalatedAt).toBeUndefined();
  });

  test('the load balancer finds none of the others healthy: the last that answers is not replaced without a person', async () => {
    const s = await started({ of: 'web', policy: mayReplace });
    const group = makeTargetGroup(s.world, 'web');
    s.web.targetGroups.push(group.arn);
    for (const { id, zone } of s.fleet.web) {
      if (id !== s.id) s.world.elb.sick.add(id);
      registerTarget(s.world, group, { id, port: 80, zone });
    }
    await s.run(minutes(5));
    const notBefore = s.clock.now() + hours(48);
    s.world.ec2.instances
      .get(s.id)
      ?.scheduled.push({ code: 'instance-retirement', description: 'it degrades', notBefore });
    await s.run(minutes(30), s.over);
    expect(s.last()?.attempts).toEqual([]);
    expect(s.last()).toMatchObject({ state: 'asking', because: expect.stringContaining('no other member') });
  });

  test('an agent that never was is no second sign', async () => {
    const s = await started({ of: 'web', policy: mayReplace });
    setAgent(s.world, s.host(), 'absent');
    impair(s.world, s.id, { instance: true }, 'nothing');
    await s.run(hours(1), s.over);
    expect(s.calls('SetInstanceHealth')).toEqual([]);
    expect(s.last()).toMatchObject({ state: 'escalated' });
  });

  test('moved, and still ill: whoever stops it then to look at it is not undone', async () => {
    const s = await started();
    impair(s.world, s.id, { instance: true }, 'nothing');
    await s.run(hours(2), () => s.last()?.state === 'escalated');
    await stopByHand(s);
    await s.run(hours(1));
    expect(s.calls('StartInstances')).toHaveLength(1);
    expect(s.state()).toBe('stopped');
  });

  test('AWS declines to stop it: it is said so, and whoever stops it by hand is not undone', async () => {
    const s = await started();
    s.world.faults.failNext('ec2', 'StopInstances', {
      code: 'OperationNotPermitted',
      message: "The instance may not be stopped. Modify its 'disableApiStop' instance attribute and try again.",
      status: 400,
    });
    impair(s.world, s.id, { system: true }, 'restart');
    await s.run(hours(1), () => s.last()?.state === 'escalated');
    expect(s.last()?.because).toContain('disableApiStop');
    await stopByHand(s);
    await s.run(hours(1));
    expect(s.calls('StartInstances')).toEqual([]);
  });

  const underKey = (s: Awaited<ReturnType<typeof started>>): string => {
    const key = `arn:aws:kms:${s.world.region}:${s.world.account}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
    for (const v of s.world.ec2.volumes.values()) if (v.attachment?.instanceId === s.id) v.key = key;
    return key;
  };

  test('volumes under a key of the customer’s: the start may let EC2 use it', async () => {
    const s = await started();
    const key = underKey(s);
    impair(s.world, s.id, { system: true }, 'restart');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.calls('CreateGrant')).toMatchObject([{ resources: [key], allowed: true }]);
  });

  test('the key’s own policy forbids it: the start falls back, and a person reads AWS’s words', async () => {
    const s = await started();
    underKey(s);
    for (const role of s.world.iam.roles.values())
      role.policies.push({ Statement: [{ Effect: 'Deny', Action: 'kms:CreateGrant', Resource: '*' }] });
    impair(s.world, s.id, { system: true }, 'restart');
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('cannot be started: Client.InternalError');
    expect(s.calls('StartInstances')).toHaveLength(6);
  });
});
