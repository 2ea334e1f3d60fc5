/** Volumes that are lost or switched off, in the world, and our adapter over its wire. */
import { ec2Volumes } from '../../shared/aws/volumes.ts';
import { NotFound } from '../../shared/core/errors.ts';
import { makeVolume } from '../../world/ebs.ts';
import { rootCredentials } from '../../world/iam.ts';
import { makeInstance } from '../../world/instances.ts';
import { addSnapshot, disableIo, loseVolume } from '../../world/volumeTroubles.ts';
import { requestHandler } from '../../world/wire.ts';
import { createWorld } from '../../world/world.ts';

const make = () => {
  const world = createWorld({ metrics: false });
  const { region } = world;
  const adapter = ec2Volumes({ region, credentials: rootCredentials, transport: requestHandler(world) });
  const zone = 'eu-central-1a';
  const loose = () => makeVolume(world, { zone, size: 8 }).id;
  const attached = () => {
    const instance = makeInstance(world, { running: true, zone });
    const volume = [...world.ec2.volumes.values()].find((v) => v.attachment?.instanceId === instance.id)?.id ?? '';
    return { instance: instance.id, volume };
  };
  return { world, adapter, loose, attached };
};

test('those in trouble, with their instance; what is lost is not switched off besides', async () => {
  const { world, adapter, loose, attached } = make();
  const [off, lost, alone] = [attached(), attached(), loose()];
  attached();
  disableIo(world, off.volume);
  disableIo(world, lost.volume);
  loseVolume(world, lost.volume);
  loseVolume(world, alone);
  expect(await adapter.troubled()).toEqual([
    { ...lost, is: 'lost' },
    { volume: alone, instance: undefined, is: 'lost' },
    { ...off, is: 'io-off' },
  ]);
  await adapter.enableIo(off.volume);
  expect((await adapter.troubled()).map((t) => t.is)).toEqual(['lost', 'lost']);
  await expect(adapter.enableIo('vol-0123456789abcdef0')).rejects.toThrow(NotFound);
});

test('more than a page of them', async () => {
  const { world, adapter, loose } = make();
  for (let n = 0; n < 520; n++) disableIo(world, loose());
  expect(await adapter.troubled()).toHaveLength(520);
});

test('snapshots that are complete, newest first; of a volume that is gone too', async () => {
  const { world, adapter, loose } = make();
  const volume = loose();
  const [second, third, first] = [2, 3, 1].map((n) => addSnapshot(world, volume, { startTime: n * 1_000 }));
  addSnapshot(world, volume, { state: 'pending' });
  addSnapshot(world, loose());
  world.ec2.volumes.delete(volume);
  expect(await adapter.snapshots(volume)).toEqual(
    [third, second, first].map((s) => ({ id: s?.id, startedAt: s?.startTime })),
  );
});
