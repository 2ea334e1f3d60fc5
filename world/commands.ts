/** Run Command: from SendCommand to the output, with the waits and the ways to fail that it has. */
import type {
  CommandInvocation,
  CommandInvocationStatus,
  CommandStatus,
  GetCommandInvocationResult,
} from '@aws-sdk/client-ssm';
import { instanceArn } from './arns.ts';
import { page } from './describe.ts';
import { bindParameters, findDocument } from './documents.ts';
import { type Host, isUp, type Run } from './hosts.ts';
import { runOnHost } from './scripts.ts';
import { AwsError } from './service.ts';
import type { SsmOperations } from './ssm.ts';
import type { World } from './world.ts';

export type Invocation = {
  readonly instanceId: string;
  status: CommandInvocationStatus;
  details: string;
  startedAt: number | undefined;
  endedAt: number | undefined;
  run: Run | undefined;
};

export type Command = {
  readonly id: string;
  /** As the caller named it. */
  readonly documentName: string;
  /** Without account and region. */
  readonly document: string;
  readonly parameters: Record<string, string[]>;
  readonly comment: string;
  readonly requestedAt: number;
  /** No delivery after this. */
  readonly expiresAt: number;
  readonly timeoutSeconds: number;
  readonly invocations: Map<string, Invocation>;
};

/** "The maximum number of seconds to wait for delivery": default 3,600; and a document's own default for its run. */
const DEFAULT_TIMEOUT_SECONDS = 3600;
const RETRY_DELIVERY = 5_000;
/** GetCommandInvocation: "The first 24,000 characters written by the plugin to stdout", 8,000 of stderr. */
const MAX_STDOUT = 24_000;
const MAX_STDERR = 8_000;
/** CommandInvocation and CommandPlugin: "Only 2500 characters of the output". */
const MAX_LISTED = 2_500;

const ENDED: readonly string[] = ['Success', 'Failed', 'TimedOut', 'Cancelled'];
const ended = ({ status }: Invocation) => ENDED.includes(status);

const commandStatus = ({ invocations }: Command): CommandStatus => {
  const all = [...invocations.values()];
  if (all.every(({ status }) => status === 'Pending')) return 'Pending';
  if (!all.every(ended)) return 'InProgress';
  const worst = (['Failed', 'TimedOut', 'Cancelled'] as const).find((status) =>
    all.some((one) => one.status === status),
  );
  return worst ?? 'Success';
};

const notify = (world: World, command: Command, { instanceId, status }: Invocation, before: CommandStatus) => {
  const requested = new Date(command.requestedAt).toISOString();
  const resources = [instanceArn(world, instanceId)];
  world.events.emit({
    source: 'aws.ssm',
    detailType: 'EC2 Command Invocation Status-change Notification',
    resources,
    detail: {
      'command-id': command.id,
      'document-name': command.documentName,
      'instance-id': instanceId,
      'requested-date-time': requested,
      status,
    },
  });
  if (commandStatus(command) === before) return;
  world.events.emit({
    source: 'aws.ssm',
    detailType: 'EC2 Command Status-change Notification',
    resources,
    detail: {
      'command-id': command.id,
      'document-name': command.documentName,
      'expire-after': new Date(command.expiresAt).toISOString(),
      parameters: command.parameters,
      'requested-date-time': requested,
      status: commandStatus(command),
    },
  });
};

type Change = { status: CommandInvocationStatus; details?: string; run?: Run };

const enter = (world: World, command: Command, invocation: Invocation, { status, details = status, run }: Change) => {
  if (ended(invocation)) return;
  const before = commandStatus(command);
  Object.assign(invocation, { status, details });
  if (run) invocation.run = run;
  if (status === 'InProgress') invocation.startedAt = world.clock.now();
  if (ended(invocation)) invocation.endedAt = world.clock.now();
  notify(world, command, invocation, before);
};

const finish = (world: World, command: Command, invocation: Invocation, run: Run) =>
  enter(world, command, invocation, { status: run.status, run });

