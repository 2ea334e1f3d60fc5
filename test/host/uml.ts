/**
 * A real Linux with real disks, as an ordinary process: User Mode Linux boots a small Debian in two seconds. The host documents run in it as SSM runs
 * them. Needs Debian and root, to install it; says so where it cannot be had.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { documents } from '../../documents/index.ts';
import type { DocumentName } from '../../shared/core/documents.ts';

const WORK = fileURLToPath(new URL('../../.steward/', import.meta.url));
const ROOT = `${WORK}host-root`;
const PACKAGES = ['fdisk', 'e2fsprogs', 'xfsprogs', 'btrfs-progs', 'lvm2', 'kmod'];
const SUITE = 'bookworm';
const MARK = `${ROOT}/steward-host`;
const RECIPE = JSON.stringify([SUITE, PACKAGES]);

/** Installs User Mode Linux and the root file system it boots, once. Answers why not, or undefined. */
export const prepare = (): string | undefined => {
  try {
    const tools = ['/usr/bin/linux.uml', '/usr/sbin/debootstrap', '/usr/sbin/sfdisk'];
    const installed = tools.every((t) => existsSync(t));
    if (installed && existsSync(MARK) && readFileSync(MARK, 'utf8') === RECIPE) return undefined;
    if (process.getuid?.() !== 0) return 'real hosts need root, to install User Mode Linux';
    if (!existsSync('/usr/bin/apt-get')) return 'real hosts need a Debian, for its User Mode Linux';
    const run = (command: string, ...args: string[]) =>
      execFileSync(command, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      });
    if (!installed) {
      run('apt-get', 'update', '-qq');
      run('apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'user-mode-linux', 'debootstrap', 'fdisk');
    }
    rmSync(ROOT, { recursive: true, force: true });
    mkdirSync(WORK, { recursive: true });
    run('/usr/sbin/debootstrap', '--variant=minbase', `--include=${PACKAGES.join(',')}`, SUITE, ROOT);
    writeFileSync(MARK, RECIPE);
    return undefined;
  } catch (e) {
    const words = String((e as { stderr?: unknown }).stderr ?? '')
      .trim()
      .split('\n')
      .at(-1);
    return `real hosts cannot be installed: ${words || (e as Error).message.split('\n')[0]}`;
  }
};

/** First process of the host: what a boot mounts, then a shell that reads commands from the console. */
const INIT = `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t tmpfs mnt /mnt
mkdir -p /run/lock /run/share
mount -t hostfs -o "$SHARE" share /run/share
mkdir -p /run/modules
mount -t hostfs -o /usr/lib/uml/modules modules /run/modules
for module in dm-mod dm-bufio dm-snapshot; do
  file=$(find /run/modules -name "$module.ko" | head -n 1)
  [ -n "$file" ] && insmod "$file" 2>/dev/null
done
export DM_DISABLE_UDEV=1 HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec 2>/dev/null
stty -echo -onlcr </dev/console
echo '@@ready'
while read -r n; do
  sh "/run/share/$n.sh" >"/run/share/$n.out" 2>"/run/share/$n.err" </dev/null
  echo "@@$n $?"
done
`;

export interface Result {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}
export interface HostMachine {
  /** Runs shell text as root. */
  exec(script: string): Promise<Result>;
  /** As exec; throws with its words if it fails. */
  must(script: string): Promise<string>;
  /** Runs a document as the SSM agent does. The mount is given as it is and travels in base64. */
  run(document: DocumentName, parameters: Readonly<Record<string, string>>): Promise<Result>;
  stop(): Promise<void>;
}

/** What SSM makes of a document: each parameter is checked against its pattern, then put into the text. */
export const scriptOf = (name: DocumentName, given: Readonly<Record<string, string>>): string => {
  const content = documents.find((d) => d.name === name)?.content;
  if (!content) throw new Error(`there is no document ${name}`);
  for (const [parameter, value] of Object.entries(given)) {
    const pattern = content.parameters[parameter]?.allowedPattern;
    if (!pattern || !new RegExp(pattern).test(value)) throw new Error(`${name} does not take ${parameter}=${value}`);
  }
  const missing = Object.keys(content.parameters).filter((p) => !(p in given));
  if (missing.length > 0) throw new Error(`${name} lacks ${missing.join(', ')}`);
  const text = content.mainSteps.flatMap((s) => s.inputs.runCommand).join('\n');
  return text.replaceAll(/\{\{ (\w+) \}\}/g, (all, parameter: string) => given[parameter] ?? all);
};

export const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

/** A sparse disk image of so many MiB. */
export const makeDisk = (file: string, mib: number): void => {
  const fd = openSync(file, 'a');
  ftruncateSync(fd, mib * 2 ** 20);
  closeSync(fd);
};

/** @param disks image files: /dev/ubda, /dev/ubdb … */
export const bootHost = async ({ disks }: { disks: readonly string[] }): Promise<HostMachine> => {
  const share = mkdtempSync(join(tmpdir(), 'steward-host-'));
  writeFileSync(`${ROOT}/sbin/steward-init`, INIT, { mode: 0o755 });
  const child: ChildProcess = spawn(
    '/usr/bin/linux.uml',
    [
      'mem=384M',
      'root=/dev/root',
      'rootfstype=hostfs',
      `rootflags=${ROOT}`,
      'rw',
      'quiet',
      'con=null',
      'con0=fd:0,fd:1',
      'init=/sbin/steward-init',
      `SHARE=${share}`,
      `uml_dir=${share}`,
      ...disks.map((file, n) => `ubd${String.fromCharCode(97 + n)}=${file}`),
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true },
  );
  let screen = '';
  let wake: () => void = () => {};
  child.stdout?.on('data', (chunk: Buffer) => {
    screen += chunk.toString('latin1');
    wake();
  });
  child.stderr?.on('data', () => {});
  const kill = (): void => {
    try {
      if (child.pid && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  };
  process.once('exit', kill);
  const seen = async (pattern: RegExp, limit: number): Promise<RegExpExecArray> => {
    const end = Date.now() + limit;
    for (;;) {
      const match = pattern.exec(screen);
      if (match) return match;
      if (child.exitCode !== null || Date.now() > end) {
        kill();
        throw new Error(`the host ended or hangs; its console: ${screen.slice(-800)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 250);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  await seen(/@@ready/, 30_000);
  let count = 0;
  const exec = async (script: string): Promise<Result> => {
    const n = ++count;
    writeFileSync(`${share}/${n}.sh`, script);
    child.stdin?.write(`${n}\n`);
    const [, code] = await seen(new RegExp(`@@${n} (\\d+)`), 120_000);
    const read = (kind: string) => readFileSync(`${share}/${n}.${kind}`, 'utf8');
    return { stdout: read('out'), stderr: read('err'), exitCode: Number(code) };
  };
  return {
    exec,
    must: async (script) => {
      const { stdout, stderr, exitCode } = await exec(`set -e\n${script}`);
      if (exitCode !== 0) throw new Error(`${script}\nended with ${exitCode}: ${stderr}${stdout}`);
      return stdout;
    },
    run: (document, { Mount, ...rest }) =>
      exec(scriptOf(document, Mount === undefined ? rest : { ...rest, Mount: base64(Mount) })),
    stop: async () => {
      process.off('exit', kill);
      const ended = child.exitCode === null ? once(child, 'exit') : undefined;
      if (readdirSync(share).length > 0) kill();
      await ended;
      rmSync(share, { recursive: true, force: true });
    },
  };
};
