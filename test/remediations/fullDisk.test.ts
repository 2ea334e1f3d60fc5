/** The planner of full-disk: what it decides from what it sees. What it then does to a fleet is told in test/stories. */

import fc from 'fast-check';
import type { Mount } from '../../shared/core/disk.ts';
import { maxGiB } from '../../shared/core/ebs.ts';
import { NotFound, Unavailable } from '../../shared/core/errors.ts';
import type { Attempt } from '../../shared/core/incident.ts';
import { defaultPolicy } from '../../shared/core/policy.ts';
import type { HostRun, Instance, Ports, Volume } from '../../shared/core/ports.ts';
import { noReleases } from '../../shared/core/releases.ts';
import type { Assessment } from '../../shared/core/remediation.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import type { Json } from '../../shared/core/verdict.ts';
import { fullDisk } from '../../shared/remediations/fullDisk.ts';
import { aMount, disk, GiB, partition, usedTo, VOLUME } from '../core/disk.ts';
import { aProposal, NOW } from '../core/proposal.ts';

const { target } = aProposal;
const ID = 'i-0123456789abcdef0';
const defaults = defaultPolicy([fullDisk]).remediations['full-disk']?.options as Record<string, unknown>;

/** What the ports answer. */
interface Host {
  instance: Partial<Instance>;
  agent: 'online' | 'silent' | 'absent';
  mounts: readonly Mount[];
  run: HostRun<never> | undefined;
  command: HostRun<never>;
  volumes: readonly Volume[];
  growth: readonly { at: number; value: number }[];
  changed: string[];
  /** Why the policy does not cover it. */
  uncovered: string | undefined;
}
let host: Host;
beforeEach(() => {
  host = {
    instance: {},
    agent: 'online',
    mounts: [usedTo(93)],
    run: undefined,
    command: { state: 'running', commandId: 'c' },
    volumes: [{ id: VOLUME, sizeGiB: 20, type: 'gp3', multiAttach: false }],
    growth: [],
    changed: [],
    uncovered: undefined,
  };
});

const ports = (): Ports => {
  const changes = async (): Promise<never> => {
    host.changed.push('changed');
    throw new Error('a look changes nothing');
  };
  return {
    instances: {
      zones: async () => ({}),
      subnets: async () => [],
      describe: async () => ({
        id: ID,
        state: 'running',
        tags: {},
        zoneId: 'az1',
        zoneName: 'a',
        type: 'm7g.large',
        launchedAt: 0,
        spot: false,
        losesAddress: false,
        autoRecovery: true,
        devices: { '/dev/sdb': VOLUME },
        ...host.instance,
      }),
      dedicatedHosts: async () => [],
      countByZone: async () => ({ az1: 3, az2: 2 }),
      checks: async () => ({}),
      members: async () => [],
      traits: async () => ({}),
      troubled: async () => [],
      reboot: changes,
      stop: changes,
      start: changes,
      setType: changes,
      credits: async () => undefined,
      setCredits: changes,
    },
    volumes: {
      troubled: async () => [],
      snapshots: async () => [],
      enableIo: changes,
      describe: async (ids) => host.volumes.filter((v) => ids.includes(v.id)),
      attachedTo: async () => ID,
      grow: changes,
    },
    hosts: {
      agent: async () => ({ state: host.agent }),
      inspect: (async () =>
        host.run ?? {
          state: 'done',
          commandId: 'i',
          report: { version: 1, at: '', os: '', kernel: '', mounts: [...host.mounts], cut: [] },
        }) as unknown as Ports['hosts']['inspect'],
      start: changes,
      result: (async () => host.command) as unknown as Ports['hosts']['result'],
    },
    metrics: {
      exactly: async () => [],
      series: async () => host.growth,
      all: async () => [],
      alarmStates: async () => ({}),
    },
    parameters: { get: changes, put: changes },
    where: { ...target, stage: 'test' },
  } satisfies Partial<Ports> as unknown as Ports;
};

