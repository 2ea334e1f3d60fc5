/**
 * Events that no one here wrote: published by AWS and by open-source projects. They lie outside the repository (their licences are their
 * own), so a plain clone has none and this file is skipped. One JSON object a line: `{ source, licence, event }`.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type Reading, readAll } from '../../events/read.ts';
import { InvalidInput } from '../../shared/core/errors.ts';
import { rulesFor, sample, sampleNames } from './samples.ts';

const CORPUS = new URL('../../../shared/corpus/', import.meta.url).pathname;
const there = existsSync(CORPUS);
if (!there) console.warn('skipped: real AWS events are read only where ../shared/corpus is beside the repository');
const check = there ? test : test.skip;

type Outcome = 'signals' | 'ignored' | 'unreadable';
interface Read {
  readonly kind: string;
  readonly source: string;
  // biome-ignore lint/suspicious/noExplicitAny: events of any kind
  readonly event: any;
  readonly outcome: Outcome;
  readonly because: string;
  readonly readings: readonly Reading[];
}

const outcomeOf = (event: unknown): Pick<Read, 'outcome' | 'because' | 'readings'> => {
  try {
    const readings = readAll(event);
    const [ignored] = readings.flatMap((r) => ('ignored' in r ? [r.ignored] : []));
    return ignored === undefined
      ? { outcome: 'signals', because: '', readings }
      : { outcome: 'ignored', because: ignored, readings };
  } catch (e) {
    if (!(e instanceof InvalidInput)) throw e;
    return { outcome: 'unreadable', because: e.message, readings: [] };
  }
};

const files = there ? globSync('*.jsonl', { cwd: CORPUS }) : [];
const linesOf = (file: string): string[] =>
  readFileSync(CORPUS + file, 'utf8')
    .trim()
    .split('\n');
const all: readonly Read[] = files.flatMap((file) =>
  linesOf(file).map((line) => {
    const { source, event } = JSON.parse(line);
    return { kind: basename(file, '.jsonl'), source, event, ...outcomeOf(event) };
  }),
);
const of = (...kinds: string[]): readonly Read[] => all.filter(({ kind }) => kinds.includes(kind));
const signalsOf = ({ readings }: Read) => readings.flatMap((r) => ('signals' in r ? r.signals : []));
/** What is shown when an expectation fails. */
const brief = ({ kind, source, outcome, because }: Read) => ({ kind, source, outcome, because });

check('each real event comes to something, with a reason where it is no signal', () => {
  expect(all.length).toBe(files.map((f) => linesOf(f).length).reduce((a, b) => a + b, 0));
  expect(all.length).toBeGreaterThan(4_000);
  expect(all.filter((r) => r.outcome !== 'signals' && r.because.length < 10).map(brief)).toEqual([]);
  expect(all.filter((r) => r.outcome === 'signals' && signalsOf(r).length === 0).map(brief)).toEqual([]);
});

