/**
 * The proof of who commands, against an STS on loopback that checks SigV4 as AWS does: it derives the signature anew from what it received. The
 * requests are signed by the SDK's own signer, through the real client.
 */
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { COMMAND_HEADER, commandHash, type Expected, identify, type Proof, prove } from '../../shared/aws/identity.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';

const REGION = 'eu-central-1';
const HOME = '111122223333';
const KEY = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'a-secret-that-stays-here' };
const ALICE = `arn:aws:iam::${HOME}:user/alice`;

/** Key → secret, as STS knows them. */
const SECRETS: Readonly<Record<string, string>> = {
  [KEY.accessKeyId]: KEY.secretAccessKey,
  AKIAOTHEROTHEROTHER0: 'the-secret-of-someone-else',
};

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

/** AWS's "Create a signed AWS API request", from the documentation, not from the SDK. */
const signatureOf = ({ method = '', url = '', headers }: IncomingMessage, body: Buffer, secret: string): string => {
  const [, day = '', region = '', names = ''] =
    /Credential=[^/]+\/(\d+)\/([^/]+)\/sts\/aws4_request, SignedHeaders=([^,]+),/.exec(headers.authorization ?? '') ??
    [];
  const canonical = [
    method,
    url,
    '',
    ...names.split(';').map((n) => `${n}:${String(headers[n] ?? '').trim()}`),
    '',
    names,
    sha(body),
  ].join('\n');
  const scope = `${day}/${region}/sts/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha(canonical)].join('\n');
  const key = [region, 'sts', 'aws4_request'].reduce((k, part) => hmac(k, part), hmac(`AWS4${secret}`, day));
  return hmac(key, text).toString('hex');
};

const answered: { host?: string | undefined; body: string }[] = [];
let status: number | undefined;
let account = HOME;
let server: Server;

const serve = async (request: IncomingMessage): Promise<[number, string]> => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts);
  answered.push({ host: request.headers.host, body: body.toString() });
  if (status) return [status, '<ErrorResponse><Error><Code>ServiceUnavailable</Code></Error></ErrorResponse>'];
  const given = /Signature=([0-9a-f]+)/.exec(request.headers.authorization ?? '')?.[1];
  const key = /Credential=([^/]+)/.exec(request.headers.authorization ?? '')?.[1] ?? '';
  if (given !== signatureOf(request, body, SECRETS[key] ?? ''))
    return [
      403,
      '<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>The signature does not match.</Message></Error></ErrorResponse>',
    ];
  return [
    200,
    `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>${ALICE}</Arn><UserId>AIDA</UserId><Account>${account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
  ];
};

