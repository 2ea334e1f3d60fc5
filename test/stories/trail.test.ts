/** Somebody turns off, deletes or weakens the trail; in the world, with its delays. Each story ends with what the trail is and what is said of whom. */
import {
  CreateTrailCommand,
  DeleteTrailCommand,
  PutEventSelectorsCommand,
  StartLoggingCommand,
  StopLoggingCommand,
  UpdateTrailCommand,
} from '@aws-sdk/client-cloudtrail';
import { hours, minutes, seconds } from '../../shared/core/time.ts';
import { addTrail, type Trail } from '../../world/cloudtrail.ts';
import { addRole, addUser } from '../../world/iam.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, createAccount } from './account.ts';

const ALL = [{ Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }];

/** An account with one trail, and two people who may do anything to it. */
const withTrail = (options?: AccountOptions, trail?: Partial<Trail>) => {
  const account = createAccount(options);
  const { world } = account;
  addTrail(world, 'audit', trail);
  const person = (name: string) => clientsOf(world, addUser(world, name, ALL)).cloudtrail;
  const [anna, ben] = [person('anna'), person('ben')];
  const of = () => world.cloudtrail.trails.get('audit');
  const incidents = () => account.incidents().filter((i) => i.remediation.startsWith('trail'));
  const last = () => incidents().at(-1);
  let known = 0;
  /** What was done last has come to an end. */
  const over = () => incidents().length > known && (last()?.state === 'closed' || last()?.state === 'escalated');
  /** The world answers when its clock goes on. */
  const does = async (call: Promise<unknown>): Promise<void> => {
    let done = false;
    known = incidents().length;
    call.finally(() => (done = true));
    await account.run(seconds(10), () => done);
    await call;
  };
  const words = () =>
    last()
      ?.log.map((l) => l.say)
      .join('\n') ?? '';
  return { ...account, anna, ben, trail: of, incidents, last, over, does, words };
};
const stop = new StopLoggingCommand({ Name: 'audit' });

