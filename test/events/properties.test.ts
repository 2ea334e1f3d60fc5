/** Whatever comes in is read, ignored with a reason, or refused with InvalidInput that says what is wrong; nothing else. */
import fc from 'fast-check';
import { type Reading, readAll } from '../../events/read.ts';
import { InvalidInput } from '../../shared/core/errors.ts';
import type { Signal } from '../../shared/core/signal.ts';
import { quiet, sample, sampleNames } from './samples.ts';

type Path = readonly (string | number)[];
type Came = { readonly readings: readonly Reading[] } | { readonly because: string };

/** What is answered, logged and stored of one event must stay small: a record of the state table holds 400 KB, reasons and all. */
const SMALL = 8_000;

const come = (event: unknown): Came => {
  try {
    const readings = readAll(event);
    expect(JSON.stringify(readings).length).toBeLessThan(SMALL);
    for (const signal of signalsOf({ readings })) {
      expect(signal.target.arn).toMatch(/^arn:aws/);
      expect(signal.target.arn).toContain(signal.target.account);
      expect(() => new Date(signal.at).toISOString()).not.toThrow();
    }
    return { readings };
  } catch (e) {
    if (!(e instanceof InvalidInput)) throw e;
    expect(e.message.length).toBeGreaterThan(10);
    expect(e.message.length).toBeLessThan(SMALL);
    return { because: e.message };
  }
};

const signalsOf = (came: Came): readonly Signal[] =>
  'because' in came ? [] : came.readings.flatMap((r) => ('signals' in r ? r.signals : []));

const pathsOf = (value: unknown, at: Path = []): Path[] => {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const path = [...at, Array.isArray(value) ? Number(key) : key];
    return [path, ...pathsOf(inner, path)];
  });
};

/** A copy in which what is at `path` is replaced; undefined removes it. */
const changed = (event: unknown, path: Path, value: unknown): unknown => {
  const copy = structuredClone(event);
  // The cast: `path` was found in this very event.
  const holder = path.slice(0, -1).reduce((x, key) => (x as Record<string, unknown>)[key], copy) as Record<
    string,
    unknown
  >;
  const last = path.at(-1) ?? '';
  if (value !== undefined) holder[last] = value;
  else if (Array.isArray(holder)) holder.splice(Number(last), 1);
  else delete holder[last];
  return copy;
};

const readable = sampleNames.filter((name) => !/^other|\.(sqs|explain)$|steward\/plan$/.test(name));
// Without what marks a call as failed or as Steward's own, it is a call like any other.
const everyPath = readable
  .filter((name) => !quiet.includes(name))
  .flatMap((name) => pathsOf(sample(name)).map((path) => ({ name, path })));

/** By these an event is told from others: without one it is of no known form. */
const TELLING = ['steward', 'alarmArn', 'NewStateValue', 'detail-type', 'Type', 'Records'];

describe('what is missing', () => {
  // A signal may lose its trouble (then it is the alarm's own), never get another target or a graver kind.
  const lesser = (now: Signal, before: readonly Signal[]): boolean =>
    before.some(
      (b) =>
        b.at === now.at &&
        b.eventId === now.eventId &&
        ((now.kind === b.kind && now.target.arn === b.target.arn) ||
          (['alarm.unnamed', 'target.changed'].includes(now.kind) && b.eventId === `${now.target.arn}@${b.at}`)),
    );

  /** Does the reason name the thing, or what it is in? Without what tells an event apart, there is no form to name. */
  const names = (because: string, path: Path): boolean =>
    path.some((key) => because.includes(String(key))) ||
    (TELLING.includes(String(path[0])) && /none of the forms|SNS notification/.test(because));

  /** Whether AWS did it, and whether Steward did: without these it is taken for somebody's deed. A call to ECS without a cluster is one about the default cluster. */
  const TURNS = ['errorCode', 'userIdentity', 'arn', 'cluster'];

  test.each(['removed', 'null'])('any one thing of a sample %s', (how) => {
    const weighed = everyPath.filter(({ path }) => !TURNS.includes(String(path.at(-1))));
    for (const { name, path } of weighed) {
      const event = sample(name);
      const came = come(changed(event, path, how === 'null' ? null : undefined));
      const what = `${name} without ${path.join('.')}`;
      if ('because' in came)
        expect([what, came.because, names(came.because, path)]).toEqual([what, came.because, true]);
      const before = signalsOf(come(event));
      for (const signal of signalsOf(came))
        expect([what, signal, lesser(signal, before)]).toEqual([what, signal, true]);
    }
  });

  test('a notification that was cut off anywhere', () => {
    const notification = sample('alarm/full-disk.sns');
    const { Message } = notification;
    for (let length = 0; length < Message.length; length++)
      expect(come({ ...notification, Message: Message.slice(0, length) })).toEqual({
        because: 'the message of the SNS notification is not JSON',
      });
  });
});

describe('what is wrong', () => {
  test('any thing in place of any other', () => {
    fc.assert(
      fc.property(fc.constantFrom(...everyPath), fc.jsonValue({ maxDepth: 3 }), ({ name, path }, value) => {
        come(changed(sample(name), path, value));
      }),
      { numRuns: 3_000 },
    );
  });

  test('any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        come(value);
      }),
      { numRuns: 1_000 },
    );
  });

  test('any JSON under the keys by which events are told apart', () => {
    const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('Notification', 'look', 'signal', 'ALARM'));
    const keys = [...TELLING, 'Message', 'Sns', 'detail', 'account', 'region', 'resources', 'alarmData', '__proto__'];
    const told = fc.dictionary(fc.constantFrom(...keys), value, { noNullPrototype: true });
    const nested = told.map((inner) => ({ Type: 'Notification', Message: JSON.stringify(inner) }));
    const records = fc.array(told, { maxLength: 3 }).map((list) => ({ Records: list.map((Sns) => ({ Sns })) }));
    fc.assert(
      fc.property(fc.oneof(told, nested, records), (event) => {
        come(event);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('what is too big', () => {
  const MEGABYTE = 'x'.repeat(1_048_576);

  test('a megabyte in place of any text', () => {
    for (const { name, path } of everyPath) come(changed(sample(name), path, MEGABYTE));
  });

  test('a megabyte as a key', () => {
    for (const name of readable) come({ ...sample(name), [MEGABYTE]: 1 });
    come({ [MEGABYTE]: 1 });
    const event = sample('alarm/full-disk.eventbridge');
    event.detail.configuration.metrics[0].metricStat.metric.dimensions = { [MEGABYTE]: 1 };
    expect(come(event)).toEqual({
      because: expect.stringContaining('the alarm cannot be read: configuration.metrics'),
    });
  });

  test('ten thousand metrics, two hundred thousand brackets', () => {
    const event = sample('alarm/full-disk.eventbridge');
    const [metric] = event.detail.configuration.metrics;
    const wide = Array.from({ length: 10_000 }, () => metric);
    const deep = JSON.parse('['.repeat(200_000) + ']'.repeat(200_000));
    const plain = come(event);
    expect(come({ ...event, detail: { ...event.detail, configuration: { metrics: wide }, deep } })).toEqual(plain);
    expect(come({ deep })).toEqual({ because: expect.stringContaining('its keys are deep') });
  });
});
