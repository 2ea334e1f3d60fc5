/**
 * How each remediation's trouble begins in the world, and how one sees in truth that it is over. A new remediation joins the simulation by an entry
 * here. What must hold while it is ended is in `rules.ts`.
 */
import { minutes } from '../../../shared/core/time.ts';
import { instanceArn, logGroupArn, vpcArn } from '../../../world/arns.ts';
import { addGroup, groupArnOf } from '../../../world/autoscaling.ts';
import {
  addService,
  breakEcsAgent,
  type FurnishedService,
  hangTasks,
  loseHost,
  makeCluster,
  nextDefinition,
  runningTasks,
  setImage,
} from '../../../world/clusters.ts';
import { addHost, failHost, placeOn } from '../../../world/dedicatedHosts.ts';
import type { Instance } from '../../../world/ec2.ts';
import { makeRepository, push } from '../../../world/ecr.ts';
import { type Cluster, clusterNamed, digestOf, type EcsService, type Image, imageOf } from '../../../world/ecs.ts';
import { containerInstanceOf, registerInstance } from '../../../world/ecsInstances.ts';
import { deploy } from '../../../world/ecsScheduler.ts';
import { registerDefinition } from '../../../world/ecsWorkloads.ts';
import { breakDisk, breakLoad, hostOf } from '../../../world/fleet.ts';
import { beginIssue, endIssue } from '../../../world/health.ts';
import { usedCpu, usedMemory } from '../../../world/hosts.ts';
import { impair, makeInstance } from '../../../world/instances.ts';
import { addKey, isUsable } from '../../../world/kms.ts';
import { shipLine } from '../../../world/logs.ts';
import { usedPercent } from '../../../world/publish.ts';
import { type ScalableTarget, scaleService } from '../../../world/serviceScaling.ts';
import { disableIo } from '../../../world/volumeTroubles.ts';
import { cameIn, comeIn, makeWebAcl, rateRule } from '../../../world/waf.ts';
import type { World } from '../../../world/world.ts';
import { BUCKET, type Field, KEY, type Patient, PROOFS } from './fleet.ts';

type Begun = Omit<Patient, 'remediation'>;
interface Beginning {
  /** What the policy says of the remediation. */
  readonly settings?: object;
  /** What the policy says beside it. */
  readonly policy?: object;
  readonly begin: (f: Field) => Begun | Promise<Begun>;
}

/** Those that run, are managed, and have had their alarms from the beginning: of the others only the look of the day tells. */
export const managed = ({ world }: Pick<Field, 'world'>): readonly Instance[] => {
  const alarmed = new Set([...world.cloudwatch.alarms.values()].map((a) => a.dimensions['InstanceId']));
  return [...world.ec2.instances.values()].filter(
    (i) =>
      i.state === 'running' &&
      alarmed.has(i.id) &&
      i.tags['steward:managed'] === 'true' &&
      i.tags['steward:ignore'] === undefined,
  );
};
const member = (i: Instance): boolean => i.tags['aws:autoscaling:groupName'] !== undefined;
const isRunning = (world: World, id: string): boolean => world.ec2.instances.get(id)?.state === 'running';
const isGone = (world: World, id: string): boolean =>
  ['terminated', 'shutting-down'].includes(world.ec2.instances.get(id)?.state ?? 'terminated');
/** A trouble of a machine: what does not run has no other, and what is gone, replaced by its group, has none. */
const ofMachine = (
  { world }: Field,
  { id }: Instance,
  is: { well: () => boolean; ill: () => boolean },
  more: Partial<Begun> = {},
): Begun => ({
  arn: instanceArn(world, id),
  isWell: () => isGone(world, id) || (isRunning(world, id) && is.well()),
  isIll: () => isRunning(world, id) && is.ill(),
  ...more,
});
const shareOfMemory = (world: World, id: string): number => {
  const host = hostOf(world, id);
  return usedMemory(host) / host.memory.totalBytes;
};

const fullDisk = (f: Field): Begun => {
  const { world, random } = f;
  const instance = random.pick(managed(f));
  const path = random.pick(hostOf(world, instance.id).fileSystems).path;
  const GiB = 2 ** 30;
  breakDisk(world, instance.id, {
    path,
    usedPercent: 90 + random.integer(9),
    ...(random.chance(0.4) ? { cleanableBytes: random.pick([GiB, 4 * GiB]) } : {}),
    ...(random.chance(0.2) ? { growing: { bytesPerSecond: random.pick([2e5, 2e6]) } } : {}),
    ...(random.chance(0.1) ? { readOnly: true } : {}),
  });
  const fullest = () => Math.max(...hostOf(world, instance.id).fileSystems.map(usedPercent));
  return ofMachine(f, instance, { well: () => fullest() < 82, ill: () => fullest() > 88 });
};

/** AWS disables the I/O of its root volume, until somebody enables it. */
const switchedOff = (f: Field, instance: Instance): Begun => {
  const { world } = f;
  const volume = [...world.ec2.volumes.values()].find((v) => v.attachment?.instanceId === instance.id);
  if (!volume) throw new Error(`${instance.id} has no volume`);
  disableIo(world, volume.id);
  const off = () => volume.ioDisabledAt !== undefined && world.ec2.volumes.has(volume.id);
  return ofMachine(f, instance, { well: () => !off(), ill: off });
};

