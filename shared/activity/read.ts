/** Reading the log's items as what they are. */
import { NotFound } from '../core/errors.ts';
import { type Link, readLink } from './link.ts';
import { type LogTable, type Objects, PARTITION, type Range, spillKey } from './log.ts';
import { type Heads, type Node, type Run, readNode } from './tile.ts';

export async function* linksOf(table: LogTable, shard: string, range?: Range): AsyncGenerator<Link> {
  for await (const { bytes } of table.range(PARTITION.link(shard), range)) yield readLink(bytes);
}

export async function* linksIn(table: LogTable, runs: readonly Run[]): AsyncGenerator<Link> {
  for (const [shard, from, to] of runs) yield* linksOf(table, shard, { from, to });
}

export const nodesOf = async (table: LogTable, from = 0): Promise<Node[]> => {
  const nodes: Node[] = [];
  for await (const { bytes } of table.range(PARTITION.node, { from })) nodes.push(readNode(bytes));
  return nodes;
};

export const shardsOf = async (table: LogTable): Promise<string[]> => {
  const shards: string[] = [];
  for await (const { bytes } of table.range(PARTITION.shards)) shards.push(Buffer.from(bytes).toString('utf8'));
  return shards;
};

/** Links beyond these heads, shard by shard: of the newest tile's, those that are in none. */
export async function* linksAfter(table: LogTable, heads: Heads = {}): AsyncGenerator<Link> {
  for (const shard of await shardsOf(table)) yield* linksOf(table, shard, { from: heads[shard] ?? 0 });
}

/** The stored body; undefined: it is not there. */
export const bodyOf = async (
  { table, objects }: { table: LogTable; objects: Objects },
  { header }: Link,
): Promise<Uint8Array | undefined> => {
  if (header.spilled) return objects.get(spillKey(header.body));
  const [item] = await table.get([{ partition: PARTITION.body(header.body), slot: 0 }]);
  return item?.bytes;
};

export const linkAt = async (table: LogTable, shard: string, seq: number): Promise<Link> => {
  const [item] = await table.get([{ partition: PARTITION.link(shard), slot: seq }]);
  if (!item) throw new NotFound(`link ${shard}/${seq} is not in the log: run steward activity verify`);
  return readLink(item.bytes);
};
