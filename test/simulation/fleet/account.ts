/** The account of a run: the world's fleet on the schedule's clock, and Steward's functions over it, each call behind the schedule's faults. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { read } from '../../../events/read.ts';
import { Forbidden } from '../../../shared/core/errors.ts';
import type { Policy } from '../../../shared/core/policy.ts';
import { answerMessage, type Outcome } from '../../../shared/runtime/heal.ts';
import { reachAws, surveyed, type Wired } from '../../../shared/runtime/wire.ts';
import type { Clock } from '../../../world/clock.ts';
import type { Asked, Direct } from '../../../world/direct.ts';
import type { Random } from '../../../world/random.ts';
import { AwsError } from '../../../world/service.ts';
import { perform, type World } from '../../../world/world.ts';
import { createQueue, type MessageQueue, storeOf } from '../engine.ts';
import type { Crowd } from '../people.ts';
import type { Life, Schedule } from '../schedule.ts';
import type { Fleet, Patient } from './fleet.ts';
import type { FleetWitness, Sent } from './witness.ts';

export const STAGE = 'test';

export interface FleetAccount extends Crowd {
  readonly world: World;
  readonly fleet: Fleet;
  readonly policy: Policy;
  readonly witness: FleetWitness;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Those who fell ill. */
  readonly patients: Patient[];
  /** Ids of the events that were answered. */
  readonly heard: Set<string>;
  /** A step has arrived in the world: chance may have its say. */
  readonly onStep: (sent: Sent) => void;
  readonly hasCapacity: (fate: Random) => boolean;
  readonly reach: () => Wired['reach'];
}

/** The world's time is the schedule's. Nobody else moves it. */
export const clockOf = (schedule: Schedule): Clock => {
  const never = (): never => {
    throw new Error('the schedule moves the clock');
  };
  return {
    now: schedule.wall,
    next: () => undefined,
    at: (time, callback) => {
      let off = false;
      schedule.after(time - schedule.wall(), () => {
        if (!off) callback();
      });
      return () => {
        off = true;
      };
    },
    advance: never,
    pass: never,
    sleep: (ms) => new Promise((resolve) => schedule.after(ms, resolve)),
  };
};

const READS = /^(Describe|Get|List|Lookup|AssumeRole)/;
const isChange = ({ operation, input }: Asked): boolean =>
  !READS.test(operation) &&
  !(operation === 'SendCommand' && /\/steward-[\w]+-inspect-/.test((input as { DocumentName: string }).DocumentName));

/** Who calls: sessions are kept and shared by one warm function after the other, as in Lambda. */
const caller = new AsyncLocalStorage<Life>();
const lifeNow = (): Life => {
  const life = caller.getStore();
  if (!life) throw new Error('a call that belongs to no function');
  return life;
};

const transportOf = (a: FleetAccount): Direct => {
  const { world, schedule, witness } = a;
  const effect = (asked: Asked, fate: Random): Promise<object> => {
    if (asked.operation === 'StartInstances' && !a.hasCapacity(fate))
      throw new AwsError('InsufficientInstanceCapacity', 'There is no capacity of this type in this zone', 500);
    if (fate.chance(a.isQuiet() || a.faultless ? 0 : 0.0007))
      throw new AwsError('AccessDenied', 'a policy of the organisation denies it', 403);
    return perform(world, { ...asked, requestId: 'simulated' });
  };
  const say = ({ service, operation, input }: Asked) => `${service.name}:${operation} ${JSON.stringify(input)}`;
  const call = async (asked: Asked): Promise<object> => {
    const life = lifeNow();
    a.tally.calls++;
    const what = `${asked.service.name}:${asked.operation} for ${witness.remediationOf(asked)}`;
    const fate = schedule.fateOf(life, `denied ${what}`);
    if (!isChange(asked)) {
      witness.looking(life, asked);
      const seen = schedule.call(life, what, a.faults(), async () => effect(asked, fate));
      await seen.then(
        () => witness.looked(life, asked, true),
        () => witness.looked(life, asked, false),
      );
      return seen;
    }
    const sent = witness.sending(life, asked);
    a.note(() => `#${life.id} sends ${say(asked)}`);
    try {
      return await schedule.call(life, what, a.faults(), async () => {
        const answer = await effect(asked, fate);
        witness.arrived(sent, answer);
        a.note(() => `${say(asked)} took effect`);
        a.onStep(sent);
        return answer;
      });
    } finally {
      witness.replied(sent);
    }
  };
  return {
    handle: () => {
      throw new Error('nothing goes over the wire here');
    },
    command: call,
  };
};

/** Reaches AWS. What a function's environment keeps dies with it: a read that several passes share belongs to one life. */
export const reachOf = (a: FleetAccount): Wired['reach'] => {
  const { schedule, world } = a;
  const ofLife = new WeakMap<Life, Wired['reach']>();
  const made = (life: Life): Wired['reach'] =>
    reachAws({
      stage: STAGE,
      region: world.region,
      now: schedule.wall,
      sleep: (ms) =>
        new Promise<void>((resolve) =>
          schedule.after(ms, () => {
            if (!life.dead) resolve();
          }),
        ),
      transport: transportOf(a),
      credentials: a.credentials,
    }).reach;
  return (remediation, target, session) => {
    const life = lifeNow();
    const { chance } = schedule.fateOf(life, `role ${remediation.name}`);
    if (chance(a.isQuiet() ? 0 : 0.001)) throw new Forbidden(`no role for ${target.arn}`);
    const reach = ofLife.get(life) ?? made(life);
    ofLife.set(life, reach);
    return reach(remediation, target, session);
  };
};

/** Runs a function of the stack as this life. */
export const asFunction = <T>(
  a: FleetAccount,
  life: Life,
  queue: MessageQueue,
  work: (deps: Wired) => Promise<T>,
): Promise<T> => {
  const { schedule, world, policy } = a;
  const deps: Wired = {
    now: schedule.wall,
    newId: a.newId,
    store: storeOf(a, life),
    policy,
    home: world.account,
    reach: a.reach(),
    queue: {
      send: (messages) =>
        schedule.call(life, 'send', a.faults(), async () => {
          for (const m of messages) queue.take(m.body, (m.delaySeconds ?? 0) * 1000);
        }),
    },
    alarmTags: async () => ({}),
    common: surveyed({ region: world.region, transport: transportOf(a), credentials: a.credentials }),
  };
  return caller.run(life, () => work(deps));
};

const heardIn = (body: string): readonly string[] => {
  const reading = read(JSON.parse(body));
  return 'signals' in reading ? reading.signals.map((s) => s.eventId) : [];
};

export const queueOf = (a: FleetAccount): MessageQueue => {
  const queue: MessageQueue = createQueue<Outcome>(a, {
    answer: (life, body) => asFunction(a, life, queue, (deps) => answerMessage(body, deps)),
    answered: (life, body, { answers, parked }) => {
      a.note(
        () =>
          `#${life.id} answers ${answers.map((x) => `${x.remediation} ${x.verdict.do}/${x.state}: ${x.refused?.because ?? x.verdict.because}`).join(' | ')}`,
      );
      a.witness.ended(life);
      a.witness.check(!parked, 'everything-can-be-read', () => `parked: ${parked?.because}: ${body.slice(0, 300)}`);
      for (const id of heardIn(body)) a.heard.add(id);
    },
  });
  return queue;
};
