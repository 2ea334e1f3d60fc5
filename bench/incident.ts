/**
 * One whole incident (a disk at 93 %, nothing to clean: the volume grows, then the file system, then it is healthy), run by Steward's own code over the
 * world and a DynamoDB emulator: what it costs. And one look at an open incident, over and over: what a pass takes beside waiting for AWS.
 */
import { Client } from '@smithy/core/client';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { lookMessage } from '../events/steward/signal.ts';
import { dynamoStore } from '../shared/aws/store.ts';
import type { Incident } from '../shared/core/incident.ts';
import { minutes, seconds } from '../shared/core/time.ts';
import { answerMessage } from '../shared/runtime/heal.ts';
import { type AccountOptions, createAccount } from '../test/stories/account.ts';
import { breakDisk } from '../world/fleet.ts';
import { createMeter, type Index } from './meter.ts';

export interface Table {
  readonly endpoint: string;
  readonly name: string;
  readonly indexes: readonly Index[];
}

/** Time in which at least one wait is under way. */
const createStopwatch = () => {
  let waiting = 0;
  let since = 0;
  let total = 0;
  const around = async <T>(wait: () => Promise<T>): Promise<T> => {
    if (waiting++ === 0) since = performance.now();
    try {
      return await wait();
    } finally {
      if (--waiting === 0) total += performance.now() - since;
    }
  };
  return { around, isWaiting: () => waiting > 0, waited: () => total + (waiting > 0 ? performance.now() - since : 0) };
};

/** An account whose table is a real one over HTTP, metered. */
export const measured = (table: Table, options: AccountOptions = {}) => {
  const [network, calls, sleep] = [createStopwatch(), createStopwatch(), createStopwatch()];
  const meter = createMeter(table.indexes);
  const { hostname, port, protocol } = new URL(table.endpoint);
  const http = new NodeHttpHandler();
  let tableCalls = 0;
  const transport = {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: (request: Parameters<typeof http.handle>[0]) =>
      network.around(async () => {
        tableCalls++;
        Object.assign(request, { hostname, port: Number(port), protocol });
        request.headers['host'] = `${hostname}:${port}`;
        const { response } = await http.handle(request);
        const chunks: Buffer[] = [];
        for await (const chunk of response.body) chunks.push(chunk);
        const body = Buffer.concat(chunks);
        const operation = request.headers['x-amz-target']?.split('.')[1] ?? '';
        if (response.statusCode === 200)
          meter.count(operation, JSON.parse(String(request.body)), JSON.parse(body.toString('utf8')));
        response.body = new Blob([body]).stream();
        return { response };
      }),
    updateHttpClientConfig: () => {},
    httpHandlerConfigs: () => ({}),
    destroy: () => http.destroy(),
  };
  const account = createAccount({
    ...options,
    wire: true,
    around: (what, wait) => network.around(() => (what === 'call' ? wait() : calls.around(() => sleep.around(wait)))),
    store: dynamoStore({
      region: 'eu-central-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      table: table.name,
      retentionDays: 400,
      now: () => Date.now(),
      transport,
    }),
  });
  return { account, network, calls, sleep, meter, tableCalls: () => tableCalls };
};

export interface IncidentCost {
  readonly writeUnits: number;
  readonly readUnits: number;
  /** EC2, SSM, CloudWatch, STS and DynamoDB together. */
  readonly awsCalls: number;
  readonly passes: number;
  /** From the signal to healthy, in the world's time. */
  readonly healedMs: number;
}

/** The alarm as SNS delivers it. */
const alarmOf = (account: string, id: string, at: number): string =>
  JSON.stringify({
    AlarmName: `disk of ${id}`,
    AlarmArn: `arn:aws:cloudwatch:eu-central-1:${account}:alarm:disk-${id}`,
    AWSAccountId: account,
    NewStateValue: 'ALARM',
    NewStateReason: 'Threshold Crossed',
    StateChangeTime: new Date(at).toISOString().replace('Z', '+0000'),
    Trigger: { MetricName: 'disk_used_percent', Namespace: 'CWAgent', Dimensions: [{ name: 'InstanceId', value: id }] },
  });