/** The Dedicated Host under it fails: there may be another one, and it may be pinned. It is over when it runs elsewhere, or a person has moved it. */
const hostFails = (f: Field, instance: Instance): Begun => {
  const { world } = f;
  const random = f.random.fork('host');
  const { zone, type } = instance;
  const host = addHost(world, { zone, type });
  if (random.chance(0.6)) addHost(world, { zone, type, autoPlacement: random.chance(0.6) });
  placeOn(host, instance, random.chance(0.3));
  failHost(world, host, 'permanent-failure');
  const ails = () => instance.host?.id === host.id;
  return ofMachine(f, instance, { well: () => !ails(), ill: ails });
};

const impaired = (f: Field): Begun => {
  const { world, random } = f;
  const instance = random.pick(managed(f));
  const checks = random.pick([
    { instance: true },
    { instance: true },
    { system: true },
    { instance: true, system: true },
  ]);
  if (random.chance(0.15))
    instance.scheduled.push({
      code: 'instance-retirement',
      description: 'The instance is running on degraded hardware',
      notBefore: world.clock.now() + 3 * 86_400_000,
    });
  else if (random.fork('volume').chance(0.15)) return switchedOff(f, instance);
  else if (random.fork('hosted').chance(0.3)) return hostFails(f, instance);
  else impair(world, instance.id, checks, random.pick(['reboot', 'restart', 'nothing']));
  const ails = () => instance.impairedSince !== undefined || instance.scheduled.length > 0;
  return ofMachine(
    f,
    instance,
    { well: () => !ails(), ill: ails },
    {
      // Of what is gone its group is whole again; that the world cannot tell from its members is not held against it.
      isWell: () => !['stopped', 'stopping'].includes(instance.state) && (instance.state !== 'running' || !ails()),
    },
  );
};

const outOfMemory = (f: Field): Begun => {
  const { world, random } = f;
  const instance = random.pick(managed(f));
  const name = random.pick(['shop.service', 'shop.service', 'app.service', 'postgresql.service', 'sshd.service']);
  const mib = hostOf(world, instance.id).memory.totalBytes / 2 ** 20;
  breakLoad(world, instance.id, {
    name,
    mib: mib * random.pick([0.6, 0.75]),
    mibPerMinute: random.pick([0, mib / 60, mib / 60, mib / 25]),
    ...(random.chance(0.1) ? { comesBack: false } : {}),
  });
  const used = () => shareOfMemory(world, instance.id);
  return ofMachine(f, instance, { well: () => used() < 0.92, ill: () => used() > 0.93 });
};

const busy = (f: Field): Begun => {
  const { world, random, fleet } = f;
  const kind = random.integer(4);
  const instance = kind === 0 && isRunning(world, fleet.burst.id) ? fleet.burst : random.pick(managed(f));
  const name = random.pick(['shop.service', 'shop.service', 'app.service', 'postgresql.service', 'sshd.service']);
  if (kind === 0) instance.creditBalance = 2;
  else if (kind === 1)
    for (const { id } of managed(f).filter(member)) breakLoad(world, id, { name: 'app.service', cpuPercent: 95 });
  else breakLoad(world, instance.id, { name, cpuPercent: 95 });
  const credits = () => instance.type.startsWith('t') && instance.credits === 'standard' && instance.creditBalance < 20;
  const used = () => usedCpu(hostOf(world, instance.id));
  const since = world.clock.now();
  // EC2's metrics are averages of five minutes.
  const isFresh = () => world.clock.now() - since < minutes(11);
  return ofMachine(f, instance, {
    well: () => isFresh() || (used() < 91 && !credits()),
    ill: () => used() > 91 || credits(),
  });
};

const unwatched = (f: Field): Begun => {
  const { world, random } = f;
  const instance = random.pick([...managed(f), f.fleet.theirs]);
  const own = `steward/test/${instance.id}/`;
  const alarms = () => [...world.cloudwatch.alarms.values()].filter((a) => a.name.startsWith(own));
  const arn = instanceArn(world, instance.id);
  const [like] = world.cloudwatch.alarms.values();
  if (like && random.chance(0.5)) world.cloudwatch.alarms.set(`${own}left over`, { ...like, name: `${own}left over` });
  f.signal('instance.unwatched', arn, 0, { routine: true });
  const isOurs = () => managed(f).includes(instance);
  return {
    arn,
    // Without a signal only the look of the day tells.
    isWell: () =>
      !isRunning(world, instance.id) ||
      (!alarms().some((a) => a.name.endsWith('left over')) && (!isOurs() || alarms().length > 0)),
    isIll: () => false,
    again: async () => {
      const [first] = alarms();
      if (first) world.cloudwatch.alarms.delete(first.name);
    },
  };
};

/** Its metrics come. Lines came until three hours ago, one of an earlier repair among them; what was written since has not. */
const logsLost = (f: Field): Begun => {
  const { world, random } = f;
  const instance = random.pick(managed(f));
  const { cloudwatch, proof } = hostOf(world, instance.id);
  const write = (ago: number, word: string) => {
    const at = world.clock.now() - ago;
    proof.lines.push({ at, text: `${new Date(at).toISOString().slice(0, 19)}Z ${word}` });
  };
  for (const [ago, word] of [
    [minutes(240), 'beat'],
    [minutes(200), '01J00000000000000000000000-1'],
    [minutes(180), 'beat'],
  ] as const) {
    write(ago, word);
    shipLine(world, PROOFS, instance.id, proof.lines.at(-1)?.text ?? '', world.clock.now() - ago);
  }
  proof.shipped = proof.lines.length;
  for (const ago of [140, 80, 20]) write(minutes(ago), 'beat');
  cloudwatch.proof = PROOFS;
  cloudwatch.logs = random.pick(['hung', 'section', 'denied']);
  cloudwatch.logsLate = random.pick([0, 0, minutes(3), minutes(9)]);
  const toldBy = f.signal('log-agent.silent', instanceArn(world, instance.id), 0, { routine: true });
  const arrive = () => cloudwatch.logs === 'arrive' && hostOf(world, instance.id).publishes;
  // It was mended a while ago, and has failed again: that is missed only after three lines of its own.
  const lately = () =>
    world.logs.groups
      .get(PROOFS)
      ?.streams.get(instance.id)
      ?.lines.some((l) => world.clock.now() - l.ingestedAt < minutes(105)) === true;
  const isWell = () => hostOf(world, instance.id).publishes && (arrive() || lately());
  return ofMachine(f, instance, { well: isWell, ill: () => !arrive() && !lately() }, { toldBy });
};

