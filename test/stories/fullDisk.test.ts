/** Whole incidents of the remediation full-disk, in the world, with faults. Each is told by what the incident's own log says in the end. */
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { breakDisk, fileSystemOf, hostOf } from '../../world/fleet.ts';
import { setAgent } from '../../world/hosts.ts';
import { type AccountOptions, createAccount } from './account.ts';

const GiB = 2 ** 30;

/** An account that has been running for some minutes, and one of its web servers. */
const started = async (options?: AccountOptions) => {
  const account = createAccount(options);
  const id = account.fleet.web[0]?.id ?? '';
  await account.run(minutes(4));
  return { account, id };
};
const closed = ({ account, id }: Awaited<ReturnType<typeof started>>) => account.incidentOf(id)?.state === 'closed';
const state = ({ account, id }: Awaited<ReturnType<typeof started>>) => account.incidentOf(id)?.state;
const lines = ({ account, id }: Awaited<ReturnType<typeof started>>) =>
  account
    .incidentOf(id)
    ?.log.map((l) => `${l.what}: ${l.say}`)
    .join('\n') ?? '';
const modifications = ({ account }: Awaited<ReturnType<typeof started>>) =>
  account.world.calls.filter((c) => c.operation === 'ModifyVolume');
const commands = ({ account }: Awaited<ReturnType<typeof started>>, document: string) =>
  account.world.calls.filter((c) => c.operation === 'SendCommand' && JSON.stringify(c.input).includes(document));

describe('a healthy end', () => {
  test('cleaning is enough: nothing is bought', async () => {
    const s = await started();
    breakDisk(s.account.world, s.id, { path: '/', usedPercent: 88, cleanableBytes: 3 * GiB });
    await s.account.run(minutes(20), () => closed(s));
    expect(s.account.incidentOf(s.id)).toMatchObject({
      state: 'closed',
      end: 'healthy',
      attempts: [{ rung: 'clean /', effect: 'effective' }],
    });
    expect(modifications(s)).toHaveLength(0);
  });

  test('cleaning helps too little: the volume grows, then the file system, and df says so', async () => {
    const s = await started();
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93, cleanableBytes: GiB });
    await s.account.run(minutes(30), () => closed(s));
    expect(s.account.incidentOf(s.id)?.attempts.map((a) => [a.rung, a.effect, a.continues])).toEqual([
      ['clean /srv', 'effective', undefined],
      ['grow /srv', 'effective', undefined],
      ['grow /srv', 'effective', true],
    ]);
    expect(s.account.incidentOf(s.id)).toMatchObject({ end: 'healthy' });
    expect(fileSystemOf(s.account.world, s.id, '/srv').sizeBytes).toBeGreaterThan(29 * GiB);
  });

  test.each([
    ['LVM and XFS', 'workers', 0, '/scratch'],
    ['LVM and Btrfs', 'workers', 1, '/scratch'],
    ['a partition and ext4', 'web', 1, '/srv'],
  ] as const)('%s', async (_what, group, n, path) => {
    const account = createAccount();
    const id = account.fleet[group][n]?.id ?? '';
    await account.run(minutes(4));
    breakDisk(account.world, id, { path, usedPercent: 95 });
    await account.run(minutes(30), () => account.incidentOf(id)?.state === 'closed');
    expect(account.incidentOf(id)).toMatchObject({
      end: 'healthy',
      attempts: [{ rung: `grow ${path}` }, { rung: `grow ${path}`, continues: true }],
    });
  });

  test('two full disks of one host end one after the other', async () => {
    const s = await started();
    breakDisk(s.account.world, s.id, { path: '/', usedPercent: 92 });
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 95 });
    await s.account.run(hours(2), () => closed(s));
    expect(s.account.incidentOf(s.id)).toMatchObject({ end: 'healthy' });
    expect(new Set(s.account.incidentOf(s.id)?.attempts.map((a) => a.rung.split(' ')[1]))).toEqual(
      new Set(['/', '/srv']),
    );
  });

  test('inodes run out: cleaning counts files', async () => {
    const s = await started();
    breakDisk(s.account.world, s.id, { path: '/', inodesUsedPercent: 97 });
    s.account.deliver(alarmOn(s.account.world.account, s.id, 'disk_inodes_free', s.account.clock.now()));
    await s.account.run(hours(1), () => closed(s) || state(s) === 'escalated');
    expect(lines(s)).toMatch(/has used 9\d % of its inodes/);
    expect(s.account.incidentOf(s.id)).toMatchObject({ end: 'healthy' });
  });

  test('no event arrives at all: the survey finds the alarm', async () => {
    const s = await started({ deaf: true });
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93 });
    await s.account.run(minutes(40), () => closed(s));
    expect(s.account.incidentOf(s.id)).toMatchObject({ end: 'healthy' });
  });
});

