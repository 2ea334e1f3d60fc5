/** A moment: milliseconds since 1970-01-01T00:00:00Z. Core never reads a clock; `now` is an argument. */
export type Time = number;

export const seconds = (n: number): number => n * 1000;
export const minutes = (n: number): number => n * 60_000;
export const hours = (n: number): number => n * 3_600_000;
export const days = (n: number): number => n * 86_400_000;

/** The beginning of its hour, UTC. */
export const hourOf = (t: Time): Time => Math.floor(t / hours(1)) * hours(1);

export const iso = (t: Time): string => new Date(t).toISOString();

/** '42 s', '3 min', '2 h 5 min', '4 d': for people. */
export const span = (ms: number): string => {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  const m = Math.round(s / 60);
  if (m < 120) return `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 48) return m % 60 === 0 ? `${h} h` : `${h} h ${m % 60} min`;
  return `${Math.round(h / 24)} d`;
};
