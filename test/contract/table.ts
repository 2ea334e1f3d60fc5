/** The state table as `shared/aws/store.ts` needs it: keys, both indexes and what they must carry. */
import { CreateTableCommand, type CreateTableCommandInput, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { dynamoStore } from '../../shared/aws/store.ts';
import type { Store } from '../../shared/core/store.ts';
import type { Time } from '../../shared/core/time.ts';
import { type Transport, transportTo } from './transport.ts';

export const REGION = 'eu-central-1';
export const credentials = { accessKeyId: 'EXAMPLE', secretAccessKey: 'example' };
export const RETENTION_DAYS = 400;

export const tableOf = (name: string): CreateTableCommandInput => ({
  TableName: name,
  BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'S' },
    { AttributeName: 'bucket', AttributeType: 'S' },
    { AttributeName: 'at', AttributeType: 'N' },
    { AttributeName: 'groupId', AttributeType: 'S' },
    { AttributeName: 'openedAt', AttributeType: 'N' },
  ],
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
  GlobalSecondaryIndexes: [
    {
      IndexName: 'byDue',
      KeySchema: [
        { AttributeName: 'bucket', KeyType: 'HASH' },
        { AttributeName: 'at', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['target', 'id', 'remediation'] },
    },
    {
      IndexName: 'byGroup',
      KeySchema: [
        { AttributeName: 'groupId', KeyType: 'HASH' },
        { AttributeName: 'openedAt', KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['id', 'zone'] },
    },
  ],
});

export interface Stored {
  readonly store: Store;
  readonly table: string;
  readonly transport: Transport;
  /** Speaks to the same table past the store. */
  readonly raw: DynamoDBClient;
}

let tables = 0;

/** A store over a table of its own. */
export const freshStore = async (url: string, now: () => Time): Promise<Stored> => {
  const table = `steward-test-${++tables}`;
  const transport = transportTo(url);
  const raw = new DynamoDBClient({ region: REGION, credentials, requestHandler: transportTo(url), maxAttempts: 1 });
  await raw.send(new CreateTableCommand(tableOf(table)));
  const store = dynamoStore({ region: REGION, credentials, transport, table, retentionDays: RETENTION_DAYS, now });
  return { store, table, transport, raw };
};
