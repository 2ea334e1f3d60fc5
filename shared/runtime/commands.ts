/** What a person commands, carried out: one transaction each, with version checks, decided anew when someone else wrote first. */
import { lookMessage, signalMessage } from '../../events/steward/signal.ts';
import { approve, deny, isNo, type No, pause, pausesOf, type Ruling, resume, undo } from '../core/answers.ts';
import { Conflict, InvalidInput, messageOf, NotFound, StewardError } from '../core/errors.ts';
import { type Incident, logged } from '../core/incident.ts';
import { snooze } from '../core/snooze.ts';
import type { Parked, Pause, Switches } from '../core/store.ts';
import { iso } from '../core/time.ts';
import { remediations } from '../remediations/index.ts';
import type { AnswerDeps, Command, Done } from './answer.ts';
import { testChannel } from './channelHealth.ts';
import { startDrill } from './doctor.ts';
import { COUNTED, PARKED_LIMIT } from './questions.ts';
import { findIncident, namedTarget } from './why.ts';

/** A rule said no. */
export class Declined extends StewardError {
  override readonly name = 'Declined';
  readonly retry = 'never';
  readonly remedy: string;
  constructor({ no, remedy }: No) {
    super(no);
    this.remedy = remedy;
  }
}
const granted = <T extends object>(ruling: Ruling<T>): T => {
  if (isNo(ruling)) throw new Declined(ruling);
  return ruling;
};

type Outcome = Omit<Done, 'by' | 'at'>;

export const carryOut = (c: Command, by: string, deps: AnswerDeps): Promise<Outcome> => {
  switch (c.do) {
    case 'approve':
      return onIncident(c.incident, deps, (i) => approve(i, { by, now: deps.now(), step: c.step }), 'approved');
    case 'deny': {
      const reason = c.why === undefined ? {} : { why: c.why };
      return onIncident(c.incident, deps, (i) => deny(i, { by, now: deps.now(), step: c.step, ...reason }), 'denied');
    }
    case 'snooze': {
      const { forMs, why } = c;
      const until = deps.now() + forMs;
      return onIncident(c.incident, deps, (i) => snooze(i, { by, now: deps.now(), until, why }), 'snoozed').then(
        (done) => ({
          ...done,
          say: `snoozed until ${iso(until)}: ${why}`,
          next: `nobody is told before then, and it begins nothing new; it goes on looking, and closes if all is well. To think better of it: steward approve ${c.incident}, or deny`,
        }),
      );
    }
    case 'pause':
      return stop(c, by, deps);
    case 'resume':
      return goOn(c.scope, by, deps);
    case 'undo':
      return putBack(c.incident, by, deps);
    case 'replay':
    case 'drop':
      return unpark(c, deps);
    case 'test-channel':
      return testChannel(c.channel, by, deps);
    case 'drill':
      return startDrill(by, deps).then(({ target }) => ({
        target,
        say: 'the drill has begun',
        next: `see how it goes: steward why ${target}`,
      }));
  }
};

/** Someone else wrote first: decide anew on what is so now, a few times. */
const TRIES = 5;
const again = async <T>(change: () => Promise<T>): Promise<T> => {
  for (let tries = 1; ; tries++) {
    try {
      return await change();
    } catch (e) {
      if (!(e instanceof Conflict) || tries >= TRIES) throw e;
    }
  }
};

type Messages = Parameters<AnswerDeps['queue']['send']>[0];

/** Should the queue not take it, the incident's own time comes later: the command stands. */
const queued = async (messages: Messages, deps: AnswerDeps): Promise<string> => {
  try {
    await deps.queue.send(messages);
    return 'it looks again now';
  } catch (e) {
    if (!(e instanceof StewardError)) throw e;
    return `it looks again within 15 min (not at once: ${messageOf(e)})`;
  }
};

