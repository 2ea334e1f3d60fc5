/**
 * What a host ships: one line of JSON for each thing that happened, numbered by the host. `record` puts it, as text, into an envelope that says by which stream it came, and that
 * envelope is the event in the log. So whatever a host sends is kept byte for byte, and what is read out of it here is only for finding it again.
 *
 *     {"hostLine":"…","stream":"i-1","account":"111122223333","region":"eu-central-1"}
 *     … = {"v":1,"host":"i-1","chain":"9f3c2a10","boot":"<32 hex>","seq":7,"batch":{"count":2,"sum":"<sha256>","before":"<sha256>"},"line":{…}}
 *
 * The stream is CloudWatch's word for who sent it, the rest is the host's own. `chain` begins anew where a host has lost its numbers. The first line of a batch has a hash over what the
 * batch's lines say, and that of the batch before.
 */
import type { Time } from '../core/time.ts';
import { sha256 } from './hashing.ts';
import { doubtOf, isGone, readExecve, readWords, type Words } from './hostWords.ts';

export interface From {
  readonly account: string;
  readonly region: string;
  /** The log stream: the instance's id, as the CloudWatch agent names it. */
  readonly stream: string;
}

/** One line of a host, as the log has it. */
export const hostEvent = (line: string, { account, region, stream }: From): Buffer =>
  Buffer.from(JSON.stringify({ hostLine: line, stream, account, region }));

export interface Batch {
  readonly count: number;
  /** SHA-256, hexadecimal, over the lines of SHA-256 of what each line says. */
  readonly sum: string;
  readonly before: string;
}
/** What numbers a line. */
export interface Numbered {
  readonly chain: string;
  readonly seq: number;
  readonly batch?: Batch;
  /** Of what it says: the part that `sum` is over. */
  readonly hash: string;
}

export interface Happened extends Words {
  /** 'Login', 'Sudo', 'Execve', 'Beat', …; 'Unproven': another program said so than may; 'Unreadable'. */
  readonly what: string;
  readonly boot: string;
  readonly pid?: number;
  /** The process that a new session of logind belongs to. */
  readonly leader?: number;
  /** The kernel's number of the login, or logind's: one and the same where the kernel counts. */
  readonly session?: string;
  /** A program's path, of what was run. */
  readonly program?: string;
  /** What the shipper says of itself. */
  readonly say?: string;
  /** Who wrote it had ended before the kernel could be asked what it was. */
  readonly unproven?: true;
}

export interface HostEvent extends From {
  readonly time: Time;
  readonly is: Happened;
  /** Absent: it has no number that counts, since it cannot be read or is another host's. */
  readonly numbered?: Numbered;
  /** Why it is not what it should be. */
  readonly trouble?: string;
}

type Fields = Readonly<Record<string, unknown>>;
const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);

/** journald gives a field as text; as a list of bytes where it is none; as a list of values where it has several. */
const fieldOf = (journal: Fields, name: string): string | undefined => {
  const value = journal[name];
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  return value.every((b) => typeof b === 'number')
    ? Buffer.from(value).toString('utf8')
    : fieldOf({ [name]: value[0] }, name);
};
const numberOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined;

const UNSET = '4294967295';
const set = (text: string | undefined): string | undefined => (text === UNSET || text === '' ? undefined : text);

const ofJournal = (journal: Fields, boot: string): Pick<HostEvent, 'time' | 'is' | 'trouble'> => {
  const identifier = fieldOf(journal, 'SYSLOG_IDENTIFIER') ?? fieldOf(journal, '_COMM') ?? '';
  const message = fieldOf(journal, 'MESSAGE') ?? '';
  const time = Math.floor((numberOf(fieldOf(journal, '__REALTIME_TIMESTAMP')) ?? 0) / 1_000);
  const [pid, leader] = ['_PID', 'LEADER'].map((name) => numberOf(fieldOf(journal, name)));
  const session =
    fieldOf(journal, 'SESSION_ID') ?? set(fieldOf(journal, '_AUDIT_SESSION')) ?? fieldOf(journal, '_SYSTEMD_SESSION');
  const where = {
    boot: fieldOf(journal, '_BOOT_ID') ?? boot,
    ...(pid === undefined ? {} : { pid }),
    ...(leader === undefined ? {} : { leader }),
    ...(session === undefined ? {} : { session }),
  };
  const words = readWords(identifier, message);
  const [exe, comm, uid] = ['_EXE', '_COMM', '_UID'].map((name) => fieldOf(journal, name));
  const writer = { exe, comm, uid };
  const trouble = doubtOf(identifier, words.what, writer);
  if (trouble !== undefined) return { time, is: { what: 'Unproven', ...where, error: 'Unproven' }, trouble };
  const program = words.what.startsWith('Sudo') ? words.command?.split(' ')[0] : undefined;
  return {
    time,
    is: { ...where, ...words, ...(program ? { program } : {}), ...(isGone(writer) ? { unproven: true } : {}) },
  };
};

const ofAudit = (records: readonly unknown[], line: Fields, boot: string): Pick<HostEvent, 'time' | 'is'> => {
  const ran = readExecve(records.filter((r) => typeof r === 'string'));
  if (!ran) return { time: 0, is: { what: 'Line', boot } };
  const { login, uid, pid, session, tty, program, command, failed, at } = ran;
  const named = typeof line['login'] === 'string' ? line['login'] : undefined;
  const as = typeof line['as'] === 'string' ? line['as'] : `uid:${uid}`;
  return {
    time: at,
    is: {
      what: 'Execve',
      boot,
      pid,
      program,
      command,
      // Where nobody logged in, it is whoever the process runs as.
      user: named ?? (login === null ? as : `uid:${login}`),
      as,
      ...(session === undefined ? {} : { session }),
      ...(tty === undefined ? {} : { tty }),
      ...(failed ? { error: 'Failed' } : {}),
    },
  };
};

