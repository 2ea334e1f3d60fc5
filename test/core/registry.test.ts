/** Whom a repository's policy lets in, and what is left of it without them. */
import fc from 'fast-check';
import { exposureOf } from '../../shared/core/registry.ts';

const HOME = '111122223333';
const WITHIN = { account: HOME, allowed: ['222233334444'] };
const STRANGER = '444455556666';
const principals = fc.constantFrom(
  '*',
  `arn:aws:iam::${HOME}:role/build`,
  'arn:aws:iam::222233334444:root',
  `arn:aws:iam::${STRANGER}:root`,
  STRANGER,
  'AROAEXAMPLEOFADELETEDONE',
);
const conditions = fc.constantFrom(
  {},
  { Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-a1b2c3d4e5' } } },
  { Condition: { StringLikeIfExists: { 'aws:PrincipalOrgID': 'o-a1b2c3d4e5' } } },
  { Condition: { StringEquals: { 'aws:Referer': 'x' } } },
);
const statements = fc
  .record({
    Effect: fc.constantFrom('Allow', 'Allow', 'Deny'),
    AWS: fc.array(principals, { maxLength: 4 }),
    service: fc.boolean(),
    more: conditions,
  })
  .map(({ Effect, AWS, service, more }) => ({
    Effect,
    Action: 'ecr:BatchGetImage',
    Principal: { ...(AWS.length > 0 ? { AWS } : {}), ...(service ? { Service: 'lambda.amazonaws.com' } : {}) },
    ...more,
  }));
const policyOf = (Statement: unknown): string => JSON.stringify({ Version: '2012-10-17', Statement });
type Read = {
  readonly Effect: string;
  readonly Principal: { readonly AWS?: string | string[] };
  readonly Condition?: object;
};
const read = (policy: string | undefined): readonly Read[] =>
  policy === undefined ? [] : (JSON.parse(policy) as { Statement: Read[] }).Statement;

test('without them it lets in nobody who should not be, and that once', () => {
  fc.assert(
    fc.property(fc.array(statements, { maxLength: 5 }), (all) => {
      const found = exposureOf(policyOf(all), WITHIN);
      const again = found?.without === undefined ? undefined : exposureOf(found.without, WITHIN);
      if (again) expect(again).toEqual({ to: [], without: found?.without });
    }),
  );
});

test('what denies, what is narrowed, and who may be let in stays as it is, in its order', () => {
  const isStrange = (p: string) => p === '*' || p.includes(STRANGER);
  fc.assert(
    fc.property(fc.array(statements, { maxLength: 5 }), (all) => {
      const before = read(policyOf(all));
      const left = read(exposureOf(policyOf(all), WITHIN)?.without);
      const expected = before.flatMap((s) => {
        const isNarrow = JSON.stringify(s.Condition ?? {}).includes('"StringEquals":{"aws:PrincipalOrgID"');
        const { AWS = [], ...others } = s.Principal;
        const kept = [AWS].flat().filter((p) => !isStrange(p));
        if (s.Effect === 'Deny' || isNarrow || kept.length === [AWS].flat().length) return [s];
        const Principal = { ...others, ...(kept.length > 0 ? { AWS: kept } : {}) };
        return Object.keys(Principal).length > 0 ? [{ ...s, Principal }] : [];
      });
      expect(left).toEqual(expected);
    }),
  );
});

test.each(['', 'null', '[]', '{}', '{"Statement":[{"Effect":"Allow","Principal":"someone"}]}'])(
  'what cannot be read is not called closed: %s',
  (policy) => expect(exposureOf(policy, WITHIN)).toBeUndefined(),
);
