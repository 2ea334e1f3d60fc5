/** Someone changed how a log group keeps, encrypts or passes on its events, or deleted it. */
import * as z from 'zod/mini';
import type { Signal } from '../../shared/core/signal.ts';
import { logGroupTarget, targetOf } from '../../shared/core/target.ts';
import { apiCallOf } from '../apiCall.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

/** AssociateKmsKey and DisassociateKmsKey take an ARN in place of the name; that may be of query results, too. */
const named = z.object({ logGroupName: z.nullish(text), resourceIdentifier: z.nullish(text) });

const groupOf = (event: Envelope, asked: unknown): string | undefined => {
  const { logGroupName, resourceIdentifier } = parsed(named, asked, 'the parameters of the call to CloudWatch Logs');
  if (logGroupName) return logGroupName;
  if (!resourceIdentifier?.includes(':log-group:')) return undefined;
  return targetOf(resourceIdentifier).account === event.account
    ? resourceIdentifier.split(':').slice(6).join(':').replace(/:\*$/, '')
    : undefined;
};

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const call = apiCallOf(event);
  const name = call && groupOf(event, call.asked);
  if (!call || call.own || !name) return [];
  return [
    {
      kind: 'log-group.changed',
      target: logGroupTarget(event, name),
      at: timeOf(event.time),
      cause: `${call.author ?? 'an unnamed principal'} called ${call.name} for the log group ${name}`.slice(0, 400),
      eventId: event.id,
      ...(call.author === undefined ? {} : { author: call.author }),
    },
  ];
};
