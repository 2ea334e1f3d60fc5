/** Somebody changed a trail. The event says who, and which one. */
import { InvalidInput } from '../../shared/core/errors.ts';
import type { Signal, SignalKind } from '../../shared/core/signal.ts';
import { partitionOf, targetOf } from '../../shared/core/target.ts';
import { apiCallOf } from '../apiCall.ts';
import type { Envelope } from '../envelope.ts';

const KINDS: Readonly<Record<string, SignalKind>> = {
  StopLogging: 'trail.stopped',
  DeleteTrail: 'trail.stopped',
  UpdateTrail: 'trail.weakened',
  PutEventSelectors: 'trail.weakened',
};

/** Requests name it by name or by ARN. Source: "CloudTrail trail naming requirements": letters, digits, periods, underscores, dashes. */
const NAME = /^[A-Za-z0-9][\w.-]{1,126}[A-Za-z0-9]$/;

export const fromEventBridge = (event: Envelope): readonly Signal[] => {
  const call = apiCallOf(event);
  const kind = call && (Object.hasOwn(KINDS, call.name) ? KINDS[call.name] : undefined);
  if (!call || !kind) return [];
  const named = call.answered['trailARN'] ?? call.asked['name'] ?? call.asked['trailName'];
  if (typeof named !== 'string' || !(named.startsWith('arn:') || NAME.test(named)))
    throw new InvalidInput(`${call.name} names no trail in its requestParameters (name, trailName)`);
  const { account, region } = event;
  return [
    {
      // What Steward itself did is no trouble: whatever waits for it looks again now.
      kind: call.own ? 'target.changed' : kind,
      target: targetOf(
        named.startsWith('arn:') ? named : `arn:${partitionOf(region)}:cloudtrail:${region}:${account}:trail/${named}`,
      ),
      at: call.at,
      cause: `${call.name} by ${call.author ?? 'someone whom the record does not name'}`,
      eventId: call.eventId,
      ...(call.author === undefined || call.own ? {} : { author: call.author }),
    },
  ];
};
