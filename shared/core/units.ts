/** Who holds a host's memory and CPU, who of them leaks or runs away, and who may be restarted for it. Pure. */
import { lineThrough } from './forecast.ts';
import type { LoadReport, RestartReport, Unit } from './load.ts';
import type { HostRun, Traits } from './ports.ts';
import { hours, minutes, seconds, type Time } from './time.ts';

/** Never restarted, whatever a policy says: what lets people and AWS in, what others stand on, and databases. Names without `.service`. */
const NEVER =
  /^(ssh|sshd|systemd[\w-]*|init|dbus[\w-]*|user@\d+|amazon-ssm-agent|snap\.amazon-ssm-agent\S*|amazon-cloudwatch-agent|ecs|ecs-agent|amazon-ecs\S*|docker|containerd|crio|podman|kubelet|NetworkManager|networkd-dispatcher|dhclient|chronyd?|ntpd?|auditd|rsyslog|cloud-\S+|lvm2\S*|multipathd|postgres\S*|mysql\S*|mariadb\S*|mongod?\S*|redis\S*|valkey\S*|memcached\S*|elasticsearch\S*|opensearch\S*|cassandra\S*|clickhouse\S*|etcd\S*|rabbitmq\S*|kafka\S*|zookeeper\S*|influxdb?\S*|neo4j\S*|oracle\S*|db2\S*|vault|consul|steward\S*)(@\S*)?$/i;

/**
 * Databases and queues by any part of their name: containers carry those of their project and task ('shop_postgres_1', 'ecs-shop-3-redis-b2c4').
 * Short names only where they stand by themselves ('shop-db-1').
 */
const KEEPS_DATA =
  /postgres|mysql|mariadb|mongo|redis|valkey|memcached|elasticsearch|opensearch|cassandra|clickhouse|etcd|rabbitmq|kafka|zookeeper|influxdb|neo4j|(^|[^a-z])(db|database|pgsql|sql)([^a-z]|$)/i;

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
  if (NEVER.test(bare(unit.name)) || KEEPS_DATA.test(bare(unit.name))) return 'it is never restarted by Steward';
  if (named(policy.protected)) return 'the policy protects it';
  return named(policy.restartable) ? undefined : 'the policy does not name it restartable';
};

/** The policy merely does not name it: nothing that is known of it forbids a restart. */
export const isUnnamed = (unit: Pick<Unit, 'name' | 'protected'>, policy: RestartPolicy): boolean =>
  whyNot(unit, policy) !== undefined && whyNot(unit, { ...policy, restartable: ['*'] }) === undefined;

/** A database or a queue: who is replaced with it loses what it keeps. */
export const keepsData = ({ name }: Pick<Unit, 'name'>): boolean => KEEPS_DATA.test(bare(name));

/** A trend of less is no proof. */
const LEAST_SAMPLES = 5;
const LEAST_SPAN = minutes(8);

type Sample = { readonly at: Time; readonly value: number };

/** What it holds, in memory or swapped out: what leaks does not leak less for being swapped. */
export const heldBy = ({ memoryBytes, swapBytes }: Pick<Unit, 'memoryBytes' | 'swapBytes'>): number =>
  memoryBytes + swapBytes;

/** Looks that come at one moment (several events, a race that is run again) are one: in between nothing can have grown. */
const APART = seconds(15);
const apart = (seen: readonly Sample[]): readonly Sample[] =>
  seen.filter((s, i) => i === seen.length - 1 || (seen[i + 1]?.at ?? 0) - s.at >= APART);

/** What was measured of its present main process, oldest first. */
const samples = (unit: Unit, now: Time, what: 'memoryBytes' | 'cpuPercent'): readonly Sample[] =>
  apart(
    unit.history
      .filter((h) => h.secondsAgo <= unit.ageSeconds)
      .map((h) => ({ at: now - h.secondsAgo * 1000, value: h[what] }))
      .concat({ at: now, value: what === 'memoryBytes' ? heldBy(unit) : unit.cpuPercent })
      .sort((a, b) => a.at - b.at),
  );

