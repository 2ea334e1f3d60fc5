/**
 * The shipper of `watch-host`, run for real beside a journal that is made up: what it writes is read as `record` reads it. Without a lease it makes one round and ends, so that each run here
 * is one round. Where systemd's own tools can make a journal, it reads that one with the real journalctl.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { documents } from '../../documents/index.ts';
import { type HostEvent, readHostLine } from '../../shared/activity/hostLine.ts';
import { hearLine, hostsReport, NO_HOSTS } from '../../shared/activity/hosts.ts';
import { sessionsOf } from '../../shared/activity/sessions.ts';
import { hostFailure } from '../../shared/core/disk.ts';
import { watchReport } from '../../shared/core/shipping.ts';
import { hours } from '../../shared/core/time.ts';
import { HOST, journal, visit } from '../activity/hostLines.ts';

const text = (documents.find((d) => d.name === 'watch-host')?.content.mainSteps[0]?.inputs.runCommand ?? []).join('\n');
const [, body = ''] = /<<'STEWARD_SHIPPER'\n([\s\S]*?)\nSTEWARD_SHIPPER\n/.exec(text) ?? [];
const [, awkText = ''] = /^(AWK_TEXT='[^']*')$/m.exec(text) ?? [];
const PATH = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin';
const root = process.getuid?.() === 0;
const asRoot = root ? test : test.skip;

let tree = '';
const at = (name: string): string => join(tree, name);
const tool = (name: string, script: string): void => {
  writeFileSync(at(`bin/${name}`), `#!/bin/sh\n${script}\n`);
  chmodSync(at(`bin/${name}`), 0o755);
};
/** From the cursor on; if that is gone, from whatever there is, as journalctl does. */
const JOURNALCTL = `for a; do case $a in --cursor=*) c=\${a#--cursor=} ;; esac; done
grep -qF "\\"__CURSOR\\":\\"$c\\"" "$JOURNAL" || c=
awk -v c="$c" 'c == "" || found || index($0, "\\"__CURSOR\\":\\"" c "\\"") { found = 1; print }' "$JOURNAL"`;

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'ship-'));
  mkdirSync(at('bin'));
  mkdirSync(at('s'));
  writeFileSync(at('tag'), `${HOST}\n`);
  writeFileSync(at('journal'), '');
  writeFileSync(at('s/watch'), 'sessions\n');
  utimesSync(at('s/watch'), 1_000_000, 1_000_000);
  tool('journalctl', JOURNALCTL.replaceAll('$JOURNAL', at('journal')));
});
afterEach(() => rmSync(tree, { recursive: true }));

const scriptOf = (change: (script: string) => string = (s) => s): string =>
  change(
    `${awkText}\n${body}`
      .replace(PATH, `PATH=${at('bin')}:/usr/sbin:/usr/bin:/sbin:/bin`)
      .replace('S=/var/lib/steward/shipper', `S=${at('s')}`)
      .replace('TAG=/sys/devices/virtual/dmi/id/board_asset_tag', `TAG=${at('tag')}`),
  );
/** One round. */
const round = (change?: (script: string) => string) => {
  const { status, stderr } = spawnSync('sh', { input: scriptOf(change) });
  return { status, stderr: stderr.toString() };
};
let cursors = 0;
/** Lines of the journal, each with a cursor of its own. */
const happens = (payloads: readonly object[]): void =>
  appendFileSync(
    at('journal'),
    payloads
      .map((p) => JSON.stringify({ ...(p as { journal: object }).journal, __CURSOR: `s=a;i=${++cursors};b=c;x=d` }))
      .join('\n')
      .concat('\n'),
  );
const shippedLines = (): string[] =>
  ['s/lines.ndjson.1', 's/lines.ndjson']
    .filter((f) => existsSync(at(f)))
    .flatMap((f) => readFileSync(at(f), 'utf8').split('\n'))
    .filter((l) => l !== '');
