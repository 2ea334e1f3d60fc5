/**
 * What the passes of one function environment ask of the fleet at the same time is asked in one call: EC2 grants ten DescribeInstances a second to the
 * whole account, and a storm has thousands of passes. What the others of a group are like is kept for a few seconds; of the target itself
 * only what was read within the last second is used twice.
 */
import DataLoader from 'dataloader';
import type { ContainerService } from '../core/containers.ts';
import { NotFound } from '../core/errors.ts';
import type { Issues } from '../core/issues.ts';
import type { Checks, Instance, Ports, Traits } from '../core/ports.ts';
import { hours, seconds, type Time } from '../core/time.ts';
import type { VolumeTrouble } from '../core/volumes.ts';
import type { ManyGroups } from './groups.ts';
import { ABSENT, type ManyHosts } from './hosts.ts';
import type { ManyInstances } from './instances.ts';

/** Asked together, and not used again: a deployment may have begun since. */
const AT_ONCE = 0;
/** Longer than a pass needs from where it stands to what it is. */
const SAME_LOOK = seconds(1);
/** Whether the other members of a group serve. */
const NEIGHBOURS = seconds(10);
/** Who they are: the size of a group and of its zones. Budget and breaker are in the table, and exact. */
const MEMBERS = seconds(60);
/** What AWS tells of whole zones: that one has begun is heard a little late, and told late. */
const ISSUES = seconds(60);
/** What an instance type is does not change. */
const FOREVER = hours(12);

export interface Fleet {
  readonly instances: Pick<ManyInstances, 'many' | 'checks' | 'traits' | 'tagged' | 'zones'>;
  readonly groups: Pick<ManyGroups, 'members' | 'groups'>;
  readonly hosts: Pick<ManyHosts, 'agents'>;
  readonly health: Ports['health'];
  readonly volumes: Pick<Ports['volumes'], 'troubled'>;
  readonly containers: Pick<Ports['containers'], 'services' | 'serviceNames' | 'instances'>;
}
export interface Together {
  readonly now: () => Time;
  /** When a call is made: a moment later, so that others come along. */
  readonly soon: (run: () => void) => void;
}

/** Asks for many at once, and remembers each answer for `ms`. Errors are not remembered. */
const loader = <V>(
  { now, soon }: Together,
  { most, keep }: { readonly most: number; readonly keep: number },
  load: (keys: readonly string[]) => Promise<ReadonlyMap<string, V>>,
) => {
  const known = new Map<string, { at: Time; value: Promise<V | undefined> }>();
  const batches = new DataLoader<string, V | undefined>(
    async (keys) => {
      const found = await load(keys);
      return keys.map((k) => found.get(k));
    },
    { cache: false, maxBatchSize: most, batchScheduleFn: soon },
  );
  const forget = (): void => {
    for (const [key, { at }] of known) {
      if (now() - at < keep && known.size < 20_000) return;
      known.delete(key);
    }
  };
  /** @param fresh how old an answer may be, if less than is kept */
  return (key: string, fresh = keep): Promise<V | undefined> => {
    forget();
    const have = known.get(key);
    if (have && now() - have.at < fresh) return have.value;
    const value = batches.load(key);
    known.delete(key);
    known.set(key, { at: now(), value });
    value.catch(() => known.delete(key));
    return value;
  };
};

/** What has one answer for all of the region, or for one question about it. */
const whole = <V>(how: Together, keep: number, read: (asked: string) => Promise<V>) =>
  loader<V>(how, { most: 1, keep }, async ([asked = '']) => new Map([[asked, await read(asked)]]));

/** What looks ask of the fleet. */
export interface FleetReads {
  readonly instances: Pick<Ports['instances'], 'describe' | 'checks' | 'traits' | 'members' | 'countByZone' | 'zones'>;
  readonly groups: Pick<Ports['groups'], 'memberOf' | 'describe'>;
  readonly hosts: Pick<Ports['hosts'], 'agent'>;
  readonly health: Ports['health'];
  readonly volumes: Pick<Ports['volumes'], 'troubled'>;
  readonly containers: Fleet['containers'];
}

