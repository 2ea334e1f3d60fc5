/** Whole incidents of the remediation flow-logs-missing: VPCs that are made, and flow logs that are deleted or fail. */
import { CreateFlowLogsCommand, CreateVpcCommand, DeleteFlowLogsCommand, DeleteVpcCommand } from '@aws-sdk/client-ec2';
import type { Incident } from '../../shared/core/incident.ts';
import { minutes, seconds } from '../../shared/core/time.ts';
import { makeFlowLog, makeVpc } from '../../world/flowLogs.ts';
import { addUser } from '../../world/iam.ts';
import { createDesk } from '../cli/desk.ts';
import { clientsOf } from '../world/clients.ts';
import { type Account, type AccountOptions, createAccount } from './account.ts';

const BUCKET = 'arn:aws:s3:::example-flow-logs';
const GROUP = 'arn:aws:logs:eu-central-1:111122223333:log-group:/vpc/flow';
const ROLE = 'arn:aws:iam::111122223333:role/flow-logs';
const TERRAFORM = 'arn:aws:iam::111122223333:user/terraform';
const MANAGED = { 'steward:managed': 'true' };
const ALL = [{ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }];
const S3 = { type: 's3', arn: BUCKET };
const LOGS = { type: 'cloud-watch-logs', arn: GROUP, role: ROLE };

const policyWith = (destination: object | null, more = {}) => ({
  trusted: [TERRAFORM],
  remediations: { 'flow-logs-missing': { ...(destination && { destination }), ...more } },
});
const started = async (destination: object | null = S3, { policy = {}, ...options }: AccountOptions = {}) => {
  const account = createAccount({ ...options, policy: policyWith(destination, policy) });
  const vpc = makeVpc(account.world, { tags: { ...MANAGED } });
  const as = (name: string) => clientsOf(account.world, addUser(account.world, name, ALL as never)).ec2;
  return { account, vpc, ines: as('ines'), terraform: as('terraform') };
};
const incidentOf = (account: Account, vpc: { id: string }): Incident | undefined => account.incidentOf(`vpc/${vpc.id}`);
const state = (account: Account, vpc: { id: string }, ...states: string[]) => {
  return () => states.includes(incidentOf(account, vpc)?.state ?? '');
};
const flowLogs = ({ world }: Account) => [...world.ec2.flowLogs.values()];
const creations = ({ world }: Account) =>
  world.calls.filter((c) => c.action === 'ec2:CreateFlowLogs' && c.principal.includes('remedy'));