describe('a trail that is stopped', () => {
  test('records again within seconds, and says who stopped it', async () => {
    const s = withTrail();
    await s.does(s.anna.send(stop));
    const stopped = s.clock.now();
    await s.run(minutes(5), () => s.trail()?.logging === true);
    expect(s.clock.now() - stopped).toBeLessThan(seconds(15));
    await s.run(minutes(5), s.over);
    expect(s.last()).toMatchObject({
      remediation: 'trail-stopped',
      end: 'healthy',
      attempts: [{ rung: 'start', effect: 'effective' }],
    });
    expect(s.words()).toMatch(/records nothing \(changed by arn:aws:iam::\d+:user\/anna\)/);
  });

  test('by the role that the policy trusts stays stopped', async () => {
    const s = withTrail({ policy: { trusted: ['arn:aws:iam::*:role/terraform'] } });
    const role = addRole(s.world, 'terraform', ALL);
    const session = { ...addUser(s.world, 'ci', ALL) };
    const { AssumeRoleCommand } = await import('@aws-sdk/client-sts');
    const assumed = clientsOf(s.world, session).sts.send(
      new AssumeRoleCommand({ RoleArn: role.arn, RoleSessionName: 'run-7' }),
    );
    await s.does(assumed);
    const { Credentials: c } = await assumed;
    const terraform = clientsOf(s.world, {
      accessKeyId: c?.AccessKeyId ?? '',
      secretAccessKey: c?.SecretAccessKey ?? '',
      sessionToken: c?.SessionToken ?? '',
    }).cloudtrail;
    await s.does(terraform.send(stop));
    await s.run(minutes(20));
    expect(s.trail()?.logging).toBe(false);
    // Nor does the survey, which has no author of its own, undo it: the trail's history names him.
    expect(s.incidents().every((i) => i.end === 'not-ours' && i.attempts.length === 0)).toBe(true);
    expect(s.words()).toMatch(/assumed-role\/terraform\/run-7 changed it, whom `trusted` in steward\.yml names/);
  });

  test('by the role that the policy trusts, and no event came: the survey waits until CloudTrail names him', async () => {
    const s = withTrail({ deaf: true, policy: { trusted: ['arn:aws:iam::*:user/anna'] } });
    await s.does(s.anna.send(stop));
    await s.run(minutes(40));
    expect(s.trail()?.logging).toBe(false);
    expect(s.words()).toMatch(/user\/anna changed it, whom `trusted`/);
    const t = withTrail({ deaf: true, policy: { trusted: ['arn:aws:iam::*:user/anna'] } });
    await t.does(t.ben.send(stop));
    await t.run(minutes(30), () => t.trail()?.logging === true);
    expect(t.trail()?.logging).toBe(true);
  });

  test('a second time within the day is not fought over: both are named to a person', async () => {
    const s = withTrail();
    await s.does(s.anna.send(stop));
    await s.run(minutes(10), s.over);
    await s.run(minutes(10));
    await s.does(s.ben.send(stop));
    await s.run(minutes(10), () => s.last()?.state === 'escalated');
    expect(s.trail()?.logging).toBe(false);
    expect(s.last()).toMatchObject({
      state: 'escalated',
      because: expect.stringMatching(/^attempts: the very same was done/),
    });
    expect(s.words()).toMatch(/changed by \S+user\/ben; lately also .*user\/anna/);
    await s.does(s.ben.send(new StartLoggingCommand({ Name: 'audit' })));
    await s.run(minutes(20), () => s.last()?.state === 'closed');
    expect(s.last()).toMatchObject({ end: 'healthy' });
  });

  test('is found without any event', async () => {
    const s = withTrail({ deaf: true });
    await s.does(s.anna.send(stop));
    await s.run(minutes(7), () => s.trail()?.logging === true);
    expect(s.trail()?.logging).toBe(true);
  });

  test('deleted, with its tags: its history knows the bucket, but not whether it was ours; a person is told both', async () => {
    const s = withTrail({}, { kmsKey: 'arn:aws:kms:eu-central-1:111122223333:key/1' });
    await s.does(s.anna.send(new UpdateTrailCommand({ Name: 'audit', S3KeyPrefix: 'all' })));
    await s.run(hours(2));
    await s.does(s.anna.send(new DeleteTrailCommand({ Name: 'audit' })));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ remediation: 'trail-stopped', state: 'escalated' });
    expect(s.last()?.remedy).toContain('trails.audit.bucket: audit-logs-111122223333');
    expect(s.trail()).toBeUndefined();
  });

  test('deleted soon after its creation, it comes back as its history says, with its tags', async () => {
    const s = withTrail();
    await s.does(
      s.ben.send(
        new CreateTrailCommand({
          Name: 'second',
          S3BucketName: 'second-logs',
          IsMultiRegionTrail: true,
          TagsList: [{ Key: 'steward:managed', Value: 'true' }],
        }),
      ),
    );
    await s.run(hours(2));
    await s.does(s.anna.send(new DeleteTrailCommand({ Name: 'second' })));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'recreate' }, { rung: 'start' }] });
    expect(s.world.cloudtrail.trails.get('second')).toMatchObject({
      bucket: 'second-logs',
      multiRegion: true,
      logging: true,
    });
  });

  test('deleted and declared, it comes back as declared, and records', async () => {
    const bucket = 'audit-logs-111122223333';
    const s = withTrail({ policy: { trails: { audit: { bucket } } } });
    await s.does(s.anna.send(new DeleteTrailCommand({ Name: 'audit' })));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'recreate' }, { rung: 'start' }] });
    expect(s.trail()).toMatchObject({
      bucket,
      logging: true,
      multiRegion: true,
      validation: true,
      tags: { 'steward:managed': 'true' },
    });
  });

  test('deleted and declared, and no event came: the survey finds that it is gone', async () => {
    const bucket = 'audit-logs-111122223333';
    const s = withTrail({ deaf: true, policy: { trails: { audit: { bucket }, elsewhere: { bucket } } } });
    await s.does(s.anna.send(new DeleteTrailCommand({ Name: 'audit' })));
    await s.run(minutes(20), () => s.trail()?.logging === true);
    expect(s.trail()).toMatchObject({ bucket, logging: true });
    // Of the other there is no record here: it lives in another region, or nowhere yet.
    expect(s.world.cloudtrail.trails.has('elsewhere')).toBe(false);
  });

  test('deleted, and nobody knows what it was: a person is told, with what to declare', async () => {
    const s = withTrail();
    await s.does(s.anna.send(new DeleteTrailCommand({ Name: 'audit' })));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', remedy: expect.stringContaining('trails.audit.bucket') });
  });
});

