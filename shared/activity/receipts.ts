/**
 * Receipts of the archive: which links' bodies lie in which files. Each names the one before; the newest is in the log itself, as an event of Steward's. So a body that
 * has left the table as planned can be told from one that was deleted.
 */

import type { Time } from '../core/time.ts';
import { base64, sha256 } from './hashing.ts';
import type { Header } from './link.ts';
import { type LogTable, PARTITION } from './log.ts';
import type { Run } from './tile.ts';

export interface ArchiveFile {
  readonly key: string;
  /** Of the file as stored, base 64. */
  readonly sha256: string;
  readonly events: number;
}

export interface Receipt {
  readonly v: 1;
  readonly number: number;
  readonly previous: string;
  readonly runs: readonly Run[];
  readonly files: readonly ArchiveFile[];
  readonly at: Time;
}

export const NO_RECEIPT = base64(Buffer.alloc(32));
export const bytesOfReceipt = (receipt: Receipt): Buffer => Buffer.from(JSON.stringify(receipt));
export const hashOfReceipt = (bytes: Uint8Array): string => base64(sha256(bytes));

/** Under which name Steward writes it into the log. */
export const ARCHIVED = { source: 'steward', name: 'ArchiveActivity' } as const;

export const loggedReceipts = (events: readonly Uint8Array[]): string[] =>
  events.flatMap((raw) => {
    const text = Buffer.from(raw).toString('utf8');
    if (!text.includes(ARCHIVED.name)) return [];
    const { eventSource, eventName, requestParameters } = JSON.parse(text) as Record<string, unknown>;
    const receipt = (requestParameters as { receipt?: unknown } | undefined)?.receipt;
    return eventSource === ARCHIVED.source && eventName === ARCHIVED.name && typeof receipt === 'string'
      ? [receipt]
      : [];
  });

/** All receipts up to the newest that the log knows; what does not lead there by its hash does not count. */
export const receiptsOf = async (table: LogTable, logged: ReadonlySet<string>): Promise<Receipt[]> => {
  const chain: { receipt: Receipt; hash: string }[] = [];
  for await (const { bytes } of table.range(PARTITION.archive))
    chain.push({ receipt: JSON.parse(Buffer.from(bytes).toString('utf8')) as Receipt, hash: hashOfReceipt(bytes) });
  const sound: Receipt[] = [];
  let wanted: string | undefined;
  for (const { receipt, hash } of chain.reverse()) {
    if (hash !== wanted && !logged.has(hash)) continue;
    sound.push(receipt);
    wanted = receipt.previous;
  }
  return sound;
};

/** Which links these receipts are about. */
export const archivedBy = (receipts: readonly Receipt[]): ((link: Pick<Header, 'shard' | 'seq'>) => boolean) => {
  const shards = new Map<string, [from: number, to: number][]>();
  for (const [shard, from, to] of receipts.flatMap((r) => r.runs).sort((a, b) => a[1] - b[1])) {
    const runs = shards.get(shard) ?? [];
    const last = runs.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else runs.push([from, to]);
    shards.set(shard, runs);
  }
  return ({ shard, seq }) => (shards.get(shard) ?? []).some(([from, to]) => from <= seq && seq < to);
};
