/** Whether whoever answers by link or Slack may be whoever asked: what the policy says of them decides, and what it does not say is no proof. */
import fc from 'fast-check';
import { mayBeOne } from '../../shared/core/people.ts';
import type { Links } from '../../shared/core/policy.ts';

const recipient = (name: string, is: string[]) => ({
  name,
  is,
  may: ['approve' as const],
  upTo: 'interrupts' as const,
});
const links: Links = {
  recipients: [
    recipient('alice', ['arn:aws:iam::*:user/alice', 'arn:aws:sts::*:assumed-role/AWSReservedSSO_*/Alice@example.com']),
    recipient('bob', ['arn:aws:sts::*:assumed-role/Admin/bob']),
    recipient('nobody', []),
  ],
  validMinutes: 60,
  slack: { signingSecret: '/s', team: 'T1', people: { U1: 'alice', U2: 'bob', U3: 'nobody' } },
};
const role = (name: string, session: string) => `arn:aws:sts::111122223333:assumed-role/${name}/${session}`;

test.each([
  ['link:alice', 'arn:aws:iam::111122223333:user/alice', true],
  ['link:alice', 'arn:aws:iam::111122223333:user/bob', false],
  ['link:alice', role('AWSReservedSSO_Ops_0123', 'alice@example.com'), true],
  ['link:alice', role('AWSReservedSSO_Ops_0123', 'bob@example.com'), false],
  ['slack:T1/U1', 'arn:aws:iam::111122223333:user/alice', true],
  ['slack:T1/U1', 'link:alice', true],
  ['slack:T1/U1', 'link:bob', false],
  // Nobody can tell who of the role it was.
  ['link:bob', role('Admin', 'botocore-session-1732419600'), true],
  ['link:bob', role('Deploy', 'botocore-session-1732419600'), false],
  ['link:bob', role('Admin', 'carol'), false],
  // Of whom nothing is known.
  ['link:nobody', role('Admin', 'carol'), true],
  ['slack:T1/U3', 'link:alice', true],
  ['slack:T1/U9', 'link:alice', true],
  ['slack:T2/U1', 'link:bob', true],
  ['link:mallory', 'arn:aws:iam::111122223333:user/alice', true],
])('%s and %s may be one: %s', (a, b, one) => {
  expect([mayBeOne(a, b, links), mayBeOne(b, a, links)]).toEqual([one, one]);
});

test('an identity and any pattern that it fits may be one; without a policy, nobody is told apart', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a', 'b', '/'), { maxLength: 8 }),
      fc.infiniteStream(fc.nat(3)),
      (letters, dice) => {
        const name = `arn:aws:iam::111122223333:user/x${letters.join('')}`;
        const pattern = [...name]
          .flatMap((c) => (c === ':' ? [c] : ([[c], ['*'], [c, '*'], [c]][dice.next().value ?? 0] ?? [])))
          .join('');
        const some = { ...links, recipients: [recipient('one', [pattern])] };
        expect(mayBeOne('link:one', name, some)).toBe(true);
        expect(mayBeOne('link:one', name, undefined)).toBe(true);
      },
    ),
  );
});
