/** The zone planner: its time, its optimality against brute force, and against what others do, in the same run. */

import type { Workload } from '../shared/core/zoneBounds.ts';
import { planZones, type Stack } from '../shared/core/zones.ts';
import { stopsOf, targetOf } from '../shared/core/zoneTarget.ts';
import { BENCH, judgeSpreads, squaresOf } from '../test/core/zoneBrute.ts';
import { judgePlans } from '../test/core/zoneJudge.ts';
import { replicasOf, stackOf, zoneId } from '../test/core/zoneStack.ts';
import { median } from './figures.ts';
import { descheduler, ecsGreedy, type Zoned } from './rivals.ts';

/** Seeded (mulberry32), so that each run measures the same. */
const dice = (seed: number) => {
  let state = seed;
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
};

const ZONES = 6;
const zones = Array.from({ length: ZONES }, (_, i) => i);

/** So many services of equal size on 600 hosts in six zones, two of which are crowded and one nearly full; each service lies as it happened to. */
const cluster = (services: number, replicas: number): Stack => {
  const roll = dice(services);
  const base = stackOf(
    zones.map(() => ({ count: 0 })),
    { desired: 1 },
  );
  const workloads = Array.from({ length: services }, (_, s): Workload => {
    const counts = zones.map(() => 0);
    for (let n = 0; n < replicas; n++) {
      const i = [0, 0, 0, 1, 1, 2, 3, 4, 5][roll(9)] ?? 0;
      counts[i] = (counts[i] ?? 0) + 1;
    }
    const needs = { cpu: 128 << roll(3), memory: 256 << roll(3) };
    const all = replicasOf(
      counts.map((count) => ({ count, stay: Math.min(count, roll(3)) })),
      `s${s}`,
    );
    return {
      id: `s${s}`,
      desired: replicas,
      most: 2 * replicas,
      zones: zones.map(zoneId),
      replicas: all,
      pool: 'web-hosts',
      needs,
    };
  });
  const hosts = Array.from({ length: 600 }, (_, h) => {
    const i = h % ZONES;
    const room = i === 5 ? 600 : 8192;
    return { id: `h${h}`, pool: 'web-hosts', zone: zoneId(i), free: { cpu: roll(room), memory: roll(2 * room) } };
  });
  const pools = base.pools.map((p) => ({ ...p, offers: { cpu: 8192, memory: 16_384 }, more: 20 }));
  return { ...base, workloads, hosts, pools };
};

/** Milliseconds of the processor: other processes' work is not the planner's. */
const timeOf = (stack: Stack): number =>
  median(
    Array.from({ length: 61 }, () => {
      const began = process.cpuUsage();
      planZones(stack);
      const { user, system } = process.cpuUsage(began);
      return (user + system) / 1000;
    }),
  );

const length = (values: Readonly<Record<string, readonly unknown[]>>): number => Object.values(values).flat().length;

/** Moments in which a plan leaves fewer than are wanted. */
const belowDesired = (stack: Stack): number => {
  const replicas = new Map(stack.workloads.map((w) => [w.id, w.replicas.length]));
  return planZones(stack).flatMap((plan) => {
    let running = replicas.get(plan.workload) ?? 0;
    return plan.waves.filter(({ start, stop }) => {
      running += Object.values(start).reduce((a, b) => a + b, 0) - length(stop);
      return running < plan.desired;
    });
  }).length;
};

const ours = (list: readonly Zoned[]) => {
  const counts = list.map((z) => z.count);
  const bounds = list.map(({ count, stay, free }, i) => ({
    zone: `${i}`,
    count,
    least: stay,
    most: count + free,
    load: 0,
  }));
  const target = targetOf(
    bounds,
    counts.reduce((a, b) => a + b, 0),
  );
  return { target, squares: squaresOf(target), moves: stopsOf(counts, target) };
};

const UNBOUND = { stay: 0, free: Number.POSITIVE_INFINITY };
/** All count vectors of two to six zones, sorted, up to a bound. */
const vectors = function* (most: number, length: number, from: readonly number[] = []): Generator<readonly number[]> {
  if (from.length === length) yield from;
  else for (let c = from.at(-1) ?? 0; c <= most; c++) yield* vectors(most, length, [...from, c]);
};

const againstDescheduler = () => {
  const found = { instances: 0, extra: 0, uneven: 0, worse: 0 };
  for (const length of [2, 3, 4, 5, 6])
    for (const counts of vectors(8, length)) {
      const theirs = descheduler(counts);
      const we = ours(counts.map((count) => ({ count, ...UNBOUND })));
      const even = Math.max(...theirs.counts) - Math.min(...theirs.counts) <= 1;
      found.instances++;
      if (!even) found.uneven++;
      else found.extra += theirs.moves - we.moves;
      if (we.squares > squaresOf(theirs.counts) || (even && we.moves > theirs.moves)) found.worse++;
    }
  return found;
};

/** Random zones, half of them with limits: full ones, protected tasks. */
const againstEcs = () => {
  const roll = dice(5);
  const found = { instances: 20_000, stuck: 0, worse: 0 };
  for (let n = 0; n < found.instances; n++) {
    const list = Array.from({ length: 2 + roll(5) }, (): Zoned => {
      const count = roll(20);
      return { count, stay: roll(4) === 0 ? roll(count + 1) : 0, free: roll(3) === 0 ? roll(6) : 1000 };
    });
    const theirs = ecsGreedy(list);
    const [we, they] = [ours(list), squaresOf(theirs.counts)];
    if (they > we.squares) found.stuck++;
    if (they < we.squares || (they === we.squares && theirs.moves < we.moves)) found.worse++;
  }
  return found;
};

export const zonePlans = (): Record<string, number> => {
  const stacks = [cluster(1, 10_000), cluster(100, 100), cluster(500, 20)];
  const times = stacks.map(timeOf);
  const spreads = judgeSpreads(BENCH);
  const plans = judgePlans();
  const kube = againstDescheduler();
  const ecs = againstEcs();
  const worst = Math.max(...times);
  return {
    'zones.planMs10k': Number(worst.toFixed(2)),
    'zones.bruteForceInstances': spreads.instances + plans.instances,
    'zones.mismatches': spreads.mismatches + plans.mismatches,
    'zones.belowDesired': stacks.reduce((sum, s) => sum + belowDesired(s), 0),
    'zones.movesVsLowerBound': Number((plans.moves / plans.leastMoves).toFixed(4)),
    'zones.deschedulerInstances': kube.instances,
    'zones.deschedulerExtraMoves': kube.extra,
    'zones.deschedulerUneven': kube.uneven,
    'zones.ecsInstances': ecs.instances,
    'zones.ecsLessEven': ecs.stuck,
    'zones.worseThanRivals': kube.worse + ecs.worse,
  };
};
