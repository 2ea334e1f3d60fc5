/** The host documents without a kernel of their own: their text, their parameters, and what can be run in a made-up cgroup tree. Real disks: test/host. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parameters } from '../../documents/document.ts';
import { documents } from '../../documents/index.ts';
import { type AgentsReport, agentsReport, beatReport, mendReport, proofLineOf } from '../../shared/core/agents.ts';
import { hostFailure } from '../../shared/core/disk.ts';
import { reports } from '../../shared/core/documents.ts';
import { type LoadReport, loadReport } from '../../shared/core/load.ts';
import { whyNot } from '../../shared/core/units.ts';

const textOf = (name: string): string =>
  (documents.find((d) => d.name === name)?.content.mainSteps[0]?.inputs.runCommand ?? []).join('\n');
const root = process.getuid?.() === 0;
const asRoot = root ? test : test.skip;
if (!root) console.warn('skipped: host documents are run only as root, as SSM runs them');
const hasShellcheck = spawnSync('shellcheck', ['--version']).status === 0;
if (!hasShellcheck) console.warn('skipped: shellcheck is not installed');

describe.each(documents.map((d) => [d.name] as const))('%s', (name) => {
  test('is a POSIX shell script, and within what SSM takes', () => {
    const { status, stderr } = spawnSync('sh', ['-n'], { input: textOf(name) });
    expect([status, stderr.toString()]).toEqual([0, '']);
    // "The maximum size of an SSM document is 64 KB" (Systems Manager quotas).
    expect(JSON.stringify(documents.find((d) => d.name === name)?.content).length).toBeLessThan(64 * 1024);
  });
  (hasShellcheck ? test : test.skip)('shellcheck finds nothing', () => {
    // Variables that SSM sets, functions of common.sh that this document does not use, and words that are meant to be split.
    const { stdout } = spawnSync('shellcheck', ['-s', 'sh', '-S', 'warning', '-e', 'SC2154,SC2034,SC2046', '-'], {
      input: textOf(name),
    });
    expect(stdout.toString()).toBe('');
  });
  test('has a report of its own, and every placeholder a parameter', () => {
    expect(Object.keys(reports)).toContain(name);
    const used = [...textOf(name).matchAll(/\{\{ (\w+) \}\}/g)].map((m) => m[1]);
    expect(used.sort()).toEqual(Object.keys(documents.find((d) => d.name === name)?.content.parameters ?? {}).sort());
  });
});

test.each(Object.entries(parameters))(
  'parameter %s admits nothing that a shell would read',
  (_name, { allowedPattern }) => {
    const pattern = new RegExp(allowedPattern);
    fc.assert(
      fc.property(
        fc.string(),
        fc.constantFrom("'", '"', '$', '`', '\n', ' ', ';', '\\', '|', '&'),
        fc.string(),
        (a, evil, b) => {
          expect(pattern.test(a + evil + b)).toBe(false);
        },
      ),
    );
  },
);

test('json of common.sh: any bytes become a JSON string, and what is UTF-8 stays what it was', () => {
  const common = readFileSync(new URL('../../documents/common.sh', import.meta.url), 'utf8');
  const texts = fc.sample(
    fc.string({ unit: 'binary', maxLength: 40 }).filter((s) => !s.includes('\0')),
    60,
  );
  const script = `${common}\nwhile IFS= read -r encoded; do json "$(printf '%s' "$encoded" | base64 -d; printf x)"; echo; done`;
  const run = (given: readonly Buffer[]) =>
    execFileSync('sh', ['-c', script], { input: given.map((b) => `${b.toString('base64')}\n`).join('') })
      .toString('utf8')
      .split('\n')
      .slice(0, given.length)
      .map((line) => (JSON.parse(line) as string).slice(0, -1));
  const good = texts.filter((t) => t.isWellFormed());
  expect(run(good.map((t) => Buffer.from(t, 'utf8')))).toEqual(good);
  const bad = [Buffer.from([0xff, 0x61]), Buffer.from([0xc3, 0x28]), Buffer.from([0xe2, 0x82])];
  for (const text of run(bad)) expect(text).toContain('\ufffd');
});

describe('inspect-load and restart-unit', () => {
  const tree = mkdtempSync(join(tmpdir(), 'cgroup-'));
  const child = spawn('sleep', ['60']);
  afterAll(() => {
    child.kill();
    rmSync(tree, { recursive: true });
  });
  const MiB = 2 ** 20;
  /** A unit's cgroup as the kernel shows it. */
  const unit = (name: string, mib: number, kills = 0) => {
    const at = join(tree, 'system.slice', name);
    mkdirSync(at, { recursive: true });
    const files = {
      'cgroup.procs': `${child.pid}\n`,
      'memory.stat': `anon ${mib * MiB}\nfile 999999999\nkernel ${MiB}\n`,
      'memory.swap.current': '4096\n',
      'memory.max': 'max\n',
      'memory.events': `low 0\noom 0\noom_kill ${kills}\n`,
      'cpu.stat': 'usage_usec 1000\nuser_usec 900\nnr_periods 100\nnr_throttled 10\n',
      'cpu.max': '50000 100000\n',
      'memory.pressure':
        'some avg10=1.00 avg60=22.50 avg300=0.00 total=1\nfull avg10=1.00 avg60=11.25 avg300=0.00 total=1\n',
    };
    for (const [file, text] of Object.entries(files)) writeFileSync(join(at, file), text);
  };
  writeFileSync(join(tree, 'cgroup.controllers'), 'cpu memory\n');
  const run = (name: string, env: Readonly<Record<string, string>> = {}) => {
    const script = textOf(name)
      .replace('CGROUPS=/sys/fs/cgroup', `CGROUPS=${tree}`)
      .replaceAll(
        /^(STEWARD_\w+)='\{\{ \w+ \}\}'$/gm,
        (_all, variable: string) => `${variable}='${env[variable] ?? ''}'`,
      );
    const { stdout, status } = spawnSync('sh', { input: script });
    return { status, answer: JSON.parse(stdout.toString()) as unknown };
  };
  const named = (report: LoadReport, name: string) => report.units.find((u) => u.name === name);

  asRoot(
    'what units hold, without page cache, biggest first; the next look knows what this one saw',
    () => {
      unit('shop.service', 300, 2);
      unit('postgresql.service', 900);
      // While the look measures for two seconds, its limit holds it back in 15 of 20 periods.
      const stat = join(tree, 'system.slice', 'shop.service', 'cpu.stat');
      const later = 'usage_usec 2000\nnr_periods 120\nnr_throttled 25\n';
      spawn('sh', ['-c', `sleep 1; printf '${later.replaceAll('\n', '\\n')}' >${stat}`]);
      const first = loadReport.parse(run('inspect-load').answer);
      expect(first.units.map((u) => u.name)).toEqual(['postgresql.service', 'shop.service']);
      expect(named(first, 'shop.service')).toMatchObject({
        memoryBytes: 301 * MiB,
        swapBytes: 4096,
        limitBytes: null,
        oomKills: 2,
        protected: null,
        cpuLimitCores: 0.5,
        throttledPercent: 75,
        pressure: { some60: 22.5, full60: 11.25 },
        history: [],
      });
      expect(named(first, 'postgresql.service')?.protected).toMatch(/database/);
      expect(first.memory.totalBytes).toBeGreaterThan(first.memory.availableBytes);
      expect(first.cpu.cores).toBeGreaterThan(0);
      unit('shop.service', 350);
      const second = loadReport.parse(run('inspect-load').answer);
      expect(named(second, 'shop.service')).toMatchObject({
        memoryBytes: 351 * MiB,
        // With what was swapped out.
        history: [{ memoryBytes: 301 * MiB + 4096, secondsAgo: expect.any(Number) }],
      });
      expect(second.cpu.history.at(-1)?.stealPercent).toBe(first.cpu.stealPercent);
    },
    30_000,
  );

  asRoot(
    'many units with long names stay within what SSM keeps',
    () => {
      for (let n = 0; n < 40; n++) unit(`a-service-with-a-rather-long-name-that-somebody-chose-${n}.service`, 10 + n);
      const { answer } = run('inspect-load');
      expect(JSON.stringify(answer).length).toBeLessThan(24_000);
      expect(loadReport.parse(answer).units.length).toBeLessThanOrEqual(20);
    },
    30_000,
  );

  const restart = (name: string, token: string, kind = 'unit') =>
    run('restart-unit', {
      STEWARD_UNIT: Buffer.from(name).toString('base64'),
      STEWARD_KIND: kind,
      STEWARD_TOKEN: token,
    });
  asRoot.each([
    ['sshd.service', 'invalid', /people get in/],
    ['postgresql@16-main.service', 'invalid', /database/],
    ['-evil', 'invalid', /no name of a unit/],
    ['a;reboot', 'invalid', /no name of a unit/],
    ['not-there.service', 'not-found', /runs here/],
  ])('restart-unit refuses %s', (name, code, message) => {
    const { status, answer } = restart(name, `t-${process.pid}-${code}`);
    expect(status).toBe(1);
    expect(hostFailure.parse(answer).error).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('the host protects what the planner never asks for', () => {
    const names =
      'sshd ssh systemd-journald dbus-broker amazon-ssm-agent snap.amazon-ssm-agent.amazon-ssm-agent amazon-cloudwatch-agent ecs ecs-agent docker containerd postgresql-16 mysqld mariadb mongod redis-server valkey etcd rabbitmq-server kafka opensearch auditd cloud-init chronyd shop worker-3 api'.split(
        ' ',
      );
    const units = readFileSync(new URL('../../documents/units.sh', import.meta.url), 'utf8');
    const said = execFileSync('sh', [
      '-c',
      `${units}\nfor n in ${names.join(' ')}; do echo "$(protected_reason $n.service)"; done`,
    ])
      .toString()
      .split('\n');
    const policy = { restartable: ['*'], protected: [] };
    expect(names.map((n, i) => [n, said[i] !== ''])).toEqual(
      names.map((n) => [n, whyNot({ name: `${n}.service`, protected: null }, policy) !== undefined]),
    );
  });
});

