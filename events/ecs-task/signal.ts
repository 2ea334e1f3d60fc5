/**
 * A task has ended by itself, could not be started, or fails its health checks (`ecs-task-health` has the rule of that). What is deployed, scaled in
 * or stopped by somebody is no trouble; nor is a task of no service that did its work and ended with 0.
 */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { serviceTarget, targetOf } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({
  taskArn: text,
  clusterArn: text,
  /** 'service:web', or 'family:web' of a task of no service: without it nobody could tell whose it is. */
  group: text,
  lastStatus: text,
  desiredStatus: text,
  healthStatus: z.optional(text),
  stopCode: z.optional(text),
  stoppedReason: z.optional(z.string()),
  containers: z.optional(
    z.array(z.object({ name: z.optional(text), exitCode: z.optional(z.number()), reason: z.optional(z.string()) })),
  ),
});
type Detail = z.infer<typeof detail>;

const ENDED = ['EssentialContainerExited', 'TaskFailedToStart'];

const whatOf = ({ lastStatus, desiredStatus, healthStatus, stopCode, stoppedReason, containers = [] }: Detail) => {
  if (lastStatus === 'STOPPED' && ENDED.includes(stopCode ?? '')) {
    const exits = containers.flatMap(({ name, exitCode, reason }) =>
      exitCode === undefined ? [] : [`${name ?? 'a container'} with ${exitCode}${reason ? ` (${reason})` : ''}`],
    );
    return `has stopped: ${[stoppedReason ?? stopCode, ...exits].join('; ')}`;
  }
  const isIll = lastStatus === 'RUNNING' && desiredStatus === 'RUNNING' && healthStatus === 'UNHEALTHY';
  return isIll ? 'fails its health checks' : undefined;
};

const didItsWork = ({ stopCode, containers = [] }: Detail): boolean =>
  stopCode === 'EssentialContainerExited' && containers.every((c) => (c.exitCode ?? 0) === 0);

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const d = parsed(detail, event.detail, `the event "${event['detail-type']}"`);
  const what = whatOf(d);
  const service = d.group.startsWith('service:') ? d.group.slice('service:'.length) : undefined;
  if (what === undefined || (service === undefined && didItsWork(d))) return [];
  const cluster = d.clusterArn.split('/').at(-1) ?? '';
  const id = d.taskArn.split('/').at(-1) ?? d.taskArn;
  const rest = {
    at: timeOf(event.time),
    cause: `task ${id} of ${service ?? d.group} in ${cluster} ${what}`.slice(0, 400),
    eventId: event.id,
  };
  return service === undefined
    ? [{ kind: 'container-task.failed', target: targetOf(d.taskArn), ...rest }]
    : [{ kind: 'container-service.failing', target: serviceTarget(event, cluster, service), ...rest }];
};
