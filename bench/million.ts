/** A log of a million events, for what is read of it. */
import { createWriter, SEGMENT_EVENTS } from '../shared/activity/append.ts';
import { createCheckpointer } from '../shared/activity/checkpoint.ts';
import { seconds, type Time } from '../shared/core/time.ts';
import { ACCOUNT, NOW, SIGNER } from '../test/activity/setting.ts';
import { memoryLog } from '../world/memoryLog.ts';
import { createRandom } from '../world/random.ts';
import { trailEvents } from '../world/trailEvents.ts';

export const EVENTS = 1_000_000;
/** One actor and one resource that are seldom: 40 calls within an hour or so. */
export const RARE = { user: 'mallory', resource: 'vol-0badc0de' };

export const millionEvents = async () => {
  const memory = memoryLog();
  const clock = { now: NOW };
  const options = { ...memory, now: (): Time => clock.now };
  const writer = createWriter({ ...options, shards: 1 });
  const checkpoint = createCheckpointer({ ...options, signer: SIGNER });
  const next = trailEvents({ account: ACCOUNT, region: 'eu-central-1', resources: 5_000, random: createRandom(7) });
  for (let n = 0; n < EVENTS; n += SEGMENT_EVENTS) {
    const batch = Array.from({ length: SEGMENT_EVENTS }, (_, i) => {
      // Half a day: 400,000 to 420,000, every 500th.
      const rare = n >= 400_000 && n < 420_000 && (n + i) % 500 === 0;
      return Buffer.from(next(clock.now + i * 20, rare ? RARE : {}));
    });
    clock.now += seconds(2);
    await writer.append('file', batch);
    if (n % 6_400 === 0) await checkpoint();
  }
  await checkpoint();
  return memory;
};
