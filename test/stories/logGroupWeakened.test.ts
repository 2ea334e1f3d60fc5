/** Whole incidents of the remediation log-group-weakened: what people and tools do to log groups, and what becomes of it. */
import {
  CreateLogGroupCommand,
  DeleteLogGroupCommand,
  DeleteRetentionPolicyCommand,
  DeleteSubscriptionFilterCommand,
  DisassociateKmsKeyCommand,
  PutRetentionPolicyCommand,
  PutSubscriptionFilterCommand,
} from '@aws-sdk/client-cloudwatch-logs';
import type { Incident } from '../../shared/core/incident.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { addUser } from '../../world/iam.ts';
import { type LogGroup, makeLogGroup } from '../../world/logs.ts';
import { clientsOf } from '../world/clients.ts';
import { type Account, type AccountOptions, createAccount } from './account.ts';

const KEY = 'arn:aws:kms:eu-central-1:111122223333:key/3c8f1f7e-0d5b-4a57-8a3e-5a0c5f9b7d11';
const STREAM = 'arn:aws:kinesis:eu-central-1:111122223333:stream/archive';
const ROLE = 'arn:aws:iam::111122223333:role/logs-to-kinesis';
const TERRAFORM = 'arn:aws:iam::111122223333:user/terraform';
const ALL = [{ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }];

const FILTER = { name: 'archive', destination: STREAM, role: ROLE };
const GROUPS = [
  { match: '/ecs/web', retentionDays: 30, kmsKey: KEY, subscription: FILTER },
  { match: '/ecs/*', retentionDays: 90 },
];
const NAME = '/ecs/web';

const started = async ({ policy = {}, groups = GROUPS, ...options }: AccountOptions & { groups?: object[] } = {}) => {
  const account = createAccount({
    ...options,
    policy: { trusted: [TERRAFORM], remediations: { 'log-group-weakened': { groups } }, ...policy },
  });
  const group = (name: string, tags: Record<string, string> = { 'steward:managed': 'true' }): LogGroup => {
    const made = makeLogGroup(account.world, { name, retention: 90, kmsKey: KEY, tags });
    const filter = { pattern: '', destination: STREAM, role: ROLE, createdAt: 0 };
    if (name === NAME) made.subscriptions = [{ name: 'archive', ...filter }];
    return made;
  };
  const web = group(NAME);
  const as = (name: string) => clientsOf(account.world, addUser(account.world, name, ALL as never)).logs;
  await account.run(minutes(1));
  return { account, web, group, ines: as('ines'), terraform: as('terraform') };
};

const incidentOf = (account: Account, name = NAME): Incident | undefined => account.incidentOf(`log-group:${name}`);
const ended = (account: Account, name?: string) => () => incidentOf(account, name)?.state === 'closed';
const changes = ({ world }: Account) =>
  world.calls.filter(
    (c) => c.service === 'logs' && c.principal.includes('remedy') && !/^(Describe|List)/.test(c.operation),
  );
const there = ({ account }: { account: Account }, name = NAME) => account.world.logs.groups.get(name);

