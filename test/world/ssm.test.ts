import {
  CancelCommandCommand,
  CreateDocumentCommand,
  DeleteParameterCommand,
  DescribeInstanceInformationCommand,
  GetCommandInvocationCommand,
  GetParameterCommand,
  ListCommandInvocationsCommand,
  PutParameterCommand,
  SendCommandCommand,
} from '@aws-sdk/client-ssm';
import { hostOf, seedFleet } from '../../world/fleet.ts';
import { setAgent } from '../../world/hosts.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, hours, minutes } from './clients.ts';

const start = () => {
  const world = createWorld({ metrics: false });
  const { database } = seedFleet(world);
  const { ssm } = clientsOf(world);
  const send = async (
    Parameters: Record<string, string[]> = {},
    TimeoutSeconds = 600,
    DocumentName = 'steward-inspect-disk',
  ) =>
    (await ssm.send(new SendCommandCommand({ DocumentName, InstanceIds: [database.id], Parameters, TimeoutSeconds })))
      .Command?.CommandId;
  const get = (CommandId: string | undefined) =>
    ssm.send(new GetCommandInvocationCommand({ CommandId, InstanceId: database.id }));
  return { world, database, host: hostOf(world, database.id), ssm, send, get };
};

describe('a command', () => {
  test('does not exist at first, then is pending, in progress and done', async () => {
    const { world, send, get } = start();
    const id = await send();
    expect(await failure(get(id))).toBe('InvocationDoesNotExist');
    world.clock.advance(world.settle.commandVisible);
    expect(await get(id)).toMatchObject({ Status: 'Pending', ResponseCode: -1, StandardOutputContent: '' });
    world.clock.advance(world.settle.commandDelivery);
    expect(await get(id)).toMatchObject({ Status: 'InProgress' });
    world.clock.advance(world.settle.commandRun);
    expect(await get(id)).toMatchObject({
      Status: 'Success',
      StatusDetails: 'Success',
      ResponseCode: 0,
      PluginName: 'aws:runShellScript',
    });
  });

  test('to a silent agent times out; to one that comes back in time it arrives', async () => {
    const { world, host, send, get } = start();
    setAgent(world, host, 'silent');
    const lost = await send({}, 60);
    const late = await send({}, 600);
    world.clock.advance(minutes(2));
    expect(await get(lost)).toMatchObject({ Status: 'TimedOut', StatusDetails: 'DeliveryTimedOut' });
    setAgent(world, host, 'online');
    world.clock.advance(minutes(1));
    expect(await get(late)).toMatchObject({ Status: 'Success' });
  });

  test('may have had its effect though the agent fell silent and never said so', async () => {
    const { world, host, send, get } = start();
    const id = await send({ Mount: [Buffer.from('/').toString('base64')], Token: ['t1'] }, 600, 'steward-clean-disk');
    world.clock.advance(world.settle.commandDelivery);
    setAgent(world, host, 'silent');
    world.clock.advance(hours(2));
    expect(await get(id)).toMatchObject({ Status: 'TimedOut', StatusDetails: 'ExecutionTimedOut' });
    expect([...host.done.keys()]).toEqual(['clean-disk t1']);
  });

  test('is refused for an agent that never was, an instance that is stopped, a document nobody knows', async () => {
    const { world, host, database, send } = start();
    expect(await failure(send({}, 600, 'no-such-document'))).toBe('InvalidDocument');
    expect(await failure(send({}, 600, 'arn:aws:ssm:eu-central-1:999999999999:document/steward-inspect-disk'))).toBe(
      'InvalidDocument',
    );
    expect(await failure(send({}, 600, 'arn:aws:ssm:eu-central-1:111122223333:document/steward-inspect-disk'))).toBe(
      'no error',
    );
    setAgent(world, host, 'absent');
    await expect(send()).rejects.toThrow(`Instances [[${database.id}]] not in a valid state for account 111122223333`);
    setAgent(world, host, 'online');
    database.state = 'stopped';
    expect(await failure(send())).toBe('InvalidInstanceId');
  });

  test('can be cancelled: at once while pending, and not undone after its end', async () => {
    const { world, ssm, send, get } = start();
    const early = await send();
    await ssm.send(new CancelCommandCommand({ CommandId: early }));
    const late = await send();
    world.clock.advance(minutes(1));
    await ssm.send(new CancelCommandCommand({ CommandId: late }));
    expect((await get(early)).Status).toBe('Cancelled');
    expect((await get(late)).Status).toBe('Success');
  });

  test('is listed with the first 2,500 characters; its own call has 24,000', async () => {
    const { world, host, database, ssm, send, get } = start();
    world.hostRunner = async () => ({ status: 'Success', stdout: 'x'.repeat(30_000), stderr: '', exitCode: 0 });
    const id = await send();
    await world.clock.pass(minutes(1));
    expect((await get(id)).StandardOutputContent).toHaveLength(24_000);
    const { CommandInvocations = [] } = await ssm.send(
      new ListCommandInvocationsCommand({ CommandId: id, Details: true }),
    );
    expect(CommandInvocations).toMatchObject([{ InstanceId: database.id, Status: 'Success' }]);
    expect(CommandInvocations[0]?.CommandPlugins?.[0]?.Output).toHaveLength(2_500);
    expect(host.done.size).toBe(0);
  });

  test('goes to the runner only where there is one for the instance', async () => {
    const { world, send, get } = start();
    const asked: unknown[] = [];
    world.hostRunner = (...call) => {
      asked.push(call);
      return undefined;
    };
    const id = await send({ Detail: ['usage'] });
    world.clock.advance(minutes(1));
    expect(JSON.parse((await get(id)).StandardOutputContent ?? '')).toMatchObject({ version: 1, os: 'amzn 2023' });
    expect(asked).toEqual([[expect.any(String), 'steward-inspect-disk', { Detail: ['usage'] }]]);
  });

  test('tells EventBridge of each invocation and of itself', async () => {
    const { world, send } = start();
    const events: unknown[] = [];
    world.onEvent((event) => events.push([event['detail-type'], event.detail['status']]));
    await send();
    world.clock.advance(minutes(1));
    const [own, one] = ['EC2 Command Status-change Notification', 'EC2 Command Invocation Status-change Notification'];
    expect(events).toEqual([
      [one, 'InProgress'],
      [own, 'InProgress'],
      [one, 'Success'],
      [own, 'Success'],
    ]);
  });
});

