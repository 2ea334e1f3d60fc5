/** The packaged template: what a reviewer would ask of it, each as a test. Packaged without AWS credentials, as a user does it first. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runSimulation } from '@cloud-copilot/iam-simulate';
import { documents } from '../../documents/index.ts';
import { folderOf, lineOf } from '../../shared/activity/archiveFile.ts';
import { lastMark } from '../../shared/activity/marks.ts';
import type { Activity } from '../../shared/activity/record.ts';
import { type PolicyDocument, rolePolicy } from '../../shared/core/permissions.ts';
import { remediations } from '../../shared/remediations/index.ts';
import { anAccount } from '../activity/account.ts';

interface Resource {
  readonly Type: string;
  readonly DeletionPolicy?: string;
  // A template is read here as a reviewer reads it: whatever is there.
  // biome-ignore lint/suspicious/noExplicitAny: CloudFormation has no types of ours
  readonly Properties: any;
}
type Template = { readonly Resources: Readonly<Record<string, Resource>> };

const FUNCTIONS = ['heal', 'sweep', 'answer', 'announce', 'record', 'audit', 'archive'];
/** Those that may take the remediations' roles. */
const ASSUMING = ['heal', 'sweep', 'answer'];
const ACCOUNT = '111122223333';
const folder = mkdtempSync(join(tmpdir(), 'steward-template-'));
const pack = (to: string, more: Readonly<Record<string, string>> = {}): Template => {
  const { PATH = '', HOME = '' } = process.env;
  execFileSync(
    process.execPath,
    ['node_modules/serverless/bin/serverless.js', 'package', '--stage', 'prod', '--package', to],
    {
      env: { PATH: `${resolve('node_modules/.bin')}:${PATH}`, HOME, ...more },
      stdio: 'pipe',
    },
  );
  return JSON.parse(readFileSync(join(to, 'cloudformation-template-update-stack.json'), 'utf8'));
};
const template = pack(join(folder, 'one'));

const KEY = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const SECRET = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:pager-AbCdEf';
const TOPIC = 'arn:aws:sns:eu-central-1:111122223333:people';
/** A policy that asks for all that is not there by itself. Packaging takes seconds: once for all of it. */
const EVERYTHING = `
trails:
  audit: { bucket: my-logs, prefix: of/us }
activity:
  reads: true
  readers: [{ is: ['arn:aws:iam::*:role/audit'], tags: { team: [shop] } }]
  copy: { bucket: theirs, account: '444455556666' }
channels:
  ops: { type: slack, channel: C0123456789, secret: /steward/slack-token }
  pager: { type: pagerduty, secret: '${SECRET}', key: '${KEY}' }
  mail: { type: sns, topic: '${TOPIC}' }
links:
  recipients: [{ name: alice }]
  slack: { signingSecret: /steward/slack, team: T1, people: { U1: alice } }
`;
const policyFile = join(folder, 'everything.yml');
writeFileSync(policyFile, EVERYTHING);
const everything = pack(join(folder, 'everything'), { STEWARD_POLICY: policyFile });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const all = (type: string): [string, Resource][] =>
  Object.entries(template.Resources).filter(([, r]) => r.Type === type);
const one = (id: string): Resource => {
  const found = template.Resources[id];
  if (!found) throw new Error(`the template has no ${id}`);
  return found;
};
const text = (x: unknown): string => JSON.stringify(x);

/** CloudFormation's functions with the values that this account would give, as far as policies need them. */
const filled = (x: unknown): unknown => {
  if (Array.isArray(x)) return x.map(filled);
  if (typeof x !== 'object' || x === null) return x;
  const [[key, value] = ['', null]] = Object.entries(x);
  if (key === 'Ref') return value === 'AWS::AccountId' ? ACCOUNT : arnOf(String(value));
  if (key === 'Fn::GetAtt') return arnOf(String((value as string[])[0]));
  if (key === 'Fn::Sub') {
    const [pattern, more = {}] = Array.isArray(value) ? (value as [string, Record<string, unknown>]) : [String(value)];
    return pattern.replaceAll(/\$\{([^}]+)\}/g, (_all, name: string) => {
      const pseudo: Record<string, string> = {
        'AWS::Partition': 'aws',
        'AWS::Region': 'eu-central-1',
        'AWS::AccountId': ACCOUNT,
      };
      // '${!x}' is somebody else's placeholder: CloudFormation leaves it.
      if (name.startsWith('!')) return ['$', '{', name.slice(1), '}'].join('');
      return pseudo[name] ?? String(name in more ? filled(more[name]) : arnOf(name.split('.')[0] ?? ''));
    });
  }
  return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, filled(v)]));
};
const arnOf = (id: string): string => {
  const { Type, Properties: p } = one(id);
  const at = (service: string, rest: string) => `arn:aws:${service}:eu-central-1:${ACCOUNT}:${rest}`;
  if (Type === 'AWS::SQS::Queue') return at('sqs', p.QueueName);
  if (Type === 'AWS::DynamoDB::Table') return at('dynamodb', `table/${p.TableName}`);
  if (Type === 'AWS::IAM::Role') return `arn:aws:iam::${ACCOUNT}:role/${p.RoleName}`;
  return at('x', id);
};

const policiesOf = (role: Resource): PolicyDocument[] =>
  role.Properties.Policies.map((p: { PolicyDocument: unknown }) => filled(p.PolicyDocument));
const statements = (document: {
  Statement: unknown;
}): {
  Effect: string;
  Action: string | string[];
  Resource: string | string[];
  Condition?: unknown;
  Principal?: unknown;
}[] => [document.Statement].flat() as never;
const list = (x: string | readonly string[]): string[] => [x].flat() as string[];
const roles = all('AWS::IAM::Role');
const roleNamed = (name: string): Resource => {
  const found = roles.find(([, r]) => r.Properties.RoleName === name);
  if (!found) throw new Error(`no role is called ${name}`);
  return found[1];
};

