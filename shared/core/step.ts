/** Starting the one step that the gate let through, and what its end proves. */
import { Forbidden, messageOf, NotFound, Refused, Throttled } from './errors.ts';
import { pauseOf, pauseText } from './guards.ts';
import type { Attempt, Incident, OutcomeKind } from './incident.ts';
import type { Ports } from './ports.ts';
import { NO_ZONE } from './store.ts';
import { fraction, openStorm, zoneGroup } from './storm.ts';
import { iso, minutes, seconds, span } from './time.ts';
import type { Json } from './verdict.ts';
import type { Deps, Work } from './work.ts';

/** A step that could not be started so soon after its reservation is not started at all. */
export const ACT_WITHIN = seconds(30);
/** After a step was taken, its effect shows within seconds (EBS reports `optimizing`, SSM answers); a fault wants more patience. */
export const nextLook = (kind: OutcomeKind, incident: Incident): number => {
  const before = incident.attempts.filter((a) => a.outcome?.kind === 'transient').length;
  return {
    done: seconds(5),
    permanent: seconds(1),
    ambiguous: seconds(30),
    // Many that are put off together do not come back together.
    transient: Math.min(
      minutes(10),
      Math.round(seconds(15) * 2 ** before * (0.5 + fraction(`${incident.id} ${before}`))),
    ),
  }[kind];
};

export interface Started {
  readonly kind: OutcomeKind;
  readonly because: string;
  readonly receipt?: Json;
}

/** Whether a person or a storm has stopped it since it was reserved. The group's own record is in the reservation; the zone's is many groups'. */
const stopped = async (
  { now, store, policy }: Pick<Deps, 'now' | 'store' | 'policy'>,
  { target, remediation }: Pick<Work, 'target' | 'remediation'>,
  { group, zone = NO_ZONE }: Incident,
  attempt: Attempt,
): Promise<string | undefined> => {
  const [switches, ofZone] = await store.read({ kind: 'switches' }, { kind: 'group', id: zoneGroup(zone) });
  const pause = switches && pauseOf(switches, { now: now(), remediation: remediation.name, target: target.arn, group });
  if (pause) return pauseText(pause);
  if (attempt.continues || attempt.undoes !== undefined || !ofZone) return undefined;
  const storm = openStorm({ group: ofZone, zone: undefined }, now(), policy);
  return storm && `breaker: ${storm.because}`;
};

/** Runs the step of a reserved attempt, once, under a session that reaches this target only. Never throws: what an error proves is the outcome. */
export const start = async (
  { target, remediation }: Pick<Work, 'target' | 'remediation'>,
  deps: Pick<Deps, 'now' | 'reach' | 'store' | 'policy'>,
  incident: Incident,
  attempt: Attempt,
): Promise<Started> => {
  const { now, reach } = deps;
  const { undoWanted, attempts } = incident;
  const original =
    attempt.undoes === undefined ? undefined : (undoWanted?.attempt ?? attempts.find((a) => a.n === attempt.undoes));
  let ports: Ports;
  try {
    const touched = remediation.touches(original?.step ?? attempt.step, target);
    const [session, stop] = await Promise.all([
      reach(remediation, target, { phase: 'act', touched }),
      stopped(deps, { target, remediation }, incident, attempt),
    ]);
    ports = session;
    if (stop !== undefined) return { kind: 'transient', because: stop };
  } catch (e) {
    // Nothing was asked of anyone yet.
    return { kind: e instanceof Forbidden ? 'permanent' : 'transient', because: messageOf(e) };
  }
  const late = now() - attempt.reservedAt;
  if (late > ACT_WITHIN || late < -ACT_WITHIN)
    return {
      kind: 'transient',
      because: `${span(Math.abs(late))} lie between its reservation at ${iso(attempt.reservedAt)} and its start: too much to be sure of the lease`,
    };
  try {
    const receipt =
      original && remediation.undo
        ? await remediation.undo(original, ports, attempt.token)
        : await remediation.run(attempt.step, ports, attempt.token);
    return { kind: 'done', because: 'it was taken; a later look tells whether it helped', receipt };
  } catch (e) {
    return { kind: outcomeOf(e), because: messageOf(e) };
  }
};

/** What an error proves. Anything that does not prove that nothing happened is ambiguous. */
const outcomeOf = (e: unknown): OutcomeKind => {
  if (e instanceof Throttled) return 'transient';
  if (e instanceof Refused || e instanceof Forbidden || e instanceof NotFound) return 'permanent';
  return 'ambiguous';
};
