/** What each adapter's call ends with when AWS, the network or IAM is in the way: our class, the subject, the cause, and how often it was tried. */
import { asOurs, calling } from '../../shared/aws/errors.ts';
import { awsPorts } from '../../shared/aws/ports.ts';
import { stsSessions } from '../../shared/aws/sessions.ts';
import { Forbidden, InvalidInput, NotFound, Refused, Throttled, Unavailable } from '../../shared/core/errors.ts';
import type { Ports } from '../../shared/core/ports.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import { addDocument } from '../../world/documents.ts';
import type { Fault } from '../../world/faults.ts';
import { rootCredentials } from '../../world/iam.ts';
import { makeInstance } from '../../world/instances.ts';
import { requestHandler } from '../../world/wire.ts';
import { createWorld } from '../../world/world.ts';
import { transportTo } from './transport.ts';

type Assume = ReturnType<typeof stsSessions>;

interface Call {
  readonly service: string;
  readonly operation: string;
  readonly says: string;
  /** A call that changes something and has no token is made once. */
  readonly tries: 1 | 3;
  run(ports: Ports, id: string, volume: string, assume: Assume): Promise<unknown>;
}
const calls: readonly Call[] = [
  {
    service: 'ec2',
    operation: 'DescribeInstances',
    says: 'cannot describe i-',
    tries: 3,
    run: (p, id) => p.instances.describe(id),
  },
  {
    service: 'ec2',
    operation: 'DescribeInstances',
    says: 'cannot count the instances tagged team=shop',
    tries: 3,
    run: (p) => p.instances.countByZone({ key: 'team', value: 'shop' }),
  },
  {
    service: 'ec2',
    operation: 'DescribeVolumes',
    says: 'cannot describe vol-',
    tries: 3,
    run: (p, _, volume) => p.volumes.attachedTo(volume),
  },
  {
    service: 'ec2',
    operation: 'DescribeVolumesModifications',
    says: 'cannot describe vol-',
    tries: 3,
    run: (p, _, volume) => p.volumes.describe([volume]),
  },
  {
    service: 'ec2',
    operation: 'ModifyVolume',
    says: 'cannot grow vol-',
    tries: 1,
    run: (p, _, volume) => p.volumes.grow(volume, 40),
  },
  {
    service: 'ssm',
    operation: 'DescribeInstanceInformation',
    says: 'cannot ask for the SSM agent of i-',
    tries: 3,
    run: (p, id) => p.hosts.agent(id),
  },
  {
    service: 'ssm',
    operation: 'SendCommand',
    says: 'cannot run inspect-disk on i-',
    tries: 3,
    run: (p, id) => p.hosts.inspect(id, 'inspect-disk', { Detail: 'usage', MinAgeHours: '24' }),
  },
  {
    service: 'ssm',
    operation: 'SendCommand',
    says: 'cannot run clean-disk on i-',
    tries: 1,
    run: (p, id) => p.hosts.start(id, 'clean-disk', { Mount: '/' }, 'token'),
  },
  {
    service: 'ssm',
    operation: 'GetCommandInvocation',
    says: 'cannot read command 1 of i-',
    tries: 3,
    run: (p, id) => p.hosts.result(id, 'grow-filesystem', '1'),
  },
  {
    service: 'ssm',
    operation: 'GetParameter',
    says: 'cannot read /drill',
    tries: 3,
    run: (p) => p.parameters.get('/drill'),
  },
  {
    service: 'ssm',
    operation: 'PutParameter',
    says: 'cannot write /drill',
    tries: 3,
    run: (p) => p.parameters.put('/drill', 'ill'),
  },
  {
    service: 'cloudwatch',
    operation: 'ListMetrics',
    says: 'cannot read disk_used_percent of i-',
    tries: 3,
    run: (p, id) =>
      p.metrics.series(
        { namespace: 'CWAgent', name: 'disk_used_percent', dimensions: { InstanceId: id, path: '/' } },
        { from: 0, to: 1, period: 300_000 },
      ),
  },
  {
    service: 'sts',
    operation: 'AssumeRole',
    says: 'cannot assume arn:aws:iam::111122223333:role/steward-test-remedy-full-disk for arn:',
    tries: 3,
    run: (p, id, _, assume) =>
      assume({
        remediation: 'full-disk',
        stage: 'test',
        target: instanceTarget(p.where, id),
        phase: 'act',
        policy: { Version: '2012-10-17', Statement: [] },
      }),
  },
];

