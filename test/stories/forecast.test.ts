/** A disk that is going to be full is repaired before any alarm. The past week is put into the world's metrics; then its time goes on. */
import { hours, minutes } from '../../shared/core/time.ts';
import { breakDisk, fileSystemOf } from '../../world/fleet.ts';
import { putPoint, valuePoint } from '../../world/metrics.ts';
import { diskDimensions } from '../../world/publish.ts';
import { type Account, type AccountOptions, createAccount } from './account.ts';

const GiB = 2 ** 30;

/** An account whose first web server's /srv had this use, in percent, `hoursAgo`. */
const withPast = async (percent: (hoursAgo: number) => number, options?: AccountOptions) => {
  const account = createAccount(options);
  const { world, clock, fleet } = account;
  const id = fleet.web[0]?.id ?? '';
  const disk = breakDisk(world, id, { path: '/srv', usedPercent: percent(0) });
  for (let h = 7 * 24; h > 0; h--)
    putPoint(world, {
      namespace: 'CWAgent',
      name: 'disk_used_percent',
      dimensions: diskDimensions(world, id, disk),
      point: valuePoint(clock.now() - hours(h), percent(h)),
    });
  return { account, id };
};
const grows = (account: Account) => account.world.calls.filter((c) => c.operation === 'ModifyVolume');

test('a disk that fills within a day is grown before its alarm goes off', async () => {
  const { account, id } = await withPast((h) => 75 - 0.25 * h);
  breakDisk(account.world, id, { path: '/srv', growing: { bytesPerSecond: (0.0025 * 20 * GiB) / 3600 } });
  const before = fileSystemOf(account.world, id, '/srv').sizeBytes;
  await account.run(hours(3), () => account.incidentOf(id)?.state === 'closed');
  const incident = account.incidentOf(id);
  expect(incident).toMatchObject({ end: 'healthy', signals: { kind: 'disk.forecast' } });
  expect(incident?.signals.cause).toMatch(/^forecast: \/srv reaches 80 % in 1\d h .*over 7 d/);
  expect(incident?.log.map((l) => l.say).join('\n')).toMatch(/\/srv is 75 % full and reaches 80 % in 1\d h/);
  expect(fileSystemOf(account.world, id, '/srv').sizeBytes).toBeGreaterThan(before + 9 * GiB);
  const [grown, ...more] = grows(account);
  expect(more).toEqual([]);
  expect(
    [...account.world.cloudwatch.alarms.values()].flatMap((a) => a.history.filter((h) => h.to === 'ALARM')),
  ).toEqual([]);
  // Nothing is left to be said: the next hours' forecasts find it flat.
  await account.run(hours(5));
  expect(account.incidents()).toHaveLength(1);
  expect(grown).toBeDefined();
});

test.each<[string, (h: number) => number]>([
  ['it is flat', () => 75],
  ['it goes up and down each day', (h) => 65 + 10 * Math.sin((2 * Math.PI * h) / 24)],
  ['it reaches the limit in a week', (h) => 70 - 0.03 * h],
])('nothing is done where %s', async (_what, percent) => {
  const { account } = await withPast(percent);
  await account.run(hours(2) + minutes(5));
  expect(account.incidents()).toEqual([]);
});

test('the policy can turn it off', async () => {
  const { account } = await withPast((h) => 75 - 0.25 * h, {
    policy: { remediations: { 'full-disk': { forecast: false } } },
  });
  await account.run(hours(2) + minutes(5));
  expect(account.incidents()).toEqual([]);
});

test('a trend that ended meanwhile closes without a step: the host itself is asked', async () => {
  const { account, id } = await withPast((h) => 75 - 0.25 * h);
  account.clock.advance(minutes(1));
  breakDisk(account.world, id, { path: '/srv', usedPercent: 55 });
  await account.run(hours(3), () => account.incidentOf(id)?.state === 'closed');
  expect(account.incidentOf(id)?.attempts ?? []).toEqual([]);
  expect(grows(account)).toEqual([]);
});
