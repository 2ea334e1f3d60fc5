import {
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeAvailabilityZonesCommand,
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  type DescribeInstancesCommandInput,
  DescribeTagsCommand,
  paginateDescribeInstances,
  RebootInstancesCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { seedFleet } from '../../world/fleet.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, hours, minutes } from './clients.ts';

const start = () => {
  const world = createWorld({ metrics: false });
  const fleet = seedFleet(world);
  const { ec2 } = clientsOf(world);
  const names = async (input: DescribeInstancesCommandInput) =>
    ((await ec2.send(new DescribeInstancesCommand(input))).Reservations ?? [])
      .flatMap(({ Instances = [] }) => Instances)
      .map(({ Tags = [] }) => Tags.find(({ Key }) => Key === 'Name')?.Value);
  return { world, fleet, ec2, names };
};

describe('instances', () => {
  test('are found by filters and wildcards', async () => {
    const { names, fleet } = start();
    expect(await names({ Filters: [{ Name: 'tag:Name', Values: ['web-?', 'data*'] }] })).toEqual([
      'web-1',
      'web-2',
      'web-3',
      'web-4',
      'web-5',
      'database',
    ]);
    expect(await names({ Filters: [{ Name: 'tag-key', Values: ['steward:ignore'] }] })).toEqual(['legacy']);
    expect(
      await names({ InstanceIds: [fleet.legacy.id], Filters: [{ Name: 'instance-state-name', Values: ['stopped'] }] }),
    ).toEqual([]);
    expect(await failure(names({ Filters: [{ Name: 'colour', Values: ['red'] }] }))).toBe('InvalidParameterValue');
  });

  test('that are not there have EC2 s words', async () => {
    const { names } = start();
    await expect(names({ InstanceIds: ['i-00000000000000000'] })).rejects.toMatchObject({
      name: 'InvalidInstanceID.NotFound',
      message: "The instance ID 'i-00000000000000000' does not exist",
    });
    expect(await failure(names({ InstanceIds: ['web-1'] }))).toBe('InvalidInstanceID.Malformed');
    expect(await failure(names({ InstanceIds: ['i-00000000000000000'], MaxResults: 5 }))).toBe(
      'InvalidParameterCombination',
    );
  });

  test('come in pages', async () => {
    const { ec2, fleet } = start();
    const sizes: number[] = [];
    for await (const { Reservations = [] } of paginateDescribeInstances({ client: ec2, pageSize: 5 }, {})) {
      sizes.push(Reservations.flatMap(({ Instances = [] }) => Instances).length);
    }
    expect(sizes).toEqual([5, 5, 2]);
    expect(fleet.all).toHaveLength(12);
  });

  test('run, stop, start and end, each with its event and its time', async () => {
    const { world, ec2 } = start();
    const states: unknown[] = [];
    world.onEvent(({ detail }) => states.push(detail['state']));
    const once = { MinCount: 1, MaxCount: 1, ImageId: 'ami-1', ClientToken: 'only-once' };
    const { Instances: [made] = [] } = await ec2.send(new RunInstancesCommand(once));
    const { Instances: [again] = [] } = await ec2.send(new RunInstancesCommand(once));
    expect(again?.InstanceId).toBe(made?.InstanceId);
    const ids = { InstanceIds: [made?.InstanceId ?? ''] };
    expect(await failure(ec2.send(new StopInstancesCommand(ids)))).toBe('IncorrectInstanceState');
    world.clock.advance(minutes(1));
    const { StoppingInstances } = await ec2.send(new StopInstancesCommand(ids));
    expect(StoppingInstances?.[0]).toMatchObject({
      PreviousState: { Name: 'running' },
      CurrentState: { Name: 'stopping', Code: 64 },
    });
    world.clock.advance(minutes(1));
    await ec2.send(new StartInstancesCommand(ids));
    world.clock.advance(minutes(1));
    await ec2.send(new TerminateInstancesCommand(ids));
    world.clock.advance(minutes(1));
    expect(states).toEqual([
      'pending',
      'running',
      'stopping',
      'stopped',
      'pending',
      'running',
      'shutting-down',
      'terminated',
    ]);
    expect(await failure(ec2.send(new StartInstancesCommand(ids)))).toBe('IncorrectInstanceState');
    world.clock.advance(hours(2));
    expect(await failure(ec2.send(new DescribeInstancesCommand(ids)))).toBe('InvalidInstanceID.NotFound');
  });

  test('show their status checks, and a reboot clears a failed instance check', async () => {
    const { world, fleet, ec2 } = start();
    const { database } = fleet;
    database.impaired.instance = true;
    const status = async () =>
      (await ec2.send(new DescribeInstanceStatusCommand({ InstanceIds: [database.id] }))).InstanceStatuses?.[0]
        ?.InstanceStatus?.Status;
    expect(await status()).toBe('impaired');
    await ec2.send(new RebootInstancesCommand({ InstanceIds: [database.id] }));
    expect(await status()).toBe('initializing');
    world.clock.advance(minutes(5));
    expect(await status()).toBe('ok');
  });

  test('are tagged and untagged; keys of AWS are AWS s', async () => {
    const { fleet, ec2 } = start();
    const Resources = [fleet.database.id];
    await ec2.send(
      new CreateTagsCommand({
        Resources,
        Tags: [
          { Key: 'a', Value: '1' },
          { Key: 'b', Value: '2' },
        ],
      }),
    );
    await ec2.send(new DeleteTagsCommand({ Resources, Tags: [{ Key: 'a' }, { Key: 'b', Value: 'other' }] }));
    const { Tags = [] } = await ec2.send(
      new DescribeTagsCommand({
        Filters: [
          { Name: 'resource-id', Values: Resources },
          { Name: 'key', Values: ['a', 'b'] },
        ],
      }),
    );
    expect(Tags).toEqual([{ Key: 'b', Value: '2', ResourceId: fleet.database.id, ResourceType: 'instance' }]);
    expect(await failure(ec2.send(new CreateTagsCommand({ Resources, Tags: [{ Key: 'aws:x', Value: '1' }] })))).toBe(
      'InvalidParameterValue',
    );
  });

  test('stand in three zones', async () => {
    const { ec2, fleet } = start();
    const { AvailabilityZones = [] } = await ec2.send(new DescribeAvailabilityZonesCommand({}));
    expect(AvailabilityZones.map(({ ZoneId }) => ZoneId)).toEqual(['euc1-az2', 'euc1-az3', 'euc1-az1']);
    expect(new Set(fleet.web.map(({ zone }) => zone)).size).toBe(3);
  });

  test('may be seen late: a read soon after a write can be old', async () => {
    const { world, fleet, ec2, names } = start();
    Object.assign(world.lag, { ms: 1_000, chance: 1 });
    await ec2.send(
      new CreateTagsCommand({ Resources: [fleet.database.id], Tags: [{ Key: 'Name', Value: 'renamed' }] }),
    );
    expect(await names({ InstanceIds: [fleet.database.id] })).toEqual(['database']);
    world.clock.advance(1_000);
    expect(await names({ InstanceIds: [fleet.database.id] })).toEqual(['renamed']);
  });
});
