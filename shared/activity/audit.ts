/**
 * Reads what EventBridge did not bring, and writes down what is known of each hour: from the files of the trail that is there, or from LookupEvents where none is. One run
 * does what it has time for; the marks say where the next one goes on. It adds to the log and to its facts, and changes nothing.
 */
import { days, hourOf, hours, minutes, type Time } from '../core/time.ts';
import type { Writer } from './append.ts';
import { merged } from './digest.ts';
import { putHours } from './hourFacts.ts';
import type { Item, LogTable, TrailFiles } from './log.ts';
import { addPlaces, lastMark, type Mark, type NumberedMark, putMark, type Trouble } from './marks.ts';
import { createFileReader, type Draft, draftOf, note, OVERLAP, type Reading } from './readFiles.ts';
import { type Lookup, readLookup } from './readLookup.ts';
import { type Finding, NONE, plus, settleHours } from './settleHours.ts';
import { chooseTrail, foldersOf, stopOf } from './trailInUse.ts';
import { type Folder, type Place, placeName, type TrailInUse } from './trailLayout.ts';
import { type DigestKeys, type Vouched, vouch } from './vouch.ts';

/** CloudTrail, as the auditor needs it. */
export interface TrailSource {
  /** Those that record this account's management events. */
  trails(): Promise<readonly TrailInUse[]>;
  files(trail: TrailInUse): TrailFiles;
  readonly keys: DigestKeys;
  readonly lookup: Lookup;
}

export interface AuditOptions {
  readonly source: TrailSource;
  readonly table: LogTable;
  readonly writer: Writer;
  readonly now: () => Time;
  readonly sleep: (ms: number) => Promise<void>;
  /** Steward's own: LookupEvents reads no other. */
  readonly home: Place;
  /** Names of the trails that steward.yml declares: they come first. */
  readonly declared: readonly string[];
  /** So far back a first run begins. */
  readonly backfillDays: number;
  /** So many reads alike in one file are told shortly; 0: all are kept whole. */
  readonly flood?: number;
}

export interface Audited {
  readonly trail?: string;
  readonly files: number;
  /** Events that the log did not have yet, and those that EventBridge had brought. */
  readonly added: number;
  readonly brought: number;
  /** The time of which not all files are read, of the place that is furthest behind. */
  readonly behind: number;
  /** False: there is more, and the next run should begin at once. */
  readonly whole: boolean;
  /** Those that are new. */
  readonly findings: readonly Finding[];
}

/** Once a day everything of so many days is looked at again: what came late, and what was altered or deleted since. */
const RELOOK = days(3);
/** Troubles of so long are kept in the marks. */
const TROUBLES = days(4);
const MOST_TROUBLES = 100;
/** Before a stop and after it: CloudTrail's times are of different clocks. */
const STOP_MARGIN = minutes(5);
/** A mark that says only that nothing was new is written so often. */
const QUIET = minutes(10);

interface Step extends Vouched {
  readonly whole: boolean;
  readonly trail?: TrailInUse;
  /** How far LookupEvents was read for the time in which the trail did not log. */
  readonly stopRead?: Mark['stopRead'];
}
interface Learned {
  readonly draft: Draft;
  readonly step: Step;
  /** Everything since was looked at anew. */
  readonly again: Time | undefined;
}

const upToHour = (t: Time): Time => Math.ceil(t / hours(1)) * hours(1);
/** Since when hours are claimed: since the first look, or since digests vouch for them. */
const claimOf = (last: Mark, vouched: Mark['vouched']): Pick<Mark, 'since' | 'settledTo'> => {
  if (last.vouched || !vouched) return { since: last.since, settledTo: last.settledTo };
  return { since: upToHour(vouched[0]), settledTo: upToHour(vouched[0]) };
};

const stateOf = (trail: TrailInUse, at: Time): NonNullable<Mark['trail']> => {
  const off = stopOf(trail, at);
  return { logging: trail.logging, validated: trail.validation, ...(off ? { off } : {}) };
};

const markAfter = (last: Mark, { draft, step, again }: Learned, at: Time): Mark => {
  const { trail, covered, vouched = last.vouched, stopRead = last.stopRead } = step;
  const kept = again === undefined ? last.covered : last.covered.filter(([, to]) => to <= again);
  return {
    v: 1,
    readTo: draft.readTo,
    files: draft.files,
    ...(draft.within ? { within: draft.within } : {}),
    counts: [...draft.counts].map(([hour, c]): [Time, number, number] => [hour, c.brought, c.added]),
    ...(vouched ? { vouched } : {}),
    ...(stopRead ? { stopRead } : {}),
    covered: merged([...kept, ...covered]),
    troubles: draft.troubles.filter(([, to]) => to > at - TROUBLES).slice(-MOST_TROUBLES),
    ...claimOf(last, vouched),
    relookedAt: again === undefined ? last.relookedAt : at,
    ...(trail ? { trail: stateOf(trail, at) } : {}),
  };
};