/** Tries to hand the command to the agent until it expires. */
const deliver = (world: World, command: Command, invocation: Invocation) => {
  if (ended(invocation)) return;
  const { clock, settle } = world;
  const host = world.hosts.get(invocation.instanceId);
  if (!host) return enter(world, command, invocation, { status: 'Failed', details: 'Undeliverable' });
  if (clock.now() >= command.expiresAt)
    return enter(world, command, invocation, { status: 'TimedOut', details: 'DeliveryTimedOut' });
  if (host.agent === 'silent' || !isUp(world, host)) {
    clock.at(Math.min(clock.now() + RETRY_DELIVERY, command.expiresAt), () => deliver(world, command, invocation));
    return;
  }
  enter(world, command, invocation, { status: 'InProgress' });
  clock.at(clock.now() + DEFAULT_TIMEOUT_SECONDS * 1000, () =>
    enter(world, command, invocation, { status: 'TimedOut', details: 'ExecutionTimedOut' }),
  );
  const real = world.hostRunner?.(host.instanceId, command.document, command.parameters);
  if (real) {
    const failed = (error: unknown): Run => ({ status: 'Failed', stdout: '', stderr: String(error), exitCode: 255 });
    void real.catch(failed).then((run) => finish(world, command, invocation, run));
    return;
  }
  clock.at(clock.now() + (host.agent === 'slow' ? settle.commandRunSlow : settle.commandRun), () =>
    runNow(world, command, invocation, host),
  );
};

/** The script's effect comes with its end. A host that is down then has done nothing; one gone silent has, but cannot say so. */
const runNow = (world: World, command: Command, invocation: Invocation, host: Host) => {
  if (ended(invocation)) return;
  if (invocation.status === 'Cancelling') return enter(world, command, invocation, { status: 'Cancelled' });
  if (!isUp(world, host)) return;
  const run = runOnHost(world, host, command.document, command.parameters);
  if (host.agent !== 'silent') finish(world, command, invocation, run);
};

const find = (world: World, id: string): Command => {
  const command = world.ssm.commands.get(id);
  if (command) return command;
  throw new AwsError('InvalidCommandId', `The command ID ${id} is not valid.`);
};

/** Visible to reads a moment after the send. */
const visible = (world: World, command: Command) =>
  world.clock.now() >= command.requestedAt + world.settle.commandVisible;

const targets = (
  world: World,
  ids: readonly string[] | undefined,
  byTag: readonly { Key?: string | undefined; Values?: string[] | undefined }[],
) => {
  if (byTag.length === 0) return [...(ids ?? [])];
  return [...world.hosts.values()]
    .filter(({ instanceId, agent }) => {
      const instance = world.ec2.instances.get(instanceId);
      return (
        agent !== 'absent' &&
        byTag.every(({ Key = '', Values = [] }) =>
          Key === 'InstanceIds'
            ? Values.includes(instanceId)
            : Values.includes(instance?.tags[Key.replace(/^tag:/, '')] ?? ''),
        )
      );
    })
    .map(({ instanceId }) => instanceId);
};

/** "not in a valid state": not running, or its agent never registered. */
const checkInstances = (world: World, ids: readonly string[]) => {
  if (new Set(ids).size < ids.length)
    throw new AwsError('DuplicateInstanceId', 'You cannot specify a managed node ID in more than one association.');
  const invalid = ids.filter((id) => {
    const host = world.hosts.get(id);
    return !host || host.agent === 'absent' || world.ec2.instances.get(id)?.state !== 'running';
  });
  if (invalid.length > 0)
    throw new AwsError(
      'InvalidInstanceId',
      `Instances [[${invalid.join(', ')}]] not in a valid state for account ${world.account}`,
    );
};

const stderrOf = ({ stderr, exitCode }: Run) =>
  exitCode === 0 ? stderr : `${stderr}failed to run commands: exit status ${exitCode}`;

const describeInvocation = (command: Command, invocation: Invocation): GetCommandInvocationResult => {
  const { instanceId, status, details, startedAt, endedAt, run } = invocation;
  const seconds = startedAt !== undefined && endedAt !== undefined ? (endedAt - startedAt) / 1000 : 0;
  return {
    CommandId: command.id,
    InstanceId: instanceId,
    Comment: command.comment,
    DocumentName: command.documentName,
    DocumentVersion: '$DEFAULT',
    PluginName: run ? 'aws:runShellScript' : '',
    ResponseCode: run?.exitCode ?? -1,
    ExecutionStartDateTime: startedAt === undefined ? '' : new Date(startedAt).toISOString(),
    ExecutionElapsedTime: run ? `PT${seconds}S` : '',
    ExecutionEndDateTime: endedAt === undefined ? '' : new Date(endedAt).toISOString(),
    Status: status,
    StatusDetails: details,
    StandardOutputContent: run?.stdout.slice(0, MAX_STDOUT) ?? '',
    StandardOutputUrl: '',
    StandardErrorContent: run ? stderrOf(run).slice(0, MAX_STDERR) : '',
    StandardErrorUrl: '',
    CloudWatchOutputConfig: { CloudWatchLogGroupName: '', CloudWatchOutputEnabled: false },
  };
};

