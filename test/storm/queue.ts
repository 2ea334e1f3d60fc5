/** A queue as SQS has it: batches, a visibility timeout, five tries, then the dead letters. Its numbers are those of the deployed stack. */
import { minutes, seconds } from '../../shared/core/time.ts';
import type { Clock } from '../../world/clock.ts';

export interface Message {
  readonly body: string;
  readonly sentAt: number;
  tries: number;
  /** Before it was first taken. */
  waited?: number;
}

/** resources/queues.yml and functions/heal/function.yml */
const VISIBILITY = seconds(180);
const TRIES = 5;
const BATCH = 5;

export const createQueue = (clock: Clock) => {
  const waiting: Message[] = [];
  let first = 0;
  const dead: Message[] = [];
  let inHand = 0;
  let delayed = 0;
  let counted = 0;
  let listener: () => void = () => {};

  const show = (m: Message): void => {
    waiting.push(m);
    listener();
  };
  const send = (body: string, delay = 0): void => {
    counted++;
    const arrive = (): void => show({ body, sentAt: clock.now(), tries: 0 });
    if (delay > 0) {
      delayed++;
      clock.at(clock.now() + delay, () => {
        delayed--;
        arrive();
      });
    } else arrive();
  };
  return {
    send,
    receive: (): Message[] => {
      const batch = waiting.slice(first, first + BATCH);
      first += batch.length;
      if (first > 10_000) {
        waiting.splice(0, first);
        first = 0;
      }
      for (const m of batch) {
        m.tries++;
        m.waited ??= clock.now() - m.sentAt;
      }
      inHand += batch.length;
      return batch;
    },
    done: (_: Message): void => void inHand--,
    failed: (m: Message): void => {
      inHand--;
      if (m.tries >= TRIES) dead.push(m);
      else clock.at(clock.now() + VISIBILITY, () => show(m));
    },
    onMessage: (l: () => void): void => {
      listener = l;
    },
    /** As ApproximateNumberOfMessages: neither delayed nor in flight. */
    backlog: (): number => waiting.length - first,
    oldestAge: (): number => (first < waiting.length ? clock.now() - (waiting[first]?.sentAt ?? clock.now()) : 0),
    idle: (): boolean => waiting.length - first === 0 && inHand === 0,
    dead,
    counts: () => ({ sent: counted, waiting: waiting.length - first, inHand, delayed, dead: dead.length }),
    retention: minutes(14 * 24 * 60),
  };
};
