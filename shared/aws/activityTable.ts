/**
 * The activity log's own table: pk (string) is the partition, sk (number) the slot, b the bytes, expiresAt the TTL (shared/activity/log.ts). Its writers have no right to
 * delete, so that what is in it can be altered by nobody whom Steward's roles are given to.
 */
import {
  type AttributeValue,
  BatchGetItemCommand,
  ConditionalCheckFailedException,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { Item, LogTable, Put, Range, Slot } from '../activity/log.ts';
import { StateUnusable, Throttled } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { asOurs, calling } from './errors.ts';

type Attributes = Record<string, AttributeValue>;

export interface ActivityTableOptions extends ClientOptions {
  readonly table: string;
}

/** Batches of reads that DynamoDB leaves undone as a whole, one after the other, before that counts as throttled. */
const READ_TRIES = 4;

const keyOf = ({ partition, slot }: Slot): Attributes => ({ pk: { S: partition }, sk: { N: String(slot) } });
const ttl = (expiresAt: Time): AttributeValue => ({ N: String(Math.floor(expiresAt / 1000)) });

export const activityTable = ({ table, ...options }: ActivityTableOptions): LogTable => {
  const client = new DynamoDBClient(clientConfig(options, 3));

  const itemOf = ({ pk, sk, b }: Attributes): Item => {
    if (pk?.S === undefined || sk?.N === undefined || b?.B === undefined)
      throw new StateUnusable(`the table ${table} holds an item that is none of an activity log: ${pk?.S} ${sk?.N}`);
    return { partition: pk.S, slot: Number(sk.N), bytes: b.B };
  };
  const isThere = async (item: Item): Promise<Put> => {
    const { Item: found } = await client.send(
      new GetItemCommand({ TableName: table, Key: keyOf(item), ConsistentRead: true }),
    );
    return found && Buffer.compare(itemOf(found).bytes, item.bytes) === 0 ? 'same' : 'taken';
  };

  async function* pages(partition: string, { from = 0, to, newestFirst = false }: Range): AsyncGenerator<Attributes[]> {
    let after: Attributes | undefined;
    do {
      const page = await calling(`cannot read ${partition}`, () =>
        client.send(
          new QueryCommand({
            TableName: table,
            ConsistentRead: true,
            KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
            ExpressionAttributeValues: {
              ':pk': { S: partition },
              ':from': { N: String(from) },
              ':to': { N: String(to === undefined ? Number.MAX_SAFE_INTEGER : to - 1) },
            },
            ScanIndexForward: !newestFirst,
            // The newest is asked for alone: whoever reads backwards wants few.
            ...(newestFirst ? { Limit: 1 } : {}),
            ...(after ? { ExclusiveStartKey: after } : {}),
          }),
        ),
      );
      yield page.Items ?? [];
      after = page.LastEvaluatedKey;
    } while (after);
  }

  return {
    put: (item, expiresAt) =>
      calling(`cannot write ${item.partition} ${item.slot}`, async (): Promise<Put> => {
        const Item = {
          ...keyOf(item),
          b: { B: item.bytes },
          ...(expiresAt === undefined ? {} : { expiresAt: ttl(expiresAt) }),
        };
        try {
          await client.send(
            new PutItemCommand({ TableName: table, Item, ConditionExpression: 'attribute_not_exists(pk)' }),
          );
          return 'written';
        } catch (e) {
          if (e instanceof ConditionalCheckFailedException) return isThere(item);
          throw e;
        }
      }),
    get: (slots) =>
      calling('cannot read the activity log', async () => {
        const found: Item[] = [];
        let Keys = [...new Map(slots.map((s) => [`${s.partition} ${s.slot}`, keyOf(s)])).values()];
        for (let stalled = 0; Keys.length > 0; ) {
          const { Responses, UnprocessedKeys } = await client.send(
            new BatchGetItemCommand({ RequestItems: { [table]: { Keys, ConsistentRead: true } } }),
          );
          found.push(...(Responses?.[table] ?? []).map(itemOf));
          const left = UnprocessedKeys?.[table]?.Keys ?? [];
          stalled = left.length === Keys.length ? stalled + 1 : 0;
          if (stalled === READ_TRIES) throw new Throttled(`the table ${table} left ${left.length} reads undone`);
          Keys = left;
        }
        return found;
      }),
    async *range(partition, range = {}) {
      // BETWEEN wants its bounds in order.
      if (range.to !== undefined && range.to <= (range.from ?? 0)) return;
      for await (const page of pages(partition, range)) yield* page.map(itemOf);
    },
    end: (slot, expiresAt) =>
      calling(`cannot end ${slot.partition}`, async () => {
        try {
          await client.send(
            new UpdateItemCommand({
              TableName: table,
              Key: keyOf(slot),
              UpdateExpression: 'SET expiresAt = :at',
              ConditionExpression: 'attribute_exists(pk)',
              ExpressionAttributeValues: { ':at': ttl(expiresAt) },
            }),
          );
          return true;
        } catch (e) {
          if (e instanceof ConditionalCheckFailedException) return false;
          throw e;
        }
      }),
  };
};

/** Asked once at the start: a table with other keys would let one item take another’s place. @throws StateUnusable */
export const checkActivityTable = async ({ table, ...options }: ActivityTableOptions): Promise<void> => {
  const client = new DynamoDBClient(clientConfig(options, 3));
  const { Table } = await client.send(new DescribeTableCommand({ TableName: table })).catch((e: unknown) => {
    throw asOurs(e, `cannot describe ${table}`);
  });
  const type = (name: string | undefined) =>
    Table?.AttributeDefinitions?.find((a) => a.AttributeName === name)?.AttributeType;
  const keys = (Table?.KeySchema ?? [])
    .map((k) => `${k.KeyType} ${k.AttributeName} ${type(k.AttributeName)}`)
    .join(', ');
  if (keys !== 'HASH pk S, RANGE sk N')
    throw new StateUnusable(
      `the table ${table} has the keys ${keys}, not HASH pk S, RANGE sk N: it is no activity log, or another version's`,
    );
};
