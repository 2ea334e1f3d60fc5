/** Someone made a VPC. What deletes a flow log does not name its VPC: the survey finds that. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { vpcTarget } from '../../shared/core/target.ts';
import { apiCallOf, signalOf } from '../apiCall.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text } from '../parse.ts';

const MAKES: readonly string[] = ['CreateVpc', 'CreateDefaultVpc'];
const made = z.object({ vpc: z.object({ vpcId: text }) });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const call = apiCallOf(event);
  if (!call || call.own || !MAKES.includes(call.name)) return [];
  const { vpcId } = parsed(made, call.answered, 'the responseElements of the call that made a VPC').vpc;
  return [signalOf(event, call, { kind: 'flow-logs.changed', target: vpcTarget(event, vpcId), did: `made ${vpcId}` })];
};
