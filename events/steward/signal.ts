/** Steward's own messages to itself: look again at an incident, or a signal that was found by a survey or sent by `steward doctor`. */
import * as z from 'zod/mini';
import type { Signal, SignalKind } from '../../shared/core/signal.ts';
import { targetOf } from '../../shared/core/target.ts';
import { parsed, text } from '../parse.ts';

const look = z.object({
  steward: z.literal('look'),
  target: text,
  remediation: text,
  incident: text,
  due: z.optional(z.number()),
});
const sent = z.object({
  steward: z.literal('signal'),
  signal: z.object({
    kind: text,
    target: z.object({ arn: text }),
    /** What a JavaScript date can hold. */
    at: z.number().check(z.gte(0), z.lte(8.64e15)),
    cause: text,
    eventId: text,
    askedBy: z.optional(text),
    author: z.optional(text),
    routine: z.optional(z.literal(true)),
  }),
});
const own = z.discriminatedUnion('steward', [look, sent]);

export interface LookAgain {
  readonly target: string;
  readonly remediation: string;
  readonly incident: string;
  /** The incident's due time when this was sent: once it has moved, a newer look is under way, and this message is out of date. */
  readonly due?: number;
}

export const lookMessage = (l: LookAgain): string => JSON.stringify({ steward: 'look', ...l });
export const signalMessage = (signal: Signal): string => JSON.stringify({ steward: 'signal', signal });

export const fromSteward = (raw: unknown): { look: LookAgain } | { signals: readonly Signal[] } => {
  const m = parsed(own, raw, "Steward's own message");
  if (m.steward === 'look')
    return {
      look: {
        target: targetOf(m.target).arn,
        remediation: m.remediation,
        incident: m.incident,
        ...(m.due === undefined ? {} : { due: m.due }),
      },
    };
  const { askedBy, author, routine, kind, target, ...rest } = m.signal;
  return {
    signals: [
      {
        ...rest,
        kind: kind as SignalKind,
        target: targetOf(target.arn),
        ...(askedBy === undefined ? {} : { askedBy }),
        ...(author === undefined ? {} : { author }),
        ...(routine ? { routine } : {}),
      },
    ],
  };
};
