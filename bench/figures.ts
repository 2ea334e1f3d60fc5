/** What the parts of the bench count with. */

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
export const round = (n: number, digits = 1): number => Number(n.toFixed(digits));

/** Milliseconds of a core, the collector's included: whatever else the machine does is not counted. */
export const coreMs = async (work: () => Promise<void>): Promise<number> => {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
};
