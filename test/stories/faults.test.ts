/** Hosts that babble or hang, and controllers that fight: nothing is done on what nobody can read, and nothing twice. The simulation has all of it at once. */
import { DeleteFlowLogsCommand } from '@aws-sdk/client-ec2';
import { signalMessage } from '../../events/steward/signal.ts';
import type { SignalKind } from '../../shared/core/signal.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import { minutes } from '../../shared/core/time.ts';
import { breakLoad, hostOf } from '../../world/fleet.ts';
import { makeFlowLog, makeVpc } from '../../world/flowLogs.ts';
import type { Run } from '../../world/hosts.ts';
import { clientsOf } from '../world/clients.ts';
import { createAccount } from './account.ts';

/** Each remediation that asks a host, with the signal that makes it ask. */
const ASKING: Readonly<Record<string, SignalKind>> = {
  'full-disk': 'disk.space-low',
  'memory-exhausted': 'memory.low',
  'cpu-exhausted': 'cpu.high',
  'log-agent-silent': 'log-agent.silent',
};

/** One host of which all of that is said, and that answers so. */
const asked = async (answer: () => Promise<Run>) => {
  const account = createAccount({ policy: { preset: 'automatic' } });
  const { world, fleet, clock } = account;
  const { id } = fleet.database;
  hostOf(world, id).publishes = false;
  breakLoad(world, id, { name: 'app.service', cpuPercent: 95 });
  await account.run(minutes(10));
  world.hostRunner = (instance) => (instance === id ? answer() : undefined);
  for (const kind of Object.values(ASKING))
    account.deliver(
      signalMessage({
        kind,
        target: instanceTarget(world, id),
        at: clock.now(),
        cause: 'an alarm',
        eventId: `${kind}@${clock.now()}`,
      }),
    );
  const mine = () => account.incidents().filter((i) => i.target.endsWith(id) && ASKING[i.remediation]);
  await account.run(minutes(40));
  const changes = world.calls.filter(
    (c) => c.principal.includes('-act@') && c.service !== 'sts' && !/inspect-/.test(JSON.stringify(c.input)),
  );
  return { mine, changes };
};

const told = Object.keys(ASKING).map((remediation) => expect.objectContaining({ remediation, state: 'escalated' }));

test.each<[string, Partial<Run>]>([
  ['nothing', { stdout: '' }],
  ['a shell’s complaint', { stdout: 'bash: line 1: syntax error near unexpected token `(', status: 'Failed' }],
  ['JSON that ends at 24,000 characters', { stdout: `{"version":1,"mounts":[${'{"path":"/srv"},'.repeat(2_000)}` }],
  ['what another version says', { stdout: '{"version":99,"mounts":"all","units":{},"agents":null}' }],
  ['colours around it', { stdout: '\u001b[31m{"version":1}\u001b[0m' }],
  ['a list', { stdout: '[]' }],
])('every look at a host is answered by %s: nothing is done, and a person is told of each', async (_what, run) => {
  const { mine, changes } = await asked(async () => ({
    status: 'Success',
    stderr: '',
    stdout: '',
    exitCode: 0,
    ...run,
  }));
  expect(mine()).toEqual(expect.arrayContaining(told));
  expect(changes).toEqual([]);
});

test('every look at a host hangs: nothing is done, and a person is told of each', async () => {
  const { mine, changes } = await asked(() => new Promise(() => {}));
  expect(mine()).toEqual(expect.arrayContaining(told));
  expect(changes).toEqual([]);
});

test('who deletes the flow log again and again is not fought with: it comes back once, then a person is told', async () => {
  const bucket = 'arn:aws:s3:::example-flow-logs';
  const destination = { type: 's3', arn: bucket };
  const { world, run, incidents } = createAccount({
    policy: { remediations: { 'flow-logs-missing': { destination } } },
  });
  const vpc = makeVpc(world, { tags: { 'steward:managed': 'true' } });
  makeFlowLog(world, { vpc: vpc.id, destination: bucket });
  for (let n = 0; n < 3; n++) {
    await run(minutes(15));
    const ids = [...world.ec2.flowLogs.keys()];
    if (ids.length > 0) await clientsOf(world).ec2.send(new DeleteFlowLogsCommand({ FlowLogIds: ids }));
  }
  await run(minutes(15));
  const mine = incidents().filter((i) => i.remediation === 'flow-logs-missing');
  expect(mine.flatMap((i) => i.attempts)).toHaveLength(1);
  expect(mine.filter((i) => i.state !== 'closed')).toMatchObject([
    { state: 'escalated', because: expect.stringMatching(/the very same was done/) },
  ]);
});