interface Given {
  readonly attempts?: readonly Attempt[];
  readonly options?: Record<string, unknown>;
  readonly openedAt?: number;
}
const assess = ({ attempts = [], options = {}, openedAt = NOW }: Given = {}): Promise<Assessment> =>
  fullDisk.assess(target, ports(), {
    now: NOW,
    openedAt,
    attempts,
    options: { ...defaults, ...options },
    tags: { managed: 'steward:managed', ignore: 'steward:ignore', group: 'steward:group' },
    signal: { kind: 'disk.space-low', cause: 'an alarm' },
    declared: { trails: {} },
    releases: noReleases(target.arn),
    toldOf: async () => ({}),
    attemptsOf: async () => [],
    trusts: () => false,
    trustsAnyone: false,
    uncovered: () => host.uncovered,
  });

const attempt = (step: Json, change: Partial<Attempt> = {}): Attempt => ({
  n: 1,
  rung: 'x',
  step,
  plan: 'x',
  because: 'x',
  token: 't-1',
  reservedAt: NOW - minutes(1),
  before: { availableBytes: GiB, sizeBytes: 20 * GiB, usedInodes: 1000 },
  outcome: { kind: 'done', at: NOW - minutes(1), because: 'taken' },
  ...change,
});
const cleaned = (change: Partial<Attempt> = {}) =>
  attempt({ do: 'clean', path: '/srv' }, { receipt: { commandId: 'c' }, ...change });
const grown = (toGiB: number, change: Partial<Attempt> = {}) =>
  attempt({ do: 'grow-volume', path: '/srv', volume: VOLUME, toGiB }, change);
const extended = (change: Partial<Attempt> = {}) =>
  attempt({ do: 'grow-filesystem', path: '/srv' }, { n: 2, receipt: { commandId: 'c' }, ...change });
const ended: HostRun<never> = { state: 'done', commandId: 'c', report: {} as never };
const modified = (state: 'modifying' | 'optimizing' | 'completed' | 'failed', sizeGiB: number, ago = minutes(1)) => {
  host.volumes = [
    {
      id: VOLUME,
      sizeGiB,
      type: 'gp3',
      multiAttach: false,
      modification: { state, startedAt: NOW - ago, targetGiB: 30 },
    },
  ];
};
const cleanable = (bytes: number) => [{ place: 'journal', bytes, files: 3 }];
const see = (m: Partial<Mount>) => () => {
  host.mounts = [{ ...usedTo(93), ...m }];
};

