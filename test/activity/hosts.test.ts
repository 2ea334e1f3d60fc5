/** Hosts and what they ship: each line found by whom and what it names, gaps and made-up lines told, sessions with a start, an end and the state of their content. */
import fc from 'fast-check';
import { type HostEvent, readHostLine } from '../../shared/activity/hostLine.ts';
import { hearEnd, hearLine, hostsReport, NO_HOSTS, SILENT } from '../../shared/activity/hosts.ts';
import { readActivity } from '../../shared/activity/record.ts';
import { type ApiFact, type HostSession, sessionsOf } from '../../shared/activity/sessions.ts';
import { hours, minutes, seconds, type Time } from '../../shared/core/time.ts';
import { aHost, BOOT, eventOf, FROM, HOST, journal, own, rawOf, visit } from './hostLines.ts';
import { aLog, allRows, NOW } from './setting.ts';

/** A batch of its own for each. */
const shipped = (payloads: readonly object[], host = aHost()): string[] => payloads.flatMap((p) => host.ship(p));
const heard = (lines: readonly string[], at: Time = NOW + hours(1), state = NO_HOSTS) =>
  lines.reduce((s, line) => hearLine(s, eventOf(line), at), state);
const ALL = { from: 0, to: NOW + hours(48) };
const SOON = { now: NOW + hours(1) + minutes(5) };