describe('nothing is lost', () => {
  test('every queue has a dead-letter queue, or is it', () => {
    for (const [id, { Properties }] of all('AWS::SQS::Queue'))
      expect([id, id === 'DeadLetters' || text(Properties.RedrivePolicy).includes('DeadLetters')]).toEqual([id, true]);
  });
  test('every rule on events has one, and every function tells of what it gave up', () => {
    for (const [id, { Properties }] of all('AWS::Events::Rule').filter(([, r]) => r.Properties.EventPattern)) {
      expect([id, Properties.Targets.length]).toEqual([id, 1]);
      expect(text(Properties.Targets[0].DeadLetterConfig)).toContain('DeadLetters');
    }
    expect(
      all('AWS::Lambda::EventInvokeConfig')
        .map(([, r]) => text(r.Properties.DestinationConfig.OnFailure))
        .filter((d) => d.includes('DeadLetters')),
    ).toHaveLength(FUNCTIONS.length);
  });
  test('the queue’s messages fail one by one, and are hidden for as long as a pass may last', () => {
    const mappings = all('AWS::Lambda::EventSourceMapping').map(([, m]) => m);
    const of = (queue: string) => mappings.find((m) => text(m.Properties.EventSourceArn).includes(queue));
    const [mapping, activity] = [of('SignalsQueue'), of('ActivityQueue')];
    expect(mappings).toHaveLength(3);
    expect(of('StreamArn')?.Properties).toMatchObject({ StartingPosition: 'TRIM_HORIZON', MaximumRetryAttempts: 1000 });
    // A batch of the log is written once, however often it comes.
    expect(activity?.Properties).toMatchObject({ BatchSize: 500, MaximumBatchingWindowInSeconds: 30 });
    expect(one('ActivityQueue').Properties.VisibilityTimeout).toBeGreaterThanOrEqual(
      one('RecordLambdaFunction').Properties.Timeout + 30,
    );
    expect(mapping?.Properties).toMatchObject({ FunctionResponseTypes: ['ReportBatchItemFailures'], BatchSize: 5 });
    const heal = one('HealLambdaFunction').Properties;
    expect(mapping?.Properties.ScalingConfig.MaximumConcurrency).toBeLessThan(heal.ReservedConcurrentExecutions);
    expect(one('SignalsQueue').Properties.VisibilityTimeout).toBeGreaterThanOrEqual(heal.Timeout);
  });
  test.each(['StateTable', 'ActivityTable'])(
    '%s: restorable, protected, encrypted, expiring, and left when the stack is removed',
    (id) => {
      const { DeletionPolicy, Properties } = one(id);
      expect(DeletionPolicy).toBe('Retain');
      expect(Properties).toMatchObject({
        DeletionProtectionEnabled: true,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        SSESpecification: { SSEEnabled: true },
        TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
        BillingMode: 'PAY_PER_REQUEST',
      });
    },
  );
});

