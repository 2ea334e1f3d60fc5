/**
 * From what came in to passes and their answers: read, find whose it is, run the passes, see that someone looks again. Every way in ends here.
 */
import { type Reading, readAll } from '../../events/read.ts';
import { type LookAgain, lookMessage } from '../../events/steward/signal.ts';
import { signalOfTags } from '../core/alarm.ts';
import { again, InvalidInput, messageOf } from '../core/errors.ts';
import { type Answer, pass, type Work } from '../core/pass.ts';
import type { Remediation } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { noteShift } from '../core/storm.ts';
import { matchesArn, type Target, targetOf, typeOf, zoneTarget } from '../core/target.ts';
import { minutes } from '../core/time.ts';
import type { ShiftNews } from '../core/zoneShifts.ts';
import { remediations } from '../remediations/index.ts';
import type { Wired } from './wire.ts';

/** What came of one event. */
export interface Outcome {
  readonly answers: readonly Answer[];
  /** Understood, and nothing to us: why. */
  readonly ignored?: string;
  /** Could not be read: where it is kept, and why. */
  readonly parked?: { readonly id: string; readonly because: string };
}

/** A pass that lost a race is run again at once, so often; then the queue brings the message again. */
const PASS_TRIES = 3;

/** SQS delays up to 15 minutes; what is later is the sweep's. */
const DELAY_LIMIT = minutes(15);

/**
 * One chain of looks for each incident, however often its messages are repeated: a message is good for the due time that it was sent under,
 * and a pass sends the next one if it goes on with the chain or has set another due time.
 */
const lookAgain = async (work: Work, answer: Answer, deps: Wired): Promise<void> => {
  const { lookAgainAt, incident, due } = answer;
  const continues = work.signal === undefined || answer.opened || answer.attempt !== undefined || due?.moved;
  if (lookAgainAt === undefined || incident === undefined || due === undefined || !continues) return;
  const delay = lookAgainAt - deps.now();
  if (delay > DELAY_LIMIT) return;
  const look: LookAgain = {
    target: answer.target,
    remediation: answer.remediation,
    incident,
    due: due.at,
  };
  await deps.queue.send([
    { body: lookMessage(look), delaySeconds: Math.min(900, Math.max(1, Math.ceil(delay / 1000))) },
  ]);
};

const idle = (target: Target, because: string): Answer => ({
  target: target.arn,
  remediation: 'none',
  verdict: { do: 'nothing', because },
  state: 'none',
  attempts: 0,
  opened: false,
});

/** The remediations that a signal is for, with the target that each looks at. One that the policy turns off never looks. */
const worksOf = async (signal: Signal, deps: Wired): Promise<Work[]> => {
  const works = await Promise.all(
    remediations
      .filter((r) => signal.kind === 'target.changed' || r.answers.includes(signal.kind))
      .filter((r) => deps.policy.remediations[r.name]?.mode !== 'off')
      .map(async (remediation) =>
        (await ownTargets(remediation, signal, deps)).map((target) => ({
          target,
          remediation,
          signal: { ...signal, target },
        })),
      ),
  );
  return works.flat();
};

/** What it is about may be the target itself, or something that belongs to some (a volume → its instance). */
const ownTargets = async (remediation: Remediation, { target }: Signal, deps: Wired): Promise<readonly Target[]> => {
  if (matchesArn(remediation.targets, target.arn)) return [target];
  const locate = remediation.locate?.[typeOf(target)];
  return locate ? locate(target, await deps.reach(remediation, target, { phase: 'look', touched: [] })) : [];
};

/** Explained only; and how long the signal waited before anyone took it. */
interface How {
  readonly explain: boolean;
  readonly waited: number;
}

const named = async (signal: Signal, deps: Wired): Promise<Signal | undefined> =>
  signal.kind === 'alarm.unnamed' ? signalOfTags(signal, await deps.alarmTags(signal.target)) : signal;

const answersTo = async (given: Signal, deps: Wired, { explain, waited }: How): Promise<Answer[]> => {
  const signal = await named(given, deps);
  if (!signal)
    return [
      idle(
        given.target,
        'the alarm names neither a trouble nor a target: use a metric that Steward knows, or tag the alarm steward:signal and steward:target',
      ),
    ];
  const works = await worksOf(signal, deps);
  if (works.length === 0)
    return [
      idle(
        signal.target,
        signal.kind === 'target.changed'
          ? 'nothing of it is watched'
          : `no remediation answers ${signal.kind} of ${signal.target.arn}`,
      ),
    ];
  // What was sent for later waits from then on.
  const since = signal.routine ? Math.max(0, deps.now() - signal.at) : waited;
  return Promise.all(works.map((work) => runWork({ ...work, explain, waited: Math.min(waited, since) }, deps)));
};

