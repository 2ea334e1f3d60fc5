/** The record of a service's releases, for people. */
import type { Release, ReleaseState } from '../shared/core/releases.ts';
import { shortOf } from '../shared/core/services.ts';
import type { ReleaseList } from '../shared/runtime/releases.ts';
import { ago, type Cell, clock, type Paint, table, tidy, timeOf, who } from './paint.ts';

/** 'rolled-back' → 'ROLLED_BACK' */
const wordOf = (state: ReleaseState): string => state.toUpperCase().replaceAll('-', '_');

const tone = (state: ReleaseState, p: Paint) =>
  ({
    unproven: p.yellow,
    current: p.green,
    previous: p.dim,
    failed: p.red,
    'rolled-back': p.red,
    superseded: p.dim,
  })[state];

/** '64 hex digits' → twelve of them, as docker shows them. Containers by name where there are several. */
const digestsOf = ({ images }: Release): string =>
  images
    .map(({ name, digest }) => {
      const short = digest?.replace(/^sha256:/, '').slice(0, 12) ?? 'unknown';
      return images.length > 1 ? `${name} ${short}` : short;
    })
    .join(', ');

const revisionOf = (r: Release, list: readonly Release[]): string => {
  const copied = list.find((o) => o.deployment === r.copyOf);
  return `${shortOf(r.definition)}${copied ? ` (= ${shortOf(copied.definition)})` : ''}${r.migration ? ', migration' : ''}`;
};

const wordsOf = (r: Release): string =>
  r.because === undefined || r.because === r.health ? r.health : `${r.because}; measured: ${r.health}`;

export const showReleases = ({ releases: { list, wanted }, at, target }: ReleaseList, p: Paint): string[] => [
  p.bold(target.split('/').slice(-2).join('/')),
  ...table(
    [
      ['REVISION', 'DIGEST', 'STATE', 'SINCE', 'BY', 'HEALTH'].map((head): Cell => [head, p.dim]),
      ...list.map((r): Cell[] => [
        [revisionOf(r, list), p.bold],
        digestsOf(r),
        [wordOf(r.state), tone(r.state, p)],
        ago(r.decidedAt ?? r.since, at),
        who(r.by ?? ''),
        tidy(wordsOf(r), at),
      ]),
    ],
    p,
  ),
  ...(wanted ? ['', p.yellow(`${who(wanted.by)} asked to go back ${ago(wanted.at, at)}: ${wanted.why}`)] : []),
  '',
  p.dim('One with its log lines: steward release show <service> <revision>'),
];

export const showRelease = (answer: ReleaseList, p: Paint): string[] => {
  const { of: r, bundle, at, releases } = answer;
  if (!r) return showReleases(answer, p);
  const facts: [string, string][] = [
    ['state', wordOf(r.state)],
    ['deployed', `${clock(r.since)}, ${ago(r.since, at)}, as ${r.deployment}`],
    ...(r.decidedAt === undefined
      ? []
      : ([['decided', `${clock(r.decidedAt)} by ${who(r.by ?? 'nobody')}`]] as [string, string][])),
    ['health', tidy(wordsOf(r), at)],
    ...r.images.map(({ name, image, digest }): [string, string] => [name, `${image} ${digest ?? 'digest unknown'}`]),
  ];
  const section = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : ['', p.bold(title), ...lines.map((line) => `  ${line}`)];
  return [
    p.bold(revisionOf(r, releases.list)),
    ...table(facts, p),
    ...section(
      'Requests',
      r.probes.map((one) => `${timeOf(one.at, at)} ${one.say}`),
    ),
    ...section('What ECS said', bundle?.events ?? []),
    ...section(
      `Its last ${bundle?.lines.length ?? 0} log lines${bundle && bundle.dropped > 0 ? ` (${bundle.dropped} before them had no room)` : ''}`,
      bundle?.lines ?? [],
    ),
    ...(bundle ? ['', p.dim(`The incident: steward why ${bundle.incident}`)] : []),
  ];
};
