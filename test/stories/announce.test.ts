/** What people hear of an incident: nothing while it heals by itself, one message while it needs them, a page only then. */
import { Forbidden } from '../../shared/core/errors.ts';
import { plain } from '../../shared/core/notice.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { breakDisk } from '../../world/fleet.ts';
import { createInbox, type Inbox } from '../../world/inbox.ts';
import { createDesk } from '../cli/desk.ts';

const GiB = 2 ** 30;
const CHANNELS = {
  ops: { type: 'slack', channel: 'C0123456789', secret: '/steward/slack' },
  pager: { type: 'pagerduty', secret: '/steward/pager' },
  mail: { type: 'sns', topic: 'arn:aws:sns:eu-central-1:111122223333:people' },
} as const;
type Name = keyof typeof CHANNELS;

const begun = (policy: object = {}) => {
  const inboxes = new Map<string, Inbox>();
  const desk = createDesk({
    policy: { channels: CHANNELS, ...policy },
    open: async (name, { type }) => {
      const inbox = inboxes.get(name) ?? createInbox(type, () => desk.account.clock.now());
      inboxes.set(name, inbox);
      return inbox.channel;
    },
  });
  for (const [name, { type }] of Object.entries(CHANNELS))
    inboxes.set(
      name,
      createInbox(type, () => desk.account.clock.now()),
    );
  const inbox = (name: Name) => inboxes.get(name)!;
  /** The stages that each message of a channel went through. */
  const stages = (name: Name) => inbox(name).messages.map((m) => m.said.map((s) => s.stage));
  const web = desk.account.fleet.web[0]?.id ?? '';
  return { ...desk, inbox, stages, web, ...desk.account };
};

test('a full disk that heals by itself disturbs nobody; the morning’s digest names it', async () => {
  const { run, account, inbox, stages, web } = begun();
  await run(minutes(4));
  breakDisk(account.world, web, { path: '/srv', usedPercent: 93, cleanableBytes: GiB });
  await run(minutes(30));
  expect(account.incidentOf(web)).toMatchObject({ end: 'healthy' });
  for (const name of ['ops', 'pager', 'mail'] as const) expect(stages(name)).toEqual([]);
  // It is 09:00 UTC.
  await run(hours(1));
  expect([stages('ops'), stages('mail'), stages('pager')]).toEqual([[['digest']], [['digest']], []]);
  expect(plain(inbox('ops').messages[0]!.said[0]!)).toContain('full-disk: 1: asg/web 1');
}, 30_000);

test('an ask is one message and one page; it is edited when a person says yes, and resolved when it is healthy', async () => {
  const { run, account, inbox, stages, steward, web } = begun({ remediations: { 'full-disk': { mode: 'ask' } } });
  await run(minutes(4));
  breakDisk(account.world, web, { path: '/srv', usedPercent: 93 });
  await run(minutes(20), () => account.incidentOf(web)?.state === 'asking');
  await run(minutes(1));
  expect([stages('ops'), stages('pager'), stages('mail')]).toEqual([[['asks']], [['asks']], [['asks']]]);
  const id = account.incidentOf(web)?.id ?? '';
  expect(plain(inbox('ops').messages[0]!.said[0]!)).toContain(`npx steward approve ${id} --stage test --region`);
  // Each of the two steps asks: the volume, then its file system.
  for (let n = 0; n < 2; n++) {
    await steward('alice')('approve', id);
    await run(minutes(10), () => account.incidentOf(web)?.state === 'asking' && !account.incidentOf(web)?.approval);
  }
  await run(minutes(2));
  expect(account.incidentOf(web)).toMatchObject({ end: 'healthy' });
  const [[...ops] = []] = stages('ops');
  expect(ops[0]).toBe('asks');
  expect(ops).toContain('works');
  expect(ops.at(-1)).toBe('healed');
  expect(inbox('ops').messages).toHaveLength(1);
  expect(inbox('ops').messages[0]?.thread.length).toBeGreaterThan(3);
  expect(new Set(inbox('ops').messages[0]?.thread).size).toBe(inbox('ops').messages[0]?.thread.length);
  // Neither is told what is on its way: only that it was asked, and that it is over.
  const [[...page] = []] = stages('pager');
  expect(page[0]).toBe('asks');
  expect(page.at(-1)).toBe('healed');
  expect(inbox('pager').messages).toHaveLength(1);
  expect(stages('mail').flat().at(-1)).toBe('healed');
  await run(hours(1));
  // It was told of: the digest is for what was not.
  expect(stages('ops').flat()).not.toContain('digest');
}, 30_000);

test('a channel that fails is an incident of its own, told through the others; what it missed comes when it is mended', async () => {
  const { run, account, inbox, stages, steward, web } = begun({ remediations: { 'full-disk': { mode: 'ask' } } });
  await run(minutes(4));
  inbox('ops').fault = () => ({ when: 'before', error: new Forbidden('cannot tell ops: Slack says invalid_auth') });
  breakDisk(account.world, web, { path: '/srv', usedPercent: 93 });
  await run(minutes(40));
  const silent = account.incidents().find((i) => i.remediation === 'channel-silent');
  expect(silent).toMatchObject({ state: 'escalated', because: expect.stringContaining('invalid_auth') });
  expect(stages('ops')).toEqual([]);
  expect(stages('pager')).toEqual([['asks'], ['calls']]);
  expect(stages('mail')).toEqual([['asks'], ['calls']]);
  expect((await steward('alice')('status')).out).toContain(
    'The channel ops is told nothing: cannot tell ops: Slack says invalid_auth',
  );
  expect((await steward('alice')('channels', 'list')).out).toMatch(/ops +slack +asks +1 wait +fails/);
  await run(hours(2));
  inbox('ops').fault = () => undefined;
  await run(minutes(40));
  expect(account.incidents().find((i) => i.remediation === 'channel-silent')).toMatchObject({ end: 'healthy' });
  expect(stages('ops').map((s) => s.at(-1))).toEqual(['asks']);
  expect(stages('pager')[1]).toEqual(['calls', 'healed']);
  expect((await steward('alice')('channels', 'test', 'nobody')).code).toBe(4);
  expect((await steward('alice')('channels', 'test', 'ops')).code).toBe(0);
  await run(minutes(2));
  expect(inbox('ops').messages.at(-1)?.said[0]).toMatchObject({
    stage: 'test',
    facts: [['Asked for by', expect.stringContaining('user/alice')]],
  });
}, 30_000);
