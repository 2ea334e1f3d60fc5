/** Seeded chance: the same seed gives the same world, whatever the machine. */
export interface Random {
  /** 0 ≤ x < 1 */
  next(): number;
  /** 0 ≤ n < `below` */
  integer(below: number): number;
  chance(probability: number): boolean;
  hex(digits: number): string;
  uuid(): string;
  pick<T>(items: readonly T[]): T;
  /** By their names: one more or less changes the choice only if it is, or would be, the chosen one. */
  choose<T>(items: readonly T[], nameOf: (item: T) => string): T;
  /** A stream of its own, so that more faults do not change the ids. */
  fork(name: string): Random;
}

/** 32-bit FNV-1a: only to turn names into seeds. */
const hash = (text: string): number => {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
};

const DIGITS = '0123456789abcdef';

/** What happens under one name, time after time, draws from streams of its own: it moves nothing that happens under another. */
export type Streams = (name: string) => Random;

/** mulberry32: small, fast, and good enough for a simulation; never for secrets. */
export const createRandom = (seed: number | string): Random => {
  const start = typeof seed === 'number' ? seed >>> 0 : hash(seed);
  let state = start;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x100000000;
  };
  const integer = (below: number) => Math.floor(next() * below);
  const hex = (digits: number) => {
    let text = '';
    for (let i = 0; i < digits; i++) text += DIGITS[integer(16)];
    return text;
  };
  return {
    next,
    integer,
    chance: (probability) => probability > 0 && next() < probability,
    hex,
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-${(8 + integer(4)).toString(16)}${hex(3)}-${hex(12)}`,
    pick: (items) => {
      const item = items[integer(items.length)];
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
    choose: (items, nameOf) => {
      const here = hash(`${next()}`);
      const drawn = items.map((item) => ({ item, lot: createRandom(hash(`${here}/${nameOf(item)}`)).next() }));
      const [first, ...others] = drawn;
      if (!first) throw new Error('nothing to choose from');
      return others.reduce((best, one) => (one.lot > best.lot ? one : best), first).item;
    },
    fork: (name) => createRandom(hash(`${start}/${name}`)),
  };
};

export const streamsOf = (random: Random): Streams => {
  const times = new Map<string, number>();
  return (name) => {
    const n = (times.get(name) ?? 0) + 1;
    times.set(name, n);
    return random.fork(`${name} ${n}`);
  };
};
