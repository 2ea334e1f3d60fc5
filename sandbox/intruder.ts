/** Somebody with every right to the activity log's table: one byte of what is kept there becomes another. */
import { DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { readLink } from '../shared/activity/link.ts';
import { PARTITION } from '../shared/activity/log.ts';
import { activityTable } from '../shared/aws/activityTable.ts';
import { STAGE } from './deploy.ts';
import type { Sandbox } from './start.ts';

export interface Altered {
  readonly table: string;
  /** Of the item. */
  readonly partition: string;
  /** Of how many, counted from 0. */
  readonly byte: number;
  readonly of: number;
  readonly was: number;
  readonly is: number;
}

/** @param place of an event: 's0/12/3' is in the body that the link 12 of shard s0 names */
export const alterBody = async ({ reach }: Sandbox, place: string): Promise<Altered> => {
  const table = `steward-${STAGE}-activity`;
  const log = activityTable({ ...reach, table });
  const read = async (partition: string, slot: number): Promise<Buffer> => {
    const [item] = await log.get([{ partition, slot }]);
    if (!item) throw new Error(`the table ${table} has no item ${partition} ${slot}`);
    return Buffer.from(item.bytes);
  };
  const [shard = '', seq] = place.split('/');
  const { header } = readLink(await read(PARTITION.link(shard), Number(seq)));
  const partition = PARTITION.body(header.body);
  const bytes = await read(partition, 0);
  const byte = Math.floor(bytes.length / 2);
  const was = bytes.readUInt8(byte);
  const is = was ^ 1;
  bytes.writeUInt8(is, byte);
  await new DynamoDBClient(reach).send(
    new UpdateItemCommand({
      TableName: table,
      Key: { pk: { S: partition }, sk: { N: '0' } },
      UpdateExpression: 'SET b = :b',
      ExpressionAttributeValues: { ':b': { B: bytes } },
    }),
  );
  return { table, partition, byte, of: bytes.length, was, is };
};
