/** A service before a load balancer whose releases are watched, and what people and pipelines do to it. */
import { UpdateServiceCommand } from '@aws-sdk/client-ecs';
import type { Releases } from '../../shared/core/releases.ts';
import { minutes, seconds } from '../../shared/core/time.ts';
import {
  addService,
  makeCluster,
  nextDefinition,
  runningTasks,
  type ServiceOptions,
  setImage,
} from '../../world/clusters.ts';
import { type Image, type TaskDefinition, targetGroupOf } from '../../world/ecs.ts';
import { shareOf } from '../../world/ecsShifts.ts';
import { receive } from '../../world/elb.ts';
import { makeLogGroup } from '../../world/logs.ts';
import { createDesk } from '../cli/desk.ts';
import { clientsOf } from '../world/clients.ts';
import { type AccountOptions, following } from './account.ts';

export const NAME = 'release-unproven';
const MANAGED = { 'steward:managed': 'true' };
export const on = (more: object = {}, preset = 'automatic') => ({ preset, remediations: { [NAME]: more } });
const LOGS = { group: '/ecs/web', prefix: 'web' };

interface Told extends AccountOptions {
  readonly web?: ServiceOptions;
  /** Until the first release is proven. */
  readonly settled?: boolean;
}
export const started = async ({ web = {}, settled = true, ...options }: Told = {}) => {
  const desk = createDesk({ policy: on(), ...options });
  const { account } = desk;
  const { world, run } = account;
  makeLogGroup(world, { name: LOGS.group });
  const { cluster } = makeCluster(world, 'shop');
  const made = addService(world, cluster, 'web', { balanced: true, tags: MANAGED, logs: LOGS, ...web });
  const { service } = made;
  if (settled) await run(minutes(15));
  const record = (): Releases => {
    const found = account.store.records.get(`releases of ${service.arn}`);
    if (found?.kind !== 'releases') throw new Error('nothing is on record');
    return found;
  };
  const states = () => record().list.map((r) => [r.definition.split('/').at(-1), r.state]);
  /** What a person or a pipeline asks of ECS. */
  const asked = async (call: Promise<unknown>) => {
    await run(seconds(1));
    await call;
  };
  const release = (image: string, behaves: Partial<Image> = {}, more: Partial<TaskDefinition> = {}) => {
    if (Object.keys(behaves).length > 0) setImage(world, image, behaves);
    const { arn } = nextDefinition(world, made, image, more);
    return asked(
      clientsOf(world).ecs.send(new UpdateServiceCommand({ cluster: 'shop', service: 'web', taskDefinition: arn })),
    );
  };
  const digests = () => [...new Set(runningTasks(cluster, service).map((t) => t.containers[0]?.digest))];
  /** A minute's requests, by what share of them each target group has; failing as the image that runs there does. Percent by image. */
  const receiving = (requests: number, failing: (image: string) => number) => {
    const [target] = service.targets;
    for (const group of [made.targetGroup, made.alternate]) {
      if (!group || !target) continue;
      const own = () =>
        runningTasks(cluster, service).filter((t) => targetGroupOf(service, t.startedBy, target) === group.arn);
      receive(world, group, () => {
        const [task] = own();
        const share = task ? (shareOf(world, service, task.startedBy) ?? 100) : 0;
        const some = Math.round((requests * share) / 100);
        return { requests: some, failed: Math.round((some * failing(task?.containers[0]?.image ?? '')) / 100) };
      });
    }
  };
  const calls = (operation: string) =>
    world.calls.filter((c) => c.action.endsWith(`:${operation}`) && c.principal.includes(`remedy-${NAME}/`));
  return {
    ...account,
    ...desk,
    ...following(account, 'service/shop/web', NAME),
    ...made,
    cluster,
    record,
    states,
    asked,
    release,
    digests,
    receiving,
    calls,
  };
};
export type Started = Awaited<ReturnType<typeof started>>;
export const CRASH = { exits: { afterMs: seconds(40), code: 1, reason: 'panic: no database' } };
export const ended = (s: Started) => () => s.last()?.state === 'closed';
