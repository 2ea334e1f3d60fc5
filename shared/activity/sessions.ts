/**
 * Who was on a host, by which way, from when to when, what they ran, and whether what they did there was recorded. Each session has an end: its own, or one that follows from something
 * else that happened (`synthetic`), with the reason. Pure, over what the log has; the same in whatever order it is given.
 *
 *     sshd      Accepted publickey … (pid 812)  ──┐
 *     logind    New session 5, leader 812       ──┼─▶ i-1/9f3c2a10/5: anna, by key SHA256:…, from 198.51.100.7
 *     sudo      kernel's session 5              ──┤     ran 3 commands, 08:01 to 08:20
 *     PAM       session closed (pid 812)        ──┘
 *     Session Manager, by its API               ────▶ anna-0abc…: arn:…:user/anna, by AWS's agent
 */
import { hours, iso, type Time } from '../core/time.ts';
import { type HostEvent, sessionName } from './hostLine.ts';
import { endOf, type Host, isSilent } from './hosts.ts';

/** `recorded`: where it lies is said. `tunnel`: bytes of somebody else's protocol, which nothing here can read. `cut off`: it was being recorded, and its end did not come. */
export type Content = 'recorded' | 'tunnel' | 'not recorded' | 'cut off' | 'unknown';

export interface Ran {
  readonly at: Time;
  readonly what: 'Sudo' | 'SudoDenied' | 'Su' | 'SuDenied' | 'Execve';
  readonly command: string;
  readonly as?: string;
  /** It may be of another session that was open, or nobody proves that sudo said so. */
  readonly unsure?: true;
}

export interface HostSession {
  readonly id: string;
  readonly host: string;
  readonly kind: 'ssh' | 'local' | 'ssm' | 'ssm-tunnel';
  /** The user on the host; of Session Manager: the principal's ARN. */
  readonly who: string;
  /** 'key SHA256:…', 'password', a document of Session Manager. */
  readonly by: string;
  readonly ip?: string;
  /** IAM principals that had a tunnel of Session Manager to the host open when somebody came in from the host itself. */
  readonly behind: readonly string[];
  readonly from: Time;
  /** Absent: it is open. */
  readonly end?: { readonly at: Time; readonly synthetic: boolean; readonly because: string };
  readonly content: { readonly is: Content; readonly because: string };
  /** Oldest first. */
  readonly ran: readonly Ran[];
}

/** What Session Manager's API says of one of its sessions, by CloudTrail or by Steward's own look. */
export interface ApiFact {
  readonly id: string;
  readonly at: Time;
  readonly says: 'start' | 'end' | 'resume';
  readonly host?: string;
  readonly who?: string;
  readonly ip?: string;
  readonly document?: string;
  readonly content?: { readonly is: Content; readonly because: string };
  readonly because?: string;
}

/** Documents of AWS whose sessions carry other protocols: Session Manager cannot record them. */
const TUNNELS = /^AWS-Start(?:PortForwardingSession\w*|SSHSession|RDPSession\w*)$/;
export const isTunnel = (document: string): boolean => TUNNELS.test(document);
const TUNNELED = { is: 'tunnel', because: 'Session Manager cannot record what goes through a tunnel' } as const;

const LOCAL_ADDRESS = /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/;
/** PAM services by which one comes in. */
const DOORS = new Set(['sshd', 'login', 'remote', 'gdm-password']);

type Open = { -readonly [K in keyof HostSession]: HostSession[K] } & {
  readonly boot: string;
  pid: number | undefined;
  /** By which it is called: logind's, else the last that the kernel gave to its process. */
  number: string | undefined;
  isLogind: boolean;
  /** All that were seen of its process: until PAM has asked for one, it has that of whoever started sshd, and journald may remember it for a moment longer. */
  numbers: string[];
  ran: Ran[];
};

const ENDED_BY: Readonly<Record<string, string>> = {
  CloseSession: 'it was closed',
  RemoveSession: 'it was closed',
  LogOut: 'they logged out',
  Disconnect: 'the connection ended',
};