beforeAll(async () => {
  server = createServer((request, response) => {
    void serve(request).then(([code, text]) => {
      response.writeHead(code, { 'content-type': 'text/xml' });
      response.end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  process.env['AWS_ENDPOINT_URL_STS'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  delete process.env['AWS_ENDPOINT_URL_STS'];
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  status = undefined;
  account = HOME;
  answered.length = 0;
});

const command = { do: 'approve', incident: '01KAQX4T2D6N8J0V5R3F7G9H1K', step: '{"do":"grow"}' };
const hash = commandHash('prod', command);
const expected = (over: Partial<Expected> = {}): Expected => ({ hash, region: REGION, now: Date.now(), ...over });
const signed = (given: Partial<typeof KEY & { sessionToken: string }> = {}, region = REGION, of = hash) =>
  prove(of, { region, credentials: { ...KEY, ...given } });
const verdict = (proof: Proof, over: Partial<Expected> = {}) =>
  identify(proof, expected(over), { home: HOME }).catch((e: Error) => `${e.name}: ${e.message}`);

test('a signed command names its giver, wherever STS is; the host that was signed is sent', async () => {
  expect(await verdict(await signed())).toBe(ALICE);
  expect(answered).toEqual([
    { host: 'sts.eu-central-1.amazonaws.com', body: 'Action=GetCallerIdentity&Version=2011-06-15' },
  ]);
});

test('a session token is signed along', async () => {
  const proof = await signed({ sessionToken: 'FwoGZXIvYXdzE+/==' });
  expect(await verdict(proof)).toBe(ALICE);
  expect(await verdict({ ...proof, 'x-amz-security-token': 'other' })).toMatch(/NotProven: STS does not confirm/);
});

test('the secret is not in the proof', async () => {
  expect(JSON.stringify(await signed())).not.toContain(KEY.secretAccessKey);
});

describe('tampering with any part is refused', () => {
  test.each<[string, (p: Proof) => Proof, RegExp, 'asked' | 'not asked']>([
    ['another host', (p) => ({ ...p, host: 'sts.evil.example' }), /signed for sts\.evil\.example/, 'not asked'],
    ['another action', (p) => ({ ...p, 'x-amz-target': 'AssumeRole' }), /x-amz-target is not signed/, 'not asked'],
    ['no binding', ({ [COMMAND_HEADER]: _, ...p }) => p, /missing or not expected/, 'not asked'],
    ['another binding', (p) => ({ ...p, [COMMAND_HEADER]: commandHash('prod', {}) }), /another command/, 'not asked'],
    [
      'binding taken out of the signature',
      (p) => ({ ...p, authorization: p['authorization']?.replace(`;${COMMAND_HEADER}`, '') ?? '' }),
      /x-steward-command is not signed/,
      'not asked',
    ],
    ['one header more', (p) => ({ ...p, 'x-forwarded-host': 'x' }), /x-forwarded-host is not signed/, 'not asked'],
    [
      'one signed header more',
      (p) => ({ ...p, range: 'x', authorization: p['authorization']?.replace('host;', 'host;range;') ?? '' }),
      /range is signed, and is missing or not expected/,
      'not asked',
    ],
    ['no signature', ({ authorization: _, ...p }) => p, /carries no SigV4/, 'not asked'],
    [
      'another service',
      (p) => ({ ...p, authorization: p['authorization']?.replace('/sts/', '/iam/') ?? '' }),
      /carries no SigV4/,
      'not asked',
    ],
    [
      'another signature',
      (p) => ({ ...p, authorization: p['authorization']?.replace(/.$/, (c) => (c === '0' ? '1' : '0')) ?? '' }),
      /STS does not confirm/,
      'asked',
    ],
    [
      "someone else's key",
      (p) => ({ ...p, authorization: p['authorization']?.replace(KEY.accessKeyId, 'AKIAOTHEROTHEROTHER0') ?? '' }),
      /STS does not confirm/,
      'asked',
    ],
    [
      'a younger date',
      (p) => ({ ...p, 'x-amz-date': p['x-amz-date']?.replace(/\dZ$/, (s) => (s === '0Z' ? '1Z' : '0Z')) ?? '' }),
      /STS does not confirm/,
      'asked',
    ],
  ])('%s', async (_what, tamper, because, asked) => {
    expect(await verdict(tamper(await signed()))).toMatch(because);
    expect(answered).toHaveLength(asked === 'asked' ? 1 : 0);
  });

  test('any one character of any header', async () => {
    const proof = await signed();
    const headers = Object.keys(proof).filter((name) => name !== 'authorization');
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...headers), fc.nat(), fc.constantFrom('0', 'a', '~'), async (name, at, c) => {
        const old = proof[name] ?? '';
        const i = at % old.length;
        fc.pre(old[i] !== c);
        expect(await verdict({ ...proof, [name]: `${old.slice(0, i)}${c}${old.slice(i + 1)}` })).toMatch(/^NotProven/);
      }),
      { numRuns: 100 },
    );
  });
});

test.each([
  ['six minutes old', minutes(6), /signed 6 min ago/],
  ['a quarter of an hour ahead', -minutes(15), /in the future/],
])('%s', async (_what, late, because) => {
  expect(await verdict(await signed(), { now: Date.now() + late })).toMatch(because);
  expect(answered).toHaveLength(0);
});
test('four minutes old is young enough', async () => {
  expect(await verdict(await signed(), { now: Date.now() + minutes(4) })).toBe(ALICE);
  expect(await verdict(await signed(), { now: Date.now() - seconds(30) })).toBe(ALICE);
  expect(await verdict(await signed(), { now: Date.now() + hours(1) })).toMatch(/^NotProven/);
});

test('another region, stage, or account', async () => {
  expect(await verdict(await signed({}, 'us-east-1'))).toMatch(/signed for us-east-1, and this is eu-central-1/);
  expect(await verdict(await signed({}, REGION, commandHash('dev', command)))).toMatch(/another stage/);
  account = '999988887777';
  expect(await verdict(await signed())).toMatch(/is not of account 111122223333.*assume a role/);
});

test('the hash does not depend on the order of fields, and on everything else', () => {
  const { do: d, incident, step } = command;
  expect(commandHash('prod', { step, do: d, incident })).toBe(hash);
  for (const other of [
    { ...command, step: '{}' },
    { ...command, do: 'deny' },
    { ...command, more: 1 },
  ])
    expect(commandHash('prod', other)).not.toBe(hash);
});

test('an STS that is down is no proof, and says so as a fault that may pass', async () => {
  status = 503;
  expect(await verdict(await signed())).toMatch(/^Unavailable/);
});

test('China has its own STS', async () => {
  const proof = await signed({}, 'cn-north-1');
  expect(proof['host']).toBe('sts.cn-north-1.amazonaws.com.cn');
});