const isWorthwhile = (before: NumberedMark | undefined, mark: Mark): boolean => {
  if (!before || mark.files.length > 0 || mark.counts.length > 0) return true;
  const told = ({ settledTo, vouched, stopRead, relookedAt, within, troubles, trail }: Mark): string =>
    JSON.stringify([settledTo, vouched, stopRead, relookedAt, within, troubles.length, trail]);
  return told(mark) !== told(before.mark) || mark.readTo >= before.mark.readTo + QUIET;
};

/** Where a run begins: with what has come since, and once a day with the last days as well, whose troubles are then found anew. */
const planOf = (mark: Mark, now: Time) => {
  const vouchedTo = mark.vouched?.[1] ?? mark.readTo - OVERLAP;
  if (now < mark.relookedAt + days(1))
    return {
      relook: undefined,
      draft: draftOf(mark),
      aside: [],
      filesSince: mark.readTo - OVERLAP,
      digestsSince: vouchedTo,
    };
  const relook = now - RELOOK;
  const isOver = ([, to]: Trouble): boolean => to <= relook;
  return {
    relook,
    draft: draftOf({ ...mark, troubles: mark.troubles.filter(isOver) }),
    aside: mark.troubles,
    filesSince: Math.min(relook, mark.readTo - OVERLAP),
    digestsSince: Math.max(mark.vouched?.[0] ?? 0, Math.min(relook, vouchedTo)),
  };
};

