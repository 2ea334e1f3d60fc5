/** What a lifecycle policy takes away: tables by ECR's documented evaluation, and what holds whatever the policy. */
import fc from 'fast-check';
import { lifecycleOf, type RegistryImage, ruleText, takenBy } from '../../shared/core/lifecycle.ts';
import { days } from '../../shared/core/time.ts';

const NOW = days(20_000);
/** 'a 3 prod-1 beta-1': digest, age in days, tags. */
const image = (text: string): RegistryImage => {
  const [digest = '', age = '0', ...tags] = text.split(' ');
  return { digest, tags, pushedAt: NOW - days(Number(age)) };
};
interface Told {
  readonly tagStatus: string;
  readonly [key: string]: unknown;
}
const rule = (rulePriority: number, selection: Told, action: object = { type: 'expire' }) => ({
  rulePriority,
  selection: {
    ...('countNumber' in selection ? {} : { countType: 'imageCountMoreThan', countNumber: 1 }),
    ...selection,
  },
  action,
});
const policy = (...rules: object[]): string => JSON.stringify({ rules });
const taken = (text: string, images: readonly RegistryImage[]): Record<string, number> =>
  Object.fromEntries([...takenBy(lifecycleOf(text) ?? [], images, NOW)].map(([digest, r]) => [digest, r.rulePriority]));
const count = (n: number) => ({ countType: 'imageCountMoreThan', countNumber: n });
const pushed = (n: number) => ({ countType: 'sinceImagePushed', countUnit: 'days', countNumber: n });
const tagged = (...tagPatternList: string[]): Told => ({ tagStatus: 'tagged', tagPatternList });
const prefixed = (...tagPrefixList: string[]): Told => ({ tagStatus: 'tagged', tagPrefixList });

test.each<[string, object[], string[], Record<string, number>]>([
  ['no rule', [], ['a 9'], {}],
  ['more than two: the oldest go', [rule(1, { tagStatus: 'any', ...count(2) })], ['a 3', 'b 1 x', 'c 2'], { a: 1 }],
  ['untagged only', [rule(1, { tagStatus: 'untagged', ...count(1) })], ['a 3', 'b 2', 'c 9 x'], { a: 1 }],
  ['by age', [rule(1, { tagStatus: 'any', ...pushed(14) })], ['a 15 x', 'b 14', 'c 13'], { a: 1, b: 1 }],
  ['a prefix', [rule(1, { ...prefixed('prod'), ...pushed(1) })], ['a 5 prod-1', 'b 5 beta', 'c 5'], { a: 1 }],
  ['a pattern', [rule(1, { ...tagged('*web*'), ...pushed(1) })], ['a 5 x-web-1', 'b 5 api', 'c 5 web'], { a: 1, c: 1 }],
  ['a pattern’s dot is a dot', [rule(1, { ...tagged('1.0*'), ...pushed(1) })], ['a 5 1.0.2', 'b 5 1x0'], { a: 1 }],
  [
    'a pattern is of the whole tag',
    [rule(1, { ...tagged('latest'), ...pushed(1) })],
    ['a 5 latest2', 'b 5 latest'],
    { b: 1 },
  ],
  ['all patterns, by any tags', [rule(1, { ...tagged('a*', 'b*'), ...pushed(1) })], ['a 5 a1', 'b 5 a1 b1'], { b: 1 }],
  [
    'what a rule before has selected and keeps, none after it takes',
    [rule(1, tagged('prod*')), rule(2, { tagStatus: 'any', ...pushed(1) })],
    ['a 9 prod-1', 'b 8 prod-2', 'c 7 dev'],
    { a: 1, c: 2 },
  ],
  [
    'rules in the order of their priority, not of the text',
    [rule(9, { tagStatus: 'any', ...pushed(1) }), rule(2, { ...tagged('prod*'), ...count(9) })],
    ['a 9 prod-1', 'b 9 dev'],
    { b: 9 },
  ],
  [
    'what the rule before takes counts all the same',
    [rule(1, prefixed('prod')), rule(2, prefixed('beta'))],
    ['a 10 beta-1 prod-1', 'b 9 beta-2 prod-2', 'c 8 beta-3'],
    { a: 1 },
  ],
  [
    'by its pull, or its push where nobody has pulled it',
    [rule(1, { tagStatus: 'any', countType: 'sinceImagePulled', countUnit: 'days', countNumber: 5 })],
    ['a 9', 'b 3'],
    { a: 1 },
  ],
  [
    'what is archived is another class',
    [rule(1, { tagStatus: 'any', storageClass: 'archive', ...pushed(1) })],
    ['a 9'],
    {},
  ],
  ['archiving takes it away too', [rule(1, tagged('*'), { type: 'transition' })], ['a 9 x', 'b 1 y'], { a: 1 }],
])('%s', (_name, rules, images, expected) => {
  expect(taken(policy(...rules), images.map(image))).toEqual(expected);
});

