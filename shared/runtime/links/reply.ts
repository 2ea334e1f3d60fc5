/** An answer that came with a ticket, whichever way: what must hold for it, and how it is carried out. */
import { approve, deny, isNo } from '../../core/answers.ts';
import { stepText } from '../../core/incident.ts';
import type { Policy, Recipient } from '../../core/policy.ts';
import { snooze } from '../../core/snooze.ts';
import { change, Declined, type Desk, type Outcome, putBack, type Rule } from '../replies.ts';
import { mayAnswer, SNOOZE_BY_LINK } from './mint.ts';
import { claim, type Mac, type Ticket } from './ticket.ts';

export interface LinkDeps extends Omit<Desk, 'queue'> {
  readonly stage: string;
  readonly policy: Pick<Policy, 'links'>;
  readonly mac: Mac;
}
/** An answer that one may give, and what is known about it. */
export interface Reply {
  readonly ticket: Ticket;
  readonly recipient: Recipient;
  /** `link:alice`, `slack:T1/U1` */
  readonly by: string;
  readonly why?: string;
}

const WORDS = { approve: 'approved', deny: 'denied', snooze: 'snoozed', undo: 'undo' } as const;

/** All that must hold: the policy, the ticket's one use, the rule of the answer itself. */
export const ruleOf =
  ({ ticket, recipient, by, why }: Reply, deps: Pick<LinkDeps, 'now' | 'policy'>): Rule =>
  (incident) => {
    const now = deps.now();
    const { answer } = ticket;
    const claimed = claim(ticket, incident, now);
    if (isNo(claimed)) return claimed;
    const may = mayAnswer(recipient, answer, incident);
    if (isNo(may)) return may;
    const step = claimed.ask ? stepText(claimed.ask.step) : '';
    const through = ticket.by === undefined ? {} : { through: ticket.by };
    switch (answer) {
      case 'approve':
        return approve(claimed, { by, now, step, ...through, links: deps.policy.links });
      case 'deny':
        return deny(claimed, { by, now, step, ...(why ? { why } : {}) });
      case 'snooze':
        return snooze(claimed, { by, now, until: now + SNOOZE_BY_LINK, why: why || 'by link' });
      case 'undo':
        return claimed;
    }
  };

/** @throws Declined with the reason */
export const carryOutReply = async (reply: Reply, deps: LinkDeps): Promise<Outcome> => {
  const { ticket, by } = reply;
  const rule = ruleOf(reply, deps);
  const where = { target: ticket.target, id: ticket.incident };
  if (ticket.answer !== 'undo') return change(where, deps, rule, WORDS[ticket.answer]);
  const [incident] = await deps.store.read({ kind: 'incident', ...where });
  if (!incident) throw new Declined({ no: `incident ${ticket.incident} is gone`, remedy: 'nothing: it has expired' });
  return putBack(incident, by, deps, rule);
};
