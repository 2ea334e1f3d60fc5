import {
  GetCommandInvocationCommand,
  type GetCommandInvocationCommandOutput,
  type InstanceInformation,
  paginateDescribeInstanceInformation,
  SendCommandCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import * as z from 'zod/mini';
import { hostFailure } from '../core/disk.ts';
import { type DocumentName, type Inspection, type ReportOf, reports } from '../core/documents.ts';
import { InvalidInput } from '../core/errors.ts';
import type { HostRun, Hosts, Web } from '../core/ports.ts';
import { partitionOf } from '../core/target.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** How long SSM may take to hand a command to an agent that is online. Seconds; SSM's least is 30. */
const DELIVERY_SECONDS = 60;
/** How long a look waits for an `inspect-…`, which takes 2–5 s on a host. Milliseconds. */
const INSPECT_WAIT = 20_000;

type Text = Readonly<Record<string, string>>;

export type Agent = Awaited<ReturnType<Hosts['agent']>>;
export const ABSENT: Agent = { state: 'absent' };
const agentOf = ({ LastPingDateTime: seen, PingStatus }: InstanceInformation): Agent => ({
  state: PingStatus === 'Online' ? 'online' : 'silent',
  ...(seen ? { seenAt: seen.getTime() } : {}),
});

export interface ManyHosts extends Hosts {
  agents(ids: readonly string[]): Promise<ReadonlyMap<string, Agent>>;
}

export interface HostOptions extends ClientOptions {
  readonly account: string;
  readonly stage: string;
  readonly sleep: (ms: number) => Promise<void>;
  /** Another Internet than the real one. */
  readonly web?: Web;
}

/** SSM puts parameters into the script as text: names and paths go as base64, which cannot be anything but that. */
const ENCODED: readonly string[] = ['Mount', 'Unit', 'Config'];
const encode = (parameters: Text): Text =>
  Object.fromEntries(
    Object.entries(parameters).map(([k, v]) => [
      k,
      ENCODED.includes(k) ? Buffer.from(v, 'utf8').toString('base64') : v,
    ]),
  );

const answerOf = <T>(
  schema: z.ZodMiniType<T>,
  commandId: string,
  { StandardOutputContent = '', StandardErrorContent = '', ...r }: GetCommandInvocationCommandOutput,
): HostRun<T> => {
  switch (r.Status) {
    case 'Pending':
    case 'InProgress':
    case 'Delayed':
    case 'Cancelling':
      return { state: 'running', commandId };
    case 'Success':
      return { state: 'done', commandId, report: reportOf(schema, StandardOutputContent, commandId) };
    case 'Failed': {
      const failure = z.safeParse(hostFailure, maybeJson(StandardOutputContent));
      if (failure.success) return { state: 'failed', commandId, ...failure.data.error };
      const words = (StandardErrorContent || StandardOutputContent).trim().slice(-400);
      return {
        state: 'failed',
        commandId,
        code: `exit-${r.ResponseCode ?? 'unknown'}`,
        message: words || 'it printed nothing',
        remedy: `look at command ${commandId} in Systems Manager`,
      };
    }
    default:
      return { state: 'lost', commandId, message: `the command ended as ${r.StatusDetails ?? r.Status}` };
  }
};

/** The cast only says what the table's type says: a name's own schema. */
const schemaOf = <D extends DocumentName>(document: D) => reports[document] as unknown as z.ZodMiniType<ReportOf<D>>;

const maybeJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is an answer of its own: the schema then says no.
    return undefined;
  }
};

const reportOf = <T>(schema: z.ZodMiniType<T>, text: string, commandId: string): T => {
  const result = z.safeParse(schema, maybeJson(text));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new InvalidInput(
    `the host's answer to command ${commandId} cannot be read (${issue?.path.join('.') || 'not JSON'}): are its documents of this version?`,
  );
};

export const ssmHosts = ({ account, stage, sleep, ...options }: HostOptions): ManyHosts => {
  const reader = new SSMClient(clientConfig(options, 3));
  // SendCommand has no token; the host's own record of ours makes a repetition harmless, but none is made behind our back.
  const sender = new SSMClient(clientConfig(options, 1));

  const send = (
    client: SSMClient,
    id: string,
    document: DocumentName,
    parameters: Text,
  ): Promise<{ commandId: string }> =>
    calling(`cannot run ${document} on ${id}`, async () => {
      const { Command } = await client.send(
        new SendCommandCommand({
          DocumentName: `arn:${partitionOf(options.region)}:ssm:${options.region}:${account}:document/steward-${stage}-${document}`,
          InstanceIds: [id],
          TimeoutSeconds: DELIVERY_SECONDS,
          Parameters: Object.fromEntries(Object.entries(encode(parameters)).map(([k, v]) => [k, [v]])),
          Comment: `Steward: ${document}`,
        }),
      );
      if (!Command?.CommandId) throw new InvalidInput(`SSM took ${document} for ${id} without naming a command`);
      return { commandId: Command.CommandId };
    });

  const result = <T>(id: string, commandId: string, schema: z.ZodMiniType<T>): Promise<HostRun<T>> =>
    calling(`cannot read command ${commandId} of ${id}`, async (): Promise<HostRun<T>> => {
      try {
        return answerOf(
          schema,
          commandId,
          await reader.send(new GetCommandInvocationCommand({ CommandId: commandId, InstanceId: id })),
        );
      } catch (e) {
        // SSM needs a moment before it knows a command that it has just taken.
        if (e instanceof Error && e.name === 'InvocationDoesNotExist') return { state: 'running', commandId };
        throw e;
      }
    });

  const wait = async <T>(id: string, commandId: string, schema: z.ZodMiniType<T>): Promise<HostRun<T>> => {
    for (let waited = 0, pause = 300; ; pause = Math.min(pause * 1.5, 3_000)) {
      await sleep(pause);
      waited += pause;
      const run = await result(id, commandId, schema);
      if (run.state !== 'running' || waited >= INSPECT_WAIT) return run;
    }
  };

  const agents = (ids: readonly string[]) =>
    calling(`cannot ask for the SSM agent of ${ids.slice(0, 3).join(', ')}${ids.length > 3 ? ' …' : ''}`, async () => {
      const found: InstanceInformation[] = [];
      const asked = { Filters: [{ Key: 'InstanceIds', Values: [...ids] }] };
      for await (const page of paginateDescribeInstanceInformation({ client: reader, pageSize: 50 }, asked))
        found.push(...(page.InstanceInformationList ?? []));
      return new Map(found.map((i) => [i.InstanceId ?? '', agentOf(i)]));
    });

  return {
    agent: async (id) => (await agents([id])).get(id) ?? ABSENT,
    agents,
    inspect: async <D extends Inspection>(id: string, document: D, parameters: Text) => {
      const { commandId } = await send(reader, id, document, parameters);
      return wait(id, commandId, schemaOf(document));
    },
    start: (id, document, parameters, token) => send(sender, id, document, { ...parameters, Token: token }),
    result: (id, document, commandId) => result(id, commandId, schemaOf(document)),
  };
};