const FROM = { account: '1', region: 'r', stream: HOST };
const events = (): HostEvent[] => shippedLines().map((l) => readHostLine(l, FROM));
/** As the log has them: what is sent twice is one. */
const distinct = (): HostEvent[] => [...new Set(shippedLines())].map((l) => readHostLine(l, FROM));
const report = (lines = distinct()) => {
  const now = Date.now() + hours(1);
  return hostsReport(
    lines.reduce((s, e) => hearLine(s, e, now), NO_HOSTS),
    { from: 0, to: now },
    { now },
  );
};
const because = (): string[] => report().findings.map((f) => f.because);

test('what happened is numbered, and goes on where it was; sums are right, and the session is told', () => {
  happens(visit().slice(0, 3));
  expect(round()).toEqual({ status: 0, stderr: '' });
  happens(visit().slice(3));
  expect(round()).toEqual({ status: 0, stderr: '' });
  expect(events().map((e) => [e.numbered?.seq, e.is.what])).toEqual([
    [1, 'Login'],
    [2, 'OpenSession'],
    [3, 'NewSession'],
    [4, 'ShipStart'],
    [5, 'ShipStop'],
    [6, 'Sudo'],
    [7, 'Sudo'],
    [8, 'CloseSession'],
    [9, 'ShipStart'],
    [10, 'ShipStop'],
  ]);
  expect(events().filter((e) => e.numbered?.batch)).toHaveLength(2);
  expect(report()).toMatchObject({ hosts: 1, findings: [] });
  expect(events().at(-1)?.is.say).toBe('nobody renewed it for three days');
  const [session] = sessionsOf({ lines: events(), facts: [] }, { hosts: {}, now: Date.now() });
  expect(session).toMatchObject({ who: 'anna', by: 'key SHA256:Ab+/9', ran: [{ as: 'root' }, { as: 'root' }] });
  expect(readdirSync(at('s')).sort()).toEqual(['lines.ndjson', 'next', 'state', 'watch'].filter((f) => f !== 'next'));
});

test('any text of a line stays what it was', () => {
  const odd = [
    'a "quoted" \\ back',
    '\u0000\u001b[31mred',
    'ünïcode 日本',
    `,"__CURSOR":"s=forged"`,
    'x'.repeat(30_000),
  ];
  happens(odd.map((words, n) => journal('sudo', words, 1_764_036_000_000 + n)));
  round();
  round();
  const said = shippedLines().flatMap(
    (l) => (JSON.parse(l) as { line: { journal?: { MESSAGE: string } } }).line.journal?.MESSAGE ?? [],
  );
  expect(said).toEqual(odd);
  expect(because()).toEqual([]);
});

test('many lines are several batches, none is lost and none is twice', () => {
  happens(Array.from({ length: 700 }, (_, n) => journal('sudo', `line ${n}`, 1_764_036_000_000 + n)));
  round((s) => s.replace('MOST=500', 'MOST=100'));
  for (let n = 0; n < 8; n++) round((s) => s.replace('MOST=500', 'MOST=100'));
  const said = shippedLines().flatMap(
    (l) => (JSON.parse(l) as { line: { journal?: { MESSAGE: string } } }).line.journal?.MESSAGE ?? [],
  );
  expect(said).toEqual(Array.from({ length: 700 }, (_, n) => `line ${n}`));
  expect(because()).toEqual([]);
});

/** Places at which power may go. */
const DEATHS: Readonly<Record<string, (script: string) => string>> = {
  'before it is decided': (s) => s.replace(/^ {2}mv "\$S\/next" "\$S\/pending".*$/m, 'exit 9'),
  'once it is decided': (s) => s.replace(/^ {2}(mv "\$S\/next" "\$S\/pending") .*$/m, '$1; exit 9'),
  'within a line': (s) =>
    s.replace(/^ {4}cat "\$S\/pending\/batch".*$/m, 'head -c 700 "$S/pending/batch" >>"$LINES"; exit 9'),
  'after it was written': (s) => s.replace(/^ {4}(cat "\$S\/pending\/batch" >>"\$LINES") .*$/m, '$1; exit 9'),
  'after all': (s) => s.replace(/^ {4}(mv "\$S\/pending\/state" "\$S\/state") .*$/m, '$1; exit 9'),
};
test.each(Object.keys(DEATHS))('it dies %s: what was written is written again, the same', (when) => {
  happens(visit().slice(0, 4));
  round();
  happens(visit().slice(4));
  expect(round(DEATHS[when])).toMatchObject({ status: 9 });
  happens([journal('sudo', 'later', 1_764_036_900_000)]);
  round();
  round();
  const readable = distinct().filter((e) => e.is.what !== 'Unreadable');
  const numbers = readable.map((e) => e.numbered?.seq ?? 0);
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, n) => n + 1));
  const words = readable.map((e) => e.is.what).filter((w) => !w.startsWith('Ship'));
  expect(words).toEqual(['Login', 'OpenSession', 'NewSession', 'Sudo', 'Sudo', 'CloseSession', 'Line']);
  expect(report(readable).findings).toEqual([]);
  // Of a line that was cut off, a rest is left, and it is flagged.
  expect(distinct().length - readable.length).toBe(when === 'within a line' ? 1 : 0);
});

