/** The CLI as it is started, against a Lambda endpoint on loopback: what goes wrong on the way is one sentence, never a stack. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'esbuild';

type Answer = { status: number; headers?: Record<string, string>; body: string };
let answers: (request: { url: string; body: string }) => Answer;
let seen: { url: string; body: string }[] = [];
let server: Server;
let url = '';

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => {
      body += part;
    });
    request.on('end', () => {
      const given = { url: request.url ?? '', body };
      seen.push(given);
      const { status, headers = {}, body: text } = answers(given);
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  seen = [];
});

const KEYS = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret', AWS_REGION: 'eu-central-1' };

/** The machine's own Node, as a user's would be: an older one has to find the Node 24 of the package. */
const steward = (argv: string[], env: Record<string, string | undefined> = KEYS) =>
  new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child: ChildProcess = spawn('node', ['cli/bin.mjs', ...argv], {
      env: {
        PATH: process.env['PATH'],
        HOME: '/nonexistent',
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_MAX_ATTEMPTS: '1',
        AWS_ENDPOINT_URL_LAMBDA: url,
        ...env,
      },
    });
    const said = { out: '', err: '' };
    child.stdout?.on('data', (part) => {
      said.out += part;
    });
    child.stderr?.on('data', (part) => {
      said.err += part;
    });
    child.on('close', (code) => resolve({ code, ...said }));
  });

const awsError = (status: number, type: string, message: string): Answer => ({
  status,
  headers: { 'x-amzn-errortype': type },
  body: JSON.stringify({ Type: 'User', message, Message: message }),
});

test('a question goes to the function of the stage, and its answer is shown', async () => {
  answers = () => ({ status: 200, body: JSON.stringify({ ok: true, result: { at: 0, incidents: [] } }) });
  expect(await steward(['incidents', '--stage', 'prod'])).toEqual({ code: 0, out: 'There is none.\n', err: '' });
  expect(seen).toMatchObject([
    { url: '/2015-03-31/functions/steward-prod-answer/invocations', body: '{"ask":{"do":"incidents","limit":50}}' },
  ]);
});

test('a command carries a signature that names it, and no secret', async () => {
  answers = () => ({
    status: 200,
    body: JSON.stringify({ ok: true, result: { by: 'x', say: 'y', next: 'z', at: 0 } }),
  });
  expect((await steward(['pause', '--reason', 'x'])).code).toBe(0);
  const { command, stage, proof } = JSON.parse(seen[0]?.body ?? '');
  expect({ command, stage }).toEqual({ command: { do: 'pause', scope: 'all', why: 'x' }, stage: 'dev' });
  expect(proof).toMatchObject({
    host: 'sts.eu-central-1.amazonaws.com',
    'x-steward-command': expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(seen[0]?.body).not.toContain('secret');
});

test.each<[string, Answer, number, RegExp]>([
  [
    'not deployed',
    awsError(
      404,
      'ResourceNotFoundException',
      'Function not found: arn:aws:lambda:eu-central-1:111122223333:function:steward-dev-answer',
    ),
    4,
    /^✗ Steward is not deployed as stage dev in eu-central-1 .*\n {2}→ npx serverless deploy --stage dev --region eu-central-1/,
  ],
  [
    'may not',
    awsError(
      403,
      'AccessDeniedException',
      'User: arn:aws:iam::1:user/x is not authorized to perform: lambda:InvokeFunction',
    ),
    1,
    /may not call Steward.*\n {2}→ grant lambda:InvokeFunction on the function steward-dev-answer/,
  ],
  [
    'throttled',
    awsError(429, 'TooManyRequestsException', 'Rate Exceeded.'),
    1,
    /Lambda is throttled.*\n {2}→ try again/,
  ],
  [
    'unknown key',
    awsError(403, 'UnrecognizedClientException', 'The security token included in the request is invalid.'),
    1,
    /does not know these credentials/,
  ],
  [
    'expired',
    awsError(403, 'ExpiredTokenException', 'The security token included in the request is expired'),
    1,
    /have expired\n {2}→ sign in again/,
  ],
  [
    'the function fails',
    {
      status: 200,
      headers: { 'x-amz-function-error': 'Unhandled' },
      body: JSON.stringify({ errorType: 'Sandbox.Timedout', errorMessage: 'Task timed out after 60.00 seconds' }),
    },
    1,
    /steward-dev-answer failed: Task timed out after 60.00 seconds\n {2}→ see its log group \/aws\/lambda\/steward-dev-answer/,
  ],
  ['nonsense', { status: 200, body: 'null' }, 1, /answered nothing/],
  [
    'a rule says no',
    { status: 200, body: JSON.stringify({ ok: false, kind: 'refused', message: 'no', remedy: 'do' }) },
    3,
    /^✗ no\n {2}→ do\n$/,
  ],
])('%s', async (_what, answer, code, words) => {
  answers = () => answer;
  const said = await steward(['status']);
  expect(said.err).toMatch(words);
  expect(said.err).not.toMatch(/\n\s+at /);
  expect(said).toMatchObject({ code, out: '' });
});

test('no credentials, no region, no network', async () => {
  expect(await steward(['status'], { AWS_REGION: 'eu-central-1' })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/there are no AWS credentials/),
  });
  expect(await steward(['pause', '--reason', 'x'], { AWS_REGION: 'eu-central-1' })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/there are no AWS credentials/),
  });
  expect(await steward(['status'], { ...KEYS, AWS_REGION: undefined })).toMatchObject({
    code: 2,
    err: expect.stringMatching(/no AWS region is given/),
  });
  expect(await steward(['status', '--profile', 'nobody'], { AWS_REGION: 'eu-central-1' })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/credentials/),
  });
  expect(await steward(['status'], { ...KEYS, AWS_ENDPOINT_URL_LAMBDA: 'http://127.0.0.1:1' })).toMatchObject({
    code: 1,
    err: expect.stringMatching(/AWS cannot be reached/),
  });
});

test('help needs no credentials, and loads neither the SDK nor zod', async () => {
  const { code, out } = await steward(['--help'], {});
  expect(code).toBe(0);
  expect(out).toMatch(/Exit codes:[\s\S]*lambda:InvokeFunction/);
  const { metafile } = await build({
    entryPoints: ['cli/main.ts'],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    outdir: 'unwritten',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  const loaded = (file: string): string[] => {
    const { inputs, imports } = metafile.outputs[file] ?? { inputs: {}, imports: [] };
    return [
      ...Object.keys(inputs),
      ...imports.filter((i) => i.kind === 'import-statement').flatMap((i) => loaded(i.path)),
    ];
  };
  const atStart = loaded('unwritten/main.js');
  expect(atStart).toContain('cli/program.ts');
  expect(atStart.filter((path) => /@aws-sdk|@smithy|\/zod\//.test(path))).toEqual([]);
});
