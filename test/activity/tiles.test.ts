/** What is folded into tiles: still known to a writer that begins anew, still found, made again after a crash, and held against the links. */
import { createWriter } from '../../shared/activity/append.ts';
import { verify } from '../../shared/activity/verify.ts';
import { seconds } from '../../shared/core/time.ts';
import { type Mishap, memoryLog } from '../../world/memoryLog.ts';
import { ACCOUNT, allRows, KEYS, NOW, setting, someEvents } from './setting.ts';

const LINKS = 300;
const filled = async (mishap?: (call: string) => Mishap | undefined) => {
  const memory = memoryLog(mishap);
  const log = setting(memory, 1);
  const events = someEvents(LINKS);
  for (const event of events) {
    await log.writer.append('file', [event]);
    log.clock.now += seconds(1);
  }
  return { memory, events, ...log };
};

test('a writer that begins anew knows what is in tiles', async () => {
  const { memory, events, checkpoint } = await filled();
  await checkpoint();
  const fresh = createWriter({ ...memory, now: () => NOW, shards: 1 });
  expect(await fresh.append('file', events)).toMatchObject({ written: 0, known: LINKS });
});

test('a call with more names than a link has room for is found by each of them, in a tile too', async () => {
  const names = Array.from({ length: 90 }, (_, n) => ({ instanceId: `i-${n}-of-many` }));
  const many = Buffer.from(
    JSON.stringify({ eventID: 'many', recipientAccountId: ACCOUNT, requestParameters: { items: names } }),
  );
  const memory = memoryLog();
  const { writer, checkpoint } = setting(memory, 1);
  await writer.append('file', [many]);
  for (const event of someEvents(LINKS)) await writer.append('file', [event]);
  expect(await allRows(memory, { resource: 'i-89-of-many' })).toHaveLength(1);
  await checkpoint();
  expect(await allRows(memory, { resource: 'i-89-of-many' })).toHaveLength(1);
  expect(await allRows(memory, { resource: 'i-90-of-many' })).toHaveLength(0);
});

test.each(['put tile', 'put index', 'put node', 'put object'])(
  'a checkpointer that dies at %s: the next one makes the tile',
  async (at) => {
    let dying = true;
    const { memory, checkpoint, writer } = await filled((call) => (dying && call === at ? 'crash' : undefined));
    await expect(checkpoint()).rejects.toThrow('the process ended');
    dying = false;
    for (const event of someEvents(LINKS, 2)) await writer.append('file', [event]);
    await checkpoint();
    expect([...memory.items.get('node')!.keys()]).toEqual([0, 1]);
    expect(await verify({ ...memory, keys: KEYS })).toMatchObject({ findings: [], links: 2 * LINKS, unsigned: 0 });
  },
);

test.each(['tile', 'index', 'node'])('a changed or deleted %s is found', async (partition) => {
  const { memory, checkpoint, writer } = await filled();
  await checkpoint();
  await writer.append('file', someEvents(1, 3));
  await checkpoint();
  const slots = memory.items.get(partition)!;
  const stored = slots.get(0)!;
  const places = async () => (await verify({ ...memory, keys: KEYS })).findings.map((f) => f.place);
  expect(await places()).toEqual([]);
  const bytes = Buffer.from(stored.bytes);
  bytes[bytes.length - 2]! ^= 1;
  slots.set(0, { ...stored, bytes });
  expect(await places()).toEqual([`${partition} 0`]);
  slots.delete(0);
  expect(await places()).toEqual([`${partition} 0`]);
});
