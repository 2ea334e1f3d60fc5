/** What the documents say is what there is. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { remediationsPage } from '../../docs/generate.ts';
import { remediations } from '../../shared/remediations/index.ts';

const text = (path: string) => readFileSync(path, 'utf8');

test('docs/remediations.md is generated from the list', () => {
  expect(text('docs/remediations.md')).toBe(remediationsPage());
});

describe.each(remediations.map((r) => [r.name, r] as const))('%s', (name, r) => {
  test('says what it does, and why it cannot be undone where it cannot', () => {
    expect(r.about.length).toBeGreaterThan(100);
    expect(r.undo !== undefined || (r.noUndo ?? '').length > 20).toBe(true);
  });

  test('has a story', () => {
    const stories = readdirSync('test/stories').map((f) => text(`test/stories/${f}`));
    expect(stories.some((s) => s.includes(name))).toBe(true);
  });
});

const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/ARCHITECTURE.md'].filter((p) => existsSync(p));
test.each(pages)('%s names only files and scripts that exist', (page) => {
  const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
  const body = text(page);
  for (const [, script] of body.matchAll(/npm run ([\w:-]+)/g)) expect(Object.keys(scripts)).toContain(script);
  const links = [...body.matchAll(/\]\((?!http|#)([^)#]+)/g)].map(([, link]) => link ?? '');
  const base = page.includes('/') ? 'docs/' : '';
  for (const link of links) expect([link, existsSync(base + link)]).toEqual([link, true]);
});
