/** A command on a host ended: what waits for that host looks again now. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, timeOf } from '../parse.ts';

const detail = z.object({ 'instance-id': z.string(), 'document-name': z.string(), status: z.string() });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const {
    'instance-id': id,
    'document-name': document,
    status,
  } = parsed(detail, event.detail, 'the command notification');
  return [
    {
      kind: 'target.changed',
      target: instanceTarget(event, id),
      at: timeOf(event.time),
      cause: `${document} on ${id}: ${status}`,
      eventId: event.id,
    },
  ];
};