const silent = (f: Field): Begun => {
  const { world, random } = f;
  if (random.chance(0.5)) return logsLost(f);
  const instance = random.pick(managed(f));
  const host = hostOf(world, instance.id);
  host.publishes = false;
  host.cloudwatch.installed = random.chance(0.7);
  host.cloudwatch.broken = random.chance(0.3);
  const since = world.clock.now();
  // Its alarm needs ten minutes without a datapoint.
  const toldBy = f.signal('log-agent.silent', instanceArn(world, instance.id), minutes(10));
  return ofMachine(
    f,
    instance,
    { well: () => host.publishes || world.clock.now() - since < minutes(6), ill: () => !host.publishes },
    { toldBy },
  );
};

const trailStopped = async ({ world, random, person }: Field): Promise<Begun> => {
  const name = random.pick(['audit', 'audit', 'second', 'second', 'org', 'theirs']);
  const again = () =>
    person('cloudtrail', random.chance(name === 'audit' ? 0.3 : 0) ? 'DeleteTrail' : 'StopLogging', { Name: name });
  await again();
  const logging = () => world.cloudtrail.trails.get(name)?.logging === true;
  return { arn: trailArn(world, name), isWell: logging, isIll: () => !logging(), again };
};
const trailArn = ({ region, account }: World, name: string) => `arn:aws:cloudtrail:${region}:${account}:trail/${name}`;

const trailWeakened = async ({ world, random, person }: Field): Promise<Begun> => {
  const name = random.pick(['audit', 'audit', 'second', 'second', 'org', 'theirs']);
  const weaker = random.pick([
    { EnableLogFileValidation: false },
    { IncludeGlobalServiceEvents: false },
    ...(name === 'audit' ? [{ S3BucketName: 'annas-own', IsMultiRegionTrail: false }] : []),
  ]);
  const again = () => person('cloudtrail', 'UpdateTrail', { Name: name, ...weaker });
  await again();
  const strong = () => {
    const t = world.cloudtrail.trails.get(name);
    return t?.validation === true && t.globalEvents && (name !== 'audit' || t.bucket === AUDIT.bucket);
  };
  return {
    arn: trailArn(world, name),
    isWell: strong,
    isIll: () => world.cloudtrail.trails.has(name) && !strong(),
    again,
  };
};

const trailUndelivered = async ({ world, random, person }: Field): Promise<Begun> => {
  const name = random.pick(['audit', 'second', 'org', 'theirs']);
  const keyOf = () => world.cloudtrail.trails.get(name)?.kmsKey;
  const key = keyOf() ?? addKey(world).arn;
  const trail = world.cloudtrail.trails.get(name);
  if (trail) trail.kmsKey = key;
  const again = () => person('kms', 'DisableKey', { KeyId: key });
  await again();
  const isIll = (): boolean => keyOf() === key && !isUsable(world, key);
  return { arn: trailArn(world, name), isWell: () => !isIll(), isIll, again };
};
const AUDIT = { bucket: 'audit-logs-111122223333' };

const logGroupWeakened = async ({ world, random, person }: Field): Promise<Begun> => {
  const name = random.pick(['/ecs/web', '/ecs/web', '/ecs/api', '/ecs/theirs']);
  const what = random.integer(3);
  const again = () =>
    what === 0
      ? person('logs', 'PutRetentionPolicy', { logGroupName: name, retentionInDays: 1 })
      : what === 1
        ? person('logs', 'DisassociateKmsKey', { logGroupName: name })
        : person('logs', 'DeleteLogGroup', { logGroupName: name });
  await again();
  const strong = () => {
    const g = world.logs.groups.get(name);
    return g !== undefined && (g.retention ?? 9999) >= 30 && (name !== '/ecs/web' || g.kmsKey === KEY);
  };
  // Only the first is named, and so made again.
  const there = () => name === '/ecs/web' || world.logs.groups.has(name);
  return { arn: logGroupArn(world, name), isWell: strong, isIll: () => there() && !strong(), again };
};

const flowLogsMissing = async ({ world, random, fleet, person }: Field): Promise<Begun> => {
  if (random.chance(0.15)) world.ec2.unreachable.set(BUCKET, 'Access error');
  // The bucket's policy has changed: it is there, and delivers nothing.
  if (random.chance(0.3)) for (const one of world.ec2.flowLogs.values()) one.error = 'Access error';
  const again = () => person('ec2', 'DeleteFlowLogs', { FlowLogIds: [...world.ec2.flowLogs.keys()] });
  const isBroken = [...world.ec2.flowLogs.values()].some((one) => one.error !== undefined);
  if (!isBroken || random.chance(0.2)) await again();
  const delivers = () => [...world.ec2.flowLogs.values()].some((l) => l.vpc === fleet.vpc.id && !l.error);
  return { arn: vpcArn(world, fleet.vpc.id), isWell: delivers, isIll: () => !delivers(), again };
};