describe('the documents of the agents, beside an agent made up of its control script', () => {
  const tree = mkdtempSync(join(tmpdir(), 'agent-'));
  afterAll(() => rmSync(tree, { recursive: true }));
  const parts = join(tree, 'etc/amazon-cloudwatch-agent.d');
  const proof = join(tree, 'proof/agent-proof');
  const lines = () => (existsSync(proof) ? readFileSync(proof, 'utf8').split('\n').slice(0, -1) : []);
  const part = () => JSON.parse(readFileSync(join(parts, 'file_steward-proof.json'), 'utf8'));

  /** As AWS's own: fetch-config leaves one part, append-config puts one beside the others, and what is no JSON is refused. */
  const CONTROL = `#!/bin/sh
etc=${tree}/etc
while [ $# -gt 0 ]; do case $1 in -a) action=$2; shift ;; -c) from=\${2#file:}; shift ;; esac; shift; done
case $action in
  status) printf '{ "status": "running", "version": "1.300063.0" }' ;;
  stop | start) echo "$action" >>${tree}/did ;;
  fetch-config | append-config)
    python3 -m json.tool <"$from" >/dev/null || exit 1
    for other in "$etc"/amazon-cloudwatch-agent.d/*; do [ -e "$other" ] && { python3 -m json.tool <"$other" >/dev/null 2>&1 || { echo "E! $other is no JSON"; exit 1; }; }; done
    [ "$action" = append-config ] || rm -f "$etc"/amazon-cloudwatch-agent.d/*
    cp "$from" "$etc/amazon-cloudwatch-agent.d/file_$(basename "$from")"
    : >"$etc/amazon-cloudwatch-agent.toml"
    echo "$action" >>${tree}/did ;;
esac
`;
  beforeEach(() => {
    rmSync(tree, { recursive: true });
    for (const dir of ['bin', 'logs', 'etc/amazon-cloudwatch-agent.d']) mkdirSync(join(tree, dir), { recursive: true });
    writeFileSync(join(tree, 'bin/amazon-cloudwatch-agent-ctl'), CONTROL);
    chmodSync(join(tree, 'bin/amazon-cloudwatch-agent-ctl'), 0o755);
  });
  let tokens = 0;
  const run = (name: string, env: Readonly<Record<string, string>> = {}) => {
    const script = textOf(name)
      .replace('CW=/opt/aws/amazon-cloudwatch-agent', `CW=${tree}`)
      .replace('PROOF=/var/lib/steward/agent-proof', `PROOF=${proof}`)
      .replace('sleep 3', ':')
      .replaceAll(
        /^(STEWARD_\w+)='\{\{ \w+ \}\}'$/gm,
        (_all, variable: string) => `${variable}='${env[variable] ?? ''}'`,
      );
    const { stdout, status } = spawnSync('sh', { input: script });
    return { status, answer: JSON.parse(stdout.toString()) as unknown };
  };
  const mend = (action: string, group = '/steward/prod/agent-proof', token = `agent-${process.pid}-${++tokens}`) => ({
    token,
    ...run('mend-agent', {
      STEWARD_AGENT: 'cloudwatch',
      STEWARD_ACTION: action,
      STEWARD_CONFIG: action === 'configure' ? Buffer.from('{"agent":{}}').toString('base64') : '',
      STEWARD_GROUP: group,
      STEWARD_TOKEN: token,
    }),
  });
  const seen = () => {
    const report: AgentsReport = agentsReport.parse(run('inspect-agents').answer);
    return report.agents.find((a) => a.name === 'cloudwatch')?.proof;
  };

  asRoot('configure: our part stands beside theirs, and a line with the token is written', () => {
    writeFileSync(join(parts, 'ssm_theirs'), '{"logs":{}}');
    writeFileSync(join(tree, 'etc/amazon-cloudwatch-agent.toml'), '');
    expect(seen()).toBeNull();
    const { answer, token } = mend('configure');
    expect(mendReport.parse(answer)).toMatchObject({ proves: true, steps: ['configured', 'proving'] });
    expect(readdirSync(parts).sort()).toEqual(['file_steward-proof.json', 'file_steward.json', 'ssm_theirs']);
    // No section that another part may have with another value: the agent would refuse both.
    expect(part()).toEqual({
      logs: {
        logs_collected: {
          files: {
            collect_list: [
              {
                file_path: proof,
                log_group_name: '/steward/prod/agent-proof',
                log_stream_name: '{instance_id}',
                timezone: 'UTC',
              },
            ],
          },
        },
      },
    });
    expect(lines().map((l) => proofLineOf(l)?.word)).toEqual([token]);
    expect(seen()).toEqual({ lines: lines() });
    // The same command again gives the first answer, and writes nothing.
    expect(mend('configure', '/steward/prod/agent-proof', token).answer).toMatchObject({ repeated: true });
    expect(lines()).toHaveLength(1);
  });

  asRoot('restart: a line only where the agent ships them; prove: our part alone', () => {
    writeFileSync(join(tree, 'etc/amazon-cloudwatch-agent.toml'), '');
    expect(mendReport.parse(mend('restart', '').answer)).toMatchObject({ proves: false, steps: ['restarted'] });
    expect(beatReport.parse(run('beat-agent').answer).written).toBe(false);
    expect(lines()).toEqual([]);
    expect(mendReport.parse(mend('prove').answer)).toMatchObject({ proves: true, steps: ['proving'] });
    expect(readdirSync(parts)).toEqual(['file_steward-proof.json']);
    expect(mendReport.parse(mend('restart', '').answer)).toMatchObject({ proves: true, steps: ['restarted'] });
    expect(beatReport.parse(run('beat-agent').answer).written).toBe(true);
    expect(lines()).toHaveLength(3);
    expect(proofLineOf(lines().at(-1) ?? '')?.word).toBe('beat');
  });

  asRoot('what the agent refuses, and an agent without a configuration, are said; theirs is left as it is', () => {
    expect(hostFailure.parse(mend('prove').answer).error).toMatchObject({ code: 'not-found' });
    writeFileSync(join(tree, 'etc/amazon-cloudwatch-agent.toml'), '');
    writeFileSync(join(parts, 'ssm_theirs'), '{"logs":');
    expect(hostFailure.parse(mend('prove').answer).error).toMatchObject({
      code: 'failed',
      message: expect.stringContaining('the agent takes its proof: E! '),
    });
    expect(readFileSync(join(parts, 'ssm_theirs'), 'utf8')).toBe('{"logs":');
    expect(lines()).toEqual([]);
  });

  asRoot('the file does not grow for ever, and whatever stands in it is told as text', () => {
    mkdirSync(join(tree, 'proof'));
    writeFileSync(join(parts, 'file_steward-proof.json'), JSON.stringify({ file_path: proof }));
    writeFileSync(proof, `${'x'.repeat(70_000)}\n"\\\u0001\n`);
    expect(seen()?.lines).toEqual(['x'.repeat(120), '"\\\u0001']);
    run('beat-agent');
    expect(lines()).toHaveLength(1);
  });
});
