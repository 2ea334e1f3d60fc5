/** The `steward` command against the sandbox, as a person runs it beside it; and its functions, invoked as `serverless invoke` does. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import color from 'picocolors';
import { PROJECT, STAGE } from './deploy.ts';
import type { Sandbox } from './start.ts';

/** A process of its own: the world runs in this one, so nothing here may block it. */
export const spawnSteward = (
  { environment }: Sandbox,
  words: readonly string[],
): ChildProcessByStdio<null, Readable, Readable> =>
  spawn(process.execPath, [`${PROJECT}cli/bin.mjs`, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      ...(color.isColorSupported ? { FORCE_COLOR: '1' } : {}),
      ...environment,
    },
  });

/** What it said, on both of its streams, and its exit code. */
export const steward = async (
  sandbox: Sandbox,
  ...words: readonly string[]
): Promise<{ readonly code: number | null; readonly out: string }> => {
  const child = spawnSteward(sandbox, words);
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void said.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out: Buffer.concat(said).toString('utf8') };
};

/** What the deployed function answers, or how it failed. @param name 'heal' */
export const invoke = async <T>({ reach }: Sandbox, name: string, payload: unknown): Promise<T> => {
  const { Payload } = await new LambdaClient(reach).send(
    new InvokeCommand({ FunctionName: `steward-${STAGE}-${name}`, Payload: Buffer.from(JSON.stringify(payload)) }),
  );
  return JSON.parse(Buffer.from(Payload ?? []).toString('utf8')) as T;
};
