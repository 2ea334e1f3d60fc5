/** The account of a run: the table, the queue and the model's calls, each behind the schedule's faults and under the witness's eyes. */
import { Forbidden, NotFound } from '../../shared/core/errors.ts';
import { stepText } from '../../shared/core/incident.ts';
import type { Ports } from '../../shared/core/ports.ts';
import type { Signal } from '../../shared/core/signal.ts';
import type { Json } from '../../shared/core/verdict.ts';
import { answerMessage, type Outcome } from '../../shared/runtime/heal.ts';
import type { Wired } from '../../shared/runtime/wire.ts';
import type { Random } from '../../world/random.ts';
import { type Clinic, type ClinicPorts, HOME, type Kind } from './clinic.ts';
import { createQueue, type Engine, type MessageQueue, storeOf } from './engine.ts';
import type { Life } from './schedule.ts';
import type { Rules, Witness } from './witness.ts';

export interface Account extends Engine {
  readonly random: Random;
  readonly clinic: Clinic;
  readonly rules: Rules;
  readonly witness: Witness;
  readonly hasSurvey: boolean;
  /** Somebody stops everything at the very moment at which something is about to happen. */
  readonly isNervous: boolean;
  readonly interrupt: () => void;
  /** Events that were answered, and so must not be lost. */
  readonly heard: Set<string>;
}

const portsOf = (a: Account, life: Life): ClinicPorts => {
  const { schedule, clinic, witness, faults } = a;
  const ask = <T>(what: string, effect: () => T): Promise<T> => {
    a.tally.calls++;
    return schedule.call(life, what, faults(), async () => effect());
  };
  const act = async (arn: string, kind: Kind, token: string, step: Json, effect: () => { job: string }) => {
    witness.sending(life, arn, kind, token, stepText(step));
    a.note(() => `#${life.id} sends ${token}: ${stepText(step)}`);
    try {
      return await ask(`treat ${token}`, () => {
        witness.arrived(arn, token);
        const started = effect();
        witness.started.add(token);
        a.note(() => `${token} is at work`);
        return started;
      });
    } finally {
      witness.replied(arn, token);
    }
  };
  return {
    examine: async (arn, kind) =>
      ask(`examine ${arn}`, () => {
        try {
          const view = clinic.view(arn, kind);
          const healthy = !view.ill && view.running.length === 0;
          witness.looked(life, arn, kind, { healthy, gone: false });
          if (a.isNervous && !a.isQuiet() && a.random.chance(0.1)) a.interrupt();
          a.note(() => `#${life.id} sees ${arn.slice(-3)} ${kind} ${view.ill ? `ill, level ${view.level}` : 'well'}`);
          return view;
        } catch (e) {
          if (e instanceof NotFound) witness.looked(life, arn, kind, { healthy: false, gone: true });
          throw e;
        }
      }),
    treat: (arn, kind, step, token) => act(arn, kind, token, step, () => clinic.treat(arn, kind, step, token)),
    revert: (arn, kind, attempt, token) => {
      const undo = witness.reservations.get(token)?.attempt.step as unknown as
        | { undo: number; token: string }
        | undefined;
      const { level } = attempt.before as { level: number };
      const step = undo ? { undo: attempt.n, token: attempt.token } : {};
      return act(arn, kind, token, step, () => clinic.revert(arn, kind, level, token));
    },
    illNow: (kind) => ask(`survey ${kind}`, () => (a.hasSurvey ? clinic.illNow(kind) : [])),
  };
};

export const depsOf = (a: Account, life: Life, queue: MessageQueue): Wired => ({
  now: () => {
    const wall = a.schedule.wall();
    a.witness.readClock(wall);
    return wall;
  },
  newId: a.newId,
  store: storeOf(a, life),
  policy: a.rules.policy,
  home: HOME,
  reach: (_remediation, target) =>
    a.schedule.call(life, 'assume role', a.faults(), async () => {
      if (a.random.chance(a.isQuiet() ? 0 : 0.002)) throw new Forbidden(`no role for ${target.arn}`);
      return portsOf(a, life) as unknown as Ports;
    }),
  queue: {
    send: (messages) => {
      a.tally.calls++;
      return a.schedule.call(life, 'send', a.faults(), async () => {
        for (const m of messages) queue.take(m.body, (m.delaySeconds ?? 0) * 1000);
      });
    },
  },
  alarmTags: async () => ({}),
  common: { firing: async () => [], running: async () => [], clusters: async () => [] },
});

/** The incident that a message asks to look at. */
const lookIn = (body: string): string | undefined => (JSON.parse(body) as { incident?: string }).incident;

/** What a message told of must not be lost from here on. One that fails five times is kept in the dead-letter queue. */
const answered = (a: Account, life: Life, body: string, { answers }: Outcome): void => {
  a.note(
    () =>
      `#${life.id} answers ${answers.map((x) => `${x.verdict.do}/${x.state}: ${x.refused?.because ?? x.verdict.because}`).join(' | ')}`,
  );
  a.witness.ended(life);
  const { signal } = JSON.parse(body) as { signal?: Signal };
  if (signal && signal.kind !== 'target.changed') a.heard.add(signal.eventId);
  // A repeated signal leaves the next look to the message that is under way.
  for (const { incident, lookAgainAt, due } of answers)
    if (incident !== undefined && lookAgainAt !== undefined && (!signal || due?.moved))
      a.witness.promises(life, incident, lookAgainAt);
};

export const queueOf = (a: Account): MessageQueue => {
  const queue: MessageQueue = createQueue<Outcome>(a, {
    answer: (life, body) => {
      const look = lookIn(body);
      if (a.faultless && look) a.witness.looksAgain(look);
      return answerMessage(body, depsOf(a, life, queue));
    },
    answered: (life, body, outcome) => answered(a, life, body, outcome),
  });
  return queue;
};
