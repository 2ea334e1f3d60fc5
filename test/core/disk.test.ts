import fc from 'fast-check';
import { bytesOf, gib, growthPerHour, maxGiB, usdPerMonth, wantedGiB } from '../../shared/core/ebs.ts';
import {
  causeOf,
  fills,
  hasUnusedBelow,
  inodesPercent,
  inTrouble,
  isRepairable,
  sizeText,
  stateOf,
  troubleOf,
  usedPercent,
  volumesOf,
} from '../../shared/core/mounts.ts';
import type { Instance } from '../../shared/core/ports.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { aMount, disk, GiB, partition, usedTo, VOLUME } from './disk.ts';

const limits = { usedPercent: 80, inodesPercent: 85 };

describe('the size that is wanted', () => {
  const given = fc.record({
    sizeGiB: fc.integer({ min: 1, max: 16_384 }),
    usedPart: fc.double({ min: 0.5, max: 1, noNaN: true }),
    limitPercent: fc.integer({ min: 20, max: 99 }),
    bytesPerHour: fc.option(fc.double({ min: -1e12, max: 1e12, noNaN: true }), { nil: undefined }),
  });
  const want = ({
    sizeGiB,
    usedPart,
    limitPercent,
    bytesPerHour,
  }: {
    sizeGiB: number;
    usedPart: number;
    limitPercent: number;
    bytesPerHour: number | undefined;
  }) => {
    const fileSystemBytes = bytesOf(sizeGiB);
    return wantedGiB({ sizeGiB, usedBytes: fileSystemBytes * usedPart, fileSystemBytes, limitPercent, bytesPerHour });
  };

  test('is whole, at least 10 GiB and a tenth more, holds seven hours of growth, and brings the use under the limit', () => {
    fc.assert(
      fc.property(given, (g) => {
        const wanted = want(g);
        expect(Number.isInteger(wanted)).toBe(true);
        expect(wanted - g.sizeGiB).toBeGreaterThanOrEqual(Math.max(10, g.sizeGiB / 10) - 1e-6);
        expect(bytesOf(wanted - g.sizeGiB)).toBeGreaterThanOrEqual((g.bytesPerHour ?? 0) * 7 - 1);
        expect((100 * g.sizeGiB * g.usedPart) / wanted).toBeLessThan(g.limitPercent);
      }),
    );
  });
  test('never falls when more is used, or when it grows faster', () => {
    fc.assert(
      fc.property(
        given,
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        fc.double({ min: 0, max: 1e11, noNaN: true }),
        (g, part, rate) => {
          expect(want({ ...g, usedPart: g.usedPart + part })).toBeGreaterThanOrEqual(want(g));
          expect(want({ ...g, bytesPerHour: (g.bytesPerHour ?? 0) + rate })).toBeGreaterThanOrEqual(want(g));
        },
      ),
    );
  });
  test('prices and limits: an unknown type has no price, an unknown region the dearest', () => {
    expect(usdPerMonth('gp3', 100, 'us-east-1')).toBeCloseTo(8);
    expect(usdPerMonth('gp3', 100, 'mars-north-1')).toBeGreaterThan(usdPerMonth('gp3', 100, 'eu-central-1'));
    expect(usdPerMonth('gp9', 1, 'us-east-1')).toBeNaN();
    expect(maxGiB('gp9')).toBe(1024);
    expect(maxGiB('standard')).toBeLessThan(maxGiB('gp3'));
  });
});

describe('the growth per hour', () => {
  const series = (values: readonly number[]) => values.map((value, i) => ({ at: i * minutes(5), value }));
  test('is not known of fewer than five points, nor within an hour', () => {
    const every = (ms: number, n: number) => Array.from({ length: n }, (_, i) => ({ at: i * ms, value: 50 }));
    for (let n = 0; n < 5; n++) expect(growthPerHour(every(hours(1), n))).toBeUndefined();
    expect(growthPerHour(every(minutes(15), 5))).toBe(0);
    expect(growthPerHour(every(minutes(1), 60))).toBeUndefined();
  });
  test('of a line with bursts and clean-ups in up to a seventh of its points is about that of the line', () => {
    const slope = fc.double({ min: -5, max: 5, noNaN: true });
    fc.assert(
      fc.property(
        slope,
        fc.integer({ min: 14, max: 400 }),
        fc.array(fc.tuple(fc.nat(), fc.double({ min: -1000, max: 1000, noNaN: true })), { maxLength: 60 }),
        (s, n, outliers) => {
          const values = Array.from({ length: n }, (_, i) => (s * i * minutes(5)) / hours(1));
          for (const [at, value] of outliers.slice(0, Math.floor(Math.min(n, 60) / 7))) values[at % n] = value;
          // Of all pairs, fewer than half hold an outlier: the median is one of the line's own slopes.
          expect(growthPerHour(series(values))).toBeCloseTo(s, 6);
        },
      ),
      { numRuns: 60 },
    );
  });
  test('repeated times divide by nothing', () => {
    expect(growthPerHour(Array(8).fill({ at: 0, value: 1 }))).toBeUndefined();
  });
});

