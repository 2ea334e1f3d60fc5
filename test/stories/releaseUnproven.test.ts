/** release-unproven in the world: what is deployed is proven before it is the current release, and what is not well is left for the digests of the last one that was. */
import { DeregisterTaskDefinitionCommand, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import { targetOf } from '../../shared/core/target.ts';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { remediations } from '../../shared/remediations/index.ts';
import { nextDefinition, runningTasks, setImage } from '../../world/clusters.ts';
import { digestOf } from '../../world/ecs.ts';
import { deploy } from '../../world/ecsScheduler.ts';
import { receive } from '../../world/elb.ts';
import { clientsOf } from '../world/clients.ts';
import { CRASH, ended, NAME, on, type Started, started } from './releases.ts';

describe('a release that is well', () => {
  test('is the current one only after its window; the one before it is kept as the previous', async () => {
    const s = await started();
    expect(s.states()).toEqual([['web:1', 'current']]);
    await s.release('web:2');
    await s.run(minutes(2));
    expect(s.states()).toEqual([
      ['web:2', 'unproven'],
      ['web:1', 'current'],
    ]);
    await s.run(minutes(15), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [] });
    const [current] = s.record().list;
    expect(s.states()).toEqual([
      ['web:2', 'current'],
      ['web:1', 'previous'],
    ]);
    expect(current).toMatchObject({
      by: 'steward',
      images: [{ name: 'web', image: 'web:2', digest: digestOf('web:2') }],
    });
    expect(current?.health).toContain('3 of 3 tasks serve');
    const ran = Math.max(...runningTasks(s.cluster, s.service).map((t) => t.startedAt ?? 0));
    expect((current?.decidedAt ?? 0) - ran).toBeGreaterThanOrEqual(seconds(180));
  });

  test('nothing is looked into again once it has passed', async () => {
    const s = await started();
    const before = s.calls('DescribeTasks').length;
    await s.run(hours(2));
    expect(s.calls('DescribeTasks')).toHaveLength(before);
    expect(s.incidents().filter((i) => i.remediation === NAME && i.state !== 'closed')).toEqual([]);
  });

  test('another one is deployed within its window: it was superseded, and is nothing to return to', async () => {
    const s = await started();
    await s.release('web:2');
    await s.run(minutes(2));
    await s.release('web:3', CRASH);
    await s.run(hours(1), ended(s));
    expect(s.states()).toEqual([
      ['web:4', 'current'],
      ['web:3', 'rolled-back'],
      ['web:2', 'superseded'],
      ['web:1', 'previous'],
    ]);
    expect(s.digests()).toEqual([digestOf('web:1')]);
  });

  test('a window of none: as soon as its tasks serve', async () => {
    const s = await started({ policy: on({ windowSeconds: 0 }) });
    await s.release('web:2');
    await s.run(minutes(15), ended(s));
    expect(s.states()[0]).toEqual(['web:2', 'current']);
    const ran = Math.max(...runningTasks(s.cluster, s.service).map((t) => t.startedAt ?? 0));
    expect((s.record().list[0]?.decidedAt ?? 0) - ran).toBeLessThan(seconds(150));
  });

  test('EventBridge is deaf: the survey finds both, the good and the bad', async () => {
    const s = await started({ deaf: true });
    expect(s.states()).toEqual([['web:1', 'current']]);
    await s.release('web:2', CRASH);
    await s.run(hours(1), () => s.states()[0]?.[0] === 'web:3' && s.states()[0]?.[1] === 'current');
    expect(s.digests()).toEqual([digestOf('web:1')]);
  });

  test('without the tag, without tasks, or deployed by CodeDeploy: none of Steward’s business', async () => {
    for (const web of [{ tags: {} }, { desired: 0 }, { controller: 'CODE_DEPLOY' as const }]) {
      const s = await started({ web });
      await s.run(minutes(10));
      expect(s.store.records.has(`releases of ${s.service.arn}`)).toBe(false);
      expect(s.incidents().filter((i) => i.remediation === NAME && i.state !== 'closed')).toEqual([]);
    }
  });
});

