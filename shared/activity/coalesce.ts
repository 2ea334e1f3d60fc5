/**
 * A flood of reads, told shortly: of calls that change nothing, by one actor, of one kind and outcome, in one file, the first so many and the last are kept as they came, and one entry says how many
 * were between them. The same file gives the same, so that what is read again is known. Off unless steward.yml says how many is a flood; what changes something is always kept whole.
 *
 *     kept kept kept … (so many)   ┆ held, counted, counted, …, counted ┆   → summary, last
 */
import { createHash } from 'node:crypto';
import { iso, type Time } from '../core/time.ts';
import { type Activity, readActivity } from './record.ts';

/** Groups of one file: more actors than this are no flood of any of them. */
const MOST_GROUPS = 10_000;
/** Names that a summary is found by; with more, every search for a resource looks at it. */
const MOST_NAMES = 200;

interface Group {
  kept: number;
  /** The latest, not yet given. */
  held: { readonly raw: Uint8Array; readonly activity: Activity } | undefined;
  count: number;
  from: Time;
  to: Time;
  readonly names: Set<string>;
  readonly ids: ReturnType<typeof createHash>;
}

const isRead = (raw: Uint8Array): boolean =>
  Buffer.from(raw.buffer, raw.byteOffset, raw.length).includes('"readOnly":true');

const groupOf = ({ account, region, who: [who = 'unknown'], what, ip = '', error = '' }: Activity): string =>
  [account, region, who, what, ip, error].join('\n');

/** In the shape of the calls that it stands for: whoever looks for them finds it. */
const summaryOf = (key: string, file: string, { held, count, from, to, names, ids }: Group): Buffer => {
  const like = JSON.parse(Buffer.from(held?.raw ?? '{}').toString('utf8')) as Record<string, unknown>;
  const id = createHash('sha256').update(`${file}\n${key}`).digest('hex').slice(0, 32);
  return Buffer.from(
    JSON.stringify({
      ...like,
      eventID: `steward/coalesced/${id}`,
      eventTime: iso(from),
      requestID: undefined,
      responseElements: null,
      requestParameters: { resourceNames: [...names] },
      additionalEventData: { coalesced: { count, from: iso(from), to: iso(to), file, idsSha256: ids.digest('hex') } },
    }),
  );
};

/** @param above so many alike are kept before they count as a flood @param file its name: of what the summary is */
export const createCoalescer = (above: number, file: string) => {
  const groups = new Map<string, Group>();

  const count = (group: Group, { activity }: NonNullable<Group['held']>): void => {
    group.count++;
    group.from = group.count === 1 ? activity.time : Math.min(group.from, activity.time);
    group.to = Math.max(group.to, activity.time);
    group.ids.update(`${activity.id}\n`);
    for (const name of activity.resources) if (group.names.size < MOST_NAMES) group.names.add(name);
  };
  const known = (key: string): Group | undefined => {
    const group = groups.get(key);
    if (group || groups.size >= MOST_GROUPS) return group;
    const made: Group = {
      kept: 0,
      held: undefined,
      count: 0,
      from: 0,
      to: 0,
      names: new Set(),
      ids: createHash('sha256'),
    };
    groups.set(key, made);
    return made;
  };

  return {
    /** @returns whether it is to be written as it is; else it is held */
    keeps: (raw: Uint8Array): boolean => {
      if (!isRead(raw)) return true;
      const activity = readActivity(raw);
      const group = known(groupOf(activity));
      if (!group || activity.unreadable !== undefined) return true;
      if (group.kept < above) {
        group.kept++;
        return true;
      }
      if (group.held) count(group, group.held);
      group.held = { raw, activity };
      return false;
    },
    /** At the end of the file: what was held, and what stands for the rest. */
    end: (): Uint8Array[] =>
      [...groups].flatMap(([key, group]): Uint8Array[] => {
        if (!group.held) return [];
        return group.count > 0 ? [summaryOf(key, file, group), group.held.raw] : [group.held.raw];
      }),
  };
};
