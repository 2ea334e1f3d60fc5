/** Putting back what an attempt changed: because a person asked for it, or because it did harm. */
import type { Incident } from './incident.ts';
import type { Remediation } from './remediation.ts';
import type { Verdict } from './verdict.ts';

/** An attempt that must be put back: a person asked for it, or it did harm and can be undone. */
export const undoing = (remediation: Remediation, incident: Incident): Verdict | undefined => {
  // What AWS put off was not done: it is tried again.
  const undone = (n: number) => incident.attempts.some((a) => a.undoes === n && a.outcome?.kind !== 'transient');
  const wanted = incident.undoWanted;
  const harmful = incident.attempts.findLast((a) => a.effect === 'harmful' && !a.undoes);
  const attempt = wanted?.attempt ?? harmful;
  if (!attempt || undone(attempt.n) || !remediation.undo) return undefined;
  const because = wanted ? `${wanted.by} asked for it` : `attempt ${attempt.n} made it worse`;
  return {
    do: 'act',
    rung: 'undo',
    step: { undo: attempt.n, token: attempt.token },
    plan: `put back what "${attempt.plan}" changed`,
    because,
  };
};

/** What the pass says once something was put back, or ought to have been. Undefined: nothing of the kind. */
export const afterUndo = (incident: Incident, healthy: boolean): Verdict | undefined => {
  const undo = incident.attempts.findLast((a) => a.undoes !== undefined);
  const worked = undo?.outcome?.kind === 'done';
  if (incident.undoWanted && undo) {
    if (worked) return { do: 'close', because: `it was put back, as ${incident.undoWanted.by} asked` };
    return {
      do: 'escalate',
      because: `putting it back failed: ${undo.outcome?.because ?? 'unknown'}`,
      remedy: 'put it back by hand, then say so with steward deny, and this incident goes on',
    };
  }
  const harmful = incident.attempts.findLast((a) => a.effect === 'harmful' && !a.undoes);
  if (!harmful || healthy) return undefined;
  const back = undo ? (worked ? '; it was put back' : '; putting it back failed') : '; it cannot be put back';
  return {
    do: 'escalate',
    because: `attempt ${harmful.n} (${harmful.plan}) made it worse${back}`,
    remedy: 'look at it: Steward does nothing more here until this incident is over',
  };
};
