/** AWS Health says that something will happen, or has, to instances: one event names many. What is true of each, EC2 itself is asked. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { idOf, instanceTarget, targetOf } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({
  eventTypeCode: text,
  /** An event of the organisation names whose resources they are. */
  affectedAccount: z.nullish(z.string().check(z.regex(/^\d{12}$/))),
  affectedEntities: z.nullish(z.array(z.object({ entityValue: text }))),
});

const ARN = /^arn:[^:]*:ec2:[^:]*:\d{12}:instance\/(i-[0-9a-f]+)$/;

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const { eventTypeCode, affectedAccount, affectedEntities } = parsed(detail, event.detail, 'the Health event');
  const account = affectedAccount ?? event.account;
  const named = (affectedEntities ?? []).map((e) => e.entityValue).filter((v) => v.startsWith('i-') || ARN.test(v));
  return [...new Set(named)].map((value) => {
    const target = ARN.test(value) ? targetOf(value) : instanceTarget({ account, region: event.region }, value);
    return {
      kind: 'instance.scheduled-event' as const,
      target,
      at: timeOf(event.time),
      cause: `AWS Health: ${eventTypeCode} of ${idOf(target)}`,
      eventId: event.id,
    };
  });
};