const listInvocation = (command: Command, invocation: Invocation, details: boolean): CommandInvocation => {
  const { instanceId, status, details: statusDetails, run, startedAt, endedAt } = invocation;
  const plugin = run && {
    Name: 'aws:runShellScript',
    Status: status === 'Success' ? ('Success' as const) : ('Failed' as const),
    StatusDetails: statusDetails,
    ResponseCode: run.exitCode,
    Output: run.stdout.slice(0, MAX_LISTED),
    ...(startedAt !== undefined && { ResponseStartDateTime: new Date(startedAt) }),
    ...(endedAt !== undefined && { ResponseFinishDateTime: new Date(endedAt) }),
  };
  return {
    CommandId: command.id,
    InstanceId: instanceId,
    InstanceName: '',
    Comment: command.comment,
    DocumentName: command.documentName,
    DocumentVersion: '$DEFAULT',
    RequestedDateTime: new Date(command.requestedAt),
    Status: status,
    StatusDetails: statusDetails,
    CommandPlugins: details && plugin ? [plugin] : [],
  };
};

export const commandOperations: SsmOperations = {
  SendCommand: (input, { world, at }) => {
    const document = findDocument(world, input.DocumentName ?? '');
    const parameters = bindParameters(document, input.Parameters ?? {});
    const ids = targets(world, input.InstanceIds, input.Targets ?? []);
    checkInstances(world, ids);
    const timeoutSeconds = input.TimeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS;
    const command: Command = {
      id: world.tokens.uuid(),
      documentName: input.DocumentName ?? '',
      document: document.name,
      parameters,
      comment: input.Comment ?? '',
      requestedAt: at,
      expiresAt: at + timeoutSeconds * 1000,
      timeoutSeconds,
      invocations: new Map(
        ids.map((instanceId) => [
          instanceId,
          {
            instanceId,
            status: 'Pending',
            details: 'Pending',
            startedAt: undefined,
            endedAt: undefined,
            run: undefined,
          },
        ]),
      ),
    };
    world.ssm.commands.set(command.id, command);
    for (const invocation of command.invocations.values()) {
      world.clock.at(at + world.settle.commandDelivery, () => deliver(world, command, invocation));
    }
    return {
      Command: {
        CommandId: command.id,
        DocumentName: command.documentName,
        DocumentVersion: '$DEFAULT',
        Comment: command.comment,
        Parameters: parameters,
        InstanceIds: input.InstanceIds ?? [],
        Targets: input.Targets ?? [],
        RequestedDateTime: new Date(at),
        ExpiresAfter: new Date(command.expiresAt),
        Status: 'Pending',
        StatusDetails: 'Pending',
        TimeoutSeconds: timeoutSeconds,
        TargetCount: ids.length,
        CompletedCount: 0,
        ErrorCount: 0,
        DeliveryTimedOutCount: 0,
      },
    };
  },

  GetCommandInvocation: (input, { world }) => {
    const command = find(world, input.CommandId ?? '');
    const invocation = command.invocations.get(input.InstanceId ?? '');
    if (!invocation || !visible(world, command)) throw new AwsError('InvocationDoesNotExist', '');
    return describeInvocation(command, invocation);
  },

  ListCommandInvocations: (input, { world }) => {
    const commands = input.CommandId ? [world.ssm.commands.get(input.CommandId)] : [...world.ssm.commands.values()];
    const wanted = commands
      .flatMap((command) =>
        command && visible(world, command)
          ? [...command.invocations.values()].map((invocation) => ({ command, invocation }))
          : [],
      )
      .filter(({ invocation }) => !input.InstanceId || invocation.instanceId === input.InstanceId)
      .filter(({ invocation }) =>
        (input.Filters ?? []).every(({ key, value }) => key !== 'Status' || invocation.status === value),
      );
    const { items, nextToken } = page(wanted, {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 50,
      invalidToken: 'InvalidNextToken',
    });
    return {
      CommandInvocations: items.map(({ command, invocation }) =>
        listInvocation(command, invocation, input.Details ?? false),
      ),
      ...(nextToken && { NextToken: nextToken }),
    };
  },

  /** "It's not guaranteed that the command will be terminated and the underlying process stopped." */
  CancelCommand: (input, { world }) => {
    const command = find(world, input.CommandId ?? '');
    for (const invocation of command.invocations.values()) {
      if (input.InstanceIds?.length && !input.InstanceIds.includes(invocation.instanceId)) continue;
      enter(world, command, invocation, { status: invocation.status === 'Pending' ? 'Cancelled' : 'Cancelling' });
    }
    return {};
  },
};
