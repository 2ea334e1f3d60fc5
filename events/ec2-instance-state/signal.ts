/** An instance changed its state: what waits for it looks again. AWS sends these as best effort; the sweep looks anyway. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({ 'instance-id': text, state: text });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const { 'instance-id': id, state } = parsed(detail, event.detail, 'the instance state change');
  return [
    {
      kind: 'target.changed',
      target: instanceTarget(event, id),
      at: timeOf(event.time),
      cause: `${id} is ${state}`,
      eventId: event.id,
    },
  ];
};
