/** Going through a log's links one by one, each slot that should be there. */
import { messageOf } from '../core/errors.ts';
import { base64, fromBase64 } from './hashing.ts';
import { type Link, NO_LINK, placeOf, readLink } from './link.ts';
import { type Item, type LogTable, PARTITION } from './log.ts';
import type { Hash } from './tree.ts';

/** Told of what is wrong, and where. */
export type Find = (place: string, because: string) => void;

const UNKNOWN: Hash = Buffer.alloc(32);

export class Walk {
  next = 0;
  private readonly shard: string;
  private readonly items: AsyncIterator<Item>;
  private readonly find: Find;
  private ahead: Item | undefined;
  private started = false;
  /** The hash of the last link, base 64; undefined: not known. */
  prev: string | undefined = NO_LINK;

  constructor(shard: string, table: LogTable, find: Find) {
    this.shard = shard;
    this.find = find;
    this.items = table.range(PARTITION.link(shard))[Symbol.asyncIterator]();
  }

  private async peek(): Promise<Item | undefined> {
    if (!this.started) await this.advance();
    return this.ahead;
  }
  private async advance(): Promise<void> {
    this.started = true;
    const { value, done } = await this.items.next();
    this.ahead = done ? undefined : value;
  }

  async more(): Promise<boolean> {
    return (await this.peek()) !== undefined;
  }

  private parse({ bytes, slot }: Item): Link | undefined {
    try {
      const link = readLink(bytes);
      if (link.header.shard === this.shard && link.header.seq === slot) return link;
      this.find(`${this.shard}/${slot}`, `here lies link ${placeOf(link.header)}: it was moved`);
    } catch (e) {
      this.find(`${this.shard}/${slot}`, messageOf(e));
    }
    return undefined;
  }

  /** What the link after this one says of it, where there is one that can be read. */
  private async claimed(): Promise<string | undefined> {
    const after = await this.peek();
    if (after?.slot !== this.next) return undefined;
    try {
      return readLink(after.bytes).header.prev;
    } catch {
      return undefined;
    }
  }

  /** @returns the slot's hash in the tree, as far as it can be known, and the link if it is sound */
  async take(): Promise<{ readonly hash: Hash; readonly link?: Link; readonly gone?: true }> {
    const item = await this.peek();
    const { next: slot, prev: expected } = this;
    this.next++;
    if (item?.slot !== slot) {
      const claim = await this.claimed();
      this.prev = claim;
      return { hash: claim === undefined ? UNKNOWN : fromBase64(claim), gone: true };
    }
    await this.advance();
    const link = this.parse(item);
    const claim = await this.claimed();
    const hash = link && base64(link.hash);
    if (link && expected !== undefined && link.header.prev !== expected)
      this.find(`${this.shard}/${slot}`, 'it does not continue the link before it');
    if (link && claim !== undefined && claim !== hash)
      this.find(`${this.shard}/${slot}`, 'the link after it continues another one than is here');
    this.prev = hash ?? claim;
    // The next link's word stands against this one's; the root decides who is right.
    const known = claim ?? hash;
    return { hash: known === undefined ? UNKNOWN : fromBase64(known), ...(link ? { link } : {}) };
  }
}

/** Slots that should be there and are not: one finding for each run of them. */
export const createGaps = (find: Find) => {
  let open: { shard: string; from: number; to: number } | undefined;
  const end = (): void => {
    if (open)
      find(
        open.from === open.to ? `${open.shard}/${open.from}` : `${open.shard}/${open.from}–${open.to}`,
        'it should be there and is not: it was deleted',
      );
    open = undefined;
  };
  return {
    end,
    note: (shard: string, slot: number, gone: boolean): void => {
      if (gone && open?.shard === shard && open.to === slot - 1) open.to = slot;
      else {
        end();
        if (gone) open = { shard, from: slot, to: slot };
      }
    },
  };
};