type Row = readonly [string, () => void, Given, object];
const rows: readonly Row[] = [
  [
    'under the limit',
    () => {
      host.mounts = [usedTo(79)];
    },
    {},
    { do: 'close', because: '/srv 79 % used, under the limit of 80 %' },
  ],
  [
    'with room to make',
    see({ cleanable: cleanable(GiB) }),
    {},
    { do: 'act', rung: 'clean /srv', step: { do: 'clean', path: '/srv', expectBytes: GiB } },
  ],
  [
    'where cleaning is hardly worth it',
    see({ cleanable: cleanable(GiB / 10) }),
    {},
    {
      do: 'act',
      rung: 'grow /srv',
      step: { do: 'grow-volume', volume: VOLUME, toGiB: 30 },
      cost: { usdPerMonth: expect.closeTo(0.952) },
    },
  ],
  [
    'where cleaning is not wanted',
    see({ cleanable: cleanable(GiB) }),
    { options: { clean: false } },
    { do: 'act', step: { do: 'grow-volume' } },
  ],
  ['that is being cleaned', () => {}, { attempts: [cleaned()] }, { do: 'wait', because: 'the host is at work on it' }],
  [
    'that is being cleaned for an hour',
    () => {},
    { attempts: [cleaned({ reservedAt: NOW - hours(1) })] },
    { do: 'escalate', because: expect.stringContaining('more than 30 min') },
  ],
  [
    'that was cleaned to no avail',
    () => {
      host.command = ended;
      see({ cleanable: cleanable(GiB) })();
    },
    { attempts: [cleaned()] },
    { do: 'act', step: { do: 'grow-volume' }, because: expect.stringContaining('even after cleaning') },
  ],
  [
    'where cleaning was put off',
    () => {
      host.command = ended;
      see({ cleanable: cleanable(GiB) })();
    },
    { attempts: [cleaned({ outcome: { kind: 'transient', at: NOW, because: '' } })] },
    { do: 'act', step: { do: 'clean' } },
  ],
  [
    'whose volume has room',
    see({ layers: [partition(20), disk(40)] }),
    {},
    { do: 'act', step: { do: 'grow-filesystem', path: '/srv' } },
  ],
  ['whose volume is growing', () => modified('modifying', 20), { attempts: [grown(30)] }, { do: 'wait' }],
  [
    'whose volume has grown',
    () => modified('optimizing', 30),
    { attempts: [grown(30)] },
    { do: 'act', continues: true, step: { do: 'grow-filesystem' } },
  ],
  [
    'whose volume has grown although nobody answered',
    () => modified('optimizing', 30),
    { attempts: [grown(30, { outcome: { kind: 'ambiguous', at: NOW, because: 'no answer' } })] },
    { do: 'act', continues: true, step: { do: 'grow-filesystem' } },
  ],
  [
    'whose volume did not grow, and nobody answered',
    () => {},
    {
      attempts: [
        grown(30, { reservedAt: NOW - hours(1), outcome: { kind: 'ambiguous', at: NOW, because: 'no answer' } }),
      ],
    },
    { do: 'escalate', because: expect.stringContaining('did not grow: no answer') },
  ],
  [
    'whose volume was declined',
    () => {},
    { attempts: [grown(30, { outcome: { kind: 'permanent', at: NOW, because: 'rate exceeded' } })] },
    { do: 'escalate', because: expect.stringContaining('rate exceeded') },
  ],
  [
    'whose growth failed',
    () => modified('failed', 20),
    { attempts: [grown(30)] },
    { do: 'escalate', because: expect.stringContaining('did not grow') },
  ],
  [
    'whose file system is growing',
    () => {},
    { attempts: [grown(30, { effect: 'effective' }), extended()] },
    { do: 'wait', because: 'the host is at work on it' },
  ],
  [
    'whose file system did not grow',
    () => {
      host.command = {
        state: 'failed',
        commandId: 'c',
        code: 'not-last',
        message: 'a partition follows',
        remedy: 'move the data',
      };
    },
    { attempts: [grown(30, { effect: 'effective' }), extended()] },
    { do: 'escalate', because: expect.stringContaining('a partition follows (not-last). move the data') },
  ],
  [
    'grown once and full again',
    () => {
      host.command = ended;
      host.mounts = [usedTo(93, { ...aMount, sizeBytes: 30 * GiB, layers: [partition(30), disk(30)] })];
      modified('completed', 30);
    },
    { attempts: [grown(30, { effect: 'effective' }), extended()] },
    { do: 'escalate', because: expect.stringContaining('growing it once was not enough') },
  ],
  [
    'whose volume is still optimizing from before',
    () => modified('optimizing', 20),
    {},
    { do: 'wait', because: expect.stringContaining('AWS takes no further change') },
  ],
  [
    'whose volume is optimizing for seven hours',
    () => modified('optimizing', 20, hours(7)),
    {},
    { do: 'escalate', because: expect.stringContaining('AWS takes no further change') },
  ],
  ['at the cap', () => {}, { options: { maxGiB: 20 } }, { do: 'escalate', remedy: expect.stringContaining('maxGiB') }],
  ['near the cap', () => {}, { options: { maxGiB: 25 } }, { do: 'act', step: { toGiB: 25 } }],
  [
    'not to be grown',
    () => {},
    { options: { grow: false } },
    { do: 'escalate', because: expect.stringContaining('does not let it grow') },
  ],
  [
    'on an instance store',
    see({ layers: [disk(20, { instanceStore: true })] }),
    {},
    { do: 'escalate', because: expect.stringContaining('instance-store') },
  ],
  [
    'on a volume of several instances',
    () => {
      host.volumes = [{ id: VOLUME, sizeGiB: 20, type: 'io2', multiAttach: true }];
    },
    {},
    { do: 'escalate', because: expect.stringContaining('several instances') },
  ],
  [
    'on no volume that is known',
    () => {
      host.volumes = [];
    },
    {},
    { do: 'escalate', because: expect.stringContaining('no EBS volume') },
  ],
  [
    'on dm-crypt',
    see({ layers: [{ kind: 'other', name: 'dm-0', type: 'crypt', sizeBytes: 20 * GiB }, disk(20)] }),
    {},
    { do: 'escalate', because: expect.stringContaining('crypt (dm-0)') },
  ],
  [
    'before another partition',
    see({ layers: [partition(20, { last: false }), disk(40)] }),
    {},
    { do: 'escalate', because: expect.stringContaining('another partition follows') },
  ],
  [
    'that the kernel made read-only',
    see({ readOnly: true, cleanable: cleanable(GiB) }),
    {},
    { do: 'escalate', because: expect.stringContaining('read-only') },
  ],
  [
    'out of inodes on Btrfs',
    () => {
      host.mounts = [{ ...aMount, filesystem: 'btrfs', inodes: { total: 100, used: 99 } }];
    },
    {},
    { do: 'escalate', because: expect.stringContaining('Btrfs') },
  ],
  [
    'that a replication slot fills',
    see({ walBytes: 15 * GiB }),
    {},
    { do: 'act', because: expect.stringContaining('That only buys time') },
  ],
  [
    'of a stopped instance',
    () => {
      host.instance = { state: 'stopped' };
    },
    {},
    { do: 'nothing' },
  ],
  [
    'whose agent is silent',
    () => {
      host.agent = 'silent';
    },
    {},
    { do: 'wait', because: expect.stringContaining('gone silent') },
  ],
  [
    'whose agent is silent for long',
    () => {
      host.agent = 'silent';
    },
    { openedAt: NOW - minutes(16) },
    { do: 'escalate' },
  ],
  [
    'without an agent',
    () => {
      host.agent = 'absent';
    },
    {},
    { do: 'escalate', remedy: expect.stringContaining('AmazonSSMManagedInstanceCore') },
  ],
  [
    'that could not be inspected',
    () => {
      host.run = { state: 'lost', commandId: 'i', message: 'the command timed out' };
    },
    { openedAt: NOW - minutes(16) },
    { do: 'escalate', because: expect.stringContaining('timed out') },
  ],
];

