/** `steward activity export`: each event once, in order, from table and archive; a stranger checks it with Python and openssl, and sees whatever was altered. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWriter } from '../../shared/activity/append.ts';
import { createCheckpointer } from '../../shared/activity/checkpoint.ts';
import { createRetention } from '../../shared/activity/retention.ts';
import { days, iso, seconds } from '../../shared/core/time.ts';
import { ACCOUNT, SIGNER, someEvents } from '../activity/setting.ts';
import { createDesk } from './desk.ts';

const folder = mkdtempSync(join(tmpdir(), 'steward-export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Five days of two accounts; the bodies of the first three are in the archive alone. One event has no time, one is no text. */
const begin = async () => {
  const desk = createDesk();
  const { log, account } = desk;
  const began = account.clock.now();
  let at = began;
  const now = () => at;
  const writer = createWriter({ ...log, now, shards: 8 });
  const checkpoint = createCheckpointer({ ...log, signer: SIGNER, now });
  const retention = createRetention({ ...log, now, account: ACCOUNT, append: writer.append, hotDays: 7, years: 7 });
  const events: Buffer[] = [];
  const append = async (some: Buffer[]): Promise<void> => {
    events.push(...some);
    await writer.append('file', some);
    await checkpoint();
  };
  for (let day = 0; day < 3; day++) {
    at = began - days(30 - day);
    await append([...someEvents(60, day, ACCOUNT, at), ...someEvents(20, day + 9, '555566667777', at + seconds(5))]);
  }
  await append([Buffer.from([0xff, 0x0a, 0x00]), Buffer.from('{"eventID":"timeless","eventName":"=cmd()"}')]);
  at = began - days(20);
  for (let n = 0; n < 8; n++) {
    await retention.archive();
    await checkpoint();
    await retention.end();
  }
  at = began - days(2);
  await append(someEvents(40, 20, ACCOUNT, at));
  const bodies = [...log.items.keys()].filter((p) => p.startsWith('body/')).length;
  log.expire(began);
  expect([...log.items].filter(([p, slots]) => p.startsWith('body/') && slots.size > 0).length).toBeLessThan(bodies);
  return { anna: desk.steward('anna'), events, began, log };
};
const check = (manifest: string, key: string) => {
  const { status, stdout } = spawnSync('python3', ['docs/check-export.py', manifest, key], {
    encoding: 'utf8',
  });
  return { status, said: stdout };
};
const linesOf = (file: string) => readFileSync(file, 'utf8').trim().split('\n');
const eventOf = ({ event, event64 }: { event?: string; event64?: string }) =>
  event64 === undefined ? (event ?? '') : Buffer.from(event64, 'base64').toString('latin1');

test('each event once, in order, and a stranger finds it right', async () => {
  const { anna, events } = await begin();
  const out = join(folder, 'all');
  const said = await anna('activity', 'export', '--from', '2025-11-01', '--out', out);
  expect([said.code, said.out]).toEqual([0, expect.stringContaining('docs/check-export.py')]);
  const lines = linesOf(join(out, 'events.ndjson')).map((l) => JSON.parse(l));
  const own = lines.filter((l) => !l.what.startsWith('steward:'));
  expect(own.map(eventOf).sort()).toEqual(events.map((e) => e.toString('latin1')).sort());
  const times = lines.map((l) => l.time ?? '~');
  expect(times).toEqual([...times].sort());
  expect(check(join(out, 'manifest.json'), join(out, 'key.pem'))).toEqual({
    status: 0,
    said: expect.stringContaining(`${lines.length} events`),
  });
  expect((await anna('activity', 'export', '--out', out)).code).toBe(2);
});

test('of an account and a time, as a spreadsheet: what would run there does not', async () => {
  const { anna, began } = await begin();
  const out = join(folder, 'some.csv');
  const [from, to] = [iso(began - days(29)), iso(began - days(28) - 1)];
  const { code } = await anna(
    'activity',
    'export',
    '--from',
    from,
    '--to',
    to,
    '--account',
    '555566667777',
    '--out',
    out,
    '--format',
    'csv',
  );
  expect(code).toBe(0);
  expect(linesOf(out)[0]).toBe('time,account,region,id,who,what,resources,ip,error,place,event,event64');
  const manifest = JSON.parse(readFileSync(`${out}.manifest.json`, 'utf8'));
  expect(manifest).toMatchObject({ events: 20, account: '555566667777', from, to, absent: [], unsigned: 0 });
  expect(check(`${out}.manifest.json`, `${out}.pem`)).toEqual({
    status: 0,
    said: expect.stringContaining('20 events'),
  });
  const odd = join(folder, 'odd.csv');
  await anna('activity', 'export', '--from', '2025-11-01', '--out', odd, '--format', 'csv');
  expect(readFileSync(odd, 'utf8')).not.toMatch(/^[=+@]|,[=+@]/m);
  expect(check(`${odd}.manifest.json`, `${odd}.pem`).status).toBe(0);
});

test('what is altered, left out, doubled or put elsewhere is seen; what could not be had is said', async () => {
  const { anna, log } = await begin();
  const out = join(folder, 'once');
  await anna('activity', 'export', '--from', '2025-11-01', '--out', out);
  const original = Object.fromEntries(
    ['events.ndjson', 'segments.ndjson', 'manifest.json', 'key.pem'].map((f) => [
      f,
      readFileSync(join(out, f), 'utf8'),
    ]),
  );
  const lines = original['events.ndjson']!.trim().split('\n');
  const joined = (some: readonly string[]) => `${some.join('\n')}\n`;
  const altered: [string, string][] = [
    [
      'events.ndjson',
      joined(
        lines.map((l, n) =>
          n === 50
            ? l.replace('eu-central-1', 'eu-central-2').replaceAll('"awsRegion\\":\\"eu', '"awsRegion\\":\\"us')
            : l,
        ),
      ),
    ],
    ['events.ndjson', joined(lines.slice(1))],
    ['events.ndjson', joined([...lines, lines.at(-1)!])],
    ['events.ndjson', joined([lines[1]!, lines[0]!, ...lines.slice(2)])],
    ['segments.ndjson', original['segments.ndjson']!.replace(/"path":"../, '"path":"AA')],
    ['segments.ndjson', original['segments.ndjson']!.replace(/"leaves":"../, '"leaves":"AA')],
    ['manifest.json', original['manifest.json']!.replace(/\\n(\d+)\\n/, '\\n1$1\\n')],
  ];
  for (const [n, [file, text]] of altered.entries()) {
    const to = join(folder, `altered${n}`);
    mkdirSync(to);
    for (const [name, own] of Object.entries(original)) writeFileSync(join(to, name), name === file ? text : own);
    expect([n, text === original[file]]).toEqual([n, false]);
    expect([n, check(join(to, 'manifest.json'), join(to, 'key.pem')).status]).toEqual([n, 1]);
  }
  const [file] = [...log.files.keys()].filter((k) => k.startsWith('archive/'));
  log.files.delete(file!);
  const less = join(folder, 'less');
  const said = await anna('activity', 'export', '--from', '2025-11-01', '--out', less);
  expect([said.code, said.out]).toEqual([1, expect.stringMatching(/could not be had whole/)]);
  expect(check(join(less, 'manifest.json'), join(less, 'key.pem')).said).toContain('not here: what segment s');
});
