/**
 * What a person may change: yes, no, stop, go on, put back. Pure: each rule answers with the records to write, or says no with what it would take.
 */
import { type Attempt, type Incident, logged, openedBy, stepText } from './incident.ts';
import { mayBeOne } from './people.ts';
import type { Links } from './policy.ts';
import type { Pause, Switches } from './store.ts';
import { targetOf } from './target.ts';
import { iso, type Time } from './time.ts';

/** A no: who or what cannot be done and why, and what to do about it. */
export interface No {
  readonly no: string;
  readonly remedy: string;
}
export type Ruling<T> = T | No;
export const isNo = <T extends object>(ruling: Ruling<T>): ruling is No => 'no' in ruling;

export const over = (incident: Incident, action: string): No => ({
  no: `cannot ${action} incident ${incident.id}: it is over (${incident.end ?? 'closed'}${incident.closedAt === undefined ? '' : ` since ${iso(incident.closedAt)}`})`,
  remedy: `see what it did: steward why ${incident.id}`,
});

/** The step that a person is asked about now. */
export const askedStep = ({ ask }: Incident, now: Time): string | undefined =>
  ask && ask.until > now ? stepText(ask.step) : undefined;

export interface Reply {
  /** IAM ARN, proven; or `link:<recipient>`, `slack:<team>/<user>`. */
  readonly by: string;
  readonly now: Time;
  /** The step that the person has seen, as JSON text. */
  readonly step: string;
  /** Who else had the answer in hand: whoever made the link. */
  readonly through?: string;
  /** Who is who, of those that do not come by IAM. */
  readonly links?: Links | undefined;
}

/** Yes to exactly the asked step, for as long as the question is open. It ends a snooze. */
export const approve = (incident: Incident, { by, now, step, through, links }: Reply): Ruling<Incident> => {
  const no = (why: string, remedy: string): No => ({ no: `cannot approve incident ${incident.id}: ${why}`, remedy });
  const { snooze: _, ...awake } = incident;
  const { ask, approval } = incident;
  if (incident.state === 'closed') return over(incident, 'approve');
  if (approval && approval.until > now)
    return no(`${approval.by} already approved it at ${iso(approval.at)}`, `nothing: steward why ${incident.id}`);
  if (!ask) return no(`nothing is asked; it is ${incident.state}`, `see what it waits for: steward why ${incident.id}`);
  if (ask.until <= now)
    return no(
      `the question ended at ${iso(ask.until)}`,
      `wait until it asks again: steward plan ${incident.target} shows what it would do`,
    );
  if (stepText(ask.step) !== step)
    return no(
      `it asks for another step by now: ${ask.plan}`,
      `look at it and approve again: steward why ${incident.id}`,
    );
  const asker = ask.askedBy;
  const same = asker && [by, ...(through ? [through] : [])].find((who) => mayBeOne(asker, who, links));
  if (same)
    return no(
      asker === same
        ? `${same} asked for it, and the one who asks cannot approve`
        : `${same} may be the person who asked for it (${asker}), and the one who asks cannot approve`,
      same.startsWith('arn:')
        ? 'let someone else approve it; a role session counts as a person of its own if it has a name (role_session_name in the profile)'
        : `let someone else approve it, or by the CLI: steward approve ${incident.id}. Who a recipient is in IAM, \`links.recipients\` in steward.yml can say (\`is\`)`,
    );
  return {
    ...logged(awake, now, 'answer', `${by} approved at ${iso(now)}: ${ask.plan} (holds until ${iso(ask.until)})`),
    approval: { by, at: now, step, until: ask.until },
  };
};

/** No to the asked step (or to one that is approved and not yet begun): it is not asked again before the question would have ended. */
export const deny = (incident: Incident, { by, now, step, why }: Reply & { why?: string }): Ruling<Incident> => {
  const { ask, approval: _approval, snooze: _snooze, ...rest } = incident;
  if (incident.state === 'closed') return over(incident, 'deny');
  const no = (because: string): No => ({
    no: `cannot deny incident ${incident.id}: ${because}`,
    remedy: `look at it: steward why ${incident.id}; to stop whatever it does: steward pause ${incident.target} --reason '…'`,
  });
  const failed = failedUndo(incident);
  if (failed && (!ask || ask.until <= now)) return withdrawn(incident, failed, { by, now, ...(why ? { why } : {}) });
  if (!ask || ask.until <= now) return no(`nothing is asked; it is ${incident.state}`);
  if (stepText(ask.step) !== step) return no(`it asks for another step by now: ${ask.plan}`);
  const because = `${by} said no to: ${ask.plan}${why ? ` (${why})` : ''}`;
  return {
    ...logged(rest, now, 'answer', `${because}; it is not asked again before ${iso(ask.until)}`),
    state: 'refused',
    because,
    remedy: `it may be asked again after ${iso(ask.until)}`,
    denied: { step, by, until: ask.until },
  };
};

/** What was asked to be put back and could not be. */
const failedUndo = ({ undoWanted, attempts }: Incident): Attempt | undefined => {
  const last = attempts.findLast((a) => a.undoes !== undefined);
  const failed = last?.outcome?.kind === 'permanent' || last?.outcome?.kind === 'ambiguous';
  return undoWanted && failed ? undoWanted.attempt : undefined;
};

