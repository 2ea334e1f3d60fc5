/** Someone made a VPC. What deletes a flow log does not name its VPC: the survey finds that. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { vpcTarget } from '../../shared/core/target.ts';
import { apiCallOf } from '../apiCall.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const MAKES: readonly string[] = ['CreateVpc', 'CreateDefaultVpc'];
const made = z.object({ vpc: z.object({ vpcId: text }) });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const call = apiCallOf(event);
  if (!call || call.own || !MAKES.includes(call.name)) return [];
  const { vpcId } = parsed(made, call.answered, 'the responseElements of the call that made a VPC').vpc;
  return [
    {
      kind: 'flow-logs.changed',
      target: vpcTarget(event, vpcId),
      at: timeOf(event.time),
      cause: `${call.author ?? 'an unnamed principal'} made ${vpcId}`.slice(0, 400),
      eventId: event.id,
      ...(call.author === undefined ? {} : { author: call.author }),
    },
  ];
};
