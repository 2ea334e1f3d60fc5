/** Someone deleted an ECS service. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { serviceTarget } from '../../shared/core/target.ts';
import { apiCallOf, signalOf } from '../apiCall.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text } from '../parse.ts';

/** Both by name or by ARN; without a cluster it is the one that is called default. */
const named = z.object({ service: text, cluster: z.nullish(text) });
const last = (nameOrArn: string): string => nameOrArn.split('/').at(-1) ?? nameOrArn;
/** 'arn:…:service/shop/web' → 'shop'; the ARNs of old services lack it. */
const clusterIn = (nameOrArn: string): string | undefined => /:service\/([^/]+)\//.exec(nameOrArn)?.[1];

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const call = apiCallOf(event);
  if (!call || call.own) return [];
  const { service, cluster } = parsed(named, call.asked, `the requestParameters of ${call.name}`);
  const [where, name] = [clusterIn(service) ?? last(cluster ?? 'default'), last(service)];
  const target = serviceTarget(event, where, name);
  const did = `called ${call.name} for ${where}/${name}`;
  return [signalOf(event, call, { kind: 'container-service.gone', target, did })];
};
