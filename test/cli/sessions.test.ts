/** `steward activity sessions`, and what search and verify say of hosts, as a person uses them. */
import { createWriter } from '../../shared/activity/append.ts';
import { createCheckpointer } from '../../shared/activity/checkpoint.ts';
import { startEntry } from '../../shared/activity/sessionFacts.ts';
import { createHostWatch } from '../../shared/activity/watchHosts.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { aHost, HOST, own, rawOf, visit } from '../activity/hostLines.ts';
import { ACCOUNT, SIGNER } from '../activity/setting.ts';
import { createDesk } from './desk.ts';

const OPS = 'arn:aws:sts::111122223333:assumed-role/ops/otto@example.com';

const begin = async () => {
  const desk = createDesk();
  const { log, account } = desk;
  const now = () => account.clock.now();
  const start = now();
  const writer = createWriter({ ...log, now, shards: 8 });
  const host = aHost();
  const ship = async (...payloads: readonly object[]): Promise<string[]> => {
    const lines = host.ship(...payloads);
    await writer.append(
      'host',
      lines.map((l) => rawOf(l)),
    );
    return lines;
  };
  const look = createHostWatch({ ...log, now, sessions: async (known) => known });
  await createCheckpointer({ ...log, signer: SIGNER, now })();
  return { ...desk, writer, host, ship, look: () => look(() => true), start, anna: desk.steward('anna') };
};

test('who was on which host, how, for how long, and whether it was recorded', async () => {
  const { anna, ship, look, start, writer, account } = await begin();
  await ship(
    ...visit(start - hours(1)),
    ...visit(start - minutes(10), { pid: 900, session: '7', user: 'bob', ip: '127.0.0.1' }).slice(0, 4),
  );
  const session = { id: 'otto-0abc', host: HOST, owner: OPS, from: start - minutes(12), status: 'Connected' };
  await writer.append('steward', [
    startEntry(
      { ...session, document: 'AWS-StartSSHSession' },
      { is: 'tunnel', because: 'a tunnel' },
      { account: ACCOUNT, region: 'eu-central-1' },
    ),
  ]);
  await account.run(minutes(1));
  await ship(own('beat', start));
  await look();
  const { out, code, json } = await anna('activity', 'sessions');
  expect(code).toBe(0);
  expect(json).toBeUndefined();
  expect(out).toMatchSnapshot();
  const one = await anna('activity', 'sessions', '--session', `${HOST}/9f3c2a10/5`);
  expect(one.out).toMatchSnapshot();
  const open = await anna('activity', 'sessions', '--open', '--json');
  expect(open.json.sessions.map((s: { id: string }) => s.id)).toEqual([`${HOST}/9f3c2a10/7`, 'otto-0abc']);
  for (const [actor, ids] of [
    ['SHA256:Ab+/9', 2],
    ['otto@example.com', 2],
    ['nobody', 0],
  ] as const)
    expect([actor, (await anna('activity', 'sessions', '--actor', actor, '--json')).json.sessions.length]).toEqual([
      actor,
      ids,
    ]);
  const bySsm = await anna('activity', 'sessions', '--session', 'otto-0abc', '--json');
  expect(bySsm.json.sessions).toHaveLength(1);
  const lines = await anna('activity', 'search', '--session', `${HOST}/9f3c2a10/5`, '--json');
  expect(lines.json.rows.map((r: { what: string }) => r.what).sort()).toEqual([
    'host:CloseSession',
    'host:NewSession',
    'host:Sudo',
    'host:Sudo',
  ]);
  const { out: found } = await anna('activity', 'search', '--host', HOST, '--actor', 'anna');
  expect(found).toMatch(
    /07:00:20 {2}anna {2}host:Sudo .* i-0abc0abc0abc0abc0 as root: \/usr\/bin\/systemctl stop auditd/,
  );
  expect(found).toMatch(/07:00:00 {2}anna {2}host:Login +198\.51\.100\.7 +i-0abc0abc0abc0abc0: SHA256:Ab\+\/9/);
  expect((await anna('activity', 'search', '--session', 'x', '--host', HOST)).code).toBe(2);
});

test('a line that never came, and a host that fell silent, are told by search, sessions and verify', async () => {
  const { anna, host, ship, look, start, account } = await begin();
  await ship(...visit(start - hours(1)));
  host.ship(own('beat', start - minutes(30)));
  await ship(own('beat', start - minutes(20)));
  await look();
  const gap = /i-0abc0abc0abc0abc0, .*: line 7 never came/;
  for (const words of [['search', '--host', HOST, '--from', '2h'], ['sessions'], ['verify']]) {
    const { out } = await anna('activity', ...words);
    expect([words[0], gap.test(out)]).toEqual([words[0], words[0] !== 'search']);
  }
  // The fake clock is years from this machine’s: 2h means that one’s.
  expect((await anna('activity', 'search', '--host', HOST)).out).toMatch(gap);
  await account.run(hours(2));
  await look();
  for (const words of [['search', '--host', HOST], ['sessions', '--host', HOST], ['verify']])
    expect((await anna('activity', ...words)).out).toMatch(/i-0abc0abc0abc0abc0: nothing is heard of it since/);
  const other = await anna('activity', 'sessions', '--host', 'i-0fff0fff0fff0fff0');
  expect(other.out).not.toMatch(/never came|nothing is heard/);
});

test('where nobody ships, it says how to', async () => {
  const { anna } = await begin();
  const { out } = await anna('activity', 'sessions');
  expect(out).toContain('activity: { hosts: sessions }');
  expect((await anna('activity', 'verify')).out).not.toContain('ship');
});
