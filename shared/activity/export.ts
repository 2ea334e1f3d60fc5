/**
 * A part of the log for whoever has no access to it: its events, each once, in order of time, from the table and the archive; and for each segment that they are of what proves that
 * they are in the log: its link's header, the hashes of all its events, the path to a checkpoint. `docs/check-export.py` checks it with nothing but Python and openssl.
 */
import { hours, type Time } from '../core/time.ts';
import { createArchive, type Events, eventsIfSound } from './archive.ts';
import { type Line, lineOf } from './archiveFile.ts';
import { byShard, lastCheckpoint } from './checkpoint.ts';
import { base64, leafHash } from './hashing.ts';
import { headerText, type Link, mayHold, placeOf } from './link.ts';
import type { LogTable, Objects } from './log.ts';
import { createProver, type Path } from './prove.ts';
import { bodyOf, linksAfter, linksIn, nodesOf } from './read.ts';
import { type Activity, readActivity } from './record.ts';
import { unpackIfSound } from './segment.ts';
import { createShelf } from './shelf.ts';
import type { Node } from './tile.ts';
import { type Hash, rootOfLeaves } from './tree.ts';

export interface Asked {
  /** Both included. Events without a time are in every export, at its end. */
  readonly from: Time;
  readonly to: Time;
  readonly account?: string | undefined;
  readonly region?: string | undefined;
}

/** Of a segment some of whose events are exported. */
export interface SegmentProof {
  /** 's0/12' */
  readonly segment: string;
  /** The link's header, byte for byte. */
  readonly link: string;
  /** The leaf of each of its events, 32 bytes each, in base 64. */
  readonly leaves: string;
  /** The header in the log; absent: no checkpoint has it yet. */
  readonly log?: Path;
}

export interface Sums {
  events: number;
  segments: number;
  /** Segments that the checkpoint does not have. */
  unsigned: number;
  /** Segments that may hold more, and are neither in the table nor in the archive. */
  readonly absent: string[];
}

export interface Take {
  readonly event: (line: Line) => Promise<void>;
  readonly segment: (proof: SegmentProof) => Promise<void>;
}

/** At hand: events of opened segments by their bytes, and links by the tile that they are in. */
const AT_HAND = 64 << 20;
const TILES = 24;

interface Whole {
  readonly events: readonly Uint8Array[];
  readonly leaves: readonly Hash[];
}
const sizeOf = (whole: Whole | undefined): number => (whole?.events ?? []).reduce((n, e) => n + e.length, 1);

/** Undefined: these are not the events that the log signs. What was done to them, verify says. */
const inTable = (body: Uint8Array, { header }: Link): Whole | undefined => {
  const opened = unpackIfSound(body);
  return opened && base64(opened.root) === header.root
    ? { events: opened.segment.events, leaves: opened.leaves }
    : undefined;
};
const inArchive = (events: Events | undefined, { header }: Link): Whole | undefined => {
  const all = (events ?? []).flatMap((e) => (e ? [e] : []));
  const leaves = all.map(leafHash);
  return events && base64(rootOfLeaves(leaves)) === header.root ? { events: all, leaves } : undefined;
};
const isTimeless = (span: { readonly timeless?: number }): boolean => mayHold({ from: 0, to: 0, ...span }, 0);
const isWithin = (span: { readonly from: Time; readonly to: Time }, from: Time, to: Time): boolean =>
  span.to > 0 && span.from <= to && from <= span.to;

interface Found {
  readonly link: Link;
  readonly event: number;
  readonly activity: Activity;
  readonly raw: Uint8Array;
}
/** By time; of one moment, by place. */
const inOrder = (a: Found, b: Found): number =>
  a.activity.time - b.activity.time ||
  byShard(a.link.header.shard, b.link.header.shard) ||
  a.link.header.seq - b.link.header.seq ||
  a.event - b.event;