/** ECS grants the account twenty reads of services a second, and as many of tasks and hosts: many services of one cluster are asked for together. */
const clusterReads = (
  { services, serviceNames, instances }: Fleet['containers'],
  how: Together,
): Fleet['containers'] => {
  const named = new Map<string, ReturnType<typeof loader<ContainerService>>>();
  const ofCluster = (cluster: string) => {
    const load = async (names: readonly string[]) => new Map((await services(cluster, names)).map((s) => [s.name, s]));
    const found = named.get(cluster) ?? loader<ContainerService>(how, { most: 10, keep: AT_ONCE }, load);
    named.set(cluster, found);
    return found;
  };
  const names = whole(how, MEMBERS, serviceNames);
  const all = whole(how, SAME_LOOK, (cluster) => instances(cluster));
  return {
    services: async (cluster, wanted) =>
      (await Promise.all(wanted.map((name) => ofCluster(cluster)(name)))).flatMap((s) => s ?? []),
    serviceNames: async (cluster) => (await names(cluster)) ?? [],
    instances: async (cluster, only) => (only ? instances(cluster, only) : ((await all(cluster)) ?? [])),
  };
};

export const together = (
  { instances, groups, hosts, health, volumes, containers }: Fleet,
  how: Together,
): FleetReads => {
  const record = async <V>(found: Promise<Readonly<Record<string, V>>>) => new Map(Object.entries(await found));
  const instance = loader<Instance>(how, { most: 200, keep: SAME_LOOK }, (ids) => instances.many(ids));
  const checks = loader<Checks>(how, { most: 100, keep: NEIGHBOURS }, (ids) => record(instances.checks(ids)));
  const traits = loader<Traits>(how, { most: 50, keep: FOREVER }, (types) => record(instances.traits(types)));
  const member = loader(how, { most: 50, keep: SAME_LOOK }, (ids) => groups.members(ids));
  const group = loader(how, { most: 50, keep: SAME_LOOK }, (names) => groups.groups(names));
  const agent = loader(how, { most: 50, keep: SAME_LOOK }, (ids) => hosts.agents(ids));
  const issues = whole<Issues>(how, ISSUES, () => health.issues());
  const troubled = whole<readonly VolumeTrouble[]>(how, SAME_LOOK, () => volumes.troubled());
  const zones = whole<Readonly<Record<string, string>>>(how, FOREVER, () => instances.zones());
  const tagged = whole<readonly Instance[]>(how, MEMBERS, (tag) => instances.tagged(JSON.parse(tag)));
  const all = async <V>(
    keys: readonly string[],
    of: (key: string) => Promise<V | undefined>,
  ): Promise<Record<string, V>> =>
    Object.fromEntries(
      (await Promise.all(keys.map(async (k) => [k, await of(k)] as const))).flatMap(([k, v]) =>
        v === undefined ? [] : [[k, v]],
      ),
    );
  const withTag = async (tag: { key: string; value: string }) => (await tagged(JSON.stringify(tag))) ?? [];
  return {
    instances: {
      describe: async (id) => {
        const found = await instance(id);
        if (!found) throw new NotFound(`${id} does not exist`);
        return found;
      },
      // The first is the one that is looked at.
      checks: async (ids) => {
        const [self, ...others] = ids;
        if (self === undefined) return {};
        const [own, rest] = await Promise.all([all([self], (id) => checks(id, SAME_LOOK)), all(others, checks)]);
        return { ...rest, ...own };
      },
      traits: (types) => all(types, traits),
      zones: async () => (await zones('all')) ?? {},
      members: async (tag) => (await withTag(tag)).map((i) => i.id),
      countByZone: async (tag) => {
        const zones: Record<string, number> = {};
        for (const { zoneId } of await withTag(tag)) zones[zoneId] = (zones[zoneId] ?? 0) + 1;
        return zones;
      },
    },
    containers: clusterReads(containers, how),
    groups: { memberOf: (id) => member(id), describe: (name) => group(name) },
    volumes: { troubled: async () => (await troubled('all')) ?? [] },
    health: { issues: async () => (await issues('all')) ?? [] },
    hosts: { agent: async (id) => (await agent(id)) ?? ABSENT },
  };
};