const CONTENT_OF_SSH = {
  is: 'not recorded',
  because: 'sshd records no content; what was run by sudo is here',
} as const;
const CONTENT_WITH_EXECVE = {
  is: 'not recorded',
  because: 'sshd records no content; every program that was started is here',
} as const;

const isOpenAt = (s: Open, at: Time): boolean => s.from <= at && at <= (s.end?.at ?? Number.POSITIVE_INFINITY);

const wayOf = ({ what, service, method, key, certificate, tty }: HostEvent['is']): Pick<Open, 'kind' | 'by'> => {
  if (what === 'OpenSession')
    return service === 'sshd'
      ? { kind: 'ssh', by: 'unknown: the line that says how is missing' }
      : { kind: 'local', by: service ?? 'unknown' };
  if (tty !== undefined) return { kind: 'local', by: tty };
  const named = certificate === undefined ? '' : `, certificate ${certificate}`;
  return { kind: 'ssh', by: key === undefined ? (method ?? 'unknown') : `key ${key}${named}` };
};

/** What was run without a number of the kernel's: by AWS's agent, or too short for journald to ask. */
interface Loose extends Ran {
  readonly user: string;
}
interface Numbered {
  readonly ran: Ran;
  readonly user: string;
  readonly boot: string;
  readonly session: string;
}

/** One host's lines, in their order. */
const createGate = (host: string) => {
  const sessions: Open[] = [];
  const loose: Loose[] = [];

  const numbered: Numbered[] = [];

  const openOf = (e: HostEvent): Open | undefined => {
    const { boot, pid, leader, session } = e.is;
    const mine = (s: Open): boolean => s.end === undefined && s.boot === boot;
    return (
      sessions.findLast((s) => mine(s) && s.pid !== undefined && (s.pid === leader || s.pid === pid)) ??
      (session === undefined ? undefined : sessions.findLast((s) => mine(s) && s.numbers.includes(session)))
    );
  };
  const begin = ({ time, is }: HostEvent): void => {
    const { user, ip, boot, session, pid } = is;
    sessions.push({
      id: '',
      host,
      ...wayOf(is),
      who: user ?? 'unknown',
      ...(ip === undefined ? {} : { ip }),
      behind: [],
      from: time,
      content: CONTENT_OF_SSH,
      ran: [],
      boot,
      pid,
      number: session,
      isLogind: false,
      numbers: session === undefined ? [] : [session],
    });
  };
  const count = (known: Open, { what, session }: HostEvent['is']): void => {
    if (session === undefined) return;
    known.numbers.push(session);
    if (what !== 'NewSession' && known.isLogind) return;
    known.number = session;
    known.isLogind = what === 'NewSession';
  };
  const login = (e: HostEvent): void => {
    const known = sessions.findLast((s) => s.end === undefined && s.boot === e.is.boot && s.pid === e.is.pid);
    // login(1) says so after PAM, sshd before it.
    if (known && e.is.tty !== undefined) Object.assign(known, wayOf(e.is));
    else {
      if (known)
        known.end = { at: e.time, synthetic: true, because: 'its end never came: its process is another’s now' };
      begin(e);
    }
  };
  /** logind tells the number of a session, and of those of cron as well: by it none begins. */
  const number = (e: HostEvent): void => {
    const known = openOf(e);
    if (known) count(known, e.is);
  };
  const open = (e: HostEvent): void => {
    if (openOf(e)) number(e);
    else if (DOORS.has(e.is.service ?? '')) begin(e);
  };
  const close = (e: HostEvent): void => {
    const { what, service, error } = e.is;
    const known = service === undefined || DOORS.has(service) ? openOf(e) : undefined;
    if (!known) return;
    count(known, e.is);
    known.end = { at: e.time, synthetic: false, because: error ?? ENDED_BY[what] ?? what };
  };
  const run = (e: HostEvent): void => {
    const { what, command = '', as, session, unproven, user = '' } = e.is;
    const ran: Ran = {
      at: e.time,
      what: what as Ran['what'],
      command,
      ...(as === undefined ? {} : { as }),
      ...(unproven ? { unsure: true } : {}),
    };
    if (session === undefined) loose.push({ ...ran, user });
    else numbered.push({ ran, user, boot: e.is.boot, session });
  };
  const endAll = (boot: string, at: Time, because: string): void => {
    for (const s of sessions) if (s.end === undefined && s.boot === boot) s.end = { at, synthetic: true, because };
  };
  const by: Readonly<Record<string, (e: HostEvent) => void>> = {
    Login: login,
    OpenSession: open,
    NewSession: number,
    CloseSession: close,
    RemoveSession: close,
    LogOut: close,
    Disconnect: close,
    Sudo: run,
    SudoDenied: run,
    Su: run,
    SuDenied: run,
    Execve: run,
    Shutdown: (e) => endAll(e.is.boot, e.time, 'the host was shut down'),
  };
  let last: HostEvent | undefined;
  const pass = (e: HostEvent): void => {
    const { boot, what } = e.is;
    if (last && boot !== last.is.boot)
      endAll(last.is.boot, last.time, 'the host started anew: this is when it was last heard of before');
    last = e;
    by[what]?.(e);
  };
  const withRun = (s: Open, ran: Ran): void => {
    s.ran.push(ran);
    if (ran.what === 'Execve') s.content = CONTENT_WITH_EXECVE;
  };
  /** Where there is no logind, a short session may have shown no number: then its user's name is all that there is. */
  const byName = ({ ran, user, boot }: Numbered): Open[] =>
    sessions.filter((s) => s.boot === boot && s.numbers.length === 0 && s.who === user && isOpenAt(s, ran.at));
  /** Once all numbers are known. */
  const assign = (): void => {
    for (const n of numbered) {
      const { ran, boot, session } = n;
      const known = sessions.findLast((s) => s.boot === boot && s.numbers.includes(session) && s.from <= ran.at);
      if (known) withRun(known, ran);
      else for (const s of byName(n)) withRun(s, { ...ran, unsure: true });
    }
  };
  return { pass, assign, sessions, loose };
};

