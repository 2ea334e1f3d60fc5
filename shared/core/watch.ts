/** The alarms that an instance must have: planned from what it is and what it publishes, compared with what is there. Pure. */
import type { Instance, Metric } from './ports.ts';

/** Part of a step, hence plain JSON. */
export type WatchAlarm = {
  /** 'steward/prod/i-0abc/disk /srv': all of one instance stand together. */
  readonly name: string;
  readonly metric: Metric;
  readonly stat: 'Average' | 'Maximum' | 'Minimum' | 'SampleCount';
  /** Seconds. */
  readonly period: number;
  /** So many periods in a row. */
  readonly periods: number;
  readonly comparison: 'GreaterThanOrEqualToThreshold' | 'LessThanThreshold';
  readonly threshold: number;
  readonly missing: 'missing' | 'notBreaching' | 'breaching';
  readonly say: string;
};

export interface Thresholds {
  readonly diskPercent: number;
  readonly inodesPercent: number;
  readonly memoryPercent: number;
  readonly cpuPercent: number;
  readonly creditsLeft: number;
}

/** What the planner needs to know of an instance beside what EC2 says. */
export interface Published {
  readonly metrics: readonly Metric[];
  /** Inodes by mount, where they are published. */
  readonly inodes: Readonly<Record<string, number>>;
  readonly burstable: boolean;
}

/** What the CloudWatch agent must publish; drop_device keeps a metric when a device is renamed. The instance's id is the agent's own variable. */
export const AGENT_CONFIG = JSON.stringify({
  agent: { metrics_collection_interval: 60 },
  metrics: {
    namespace: 'CWAgent',
    append_dimensions: { InstanceId: ['$', '{aws:InstanceId}'].join('') },
    metrics_collected: {
      mem: { measurement: ['mem_used_percent'] },
      disk: {
        resources: ['*'],
        drop_device: true,
        ignore_file_system_types: [
          'tmpfs',
          'devtmpfs',
          'overlay',
          'squashfs',
          'vfat',
          'sysfs',
          'proc',
          'nsfs',
          'efivarfs',
        ],
        measurement: ['used_percent', 'inodes_free', 'inodes_total', 'inodes_used'],
      },
    },
  },
});

export const prefixOf = (stage: string, id?: string): string => `steward/${stage}/${id === undefined ? '' : `${id}/`}`;

/** 'steward:alarm:disk' = '90' on an instance changes its own threshold. */
const TAGS: Readonly<Record<keyof Thresholds, string>> = {
  diskPercent: 'steward:alarm:disk',
  inodesPercent: 'steward:alarm:inodes',
  memoryPercent: 'steward:alarm:memory',
  cpuPercent: 'steward:alarm:cpu',
  creditsLeft: 'steward:alarm:credits',
};

/** The policy's thresholds with the instance's own tags over them; a tag that is no number from 1 to 100 is named, and not used. */
export const thresholdsOf = (
  policy: Thresholds,
  tags: Readonly<Record<string, string>>,
): { readonly thresholds: Thresholds; readonly odd: readonly string[] } => {
  const odd: string[] = [];
  const own = Object.entries(TAGS).flatMap(([key, tag]) => {
    const given = tags[tag];
    if (given === undefined) return [];
    const value = Number(given);
    if (given.trim() !== '' && Number.isFinite(value) && value >= 1 && value <= 100) return [[key, value] as const];
    odd.push(`its tag ${tag} is '${given}', not a number from 1 to 100`);
    return [];
  });
  return { thresholds: { ...policy, ...Object.fromEntries(own) }, odd };
};

/** The trouble of an alarm that watches the agent itself. */
const SILENT = 'agent silent';

/** File systems that are nobody's trouble when they are full. */
const NOT_WATCHED = /^(tmpfs|devtmpfs|overlay|squashfs|vfat|proc|sysfs|efivarfs|nsfs|ramfs|iso9660)$/;

type Rule = Omit<WatchAlarm, 'name'> & { readonly trouble: string };

const ec2 = (id: string, name: string): Metric => ({ namespace: 'AWS/EC2', name, dimensions: { InstanceId: id } });