test('of archived ones those that were long ago', () => {
  const of = (digest: string, ago: number) => ({ ...image(`${digest} 90 x`), archivedAt: NOW - days(ago) });
  const text = policy(
    rule(1, { tagStatus: 'any', storageClass: 'archive', countType: 'sinceImageTransitioned', countNumber: 30 }),
  );
  expect(taken(text, [of('a', 31), of('b', 29), image('c 99')])).toEqual({ a: 1 });
});

test.each([
  ['no JSON', 'rules:'],
  ['no rules', '{}'],
  ['another action', policy(rule(1, { tagStatus: 'any' }, { type: 'copy' }))],
  ['another count', policy(rule(1, { tagStatus: 'any', countType: 'imageSizeMoreThan', countNumber: 1 }))],
  ['another unit', policy(rule(1, { tagStatus: 'any', ...pushed(1), countUnit: 'weeks' }))],
])('%s: not known', (_name, text) => {
  expect(lifecycleOf(text)).toBeUndefined();
});

test('a rule in words', () => {
  const [one] = lifecycleOf(policy({ ...rule(3, { ...tagged('prod*'), ...pushed(14) }), description: 'old' })) ?? [];
  expect(one && ruleText(one)).toBe('rule 3 (“old”: tagged prod*, sinceImagePushed 14 days) expires it');
});

const TAGS = ['prod-1', 'prod-2', 'dev-1', 'dev-2', 'latest'];
const some = fc.uniqueArray(fc.record({ age: fc.integer({ min: 0, max: 40 }), tags: fc.subarray(TAGS) }), {
  selector: (i) => i.age,
  maxLength: 12,
});
const images = some.map((all) => all.map(({ age, tags }) => image([`d${age}`, age, ...tags].join(' '))));
const counts = fc.oneof(fc.integer({ min: 0, max: 6 }).map(count), fc.integer({ min: 0, max: 30 }).map(pushed));
const selections: fc.Arbitrary<Told> = fc.constantFrom(
  tagged('prod*'),
  prefixed('dev'),
  tagged('*-1', 'l*'),
  { tagStatus: 'untagged' },
  { tagStatus: 'any' },
);
const rules = fc
  .array(fc.tuple(selections, counts), { maxLength: 4 })
  .map((all) => all.map(([s, c], n) => rule(n + 1, { ...s, ...c })));

test('what no rule names is never taken', () => {
  fc.assert(
    fc.property(images, fc.array(counts, { maxLength: 4 }), (all, each) => {
      const text = policy(...each.map((c, n) => rule(n + 1, { ...tagged('prod*'), ...c })));
      const lost = taken(text, all);
      for (const i of all) if (!i.tags.some((t) => t.startsWith('prod'))) expect(lost[i.digest]).toBeUndefined();
    }),
  );
});

test('a rule that counts keeps exactly so many, and these are the newest', () => {
  fc.assert(
    fc.property(images, fc.integer({ min: 0, max: 8 }), (all, n) => {
      const lost = taken(policy(rule(1, { tagStatus: 'any', ...count(n) })), all);
      const kept = all.filter((i) => !(i.digest in lost));
      const newest = all.toSorted((a, b) => b.pushedAt - a.pushedAt).slice(0, n);
      expect(new Set(kept)).toEqual(new Set(newest));
    }),
  );
});

test('rules that come after take nothing that the first of them alone would keep of what it selects', () => {
  fc.assert(
    fc.property(images, rules, counts, (all, more, c) => {
      const first = rule(0, { ...tagged('prod*'), ...c });
      const [alone, with_] = [taken(policy(first), all), taken(policy(first, ...more), all)];
      for (const i of all) if (i.tags.some((t) => t.startsWith('prod'))) expect(with_[i.digest]).toBe(alone[i.digest]);
    }),
  );
});

test('time takes more, never less, where only ages and counts decide', () => {
  fc.assert(
    fc.property(images, rules, fc.integer({ min: 0, max: 30 }), (all, each, later) => {
      const read = lifecycleOf(policy(...each)) ?? [];
      const after = takenBy(read, all, NOW + days(later));
      for (const digest of takenBy(read, all, NOW).keys()) expect(after.has(digest)).toBe(true);
    }),
  );
});