/** What the shipper says of itself. */
const OWN: Readonly<Record<string, string>> = {
  start: 'ShipStart',
  beat: 'Beat',
  lost: 'Lost',
  stop: 'ShipStop',
};
const ofShipper = ({ what, at, say }: Fields, boot: string): Pick<HostEvent, 'time' | 'is'> => {
  const name = OWN[String(what)] ?? 'Line';
  return {
    time: typeof at === 'number' ? at * 1_000 : 0,
    is: {
      what: name,
      boot,
      ...(typeof say === 'string' ? { say } : {}),
      ...(name === 'Lost' ? { error: 'Lost' } : {}),
    },
  };
};

const saidIn = (line: unknown, boot: string): Pick<HostEvent, 'time' | 'is' | 'trouble'> => {
  if (isFields(line)) {
    if (isFields(line['journal'])) return ofJournal(line['journal'], boot);
    if (Array.isArray(line['audit'])) return ofAudit(line['audit'], line, boot);
    if (isFields(line['steward'])) return ofShipper(line['steward'], boot);
  }
  return { time: 0, is: { what: 'Line', boot } };
};

const HASH = /^[0-9a-f]{64}$/;
const batchOf = (batch: unknown): Batch | undefined => {
  if (!isFields(batch)) return undefined;
  const { count, sum, before } = batch;
  const isWhole = Number.isInteger(count) && HASH.test(String(sum)) && /^(?:[0-9a-f]{64})?$/.test(String(before));
  return isWhole ? { count: Number(count), sum: String(sum), before: String(before) } : undefined;
};

/** What a line says, as its batch's sum counts it: what stands behind `"line":`, without the last brace. */
const PAYLOAD = '"line":';
const payloadOf = (text: string): string => text.slice(text.indexOf(PAYLOAD) + PAYLOAD.length, text.lastIndexOf('}'));

const numbersOf = (text: string, { chain, seq, batch }: Fields): Numbered | undefined => {
  if (typeof chain !== 'string' || !/^[0-9a-f]{8,32}$/.test(chain)) return undefined;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1) return undefined;
  const known = batchOf(batch);
  return {
    chain,
    seq,
    hash: sha256(Buffer.from(payloadOf(text))).toString('hex'),
    ...(known ? { batch: known } : {}),
  };
};

const unreadable = (from: From, trouble: string): HostEvent => ({
  ...from,
  time: 0,
  is: { what: 'Unreadable', boot: '', error: 'Unreadable' },
  trouble,
});

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** Never throws: whatever a host sends is something that it sent. */
export const readHostLine = (text: string, from: From): HostEvent => {
  const outer = parsed(text);
  if (!isFields(outer)) return unreadable(from, 'it is no JSON object');
  if (outer['v'] !== 1) return unreadable(from, `it is of version ${JSON.stringify(outer['v'])}, which is not known`);
  const boot = typeof outer['boot'] === 'string' ? outer['boot'] : '';
  const { time, is, trouble } = saidIn(outer['line'], boot);
  if (outer['host'] !== from.stream)
    return {
      ...from,
      time,
      is: { ...is, what: 'Foreign', error: 'Foreign' },
      trouble: `it says that it is of ${JSON.stringify(outer['host'])}`,
    };
  const numbered = numbersOf(text, outer);
  if (!numbered) return { ...from, time, is, trouble: 'it has no number' };
  return { ...from, time, is, numbered, ...(trouble === undefined ? {} : { trouble }) };
};

/** The envelope's; undefined: it is none. */
export const hostEventIn = (outer: Fields): HostEvent | undefined => {
  const { hostLine, stream, account, region } = outer;
  if (typeof hostLine !== 'string' || typeof stream !== 'string') return undefined;
  return readHostLine(hostLine, { stream, account: String(account), region: String(region) });
};
export const readHostEvent = (raw: Uint8Array): HostEvent | undefined => {
  const outer = parsed(Buffer.from(raw).toString('utf8'));
  return isFields(outer) ? hostEventIn(outer) : undefined;
};

/** 'i-1/9f3c2a10/5': the host, its boot, and the kernel's number of the login; or 'pid-812', that of sshd's process, where it has none yet. */
export const sessionName = (host: string, boot: string, id: string): string => `${host}/${boot.slice(0, 8)}/${id}`;

/** By which a line is found. */
export const namesOf = ({ stream, is }: HostEvent): string[] => {
  const { boot, session, leader, pid, what, service, as, program } = is;
  const isDoor = what === 'Login' || ((what === 'OpenSession' || what === 'CloseSession') && service !== 'sudo');
  return [
    stream,
    ...(session === undefined ? [] : [sessionName(stream, boot, session)]),
    ...(leader === undefined ? [] : [sessionName(stream, boot, `pid-${leader}`)]),
    ...(isDoor && pid !== undefined ? [sessionName(stream, boot, `pid-${pid}`)] : []),
    ...(as === undefined ? [] : [as]),
    ...(program === undefined ? [] : [program]),
  ];
};
