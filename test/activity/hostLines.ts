/** A host that ships lines: numbered, in batches with their sums, as the shipper of `watch-host` writes them. */
import { createHash } from 'node:crypto';
import { type HostEvent, hostEvent, readHostEvent } from '../../shared/activity/hostLine.ts';
import { sumOf } from '../../shared/activity/hosts.ts';
import { seconds, type Time } from '../../shared/core/time.ts';
import { ACCOUNT, NOW } from './setting.ts';

export const BOOT = '9f3c2a10'.repeat(4);
export const HOST = 'i-0abc0abc0abc0abc0';

/** A line of the journal. @param more fields as journald names them */
export const journal = (
  identifier: string,
  message: string,
  at: Time,
  more: Readonly<Record<string, unknown>> = {},
) => ({
  journal: {
    __CURSOR: `s=1;i=${at}`,
    __REALTIME_TIMESTAMP: String(at * 1_000),
    _BOOT_ID: BOOT,
    SYSLOG_IDENTIFIER: identifier,
    _UID: '0',
    _EXE: identifier.startsWith('sshd') ? `/usr/sbin/${identifier}` : `/usr/bin/${identifier}`,
    MESSAGE: message,
    ...more,
  },
});
export const own = (what: string, at: Time, say?: string) => ({
  steward: { what, at: Math.floor(at / 1_000), ...(say === undefined ? {} : { say }) },
});

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

export const aHost = ({ host = HOST, chain = 'c0ffee00', boot = BOOT } = {}) => {
  let seq = 0;
  let before = '';
  /** One batch, as text. */
  const ship = (...payloads: readonly object[]): string[] => {
    const texts = payloads.map((p) => JSON.stringify(p));
    const sum = sumOf(texts.map(sha));
    const batch = { count: texts.length, sum, before };
    before = sum;
    return texts.map((text, n) => {
      seq++;
      const head = { v: 1, host, chain, boot, seq, ...(n === 0 ? { batch } : {}) };
      return `${JSON.stringify(head).slice(0, -1)},"line":${text}}`;
    });
  };
  return { ship };
};

export const FROM = { account: ACCOUNT, region: 'eu-central-1', stream: HOST };
export const rawOf = (line: string, stream = HOST): Buffer => hostEvent(line, { ...FROM, stream });
export const eventOf = (line: string, stream = HOST): HostEvent => readHostEvent(rawOf(line, stream)) as HostEvent;

/** Anna comes in by a key, runs two commands as root, and goes. */
export const visit = (
  from: Time = NOW,
  { pid = 812, session = '5', user = 'anna', ip = '198.51.100.7', boot = BOOT } = {},
): object[] => {
  const at = (s: number): Time => from + seconds(s);
  const mine = { _PID: String(pid), _BOOT_ID: boot };
  const inside = { _AUDIT_SESSION: session, _BOOT_ID: boot, _UID: '1000' };
  const sudo = (command: string) => ` ${user} : TTY=pts/0 ; PWD=/home/${user} ; USER=root ; COMMAND=${command}`;
  return [
    journal('sshd', `Accepted publickey for ${user} from ${ip} port 50022 ssh2: ED25519 SHA256:Ab+/9`, at(0), mine),
    journal('sshd', `pam_unix(sshd:session): session opened for user ${user}(uid=1000) by (uid=0)`, at(0), mine),
    journal('systemd-logind', `New session ${session} of user ${user}.`, at(1), {
      _EXE: '/usr/lib/systemd/systemd-logind',
      LEADER: String(pid),
      SESSION_ID: session,
      _BOOT_ID: boot,
    }),
    journal('sudo', sudo('/usr/bin/systemctl stop auditd'), at(20), { ...inside, _PID: '900' }),
    journal('sudo', sudo('/usr/sbin/reboot'), at(30), { ...inside, _PID: '901' }),
    journal('sshd', `pam_unix(sshd:session): session closed for user ${user}`, at(60), {
      ...mine,
      _AUDIT_SESSION: session,
    }),
  ];
};
