import {
  DescribeVolumesCommand,
  DescribeVolumesModificationsCommand,
  ModifyVolumeCommand,
  type ModifyVolumeRequest,
} from '@aws-sdk/client-ec2';
import { makeInstance } from '../../world/instances.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, hours, minutes } from './clients.ts';

const start = () => {
  const world = createWorld({ metrics: false });
  const instance = makeInstance(world, { running: true, rootGiB: 100 });
  const volume = [...world.ec2.volumes.values()][0]!;
  const { ec2 } = clientsOf(world);
  const modify = (change: Omit<ModifyVolumeRequest, 'VolumeId'>) =>
    ec2.send(new ModifyVolumeCommand({ VolumeId: volume.id, ...change }));
  const modification = async () =>
    (await ec2.send(new DescribeVolumesModificationsCommand({ VolumeIds: [volume.id] }))).VolumesModifications?.[0];
  return { world, instance, volume, ec2, modify, modification };
};

describe('a modification of a volume', () => {
  test('is modifying, then optimizing with the new size, then completed', async () => {
    const { world, volume, ec2, modify, modification } = start();
    expect((await modify({ Size: 200 })).VolumeModification).toMatchObject({
      ModificationState: 'modifying',
      OriginalSize: 100,
      TargetSize: 200,
      Progress: 0,
    });
    const size = async () =>
      (await ec2.send(new DescribeVolumesCommand({ VolumeIds: [volume.id] }))).Volumes?.[0]?.Size;
    expect(await size()).toBe(100);
    world.clock.advance(world.settle.volumeModifying);
    expect(await modification()).toMatchObject({ ModificationState: 'optimizing' });
    expect(await size()).toBe(200);
    world.clock.advance(world.settle.volumeOptimizing / 2);
    expect(await modification()).toMatchObject({ ModificationState: 'optimizing', Progress: 50 });
    world.clock.advance(world.settle.volumeOptimizing);
    expect(await modification()).toMatchObject({
      ModificationState: 'completed',
      Progress: 100,
      EndTime: expect.any(Date),
    });
  });

  test('is refused while the one before is not completed, by code and words', async () => {
    const { world, volume, modify } = start();
    await modify({ Size: 200 });
    await expect(modify({ Size: 300 })).rejects.toMatchObject({
      name: 'IncorrectModificationState',
      message: `Volume ${volume.id} cannot be modified in modification state MODIFYING`,
      $metadata: { httpStatusCode: 400 },
    });
    world.clock.advance(minutes(1));
    await expect(modify({ Size: 300 })).rejects.toThrow('OPTIMIZING');
  });

  test('happens four times in a rolling day, not five', async () => {
    const { world, modify } = start();
    for (const Size of [110, 120, 130, 140]) {
      await modify({ Size });
      world.clock.advance(minutes(30));
    }
    expect(await failure(modify({ Size: 150 }))).toBe('VolumeModificationRateExceeded');
    world.clock.advance(hours(22) - 1);
    expect(await failure(modify({ Size: 150 }))).toBe('VolumeModificationRateExceeded');
    world.clock.advance(2);
    expect(await failure(modify({ Size: 150 }))).toBe('no error');
    world.clock.advance(minutes(20));
    expect(await failure(modify({ Size: 160 }))).toBe('VolumeModificationRateExceeded');
  });

  test.each<[Omit<ModifyVolumeRequest, 'VolumeId'>, string]>([
    [{ Size: 99 }, 'InvalidParameterValue'],
    [{ Size: 65_537 }, 'InvalidParameterValue'],
    [{ Size: 65_536 }, 'no error'],
    [{ VolumeType: 'gp2', Size: 16_385 }, 'InvalidParameterValue'],
    [{ VolumeType: 'io2', Iops: 5_000 }, 'no error'],
    [{ Iops: 80_001 }, 'InvalidParameterValue'],
    [{ VolumeType: 'io1', Iops: 5_001 }, 'InvalidParameterCombination'],
    [{ Throughput: 2_001 }, 'InvalidParameterValue'],
  ])('to %j ends with %s', async (change, expected) => {
    expect(await failure(start().modify(change))).toBe(expected);
  });

  test('is held to the account quotas, where there are some', async () => {
    const { world, modify } = start();
    world.ec2.quotas.storageGiB.gp3 = 150;
    world.ec2.quotas.iops.gp3 = 4_000;
    expect(await failure(modify({ Size: 151 }))).toBe('VolumeLimitExceeded');
    expect(await failure(modify({ Size: 150, Iops: 5_000 }))).toBe('MaxIOPSLimitExceeded');
    expect(await failure(modify({ Size: 150 }))).toBe('no error');
  });

  test('can be rehearsed with DryRun, which changes nothing', async () => {
    const { modify, volume } = start();
    expect(await failure(modify({ Size: 200, DryRun: true }))).toBe('DryRunOperation');
    expect(volume.modifications).toEqual([]);
  });

  test('that never was is not found; a volume that is not there neither', async () => {
    const { ec2, modification } = start();
    expect(await failure(modification())).toBe('InvalidVolumeModification.NotFound');
    const missing = ec2.send(new DescribeVolumesCommand({ VolumeIds: ['vol-00000000000000000'] }));
    expect(await failure(missing)).toBe('InvalidVolume.NotFound');
  });

  test('tells EventBridge of optimizing and completed', async () => {
    const { world, volume, modify } = start();
    const events: unknown[] = [];
    world.onEvent((event) =>
      events.push([event['detail-type'], event.detail['event'], event.detail['result'], event.resources]),
    );
    await modify({ Size: 200 });
    world.clock.advance(hours(1));
    const arn = `arn:aws:ec2:eu-central-1:111122223333:volume/${volume.id}`;
    expect(events).toEqual([
      ['EBS Volume Notification', 'modifyVolume', 'optimizing', [arn]],
      ['EBS Volume Notification', 'modifyVolume', 'completed', [arn]],
    ]);
  });
});
