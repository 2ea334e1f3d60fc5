/**
 * The activity log's table and objects in memory, as DynamoDB and S3 behave: a write may happen and its reply be lost, any call may be throttled, a process may end at
 * any await.
 */

import type { Item, LogTable, Objects, Put, Slot } from '../shared/activity/log.ts';
import { Throttled, Unavailable } from '../shared/core/errors.ts';
import type { Time } from '../shared/core/time.ts';

/** What happens to the next call; undefined: nothing. */
export type Mishap = 'throttled' | 'lost-request' | 'lost-reply' | 'crash';
export class Crashed extends Error {
  override readonly name = 'Crashed';
}

export interface Stored {
  bytes: Uint8Array;
  expiresAt: Time | undefined;
}

export interface MemoryLog {
  readonly table: LogTable;
  readonly objects: Objects;
  /** partition → slot → what is there. Tests alter it. */
  readonly items: Map<string, Map<number, Stored>>;
  readonly files: Map<string, Uint8Array>;
  /** Those that may go. */
  readonly mayGo: Set<string>;
  /** DynamoDB's TTL: what has expired goes. */
  expire(now: Time): number;
}

/**
 * @param mishap asked before each call
 * @param turn awaited in each call: where others may come in between
 */
export const memoryLog = (
  mishap: (call: string) => Mishap | undefined = () => undefined,
  turn: () => Promise<void> = async () => {},
): MemoryLog => {
  const items: MemoryLog['items'] = new Map();
  const files: MemoryLog['files'] = new Map();
  const mayGo: MemoryLog['mayGo'] = new Set();
  const partitionOf = (name: string): Map<number, Stored> => {
    const partition = items.get(name) ?? new Map<number, Stored>();
    items.set(name, partition);
    return partition;
  };

  const call = async <T>(name: string, effect: () => T): Promise<T> => {
    await turn();
    const bad = mishap(name);
    if (bad === 'throttled') throw new Throttled(`${name} is throttled`);
    if (bad === 'lost-request') throw new Unavailable(`no answer to ${name}`);
    if (bad === 'crash') throw new Crashed(`the process ended before ${name}`);
    const result = effect();
    await turn();
    if (bad === 'lost-reply') throw new Unavailable(`no answer to ${name}`);
    return result;
  };

  const put = ({ partition, slot, bytes }: Item, expiresAt?: Time): Put => {
    const slots = partitionOf(partition);
    const there = slots.get(slot);
    if (there) return Buffer.compare(there.bytes, bytes) === 0 ? 'same' : 'taken';
    slots.set(slot, { bytes: Buffer.from(bytes), expiresAt });
    return 'written';
  };
  const find = ({ partition, slot }: Slot): Item[] => {
    const there = items.get(partition)?.get(slot);
    return there ? [{ partition, slot, bytes: there.bytes }] : [];
  };
  /** DynamoDB gives a page at a time. */
  const PAGE = 50;

  return {
    items,
    files,
    mayGo,
    expire: (now) => {
      let gone = 0;
      for (const slots of items.values())
        for (const [slot, { expiresAt }] of slots)
          if (expiresAt !== undefined && expiresAt <= now && slots.delete(slot)) gone++;
      return gone;
    },
    table: {
      put: (item, expiresAt) => call(`put ${item.partition}`, () => put(item, expiresAt)),
      get: (slots) => call('get', () => slots.flatMap(find)),
      async *range(partition, { from = 0, to = Number.POSITIVE_INFINITY, newestFirst = false } = {}) {
        const page = (after: number): number[] =>
          [...(items.get(partition)?.keys() ?? [])]
            .filter((n) => n >= from && n < to && (newestFirst ? n < after : n > after))
            .sort((a, b) => (newestFirst ? b - a : a - b))
            .slice(0, PAGE);
        for (let after = newestFirst ? Number.POSITIVE_INFINITY : -1; ; ) {
          const slots = await call(`range ${partition}`, () =>
            page(after).flatMap((slot) => find({ partition, slot })),
          );
          yield* slots;
          const last = slots.at(-1);
          if (!last || slots.length < PAGE) return;
          after = last.slot;
        }
      },
      end: ({ partition, slot }, expiresAt) =>
        call('end', () => {
          const there = items.get(partition)?.get(slot);
          if (there) there.expiresAt = expiresAt;
          return there !== undefined;
        }),
    },
    objects: {
      put: (key, bytes) => call('put object', () => void files.set(key, Buffer.from(bytes))),
      get: (key) => call('get object', () => files.get(key)),
      letGo: (key) =>
        call('let go', () => {
          // S3 says "no such key" of what is not there.
          if (files.has(key)) mayGo.add(key);
        }),
    },
  };
};
