/**
 * The state table.
 *
 * | record   | pk            | sk            | byDue: bucket, at                              | byZone: zoneId, openedAt   |
 * |----------|---------------|---------------|------------------------------------------------|----------------------------|
 * | incident | TARGET#<arn>  | INCIDENT#<id> | OPEN#<shard>, dueAt · CLOSED#<day>, closedAt   | once it is in trouble      |
 * | chart    | TARGET#<arn>  | CHART         |                                                |                            |
 * | releases | TARGET#<arn>  | RELEASES      |                                                |                            |
 * | group    | GROUP#<id>    | GROUP         |                                                |                            |
 * | switches | SWITCHES      | SWITCHES      |                                                |                            |
 * | ledger   | LEDGER#<name> | <month>       |                                                |                            |
 * | notice   | NOTICES#<channel> | <id>      | TELL#<channel>, dueAt, while it is due         |                            |
 * | channel  | CHANNEL#<name> | CHANNEL      |                                                |                            |
 * | parked   | PARKED        | <id>#<part>   |                                                |                            |
 */
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import {
  type AttributeValue,
  BatchGetItemCommand,
  DeleteItemCommand,
  DynamoDBClient,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  type TransactWriteItem,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { Conflict, InvalidInput, Refused, StateUnusable, Throttled } from '../core/errors.ts';
import type { Incident } from '../core/incident.ts';
import {
  type Change,
  type Ill,
  NO_ZONE,
  nameOf,
  type Parked,
  type Pointer,
  type Ref,
  refOf,
  type Store,
  type StoreRecord,
} from '../core/store.ts';
import { days, iso, type Time } from '../core/time.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { asOurs } from './errors.ts';
import { packed, unpacked } from './packing.ts';

/** Version of what is written here. A table with another one is not touched. */
export const SCHEMA = 1;
/** Open incidents are spread over so many partitions of the due index: 10,000 of them are 625 in each. */
const SHARDS = 16;
/** Batches of reads that DynamoDB leaves undone as a whole, one after the other, before that counts as throttled. */
const READ_TRIES = 4;

type Item = Record<string, AttributeValue>;
interface Key {
  readonly pk: string;
  readonly sk: string;
}

const keyOf = (ref: Ref): Key => {
  switch (ref.kind) {
    case 'switches':
      return { pk: 'SWITCHES', sk: 'SWITCHES' };
    case 'chart':
      return { pk: `TARGET#${ref.target}`, sk: 'CHART' };
    case 'incident':
      return { pk: `TARGET#${ref.target}`, sk: `INCIDENT#${ref.id}` };
    case 'releases':
      return { pk: `TARGET#${ref.target}`, sk: 'RELEASES' };
    case 'group':
      return { pk: `GROUP#${ref.id}`, sk: 'GROUP' };
    case 'ledger':
      return { pk: `LEDGER#${ref.remediation}`, sk: ref.month };
    case 'notice':
      return { pk: `NOTICES#${ref.channel}`, sk: ref.id };
    case 'channel':
      return { pk: `CHANNEL#${ref.name}`, sk: 'CHANNEL' };
  }
};

/** Which incident a record of the table's stream is about. Undefined: it is about something else. */
export const incidentOfKeys = (
  keys: Readonly<Record<string, { readonly S?: string }>> | undefined,
): { readonly target: string; readonly id: string } | undefined => {
  const [, target] = /^TARGET#(.+)$/.exec(keys?.['pk']?.S ?? '') ?? [];
  const [, id] = /^INCIDENT#(.+)$/.exec(keys?.['sk']?.S ?? '') ?? [];
  return target && id ? { target, id } : undefined;
};

/** FNV-1a: the shard follows from the incident's id, so that an id alone is enough to find it. */
const shardOf = (id: string): number => {
  let hash = 2166136261;
  for (const c of id) hash = Math.imul(hash ^ c.charCodeAt(0), 16777619);
  return (hash >>> 0) % SHARDS;
};
const openBucket = (shard: number): string => `OPEN#${shard.toString().padStart(2, '0')}`;
const dayOf = (t: Time): string => iso(t).slice(0, 10);
/** ULIDs begin with 48 bits of milliseconds in Crockford's base 32. */
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const ULID_DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const madeAt = (ulid: string): Time => [...ulid.slice(0, 10)].reduce((t, c) => t * 32 + ULID_DIGITS.indexOf(c), 0);

const indexesOf = (record: StoreRecord): Record<string, unknown> => {
  if (record.kind === 'incident') return incidentIndexes(record);
  return record.kind === 'notice' && record.dueAt !== undefined
    ? { bucket: `TELL#${record.channel}`, at: record.dueAt }
    : {};
};
const incidentIndexes = (i: Incident): Record<string, unknown> => ({
  ...(i.state === 'closed'
    ? { bucket: `CLOSED#${dayOf(i.closedAt ?? i.dueAt)}`, at: i.closedAt ?? i.dueAt }
    : { bucket: openBucket(shardOf(i.id)), at: i.dueAt }),
  ...(i.group === undefined
    ? {}
    : { groupId: i.group, zoneId: i.zone ?? NO_ZONE, ...(i.state === 'closed' ? { over: true } : {}) }),
});

const recordIn = (item: Item, table: string): StoreRecord => {
  const {
    pk,
    sk,
    schema,
    bucket: _b,
    at: _a,
    groupId: _g,
    zoneId: _z,
    over: _o,
    expiresAt: _e,
    body,
    ...record
  } = unmarshall(item);
  if (schema !== SCHEMA)
    throw new StateUnusable(
      `the state table ${table} holds ${pk} ${sk} in schema ${schema}, this Steward writes ${SCHEMA}: deploy the version that wrote it, or migrate the table`,
    );
  return { ...record, ...(body ? unpacked(body) : {}) } as StoreRecord;
};

/** An item as the table's stream has it in a Lambda event: bytes are base 64 there. */
export const recordOfImage = (image: Readonly<Record<string, object>>): StoreRecord => {
  const isBytes = (value: object): value is { B: string } => 'B' in value;
  const attributes = Object.entries(image).map(([name, value]) => [
    name,
    isBytes(value) ? { B: Buffer.from(value.B, 'base64') } : value,
  ]);
  return recordIn(Object.fromEntries(attributes) as Item, 'of the stream');
};

export interface StoreOptions extends ClientOptions {
  readonly table: string;
  /** Closed incidents, and charts and groups that nobody wrote since, expire after so long. */
  readonly retentionDays: number;
  readonly now: () => Time;
}

export const dynamoStore = ({ table, retentionDays, now, ...options }: StoreOptions): Store => {
  const client = new DynamoDBClient(clientConfig(options, 3));

  const asked = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (e) {
      throw tableError(e, what, table);
    }
  };

  const recordOf = (item: Item): StoreRecord => recordIn(item, table);

  const itemOf = (record: StoreRecord): Item => {
    const lasting =
      record.kind === 'switches' ||
      record.kind === 'releases' ||
      record.kind === 'channel' ||
      (record.kind === 'incident' && record.state !== 'closed');
    return marshall(
      {
        ...keyOf(refOf(record)),
        ...(record.kind === 'incident' ? packed(record) : record),
        version: record.version + 1,
        schema: SCHEMA,
        ...indexesOf(record),
        // DynamoDB's TTL wants seconds.
        ...(lasting ? {} : { expiresAt: Math.floor((now() + days(retentionDays)) / 1000) }),
      },
      { removeUndefinedValues: true },
    );
  };

  const condition = (version: number) =>
    version === 0
      ? { ConditionExpression: 'attribute_not_exists(pk)' }
      : {
          ConditionExpression: '#version = :version',
          ExpressionAttributeNames: { '#version': 'version' },
          ExpressionAttributeValues: marshall({ ':version': version }),
        };

  const asWrite = (c: Change): TransactWriteItem =>
    'put' in c
      ? { Put: { TableName: table, Item: itemOf(c.put), ...condition(c.put.version) } }
      : { ConditionCheck: { TableName: table, Key: marshall(keyOf(c.check)), ...condition(c.version) } };

  const nameOfChange = (c: Change): string => nameOf('put' in c ? refOf(c.put) : c.check);

  const write = async (...changes: readonly Change[]): Promise<void> => {
    const [only] = changes;
    if (!only) return;
    await asked('cannot write the state', async () => {
      try {
        if (changes.length === 1 && 'put' in only)
          await client.send(
            new PutItemCommand({ TableName: table, Item: itemOf(only.put), ...condition(only.put.version) }),
          );
        else await client.send(new TransactWriteItemsCommand({ TransactItems: changes.map(asWrite) }));
      } catch (e) {
        throw conflictOf(e, changes.map(nameOfChange)) ?? e;
      }
    });
  };

  /** In the order in which they are asked for, each once; what is not there is left out. */
  const readMany = async (keys: readonly Key[]): Promise<StoreRecord[]> => {
    const names = [...new Set(keys.map((k) => JSON.stringify(k)))];
    const found = new Map<string, StoreRecord>();
    let missing = names.map((name) => marshall(JSON.parse(name)));
    // DynamoDB answers a part when it is throttled or 16 MB are full; what is left is asked again, while it gets less.
    for (let stalled = 0; missing.length > 0; ) {
      const Keys = missing.slice(0, 100);
      const { Responses, UnprocessedKeys } = await client.send(
        new BatchGetItemCommand({ RequestItems: { [table]: { Keys, ConsistentRead: true } } }),
      );
      for (const item of Responses?.[table] ?? []) {
        const record = recordOf(item);
        found.set(JSON.stringify(keyOf(refOf(record))), record);
      }
      const left = (UnprocessedKeys?.[table]?.Keys ?? []) as Item[];
      missing = [...left, ...missing.slice(100)];
      stalled = left.length === Keys.length ? stalled + 1 : 0;
      if (stalled === READ_TRIES) throw new Throttled(`the state table ${table} left ${missing.length} reads undone`);
    }
    return names.flatMap((name) => found.get(name) ?? []);
  };

  async function* each(input: Omit<QueryCommandInput, 'TableName'>, pageSize: number): AsyncGenerator<Item> {
    let from: Item | undefined;
    do {
      const page = await client.send(
        new QueryCommand({
          TableName: table,
          Limit: Math.min(pageSize, 1000),
          ...input,
          ...(from ? { ExclusiveStartKey: from } : {}),
        }),
      );
      yield* page.Items ?? [];
      from = page.LastEvaluatedKey;
    } while (from);
  }
  const query = (input: Omit<QueryCommandInput, 'TableName'>, limit: number): Promise<Item[]> =>
    take(each(input, limit), limit);

  const inBucket = (bucket: string, limit: number, until?: Time, forward = true) =>
    query(
      {
        IndexName: 'byDue',
        KeyConditionExpression: until === undefined ? '#b = :b' : '#b = :b AND #at <= :until',
        ExpressionAttributeNames: { '#b': 'bucket', ...(until === undefined ? {} : { '#at': 'at' }) },
        ExpressionAttributeValues: marshall({ ':b': bucket, ...(until === undefined ? {} : { ':until': until }) }),
        ScanIndexForward: forward,
      },
      limit,
    );
  const pointerOf = (item: Item): Pointer => {
    const { target, id, remediation, at } = unmarshall(item);
    return { target, id, remediation, dueAt: at };
  };
  const everyShard = <T>(ask: (bucket: string) => Promise<T[]>): Promise<T[]> =>
    Promise.all(Array.from({ length: SHARDS }, (_, n) => ask(openBucket(n)))).then((lists) => lists.flat());
  const newest = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? 1 : -1);

  const load = async (pointers: readonly Pointer[]): Promise<Incident[]> => {
    const keys = pointers.map((p) => keyOf({ kind: 'incident', target: p.target, id: p.id }));
    return (await readMany(keys)).filter((r) => r.kind === 'incident');
  };
  const findIn = async (bucket: string, id: string): Promise<Incident | undefined> => {
    const pointer = (await inBucket(bucket, Number.POSITIVE_INFINITY)).map(pointerOf).find((p) => p.id === id);
    return pointer ? (await load([pointer]))[0] : undefined;
  };

  return {
    // The cast matches each reference with the record found under its key.
    read: (...refs) =>
      asked('cannot read the state', async () => {
        const found = await readMany(refs.map(keyOf));
        const byName = new Map(found.map((r) => [nameOf(refOf(r)), r]));
        return refs.map((ref: Ref) => byName.get(nameOf(ref))) as never;
      }),
    write,
    due: (time, limit) =>
      asked('cannot read what is due', async () =>
        (await everyShard((b) => inBucket(b, Math.ceil(limit / SHARDS), time)))
          .map(pointerOf)
          .sort((a, b) => a.dueAt - b.dueAt)
          .slice(0, limit),
      ),
    open: (limit) =>
      asked('cannot list open incidents', async () =>
        // The index is in order of dueAt: which are the newest, only all of them tell. 10,000 are 2 MB of the index.
        load(
          (await everyShard((b) => inBucket(b, Number.POSITIVE_INFINITY))).map(pointerOf).sort(newest).slice(0, limit),
        ),
      ),
    closed: (day, limit) =>
      asked(`cannot list incidents of ${day}`, async () =>
        load((await inBucket(`CLOSED#${day}`, limit, undefined, false)).map(pointerOf)),
      ),
    ofTarget: (target, limit) =>
      asked(`cannot list incidents of ${target}`, async () => {
        const items = await query(
          {
            KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sk)',
            ExpressionAttributeValues: marshall({ ':pk': `TARGET#${target}`, ':sk': 'INCIDENT#' }),
            ScanIndexForward: false,
          },
          limit,
        );
        return items.map(recordOf).filter((r) => r.kind === 'incident');
      }),
    find: (id) =>
      asked(`cannot find incident ${id}`, async () => {
        if (!ULID.test(id)) return undefined;
        const open = await findIn(openBucket(shardOf(id)), id);
        if (open) return open;
        // Closed ones lie under the day on which they closed: the day they were opened, or one after; older ones have expired.
        for (let t = Math.max(madeAt(id), now() - days(retentionDays)); t < now() + days(1); t += days(1)) {
          const closed = await findIn(`CLOSED#${dayOf(t)}`, id);
          if (closed) return closed;
        }
        return undefined;
      }),
    ill: (zone, since, limit, until = Number.MAX_SAFE_INTEGER) =>
      asked(`cannot count the troubles in ${zone}`, async () => {
        const items = each(
          {
            IndexName: 'byZone',
            KeyConditionExpression: 'zoneId = :z AND openedAt BETWEEN :since AND :until',
            ExpressionAttributeValues: marshall({ ':z': zone, ':since': since, ':until': until }),
          },
          1000,
        );
        const found = new Map<string, Ill>();
        for await (const item of items) {
          const { pk, groupId: group, over } = unmarshall(item);
          const target = String(pk).slice('TARGET#'.length);
          if (!found.has(target) && found.size === limit) break;
          found.set(target, { target, group, open: over !== true || found.get(target)?.open === true });
        }
        return [...found.values()];
      }),
    untold: (channel, time, limit) =>
      asked(`cannot read what ${channel} is to be told`, async () =>
        (await inBucket(`TELL#${channel}`, limit, time)).map((item) => {
          const { id, at } = unmarshall(item);
          return { id, dueAt: at };
        }),
      ),
    park: (parked) =>
      asked('cannot park an event', () =>
        parkItems(parked).reduce(
          (before, Item) =>
            before.then(async () => void (await client.send(new PutItemCommand({ TableName: table, Item })))),
          Promise.resolve(),
        ),
      ),
    parked: (limit) =>
      asked('cannot list parked events', () => {
        const all = { KeyConditionExpression: 'pk = :pk', ExpressionAttributeValues: marshall({ ':pk': 'PARKED' }) };
        return take(whole(each(all, limit)), limit);
      }),
    unpark: (id) =>
      asked(`cannot remove parked event ${id}`, async () => {
        const items = await query(
          {
            KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sk)',
            ExpressionAttributeValues: marshall({ ':pk': 'PARKED', ':sk': `${id}#` }),
            ProjectionExpression: 'pk, sk',
          },
          Number.POSITIVE_INFINITY,
        );
        for (const { pk, sk } of items)
          if (pk && sk) await client.send(new DeleteItemCommand({ TableName: table, Key: { pk, sk } }));
      }),
  };
};

