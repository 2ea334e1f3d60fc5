/** Breaks one rule in the source, and looks for a seed of the model that finds it. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { threadId } from 'node:worker_threads';
import { build, type Plugin } from 'esbuild';
import { ENTRIES, type ModelName, type Seed, type Simulate } from './models.ts';

export interface Mutant {
  readonly model: ModelName;
  readonly name: string;
  /** Path from the root of the repository. */
  readonly file: string;
  readonly edits: readonly (readonly [find: string, put: string])[];
  /** A seed that killed it when it was written: tried first. Of the fleet also says the remediation in whose seeds it is looked for. */
  readonly seed: Seed;
}
export interface Killed {
  readonly mutant: string;
  /** Undefined: it survived. */
  readonly seed?: Seed;
  readonly invariant?: string;
  readonly seeds: number;
  /** Why it could not even be tried. */
  readonly lost?: string;
}

const ROOT = join(import.meta.dirname, '../..');

/** The source of a mutant's file. @throws when a text that it changes is not there exactly once */
const mutated = ({ name, file, edits }: Mutant, source: string): string =>
  edits.reduce((text, [find, put]) => {
    const found = text.split(find).length - 1;
    if (found !== 1)
      throw new Error(
        `mutant "${name}" finds its text ${found} times in ${file}: point it at where the rule is now: ${find}`,
      );
    return text.replace(find, () => put);
  }, source);

/** SDK clients that are light, as nothing here goes over the wire. */
const lightClients: Plugin = {
  name: 'light-clients',
  setup: (b) => {
    b.onResolve({ filter: /^@aws-sdk\/client-/ }, ({ path, namespace }) =>
      namespace === 'light' ? { path, external: true } : { path, namespace: 'light' },
    );
    b.onLoad({ filter: /.*/, namespace: 'light' }, async ({ path }) => {
      const clients = Object.keys(await import(path)).filter((name) => /^[A-Z]\w+Client$/.test(name));
      const contents = [
        `import * as whole from '${path}';`,
        `import { light } from '${join(ROOT, 'world/light.ts')}';`,
        `export * from '${path}';`,
        ...clients.map((name) => `export const ${name} = light(whole.${name});`),
      ];
      return { contents: contents.join('\n'), loader: 'js', resolveDir: ROOT };
    });
  },
};

const patched = (path: string, contents: string): Plugin => ({
  name: 'mutant',
  setup: (b) => {
    const filter = new RegExp(`${path.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')}$`);
    b.onLoad({ filter }, () => ({ contents, loader: 'ts' }));
  },
});

/** A model in one file, which is quicker to load and to run, over the source as it is or as a mutant has it. */
export const bundled = async (model: ModelName, m?: Mutant): Promise<Simulate> => {
  const path = m && join(ROOT, m.file);
  const patch = path === undefined ? [] : [patched(path, mutated(m as Mutant, await readFile(path, 'utf8')))];
  const folder = join(ROOT, '.steward/simulation');
  await mkdir(folder, { recursive: true });
  const name = (m?.name ?? model).replaceAll(/\W+/g, '-');
  const outfile = join(folder, `${name}-${process.pid}-${threadId}.mjs`);
  const entry = ENTRIES[model];
  await build({
    entryPoints: [join(import.meta.dirname, entry.file)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
    plugins: [lightClients, ...patch],
  });
  return ((await import(pathToFileURL(outfile).href)) as Record<string, Simulate>)[entry.name] as Simulate;
};

/** 'full-disk:7' is followed by 'full-disk:1', 'full-disk:2' …, 7 by 1, 2 … */
const nth = (like: Seed, n: number): Seed => (typeof like === 'number' ? n : like.replace(/\d+$/, `${n}`));

/** Runs seeds until one finds the mutant: the one that did so before, then from 1 on. */
export const hunt = async (m: Mutant, limit: number): Promise<Killed> => {
  const run = await bundled(m.model, m);
  for (let n = 0; n <= limit; n++) {
    const { seed, violation } = await run(n === 0 ? m.seed : nth(m.seed, n));
    if (violation) return { mutant: m.name, seed, invariant: violation.invariant, seeds: n + 1 };
  }
  return { mutant: m.name, seeds: limit };
};
