/** An Auto Scaling group could launch no instance, as where a zone has no capacity; or it has, which only makes what waits look. */
import * as z from 'zod/mini';
import { InvalidInput } from '../../shared/core/errors.ts';
import type { Signal } from '../../shared/core/signal.ts';
import { targetOf } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({ AutoScalingGroupName: text, StatusMessage: z.optional(z.string()) });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const what = event['detail-type'];
  const { AutoScalingGroupName: name, StatusMessage: why } = parsed(detail, event.detail, `the event "${what}"`);
  const arn = event.resources.find((r) => r.includes(':autoScalingGroup:'));
  if (arn === undefined) throw new InvalidInput(`the event "${what}" names no Auto Scaling group in \`resources\``);
  const failed = what === 'EC2 Instance Launch Unsuccessful';
  return [
    {
      kind: failed ? 'instance-group.uneven' : 'target.changed',
      target: targetOf(arn),
      at: timeOf(event.time),
      cause: `${what} of ${name}${why ? `: ${why}` : ''}`.slice(0, 400),
      eventId: event.id,
      // It may launch in another zone instead: only then it is uneven.
      ...(failed ? { routine: true as const } : {}),
    },
  ];
};