describe('a disk', () => {
  test.each(rows)('%s', async (_name, prepare, given, verdict) => {
    prepare();
    expect((await assess(given)).verdict).toMatchObject(verdict);
    expect(host.changed).toStrictEqual([]);
  });

  test('that the policy does not cover is left alone: its host is not even asked', async () => {
    host.uncovered = 'it carries the tag steward:ignore';
    host.run = { state: 'lost', commandId: 'i', message: 'it was asked' };
    expect(await assess()).toMatchObject({ healthy: false, verdict: { do: 'nothing', because: host.uncovered } });
  });
  test('of an instance that is gone', async () => {
    host.instance = { state: 'terminated' };
    await expect(assess()).rejects.toThrow(NotFound);
  });
  test('that nobody answers for is not called healthy', async () => {
    const silent = {
      ...ports(),
      hosts: { ...ports().hosts, inspect: () => Promise.reject(new Unavailable('no answer')) },
    };
    const look = {
      now: NOW,
      openedAt: NOW,
      attempts: [],
      options: defaults,
      tags: { managed: 'a', ignore: 'b', group: 'c' },
      signal: { kind: 'disk.space-low' as const, cause: 'an alarm' },
      declared: { trails: {} },
      releases: noReleases(target.arn),
      toldOf: async () => ({}),
      attemptsOf: async () => [],
      trusts: () => false,
      trustsAnyone: false,
      uncovered: () => undefined,
    };
    await expect(fullDisk.assess(target, silent, look)).rejects.toThrow(Unavailable);
  });
  test('of a host that shows no file system at all is not called healthy', async () => {
    host.mounts = [];
    expect((await assess()).healthy).toBe(false);
  });
  test('that is not its business is not looked at', async () => {
    host.mounts = [
      usedTo(50),
      { ...usedTo(99), path: '/snap', filesystem: 'squashfs' },
      { ...usedTo(99), path: '/scratch' },
    ];
    expect(await assess({ options: { ignoreMounts: ['/scratch'] } })).toMatchObject({ healthy: true });
  });
  test('is the fullest of those in trouble', async () => {
    host.mounts = [usedTo(85), { ...usedTo(95), path: '/var' }];
    expect((await assess()).verdict).toMatchObject({ rung: 'grow /var' });
  });
  test('of a group is counted in it', async () => {
    host.instance = { tags: { 'aws:autoscaling:groupName': 'web' } };
    expect((await assess()).facts).toMatchObject({
      group: { id: 'asg/web', size: 5, zones: { az1: 3, az2: 2 } },
      zone: 'az1',
    });
    host.instance = {};
    expect((await assess()).facts).toMatchObject({ group: { id: `instance/${ID}`, size: 1 } });
  });
});