test('a journal that was cut before it was read is told', () => {
  happens(visit());
  round();
  writeFileSync(at('journal'), '');
  happens([journal('sudo', 'much later', 1_764_036_900_000)]);
  round();
  expect(because()).toEqual(['the journal was cut before it was read: lines may be missing']);
});

test('an image of the host is another host, with numbers of its own', () => {
  happens(visit());
  round();
  const other = 'i-0fff0fff0fff0fff0';
  writeFileSync(at('tag'), `${other}\n`);
  round();
  const lines = shippedLines().map((l) => JSON.parse(l) as { host: string; chain: string; seq: number });
  const own = lines.filter((l) => l.host === other);
  expect(own[0]?.seq).toBe(1);
  expect(new Set(lines.map((l) => l.chain)).size).toBe(2);
});

test('it runs until it is told to end: it says that it is there, and that it ends, and takes with it what was last', async () => {
  utimesSync(at('s/watch'), new Date(), new Date());
  const shipper = spawn('sh', ['-c', scriptOf((s) => s.replace('EVERY=10', 'EVERY=1').replace('BEAT=1800', 'BEAT=0'))]);
  const ended = once(shipper, 'exit');
  const words = (): string[] => events().map((e) => e.is.what);
  // However long a round takes here; the test's own limit ends what hangs.
  while (!words().includes('Beat')) await sleep(50);
  happens(visit());
  shipper.kill('SIGTERM');
  expect((await ended)[0]).toBe(0);
  expect(words()[0]).toBe('ShipStart');
  expect(words()).toContain('Login');
  expect(events().at(-1)?.is).toMatchObject({ what: 'ShipStop', say: 'the host or somebody stopped it' });
  expect(report()).toMatchObject({ silent: [], findings: [] });
}, 60_000);

test('what waits is bounded: the file begins anew, and the one before is kept', () => {
  for (let n = 0; n < 4; n++) round((s) => s.replace('LARGEST=16777216', 'LARGEST=900'));
  expect(readdirSync(at('s')).sort()).toEqual(['lines.ndjson', 'lines.ndjson.1', 'state', 'watch']);
});

test('a host that does not know its id says so, and nobody takes its word', () => {
  rmSync(at('tag'));
  const without = (s: string) => s.replace('CLOUD=/var/lib/cloud/data/instance-id', 'CLOUD=/none');
  round(without);
  expect(events()[0]).toMatchObject({ is: { what: 'Foreign' }, trouble: 'it says that it is of "unknown"' });
  writeFileSync(at('s/host'), `${HOST}\n`);
  round(without);
  expect(events().at(-1)).toMatchObject({ is: { what: 'ShipStop' }, numbered: { seq: 2 } });
});