const runWork = async (work: Work, deps: Wired): Promise<Answer> => {
  const answer = await again(() => pass(work, deps), PASS_TRIES);
  if (!work.explain) await lookAgain(work, answer, deps);
  return answer;
};

const byName = (name: string): Remediation => {
  const found = remediations.find((r) => r.name === name);
  if (!found)
    throw new InvalidInput(`no remediation is called ${name}; there are ${remediations.map((r) => r.name).join(', ')}`);
  return found;
};

/** Kept in the zone's record, which whoever plans with the zone goes by; then the zone is looked at. Of a practice run nobody hears. */
const shifted = async (news: ShiftNews, region: string, deps: Wired, how: How): Promise<Outcome> => {
  const { zone, kind, begins, at } = news;
  if (!how.explain) await again(() => noteShift(deps.store, news), PASS_TRIES);
  const what = kind === 'practice' ? 'a practice run' : `an ${kind}`;
  const said = `${what} of ${zone} ${begins ? 'is under way' : 'is over'}: kept with the zone`;
  if (kind === 'practice') return { answers: [], ignored: said };
  const signal: Signal = {
    kind: begins ? 'zone.impaired' : 'target.changed',
    target: zoneTarget({ account: deps.home, region }, zone),
    at,
    cause: said,
    eventId: `${kind}:${zone}:${begins ? 'begins' : 'ends'}@${at}`,
  };
  return { answers: await answersTo(signal, deps, how), ignored: said };
};

const answersOf = async (reading: Reading, deps: Wired, how: How): Promise<Outcome> => {
  if ('ignored' in reading) return { answers: [], ignored: reading.ignored };
  if ('shift' in reading) return shifted(reading.shift, reading.region, deps, how);
  if ('look' in reading) {
    const { target, remediation, incident, due } = reading.look;
    const work = {
      target: targetOf(target),
      remediation: byName(remediation),
      incident,
      ...(due === undefined ? {} : { due }),
    };
    return { answers: [await runWork({ ...work, explain: how.explain }, deps)] };
  }
  const answers = await Promise.all(reading.signals.map((s) => answersTo(s, deps, how)));
  return { answers: answers.flat() };
};

/** Keeps what nobody could read, whole, with the reason. */
const park = async (body: string, e: InvalidInput, deps: Wired): Promise<Outcome> => {
  const id = deps.newId();
  await deps.store.park({ id, at: deps.now(), because: messageOf(e), body });
  return { answers: [], parked: { id, because: e.message } };
};

/**
 * Answers one event, in whatever form it came. What cannot be read is parked; what fails for a while is thrown, so that the queue brings it
 * again. @param explain say what would be done; do and write nothing
 * @param way the text that it came as, to be kept if it cannot be read; and how long it waited, in ms
 */
export const answerEvent = async (
  event: unknown,
  deps: Wired,
  explain = false,
  { body, waited = 0 }: { body?: string; waited?: number } = {},
): Promise<Outcome> => {
  try {
    const outcomes = await Promise.all(readAll(event).map((reading) => answersOf(reading, deps, { explain, waited })));
    const ignored = outcomes.find((o) => o.ignored)?.ignored;
    return { answers: outcomes.flatMap((o) => o.answers), ...(ignored === undefined ? {} : { ignored }) };
  } catch (e) {
    if (!(e instanceof InvalidInput)) throw e;
    if (explain) return { answers: [], parked: { id: 'none (explained only)', because: e.message } };
    return park(body ?? JSON.stringify(event) ?? String(event), e, deps);
  }
};

/** The body of one SQS message: JSON, or parked as it is. @param waited how long it was in the queue before anyone took it, in ms */
export const answerMessage = async (body: string, deps: Wired, waited = 0): Promise<Outcome> => {
  let event: unknown;
  try {
    event = JSON.parse(body);
  } catch (cause) {
    return park(body, new InvalidInput('the message is not JSON', { cause }), deps);
  }
  return answerEvent(event, deps, false, { body, waited });
};

/** What would be done about a target, with or without an alarm. Writes nothing, does nothing. */
export const plan = async (arn: string, only: string | undefined, deps: Wired): Promise<Outcome> => {
  const target = targetOf(arn);
  const asked = only === undefined ? remediations.filter((r) => matchesArn(r.targets, arn)) : [byName(only)];
  if (asked.length === 0) throw new InvalidInput(`no remediation is for ${arn}`);
  const works = asked.flatMap((remediation) => {
    const [kind] = remediation.answers;
    return kind
      ? [
          {
            target,
            remediation,
            signal: {
              kind,
              target,
              at: deps.now(),
              cause: 'someone asked what would be done',
              eventId: `plan@${deps.now()}`,
            },
          },
        ]
      : [];
  });
  return { answers: await Promise.all(works.map((work) => runWork({ ...work, explain: true }, deps))) };
};