describe('whatever it sees', () => {
  const OTHERS = 'vol-0fedcba9876543210';
  const seldom = fc.integer({ min: 0, max: 9 }).map((n) => n === 0);
  const layer = fc.oneof(
    fc
      .record({ size: fc.integer({ min: 1, max: 200 }), last: fc.boolean() })
      .map(({ size, last }) => partition(size, { last })),
    fc
      .record({
        size: fc.integer({ min: 1, max: 200 }),
        instanceStore: fc.boolean(),
        volumeId: fc.constantFrom(VOLUME, null, OTHERS),
        name: fc.constantFrom('nvme1n1', 'xvdb'),
      })
      .map(({ size, ...rest }) => disk(size, rest)),
    fc
      .record({ sizeBytes: fc.nat(), freeBytes: fc.nat() })
      .map((x) => ({ kind: 'lvm' as const, volumeGroup: 'a', logicalVolume: 'b', physicalVolumes: 1, ...x })),
    fc.constant({ kind: 'other' as const, name: 'dm-0', type: 'crypt', sizeBytes: 1 }),
  );
  const mount: fc.Arbitrary<Mount> = fc
    .record({
      path: fc.constantFrom('/', '/srv', '/mnt/with space'),
      filesystem: fc.constantFrom('ext4', 'xfs', 'btrfs', 'squashfs'),
      percent: fc.constantFrom(10, 79.9, 80, 93, 100),
      readOnly: seldom,
      inodes: fc.option(
        fc.integer({ min: 0, max: 100 }).map((used) => ({ total: 100, used })),
        { nil: null },
      ),
      // Mostly a plain disk, so that most of them can grow.
      layers: fc.oneof(
        { weight: 1, arbitrary: fc.array(layer, { maxLength: 4 }) },
        {
          weight: 4,
          arbitrary: fc.constantFrom(VOLUME, null, OTHERS).map((volumeId) => [disk(20, { volumeId, name: 'xvdb' })]),
        },
      ),
      cleanable: fc.array(
        fc.record({
          place: fc.constant('journal'),
          bytes: fc.constantFrom(0, GiB / 100, GiB),
          files: fc.nat({ max: 50 }),
        }),
        { maxLength: 2 },
      ),
      walBytes: fc.integer({ min: 0, max: 20 * GiB }),
    })
    .map(({ percent, ...rest }) => ({ ...usedTo(percent), ...rest }));
  const volume: fc.Arbitrary<Volume> = fc.record({
    id: fc.constantFrom(VOLUME, OTHERS),
    sizeGiB: fc.constantFrom(1, 20, 500, 1023, 16_384),
    type: fc.constantFrom('gp2', 'gp3', 'io2', 'standard', 'gp9'),
    multiAttach: seldom,
  });
  const tried: fc.Arbitrary<Attempt[]> = fc.array(
    fc
      .record({
        make: fc.constantFrom(cleaned, (c: Partial<Attempt>) => grown(30, c), extended),
        kind: fc.constantFrom('done', 'transient', 'permanent', 'ambiguous'),
      })
      .map(({ make, kind }) => make({ outcome: { kind: kind as 'done', at: NOW, because: 'so' } })),
    { maxLength: 3 },
  );
  const scene = fc.record({
    mounts: fc.array(mount, { minLength: 1, maxLength: 3 }),
    volumes: fc.tuple(volume, volume).map(([a, b]) => [
      { ...a, id: VOLUME },
      { ...b, id: OTHERS },
    ]),
    command: fc.constantFrom<HostRun<never>>(
      ended,
      { state: 'running', commandId: 'c' },
      { state: 'lost', commandId: 'c', message: 'lost' },
    ),
    attempts: fc.oneof(fc.constant<Attempt[]>([]), tried),
    maxGiB: fc.integer({ min: 10, max: 65_536 }),
  });
  const given = async (s: {
    mounts: readonly Mount[];
    volumes: readonly Volume[];
    command: HostRun<never>;
    attempts: readonly Attempt[];
    maxGiB: number;
  }) => {
    Object.assign(host, s);
    return assess({ attempts: s.attempts, options: { maxGiB: s.maxGiB } });
  };

  /** A property over scenes in which nothing of the kind ever happens proves nothing. */
  let happened = 0;
  afterEach(() => {
    expect(happened).toBeGreaterThan(20);
    happened = 0;
  });

  test('it grows only a volume of its own under the troubled disk, never shrinks it, never beyond the cap, and prices it', async () => {
    await fc.assert(
      fc.asyncProperty(scene, async (s) => {
        const { verdict } = await given(s);
        const step =
          verdict.do === 'act'
            ? (verdict.step as { do: string; path: string; volume: string; toGiB: number })
            : undefined;
        if (verdict.do !== 'act' || step?.do !== 'grow-volume') return;
        happened++;
        const before = s.volumes.find((v) => v.id === step.volume);
        expect(step.toGiB).toBeGreaterThan(before?.sizeGiB ?? Number.POSITIVE_INFINITY);
        expect(step.toGiB).toBeLessThanOrEqual(Math.min(s.maxGiB, maxGiB(before?.type ?? '')));
        expect(before?.multiAttach).toBe(false);
        const under = s.mounts
          .filter((m) => m.path === step.path)
          .flatMap((m) => m.layers.flatMap((l) => (l.kind === 'disk' ? [l.volumeId] : [])));
        expect(under.some((id) => id === step.volume || id === null)).toBe(true);
        expect(step.volume).not.toBe(OTHERS);
        // A price that is not known is NaN, which the gate refuses.
        expect(verdict.cost).toBeDefined();
        expect(fullDisk.touches(verdict.step, target)).toStrictEqual([
          `arn:aws:ec2:eu-central-1:111122223333:volume/${step.volume}`,
        ]);
      }),
      { numRuns: 400 },
    );
  });

  test('it closes only when every disk that is its business is under the limits', async () => {
    await fc.assert(
      fc.asyncProperty(scene, async (s) => {
        const { verdict, healthy } = await given(s);
        const business = s.mounts.filter((m) => m.filesystem !== 'squashfs');
        const full = business.some(
          (m) => (100 * m.usedBytes) / (m.usedBytes + m.availableBytes) >= 80 || (m.inodes?.used ?? 0) >= 85,
        );
        expect(verdict.do === 'close').toBe(healthy);
        if (healthy) happened++;
        if (healthy) expect(full || business.length === 0).toBe(false);
      }),
      { numRuns: 400 },
    );
  });

  test('it cleans only where there is something to clean, once; an escalation names a remedy; and it decides the same again', async () => {
    await fc.assert(
      fc.asyncProperty(scene, async (s) => {
        const { verdict } = await given(s);
        const step =
          verdict.do === 'act' ? (verdict.step as { do: string; path: string; expectBytes: number }) : undefined;
        if (step?.do === 'clean') {
          happened++;
          expect(
            s.mounts.some((m) => m.path === step.path && m.cleanable.some((c) => c.bytes > 0 || c.files > 0)),
          ).toBe(true);
          expect(
            s.attempts.some(
              (a) =>
                (a.step as { do: string; path: string }).do === 'clean' &&
                (a.step as { path: string }).path === step.path &&
                a.outcome?.kind !== 'transient',
            ),
          ).toBe(false);
        }
        if (verdict.do === 'escalate') expect(verdict.remedy).not.toBe('');
        if (verdict.do === 'wait') expect(verdict.until).toBeGreaterThan(NOW);
        expect(verdict.because).not.toBe('');
        expect((await given(s)).verdict).toStrictEqual(verdict);
        expect(host.changed).toStrictEqual([]);
      }),
      { numRuns: 400 },
    );
  });
});
