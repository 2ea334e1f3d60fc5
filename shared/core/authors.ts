/** Who changed what must stay as it is: named to people, and waited for while it may be somebody whose changes are intended. */
import type { Look } from './remediation.ts';
import { minutes, type Time } from './time.ts';
import type { Verdict } from './verdict.ts';

interface Change {
  readonly at: Time;
  readonly author: string;
}

/** 'changed by …/ben; lately also …/anna'. @param changes newest first */
export const namesOf = (author: string | undefined, changes: readonly Change[]): string => {
  const others = [...new Set(changes.slice(0, 6).map((c) => c.author))].filter((a) => a !== author);
  const by = author === undefined ? 'nobody knows who changed it' : `changed by ${author}`;
  return others.length > 0 ? `${by}; lately also ${others.slice(0, 3).join(', ')}` : by;
};

/** CloudTrail's history is some minutes late: who did what a survey found may be somebody who is trusted. */
const NAMED_WITHIN = minutes(10);
export const waitForName = <O>(changes: readonly Change[], look: Look<O>): Verdict<never> | undefined => {
  const named = look.signal.author !== undefined || changes.some((c) => c.at > look.openedAt - minutes(20));
  return named || !look.trustsAnyone || look.now - look.openedAt >= NAMED_WITHIN
    ? undefined
    : {
        do: 'wait',
        until: look.now + minutes(1),
        because: 'who changed it shows in CloudTrail within some minutes: it may be somebody who is trusted',
      };
};
