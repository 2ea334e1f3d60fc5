/**
 * DynamoDB in memory for storms: the requests of `shared/aws/store.ts` as they go over the wire, answered from maps, each metered. An emulator takes
 * minutes for what a storm writes. The store's own contract runs over it (storm.test.ts).
 */
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { createMeter, type Index } from '../../bench/meter.ts';
import { dynamoStore } from '../../shared/aws/store.ts';
import type { Store } from '../../shared/core/store.ts';
import type { Time } from '../../shared/core/time.ts';
import { credentials, REGION, RETENTION_DAYS, tableOf } from '../contract/table.ts';

type Value = { readonly S?: string; readonly N?: string };
type Item = Readonly<Record<string, Value>>;
type Names = Readonly<Record<string, string>>;
interface Put {
  readonly Item: Item;
  readonly ConditionExpression?: string;
  readonly ExpressionAttributeValues?: Item;
}
interface Check extends Omit<Put, 'Item'> {
  readonly Key: Item;
}
interface Asked {
  readonly IndexName?: string;
  readonly KeyConditionExpression: string;
  readonly ExpressionAttributeNames?: Names;
  readonly ExpressionAttributeValues: Item;
  readonly ScanIndexForward?: boolean;
  readonly Limit?: number;
  readonly ExclusiveStartKey?: Item;
}
type Answer = { readonly status: number; readonly body: object };

const TABLE = tableOf('steward-storm');
export const indexes: readonly Index[] = (TABLE.GlobalSecondaryIndexes ?? []).map((i) => ({
  name: i.IndexName ?? '',
  keys: (i.KeySchema ?? []).map((k) => k.AttributeName ?? ''),
  projected: i.Projection?.ProjectionType === 'KEYS_ONLY' ? [] : i.Projection?.NonKeyAttributes,
}));

const plain = (v: Value | undefined): string | number => (v?.N === undefined ? (v?.S ?? '') : Number(v.N));
const nameOf = (key: Item): string => `${key['pk']?.S}\n${key['sk']?.S}`;
const failed = (name: string, more: object = {}): Answer => ({
  status: 400,
  body: { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message: name, ...more },
});

