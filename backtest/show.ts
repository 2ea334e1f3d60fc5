/** A backtest for people. */
import type { Paint } from '../cli/paint.ts';
import { iso } from '../shared/core/time.ts';
import { type Backtest, type Case, cameTo, type Difference } from './backtest.ts';

const plural = (n: number, what: string): string => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;
const when = (t: number): string => iso(t).slice(0, 16).replace('T', ' ');
const shortArn = (arn: string): string => arn.split(':').slice(3).join(':');

const tally = (words: readonly string[]): readonly (readonly [string, number])[] => {
  const counts = new Map<string, number>();
  for (const w of words) counts.set(w, (counts.get(w) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
};

const caseLines = (c: Case, p: Paint): string[] => [
  `${when(c.at)}  ${p.bold(shortArn(c.target))}  ${c.kind}`,
  `  ${c.incident?.state === 'closed' ? p.green(cameTo(c)) : c.incident ? p.yellow(cameTo(c)) : p.dim('no remediation answers it')}`,
  ...(c.incident ? [p.dim(`  presumed: ${c.presumed}`)] : []),
];

const sums = ({ cases }: Backtest, p: Paint): string[] => {
  const done = tally(cases.flatMap((c) => (c.incident ? c.incident.did.map(() => c.incident?.remediation ?? '') : [])));
  const refused = tally(cases.flatMap((c) => [...new Set(c.incident?.refused.map((r) => r.guard) ?? [])]));
  const ends = tally(cases.flatMap((c) => (c.incident ? [c.incident.end ?? c.incident.state] : ['nothing'])));
  const list = (title: string, rows: readonly (readonly [string, number])[]) =>
    rows.length > 0 ? [`${p.bold(title)} ${rows.map(([w, n]) => `${w} ${n}`).join(' · ')}`] : [];
  return [...list('Came to:', ends), ...list('Steps:', done), ...list('Refused by:', refused)];
};

/** How many reasons and unread events are shown; --json has all. */
const SHOWN = 5;

export const showBacktest = (
  { result, missing = [], all }: { result: Backtest; missing?: readonly string[]; all?: boolean },
  p: Paint,
): string[] => {
  const ignored = Object.entries(result.ignored).sort((a, b) => b[1] - a[1]);
  const nothing = ignored.reduce((sum, [, n]) => sum + n, 0);
  const over = result.from === undefined ? '' : ` from ${when(result.from)} to ${when(result.to ?? result.from)} UTC`;
  return [
    p.bold(`${plural(result.events, 'event')}${over}`),
    `${plural(result.cases.length, 'trouble')} told · ${nothing.toLocaleString('en')} nothing to Steward · ${result.unread.length.toLocaleString('en')} could not be read`,
    ...missing.map((m) => p.yellow(`not looked at: ${m}`)),
    ...sums(result, p),
    '',
    ...result.cases.slice(0, all ? undefined : 200).flatMap((c) => caseLines(c, p)),
    ...(result.unread.length > 0 ? ['', p.bold('Could not be read')] : []),
    ...result.unread.slice(0, all ? undefined : SHOWN).map((u) => p.dim(`${u.from}: ${u.because}`)),
    ...(!all && result.unread.length > SHOWN ? [p.dim(`… and ${result.unread.length - SHOWN} more: --all`)] : []),
    '',
    p.dim(
      'Targets are presumed to have the trouble that their signal names; the guards and the policy are the real ones.',
    ),
  ];
};

export const showDifferences = (given: readonly Difference[], p: Paint): string[] => [
  '',
  p.bold(
    given.length === 0
      ? 'Both policies come to the same'
      : `${plural(given.length, 'case')} differ under the other policy`,
  ),
  ...given.flatMap((d) => [
    `${when(d.at)}  ${p.bold(shortArn(d.target))}  ${d.kind}`,
    `  ${p.red('−')} ${d.before}`,
    `  ${p.green('+')} ${d.after}`,
  ]),
];
