/**
 * Eventual consistency: for a while after a write, a read may still answer with what was there before.
 * "The Amazon EC2 API follows an eventual consistency model" (EC2 API Reference): a caller must not rely on its last write.
 */
import type { Clock } from './clock.ts';
import { type Random, streamsOf } from './random.ts';

export interface Lag {
  /** How long after a write reads may be old; 0 switches it off. */
  ms: number;
  /** How many of those reads are old. */
  chance: number;
  /** Call before changing a thing that is already there. */
  change<T extends object>(thing: T): T;
  /** Call after making a thing: for a while nobody may find it. */
  create<T extends object>(thing: T): T;
  /** The thing as this read sees it; undefined if it is not visible yet. */
  seen<T extends object>(thing: T): T | undefined;
}

const nameOf = ({ id, name }: { id?: unknown; name?: unknown }): string => String(id ?? name ?? '');

export const createLag = (clock: Clock, random: Random): Lag => {
  const before = new WeakMap<object, { until: number; copy: object | undefined; random: Random }>();
  const streams = streamsOf(random);
  const remember = (thing: object, copy: () => object | undefined) => {
    const old = before.get(thing);
    if (lag.ms > 0 && !(old && old.until > clock.now()))
      before.set(thing, { until: clock.now() + lag.ms, copy: copy(), random: streams(nameOf(thing)) });
  };
  const lag: Lag = {
    ms: 0,
    chance: 0.5,
    change: (thing) => {
      remember(thing, () => structuredClone(thing));
      return thing;
    },
    create: (thing) => {
      remember(thing, () => undefined);
      return thing;
    },
    seen: <T extends object>(thing: T) => {
      const old = lag.ms > 0 ? before.get(thing) : undefined;
      return old && old.until > clock.now() && old.random.chance(lag.chance) ? (old.copy as T | undefined) : thing;
    },
  };
  return lag;
};
