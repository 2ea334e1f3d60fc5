/** A CloudWatch agent that no longer publishes, in the world. Only a datapoint that arrives ends it. */
import { signalMessage } from '../../events/steward/signal.ts';
import { proofGroup } from '../../shared/core/agents.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { hostOf } from '../../world/fleet.ts';
import { setAgent, writeProof } from '../../world/hosts.ts';
import { makeInstance, type NewInstance } from '../../world/instances.ts';
import { shipLine } from '../../world/logs.ts';
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

/** As a survey does: asked as a matter of course. */
const look = ({ deliver, world, clock, id }: Awaited<ReturnType<typeof started>>, cause = 'it is looked over') =>
  deliver(
    signalMessage({
      kind: 'log-agent.silent',
      target: instanceTarget(world, id),
      at: clock.now(),
      cause,
      eventId: `look-${clock.now()}`,
      routine: true,
    }),
  );

test('it stopped: Steward’s own alarm says so, a restart ends it, and a datapoint proves it', async () => {
  const s = await started();
  expect([...s.world.cloudwatch.alarms.keys()]).toContain(`steward/test/${s.id}/agent silent`);
  s.host.publishes = false;
  await s.run(hours(3), s.over);
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
  await s.run(hours(3), s.over);
  expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining('cannot be seen') });
  const t = await started();
  t.host.publishes = false;
  const instance = t.world.ec2.instances.get(t.id);
  if (instance) instance.state = 'stopped';
  await t.run(hours(1), t.over);
  expect(t.last()).toMatchObject({ end: 'not-ours', attempts: [] });
});

describe('its metrics come, and its logs do not', () => {
  const GROUP = proofGroup('test');
  const DENIED =
    'E! [outputs.cloudwatchlogs] AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/web/i-0 is not authorized to perform: logs:PutLogEvents on resource: *';
  /** Its agent is Steward's, and has proven itself. */
  const proven = async (remediations: object = {}) => {
    const s = await started({ policy: { remediations: { 'unwatched-instance': { mode: 'act' }, ...remediations } } });
    Object.assign(s.host.cloudwatch, { configHash: 'of ours', proof: GROUP });
    for (let n = 0; n < 3; n++) {
      writeProof(s.world, s.host, 'beat');
      await s.run(minutes(2));
    }
    const stream = () => s.world.logs.groups.get(GROUP)?.streams.get(s.id)?.lines ?? [];
    expect(stream().length).toBeGreaterThanOrEqual(3);
    expect(s.last()).toBeUndefined();
    /** Lines are written that do not come, and then it is looked at. */
    const unheard = async () => {
      await s.run(hours(1.8));
      look(s, 'survey: no line of its agent came for two hours');
      await s.run(hours(3), s.over);
    };
    return { ...s, stream, unheard };
  };

  test('healed by a restart: found by the survey, and over when the line of the repair has come', async () => {
    const s = await proven();
    s.host.cloudwatch.logs = 'hung';
    const from = s.clock.now();
    await s.run(hours(6), s.over);
    expect(s.last()).toMatchObject({
      end: 'healthy',
      signals: { cause: 'survey: no line of its agent came for two hours' },
    });
    expect(s.rungs()).toEqual([['restart', 'effective']]);
    expect((s.last()?.openedAt ?? 0) - from).toBeLessThan(hours(4.5));
    expect(s.last()?.because).toContain('the line that the repair wrote came');
    expect(s.stream().at(-1)?.message).toContain(`${s.last()?.id}-1`);
  });

  test('healed by its part of the configuration: what others configured is not touched', async () => {
    const s = await proven();
    s.host.cloudwatch.logs = 'section';
    await s.unheard();
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['restart', 'ineffective'],
      ['prove', 'effective'],
    ]);
    expect(s.host.cloudwatch.configHash).toBe('of ours');
  });

  test('denied: a person is told which action its role lacks; once it has it, the incident ends by itself', async () => {
    const s = await proven();
    Object.assign(s.host.cloudwatch, { logs: 'denied', errors: ['E! something of the disk', DENIED, 'E! the end'] });
    await s.unheard();
    expect(s.rungs()).toEqual([
      ['restart', 'ineffective'],
      ['prove', 'ineffective'],
    ]);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: expect.stringContaining('its logs do not arrive: the line that the repair wrote'),
      remedy: expect.stringContaining('allow the role of the instance to do logs:PutLogEvents'),
    });
    s.host.cloudwatch.logs = 'arrive';
    await s.run(hours(1), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test.each([
    [
      'E! RequestError: send request failed: dial tcp 10.0.0.9:443: i/o timeout',
      /let the host reach logs\.eu-central-1/,
    ],
    ['E! ResourceNotFoundException: The specified log group does not exist', /deploy Steward again/],
    ['E! NoCredentialProviders: no valid providers in chain', /give the instance a role/],
    ['E! nobody knows', /look at its log/],
  ])('it says %s: the remedy is of that', async (error, remedy) => {
    const s = await proven();
    Object.assign(s.host.cloudwatch, { logs: 'denied', errors: [error] });
    await s.unheard();
    expect(s.last()).toMatchObject({ state: 'escalated', remedy: expect.stringMatching(remedy) });
  });

  test('a line that comes late is waited for', async () => {
    const s = await proven();
    s.host.cloudwatch.logs = 'hung';
    s.host.cloudwatch.logsLate = minutes(4);
    await s.unheard();
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([['restart', 'effective']]);
    expect((s.last()?.closedAt ?? 0) - (s.last()?.actedAt ?? 0)).toBeGreaterThan(minutes(4));
  });

  test('no line of before is taken for the one that must come, nor what others write there', async () => {
    const s = await proven();
    s.host.cloudwatch.logs = 'denied';
    const forged = () => {
      const at = new Date(s.clock.now()).toISOString();
      for (const text of [`${at.slice(0, 19)}Z 01OLD-1`, 'beat', '{"at":1}', '\u0000', `2026-01-15T00:00:00Z beat`])
        shipLine(s.world, GROUP, s.id, text);
    };
    forged();
    await s.unheard();
    expect(s.last()?.state).toBe('escalated');
  });

  test('both fail: the configuration brings back the metrics, its part the logs; both must show', async () => {
    const s = await proven();
    s.host.publishes = false;
    s.host.cloudwatch.logs = 'section';
    await s.run(hours(3), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['restart', 'ineffective'],
      ['prove', 'effective'],
    ]);
  });

  test('no line was written, so none is missed: State Manager does not reach it', async () => {
    const s = await proven();
    setAgent(s.world, s.host, 'silent');
    await s.run(hours(2));
    look(s);
    await s.run(minutes(10));
    expect(s.last()).toBeUndefined();
  });

  test('nor does that close what is known: lines were lost, and then nobody can ask the host', async () => {
    const s = await proven({ 'log-agent-silent': { mode: 'watch' } });
    s.host.cloudwatch.logs = 'denied';
    await s.run(hours(1.8));
    look(s);
    await s.run(minutes(2));
    expect(s.last()).toMatchObject({ state: 'refused' });
    setAgent(s.world, s.host, 'silent');
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      attempts: [],
      because: expect.stringContaining('cannot be seen'),
    });
  });

  test('somebody gave the agent another configuration, without our part: it is left so, and the datapoint proves it alone', async () => {
    const s = await proven();
    s.host.cloudwatch.proof = undefined;
    await s.run(hours(2));
    look(s);
    await s.run(minutes(10));
    expect(s.last()).toBeUndefined();
    s.host.publishes = false;
    await s.run(hours(3), s.over);
    expect(s.last()).toMatchObject({
      end: 'healthy',
      because: expect.stringContaining('of its logs nothing is known'),
    });
    expect(s.host.cloudwatch.proof).toBeUndefined();
  });

  test('its line waited for is not asked for by the minute: the looks of a repair', async () => {
    const s = await proven();
    s.host.cloudwatch.logs = 'hung';
    s.host.cloudwatch.logsLate = minutes(5);
    s.world.calls.length = 0;
    await s.unheard();
    const sent = s.world.calls.filter((c) => c.operation === 'SendCommand').map((c) => JSON.stringify(c.input));
    expect(sent.filter((i) => i.includes('inspect-agents'))).toHaveLength(1);
    expect(sent.filter((i) => i.includes('mend-agent'))).toHaveLength(1);
  });
});

