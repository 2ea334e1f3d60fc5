/** AWS Health says that something will happen, or has, to instances, volumes or dedicated hosts: one event names many. What is true of each, EC2 itself is asked. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import {
  dedicatedHostTarget,
  idOf,
  instanceTarget,
  type Target,
  targetOf,
  typeOf,
  volumeTarget,
} from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const detail = z.object({
  eventTypeCode: text,
  statusCode: z.nullish(z.string()),
  /** An event of the organisation names whose resources they are. */
  affectedAccount: z.nullish(z.string().check(z.regex(/^\d{12}$/))),
  /** The envelope has the region that it was sent to, which may be the backup of the one that it is about. */
  eventRegion: z.nullish(text),
  affectedEntities: z.nullish(z.array(z.object({ entityValue: text }))),
});

const ARN = /^arn:[^:]*:ec2:[^:]*:\d{12}:(instance\/i|volume\/vol|dedicated-host\/h)-[0-9a-f]+$/;
type Where = Pick<Target, 'account' | 'region'>;
const targetsIn = (value: string, where: Where): readonly Target[] => {
  if (ARN.test(value)) return [targetOf(value)];
  if (value.startsWith('i-')) return [instanceTarget(where, value)];
  if (value.startsWith('h-')) return [dedicatedHostTarget(where, value)];
  return value.startsWith('vol-') ? [volumeTarget(where, value)] : [];
};

/** What EC2's own status does not show: AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED and its like. */
const DEGRADED = /_DEGRADED$/;
/** AWS_EC2_DEDICATED_HOST_RETIREMENT_SCHEDULED: it names the host, or what runs on it. */
const OF_HOST = /_DEDICATED_HOST_/;
/** AWS_EBS_VOLUME_LOST. */
const LOST = /_LOST(_|$)/;

/** What is over only makes what waits look again. */
const kindOf = (code: string, status: string | null | undefined, target: Target): Signal['kind'] => {
  if (typeOf(target) === 'volume') return LOST.test(code) ? 'volume.lost' : 'target.changed';
  if (OF_HOST.test(code)) return status === 'closed' ? 'target.changed' : 'instance.host-announced';
  if (!DEGRADED.test(code)) return 'instance.scheduled-event';
  return status === 'closed' ? 'target.changed' : 'instance.hardware-degraded';
};

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const { eventTypeCode, statusCode, affectedAccount, eventRegion, affectedEntities } = parsed(
    detail,
    event.detail,
    'the Health event',
  );
  const where = { account: affectedAccount ?? event.account, region: eventRegion ?? event.region };
  const named = [...new Set((affectedEntities ?? []).map((e) => e.entityValue))];
  return named.flatMap((value) =>
    targetsIn(value, where).map((target) => ({
      kind: kindOf(eventTypeCode, statusCode, target),
      target,
      at: timeOf(event.time),
      cause: `AWS Health: ${eventTypeCode} of ${idOf(target)}`,
      eventId: event.id,
    })),
  );
};
