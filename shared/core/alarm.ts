/** What an alarm means: its metric names the trouble, its dimensions name the target. Used by the hook and by the survey. */
import { InvalidInput } from './errors.ts';
import type { Signal, SignalKind } from './signal.ts';
import { groupTarget, instanceTarget, partitionOf, serviceTarget, type Target, targetOf } from './target.ts';
import type { Time } from './time.ts';

export interface AlarmMetric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}
export interface Alarm {
  readonly arn: string;
  readonly name: string;
  readonly state: 'ALARM' | 'OK' | 'INSUFFICIENT_DATA';
  readonly reason: string;
  /** When it came into this state. */
  readonly at: Time;
  /** Every metric that it watches; empty for a composite alarm. */
  readonly metrics: readonly AlarmMetric[];
}

type Namer = (where: Target, dimensions: Readonly<Record<string, string>>) => Target | undefined;

const instance: Namer = (where, { InstanceId }) => (InstanceId ? instanceTarget(where, InstanceId) : undefined);
const named =
  (service: string, type: string, dimension: string): Namer =>
  (where, dimensions) => {
    const id = dimensions[dimension];
    return id
      ? targetOf(`arn:${partitionOf(where.region)}:${service}:${where.region}:${where.account}:${type}${id}`)
      : undefined;
  };

const service: Namer = (where, { ClusterName, ServiceName }) =>
  ClusterName && ServiceName ? serviceTarget(where, ClusterName, ServiceName) : undefined;

const loadBalancer = named('elasticloadbalancing', 'loadbalancer/', 'LoadBalancer');

/** By the name of its metrics, with `*` for the id that its ARN has beside it. */
const webAcl: Namer = (where, { WebACL, Region }) =>
  WebACL && Region === where.region
    ? targetOf(`arn:${partitionOf(where.region)}:wafv2:${where.region}:${where.account}:regional/webacl/${WebACL}/*`)
    : undefined;

const scalingGroup: Namer = (where, { InstanceId, AutoScalingGroupName }) =>
  InstanceId === undefined && AutoScalingGroupName ? groupTarget(where, AutoScalingGroupName) : undefined;

/** Steward's own alarm on an agent's silence watches the metric of memory: its name says what it means. */
const OWN_SILENT = /^steward\/[^/]+\/(i-[0-9a-f]+)\/agent silent$/;

/** Application Auto Scaling's own, high and low: by these it does its work, and one of the two nearly always fires. */
const TRACKING = /^TargetTracking-/;

/** Metric, trouble and target. Names: CloudWatch agent (`CWAgent`), AWS/EC2, AWS/RDS, AWS/ECS, AWS/ApplicationELB, ECS/ContainerInsights. One name may mean several things, each with dimensions of its own. */
const METRICS: readonly (readonly [metric: string, SignalKind, Namer])[] = [
  ['disk_used_percent', 'disk.space-low', instance],
  ['disk_free', 'disk.space-low', instance],
  ['disk_inodes_free', 'disk.inodes-low', instance],
  ['disk_inodes_used', 'disk.inodes-low', instance],
  ['mem_used_percent', 'memory.low', instance],
  ['mem_available_percent', 'memory.low', instance],
  ['CPUUtilization', 'cpu.high', instance],
  ['CPUCreditBalance', 'cpu.credits-low', instance],
  ['StatusCheckFailed', 'instance.status-check-failed', instance],
  ['StatusCheckFailed_Instance', 'instance.status-check-failed', instance],
  ['StatusCheckFailed_AttachedEBS', 'instance.ebs-check-failed', instance],
  ['StatusCheckFailed_System', 'instance.system-check-failed', instance],
  ['RunningTaskCount', 'container-service.failing', service],
  ['RestartCount', 'container-service.failing', service],
  ['FreeStorageSpace', 'database.storage-low', named('rds', 'db:', 'DBInstanceIdentifier')],
  ['RequestCountPerTarget', 'capacity.short', named('elasticloadbalancing', '', 'TargetGroup')],
  ['TargetConnectionErrorCount', 'capacity.short', named('elasticloadbalancing', '', 'TargetGroup')],
  ['RejectedConnectionCount', 'capacity.short', loadBalancer],
  ['RejectedConnectionCount', 'web.flooded', loadBalancer],
  ['CountedRequests', 'web.flooded', webAcl],
  ['UnHealthyHostCount', 'load-balancer.unhealthy-hosts', named('elasticloadbalancing', '', 'TargetGroup')],
  ['CPUUtilization', 'capacity.short', (where, d) => service(where, d) ?? scalingGroup(where, d)],
];
const MEANINGS = Map.groupBy(METRICS, ([metric]) => metric);

/**
 * The signals of an alarm in ALARM: one for each target that its metrics name. An alarm that names nothing (composite, metric math over
 * unknown metrics) gives `alarm.unnamed` about itself: its tags may say more. In any other state: look again at what already waits.
 * @throws InvalidInput for an alarm ARN or a dimension that cannot be
 */
export const signalsOfAlarm = (alarm: Alarm): readonly Signal[] => {
  const where = targetOf(alarm.arn);
  const [, silent] = OWN_SILENT.exec(alarm.name) ?? [];
  const own = silent ? [{ kind: 'log-agent.silent' as const, target: instanceTarget(where, silent) }] : undefined;
  const known =
    own ??
    alarm.metrics.flatMap((m) =>
      (MEANINGS.get(m.name) ?? []).flatMap(([, kind, name]) => {
        const target = name(where, m.dimensions);
        return target ? [{ kind, target }] : [];
      }),
    );
  const unique = known.filter(
    (a, i) => known.findIndex((b) => b.kind === a.kind && b.target.arn === a.target.arn) === i,
  );
  const found = unique.length > 0 ? unique : [{ kind: 'alarm.unnamed' as const, target: where }];
  return found.map(({ kind, target }) => ({
    kind: alarm.state === 'ALARM' && !TRACKING.test(alarm.name) ? kind : 'target.changed',
    target,
    at: alarm.at,
    cause: `alarm ${alarm.name} went to ${alarm.state}: ${alarm.reason}`.slice(0, 400),
    // The three forms in which one state change arrives have this in common, and nothing else.
    eventId: `${alarm.arn}@${alarm.at}`,
  }));
};

const KINDS: readonly string[] = [...new Set(METRICS.map(([, kind]) => kind))];

/** What an unnamed alarm's tags say. `steward:signal` is one of the kinds above, `steward:target` an ARN or an instance id. */
export const signalOfTags = (unnamed: Signal, tags: Readonly<Record<string, string>>): Signal | undefined => {
  const kind = tags['steward:signal'];
  const of = tags['steward:target'];
  if (kind === undefined && of === undefined) return undefined;
  if (kind === undefined || !KINDS.includes(kind))
    throw new InvalidInput(`its tag steward:signal is '${kind ?? ''}'; allowed are ${KINDS.join(', ')}`);
  if (of === undefined)
    throw new InvalidInput('it has no tag steward:target: give it the ARN of what the alarm is about');
  return {
    ...unnamed,
    kind: kind as SignalKind,
    target: of.startsWith('arn:') ? targetOf(of) : instanceTarget(unnamed.target, of),
  };
};
