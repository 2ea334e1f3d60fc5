/**
 * The host documents on a real kernel with real disks. Each disk is bigger than what stands on it, as after the volume below it has grown. Every answer is
 * read by the schema that Steward reads it with.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import * as z from 'zod/mini';
import {
  type CleanReport,
  cleanReport,
  type DiskReport,
  diskReport,
  type GrowReport,
  growReport,
  type HostFailure,
  hostFailure,
} from '../../shared/core/disk.ts';
import { bootHost, type HostMachine, makeDisk, prepare, type Result } from './uml.ts';

const missing = prepare();
if (missing && process.env['STEWARD_HOST_TESTS'] === 'required') throw new Error(missing);
if (missing) console.warn(`skipped: ${missing}`);
jest.setTimeout(240_000);
const suite = missing ? describe.skip : describe;

const MiB = 2 ** 20;
let folder = '';
let host: HostMachine;
let tokens = 0;
const token = () => `t-${++tokens}`;

/** A disk whose partition table was written when it was smaller. */
const partitioned = (file: string, table: 'gpt' | 'dos', parts: string, before: number, after: number): void => {
  makeDisk(file, before);
  execFileSync('/usr/sbin/sfdisk', ['-q', file], {
    input: `label: ${table}\n${parts}\n`,
  });
  makeDisk(file, after);
};

const reportOf = <T>(schema: z.ZodMiniType<T>, { stdout, stderr, exitCode }: Result): T => {
  if (exitCode !== 0) throw new Error(`it ended with ${exitCode}: ${stdout}${stderr}`);
  expect(stderr).toBe('');
  expect(stdout.length).toBeLessThan(22_000);
  return z.parse(schema, JSON.parse(stdout));
};
const failureOf = ({ stdout, exitCode }: Result): HostFailure['error'] => {
  expect(exitCode).toBe(1);
  return z.parse(hostFailure, JSON.parse(stdout)).error;
};
const inspect = async (detail: 'usage' | 'full' = 'full'): Promise<DiskReport> =>
  reportOf(diskReport, await host.run('inspect-disk', { Detail: detail, MinAgeHours: '24' }));
const mountOf = async (path: string, detail?: 'usage' | 'full') => {
  const report = await inspect(detail);
  const found = report.mounts.find((m) => m.path === path);
  if (!found) throw new Error(`${path} is not among ${report.mounts.map((m) => m.path).join(', ')}`);
  return found;
};
const grow = (path: string, t = token()) => host.run('grow-filesystem', { Mount: path, Token: t });
const grown = async (path: string): Promise<GrowReport> => reportOf(growReport, await grow(path));
const clean = (path: string, t = token(), hours = 24) =>
  host.run('clean-disk', { Mount: path, Token: t, MinAgeHours: `${hours}`, JournalMiB: '64' });
const cleaned = async (path: string): Promise<CleanReport> => reportOf(cleanReport, await clean(path));
/** Something to be found whole again. Answers its checksum. */
const precious = async (path: string): Promise<string> =>
  (await host.must(`head -c 20000000 /dev/urandom >'${path}/precious'; sync; sha256sum <'${path}/precious'`)).trim();
const checksum = async (path: string): Promise<string> => (await host.must(`sha256sum <'${path}/precious'`)).trim();

/** Shell that makes a file which looks as old as two days; ctime cannot be set, so the clock is. */
const aged = (script: string) => `date -s '2 days ago' >/dev/null\n${script}\ndate -s '2 days' >/dev/null`;

