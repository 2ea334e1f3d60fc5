/** Someone changed whom a repository of ECR lets in, whether it scans, or whether its tags can be moved. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { repositoryTarget } from '../../shared/core/target.ts';
import { apiCallOf, signalOf } from '../apiCall.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text } from '../parse.ts';

/** `registryId` is of another account where a repository of that is meant. */
const named = z.object({ repositoryName: text, registryId: z.nullish(text) });

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const call = apiCallOf(event);
  if (!call || call.own) return [];
  const { repositoryName, registryId } = parsed(named, call.asked, `the requestParameters of ${call.name}`);
  if (registryId && registryId !== event.account) return [];
  const did = `called ${call.name} for the repository ${repositoryName}`;
  return [signalOf(event, call, { kind: 'registry.changed', target: repositoryTarget(event, repositoryName), did })];
};