describe('documents', () => {
  test('that are registered refuse what they do not declare', async () => {
    const { ssm, send } = start();
    const Content = JSON.stringify({
      schemaVersion: '2.2',
      parameters: { Mount: { type: 'String', allowedPattern: '[A-Za-z0-9+/=]*', default: '' } },
      mainSteps: [],
    });
    await ssm.send(new CreateDocumentCommand({ Name: 'mine-inspect-disk', Content, DocumentType: 'Command' }));
    expect(await failure(send({ Mount: ['Lw=='] }, 600, 'mine-inspect-disk'))).toBe('no error');
    expect(await failure(send({ Mount: ['/; rm'] }, 600, 'mine-inspect-disk'))).toBe('InvalidParameters');
    expect(await failure(send({ Path: ['Lw=='] }, 600, 'mine-inspect-disk'))).toBe('InvalidParameters');
    expect(await failure(ssm.send(new CreateDocumentCommand({ Name: 'mine-inspect-disk', Content })))).toBe(
      'DocumentAlreadyExists',
    );
  });
});

describe('managed instances', () => {
  test('ping every five minutes, and are lost after five of silence', async () => {
    const { world, host, database, ssm } = start();
    const info = async () =>
      (
        await ssm.send(
          new DescribeInstanceInformationCommand({ Filters: [{ Key: 'InstanceIds', Values: [database.id] }] }),
        )
      ).InstanceInformationList?.[0];
    expect(await info()).toMatchObject({ PingStatus: 'Online', LastPingDateTime: new Date(world.clock.now()) });
    setAgent(world, host, 'silent');
    world.clock.advance(minutes(4));
    expect((await info())?.PingStatus).toBe('Online');
    world.clock.advance(minutes(2));
    expect((await info())?.PingStatus).toBe('ConnectionLost');
    setAgent(world, host, 'absent');
    expect(await info()).toBeUndefined();
  });
});

describe('parameters', () => {
  test('are put once, overwritten when asked, and deleted', async () => {
    const { ssm } = start();
    const put = (Value: string, Overwrite?: boolean) =>
      ssm.send(new PutParameterCommand({ Name: '/steward/switch', Value, Type: 'String', Overwrite }));
    const get = () => ssm.send(new GetParameterCommand({ Name: '/steward/switch' }));
    expect(await failure(get())).toBe('ParameterNotFound');
    expect((await put('on')).Version).toBe(1);
    expect(await failure(put('off'))).toBe('ParameterAlreadyExists');
    expect((await put('off', true)).Version).toBe(2);
    expect((await get()).Parameter).toMatchObject({
      Value: 'off',
      Version: 2,
      ARN: 'arn:aws:ssm:eu-central-1:111122223333:parameter/steward/switch',
    });
    await ssm.send(new DeleteParameterCommand({ Name: '/steward/switch' }));
    expect(await failure(get())).toBe('ParameterNotFound');
  });
});