describe('a refusal says why, and nothing is done', () => {
  test('an excluded instance', async () => {
    const account = createAccount();
    await account.run(minutes(4));
    breakDisk(account.world, account.fleet.legacy.id, { path: '/data', usedPercent: 95 });
    await account.run(minutes(30));
    const incident = account.incidentOf(account.fleet.legacy.id);
    expect(incident).toMatchObject({ state: 'closed', end: 'not-ours', attempts: [] });
    expect(incident?.because).toContain('steward:ignore');
  });

  test('an instance that nobody opted in: its host is not even asked, and no one is paged', async () => {
    const s = await started();
    const instance = s.account.world.ec2.instances.get(s.id);
    if (instance) delete instance.tags['steward:managed'];
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 95 });
    await s.account.run(minutes(10));
    expect(s.account.incidentOf(s.id)).toMatchObject({ state: 'closed', end: 'not-ours', attempts: [] });
    expect(s.account.incidentOf(s.id)?.because).toContain('tag it steward:managed=true');
    expect(commands(s, 'inspect-disk')).toHaveLength(0);
  });

  test('the budget of a group: the second waits until the first is healthy', async () => {
    const account = createAccount();
    const [first, , second] = account.fleet.web.map((i) => i.id) as [string, string, string];
    await account.run(minutes(4));
    breakDisk(account.world, first, { path: '/srv', usedPercent: 93 });
    breakDisk(account.world, second, { path: '/srv', usedPercent: 93 });
    await account.run(minutes(30), () => [first, second].every((id) => account.incidentOf(id)?.state === 'closed'));
    const [a, b] = [first, second].map((id) => account.incidentOf(id));
    expect([a?.end, b?.end]).toEqual(['healthy', 'healthy']);
    const [earlier, later] = [a, b].sort((x, y) => (x?.actedAt ?? 0) - (y?.actedAt ?? 0));
    expect(later?.actedAt).toBeGreaterThan(earlier?.closedAt ?? Number.POSITIVE_INFINITY);
    expect(
      later?.log.some((l) => l.what === 'refused' && l.say.includes('1 of 5 in asg/web under repair, 1 allowed')),
    ).toBe(true);
  });

  test('half of a group at once is one cause', async () => {
    const account = createAccount();
    await account.run(minutes(4));
    for (const { id } of account.fleet.web) breakDisk(account.world, id, { path: '/srv', usedPercent: 93 });
    await account.run(minutes(8));
    const incidents = account.fleet.web.map(({ id }) => account.incidentOf(id));
    expect(incidents.filter((i) => (i?.attempts.length ?? 0) > 0).length).toBeLessThanOrEqual(1);
    // One person is told once, not once for each patient.
    expect(incidents.filter((i) => i?.escalatedAt !== undefined)).toHaveLength(1);
    expect(incidents.some((i) => i?.log.some((l) => l.say.includes('fell ill within 5 min')))).toBe(true);
  });

  test('watching only: it says what it would do', async () => {
    const s = await started({ policy: { remediations: { 'full-disk': { mode: 'watch' } } } });
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93 });
    await s.account.run(minutes(20));
    expect(s.account.incidentOf(s.id)).toMatchObject({ state: 'refused', attempts: [] });
    expect(s.account.incidentOf(s.id)?.because).toMatch(/it would grow vol-\S+ under \/srv from 20 to 30 GiB/);
    expect(modifications(s)).toHaveLength(0);
    // Looking must not cause looks: the ends of its own inspections once came back as events, and each began another.
    expect(commands(s, 'inspect-disk').length).toBeLessThanOrEqual(4);
  });

  test('the cost cap', async () => {
    const s = await started({ policy: { remediations: { 'full-disk': { costCapUsdPerMonth: 0.5 } } } });
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93 });
    await s.account.run(minutes(10));
    expect(s.account.incidentOf(s.id)).toMatchObject({ state: 'escalated' });
    expect(s.account.incidentOf(s.id)?.because).toMatch(/cost: it would cost \$0\.95 a month for 10 GiB of gp3/);
  });
});

