/**
 * The adapters against our simulated account and against moto, which others wrote: one table of expectations. Where moto differs, the table
 * says how and why, and that too is expected: a model of ours that flatters our code is found out, and so is a difference that has gone.
 */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { ApplicationAutoScalingClient, RegisterScalableTargetCommand } from '@aws-sdk/client-application-auto-scaling';
import {
  CloudWatchClient,
  PutMetricAlarmCommand,
  PutMetricDataCommand,
  SetAlarmStateCommand,
} from '@aws-sdk/client-cloudwatch';
import { CloudWatchLogsClient, CreateLogGroupCommand, PutLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { EC2Client, RunInstancesCommand, StopInstancesCommand, TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import { CreateRepositoryCommand, ECRClient } from '@aws-sdk/client-ecr';
import {
  CreateClusterCommand,
  CreateServiceCommand,
  ECSClient,
  RegisterTaskDefinitionCommand,
} from '@aws-sdk/client-ecs';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { CreateWebACLCommand, GetWebACLCommand, WAFV2Client } from '@aws-sdk/client-wafv2';
import { cloudWatchAlarms } from '../../shared/aws/cloudwatch.ts';
import { awsPorts } from '../../shared/aws/ports.ts';
import { sqsQueue } from '../../shared/aws/queue.ts';
import { awsTagged } from '../../shared/aws/tagged.ts';
import { proofGroup } from '../../shared/core/agents.ts';
import { Refused, StewardError } from '../../shared/core/errors.ts';
import { instanceTarget, targetOf } from '../../shared/core/target.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { rootCredentials } from '../../world/iam.ts';
import { makeWebAcl } from '../../world/waf.ts';
import { requestHandler } from '../../world/wire.ts';
import { createWorld } from '../../world/world.ts';
import { type Account, motoAccount, worldAccount } from './accounts.ts';
import { startEmulator } from './emulators.ts';
import { credentials, REGION } from './table.ts';
import { transportTo } from './transport.ts';

const [moto, ministack] = await Promise.all([startEmulator('moto'), startEmulator('ministack')]);
afterAll(async () => {
  for (const emulator of [moto, ministack]) if ('stop' in emulator) await emulator.stop();
});

/** The transport goes to the emulator, whatever the URL says. */
const AWS = `https://sqs.${REGION}.amazonaws.com`;
const ZONES = { a: `${REGION}a`, b: `${REGION}b` };
const MISSING = 'i-0123456789abcdef0';
const MISSING_VOLUME = 'vol-0123456789abcdef0';

/** The same calls make the same fleet in both accounts. */
const furnish = async (account: Account) => {
  const ec2 = new EC2Client(account.client);
  const cloudwatch = new CloudWatchClient(account.client);
  const launch = async (name: string, zone: string, team: string): Promise<{ id: string; root: string }> => {
    const { Instances: [made] = [] } = await ec2.send(
      new RunInstancesCommand({
        ImageId: 'ami-0123456789abcdef0',
        InstanceType: 'm6i.large',
        MinCount: 1,
        MaxCount: 1,
        Placement: { AvailabilityZone: zone },
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 20, VolumeType: 'gp3' } }],
        TagSpecifications: [
          {
            ResourceType: 'instance',
            Tags: [
              { Key: 'Name', Value: name },
              { Key: 'team', Value: team },
            ],
          },
        ],
      }),
    );
    const id = made?.InstanceId ?? '';
    return { id, root: (await account.ports.instances.describe(id)).devices['/dev/xvda'] ?? '' };
  };
  const one = await launch('one', ZONES.a, 'shop');
  const two = await launch('two', ZONES.b, 'shop');
  const stopped = await launch('stopped', ZONES.b, 'shop');
  const gone = await launch('gone', ZONES.a, 'shop');
  const star = await launch('star', ZONES.a, 'sh*p');
  await account.pass(minutes(5));
  await ec2.send(new StopInstancesCommand({ InstanceIds: [stopped.id] }));
  await ec2.send(new TerminateInstancesCommand({ InstanceIds: [gone.id] }));
  await account.pass(minutes(5));

  const now = Math.floor(account.now() / 60_000) * 60_000;
  const disk = (id: string, path: string, device: string) => [
    { Name: 'InstanceId', Value: id },
    { Name: 'path', Value: path },
    { Name: 'device', Value: device },
    { Name: 'fstype', Value: 'xfs' },
  ];
  const put = (Dimensions: ReturnType<typeof disk>, points: readonly (readonly [number, number])[]) =>
    cloudwatch.send(
      new PutMetricDataCommand({
        Namespace: 'CWAgent',
        MetricData: points.map(([at, Value]) => ({
          MetricName: 'disk_used_percent',
          Dimensions,
          Timestamp: new Date(at),
          Value,
        })),
      }),
    );
  const series = [
    [now - minutes(30), 50],
    [now - minutes(20), 61],
    [now - minutes(10), 72.5],
  ] as const;
  await put(disk(one.id, '/data', 'nvme1n1'), series);
  // The same disk under its former name: older, and listed first.
  await put(disk(two.id, '/data', 'nvme1n1'), [[now - hours(2), 10]]);
  await put(disk(two.id, '/data', 'nvme2n1'), series);

  const alarm = async (name: string, dimensions: ReturnType<typeof disk>, to: 'ALARM' | 'OK') => {
    await cloudwatch.send(
      new PutMetricAlarmCommand({
        AlarmName: name,
        Namespace: 'CWAgent',
        MetricName: 'disk_used_percent',
        Dimensions: dimensions,
        Statistic: 'Average',
        Period: 60,
        EvaluationPeriods: 1,
        Threshold: 85,
        ComparisonOperator: 'GreaterThanThreshold',
        Tags: [{ Key: 'steward:signal', Value: 'disk.space-low' }],
      }),
    );
    await cloudwatch.send(new SetAlarmStateCommand({ AlarmName: name, StateValue: to, StateReason: 'on purpose' }));
  };
  await alarm('disk one /data', disk(one.id, '/data', 'nvme1n1'), 'ALARM');
  await alarm('disk two /data', disk(two.id, '/data', 'nvme2n1'), 'OK');

  const ecs = new ECSClient(account.client);
  await ecs.send(new CreateClusterCommand({ clusterName: 'contract' }));
  await ecs.send(
    new RegisterTaskDefinitionCommand({
      family: 'web',
      taskRoleArn: 'arn:aws:iam::111122223333:role/web',
      tags: [{ key: 'steward:migration', value: 'true' }],
      containerDefinitions: [
        {
          name: 'web',
          image: 'web:1',
          cpu: 256,
          memory: 512,
          logConfiguration: {
            logDriver: 'awslogs',
            options: { 'awslogs-group': '/ecs/web', 'awslogs-stream-prefix': 'web' },
          },
        },
      ],
    }),
  );
  await ecs.send(
    new CreateServiceCommand({
      cluster: 'contract',
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 2,
      tags: [{ key: 'steward:managed', value: 'true' }],
    }),
  );

  const ecr = new ECRClient(account.client);
  await ecr.send(new CreateRepositoryCommand({ repositoryName: 'shop/web', tags: [{ Key: 'team', Value: 'shop' }] }));

  await account.addRole('steward-test-remedy-full-disk');
  return { one, two, stopped, gone, star, now, alarm, disk };
};
type Fleet = Awaited<ReturnType<typeof furnish>>;