describe('a healthy end', () => {
  test.each([
    ['a bucket', S3, { destination: BUCKET, type: 's3', role: undefined }],
    ['a log group', LOGS, { destination: GROUP, type: 'cloud-watch-logs', role: ROLE }],
    [
      'rejected traffic, minute by minute',
      { ...S3, traffic: 'REJECT', maxAggregationSeconds: 60 },
      { traffic: 'REJECT', maxAggregationSeconds: 60 },
    ],
  ])('a VPC without one gets one to %s', async (_what, destination, made) => {
    const { account, vpc } = await started(destination);
    await account.run(minutes(10), state(account, vpc, 'closed'));
    expect(incidentOf(account, vpc)).toMatchObject({
      end: 'healthy',
      attempts: [{ rung: 'create', effect: 'effective' }],
    });
    expect(flowLogs(account)).toMatchObject([{ vpc: vpc.id, ...made, tags: { 'steward:owner': 'flow-logs-missing' } }]);
  });

  test('a deleted one is found by the survey and created again', async () => {
    const { account, vpc, ines } = await started();
    const { id } = makeFlowLog(account.world, { vpc: vpc.id, destination: BUCKET });
    await account.run(minutes(6));
    expect(incidentOf(account, vpc)).toBeUndefined();
    await ines.send(new DeleteFlowLogsCommand({ FlowLogIds: [id] }));
    const from = account.clock.now();
    await account.run(minutes(10), state(account, vpc, 'closed'));
    expect(incidentOf(account, vpc)).toMatchObject({ end: 'healthy' });
    expect(account.clock.now() - from).toBeLessThan(minutes(6));
    expect(flowLogs(account)).toHaveLength(1);
  });

  test('a new VPC is seen by its event', async () => {
    const { account, ines } = await started();
    await account.run(minutes(6));
    const tags = [{ ResourceType: 'vpc' as const, Tags: [{ Key: 'steward:managed', Value: 'true' }] }];
    const { Vpc } = await ines.send(new CreateVpcCommand({ CidrBlock: '10.9.0.0/16', TagSpecifications: tags }));
    const vpc = { id: Vpc?.VpcId ?? '' };
    await account.run(seconds(60), state(account, vpc, 'closed'));
    expect(incidentOf(account, vpc)).toMatchObject({ end: 'healthy', attempts: [{ rung: 'create' }] });
  });

  test('one with less traffic, or to elsewhere, stays and does not count', async () => {
    const { account, vpc } = await started();
    makeFlowLog(account.world, { vpc: vpc.id, destination: BUCKET, traffic: 'REJECT' });
    makeFlowLog(account.world, { vpc: vpc.id, destination: 'arn:aws:s3:::other' });
    await account.run(minutes(10), state(account, vpc, 'closed'));
    expect(incidentOf(account, vpc)).toMatchObject({ end: 'healthy' });
    expect(incidentOf(account, vpc)?.log.some((l) => l.say.includes('it has 2 with another destination'))).toBe(true);
    expect(flowLogs(account)).toHaveLength(3);
  });

  test('all traffic is enough where rejected traffic is declared, however the destination is written', async () => {
    const { account, vpc } = await started({ ...LOGS, traffic: 'REJECT' });
    makeFlowLog(account.world, { vpc: vpc.id, type: 'cloud-watch-logs', destination: `${GROUP}:*` });
    await account.run(minutes(12));
    expect(incidentOf(account, vpc)).toBeUndefined();
  });

  test('a lost reply is looked at: there is one flow log in the end', async () => {
    const { account, vpc } = await started();
    account.world.faults.failNext('ec2', 'CreateFlowLogs', { kind: 'drop', afterEffect: true, times: 3 });
    await account.run(minutes(12), state(account, vpc, 'closed'));
    expect(incidentOf(account, vpc)).toMatchObject({ end: 'healthy', attempts: [{ outcome: { kind: 'ambiguous' } }] });
    expect(flowLogs(account)).toHaveLength(1);
  });

  test('what was created and is not shown yet is not created twice', async () => {
    const { account, vpc } = await started();
    Object.assign(account.world.lag, { ms: 40_000, chance: 1 });
    await account.run(minutes(12), state(account, vpc, 'closed'));
    expect(incidentOf(account, vpc)).toMatchObject({ end: 'healthy' });
    expect(creations(account)).toHaveLength(1);
  });
});

describe('nothing is done', () => {
  test('without a destination it is idle, and says so when it is asked', async () => {
    const { account, ines } = await started(null);
    const tags = [{ ResourceType: 'vpc' as const, Tags: [{ Key: 'steward:managed', Value: 'true' }] }];
    const { Vpc } = await ines.send(new CreateVpcCommand({ CidrBlock: '10.9.0.0/16', TagSpecifications: tags }));
    await account.run(minutes(12));
    const incidents = account.incidents().filter((i) => i.remediation === 'flow-logs-missing');
    expect(incidents).toMatchObject([
      { end: 'not-ours', because: expect.stringContaining('no destination is declared') },
    ]);
    expect(incidents[0]?.target).toContain(Vpc?.VpcId);
  });

  test('a VPC without the tag', async () => {
    const { account, ines } = await started();
    const { Vpc } = await ines.send(new CreateVpcCommand({ CidrBlock: '10.9.0.0/16' }));
    const vpc = { id: Vpc?.VpcId ?? '' };
    await account.run(minutes(12));
    expect(incidentOf(account, vpc)).toMatchObject({ end: 'not-ours' });
    expect(incidentOf(account, vpc)?.because).toContain('does not carry the tag steward:managed=true');
    expect(flowLogs(account).filter((f) => f.vpc === vpc.id)).toEqual([]);
  });

  test('before a trusted principal that made the VPC had time to make its flow log too', async () => {
    const { account, terraform } = await started();
    await account.run(minutes(6));
    const tags = [{ ResourceType: 'vpc' as const, Tags: [{ Key: 'steward:managed', Value: 'true' }] }];
    const { Vpc } = await terraform.send(new CreateVpcCommand({ CidrBlock: '10.9.0.0/16', TagSpecifications: tags }));
    const vpc = { id: Vpc?.VpcId ?? '' };
    await account.run(minutes(3));
    expect(incidentOf(account, vpc)).toMatchObject({ state: 'waiting' });
    expect(incidentOf(account, vpc)?.because).toContain('may be about to create it');
    const flowLog = { ResourceIds: [vpc.id], ResourceType: 'VPC' as const, TrafficType: 'ALL' as const };
    await terraform.send(new CreateFlowLogsCommand({ ...flowLog, LogDestinationType: 's3', LogDestination: BUCKET }));
    await account.run(minutes(10), state(account, vpc, 'closed'));
    expect(incidentOf(account, vpc)).toMatchObject({ end: 'healthy', attempts: [] });
  });

  test('a VPC that is gone closes its incident', async () => {
    const { account, vpc, ines } = await started(S3, { policy: { mode: 'ask' } });
    await account.run(minutes(6), state(account, vpc, 'asking'));
    await ines.send(new DeleteVpcCommand({ VpcId: vpc.id }));
    await account.run(minutes(20), state(account, vpc, 'closed'));
    expect(incidentOf(account, vpc)).toMatchObject({ end: 'gone', attempts: [] });
  });
});

