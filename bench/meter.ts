/**
 * What requests to DynamoDB cost, by the rules of its developer guide ("Read and write operations", "Item sizes and formats", "Transactions",
 * "Global secondary indexes"), from what really goes over the wire. Emulators get queries, transactions or indexes wrong.
 */
type Value = Record<string, unknown>;
type Item = Readonly<Record<string, Value>>;

export interface Index {
  readonly name: string;
  readonly keys: readonly string[];
  /** Attributes beside the keys; undefined: all. */
  readonly projected: readonly string[] | undefined;
}

const bytesOf = (text: string): number => Buffer.byteLength(text, 'utf8');

const sizeOfValue = (value: Value): number => {
  const [[type, v] = ['NULL', true]] = Object.entries(value);
  switch (type) {
    case 'S':
      return bytesOf(String(v));
    // "approximately 1 byte per two significant digits, plus 1"
    case 'N':
      return Math.ceil(String(v).replace(/^-?0*|[.]|0+$/g, '').length / 2) + 1;
    case 'B':
      return Buffer.from(String(v), 'base64').length;
    // "3 bytes of overhead … each element requires 1 additional byte"
    case 'L':
      return (v as Value[]).reduce((sum, e) => sum + 1 + sizeOfValue(e), 3);
    case 'M':
      return Object.entries(v as Item).reduce((sum, [name, e]) => sum + 1 + bytesOf(name) + sizeOfValue(e), 3);
    default:
      return 1;
  }
};
export const sizeOf = (item: Item): number =>
  Object.entries(item).reduce((sum, [name, value]) => sum + bytesOf(name) + sizeOfValue(value), 0);

const writeUnits = (bytes: number): number => Math.max(1, Math.ceil(bytes / 1024));
const readUnits = (bytes: number): number => Math.max(1, Math.ceil(bytes / 4096));

const keyText = (item: Item): string => JSON.stringify([item['pk'], item['sk']]);

/** The entry that an item has in an index, if it has all of its keys. */
const entryOf = (item: Item | undefined, { keys, projected }: Index): Item | undefined => {
  if (!item || !keys.every((k) => k in item)) return undefined;
  if (!projected) return item;
  const names = new Set(['pk', 'sk', ...keys, ...projected]);
  return Object.fromEntries(Object.entries(item).filter(([name]) => names.has(name)));
};

const indexUnits = (before: Item | undefined, after: Item | undefined, index: Index): number => {
  const [old, now] = [entryOf(before, index), entryOf(after, index)];
  if (!old && !now) return 0;
  if (!old || !now) return writeUnits(sizeOf((old ?? now) as Item));
  const sameKeys = index.keys.every((k) => JSON.stringify(old[k]) === JSON.stringify(now[k]));
  // A changed key is a deletion and a put; an entry that did not change costs nothing.
  if (!sameKeys) return writeUnits(sizeOf(old)) + writeUnits(sizeOf(now));
  return JSON.stringify(old) === JSON.stringify(now) ? 0 : writeUnits(Math.max(sizeOf(old), sizeOf(now)));
};

interface Write {
  readonly Put?: { readonly Item: Item };
  readonly ConditionCheck?: { readonly Key: Item };
}

interface Get {
  readonly Keys: readonly Item[];
  readonly ConsistentRead?: boolean;
}
type Body = Readonly<Record<string, unknown>>;

export interface Units {
  read: number;
  write: number;
}

/** Told of each answered request, in order, it sums the units. `items` is its own copy of the table. */
export const createMeter = (indexes: readonly Index[]) => {
  const items = new Map<string, Item>();
  const units: Units = { read: 0, write: 0 };

  const put = (item: Item, factor: number): void => {
    const before = items.get(keyText(item));
    items.set(keyText(item), item);
    const size = Math.max(sizeOf(item), before ? sizeOf(before) : 0);
    // Indexes follow after the commit: the transaction's second write is the table's alone.
    units.write += factor * writeUnits(size) + indexes.reduce((sum, i) => sum + indexUnits(before, item, i), 0);
  };

  const write = ({ Put, ConditionCheck }: Write): void => {
    if (Put) put(Put.Item, 2);
    const checked = ConditionCheck && items.get(keyText(ConditionCheck.Key));
    if (ConditionCheck) units.write += 2 * writeUnits(checked ? sizeOf(checked) : 0);
  };
  const get = ({ Keys, ConsistentRead }: Get, found: readonly Item[] = []): void => {
    // A key without an item costs one unit as well.
    const full = found.reduce((sum, i) => sum + readUnits(sizeOf(i)), Keys.length - found.length);
    units.read += ConsistentRead ? full : full / 2;
  };
  const costs: Readonly<Record<string, (request: Body, response: Body) => void>> = {
    PutItem: ({ Item }) => put(Item as Item, 1),
    TransactWriteItems: ({ TransactItems }) => (TransactItems as Write[]).forEach(write),
    BatchGetItem: ({ RequestItems }, { Responses }) => {
      for (const [table, asked] of Object.entries(RequestItems as Record<string, Get>))
        get(asked, (Responses as Record<string, Item[]>)[table]);
    },
    Query: ({ ConsistentRead }, { Items = [] }) => {
      const full = readUnits((Items as Item[]).reduce((sum, i) => sum + sizeOf(i), 0));
      units.read += ConsistentRead ? full : full / 2;
    },
  };

  const count = (operation: string, request: Body, response: Body): void => {
    const cost = costs[operation];
    if (!cost) throw new Error(`the meter does not know what ${operation} costs`);
    cost(request, response);
  };
  return { count, units };
};
