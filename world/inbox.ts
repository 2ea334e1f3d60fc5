/**
 * The far end of a channel: what people see there. As the services do it, as far as it tells messages apart: Slack edits by name and can be searched by metadata, PagerDuty keeps one alert for
 * a dedup key, a webhook's receiver takes an idempotency key once, SNS sends whatever it is given.
 */
import type { ChannelConfig } from '../shared/core/channels.ts';
import type { StewardError } from '../shared/core/errors.ts';
import type { Channel, Letter } from '../shared/core/letter.ts';
import type { Rendered } from '../shared/core/notice.ts';
import type { Time } from '../shared/core/time.ts';

export interface Message {
  readonly id: string;
  readonly ref: string;
  readonly at: Time;
  /** What it said, one after the other. */
  readonly said: Rendered[];
  readonly thread: string[];
  readonly tokens: string[];
}

export interface Inbox {
  readonly messages: Message[];
  readonly channel: Channel;
  /** What happens to a send: it fails before it arrives, or its reply is lost after. */
  fault: (letter: Letter) => { readonly when: 'before' | 'after'; readonly error: StewardError } | undefined;
}

export const createInbox = (type: ChannelConfig['type'], now: () => Time): Inbox => {
  const messages: Message[] = [];
  const begin = ({ id, rendered, token }: Letter): Message => {
    const message = { id, ref: `${messages.length + 1}`, at: now(), said: [rendered], thread: [], tokens: [token] };
    messages.push(message);
    return message;
  };
  const edit = (message: Message, { rendered, token }: Letter): Message => {
    message.said.push(rendered);
    message.tokens.push(token);
    return message;
  };
  const inThread = (message: Message | undefined, { lines, uncertain }: Letter): void => {
    // Looked for before it is repeated.
    const known = uncertain === undefined ? [] : (message?.thread ?? []);
    message?.thread.push(...lines.map((l) => l.key).filter((key) => !known.includes(key)));
  };
  const byId = ({ id }: Letter): Message | undefined => messages.find((m) => m.id === id);
  const kept = (letter: Letter, known: Message | undefined): Message => (known ? edit(known, letter) : begin(letter));
  const takes: Readonly<Record<ChannelConfig['type'], (letter: Letter) => Message | undefined>> = {
    slack: (letter) => {
      const named = messages.find((m) => m.ref === letter.ref);
      if (letter.part === 'main')
        return kept(letter, named ?? (letter.uncertain === undefined ? undefined : byId(letter)));
      inThread(named, letter);
      return named;
    },
    pagerduty: (letter) => kept(letter, byId(letter)),
    webhook: (letter) =>
      messages.some((m) => m.tokens.includes(letter.token)) ? byId(letter) : kept(letter, byId(letter)),
    sns: begin,
  };
  const inbox: Inbox = {
    messages,
    fault: () => undefined,
    channel: {
      send: async (letter) => {
        const fault = inbox.fault(letter);
        if (fault?.when === 'before') throw fault.error;
        const message = takes[type](letter);
        if (fault) throw fault.error;
        return type === 'slack' && message ? { ref: message.ref } : {};
      },
    },
  };
  return inbox;
};
