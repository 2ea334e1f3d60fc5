/**
 * What is known of the hosts, kept beside the log so that nobody has to read every line to say who is silent: each look reads the links that are new, folds their lines into the state, and
 * writes it down. It follows from the log alone: `verify` makes it anew from all lines, and believes no state.
 */
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { days, type Time } from '../core/time.ts';
import { readHostEvent } from './hostLine.ts';
import { forgetHosts, type HostFinding, type Hosts, hearEnd, hearLine, hostsReport, NO_HOSTS } from './hosts.ts';
import { type Link, mayMatch } from './link.ts';
import { type LogTable, newestOf, type Objects, PARTITION } from './log.ts';
import { bodyOf, linksOf, nodesOf, shardsOf } from './read.ts';
import { readActivity } from './record.ts';
import { unpack } from './segment.ts';
import { termsWanted } from './terms.ts';

interface Ports {
  readonly table: LogTable;
  readonly objects: Objects;
}

export interface HostsState extends Hosts {
  readonly v: 1;
  /** The next link of each shard to be read. */
  readonly heads: Readonly<Record<string, number>>;
  /** Findings that were told: 'host time because'. */
  readonly told: readonly string[];
  /** Sessions of Session Manager that were written down: when they began, and whether their end was. */
  readonly sessions: Readonly<Record<string, readonly [from: Time, ended: boolean]>>;
}
export const NO_STATE: HostsState = { v: 1, ...NO_HOSTS, heads: {}, told: [], sessions: {} };

/** Calls after which nothing more is to be expected of an instance. */
const ENDS = new Set(['ec2:TerminateInstances', 'ec2:StopInstances', 'ec2:BidEvictedEvent']);
const END_TERMS = [...ENDS].map((action) => termsWanted({ action }));
const concernsHosts = ({ header, terms }: Link): boolean =>
  header.leg === 'host' || END_TERMS.some((t) => mayMatch(terms, t));

const hearEvent = (state: Hosts, raw: Uint8Array, heardAt: Time): Hosts => {
  const event = readHostEvent(raw);
  if (event) return hearLine(state, event, heardAt);
  const { what, error, resources, time } = readActivity(raw);
  return ENDS.has(what) && error === undefined ? hearEnd(state, resources, time) : state;
};

const hearLink = async (state: Hosts, ports: Ports, link: Link): Promise<Hosts> => {
  if (!concernsHosts(link)) return state;
  const body = await bodyOf(ports, link);
  if (body) return unpack(body).segment.events.reduce((s, raw) => hearEvent(s, raw, link.header.at), state);
  return link.header.leg === 'host' ? { ...state, absentTo: Math.max(state.absentTo ?? 0, link.header.to) } : state;
};

/** Links that are new since the state's. @param goesOn false: it stops where it is, and the next look goes on there */
export const hearLinks = async (
  ports: Ports,
  state: HostsState,
  goesOn: () => boolean = () => true,
): Promise<HostsState> => {
  let hosts: Hosts = state;
  const heads = { ...state.heads };
  for (const shard of await shardsOf(ports.table))
    for await (const link of linksOf(ports.table, shard, { from: heads[shard] ?? 0 })) {
      if (!goesOn()) return { ...state, ...hosts, heads };
      hosts = await hearLink(hosts, ports, link);
      heads[shard] = link.header.seq + 1;
    }
  return { ...state, ...hosts, heads };
};

const pack = (state: HostsState): Buffer =>
  brotliCompressSync(JSON.stringify(state), { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } });
const unpacked = (bytes: Uint8Array): HostsState => JSON.parse(brotliDecompressSync(bytes).toString('utf8'));

/** As of the last look; undefined: nobody has looked, since the policy wants no hosts. */
export const lastHosts = async (table: LogTable): Promise<HostsState | undefined> => {
  const item = await newestOf(table, PARTITION.hosts);
  return item && unpacked(item.bytes);
};

/** Who begins looks a day back: hosts had nothing to ship to before the policy wanted it. */
const BEGIN = days(1);
const begun = async (table: LogTable, now: Time): Promise<HostsState> => {
  const nodes = await nodesOf(table);
  return { ...NO_STATE, heads: nodes.findLast((n) => n.at[1] < now - BEGIN)?.heads ?? {} };
};

const KEPT = days(90);
const MOST_TOLD = 2_000;
const nameOf = ({ host, from, because }: HostFinding): string => `${host} ${from} ${because}`;

/** Findings that nobody was told of yet; who has fallen silent is one. */
const freshIn = (state: HostsState, now: Time): HostFinding[] => {
  const { silent, findings } = hostsReport(state, { from: 0, to: now }, { now, most: 1_000 });
  const known = new Set(state.told);
  return [
    ...findings,
    ...silent.map(({ host, since }) => ({ host, from: since, to: now, because: 'nothing is heard of it' })),
  ].filter((f) => !known.has(nameOf(f)));
};

export interface HostsLook {
  /** False: there is more, and the next look should begin at once. */
  readonly whole: boolean;
  readonly hosts: number;
  readonly silent: number;
  /** Those that are new. */
  readonly findings: readonly HostFinding[];
}

export interface WatchOptions extends Ports {
  readonly now: () => Time;
  /** Writes down Session Manager's sessions; of a session that was written down it is told nothing. */
  readonly sessions: (known: HostsState['sessions'], now: Time) => Promise<HostsState['sessions']>;
}

/** One look, and what is new in it. */
export const createHostWatch =
  ({ now, sessions, ...ports }: WatchOptions) =>
  async (hasTime: () => boolean): Promise<HostsLook> => {
    const { table } = ports;
    let whole = true;
    const goesOn = (): boolean => {
      whole = hasTime();
      return whole;
    };
    const item = await newestOf(table, PARTITION.hosts);
    const before = item ? unpacked(item.bytes) : await begun(table, now());
    const heard = await hearLinks(ports, before, goesOn);
    const written = { ...heard, ...forgetHosts(heard, now()), sessions: await sessions(before.sessions, now()) };
    const findings = freshIn(written, now());
    const next: HostsState = { ...written, told: [...written.told, ...findings.map(nameOf)].slice(-MOST_TOLD) };
    const { hosts, silent } = hostsReport(next, { from: now(), to: now() }, { now: now() });
    // Whoever was first knows as much.
    if (JSON.stringify(next) !== JSON.stringify(before))
      await table.put({ partition: PARTITION.hosts, slot: (item?.slot ?? -1) + 1, bytes: pack(next) }, now() + KEPT);
    return { whole, hosts, silent: silent.length, findings };
  };
