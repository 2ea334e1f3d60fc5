/** What the CloudWatch agent on each host publishes, each minute. */
import { BEAT_MINUTES } from '../shared/core/agents.ts';
import { available, catchUp, type FileSystem, type Host, isUp, usedCpu, usedMemory, writeProof } from './hosts.ts';
import { shipLine } from './logs.ts';
import { putPoint, valuePoint } from './metrics.ts';
import type { World } from './world.ts';

/** The agent's default namespace. */
export const AGENT_NAMESPACE = 'CWAgent';

/** What the agent adds by `append_dimensions` as its wizard configures it; the group only where there is one. */
export const hostDimensions = (world: World, instanceId: string): Record<string, string> => {
  const instance = world.ec2.instances.get(instanceId);
  const group = instance?.tags['aws:autoscaling:groupName'];
  return {
    InstanceId: instanceId,
    ImageId: instance?.imageId ?? '',
    InstanceType: instance?.type ?? '',
    ...(group && { AutoScalingGroupName: group }),
  };
};

/** The exact dimensions of a file system's metrics: an alarm must name all of them. `device` has no `/dev/`. */
export const diskDimensions = (
  world: World,
  instanceId: string,
  { path, source, filesystem }: FileSystem,
): Record<string, string> => ({
  ...hostDimensions(world, instanceId),
  path,
  device: source.replace(/^\/dev\//, ''),
  fstype: filesystem,
});

/** The same object as the minute before, while it says the same: its metrics are found by it. */
const same = new WeakMap<object, Record<string, string>>();
const again = (of: object, dimensions: Record<string, string>): Record<string, string> => {
  const known = same.get(of);
  const names = Object.keys(dimensions);
  if (known && Object.keys(known).length === names.length && names.every((n) => known[n] === dimensions[n]))
    return known;
  same.set(of, dimensions);
  return dimensions;
};

/** As `df` counts: used / (used + what a process can still write). */
export const usedPercent = (fileSystem: FileSystem) =>
  (100 * fileSystem.usedBytes) / (fileSystem.usedBytes + available(fileSystem));

const diskMetrics = (fileSystem: FileSystem): Record<string, number> => ({
  disk_used_percent: usedPercent(fileSystem),
  disk_total: fileSystem.sizeBytes,
  disk_used: fileSystem.usedBytes,
  disk_free: available(fileSystem),
  ...(fileSystem.inodes && {
    disk_inodes_total: fileSystem.inodes.total,
    disk_inodes_used: fileSystem.inodes.used,
    disk_inodes_free: fileSystem.inodes.total - fileSystem.inodes.used,
  }),
});

const publish = (world: World, host: Host) => {
  catchUp(world, host);
  const at = world.clock.now();
  const put = (metrics: Record<string, number>, dimensions: Record<string, string>) => {
    for (const [name, value] of Object.entries(metrics)) {
      putPoint(world, { namespace: AGENT_NAMESPACE, name, dimensions, point: valuePoint(at, value) });
    }
  };
  for (const fileSystem of host.fileSystems)
    put(diskMetrics(fileSystem), again(fileSystem, diskDimensions(world, host.instanceId, fileSystem)));
  put(
    { mem_used_percent: (100 * usedMemory(host)) / host.memory.totalBytes },
    again(host, hostDimensions(world, host.instanceId)),
  );
};

/** What EC2 itself publishes, agent or not. */
const publishInstance = (world: World, host: Host) => {
  const instance = world.ec2.instances.get(host.instanceId);
  if (!instance) return;
  const at = world.clock.now();
  const put = (name: string, value: number, dimensions: Record<string, string>) =>
    putPoint(world, { namespace: 'AWS/EC2', name, dimensions, point: valuePoint(at, value) });
  put('CPUUtilization', usedCpu(host), again(instance, { InstanceId: instance.id }));
  const group = instance.tags['aws:autoscaling:groupName'];
  if (group) put('CPUUtilization', usedCpu(host), { AutoScalingGroupName: group });
  if (instance.type.startsWith('t') && instance.publishesCredits)
    put('CPUCreditBalance', instance.creditBalance, { InstanceId: instance.id });
};

/** Lines of our file, as far as the agent has got. What cannot be shipped is tried again. */
const ship = (world: World, { instanceId, cloudwatch, proof }: Host) => {
  if (cloudwatch.proof === undefined || cloudwatch.logs !== 'arrive') return;
  for (const line of proof.lines.slice(proof.shipped)) {
    if (world.clock.now() - line.at < cloudwatch.logsLate) return;
    if (!shipLine(world, cloudwatch.proof, instanceId, line.text)) return;
    proof.shipped++;
  }
};

/** State Manager lets each host that it reaches write a line. */
const beat = (world: World, host: Host) => {
  const slot = Number.parseInt(host.instanceId.slice(-4), 16) % BEAT_MINUTES;
  const isDue = Math.floor(world.clock.now() / 60_000) % BEAT_MINUTES === slot;
  if (isDue && host.agent === 'online' && host.cloudwatch.proof !== undefined) writeProof(world, host, 'beat');
};

/** What ECS itself publishes of a service whose tasks run. */
export const publishServiceMetrics = (world: World) => {
  const at = world.clock.now();
  for (const { name: cluster, services, tasks } of world.ecs.clusters.values())
    for (const service of services.values()) {
      const running = [...tasks.values()].filter((t) => t.service === service.name && t.status === 'RUNNING');
      const units = running.reduce((sum, t) => sum + t.cpu, 0);
      const dimensions = again(service, { ClusterName: cluster, ServiceName: service.name });
      const used = Math.min(100, (100 * service.demand) / Math.max(1, units));
      if (running.length > 0)
        putPoint(world, { namespace: 'AWS/ECS', name: 'CPUUtilization', dimensions, point: valuePoint(at, used) });
    }
};

export const publishHostMetrics = (world: World) => {
  for (const host of world.hosts.values()) {
    if (!isUp(world, host)) continue;
    beat(world, host);
    if (host.publishes) {
      publish(world, host);
      ship(world, host);
    }
    publishInstance(world, host);
  }
};