test('programs that auditd saw: whole events, with the names of who logged in; a cut log is told', () => {
  writeFileSync(at('s/watch'), 'commands\n');
  utimesSync(at('s/watch'), 1_000_000, 1_000_000);
  // As ausearch does: what is after the checkpoint, 1 if that is nothing, 11 if the checkpoint's log is gone.
  tool(
    'ausearch',
    `while [ $# -gt 0 ]; do case $1 in --checkpoint) c=$2; shift ;; -ts) again=1 ;; esac; shift; done
[ -z "$again" ] && [ -f ${at('gone')} ] && exit 11
n=$(cat "$c" 2>/dev/null || echo 0)
wc -l <${at('raw')} >"$c"
[ "$(wc -l <${at('raw')})" -gt "$n" ] || exit 1
tail -n +$((n + 1)) ${at('raw')}`,
  );
  const seen = (serial: number, words: string) =>
    appendFileSync(
      at('raw'),
      [
        `type=SYSCALL msg=audit(1764036000.123:${serial}): arch=c000003e syscall=59 success=yes exit=0 pid=9 auid=0 uid=0 tty=pts0 ses=5 comm="x" exe="/usr/bin/x" key="steward"\u001dARCH=x86_64 AUID="root"`,
        `type=EXECVE msg=audit(1764036000.123:${serial}): argc=2 a0="x" a1=${words}`,
        `type=CWD msg=audit(1764036000.123:${serial}): cwd="/"`,
        `type=PROCTITLE msg=audit(1764036000.123:${serial}): proctitle=78`,
        '',
      ].join('\n'),
    );
  seen(1, '"one"');
  seen(2, '22');
  round();
  seen(3, '"three"');
  round();
  round();
  const ran = events().filter((e) => e.is.what === 'Execve');
  expect(ran.map((e) => [e.is.command, e.is.user, e.is.as, e.is.session])).toEqual([
    ['x one', 'root', 'root', '5'],
    ['x "', 'root', 'root', '5'],
    ['x three', 'root', 'root', '5'],
  ]);
  expect(because()).toEqual([]);
  writeFileSync(at('gone'), '');
  seen(4, '"four"');
  round();
  expect(events().filter((e) => e.is.what === 'Execve')).toHaveLength(4);
  expect(because()).toEqual(['the log of auditd was cut before it was read: programs may be missing']);
});

const AUDIT = '/var/log/audit';
const hasAudit =
  root &&
  existsSync(AUDIT) &&
  spawnSync('ausearch', ['--version']).status === 0 &&
  spawnSync('unshare', ['-m', 'true']).status === 0;
if (!hasAudit) console.warn('skipped: the real ausearch is not here (auditd), or not root');
(hasAudit ? test : test.skip)(
  'with the real ausearch: each event once, over rotations; what was rotated away is told',
  () => {
    writeFileSync(at('s/watch'), 'commands\n');
    utimesSync(at('s/watch'), 1_000_000, 1_000_000);
    mkdirSync(at('audit'), { mode: 0o700 });
    const log = at('audit/audit.log');
    const began = Math.floor(Date.now() / 1_000) - 1_000;
    let serial = 0;
    /** @param secs after the one before */
    const runs = (secs = 10): void => {
      serial++;
      const id = `msg=audit(${began + serial * secs}.123:${serial})`;
      appendFileSync(
        log,
        `type=SYSCALL ${id}: arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=56 a2=57 a3=0 items=2 ppid=900 pid=901 auid=0 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=5 comm="ls" exe="/usr/bin/ls" subj=unconfined key="steward"\ntype=EXECVE ${id}: argc=2 a0="ls" a1="${serial}"\ntype=PROCTITLE ${id}: proctitle=6C73\n`,
        { mode: 0o600 },
      );
    };
    const inside = (): void => {
      const { status } = spawnSync('unshare', ['-m', 'sh', '-c', `mount --bind ${at('audit')} ${AUDIT} && exec sh`], {
        input: scriptOf(),
      });
      expect(status).toBe(0);
    };
    const ran = (): string[] => events().flatMap((e) => (e.is.what === 'Execve' ? [e.is.command ?? ''] : []));
    const upTo = (n: number): string[] => Array.from({ length: n }, (_, i) => `ls ${i + 1}`);
    runs();
    runs();
    inside();
    inside();
    runs();
    inside();
    expect(ran()).toEqual(upTo(2));
    renameSync(log, `${log}.1`);
    runs();
    inside();
    runs();
    runs();
    inside();
    inside();
    runs();
    inside();
    expect(ran()).toEqual(upTo(6));
    expect(because()).toEqual([]);
    rmSync(log);
    rmSync(`${log}.1`);
    serial += 10;
    runs();
    runs();
    inside();
    runs();
    inside();
    expect(ran()).toEqual([...upTo(6), 'ls 18', 'ls 19']);
    expect(because()).toEqual(['the log of auditd was cut before it was read: programs may be missing']);
  },
);

