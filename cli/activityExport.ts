/** `steward activity export`: a part of the log as files, with what proves that each event is in it. Read with the caller's own credentials, from table and archive. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Line } from '../shared/activity/archiveFile.ts';
import type { WholeCoverage } from '../shared/activity/coverage.ts';
import { days, iso, type Time } from '../shared/core/time.ts';
import { plural } from '../shared/core/words.ts';
import type { ActivityPlace } from '../shared/runtime/activityQuestions.ts';
import { showCoverage } from './activity.ts';
import { csvLine, isFormula } from './csv.ts';
import { Failure } from './failure.ts';
import { clock } from './paint.ts';
import type { Session } from './session.ts';

export interface ExportOptions {
  readonly from?: Time;
  readonly to?: Time;
  readonly account?: string;
  readonly inRegion?: string;
  readonly out: string;
  readonly format: 'ndjson' | 'csv';
}

/** Bytes that are written in one go. */
const CHUNK = 1 << 20;
const MOST_GAPS = 10_000;

/** A new file, and the hash of what was written into it. */
const createSink = (file: string) => {
  const hash = createHash('sha256');
  let handle: FileHandle | undefined;
  let parts: string[] = [];
  let [waiting, bytes] = [0, 0];
  const flush = async (): Promise<void> => {
    const chunk = Buffer.from(parts.join(''));
    [parts, waiting] = [[], 0];
    bytes += chunk.length;
    hash.update(chunk);
    handle ??= await open(file, 'wx');
    await handle.writeFile(chunk);
  };
  return {
    write: async (line: string): Promise<void> => {
      parts.push(line, '\n');
      waiting += line.length;
      if (waiting >= CHUNK) await flush();
    },
    end: async (is: 'events' | 'segments') => {
      await flush();
      await handle?.close();
      return { is, name: basename(file), sha256: hash.digest('hex'), bytes };
    },
  };
};

const COLUMNS = [
  'time',
  'account',
  'region',
  'id',
  'who',
  'what',
  'resources',
  'ip',
  'error',
  'place',
  'event',
  'event64',
] as const;
/** The event is as it came: what a spreadsheet would run goes in base 64. */
const csvOf = ({ resources, event, ...line }: Line): string => {
  const whole =
    event !== undefined && isFormula(event) ? { event64: Buffer.from(event).toString('base64') } : { event };
  const cells: Readonly<Record<string, string | undefined>> = { ...line, ...whole, resources: resources.join(' ') };
  return csvLine(COLUMNS.map((name) => [cells[name] ?? '', name !== 'event']));
};

const namesIn = ({ out, format }: ExportOptions) => {
  if (/\.(ndjson|csv)$/.test(out))
    return { events: out, segments: `${out}.segments.ndjson`, manifest: `${out}.manifest.json`, key: `${out}.pem` };
  mkdirSync(out, { recursive: true });
  const file = (name: string): string => join(out, name);
  return {
    events: file(`events.${format}`),
    segments: file('segments.ndjson'),
    manifest: file('manifest.json'),
    key: file('key.pem'),
  };
};

const gapsOf = ({ gaps }: WholeCoverage) =>
  gaps.map(({ from, to, because, places }) => ({ from: iso(from), to: iso(to), because, places }));

export const exportActivity = async (s: Session, o: ExportOptions): Promise<boolean> => {
  const [{ exportLog }, { coverageIn }] = await Promise.all([
    import('../shared/activity/export.ts'),
    import('../shared/activity/coverage.ts'),
  ]);
  const where = await s.ask<ActivityPlace>({ do: 'activity-where' });
  const { at: now } = where;
  const log = await s.openLog(where);
  const to = Math.min(o.to ?? now, now);
  const range = { from: o.from ?? to - days(1), to };
  if (range.from > to)
    throw new Failure('invalid', `${iso(range.from)} is after ${iso(to)}`, 'give --from before --to');
  const { account, inRegion: region, format } = o;
  const names = namesIn(o);
  for (const file of Object.values(names))
    if (existsSync(file)) throw new Failure('invalid', `${file} is there already`, 'name another --out');
  const [events, segments] = [createSink(names.events), createSink(names.segments)];
  if (format === 'csv') await events.write(COLUMNS.join(','));
  const { sums, checkpoint } = await exportLog(
    log,
    { ...range, account, region },
    {
      event: (line) => events.write(format === 'csv' ? csvOf(line) : JSON.stringify(line)),
      segment: (proof) => segments.write(JSON.stringify(proof)),
    },
  );
  if (!checkpoint) throw new Failure('not-found', 'nothing is signed yet', 'ask again in a minute');
  const coverage = await coverageIn(log.table, range, {
    now,
    most: MOST_GAPS,
    only: (place) =>
      (account === undefined || place.account === account) && (region === undefined || place.region === region),
  });
  const manifest = {
    v: 1,
    from: iso(range.from),
    to: iso(range.to),
    ...(account === undefined ? {} : { account }),
    ...(region === undefined ? {} : { region }),
    format,
    made: iso(now),
    files: [await events.end('events'), await segments.end('segments')],
    ...sums,
    coverage: {
      places: coverage.places,
      hours: coverage.hours,
      states: coverage.states,
      gaps: gapsOf(coverage),
      moreGaps: coverage.moreGaps,
    },
    checkpoint: checkpoint.note,
  };
  writeFileSync(names.manifest, `${JSON.stringify(manifest, null, 2)}\n`, { flag: 'wx' });
  writeFileSync(names.key, log.keys.join('\n'));
  await s.show(manifest, (m, p) => [
    `${names.events}: ${plural(m.events, 'event')} of ${plural(m.segments, 'segment')}, ${clock(range.from)} to ${clock(range.to)}.`,
    ...(m.unsigned > 0 ? [p.yellow(`${plural(m.unsigned, 'segment')} no checkpoint has yet.`)] : []),
    ...(m.absent.length > 0
      ? [
          p.red(
            `${plural(m.absent.length, 'segment')} that may hold more could not be had whole: steward activity verify says why.`,
          ),
        ]
      : []),
    ...showCoverage(
      { ...coverage, gaps: coverage.gaps.slice(0, 10), moreGaps: Math.max(0, coverage.gaps.length - 10) },
      p,
    ),
    `Anyone checks it, without Steward: python3 docs/check-export.py ${names.manifest} ${names.key}`,
  ]);
  return sums.absent.length === 0;
};