const rulesOf = (id: string, { metrics, inodes, burstable }: Published, t: Thresholds): readonly Rule[] => {
  const check = (name: string, trouble: string, words: string): Rule => ({
    trouble,
    metric: ec2(id, name),
    stat: 'Maximum',
    period: 60,
    periods: 2,
    comparison: 'GreaterThanOrEqualToThreshold',
    threshold: 1,
    missing: 'missing',
    say: `${words} fails`,
  });
  const over = (
    metric: Metric,
    trouble: string,
    [period, periods]: readonly [number, number],
    threshold: number,
    say: string,
  ): Rule => ({
    trouble,
    metric,
    stat: 'Average',
    period,
    periods,
    comparison: 'GreaterThanOrEqualToThreshold',
    threshold,
    missing: 'missing',
    say,
  });
  const under = (rule: Rule): Rule => ({ ...rule, comparison: 'LessThanThreshold' });
  const published = (name: string) => metrics.filter((m) => m.name === name);
  const disks = published('disk_used_percent').filter((m) => !NOT_WATCHED.test(m.dimensions['fstype'] ?? ''));
  const path = (m: Metric) => m.dimensions['path'] ?? '';
  return [
    check('StatusCheckFailed_Instance', 'check instance', 'the instance status check'),
    check('StatusCheckFailed_System', 'check system', 'the system status check'),
    ...published('StatusCheckFailed_AttachedEBS').map(() =>
      check('StatusCheckFailed_AttachedEBS', 'check ebs', 'the EBS status check'),
    ),
    over(ec2(id, 'CPUUtilization'), 'cpu', [300, 3], t.cpuPercent, `${t.cpuPercent} % of the CPU are used`),
    ...(burstable
      ? [
          under(
            over(
              ec2(id, 'CPUCreditBalance'),
              'cpu credits',
              [300, 2],
              t.creditsLeft,
              `fewer than ${t.creditsLeft} CPU credits are left`,
            ),
          ),
        ]
      : []),
    // No datapoint at all: the agent is silent. Its name tells it from the alarm on memory (shared/core/alarm.ts).
    ...published('mem_used_percent').map((m) => ({
      ...under(over(m, SILENT, [300, 2], 1, 'its CloudWatch agent has been silent for 10 min')),
      stat: 'SampleCount' as const,
      missing: 'breaching' as const,
    })),
    ...published('mem_used_percent').map((m) =>
      over(m, 'memory', [60, 5], t.memoryPercent, `${t.memoryPercent} % of the memory are used`),
    ),
    ...disks.map((m) => over(m, `disk ${path(m)}`, [60, 3], t.diskPercent, `${path(m)} is ${t.diskPercent} % full`)),
    ...published('disk_inodes_free').flatMap((m) => {
      const total = inodes[path(m)];
      return total === undefined || NOT_WATCHED.test(m.dimensions['fstype'] ?? '')
        ? []
        : [
            under(
              over(
                m,
                `inodes ${path(m)}`,
                [60, 3],
                Math.floor((total * (100 - t.inodesPercent)) / 100),
                `${path(m)} has used ${t.inodesPercent} % of its inodes`,
              ),
            ),
          ];
    }),
  ];
};

/** The alarms that it must have, by name. Two metrics of one mount (a device renamed) are one: the later in the list, which CloudWatch gives newest last. */
export const wantedAlarms = (
  stage: string,
  instance: Pick<Instance, 'id' | 'tags'>,
  published: Published,
  t: Thresholds,
): readonly WatchAlarm[] => {
  const who = instance.tags['Name'] ? `${instance.tags['Name']} (${instance.id})` : instance.id;
  const all = rulesOf(instance.id, published, t).map(({ trouble, say, ...rule }) => ({
    ...rule,
    name: `${prefixOf(stage, instance.id)}${trouble}`.slice(0, 255),
    say: `${who}: ${say}. Steward made this alarm and acts on it.`,
  }));
  return [...new Map(all.map((a) => [a.name, a])).values()].sort((a, b) => (a.name < b.name ? -1 : 1));
};

const textOf = (a: WatchAlarm): string =>
  JSON.stringify([
    a.metric.namespace,
    a.metric.name,
    Object.entries(a.metric.dimensions).sort(),
    a.stat,
    a.period,
    a.periods,
    a.comparison,
    a.threshold,
    a.missing,
    a.say,
  ]);

export interface WatchDifference {
  readonly put: readonly WatchAlarm[];
  readonly remove: readonly string[];
}
/** What must be put and what removed, so that `actual` becomes `wanted`. */
export const differenceOf = (wanted: readonly WatchAlarm[], actual: readonly WatchAlarm[]): WatchDifference => {
  const known = new Map(actual.map((a) => [a.name, textOf(a)]));
  const names = new Set(wanted.map((w) => w.name));
  return {
    put: wanted.filter((w) => known.get(w.name) !== textOf(w)),
    remove: actual.map((a) => a.name).filter((n) => !names.has(n)),
  };
};

export interface Watches {
  /** Ids of the instances that alarms with this prefix are about, by the names alone. */
  owners(prefix: string): Promise<readonly string[]>;
  withPrefix(prefix: string): Promise<readonly WatchAlarm[]>;
  /** What it publishes: the agent's metrics, and EC2's. */
  metricsOf(id: string): Promise<readonly Metric[]>;
  put(alarm: WatchAlarm): Promise<void>;
  /** At most 100. */
  remove(names: readonly string[]): Promise<void>;
}
