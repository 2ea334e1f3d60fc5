/** The state table as the stack defines it, on an emulator. */
import { readFileSync } from 'node:fs';
import { CreateTableCommand, type CreateTableCommandInput, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { parse } from 'yaml';
import { dynamoStore } from '../../shared/aws/store.ts';
import type { Store } from '../../shared/core/store.ts';
import type { Time } from '../../shared/core/time.ts';
import { type Transport, transportTo } from './transport.ts';

export const REGION = 'eu-central-1';
export const credentials = { accessKeyId: 'EXAMPLE', secretAccessKey: 'example' };
export const RETENTION_DAYS = 400;

const { BillingMode, AttributeDefinitions, KeySchema, GlobalSecondaryIndexes } = parse(
  readFileSync(new URL('../../resources/table.yml', import.meta.url), 'utf8'),
).Resources.StateTable.Properties;

/** The deployed table's own definition, under another name. */
export const tableOf = (TableName: string): CreateTableCommandInput => ({
  TableName,
  BillingMode,
  AttributeDefinitions,
  KeySchema,
  GlobalSecondaryIndexes,
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