const broken = async (table: Table, options?: AccountOptions) => {
  const m = measured(table, options);
  const { account } = m;
  const id = account.fleet.web[0]?.id ?? '';
  const arn = `arn:aws:ec2:${account.world.region}:${account.world.account}:instance/${id}`;
  // Just after a minute's sweep: what follows is this incident's alone.
  await account.run(minutes(4) + seconds(2));
  breakDisk(account.world, id, { path: '/srv', usedPercent: 93 });
  const latest = async (): Promise<Incident | undefined> => (await account.deps.store.ofTarget(arn, 1))[0];
  const signal = () => account.deliver(alarmOf(account.world.account, id, account.clock.now()));
  return { ...m, signal, latest };
};

export const incidentCost = async (table: Table): Promise<IncidentCost> => {
  const { account, meter, tableCalls, signal, latest } = await broken(table);
  const start = {
    ...meter.units,
    outcomes: account.outcomes.length,
    calls: account.world.calls.length + tableCalls(),
    at: account.clock.now(),
  };
  signal();
  const isClosed = () => account.outcomes.some((o) => o.answers.some((a) => a.state === 'closed'));
  await account.run(seconds(50), isClosed);
  const cost = {
    writeUnits: meter.units.write - start.write,
    readUnits: meter.units.read - start.read,
    awsCalls: account.world.calls.length + tableCalls() - start.calls,
    passes: account.outcomes.slice(start.outcomes).flatMap((o) => o.answers).length,
    healedMs: account.clock.now() - start.at,
  };
  const incident = await latest();
  if (incident?.end !== 'healthy') throw new Error(`the measured incident did not end healthy: ${incident?.because}`);
  return cost;
};

/** Own time of one pass, in milliseconds. */
export interface PassTime {
  /** Beside waiting for the network and for time: the AWS SDK's own work is in it. */
  readonly withSdk: number;
  /** Beside calls to AWS as a whole. */
  readonly own: number;
}

/** Every call of every SDK client goes through `send`. */
const aroundCalls = (around: <T>(wait: () => Promise<T>) => Promise<T>): (() => void) => {
  const { send } = Client.prototype;
  Client.prototype.send = function (this: unknown, ...call: unknown[]) {
    return around(() => (send as (...all: unknown[]) => Promise<unknown>).apply(this, call));
  } as typeof send;
  return () => {
    Client.prototype.send = send;
  };
};

/** The own time of each of `count` looks at an incident that may not be acted on; 50 before them warm up. */
export const passTimes = async (table: Table, count: number): Promise<readonly PassTime[]> => {
  const { account, network, calls, sleep, signal, latest } = await broken(table, {
    deaf: true,
    policy: { remediations: { 'full-disk': { mode: 'watch' } } },
  });
  signal();
  await account.run(seconds(30));
  const incident = await latest();
  if (incident?.state !== 'refused')
    throw new Error(`the watched incident is ${incident?.state}: ${incident?.because}`);
  const { target, remediation, id } = incident;
  // The looks that each of these asks for would come all at once after a quarter of an hour.
  const deps = { ...account.deps, queue: { send: async () => {} } };
  const restore = aroundCalls(calls.around);
  const look = async (): Promise<PassTime> => {
    const began = { at: performance.now(), network: network.waited(), calls: calls.waited() };
    let ended = 0;
    const pass = answerMessage(lookMessage({ target, remediation, incident: id }), deps).finally(() => {
      ended = performance.now();
    });
    while (ended === 0) {
      await new Promise(setImmediate);
      // Only a command on a host takes the world's time.
      if (sleep.isWaiting()) account.clock.advance(50);
    }
    await pass;
    const waited = network.waited() - began.network;
    return { withSdk: ended - began.at - waited, own: ended - began.at - (calls.waited() - began.calls) };
  };
  const times: PassTime[] = [];
  for (let n = 0; n < count + 50; n++) times.push(await look());
  restore();
  return times.slice(50);
};
