import fc from 'fast-check';
import { type Permission, rolePolicy, sessionPolicy } from '../../shared/core/permissions.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import { remediations } from '../../shared/remediations/index.ts';

/** AWS gives these no resource (Service Authorization Reference): VPC asks for them on behalf of who creates or deletes a flow log. */
const NO_RESOURCE = ['logs:CreateLogDelivery', 'logs:DeleteLogDelivery', 'ecs:RegisterTaskDefinition'];
/** Of no use by itself: only Auto Scaling may call it in the session's name. */
const VIA_SERVICE = ['ec2:CreateFleet'];
const target = instanceTarget({ account: '111122223333', region: 'eu-central-1' }, 'i-0123456789abcdef0');
const other = instanceTarget(target, 'i-0fedcba9876543210');
const volume = 'arn:aws:ec2:eu-central-1:111122223333:volume/vol-0123456789abcdef0';

/** As IAM matches a resource pattern: `*` is any text. Not by regular expressions, as the rule under test does it. */
const covers = (pattern: string, arn: string): boolean => {
  const [head = '', ...parts] = pattern.split('*');
  if (parts.length === 0) return pattern === arn;
  if (!arn.startsWith(head)) return false;
  const tail = parts.pop() ?? '';
  let at = head.length;
  for (const part of parts) {
    const found = arn.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return arn.length - tail.length >= at && arn.endsWith(tail);
};

describe('a session', () => {
  const permission: fc.Arbitrary<Permission> = fc.record({
    for: fc.constantFrom('look' as const, 'act' as const),
    actions: fc.subarray(['ec2:RebootInstances', 'ec2:ModifyVolume', 'ssm:SendCommand'], { minLength: 1 }),
    resources: fc.subarray(
      [
        'arn:*:ec2:*:*:instance/*',
        'arn:*:ec2:*:*:volume/*',
        'arn:*:ssm:*:*:document/steward-{stage}-clean',
        'arn:*:ssm:*:*:parameter/steward/{stage}/drill',
        'arn:aws:ec2:eu-central-1:111122223333:instance/i-0*',
      ],
      { minLength: 1 },
    ),
  });
  const asked = fc.record({
    permissions: fc.array(permission, { maxLength: 5 }),
    phase: fc.constantFrom('look' as const, 'act' as const),
    touched: fc.subarray([volume, 'arn:aws:s3:::somebody-elses']),
  });

  test('never has what its role has not, and nothing but the target, what the step touches, and our own documents', () => {
    fc.assert(
      fc.property(asked, ({ permissions, phase, touched }) => {
        const role = rolePolicy(permissions, { stage: 'prod' });
        for (const s of sessionPolicy(permissions, { stage: 'prod', target, phase, touched }).Statement)
          for (const resource of s.Resource) {
            for (const action of s.Action)
              expect(
                role.Statement.some((r) => r.Action.includes(action) && r.Resource.some((p) => covers(p, resource))),
              ).toBe(true);
            expect(
              [target.arn, ...touched].includes(resource) ||
                resource === 'arn:aws:ssm:eu-central-1:111122223333:document/steward-prod-clean',
            ).toBe(true);
          }
      }),
    );
  });

  test('that looks has nothing that is held only to act', () => {
    fc.assert(
      fc.property(asked, ({ permissions, touched }) => {
        const looks = sessionPolicy(permissions, { stage: 'prod', target, phase: 'look', touched });
        const declared = sessionPolicy(
          permissions.filter((p) => p.for === 'look'),
          { stage: 'prod', target, phase: 'act', touched },
        );
        expect(looks).toStrictEqual(declared);
      }),
    );
  });

  test.each(remediations.map((r) => [r.name, r] as const))(
    'of %s reaches no second target',
    (_name, { permissions }) => {
      for (const phase of ['look', 'act'] as const)
        for (const s of sessionPolicy(permissions, { stage: 'prod', target, phase, touched: [] }).Statement) {
          const writes = s.Action.some(
            (a) => !/:(Describe|Get|List|Lookup)/.test(a) && ![...NO_RESOURCE, ...VIA_SERVICE].includes(a),
          );
          if (writes) expect(s.Resource.some((r) => covers(r, other.arn))).toBe(false);
        }
    },
  );

  test('of another stage has that stage’s documents and parameters', () => {
    const drill = remediations.find((r) => r.name === 'drill')!;
    const own = { ...target, arn: 'arn:aws:ssm:eu-central-1:111122223333:parameter/steward/prod/drill' };
    const at = (stage: string) =>
      sessionPolicy(drill.permissions, { stage, target: own, phase: 'act', touched: [] }).Statement;
    expect(at('prod').flatMap((s) => s.Resource)).toStrictEqual([own.arn, own.arn]);
    expect(at('test')).toStrictEqual([]);
  });
});

test('the role starts instances only by way of a service', () => {
  const fleets = remediations.flatMap((r) => r.permissions).filter((p) => p.actions.includes('ec2:CreateFleet'));
  expect(fleets).not.toEqual([]);
  for (const statement of rolePolicy(fleets, { stage: 'prod', optInTag: 'x' }).Statement)
    expect(statement.Condition).toEqual({ Bool: { 'aws:ViaAWSService': 'true' } });
});

test('the role holds what is tagged only with the opt-in tag', () => {
  const tagged: Permission = {
    for: 'look',
    actions: ['ssm:SendCommand'],
    resources: ['arn:*:ec2:*:*:instance/*'],
    whenTagged: 'ssm:resourceTag',
  };
  expect(rolePolicy([tagged], { stage: 'prod', optInTag: 'steward:managed' }).Statement).toMatchObject([
    { Condition: { StringEquals: { 'ssm:resourceTag/steward:managed': 'true' } } },
  ]);
  expect(rolePolicy([tagged], { stage: 'prod' }).Statement[0]).not.toHaveProperty('Condition');
});
