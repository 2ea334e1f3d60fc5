/**
 * What can be said of the lines that hosts ship: which numbers are missing, whether a batch says what its sum says, who has fallen silent. A fold over lines: in whatever order they come,
 * and however the log is read in parts, the end is the same.
 *
 *     numbers of i-1:  1 2 3 4 5 6 7   10 11      → 8 and 9 are missing, between the times of 7 and 10
 */
import { hours, minutes, type Time } from '../core/time.ts';
import { sha256 } from './hashing.ts';
import type { Batch, HostEvent, Numbered } from './hostLine.ts';

/** Numbers that are here without a gap, and the times of the first and the last of them. */
type Run = readonly [from: number, to: number, atFrom: Time, atTo: Time];

export interface HostFinding {
  readonly host: string;
  readonly because: string;
  /** About when, by the host's clock. */
  readonly from: Time;
  readonly to: Time;
}

interface Chain {
  readonly chain: string;
  readonly runs: readonly Run[];
  /** The last number under which the shipper said that it ends, and when. */
  readonly stop?: readonly [seq: number, at: Time];
  /** Batches that are not whole yet, by their first number. */
  readonly batches: Readonly<Record<string, Batch>>;
  /** Hashes of the lines of those. */
  readonly hashes: Readonly<Record<string, string>>;
  /** Sums of batches that are whole, by their last number, until the next was compared; and what is said of the one before, by the number before. */
  readonly sums: Readonly<Record<string, string>>;
  readonly befores: Readonly<Record<string, string>>;
}

export interface Host {
  readonly host: string;
  readonly account: string;
  readonly chains: readonly Chain[];
  /** When its latest line came, by Steward's clock; when that happened, by the host's. */
  readonly heardAt: Time;
  readonly lastAt: Time;
  /** Somebody stopped or terminated it. */
  readonly endedAt: Time;
  readonly findings: readonly HostFinding[];
}

export interface Hosts {
  readonly hosts: Readonly<Record<string, Host>>;
  /** Of up to this time lines have left the table: that they are not there says nothing. */
  readonly absentTo?: Time;
}
export const NO_HOSTS: Hosts = { hosts: {} };

/** What the shipper sends at least: a line by which one knows that it is there. */
export const BEAT = minutes(30);
/** Two beats, and the way here. */
export const SILENT = 2 * BEAT + minutes(10);
/** A line that is out of order is awaited so long. */
const LATE = minutes(15);
/** More ahead than this is no time. */
const SKEW = minutes(5);
/** Of whom nothing was heard for so long nothing is said any more: bodies have left the table by then. */
const FORGOTTEN = hours(90 * 24);
/** More than these would be an attack on the state; what is oldest goes. */
const MOST_RUNS = 200;
const MOST_FINDINGS = 50;
const MOST_OPEN = 2_000;
const MOST_CHAINS = 8;

const later = (a: Time, b: Time): Time => Math.max(a, b);

/** @returns the runs with it; undefined: it is in them already */
const withNumber = (runs: readonly Run[], seq: number, at: Time): readonly Run[] | undefined => {
  // Mostly it is the next of the last.
  let n = runs.length;
  while (n > 0 && (runs[n - 1] as Run)[0] > seq) n--;
  const before = runs[n - 1];
  const after = runs[n];
  if (before && seq <= before[1]) return undefined;
  const joinsBefore = before && before[1] === seq - 1;
  const joinsAfter = after && after[0] === seq + 1;
  const run: Run = [
    joinsBefore ? before[0] : seq,
    joinsAfter ? after[1] : seq,
    joinsBefore ? before[2] : at,
    joinsAfter ? after[3] : at,
  ];
  return [...runs.slice(0, joinsBefore ? n - 1 : n), run, ...runs.slice(joinsAfter ? n + 1 : n)];
};

/** The newest of them: numbers are keys. */
const newest = <T>(record: Readonly<Record<string, T>>): Readonly<Record<string, T>> => {
  const keys = Object.keys(record);
  return keys.length <= MOST_OPEN ? record : Object.fromEntries(keys.slice(-MOST_OPEN).map((k) => [k, record[k] as T]));
};
const without = <T>(record: Readonly<Record<string, T>>, keys: ReadonlySet<string>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).filter(([k]) => !keys.has(k)));
const numbersFrom = (first: number, count: number): string[] =>
  Array.from({ length: count }, (_, n) => String(first + n));

/** Sums of `sha256sum`'s kind: one hash a line. */
export const sumOf = (hashes: readonly string[]): string =>
  sha256(Buffer.from(hashes.map((h) => `${h}\n`).join(''))).toString('hex');

type Told = (because: string, seq: number) => void;