/** An item holds 400 KB, an SQS message up to 1 MiB, a direct invocation 6 MB: a body that does not compress enough is kept in parts. */
const PART_BYTES = 350_000;
/** At 11, the default, a megabyte takes a second; at 5 it takes 15 ms and a third more room. */
const QUALITY = { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } };

const parkItems = ({ id, at, because, body }: Parked): Item[] => {
  const packed = brotliCompressSync(Buffer.from(body, 'utf8'), QUALITY);
  const parts = Array.from({ length: Math.max(1, Math.ceil(packed.length / PART_BYTES)) }, (_, n) =>
    packed.subarray(n * PART_BYTES, (n + 1) * PART_BYTES),
  );
  return parts.map((part, n) =>
    marshall({
      pk: 'PARKED',
      sk: `${id}#${n.toString().padStart(2, '0')}`,
      kind: 'parked',
      id,
      time: at,
      because,
      of: parts.length,
      part,
      schema: SCHEMA,
    }),
  );
};

/** Events whose parts are all there, in order; a park that was broken off is left out. */
async function* whole(items: AsyncIterable<Item>): AsyncGenerator<Parked> {
  let parts: Item[] = [];
  for await (const item of items) {
    parts = item['id']?.S === parts[0]?.['id']?.S ? [...parts, item] : [item];
    if (parts.length === Number(item['of']?.N)) yield unparkItems(parts);
  }
}

