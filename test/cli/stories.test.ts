/** What people do with `steward`, from the first look to the end. */
import { hours, minutes } from '../../shared/core/time.ts';
import { breakDisk, hostOf } from '../../world/fleet.ts';
import { setAgent } from '../../world/hosts.ts';
import { createDesk, type Desk } from './desk.ts';

const GiB = 2 ** 30;

const sick = async (policy: object = {}) => {
  const desk = createDesk({ policy });
  const id = desk.account.fleet.web[0]?.id ?? '';
  await desk.account.run(minutes(4));
  const breaks = () => breakDisk(desk.account.world, id, { path: '/', usedPercent: 88, cleanableBytes: 3 * GiB });
  const incident = () => desk.account.incidentOf(id);
  const cleans = () =>
    desk.account.world.calls.filter(
      (c) => c.operation === 'SendCommand' && JSON.stringify(c.input).includes('clean-disk'),
    ).length;
  return { ...desk, id, breaks, incident, cleans };
};
const ASK = { remediations: { 'full-disk': { mode: 'ask' } } };
const asked = async () => {
  const s = await sick(ASK);
  s.breaks();
  await s.account.run(minutes(20), () => s.incident()?.state === 'asking');
  return { ...s, incidentId: s.incident()?.id ?? '' };
};
const parameter = (desk: Desk) => desk.account.world.ssm.parameters.get('/steward/test/drill')?.value;

describe('a question', () => {
  test('asked → approved → done', async () => {
    const s = await asked();
    const before = await s.steward('alice')('status');
    expect(before.out).toMatch(/1 waits for a person:\n.*full-disk.*clean \/\?/);
    expect((await s.steward('alice')('why', s.id)).out).toMatch(/To allow it: steward approve/);
    expect(s.cleans()).toBe(0);

    const yes = await s.steward('alice')('approve', s.incidentId);
    expect(yes).toMatchObject({ code: 0, err: '' });
    await s.account.run(minutes(20), () => s.incident()?.state === 'closed');
    expect(s.incident()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'clean /' }] });
    expect(s.cleans()).toBe(1);
    expect(
      s
        .incident()
        ?.log.filter((l) => l.what === 'answer')
        .map((l) => l.say),
    ).toEqual([expect.stringMatching(/^arn:aws:iam::\d+:user\/alice approved at 2026-01-15T.*: clean /)]);
    expect((await s.steward('bob')('approve', s.incidentId)).code).toBe(3);
  });

  test('an approval acts at once, not at the next quarter of an hour', async () => {
    const s = await asked();
    await s.account.run(minutes(1));
    await s.steward('alice')('approve', s.incidentId);
    await s.account.run(minutes(1));
    expect(s.cleans()).toBe(1);
  });

  test('denied: nothing is done, nobody is asked again, and it says who said no', async () => {
    const s = await asked();
    expect((await s.steward('bob')('deny', s.incidentId, '--reason', 'we look ourselves')).code).toBe(0);
    await s.account.run(hours(3));
    expect(s.cleans()).toBe(0);
    expect(s.incident()).toMatchObject({ state: 'escalated' });
    const why = await s.steward('alice')('why', s.incidentId);
    expect(why.out).toMatch(/bob said no to: clean .*\(we look ourselves\)/);
    expect((await s.steward('alice')('approve', s.incidentId)).code).toBe(3);
  });

  test('the one who asks cannot approve, another can', async () => {
    const s = createDesk({ policy: { remediations: { drill: { mode: 'ask' } } } });
    const found = await s.steward('alice')('doctor', '--json');
    expect(found.code).toBe(1);
    const id = found.json.incident;
    expect(found.json.checks.at(-1)).toMatchObject({ what: 'drill', is: 'wrong', remedy: `steward approve ${id}` });
    const own = await s.steward('alice')('approve', id);
    expect(own.code).toBe(3);
    expect(own.err).toMatch(/user\/alice asked for it, and the one who asks cannot approve/);
    expect(parameter(s)).toBe('broken');
    expect((await s.steward('bob')('approve', id)).code).toBe(0);
    await s.account.run(minutes(2));
    expect(parameter(s)).toBe('mended');
  });

  test('at a terminal it asks first; no is no', async () => {
    const s = await asked();
    expect(await s.steward('alice', { says: 'no' })('approve', s.incidentId)).toMatchObject({ code: 3, out: '' });
    expect(s.incident()?.approval).toBeUndefined();
    expect((await s.steward('alice', { says: 'no' })('approve', s.incidentId, '--yes')).code).toBe(0);
  });
});