interface Expectation {
  readonly name: string;
  run(account: Account, fleet: Fleet): Promise<unknown>;
  is(fleet: Fleet, account: Account): unknown;
  readonly onMoto?: { readonly because: string; is(fleet: Fleet, account: Account): unknown };
}

/** What was thrown, in our words: class, and AWS's code where it was kept. */
const failure = async (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    (value) => ({ value }),
    (e: unknown) => (e instanceof StewardError ? `${e.name}${e instanceof Refused ? ` ${e.code}` : ''}` : e),
  );
const sizeOf = async ({ ports }: Account, id: string) => {
  const [volume] = await ports.volumes.describe([id]);
  return [volume?.sizeGiB, volume?.modification?.state, volume?.modification?.targetGiB];
};
const window = ({ now }: Fleet) => ({ from: now - hours(3), to: now + minutes(1), period: minutes(5) });
const usage = (id: string, path: string) => ({
  namespace: 'CWAgent',
  name: 'disk_used_percent',
  dimensions: { InstanceId: id, path },
});
const sessionOf = (id: string, remediation = 'full-disk') => ({
  remediation,
  stage: 'test',
  target: instanceTarget({ account: id, region: REGION }, MISSING),
  policy: { Version: '2012-10-17', Statement: [] } as const,
});

const zoneIds = { because: 'moto knows no zone ids, so the names stand for them' };
const atOnce = 'moto changes a volume at once, to any size, at any time';
const noHosts = 'moto has no hosts: each command succeeds and prints nothing';

/** Of web:1, by a digest. */
const COPY = {
  stale: 'Refused deployed-meanwhile',
  copy: 'web:2',
  images: [{ name: 'web', image: `web@sha256:${'1'.repeat(64)}` }],
  roles: ['arn:aws:iam::111122223333:role/web'],
  logs: [{ container: 'web', group: '/ecs/web', prefix: 'web' }],
  room: { cpu: 256, memory: 512 },
};

