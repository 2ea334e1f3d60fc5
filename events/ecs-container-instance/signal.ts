/**
 * The agent of a container instance has lost its connection. That happens several times an hour and mends itself; ECS sends the same event for
 * each task that starts or stops too, so only those of a cut-off agent are heard.
 */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({
  agentConnected: z.boolean(),
  ec2InstanceId: z.optional(text),
  clusterArn: text,
  status: text,
});

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const what = `the event "${event['detail-type']}"`;
  const { agentConnected, ec2InstanceId: id, clusterArn, status } = parsed(detail, event.detail, what);
  // One outside of AWS (`mi-…`), or one that was deregistered.
  if (agentConnected || !id?.startsWith('i-') || !(status === 'ACTIVE' || status === 'DRAINING')) return [];
  return [
    {
      kind: 'container-instance.agent-disconnected',
      target: instanceTarget(event, id),
      at: timeOf(event.time),
      cause: `the ECS agent of ${id} is cut off from the cluster ${clusterArn.split('/').at(-1) ?? clusterArn}`,
      eventId: event.id,
    },
  ];
};