const isEnough = (seen: readonly Sample[]): boolean =>
  seen.length >= LEAST_SAMPLES && (seen.at(-1)?.at ?? 0) - (seen[0]?.at ?? 0) >= LEAST_SPAN;

/** A trend is looked for in all that was seen of it, and in the latest hour by itself: what was flat for days may leak since. */
const LATELY = hours(1);
const lately = (seen: readonly Sample[], now: Time): readonly Sample[] => seen.filter((s) => now - s.at <= LATELY);

/** Whether enough was seen of it lately to tell. */
export const isWatched = (unit: Unit): boolean => isEnough(lately(samples(unit, 0, 'memoryBytes'), 0));

/** A jump is no leak: it grows from look to look, in most of them. */
const isSteady = (seen: readonly Sample[]): boolean => {
  const grown = seen.slice(1).filter((s, i) => s.value > (seen[i]?.value ?? 0)).length;
  return grown >= 0.7 * (seen.length - 1);
};

/** Bytes an hour, where its memory clearly grows: by a hundredth of itself and 16 MiB while it was watched, and steadily. Undefined: no leak is proven. */
export const leakOf = (unit: Unit, now: Time): number | undefined => {
  const seen = samples(unit, now, 'memoryBytes');
  return growthOf(unit, seen, now) ?? growthOf(unit, lately(seen, now), now);
};
const growthOf = (unit: Unit, seen: readonly Sample[], now: Time): number | undefined => {
  const [first] = seen;
  const line = lineThrough(seen);
  if (!first || !line || !isEnough(seen) || !isSteady(seen)) return undefined;
  const rise = (line.slope * (now - first.at)) / hours(1);
  return rise >= Math.max(heldBy(unit) / 100, 2 ** 24) && rise >= 4 * line.spread ? line.slope : undefined;
};

/** Of what grows, half; or of the memory, three tenths: restarting anything smaller would interrupt without helping for long. */
const isToBlame = (unit: Unit, bytesPerHour: number, grown: number, totalBytes: number): boolean =>
  bytesPerHour * 2 >= grown || heldBy(unit) * 10 >= totalBytes * 3;

/** Those whose leak is what fills the host, biggest first, with their bytes an hour. */
export const leakers = (
  { units, memory }: LoadReport,
  now: Time,
): readonly { readonly unit: Unit; readonly bytesPerHour: number }[] => {
  const growing = units.flatMap((unit) => {
    const bytesPerHour = leakOf(unit, now);
    return bytesPerHour === undefined ? [] : [{ unit, bytesPerHour }];
  });
  const grown = growing.reduce((sum, g) => sum + g.bytesPerHour, 0);
  return growing
    .filter((g) => isToBlame(g.unit, g.bytesPerHour, grown, memory.totalBytes))
    .sort((a, b) => heldBy(b.unit) - heldBy(a.unit));
};

/** It holds most of the busy time now. */
export const isWild = (unit: Unit, usedPercent: number): boolean => unit.cpuPercent >= Math.max(30, usedPercent * 0.7);

/** The latest looks that suffice to tell: what it did before them, in an incident of yesterday, proves nothing. */
const latest = (seen: readonly Sample[]): readonly Sample[] => {
  for (let n = LEAST_SAMPLES; n <= seen.length; n++) if (isEnough(seen.slice(-n))) return seen.slice(-n);
  return [];
};

/** It held most of the busy time at each of the latest looks, for eight minutes or longer. */
export const isRunaway = (unit: Unit, now: Time, usedPercent: number): boolean => {
  const seen = latest(samples(unit, now, 'cpuPercent'));
  return seen.length > 0 && seen.every((s) => isWild({ ...unit, cpuPercent: s.value }, usedPercent));
};

/** So much of the time given to others shows that the host below is crowded. Percent. */
export const STEAL = 20;
/** Its neighbours took so much at each of the latest looks, for eight minutes or longer: no moment's crowd. */
export const isCrowded = ({ cpu }: Pick<LoadReport, 'cpu'>, now: Time): boolean => {
  const seen = apart(
    cpu.history
      .map((h) => ({ at: now - h.secondsAgo * 1000, value: h.stealPercent }))
      .concat({ at: now, value: cpu.stealPercent }),
  );
  const enough = latest(seen);
  return enough.length > 0 && enough.every((s) => s.value >= STEAL);
};

