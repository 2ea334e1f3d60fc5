/** What people read, word for word: `npx jest test/announce/notice -u` after a change, and look at the difference. */
import { blocksOf } from '../../shared/channels/slack.ts';
import type { Attempt, Incident } from '../../shared/core/incident.ts';
import {
  digestNotice,
  incidentNotice,
  newLines,
  plain,
  stormNotice,
  testNotice,
  threadOf,
} from '../../shared/core/notice.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { anIncident, arnOf, idAt, NOW } from '../contract/records.ts';
import { asks } from './street.ts';

const HOME = { stage: 'prod', region: 'eu-central-1' };
const attempt: Attempt = {
  n: 1,
  rung: 'grow /srv',
  step: {},
  plan: 'grow vol-1 under /srv from 20 to 30 GiB',
  because: '/srv is 93 % full',
  token: 't',
  reservedAt: NOW,
  before: null,
};
const web = (over: Partial<Incident>): Incident =>
  anIncident({
    group: 'asg/web',
    seen: '/srv is 93 % full (xfs, 20 GiB, vol-1)',
    because: 'a person must approve it',
    ...over,
  });
const approval = { by: 'sso/ada@example.com', at: NOW, step: '{}', until: NOW + hours(1) };
const over = { closedAt: NOW + minutes(9), healthyAt: NOW + minutes(9) };
const states: Readonly<Record<string, Incident>> = {
  asking: web(asks(NOW)),
  approved: web({ ...asks(NOW), approval }),
  acting: web({ state: 'waiting', because: 'the volume is being grown', attempts: [attempt] }),
  escalated: web({
    state: 'escalated',
    because: 'it is full again after it was grown',
    remedy: 'look what fills it: du -x /srv',
    escalatedAt: NOW,
    attempts: [{ ...attempt, effect: 'ineffective' }],
  }),
  refused: web({
    state: 'refused',
    because: 'window: freeze until Monday (holidays)',
    remedy: 'wait until it is over',
  }),
  snoozed: web({
    state: 'snoozed',
    because: 'sso/ada snoozed it: after the release',
    snooze: { by: 'sso/ada', at: NOW, until: NOW + hours(4), why: 'after the release' },
  }),
  healed: web({
    state: 'closed',
    end: 'healthy',
    because: '/srv is 62 % full',
    attempts: [{ ...attempt, effect: 'effective' }],
    ...over,
  }),
  undone: web({ state: 'closed', end: 'undone', because: 'it is as it was', ...over }),
  gone: web({ state: 'closed', end: 'gone', because: 'it no longer exists', closedAt: NOW }),
};

test.each(Object.keys(states))('%s', (name) => {
  expect(plain(incidentNotice(states[name]!, HOME))).toMatchSnapshot();
});

test('Slack: nothing that a host says mentions anyone or breaks out of its place', () => {
  const hostile = web({ ...asks(NOW), seen: '<!channel> *bold* `code` & <https://evil.example|click>' });
  const letter = {
    id: 'x',
    token: 'x',
    part: 'main',
    rendered: incidentNotice(hostile, HOME),
    lines: [],
    actions: [],
    at: NOW,
  } as const;
  const blocks = blocksOf(letter);
  expect(JSON.stringify(blocks)).not.toMatch(/<[!@#h]/);
  expect(blocks).toMatchSnapshot();
});

test('a storm, one that ends, and a digest', () => {
  const many = Array.from({ length: 40 }, (_, n) =>
    web({ ...asks(NOW), id: idAt(NOW, n), target: arnOf(n), group: `asg/${n % 3}` }),
  );
  const storm = (members: readonly Incident[]) =>
    plain(stormNotice({ remediation: 'full-disk', since: NOW, members }, HOME));
  expect(storm([...many, web({ ...states['escalated'], id: idAt(NOW, 99) })])).toMatchSnapshot();
  expect(storm(many.slice(0, 2))).toMatchSnapshot();
  expect(storm([])).toMatchSnapshot();
  const healed = many.map((i, n) => ({
    ...states['healed']!,
    id: i.id,
    target: i.target,
    group: i.group!,
    healthyAt: NOW + minutes(n + 1),
    attempts: n === 5 ? [] : [attempt],
  }));
  const digest = digestNotice({ from: NOW - hours(24), until: NOW, healed }, HOME);
  expect(digest && plain(digest)).toMatchSnapshot();
  expect(digestNotice({ from: NOW - hours(24), until: NOW, healed: [] }, HOME)).toBeUndefined();
  expect(plain(testNotice('sso/ada', HOME))).toMatchSnapshot();
});

test('a thread has the log’s news, and goes on after the line that it knows, also when that was cut out', () => {
  const log = ['signal', 'seen', 'refused', 'answer', 'reserved', 'guards', 'outcome', 'closed'].map((what, n) => ({
    at: NOW + n,
    what,
    say: `line ${n}`,
  }));
  const lines = threadOf(web({ log }));
  expect(lines.map((l) => l.text)).toMatchSnapshot();
  expect(newLines(lines, undefined)).toEqual(lines);
  expect(newLines(lines, lines[2]?.key)).toEqual(lines.slice(3));
  expect(newLines(lines, lines.at(-1)?.key)).toEqual([]);
  expect(newLines(lines, `${NOW + 3} answer gone`)).toEqual(lines.slice(3));
});
