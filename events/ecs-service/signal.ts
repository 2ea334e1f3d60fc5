/**
 * What ECS says of a service: it cannot start or place its tasks; a deployment begins, is over or has failed; its tasks are uneven over the zones; or it is
 * steady or even again, which only makes what waits look.
 */
import * as z from 'zod/mini';
import { InvalidInput } from '../../shared/core/errors.ts';
import type { Signal, SignalKind } from '../../shared/core/signal.ts';
import { serviceTarget } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({ eventName: text, clusterArn: z.optional(text), reason: z.optional(text) });

const FAILING = [
  'SERVICE_TASK_START_IMPAIRED',
  'SERVICE_TASK_PLACEMENT_FAILURE',
  'SERVICE_TASK_CONFIGURATION_FAILURE',
  'SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED',
  'SERVICE_DEPLOYMENT_FAILED',
];

const UNEVEN = ['SERVICE_REBALANCING_STARTED', 'SERVICE_REBALANCING_STOPPED'];
const CHANGED = ['SERVICE_STEADY_STATE', 'SERVICE_REBALANCING_COMPLETED'];
const DEPLOYED = ['SERVICE_DEPLOYMENT_IN_PROGRESS', 'SERVICE_DEPLOYMENT_COMPLETED'];
const KINDS: readonly (readonly [SignalKind, readonly string[]])[] = [
  ['container-service.failing', FAILING],
  ['container-service.uneven', UNEVEN],
  ['container-service.deployed', DEPLOYED],
  ['target.changed', CHANGED],
];

const kindOf = (eventName: string): SignalKind | undefined => KINDS.find(([, names]) => names.includes(eventName))?.[0];

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const { eventName, clusterArn, reason } = parsed(detail, event.detail, `the event "${event['detail-type']}"`);
  const kind = kindOf(eventName);
  if (kind === undefined) return [];
  // 'arn:…:service/shop/web'; that of an old service is 'arn:…:service/web'.
  const path = event.resources[0]?.split('/').slice(1) ?? [];
  const name = path.at(-1);
  const cluster = path.length > 1 ? path[0] : clusterArn?.split('/').at(-1);
  if (!name || !cluster)
    throw new InvalidInput(
      'the event names no service in `resources`, or its cluster neither there nor in `clusterArn`',
    );
  return [
    {
      kind,
      target: serviceTarget(event, cluster, name),
      at: timeOf(event.time),
      cause: `ECS says ${eventName} of ${cluster}/${name}${reason ? `: ${reason}` : ''}`.slice(0, 400),
      eventId: event.id,
      // ECS evens out by itself what it can.
      ...(kind === 'container-service.uneven' ? { routine: true as const } : {}),
    },
  ];
};
