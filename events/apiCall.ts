/** A call to AWS that changed something, as CloudTrail tells it. EventBridge has these only where a trail logs management events. */
import * as z from 'zod/mini';
import { roleArnOf } from '../shared/core/principal.ts';
import type { Envelope } from './envelope.ts';
import { parsed, text } from './parse.ts';

const fields = z.nullish(z.record(z.string(), z.unknown()));
const detail = z.object({
  eventName: text,
  /** Services that act by themselves have no ARN. */
  userIdentity: z.optional(z.object({ arn: z.optional(text) })),
  errorCode: z.optional(text),
  requestParameters: fields,
  responseElements: fields,
});

export interface ApiCall {
  readonly name: string;
  /** ARN of the caller. */
  readonly author?: string;
  readonly asked: Readonly<Record<string, unknown>>;
  readonly answered: Readonly<Record<string, unknown>>;
}

/** The role under which a remediation works. */
const OWN = /:role\/steward-[^/]+-remedy-[^/]+$/;

/** Undefined: it failed, so it changed nothing; or it was Steward's own. @throws InvalidInput */
export const apiCallOf = (event: Envelope): ApiCall | undefined => {
  const { eventName, userIdentity, errorCode, requestParameters, responseElements } = parsed(
    detail,
    event.detail,
    'the API call',
  );
  const author = userIdentity?.arn;
  if (errorCode !== undefined || (author !== undefined && OWN.test(roleArnOf(author)))) return undefined;
  return {
    name: eventName,
    ...(author === undefined ? {} : { author }),
    asked: requestParameters ?? {},
    answered: responseElements ?? {},
  };
};
