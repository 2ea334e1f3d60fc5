/**
 * An instance changed its state: what waits for it looks again, and a new one, or one that is gone, is looked over for its alarms. AWS sends these as
 * best effort; the sweep looks anyway.
 */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { instanceTarget } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const WATCHED = ['running', 'terminated'];

const detail = z.object({ 'instance-id': text, state: text });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const { 'instance-id': id, state } = parsed(detail, event.detail, 'the instance state change');
  const fact = {
    target: instanceTarget(event, id),
    at: timeOf(event.time),
    cause: `${id} is ${state}`,
    eventId: event.id,
  };
  return [
    { kind: 'target.changed', ...fact },
    ...(WATCHED.includes(state) ? [{ kind: 'instance.unwatched' as const, ...fact, routine: true as const }] : []),
  ];
};
