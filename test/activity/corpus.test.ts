/** Real CloudTrail records (see test/events/corpus.test.ts for where they are): all are stored, and found again byte for byte. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { readActivity } from '../../shared/activity/record.ts';
import { verify } from '../../shared/activity/verify.ts';
import { aLog, allRows, KEYS, rawTexts } from './setting.ts';

const CORPUS = new URL('../../../shared/corpus/', import.meta.url).pathname;
const there = existsSync(CORPUS);
if (!there) console.warn('skipped: real AWS events are read only where ../shared/corpus is beside the repository');

/** The event's own bytes in the line: nothing is parsed and written again. */
const eventIn = (line: string): Buffer => Buffer.from(line.slice(line.indexOf(',"event":') + 9, -1));

(there ? test : test.skip)(
  'each is kept, and found by who, what, resource and address',
  async () => {
    const events = globSync('cloudtrail*.jsonl', { cwd: CORPUS })
      .flatMap((file) =>
        readFileSync(CORPUS + file, 'utf8')
          .trim()
          .split('\n'),
      )
      .map(eventIn);
    const log = aLog(4);
    for (let at = 0; at < events.length; at += 100) {
      await log.writer.append('file', events.slice(at, at + 100));
      if (at % 1_000 === 0) await log.checkpoint();
    }
    await log.checkpoint();
    const rows = await allRows(log, {});
    expect(events).toHaveLength(4_073);
    expect(rawTexts(rows)).toEqual(events.map((e) => e.toString('latin1')).sort());
    expect((await verify({ ...log, keys: KEYS })).findings).toEqual([]);

    for (const raw of events.filter((_, n) => n % 250 === 0)) {
      const { who, what, resources, ip } = readActivity(raw);
      const [actor, resource] = [who[0], resources[0]];
      const wanted = {
        action: what,
        ...(actor ? { actor } : {}),
        ...(resource ? { resource } : {}),
        ...(ip ? { ip } : {}),
      };
      expect(rawTexts(await allRows(log, wanted))).toContain(raw.toString('latin1'));
    }
  },
  60_000,
);