check('every real alarm is read: its own account and region, its own state', () => {
  const alarms = of('alarm-eventbridge', 'alarm-lambda', 'alarm-sns', 'alarm-sns-notification', 'alarm-sns-message');
  expect(alarms.length).toBeGreaterThanOrEqual(8);
  // One comes without its topic and without AlarmArn: nobody can tell its region, and that is what is said.
  const unread = alarms.filter((r) => r.outcome !== 'signals');
  expect(unread.every((r) => r.kind === 'alarm-sns-message' && /neither AlarmArn nor a topic/.test(r.because))).toBe(
    true,
  );
  for (const alarm of alarms.filter((r) => r.outcome === 'signals')) {
    const text = JSON.stringify(alarm.event).replaceAll('\\', '');
    const state = /"(?:NewStateValue|state)": ?(?:\{.*?"value": ?)?"(\w+)"/.exec(text)?.[1];
    for (const signal of signalsOf(alarm)) {
      expect(text).toContain(signal.target.account);
      expect(text).toContain(signal.target.region);
      expect(signal.kind === 'target.changed').toBe(state !== 'ALARM');
      expect(signal.cause).toContain(` went to ${state}: `);
      expect(signal.at).toBeGreaterThan(Date.parse('2015-01-01T00:00:00Z'));
    }
  }
});

/** Documentation writes `yyyy-mm-ddThh:mm:ssZ`, `0123456789ab` and ` i-…` where AWS sends a time, an account and an id. */
const withRealValues = (event: unknown): unknown =>
  JSON.parse(
    JSON.stringify(event)
      .replaceAll('yyyy-mm-ddThh:mm:ssZ', '2026-11-23T03:12:00Z')
      .replaceAll(':0123456789ab:', ':012345678901:')
      .replaceAll(' i-', 'i-'),
  );

check.each([
  ['ec2-state', 'EC2 Instance State-change Notification'],
  ['ebs', 'EBS Volume Notification'],
  ['ssm', 'EC2 Command Invocation Status-change Notification'],
])('every real event of %s that is ours to hear is read', (kind, type) => {
  const events = of(kind).filter(({ event }) => event['detail-type'] === type);
  expect(events.length).toBeGreaterThan(0);
  for (const { source, event } of events) {
    const { outcome, because, readings } = outcomeOf(withRealValues(event));
    // One library's own sample misspells the key.
    const misspelt = 'instance_id' in event.detail;
    expect({ source, outcome, because }).toEqual({
      source,
      outcome: misspelt ? 'unreadable' : 'signals',
      because: misspelt ? 'the instance state change cannot be read: instance-id: string expected' : '',
    });
    const id = event.detail['instance-id'] ?? event.resources[0].split('/')[1];
    if (!misspelt)
      expect(readings).toEqual([
        {
          signals: expect.arrayContaining([
            expect.objectContaining({ kind: 'target.changed', cause: expect.stringContaining(id.trim()) }),
          ]),
        },
      ]);
  }
});

check('every other event from EventBridge is ignored by name, unless its envelope is a template', () => {
  const ours = ['aws.cloudwatch/CloudWatch Alarm State Change', 'aws.ec2/EC2 Instance State-change Notification'];
  ours.push('aws.health/AWS Health Event', 'aws.ec2/EC2 Spot Instance Interruption Warning');
  ours.push('aws.ec2/EC2 Instance Rebalance Recommendation');
  ours.push('aws.ecs/ECS Service Action', 'aws.ecs/ECS Task State Change', 'aws.ecs/ECS Deployment State Change');
  ours.push('aws.cloudtrail/AWS API Call via CloudTrail');
  ours.push('aws.autoscaling/EC2 Instance Launch Successful', 'aws.autoscaling/EC2 Instance Launch Unsuccessful');
  ours.push('aws.ec2/EBS Volume Notification', 'aws.ssm/EC2 Command Invocation Status-change Notification');
  const others = all.filter(
    ({ event }) => 'detail-type' in event && !ours.includes(`${event.source}/${event['detail-type']}`),
  );
  expect(others.length).toBeGreaterThan(200);
  for (const r of others) {
    const template = !/^\d{12}$/.test(r.event.account) || !r.event.region || !r.event.time || !r.event.id;
    expect({ ...brief(r), outcome: template ? 'unreadable' : 'ignored' }).toEqual(brief(r));
    expect(r.because).toContain(template ? 'the EventBridge event cannot be read: ' : r.event['detail-type']);
  }
});

check('what is no event at all (records, findings, mails) is refused with its own keys', () => {
  const bare = of('cloudtrail', 'cloudtrail-partial', 'guardduty-finding', 'inspector2-finding', 'securityhub-finding');
  expect(bare.length).toBeGreaterThan(4_000);
  for (const r of bare) {
    expect(r.outcome).toBe('unreadable');
    expect(r.because).toContain(`its keys are ${Object.keys(r.event)[0]}`);
  }
  expect(of('sns-other', 'backup-sns').every((r) => r.outcome !== 'signals')).toBe(true);
});

check('an event is the same inside an SNS message as alone', () => {
  const wrapped = of('eventbridge-in-sns');
  expect(wrapped.length).toBeGreaterThan(50);
  for (const r of wrapped) {
    const message = r.event.Records?.[0].Sns.Message ?? r.event.Message;
    const { outcome, because, readings } = outcomeOf(JSON.parse(message));
    expect({ outcome: r.outcome, because: r.because, readings: r.readings }).toEqual({ outcome, because, readings });
  }
});

check('our rules let through nothing that the parser then ignores', () => {
  const heard = all.filter(({ event }) => rulesFor(event).length > 0);
  expect(heard.length).toBeGreaterThanOrEqual(8);
  expect(heard.filter((r) => r.outcome === 'ignored').map(brief)).toEqual([]);
});

const keysOf = (value: unknown, at = ''): string[] => {
  if (Array.isArray(value)) return value.flatMap((v) => keysOf(v, `${at}[]`));
  // What is inside is named by the user, or by each call's own API.
  const own = /\.(dimensions|parameters|requestParameters|responseElements)$/.test(at);
  if (typeof value !== 'object' || value === null || own) return [at];
  return [at, ...Object.entries(value).flatMap(([key, inner]) => keysOf(inner, `${at}.${key}`))];
};

/** Documented, and in no event of the corpus. Sources: "AWS Health event EventBridge schema", AWS Health User Guide; Task and Container, Amazon ECS API Reference; "Amazon EC2 Auto Scaling event reference". */
const DOCUMENTED = [
  ...['eventScopeCode', 'statusCode', 'eventRegion'],
  ...['Origin', 'Destination'],
  ...['healthStatus', 'stopCode', 'containers[].memory', 'containers[].healthStatus', 'containers[].reason'],
].map((key) => `.detail.${key}`);

check('our own samples have no key that real events of their type lack', () => {
  const typeOf = (event: { 'detail-type'?: string; alarmArn?: string }) =>
    event['detail-type'] ?? (event.alarmArn && 'alarm action');
  const seen = Map.groupBy(
    all.filter(({ event }) => typeOf(event) !== undefined),
    ({ event }) => typeOf(event),
  );
  // Composite alarms are in the corpus as alarm actions only; what is told of an alarm is the same in both.
  const told = of('alarm-lambda').map(({ event }) => ({ detail: event.alarmData }));
  // A record is the same in a trail's files as in EventBridge's envelope.
  const recorded = of('cloudtrail').map(({ event }) => ({ detail: event }));
  const real = (type: string | undefined) =>
    new Set([...(seen.get(type) ?? []).map(({ event }) => event), ...told, ...recorded].flatMap((e) => keysOf(e)));
  const compared = sampleNames.filter((n) => !n.startsWith('other/') && seen.has(typeOf(sample(n))));
  expect(compared.length).toBeGreaterThan(30);
  for (const name of compared) {
    const known = real(typeOf(sample(name)));
    expect([name, keysOf(sample(name)).filter((key) => !known.has(key) && !DOCUMENTED.includes(key))]).toEqual([
      name,
      [],
    ]);
  }
});
