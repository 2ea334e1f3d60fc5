/** What an intruder with full rights to the table may do to a log. Each says what it did and where; verify must name the place. */
import type { Checkpoint, Numbered } from '../../shared/activity/checkpoint.ts';
import { base64, sha256 } from '../../shared/activity/hashing.ts';
import { makeLink, readLink } from '../../shared/activity/link.ts';
import { readActivity } from '../../shared/activity/record.ts';
import { pack, unpack } from '../../shared/activity/segment.ts';
import { termsOf } from '../../shared/activity/terms.ts';
import { verify } from '../../shared/activity/verify.ts';
import { type MemoryLog, memoryLog } from '../../world/memoryLog.ts';
import { KEYS, setting, signerWith, someEvents } from './setting.ts';

export interface Tamper {
  readonly kind: 'flip' | 'delete' | 'insert' | 'swap' | 'cut' | 'roll back' | 'fork' | 'rewrite';
  /** One of these must be named. */
  readonly places: readonly string[];
  readonly apply: (log: MemoryLog) => void | Promise<void>;
}

export interface Victim {
  readonly memory: MemoryLog;
  /** The newest checkpoint, kept elsewhere. */
  readonly kept: Numbered;
}

/** @param links of two shards, a few events each; @param every so many a checkpoint */
export const victim = async (links: number, every: number): Promise<Victim> => {
  const memory = memoryLog();
  const { writer, checkpoint, clock } = setting(memory);
  for (let n = 0; n < links; n++) {
    await writer.append('file', someEvents(1 + (n % 3), n, n % 2 ? '111122223333' : '555566667777'));
    clock.now += 1_000;
    if (n % every === every - 1) await checkpoint();
  }
  const kept = await checkpoint();
  if (!kept) throw new Error('a log without checkpoint');
  return { memory, kept };
};

const copyOf = (memory: MemoryLog): MemoryLog => {
  const copy = memoryLog();
  for (const [partition, slots] of memory.items)
    copy.items.set(partition, new Map([...slots].map(([slot, s]) => [slot, { ...s, bytes: Buffer.from(s.bytes) }])));
  for (const [key, bytes] of memory.files) copy.files.set(key, bytes);
  return copy;
};

const slotsOf = (log: MemoryLog, partition: string) => log.items.get(partition) ?? new Map<number, never>();
const bytesAt = (log: MemoryLog, partition: string, slot: number): Buffer => {
  const stored = log.items.get(partition)?.get(slot);
  if (!stored) throw new Error(`nothing at ${partition} ${slot}`);
  return Buffer.from(stored.bytes);
};
const setAt = (log: MemoryLog, partition: string, slot: number, bytes: Uint8Array): void => {
  const slots = log.items.get(partition) ?? new Map();
  log.items.set(partition, slots);
  slots.set(slot, { bytes, expiresAt: undefined });
};

const linksIn = (log: MemoryLog): [partition: string, slot: number][] =>
  [...log.items]
    .filter(([p]) => p.startsWith('link/'))
    .flatMap(([p, slots]) => [...slots.keys()].map((s): [string, number] => [p, s]));
const shardOf = (partition: string): string => partition.slice('link/'.length);

/** What verify calls an item. */
const placeOf = (log: MemoryLog, partition: string, slot: number): string => {
  if (partition.startsWith('link/')) return `${shardOf(partition)}/${slot}`;
  if (partition === 'shards') return `shard ${slot}`;
  if (!partition.startsWith('body/')) return `${partition} ${slot}`;
  const owner = linksIn(log).find(([p, s]) => `body/${readLink(bytesAt(log, p, s)).header.body}` === partition);
  return owner ? `body of ${shardOf(owner[0])}/${owner[1]}` : 'a body of nobody';
};

const flips = (log: MemoryLog, step: number, of: (partition: string) => boolean): Tamper[] =>
  [...log.items]
    .filter(([partition]) => of(partition))
    .flatMap(([partition, slots]) =>
      [...slots].flatMap(([slot, { bytes }]) =>
        Array.from(
          { length: Math.ceil(bytes.length / step) },
          (_, n): Tamper => ({
            kind: 'flip',
            places: [placeOf(log, partition, slot)],
            apply: (copy) => {
              const changed = bytesAt(copy, partition, slot);
              const at = n * step;
              changed[at] = (changed[at] as number) ^ (1 << (n % 8));
              setAt(copy, partition, slot, changed);
            },
          }),
        ),
      ),
    );

