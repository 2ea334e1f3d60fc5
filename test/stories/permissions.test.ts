/** Each remediation calls what it declares, all of it and nothing else, on its own target only. IAM's verdicts are those of a policy engine. */
import { UpdateAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import {
  DeleteTrailCommand,
  PutEventSelectorsCommand,
  StopLoggingCommand,
  UpdateTrailCommand,
} from '@aws-sdk/client-cloudtrail';
import { DeleteClusterCommand, DeleteServiceCommand, DeregisterContainerInstanceCommand } from '@aws-sdk/client-ecs';
import { ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import { DeleteBucketPolicyCommand } from '@aws-sdk/client-s3';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { signalMessage } from '../../events/steward/signal.ts';
import { instanceTarget, targetOf } from '../../shared/core/target.ts';
import { minutes } from '../../shared/core/time.ts';
import { remediations } from '../../shared/remediations/index.ts';
import { addGroup, interruptSpot } from '../../world/autoscaling.ts';
import { addTrail } from '../../world/cloudtrail.ts';
import {
  addService,
  breakEcsAgent,
  hangTasks,
  loseHost,
  makeCluster,
  nextDefinition,
  runningTasks,
  setImage,
} from '../../world/clusters.ts';
import { makeRepository, push } from '../../world/ecr.ts';
import { imageOf } from '../../world/ecs.ts';
import { deploy } from '../../world/ecsScheduler.ts';
import { containerExits } from '../../world/ecsTasks.ts';
import { registerDefinition } from '../../world/ecsWorkloads.ts';
import { makeTargetGroup, registerTarget } from '../../world/elb.ts';
import { breakDisk, breakLoad, hostOf } from '../../world/fleet.ts';
import { makeVpc } from '../../world/flowLogs.ts';
import { impair, makeInstance } from '../../world/instances.ts';
import { addKey } from '../../world/kms.ts';
import { makeLogGroup } from '../../world/logs.ts';
import { addBucket } from '../../world/s3.ts';
import { scaleService } from '../../world/serviceScaling.ts';
import { disableIo, loseVolume } from '../../world/volumeTroubles.ts';
import { cameIn, comeIn, makeWebAcl, rateRule } from '../../world/waf.ts';
import { createDesk } from '../cli/desk.ts';
import { sample } from '../events/samples.ts';
import { clientsOf } from '../world/clients.ts';
import { type Account, createAccount } from './account.ts';

const GiB = 2 ** 30;
const STEPS = minutes(60);

/** Calls made under the role of a remediation. */
const callsAs = ({ world }: Account, remediation: string) =>
  world.calls.filter((c) => c.principal.includes(`/steward-test-remedy-${remediation}/`));

/** A trail for each way to lose one. */
const loseTrails = async ({ world, run }: Account): Promise<void> => {
  const { cloudtrail } = clientsOf(world);
  for (const name of ['stopped', 'deleted', 'changed', 'selected']) addTrail(world, name, { bucket: 'declared' });
  const EventSelectors = [{ IncludeManagementEvents: false, ReadWriteType: 'All' as const }];
  const calls = Promise.all([
    cloudtrail.send(new StopLoggingCommand({ Name: 'stopped' })),
    cloudtrail.send(new DeleteTrailCommand({ Name: 'deleted' })),
    cloudtrail.send(new UpdateTrailCommand({ Name: 'changed', EnableLogFileValidation: false })),
    cloudtrail.send(new PutEventSelectorsCommand({ TrailName: 'selected', EventSelectors })),
  ]);
  await run(minutes(1));
  await calls;
};

/** Of one the key will be deleted, and of another the bucket has no policy any more. */
const shutTrails = async ({ world, run }: Account): Promise<void> => {
  const { kms, s3 } = clientsOf(world);
  const key = addKey(world);
  addBucket(world, 'declared-logs', { policy: '{"Version":"2012-10-17","Statement":[]}' });
  addTrail(world, 'shut', { bucket: 'declared-logs', kmsKey: key.arn });
  const calls = Promise.all([
    kms.send(new ScheduleKeyDeletionCommand({ KeyId: key.arn })),
    s3.send(new DeleteBucketPolicyCommand({ Bucket: 'declared-logs' })),
  ]);
  await run(minutes(1));
  await calls;
};

const MANAGED = { 'steward:managed': 'true' };
/** What the remediations that put something back need to be told. */
const DECLARED = {
  remediations: {
    'log-group-weakened': {
      groups: [
        {
          // It is not there: it is created.
          match: '/ecs/web',
          retentionDays: 30,
          kmsKey: 'arn:aws:kms:eu-central-1:111122223333:key/3c8f1f7e-0d5b-4a57-8a3e-5a0c5f9b7d11',
          subscription: {
            name: 'archive',
            destination: 'arn:aws:logs:eu-central-1:444455556666:destination:archive',
            role: 'arn:aws:iam::111122223333:role/logs-to-archive',
          },
        },
        { match: '/ecs/*', retentionDays: 30 },
      ],
    },
  },
};

/** A key of the customer's: EC2 asks for a grant on it in the name of whoever starts an instance. */
const customerKey = ({ region, account }: Account['world']): string =>
  `arn:aws:kms:${region}:${account}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;

/** On crowded hosts: one that stands alone, and a member whose group is not busy. And a member that leaks, and thrashes. */
const crowd = ({ world, fleet }: Account) => {
  const crowded = makeInstance(world, { running: true, type: 'm6i.large', tags: MANAGED }).id;
  const [stolen, thrashing] = [fleet.web[1]?.id ?? '', fleet.web[3]?.id ?? ''];
  for (const id of [crowded, stolen]) {
    hostOf(world, id).stealPercent = 85;
    breakLoad(world, id, { name: 'app.service', cpuPercent: 14 });
  }
  breakLoad(world, thrashing, { name: 'heap.service', mib: 6_700, mibPerMinute: 10 });
  hostOf(world, thrashing).stallPercent = 40;
  return { crowded, stolen, thrashing };
};

/** One volume is lost, of another AWS disables the I/O. */
const breakVolumes = ({ world }: Account): void => {
  const ids = [0, 1].map(() => makeInstance(world, { running: true, type: 'm6i.large', tags: MANAGED }).id);
  const [lost = '', off = ''] = ids.map(
    (id) => [...world.ec2.volumes.values()].find((v) => v.attachment?.instanceId === id)?.id ?? '',
  );
  loseVolume(world, lost);
  disableIo(world, off);
};

/** A burstable one without credits, and a group that is busy but for one, on which something runs away. */
const wear = ({ world, fleet }: Account) => {
  const burst = makeInstance(world, { running: true, type: 't3.medium', tags: { 'steward:managed': 'true' } });
  burst.creditBalance = 1;
  const spinning = fleet.workers[2]?.id ?? '';
  for (const { id } of fleet.workers) breakLoad(world, id, { name: 'jobs.service', cpuPercent: 92 });
  breakLoad(world, spinning, { name: 'jobs.service', cpuPercent: 1 });
  breakLoad(world, spinning, { name: 'spin.service', cpuPercent: 89 });
  return { burst: burst.id, spinning };
};

/** One account in which every remediation climbs its whole ladder, over AWS's wire. */
const workedThrough = async (): Promise<Account> => {
  const account = createAccount({
    wire: true,
    policy: {
      preset: 'automatic',
      // Many are broken on purpose.
      breaker: { atLeast: 100 },
      trails: {
        deleted: { bucket: 'declared' },
        shut: { bucket: 'declared-logs', restoreBucketPolicy: true },
      },
      remediations: {
        'unwatched-instance': { mode: 'act' },
        'instance-impaired': { mode: 'act', enableVolumeIo: true },
        'memory-exhausted': { mode: 'act', restartable: ['shop'] },
        'cpu-exhausted': { mode: 'act', restartable: ['spin'], costCapUsdPerMonth: 1_000 },
        ...DECLARED.remediations,
      },
    },
  });
  makeLogGroup(account.world, { name: '/ecs/api', retention: 1, tags: MANAGED });
  await account.run(minutes(4));
  const [web, , worker] = [account.fleet.web[0]?.id ?? '', 0, account.fleet.workers[0]?.id ?? ''];
  breakDisk(account.world, web, { path: '/srv', usedPercent: 93, cleanableBytes: GiB });
  breakDisk(account.world, worker, { path: '/scratch', usedPercent: 95 });
  const [other, dead] = [account.fleet.database.id, account.fleet.web[2]?.id ?? ''];
  impair(account.world, other, { instance: true }, 'restart');
  impair(account.world, dead, { system: true, instance: true }, 'nothing');
  const small = makeInstance(account.world, { running: true, type: 'c6i.large', tags: { 'steward:managed': 'true' } });
  const { crowded, stolen, thrashing } = crowd(account);
  for (const v of account.world.ec2.volumes.values())
    if ([other, small.id, crowded].includes(v.attachment?.instanceId ?? '')) v.key = customerKey(account.world);
  breakLoad(account.world, small.id, { name: 'api.service', mib: 3_000 });
  const leaking = account.fleet.workers[1]?.id ?? '';
  breakLoad(account.world, leaking, { name: 'shop.service', mib: 2_800, mibPerMinute: 10 });
  for (const id of [small.id, leaking, thrashing])
    account.deliver(
      signalMessage({
        kind: 'memory.low',
        target: instanceTarget(account.world, id),
        at: account.clock.now(),
        cause: 'memory',
        eventId: `memory-${id}`,
      }),
    );
  breakVolumes(account);
  const { burst, spinning } = wear(account);
  await account.run(minutes(6));
  for (const id of [burst, crowded, stolen, spinning, account.fleet.workers[3]?.id ?? ''])
    account.deliver(
      signalMessage({
        kind: 'cpu.high',
        target: instanceTarget(account.world, id),
        at: account.clock.now(),
        cause: 'cpu',
        eventId: `cpu-${id}`,
      }),
    );
  const mute = account.fleet.workers[4]?.id ?? '';
  const host = hostOf(account.world, mute);
  host.publishes = false;
  host.cloudwatch.installed = false;
  await account.run(minutes(6));
  account.deliver(
    signalMessage({
      kind: 'log-agent.silent',
      target: instanceTarget(account.world, mute),
      at: account.clock.now(),
      cause: 'silent',
      eventId: 'mute-1',
    }),
  );
  const stray = `steward/test/${account.fleet.database.id}/left over`;
  const [like] = account.world.cloudwatch.alarms.values();
  if (like) account.world.cloudwatch.alarms.set(stray, { ...like, name: stray });
  account.deliver(
    signalMessage({
      kind: 'instance.unwatched',
      target: instanceTarget(account.world, account.fleet.database.id),
      at: account.clock.now(),
      cause: 'it is looked over',
      eventId: 'watch-1',
    }),
  );
  await loseTrails(account);
  await shutTrails(account);
  const drill = `arn:aws:ssm:${account.world.region}:${account.world.account}:parameter/steward/test/drill`;
  await clientsOf(account.world).ssm.send(
    new PutParameterCommand({ Name: '/steward/test/drill', Value: 'broken', Type: 'String' }),
  );
  account.deliver(
    signalMessage({
      kind: 'steward.drill',
      target: targetOf(drill),
      at: account.clock.now(),
      cause: 'a drill',
      eventId: 'drill-1',
    }),
  );
  const silent = `arn:aws:ssm:${account.world.region}:${account.world.account}:parameter/steward/test/channel/ops`;
  await clientsOf(account.world).ssm.send(
    new PutParameterCommand({ Name: '/steward/test/channel/ops', Value: '{"failing":1}', Type: 'String' }),
  );
  account.deliver(
    signalMessage({
      kind: 'channel.failing',
      target: targetOf(silent),
      at: account.clock.now(),
      cause: 'a channel fails',
      eventId: 'channel-1',
    }),
  );
  await account.run(STEPS);
  expect(account.incidents().map((i) => [i.remediation, i.end])).toEqual(
    expect.arrayContaining([
      ['full-disk', 'healthy'],
      ['drill', 'healthy'],
      ['instance-impaired', 'healthy'],
      ['unwatched-instance', 'healthy'],
      ['log-agent-silent', 'healthy'],
      ['memory-exhausted', 'healthy'],
      ['cpu-exhausted', 'healthy'],
      ['trail-stopped', 'healthy'],
      ['trail-weakened', 'healthy'],
      ['trail-undelivered', 'healthy'],
      ['log-group-weakened', 'healthy'],
    ]),
  );
  return account;
};

/** AWS asks for these too when a call says so: CreateTrail with tags. */
const ALONG: Readonly<Record<string, readonly string[]>> = { 'cloudtrail:CreateTrail': ['cloudtrail:AddTags'] };
/** A flow log of each type, created and put back: an account declares one destination. */
const flowLogsWorkedThrough = (): Promise<Account[]> =>
  Promise.all(
    [
      { type: 's3', arn: 'arn:aws:s3:::example-flow-logs' },
      {
        type: 'cloud-watch-logs',
        arn: 'arn:aws:logs:eu-central-1:111122223333:log-group:/vpc/flow',
        role: 'arn:aws:iam::111122223333:role/flow-logs',
      },
    ].map(async (destination) => {
      const desk = createDesk({ policy: { remediations: { 'flow-logs-missing': { destination } } } });
      const { account } = desk;
      const { id } = makeVpc(account.world, { tags: MANAGED });
      await account.run(minutes(10), () => account.incidentOf(id)?.state === 'closed');
      await desk.steward('alice')('undo', account.incidentOf(id)?.id ?? '');
      await account.run(minutes(1));
      expect(account.incidentOf(id)).toMatchObject({ end: 'undone' });
      return account;
    }),
  );

/** A hung agent, and a dead host behind a load balancer. */
const containersWorkedThrough = async (): Promise<Account> => {
  const policy = {
    preset: 'automatic',
    remediations: { 'instance-impaired': { mode: 'off' }, 'ecs-agent-disconnected': { mode: 'act' } },
  };
  const account = createAccount({ policy });
  const { cluster, hosts } = makeCluster(account.world, 'shop', { instances: 6 });
  addService(account.world, cluster, 'web', { balanced: true, grace: minutes(120) });
  await account.run(minutes(4));
  const [hung, dead] = [hosts[0]?.id ?? '', hosts[1]?.id ?? ''];
  breakEcsAgent(account.world, hung, 'hung');
  loseHost(account.world, dead);
  const over = (id: string) => account.incidentOf(id)?.state === 'closed';
  await account.run(STEPS, () => over(hung) && over(dead));
  expect([hung, dead].map((id) => account.incidentOf(id)?.end)).toEqual(['healthy', 'healthy']);
  return account;
};

/** Three services: a task hangs, a host spoils what runs on it, a revision crashes. */
const servicesWorkedThrough = async (): Promise<Account> => {
  const remedies = { 'service-failing': { rollBack: true }, 'service-uneven-zones': { mode: 'off' } };
  const desk = createDesk({ policy: { preset: 'automatic', remediations: remedies } });
  const { account } = desk;
  const { world, run } = account;
  const made = ['hangs', 'spoils', 'crashes'].map((name) => {
    const { cluster } = makeCluster(world, name);
    return { cluster, ...addService(world, cluster, name, { balanced: true, tags: MANAGED }) };
  });
  await run(minutes(15));
  const [hangs, spoils, crashes] = made;
  if (!hangs || !spoils || !crashes) throw new Error('there are three');
  hangTasks(world, hangs, runningTasks(hangs.cluster, hangs.service).slice(0, 1));
  setImage(world, 'crashes:2', { exits: { afterMs: 40_000, code: 1 } });
  const [container] = crashes.definition.containers;
  if (!container) throw new Error('it has a container');
  const next = registerDefinition(world, {
    ...crashes.definition,
    containers: [{ ...container, image: 'crashes:2' }],
  });
  deploy(world, crashes.service, next.arn);
  const own = runningTasks(spoils.cluster, spoils.service)[0]?.containerInstance;
  for (let n = 0; n < 4; n++) {
    for (const t of runningTasks(spoils.cluster, spoils.service))
      if (t.containerInstance === own) containerExits(world, t, 'spoils', 1);
    await run(minutes(2));
  }
  const asking = () => account.incidentOf('service/spoils/spoils');
  await run(STEPS, () => asking()?.state === 'asking');
  await desk.steward('alice')('approve', asking()?.id ?? '');
  const names = ['hangs', 'spoils', 'crashes'];
  const of = (name: string) => account.incidentOf(`service/${name}/${name}`);
  await run(STEPS, () => names.every((n) => of(n)?.state === 'closed'));
  expect(names.map((n) => [of(n)?.end, of(n)?.attempts.map((a) => [a.rung.split(' ')[0], a.effect])])).toEqual([
    ['healthy', [['stop', 'effective']]],
    ['healthy', [['drain', 'effective']]],
    ['healthy', [['roll-back', 'effective']]],
  ]);
  account.deliver(
    signalMessage({
      kind: 'load-balancer.unhealthy-hosts',
      target: targetOf(hangs.targetGroup?.arn ?? ''),
      at: account.clock.now(),
      cause: 'an alarm',
      eventId: 'unhealthy-1',
    }),
  );
  await run(minutes(1));
  return account;
};

/** A service whose tasks are all in one zone: it needs hosts elsewhere, and tasks that are moved. And a group of instances. */
const zonesWorkedThrough = async (): Promise<Account> => {
  const settings = { costCapUsdPerMonth: 1_000 };
  const remedies = {
    'service-uneven-zones': settings,
    'group-uneven-zones': { mode: 'act' },
    'zone-impaired': { latencyOf: ['app/web/50dc6c495c0c9188'] },
  };
  const desk = createDesk({ policy: { preset: 'automatic', remediations: remedies } });
  const { account } = desk;
  const { world, run } = account;
  const [zone = ''] = Object.keys(world.zones);
  for (let n = 0; n < 3; n++)
    makeInstance(world, { running: true, zone, tags: { ...MANAGED, 'aws:autoscaling:groupName': 'api' } });
  const targetGroup = makeTargetGroup(world, 'api');
  const api = addGroup(world, 'api', { tags: MANAGED, targetGroups: [targetGroup.arn] });
  const join = () => {
    for (const [id, m] of api.members)
      if (m.lifecycle === 'InService' && !targetGroup.targets.has(`${id}:80`))
        registerTarget(world, targetGroup, { id, port: 80, zone: m.zone });
    return account.incidentOf('autoScalingGroupName/api')?.state === 'closed';
  };
  join();
  const { cluster } = makeCluster(world, 'packed', {
    zones: [zone, zone, zone, zone],
    instances: 4,
    group: { tags: MANAGED },
  });
  // Whoever hears no answer looks for what was launched.
  world.faults.failNext('autoscaling', 'LaunchInstances', { kind: 'drop', afterEffect: true, times: 3 });
  const placement = [{ type: 'binpack' as const, field: 'memory' }];
  addService(world, cluster, 'packed', { balanced: true, tags: MANAGED, placement });
  const over = () => account.incidentOf('service/packed/packed')?.state === 'closed';
  await run(STEPS, over);
  await run(STEPS, join);
  expect(await desk.steward('alice')('zones')).toMatchObject({ code: 0 });
  for (const id of ['service/packed/packed', 'autoScalingGroupName/api'])
    expect(account.incidentOf(id)).toMatchObject({ end: 'healthy' });
  const { source, 'detail-type': detailType, resources, detail } = sample('zonal-autoshift/begun');
  const [awayFrom] = Object.values(world.zones);
  world.events.emit({ source, detailType, resources, detail: { ...detail, metadata: { awayFrom } } });
  await run(minutes(5));
  return account;
};

/** One release that is well, and one that is not, before a load balancer that counts; one that ECS still deploys; then the first service is deleted. */
const releasesWorkedThrough = async (): Promise<Account> => {
  const remedies = { 'release-unproven': {}, 'service-gone': { mustExist: ['shop/web'] } };
  const account = createAccount({ policy: { preset: 'automatic', remediations: remedies } });
  const { world, run } = account;
  makeLogGroup(world, { name: '/ecs/web' });
  const { cluster } = makeCluster(world);
  const made = addService(world, cluster, 'web', {
    balanced: true,
    tags: MANAGED,
    logs: { group: '/ecs/web', prefix: 'web' },
    roles: { taskRole: 'arn:aws:iam::111122223333:role/web' },
    alarms: { names: ['web-errors'], rollback: false },
  });
  await run(minutes(15));
  setImage(world, 'web:2', { exits: { afterMs: 40_000, code: 1 }, says: ['panic'] });
  deploy(world, made.service, nextDefinition(world, made, 'web:2').arn);
  const last = () => account.incidents().findLast((i) => i.remediation === 'release-unproven');
  await run(STEPS, () => last()?.state === 'closed' && last()?.attempts.length === 2);
  expect(last()).toMatchObject({ end: 'healthy' });
  const bakeMs = minutes(30);
  const shifting = { strategy: 'BLUE_GREEN' as const, steps: [{ percent: 100, ms: 0 }], bakeMs };
  const api = addService(world, cluster, 'api', { balanced: true, desired: 1, tags: MANAGED, shifting });
  await run(minutes(15));
  setImage(world, 'api:2', { exits: { afterMs: 40_000, code: 1 } });
  deploy(world, api.service, nextDefinition(world, api, 'api:2').arn);
  await run(STEPS, () => api.service.history[0]?.status === 'ROLLBACK_SUCCESSFUL');
  for (const d of world.ecs.definitions.values()) d.status = 'INACTIVE';
  await Promise.all([
    clientsOf(world).ecs.send(new DeleteServiceCommand({ cluster: 'shop', service: 'web', force: true })),
    run(minutes(1)),
  ]);
  const gone = () => account.incidents().findLast((i) => i.remediation === 'service-gone');
  await run(STEPS, () => gone()?.state === 'closed');
  expect(gone()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'rebuild' }] });
  return account;
};

/** Its group is set to nothing; then the cluster and all in it are deleted, one after the other. */
const clusterWorkedThrough = async (): Promise<Account> => {
  const settings = { mustExist: ['shop'], costCapUsdPerMonth: 1_000 };
  const account = createAccount({ policy: { preset: 'automatic', remediations: { 'cluster-gone': settings } } });
  const { world, run } = account;
  const { ecs, autoscaling } = clientsOf(world);
  const asked = async (call: Promise<unknown>) => {
    await run(minutes(1));
    await call;
  };
  const { cluster } = makeCluster(world);
  addService(world, cluster, 'web', { tags: MANAGED });
  await run(minutes(15));
  const none = { AutoScalingGroupName: 'shop', MinSize: 0, DesiredCapacity: 0 };
  await asked(autoscaling.send(new UpdateAutoScalingGroupCommand(none)));
  const last = () => account.incidents().findLast((i) => i.remediation === 'cluster-gone');
  await run(STEPS, () => last()?.state === 'closed');
  await asked(ecs.send(new DeleteServiceCommand({ cluster: 'shop', service: 'web', force: true })));
  await run(minutes(10));
  for (const { arn } of [...cluster.instances.values()].filter((i) => i.status === 'ACTIVE')) {
    const containerInstance = arn;
    await asked(ecs.send(new DeregisterContainerInstanceCommand({ cluster: 'shop', containerInstance, force: true })));
  }
  await asked(ecs.send(new DeleteClusterCommand({ cluster: 'shop' })));
  await run(STEPS, () => last()?.attempts[0]?.rung === 'create' && last()?.state === 'closed');
  const own = account.incidents().filter((i) => i.remediation === 'cluster-gone' && i.attempts.length > 0);
  expect(own.map((i) => [i.end, i.attempts.map((a) => a.rung)])).toEqual([
    ['healthy', ['hosts shop']],
    ['healthy', ['create', 'refresh shop']],
  ]);
  return account;
};

/** More tasks than there is room for, and more of a group; for a time. */
const scaledThrough = async (): Promise<Account> => {
  const desk = createDesk({ policy: { remediations: { overload: { costCapUsdPerMonth: 10_000 } } } });
  const { account } = desk;
  const { cluster } = makeCluster(account.world, 'shop', { group: { max: 8 } });
  addService(account.world, cluster, 'web', { cpu: 1024, memory: 2048, tags: MANAGED });
  const api = addService(account.world, cluster, 'api', { launchType: 'FARGATE', balanced: true, tags: MANAGED });
  scaleService(account.world, api.service, { min: 1, tracks: 50 });
  await account.run(minutes(15));
  const scale = (what: string, to: string) =>
    desk.steward('alice')('scale', what, '--to', to, '--for', '20m', '--because', 'a test');
  expect(await scale('shop/web', '8')).toMatchObject({ code: 0, err: '' });
  const of = (name: string) => account.incidents().find((i) => i.target.endsWith(name));
  await account.run(STEPS * 3, () => of('shop/web')?.state === 'closed');
  expect(await scale('asg/shop', '6')).toMatchObject({ code: 0, err: '' });
  expect(await scale('shop/api', '4')).toMatchObject({ code: 0, err: '' });
  account.deliver(
    signalMessage({
      kind: 'capacity.short',
      target: targetOf(api.targetGroup?.arn ?? ''),
      at: account.clock.now(),
      cause: 'many requests',
      eventId: 'requests-1',
    }),
  );
  const all = ['shop/web', 'Name/shop', 'shop/api'];
  await account.run(STEPS * 3, () => all.every((n) => of(n)?.state === 'closed'));
  expect(all.map((n) => of(n)?.end)).toEqual(all.map(() => 'healthy'));
  return account;
};

/** A service whose image is in a registry. */
const keptWorkedThrough = async (): Promise<Account> => {
  const remedies = { 'release-unproven': {}, 'release-unkept': {} };
  const account = createAccount({ policy: { preset: 'automatic', remediations: remedies } });
  const { world, run } = account;
  const image = `${world.account}.dkr.ecr.${world.region}.amazonaws.com/web:1`;
  const repository = makeRepository(world, 'web');
  addService(world, makeCluster(world).cluster, 'web', { balanced: true, tags: MANAGED, image });
  push(world, repository, imageOf(world, image).digest);
  await run(minutes(90));
  return account;
};

/** Three repositories: one lets in everyone and nobody else, one a stranger beside others and does not scan, of one the tags move. */
const registryWorkedThrough = async (): Promise<Account> => {
  const remedies = { 'registry-exposed': { immutableTags: true } };
  const account = createAccount({ policy: { preset: 'automatic', remediations: remedies } });
  const { world, run } = account;
  const allow = (AWS: unknown) => ({ Effect: 'Allow', Principal: { AWS }, Action: 'ecr:BatchGetImage' });
  const policy = (AWS: unknown) => JSON.stringify({ Version: '2012-10-17', Statement: [allow(AWS)] });
  makeRepository(world, 'open', { tags: MANAGED, policy: policy('*') });
  const some = ['444455556666', world.account];
  makeRepository(world, 'mixed', { tags: MANAGED, policy: policy(some), scanOnPush: false });
  await run(minutes(20));
  expect([...world.ecr.repositories.values()].map((r) => [r.scanOnPush, r.immutable])).toEqual([
    [true, true],
    [true, true],
  ]);
  return account;
};

/** A flood that ends, of a web ACL whose rules refer to what is saved with them; told by an alarm on its load balancer. */
const floodWorkedThrough = async (): Promise<Account> => {
  const account = createAccount({ policy: { preset: 'automatic', remediations: { 'web-flooded': { rules: ['*'] } } } });
  const { world, run } = account;
  const balancer = `arn:aws:elasticloadbalancing:${world.region}:${world.account}:loadbalancer/app/shop/0123456789abcdef`;
  const office = `arn:aws:wafv2:${world.region}:${world.account}:regional/ipset/office/${world.random.uuid()}`;
  const managed = { VendorName: 'AWS', Name: 'AWSManagedRulesCommonRuleSet' };
  const rules = [
    rateRule('common', {
      Priority: 2,
      Statement: { ManagedRuleGroupStatement: managed },
      OverrideAction: { None: {} },
    }),
    rateRule('office', { Priority: 3, Statement: { IPSetReferenceStatement: { ARN: office } } }),
  ].map(({ Action, ...rule }) => (rule.OverrideAction ? rule : { ...rule, ...(Action ? { Action } : {}) }));
  const Rules = [rateRule('per-address'), ...rules];
  const acl = makeWebAcl(world, 'shop', { tags: MANAGED, guards: [balancer], Rules });
  cameIn(world, acl, 'per-address', 12, { under: 2_000, over: 0 });
  const ends = world.clock.now() + STEPS;
  comeIn(world, acl, 'per-address', 4_000, () => ({ under: 2_000, over: world.clock.now() < ends ? 8_000 : 0 }));
  await run(STEPS / 4);
  const signal = { kind: 'web.flooded' as const, at: world.clock.now(), cause: 'an alarm', eventId: 'flood-1' };
  account.deliver(signalMessage({ ...signal, target: targetOf(balancer) }));
  const last = () => account.incidents().findLast((i) => i.remediation === 'web-flooded');
  await run(STEPS * 3, () => last()?.state === 'closed');
  expect(last()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'block' }, { rung: 'count' }] });
  return account;
};

/** A spot instance that is a container instance and a target. */
const spotWorkedThrough = async (): Promise<Account> => {
  const account = createAccount({ policy: { preset: 'automatic' } });
  const { world } = account;
  const { hosts } = makeCluster(world, 'shop', { spot: true });
  const targetGroup = makeTargetGroup(world, 'shop');
  for (const { id, zone } of hosts) registerTarget(world, targetGroup, { id, port: 80, zone });
  world.autoscaling.groups.get('shop')?.targetGroups.push(targetGroup.arn);
  await account.run(minutes(4));
  interruptSpot(world, hosts[0]?.id ?? '');
  await account.run(minutes(1));
  return account;
};

describe('declared = called', () => {
  let accounts: readonly Account[];
  beforeAll(async () => {
    accounts = [
      await workedThrough(),
      await containersWorkedThrough(),
      await servicesWorkedThrough(),
      await zonesWorkedThrough(),
      await releasesWorkedThrough(),
      await registryWorkedThrough(),
      await floodWorkedThrough(),
      await keptWorkedThrough(),
      await clusterWorkedThrough(),
      await scaledThrough(),
      await spotWorkedThrough(),
      ...(await flowLogsWorkedThrough()),
    ];
  });

  test.each(remediations.map((r) => r.name))('%s', (name) => {
    const declared = new Set(remediations.find((r) => r.name === name)?.permissions.flatMap((p) => p.actions));
    const calls = accounts.flatMap((account) => callsAs(account, name));
    expect(calls.filter((c) => !c.allowed)).toEqual([]);
    expect(new Set(calls.flatMap((c) => [c.action, ...(ALONG[c.action] ?? [])]))).toEqual(declared);
  });

  test('and under its own role, heal asks for nothing but sessions', () => {
    const own = (accounts[0]?.world.calls ?? []).filter((c) => c.principal.endsWith(':user/heal'));
    expect([...new Set(own.map((c) => c.action))]).toEqual(['sts:AssumeRole']);
  });
});

describe('a session reaches its own target only', () => {
  const reached = async (remediation: string, phase: 'look' | 'act') => {
    const account = createAccount();
    const [mine, other] = account.fleet.web;
    if (!mine || !other) throw new Error('the fleet has no web servers');
    const volumeArn = (id: string) => `arn:aws:ec2:${account.world.region}:${account.world.account}:volume/${id}`;
    const target = targetOf(`arn:aws:ec2:${account.world.region}:${account.world.account}:instance/${mine.id}`);
    const found = remediations.find((r) => r.name === remediation);
    if (!found) throw new Error(`no remediation ${remediation}`);
    const volumesOf = (id: string) =>
      [...account.world.ec2.volumes.values()].filter((v) => v.attachment?.instanceId === id);
    const [myVolume, otherVolume] = [volumesOf(mine.id)[0]?.id ?? '', volumesOf(other.id)[0]?.id ?? ''];
    const ports = await account.deps.reach(found, target, {
      phase,
      touched: phase === 'act' ? [volumeArn(myVolume)] : [],
    });
    return { account, ports, mine: mine.id, other: other.id, myVolume, otherVolume };
  };
  /** The world answers when its clock goes on. */
  const outcome = async (account: Account, work: Promise<unknown>): Promise<string> => {
    let said = 'pending';
    work.then(
      () => (said = 'done'),
      (e) => (said = (e as Error).name),
    );
    await account.run(minutes(2), () => said !== 'pending');
    return said;
  };

  test('an act on the volume of another instance is denied', async () => {
    const { account, ports, myVolume, otherVolume } = await reached('full-disk', 'act');
    expect(await outcome(account, ports.volumes.grow(otherVolume, 30))).toBe('Forbidden');
    expect(await outcome(account, ports.volumes.grow(myVolume, 30))).toBe('done');
  });

  test('a command to another instance is denied', async () => {
    const { account, ports, mine, other } = await reached('full-disk', 'act');
    const clean = (id: string) =>
      ports.hosts.start(id, 'clean-disk', { Mount: '/', MinAgeHours: '24', JournalMiB: '512' }, 'token-1');
    expect(await outcome(account, clean(other))).toBe('Forbidden');
    expect(await outcome(account, clean(mine))).toBe('done');
  });

  test('looking cannot change anything, not even its own target', async () => {
    const { account, ports, mine, myVolume } = await reached('full-disk', 'look');
    expect(await outcome(account, ports.volumes.grow(myVolume, 30))).toBe('Forbidden');
    const clean = ports.hosts.start(mine, 'clean-disk', { Mount: '/', MinAgeHours: '24', JournalMiB: '512' }, 't');
    expect(await outcome(account, clean)).toBe('Forbidden');
    expect(
      await outcome(account, ports.hosts.inspect(mine, 'inspect-disk', { Detail: 'usage', MinAgeHours: '24' })),
    ).toBe('done');
  });
});