/** A batch is looked at when all of it is here. */
const closeBatch = (chain: Chain, first: number, told: Told): Chain => {
  const batch = chain.batches[first];
  if (!batch) return chain;
  const { count, sum, before } = batch;
  const numbers = numbersFrom(first, count);
  const hashes = numbers.flatMap((n) => chain.hashes[n] ?? []);
  if (hashes.length < count) return chain;
  if (sumOf(hashes) !== sum)
    told(`lines ${first} to ${first + count - 1} are not what the host’s own sum of them says`, first);
  const gone = new Set(numbers);
  return {
    ...chain,
    hashes: without(chain.hashes, gone),
    batches: without(chain.batches, new Set([String(first)])),
    sums: { ...chain.sums, [first + count - 1]: sum },
    befores: { ...chain.befores, [first - 1]: before },
  };
};

/** What a batch says of the one before it must be what that is. */
const compareSums = (chain: Chain, told: Told): Chain => {
  const known = Object.keys(chain.befores).filter((k) => k === '0' || chain.sums[k] !== undefined);
  for (const k of known)
    if (chain.befores[k] !== (chain.sums[k] ?? ''))
      told(`line ${Number(k) + 1} does not continue line ${k}: one of them was made up or altered`, Number(k) + 1);
  const done = new Set(known);
  return { ...chain, sums: newest(without(chain.sums, done)), befores: newest(without(chain.befores, done)) };
};

/** The batch that this number is in, if its first line is here. */
const batchWith = ({ batches }: Chain, seq: number): number | undefined => {
  for (const [first, { count }] of Object.entries(batches))
    if (Number(first) <= seq && seq < Number(first) + count) return Number(first);
  return undefined;
};

const MOST_BATCH = 2_000;
const withHash = (chain: Chain, { seq, hash, batch }: Numbered, told: Told): Chain => {
  const isSane = batch !== undefined && batch.count >= 1 && batch.count <= MOST_BATCH;
  const known: Chain = {
    ...chain,
    hashes: newest({ ...chain.hashes, [seq]: hash }),
    batches: isSane ? newest({ ...chain.batches, [seq]: batch }) : chain.batches,
  };
  const first = batchWith(known, seq);
  return first === undefined ? known : compareSums(closeBatch(known, first, told), told);
};

const emptyChain = (chain: string): Chain => ({ chain, runs: [], batches: {}, hashes: {}, sums: {}, befores: {} });
const emptyHost = (host: string, account: string): Host => ({
  host,
  account,
  chains: [],
  heardAt: 0,
  lastAt: 0,
  endedAt: 0,
  findings: [],
});

const byTime = (a: HostFinding, b: HostFinding): number => a.from - b.from || (a.because < b.because ? -1 : 1);
const withFindings = (host: Host, found: readonly HostFinding[]): Host => {
  const known = new Set(host.findings.map((f) => `${f.from} ${f.because}`));
  const fresh = found.filter((f) => !known.has(`${f.from} ${f.because}`));
  return fresh.length === 0
    ? host
    : { ...host, findings: [...host.findings, ...fresh].sort(byTime).slice(-MOST_FINDINGS) };
};

const withStop = (chain: Chain, seq: number, at: Time): Chain =>
  seq > (chain.stop?.[0] ?? 0) ? { ...chain, stop: [seq, at] } : chain;

/** What is odd about a line by itself. */
const oddIn = ({ time, is, trouble }: HostEvent, heardAt: Time): string[] => [
  ...(trouble === undefined ? [] : [trouble]),
  ...(is.what === 'Lost' ? [is.say ?? 'the shipper lost lines'] : []),
  ...(time > heardAt + SKEW ? ['its clock is ahead'] : []),
];

/** The chains with one number more. */
const withLine = (chains: readonly Chain[], { numbered, is }: HostEvent, at: Time, told: Told): readonly Chain[] => {
  if (!numbered) return chains;
  const { chain: name, seq } = numbered;
  const chain = chains.find((c) => c.chain === name) ?? emptyChain(name);
  const runs = withNumber(chain.runs, seq, at);
  if (!runs) {
    told(`another line with the number ${seq} came`, seq);
    return chains;
  }
  const heard = withHash({ ...chain, runs: runs.slice(-MOST_RUNS) }, numbered, told);
  const next = is.what === 'ShipStop' ? withStop(heard, seq, at) : heard;
  return [...chains.filter((c) => c !== chain), next].slice(-MOST_CHAINS);
};

/** One line more. @param heardAt when it was written into the log */
export const hearLine = (state: Hosts, event: HostEvent, heardAt: Time): Hosts => {
  const { stream, account, time } = event;
  const before = state.hosts[stream] ?? emptyHost(stream, account);
  const at = time || heardAt;
  const found = oddIn(event, heardAt);
  const host: Host = {
    ...before,
    chains: withLine(before.chains, event, at, (because) => void found.push(because)),
    heardAt: later(before.heardAt, heardAt),
    lastAt: later(before.lastAt, Math.min(at, heardAt)),
  };
  const findings = found.map((because) => ({ host: stream, because, from: at, to: at }));
  return { ...state, hosts: { ...state.hosts, [stream]: withFindings(host, findings) } };
};

