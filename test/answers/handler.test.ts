/** The function as Lambda calls it: what it logs, and what it never logs. */
import type { Context } from 'aws-lambda';
import { makeHandler } from '../../functions/answer/handler.ts';
import { commandHash, prove } from '../../shared/aws/identity.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { createDesk } from '../cli/desk.ts';

const context = { awsRequestId: 'r', functionName: 'steward-test-answer', memoryLimitInMB: '256' } as Context;

test('who commanded what is logged; the signature is not', async () => {
  const lines: string[] = [];
  const keep = (...words: unknown[]) => void lines.push(words.map(String).join(' '));
  const spies = (['info', 'warn', 'error', 'debug', 'log'] as const).map((level) =>
    jest.spyOn(console, level).mockImplementation(keep),
  );
  // powertools has a console of its own.
  const writes = [process.stdout, process.stderr].map((stream) =>
    jest.spyOn(stream, 'write').mockImplementation((text) => {
      lines.push(String(text));
      return true;
    }),
  );
  const s = createDesk();
  const handler = makeHandler(s.answering, telemetry('test'));
  const command = { do: 'pause', scope: 'all', why: 'a test' };
  const proof = await prove(commandHash('test', command), {
    region: s.account.world.region,
    credentials: s.keysOf('alice'),
  });
  const yes = await handler({ command, stage: 'test', proof }, context);
  const no = await handler({ command: { ...command, why: 'x' }, stage: 'test', proof }, context);
  for (const spy of [...spies, ...writes]) spy.mockRestore();

  expect(yes).toMatchObject({ ok: true, result: { by: expect.stringMatching(/user\/alice$/) } });
  expect(no).toMatchObject({ ok: false, kind: 'refused' });
  const log = lines.join('\n');
  expect(log).toMatch(/a person commanded/);
  expect(log).toMatch(/user\/alice/);
  expect(log).toMatch(/paused all/);
  expect(log).toMatch(/another command/);
  expect(log).not.toMatch(/Signature=|AWS4-HMAC/);
});
