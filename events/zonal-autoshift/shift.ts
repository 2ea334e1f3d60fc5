/** ARC has shifted traffic away from a zone, or back. Source: "Using zonal autoshift with Amazon EventBridge", ARC Developer Guide. */
import * as z from 'zod/mini';
import type { ShiftNews } from '../../shared/core/zoneShifts.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, timeOf } from '../parse.ts';

/** Ids of zones ('euc1-az2', 'usw2-lax1-az1'): what comes here becomes a key. */
const zoneId = z.string().check(z.regex(/^[a-z0-9-]{3,20}$/, { error: 'the id of a zone expected' }));
const detail = z.object({ metadata: z.object({ awayFrom: zoneId }) });

/** An experiment does to the zone what an impairment does: for the time of it the zone is as bad as one. */
const NEWS: Readonly<Record<string, Pick<ShiftNews, 'kind' | 'begins'>>> = {
  'Autoshift In Progress': { kind: 'autoshift', begins: true },
  'Autoshift Completed': { kind: 'autoshift', begins: false },
  'FIS Experiment Autoshift In Progress': { kind: 'experiment', begins: true },
  'FIS Experiment Autoshift Completed': { kind: 'experiment', begins: false },
  'FIS Experiment Autoshift Canceled': { kind: 'experiment', begins: false },
  'Practice Run Started': { kind: 'practice', begins: true },
  'Practice Run Succeeded': { kind: 'practice', begins: false },
  'Practice Run Interrupted': { kind: 'practice', begins: false },
  'Practice Run Failed': { kind: 'practice', begins: false },
};

/** Undefined: of something else, as of a shift that a person began. */
export const fromEventBridge = (event: Envelope): ShiftNews | undefined => {
  const what = event['detail-type'];
  const news = Object.hasOwn(NEWS, what) ? NEWS[what] : undefined;
  if (!news) return undefined;
  const { metadata } = parsed(detail, event.detail, `the event "${what}"`);
  return { ...news, zone: metadata.awayFrom, at: timeOf(event.time) };
};
