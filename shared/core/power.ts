/** Stopping an instance and starting it again: whose stop it is, and what a start needs. */
import { NotFound } from './errors.ts';
import type { Attempt } from './incident.ts';
import type { Instance, Ports, Volume } from './ports.ts';

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

const noneIfGone = (e: unknown): readonly Volume[] => {
  if (e instanceof NotFound) return [];
  throw e;
};

/** ARNs of the keys under which its volumes are encrypted: EC2 asks KMS for a grant on each, in the name of who starts it. */
export const keysOf = async (
  { devices }: Instance,
  { volumes }: Pick<Ports, 'volumes'>,
): Promise<readonly string[]> => {
  const ids = [...new Set(Object.values(devices))];
  const found = ids.length > 0 ? await volumes.describe(ids).catch(noneIfGone) : [];
  return [...new Set(found.flatMap((v) => v.key ?? []))].sort();
};