/** Somebody stopped or terminated these. */
export const hearEnd = (state: Hosts, ids: readonly string[], at: Time): Hosts => {
  const known = ids.flatMap((id) => state.hosts[id] ?? []);
  const ended = known.map((h): [string, Host] => [h.host, { ...h, endedAt: later(h.endedAt, at) }]);
  return ended.length === 0 ? state : { ...state, hosts: { ...state.hosts, ...Object.fromEntries(ended) } };
};

/** Without those that nobody will ask for. */
export const forgetHosts = ({ hosts, ...rest }: Hosts, now: Time): Hosts => ({
  ...rest,
  hosts: Object.fromEntries(Object.entries(hosts).filter(([, h]) => now - h.heardAt < FORGOTTEN)),
});

const runsBetween = ({ runs }: Chain): (readonly [before: Run | undefined, after: Run])[] =>
  runs.flatMap((run, n) => {
    const before = runs[n - 1];
    return n === 0 && run[0] === 1 ? [] : [[before, run] as const];
  });

const gapsOf = (host: Host, chain: Chain, { now, absentTo }: { now: Time; absentTo: Time }): HostFinding[] =>
  runsBetween(chain).flatMap(([before, after]): HostFinding[] => {
    const [from, to] = [(before?.[1] ?? 0) + 1, after[0] - 1];
    if (now - after[2] < LATE || (before?.[3] ?? 0) < absentTo) return [];
    const count = to - from + 1;
    const numbers = count === 1 ? `line ${from}` : `lines ${from} to ${to}`;
    return [{ host: host.host, because: `${numbers} never came`, from: before?.[3] ?? after[2], to: after[2] }];
  });

/** A host has one chain. A second one means that it has lost its numbers, or that somebody took them away. */
const restartsOf = ({ host, chains }: Host): HostFinding[] =>
  chains
    .flatMap(({ runs: [first] }) => (first ? [first[2]] : []))
    .sort((a, b) => a - b)
    .slice(1)
    .map((at) => ({ host, because: 'its numbers began anew: what was before may lack its end', from: at, to: at }));

/** The numbers that it counts by now. */
const currentChain = ({ chains }: Host): Chain | undefined =>
  chains.reduce<Chain | undefined>(
    (a, b) => ((a?.runs.at(-1)?.[3] ?? -1) > (b.runs.at(-1)?.[3] ?? 0) ? a : b),
    undefined,
  );
/** Somebody's clock is not the host's. */
const APART = minutes(5);

/** Why and when nothing more is to be expected of it; undefined: it should be there. */
export const endOf = (host: Host): { readonly at: Time; readonly because: string } | undefined => {
  const chain = currentChain(host);
  // It said that it ends, and has said nothing since.
  if (chain?.stop && chain.stop[0] === chain.runs.at(-1)?.[1])
    return { at: chain.stop[1], because: 'the host’s shipper was stopped' };
  return host.endedAt > 0 && host.lastAt <= host.endedAt + APART
    ? { at: host.endedAt, because: 'the host was stopped' }
    : undefined;
};
export const isSilent = (host: Host, now: Time): boolean => endOf(host) === undefined && now - host.heardAt > SILENT;

export interface HostsReport {
  /** Hosts that shipped something in this time or before, and have not ended before it. */
  readonly hosts: number;
  readonly silent: readonly { readonly host: string; readonly since: Time }[];
  /** Missing numbers, sums that are not right, lines of others: the newest first. */
  readonly findings: readonly HostFinding[];
  readonly more: number;
}

/** What may be missing of a time, or cannot be believed. @param most so many findings are listed */
export const hostsReport = (
  { hosts, absentTo = 0 }: Hosts,
  { from, to, of = () => true }: { readonly from: Time; readonly to: Time; readonly of?: (host: Host) => boolean },
  { now, most = 10 }: { readonly now: Time; readonly most?: number },
): HostsReport => {
  const all = Object.values(hosts).filter((h) => of(h) && (endOf(h)?.at ?? to) >= from);
  const findings = all
    .flatMap((h) => [...h.findings, ...restartsOf(h), ...h.chains.flatMap((c) => gapsOf(h, c, { now, absentTo }))])
    .filter((f) => f.from <= to && f.to >= from)
    .sort((a, b) => b.to - a.to || (a.because < b.because ? -1 : 1));
  return {
    hosts: all.length,
    silent: all
      .filter((h) => isSilent(h, now) && h.lastAt <= to)
      .map((h) => ({ host: h.host, since: h.lastAt }))
      .sort((a, b) => b.since - a.since),
    findings: findings.slice(0, most),
    more: Math.max(0, findings.length - most),
  };
};