const hostSessions = (host: string, events: readonly HostEvent[]): { sessions: Open[]; loose: Loose[] } => {
  const { pass, assign, sessions, loose } = createGate(host);
  for (const e of events) if (e.is.boot !== '') pass(e);
  assign();
  for (const s of sessions) s.id = sessionName(host, s.boot, s.number ?? `pid-${s.pid}`);
  return { sessions, loose };
};

/** Sessions of Session Manager, each by all that is said of it. */
const apiSessions = (facts: readonly ApiFact[]): Open[] => {
  const byId = Map.groupBy(facts, (f) => f.id);
  return [...byId].map(([id, said]) => {
    const inOrder = said.toSorted((a, b) => a.at - b.at);
    const known = <K extends keyof ApiFact>(key: K): ApiFact[K] | undefined =>
      inOrder.find((f) => f[key] !== undefined)?.[key];
    const end = inOrder.find((f) => f.says === 'end');
    const document = known('document') ?? 'SSM-SessionManagerRunShell';
    const tunnel = isTunnel(document) || known('content')?.is === 'tunnel';
    const ip = known('ip');
    return {
      id,
      host: known('host') ?? 'unknown',
      kind: tunnel ? 'ssm-tunnel' : 'ssm',
      who: known('who') ?? 'unknown',
      by: document,
      ...(ip === undefined ? {} : { ip }),
      behind: [],
      from: inOrder[0]?.at ?? 0,
      ...(end ? { end: { at: end.at, synthetic: false, because: end.because ?? 'it was ended' } } : {}),
      content: tunnel
        ? TUNNELED
        : (known('content') ?? { is: 'unknown', because: 'nobody looked how this session is recorded' }),
      ran: [],
      boot: '',
      pid: undefined,
      number: undefined,
      isLogind: false,
      numbers: [],
    };
  });
};

/** Session Manager ends a session after so long, unless its preferences say less. */
const LONGEST_SSM = hours(24);

