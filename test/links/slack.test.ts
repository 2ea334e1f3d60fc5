/** Slack's buttons: pressed by whom, signed by Slack, made here; and all else. */
import { actionsFor, buttonsFor } from '../../shared/runtime/links/mint.ts';
import { asked, drilled, tokenOf } from './door.ts';

const buttons = async (s: Awaited<ReturnType<typeof asked>>) =>
  Object.fromEntries((await buttonsFor(s.incident() as never, s.mint)).map((b) => [b.label, b.value]));

test('pressed by one who may: done, written down by his Slack id, and told to all', async () => {
  const s = await asked();
  const { Approve = '' } = await buttons(s);
  expect(Approve.length).toBeLessThan(2_000);
  const [answer, told] = await s.press('U2', Approve);
  expect([answer.statusCode, answer.body, told.what]).toEqual([200, '', 'answered']);
  expect(s.incident()?.approval?.by).toBe('slack:T1/U2');
  expect(s.heard).toEqual([
    {
      url: 'https://hooks.slack.com/actions/T1/1/x',
      message: {
        response_type: 'in_channel',
        replace_original: false,
        text: expect.stringMatching(/^bob: approved: clean/),
      },
    },
  ]);
  await s.until('closed');
  expect(s.incident()?.end).toBe('healthy');
});

test('twice, by whomever: once', async () => {
  const s = await asked();
  const { Approve = '' } = await buttons(s);
  const both = await Promise.all([s.press('U1', Approve), s.press('U2', Approve)]);
  expect(both.map(([, told]) => told.what).sort()).toEqual(['answered', 'refused']);
  expect(s.heard.at(-1)?.message).toMatchObject({
    response_type: 'ephemeral',
    text: expect.stringMatching(/^Nothing was done: .*good once/),
  });
});

test('snoozes and denies', async () => {
  const s = await asked();
  const made = await buttons(s);
  await s.press('U1', made['Snooze for 2 h'] ?? '');
  expect(s.incident()).toMatchObject({ state: 'snoozed', snooze: { by: 'slack:T1/U1' } });
  await s.press('U2', made['Deny'] ?? '');
  expect(s.incident()).toMatchObject({ state: 'refused', denied: { by: 'slack:T1/U2' } });
});

test.each([
  ['by somebody whom the policy does not name', 'U9', {}, /does not know you.*U9/],
  ['in another workspace', 'U1', { team: 'T2' }, /not made by this Steward, for this workspace/],
] as const)('%s: told why, only to him', async (_name, user, options, why) => {
  const s = await asked();
  const [answer, told] = await s.press(user, (await buttons(s))['Approve'] ?? '', options);
  expect([answer.statusCode, told.what]).toEqual([200, 'refused']);
  expect(s.heard).toMatchObject([{ message: { response_type: 'ephemeral', text: expect.stringMatching(why) } }]);
  expect(s.incident()?.approval).toBeUndefined();
});

test.each([
  ['another secret', { secret: 'another' }],
  ['a body that was changed', { forge: (body: string) => body.replace('U1', 'U2') }],
  ['an old request, sent again', { late: 301 }],
  ['a stamp of the future', { late: -301 }],
] as const)('not signed by Slack: %s', async (_name, options) => {
  const s = await asked();
  const [answer, told] = await s.press('U1', (await buttons(s))['Approve'] ?? '', options);
  expect([answer.statusCode, told.what, s.heard.length]).toEqual([401, 'invalid', 0]);
  expect(s.incident()?.approval).toBeUndefined();
});

test('a link is no button, a button no link, and what was made elsewhere is neither', async () => {
  const s = await asked();
  const link = tokenOf((await s.link('carol', s.id, 'bob'))['Approve']);
  const { Approve = '' } = await buttons(s);
  expect((await s.press('U1', link))[1].what).toBe('refused');
  expect((await s.post(Approve))[1].what).toBe('invalid');
  const changed = Approve.slice(0, -1) + (Approve.endsWith('A') ? 'E' : 'A');
  for (const forged of ['', 'x', changed]) expect((await s.press('U1', forged))[1].what).toBe('refused');
  expect(s.incident()?.approval).toBeUndefined();
});

test('what he asked for at the terminal he cannot approve in Slack, nor can one whom nobody can tell from him; another can', async () => {
  const s = await drilled();
  const { Approve = '' } = await buttons(s as never);
  expect((await s.press('U1', Approve))[1].what).toBe('refused');
  expect(s.heard.at(-1)?.message.text).toMatch(/slack:T1\/U1 may be the person who asked for it/);
  expect((await s.press('U3', Approve))[1].what).toBe('refused');
  expect((await s.press('U2', Approve))[1].what).toBe('answered');
});

test('what he puts back by a link he cannot approve at the terminal', async () => {
  const s = await drilled();
  await s.steward('bob')('approve', s.id);
  await s.account.run(10 * 60_000, () => s.incident()?.state === 'closed');
  const links = await s.link('bob', s.id, 'carol');
  expect((await s.post(tokenOf(links['Put it back'])))[1].what).toBe('answered');
  await s.account.run(10 * 60_000, () => s.account.incidents().at(-1)?.state === 'asking');
  const undoing = s.account.incidents().at(-1);
  expect(undoing?.ask?.askedBy).toBe('link:carol');
  const own = await s.steward('carol')('approve', undoing?.id ?? '');
  expect([own.code, own.err]).toEqual([
    3,
    expect.stringMatching(/user\/carol may be the person who asked for it \(link:carol\)/),
  ]);
  expect((await s.steward('alice')('approve', undoing?.id ?? '')).code).toBe(0);
});

test('what a channel’s message carries: buttons in Slack, links where a recipient has its name, else nothing', async () => {
  const s = await asked();
  const labels = async (channel: string, type: string) =>
    (await actionsFor(s.incident() as never, { channel, type }, s.mint)).map((a) => [
      a.label,
      'url' in a ? 'url' : 'value',
    ]);
  expect(await labels('ops', 'slack')).toEqual([
    ['Approve', 'value'],
    ['Deny', 'value'],
    ['Snooze for 2 h', 'value'],
  ]);
  expect(await labels('on-call', 'webhook')).toEqual([
    ['Approve', 'url'],
    ['Deny', 'url'],
    ['Snooze for 2 h', 'url'],
  ]);
  expect(await labels('careful', 'sns')).toEqual(await labels('on-call', 'webhook'));
  expect(await labels('ops', 'webhook')).toEqual([]);
  expect(
    await actionsFor(s.incident() as never, { channel: 'on-call', type: 'slack' }, { ...s.mint, policy: {} }),
  ).toEqual([]);
});