describe('a healthy end', () => {
  test('a shortened retention is put back within seconds of the event', async () => {
    const s = await started();
    await s.ines.send(new PutRetentionPolicyCommand({ logGroupName: NAME, retentionInDays: 1 }));
    const from = s.account.clock.now();
    await s.account.run(minutes(10), ended(s.account));
    expect(there(s)?.retention).toBe(30);
    expect(incidentOf(s.account)).toMatchObject({
      end: 'healthy',
      attempts: [{ rung: 'retention', effect: 'effective' }],
      signals: { count: 1, author: 'arn:aws:iam::111122223333:user/ines' },
    });
    expect(s.account.clock.now() - from).toBeLessThan(seconds(60));
  });

  test.each([
    [
      'a deleted filter',
      'subscription',
      new DeleteSubscriptionFilterCommand({ logGroupName: NAME, filterName: 'archive' }),
    ],
    [
      'a filter that lets less through',
      'subscription',
      new PutSubscriptionFilterCommand({
        logGroupName: NAME,
        filterName: 'archive',
        filterPattern: 'ERROR',
        destinationArn: STREAM,
        roleArn: ROLE,
      }),
    ],
    ['a removed key', 'encrypt', new DisassociateKmsKeyCommand({ logGroupName: NAME })],
  ])('%s', async (_what, rung, command) => {
    const s = await started();
    await s.ines.send(command as DisassociateKmsKeyCommand);
    await s.account.run(minutes(10), ended(s.account));
    expect(incidentOf(s.account)).toMatchObject({ end: 'healthy', attempts: [{ rung, effect: 'effective' }] });
    expect(there(s)).toMatchObject({
      kmsKey: KEY,
      subscriptions: [{ name: 'archive', pattern: '', destination: STREAM, role: ROLE }],
    });
  });

  test('a deleted group comes back empty, with all that is declared of it, and the record says that its events are lost', async () => {
    const s = await started();
    await s.ines.send(new DeleteLogGroupCommand({ logGroupName: NAME }));
    await s.account.run(minutes(10), ended(s.account));
    expect(there(s)).toMatchObject({
      tags: { 'steward:managed': 'true' },
      kmsKey: KEY,
      retention: undefined,
      subscriptions: [{ name: 'archive' }],
    });
    expect(incidentOf(s.account)).toMatchObject({
      end: 'healthy',
      attempts: [{ rung: 'recreate' }, { rung: 'subscription' }, { rung: 'encrypt' }],
    });
    expect(incidentOf(s.account)?.log.some((l) => l.say.includes('its events are lost'))).toBe(true);
  });

  test('without events the survey finds all of it', async () => {
    const s = await started({ deaf: true });
    s.group('/ecs/api');
    await s.ines.send(new PutRetentionPolicyCommand({ logGroupName: '/ecs/api', retentionInDays: 30 }));
    await s.ines.send(new DeleteLogGroupCommand({ logGroupName: NAME }));
    await s.account.run(minutes(12));
    expect(there(s, '/ecs/api')?.retention).toBe(90);
    expect(there(s)?.kmsKey).toBe(KEY);
    expect(incidentOf(s.account, '/ecs/api')).toMatchObject({ end: 'healthy' });
  });

  test('a lost reply and a throttled call cost time, nothing else', async () => {
    const s = await started();
    s.account.world.faults.failNext('logs', 'PutSubscriptionFilter', { kind: 'throttle', times: 4 });
    s.account.world.faults.failNext('logs', 'AssociateKmsKey', { kind: 'drop', afterEffect: true, times: 3 });
    await s.ines.send(new DeleteLogGroupCommand({ logGroupName: NAME }));
    await s.account.run(minutes(20), ended(s.account));
    expect(incidentOf(s.account)).toMatchObject({ end: 'healthy' });
    expect(there(s)).toMatchObject({ kmsKey: KEY, subscriptions: [{ name: 'archive' }] });
  });

  test('reads that are old for a while repeat nothing, and end nothing for good', async () => {
    const s = await started();
    s.account.world.lag.ms = 20_000;
    await s.ines.send(new PutRetentionPolicyCommand({ logGroupName: NAME, retentionInDays: 1 }));
    // An old read may say that all is well: the survey looks again.
    await s.account.run(minutes(10), () => there(s)?.retention === 30);
    await s.account.run(minutes(10));
    expect(there(s)?.retention).toBe(30);
    expect(incidentOf(s.account)).toMatchObject({ end: 'healthy' });
    expect(changes(s.account).map((c) => c.operation)).toEqual(['PutRetentionPolicy']);
  });
});

describe('nothing is done', () => {
  const untouched = async (s: Awaited<ReturnType<typeof started>>, name: string, because: string) => {
    await s.account.run(minutes(3), ended(s.account, name));
    expect(incidentOf(s.account, name)).toMatchObject({ state: 'closed', end: 'not-ours' });
    expect(incidentOf(s.account, name)?.because).toContain(because);
    expect(changes(s.account)).toEqual([]);
  };

  test('what a trusted principal did is intended', async () => {
    const s = await started();
    await s.terraform.send(new PutRetentionPolicyCommand({ logGroupName: NAME, retentionInDays: 7 }));
    await untouched(s, NAME, `${TERRAFORM} did it, which \`trusted\` in steward.yml names`);
  });

  test('a declared group without the tag', async () => {
    const s = await started();
    s.group('/ecs/tagless', {});
    await s.ines.send(new PutRetentionPolicyCommand({ logGroupName: '/ecs/tagless', retentionInDays: 7 }));
    await untouched(s, '/ecs/tagless', 'does not carry the tag steward:managed=true');
  });

  test('a group that no entry matches', async () => {
    const s = await started();
    s.group('/lambda/x');
    await s.ines.send(new PutRetentionPolicyCommand({ logGroupName: '/lambda/x', retentionInDays: 7 }));
    await untouched(s, '/lambda/x', 'no entry of `groups` matches /lambda/x');
  });

  test('a group that is declared by a pattern and deleted is gone', async () => {
    const s = await started();
    s.group('/ecs/old');
    await s.ines.send(new DeleteLogGroupCommand({ logGroupName: '/ecs/old' }));
    await s.account.run(minutes(3), ended(s.account, '/ecs/old'));
    expect(incidentOf(s.account, '/ecs/old')).toMatchObject({ end: 'gone' });
    expect(incidentOf(s.account, '/ecs/old')?.because).toContain('does not say that /ecs/* is created again');
    expect(there(s, '/ecs/old')).toBeUndefined();
  });

  test('unless its entry says so', async () => {
    const s = await started({ groups: [{ match: '/ecs/*', retentionDays: 30, recreate: true }] });
    s.group('/ecs/old');
    await s.ines.send(new DeleteLogGroupCommand({ logGroupName: '/ecs/old' }));
    await s.account.run(minutes(5), ended(s.account, '/ecs/old'));
    expect(incidentOf(s.account, '/ecs/old')).toMatchObject({ end: 'healthy', attempts: [{ rung: 'recreate' }] });
  });

  test('a stronger group is healthy: events that never expire are kept long enough', async () => {
    const s = await started();
    await s.ines.send(new DeleteRetentionPolicyCommand({ logGroupName: NAME }));
    await s.account.run(minutes(3), ended(s.account));
    expect(incidentOf(s.account)).toMatchObject({ end: 'healthy', attempts: [] });
    expect(incidentOf(s.account)?.because).toContain('it keeps events for ever, as declared');
  });

  test('the policy only lets it watch', async () => {
    const s = await started({
      policy: { remediations: { 'log-group-weakened': { groups: GROUPS, mode: 'watch' } } },
    });
    await s.ines.send(new PutRetentionPolicyCommand({ logGroupName: NAME, retentionInDays: 1 }));
    await s.account.run(minutes(3));
    expect(incidentOf(s.account)).toMatchObject({ state: 'refused' });
    expect(incidentOf(s.account)?.because).toContain('it would keep the events of /ecs/web 30 days');
    expect(there(s)?.retention).toBe(1);
  });
});

