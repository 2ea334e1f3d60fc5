/** The user's steward.yml: whatever is wrong is said with its line, what was given and what is allowed. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { checkPolicy, policyJsonSchema } from '../../resources/policy.ts';
import { defaultPolicy } from '../../shared/core/policy.ts';
import { remediations } from '../../shared/remediations/index.ts';

const check = (text: string) => checkPolicy(text, 'steward.yml', remediations);
const complaint = (text: string): string => {
  try {
    check(text);
  } catch (e) {
    return (e as Error).message;
  }
  throw new Error('it was accepted');
};

test('no file, an empty one and the one that is shipped mean the defaults', () => {
  const defaults = defaultPolicy(remediations);
  expect(check('')).toEqual(defaults);
  expect(check('# nothing\n')).toEqual(defaults);
  expect(check(readFileSync('steward.yml', 'utf8'))).toEqual(defaults);
});

test('the example in the comments of the one that is shipped is right', () => {
  const text = readFileSync('steward.yml', 'utf8').replaceAll(/^# (?=freeze:|channels:|remediations:| )/gm, '');
  expect(text).toContain('\nfreeze:');
  const policy = check(text);
  expect(policy.freeze).toHaveLength(1);
  expect(policy.remediations['full-disk']).toMatchObject({ mode: 'watch', costCapUsdPerMonth: 50 });
});

test.each([
  [
    'a value that is not one of the allowed',
    'preset: fast',
    'steward.yml:1 preset: given "fast", allowed: "cautious", "automatic"',
  ],
  [
    'a number out of range',
    'remediations:\n  full-disk:\n    usedPercent: 200',
    'steward.yml:3 remediations.full-disk.usedPercent: given 200, allowed: integer from 20 to 99',
  ],
  [
    'a number as text',
    'signalMaxAgeMinutes: "15"',
    'steward.yml:1 signalMaxAgeMinutes: given "15", allowed: integer from 1 to 1440',
  ],
  [
    'an option that is not there',
    'remediations:\n  full-disk:\n    maxGib: 5',
    'steward.yml:3 remediations.full-disk.maxGib: there is no such option; allowed here: mode,',
  ],
  [
    'a channel of no type that there is',
    'channels:\n  ops:\n    type: telegram',
    'steward.yml:3 channels.ops.type: given "telegram", allowed: "slack", "webhook", "pagerduty", "sns"',
  ],
  [
    'a channel without its secret',
    'channels:\n  ops:\n    type: slack\n    channel: C0123456789',
    'steward.yml:2 channels.ops.secret: given nothing, allowed: string like ^(',
  ],
  [
    'a secret in clear',
    'channels:\n  ops: { type: slack, channel: C0123456789, secret: xoxb-1 }',
    'steward.yml:2 channels.ops.secret: given something else (not shown: if it is the secret itself, replace it), allowed: string like ',
  ],
  [
    'an option that this type of channel does not have',
    'channels:\n  mail:\n    type: sns\n    topic: arn:aws:sns:eu-central-1:111122223333:people\n    url: https://x',
    'steward.yml:5 channels.mail.url: there is no such option; allowed here: type, topic, what, groups, remediations, key',
  ],
  [
    'a webhook that is not https',
    'channels:\n  hook:\n    type: webhook\n    url: http://example.com/\n    secret: /k',
    'steward.yml:4 channels.hook.url: given "http://example.com/"',
  ],
  [
    'a channel for a remediation that is not there',
    'channels:\n  mail:\n    type: sns\n    topic: arn:aws:sns:eu-central-1:111122223333:people\n    remediations: [fulldisk]',
    'steward.yml:5 channels.mail.remediations[0]: given "fulldisk", allowed: "full-disk", ',
  ],
  ['a name of a channel that cannot be one', 'channels:\n  My Ops: { type: sns }', 'steward.yml:2 channels.My Ops: '],
  ['a digest at no time', 'digest:\n  cron: "0 99 * * *"', 'steward.yml:2 digest.cron: '],
  ['a remediation that is not there', 'remediations:\n  fulldisk: {}', 'allowed here: full-disk, '],
  [
    'two recipients of one name',
    'links:\n  recipients:\n    - name: alice\n    - name: alice',
    'steward.yml:4 links.recipients[1].name: there are two of "alice"',
  ],
  [
    'a person of Slack who is nobody',
    'links:\n  recipients: [{ name: alice }]\n  slack: { signingSecret: /s, team: T1, people: { U1: bob } }',
    'links.slack.people.U1: "bob" is none of links.recipients: alice',
  ],
  ['a cron field out of range', 'freeze:\n  - cron: "99 * * * *"\n    minutes: 5', 'steward.yml:2 freeze[0].cron: '],
  [
    'a time zone that is not there',
    'freeze:\n  - cron: "0 0 * * *"\n    minutes: 5\n    timezone: Europe/Atlantis',
    'Europe/Atlantis',
  ],
  ['a window without its length', 'maintenance:\n  - cron: "0 0 * * *"', 'maintenance[0].minutes: given nothing'],
  ['an account with a digit too few', 'accounts: ["12345678901"]', 'steward.yml:1 accounts[0]: given "12345678901"'],
  ['no YAML', 'freeze: [', 'steward.yml:1 YAML: '],
  ['a tab', 'tags:\n\tmanaged: x', 'steward.yml:'],
  ['a name twice', 'preset: cautious\npreset: automatic', 'steward.yml:2 YAML: Map keys must be unique'],
  ['a list in place of everything', '- preset', 'the file: given ["preset"]'],
])('%s', (_what, text, words) => {
  expect(complaint(text)).toContain(words);
  expect(complaint(text)).toContain('steward.yml cannot be used, nothing was deployed');
});

test('all mistakes are named at once', () => {
  const words = complaint('preset: fast\nscope: some\nretentionDays: 1\n');
  for (const line of [1, 2, 3]) expect(words).toContain(`steward.yml:${line} `);
});

test('property: whatever stands there is a policy or one readable complaint', () => {
  const names = [
    'preset',
    'scope',
    'tags',
    'accounts',
    'freeze',
    'breaker',
    'remediations',
    'full-disk',
    'mode',
    'budget',
    'x',
  ];
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom('act', 'all', 'cautious'),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...names), tie('any'), { maxKeys: 4 }),
    ),
  })).any;
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 5 }), (given) => {
      try {
        expect(Object.keys(check(JSON.stringify(given)).remediations)).toEqual(remediations.map((r) => r.name));
      } catch (e) {
        expect((e as Error).message).toMatch(
          /^steward\.yml cannot be used, nothing was deployed:\n( {2}steward\.yml(:\d+)? .+: .+\n?)+$/,
        );
      }
    }),
    { numRuns: 300 },
  );
});

test('the JSON Schema for editors is that of the code', () => {
  expect(JSON.parse(readFileSync('docs/steward.schema.json', 'utf8'))).toEqual(policyJsonSchema(remediations));
});