describe('a pause', () => {
  test.each(['all', 'full-disk', 'asg/web', 'the instance'])('of %s stops, resuming goes on', async (what) => {
    const s = await sick();
    const scope = what === 'the instance' ? s.id : what;
    const paused = await s.steward('alice')('pause', scope, '--for', '2h', '--reason', 'load test');
    expect(paused).toMatchObject({ code: 0, err: '' });
    s.breaks();
    await s.account.run(minutes(40));
    expect(s.cleans()).toBe(0);
    expect(s.incident()).toMatchObject({ state: 'refused' });
    const why = await s.steward('bob')('why', s.id);
    expect(why.out).toMatch(/alice paused .*: load test/);
    // What a refusal names as its remedy is what one can type.
    const remedy = why.out.match(/→ steward (resume.*)/)?.[1]?.split(' ') ?? [];
    expect((await s.steward('bob')(...remedy)).out).toMatch(/1 that waited for it look again now/);
    await s.account.run(minutes(1));
    expect(s.cleans()).toBe(1);
    await s.account.run(minutes(20), () => s.incident()?.state === 'closed');
    expect(s.incident()).toMatchObject({ end: 'healthy' });
    expect(
      s
        .incident()
        ?.log.map((l) => l.say)
        .join('\n'),
    ).toMatch(/user\/bob resumed /);
  });

  test('of another group or host holds nothing back', async () => {
    const s = await sick();
    await s.steward('alice')('pause', 'asg/workers', '--reason', 'theirs');
    await s.steward('alice')('pause', s.account.fleet.web[1]?.id ?? '', '--reason', 'that one');
    s.breaks();
    await s.account.run(minutes(20), () => s.incident()?.state === 'closed');
    expect(s.incident()).toMatchObject({ end: 'healthy' });
  });

  test('ends by itself', async () => {
    const s = await sick();
    await s.steward('alice')('pause', '--for', '30m', '--reason', 'deploy');
    s.breaks();
    await s.account.run(minutes(25));
    expect(s.cleans()).toBe(0);
    await s.account.run(minutes(30), () => s.incident()?.state === 'closed');
    expect(s.incident()).toMatchObject({ end: 'healthy' });
    expect((await s.steward('alice')('status')).out).toContain('Nothing is paused.');
  });

  test('what is not paused cannot be resumed, and what is paused is named', async () => {
    const s = createDesk();
    await s.steward('alice')('pause', 'full-disk', '--reason', 'x');
    const no = await s.steward('alice')('resume');
    expect(no.code).toBe(3);
    expect(no.err).toMatch(/cannot resume all: it is not paused\n.*paused are: remediation\/full-disk/);
    expect((await s.steward('alice')('pause', 'nonsense', '--reason', 'x')).code).toBe(2);
  });
});

describe('undo', () => {
  test('of a drill that is over puts back what was, once', async () => {
    const s = createDesk();
    const { json } = await s.steward('alice')('doctor', '--json');
    expect(parameter(s)).toBe('mended');
    const undone = await s.steward('alice')('undo', json.incident, '--json');
    expect(undone.code).toBe(0);
    await s.account.run(minutes(3));
    expect(parameter(s)).toBe('broken');
    const why = await s.steward('alice')('why', undone.json.incident, '--json');
    expect(why.json.incidents[0].incident).toMatchObject({ state: 'closed', end: 'undone' });
    expect((await s.steward('alice')('why', json.incident)).out).toMatch(/person +alice asked at .* to put back/);
    const again = await s.steward('bob')('undo', json.incident);
    expect(again.code).toBe(3);
    expect(again.err).toMatch(/has put it back already/);
  });

  test('of what cannot be put back is refused, and says why', async () => {
    const s = await sick();
    s.breaks();
    await s.account.run(minutes(20), () => s.incident()?.state === 'closed');
    const no = await s.steward('alice')('undo', s.incident()?.id ?? '');
    expect(no.code).toBe(3);
    expect(no.err).toMatch(/full-disk cannot put back what it did: .+\n.*put it back by hand/);
  });
});

