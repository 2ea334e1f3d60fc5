/** An API call, as CloudTrail records it and EventBridge brings it: who asked for what, and whether AWS did it. */
import * as z from 'zod/mini';
import type { Signal } from '../shared/core/signal.ts';
import type { Time } from '../shared/core/time.ts';
import type { Envelope } from './envelope.ts';
import { parsed, text, timeOf } from './parse.ts';

/** Fields that may lack are absent or null alike, in records of every age. */
const record = z.object({
  eventID: text,
  eventName: text,
  eventTime: text,
  errorCode: z.nullish(text),
  userIdentity: z.nullish(z.object({ arn: z.nullish(text), invokedBy: z.nullish(text) })),
  requestParameters: z.nullish(z.record(z.string(), z.unknown())),
  responseElements: z.nullish(z.record(z.string(), z.unknown())),
});

export interface ApiCall {
  readonly name: string;
  readonly at: Time;
  /** CloudTrail's own: a repeated event may come in another envelope. */
  readonly eventId: string;
  /** ARN, or the AWS service that did it for somebody; undefined: the record does not say. */
  readonly author: string | undefined;
  /** One of Steward's own roles did it. */
  readonly own: boolean;
  readonly asked: Readonly<Record<string, unknown>>;
  readonly answered: Readonly<Record<string, unknown>>;
}

const OWN = /:assumed-role\/steward-[\w-]+-remedy-/;

/** What a call is a signal of. `did` ends the sentence that the author begins: 'made vpc-1'. */
export const signalOf = (
  event: Envelope,
  { author }: ApiCall,
  { kind, target, did }: Pick<Signal, 'kind' | 'target'> & { readonly did: string },
): Signal => ({
  kind,
  target,
  at: timeOf(event.time),
  cause: `${author ?? 'an unnamed principal'} ${did}`.slice(0, 400),
  eventId: event.id,
  ...(author === undefined ? {} : { author }),
});

/** Undefined: AWS declined it. @throws InvalidInput */
export const apiCallOf = (event: Envelope): ApiCall | undefined => {
  const r = parsed(record, event.detail, 'the CloudTrail record');
  const author = r.userIdentity?.arn ?? r.userIdentity?.invokedBy ?? undefined;
  if (r.errorCode) return undefined;
  return {
    name: r.eventName,
    at: timeOf(r.eventTime),
    eventId: r.eventID,
    author,
    own: OWN.test(author ?? ''),
    asked: r.requestParameters ?? {},
    answered: r.responseElements ?? {},
  };
};
