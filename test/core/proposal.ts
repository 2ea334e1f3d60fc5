/** A proposal that every guard lets through: an instance of a group of ten, in a policy of defaults. Tests change one thing of it. */
import type { Proposal } from '../../shared/core/guards.ts';
import type { Incident } from '../../shared/core/incident.ts';
import { defaultPolicy } from '../../shared/core/policy.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import { minutes } from '../../shared/core/time.ts';
import { fullDisk } from '../../shared/remediations/fullDisk.ts';

export const NOW = Date.UTC(2026, 10, 24, 12);
export const HOME = '111122223333';
const target = instanceTarget({ account: HOME, region: 'eu-central-1' }, 'i-0123456789abcdef0');

export const anIncident: Incident = {
  kind: 'incident',
  id: '01J00000000000000000000001',
  version: 1,
  target: target.arn,
  remediation: 'full-disk',
  state: 'open',
  because: 'an alarm',
  signals: {
    count: 1,
    kind: 'disk.space-low',
    cause: 'an alarm',
    firstAt: NOW - minutes(1),
    lastAt: NOW - minutes(1),
    lastEventId: 'event-1',
  },
  looks: 1,
  openedAt: NOW,
  attempts: [],
  log: [],
  dueAt: NOW + minutes(3),
};

const policy = defaultPolicy([fullDisk]);
export const settings: Proposal['settings'] = {
  ...(policy.remediations['full-disk'] as Proposal['settings']),
  modes: { harmless: 'act', interrupts: 'act', destroys: 'act' },
};

export const aProposal: Proposal = {
  now: NOW,
  home: HOME,
  target,
  remediation: { name: 'full-disk', risk: 'harmless' },
  act: { do: 'act', rung: 'grow /', step: { do: 'grow', toGiB: 30 }, plan: 'grow / to 30 GiB', because: 'it is full' },
  facts: {
    tags: { 'steward:managed': 'true' },
    group: { id: 'asg/web', size: 10, zones: { 'euc1-az1': 5, 'euc1-az2': 5 } },
    zone: 'euc1-az1',
    serving: { self: true, others: ['arn:aws:ec2:eu-central-1:111122223333:instance/i-0123456789abcdef1'] },
  },
  incident: anIncident,
  chart: { kind: 'chart', target: target.arn, version: 0, open: {}, recent: [] },
  group: { kind: 'group', id: 'asg/web', version: 0, repairs: {} },
  switches: { kind: 'switches', version: 0, pauses: [] },
  ledger: { kind: 'ledger', remediation: 'full-disk', month: '2026-11', version: 0, usdPerMonth: 0 },
  troubled: { 'euc1-az1': 1 },
  policy,
  settings,
};