/** What waits for the target looks again at once. */
const lookNow = (targets: readonly string[], cause: string, deps: AnswerDeps): Promise<string> => {
  const at = deps.now();
  const signals = [...new Set(targets)].map((arn) => {
    const [, , , region = '', account = ''] = arn.split(':');
    const target = { arn, region, account };
    return { body: signalMessage({ kind: 'target.changed', target, at, cause, eventId: `${cause}@${at}` }) };
  });
  return queued(signals, deps);
};

const onIncident = async (
  id: string,
  deps: AnswerDeps,
  rule: (incident: Incident) => Ruling<Incident>,
  what: string,
): Promise<Outcome> => {
  const { target, id: known } = await findIncident(id, deps);
  const { ask } = await again(async () => {
    const [incident] = await deps.store.read({ kind: 'incident', target, id: known });
    if (!incident) throw new NotFound(`incident ${known} is gone`);
    await deps.store.write({ put: granted(rule(incident)) });
    return incident;
  });
  const next = await lookNow([target], `steward ${what} ${known}`, deps);
  return { incident: known, say: `${what}: ${ask?.plan ?? known}`, next: `${next}; see it: steward why ${known}` };
};

const switched = (deps: AnswerDeps, rule: (switches: Switches) => Ruling<Switches>): Promise<Switches> =>
  again(async () => {
    const [known] = await deps.store.read({ kind: 'switches' });
    const before: Switches = known ?? { kind: 'switches', version: 0, pauses: [] };
    await deps.store.write({ put: granted(rule(before)) });
    return before;
  });

const GROUP = /^(asg|group|instance|drill)\/./;

/** 'all', 'full-disk', 'asg/web', 'i-0abc', or as it is shown: 'remediation/full-disk', 'group/asg/web', 'target/arn:…'. */
const scopeOf = (given: string, deps: AnswerDeps): Pause['scope'] => {
  const [kind, bare] = /^(remediation|group|target)\/(.+)$/.exec(given)?.slice(1) ?? [];
  if (given === 'all') return 'all';
  if (kind === 'group' && bare && GROUP.test(bare)) return `group/${bare}`;
  if (GROUP.test(given)) return `group/${given}`;
  const name = bare ?? given;
  if (kind !== 'target' && remediations.some((r) => r.name === name)) return `remediation/${name}`;
  if (kind !== 'remediation' && /^(arn:|i-)/.test(name)) return `target/${namedTarget(name, deps).arn}`;
  throw new InvalidInput(
    `'${given}' is nothing that can be paused: say all, a remediation (${remediations.map((r) => r.name).join(', ')}), a group (asg/web, group/db) or a target (i-…, an ARN)`,
  );
};

const stop = async (
  { scope: given, why: reason, forMs }: Extract<Command, { do: 'pause' }>,
  by: string,
  deps: AnswerDeps,
): Promise<Outcome> => {
  const at = deps.now();
  const scope = scopeOf(given, deps);
  const wanted: Pause = { scope, by, why: reason, at, ...(forMs === undefined ? {} : { until: at + forMs }) };
  await switched(deps, (s) => pause(s, wanted));
  const group = scope.startsWith('group/') ? scope.slice('group/'.length) : undefined;
  const [known] = group === undefined ? [true] : await deps.store.read({ kind: 'group', id: group });
  const until = wanted.until === undefined ? 'until someone resumes it' : `until ${iso(wanted.until)}`;
  return {
    say: `paused ${scope} ${until}: ${reason}`,
    next: `nothing new is begun there; what is under way is watched to its end. To go on: steward resume ${scope}${known ? '' : `. Note: nothing of ${scope} was ever repaired: is its name right?`}`,
  };
};