describe('the activity log cannot be altered by whoever writes it', () => {
  test('no role may delete from its table or bucket, change an item, or its key', () => {
    for (const [id, role] of roles)
      for (const s of policiesOf(role).flatMap((p) => statements(p as never)))
        if (/Activity(Bucket|Key)|table\/steward-prod-activity/.test(text(s.Resource)))
          expect([
            id,
            list(s.Action).filter((a) => /Delete|Update|BatchWrite|Bypass|Retention|kms:(?!Sign|GetPublicKey)/.test(a)),
          ]).toEqual([id, id === 'ArchiveRole' && text(s.Action).includes('Update') ? ['dynamodb:UpdateItem'] : []]);
  });
  test('only archive lets go, and of bodies only their end, of files only by a tag', () => {
    const by = (action: string) =>
      roles.flatMap(([id, role]) =>
        statements(policiesOf(role)[0] as never)
          .filter((s) => list(s.Action).includes(action) && /Activity|steward-prod-activity/.test(text(s.Resource)))
          .map((s) => [id, s.Condition]),
      );
    expect(by('dynamodb:UpdateItem')).toEqual([
      [
        'ArchiveRole',
        {
          'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['body/*'] },
          'ForAllValues:StringEquals': { 'dynamodb:Attributes': ['pk', 'sk', 'expiresAt'] },
        },
      ],
    ]);
    expect(by('s3:PutObjectTagging')).toEqual([
      ['ArchiveRole', { 'ForAllValues:StringEquals': { 's3:RequestObjectTagKeys': ['steward:may-go'] } }],
    ]);
    const writers = roles.filter(([, r]) =>
      policiesOf(r)
        .flatMap((p) => statements(p as never))
        .some((s) => list(s.Action).includes('s3:PutObject') && /\/archive/.test(text(s.Resource))),
    );
    expect(writers.map(([id]) => id)).toEqual(['ArchiveRole']);
  });
  test('what the bucket lets go is marked, and old enough', () => {
    const { Rules } = one('ActivityBucket').Properties.LifecycleConfiguration;
    const removing = Rules.filter(
      (r: Record<string, unknown>) => 'ExpirationInDays' in r || 'NoncurrentVersionExpiration' in r,
    );
    expect(removing).toMatchObject([
      { Prefix: 'archive/', TagFilters: [{ Key: 'steward:may-go', Value: 'true' }], ExpirationInDays: 2557 },
      { Prefix: 'spilled/', TagFilters: [{ Key: 'steward:may-go', Value: 'true' }], ExpirationInDays: 90 },
    ]);
    const file = join(folder, 'lock.yml');
    writeFileSync(file, 'activity: { keepYears: 10, lock: { mode: compliance, days: 3653 } }\n');
    const script = `require('./resources/activity-bucket.cjs')({ resolveVariable: async () => 'prod' }).then((r) => console.log(JSON.stringify(r)))`;
    const { PATH = '' } = process.env;
    const said = execFileSync(process.execPath, ['-e', script], { env: { PATH, STEWARD_POLICY: file } }).toString();
    const { Properties } = JSON.parse(said).Resources.ActivityBucket;
    expect(Properties.ObjectLockConfiguration.Rule.DefaultRetention).toEqual({ Mode: 'COMPLIANCE', Days: 3653 });
    expect(Properties.LifecycleConfiguration.Rules[1].ExpirationInDays).toBe(3653);
  });
  test('only audit signs', () => {
    const signers = roles.filter(([, role]) => text(policiesOf(role)).includes('kms:Sign')).map(([id]) => id);
    expect(signers).toEqual(['AuditRole']);
  });
  test('audit reads what CloudTrail writes, and nothing else of anybody’s', () => {
    const granted = statements(policiesOf(one('AuditRole'))[0] as never);
    const reads = granted.filter((s) => list(s.Action).some((a) => /^(s3:GetObject|kms:Decrypt)$/.test(a)));
    const others = reads.filter((s) => !text(s.Resource).includes('Activity'));
    expect(others.map((s) => [list(s.Action), filled(s.Resource), s.Condition])).toEqual([
      [['s3:GetObject'], ['arn:aws:s3:::*/*AWSLogs/*'], undefined],
      [['kms:Decrypt'], 'arn:aws:kms:*:*:key/*', { Null: { 'kms:EncryptionContext:aws:cloudtrail:arn': 'false' } }],
    ]);
    const own = everything.Resources['AuditRole'] as Resource;
    const narrow = statements(policiesOf(own)[0] as never).map((s) => [list(s.Action).join(' '), filled(s.Resource)]);
    expect(narrow).toContainEqual(['s3:GetObject', ['arn:aws:s3:::my-logs/of/us/AWSLogs/*']]);
    expect(narrow).toContainEqual(['s3:ListBucket', ['arn:aws:s3:::my-logs']]);
  });
  test('with its role, and no more, audit reads a trail and checks its digests', async () => {
    const policy = filled(policiesOf(one('AuditRole'))[0]) as PolicyDocument;
    const account = anAccount({ policy });
    const sums = { files: 0, findings: 0 };
    await account.pass(30, async () => {
      const { files, findings } = await account.audit();
      sums.files += files;
      sums.findings += findings.length;
    });
    expect(sums).toEqual({ files: expect.any(Number), findings: 0 });
    expect(sums.files).toBeGreaterThan(20);
    expect((await lastMark(account.memory.table, account.home))?.mark.vouched).toBeDefined();
    const history = anAccount({ policy, without: true });
    expect(await history.audit()).toMatchObject({ whole: true, files: 0 });
  });
  test('only AWS itself, and answer by its role, can put something into the log’s queue', () => {
    expect(one('ActivityRule').Properties.EventPattern.source).toEqual([{ prefix: 'aws.' }]);
    const senders = roles.filter(([, role]) =>
      policiesOf(role)
        .flatMap((p) => statements(p as never))
        .some(
          (s) => list(s.Action).includes('sqs:SendMessage') && text(s.Resource).includes(':steward-prod-activity"'),
        ),
    );
    expect(senders.map(([id]) => id)).toEqual(['AnswerRole']);
  });
  test('a second account: audit may put checkpoints there, and only if the bucket is that account’s', () => {
    const own = everything.Resources;
    const granted = statements(policiesOf(own['AuditRole'] as Resource)[0] as never);
    expect(
      granted
        .filter((s) => text(s.Resource).includes('theirs'))
        .map((s) => [s.Action, filled(s.Resource), s.Condition]),
    ).toEqual([
      ['s3:PutObject', 'arn:aws:s3:::theirs/checkpoints/*', { StringEquals: { 's3:ResourceAccount': '444455556666' } }],
    ]);
    expect(own['CopyFailsAlarm']?.Properties.MetricName).toBe('CopyFailed');
    expect(template.Resources['CopyFailsAlarm']).toBeUndefined();
  });
  describe('the archive in Athena', () => {
    const { TableInput } = one('ActivityArchiveTable').Properties;
    const names = (columns: { Name: string }[]): string[] => columns.map((c) => c.Name);
    const columns = names(TableInput.StorageDescriptor.Columns);
    const folders = names(TableInput.PartitionKeys);
    test('its columns are the fields of a line, its folders those of the files', () => {
      const activity: Activity = {
        account: ACCOUNT,
        region: 'eu-central-1',
        id: '1',
        time: 1,
        who: ['anna'],
        what: 'ec2:RunInstances',
        resources: [],
        cut: false,
        ip: '198.51.100.7',
        error: 'AccessDenied',
      };
      const fields = [Buffer.from('{}'), Buffer.from([0xff])].flatMap((raw) =>
        Object.keys(lineOf('s0/0/0', activity, raw)),
      );
      expect([...new Set(fields)].filter((f) => !folders.includes(f)).sort()).toEqual([...columns].sort());
      const template = filled(TableInput.Parameters['storage.location.template']) as string;
      const key = template.replace(/^s3:\/\/[^/]+\//, '');
      expect(`${folderOf(activity)}/`).toBe(
        key
          .replace('$' + '{account}', ACCOUNT)
          .replace('$' + '{region}', 'eu-central-1')
          .replace('$' + '{day}', '1970-01-01'),
      );
      expect(text(TableInput.Parameters)).toContain(`account=\${!account}/region=\${!region}/day=\${!day}/`);
    });
    test('each query of the guide names what its folders need, and columns that exist', () => {
      const queries = [...readFileSync('docs/athena.md', 'utf8').matchAll(/```sql\n([^`]+)```/g)].map(
        ([, q]) => q ?? '',
      );
      expect(queries.length).toBeGreaterThan(3);
      for (const query of queries) {
        expect(query).toMatch(/WHERE account = '\d{12}' AND region (?:=|IN) /);
        expect(query).toMatch(/AND day BETWEEN '[\d-]{10}' AND '[\d-]{10}'/);
        const aliases = [...query.matchAll(/ AS (\w+)/g)].map(([, name]) => name);
        const words = query.replaceAll(/'[^']*'/g, '').match(/\b[a-z_]+\b/g) ?? [];
        const functions = [
          'count',
          'min',
          'max',
          'regexp_like',
          'contains',
          'json_extract_scalar',
          'coalesce',
          'steward_prod',
          'activity',
        ];
        expect(words.filter((w) => ![...columns, ...folders, ...functions, ...aliases].includes(w))).toEqual([]);
      }
    });
  });
  test('the bucket: locked, versioned, private, and left when the stack is removed', () => {
    const { DeletionPolicy, Properties } = one('ActivityBucket');
    expect(DeletionPolicy).toBe('Retain');
    expect(Properties).toMatchObject({ ObjectLockEnabled: true, VersioningConfiguration: { Status: 'Enabled' } });
    expect(Object.values(Properties.PublicAccessBlockConfiguration)).toEqual([true, true, true, true]);
  });
});

describe('nothing runs away', () => {
  test.each(FUNCTIONS)('%s: reserved concurrency, a time limit, a log that ends, no address of its own', (name) => {
    const id = `${name[0]?.toUpperCase()}${name.slice(1)}`;
    const f = one(`${id}LambdaFunction`).Properties;
    expect(f).toMatchObject({ FunctionName: `steward-prod-${name}`, Runtime: 'nodejs24.x', Architectures: ['arm64'] });
    expect(f.ReservedConcurrentExecutions).toBeGreaterThan(0);
    expect(one(`${id}LogGroup`).Properties.RetentionInDays).toBeGreaterThan(0);
    expect(text(f.Environment)).not.toMatch(/secret|password|token|AKIA/i);
  });
  test('no function has a URL, no policy an unbounded principal', () => {
    expect(all('AWS::Lambda::Url')).toEqual([]);
    for (const [id, r] of Object.entries(template.Resources).filter(([, { Type }]) =>
      /QueuePolicy|TopicPolicy/.test(Type),
    ))
      for (const s of statements(r.Properties.PolicyDocument)) {
        expect([id, Object.keys(s.Principal as object)]).toEqual([id, ['Service']]);
        expect(text(s.Condition)).toMatch(/aws:SourceA(rn|ccount)/);
      }
    for (const [, { Properties }] of all('AWS::Lambda::Permission'))
      expect(Properties.SourceAccount ?? Properties.SourceArn).toBeDefined();
  });
  test.each(FUNCTIONS)('the package of %s holds its own code and no more than a megabyte', (name) => {
    const zip = join(folder, 'one', `${name}.zip`);
    expect(statSync(zip).size).toBeLessThan(1_000_000);
    const files = execFileSync('python3', ['-m', 'zipfile', '-l', zip], { encoding: 'utf8' });
    expect(files).toContain(`functions/${name}/index.mjs`);
    expect(FUNCTIONS.filter((f) => f !== name && files.includes(`functions/${f}/`))).toEqual([]);
  });
});

describe('Steward is watched', () => {
  const alarms = all('AWS::CloudWatch::Alarm').map(([, r]) => r.Properties);
  test.each([
    'dead-letters',
    'signals-wait',
    'heal-fails',
    'sweep-fails',
    'answer-fails',
    'record-fails',
    'audit-fails',
    'archive-fails',
    'archive-behind',
    'archive-lacks',
    'activity-waits',
    'own-entries-wait',
    'activity-dear',
    'audit-silent',
    'trail-denied',
    'trail-behind',
    'digests',
    'activity-gaps',
    'heal-throttled',
    'sweep-silent',
    'behind',
    'survey-blind',
    'escalations',
    'refusals',
    'parked',
  ])('%s', (name) => {
    const alarm = alarms.find((a) => a.AlarmName === `steward-prod-${name}`);
    expect(alarm?.AlarmActions).toEqual([{ Ref: 'NoticesTopic' }]);
    expect(alarm?.AlarmDescription.length).toBeGreaterThan(40);
  });
  test('the metrics of its own that they read are those that the code writes', () => {
    const source = [
      'shared/runtime/lambda.ts',
      'functions/sweep/handler.ts',
      'functions/announce/handler.ts',
      'functions/record/handler.ts',
      'functions/audit/handler.ts',
      'functions/archive/handler.ts',
    ]
      .map((f) => readFileSync(f, 'utf8'))
      .join('\n');
    const written = new Set([...source.matchAll(/addMetric\(\s*'(\w+)'/g)].map(([, name]) => name));
    const read = [
      ...alarms.filter((a) => a.Namespace === 'Steward').map((a) => a.MetricName),
      ...[...text(one('Dashboard').Properties).matchAll(/\\*"Steward\\*",\\*"(\w+)\\*"/g)].map(([, name]) => name),
    ];
    expect(read.length).toBeGreaterThan(8);
    expect(read.filter((name) => !written.has(name))).toEqual([]);
  });
});

/** Each wildcard that a role has, with the reason why it must be one. Patterns with account and name in them are none. */
const WILDCARDS: Readonly<Record<string, string>> = {
  'xray:PutTraceSegments': 'X-Ray has no resources for these',
  'xray:PutTelemetryRecords': 'X-Ray has no resources for these',
  'ec2:DescribeInstanceCreditSpecifications': 'AWS gives it no resource',
  'ec2:DescribeInstanceStatus': 'AWS gives it no resource; a survey lists all that fail',
  'ec2:DescribeInstanceTypes': 'AWS gives it no resource',
  'ec2:DescribeInstances': 'EC2 has no resource-level permission for describing',
  'ec2:DescribeVolumes': 'EC2 has no resource-level permission for describing',
  'ec2:DescribeVolumesModifications': 'EC2 has no resource-level permission for describing',
  'ssm:DescribeInstanceInformation': 'SSM has no resource-level permission for it',
  'ssm:GetCommandInvocation': 'SSM has no resource-level permission for it',
  'cloudwatch:GetMetricData': 'CloudWatch has no resource-level permission for metrics',
  'cloudwatch:ListMetrics': 'CloudWatch has no resource-level permission for metrics',
  'ec2:DescribeVolumeStatus': 'EC2 has no resource-level permission for describing',
  'ec2:DescribeHosts': 'EC2 has no resource-level permission for describing',
  'ec2:DescribeSnapshots': 'EC2 has no resource-level permission for describing',
  'ec2:CreateFleet': 'only by way of Auto Scaling (aws:ViaAWSService), which launches what its group says',
  'ec2:DescribeAvailabilityZones': 'EC2 has no resource-level permission for describing',
  'ec2:DescribeLaunchTemplateVersions': 'EC2 has no resource-level permission for describing',
  'ec2:DescribeSubnets': 'EC2 has no resource-level permission for describing',
  'ecs:GetTaskProtection': 'the tasks of a service are not known before they are looked for',
  'ec2:DescribeFlowLogs': 'EC2 has no resource-level permission for describing',
  'ec2:DescribeVpcs': 'EC2 has no resource-level permission for describing',
  'logs:CreateLogDelivery': 'AWS gives it no resource; CreateFlowLogs asks for it',
  'logs:DeleteLogDelivery': 'AWS gives it no resource; DeleteFlowLogs asks for it',
  'logs:DescribeLogGroups': 'a survey lists all of them',
  'logs:DescribeSubscriptionFilters': 'a survey lists those of all declared groups',
  'application-autoscaling:DescribeScalableTargets': 'AWS gives it no resource',
  'application-autoscaling:DescribeScalingPolicies': 'AWS gives it no resource',
  'autoscaling:DescribeAutoScalingGroups': 'AWS gives it no resource',
  'autoscaling:DescribeAutoScalingInstances': 'AWS gives it no resource',
  'autoscaling:DescribePolicies': 'AWS gives it no resource',
  'autoscaling:DescribeInstanceRefreshes': 'AWS gives it no resource',
  'autoscaling:DescribeScalingActivities': 'AWS gives it no resource',
  'health:DescribeEvents': 'AWS gives it no resource',
  'ecs:ListClusters': 'AWS gives it no resource',
  'ecs:DescribeClusters': 'a survey describes all that it listed, and those that must be there',
  'ecs:ListContainerInstances':
    'the survey asks each cluster; the target is an EC2 instance, whose cluster is looked for',
  'ecs:DescribeContainerInstances': 'the survey asks each cluster, and there must be room on the others of a cluster',
  'ecs:ListTasks': 'AWS gives it no cluster, only container instances, which are looked for',
  'ecs:ListServices': 'the survey asks each cluster',
  'ecs:ListServiceDeployments': 'harmless to read; the target of a look may be a task of no service',
  'ecs:DescribeServiceDeployments': 'which of them is under way is known when they were listed',
  'ecs:DescribeServiceRevisions': 'which revisions a service has had is known when its deployments were listed',
  'ecs:DescribeTaskDefinition': 'AWS gives it no resource',
  'ecr:DescribeImages': 'which repositories hold the images of a service is known when its record was read',
  'ecr:GetLifecyclePolicy': 'which repositories hold the images of a service is known when its record was read',
  'ecr:DescribeRegistry': 'AWS gives it no resource',
  'ecr:DescribeRepositories': 'a survey lists all of them',
  'ecr:GetRepositoryPolicy': 'a survey reads those of all managed repositories',
  'ecr:ListTagsForResource': 'which of them are managed is known when their tags were read',
  'ecs:RegisterTaskDefinition':
    'AWS gives it no resource; the roles that it passes are those of one definition in each session',
  'ecs:DescribeTasks': 'the tasks on an instance are not known before they are looked for',
  'ecs:DescribeServices': 'the services of the tasks on an instance are not known before',
  'elasticloadbalancing:DescribeTargetHealth': 'AWS gives it no resource',
  'elasticloadbalancing:DescribeTargetGroups': 'AWS gives it no resource',
  'wafv2:ListWebACLs': 'AWS gives it no resource',
  'wafv2:GetWebACL': 'a survey reads all managed ones',
  'wafv2:ListTagsForResource': 'which of them are managed is known when their tags were read',
  'wafv2:GetWebACLForResource': 'which web ACL guards a load balancer is not known before it was asked',
  'cloudtrail:DescribeTrails': 'a survey lists all of them; AWS gives it no resource',
  'cloudtrail:GetTrailStatus': 'a survey asks each trail that it listed, before it knows which is in trouble',
  'cloudtrail:LookupEvents': 'AWS gives it no resource',
  'cloudtrail:ListPublicKeys': 'AWS gives it no resource',
  'kms:DescribeKey': 'the key of a trail is known when the trail was looked at',
  's3:GetBucketPolicy': 'the bucket of a trail is known when the trail was looked at',
  'cloudwatch:DescribeAlarms': 'a survey lists all of them; composite alarms need the wildcard',
};

describe('least privilege', () => {
  test('no wildcard of actions; of resources only the reviewed ones, none of them stale', () => {
    const granted = roles.flatMap(([, role]) => policiesOf(role).flatMap((p) => statements(p as never)));
    for (const action of granted.flatMap((s) => list(s.Action))) expect(action).not.toContain('*');
    const found = new Set(granted.filter((s) => list(s.Resource).includes('*')).flatMap((s) => list(s.Action)));
    expect([...found].sort()).toEqual(Object.keys(WILDCARDS).sort());
  });
  test('one role for each remediation: what it declares, for Steward’s functions only', () => {
    const names = roles.map(([, r]) => r.Properties.RoleName as string).filter((n) => n.includes('-remedy-'));
    expect(names.sort()).toEqual(remediations.map((r) => `steward-prod-remedy-${r.name}`).sort());
    for (const r of remediations) {
      const role = roleNamed(`steward-prod-remedy-${r.name}`);
      expect(policiesOf(role)).toEqual([rolePolicy(r.permissions, { stage: 'prod', optInTag: 'steward:managed' })]);
      expect(filled(role.Properties.AssumeRolePolicyDocument.Statement)).toMatchObject([
        { Principal: { AWS: ASSUMING.map((f) => `arn:aws:iam::${ACCOUNT}:role/steward-prod-${f}`) } },
      ]);
    }
  });
  test('no role is there that nobody named', () => {
    expect(roles).toHaveLength(FUNCTIONS.length + remediations.length);
  });

  const TABLE = `arn:aws:dynamodb:eu-central-1:${ACCOUNT}:table/steward-prod`;
  const QUEUE = `arn:aws:sqs:eu-central-1:${ACCOUNT}:steward-prod-signals`;
  const role = (name: string, stage = 'prod') => `arn:aws:iam::${ACCOUNT}:role/steward-${stage}-remedy-${name}`;
  const may = async (
    name: string,
    action: string,
    resource: string,
    contextVariables: Readonly<Record<string, readonly string[]>> = {},
  ): Promise<string> => {
    const principal = `arn:aws:iam::${ACCOUNT}:role/steward-prod-${name}`;
    const response = await runSimulation(
      {
        identityPolicies: policiesOf(roleNamed(`steward-prod-${name}`)).map((policy, n) => ({
          name: `p${n}`,
          policy,
        })) as never,
        serviceControlPolicies: [],
        resourceControlPolicies: [],
        request: { action, principal, resource: { resource, accountId: ACCOUNT }, contextVariables },
      } as never,
      {},
    );
    if (!('overallResult' in response)) throw new Error(text(response));
    return response.overallResult === 'Allowed' ? 'yes' : 'no';
  };
  test.each([
    ['heal', 'dynamodb:PutItem', TABLE, 'yes'],
    ['heal', 'dynamodb:BatchGetItem', TABLE, 'yes'],
    ['heal', 'dynamodb:Query', `${TABLE}/index/byZone`, 'yes'],
    ['heal', 'sqs:SendMessage', QUEUE, 'yes'],
    ['heal', 'sts:AssumeRole', role('full-disk'), 'yes'],
    ['sweep', 'dynamodb:Query', `${TABLE}/index/byDue`, 'yes'],
    ['sweep', 'sqs:SendMessage', QUEUE, 'yes'],
    ['answer', 'dynamodb:DeleteItem', TABLE, 'yes'],
    ['heal', 'sts:AssumeRole', role('full-disk', 'test'), 'no'],
    ['heal', 'sts:AssumeRole', `arn:aws:iam::${ACCOUNT}:role/admin`, 'no'],
    ['heal', 'dynamodb:PutItem', `${TABLE}-other`, 'no'],
    ['heal', 'dynamodb:DeleteTable', TABLE, 'no'],
    ['heal', 'ec2:ModifyVolume', `arn:aws:ec2:eu-central-1:${ACCOUNT}:volume/vol-1`, 'no'],
    ['heal', 'ec2:TerminateInstances', `arn:aws:ec2:eu-central-1:${ACCOUNT}:instance/i-1`, 'no'],
    ['heal', 'ssm:SendCommand', `arn:aws:ec2:eu-central-1:${ACCOUNT}:instance/i-1`, 'no'],
    ['answer', 'ssm:PutParameter', `arn:aws:ssm:eu-central-1:${ACCOUNT}:parameter/steward/prod/other`, 'no'],
    ['answer', 'iam:PassRole', role('full-disk'), 'no'],
  ])('%s: %s on %s: %s', async (name, action, resource, answer) => {
    expect(await may(name, action, resource)).toBe(answer);
  });
  // DynamoDB says the partition keys of each PutItem.
  test.each([
    ['GROUP#zone/euc1-az1', 'yes'],
    ['GROUP#asg/web', 'no'],
    ['TARGET#arn:aws:ec2:eu-central-1:111122223333:instance/i-1', 'no'],
    ['SWITCHES', 'no'],
  ])('sweep puts %s: %s', async (key, answer) => {
    expect(await may('sweep', 'dynamodb:PutItem', TABLE, { 'dynamodb:LeadingKeys': [key] })).toBe(answer);
  });
  // DynamoDB says which attributes an UpdateItem names.
  test.each([
    ['body/x', ['pk', 'expiresAt'], 'yes'],
    ['body/x', ['pk', 'expiresAt', 'b'], 'no'],
    ['link/s0', ['pk', 'expiresAt'], 'no'],
    ['archive', ['expiresAt'], 'no'],
  ] as const)('archive changes of %s %s: %s', async (key, attributes, answer) => {
    const context = { 'dynamodb:LeadingKeys': [key], 'dynamodb:Attributes': attributes };
    expect(await may('archive', 'dynamodb:UpdateItem', `${TABLE}-activity`, context)).toBe(answer);
  });
});

describe('what it is made from', () => {
  test('a rule for each pattern, to the queue', () => {
    const names = readdirSync('events').filter((n) => existsSync(`events/${n}/pattern.json`));
    const rules = all('AWS::Events::Rule')
      .map(([, r]) => r.Properties)
      .filter((p) => p.EventPattern && p.Name !== 'steward-prod-activity');
    expect(rules.map((p) => p.Name).sort()).toEqual(names.map((n) => `steward-prod-${n}`).sort());
    for (const n of names)
      expect(rules.find((p) => p.Name === `steward-prod-${n}`)?.EventPattern).toEqual(
        JSON.parse(readFileSync(`events/${n}/pattern.json`, 'utf8')),
      );
  });
  test('the host documents, as they are', () => {
    const deployed = Object.fromEntries(
      all('AWS::SSM::Document').map(([, r]) => [r.Properties.Name, r.Properties.Content]),
    );
    // Only where the policy wants it.
    const always = documents.filter((d) => d.name !== 'watch-host');
    expect(deployed).toEqual(Object.fromEntries(always.map((d) => [`steward-prod-${d.name}`, d.content])));
  });
  describe('where agents prove their logs', () => {
    test('a group that keeps a day, and a schedule for managed hosts', () => {
      expect(one('AgentProofLogGroup').Properties).toMatchObject({
        LogGroupName: '/steward/prod/agent-proof',
        RetentionInDays: 1,
      });
      expect(all('AWS::SSM::Association').map(([, r]) => r.Properties)).toEqual([
        expect.objectContaining({
          Name: { Ref: 'BeatAgentDocument' },
          Targets: [{ Key: 'tag:steward:managed', Values: ['true'] }],
          ScheduleExpression: 'rate(30 minutes)',
        }),
      ]);
      expect(one('BeatAgentDocument').Properties.Name).toBe('steward-prod-beat-agent');
    });
    test('a policy that wants no proof has no schedule', () => {
      const file = join(folder, 'unproven.yml');
      writeFileSync(file, 'remediations:\n  log-agent-silent: { proveLogs: "off" }\n');
      const script = `require('./resources/agent-proof.cjs')({ resolveVariable: async () => 'prod' }).then((r) => console.log(JSON.stringify(r)))`;
      const { PATH = '' } = process.env;
      const said = execFileSync(process.execPath, ['-e', script], { env: { PATH, STEWARD_POLICY: file } }).toString();
      expect(Object.keys(JSON.parse(said).Resources)).toEqual(['AgentProofLogGroup']);
    });
  });
  test('twice the same', () => {
    const plain = (t: Template) => text(t).replaceAll(/serverless\/steward\/prod\/[^/"]+/g, '');
    expect(plain(pack(join(folder, 'two')))).toBe(plain(template));
  });
});

test('the README counts what it creates as it is', () => {
  const [line = ''] = /^\d+ functions, .*$/m.exec(readFileSync('README.md', 'utf8')) ?? [];
  const count = (type: string, which: (p: Resource['Properties']) => boolean = () => true): number =>
    all(type).filter(([, r]) => which(r.Properties)).length;
  const isSchedule = (p: Resource['Properties']) => p.ScheduleExpression !== undefined;
  for (const said of [
    `${count('AWS::Lambda::Function')} functions, ${count('AWS::SQS::Queue')} queues, ${count('AWS::SNS::Topic')} topics, `,
    `${count('AWS::Events::Rule', (p) => !isSchedule(p))} rules and ${count('AWS::Events::Rule', isSchedule)} schedules`,
    `${count('AWS::DynamoDB::Table')} tables`,
    `${count('AWS::KMS::Key')} key, ${count('AWS::SSM::Document')} SSM documents`,
    `${count('AWS::CloudWatch::Alarm')} alarms on itself`,
    `${count('AWS::CloudWatch::Dashboard')} dashboard`,
  ])
    expect(line).toContain(said);
  const reserved = all('AWS::Lambda::Function').reduce((n, [, r]) => n + r.Properties.ReservedConcurrentExecutions, 0);
  expect(readFileSync('README.md', 'utf8')).toContain(`Reserved concurrency is ${reserved} in all`);
});

describe('with channels', () => {
  test('the stream of incidents and a schedule; a role for these channels and no other', () => {
    // biome-ignore lint/suspicious/noExplicitAny: CloudFormation has no types of ours
    const resources = everything.Resources as any;
    const { Properties: mapping } = resources.AnnounceEventSourceMappingDynamodbStateTable;
    expect(mapping).toMatchObject({
      EventSourceArn: { 'Fn::GetAtt': ['StateTable', 'StreamArn'] },
      BisectBatchOnFunctionError: true,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': ['DeadLetters', 'Arn'] } } },
      FilterCriteria: { Filters: [{ Pattern: '{"dynamodb":{"Keys":{"sk":{"S":[{"prefix":"INCIDENT#"}]}}}}' }] },
    });
    expect(resources.StateTable.Properties.StreamSpecification).toEqual({ StreamViewType: 'NEW_AND_OLD_IMAGES' });
    expect(resources.AnnounceEventsRuleSchedule1.Properties.ScheduleExpression).toBe('rate(1 minute)');
    // A send is over before another may look after it, and the function before that.
    expect(resources.AnnounceLambdaFunction.Properties.Timeout).toBeLessThan(180);

    const own = (type: string, id: string) => ({
      'Fn::Sub': `arn:\${AWS::Partition}:${type}:\${AWS::Region}:\${AWS::AccountId}:${id}`,
    });
    const stateTable = { 'Fn::GetAtt': ['StateTable', 'Arn'] };
    const [{ PolicyDocument }] = resources.AnnounceRole.Properties.Policies;
    expect(PolicyDocument.Statement).toEqual([
      {
        Effect: 'Allow',
        Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        Resource: own('logs', 'log-group:/aws/lambda/steward-prod-announce:*'),
      },
      { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: { 'Fn::GetAtt': ['DeadLetters', 'Arn'] } },
      {
        Effect: 'Allow',
        Action: ['dynamodb:BatchGetItem', 'dynamodb:PutItem', 'dynamodb:ConditionCheckItem', 'dynamodb:Query'],
        Resource: [stateTable, { 'Fn::Sub': `\${StateTable.Arn}/index/*` }],
      },
      {
        Effect: 'Allow',
        Action: ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:ListStreams'],
        Resource: { 'Fn::GetAtt': ['StateTable', 'StreamArn'] },
      },
      { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: { 'Fn::GetAtt': ['SignalsQueue', 'Arn'] } },
      { Effect: 'Allow', Action: 'ssm:PutParameter', Resource: own('ssm', 'parameter/steward/prod/channel/*') },
      { Effect: 'Allow', Action: 'ssm:GetParameter', Resource: own('ssm', 'parameter/steward/slack-token') },
      { Effect: 'Allow', Action: 'secretsmanager:GetSecretValue', Resource: SECRET },
      {
        Effect: 'Allow',
        Action: ['kms:Decrypt'],
        Resource: KEY,
        Condition: { StringLike: { 'kms:ViaService': 'secretsmanager.eu-central-1.amazonaws.com*' } },
      },
      { Effect: 'Allow', Action: 'sns:Publish', Resource: TOPIC },
      { Effect: 'Allow', Action: ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'], Resource: '*' },
    ]);
    expect(resources.TellingBehindAlarm.Properties.AlarmActions).toEqual([{ Ref: 'NoticesTopic' }]);
  });

  test('a webhook to this machine is for the sandbox only', () => {
    let said = '';
    try {
      const file = join(folder, 'webhook.yml');
      writeFileSync(file, 'channels:\n  hook: { type: webhook, url: "http://127.0.0.1:1/x", secret: /k }');
      pack(join(folder, 'webhook'), { STEWARD_POLICY: file });
    } catch (e) {
      said = String((e as { stdout: unknown }).stdout) + String((e as { stderr: unknown }).stderr);
    }
    expect(said).toContain('channels.hook.url is not https: nothing was deployed');
  });
});

/** What only a policy that asks for it gets. */
describe('the activity log, as steward.yml wants it', () => {
  const rights = ({ Resources }: Template) =>
    Object.values(Resources).filter(({ Properties }) => text(Properties).includes('tag:GetResources'));

  test('calls that only read come by EventBridge where it says so, else not', () => {
    expect(one('ActivityRule').Properties.State).toBe('ENABLED');
    expect(everything.Resources['ActivityRule']?.Properties.State).toBe(
      'ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS',
    );
  });
  test('tags are looked up by answer alone, and only where readers are told by tags', () => {
    expect(rights(template)).toEqual([]);
    expect(rights(everything).map(({ Type, Properties }) => [Type, Properties.Roles])).toEqual([
      ['AWS::IAM::Policy', [{ Ref: 'AnswerRole' }]],
    ]);
    expect(rights(everything)[0]?.Properties.PolicyDocument.Statement).toEqual([
      { Effect: 'Allow', Action: 'tag:GetResources', Resource: '*' },
    ]);
  });
});

/** There is no public door, unless the policy says so; and then it may do next to nothing. */
describe('the public door', () => {
  const closed = template.Resources;
  const open = everything.Resources;
  const isPublic = ([, { Type, Properties }]: [string, Resource]): boolean =>
    Type === 'AWS::Lambda::Url' || (Type === 'AWS::Lambda::Permission' && Properties.Principal === '*');

  test('without links in the policy: no URL, nothing that anybody may invoke, no key, no role for it', () => {
    expect(Object.entries(closed).filter(isPublic)).toEqual([]);
    expect(Object.keys(closed).filter((id) => id.startsWith('Link'))).toEqual([]);
    expect(text(closed)).not.toMatch(/STEWARD_LINK|GenerateMac|VerifyMac/);
  });

  test('with them, one door: the URL of link, and nothing else is public', () => {
    const entries = Object.entries(open).filter(isPublic);
    expect(entries.map(([, { Type }]) => Type).sort()).toEqual([
      'AWS::Lambda::Permission',
      'AWS::Lambda::Permission',
      'AWS::Lambda::Url',
    ]);
    for (const [, { Properties }] of entries) expect(text(Properties)).toContain('LinkLambdaFunction');
    for (const [, { Type, Properties }] of entries.filter(([, r]) => r.Type === 'AWS::Lambda::Permission'))
      expect([Type, Properties.FunctionUrlAuthType ?? Properties.InvokedViaFunctionUrl]).toEqual([
        Type,
        Properties.Action === 'lambda:InvokeFunctionUrl' ? 'NONE' : true,
      ]);
    const { ReservedConcurrentExecutions, Timeout, Environment } = open['LinkLambdaFunction']?.Properties ?? {};
    expect(ReservedConcurrentExecutions).toBeLessThanOrEqual(2);
    expect(Timeout).toBeLessThanOrEqual(10);
    expect(text(Environment)).not.toMatch(/slack|secret/i);
  });

  test('its role: incidents and charts, judging links, its own secret; it cannot make a link, wake heal or take a role', () => {
    const [{ PolicyDocument }] = open['LinkRole']?.Properties.Policies ?? [];
    const granted = PolicyDocument.Statement.map(
      (s: { Action: string | string[]; Resource: unknown; Condition?: unknown }) => [
        [s.Action].flat().join(' '),
        text(s.Resource),
        ...(s.Condition ? [s.Condition] : []),
      ],
    );
    expect(granted).toEqual([
      ['logs:CreateLogStream logs:PutLogEvents', expect.stringContaining('/aws/lambda/steward-prod-link:*')],
      [
        'dynamodb:BatchGetItem dynamodb:PutItem dynamodb:Query',
        text({ 'Fn::GetAtt': ['StateTable', 'Arn'] }),
        { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['TARGET#*'] } },
      ],
      ['kms:VerifyMac', text({ 'Fn::GetAtt': ['LinkKey', 'Arn'] })],
      ['ssm:GetParameter', expect.stringMatching(/parameter\/steward\/slack"/)],
      ['xray:PutTraceSegments xray:PutTelemetryRecords', '"*"'],
    ]);
    const signers = Object.entries(open).filter(([, { Properties }]) => text(Properties).includes('kms:GenerateMac'));
    expect(signers.map(([, { Properties }]) => Properties.Roles)).toEqual([
      [{ Ref: 'AnswerRole' }, { Ref: 'AnnounceRole' }],
    ]);
    expect(text(signers)).not.toContain('VerifyMac');
  });

  test('the key is one of HMAC, and the door is small', () => {
    expect(open['LinkKey']?.Properties).toMatchObject({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
    // It knows each remediation's rungs and risks; it has no client of what they change.
    expect(statSync(join(folder, 'everything', 'link.zip')).size).toBeLessThan(450_000);
  });

  test('whoever makes links knows where the door is', () => {
    expect(open['AnswerLambdaFunction']?.Properties.Environment.Variables).toMatchObject({
      STEWARD_LINK_KEY: { 'Fn::GetAtt': ['LinkKey', 'Arn'] },
      STEWARD_LINK_URL: { 'Fn::GetAtt': ['LinkLambdaFunctionUrl', 'FunctionUrl'] },
    });
  });
});