describe('a trail that is weakened', () => {
  test.each<[string, object, Partial<Trail>]>([
    ['its validation', { EnableLogFileValidation: false }, { validation: true }],
    ['global services', { IncludeGlobalServiceEvents: false }, { globalEvents: true }],
  ])('%s comes back, whatever is declared', async (_what, weaker, expected) => {
    const s = withTrail();
    await s.does(s.anna.send(new UpdateTrailCommand({ Name: 'audit', ...weaker })));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ remediation: 'trail-weakened', end: 'healthy', attempts: [{ rung: 'restore' }] });
    expect(s.trail()).toMatchObject(expected);
  });

  test('another bucket: the declared one comes back; undeclared, the one that stood before', async () => {
    const s = withTrail({ policy: { trails: { audit: { bucket: 'audit-logs-111122223333' } } } });
    await s.does(
      s.anna.send(new UpdateTrailCommand({ Name: 'audit', S3BucketName: 'annas-own', IsMultiRegionTrail: false })),
    );
    await s.run(minutes(10), s.over);
    expect(s.trail()).toMatchObject({ bucket: 'audit-logs-111122223333', multiRegion: true });

    const t = withTrail();
    await t.does(t.anna.send(new UpdateTrailCommand({ Name: 'audit', S3BucketName: 'the-new-one' })));
    await t.run(hours(3));
    await t.does(
      t.ben.send(new UpdateTrailCommand({ Name: 'audit', S3BucketName: 'bens-own', EnableLogFileValidation: false })),
    );
    await t.run(minutes(10), t.over);
    expect(t.trail()).toMatchObject({ bucket: 'the-new-one', validation: true });
    expect(t.words()).toMatch(/as its history says/);
  });

  test('management events left out: they are recorded again, and what else it selects stays', async () => {
    const s = withTrail();
    const data = [{ Type: 'AWS::S3::Object', Values: ['arn:aws:s3:::vault/'] }];
    await s.does(
      s.anna.send(
        new PutEventSelectorsCommand({
          TrailName: 'audit',
          EventSelectors: [{ IncludeManagementEvents: false, ReadWriteType: 'WriteOnly', DataResources: data }],
        }),
      ),
    );
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'select' }] });
    expect(s.trail()?.selectors).toMatchObject([
      { IncludeManagementEvents: true, ReadWriteType: 'All', DataResources: data },
    ]);
  });

  test('advanced selectors likewise', async () => {
    const only = { Name: 'lambda', FieldSelectors: [{ Field: 'eventCategory', Equals: ['Data'] }] };
    const s = withTrail();
    await s.does(s.anna.send(new PutEventSelectorsCommand({ TrailName: 'audit', AdvancedEventSelectors: [only] })));
    await s.run(minutes(10), s.over);
    expect(s.trail()?.advanced).toMatchObject([{ FieldSelectors: [{ Equals: ['Management'] }] }, only]);
  });
});

describe('not its business, or not in its power', () => {
  test('a trail without the tag is left alone, with the reason', async () => {
    const s = withTrail({}, { tags: {} });
    await s.does(s.anna.send(stop));
    await s.run(minutes(3));
    expect(s.last()).toMatchObject({ end: 'not-ours' });
    expect(s.trail()?.logging).toBe(false);
  });
  test("the organisation's trail goes to a person", async () => {
    const s = withTrail({}, { organization: true });
    await s.does(s.anna.send(stop));
    await s.run(minutes(3), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringContaining("organisation's trail") });
  });
  test('denied: a person is told what is missing', async () => {
    const s = withTrail();
    s.world.faults.failNext('cloudtrail', 'StartLogging', { kind: 'denied', times: 99 });
    await s.does(s.anna.send(stop));
    await s.run(minutes(10), s.over);
    expect(s.last()).toMatchObject({ state: 'escalated', because: expect.stringMatching(/restoring it failed/) });
  });
  test('throttled and replies lost: it records in the end, and was not started twice for nothing', async () => {
    const s = withTrail();
    s.world.faults.failNext('cloudtrail', 'StartLogging', { kind: 'throttle', times: 2 });
    s.world.faults.failNext('cloudtrail', 'StartLogging', { kind: 'drop', afterEffect: true });
    s.world.faults.failNext('cloudtrail', 'GetTrailStatus', { kind: 'internal', times: 4 });
    await s.does(s.anna.send(stop));
    await s.run(minutes(20), s.over);
    expect(s.last()).toMatchObject({ end: 'healthy' });
    expect(s.trail()?.logging).toBe(true);
  });
});
