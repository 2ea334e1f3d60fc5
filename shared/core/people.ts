/** Who may be whom. The rule that the one who asks cannot approve is as good as this. Pure. */
import type { Links, Recipient } from './policy.ts';

const ASSUMED = /^arn:[^:]+:sts::(\d{12}):assumed-role\/([^/]+)\/(.+)$/;
/** IAM Identity Center's own roles: it sets the session's name to the user's, and nobody else can assume them. */
const SSO_ROLE = /^AWSReservedSSO_/;
/** Session names that an SDK or the CLI makes up when nobody gives one: botocore-session-1732419600, aws-sdk-js-session-1732419600000 … */
const MADE_UP =
  /^(botocore-session|aws-sdk-[a-z]+(-session)?|aws-go-sdk|AWSCLI-Session|aws-cli|session)[-_]?\d*$|^\d+$/i;

type Person =
  | { readonly is: 'named'; readonly who: string }
  /** Someone who may assume this role; which one, the session does not say. */
  | { readonly is: 'any-of-role'; readonly who: string };

const personOf = (arn: string): Person => {
  const [, account = '', role = '', session = ''] = ASSUMED.exec(arn) ?? [];
  if (!role) return { is: 'named', who: arn };
  if (SSO_ROLE.test(role)) return { is: 'named', who: `sso/${session.toLowerCase()}` };
  return MADE_UP.test(session)
    ? { is: 'any-of-role', who: `${account}/${role}` }
    : { is: 'named', who: `${account}/${role}/${session}` };
};
const roleOf = (arn: string): string => (ASSUMED.exec(arn) ?? []).slice(1, 3).join('/');

/**
 * Whether two IAM identities may be one person, as far as AWS tells. Identity Center users are told apart by their user name, whatever permission set
 * they came through; other roles by role and session name. A session name that a tool made up names nobody: then everyone of that role may be
 * the one, and the answer is yes.
 *
 * It can be evaded: who may assume two roles, or has a user and a role, is two people here, and so is who may choose his session's name (bind
 * it by `sts:RoleSessionName` in the role's trust policy). Two people who share one session are one.
 */
export const maybeSamePerson = (a: string, b: string): boolean => {
  const [x, y] = [personOf(a), personOf(b)];
  if (x.is === 'named' && y.is === 'named') return x.who === y.who;
  return roleOf(a) !== '' && roleOf(a) === roleOf(b);
};

/** Who answered by a link (`link:<recipient>`) or a Slack button (`slack:<team>/<user>`), as a recipient of the policy. */
export const recipientOf = (who: string, links: Links | undefined): Recipient | undefined => {
  const [, team, user] = /^slack:([^/]+)\/(.+)$/.exec(who) ?? [];
  const name =
    user === undefined ? /^link:(.+)$/s.exec(who)?.[1] : team === links?.slack?.team && links?.slack?.people[user];
  return links?.recipients.find((r) => r.name === name);
};
const isIam = (who: string): boolean => !/^(link|slack):/.test(who);

/** Whether one letter of each can stand at the same place, given what stood before: neither, the one of a only, the one of b only. */
const step = (c: string, d: string, met: { both: boolean; a: boolean; b: boolean }): boolean => {
  if (c !== '*' && d !== '*') return met.both && c === d;
  // A star ends, or takes the other's letter; a colon ends a part of the ARN.
  const a = c === '*' && (met.a || (met.b && d !== ':'));
  const b = d === '*' && (met.b || (met.a && c !== ':'));
  return a || b;
};

/** Can one ARN match both patterns? `*` stands for any text within a part. */
const meet = (a: string, b: string): boolean => {
  // For the letters of a so far: which beginnings of b can be the same text.
  let row = [true];
  for (const d of b) row.push(d === '*' && row.at(-1) === true);
  for (const c of a) {
    const next = [c === '*' && row[0] === true];
    for (const [j, d] of [...b].entries())
      next.push(step(c, d, { both: row[j] === true, a: row[j + 1] === true, b: next[j] === true }));
    row = next;
  }
  return row[b.length] === true;
};

/** All that may be the same person as this identity, or as one that fits this pattern of the policy. */
const wide = (arn: string): string => {
  const [, head, role = '', session = ''] = /^(arn:[^:]*:sts::[^:]*:assumed-role\/)([^/]+)\/(.+)$/.exec(arn) ?? [];
  if (SSO_ROLE.test(role)) return `arn:*:sts::*:assumed-role/awsreservedsso_*/${session.toLowerCase()}`;
  return (head && MADE_UP.test(session) ? `${head}${role}/*` : arn).toLowerCase();
};

/**
 * Whether two who asked or answered may be one person, whichever way each came. Who came by a link or by Slack is whom the policy says that he `is` in
 * IAM; of whom it says nothing, nobody can tell that he is not the other.
 */
export const mayBeOne = (a: string, b: string, links: Links | undefined): boolean => {
  if (a === b) return true;
  if (isIam(a) && isIam(b)) return maybeSamePerson(a, b);
  const [x, y] = [a, b].map((who) => (isIam(who) ? [who] : (recipientOf(who, links)?.is ?? [])));
  if (!x?.length || !y?.length) return true;
  return x.some((p) => y.some((q) => meet(wide(p), wide(q))));
};
