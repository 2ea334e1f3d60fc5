/** What is read out of records, and how files are cut into them. */
import fc from 'fast-check';
import { readActivity, sameContent } from '../../shared/activity/record.ts';
import { recordsOf } from '../../shared/activity/recordsOf.ts';
import { matches, type Wanted } from '../../shared/activity/terms.ts';

const read = (value: unknown) => readActivity(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
const call = {
  eventTime: '2026-11-25T01:02:03Z',
  eventSource: 'ec2.amazonaws.com',
  eventName: 'StopInstances',
  awsRegion: 'eu-central-1',
  sourceIPAddress: '192.0.2.7',
  eventID: 'e-1',
  recipientAccountId: '111122223333',
  userIdentity: {
    type: 'AssumedRole',
    arn: 'arn:aws:sts::111122223333:assumed-role/deploy/ada',
    sessionContext: { sessionIssuer: { arn: 'arn:aws:iam::111122223333:role/deploy', userName: 'deploy' } },
  },
  requestParameters: { instancesSet: { items: [{ instanceId: 'i-0abc' }] }, clientToken: 'none' },
};

test.each<[string, unknown, object]>([
  [
    'a call',
    call,
    { account: '111122223333', id: 'e-1', what: 'ec2:StopInstances', resources: ['i-0abc'], ip: '192.0.2.7' },
  ],
  [
    'its envelope',
    { id: 'x', account: '9', 'detail-type': 'AWS API Call via CloudTrail', detail: call },
    { account: '111122223333', id: 'e-1' },
  ],
  [
    'another event of EventBridge',
    {
      id: 'x',
      account: '9',
      source: 'aws.ec2',
      'detail-type': 'EC2 Spot',
      time: '2026-11-25T01:02:03Z',
      resources: ['arn:aws:ec2:r:9:instance/i-1'],
      detail: {},
    },
    { account: '9', id: 'x', what: 'aws.ec2:EC2 Spot', who: ['aws.ec2'], resources: ['arn:aws:ec2:r:9:instance/i-1'] },
  ],
  [
    'a service without arn',
    { ...call, userIdentity: { type: 'AWSService', invokedBy: 'rds.amazonaws.com' } },
    { who: ['rds.amazonaws.com'] },
  ],
  ['string parameters', { ...call, requestParameters: 'HIDDEN' }, { resources: [] }],
  ['null parameters', { ...call, requestParameters: null, responseElements: null }, { resources: [] }],
  [
    'an Insight event',
    { eventType: 'AwsCloudTrailInsight', eventID: 'i', insightDetails: { eventName: 'RunInstances' } },
    { what: 'unknown:RunInstances', time: 0 },
  ],
  ['an error', { ...call, errorCode: 'AccessDenied' }, { error: 'AccessDenied' }],
  ['no time that can be', { ...call, eventTime: 'eventTime' }, { time: 0 }],
  ['no id', { eventName: 'x' }, { id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/), account: 'unknown' }],
  ['a list', '[1]', { unreadable: 'it is JSON, but no object' }],
  ['no JSON', '{"a":', { unreadable: expect.any(String), id: expect.stringMatching(/^sha256:/) }],
  ['no text', '\ud800', { unreadable: expect.any(String) }],
])('%s', (_, given, expected) => expect(read(given)).toMatchObject(expected));

test.each<[Wanted, boolean]>([
  [{ actor: 'ada' }, true],
  [{ actor: 'arn:aws:iam::111122223333:role/deploy' }, true],
  [{ actor: 'Deploy' }, true],
  [{ actor: 'bob' }, false],
  [{ action: 'ec2:StopInstances' }, true],
  [{ action: 'stopinstances' }, true],
  [{ action: 'ec2:' }, true],
  [{ action: 'rds:' }, false],
  [{ resource: 'i-0abc' }, true],
  [{ resource: 'i-0abc', actor: 'bob' }, false],
  [{ ip: '192.0.2.7' }, true],
  [{ error: '*' }, false],
])('%j is found: %s', (wanted, is) => expect(matches(read(call), wanted, Buffer.from(''))).toBe(is));

test('the same event in other words is the same; any other is not', () => {
  const same = (a: string, b: string) => sameContent(Buffer.from(a), Buffer.from(b));
  expect(same('{"a":1,"b":[{"c":2,"d":3}]}', ' { "b":[{"d":3,"c":2}], "a":1 }')).toBe(true);
  expect(same('{"a":1}', '{"detail-type":"x","detail":{"a":1}}')).toBe(true);
  expect(same('{"a":[1,2]}', '{"a":[2,1]}')).toBe(false);
  expect(same('{"a":12345678901234567890}', '{"a":12345678901234567891}')).toBe(false);
  expect(same('no JSON', 'no  JSON')).toBe(false);
});

const cut = async (text: Buffer, size: number): Promise<string[]> => {
  const chunks = Array.from({ length: Math.ceil(text.length / size) }, (_, n) =>
    text.subarray(n * size, (n + 1) * size),
  );
  const records: string[] = [];
  for await (const record of recordsOf(chunks)) records.push(record.toString('utf8'));
  return records;
};

test('a file gives its records byte for byte, wherever its chunks end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.json()),
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom('', ' ', '\n  '),
      async (records, size, space) => {
        const file = Buffer.from(
          `{${space}"Records"${space}:${space}[${records.map((r) => space + r + space).join(',')}]}${space}`,
        );
        expect(await cut(file, size)).toEqual(records.map((r) => r.trim()));
      },
    ),
    { numRuns: 300 },
  );
});

test('a file that ends too early says so, after what is whole', async () => {
  const file = Buffer.from('{"Records":[{"a":1},{"b":"]}"},{"c":');
  const given: string[] = [];
  const all = async () => {
    for await (const record of recordsOf([file])) given.push(record.toString('utf8'));
  };
  await expect(all()).rejects.toThrow('the file ends after 2 records');
  expect(given).toEqual(['{"a":1}', '{"b":"]}"}']);
});
