/** What holds memory and CPU of a host: the answers of `inspect-load` and `restart-unit`. Sizes are bytes, percents are of the whole host (all cores). */
import * as z from 'zod/mini';

const count = z.number().check(z.gte(0));

/** Pressure stall information: part of the last minute in which something waited (percent). Source: Documentation/accounting/psi.rst of Linux. */
const pressure = z.object({ some60: count, full60: count });

const unit = z.object({
  /** systemd's unit ('nginx.service'), or the container's name. What belongs to neither is not listed. */
  name: z.string(),
  kind: z.enum(['unit', 'container']),
  /** Anonymous memory and kernel memory of its cgroup: what cannot be dropped. Page cache is not counted. */
  memoryBytes: count,
  swapBytes: count,
  /** Of its cgroup; null: none. */
  limitBytes: z.nullable(count),
  cpuPercent: count,
  /** Its own limit on CPU (cpu.max), in cores; null: none. And in what part of its scheduling periods that limit held it back, percent. */
  cpuLimitCores: z._default(z.nullable(count), null),
  throttledPercent: z._default(count, 0),
  /** Of its cgroup's memory; null on a kernel without it. */
  pressure: z._default(z.nullable(pressure), null),
  /** Since its main process started. */
  ageSeconds: count,
  /** By the kernel, in its cgroup, since it started. */
  oomKills: count,
  /** Why Steward may never restart it (sshd, an agent, a database …), or null. */
  protected: z.nullable(z.string()),
  /** What earlier looks measured since its main process started, oldest first; at most 60. Memory with what was swapped out. */
  history: z.array(z.object({ secondsAgo: count, memoryBytes: count, cpuPercent: count })),
});
export type Unit = z.infer<typeof unit>;

/** `inspect-load` */
export const loadReport = z.object({
  version: z.literal(1),
  at: z.string(),
  os: z.string(),
  kernel: z.string(),
  uptimeSeconds: count,
  memory: z.object({
    totalBytes: count,
    /** MemAvailable: what can be had without swapping. */
    availableBytes: count,
    swapTotalBytes: count,
    swapUsedBytes: count,
    /** Null on a kernel without it. */
    pressure: z.nullable(pressure),
  }),
  /** Measured over two seconds. */
  cpu: z.object({
    cores: count,
    usedPercent: count,
    /** Time in which the hypervisor gave the core to someone else. */
    stealPercent: count,
    waitPercent: count,
    /** What earlier looks measured, oldest first; at most 20. */
    history: z._default(z.array(z.object({ secondsAgo: count, stealPercent: count })), []),
    load1: count,
    pressure: z.nullable(pressure),
  }),
  /** The kernel's out-of-memory kills of the last 24 h, latest first; at most 10. */
  oomKills: z.array(z.object({ secondsAgo: count, process: z.string(), unit: z.nullable(z.string()) })),
  /** The 15 biggest by memory and the 5 busiest by CPU, biggest first. */
  units: z.array(unit),
  cut: z.array(z.string()),
});
export type LoadReport = z.infer<typeof loadReport>;

/** `restart-unit` */
export const restartReport = z.object({
  version: z.literal(1),
  name: z.string(),
  kind: z.enum(['unit', 'container']),
  repeated: z.boolean(),
  /** Its main process is another one, and it runs. */
  restarted: z.boolean(),
  memoryBefore: count,
  memoryAfter: count,
});
export type RestartReport = z.infer<typeof restartReport>;
