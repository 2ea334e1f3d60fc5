/** What hosts say, by distribution and version. The lines are written for these tests, in the shapes that the programs have. */
import { readExecve, readWords } from '../../shared/activity/hostWords.ts';

const DEBIAN = 'sshd';
const NEW = 'sshd-session';

test.each([
  // Debian 12, Ubuntu 22.04, Amazon Linux 2023, RHEL 9: one sshd.
  [
    DEBIAN,
    'Accepted publickey for ubuntu from 198.51.100.7 port 50022 ssh2: ED25519 SHA256:Ab+/9',
    { what: 'Login', user: 'ubuntu', ip: '198.51.100.7', method: 'publickey', key: 'SHA256:Ab+/9' },
  ],
  // Ubuntu 24.10 and later, Fedora, Debian 13: sshd-session.
  [
    NEW,
    'Accepted publickey for ec2-user from 2001:db8::7 port 50022 ssh2: RSA SHA256:zz',
    { what: 'Login', user: 'ec2-user', ip: '2001:db8::7', method: 'publickey', key: 'SHA256:zz' },
  ],
  [
    DEBIAN,
    'Accepted publickey for deploy from 198.51.100.7 port 1 ssh2: ED25519-CERT SHA256:cc ID anna@example.com from the office (serial 7) CA ED25519 SHA256:dd',
    {
      what: 'Login',
      user: 'deploy',
      ip: '198.51.100.7',
      method: 'publickey',
      key: 'SHA256:cc',
      certificate: 'anna@example.com from the office',
    },
  ],
  [
    DEBIAN,
    'Accepted password for bob from 198.51.100.7 port 50022 ssh2',
    { what: 'Login', user: 'bob', ip: '198.51.100.7', method: 'password' },
  ],
  [
    DEBIAN,
    'Accepted keyboard-interactive/pam for bob from 198.51.100.7 port 50022 ssh2',
    { what: 'Login', user: 'bob', ip: '198.51.100.7', method: 'keyboard-interactive/pam' },
  ],
  [
    DEBIAN,
    'Failed password for invalid user admin from 203.0.113.9 port 4 ssh2',
    { what: 'LoginFailed', user: 'admin', ip: '203.0.113.9', method: 'password', error: 'NotAuthenticated' },
  ],
  [
    DEBIAN,
    'Failed publickey for root from 203.0.113.9 port 4 ssh2: RSA SHA256:ee',
    { what: 'LoginFailed', user: 'root', ip: '203.0.113.9', method: 'publickey', error: 'NotAuthenticated' },
  ],
  // A stranger chooses the name: no address of his own choosing is believed.
  [
    DEBIAN,
    'Invalid user x from 192.0.2.1 port 22 from 203.0.113.9 port 4',
    { what: 'LoginFailed', user: 'x from 192.0.2.1 port 22', ip: '203.0.113.9', error: 'NoSuchUser' },
  ],
  [DEBIAN, 'Invalid user  from 203.0.113.9 port 4', { what: 'LoginFailed', ip: '203.0.113.9', error: 'NoSuchUser' }],
  [
    DEBIAN,
    'Connection closed by authenticating user root 203.0.113.9 port 4 [preauth]',
    { what: 'LoginFailed', user: 'root', ip: '203.0.113.9', error: 'NotAuthenticated' },
  ],
  [
    DEBIAN,
    'error: maximum authentication attempts exceeded for root from 203.0.113.9 port 4 ssh2 [preauth]',
    { what: 'LoginFailed', user: 'root', ip: '203.0.113.9', error: 'TooManyAttempts' },
  ],
  [
    DEBIAN,
    'User games not allowed because not listed in AllowUsers',
    { what: 'LoginFailed', user: 'games', error: 'NotAllowed' },
  ],
  [
    NEW,
    'Disconnected from user ubuntu 198.51.100.7 port 50022',
    { what: 'Disconnect', user: 'ubuntu', ip: '198.51.100.7' },
  ],
  [
    NEW,
    'Timeout, client not responding from user ubuntu 198.51.100.7 port 50022',
    { what: 'Disconnect', user: 'ubuntu', ip: '198.51.100.7', error: 'Timeout' },
  ],
  [
    NEW,
    'Starting session: command for backup from 198.51.100.7 port 50022 id 0',
    { what: 'OpenChannel', user: 'backup', ip: '198.51.100.7', command: 'command' },
  ],
  [
    NEW,
    "Starting session: subsystem 'sftp' for backup from 198.51.100.7 port 50022 id 0",
    { what: 'OpenChannel', user: 'backup', ip: '198.51.100.7', command: "subsystem 'sftp'" },
  ],
  [
    NEW,
    'Starting session: shell on pts/0 for ubuntu from 198.51.100.7 port 50022 id 0',
    { what: 'OpenChannel', user: 'ubuntu', ip: '198.51.100.7', command: 'shell', tty: 'pts/0' },
  ],
  [
    'sshd',
    'pam_unix(sshd:session): session opened for user anna(uid=1000) by (uid=0)',
    { what: 'OpenSession', service: 'sshd', user: 'anna' },
  ],
  [
    'sshd',
    'pam_unix(sshd:session): session opened for user anna by (uid=0)',
    { what: 'OpenSession', service: 'sshd', user: 'anna' },
  ],
  [
    'sshd',
    'pam_unix(sshd:session): session closed for user anna',
    { what: 'CloseSession', service: 'sshd', user: 'anna' },
  ],
  [
    'sshd',
    'pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root',
    { what: 'LoginFailed', service: 'sshd', user: 'root', ip: '203.0.113.9', error: 'NotAuthenticated' },
  ],
  [
    'sudo',
    ' ubuntu : TTY=pts/0 ; PWD=/home/ubuntu ; USER=root ; COMMAND=/usr/bin/apt upgrade',
    { what: 'Sudo', user: 'ubuntu', as: 'root', command: '/usr/bin/apt upgrade' },
  ],
  // RHEL and Amazon Linux: the same, without a terminal; sudo 1.9 with GROUP and ENV.
  [
    'sudo',
    'ec2-user : PWD=/ ; USER=postgres ; GROUP=dba ; ENV=PGDATA=/x ; COMMAND=/usr/bin/psql -c DROP TABLE t;',
    { what: 'Sudo', user: 'ec2-user', as: 'postgres', command: '/usr/bin/psql -c DROP TABLE t;' },
  ],
  // Who names his directory like a command hides nothing behind it.
  [
    'sudo',
    'eve : TTY=pts/0 ; PWD=/tmp/x ; USER=nobody ; COMMAND=/bin/true ; USER=root ; COMMAND=/bin/sh',
    { what: 'Sudo', user: 'eve', as: 'nobody', command: '/bin/true ; USER=root ; COMMAND=/bin/sh' },
  ],
  [
    'sudo',
    '  bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/sh',
    { what: 'SudoDenied', user: 'bob', as: 'root', command: '/bin/sh', error: 'user NOT in sudoers' },
  ],
  [
    'sudo',
    '  bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh',
    { what: 'SudoDenied', user: 'bob', as: 'root', command: '/bin/sh', error: '3 incorrect password attempts' },
  ],
  [
    'sudo',
    'pam_unix(sudo:session): session opened for user root(uid=0) by anna(uid=1000)',
    { what: 'OpenSession', service: 'sudo', user: 'root' },
  ],
  ['su', '(to root) anna on pts/1', { what: 'Su', user: 'anna', as: 'root', tty: 'pts/1' }],
  [
    'su',
    'FAILED SU (to root) bob on pts/1',
    { what: 'SuDenied', user: 'bob', as: 'root', tty: 'pts/1', error: 'NotAuthenticated' },
  ],
  ['su', 'Successful su for root by anna', { what: 'Su', user: 'anna', as: 'root' }],
  ['login', 'LOGIN ON ttyS0 BY root', { what: 'Login', user: 'root', tty: 'ttyS0' }],
  [
    'login',
    "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure",
    { what: 'LoginFailed', user: "'root'", tty: "'/dev/tty1'", error: 'NotAuthenticated' },
  ],
  ['systemd-logind', 'New session 5 of user ubuntu.', { what: 'NewSession', session: '5', user: 'ubuntu' }],
  ['systemd-logind', 'New session c1 of user svc.batch.', { what: 'NewSession', session: 'c1', user: 'svc.batch' }],
  // systemd 256 and later.
  [
    'systemd-logind',
    "New session '5' of user 'ubuntu' with class 'user' and type 'tty'.",
    { what: 'NewSession', session: '5', user: 'ubuntu' },
  ],
  ['systemd-logind', 'Session 5 logged out. Waiting for processes to exit.', { what: 'LogOut', session: '5' }],
  ['systemd-logind', 'Removed session 5.', { what: 'RemoveSession', session: '5' }],
  ['systemd-logind', 'The system will reboot now!', { what: 'Shutdown' }],
  ['systemd-logind', 'System is powering down.', { what: 'Shutdown' }],
  // What is not known is a line like others; the words of one program in another's mouth are nothing.
  ['sshd', 'Server listening on 0.0.0.0 port 22.', { what: 'Line' }],
  ['cron', 'Accepted publickey for root from 192.0.2.1 port 1 ssh2', { what: 'Line' }],
  ['sudo', 'Accepted publickey for root from 192.0.2.1 port 1 ssh2', { what: 'Line' }],
])('%s: %s', (identifier, message, words) => {
  expect(readWords(identifier, message)).toEqual(words);
});

