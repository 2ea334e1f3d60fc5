/**
 * What one line of the log says. Three sources, one shape: AWS (a CloudTrail record, bare or in an EventBridge envelope), hosts (hostLine.ts), and Steward itself, whose
 * records are CloudTrail-shaped as well. Whatever came is kept byte for byte; what is read out of it here is only for finding it again.
 */
import { messageOf } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import { sha256 } from './hashing.ts';
import { type HostEvent, hostEventIn, namesOf } from './hostLine.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Fields = { readonly [key: string]: Json };

export interface Activity {
  readonly account: string;
  readonly region: string;
  /** The record's own, or its hash where it has none. Unique in the account; CloudTrail repeats it across regions and deliveries. */
  readonly id: string;
  /** When it happened. 0: the record does not say. */
  readonly time: Time;
  /** All names of who did it, the fullest first: ARN, user name, role, access key, the service that called. */
  readonly who: readonly string[];
  /** 'ec2:RunInstances' */
  readonly what: string;
  /** ARNs, ids and names that the call names or made. */
  readonly resources: readonly string[];
  /** There were more than are listed. */
  readonly cut: boolean;
  readonly ip?: string;
  readonly error?: string;
  /** Why it cannot be read. It is kept all the same. */
  readonly unreadable?: string;
}

/** So many names of one call are found by search; a call with more is looked at in every search. */
const MOST_RESOURCES = 48;
/** Depth to which parameters are read: EC2's lists of lists of objects reach 7. */
const DEPTH = 9;

const isFields = (v: Json | undefined): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);
const fieldsOf = (v: Json | undefined): Fields => (isFields(v) ? v : {});
const textOf = (v: Json | undefined): string | undefined => (typeof v === 'string' && v !== '' ? v : undefined);
const texts = (...values: readonly (Json | undefined)[]): string[] => [
  ...new Set(values.flatMap((v) => textOf(v) ?? [])),
];

/** Parameters that hold an id, a name or an ARN. Tokens, sessions and versions name nothing that anyone looks for. */
const NAMES = /(?:id|arn|name|identifier|ids|arns|names|bucket|key)$/i;
const NO_NAMES =
  /token|sessionname|versionid|requestid|ownerid|engine|displayname|hostname|parametername|typename|eventname|ebsoptim/i;
const IS_NAME = new Map<string, boolean>();
const namesSomething = (key: string): boolean => {
  const known = IS_NAME.get(key);
  if (known !== undefined) return known;
  const is = NAMES.test(key) && !NO_NAMES.test(key);
  // Keys come from a few thousand API parameters; a record with keys of its own must not fill the memory.
  if (IS_NAME.size < 10_000) IS_NAME.set(key, is);
  return is;
};
const LONGEST_NAME = 2_048;

/** An instance is one under whatever name: Session Manager calls it `target`. */
const INSTANCE = /^m?i-[0-9a-f]{8,17}$/;

const namesBy = (key: string, text: string): boolean =>
  text !== '' && text.length <= LONGEST_NAME && (namesSomething(key) || text.startsWith('arn:') || INSTANCE.test(text));

const collect = (value: Json | undefined, key: string, into: Set<string>, depth: number): void => {
  if (typeof value === 'string') {
    if (namesBy(key, value)) into.add(value);
    return;
  }
  if (typeof value !== 'object' || value === null || depth === 0) return;
  if (Array.isArray(value)) for (const v of value) collect(v, key, into, depth - 1);
  else for (const k in value) collect((value as Fields)[k], k, into, depth - 1);
};

const resourcesOf = (record: Fields, envelope: Fields): Set<string> => {
  const found = new Set<string>();
  for (const list of [record['resources'], envelope['resources']])
    if (Array.isArray(list))
      for (const r of list) for (const name of texts(r, fieldsOf(r)['ARN'], fieldsOf(r)['ARNPrefix'])) found.add(name);
  collect(record['requestParameters'], '', found, DEPTH);
  collect(record['responseElements'], '', found, DEPTH);
  collect(record['serviceEventDetails'], '', found, DEPTH);
  return found;
};

const whoOf = (identity: Fields, record: Fields, envelope: Fields): string[] => {
  const issuer = fieldsOf(fieldsOf(identity['sessionContext'])['sessionIssuer']);
  const arn = textOf(identity['arn']);
  return texts(
    arn,
    identity['userName'],
    identity['type'] === 'Root' ? 'root' : undefined,
    // …:assumed-role/<role>/<session>: a person is often only in the session's name.
    arn?.includes(':assumed-role/') ? arn.split('/').at(-1) : undefined,
    issuer['arn'],
    issuer['userName'],
    identity['accessKeyId'],
    identity['principalId'],
    identity['invokedBy'],
    isFields(record['userIdentity']) ? undefined : (record['eventSource'] ?? envelope['source']),
  );
};