suite('on a real kernel', () => {
  const disk = (name: string) => join(folder, `${name}.img`);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'steward-disks-'));
    makeDisk(disk('a'), 1024);
    partitioned(disk('b'), 'gpt', 'size=390M', 400, 1024);
    partitioned(disk('c'), 'dos', 'size=390M', 400, 1024);
    partitioned(disk('d'), 'gpt', 'size=100M\nsize=100M', 400, 1024);
    makeDisk(disk('e'), 1024);
    partitioned(disk('f'), 'gpt', 'size=390M', 400, 1024);
    makeDisk(disk('g'), 600);
    makeDisk(disk('h'), 300);
    host = await bootHost({ disks: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map(disk) });
  }, 240_000);
  afterAll(async () => {
    await host?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const layouts: readonly (readonly [string, string, string, string, readonly string[]])[] = [
    ['ext4 on a whole disk', '/mnt/a', 'mkfs.ext4 -q /dev/ubda 300M', '/dev/ubda', ['ext4']],
    ['XFS on a GPT partition', '/mnt/b', 'mkfs.xfs -q /dev/ubdb1', '/dev/ubdb1', ['partition ubdb1', 'xfs']],
    ['Btrfs on an MBR partition', '/mnt/c', 'mkfs.btrfs -q /dev/ubdc1', '/dev/ubdc1', ['partition ubdc1', 'btrfs']],
    [
      'ext4 on LVM on a whole disk',
      '/mnt/e',
      'pvcreate -q --setphysicalvolumesize 300M -y /dev/ubde; vgcreate -q data /dev/ubde; lvcreate -q -l 100%FREE -n pg data; mkfs.ext4 -q /dev/data/pg',
      '/dev/data/pg',
      ['lvm data/pg', 'ext4'],
    ],
    [
      'XFS on LVM on a GPT partition',
      '/mnt/f',
      'pvcreate -q -y /dev/ubdf1; vgcreate -q two-words /dev/ubdf1; lvcreate -q -l 100%FREE -n my-lv two-words; mkfs.xfs -q /dev/two-words/my-lv',
      '/dev/two-words/my-lv',
      ['partition ubdf1', 'lvm two-words/my-lv', 'xfs'],
    ],
  ];
  test.each(layouts)(
    '%s grows in place, mounted, 100 % full, and keeps its data',
    async (_what, path, make, device, kinds) => {
      await host.must(`${make} >/dev/null 2>&1\nmkdir -p ${path}\nmount ${device} ${path}`);
      const before = await precious(path);
      await host.exec(`dd if=/dev/zero of=${path}/filler bs=1M 2>/dev/null; sync`);
      const full = await mountOf(path);
      expect(full.availableBytes).toBeLessThan(8 * MiB);
      expect(full.largest[0]).toMatchObject({ path: `${path}/filler`, kind: 'file' });
      expect(full.layers.at(-1)).toMatchObject({ kind: 'disk', sizeBytes: 1024 * MiB, volumeId: null });
      const { sizeBefore, sizeAfter, steps, repeated } = await grown(path);
      expect(repeated).toBe(false);
      expect(steps.map((s) => s.replace(/ \d+ → \d+$/, ''))).toEqual(kinds);
      expect(sizeAfter).toBeGreaterThan(900 * MiB);
      expect(sizeBefore).toBe(full.sizeBytes);
      expect((await mountOf(path, 'usage')).availableBytes).toBeGreaterThan(400 * MiB);
      expect(await checksum(path)).toBe(before);
      // Nothing is left to do: nothing is done, and that is no failure.
      expect((await grown(path)).steps).toEqual([]);
      await host.must(`umount ${path}`);
      const check =
        path === '/mnt/b' || path === '/mnt/f' ? 'xfs_repair -n' : path === '/mnt/c' ? 'btrfs check -q' : 'e2fsck -fn';
      await host.must(`${check} ${device} >/dev/null 2>&1\nmount ${device} ${path}`);
      expect(await checksum(path)).toBe(before);
      // One less to be looked at by what follows.
      if (path !== '/mnt/a') await host.must(`umount ${path}`);
    },
  );

  test('a partition that another one follows is left alone', async () => {
    await host.must('mkfs.ext4 -q /dev/ubdd1; mkdir -p /mnt/d; mount /dev/ubdd1 /mnt/d');
    expect((await mountOf('/mnt/d')).layers[0]).toMatchObject({
      kind: 'partition',
      number: 1,
      table: 'gpt',
      last: false,
    });
    const table = await host.must('sfdisk -d /dev/ubdd');
    expect(failureOf(await grow('/mnt/d'))).toMatchObject({ code: 'not-last' });
    expect(await host.must('sfdisk -d /dev/ubdd')).toBe(table);
  });

  test('the last partition beside it grows', async () => {
    await host.must('mkfs.ext4 -q /dev/ubdd2; mkdir -p /mnt/d2; mount /dev/ubdd2 /mnt/d2');
    expect((await grown('/mnt/d2')).steps[0]).toMatch(/^partition ubdd2 \d+ → \d+$/);
  });

  test('read-only is refused, with the reason', async () => {
    await host.must('mount -o remount,ro /mnt/d2');
    expect(await mountOf('/mnt/d2')).toMatchObject({ readOnly: true });
    expect(failureOf(await grow('/mnt/d2'))).toMatchObject({ code: 'read-only' });
    expect(failureOf(await clean('/mnt/d2'))).toMatchObject({ code: 'read-only' });
    await host.must('umount /mnt/d2');
  });

  test('a place where nothing is mounted, and one that is no file system of ours', async () => {
    expect(failureOf(await grow('/mnt/none'))).toMatchObject({
      code: 'not-found',
      message: 'no file system is mounted at /mnt/none',
    });
    expect(failureOf(await grow('/tmp'))).toMatchObject({ code: 'not-found' });
  });

  test.each([
    ['a space, quotes and letters beyond ASCII', `it's "größe" 日本`],
    ['a backslash and a dollar', '\\n $HOME `id`'],
    ['a newline, and one at its end', 'two\nlines\n'],
  ])('a mount point with %s', async (_what, name) => {
    const path = `/mnt/${name}`;
    const quoted = `'${path.replaceAll("'", `'\\''`)}'`;
    await host.must(`mkfs.ext4 -q -F /dev/ubdh 100M\nmkdir -p ${quoted}\nmount /dev/ubdh ${quoted}`);
    expect((await mountOf(path)).sizeBytes).toBeLessThan(100 * MiB);
    const { path: answered, steps } = await grown(path);
    expect(answered).toBe(path);
    expect(steps).toHaveLength(1);
    await host.must(`umount ${quoted}`);
  });

  test('the same token does its work once', async () => {
    await host.must('mkfs.ext4 -q -F /dev/ubdh 100M; mkdir -p /mnt/h; mount /dev/ubdh /mnt/h');
    const t = token();
    const first = reportOf(growReport, await grow('/mnt/h', t));
    await host.must('umount /mnt/h; mkfs.ext4 -q -F /dev/ubdh 100M; mount /dev/ubdh /mnt/h');
    expect(reportOf(growReport, await grow('/mnt/h', t))).toEqual({ ...first, repeated: true });
    expect((await mountOf('/mnt/h', 'usage')).sizeBytes).toBeLessThan(100 * MiB);
    expect(reportOf(growReport, await grow('/mnt/h')).sizeAfter).toBe(first.sizeAfter);
  });

  test('two at once: the second is told that the host is busy; a lock whose holder died holds nothing', async () => {
    await host.must(
      "sh -c 'exec 9>/run/steward/lock; flock 9; exec sleep 60' >/dev/null 2>&1 & echo $! >/run/holder; sleep 0.3",
    );
    expect(failureOf(await grow('/mnt/h'))).toMatchObject({ code: 'busy' });
    await host.must('kill -9 $(cat /run/holder)');
    expect((await grow('/mnt/h')).exitCode).toBe(0);
  });

  test('killed anywhere, run again, it ends the same', async () => {
    for (const after of [0.05, 0.12, 0.2, 0.3, 0.45]) {
      await host.must(
        'umount /mnt/h; wipefs -qa /dev/ubdh; printf "size=100M\\n" | sfdisk -q --label gpt /dev/ubdh; sleep 0.1; mkfs.ext4 -q -F /dev/ubdh1; mount /dev/ubdh1 /mnt/h',
      );
      const before = await precious('/mnt/h');
      const { scriptOf, base64 } = await import('./uml.ts');
      const script = scriptOf('grow-filesystem', { Mount: base64('/mnt/h'), Token: token() });
      await host.exec(
        `cat >/run/killed.sh <<'SCRIPT'\n${script}\nSCRIPT\nsetsid sh /run/killed.sh >/dev/null 2>&1 &\npid=$!\nsleep ${after}\nkill -9 -$pid 2>/dev/null || kill -9 $pid 2>/dev/null\nwait 2>/dev/null\ntrue`,
      );
      const { sizeAfter } = await grown('/mnt/h');
      expect(sizeAfter).toBeGreaterThan(250 * MiB);
      expect(await checksum('/mnt/h')).toBe(before);
    }
    await host.must('umount /mnt/h; e2fsck -fn /dev/ubdh1 >/dev/null 2>&1');
  });

  describe('cleaning', () => {
    beforeAll(async () => {
      await host.must('mkfs.ext4 -q -F /dev/ubdg; mount /dev/ubdg /var');
    });
    beforeEach(async () => {
      await host.must(
        'rm -rf /var/*; mkdir -p /var/log/app /var/cache/apt/archives /var/lib/systemd/coredump /var/crash /var/spool /var/tmp',
      );
    });

    test('each place gives what it held, and nothing else goes', async () => {
      await host.must(
        aged(`
head -c 5000000 /dev/zero >/var/cache/apt/archives/a_1.deb
head -c 4000000 /dev/zero >/var/log/syslog.2.gz
head -c 3000000 /dev/zero >/var/log/app/app.log-20260101
head -c 2000000 /dev/zero >/var/lib/systemd/coredump/core.app.zst
head -c 1000000 /dev/zero >/var/log/app/app.log
head -c 1000000 /dev/zero >/var/spool/mail.gz
head -c 1000000 /dev/zero >/var/cache/apt/archives/lock`),
      );
      expect((await mountOf('/var')).cleanable).toEqual([]);
      await host.exec('dd if=/dev/zero of=/var/filler bs=1M count=200 2>/dev/null; sync');
      const { cleanable } = await mountOf('/var');
      expect(cleanable.map((c) => [c.place, c.files])).toEqual([
        ['package-cache', 1],
        ['rotated-logs', 2],
        ['core-dumps', 1],
      ]);
      const { freed, skipped, availableBefore, availableAfter } = await cleaned('/var');
      expect(freed).toEqual(cleanable);
      expect(skipped).toEqual([]);
      expect(freed.reduce((sum, f) => sum + f.bytes, 0)).toBe(availableAfter - availableBefore);
      expect(await host.must('cd /var; find . -type f | sort')).toBe(
        './cache/apt/archives/lock\n./filler\n./log/app/app.log\n./spool/mail.gz\n',
      );
    });

    test('what is open or mapped stays, and it is said', async () => {
      await host.must(aged('head -c 4000000 /dev/zero >/var/log/open.1; head -c 4000000 /dev/zero >/var/log/closed.1'));
      await host.must('exec sleep 30 </var/log/open.1 >/dev/null 2>&1 & echo $! >/run/reader; sleep 0.2');
      const { freed, skipped } = await cleaned('/var');
      expect(freed).toMatchObject([{ place: 'rotated-logs', files: 1 }]);
      expect(skipped).toEqual([{ place: 'rotated-logs', because: '1 of its files are open' }]);
      expect(await host.must('ls /var/log/*.1')).toBe('/var/log/open.1\n');
      await host.must('kill $(cat /run/reader)');
    });

    test('what is young stays, also what only looks old', async () => {
      await host.must('head -c 4000000 /dev/zero >/var/log/new.1; touch -d "9 days ago" /var/log/new.1');
      expect((await cleaned('/var')).freed).toEqual([]);
      expect(await host.must('ls /var/log/*.1')).toBe('/var/log/new.1\n');
    });

    test('links and other file systems below are not followed; hard links give nothing back', async () => {
      await host.must(
        aged(`
mkdir -p /var/tmp/elsewhere /var/log/mounted
head -c 4000000 /dev/zero >/var/tmp/elsewhere/kept.1
ln -s /var/tmp/elsewhere /var/log/linked
ln -s /var/tmp/elsewhere/kept.1 /var/log/link.1
head -c 4000000 /dev/zero >/var/log/twice.1
ln /var/log/twice.1 /var/spool/twice
mount -t tmpfs none /var/log/mounted
head -c 1000000 /dev/zero >/var/log/mounted/kept.1`),
      );
      const { freed } = await cleaned('/var');
      expect(freed).toEqual([]);
      expect(await host.must('ls /var/tmp/elsewhere/kept.1 /var/log/mounted/kept.1 /var/spool/twice')).toContain(
        'kept.1',
      );
      await host.must('umount /var/log/mounted');
    });

    test('a place on another file system is none of this one', async () => {
      await host.must(aged('head -c 4000000 /dev/zero >/var/log/a.1'));
      expect((await cleaned('/mnt/a')).freed).toEqual([]);
      expect(await host.must('ls /var/log/a.1')).toBe('/var/log/a.1\n');
    });

    test('names that would be options, patterns or lines of their own', async () => {
      await host.must(
        aged(
          `cd /var/log; for f in '-rf.1' 'a b.1' '*.1' "$(printf 'x\\ny.1')"; do head -c 1000000 /dev/zero >"./$f"; done; : >"/var/log/y.log"`,
        ),
      );
      expect((await cleaned('/var')).freed).toMatchObject([{ place: 'rotated-logs', files: 4 }]);
      expect(await host.must('ls /var/log')).toBe('app\ny.log\n');
    });
  });

  test('tens of thousands of files with long names: the answer stays short', async () => {
    await host.must(
      `mkdir -p /var/many; cd /var/many; name=$(printf '%0200d' 0); for d in 1 2 3 4 5 6 7 8; do mkdir -p "$d-$name/$name"; (cd "$d-$name/$name"; seq 1 4000 | sed "s/$/-$name/" | xargs touch); done; dd if=/dev/zero of=/var/many/big bs=1M count=150 2>/dev/null`,
    );
    const m = await mountOf('/var');
    expect(m.inodes?.used).toBeGreaterThan(30_000);
    expect(m.largest.length).toBeLessThanOrEqual(10);
    await host.must('rm -rf /var/many');
  });

  test('a file that grows is named with its speed', async () => {
    await host.must('head -c 250000000 /dev/zero >/var/filler');
    await host.must(
      '(while :; do head -c 200000 /dev/zero >>/var/log/runaway.log; sleep 0.1; done) >/dev/null 2>&1 & echo $! >/run/writer; sleep 0.5',
    );
    const [first] = (await mountOf('/var')).growing;
    await host.must('kill $(cat /run/writer)');
    expect(first?.path).toBe('/var/log/runaway.log');
    expect(first?.bytesPerSecond).toBeGreaterThan(500_000);
  });

  test('a write-ahead log is weighed', async () => {
    await host.must(
      'mkdir -p /var/lib/postgresql/15/main/pg_wal; head -c 30000000 /dev/zero >/var/lib/postgresql/15/main/pg_wal/000000010000000000000001; sync',
    );
    expect((await mountOf('/var')).walBytes).toBeGreaterThanOrEqual(29_000_000);
  });

  test('tools that are missing are named', async () => {
    await host.must(
      'umount /mnt/h 2>/dev/null || true; mkfs.ext4 -q -F /dev/ubdh 100M; mount /dev/ubdh /mnt/h; mkdir -p /run/hide; mount --bind /run/hide/ /usr/sbin 2>/dev/null || true',
    );
    const failed = await grow('/mnt/h');
    await host.must('/bin/umount /usr/sbin');
    expect(failureOf(failed)).toMatchObject({ code: 'tool-missing', remedy: 'install e2fsprogs on the host' });
  });
});
