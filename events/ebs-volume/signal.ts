/** A volume's modification went on: what waits for its instance looks again. Which instance that is, is looked up. */
import * as z from 'zod/mini';
import { InvalidInput } from '../../shared/core/errors.ts';
import type { Signal } from '../../shared/core/signal.ts';
import { idOf, targetOf } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({ event: text, result: text });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const { event: what, result } = parsed(detail, event.detail, 'the volume notification');
  const arn = event.resources.find((r) => r.includes(':volume/'));
  if (!arn) throw new InvalidInput('the event names no volume in `resources`');
  const target = targetOf(arn);
  return [
    {
      kind: 'target.changed',
      target,
      at: timeOf(event.time),
      cause: `${what} of ${idOf(target)}: ${result}`,
      eventId: event.id,
    },
  ];
};
