/**
 * The one public door, if the policy opens it: `GET /?t=…` shows what a link would answer and changes nothing, `POST /` answers, `POST /slack` takes
 * Slack's buttons. Each refusal says why, to whoever holds a link that was made here; to others it is always the same page.
 */
import { isNo, type No } from '../../core/answers.ts';
import { StewardError } from '../../core/errors.ts';
import type { Incident } from '../../core/incident.ts';
import type { Risk } from '../../core/remediation.ts';
import { iso } from '../../core/time.ts';
import { Declined } from '../replies.ts';
import type { Answered, HttpRequest } from './http.ts';
import { askedRisk, LABELS } from './mint.ts';
import { donePage, invalidPage, type Question, questionPage, refusedPage, unavailablePage } from './pages.ts';
import { carryOutReply, type LinkDeps, type Reply, ruleOf } from './reply.ts';
import { answerSlack, type SlackPort } from './slack.ts';
import { opened } from './ticket.ts';

/** `slack`: where the policy names a Slack app. */
export type DoorDeps = LinkDeps & { readonly slack?: SlackPort };

const FORM = 'application/x-www-form-urlencoded';

export const answerHttp = async (request: HttpRequest, deps: DoorDeps): Promise<Answered> => {
  const { method, path, query, headers, body } = request;
  try {
    if (path === '/slack' && method === 'POST' && deps.slack) return await answerSlack(request, deps, deps.slack);
    if (path !== '/') return nobody('no such page');
    if (method === 'GET' || method === 'HEAD') return await show(new URLSearchParams(query).get('t') ?? '', deps);
    if (method !== 'POST' || !headers['content-type']?.startsWith(FORM)) return nobody('no such page');
    const form = new URLSearchParams(body);
    return await obey(form.get('t') ?? '', (form.get('why') ?? '').trim().slice(0, 300), deps);
  } catch (e) {
    if (!(e instanceof StewardError)) throw e;
    return [unavailablePage(), { what: 'failed', say: e.message }];
  }
};

const nobody = (say: string): Answered => [invalidPage(), { what: 'invalid', say }];

/** The link's own ticket and whom it is for. Undefined: it was not made here, or the policy no longer names him. */
const read = async (token: string, deps: LinkDeps): Promise<Reply | undefined> => {
  const ticket = await opened(token, deps.stage, deps.mac);
  const recipient = deps.policy.links?.recipients.find((r) => r.name === ticket?.to);
  if (ticket?.via !== 'link' || !recipient) return undefined;
  return { ticket, recipient, by: `link:${recipient.name}` };
};
const toldOf = ({ ticket, by }: Reply) => ({ incident: ticket.incident, by, answer: ticket.answer });

const refused = (reply: Reply, no: No): Answered => [
  refusedPage(no),
  { what: 'refused', say: no.no, ...toldOf(reply) },
];

const show = async (token: string, deps: LinkDeps): Promise<Answered> => {
  const reply = await read(token, deps);
  if (!reply) return nobody('a link that was not made here');
  const { target, incident: id } = reply.ticket;
  const [incident] = await deps.store.read({ kind: 'incident', target, id });
  if (!incident) return refused(reply, { no: `incident ${id} is gone`, remedy: 'nothing: it has expired' });
  const ruling = ruleOf(reply, deps)(incident);
  if (isNo(ruling)) return refused(reply, ruling);
  return [
    questionPage(questionOf(reply, incident, token)),
    { what: 'shown', say: 'a link was opened', ...toldOf(reply) },
  ];
};

const obey = async (token: string, why: string, deps: LinkDeps): Promise<Answered> => {
  const reply = await read(token, deps);
  if (!reply) return nobody('a link that was not made here');
  try {
    const { say, next } = await carryOutReply({ ...reply, ...(why ? { why } : {}) }, deps);
    return [donePage(say, next), { what: 'answered', say, ...toldOf(reply) }];
  } catch (e) {
    if (!(e instanceof Declined)) throw e;
    return refused(reply, { no: e.message, remedy: e.remedy });
  }
};

const IMPACT: Readonly<Record<Risk, string>> = {
  harmless: 'interrupts nothing',
  interrupts: 'interrupts what runs there',
  destroys: 'destroys what cannot be brought back',
};

const questionOf = ({ ticket, recipient }: Reply, incident: Incident, token: string): Question => {
  const { answer, until, by } = ticket;
  const undone = answer === 'undo' ? incident.attempts.find((a) => a.n === ticket.attempts) : undefined;
  const ask = answer === 'undo' ? undefined : incident.ask;
  return {
    title: `${LABELS[answer]}?`,
    facts: [
      ['What Steward wants to do', ask?.plan],
      ['What would be put back', undone?.plan],
      ['Impact', ask && IMPACT[askedRisk(incident)]],
      ['Because', ask?.because ?? incident.because],
      ['Where', incident.target],
      ['Seen', incident.seen],
      ['Group', incident.group],
      ['Asked for by', ask?.askedBy],
      ['Incident', incident.id],
    ],
    token,
    button: LABELS[answer],
    small: `Made for ${recipient.name}${by ? `, by ${by}` : ''}; good once, until ${iso(until)}. Whoever has this link can use it, and it is recorded as link:${recipient.name}. If you are not ${recipient.name}, close this page: nothing has happened.`,
  };
};