const goOn = async (given: string, by: string, deps: AnswerDeps): Promise<Outcome> => {
  const scope = scopeOf(given, deps);
  const before = await switched(deps, (s) => resume(s, scope, deps.now()));
  const now = deps.now();
  const lifted = { ...before, pauses: before.pauses.filter((p) => p.scope === scope) };
  const held = (await deps.store.open(COUNTED)).filter(
    (i) => i.state === 'refused' && i.because.startsWith('switch:') && pausesOf(lifted, i, now).length > 0,
  );
  await Promise.all(held.map((i) => note(i, `${by} resumed ${scope} at ${iso(now)}`, deps)));
  if (held.length > 0)
    await lookNow(
      held.map((i) => i.target),
      `steward resume ${scope}`,
      deps,
    );
  const others = before.pauses.filter((p) => p.scope !== scope && (p.until ?? Number.POSITIVE_INFINITY) > now);
  return {
    say: `resumed ${scope}`,
    next: [
      held.length > 0 ? `${held.length} that waited for it look again now` : 'nothing waited for it',
      ...(others.length > 0 ? [`still paused: ${others.map((p) => p.scope).join(', ')}`] : []),
    ].join('; '),
  };
};

/** A line in the incident's log; whoever wrote in between has news enough of his own. */
const note = async (incident: Incident, say: string, deps: AnswerDeps): Promise<void> => {
  try {
    await deps.store.write({ put: logged(incident, deps.now(), 'answer', say) });
  } catch (e) {
    if (!(e instanceof Conflict)) throw e;
  }
};

const putBack = async (id: string, by: string, deps: AnswerDeps): Promise<Outcome> => {
  const { target, id: known, remediation: name } = await findIncident(id, deps);
  const remediation = remediations.find((r) => r.name === name);
  const rule = {
    canUndo: remediation?.undo !== undefined,
    noUndo: remediation?.noUndo ?? 'this version does not know how',
  };
  const newId = deps.newId();
  const doer = await again(async () => {
    const [[incident, chart], others] = await Promise.all([
      deps.store.read({ kind: 'incident', target, id: known }, { kind: 'chart', target }),
      deps.store.ofTarget(target, COUNTED),
    ]);
    if (!incident) throw new NotFound(`incident ${known} is gone`);
    const changed = granted(undo(incident, { by, now: deps.now(), newId, remediation: rule, others }));
    const isNew = changed[0].version === 0;
    const base = chart ?? { kind: 'chart' as const, target, version: 0, open: {}, recent: [] };
    await deps.store.write(
      ...changed.map((put) => ({ put })),
      ...(isNew ? [{ put: { ...base, open: { ...base.open, [name]: newId } } }] : []),
    );
    return changed[0];
  });
  const look = lookMessage({ target, remediation: name, incident: doer.id });
  const next =
    doer.id === newId ? await queued([{ body: look }], deps) : await lookNow([target], `steward undo ${known}`, deps);
  return {
    incident: doer.id,
    say: `asked to put back: ${doer.undoWanted?.attempt.plan}`,
    next: `incident ${doer.id} does it, if the guards let it, and ${next}: steward why ${doer.id}. So that it is not done again: steward pause ${target} --for 24h --reason '…'`,
  };
};

const unpark = async (c: Extract<Command, { do: 'replay' | 'drop' }>, deps: AnswerDeps): Promise<Outcome> => {
  const all = await deps.store.parked(PARKED_LIMIT);
  const missing = c.ids === 'all' ? [] : c.ids.filter((id) => !all.some((p) => p.id === id));
  if (missing.length > 0)
    throw new NotFound(`no event is parked as ${missing.join(', ')}; \`steward parked list\` shows what is`);
  const chosen: readonly Parked[] = c.ids === 'all' ? all : all.filter((p) => c.ids.includes(p.id));
  // Sent before it is removed: a crash in between sends it twice, which changes nothing.
  if (c.do === 'replay') await deps.queue.send(chosen.map(({ body }) => ({ body })));
  for (const { id } of chosen) await deps.store.unpark(id);
  return {
    say: `${c.do === 'replay' ? 'sent again' : 'dropped'}: ${chosen.length} parked event${chosen.length === 1 ? '' : 's'}`,
    next:
      c.do === 'replay'
        ? 'what still cannot be read is parked again, under another id'
        : 'they are gone; what is really wrong is found by the surveys',
  };
};