describe('who must prove its logs', () => {
  const stream = (s: Awaited<ReturnType<typeof started>>) =>
    s.world.logs.groups.get(proofGroup('test'))?.streams.get(s.id);

  test('an agent that others configured is given nothing', async () => {
    const s = await started();
    look(s);
    await s.run(minutes(10));
    expect(s.host.cloudwatch.proof).toBeUndefined();
    expect(stream(s)).toBeUndefined();
  });

  test('unless the policy wants it of all: then our part alone is put beside theirs', async () => {
    const policy = {
      remediations: { 'unwatched-instance': { mode: 'act' }, 'log-agent-silent': { proveLogs: 'all' } },
    };
    const s = await started({ policy });
    look(s);
    await s.run(hours(3), s.over);
    expect(s.rungs()).toEqual([['prove', 'effective']]);
    expect(s.host.cloudwatch).toMatchObject({ proof: proofGroup('test'), configHash: null });
  });

  test('one that Steward configures must: a role that lets no line through is found at once', async () => {
    const s = await started();
    s.host.publishes = false;
    s.host.cloudwatch.installed = false;
    s.host.cloudwatch.logs = 'denied';
    await s.run(hours(4), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.rungs()?.[0]).toEqual(['install', 'ineffective']);
    expect(stream(s)?.lines).toEqual([]);
  });

  test('a stream that never had a line is missed by the look of the day', async () => {
    const s = await started();
    Object.assign(s.host.cloudwatch, { proof: proofGroup('test'), logs: 'hung' });
    shipLine(s.world, proofGroup('test'), s.id, 'made');
    stream(s)?.lines.splice(0);
    writeProof(s.world, s.host, 'beat');
    await s.run(hours(1.8));
    look(s);
    await s.run(hours(3), s.over);
    expect(s.rungs()).toEqual([['restart', 'effective']]);
  });

  test('off: nothing is asked of CloudWatch Logs, and nothing is given', async () => {
    const policy = {
      remediations: { 'unwatched-instance': { mode: 'act' }, 'log-agent-silent': { proveLogs: 'off' } },
    };
    const s = await started({ policy });
    s.host.publishes = false;
    s.host.cloudwatch.installed = false;
    await s.run(hours(4), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.host.cloudwatch.proof).toBeUndefined();
    expect(s.world.calls.filter((c) => /LogEvents|LogStream/.test(c.operation))).toEqual([]);
  });
});
