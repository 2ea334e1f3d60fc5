/**
 * What sshd, sudo, su, login, systemd-logind, PAM and auditd say in a line of text, as far as it is about who is on a host and what they do there. The words differ by distribution and
 * version; a line that says something else is kept like all others and has no more than its host.
 *
 * Names in these lines come from strangers: whoever is not let in chooses the name under which he is refused. So each pattern takes the last address and port of a line, never the first.
 */

export interface Words {
  /** 'Login', 'Sudo', …; 'Line': nothing that is known. */
  readonly what: string;
  readonly user?: string;
  /** As whom: of sudo and su. */
  readonly as?: string;
  readonly ip?: string;
  /** 'publickey', 'password', … */
  readonly method?: string;
  /** 'SHA256:…' */
  readonly key?: string;
  /** The name in an SSH certificate: often a person where the user is not. */
  readonly certificate?: string;
  readonly command?: string;
  readonly tty?: string;
  /** PAM's: 'sshd', 'sudo', … */
  readonly service?: string;
  /** systemd-logind's own number of a session. */
  readonly session?: string;
  readonly error?: string;
}

type Rule = readonly [what: string, pattern: RegExp, error?: string];

const FROM = String.raw`(?<user>.*) from (?<ip>\S+) port \d+`;
const SSHD: readonly Rule[] = [
  [
    'Login',
    new RegExp(
      String.raw`^Accepted (?<method>\S+) for ${FROM}(?: ssh2)?(?:: \S+ (?<key>SHA256:\S+|MD5:\S+)(?: ID (?<certificate>.*) \(serial \d+\) CA .*)?)?$`,
    ),
  ],
  ['LoginFailed', new RegExp(`^Failed (?<method>\\S+) for (?:invalid user )?${FROM}(?: ssh2.*)?$`), 'NotAuthenticated'],
  ['LoginFailed', new RegExp(`^Invalid user ${FROM}$`), 'NoSuchUser'],
  [
    'LoginFailed',
    new RegExp(`^(?:error: )?maximum authentication attempts exceeded for (?:invalid user )?${FROM}.*$`),
    'TooManyAttempts',
  ],
  ['LoginFailed', /^User (?<user>.*?)(?: from (?<ip>\S+))? not allowed because .*$/, 'NotAllowed'],
  [
    'LoginFailed',
    /^(?:Connection (?:closed|reset) by|Disconnected from) (?:authenticating|invalid) user (?<user>.*) (?<ip>\S+) port \d+(?: \[preauth\])?$/,
    'NotAuthenticated',
  ],
  ['Disconnect', /^Disconnected from user (?<user>.*) (?<ip>\S+) port \d+$/],
  ['Disconnect', /^Timeout, client not responding from user (?<user>.*) (?<ip>\S+) port \d+$/, 'Timeout'],
  // Only with LogLevel VERBOSE.
  [
    'OpenChannel',
    /^Starting session: (?<command>shell|command|forced-command.*?|subsystem '.*?')(?: on (?<tty>\S+))? for (?<user>.*) from (?<ip>\S+) port \d+.*$/,
  ],
];
const PAM: readonly Rule[] = [
  [
    'OpenSession',
    /^pam_\w+\((?<service>[\w.@-]+):session\): session opened for user (?<user>[^\s(]+)(?:\(uid=\d+\))? by .*$/,
  ],
  ['CloseSession', /^pam_\w+\((?<service>[\w.@-]+):session\): session closed for user (?<user>[^\s(]+).*$/],
  [
    'LoginFailed',
    /^pam_\w+\((?<service>[\w.@-]+):auth\): authentication failure;.*? rhost=(?<ip>\S*)(?:\s+user=(?<user>.*))?$/,
    'NotAuthenticated',
  ],
];
const SU: readonly Rule[] = [
  ['Su', /^\(to (?<as>\S+)\) (?<user>\S+) on (?<tty>\S+)$/],
  ['SuDenied', /^FAILED SU \(to (?<as>\S+)\) (?<user>\S+) on (?<tty>\S+)$/, 'NotAuthenticated'],
  ['Su', /^Successful su for (?<as>\S+) by (?<user>\S+)$/],
  ['SuDenied', /^FAILED su for (?<as>\S+) by (?<user>\S+)$/, 'NotAuthenticated'],
];
const LOGIN: readonly Rule[] = [
  ['Login', /^LOGIN ON (?<tty>\S+) BY (?<user>\S+)(?: FROM (?<ip>\S+))?$/],
  ['Login', /^(?<user>ROOT) LOGIN ON (?<tty>\S+).*$/],
  ['LoginFailed', /^FAILED LOGIN \(?\d+\)? (?:FROM|on) (?<tty>\S+) FOR (?<user>.*), .*$/, 'NotAuthenticated'],
];
const LOGIND: readonly Rule[] = [
  ['NewSession', /^New session '?(?<session>\w+)'? of user '?(?<user>.+?)'?(?: with class .*)?\.$/],
  ['RemoveSession', /^Removed session '?(?<session>\w+?)'?\.$/],
  ['LogOut', /^Session '?(?<session>\w+)'? logged out\..*$/],
  ['Shutdown', /^(?:The system will (?:reboot|power off|halt)|System is (?:rebooting|powering down|halting)).*$/],
];

/** By journald's SYSLOG_IDENTIFIER; OpenSSH 9.8 split sshd into sshd and sshd-session, 10.0 sshd-auth out of that. */
const RULES: Readonly<Record<string, readonly Rule[]>> = {
  sshd: [...SSHD, ...PAM],
  'sshd-session': [...SSHD, ...PAM],
  'sshd-auth': [...SSHD, ...PAM],
  sudo: PAM,
  su: [...SU, ...PAM],
  'su-l': [...SU, ...PAM],
  login: [...LOGIN, ...PAM],
  'systemd-logind': LOGIND,
};
/** Whose lines are shipped. */
export const IDENTIFIERS = Object.keys(RULES);

/** What others than root's own processes may say in sshd's name: it hands a connection over to a process of its user, which tells that it ends, and closes no other session than its own. */
const ANYONES = new Set(['Disconnect', 'OpenChannel', 'Line']);

/** Where programs are that only root puts there. */
const SYSTEM = /^\/(?:usr|bin|sbin|lib|lib64)\//;
const MAY_SAY: Readonly<Record<string, RegExp>> = {
  'sshd-auth': /\/sshd-(?:auth|session)$/,
  sudo: /\/sudo(?:\.ws|-rs)?$/,
  'su-l': /\/su$/,
};
/** The kernel cuts a process's name. */
const LONGEST_COMM = 15;

export interface Writer {
  readonly exe: string | undefined;
  readonly comm: string | undefined;
  readonly uid: string | undefined;
}

/**
 * Whoever can run `logger` can write a line that looks like sshd's. What the kernel told journald of the writer, he cannot. Undefined: nothing speaks against it.
 *
 * journald reads a process's name and path when the line comes: of one that has ended by then it knows the user only, which is enough for root's. `isGone` is of sudo and su, which anyone runs
 * and which end as soon as what they ran: such a line is shown, as one that nobody proves.
 */
export const doubtOf = (identifier: string, what: string, { exe, comm, uid }: Writer): string | undefined => {
  if (!(identifier in RULES)) return undefined;
  const program = MAY_SAY[identifier] ?? new RegExp(`/${identifier}$`);
  if (exe !== undefined && !(SYSTEM.test(exe) && program.test(exe))) return `${exe} wrote this as ${identifier}`;
  const isNamed = comm === undefined || program.test(`/${comm}`) || comm === identifier.slice(0, LONGEST_COMM);
  if (exe === undefined && !isNamed) return `${comm} wrote this as ${identifier}`;
  // sudo and su are run by anyone.
  if (identifier.startsWith('su') || uid === '0' || ANYONES.has(what)) return undefined;
  return `user ${uid} wrote this as ${identifier}`;
};
export const isGone = ({ exe, comm, uid }: Writer): boolean => exe === undefined && comm === undefined && uid !== '0';

const given = (groups: Readonly<Record<string, string | undefined>>): Omit<Words, 'what'> =>
  Object.fromEntries(
    Object.entries(groups).flatMap(([k, v]) => {
      const text = v?.trim();
      return text ? [[k, text]] : [];
    }),
  );

/** 'anna : TTY=pts/0 ; USER=root ; COMMAND=…'. Everything behind the first COMMAND= is the command: a directory that is named like one hides nothing. */
const readSudo = (message: string): Words | undefined => {
  const [, user = '', rest = ''] = /^\s*(\S+) : (.*)$/s.exec(message) ?? [];
  if (user === '') return undefined;
  const at = rest.indexOf('COMMAND=');
  const parts = (at < 0 ? rest : rest.slice(0, at)).split(' ; ');
  const [error = ''] = parts;
  const as = parts.find((p) => p.startsWith('USER='))?.slice('USER='.length);
  const command = at < 0 ? undefined : rest.slice(at + 'COMMAND='.length);
  const words = { user, ...(as ? { as } : {}), ...(command === undefined ? {} : { command }) };
  if (!/^[A-Z]+=/.test(error)) return { what: 'SudoDenied', error, ...words };
  return command === undefined ? undefined : { what: 'Sudo', ...words };
};

/** sshd writes lines of 1 KB at most: what is longer is nobody's of these. Of sudo there are longer ones. */
const LONGEST = 4_096;

/** What a line of the journal says. */
export const readWords = (identifier: string, message: string): Words => {
  const sudo = identifier === 'sudo' ? readSudo(message) : undefined;
  if (sudo || message.length > LONGEST) return sudo ?? { what: 'Line' };
  for (const [what, pattern, error] of RULES[identifier] ?? []) {
    const found = pattern.exec(message);
    if (found) return { what, ...(error === undefined ? {} : { error }), ...given(found.groups ?? {}) };
  }
  return { what: 'Line' };
};

export interface Ran {
  /** 'auid': who logged in, whoever he became since; null: nobody did (a service, or SSM's agent). */
  readonly login: string | null;
  readonly uid: string;
  readonly pid: number;
  readonly session?: string;
  readonly tty?: string;
  readonly program: string;
  readonly command: string;
  readonly failed: boolean;
  /** Milliseconds. */
  readonly at: number;
}

const UNSET = '4294967295';
const valueIn = (record: string, key: string): string | undefined =>
  new RegExp(`(?:^|\\s)${key}=(?:"([^"]*)"|(\\S+))`)
    .exec(record)
    ?.slice(1)
    .find((v) => v !== undefined);

/** auditd writes in hexadecimal what has a space, a quote or a control character in it. */
const unhexed = (record: string, key: string): string | undefined => {
  const quoted = new RegExp(`(?:^|\\s)${key}="([^"]*)"`).exec(record)?.[1];
  const plain = quoted ?? valueIn(record, key);
  if (quoted !== undefined || plain === undefined || !/^(?:[0-9A-F]{2})+$/i.test(plain)) return plain;
  return Buffer.from(plain, 'hex').toString('utf8').replaceAll('\0', ' ');
};

/** Arguments beyond these are left to the raw line. */
const MOST_ARGUMENTS = 200;
const commandIn = (record: string): string => {
  const count = Math.min(MOST_ARGUMENTS, Number(valueIn(record, 'argc') ?? 0));
  return Array.from({ length: count }, (_, n) => unhexed(record, `a${n}`) ?? '…').join(' ');
};

/** One execve, of the records that auditd wrote of it; undefined: it is none. */
export const readExecve = (records: readonly string[]): Ran | undefined => {
  const typed = (type: string): string | undefined => records.find((r) => r.startsWith(`type=${type} `));
  const call = typed('SYSCALL');
  const [, secs, ms] = /msg=audit\((\d+)\.(\d{3}):\d+\)/.exec(call ?? '') ?? [];
  if (!call || secs === undefined) return undefined;
  const login = valueIn(call, 'auid');
  const session = valueIn(call, 'ses');
  const tty = valueIn(call, 'tty');
  const program = unhexed(call, 'exe') ?? unhexed(call, 'comm') ?? '?';
  return {
    login: login === undefined || login === UNSET || login === 'unset' ? null : login,
    uid: valueIn(call, 'uid') ?? '?',
    pid: Number(valueIn(call, 'pid') ?? 0),
    ...(session === undefined || session === UNSET || session === 'unset' ? {} : { session }),
    ...(tty === undefined || tty === '(none)' ? {} : { tty }),
    program,
    command: commandIn(typed('EXECVE') ?? '') || program,
    failed: valueIn(call, 'success') === 'no',
    at: Number(secs) * 1_000 + Number(ms),
  };
};
