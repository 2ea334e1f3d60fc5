/** What every simulation shares: the table and the queue of a stack whose functions live and die by the schedule. */
import type { Incident } from '../../shared/core/incident.ts';
import type { Change, Ref, Store, StoreRecord } from '../../shared/core/store.ts';
import { minutes, seconds } from '../../shared/core/time.ts';
import type { MemoryStore } from '../../world/memoryStore.ts';
import type { Faults, Life, Schedule } from './schedule.ts';

export interface Engine {
  readonly schedule: Schedule;
  readonly store: MemoryStore;
  readonly faults: () => Faults;
  /** Nothing fails any more. */
  readonly isQuiet: () => boolean;
  /** Nothing ever fails in this run. */
  readonly faultless: boolean;
  readonly note: (say: () => string) => void;
  readonly newId: () => string;
  readonly tally: { messages: number; deaths: number; calls: number };
  readonly witness: {
    readonly incidents: ReadonlyMap<string, Incident>;
    readonly committed: (changes: readonly Change[], life: Life) => void;
  };
}

export const storeOf = (a: Engine, life: Life): Store => {
  const { schedule, witness, store, faults } = a;
  const ask = <T>(what: string, effect: () => Promise<T>): Promise<T> => {
    a.tally.calls++;
    return schedule.call(life, what, faults(), effect);
  };
  return {
    // The cast only spares the compiler the tuple type a second time.
    read: ((...refs: Ref[]) => ask('read', () => store.read(...refs))) as Store['read'],
    write: (...changes) =>
      ask('write', async () => {
        await store.write(...changes);
        for (const c of changes) if ('put' in c) a.note(() => `#${life.id} writes ${nameIn(c.put)}`);
        witness.committed(changes, life);
      }),
    due: (now, limit) => ask('due', () => store.due(now, limit)),
    open: (limit) => ask('open', () => store.open(limit)),
    closed: (day, limit) => ask('closed', () => store.closed(day, limit)),
    ofTarget: (target, limit) => ask('ofTarget', () => store.ofTarget(target, limit)),
    find: (id) => ask('find', () => store.find(id)),
    ill: (...asked) => ask('ill', () => store.ill(...asked)),
    untold: (...asked) => ask('untold', () => store.untold(...asked)),
    park: (parked) => ask('park', () => store.park(parked)),
    parked: (limit) => ask('parked', () => store.parked(limit)),
    unpark: (id) => ask('unpark', () => store.unpark(id)),
  };
};

const nameIn = (i: StoreRecord): string => {
  if (i.kind !== 'incident') return `${i.kind} v${i.version + 1}`;
  const last = i.attempts.at(-1);
  const tried = last
    ? `, attempt ${last.n} ${last.rung}: ${last.outcome?.kind ?? 'reserved'} ${last.effect ?? ''}`
    : '';
  return `incident ${i.id.slice(-10)} v${i.version + 1} ${i.remediation} of ${i.target.slice(-3)}: ${i.state} because ${i.because}${tried}`;
};

/** In the order of time, and whoever opens one moves nobody else's. */
export const idsOf = ({ time }: Schedule): (() => string) => {
  let [last, made] = [-1, 0];
  return () => {
    made = time() === last ? made + 1 : 0;
    last = time();
    return `01J${`${last}`.padStart(20, '0')}${`${made}`.padStart(3, '0')}`;
  };
};

export interface MessageQueue {
  readonly take: (body: string, delay: number) => void;
  readonly waiting: () => readonly string[];
}

/** What takes the messages, and what is made of its end. */
export interface Consumer<T> {
  readonly answer: (life: Life, body: string) => Promise<T>;
  readonly answered: (life: Life, body: string, outcome: T) => void;
}

/** What a message is about: the look, the signal or the event, whatever its time and its number. */
const subjectOf = (body: string): string => {
  const { steward, target, remediation, signal, source, resources, ...event } = JSON.parse(body);
  if (steward === 'look') return `${remediation} ${target}`;
  return signal ? `${signal.kind} ${signal.target.arn}` : `${source} ${event['detail-type']} ${resources}`;
};

/** At least once, in no order, late at times; what fails comes again, five times. */
export const createQueue = <T>(a: Engine, { answer, answered }: Consumer<T>): MessageQueue => {
  const { schedule } = a;
  const waiting = new Map<number, string>();
  let made = 0;
  const deliver = (id: number, body: string, tries: number): void => {
    a.tally.messages++;
    const again = (ms: number): void => {
      if (tries < 5) schedule.after(ms, () => deliver(id, body, tries + 1));
      else waiting.delete(id);
    };
    schedule.live(
      ['heal', subjectOf(body)],
      (life) => {
        a.note(() => `#${life.id} takes ${body.slice(0, 160)}`);
        return answer(life, body);
      },
      (ended, life) => {
        if (ended && 'value' in ended) {
          waiting.delete(id);
          answered(life, body, ended.value);
        } else if (ended) {
          a.note(() => `a message failed: ${ended.error}`);
          again(seconds(30));
        } else {
          a.tally.deaths++;
          again(minutes(3));
        }
      },
    );
  };
  return {
    take: (body, delay) => {
      const random = schedule.stream(`message ${subjectOf(body)}`);
      const noisy = !a.isQuiet() && !a.faultless;
      const copies = noisy && random.chance(0.05) ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        const id = ++made;
        waiting.set(id, body);
        const late =
          noisy && random.chance(0.02) ? random.integer(minutes(10)) : random.integer(random.chance(0.5) ? 50 : 2000);
        schedule.after(delay + late, () => deliver(id, body, 1));
      }
    },
    waiting: () => [...waiting.values()],
  };
};