describe('a line in the log', () => {
  test('is found by user, key, address, host, session, target user and program; its bytes are as they came', async () => {
    const log = aLog();
    const lines = aHost().ship(...visit());
    await log.writer.append(
      'host',
      lines.map((l) => rawOf(l)),
    );
    const what = async (query: object) => (await allRows(log, query)).map((r) => r.activity.what).sort();
    expect(await what({ actor: 'SHA256:Ab+/9' })).toEqual(['host:Login']);
    expect(await what({ ip: '198.51.100.7' })).toEqual(['host:Login']);
    expect(await what({ actor: 'anna', action: 'host:Sudo' })).toEqual(['host:Sudo', 'host:Sudo']);
    expect(await what({ resource: '/usr/sbin/reboot' })).toEqual(['host:Sudo']);
    expect(await what({ resource: HOST })).toHaveLength(6);
    expect(await what({ resource: `${HOST}/9f3c2a10/5` })).toEqual([
      'host:CloseSession',
      'host:NewSession',
      'host:Sudo',
      'host:Sudo',
    ]);
    expect(await what({ resource: `${HOST}/9f3c2a10/pid-812` })).toEqual([
      'host:CloseSession',
      'host:Login',
      'host:NewSession',
      'host:OpenSession',
    ]);
    const rows = await allRows(log, { action: 'host:' });
    expect(rows.map((r) => JSON.parse(Buffer.from(r.raw).toString()).hostLine).sort()).toEqual([...lines].sort());
  });

  test('sent again is the same event; another one under its number is kept and flagged', async () => {
    const log = aLog();
    const [first = '', second = ''] = aHost().ship(...visit().slice(0, 2));
    expect(await log.writer.append('host', [rawOf(first), rawOf(second), rawOf(first)])).toMatchObject({
      written: 2,
      known: 1,
    });
    expect(await log.writer.append('host', [rawOf(second)])).toMatchObject({ written: 0, known: 1 });
    const forged = second.replace('anna', 'nobody');
    expect(await log.writer.append('host', [rawOf(forged)])).toMatchObject({ written: 1, conflicts: 1 });
  });

  test.each([
    ['no JSON', 'Accepted publickey for root', 'Unreadable', 'it is no JSON object'],
    ['a number', '7', 'Unreadable', 'it is no JSON object'],
    ['cut off', aHost().ship(own('beat', NOW))[0]?.slice(0, 60) ?? '', 'Unreadable', 'it is no JSON object'],
    ['of a newer version', '{"v":2}', 'Unreadable', 'it is of version 2, which is not known'],
    [
      'another host’s',
      aHost({ host: 'i-0other' }).ship(own('beat', NOW))[0] ?? '',
      'Foreign',
      'it says that it is of "i-0other"',
    ],
    ['without a number', `{"v":1,"host":"${HOST}","line":{}}`, 'Line', 'it has no number'],
    [
      'with an odd number',
      `{"v":1,"host":"${HOST}","chain":"c0ffee00","seq":-1,"line":{}}`,
      'Line',
      'it has no number',
    ],
  ])('%s: kept, flagged, and counted for nobody', async (_, line, what, trouble) => {
    const event = eventOf(line);
    expect(event).toMatchObject({ is: { what }, trouble });
    expect(event.numbered).toBeUndefined();
    const log = aLog();
    expect(await log.writer.append('host', [rawOf(line)])).toMatchObject({ written: 1 });
    expect((await allRows(log, { resource: HOST })).map((r) => r.activity.what)).toEqual([`host:${what}`]);
    expect(hostsReport(heard([line]), ALL, SOON).findings).toEqual([
      { host: HOST, because: trouble, from: expect.any(Number), to: expect.any(Number) },
    ]);
  });

  test.each([
    [{ _EXE: '/usr/bin/logger' }, '/usr/bin/logger wrote this as sshd'],
    [{ _EXE: '/tmp/sshd' }, '/tmp/sshd wrote this as sshd'],
    [{ _EXE: '/home/eve/usr/sbin/sshd' }, '/home/eve/usr/sbin/sshd wrote this as sshd'],
    [{ _EXE: undefined, _COMM: 'logger' }, 'logger wrote this as sshd'],
    // It has ended: the kernel's word on the user is all that there is.
    [{ _EXE: undefined, _UID: '1000' }, 'user 1000 wrote this as sshd'],
    [{ _UID: '1000' }, 'user 1000 wrote this as sshd'],
  ])('what another than sshd says in its name is no login: %j', (more, trouble) => {
    const [line = ''] = aHost().ship(
      journal('sshd', 'Accepted password for root from 192.0.2.1 port 1 ssh2', NOW, more),
    );
    expect(eventOf(line)).toMatchObject({ is: { what: 'Unproven', error: 'Unproven' }, trouble });
    expect(eventOf(line).is.user).toBeUndefined();
    expect(sessionsOf({ lines: [eventOf(line)], facts: [] }, { hosts: {}, now: NOW })).toEqual([]);
  });

  test('sshd’s process of the user ends its own session, and no other', () => {
    const child = { _UID: '1000', _EXE: undefined, _COMM: 'sshd', _PID: '820' };
    const gone = (session: string) =>
      journal('sshd', 'Disconnected from user anna 198.51.100.7 port 50022', NOW + minutes(2), {
        ...child,
        _AUDIT_SESSION: session,
      });
    const endOf = (session: string) => {
      const events = aHost()
        .ship(...visit().slice(0, 3), gone(session))
        .map((l) => eventOf(l));
      expect(events.at(-1)).toMatchObject({ is: { what: 'Disconnect' } });
      expect(events.at(-1)?.trouble).toBeUndefined();
      return sessionsOf({ lines: events, facts: [] }, { hosts: {}, now: NOW + minutes(3) })[0]?.end?.because;
    };
    expect(endOf('5')).toBe('the connection ended');
    expect(endOf('6')).toBeUndefined();
  });

  test('text that journald gives as bytes is text', () => {
    const bytes = [...Buffer.from('New session 5 of user ubuntu.')];
    const [line = ''] = aHost().ship(
      journal('systemd-logind', '', NOW, { MESSAGE: bytes, _EXE: '/lib/systemd/systemd-logind' }),
    );
    expect(eventOf(line).is).toMatchObject({ what: 'NewSession', user: 'ubuntu' });
  });

  test('any text is an event, and never an error', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.jsonValue().map((v) => JSON.stringify({ v: 1, host: HOST, chain: 'c0ffee00', seq: 1, line: v })),
          fc.jsonValue().map((v) => JSON.stringify({ v: 1, host: HOST, line: { journal: v, audit: v, steward: v } })),
        ),
        (text) => {
          const event = readHostLine(text, FROM);
          expect(readActivity(rawOf(text)).what).toBe(`host:${event.is.what}`);
          expect(readActivity(rawOf(text)).resources[0]).toBe(HOST);
          expect(hearLine(NO_HOSTS, event, NOW).hosts[HOST]).toBeDefined();
        },
      ),
    );
  });
});

