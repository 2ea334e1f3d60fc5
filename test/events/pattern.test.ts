import { matchesPattern } from './pattern.ts';

const event = {
  source: 'aws.ec2',
  resources: ['arn:1', 'arn:2'],
  detail: {
    state: 'running',
    code: 16,
    spot: null,
    'document-name': 'arn:aws:ssm:x:1:document/steward-prod-clean-disk',
  },
};

test.each([
  [{ source: ['aws.ec2'] }, true],
  [{ source: ['aws.ssm', 'aws.ec2'] }, true],
  [{ source: ['AWS.EC2'] }, false],
  [{ source: ['aws.ec2'], detail: { state: ['stopped'] } }, false],
  [{ detail: { state: ['stopped', 'running'] } }, true],
  [{ detail: { code: [16] } }, true],
  [{ detail: { code: ['16'] } }, false],
  [{ detail: { spot: [null] } }, true],
  [{ detail: { missing: [null] } }, false],
  [{ resources: ['arn:2'] }, true],
  [{ resources: ['arn:3'] }, false],
  [{ detail: { state: { name: ['running'] } } }, false],
  [{ detail: { 'document-name': [{ wildcard: '*steward-*-clean-disk' }] } }, true],
  [{ detail: { 'document-name': [{ wildcard: '*steward-*-clean' }] } }, false],
  [{ detail: { 'document-name': [{ wildcard: 'steward-*' }] } }, false],
  [{ detail: { state: [{ wildcard: 'run*ing' }] } }, true],
  [{ detail: { state: [{ wildcard: 'r.n*' }] } }, false],
  [{ detail: { state: [{ wildcard: 'running*' }] } }, true],
  [{ detail: { state: [{ wildcard: 'running\\*' }] } }, false],
  [{}, true],
])('%j: %s', (pattern, expected) => {
  expect(matchesPattern(pattern as never, event)).toBe(expected);
});

test.each([
  [{ source: [{ prefix: 'aws.' }] }],
  [{ source: [{ wildcard: 'a**' }] }],
  [{ $or: [{ source: ['aws.ec2'] }] }],
  [{ source: 'aws.ec2' }],
])('%j is refused, not misread', (pattern) => {
  expect(() => matchesPattern(pattern as never, event)).toThrow(/matcher does not know|leaf is a list/);
});