/** Hands over all that was asked for, hour by hour: memory holds an hour's events. @returns what it was, and the checkpoint that the proofs lead to */
export const exportLog = async (
  ports: { readonly table: LogTable; readonly objects: Objects },
  asked: Asked,
  take: Take,
) => {
  const { table } = ports;
  const [checkpoint, nodes] = await Promise.all([lastCheckpoint(table), nodesOf(table)]);
  const prover = checkpoint && (await createProver(table, checkpoint));
  const archive = createArchive(ports);
  const [opened, tiles] = [createShelf<Whole | undefined>(AT_HAND, sizeOf), createShelf<readonly Link[]>(TILES)];
  const tail: Link[] = [];
  for await (const link of linksAfter(table, nodes.at(-1)?.heads)) tail.push(link);

  const sums: Sums = { events: 0, segments: 0, unsigned: 0, absent: [] };
  const named = new Set<string>();
  const linksOfTile = (node: Node, n: number): Promise<readonly Link[]> =>
    tiles(`${n}`, async () => {
      const links: Link[] = [];
      for await (const link of linksIn(table, node.runs)) links.push(link);
      return links;
    });
  const eventsOf = (link: Link): Promise<Whole | undefined> =>
    opened(placeOf(link.header), async () => {
      const body = await bodyOf(ports, link);
      return body ? inTable(body, link) : inArchive(await eventsIfSound(archive, link), link);
    });

  /** The links that may hold such events. */
  async function* candidates(fits: (span: Node | Link['header']) => boolean): AsyncGenerator<Link> {
    for (const [n, node] of nodes.entries())
      if (fits(node)) yield* (await linksOfTile(node, n)).filter((l) => fits(l.header));
    yield* tail.filter((l) => fits(l.header));
  }
  const isWanted = ({ account, region, time }: Activity, from: Time, to: Time): boolean =>
    from <= time &&
    time <= to &&
    (asked.account === undefined || account === asked.account) &&
    (asked.region === undefined || region === asked.region);

  const prove = async (link: Link): Promise<void> => {
    const { header } = link;
    if (named.has(placeOf(header))) return;
    named.add(placeOf(header));
    const log = await prover?.pathOf(header);
    sums.segments++;
    if (!log) sums.unsigned++;
    await take.segment({
      segment: placeOf(header),
      link: headerText(link),
      leaves: base64(Buffer.concat((await eventsOf(link))?.leaves ?? [])),
      ...(log ? { log } : {}),
    });
  };
  const absent = (link: Link): void => {
    const place = placeOf(link.header);
    if (!named.has(place)) sums.absent.push(place);
    named.add(place);
  };

  const between = async (from: Time, to: Time, fits: Parameters<typeof candidates>[0]): Promise<void> => {
    const found: Found[] = [];
    for await (const link of candidates(fits)) {
      const whole = await eventsOf(link);
      if (!whole) absent(link);
      for (const [event, raw] of (whole?.events ?? []).entries()) {
        const activity = readActivity(raw);
        if (isWanted(activity, from, to)) found.push({ link, event, activity, raw });
      }
    }
    for (const { link, event, activity, raw } of found.sort(inOrder)) {
      await prove(link);
      sums.events++;
      await take.event(lineOf(`${placeOf(link.header)}/${event}`, activity, raw));
    }
  };
  const { from: first, to: last } = asked;
  const spans = [...nodes, ...tail.map((l) => l.header)];
  for (let from = first; from <= last; ) {
    // Hours in which nothing is are passed over.
    const next = nextTime(spans, from);
    if (next === undefined || next > last) break;
    const to = Math.min(last, (Math.floor(next / hours(1)) + 1) * hours(1) - 1);
    await between(next, to, (span) => isWithin(span, next, to));
    from = to + 1;
  }
  await between(0, 0, isTimeless);
  return { sums, checkpoint };
};

/** The first moment from then on at which something may be. */
const nextTime = (spans: readonly { readonly from: Time; readonly to: Time }[], from: Time): Time | undefined => {
  let next: Time | undefined;
  for (const span of spans)
    if (span.to >= from && span.to > 0) next = Math.min(next ?? Number.POSITIVE_INFINITY, Math.max(from, span.from));
  return next;
};
