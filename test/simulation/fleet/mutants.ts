/** Small mistakes that somebody could make in a remediation or its adapter, each of which some seed must find: at least two for each remediation. */
import type { Mutant } from '../hunt.ts';

/** @param seed one that finds it; it names the remediation in whose seeds it is looked for */
const mutant = (name: string, file: string, seed: string, ...edits: Mutant['edits']): Mutant => ({
  model: 'fleet',
  name,
  file,
  edits,
  seed,
});
const DISK = 'shared/remediations/fullDisk.ts';
const IMPAIRED = 'shared/remediations/instanceImpaired.ts';
const MEMORY = 'shared/remediations/memoryExhausted.ts';
const CPU = 'shared/remediations/cpuExhausted.ts';
const WATCHED = 'shared/remediations/unwatchedInstance.ts';
const SILENT = 'shared/remediations/logAgentSilent.ts';
const TRAIL = 'shared/remediations/trail.ts';
const UNDELIVERED = 'shared/remediations/trailUndelivered.ts';
const LOGS = 'shared/remediations/logGroupWeakened.ts';
const FLOW = 'shared/remediations/flowLogsMissing.ts';
const ZONE = 'shared/remediations/zoneImpaired.ts';
const CHANNEL = 'shared/remediations/channelSilent.ts';
const DRILL = 'shared/remediations/drill.ts';
const ECS = 'shared/remediations/ecsAgentDisconnected.ts';
const SERVICE = 'shared/remediations/serviceFailing.ts';
const UNEVEN = 'shared/remediations/serviceUneven.ts';
const RELEASE = 'shared/remediations/releaseUnproven.ts';
const RELEASES = 'shared/core/releases.ts';
const CLUSTER = 'shared/remediations/clusterGone.ts';
const GONE = 'shared/remediations/serviceGone.ts';
const REGISTRY = 'shared/core/registry.ts';
const LIFECYCLE = 'shared/core/lifecycle.ts';
const UNKEPT = 'shared/remediations/releaseUnkept.ts';
const JUDGE = 'shared/core/releaseJudge.ts';
const OVERLOAD = 'shared/remediations/overload.ts';
const GROUP = 'shared/remediations/groupUneven.ts';
const UNITS = 'shared/core/units.ts';

