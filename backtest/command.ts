/** `steward backtest`: reads the past, runs it, shows what would have been. Nothing in the account is changed. */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { paintOf } from '../cli/paint.ts';
import type { Io } from '../cli/session.ts';
import { checkPolicy, loadPolicy } from '../resources/policy.ts';
import { InvalidInput } from '../shared/core/errors.ts';
import type { Policy } from '../shared/core/policy.ts';
import { days } from '../shared/core/time.ts';
import { remediations } from '../shared/remediations/index.ts';
import { backtest, differences } from './backtest.ts';
import { eventsIn, type PastEvent, pastOf } from './past.ts';
import type { Estate } from './patients.ts';
import { showBacktest, showDifferences } from './show.ts';

export interface Options {
  readonly from?: string;
  readonly to?: string;
  readonly policy?: string;
  readonly all?: boolean;
  readonly json?: boolean;
  readonly color: boolean;
  readonly region?: string;
  readonly profile?: string;
}

const timeOf = (text: string, option: string): number => {
  const ago = /^(\d{1,3})d$/.exec(text)?.[1];
  const at = ago === undefined ? Date.parse(text) : Date.now() - days(Number(ago));
  if (Number.isNaN(at))
    throw new InvalidInput(`${option} '${text}' is not a time: give 2026-11-01, 2026-11-01T12:00Z or 30d`);
  return at;
};

/** Names of the API calls in the patterns of the rules: the ones that CloudTrail is asked for. */
const listenedCalls = (): readonly string[] => {
  const events = fileURLToPath(new URL('../events/', import.meta.url));
  const names = globSync('*/pattern.json', { cwd: events }).flatMap((file) => {
    const { detail } = JSON.parse(readFileSync(`${events}${file}`, 'utf8')) as { detail?: { eventName?: unknown } };
    return Array.isArray(detail?.eventName) ? detail.eventName.filter((n) => typeof n === 'string') : [];
  });
  return [...new Set(names)].sort();
};

const read = async (
  files: readonly string[],
  o: Options,
  env: Io['env'],
): Promise<{ past: readonly PastEvent[]; estate: Estate; missing: readonly string[] }> => {
  const from = o.from === undefined ? undefined : timeOf(o.from, '--from');
  const to = o.to === undefined ? undefined : timeOf(o.to, '--to');
  if (files.length > 0) {
    const past = pastOf(eventsIn(files)).filter((e) => e.at >= (from ?? 0) && e.at <= (to ?? Number.POSITIVE_INFINITY));
    return { past, estate: {}, missing: [] };
  }
  const region = o.region ?? env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'];
  if (!region) throw new InvalidInput('name the region (--region), or the files of past events');
  const { pastOfAccount } = await import('./account.ts');
  const span = { from: from ?? Date.now() - days(30), to: to ?? Date.now() };
  const found = await pastOfAccount({ region, ...(o.profile ? { profile: o.profile } : {}) }, listenedCalls(), span);
  return { past: pastOf(found.events), estate: found.estate, missing: found.missing };
};

const policyIn = (file: string): Policy => {
  try {
    return checkPolicy(readFileSync(file, 'utf8'), file, remediations);
  } catch (cause) {
    throw new InvalidInput((cause as Error).message, { cause });
  }
};

export const backtestCommand = async (files: readonly string[], o: Options, io: Io): Promise<void> => {
  const { past, estate, missing } = await read(files, o, io.env);
  const result = await backtest(past, loadPolicy(remediations), estate);
  const other = o.policy === undefined ? undefined : await backtest(past, policyIn(o.policy), estate);
  const differ = other && differences(result, other);
  if (o.json) {
    io.out(JSON.stringify({ ...result, missing, ...(differ ? { differences: differ } : {}) }, null, 2));
    return;
  }
  const paint = paintOf(io.colors && o.color, io.width);
  const lines = showBacktest({ result, missing, ...(o.all ? { all: true } : {}) }, paint);
  io.out([...lines, ...(differ ? showDifferences(differ, paint) : [])].join('\n'));
};
