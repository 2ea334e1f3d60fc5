/**
 * Virtual time, and everything that may go wrong between a caller and what it calls. A call travels, takes effect, and its reply travels
 * back; what else runs in between is the seed's choice. Nothing here knows what is simulated.
 */
import { Throttled, Unavailable } from '../../shared/core/errors.ts';
import { minutes, seconds } from '../../shared/core/time.ts';
import { type Random, type Streams, streamsOf } from '../../world/random.ts';

/** One run of a Lambda function. Dead: killed or over its time limit; its replies reach nobody, what it sent still arrives. */
export interface Life {
  readonly id: number;
  readonly what: string;
  /** When it began. */
  readonly since: number;
  dead: boolean;
  readonly die: () => void;
}

/** Chances per call, and what time does. All zero: nothing fails. */
export interface Faults {
  /** Dies before the call is sent, or after it took effect. */
  readonly crash: number;
  /** The call never arrives, or its reply never comes back: the caller sees an error either way. */
  readonly lostRequest: number;
  readonly lostReply: number;
  readonly throttle: number;
  /** The reply takes up to 90 s. */
  readonly stall: number;
}
export const NO_FAULTS: Faults = { crash: 0, lostRequest: 0, lostReply: 0, throttle: 0, stall: 0 };

/** Timeout of the function, as deployed: less than the engine's PASS_LIMIT of 3 min. */
export const LIFE_LIMIT = minutes(2);
/** A request that was sent arrives within this or never: the SDK's own request timeout is 20 s or less. */
export const TRAVEL_LIMIT = seconds(20);

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}
const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** A binary heap. */
const createHeap = () => {
  const items: Event[] = [];
  const at = (i: number): Event => items[i] as Event;
  const swap = (i: number, j: number): void => {
    [items[i], items[j]] = [at(j), at(i)];
  };
  const smallerChild = (i: number): number => {
    const [left, right] = [2 * i + 1, 2 * i + 2];
    return right < items.length && before(at(right), at(left)) ? right : left;
  };
  return {
    push: (e: Event): void => {
      items.push(e);
      for (let i = items.length - 1; i > 0; ) {
        const parent = (i - 1) >> 1;
        if (!before(at(i), at(parent))) return;
        swap(i, parent);
        i = parent;
      }
    },
    peek: (): Event | undefined => items[0],
    pop: (): void => {
      const last = items.pop();
      if (items.length === 0 || !last) return;
      items[0] = last;
      for (let i = 0; 2 * i + 1 < items.length; ) {
        const child = smallerChild(i);
        if (!before(at(child), at(i))) return;
        swap(i, child);
        i = child;
      }
    },
  };
};

export const createSchedule = (random: Random, start: number) => {
  const heap = createHeap();
  let order = 0;
  let time = 0;
  let offset = 0;
  let lives = 0;
  let stopped = false;
  const alive = new Set<Life>();
  const streams = streamsOf(random);
  const fates = new WeakMap<Life, Streams>();

  const at = (when: number, run: () => void): void => heap.push({ at: Math.max(when, time), order: order++, run });
  const after = (ms: number, run: () => void): void => at(time + ms, run);

  /**
   * Ends when the work ends, or with `undefined` when it died.
   * @param name what it is about: the fate of each of its calls is a stream of its own, which nothing that others call moves
   */
  const live = <T>(
    [what, name = '']: readonly [what: string, name?: string],
    work: (life: Life) => Promise<T>,
    ended: (result: { value: T } | { error: unknown } | undefined, life: Life) => void,
  ): void => {
    let over = false;
    const end = (result: { value: T } | { error: unknown } | undefined): void => {
      if (over) return;
      over = true;
      life.dead = true;
      alive.delete(life);
      ended(result, life);
    };
    const life: Life = { id: ++lives, what, since: time, dead: false, die: () => end(undefined) };
    fates.set(life, streamsOf(streams(`${what} ${name}`)));
    alive.add(life);
    after(LIFE_LIMIT, life.die);
    work(life).then(
      (value) => end({ value }),
      (error) => end({ error }),
    );
  };

  const travel = (random: Random): number => (random.chance(0.05) ? random.integer(3000) : 1 + random.integer(80));

  /** Of the next thing of that name that the function does. */
  const fateOf = (life: Life, what: string): Random => (fates.get(life) ?? streams)(what);

  /**
   * One call of a living function. `effect` happens at once when the call arrives; its error is the callee's answer.
   * @throws Unavailable for what was lost on the way there or back
   */
  const call = <T>(life: Life, what: string, faults: Faults, effect: () => Promise<T>): Promise<T> => {
    const never = new Promise<T>(() => {});
    if (life.dead) return never;
    const random = fateOf(life, what);
    const crash = random.chance(faults.crash) ? random.pick(['before', 'after'] as const) : undefined;
    if (crash === 'before') {
      life.die();
      return never;
    }
    return new Promise<T>((resolve, reject) => {
      const reply = (answer: () => void): void => {
        const back = random.chance(faults.stall) ? random.integer(seconds(90)) : travel(random);
        after(back, () => {
          if (!life.dead) answer();
        });
      };
      const lost = (): void => reject(new Unavailable(`${what}: no answer`));
      const arrive = async (): Promise<void> => {
        const result = await effect().then(
          (value) => () => resolve(value),
          (error) => () => reject(error),
        );
        if (crash) return life.die();
        reply(random.chance(faults.lostReply) ? lost : result);
      };
      after(travel(random), () => {
        if (random.chance(faults.lostRequest)) reply(lost);
        else if (random.chance(faults.throttle)) reply(() => reject(new Throttled(`${what}: rate exceeded`)));
        else void arrive();
      });
    });
  };

  return {
    /** Milliseconds since the start; never jumps. */
    time: () => time,
    /** What clocks show. */
    wall: () => start + time + offset,
    jump: (ms: number) => {
      offset += ms;
    },
    isIdle: () => alive.size === 0,
    at,
    after,
    /** What chance is for the next thing of that name. */
    stream: streams,
    live,
    fateOf,
    call,
    stop: () => {
      stopped = true;
    },
    /** Runs one event after the other, each until nothing moves any more. */
    run: async (until: number): Promise<void> => {
      for (let next = heap.peek(); next && next.at <= until && !stopped; next = heap.peek()) {
        heap.pop();
        time = next.at;
        next.run();
        // A tick comes when every promise that this event settled has run its course.
        await new Promise<void>((resolve) => process.nextTick(resolve));
      }
      time = Math.max(time, until);
    },
  };
};
export type Schedule = ReturnType<typeof createSchedule>;
