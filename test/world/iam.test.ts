import { PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { CreateTagsCommand, DescribeInstancesCommand, ModifyVolumeCommand } from '@aws-sdk/client-ec2';
import { GetParameterCommand, SendCommandCommand } from '@aws-sdk/client-ssm';
import { AssumeRoleCommand, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { seedFleet } from '../../world/fleet.ts';
import { addRole, addUser, type PolicyDocument } from '../../world/iam.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, hours } from './clients.ts';

const allow = (Action: string | string[], Resource: string | string[] = '*', Condition?: object): PolicyDocument => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action, Resource, ...(Condition && { Condition }) }],
});

const start = (policies: PolicyDocument[]) => {
  const world = createWorld({ metrics: false, enforce: true });
  const fleet = seedFleet(world);
  const role = addRole(world, 'remedy', policies);
  const caller = addUser(world, 'heal', [allow('sts:AssumeRole', role.arn)]);
  const assume = async (Policy?: PolicyDocument, DurationSeconds?: number) => {
    const { Credentials } = await clientsOf(world, caller).sts.send(
      new AssumeRoleCommand({
        RoleArn: role.arn,
        RoleSessionName: 'look',
        Policy: Policy && JSON.stringify(Policy),
        DurationSeconds,
      }),
    );
    return clientsOf(world, {
      accessKeyId: Credentials?.AccessKeyId ?? '',
      secretAccessKey: Credentials?.SecretAccessKey ?? '',
      sessionToken: Credentials?.SessionToken ?? '',
    });
  };
  const [mine, other] = [...world.ec2.volumes.values()];
  return { world, fleet, role, caller, assume, mine: mine!, other: other! };
};

describe('a role', () => {
  test('may what its policies say, and is told in AWS s words what it may not', async () => {
    const { assume, mine } = start([allow('ec2:DescribeInstances')]);
    const { ec2 } = await assume();
    expect(await failure(ec2.send(new DescribeInstancesCommand({})))).toBe('no error');
    await expect(ec2.send(new ModifyVolumeCommand({ VolumeId: mine.id, Size: 999 }))).rejects.toMatchObject({
      name: 'UnauthorizedOperation',
      message: expect.stringContaining(
        `User: arn:aws:sts::111122223333:assumed-role/remedy/look is not authorized to perform: ec2:ModifyVolume on resource: arn:aws:ec2:eu-central-1:111122223333:volume/${mine.id}`,
      ),
      $metadata: { httpStatusCode: 403 },
    });
    expect(mine.modifications).toEqual([]);
  });

  test('in a session narrowed to one volume cannot touch another', async () => {
    const { assume, mine, other } = start([allow('ec2:ModifyVolume')]);
    const { ec2 } = await assume(allow('ec2:ModifyVolume', `arn:aws:ec2:*:*:volume/${mine.id}`));
    expect(await failure(ec2.send(new ModifyVolumeCommand({ VolumeId: mine.id, Size: 500 })))).toBe('no error');
    expect(await failure(ec2.send(new ModifyVolumeCommand({ VolumeId: other.id, Size: 500 })))).toBe(
      'UnauthorizedOperation',
    );
  });

  test('in a session that allows more than the role has no more', async () => {
    const { assume, mine } = start([allow('ec2:DescribeInstances')]);
    const { ec2 } = await assume(allow('ec2:*'));
    expect(await failure(ec2.send(new ModifyVolumeCommand({ VolumeId: mine.id, Size: 500 })))).toBe(
      'UnauthorizedOperation',
    );
  });

  test('is bound by tags of the resource, read live', async () => {
    const condition = { StringEquals: { 'aws:ResourceTag/steward:managed': 'true' } };
    const { assume, world } = start([allow('ec2:ModifyVolume', '*', condition)]);
    const { ec2 } = await assume();
    const volume = [...world.ec2.volumes.values()].find(({ tags }) => tags['steward:managed'])!;
    expect(await failure(ec2.send(new ModifyVolumeCommand({ VolumeId: volume.id, Size: 500, DryRun: true })))).toBe(
      'DryRunOperation',
    );
    volume.tags = {};
    expect(await failure(ec2.send(new ModifyVolumeCommand({ VolumeId: volume.id, Size: 500, DryRun: true })))).toBe(
      'UnauthorizedOperation',
    );
  });

  test('needs the document and the instance to send a command', async () => {
    const document = 'arn:aws:ssm:*:*:document/steward-inspect-disk';
    const send = async (resources: string[]) => {
      const { assume, fleet } = start([allow('ssm:SendCommand', resources)]);
      const { ssm } = await assume();
      return failure(
        ssm.send(new SendCommandCommand({ DocumentName: 'steward-inspect-disk', InstanceIds: [fleet.database.id] })),
      );
    };
    expect(await send([document])).toBe('AccessDeniedException');
    expect(await send([document, 'arn:aws:ec2:*:*:instance/*'])).toBe('no error');
  });

  test('is judged by what the request carries: namespaces and tags', async () => {
    const { assume, fleet } = start([
      allow('cloudwatch:PutMetricData', '*', { StringEquals: { 'cloudwatch:namespace': 'Steward' } }),
      allow('ec2:CreateTags', '*', { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['steward:note'] } }),
    ]);
    const { ec2, cloudwatch } = await assume();
    const put = (Namespace: string) =>
      failure(cloudwatch.send(new PutMetricDataCommand({ Namespace, MetricData: [{ MetricName: 'x', Value: 1 }] })));
    expect([await put('Steward'), await put('Other')]).toEqual(['no error', 'AccessDenied']);
    const tag = (Key: string) =>
      failure(ec2.send(new CreateTagsCommand({ Resources: [fleet.database.id], Tags: [{ Key, Value: '1' }] })));
    expect([await tag('steward:note'), await tag('Name')]).toEqual(['no error', 'UnauthorizedOperation']);
  });
});

