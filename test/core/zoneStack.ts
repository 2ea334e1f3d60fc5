/** Small stacks for the planner's tests and its bench, and what carrying out a plan makes of them. */
import type { Replica, Workload, Zone } from '../../shared/core/zoneBounds.ts';
import type { Moved, Plan, Stack, Wave } from '../../shared/core/zones.ts';

export const NOW = Date.UTC(2026, 10, 24, 12);
export const zoneId = (i: number): string => `euc1-az${i + 1}`;

/** One zone as seen by one workload. `free`: how many more fit on the hosts there. */
export interface Cell {
  readonly count: number;
  readonly stay?: number;
  readonly free?: number;
  readonly state?: Zone['state'];
  readonly ramp?: number;
}
export const replicasOf = (cells: readonly Pick<Cell, 'count' | 'stay'>[], name = 't'): Replica[] =>
  cells.flatMap(({ count, stay = 0 }, i) =>
    Array.from({ length: count }, (_, n) => ({
      id: `${name}-${i + 1}-${n + 1}`,
      zone: zoneId(i),
      ...(n < stay ? { stays: 'protected' } : {}),
    })),
  );

/** One workload on hosts that offer one unit of cpu for each that still fits. */
export const stackOf = (cells: readonly Cell[], workload: Partial<Workload> & Pick<Workload, 'desired'>): Stack => ({
  now: NOW,
  zones: cells.map(({ state = 'OK', ramp }, i) => ({
    id: zoneId(i),
    state,
    ...(state === 'OK' ? {} : { because: 'its launches fail' }),
    ...(ramp === undefined ? {} : { ramp }),
  })),
  hosts: cells.map(({ free = 1000 }, i) => ({ id: `h${i}`, pool: 'web-hosts', zone: zoneId(i), free: { cpu: free } })),
  pools: [{ id: 'web-hosts', offers: { cpu: 2 }, more: 0, limit: 'web-hosts has its maximum of 3' }],
  workloads: [
    {
      id: 'web',
      most: 2 * workload.desired,
      zones: cells.map((_, i) => zoneId(i)),
      replicas: replicasOf(cells),
      pool: 'web-hosts',
      needs: { cpu: 1 },
      ...workload,
    },
  ],
  history: [],
  wavePercent: 20,
});

/** The workload after one wave. */
export const after = (workload: Workload, { start, stop }: Wave, name: string): Workload => {
  const gone = new Set(Object.values(stop).flat());
  const come = Object.entries(start).flatMap(([zone, n]) =>
    Array.from({ length: n }, (_, i) => ({ id: `${name}-${zone}-${i}`, zone })),
  );
  return { ...workload, replicas: [...workload.replicas.filter((r) => !gone.has(r.id)), ...come] };
};

/** What a wave takes from the hosts and gives back to them, each zone having one. */
const hostsAfter = (stack: Stack, workload: Workload, waves: readonly Wave[]): Stack['hosts'] =>
  stack.hosts.map((host) => {
    if (host.pool !== workload.pool) return host;
    const come = waves.reduce((sum, w) => sum + (w.start[host.zone] ?? 0) - (w.stop[host.zone]?.length ?? 0), 0);
    const free = Object.fromEntries(
      Object.entries(host.free).map(([name, amount]) => [name, amount - come * (workload.needs?.[name] ?? 0)]),
    );
    return { ...host, free };
  });

/** The stack when these waves of the plan have been carried out; for stacks with one host of a pool in each zone. */
export const carriedOut = (stack: Stack, plan: Plan, waves: readonly Wave[] = plan.waves): Stack => {
  const workload = stack.workloads.find((w) => w.id === plan.workload);
  if (!workload) throw new Error(`there is no ${plan.workload}`);
  const done = waves.reduce((w, wave, i) => after(w, wave, `${plan.workload}-new${w.replicas.length}-${i}`), workload);
  return {
    ...stack,
    workloads: stack.workloads.map((w) => (w === workload ? done : w)),
    hosts: hostsAfter(stack, workload, waves),
  };
};

export const countsIn = ({ replicas }: Workload, zones: number): number[] =>
  Array.from({ length: zones }, (_, i) => replicas.filter((r) => r.zone === zoneId(i)).length);

export const moved = (stack: Stack, { workload, desired }: Plan, wave: Wave): Moved => ({
  workload,
  desired,
  at: stack.now,
  from: Object.keys(wave.stop),
  into: Object.keys(wave.start),
  left: Object.fromEntries(
    stack.zones.map(({ id }) => [
      id,
      stack.workloads.find((w) => w.id === workload)?.replicas.filter((r) => r.zone === id).length ?? 0,
    ]),
  ),
});
