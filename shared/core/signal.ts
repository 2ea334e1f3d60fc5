/** A fact from outside that says only *where to look*. What is true is decided by looking. */
import type { Target } from './target.ts';
import type { Time } from './time.ts';

/**
 * What may be wrong. A kind that no remediation answers is recorded as such and ends there; `target.changed` opens nothing: it only makes
 * what already waits for the target look again now.
 */
export type SignalKind =
  | 'disk.space-low'
  | 'disk.inodes-low'
  /** Not yet, but soon, by its trend. */
  | 'disk.forecast'
  | 'memory.forecast'
  | 'cpu.credits-forecast'
  | 'memory.low'
  | 'memory.oom-kill'
  | 'cpu.high'
  | 'cpu.credits-low'
  | 'instance.unwatched'
  | 'instance.status-check-failed'
  | 'instance.system-check-failed'
  | 'instance.ebs-check-failed'
  /** AWS Health says that what it runs on is degraded; no status check shows that. */
  | 'instance.hardware-degraded'
  /** AWS has lost the data of one of its volumes, or disabled its I/O. */
  | 'volume.lost'
  | 'volume.io-off'
  /** AWS has announced something for the Dedicated Host that it is on, or that has failed. */
  | 'instance.host-announced'
  /** AWS will stop, reboot or retire it at a known time. */
  | 'instance.scheduled-event'
  /** A spot instance goes in two minutes. */
  | 'instance.interruption'
  /** A spot instance is likely to go. */
  | 'instance.rebalance-recommended'
  | 'container-instance.agent-disconnected'
  | 'container-service.failing'
  /** More of its tasks are in one zone than need be. */
  | 'container-service.uneven'
  /** It was deleted, or is missing where it must be. */
  | 'container-service.gone'
  /** It was deleted, has other hosts, or is otherwise than what is on record. */
  | 'container-cluster.changed'
  /** The registry may not keep the images of its releases. */
  | 'container-service.unkept'
  /** A deployment has begun, or is over. */
  | 'container-service.deployed'
  /** It is busy, or requests are turned away before it. */
  | 'capacity.short'
  /** Requests of a few sources may be more than a workload can take: about a web ACL, or a load balancer behind one. */
  | 'web.flooded'
  /** A person wants more of it. */
  | 'capacity.wanted'
  /** More instances of an Auto Scaling group are in one zone than need be. */
  | 'instance-group.uneven'
  /** A whole Availability Zone, by AWS's word or by what Steward sees there. */
  | 'zone.impaired'
  /** One that belongs to no service: nothing replaces it. */
  | 'container-task.failed'
  /** Something may have been changed that must stay as it is declared. */
  | 'trail.stopped'
  | 'trail.weakened'
  /** It may not be able to write: about the trail, or its bucket or key. */
  | 'trail.undelivered'
  | 'flow-logs.changed'
  | 'log-group.changed'
  | 'registry.changed'
  | 'log-agent.silent'
  | 'database.storage-low'
  | 'load-balancer.unhealthy-hosts'
  | 'steward.drill'
  /** Messages do not reach one of the policy's channels. */
  | 'channel.failing'
  | 'target.changed'
  /** An alarm whose metric or dimensions name nothing: its tags may (`steward:signal`, `steward:target`). */
  | 'alarm.unnamed';

export interface Signal {
  readonly kind: SignalKind;
  readonly target: Target;
  /** When the fact was so, by the sender's clock. */
  readonly at: Time;
  /** In words: "alarm web-disk went to ALARM: Threshold Crossed …". */
  readonly cause: string;
  /** The event's own id, so that a repeated event is recognised in the record. */
  readonly eventId: string;
  /** Asked as a matter of course: if nothing is wrong, nothing is written. */
  readonly routine?: true;
  /** ARN of who made the change that this is about, where the event says it. */
  readonly author?: string;
  /** A person who asked for this, where one did: they cannot approve it too. */
  readonly askedBy?: string;
}