const drilled = async ({ world, person, signal }: Field): Promise<Begun> => {
  const again = () =>
    person('ssm', 'PutParameter', { Name: '/steward/test/drill', Value: 'broken', Type: 'String', Overwrite: true });
  await again();
  const arn = `arn:aws:ssm:${world.region}:${world.account}:parameter/steward/test/drill`;
  const toldBy = signal('steward.drill', arn);
  const mended = () => world.ssm.parameters.get('/steward/test/drill')?.value === 'mended';
  // No survey would find what an old reading hides.
  return { arn, isWell: mended, isIll: () => !mended() && world.lag.ms === 0, toldBy };
};

/** Only `announce` says how a channel is; Steward cannot mend it, a person does. */
const channelFails = async ({ world, random, person, signal }: Field): Promise<Begun> => {
  const Name = '/steward/test/channel/ops';
  const says = (health: object) =>
    person('ssm', 'PutParameter', { Name, Value: JSON.stringify(health), Type: 'String', Overwrite: true });
  const fails = { failing: world.clock.now(), because: 'Slack says invalid_auth' };
  await says(fails);
  const arn = `arn:aws:ssm:${world.region}:${world.account}:parameter${Name}`;
  const toldBy = signal('channel.failing', arn);
  if (random.chance(0.8))
    world.clock.at(world.clock.now() + minutes(1 + random.integer(40)), () => {
      void says({ fine: world.clock.now() });
      signal('target.changed', arn);
    });
  const value = () => world.ssm.parameters.get(Name)?.value ?? '';
  return {
    arn,
    isWell: () => !value().includes('failing'),
    isIll: () => value().includes('failing') && world.lag.ms === 0,
    toldBy,
  };
};

const agentCutOff = (f: Field): Begun => {
  const { world, random } = f;
  if (!world.ecs.clusters.has('crew')) addService(world, makeCluster(world, 'crew').cluster, 'crew', { desired: 3 });
  const hosts = [...world.ec2.instances.values()].filter((i) => i.tags['aws:autoscaling:groupName'] === 'crew');
  const instance = random.pick(hosts);
  // Until then it has joined its cluster.
  world.clock.at(world.clock.now() + minutes(3), () => {
    if (!isRunning(world, instance.id)) return;
    if (random.chance(0.3)) loseHost(world, instance.id);
    else breakEcsAgent(world, instance.id, random.pick(['hung', 'stopped', 'broken']));
  });
  const since = world.clock.now();
  const isFresh = () => world.clock.now() - since < minutes(7);
  const unit = () => containerInstanceOf(world, instance.id);
  const isCutOff = () => unit()?.connected === false;
  return ofMachine(
    f,
    instance,
    { well: () => !isCutOff(), ill: isCutOff },
    // Of what is gone nothing is left in the cluster.
    { isWell: () => isFresh() || !isRunning(world, instance.id) || (unit()?.status === 'ACTIVE' && !isCutOff()) },
  );
};

type Shop = FurnishedService & { cluster: Cluster };
const SHOPS = new WeakMap<World, Map<string, Shop>>();
/** Its traffic is shifted by ECS. */
const AT_ONCE = { strategy: 'BLUE_GREEN' as const, steps: [{ percent: 100, ms: 0 }], bakeMs: minutes(4) };
const BY_A_TENTH = {
  strategy: 'CANARY' as const,
  steps: [
    { percent: 10, ms: minutes(3) },
    { percent: 100, ms: 0 },
  ],
  bakeMs: minutes(3),
};

const shopOf = ({ world, random }: Field, name: string, image = `${name}:1`): Shop => {
  const shops = SHOPS.get(world) ?? new Map<string, Shop>();
  SHOPS.set(world, shops);
  const known = shops.get(name);
  if (known) return known;
  const { cluster } = makeCluster(world, name);
  const shop = addService(world, cluster, name, {
    desired: 2 + random.integer(3),
    balanced: true,
    image,
    tags: { 'steward:managed': 'true' },
    launchType: random.pick(['EC2', 'FARGATE']),
    circuitBreaker: { enable: name === 'bazaar' && random.chance(0.3), rollback: true },
    logs: { group: '/ecs/web', prefix: name },
    ...(name === 'bazaar' ? { shifting: random.chance(0.5) ? random.pick([AT_ONCE, BY_A_TENTH]) : undefined } : {}),
  });
  const made = { ...shop, cluster };
  shops.set(name, made);
  return made;
};

const serviceFails = (f: Field): Begun => {
  const { world, random, person } = f;
  const mall = shopOf(f, 'mall');
  const { cluster, service, definition } = mall;
  const what = random.pick(['one hangs', 'one hangs', 'one hangs', 'all hang', 'crashes', 'crashes']);
  const hung = new Set<string>();
  const [container] = definition.containers;
  const bad =
    what === 'crashes' && container
      ? registerDefinition(world, { ...definition, containers: [{ ...container, image: 'mall:bad' }] }).arn
      : undefined;
  const image = { exits: { afterMs: 40_000, code: 1 } };
  if (bad !== undefined) setImage(world, 'mall:bad', image);
  // Until then it has come up whole.
  world.clock.at(world.clock.now() + minutes(9), () => {
    if (bad !== undefined) return void deploy(world, service, bad);
    const running = runningTasks(cluster, service);
    const tasks = what === 'all hang' ? running : running.slice(0, 1);
    for (const t of tasks) hung.add(t.id);
    hangTasks(world, mall, tasks);
  });
  const hangs = () => runningTasks(cluster, service).some((t) => hung.has(t.id));
  const crashes = () => {
    const [primary] = service.deployments;
    const now = world.ecs.definitions.get(primary?.definition.split('/').at(-1) ?? '');
    return now?.containers.some((c) => imageOf(world, c.image).exits !== undefined) === true;
  };
  const isIll = () => service.desired > 0 && (hangs() || crashes());
  // Nothing of it has ended yet, which nobody could foresee.
  const isFresh = () => world.clock.now() - (service.deployments[0]?.createdAt ?? 0) < minutes(3);
  return {
    arn: service.arn,
    isWell: () => !isIll() || (isFresh() && !hangs()),
    isIll,
    ...(bad === undefined
      ? {}
      : { again: () => person('ecs', 'UpdateService', { cluster: 'mall', service: 'mall', taskDefinition: bad }) }),
  };
};

