/** What the stack has for hosts that ship into the activity log: nothing, unless the policy wants it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { documents } from '../../documents/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'steward-hosts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// biome-ignore lint/suspicious/noExplicitAny: a template is whatever it is
type Resources = Readonly<Record<string, { readonly Type: string; readonly Properties: any }>>;
const made = (resource: string, policy: string, stage = 'prod'): Resources => {
  const file = join(folder, `${Math.random()}.yml`);
  writeFileSync(file, policy);
  const script = `require('./${resource}')({ resolveVariable: async () => '${stage}' }).then((r) => console.log(JSON.stringify(r.Resources)))`;
  const { PATH = '' } = process.env;
  return JSON.parse(execFileSync(process.execPath, ['-e', script], { env: { PATH, STEWARD_POLICY: file } }).toString());
};
const ON = 'activity: { hosts: commands }\n';
const statementsOf = (role: Resources[string] | undefined): { Action: string | string[]; Resource: unknown }[] =>
  role?.Properties.Policies[0].PolicyDocument.Statement ?? [];

test('off: no log group, no document, no schedule, no right', () => {
  expect(made('resources/hosts.cjs', '')).toEqual({});
  expect(made('resources/documents.cjs', '')['WatchHostDocument']).toBeUndefined();
  expect(JSON.stringify(made('functions/audit/role.cjs', ''))).not.toContain('ssm:');
});

test('on: the group’s lines go to record and nowhere else; record may put them into its queue', () => {
  const on = made('resources/hosts.cjs', ON);
  expect(Object.keys(on).sort()).toEqual([
    'HostsAssociation',
    'HostsIntoQueue',
    'HostsLogGroup',
    'HostsPermission',
    'HostsSubscription',
  ]);
  expect(on['HostsLogGroup']?.Properties).toEqual({ LogGroupName: '/steward/prod/hosts', RetentionInDays: 7 });
  const record = { 'Fn::GetAtt': ['RecordLambdaFunction', 'Arn'] };
  expect(on['HostsSubscription']?.Properties).toEqual({
    LogGroupName: { Ref: 'HostsLogGroup' },
    FilterPattern: '',
    DestinationArn: record,
  });
  // Of this account’s logs, and of this group only.
  expect(on['HostsPermission']?.Properties).toEqual({
    FunctionName: record,
    Action: 'lambda:InvokeFunction',
    Principal: 'logs.amazonaws.com',
    SourceAccount: { Ref: 'AWS::AccountId' },
    SourceArn: { 'Fn::GetAtt': ['HostsLogGroup', 'Arn'] },
  });
  expect(on['HostsIntoQueue']?.Properties).toMatchObject({
    Roles: [{ Ref: 'RecordRole' }],
    PolicyDocument: {
      Statement: [{ Effect: 'Allow', Action: 'sqs:SendMessage', Resource: { 'Fn::GetAtt': ['ActivityQueue', 'Arn'] } }],
    },
  });
});

test('the shipper goes to managed hosts only, with parameters that its document takes', () => {
  const { Targets, Parameters, Name, ScheduleExpression } = made('resources/hosts.cjs', ON)['HostsAssociation']
    ?.Properties ?? { Parameters: {} };
  expect([Name, ScheduleExpression, Targets]).toEqual([
    { Ref: 'WatchHostDocument' },
    'rate(30 minutes)',
    [{ Key: 'tag:steward:managed', Values: ['true'] }],
  ]);
  const { parameters = {} } = documents.find((d) => d.name === 'watch-host')?.content ?? {};
  expect(Object.keys(Parameters).sort()).toEqual(Object.keys(parameters).sort());
  for (const [name, [value]] of Object.entries(Parameters as Record<string, string[]>))
    expect([name, new RegExp(parameters[name]?.allowedPattern ?? '^$').test(value ?? '')]).toEqual([name, true]);
  expect(made('resources/documents.cjs', ON)['WatchHostDocument']?.Properties.Name).toBe('steward-prod-watch-host');
  const everyone = made('resources/hosts.cjs', `scope: all\n${ON}`)['HostsAssociation']?.Properties.Targets;
  expect(everyone).toEqual([{ Key: 'InstanceIds', Values: ['*'] }]);
});

test('audit may ask which sessions of Session Manager there are, and how they are recorded; nothing else of SSM', () => {
  const granted = statementsOf(made('functions/audit/role.cjs', ON)['AuditRole']).filter((s) =>
    JSON.stringify(s.Action).includes('ssm:'),
  );
  expect(granted.map((s) => [s.Action, s.Resource])).toEqual([
    ['ssm:DescribeSessions', '*'],
    [
      'ssm:GetDocument',
      {
        'Fn::Sub': expect.stringMatching(
          /^arn:\$\{AWS::Partition\}:ssm:\$\{AWS::Region\}:\$\{AWS::AccountId\}:document\/\*$/,
        ),
      },
    ],
  ]);
});
