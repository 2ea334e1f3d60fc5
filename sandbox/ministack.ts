/**
 * The serverless plane: MiniStack (PyPI, no Docker) carries CloudFormation, Lambda, SQS, SNS, EventBridge, DynamoDB and IAM. IAM is enforced, for the
 * functions' own roles too. It ends with this process, however that ends.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { freePort, healthy, installed, KINDS } from '../test/contract/emulators.ts';

export const ACCOUNT = '111122223333';
export const REGION = 'eu-central-1';
/** The emulator's root. */
export const ROOT = { accessKeyId: ACCOUNT, secretAccessKey: 'test' } as const;

/**
 * Leads a process group of its own, so that the Lambdas it starts end with it; ends when the other end of its standard input does. IAM knows no
 * sqs:SendMessageBatch: a batch is authorized by the single call's action, which this MiniStack does not know.
 */
const LEADER = `
import os, runpy, signal, sys, threading
os.setpgid(0, 0)
def watch():
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
from ministack.core import iam_actions
named = iam_actions._action_from_target
iam_actions._action_from_target = lambda headers: (lambda a: a[:-5] if a and a.endswith('MessageBatch') else a)(named(headers))
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
`;

const NEEDED = [3, 10] as const;

/** @throws Error in one sentence when the machine lacks Python, or has one that is too old */
export const checkPython = (): void => {
  let version: string;
  try {
    version = execFileSync('python3', ['-c', 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  } catch (e) {
    const words = String((e as { stderr?: unknown }).stderr ?? '');
    throw new Error(
      /No module named/.test(words)
        ? 'the local AWS needs Python with venv: on Debian and Ubuntu, apt install python3-venv'
        : `the local AWS needs Python ${NEEDED.join('.')} or newer as python3, and there is none`,
      { cause: e },
    );
  }
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1]))
    throw new Error(`the local AWS needs Python ${NEEDED.join('.')} or newer, python3 is ${version}`);
};

export interface MiniStack {
  readonly url: string;
  stop(): Promise<void>;
}

/** @param log where its output goes */
export const startMiniStack = async (log: string): Promise<MiniStack> => {
  checkPython();
  const kind = KINDS.ministack;
  const python = await installed(kind);
  const port = await freePort();
  const child = spawn(python, ['-c', LEADER, kind.module], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ...kind.env(port),
      AUTH: 'true',
      MINISTACK_ACCOUNT_ID: ACCOUNT,
      MINISTACK_REGION: REGION,
      LAMBDA_EXECUTOR: 'local',
      // More than all functions reserve (34): what it throttles it gives back only after the queue's visibility timeout, three minutes.
      LAMBDA_ACCOUNT_CONCURRENCY: '40',
    },
  });
  const file = createWriteStream(log);
  child.stdout.pipe(file, { end: false });
  child.stderr.pipe(file, { end: false });
  const url = `http://127.0.0.1:${port}`;
  await healthy(url + kind.health, child, () => `see ${log}`);
  return {
    url,
    stop: async () => {
      const ended = child.exitCode === null ? once(child, 'exit') : undefined;
      child.stdin.end();
      await ended;
      file.end();
    },
  };
};