/** A service that came up while one zone alone had room; half a quarter of an hour later all have. */
const unevenService = (f: Field): Begun => {
  const { world, random, person } = f;
  const zones = Object.keys(world.zones);
  const home = random.pick(zones);
  const name = `court-${world.ecs.clusters.size}`;
  const fargate = random.chance(0.6);
  const { cluster } = makeCluster(world, name, fargate ? { instances: 0 } : { zones: [home, home], instances: 2 });
  for (const zone of zones) if (zone !== home) world.ecs.fargateLacks.add(zone);
  const { service } = addService(world, cluster, name, {
    desired: 3 + random.integer(6),
    balanced: random.chance(0.5),
    tags: { 'steward:managed': 'true' },
    launchType: fargate ? 'FARGATE' : 'EC2',
    rebalancing: random.chance(0.2),
    ...(!fargate && random.chance(0.5) ? { placement: [{ type: 'binpack', field: 'memory' }] } : {}),
  });
  world.clock.at(world.clock.now() + minutes(8), () => {
    world.ecs.fargateLacks.clear();
    if (fargate) return;
    for (const zone of zones.filter((z) => z !== home))
      registerInstance(world, cluster, makeInstance(world, { running: true, type: 'm6i.large', zone }));
  });
  const most = () => {
    const tasks = runningTasks(cluster, service);
    return Math.max(0, ...zones.map((zone) => tasks.filter((t) => t.zone === zone).length));
  };
  // On hosts only the zones that have one count.
  const usable = () =>
    fargate ? zones.length : new Set([...cluster.instances.values()].flatMap((i) => (i.connected ? i.zone : []))).size;
  const isUneven = () => service.status === 'ACTIVE' && most() > Math.ceil(service.desired / Math.max(1, usable()));
  // While ECS is about its count nobody can say.
  const isIll = () => isUneven() && runningTasks(cluster, service).length === service.desired && service.steady;
  return {
    arn: service.arn,
    isWell: () => !isIll(),
    isIll,
    again: () => person('ecs', 'UpdateService', { cluster: name, service: name, desiredCount: 3 + random.integer(6) }),
  };
};

/** A zone fails: AWS Health says so, ARC shifts traffic away from it, if that comes through, and back. What runs there has room elsewhere, mostly. */
const zoneFails = ({ world, random }: Field): Begun => {
  const zones = Object.keys(world.zones);
  const [zone, id] = random.pick(Object.entries(world.zones));
  const name = `pier-${world.ecs.clusters.size}`;
  const { cluster } = makeCluster(world, name, { zones, instances: random.pick([3, 6]) });
  addService(world, cluster, name, {
    desired: 3 + random.integer(6),
    balanced: random.chance(0.5),
    tags: { 'steward:managed': 'true' },
    ...random.pick([{ rebalancing: true }, { constraints: ['attribute:ecs.os-type == linux'] }, {}]),
  });
  const arc = (detailType: string) =>
    world.events.emit({
      source: 'aws.arc-zonal-shift',
      detailType,
      resources: [],
      detail: { version: '1.0', data: '', metadata: { awayFrom: id, notes: '' } },
    });
  const begins = world.clock.now() + minutes(8);
  const span: { issue?: ReturnType<typeof beginIssue>; shifted?: boolean } = {};
  world.clock.at(begins, () => {
    span.issue = beginIssue(world, { zone });
    span.shifted = true;
    arc('Autoshift In Progress');
  });
  world.clock.at(begins + minutes(10 + random.integer(20)), () => {
    if (span.issue) endIssue(world, span.issue);
    span.shifted = false;
    arc('Autoshift Completed');
  });
  const isIll = () => span.shifted === true;
  return { arn: `arn:aws:steward:${world.region}:${world.account}:zone/${id}`, isWell: () => !isIll(), isIll };
};

/** A group whose instances came up where there was room: in one zone. */
const unevenGroup = (f: Field): Begun => {
  const { world, random, person } = f;
  const zones = Object.keys(world.zones);
  const home = random.pick(zones);
  const name = `api-${world.autoscaling.groups.size}`;
  const tags = {
    'steward:managed': 'true',
    'steward:ignore': 'no alarms of their own',
    'aws:autoscaling:groupName': name,
  };
  for (let n = 3 + random.integer(4); n > 0; n--) makeInstance(world, { running: true, zone: home, tags });
  const group = addGroup(world, name, {
    tags: { 'steward:managed': 'true' },
    hook: random.pick([0, 0, minutes(2)]),
    launchHook: random.pick([0, 0, minutes(2)]),
    suspended: new Set(random.chance(0.8) ? ['AZRebalance'] : []),
  });
  if (random.chance(0.3)) {
    const lacking = random.pick(zones.filter((zone) => zone !== home));
    world.autoscaling.lacks.add(lacking);
    world.clock.at(world.clock.now() + minutes(25), () => world.autoscaling.lacks.delete(lacking));
  }
  const inService = () => [...group.members.values()].filter((m) => m.lifecycle === 'InService');
  const most = () => Math.max(0, ...zones.map((zone) => inService().filter((m) => m.zone === zone).length));
  const isIll = () =>
    group.members.size === group.desired &&
    inService().length === group.desired &&
    most() > Math.ceil(group.desired / zones.length);
  return {
    arn: `arn:aws:autoscaling:${world.region}:${world.account}:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/${name}`,
    isWell: () => !isIll(),
    isIll,
    again: () =>
      person('autoscaling', 'SetDesiredCapacity', { AutoScalingGroupName: name, DesiredCapacity: group.desired + 1 }),
  };
};