describe('what cannot be seen or done goes to a person', () => {
  test('a silent agent: waits, then a person is told; it goes on when the agent is back', async () => {
    const s = await started();
    setAgent(s.account.world, hostOf(s.account.world, s.id), 'silent');
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93 });
    // A host whose agent is silent still reports metrics here; what is missing is the way in.
    s.account.deliver(alarmOn(s.account.world.account, s.id, 'disk_used_percent', s.account.clock.now()));
    await s.account.run(minutes(40));
    expect(s.account.incidentOf(s.id)).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.account.incidentOf(s.id)?.because).toContain('agent');
    setAgent(s.account.world, hostOf(s.account.world, s.id), 'online');
    await s.account.run(hours(1), () => closed(s));
    expect(s.account.incidentOf(s.id)).toMatchObject({ end: 'healthy' });
  });

  test('the instance is terminated meanwhile: the incident ends, nothing is done', async () => {
    const s = await started();
    s.account.world.ec2.instances.get(s.id)!.state = 'terminated';
    s.account.deliver(alarmOn(s.account.world.account, s.id, 'disk_used_percent', s.account.clock.now()));
    await s.account.run(minutes(5));
    expect(s.account.outcomes.flatMap((o) => o.answers)).toContainEqual(
      expect.objectContaining({ remediation: 'full-disk', end: 'gone', attempts: 0 }),
    );
    // Thousands of signals about what is not there leave nothing behind.
    expect(s.account.incidentOf(s.id)).toBeUndefined();
  });

  test('an instance that never was', async () => {
    const s = await started();
    s.account.deliver(
      alarmOn(s.account.world.account, 'i-00000000000000000', 'disk_used_percent', s.account.clock.now()),
    );
    await s.account.run(minutes(5));
    expect(s.account.outcomes.flatMap((o) => o.answers)).toContainEqual(expect.objectContaining({ end: 'gone' }));
    expect(s.account.incidentOf('i-00000000000000000')).toBeUndefined();
  });

  test('a disk that is mounted read-only', async () => {
    const s = await started();
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93, readOnly: true });
    await s.account.run(minutes(20));
    expect(s.account.incidentOf(s.id)).toMatchObject({ state: 'escalated', attempts: [] });
    expect(s.account.incidentOf(s.id)?.because).toContain('read-only');
  });

  test.each([
    ['VolumeModificationRateExceeded', "You've reached the maximum modification rate per volume limit.", 400],
    ['VolumeModificationSizeLimitExceeded', 'The modification limit of your volumes is exceeded.', 400],
    ['IncorrectModificationState', 'The volume is still modifying.', 400],
    ['VolumeLimitExceeded', 'You have exceeded your maximum gp3 storage limit.', 400],
    ['UnauthorizedOperation', 'You are not authorized to perform this operation.', 403],
  ])('ModifyVolume is declined with %s: the reason is AWS’s own', async (code, message, status) => {
    const s = await started();
    s.account.world.faults.failNext('ec2', 'ModifyVolume', { code, message, status });
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93 });
    await s.account.run(minutes(20), () => state(s) === 'escalated');
    const incident = s.account.incidentOf(s.id);
    expect(incident).toMatchObject({ state: 'escalated', attempts: [{ outcome: { kind: 'permanent' } }] });
    expect(incident?.because).toContain(message);
    expect(incident?.remedy?.length).toBeGreaterThan(10);
    expect(modifications(s)).toHaveLength(1);
  });

  test('an instance of another account, which the policy does not name', async () => {
    const s = await started();
    s.account.deliver(alarmOn('999988887777', s.id, 'disk_used_percent', s.account.clock.now()));
    await s.account.run(minutes(5));
    const [{ answers: [answer] = [] } = {}] = s.account.outcomes.slice(-1);
    expect(answer).toMatchObject({ state: 'none', verdict: { do: 'nothing' } });
    expect(answer?.verdict.because).toContain('account 999988887777, which `accounts` in steward.yml does not name');
    expect(s.account.world.calls.filter((c) => JSON.stringify(c.input).includes('999988887777'))).toEqual([]);
  });

  test('the host does not end the command: the attempt is lost, a person is told', async () => {
    const s = await started();
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93, cleanableBytes: 6 * GiB });
    await s.account.run(minutes(20), () => commands(s, 'clean-disk').length > 0);
    setAgent(s.account.world, hostOf(s.account.world, s.id), 'silent');
    await s.account.run(hours(1), () => state(s) === 'escalated');
    expect(s.account.incidentOf(s.id)?.state).toBe('escalated');
    expect(commands(s, 'clean-disk')).toHaveLength(1);
  });
});

