/** Records to keep: whole, with everything that a record may hold. */

import type { Incident } from '../../shared/core/incident.ts';
import type { ChannelBook, Notice } from '../../shared/core/outbox.ts';
import type { Releases } from '../../shared/core/releases.ts';
import type { Chart, GroupRecord, Ledger, Switches } from '../../shared/core/store.ts';
import { hours, minutes, type Time } from '../../shared/core/time.ts';

export const NOW: Time = Date.parse('2026-11-23T03:12:00Z');
export const arnOf = (n: number | string): string => `arn:aws:ec2:eu-central-1:111122223333:instance/i-${n}`;

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** A ULID of that moment; `n` makes it another one, and orders those of one moment. */
export const idAt = (t: Time, n = 0): string => {
  const digits = (value: number, count: number): string =>
    Array.from({ length: count }, (_, i) => DIGITS[Math.floor(value / 32 ** (count - 1 - i)) % 32]).join('');
  return `${digits(t, 10)}${digits(n, 16)}`;
};

export const anIncident = (over: Partial<Incident> = {}): Incident => ({
  kind: 'incident',
  id: idAt(NOW),
  version: 0,
  target: arnOf(1),
  remediation: 'full-disk',
  state: 'open',
  because: 'it was signalled',
  signals: {
    count: 1,
    kind: 'disk.space-low',
    cause: 'alarm disk went to ALARM: Threshold Crossed',
    firstAt: NOW,
    lastAt: NOW,
    lastEventId: 'arn:aws:cloudwatch:eu-central-1:111122223333:alarm:disk@1',
  },
  looks: 0,
  openedAt: NOW,
  attempts: [],
  log: [],
  dueAt: NOW + minutes(1),
  ...over,
});

export const closed = (at: Time, over: Partial<Incident> = {}): Incident =>
  anIncident({ state: 'closed', end: 'healthy', healthyAt: at, closedAt: at, ...over });

/** With every optional part, empty ones, nested ones, and words that tools stumble over. */
export const aFullIncident = (): Incident =>
  anIncident({
    state: 'escalated',
    because: 'Grün, ⚠ "quoted", {braced}, \\escaped, \u0000 and 🧯',
    remedy: '',
    seen: 'a\nb',
    group: 'asg/web',
    groupSize: 5,
    zone: 'euc1-az2',
    actedAt: NOW,
    blindSince: NOW,
    escalatedAt: NOW,
    askedBy: 'arn:aws:iam::111122223333:user/ines',
    attempts: [
      {
        n: 1,
        rung: 'clean /',
        step: {
          do: 'clean',
          path: '/',
          places: [],
          nothing: null,
          deep: [[[{ a: [1.5, -1, 1e15, true, false, ''] }]]],
        },
        plan: 'clean up /',
        because: 'it is 96 % full',
        token: `${idAt(NOW)}.1`,
        reservedAt: NOW,
        continues: true,
        before: null,
        outcome: { kind: 'done', at: NOW, because: 'it was taken' },
        receipt: { commandId: '' },
        effect: 'ineffective',
      },
    ],
    ask: { step: {}, rung: 'grow /', plan: 'grow', because: 'full', since: NOW, until: NOW + hours(1) },
    approval: { by: 'arn:aws:iam::111122223333:user/ada', at: NOW, step: '{}', until: NOW },
    denied: { step: '{"do":"grow"}', by: 'ada', until: NOW },
    log: Array.from({ length: 50 }, (_, i) => ({ at: NOW + i, what: 'seen', say: `${i} % full` })),
  });

export const aChart = (over: Partial<Chart> = {}): Chart => ({
  kind: 'chart',
  target: arnOf(1),
  version: 0,
  open: { 'full-disk': idAt(NOW) },
  lease: { incident: idAt(NOW), remediation: 'full-disk', until: NOW + minutes(5) },
  recent: [
    { remediation: 'full-disk', incident: idAt(NOW), rung: 'clean /', at: NOW, step: '{"do":"clean"}', counted: true },
  ],
  ...over,
});
export const aGroup = (over: Partial<GroupRecord> = {}): GroupRecord => ({
  kind: 'group',
  id: 'asg/web',
  version: 0,
  repairs: { [arnOf(1)]: { incident: idAt(NOW), remediation: 'full-disk', until: NOW } },
  breaker: { since: NOW, lastSeenAt: NOW, because: 'half of it fell ill' },
  ...over,
});
export const someSwitches = (over: Partial<Switches> = {}): Switches => ({
  kind: 'switches',
  version: 0,
  pauses: [{ scope: 'group/asg/web', by: 'ada', why: 'release', at: NOW, until: NOW + hours(1) }],
  ...over,
});
export const aLedger = (over: Partial<Ledger> = {}): Ledger => ({
  kind: 'ledger',
  remediation: 'full-disk',
  month: '2026-11',
  version: 0,
  usdPerMonth: 12.375,
  ...over,
});
export const aNotice = (over: Partial<Notice> = {}): Notice => ({
  kind: 'notice',
  channel: 'ops',
  id: idAt(NOW),
  version: 0,
  about: { is: 'incident', target: arnOf(1), id: idAt(NOW) },
  told: { print: 'x1', of: 3, at: NOW },
  ref: '1795402860.000100',
  heard: `${NOW} seen 96 % full`,
  sent: 2,
  sending: { part: 'thread', at: NOW },
  uncertain: { main: NOW },
  since: NOW,
  failures: 1,
  because: 'Slack says internal_error',
  dueAt: NOW,
  ...over,
});
export const someReleases = (over: Partial<Releases> = {}): Releases => ({
  kind: 'releases',
  target: arnOf(1),
  version: 0,
  list: [
    {
      deployment: 'ecs-svc/1',
      definition: 'web:1',
      images: [{ name: 'web', image: 'web:1', digest: 'sha256:1' }],
      since: NOW,
      state: 'failed',
      health: '2 of 3 tasks serve',
      decidedAt: NOW,
      by: 'steward',
      because: 'one is unhealthy',
      migration: true,
      probes: [{ at: NOW, ok: false, say: 'GET https://shop.example.com answered 503' }],
    },
  ],
  wanted: { from: 'ecs-svc/1', to: 'ecs-svc/0', by: 'ada', at: NOW, why: 'slow' },
  ...over,
});
export const aBook = (over: Partial<ChannelBook> = {}): ChannelBook => ({
  kind: 'channel',
  name: 'ops',
  version: 0,
  digested: NOW,
  recent: [NOW - 1, NOW],
  storms: { 'full-disk': { since: NOW, until: NOW + minutes(5) } },
  failing: { since: NOW, failures: 3, because: 'invalid_auth', reported: NOW },
  blockedUntil: NOW + minutes(1),
  ...over,
});