describe('a person is told', () => {
  const escalated = (account: Account) => () => incidentOf(account)?.state === 'escalated';

  test('two filters of others leave no place for the declared one', async () => {
    const s = await started();
    const other = { pattern: '', destination: STREAM, role: ROLE, createdAt: 0 };
    s.web.subscriptions = [
      { name: 'siem', ...other },
      { name: 'billing', ...other },
    ];
    await s.account.run(minutes(10), escalated(s.account));
    expect(incidentOf(s.account)?.because).toContain('it has those of others (siem, billing)');
    expect(changes(s.account)).toEqual([]);
    // And once a person has made room, it goes on.
    await s.ines.send(new DeleteSubscriptionFilterCommand({ logGroupName: NAME, filterName: 'billing' }));
    await s.account.run(minutes(5), ended(s.account));
    expect(incidentOf(s.account)).toMatchObject({ end: 'healthy', attempts: [{ rung: 'subscription' }] });
  });

  test('a disabled key: in AWS’s words, after all else was put right', async () => {
    const s = await started();
    await s.ines.send(new DeleteLogGroupCommand({ logGroupName: NAME }));
    s.account.world.logs.unusableKeys.add(KEY);
    await s.account.run(minutes(10), escalated(s.account));
    expect(incidentOf(s.account)?.because).toContain(`The specified KMS key ${KEY} does not exist or is not enabled`);
    expect(incidentOf(s.account)?.remedy).toContain('look whether the key is enabled');
    expect(there(s)?.subscriptions).toHaveLength(1);
    expect(changes(s.account).filter((c) => c.operation === 'AssociateKmsKey')).toHaveLength(1);
  });

  test('who shortens it again and again is not fought with', async () => {
    const s = await started();
    const shorten = () => s.ines.send(new PutRetentionPolicyCommand({ logGroupName: NAME, retentionInDays: 1 }));
    await shorten();
    await s.account.run(minutes(5), ended(s.account));
    await shorten();
    await s.account.run(minutes(30), escalated(s.account));
    expect(incidentOf(s.account)).toMatchObject({ state: 'escalated' });
    expect(incidentOf(s.account)?.because).toContain('something else undoes it');
    expect(changes(s.account)).toHaveLength(1);
  });

  test('blind: what cannot be seen is not touched, and told after a quarter of an hour', async () => {
    const s = await started();
    s.account.world.faults.failNext('logs', 'DescribeLogGroups', { times: 10_000 });
    await s.ines.send(new PutRetentionPolicyCommand({ logGroupName: NAME, retentionInDays: 1 }));
    await s.account.run(minutes(25), escalated(s.account));
    expect(incidentOf(s.account)?.because).toContain('it cannot be seen: cannot describe the log group /ecs/web');
    expect(changes(s.account)).toEqual([]);
  });
});

test('a group that someone else created again in the meantime is taken as it is', async () => {
  const s = await started();
  // For a while nobody is shown what was just created.
  Object.assign(s.account.world.lag, { ms: 50_000, chance: 1 });
  const [logGroupName, tags] = [NAME, { 'steward:managed': 'true', team: 'shop' }];
  await s.ines.send(new DeleteLogGroupCommand({ logGroupName }));
  await s.ines.send(new CreateLogGroupCommand({ logGroupName, tags }));
  await s.account.run(minutes(15), ended(s.account));
  expect(changes(s.account)[0]).toMatchObject({
    operation: 'CreateLogGroup',
    error: 'ResourceAlreadyExistsException',
  });
  expect(incidentOf(s.account)).toMatchObject({ end: 'healthy' });
  expect(there(s)?.tags).toEqual(tags);
});

test('an idle policy asks AWS nothing', async () => {
  const { account } = await started({ groups: [] });
  await account.run(hours(1));
  const own = account.world.calls.filter((c) => c.service === 'logs' && c.principal.includes('log-group-weakened'));
  expect(own).toEqual([]);
});
