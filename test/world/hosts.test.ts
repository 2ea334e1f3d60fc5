import { ModifyVolumeCommand } from '@aws-sdk/client-ec2';
import { GetCommandInvocationCommand, SendCommandCommand } from '@aws-sdk/client-ssm';
import { cleanReport, diskReport, growReport, hostFailure } from '../../shared/core/disk.ts';
import { breakDisk, fileSystemOf, seedFleet } from '../../world/fleet.ts';
import { GiB } from '../../world/hosts.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, minutes } from './clients.ts';

const start = () => {
  const world = createWorld({ metrics: false });
  const fleet = seedFleet(world);
  const { ec2, ssm } = clientsOf(world);
  const run = async (
    instanceId: string,
    document: string,
    { path, token = '', ...rest }: { path?: string; token?: string; Detail?: string; MinAgeHours?: string } = {},
  ) => {
    const given = {
      ...(path !== undefined && { Mount: Buffer.from(path).toString('base64') }),
      ...(token && { Token: token }),
      ...rest,
    };
    const Parameters = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, [value]]));
    const { Command } = await ssm.send(
      new SendCommandCommand({ DocumentName: `steward-${document}`, InstanceIds: [instanceId], Parameters }),
    );
    world.clock.advance(world.settle.commandDelivery + world.settle.commandRun);
    const {
      Status,
      ResponseCode,
      StandardOutputContent = '',
    } = await ssm.send(new GetCommandInvocationCommand({ CommandId: Command?.CommandId, InstanceId: instanceId }));
    return { Status, ResponseCode, printed: JSON.parse(StandardOutputContent) as unknown };
  };
  return { world, fleet, ec2, run };
};

describe('inspect-disk', () => {
  test('prints what the real one prints, for every host of the fleet', async () => {
    const { fleet, run } = start();
    for (const { id } of fleet.all)
      expect(diskReport.safeParse((await run(id, 'inspect-disk')).printed)).toMatchObject({ success: true });
  });

  test('shows what grows, what is big and what can go; with usage only, none of it', async () => {
    const { world, fleet, run } = start();
    const { id } = fleet.database;
    breakDisk(world, id, { growing: { path: '/var/log/app.log', bytesPerSecond: 1_000 } });
    world.clock.advance(minutes(10));
    const root = async (Detail: string) =>
      diskReport.parse((await run(id, 'inspect-disk', { Detail })).printed).mounts[0]!;
    const full = await root('full');
    expect(full.growing).toEqual([{ path: '/var/log/app.log', bytes: 603_000, bytesPerSecond: 1_000 }]);
    expect(full.cleanable.map(({ place }) => place)).toEqual([
      'package-cache',
      'journal',
      'rotated-logs',
      'core-dumps',
    ]);
    expect(await root('usage')).toMatchObject({ growing: [], cleanable: [], largest: [] });
  });
});

describe('clean-disk', () => {
  test('frees what is old enough, says what it left, and does it once per token', async () => {
    const { world, fleet, run } = start();
    const { id } = fleet.database;
    breakDisk(world, id, { cleanableBytes: GiB });
    const first = cleanReport.parse((await run(id, 'clean-disk', { path: '/', token: 't1' })).printed);
    expect(first.availableAfter - first.availableBefore).toBe(first.freed.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(first.skipped).toEqual([{ place: 'temporary-files', because: 'younger than 24 hours' }]);
    const again = cleanReport.parse((await run(id, 'clean-disk', { path: '/', token: 't1' })).printed);
    expect(again).toEqual({ ...first, repeated: true });
  });

  test('refuses what is read-only or not mounted', async () => {
    const { world, fleet, run } = start();
    const { id } = fleet.database;
    breakDisk(world, id, { readOnly: true });
    const readOnly = await run(id, 'clean-disk', { path: '/', token: 't' });
    expect(readOnly).toMatchObject({ Status: 'Failed', ResponseCode: 1 });
    expect(hostFailure.parse(readOnly.printed).error.code).toBe('read-only');
    expect(hostFailure.parse((await run(id, 'clean-disk', { path: '/nowhere', token: 't' })).printed).error.code).toBe(
      'not-found',
    );
  });
});

describe('grow-filesystem', () => {
  const volumeOf = (world: ReturnType<typeof createWorld>, instanceId: string, path: string) => {
    const disk = fileSystemOf(world, instanceId, path).layers.at(-1);
    return disk?.kind === 'disk' && disk.volumeId ? disk.volumeId : '';
  };

  test.each([
    ['a partition', '/', 'web'],
    ['LVM', '/scratch', 'workers'],
    ['a whole disk', '/srv', 'web'],
  ] as const)('grows %s only after the volume has grown', async (_, path, group) => {
    const { world, fleet, ec2, run } = start();
    const { id } = fleet[group][0]!;
    const grow = async (token: string) => growReport.parse((await run(id, 'grow-filesystem', { path, token })).printed);
    expect((await grow('before')).steps).toEqual([]);
    const before = fileSystemOf(world, id, path).sizeBytes;
    await ec2.send(new ModifyVolumeCommand({ VolumeId: volumeOf(world, id, path), Size: 80 }));
    expect((await grow('too-soon')).sizeAfter).toBe(before);
    world.clock.advance(minutes(1));
    expect(fileSystemOf(world, id, path).sizeBytes).toBe(before);
    const grown = await grow('after');
    expect(grown.sizeAfter).toBeGreaterThan(79 * GiB);
    expect(grown.steps.at(-1)).toMatch(/^(xfs|ext4) \d+ → \d+$/);
    expect(await grow('after')).toEqual({ ...grown, repeated: true });
  });

  test('refuses a partition that another one follows', async () => {
    const { world, fleet, ec2, run } = start();
    const { id } = fleet.database;
    const partition = fileSystemOf(world, id, '/').layers[0]!;
    Object.assign(partition, { last: false });
    await ec2.send(new ModifyVolumeCommand({ VolumeId: volumeOf(world, id, '/'), Size: 80 }));
    world.clock.advance(minutes(1));
    const { printed, ResponseCode } = await run(id, 'grow-filesystem', { path: '/', token: 't' });
    expect(ResponseCode).toBe(1);
    expect(hostFailure.parse(printed).error.code).toBe('not-last');
  });
});

test('what grows stops when the disk is full, and when the host is off', () => {
  const { world, fleet } = start();
  const { database } = fleet;
  breakDisk(world, database.id, { usedPercent: 50, growing: { bytesPerSecond: 1_000_000 } });
  world.clock.advance(minutes(1));
  const used = fileSystemOf(world, database.id, '/').usedBytes;
  database.state = 'stopped';
  world.clock.advance(minutes(60));
  expect(fileSystemOf(world, database.id, '/').usedBytes).toBe(used);
  database.state = 'running';
  world.clock.advance(minutes(600));
  const { sizeBytes, usedBytes } = fileSystemOf(world, database.id, '/');
  expect(usedBytes).toBe(sizeBytes);
});
