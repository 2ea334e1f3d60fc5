/** Proofs, as a stranger checks them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastCheckpoint, type Numbered, numbered } from '../../shared/activity/checkpoint.ts';
import { sha256 } from '../../shared/activity/hashing.ts';
import { checkContinuation, checkProof, findEvents, prove, proveContinuation } from '../../shared/activity/prove.ts';
import { readActivity } from '../../shared/activity/record.ts';
import { inclusion } from '../../shared/activity/tree.ts';
import { memoryLog } from '../../world/memoryLog.ts';
import { aLog, KEYS, setting, signerWith, someEvents } from './setting.ts';

const folder = mkdtempSync(join(tmpdir(), 'steward-proof-'));
afterAll(() => rmSync(folder, { recursive: true }));
const stranger = (proof: unknown, key: string) => {
  const files = { proof: join(folder, 'proof.json'), key: join(folder, 'key.pem') };
  writeFileSync(files.proof, JSON.stringify(proof));
  writeFileSync(files.key, key);
  const script = new URL('../../docs/check-proof.py', import.meta.url).pathname;
  const { status, stdout } = spawnSync('python3', [script, files.proof, files.key], { encoding: 'utf8' });
  return { status, said: stdout.split('\n').slice(0, 3) };
};

/** 600 links of a few events: two tiles, and some that are in none. */
const filled = async () => {
  const log = aLog();
  const events = someEvents(1_000);
  const accounts = ['111122223333', '555566667777'];
  for (let n = 0; n < 600; n++) {
    await log.writer.append('file', [
      ...events.slice(n, n + 1),
      ...someEvents(n % 3, n + 7, accounts[n % 2]),
      ...(n === 333 ? [Buffer.from([0xff, 0x00, 0xfe])] : []),
    ]);
    if (n % 97 === 0) await log.checkpoint();
  }
  return { ...log, events, last: (await log.checkpoint()) as Numbered };
};
const log = await filled();

test.each([0, 255, 256, 300, 599])('event %i is proven', async (n) => {
  const event = log.events[n] as Buffer;
  const [place] = await findEvents(log, readActivity(event));
  const proof = await prove(log, place!, log.last);
  expect(Buffer.from(checkProof(proof, KEYS).raw).equals(event)).toBe(true);
  expect(() => checkProof({ ...proof, event: `${proof.event} ` }, KEYS)).toThrow('not in the segment');
  expect(() => checkProof({ ...proof, link: proof.link.replace('"v":1', '"v": 1') }, KEYS)).toThrow('not in the log');
  expect(() => checkProof(proof, [signerWith().publicKey])).toThrow('none of the keys');
});

test('a stranger checks it with Python and openssl, and finds what was altered', async () => {
  const [place] = await findEvents(log, readActivity(log.events[400] as Buffer));
  const proof = await prove(log, place!, log.last);
  const [key = ''] = KEYS;
  expect(stranger(proof, key)).toEqual({
    status: 0,
    said: ['yes the event is in the segment', 'yes the segment is in the log', 'yes the key has signed the log'],
  });
  expect(stranger({ ...proof, event: proof.event?.replace('10.', '11.') }, key).said[0]).toBe(
    'NO  the event is in the segment',
  );
  expect(stranger({ ...proof, checkpoint: proof.checkpoint.replace('2026', '2027') }, key).said[2]).toBe(
    'NO  the key has signed the log',
  );
  expect(stranger(proof, signerWith().publicKey).status).toBe(1);
});

test('a key of the other kind, and an event that is no text', async () => {
  const signer = signerWith('ec');
  const { writer, checkpoint, ...ports } = setting(memoryLog(), 1, signer);
  const raw = Buffer.from([0xff, 0x00, 0xfe]);
  await writer.append('host', [raw, ...someEvents(3)]);
  const last = (await checkpoint()) as Numbered;
  const [place] = await findEvents(ports, readActivity(raw));
  const proof = await prove(ports, place!, last);
  expect(proof.event64).toBe(raw.toString('base64'));
  expect(stranger(proof, signer.publicKey).status).toBe(0);
});

test('each older log is the beginning of the newest', async () => {
  const [other] = [setting(memoryLog())];
  await other.writer.append('file', someEvents(3, 99));
  const foreign = (await other.checkpoint()) as Numbered;
  for await (const item of log.table.range('checkpoint')) {
    const proof = await proveContinuation(log.table, numbered(item), log.last);
    checkContinuation(proof, KEYS);
    expect(() => checkContinuation({ ...proof, old: foreign.note }, KEYS)).toThrow('does not begin with');
  }
  expect((await lastCheckpoint(log.table))?.number).toBe(log.last.number);
});

test('whoever checks a proof has no more than 60 lines to read', () => {
  const lines = readFileSync(new URL('../../docs/check-proof.py', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n');
  expect(lines.length).toBeLessThanOrEqual(60);
});

test('a proof is under 2 KB at 100 million events', async () => {
  const [place] = await findEvents(log, readActivity(log.events[256] as Buffer));
  const proof = await prove(log, place!, log.last);
  const hash = sha256(Buffer.from('any'));
  const join64 = (path: readonly Uint8Array[]) => Buffer.concat(path).toString('base64');
  // The longest paths of segments of 100 and of a million links; 100 million events in a log of 16 shards.
  const large = {
    ...proof,
    event: '',
    segment: { index: 99, size: 100, path: join64(await inclusion(64, 100, () => hash)) },
    log: { index: 999_999, size: 1_000_000, path: join64(await inclusion(0, 1_000_000, () => hash)) },
    link: proof.link.replace(/"seq":\d+/, '"seq":999999').replace(/"count":\d+/, '"count":100'),
    checkpoint: proof.checkpoint.replace(`\n${log.last.statement.size}\n`, '\n1000000\n'),
  };
  expect(JSON.stringify(large).length).toBeLessThan(2_048);
});
