/** Reads the user's steward.yml when the stack is packaged. What is deployed is the checked object; a file with a mistake deploys nothing. */
import { existsSync, readFileSync } from 'node:fs';
import { isNode, LineCounter, parseDocument } from 'yaml';
import * as z from 'zod';
import { type Configurable, type Policy, policySchema, resolvePolicy } from '../shared/core/policy.ts';
import { latestRun, openUntil } from '../shared/core/windows.ts';

/** zod/mini, which the policy is written in, has no words of its own. */
z.config(z.locales.en());

type Path = readonly PropertyKey[];
interface Problem {
  readonly line: number | undefined;
  readonly option: string;
  readonly say: string;
}

/** 'remediations.full-disk.usedPercent', 'freeze[0].cron' */
const nameOf = (path: Path): string =>
  path.reduce<string>((name, p) => (typeof p === 'number' ? `${name}[${p}]` : `${name}${name && '.'}${String(p)}`), '');

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((v, p) => (v as Record<PropertyKey, unknown> | null | undefined)?.[p], value);

/** What was given, unless it may be a secret that someone wrote where its name belongs. */
const shown = (path: Path, value: unknown): string => {
  if (value === undefined) return 'nothing';
  return path.at(-1) === 'secret'
    ? 'something else (not shown: if it is the secret itself, replace it)'
    : JSON.stringify(value);
};

/** Of several that a section may be, the one whose constants it names; else all that they allow, as one. */
const chosen = (s: Schema | undefined, given: unknown): Schema | undefined => {
  const choices = s?.oneOf ?? s?.anyOf;
  if (!choices) return s;
  const isNamed = ({ properties = {} }: Schema): boolean =>
    Object.entries(properties).some(([k, p]) => p.const !== undefined && p.const === valueAt(given, [k]));
  return choices.find(isNamed) ?? { properties: { type: { enum: choices.map((c) => c.properties?.['type']?.const) } } };
};
const partOf = (s: Schema | undefined, p: PropertyKey): Schema | undefined =>
  typeof p === 'number' ? s?.items : (s?.properties?.[String(p)] ?? s?.additionalProperties);
/** What is allowed at a path, under what is given there. */
const schemaAt = (schema: Schema, path: Path, given: unknown): Schema | undefined =>
  path.reduce<Schema | undefined>(
    (s, p, n) => chosen(partOf(s, p), valueAt(given, path.slice(0, n + 1))),
    chosen(schema, given),
  );

const allowedText = (s: Schema | undefined): string => {
  if (!s) return 'nothing of that name';
  if (s.const !== undefined) return JSON.stringify(s.const);
  if (s.enum) return s.enum.map((v) => JSON.stringify(v)).join(', ');
  if (s.properties) return `a section with ${Object.keys(s.properties).join(', ')}`;
  const range = [
    s.minimum === undefined ? '' : `from ${s.minimum}`,
    s.maximum === undefined ? '' : `to ${s.maximum}`,
    s.pattern === undefined ? '' : `like ${s.pattern}`,
  ].filter(Boolean);
  return [s.type === 'array' ? 'a list' : `${s.type ?? 'a value'}`, ...range].join(' ');
};

/** The JSON Schema of steward.yml: for editors, and for what is allowed where. */
export const policyJsonSchema = (remediations: readonly Configurable[]): object => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Steward policy (steward.yml)',
  ...z.toJSONSchema(policySchema(remediations), { io: 'input', target: 'draft-2020-12' }),
});

interface Mistake {
  readonly path: Path;
  readonly say: string;
}
const tried = (path: Path, { cron, timezone }: { cron: string; timezone: string }, read: () => unknown): Mistake[] => {
  try {
    read();
    return [];
  } catch (e) {
    return [{ path, say: `${(e as Error).message} (given "${cron}" in ${timezone})` }];
  }
};
/** A mistake that only a calendar can see: a cron or time zone that cannot be read. */
const windowProblems = (policy: Policy): Mistake[] => [
  ...(['freeze', 'maintenance'] as const).flatMap((section) =>
    policy[section].flatMap((window, n) =>
      tried([section, n, 'cron'], window, () => openUntil(window, Date.UTC(2026, 0, 1))),
    ),
  ),
  ...tried(['digest', 'cron'], policy.digest, () => latestRun(policy.digest, Date.UTC(2026, 0, 1))),
];

