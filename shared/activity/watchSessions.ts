/** Session Manager's sessions, asked for and written down: each once when it is first seen, with how it is recorded, and once when it has ended. */
import { hours, type Time } from '../core/time.ts';
import type { Writer } from './append.ts';
import { endEntry, type SeenSession, startEntry } from './sessionFacts.ts';
import { type Content, isTunnel } from './sessions.ts';
import type { Place } from './trailLayout.ts';
import type { HostsState } from './watchHosts.ts';

/** Session Manager, as it is asked. */
export interface SessionSource {
  /** Those that are open, and those that began after this time and have ended. */
  seen(after: Time): Promise<readonly SeenSession[]>;
  /** What a session document says of where sessions are recorded. */
  recording(document: string): Promise<{ readonly is: Content; readonly because: string }>;
}

/** A session lasts for a day at most; so long after it began its end is looked for. */
const LOOKED_FOR = hours(26);

export const createSessionWatch =
  ({ source, writer, home }: { source: SessionSource; writer: Pick<Writer, 'append'>; home: Place }) =>
  async (known: HostsState['sessions'], now: Time): Promise<HostsState['sessions']> => {
    const seen = await source.seen(now - LOOKED_FOR);
    const entries: Buffer[] = [];
    const recordings = new Map<string, ReturnType<SessionSource['recording']>>();
    const recordingOf = (document: string): ReturnType<SessionSource['recording']> => {
      if (isTunnel(document)) return Promise.resolve({ is: 'tunnel', because: `${document} carries another protocol` });
      const asked = recordings.get(document) ?? source.recording(document);
      recordings.set(document, asked);
      return asked;
    };
    for (const s of seen) {
      const before = known[s.id];
      if (!before) entries.push(startEntry(s, await recordingOf(s.document), home));
      if (s.end !== undefined && !before?.[1]) entries.push(endEntry(s, s.end, home));
    }
    if (entries.length > 0) await writer.append('steward', entries);
    const all = { ...known, ...Object.fromEntries(seen.map((s) => [s.id, [s.from, s.end !== undefined] as const])) };
    return Object.fromEntries(Object.entries(all).filter(([, [from]]) => now - from < 2 * LOOKED_FOR));
  };
