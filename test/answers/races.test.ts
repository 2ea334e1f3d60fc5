/** Two people, one incident; and a request that is not what it should be. */

import { commandHash, prove } from '../../shared/aws/identity.ts';
import { Conflict } from '../../shared/core/errors.ts';
import { minutes } from '../../shared/core/time.ts';
import { breakDisk } from '../../world/fleet.ts';
import { createDesk } from '../cli/desk.ts';

const asking = async () => {
  const s = createDesk({ policy: { remediations: { 'full-disk': { mode: 'ask' } } } });
  const id = s.account.fleet.web[0]?.id ?? '';
  await s.account.run(minutes(4));
  breakDisk(s.account.world, id, { path: '/', usedPercent: 88, cleanableBytes: 3 * 2 ** 30 });
  await s.account.run(minutes(20), () => s.account.incidentOf(id)?.state === 'asking');
  return { ...s, id, incident: () => s.account.incidentOf(id) };
};

test('two say yes at once: one approval, the other is told whose', async () => {
  const s = await asking();
  const id = s.incident()?.id ?? '';
  const [a, b] = await Promise.all([s.steward('alice')('approve', id), s.steward('bob')('approve', id)]);
  expect([a.code, b.code].sort()).toEqual([0, 3]);
  expect((a.code === 3 ? a : b).err).toMatch(/already approved it/);
});

test('one says yes, one no, at once: the no stands, or came too late to an act', async () => {
  const s = await asking();
  const id = s.incident()?.id ?? '';
  const [yes, no] = await Promise.all([s.steward('alice')('approve', id), s.steward('bob')('deny', id)]);
  expect(no.code).toBe(0);
  expect([0, 3]).toContain(yes.code);
  expect(s.incident()?.approval).toBeUndefined();
  await s.account.run(minutes(30));
  expect(s.incident()?.attempts).toHaveLength(0);
});

test('another writer in between: the command is decided anew on what is so then, and holds', async () => {
  const s = await asking();
  const write = s.account.store.write;
  let lost = 0;
  s.account.store.write = async (...changes) => {
    if (lost++ < 3) throw new Conflict(['incident']);
    return write(...changes);
  };
  expect((await s.steward('alice')('approve', s.incident()?.id ?? '')).code).toBe(0);
  expect(lost).toBeGreaterThanOrEqual(4);
});

test('writers without end: nothing was done, and it says so', async () => {
  const s = await asking();
  s.account.store.write = async () => {
    throw new Conflict(['incident x']);
  };
  const said = await s.steward('alice')('approve', s.incident()?.id ?? '');
  expect(said).toMatchObject({
    code: 1,
    err: expect.stringMatching(/incident x changed in the meantime[\s\S]*try again/),
  });
});

describe('a request that is not what it should be', () => {
  const s = createDesk();
  const pause = { do: 'pause', scope: 'all', why: 'x' };
  const proof = (command: object, stage = 'test') =>
    prove(commandHash(stage, command as never), { region: s.account.world.region, credentials: s.keysOf('alice') });

  test.each([
    null,
    'x',
    3,
    {},
    { ask: { do: 'everything' } },
    { ask: { do: 'why' } },
    { command: pause },
    { ask: { do: 'status' }, more: 1 },
  ])('cannot be read: %j', async (request) => {
    expect(await s.invoke(request as never)).toMatchObject({ ok: false, kind: 'invalid' });
  });
  test('a command with the proof of another is refused, and changes nothing', async () => {
    for (const [command, of] of [
      [pause, { ...pause, scope: 'full-disk' }],
      [{ ...pause, forMs: 60_000 }, pause],
    ] as const)
      expect(await s.invoke({ command, stage: 'test', proof: await proof(of) })).toMatchObject({
        ok: false,
        kind: 'refused',
        message: expect.stringMatching(/another command/),
      });
    expect(await s.invoke({ command: pause, stage: 'test', proof: await proof(pause, 'prod') })).toMatchObject({
      ok: false,
      kind: 'refused',
    });
    expect(await s.invoke({ command: pause, stage: 'prod', proof: await proof(pause, 'prod') })).toMatchObject({
      ok: false,
      kind: 'invalid',
    });
    expect(s.account.store.records.size).toBe(0);
    expect(await s.invoke({ command: pause, stage: 'test', proof: await proof(pause) })).toMatchObject({ ok: true });
  });
  test('keys that STS does not know prove nothing', async () => {
    const keys = { accessKeyId: 'AKIANOBODYNOBODYNOBO', secretAccessKey: 'x' };
    const stranger = await prove(commandHash('test', pause as never), {
      region: s.account.world.region,
      credentials: keys,
    });
    expect(await s.invoke({ command: pause, stage: 'test', proof: stranger })).toMatchObject({
      ok: false,
      kind: 'refused',
      message: expect.stringMatching(/STS does not confirm/),
    });
  });
});