/** What a deployment brings: it ends, is unhealthy, cannot be pulled, or is well; and some are migrations. */
const released = (f: Field): Begun => {
  const { world, random, person } = f;
  const shop = shopOf(f, 'bazaar');
  const { service } = shop;
  const image = `bazaar:${world.random.hex(6)}`;
  const ills: Partial<Image>[] = [
    { exits: { afterMs: 20_000 + random.integer(100_000), code: 1 } },
    { healthy: false },
    { missing: 'not found' },
    {},
  ];
  const ill = random.pick(ills);
  const tags = random.chance(0.25) ? { 'steward:migration': 'true' } : {};
  setImage(world, image, ill);
  const { arn } = nextDefinition(world, shop, image, { tags });
  world.clock.at(world.clock.now() + minutes(9), () => void deploy(world, service, arn));
  const isBad = () => {
    const primary = service.deployments.find((d) => d.status === 'PRIMARY');
    return primary?.definition === arn && Object.keys(ill).length > 0;
  };
  return {
    arn: service.arn,
    isWell: () => !isBad(),
    isIll: isBad,
    again: () => person('ecs', 'UpdateService', { cluster: 'bazaar', service: 'bazaar', taskDefinition: arn }),
  };
};

const busyService = (
  { world }: Field,
  service: EcsService,
  until: number,
  scaling: ScalableTarget | undefined,
): Begun => {
  const { desired } = service;
  service.demand = 256 * desired * 0.95;
  world.clock.at(until, () => {
    service.demand = 0;
  });
  const since = world.clock.now();
  // Averages of five minutes, two of them.
  const isFresh = (from: number) => world.clock.now() - from < minutes(16);
  const isEased = () => service.desired > desired;
  const isCalm = () => world.clock.now() > until;
  const isBack = () => (scaling ? scaling.min <= 1 : service.desired <= desired);
  return {
    arn: service.arn,
    isWell: () => isFresh(since) || isFresh(until) || (isCalm() ? isBack() : isEased()),
    isIll: () => !isCalm() && !isFresh(since) && !isEased(),
  };
};

/** A person wants more of a group or a service for a while; in some another one sets the group as he likes meanwhile. */
const wanted = async (f: Field): Promise<Begun> => {
  const { world, random, person, wish } = f;
  const name = `fair${world.autoscaling.groups.size + world.ecs.clusters.size}`;
  const tags = { 'steward:managed': 'true' };
  const isService = random.chance(0.4);
  const size = 2 + random.integer(3);
  const more = size + 1 + random.integer(3);
  const ms = minutes(3 + random.integer(15));
  const until = world.clock.now() + ms;
  let theirs = false;
  if (isService) {
    const { cluster } = makeCluster(world, name, { instances: 0 });
    const { service } = addService(world, cluster, name, { desired: size, tags, launchType: 'FARGATE' });
    const scaling = random.chance(0.5)
      ? scaleService(world, service, { min: 1, max: size + 3, tracks: 50 })
      : undefined;
    // Nobody asks: it is busy for a while.
    if (random.chance(0.3)) return busyService(f, service, until + minutes(10), scaling);
    await wish(service.arn, more, ms);
    const isBack = () => (scaling ? scaling.min <= 1 : service.desired <= size);
    return { arn: service.arn, isWell: () => world.clock.now() < until || isBack(), isIll: () => false };
  }
  const zones = Object.keys(world.zones);
  for (let n = 0; n < size; n++)
    makeInstance(world, {
      running: true,
      type: 'm6i.large',
      zone: zones[n % zones.length] ?? '',
      tags: { 'aws:autoscaling:groupName': name },
    });
  const group = addGroup(world, name, { tags, min: 1, max: random.chance(0.2) ? size : size + 4 });
  const arn = groupArnOf(world, name);
  await wish(arn, more, ms);
  return {
    arn,
    isWell: () => theirs || world.clock.now() < until || group.min <= 1,
    isIll: () => false,
    again: async () => {
      theirs = true;
      await person('autoscaling', 'UpdateAutoScalingGroup', { AutoScalingGroupName: name, MinSize: 2 });
    },
  };
};

const REMOVED = new WeakMap<World, number>();
/** Somebody deletes a service that must be there. */
const serviceDeleted = (f: Field): Begun => {
  const { world, person } = f;
  const { cluster } = shopOf(f, 'kiosk');
  const remove = () => {
    REMOVED.set(world, world.clock.now());
    return person('ecs', 'DeleteService', { cluster: 'kiosk', service: 'kiosk', force: true });
  };
  world.clock.at(world.clock.now() + minutes(9), () => void remove());
  const service = () => cluster.services.get('kiosk');
  return {
    arn: service()?.arn ?? '',
    // Who has just looked has seen it.
    isWell: () => service()?.status === 'ACTIVE' || world.clock.now() - (REMOVED.get(world) ?? 0) < minutes(3),
    isIll: () => service()?.status === 'INACTIVE',
    again: remove,
  };
};

