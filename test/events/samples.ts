/** The samples that lie beside the parsers, and the patterns of their rules. */
import { globSync, readFileSync } from 'node:fs';
import { matchesPattern } from './pattern.ts';

const EVENTS = new URL('../../events/', import.meta.url).pathname;

export const textOf = (path: string): string => readFileSync(EVENTS + path, 'utf8');
// The cast: every sample and every pattern is an object, which the tests of each say too.
// biome-ignore lint/suspicious/noExplicitAny: samples are read as what they are, and looked into by tests only
export const jsonOf = (path: string): any => JSON.parse(textOf(path));

/** 'alarm/full-disk.eventbridge' → 'alarm/samples/full-disk.eventbridge.json' */
export const pathOf = (name: string): string => `${name.replace('/', '/samples/')}.json`;
export const sample = (name: string) => jsonOf(pathOf(name));

export const sampleNames: readonly string[] = globSync('*/samples/*.json', { cwd: EVENTS })
  .map((path) => path.replace('/samples/', '/').replace(/\.json$/, ''))
  .sort();

/** By folder: 'alarm', 'ebs-volume' … */
export const patterns: Readonly<Record<string, ReturnType<typeof jsonOf>>> = Object.fromEntries(
  globSync('*/pattern.json', { cwd: EVENTS }).map((path) => [path.replace('/pattern.json', ''), jsonOf(path)]),
);

/** Calls that their rule lets through, which cannot tell that they are nothing to act on: failed, Steward's own, about something else. */
export const quiet: readonly string[] = [
  'ecs-task/did-its-work',
  'logs-api/key-of-query-results',
  'logs-api/refused',
  'logs-api/own',
  'ec2-api/vpc-refused',
  'ecr-api/refused',
  'ecs-api/refused',
  'ecr-api/own',
  'ecr-api/of-another-account',
  'trail-needs/own',
];

/** The folders whose rule lets the event through. */
export const rulesFor = (event: unknown): string[] =>
  Object.keys(patterns)
    .filter((rule) => matchesPattern(patterns[rule], event as never))
    .sort();
