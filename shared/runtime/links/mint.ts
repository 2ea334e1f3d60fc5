/** Makes links and Slack buttons: each for one answer of one recipient to what an incident asks now. */
import { isNo, type Ruling } from '../../core/answers.ts';
import { again, InvalidInput, NotFound } from '../../core/errors.ts';
import { type Incident, logged } from '../../core/incident.ts';
import { mayBeOne } from '../../core/people.ts';
import { ANSWERS, type Links, type Policy, type Recipient } from '../../core/policy.ts';
import { type Risk, riskOf } from '../../core/remediation.ts';
import { hours, iso, minutes, type Time } from '../../core/time.ts';
import { remediations } from '../../remediations/index.ts';
import { Declined, type Desk } from '../replies.ts';
import { askedNow, type LinkAnswer, type Mac, sealed, type Ticket } from './ticket.ts';

/** How long one click snoozes. */
export const SNOOZE_BY_LINK = hours(2);

export const LABELS: Readonly<Record<LinkAnswer, string>> = {
  approve: 'Approve',
  deny: 'Deny',
  snooze: 'Snooze for 2 h',
  undo: 'Put it back',
};

export interface MintDeps {
  readonly mac: Mac;
  /** The function's own address, with the slash at its end. */
  readonly url: string;
  readonly stage: string;
  readonly policy: Pick<Policy, 'links'>;
  readonly now: () => Time;
}
export interface Link {
  readonly label: string;
  readonly url: string;
}
export interface Button {
  readonly label: string;
  /** The button's value: Slack takes 2,000 characters. */
  readonly value: string;
}

const RISKS: readonly Risk[] = ['harmless', 'interrupts', 'destroys'];
/** The risk of what is asked. A remediation that this version does not know destroys. */
export const askedRisk = ({ remediation: name, ask }: Incident): Risk => {
  const remediation = remediations.find((r) => r.name === name);
  return remediation && ask ? riskOf(remediation, ask.rung) : 'destroys';
};

/** What the policy lets a recipient answer by link or button. */
export const mayAnswer = (
  { name, may, upTo }: Recipient,
  answer: LinkAnswer,
  incident: Incident,
): Ruling<{ readonly may: true }> => {
  const no = (why: string) => ({
    no: `${name} may not ${answer} incident ${incident.id} by link: ${why}`,
    remedy: `by the CLI: steward ${answer} ${incident.id}; or \`links.recipients\` in steward.yml`,
  });
  if (!may.includes(answer)) return no('the policy does not say so');
  const risk = askedRisk(incident);
  if (answer === 'approve' && RISKS.indexOf(risk) > RISKS.indexOf(upTo))
    return no(`the step is of the risk ${risk}, and the policy lets ${name} approve up to ${upTo}`);
  return { may: true };
};

/** Who asked for the step cannot approve it, nor have in hand what approves it. */
const isAsker = ({ ask }: Incident, who: string, links: Links): boolean =>
  ask?.askedBy !== undefined && mayBeOne(ask.askedBy, who, links);

const canUndo = (incident: Incident): boolean =>
  incident.state === 'closed' && remediations.find((r) => r.name === incident.remediation)?.undo !== undefined;

/** The tickets for what can be answered now, without those that would be refused at once. */
const tickets = (
  incident: Incident,
  { answers, ...to }: Pick<Ticket, 'via' | 'to' | 'by'> & { answers: readonly LinkAnswer[] },
  { stage, policy, now }: MintDeps,
): Ticket[] =>
  answers.flatMap((answer): Ticket[] => {
    const at = now();
    const asked = answer === 'undo' && !canUndo(incident) ? undefined : askedNow(answer, incident, at);
    if (!asked) return [];
    const { until = Number.POSITIVE_INFINITY, ...question } = asked;
    return [
      {
        v: 1,
        stage,
        incident: incident.id,
        target: incident.target,
        answer,
        ...question,
        until: Math.min(until, at + minutes(policy.links?.validMinutes ?? 0)),
        ...to,
      },
    ];
  });

/** @throws InvalidInput for a recipient that the policy does not name */
const named = (name: string, links: Links | undefined): { links: Links; recipient: Recipient } => {
  if (!links) throw new InvalidInput('nobody answers by link here: steward.yml has no `links`');
  const recipient = links.recipients.find((r) => r.name === name);
  if (!recipient)
    throw new InvalidInput(
      `'${name}' is none of \`links.recipients\` in steward.yml: ${links.recipients.map((r) => r.name).join(', ')}`,
    );
  return { links, recipient };
};

