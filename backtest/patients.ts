/** A world in which what a past signal said is so: the target is there, and has the trouble. What the past does not tell is presumed, and said. */
import type { Signal, SignalKind } from '../shared/core/signal.ts';
import { idOf, typeOf } from '../shared/core/target.ts';
import { addTrail } from '../world/cloudtrail.ts';
import { breakDisk, breakLoad } from '../world/fleet.ts';
import { impair, makeInstance } from '../world/instances.ts';
import type { World } from '../world/world.ts';

export interface Presumed {
  /** What was taken as given, in words. */
  readonly say: string;
}

/** What is known of the account as it is now, by ARN. */
export type Estate = Readonly<
  Record<string, { readonly tags: Readonly<Record<string, string>>; readonly type?: string }>
>;

const instanceOf = (world: World, signal: Signal, estate: Estate, tags: Readonly<Record<string, string>>): string => {
  const id = idOf(signal.target);
  const known = estate[signal.target.arn];
  if (!world.ec2.instances.has(id))
    makeInstance(world, { id, running: true, tags: { ...(known?.tags ?? tags) }, type: known?.type ?? 'm6i.large' });
  return id;
};

type Infect = (world: World, id: string) => string;

/** How each trouble of an instance is brought about. */
const spotAlone: Infect = (world, id) => {
  Object.assign(world.ec2.instances.get(id) ?? {}, { spot: true });
  return 'it is a spot instance that stands alone';
};

const INSTANCE: Partial<Record<SignalKind, Infect>> = {
  'disk.space-low': (world, id) => {
    breakDisk(world, id, { path: '/', usedPercent: 92 });
    return 'its root file system is 92 % full, nothing can be cleaned';
  },
  'instance.status-check-failed': (world, id) => {
    impair(world, id, { instance: true });
    return 'its instance status check fails, and a reboot cures it';
  },
  'instance.system-check-failed': (world, id) => {
    impair(world, id, { system: true }, 'restart');
    return 'its system status check fails, and other hardware cures it';
  },
  'instance.ebs-check-failed': (world, id) => {
    impair(world, id, { ebs: true }, 'restart');
    return 'its EBS status check fails, and other hardware cures it';
  },
  'instance.scheduled-event': (world, id) => {
    const notBefore = world.clock.now() + 3 * 86_400_000;
    world.ec2.instances.get(id)?.scheduled.push({ code: 'instance-retirement', description: 'presumed', notBefore });
    return 'AWS retires it in three days';
  },
  'instance.hardware-degraded': () => 'what it runs on is degraded, which no check shows',
  'instance.interruption': spotAlone,
  'instance.rebalance-recommended': spotAlone,
  'memory.low': (world, id) => {
    breakLoad(world, id, { name: 'app.service', mib: 7_000, mibPerMinute: 10 });
    return 'app.service leaks';
  },
  'cpu.high': (world, id) => {
    breakLoad(world, id, { name: 'app.service', cpuPercent: 95 });
    return 'app.service holds the CPU';
  },
  'cpu.credits-low': (world, id) => {
    Object.assign(world.ec2.instances.get(id) ?? {}, { type: 't3.medium', creditBalance: 1 });
    return 'its CPU credits are gone';
  },
  'disk.inodes-low': (world, id) => {
    breakDisk(world, id, { path: '/', inodesUsedPercent: 95 });
    return 'its root file system has used 95 % of its inodes';
  },
};

const trailOf = (world: World, { kind, target }: Signal, tags: Readonly<Record<string, string>>): string => {
  const stopped = kind === 'trail.stopped';
  addTrail(world, idOf(target), { tags: { ...tags }, logging: !stopped, validation: stopped });
  return stopped ? 'it is stopped' : 'its log files are not validated';
};

/** Makes it so. Undefined: nobody can say what such a target looks like. */
export const presume = (
  world: World,
  signal: Signal,
  estate: Estate,
  tags: Readonly<Record<string, string>>,
): Presumed | undefined => {
  if (signal.kind.startsWith('trail.')) return { say: trailOf(world, signal, tags) };
  if (typeOf(signal.target) !== 'instance') return undefined;
  const infect = INSTANCE[signal.kind];
  if (!infect) return undefined;
  const id = instanceOf(world, signal, estate, tags);
  return { say: infect(world, id) };
};