describe('parked events', () => {
  const parked = async () => {
    const s = createDesk();
    s.account.deliver('{"who knows":');
    await s.account.run(minutes(1));
    const { json } = await s.steward('alice')('parked', 'list', '--json');
    return { ...s, ids: json.parked.map((e: { id: string }) => e.id) as string[] };
  };
  test('are listed, shown whole, replayed and dropped', async () => {
    const s = await parked();
    expect(s.ids).toHaveLength(1);
    expect((await s.steward('alice')('status')).out).toMatch(/1 events? could not be read/);
    expect((await s.steward('alice')('parked', 'list', s.ids[0] ?? '')).out).toContain('{"who knows":');
    expect((await s.steward('alice')('parked', 'replay', '--all')).code).toBe(0);
    await s.account.run(minutes(1));
    const { json } = await s.steward('alice')('parked', 'list', '--json');
    expect(json.parked).toHaveLength(1);
    expect(json.parked[0].id).not.toBe(s.ids[0]);
    expect((await s.steward('alice')('parked', 'drop', json.parked[0].id)).code).toBe(0);
    expect((await s.steward('alice')('parked', 'list')).out).toMatch(/No event is parked/);
  });
  test('which are not there are not found; none at all is not all', async () => {
    const s = await parked();
    expect((await s.steward('alice')('parked', 'drop', 'nope')).code).toBe(4);
    expect((await s.steward('alice')('parked', 'drop')).code).toBe(2);
    expect(s.account.store.parkedEvents.size).toBe(1);
  });
});

describe('doctor', () => {
  test('all is well: the drill goes through the whole path and ends healthy', async () => {
    const s = createDesk();
    await s.account.run(minutes(2));
    const found = await s.steward('alice')('doctor');
    expect(found.out).toMatch(/✓ {2}drill .*was opened, mended in 1 step and closed healthy/);
    // The seeded fleet has hosts without an alarm, or all have one: whatever is wrong is named with its hosts.
    expect(found.code).toBe(found.out.includes('✗') ? 1 : 0);
    expect(s.account.incidents()).toMatchObject(
      [{ remediation: 'drill', end: 'healthy', askedBy: /user\/alice/ }].map((i) => ({
        ...i,
        askedBy: expect.stringMatching(i.askedBy),
      })),
    );
  });

  test('names hosts without an agent and without an alarm', async () => {
    const s = createDesk();
    const [deaf, blind] = [s.account.fleet.web[0]?.id ?? '', s.account.fleet.web[1]?.id ?? ''];
    setAgent(s.account.world, hostOf(s.account.world, deaf), 'absent');
    for (const [name, alarm] of s.account.world.cloudwatch.alarms)
      if (JSON.stringify(alarm).includes(blind)) s.account.world.cloudwatch.alarms.delete(name);
    const found = await s.steward('alice')('doctor', '--no-drill', '--json');
    expect(found.code).toBe(1);
    const check = (what: string) => found.json.checks.find((c: { what: string }) => c.what === what);
    expect(check('agents')).toMatchObject({ is: 'wrong', say: expect.stringContaining(deaf) });
    expect(check('agents').say).not.toContain(blind);
    expect(check('alarms')).toMatchObject({ is: 'wrong', say: expect.stringContaining(blind) });
  });

  test('names the permission that is missing', async () => {
    const s = createDesk();
    s.account.world.iam.roles.delete(`arn:aws:iam::${s.account.world.account}:role/steward-test-remedy-full-disk`);
    const found = await s.steward('alice')('doctor', '--no-drill', '--json');
    expect(found.code).toBe(1);
    expect(found.json.checks.find((c: { what: string }) => c.what === 'role full-disk')).toMatchObject({
      is: 'wrong',
      say: expect.stringMatching(/sts:AssumeRole.*steward-test-remedy-full-disk/),
    });
  });

  test('a drill that does not come through is told: paused, or nobody answers', async () => {
    const s = createDesk();
    await s.steward('alice')('pause', '--reason', 'night');
    const paused = await s.steward('alice')('doctor', '--json');
    expect(paused).toMatchObject({ code: 1, json: { fine: false } });
    expect(paused.json.checks.at(-1)).toMatchObject({
      is: 'wrong',
      remedy: 'steward resume',
      say: expect.stringContaining('night'),
    });

    const mute = createDesk();
    Object.assign(mute.answering.queue, { send: async () => {} });
    const silent = await mute.steward('alice')('doctor', '--json');
    expect(silent.json.checks.at(-1).say).toMatch(/nothing answered the drill's signal within 120 s|2 min/);
    mute.faults.set('steward-test-sweep', 'its role was deleted');
    mute.backlog.dead = 3;
    expect((await mute.steward('alice')('doctor', '--no-drill')).out).toMatch(
      /✗ {2}queue .*3 messages failed for good/,
    );
  });
});