const expectations: readonly Expectation[] = [
  {
    name: 'instances.describe: a running one',
    run: ({ ports }, { one }) => ports.instances.describe(one.id),
    is: ({ one }) => ({
      id: one.id,
      state: 'running',
      tags: { Name: 'one', team: 'shop' },
      zoneId: 'euc1-az2',
      zoneName: ZONES.a,
      type: 'm6i.large',
      devices: { '/dev/xvda': one.root },
      launchedAt: expect.any(Number),
      spot: false,
      losesAddress: false,
      autoRecovery: true,
    }),
    onMoto: {
      ...zoneIds,
      is: ({ one }) => ({
        id: one.id,
        state: 'running',
        tags: { Name: 'one', team: 'shop' },
        zoneId: ZONES.a,
        zoneName: ZONES.a,
        type: 'm6i.large',
        devices: { '/dev/xvda': one.root },
        launchedAt: expect.any(Number),
        spot: false,
        losesAddress: false,
        autoRecovery: true,
      }),
    },
  },
  {
    name: 'instances.describe: a stopped and a terminated one',
    run: async ({ ports }, { stopped, gone }) =>
      Promise.all([stopped, gone].map(async ({ id }) => (await ports.instances.describe(id)).state)),
    is: () => ['stopped', 'terminated'],
  },
  {
    name: 'instances.describe: none, and no id',
    run: ({ ports }) => Promise.all([MISSING, 'i-xyz'].map((id) => failure(ports.instances.describe(id)))),
    is: () => ['NotFound', 'NotFound'],
  },
  {
    name: 'instances.dedicatedHosts: none',
    run: ({ ports }) => ports.instances.dedicatedHosts(),
    is: () => [],
  },
  {
    name: 'instances.countByZone: what is pending or running',
    run: ({ ports }) => ports.instances.countByZone({ key: 'team', value: 'shop' }),
    is: () => ({ 'euc1-az2': 1, 'euc1-az3': 1 }),
    onMoto: { ...zoneIds, is: () => ({ [ZONES.a]: 1, [ZONES.b]: 1 }) },
  },
  {
    name: 'instances.countByZone: a star in a tag is a star',
    run: ({ ports }) => ports.instances.countByZone({ key: 'team', value: 'sh*p' }),
    is: () => ({ 'euc1-az2': 1 }),
    onMoto: { ...zoneIds, is: () => ({ [ZONES.a]: 1 }) },
  },
  {
    name: 'instances.countByZone: none',
    run: ({ ports }) => ports.instances.countByZone({ key: 'team', value: 'nobody' }),
    is: () => ({}),
  },
  {
    name: 'volumes.describe: never modified',
    run: ({ ports }, { one, two }) => ports.volumes.describe([one.root, two.root]),
    is: ({ one, two }) =>
      expect.arrayContaining([one, two].map(({ root: id }) => ({ id, sizeGiB: 20, type: 'gp3', multiAttach: false }))),
  },
  {
    name: 'volumes.describe: none',
    run: ({ ports }) => failure(ports.volumes.describe([MISSING_VOLUME])),
    is: () => 'NotFound',
  },
  {
    name: 'volumes.attachedTo',
    run: async ({ ports }, { one }) => [
      await ports.volumes.attachedTo(one.root),
      await failure(ports.volumes.attachedTo(MISSING_VOLUME)),
    ],
    is: ({ one }) => [one.id, 'NotFound'],
  },
  {
    name: 'volumes.grow: asked, then larger, then done',
    run: async (account, { one }) => {
      const seen: unknown[] = [];
      await account.ports.volumes.grow(one.root, 40);
      for (const wait of [0, seconds(10), hours(1)]) {
        await account.pass(wait);
        seen.push(await sizeOf(account, one.root));
      }
      return seen;
    },
    is: () => [
      [20, 'modifying', 40],
      [40, 'optimizing', 40],
      [40, 'completed', 40],
    ],
    onMoto: { because: atOnce, is: () => Array.from({ length: 3 }, () => [40, 'completed', 40]) },
  },
  {
    name: 'volumes.grow: a second time while the first goes on, and smaller',
    run: async ({ ports }, { two, star }) => {
      await ports.volumes.grow(two.root, 40);
      return [await failure(ports.volumes.grow(two.root, 50)), await failure(ports.volumes.grow(star.root, 10))];
    },
    is: () => ['Refused IncorrectModificationState', 'Refused InvalidParameterValue'],
    onMoto: { because: atOnce, is: () => [{ value: undefined }, { value: undefined }] },
  },
  {
    name: 'volumes.describe: of several modifications the latest counts',
    run: (account, { two }) => sizeOf(account, two.root),
    is: () => [20, 'modifying', 40],
    onMoto: { because: atOnce, is: () => [50, 'completed', 50] },
  },
  {
    name: 'volumes.grow: none',
    run: ({ ports }) => failure(ports.volumes.grow(MISSING_VOLUME, 40)),
    is: () => 'NotFound',
  },
  {
    name: 'volumes.troubled: none is',
    run: ({ ports }) => ports.volumes.troubled(),
    is: () => [],
    onMoto: {
      because: 'moto has no DescribeVolumeStatus: that nothing could be seen is told',
      is: () => 'Unavailable',
    },
  },
  {
    name: 'volumes.snapshots: none, of what is there and of what is not',
    run: ({ ports }, { one }) =>
      Promise.all([ports.volumes.snapshots(one.root), ports.volumes.snapshots(MISSING_VOLUME)]),
    is: () => [[], []],
  },
  {
    name: 'volumes.enableIo: no such volume',
    run: ({ ports }) => failure(ports.volumes.enableIo(MISSING_VOLUME)),
    is: () => 'NotFound',
    onMoto: { because: 'moto has no EnableVolumeIO: what was not done is not known', is: () => 'Unavailable' },
  },
  {
    name: 'metrics.series: oldest first',
    run: ({ ports }, fleet) => ports.metrics.series(usage(fleet.one.id, '/data'), window(fleet)),
    is: ({ now }) => [
      { at: expect.closeTo(now - minutes(30), -6), value: 50 },
      { at: expect.closeTo(now - minutes(20), -6), value: 61 },
      { at: expect.closeTo(now - minutes(10), -6), value: 72.5 },
    ],
  },
  {
    name: 'metrics.series: of two names of one disk the one that goes on',
    run: async ({ ports }, fleet) =>
      (await ports.metrics.series(usage(fleet.two.id, '/data'), window(fleet))).map(({ value }) => value),
    is: () => [50, 61, 72.5],
  },
  {
    name: 'metrics.series: no such metric, and nothing in the window',
    run: async ({ ports }, { one, now }) => [
      await ports.metrics.series(usage(one.id, '/other'), { from: now - hours(1), to: now, period: minutes(5) }),
      await ports.metrics.series(usage(one.id, '/data'), {
        from: now - hours(9),
        to: now - hours(8),
        period: minutes(5),
      }),
    ],
    is: () => [[], []],
  },
  {
    name: 'agentProofs: no stream, an empty one, lines among what others wrote there; and who has been quiet',
    run: async ({ ports, client, now, pass }, { one, two, star }) => {
      const logs = new CloudWatchLogsClient(client);
      const logGroupName = proofGroup('test');
      const nowhere = [await ports.agentProofs.arrived(one.id, 0), await failure(ports.agentProofs.quietSince(0, 1))];
      await logs.send(new CreateLogGroupCommand({ logGroupName }));
      const before = await ports.agentProofs.arrived(one.id, 0);
      for (const { id } of [one, two, star]) await ports.agentProofs.expect(id);
      await ports.agentProofs.expect(one.id);
      const from = now() - hours(4);
      const empty = await ports.agentProofs.arrived(one.id, from);
      const put = (logStreamName: string, ...said: readonly (readonly [number, string])[]) =>
        logs.send(
          new PutLogEventsCommand({
            logGroupName,
            logStreamName,
            logEvents: said.map(([ago, message]) => ({ timestamp: now() - ago, message })),
          }),
        );
      await put(one.id, [hours(3), '2026-01-15T05:00:00Z beat'], [hours(2), 'beat'], [hours(1), '{"a":1}']);
      await put(one.id, [minutes(1), '2026-01-15T06:00:00Z 01ABC-1']);
      await put(two.id, [hours(3), '2026-01-15T05:00:00Z beat']);
      await pass(hours(1));
      const came = (await ports.agentProofs.arrived(one.id, from))?.map(({ word, arrivedAt }) => [
        word,
        arrivedAt > from,
      ]);
      const quiet = await ports.agentProofs.quietSince(now() - hours(6), now() - hours(2));
      return { nowhere, before, empty, came, quiet: quiet.map((id) => id === two.id) };
    },
    is: () => ({
      nowhere: [undefined, 'NotFound'],
      before: undefined,
      empty: [],
      came: [
        ['beat', true],
        ['01ABC-1', true],
      ],
      quiet: [true],
    }),
  },
  {
    name: 'alarms.firing: as the signal of its event; one with an odd dimension hides no other',
    run: async ({ client }, { one, alarm, disk }) => {
      await alarm('disk one /data', disk(one.id, '/data', 'nvme1n1'), 'ALARM');
      await alarm('odd', disk('mi-0123456789abcdef0', '/', 'sda'), 'ALARM');
      return cloudWatchAlarms({ ...client, transport: client.requestHandler }).firing(100);
    },
    is: ({ one }, { id }) => [
      {
        kind: 'disk.space-low',
        target: instanceTarget({ account: id, region: REGION }, one.id),
        at: expect.any(Number),
        cause: 'alarm disk one /data went to ALARM: on purpose',
        eventId: expect.stringMatching(/:alarm:disk one \/data@\d{13}$/),
      },
    ],
  },
  {
    name: 'alarms.tags',
    run: async ({ id, client }) => {
      const { tags } = cloudWatchAlarms({ ...client, transport: client.requestHandler });
      const arn = (name: string) => `arn:aws:cloudwatch:${REGION}:${id}:alarm:${name}`;
      return [await tags(arn('disk one /data')), await failure(tags(arn('none')))];
    },
    is: () => [{ 'steward:signal': 'disk.space-low' }, 'NotFound'],
    onMoto: {
      because: 'moto finds no tags where there is no alarm',
      is: () => [{ 'steward:signal': 'disk.space-low' }, { value: {} }],
    },
  },
  {
    name: 'alarms.firing: more than one page',
    run: async ({ client }, { one, alarm, disk }) => {
      const { firing } = cloudWatchAlarms({ ...client, transport: client.requestHandler });
      for (let n = 0; n < 120; n++) await alarm(`more ${n}`, disk(one.id, `/${n}`, 'nvme1n1'), 'ALARM');
      const more = (await firing(1_000)).filter(({ cause }) => cause.startsWith('alarm more '));
      return [more.length, (await firing(7)).length <= 7];
    },
    is: () => [120, true],
  },
  {
    name: 'parameters',
    run: async ({ ports: { parameters } }) => {
      const before = await failure(parameters.get('/steward/test/drill'));
      await parameters.put('/steward/test/drill', 'ill');
      await parameters.put('/steward/test/drill', '{"a": "ü"}');
      return [before, await parameters.get('/steward/test/drill')];
    },
    is: () => ['NotFound', { value: '{"a": "ü"}', version: 2 }],
  },
  {
    name: 'sessions: a look keeps its credentials, an act has its own',
    run: async (account) => {
      const look = { ...sessionOf(account.id), phase: 'look' as const };
      const [first, again] = [await account.assume(look), await account.assume(look)];
      const target = targetOf(look.target.arn.replace(/0$/, '1'));
      const of = ({ arn }: typeof target) => ({
        Version: '2012-10-17' as const,
        Statement: [{ Effect: 'Allow' as const, Action: ['ssm:SendCommand'], Resource: [arn] }],
      });
      const mine = await account.assume({ ...look, policy: of(look.target) });
      const other = await account.assume({ ...look, target, policy: of(target) });
      const act = await account.assume({ ...look, phase: 'act' });
      await account.pass(minutes(14));
      return {
        kept: again === first,
        // What names no target is as narrow for the one as for the other.
        shared: (await account.assume({ ...look, target })) === (await account.assume(look)),
        apart: new Set([first, mine, other, act].map(({ accessKeyId }) => accessKeyId)).size,
        lasts: Math.round(((first.expiration?.getTime() ?? 0) - account.now()) / 60_000),
        later: (await account.assume(look)) === first,
      };
    },
    is: () => ({ kept: true, shared: true, apart: 4, lasts: 1, later: false }),
    onMoto: {
      because: 'time cannot be made to pass on moto',
      is: () => ({ kept: true, shared: true, apart: 4, lasts: 15, later: true }),
    },
  },
  {
    name: 'sessions: CloudTrail will show for what it was',
    run: async (account) => {
      const session = await account.assume({ ...sessionOf(account.id), phase: 'act' });
      const { Arn } = await new STSClient({ ...account.client, credentials: session }).send(
        new GetCallerIdentityCommand({}),
      );
      return Arn;
    },
    is: (_, { id }) => `arn:aws:sts::${id}:assumed-role/steward-test-remedy-full-disk/full-disk-act@${MISSING}`,
  },
  {
    name: 'sessions: a role that is not there',
    run: (account) => failure(account.assume({ ...sessionOf(account.id, 'none'), phase: 'act' })),
    is: () => 'Forbidden',
    onMoto: {
      because: 'moto lets anyone be anything',
      is: () => ({ value: expect.objectContaining({ accessKeyId: expect.any(String) }) }),
    },
  },
  {
    name: 'hosts.agent',
    run: async ({ ports, now }, { one }) => {
      const { state, seenAt = 0 } = await ports.hosts.agent(one.id);
      return [state, now() - seenAt < minutes(5), await ports.hosts.agent(MISSING)];
    },
    is: () => ['online', true, { state: 'absent' }],
    onMoto: { because: 'moto has no DescribeInstanceInformation and answers 500 to it', is: () => 'Unavailable' },
  },
  {
    name: 'hosts.inspectDisk',
    run: ({ ports }, { one }) => ports.hosts.inspect(one.id, 'inspect-disk', { Detail: 'usage', MinAgeHours: '24' }),
    is: () => ({
      state: 'done',
      commandId: expect.any(String),
      report: expect.objectContaining({ version: 1, mounts: [expect.objectContaining({ path: '/' })] }),
    }),
    onMoto: { because: noHosts, is: () => 'InvalidInput' },
  },
  {
    name: 'hosts.start, and its result',
    run: async ({ ports, pass }, { one }) => {
      const { commandId } = await ports.hosts.start(one.id, 'clean-disk', { Mount: '/', MinAgeHours: '24' }, 'token-1');
      await pass(0);
      const early = (await ports.hosts.result(one.id, 'clean-disk', commandId)).state;
      await pass(minutes(5));
      return [early, await ports.hosts.result(one.id, 'clean-disk', commandId)];
    },
    is: () => ['running', expect.objectContaining({ state: 'done', report: expect.objectContaining({ path: '/' }) })],
    onMoto: { because: noHosts, is: () => 'InvalidInput' },
  },
  {
    name: 'hosts: a command that nobody sent, and a host that nobody has',
    run: async ({ ports }, { one }) => [
      await failure(ports.hosts.result(one.id, 'grow-filesystem', '11111111-2222-4333-8444-555555555555')),
      await failure(ports.hosts.start(MISSING, 'clean-disk', {}, 'token-2')),
    ],
    is: () => ['Refused InvalidCommandId', 'Refused InvalidInstanceId'],
    onMoto: {
      because: 'moto sends a command to any instance id',
      is: () => ['Refused InvalidCommandId', { value: { commandId: expect.any(String) } }],
    },
  },
  {
    name: 'containers: clusters, and services by name; one that is none is passed over',
    run: async ({ ports }) => [
      await ports.containers.clusters(),
      (await ports.containers.services('contract', ['web', 'none'])).map((s) => [
        s.name,
        s.cluster,
        s.strategy,
        s.desired,
        s.running,
        s.deployments.map((d) => [d.status, d.definition.split('/').at(-1), d.desired]),
      ]),
    ],
    is: () => [['contract'], [['web', 'contract', 'REPLICA', 2, 0, [['PRIMARY', 'web:1', 2]]]]],
  },
  {
    name: 'containers: the tasks of a service that nothing can place, and what its definition needs',
    run: async ({ ports }) => {
      const [service] = await ports.containers.services('contract', ['web']);
      const [primary] = service?.deployments ?? [];
      const of = { cluster: 'contract', name: 'web' };
      return [
        await ports.containers.serviceNames('contract'),
        [service?.status, service?.controller, service?.grace, service?.rollsBack, service?.tags],
        await ports.containers.definition(primary?.definition ?? ''),
        await ports.containers.tasksOf(of),
        await ports.containers.stopped('contract'),
        await failure(ports.containers.serviceNames('none')),
      ];
    },
    is: () => [
      ['web'],
      ['ACTIVE', 'ECS', 0, false, { 'steward:managed': 'true' }],
      {
        status: 'ACTIVE',
        room: { cpu: 256, memory: 512 },
        hostPorts: [],
        windows: false,
        images: [{ name: 'web', image: 'web:1' }],
        roles: ['arn:aws:iam::111122223333:role/web'],
        logs: [{ container: 'web', group: '/ecs/web', prefix: 'web' }],
        tags: { 'steward:migration': 'true' },
      },
      [],
      [],
      'NotFound',
    ],
  },
  {
    name: 'containers: what its deployments brought up whole: nothing yet',
    run: ({ ports }) => ports.containers.revisions({ cluster: 'contract', name: 'web' }),
    is: () => [],
    onMoto: { because: 'moto knows no service deployments', is: () => 'Unavailable' },
  },
  {
    name: 'containers: how far ECS is with what it deploys, and a rollout that is not there',
    run: async ({ ports }) => {
      const [service] = await ports.containers.services('contract', ['web']);
      const none = `arn:aws:ecs:${REGION}:111122223333:service-deployment/contract/web/none`;
      const { deployment, status } = await ports.containers.rollout(service?.rollout ?? none);
      return [
        service?.shifting,
        deployment === service?.deployments[0]?.id,
        status,
        await failure(ports.containers.rollout(none)),
        await failure(ports.containers.goBack(none)),
      ];
    },
    is: () => [undefined, true, 'IN_PROGRESS', 'NotFound', 'NotFound'],
    onMoto: { because: 'moto knows no service deployments', is: () => 'Unavailable' },
  },
  {
    name: 'containers: a task that is not there, and another deployment than expected',
    run: async ({ ports }) => {
      const task = `arn:aws:ecs:${REGION}:111122223333:task/contract/${'0'.repeat(32)}`;
      const service = (await ports.containers.services('contract', ['web']))[0];
      const now = service?.deployments[0]?.definition ?? '';
      return [
        await failure(ports.containers.task(task)),
        await failure(ports.containers.stop(task, 'contract')),
        await failure(ports.containers.release(service?.arn ?? '', { expected: 'web:9', definition: 'web:8' })),
        // It is deployed already.
        await failure(ports.containers.release(service?.arn ?? '', { expected: 'web:9', definition: now })),
        await failure(ports.containers.release(`${service?.arn}-none`, { expected: now, definition: 'web:8' })),
      ];
    },
    is: () => [
      'NotFound',
      'Refused InvalidParameterException',
      'Refused deployed-meanwhile',
      { value: undefined },
      'NotFound',
    ],
    onMoto: {
      because: 'moto fails by itself over a task that it lacks',
      is: () => ['NotFound', 'Unavailable', 'Refused deployed-meanwhile', { value: undefined }, 'NotFound'],
    },
  },
  {
    name: 'containers: an instance that is in no cluster, and what cannot be asked',
    run: async ({ ports }, { one }) => {
      const arn = `arn:aws:ecs:${REGION}:111122223333:container-instance/contract/${'0'.repeat(32)}`;
      return [
        await ports.containers.ofInstance(one.id),
        await ports.containers.instances('contract', 'disconnected'),
        await failure(ports.containers.instances('none')),
        await failure(ports.containers.setState(arn, 'DRAINING')),
      ];
    },
    is: () => [undefined, [], 'NotFound', 'NotFound'],
    onMoto: {
      because: 'moto lists nothing for a cluster that it lacks, and fails by itself over an instance that it lacks',
      is: () => [undefined, [], { value: [] }, 'Unavailable'],
    },
  },
  {
    name: 'containers: a copy of a definition that names its digests, deployed if nobody else has deployed',
    run: async ({ ports }) => {
      const primaryOf = async () => {
        const [service] = await ports.containers.services('contract', ['web']);
        return { arn: service?.arn ?? '', ...service?.deployments.find((d) => d.status === 'PRIMARY') };
      };
      const { arn, id: deployment = '', definition = '' } = await primaryOf();
      const pins = { web: `web@sha256:${'1'.repeat(64)}` };
      const stale = await failure(ports.containers.deploy(arn, { deployment: 'ecs-svc/0', definition, pins }));
      const { definition: copy } = await ports.containers.deploy(arn, { deployment, definition, pins });
      const { images, roles, logs, room } = await ports.containers.definition(copy);
      return {
        stale,
        isPrimary: (await primaryOf()).definition === copy,
        copy: copy.split('/').at(-1),
        images,
        roles,
        logs,
        room,
      };
    },
    is: () => ({ ...COPY, isPrimary: true }),
    onMoto: { because: 'moto never replaces a primary deployment', is: () => ({ ...COPY, isPrimary: false }) },
  },
  {
    name: 'metrics.alarmStates: by name, and since when; what is not there is left out',
    run: ({ ports }) => ports.metrics.alarmStates(['disk one /data', 'none']),
    is: () => ({
      'disk one /data': {
        state: expect.stringMatching(/^(OK|ALARM|INSUFFICIENT_DATA)$/),
        since: expect.any(Number),
        needs: 60_000,
      },
    }),
  },
  {
    name: 'metrics.exactly: what was counted in each period',
    run: async (account, fleet) => {
      const metric = { namespace: 'Contract', name: 'Requests', sum: true as const, dimensions: { Of: 'web' } };
      await new CloudWatchClient(account.client).send(
        new PutMetricDataCommand({
          Namespace: 'Contract',
          MetricData: [1, 2, 4].map((Value) => ({
            MetricName: 'Requests',
            Dimensions: [{ Name: 'Of', Value: 'web' }],
            Timestamp: new Date(fleet.now - minutes(10)),
            Value,
          })),
        }),
      );
      const nothing = { ...metric, dimensions: { Of: 'nobody' } };
      const range = { from: fleet.now - hours(1), to: fleet.now + minutes(1), period: minutes(1) };
      return (await account.ports.metrics.exactly([metric, nothing], range)).map((points) =>
        points.map((p) => p.value),
      );
    },
    is: () => [[7], []],
  },
  {
    name: 'logGroups.lines: the latest of a stream, and one that is not there',
    run: async ({ ports }) => failure(ports.logGroups.lines('/ecs/none', 'web/web/1', 10)),
    is: () => 'NotFound',
  },
  {
    name: 'registry: what there is, its tags, and one that is not there',
    run: async ({ ports }) => [
      await ports.registry.list(),
      await ports.registry.describe('shop/web'),
      await ports.registry.tags(`arn:aws:ecr:${REGION}:${ports.where.account}:repository/shop/web`),
      await failure(ports.registry.describe('none')),
      await failure(ports.registry.policy('none')),
    ],
    is: () => {
      const web = { name: 'shop/web', scanOnPush: false, immutable: false };
      return [[web], web, { team: 'shop' }, 'NotFound', 'NotFound'];
    },
  },
  {
    name: 'registry: no image and no lifecycle policy yet, and no replication; what is not there',
    run: async ({ ports: { registry } }) => {
      const of = (name: string) => ({ region: REGION, name });
      return [
        await registry.images(of('shop/web')),
        await registry.lifecycle(of('shop/web')),
        await registry.replication(REGION),
        await failure(registry.images(of('none'))),
        await failure(registry.lifecycle(of('none'))),
      ];
    },
    is: () => [[], undefined, [], 'NotFound', 'NotFound'],
  },
  {
    name: 'registry: a policy comes, is replaced and goes, each as often as one likes; scanning and tags are set',
    run: async ({ ports: { registry } }) => {
      const policy = (Sid: string) =>
        JSON.stringify({
          Version: '2012-10-17',
          Statement: [{ Sid, Effect: 'Allow', Principal: '*', Action: 'ecr:BatchGetImage' }],
        });
      const sid = async () => /"Sid"\s*:\s*"(\w+)"/.exec((await registry.policy('shop/web')) ?? '')?.[1];
      const seen: unknown[] = [await registry.policy('shop/web')];
      for (const name of ['one', 'two', 'two']) {
        await registry.setPolicy('shop/web', policy(name));
        seen.push(await sid());
      }
      for (const _ of [1, 2]) {
        await registry.setPolicy('shop/web', undefined);
        seen.push(await registry.policy('shop/web'));
      }
      await registry.scanOnPush('shop/web', true);
      await registry.immutable('shop/web', true);
      return [...seen, await registry.describe('shop/web')];
    },
    is: () => [
      undefined,
      'one',
      'two',
      'two',
      undefined,
      undefined,
      { name: 'shop/web', scanOnPush: true, immutable: true },
    ],
  },
  {
    name: 'loadBalancers.groupsOf: no such load balancer',
    run: ({ ports }) =>
      failure(
        ports.loadBalancers.groupsOf(
          `arn:aws:elasticloadbalancing:${REGION}:111122223333:loadbalancer/app/none/0123456789abcdef`,
        ),
      ),
    is: () => 'NotFound',
  },
  {
    name: 'loadBalancers.balancersOf: no such target group',
    run: ({ ports }) =>
      ports.loadBalancers.balancersOf(
        `arn:aws:elasticloadbalancing:${REGION}:111122223333:targetgroup/none/0123456789abcdef`,
      ),
    is: () => 'NotFound',
  },
  {
    name: 'containers.scale: only from the number that was expected; and who is protected',
    run: async ({ ports }) => {
      const arn = (await ports.containers.services('contract', ['web']))[0]?.arn ?? '';
      const wanted = async () => {
        const [service] = await ports.containers.services('contract', ['web']);
        return [service?.desired, service?.rebalancing, service?.placement, service?.subnets, service?.providers];
      };
      const placement = [{ type: 'spread', field: 'attribute:ecs.availability-zone' }];
      return [
        await failure(ports.containers.scale(arn, { expected: 5, desired: 6 })),
        await failure(ports.containers.scale(arn, { expected: 2, desired: 3, placement })),
        await wanted(),
        // The same again changes nothing.
        await failure(ports.containers.scale(arn, { expected: 2, desired: 3, placement })),
        await failure(ports.containers.scale(arn, { expected: 3, desired: 2 })),
        await wanted(),
        await failure(ports.containers.scale(`${arn}-none`, { expected: 2, desired: 3 })),
        await ports.containers.wanted('contract'),
        await failure(ports.containers.protections([])),
      ];
    },
    is: () => {
      const spread = [{ type: 'spread', field: 'attribute:ecs.availability-zone' }];
      return [
        'Refused scaled-meanwhile',
        { value: undefined },
        [3, false, spread, [], []],
        { value: undefined },
        { value: undefined },
        [2, false, spread, [], []],
        'NotFound',
        [],
        { value: {} },
      ];
    },
  },
  {
    name: 'zones, and subnets that are not there',
    run: async ({ ports }) => [
      await ports.instances.zones(),
      await ports.instances.subnets(['subnet-0123456789abcdef0']),
    ],
    is: () => [expect.objectContaining({ [ZONES.a]: expect.stringMatching(/^\w+-az\d$/) }), []],
  },
  {
    name: 'groups: none, and a launch and an end in one that is not there',
    run: async ({ ports }) => [
      await ports.groups.all(),
      await failure(ports.groups.launch('none', { zone: 'euc1-az1', count: 1, token: 'contract-1' })),
      await failure(ports.groups.terminate(MISSING)),
    ],
    is: () => [[], 'Refused ValidationError', 'Refused ValidationError'],
    onMoto: {
      because: 'moto cannot launch at once, and fails by itself over an instance that is in no group',
      is: () => [[], 'Unavailable', 'Unavailable'],
    },
  },
  {
    name: 'groups.resize: of one that is not there',
    run: ({ ports }) =>
      failure(ports.groups.resize('none', { from: { floor: 1, wanted: 1 }, to: { floor: 2, wanted: 2 } })),
    is: () => 'NotFound',
  },
  {
    name: 'serviceScaling: none, then one, whose minimum is raised from what was seen',
    run: async ({ ports, client }) => {
      const web = { cluster: 'contract', name: 'web' };
      const arn = (await ports.containers.services('contract', ['web']))[0]?.arn ?? '';
      const none = await ports.serviceScaling.describe(web);
      const missing = await failure(ports.serviceScaling.setMin(arn, { from: 1, to: 2 }));
      await new ApplicationAutoScalingClient(client).send(
        new RegisterScalableTargetCommand({
          ServiceNamespace: 'ecs',
          ScalableDimension: 'ecs:service:DesiredCount',
          ResourceId: 'service/contract/web',
          MinCapacity: 1,
          MaxCapacity: 4,
        }),
      );
      const made = await ports.serviceScaling.describe(web);
      await ports.serviceScaling.setMin(arn, { from: 1, to: 3 });
      await ports.serviceScaling.setMin(arn, { from: 1, to: 3 });
      const other = await failure(ports.serviceScaling.setMin(arn, { from: 1, to: 2 }));
      return [none ?? 'none', missing, made, (await ports.serviceScaling.describe(web))?.min, other];
    },
    is: () => [
      'none',
      'NotFound',
      { arn: expect.any(String), min: 1, max: 4, policies: [], cpuTarget: undefined, suspended: false },
      3,
      'Refused changed-meanwhile',
    ],
  },
  {
    name: 'loadBalancers.health: no such target group',
    run: ({ ports }) =>
      ports.loadBalancers.health(
        `arn:aws:elasticloadbalancing:${REGION}:111122223333:targetgroup/none/0123456789abcdef`,
      ),
    is: () => 'NotFound',
  },
  {
    name: 'webAcls: what there is, its rules and tags; what is not there',
    run: async (account) => {
      const { webAcls } = account.ports;
      const raw = new WAFV2Client(account.client);
      const seen = (MetricName: string) => ({
        MetricName,
        SampledRequestsEnabled: true,
        CloudWatchMetricsEnabled: true,
      });
      const rate = { Limit: 2_000, EvaluationWindowSec: 300, AggregateKeyType: 'IP' as const };
      const bytes = {
        SearchString: new Uint8Array([0, 255, 10]),
        FieldToMatch: { UriPath: {} },
        TextTransformations: [{ Priority: 0, Type: 'NONE' as const }],
        PositionalConstraint: 'CONTAINS' as const,
      };
      const { Summary } = await raw.send(
        new CreateWebACLCommand({
          Name: 'shop',
          Scope: 'REGIONAL',
          Description: 'The shop',
          DefaultAction: { Allow: {} },
          VisibilityConfig: seen('shop'),
          CustomResponseBodies: { sorry: { ContentType: 'TEXT_PLAIN', Content: 'Later' } },
          CaptchaConfig: { ImmunityTimeProperty: { ImmunityTime: 300 } },
          TokenDomains: ['example.com'],
          Rules: [
            {
              Name: 'per-address',
              Priority: 1,
              Statement: { RateBasedStatement: rate },
              Action: { Count: {} },
              VisibilityConfig: seen('per-address'),
            },
            {
              Name: 'bytes',
              Priority: 2,
              Statement: { ByteMatchStatement: bytes },
              Action: { Block: { CustomResponse: { ResponseCode: 429, CustomResponseBodyKey: 'sorry' } } },
              VisibilityConfig: seen('bytes'),
            },
          ],
          Tags: [{ Key: 'steward:managed', Value: 'true' }],
        }),
      );
      const arn = Summary?.ARN ?? '';
      const acl = await webAcls.describe(arn);
      return [
        (await webAcls.list()).map((a) => a.name),
        await webAcls.tags(arn),
        acl.rules.map((r) => [r.name, r.metric, r.rate]),
        [acl.metric, acl.managed, acl.refers],
        await failure(webAcls.describe(`${arn.slice(0, -4)}0000`)),
      ];
    },
    is: () => [
      ['shop'],
      { 'steward:managed': 'true' },
      [
        ['per-address', 'per-address', { limit: 2_000, window: 300_000, by: 'address' }],
        ['bytes', 'bytes', undefined],
      ],
      ['shop', false, []],
      'NotFound',
    ],
  },
  {
    name: 'webAcls.setAction: a rule blocks and counts again, as often as one likes, and nothing else is changed; not a rule that is another by now',
    run: async (account) => {
      const { webAcls } = account.ports;
      const raw = new WAFV2Client(account.client);
      const [{ arn } = { arn: '' }] = await webAcls.list();
      const whole = async () => {
        const { WebACL: acl } = await raw.send(new GetWebACLCommand({ ARN: arn }));
        return { ...acl, Rules: acl?.Rules?.map((r) => (r.Name === 'per-address' ? { ...r, Action: undefined } : r)) };
      };
      const before = await whole();
      const [rule] = (await webAcls.describe(arn)).rules;
      const change = { rule: 'per-address', print: rule?.print ?? '', from: { Count: {} }, to: { Block: {} } };
      const does = async () => (await webAcls.describe(arn)).rules.map((r) => r.action);
      for (const _ of [1, 2]) await webAcls.setAction(arn, change);
      const blocks = await does();
      const other = await failure(webAcls.setAction(arn, { ...change, print: 'another' }));
      expect(await whole()).toEqual(before);
      await webAcls.setAction(arn, { ...change, from: change.to, to: change.from });
      expect(await whole()).toEqual(before);
      return [blocks, other, await does()];
    },
    is: () => {
      const others = { Block: { CustomResponse: { CustomResponseBodyKey: 'sorry', ResponseCode: 429 } } };
      return [[{ Block: {} }, others], 'Refused changed-meanwhile', [{ Count: {} }, others]];
    },
    onMoto: {
      because: 'moto has the lock among the settings, where AWS has none: what is not known here is not saved',
      is: () => 'Refused unknown-settings',
    },
  },
  {
    name: 'health.issues: none, and where it cannot be asked that is said',
    run: ({ ports }) => ports.health.issues(),
    is: () => [],
    onMoto: {
      because: 'moto has no Health: as for an account without Business support, nothing is known',
      is: () => ({ unknown: expect.stringContaining(`cannot ask AWS Health for open issues in ${REGION}`) }),
    },
  },
];

