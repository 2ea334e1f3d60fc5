/**
 * Blue/green, linear and canary deployments of ECS itself: what is new is started beside what is there, takes over its traffic at once or step by step, and bakes; then what was there ends.
 * Stages are AWS's (ServiceDeployment.lifecycleStage); those that only hooks and test traffic make last are passed through.
 */
import type { ServiceDeploymentLifecycleStage } from '@aws-sdk/client-ecs';
import { type DeploymentRecord, type EcsService, type Shifting, targetGroupOf } from './ecs.ts';
import type { World } from './world.ts';

const STAGES: readonly ServiceDeploymentLifecycleStage[] = [
  'RECONCILE_SERVICE',
  'PRE_SCALE_UP',
  'SCALE_UP',
  'POST_SCALE_UP',
  'TEST_TRAFFIC_SHIFT',
  'POST_TEST_TRAFFIC_SHIFT',
  'PRODUCTION_TRAFFIC_SHIFT',
  'POST_PRODUCTION_TRAFFIC_SHIFT',
  'BAKE_TIME',
  'CLEAN_UP',
];

/** "The reconciliation stage that only happens when you start a new service deployment with more than 1 service revision in an ACTIVE state." */
export const firstStage = (sources: readonly string[]): ServiceDeploymentLifecycleStage =>
  sources.length > 1 ? 'RECONCILE_SERVICE' : 'PRE_SCALE_UP';

/** Its tasks are not to be started yet. */
export const isBeforeTasks = ({ history: [last] }: EcsService): boolean =>
  last?.status === 'IN_PROGRESS' && (last.stage === 'RECONCILE_SERVICE' || last.stage === 'PRE_SCALE_UP');

/** The deployment that traffic is taken from: it goes on as it was until what is new has baked. */
export const heldIn = ({ shifting, history: [last], completed }: EcsService): string | undefined =>
  shifting && last?.status === 'IN_PROGRESS' && last.stage !== 'CLEAN_UP' && completed?.id !== last.id
    ? completed?.id
    : undefined;

/** So much of the production traffic goes to the tasks of one deployment, and the rest to the other group. */
export const routeTo = (world: World, service: EcsService, deployment: string, percent: number) => {
  for (const target of service.targets) {
    const rule = target.alternate && world.elb.rules.get(target.alternate.rule);
    const own = targetGroupOf(service, deployment, target);
    if (!rule || !target.alternate) continue;
    for (const group of [target.targetGroup, target.alternate.targetGroup])
      rule.weights.set(group, group === own ? percent : 100 - percent);
  }
};
/** Percent of its production traffic that goes to a deployment's tasks. */
export const shareOf = (world: World, service: EcsService, deployment: string): number | undefined => {
  const [target] = service.targets;
  const rule = target?.alternate && world.elb.rules.get(target.alternate.rule);
  return rule && target ? rule.weights.get(targetGroupOf(service, deployment, target)) : undefined;
};

/** Milliseconds until a stage is over; undefined: it depends on its tasks. */
const leftOf = (world: World, { shifting, hookedAt }: EcsService, record: DeploymentRecord, isWhole: boolean) => {
  if (record.stage === hookedAt) return undefined;
  const since = world.clock.now() - record.stageAt;
  switch (record.stage) {
    case 'SCALE_UP':
      return isWhole ? 0 : undefined;
    case 'PRODUCTION_TRAFFIC_SHIFT':
      return (shifting?.steps[record.step]?.ms ?? 0) - since;
    case 'BAKE_TIME':
      return (shifting?.bakeMs ?? 0) - since;
    case 'CLEAN_UP':
      return undefined;
    default:
      return 0;
  }
};

/** The next step of the shift, or the next stage. */
const enterNext = (world: World, service: EcsService, shifting: Shifting, record: DeploymentRecord) => {
  const isShifting = record.stage === 'PRODUCTION_TRAFFIC_SHIFT' && record.step < shifting.steps.length - 1;
  if (isShifting) record.step++;
  else record.stage = STAGES[STAGES.indexOf(record.stage ?? 'RECONCILE_SERVICE') + 1];
  record.stageAt = record.updatedAt = world.clock.now();
  if (record.stage === 'PRODUCTION_TRAFFIC_SHIFT')
    routeTo(world, service, record.id, shifting.steps[record.step]?.percent ?? 100);
  // The first deployment of all takes over from nobody.
  if (record.stage === 'BAKE_TIME' && heldIn(service) === undefined) record.stage = 'CLEAN_UP';
};

/**
 * Goes on as far as it can now.
 * @returns after how long there is more to do. Milliseconds; undefined: its tasks tell
 */
export const advance = (world: World, service: EcsService, isWhole: boolean): number | undefined => {
  const [record] = service.history;
  const { shifting } = service;
  if (!shifting || record?.status !== 'IN_PROGRESS') return undefined;
  for (let moved = false; ; moved = true) {
    const left = leftOf(world, service, record, isWhole);
    if (left === undefined) return moved ? 0 : undefined;
    if (left > 0) return left;
    enterNext(world, service, shifting, record);
  }
};
