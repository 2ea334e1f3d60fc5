/** What runs on a host: these documents and nothing else. Each answers with one JSON object of its schema; `inspect-…` change nothing. */
import type * as z from 'zod/mini';
import { agentsReport, beatReport, mendReport } from './agents.ts';
import { cleanReport, diskReport, growReport } from './disk.ts';
import { loadReport, restartReport } from './load.ts';
import { watchReport } from './shipping.ts';

export const reports = {
  'inspect-disk': diskReport,
  'inspect-load': loadReport,
  'inspect-agents': agentsReport,
  'clean-disk': cleanReport,
  'grow-filesystem': growReport,
  'restart-unit': restartReport,
  'mend-agent': mendReport,
  'beat-agent': beatReport,
  'watch-host': watchReport,
} as const;

export type DocumentName = keyof typeof reports;
export type Inspection = Extract<DocumentName, `inspect-${string}`>;
export type Change = Exclude<DocumentName, Inspection>;
export type ReportOf<D extends DocumentName> = z.output<(typeof reports)[D]>;