const unparkItems = (items: readonly Item[]): Parked => {
  const parts = items.map((i) => unmarshall(i));
  const [{ id, time: at, because } = {}] = parts;
  const packedBody = Buffer.concat(parts.map((p) => Buffer.from(p['part'])));
  return { id, at, because, body: brotliDecompressSync(packedBody).toString('utf8') };
};

const take = async <T>(from: AsyncIterable<T>, limit: number): Promise<T[]> => {
  const taken: T[] = [];
  if (limit < 1) return taken;
  for await (const one of from) if (taken.push(one) >= limit) break;
  return taken;
};

interface Cancelled {
  readonly name?: string;
  readonly CancellationReasons?: readonly { readonly Code?: string }[];
}

/** A condition that did not hold, or a transaction that met another one. */
const conflictOf = (e: unknown, names: readonly string[]): Conflict | Throttled | undefined => {
  const { name, CancellationReasons = [] } = (e ?? {}) as Cancelled;
  if (name === 'ConditionalCheckFailedException' || name === 'TransactionConflictException')
    return new Conflict(names, { cause: e });
  if (name !== 'TransactionCanceledException') return undefined;
  const codes = CancellationReasons.map((r) => r.Code ?? 'None');
  const moved = names.filter((_, i) => codes[i] === 'ConditionalCheckFailed' || codes[i] === 'TransactionConflict');
  if (moved.length > 0) return new Conflict(moved, { cause: e });
  return codes.some((c) => c.includes('Throttl') || c === 'ProvisionedThroughputExceeded')
    ? new Throttled('the state table is throttled', { cause: e })
    : undefined;
};

/** A table that is missing or has other keys is not something to retry: nothing runs, and it is said what to do. */
const tableError = (e: unknown, what: string, table: string): Error => {
  if (e instanceof InvalidInput) return e;
  const { name, message = '' } = (e ?? {}) as { name?: string; message?: string };
  if (name === 'ResourceNotFoundException')
    return new StateUnusable(
      `the state table ${table} does not exist in this account and region: deploy the stack (npx serverless deploy)`,
      { cause: e },
    );
  const ours = asOurs(e, what);
  if (
    ours instanceof Refused &&
    ours.code === 'ValidationException' &&
    /key element|missing the key|index|schema/i.test(message)
  )
    return new StateUnusable(
      `the state table ${table} has other keys or indexes than this Steward needs (${message}): deploy the stack of this version`,
      { cause: e },
    );
  return ours;
};
