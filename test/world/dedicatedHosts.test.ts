/** Dedicated Hosts in the world, where a start lands, and our adapter over its wire. */
import { StartInstancesCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { ec2Instances } from '../../shared/aws/instances.ts';
import { addHost, failHost, placeOn } from '../../world/dedicatedHosts.ts';
import { rootCredentials } from '../../world/iam.ts';
import { makeInstance } from '../../world/instances.ts';
import { requestHandler } from '../../world/wire.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, minutes } from './clients.ts';

const make = (pinned: boolean) => {
  const world = createWorld({ metrics: false });
  const { region } = world;
  const adapter = ec2Instances({ region, credentials: rootCredentials, transport: requestHandler(world) });
  const [first, second] = [addHost(world, { capacity: 3 }), addHost(world, { autoPlacement: true })];
  const instance = makeInstance(world, { running: true, type: 'm6i.large' });
  placeOn(first, instance, pinned);
  const { ec2 } = clientsOf(world);
  const InstanceIds = [instance.id];
  const restart = async () => {
    await ec2.send(new StopInstancesCommand({ InstanceIds }));
    world.clock.advance(minutes(5));
    const said = await failure(ec2.send(new StartInstancesCommand({ InstanceIds })));
    world.clock.advance(minutes(5));
    return said;
  };
  return { world, adapter, first, second, instance, restart };
};

test('hosts with their room and what runs there; an instance names its host, and whether it is pinned', async () => {
  const { world, adapter, first, second, instance } = make(true);
  const common = { state: 'available', zoneName: 'eu-central-1a' };
  expect(await adapter.dedicatedHosts()).toEqual([
    { id: first.id, ...common, autoPlacement: false, instances: [instance.id], room: { 'm6i.large': 2 } },
    { id: second.id, ...common, autoPlacement: true, instances: [], room: { 'm6i.large': 10 } },
  ]);
  expect((await adapter.describe(instance.id)).host).toEqual({ id: first.id, pinned: true });
  const { id } = makeInstance(world, { running: true });
  expect(await adapter.describe(id)).not.toHaveProperty('host');
});

test('a start goes back to its host; to another only when that takes nothing more', async () => {
  const { world, first, second, instance, restart } = make(false);
  await restart();
  expect(instance.host?.id).toBe(first.id);
  failHost(world, first, 'under-assessment');
  await restart();
  expect(instance).toMatchObject({ state: 'running', host: { id: second.id }, impaired: { system: false } });
});

test('what is pinned to a host that has failed does not start', async () => {
  const { world, first, instance, restart } = make(true);
  failHost(world, first, 'permanent-failure');
  expect(await restart()).toBe('InsufficientHostCapacity');
  expect(instance.state).toBe('stopped');
});