/** Fault → class, and whether the SDK tries a read again. */
const faults: readonly (readonly [name: string, fault: Fault, kind: { name: string }, again: boolean])[] = [
  ['throttled', { kind: 'throttle' }, Throttled, true],
  ['an internal error', { kind: 'internal' }, Unavailable, true],
  ['no answer', { kind: 'drop' }, Unavailable, true],
  ['503', { code: 'ServiceUnavailable', status: 503 }, Unavailable, true],
  ['denied', { kind: 'denied' }, Forbidden, false],
  ['a token that IAM does not know', { code: 'InvalidClientTokenId', status: 403 }, Forbidden, false],
  ['a region that is not enabled', { code: 'OptInRequired', status: 403 }, Forbidden, false],
  ['an expired session', { code: 'ExpiredToken', status: 403 }, Throttled, false],
  ['a word that we do not know', { code: 'InvalidParameterCombination', status: 400 }, Refused, false],
];

const setUp = () => {
  const world = createWorld({ metrics: false });
  for (const name of ['inspect-disk', 'clean-disk', 'grow-filesystem']) addDocument(world, `steward-test-${name}`);
  const { id } = makeInstance(world, { type: 'm6i.large', running: true, zone: `${world.region}a`, tags: {} });
  const [volume] = world.ec2.volumes.keys();
  const transport = requestHandler(world);
  const options = { region: world.region, credentials: rootCredentials, transport };
  const ports = awsPorts({ ...options, account: world.account, stage: 'test', sleep: (ms) => world.clock.pass(ms) });
  return { world, id, volume: volume ?? '', ports, assume: stsSessions({ ...options, now: () => world.clock.now() }) };
};

const caught = async (call: Promise<unknown>): Promise<Error> =>
  call.then(
    () => new Error('nothing was thrown'),
    (e: Error) => e,
  );

test.each(faults)(
  '%s',
  async (_, fault, kind, again) => {
    // At once: the SDK waits between its tries.
    const came = calls.map(async (call) => {
      const { world, id, volume, ports, assume } = setUp();
      world.faults.failNext(call.service, call.operation, { ...fault, times: 9 });
      const error = await caught(call.run(ports, id, volume, assume));
      const tried = world.calls.filter(({ operation }) => operation === call.operation).length;
      return {
        says: call.says,
        kind: error.name,
        begins: error.message.startsWith(call.says),
        cause: error.cause instanceof Error,
        tried,
      };
    });
    expect(await Promise.all(came)).toEqual(
      calls.map(({ says, tries }) => ({ says, kind: kind.name, begins: true, cause: true, tried: again ? tries : 1 })),
    );
  },
  15_000,
);

test('one lost answer to a read is made good; one to a change is not repeated', async () => {
  const { world, id, volume, ports } = setUp();
  world.faults.failNext('ec2', 'DescribeInstances', { kind: 'drop' });
  expect((await ports.instances.describe(id)).id).toBe(id);
  world.faults.failNext('ec2', 'ModifyVolume', { kind: 'drop', afterEffect: true });
  expect(await caught(ports.volumes.grow(volume, 40))).toBeInstanceOf(Unavailable);
  expect(world.calls.filter(({ operation }) => operation === 'ModifyVolume')).toHaveLength(1);
  const [grown] = await ports.volumes.describe([volume]);
  expect(grown?.modification?.targetGiB).toBe(40);
});

test('what AWS declines keeps its code and its words', async () => {
  const { world, volume, ports } = setUp();
  const fault = { code: 'VolumeModificationRateExceeded', message: 'You have reached the maximum', status: 400 };
  world.faults.failNext('ec2', 'ModifyVolume', fault);
  const error = await caught(ports.volumes.grow(volume, 40));
  expect(error).toBeInstanceOf(Refused);
  expect((error as Refused).code).toBe('VolumeModificationRateExceeded');
  expect(error.message).toBe(`cannot grow ${volume} to 40 GiB: You have reached the maximum`);
});

