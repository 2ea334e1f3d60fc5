/** Who holds a host's memory and CPU, who of them leaks or runs away, and who may be restarted for it. Pure. */
import { lineThrough } from './forecast.ts';
import type { LoadReport, Unit } from './load.ts';
import { hours, minutes, type Time } from './time.ts';

/** Never restarted, whatever a policy says: what lets people and AWS in, what others stand on, and databases. Names without `.service`. */
const NEVER =
  /^(ssh|sshd|systemd[\w-]*|init|dbus[\w-]*|user@\d+|amazon-ssm-agent|snap\.amazon-ssm-agent\S*|amazon-cloudwatch-agent|ecs|ecs-agent|amazon-ecs\S*|docker|containerd|crio|podman|kubelet|NetworkManager|networkd-dispatcher|dhclient|chronyd?|ntpd?|auditd|rsyslog|cloud-\S+|lvm2\S*|multipathd|postgres\S*|mysql\S*|mariadb\S*|mongod?\S*|redis\S*|valkey\S*|memcached\S*|elasticsearch\S*|opensearch\S*|cassandra\S*|clickhouse\S*|etcd\S*|rabbitmq\S*|kafka\S*|zookeeper\S*|influxdb?\S*|neo4j\S*|oracle\S*|db2\S*|vault|consul|steward\S*)(@\S*)?$/i;

const bare = (name: string): string => name.replace(/\.service$/, '');
const matches = (pattern: string, name: string): boolean =>
  new RegExp(`^${pattern.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`).test(name);

export interface RestartPolicy {
  /** Names, with `*`, with or without `.service`. */
  readonly restartable: readonly string[];
  readonly protected: readonly string[];
}

/** Why it may not be restarted; undefined: it may. */
export const whyNot = (unit: Pick<Unit, 'name' | 'protected'>, policy: RestartPolicy): string | undefined => {
  const named = (patterns: readonly string[]) =>
    patterns.some((p) => matches(p, unit.name) || matches(p, bare(unit.name)));
  if (unit.protected !== null) return unit.protected;
  if (NEVER.test(bare(unit.name))) return 'it is never restarted by Steward';
  if (named(policy.protected)) return 'the policy protects it';
  return named(policy.restartable) ? undefined : 'the policy does not name it restartable';
};

/** A trend of less is no proof. */
const LEAST_SAMPLES = 5;
const LEAST_SPAN = minutes(8);

type Sample = { readonly at: Time; readonly value: number };

/** What was measured of its present main process, oldest first. */
const samples = (unit: Unit, now: Time, what: 'memoryBytes' | 'cpuPercent'): readonly Sample[] =>
  unit.history
    .filter((h) => h.secondsAgo <= unit.ageSeconds)
    .map((h) => ({ at: now - h.secondsAgo * 1000, value: h[what] }))
    .concat({ at: now, value: unit[what] })
    .sort((a, b) => a.at - b.at);

const isEnough = (seen: readonly Sample[]): boolean =>
  seen.length >= LEAST_SAMPLES && (seen.at(-1)?.at ?? 0) - (seen[0]?.at ?? 0) >= LEAST_SPAN;

/** Whether enough was seen of it to tell. */
export const isWatched = (unit: Unit): boolean => isEnough(samples(unit, 0, 'memoryBytes'));

/** A jump is no leak: it grows from look to look, in most of them. */
const isSteady = (seen: readonly Sample[]): boolean => {
  const grown = seen.slice(1).filter((s, i) => s.value > (seen[i]?.value ?? 0)).length;
  return grown >= 0.7 * (seen.length - 1);
};

/** Bytes an hour, where its memory clearly grows: by a hundredth of itself and 16 MiB while it was watched, and steadily. Undefined: no leak is proven. */
export const leakOf = (unit: Unit, now: Time): number | undefined => {
  const seen = samples(unit, now, 'memoryBytes');
  const [first] = seen;
  const line = lineThrough(seen);
  if (!first || !line || !isEnough(seen) || !isSteady(seen)) return undefined;
  const rise = (line.slope * (now - first.at)) / hours(1);
  return rise >= Math.max(unit.memoryBytes / 100, 2 ** 24) && rise >= 4 * line.spread ? line.slope : undefined;
};

/** It held most of the busy time at every look. */
export const isRunaway = (unit: Unit, now: Time, usedPercent: number): boolean =>
  isWatched(unit) && samples(unit, now, 'cpuPercent').every((s) => s.value >= Math.max(30, usedPercent * 0.7));

/** How often the kernel killed it for want of memory within 24 h. */
export const killsOf = ({ oomKills }: LoadReport, { name }: Unit): number =>
  oomKills.filter((k) => k.unit === name).length;

const mib = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;

/** 'shop.service 2.1 GiB, api.service 600 MiB' */
export const holders = (units: readonly Unit[], by: 'memoryBytes' | 'cpuPercent' = 'memoryBytes', most = 3): string =>
  [...units]
    .sort((a, b) => b[by] - a[by])
    .slice(0, most)
    .map((u) => `${u.name} ${by === 'memoryBytes' ? mib(u.memoryBytes) : `${Math.round(u.cpuPercent)} %`}`)
    .join(', ');
export const memoryText = mib;

/**
 * US dollars a month that a type costs at most about: general families' list price in eu-central-1 by vCPU and GiB, rounded up (EC2 on-demand pricing).
 */
export const usdPerMonthOf = ({ vcpus, memoryMiB }: { vcpus: number; memoryMiB: number }): number =>
  730 * (0.04 * vcpus + (0.005 * memoryMiB) / 1024);

const SIZES =
  'nano micro small medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge'.split(
    ' ',
  );
/** 'm6i.large' → ['m6i.xlarge', 'm6i.2xlarge']: a family may leave one size out. */
export const sizesAbove = (type: string): readonly string[] => {
  const [family = '', size = ''] = type.split('.');
  const at = SIZES.indexOf(size);
  return at < 0 ? [] : SIZES.slice(at + 1, at + 3).map((s) => `${family}.${s}`);
};
