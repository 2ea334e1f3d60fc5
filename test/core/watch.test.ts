/** The planner of alarms: it converges, keeps to its names, and never watches what nobody publishes. */
import fc from 'fast-check';
import { differenceOf, type Published, prefixOf, thresholdsOf, wantedAlarms } from '../../shared/core/watch.ts';

const POLICY = { diskPercent: 80, inodesPercent: 85, memoryPercent: 90, cpuPercent: 95, creditsLeft: 20 };
const ID = 'i-0123456789abcdef0';
const path = fc.string({ minLength: 1, maxLength: 40 }).map((s) => `/${s}`);
const published: fc.Arbitrary<Published> = fc
  .record({
    paths: fc.uniqueArray(path, { maxLength: 6 }),
    memory: fc.boolean(),
    burstable: fc.boolean(),
    odd: fc.boolean(),
  })
  .map(({ paths, memory, burstable, odd }) => {
    const of = (name: string, dimensions: Record<string, string>) => ({
      namespace: 'CWAgent',
      name,
      dimensions: { InstanceId: ID, ...dimensions },
    });
    return {
      metrics: [
        ...paths.flatMap((p) => [
          of('disk_used_percent', { path: p, fstype: 'xfs' }),
          of('disk_inodes_free', { path: p, fstype: 'xfs' }),
        ]),
        ...(odd ? [of('disk_used_percent', { path: '/run', fstype: 'tmpfs' })] : []),
        ...(memory ? [of('mem_used_percent', {})] : []),
      ],
      inodes: Object.fromEntries(paths.map((p) => [p, 1_000])),
      burstable,
    };
  });
const plan = (p: Published) => wantedAlarms('prod', { id: ID, tags: { Name: 'web' } }, p, POLICY);

test('what was put needs nothing more, and nothing is left over', () => {
  fc.assert(
    fc.property(published, (p) => {
      const wanted = plan(p);
      expect(differenceOf(wanted, wanted)).toEqual({ put: [], remove: [] });
      expect(differenceOf(wanted, [])).toEqual({ put: wanted, remove: [] });
      expect(differenceOf([], wanted)).toEqual({ put: [], remove: wanted.map((w) => w.name) });
    }),
  );
});

test('any difference is put right, and only that', () => {
  fc.assert(
    fc.property(published, fc.nat(), fc.constantFrom('threshold', 'period', 'periods', 'say'), (p, at, field) => {
      const wanted = plan(p);
      const n = at % wanted.length;
      const actual = wanted.map((w, i) => (i === n ? { ...w, [field]: field === 'say' ? 'other' : 1_234 } : w));
      expect(differenceOf(wanted, actual)).toEqual({ put: [wanted[n]], remove: [] });
    }),
  );
});

test('names: each once, all of the instance’s own prefix, none longer than CloudWatch takes', () => {
  fc.assert(
    fc.property(published, (p) => {
      const names = plan(p).map((w) => w.name);
      expect(new Set(names).size).toBe(names.length);
      expect(names).toEqual([...names].sort());
      for (const name of names) {
        expect(name.startsWith(prefixOf('prod', ID))).toBe(true);
        expect(name.length).toBeLessThanOrEqual(255);
      }
    }),
  );
});

test('only what is published is watched; what is always full is not', () => {
  fc.assert(
    fc.property(published, (p) => {
      const agents = plan(p).filter((w) => w.metric.namespace === 'CWAgent');
      for (const w of agents) expect(p.metrics).toContainEqual(w.metric);
      expect(agents.some((w) => w.metric.dimensions['fstype'] === 'tmpfs')).toBe(false);
      expect(plan(p).some((w) => w.metric.name === 'CPUCreditBalance')).toBe(p.burstable);
    }),
  );
});

test('a tag changes its own threshold, and nothing that is no number from 1 to 100 does', () => {
  expect(thresholdsOf(POLICY, { 'steward:alarm:disk': '95' }).thresholds).toEqual({ ...POLICY, diskPercent: 95 });
  fc.assert(
    fc.property(fc.string(), (given) => {
      const { thresholds, odd } = thresholdsOf(POLICY, { 'steward:alarm:cpu': given });
      const n = Number(given);
      const good = given.trim() !== '' && n >= 1 && n <= 100;
      expect(thresholds.cpuPercent).toBe(good ? n : POLICY.cpuPercent);
      expect(odd).toHaveLength(good ? 0 : 1);
    }),
  );
});