export const createAuditor = ({
  source,
  table,
  writer,
  now,
  sleep,
  home,
  declared,
  backfillDays,
  flood = 0,
}: AuditOptions) => {
  /** Folders change rarely. */
  let folders: { readonly of: string; readonly at: Time; readonly list: readonly Folder[] } | undefined;
  /** The place at which the last run ended. */
  let turn = 0;
  /** Facts of hours that this run has found, and the marks that count on them. */
  let settling: { readonly items: readonly Item[]; readonly put: () => Promise<void> }[] = [];

  const placesIn = async (trail: TrailInUse, files: TrailFiles): Promise<readonly Folder[]> => {
    const of = `${trail.bucket} ${trail.prefix} ${trail.organization}`;
    if (folders?.of === of && now() < folders.at + hours(1)) return folders.list;
    const list = await foldersOf(trail, files, home);
    await addPlaces(table, list);
    // A trail that has delivered nothing yet will in a moment.
    if (list.length > 0) folders = { of, at: now(), list };
    return list;
  };

  /** @param claimed the first hour of which something will be said */
  const begin = (claimed: Time = hourOf(now())): Mark => ({
    v: 1,
    readTo: firstHour(),
    files: [],
    counts: [],
    covered: [],
    troubles: [],
    since: claimed,
    settledTo: claimed,
    relookedAt: now(),
  });
  const firstHour = (): Time => hourOf(now() - days(backfillDays));

  /** From what a step learned to the next mark, and the hours that are settled by it. */
  const conclude = async (
    place: Place,
    { before, last }: { readonly before: NumberedMark | undefined; readonly last: Mark },
    { draft, step, again }: Learned,
  ) => {
    const at = now();
    const mark = markAfter(last, { draft, step, again }, at);
    const anew = again === undefined ? mark.settledTo : Math.max(mark.since, upToHour(again));
    const { settledTo, items, gaps } = await settleHours({ table, now: at }, place, {
      mark,
      since: Math.min(anew, mark.settledTo),
    });
    const next: Mark = { ...mark, settledTo, covered: mark.covered.filter(([, to]) => to > settledTo - hours(1)) };
    const put = async (): Promise<void> => {
      if (isWorthwhile(before, next)) await putMark(table, { place, mark: next, after: before?.at ?? 0, now: at });
    };
    if (items.length > 0) settling.push({ items, put });
    else await put();
    const sum = [...draft.counts.values()].reduce(plus, NONE);
    const found = step.findings.map((f): Finding => ({ from: at, to: at, ...f, ...place }));
    const behind = at - draft.readTo;
    return { files: draft.files.length, ...sum, whole: step.whole, behind, findings: [...found, ...gaps] };
  };

  /** What CloudTrail's own history knows of the time in which the trail did not log: EventBridge heard nothing of it either. Of Steward's own region. */
  const readStop = async (
    place: Place,
    trail: TrailInUse,
    { mark, draft, reading }: { readonly mark: Mark; readonly draft: Draft; readonly reading: Reading },
  ): Promise<Mark['stopRead']> => {
    const stop = stopOf(trail, now());
    if (!stop || placeName(place) !== placeName(home) || stop[1] <= mark.since) return mark.stopRead;
    const from = Math.max(stop[0] - STOP_MARGIN, mark.since - OVERLAP);
    const known = mark.stopRead && mark.stopRead.readTo > from ? mark.stopRead : { readTo: from };
    const own = { ...draftOf({ readTo: known.readTo, within: known.within, troubles: [] }), counts: draft.counts };
    await readLookup({ ...reading, lookup: source.lookup, sleep, end: stop[1] + STOP_MARGIN }, own);
    return { readTo: own.readTo, ...(own.within ? { within: own.within } : {}) };
  };

  const readFolder = async (
    folder: Folder,
    trail: TrailInUse,
    reading: Reading & { readonly files: TrailFiles },
  ): Promise<Audited> => {
    const place: Place = { account: folder.account, region: folder.region };
    const before = await lastMark(table, place);
    const mark = before?.mark ?? begin();
    const { draft, aside, relook, filesSince, digestsSince } = planOf(mark, now());
    const reader = createFileReader(reading, folder, draft);
    const read = await reader.since(filesSince);
    const own = { folder, trail, reader, mark, since: digestsSince, now: now(), hasTime: reading.hasTime };
    const vouched = await vouch({ ...own, files: reading.files, keys: source.keys }, draft);
    const stopRead = await readStop(place, trail, { mark, draft, reading });
    const whole = read && !vouched.more;
    const isSeen = whole && (vouched.vouched !== undefined || !trail.validation);
    // What a second look has not come to is as it was.
    if (!isSeen) for (const trouble of aside) note(draft, trouble);
    const again = isSeen ? relook : undefined;
    return conclude(place, { before, last: mark }, { draft, step: { ...vouched, trail, whole, stopRead }, again });
  };

  const readHistory = async (reading: Reading): Promise<Audited> => {
    await addPlaces(table, [home]);
    const before = await lastMark(table, home);
    const mark = before?.mark ?? begin(firstHour());
    // What a trail that is gone had recorded and not delivered, its history has.
    const draft = draftOf(mark.trail ? { ...mark, readTo: mark.readTo - OVERLAP } : mark);
    const whole = await readLookup({ ...reading, lookup: source.lookup, sleep }, draft);
    const step: Step = { covered: [], findings: [], more: !whole, whole };
    return conclude(home, { before, last: mark }, { draft, step, again: undefined });
  };

  const together = (a: Audited, b: Audited): Audited => ({
    files: a.files + b.files,
    added: a.added + b.added,
    brought: a.brought + b.brought,
    behind: Math.max(a.behind, b.behind),
    whole: a.whole && b.whole,
    findings: [...a.findings, ...b.findings],
  });

  /** One entry of the log for all places of the run; then the facts, then the marks. What a run does not come to, the next finds again. */
  const settle = async (): Promise<void> => {
    await putHours(
      { table, writer, now: now(), home },
      settling.flatMap(({ items }) => items),
    );
    for (const { put } of settling) await put();
  };

  const run = async (hasTime: () => boolean): Promise<Audited> => {
    const nothing: Audited = { files: 0, added: 0, brought: 0, behind: 0, whole: true, findings: [] };
    const reading: Reading = { table, writer, now, hasTime, flood };
    const trail = chooseTrail(await source.trails(), declared);
    if (!trail) return readHistory(reading);
    const files = source.files(trail);
    const places = await placesIn(trail, files);
    let sum = nothing;
    for (let n = 0; n < places.length; n++) {
      if (!hasTime()) return { ...sum, whole: false, trail: trail.name };
      const folder = places[turn % places.length] as Folder;
      sum = together(sum, await readFolder(folder, trail, { ...reading, files }));
      turn++;
    }
    return { ...sum, trail: trail.name };
  };

  return async (hasTime: () => boolean): Promise<Audited> => {
    settling = [];
    const audited = await run(hasTime);
    await settle();
    return audited;
  };
};
export type Auditor = ReturnType<typeof createAuditor>;