test.each([
  ['what is no JSON', 'sh: not found', InvalidInput, /^the host's answer to command .* \(not JSON\): are its/],
  ['another shape', '{"version":2}', InvalidInput, /^the host's answer to command .* \(version\): are its/],
])('a host that answers %s', async (_, stdout, kind, says) => {
  const { world, id, ports } = setUp();
  world.hostRunner = async () => ({ status: 'Success', exitCode: 0, stdout, stderr: '' });
  const error = await caught(ports.hosts.inspect(id, 'inspect-disk', { Detail: 'usage', MinAgeHours: '24' }));
  expect(error).toBeInstanceOf(kind);
  expect(error.message).toMatch(says);
});

test.each([
  [
    '{"version":1,"error":{"code":"busy","message":"another run","remedy":"wait"}}',
    '',
    'busy',
    'another run',
    /^wait$/,
  ],
  [
    '',
    'df: not found\n',
    'exit-3',
    'df: not found\nfailed to run commands: exit status 3',
    /^look at command .* in Systems Manager$/,
  ],
  ['', '', 'exit-3', 'failed to run commands: exit status 3', /^look at command/],
])('a host that fails with %j %j', async (stdout, stderr, code, message, remedy) => {
  const { world, id, ports } = setUp();
  world.hostRunner = async () => ({ status: 'Failed', exitCode: 3, stdout, stderr });
  expect(await ports.hosts.inspect(id, 'inspect-disk', { Detail: 'usage', MinAgeHours: '24' })).toEqual({
    state: 'failed',
    commandId: expect.any(String),
    code,
    message,
    remedy: expect.stringMatching(remedy),
  });
});

test('a host that has gone silent: its command runs on, and is looked for later', async () => {
  const { world, id, ports } = setUp();
  world.hostRunner = () => new Promise(() => {});
  expect(await ports.hosts.inspect(id, 'inspect-disk', { Detail: 'usage', MinAgeHours: '24' })).toEqual({
    state: 'running',
    commandId: expect.any(String),
  });
});

test('nobody listens at the address', async () => {
  const options = {
    region: 'eu-central-1',
    credentials: rootCredentials,
    transport: transportTo('http://127.0.0.1:1'),
  };
  const ports = awsPorts({ ...options, account: '111122223333', stage: 'test', sleep: async () => {} });
  const error = await caught(ports.instances.describe('i-0123456789abcdef0'));
  expect(error).toBeInstanceOf(Unavailable);
  expect(error.message).toMatch(/^cannot describe i-0123456789abcdef0: .*ECONNREFUSED/);
});

test('no credentials at all: said by whom, not retried', async () => {
  const credentials = Object.assign(new Error('Could not load credentials from any providers'), {
    name: 'CredentialsProviderError',
  });
  expect(asOurs(credentials, 'cannot describe i-1')).toEqual(
    new Forbidden('cannot describe i-1: Could not load credentials from any providers'),
  );
});

describe('codes', () => {
  const error = (name: string, status: number, more: object = {}) =>
    Object.assign(new Error('words'), { name, $metadata: { httpStatusCode: status }, ...more });

  test.each([
    ['RequestLimitExceeded', 503, Throttled],
    ['EC2ThrottledException', 400, Throttled],
    ['Throttling', 400, Throttled],
    ['TooManyRequestsException', 429, Throttled],
    ['SomethingNew', 429, Throttled],
    ['PriorRequestNotComplete', 400, Throttled],
    // EC2 says so of an expired session and of a clock that is wrong.
    ['RequestExpired', 400, Throttled],
    ['RequestTimeTooSkewed', 403, Throttled],
    ['UnauthorizedOperation', 403, Forbidden],
    ['AuthFailure', 401, Forbidden],
    ['AccessDenied', 403, Forbidden],
    ['SignatureDoesNotMatch', 403, Forbidden],
    ['InvalidSignatureException', 400, Forbidden],
    ['InvalidVolume.NotFound', 400, NotFound],
    ['ParameterNotFound', 400, NotFound],
    ['InternalError', 500, Unavailable],
    ['Unavailable', 503, Unavailable],
    ['TimeoutError', 0, Unavailable],
    ['IncorrectState', 400, Refused],
    ['InvalidInstanceId', 400, Refused],
    ['ValidationException', 400, Refused],
  ])('%s with status %d', (code, status, kind) => {
    const cause = error(code, status || (undefined as never));
    const ours = asOurs(cause, 'cannot do it');
    expect(ours).toBeInstanceOf(kind);
    expect(ours.message).toBe('cannot do it: words');
    expect(ours.cause).toBe(cause);
  });

  test('of services that once spoke query, the old code or the new name will do', () => {
    const queue = error('KmsThrottled', 400, { Code: 'KMS.ThrottlingException' });
    expect(asOurs(queue, 'x')).toBeInstanceOf(Throttled);
    const alarm = error('ResourceNotFoundException', 404, { Code: 'ResourceNotFound' });
    expect(asOurs(alarm, 'x')).toBeInstanceOf(NotFound);
    expect((asOurs(error('QueueDoesNotExist', 400, { Code: 'Old' }), 'x') as Refused).code).toBe('Old');
  });

  test('without words the code says it', () => {
    const silent = Object.assign(new Error(''), { name: 'ParameterNotFound', $metadata: { httpStatusCode: 400 } });
    expect(asOurs(silent, 'cannot read /x').message).toBe('cannot read /x: ParameterNotFound');
  });

  test('what is ours already passes, and so does a bug', async () => {
    const mine = new NotFound('gone');
    expect(asOurs(mine, 'x')).toBe(mine);
    const bug = async () => (undefined as unknown as { a: string }).a;
    await expect(calling('cannot', bug)).rejects.toThrow(TypeError);
    // Broken bodies are the other side's: the SDK marks them.
    const broken = Object.assign(new SyntaxError('Unexpected token <'), { $metadata: { httpStatusCode: 200 } });
    expect(asOurs(broken, 'x')).toBeInstanceOf(Unavailable);
    expect(asOurs('thrown text', 'x')).toBeInstanceOf(Unavailable);
    expect(asOurs(undefined, 'x')).toBeInstanceOf(Unavailable);
  });
});
