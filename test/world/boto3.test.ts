/**
 * A client that no one here wrote: boto3 has its own models, serialisers and parsers.
 * Its venv is made once: `python3 -m venv .steward/boto3 && .steward/boto3/bin/pip install boto3==1.44.5`.
 * STEWARD_BOTO3=required fails where it is missing, instead of passing with a sentence.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { runInRealTime } from '../../world/clock.ts';
import { breakDisk, seedFleet } from '../../world/fleet.ts';
import { addRole } from '../../world/iam.ts';
import { listen } from '../../world/wire.ts';
import { createWorld } from '../../world/world.ts';

const PYTHON = new URL('../../.steward/boto3/bin/python', import.meta.url).pathname;
const SCRIPT = new URL('./boto3-client.py', import.meta.url).pathname;
const required = process.env['STEWARD_BOTO3'] === 'required';

test('boto3 talks to the world as to AWS', async () => {
  if (!existsSync(PYTHON) && !required) {
    console.warn(
      `boto3 was not asked: ${PYTHON} is missing. Make it with: python3 -m venv .steward/boto3 && .steward/boto3/bin/pip install boto3`,
    );
    return;
  }
  const world = createWorld();
  const { web, all } = seedFleet(world);
  addRole(world, 'remedy', []);
  const [server] = web;
  breakDisk(world, server!.id, { path: '/srv', usedPercent: 95 });
  world.clock.advance(300_000);
  const stop = runInRealTime(world.clock, { speed: 30 });
  const { url, close } = await listen(world);
  try {
    const { stdout } = await promisify(execFile)(PYTHON, [SCRIPT, url, server!.id], { timeout: 60_000 });
    expect(JSON.parse(stdout)).toEqual({
      'instances by tag, in pages': all.length,
      'a missing instance': ['InvalidInstanceID.NotFound', 400],
      'a dry run': ['DryRunOperation', 412],
      'the volume grows': [20, 60],
      'and only once at a time': 'IncorrectModificationState',
      'the modification': [60],
      'the agent': ['Online'],
      'the command': ['Success', 'amzn 2023'],
      'the parameter': ['ParameterAlreadyExists', 2, 'b & <c>'],
      'alarms in ALARM': ['disk web-1 /srv'],
      'the metric': [true, 'Complete'],
      "the metric's names": [
        ['AutoScalingGroupName', 'ImageId', 'InstanceId', 'InstanceType', 'device', 'fstype', 'path'],
      ],
      "the alarm's tags": { 'steward:managed': 'true' },
      'an unknown alarm': ['ResourceNotFound', 404],
      'the caller': 'arn:aws:iam::111122223333:root',
      'the session': 'arn:aws:sts::111122223333:assumed-role/remedy/python',
      'a presigned identity': true,
    });
  } finally {
    stop();
    await close();
  }
}, 90_000);