/** What has no end of its own gets one from what happened to its host. */
const endFor = (s: Open, host: Host | undefined, now: Time): Open['end'] => {
  if (s.end) return s.end;
  const ended = host && endOf(host);
  if (ended && ended.at >= s.from) return { ...ended, synthetic: true };
  if (host && isSilent(host, now) && host.lastAt >= s.from)
    return {
      at: host.lastAt,
      synthetic: true,
      because: `nothing was heard of the host since ${iso(host.lastAt)}`,
    };
  if (s.kind.startsWith('ssm') && now - s.from > LONGEST_SSM)
    return { at: s.from + LONGEST_SSM, synthetic: true, because: 'Session Manager lets none last longer' };
  return undefined;
};

/** Session Manager's own user; its preferences may name others. */
const SSM_USER = 'ssm-user';

/** Whose it may be: of those who came in under that name, else of those who came by Session Manager. */
const candidatesFor = (sessions: readonly Open[], host: string, { at, user }: Loose): Open[] => {
  const there = sessions.filter((s) => s.host === host && isOpenAt(s, at));
  const named = there.filter((s) => s.boot !== '' && s.who === user);
  return named.length > 0 ? named : there.filter((s) => s.kind === 'ssm');
};
const attribute = (sessions: readonly Open[], loose: ReadonlyMap<string, readonly Loose[]>): void => {
  for (const [host, runs] of loose)
    for (const { user, ...ran } of runs) {
      const those = candidatesFor(sessions, host, { user, ...ran });
      const isSure = those.length === 1 && (those[0]?.boot !== '' || user === SSM_USER);
      for (const s of those) s.ran.push(isSure ? ran : { ...ran, unsure: true });
    }
};
const lookBehind = (sessions: readonly Open[]): void => {
  const tunnels = sessions.filter((s) => s.kind === 'ssm-tunnel');
  for (const s of sessions)
    if (s.kind === 'ssh' && LOCAL_ADDRESS.test(s.ip ?? ''))
      s.behind = [...new Set(tunnels.filter((t) => t.host === s.host && isOpenAt(t, s.from)).map((t) => t.who))];
};

const finished = ({
  boot: _boot,
  pid: _pid,
  number: _number,
  isLogind: _isLogind,
  numbers: _numbers,
  ...s
}: Open): HostSession => {
  const isCut = s.content.is === 'recorded' && s.end?.synthetic === true;
  const content = isCut
    ? {
        is: 'cut off' as const,
        because: `${s.end?.because}; what was recorded until then may be there: ${s.content.because}`,
      }
    : s.content;
  return { ...s, content, ran: s.ran.toSorted((a, b) => a.at - b.at) };
};

const inOrder = (events: readonly HostEvent[]): HostEvent[] =>
  events.toSorted((a, b) => a.time - b.time || (a.numbered?.seq ?? 0) - (b.numbered?.seq ?? 0));

/** @returns the newest first @param hosts what is known of the hosts themselves: whether they are still there */
export const sessionsOf = (
  { lines, facts }: { readonly lines: readonly HostEvent[]; readonly facts: readonly ApiFact[] },
  { hosts, now }: { readonly hosts: Readonly<Record<string, Host>>; readonly now: Time },
): HostSession[] => {
  // A line that somebody made up, or that says it is another host's, begins no session and ends none.
  const believed = lines.filter((e) => e.numbered !== undefined && e.time > 0);
  const loose = new Map<string, readonly Loose[]>();
  const sessions: Open[] = apiSessions(facts);
  for (const [host, events] of Map.groupBy(believed, (e) => e.stream)) {
    const found = hostSessions(host, inOrder(events));
    sessions.push(...found.sessions);
    loose.set(host, found.loose);
  }
  for (const s of sessions) {
    const end = endFor(s, hosts[s.host], now);
    if (end) s.end = end;
  }
  attribute(sessions, loose);
  lookBehind(sessions);
  return sessions.map(finished).sort((a, b) => b.from - a.from || (a.id < b.id ? -1 : 1));
};
