/** What happened: events as AWS wrote them, from files of any of the forms in which people keep them. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Reading, readAll } from '../events/read.ts';
import { InvalidInput } from '../shared/core/errors.ts';
import type { Time } from '../shared/core/time.ts';

export interface PastEvent {
  /** When it came, as far as it says; else when the one before it did. */
  readonly at: Time;
  /** As Steward would be given it. */
  readonly event: unknown;
  /** File and position, for people. */
  readonly from: string;
  readonly readings: readonly Reading[];
  /** Why it cannot be read, if it cannot. */
  readonly unread?: string;
}

type Fields = Readonly<Record<string, unknown>>;
const isFields = (x: unknown): x is Fields => typeof x === 'object' && x !== null && !Array.isArray(x);

/** A CloudTrail record as a trail's files have it → the event that EventBridge would have brought. Such a record has no envelope. */
export const enveloped = (record: Fields): unknown => ({
  version: '0',
  id: record['eventID'],
  'detail-type': 'AWS API Call via CloudTrail',
  source: `aws.${String(record['eventSource']).replace(/\.amazonaws\.com$/, '')}`,
  account: record['recipientAccountId'] ?? (record['userIdentity'] as Fields | undefined)?.['accountId'],
  time: record['eventTime'],
  region: record['awsRegion'],
  resources: [],
  detail: record,
});

const isRecord = (x: Fields): boolean => 'eventSource' in x && 'eventName' in x && !('detail-type' in x);

/** One line or item of a file → the events in it: a wrapper `{ event }`, a trail's file `{ Records }`, a list, or the event itself. */
const unwrapped = (raw: unknown): readonly unknown[] => {
  if (Array.isArray(raw)) return raw.flatMap(unwrapped);
  if (!isFields(raw)) return [raw];
  if ('event' in raw && Object.keys(raw).every((k) => ['event', 'source', 'licence'].includes(k)))
    return unwrapped(raw['event']);
  const { Records } = raw;
  if (Array.isArray(Records) && Records.length > 0 && Records.every((r) => isFields(r) && isRecord(r)))
    return Records.flatMap(unwrapped);
  return [isRecord(raw) ? enveloped(raw) : raw];
};

const timeOf = (event: unknown, readings: readonly Reading[]): Time | undefined => {
  const [signal] = readings.flatMap((r) => ('signals' in r ? r.signals : []));
  if (signal) return signal.at;
  const fields: Fields = isFields(event) ? event : {};
  const written = fields['time'] ?? fields['Timestamp'] ?? fields['StateChangeTime'];
  const at = typeof written === 'string' ? Date.parse(written) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
};

const readOne = (event: unknown): { readings: readonly Reading[]; unread?: string } => {
  try {
    return { readings: readAll(event) };
  } catch (e) {
    if (!(e instanceof InvalidInput)) throw e;
    return { readings: [], unread: e.message };
  }
};

/** The text of a file as items: JSON as a whole, or one JSON text a line. */
const itemsOf = (text: string): readonly { readonly n: number; readonly raw: unknown }[] => {
  const whole = json(text);
  if (whole !== undefined) return [{ n: 1, raw: whole }];
  return text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [{ n: i + 1, raw: json(line) ?? line }]));
};
const json = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: then a list of lines, or a line that is reported as unread.
    return undefined;
  }
};

const textOf = (file: string): string => {
  const bytes = readFileSync(file);
  return (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
};

const filesUnder = (path: string): readonly string[] =>
  statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' })
        .filter((f) => /\.(json|jsonl|ndjson)(\.gz)?$/.test(f))
        .sort()
        .map((f) => join(path, f))
    : [path];

/** In order of time. @throws InvalidInput for a path that is not there or cannot be opened */
export const pastOf = (events: readonly { readonly from: string; readonly event: unknown }[]): readonly PastEvent[] => {
  const read = events.map(({ from, event }) => {
    const { readings, unread } = readOne(event);
    return { at: timeOf(event, readings), event, from, readings, ...(unread === undefined ? {} : { unread }) };
  });
  let last: Time = Math.min(...read.flatMap(({ at }) => at ?? []));
  return read
    .map((e) => {
      last = e.at ?? last;
      return { ...e, at: last };
    })
    .sort((a, b) => a.at - b.at);
};

export const eventsIn = (paths: readonly string[]): readonly { from: string; event: unknown }[] =>
  paths.flatMap((path) => {
    try {
      return filesUnder(path).flatMap((file) =>
        itemsOf(textOf(file)).flatMap(({ n, raw }) => unwrapped(raw).map((event) => ({ from: `${file}:${n}`, event }))),
      );
    } catch (cause) {
      throw new InvalidInput(`cannot read ${path}: ${(cause as Error).message}`, { cause });
    }
  });