/** Of an expression like `#a = :a AND begins_with(#b, :b)`: what each of its terms holds a key's value against. */
const termsOf = ({ KeyConditionExpression: text, ExpressionAttributeNames: names = {} }: Asked) =>
  [
    ...text.matchAll(
      /begins_with\((?<begins>\S+), (?<start>:\w+)\)|(?<between>[#\w]+) BETWEEN (?<low>:\w+) AND (?<high>:\w+)|(?<name>[#\w]+) (?<op><=|=) (?<value>:\w+)/g,
    ),
  ].map(({ groups: g = {} }) => {
    const given = g['begins'] ?? g['between'] ?? g['name'] ?? '';
    return { ...g, attribute: names[given] ?? given } as Names & { attribute: string };
  });

const holds = (item: Item, term: Names & { attribute: string }, values: Item): boolean => {
  const is = plain(item[term.attribute]);
  const of = (name: string | undefined) => plain(values[name ?? '']);
  if (term['start']) return String(is).startsWith(String(of(term['start'])));
  if (term['low']) return is >= of(term['low']) && is <= of(term['high']);
  return term['op'] === '<=' ? is <= of(term['value']) : is === of(term['value']);
};

/** @param wait lets a call take its time */
export const stormTable = (now: () => Time, wait: () => Promise<void>) => {
  const items = new Map<string, Item>();
  /** Index name and hash → names of its items. */
  const buckets = new Map<string, Set<string>>();
  const meter = createMeter(indexes);
  const calls: Record<string, number> = {};

  const homes = (item: Item): string[] => [
    `table\n${item['pk']?.S}`,
    ...indexes.flatMap((i) => (i.keys.every((k) => k in item) ? [`${i.name}\n${item[i.keys[0] ?? '']?.S}`] : [])),
  ];
  const put = (item: Item): void => {
    const name = nameOf(item);
    const old = items.get(name);
    for (const home of old ? homes(old) : []) buckets.get(home)?.delete(name);
    items.set(name, item);
    for (const home of homes(item)) buckets.set(home, (buckets.get(home) ?? new Set()).add(name));
  };
  const allowed = (key: Item, c: Omit<Put, 'Item'>): boolean => {
    const is = items.get(nameOf(key));
    if (c.ConditionExpression === undefined) return true;
    if (c.ConditionExpression.startsWith('attribute_not_exists')) return is === undefined;
    return is?.['version']?.N === c.ExpressionAttributeValues?.[':version']?.N;
  };

  const query = (asked: Asked): Answer => {
    const terms = termsOf(asked);
    const [hash] = terms;
    const bucket = `${asked.IndexName ?? 'table'}\n${plain(asked.ExpressionAttributeValues[hash?.['value'] ?? ''])}`;
    const sortKey = indexes.find((i) => i.name === asked.IndexName)?.keys[1] ?? 'sk';
    const rank = (i: Item) => [plain(i[sortKey]), nameOf(i)] as const;
    const order = (a: Item, b: Item) => {
      const [[x, n], [y, m]] = [rank(a), rank(b)];
      return x < y ? -1 : x > y ? 1 : n < m ? -1 : 1;
    };
    const found = [...(buckets.get(bucket) ?? [])]
      .map((n) => items.get(n))
      .filter((i) => i !== undefined)
      .filter((i) => terms.every((t) => holds(i, t, asked.ExpressionAttributeValues)))
      .sort(order);
    if (asked.ScanIndexForward === false) found.reverse();
    const after = asked.ExclusiveStartKey ? nameOf(asked.ExclusiveStartKey) : undefined;
    const from = after === undefined ? 0 : found.findIndex((i) => nameOf(i) === after) + 1;
    const Items = found.slice(from, from + (asked.Limit ?? 1000)).map((i) => projected(i, asked.IndexName));
    const last = Items.at(-1);
    return {
      status: 200,
      body: {
        Items,
        Count: Items.length,
        ...(last && from + Items.length < found.length ? { LastEvaluatedKey: last } : {}),
      },
    };
  };
  const projected = (item: Item, index: string | undefined): Item => {
    const of = indexes.find((i) => i.name === index);
    if (!of?.projected) return item;
    const names = new Set(['pk', 'sk', ...of.keys, ...of.projected]);
    return Object.fromEntries(Object.entries(item).filter(([n]) => names.has(n)));
  };

  const operations: Readonly<Record<string, (input: never) => Answer>> = {
    PutItem: (input: Put) => {
      if (!allowed(input.Item, input)) return failed('ConditionalCheckFailedException');
      put(input.Item);
      return { status: 200, body: {} };
    },
    TransactWriteItems: ({ TransactItems }: { TransactItems: { Put?: Put; ConditionCheck?: Check }[] }) => {
      const met = TransactItems.map(({ Put, ConditionCheck }) =>
        Put ? allowed(Put.Item, Put) : ConditionCheck === undefined || allowed(ConditionCheck.Key, ConditionCheck),
      );
      if (met.includes(false))
        return failed('TransactionCanceledException', {
          CancellationReasons: met.map((m) => ({ Code: m ? 'None' : 'ConditionalCheckFailed' })),
        });
      for (const { Put } of TransactItems) if (Put) put(Put.Item);
      return { status: 200, body: {} };
    },
    BatchGetItem: ({ RequestItems }: { RequestItems: Record<string, { Keys: Item[] }> }) => ({
      status: 200,
      body: {
        Responses: Object.fromEntries(
          Object.entries(RequestItems).map(([table, { Keys }]) => [
            table,
            Keys.flatMap((k) => items.get(nameOf(k)) ?? []),
          ]),
        ),
        UnprocessedKeys: {},
      },
    }),
    Query: query,
    DeleteItem: ({ Key }: { Key: Item }) => {
      const old = items.get(nameOf(Key));
      for (const home of old ? homes(old) : []) buckets.get(home)?.delete(nameOf(Key));
      items.delete(nameOf(Key));
      return { status: 200, body: {} };
    },
  };

  interface Request {
    readonly headers: Record<string, string>;
    readonly body?: unknown;
  }
  const answered = async (
    request: Request,
    tell: (operation: string, input: object, answer: Answer) => void = () => {},
  ) => {
    const operation = request.headers['x-amz-target']?.split('.')[1] ?? '';
    const input = JSON.parse(String(request.body));
    const answer = operations[operation]?.(input as never) ?? failed('UnknownOperationException');
    tell(operation, input, answer);
    return {
      response: {
        statusCode: answer.status,
        headers: { 'content-type': 'application/x-amz-json-1.0' },
        body: new TextEncoder().encode(JSON.stringify(answer.body)),
      },
    };
  };
  const transport = {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: async (request: Request) => {
      await wait();
      return answered(request, (operation, input, { status, body }) => {
        calls[operation] = (calls[operation] ?? 0) + 1;
        if (status === 200 && operation !== 'DeleteItem') meter.count(operation, input as never, body as never);
      });
    },
    updateHttpClientConfig: () => {},
    httpHandlerConfigs: () => ({}),
    destroy: () => {},
  };
  const over = (metered: boolean): Store =>
    dynamoStore({
      region: REGION,
      credentials,
      transport: metered ? transport : { ...transport, handle: (r: Request) => answered(r) },
      table: 'steward-storm',
      retentionDays: RETENTION_DAYS,
      now,
    });
  return {
    store: over(true),
    /** For whoever checks: takes no time and costs nothing. */
    unmetered: over(false),
    units: meter.units,
    calls,
    size: () => items.size,
    item: (pk: string, sk: string): object | undefined => {
      const found = items.get(`${pk}\n${sk}`);
      return found && unmarshall(found as Parameters<typeof unmarshall>[0]);
    },
  };
};