export const mutants: readonly Mutant[] = [
  mutant('a volume is asked to have less than it has', DISK, 'full-disk:2', [
    "step: { do: 'grow-volume', path: m.path, volume: volume.id, toGiB },",
    "step: { do: 'grow-volume', path: m.path, volume: volume.id, toGiB: toGiB - 14 },",
  ]),
  mutant('a disk that can be read has room', DISK, 'full-disk:1', [
    '    illOf({ mounts, soon }, o).length === 0,',
    '    illOf({ mounts, soon }, o).length >= 0,',
  ]),
  mutant('a command to a host is sent again when no answer comes', 'shared/aws/hosts.ts', 'full-disk:40', [
    'const sender = new SSMClient(clientConfig(options, 1));',
    'const sender = new SSMClient(clientConfig(options, 3));',
  ]),
  mutant('one sign is enough to destroy', IMPAIRED, 'instance-impaired:54', [
    "if (!isSure && agent !== 'silent')",
    "if (!isSure && agent === 'absent')",
  ]),
  mutant('what was stopped for other hardware is not started', IMPAIRED, 'instance-impaired:5', [
    "return awaitsStart(instance, tried(look, 'stop'))",
    "return now < 0 && awaitsStart(instance, tried(look, 'stop'))",
  ]),
  mutant('whatever is stopped is started', IMPAIRED, 'instance-impaired:15', [
    "return awaitsStart(instance, tried(look, 'stop'))",
    'return now > 0',
  ]),
  mutant('a member of a group is stopped as if it stood alone', IMPAIRED, 'instance-impaired:46', [
    'return member ? replacing(seen, is, failing(seen).length > 1, look) : restarting(seen, is, look);',
    'return member && now < 0 ? replacing(seen, is, true, look) : restarting(seen, is, look);',
  ]),
  mutant('what runs is well', IMPAIRED, 'instance-impaired:14', [
    "    checks?.system === 'ok' &&\n    checks.instance === 'ok' &&\n    failing(seen).length === 0 &&\n",
    '    checks !== undefined &&\n',
  ]),
  mutant('an issue of AWS’s own holds up nothing', 'shared/core/guards.ts', 'instance-impaired:3', [
    "if (!issue || 'unknown' in issue || riskOf(p.remediation, p.act.rung) === 'harmless') return undefined;",
    "if (!issue || 'unknown' in issue || riskOf(p.remediation, p.act.rung) !== 'harmless') return undefined;",
  ]),
  mutant('an issue of the region concerns no zone', 'shared/core/issues.ts', 'instance-impaired:3', [
    '.filter(({ zone }) => zone === undefined || ',
    '.filter(({ zone }) => ',
  ]),
  mutant('what AWS has switched off is rebooted and moved', IMPAIRED, 'instance-impaired:9', [
    'if (off) return enablingIo(',
    "if (off && checks.ebs !== 'impaired') return enablingIo(",
  ]),
  mutant('nobody is asked before I/O is enabled', 'shared/core/volumes.ts', 'instance-impaired:9', [
    '...(mayWithoutAsking ? {} : {',
    '...(!mayWithoutAsking ? {} : {',
  ]),
  mutant('what is pinned to its host is stopped and started', 'shared/core/dedicatedHosts.ts', 'instance-impaired:21', [
    'if (host.pinned) return told(',
    'if (host.pinned && hosts.length === 0) return told(',
  ]),
  mutant('any other host takes it', 'shared/core/dedicatedHosts.ts', 'instance-impaired:195', [
    '!hosts.some((h) => h.autoPlacement && takes(h, instance))',
    '!hosts.some((h) => h.autoPlacement || takes(h, instance))',
  ]),
  mutant('a stop is asked for again when no answer comes', 'shared/aws/instances.ts', 'instance-impaired:119', [
    'new EC2Client(clientConfig(options, 1))',
    'new EC2Client(clientConfig(options, 3))',
  ]),
  mutant('what is never restarted is, if a policy names it', UNITS, 'memory-exhausted:1', [
    'if (NEVER.test(bare(unit.name)) || KEEPS_DATA.test(bare(unit.name)))',
    'if (NEVER.test(unit.name) && KEEPS_DATA.test(unit.name) && unit.name.length < 2)',
  ]),
  mutant('whatever leaks is restarted', UNITS, 'memory-exhausted:5', [
    "return named(policy.restartable) ? undefined : 'the policy does not name it restartable';",
    "return named(policy.restartable) || unit.name !== '' ? undefined : 'the policy does not name it restartable';",
  ]),
  mutant('what was stopped to be made larger is not started', MEMORY, 'memory-exhausted:3', [
    "if (stop?.step.do !== 'stop' || !awaitsStart(instance, stop))",
    "if (stop?.step.do !== 'stop' || stop.outcome !== undefined)",
  ]),
  mutant('memory that cannot be seen is enough', MEMORY, 'memory-exhausted:130', [
    '    seen.load !== undefined &&\n    !isShort(seen, look) &&',
    '    !isShort(seen, look) &&',
  ]),
  mutant('whatever holds the CPU is restarted', CPU, 'cpu-exhausted:3', [
    'const mine = load.units.filter((u) => whyNot(u, o) === undefined);',
    'const mine = load.units.filter((u) => whyNot(u, o) !== null);',
  ]),
  mutant('a group is raised above its maximum', CPU, 'cpu-exhausted:11', [
    'const to = Math.min(scaling.max, ',
    'const to = scaling.max + Math.min(scaling.max, ',
  ]),
  mutant('credits that are gone are no trouble', CPU, 'cpu-exhausted:4', ['  !isOutOfCredits(seen, look) &&\n', '']),
  mutant('the alarms of others are removed', WATCHED, 'unwatched-instance:2', [
    'await ports.watches.withPrefix(prefixOf(stage, id));',
    "await ports.watches.withPrefix('');",
  ]),
  mutant('alarms that are missing are no trouble', WATCHED, 'unwatched-instance:1', [
    'isHealthy: isConverged,',
    'isHealthy: ({ difference: { remove } }) => remove.length === 0,',
  ]),
  mutant('an old datapoint is as good as a new one', SILENT, 'log-agent-silent:1', [
    'const FRESH = minutes(4);',
    'const FRESH = minutes(180);',
  ]),
  mutant('an old nonce is accepted', SILENT, 'log-agent-silent:10', [
    'lines.find((l) => l.word === last.token)',
    "lines.find((l) => l.word !== 'beat')",
  ]),
  mutant('whose metrics come is well', SILENT, 'log-agent-silent:7', [
    'publishes(seen, look) && isWell(seen.logs)',
    'publishes(seen, look)',
  ]),
  mutant('of an agent that cannot be mended nobody is told', SILENT, 'log-agent-silent:48', [
    "  return {\n    do: 'escalate',\n    because: `",
    "  return {\n    do: 'nothing',\n    because: `",
  ]),
  mutant("the organisation's trail is started", TRAIL, 'trail-stopped:1', [
    '=> {\n  const ruled = hands(seen) ?? waitForName(',
    '=> {\n  const ruled = waitForName(',
  ]),
  mutant('a trail that exists records', TRAIL, 'trail-stopped:1', [
    'isHealthy: ({ trail }) => trail?.logging === true,',
    'isHealthy: ({ trail }) => trail !== undefined,',
  ]),
  mutant('a deleted trail writes into another bucket', TRAIL, 'trail-stopped:21', [
    '...must, bucket };',
    '...must, bucket: name };',
  ]),
  mutant('a deleted trail whose event is lost is not missed', TRAIL, 'trail-stopped:85', [
    'const lost = await lostOf(',
    'const lost = ports.where.region !== undefined ? [] : await lostOf(',
  ]),
  mutant("the organisation's trail is restored", TRAIL, 'trail-weakened:8', [
    "that is trail-stopped's` };\n  const ruled = hands(seen) ?? ",
    "that is trail-stopped's` };\n  const ruled = ",
  ]),
  mutant('a trail that records is as it must be', TRAIL, 'trail-weakened:1', [
    'isHealthy: (seen) => seen.trail !== undefined && weak(seen).length === 0,',
    'isHealthy: (seen) => seen.trail?.logging === true,',
  ]),
  mutant("the key of the organisation's trail is enabled", UNDELIVERED, 'trail-undelivered:6', [
    'hands(known, look) ?? waitForName(',
    'waitForName(',
  ]),
  mutant('a trail that records can write', UNDELIVERED, 'trail-undelivered:1', [
    'isHealthy: isWell,',
    'isHealthy: ({ trail }) => trail?.logging === true,',
  ]),
  mutant('a retention is set to what is declared, longer or not', LOGS, 'log-group-weakened:1', [
    'group.retentionDays < d.retentionDays)',
    'group.retentionDays !== d.retentionDays)',
  ]),
  mutant('a log group that is there is as declared', LOGS, 'log-group-weakened:1', [
    'seen.uncovered === undefined && weak(seen).length === 0,',
    'seen.uncovered === undefined && seen.group !== undefined,',
  ]),
  mutant('a flow log that delivers nothing is enough', FLOW, 'flow-logs-missing:3', [
    'isHealthy: ({ fitting }) => fitting.some(delivers),',
    'isHealthy: ({ fitting }) => fitting.length > 0,',
  ]),
  mutant('a flow log that delivers nothing is waited for, for ever', FLOW, 'flow-logs-missing:3', [
    "if (fitting.every((f) => f.delivery === 'unknown') && now - since < DELIVERS_WITHIN)",
    'if (now >= since - DELIVERS_WITHIN)',
  ]),
  mutant('the word of its agent is enough to drain', ECS, 'ecs-agent-disconnected:10', [
    'if (signs.length === 0 && !isOurDrain(look)) return oneSign(closely, is);',
    'if (signs.length < 0) return oneSign(closely, is);',
  ]),
  mutant('an agent that is cut off is no trouble', ECS, 'ecs-agent-disconnected:2', [
    'return unit?.connected === true && !(',
    'return unit !== undefined && !(',
  ]),
  mutant('what hangs is stopped, whoever else serves', SERVICE, 'service-failing:15', [
    'serving.length < Math.max(1, ill.length) ?',
    'serving.length < 0 ?',
  ]),
  mutant('a revision is rolled back unasked', SERVICE, 'service-failing:1', [
    '...(o.rollBack && !isMigration\n',
    '...(o.deployMinutes > 0\n',
  ]),
  mutant('a service whose tasks end is healthy between their ends', SERVICE, 'service-failing:7', [
    'isQuiet(picture, look) &&',
    'picture.missing < 1_000 &&',
  ]),
  mutant('which tasks go is left to ECS', UNEVEN, 'service-uneven-zones:1', [
    '  if (keep) {',
    '  if (keep && to < 0) {',
  ]),
  mutant('a whole service is exchanged at once', 'shared/core/zones.ts', 'service-uneven-zones:1', [
    'Math.floor((percent / 100) * desired)',
    'Math.floor((percent / 20) * desired)',
  ]),
  mutant('a release is proven as soon as its tasks run', JUDGE, 'release-unproven:2', [
    'return Math.max(whole, baked - (shifting?.bake ?? 0)) + window;',
    'return Math.max(whole, baked - (shifting?.bake ?? 0));',
  ]),
  mutant('a migration is rolled back unasked', RELEASE, 'release-unproven:15', ['...(isMigration\n', '...(!former\n']),
  mutant('it goes back to what did not pass', RELEASES, 'release-unproven:60', [
    '(r) => r.deployment !== deployment && isProven(r) &&',
    '(r) => r.deployment !== deployment &&',
  ]),
  mutant('what was added is taken back in one go', 'shared/core/capacity.ts', 'overload:4', [
    'const STEP = 10;',
    'const STEP = 1;',
  ]),
  mutant('what somebody else has set is set again', OVERLOAD, 'overload:1', [
    'const mine = overruled(seen, look);',
    'const mine = look.now < 0 ? overruled(seen, look) : undefined;',
  ]),
  mutant('what was added for a time is left', OVERLOAD, 'overload:4', [
    '  if (!isInForce(wish, look)) return isBack;',
    '  if (!isInForce(wish, look)) return true;',
  ]),
  mutant('a setting is lost when a web ACL is saved', 'shared/aws/webAcls.ts', 'web-flooded:7', [
    'CustomResponseBodies: acl.CustomResponseBodies,',
    'CustomResponseBodies: undefined,',
  ]),
  mutant('a rule is known by its name only', 'shared/aws/webAcls.ts', 'web-flooded:39', [
    '.update(JSON.stringify(plain(rest)))',
    '.update(Name)',
  ]),
  mutant('a rule blocks on when the flood is over', 'shared/remediations/webFlooded.ts', 'web-flooded:7', [
    'share(calm) < o.normalPercent)\n    return back(',
    'share(calm) < 0)\n    return back(',
  ]),
  mutant('what is still being deleted is rebuilt', GONE, 'service-gone:28', [
    "if (service?.status === 'DRAINING')",
    "if (service?.status === 'INACTIVE')",
  ]),
  mutant('it is rebuilt by what its tags mean now', GONE, 'service-gone:1', [
    '{ definition, settings, ...(pins ? { pins } : {}) }',
    '{ definition, settings, ...(pins === null ? { pins: {} } : {}) }',
  ]),
  mutant('a cluster is made anew, not as it was', CLUSTER, 'cluster-gone:7', [
    'createCluster(idOf(targetOf(step.cluster)), step.settings)',
    'createCluster(idOf(targetOf(step.cluster)), {})',
  ]),
  mutant('hosts that serve are replaced with those that left', CLUSTER, 'cluster-gone:5', [
    '  if (registered > 0)\n',
    '  if (registered > 9)\n',
  ]),
  mutant('any condition is narrow enough', REGISTRY, 'registry-exposed:33', [
    'NARROWING.test(key) &&',
    'key.length > 0 &&',
  ]),
  mutant('strangers take others along', REGISTRY, 'registry-exposed:2', [
    '...others, ...(kept.length > 0 ? { AWS: kept } : {}) };',
    '...others };',
  ]),
  mutant('what a lifecycle policy takes is kept', LIFECYCLE, 'release-unkept:17', [
    'if (!seen.has(digest)) taken.set',
    'if (seen.has(digest)) taken.set',
  ]),
  mutant('what is gone from the registry is there', UNKEPT, 'release-unkept:4', [
    '.filter(({ digest }) => !there.has(digest))\n    .map',
    '.filter(({ digest }) => !there.has(digest) && now < 0)\n    .map',
  ]),
  mutant('what is retired is replaced', 'shared/aws/groups.ts', 'group-uneven-zones:2', [
    'ShouldDecrementDesiredCapacity: true',
    'ShouldDecrementDesiredCapacity: false',
  ]),
  mutant('a group that is uneven is well', GROUP, 'group-uneven-zones:2', [
    ": plan.do === 'nothing';",
    ": plan.do !== 'stop';",
  ]),
  mutant('what its owner says of where it runs is lost', UNEVEN, 'zone-impaired:10', [
    'constraints: [...service.constraints, ...barsFor(zones, seen)],',
    'constraints: barsFor(zones, seen),',
  ]),
  mutant('a zone of which AWS has an issue is well', ZONE, 'zone-impaired:1', [
    "isHealthy: ({ zone }) => zone.state === 'OK',",
    'isHealthy: ({ zone }) => zone.id.length > 0,',
  ]),
  mutant('a channel of which something is known is well', CHANNEL, 'channel-silent:36', [
    'isHealthy: ({ failing }) => failing === undefined,',
    'isHealthy: ({ because }) => because.length > 0,',
  ]),
  mutant('a channel that fails is left for a day', CHANNEL, 'channel-silent:2', [
    "decide: ({ channel, because }) => ({\n    do: 'escalate',",
    "decide: ({ channel, because }, { now }) => ({\n    do: 'wait',\n    until: now + 86_400_000,",
  ]),
  mutant('what is broken is mended', DRILL, 'drill:2', [
    'isHealthy: ({ value }) => value === MENDED,',
    'isHealthy: ({ value }) => value.length > 0,',
  ]),
  mutant('looking mends', DRILL, 'drill:1', [
    '    return { name, ...(await parameters.get(name)) };',
    '    await parameters.put(name, MENDED);\n    return { name, ...(await parameters.get(name)) };',
  ]),
];
