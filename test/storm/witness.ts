/** What must hold in a storm, by arithmetic of its own over what AWS was asked and what stands in the table. */
import { minutes } from '../../shared/core/time.ts';
import type { CallRecord } from '../../world/world.ts';
import type { Storm } from './storm.ts';

/** Calls that interrupt an instance, each with the instance that it is about. */
const ACTS: Readonly<Record<string, (input: never) => string | undefined>> = {
  RebootInstances: ({ InstanceIds }: { InstanceIds: string[] }) => InstanceIds[0],
  StopInstances: ({ InstanceIds }: { InstanceIds: string[] }) => InstanceIds[0],
  SetInstanceHealth: ({ InstanceId }: { InstanceId: string }) => InstanceId,
};
/** A repair under way is over when the instance is well again, or after this. */
const LASTS = minutes(20);

interface Stormy {
  readonly breaker?: { readonly since: number; readonly lastSeenAt: number };
}

export const witness = ({ world, clock, table, policy, checks }: Storm): void => {
  let seen = 0;
  const repairs = new Map<string, number>();
  const groupOf = (id: string) => {
    const name = world.ec2.instances.get(id)?.tags['aws:autoscaling:groupName'];
    return name === undefined ? `instance/${id}` : `asg/${name}`;
  };
  const sizeOf = (group: string) =>
    group.startsWith('asg/') ? (world.autoscaling.groups.get(group.slice(4))?.members.size ?? 0) : 1;
  const isUnderRepair = (id: string, since: number): boolean => {
    const instance = world.ec2.instances.get(id);
    const ill = instance && (instance.state !== 'running' || Object.values(instance.impaired).includes(true));
    return clock.now() - since < LASTS && ill === true;
  };

  const budget = (id: string): string | undefined => {
    const group = groupOf(id);
    const others = [...repairs].filter(([o, at]) => o !== id && groupOf(o) === group && isUnderRepair(o, at)).length;
    const allowed = Math.max(1, Math.min(10, Math.floor(sizeOf(group) * 0.2)));
    return others < allowed ? undefined : `${others + 1} of ${group} under repair, ${allowed} allowed`;
  };
  const breaker = (id: string): string | undefined => {
    const instance = world.ec2.instances.get(id);
    const zone = `zone/${world.zones[instance?.zone ?? '']}`;
    for (const place of [groupOf(id), zone]) {
      const { breaker: b } = (table.item(`GROUP#${place}`, 'GROUP') ?? {}) as Stormy;
      // What was reserved before the storm was known may be on its way.
      const open = b && clock.now() < b.lastSeenAt + minutes(policy.breaker.clearMinutes);
      if (open && clock.now() - b.since > 1_000 && !repairs.has(id))
        return `${id} is interrupted in the storm of ${place}`;
    }
    return undefined;
  };
  const acted = (call: CallRecord): string | undefined => {
    const id = call.error === undefined ? ACTS[call.operation]?.(call.input as never) : undefined;
    if (id === undefined) return undefined;
    const wrong = breaker(id) ?? budget(id);
    repairs.set(id, clock.now());
    return wrong;
  };

  checks.push(() => {
    const wrong = world.calls
      .slice(seen)
      .map(acted)
      .find((w) => w !== undefined);
    seen = world.calls.length;
    return wrong;
  });
};

/** After the storm: each that was struck has an incident that is over or a person's; nothing is left in the dead letters. */
export const lost = async ({ table, queue, world, clock }: Storm, struck: readonly string[]): Promise<string[]> => {
  const day = new Date(clock.now()).toISOString().slice(0, 10);
  const yesterday = new Date(clock.now() - minutes(1440)).toISOString().slice(0, 10);
  const all = [
    ...(await table.unmetered.open(100_000)),
    ...(await table.unmetered.closed(day, 100_000)),
    ...(await table.unmetered.closed(yesterday, 100_000)),
  ];
  const ends = new Map(all.map((i) => [i.target.split('/').at(-1) ?? '', i.state]));
  const wrong = struck
    .filter((id) => world.ec2.instances.has(id) && !['closed', 'escalated', 'asking'].includes(ends.get(id) ?? 'none'))
    .map((id) => `${id} ends ${ends.get(id) ?? 'without an incident'}`);
  return [...wrong, ...queue.dead.map((m) => `in the dead letters: ${m.body.slice(0, 200)}`)];
};
