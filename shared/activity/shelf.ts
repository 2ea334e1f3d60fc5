/** The last that were asked for, as far as there is room. */
export const createShelf = <V>(most: number, sizeOf: (value: V) => number = () => 1) => {
  const kept = new Map<string, V>();
  let size = 0;
  return async (key: string, make: () => Promise<V>): Promise<V> => {
    const there = kept.get(key);
    const value = there ?? (await make());
    if (kept.delete(key)) size -= sizeOf(value);
    kept.set(key, value);
    size += sizeOf(value);
    for (const [old, oldest] of kept) {
      if (size <= most || old === key) break;
      kept.delete(old);
      size -= sizeOf(oldest);
    }
    return value;
  };
};
