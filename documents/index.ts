/** What runs on a host: these documents, by ARN, and nothing else. */
import type { DocumentName } from '../shared/core/documents.ts';
import { command, type DocumentContent } from './document.ts';

export const documents: readonly { readonly name: DocumentName; readonly content: DocumentContent }[] = [
  {
    name: 'inspect-disk',
    content: command(
      'inspect-disk',
      'Steward: how full the file systems are, what they stand on, what fills them. Changes nothing.',
      ['Detail', 'MinAgeHours'],
      ['common.sh', 'places.sh', 'inspect-disk/script.sh'],
      60,
    ),
  },
  {
    name: 'clean-disk',
    content: command(
      'clean-disk',
      'Steward: removes package caches, rotated logs, core dumps, journal over its limit and unused images from one file system.',
      ['Mount', 'MinAgeHours', 'JournalMiB', 'Token'],
      ['common.sh', 'places.sh', 'clean-disk/script.sh'],
      900,
    ),
  },
  {
    name: 'grow-filesystem',
    content: command(
      'grow-filesystem',
      'Steward: lets a file system use all of its device: partition, LVM, ext4, XFS, Btrfs.',
      ['Mount', 'Token'],
      ['common.sh', 'grow-filesystem/script.sh'],
      900,
    ),
  },
  {
    name: 'inspect-load',
    content: command(
      'inspect-load',
      'Steward: what holds memory and CPU, by unit and container, and how that grew. Changes nothing but its own samples.',
      [],
      ['common.sh', 'units.sh', 'inspect-load/script.sh'],
      60,
    ),
  },
  {
    name: 'restart-unit',
    content: command(
      'restart-unit',
      'Steward: restarts one systemd unit or container. Never sshd, agents, runtimes, system services or databases.',
      ['Unit', 'Kind', 'Token'],
      ['common.sh', 'units.sh', 'restart-unit/script.sh'],
      240,
    ),
  },
  {
    name: 'inspect-agents',
    content: command(
      'inspect-agents',
      'Steward: whether the CloudWatch agent and the ECS agent are there and run, and why not. Changes nothing.',
      [],
      ['common.sh', 'agents.sh', 'inspect-agents/script.sh'],
      60,
    ),
  },
  {
    name: 'mend-agent',
    content: command(
      'mend-agent',
      'Steward: installs, configures or restarts the CloudWatch agent, or lets it ship a line that proves it; restarts the ECS agent.',
      ['Agent', 'Action', 'Config', 'Group', 'Token'],
      ['common.sh', 'agents.sh', 'mend-agent/script.sh'],
      600,
    ),
  },
  {
    name: 'beat-agent',
    content: command(
      'beat-agent',
      'Steward: writes a line into a file of its own, where the CloudWatch agent ships that file. Run each half hour by State Manager.',
      [],
      ['common.sh', 'agents.sh', 'beat-agent/script.sh'],
      60,
    ),
  },
  {
    name: 'watch-host',
    content: command(
      'watch-host',
      'Steward: lets the host ship who comes in and goes, and what is run by sudo, into the activity log. Run each half hour by State Manager, where the policy wants it.',
      ['Watch', 'Group'],
      ['common.sh', 'agents.sh', 'watch-host/head.sh', 'watch-host/ship.sh', 'watch-host/script.sh'],
      120,
    ),
  },
];
