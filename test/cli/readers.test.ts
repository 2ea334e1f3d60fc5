/** Who may read what of the activity log: each reader sees all of his part, and nothing else. */
import fc from 'fast-check';
import { createWriter } from '../../shared/activity/append.ts';
import { createHostWatch } from '../../shared/activity/watchHosts.ts';
import { commandHash, prove } from '../../shared/aws/identity.ts';
import { carriersOf, mayReadBy, readerFor } from '../../shared/core/readers.ts';
import { minutes } from '../../shared/core/time.ts';
import { breakDisk } from '../../world/fleet.ts';
import { aHost, own, rawOf, visit } from '../activity/hostLines.ts';
import { STAGE } from '../stories/account.ts';
import { createDesk } from './desk.ts';

const VOLUME = 'arn:aws:ec2:eu-central-1:111122223333:volume/vol-0a1b2c3d';
const call = (n: number, over: object) =>
  Buffer.from(
    JSON.stringify({
      eventVersion: '1.11',
      userIdentity: { type: 'IAMUser', arn: 'arn:aws:iam::111122223333:user/mallory', userName: 'mallory' },
      eventTime: `2026-01-15T08:0${n}:00Z`,
      eventSource: 'ec2.amazonaws.com',
      eventName: 'DeleteVolume',
      awsRegion: 'eu-central-1',
      requestParameters: { volumeId: 'vol-0a1b2c3d' },
      eventID: `call-${n}`,
      recipientAccountId: '111122223333',
      ...over,
    }),
  );
const CALLS = [
  call(1, {}),
  call(2, { recipientAccountId: '444455556666' }),
  call(3, { requestParameters: { volumeId: 'vol-0ffffffff' } }),
  call(4, {
    eventSource: 's3.amazonaws.com',
    eventName: 'DeleteBucket',
    requestParameters: { bucketName: 'vol-0a1b2c3d' },
  }),
];
const user = (name: string) => `arn:aws:iam::*:user/${name}`;
const READERS = [
  { is: [user('audra')], accounts: ['444455556666'] },
  { is: [user('shopkeeper')], tags: { 'aws:cloudformation:stack-name': ['shop'] } },
  { is: [user('chief')] },
];

const begin = async (policy: object = { activity: { readers: READERS } }) => {
  const asked: object[] = [];
  const desk = createDesk({ policy }, (tags) => {
    asked.push(tags);
    return [VOLUME];
  });
  const now = () => desk.account.clock.now();
  const writer = createWriter({ ...desk.log, now, shards: 8 });
  await writer.append('eventbridge', CALLS);
  const seenBy = async (who: string, ...more: string[]): Promise<string[]> => {
    const { json } = await desk.steward(who)('activity', 'search', '--all', '--json', ...more);
    return json.rows.map((r: { id: string }) => r.id).sort();
  };
  return { ...desk, asked, seenBy };
};

test('one sees an account, one a stack, one all of it', async () => {
  const { seenBy, asked } = await begin();
  expect(await seenBy('audra')).toEqual(['call-2']);
  // Of both accounts, and not the bucket that is called like the volume.
  expect(await seenBy('shopkeeper')).toEqual(['call-1', 'call-2']);
  expect(asked).toEqual([{ 'aws:cloudformation:stack-name': ['shop'] }]);
  expect(await seenBy('chief')).toEqual(['call-1', 'call-2', 'call-3', 'call-4']);
  expect(await seenBy('audra', '--resource', 'vol-0ffffffff')).toEqual([]);
});

test('whoever is none of them reads nothing, and is told what to do', async () => {
  const { steward } = await begin();
  const { code, err } = await steward('mallory')('activity', 'search');
  expect(code).not.toBe(0);
  expect(err).toMatch(/user\/mallory is none of activity\.readers in steward\.yml/);
  expect(err).toContain('have it added and deployed');
});

test('a question without a proof, or with that of another question, is refused; without readers none is asked for', async () => {
  const { invoke, keysOf, account } = await begin();
  const ask = { do: 'activity', limit: 10 };
  const signed = (question: object) =>
    prove(commandHash(STAGE, question as never), { region: account.world.region, credentials: keysOf('chief') });
  const no = { ok: false, kind: 'refused', message: expect.stringContaining('not proven') };
  expect(await invoke({ ask })).toMatchObject(no);
  expect(await invoke({ ask, stage: STAGE, proof: await signed({ ...ask, limit: 11 }) })).toMatchObject(no);
  expect(await invoke({ ask, stage: 'other', proof: await signed(ask) })).toMatchObject(no);
  expect(await invoke({ ask, stage: STAGE, proof: await signed(ask) })).toMatchObject({ ok: true });
  const open = await begin({});
  expect(await open.invoke({ ask })).toMatchObject({ ok: true });
});

