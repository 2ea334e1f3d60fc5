/** The function as Lambda calls it by its URL: what it answers, what it logs, and what it never logs. */
import type { Context, LambdaFunctionURLEvent } from 'aws-lambda';
import { makeHandler } from '../../functions/link/handler.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { asked, tokenOf } from './door.ts';

const context = { awsRequestId: 'r', functionName: 'steward-test-link', memoryLimitInMB: '512' } as Context;
const event = (method: string, query: string, body?: string): LambdaFunctionURLEvent =>
  ({
    version: '2.0',
    rawPath: '/',
    rawQueryString: query,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    requestContext: { http: { method, path: '/', sourceIp: '192.0.2.7' } },
    ...(body === undefined ? {} : { body: Buffer.from(body).toString('base64') }),
    isBase64Encoded: body !== undefined,
  }) as never;

test('who answered what, from where, is logged, each refusal too and counted; a link never is', async () => {
  const s = await asked();
  const url = (await s.link('carol', s.id, 'bob'))['Approve'] ?? '';
  const token = tokenOf(url);
  const lines: string[] = [];
  const keep = (...words: unknown[]) => void lines.push(words.map(String).join(' '));
  const spies = (['info', 'warn', 'error', 'debug', 'log'] as const).map((level) =>
    jest.spyOn(console, level).mockImplementation(keep),
  );
  const writes = [process.stdout, process.stderr].map((stream) =>
    jest.spyOn(stream, 'write').mockImplementation((text) => {
      lines.push(String(text));
      return true;
    }),
  );
  const handler = makeHandler(s.door, telemetry('test'));
  const answers = [
    await handler(event('GET', new URL(url).search.slice(1)), context),
    await handler(event('POST', '', `${new URLSearchParams({ t: token })}`), context),
    await handler(event('POST', '', `${new URLSearchParams({ t: token })}`), context),
    await handler(event('POST', '', 't=forged'), context),
  ];
  for (const spy of [...spies, ...writes]) spy.mockRestore();
  expect(answers.map((a) => a.statusCode)).toEqual([200, 200, 409, 404]);
  const log = lines.join('\n');
  for (const said of [
    'a link was opened',
    'approved: clean',
    'a link is good once',
    'not made here',
    'link:bob',
    '192.0.2.7',
    'LinkRefused',
  ])
    expect(log).toContain(said);
  expect(log).not.toContain(token.slice(0, 40));
  expect(log).not.toContain(token.slice(-40));
});