describe('a file system', () => {
  test.each([
    ['at the limit', usedTo(80), 'space'],
    ['just under it', usedTo(79.99), undefined],
    ['with few inodes left', { ...aMount, inodes: { total: 100, used: 85 } }, 'inodes'],
    ['with both', { ...usedTo(90), inodes: { total: 100, used: 99 } }, 'space'],
    ['without a number of inodes', { ...aMount, inodes: null }, undefined],
    ['with none at all', { ...aMount, inodes: { total: 0, used: 0 } }, undefined],
    ['whose reserve is all that is left', { ...aMount, usedBytes: 19 * GiB, availableBytes: 0 }, 'space'],
    ['of no size', { ...aMount, sizeBytes: 0, usedBytes: 0, availableBytes: 0 }, undefined],
  ])('%s: %s', (_name, m, trouble) => {
    expect(troubleOf(m, limits)).toBe(trouble);
  });
  test('those in trouble come fullest first, the others not at all', () => {
    const mounts = [usedTo(81), usedTo(50), usedTo(99), { ...aMount, inodes: { total: 100, used: 95 } }];
    expect(inTrouble(mounts, limits).map((m) => Math.max(usedPercent(m), inodesPercent(m)))).toStrictEqual([
      99, 95, 81,
    ]);
  });
  test('is said as it is', () => {
    expect(stateOf(usedTo(92.9), 'space')).toBe('/srv is 92 % full');
    expect(stateOf({ ...aMount, inodes: { total: 100, used: 86 } }, 'inodes')).toBe('/srv has used 86 % of its inodes');
    expect([sizeText(GiB), sizeText(GiB - 1), sizeText(0)]).toStrictEqual(['1.0 GiB', '1024 MiB', '0 MiB']);
    expect(gib(bytesOf(7))).toBe(7);
    expect(
      ['ext4', 'xfs', 'btrfs', 'squashfs', 'vfat'].map((filesystem) => isRepairable({ ...aMount, filesystem })),
    ).toStrictEqual([true, true, true, false, false]);
  });

  test.each([
    ['fills its partition and disk', [partition(20), disk(20)], 20, false],
    ['has a partition behind it that could grow', [partition(20), disk(30)], 20, true],
    ['is followed by another partition', [partition(20, { last: false }), disk(30)], 20, false],
    ['is smaller than its partition', [partition(30), disk(30)], 20, true],
    ['is smaller than its disk', [disk(30)], 20, true],
    ['shows a little less, by its own structures', [partition(20), disk(20)], 18.5, false],
    [
      'has free extents in its volume group',
      [
        {
          kind: 'lvm',
          volumeGroup: 'a',
          logicalVolume: 'b',
          sizeBytes: 20 * GiB,
          freeBytes: 5 * GiB,
          physicalVolumes: 1,
        } as const,
        disk(30),
      ],
      20,
      true,
    ],
    [
      'has no extents left',
      [
        {
          kind: 'lvm',
          volumeGroup: 'a',
          logicalVolume: 'b',
          sizeBytes: 20 * GiB,
          freeBytes: 0,
          physicalVolumes: 1,
        } as const,
        disk(20),
      ],
      20,
      false,
    ],
    ['has no disk below', [], 20, false],
  ])('that %s', (_name, layers, sizeGiB, expected) => {
    expect(hasUnusedBelow({ ...aMount, layers, sizeBytes: sizeGiB * GiB })).toBe(expected);
  });

  const instance = {
    devices: { '/dev/sdb': VOLUME, '/dev/sdf': 'vol-0000000000000000f', '/dev/xvdg': 'vol-00000000000000010' },
  } as unknown as Instance;
  test.each([
    ['its serial says', disk(20), [VOLUME]],
    ['its serial says, unless that is attached elsewhere', disk(20, { volumeId: 'vol-0fedcba9876543210' }), []],
    ['the attachment says, for Xen', disk(20, { volumeId: null, name: 'xvdf' }), ['vol-0000000000000000f']],
    ['the attachment says, as it is', disk(20, { volumeId: null, name: 'xvdg' }), ['vol-00000000000000010']],
    ['nobody says', disk(20, { volumeId: null, name: 'xvdz' }), []],
  ])('lies on the volume that %s', (_name, layer, volumes) => {
    expect(volumesOf({ ...aMount, layers: [layer] }, instance)).toStrictEqual(volumes);
  });

  test('names the cause that more room would only hide, and what fills it', () => {
    expect(causeOf(aMount)).toBeUndefined();
    expect(causeOf({ ...aMount, walBytes: 6 * GiB })).toContain("6.0 GiB of it are PostgreSQL's write-ahead log");
    const growing = [{ path: '/srv/debug.log', bytes: GiB, bytesPerSecond: 100_000 }];
    expect(causeOf({ ...aMount, growing })).toBe('/srv/debug.log grows by 343 MiB an hour');
    expect(causeOf({ ...aMount, growing: [{ ...growing[0]!, bytesPerSecond: 10 }] })).toBeUndefined();
    expect(fills(aMount, 'space')).toBe('; most of it is in /srv/app (9.0 GiB)');
    expect(fills(aMount, 'inodes')).toBe('; most of it is in /srv/app (12 files)');
    expect(fills({ ...aMount, largest: [] }, 'space')).toBe('');
  });
});
