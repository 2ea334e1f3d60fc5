/**
 * The planner's six statements as a judge of one plan, by means that are not the planner's own. Run as a program it judges all small instances and prints the
 * result: in a process of its own, as inside jest each use of a global costs microseconds.
 */
import { fileURLToPath } from 'node:url';
import type { Workload } from '../../shared/core/zoneBounds.ts';
import { type Plan, planZones, type Stack, type Wave } from '../../shared/core/zones.ts';
import { type Best, bruteForce, judgeSpreads, SUITE, squaresOf } from './zoneBrute.ts';
import { type Cell, carriedOut, countsIn, stackOf } from './zoneStack.ts';

const add = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const stopped = ({ stop }: Wave): string[] => Object.values(stop).flat();
const started = ({ start }: Wave): number => add(Object.values(start));

/** Moves one may make in a wave, by the words of the design. */
const sizeOf = ({ desired, most }: Workload, percent: number): number =>
  Math.min(Math.max(1, Math.floor((desired * percent) / 100)), Math.max(1, most - desired));

/** 4, and that only what may be moved is: at each moment, not only at the end. */
const unsafe = (workload: Workload, waves: readonly Wave[], size: number): string[] => {
  const movable = new Map(workload.replicas.filter((r) => r.stays === undefined).map((r) => [r.id, r.zone]));
  const before = workload.replicas.length;
  let running = before;
  const ofWave = (wave: Wave): string[] => {
    const most = running + started(wave);
    running = most - stopped(wave).length;
    const ids = Object.entries(wave.stop).flatMap(([zone, list]) => list.map((id) => [id, zone] as const));
    return [
      ...(most > Math.max(workload.most, before) ? [`${most} run at once, ${workload.most} may`] : []),
      ...(running < Math.min(workload.desired, before) ? [`only ${running} run`] : []),
      ...(Math.max(started(wave), ids.length) > size ? [`a wave exchanges more than ${size}`] : []),
      ...(started(wave) + ids.length === 0 ? ['an empty wave'] : []),
      ...ids.flatMap(([id, zone]) => (movable.get(id) === zone && movable.delete(id) ? [] : [`${id} is stopped`])),
    ];
  };
  return waves.flatMap(ofWave);
};

/** 1 and 2: the spread is the best there is within the limits, and no way there has fewer moves. */
const notBest = (best: Best | undefined, end: readonly number[], stops: number): string[] =>
  best && (squaresOf(end) !== best.squares || stops !== best.stops)
    ? [`Σt² ${squaresOf(end)} with ${stops} stops, possible are ${best.squares} with ${best.stops}`]
    : [];

/** 6, and the headline. */
const lost = ({ survivors }: Plan, end: readonly number[], least: number): string[] => {
  const left = add(end) - Math.max(...end);
  return [
    ...(left < least ? [`${left} survive, not ${least}`] : []),
    ...(survivors.after === left ? [] : ['the headline is not what comes of it']),
  ];
};

/** Each plan says why; what stays uneven names what stands in the way. */
const unsaid = ({ do: what, because }: Plan): string[] =>
  because.length < 12 || (what === 'wait' && !/(gets no more|keeps|have a place|at once)/.test(because))
    ? [`no reason: ${because}`]
    : [];

interface Verdict {
  readonly bad: readonly string[];
  /** Its stops and the least that are possible, where brute force could say. */
  readonly moves: number;
  readonly leastMoves: number;
}

/**
 * What is wrong with the plan of a stack with one workload, all of whose zones are OK and have one host each: nothing, if the planner keeps its word.
 * @param brute whether the instance is small enough for brute force
 */
