/**
 * Who logs in, for real: systemd's journald, OpenSSH and sudo of this machine, in namespaces of their own, and the shipper that reads what they said. Needs Linux, root and these
 * packages; says so where it cannot be had.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { documents } from '../../documents/index.ts';
import { type HostEvent, readHostLine } from '../../shared/activity/hostLine.ts';
import { hearLine, hostsReport, NO_HOSTS } from '../../shared/activity/hosts.ts';
import { sessionsOf } from '../../shared/activity/sessions.ts';
import { hours } from '../../shared/core/time.ts';
import { HOST } from '../activity/hostLines.ts';

const NEEDS = [
  '/lib/systemd/systemd-journald',
  '/usr/bin/journalctl',
  '/usr/sbin/sshd',
  '/usr/bin/ssh',
  '/usr/bin/sudo',
  '/usr/bin/unshare',
];
const lacking = NEEDS.filter((f) => !existsSync(f));
const canUnshare = spawnSync('unshare', ['-m', '-p', '-f', 'mount', '-t', 'tmpfs', 'x', '/mnt']).status === 0;
const why =
  process.getuid?.() !== 0 ? 'root' : lacking.length > 0 ? lacking.join(', ') : canUnshare ? undefined : 'namespaces';
if (why) console.warn(`skipped: real logins need ${why}`);

const text = (documents.find((d) => d.name === 'watch-host')?.content.mainSteps[0]?.inputs.runCommand ?? []).join('\n');
const [, body = ''] = /<<'STEWARD_SHIPPER'\n([\s\S]*?)\nSTEWARD_SHIPPER\n/.exec(text) ?? [];
const [, awkText = ''] = /^(AWK_TEXT='[^']*')$/m.exec(text) ?? [];

/** A machine of its own as far as logins go: users, devices, runtime files and processes are gone with it. */
const machine = (tree: string): string => `
set -e
cp -a /etc ${tree}/etc && mount --bind ${tree}/etc /etc
mount -t tmpfs home /home
mount -t tmpfs run /run
mkdir -p /run/sshd /run/systemd/journal ${tree}/dev
mount -t tmpfs dev ${tree}/dev
for n in null zero full random urandom tty; do : >${tree}/dev/$n; mount --bind /dev/$n ${tree}/dev/$n; done
mkdir ${tree}/dev/pts ${tree}/dev/shm
mount --bind /dev/pts ${tree}/dev/pts
ln -s pts/ptmx ${tree}/dev/ptmx
ln -s /proc/self/fd ${tree}/dev/fd
ln -s /run/systemd/journal/dev-log ${tree}/dev/log
mount --rbind ${tree}/dev /dev
/lib/systemd/systemd-journald >/dev/null 2>&1 &
until [ -S /run/systemd/journal/dev-log ]; do sleep 0.1; done
useradd -m anna
echo 'anna ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/anna
ssh-keygen -q -t ed25519 -N '' -f ${tree}/key
ssh-keygen -q -t ed25519 -N '' -f ${tree}/host
install -d -m 700 -o anna -g anna /home/anna/.ssh
install -m 600 -o anna -g anna ${tree}/key.pub /home/anna/.ssh/authorized_keys
/usr/sbin/sshd -f /dev/null -h ${tree}/host -o Port=2022 -o ListenAddress=127.0.0.1 -o UsePAM=yes -o PidFile=/run/sshd.pid
until [ -f /run/sshd.pid ]; do sleep 0.1; done
into() { ssh -F /dev/null -p 2022 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i "$@"; }
into ${tree}/key anna@127.0.0.1 'sudo id -u >/dev/null; sudo -u nobody true; logger -t sshd "Accepted password for root from 192.0.2.1 port 1 ssh2"'
into ${tree}/host nosuch@127.0.0.1 true 2>/dev/null || true
su anna -c true
# What was said last is in the journal when this is.
logger -t sshd steward-test-last
until journalctl -q --no-pager -o cat SYSLOG_IDENTIFIER=sshd | grep -q steward-test-last; do sleep 0.1; done
sh ${tree}/ship.sh
`;

(why ? test.skip : test)(
  'a login by key, sudo, a stranger, su, and a line that somebody made up',
  () => {
    const tree = mkdtempSync(join(tmpdir(), 'login-'));
    try {
      mkdirSync(join(tree, 's'));
      writeFileSync(join(tree, 'tag'), HOST);
      writeFileSync(join(tree, 's/watch'), 'sessions');
      // Without a lease it makes one round.
      utimesSync(join(tree, 's/watch'), 1_000_000, 1_000_000);
      const script = `${awkText}\n${body}`
        .replace('S=/var/lib/steward/shipper', `S=${tree}/s`)
        .replace('TAG=/sys/devices/virtual/dmi/id/board_asset_tag', `TAG=${tree}/tag`);
      writeFileSync(join(tree, 'ship.sh'), script);
      execFileSync('unshare', ['-m', '-p', '-f', '--mount-proc', '--kill-child', 'sh', '-c', machine(tree)], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const events: HostEvent[] = readFileSync(join(tree, 's/lines.ndjson'), 'utf8')
        .trim()
        .split('\n')
        .map((l) => readHostLine(l, { account: '1', region: 'r', stream: HOST }));
      const said = (what: string) => events.filter((e) => e.is.what === what).map((e) => e.is);
      const [, fingerprint = ''] =
        /(SHA256:\S+)/.exec(execFileSync('ssh-keygen', ['-lf', join(tree, 'key.pub')]).toString()) ?? [];

      const now = Date.now() + hours(1);
      const state = events.reduce((s, e) => hearLine(s, e, e.time || now), NO_HOSTS);
      const [session, ...more] = sessionsOf({ lines: events, facts: [] }, { hosts: state.hosts, now });
      expect(more).toEqual([]);
      expect(session).toMatchObject({
        kind: 'ssh',
        who: 'anna',
        by: `key ${fingerprint}`,
        ip: '127.0.0.1',
        end: { synthetic: false },
        ran: [
          { what: 'Sudo', as: 'root', command: '/usr/bin/id -u' },
          { what: 'Sudo', as: 'nobody', command: '/usr/bin/true' },
        ],
      });
      expect(said('LoginFailed')[0]).toMatchObject({ user: 'nosuch', ip: '127.0.0.1', error: 'NoSuchUser' });
      expect(said('Su')).toEqual([expect.objectContaining({ user: 'root', as: 'anna' })]);
      // Only what was made up is doubted: every line that the programs wrote is believed.
      expect(said('Login')).toHaveLength(1);
      const { findings } = hostsReport(state, { from: 0, to: now }, { now, most: 100 });
      const byLogger = /^(?:\/usr\/bin\/logger|logger|user \d+) wrote this as sshd$/;
      expect(findings.map((f) => f.because).filter((b) => !byLogger.test(b))).toEqual([]);
      expect(said('Unproven').length).toBeGreaterThan(0);
    } finally {
      rmSync(tree, { recursive: true, force: true });
    }
  },
  60_000,
);
