/** `steward activity sessions`: who was on which host, how, from when to when, and what is known of what they did. */
import type { HostSession } from '../shared/activity/sessions.ts';
import { span, type Time } from '../shared/core/time.ts';
import { plural } from '../shared/core/words.ts';
import type { SessionsAnswer } from '../shared/runtime/sessionQuestions.ts';
import { showHosts } from './activity.ts';
import { type Cell, type Paint, table, timeOf, who } from './paint.ts';
import type { Session } from './session.ts';

export interface SessionsOptions {
  readonly host?: string;
  readonly session?: string;
  readonly actor?: string;
  readonly from?: Time;
  readonly to?: Time;
  readonly open?: boolean;
}

const CONTENT: Readonly<Record<HostSession['content']['is'], string>> = {
  recorded: 'recorded',
  tunnel: 'tunnel: not recorded',
  'not recorded': 'not recorded',
  'cut off': 'record cut off',
  unknown: 'not known whether recorded',
};

const lastingOf = ({ from, end }: HostSession, now: Time, p: Paint): Cell => {
  if (!end) return [`open for ${span(now - from)}`, p.green];
  const lasted = span(end.at - from);
  return end.synthetic ? [`${lasted}, presumed`, p.yellow] : lasted;
};
const nameOf = ({ who: name, behind }: HostSession): string =>
  behind.length === 0 ? who(name) : `${who(name)} (by a tunnel of ${behind.map(who).join(' or ')})`;

const row = (s: HostSession, now: Time, p: Paint): Cell[] => [
  [timeOf(s.from, now), p.dim],
  // Those of hosts begin with theirs.
  s.id.startsWith(s.host) ? s.id : `${s.host} ${s.id}`,
  nameOf(s),
  s.by,
  [s.ip ?? '', p.dim],
  lastingOf(s, now, p),
  s.ran.length === 0 ? '' : plural(s.ran.length, 'command'),
  s.content.is === 'recorded' ? CONTENT.recorded : [CONTENT[s.content.is], p.yellow],
];

const RAN_AS: Readonly<Record<HostSession['ran'][number]['what'], string>> = {
  Sudo: 'sudo',
  SudoDenied: 'sudo, refused',
  Su: 'su',
  SuDenied: 'su, refused',
  Execve: '',
};

/** One session, with all that is known of it. */
const whole = (s: HostSession, now: Time, p: Paint): string[] => [
  `${p.bold(s.id)}  ${nameOf(s)} on ${s.host}`,
  `  ${s.kind.startsWith('ssm') ? `by Session Manager, ${s.by}` : `by ${s.by}`}${s.ip === undefined ? '' : `, from ${s.ip}`}`,
  `  from ${timeOf(s.from, now)}${s.end ? ` to ${timeOf(s.end.at, now)}: ${s.end.synthetic ? 'presumed, ' : ''}${s.end.because}` : ', open'}`,
  `  ${CONTENT[s.content.is]}: ${s.content.because}`,
  ...table(
    s.ran.map((r): Cell[] => [
      [timeOf(r.at, now), p.dim],
      [RAN_AS[r.what], r.what.endsWith('Denied') ? p.red : p.dim],
      r.as ?? '',
      [r.unsure ? 'perhaps' : '', p.yellow],
      r.command === '' && r.what.startsWith('Su') ? `su ${r.as ?? ''}` : r.command,
    ]),
    p,
  ).map((line) => `  ${line}`),
];

export const showSessions = (
  { at, from, to, sessions, cut, hosts }: SessionsAnswer,
  p: Paint,
  one: boolean,
): string[] => [
  ...(one
    ? sessions.flatMap((s) => whole(s, at, p))
    : table(
        sessions.map((s) => row(s, at, p)),
        p,
      )),
  ...(sessions.length > 0 ? [''] : []),
  p.dim(
    `${sessions.length === 0 ? 'No session' : plural(sessions.length, 'session')} from ${timeOf(from, at)} to ${timeOf(to, at)}.`,
  ),
  ...(cut ? [p.yellow('There are more lines than were read: ask for one host, or for less time.')] : []),
  ...(hosts
    ? showHosts(hosts, at, p)
    : [
        p.yellow(
          'No host ships what happens on it: activity: { hosts: sessions } in steward.yml. Of Session Manager, what CloudTrail has is here.',
        ),
      ]),
];

export const listSessions = async (s: Session, { open, ...o }: SessionsOptions): Promise<void> => {
  const { host, session, actor, from, to } = o;
  const asked = Object.fromEntries(
    Object.entries({ host, session, actor, from, to }).filter(([, v]) => v !== undefined),
  );
  const found = await s.ask<SessionsAnswer>({ do: 'activity-sessions', ...asked });
  const sessions = open ? found.sessions.filter((one) => !one.end) : found.sessions;
  await s.show({ ...found, sessions }, (f, p) => showSessions(f, p, session !== undefined));
};