/** Two of one name, and a person of Slack who is nobody. */
const linkProblems = ({ links }: Policy): { path: Path; say: string }[] => {
  const names = links?.recipients.map((r) => r.name) ?? [];
  return [
    ...names.flatMap((name, n) =>
      names.indexOf(name) === n
        ? []
        : [{ path: ['links', 'recipients', n, 'name'], say: `there are two of "${name}"` }],
    ),
    ...Object.entries(links?.slack?.people ?? {}).flatMap(([user, name]) =>
      names.includes(name)
        ? []
        : [
            {
              path: ['links', 'slack', 'people', user],
              say: `"${name}" is none of links.recipients: ${names.join(', ')}`,
            },
          ],
    ),
  ];
};

/** @throws Error with every problem: line, option, what was given, what is allowed */
export const checkPolicy = (text: string, file: string, remediations: readonly Configurable[]): Policy => {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const fail = (problems: readonly Problem[]): never => {
    const list = problems.map(({ line, option, say }) => `  ${file}${line ? `:${line}` : ''} ${option}: ${say}`);
    throw new Error(`${file} cannot be used, nothing was deployed:\n${list.join('\n')}`);
  };
  if (document.errors.length > 0)
    fail(
      document.errors.map((e) => ({
        line: lines.linePos(e.pos[0]).line,
        option: 'YAML',
        say: e.message.split('\n')[0]?.replace(/ at line.*$/, '') ?? e.message,
      })),
    );
  const given: unknown = document.toJS() ?? {};
  const schema = policyJsonSchema(remediations) as Schema;
  /** The line of what is named, or of the nearest thing around it. */
  const lineOf = (path: Path): number | undefined => {
    for (let n = path.length; n > 0; n--) {
      const parent = document.getIn(path.slice(0, n - 1), true);
      const pair = (parent as { items?: { key?: unknown }[] } | undefined)?.items?.find(
        (i) => isNode(i?.key) && String(i.key) === String(path[n - 1]),
      );
      const node = pair?.key ?? document.getIn(path.slice(0, n), true);
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
    }
    return undefined;
  };
  const result = z.safeParse(policySchema(remediations), given);
  if (!result.success)
    return fail(
      result.error.issues.flatMap((issue) =>
        issue.code === 'unrecognized_keys'
          ? issue.keys.map((key) => ({
              line: lineOf([...issue.path, key]),
              option: nameOf([...issue.path, key]),
              say: `there is no such option; allowed here: ${Object.keys(schemaAt(schema, issue.path, given)?.properties ?? {}).join(', ')}`,
            }))
          : [
              {
                line: lineOf(issue.path),
                option: nameOf(issue.path) || 'the file',
                say: `given ${shown(issue.path, valueAt(given, issue.path))}, allowed: ${allowedText(schemaAt(schema, issue.path, given))}`,
              },
            ],
      ),
    );
  const policy = resolvePolicy(result.data, remediations);
  const problems = [...windowProblems(policy), ...linkProblems(policy)];
  if (problems.length > 0) fail(problems.map(({ path, say }) => ({ line: lineOf(path), option: nameOf(path), say })));
  return policy;
};

/** A project without steward.yml has the defaults. */
export const loadPolicy = (remediations: readonly Configurable[], named?: string): Policy => {
  const file = named || 'steward.yml';
  const path = new URL(file, new URL('../', import.meta.url));
  if (named && !existsSync(path)) throw new Error(`STEWARD_POLICY names ${named}, which does not exist`);
  return checkPolicy(existsSync(path) ? readFileSync(path, 'utf8') : '', file, remediations);
};