const REMOTE = '/lib/systemd/systemd-journal-remote';
const hasJournal = existsSync(REMOTE) && spawnSync('journalctl', ['--version']).status === 0;
if (!hasJournal) console.warn('skipped: no journal can be made here (systemd-journal-remote)');
(hasJournal ? test : test.skip)('with the real journalctl, from a real journal', () => {
  let monotonic = 0;
  const entry = (payload: object): string =>
    Object.entries({
      ...(payload as { journal: Record<string, string> }).journal,
      __MONOTONIC_TIMESTAMP: String(++monotonic),
    })
      .filter(([k]) => k !== '__CURSOR')
      .map(([k, v]) => `${k}=${v}`)
      .join('\n');
  const write = (payloads: readonly object[]): void => {
    mkdirSync(at('real'), { recursive: true });
    const noise = journal('kernel', 'not of anybody', 1_764_036_000_000);
    execFileSync(REMOTE, ['-o', at(`real/${++cursors}.journal`), '-'], {
      input: [noise, ...payloads].map((p) => `${entry(p)}\n\n`).join(''),
      stdio: ['pipe', 'ignore', 'ignore'],
    });
  };
  tool('journalctl', `exec /usr/bin/journalctl --directory=${at('real')} "$@"`);
  // These are of no boot of this machine.
  const all = (s: string) => s.replace('set -- -b', 'set --');
  write(visit().slice(0, 3));
  round(all);
  write(visit().slice(3));
  round(all);
  round(all);
  expect(
    events()
      .map((e) => e.is.what)
      .filter((w) => !w.startsWith('Ship')),
  ).toEqual(['Login', 'OpenSession', 'NewSession', 'Sudo', 'Sudo', 'CloseSession']);
  expect(because()).toEqual([]);
  const [session] = sessionsOf({ lines: events(), facts: [] }, { hosts: {}, now: Date.now() });
  expect(session).toMatchObject({ who: 'anna', end: { synthetic: false }, ran: [{}, {}] });
});