const check = (make: () => Account): void => {
  let account: Account;
  let fleet: Fleet;
  beforeAll(async () => {
    account = make();
    fleet = await furnish(account);
  }, 30_000);
  test.each(expectations.map((e) => [e.name, e] as const))('%s', async (_, { run, is, onMoto }) => {
    const expected = account.name === 'moto' && onMoto ? onMoto.is : is;
    const came = await failure(run(account, fleet));
    const value = typeof came === 'object' && came !== null && 'value' in came ? came.value : came;
    expect(value).toEqual(expected(fleet, account));
  });
};

describe('our simulated account', () => check(worldAccount));
('url' in moto ? describe : describe.skip)('moto', () => check(() => motoAccount('url' in moto ? moto.url : '')));

/** What a wire brings is read by what this version of the SDK knows; what it does not know would be lost with the next save. */
test.each([
  ['of the web ACL', (acl: Body) => ({ ...acl, NewSetting: { On: true } })],
  [
    'of a rule, deep in it',
    (acl: Body) => ({
      ...acl,
      Rules: acl.Rules.map((r) => ({ ...r, Statement: { ...r.Statement, NewStatement: {} } })),
    }),
  ],
])('a web ACL with a setting %s that is not known here is not saved', async (_, change) => {
  const world = createWorld();
  const acl = makeWebAcl(world, 'shop');
  const wire = requestHandler(world);
  const sent: string[] = [];
  const transport = {
    ...wire,
    handle: async (...args: Parameters<typeof wire.handle>) => {
      const { response } = await wire.handle(...args);
      sent.push(Object.entries(args[0].headers).find(([k]) => k.toLowerCase() === 'x-amz-target')?.[1] ?? '');
      const body = JSON.parse(new TextDecoder().decode(response.body as Uint8Array));
      const changed = 'WebACL' in body && sent.length > 1 ? { ...body, WebACL: change(body.WebACL) } : body;
      // As Node's own handler gives it: a stream, to be read once.
      return { response: { ...response, body: Readable.from([Buffer.from(JSON.stringify(changed))]) } };
    },
  };
  const { webAcls } = awsPorts({
    region: world.region,
    account: world.account,
    stage: 'test',
    credentials: rootCredentials,
    transport,
    sleep: async () => {},
  });
  const arn = acl.saved.ARN ?? '';
  const {
    rules: [rule],
  } = await webAcls.describe(arn);
  const asked = { rule: 'per-address', print: rule?.print ?? '', from: { Count: {} }, to: { Block: {} } };
  await expect(webAcls.setAction(arn, asked)).rejects.toMatchObject({ code: 'unknown-settings' });
  expect(sent.filter((s) => s.includes('UpdateWebACL'))).toEqual([]);
  expect(acl.saved.Rules?.[0]?.Action).toEqual({ Count: {} });
});
type Body = { readonly Rules: readonly { readonly Statement: object }[] };

