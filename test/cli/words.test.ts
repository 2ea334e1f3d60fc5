/** What the CLI takes and gives: words, JSON, exit codes, and what it looks like. */
import { minutes } from '../../shared/core/time.ts';
import { breakDisk, hostOf } from '../../world/fleet.ts';
import { setAgent } from '../../world/hosts.ts';
import { createDesk } from './desk.ts';

const busy = async () => {
  const desk = createDesk({ policy: { remediations: { 'full-disk': { mode: 'ask' } } } });
  const id = desk.account.fleet.web[0]?.id ?? '';
  await desk.account.run(minutes(4));
  breakDisk(desk.account.world, id, { path: '/', usedPercent: 88, cleanableBytes: 3 * 2 ** 30 });
  await desk.account.run(minutes(20), () => desk.account.incidentOf(id)?.state === 'asking');
  desk.account.deliver('not JSON');
  await desk.account.run(minutes(1));
  return { ...desk, id, incident: desk.account.incidentOf(id)?.id ?? '' };
};

test('every command speaks JSON, and nothing else, when asked to', async () => {
  const s = await busy();
  const commands = [
    ['status'],
    ['incidents'],
    ['incidents', '--recent'],
    ['incidents', '--target', s.id],
    ['incidents', '--group', 'asg/web'],
    ['why', s.id],
    ['why', s.incident, '--quick'],
    ['plan', s.id],
    ['plan', s.incident, '--remediation', 'full-disk'],
    ['pause', '--for', '2h', '--reason', 'x'],
    ['resume'],
    ['deny', s.incident],
    ['parked', 'list'],
    ['parked', 'replay', '--all'],
    ['doctor'],
  ];
  for (const argv of commands) {
    const said = await s.steward('alice')(...argv, '--json');
    expect([argv.join(' '), said.err, typeof said.json]).toEqual([argv.join(' '), '', 'object']);
    expect([argv.join(' '), said.code]).toEqual([argv.join(' '), 0]);
  }
  const no = await s.steward('alice')('approve', s.incident, '--json');
  expect(no).toMatchObject({
    code: 3,
    err: '',
    json: { error: { kind: 'refused', message: expect.stringContaining(s.incident) } },
  });
});

describe('exit codes', () => {
  const s = createDesk();
  test.each<[number, string]>([
    [0, 'status'],
    [0, '--help'],
    [0, 'pause --help'],
    [2, ''],
    [2, 'staus'],
    [2, 'status --nonsense'],
    [2, 'why'],
    [2, 'why nonsense'],
    [2, 'plan arn:aws:s3:::bucket'],
    [2, 'plan vol-0abc1234'],
    [2, 'pause'],
    [2, 'pause --reason x --for 2'],
    [2, 'pause --reason x --for 400d'],
    [2, 'pause --reason x --for 0m'],
    [2, 'incidents --limit 501'],
    [2, 'parked replay'],
    [3, 'resume'],
    [4, 'why 01KAQX4T2D6N8J0V5R3F7G9H1K'],
    [4, 'approve 01KAQX4T2D6N8J0V5R3F7G9H1K'],
    [4, 'undo no-such-thing'],
    [4, 'parked drop no-such-thing'],
  ])('%i: steward %s', async (code, words) => {
    const said = await s.steward('alice')(...words.split(' ').filter(Boolean));
    expect(said.code).toBe(code);
    // Whoever is refused is told so, and never by a stack trace.
    if (code > 0) expect(said.err).not.toBe('');
    expect(said.err + said.out).not.toMatch(/\n\s+at /);
  });
});

test('what a person sees at three in the morning', async () => {
  const s = await busy();
  const { out } = await s.steward('alice', { width: 100 })('why', s.id);
  expect(out).toMatchInlineSnapshot(`
"full-disk on i-a08ff49b6f7726327: waits for your yes or no
  wants to  clean /: package-cache 310 MiB, journal 480 MiB, rotated-logs 220 MiB, core-dumps 90
            MiB, rotated-logs 3.0 GiB
  because   / is 87 % full, and 4.1 GiB can go without loss
  seen      / is 87 % full (xfs, 8.0 GiB, vol-3c25632b92409d3fb)
  since     2026-01-15 08:07:00 UTC, 64 s ago
  group     asg/web, 5 members
  incident  01J00000000000000000000001

What happened
  08:07:00        told       alarm disk web-1 / went to ALARM: Threshold Crossed: 2 out of the last
                             3 datapoints [87.99999999062827 (15/01/26 08:06:00), 87.99999999062827
                             (15/01/26 08:05:00)] were greater than the threshold (85.0) (minimum 2
                             datapoints for OK -> ALARM transition).
  08:07:00        saw        / is 87 % full (xfs, 8.0 GiB, vol-3c25632b92409d3fb)
  08:07:03  +4 s  held back  mode refused to clean /: a person must approve it: clean /. To allow
                             it: steward approve 01J00000000000000000000001

What the guards say now
  ✓  switch    nothing is paused
  ✓  scope     it carries steward:managed=true
  ✓  snooze    nobody snoozed it
  ✗  mode      a person must approve it: clean /
               → steward approve 01J00000000000000000000001
  ✓  age       the signal was 0 s old when it came
  ✓  window    no freeze
  ✓  attempts  attempt 1 of 3 in 24 h
  ✓  budget    0 of 5 in asg/web under repair, 1 allowed
  ✓  serving   it interrupts nothing
  ✓  breaker   no storm in its group or its zone
  ✓  cost      it costs nothing
  ✓  lease     no one else is at work on it

What comes next
  It will clean /, once a person says yes. It looks again in 15 min, at 08:23:07.
  To allow it: steward approve 01J00000000000000000000001
  To forbid it: steward deny 01J00000000000000000000001
  To stop it: steward pause i-a08ff49b6f7726327 --reason '…'
"
`);
});

test('colour only where it is wanted', async () => {
  const s = createDesk();
  expect((await s.steward('alice')('status')).out).not.toContain('\u001b[');
  expect((await s.steward('alice', { colors: true })('status')).out).toContain('\u001b[');
  expect((await s.steward('alice', { colors: true })('status', '--no-color')).out).not.toContain('\u001b[');
});

test('lines end where the terminal does, but commands stay whole', async () => {
  const s = await busy();
  const { out } = await s.steward('alice', { width: 80 })('why', s.id);
  expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(out).toContain(`steward approve ${s.incident}`);
});

test('a target that is excluded says so, and what it would take', async () => {
  const s = createDesk();
  const { id } = s.account.fleet.legacy;
  breakDisk(s.account.world, id, { path: '/data', usedPercent: 95 });
  const { out, code } = await s.steward('alice')('plan', id);
  expect(out).toContain('it carries the tag steward:ignore; to let Steward act, remove the tag steward:ignore');
  expect([code, s.account.incidents()]).toEqual([0, []]);
});

test('what a person must do is said once', async () => {
  const s = createDesk();
  const id = s.account.fleet.web[0]?.id ?? '';
  setAgent(s.account.world, hostOf(s.account.world, id), 'absent');
  await s.account.run(minutes(4));
  breakDisk(s.account.world, id, { path: '/', usedPercent: 95 });
  await s.account.run(minutes(30));
  const { out } = await s.steward('alice')('why', id);
  expect(out).toMatch(/needs a person\n {2}because +no SSM agent/);
  expect(out).toMatch(/What comes next\n {2}A person is needed. What to do: install or restart the SSM agent/);
});