describe('a person is told', () => {
  test('that one fails to deliver, in AWS’s words; a second one is not tried', async () => {
    const { account, vpc } = await started(LOGS);
    makeFlowLog(account.world, {
      vpc: vpc.id,
      type: 'cloud-watch-logs',
      destination: GROUP,
      role: ROLE,
      error: 'Access error',
    });
    await account.run(minutes(10), state(account, vpc, 'escalated'));
    expect(incidentOf(account, vpc)?.because).toContain(`delivers nothing to ${GROUP}: Access error`);
    expect(incidentOf(account, vpc)?.remedy).toContain('vpc-flow-logs.amazonaws.com');
    expect(creations(account)).toEqual([]);
  });

  test('that the new one fails', async () => {
    const { account, vpc } = await started(LOGS);
    account.world.ec2.unreachable.set(GROUP, 'Access error');
    await account.run(minutes(10), state(account, vpc, 'escalated'));
    expect(incidentOf(account, vpc)).toMatchObject({ attempts: [{ rung: 'create', effect: 'ineffective' }] });
    expect(creations(account)).toHaveLength(1);
    // A person mends the role: AWS delivers, the incident ends.
    for (const flowLog of flowLogs(account)) flowLog.error = undefined;
    await account.run(minutes(20), state(account, vpc, 'closed'));
    expect(incidentOf(account, vpc)).toMatchObject({ end: 'healthy' });
  });

  test('that AWS refuses the bucket', async () => {
    const { account, vpc } = await started();
    account.world.ec2.unreachable.set(BUCKET, 'Access error');
    await account.run(minutes(10), state(account, vpc, 'escalated'));
    expect(incidentOf(account, vpc)?.because).toContain('LogDestination: example-flow-logs is undeliverable');
    expect(flowLogs(account)).toEqual([]);
  });

  test('that it is blind', async () => {
    const { account, vpc } = await started();
    account.world.faults.failNext('ec2', 'DescribeFlowLogs', { times: 10_000 });
    const tags = [{ ResourceType: 'vpc' as const, Tags: [{ Key: 'steward:managed', Value: 'true' }] }];
    const { ec2 } = clientsOf(account.world);
    const { Vpc } = await ec2.send(new CreateVpcCommand({ CidrBlock: '10.9.0.0/16', TagSpecifications: tags }));
    const blind = { id: Vpc?.VpcId ?? '' };
    await account.run(minutes(30), state(account, blind, 'escalated'));
    expect(incidentOf(account, blind)?.because).toContain('it cannot be seen: cannot describe the flow logs');
    expect(incidentOf(account, vpc)).toBeUndefined();
    expect(creations(account)).toEqual([]);
  });
});

test.each([S3, LOGS])('a person may have it put back: only what it created goes ($type)', async (destination) => {
  const desk = createDesk({ policy: policyWith(destination) });
  const { account } = desk;
  const vpc = makeVpc(account.world, { tags: { ...MANAGED } });
  const other = makeFlowLog(account.world, { vpc: vpc.id, destination: 'arn:aws:s3:::other', tags: { ...MANAGED } });
  await account.run(minutes(10), state(account, vpc, 'closed'));
  expect(flowLogs(account)).toHaveLength(2);
  const undone = await desk.steward('alice')('undo', incidentOf(account, vpc)?.id ?? '', '--json');
  expect(undone.code).toBe(0);
  await account.run(seconds(30));
  expect(incidentOf(account, vpc)).toMatchObject({ end: 'undone' });
  expect(flowLogs(account).map((f) => f.id)).toEqual([other.id]);
});