test('each difference has a reason', () => {
  for (const { onMoto } of expectations) if (onMoto) expect(onMoto.because.length).toBeGreaterThan(20);
});

describe.each([
  ['moto', moto],
  ['MiniStack', ministack],
] as const)('the queue, on %s', (_, emulator) => {
  const suite = 'url' in emulator ? test : test.skip;
  const url = 'url' in emulator ? emulator.url : '';
  const options = { region: REGION, credentials };

  suite('takes any number of messages, in tens, each with its delay', async () => {
    const raw = new SQSClient({ ...options, requestHandler: transportTo(url) });
    const made = await raw.send(new CreateQueueCommand({ QueueName: 'signals' }));
    const QueueUrl = `${AWS}${new URL(made.QueueUrl ?? '').pathname}`;
    const transport = transportTo(url);
    const queue = sqsQueue({ ...options, transport }, QueueUrl);
    const bodies = Array.from({ length: 23 }, (_unused, n) => `{"steward":"look","n":${n},"ü":"🧯"}`);
    await queue.send(bodies.map((body) => ({ body })));
    expect(transport.sent).toHaveLength(3);
    await queue.send([{ body: 'later', delaySeconds: 900 }]);
    await queue.send([]);
    expect(transport.sent).toHaveLength(4);
    const got: string[] = [];
    for (let tries = 0; tries < 12 && got.length < 23; tries++) {
      const { Messages = [] } = await raw.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
      got.push(...Messages.map(({ Body = '' }) => Body));
    }
    expect(got.sort()).toEqual(bodies.sort());
  });

  suite('that is not there: what failed, and that it did', async () => {
    const queue = sqsQueue({ ...options, transport: transportTo(url) }, `${AWS}/123456789012/none`);
    expect(await failure(queue.send([{ body: 'x' }]))).toMatch(/^Refused .*(NonExistentQueue|QueueDoesNotExist)/);
  });

  suite('that takes only some', async () => {
    const transport = transportTo(url);
    const taken = { Id: '0', MessageId: 'm', MD5OfMessageBody: createHash('md5').update('x').digest('hex') };
    const answer = { Successful: [taken], Failed: [{ Id: '1', Code: 'InternalError', SenderFault: false }] };
    transport.instead.push({
      statusCode: 200,
      headers: { 'content-type': 'application/x-amz-json-1.0' },
      body: new TextEncoder().encode(JSON.stringify(answer)),
    });
    const queue = sqsQueue({ ...options, transport }, `${AWS}/123456789012/signals`);
    await expect(queue.send([{ body: 'x' }, { body: 'y' }])).rejects.toThrow(
      'the signals queue did not take 1 of 2 messages: InternalError',
    );
  });
});

('url' in moto ? test : test.skip)('what carries a tag, page by page, on moto', async () => {
  const transport = transportTo('url' in moto ? moto.url : '');
  const options = { region: REGION, credentials };
  const raw = new SQSClient({ ...options, requestHandler: transport });
  const make = async (name: string, tags: Record<string, string>) => {
    const { QueueUrl } = await raw.send(new CreateQueueCommand({ QueueName: name, tags }));
    return QueueUrl?.split('/').at(-1);
  };
  const shop = await Promise.all(Array.from({ length: 120 }, (_, n) => make(`shop-${n}`, { stack: 'shop' })));
  const bank = await make('bank', { stack: 'bank', owner: 'anna' });
  await make('other', { stack: 'other' });
  const tagged = awsTagged({ ...options, transport });
  const names = async (tags: Record<string, string[]>) => (await tagged(tags)).map((a) => a.split(':').at(-1)).sort();
  expect(await names({ stack: ['shop'] })).toEqual([...shop].sort());
  expect(await names({ stack: ['bank'] })).toEqual([bank]);
  expect(await names({ owner: ['anna', 'bert'] })).toEqual([bank]);
  expect(await names({ stack: ['none'] })).toEqual([]);
});