test('no line takes long, however it is made', () => {
  const evil = [
    `Accepted publickey for ${'a from b port 1 '.repeat(4_000)}`,
    ` x : ${'TTY=a ; '.repeat(4_000)}`,
    `New session 5 of user ${"' with class ".repeat(4_000)}`,
    `pam_unix(sshd:auth): authentication failure;${' rhost='.repeat(4_000)}`,
  ];
  for (const identifier of ['sshd', 'sudo', 'systemd-logind', 'login', 'su'])
    for (const message of evil) expect(readWords(identifier, message).what).toBeDefined();
});

const CALL =
  'type=SYSCALL msg=audit(1764036000.123:456): arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=56 items=2 ppid=900 pid=901 auid=1000 uid=0 gid=0 euid=0 tty=pts0 ses=5 comm="ls" exe="/usr/bin/ls" subj=unconfined key="steward"';

test('an execve of auditd: who logged in, as whom, what', () => {
  expect(
    readExecve([CALL, 'type=EXECVE msg=audit(1764036000.123:456): argc=3 a0="ls" a1="-l" a2=2F746D702F612062']),
  ).toEqual({
    login: '1000',
    uid: '0',
    pid: 901,
    session: '5',
    tty: 'pts0',
    program: '/usr/bin/ls',
    command: 'ls -l /tmp/a b',
    failed: false,
    at: 1764036000123,
  });
  // Of AWS's agent: nobody logged in; and an argument that looks like hexadecimal is quoted, and stays.
  expect(
    readExecve([
      CALL.replace('auid=1000', 'auid=4294967295').replace('ses=5', 'ses=4294967295').replace('tty=pts0', 'tty=(none)'),
      'type=EXECVE msg=audit(1764036000.123:456): argc=2 a0="echo" a1="CAFE"',
    ]),
  ).toMatchObject({ login: null, command: 'echo CAFE' });
  expect(readExecve(['type=USER_LOGIN msg=audit(1764036000.123:456): pid=1'])).toBeUndefined();
  expect(readExecve([])).toBeUndefined();
});