const whatOf = (record: Fields, envelope: Fields): string => {
  const source =
    textOf(record['eventSource'])?.replace(/\.amazonaws\.com$/, '') ?? textOf(envelope['source']) ?? 'unknown';
  const insight = fieldsOf(record['insightDetails']);
  const name =
    textOf(record['eventName']) ?? textOf(insight['eventName']) ?? textOf(envelope['detail-type']) ?? 'unknown';
  return `${source}:${name}`;
};

const timeOf = (record: Fields, envelope: Fields): Time => {
  for (const text of texts(record['eventTime'], envelope['time'], record['@timestamp'])) {
    const time = Date.parse(text);
    // Before CloudTrail's first year nothing happened here; what lies far ahead is no time either.
    if (time > Date.UTC(2010, 0) && time < Date.UTC(2200, 0)) return time;
  }
  return 0;
};

const first = (...values: readonly (Json | undefined)[]): string | undefined => texts(...values)[0];

const ofJson = (outer: Fields, raw: Uint8Array): Activity => {
  const enveloped = textOf(outer['detail-type']) !== undefined && isFields(outer['detail']);
  const [record, envelope]: [Fields, Fields] = enveloped ? [fieldsOf(outer['detail']), outer] : [outer, {}];
  const identity = fieldsOf(record['userIdentity']);
  const found = resourcesOf(record, envelope);
  const ip = textOf(record['sourceIPAddress']);
  const error = textOf(record['errorCode']) ?? textOf(record['errorMessage']);
  return {
    account: first(record['recipientAccountId'], envelope['account'], identity['accountId']) ?? 'unknown',
    region: first(record['awsRegion'], envelope['region']) ?? 'unknown',
    id: first(record['eventID'], envelope['id']) ?? hashId(raw),
    time: timeOf(record, envelope),
    who: whoOf(identity, record, envelope),
    what: whatOf(record, envelope),
    resources: found.size > MOST_RESOURCES ? [...found].slice(0, MOST_RESOURCES) : [...found],
    cut: found.size > MOST_RESOURCES,
    ...(ip === undefined ? {} : { ip }),
    ...(error === undefined ? {} : { error }),
  };
};

const ofHost = (event: HostEvent, raw: Uint8Array): Activity => {
  const { account, region, stream, time, is, numbered, trouble } = event;
  const who = texts(is.user, is.certificate, is.key, is.user === undefined ? stream : undefined);
  return {
    account,
    region,
    // What is sent again is the same event; what says another thing under the same number is not, and is flagged.
    id: numbered ? `host/${stream}/${numbered.chain}/${numbered.seq}` : hashId(raw),
    time,
    who,
    what: `host:${is.what}`,
    resources: [...new Set(namesOf(event))],
    cut: false,
    ...(is.ip === undefined ? {} : { ip: is.ip }),
    ...(is.error === undefined ? {} : { error: is.error }),
    // Others have an error that says what is wrong; a flood of them must not be looked at in every search.
    ...(trouble === undefined || is.what !== 'Unreadable' ? {} : { unreadable: trouble }),
  };
};

const hashId = (raw: Uint8Array): string => `sha256:${sha256(raw).toString('hex')}`;

const unreadable = (raw: Uint8Array, why: string): Activity => ({
  account: 'unknown',
  region: 'unknown',
  id: hashId(raw),
  time: 0,
  who: [],
  what: 'unknown:unreadable',
  resources: [],
  cut: false,
  unreadable: why,
});

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** Never throws: what is no JSON, or no object, is an activity too. */
export const readActivity = (raw: Uint8Array): Activity => {
  try {
    const value: Json = JSON.parse(UTF8.decode(raw));
    if (!isFields(value)) return unreadable(raw, 'it is JSON, but no object');
    const host = 'hostLine' in value ? hostEventIn(value) : undefined;
    return host ? ofHost(host, raw) : ofJson(value, raw);
  } catch (e) {
    return unreadable(raw, messageOf(e));
  }
};

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v)]),
  );
};

/**
 * What the record says, whatever the order of its keys and the space between them: EventBridge and the trail's file write the same event differently.
 * Numbers stay as they are written, so that no two are taken for one.
 */
const contentOf = (raw: Uint8Array): string | undefined => {
  try {
    const exact = (_: string, value: unknown, context?: { source: string }) =>
      typeof value === 'number' ? { number: context?.source } : value;
    const value = JSON.parse(UTF8.decode(raw), exact) as Record<string, unknown>;
    return JSON.stringify(sorted(typeof value['detail-type'] === 'string' ? value['detail'] : value));
  } catch {
    return undefined;
  }
};

/** The same event: byte for byte, or in what it says. */
export const sameContent = (a: Uint8Array, b: Uint8Array): boolean => {
  if (Buffer.compare(a, b) === 0) return true;
  const content = contentOf(a);
  return content !== undefined && content === contentOf(b);
};