describe('a release whose tasks end', () => {
  test('is left for the digests of the one before, and its log lines are kept', async () => {
    const s = await started();
    await s.release('web:2', { ...CRASH, says: ['connecting …', 'panic: no database'] });
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.rungs()).toEqual([
      ['collect', 'effective'],
      ['roll-back', 'effective'],
    ]);
    expect(s.last()?.because).toContain('web:2 is ROLLED_BACK by steward: 3 tasks of it ended by themselves');
    expect(s.states()).toEqual([
      ['web:3', 'current'],
      ['web:2', 'rolled-back'],
      ['web:1', 'previous'],
    ]);
    expect(s.digests()).toEqual([digestOf('web:1')]);
    expect(JSON.stringify(s.last()?.attempts[0]?.receipt)).toContain('panic: no database');
    expect(s.record().list[0]).toMatchObject({ copyOf: s.record().list[2]?.deployment });
    const shown = await s.steward('alice')('release', 'show', 'shop/web', 'web:2');
    expect(shown.out).toContain('panic: no database');
    expect((await s.steward('alice')('why', s.last()?.id ?? '')).out).toContain('panic: no database');
    const { out } = await s.steward('alice')('release', 'list', 'shop/web');
    expect(out).toMatch(/web:3 \(= web:1\) +[0-9a-f]{12} +CURRENT +\d+ \S+ ago +steward +3 of 3 tasks serve/);
    expect(out).toMatch(/web:2 +[0-9a-f]{12} +ROLLED_BACK +.*ended by themselves/);
  });

  test('its tag has moved below one and the same definition: the digest is what is gone back to', async () => {
    const s = await started();
    const good = digestOf('web:1');
    setImage(s.world, 'web:1', { digest: 'sha256:0bad', ...CRASH });
    setImage(s.world, `web@${good}`, { digest: good });
    const again = clientsOf(s.world).ecs.send(
      new UpdateServiceCommand({ cluster: 'shop', service: 'web', forceNewDeployment: true }),
    );
    await s.asked(again);
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.states()).toEqual([
      ['web:2', 'current'],
      ['web:1', 'rolled-back'],
      ['web:1', 'previous'],
    ]);
    expect(s.digests()).toEqual([good]);
  });

  test('a definition that names its digests is deployed as it is: nothing is registered, no role is passed', async () => {
    const image = `web@sha256:${'1'.repeat(64)}`;
    const s = await started({ web: { image } });
    await s.release('web:2', CRASH);
    await s.run(hours(1), ended(s));
    expect(s.states()).toEqual([
      ['web:1', 'current'],
      ['web:2', 'rolled-back'],
      ['web:1', 'previous'],
    ]);
    expect(s.calls('RegisterTaskDefinition')).toEqual([]);
  });

  test('what it goes back to was deregistered, as CloudFormation does: a copy is registered, with its very roles', async () => {
    const role = (name: string) => `arn:aws:iam::111122223333:role/${name}`;
    const roles = { taskRole: role('web'), executionRole: role('pulls') };
    const s = await started({ web: { roles } });
    await s.asked(
      clientsOf(s.world).ecs.send(new DeregisterTaskDefinitionCommand({ taskDefinition: s.definition.arn })),
    );
    await s.release('web:2', CRASH);
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    const [{ input } = { input: {} }] = s.calls('RegisterTaskDefinition');
    expect(input).toMatchObject({ taskRoleArn: roles.taskRole, executionRoleArn: roles.executionRole });
    const passed = s.world.calls.filter((c) => c.action === 'iam:PassRole');
    expect(new Set(passed.map((c) => `${c.operation} ${c.resources[0]} ${c.allowed}`))).toEqual(
      new Set(
        ['RegisterTaskDefinition', 'UpdateService'].flatMap((o) => [
          `${o} ${roles.taskRole} true`,
          `${o} ${roles.executionRole} true`,
        ]),
      ),
    );
  });

  test('a session of an act may pass no other role', async () => {
    const s = await started();
    const found = remediations.find((r) => r.name === NAME);
    if (!found) throw new Error('it is in the list');
    const target = targetOf(s.service.arn);
    const step = {
      do: 'roll-back' as const,
      service: s.service.arn,
      from: s.service.deployments[0]?.id ?? '',
      to: 'x',
      definition: nextDefinition(s.world, s, 'web:1', { taskRole: 'arn:aws:iam::111122223333:role/admin' }).arn,
      pins: { web: `web@${digestOf('web:1')}` },
      roles: ['arn:aws:iam::111122223333:role/web'],
      newer: s.definition.arn,
      by: 'steward',
    };
    const ports = await s.deps.reach(found, target, { phase: 'act', touched: found.touches(step, target) });
    const acted = found.run(step, ports, 'token').then(
      () => 'done',
      (e: Error) => e.name,
    );
    await s.run(minutes(1));
    expect(await acted).toBe('Forbidden');
    expect(s.calls('UpdateService')).toEqual([]);
  });

  test('the first release of all has nothing to return to: a person is told so, and a better one ends it', async () => {
    const s = await started({ settled: false, web: { image: 'web:bad' } });
    setImage(s.world, 'web:bad', CRASH);
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('it is the first release that is known, so there is nothing to return to');
    await s.release('web:2');
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.states()).toEqual([
      ['web:2', 'current'],
      ['web:1', 'failed'],
    ]);
  });

  test('what it went back to ends, too: a person, not round and round', async () => {
    const s = await started();
    setImage(s.world, `web@${digestOf('web:1')}`, { digest: digestOf('web:1'), ...CRASH });
    await s.release('web:2', CRASH);
    await s.run(hours(2), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('it was rolled back once already, and that is not well either');
    await s.run(hours(1));
    expect(s.calls('UpdateService')).toHaveLength(1);
  });

  test('the digests to go back to are gone from the registry: once, and a person is told what ECS says', async () => {
    const s = await started();
    const good = digestOf('web:1');
    setImage(s.world, `web@${good}`, { digest: good, missing: 'manifest unknown' });
    await s.release('web:2', CRASH);
    // Not after the ten minutes that a rung cools down: nobody is served.
    await s.run(minutes(4), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('manifest unknown');
    expect(s.last()?.because).toContain('it was rolled back once already, and that is not well either');
    expect(s.calls('UpdateService')).toHaveLength(1);
  });

  test('a person decides by preset', async () => {
    const s = await started({ policy: on({}, 'cautious') });
    await s.release('web:2', { ...CRASH, says: ['panic'] });
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'asking', attempts: [{ rung: 'collect' }] });
    expect(s.states()[0]).toEqual(['web:2', 'failed']);
    await s.steward('alice')('approve', s.last()?.id ?? '');
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.digests()).toEqual([digestOf('web:1')]);
  });

  test.each([true, false])('a migration is not rolled back without a person (it is what failed: %s)', async (own) => {
    const s = await started();
    const MIGRATION = { tags: { 'steward:migration': 'true' } };
    if (own) await s.release('web:2', CRASH, MIGRATION);
    else {
      await s.release('web:2', {}, MIGRATION);
      await s.run(minutes(2));
      await s.release('web:3', CRASH);
    }
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'asking' });
    expect(s.last()?.because).toContain('marked as a migration');
    expect(s.calls('UpdateService')).toEqual([]);
    await s.steward('alice')('approve', s.last()?.id ?? '');
    await s.run(hours(1), ended(s));
    expect(s.digests()).toEqual([digestOf('web:1')]);
  });

  test('replies are lost, ECS is throttled, reads are late: rolled back once all the same', async () => {
    const s = await started();
    s.world.lag.ms = seconds(10);
    s.world.faults.failNext('ecs', 'UpdateService', { kind: 'drop', afterEffect: true });
    s.world.faults.sometimes({ probability: 0.1, kind: 'throttle', service: 'ecs' });
    setImage(s.world, 'web:2', CRASH);
    await s.run(seconds(1));
    deploy(s.world, s.service, nextDefinition(s.world, s, 'web:2').arn);
    await s.run(hours(2), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(
      s.calls('UpdateService').filter((c) => c.error === undefined || c.error === 'drop').length,
    ).toBeLessThanOrEqual(1);
    expect(s.digests()).toEqual([digestOf('web:1')]);
  });

  test('somebody deploys between the look and the act: theirs stays', async () => {
    let theirs: (() => void) | undefined;
    let calls: Started['world']['calls'] = [];
    const s = await started({
      around: (_what, wait) => {
        const last = calls.at(-1);
        const session = last?.operation === 'AssumeRole' ? JSON.stringify(last.input) : '';
        // The session of the roll-back is there, and nothing was asked with it yet.
        if (session.includes('ecs:RegisterTaskDefinition') && !session.includes('logs:GetLogEvents')) {
          theirs?.();
          theirs = undefined;
        }
        return wait();
      },
    });
    await s.release('web:2', CRASH);
    await s.run(minutes(1));
    const { arn } = nextDefinition(s.world, s, 'web:3');
    calls = s.world.calls;
    theirs = () => void deploy(s.world, s.service, arn);
    await s.run(hours(1), ended(s));
    expect(theirs).toBeUndefined();
    expect(s.service.deployments[0]?.definition).toBe(arn);
    expect(s.states()[0]).toEqual(['web:3', 'current']);
    expect(s.calls('UpdateService')).toEqual([]);
  });

  test('Steward undoes it at a person’s word: the newer definition is deployed again', async () => {
    const s = await started();
    await s.release('web:2', CRASH);
    await s.run(hours(1), ended(s));
    setImage(s.world, 'web:2', { exits: undefined });
    expect(await s.steward('alice')('undo', s.last()?.id ?? '', '--yes')).toMatchObject({ code: 0 });
    await s.run(minutes(1), () => s.states()[0]?.[0] === 'web:2');
    expect(s.service.deployments[0]?.definition).toMatch(/web:2$/);
  });
});