const deletions = (log: MemoryLog, newest: ReadonlySet<string>): Tamper[] =>
  [...log.items].flatMap(([partition, slots]) =>
    [...slots.keys()].map((slot): Tamper => {
      const place = placeOf(log, partition, slot);
      return {
        kind: 'delete',
        // Without the newest checkpoint the log ends before what was kept.
        places: newest.has(place) ? [place, ...endsOf(log)] : [place],
        apply: (copy) => void copy.items.get(partition)?.delete(slot),
      };
    }),
  );
const endsOf = (log: MemoryLog): string[] =>
  [...log.items.keys()].filter((p) => p.startsWith('link/')).map((p) => `${shardOf(p)}/`);

/** Neighbours change places. */
const swaps = (log: MemoryLog): Tamper[] =>
  [...log.items].flatMap(([partition, slots]) =>
    [...slots.keys()]
      .filter((slot) => slots.has(slot - 1))
      .map(
        (slot): Tamper => ({
          kind: 'swap',
          places: [placeOf(log, partition, slot)],
          apply: (copy) => {
            const [a, b] = [bytesAt(copy, partition, slot - 1), bytesAt(copy, partition, slot)];
            setAt(copy, partition, slot - 1, b);
            setAt(copy, partition, slot, a);
          },
        }),
      ),
  );

/** A link of one's own, with a body, where another is: all later ones move on by one place. */
const insertions = (log: MemoryLog): Tamper[] =>
  linksIn(log).map(
    ([partition, slot]): Tamper => ({
      kind: 'insert',
      places: [`${shardOf(partition)}/${slot}`],
      apply: (copy) => {
        const end = slotsOf(copy, partition).size;
        for (let n = end; n > slot; n--) setAt(copy, partition, n, bytesAt(copy, partition, n - 1));
        const before = slot > 0 ? readLink(bytesAt(copy, partition, slot - 1)) : undefined;
        putLink(copy, partition, someEvents(1, 4_711), before);
      },
    }),
  );

const putLink = (
  log: MemoryLog,
  partition: string,
  events: readonly Buffer[],
  before: ReturnType<typeof readLink> | undefined,
) => {
  const { body, root } = pack({ events });
  const hash = sha256(body);
  const link = makeLink({
    shard: shardOf(partition),
    leg: 'file',
    now: before?.header.at ?? 0,
    before,
    activities: events.map(readActivity),
    terms: events.map(readActivity).flatMap(termsOf),
    body: hash,
    root,
    spilled: false,
  });
  setAt(log, `body/${base64(hash)}`, 0, body);
  setAt(log, partition, link.header.seq, link.bytes);
  return link;
};

/** One event is changed, and everything after it made to fit: bodies, links, and what is stored beside the notes. Only the signatures cannot be. */
const rewrites = (log: MemoryLog): Tamper[] =>
  linksIn(log).map(
    ([partition, slot]): Tamper => ({
      kind: 'rewrite',
      places: ['checkpoint '],
      apply: (copy) => {
        let before = slot > 0 ? readLink(bytesAt(copy, partition, slot - 1)) : undefined;
        for (let n = slot; n < slotsOf(copy, partition).size; n++) {
          const old = readLink(bytesAt(copy, partition, n));
          const { segment } = unpack(bytesAt(copy, `body/${old.header.body}`, 0));
          const events = segment.events.map((e) =>
            Buffer.from(n === slot ? Buffer.from(e).toString().replace('eu-central-1', 'eu-central-2') : e),
          );
          before = putLink(copy, partition, events, before);
        }
        for (const n of slotsOf(copy, 'checkpoint').keys()) {
          const stored = JSON.parse(bytesAt(copy, 'checkpoint', n).toString()) as Checkpoint;
          const heads = Object.entries(stored.heads).map(([shard, [count]]) => [
            shard,
            [count, base64(readLink(bytesAt(copy, `link/${shard}`, count - 1)).hash)],
          ]);
          setAt(copy, 'checkpoint', n, Buffer.from(JSON.stringify({ ...stored, heads: Object.fromEntries(heads) })));
        }
      },
    }),
  );