describe('numbers', () => {
  const lines = (count: number, host = aHost()): string[] =>
    Array.from({ length: count }, (_, n) => host.ship(own('beat', NOW + minutes(n)))).flat();

  test('all there: nothing to say', () => {
    expect(hostsReport(heard(lines(40)), ALL, SOON)).toEqual({ hosts: 1, silent: [], findings: [], more: 0 });
  });

  test('whatever is missing is named, in whatever order the others come; what comes late fills it', () => {
    const all = lines(30);
    fc.assert(
      fc.property(
        fc
          .subarray(all, { minLength: 1 })
          .chain((some) => fc.tuple(fc.constant(some), fc.shuffledSubarray(some, { minLength: some.length }))),
        ([some, shuffled]) => {
          const there = new Set(some.map((l) => eventOf(l).numbered?.seq ?? 0));
          const last = Math.max(...there);
          const missing = Array.from({ length: last }, (_, n) => n + 1).filter((n) => !there.has(n));
          const { findings } = hostsReport(heard(shuffled), ALL, { ...SOON, most: 100 });
          const named = findings.flatMap(({ because }) => {
            const [, from, to] = /^lines? (\d+)(?: to (\d+))? never came$/.exec(because) ?? [];
            const first = Number(from);
            return Array.from({ length: Number(to ?? from) - first + 1 }, (_, n) => first + n);
          });
          expect(named.sort((a, b) => a - b)).toEqual(missing);
          expect(hostsReport(heard(shuffled), ALL, SOON)).toEqual(hostsReport(heard(some), ALL, SOON));
          const rest = all.slice(0, last).filter((l) => !some.includes(l));
          expect(hostsReport(heard([...shuffled, ...rest]), ALL, SOON).findings).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('what is only late is no gap yet', () => {
    const [one = '', , three = ''] = lines(3);
    const now = NOW + minutes(10);
    expect(hostsReport(heard([one, three], now), ALL, { now }).findings).toEqual([]);
    expect(hostsReport(heard([one, three], now), ALL, { now: NOW + minutes(20) }).findings).toHaveLength(1);
  });

  test('a gap is told of the time between its neighbours, and of no other', () => {
    const [one = '', , three = ''] = lines(3);
    const at = { from: NOW, to: NOW + minutes(2) };
    const state = heard([one, three]);
    expect(hostsReport(state, ALL, SOON).findings).toEqual([{ host: HOST, because: 'line 2 never came', ...at }]);
    expect(hostsReport(state, { from: NOW + minutes(3), to: NOW + hours(2) }, SOON).findings).toEqual([]);
    expect(hostsReport(state, { ...ALL, of: ({ host }) => host !== HOST }, SOON)).toMatchObject({
      hosts: 0,
      findings: [],
    });
  });

  test('numbers that begin anew are told; so is one that comes twice', () => {
    const again = lines(2, aHost({ chain: 'deadbeef' }));
    const both = heard([...lines(3), ...again.map((l) => l)]);
    expect(hostsReport(both, ALL, SOON).findings.map((f) => f.because)).toEqual([
      'its numbers began anew: what was before may lack its end',
    ]);
    const [first = ''] = lines(1);
    const twice = heard([first, first.replace('"beat"', '"stop"')]);
    expect(hostsReport(twice, ALL, SOON).findings.map((f) => f.because)).toContain(
      'another line with the number 1 came',
    );
  });

  test('a clock that is ahead, and lines that the shipper itself has lost, are told', () => {
    const host = aHost();
    const [ahead = '', lost = ''] = host.ship(
      own('beat', NOW + hours(3)),
      own('lost', NOW, 'the journal was cut before it was read'),
    );
    const state = heard([ahead, lost], NOW);
    expect(
      hostsReport(state, ALL, { now: NOW })
        .findings.map((f) => f.because)
        .sort(),
    ).toEqual(['its clock is ahead', 'the journal was cut before it was read']);
  });
});

describe('sums', () => {
  const batches = (): string[][] => {
    const host = aHost();
    return [host.ship(...visit().slice(0, 3)), host.ship(own('beat', NOW)), host.ship(...visit().slice(3))];
  };
  const told = (lines: readonly string[]) => hostsReport(heard(lines), ALL, SOON).findings.map((f) => f.because);

  test('true lines are true in any order', () => {
    const all = batches().flat();
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (lines) => {
        expect(told(lines)).toEqual([]);
        const { chains } = heard(lines).hosts[HOST] ?? { chains: [] };
        // Nothing is kept of batches that were looked at.
        expect(chains.map((c) => [Object.keys(c.hashes), Object.keys(c.batches), Object.keys(c.befores)])).toEqual([
          [[], [], []],
        ]);
      }),
      { numRuns: 50 },
    );
  });

  test('any other word in any line is noticed', () => {
    const all = batches().flat();
    for (const [n, line] of all.entries()) {
      const changed = line.replace(/anna|"beat"/, (word) => (word === 'anna' ? 'otto' : '"start"'));
      expect(changed).not.toBe(line);
      expect(told(all.with(n, changed))).toEqual([
        expect.stringMatching(/are not what the host’s own sum of them says/),
      ]);
    }
  });

  test('a batch that somebody made up, sum and all, does not continue the one before', () => {
    const [first = [], , third = []] = batches();
    const forger = aHost();
    for (const _ of first) forger.ship(own('beat', NOW));
    const [forged = ''] = forger.ship(own('beat', NOW + seconds(1)));
    expect(told([...first, forged, ...third])).toEqual(
      expect.arrayContaining([expect.stringMatching(/^line \d+ does not continue line \d+/)]),
    );
  });
});

describe('silence', () => {
  const beats = (to: Time): string[] => {
    const host = aHost();
    return Array.from({ length: Math.floor((to - NOW) / minutes(30)) + 1 }, (_, n) =>
      host.ship(own('beat', NOW + minutes(30 * n))),
    ).flat();
  };
  const heardAsSaid = (lines: readonly string[]) =>
    lines.reduce((s, l) => hearLine(s, eventOf(l), eventOf(l).time + seconds(20)), NO_HOSTS);

  test('two beats that do not come are silence; one is not', () => {
    const state = heardAsSaid(beats(NOW + hours(3)));
    const last = NOW + hours(3);
    expect(hostsReport(state, ALL, { now: last + minutes(35) }).silent).toEqual([]);
    expect(hostsReport(state, ALL, { now: last + SILENT + minutes(1) }).silent).toEqual([{ host: HOST, since: last }]);
  });

  test('who said that he ends, or was ended, is not silent; who came again is', () => {
    const host = aHost();
    const lines = [...host.ship(own('beat', NOW)), ...host.ship(own('stop', NOW + minutes(5)))];
    const late = { now: NOW + hours(9) };
    expect(hostsReport(heardAsSaid(lines), ALL, late).silent).toEqual([]);
    const back = [...lines, ...host.ship(own('start', NOW + minutes(20)))];
    expect(hostsReport(heardAsSaid(back), ALL, late).silent).toHaveLength(1);
    // Renewed within a second: the numbers tell what was last.
    const restarted = aHost();
    const again = restarted.ship(own('stop', NOW), own('start', NOW));
    expect(hostsReport(heardAsSaid(again), ALL, late).silent).toHaveLength(1);
    const ended = hearEnd(heardAsSaid(back), [HOST, 'i-0unknown'], NOW + minutes(30));
    expect(hostsReport(ended, ALL, late).silent).toEqual([]);
    expect(Object.keys(ended.hosts)).toEqual([HOST]);
    expect(hostsReport(ended, { from: NOW + hours(1), to: NOW + hours(2) }, late).hosts).toBe(0);
  });
});

describe('sessions', () => {
  const sessionsIn = (
    payloads: readonly object[],
    more: { facts?: readonly ApiFact[]; now?: Time; ended?: Time } = {},
  ): HostSession[] => {
    const events = shipped(payloads).map((l) => eventOf(l));
    const now = more.now ?? NOW + minutes(10);
    let state = events.reduce((s, e) => hearLine(s, e, e.time + seconds(20)), NO_HOSTS);
    if (more.ended !== undefined) state = hearEnd(state, [HOST], more.ended);
    return sessionsOf({ lines: events, facts: more.facts ?? [] }, { hosts: state.hosts, now });
  };

  test('by ssh: who, by which key, from where, from when to when, what was run as whom', () => {
    expect(sessionsIn(visit())).toEqual([
      {
        id: `${HOST}/9f3c2a10/5`,
        host: HOST,
        kind: 'ssh',
        who: 'anna',
        by: 'key SHA256:Ab+/9',
        ip: '198.51.100.7',
        behind: [],
        from: NOW,
        end: { at: NOW + minutes(1), synthetic: false, because: 'it was closed' },
        content: { is: 'not recorded', because: expect.stringContaining('sshd records no content') },
        ran: [
          { at: NOW + seconds(20), what: 'Sudo', command: '/usr/bin/systemctl stop auditd', as: 'root' },
          { at: NOW + seconds(30), what: 'Sudo', command: '/usr/sbin/reboot', as: 'root' },
        ],
      },
    ]);
  });

  test('two at once are told apart by the kernel’s number, not by their names', () => {
    const other = visit(NOW + seconds(5), { pid: 840, session: '6', ip: '203.0.113.9' });
    const both = sessionsIn([...visit(), ...other]);
    expect(both.map((s) => [s.id, s.ip, s.ran.length])).toEqual([
      [`${HOST}/9f3c2a10/6`, '203.0.113.9', 2],
      [`${HOST}/9f3c2a10/5`, '198.51.100.7', 2],
    ]);
  });

  test('a number that sshd’s process has from whoever started it is not the session’s', () => {
    const at = (payloads: readonly object[], n: number, session: string) =>
      payloads.with(n, { journal: { ...(payloads[n] as { journal: object }).journal, _AUDIT_SESSION: session } });
    // Without logind, and with journald's memory of the process.
    const stale = at(at(visit(), 0, '2'), 1, '2').toSpliced(2, 1);
    const other = at(at(visit(NOW + minutes(2), { pid: 840, session: '6', user: 'otto' }), 0, '2'), 1, '2').toSpliced(
      2,
      1,
    );
    expect(sessionsIn([...stale, ...other]).map((s) => [s.id, s.who, s.ran.length])).toEqual([
      [`${HOST}/9f3c2a10/6`, 'otto', 2],
      [`${HOST}/9f3c2a10/5`, 'anna', 2],
    ]);
  });

  test('a session that showed no number has what was run in its user’s name, as one that nobody proves; one that did has not', () => {
    const bare = visit()
      .toSpliced(2, 1)
      .map((p) => {
        const { _AUDIT_SESSION, ...rest } = (p as { journal: Record<string, unknown> }).journal;
        return { journal: rest['SYSLOG_IDENTIFIER'] === 'sshd' ? rest : { ...rest, _AUDIT_SESSION } };
      });
    expect(sessionsIn(bare)[0]?.ran.map((r) => r.unsure)).toEqual([true, true]);
    const cron = journal('sudo', ' anna : PWD=/ ; USER=root ; COMMAND=/bin/id', NOW + seconds(40), {
      _UID: '1000',
      _AUDIT_SESSION: '77',
    });
    expect(sessionsIn([...visit(), cron])[0]?.ran.map((r) => r.command)).not.toContain('/bin/id');
  });

  test('the same in any order of lines', () => {
    const events = shipped([...visit(), ...visit(NOW + minutes(2), { pid: 900, session: '9' })]).map((l) => eventOf(l));
    const of = (lines: readonly HostEvent[]) => sessionsOf({ lines, facts: [] }, { hosts: {}, now: NOW + hours(1) });
    const right = of(events);
    fc.assert(
      fc.property(fc.shuffledSubarray(events, { minLength: events.length }), (lines) => {
        expect(of(lines)).toEqual(right);
      }),
      { numRuns: 50 },
    );
  });

  test('whatever lines are lost, each login is a session, none has two, and an end is never before its start', () => {
    const payloads = [0, 1, 2].flatMap((n) => visit(NOW + minutes(2 * n), { pid: 800 + n, session: String(n + 1) }));
    const events = shipped(payloads).map((l) => eventOf(l));
    fc.assert(
      fc.property(fc.subarray(events), fc.integer({ min: 0, max: 6 * 60 }), (lines, after) => {
        const now = NOW + minutes(10 + after);
        const hosts = lines.reduce((s, e) => hearLine(s, e, e.time + seconds(20)), NO_HOSTS).hosts;
        const sessions = sessionsOf({ lines, facts: [] }, { hosts, now });
        const opened = new Set(lines.filter((e) => ['Login', 'OpenSession'].includes(e.is.what)).map((e) => e.is.pid));
        expect(sessions).toHaveLength(opened.size);
        for (const s of sessions) expect(s.end === undefined || s.end.at >= s.from).toBe(true);
        // Of a host that is silent, nothing is open.
        const last = Math.max(0, ...lines.map((e) => e.time));
        if (now - last > SILENT + minutes(1)) expect(sessions.filter((s) => s.end === undefined)).toEqual([]);
      }),
    );
  });

  const open = visit().slice(0, 4);
  const NEXT = 'ab12cd34'.repeat(4);
  test.each<[string, readonly object[], { now?: Time; ended?: Time }, unknown]>([
    ['open', open, {}, undefined],
    [
      'rebooted',
      [...open, journal('sshd', 'Server listening on 0.0.0.0 port 22.', NOW + minutes(5), { _BOOT_ID: NEXT })],
      {},
      { at: NOW + seconds(20), synthetic: true, because: expect.stringContaining('started anew') },
    ],
    [
      'shut down',
      [
        ...open,
        journal('systemd-logind', 'System is powering down.', NOW + minutes(1), {
          _EXE: '/usr/lib/systemd/systemd-logind',
        }),
      ],
      {},
      { at: NOW + minutes(1), synthetic: true, because: 'the host was shut down' },
    ],
    [
      'terminated',
      open,
      { ended: NOW + minutes(4) },
      { at: NOW + minutes(4), synthetic: true, because: 'the host was stopped' },
    ],
    [
      'silent',
      open,
      { now: NOW + hours(3) },
      {
        at: NOW + seconds(20),
        synthetic: true,
        because: 'nothing was heard of the host since 2026-11-25T02:00:20.000Z',
      },
    ],
    [
      'another process has its number',
      [...open, ...visit(NOW + minutes(3), { session: '8' }).slice(0, 1)],
      {},
      { at: NOW + minutes(3), synthetic: true, because: expect.stringContaining('its end never came') },
    ],
  ])('%s', (_, payloads, more, end) => {
    expect(sessionsIn(payloads, more).at(-1)?.end).toEqual(end);
  });

  test('the line of the login is missing: a session all the same, and it says so', () => {
    const [session] = sessionsIn(visit().slice(1));
    expect(session).toMatchObject({ who: 'anna', kind: 'ssh', by: 'unknown: the line that says how is missing' });
  });

  test('on a console, and what auditd saw of it', () => {
    const tty = { _PID: '77', _AUDIT_SESSION: '3' };
    const call = `type=SYSCALL msg=audit(${Math.floor(NOW / 1_000) + 5}.000:9): success=yes pid=99 auid=0 uid=0 tty=tty1 ses=3 comm="id" exe="/usr/bin/id" key="steward"`;
    const [session, ...more] = sessionsIn([
      journal('login', 'pam_unix(login:session): session opened for user root(uid=0) by root(uid=0)', NOW, tty),
      journal('login', 'ROOT LOGIN ON tty1', NOW + 1, tty),
      { audit: [call, 'type=EXECVE msg=audit(1.000:9): argc=2 a0="id" a1="-u"'], login: 'root', as: 'root' },
      journal('login', 'pam_unix(login:session): session closed for user root', NOW + minutes(1), tty),
    ]);
    expect(more).toEqual([]);
    expect(session).toMatchObject({
      kind: 'local',
      by: 'tty1',
      end: { synthetic: false },
      content: { because: expect.stringContaining('every program') },
      ran: [{ what: 'Execve', command: 'id -u', as: 'root' }],
    });
  });

  const ANNA = 'arn:aws:sts::111122223333:assumed-role/ops/anna';
  const started = (id: string, more: Partial<ApiFact> = {}): ApiFact => ({
    id,
    at: NOW,
    says: 'start',
    host: HOST,
    who: ANNA,
    content: { is: 'recorded', because: 's3://logs/sessions' },
    ...more,
  });
  const bySsm = (at: Time) =>
    journal('sudo', ' ssm-user : TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/bash', at, {
      _UID: '1001',
      _AUDIT_SESSION: '4294967295',
    });

  test('Session Manager: the principal, where it is recorded, and what its user ran on the host', () => {
    const facts = [
      started('anna-1', { ip: '198.51.100.7' }),
      { id: 'anna-1', at: NOW + minutes(9), says: 'end', because: 'anna ended it' } as const,
    ];
    expect(sessionsIn([bySsm(NOW + minutes(2)), bySsm(NOW + minutes(20))], { facts })).toEqual([
      expect.objectContaining({
        id: 'anna-1',
        kind: 'ssm',
        who: ANNA,
        ip: '198.51.100.7',
        end: { at: NOW + minutes(9), synthetic: false, because: 'anna ended it' },
        content: { is: 'recorded', because: 's3://logs/sessions' },
        ran: [{ at: NOW + minutes(2), what: 'Sudo', command: '/bin/bash', as: 'root' }],
      }),
    ]);
  });

  test('sudo that was too short for journald: by its user’s name, and as one that nobody proves; no other user’s', () => {
    const short = (user: string) =>
      journal('sudo', ` ${user} : PWD=/ ; USER=root ; COMMAND=/bin/id`, NOW + seconds(40), {
        _UID: '1000',
        _EXE: undefined,
      });
    const [session] = sessionsIn([...visit(), short('anna'), short('otto')]);
    expect(session?.ran.filter((r) => r.command === '/bin/id')).toEqual([
      { at: NOW + seconds(40), what: 'Sudo', command: '/bin/id', as: 'root', unsure: true },
    ]);
    // Somebody came by Session Manager: of otto it may have been.
    const [ssm] = sessionsIn([short('otto')], { facts: [started('anna-1')] });
    expect(ssm?.ran).toEqual([expect.objectContaining({ command: '/bin/id', unsure: true })]);
  });

  test('of two that were there at once nobody knows who ran it, and both say so', () => {
    const sessions = sessionsIn([bySsm(NOW + minutes(2))], { facts: [started('anna-1'), started('otto-2')] });
    expect(sessions.map((s) => s.ran.map((r) => r.unsure))).toEqual([[true], [true]]);
  });

  test('a host that is terminated cuts the record off: it is sent at the end of a session', () => {
    const [session] = sessionsIn([bySsm(NOW)], { facts: [started('anna-1')], ended: NOW + minutes(4) });
    expect(session).toMatchObject({
      end: { at: NOW + minutes(4), synthetic: true, because: 'the host was stopped' },
      content: { is: 'cut off', because: expect.stringContaining('s3://logs/sessions') },
    });
  });

  test.each(['AWS-StartPortForwardingSession', 'AWS-StartPortForwardingSessionToRemoteHost', 'AWS-StartSSHSession'])(
    '%s is a tunnel and cannot be recorded; who comes in through it has its principal behind him',
    (document) => {
      const facts = [started('anna-1', { document, at: NOW - minutes(1) })];
      const [ssh, tunnel] = sessionsIn(visit(NOW, { ip: '127.0.0.1' }), { facts });
      expect(tunnel).toMatchObject({ kind: 'ssm-tunnel', content: { is: 'tunnel' }, by: document });
      expect(ssh).toMatchObject({ kind: 'ssh', who: 'anna', behind: [ANNA] });
      expect(sessionsIn(visit(), { facts })[0]?.behind).toEqual([]);
    },
  );

  test('no session of Session Manager is open for ever', () => {
    const facts = [started('anna-1')];
    expect(sessionsIn([], { facts, now: NOW + hours(20) })[0]?.end).toBeUndefined();
    expect(sessionsIn([], { facts, now: NOW + hours(30) })[0]?.end).toMatchObject({ synthetic: true });
  });

  test('boots of another name are other sessions', () => {
    expect(sessionsIn([...visit(), ...visit(NOW + hours(1), { boot: NEXT })]).map((s) => s.id)).toEqual([
      `${HOST}/ab12cd34/5`,
      `${HOST}/${BOOT.slice(0, 8)}/5`,
    ]);
  });
});
