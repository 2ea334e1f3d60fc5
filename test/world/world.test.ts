import { DescribeInstancesCommand, DescribeVolumesCommand, ModifyVolumeCommand } from '@aws-sdk/client-ec2';
import { SendCommandCommand } from '@aws-sdk/client-ssm';
import { createClock, runInRealTime } from '../../world/clock.ts';
import { EC2_DESCRIBE_BUCKET } from '../../world/faults.ts';
import { breakDisk, seedFleet } from '../../world/fleet.ts';
import { createRandom } from '../../world/random.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, hours, minutes } from './clients.ts';

describe('the clock', () => {
  test('runs what is due in order of time, then of registration, also what is added meanwhile', () => {
    const clock = createClock(0);
    const ran: string[] = [];
    clock.at(20, () => ran.push('c'));
    clock.at(10, () => {
      ran.push(`a at ${clock.now()}`);
      clock.at(15, () => ran.push('b'));
    });
    clock.at(20, () => ran.push('d'));
    const cancel = clock.at(5, () => ran.push('never'));
    cancel();
    clock.advance(20);
    expect(ran).toEqual(['a at 10', 'b', 'c', 'd']);
    expect(clock.now()).toBe(20);
  });

  test('can follow the real one', async () => {
    const clock = createClock(0);
    const stop = runInRealTime(clock, { speed: 1_000, everyMs: 5 });
    await new Promise((resolve) => setTimeout(resolve, 30));
    stop();
    expect(clock.now()).toBeGreaterThan(5_000);
  });
});

/** An hour of a fleet with trouble in it. */
const play = async (seed: number) => {
  const world = createWorld({ seed });
  Object.assign(world.events.trouble, { loss: 0.2, duplicate: 0.2, delayMs: 5_000 });
  world.faults.sometimes({ probability: 0.3, kind: 'throttle', service: 'ec2' });
  const delivered: unknown[] = [];
  world.onEvent((event) => delivered.push(event));
  const { web } = seedFleet(world);
  const { ec2, ssm } = clientsOf(world);
  for (const { id } of web) breakDisk(world, id, { growing: { bytesPerSecond: 2_000_000 } });
  for (let minute = 0; minute < 60; minute++) {
    world.clock.advance(minutes(1));
    const volume = world.random.pick([...world.ec2.volumes.values()]);
    await failure(ec2.send(new ModifyVolumeCommand({ VolumeId: volume.id, Size: volume.size + 10 })));
    await failure(
      ssm.send(new SendCommandCommand({ DocumentName: 'steward-inspect-disk', InstanceIds: [web[0]!.id] })),
    );
  }
  const calls = world.calls.map(({ input: _, ...call }) => call);
  return { calls, sent: world.events.sent, delivered, alarms: [...world.cloudwatch.alarms.values()] };
};

test('the same seed gives the same world, to the last event; another gives another', async () => {
  const [one, same, other] = [await play(7), await play(7), await play(8)];
  expect(same).toEqual(one);
  expect(other.sent).not.toEqual(one.sent);
  expect(one.delivered.length).not.toBe(one.sent.length);
});

test('chance is even enough', () => {
  const random = createRandom(3);
  const mean = Array.from({ length: 10_000 }, () => random.next()).reduce((a, b) => a + b) / 10_000;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
  expect(createRandom(3).fork('a').next()).not.toBe(createRandom(3).fork('b').next());
});

describe('faults', () => {
  const start = () => {
    const world = createWorld({ metrics: false });
    seedFleet(world);
    const { ec2 } = clientsOf(world);
    const volume = [...world.ec2.volumes.values()][0]!;
    return {
      world,
      volume,
      describe: () => failure(ec2.send(new DescribeVolumesCommand({}))),
      modify: () => failure(ec2.send(new ModifyVolumeCommand({ VolumeId: volume.id, Size: 500 }))),
    };
  };

  test('come exactly as often as asked, in the service s own words', async () => {
    const { world, describe } = start();
    world.faults.failNext('ec2', 'DescribeVolumes', { kind: 'throttle', times: 2 });
    world.faults.failNext('ec2', '*', { kind: 'internal' });
    world.faults.failNext('ec2', 'DescribeVolumes', { code: 'Server.Odd', status: 500 });
    expect([await describe(), await describe(), await describe(), await describe(), await describe()]).toEqual([
      'RequestLimitExceeded',
      'RequestLimitExceeded',
      'InternalError',
      'Server.Odd',
      'no error',
    ]);
  });

  test('before the effect leave nothing; after it, the effect', async () => {
    const { world, volume, modify } = start();
    world.faults.failNext('ec2', 'ModifyVolume', { kind: 'internal' });
    expect([await modify(), volume.modifications.length]).toEqual(['InternalError', 0]);
    world.faults.failNext('ec2', 'ModifyVolume', { kind: 'drop', afterEffect: true });
    expect([await modify(), volume.modifications.length]).toEqual(['TimeoutError', 1]);
    expect(world.calls.at(-1)?.error).toBe('ECONNRESET');
  });

  test('can be a delay, by the world s clock', async () => {
    const { world, describe } = start();
    world.faults.failNext('ec2', 'DescribeVolumes', { kind: 'delay', delayMs: 5_000 });
    let answered = false;
    const call = describe().then(() => {
      answered = true;
    });
    await world.clock.pass(4_000);
    expect(answered).toBe(false);
    await world.clock.pass(1_000);
    await call;
    expect(answered).toBe(true);
  });

  test('can be the real buckets: 50 at once, then ten a second', async () => {
    const { world } = start();
    const { ec2 } = clientsOf(world);
    world.faults.limit('ec2', 'DescribeInstances', EC2_DESCRIBE_BUCKET);
    const burst = async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 60 }, () => failure(ec2.send(new DescribeInstancesCommand({})))),
      );
      return outcomes.filter((outcome) => outcome === 'no error').length;
    };
    expect(await burst()).toBe(50);
    world.clock.advance(1_000);
    expect(await burst()).toBe(10);
    world.clock.advance(hours(1));
    expect(await burst()).toBe(50);
  });
});