const DEPOT = {
  capacityProviders: ['depot-hosts'],
  settings: [{ name: 'containerInsights' as const, value: 'enabled' }],
};
/** Somebody sets the group of a cluster's hosts to nothing, takes hosts out of the cluster, or deletes it with all that is in it. */
const clusterLost = (f: Field): Begun => {
  const { world, random, person } = f;
  const tags = { 'steward:managed': 'true' };
  if (!world.ecs.clusters.has('depot')) {
    const { cluster } = makeCluster(world, 'depot', { tags });
    cluster.settings = DEPOT;
    addService(world, cluster, 'depot', { desired: 4, cpu: 1024, tags });
  }
  const depot = () => clusterNamed(world, 'depot');
  const open = () => [...depot().instances.values()].filter((i) => i.status === 'ACTIVE');
  const leave = (count: number) =>
    Promise.all(
      open()
        .slice(0, count)
        .map(({ arn }) =>
          person('ecs', 'DeregisterContainerInstance', { cluster: 'depot', containerInstance: arn, force: true }),
        ),
    );
  const way = random.pick(['emptied', 'left', 'some', 'deleted', 'deleted']);
  let since = 0;
  const lose = async () => {
    since = world.clock.now();
    if (way === 'emptied')
      return person('autoscaling', 'UpdateAutoScalingGroup', {
        AutoScalingGroupName: 'depot',
        MinSize: 0,
        DesiredCapacity: 0,
      });
    if (way !== 'deleted') return void (await leave(way === 'some' ? 2 : 3));
    await person('ecs', 'DeleteService', { cluster: 'depot', service: 'depot', force: true });
    world.clock.at(since + minutes(2), () => leave(3).then(() => person('ecs', 'DeleteCluster', { cluster: 'depot' })));
  };
  // It must have been seen whole before.
  world.clock.at(world.clock.now() + minutes(14), () => void lose());
  return {
    arn: depot().arn,
    // Who has just looked has seen it; and where no service is there, nobody needs hosts.
    isWell: () =>
      (depot().status === 'ACTIVE' && (open().length > 0 || depot().services.get('depot')?.status !== 'ACTIVE')) ||
      world.clock.now() - since < minutes(6),
    isIll: () => depot().status === 'INACTIVE',
  };
};

/** Somebody lets strangers into a repository, or does not want its images scanned. */
const exposed = (f: Field): Begun => {
  const { world, random, person } = f;
  const repository =
    world.ecr.repositories.get('shop/web') ??
    makeRepository(world, 'shop/web', { tags: { 'steward:managed': 'true' }, policy: REPOSITORY([BUILD]) });
  const stranger = random.pick([
    { ...BUILD, Principal: '*' },
    { ...BUILD, Principal: { AWS: ['arn:aws:iam::444455556666:root', ...BUILD.Principal.AWS] } },
    { ...BUILD, Principal: '*', Condition: { StringEquals: { 'aws:Referer': 'x' } } },
  ]);
  const policyText = REPOSITORY([BUILD, stranger]);
  const isUnscanned = random.chance(0.3);
  const open = () =>
    isUnscanned
      ? person('ecr', 'PutImageScanningConfiguration', {
          repositoryName: 'shop/web',
          imageScanningConfiguration: { scanOnPush: false },
        })
      : person('ecr', 'SetRepositoryPolicy', { repositoryName: 'shop/web', policyText });
  void open();
  const isIll = () => !repository.scanOnPush || /"\*"|444455556666/.test(repository.policy ?? '');
  return { arn: repository.arn, isWell: () => !isIll(), isIll, again: open };
};
const BUILD = {
  Effect: 'Allow',
  Principal: { AWS: ['arn:aws:iam::111122223333:role/build'] },
  Action: 'ecr:BatchGetImage',
};
const REPOSITORY = (Statement: readonly object[]): string => JSON.stringify({ Version: '2012-10-17', Statement });

/** Somebody deletes the image of a release, or sets a lifecycle policy that will take it. Steward only tells; mostly a person mends it. */
const unkept = (f: Field): Begun => {
  const { world, random, person } = f;
  const image = `${world.account}.dkr.ecr.${world.region}.amazonaws.com/attic:1`;
  const { service } = shopOf(f, 'attic', image);
  const { digest } = imageOf(world, image);
  const repository = world.ecr.repositories.get('attic') ?? makeRepository(world, 'attic');
  push(world, repository, digest, '1');
  const lifecycle = (countNumber: number) =>
    person('ecr', 'PutLifecyclePolicy', {
      repositoryName: 'attic',
      lifecyclePolicyText: JSON.stringify({
        rules: [
          {
            rulePriority: 1,
            selection: { tagStatus: 'any', countType: 'imageCountMoreThan', countNumber },
            action: { type: 'expire' },
          },
        ],
      }),
    });
  const isDeleted = random.chance(0.5);
  const lose = () => {
    if (isDeleted)
      return person('ecr', 'BatchDeleteImage', { repositoryName: 'attic', imageIds: [{ imageDigest: digest }] });
    push(world, repository, digestOf('nightly'), 'nightly');
    return lifecycle(1);
  };
  const begins = world.clock.now() + minutes(12);
  world.clock.at(begins, () => void lose());
  if (random.chance(0.6))
    world.clock.at(begins + minutes(5 + random.integer(90)), () => {
      push(world, repository, digest, '1');
      void lifecycle(50);
    });
  const isIll = () =>
    !repository.images.some((i) => i.digest === digest) || /"countNumber":1\}/.test(repository.lifecycle ?? '');
  return { arn: service.arn, isWell: () => !isIll(), isIll, again: lose };
};