const replaceBy = (copy: MemoryLog, other: MemoryLog): void => {
  copy.items.clear();
  for (const [partition, slots] of other.items) copy.items.set(partition, slots);
};

/** The last links go, and with them the checkpoints that knew them. */
const cuts = (log: MemoryLog): Tamper[] => {
  const last = Math.max(...slotsOf(log, 'checkpoint').keys());
  return linksIn(log)
    .filter(([partition, slot]) => slot > 0 && slot > slotsOf(log, partition).size - 4)
    .flatMap(([partition, slot]) =>
      [0, 1, 2].map(
        (checkpoints): Tamper => ({
          kind: 'cut',
          places: [`${shardOf(partition)}/`, 'checkpoint of '],
          apply: (copy) => {
            for (let n = slotsOf(copy, partition).size - 1; n >= slot; n--) copy.items.get(partition)?.delete(n);
            for (let n = last; n > last - checkpoints; n--) copy.items.get('checkpoint')?.delete(n);
          },
        }),
      ),
    );
};

const older = async (links: number, every: number, part: number): Promise<MemoryLog> =>
  (await victim(Math.ceil(links * part), every)).memory;

const histories = (links: number, every: number): Tamper[] =>
  [0.2, 0.5, 0.9].flatMap((part): Tamper[] => [
    {
      kind: 'roll back',
      places: ['s0/', 's1/'],
      apply: async (copy) => replaceBy(copy, await older(links, every, part)),
    },
    // Signed with the log's own key: whoever can sign can still not take back what was kept.
    {
      kind: 'fork',
      places: ['checkpoint of '],
      apply: async (copy) => {
        const other = await older(links, every, part);
        const { writer, checkpoint } = setting(other);
        for (let n = 0; n < links; n++)
          await writer.append('file', someEvents(1, 9_000 + n, n % 2 ? '111122223333' : '555566667777'));
        await checkpoint();
        replaceBy(copy, other);
      },
    },
    {
      kind: 'fork',
      places: ['checkpoint '],
      apply: async (copy) => {
        const other = await older(links, every, part);
        const { writer, checkpoint } = setting(other, 2, signerWith());
        for (let n = 0; n < 9; n++) await writer.append('file', someEvents(1, 9_000 + n));
        await checkpoint();
        replaceBy(copy, other);
      },
    },
  ]);

/** @param step flips: every so manieth byte of each item @param of which partitions' bytes */
export const tampersOf = (
  { memory }: Victim,
  {
    links,
    every,
    step,
    of = () => true,
  }: { links: number; every: number; step: number; of?: (partition: string) => boolean },
): Tamper[] => {
  const last = Math.max(...slotsOf(memory, 'checkpoint').keys());
  return [
    ...flips(memory, step, of),
    ...deletions(memory, new Set([`checkpoint ${last}`])),
    ...swaps(memory),
    ...insertions(memory),
    ...cuts(memory),
    ...rewrites(memory),
    ...histories(links, every),
  ];
};

export interface Outcome {
  readonly kind: Tamper['kind'];
  readonly found: boolean;
  readonly wanted: readonly string[];
  readonly said: readonly string[];
}

export const outcomeOf = async ({ memory, kept }: Victim, tamper: Tamper): Promise<Outcome> => {
  const copy = copyOf(memory);
  await tamper.apply(copy);
  const { findings } = await verify({ ...copy, keys: KEYS, kept });
  const said = findings.map((f) => `${f.place}: ${f.because}`);
  return {
    kind: tamper.kind,
    wanted: tamper.places,
    said,
    found: said.some((s) => tamper.places.some((p) => isAt(s, p))),
  };
};

/** 's0/9' is named by 's0/9', and by the gap 's0/7–12'. */
const isAt = (said: string, place: string): boolean => {
  if (said.startsWith(place) && (/[ /]$/.test(place) || !/^\d/.test(said.slice(place.length)))) return true;
  const [, shard, from, to] = /^(s\d+)\/(\d+)–(\d+)/.exec(said) ?? [];
  const [, inShard, seq] = /^(s\d+)\/(\d+)$/.exec(place) ?? [];
  return shard !== undefined && shard === inShard && Number(from) <= Number(seq) && Number(seq) <= Number(to);
};