test('what is around an incident is told by the same rule, by search and by why', async () => {
  const { account, log, steward } = await begin({
    activity: { readers: READERS },
    remediations: { 'full-disk': { mode: 'ask' } },
  });
  const id = account.fleet.web[0]?.id ?? '';
  await account.run(minutes(4));
  breakDisk(account.world, id, { path: '/', usedPercent: 88, cleanableBytes: 3 * 2 ** 30 });
  await account.run(minutes(20), () => account.incidentOf(id)?.state === 'asking');
  const incident = account.incidentOf(id)?.id ?? '';
  const writer = createWriter({ ...log, now: () => account.clock.now(), shards: 8 });
  const eventTime = new Date(account.clock.now()).toISOString();
  await writer.append('eventbridge', [
    call(5, { eventTime, eventName: 'RebootInstances', requestParameters: { instanceId: id } }),
  ]);
  const around = async (who: string) => {
    const { json } = await steward(who)('activity', 'search', '--around', incident, '--json');
    return json.rows.map((r: { id: string }) => r.id).filter((row: string) => row === 'call-5');
  };
  const why = async (who: string) => (await steward(who)('why', incident)).out;
  expect(await around('chief')).toEqual(['call-5']);
  expect(await around('audra')).toEqual([]);
  expect(await why('chief')).toContain('RebootInstances');
  expect(await why('audra')).not.toContain('RebootInstances');
  expect(await why('mallory')).toContain('is none of activity.readers');
});

const arn = fc.tuple(
  fc.constantFrom('ec2', 's3', 'lambda'),
  fc.constantFrom('volume/', 'function:', ''),
  fc.stringMatching(/^[a-z]{3,6}$/),
);
test('a reader of tags sees what names one of their carriers to its own service, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(arn, { maxLength: 5 }), arn, fc.boolean(), (carried, [service, type, name], whole) => {
      const text = ([s, t, n]: readonly string[]) => `arn:aws:${s}:eu-central-1:111122223333:${t}${n}`;
      const carriers = carriersOf(carried.map(text));
      const named = whole ? text([service, type, name]) : name;
      const may = mayReadBy(
        { accounts: [] },
        carriers,
      )({ account: '1', what: `${service}:Delete`, resources: ['x', named] });
      const is = carried.some(([s, t, n]) => s === service && n === name && (!whole || t === type));
      expect(may).toBe(is);
    }),
  );
});

test('the first reader that fits counts; a role is known by its sessions', () => {
  const readers = READERS.map((r) => ({ accounts: [], tags: {}, ...r }));
  const sessions = [{ is: ['arn:aws:iam::1*:role/audit'], accounts: [], tags: {} }, ...readers];
  expect(readerFor(sessions, 'arn:aws:sts::111122223333:assumed-role/audit/anna')).toBe(sessions[0]);
  expect(readerFor(sessions, 'arn:aws:iam::111122223333:user/nobody')).toBeUndefined();
});

test('of hosts one sees those of his part: their sessions, their lines, and what is missing of them', async () => {
  const [mine, other] = ['i-0aaa0aaa0aaa0aaa0', 'i-0bbb0bbb0bbb0bbb0'];
  const policy = { activity: { readers: READERS } };
  const desk = createDesk({ policy }, () => [`arn:aws:ec2:eu-central-1:111122223333:instance/${mine}`]);
  const now = () => desk.account.clock.now();
  const writer = createWriter({ ...desk.log, now, shards: 8 });
  for (const host of [mine, other]) {
    const shipped = aHost({ host });
    const lines = shipped.ship(...visit(now() - minutes(40)));
    shipped.ship(own('beat', now()));
    const later = shipped.ship(own('beat', now() - minutes(20)));
    await writer.append(
      'host',
      [...lines, ...later].map((l) => rawOf(l, host)),
    );
  }
  await createHostWatch({ ...desk.log, now, sessions: async (known) => known })(() => true);
  const hostsSeenBy = async (who: string) => {
    const sessions = (await desk.steward(who)('activity', 'sessions', '--json')).json;
    const { json } = await desk.steward(who)('activity', 'search', '--action', 'host:', '--all', '--json');
    const names = [
      ...sessions.sessions.map((s: { host: string }) => s.host),
      ...sessions.hosts.findings.map((f: { host: string }) => f.host),
      ...json.rows.map((r: { resources: string[] }) => r.resources[0]),
      ...json.hosts.findings.map((f: { host: string }) => f.host),
    ];
    return [names.length, [...new Set(names)].sort()];
  };
  expect(await hostsSeenBy('shopkeeper')).toEqual([10, [mine]]);
  expect(await hostsSeenBy('chief')).toEqual([20, [mine, other]]);
  expect(await hostsSeenBy('audra')).toEqual([0, []]);
  expect((await desk.steward('mallory')('activity', 'sessions')).err).toMatch(/is none of activity\.readers/);
});