/** In so many of its scheduling periods its own limit holds it back, and it is felt. Percent. */
const THROTTLED = 25;
/** Units that their own limit on CPU holds back, the worst first. */
export const heldBack = (units: readonly Unit[]): readonly Unit[] =>
  units
    .filter((u) => u.cpuLimitCores !== null && u.throttledPercent >= THROTTLED)
    .sort((a, b) => b.throttledPercent - a.throttledPercent);

/**
 * Whether a unit runs again after its restart. The document says so some seconds after; a later look may find it all the same.
 * Undefined: it is not known yet.
 */
export const cameBack = (
  step: { readonly unit: string; readonly kind: Unit['kind'] },
  command: HostRun<RestartReport> | undefined,
  load: LoadReport | undefined,
): boolean | undefined => {
  if (command === undefined || command.state === 'running') return undefined;
  if (command.state === 'done' && command.report.restarted) return true;
  // What the host declined was not begun.
  if (command.state === 'failed' && command.code !== 'failed') return true;
  return load?.units.some((u) => u.name === step.unit && u.kind === step.kind);
};

/** How often the kernel killed it for want of memory within 24 h. */
export const killsOf = ({ oomKills }: LoadReport, { name }: Unit): number =>
  oomKills.filter((k) => k.unit === name).length;

const mib = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;

/** 'shop.service 2.1 GiB, api.service 600 MiB' */
export const holders = (units: readonly Unit[], by: 'memoryBytes' | 'cpuPercent' = 'memoryBytes', most = 3): string =>
  [...units]
    .sort((a, b) => (by === 'memoryBytes' ? heldBy(b) - heldBy(a) : b.cpuPercent - a.cpuPercent))
    .slice(0, most)
    .map((u) => `${u.name} ${by === 'memoryBytes' ? mib(heldBy(u)) : `${Math.round(u.cpuPercent)} %`}`)
    .join(', ');
export const memoryText = mib;

/** Families whose price follows from their size: compute, general, memory, of any maker and with any extra (disks, network, clock). */
const PLAIN = /^[cmr]\d+[a-z]*(-flex)?\./;
const BURSTABLE = /^t\d+[a-z]*\./;
/** Regions that cost no more than eu-central-1. Any other is taken as the dearest (sa-east-1): a cap may refuse too early, not too late. */
const CHEAP = [
  'us-east-1',
  'us-east-2',
  'us-west-2',
  'ca-central-1',
  'eu-north-1',
  'eu-west-1',
  'eu-west-3',
  'eu-central-1',
];

/**
 * US dollars a month, rounded up from the on-demand list price of Linux: by vCPU and GiB for general families, by GiB for burstable ones; extras (disks,
 * network, clock) cost up to 1.75 times as much. NaN for a family whose price is not known (GPUs, large memory): the cost guard then refuses.
 */
export const usdPerMonthOf = (
  { type, vcpus, memoryMiB }: Pick<Traits, 'type' | 'vcpus' | 'memoryMiB'>,
  region: string,
): number => {
  const gib = memoryMiB / 1024;
  const extra = /^[a-z]\d+[aig]?(-flex)?\./.test(type) ? 1 : 1.75;
  const perHour = BURSTABLE.test(type)
    ? 0.0135 * gib
    : PLAIN.test(type)
      ? extra * (0.045 * vcpus + 0.0055 * gib)
      : Number.NaN;
  return 730 * perHour * (CHEAP.includes(region) ? 1 : 1.35);
};

/** The same of a task on Fargate, Linux on x86: the dearest of the cheap regions, and the dearest of all. ARM and Spot cost less; Windows is not known. */
export const usdPerMonthOfTask = (
  { room: { cpu, memory }, windows }: { room: { cpu: number; memory: number }; windows: boolean },
  region: string,
): number => {
  const perHour = 0.049 * (cpu / 1024) + 0.0054 * (memory / 1024);
  return windows || cpu <= 0 ? Number.NaN : 730 * perHour * (CHEAP.includes(region) ? 1 : 1.5);
};

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
