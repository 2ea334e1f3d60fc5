/** Prints how many events a second `verify` checks with one core, the median of three times a million. */
import { verify } from '../shared/activity/verify.ts';
import { KEYS } from '../test/activity/setting.ts';
import { coreMs, median } from './figures.ts';
import { EVENTS, millionEvents } from './million.ts';

const memory = await millionEvents();
const times: number[] = [];
for (let n = 0; n < 3; n++)
  times.push(
    await coreMs(async () => {
      const report = await verify({ ...memory, keys: KEYS });
      if (report.findings.length > 0 || report.events !== EVENTS)
        throw new Error(`verify: ${JSON.stringify(report).slice(0, 500)}`);
    }),
  );
console.log(Math.round((EVENTS / median(times)) * 1_000));