/** Requests of a few flood a web ACL for a while; now and then somebody sets another limit meanwhile. */
const flooded = (f: Field): Begun => {
  const { world, random, person } = f;
  const known = [...world.waf.acls.values()].find((a) => a.saved.Name === 'arcade');
  const acl = known ?? makeWebAcl(world, 'arcade', ARCADE(world));
  if (!known) {
    cameIn(world, acl, 'per-address', 12, { under: 2_000, over: 0 });
    comeIn(world, acl, 'per-address', 4_000, () => ({ under: 2_000, over: isFlooded(world) ? 8_000 : 0 }));
  }
  const flood = () => FLOODS.set(world, world.clock.now() + minutes(20 + random.integer(40)));
  flood();
  if (random.chance(0.3))
    world.clock.at(world.clock.now() + minutes(10 + random.integer(40)), () => {
      const { saved, lock: LockToken } = acl;
      const {
        ARN: _arn,
        Capacity: _capacity,
        LabelNamespace: _label,
        ManagedByFirewallManager: _managed,
        ...own
      } = saved;
      const Rules = saved.Rules?.map((r) =>
        r.Name === 'per-address' ? { ...r, Statement: rateStatement(3_000 + random.integer(1_000)) } : r,
      );
      void person('wafv2', 'UpdateWebACL', { ...own, Rules, Scope: 'REGIONAL', LockToken });
    });
  const rule = () => acl.saved.Rules?.find((r) => r.Name === 'per-address');
  const isOthers = () => JSON.stringify(rule()?.Statement) !== JSON.stringify(rateStatement(2_000));
  return {
    arn: acl.saved.ARN ?? '',
    isWell: () => !isFlooded(world) && (rule()?.Action?.Count !== undefined || isOthers()),
    isIll: () => isFlooded(world) && rule()?.Action?.Count !== undefined,
    again: async () => void flood(),
  };
};
/** Until when. */
const FLOODS = new WeakMap<World, number>();
const isFlooded = (world: World): boolean => world.clock.now() < (FLOODS.get(world) ?? 0);
const rateStatement = (Limit: number) => ({
  RateBasedStatement: { Limit, EvaluationWindowSec: 300, AggregateKeyType: 'IP' as const },
});
const ARCADE = ({ region, account }: World) => ({
  tags: { 'steward:managed': 'true' },
  guards: [`arn:aws:elasticloadbalancing:${region}:${account}:loadbalancer/app/arcade/0123456789abcdef`],
  CustomResponseBodies: { later: { ContentType: 'TEXT_PLAIN' as const, Content: 'Later, please' } },
  TokenDomains: ['example.com'],
  Rules: [
    rateRule('per-address'),
    rateRule('login', {
      Priority: 2,
      Action: { Block: { CustomResponse: { ResponseCode: 429, CustomResponseBodyKey: 'later' } } },
    }),
  ],
});

export const beginnings: Readonly<Record<string, Beginning>> = {
  'full-disk': { begin: fullDisk },
  'instance-impaired': { begin: impaired },
  // Some of them are never restarted, whatever a policy says.
  'memory-exhausted': { settings: { restartable: ['shop', 'postgresql', 'sshd'] }, begin: outOfMemory },
  'cpu-exhausted': {
    settings: { restartable: ['shop', 'postgresql', 'sshd'], costCapUsdPerMonth: 1_000 },
    begin: busy,
  },
  'unwatched-instance': { begin: unwatched },
  'log-agent-silent': { begin: silent },
  'trail-stopped': { policy: { trails: { audit: AUDIT } }, begin: trailStopped },
  'trail-weakened': { begin: trailWeakened },
  'trail-undelivered': { begin: trailUndelivered },
  'log-group-weakened': {
    settings: {
      groups: [
        { match: '/ecs/web', retentionDays: 30, kmsKey: KEY },
        { match: '/ecs/*', retentionDays: 30 },
      ],
    },
    begin: logGroupWeakened,
  },
  'flow-logs-missing': { settings: { destination: { type: 's3', arn: BUCKET } }, begin: flowLogsMissing },
  'ecs-agent-disconnected': { begin: agentCutOff },
  'service-failing': { begin: serviceFails },
  // What ECS does by itself is ECS's.
  'service-uneven-zones': { settings: { native: false, startMinutes: 4 }, begin: unevenService },
  'release-unproven': { begin: released },
  overload: { settings: { costCapUsdPerMonth: 10_000, lowerEveryMinutes: 2 }, begin: wanted },
  'registry-exposed': { begin: exposed },
  'web-flooded': { settings: { rules: ['per-address'], calmMinutes: 15 }, begin: flooded },
  'group-uneven-zones': { settings: { mode: 'act', patienceMinutes: 3 }, begin: unevenGroup },
  'zone-impaired': { settings: { suspectMinutes: 5 }, begin: zoneFails },
  'release-unkept': { begin: unkept },
  'service-gone': { settings: { mustExist: ['kiosk/kiosk'] }, begin: serviceDeleted },
  'cluster-gone': {
    settings: { mustExist: ['depot'], patienceMinutes: 3, costCapUsdPerMonth: 10_000 },
    begin: clusterLost,
  },
  'channel-silent': { begin: channelFails },
  drill: { begin: drilled },
};
