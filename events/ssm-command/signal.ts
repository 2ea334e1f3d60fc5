/** A command that changed a host ended: what waits for that host looks again now. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

/** Documents that only look: were their ends listened to, every look would cause the next one, for ever. */
const LOOKS = /steward-[\w-]*inspect-/;
const ENDS = new Set(['Success', 'Failed', 'TimedOut', 'Cancelled']);

const detail = z.object({ 'instance-id': text, 'document-name': text, status: text });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const {
    'instance-id': id,
    'document-name': document,
    status,
  } = parsed(detail, event.detail, 'the command notification');
  if (LOOKS.test(document) || !ENDS.has(status)) return [];
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