describe('a health endpoint that lies', () => {
  test('tasks and targets are healthy and requests fail: it is not promoted', async () => {
    const s = await started();
    if (!s.targetGroup) throw new Error('it is balanced');
    const bad = () => s.digests().includes(digestOf('web:2'));
    receive(s.world, s.targetGroup, () => ({ requests: 600, failed: bad() ? 240 : 2 }));
    await s.run(minutes(40));
    await s.release('web:2');
    await s.run(hours(1), ended(s));
    expect(s.rungs()?.at(-1)).toEqual(['roll-back', 'effective']);
    expect(s.last()?.because).toMatch(
      /web:2 is ROLLED_BACK by steward: more requests fail than may.*40\.0 % of \d+ requests failed, 0\.3 % before/,
    );
    expect(s.digests()).toEqual([digestOf('web:1')]);
  });

  test('they failed as often before: going back would not help, a person is told', async () => {
    const s = await started();
    if (!s.targetGroup) throw new Error('it is balanced');
    receive(s.world, s.targetGroup, () => ({ requests: 600, failed: 360 }));
    await s.run(minutes(40));
    await s.release('web:2');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('60.0 % of the requests failed before, too: going back would not help');
    expect(s.calls('UpdateService')).toEqual([]);
  });

  test('too few requests tell nothing, and that is said', async () => {
    const s = await started();
    if (!s.targetGroup) throw new Error('it is balanced');
    receive(s.world, s.targetGroup, () => ({ requests: 2, failed: 2 }));
    await s.run(minutes(40));
    await s.release('web:2');
    await s.run(hours(1), ended(s));
    expect(s.record().list[0]).toMatchObject({ state: 'current' });
    expect(s.record().list[0]?.health).toContain('requests, too few to tell by');
  });

  test('a request of its own is answered badly twice: rolled back, and what was answered is kept', async () => {
    const url = 'https://shop.example.com/healthz';
    let status = 200;
    const asked: string[] = [];
    const s = await started({
      policy: on({ requests: { 'shop/web': { url } } }),
      internet: {
        get: async (to) => {
          asked.push(to);
          return { status, ms: 40 };
        },
      },
    });
    expect(s.record().list[0]?.health).toContain('answered 200 in 40 ms');
    await s.release('web:2');
    await s.run(minutes(2));
    status = 503;
    await s.run(minutes(20), () => s.calls('UpdateService').length > 0);
    status = 200;
    await s.run(hours(1), ended(s));
    expect(new Set(asked)).toEqual(new Set([url]));
    expect(s.rungs()?.at(-1)).toEqual(['roll-back', 'effective']);
    const left = s.record().list.find((r) => r.state === 'rolled-back');
    expect(left?.because).toContain(`GET ${url} answered 503 in 40 ms, not 200`);
    expect(left?.probes.filter((one) => !one.ok).length).toBeGreaterThanOrEqual(2);
  });

  test('neither the new tasks nor those it goes back to are healthy: once, and a person is told', async () => {
    const s = await started({ web: { overlooks: true } });
    for (const image of ['web:1', `web@${digestOf('web:1')}`])
      setImage(s.world, image, { digest: digestOf('web:1'), healthy: false });
    await s.run(minutes(5));
    await s.release('web:2', { healthy: false });
    await s.run(hours(2), s.over);
    expect([...s.calls('UpdateService'), ...s.calls('StopServiceDeployment')]).toHaveLength(1);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('it was rolled back once already');
  });
});

