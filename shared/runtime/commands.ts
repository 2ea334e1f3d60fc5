/** What a person commands, carried out: one transaction each, with version checks, decided anew when someone else wrote first. */
import { approve, deny, pause, pausesOf, type Ruling, resume } from '../core/answers.ts';
import { again, Conflict, InvalidInput, NotFound } from '../core/errors.ts';
import { type Incident, logged } from '../core/incident.ts';
import { snooze } from '../core/snooze.ts';
import type { Parked, Pause, Switches } from '../core/store.ts';
import { iso } from '../core/time.ts';
import { plural } from '../core/words.ts';
import { remediations } from '../remediations/index.ts';
import type { AnswerDeps, Command } from './answer.ts';
import { testChannel } from './channelHealth.ts';
import { startDrill } from './doctor.ts';
import { COUNTED, PARKED_LIMIT } from './questions.ts';
import { promoteRelease, rollBackTo } from './releases.ts';
import { change, granted, lookNow, type Outcome, putBack, type Rule } from './replies.ts';
import { findIncident, namedTarget } from './why.ts';

export const carryOut = (c: Command, by: string, deps: AnswerDeps): Promise<Outcome> => {
  switch (c.do) {
    case 'approve':
      return onIncident(
        c.incident,
        deps,
        (i) => approve(i, { by, now: deps.now(), step: c.step, links: deps.policy.links }),
        'approved',
      );
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
    case 'link':
      return link(c, by, deps);
    case 'pause':
      return stop(c, by, deps);
    case 'resume':
      return goOn(c.scope, by, deps);
    case 'undo':
      return findIncident(c.incident, deps).then((found) => putBack(found, by, deps));
    case 'scale':
      return import('./scale.ts').then(({ scale }) => scale(c, by, deps));
    case 'replay':
    case 'drop':
      return unpark(c, deps);
    case 'promote':
      return promoteRelease(c, by, deps);
    case 'roll-back':
      return rollBackTo(c, by, deps);
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

const onIncident = async (id: string, deps: AnswerDeps, rule: Rule, what: string): Promise<Outcome> =>
  change(await findIncident(id, deps), deps, rule, what);

const link = async (c: Extract<Command, { do: 'link' }>, by: string, deps: AnswerDeps): Promise<Outcome> => {
  const { links, stage, policy, now } = deps;
  if (!links)
    throw new InvalidInput(
      'nobody answers by link here: there is no public endpoint. `links` in steward.yml and a deployment make one',
    );
  const { mintByHand } = await import('./links/mint.ts');
  const mint = { mac: await links.mac(), url: links.url, stage, policy, now };
  return mintByHand(await findIncident(c.incident, deps), { to: c.to, by }, deps, mint);
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
    say: `${c.do === 'replay' ? 'sent again' : 'dropped'}: ${plural(chosen.length, 'parked event')}`,
    next:
      c.do === 'replay'
        ? 'what still cannot be read is parked again, under another id'
        : 'they are gone; what is really wrong is found by the surveys',
  };
};
