/**
 * A release that looks healthy and fails requests, as a canary, in a simulated account on a clock of its own. Steward's own code does what is shown; only the table and the queue are in
 * memory.
 */
import color from 'picocolors';
import { minutes, seconds } from '../shared/core/time.ts';
import { ended, started } from '../test/stories/releases.ts';
import { runningTasks } from '../world/clusters.ts';
import { shareOf } from '../world/ecsShifts.ts';

const clockOf = (ms: number): string => new Date(ms).toISOString().slice(11, 16);

/** A fifth of a screen is all of the traffic. */
const WIDTH = 20;
const traffic = (share: number): string => {
  const news = Math.round((share / 100) * WIDTH);
  return `web:1 ${color.blue('█'.repeat(WIDTH - news))}${color.green('▒'.repeat(news))} web:2   ${100 - share} % : ${share} %`;
};

export const releaseAct = async (say: (text?: string) => void): Promise<void> => {
  const steps = [
    { percent: 10, ms: minutes(10) },
    { percent: 100, ms: 0 },
  ];
  const shifting = { strategy: 'CANARY' as const, steps, bakeMs: minutes(10) };
  const s = await started({ web: { shifting } });
  const { world, service, clock } = s;
  s.receiving(600, (image) => (image === 'web:2' ? 40 : 0.5));
  await s.run(minutes(40));
  const blue = runningTasks(s.cluster, service).map((t) => t.id);
  const at = (text: string): void => say(`   ${color.dim(clockOf(clock.now()))}  ${text}`);

  at(`${color.yellow('web:2 is deployed to shop/web')}: to a tenth of the traffic for ten minutes, then to all of it.`);
  say(color.dim('          Its tasks answer their health checks; of the requests four in ten fail.'));
  await s.release('web:2');
  const news = service.deployments[0]?.id ?? '';
  let shown = '';
  let told = 0;
  const look = (): void => {
    for (const { plan, because } of s.last()?.attempts.slice(told) ?? []) {
      at(color.magenta(plan));
      if (told === 0) say(color.dim(`          because ${because}`));
      told++;
    }
    const { status = '', stage = '' } = service.history[0] ?? {};
    const share = shareOf(world, service, news) ?? 0;
    const now = `${(status === 'IN_PROGRESS' ? stage : status).padEnd(25)} ${traffic(share)}`;
    if (now !== shown) at(now);
    shown = now;
  };
  const isOver = () => ended(s)() && service.history[0]?.status === 'ROLLBACK_SUCCESSFUL';
  for (const until = clock.now() + minutes(60); clock.now() < until && !isOver(); ) {
    look();
    await s.run(seconds(10));
  }
  look();
  say();
  const { out } = await s.steward('you')('release', 'list', 'shop/web');
  say(`   ${color.cyan('$ steward release list shop/web')}`);
  for (const line of out.trimEnd().split('\n')) say(`   ${line}`);
  say();
  const still = runningTasks(s.cluster, service).map((t) => t.id);
  if (s.last()?.end !== 'healthy' || still.join() !== blue.join())
    throw new Error('the release was not rolled back as it should');
  say(`   ${color.green('Back')}: one in ten requests ever reached web:2, and the tasks of web:1 ran all the time.`);
};