describe('what ECS does by itself', () => {
  const BREAKER = { circuitBreaker: { enable: true, rollback: true } };

  test('its circuit breaker counts, and goes back: Steward writes down that it did', async () => {
    const s = await started({ web: BREAKER });
    await s.release('web:2', { missing: 'not found' });
    await s.run(hours(1), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.calls('UpdateService')).toEqual([]);
    expect(s.states()).toEqual([
      ['web:1', 'current'],
      ['web:2', 'rolled-back'],
    ]);
    expect(s.record().list[1]).toMatchObject({ by: 'ECS' });
  });

  test('it counts no task that ran: then it is Steward’s, and that is said', async () => {
    const s = await started({ web: BREAKER });
    await s.release('web:2', { exits: { afterMs: seconds(15), code: 1 } });
    await s.run(hours(1), ended(s));
    expect(s.rungs()?.at(-1)).toEqual(['roll-back', 'effective']);
    expect(s.last()?.attempts.at(-1)?.because).toContain('ECS’s own circuit breaker counts none of this');
  });

  const alarmed = async () => {
    const s = await started({ web: { alarms: { names: ['errors'], rollback: true } }, settled: false });
    const like = [...s.world.cloudwatch.alarms.values()][0];
    if (!like) throw new Error('the fleet has alarms');
    const set = (value: 'OK' | 'ALARM' | 'INSUFFICIENT_DATA') =>
      s.world.cloudwatch.alarms.set('errors', {
        ...like,
        name: 'errors',
        dimensions: { Nobody: 'publishes it' },
        missing: 'ignore',
        actionsEnabled: false,
        state: { value, reason: '', reasonData: undefined, at: s.clock.now() },
      });
    set('OK');
    await s.run(minutes(15));
    return { ...s, set };
  };

  test('its alarm fires while it deploys: ECS goes back', async () => {
    const s = await alarmed();
    await s.release('web:2');
    await s.run(seconds(70));
    s.set('ALARM');
    await s.run(hours(1), () => s.states()[1]?.[1] === 'rolled-back');
    expect(s.calls('UpdateService')).toEqual([]);
    expect(s.record().list[1]).toMatchObject({ by: 'ECS' });
  });

  test('an alarm without data cannot tell: that is said of the release', async () => {
    const s = await alarmed();
    s.set('INSUFFICIENT_DATA');
    await s.release('web:2');
    await s.run(hours(1), ended(s));
    expect(s.record().list[0]).toMatchObject({ state: 'current' });
    expect(s.record().list[0]?.health).toContain('the alarm errors has no data, so it cannot tell');
  });

  test('it was in ALARM before, so ECS does not heed it: not promoted, and not for going back', async () => {
    const s = await alarmed();
    s.set('ALARM');
    await s.run(minutes(1));
    await s.release('web:2');
    await s.run(hours(1), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated' });
    expect(s.last()?.because).toContain('it was so before it was deployed');
    expect(s.states()[0]).toEqual(['web:2', 'failed']);
  });
});

describe('what a person says', () => {
  test('promote: what did not pass is the current release by their word', async () => {
    const s = await started({ policy: on({}, 'cautious') });
    await s.release('web:2', CRASH);
    await s.run(hours(1), s.over);
    setImage(s.world, 'web:2', { exits: undefined });
    const said = await s.steward('alice')('release', 'promote', 'shop/web', '--because', 'the database is back');
    expect(said).toMatchObject({ code: 0 });
    await s.run(minutes(2), ended(s));
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.record().list[0]).toMatchObject({
      state: 'current',
      by: expect.stringContaining('alice'),
      because: 'the database is back',
    });
    expect(await s.steward('alice')('release', 'promote', 'shop/web', '--because', 'again')).toMatchObject({ code: 3 });
  });

  test('rollback: whoever asked cannot approve it where the policy asks; another person can', async () => {
    const s = await started({ policy: on({}, 'cautious') });
    await s.release('web:2');
    await s.run(minutes(20), ended(s));
    const rollback = s.steward('alice')(
      'release',
      'rollback',
      'shop/web',
      '--because',
      'the checkout is slow',
      '--yes',
    );
    expect(await rollback).toMatchObject({ code: 0 });
    await s.run(minutes(2), () => s.last()?.state === 'asking');
    const id = s.last()?.id ?? '';
    expect(await s.steward('alice')('approve', id)).toMatchObject({ code: 3 });
    expect(await s.steward('bob')('approve', id)).toMatchObject({ code: 0 });
    await s.run(hours(1), ended(s));
    expect(s.states()).toEqual([
      ['web:3', 'current'],
      ['web:2', 'rolled-back'],
      ['web:1', 'previous'],
    ]);
    expect(s.record().list[1]).toMatchObject({ by: expect.stringContaining('alice') });
    expect(s.record().wanted).toBeUndefined();
  });

  test('rollback --to, by a policy that acts; what is not there is refused', async () => {
    const s = await started();
    for (const image of ['web:2', 'web:3']) {
      await s.release(image);
      await s.run(minutes(20), ended(s));
    }
    const rollback = (...to: string[]) =>
      s.steward('alice')('release', 'rollback', 'shop/web', '--because', 'x', '--yes', ...to);
    expect(await rollback('--to', 'web:9')).toMatchObject({ code: 3 });
    expect(await rollback('--to', 'web:3')).toMatchObject({ code: 3 });
    expect(await rollback('--to', 'web:1')).toMatchObject({ code: 0 });
    await s.run(hours(1), () => s.states()[0]?.[0] === 'web:4' && s.states()[0]?.[1] === 'current');
    expect(s.digests()).toEqual([digestOf('web:1')]);
  });

  test('of a service without a record there is nothing to show', async () => {
    const s = await started();
    expect(await s.steward('alice')('release', 'list', 'shop/api')).toMatchObject({ code: 4 });
    expect(await s.steward('alice')('release', 'list', 'shop')).toMatchObject({ code: 2 });
    expect(await s.steward('alice')('release', 'rollback', 'shop/web', '--because', 'x', '--yes')).toMatchObject({
      code: 3,
    });
  });
});
