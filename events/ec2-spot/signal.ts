/** AWS takes a spot instance back in two minutes, or is likely to soon. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({ 'instance-id': text });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const { 'instance-id': id } = parsed(detail, event.detail, `the event "${event['detail-type']}"`);
  return [
    {
      kind:
        event['detail-type'] === 'EC2 Instance Rebalance Recommendation'
          ? 'instance.rebalance-recommended'
          : 'instance.interruption',
      target: instanceTarget(event, id),
      at: timeOf(event.time),
      cause: `${event['detail-type']} of ${id}`,
      eventId: event.id,
    },
  ];
};
