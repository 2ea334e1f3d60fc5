/**
 * Emulators that others wrote, as second opinions: moto (wide in EC2, CloudWatch, SSM) and MiniStack (DynamoDB, SQS). Each is installed once
 * from PyPI into `.steward/`, and started on a free port of the loopback for one test file; it ends when the file does, or its process.
 * Where there is no Python or no PyPI its tests are skipped with the reason; with STEWARD_CONTRACT_TESTS=required they fail instead.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const HERE = new URL('../../.steward/', import.meta.url).pathname;

export const KINDS = {
  moto: {
    venv: 'moto',
    packages: ['moto[server]==5.2.5'],
    module: 'moto.server',
    args: (port: number) => ['-H', '127.0.0.1', '-p', `${port}`],
    env: () => ({ MOTO_EC2_LOAD_DEFAULT_AMIS: 'false' }),
    health: '/moto-api/',
  },
  ministack: {
    venv: 'venv',
    packages: ['ministack==1.5.33', 'cryptography'],
    module: 'ministack',
    args: () => [],
    env: (port: number) => ({
      GATEWAY_PORT: `${port}`,
      BIND_HOST: '127.0.0.1',
      SFTP_ENABLED: '0',
      IOT_MTLS_ENABLED: '0',
      DOCKER_HOST: 'unix:///nonexistent.sock',
    }),
    health: '/_ministack/health',
  },
} as const;
export type EmulatorName = keyof typeof KINDS;

export type Emulator =
  | { readonly url: string; readonly stop: () => Promise<void> }
  /** Why there is none. */
  | { readonly missing: string };

/** Runs the module, and ends with whoever holds the other end of its standard input. */
const WITH_PARENT = `
import os, runpy, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
`;

export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (typeof address !== 'object' || !address) throw new Error('no port is free');
  return address.port;
};

/** Two test files may want the same one at once: the folder `<venv>.lock` says who installs. */
export const installed = async ({
  venv,
  packages,
  module,
}: {
  readonly venv: string;
  readonly packages: readonly string[];
  readonly module: string;
}): Promise<string> => {
  const python = `${HERE}${venv}/bin/python`;
  const works = async () =>
    existsSync(python) &&
    (await run(python, ['-c', `import importlib.util as u, sys; sys.exit(not u.find_spec('${module}'))`]).then(
      () => true,
      () => false,
    ));
  if (await works()) return python;
  const lock = `${HERE}${venv}.lock`;
  mkdirSync(HERE, { recursive: true });
  for (let waited = 0; ; waited++) {
    try {
      mkdirSync(lock);
      break;
    } catch (e) {
      if (waited >= 240) throw new Error(`${lock} is held for 4 minutes: remove it`, { cause: e });
      await sleep(1_000);
    }
  }
  try {
    if (await works()) return python;
    await run('python3', ['-m', 'venv', `${HERE}${venv}`]);
    const options = ['--quiet', '--disable-pip-version-check', '--retries', '1', '--timeout', '10'];
    await run(python, ['-m', 'pip', 'install', ...options, ...packages], { timeout: 200_000 }).catch((cause) => {
      throw new Error(`PyPI does not give ${packages.join(', ')}`, { cause });
    });
    return python;
  } finally {
    rmdirSync(lock);
  }
};

export const healthy = async (url: string, child: ChildProcess, tail: () => string): Promise<void> => {
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) break;
    const up = await fetch(url).then(
      (answer) => answer.ok,
      () => false,
    );
    if (up) return;
    await sleep(100);
  }
  throw new Error(`it did not start: ${tail()}`);
};

const started = async (name: EmulatorName): Promise<Emulator> => {
  const kind = KINDS[name];
  const python = await installed(kind);
  const port = await freePort();
  const child = spawn(python, ['-c', WITH_PARENT, kind.module, ...kind.args(port)], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { ...process.env, ...kind.env(port) },
  });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => {
    words = (words + chunk).slice(-1_000);
  });
  const url = `http://127.0.0.1:${port}`;
  await healthy(url + kind.health, child, () => words);
  return {
    url,
    stop: async () => {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
};

/** @returns where it listens, or why it is missing @throws if it is missing and STEWARD_CONTRACT_TESTS=required */
export const startEmulator = async (name: EmulatorName): Promise<Emulator> => {
  try {
    return await started(name);
  } catch (e) {
    const missing = `${name} is not there: ${e instanceof Error ? e.message.slice(0, 300) : String(e)}`;
    if (process.env['STEWARD_CONTRACT_TESTS'] === 'required') throw new Error(missing, { cause: e });
    console.warn(`skipped: ${missing}`);
    return { missing };
  }
};
