/** The last that were asked for, as far as there is room. What is asked for while it is being made is made once. */
export const createShelf = <V>(most: number, sizeOf: (value: V) => number = () => 1) => {
  const kept = new Map<string, V>();
  const making = new Map<string, Promise<V>>();
  let size = 0;
  const made = (key: string, make: () => Promise<V>): Promise<V> => {
    const value = making.get(key) ?? make().finally(() => making.delete(key));
    making.set(key, value);
    return value;
  };
  return async (key: string, make: () => Promise<V>): Promise<V> => {
    const there = kept.get(key);
    const value = there ?? (await made(key, make));
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
