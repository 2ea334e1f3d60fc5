/** AWS Health says that something will happen, or has, to instances: one event names many. What is true of each, EC2 itself is asked. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { idOf, instanceTarget, targetOf } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({
  eventTypeCode: text,
  statusCode: z.nullish(z.string()),
  /** An event of the organisation names whose resources they are. */
  affectedAccount: z.nullish(z.string().check(z.regex(/^\d{12}$/))),
  affectedEntities: z.nullish(z.array(z.object({ entityValue: text }))),
});

const ARN = /^arn:[^:]*:ec2:[^:]*:\d{12}:instance\/(i-[0-9a-f]+)$/;

/** What EC2's own status does not show: AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED and its like. */
const DEGRADED = /_DEGRADED$/;

/** A degradation that is over only makes what waits look again. */
const kindOf = (code: string, status: string | null | undefined): Signal['kind'] => {
  if (!DEGRADED.test(code)) return 'instance.scheduled-event';
  return status === 'closed' ? 'target.changed' : 'instance.hardware-degraded';
};

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const { eventTypeCode, statusCode, affectedAccount, affectedEntities } = parsed(
    detail,
    event.detail,
    'the Health event',
  );
  const account = affectedAccount ?? event.account;
  const named = (affectedEntities ?? []).map((e) => e.entityValue).filter((v) => v.startsWith('i-') || ARN.test(v));
  return [...new Set(named)].map((value) => {
    const target = ARN.test(value) ? targetOf(value) : instanceTarget({ account, region: event.region }, value);
    return {
      kind: kindOf(eventTypeCode, statusCode),
      target,
      at: timeOf(event.time),
      cause: `AWS Health: ${eventTypeCode} of ${idOf(target)}`,
      eventId: event.id,
    };
  });
};