/** A person no longer wants it put back, or has done so by hand: the incident goes on as if nobody had asked. */
const withdrawn = (
  { undoWanted: _undo, snooze: _snooze, ...incident }: Incident,
  attempt: Attempt,
  { by, now, why }: { by: string; now: Time; why?: string },
): Incident => ({
  ...logged(
    incident,
    now,
    'answer',
    `${by} no longer asks to put back what attempt ${attempt.n} did (${attempt.plan})${why ? `: ${why}` : ''}`,
  ),
  state: 'open',
  because: `${by} no longer asks for it to be put back`,
});

const current = (switches: Switches, now: Time): Pause[] =>
  switches.pauses.filter((p) => p.until === undefined || p.until > now);

/** Stops before the next act. The same scope again replaces who, why and until. */
export const pause = (switches: Switches, wanted: Pause): Ruling<Switches> =>
  wanted.until !== undefined && wanted.until <= wanted.at
    ? { no: `cannot pause ${wanted.scope} until ${iso(wanted.until)}: that is over`, remedy: 'name a time to come' }
    : {
        ...switches,
        pauses: [...current(switches, wanted.at).filter((p) => p.scope !== wanted.scope), wanted],
      };

export const resume = (switches: Switches, scope: Pause['scope'], now: Time): Ruling<Switches> => {
  const pauses = current(switches, now);
  if (pauses.some((p) => p.scope === scope)) return { ...switches, pauses: pauses.filter((p) => p.scope !== scope) };
  return {
    no: `cannot resume ${scope}: it is not paused`,
    remedy:
      pauses.length === 0
        ? 'nothing: nothing at all is paused'
        : `paused are: ${pauses.map((p) => p.scope).join(', ')}`,
  };
};

/** What keeps an incident from acting, whoever paused it. */
export const pausesOf = (switches: Switches, incident: Incident, now: Time): Pause[] =>
  current(switches, now).filter(
    (p) =>
      p.scope === 'all' ||
      p.scope === `remediation/${incident.remediation}` ||
      p.scope === `target/${incident.target}` ||
      (incident.group !== undefined && p.scope === `group/${incident.group}`),
  );
export const inForce = current;

/** The attempt that undoing an incident would put back: its last that helped and was not put back yet. */
export const undoable = (incident: Incident): Attempt | undefined =>
  incident.attempts.findLast(
    (a) =>
      a.effect === 'effective' &&
      a.undoes === undefined &&
      !incident.attempts.some((b) => b.undoes === a.n && b.outcome?.kind !== 'transient'),
  );

export interface UndoRequest {
  readonly by: string;
  readonly now: Time;
  /** For the incident that puts back what a closed one did. */
  readonly newId: string;
  readonly remediation: { readonly canUndo: boolean; readonly noUndo: string };
  /** The latest incidents of the same target. */
  readonly others: readonly Incident[];
}

/**
 * Asks that the last effective attempt be put back. An open incident does it itself; for one that is over, a new incident is opened, and both
 * are returned: first the one that does it.
 */
export const undo = (
  incident: Incident,
  { by, now, newId, remediation, others }: UndoRequest,
): Ruling<readonly [Incident, ...Incident[]]> => {
  const no = (why: string, remedy: string): No => ({ no: `cannot undo incident ${incident.id}: ${why}`, remedy });
  if (!remediation.canUndo)
    return no(`${incident.remediation} cannot put back what it did: ${remediation.noUndo}`, 'put it back by hand');
  if (incident.undoWanted)
    return no(
      `${incident.undoWanted.by} asked for that at ${iso(incident.undoWanted.at)}`,
      `see how far it is: steward why ${incident.id}`,
    );
  const attempt = undoable(incident);
  if (!attempt)
    return no('nothing that it did had an effect that is still there', `see what it did: steward why ${incident.id}`);
  const same = others.find(
    (o) => o.undoWanted?.attempt.token === attempt.token && (o.state !== 'closed' || o.end === 'undone'),
  );
  if (same)
    return no(
      `incident ${same.id} ${same.state === 'closed' ? 'has put it back' : 'is putting it back'} already`,
      `see it: steward why ${same.id}`,
    );
  const wanted = { by, at: now, attempt };
  const line = `${by} asked at ${iso(now)} to put back what attempt ${attempt.n} did (${attempt.plan})`;
  const { snooze: _, ...awake } = incident;
  if (incident.state !== 'closed') return [{ ...logged(awake, now, 'answer', line), undoWanted: wanted }];
  const busy = others.find((o) => o.state !== 'closed' && o.remediation === incident.remediation);
  if (busy)
    return no(
      `incident ${busy.id} is at work on the same target`,
      `wait until it is over, or undo that one: steward why ${busy.id}`,
    );
  return [
    {
      ...openedBy(
        {
          kind: incident.signals.kind,
          target: targetOf(incident.target),
          at: now,
          cause: `steward undo ${incident.id}, by ${by}`,
          eventId: `undo@${incident.id}`,
          askedBy: by,
        },
        newId,
        incident.remediation,
        now,
      ),
      because: `${by} asked to put back what incident ${incident.id} did`,
      undoWanted: wanted,
      log: [{ at: now, what: 'answer', say: `${line} in incident ${incident.id}` }],
    },
    logged(incident, now, 'answer', `${line}: incident ${newId} does it`),
  ];
};
