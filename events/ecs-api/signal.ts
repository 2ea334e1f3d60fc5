/** Someone deleted an ECS service, or a cluster. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { clusterTarget, serviceTarget } from '../../shared/core/target.ts';
import { apiCallOf, signalOf } from '../apiCall.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text } from '../parse.ts';

/** Both by name or by ARN; without a cluster it is the one that is called default. */
const ofService = z.object({ service: text, cluster: z.nullish(text) });
const ofCluster = z.object({ cluster: text });
const last = (nameOrArn: string): string => nameOrArn.split('/').at(-1) ?? nameOrArn;
/** 'arn:…:service/shop/web' → 'shop'; the ARNs of old services lack it. */
const clusterIn = (nameOrArn: string): string | undefined => /:service\/([^/]+)\//.exec(nameOrArn)?.[1];

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const call = apiCallOf(event);
  if (!call || call.own) return [];
  const what = `the requestParameters of ${call.name}`;
  if (call.name === 'DeleteCluster') {
    const name = last(parsed(ofCluster, call.asked, what).cluster);
    const target = clusterTarget(event, name);
    return [
      signalOf(event, call, { kind: 'container-cluster.changed', target, did: `called DeleteCluster for ${name}` }),
    ];
  }
  const { service, cluster } = parsed(ofService, call.asked, what);
  const [where, name] = [clusterIn(service) ?? last(cluster ?? 'default'), last(service)];
  const target = serviceTarget(event, where, name);
  const did = `called ${call.name} for ${where}/${name}`;
  return [signalOf(event, call, { kind: 'container-service.gone', target, did })];
};