describe('a session', () => {
  test('knows who it is, and ends after its hour', async () => {
    const { assume, world } = start([allow('ec2:DescribeInstances')]);
    const { sts, ec2, ssm } = await assume(undefined, 3600);
    expect(await sts.send(new GetCallerIdentityCommand({}))).toMatchObject({
      Account: '111122223333',
      Arn: 'arn:aws:sts::111122223333:assumed-role/remedy/look',
      UserId: 'AROAREMEDY:look',
    });
    world.clock.advance(hours(1));
    expect(await failure(ec2.send(new DescribeInstancesCommand({})))).toBe('RequestExpired');
    expect(await failure(ssm.send(new GetParameterCommand({ Name: 'x' })))).toBe('ExpiredTokenException');
  });

  test('is only given for a role that there is, to one who may assume it', async () => {
    const { world, caller, role } = start([]);
    const ask = (accessKey: typeof caller, RoleArn: string) =>
      failure(clientsOf(world, accessKey).sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 's' })));
    expect(await ask(caller, role.arn)).toBe('no error');
    expect(await ask(caller, `${role.arn}-2`)).toBe('AccessDenied');
    expect(await ask(addUser(world, 'stranger', []), role.arn)).toBe('AccessDenied');
    role.trust = {
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { AWS: 'arn:aws:iam::111122223333:user/stranger' } },
      ],
    };
    expect(await ask(caller, role.arn)).toBe('AccessDenied');
  });

  test('with unknown keys is nobody', async () => {
    const { world } = start([]);
    const { ec2, ssm, sts, cloudwatch } = clientsOf(world, { accessKeyId: 'AKIANOBODY', secretAccessKey: 'x' });
    expect(await failure(ec2.send(new DescribeInstancesCommand({})))).toBe('AuthFailure');
    expect(await failure(ssm.send(new GetParameterCommand({ Name: 'x' })))).toBe('UnrecognizedClientException');
    expect(await failure(sts.send(new GetCallerIdentityCommand({})))).toBe('InvalidClientTokenId');
    expect(await failure(cloudwatch.send(new PutMetricDataCommand({ Namespace: 'x' })))).toBe('InvalidClientTokenId');
  });
});

test('every call is recorded with who, what, on what and whether it was allowed', async () => {
  const { assume, world, mine } = start([allow('ec2:DescribeInstances')]);
  const { ec2 } = await assume();
  world.calls.length = 0;
  await ec2.send(new DescribeInstancesCommand({}));
  await failure(ec2.send(new ModifyVolumeCommand({ VolumeId: mine.id, Size: 500 })));
  const principal = 'arn:aws:sts::111122223333:assumed-role/remedy/look';
  expect(world.calls).toMatchObject([
    {
      principal,
      service: 'ec2',
      operation: 'DescribeInstances',
      action: 'ec2:DescribeInstances',
      resources: ['*'],
      allowed: true,
    },
    {
      action: 'ec2:ModifyVolume',
      resources: [`arn:aws:ec2:eu-central-1:111122223333:volume/${mine.id}`],
      allowed: false,
      error: 'UnauthorizedOperation',
      input: { VolumeId: mine.id, Size: 500 },
    },
  ]);
});