describe('faults', () => {
  test('the reply to ModifyVolume is lost after the effect: it is looked at, not repeated, and goes on', async () => {
    const s = await started();
    s.account.world.faults.failNext('ec2', 'ModifyVolume', { kind: 'drop', afterEffect: true });
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93 });
    await s.account.run(hours(1), () => closed(s));
    expect(s.account.incidentOf(s.id)).toMatchObject({ end: 'healthy' });
    expect(modifications(s)).toHaveLength(1);
  });

  test('the reply is lost before the effect: unknown is for a person, never repeated blindly', async () => {
    const s = await started();
    s.account.world.faults.failNext('ec2', 'ModifyVolume', { kind: 'drop' });
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93 });
    await s.account.run(hours(1));
    expect(s.account.incidentOf(s.id)).toMatchObject({
      state: 'escalated',
      attempts: [{ outcome: { kind: 'ambiguous' } }],
    });
    expect(modifications(s)).toHaveLength(1);
  });

  test('AWS throttles the change: it proved to have done nothing, so it is tried again', async () => {
    const s = await started();
    s.account.world.faults.failNext('ec2', 'ModifyVolume', { kind: 'throttle', times: 2 });
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93 });
    await s.account.run(hours(1), () => closed(s));
    expect(s.account.incidentOf(s.id)).toMatchObject({ end: 'healthy' });
    expect(modifications(s)).toHaveLength(3);
  });

  test('the same alarm three times, in three forms, is one incident', async () => {
    const s = await started();
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 93 });
    await s.account.run(minutes(3), () => s.account.incidentOf(s.id) !== undefined);
    const again = s.account.outcomes.length;
    for (let i = 0; i < 3; i++)
      s.account.deliver(alarmOn(s.account.world.account, s.id, 'disk_used_percent', s.account.clock.now()));
    await s.account.run(minutes(30), () => closed(s) && s.account.outcomes.length > again);
    expect(s.account.incidents().filter((i) => i.target.endsWith(s.id))).toHaveLength(1);
    expect(modifications(s)).toHaveLength(1);
  });

  test('a clean-up that frees nothing does not run twice', async () => {
    const s = await started({ policy: { remediations: { 'full-disk': { grow: false } } } });
    breakDisk(s.account.world, s.id, { path: '/srv', usedPercent: 99, cleanableBytes: GiB });
    await s.account.run(hours(3));
    expect(commands(s, 'clean-disk')).toHaveLength(1);
    expect(s.account.incidentOf(s.id)).toMatchObject({ state: 'escalated' });
  });

  test('a file that grows all the time is named, and growing is said to buy time only', async () => {
    const s = await started();
    breakDisk(s.account.world, s.id, {
      path: '/srv',
      usedPercent: 90,
      growing: { path: '/srv/app/debug.log', bytes: GiB, bytesPerSecond: 200_000 },
    });
    await s.account.run(minutes(30), () => closed(s));
    expect(lines(s)).toContain('That only buys time: /srv/app/debug.log grows by');
  });
});

/** The alarm as SNS delivers it, made by hand: for alarms that the fleet does not have. */
const alarmOn = (account: string, instanceId: string, metric: string, at: number): string =>
  JSON.stringify({
    AlarmName: `${metric} of ${instanceId}`,
    AlarmArn: `arn:aws:cloudwatch:eu-central-1:${account}:alarm:${metric}-${instanceId}`,
    AWSAccountId: account,
    NewStateValue: 'ALARM',
    NewStateReason: 'Threshold Crossed',
    StateChangeTime: new Date(at - seconds(1)).toISOString().replace('Z', '+0000'),
    Trigger: { MetricName: metric, Namespace: 'CWAgent', Dimensions: [{ name: 'InstanceId', value: instanceId }] },
  });
