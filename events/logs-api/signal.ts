/** Someone changed how a log group keeps, encrypts or passes on its events, or deleted it. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { logGroupOf, logGroupTarget, targetOf } from '../../shared/core/target.ts';
import { apiCallOf, signalOf } from '../apiCall.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text } from '../parse.ts';

/** AssociateKmsKey and DisassociateKmsKey take an ARN in place of the name; that may be of query results, too. */
const named = z.object({ logGroupName: z.nullish(text), resourceIdentifier: z.nullish(text) });

const groupOf = (event: Envelope, asked: unknown): string | undefined => {
  const { logGroupName, resourceIdentifier } = parsed(named, asked, 'the parameters of the call to CloudWatch Logs');
  if (logGroupName) return logGroupName;
  if (!resourceIdentifier?.includes(':log-group:')) return undefined;
  const target = targetOf(resourceIdentifier);
  return target.account === event.account ? logGroupOf(target).replace(/:\*$/, '') : undefined;
};

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const call = apiCallOf(event);
  const name = call && groupOf(event, call.asked);
  if (!call || call.own || !name) return [];
  const did = `called ${call.name} for the log group ${name}`;
  return [signalOf(event, call, { kind: 'log-group.changed', target: logGroupTarget(event, name), did })];
};
