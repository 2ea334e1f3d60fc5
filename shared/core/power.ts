/** Stopping an instance and starting it again: whose stop it is, and what a start needs. */
import { volumesThere } from './hosts.ts';
import type { Attempt } from './incident.ts';
import type { Permission } from './permissions.ts';
import type { Instance, Ports } from './ports.ts';

/** StateReason's codes of a stop that someone meant; the others are AWS's: no capacity, a schedule, a key that it may not use. */
const MEANT = /^Client\.(User|Instance)Initiated/;

/**
 * Does what is stopped still await the start that belongs to this stop? Not if AWS declined the stop, and not if it was launched since and then
 * stopped by someone: that is theirs. A launch that fell back (no capacity) is still ours to start.
 */
export const awaitsStart = ({ launchedAt, reason }: Instance, stop: Attempt | undefined): boolean =>
  stop !== undefined &&
  stop.outcome?.kind !== 'permanent' &&
  (launchedAt <= stop.reservedAt || !MEANT.test(reason?.code ?? ''));

/** ARNs of the keys under which its volumes are encrypted: EC2 asks KMS for a grant on each, in the name of who starts it. */
export const keysOf = async ({ devices }: Instance, ports: Pick<Ports, 'volumes'>): Promise<readonly string[]> => {
  const found = await volumesThere([...new Set(Object.values(devices))], ports);
  return [...new Set(found.flatMap((v) => v.key ?? []))].sort();
};

/** By EC2, in our name: without it, what has volumes under a customer's key would be stopped and not start again. */
export const GRANTS_OF_START: Permission = {
  for: 'act',
  actions: ['kms:CreateGrant'],
  resources: ['arn:*:kms:*:*:key/*'],
  grantsService: true,
};
