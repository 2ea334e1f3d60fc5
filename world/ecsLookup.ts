/** What ECS's operations share: finding things, pages, failures of single items, tags in lower case. */
import type * as api from '@aws-sdk/client-ecs';
import { page } from './describe.ts';
import { type Cluster, definitionOf, type EcsService, ecsArn, nameIn, type TaskDefinition } from './ecs.ts';
import { AwsError, type Operations } from './service.ts';
import type { World } from './world.ts';

export type EcsOperations = Operations<typeof api>;

const MISSING = 'MISSING';

export const findCluster = (world: World, given: string | undefined): Cluster => {
  const cluster = world.ecs.clusters.get(nameIn(given) || 'default');
  if (cluster?.status === 'ACTIVE') return cluster;
  throw new AwsError('ClusterNotFoundException', 'Cluster not found.');
};
export const findService = (cluster: Cluster, given: string | undefined): EcsService => {
  const service = cluster.services.get(nameIn(given));
  if (!service) throw new AwsError('ServiceNotFoundException', 'Service not found.');
  if (service.status !== 'ACTIVE') throw new AwsError('ServiceNotActiveException', 'Service was not ACTIVE.');
  return service;
};
export const findDefinition = (world: World, given: string | undefined): TaskDefinition => {
  const definition = definitionOf(world, given ?? '');
  if (definition?.status === 'ACTIVE') return definition;
  throw new AwsError('ClientException', 'Unable to describe task definition.');
};

export const atMost = (things: readonly unknown[] | undefined, most: number, what: string) => {
  if ((things?.length ?? 0) > most)
    throw new AwsError('InvalidParameterException', `${what} can have at most ${most} items.`);
};

/** Those there are, as one read sees them, and the failures for the others. */
export const lookUp = <T extends object>(
  world: World,
  ids: readonly string[] | undefined,
  of: ReadonlyMap<string, T>,
  kind: string,
): { found: T[]; failures: { arn: string; reason: string }[] } => {
  const found: T[] = [];
  const failures: { arn: string; reason: string }[] = [];
  for (const given of ids ?? []) {
    const thing = of.get(nameIn(given));
    const seen = thing && world.lag.seen(thing);
    if (seen) found.push(seen);
    else failures.push({ arn: given.startsWith('arn:') ? given : ecsArn(world, `${kind}/${given}`), reason: MISSING });
  }
  return { found, failures };
};

export const pageOf = (
  arns: string[],
  { maxResults, nextToken }: { maxResults?: number | undefined; nextToken?: string | undefined },
  most = 100,
) => {
  const { items, nextToken: next } = page(arns, {
    max: maxResults,
    token: nextToken,
    otherwise: most,
    invalidToken: 'InvalidParameterException',
  });
  return { items, next: next && { nextToken: next } };
};

export const lower = (tags: readonly { key?: string | undefined; value?: string | undefined }[] | undefined) =>
  Object.fromEntries((tags ?? []).map(({ key = '', value = '' }) => [key, value]));
