/** AWS Health in the world, and our adapter over its wire. */
import { DescribeEventsCommand } from '@aws-sdk/client-health';
import { awsHealth } from '../../shared/aws/health.ts';
import { beginIssue, endIssue } from '../../world/health.ts';
import { rootCredentials } from '../../world/iam.ts';
import { requestHandler } from '../../world/wire.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure } from './clients.ts';

const make = () => {
  const world = createWorld({ metrics: false });
  const { region } = world;
  return { world, adapter: awsHealth({ region, credentials: rootCredentials, transport: requestHandler(world) }) };
};

test('open issues of EC2 and EBS, as the adapter tells them', async () => {
  const { world, adapter } = make();
  expect(await adapter.issues()).toEqual([]);
  const zonal = beginIssue(world, { zone: 'eu-central-1b' });
  const regional = beginIssue(world, { service: 'EBS' });
  endIssue(world, beginIssue(world));
  const common = { region: 'eu-central-1', since: zonal.startTime };
  expect(await adapter.issues()).toEqual([
    { arn: zonal.arn, service: 'EC2', zone: 'eu-central-1b', ...common },
    { arn: regional.arn, service: 'EBS', ...common },
  ]);
});

test('what is wrong with one thing is no issue of the service, and more than a page is read whole', async () => {
  const { world, adapter } = make();
  const last = Array.from({ length: 130 }, () => beginIssue(world)).at(-1);
  const code = 'AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED';
  if (last) world.health.events.push({ ...last, code, arn: last.arn.replaceAll(last.code, code) });
  expect(await adapter.issues()).toHaveLength(130);
  expect(world.calls).toHaveLength(2);
});

test('without Business support nothing is known, and AWS says why', async () => {
  const { world, adapter } = make();
  beginIssue(world);
  world.health.supported = false;
  expect(await failure(clientsOf(world).health.send(new DescribeEventsCommand({})))).toBe(
    'SubscriptionRequiredException',
  );
  expect(await adapter.issues()).toEqual({ unknown: expect.stringContaining('support plan') });
});

test('no answer is no answer: one repetition, and then it is not known', async () => {
  const { world, adapter } = make();
  world.faults.failNext('health', 'DescribeEvents', { kind: 'drop', times: 2 });
  expect(await adapter.issues()).toEqual({ unknown: expect.stringContaining('eu-central-1') });
  expect(await adapter.issues()).toEqual([]);
});