describe('the document', () => {
  const run = (watch: string, script = text) => {
    const made = script

      // Its own, not that of the shipper; without auditd, wherever that is.
      .replace(PATH, `PATH=${at('bin')}:/usr/bin:/bin`)
      .replace('SHIPPER=/var/lib/steward/shipper', `SHIPPER=${at('var/shipper')}`)
      .replace('UNIT=/etc/systemd/system/steward-shipper.service', `UNIT=${at('unit')}`)
      .replace('RULES=/etc/audit/rules.d/steward.rules', `RULES=${at('rules.d/steward.rules')}`)
      .replace('CW=/opt/aws/amazon-cloudwatch-agent', `CW=${at('cw')}`)
      .replace("'{{ Watch }}'", watch)
      .replace("'{{ Group }}'", '/steward/prod/hosts');
    const { stdout, status } = spawnSync('sh', { input: made, env: { ...process.env, AWS_SSM_INSTANCE_ID: HOST } });
    return { status, answer: JSON.parse(stdout.toString()) as unknown };
  };
  const did = (): string[] => (existsSync(at('did')) ? readFileSync(at('did'), 'utf8').trim().split('\n') : []);
  beforeEach(() => {
    mkdirSync(at('cw/bin'), { recursive: true });
    mkdirSync(at('cw/etc/amazon-cloudwatch-agent.d'), { recursive: true });
    writeFileSync(at('cw/etc/amazon-cloudwatch-agent.toml'), '');
    tool(
      'systemctl',
      `case "$*" in *is-active*) [ -f ${at('active')} ] ;; *restart*) : >${at('active')} ; echo "$*" >>${at('did')} ;; *) echo "$*" >>${at('did')} ;; esac`,
    );
    writeFileSync(
      at('cw/bin/amazon-cloudwatch-agent-ctl'),
      `#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in -c) cp "\${2#file:}" ${at('cw/etc/amazon-cloudwatch-agent.d')}/ ;; esac; shift; done\necho agent >>${at('did')}\n`,
    );
    chmodSync(at('cw/bin/amazon-cloudwatch-agent-ctl'), 0o755);
  });

  asRoot(
    'installs and starts the shipper, and lets the agent ship its file; the next run only renews the lease',
    () => {
      expect(watchReport.parse(run('sessions').answer)).toEqual({
        version: 1,
        started: true,
        given: true,
        execve: 'off',
      });
      expect(did()).toEqual([
        'daemon-reload',
        'enable --quiet steward-shipper.service',
        'restart steward-shipper.service',
        'agent',
      ]);
      expect(readFileSync(at('var/shipper/ship.sh'), 'utf8')).toContain(body);
      expect(JSON.parse(readFileSync(at('cw/etc/amazon-cloudwatch-agent.d/steward-hosts.json'), 'utf8'))).toMatchObject(
        {
          logs: {
            logs_collected: {
              files: {
                collect_list: [
                  {
                    file_path: at('var/shipper/lines.ndjson'),
                    log_group_name: '/steward/prod/hosts',
                    log_stream_name: '{instance_id}',
                  },
                ],
              },
            },
          },
        },
      );
      utimesSync(at('var/shipper/watch'), 1_000_000, 1_000_000);
      expect(watchReport.parse(run('sessions').answer)).toEqual({
        version: 1,
        started: false,
        given: false,
        execve: 'off',
      });
      expect(did()).toHaveLength(4);
      expect(execFileSync('find', [at('var/shipper/watch'), '-mtime', '-1']).toString()).not.toBe('');
      // Somebody stopped it.
      rmSync(at('active'));
      expect(watchReport.parse(run('sessions').answer)).toMatchObject({ started: true, given: false });
    },
  );

  asRoot('what it installs is what was tested', () => {
    run('sessions');
    expect(spawnSync('sh', ['-n', at('var/shipper/ship.sh')]).stderr.toString()).toBe('');
    const installed = readFileSync(at('var/shipper/ship.sh'), 'utf8');
    expect(installed).toBe(`${awkText}\n${body}\n`);
  });

  asRoot('commands: rules for auditd where it is; said where it is not; taken back with sessions', () => {
    expect(watchReport.parse(run('commands').answer).execve).toBe('auditd is not installed');
    tool('auditctl', `[ -f ${at('loaded')} ] && cat ${at('rules.d/steward.rules')}`);
    tool('ausearch', 'exit 1');
    tool('augenrules', `echo rules >>${at('did')}; : >${at('loaded')}`);
    expect(watchReport.parse(run('commands').answer).execve).toBe('on');
    expect(readFileSync(at('rules.d/steward.rules'), 'utf8')).toMatch(
      /^-a always,exit -F arch=b64 -S execve,execveat -F auid>=1000 /,
    );
    const before = did().filter((d) => d === 'rules').length;
    run('commands');
    expect(did().filter((d) => d === 'rules')).toHaveLength(before);
    expect(watchReport.parse(run('sessions').answer).execve).toBe('off');
    expect(existsSync(at('rules.d/steward.rules'))).toBe(false);
    expect(did().filter((d) => d === 'rules')).toHaveLength(before + 1);
  });

  asRoot('a host without the CloudWatch agent says what it lacks, and goes on gathering', () => {
    rmSync(at('cw'), { recursive: true });
    const { status, answer } = run('sessions');
    expect([status, hostFailure.parse(answer).error.code]).toEqual([1, 'not-found']);
    expect(did()).toContain('restart steward-shipper.service');
  });
});

const hasShellcheck = spawnSync('shellcheck', ['--version']).status === 0;
(hasShellcheck ? test : test.skip)('shellcheck finds nothing in the shipper', () => {
  const { stdout } = spawnSync('shellcheck', ['-s', 'sh', '-S', 'warning', '-e', 'SC2154,SC2034', '-'], {
    input: `${awkText}\n${body}`,
  });
  expect(stdout.toString()).toBe('');
});
