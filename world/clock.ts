/** The world's time. Nothing in the world reads the real clock, so hours of an incident pass in milliseconds. */
export interface Clock {
  /** Milliseconds since 1970, as `Date.now()`. */
  now(): number;
  /** When the next callback falls due, if there is one. */
  next(): number | undefined;
  /** Runs `callback` once, at `time` (or with the next advance, if that has passed). Answers how to cancel it. */
  at(time: number, callback: () => void): () => void;
  /** Lets time pass: runs what falls due, in order of time and then of registration. */
  advance(milliseconds: number): void;
  /** As `advance`, and lets promises settle between due callbacks: for code that waits for the world with `await`. */
  pass(milliseconds: number): Promise<void>;
  /** Resolves when the clock has reached now + `milliseconds`; somebody else has to let time pass. */
  sleep(milliseconds: number): Promise<void>;
}

/** A Thursday morning, on a full minute: metrics and alarms fall on round times. */
const DEFAULT_START = Date.UTC(2026, 0, 15, 8, 0, 0);

type Entry = { time: number; callback: () => void };

export const createClock = (start: number = DEFAULT_START): Clock => {
  let now = start;
  const queue: Entry[] = [];

  const at = (time: number, callback: () => void) => {
    const entry = { time, callback };
    let low = 0;
    let high = queue.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((queue[middle]?.time ?? Number.POSITIVE_INFINITY) <= time) low = middle + 1;
      else high = middle;
    }
    queue.splice(low, 0, entry);
    return () => {
      const index = queue.indexOf(entry);
      if (index >= 0) queue.splice(index, 1);
    };
  };

  /** Runs the first callback due by `end`; false when there is none. */
  const runNext = (end: number): boolean => {
    const next = queue[0];
    if (!next || next.time > end) return false;
    queue.shift();
    now = Math.max(now, next.time);
    next.callback();
    return true;
  };

  return {
    now: () => now,
    next: () => queue[0]?.time,
    at,
    advance: (milliseconds) => {
      const end = now + milliseconds;
      while (runNext(end));
      now = Math.max(now, end);
    },
    pass: async (milliseconds) => {
      const end = now + milliseconds;
      do await new Promise(setImmediate);
      while (runNext(end));
      now = Math.max(now, end);
      await new Promise(setImmediate);
    },
    sleep: (milliseconds) => new Promise((resolve) => at(now + milliseconds, resolve)),
  };
};

/** Lets the world's time follow the real one, `speed` times as fast: the sandbox. Answers how to stop it. */
export const runInRealTime = (clock: Clock, { speed = 1, everyMs = 20 }: { speed?: number; everyMs?: number } = {}) => {
  let last = performance.now();
  const timer = setInterval(() => {
    const real = performance.now();
    clock.advance((real - last) * speed);
    last = real;
  }, everyMs);
  return () => clearInterval(timer);
};