/**
 * One link for each answer that the recipient may give now; none where nothing is asked of him.
 * @param by the person who wants them, if it is not Steward itself
 * @throws InvalidInput for a recipient that the policy does not name
 */
export const linksFor = async (
  incident: Incident,
  to: string,
  deps: MintDeps,
  by?: string,
): Promise<readonly Link[]> => {
  const { links, recipient } = named(to, deps.policy.links);
  const hands = [`link:${to}`, ...(by ? [by] : [])];
  const answers = ANSWERS.filter(
    (answer) =>
      !isNo(mayAnswer(recipient, answer, incident)) &&
      !(answer === 'approve' && hands.some((who) => isAsker(incident, who, links))),
  );
  const made = tickets(incident, { answers, via: 'link', to, ...(by ? { by } : {}) }, deps);
  return Promise.all(
    made.map(async (t) => ({ label: LABELS[t.answer], url: `${deps.url}?t=${await sealed(t, deps.mac)}` })),
  );
};

/** Buttons for a Slack message. Who may press which is decided when it is pressed, by who presses it. */
export const buttonsFor = async (incident: Incident, deps: MintDeps): Promise<readonly Button[]> => {
  const { slack, recipients = [] } = deps.policy.links ?? {};
  if (!slack) return [];
  const people = recipients.filter((r) => Object.values(slack.people).includes(r.name));
  const answers = (['approve', 'deny', 'snooze'] as const).filter((answer) =>
    people.some((r) => !isNo(mayAnswer(r, answer, incident))),
  );
  const made = tickets(incident, { answers, via: 'slack', to: slack.team }, deps);
  return Promise.all(made.map(async (t) => ({ label: LABELS[t.answer], value: await sealed(t, deps.mac) })));
};

/**
 * For the messages of a channel. In Slack: buttons, where the policy names its app. Elsewhere, and in Slack without an app: the links of the recipient that
 * has the channel's name, so that only who reads the channel gets them; none where there is no such recipient.
 */
export const actionsFor = async (
  incident: Incident,
  { channel, type }: { readonly channel: string; readonly type: string },
  deps: MintDeps,
): Promise<readonly (Link | Button)[]> => {
  const { links } = deps.policy;
  if (type === 'slack' && links?.slack) return buttonsFor(incident, deps);
  return links?.recipients.some((r) => r.name === channel) ? linksFor(incident, channel, deps) : [];
};

/** `steward link`: made by hand, and written down, by whom and for whom. */
export const mintByHand = async (
  incident: Incident,
  { to, by }: { to: string; by: string },
  desk: Pick<Desk, 'store'>,
  mint: MintDeps,
): Promise<{ incident: string; say: string; next: string; links: readonly Link[] }> => {
  const { links } = named(to, mint.policy.links);
  if (isAsker(incident, by, links))
    throw new Declined({
      no: `${by} may be who asked for it (${incident.ask?.askedBy}), and cannot make links that approve it: whoever makes a link has it in hand`,
      remedy: 'let someone else make it',
    });
  const made = await linksFor(incident, to, mint, by);
  if (made.length === 0)
    throw new Declined({
      no: `there is nothing that ${to} could answer to incident ${incident.id} by link: it is ${incident.state}`,
      remedy: `see what it waits for: steward why ${incident.id}; what ${to} may, \`links.recipients\` in steward.yml says`,
    });
  const what = made.map((l) => l.label.toLowerCase()).join(', ');
  await again(async () => {
    const [fresh] = await desk.store.read({ kind: 'incident', target: incident.target, id: incident.id });
    if (!fresh) throw new NotFound(`incident ${incident.id} is gone`);
    await desk.store.write({ put: logged(fresh, mint.now(), 'answer', `${by} made links for ${to}: ${what}`) });
  });
  return {
    incident: incident.id,
    say: `links for ${to}: ${what}`,
    next: `each is good once, until ${iso(mint.now() + minutes(links.validMinutes))} at the latest, and for this very question. Whoever holds one can use it: give it to ${to} and nobody else`,
    links: made,
  };
};