export const verdictOn = (stack: Stack, cells: readonly Cell[], brute: boolean): Verdict => {
  const [plan] = planZones(stack);
  const [workload] = stack.workloads;
  if (!plan || !workload) return { bad: ['no plan'], moves: 0, leastMoves: 0 };
  const { desired, most, replicas } = workload;
  const bounds = cells.map(({ count, stay = 0, free = 1000 }, i) => ({
    zone: `${i}`,
    count,
    least: stay,
    most: count + free,
    load: 0,
  }));
  const then = carriedOut(stack, plan);
  const end = then.workloads.flatMap((w) => countsIn(w, cells.length));
  const [again] = planZones(then);
  const size = sizeOf(workload, stack.wavePercent);
  /** Room to start before stopping: without, the plan may end where it must. */
  const roomy = most >= desired + size;
  const stops = add(plan.waves.map((w) => stopped(w).length));
  const waves = Math.ceil(Math.max(stops, add(plan.waves.map(started))) / size);
  const bound = !roomy || bounds.some((b) => b.most < desired || b.least > Math.floor(desired / cells.length));
  const best = brute && roomy ? bruteForce(bounds, desired) : undefined;
  const bad = [
    ...notBest(best, end, stops),
    // 3: one more, where it begins with too few or too many.
    ...(plan.waves.length > waves + (replicas.length === desired ? 0 : 1) ? [`${plan.waves.length} waves`] : []),
    ...unsafe(workload, plan.waves, size),
    ...(bounds.some((b, i) => (end[i] ?? 0) < b.least || (end[i] ?? 0) > b.most) ? [`it ends with ${end}`] : []),
    // 5
    ...(again?.waves.length === 0 && again.hosts.length === 0 ? [] : ['planning again moves again']),
    ...lost(plan, end, bound ? 0 : desired - Math.ceil(desired / cells.length)),
    ...unsaid(plan),
  ];
  return { bad, moves: best ? stops : 0, leastMoves: best?.stops ?? 0 };
};

interface PlanExtent {
  readonly zones: number;
  readonly counts: number;
  readonly free: number;
  readonly desired: number;
}
/** All small stacks, with one host that is free for 0 … `free`, or without limit, in each zone, none or one replica that stays, and any number wanted. */
const stacks = function* ({ zones, counts, free, desired }: PlanExtent): Generator<readonly [Cell[], number]> {
  const kinds: Cell[] = [];
  for (let count = 0; count <= counts; count++)
    for (let stay = 0; stay <= Math.min(1, count); stay++)
      for (const f of [...Array(free + 1).keys(), 1000]) kinds.push({ count, stay, free: f });
  const combine = function* (from: number, cells: Cell[]): Generator<Cell[]> {
    if (cells.length === zones) yield cells;
    else for (const [k, kind] of kinds.entries()) if (k >= from) yield* combine(k, [...cells, kind]);
  };
  for (const cells of combine(0, [])) for (let n = 1; n <= desired; n++) yield [cells, n];
};
const PLANS: readonly PlanExtent[] = [
  { zones: 2, counts: 5, free: 3, desired: 10 },
  { zones: 3, counts: 3, free: 1, desired: 7 },
  { zones: 4, counts: 2, free: 0, desired: 6 },
];

export interface Judged {
  instances: number;
  mismatches: number;
  /** Stops of all plans, and the least that brute force found. */
  moves: number;
  leastMoves: number;
  first?: string;
}

/** Each of them with room to start before stopping, and with next to none. */
export const judgePlans = (): Judged => {
  const found: Judged = { instances: 0, mismatches: 0, moves: 0, leastMoves: 0 };
  for (const extent of PLANS)
    for (const [cells, desired] of stacks(extent))
      for (const most of [2 * desired, desired + 1, desired]) {
        const { bad, moves, leastMoves } = verdictOn(stackOf(cells, { desired, most }), cells, true);
        found.instances++;
        found.moves += moves;
        found.leastMoves += leastMoves;
        if (bad.length === 0) continue;
        found.mismatches++;
        found.first ??= JSON.stringify({ cells, desired, most, bad });
      }
  return found;
};

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.stdout.write(JSON.stringify({ spreads: judgeSpreads(SUITE), plans: judgePlans() }));
